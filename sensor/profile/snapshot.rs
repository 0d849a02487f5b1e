//! Saves what is known and continues from it: the same ids, the same habits, the same quarantine.
//!
//! What is under way is not saved: open flows, names learned from look-ups, addresses of strangers. They are minutes old;
//! the flows are seen again as they go on.

use super::Profiles;
use super::habits::Group;
use super::hosts::HostId;
use super::quarantine::{Learned, Pair, Waiting};
use super::saved::{
    Saved, SavedDay, SavedFleet, SavedHost, SavedOwner, SavedPeers, SavedScript, SavedTie, SavedWaiting,
};
use super::tenants::{Tenant, TenantId};
use super::tie::{Script, Tie};
use super::touched::Touched;
use crate::base::{BadRecord, Endpoint, Kind, Meeting, Record, Timestamp, Transport};
use crate::event::Observation;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How much is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything; what the store holds besides is no more.
    All,
    /// What changed since it was last saved.
    Changed,
}

/// What a baseline holds back until all of it is read: records come by key, and tables forget what was met longest ago.
#[derive(Debug, Default)]
pub(crate) struct Restoring {
    waiting: Vec<(Pair, Waiting)>,
    owners: Vec<(TenantId, SavedOwner)>,
    ties: Vec<(Pair, SavedTie)>,
    next: (u32, u32),
}

impl Profiles {
    /// From now on it is noted what changes, so that it can be saved.
    pub(crate) fn keep_track(&mut self) {
        self.touched = Some(Box::new(Touched { all: true, ..Touched::default() }));
    }

    /// Who spoke or was spoken to has changed.
    pub(super) fn track(&mut self, seen: &Observation) {
        if self.touched.is_some() {
            for ip in [seen.orig.ip, seen.resp.ip] {
                if let Some(host) = self.holder(ip, seen.ts) {
                    self.touch(host, None);
                }
            }
        }
    }

    /// How much is due to be saved: everything once a local day, as days move on.
    pub(crate) fn extent(&self) -> Extent {
        if self.touched.as_ref().is_none_or(|touched| touched.all) { Extent::All } else { Extent::Changed }
    }

    /// Saves.
    pub(crate) fn save(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        let touched = self.touched.as_mut().map(|touched| std::mem::take(&mut **touched)).unwrap_or_default();
        put(Saved::Fleet(Box::new(self.saved_fleet())).record((0, 0)));
        match extent {
            Extent::All => self.save_all(put),
            Extent::Changed => self.save_changed(&touched, put),
        }
    }

    fn save_all(&self, put: &mut dyn FnMut(Record)) {
        let mut hosts: Vec<HostId> = self.hosts.alive_since(Timestamp::MIN).collect();
        hosts.sort_unstable();
        hosts.into_iter().filter_map(|id| self.saved_host(id)).for_each(&mut *put);
        for (id, owner) in self.tenants.all().filter(|(id, owner)| self.is_met(*id, owner)) {
            put(self.saved_owner(id, owner));
        }
        for (pair, tie) in self.ties.iter() {
            put(Saved::Tie(Box::new(saved_tie(tie))).record(key(*pair)));
            self.met(*pair, tie).into_iter().for_each(&mut *put);
        }
        let groups = self.habits.groups.iter().map(|(group, _)| *group);
        let groups: BTreeSet<Group> = groups.chain(self.days.groups.iter().map(|(group, _)| *group)).collect();
        groups.into_iter().map(|group| self.saved_peers(group)).for_each(&mut *put);
        for (pair, waiting) in self.habits.quarantine.all_waiting() {
            put(saved_waiting(pair, waiting));
        }
        for (pair, ts) in self.habits.quarantine.all_held() {
            put(Saved::Held(ts.0).record(key(pair)));
        }
        for (day, hosts) in &self.days.waiting {
            for (host, group, sums) in hosts {
                put(saved_day(*day, *host, *group, *sums));
            }
        }
        if let Some((today, _)) = self.days.day {
            for (host, (group, sums)) in self.days.today.iter() {
                put(saved_day(today, *host, *group, *sums));
            }
        }
    }

    fn save_changed(&self, touched: &Touched, put: &mut dyn FnMut(Record)) {
        touched.hosts.iter().filter_map(|id| self.saved_host(*id)).for_each(&mut *put);
        for id in &touched.owners {
            put(match self.tenants.get(*id).filter(|owner| self.is_met(*id, owner)) {
                Some(owner) => self.saved_owner(*id, owner),
                None => Record::gone(Kind::Owner, (id.0, 0)),
            });
        }
        touched.groups.iter().map(|group| self.saved_peers(*group)).for_each(&mut *put);
        for pair in &touched.pairs {
            put(match self.ties.get(*pair) {
                Some(tie) => Saved::Tie(Box::new(saved_tie(tie))).record(key(*pair)),
                None => Record::gone(Kind::Tie, key(*pair)),
            });
            self.ties.get(*pair).and_then(|tie| self.met(*pair, tie)).into_iter().for_each(&mut *put);
            put(match self.habits.quarantine.waiting(*pair) {
                Some(waiting) => saved_waiting(*pair, waiting),
                None => Record::gone(Kind::Waiting, key(*pair)),
            });
            if let Some(ts) = self.habits.quarantine.held_since(*pair) {
                put(Saved::Held(ts.0).record(key(*pair)));
            }
        }
        if let Some((today, _)) = self.days.day {
            for host in &touched.hosts {
                if let Some((group, sums)) = self.days.today.get(host) {
                    put(saved_day(today, *host, *group, *sums));
                }
            }
        }
    }

    /// Takes in a record; another stage's is left alone. They come in the order of kind and key.
    pub(crate) fn restore(&mut self, record: &Record, restoring: &mut Restoring) -> Result<(), BadRecord> {
        let (a, b) = record.key;
        let pair = (HostId(a), TenantId(b));
        match Saved::read(record)? {
            None => {}
            Some(Saved::Fleet(saved)) => {
                restoring.next = (saved.next_host, saved.next_owner);
                self.restore_fleet(*saved);
            }
            Some(Saved::Host(saved)) => {
                if !self.hosts.restore(HostId(a), &saved) {
                    return Err(record.bad());
                }
                if let Some(habit) = saved.habit {
                    self.habits.hosts.insert(HostId(a), habit);
                }
                if let Some(days) = saved.days {
                    self.days.hosts.insert(HostId(a), days);
                }
                if let Some(dealings) = saved.dealings {
                    self.hubs.restore(HostId(a), dealings);
                }
            }
            Some(Saved::Owner(saved)) => restoring.owners.push((TenantId(a), *saved)),
            Some(Saved::Tie(saved)) => restoring.ties.push((pair, *saved)),
            Some(Saved::Peers(saved)) => {
                self.habits.groups.insert(Group(a), saved.novelty);
                self.days.groups.insert(Group(a), saved.days);
            }
            Some(Saved::Waiting(saved)) => {
                let learned = if saved.counted { Learned::Counted } else { Learned::Nothing };
                restoring.waiting.push((pair, Waiting { ts: Timestamp(saved.ts), learned }));
            }
            Some(Saved::Held(ts)) => {
                self.habits.quarantine.hold(pair, Timestamp(ts));
                self.days.held.insert(pair.0, self.day(Timestamp(ts)));
            }
            Some(Saved::Approval(saved)) => self.approvals.push(*saved),
            Some(Saved::Day(saved)) => {
                let day = i32::from_ne_bytes(a.to_ne_bytes());
                self.days.restore(day, HostId(b), Group(saved.group), saved.sums);
            }
        }
        Ok(())
    }

    /// All records are in.
    pub(crate) fn restored(&mut self, mut restoring: Restoring) {
        self.hosts.resume_at(restoring.next.0);
        self.tenants.resume_at(restoring.next.1);
        self.restore_owners(restoring.owners, &restoring.ties);
        restoring.ties.sort_by_key(|(pair, tie)| (tie.last, *pair));
        for (pair, tie) in restoring.ties {
            // Under an owner that is no more nobody would find it.
            if self.tenants.get(pair.1).is_some() {
                self.restore_tie(pair, tie);
            }
        }
        restoring.waiting.sort_by_key(|(pair, waiting)| (waiting.ts, *pair));
        for (pair, waiting) in restoring.waiting {
            self.habits.quarantine.wait(pair, waiting);
        }
        if let Some((_, last)) = self.counts.span {
            self.take_stock(last);
        }
    }

    /// Takes in owners, the one met last at last: a store holds more than the tables when some made room since it was
    /// last written whole, and an owner that everybody uses must not be one that is forgotten.
    fn restore_owners(&mut self, mut owners: Vec<(TenantId, SavedOwner)>, ties: &[(Pair, SavedTie)]) {
        let mut latest: BTreeMap<TenantId, i64> = BTreeMap::new();
        for ((_, owner), tie) in ties {
            let last = latest.entry(*owner).or_insert(tie.last);
            *last = tie.last.max(*last);
        }
        let first_met = |owner: &SavedOwner| owner.users.last().map_or(i64::MIN, |(_, ts)| *ts);
        owners.sort_by_key(|(id, owner)| (latest.get(id).copied().unwrap_or_else(|| first_met(owner)), *id));
        for (id, saved) in owners {
            let users = saved.users.into_iter().map(|(host, ts)| (HostId(host), Timestamp(ts))).collect();
            self.tenants.restore(id, Tenant { key: saved.key.into(), users, more: saved.more });
            if let Some(destination) = saved.destination {
                self.habits.destinations.insert(id, destination);
            }
        }
    }

    fn saved_fleet(&self) -> SavedFleet {
        SavedFleet {
            next_host: self.hosts.identities().next_id(),
            next_owner: self.tenants.next_id(),
            fleet: self.habits.fleet.clone(),
            days: self.days.fleet.clone(),
            day: self.days.day,
            span: self.counts.span.map(|(first, last)| (first.0, last.0)),
            firsts: self.counts.firsts,
            lone_firsts: self.counts.lone_firsts,
            utc_offset_s: self.declared.utc_offset_s,
        }
    }

    fn restore_fleet(&mut self, saved: SavedFleet) {
        self.habits.fleet = saved.fleet;
        self.days.fleet = saved.days;
        self.days.day = saved.day;
        self.counts.span = saved.span.map(|(first, last)| (Timestamp(first), Timestamp(last)));
        (self.counts.firsts, self.counts.lone_firsts) = (saved.firsts, saved.lone_firsts);
    }

    /// Whether anybody uses an owner; the others are names that once stood in an answer.
    fn is_met(&self, id: TenantId, owner: &Tenant) -> bool {
        !owner.users.is_empty() || self.habits.destinations.get(&id).is_some()
    }

    /// What the index on disk keeps of a tie: rare destinations only, of which somebody may once ask who used them.
    fn met(&self, (host, owner): Pair, tie: &Tie) -> Option<Record> {
        let frequented = self.is_frequented(self.tenants.get(owner)?.used_by());
        let met = Meeting { with: host.0, first: tie.first, last: tie.last, count: tie.flows, bytes: tie.up };
        (!frequented && !tie.background).then(|| met.record(Kind::Met, owner.0))
    }

    fn saved_peers(&self, group: Group) -> Record {
        let novelty = self.habits.groups.get(&group).copied().unwrap_or_default();
        let days = self.days.groups.get(&group).cloned().unwrap_or_default();
        Saved::Peers(Box::new(SavedPeers { novelty, days })).record((group.0, 0))
    }

    fn saved_host(&self, id: HostId) -> Option<Record> {
        let mut saved: SavedHost = self.hosts.saved(id)?;
        saved.habit = self.habits.hosts.get(&id).cloned();
        saved.days = self.days.hosts.get(&id).cloned();
        saved.dealings = self.hubs.saved(id);
        Some(Saved::Host(Box::new(saved)).record((id.0, 0)))
    }

    fn saved_owner(&self, id: TenantId, owner: &Tenant) -> Record {
        let destination = self.habits.destinations.get(&id).cloned();
        let users = owner.users.iter().map(|(host, ts)| (host.0, ts.0)).collect();
        let saved = SavedOwner { key: owner.key.to_string(), users, more: owner.more, destination };
        Saved::Owner(Box::new(saved)).record((id.0, 0))
    }

    fn restore_tie(&mut self, pair: Pair, saved: SavedTie) {
        let name: Option<Arc<str>> = saved.name.map(Into::into);
        let resps: Vec<Endpoint> = saved.resps.into_iter().map(|(ip, port)| Endpoint { ip, port }).collect();
        // The tables may be newer than the baseline: what a destination is, they say.
        let ip = resps.first().map(|resp| resp.ip);
        let standing = ip.map(|ip| self.tenants.of(&self.intel, name.as_ref(), ip).standing).unwrap_or_default();
        let tie = Tie {
            first: Timestamp(saved.first),
            last: Timestamp(saved.last),
            flows: saved.flows,
            up: saved.up,
            down: saved.down,
            uids: Vec::new(),
            resps,
            transport: Transport::from_number(saved.transport),
            name,
            standing,
            background: saved.background,
            under_way: saved.under_way,
            literal_host: saved.literal_host,
            script: saved.script.and_then(|script| match script {
                SavedScript::Agent => Some(Script::Agent),
                SavedScript::Content(what) => Script::content(&what),
            }),
            day: saved.day,
            sent: saved.sent,
            several: saved.several,
        };
        let used_by = self.tenants.get(pair.1).map_or(0, Tenant::used_by);
        let frequented = tie.background || self.is_frequented(used_by);
        self.ties.entry(pair, frequented, || tie);
    }
}

fn saved_tie(tie: &Tie) -> SavedTie {
    SavedTie {
        first: tie.first.0,
        last: tie.last.0,
        flows: tie.flows,
        up: tie.up,
        down: tie.down,
        resps: tie.resps.iter().take(MAX_RESPS).map(|resp| (resp.ip, resp.port)).collect(),
        transport: tie.transport.number(),
        name: tie.name.as_deref().map(Into::into),
        background: tie.background,
        under_way: tie.under_way,
        literal_host: tie.literal_host,
        script: tie.script.map(|script| match script {
            Script::Agent => SavedScript::Agent,
            Script::Content(what) => SavedScript::Content(what.to_owned()),
        }),
        day: tie.day,
        sent: tie.sent,
        several: tie.several,
    }
}

fn saved_waiting(pair: Pair, waiting: Waiting) -> Record {
    let saved = SavedWaiting { ts: waiting.ts.0, counted: waiting.learned == Learned::Counted };
    Saved::Waiting(saved).record(key(pair))
}

/// Days before 1970 wrap in the key and back out of it.
fn saved_day(day: i32, host: HostId, group: Group, sums: super::volume::Day) -> Record {
    let key = (u32::from_ne_bytes(day.to_ne_bytes()), host.0);
    Saved::Day(Box::new(SavedDay { group: group.0, sums })).record(key)
}

const fn key(pair: Pair) -> (u32, u32) {
    (pair.0.0, pair.1.0)
}

/// Addresses of an owner kept with a tie.
const MAX_RESPS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Site;
    use crate::intel::Intel;
    use crate::profile::Declared;

    /// Records come by key: were they taken in so, the owners a site met first and still uses would make room first.
    #[test]
    fn what_was_met_last_is_forgotten_last() {
        let declared = Declared { site: Site::new(&[], &[]), hosts: Vec::new(), policies: Vec::new(), utc_offset_s: 0 };
        let mut profiles = Profiles::new(Arc::new(declared), Arc::new(Intel::shipped()));
        let mut restoring = Restoring::default();
        let owner = |n: u32, first: i64| {
            let users = vec![(7, first)];
            let saved = SavedOwner { key: format!("site-{n}.example"), users, more: 0, destination: None };
            Saved::Owner(Box::new(saved)).record((n, 0))
        };
        let tie = |host: u32, n: u32, last: i64| {
            let tie = SavedTie {
                first: 1,
                last,
                flows: 1,
                up: 1,
                down: 1,
                resps: Vec::new(),
                transport: 6,
                name: Some(format!("www.site-{n}.example")),
                background: false,
                under_way: false,
                literal_host: false,
                script: None,
                day: 0,
                sent: (0, 1),
                several: false,
            };
            Saved::Tie(Box::new(tie)).record((host, n))
        };
        // The third has no tie any more, and the ninth is no more itself.
        let owners = [owner(1, 10), owner(2, 20), owner(3, 15)];
        let ties = [tie(7, 1, 90), tie(7, 2, 30), tie(8, 1, 40), tie(8, 9, 99)];
        for record in owners.iter().chain(&ties) {
            profiles.restore(record, &mut restoring).unwrap();
        }
        profiles.restored(restoring);
        assert_eq!(profiles.tenants.all().map(|(id, _)| id.0).collect::<Vec<_>>(), [3, 2, 1]);
        let ties: Vec<_> = profiles.ties.iter().map(|((host, owner), _)| (host.0, owner.0)).collect();
        assert_eq!(ties, [(7, 2), (8, 1), (7, 1)]);
    }
}
