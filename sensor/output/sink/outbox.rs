//! Tellings in the order they were told, on disk until every output has delivered them.
//!
//! Files `NUMBER.jsonl` hold whole lines; the name is the number of the first. A file is deleted when all outputs are
//! past it, or, oldest first, when together they are larger than allowed: then whoever had not read it misses its lines,
//! and that is counted. `NAME.place` holds where an output is. A line is synced to disk before it is delivered; while the
//! disk takes none, delivery goes on from memory and only a restart would lose lines.

use crate::output::{OWN, replace};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines with numbers, one writer, many readers.
#[derive(Debug)]
pub(super) struct Outbox {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inside {
    folder: Option<PathBuf>,
    /// Bytes on disk at most.
    limit: u64,
    /// Number of the next line.
    next: u64,
    /// The latest lines.
    recent: VecDeque<Arc<[u8]>>,
    recent_bytes: usize,
    /// Oldest first; only the last is written to.
    files: VecDeque<Lines>,
    open: Option<File>,
    /// Lines the disk did not take.
    unsaved: u64,
    places: Vec<(Box<str>, u64)>,
    ended: bool,
}

/// One file of lines.
#[derive(Debug)]
struct Lines {
    first: u64,
    count: u64,
    bytes: u64,
    path: PathBuf,
}

/// What a reader gets.
pub(super) struct Batch {
    /// Each line with its number.
    pub(super) lines: Vec<(u64, Arc<[u8]>)>,
    /// Lines that were deleted before they were read.
    pub(super) missed: u64,
}

impl Outbox {
    /// What is on disk, as a crash left it: a line without its end is cut off. Without a folder all is in memory.
    pub(super) fn open(folder: Option<&Path>, limit: u64) -> io::Result<Self> {
        let mut inside = Inside {
            folder: folder.map(Path::to_owned),
            limit: limit.max(MIN_LIMIT),
            next: 0,
            recent: VecDeque::new(),
            recent_bytes: 0,
            files: VecDeque::new(),
            open: None,
            unsaved: 0,
            places: Vec::new(),
            ended: false,
        };
        if let Some(folder) = folder {
            fs::create_dir_all(folder)?;
            inside.find(folder)?;
        }
        Ok(Self { inside: Mutex::new(inside), changed: Condvar::new() })
    }

    /// The lines of the newest file: whoever keeps a ledger of them may have missed the last.
    pub(super) fn newest(&self) -> Vec<Vec<u8>> {
        let inside = self.inside();
        let text = inside.files.back().and_then(|lines| fs::read(&lines.path).ok()).unwrap_or_default();
        whole_lines(&text).map(<[u8]>::to_vec).collect()
    }

    /// Adds lines and wakes readers. Said true when they are on disk (or none is asked for).
    pub(super) fn add(&self, lines: &[Vec<u8>]) -> bool {
        let mut inside = self.inside();
        let saved = inside.add(lines);
        drop(inside);
        self.changed.notify_all();
        saved
    }

    /// Lines the disk did not take so far.
    pub(super) fn unsaved(&self) -> u64 {
        self.inside().unsaved
    }

    /// Makes a place for a reader: where it was, or for a new one the end.
    pub(super) fn join(&self, name: &str) {
        let mut inside = self.inside();
        let place = inside.place_of(name);
        inside.places.retain(|(known, _)| **known != *name);
        inside.places.push((name.into(), place));
        if let Some(folder) = inside.folder.clone()
            && let Err(error) = replace(&place_file(&folder, name), place.to_string().as_bytes(), OWN)
        {
            tracing::warn!(%error, output = name, "cannot save the place in the outbox");
        }
    }

    /// Gives up the place of a reader that is no more.
    pub(super) fn leave(&self, name: &str) {
        let mut inside = self.inside();
        inside.places.retain(|(known, _)| **known != *name);
        if let Some(folder) = &inside.folder {
            let _ = fs::remove_file(place_file(folder, name)); // Not there is as good.
        }
        inside.tidy();
    }

    /// Names with a saved place.
    pub(super) fn known(&self) -> Vec<String> {
        let inside = self.inside();
        let Some(entries) = inside.folder.as_ref().and_then(|folder| fs::read_dir(folder).ok()) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| name.strip_suffix(PLACE).map(str::to_owned)).collect()
    }

    /// Waits for lines beyond a reader's place; `None` when there are none and will be none, or `stop` says so.
    pub(super) fn wait(&self, name: &str, stop: impl Fn() -> bool) -> Option<Batch> {
        let mut inside = self.inside();
        loop {
            if stop() {
                return None;
            }
            let batch = inside.read(name);
            if !batch.lines.is_empty() || batch.missed > 0 {
                return Some(batch);
            }
            if inside.ended {
                return None;
            }
            inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes that a reader has done with all before `place`.
    pub(super) fn done(&self, name: &str, place: u64) {
        let mut inside = self.inside();
        if let Some((_, at)) = inside.places.iter_mut().find(|(known, _)| **known == *name) {
            *at = place;
        }
        if let Some(folder) = &inside.folder
            && let Err(error) = replace(&place_file(folder, name), place.to_string().as_bytes(), OWN)
        {
            tracing::debug!(%error, output = name, "cannot save the place in the outbox");
        }
        inside.tidy();
    }

    /// Lines a reader has not done with.
    pub(super) fn waiting(&self, name: &str) -> u64 {
        let inside = self.inside();
        let place = inside.places.iter().find(|(known, _)| **known == *name).map_or(inside.next, |(_, at)| *at);
        inside.next.saturating_sub(place)
    }

    /// Rests for a while, or until the end or a wake.
    pub(super) fn rest(&self, span: Duration, stop: impl Fn() -> bool) {
        let inside = self.inside();
        let _ = self.changed.wait_timeout_while(inside, span, |inside| !inside.ended && !stop());
    }

    /// Wakes all who wait, so that they look at their stop flags.
    pub(super) fn wake(&self) {
        drop(self.inside());
        self.changed.notify_all();
    }

    /// No lines will follow.
    pub(super) fn end(&self) {
        self.inside().ended = true;
        self.changed.notify_all();
    }

    /// Whether no lines will follow.
    pub(super) fn has_ended(&self) -> bool {
        self.inside().ended
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Where a reader was: the end for a new one. What was saved and cannot be read, as after a power cut, is no new one:
    /// it gets again what there is.
    fn place_of(&self, name: &str) -> u64 {
        let Some(folder) = &self.folder else { return self.next };
        let path = place_file(folder, name);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.next,
            saved => saved.ok().and_then(|text| text.trim().parse().ok()).unwrap_or_else(|| {
                tracing::warn!(output = name, "the place in the outbox cannot be read: what waits there is sent again");
                self.files.front().map_or(self.next, |lines| lines.first)
            }),
        }
    }

    fn find(&mut self, folder: &Path) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(first) = name.strip_suffix(LINES).and_then(|stem| stem.parse::<u64>().ok()) {
                found.push((first, path));
            } else if name.ends_with(PLACE) {
                let place = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
                self.next = self.next.max(place); // Numbers are never used twice, even if files were deleted.
            }
        }
        found.sort();
        for (first, path) in found {
            let text = fs::read(&path)?;
            let (count, bytes) = whole_lines(&text).fold((0_u64, 0_u64), |(count, bytes), line| {
                (count + 1, bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX)).saturating_add(1))
            });
            if bytes < u64::try_from(text.len()).unwrap_or(u64::MAX) {
                OpenOptions::new().write(true).open(&path)?.set_len(bytes)?;
            }
            self.next = self.next.max(first.saturating_add(count));
            self.files.push_back(Lines { first, count, bytes, path });
        }
        Ok(())
    }

    fn add(&mut self, lines: &[Vec<u8>]) -> bool {
        let first = self.next;
        for line in lines {
            self.recent_bytes = self.recent_bytes.saturating_add(line.len());
            self.recent.push_back(line.as_slice().into());
            self.next = self.next.saturating_add(1);
        }
        while self.recent_bytes > RECENT && self.recent.len() > 1 {
            let gone = self.recent.pop_front().map_or(0, |line| line.len());
            self.recent_bytes = self.recent_bytes.saturating_sub(gone);
        }
        let Some(folder) = self.folder.clone() else { return true };
        match self.save_all(&folder, first, lines) {
            Ok(()) => true,
            Err(error) => {
                self.open = None; // The next lines begin a file of their own.
                self.unsaved = self.unsaved.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
                tracing::warn!(%error, folder = %folder.display(), lines = lines.len(), "the outbox is not on disk");
                false
            }
        }
    }

    /// Saves lines in pieces of at most one file, so that many at once take no more of the disk than few.
    fn save_all(&mut self, folder: &Path, mut first: u64, mut lines: &[Vec<u8>]) -> io::Result<()> {
        while !lines.is_empty() {
            let room = FILE.min(self.limit / 4);
            let mut bytes = 0_u64;
            let within = |line: &&Vec<u8>| {
                bytes = bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
                bytes <= room
            };
            let (now, later) = lines.split_at(lines.iter().take_while(within).count().max(1));
            self.save(folder, first, now)?;
            first = first.saturating_add(u64::try_from(now.len()).unwrap_or(u64::MAX));
            lines = later;
        }
        Ok(())
    }

    fn save(&mut self, folder: &Path, first: u64, lines: &[Vec<u8>]) -> io::Result<()> {
        let full = self.files.back().is_none_or(|last| last.bytes > FILE.min(self.limit / 4));
        if full || self.open.is_none() {
            let path = folder.join(format!("{first:020}{LINES}"));
            self.open = Some(OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?);
            self.files.push_back(Lines { first, count: 0, bytes: 0, path });
        }
        let (Some(file), Some(last)) = (&mut self.open, self.files.back_mut()) else { return Ok(()) };
        let mut text = Vec::new();
        for line in lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        if let Err(error) = file.write_all(&text).and_then(|()| file.sync_data()) {
            let _ = file.set_len(last.bytes); // The error that led here is what counts.
            return Err(error);
        }
        last.count = last.count.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        last.bytes = last.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.tidy();
        Ok(())
    }

    /// Deletes files that everybody has read, and the oldest while there is too much. The newest stays.
    fn tidy(&mut self) {
        let read = self.places.iter().map(|(_, at)| *at).min().unwrap_or(self.next);
        while self.files.len() > 1
            && let Some(oldest) = self.files.front()
        {
            let total: u64 = self.files.iter().map(|lines| lines.bytes).sum();
            if oldest.first.saturating_add(oldest.count) > read && total <= self.limit {
                break;
            }
            if let Err(error) = fs::remove_file(&oldest.path) {
                tracing::warn!(%error, path = %oldest.path.display(), "cannot delete from the outbox");
            }
            self.files.pop_front();
        }
    }

    fn read(&mut self, name: &str) -> Batch {
        let next = self.next;
        let Some((_, place)) = self.places.iter_mut().find(|(known, _)| **known == *name) else {
            return Batch { lines: Vec::new(), missed: 0 };
        };
        let remembered = next.saturating_sub(u64::try_from(self.recent.len()).unwrap_or(0));
        let mut missed = 0;
        if *place < remembered {
            let file = self.files.iter().find(|lines| *place < lines.first.saturating_add(lines.count));
            let there = file.map_or(remembered, |lines| lines.first.max(*place).min(remembered));
            missed = there.saturating_sub(*place);
            *place = there;
            if let Some(lines) = file.filter(|_| there < remembered) {
                let skip = usize::try_from(there.saturating_sub(lines.first)).unwrap_or(usize::MAX);
                let text = fs::read(&lines.path).unwrap_or_default();
                let lines: Vec<_> = (there..).zip(whole_lines(&text).skip(skip).take(BATCH).map(Arc::from)).collect();
                if lines.is_empty() {
                    // The file is not what it was: go on behind it.
                    let gone = file.map_or(remembered, |l| l.first.saturating_add(l.count).min(remembered));
                    missed = missed.saturating_add(gone.saturating_sub(*place));
                    *place = gone;
                }
                return Batch { lines, missed };
            }
        }
        let skip = usize::try_from(place.saturating_sub(remembered)).unwrap_or(usize::MAX);
        Batch { lines: (*place..).zip(self.recent.iter().skip(skip).take(BATCH).cloned()).collect(), missed }
    }
}

/// Lines with an end, without it.
fn whole_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}

fn place_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{PLACE}"))
}

const LINES: &str = ".jsonl";
const PLACE: &str = ".place";
/// Bytes after which a new file begins.
const FILE: u64 = 1 << 20;
/// Less than a few files would make no sense of the limit.
const MIN_LIMIT: u64 = 64 << 10;
/// Bytes of lines in memory; more wait on disk.
const RECENT: usize = 4 << 20;
/// Lines a reader gets at once.
const BATCH: usize = 64;
