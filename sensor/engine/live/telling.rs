//! Observations → records, findings, alerts as they are told. One thread; it never drops anything.

use super::batches::Batches;
use super::packets::{Work, contained};
use super::reload::{Change, Slot};
use super::tally::{LagBy, Tally};
use crate::base::Timestamp;
use crate::detect::RuleError;
use crate::engine::analysis::Told;
use crate::engine::clock::{self, Stopwatch};
use crate::engine::inject::Inject;
use crate::engine::learn;
use crate::engine::receivers::Receivers;
use crate::engine::right::Right;
use crate::engine::saver::Saver;
use crate::engine::store::StoreError;
use crate::engine::web::Web;
use crate::event::{Event, Observation};
use crate::output::metrics::BatchStage;
use crate::output::{AnalysisStatus, Board, Journal, LogStatus, OutputStatus, ReceiverStatus, Trail};
use crate::profile::Declared;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// What the thread works with.
pub(super) struct Telling<'a> {
    right: Right,
    journal: Journal,
    board: &'a Board,
    tally: Tally,
    observations: u64,
    event: Option<Timestamp>,
    panics: u64,
    /// Where what is known is saved.
    saver: Option<Saver>,
    /// The rules in force, as SHA-256.
    rules: String,
    /// Baselines set aside, and saves that failed.
    set_aside: u64,
    unsaved: u64,
    pub(super) batches: Batches,
    /// Where alerts go besides the log.
    receivers: Receivers,
    /// What is to be followed from the next batch on.
    slot: &'a Slot,
    inject: &'a Inject,
}

/// What came of it.
pub(super) struct Ended {
    pub(super) told: Told,
    /// The site and the rules that were in force last.
    pub(super) declared: Arc<Declared>,
    pub(super) rules: String,
    pub(super) journal: Journal,
    pub(super) trail: Trail,
    pub(super) weird: Vec<(&'static str, u64)>,
}

/// A baseline that cannot be saved now is saved a minute later; the sensor goes on. How often it could not.
fn told(saved: Result<u64, StoreError>) -> u64 {
    let Err(error) = saved else { return 0 };
    tracing::warn!(%error, "what is known was not saved");
    1
}

impl<'a> Telling<'a> {
    pub(super) fn new(
        Change { declared, intel, rules }: &Change,
        journal: Journal,
        board: &'a Board,
        lag_by: LagBy,
        (receivers, slot): (Receivers, &'a Slot),
        inject: &'a Inject,
    ) -> Result<Self, RuleError> {
        let mut right = Right::new(declared, intel, rules)?;
        right.analysis.inject(inject);
        Ok(Self {
            right,
            journal,
            board,
            tally: Tally::new(lag_by),
            observations: 0,
            event: None,
            panics: 0,
            saver: None,
            rules: rules.digest(),
            set_aside: 0,
            unsaved: 0,
            batches: Batches::default(),
            receivers,
            slot,
            inject,
        })
    }

    /// Goes on from the baseline at `path`, made when there is none, and saves what is known there every minute.
    pub(super) fn keep(&mut self, path: &Path) -> Result<(), StoreError> {
        let (saver, set_aside) = learn::keep(path, &mut self.right.analysis)?;
        self.saver = Some(saver);
        self.set_aside = u64::from(set_aside.is_some());
        Ok(())
    }

    /// Shows what it sees to readers of `web`.
    pub(super) fn show_in(&mut self, web: &Web) {
        self.right.analysis.show_in(web.windows.clone(), &web.detectors);
    }

    /// Works until the input has ended; `waiting` counts the batches that wait, `beats` the turns taken.
    pub(super) fn run(mut self, work: &Receiver<Work>, waiting: &AtomicU64, beats: &AtomicU64) -> Ended {
        let watch = Stopwatch::start();
        let mut flushed = Duration::ZERO;
        let end = loop {
            self.follow();
            match work.recv_timeout(FLUSH_EVERY) {
                Ok(Work::Observations(batch)) => {
                    waiting.fetch_sub(1, Ordering::Relaxed);
                    let watch = Stopwatch::start();
                    for seen in &batch {
                        self.observation(seen);
                    }
                    self.batches.record(BatchStage::Analysis, watch.elapsed());
                }
                Ok(Work::End(now)) => break now,
                Err(RecvTimeoutError::Timeout) => {}
                // Who hands on is gone without an end: what was told so far stands.
                Err(RecvTimeoutError::Disconnected) => break self.event.unwrap_or(Timestamp::MIN),
            }
            beats.fetch_add(1, Ordering::Relaxed);
            if watch.elapsed().saturating_sub(flushed) >= FLUSH_EVERY {
                flushed = watch.elapsed();
                self.journal.flush(clock::wall());
                self.batches.record(BatchStage::Output, watch.elapsed().saturating_sub(flushed));
                self.tell(waiting);
            }
        };
        self.journal.flush(clock::wall());
        self.tell(waiting);
        if let Some(saver) = &mut self.saver {
            self.unsaved = self.unsaved.saturating_add(told(saver.save(&mut self.right.analysis)));
            self.tell(waiting);
        }
        let weird = self.right.oddities();
        let Self { right, journal, board, mut tally, receivers, rules, .. } = self;
        let Right { analysis, trail, ech, declared, .. } = right;
        let mut told = analysis.finish(end);
        told.tables.push(ech.table());
        told.alerts.iter().for_each(|alert| tally.count(alert, end));
        // What did not change since it was told is no news to them.
        told.alerts.iter().for_each(|alert| receivers.tell(alert));
        let (alerts, detection_lag) = (tally.alerts(), tally.lag());
        board.update(|status| {
            status.analysis.alerts = alerts;
            status.detection_lag = detection_lag;
        });
        Ended { told, declared, rules, journal, trail, weird }
    }

    /// Follows what the operator wrote anew, if anything; also a log that was moved away is begun anew.
    fn follow(&mut self) {
        let Some(Change { declared, intel, rules }) = self.slot.take() else { return };
        match self.right.follow(&declared, &intel, &rules) {
            Ok(()) => self.rules = rules.digest(),
            // They were built when they were read.
            Err(error) => tracing::error!(%error, "the new rules cannot be followed"),
        }
        self.journal.reopen();
    }

    fn observation(&mut self, seen: &Observation) {
        self.observations = self.observations.saturating_add(1);
        self.event = self.event.max(Some(seen.ts));
        let (right, inject, number) = (&mut self.right, self.inject, self.observations);
        contained(&mut self.panics, || {
            inject.at_observation(number);
            right.observe(seen);
        });
        if let Some(saver) = &mut self.saver {
            self.unsaved = self.unsaved.saturating_add(told(saver.reached(seen.ts, &mut right.analysis)));
        }
        match &seen.event {
            Event::FlowClosed(flow) => {
                self.right.with_extras(seen, flow, |extras| self.journal.observation(seen, extras));
            }
            _ => self.journal.observation(seen, &self.right.fact_extras(seen)),
        }
        self.journal.parted(&self.right.analysis.parted(), &self.right.trail);
        let fresh = self.right.analysis.fresh();
        if !fresh.is_empty() {
            self.journal.told(&fresh, &self.right.trail);
            for alert in &fresh {
                self.tally.count(alert, seen.ts);
                self.receivers.tell(alert);
            }
        }
    }

    fn tell(&self, waiting: &AtomicU64) {
        let analysis = AnalysisStatus {
            observations: self.observations,
            event_ns: self.event.map(|ts| ts.0),
            alerts: self.tally.alerts(),
            weird: self.right.oddities().into_iter().map(|(name, n)| (name.to_owned(), n)).collect(),
            detector_panics: self.right.analysis.panics().map(|(stem, n)| (stem.to_owned(), n)).collect(),
            index_pruned: self.saver.as_ref().map_or(0, Saver::pruned),
        };
        let log = self.journal.state();
        let lag = self.tally.lag();
        let receiver = |output: OutputStatus| ReceiverStatus {
            name: output.name.into(),
            ok: output.ok,
            waiting: output.waiting,
            dropped: output.dropped,
            trouble: output.trouble,
        };
        let outputs = self.receivers.status().into_iter().map(receiver).collect();
        self.board.update(|status| {
            status.analysis = analysis;
            let (recorded, unrecorded) = (status.log.recorded, status.log.unrecorded);
            let recording_failed = status.log.recording_failed.take();
            status.log = LogStatus { recorded, unrecorded, recording_failed, ..log };
            status.detection_lag = lag;
            status.outputs = outputs;
            status.faults.analysis_panics = self.panics;
            status.faults.baselines_set_aside = self.set_aside;
            status.faults.baseline_unsaved = self.unsaved;
            status.queue.observation_batches = waiting.load(Ordering::Relaxed);
        });
    }
}

/// Between two writes of what waits in the log.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
