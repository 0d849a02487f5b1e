//! Killed while a story is open: who goes on knows it, adds to it, and tells nobody the same twice.

use crate::veth::{Configured, Sensor, Watch, cut, frames, pause, replay, text, values, within};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

#[test]
fn a_campaign_that_is_open_goes_on_through_kills_under_load() {
    within("killed::a_campaign_that_is_open_goes_on_through_kills_under_load", || {
        // What a receiver on this machine gets, beside the log.
        let told = tempfile::tempdir().unwrap();
        let heard = told.path().join("told.jsonl");
        let output = format!("[[output]]\nname = \"file\"\ntype = \"jsonl\"\npath = \"{}\"\n", heard.display());
        let site = Configured::new(&output);
        site.inside("10.20.0.0/16");
        let sent = frames(&["attack/staging-antivirus-push.pcap"]);
        let (first, second) = (cut_of(&sent, FIRST), cut_of(&sent, SECOND));
        let elsewhere = frames(&["protocol/tls-13.pcap"]);
        let mut sensor = site.start();
        replay(&first, 4);
        let before = campaign(&site, &mut sensor, &elsewhere, |hosts| !hosts.is_empty());
        let known = hosts(&before);
        for round in 0..5 {
            sensor.signal("KILL");
            assert_eq!(sensor.ends().0.code(), None);
            sensor = site.start();
            let status = sensor.until("it goes on", |s| s["phase"] == "capturing");
            assert_eq!(status["faults"]["baselines_set_aside"], 0, "round {round}: {status}");
            // Killed in the middle of traffic, not after it.
            replay(&elsewhere, 50);
        }
        replay(&second, 4);
        let after = campaign(&site, &mut sensor, &elsewhere, |hosts| hosts.len() > known.len());
        assert_eq!(after["id"], before["id"], "the same story");
        let now = hosts(&after);
        assert!(known.iter().all(|host| now.contains(host)), "{known:?} were known before the kills, {now:?} after");
        let (code, _, said) = sensor.stop();
        assert!(code.code() == Some(0) && !said.contains("damaged"), "{said}");
        let written = logged(&site);
        let mut tellings: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for alert in values(&fs::read_to_string(&heard).unwrap()) {
            tellings.entry(id(&alert)).or_default().push(alert["update"].as_u64().unwrap());
        }
        for (id, updates) in &tellings {
            let once: Vec<u64> = (1..=updates.len() as u64).collect();
            assert_eq!(*updates, once, "{id}: each update once and in order");
        }
        let missed: Vec<&String> = written.iter().filter(|id| !tellings.contains_key(*id)).collect();
        assert!(missed.is_empty(), "written and not told: {missed:?}");
        println!(
            "five kills within an open campaign: {} hosts before, {} after, one id, update {}; {} alerts in {} tellings",
            known.len(),
            now.len(),
            tellings[&id(&after)].len(),
            tellings.len(),
            tellings.values().map(Vec::len).sum::<usize>()
        );
    });
}

/// Waits, with a little traffic so that time goes on, until the log tells of a campaign whose hosts are as wanted.
fn campaign(
    site: &Configured,
    sensor: &mut Sensor,
    elsewhere: &[crate::veth::Sent],
    wanted: impl Fn(&[String]) -> bool,
) -> Value {
    let watch = Watch::start();
    loop {
        let alerts = values(&text(&site.log(), "alerts.jsonl"));
        let of = |alert: &&Value| alert["kind"] == "staging_campaign" && wanted(&hosts(alert));
        if let Some(alert) = alerts.iter().rev().find(of) {
            return alert.clone();
        }
        assert!(watch.elapsed() < Duration::from_secs(150), "no such alert: {:?}", sensor.status());
        replay(elsewhere, 100);
        pause(Duration::from_secs(1));
    }
}

fn hosts(alert: &Value) -> Vec<String> {
    let all = alert["scope"]["hosts"].as_array().unwrap().iter();
    all.map(|host| host["ip"].as_str().unwrap_or_default().to_owned()).collect()
}

fn id(alert: &Value) -> String {
    alert["id"].as_str().unwrap().to_owned()
}

/// Ids of the alerts in the logs of all starts, but for those that no receiver is told.
fn logged(site: &Configured) -> Vec<String> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(site.log()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("alerts") {
            let all = values(&text(&site.log(), &name));
            ids.extend(all.iter().filter(|alert| alert["severity"] != "info").map(id));
        }
    }
    ids
}

fn cut_of(sent: &[crate::veth::Sent], seconds: std::ops::Range<u64>) -> Vec<crate::veth::Sent> {
    cut(sent.iter().map(|sent| crate::veth::Sent { after: sent.after, bytes: sent.bytes.clone() }).collect(), seconds)
}

/// Seconds from the capture's beginning: the pushes to the first endpoints and their calls, then those of more.
const FIRST: std::ops::Range<u64> = 4426..4528;
const SECOND: std::ops::Range<u64> = 4528..4800;
