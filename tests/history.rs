//! Days of the same office before the day that matters: what was learned decides what is told.

use crate::support::{Run, analyze, root, yukue};
use crate::synth::attack;
use crate::synth::file::pcap;
use crate::synth::office::Place;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Working mornings before the poisoned one: each has an hour of reports, so that an agent's usual contact is known.
const MORNINGS: u64 = 9;
const POISONED: &str = "pcaps/attack/staging-antivirus-poisoned.pcap";

#[test]
fn a_poisoned_update_after_days_of_the_same_is_a_campaign_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let mornings = mornings(folder.path());
    let poisoned = root().join(POISONED).display().to_string();
    let together: Vec<&str> = mornings.iter().map(String::as_str).chain([poisoned.as_str()]).collect();
    let inside = ["--inside", "10.20.0.0/16"];

    let [first, more @ ..] = together.as_slice() else { return };
    is_found("all days judged", "staging_campaign", &analyze(first, &[&inside, more].concat()));
    let until = ["--learn-until", "2026-03-02T15:00:00Z"];
    is_found(
        "days learned, the last judged",
        "staging_campaign",
        &analyze(first, &[&inside[..], &until, more].concat()),
    );

    let file = |name: &str| folder.path().join(name).display().to_string();
    let all: Vec<&str> = mornings.iter().map(String::as_str).collect();
    let (one, two) = all.split_at(5);
    let [whole, first, second, both] = ["whole", "first", "second", "both"].map(file);
    for (days, to) in [(all.as_slice(), &whole), (one, &first), (two, &second)] {
        run(&[&["baseline", "learn", "--out", to], &inside[..], days].concat());
    }
    run(&["baseline", "merge", &first, &second, "--out", &both]);
    for (what, baseline) in [("a supplied baseline", &whole), ("one of two sensors", &both)] {
        let judged = analyze(&poisoned, &[&inside[..], &["--baseline", baseline]].concat());
        let summary: Value = serde_json::from_str(&judged.summary).unwrap();
        assert_eq!(summary["baseline"], "ready", "{what}: {summary}");
        is_found(what, "staging_campaign", &judged);
    }
}

fn run(arguments: &[&str]) {
    let done = yukue(arguments);
    assert_eq!(done.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_campaign_is_told_within_a_minute_of_its_third_endpoint() {
    let run = analyze("pcaps/attack/staging-antivirus-push.pcap", &["--inside", "10.20.0.0/16"]);
    let loud: Vec<Value> = run.alerts().into_iter().filter(|a| a["kind"] == "staging_campaign").collect();
    let [campaign] = loud.as_slice() else { panic!("{loud:#?}") };
    let hosts = campaign["scope"]["hosts"].as_array().unwrap();
    let mut seen: Vec<f64> = hosts.iter().map(|host| host["first_seen"].as_f64().unwrap()).collect();
    seen.sort_by(f64::total_cmp);
    let lag = campaign["time"].as_f64().unwrap() - seen[2];
    assert!((0.0..=60.0).contains(&lag), "told {lag} s after the third endpoint called: {campaign:#}");
}

fn mornings(folder: &Path) -> Vec<String> {
    let made = attack::mornings_before(Place::usual(0x7004), MORNINGS).into_iter().enumerate();
    made.map(|(n, office)| {
        let path = folder.join(format!("morning-{n}.pcap"));
        fs::write(&path, pcap(&office.wire.finish())).unwrap();
        path.display().to_string()
    })
    .collect()
}

/// One alert above info: the story, with server, hosts and what to block.
fn is_found(what: &str, kind: &str, run: &Run) {
    let loud: Vec<Value> = run.alerts().into_iter().filter(|a| a["severity"] != "info").collect();
    let [campaign] = loud.as_slice() else { panic!("{what}: {loud:#?}") };
    assert_eq!(campaign["kind"], kind, "{what}: {campaign:#}");
    assert_eq!(campaign["scope"]["servers"][0]["ip"], "10.20.0.10", "{what}");
    let hosts = campaign["scope"]["hosts"].as_array().unwrap();
    let certain = hosts.iter().filter(|host| host["tier"] == "confirmed" || host["tier"] == "likely").count();
    assert_eq!(certain, 23, "{what}: {campaign:#}");
    assert_eq!(campaign["scope"]["destinations"][0]["advice"], "block", "{what}");
}
