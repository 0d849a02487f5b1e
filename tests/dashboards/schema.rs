//! Dashboards against Grafana's own JSON Schemas, which allow nothing they do not name.

use super::{dashboards, every_panel, list, text};
use crate::support::root;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::fs;

/// A kind of panel, and the file its options are described in.
const KINDS: &[(&str, &str)] = &[
    ("bargauge", "bargauge"),
    ("heatmap", "heatmap"),
    ("nodeGraph", "nodegraph"),
    ("stat", "stat"),
    ("state-timeline", "statetimeline"),
    ("table", "table"),
    ("timeseries", "timeseries"),
];

/// What the schemas call an object and Grafana itself writes as any value: they were made from a type `any`.
const ANY: &[(&str, &str)] =
    &[("MatcherConfig", "options"), ("DynamicConfigValue", "value"), ("VariableModel", "query")];

#[test]
fn dashboards_fit_the_schema_of_dashboards() {
    let whole = validator("dashboard", None);
    let mut wrong = Vec::new();
    for (name, board) in dashboards() {
        wrong.extend(errors(&whole, &board).into_iter().map(|e| format!("{name}: {e}")));
        assert_eq!(board["schemaVersion"], 39, "{name}");
        assert!(board.get("id").is_none(), "{name}: an id belongs to one Grafana");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn panels_fit_the_schema_of_their_kind() {
    let mut wrong = Vec::new();
    for (kind, file) in KINDS {
        let options = validator(file, Some("Options"));
        let custom = schema(file)["definitions"].get("FieldConfig").map(|_| validator(file, Some("FieldConfig")));
        for (name, panel) in every_panel().into_iter().filter(|(_, panel)| text(panel, "type") == *kind) {
            wrong.extend(errors(&options, &panel["options"]).into_iter().map(|e| format!("{name}: options: {e}")));
            match (&custom, panel["fieldConfig"]["defaults"].get("custom")) {
                (Some(schema), Some(given)) => {
                    wrong.extend(errors(schema, given).into_iter().map(|e| format!("{name}: custom: {e}")));
                }
                (None, Some(_)) => wrong.push(format!("{name}: {kind} knows no custom settings")),
                (_, None) => {}
            }
        }
    }
    let unknown = every_panel().into_iter().filter(|(_, p)| !KINDS.iter().any(|(kind, _)| text(p, "type") == *kind));
    wrong.extend(unknown.map(|(name, _)| format!("{name}: a kind without a schema")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn queries_fit_the_schema_of_queries() {
    let query = validator("prometheus", None);
    let mut wrong = Vec::new();
    for (name, panel) in every_panel() {
        for target in list(&panel, "targets").iter().filter(|t| t["datasource"]["type"] == "prometheus") {
            wrong.extend(errors(&query, target).into_iter().map(|e| format!("{name}: {e}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_schema_bites() {
    let whole = validator("dashboard", None);
    let (_, good) = dashboards().remove(0);
    for (what, key, value) in [
        ("a misspelt key", "titel", json!("Fleet")),
        ("a refresh that is a number", "refresh", json!(60)),
        ("a panel with a key nobody knows", "panels", json!([{"type": "stat", "titel": "Up"}])),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(!errors(&whole, &bad).is_empty(), "{what} goes through");
    }
    let options = validator("stat", Some("Options"));
    assert!(!errors(&options, &json!({"graphMode": "none"})).is_empty(), "options that lack what they need go through");
}

fn errors(schema: &Validator, value: &Value) -> Vec<String> {
    let short = |text: String| text.chars().take(300).collect::<String>();
    schema.iter_errors(value).map(|e| format!("{}: {}", e.instance_path, short(e.to_string()))).collect()
}

/// A schema, whole or one of its definitions.
fn validator(file: &str, definition: Option<&str>) -> Validator {
    let mut schema = schema(file);
    if let Some(name) = definition {
        schema["$ref"] = json!(format!("#/definitions/{name}"));
    }
    jsonschema::draft7::new(&schema).unwrap()
}

/// A schema as it is meant: `oneOf` lost what told its branches apart when the schemas were made, so one must fit, and
/// several may.
fn schema(file: &str) -> Value {
    let path = root().join("tests/dashboards/schemas").join(file).with_extension("jsonschema.json");
    let text = fs::read_to_string(path).unwrap().replace("\"oneOf\"", "\"anyOf\"");
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    for (definition, property) in ANY.iter().filter(|_| file == "dashboard") {
        schema["definitions"][definition]["properties"][property] = json!({});
    }
    schema
}
