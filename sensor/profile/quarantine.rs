//! What may not be learned yet, and what may never be: 48 hours of quarantine for new contacts (`detection.md` §2.6).
//!
//! An intruder's destinations must not become usual while he is being found. What an open incident names is held until
//! somebody says it was benign. Bounded: an entry that makes room is not learned, so a flood delays learning and
//! never hastens it.

use super::hosts::HostId;
use super::tenants::TenantId;
use crate::base::{Budget, Capped, Table, Timestamp};
use std::time::Duration;

/// A host and whom it met.
pub(super) type Pair = (HostId, TenantId);

/// First contacts that wait, and pairs that open incidents name.
#[derive(Debug)]
pub(super) struct Quarantine {
    /// In the order they were judged.
    waiting: Capped<Pair, Waiting>,
    held: Capped<Pair, Timestamp>,
}

/// A first contact that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) ts: Timestamp,
    /// How far it is learned already.
    pub(super) learned: Learned,
}

/// How far a first contact is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    /// Counted, because the fleet was new: only the memory of the pair waits.
    Counted,
    Nothing,
}

impl Quarantine {
    pub(super) fn new() -> Self {
        Self {
            waiting: Capped::new(Budget::new("quarantine.waiting", MAX_WAITING, 0)),
            held: Capped::new(Budget::new("quarantine.held", MAX_HELD, 0)),
        }
    }

    /// A first contact begins to wait.
    pub(super) fn wait(&mut self, pair: Pair, waiting: Waiting) {
        self.waiting.insert(pair, waiting);
    }

    /// A pair that waits; looks without touching, so the order stays.
    pub(super) fn waiting(&self, pair: Pair) -> Option<Waiting> {
        self.waiting.get(&pair).copied()
    }

    /// Takes a pair out unlearned.
    pub(super) fn forget(&mut self, pair: Pair) -> Option<Waiting> {
        self.waiting.remove(&pair)
    }

    /// An open incident names the pair: it never learns.
    pub(super) fn hold(&mut self, pair: Pair, ts: Timestamp) {
        self.waiting.remove(&pair);
        self.held.insert(pair, ts);
    }

    pub(super) fn is_held(&self, pair: Pair) -> bool {
        self.held.get(&pair).is_some()
    }

    /// When an incident named the pair.
    pub(super) fn held_since(&self, pair: Pair) -> Option<Timestamp> {
        self.held.get(&pair).copied()
    }

    /// The next pair whose time is over at `now`.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<(Pair, Waiting)> {
        let (pair, waiting) = self.waiting.iter().next().map(|(pair, waiting)| (*pair, *waiting))?;
        if now < waiting.ts.plus(DELAY) {
            return None;
        }
        self.waiting.remove(&pair);
        Some((pair, waiting))
    }

    /// Everything that waits, in order.
    pub(super) fn all_waiting(&self) -> impl Iterator<Item = (Pair, Waiting)> {
        self.waiting.iter().map(|(pair, waiting)| (*pair, *waiting))
    }

    /// Everything held, in order.
    pub(super) fn all_held(&self) -> impl Iterator<Item = (Pair, Timestamp)> {
        self.held.iter().map(|(pair, ts)| (*pair, *ts))
    }

    pub(super) fn tables(&self) -> [Table; 2] {
        [self.waiting.table(), self.held.table()]
    }
}

/// `detection.md` §2.6.
pub(super) const DELAY: Duration = Duration::from_hours(48);
/// First contacts of two days, 64 bytes each: some fourteen a day from each of 250,000 hosts. What makes room is met for the
/// first time again and again: a simulated fleet of 100,000 lost a million a day with room for one million.
const MAX_WAITING: usize = 7_000_000;
/// Pairs of open incidents.
const MAX_HELD: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(n: u32) -> Pair {
        (HostId(n), TenantId(7))
    }

    #[test]
    fn a_contact_waits_two_days_unless_an_incident_names_it() {
        let mut quarantine = Quarantine::new();
        for n in 0..4 {
            let ts = Timestamp::from_secs(i64::from(n) * 3600);
            quarantine.wait(pair(n), Waiting { ts, learned: Learned::Nothing });
        }
        quarantine.hold(pair(1), Timestamp::from_secs(9000));
        quarantine.forget(pair(2));
        let mut due = |s| std::iter::from_fn(|| quarantine.due(Timestamp::from_secs(s))).map(|(p, _)| p.0.0).collect();
        let none: Vec<u32> = due(48 * 3600 - 1);
        assert!(none.is_empty());
        let first: Vec<u32> = due(48 * 3600);
        let rest: Vec<u32> = due(1_000_000);
        assert_eq!((first, rest), (vec![0], vec![3]));
        assert!(quarantine.is_held(pair(1)) && !quarantine.is_held(pair(0)));
    }
}
