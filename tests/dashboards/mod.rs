//! `grafana/` without a Grafana: what is there is what its sources make, fits Grafana's own schemas and linter rules,
//! asks only for metrics the sensor has, and leaves no detector, alert or runbook out. `tests/grafana.sh` goes on where
//! this ends, with a real Prometheus and Alertmanager.

mod alerting;
mod api;
mod linter;
mod queries;
mod schema;

use crate::support::{files_under, root};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn generated_files_are_what_their_sources_make() {
    let check = ["grafana/source/build.py", "--check"];
    let made = Command::new("python3").args(check).current_dir(root()).output().expect("python3 (tests/tools.sh test)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn every_detector_has_its_panel() {
    let shown: BTreeSet<String> = panels(&dashboard("detections")).iter().map(|p| text(p, "title")).collect();
    let missing: Vec<String> = detectors().into_iter().filter(|stem| !shown.contains(stem)).collect();
    assert!(missing.is_empty(), "grafana/source/detectors.py places no {missing:?}");
}

#[test]
fn the_readme_tells_the_question_of_every_row() {
    let readme = fs::read_to_string(root().join("grafana/README.md")).unwrap();
    let asked = dashboards().into_iter().flat_map(|(name, board)| {
        let rows: Vec<Value> = list(&board, "panels").iter().filter(|p| text(p, "type") == "row").cloned().collect();
        rows.into_iter().map(move |row| (name.clone(), text(&row, "title")))
    });
    let missing: Vec<_> = asked.filter(|(_, question)| !readme.contains(question)).collect();
    assert!(missing.is_empty(), "grafana/README.md: {missing:#?}");
}

/// A file that comes with a module of the sensor. `None` while the sensor lacks the module, and that is said.
fn comes_with(module: &str, named_in: &str, file: &str) -> Option<String> {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    if read(named_in).contains(&format!("mod {module};")) {
        return Some(read(file));
    }
    eprintln!("SKIPPED: {named_in} names no {module}, so {file} is not there to be compared with");
    None
}

/// Stems of the detectors and joins: every rule that ships. What lies beside them has nothing to enable.
fn detectors() -> BTreeSet<String> {
    let is_rule = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().any(|line| line.starts_with("enabled = "));
    let paths = fs::read_dir(root().join("rules")).unwrap().map(|entry| entry.unwrap().path());
    let rules = paths.filter(|path| path.extension().is_some_and(|e| e == "toml")).filter(is_rule);
    rules.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).filter(|s| !s.contains('.')).collect()
}

/// All dashboards: name and content.
fn dashboards() -> Vec<(String, Value)> {
    let paths = files_under(&root().join("grafana/dashboards"));
    let names = paths.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let found: Vec<_> = names.map(|name| (name.clone(), dashboard(&name))).collect();
    assert_eq!(found.len(), 5, "fleet, sensor-health, egress, detections, staging");
    found
}

fn dashboard(name: &str) -> Value {
    let path = root().join("grafana/dashboards").join(name).with_extension("json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Panels of a dashboard but its rows, those inside closed rows included.
fn panels(board: &Value) -> Vec<Value> {
    let (rows, mut found): (Vec<_>, Vec<_>) =
        list(board, "panels").iter().cloned().partition(|panel| text(panel, "type") == "row");
    found.extend(rows.iter().flat_map(|row| list(row, "panels").to_vec()));
    found
}

/// Every panel with a name to print: `detections: Open, high`.
fn every_panel() -> Vec<(String, Value)> {
    let of = |(name, board): (String, Value)| {
        panels(&board).into_iter().map(move |panel| (format!("{name}: {}", text(&panel, "title")), panel)).collect()
    };
    dashboards().into_iter().flat_map::<Vec<_>, _>(of).collect()
}

/// A panel's queries to Prometheus.
fn prometheus(panel: &Value) -> Vec<String> {
    list(panel, "targets").iter().filter_map(|t| t.get("expr")).map(|e| e.as_str().unwrap().to_owned()).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
