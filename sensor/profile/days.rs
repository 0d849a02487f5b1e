//! Host-days: counted while they last, learned two days later, held against the host's own past and its peers'.
//!
//! `detection.md` §2.5: p = (host-days of its own at least as large + κ · share of its peers') / (its days + κ), and the
//! larger of that and the peers' own share, so that both must be surprised. Beyond what the peers ever showed their
//! Pareto tail goes on. §2.6: days wait 48 hours, those near an open incident are never learned, and a slow rise that
//! the peers do not share is told (boiling frog).

use super::habits::Group;
use super::host_days::{Drift, HostDays, real};
use super::hosts::HostId;
use super::season::Season;
use super::volume::{Day, Feature, KEPT_A_DAY, KEPT_A_DAY_OF_RECENT, Shift, Volumes};
use crate::base::{Budget, Capped, Table};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// All host-days.
#[derive(Debug)]
pub(super) struct Days {
    /// The local day at hand, and the first of all.
    pub(super) day: Option<(i32, i32)>,
    pub(super) today: Capped<HostId, (Group, Day)>,
    /// Days that wait, oldest first.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) hosts: Capped<HostId, HostDays>,
    pub(super) groups: Capped<Group, GroupDays>,
    pub(super) fleet: GroupDays,
    /// Hosts of open incidents, and the day.
    pub(super) held: Capped<HostId, i32>,
}

/// A local day, and what hosts did on it.
pub(super) type Waiting = (i32, Vec<(HostId, Group, Day)>);

/// What the days of a group are like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GroupDays {
    pub(super) long: Volumes<u64>,
    pub(super) recent: Volumes<u64>,
    pub(super) season: Season,
}

/// How unusual a value is for a host's day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tail {
    /// The larger of the host's own chance and its peers'.
    pub(crate) p: f64,
    /// Host-days of its own, and of the fleet, that it was held against.
    pub(crate) own_days: f64,
    pub(crate) fleet_days: f64,
}

impl Days {
    pub(super) fn new() -> Self {
        Self {
            day: None,
            today: today(),
            waiting: VecDeque::new(),
            hosts: Capped::new(Budget::new("days.hosts", MAX_HOSTS, 1024)),
            groups: Capped::new(Budget::new("days.groups", MAX_GROUPS, 13_000)),
            fleet: GroupDays::default(),
            held: Capped::new(Budget::new("days.held", MAX_HELD, 0)),
        }
    }

    /// Time reached a local day: what is over waits, what has waited is learned. What rises comes back.
    pub(super) fn turn(&mut self, day: i32) -> Vec<Drift> {
        let (known, begun) = *self.day.get_or_insert((day, day));
        if day <= known {
            return Vec::new();
        }
        self.day = Some((day, begun));
        let over = std::mem::replace(&mut self.today, today());
        let over: Vec<_> = over.iter().map(|(host, (group, sums))| (*host, *group, *sums)).collect();
        self.waiting.push_back((known, over));
        let mut drifts = Vec::new();
        while let Some((waited, _)) = self.waiting.front() {
            // In its first two days a fleet has nothing to protect.
            let new_fleet = waited.saturating_sub(begun) < WAIT_DAYS;
            if !new_fleet && day.saturating_sub(*waited) <= WAIT_DAYS {
                break;
            }
            let Some((waited, hosts)) = self.waiting.pop_front() else { break };
            for (host, group, sums) in hosts {
                let open = self.held.get(&host).is_some_and(|held| (*held - WAIT_DAYS..=*held).contains(&waited));
                if !open {
                    drifts.extend(self.learn(waited, host, group, &sums));
                }
            }
        }
        drifts
    }

    /// A flow to the outside began in a local hour.
    pub(super) fn contact(&mut self, host: HostId, group: Group, hour: i64, what: &[Feature]) {
        let shift = self.shift(group, hour);
        let days = self.hosts.entry(host, HostDays::default);
        if days.hour != hour {
            days.hour = hour;
            self.fleet.season.add(hour);
            self.groups.entry(group, GroupDays::default).season.add(hour);
        }
        let (_, sums) = self.today.entry(host, || (group, Day::default()));
        what.iter().for_each(|feature| sums.add(*feature, shift, 1));
    }

    /// A flow to the outside ended in a local hour.
    pub(super) fn moved(&mut self, host: HostId, group: Group, hour: i64, amounts: &[(Feature, u64)]) {
        let shift = self.shift(group, hour);
        let (_, sums) = self.today.entry(host, || (group, Day::default()));
        for (feature, amount) in amounts {
            match feature {
                Feature::MostBytesOut => sums.raise(*feature, shift, *amount),
                _ => sums.add(*feature, shift, *amount),
            }
        }
    }

    /// Time reached a local hour for a group.
    pub(super) fn reach(&mut self, group: Group, hour: i64) {
        self.fleet.season.reach(hour);
        self.groups.entry(group, GroupDays::default).season.reach(hour);
    }

    /// Takes a day in that was not learned yet; `day` was restored before.
    pub(super) fn restore(&mut self, day: i32, host: HostId, group: Group, sums: Day) {
        if self.day.is_some_and(|(today, _)| today <= day) {
            self.today.insert(host, (group, sums));
            return;
        }
        match self.waiting.back_mut() {
            Some((latest, hosts)) if *latest == day => hosts.push((host, group, sums)),
            _ => self.waiting.push_back((day, vec![(host, group, sums)])),
        }
    }

    /// How lively a local hour is for a group, else for the fleet; `None` before that is known.
    pub(super) fn season(&self, group: Group, hour: i64) -> Option<f64> {
        let own = self.groups.get(&group).and_then(|days| days.season.multiplier(hour, LEAST_HOST_HOURS));
        own.or_else(|| self.fleet.season.multiplier(hour, LEAST_HOST_HOURS))
    }

    /// Whether a local hour is one at which a group works or rests.
    pub(super) fn shift(&self, group: Group, hour: i64) -> Shift {
        if self.season(group, hour).is_some_and(|lively| lively < OFF_BELOW) { Shift::Off } else { Shift::Work }
    }

    /// The chance of a host-day with at least `value`, when the peers' experience weighs as much as `weight` days; `None`
    /// before the fleet has shown a thousand.
    ///
    /// Until work and rest have been told apart for some weeks, what was done while at rest is among what was done at work.
    pub(super) fn tail(
        &self,
        host: HostId,
        group: Group,
        (feature, shift): (Feature, Shift),
        value: (i32, u64),
        weight: f64,
    ) -> Option<Tail> {
        let tail = self.tail_of(host, group, (feature, shift), value, weight)?;
        if shift == Shift::Work || !self.fleet.season.is_young() {
            return Some(tail);
        }
        let work = self.tail_of(host, group, (feature, Shift::Work), value, weight)?;
        Some(Tail { p: tail.p.max(work.p), ..tail })
    }

    fn tail_of(
        &self,
        host: HostId,
        group: Group,
        (feature, shift): (Feature, Shift),
        (day, value): (i32, u64),
        weight: f64,
    ) -> Option<Tail> {
        let value = scaled(value, self.lively(day));
        let fleet_days = self.fleet.long.days();
        if fleet_days < LEAST_FLEET_DAYS {
            return None;
        }
        let fleet = survival(&self.fleet.long, (feature, shift), value, 1.0, 1.0);
        let peers = match self.groups.get(&group) {
            Some(days) => survival(&days.long, (feature, shift), value, fleet, GROUP_WEIGHT),
            None => fleet,
        };
        let own = self.hosts.get(&host).map(|days| &days.long);
        let (at_least, days) = own.map_or((0.0, 0.0), |own| (own.at_least(feature, shift, value), own.days()));
        // §2.6: the peers keep a fifth of the weight for ever.
        let weight = weight.max(days / 4.0);
        let p = (at_least + weight * peers) / (days + weight);
        Some(Tail { p: p.max(peers), own_days: days, fleet_days })
    }

    /// The most a host sent one owner on an earlier day.
    pub(super) fn most_bytes_out(&self, host: HostId) -> u64 {
        self.hosts.get(&host).map_or(0, HostDays::most_bytes_out)
    }

    fn learn(&mut self, day: i32, host: HostId, group: Group, sums: &Day) -> Vec<Drift> {
        let lively = self.lively(day);
        let value = Day { work: sums.work.map(|value| scaled(value, lively)), off: sums.off };
        let peers = self.groups.entry(group, GroupDays::default);
        for days in [&mut *peers, &mut self.fleet] {
            days.long.learn(day, &value, KEPT_A_DAY);
            days.recent.learn(day, &value, KEPT_A_DAY_OF_RECENT);
        }
        let peers = self.groups.get(&group);
        let distance = |feature| {
            peers.map_or(0.0, |days| days.long.rise(&days.recent.counts(feature, Shift::Work), feature, Shift::Work))
        };
        let own = self.hosts.entry(host, HostDays::default);
        own.learn(day, &value);
        Feature::ALL.into_iter().filter_map(|feature| own.drift(feature, host, day, distance)).collect()
    }

    /// How lively a local day is against the average one, between a half and two; 1 before that is known.
    fn lively(&self, day: i32) -> f64 {
        let midnight = i64::from(day).saturating_mul(24);
        let hours = (0..24).map(|hour| self.fleet.season.multiplier(midnight.saturating_add(hour), LEAST_HOST_HOURS));
        hours.sum::<Option<f64>>().map_or(1.0, |sum| (sum / 24.0).clamp(0.5, 2.0))
    }

    pub(super) fn tables(&self) -> [Table; 4] {
        [self.today.table(), self.hosts.table(), self.groups.table(), self.held.table()]
    }
}

impl GroupDays {
    /// Adds what another baseline knows.
    pub(super) fn merge(&mut self, other: &Self) {
        self.long.merge(&other.long, KEPT_A_DAY);
        self.recent.merge(&other.recent, KEPT_A_DAY_OF_RECENT);
        self.season.merge(&other.season);
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        self.long.is_whole() && self.recent.is_whole() && self.season.is_whole()
    }
}

/// What hosts do today, none of it yet; as much again waits for each of two days.
fn today() -> Capped<HostId, (Group, Day)> {
    Capped::new(Budget::new("days.today", MAX_HOSTS, 0))
}

/// Share of host-days with at least `value`; of too few the `prior` counts as `weight` days. Beyond the last populated bin
/// the tail goes on as a Pareto's.
fn survival(days: &Volumes<u64>, (feature, shift): (Feature, Shift), value: u64, prior: f64, weight: f64) -> f64 {
    let share = |value| (days.at_least(feature, shift, value) + weight * prior) / (days.days() + weight);
    let Some((edge, index)) = days.tail(feature, shift).filter(|_| days.at_least(feature, shift, value) < 1.0) else {
        return share(value);
    };
    let value_ = f64::from(real(value));
    if edge < 1.0 || value_ <= edge {
        return share(value);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an edge is at most 2^30")]
    let at_edge = share(edge.ceil() as u64);
    (at_edge * (value_ / edge).powf(-1.0 / index)).max(f64::MIN_POSITIVE)
}

/// A value of a day as it would have been on an average one.
fn scaled(value: u64, lively: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
    let scaled = (f64::from(real(value)) / lively).round() as u64;
    if (lively - 1.0).abs() < f64::EPSILON { value } else { scaled }
}

/// Local days a day waits: 48 hours (§2.6).
const WAIT_DAYS: i32 = 2;
/// Below this multiplier an hour is not one of work.
const OFF_BELOW: f64 = 0.5;
/// Host-hours before a week means something.
const LEAST_HOST_HOURS: u64 = 5000;
/// Host-days before a tail means something.
const LEAST_FLEET_DAYS: f64 = 1000.0;
/// Days of the fleet's experience added to a group's.
const GROUP_WEIGHT: f64 = 200.0;
/// The largest site the design plans for.
const MAX_HOSTS: usize = 300_000;
/// Hosts of open incidents.
const MAX_HELD: usize = 50_000;
/// Roles and subnets, 13 kB each.
const MAX_GROUPS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Group = Group(1);

    /// Days of hosts that each send 64 kB to 512 kB, and one host's own line of megabytes.
    fn days(hosts: u32, own: &[u64]) -> (Days, Vec<Drift>) {
        let mut days = Days::new();
        let mut drifts = Vec::new();
        for (day, megabytes) in (0_i32..).zip(own) {
            drifts.extend(days.turn(day));
            for n in 0..hosts {
                let up = 65_536 << ((n + day.unsigned_abs()) % 4);
                days.moved(
                    HostId(n),
                    GROUP,
                    i64::from(day) * 24,
                    &[(Feature::MostBytesOut, up), (Feature::BytesOut, up)],
                );
            }
            let up = megabytes << 20;
            days.moved(
                HostId(9999),
                GROUP,
                i64::from(day) * 24,
                &[(Feature::MostBytesOut, up), (Feature::BytesOut, up)],
            );
        }
        (days, drifts)
    }

    #[test]
    fn a_value_is_unusual_when_host_and_peers_are_surprised() {
        let (days, _) = days(200, &[1; 14]);
        let p = |host, kilobytes: u64, weight| {
            let what = (Feature::MostBytesOut, Shift::Work);
            days.tail(HostId(host), GROUP, what, (14, kilobytes << 10), weight).unwrap().p
        };
        for (what, p, low, high) in [
            ("what every host does", p(7, 64, 10.0), 0.9, 1.0),
            ("what a quarter does", p(7, 512, 10.0), 0.2, 0.35),
            ("more than anybody: beyond the last bin", p(7, 64 << 10, 10.0), 0.0, 1e-4),
            ("more than its peers, as ever for the host", p(9999, 1024, 10.0), 0.4, 0.8),
            ("nobody's own past", p(5555, 1024, 10.0), 0.003, 0.01),
        ] {
            assert!((low..=high).contains(&p), "{what}: {p}");
        }
    }

    #[test]
    fn a_day_is_learned_two_days_later_and_one_of_an_incident_never() {
        let (mut known, _) = days(1, &[1, 1, 1, 1, 1, 900]);
        let most = |days: &Days| days.most_bytes_out(HostId(9999)) >> 20;
        known.turn(7);
        assert_eq!(most(&known), 1, "the 900 MB of day 5 wait");
        known.turn(8);
        assert_eq!(most(&known), 900);
        let (mut open, _) = days(1, &[1, 1, 1, 1, 1, 900]);
        open.held.insert(HostId(9999), 6);
        open.turn(20);
        assert_eq!(most(&open), 1, "an open incident names the host");
    }

    #[test]
    fn a_slow_rise_is_told_and_a_spike_is_not() {
        let slow: Vec<u64> =
            (0..60_i32).map(|day| if day < 30 { 1 } else { 2_u64.pow((day.unsigned_abs() - 28) / 3) }).collect();
        let mut spike = vec![1; 60];
        spike[40] = 4000;
        for (what, own, expected) in
            [("as ever", vec![1; 60], false), ("one spike", spike, false), ("a slow rise", slow, true)]
        {
            let (_, drifts) = days(20, &own);
            assert!(drifts.iter().all(|drift| drift.host == HostId(9999)), "{what}: {drifts:?}");
            assert_eq!(drifts.iter().any(|drift| drift.feature == Feature::BytesOut), expected, "{what}: {drifts:?}");
        }
    }

    #[test]
    fn a_rise_that_the_peers_share_is_none() {
        let mut days = Days::new();
        let mut drifts = Vec::new();
        for day in 0..60 {
            drifts.extend(days.turn(day));
            let up = if day < 40 { 1 << 20 } else { 1 << 26 };
            (0..30).for_each(|n| days.moved(HostId(n), GROUP, i64::from(day) * 24, &[(Feature::BytesOut, up)]));
        }
        assert!(drifts.is_empty(), "{drifts:?}");
    }
}
