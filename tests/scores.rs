//! Every score comes out again from its claim's own reasons, by other code: `tests/recompute.py`.

use crate::support::{analyzed, root};
use std::fs;
use std::process::Command;

#[test]
fn scores_come_out_again_from_the_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (n, run) in analyzed().iter().enumerate() {
        for (kind, text) in [("findings", &run.findings), ("alerts", &run.alerts)] {
            let path = folder.path().join(format!("{n}-{kind}.jsonl"));
            fs::write(&path, text).unwrap();
            files.push(path);
        }
    }
    let done = Command::new("python3").arg(root().join("tests/recompute.py")).args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let count: usize = said.split_whitespace().next().unwrap().parse().unwrap();
    assert!(count > 200, "{said}");
}

#[test]
fn a_score_that_was_changed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let changed = |line: &str| {
        let mut claim: serde_json::Value = serde_json::from_str(line).unwrap();
        claim["score"] = serde_json::json!(claim["score"].as_f64().unwrap() * 0.9 + 0.001);
        claim.to_string() + "\n"
    };
    let run = analyzed().iter().find(|run| run.input == "attack/staging-antivirus-push.pcap").unwrap();
    let path = folder.path().join("findings.jsonl");
    fs::write(&path, run.findings.lines().map(changed).collect::<String>()).unwrap();
    let done = Command::new("python3").arg(root().join("tests/recompute.py")).arg(&path).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let told = String::from_utf8_lossy(&done.stdout).lines().count();
    assert_eq!(told, run.findings.lines().count(), "each of them");
}
