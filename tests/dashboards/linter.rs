//! The rules of Grafana's dashboard linter, and ours of one dashboard family: data sources and sensors are chosen by
//! variables, nothing shown goes without a title, a description and a unit.

use super::{dashboards, every_panel, list, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn every_dashboard_lets_data_source_job_and_sensor_be_chosen() {
    for (name, board) in dashboards() {
        let variables = list(&board["templating"], "list");
        let named = |wanted: &str| variables.iter().find(|v| v["name"] == wanted);
        let source = named("datasource").unwrap_or_else(|| panic!("{name}: no variable datasource"));
        assert_eq!((text(source, "type"), text(source, "query")), ("datasource".into(), "prometheus".into()), "{name}");
        for wanted in ["job", "instance"] {
            let variable = named(wanted).unwrap_or_else(|| panic!("{name}: no variable {wanted}"));
            for (key, value) in [
                ("type", json!("query")),
                ("multi", json!(true)),
                ("includeAll", json!(true)),
                ("allValue", json!(".+")),
                ("refresh", json!(2)),
            ] {
                assert_eq!(variable[key], value, "{name}: {wanted}: {key}");
            }
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{name}: {wanted}");
        }
        for variable in variables.iter().filter(|v| v["type"] == "query") {
            assert!(text(variable, "definition").starts_with("label_values("), "{name}: {variable}");
        }
    }
}

#[test]
fn every_dashboard_is_provisioned_not_edited() {
    let mut uids = BTreeSet::new();
    for (name, board) in dashboards() {
        assert_eq!(board["editable"], false, "{name}");
        assert_eq!(text(&board, "uid"), format!("yukue-{name}"));
        assert!(!text(&board, "description").is_empty(), "{name}");
        assert!(uids.insert(text(&board, "uid")), "{name}: a uid twice");
    }
}

#[test]
fn every_panel_is_explained() {
    let mut wrong = Vec::new();
    for (name, panel) in every_panel() {
        for key in ["title", "description"] {
            if text(&panel, key).trim().is_empty() {
                wrong.push(format!("{name}: no {key}"));
            }
        }
        let unit = text(&panel["fieldConfig"]["defaults"], "unit");
        if !UNITS.contains(&unit.as_str()) {
            wrong.push(format!("{name}: unit {unit:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_panel_and_query_uses_the_chosen_data_source() {
    let mut wrong = Vec::new();
    for (name, panel) in every_panel() {
        for asked in [&panel].into_iter().chain(list(&panel, "targets")) {
            let source = &asked["datasource"];
            let pair = (text(source, "type"), text(source, "uid"));
            if !SOURCES.iter().any(|(kind, uid)| (pair.0.as_str(), pair.1.as_str()) == (*kind, *uid)) {
                wrong.push(format!("{name}: {source}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn panels_lie_beside_each_other() {
    for (name, board) in dashboards() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        let rows = list(&board, "panels");
        for panel in rows.iter().chain(rows.iter().flat_map(|row| list(row, "panels"))) {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: an id twice");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{name}: {}", text(panel, "title"));
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}: {} lies on another", text(panel, "title"));
                }
            }
        }
    }
}

#[test]
fn letters_of_queries_are_used_once() {
    for (name, panel) in every_panel() {
        let letters: Vec<&Value> = list(&panel, "targets").iter().map(|t| &t["refId"]).collect();
        let distinct: BTreeSet<String> = letters.iter().map(|l| l.to_string()).collect();
        assert!(!letters.is_empty() && distinct.len() == letters.len(), "{name}: {letters:?}");
    }
}

/// Units of Grafana that we use; `none` is a count.
const UNITS: &[&str] = &["none", "s", "bytes", "Bps", "bps", "pps", "cps", "ops", "reqps", "percentunit"];

const SOURCES: &[(&str, &str)] = &[("prometheus", "${datasource}"), ("yesoreyeram-infinity-datasource", "${api}")];
