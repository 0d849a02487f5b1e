//! Saves what is known now and then, by event time: a live sensor every minute, a long learning run every hour. Once a week
//! what was saved last is kept as a snapshot, before anything is learned on top of it.

use super::analysis::Analysis;
use super::snapshots::{self, WEEK};
use super::store::{Store, StoreError};
use crate::base::Timestamp;
use std::time::Duration;

/// A store and when it is due.
pub(crate) struct Saver {
    store: Store,
    every: Duration,
    next: Option<Timestamp>,
    /// Of what the store holds; `None` while it holds nothing.
    saved: Option<Timestamp>,
    /// Of the newest snapshot, or when watching for a week began.
    kept: Option<Timestamp>,
    now: Timestamp,
}

impl Saver {
    /// From now on `analysis` notes what changes; it is saved every so often.
    pub(crate) fn new(store: Store, every: Duration, analysis: &mut Analysis) -> Result<Self, StoreError> {
        analysis.keep_track();
        let kept = snapshots::newest(store.path())?.map(|snapshot| snapshot.time);
        Ok(Self { store, every, next: None, saved: analysis.seen_until(), kept, now: Timestamp::MIN })
    }

    /// Event time reached `now`: saves when it is due, and before an alert goes out, so that who goes on from the file
    /// knows of each alert that anybody has. Gives back how many records were written.
    pub(crate) fn reached(&mut self, now: Timestamp, analysis: &mut Analysis) -> Result<u64, StoreError> {
        self.now = self.now.max(now);
        match self.next {
            Some(next) if now < next && !analysis.has_news() => Ok(0),
            None => {
                self.next = Some(now.plus(self.every));
                // What an earlier run left is worth keeping before this one adds to it.
                self.keep_week(now)?;
                self.kept = self.kept.or(Some(now));
                Ok(0)
            }
            Some(_) => {
                self.next = Some(now.plus(self.every));
                self.save(analysis)
            }
        }
    }

    /// Pairs of the index of 400 days that it let go of.
    pub(crate) const fn pruned(&self) -> u64 {
        self.store.pruned()
    }

    /// Saves at once, as at the end.
    pub(crate) fn save(&mut self, analysis: &mut Analysis) -> Result<u64, StoreError> {
        let kept = self.keep_week(self.now);
        let records = analysis.save(&mut self.store)?;
        self.saved = analysis.seen_until();
        // What cannot be kept is no reason not to save.
        kept.map(|()| records)
    }

    /// Keeps what the store holds when the newest snapshot is a week old.
    fn keep_week(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Some(saved) = self.saved else { return Ok(()) };
        if self.kept.is_some_and(|kept| now.since(kept) < WEEK) {
            return Ok(());
        }
        snapshots::keep(&self.store, saved)?;
        self.kept = Some(saved);
        Ok(())
    }
}
