//! One hostile sender against the sensor: whatever it does, memory stays within the budget that `sensor/README.md`
//! states, work stays in proportion to what was sent, nothing panics, and what was given up is counted.
//!
//! Memory is what the allocator says is held after each frame. Work is counted, never timed: allocations, observations
//! and bytes shown to parsers (again, when they had to wait for more). A process of its own, since the allocator's count
//! is the process's; the cases take turns.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::panic, reason = "a test states what it expects")]
#![expect(dead_code, reason = "the writers of traffic serve the other suite too")]

#[cfg(test)]
#[path = "hostile/cases.rs"]
mod cases;
#[cfg(test)]
#[path = "hostile/crowds.rs"]
mod crowds;
#[cfg(test)]
#[path = "hostile/synth.rs"]
mod synth;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use synth::net::Frame;
use yukue::event::{Event, Observation};
use yukue::testing::{FLOW_BYTES, Left, Table};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The cases take turns: the allocator counts for all of them together.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes allocated and not given back since `region` began.
fn held(region: &Region<'_, System>) -> u64 {
    let change = region.change();
    (change.bytes_allocated as u64).saturating_sub(change.bytes_deallocated as u64)
}

/// What the left side made of some frames.
#[derive(Debug, Default)]
struct Seen {
    frames: u64,
    /// Bytes of all frames.
    sent: u64,
    /// Most bytes held after a frame.
    most_held: u64,
    allocations: u64,
    observations: u64,
    /// Oddities by name, and what was not decoded.
    odd: BTreeMap<String, u64>,
    /// Bytes shown to parsers.
    shown: u64,
    tables: Vec<Table>,
}

/// Lets the left side see `frames`.
fn watch<'f>(frames: impl IntoIterator<Item = (u64, &'f [u8])>) -> Seen {
    let (mut left, mut seen) = (Left::new(), Seen::default());
    let region = Region::new(ALLOCATOR);
    let mut frame_number = 0;
    for (ts, bytes) in frames {
        frame_number += 1;
        seen.frames += 1;
        seen.sent += bytes.len() as u64;
        let before = region.change();
        let told = left.frame((i64::try_from(ts).unwrap(), 1, bytes), frame_number);
        let after = region.change();
        seen.allocations +=
            (after.allocations + after.reallocations - before.allocations - before.reallocations) as u64;
        note(&mut seen, &told);
        drop(told);
        seen.most_held = seen.most_held.max(held(&region));
    }
    seen.tables = left.tables();
    seen.shown = left.shown_bytes();
    let told = left.finish();
    note(&mut seen, &told);
    for (name, count) in left.decoded() {
        *seen.odd.entry(name).or_default() += count;
    }
    for table in left.tables().iter().filter(|table| table.evicted > 0) {
        *seen.odd.entry(table.name.to_owned()).or_default() += table.evicted;
    }
    seen
}

fn note(seen: &mut Seen, told: &[Observation]) {
    seen.observations += told.len() as u64;
    for observation in told {
        if let Event::Weird(weird) = &observation.event {
            *seen.odd.entry(weird.oddity.name().to_owned()).or_default() += 1;
        }
    }
}

fn watch_frames(frames: &[Frame]) -> Seen {
    watch(frames.iter().map(|frame| (frame.ts, &frame.bytes[..])))
}

impl Seen {
    fn table(&self, name: &str) -> Table {
        *self.tables.iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no table {name}"))
    }

    /// What holds of every hostile connection: it holds no more than one flow may, beside the observations that wait for
    /// their turn; parsers are shown each byte a few times at the most; no parser panicked; every table kept its budget.
    fn check(&self, what: &str) {
        let waiting = self.table("merge.waiting");
        let room = FLOW_BYTES + waiting.peak * waiting.entry_bytes + FIXED_BYTES;
        assert!(self.most_held <= room, "{what}: {} bytes held of {room}: {self:#?}", self.most_held);
        assert!(self.shown <= SHOWN_TIMES * self.sent + FIXED_BYTES, "{what}: shown too often: {self:#?}");
        let allocated = ALLOCATIONS_A_FRAME * self.frames + ALLOCATIONS_EACH * self.observations;
        assert!(self.allocations <= allocated, "{what}: {} allocations: {self:#?}", self.allocations);
        assert_eq!(self.odd.get("parser_panic"), None, "{what}");
        for table in &self.tables {
            assert!(table.peak <= table.entries, "{what}: {table:?}");
        }
    }

    /// That something was given up, and counted under this name.
    fn counts(&self, name: &str, what: &str) {
        assert!(self.odd.get(name).is_some_and(|count| *count > 0), "{what}: no {name}: {self:#?}");
    }
}

/// What an empty table takes once it is used at all, timers, pools.
const FIXED_BYTES: u64 = 512 * 1024;
/// A parser that waits is asked at each of 32 segments, then after each eighth more: of a message of 64 KiB that is some
/// twenty times all of it, however long the conversation.
const SHOWN_TIMES: u64 = 24;
const ALLOCATIONS_A_FRAME: u64 = 8;
/// A fact has names and lists.
const ALLOCATIONS_EACH: u64 = 24;
