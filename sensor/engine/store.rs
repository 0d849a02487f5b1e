//! The baseline's file: records in redb, each in a frame of its own with version, kind, length and checksum.
//!
//! One transaction a save: a sensor that is killed in it continues from the save before, never from half of one. A frame
//! that does not check, an unknown version or a record that makes no sense is an error with its place; nothing is
//! silently left out or reset. Not power-loss proof beyond what the file system promises for fsync.

use super::archive::{self, Archive};
use crate::base::{BadRecord, Kind, Meeting, Record, Timestamp};
use crate::profile::Extent;
use redb::{
    Database, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A baseline open for saving.
pub(crate) struct Store {
    db: Arc<Database>,
    path: PathBuf,
    pruned: u64,
}

/// Why a baseline cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// There is no such file, or it may not be opened.
    #[error("cannot open the baseline {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it open: nothing is wrong with it.
    #[error("the baseline {path} is in use by another yukue (a running sensor?); stop that one first")]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// It is no baseline, or a damaged one.
    #[error("the baseline {path} is damaged: {reason}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer program wrote it.
    #[error("the baseline {path} has frames of version {version}; this program reads version {VERSION}")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Of the first such frame.
        version: u8,
    },
    /// It was made and nothing was saved in it.
    #[error("the baseline {path} holds nothing yet")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// It could not be written.
    #[error("cannot write the baseline {path}: {reason}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl StoreError {
    /// Whether the file is there and cannot be used as it is.
    pub(crate) const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    /// A record that its stage could not read.
    pub(crate) fn bad(path: &Path, bad: BadRecord) -> Self {
        Self::Damaged { path: path.to_owned(), reason: bad.to_string() }
    }
}

impl Store {
    /// Opens a baseline for saving; makes the file when there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            make(path)?;
        }
        let db = guarded(path, || Database::open(path).map_err(|error| told(path, error.into())))?;
        Ok(Self { db: Arc::new(db), path: path.to_owned(), pruned: 0 })
    }

    /// Pairs of the index that it let go of since it was opened.
    pub(crate) const fn pruned(&self) -> u64 {
        self.pruned
    }

    /// Where to look things up while it is open for saving.
    pub(super) fn archive(&self) -> Archive {
        Archive::of(Arc::clone(&self.db), self.path.clone())
    }

    /// Saves in one transaction what `fill` hands over; gives back how many records that were.
    pub(crate) fn save(
        &mut self,
        extent: Extent,
        fill: impl FnOnce(&mut dyn FnMut(Record)),
    ) -> Result<u64, StoreError> {
        let wrong = |error: redb::Error| StoreError::Write { path: self.path.clone(), reason: error.to_string() };
        let transaction = self.db.begin_write().map_err(|error| wrong(error.into()))?;
        let (mut count, mut pruned) = (0_u64, 0_u64);
        {
            let mut table = transaction.open_table(RECORDS).map_err(|error| wrong(error.into()))?;
            let mut about = transaction.open_table(ABOUT).map_err(|error| wrong(error.into()))?;
            let mut meetings = transaction.open_table(archive::MEETINGS).map_err(|error| wrong(error.into()))?;
            let mut newest = Timestamp::MIN;
            let mut sum = about.get(()).map_err(|error| wrong(error.into()))?.map_or((0, 0), |sum| sum.value());
            if extent == Extent::All {
                // What a person said stays; what was learned is written anew.
                let approval = Kind::Approval as u8;
                sum = (0, 0);
                let keep = |(kind, ..): (u8, u32, u32), frame: &[u8]| {
                    if kind == approval {
                        sum = added(sum, frame);
                    }
                    kind == approval
                };
                table.retain(keep).map_err(|error| wrong(error.into()))?;
            }
            let mut failed: Option<redb::Error> = None;
            fill(&mut |record| {
                if failed.is_some() {
                    return;
                }
                if matches!(record.kind, Kind::Met | Kind::Acted) {
                    newest = newest.max(Meeting::read(&record).map_or(newest, |meeting| meeting.last));
                    failed = archive::enter(&mut meetings, &self.path, &record).err();
                    return;
                }
                let key = (record.kind as u8, record.key.0, record.key.1);
                let frame = record.value.as_deref().map(|value| frame(record.kind, record.key, value));
                let before = match &frame {
                    Some(frame) => table.insert(key, frame.as_slice()),
                    None => table.remove(key),
                };
                match before {
                    Ok(before) => {
                        sum = before.map_or(sum, |before| removed(sum, before.value()));
                        sum = frame.as_deref().map_or(sum, |frame| added(sum, frame));
                    }
                    Err(error) => failed = Some(error.into()),
                }
                count = count.saturating_add(1);
            });
            if let Some(error) = failed {
                return Err(wrong(error));
            }
            if extent == Extent::All {
                pruned = archive::prune(&mut meetings, &self.path, newest).map_err(&wrong)?;
                if pruned > 0 {
                    tracing::info!(pruned, "pairs that last met more than 400 days ago were let go of");
                }
            }
            about.insert((), sum).map_err(|error| wrong(error.into()))?;
        }
        transaction.commit().map_err(|error| wrong(error.into()))?;
        self.pruned = self.pruned.saturating_add(pruned);
        Ok(count)
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The frames as they were last saved, whatever is saved while they are read.
    pub(super) fn frames(&self) -> Result<Frames, StoreError> {
        let wrong = |error: redb::Error| told(&self.path, error);
        let transaction = self.db.begin_read().map_err(|error| wrong(error.into()))?;
        let table = transaction.open_table(RECORDS).map_err(|error| wrong(error.into()))?;
        let count = table.len().map_err(|error| wrong(error.into()))?;
        Ok(Frames { table, count, path: self.path.clone() })
    }

    /// All records of a baseline, in the order of kind and key; none when nothing was saved yet.
    pub(crate) fn read(path: &Path) -> Result<Vec<Record>, StoreError> {
        if let Err(source) = std::fs::metadata(path) {
            return Err(StoreError::Io { path: path.to_owned(), source });
        }
        guarded(path, || match ReadOnlyDatabase::open(path) {
            Ok(db) => records(path, &db),
            // A sensor was killed while it wrote: opened for writing, the file goes back to its last save.
            Err(redb::DatabaseError::RepairAborted) => {
                records(path, &Database::open(path).map_err(|error| told(path, error.into()))?)
            }
            Err(error) => Err(told(path, error.into())),
        })
    }

    /// Moves a damaged file aside, so that it can be looked at, and says where it is.
    pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
        let wrong = |source| StoreError::Io { path: path.to_owned(), source };
        for n in 1..=MOST_ASIDE {
            let aside = path.with_added_extension(format!("damaged-{n}"));
            if !aside.exists() {
                std::fs::rename(path, &aside).map_err(wrong)?;
                return Ok(aside);
            }
        }
        Err(wrong(io::Error::other("too many damaged files lie beside it")))
    }
}

/// The frames of one save.
pub(super) struct Frames {
    table: ReadOnlyTable<(u8, u32, u32), &'static [u8]>,
    count: u64,
    path: PathBuf,
}

impl Frames {
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Hands over each with its key (kind and the two numbers), in the order of keys, to be written to `into`.
    pub(super) fn each(
        &self,
        into: &Path,
        mut each: impl FnMut((u8, u32, u32), &[u8]) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        for entry in self.table.iter().map_err(|error| told(&self.path, error.into()))? {
            let (key, frame) = entry.map_err(|error| told(&self.path, error.into()))?;
            each(key.value(), frame.value())
                .map_err(|error| StoreError::Write { path: into.to_owned(), reason: error.to_string() })?;
        }
        Ok(())
    }
}

fn records(path: &Path, db: &impl ReadableDatabase) -> Result<Vec<Record>, StoreError> {
    let transaction = db.begin_read().map_err(|error| told(path, error.into()))?;
    let table = transaction.open_table(RECORDS).map_err(|error| told(path, error.into()))?;
    let about = transaction.open_table(ABOUT).map_err(|error| told(path, error.into()))?;
    let sum = about.get(()).map_err(|error| told(path, error.into()))?.map_or((0, 0), |sum| sum.value());
    let (mut records, mut found) = (Vec::new(), (0, 0));
    for entry in table.iter().map_err(|error| told(path, error.into()))? {
        let (key, value) = entry.map_err(|error| told(path, error.into()))?;
        records.push(unframed(path, key.value(), value.value())?);
        found = added(found, value.value());
    }
    let damaged = |what: &str| StoreError::Damaged { path: path.to_owned(), reason: what.to_owned() };
    if found != sum {
        return Err(damaged("records are missing, or are too many"));
    }
    if !records.is_empty() && !records.iter().any(|record| record.kind == Kind::Fleet) {
        return Err(damaged("what concerns everybody is missing"));
    }
    Ok(records)
}

/// Makes an empty file under another name and then gives it its own, so that there is never half a one.
fn make(path: &Path) -> Result<(), StoreError> {
    let new = path.with_added_extension("new");
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let wrong = |error: redb::Error| told(path, error);
    if new.exists() {
        std::fs::remove_file(&new).map_err(io)?;
    }
    let db = Database::create(&new).map_err(|error| wrong(error.into()))?;
    let transaction = db.begin_write().map_err(|error| wrong(error.into()))?;
    transaction.open_table(RECORDS).map_err(|error| wrong(error.into()))?;
    transaction.open_table(ABOUT).map_err(|error| wrong(error.into()))?;
    transaction.commit().map_err(|error| wrong(error.into()))?;
    drop(db);
    std::fs::rename(&new, path).map_err(io)
}

/// How many records there are, and the sum of their checksums: what a damaged page would take away unseen.
fn added((count, sum): (u64, u64), frame: &[u8]) -> (u64, u64) {
    (count.wrapping_add(1), sum.wrapping_add(checksum_of(frame)))
}

fn removed((count, sum): (u64, u64), frame: &[u8]) -> (u64, u64) {
    (count.wrapping_sub(1), sum.wrapping_sub(checksum_of(frame)))
}

fn checksum_of(frame: &[u8]) -> u64 {
    u64::from(crc32fast::hash(frame))
}

/// Calls what reads a file; a panic of the reader over damage is damage.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let damaged =
        || StoreError::Damaged { path: path.to_owned(), reason: "its pages contradict each other".to_owned() };
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged()))
}

pub(super) fn told(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(source)
            if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            StoreError::Io { path: path.to_owned(), source }
        }
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
        error => StoreError::Damaged { path: path.to_owned(), reason: error.to_string() },
    }
}

/// Magic, version, kind, length and CRC-32 (of all before and after it), then the record's bytes.
pub(super) fn frame(kind: Kind, key: (u32, u32), value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(value.len().saturating_add(HEAD));
    frame.extend_from_slice(MAGIC);
    frame.extend_from_slice(&[VERSION, kind as u8]);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&checksum(&frame, key, value).to_le_bytes());
    frame.extend_from_slice(value);
    frame
}

pub(super) fn unframed(path: &Path, (kind, a, b): (u8, u32, u32), frame: &[u8]) -> Result<Record, StoreError> {
    let damaged =
        |what: &str| StoreError::Damaged { path: path.to_owned(), reason: format!("record {kind}.{a}.{b}: {what}") };
    let (head, value) = frame.split_at_checked(HEAD).ok_or_else(|| damaged("it is cut"))?;
    let [m0, m1, version, of, l0, l1, l2, l3, c0, c1, c2, c3] = *head else { return Err(damaged("it is cut")) };
    if [m0, m1] != *MAGIC {
        return Err(damaged("it does not begin as one"));
    }
    if version > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), version });
    }
    let before = head.get(..HEAD - 4).unwrap_or_default();
    if u32::from_le_bytes([c0, c1, c2, c3]) != checksum(before, (a, b), value) {
        return Err(damaged("its checksum is wrong"));
    }
    if usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])) != Ok(value.len()) || of != kind {
        return Err(damaged("its length or kind is wrong"));
    }
    let kind = Kind::of(kind).ok_or_else(|| damaged("no such kind"))?;
    Ok(Record { kind, key: (a, b), value: Some(value.to_vec()) })
}

fn checksum(head: &[u8], key: (u32, u32), value: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(&key.0.to_le_bytes());
    crc.update(&key.1.to_le_bytes());
    crc.update(value);
    crc.finalize()
}

const RECORDS: TableDefinition<'static, (u8, u32, u32), &[u8]> = TableDefinition::new("records");
const ABOUT: TableDefinition<'static, (), (u64, u64)> = TableDefinition::new("about");
const MAGIC: &[u8; 2] = b"YB";
/// Of the frames and of what is in them. Older versions stay readable.
pub(crate) const VERSION: u8 = 3;
const HEAD: usize = 12;
/// Damaged files kept beside a baseline.
const MOST_ASIDE: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: Kind, key: u32, value: &[u8]) -> Record {
        Record { kind, key: (key, 0), value: Some(value.to_vec()) }
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn what_is_saved_is_read_in_order_and_everything_replaces_what_was_learned() {
        let folder = folder();
        let path = folder.path().join("b.yukue");
        let mut store = Store::open(&path).unwrap();
        let first =
            [record(Kind::Tie, 9, b"tie"), record(Kind::Fleet, 0, b"all"), record(Kind::Approval, 1, b"person")];
        assert_eq!(store.save(Extent::All, |put| first.into_iter().for_each(put)).unwrap(), 3);
        let change = [record(Kind::Host, 4, b"new"), Record::gone(Kind::Tie, (9, 0))];
        store.save(Extent::Changed, |put| change.into_iter().for_each(put)).unwrap();
        drop(store);
        let kinds = |path: &Path| Store::read(path).unwrap().iter().map(|r| (r.kind, r.key.0)).collect::<Vec<_>>();
        assert_eq!(kinds(&path), [(Kind::Fleet, 0), (Kind::Host, 4), (Kind::Approval, 1)]);
        Store::open(&path).unwrap().save(Extent::All, |put| put(record(Kind::Fleet, 0, b"anew"))).unwrap();
        assert_eq!(kinds(&path), [(Kind::Fleet, 0), (Kind::Approval, 1)], "what a person said stays");
    }

    #[test]
    fn damage_is_said_and_never_read() {
        let folder = folder();
        let path = folder.path().join("b.yukue");
        let whole: Vec<Record> = (0..400)
            .map(|n| record(Kind::Host, n, &n.to_le_bytes().repeat(40)))
            .chain([record(Kind::Fleet, 0, b"f")])
            .collect();
        Store::open(&path).unwrap().save(Extent::All, |put| whole.iter().cloned().for_each(put)).unwrap();
        let good = std::fs::read(&path).unwrap();
        let known = Store::read(&path).unwrap();
        let (mut seed, mut told) = (7_u64, 0);
        for _ in 0..150 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bad = good.clone();
            let at = usize::try_from(seed >> 20).unwrap() % bad.len();
            bad[at] ^= 1 << (seed % 8);
            let copy = folder.path().join("c.yukue");
            std::fs::write(&copy, &bad).unwrap();
            match Store::read(&copy) {
                // Padding, free pages and the older of the two roots carry nothing.
                Ok(read) => assert_eq!(read, known, "byte {at}"),
                Err(_) => told += 1,
            }
        }
        assert!(told >= 20, "{told} of 150");
        for (what, bytes) in [("no baseline", b"hello".to_vec()), ("cut", good[..good.len() / 3].to_vec())] {
            let copy = folder.path().join("d.yukue");
            std::fs::write(&copy, bytes).unwrap();
            assert!(Store::read(&copy).is_err_and(|error| error.is_damage()), "{what}");
            let aside = Store::set_aside(&copy).unwrap();
            assert!(aside.exists() && !copy.exists(), "{what}");
        }
        assert!(matches!(Store::read(&folder.path().join("none")), Err(StoreError::Io { .. })));
    }

    #[test]
    fn a_baseline_that_somebody_has_open_is_left_where_it_is() {
        let folder = folder();
        let path = folder.path().join("b.yukue");
        let mut open = Store::open(&path).unwrap();
        open.save(Extent::All, |put| put(record(Kind::Fleet, 0, b"all"))).unwrap();
        for (what, error) in [
            ("reading", Store::read(&path).map(drop).unwrap_err()),
            ("saving", Store::open(&path).map(drop).unwrap_err()),
            ("looking things up", Archive::open(&path).map(drop).unwrap_err()),
        ] {
            assert!(matches!(error, StoreError::InUse { .. }) && !error.is_damage(), "{what}: {error}");
        }
        drop(open);
        assert_eq!(Store::read(&path).unwrap().len(), 1);
    }

    #[test]
    fn a_frame_of_a_newer_program_is_not_guessed_at() {
        let mut newer = frame(Kind::Host, (1, 0), b"x");
        newer[2] = VERSION + 1;
        let path = Path::new("b");
        assert!(matches!(unframed(path, (1, 1, 0), &newer), Err(StoreError::Newer { version: 4, .. })));
        let good = frame(Kind::Host, (1, 0), b"x");
        assert!(unframed(path, (1, 1, 0), &good).is_ok());
        assert!(unframed(path, (1, 2, 0), &good).is_err(), "of another key");
        assert!((0..good.len()).all(|n| unframed(path, (1, 1, 0), &good[..n]).is_err()), "cut");
    }
}
