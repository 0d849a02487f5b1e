//! What a detector has noted, bounded, and which of it has not been told yet.

use super::finding::Finding;
use super::memory::{Entry, Kept, Memory, Taken};
use super::renamed::{Key, Renames};
use super::{Said, Which};
use crate::base::{Budget, Record, Table};
use crate::profile::{Extent, Renamed};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Notes by subject; the one not touched for longest makes room.
#[derive(Debug)]
pub(super) struct Ledger<K, V> {
    noted: Kept<K, Note<V>>,
    /// Subjects touched since the last step, each once for as long as it is held.
    untold: Vec<K>,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Note<V> {
    about: V,
    untold: bool,
}

impl<V: Renames> Renames for Note<V> {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { about: self.about.renamed(ids)?, untold: self.untold })
    }
}

impl<K: Key, V: Serialize + DeserializeOwned + Renames> Memory for Ledger<K, V> {
    #[cfg(test)]
    fn name(&self) -> &'static str {
        self.noted.name()
    }

    fn keep_track(&mut self) {
        self.noted.keep_track();
    }

    fn save(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        self.noted.save(extent, put);
    }

    fn restore(&mut self, entry: &Entry, ids: Option<&Renamed>) -> Taken {
        match self.noted.take(entry, ids) {
            Ok(key) => {
                self.untold.extend(self.noted.get(&key).filter(|note| note.untold).map(|_| key));
                Taken::In
            }
            Err(taken) => taken,
        }
    }
}

impl<K: Key, V> Ledger<K, V> {
    pub(super) fn new(budget: Budget) -> Self {
        Self { noted: Kept::new(budget), untold: Vec::new() }
    }

    /// The note about `key`, made when there is none; it will be told at the next step.
    pub(super) fn note(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        self.prune();
        let note = self.noted.entry(key.clone(), || Note { about: new(), untold: false });
        if !std::mem::replace(&mut note.untold, true) {
            self.untold.push(key);
        }
        &mut note.about
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
        if !std::mem::replace(&mut note.untold, true) {
            self.untold.push(key.clone());
        }
        Some(&mut note.about)
    }

    /// The note about `key` when there is one, to change in what is not told.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.noted.get_mut(key).map(|note| &mut note.about)
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.noted.get(key).map(|note| &note.about)
    }

    /// Says what was touched since it was last asked for that, in the order of keys, or everything, in an order that
    /// depends on the observations alone.
    pub(super) fn say(&mut self, which: Which, said: &mut Said, tell: impl Fn(&K, &V) -> Option<Finding>) {
        match which {
            Which::Untold => {
                self.untold.sort_unstable_by(|a, b| b.cmp(a));
                self.untold.dedup();
                // One at a time: a telling that panics must not take along what comes after it.
                while let Some(key) = self.untold.pop() {
                    if let Some(note) = self.noted.peek_mut(&key) {
                        note.untold = false;
                        said.findings.extend(tell(&key, &note.about));
                    }
                }
            }
            Which::All => said.findings.extend(self.noted.iter().filter_map(|(key, note)| tell(key, &note.about))),
        }
    }

    /// How it stands; what is untold is part of what is noted.
    pub(super) fn table(&self) -> Table {
        self.noted.table()
    }

    /// What made room is not told any more; a flood of subjects between two steps must not outgrow the notes.
    fn prune(&mut self) {
        if self.untold.len() > self.noted.len().saturating_mul(2).saturating_add(FREE) {
            self.untold.sort_unstable();
            self.untold.dedup();
            self.untold.retain(|key| self.noted.get(key).is_some());
        }
    }
}

/// Untold subjects that are not worth a look.
const FREE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telling_that_panics_takes_none_of_the_others_along() {
        let mut ledger = Ledger::new(Budget::new("few", 9, 0));
        (1..=4).for_each(|key| *ledger.note(key, || 0) += 1);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            ledger.say(Which::Untold, &mut Said::default(), |key, _| match key {
                2 => panic!("what cannot be told"),
                _ => None,
            });
        }));
        assert!(failed.is_err());
        assert_eq!(told(&mut ledger), [(3, 1), (4, 1)]);
        *ledger.amend(&2).unwrap() += 1;
        assert_eq!(told(&mut ledger), [(2, 2)], "it is asked again when it is touched again");
    }

    #[test]
    fn what_was_touched_is_told_once_in_the_order_of_keys_and_what_made_room_is_not() {
        let mut ledger = Ledger::new(Budget::new("few", 3, 0));
        for key in [5, 3, 5, 9, 7, 3] {
            *ledger.note(key, || 0) += 1;
        }
        assert_eq!(told(&mut ledger), [(3, 1), (7, 1), (9, 1)], "5 and the first 3 made room");
        assert_eq!(told(&mut ledger), [], "nothing was touched since");
        ledger.note_once(7, || 8);
        *ledger.amend(&9).unwrap() += 1;
        assert_eq!(told(&mut ledger), [(9, 2)]);
    }

    #[test]
    fn a_flood_of_subjects_is_told_as_far_as_it_is_noted_and_fills_no_more_than_the_table() {
        let mut ledger = Ledger::new(Budget::new("flood", 100, 0));
        for subject in 0..100_000 {
            ledger.note(subject, || subject);
            assert!(ledger.untold.len() <= 2 * 100 + FREE + 1);
        }
        assert_eq!(told(&mut ledger), (99_900..100_000).map(|subject| (subject, subject)).collect::<Vec<_>>());
        assert_eq!(ledger.table().evicted, 99_900);
    }

    fn told(ledger: &mut Ledger<i32, i32>) -> Vec<(i32, i32)> {
        let told = std::cell::RefCell::new(Vec::new());
        ledger.say(Which::Untold, &mut Said::default(), |subject, note| {
            told.borrow_mut().push((*subject, *note));
            None
        });
        told.into_inner()
    }
}
