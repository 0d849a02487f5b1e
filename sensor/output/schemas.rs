//! The records held against `rules/schemas/`, which other tools rely on: every sample of every kind is valid, and a
//! record that is wrong in one place is not.

use super::summary::Summary;
use super::{claims, facts, flows, samples, summary};
use crate::event::{Event, Observation};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

const FLOW: &str = include_str!("../../rules/schemas/flow.schema.json");
const FACT: &str = include_str!("../../rules/schemas/fact.schema.json");
const FINDING: &str = include_str!("../../rules/schemas/finding.schema.json");
const ALERT: &str = include_str!("../../rules/schemas/alert.schema.json");
const SUMMARY: &str = include_str!("../../rules/schemas/summary.schema.json");

fn validator(schema: &str) -> Validator {
    let schema = serde_json::from_str(schema).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

fn record(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    assert!(!out.contains(&b'\n'), "a record is one line");
    serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)))
}

fn flow(seen: &Observation, extras: &flows::FlowExtras<'_>) -> Option<Value> {
    let Event::FlowClosed(flow) = &seen.event else { return None };
    Some(record(|out| flows::write(out, seen, flow, extras)))
}

fn all_extras() -> flows::FlowExtras<'static> {
    flows::FlowExtras {
        name: Some((samples::HOSTILE, "sni")),
        names: &[samples::HOSTILE, "b.example"],
        provider: Some("aws"),
        class: Some("object-storage"),
        local_orig: true,
        local_resp: false,
        ech_public_name: Some(samples::HOSTILE),
    }
}

#[track_caller]
fn valid(schema: &Validator, record: &Value) {
    let wrong: Vec<_> = schema.iter_errors(record).map(|e| format!("{} at {}", e, e.instance_path)).collect();
    assert!(wrong.is_empty(), "{}\n{record:#}", wrong.join("\n"));
}

#[test]
fn every_kind_of_record_is_as_its_schema_says() {
    let (flows, facts) = (validator(FLOW), validator(FACT));
    let mut kinds = std::collections::BTreeSet::new();
    for seen in samples::observations() {
        if let Some(whole) = flow(&seen, &all_extras()) {
            valid(&flows, &whole);
            valid(&flows, &flow(&seen, &flows::FlowExtras::default()).unwrap());
        }
        let mut written = Vec::new();
        if facts::write(&mut written, &seen, &all_extras()) {
            let fact: Value = serde_json::from_slice(&written).unwrap();
            valid(&facts, &fact);
            kinds.insert(fact["kind"].as_str().unwrap().to_owned());
        }
    }
    let described: Vec<Value> = serde_json::from_str::<Value>(FACT).unwrap()["oneOf"].as_array().unwrap().clone();
    let described = described.iter().map(|kind| kind["title"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, described, "every kind has a sample");
    let finding = record(|out| claims::finding(out, &samples::stated(), samples::sources(&samples::trail())));
    valid(&validator(FINDING), &finding);
    valid(&validator(ALERT), &record(|out| claims::alert(out, &samples::alert(), samples::sources(&samples::trail()))));
    let whole = record(|out| summary::write(out, &samples::summary(), &[samples::stated()], &[samples::alert()]));
    valid(&validator(SUMMARY), &whole);
    let empty = Summary { version: "0.1.0", ..Summary::default() };
    valid(&validator(SUMMARY), &record(|out| summary::write(out, &empty, &[], &[])));
}

#[test]
fn a_record_that_is_wrong_in_one_place_is_refused() {
    let first = |wanted: &str| {
        let facts = samples::observations().into_iter().filter_map(|seen| {
            let mut out = Vec::new();
            facts::write(&mut out, &seen, &flows::FlowExtras::default())
                .then(|| serde_json::from_slice::<Value>(&out).unwrap())
        });
        facts.into_iter().find(|fact| fact["kind"] == wanted).unwrap()
    };
    let flow = flow(&samples::seen(Event::FlowClosed(Box::new(samples::flow()))), &all_extras()).unwrap();
    let alert = record(|out| claims::alert(out, &samples::alert(), samples::sources(&samples::trail())));
    let finding = record(|out| claims::finding(out, &samples::stated(), samples::sources(&samples::trail())));
    let summary = record(|out| summary::write(out, &samples::summary(), &[], &[]));
    for (what, schema, record, at, value) in [
        ("a time as text", FLOW, &flow, "/ts", json!("1600585066.1")),
        ("a null", FLOW, &flow, "/history", Value::Null),
        ("an empty text", FLOW, &flow, "/service", json!("")),
        ("a port out of range", FLOW, &flow, "/id.orig_p", json!(65536)),
        ("a state Zeek does not have", FLOW, &flow, "/conn_state", json!("SX")),
        ("a negative count", FLOW, &flow, "/orig_bytes", json!(-1)),
        ("an unknown field", FLOW, &flow, "/colour", json!("red")),
        ("an unknown kind", FACT, &first("rpc"), "/kind", json!("gossip")),
        ("an upper-case UUID", FACT, &first("rpc"), "/interface", json!("367ABB81-9844-35F1-AD32-98F038001003")),
        ("a field of another kind", FACT, &first("share"), "/sni", json!("a.example")),
        ("a certificate without its digest", FACT, &first("handshake"), "/certificate", json!({"subject": "CN=a"})),
        ("a score beyond 1", FINDING, &finding, "/score", json!(1.5)),
        ("a technique that is none", FINDING, &finding, "/attack/0", json!("persistence")),
        ("a role nobody plays", FINDING, &finding, "/entities/0/role", json!("villain")),
        ("a severity that is none", ALERT, &alert, "/severity", json!("urgent")),
        ("a tier that is none", ALERT, &alert, "/tier", json!(5)),
        ("advice that is none", ALERT, &alert, "/scope/destinations/0/advice", json!("panic")),
        ("a missing count", SUMMARY, &summary, "/alerts", json!({"high": 1})),
    ] {
        let schema = validator(schema);
        valid(&schema, record);
        let mut wrong = record.clone();
        match wrong.pointer_mut(at) {
            Some(place) => *place = value,
            None => drop(wrong.as_object_mut().unwrap().insert(at.trim_start_matches('/').to_owned(), value)),
        }
        assert!(!schema.is_valid(&wrong), "{what} passes: {wrong:#}");
    }
}

proptest! {
    #[test]
    fn whatever_text_stands_in_any_field_the_record_reads_back_equal(
        text in prop::collection::vec(any::<char>(), 1..40).prop_map(String::from_iter),
    ) {
        for seen in samples::observations_with(&text) {
            let mut out = Vec::new();
            if !facts::write(&mut out, &seen, &flows::FlowExtras::default()) {
                continue;
            }
            let fact: Value = serde_json::from_slice(&out).unwrap();
            let mut found = 0;
            count(&fact, &text, &mut found);
            prop_assert!(found > 0, "{} lost {:?}: {}", fact["kind"], text, fact);
        }
        let extras = flows::FlowExtras { name: Some((&text, "dns")), provider: Some(&text), ..Default::default() };
        let seen = samples::seen(Event::FlowClosed(Box::new(samples::flow())));
        let record = flow(&seen, &extras).unwrap();
        prop_assert_eq!(record["name"]["value"].as_str(), Some(&*text));
        prop_assert_eq!(record["provider"].as_str(), Some(&*text));
    }
}

/// How often `text` stands somewhere in `value`.
fn count(value: &Value, text: &str, found: &mut u32) {
    match value {
        Value::String(s) if s == text => *found += 1,
        Value::Array(all) => all.iter().for_each(|v| count(v, text, found)),
        Value::Object(all) => all.values().for_each(|v| count(v, text, found)),
        _ => {}
    }
}
