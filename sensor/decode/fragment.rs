//! Joins IP fragments, within a budget of packets, bytes and event time.
//!
//! IPv4 (RFC 791): where two fragments disagree about bytes they share, the first wins and the overlap is counted:
//! it is an evasion. IPv6 (RFC 5722, RFC 8200 §4.5): any overlap that is no exact repetition abandons the packet, and
//! what comes of it later is dropped too. Fragments that the snap length cut cannot be joined.

use super::ip::Datagram;
use super::stats::{Cause, DecodeStats, Reason};
use crate::base::{Budget, Capped, Table, Timestamp};
use std::net::IpAddr;
use std::time::Duration;

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) id: u32,
    /// In bytes of what is carried.
    pub(super) offset: u32,
    /// Whether more follow.
    pub(super) more: bool,
    /// Bytes of IP header before the fragmented part.
    pub(super) head_len: u32,
}

/// A packet that is whole again.
pub(super) struct Whole {
    pub(super) body: Vec<u8>,
    pub(super) head_len: u32,
}

/// The packets whose rest has not come yet.
pub(super) struct Fragments {
    waiting: Capped<Key, Assembly>,
    /// Bytes held by all of them.
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// Zero for IPv6, where later fragments may state another next header (RFC 8200 §4.5).
    protocol: u8,
}

/// One packet in the making.
#[derive(Debug)]
struct Assembly {
    since: Timestamp,
    data: Vec<u8>,
    /// Half-open ranges of `data` that have come, in order and apart from each other.
    have: Vec<(usize, usize)>,
    total: Option<usize>,
    head_len: u32,
    /// Overlapped (IPv6): nothing of it is believed.
    dead: bool,
}

impl Default for Fragments {
    fn default() -> Self {
        Self { waiting: Capped::new(Budget::new("fragment.waiting", MAX_PACKETS, 4_224)), bytes: 0 }
    }
}

impl Fragments {
    /// Takes in a fragment; gives the packet when it is whole.
    pub(super) fn add(
        &mut self,
        datagram: &Datagram<'_>,
        piece: Piece,
        ts: Timestamp,
        stats: &mut DecodeStats,
    ) -> Result<Option<Whole>, Cause> {
        stats.fragments.seen = stats.fragments.seen.saturating_add(1);
        if usize::try_from(datagram.body_len).ok() != Some(datagram.body.len()) {
            return Err(Cause::new(Reason::FragmentCut));
        }
        let from = usize::try_from(piece.offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(datagram.body.len());
        // RFC 791: lengths of all but the last are multiples of eight. Past 64 KiB is the "ping of death".
        if to > MAX_BODY || from == to || (piece.more && !datagram.body.len().is_multiple_of(8)) {
            return Err(Cause::new(Reason::FragmentBounds));
        }
        self.expire(ts, stats);
        let v6 = datagram.src.is_ipv6();
        let protocol = if v6 { 0 } else { datagram.protocol };
        let key = Key { src: datagram.src, dst: datagram.dst, id: piece.id, protocol };
        self.make_room(&key, to, stats);
        let fresh = || Assembly {
            since: ts,
            data: Vec::new(),
            have: Vec::new(),
            total: None,
            head_len: piece.head_len,
            dead: false,
        };
        let assembly = self.waiting.entry(key, fresh);
        let held = assembly.data.len();
        let taken = assembly.take(from, datagram.body, piece, v6);
        self.bytes = self.bytes.saturating_sub(held).saturating_add(assembly.data.len());
        match taken {
            Taken::New if assembly.is_whole() => {}
            Taken::New => return Ok(None),
            Taken::Again => {
                stats.fragments.repeated = stats.fragments.repeated.saturating_add(1);
                return Ok(None);
            }
            Taken::Differs if !v6 => {
                stats.fragments.overlapping = stats.fragments.overlapping.saturating_add(1);
                stats.note(Cause::new(Reason::FragmentOverlap));
                if !assembly.is_whole() {
                    return Ok(None);
                }
            }
            Taken::Differs => {
                stats.fragments.overlapping = stats.fragments.overlapping.saturating_add(1);
                return Err(Cause::new(Reason::FragmentOverlap));
            }
            Taken::Refused => return Err(Cause::new(Reason::FragmentRefused)),
        }
        let whole = self.waiting.remove(&key);
        self.bytes = self.bytes.saturating_sub(whole.as_ref().map_or(0, |assembly| assembly.data.len()));
        stats.fragments.joined = stats.fragments.joined.saturating_add(1);
        Ok(whole.map(|assembly| Whole { head_len: assembly.head_len, body: assembly.data }))
    }

    /// How it stands; what makes room for want of bytes is counted in the statistics.
    pub(super) fn table(&self) -> Table {
        self.waiting.table()
    }

    /// Gives up packets that are too old, oldest first. Those touched since are younger in the list, so one that is
    /// kept alive by a slow drip is seen later, but not for ever: its age counts from its first fragment.
    fn expire(&mut self, ts: Timestamp, stats: &mut DecodeStats) {
        for _ in 0..MAX_EXPIRED_AT_ONCE {
            let oldest = self.waiting.iter().next().filter(|(_, a)| ts.since(a.since) > MAX_AGE).map(|(key, _)| *key);
            let Some(key) = oldest else { return };
            self.drop(&key);
            stats.fragments.expired = stats.fragments.expired.saturating_add(1);
        }
    }

    /// Keeps within the budget, and forgets an older packet that had the same identification.
    fn make_room(&mut self, key: &Key, need: usize, stats: &mut DecodeStats) {
        while self.waiting.len() >= MAX_PACKETS || self.bytes.saturating_add(need) > MAX_BYTES {
            let Some(oldest) = self.waiting.iter().next().map(|(oldest, _)| *oldest) else { return };
            if oldest == *key && self.waiting.len() == 1 {
                return;
            }
            self.drop(&oldest);
            stats.fragments.evicted = stats.fragments.evicted.saturating_add(1);
        }
    }

    fn drop(&mut self, key: &Key) {
        if let Some(gone) = self.waiting.remove(key) {
            self.bytes = self.bytes.saturating_sub(gone.data.len());
        }
    }
}

/// What a fragment brought.
enum Taken {
    New,
    /// Nothing that was not there already.
    Again,
    /// Other bytes for a place that was taken.
    Differs,
    /// Too many holes, or of a packet that is not believed any more.
    Refused,
}

impl Assembly {
    fn take(&mut self, from: usize, bytes: &[u8], piece: Piece, v6: bool) -> Taken {
        if self.dead {
            return Taken::Refused;
        }
        let to = from.saturating_add(bytes.len());
        let end_differs = self.total.is_some_and(|total| to > total || (!piece.more && to != total));
        if end_differs || (!piece.more && self.data.len() > to) {
            return self.differs(v6);
        }
        if from == 0 {
            self.head_len = piece.head_len;
        }
        if !piece.more {
            self.total = Some(to);
        }
        let overlaps = self.have.iter().any(|(low, high)| from < *high && *low < to);
        if overlaps {
            return self.overlap(from, bytes, v6);
        }
        self.write(from, bytes);
        self.cover(from, to)
    }

    /// Bytes that came before must be the same; IPv6 allows nothing but an exact repetition of a fragment.
    fn overlap(&mut self, from: usize, bytes: &[u8], v6: bool) -> Taken {
        let to = from.saturating_add(bytes.len());
        let within = self.have.iter().any(|(low, high)| *low <= from && to <= *high);
        let same = self.have.iter().all(|(low, high)| {
            let (low, high) = ((*low).max(from), (*high).min(to));
            low >= high || self.data.get(low..high) == bytes.get(low.saturating_sub(from)..high.saturating_sub(from))
        });
        match (within, same) {
            (true, true) => return Taken::Again,
            (_, false) if v6 => return self.differs(v6),
            (false, true) if v6 => return self.differs(v6),
            _ => {}
        }
        // The first wins: only the parts that had not come are written.
        let mut at = from;
        for (low, high) in self.have.clone() {
            if low > at && at < to {
                self.write(
                    at,
                    bytes.get(at.saturating_sub(from)..low.min(to).saturating_sub(from)).unwrap_or_default(),
                );
            }
            at = at.max(high.min(to));
        }
        if at < to {
            self.write(at, bytes.get(at.saturating_sub(from)..).unwrap_or_default());
        }
        match (self.cover(from, to), same) {
            (Taken::New, false) => Taken::Differs,
            (taken, _) => taken,
        }
    }

    fn differs(&mut self, v6: bool) -> Taken {
        if v6 {
            self.dead = true;
            self.data = Vec::new();
            self.have = Vec::new();
        }
        Taken::Differs
    }

    fn write(&mut self, from: usize, bytes: &[u8]) {
        let to = from.saturating_add(bytes.len());
        if self.data.len() < to {
            self.data.resize(to, 0);
        }
        if let Some(place) = self.data.get_mut(from..to) {
            place.copy_from_slice(bytes);
        }
    }

    /// Adds a range, joined with those it touches.
    fn cover(&mut self, from: usize, to: usize) -> Taken {
        let (mut low, mut high) = (from, to);
        self.have.retain(|(a, b)| {
            let touches = *a <= to && from <= *b;
            if touches {
                (low, high) = (low.min(*a), high.max(*b));
            }
            !touches
        });
        if self.have.len() >= MAX_RANGES {
            self.dead = true;
            self.data = Vec::new();
            return Taken::Refused;
        }
        let at = self.have.partition_point(|(a, _)| *a < low);
        self.have.insert(at, (low, high));
        Taken::New
    }

    fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| matches!(self.have.as_slice(), [(0, high)] if *high == total))
    }
}

/// IPv4's largest total length; IPv6 fragments cannot carry more either.
const MAX_BODY: usize = 65_535;
/// Packets in the making at once.
const MAX_PACKETS: usize = 4096;
/// Bytes of all packets in the making.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Linux gives up after 30 s (`ipfrag_time`); RFC 8200 allows 60 s.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Holes of one packet: in-order arrival has none, and reordering seldom leaves more than a few.
const MAX_RANGES: usize = 64;
/// Keeps the work for one fragment bounded; what is left is found with the next.
const MAX_EXPIRED_AT_ONCE: usize = 8;
