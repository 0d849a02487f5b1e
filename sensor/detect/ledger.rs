//! What a detector has noted, bounded, and which of it has not been told yet.

use super::finding::Finding;
use super::{Said, Which};
use crate::base::{Budget, Capped, Table};
use std::collections::BTreeSet;
use std::hash::Hash;

/// Notes by subject; the one not touched for longest makes room.
#[derive(Debug)]
pub(super) struct Ledger<K, V> {
    noted: Capped<K, V>,
    untold: BTreeSet<K>,
}

impl<K: Copy + Ord + Hash, V> Ledger<K, V> {
    pub(super) fn new(budget: Budget) -> Self {
        Self { noted: Capped::new(budget), untold: BTreeSet::new() }
    }

    /// The note about `key`, made when there is none; it will be told at the next step.
    pub(super) fn note(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        self.untold.insert(key);
        // What made room is not told any more; a flood of subjects between two steps must not outgrow the notes.
        if self.untold.len() > self.noted.len().saturating_mul(2).saturating_add(FREE) {
            self.untold.retain(|key| self.noted.get(key).is_some());
            self.untold.insert(key);
        }
        self.noted.entry(key, new)
    }

    /// Likewise, but what is noted already is left alone and not told again.
    pub(super) fn note_once(&mut self, key: K, new: impl FnOnce() -> V) {
        if self.noted.get(&key).is_none() {
            self.note(key, new);
        }
    }

    /// The note about `key` when there is one; it will be told again at the next step.
    pub(super) fn amend(&mut self, key: &K) -> Option<&mut V> {
        let note = self.noted.get_mut(key)?;
        self.untold.insert(*key);
        Some(note)
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.noted.get(key)
    }

    /// Says what was touched since it was last asked for that, in the order of keys, or everything, in an order that
    /// depends on the observations alone.
    pub(super) fn say(&mut self, which: Which, said: &mut Said, tell: impl Fn(&K, &V) -> Option<Finding>) {
        match which {
            Which::Untold => {
                for key in std::mem::take(&mut self.untold) {
                    said.findings.extend(self.noted.get(&key).and_then(|note| tell(&key, note)));
                }
            }
            Which::All => said.findings.extend(self.noted.iter().filter_map(|(key, note)| tell(key, note))),
        }
    }

    /// How it stands; what is untold is part of what is noted.
    pub(super) fn table(&self) -> Table {
        self.noted.table()
    }
}

/// Untold subjects that are not worth a look.
const FREE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_subjects_is_told_as_far_as_it_is_noted_and_fills_no_more_than_the_table() {
        let mut ledger = Ledger::new(Budget::new("flood", 100, 0));
        for subject in 0..100_000_u32 {
            ledger.note(subject, || subject);
            assert!(ledger.untold.len() <= 2 * 100 + FREE + 1);
        }
        let told = std::cell::RefCell::new(Vec::new());
        ledger.say(Which::Untold, &mut Said::default(), |subject, _| {
            told.borrow_mut().push(*subject);
            None
        });
        assert_eq!(told.into_inner(), (99_900..100_000).collect::<Vec<_>>());
        assert_eq!(ledger.table().evicted, 99_900);
    }
}
