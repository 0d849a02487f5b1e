//! Two sensors of one site that go on as one, as a specification: what either had open is open, nothing is told twice.

use super::analysis::Analysis;
use super::baseline_tests::analysis;
use super::covert_tests::{START, label};
use super::joined;
use super::resume_tests::{Claim, Reader, day};
use super::scene::severities;
use super::store::Store;
use super::world::World;
use crate::alert::Kind;
use crate::base::Record;
use crate::event::Observation;
use crate::profile::Baseline;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Which of two sensors sees an observation: machines are halved by their addresses, everybody sees the servers.
fn is_seen_by(sensor: u8, seen: &Observation) -> bool {
    let half = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => match ip.octets() {
            [172, 16, 1, n] | [172, 16, 0, n @ 10..=255] => Some(n % 2),
            _ => None,
        },
        IpAddr::V6(_) => None,
    };
    let halves: BTreeSet<u8> = [seen.orig.ip, seen.resp.ip].into_iter().filter_map(half).collect();
    halves.is_empty() || halves.contains(&sensor)
}

/// What a sensor's file holds after its part of `seen`; what it told goes to the reader.
fn watched(sensor: u8, seen: &[Observation], reader: &mut Reader) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b");
    let mut analysis: Analysis = analysis();
    for observation in seen.iter().filter(|observation| is_seen_by(sensor, observation)) {
        analysis.observe(observation);
        reader.take(analysis.fresh());
    }
    analysis.save(&mut Store::open(&path).unwrap()).unwrap();
    Store::read(&path).unwrap()
}

/// Claims of a kind.
fn of(kind: Kind, reader: &Reader) -> Vec<&Claim> {
    reader.has.values().filter(|claim| claim.0 == kind).collect()
}

#[test]
fn two_sensors_that_each_saw_half_of_a_story_go_on_telling_one() {
    let seen = day();
    // Both stories stand; six machines each are acted on, ten each use the new timer.
    let cut = seen.len() * 9 / 10;
    let mut reader = Reader::default();
    let [one, two] = [0, 1].map(|sensor| watched(sensor, &seen[..cut], &mut reader));
    let campaigns = of(Kind::StagingCampaign, &reader);
    assert!(campaigns.iter().all(|claim| claim.3.len() < 12) && !campaigns.is_empty(), "half of it: {campaigns:?}");
    let mut merged = Baseline::read(&one).unwrap();
    merged.merge(&Baseline::read(&two).unwrap(), joined).unwrap();
    let records: Vec<Record> = merged.records().collect();
    let mut both = analysis();
    both.restore(&records).unwrap();
    for observation in &seen[cut..] {
        both.observe(observation);
        reader.take(both.fresh());
    }
    reader.take(both.finish(seen.last().unwrap().ts).alerts);
    let mut whole = Reader::default();
    let mut unbroken = analysis();
    seen.iter().for_each(|observation| unbroken.observe(observation));
    whole.take(unbroken.finish(seen.last().unwrap().ts).alerts);
    let stories = |reader: &Reader| -> Vec<(BTreeSet<String>, BTreeSet<String>)> {
        of(Kind::StagingCampaign, reader).iter().map(|claim| (claim.4.clone(), claim.3.clone())).collect()
    };
    let as_set = |reader: &Reader| -> BTreeSet<_> { stories(reader).into_iter().collect() };
    assert_eq!(as_set(&reader), as_set(&whole), "the same servers behind the same machines");
    assert_eq!(stories(&reader).len(), stories(&whole).len(), "none twice");
    let told = |reader: &Reader| {
        reader.has.values().map(|claim| (claim.0, claim.4.clone(), claim.5.clone())).collect::<Vec<_>>()
    };
    let (mut here, all) = (told(&reader), told(&reader).len());
    here.sort();
    here.dedup();
    assert_eq!(here.len(), all, "no claim stands twice: {:?}", reader.has.values());
}

#[test]
fn a_tunnel_that_the_second_sensor_saw_half_of_is_found_by_both_as_one() {
    let names = |names: std::ops::Range<i64>| {
        let mut world = World::new(START);
        for n in names {
            let name = format!("{}.x9.example", label(u64::try_from(n).unwrap(), 40));
            world.ask(n, "172.16.0.7", "172.16.0.2", (&name, "A"), &["198.51.100.1"]);
        }
        world.observations()
    };
    let others = |day: i64| {
        let mut world = World::new(START);
        for n in 0..20 {
            let (host, name) = (format!("172.16.3.{n}"), format!("www.shop{}.example", n % 7));
            world.ask(day + n, &host, "172.16.0.2", (&name, "A"), &["198.51.100.2"]);
        }
        world.observations()
    };
    let mut reader = Reader::default();
    let saw = |seen: &[Observation], reader: &mut Reader| Baseline::read(&watched(0, seen, reader)).unwrap();
    let (first, second) = (saw(&others(0), &mut reader), saw(&names(0..130), &mut reader));
    // Below 4 kB each.
    let rest = names(130..260);
    for (what, merged, expected) in [("the second saw the first half", Some(second), 1), ("nobody did", None, 0)] {
        let mut both = first.clone();
        if let Some(other) = &merged {
            both.merge(other, joined).unwrap();
        }
        let records: Vec<Record> = both.records().collect();
        let mut analysis = analysis();
        analysis.restore(&records).unwrap();
        rest.iter().for_each(|observation| analysis.observe(observation));
        let told = analysis.finish(rest.last().unwrap().ts);
        assert_eq!(severities(&told, "dns_tunnel").len(), expected, "{what}");
    }
}

#[test]
fn a_baseline_merged_with_itself_knows_nothing_more_and_nothing_twice() {
    let seen = day();
    let mut reader = Reader::default();
    let one = Baseline::read(&watched(0, &seen, &mut reader)).unwrap();
    let mut twice = one.clone();
    twice.merge(&one, joined).unwrap();
    assert_eq!(one.overview().inside, twice.overview().inside);
    assert_eq!(one.difference(&twice), Default::default());
    assert_eq!(one.shown_hosts().len(), twice.shown_hosts().len());
}
