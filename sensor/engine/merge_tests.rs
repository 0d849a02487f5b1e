//! Two sensors of one site that go on as one, as a specification: what either had open is open, nothing is told twice.

use super::analysis::Analysis;
use super::baseline_tests::analysis;
use super::joined;
use super::resume_tests::{Claim, Reader, day};
use super::store::Store;
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
