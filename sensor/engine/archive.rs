//! The index of who met whom, in a table of its own of the baseline's file: written with every save, never read as a whole,
//! kept for 400 days (detection.md §8). What memory lets go of for want of room stays here.

use super::store::{StoreError, frame, told, unframed};
use crate::base::{Kind, LookBack, Meeting, Record, Timestamp};
use redb::{Database, ReadOnlyDatabase, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place to look things up in.
pub(crate) struct Archive {
    db: Held,
    path: PathBuf,
}

enum Held {
    /// Somebody saves in it, too.
    Open(Arc<Database>),
    Closed(Box<ReadOnlyDatabase>),
}

impl Archive {
    pub(super) const fn of(db: Arc<Database>, path: PathBuf) -> Self {
        Self { db: Held::Open(db), path }
    }

    /// For looking only.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let db = ReadOnlyDatabase::open(path).map_err(|error| told(path, error.into()))?;
        Ok(Self { db: Held::Closed(Box::new(db)), path: path.to_owned() })
    }

    /// All that met an owner, or acted on a machine: the first so many by id.
    pub(super) fn meetings(&self, kind: Kind, of: u32) -> Result<Vec<Meeting>, StoreError> {
        match &self.db {
            Held::Open(db) => self.read(&**db, kind, of),
            Held::Closed(db) => self.read(&**db, kind, of),
        }
    }

    /// Hands over every pair, in the order of kind and key; as many as a year of a site, so one by one.
    pub(crate) fn each(&self, each: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        match &self.db {
            Held::Open(db) => self.walk(&**db, each),
            Held::Closed(db) => self.walk(&**db, each),
        }
    }

    fn walk(&self, db: &impl ReadableDatabase, each: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        let wrong = |error: redb::Error| told(&self.path, error);
        let transaction = db.begin_read().map_err(|error| wrong(error.into()))?;
        let table = match transaction.open_table(MEETINGS) {
            Ok(table) => table,
            // A baseline of the first version.
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(wrong(error.into())),
        };
        for entry in table.iter().map_err(|error| wrong(error.into()))? {
            let (key, value) = entry.map_err(|error| wrong(error.into()))?;
            let record = unframed(&self.path, key.value(), value.value())?;
            Meeting::read(&record).ok_or_else(|| StoreError::bad(&self.path, record.bad()))?;
            each(record);
        }
        Ok(())
    }

    fn read(&self, db: &impl ReadableDatabase, kind: Kind, of: u32) -> Result<Vec<Meeting>, StoreError> {
        let wrong = |error: redb::Error| told(&self.path, error);
        let transaction = db.begin_read().map_err(|error| wrong(error.into()))?;
        let table = match transaction.open_table(MEETINGS) {
            Ok(table) => table,
            // A baseline of the first version.
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(wrong(error.into())),
        };
        let keys = (kind as u8, of, 0)..=(kind as u8, of, u32::MAX);
        let mut found = Vec::new();
        for entry in table.range(keys).map_err(|error| wrong(error.into()))?.take(MOST) {
            let (key, value) = entry.map_err(|error| wrong(error.into()))?;
            let record = unframed(&self.path, key.value(), value.value())?;
            found.push(Meeting::read(&record).ok_or_else(|| StoreError::bad(&self.path, record.bad()))?);
        }
        Ok(found)
    }

    /// What others look things up with. What cannot be read is told and taken as not known.
    pub(super) fn look_back(self) -> LookBack {
        LookBack::new(move |kind, of| {
            self.meetings(kind, of).unwrap_or_else(|error| {
                tracing::warn!(%error, "the index of the baseline cannot be read");
                Vec::new()
            })
        })
    }
}

/// Enters a pair, joined with what was known of it.
pub(super) fn enter(table: &mut Meetings<'_>, path: &Path, record: &Record) -> Result<(), redb::Error> {
    let Some(mut meeting) = Meeting::read(record) else { return Ok(()) };
    let key = (record.kind as u8, record.key.0, record.key.1);
    let before = table.get(key)?.and_then(|frame| unframed(path, key, frame.value()).ok());
    if let Some(before) = before.as_ref().and_then(Meeting::read) {
        meeting = meeting.joined(record.kind, before);
    }
    let value = meeting.record(record.kind, record.key.0).value.unwrap_or_default();
    table.insert(key, frame(record.kind, record.key, &value).as_slice())?;
    Ok(())
}

/// Lets go of pairs that last met more than 400 days before `now`; gives back how many.
pub(super) fn prune(table: &mut Meetings<'_>, path: &Path, now: Timestamp) -> Result<u64, redb::Error> {
    let mut pruned = 0_u64;
    table.retain(|key, frame| {
        let meeting = unframed(path, key, frame).ok().as_ref().and_then(Meeting::read);
        // What does not check stays: who looks it up is told.
        let stays = meeting.is_none_or(|meeting| now.secs_since(meeting.last) <= KEPT_S);
        pruned = pruned.saturating_add(u64::from(!stays));
        stays
    })?;
    Ok(pruned)
}

/// The table while somebody writes.
pub(super) type Meetings<'a> = Table<'a, (u8, u32, u32), &'static [u8]>;

pub(super) const MEETINGS: TableDefinition<'static, (u8, u32, u32), &[u8]> = TableDefinition::new("meetings");
/// Four hundred days.
const KEPT_S: f64 = 400.0 * 86_400.0;
/// Pairs read for one question; a destination that more hosts use is nobody's secret.
const MOST: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::super::store::Store;
    use super::*;
    use crate::profile::Extent;

    fn met(of: u32, with: u32, days: std::ops::RangeInclusive<i64>, count: u32) -> Record {
        let at = |days: i64| Timestamp::from_secs(days * 86_400);
        Meeting { with, first: at(*days.start()), last: at(*days.end()), count, bytes: 10 }.record(Kind::Met, of)
    }

    #[test]
    fn the_index_outlives_what_is_written_anew_and_keeps_four_hundred_days() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        let mut store = Store::open(&path).unwrap();
        let fleet = || Record::new(Kind::Fleet, (0, 0), &0);
        let save = |store: &mut Store, extent, all: Vec<Record>| {
            store.save(extent, |put| all.into_iter().chain([fleet()]).for_each(put)).unwrap();
        };
        save(&mut store, Extent::All, vec![met(5, 1, 0..=2, 3), met(5, 2, 1..=1, 1), met(6, 1, 1..=1, 1)]);
        save(&mut store, Extent::Changed, vec![met(5, 1, 0..=4, 5)]);
        // Memory knows no more of 2, and begins anew with 1.
        save(&mut store, Extent::All, vec![met(5, 1, 90..=91, 2)]);
        let known = |archive: &Archive, of| -> Vec<(u32, i64, i64, u32)> {
            let found = archive.meetings(Kind::Met, of).unwrap().into_iter();
            found.map(|m| (m.with, m.first.secs() / 86_400, m.last.secs() / 86_400, m.count)).collect()
        };
        assert_eq!(known(&store.archive(), 5), [(1, 0, 91, 7), (2, 1, 1, 1)], "while somebody saves");
        assert_eq!(store.pruned(), 0);
        save(&mut store, Extent::All, vec![met(7, 9, 402..=402, 1)]);
        assert_eq!(store.pruned(), 2, "5 with 2, 6 with 1");
        drop(store);
        let archive = Archive::open(&path).unwrap();
        assert_eq!(known(&archive, 5), [(1, 0, 91, 7)], "2 was met 401 days ago");
        assert_eq!((known(&archive, 6), known(&archive, 7)), (vec![], vec![(9, 402, 402, 1)]));
        assert!(archive.meetings(Kind::Acted, 5).unwrap().is_empty());
        assert_eq!(Store::read(&path).unwrap().len(), 1, "it is not read as a whole");
    }
}
