//! Many rings, one order: the frame that comes next is the earliest of what the rings hold, once no ring can bring an
//! earlier one. A ring's own frames stay in its order. What comes out is what the recording holds.

use super::queue::{Batch, Load};
use crate::base::Timestamp;
use crate::capture::Frame;
use std::collections::VecDeque;
use std::time::Duration;

/// Batches of every ring, waiting for their turn.
pub(super) struct Order {
    rings: Vec<Waiting>,
    /// Up to this moment time was advanced without a frame; what comes later than promised is told at it.
    told: Timestamp,
    restamped: u64,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    until: Option<Timestamp>,
    idle: bool,
    ended: bool,
}

impl Order {
    pub(super) fn new(rings: usize) -> Self {
        let rings = std::iter::repeat_with(Waiting::default).take(rings).collect();
        Self { rings, told: Timestamp::MIN, restamped: 0 }
    }

    /// Takes in a batch.
    pub(super) fn take_in(&mut self, batch: Batch, load: &Load) {
        let Some(ring) = self.rings.get_mut(batch.ring) else { return };
        ring.until = ring.until.max(Some(batch.until));
        ring.idle = batch.idle;
        match batch.is_empty() {
            true => load.remove(batch.weight()),
            false => ring.batches.push_back(batch),
        }
    }

    /// No more comes from this ring.
    pub(super) fn end(&mut self, ring: usize) {
        if let Some(ring) = self.rings.get_mut(ring) {
            ring.ended = true;
        }
    }

    /// Shows every frame whose turn it is to `each`, with its ring.
    pub(super) fn release(&mut self, load: &Load, mut each: impl FnMut(usize, &Frame<'_>)) {
        let settled = self.settled();
        // Ends: every turn takes a frame, and none comes while it runs.
        while let Some((ts, ring, other)) = self.earliest() {
            if ts > settled {
                return;
            }
            let bound = settled.min(other);
            let Some(Waiting { batches, .. }) = self.rings.get_mut(ring) else { return };
            // The ring goes on as long as its frames come before every other ring's: no search a frame.
            while let Some(batch) = batches.front_mut() {
                let weight = batch.weight();
                let (told, restamped) = (self.told, &mut self.restamped);
                while batch.first().is_some_and(|first| first <= bound.max(ts)) {
                    batch.pop(|mut frame| {
                        if frame.ts < told {
                            frame.ts = told;
                            *restamped = restamped.saturating_add(1);
                        }
                        each(ring, &frame);
                    });
                }
                if !batch.is_empty() {
                    load.remove(weight.saturating_sub(batch.weight()));
                    break;
                }
                load.remove(weight);
                batches.pop_front();
            }
        }
    }

    /// The moment that time has reached though no frame says so: every ring was found empty since, and it lies so far
    /// back that none can bring an earlier frame. Once asked for, it holds.
    pub(super) fn quiet_until(&mut self) -> Option<Timestamp> {
        let idle = |ring: &Waiting| ring.ended || (ring.idle && ring.batches.is_empty());
        if self.rings.iter().all(|ring| ring.ended) || !self.rings.iter().all(idle) {
            return None;
        }
        let quiet = self.settled().minus(MARGIN);
        if quiet.since(self.told) < STEP {
            return None;
        }
        self.told = quiet;
        Some(quiet)
    }

    /// Frames that came after time had been advanced past them.
    pub(super) const fn restamped(&self) -> u64 {
        self.restamped
    }

    /// Before this, everything has arrived.
    fn settled(&self) -> Timestamp {
        let until = |ring: &Waiting| if ring.ended { Timestamp::MAX } else { ring.until.unwrap_or(Timestamp::MIN) };
        self.rings.iter().map(until).min().unwrap_or(Timestamp::MAX)
    }

    /// The earliest frame's time and ring, and when another ring's first frame comes.
    fn earliest(&self) -> Option<(Timestamp, usize, Timestamp)> {
        let mut best: Option<(Timestamp, usize)> = None;
        let mut other = Timestamp::MAX;
        for (n, ring) in self.rings.iter().enumerate() {
            let Some(ts) = ring.batches.front().and_then(Batch::first) else { continue };
            match best {
                Some((earliest, _)) if ts >= earliest => other = other.min(ts),
                _ => {
                    other = best.map_or(other, |(earliest, _)| other.min(earliest));
                    best = Some((ts, n));
                }
            }
        }
        best.map(|(ts, ring)| (ts, ring, other))
    }
}

/// How long a frame may be on its way from its stamp to us, besides what the ring's own delay is: a busy machine.
const MARGIN: Duration = Duration::from_secs(1);
/// Time is advanced in steps of at least this.
const STEP: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkType;

    fn batch(ring: usize, stamps: &[i64], until: i64, load: &Load) -> Batch {
        let mut batch = Batch::of(ring);
        for ts in stamps {
            let ts = Timestamp(*ts);
            batch.push(ts, &Frame { ts, link: LinkType::RAW, bytes: b"x", wire_len: 1, input: 0, number: 0 });
        }
        batch.until = Timestamp(until);
        batch.idle = stamps.is_empty();
        load.add(batch.weight());
        batch
    }

    #[test]
    fn frames_come_by_time_once_no_ring_can_bring_an_earlier_one() {
        let load = Load::new(u64::MAX);
        let mut order = Order::new(2);
        let mut told = Vec::new();
        order.take_in(batch(0, &[1, 2, 5, 4, 9], 9, &load), &load);
        order.release(&load, |ring, f| told.push((ring, f.ts.0)));
        assert_eq!(told, [], "the other ring has said nothing yet");
        order.take_in(batch(1, &[2, 3, 7], 7, &load), &load);
        order.release(&load, |ring, f| told.push((ring, f.ts.0)));
        assert_eq!(told, [(0, 1), (0, 2), (1, 2), (1, 3), (0, 5), (0, 4), (1, 7)], "a ring's own order stays");
        order.take_in(batch(1, &[], 20, &load), &load);
        order.release(&load, |ring, f| told.push((ring, f.ts.0)));
        assert_eq!(told.last(), Some(&(0, 9)));
        assert_eq!(load.now().0, 0, "what is gone weighs nothing");
    }

    #[test]
    fn a_quiet_link_lets_time_pass_and_a_straggler_is_told_at_the_time_reached() {
        const S: i64 = 1_000_000_000;
        let load = Load::new(u64::MAX);
        let mut order = Order::new(2);
        order.take_in(batch(0, &[], 10 * S, &load), &load);
        assert_eq!(order.quiet_until(), None, "one ring is not known to be empty");
        order.take_in(batch(1, &[], 12 * S, &load), &load);
        assert_eq!(order.quiet_until(), Some(Timestamp(9 * S)));
        assert_eq!(order.quiet_until(), None, "told once");
        order.take_in(batch(1, &[8 * S], 12 * S, &load), &load);
        let mut told = Vec::new();
        order.release(&load, |_, f| told.push(f.ts.0));
        assert_eq!((told, order.restamped()), (vec![9 * S], 1));
        order.end(0);
        order.end(1);
        assert_eq!(order.quiet_until(), None, "the end is not quiet");
    }
}
