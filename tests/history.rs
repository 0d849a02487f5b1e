//! Days of the same office before the day that matters: what was learned decides what is told.

use crate::support::{Run, analyze, root, yukue};
use crate::synth::attack;
use crate::synth::dns::{A, Answer, look_up};
use crate::synth::file::pcap;
use crate::synth::net::{Frame, HOUR, Host, MINUTE, MORNING, MS, SECOND, Wire};
use crate::synth::office::Place;
use crate::synth::tcp::{Side, Tcp};
use serde_json::Value;
use std::fs;
use std::net::IpAddr;
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

/// Two months of a small site, as packets: each machine sends about as much to nameless addresses every day, and one of
/// them from the second month on `percent` more each day than the day before.
#[test]
fn a_machine_that_goes_past_names_a_little_more_every_day_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, days: std::ops::Range<u64>, percent: u64| {
        let path = folder.path().join(name);
        fs::write(&path, pcap(&nameless(days, percent))).unwrap();
        path.display().to_string()
    };
    let drifts =
        |run: &Run| -> Vec<Value> { run.alerts().into_iter().filter(|alert| alert["detector"] == "drift").collect() };
    let whole = file("whole.pcap", 0..60, 12);
    let [alert] = &drifts(&analyze(&whole, &[]))[..] else { panic!("it is told once") };
    assert_eq!((&alert["severity"], &alert["entities"][0]["ip"]), (&"low".into(), &"10.20.1.10".into()), "{alert:#}");
    assert_eq!(drifts(&analyze(&file("calm.pcap", 0..60, 0), &[])), Vec::<Value>::new(), "as every day");

    let (before, after) = (file("before.pcap", 0..45, 12), file("after.pcap", 45..60, 12));
    let baseline = folder.path().join("baseline").display().to_string();
    run(&["baseline", "learn", &before, "--out", &baseline]);
    assert_eq!(drifts(&analyze(&after, &["--baseline", &baseline])).len(), 1, "what was learned before counts");
    assert_eq!(drifts(&analyze(&after, &[])), Vec::<Value>::new(), "without it nobody knows how it was");
}

fn nameless(days: std::ops::Range<u64>, percent: u64) -> Vec<Frame> {
    let mut wire = Wire::new(0x7d1f);
    let (dc, shop) = (Host::inside([10, 20, 0, 2]), Host::outside([192, 0, 2, 9]));
    for day in days {
        for n in 0..8_u8 {
            let pc = Host::inside([10, 20, 1, 10 + n]);
            let begin = MORNING + day * 24 * HOUR + u64::from(n) * SECOND;
            let found = [Answer::Address(IpAddr::from([192, 0, 2, 9]))];
            let at = look_up(&mut wire, begin, &pc, &dc, ("www.shop.example", A), (0, &found));
            let mut tcp = Tcp::new(&mut wire, at + SECOND, &pc, (&shop, 443));
            tcp.open().orig(b"hello").resp(b"hello");
            tcp.close(Side::Orig);
            let rising = if n == 0 { day.saturating_sub(30) } else { 0 };
            let times =
                (0..rising).fold(1200, |times, _| times * (100 + percent) / 100) / 100 + (day + u64::from(n)) % 3;
            for k in 0..times {
                let to = Host::outside([198, 51, 100, (k % 200) as u8 + 1]);
                let (at, port) = (begin + MINUTE + k * 20 * SECOND, wire.port(&pc));
                wire.udp(at, (&pc, port), (&to, 9443), b"ping");
                wire.udp(at + 30 * MS, (&to, 9443), (&pc, port), b"pong");
            }
        }
    }
    wire.finish()
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
