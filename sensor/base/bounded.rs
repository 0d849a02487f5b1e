//! Collections with a budget. What traffic keys, traffic can flood: every such map is `Capped`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

/// The last `capacity` items, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Ring<T> {
    items: VecDeque<T>,
    capacity: usize,
}

impl<T> Ring<T> {
    /// An empty ring; allocates as it fills.
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { items: VecDeque::new(), capacity }
    }

    /// Adds `item`; gives back the oldest when the ring was full.
    pub(crate) fn push(&mut self, item: T) -> Option<T> {
        let oldest = if self.items.len() >= self.capacity { self.items.pop_front() } else { None };
        self.items.push_back(item);
        oldest
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.items.iter()
    }

    /// How many items are held.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The newest item.
    pub(crate) fn last(&self) -> Option<&T> {
        self.items.back()
    }

    /// Drops items from the old end while `stale` holds.
    pub(crate) fn expire(&mut self, mut stale: impl FnMut(&T) -> bool) {
        while self.items.front().is_some_and(&mut stale) {
            self.items.pop_front();
        }
    }
}

/// A map of at most `capacity` entries. When full, the entry touched longest ago makes room, is handed back and
/// counted; "touched" is the order of calls, so the result does not depend on hashing.
#[derive(Clone, Debug)]
pub(crate) struct Capped<K, V> {
    entries: HashMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    clock: u64,
    capacity: usize,
    evicted: u64,
}

impl<K: Hash + Eq + Clone, V> Capped<K, V> {
    /// An empty map; allocates as it fills. A capacity of 0 is taken as 1.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), clock: 0, capacity: capacity.max(1), evicted: 0 }
    }

    /// Looks without touching.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, v)| v)
    }

    /// The entry for `key`, touched.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.touch(key);
        self.entries.get_mut(key).map(|(_, v)| v)
    }

    /// The entry for `key`, made by `new` when absent, touched. An eviction is counted.
    pub(crate) fn entry(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(&key) {
            self.make_room();
        }
        self.touch(&key);
        let clock = self.clock;
        let order = &mut self.order;
        let slot = self.entries.entry(key.clone()).or_insert_with(|| {
            order.insert(clock, key);
            (clock, new())
        });
        &mut slot.1
    }

    /// Sets the entry for `key`; gives back what was evicted for it.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let out = if self.entries.contains_key(&key) { None } else { self.make_room() };
        self.remove(&key);
        self.clock = self.clock.wrapping_add(1);
        self.order.insert(self.clock, key.clone());
        self.entries.insert(key, (self.clock, value));
        out
    }

    /// Takes the entry out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (at, value) = self.entries.remove(key)?;
        self.order.remove(&at);
        Some(value)
    }

    /// Least recently touched first: an order that does not depend on hashing.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.values().filter_map(|k| self.entries.get(k).map(|(_, v)| (k, v)))
    }

    /// How many entries are held.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries made room for others since the start.
    pub(crate) const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn touch(&mut self, key: &K) {
        self.clock = self.clock.wrapping_add(1);
        if let Some((at, _)) = self.entries.get_mut(key) {
            if let Some(key) = self.order.remove(at) {
                self.order.insert(self.clock, key);
            }
            *at = self.clock;
        }
    }

    fn make_room(&mut self) -> Option<(K, V)> {
        if self.entries.len() < self.capacity {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        let (_, value) = self.entries.remove(&key)?;
        self.evicted = self.evicted.saturating_add(1);
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_touched_longest_ago_makes_room() {
        let mut map = Capped::new(2);
        map.insert("a", 1);
        map.insert("b", 2);
        map.get_mut(&"a");
        assert_eq!(map.insert("c", 3), Some(("b", 2)));
        *map.entry("d", || 0) += 4;
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&"c", &3), (&"d", &4)]);
        assert_eq!((map.len(), map.evicted()), (2, 2));
    }

    #[test]
    fn a_ring_keeps_the_newest() {
        let mut ring = Ring::new(2);
        assert_eq!([ring.push(1), ring.push(2), ring.push(3)], [None, None, Some(1)]);
        assert_eq!(ring.iter().copied().collect::<Vec<_>>(), [2, 3]);
        ring.expire(|n| *n < 3);
        assert_eq!((ring.len(), ring.last()), (1, Some(&3)));
    }
}
