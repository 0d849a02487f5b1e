//! The test face: what fuzz bodies and benches outside the crate may reach. No interface; it may change at any time.

use crate::base::Timestamp;
use crate::capture::{Frame, LinkType};
use crate::engine::{Copies, Pipeline, Setup};
use crate::event::Observation;
use std::convert::Infallible;

/// A frame as a test has it: nanoseconds since the epoch, link type, bytes.
pub type RawFrame<'a> = (i64, u16, &'a [u8]);

/// Everything the left side learns from `frames`, in order.
pub fn observations<'a>(frames: impl IntoIterator<Item = RawFrame<'a>>, shards: usize) -> Vec<Observation> {
    let mut pipeline = Pipeline::new(Setup { shards, copies: Copies::Drop, tick: None });
    let mut seen = Vec::new();
    let mut keep = |observation| {
        seen.push(observation);
        Ok::<(), Infallible>(())
    };
    for (number, (ts, link, bytes)) in (1..).zip(frames) {
        let wire_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let frame = Frame { ts: Timestamp(ts), link: LinkType(link), bytes, wire_len, input: 0, number };
        let Ok(()) = pipeline.frame(&frame, &mut keep);
    }
    let Ok(_) = pipeline.finish(&mut keep);
    seen
}
