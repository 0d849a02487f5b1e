//! Capture files → what is usual: nothing is told, and what was learned before goes on.

use super::analysis::Analysis;
use super::pipeline::Pipeline;
use super::run::{Job, RunError, feed};
use super::saver::Saver;
use super::store::{Store, StoreError};
use crate::base::Timestamp;
use crate::capture;
use crate::event::Observation;
use crate::profile::Learnt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What was learned.
pub(crate) struct Learn {
    pub(crate) learnt: Learnt,
    /// Records written.
    pub(crate) records: u64,
    /// Pairs of the index that were let go of.
    pub(crate) pruned: u64,
    pub(crate) interrupted: bool,
}

/// Learns from `job`'s input what is usual, going on from what the baseline at `path` holds already, and saves it there:
/// every so often of event time, and at the end.
pub(crate) fn learn(
    job: Job<'_>,
    (path, save_every): (&Path, Duration),
    stop: &AtomicBool,
    mut show: impl FnMut(capture::Progress),
) -> Result<Learn, RunError> {
    let mut files = capture::open(job.inputs, job.filter)?;
    let mut analysis = Analysis::new(job.declared, job.intel, &job.rules)?;
    if path.exists() {
        match continue_from(path, &mut analysis) {
            // Somebody was stopped before the first save.
            Ok(()) | Err(StoreError::Empty { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut saver = Saver::new(Store::open(path)?, save_every, &mut analysis)?;
    analysis.learn_until(Timestamp::MAX);
    let mut take_in = |seen: Observation| {
        analysis.observe(&seen);
        drop(analysis.fresh());
        saver.reached(seen.ts, &mut analysis).map(drop)
    };
    let mut pipeline = Pipeline::new(job.setup);
    let interrupted = feed(&mut files, &mut pipeline, (stop, &mut show), &mut take_in)?;
    let now = pipeline.finish(&mut take_in)?;
    analysis.settle(now);
    let records = saver.save(&mut analysis)?;
    Ok(Learn { learnt: analysis.learnt(), records, pruned: saver.pruned(), interrupted })
}

/// A live sensor goes on from what it knew and saves it every minute of event time. A damaged file is moved aside and
/// told, never read in part or written over; where it is then comes back.
pub(super) fn keep(path: &Path, analysis: &mut Analysis) -> Result<(Saver, Option<PathBuf>), StoreError> {
    let mut set_aside = None;
    if path.exists() {
        match Store::read(path) {
            Ok(records) => analysis.restore(&records).map_err(|bad| StoreError::bad(path, bad))?,
            Err(error) if error.is_damage() => {
                let aside = Store::set_aside(path)?;
                tracing::warn!(%error, aside = %aside.display(), "the baseline is damaged, learning begins anew");
                set_aside = Some(aside);
            }
            Err(error) => return Err(error),
        }
    }
    let store = Store::open(path)?;
    analysis.look_back(store.archive().look_back());
    Ok((Saver::new(store, SAVE_EVERY, analysis)?, set_aside))
}

/// Takes in what was learned before.
pub(super) fn continue_from(path: &Path, analysis: &mut Analysis) -> Result<(), StoreError> {
    let records = Store::read(path)?;
    if records.is_empty() {
        return Err(StoreError::Empty { path: path.to_owned() });
    }
    analysis.restore(&records).map_err(|bad| StoreError::bad(path, bad))
}

/// Event time between two saves of a live sensor.
const SAVE_EVERY: Duration = Duration::from_secs(60);
