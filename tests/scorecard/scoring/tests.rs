//! The judge on alerts whose worth is plain.

use super::scoring::judge::{Told, Verdict, judge};
use crate::fleet::{HOUR, Leases, Lone, MINUTE, Ns, START, Staged, Truth, truth::Victim};
use serde_json::{Value, json};

fn campaign() -> Staged {
    let victim = |n: u32| {
        let called = Some(START + HOUR + Ns::from(n) * MINUTE);
        Victim { host: n, pushed: START + HOUR, called, visible: n != 3 }
    };
    Staged {
        family: "push own prompt".to_owned(),
        k: 6,
        servers: vec![90, 91],
        victims: (1..=6).map(victim).collect(),
        destinations: vec!["c2.example".to_owned()],
        shared: false,
        began: START,
    }
}

fn alert(id: &str, tier: u64, hosts: &[u32], server: Option<u32>, destination: &str) -> Value {
    let mut entities: Vec<Value> =
        hosts.iter().map(|n| json!({"role": "affected_host", "name": format!("PC-{n:06}")})).collect();
    entities.extend(server.map(|n| json!({"role": "staging_server", "name": format!("SV-{n:06}")})));
    entities.push(json!({"role": "destination", "name": destination}));
    json!({"id": id, "kind": "staging_campaign", "tier": tier, "entities": entities})
}

fn judged(told: &[(Ns, Value)], truth: &Truth, days: u32) -> Verdict {
    let mut all = Told::default();
    all.take(told, &Leases::default());
    judge(&all, truth, days)
}

#[test]
fn a_campaign_is_found_by_its_hosts_or_its_destination_and_by_nothing_else() {
    let truth = Truth { campaigns: vec![campaign()], ..Truth::default() };
    for (what, told, detected, server, wrongly) in [
        ("all right", alert("a", 1, &[1, 2, 3, 4, 5, 6], Some(90), "c2.example"), true, Some(true), 0),
        ("the wrong server", alert("a", 1, &[1, 2, 3], Some(80), "c2.example"), true, Some(false), 0),
        ("a notice", alert("a", 4, &[1, 2, 3], Some(90), "c2.example"), false, None, 0),
        ("strangers", alert("a", 1, &[40, 41, 42], Some(90), "x.example"), false, None, 3),
        ("strangers for the most", alert("a", 2, &[1, 40, 41], None, "x.example"), false, None, 2),
        ("two of three", alert("a", 2, &[1, 2, 40], None, "x.example"), true, None, 1),
    ] {
        let verdict = judged(&[(START + 2 * HOUR, told)], &truth, 2);
        let fate = &verdict.campaigns[0];
        assert_eq!((fate.detected, fate.right_server, verdict.accused), (detected, server, wrongly), "{what}");
    }
}

#[test]
fn time_runs_from_the_fifth_visible_call_to_the_first_version_that_names_it() {
    let truth = Truth { campaigns: vec![campaign()], ..Truth::default() };
    let calm = (START + 90 * MINUTE, alert("a", 4, &[1, 2], Some(90), "c2.example"));
    let told = (START + 2 * HOUR, alert("a", 1, &[1, 2, 4, 5], Some(90), "c2.example"));
    let later = (START + 5 * HOUR, alert("a", 1, &[1, 2, 3, 4, 5, 6, 7], Some(90), "c2.example"));
    let verdict = judged(&[calm, told, later], &truth, 2);
    let fate = &verdict.campaigns[0];
    // Visible calls at 61, 62, 64, 65, 66 minutes.
    assert_eq!(fate.minutes, Some(54.0));
    assert_eq!(fate.recall, Some(1.0));
    assert!((fate.precision.unwrap() - 6.0 / 7.0).abs() < 1e-9);
    assert_eq!((fate.visible, verdict.accused, verdict.by_day[0]), (5, 1, 1));
}

#[test]
fn what_belongs_to_nothing_is_false_and_counted_by_kind() {
    let told = [(START + HOUR, alert("a", 1, &[7, 8, 9], Some(50), "x.example"))];
    let verdict = judged(&told, &Truth::default(), 2);
    assert_eq!(verdict.false_by_kind.get("staging_campaign T1"), Some(&1));
    assert_eq!((verdict.false_servers, verdict.accused, verdict.upper), (1, 3, (0, 1)));
}

#[test]
fn what_is_told_again_at_the_end_was_told_in_time() {
    let lone = Lone {
        family: "dns tunnel",
        hosts: vec![7],
        touched: Vec::new(),
        timer: None,
        from: START,
        until: START + HOUR,
    };
    let truth = Truth { lone: vec![lone], ..Truth::default() };
    for (what, first, falses) in [("in time", START + 2 * HOUR, 0), ("days later", START + 100 * HOUR, 1)] {
        let told = [first, START + 200 * HOUR].map(|at| (at, alert("a", 3, &[7], None, "x.example")));
        let verdict = judged(&told, &truth, 9);
        let found = verdict.false_by_kind.values().sum::<usize>() + verdict.learning;
        assert_eq!(found, falses, "{what}");
    }
}

#[test]
fn whom_an_act_was_done_on_belongs_to_it_when_who_did_it_is_named() {
    let lone = Lone {
        family: "fan-out",
        hosts: vec![7],
        touched: vec![11, 12, 13, 14],
        timer: None,
        from: START,
        until: START + HOUR,
    };
    let truth = Truth { lone: vec![lone], ..Truth::default() };
    for (what, hosts, server, found) in [
        ("who did it and all it was done on", &[11, 12, 13, 14][..], Some(7), true),
        ("nobody named who did it", &[11, 12, 13, 14], None, false),
        ("mostly strangers", &[11, 40, 41, 42, 43], Some(7), false),
    ] {
        let verdict = judged(&[(START + HOUR, alert("a", 3, hosts, server, "x.example"))], &truth, 9);
        assert_eq!(verdict.lone[0].found, found, "{what}");
    }
}
