//! How many may be connected, and who has to leave when it is one too many.
//!
//! Whoever connects is let in; when the house is full, the one that has been idle longest leaves, so ten thousand
//! connections that never ask anything cannot keep a scraper out. Who is being answered stays.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::AbortHandle;

/// The connections that are open.
#[derive(Debug)]
pub(super) struct Connections {
    limit: usize,
    open: Mutex<Open>,
    evicted: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// In the order they came.
    slots: BTreeMap<u64, Slot>,
}

#[derive(Debug)]
struct Slot {
    busy: Arc<Busy>,
    task: AbortHandle,
}

/// Whether a connection's request is being answered.
#[derive(Debug, Default)]
pub(super) struct Busy(AtomicBool);

impl Busy {
    /// Says whether it is.
    pub(super) fn set(&self, busy: bool) {
        self.0.store(busy, Ordering::Relaxed);
    }
}

/// Takes a connection off the list when its task ends, however it ends.
struct Leaving {
    id: u64,
    of: Arc<Connections>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.of.open().slots.remove(&self.id);
    }
}

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let open = Mutex::new(Open::default());
        Arc::new(Self { limit, open, evicted: AtomicU64::new(0), refused: AtomicU64::new(0) })
    }

    /// Lets a connection in: `serve` runs until it ends or has to leave.
    pub(super) fn enter<F: Future<Output = ()> + Send + 'static>(self: &Arc<Self>, serve: impl FnOnce(Arc<Busy>) -> F) {
        let mut open = self.open();
        if open.slots.len() >= self.limit {
            let idle = open.slots.iter().find(|(_, slot)| !slot.busy.0.load(Ordering::Relaxed)).map(|(id, _)| *id);
            let Some(slot) = idle.and_then(|id| open.slots.remove(&id)) else {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return;
            };
            slot.task.abort();
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        let id = open.next;
        open.next = id.wrapping_add(1);
        let busy = Arc::new(Busy::default());
        let serving = serve(Arc::clone(&busy));
        let leaving = Leaving { id, of: Arc::clone(self) };
        // The list is locked until the task is on it, so the task cannot leave before.
        let task = tokio::spawn(async move {
            let _leaving = leaving;
            serving.await;
        });
        open.slots.insert(id, Slot { busy, task: task.abort_handle() });
    }

    /// Connections that are open, had to leave, were turned away because everybody was being answered.
    pub(super) fn counts(&self) -> [u64; 3] {
        let open = u64::try_from(self.open().slots.len()).unwrap_or(u64::MAX);
        [open, self.evicted.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed)]
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
