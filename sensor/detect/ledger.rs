//! What a detector has noted, bounded, and which of it has not been told yet.

use super::finding::Finding;
use super::{Said, Which};
use crate::base::Capped;
use std::collections::BTreeSet;
use std::hash::Hash;

/// Notes by subject; the one not touched for longest makes room.
#[derive(Debug)]
pub(super) struct Ledger<K, V> {
    noted: Capped<K, V>,
    untold: BTreeSet<K>,
}

impl<K: Copy + Ord + Hash, V> Ledger<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { noted: Capped::new(capacity), untold: BTreeSet::new() }
    }

    /// The note about `key`, made when there is none; it will be told at the next step.
    pub(super) fn note(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        self.untold.insert(key);
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

    pub(super) const fn evicted(&self) -> u64 {
        self.noted.evicted()
    }
}
