//! What the analysis thread shows and the API reads.
//!
//! Alerts and findings are lists that are replaced as a whole once a step: a reader holds the list it took. Hosts and
//! destinations are tables of many shards, each locked for the moment of one change or one copy. All are as large as the
//! bounded tables they mirror.

use super::health::Probe;
use super::rows::{AlertEntry, DestinationRow, FindingEntry, HostEntry};
use dashmap::DashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A value that one thread replaces and others read.
#[derive(Debug)]
pub(crate) struct Published<T>(Mutex<Arc<T>>);

impl<T: Default> Default for Published<T> {
    fn default() -> Self {
        Self(Mutex::new(Arc::default()))
    }
}

impl<T> Published<T> {
    /// What is published now.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it. Whoever holds the old value keeps it.
    pub(crate) fn set(&self, value: T) {
        let value = Arc::new(value);
        let old = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), value);
        // Freed here, after the lock is gone.
        drop(old);
    }
}

/// Everything the API shows.
pub(crate) struct Shared {
    /// Newest first, by (time, id).
    pub(crate) alerts: Published<Vec<Arc<AlertEntry>>>,
    /// Likewise.
    pub(crate) findings: Published<Vec<Arc<FindingEntry>>>,
    /// By the number a host has in this run.
    pub(crate) hosts: DashMap<u32, Arc<HostEntry>>,
    /// By the number an owner has in this run.
    pub(crate) destinations: DashMap<u32, Arc<DestinationRow>>,
    /// What the sensor says of itself.
    pub(crate) probe: Box<dyn Probe>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({} hosts, {} destinations)", self.hosts.len(), self.destinations.len())
    }
}

impl Shared {
    /// Nothing to show yet, but for what `probe` says.
    pub(crate) fn new(probe: Box<dyn Probe>) -> Self {
        Self {
            alerts: Published::default(),
            findings: Published::default(),
            hosts: DashMap::new(),
            destinations: DashMap::new(),
            probe,
        }
    }
}
