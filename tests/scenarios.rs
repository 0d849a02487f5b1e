//! Every capture in `pcaps/` says exactly what `tests/expected/<same path>.jsonl` claims. `BLESS=1` rewrites the claims.
//!
//! First the exit code, then what is alerted, then findings by detector and severity; for captures of one protocol or
//! damage also every flow and fact. A capture without a claim fails.

use crate::support::{Run, analyzed, bless, files_under, root, values};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

#[test]
fn every_capture_says_what_is_expected_of_it() {
    let mut differ = Vec::new();
    for run in analyzed() {
        let path = root().join("tests/expected").join(&run.input).with_extension("jsonl");
        let got = claims(run);
        if bless() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &got).unwrap();
            continue;
        }
        match fs::read_to_string(&path) {
            Ok(expected) if expected == got => {}
            Ok(expected) => differ.push(format!("{}\n{}", run.input, difference(&expected, &got))),
            Err(_) => differ.push(format!("{}: no expectation; BLESS=1 writes it, then review it", run.input)),
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn every_expectation_has_its_capture() {
    let names: Vec<String> = analyzed().iter().map(|r| r.input.clone()).collect();
    let folder = root().join("tests/expected");
    // Scorecards are claims about fleets, not about captures.
    let captures = files_under(&folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    for path in captures {
        let stem = path.strip_prefix(&folder).unwrap().with_extension("");
        let stem = stem.to_str().unwrap();
        let known = |name: &String| name.rsplit_once('.').is_some_and(|(before, _)| before == stem);
        assert!(names.iter().any(known), "{}: no such capture", path.display());
    }
}

/// What the issue asks of the campaign, independent of the claims file.
#[test]
fn the_campaign_names_server_hosts_and_destination() {
    let run = analyzed().iter().find(|r| r.input == "attack/staging-antivirus-push.pcap").unwrap();
    let campaigns: Vec<Value> = run.alerts().into_iter().filter(|a| a["kind"] == "staging_campaign").collect();
    assert_eq!(campaigns.len(), 1, "{}", run.alerts);
    let role = |role: &str| -> Vec<String> {
        let entities = campaigns[0]["entities"].as_array().unwrap().iter();
        entities.filter(|e| e["role"] == role).map(|e| text(&e["ip"]).or_else(|| text(&e["name"])).unwrap()).collect()
    };
    assert_eq!(role("staging_server"), ["10.20.0.10"]);
    let hosts: Vec<String> = (0..12).map(|n| format!("10.20.1.{}", 12 + 3 * n)).collect();
    assert_eq!(role("affected_host"), hosts);
    let destinations = campaigns[0]["scope"]["destinations"].to_string();
    assert!(destinations.contains("yukue-test-stg7.blob.core.windows.net"), "{destinations}");
}

/// What must not alarm: nothing above medium, and no story of staging.
#[test]
fn benign_captures_stay_calm() {
    for run in analyzed().iter().filter(|r| r.input.starts_with("benign/")) {
        for alert in run.alerts() {
            let calm = matches!(alert["severity"].as_str(), Some("info" | "low" | "medium"));
            let staging = matches!(alert["kind"].as_str(), Some("staging_campaign" | "execution_chain"));
            assert!(calm && !staging, "{}: {alert}", run.input);
        }
    }
}

/// Whoever reads a record alone, without our terminal, learns what to do next, in both languages.
#[test]
fn every_finding_and_alert_says_what_to_do_next() {
    let steps = |record: &Value, key: &str| -> Vec<String> {
        record[key].as_array().unwrap_or(&Vec::new()).iter().filter_map(text).collect()
    };
    let (mut said, mut blocked) = (0, 0);
    for run in analyzed() {
        for record in values(&run.findings).into_iter().chain(run.alerts()) {
            let (english, japanese) = (steps(&record, "next_steps"), steps(&record, "next_steps_ja"));
            assert!(!english.is_empty() && english.len() == japanese.len(), "{}: {record}", run.input);
            assert!(japanese.iter().all(|step| !step.is_ascii()), "{}: {record}", run.input);
            said += 1;
            for to in record["scope"]["destinations"].as_array().into_iter().flatten() {
                let value = text(&to["value"]).unwrap();
                let told = english.iter().chain(&japanese).filter(|step| step.contains(&value)).count();
                let wanted = if to["advice"] == "watch" { 0 } else { 2 };
                assert_eq!(told, wanted, "{}: {value} in {english:?}", run.input);
                blocked += wanted;
            }
        }
    }
    assert!(said > 100 && blocked > 10, "{said} records, {blocked} steps about destinations");
}

/// What was not visible stands beside each claim, whether it became an alert or not, and the same in both.
#[test]
fn every_finding_says_what_was_not_visible_as_the_alert_made_of_it_does() {
    let (mut compared, mut alone) = (0, 0);
    for run in analyzed() {
        let alerts = run.alerts();
        for finding in values(&run.findings) {
            let gaps = |key: &str| finding[key].as_array().map_or(0, Vec::len);
            assert_eq!(gaps("not_visible"), gaps("not_visible_ja"), "{}: {finding}", run.input);
            match alerts.iter().find(|alert| alert["id"] == finding["id"]) {
                // One alert of several findings speaks for the hosts of all of them.
                Some(alert) if alert["entities"] == finding["entities"] => {
                    assert_eq!(alert["not_visible"], finding["not_visible"], "{}: {finding}", run.input);
                    compared += gaps("not_visible");
                }
                _ => alone += gaps("not_visible"),
            }
        }
    }
    assert!(compared > 3 && alone > 100, "{compared} gaps of findings that are alerts, {alone} of others");
}

fn claims(run: &Run) -> String {
    let mut out = String::new();
    writeln!(out, "{}", json!({ "exit": run.code })).unwrap();
    for alert in run.alerts() {
        let mut claim = part(&alert, ALERT);
        // To the second: who was first and last is a claim, which packet of the last contact counts is not.
        for field in ["first_seen", "last_seen"] {
            claim.insert(field.to_owned(), json!(alert[field].as_f64().unwrap().floor()));
        }
        writeln!(out, "{}", json!({ "alert": claim })).unwrap();
    }
    let mut findings: BTreeMap<String, u64> = BTreeMap::new();
    for finding in values(&run.findings) {
        let key = format!("{} {}", text(&finding["detector"]).unwrap(), text(&finding["severity"]).unwrap());
        *findings.entry(key).or_insert(0) += 1;
    }
    writeln!(out, "{}", json!({ "findings": findings })).unwrap();
    if run.input.starts_with("site/") {
        let summary: Value = serde_json::from_str(&run.summary).unwrap();
        for part in ["identity", "hosts"] {
            writeln!(out, "{}", json!({ part: summary[part] })).unwrap();
        }
        writeln!(out, "{}", json!({ "networks": summary["visibility"]["networks"] })).unwrap();
        for alert in run.alerts() {
            writeln!(out, "{}", json!({ "scope": alert["scope"], "not_visible": alert["not_visible"] })).unwrap();
        }
        for flow in values(&run.flows).into_iter().filter(|flow| flow.get("names").is_some()) {
            writeln!(out, "{}", json!({ "flow": part(&flow, &["id.orig_h", "id.resp_h", "names", "name"]) })).unwrap();
        }
    }
    if run.input.starts_with("protocol/") || run.input.starts_with("hostile/") {
        for flow in values(&run.flows) {
            writeln!(out, "{}", json!({ "flow": part(&flow, FLOW) })).unwrap();
        }
        for mut fact in values(&run.facts) {
            fact.as_object_mut().unwrap().retain(|key, _| key != "uid");
            writeln!(out, "{}", json!({ "fact": fact })).unwrap();
        }
    }
    out
}

/// Fields of an alert that are a claim about the traffic rather than about our wording.
const ALERT: &[&str] = &["kind", "severity", "tier", "attack", "entities"];
/// Fields of a flow.
const FLOW: &[&str] = &[
    "ts",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "service",
    "orig_bytes",
    "resp_bytes",
    "conn_state",
    "history",
    "missed_bytes",
    "orig_pkts",
    "resp_pkts",
    "vlan",
    "inner_vlan",
    "tunnel",
    "end",
    "name",
];

fn part(record: &Value, fields: &[&str]) -> Map<String, Value> {
    let kept = |field: &&str| record.get(*field).map(|v| ((*field).to_owned(), v.clone()));
    fields.iter().filter_map(kept).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Lines that are on one side only.
fn difference(expected: &str, got: &str) -> String {
    let missing = expected.lines().filter(|l| !got.lines().any(|g| g == *l)).map(|l| format!("  - {l}"));
    let surplus = got.lines().filter(|l| !expected.lines().any(|e| e == *l)).map(|l| format!("  + {l}"));
    missing.chain(surplus).collect::<Vec<_>>().join("\n")
}
