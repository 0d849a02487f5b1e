//! A log of lines that runs for months: written whole lines at a time, moved aside at a size, and patient with a disk
//! that is full. Lines wait in memory up to a budget while they cannot be written; past it, new ones are given up and
//! counted.

use super::jsonl::OutputError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// When a log is moved aside, and how many are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    /// Bytes of one file.
    pub(crate) bytes: u64,
    /// Files moved aside that are kept, of each kind.
    pub(crate) keep: usize,
}

/// One kind of record.
#[derive(Debug)]
pub(super) struct Rolling {
    folder: PathBuf,
    /// `flows` of `flows.jsonl`.
    stem: &'static str,
    rotation: Rotation,
    file: Option<File>,
    /// Whole lines that wait to be written.
    lines: Vec<u8>,
    waiting: u64,
    /// Bytes of whole lines in the file.
    size: u64,
    state: State,
}

/// What a log counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) rotations: u64,
    pub(super) lost: u64,
    pub(super) waiting: u64,
    pub(super) failing: Option<String>,
}

impl Rolling {
    /// Opens a log; one that an earlier run left is moved aside as of `now`, so that nothing of it is lost or mixed in.
    pub(super) fn open(folder: &Path, stem: &'static str, rotation: Rotation, now: &str) -> Result<Self, OutputError> {
        let mut log = Self {
            folder: folder.to_owned(),
            stem,
            rotation,
            file: None,
            lines: Vec::new(),
            waiting: 0,
            size: 0,
            state: State::default(),
        };
        let path = log.path();
        if fs::metadata(&path).is_ok_and(|m| m.len() > 0) {
            log.move_aside(now).map_err(|source| OutputError::Io { path: path.clone(), doing: "move", source })?;
        }
        log.file = Some(create(&path).map_err(|source| OutputError::Io { path, doing: "create", source })?);
        Ok(log)
    }

    /// Where lines go now.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.jsonl", self.stem))
    }

    /// Adds what `fill` writes as a line; nothing when it says false. Written at the next [`Rolling::flush`], or now when
    /// much waits.
    pub(super) fn line(&mut self, now: &str, fill: impl FnOnce(&mut Vec<u8>) -> bool) {
        if self.lines.len() >= MAX_WAITING {
            self.state.lost = self.state.lost.saturating_add(1);
            return;
        }
        if fill(&mut self.lines) {
            self.lines.push(b'\n');
            self.waiting = self.waiting.saturating_add(1);
        }
        // While the disk takes nothing, only the regular flush tries again.
        if self.lines.len() >= BUFFER && self.state.failing.is_none() {
            self.flush(now);
        }
    }

    /// Writes what waits, and moves the file aside when it is long enough.
    pub(super) fn flush(&mut self, now: &str) {
        if self.lines.is_empty() {
            return;
        }
        match self.write() {
            Ok(()) => {
                if self.state.failing.take().is_some() {
                    tracing::warn!(log = self.stem, lost = self.state.lost, "the log can be written again");
                }
            }
            Err(error) => {
                if self.state.failing.is_none() {
                    tracing::error!(path = %self.path().display(), %error, "the log cannot be written, records wait");
                }
                self.state.failing = Some(error.to_string());
                return;
            }
        }
        if self.size >= self.rotation.bytes {
            match self.move_aside(now) {
                Ok(()) => self.state.rotations = self.state.rotations.saturating_add(1),
                Err(error) => {
                    tracing::warn!(path = %self.path().display(), %error, "the log cannot be moved aside");
                }
            }
        }
    }

    /// From here on all lines go into this file, however long it gets.
    pub(super) fn stay(&mut self) {
        self.rotation.bytes = u64::MAX;
    }

    /// The file of this name is opened again before the next line.
    pub(super) fn reopen(&mut self) {
        self.file = None;
    }

    /// What it counted until now.
    pub(super) fn state(&self) -> State {
        State { waiting: self.waiting, ..self.state.clone() }
    }

    fn write(&mut self) -> io::Result<()> {
        let path = self.path();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = create(&path)?;
                self.size = file.metadata()?.len();
                self.file.insert(file)
            }
        };
        if let Err(error) = file.write_all(&self.lines) {
            let _ = file.set_len(self.size); // The write's error is the one that is told.
            return Err(error);
        }
        let bytes = u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(bytes);
        self.state.bytes = self.state.bytes.saturating_add(bytes);
        self.state.records = self.state.records.saturating_add(self.waiting);
        self.waiting = 0;
        self.lines.clear();
        self.lines.shrink_to(BUFFER);
        Ok(())
    }

    /// `flows.jsonl` becomes `flows-NOW.jsonl`, and the oldest beyond those to keep go.
    fn move_aside(&mut self, now: &str) -> io::Result<()> {
        let from = self.path();
        // Two within one second: the later one is numbered.
        let names = (0_u32..1_000).map(|n| match n {
            0 => format!("{}-{now}.jsonl", self.stem),
            n => format!("{}-{now}.{n:03}.jsonl", self.stem),
        });
        let free = names.map(|name| self.folder.join(name)).find(|to| !to.exists());
        let to = free.ok_or_else(|| io::Error::other("a thousand logs within a second"))?;
        fs::rename(&from, &to)?;
        self.file = None;
        self.size = 0;
        let prefix = format!("{}-", self.stem);
        let mut aside: Vec<PathBuf> = fs::read_dir(&self.folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                name.strip_prefix(&prefix).is_some_and(|rest| rest.ends_with(".jsonl") && rest.starts_with('2'))
            })
            .collect();
        aside.sort();
        let gone = aside.len().saturating_sub(self.rotation.keep);
        for path in aside.into_iter().take(gone) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Lines are written together once they are this long.
const BUFFER: usize = 256 * 1024;
/// What waits at most for a disk that is full: minutes of a busy site.
const MAX_WAITING: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn put(log: &mut Rolling, text: &str, now: &str) {
        log.line(now, |out| {
            out.extend_from_slice(text.as_bytes());
            true
        });
        log.flush(now);
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_log_is_moved_aside_at_its_size_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes: 8, keep: 2 };
        let mut log = Rolling::open(folder.path(), "flows", rotation, "20261129T120000Z").unwrap();
        for n in 0..4 {
            put(&mut log, "12345678", &format!("20261129T12000{n}Z"));
        }
        put(&mut log, "last", "20261129T120009Z");
        assert_eq!(
            names(folder.path()),
            ["flows-20261129T120002Z.jsonl", "flows-20261129T120003Z.jsonl", "flows.jsonl"]
        );
        assert_eq!(fs::read_to_string(log.path()).unwrap(), "last\n");
        assert_eq!((log.state().records, log.state().rotations), (5, 4));
    }

    #[test]
    fn what_an_earlier_run_left_is_moved_aside_also_twice_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes: 1 << 20, keep: 9 };
        for run in ["first", "second", "third"] {
            let mut log = Rolling::open(folder.path(), "alerts", rotation, "20261129T120000Z").unwrap();
            put(&mut log, run, "20261129T120000Z");
        }
        let kept = ["alerts-20261129T120000Z.001.jsonl", "alerts-20261129T120000Z.jsonl", "alerts.jsonl"];
        assert_eq!(names(folder.path()), kept);
    }

    #[test]
    fn lines_wait_for_a_full_disk_and_past_the_budget_new_ones_are_counted_as_lost() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes: u64::MAX, keep: 9 };
        let mut log = Rolling::open(folder.path(), "facts", rotation, "20261129T120000Z").unwrap();
        log.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        put(&mut log, "waits", "20261129T120001Z");
        let state = log.state();
        assert_eq!((state.records, state.waiting, state.lost), (0, 1, 0));
        assert!(state.failing.unwrap().contains("No space left"));
        log.lines.resize(MAX_WAITING, b' ');
        put(&mut log, "is given up", "20261129T120002Z");
        assert_eq!(log.state().lost, 1);
        log.lines.truncate("waits\n".len());
        log.file = None;
        put(&mut log, "after", "20261129T120003Z");
        assert_eq!(fs::read_to_string(log.path()).unwrap(), "waits\nafter\n");
        assert_eq!((log.state().failing, log.state().waiting), (None, 0));
    }
}
