//! What detectors remember between runs: tables whose entries are a record each, and single values.
//!
//! A record is found by 64 bits of FNV-1a over its table's name and its key, and holds both: what is read back says itself
//! whose it is. In which order entries make room begins anew with each run.

use super::renamed::{Key, Renames};
use crate::base::{BadRecord, Budget, Capped, Kind, Record, Table, Timestamp, key_of};
use crate::profile::{Extent, Renamed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::hash::Hash;

/// A part of what a detector remembers.
pub(crate) trait Memory {
    /// `<file>.<field>`.
    #[cfg(test)]
    fn name(&self) -> &'static str;

    /// From now on it is noted what changes.
    fn keep_track(&mut self);

    /// Hands over what is to be saved.
    fn save(&mut self, extent: Extent, put: &mut dyn FnMut(Record));

    /// Takes in an entry of its own, under other ids where there are any; another part's is left alone.
    fn restore(&mut self, entry: &Entry, ids: Option<&Renamed>) -> Taken;
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Another,
    In,
    /// Nobody here is meant by its key.
    Forgotten,
    /// It makes no sense.
    Bad,
}

/// An entry as it is saved.
pub(crate) struct Entry {
    table: String,
    key: Value,
    value: Value,
}

impl Entry {
    pub(super) fn read(record: &Record) -> Result<Self, BadRecord> {
        let (table, key, value) = record.read()?;
        Ok(Self { table, key, value })
    }

    /// Whether it is of a table of this detector.
    pub(super) fn is_of(&self, stem: &str) -> bool {
        self.table.split_once('.').is_some_and(|(of, _)| of == stem)
    }

    fn value<V: DeserializeOwned + Renames>(&self, ids: Option<&Renamed>) -> Result<V, Taken> {
        let value = V::deserialize(&self.value).map_err(|_| Taken::Bad)?;
        match ids {
            Some(ids) => value.renamed(ids).ok_or(Taken::Forgotten),
            None => Ok(value),
        }
    }
}

fn place(table: &str, key: &Value) -> (u32, u32) {
    key_of(&format!("{table} {key}"))
}

/// A table within a budget that is remembered between runs.
#[derive(Debug)]
pub(super) struct Kept<K, V> {
    held: Capped<K, V>,
    name: &'static str,
    /// What is to be saved, while somebody saves.
    unsaved: Option<BTreeSet<K>>,
}

impl<K: Key, V> Kept<K, V> {
    pub(super) fn new(budget: Budget) -> Self {
        Self { held: Capped::new(budget), name: budget.name(), unsaved: None }
    }

    /// Looks without touching.
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.held.get(key)
    }

    /// The entry for `key`, to change, touched.
    pub(super) fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.insert(self.held.key(key)?.clone());
        }
        self.held.get_mut(key)
    }

    /// The entry for `key`, to change without touching it.
    pub(super) fn peek_mut(&mut self, key: &K) -> Option<&mut V> {
        let value = self.held.peek_mut(key)?;
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.insert(key.clone());
        }
        Some(value)
    }

    /// The entry for `key`, to change, made by `new` when absent, touched.
    pub(super) fn entry(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        // Who makes room is of interest only while somebody saves.
        if self.unsaved.is_some() && self.held.get(&key).is_none() {
            self.insert(key.clone(), new());
            return self.held.entry(key, || unreachable!("it was just inserted"));
        }
        self.touched(&key);
        self.held.entry(key, new)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.touched(&key);
        let out = self.held.insert(key, value);
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.extend(out.map(|(key, _)| key));
        }
    }

    /// Empties it.
    pub(super) fn clear(&mut self) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.extend(self.held.iter().map(|(key, _)| key.clone()));
        }
        self.held.clear();
    }

    /// Least recently touched first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.held.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn table(&self) -> Table {
        self.held.table()
    }

    fn touched(&mut self, key: &K) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.insert(key.clone());
        }
    }
}

impl<K: Key, V: Serialize + DeserializeOwned + Renames> Kept<K, V> {
    /// Takes in an entry; its key comes back when it is this table's and new.
    pub(super) fn take(&mut self, entry: &Entry, ids: Option<&Renamed>) -> Result<K, Taken> {
        if entry.table != self.name {
            return Err(Taken::Another);
        }
        let key = K::read(&entry.key).ok_or(Taken::Bad)?;
        let key = match ids {
            Some(ids) => key.renamed(ids).ok_or(Taken::Forgotten)?,
            None => key,
        };
        let value = entry.value(ids)?;
        // Of what two sensors know, the first one's stays.
        if self.held.get(&key).is_some() {
            return Err(Taken::In);
        }
        self.insert(key.clone(), value);
        Ok(key)
    }

    fn record(&self, key: &K) -> Record {
        let written = key.written();
        let place = place(self.name, &written);
        match self.held.get(key) {
            Some(value) => Record::new(Kind::Memory, place, &(self.name, written, value)),
            None => Record::gone(Kind::Memory, place),
        }
    }
}

impl<K: Key, V: Serialize + DeserializeOwned + Renames> Memory for Kept<K, V> {
    #[cfg(test)]
    fn name(&self) -> &'static str {
        self.name
    }

    fn keep_track(&mut self) {
        self.unsaved = Some(BTreeSet::new());
    }

    fn save(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        let unsaved = self.unsaved.as_mut().map(std::mem::take).unwrap_or_default();
        match extent {
            Extent::All => self.held.iter().for_each(|(key, _)| put(self.record(key))),
            Extent::Changed => unsaved.iter().for_each(|key| put(self.record(key))),
        }
    }

    fn restore(&mut self, entry: &Entry, ids: Option<&Renamed>) -> Taken {
        self.take(entry, ids).map_or_else(|taken| taken, |_| Taken::In)
    }
}

/// A single value that is remembered between runs.
#[derive(Debug)]
pub(super) struct Sole<T> {
    value: T,
    name: &'static str,
    known: bool,
    changed: bool,
}

impl<T> Sole<T> {
    /// `name` is `<file>.<field>`.
    pub(super) const fn new(name: &'static str, value: T) -> Self {
        Self { value, name, known: false, changed: true }
    }

    pub(super) const fn get(&self) -> &T {
        &self.value
    }

    pub(super) const fn get_mut(&mut self) -> &mut T {
        (self.known, self.changed) = (true, true);
        &mut self.value
    }
}

impl Sole<Option<Timestamp>> {
    /// The moment kept; the first one asked at when there is none yet.
    pub(super) fn or_begin(&mut self, ts: Timestamp) -> Timestamp {
        if let Some(since) = self.value {
            return since;
        }
        *self.get_mut() = Some(ts);
        ts
    }
}

impl<T: Serialize + DeserializeOwned + Renames> Memory for Sole<T> {
    #[cfg(test)]
    fn name(&self) -> &'static str {
        self.name
    }

    fn keep_track(&mut self) {
        self.changed = true;
    }

    fn save(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        if self.known && (std::mem::take(&mut self.changed) || extent == Extent::All) {
            let key = Value::Null;
            put(Record::new(Kind::Memory, place(self.name, &key), &(self.name, key, &self.value)));
        }
    }

    fn restore(&mut self, entry: &Entry, ids: Option<&Renamed>) -> Taken {
        if entry.table != self.name {
            return Taken::Another;
        }
        match entry.value(ids) {
            Ok(_) if self.known => Taken::In,
            Ok(value) => {
                *self.get_mut() = value;
                Taken::In
            }
            Err(taken) => taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::HostId;

    fn table() -> Kept<(HostId, u16), f64> {
        Kept::new(Budget::new("few.ports", 3, 0))
    }

    /// A file, as the store keeps it: records by key.
    fn saved(table: &mut Kept<(HostId, u16), f64>, extent: Extent, file: &mut Vec<Record>) {
        table.save(extent, &mut |record| {
            file.retain(|known| known.key != record.key);
            file.extend(record.value.is_some().then_some(record));
        });
        file.sort_by_key(|record| record.key);
    }

    #[test]
    fn what_changed_is_saved_what_made_room_is_no_more_and_all_of_it_reads_back() {
        let (mut known, mut file) = (table(), Vec::new());
        known.keep_track();
        for step in 0..40_u16 {
            let key = (HostId(u32::from(step % 5)), 443);
            match step % 4 {
                0 => drop(known.get_mut(&key).map(|value| *value += 0.1)),
                1 => drop(known.peek_mut(&key).map(|value| *value *= 2.0)),
                2 => known.insert(key, f64::from(step)),
                _ => *known.entry(key, || 0.5) += 1.0,
            }
            saved(&mut known, Extent::Changed, &mut file);
            let mut all = Vec::new();
            saved(&mut known, Extent::All, &mut all);
            assert_eq!(file, all, "step {step}");
        }
        let mut read = table();
        for record in &file {
            assert_eq!(read.restore(&Entry::read(record).unwrap(), None), Taken::In);
        }
        let sorted = |table: &Kept<(HostId, u16), f64>| {
            let mut all: Vec<_> = table.iter().map(|(key, value)| (*key, *value)).collect();
            all.sort_by_key(|(key, _)| *key);
            all
        };
        assert_eq!(sorted(&read), sorted(&known));
        known.clear();
        saved(&mut known, Extent::Changed, &mut file);
        assert_eq!(file, []);
    }

    #[test]
    fn an_entry_of_another_table_is_left_alone_and_a_broken_one_is_told() {
        let entry = |value: &(&str, Value, Value)| Entry::read(&Record::new(Kind::Memory, (0, 0), value)).unwrap();
        let mut known = table();
        for (what, table, key, value, taken) in [
            ("another table", "few.hosts", "[1,443]", "1.0", Taken::Another),
            ("a key too short", "few.ports", "[1]", "1.0", Taken::Bad),
            ("a port too large", "few.ports", "[1,70000]", "1.0", Taken::Bad),
            ("no number", "few.ports", "[1,443]", "\"x\"", Taken::Bad),
            ("a whole one", "few.ports", "[1,443]", "1.5", Taken::In),
            ("another one's of the same", "few.ports", "[1,443]", "9.0", Taken::In),
        ] {
            let json = |text| serde_json::from_str(text).unwrap();
            assert_eq!(known.restore(&entry(&(table, json(key), json(value))), None), taken, "{what}");
        }
        assert_eq!(known.get(&(HostId(1), 443)), Some(&1.5), "the first one's stays");
        let mut sole = Sole::new("few.since", 3_u32);
        let mut records = Vec::new();
        sole.save(Extent::All, &mut |record| records.push(record));
        assert_eq!(records, [], "nothing was learned");
        *sole.get_mut() = 7;
        sole.save(Extent::Changed, &mut |record| records.push(record));
        let mut other = Sole::new("few.since", 0_u32);
        assert_eq!(other.restore(&Entry::read(&records[0]).unwrap(), None), Taken::In);
        assert_eq!(other.get(), &7);
    }
}
