//! Alerting rules, their copy for Grafana, the provisioning and the runbooks: nothing is left out, nothing leads nowhere.

use super::{detectors, list, text};
use crate::support::{files_under, root, yukue};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_alert_is_told_in_full() {
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(["critical", "warning"].contains(&text(&alert["labels"], "severity").as_str()), "{name}");
        for key in ["summary", "description", "runbook_url", "runbook_url_ja", "dashboard_url"] {
            assert!(!text(&alert["annotations"], key).is_empty(), "{name}: no {key}");
        }
        let board = text(&alert["annotations"], "dashboard_url").rsplit("/d/yukue-").next().unwrap().to_owned();
        assert!(root().join(format!("grafana/dashboards/{board}.json")).exists(), "{name}: no dashboard {board}");
        let expr = text(&alert, "expr");
        promql_parser::parser::parse(&expr).unwrap_or_else(|e| panic!("{name}: {e}"));
        for label in ["ip=", "host=", "src=", "dst="] {
            assert!(!expr.contains(label), "{name}: hosts are no labels");
        }
    }
}

#[test]
fn every_alert_has_its_runbook_in_both_languages_and_no_runbook_is_alone() {
    let named: BTreeSet<String> = alerts().iter().map(|alert| text(alert, "alert")).collect();
    for language in ["en", "ja"] {
        let folder = root().join("grafana/runbooks").join(language);
        let pages: BTreeSet<String> =
            files_under(&folder).iter().map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(pages, named, "{language}");
    }
    for alert in alerts() {
        for key in ["runbook_url", "runbook_url_ja"] {
            let url = text(&alert["annotations"], key);
            let (_, page) = url.split_once("/public/yukue/").unwrap_or_else(|| panic!("{url}"));
            assert!(root().join("grafana").join(page).exists(), "{url} leads nowhere");
        }
    }
}

#[test]
fn runbooks_have_the_same_parts_in_both_languages() {
    for alert in alerts() {
        let name = text(&alert, "alert");
        let page =
            |language: &str| fs::read_to_string(root().join(format!("grafana/runbooks/{language}/{name}.md"))).unwrap();
        let (en, ja) = (page("en"), page("ja"));
        let parts =
            |page: &str| page.lines().filter_map(|l| l.strip_prefix("## ")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parts(&en), PARTS.map(|(en, _)| en), "{name}");
        assert_eq!(parts(&ja), PARTS.map(|(_, ja)| ja), "{name}");
        // Commands are what one copies at night: the same in both, comments aside.
        assert_eq!(commands(&en), commands(&ja), "{name}");
        assert!(!commands(&en).is_empty(), "{name}: no command");
    }
}

#[test]
fn runbooks_tell_only_commands_that_the_sensor_has() {
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let told: BTreeSet<Vec<String>> = files_under(&root().join("grafana/runbooks/en"))
        .iter()
        .flat_map(|page| commands(&fs::read_to_string(page).unwrap()))
        .filter_map(|line| line.strip_prefix("yukue ").map(str::to_owned))
        .map(|line| line.split(' ').take_while(is_word).map(str::to_owned).collect())
        .collect();
    assert!(told.len() >= 5, "{told:?}");
    for words in told {
        let help: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let said = yukue(&help);
        assert!(said.status.success(), "yukue {}: {}", words.join(" "), String::from_utf8_lossy(&said.stderr));
    }
}

#[test]
fn grafanas_copy_has_the_same_rules() {
    let copy = yaml("grafana/provisioning/alerting/yukue-rules.yaml");
    let group = &list(&copy, "groups")[0];
    let rules = list(group, "rules");
    let titles: Vec<String> = rules.iter().map(|rule| text(rule, "title")).collect();
    assert_eq!(titles, alerts().iter().map(|alert| text(alert, "alert")).collect::<Vec<_>>());
    let mut uids = BTreeSet::new();
    for rule in rules {
        let title = text(rule, "title");
        assert!(uids.insert(text(rule, "uid")) && text(rule, "uid").len() <= 40, "{title}: uid");
        assert_eq!((text(rule, "noDataState"), text(rule, "execErrState")), ("OK".into(), "Error".into()), "{title}");
        let [query, threshold] = list(rule, "data") else { panic!("{title}: a query and a threshold") };
        assert_eq!(text(query, "datasourceUid"), "yukue-prometheus", "{title}");
        let expr = text(&query["model"], "expr");
        promql_parser::parser::parse(&expr).unwrap_or_else(|e| panic!("{title}: {e}"));
        assert!(!expr.contains("yukue:"), "{title}: needs a recording rule that Grafana does not have");
        assert_eq!(
            (text(threshold, "datasourceUid"), text(rule, "condition")),
            ("__expr__".into(), "B".into()),
            "{title}"
        );
        assert_eq!(text(&threshold["model"], "expression"), "A", "{title}");
        assert!(!text(&rule["annotations"], "summary").contains("$value "), "{title}: Grafana names values by letter");
    }
}

#[test]
fn every_alert_is_tested_to_fire_to_stay_quiet_and_to_clear() {
    let tests = yaml("grafana/prometheus/yukue.rules.test.yml");
    for alert in alerts() {
        let name = text(&alert, "alert");
        let asked: Vec<Value> = list(&tests, "tests")
            .iter()
            .flat_map(|test| list(test, "alert_rule_test").to_vec())
            .filter(|asked| text(asked, "alertname") == name)
            .collect();
        let fires: Vec<bool> = asked.iter().map(|asked| !list(asked, "exp_alerts").is_empty()).collect();
        let first = fires.iter().position(|f| *f).unwrap_or_else(|| panic!("{name} never fires in its tests"));
        assert!(fires[..first].contains(&false), "{name}: is not seen quiet before it fires");
        assert!(fires[first..].contains(&false), "{name}: is not seen to clear");
    }
}

#[test]
fn dashboards_name_detectors_that_exist() {
    let known = detectors();
    let source = fs::read_to_string(root().join("grafana/dashboards/staging.json")).unwrap();
    let board: Value = serde_json::from_str(&source).unwrap();
    for panel in super::panels(&board) {
        for expr in super::prometheus(&panel) {
            for part in expr.split("detector=").skip(1) {
                let stems = part.trim_start_matches(['~', '"']).split('"').next().unwrap();
                assert!(stems.split('|').all(|stem| known.contains(stem)), "{expr}");
            }
        }
        for target in list(&panel, "targets") {
            let asked = list(&target["url_options"], "params").iter().find(|p| p["key"] == "detector");
            let stems = asked.map(|p| text(p, "value")).unwrap_or_default();
            assert!(stems.is_empty() || stems.split(',').all(|stem| known.contains(stem)), "{stems}");
        }
    }
}

#[test]
fn provisioning_leads_to_what_is_there() {
    let sources = yaml("grafana/provisioning/datasources/yukue.yaml");
    let uids: Vec<(String, String)> =
        list(&sources, "datasources").iter().map(|s| (text(s, "uid"), text(s, "type"))).collect();
    for (uid, kind) in [("yukue-prometheus", "prometheus"), ("yukue-api", "yesoreyeram-infinity-datasource")] {
        assert!(uids.contains(&(uid.into(), kind.into())), "{uids:?}");
    }
    let providers = yaml("grafana/provisioning/dashboards/yukue.yaml");
    let provider = &list(&providers, "providers")[0];
    assert_eq!((text(provider, "type"), &provider["allowUiUpdates"]), ("file".into(), &Value::Bool(false)));
    let inside = text(&provider["options"], "path");
    let compose = yaml("grafana/compose.yaml");
    let mounts: Vec<String> = compose["services"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|service| list(service, "volumes"))
        .filter_map(|mount| mount.as_str().map(str::to_owned))
        .collect();
    assert!(mounts.iter().any(|m| m.contains(&format!(":{inside}"))), "nothing is mounted at {inside}");
    for mount in mounts.iter().filter(|m| m.starts_with("./")) {
        let here = mount.split(':').next().unwrap();
        assert!(root().join("grafana").join(Path::new(here)).exists(), "{mount}: not there");
    }
}

/// The alerting rules that ship.
fn alerts() -> Vec<Value> {
    let rules = yaml("grafana/prometheus/yukue.rules.yml");
    let all = list(&rules, "groups").iter().flat_map(|group| list(group, "rules").to_vec());
    all.filter(|rule| rule.get("alert").is_some()).collect()
}

/// Lines inside code fences, without comments.
fn commands(page: &str) -> Vec<String> {
    let inside = page.split("```").skip(1).step_by(2).flat_map(|block| block.lines().skip(1));
    let bare = inside.map(|line| line.split("  # ").next().unwrap().trim_end().to_owned());
    bare.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The parts of a runbook, in English and Japanese.
const PARTS: [(&str, &str); 5] = [
    ("What it means", "何を意味するか"),
    ("Likely causes", "考えられる原因"),
    ("Look", "調べる"),
    ("Mend", "直す"),
    ("Escalate", "エスカレーション"),
];
