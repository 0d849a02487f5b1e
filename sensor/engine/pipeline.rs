//! Frames → observations in order. The left side of the waist as one object, driven by `Frame`, `Tick` and `End` only.
//!
//! The reader decodes, because shards go by the *innermost* host pair; fragments are joined before that, so a packet
//! and its fragments meet. All shards see the same event time, so their number is invisible.

use super::merge::{Merge, SLACK};
use crate::base::{Endpoint, Table, Timestamp, Transport};
use crate::capture::Frame;
use crate::decode::{DecodeStats, Decoded, Decoder, Duplicates};
use crate::event::{Event, Identity, Observation, Uid};
use crate::flow::{self, FlowTable};
use std::time::Duration;

/// What to do with packets that a SPAN port or two capture points show twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// Removed and counted.
    Drop,
    /// Every packet counts.
    Keep,
}

/// How the left side is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) shards: usize,
    pub(crate) copies: Copies,
    /// Ticks of event time to inject, to prove that they are invisible; live makes its own.
    pub(crate) tick: Option<Duration>,
}

/// What the left side counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) packets: u64,
    /// As on the wire.
    pub(crate) bytes: u64,
    pub(crate) truncated: u64,
    pub(crate) copies: u64,
    /// Packets later than the slack allows.
    pub(crate) late: u64,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    pub(crate) flows: flow::Stats,
}

/// Decoder, shards and merge.
pub(crate) struct Pipeline {
    decoder: Decoder,
    shards: Vec<Shard>,
    merge: Merge,
    /// Highest packet time so far.
    now: Timestamp,
    /// The quarter second all shards have been moved to.
    advanced: Timestamp,
    next_tick: Timestamp,
    outside_flows: u32,
    loose: Vec<Observation>,
    counts: Counts,
    /// Second copies that were removed, by input.
    copies: Vec<u64>,
    setup: Setup,
}

/// One shard: everything that belongs to its host pairs.
struct Shard {
    flows: FlowTable,
    duplicates: Option<Duplicates>,
    out: Vec<Observation>,
}

impl Pipeline {
    pub(crate) fn new(setup: Setup) -> Self {
        let shards = setup.shards.clamp(1, MAX_SHARDS);
        let window = if setup.copies == Copies::Drop { COPY_WINDOW } else { Duration::ZERO };
        let limits = flow::Limits {
            flows: MAX_FLOWS.div_ceil(shards),
            dialogues: MAX_DIALOGUES.div_ceil(shards),
            held_bytes: MAX_HELD.div_ceil(shards),
            copy_window: window,
        };
        let shard = || Shard {
            flows: FlowTable::new(limits),
            duplicates: (setup.copies == Copies::Drop).then(|| Duplicates::new(window)),
            out: Vec::new(),
        };
        Self {
            decoder: Decoder::default(),
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            merge: Merge::default(),
            now: Timestamp::MIN,
            advanced: Timestamp::MIN,
            next_tick: Timestamp::MIN,
            outside_flows: 0,
            loose: Vec::new(),
            counts: Counts::default(),
            copies: Vec::new(),
            setup,
        }
    }

    /// Takes in a frame; observations that are settled go to `hand_on`.
    pub(crate) fn frame<E>(
        &mut self,
        frame: &Frame<'_>,
        hand_on: &mut impl FnMut(Observation) -> Result<(), E>,
    ) -> Result<(), E> {
        self.inject_ticks(frame.ts, hand_on)?;
        self.count(frame);
        let floor = self.now.minus(SLACK);
        let (identity, packet) = match self.decoder.decode(frame) {
            Decoded::Packet(packet, identity) => (identity, Some(packet)),
            Decoded::Identity(identity) => (Some(identity), None),
            Decoded::Fragment => (None, None),
            Decoded::Undecoded(reason) => {
                tracing::trace!(reason, "frame not understood");
                (None, None)
            }
        };
        if let Some(identity) = identity {
            let n = self.outside_flows;
            self.outside_flows = n.wrapping_add(1);
            self.loose.push(outside_flows(frame.ts.max(floor), n, identity));
        }
        if let Some(packet) = packet {
            let at = flow::shard(&packet, self.shards.len());
            if let Some(shard) = self.shards.get_mut(at) {
                if shard.duplicates.as_mut().is_some_and(|d| d.is_copy(&packet)) {
                    self.counts.copies = self.counts.copies.saturating_add(1);
                    let at = usize::try_from(frame.input).unwrap_or(usize::MAX);
                    if self.copies.len() <= at && at < MAX_INPUTS {
                        self.copies.resize(at.saturating_add(1), 0);
                    }
                    if let Some(copies) = self.copies.get_mut(at) {
                        *copies = copies.saturating_add(1);
                    }
                } else {
                    shard.flows.observe(&packet, floor, &mut shard.out);
                    // A clock that stands still must not keep them here.
                    if shard.out.len() >= HANDED_OVER {
                        self.merge.take_in(&mut shard.out);
                    }
                }
            }
        }
        if self.merge.is_due() {
            self.release(self.now.minus(SLACK), hand_on)?;
        }
        Ok(())
    }

    /// Event time reached `ts` without a packet: timers fire, settled observations come out.
    pub(crate) fn tick<E>(
        &mut self,
        ts: Timestamp,
        hand_on: &mut impl FnMut(Observation) -> Result<(), E>,
    ) -> Result<(), E> {
        if ts > self.now {
            self.advance(ts);
            self.release(ts.minus(SLACK), hand_on)?;
        }
        Ok(())
    }

    /// What is settled comes out although little of it waits: whoever reads live does not wait for more to come.
    pub(crate) fn settle<E>(&mut self, hand_on: &mut impl FnMut(Observation) -> Result<(), E>) -> Result<(), E> {
        self.release(self.now.minus(SLACK), hand_on)
    }

    /// The input ended: every flow is closed and everything comes out.
    pub(crate) fn finish<E>(&mut self, hand_on: &mut impl FnMut(Observation) -> Result<(), E>) -> Result<Timestamp, E> {
        self.advance(self.now);
        // In the order they are told, a few at a time: a million records at once would be half of all memory.
        let mut left: Vec<(Timestamp, Uid, usize, u32)> = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            left.extend(shard.flows.remaining(self.now).map(|(ts, uid, id)| (ts, uid, number, id)));
        }
        left.sort_unstable();
        for some in left.chunks(CLOSED_TOGETHER) {
            let begin = some.first().map(|(ts, uid, ..)| (*ts, *uid));
            self.merge.release(begin, &mut *hand_on)?;
            for (_, _, number, id) in some {
                if let Some(shard) = self.shards.get_mut(*number) {
                    shard.flows.end(*id, self.now, &mut shard.out);
                    self.merge.take_in(&mut shard.out);
                }
            }
        }
        self.merge.release(None, hand_on)?;
        Ok(self.now)
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.counts;
        for shard in &self.shards {
            counts.flows.add(shard.flows.stats());
        }
        counts
    }

    /// Second copies that were removed from an input.
    pub(crate) fn copies_of(&self, input: usize) -> u64 {
        self.copies.get(input).copied().unwrap_or(0)
    }

    /// Bytes shown to parsers, again when they had to wait for more: how much work reading was.
    pub(crate) fn shown_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.flows.shown_bytes()).fold(0, u64::saturating_add)
    }

    /// What was and was not understood.
    pub(crate) fn decode_stats(&self) -> &DecodeStats {
        self.decoder.stats()
    }

    /// All tables of the left side as they stand, those of all shards together.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let mut all = vec![self.decoder.table(), self.merge.table()];
        for shard in &self.shards {
            all.extend(shard.duplicates.as_ref().map(Duplicates::table));
            all.extend(shard.flows.tables());
        }
        Table::by_name(all)
    }

    fn count(&mut self, frame: &Frame<'_>) {
        let counts = &mut self.counts;
        counts.packets = counts.packets.saturating_add(1);
        counts.bytes = counts.bytes.saturating_add(u64::from(frame.wire_len));
        counts.truncated = counts.truncated.saturating_add(u64::from(frame.bytes.len() < frame.wire_len as usize));
        counts.first = Some(counts.first.map_or(frame.ts, |first| first.min(frame.ts)));
        counts.last = Some(counts.last.map_or(frame.ts, |last| last.max(frame.ts)));
        if frame.ts > self.now {
            // Timers that lie before this packet fire before it is looked at, whatever it jumps over. The first packet
            // sets all clocks.
            if self.now == Timestamp::MIN || frame.ts.since(self.advanced) >= STEP {
                self.advance(frame.ts);
            }
            self.now = frame.ts;
        } else if self.now.since(frame.ts) > SLACK {
            self.counts.late = self.counts.late.saturating_add(1);
        }
    }

    fn advance(&mut self, now: Timestamp) {
        for shard in &mut self.shards {
            shard.flows.advance(now, &mut shard.out);
            self.merge.take_in(&mut shard.out);
        }
        self.merge.take_in(&mut self.loose);
        self.advanced = now;
    }

    fn release<E>(
        &mut self,
        watermark: Timestamp,
        hand_on: &mut impl FnMut(Observation) -> Result<(), E>,
    ) -> Result<(), E> {
        let settled = self.shards.iter().map(|shard| shard.flows.settled()).min().unwrap_or(Timestamp::MAX);
        self.merge.release(Some((watermark.min(settled), Uid::NONE)), hand_on)
    }

    fn inject_ticks<E>(
        &mut self,
        ts: Timestamp,
        hand_on: &mut impl FnMut(Observation) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(every) = self.setup.tick.filter(|every| !every.is_zero()) else { return Ok(()) };
        if self.next_tick == Timestamp::MIN {
            self.next_tick = ts;
        }
        for _ in 0..MAX_TICKS {
            if self.next_tick >= ts {
                return Ok(());
            }
            self.tick(self.next_tick, hand_on)?;
            self.next_tick = self.next_tick.plus(every);
        }
        self.next_tick = ts;
        Ok(())
    }
}

/// A fact outside any flow: who an address is, told by ARP.
fn outside_flows(ts: Timestamp, n: u32, identity: Identity) -> Observation {
    let orig = identity.ip.map_or(Endpoint::NONE, |ip| Endpoint::new(ip, 0));
    let event = Event::Identity(Box::new(identity));
    Observation { ts, uid: Uid::NONE, n, orig, resp: Endpoint::NONE, transport: Transport::Other(0), event }
}

/// Flows closed at the end before their observations are handed on.
const CLOSED_TOGETHER: usize = 4096;
/// Observations that a shard gathers between two looks at its timers.
const HANDED_OVER: usize = 4096;
/// Timers are looked at once in this much event time.
const STEP: Duration = Duration::from_millis(250);
/// Between a packet and its second copy; below the smallest retransmission timeout (RFC 6298, 200 ms in practice).
const COPY_WINDOW: Duration = Duration::from_millis(20);
/// Flows held at once, over all shards: about 130 MB. A site of thousands of hosts has some ten thousand; only scans and
/// floods reach it, and then the flow due soonest is told early, as evicted, and counted.
pub(super) const MAX_FLOWS: usize = 400_000;
/// Flows read at once, over all shards.
const MAX_DIALOGUES: usize = 150_000;
/// Bytes that wait for the rest of their message, or for what lies before them, over all flows and shards. A site's
/// conversations hold some hundred bytes each; only who sends without ever finishing comes near.
const MAX_HELD: usize = 512 << 20;
/// More shards than cores anybody has behind one capture point.
const MAX_SHARDS: usize = 256;
/// Inputs whose copies are told apart.
const MAX_INPUTS: usize = 4096;
/// Injected ticks between two packets.
const MAX_TICKS: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkType;
    use std::convert::Infallible;

    /// The `n`th SYN of a scan, every one a flow of its own.
    fn syn(n: u32) -> Vec<u8> {
        let [_, _, high, low] = n.to_be_bytes();
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        frame.extend([0x45, 0, 0, 40, high, low, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 198, 18, high, low]);
        frame.extend([0x9c, 0x40, 0, 22, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
        frame
    }

    #[test]
    fn observations_come_out_while_the_input_runs_in_the_same_order_for_any_shards() {
        let mut runs = Vec::new();
        for shards in [1, 3] {
            let mut pipeline = Pipeline::new(Setup { shards, copies: Copies::Drop, tick: None });
            let mut told = Vec::new();
            let mut hand_on = |o: Observation| {
                told.push((o.ts, o.uid, o.n));
                Ok::<(), Infallible>(())
            };
            for n in 0..20_000 {
                let ts = Timestamp(1_780_272_000_000_000_000 + i64::from(n) * 1_000_000);
                let bytes = syn(n);
                let frame = Frame { ts, link: LinkType::ETHERNET, bytes: &bytes, wire_len: 54, input: 0, number: n };
                pipeline.frame(&frame, &mut hand_on).unwrap();
            }
            pipeline.finish(&mut hand_on).unwrap();
            assert!(told.is_sorted(), "{shards} shards");
            assert_eq!(told.len(), 40_000, "opened and closed");
            runs.push(told);
        }
        assert_eq!(runs[0], runs[1]);
    }

    #[test]
    fn what_waits_for_its_turn_is_bounded() {
        let mut pipeline = Pipeline::new(Setup { shards: 1, copies: Copies::Drop, tick: None });
        let mut told = 0;
        for n in 0..20_000 {
            let ts = Timestamp(i64::from(n) * 1_000_000);
            let bytes = syn(n);
            let frame = Frame { ts, link: LinkType::ETHERNET, bytes: &bytes, wire_len: 54, input: 0, number: n };
            let mut count = |_| {
                told += 1;
                Ok::<(), Infallible>(())
            };
            pipeline.frame(&frame, &mut count).unwrap();
        }
        assert!(told > 10_000, "{told} of 20,000 flows' beginnings were told in 20 s");
    }
}
