//! Saves what is known now and then, by event time: a live sensor every minute, a long learning run every hour.

use super::analysis::Analysis;
use super::store::{Store, StoreError};
use crate::base::Timestamp;
use std::time::Duration;

/// A store and when it is due.
pub(crate) struct Saver {
    store: Store,
    every: Duration,
    next: Option<Timestamp>,
}

impl Saver {
    /// From now on `analysis` notes what changes; it is saved every so often.
    pub(crate) fn new(store: Store, every: Duration, analysis: &mut Analysis) -> Self {
        analysis.keep_track();
        Self { store, every, next: None }
    }

    /// Event time reached `now`: saves when it is due, and before an alert goes out, so that who goes on from the file
    /// knows of each alert that anybody has. Gives back how many records were written.
    pub(crate) fn reached(&mut self, now: Timestamp, analysis: &mut Analysis) -> Result<u64, StoreError> {
        match self.next {
            Some(next) if now < next && !analysis.has_news() => Ok(0),
            None => {
                self.next = Some(now.plus(self.every));
                Ok(0)
            }
            Some(_) => {
                self.next = Some(now.plus(self.every));
                analysis.save(&mut self.store)
            }
        }
    }

    /// Pairs of the index of 400 days that it let go of.
    pub(crate) const fn pruned(&self) -> u64 {
        self.store.pruned()
    }

    /// Saves at once, as at the end.
    pub(crate) fn save(&mut self, analysis: &mut Analysis) -> Result<u64, StoreError> {
        analysis.save(&mut self.store)
    }
}
