//! Killed and started again, as a specification: the same alerts as without a break, none twice, none lost.

use super::archive::Archive;
use super::baseline_tests::{analysis, saved_in_steps_and_at_once};
use super::saver::Saver;
use super::store::Store;
use super::world::World;
use crate::alert::{self, Alert, Status};
use crate::base::{Kind, Record, Timestamp};
use crate::campaign::Tier;
use crate::detect::Role;
use crate::event::{Act, Channel, Observation};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// Half a day of an office, and three stories in it: an update server whose clients keep a new timer, an administrator's
/// machine that makes a dozen others call back, one machine alone with a beacon.
pub(super) fn day() -> Vec<Observation> {
    let mut world = World::new(1_600_000_000);
    world.background();
    let clients: Vec<String> = (10..40).map(|n| format!("172.16.0.{n}")).collect();
    for (n, host) in (0_i64..).zip(&clients) {
        for hour in 0..9 {
            world.touch(hour * 3600 + n * 110, host, "172.16.0.5", 8080);
        }
        world.touch(n * 60, host, "172.16.0.2", 445);
    }
    for (n, host) in (0_i64..).zip(clients.iter().take(20)) {
        world.beacon(4 * 3600 + n * 110 + 12 + n % 5, host, "203.0.113.5", 443, Some("tenant.files.example"), 40, 180);
    }
    for n in 0..12 {
        let host = format!("172.16.1.{n}");
        world.contact(600 + n * 30, &host, "192.0.2.80", 443, Some("www.usual.example"));
        world.act(5 * 3600 + n * 200, "172.16.0.8", &host, 5985, Channel::Winrm, Act::Execute, "Command");
        world.beacon(5 * 3600 + n * 200 + 4, &host, "203.0.113.77", 80, None, 30, 240);
    }
    world.beacon(3600, "172.16.2.9", "198.51.100.9", 443, Some("a.lone.example"), 60, 300);
    world.observations()
}

/// Event time between two saves of a live sensor.
const MINUTE: Duration = Duration::from_secs(60);

/// What a reader acts on.
pub(super) type Claim = (alert::Kind, u8, String, BTreeSet<String>, BTreeSet<String>, BTreeSet<String>);

/// Alerts by id as a reader has them after all that came.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) has: BTreeMap<Box<str>, Claim>,
}

impl Reader {
    pub(super) fn take(&mut self, alerts: Vec<Alert>) {
        for alert in alerts {
            if alert.status == Status::Absorbed {
                self.has.remove(&alert.finding.id);
                continue;
            }
            let of = |role: Role| -> BTreeSet<String> {
                let of = alert.finding.entities.iter().filter(|entity| entity.role == role);
                of.map(|entity| format!("{:?} {:?}", entity.ip, entity.name)).collect()
            };
            let claim = (
                alert.kind,
                alert.tier,
                format!("{:?} {:?}", alert.finding.severity, alert.finding.attack),
                of(Role::AffectedHost),
                of(Role::StagingServer),
                of(Role::Destination),
            );
            self.has.insert(alert.finding.id.clone(), claim);
        }
    }
}

fn unbroken<'a>(seen: impl Iterator<Item = &'a Observation>) -> Reader {
    let (mut analysis, mut reader, mut last) = (analysis(), Reader::default(), None);
    for observation in seen {
        analysis.observe(observation);
        reader.take(analysis.fresh());
        last = Some(observation.ts);
    }
    reader.take(analysis.finish(last.unwrap()).alerts);
    reader
}

/// What a reader has, but for affected hosts among the `lost`.
fn known(reader: &Reader, lost: &BTreeSet<String>) -> BTreeMap<Box<str>, Claim> {
    let mut has = reader.has.clone();
    let named = |host: &String| lost.iter().any(|ip| host.contains(&format!("({ip})")));
    has.values_mut().for_each(|claim| claim.3.retain(|host| !named(host)));
    has
}

fn records(path: &Path) -> Vec<Record> {
    Store::read(path).unwrap()
}

#[test]
fn who_was_killed_at_any_point_goes_on_and_tells_what_one_without_a_break_tells() {
    let seen = day();
    let whole = unbroken(seen.iter());
    let kinds: BTreeSet<alert::Kind> = whole.has.values().map(|claim| claim.0).collect();
    assert!(kinds.contains(&alert::Kind::StagingCampaign) && kinds.len() >= 2, "{kinds:?}");
    let folder = tempfile::tempdir().unwrap();
    let (mut seed, mut exact) = (5_u64, 0);
    for round in 0..6 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Most of them fall into the hours in which stories are open.
        let mut killed = seen.len() / 4 + usize::try_from(seed >> 33).unwrap() % (seen.len() * 3 / 4 - 50);
        let path = folder.path().join(format!("b{round}"));
        let (mut first, mut reader, mut saved) = (analysis(), Reader::default(), 0);
        let mut saver = Saver::new(Store::open(&path).unwrap(), MINUTE, &mut first).unwrap();
        for (n, observation) in seen.iter().enumerate() {
            first.observe(observation);
            if saver.reached(observation.ts, &mut first).unwrap() > 0 {
                saved = n + 1;
            }
            reader.take(first.fresh());
            // Half of them right after a save, so that nothing is missing.
            if n + 1 >= killed && (round % 2 == 0 || saved == n + 1) {
                killed = n + 1;
                break;
            }
        }
        drop((first, saver));
        assert!(seen[killed - 1].ts.secs_since(seen[saved].ts) <= 60.0, "a minute is missing at most");
        let mut second = analysis();
        second.restore(&records(&path)).unwrap();
        for observation in &seen[killed..] {
            second.observe(observation);
            reader.take(second.fresh());
        }
        reader.take(second.finish(seen.last().unwrap().ts).alerts);
        // Of whom something came between the last save and the end it may be unknown.
        let lost = &seen[saved..killed];
        let lost: BTreeSet<String> =
            lost.iter().flat_map(|o| [o.orig.ip, o.resp.ip]).map(|ip| ip.to_string()).collect();
        let what = format!("round {round}: saved at {saved}, killed at {killed} of {}", seen.len());
        assert_eq!(known(&reader, &lost), known(&whole, &lost), "{what}");
        exact += u32::from(lost.is_empty());
    }
    assert!(exact > 0);
}

#[test]
fn saving_what_changed_saves_all_of_it() {
    let [steps, end] = saved_in_steps_and_at_once(&day(), 150);
    for (a, b) in steps.iter().zip(&end) {
        assert_eq!((a.kind, a.key), (b.kind, b.key));
        // For how long nothing was known grows in an alert with every step, which by itself is no change.
        assert!(a == b || a.kind == Kind::Alert, "{:?} {:?}", a.kind, a.key);
    }
    assert_eq!(steps.len(), end.len());
    let kinds: BTreeSet<&str> = end.iter().map(|record| record.kind.name()).collect();
    for kind in ["log", "hub", "case", "session", "hop", "machine", "chain", "cluster", "finding", "alert"] {
        assert!(kinds.contains(kind), "nothing of the kind {kind}: {kinds:?}");
    }
}

/// A server of another site takes over the update server; sixteen days later that one makes clients call back.
fn sixteen_days_later(days: std::ops::Range<i64>) -> Vec<Observation> {
    const DAY: i64 = 86_400;
    let mut world = World::new(1_600_000_000);
    for day in days {
        // Somebody administers something every day.
        world.act(day * DAY + 900, "172.16.0.3", "172.16.0.4", 5985, Channel::Winrm, Act::Execute, "Command");
        world.contact(day * DAY + 1000, "172.16.0.3", "192.0.2.80", 443, Some("www.usual.example"));
        match day {
            4 => world.act(day * DAY + 5000, "172.16.9.9", "172.16.0.8", 5985, Channel::Winrm, Act::Execute, "Command"),
            20 => {
                for n in 0..6 {
                    let host = format!("172.16.1.{n}");
                    world.act(day * DAY + 6000 + n * 90, "172.16.0.8", &host, 5985, Channel::Winrm, Act::Execute, "x");
                    world.beacon(day * DAY + 6004 + n * 90, &host, "203.0.113.77", 80, None, 12, 60);
                }
            }
            _ => {}
        }
    }
    world.observations()
}

#[test]
fn a_hop_that_waited_for_sixteen_days_is_found_through_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b");
    let mut first = analysis();
    first.learn_until(Timestamp::MAX);
    sixteen_days_later(0..12).iter().for_each(|seen| first.observe(seen));
    first.save(&mut Store::open(&path).unwrap()).unwrap();
    let all = records(&path);
    let forgets = |record: &&Record| matches!(record.kind, Kind::Hop | Kind::Machine);
    assert!(all.iter().any(|record| forgets(&record)));
    let less: Vec<Record> = all.iter().filter(|record| !forgets(record)).cloned().collect();
    for (what, from, index, hops) in [
        ("from memory", &all, false, vec!["172.16.0.8", "172.16.9.9"]),
        ("memory let go of it", &less, true, vec!["172.16.0.8", "172.16.9.9"]),
        ("and there is no index", &less, false, vec!["172.16.0.8"]),
    ] {
        let mut second = analysis();
        second.restore(from).unwrap();
        if index {
            second.look_back(Archive::open(&path).unwrap().look_back());
        }
        let seen = sixteen_days_later(12..21);
        seen.iter().for_each(|seen| second.observe(seen));
        let told = second.finish(seen.last().unwrap().ts);
        let campaign = told.alerts.iter().find(|alert| alert.kind == alert::Kind::StagingCampaign).expect(what);
        let servers = &campaign.scope.as_ref().unwrap().servers;
        assert_eq!(servers.iter().map(|server| server.ip.to_string()).collect::<Vec<_>>(), hops, "{what}");
    }
}

#[test]
fn hosts_that_memory_let_go_of_are_in_the_scope_through_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b");
    let seen = day();
    let half = seen.len() * 3 / 4;
    let mut first = analysis();
    seen[..half].iter().for_each(|o| first.observe(o));
    first.save(&mut Store::open(&path).unwrap()).unwrap();
    let all = records(&path);
    let affected = |told: &Alert| -> BTreeSet<String> {
        let hosts = told.scope.iter().flat_map(|scope| &scope.hosts).filter(|host| host.tier != Tier::Exposed);
        hosts.map(|host| host.ip.to_string()).collect()
    };
    let mut scopes = Vec::new();
    for index in [true, false] {
        let mut second = analysis();
        // What every fourth machine had to do with anybody is forgotten.
        let forgotten = |record: &&Record| record.kind == Kind::Tie && record.key.0.is_multiple_of(4);
        second.restore(&all.iter().filter(|record| !forgotten(record)).cloned().collect::<Vec<_>>()).unwrap();
        if index {
            second.look_back(Archive::open(&path).unwrap().look_back());
        }
        let told = second.finish(seen[half].ts);
        scopes.push(told.alerts.iter().flat_map(affected).collect::<BTreeSet<String>>());
    }
    assert!(scopes[0].is_superset(&scopes[1]) && scopes[0].len() > scopes[1].len(), "{scopes:?}");
}
