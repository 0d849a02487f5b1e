//! Addresses behind which there are several machines: translators (NAT) and proxies (`detection.md` §6).
//!
//! What such an address meets first says nothing about a machine, and what it did is nobody's act: such a host is never
//! named as affected. A translator is told by connections of several operating systems from one address together with
//! more destinations an hour than people meet; a proxy by being asked for destinations of others, or by declaration.
//! Limits: a translator in front of machines of one make looks like one busy machine.

use super::hosts::HostId;
use crate::base::{Budget, Capped, Table, Timestamp};
use crate::event::Hints;
use std::time::Duration;

/// Why an address is several machines'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SharedBy {
    /// It speaks for machines behind it.
    Nat,
    /// It fetches for machines that ask it.
    Proxy,
}

impl SharedBy {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Proxy => "proxy",
        }
    }
}

/// All that speaks for an address being shared.
#[derive(Debug)]
pub(super) struct Shared {
    habits: Capped<HostId, Habit>,
    known: Capped<HostId, (SharedBy, Timestamp)>,
}

/// What one address shows.
#[derive(Debug, Default)]
struct Habit {
    /// Digests of SYN options with the class of the hop limit they started from.
    shapes: Vec<u32>,
    hour: i64,
    /// Destination owners of the hour, by linear counting; only where there are several shapes.
    owners: Option<Box<[u64; WORDS]>>,
    /// Who asked it to fetch.
    clients: Vec<HostId>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            habits: Capped::new(Budget::new("shared.habits", MAX_HOSTS, 64)),
            known: Capped::new(Budget::new("shared.known", MAX_SHARED, 0)),
        }
    }

    /// A connection of `host` to the outside ended; `owner` is whom it was with.
    pub(super) fn connected(&mut self, host: HostId, hints: &Hints, owner: u32, ts: Timestamp) {
        let (Some(syn), Some(hops)) = (hints.syn, hints.hop_limit) else { return };
        let start: u32 = match hops {
            0..=64 => 64,
            65..=128 => 128,
            _ => 255,
        };
        let habit = self.habits.entry(host, Habit::default);
        let shape = start << 16 | u32::from(syn);
        if !habit.shapes.contains(&shape) && habit.shapes.len() < MAX_SHAPES {
            habit.shapes.push(shape);
        }
        if habit.shapes.len() < MIN_SHAPES {
            return;
        }
        let hour = ts.secs().div_euclid(3600);
        let owners = habit.owners.get_or_insert_with(|| Box::new([0; WORDS]));
        if habit.hour != hour {
            (habit.hour, **owners) = (hour, [0; WORDS]);
        }
        // Fibonacci hashing spreads ids that count up.
        let bit = owner.wrapping_mul(0x9e37_79b9) >> (32 - BITS.trailing_zeros());
        if let Some(word) = owners.get_mut(bit as usize / 64) {
            *word |= 1 << (bit % 64);
        }
        let set: u32 = owners.iter().map(|word| word.count_ones()).sum();
        if set >= MANY_BITS {
            self.known.insert(host, (SharedBy::Nat, ts));
        }
    }

    /// `client` asked `proxy` to fetch something from elsewhere.
    pub(super) fn fetched_for(&mut self, proxy: HostId, client: HostId, ts: Timestamp) {
        let habit = self.habits.entry(proxy, Habit::default);
        if !habit.clients.contains(&client) && habit.clients.len() < MIN_CLIENTS {
            habit.clients.push(client);
        }
        if habit.clients.len() >= MIN_CLIENTS {
            self.known.insert(proxy, (SharedBy::Proxy, ts));
        }
    }

    /// Whether several machines are behind `host` at `now`.
    pub(super) fn by(&self, host: HostId, now: Timestamp) -> Option<SharedBy> {
        self.known.get(&host).filter(|(_, seen)| now.since(*seen) <= HOLDS).map(|(by, _)| *by)
    }

    /// Who ever was, in the order of their ids.
    pub(super) fn all(&self) -> Vec<HostId> {
        let mut all: Vec<_> = self.known.iter().map(|(host, _)| *host).collect();
        all.sort_unstable();
        all
    }

    pub(super) fn tables(&self) -> [Table; 2] {
        [self.habits.table(), self.known.table()]
    }
}

/// `detection.md` §6: more than one shape, more than 300 owners an hour.
const MIN_SHAPES: usize = 2;
/// Shapes remembered; more tell nothing more.
const MAX_SHAPES: usize = 4;
/// Bits of the hour's counting, 128 bytes a host with several shapes.
const BITS: u32 = 1024;
const WORDS: usize = BITS as usize / 64;
/// Bits that 300 owners set: BITS · (1 − e^(−300/BITS)) (Whang et al. 1990, linear counting).
const MANY_BITS: u32 = 260;
/// One client may run a test; three do not by accident.
const MIN_CLIENTS: usize = 3;
/// A week without a sign of it, and the address is somebody's again.
const HOLDS: Duration = Duration::from_hours(7 * 24);
/// Hosts watched, 90 bytes each.
const MAX_HOSTS: usize = 300_000;
/// Shared addresses of a site: its proxies, translators, terminal servers.
const MAX_SHARED: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translator_is_told_by_several_systems_and_more_owners_than_people_meet() {
        for (what, shapes, owners, hours, expected) in [
            ("one system, many owners: a busy machine", 1_u16, 2000, 1, None),
            ("two systems, few owners: a machine with a guest system", 2, 100, 1, None),
            ("two systems, many owners in one hour", 2, 400, 1, Some(SharedBy::Nat)),
            ("two systems, many owners over a day", 2, 400, 24, None),
        ] {
            let mut shared = Shared::new();
            for n in 0..owners {
                let ts = Timestamp::from_secs(i64::from(n) * 3600 * hours / i64::from(owners));
                let hints =
                    Hints { hop_limit: Some(60), syn: Some(u16::try_from(n).unwrap() % shapes), unseen_bytes: 0 };
                shared.connected(HostId(1), &hints, n, ts);
            }
            assert_eq!(shared.by(HostId(1), Timestamp::from_secs(3600 * hours)), expected, "{what}");
        }
    }

    #[test]
    fn a_proxy_is_who_fetches_for_others() {
        let mut shared = Shared::new();
        for client in 2..5 {
            assert_eq!(shared.by(HostId(1), Timestamp(0)), None);
            shared.fetched_for(HostId(1), HostId(client), Timestamp(0));
        }
        assert_eq!(shared.by(HostId(1), Timestamp(0)), Some(SharedBy::Proxy));
        assert_eq!(shared.by(HostId(1), Timestamp::from_secs(700_000)), None, "a week without a client");
    }
}
