//! Weekly snapshots beside a baseline: what was known then, to go back to when something was learned that should not have
//! been (`detection.md` §2.6), and to look at while a sensor holds the baseline itself.
//!
//! A file each, `NAME.snapshot-2027-03-29`: head, the baseline's frames as they were saved, who signed it, the signature,
//! SHA-256 of all before. It gets its name when it is whole, so there is never half a one, and its head holds the digest of
//! the one before it: none can be put in another's place unseen. At most [`KEPT`] are kept.

use super::archive::Archive;
use super::signed::{Key, SIGNATURE, Signer, by_whom};
use super::store::{Store, StoreError, unframed};
use crate::base::{Kind, Meeting, Record, Timestamp};
use crate::profile::Extent;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Event time between two snapshots.
pub(crate) const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// A snapshot that was read and found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) path: PathBuf,
    /// Event time of the state.
    pub(crate) time: Timestamp,
    pub(crate) bytes: u64,
    pub(crate) digest: [u8; DIGEST],
    /// Of the snapshot that was newest when it was made; zeros for the first.
    pub(crate) before: [u8; DIGEST],
    /// Whose signature it bears, and that is right; the first version had none.
    pub(crate) signer: Option<Signer>,
    pub(crate) records: Vec<Record>,
}

/// What going back came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RolledBack {
    /// Event time of what is known now.
    pub(crate) to: Timestamp,
    pub(crate) records: u64,
    /// Where what was known until now lies.
    pub(crate) aside: PathBuf,
    /// Pairs of the index that first met later.
    pub(crate) pairs_dropped: u64,
    /// Approvals given since.
    pub(crate) approvals_dropped: u64,
    /// Snapshots made since.
    pub(crate) snapshots_dropped: u64,
}

/// Why it cannot be gone back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoWayBack {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none so old.
    #[error("no snapshot of {path} is of {to} or before; `yukue baseline snapshots {path}` lists them", path = path.display())]
    NoneSoOld {
        /// The baseline.
        path: PathBuf,
        /// What was asked for.
        to: Timestamp,
    },
    /// Somebody else made it.
    #[error(
        "{path} is {}, and not by {expected}: name the key to trust with --signed-by, or move NAME.snapshot-key away to go back to it all the same",
        by_whom(*.signer),
        path = path.display()
    )]
    Foreign {
        /// The snapshot.
        path: PathBuf,
        /// Who signed it.
        signer: Option<Signer>,
        /// Who should have.
        expected: Signer,
    },
    /// What was set aside the last time is still there.
    #[error("{path} is what was set aside the last time: move it away first", path = .0.display())]
    Aside(PathBuf),
}

/// The snapshots of a baseline, oldest first: their files, whole or not.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let start = format!("{}{INFIX}", path.file_name().unwrap_or_default().to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let day = name.to_str().and_then(|name| name.strip_prefix(&*start));
        if day.is_some_and(|day| Timestamp::of_day(day).is_some()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The newest snapshot that is whole; what is not is passed over with a warning.
pub(crate) fn newest(path: &Path) -> Result<Option<Snapshot>, StoreError> {
    for file in files(path)?.into_iter().rev() {
        match read(&file) {
            Ok(snapshot) => return Ok(Some(snapshot)),
            Err(error) => tracing::warn!(%error, "a snapshot of the baseline cannot be read"),
        }
    }
    Ok(None)
}

/// Whether a file is a snapshot rather than a baseline.
pub(crate) fn is_snapshot(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    let read = fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    read.is_ok() && magic == *MAGIC
}

/// Reads a snapshot and checks all of it.
pub(crate) fn read(path: &Path) -> Result<Snapshot, StoreError> {
    let damaged = |what: &str| StoreError::Damaged { path: path.to_owned(), reason: what.to_owned() };
    let bytes = fs::read(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    let split = bytes.len().checked_sub(DIGEST).and_then(|at| bytes.split_at_checked(at));
    let (body, digest) = split.ok_or_else(|| damaged("it is cut"))?;
    let mut rest = body.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin as a snapshot"))?;
    let digest: [u8; DIGEST] = digest.try_into().map_err(|_| damaged("it is cut"))?;
    if <[u8; DIGEST]>::from(Sha256::digest(body)) != digest {
        return Err(damaged("its SHA-256 is not that of its contents"));
    }
    let [version] = *take(&mut rest).ok_or_else(|| damaged("it is cut"))?;
    if version > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), version });
    }
    let signer = if version < SIGNED {
        None
    } else {
        let (unsigned, signer) =
            signed(rest, body).ok_or_else(|| damaged("its signature is not that of its signer"))?;
        rest = unsigned;
        Some(signer)
    };
    let head = (take(&mut rest), take(&mut rest), take(&mut rest));
    let (Some(time), Some(before), Some(count)) = head else { return Err(damaged("it is cut")) };
    let mut records = Vec::new();
    while !rest.is_empty() {
        let entry = (take(&mut rest), take(&mut rest), take(&mut rest), take(&mut rest));
        let (Some([kind]), Some(a), Some(b), Some(length)) = entry else { return Err(damaged("it is cut")) };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (frame, after) = rest.split_at_checked(length).ok_or_else(|| damaged("it is cut"))?;
        records.push(unframed(path, (*kind, u32::from_le_bytes(*a), u32::from_le_bytes(*b)), frame)?);
        rest = after;
    }
    if u64::try_from(records.len()) != Ok(u64::from_le_bytes(*count)) {
        return Err(damaged("records are missing, or are too many"));
    }
    Ok(Snapshot {
        path: path.to_owned(),
        time: Timestamp(i64::from_le_bytes(*time)),
        bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        digest,
        before: *before,
        signer,
        records,
    })
}

/// Of the `rest` of a snapshot's `body`, what is before the signature, and whose it is; `None` when it is wrong.
fn signed<'b>(rest: &'b [u8], body: &[u8]) -> Option<(&'b [u8], Signer)> {
    let (unsigned, signature) = body.split_last_chunk()?;
    let (rest, _) = rest.split_last_chunk::<SIGNATURE>()?;
    let (rest, signer) = rest.split_last_chunk()?;
    let signer = Signer(*signer);
    signer.signed(&Sha256::digest(unsigned), signature).then_some((rest, signer))
}

/// The next so many bytes.
fn take<'b, const N: usize>(rest: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (head, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(head)
}

/// Writes what `store` holds, which is of `time`, as the newest snapshot of its file, and lets go of the oldest beyond
/// [`KEPT`]. Gives back its digest.
pub(super) fn keep(store: &Store, time: Timestamp) -> Result<[u8; DIGEST], StoreError> {
    let path = store.path();
    let key = Key::of(path)?;
    let before = newest(path)?.map_or([0; DIGEST], |snapshot| snapshot.digest);
    let file = of_day(path, time);
    let new = file.with_added_extension("new");
    let wrong = |error: std::io::Error| StoreError::Write { path: new.clone(), reason: error.to_string() };
    let digest = write(store, (time, before), &key, &new).inspect_err(|_| {
        // Half a one would take what room is left.
        let _ = fs::remove_file(&new);
    })?;
    fs::rename(&new, &file).map_err(wrong)?;
    tracing::info!(snapshot = %file.display(), sha256 = %hex::encode(digest), "a week was kept");
    let all = files(path)?;
    for old in all.iter().take(all.len().saturating_sub(KEPT)) {
        fs::remove_file(old).map_err(|source| StoreError::Io { path: old.clone(), source })?;
    }
    Ok(digest)
}

/// Writes it to `new`; gives back its digest.
fn write(
    store: &Store,
    (time, before): (Timestamp, [u8; DIGEST]),
    key: &Key,
    new: &Path,
) -> Result<[u8; DIGEST], StoreError> {
    let wrong = |error: std::io::Error| StoreError::Write { path: new.to_owned(), reason: error.to_string() };
    let frames = store.frames()?;
    let mut out = Hashed { out: std::io::BufWriter::new(fs::File::create(new).map_err(wrong)?), hash: Sha256::new() };
    out.put(MAGIC).and_then(|()| out.put(&[VERSION])).map_err(wrong)?;
    out.put(&time.0.to_le_bytes()).and_then(|()| out.put(&before)).map_err(wrong)?;
    out.put(&frames.count().to_le_bytes()).map_err(wrong)?;
    frames.each(new, |(kind, a, b), frame| {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        out.put(&[kind])?;
        out.put(&a.to_le_bytes())?;
        out.put(&b.to_le_bytes())?;
        out.put(&length.to_le_bytes())?;
        out.put(frame)
    })?;
    out.put(&key.signer().0).map_err(wrong)?;
    let signature = key.sign(&out.hash.clone().finalize());
    out.put(&signature).map_err(wrong)?;
    let digest = <[u8; DIGEST]>::from(out.hash.finalize());
    out.out.write_all(&digest).map_err(wrong)?;
    let file = out.out.into_inner().map_err(|error| wrong(error.into_error()))?;
    file.sync_all().map_err(wrong)?;
    Ok(digest)
}

/// Puts the newest snapshot of `to` or before in the baseline's place, if it is signed by `signer`, or else by the key
/// beside the baseline where there is one. What was known until now is set aside as a whole;
/// what came since is gone from the baseline: records, approvals, later snapshots, and pairs that first met later, whose
/// hosts it has no number for.
pub(crate) fn roll_back(path: &Path, to: Timestamp, signer: Option<Signer>) -> Result<RolledBack, NoWayBack> {
    let aside = path.with_added_extension("rolled-back");
    if aside.exists() {
        return Err(NoWayBack::Aside(aside));
    }
    let mut later = files(path)?;
    let none = || NoWayBack::NoneSoOld { path: path.to_owned(), to };
    let snapshot = loop {
        // One of these that is damaged is no reason to take an older one unasked.
        let snapshot = read(later.pop().ok_or_else(none)?.as_path());
        match snapshot {
            Ok(snapshot) if snapshot.time > to => {}
            Ok(snapshot) => break snapshot,
            Err(error) => return Err(error.into()),
        }
    };
    if let Some(expected) = signer.or_else(|| Signer::beside(path))
        && snapshot.signer != Some(expected)
    {
        return Err(NoWayBack::Foreign { path: snapshot.path, signer: snapshot.signer, expected });
    }
    let later = files(path)?.into_iter().filter(|file| *file > snapshot.path).collect::<Vec<_>>();
    let new = path.with_added_extension("rolling");
    if new.exists() {
        fs::remove_file(&new).map_err(|source| StoreError::Io { path: new.clone(), source })?;
    }
    let known = match Store::read(path) {
        Ok(records) => Some(records),
        // Then there is nothing to carry on, and all the more reason to go back.
        Err(error) if error.is_damage() => None,
        Err(error) => return Err(error.into()),
    };
    let approvals = |records: &[Record]| records.iter().filter(|record| record.kind == Kind::Approval).count();
    let since = known.as_deref().map_or(0, approvals).saturating_sub(approvals(&snapshot.records));
    let mut index = Vec::new();
    let mut dropped = 0_u64;
    if known.is_some() {
        Archive::open(path)?.each(&mut |record| match Meeting::read(&record) {
            Some(meeting) if meeting.first <= snapshot.time => index.push(record),
            _ => dropped = dropped.saturating_add(1),
        })?;
    }
    let mut store = Store::open(&new)?;
    let records = snapshot.records.into_iter().chain(index);
    let written = store.save(Extent::All, |put| records.for_each(put))?;
    drop(store);
    let moved = |source| StoreError::Io { path: path.to_owned(), source };
    fs::rename(path, &aside).map_err(moved)?;
    fs::rename(&new, path).map_err(moved)?;
    for file in &later {
        fs::remove_file(file).map_err(|source| StoreError::Io { path: file.clone(), source })?;
    }
    Ok(RolledBack {
        to: snapshot.time,
        records: written,
        aside,
        pairs_dropped: dropped,
        approvals_dropped: u64::try_from(since).unwrap_or(u64::MAX),
        snapshots_dropped: u64::try_from(later.len()).unwrap_or(u64::MAX),
    })
}

/// What is written, and its digest on the way.
struct Hashed {
    out: std::io::BufWriter<fs::File>,
    hash: Sha256,
}

impl Hashed {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }
}

/// The snapshot of a day: a week lies between two, so one a day is enough of a name.
fn of_day(path: &Path, time: Timestamp) -> PathBuf {
    let day = time.to_string();
    let day = day.split_once('T').map_or(&*day, |(day, _)| day);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("{INFIX}{day}"));
    path.with_file_name(name)
}

/// Snapshots kept: eight weeks, in which somebody will have noticed. Each is as large as the records of the baseline.
pub(crate) const KEPT: usize = 8;
const INFIX: &str = ".snapshot-";
const MAGIC: &[u8; 8] = b"YUKUESNP";
const VERSION: u8 = 2;
/// The first version with a signature.
const SIGNED: u8 = 2;
const DIGEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + n * 86_400)
    }

    fn record(kind: Kind, key: u32, value: &str) -> Record {
        Record { kind, key: (key, 0), value: Some(value.as_bytes().to_vec()) }
    }

    fn met(host: u32, first: Timestamp) -> Record {
        Meeting { with: host, first, last: day(90), count: 1, bytes: 9 }.record(Kind::Met, 7)
    }

    /// A baseline at `path` that holds `values`, and is kept as of `time`.
    fn kept(path: &Path, value: &str, time: Timestamp) -> [u8; DIGEST] {
        let mut store = Store::open(path).unwrap();
        store
            .save(Extent::All, |put| {
                [record(Kind::Fleet, 0, value), record(Kind::Tie, 4, value)].into_iter().for_each(put)
            })
            .unwrap();
        keep(&store, time).unwrap()
    }

    #[test]
    fn the_last_weeks_are_kept_each_with_the_digest_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yukue");
        fs::write(folder.path().join("b.yukue.snapshot-notes"), "somebody's").unwrap();
        let digests: Vec<_> = (0..12).map(|week| kept(&path, &format!("week {week}"), day(7 * week))).collect();
        let all: Vec<_> = files(&path).unwrap().iter().map(|file| read(file).unwrap()).collect();
        assert_eq!(all.len(), KEPT);
        let chain = digests.windows(2).skip(3).zip(4..);
        for ((pair, week), snapshot) in chain.zip(&all) {
            assert_eq!((snapshot.before, snapshot.digest), (pair[0], pair[1]), "week {week}");
            assert_eq!(snapshot.time, day(7 * week));
            assert_eq!(snapshot.records[0], record(Kind::Fleet, 0, &format!("week {week}")));
        }
        assert!(folder.path().join("b.yukue.snapshot-notes").exists(), "what is none is left alone");
    }

    #[test]
    fn a_snapshot_with_any_byte_changed_or_cut_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        kept(&path, "all", day(0));
        let file = files(&path).unwrap().remove(0);
        let good = fs::read(&file).unwrap();
        assert!(is_snapshot(&file) && !is_snapshot(&path));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, bad).unwrap();
            assert!(read(&file).is_err_and(|error| error.is_damage()), "byte {at}");
            fs::write(&file, &good[..at]).unwrap();
            assert!(read(&file).is_err_and(|error| error.is_damage()), "cut at {at}");
        }
        assert!(newest(&path).unwrap().is_none(), "it is passed over");
        fs::write(&file, &good).unwrap();
        assert!(read(&file).is_ok());
    }

    #[test]
    fn going_back_leaves_what_was_known_then_and_sets_the_rest_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        for (week, value) in [(0, "good"), (1, "better"), (2, "poisoned")] {
            kept(&path, value, day(7 * week));
        }
        let mut store = Store::open(&path).unwrap();
        let since = [record(Kind::Host, 9, "new"), record(Kind::Approval, 1, "kim"), met(3, day(2)), met(9, day(15))];
        store.save(Extent::Changed, |put| since.into_iter().for_each(put)).unwrap();
        let busy = roll_back(&path, day(8), None).unwrap_err();
        assert!(matches!(busy, NoWayBack::Store(StoreError::InUse { .. })), "{busy}");
        drop(store);
        assert!(matches!(roll_back(&path, day(-1), None), Err(NoWayBack::NoneSoOld { .. })));
        let done = roll_back(&path, day(8), None).unwrap();
        assert_eq!((done.to, done.records), (day(7), 2));
        assert_eq!((done.pairs_dropped, done.approvals_dropped, done.snapshots_dropped), (1, 1, 1));
        let values =
            |path: &Path| -> Vec<_> { Store::read(path).unwrap().into_iter().map(|r| (r.kind, r.value)).collect() };
        let was = |kind, value: &str| (kind, Some(value.as_bytes().to_vec()));
        assert_eq!(values(&path), [was(Kind::Fleet, "better"), was(Kind::Tie, "better")]);
        assert_eq!(values(&done.aside).len(), 4, "nothing is lost");
        let mut pairs = Vec::new();
        Archive::open(&path).unwrap().each(&mut |record| pairs.push(record.key)).unwrap();
        assert_eq!(pairs, [(7, 3)], "who met before is remembered");
        assert_eq!(files(&path).unwrap().len(), 2);
        assert!(
            matches!(roll_back(&path, day(8), None), Err(NoWayBack::Aside(_))),
            "what is aside is not written over"
        );
    }

    #[test]
    fn a_damaged_baseline_can_be_gone_back_from_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        kept(&path, "good", day(0));
        fs::write(&path, vec![7; 100_000]).unwrap();
        assert_eq!(roll_back(&path, day(1), None).unwrap().records, 2);
        assert_eq!(Store::read(&path).unwrap().len(), 2);
    }

    #[test]
    fn what_somebody_else_put_there_is_not_gone_back_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("b"), folder.path().join("other"));
        kept(&path, "ours", day(0));
        kept(&other, "theirs", day(7));
        let (ours, theirs) = (Signer::beside(&path), Signer::beside(&other));
        let put = files(&other).unwrap().remove(0);
        let there = of_day(&path, day(7));
        let to = |signer| roll_back(&path, day(8), signer);
        fs::copy(&put, &there).unwrap();
        assert_eq!(read(&there).unwrap().signer, theirs);
        let refused = to(None).unwrap_err();
        assert!(
            matches!(refused, NoWayBack::Foreign { signer, expected, .. } if signer == theirs && ours == Some(expected))
        );
        // As the first version wrote them: no signature, which anybody can leave out.
        let bytes = fs::read(&put).unwrap();
        let mut unsigned = bytes[..bytes.len() - DIGEST - SIGNATURE - theirs.unwrap().0.len()].to_vec();
        unsigned[MAGIC.len()] = 1;
        unsigned.extend(Sha256::digest(&unsigned));
        fs::write(&there, &unsigned).unwrap();
        assert_eq!(read(&there).unwrap().signer, None);
        assert!(matches!(to(None), Err(NoWayBack::Foreign { signer: None, .. })));
        // Another's name under it.
        let mut forged = bytes[..bytes.len() - DIGEST].to_vec();
        let at = forged.len() - SIGNATURE - theirs.unwrap().0.len();
        forged.splice(at..at + theirs.unwrap().0.len(), ours.unwrap().0);
        forged.extend(Sha256::digest(&forged));
        fs::write(&there, &forged).unwrap();
        assert!(matches!(to(None), Err(NoWayBack::Store(error)) if error.is_damage()));
        fs::write(&there, &bytes).unwrap();
        assert_eq!(to(theirs).unwrap().to, day(7), "who is named is trusted");
    }
}
