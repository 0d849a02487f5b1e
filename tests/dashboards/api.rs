//! What dashboards ask of the sensor's API through Infinity, held against the API's own document: paths, parameters,
//! where the rows are, every column. `tests/grafana.sh` makes the same requests of a running sensor.

use super::{comes_with, dashboards, every_panel, list, text};
use serde_json::Value;

#[test]
fn every_request_is_one_the_api_knows() {
    let Some(document) = document() else { return };
    let mut wrong = Vec::new();
    let requests = requests();
    assert!(requests.len() >= 7, "alerts, graph, hosts, destinations");
    for (name, request) in requests {
        wrong.extend(problems(&document, &request).into_iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_checks_bite() {
    let Some(document) = document() else { return };
    let (_, good) = requests().remove(0);
    assert_eq!(problems(&document, &good), [""; 0]);
    for (what, key, value) in [
        ("a path that does not exist", "url", r#""/api/v1/alarms""#),
        ("rows where there are none", "root_selector", r#""rows""#),
        ("a column that does not exist", "columns", r#"[{"selector": "sevrity", "text": "", "type": "string"}]"#),
        ("a number that is a text", "columns", r#"[{"selector": "severity", "text": "", "type": "number"}]"#),
        ("a parameter that does not exist", "url_options", r#"{"method": "GET", "params": [{"key": "since"}]}"#),
        ("a request that changes something", "url_options", r#"{"method": "POST", "params": []}"#),
    ] {
        let mut bad = good.clone();
        bad[key] = serde_json::from_str(value).unwrap();
        assert_eq!(problems(&document, &bad).len(), 1, "{what}: {:?}", problems(&document, &bad));
    }
}

/// What the API would refuse or not give.
fn problems(document: &Value, request: &Value) -> Vec<String> {
    let url = text(request, "url");
    if text(&request["url_options"], "method") != "GET" {
        return vec![format!("{url}: a dashboard only reads")];
    }
    let Some(get) = document["paths"].get(&url).and_then(|path| path.get("get")) else {
        return vec![format!("no path {url}")];
    };
    let known: Vec<String> = list(get, "parameters").iter().map(|p| text(resolved(document, p), "name")).collect();
    let given = list(&request["url_options"], "params").iter().map(|p| text(p, "key"));
    let mut wrong: Vec<String> =
        given.filter(|key| !known.contains(key)).map(|key| format!("{url}: no parameter {key}")).collect();
    let answer = resolved(document, &get["responses"]["200"]["content"]["application/json"]["schema"]);
    let Some(rows) = answer["properties"].get(text(request, "root_selector")) else {
        wrong.push(format!("{url}: no rows at {}", request["root_selector"]));
        return wrong;
    };
    let columns = &resolved(document, &rows["items"])["properties"];
    for column in list(request, "columns") {
        let selector = text(column, "selector");
        match columns.get(&selector) {
            None => wrong.push(format!("{url}: no column {selector}")),
            Some(is) if !fits(resolved(document, is), &text(column, "type")) => {
                wrong.push(format!("{url}: {selector} is no {}", column["type"]));
            }
            Some(_) => {}
        }
    }
    wrong
}

/// Whether what a schema allows can be read as one of Infinity's types.
fn fits(schema: &Value, wanted: &str) -> bool {
    let is_number = ["integer", "number"].contains(&text(schema, "type").as_str());
    match wanted {
        "number" => is_number,
        "timestamp" => text(schema, "format") == "date-time",
        _ => !is_number,
    }
}

/// A schema, followed to where it is written.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(path) => document.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path}")),
        None => schema,
    }
}

/// Every request of panels and annotations, with where it is made.
fn requests() -> Vec<(String, Value)> {
    let of_panels = every_panel().into_iter().flat_map(|(name, panel)| {
        list(&panel, "targets").iter().map(|target| (name.clone(), target.clone())).collect::<Vec<_>>()
    });
    let of_annotations = dashboards().into_iter().flat_map(|(name, board)| {
        let marks = list(&board["annotations"], "list").iter();
        marks.map(|mark| (format!("{name}: {}", text(mark, "name")), mark["target"].clone())).collect::<Vec<_>>()
    });
    of_panels.chain(of_annotations).filter(|(_, target)| target.get("url").is_some()).collect()
}

/// The API's own document; `None` while the sensor has no API.
fn document() -> Option<Value> {
    let text = comes_with("api", "sensor/lib.rs", "sensor/api/openapi.json")?;
    Some(serde_json::from_str(&text).unwrap())
}
