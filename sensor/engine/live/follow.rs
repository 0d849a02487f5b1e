//! A folder that a capture program rotates its files into (`tcpdump -G`, `tcpdump -C -W`, `dumpcap -b`): each file is
//! read once it is finished, oldest first. Files wait for us, so nothing is ever shed.
//!
//! A file is finished when a newer one is there, or when it has not grown for a while. How far the folder was read is
//! left in the log folder, so that a sensor that starts again goes on with the next file.

use super::queue::{Batch, Load};
use super::reader::{Counts, Message};
use super::shed::Pressure;
use crate::capture::{self, CaptureError, Source as _, rest};
use crate::engine::clock;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The folder and how far it was read.
pub(super) struct Follower<'a> {
    folder: &'a Path,
    filter: Option<&'a str>,
    /// Where the mark is kept.
    mark: PathBuf,
    done: Option<Mark>,
    counts: &'a Mutex<Counts>,
    queue: SyncSender<Message>,
}

/// A file by when it was last written to, in nanoseconds since the epoch, then by name: rotation writes one after the
/// other, and uses names again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
struct Mark {
    written_ns: u64,
    name: String,
}

impl<'a> Follower<'a> {
    pub(super) fn new(
        folder: &'a Path,
        filter: Option<&'a str>,
        log: &Path,
        counts: &'a Mutex<Counts>,
        queue: SyncSender<Message>,
    ) -> Self {
        let mark = log.join(MARK);
        let done = fs::read(&mark).ok().and_then(|text| match serde_json::from_slice(&text) {
            Ok(done) => Some(done),
            Err(error) => {
                tracing::warn!(path = %mark.display(), %error, "cannot tell how far the folder was read, all is read again");
                None
            }
        });
        Self { folder, filter, mark, done, counts, queue }
    }

    /// Reads files as they are finished, until told to stop.
    pub(super) fn run(mut self, load: &Load, stop: &AtomicBool) -> Result<(), CaptureError> {
        let done = self.read_on(load, stop);
        let _ = self.queue.send(Message::Ended(0)); // Nobody is left to be told when it fails.
        done
    }

    fn read_on(&mut self, load: &Load, stop: &AtomicBool) -> Result<(), CaptureError> {
        while !stop.load(Ordering::Relaxed) {
            match self.finished()? {
                Some((path, mark)) => {
                    match self.read(&path, load, stop) {
                        Ok(true) => {}
                        Ok(false) => return Ok(()), // Stopped within the file; it is read again.
                        Err(error @ (CaptureError::NotACapture { .. } | CaptureError::Io { .. })) => {
                            tracing::warn!(%error, "a file of the watched folder is left out");
                        }
                        Err(error) => return Err(error),
                    }
                    self.keep(mark);
                }
                None => rest(LOOK_EVERY),
            }
        }
        Ok(())
    }

    /// The oldest finished file that was not read yet.
    fn finished(&self) -> Result<Option<(PathBuf, Mark)>, CaptureError> {
        let wrong = |source| CaptureError::Io { path: self.folder.display().to_string(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            // A file may be gone by now, rotation removes old ones.
            let Ok(about) = entry.metadata() else { continue };
            if !about.is_file() {
                continue;
            }
            let since =
                about.modified().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other));
            let written_ns = since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((Mark { written_ns, name }, entry.path()));
        }
        files.sort_unstable();
        let newest = files.len().saturating_sub(1);
        let next = files.into_iter().enumerate().find(|(_, (mark, _))| Some(mark) > self.done.as_ref());
        let now = u64::try_from(clock::wall().0).unwrap_or(0);
        Ok(next.and_then(|(at, (mark, path))| {
            let settled = now.saturating_sub(mark.written_ns) >= SETTLED_NS;
            (at < newest || settled).then_some((path, mark))
        }))
    }

    /// Hands a file's frames on; whether it was read to its end.
    fn read(&self, path: &Path, load: &Load, stop: &AtomicBool) -> Result<bool, CaptureError> {
        let mut file = capture::open(&[path.to_owned()], self.filter)?;
        let mut batch = Batch::of(0);
        let mut bytes = 0_u64;
        while let Some(frame) = file.next()? {
            batch.until = batch.until.max(frame.ts);
            bytes = bytes.saturating_add(u64::from(frame.wire_len));
            batch.push(frame.ts, &frame);
            if batch.len() >= TOGETHER && !self.send(&mut batch, &mut bytes, load, stop) {
                return Ok(false);
            }
        }
        let sent = batch.is_empty() || self.send(&mut batch, &mut bytes, load, stop);
        let filtered = file.filtered();
        self.count(|counts| counts.filtered = counts.filtered.saturating_add(filtered));
        for damage in file.reports().into_iter().filter_map(|report| report.damage) {
            tracing::warn!(path = %path.display(), damage, "a file of the watched folder is damaged");
        }
        Ok(sent)
    }

    /// Waits for room, then sends; `false` when stopped before there was any.
    fn send(&self, batch: &mut Batch, bytes: &mut u64, load: &Load, stop: &AtomicBool) -> bool {
        while load.pressure(batch.weight()) != Pressure::None && load.now().0 > 0 {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            rest(NO_ROOM);
        }
        let full = std::mem::replace(batch, Batch::of(0));
        let frames = u64::try_from(full.len()).unwrap_or(u64::MAX);
        load.add(full.weight());
        load.put();
        let wire = std::mem::take(bytes);
        self.count(|counts| {
            counts.delivered = counts.delivered.saturating_add(frames);
            counts.delivered_bytes = counts.delivered_bytes.saturating_add(wire);
        });
        self.queue.send(Message::Frames(full)).is_ok()
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn keep(&mut self, mark: Mark) {
        let kept = serde_json::to_vec(&mark).map_err(io::Error::other).and_then(|text| fs::write(&self.mark, text));
        if let Err(error) = kept {
            tracing::warn!(path = %self.mark.display(), %error, "cannot note how far the folder was read");
        }
        self.done = Some(mark);
    }
}

const MARK: &str = "watched.json";
/// Between two looks into the folder.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Between two looks for room in the queue.
const NO_ROOM: Duration = Duration::from_millis(2);
/// A newest file that has not grown for this long is finished.
const SETTLED_NS: u64 = 10_000_000_000;
/// Frames sent together.
const TOGETHER: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_file_is_read_once_it_is_finished_and_names_may_come_again() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, log) = (folder.path().join("in"), folder.path().join("log"));
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir_all(&log).unwrap();
        let counts = Mutex::default();
        let (queue, _messages) = mpsc::sync_channel(8);
        let write = |name: &str, age_s: u64| {
            fs::write(dir.join(name), "x").unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000 - age_s);
            fs::File::options().write(true).open(dir.join(name)).unwrap().set_modified(at).unwrap();
        };
        let mut follower = Follower::new(&dir, None, &log, &counts, queue.clone());
        assert!(follower.finished().unwrap().is_none(), "an empty folder");
        write("a", 300);
        assert!(follower.finished().unwrap().is_none(), "the newest may still grow: it was written to in the future");
        write("b", 200);
        let (path, mark) = follower.finished().unwrap().unwrap();
        assert_eq!(path, dir.join("a"));
        follower.keep(mark);
        assert!(follower.finished().unwrap().is_none());
        write("a", 100);
        assert_eq!(follower.finished().unwrap().unwrap().0, dir.join("b"), "a name that comes again is a newer file");
        let again = Follower::new(&dir, None, &log, &counts, queue);
        assert_eq!(again.done.map(|mark| mark.name), Some("a".to_owned()), "a successor knows");
    }
}
