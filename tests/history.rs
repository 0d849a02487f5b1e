//! Days of the same office before the day that matters: what was learned decides what is told.

use crate::support::{analyze, root};
use crate::synth::attack;
use crate::synth::file::pcap;
use crate::synth::office::Place;
use serde_json::Value;
use std::fs;

/// Working mornings before the poisoned one: each has an hour of reports, so that an agent's usual contact is known.
const MORNINGS: u64 = 9;

#[test]
fn a_poisoned_update_after_days_of_the_same_is_a_campaign_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut inputs = Vec::new();
    for (n, office) in attack::mornings_before(Place::usual(0x7004), MORNINGS).into_iter().enumerate() {
        let path = folder.path().join(format!("morning-{n}.pcap"));
        fs::write(&path, pcap(&office.wire.finish())).unwrap();
        inputs.push(path.display().to_string());
    }
    inputs.push(root().join("pcaps/attack/staging-antivirus-poisoned.pcap").display().to_string());
    let [first, more @ ..] = inputs.as_slice() else { return };
    let flags: Vec<&str> = ["--inside", "10.20.0.0/16"].into_iter().chain(more.iter().map(String::as_str)).collect();
    let told = analyze(first, &flags);
    let loud: Vec<Value> = told.alerts().into_iter().filter(|a| a["severity"] != "info").collect();
    assert_eq!(loud.len(), 1, "{loud:#?}");
    let [campaign] = loud.as_slice() else { return };
    assert_eq!(campaign["kind"], "staging_campaign", "{campaign:#}");
    assert_eq!(campaign["scope"]["servers"][0]["ip"], "10.20.0.10");
    let hosts = campaign["scope"]["hosts"].as_array().unwrap();
    let certain = hosts.iter().filter(|host| host["tier"] == "confirmed" || host["tier"] == "likely").count();
    assert_eq!(certain, 23, "{campaign:#}");
    assert_eq!(campaign["scope"]["destinations"][0]["advice"], "block");
}
