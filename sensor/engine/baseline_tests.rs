//! Learning, saving and continuing, as a specification.

use super::analysis::{Analysis, Told};
use super::joined;
use super::scene::{Talk, severities};
use super::store::Store;
use super::world::World;
use crate::alert::Rules;
use crate::base::{Kind, Meeting, Record};
use crate::detect::Severity;
use crate::event::{Observation, Site, Timestamp};
use crate::intel::Intel;
use crate::profile::{Baseline, Declared, Extent, HostRole, Maturity, NotApproved, SavedApproval};
use std::sync::Arc;

const START: i64 = 1_600_000_000;
const DAY: i64 = 86_400;
const HOST: &str = "172.16.0.7";

/// Some days of a small office: 40 people, one destination each never met before, one that everybody uses, a server that
/// all of them ask for updates.
fn office(days: std::ops::Range<i64>) -> World {
    let mut world = World::new(START);
    world.declare("172.16.0.2", HostRole::FileServer);
    for day in days {
        for n in 0..40 {
            let from = format!("172.16.6.{n}");
            let at = day * DAY + 3600 + n * 60;
            world.contact(at, &from, "192.0.2.9", 443, Some("www.a.example"));
            world.contact(at + 20, &from, "198.51.100.7", 443, Some(&format!("s{day}x{n}.new.example")));
            world.talk(at + 30, &from, "172.16.0.5", 8530, 2_000);
        }
        world.say(
            day * DAY + 9000,
            &Talk { to: "192.0.2.9", up: 900_000, name: Some("store.usual.example"), ..Talk::default() },
        );
        world.contact(day * DAY + 9100, "172.16.0.2", "192.0.2.30", 443, Some("time.vendor.example"));
        world.touch(day * DAY + 9200, HOST, "172.16.0.2", 445);
    }
    world
}

pub(super) fn analysis() -> Analysis {
    let declared = Declared {
        site: Site::new(&["172.16.0.0/16".parse().unwrap()], &[]),
        hosts: Vec::new(),
        policies: Vec::new(),
        utc_offset_s: 0,
    };
    Analysis::new(Arc::new(declared), Arc::new(Intel::shipped()), &Rules::shipped()).unwrap()
}

/// Learns the days and gives back what a file would hold.
fn learned(days: std::ops::Range<i64>) -> Vec<Record> {
    let mut analysis = analysis();
    analysis.learn_until(Timestamp::MAX);
    let seen = office(days).observations();
    seen.iter().for_each(|o| analysis.observe(o));
    analysis.settle(seen.last().unwrap().ts);
    through_a_file(&mut analysis)
}

fn through_a_file(analysis: &mut Analysis) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b");
    analysis.save(&mut Store::open(&path).unwrap()).unwrap();
    Store::read(&path).unwrap()
}

fn judged(records: &[Record], world: World) -> Told {
    let mut analysis = analysis();
    analysis.restore(records).unwrap();
    let seen = world.observations();
    seen.iter().for_each(|o| analysis.observe(o));
    analysis.finish(seen.last().unwrap().ts)
}

#[test]
fn a_run_that_goes_on_from_a_file_knows_what_one_without_a_break_knows() {
    let whole = learned(0..10);
    let mut second = analysis();
    second.restore(&learned(0..5)).unwrap();
    second.learn_until(Timestamp::MAX);
    let seen = office(5..10).observations();
    seen.iter().for_each(|o| second.observe(o));
    second.settle(seen.last().unwrap().ts);
    let (whole, broken) = (Baseline::read(&whole).unwrap(), Baseline::read(&through_a_file(&mut second)).unwrap());
    assert_eq!(whole.shown_hosts(), broken.shown_hosts());
    // The end of an input scores what is under way, which looks at more than one without a break does at that moment.
    let [mut one, mut other] = [whole.overview(), broken.overview()];
    (one.inside.stories, other.inside.stories) = (0, 0);
    assert_eq!(one, other);
    assert_eq!(whole.difference(&broken), Default::default());
}

#[test]
fn who_manages_others_is_known_from_a_file() {
    for (what, days, expected) in [("after five days", 5, vec![Severity::Medium]), ("after two days", 2, vec![])] {
        let mut morning = World::new(START);
        morning.contact(days * DAY + 600, "172.16.0.5", "203.0.113.9", 443, Some("x.blob.core.windows.net"));
        let told = judged(&learned(0..days), morning);
        assert_eq!(severities(&told, "management_egress"), expected, "{what}");
    }
}

#[test]
fn saving_what_changed_gives_what_saving_everything_gives() {
    let [steps, end] = saved_in_steps_and_at_once(&office(0..6).observations(), 40);
    assert_eq!(steps, end);
}

/// What a file holds after a save at every so many observations, each of what changed, and after one of everything.
pub(super) fn saved_in_steps_and_at_once(seen: &[Observation], every: usize) -> [Vec<Record>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let steps = folder.path().join("steps");
    let mut analysis = analysis();
    analysis.keep_track();
    let mut store = Store::open(&steps).unwrap();
    for (n, observation) in seen.iter().enumerate() {
        analysis.observe(observation);
        if n % every == 0 {
            analysis.save(&mut store).unwrap();
        }
    }
    analysis.save(&mut store).unwrap();
    drop(store);
    analysis.keep_track();
    [Store::read(&steps).unwrap(), through_a_file(&mut analysis)]
}

#[test]
fn against_a_baseline_it_is_said_what_is_known() {
    for (what, learn, judge, stage) in [
        ("the same day", 0..1, 0..1, Maturity::New),
        ("three days", 0..3, 3..4, Maturity::Learning),
        ("ten", 0..10, 10..11, Maturity::Ready),
    ] {
        let told = judged(&learned(learn), office(judge));
        assert_eq!(told.learnt.stage(), stage, "{what}: {:?}", told.learnt);
    }
    let mut world = office(10..11);
    world.declare(HOST, HostRole::Workstation);
    let talk = Talk { up: 60_000_000, down: 1000, name: Some("in.rare.example"), ..Talk::default() };
    world.say(10 * DAY + 12_000, &talk);
    let told = judged(&learned(0..10), world);
    assert_eq!(severities(&told, "upload_tail"), [Severity::Medium], "the host's own past came from the file");
    let alert = told.alerts.iter().find(|alert| alert.finding.detector == "upload_tail").unwrap();
    assert!(!alert.not_visible.iter().any(|gap| gap.to_string().contains("baseline")), "{:?}", alert.not_visible);
    assert!(alert.finding.explanation.to_string().contains("more than 0.9 MB"), "{}", alert.finding.explanation);
}

#[test]
fn what_is_learned_from_is_not_told() {
    let story = |judge_from: i64| {
        let mut world = office(0..6);
        for (day, from, to) in [(2, "172.16.6.1", "in.rare.example"), (5, "172.16.6.2", "out.scarce.example")] {
            let talk = Talk { from, up: 60_000_000, down: 1000, name: Some(to), ..Talk::default() };
            world.say(day * DAY + 12_000, &talk);
        }
        let mut analysis = analysis();
        analysis.learn_until(Timestamp::from_secs(START + judge_from * DAY));
        let seen = world.observations();
        seen.iter().for_each(|o| analysis.observe(o));
        severities(&analysis.finish(seen.last().unwrap().ts), "upload_tail").len()
    };
    assert_eq!((story(-1), story(4), story(50)), (2, 1, 0));
}

#[test]
fn a_baseline_written_down_reads_back_the_same() {
    let baseline = Baseline::read(&learned(0..4)).unwrap();
    let met = Meeting { with: 3, first: Timestamp(1), last: Timestamp(5), count: 2, bytes: 9 }.record(Kind::Met, 4);
    let text = baseline.export(std::slice::from_ref(&met)).to_string();
    let (read, index) = Baseline::import(&serde_json::from_str(&text).unwrap()).unwrap();
    assert!(read == baseline && index == [met]);
    for (what, broken) in [
        ("another format", text.replace("yukue-baseline", "other")),
        ("another version", text.replace("\"version\":1", "\"version\":7")),
        ("an unknown kind", text.replacen("\"kind\":\"host\"", "\"kind\":\"ghost\"", 1)),
        ("an index of something else", text.replace("\"kind\":\"met\"", "\"kind\":\"host\"")),
        ("a filter of another length", text.replacen("\"words\":[", "\"words\":[1,", 1)),
    ] {
        assert!(Baseline::import(&serde_json::from_str(&broken).unwrap()).is_err(), "{what}");
    }
}

#[test]
fn two_sensors_of_one_site_make_one_baseline() {
    let (one, two, both) = (learned(0..5), learned(5..10), learned(0..10));
    let read = |records: &[Record]| Baseline::read(records).unwrap();
    let mut merged = read(&one);
    merged.merge(&read(&two), joined).unwrap();
    let (merged_view, whole) = (merged.overview(), read(&both).overview());
    assert_eq!((merged_view.hosts, merged_view.owners, merged_view.ties), (whole.hosts, whole.owners, whole.ties));
    assert_eq!(merged_view.span, whole.span);
    assert_eq!((merged_view.inside.machines, merged_view.inside.cases), (whole.inside.machines, whole.inside.cases));
    assert_eq!(merged.difference(&read(&both)), Default::default());
    let days = |baseline: &Baseline| baseline.shown_hosts().iter().map(|host| host.active_days).collect::<Vec<_>>();
    assert_eq!(days(&merged), days(&read(&both)));
    let records: Vec<Record> = merged.records().collect();
    let told = judged(&records, office(10..11));
    assert_eq!(told.learnt.stage(), Maturity::Ready, "a run goes on from it: {:?}", told.learnt);
}

#[test]
fn what_an_incident_names_is_held_until_somebody_answers_for_it() {
    let mut analysis = analysis();
    let mut world = office(0..6);
    let talk = Talk { up: 60_000_000, down: 1000, name: Some("in.rare.example"), ..Talk::default() };
    world.say(5 * DAY + 12_000, &talk);
    world.contact(5 * DAY + 13_000, "172.16.6.1", "192.0.2.9", 443, Some("www.a.example"));
    world.contact(5 * DAY + 15_000, "172.16.6.1", "192.0.2.9", 443, Some("www.a.example"));
    let seen = world.observations();
    seen.iter().for_each(|o| analysis.observe(o));
    let mut baseline = Baseline::read(&through_a_file(&mut analysis)).unwrap();
    assert_eq!(baseline.overview().held, 1);
    let approval = |host: Option<&str>, destination: &str, expires| SavedApproval {
        host: host.map(str::to_owned),
        destination: destination.to_owned(),
        owner: "kim".to_owned(),
        reason: "our new store".to_owned(),
        expires,
    };
    let (key, other) = ("ip:172.16.0.7", "ip:172.16.6.1");
    for (what, host, destination, expires, released) in [
        ("another destination", None, "a.example", 40_000, Ok(0)),
        ("nobody met it", None, "raer.example", 40_000, Err(NotApproved::Destination("raer.example".to_owned()))),
        ("no such host", Some("PC-9"), "rare.example", 40_000, Err(NotApproved::Host("PC-9".to_owned()))),
        ("it is over", None, "rare.example", 5, Err(NotApproved::Past("2020-09-18".to_owned()))),
        ("another host", Some(other), "rare.example", 40_000, Ok(0)),
        ("the host by key", Some(key), "rare.example", 40_000, Ok(1)),
        ("the host by address", Some(HOST), "rare.example", 40_000, Ok(1)),
        ("every host", None, "rare.example", 40_000, Ok(1)),
        ("as the alert names it", None, "in.rare.example", 40_000, Ok(1)),
    ] {
        let mut asked = baseline.clone();
        let got = asked.approve(approval(host, destination, expires));
        assert_eq!(got, released, "{what}");
        let left = (asked.overview().held, asked.overview().approvals.len());
        let (count, said) = released.map_or((0, 0), |n| (n, 1));
        assert_eq!(left, (1 - count, said), "{what}");
    }
    assert_eq!(baseline.approve(approval(Some(HOST), "rare.example", 40_000)), Ok(1));
    assert_eq!(
        baseline.overview().approvals[0].host.as_deref(),
        Some(key),
        "who is meant does not change with the address"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b");
    Store::open(&path).unwrap().save(Extent::All, |put| baseline.records().for_each(put)).unwrap();
    assert!(Baseline::read(&Store::read(&path).unwrap()).unwrap() == baseline);
}
