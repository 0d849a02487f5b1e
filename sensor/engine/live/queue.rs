//! Between the readers of rings and the one that puts frames in order: batches, bounded by the bytes they hold. A reader
//! never waits: it asks how full the queue is, and what finds no room is let go and counted.

use super::shed::Pressure;
use crate::base::Timestamp;
use crate::capture::{Frame, LinkType};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// Frames of one ring, in the order it gave them, in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Which ring, over all interfaces.
    pub(super) ring: usize,
    bytes: Vec<u8>,
    frames: VecDeque<Held>,
    /// Nothing earlier comes from this ring any more.
    pub(super) until: Timestamp,
    /// Whether the ring was empty when this was sent.
    pub(super) idle: bool,
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug)]
struct Held {
    ts: Timestamp,
    link: LinkType,
    at: usize,
    len: usize,
    wire_len: u32,
}

impl Batch {
    pub(super) fn of(ring: usize) -> Self {
        Self { ring, until: Timestamp::MIN, ..Self::default() }
    }

    /// Adds a copy of a frame, at its corrected time.
    pub(super) fn push(&mut self, ts: Timestamp, frame: &Frame<'_>) {
        let (at, len) = (self.bytes.len(), frame.bytes.len());
        self.bytes.extend_from_slice(frame.bytes);
        self.frames.push_back(Held { ts, link: frame.link, at, len, wire_len: frame.wire_len });
    }

    /// How many frames are left in it.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// What it weighs in the queue: its bytes and what it takes to find them.
    pub(super) fn weight(&self) -> u64 {
        let index = self.frames.len().saturating_mul(size_of::<Held>());
        u64::try_from(self.bytes.len().saturating_add(index)).unwrap_or(u64::MAX)
    }

    /// When its next frame comes.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.frames.front().map(|held| held.ts)
    }

    /// Shows the next frame to `each` and lets go of it.
    pub(super) fn pop<R>(&mut self, each: impl FnOnce(Frame<'_>) -> R) -> Option<R> {
        let held = self.frames.pop_front()?;
        let bytes = self.bytes.get(held.at..held.at.saturating_add(held.len)).unwrap_or_default();
        Some(each(Frame { ts: held.ts, link: held.link, bytes, wire_len: held.wire_len, input: 0, number: 0 }))
    }
}

/// How much waits in the queue, known to both of its ends.
#[derive(Debug)]
pub(super) struct Load {
    waiting: AtomicU64,
    peak: AtomicU64,
    /// Batches in the queue, whatever they weigh.
    batches: AtomicU64,
    capacity: u64,
}

impl Load {
    pub(super) const fn new(capacity: u64) -> Self {
        Self { waiting: AtomicU64::new(0), peak: AtomicU64::new(0), batches: AtomicU64::new(0), capacity }
    }

    /// A batch was put in.
    pub(super) fn put(&self) {
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// A batch was taken out, or found no room.
    pub(super) fn taken(&self) {
        self.batches.fetch_sub(1, Ordering::Relaxed);
    }

    /// Batches in the queue.
    pub(super) fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// How full it is with `more` bytes that are about to be added.
    pub(super) fn pressure(&self, more: u64) -> Pressure {
        let waiting = self.waiting.load(Ordering::Relaxed).saturating_add(more);
        match () {
            () if waiting >= self.capacity => Pressure::Full,
            () if waiting >= self.capacity / 2 => Pressure::High,
            () => Pressure::None,
        }
    }

    /// A batch was put in.
    pub(super) fn add(&self, weight: u64) {
        let now = self.waiting.fetch_add(weight, Ordering::Relaxed).saturating_add(weight);
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    /// A batch is gone.
    pub(super) fn remove(&self, weight: u64) {
        self.waiting.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Bytes that wait, and the most that ever did.
    pub(super) fn now(&self) -> (u64, u64) {
        (self.waiting.load(Ordering::Relaxed), self.peak.load(Ordering::Relaxed))
    }

    /// Bytes it may hold.
    pub(super) const fn capacity(&self) -> u64 {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_its_frames_in_order_and_the_load_is_exact() {
        let load = Load::new(400);
        let mut batch = Batch::of(3);
        for (n, bytes) in [b"first".as_slice(), b"", b"third"].into_iter().enumerate() {
            let ts = Timestamp(10 - n as i64);
            batch.push(ts, &Frame { ts, link: LinkType::RAW, bytes, wire_len: 9, input: 0, number: 0 });
        }
        let weight = batch.weight();
        load.add(weight);
        assert_eq!(load.pressure(0), Pressure::None);
        assert_eq!(load.pressure(200), Pressure::High);
        assert_eq!(load.pressure(400), Pressure::Full);
        let mut told = Vec::new();
        while batch.pop(|f| told.push((f.ts.0, f.bytes.to_vec()))).is_some() {}
        assert_eq!(told, [(10, b"first".to_vec()), (9, Vec::new()), (8, b"third".to_vec())]);
        load.remove(weight);
        assert_eq!(load.now(), (0, weight));
    }
}
