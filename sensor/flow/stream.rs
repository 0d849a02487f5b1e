//! One side of a TCP conversation as bytes in order: what was seen, what is missing, what waits.
//!
//! First copy wins where segments overlap. Nothing is kept once no parser wants it. Budgets: [`MAX_OUT_OF_ORDER`]
//! bytes and [`MAX_SEGMENTS`] segments wait for a hole to fill; beyond, or after [`PATIENCE`], the hole is declared a
//! gap and reading goes on behind it.

use crate::base::Timestamp;
use std::time::Duration;

/// Reassembly state of one side. Offsets count payload bytes from the first one of the flow.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Offset of the next byte for the parser.
    next: u64,
    /// Contiguous bytes the parser has not consumed.
    pub(super) pending: Vec<u8>,
    /// Bytes from `next` on that the parser does not want to see.
    pub(super) skip: u64,
    /// Segments behind a hole, by offset.
    waiting: Vec<(u64, Vec<u8>)>,
    waiting_bytes: usize,
    hole_since: Option<Timestamp>,
    /// Bytes never seen so far, as half-open ranges.
    holes: Vec<(u64, u64)>,
    /// Up to where holes were told as gaps.
    told: u64,
    /// Missing bytes whose range had to be forgotten.
    forgotten: u64,
    /// Calls in a row that consumed nothing, and the length at which the parser is asked again.
    pub(super) stalls: u32,
    pub(super) ask_at: usize,
}

/// What a segment gave.
pub(super) enum Arrival<'a> {
    /// Bytes that continue the stream.
    InOrder(&'a [u8]),
    /// Nothing new, or waiting for a hole to fill.
    Nothing,
    /// The budget for waiting is spent: a hole must be given up.
    Overflow,
}

impl Stream {
    /// Takes a segment's bytes at `offset`; `at` is now.
    pub(super) fn arrive<'a>(&mut self, offset: u64, data: &'a [u8], at: Timestamp) -> Arrival<'a> {
        if offset > self.next {
            self.hole_since.get_or_insert(at);
            return self.wait(offset, data);
        }
        let old = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
        match data.get(old..) {
            None | Some([]) => Arrival::Nothing,
            Some(fresh) => {
                self.next = self.next.saturating_add(fresh.len() as u64);
                // A hole that is being filled is no hole yet: patience starts anew.
                self.hole_since = self.hole_since.map(|_| at);
                Arrival::InOrder(fresh)
            }
        }
    }

    /// Whether a segment says otherwise than what is still held of the bytes it shares: those that no parser has taken
    /// yet, and those that wait. Bytes that were read are gone, so this sees who contradicts before the message is whole,
    /// which is who wants two readers to read two things.
    pub(super) fn contradicts(&self, offset: u64, data: &[u8]) -> bool {
        if offset == self.next && self.waiting.is_empty() {
            return false;
        }
        // RFC 9293 §3.8.4: a keep-alive may carry one byte of garbage.
        if data.len() == 1 && offset.saturating_add(1) == self.next {
            return false;
        }
        let unread = self.next.saturating_sub(self.pending.len() as u64);
        let waiting = self.waiting.iter().map(|(at, bytes)| (*at, bytes.as_slice()));
        std::iter::once((unread, self.pending.as_slice())).chain(waiting).any(|(at, bytes)| {
            let from = at.max(offset);
            let (held, said) = (behind(bytes, at, from), behind(data, offset, from));
            held.iter().zip(said).any(|(a, b)| a != b)
        })
    }

    /// The next waiting segment that continues the stream, once the hole before it is filled.
    pub(super) fn follow(&mut self) -> Option<Vec<u8>> {
        while let Some((offset, _)) = self.waiting.first() {
            if *offset > self.next {
                return None;
            }
            let (offset, mut data) = self.waiting.remove(0);
            self.waiting_bytes = self.waiting_bytes.saturating_sub(data.len());
            if self.waiting.is_empty() {
                self.hole_since = None;
            }
            let old = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
            if old < data.len() {
                data.drain(..old);
                self.next = self.next.saturating_add(data.len() as u64);
                return Some(data);
            }
        }
        None
    }

    /// Whether the first hole has been open too long.
    pub(super) fn is_overdue(&self, at: Timestamp) -> bool {
        self.hole_since.is_some_and(|since| at.since(since) > PATIENCE)
    }

    /// Gives up the hole before the first waiting segment: how many bytes will never come.
    pub(super) fn give_up(&mut self) -> Option<u64> {
        let (offset, _) = self.waiting.first()?;
        let missing = offset.saturating_sub(self.next);
        self.next = *offset;
        self.hole_since = None;
        Some(missing)
    }

    /// Notes that `from..to` was jumped over.
    pub(super) fn open_hole(&mut self, from: u64, to: u64) {
        if self.holes.len() >= MAX_HOLES {
            let (from, to) = self.holes.remove(0);
            self.forgotten = self.forgotten.saturating_add(to.saturating_sub(from));
        }
        self.holes.push((from, to));
    }

    /// Notes that `from..to`, which lies before the highest byte seen, has come; says whether it filled any hole.
    pub(super) fn fill(&mut self, from: u64, to: u64) -> bool {
        let mut filled = false;
        let mut at = 0;
        while let Some(&(low, high)) = self.holes.get(at) {
            if to <= low || high <= from {
                at += 1;
                continue;
            }
            filled = true;
            self.holes.remove(at);
            for part in [(low, from), (to, high)] {
                if part.0 < part.1 {
                    self.holes.insert(at, part);
                    at += 1;
                }
            }
        }
        filled
    }

    /// How many holes not told before the peer acknowledged by acknowledging everything up to `acked`.
    pub(super) fn acknowledge(&mut self, acked: u64) -> u32 {
        let told = self.told;
        self.told = told.max(acked);
        let fresh = self.holes.iter().filter(|(low, _)| *low >= told && *low < acked).count();
        u32::try_from(fresh).unwrap_or(0)
    }

    /// Bytes that were jumped over and never came.
    pub(super) fn missed(&self) -> u64 {
        self.holes.iter().fold(self.forgotten, |sum, (from, to)| sum.saturating_add(to.saturating_sub(*from)))
    }

    /// Bytes given out so far, those that were passed over or never came included.
    pub(super) const fn read(&self) -> u64 {
        self.next
    }

    /// Bytes of memory held for what was not read yet.
    pub(super) fn held(&self) -> usize {
        let waiting = self.waiting.len().saturating_mul(SEGMENT_BYTES).saturating_add(self.waiting_bytes);
        self.pending.capacity().saturating_add(waiting)
    }

    /// Frees everything a parser would have needed; the account of holes stays.
    pub(super) fn release(&mut self) {
        self.pending = Vec::new();
        self.waiting = Vec::new();
        self.waiting_bytes = 0;
        self.hole_since = None;
        self.skip = 0;
    }

    /// Back to a fresh stream, keeping small allocations.
    pub(super) fn reset(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        let mut holes = std::mem::take(&mut self.holes);
        pending.clear();
        pending.shrink_to(POOLED_BYTES);
        holes.clear();
        *self = Self { pending, holes, ..Self::default() };
    }

    fn wait<'a>(&mut self, offset: u64, data: &[u8]) -> Arrival<'a> {
        if self.waiting.len() >= MAX_SEGMENTS || self.waiting_bytes.saturating_add(data.len()) > MAX_OUT_OF_ORDER {
            return Arrival::Overflow;
        }
        let at = self.waiting.partition_point(|(o, _)| *o <= offset);
        self.waiting.insert(at, (offset, data.to_vec()));
        self.waiting_bytes = self.waiting_bytes.saturating_add(data.len());
        Arrival::Nothing
    }
}

/// What of `bytes`, which begin at offset `start`, lies at `from` and behind.
fn behind(bytes: &[u8], start: u64, from: u64) -> &[u8] {
    usize::try_from(from.saturating_sub(start)).ok().and_then(|n| bytes.get(n..)).unwrap_or_default()
}

/// Bytes of one side that may wait behind a hole.
const MAX_OUT_OF_ORDER: usize = 256 * 1024;
/// Segments of one side that may wait behind a hole.
const MAX_SEGMENTS: usize = 128;
/// What a waiting segment takes beside its bytes.
const SEGMENT_BYTES: usize = size_of::<(u64, Vec<u8>)>() + 16;
/// Ranges of missing bytes that are remembered one by one.
const MAX_HOLES: usize = 16;
/// A retransmission normally comes within the retransmission timeout (RFC 6298: at least 1 s).
const PATIENCE: Duration = Duration::from_secs(3);
/// What a pooled buffer may keep.
const POOLED_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `(offset, bytes)` and gives what came out in order.
    fn read(segments: &[(u64, &[u8])]) -> (Vec<u8>, Stream) {
        let (mut stream, mut read) = (Stream::default(), Vec::new());
        for (offset, data) in segments {
            if let Arrival::InOrder(fresh) = stream.arrive(*offset, data, Timestamp(0)) {
                read.extend_from_slice(fresh);
                while let Some(more) = stream.follow() {
                    read.extend(more);
                }
            }
        }
        (read, stream)
    }

    #[test]
    fn bytes_come_out_once_and_in_order() {
        for (what, segments, expected) in [
            ("in order", &[(0, &b"ab"[..]), (2, b"cd")][..], "abcd"),
            ("swapped", &[(2, b"cd"), (0, b"ab")], "abcd"),
            ("a retransmission", &[(0, b"ab"), (0, b"ab"), (2, b"cd")], "abcd"),
            ("an offload frame and its segments", &[(0, b"abcd"), (0, b"ab"), (2, b"cd"), (4, b"e")], "abcde"),
            ("the first copy wins", &[(0, b"ab"), (0, b"xyz")], "abz"),
            ("overlap behind a hole", &[(3, b"de"), (4, b"ef"), (0, b"abc")], "abcdef"),
        ] {
            assert_eq!(String::from_utf8(read(segments).0).unwrap(), expected, "{what}");
        }
    }

    #[test]
    fn a_segment_that_says_otherwise_contradicts() {
        let mut stream = Stream::default();
        stream.arrive(0, b"abcd", Timestamp(0));
        stream.pending = b"cd".to_vec();
        stream.arrive(8, b"ijkl", Timestamp(0));
        for (what, offset, data, expected) in [
            ("a retransmission", 2, &b"cd"[..], false),
            ("and what follows it", 2, b"cdef", false),
            ("other bytes", 2, b"cx", true),
            ("of what was read already", 0, b"xy", false),
            ("across to what waits", 3, b"defghijkl", false),
            ("otherwise than what waits", 3, b"defghiX", true),
            ("behind it", 12, b"m", false),
            ("a keep-alive's byte", 3, b"\0", false),
            ("another byte", 2, b"\0", true),
        ] {
            assert_eq!(stream.contradicts(offset, data), expected, "{what}");
        }
    }

    #[test]
    fn a_hole_is_given_up_and_reading_goes_on_behind_it() {
        let (read, mut stream) = read(&[(0, b"ab"), (5, b"fg")]);
        assert_eq!(read, b"ab");
        assert_eq!((stream.give_up(), stream.follow()), (Some(3), Some(b"fg".to_vec())));
    }

    #[test]
    fn a_hole_that_shrinks_is_waited_for_anew() {
        let mut stream = Stream::default();
        stream.arrive(20, b"later", Timestamp::from_secs(0));
        assert!(!stream.is_overdue(Timestamp::from_secs(3)) && stream.is_overdue(Timestamp::from_secs(4)));
        stream.arrive(0, b"0123456789", Timestamp::from_secs(4));
        assert!(!stream.is_overdue(Timestamp::from_secs(6)), "half of it was sent again");
    }

    #[test]
    fn holes_shrink_as_late_bytes_come() {
        let mut stream = Stream::default();
        stream.open_hole(10, 20);
        assert!(!stream.fill(0, 10));
        assert!(stream.fill(12, 15));
        assert_eq!(stream.missed(), 7);
        assert!(stream.fill(0, 100));
        assert_eq!(stream.missed(), 0);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut stream = Stream::default();
        let full =
            (0..10_000_u64).any(|n| matches!(stream.arrive(1 + n * 7, b"1234567", Timestamp(0)), Arrival::Overflow));
        assert!(full && stream.waiting.len() <= MAX_SEGMENTS && stream.waiting_bytes <= MAX_OUT_OF_ORDER);
    }
}
