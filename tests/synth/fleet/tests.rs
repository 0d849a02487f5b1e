//! The simulator against what it promises.

use super::fleet::{self, Benign, DAY, Fleet, Ns, START, Story, Truth};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use yukue::event::{Event, Observation, Timestamp, Uid};

/// Plays a story to its end.
fn play(story: Story, mut tell: impl FnMut(&Observation)) -> Fleet {
    let mut fleet = Fleet::new(story);
    while fleet.go_on(|seen| tell(&seen)) {}
    fleet
}

fn busy(seed: u64) -> Story {
    Story { campaigns: vec![5, 9], lone: true, ..Story::quiet(seed, 200, 6) }
}

#[test]
fn observations_come_in_order_and_every_flow_opens_and_closes_once() {
    let mut last = (Timestamp(0), Uid::NONE, 0);
    let mut open: BTreeMap<Uid, u32> = BTreeMap::new();
    let (mut opened, mut closed) = (0_u64, 0_u64);
    play(busy(3), |o| {
        let now = (o.ts, o.uid, o.n);
        assert!(now > last, "{now:?} after {last:?}");
        last = now;
        match &o.event {
            Event::FlowOpened => {
                opened += 1;
                assert_eq!(open.insert(o.uid, 0), None, "opened once");
            }
            Event::FlowClosed(record) => {
                closed += 1;
                assert_eq!((record.orig, record.resp), (o.orig, o.resp));
                assert_eq!(open.remove(&o.uid), Some(o.n - 1));
            }
            _ => assert_eq!(open.insert(o.uid, o.n), Some(o.n - 1), "numbered without a gap"),
        }
    });
    assert_eq!(opened, closed);
    assert!(opened > 100_000, "{opened}");
}

#[test]
fn the_same_seed_tells_the_same_and_another_does_not() {
    let digest = |seed: u64| {
        let mut sum = 0_u64;
        play(Story { lone: true, ..Story::quiet(seed, 80, 2) }, |o| {
            let word = o.ts.0.cast_unsigned() ^ u64::from(o.uid.0[0]) << 17 ^ u64::from(o.n);
            sum = sum.rotate_left(7) ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        });
        sum
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn hosts_live_as_the_design_says() {
    for benign in [Benign::Grown, Benign::Replayed] {
        let mut outside: BTreeMap<(i64, u32), BTreeSet<String>> = BTreeMap::new();
        let (mut flows, mut names) = (0_u64, 0_u64);
        let fleet = play(Story { benign, lookalikes: false, ..Story::quiet(11, 300, 5) }, |o| match &o.event {
            Event::FlowOpened => flows += 1,
            Event::Handshake(h) => {
                names += 1;
                let host = o.orig.ip.to_string().bytes().map(u32::from).fold(0, |a: u32, b| a.wrapping_mul(31) + b);
                if let Some(sni) = &h.sni {
                    outside.entry(((o.ts.0 - START) / DAY, host)).or_default().insert(sni.to_string());
                }
            }
            _ => {}
        });
        let per_day = flows as f64 / fleet.hosts() as f64 / 5.0;
        assert!((150.0..600.0).contains(&per_day), "{benign:?}: {per_day} flows a host and day");
        assert!(names * 5 > flows, "{benign:?}: a fifth and more are named");
        let distinct: Vec<usize> = outside.values().map(BTreeSet::len).collect();
        let mean = distinct.iter().sum::<usize>() as f64 / distinct.len() as f64;
        assert!((10.0..110.0).contains(&mean), "{benign:?}: {mean} destinations a host and day");
    }
}

#[test]
fn campaigns_reach_who_they_were_meant_to_reach() {
    let fleet = play(Story { campaigns: vec![3, 9, 20], ..Story::quiet(8, 400, 9) }, |_| {});
    let Truth { campaigns, .. } = fleet.truth();
    assert_eq!(campaigns.len(), 3);
    for staged in campaigns {
        assert!(staged.victims.len() <= staged.k && staged.victims.len() * 2 > staged.k, "{staged:?}");
        assert!(!staged.destinations.is_empty() && !staged.servers.is_empty());
        let called = staged.victims.iter().filter(|v| v.called.is_some()).count();
        assert!(called * 3 >= staged.victims.len() * 2, "{called} of {} called", staged.victims.len());
        for victim in &staged.victims {
            assert!(victim.called.is_none_or(|at| at > victim.pushed), "called before it was told to");
            assert!(victim.pushed >= staged.began);
        }
    }
}

#[test]
fn every_family_and_look_alike_comes_up() {
    let fleet = play(Story { lone: true, ..Story::quiet(21, 400, 9) }, |_| {});
    let families: BTreeSet<&str> = fleet.truth().lone.iter().map(|lone| lone.family).collect();
    let all: BTreeSet<&str> = fleet::FAMILIES.iter().copied().collect();
    assert_eq!(families, all);
    assert_eq!(fleet.truth().lookalikes.len(), fleet::lookalikes::KINDS.len());
    assert!(fleet.truth().lone.iter().all(|lone| lone.until > lone.from && !lone.hosts.is_empty()));
}

#[test]
fn held_out_families_stay_out_of_tuning() {
    let mut dice = fleet::Dice::of([1, 2, 3, 4]);
    let held = |report: bool, dice: &mut fleet::Dice| {
        (0..2_000).filter(|_| fleet::campaign::Family::draw(dice, report).is_held_out()).count()
    };
    assert_eq!(held(false, &mut dice), 0);
    assert!(held(true, &mut dice) > 40);
}

#[test]
fn leases_name_the_holder_of_an_address() {
    let mut told: Vec<(Ns, IpAddr, Box<str>)> = Vec::new();
    let mut said: BTreeMap<[u8; 6], Box<str>> = BTreeMap::new();
    let fleet = play(Story::quiet(4, 120, 4), |o| {
        let Event::Identity(identity) = &o.event else { return };
        let mac = identity.mac.unwrap();
        match (identity.ip, &identity.hostname) {
            (None, Some(name)) => drop(said.insert(mac, name.clone())),
            (Some(ip), None) => told.push((o.ts.0, ip, said[&mac].clone())),
            other => panic!("{other:?}"),
        }
    });
    assert!(told.len() > 200, "{}", told.len());
    for (at, ip, name) in told {
        let IpAddr::V4(ip) = ip else { panic!("{ip}") };
        assert_eq!(fleet.leases().holder(ip.to_bits(), at), Fleet::number(&name), "{ip} at {at}");
    }
}
