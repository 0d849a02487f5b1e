//! What detectors learn over days outlives the run that learned it, as a specification: after a restart at any moment each
//! remembers what one without a break does, and the same is told.

use super::resume_tests::Reader;
use super::scene::Talk;
use super::store::Store;
use super::world::World;
use crate::base::{Kind, Record};
use crate::detect::DETECTORS;
use crate::event::{Act, Channel, Observation, Transport};
use crate::profile::HostRole;
use std::collections::BTreeSet;

const DAY: i64 = 86_400;
const HUB: &str = "172.16.0.5";
const ADMIN: &str = "172.16.0.8";
const OUTSIDE: &str = "203.0.113.9";

/// Ten days in which nearly every detector has something to learn, and many something to tell after days of it.
fn days() -> World {
    let mut world = World::new(1_600_000_000);
    world.declare(HUB, HostRole::AntivirusManagement);
    world.declare("172.16.0.6", HostRole::Inventory);
    for day in 0..10 {
        let at = day * DAY;
        for n in 0..30 {
            let from = format!("172.16.5.{n}");
            world.ask(at + n, &from, "172.16.0.2", ("www.a.example", "A"), &["192.0.2.9"]);
            world.contact(at + 60 + n * 7, &from, "192.0.2.9", 443, Some("www.a.example"));
        }
        ordinary(&mut world, at);
        stories(&mut world, day, at);
    }
    world
}

/// Habits: a hub's pushes, an administrator's acts, a drip, a host that seldom goes anywhere without a name.
fn ordinary(world: &mut World, at: i64) {
    (0..12).for_each(|n| world.touch(at + 3600 + n * 9, HUB, &format!("172.16.1.{n}"), 21112));
    // More than three: whom a PC deals with is not kept between runs.
    for n in 0..5 {
        let machine = format!("172.16.1.{}", 10 + n);
        world.act(at + 7200 + n * 20, ADMIN, &machine, 5985, Channel::Winrm, Act::Execute, "Command");
    }
    let drip = Talk { up: 900_000, down: 9_000, name: Some("drop.rare.example"), ..Talk::default() };
    world.say(at + 9000, &drip);
    for n in 0..3 {
        world.contact(at + 9500 + n * 60, "172.16.5.9", "192.0.2.9", 443, Some("www.a.example"));
    }
    world.greet(at + 9800, "172.16.5.3", "192.0.2.9", |hello| {
        hello.sni = Some("www.a.example".into());
        hello.ja4 = Some("t13d1516h2_8daaf6152771_02713d6af862".into());
    });
    world.call(at + 9900, "172.16.0.2", "172.16.0.3", "DRSGetNCChanges");
}

/// What is told on some of the days.
fn stories(world: &mut World, day: i64, at: i64) {
    match day {
        1 => world.contact(at + 11_000, HUB, OUTSIDE, 443, Some("x.activeupdate.trendmicro.com")),
        3 => world.say(
            at + 12_000,
            &Talk { from: "198.51.100.3", to: HUB, port: 8530, up: 900, down: 900, ..Talk::default() },
        ),
        4 => world.say(at + 11_000, &Talk { port: 443, service: "ssh", up: 9_000, down: 9_000, ..Talk::default() }),
        5 => {
            let echo = Talk { transport: Transport::Icmp, service: "", port: 0, packets: 200, ..Talk::default() };
            world.say(at + 11_000, &Talk { up: 9_000, down: 190_000, ..echo });
            world.call(at + 11_500, "172.16.5.4", "172.16.0.2", "EfsRpcOpenFileRaw");
        }
        6 => world.contact(at + 11_000, "172.16.5.9", "198.51.100.44", 8443, None),
        7 => world.act(at + 11_000, HUB, "172.16.0.6", 445, Channel::Svcctl, Act::Execute, "x"),
        8 => {
            for n in 0..8 {
                let from = format!("172.16.5.{}", 10 + n);
                let talk =
                    Talk { from: &from, up: 300_000, down: 9_000, name: Some("b.s3.amazonaws.com"), ..Talk::default() };
                world.say(at + 11_000 + n * 700, &talk);
            }
            (0..40).for_each(|n| world.touch(at + 50_000 + n * 9, HUB, &format!("172.16.2.{n}"), 21112));
        }
        9 => {
            for n in 0..30 {
                let machine = format!("172.16.3.{n}");
                world.act(at + 50_000 + n * 20, ADMIN, &machine, 5985, Channel::Winrm, Act::Execute, "Command");
            }
            world.touch(at + 60_000, ADMIN, "172.16.1.1", 445);
        }
        _ => {}
    }
}

/// Moments at which nothing is under way.
fn pauses(seen: &[Observation]) -> Vec<usize> {
    let long = |at: &usize| seen[*at].ts.secs_since(seen[*at - 1].ts) > 300.0;
    (1..seen.len()).filter(long).collect()
}

fn memory(records: &[Record]) -> Vec<(String, serde_json::Value)> {
    let of = records.iter().filter(|record| record.kind == Kind::Memory);
    let mut all: Vec<_> = of
        .map(|record| {
            let (table, key, value): (String, serde_json::Value, serde_json::Value) = record.read().unwrap();
            (format!("{table} {key}"), value)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn detectors_remember_across_a_restart_what_they_remember_without_one() {
    let world = days();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (mut whole, mut told) = (world.analysis(), Reader::default());
    let again = || world.analysis();
    let mut fresh: Vec<_> = (0..4).map(|_| again()).collect();
    let seen = world.observations();
    for observation in &seen {
        whole.observe(observation);
        told.take(whole.fresh());
    }
    whole.save(&mut Store::open(&path("whole")).unwrap()).unwrap();
    let expected = memory(&Store::read(&path("whole")).unwrap());
    told.take(whole.finish(seen.last().unwrap().ts).alerts);
    let tables: BTreeSet<&str> = expected.iter().map(|(of, _)| of.split_once([' ']).unwrap().0).collect();
    for table in [
        "admin_path.known",
        "admin_path.noted",
        "client_mismatch.owners",
        "cohort_exfiltration.since",
        "coerced_authentication.pairs",
        "direct_address.hosts",
        "entry.noted",
        "execution_fan_out.habits",
        "hub_suspect.hubs",
        "icmp_tunnel.echoes",
        "protocol_mismatch.odd",
        "push_pattern.noted",
        "remote_execution.pairs",
        "resolver_bypass.resolvers",
        "slow_drip.pairs",
        "slow_drip.days",
        "score.today",
        "telltale_call.calls",
        "upload_tail.pairs",
    ] {
        assert!(tables.contains(table), "nothing is kept of {table}: {tables:?}");
    }
    let pauses = pauses(&seen);
    let mut seed = 3_u64;
    for round in 0..4 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let cut = pauses[usize::try_from(seed >> 33).unwrap() % pauses.len()];
        let (mut first, mut reader) = (fresh.pop().unwrap(), Reader::default());
        let mut store = Store::open(&path(&format!("first{round}"))).unwrap();
        first.keep_track();
        for (n, observation) in seen[..cut].iter().enumerate() {
            first.observe(observation);
            reader.take(first.fresh());
            // Most of it is saved as it changes.
            if n % 97 == 0 {
                first.save(&mut store).unwrap();
            }
        }
        first.save(&mut store).unwrap();
        drop((first, store));
        let mut second = days().analysis();
        second.restore(&Store::read(&path(&format!("first{round}"))).unwrap()).unwrap();
        for observation in &seen[cut..] {
            second.observe(observation);
            reader.take(second.fresh());
        }
        let file = path(&format!("second{round}"));
        second.save(&mut Store::open(&file).unwrap()).unwrap();
        reader.take(second.finish(seen.last().unwrap().ts).alerts);
        let what = format!("round {round}: killed at {cut} of {}", seen.len());
        let remembered = memory(&Store::read(&file).unwrap());
        for (a, b) in remembered.iter().zip(&expected) {
            assert_eq!(a, b, "{what}");
        }
        assert_eq!(remembered.len(), expected.len(), "{what}");
        assert_eq!(reader.has, told.has, "{what}");
    }
}

#[test]
fn every_table_of_every_detector_is_remembered() {
    let rules = DETECTORS.iter().map(|spec| (spec.build)(spec.rule).unwrap());
    for (spec, mut detector) in DETECTORS.iter().zip(rules) {
        let tables: BTreeSet<&str> = detector.tables().iter().map(|table| table.name).collect();
        let kept: BTreeSet<&str> = detector.memory().iter().map(|part| part.name()).collect();
        assert!(tables.is_subset(&kept), "{}: {tables:?} are held, {kept:?} are saved", spec.stem);
    }
}
