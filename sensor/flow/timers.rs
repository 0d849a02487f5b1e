//! A hashed timing wheel on event time (Varghese and Lauck, 1987). It never looks at a clock: packets and ticks turn
//! it. A flow may sit in several slots; only the entry it is armed for counts.

use crate::base::Timestamp;

/// Slots of a quarter second, 256 s around. Later deadlines are re-armed when their slot comes by.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<Entry>>,
    /// The first slot not turned yet, counted from the epoch; `None` before the first turn.
    cursor: Option<i64>,
    /// No slot before this one holds anything.
    soonest: i64,
    /// Entries in all slots.
    len: usize,
}

/// One flow to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) flow: u32,
    pub(super) generation: u32,
    /// The slot it was put in, counted from the epoch.
    pub(super) slot: i64,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { slots: std::iter::repeat_with(Vec::new).take(SLOTS).collect(), cursor: None, soonest: i64::MAX, len: 0 }
    }

    /// Puts `flow` where it will be met once `deadline` has passed. Gives back the slot it is armed for.
    pub(super) fn arm(&mut self, flow: u32, generation: u32, deadline: Timestamp) -> i64 {
        let due = slot_of(deadline);
        let cursor = *self.cursor.get_or_insert(due);
        let slot = due.clamp(cursor, cursor.saturating_add(HORIZON));
        if let Some(entries) = self.slots.get_mut(index(slot)) {
            entries.push(Entry { flow, generation, slot });
            self.len = self.len.saturating_add(1);
            self.soonest = self.soonest.min(slot);
        }
        slot
    }

    /// Moves out every entry whose slot lies wholly before `now`.
    pub(super) fn turn(&mut self, now: Timestamp, due: &mut Vec<Entry>) {
        let end = slot_of(now);
        let cursor = *self.cursor.get_or_insert(end);
        if end <= cursor {
            return;
        }
        for slot in cursor..end.min(cursor.saturating_add(HORIZON + 1)) {
            if let Some(entries) = self.slots.get_mut(index(slot)) {
                self.len = self.len.saturating_sub(entries.len());
                due.append(entries);
            }
        }
        self.cursor = Some(end);
    }

    /// The start of event time that was not turned yet.
    pub(super) fn turned(&self) -> Option<Timestamp> {
        self.cursor.map(|slot| Timestamp(slot.saturating_mul(SLOT_NANOS)))
    }

    /// Takes the entry that is due soonest, for eviction.
    pub(super) fn soonest(&mut self) -> Option<Entry> {
        let cursor = self.cursor?;
        // Not from the cursor each time: with a full table, every packet of a scan comes here.
        for slot in self.soonest.max(cursor)..=cursor.saturating_add(HORIZON) {
            self.soonest = slot;
            if let Some(entry) = self.slots.get_mut(index(slot)).and_then(Vec::pop) {
                self.len = self.len.saturating_sub(1);
                return Some(entry);
            }
        }
        None
    }
}

impl Wheel {
    /// Entries held, those that no longer count included.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Drops the entries that no longer count: a pair of ports that opens and resets without end leaves one each time.
    pub(super) fn sweep(&mut self, counts: impl Fn(&Entry) -> bool) {
        for entries in &mut self.slots {
            entries.retain(&counts);
            entries.shrink_to(entries.len().saturating_mul(2));
        }
        self.len = self.slots.iter().map(Vec::len).sum();
    }
}

/// The slot a moment falls in, counted from the epoch.
pub(super) const fn slot_of(ts: Timestamp) -> i64 {
    ts.0.div_euclid(SLOT_NANOS)
}

fn index(slot: i64) -> usize {
    usize::try_from(slot.rem_euclid(HORIZON + 1)).unwrap_or(0)
}

const SLOTS: usize = 1024;
const HORIZON: i64 = 1023;
/// A quarter of the merge's slack, so that every timer has fired before the watermark passes its deadline.
const SLOT_NANOS: i64 = 250_000_000;
