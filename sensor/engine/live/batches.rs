//! How long the stages of a live run take for a batch, for metrics.

use crate::output::metrics::{BatchStage, Latency};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One distribution a stage; each stage is one thread's, so nobody waits for the lock but a scrape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batches(Arc<[Mutex<Latency>; STAGES.len()]>);

impl Batches {
    /// A stage took so long.
    pub(super) fn record(&self, stage: BatchStage, took: Duration) {
        for (held, _) in self.0.iter().zip(STAGES).filter(|(_, known)| *known == stage) {
            held.lock().unwrap_or_else(PoisonError::into_inner).record(took);
        }
    }

    /// A copy of each.
    pub(crate) fn read(&self) -> impl Iterator<Item = (BatchStage, Latency)> {
        let held = self.0.iter().map(|held| held.lock().unwrap_or_else(PoisonError::into_inner).clone());
        STAGES.into_iter().zip(held)
    }
}

const STAGES: [BatchStage; 3] = [BatchStage::Packets, BatchStage::Analysis, BatchStage::Output];
