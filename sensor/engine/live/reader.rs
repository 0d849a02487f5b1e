//! One thread a ring: takes frames out of it as fast as they come, copies them into batches and sends these on. It never
//! waits for anybody: when the queue is filling up it lets bulk go, when it is full everything, and counts both.

use super::queue::{Batch, Load};
use super::shed::{Beginnings, Pressure, Worth};
use super::stamps::Stamps;
use crate::base::Timestamp;
use crate::capture::{CaptureError, Losses, RETIRE_MS, Tap, Wait, rest};
use crate::engine::clock::{self, Stopwatch};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What readers send.
pub(super) enum Message {
    Frames(Batch),
    /// Nothing more comes from this ring.
    Ended(usize),
}

/// What became of a ring's packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) losses: Losses,
    pub(super) before_start: u64,
    pub(super) filtered: u64,
    pub(super) delivered: u64,
    pub(super) delivered_bytes: u64,
    pub(super) shed_bulk: u64,
    pub(super) shed_first: u64,
    pub(super) left_in_ring: u64,
    /// Steps of the clock, and how far event time is ahead of it in nanoseconds.
    pub(super) jumps: u64,
    pub(super) offset: i64,
    /// The socket said that the interface is down.
    pub(super) troubled: bool,
}

/// What all readers share.
pub(super) struct Shared<'a> {
    pub(super) load: &'a Load,
    pub(super) stop: &'a AtomicBool,
    pub(super) steady: Stopwatch,
}

/// A ring and what its reader knows.
pub(super) struct Reader<'a> {
    ring: usize,
    tap: Tap,
    stamps: Stamps,
    beginnings: Beginnings,
    counts: &'a Mutex<Counts>,
    queue: SyncSender<Message>,
    mine: Counts,
}

impl<'a> Reader<'a> {
    pub(super) fn new(ring: usize, tap: Tap, counts: &'a Mutex<Counts>, queue: SyncSender<Message>) -> Self {
        let (stamps, beginnings) = (Stamps::default(), Beginnings::new());
        Self { ring, tap, stamps, beginnings, counts, queue, mine: Counts::default() }
    }

    /// Reads until told to stop, or until the interface is gone.
    pub(super) fn run(mut self, shared: &Shared<'_>) -> Result<(), CaptureError> {
        let done = self.read_on(shared);
        self.mine.losses = self.tap.losses();
        let taken = [
            self.mine.before_start,
            self.mine.filtered,
            self.mine.delivered,
            self.mine.shed_bulk,
            self.mine.shed_first,
        ];
        let taken = taken.into_iter().fold(0, u64::saturating_add);
        self.mine.left_in_ring = self.mine.losses.received.saturating_sub(taken);
        self.publish();
        let _ = self.queue.send(Message::Ended(self.ring)); // Nobody is left to be told when it fails.
        done
    }

    fn read_on(&mut self, shared: &Shared<'_>) -> Result<(), CaptureError> {
        let mut looked = shared.steady.elapsed();
        let mut stopping: Option<Duration> = None;
        let mut empty_turns = 0_u32;
        loop {
            let steady = shared.steady.elapsed();
            if stopping.is_none() && shared.stop.load(Ordering::Relaxed) {
                stopping = Some(steady);
            }
            let read = self.turn(shared, steady)?;
            empty_turns = if read == 0 { empty_turns.saturating_add(1) } else { 0 };
            let drained = empty_turns >= EMPTY_TURNS;
            if stopping.is_some_and(|since| drained || steady.saturating_sub(since) >= LONGEST_DRAIN) {
                return Ok(());
            }
            if steady.saturating_sub(looked) >= LOOK_EVERY {
                looked = steady;
                self.tap.is_there()?;
                self.mine.losses = self.tap.losses();
                self.publish();
            }
            if read == 0 {
                let wait = self.tap.wait(WAIT);
                if wait == Wait::Troubled {
                    // Down, and poll(2) says so at once every time.
                    self.tap.is_there()?;
                    rest(WAIT);
                }
                self.mine.troubled = wait == Wait::Troubled;
            }
        }
    }

    /// Empties the ring once, as far as one batch goes; how many packets came.
    fn turn(&mut self, shared: &Shared<'_>, steady: Duration) -> Result<u64, CaptureError> {
        if shared.load.pressure(0) == Pressure::None {
            self.beginnings.relax();
        }
        let mut batch = Batch::of(self.ring);
        let (stamps, beginnings) = (&mut self.stamps, &mut self.beginnings);
        let (mut bytes, mut bulk, mut first) = (0_u64, 0_u64, 0_u64);
        let turn = self.tap.read(TURN, |frame| {
            let ts = stamps.correct(clock::as_set(frame.ts), steady);
            let pressure = shared.load.pressure(batch.weight().saturating_add(frame.bytes.len() as u64));
            let worth = if pressure == Pressure::None { Worth::First } else { beginnings.worth(frame) };
            match (pressure, worth) {
                (Pressure::Full, Worth::First) => first = first.saturating_add(1),
                (Pressure::Full | Pressure::High, Worth::Bulk) => bulk = bulk.saturating_add(1),
                (Pressure::None, _) | (Pressure::High, Worth::First) => {
                    batch.until = batch.until.max(ts);
                    batch.push(ts, frame);
                    bytes = bytes.saturating_add(u64::from(frame.wire_len));
                }
            }
        })?;
        self.mine.before_start = self.mine.before_start.saturating_add(turn.before_start);
        self.mine.filtered = self.mine.filtered.saturating_add(turn.filtered);
        self.mine.shed_bulk = self.mine.shed_bulk.saturating_add(bulk);
        self.mine.shed_first = self.mine.shed_first.saturating_add(first);
        if turn.read == 0 {
            // Empty: what the kernel still holds back is not older than a block may become.
            batch.idle = true;
            batch.until = self.stamps.correct(clock::wall(), shared.steady.elapsed()).minus(HELD_BACK);
        } else if batch.is_empty() {
            batch.until = Timestamp::MIN;
        }
        (self.mine.jumps, self.mine.offset) = (self.stamps.jumps(), self.stamps.offset());
        self.send(batch, bytes, shared);
        self.publish();
        Ok(turn.read)
    }

    fn send(&mut self, batch: Batch, bytes: u64, shared: &Shared<'_>) {
        let (weight, frames) = (batch.weight(), u64::try_from(batch.len()).unwrap_or(u64::MAX));
        shared.load.add(weight);
        shared.load.put();
        match self.queue.try_send(Message::Frames(batch)) {
            Ok(()) => {
                self.mine.delivered = self.mine.delivered.saturating_add(frames);
                self.mine.delivered_bytes = self.mine.delivered_bytes.saturating_add(bytes);
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                // So many small batches wait that the queue is full before its bytes are.
                shared.load.remove(weight);
                shared.load.taken();
                self.mine.shed_first = self.mine.shed_first.saturating_add(frames);
            }
        }
    }

    fn publish(&self) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = self.mine;
    }
}

/// Packets taken in one turn.
const TURN: usize = 4_096;
/// Between two looks into an empty ring.
const WAIT: Duration = Duration::from_millis(RETIRE_MS.unsigned_abs() as u64);
/// A block is handed over at latest one timer tick after its time; twice that for a timer that comes late.
const HELD_BACK: Duration = Duration::from_millis(RETIRE_MS.unsigned_abs() as u64 * 3);
/// Turns in a row that find nothing, with [`WAIT`] between, before a ring is called empty: a block may be under way.
const EMPTY_TURNS: u32 = 3;
/// A stop does not wait longer than this for a ring to become empty; what is left is counted.
const LONGEST_DRAIN: Duration = Duration::from_secs(2);
/// Between two looks at the interface and its ring's counters.
const LOOK_EVERY: Duration = Duration::from_millis(500);
