//! What was captured, as a file: pcapng with nanosecond stamps, one interface description an interface, so that
//! `analyze` on it sees the frames that the live run saw, in the order it saw them.
//!
//! At the end an interface statistics block says until when was captured: flows that went quiet before the end were
//! closed by time, not by the end, and a reader must know. A recording that cannot be written on (disk full) ends at its
//! last whole block and is not taken up again: one with a hole would not be what was analysed.

use super::{CaptureError, Frame, LinkType};
use crate::base::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A recording being written.
pub(crate) struct Recording {
    path: PathBuf,
    file: File,
    /// Whole blocks that wait to be written.
    blocks: Vec<u8>,
    /// Bytes of whole blocks in the file.
    written: u64,
    /// Frames in `blocks`.
    waiting: u64,
    frames: u64,
    missed: u64,
    failed: Option<String>,
}

impl Recording {
    /// Makes the file, which must not be there yet, for frames of these interfaces: name, link type, snap length.
    pub(crate) fn create(path: &Path, interfaces: &[(String, LinkType, u32)]) -> Result<Self, CaptureError> {
        let wrong = |source| CaptureError::Io { path: path.display().to_string(), source };
        let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(wrong)?;
        let mut blocks = Vec::with_capacity(ROOM);
        block(&mut blocks, SECTION_HEADER, |out| {
            out.extend(BYTE_ORDER.to_le_bytes());
            out.extend([1, 0, 0, 0]);
            out.extend((-1_i64).to_le_bytes());
            option(out, SHB_USERAPPL, format!("{WRITER}{}", env!("CARGO_PKG_VERSION")).as_bytes());
            option(out, END_OF_OPTIONS, &[]);
        });
        for (name, link, snaplen) in interfaces {
            block(&mut blocks, INTERFACE, |out| {
                out.extend(link.0.to_le_bytes());
                out.extend([0, 0]);
                out.extend(snaplen.to_le_bytes());
                option(out, IF_NAME, name.as_bytes());
                option(out, IF_TSRESOL, &[9]);
                option(out, END_OF_OPTIONS, &[]);
            });
        }
        let path = path.to_owned();
        let mut recording = Self { path, file, blocks, written: 0, waiting: 0, frames: 0, missed: 0, failed: None };
        recording.flush();
        match recording.failed.take() {
            None => Ok(recording),
            Some(why) => Err(wrong(io::Error::other(why))),
        }
    }

    /// Where it is written to, as given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Frames recorded.
    pub(crate) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames that came after the recording had failed, or were lost with it.
    pub(crate) const fn missed(&self) -> u64 {
        self.missed
    }

    /// Why it ended early.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Adds a frame of an interface, by its place in the list given.
    #[inline]
    pub(crate) fn frame(&mut self, interface: u32, frame: &Frame<'_>) {
        if self.failed.is_some() {
            self.missed = self.missed.saturating_add(1);
            return;
        }
        let ticks = u64::try_from(frame.ts.0).unwrap_or(0);
        let captured = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        block(&mut self.blocks, ENHANCED_PACKET, |out| {
            out.extend(interface.to_le_bytes());
            moment(out, ticks);
            out.extend(captured.to_le_bytes());
            out.extend(frame.wire_len.to_le_bytes());
            out.extend_from_slice(frame.bytes);
            pad(out, frame.bytes.len());
        });
        self.waiting = self.waiting.saturating_add(1);
        if self.blocks.len() >= ROOM {
            self.flush();
        }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) {
        if self.failed.is_some() || self.blocks.is_empty() {
            return;
        }
        match self.file.write_all(&self.blocks) {
            Ok(()) => {
                self.written = self.written.saturating_add(self.blocks.len() as u64);
                self.frames = self.frames.saturating_add(self.waiting);
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the recording ends here");
                let _ = self.file.set_len(self.written); // The write's error is the one that is told.
                self.missed = self.missed.saturating_add(self.waiting);
                self.failed = Some(error.to_string());
            }
        }
        self.blocks.clear();
        self.waiting = 0;
    }

    /// Ends it: `until` is the moment up to which time was advanced after the last frame, if it was.
    pub(crate) fn finish(&mut self, until: Option<Timestamp>, dropped: &[u64]) {
        for (interface, dropped) in (0_u32..).zip(dropped) {
            let ticks = until.map_or(0, |until| u64::try_from(until.0).unwrap_or(0));
            block(&mut self.blocks, STATISTICS, |out| {
                out.extend(interface.to_le_bytes());
                moment(out, ticks);
                if until.is_some() {
                    let mut end = Vec::new();
                    moment(&mut end, ticks);
                    option(out, ISB_ENDTIME, &end);
                }
                option(out, ISB_OSDROP, &dropped.to_le_bytes());
                option(out, END_OF_OPTIONS, &[]);
            });
        }
        self.flush();
        if let Err(error) = self.file.sync_all() {
            tracing::warn!(path = %self.path.display(), %error, "the recording may not be on the disk yet");
        }
    }
}

/// Type, length, what `fill` writes, length again.
#[inline]
fn block(out: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    fill(out);
    let total = u32::try_from(out.len().saturating_sub(begin).saturating_add(4)).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(place) = out.get_mut(begin.saturating_add(4)..begin.saturating_add(8)) {
        place.copy_from_slice(&total);
    }
    out.extend(total);
}

/// High half first, pcapng §4.3.
#[inline]
fn moment(out: &mut Vec<u8>, ticks: u64) {
    out.extend(u32::try_from(ticks >> 32).unwrap_or(0).to_le_bytes());
    out.extend(u32::try_from(ticks & 0xffff_ffff).unwrap_or(0).to_le_bytes());
}

/// Code, length, value padded to four bytes, pcapng §3.5.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..value.len().min(MAX_OPTION)).unwrap_or_default();
    out.extend(code.to_le_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

#[inline]
fn pad(out: &mut Vec<u8>, len: usize) {
    out.extend([0; 3].get(..len.wrapping_neg() & 3).unwrap_or_default());
}

/// What our recordings name as their writer, before the version.
pub(super) const WRITER: &str = "yukue ";
/// Blocks are written together once they are this long.
const ROOM: usize = 256 * 1024;
/// Longest option value we write.
const MAX_OPTION: usize = 1_024;
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const END_OF_OPTIONS: u16 = 0;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const ISB_ENDTIME: u16 = 3;
const ISB_OSDROP: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{self, Source as _};

    #[test]
    fn a_recording_reads_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.pcapng");
        let interfaces = [("a".to_owned(), LinkType::ETHERNET, 100), ("b".to_owned(), LinkType::RAW, 100)];
        let mut recording = Recording::create(&path, &interfaces).unwrap();
        let frames = [
            (0, LinkType::ETHERNET, &b"abcde"[..], 900),
            (1, LinkType::RAW, b"", 0),
            (0, LinkType::ETHERNET, b"fghi", 4),
        ];
        for (n, (interface, link, bytes, wire_len)) in frames.iter().enumerate() {
            let ts = Timestamp(1_790_000_000_123_456_789 - n as i64);
            recording.frame(*interface, &Frame { ts, link: *link, bytes, wire_len: *wire_len, input: 0, number: 0 });
        }
        recording.finish(Some(Timestamp(1_790_000_009_000_000_001)), &[3, 4]);
        assert_eq!((recording.frames(), recording.missed()), (3, 0));
        let mut files = capture::open(std::slice::from_ref(&path), None).unwrap();
        for (n, (_, link, bytes, wire_len)) in frames.iter().enumerate() {
            let frame = files.next().unwrap().unwrap();
            assert_eq!(frame.ts, Timestamp(1_790_000_000_123_456_789 - n as i64), "in the order written");
            assert_eq!((frame.link, frame.bytes, frame.wire_len), (*link, *bytes, *wire_len));
        }
        assert!(files.next().unwrap().is_none());
        let report = files.reports().remove(0);
        assert_eq!((report.dropped, report.damage), (7, None));
        assert_eq!(report.until, Some(Timestamp(1_790_000_009_000_000_001)));
        assert!(Recording::create(&path, &interfaces).is_err(), "a recording is not written over");
    }

    #[test]
    fn a_full_disk_ends_the_recording_and_is_counted() {
        let mut recording = Recording {
            path: "/dev/full".into(),
            file: OpenOptions::new().write(true).open("/dev/full").unwrap(),
            blocks: Vec::new(),
            written: 0,
            waiting: 0,
            frames: 0,
            missed: 0,
            failed: None,
        };
        let frame = Frame { ts: Timestamp(1), link: LinkType::RAW, bytes: b"x", wire_len: 1, input: 0, number: 0 };
        recording.frame(0, &frame);
        recording.flush();
        recording.frame(0, &frame);
        assert_eq!((recording.frames(), recording.missed()), (0, 2));
        assert!(recording.failed().is_some_and(|why| why.contains("No space left")));
    }
}
