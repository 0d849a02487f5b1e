//! A baseline as a thing to look at: shown, compared, joined with another's, written down and read back.
//!
//! Works on records alone, so it says what the file says. What another stage remembers (meters, calibration) is carried
//! along as bytes.

use super::maturity::READY_DAYS;
use super::saved::{Saved, SavedApproval, SavedFleet, SavedHost, SavedOwner, SavedTie};
use crate::base::{BadRecord, Kind, Record, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Things by kind and key.
pub(super) type Keyed<T> = BTreeMap<(Kind, (u32, u32)), T>;

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Baseline {
    known: Keyed<Saved>,
    /// Of other stages.
    others: Keyed<Record>,
}

/// A host in a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShownHost {
    pub(crate) key: String,
    pub(crate) ip: String,
    pub(crate) name: Option<String>,
    pub(crate) active_days: u16,
    /// Destinations it met that are still tied to it.
    pub(crate) owners: usize,
    /// Share of its contacts that are first ones, by its own experience and a rate of one in five for want of it.
    pub(crate) chance_of_new: f64,
    pub(crate) most_bytes_out: u64,
    pub(crate) last_seen: Timestamp,
}

/// What is in a file, in numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Overview {
    pub(crate) span: Option<(Timestamp, Timestamp)>,
    pub(crate) hosts: usize,
    pub(crate) ready_hosts: usize,
    pub(crate) owners: usize,
    pub(crate) ties: usize,
    pub(crate) waiting: usize,
    pub(crate) held: usize,
    pub(crate) meters: usize,
    pub(crate) utc_offset_s: i32,
    pub(crate) approvals: Vec<SavedApproval>,
    pub(crate) inside: Inside,
}

/// What the stages behind this one remember, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) machines: usize,
    pub(crate) cases: usize,
    pub(crate) hops: usize,
    pub(crate) stories: usize,
    pub(crate) alerts: usize,
}

/// What is in one baseline and not in the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) hosts: [Vec<String>; 2],
    pub(crate) owners: [Vec<String>; 2],
    /// Host and owner, of those that are in both.
    pub(crate) ties: [Vec<(String, String)>; 2],
}

impl Baseline {
    /// Reads records.
    pub(crate) fn read(records: &[Record]) -> Result<Self, BadRecord> {
        let mut baseline = Self { known: BTreeMap::new(), others: BTreeMap::new() };
        for record in records {
            match Saved::read(record)? {
                Some(saved) => drop(baseline.known.insert((record.kind, record.key), saved)),
                None => drop(baseline.others.insert((record.kind, record.key), record.clone())),
            }
        }
        Ok(baseline)
    }

    /// The records again.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        let known = self.known.iter().map(|((_, key), saved)| saved.record(*key));
        known.chain(self.others.values().cloned())
    }

    /// What it holds, in numbers.
    pub(crate) fn overview(&self) -> Overview {
        let count = |kind| self.known.keys().filter(|(of, _)| *of == kind).count();
        let fleet = self.fleet();
        let other = |kind| self.others.keys().filter(|(of, _)| *of == kind).count();
        let ready = |host: &&SavedHost| host.habit.as_ref().is_some_and(|habit| habit.age.active_days() > READY_DAYS);
        Overview {
            span: fleet.and_then(|fleet| fleet.span).map(|(first, last)| (Timestamp(first), Timestamp(last))),
            hosts: count(Kind::Host),
            ready_hosts: self.hosts().map(|(_, host)| host).filter(ready).count(),
            owners: count(Kind::Owner),
            ties: count(Kind::Tie),
            waiting: count(Kind::Waiting),
            held: count(Kind::Held),
            meters: other(Kind::Meter),
            utc_offset_s: fleet.map_or(0, |fleet| fleet.utc_offset_s),
            approvals: self.approvals().map(|(_, approval)| approval.clone()).collect(),
            inside: Inside {
                machines: other(Kind::Log),
                cases: other(Kind::Case),
                hops: other(Kind::Hop),
                stories: other(Kind::Chain) + other(Kind::Cluster),
                alerts: other(Kind::Alert),
            },
        }
    }

    /// Its hosts, in the order of their addresses.
    pub(crate) fn shown_hosts(&self) -> Vec<ShownHost> {
        let mut owners: BTreeMap<u32, usize> = BTreeMap::new();
        for (kind, (host, _)) in self.known.keys().filter(|(kind, _)| *kind == Kind::Tie) {
            debug_assert_eq!(*kind, Kind::Tie);
            *owners.entry(*host).or_default() += 1;
        }
        let mut shown: Vec<_> = self.hosts().collect();
        shown.sort_by_key(|(_, host)| host.ip);
        let day = |host: &SavedHost| i32::try_from(Timestamp(host.last_seen).utc_day()).unwrap_or(i32::MAX);
        let line = |(id, host): (u32, &SavedHost)| ShownHost {
            key: host.key.clone(),
            ip: host.ip.to_string(),
            name: host.name.as_ref().map(|(name, _)| name.clone()),
            active_days: host.habit.as_ref().map_or(0, |habit| habit.age.active_days()),
            owners: owners.get(&id).copied().unwrap_or(0),
            chance_of_new: host.habit.as_ref().map_or(1.0, |habit| habit.novelty.chance(day(host), 0.2, 1.0)),
            most_bytes_out: host.days.as_ref().map_or(0, super::host_days::HostDays::most_bytes_out),
            last_seen: Timestamp(host.last_seen),
        };
        shown.into_iter().map(line).collect()
    }

    /// What is in one and not in the other: here first, there second.
    pub(crate) fn difference(&self, other: &Self) -> Difference {
        let (here, there) = (self.names(), other.names());
        let apart = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
        let shared = |pair: &&(String, String)| here.hosts.contains(&pair.0) && there.hosts.contains(&pair.0);
        let ties = |a: &BTreeSet<(String, String)>, b: &BTreeSet<(String, String)>| {
            a.difference(b).filter(shared).cloned().collect::<Vec<_>>()
        };
        Difference {
            hosts: [apart(&here.hosts, &there.hosts), apart(&there.hosts, &here.hosts)],
            owners: [apart(&here.owners, &there.owners), apart(&there.owners, &here.owners)],
            ties: [ties(&here.ties, &there.ties), ties(&there.ties, &here.ties)],
        }
    }

    pub(super) fn fleet(&self) -> Option<&SavedFleet> {
        match self.known.get(&(Kind::Fleet, (0, 0)))? {
            Saved::Fleet(fleet) => Some(fleet),
            _ => None,
        }
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = (u32, &SavedHost)> {
        self.known.iter().filter_map(|((_, (id, _)), saved)| match saved {
            Saved::Host(host) => Some((*id, &**host)),
            _ => None,
        })
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = (u32, &SavedOwner)> {
        self.known.iter().filter_map(|((_, (id, _)), saved)| match saved {
            Saved::Owner(owner) => Some((*id, &**owner)),
            _ => None,
        })
    }

    pub(super) fn ties(&self) -> impl Iterator<Item = ((u32, u32), &SavedTie)> {
        self.known.iter().filter_map(|((_, key), saved)| match saved {
            Saved::Tie(tie) => Some((*key, &**tie)),
            _ => None,
        })
    }

    pub(super) fn approvals(&self) -> impl Iterator<Item = (u32, &SavedApproval)> {
        self.known.iter().filter_map(|((_, (n, _)), saved)| match saved {
            Saved::Approval(approval) => Some((*n, &**approval)),
            _ => None,
        })
    }

    fn names(&self) -> Names {
        let hosts: BTreeMap<u32, String> = self.hosts().map(|(id, host)| (id, host.key.clone())).collect();
        let owners: BTreeMap<u32, String> = self.owners().map(|(id, owner)| (id, owner.key.clone())).collect();
        let named = |(host, owner): (u32, u32)| Some((hosts.get(&host)?.clone(), owners.get(&owner)?.clone()));
        let ties = self.ties().filter(|(_, tie)| !tie.background).filter_map(|(key, _)| named(key)).collect();
        Names { ties, hosts: hosts.into_values().collect(), owners: owners.into_values().collect() }
    }

    pub(super) const fn parts(&self) -> (&Keyed<Saved>, &Keyed<Record>) {
        (&self.known, &self.others)
    }

    pub(super) const fn of_parts(known: Keyed<Saved>, others: Keyed<Record>) -> Self {
        Self { known, others }
    }
}

/// Hosts, owners and ties by what they are told by in every run.
struct Names {
    hosts: BTreeSet<String>,
    owners: BTreeSet<String>,
    ties: BTreeSet<(String, String)>,
}
