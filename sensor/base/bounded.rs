//! Collections with a budget. What traffic keys, traffic can flood: every such map is `Capped`.

use super::{Budget, Table};
use hashbrown::HashTable;
use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

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

    /// Takes out the oldest item for which `wanted` holds.
    pub(crate) fn take(&mut self, wanted: impl FnMut(&T) -> bool) -> Option<T> {
        let at = self.items.iter().position(wanted)?;
        self.items.remove(at)
    }
}

/// A map within a budget. When full, the entry touched longest ago makes room, is handed back and
/// counted; "touched" is the order of calls, so the result does not depend on hashing.
///
/// Entries lie in a slab and form a list from the least to the most recently touched one; the hash table holds slab
/// positions. Every operation but `iter` is O(1). The list's links lie apart from the entries: to touch one changes its
/// neighbours' links, which are anywhere in the slab, and eight bytes each stay in the cache where whole entries do not.
#[derive(Clone, Debug)]
pub(crate) struct Capped<K, V> {
    index: HashTable<u32>,
    /// `None` while the place is free.
    entries: Vec<Option<(K, V)>>,
    links: Vec<Link>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    budget: Budget,
    evicted: u64,
    hasher: foldhash::quality::RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    older: u32,
    newer: u32,
}

/// No place.
const NONE: u32 = u32::MAX;

impl<K: Hash + Eq, V> Capped<K, V> {
    /// Bytes of an entry's place.
    const PLACE: usize = size_of::<Option<(K, V)>>() + size_of::<Link>();

    /// An empty map; allocates as it fills. A budget of no entries is taken as one of 1.
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            index: HashTable::new(),
            entries: Vec::new(),
            links: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            budget,
            evicted: 0,
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    /// Looks without touching.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.value(self.find(key)?)
    }

    /// The key as held, touched: for interning.
    pub(crate) fn key<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&K>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key)?;
        self.touch(at);
        self.place(at).map(|(k, _)| k)
    }

    /// The entry for `key`, touched.
    pub(crate) fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key)?;
        self.touch(at);
        self.value_mut(at)
    }

    /// The entry for `key`, to change without touching it.
    pub(crate) fn peek_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.value_mut(self.find(key)?)
    }

    /// The entry for `key`, made by `new` when absent, touched. An eviction is counted.
    pub(crate) fn entry(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        let hash = self.hasher.hash_one(&key);
        let at = match self.find_hashed(hash, &key) {
            Some(at) => {
                self.touch(at);
                at
            }
            None => {
                self.make_room();
                self.add(hash, key, new())
            }
        };
        match self.value_mut(at) {
            Some(value) => value,
            None => unreachable!("the place was just found or filled"),
        }
    }

    /// Sets the entry for `key`; gives back what was evicted for it.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let hash = self.hasher.hash_one(&key);
        if let Some(at) = self.find_hashed(hash, &key) {
            self.touch(at);
            if let Some(old) = self.value_mut(at) {
                *old = value;
            }
            return None;
        }
        let out = self.make_room();
        self.add(hash, key, value);
        out
    }

    /// Takes the entry out.
    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if self.index.is_empty() {
            return None;
        }
        let entries = &self.entries;
        let same = |at: &u32| {
            entries.get(*at as usize).and_then(Option::as_ref).is_some_and(|(known, _)| known.borrow() == key)
        };
        let (at, _) = self.index.find_entry(self.hasher.hash_one(key), same).ok()?.remove();
        self.leave(at).map(|(_, value)| value)
    }

    /// Least recently touched first: an order that does not depend on hashing.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut at = self.oldest;
        std::iter::from_fn(move || {
            let entry = self.place(at)?;
            at = self.links.get(at as usize)?.newer;
            Some((&entry.0, &entry.1))
        })
    }

    /// How many entries are held.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// How it stands. Places are never given back, so their number is the most that was held.
    pub(crate) fn table(&self) -> Table {
        let own = Self::PLACE.saturating_add(INDEX_BYTES);
        self.budget.table(own, self.len(), self.entries.len(), self.evicted)
    }

    /// Bytes of what it holds, as its budget has it.
    pub(crate) fn held(&self) -> usize {
        self.len().saturating_mul(self.budget.heap_bytes().saturating_add(Self::PLACE))
    }

    /// Empties it; what it counted stays.
    pub(crate) fn clear(&mut self) {
        while self.take(self.oldest).is_some() {}
    }

    fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
    {
        // Most maps stay empty on most traffic, and hashing the key is what asking costs.
        if self.index.is_empty() {
            return None;
        }
        self.find_hashed(self.hasher.hash_one(key), key)
    }

    fn find_hashed<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
    {
        let same = |at: &u32| self.place(*at).is_some_and(|(known, _)| known.borrow() == key);
        self.index.find(hash, same).copied()
    }

    fn place(&self, at: u32) -> Option<&(K, V)> {
        self.entries.get(at as usize)?.as_ref()
    }

    fn value(&self, at: u32) -> Option<&V> {
        self.place(at).map(|(_, v)| v)
    }

    fn value_mut(&mut self, at: u32) -> Option<&mut V> {
        self.entries.get_mut(at as usize)?.as_mut().map(|(_, v)| v)
    }

    fn add(&mut self, hash: u64, key: K, value: V) -> u32 {
        let at = match self.free.pop() {
            Some(at) => {
                if let Some(place) = self.entries.get_mut(at as usize) {
                    *place = Some((key, value));
                }
                at
            }
            None => {
                if self.entries.len() == self.entries.capacity() {
                    // Twice as many, as a vector grows by itself, but never more than the budget.
                    let room = self.budget.entries().saturating_sub(self.entries.len());
                    let more = self.entries.len().clamp(4, room.max(4));
                    self.entries.reserve_exact(more);
                    self.links.reserve_exact(more);
                }
                self.entries.push(Some((key, value)));
                self.links.push(Link { older: NONE, newer: NONE });
                u32::try_from(self.entries.len() - 1).unwrap_or(NONE)
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        let rehash =
            |at: &u32| entries.get(*at as usize).and_then(Option::as_ref).map_or(0, |(key, _)| hasher.hash_one(key));
        self.index.insert_unique(hash, at, rehash);
        self.append(at);
        at
    }

    fn take(&mut self, at: u32) -> Option<(K, V)> {
        let hash = self.hasher.hash_one(&self.place(at)?.0);
        if let Ok(found) = self.index.find_entry(hash, |other| *other == at) {
            found.remove();
        }
        self.leave(at)
    }

    /// Frees a place that the index knows no more.
    fn leave(&mut self, at: u32) -> Option<(K, V)> {
        self.unlink(at);
        let entry = self.entries.get_mut(at as usize)?.take()?;
        self.free.push(at);
        Some(entry)
    }

    fn touch(&mut self, at: u32) {
        if self.newest != at {
            self.unlink(at);
            self.append(at);
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(Link { older, newer }) = self.links.get(at as usize).copied() else { return };
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }

    fn append(&mut self, at: u32) {
        let newest = std::mem::replace(&mut self.newest, at);
        match self.links.get_mut(newest as usize) {
            Some(link) => link.newer = at,
            None => self.oldest = at,
        }
        if let Some(link) = self.links.get_mut(at as usize) {
            *link = Link { older: newest, newer: NONE };
        }
    }

    fn make_room(&mut self) -> Option<(K, V)> {
        if self.len() < self.budget.entries().clamp(1, NONE as usize - 1) {
            return None;
        }
        self.evicted = self.evicted.saturating_add(1);
        self.take(self.oldest)
    }
}

/// The index's part of an entry: a position and a byte of the hash, at most 7/8 filled and at least half of that, and a
/// free place's number.
const INDEX_BYTES: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_touched_longest_ago_makes_room() {
        let mut map = Capped::new(Budget::new("letters", 2, 0));
        map.insert("a", 1);
        map.insert("b", 2);
        map.get_mut(&"a");
        assert_eq!(map.insert("c", 3), Some(("b", 2)));
        *map.entry("d", || 0) += 4;
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&"c", &3), (&"d", &4)]);
        let table = map.table();
        assert_eq!((table.held, table.peak, table.evicted), (2, 2, 2));
        map.clear();
        assert_eq!((map.iter().count(), map.table().held, map.table().evicted), (0, 0, 2));
    }

    #[test]
    fn any_sequence_of_calls_gives_what_a_plain_list_gives() {
        let (mut map, mut plain) = (Capped::new(Budget::new("numbers", 8, 0)), Vec::<(u32, u32)>::new());
        let mut seed = 1_u32;
        for step in 0..20_000_u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (what, key) = (seed >> 30, (seed >> 8) % 20);
            let known = plain.iter().position(|(k, _)| *k == key);
            match (what, known) {
                (0, _) => assert_eq!(map.remove(&key), known.map(|at| plain.remove(at).1), "step {step}"),
                (1, _) => {
                    let old = known.map(|at| plain.remove(at));
                    let out = (old.is_none() && plain.len() == 8).then(|| plain.remove(0));
                    plain.push((key, step));
                    assert_eq!(map.insert(key, step), out, "step {step}");
                }
                (_, Some(at)) => {
                    let entry = plain.remove(at);
                    plain.push(entry);
                    assert_eq!(map.get_mut(&key), Some(&mut plain.last_mut().unwrap().1), "step {step}");
                }
                (_, None) => assert_eq!(map.get(&key), None, "step {step}"),
            }
        }
        assert!(map.iter().map(|(k, v)| (*k, *v)).eq(plain.iter().copied()));
        assert_eq!(map.len(), plain.len());
    }

    #[test]
    fn a_ring_keeps_the_newest() {
        let mut ring = Ring::new(2);
        assert_eq!([ring.push(1), ring.push(2), ring.push(3)], [None, None, Some(1)]);
        assert_eq!(ring.iter().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(ring.last(), Some(&3));
        assert_eq!((ring.take(|n| *n == 1), ring.take(|n| *n == 3), ring.is_empty()), (None, Some(3), false));
        assert_eq!((ring.take(|n| *n == 2), ring.is_empty()), (Some(2), true));
    }
}
