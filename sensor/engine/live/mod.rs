//! Live packets → records: the pipeline of `analyze`, driven by rings instead of files.
//!
//! ```text
//!  ring → reader ─┐  batches, bounded by bytes    one thread: order by time,       one thread:
//!  ring → reader ─┼──────── queue ─────────────→  recording, decode, flows ─────→  analysis, log
//!  ring → reader ─┘  sheds when it fills          waits when the analysis lags
//! ```
//!
//! What comes out of the order is what the recording holds and what the pipeline sees, frame by frame and stamp by stamp,
//! so `analyze` on the recording gives the same records whatever the number of rings. On a quiet link time is advanced
//! without frames, which no record shows (`tests/invariants.rs`), and up to where is in the recording.

mod batches;
mod follow;
mod lag;
mod monitor;
mod open;
mod order;
mod packets;
mod queue;
mod reader;
mod reload;
mod segment;
mod shed;
mod stamps;
mod tally;
mod telling;

pub(crate) use self::batches::Batches;
pub(crate) use self::open::Opening;
pub(crate) use self::reload::Reloading;

use self::follow::Follower;
use self::monitor::Monitor;
use self::open::Opened;
use self::order::Order;
use self::packets::{Hand, Packets, Work};
use self::queue::Load;
use self::reader::{Counts, Message, Reader, Shared};
use self::reload::{Change, Reloader, Slot};
use self::tally::LagBy;
use self::telling::Telling;
use super::clock::{self, Stopwatch};
use super::inject::Inject;
use super::pipeline::{Pipeline, Setup};
use super::receivers::Receivers;
use super::run::RunError;
use super::summary;
use super::web::Web;
use crate::capture::{CaptureError, LinkType, Taps};
use crate::config::Loaded;
use crate::output::{Board, Phase, Rotation, Summary};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// What to capture, and how.
pub(crate) struct LiveJob<'a> {
    pub(crate) interfaces: &'a [String],
    /// In place of interfaces: a folder that capture files are rotated into.
    pub(crate) watch: Option<&'a Path>,
    pub(crate) taps: Taps,
    pub(crate) opened: Opened,
    /// Site, rules, intelligence; and who reads them anew when asked to.
    pub(crate) loaded: Loaded,
    pub(crate) reloading: Reloading,
    /// Where what is usual is kept, and gone on from.
    pub(crate) baseline: Option<&'a Path>,
    pub(crate) setup: Setup,
    /// What tests want to go wrong.
    pub(crate) inject: Inject,
    /// Where the records go.
    pub(crate) log: &'a Path,
    pub(crate) rotation: Rotation,
    /// What may wait between capture and analysis.
    pub(crate) queue_bytes: u64,
    /// Where alerts go besides the log.
    pub(crate) receivers: Receivers,
    /// Who is shown what the analysis sees.
    pub(crate) web: Option<&'a Web>,
}

/// Captures until `stop` is set or an interface is gone; `board` shows how it goes.
pub(crate) fn live(job: LiveJob<'_>, stop: &AtomicBool, board: &Board) -> Result<Summary, RunError> {
    let steady = Stopwatch::start();
    let Opened { mut taps, recording, journal } = job.opened;
    board.update(|status| status.config = reload::in_force(&job.loaded));
    // All rings have joined; what came before came to several of them.
    let begin = clock::wall();
    taps.iter_mut().for_each(|(_, tap)| tap.begin(begin));
    let folder = job.watch.map(|folder| folder.display().to_string());
    let names: Vec<String> = job.interfaces.iter().cloned().chain(folder).collect();
    let of: Vec<usize> = match job.watch {
        None => taps.iter().map(|(interface, _)| *interface).collect(),
        Some(_) => vec![0],
    };
    let links: Vec<LinkType> = taps.iter().map(|(_, tap)| tap.link()).collect();
    let counts: Vec<Mutex<Counts>> = of.iter().map(|_| Mutex::default()).collect();
    let load = Load::new(job.queue_bytes);
    let (waiting, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let (turns, beats) = (AtomicU64::new(0), AtomicU64::new(0));
    let failure: Mutex<Option<CaptureError>> = Mutex::new(None);
    let (queue, messages) = mpsc::sync_channel::<Message>(MESSAGES);
    let (to_analysis, work) = mpsc::sync_channel::<Work>(BATCHES);
    let monitor = Monitor::new(&names, &of, &counts, board, (job.log, job.rotation), &job.inject);
    let lag_by = if job.watch.is_some() { LagBy::EventTime } else { LagBy::WallClock };
    let (declared, intel) = (Arc::clone(&job.loaded.declared), Arc::clone(&job.loaded.intel));
    let change = Change { declared, intel, rules: job.loaded.rules.clone() };
    let slot = Slot::default();
    let mut telling = Telling::new(&change, journal, board, lag_by, (job.receivers.clone(), &slot), &job.inject)?;
    drop(change);
    job.baseline.map(|path| telling.keep(path)).transpose()?;
    let batches = job.web.map(|web| web.batches.clone()).unwrap_or_default();
    telling.batches = batches.clone();
    if let Some(web) = job.web {
        telling.show_in(web);
    }
    let mut packets = Packets {
        pipeline: Pipeline::new(job.setup),
        order: Order::new(of.len()),
        recording,
        interface_of: of.iter().map(|interface| u32::try_from(*interface).unwrap_or(u32::MAX)).collect(),
        load: &load,
        board,
        turns: &turns,
        batches,
        hand: Hand::new(to_analysis, &waiting),
        until: None,
        numbered: 0,
        panics: 0,
        inject: &job.inject,
    };
    monitor.start(clock::wall());
    let shared = Shared { load: &load, stop, steady };
    let rings = of.len();
    let reloader = Reloader { reloading: &job.reloading, slot: &slot, receivers: &job.receivers, board };
    let outcome = thread::scope(|scope| {
        let rereading = scope.spawn(|| reloader.run(job.loaded, &ended));
        let watching = scope.spawn(|| monitor.run(&ended, &turns, &beats));
        let (waiting, beats) = (&waiting, &beats);
        let analysing = scope.spawn(move || telling.run(&work, waiting, beats));
        for ((ring, (_, tap)), counts) in taps.into_iter().enumerate().zip(&counts) {
            let reader = Reader::new(ring, tap, counts, queue.clone());
            let (shared, failure) = (&shared, &failure);
            scope.spawn(move || {
                // A reader that panics must not leave the others waiting for its frames.
                let done = catch_unwind(AssertUnwindSafe(|| reader.run(shared)));
                if let Err(error) = done.unwrap_or(Err(CaptureError::Panicked)) {
                    tracing::error!(%error, "capture ends");
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    shared.stop.store(true, Ordering::Relaxed);
                }
            });
        }
        if let (Some(folder), Some(counts)) = (job.watch, counts.first()) {
            let follower = Follower::new(folder, job.taps.filter.as_deref(), job.log, counts, queue.clone());
            let (shared, failure) = (&shared, &failure);
            scope.spawn(move || {
                if let Err(error) = follower.run(shared.load, shared.stop) {
                    tracing::error!(%error, "reading the folder ends");
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            });
        }
        drop(queue);
        let done = packets.run(&messages, rings);
        board.update(|status| status.phase = Phase::Stopping);
        // Readers must not wait for a queue that nobody reads any more.
        drop(messages);
        stop.store(true, Ordering::Relaxed);
        let done = done.and_then(|()| packets.finish(&monitor.dropped()));
        packets.hand.close();
        let analysed = analysing.join();
        ended.store(true, Ordering::Relaxed);
        watching.thread().unpark();
        rereading.thread().unpark();
        match (done, analysed) {
            (Ok(()), Ok(analysed)) => Ok(analysed),
            (_, Err(_)) | (Err(_), _) => Err(RunError::Analysis),
        }
    });
    let ended = outcome?;
    let summary = summary::of(summary::Run {
        inputs: monitor.reports(&links, packets.recording.as_ref()),
        filtered: monitor.filtered(),
        pipeline: &packets.pipeline,
        site: &ended.declared.site,
        told: &ended.told,
        trail: ended.trail.table(),
        weird: ended.weird,
        elapsed: steady.elapsed(),
        rules: ended.rules,
        interrupted: false,
    });
    let finished =
        ended.journal.finish(&ended.told.findings, &ended.told.alerts, &summary, &ended.trail, clock::wall());
    board.update(|status| status.phase = Phase::Stopped);
    monitor.leave();
    finished?;
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error.into()),
        None => Ok(summary),
    }
}

/// Batches between readers and order: with 4,096 frames each far more than the bytes allow, and seconds of empty ones.
const MESSAGES: usize = 2_048;
/// Batches of observations that may wait for the analysis.
pub(super) const BATCHES: usize = 64;
