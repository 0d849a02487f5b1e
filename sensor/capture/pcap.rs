//! Classic pcap: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>. Microseconds or nanoseconds, either
//! byte order, and the "modified" form whose record headers are eight bytes longer.

use super::buffer::Buffer;
use super::{LinkType, MAX_FRAME, Step};
use crate::base::Timestamp;
use std::io::{self, Read};

/// What the file header said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    little: bool,
    nanos_per_tick: i64,
    header: usize,
    lengths: Lengths,
    link: LinkType,
}

/// In which order a record gives captured and original length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    /// Version 2.3 was written in both orders; captured is never the longer one.
    Either,
    /// Before version 2.3.
    OriginalFirst,
}

impl Pcap {
    /// Reads the file header, whose magic was seen.
    pub(super) fn open<R: Read>(buffer: &mut Buffer<R>) -> io::Result<Result<Self, String>> {
        if !buffer.need(FILE_HEADER)? {
            return Ok(Err(format!("cut within the file header, after {} bytes", buffer.available().len())));
        }
        let head = buffer.available();
        let (little, nanos_per_tick, header) = match word(head, 0, false) {
            0xa1b2_c3d4 => (false, 1_000, 16),
            0xd4c3_b2a1 => (true, 1_000, 16),
            0xa1b2_3c4d => (false, 1, 16),
            0x4d3c_b2a1 => (true, 1, 16),
            0xa1b2_cd34 => (false, 1_000, 24),
            _ => (true, 1_000, 24),
        };
        let version = word(head, 4, little);
        let (major, minor) = if little { (version & 0xffff, version >> 16) } else { (version >> 16, version & 0xffff) };
        let lengths = match (major, minor) {
            (2, 3) => Lengths::Either,
            (2, 0..3) => Lengths::OriginalFirst,
            _ => Lengths::CapturedFirst,
        };
        // The upper six bits say how long the frame check sequence is.
        let link = LinkType(u16::try_from(word(head, 20, little) & 0x03ff_ffff).unwrap_or(u16::MAX));
        buffer.consume_bytes(FILE_HEADER);
        Ok(Ok(Self { little, nanos_per_tick, header, lengths, link }))
    }

    /// Brings the next record into the buffer.
    #[inline]
    pub(super) fn step<R: Read>(&self, buffer: &mut Buffer<R>) -> io::Result<Step> {
        if !buffer.need(self.header)? {
            return Ok(match buffer.available().len() {
                0 => Step::End,
                n => Step::Damage(format!("cut within a record header, after {n} of {} bytes", self.header)),
            });
        }
        let head = buffer.available();
        let seconds = word(head, 0, self.little);
        let ticks = word(head, 4, self.little);
        let (captured, wire_len) = self.lengths(word(head, 8, self.little), word(head, 12, self.little));
        let len = match usize::try_from(captured) {
            Ok(len) if len <= MAX_FRAME => len,
            _ => {
                return Ok(Step::Damage(format!(
                    "a record claims {captured} bytes; no frame is longer than {MAX_FRAME}"
                )));
            }
        };
        let total = self.header.saturating_add(len);
        if !buffer.need(total)? {
            let there = buffer.available().len().saturating_sub(self.header);
            return Ok(Step::Damage(format!("cut within a packet, after {there} of its {len} bytes")));
        }
        let ts = Timestamp::new(i64::from(seconds), i64::from(ticks).saturating_mul(self.nanos_per_tick));
        Ok(Step::Frame { ts, link: self.link, at: self.header, len, wire_len, total })
    }

    #[inline]
    const fn lengths(&self, first: u32, second: u32) -> (u32, u32) {
        match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::OriginalFirst => (second, first),
            Lengths::Either if first > second => (second, first),
            Lengths::Either => (first, second),
        }
    }
}

/// The word at `at` in the file's byte order; 0 past the end, which callers have excluded.
#[inline]
fn word(bytes: &[u8], at: usize, little: bool) -> u32 {
    let word = bytes.get(at..).and_then(|b| b.first_chunk::<4>()).copied().unwrap_or_default();
    if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }
}

/// Magic, version, two unused words, snap length, link type.
const FILE_HEADER: usize = 24;
