//! Frames in order → recording and observations. The one thread that decodes; it waits for the analysis when that lags,
//! and then the queue before it fills and the readers let go: packets are dropped there and nowhere else.

use super::batches::Batches;
use super::order::Order;
use super::queue::Load;
use super::reader::Message;
use crate::base::Timestamp;
use crate::capture::{Frame, Recording};
use crate::engine::clock::Stopwatch;
use crate::engine::inject::Inject;
use crate::engine::pipeline::Pipeline;
use crate::event::Observation;
use crate::output::metrics::BatchStage;
use crate::output::{Board, FlowStatus, PacketStatus};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// What the analysis is sent.
pub(super) enum Work {
    Observations(Vec<Observation>),
    /// The input ended at this moment.
    End(Timestamp),
}

/// The analysis has ended before its input did; why is known to who waits for it.
#[derive(Debug)]
pub(super) struct Gone;

/// Everything this thread owns.
pub(super) struct Packets<'a> {
    pub(super) pipeline: Pipeline,
    pub(super) order: Order,
    pub(super) recording: Option<Recording>,
    /// Which interface of the recording a ring belongs to.
    pub(super) interface_of: Vec<u32>,
    pub(super) load: &'a Load,
    pub(super) board: &'a Board,
    /// Turns taken, also without frames.
    pub(super) turns: &'a AtomicU64,
    pub(super) batches: Batches,
    pub(super) hand: Hand<'a>,
    /// Up to where time was advanced after the last frame.
    pub(super) until: Option<Timestamp>,
    pub(super) numbered: u32,
    pub(super) panics: u64,
    pub(super) inject: &'a Inject,
}

/// Gathers observations and hands them on.
pub(super) struct Hand<'a> {
    out: Vec<Observation>,
    to: Option<SyncSender<Work>>,
    /// Batches on their way.
    waiting: &'a AtomicU64,
    gone: bool,
}

impl<'a> Hand<'a> {
    pub(super) const fn new(to: SyncSender<Work>, waiting: &'a AtomicU64) -> Self {
        Self { out: Vec::new(), to: Some(to), waiting, gone: false }
    }

    /// Nothing more comes.
    pub(super) fn close(&mut self) {
        self.to = None;
    }

    fn push(&mut self, observation: Observation) -> Result<(), Gone> {
        self.out.push(observation);
        if self.out.len() >= TOGETHER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let batch = std::mem::take(&mut self.out);
        self.send(Work::Observations(batch))
    }

    fn send(&mut self, work: Work) -> Result<(), Gone> {
        let sent = self.to.as_ref().and_then(|to| to.send(work).ok());
        self.gone |= sent.is_none();
        sent.ok_or(Gone)
    }
}

impl Packets<'_> {
    /// Works until every ring has ended; then closes all flows. `Err` when the analysis is gone.
    pub(super) fn run(&mut self, queue: &Receiver<Message>, rings: usize) -> Result<(), Gone> {
        let mut running = rings;
        let watch = Stopwatch::start();
        let (mut told, mut settled) = (Duration::ZERO, Duration::ZERO);
        while running > 0 {
            let mut next = match queue.recv_timeout(TELL_EVERY) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // Bounded, so that what is ready is not kept waiting behind what goes on coming.
            for _ in 0..MESSAGES_TOGETHER {
                match next.take() {
                    Some(Message::Frames(batch)) => {
                        self.load.taken();
                        self.order.take_in(batch, self.load);
                    }
                    Some(Message::Ended(ring)) => {
                        self.order.end(ring);
                        running = running.saturating_sub(1);
                    }
                    None => break,
                }
                next = queue.try_recv().ok();
            }
            if let Some(Message::Frames(batch)) = next {
                self.load.taken();
                self.order.take_in(batch, self.load);
            } else if let Some(Message::Ended(ring)) = next {
                self.order.end(ring);
                running = running.saturating_sub(1);
            }
            self.release()?;
            if watch.elapsed().saturating_sub(settled) >= SETTLE_EVERY {
                settled = watch.elapsed();
                self.pipeline.settle(&mut |o| self.hand.push(o))?;
            }
            if let Some(quiet) = self.order.quiet_until() {
                self.until = Some(quiet);
                self.pipeline.tick(quiet, &mut |o| self.hand.push(o))?;
                if let Some(recording) = &mut self.recording {
                    recording.flush();
                }
            }
            self.hand.flush()?;
            self.turns.fetch_add(1, Ordering::Relaxed);
            if watch.elapsed().saturating_sub(told) >= TELL_EVERY {
                told = watch.elapsed();
                self.tell();
            }
        }
        self.release()
    }

    /// The input has ended.
    pub(super) fn finish(&mut self, dropped: &[u64]) -> Result<(), Gone> {
        if let Some(recording) = &mut self.recording {
            recording.finish(self.until, dropped);
        }
        let now = self.pipeline.finish(&mut |o| self.hand.push(o))?;
        self.hand.flush()?;
        self.tell();
        self.hand.send(Work::End(now))
    }

    fn release(&mut self) -> Result<(), Gone> {
        let (watch, before) = (Stopwatch::start(), self.numbered);
        let done = self.take_frames();
        if self.numbered != before {
            self.batches.record(BatchStage::Packets, watch.elapsed());
        }
        done
    }

    fn take_frames(&mut self) -> Result<(), Gone> {
        let Self { pipeline, order, recording, interface_of, load, hand, until, numbered, panics, inject, .. } = self;
        order.release(load, |ring, frame| {
            if hand.gone {
                return;
            }
            // The recording's numbering: claims name its packets.
            *numbered = numbered.saturating_add(1);
            let frame = Frame { number: *numbered, ..*frame };
            if let Some(recording) = recording {
                recording.frame(interface_of.get(ring).copied().unwrap_or(0), &frame);
            }
            if until.is_some_and(|until| frame.ts >= until) {
                *until = None;
            }
            contained(panics, || {
                inject.at_packet(u64::from(*numbered));
                let _ = pipeline.frame(&frame, &mut |o| hand.push(o)); // `hand` remembers that nobody listens.
            });
        });
        if self.hand.gone { Err(Gone) } else { Ok(()) }
    }

    /// Puts the counts where others see them.
    fn tell(&self) {
        let counts = self.pipeline.counts();
        let restamped = self.order.restamped();
        let stats = self.pipeline.decode_stats();
        let undecoded = stats.undecoded().map(|(reason, n)| (reason.to_string(), n)).collect();
        let (waiting, peak) = self.load.now();
        let recorded = self.recording.as_ref().map(|r| (r.frames(), r.missed()));
        let failed = self.recording.as_ref().and_then(Recording::failed).map(str::to_owned);
        self.board.update(|status| {
            status.packets = PacketStatus {
                packets: counts.packets,
                bytes: counts.bytes,
                truncated: counts.truncated,
                duplicates: counts.copies,
                late: counts.late.saturating_add(restamped),
                undecoded,
                carried: owned(&mut stats.carried().into_iter()),
                encapsulated: owned(&mut stats.encapsulated()),
                last_ns: counts.last.map(|ts| ts.0),
            };
            let flows = counts.flows;
            status.flows = FlowStatus {
                active: flows.opened.saturating_sub(flows.closed),
                peak: flows.peak,
                closed: flows.closed,
                evicted: flows.evicted,
                unread: flows.unread,
                one_way: flows.one_sided,
                missed_bytes: flows.missed_bytes,
                payload_bytes: flows.payload_bytes,
            };
            status.queue.bytes = waiting;
            status.queue.peak_bytes = peak;
            status.queue.packet_batches = self.load.batches();
            status.queue.packet_batches_limit = super::MESSAGES as u64;
            status.queue.capacity_bytes = self.load.capacity();
            status.faults.packet_panics = self.panics;
            if let Some((recorded, unrecorded)) = recorded {
                status.log.recorded = recorded;
                status.log.unrecorded = unrecorded;
                status.log.recording_failed = failed;
            }
        });
    }
}

fn owned(counts: &mut dyn Iterator<Item = (&'static str, u64)>) -> Vec<(String, u64)> {
    counts.map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Runs `work`; a panic within it is counted and told, and ends only it. Whatever it was about is dropped.
pub(super) fn contained(panics: &mut u64, work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        *panics = panics.saturating_add(1);
        tracing::error!(panics = *panics, "a panic was contained; this is a bug, please report it");
    }
}

/// Observations sent together.
const TOGETHER: usize = 4_096;
/// Messages looked at before frames are released.
const MESSAGES_TOGETHER: usize = 64;
/// Between two looks at what is settled: on a link that is neither quiet nor busy, thousands of observations take minutes to
/// come together.
const SETTLE_EVERY: Duration = Duration::from_millis(500);
/// Between two updates of the board.
const TELL_EVERY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_and_the_next_piece_of_work_is_done() {
        let (mut panics, mut done) = (0, 0);
        std::panic::set_hook(Box::new(|_| {}));
        for n in 0..4 {
            contained(&mut panics, || {
                assert!(n != 2, "as meant");
                done += 1;
            });
        }
        let _ = std::panic::take_hook();
        assert_eq!((panics, done), (1, 3));
    }
}
