//! Two baselines as one: what either knew is known, under the ids of the first.
//!
//! A host is the same when what tells it in every run is (hardware address, name, first address), an owner when its key
//! is. Pollers of the second are left out: they are found again from its meters within an hour.

use super::baseline::Baseline;
use super::habits::Habit;
use super::saved::{Saved, SavedFleet, SavedHost, SavedOwner, SavedTie};
use crate::base::{Kind, Record};
use std::collections::BTreeMap;

impl Baseline {
    /// Adds another baseline to this one. `others` joins the records of the stages behind this one: of this baseline, of
    /// the other one, and which ids the latter have in the joint one; these come
    /// back, for what the file keeps besides.
    pub(crate) fn merge<E>(
        &mut self,
        other: &Self,
        others: impl FnOnce(&[Record], &[Record], &Renamed) -> Result<Vec<Record>, E>,
    ) -> Result<Renamed, E> {
        let ids = Renamed::new(self, other);
        let later = |baseline: &Self| {
            let later = baseline.parts().1.values().filter(|record| record.kind >= Kind::Watch);
            later.cloned().collect::<Vec<_>>()
        };
        let joined = others(&later(self), &later(other), &ids)?;
        let (known, others) = self.parts();
        let (mut known, mut others) = (known.clone(), others.clone());
        others.retain(|(kind, _), _| *kind < Kind::Watch);
        others.extend(joined.into_iter().map(|record| ((record.kind, record.key), record)));
        let (theirs, their_others) = other.parts();
        let pairs: Vec<(u32, u32)> = ids.hosts.iter().map(|(old, new)| (*old, *new)).collect();
        let mut approvals =
            known.keys().filter(|(kind, _)| *kind == Kind::Approval).map(|(_, (n, _))| n.saturating_add(1)).max();
        for ((kind, key), saved) in theirs {
            let key = match kind {
                Kind::Fleet | Kind::Peers => Some(*key),
                Kind::Host => ids.host(key.0).map(|host| (host, 0)),
                Kind::Owner => ids.owner(key.0).map(|owner| (owner, 0)),
                Kind::Day => ids.host(key.1).map(|host| (key.0, host)),
                Kind::Approval => {
                    let next = approvals.unwrap_or(0);
                    approvals = Some(next.saturating_add(1));
                    Some((next, 0))
                }
                _ => ids.host(key.0).zip(ids.owner(key.1)),
            };
            // What it knows of a host or owner that it has forgotten is nobody's.
            let Some(key) = key else { continue };
            let mut saved = saved.clone();
            match &mut saved {
                Saved::Owner(owner) => {
                    owner.users = owner.users.iter().filter_map(|(host, ts)| Some((ids.host(*host)?, *ts))).collect();
                }
                Saved::Host(host) => host.dealings = host.dealings.as_ref().map(|theirs| theirs.renamed(&pairs)),
                _ => {}
            }
            match known.get_mut(&(*kind, key)) {
                Some(own) => own.merge(&saved),
                None => drop(known.insert((*kind, key), saved)),
            }
        }
        // What one of them knows needs no quarantine in the other.
        let ours = |key: &(u32, u32)| self.parts().0.contains_key(&(Kind::Waiting, *key));
        let tied = |key: &(u32, u32)| self.parts().0.contains_key(&(Kind::Tie, *key));
        known.retain(|(kind, key), _| *kind != Kind::Waiting || ours(key) || !tied(key));
        for ((kind, key), record) in their_others {
            let key = match kind {
                Kind::Meter => ids.host(key.0).zip(ids.owner(key.1)),
                Kind::Calibration => Some(*key),
                _ => None,
            };
            let Some(key) = key else { continue };
            others.entry((*kind, key)).or_insert_with(|| Record { key, ..record.clone() });
        }
        if let Some(Saved::Fleet(fleet)) = known.get_mut(&(Kind::Fleet, (0, 0))) {
            (fleet.next_host, fleet.next_owner) = ids.next;
        }
        *self = Self::of_parts(known, others);
        Ok(ids)
    }
}

/// Ids of the second baseline → ids of the joint one.
#[derive(Debug)]
pub(crate) struct Renamed {
    hosts: BTreeMap<u32, u32>,
    owners: BTreeMap<u32, u32>,
    next: (u32, u32),
}

impl Renamed {
    fn new(one: &Baseline, two: &Baseline) -> Self {
        let next = one.fleet().map_or((0, 0), |fleet| (fleet.next_host, fleet.next_owner));
        let known: BTreeMap<&str, u32> = one.hosts().map(|(id, host)| (host.key.as_str(), id)).collect();
        let (hosts, next_host) = mapped(two.hosts().map(|(id, host)| (id, host.key.as_str())), &known, next.0);
        let known: BTreeMap<&str, u32> = one.owners().map(|(id, owner)| (owner.key.as_str(), id)).collect();
        let (owners, next_owner) = mapped(two.owners().map(|(id, owner)| (id, owner.key.as_str())), &known, next.1);
        Self { hosts, owners, next: (next_host, next_owner) }
    }

    pub(crate) fn host(&self, id: u32) -> Option<u32> {
        self.hosts.get(&id).copied()
    }

    pub(crate) fn owner(&self, id: u32) -> Option<u32> {
        self.owners.get(&id).copied()
    }

    /// A pair of the index on disk under the joint ids; `None` when one of the two is forgotten.
    pub(crate) fn meeting(&self, record: Record) -> Option<Record> {
        let (of, with) = record.key;
        let of = if record.kind == Kind::Met { self.owner(of) } else { self.host(of) };
        Some(Record { key: (of?, self.host(with)?), ..record })
    }

    /// The same ids on both sides: of the first baseline.
    pub(crate) fn of(one: &Baseline) -> Self {
        Self::new(one, one)
    }
}

fn mapped<'a>(
    ids: impl Iterator<Item = (u32, &'a str)>,
    known: &BTreeMap<&str, u32>,
    mut next: u32,
) -> (BTreeMap<u32, u32>, u32) {
    let mut map = BTreeMap::new();
    for (id, key) in ids {
        let new = known.get(key).copied().unwrap_or_else(|| {
            next = next.saturating_add(1);
            next.saturating_sub(1)
        });
        map.insert(id, new);
    }
    (map, next)
}

impl Saved {
    /// Adds what the other baseline says of the same thing.
    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Fleet(own), Self::Fleet(theirs)) => own.merge(theirs),
            (Self::Host(own), Self::Host(theirs)) => own.merge(theirs),
            (Self::Owner(own), Self::Owner(theirs)) => own.merge(theirs),
            (Self::Tie(own), Self::Tie(theirs)) => own.merge(theirs),
            (Self::Peers(own), Self::Peers(theirs)) => {
                own.novelty.merge(&theirs.novelty);
                own.days.merge(&theirs.days);
            }
            (Self::Waiting(own), Self::Waiting(theirs)) => own.ts = own.ts.min(theirs.ts),
            (Self::Held(own), Self::Held(theirs)) => *own = (*own).max(*theirs),
            (Self::Day(own), Self::Day(theirs)) => own.sums.merge(&theirs.sums),
            _ => {}
        }
    }
}

impl SavedFleet {
    fn merge(&mut self, other: &Self) {
        self.fleet.begun = self.fleet.begun.into_iter().chain(other.fleet.begun).min();
        self.fleet.novelty.merge(&other.fleet.novelty);
        self.fleet.by_users.merge(&other.fleet.by_users);
        self.fleet.by_age.merge(&other.fleet.by_age);
        self.days.merge(&other.days);
        let widest = |(today, begun): (i32, i32), (day, first): (i32, i32)| (today.max(day), begun.min(first));
        self.day = both(self.day, other.day, widest);
        self.span = both(self.span, other.span, |a, b| (a.0.min(b.0), a.1.max(b.1)));
        self.firsts = self.firsts.saturating_add(other.firsts);
        self.lone_firsts = self.lone_firsts.saturating_add(other.lone_firsts);
    }
}

impl SavedHost {
    fn merge(&mut self, other: &Self) {
        if other.last_seen > self.last_seen {
            (self.ip, self.last_seen) = (other.ip, other.last_seen);
            self.addresses.clone_from(&other.addresses);
        }
        if other.first_seen < self.first_seen {
            (self.first_ip, self.first_seen) = (other.first_ip, other.first_seen);
        }
        self.mac = self.mac.or(other.mac);
        self.label = self.label.take().or_else(|| other.label.clone());
        self.name = self.name.take().or_else(|| other.name.clone());
        self.firsts = self.firsts.saturating_add(other.firsts);
        match (&mut self.habit, &other.habit) {
            (Some(own), Some(theirs)) => own.merge(theirs),
            (own, theirs) => *own = own.take().or_else(|| theirs.clone()),
        }
        match (&mut self.days, &other.days) {
            (Some(own), Some(theirs)) => own.merge(theirs),
            (own, theirs) => *own = own.take().or_else(|| theirs.clone()),
        }
        match (&mut self.dealings, &other.dealings) {
            (Some(own), Some(theirs)) => own.merge(theirs),
            (own, theirs) => *own = own.take().or_else(|| theirs.clone()),
        }
    }
}

impl Habit {
    fn merge(&mut self, other: &Self) {
        self.age.merge(&other.age);
        self.novelty.merge(&other.novelty);
        self.seen.merge(&other.seen);
    }
}

impl SavedOwner {
    fn merge(&mut self, other: &Self) {
        for (host, ts) in &other.users {
            match self.users.iter_mut().find(|(known, _)| known == host) {
                Some((_, first)) => *first = (*first).min(*ts),
                None => self.users.push((*host, *ts)),
            }
        }
        self.more = self.more.max(other.more);
        match (&mut self.destination, &other.destination) {
            (Some(own), Some(theirs)) => own.merge(theirs),
            (own, theirs) => *own = own.take().or_else(|| theirs.clone()),
        }
    }
}

impl SavedTie {
    fn merge(&mut self, other: &Self) {
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
        self.flows = self.flows.saturating_add(other.flows);
        self.up = self.up.saturating_add(other.up);
        self.down = self.down.saturating_add(other.down);
        self.background &= other.background;
        self.under_way |= other.under_way;
        self.literal_host |= other.literal_host;
        self.name = self.name.take().or_else(|| other.name.clone());
        self.script = self.script.take().or_else(|| other.script.clone());
        self.day = self.day.max(other.day);
    }
}

fn both<T: Copy>(a: Option<T>, b: Option<T>, join: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(join(a, b)),
        (a, b) => a.or(b),
    }
}
