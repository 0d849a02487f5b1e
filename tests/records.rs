//! Every record of every capture keeps to its schema in `rules/schemas/`.

use crate::support::{Run, analyzed, root, values};
use jsonschema::Validator;
use std::fs;

#[test]
fn every_record_keeps_to_its_schema() {
    let kinds: [(&str, Lines); 5] = [
        ("flow", |run| &run.flows),
        ("fact", |run| &run.facts),
        ("finding", |run| &run.findings),
        ("alert", |run| &run.alerts),
        ("summary", |run| &run.summary),
    ];
    let mut broken = Vec::new();
    for (kind, lines) in kinds {
        let schema = schema(kind);
        let mut checked = 0;
        for run in analyzed() {
            let records =
                if kind == "summary" { vec![serde_json::from_str(lines(run)).unwrap()] } else { values(lines(run)) };
            for record in records {
                checked += 1;
                if let Some(error) = schema.iter_errors(&record).next() {
                    broken.push(format!("{} {kind}: {error} at {}\n  {record}", run.input, error.instance_path));
                }
            }
        }
        assert!(checked > 10, "only {checked} records of kind {kind} were seen");
    }
    broken.truncate(20);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Picks the lines of one kind.
type Lines = fn(&Run) -> &str;

fn schema(kind: &str) -> Validator {
    let path = root().join(format!("rules/schemas/{kind}.schema.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}
