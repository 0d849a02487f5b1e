//! Habits of hosts, of their peers and of the fleet towards the outside: scored first, learned later (`detection.md` §2).
//!
//! One contact an owner and local day counts. A first one waits 48 hours before anything learns from it, but for the
//! fleet's first 48 hours, when there is nothing yet to protect; what an open incident names never learns.

use super::hosts::HostId;
use super::maturity::{Age, Learnt, Maturity, READY_DAYS, READY_DAYS_OF_A_SERVER};
use super::novelty::{Kind, Novelty};
use super::prevalence::Destination;
use super::quarantine::{Learned, Pair, Quarantine, Waiting};
use super::ranks::Ranks;
use super::seen::Seen;
use super::stamp::stamp;
use super::tenants::TenantId;
use crate::base::{Budget, Capped, Table, Timestamp};
use serde::{Deserialize, Serialize};

/// What is usual for everybody.
#[derive(Debug)]
pub(super) struct Habits {
    pub(super) hosts: Capped<HostId, Habit>,
    pub(super) groups: Capped<Group, Novelty>,
    pub(super) fleet: Fleet,
    pub(super) destinations: Capped<TenantId, Destination>,
    pub(super) quarantine: Quarantine,
    /// Contacts that came too many to learn from.
    winsorised: u64,
}

/// What is usual for the fleet as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fleet {
    /// First contact of anybody, nanoseconds since the epoch.
    pub(super) begun: Option<i64>,
    pub(super) novelty: Novelty,
    pub(super) by_users: Ranks,
    pub(super) by_age: Ranks,
}

/// What is usual for one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Habit {
    /// What it is told by in sketches.
    pub(super) stamp: u64,
    pub(super) age: Age,
    pub(super) novelty: Novelty,
    pub(super) seen: Seen,
    pub(super) weights: Weights,
}

/// How much a day may teach: contacts of the days before, so that one busy day does not become the habit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Weights {
    day: i32,
    today: u16,
    firsts_today: u16,
    /// Of the latest active days.
    days: Vec<u16>,
}

/// Peers a host is held against: those of its declared role, else those of its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Group(pub(super) u32);

/// A host meets an owner, once a local day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meeting {
    pub(super) ts: Timestamp,
    pub(super) day: i32,
    pub(super) host: HostId,
    pub(super) group: Group,
    pub(super) is_server: bool,
    pub(super) tenant: TenantId,
    /// A tie says that they met before.
    pub(super) tied: bool,
}

/// How unusual a meeting is, as of before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rarity {
    /// The chance that this host meets somebody new; only for a first contact, and only once the host is a day old.
    pub(crate) p_new: Option<f64>,
    /// Share of the fleet's contacts with as few users.
    pub(crate) p_prev: Option<f64>,
    /// Share of the fleet's contacts with as young an owner.
    pub(crate) p_age: Option<f64>,
    /// Other hosts that used the owner in the 30 days before.
    pub(crate) others: u32,
}

impl Habits {
    pub(super) fn new() -> Self {
        Self {
            hosts: Capped::new(Budget::new("habits.hosts", MAX_HOSTS, 1600)),
            groups: Capped::new(Budget::new("habits.groups", MAX_GROUPS, 0)),
            fleet: Fleet { begun: None, novelty: Novelty::default(), by_users: Ranks::new(), by_age: Ranks::new() },
            destinations: Capped::new(Budget::new("habits.destinations", MAX_DESTINATIONS, 160)),
            quarantine: Quarantine::new(),
            winsorised: 0,
        }
    }

    /// Whether a host met an owner before, tie or not.
    pub(super) fn knows(&self, (host, tenant): Pair, day: i32) -> bool {
        let stamp = self.destinations.get(&tenant).map(|destination| destination.stamp);
        let seen = |stamp| self.hosts.get(&host).is_some_and(|habit| habit.seen.has(stamp, day));
        self.quarantine.waiting((host, tenant)).is_some() || stamp.is_some_and(seen)
    }

    /// Scores the day's first meeting of a host with an owner, then learns what may be learned of it at once.
    pub(super) fn meet(&mut self, met: &Meeting, host_name: impl FnOnce() -> String, owner: &str) -> Rarity {
        let begun = Timestamp(*self.fleet.begun.get_or_insert(met.ts.0));
        let pair = (met.host, met.tenant);
        let known = met.tied || self.knows(pair, met.day);
        let habit = self.hosts.entry(met.host, || Habit::new(stamp(&host_name()), met));
        let destination = self.destinations.entry(met.tenant, || Destination::new(stamp(owner), met.ts));
        habit.age.active(met.day);
        let group = self.groups.entry(met.group, Novelty::default);
        let (others, age_s) = (destination.others(habit.stamp, met.day), age_s(met.ts, destination.first()));
        let p_new = (!known).then(|| {
            let fleet = self.fleet.novelty.chance(met.day, 1.0, 1.0);
            let peers = group.chance(met.day, fleet, GROUP_WEIGHT);
            match habit.maturity(met) {
                Maturity::New => None,
                Maturity::Learning => Some(habit.novelty.chance(met.day, peers, 2.0 * HOST_WEIGHT)),
                Maturity::Ready => Some(habit.novelty.chance(met.day, peers, HOST_WEIGHT)),
            }
        });
        let rarity = Rarity {
            p_new: p_new.flatten(),
            p_prev: self.fleet.by_users.at_most(others),
            p_age: self.fleet.by_age.at_most(age_s),
            others,
        };
        self.fleet.by_users.learn(met.day, others);
        self.fleet.by_age.learn(met.day, age_s);
        self.learn(met, known, begun);
        rarity
    }

    /// Learns a meeting that was just scored, or lets it wait.
    fn learn(&mut self, met: &Meeting, known: bool, begun: Timestamp) {
        let pair = (met.host, met.tenant);
        if self.quarantine.is_held(pair) {
            return;
        }
        let waiting = self.quarantine.waiting(pair).map(|waiting| waiting.learned);
        match (known, waiting) {
            (true, Some(Learned::Nothing)) => {}
            (true, waiting) => {
                self.count(pair, met.group, met.day, Kind::Repeated);
                if waiting.is_none() {
                    self.remember(pair, met.day);
                }
            }
            (false, _) if met.ts < begun.plus(super::quarantine::DELAY) => {
                self.count(pair, met.group, met.day, Kind::First);
                self.quarantine.wait(pair, Waiting { ts: met.ts, learned: Learned::Counted });
            }
            (false, _) => self.quarantine.wait(pair, Waiting { ts: met.ts, learned: Learned::Nothing }),
        }
    }

    /// Learns what has waited long enough at `now`, and tells what that was.
    pub(super) fn release_due(
        &mut self,
        now: Timestamp,
        day: impl Fn(Timestamp) -> i32,
        group: impl Fn(HostId) -> Group,
    ) -> Vec<Pair> {
        let mut released = Vec::new();
        while let Some((pair, waiting)) = self.quarantine.due(now) {
            let met_on = day(waiting.ts);
            if waiting.learned == Learned::Nothing {
                self.count(pair, group(pair.0), met_on, Kind::First);
            }
            self.remember(pair, met_on);
            released.push(pair);
        }
        released
    }

    /// The contact turned out to be with somebody else.
    pub(super) fn take_back(&mut self, pair: Pair, group: Group) {
        let Some(waiting) = self.quarantine.forget(pair) else { return };
        let Some(habit) = self.hosts.get_mut(&pair.0).filter(|_| waiting.learned == Learned::Counted) else { return };
        habit.novelty.take_back();
        if let Some(destination) = self.destinations.get_mut(&pair.1) {
            destination.unused(habit.stamp);
        }
        if let Some(group) = self.groups.get_mut(&group) {
            group.take_back();
        }
        self.fleet.novelty.take_back();
    }

    /// How far it is known what is usual for a host.
    pub(super) fn maturity(&self, host: HostId, now: Timestamp, is_server: bool) -> Maturity {
        let age = self.hosts.get(&host).map(|habit| habit.age);
        age.map_or(Maturity::New, |age| age.maturity(now, ready_days(is_server)))
    }

    /// Hosts that ever met anybody outside, by maturity.
    pub(super) fn learnt(&self, now: Timestamp, is_server: impl Fn(HostId) -> bool) -> Learnt {
        let mut learnt = Learnt::default();
        for (host, habit) in self.hosts.iter() {
            let count = match habit.age.maturity(now, ready_days(is_server(*host))) {
                Maturity::New => &mut learnt.new,
                Maturity::Learning => &mut learnt.learning,
                Maturity::Ready => &mut learnt.ready,
            };
            *count = count.saturating_add(1);
        }
        learnt
    }

    /// Counts a contact into the habits of host, peers, fleet and owner, unless the day has taught enough.
    fn count(&mut self, (host, tenant): Pair, group: Group, day: i32, kind: Kind) {
        let Some(habit) = self.hosts.get_mut(&host) else { return };
        if let Some(destination) = self.destinations.get_mut(&tenant) {
            destination.used(habit.stamp, day);
        }
        if !habit.weights.admit(day, kind) {
            self.winsorised = self.winsorised.saturating_add(1);
            return;
        }
        habit.novelty.add(day, kind);
        self.groups.entry(group, Novelty::default).add(day, kind);
        self.fleet.novelty.add(day, kind);
    }

    fn remember(&mut self, (host, tenant): Pair, day: i32) {
        if let (Some(habit), Some(destination)) = (self.hosts.get_mut(&host), self.destinations.get(&tenant)) {
            habit.seen.note(destination.stamp, day);
        }
    }

    /// Its tables as they stand.
    pub(super) fn tables(&self) -> impl Iterator<Item = Table> {
        let own = [self.hosts.table(), self.groups.table(), self.destinations.table()];
        own.into_iter().chain(self.quarantine.tables())
    }
}

impl Habit {
    fn new(stamp: u64, met: &Meeting) -> Self {
        Self {
            stamp,
            age: Age::new(met.ts, met.day),
            novelty: Novelty::default(),
            seen: Seen::default(),
            weights: Weights::default(),
        }
    }

    fn maturity(&self, met: &Meeting) -> Maturity {
        self.age.maturity(met.ts, ready_days(met.is_server))
    }
}

impl Weights {
    /// Whether one more contact of a day may be learned (`detection.md` §2.6: winsorise).
    fn admit(&mut self, day: i32, kind: Kind) -> bool {
        if day > self.day {
            if self.today > 0 {
                self.days.push(self.today);
                if self.days.len() > MEDIAN_DAYS {
                    self.days.remove(0);
                }
            }
            (self.day, self.today, self.firsts_today) = (day, 0, 0);
        }
        self.today = self.today.saturating_add(1);
        self.firsts_today = self.firsts_today.saturating_add(u16::from(kind == Kind::First));
        let mut days = self.days.clone();
        days.sort_unstable();
        let median = days.get(days.len() / 2).filter(|_| days.len() >= LEAST_MEDIAN_DAYS);
        let most = median.map_or(u16::MAX, |median| median.saturating_mul(MOST_TIMES).max(LEAST_DAY));
        self.today <= most && (kind == Kind::Repeated || self.firsts_today <= MOST_FIRSTS)
    }
}

const fn ready_days(is_server: bool) -> u16 {
    if is_server { READY_DAYS_OF_A_SERVER } else { READY_DAYS }
}

/// Whole seconds since the owner was first met by anybody.
fn age_s(now: Timestamp, first: Timestamp) -> u32 {
    u32::try_from(now.since(first).as_secs()).unwrap_or(u32::MAX)
}

/// `detection.md` §2.3: contacts of the peers' experience added to a host's own.
const HOST_WEIGHT: f64 = 20.0;
/// Likewise, of the fleet's to a group's: ten hosts' worth.
const GROUP_WEIGHT: f64 = 200.0;
/// §2.6: new owners a day that are learned.
const MOST_FIRSTS: u16 = 200;
/// §2.6: a day teaches as much as three of the host's median days.
const MOST_TIMES: u16 = 3;
const MEDIAN_DAYS: usize = 7;
const LEAST_MEDIAN_DAYS: usize = 3;
/// Contacts a day that are always learned: a median of one or two is no measure.
const LEAST_DAY: u16 = 20;
/// The largest site the design plans for is 250,000 machines; 300 bytes each and 1.3 kB for each generation in use.
const MAX_HOSTS: usize = 300_000;
/// Roles and subnets.
const MAX_GROUPS: usize = 65_536;
/// Owners held, 100 to 700 bytes each, most of them few users: one that is forgotten before it is met again is young and
/// rare anew, and 240,000 lasted a simulated fleet of 100,000 fourteen hours.
const MAX_DESTINATIONS: usize = 1_000_000;
