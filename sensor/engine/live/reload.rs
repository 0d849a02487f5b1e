//! SIGHUP → what the operator wrote is read anew → the analysis follows it between two batches.
//!
//! Reading takes a thread of its own and as long as it takes; packets go on with what is in force. What is wrong or
//! implausible changes nothing. Capture, places and limits are fixed when the sensor starts: what changed there is told.

use crate::alert::Rules;
use crate::config::{Loaded, Renewed, Written};
use crate::engine::clock;
use crate::engine::receivers::Receivers;
use crate::engine::service::Service;
use crate::intel::Intel;
use crate::output::{Board, ConfigStatus, FeedStatus};
use crate::profile::Declared;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

/// Who is asked to read anew, and what.
#[derive(Clone, Debug)]
pub(crate) struct Reloading {
    pub(crate) written: Written,
    /// Set by the signal.
    pub(crate) asked: Arc<AtomicBool>,
}

/// What the analysis is to follow.
pub(super) struct Change {
    pub(super) declared: Arc<Declared>,
    pub(super) intel: Arc<Intel>,
    pub(super) rules: Rules,
}

/// A change on its way to the analysis.
#[derive(Default)]
pub(super) struct Slot {
    change: Mutex<Option<Change>>,
    full: AtomicBool,
}

impl Slot {
    /// The change that waits, if any.
    pub(super) fn take(&self) -> Option<Change> {
        if !self.full.load(Ordering::Acquire) {
            return None;
        }
        let change = self.change.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.full.store(false, Ordering::Release);
        change
    }

    fn put(&self, change: Change) {
        *self.change.lock().unwrap_or_else(PoisonError::into_inner) = Some(change);
        self.full.store(true, Ordering::Release);
    }
}

/// The thread that reads anew.
pub(super) struct Reloader<'a> {
    pub(super) reloading: &'a Reloading,
    pub(super) slot: &'a Slot,
    pub(super) receivers: &'a Receivers,
    pub(super) board: &'a Board,
}

impl Reloader<'_> {
    /// Waits to be asked until the run has ended. `loaded` is in force.
    pub(super) fn run(&self, mut loaded: Loaded, ended: &AtomicBool) {
        let service = Service::new();
        while !ended.load(Ordering::Relaxed) {
            thread::park_timeout(GLANCE);
            if !self.reloading.asked.swap(false, Ordering::Relaxed) {
                continue;
            }
            service.reloading();
            // Whatever is wrong with a file, the sensor goes on as it was.
            let read = catch_unwind(AssertUnwindSafe(|| self.renew(&loaded, ended)));
            let read = read.unwrap_or_else(|_| Err("reading it panicked; this is a bug, please report it".to_owned()));
            match read {
                Ok(Renewed { loaded: new, needs_restart }) => {
                    loaded = new;
                    self.told(&loaded, &needs_restart);
                    service.ready("capturing; configuration reloaded");
                }
                Err(why) => {
                    tracing::error!(why, "the configuration was not reloaded, what was in force stays in force");
                    self.board.update(|status| {
                        status.config.is_current = false;
                        status.config.refused = status.config.refused.saturating_add(1);
                        status.config.why = Some(why.clone());
                    });
                    service.ready(&format!("capturing; configuration NOT reloaded: {why}"));
                }
            }
        }
    }

    /// Reads, changes the outputs and hands the rest to the analysis, which has taken it when this ends well.
    fn renew(&self, loaded: &Loaded, ended: &AtomicBool) -> Result<Renewed, String> {
        let renewed = loaded.renew(&self.reloading.written).map_err(|refused| refused.to_string())?;
        let new = &renewed.loaded;
        self.receivers.replace(&new.config.outputs).map_err(|e| e.to_string())?;
        let (declared, intel) = (Arc::clone(&new.declared), Arc::clone(&new.intel));
        self.slot.put(Change { declared, intel, rules: new.rules.clone() });
        while self.slot.full.load(Ordering::Acquire) {
            if ended.load(Ordering::Relaxed) {
                return Err("the sensor stops".to_owned());
            }
            thread::park_timeout(GLANCE);
        }
        Ok(renewed)
    }

    fn told(&self, loaded: &Loaded, needs_restart: &[&'static str]) {
        let (rules, rows) = (loaded.enabled(), loaded.rows.iter().map(|(_, rows)| rows).sum::<usize>());
        tracing::info!(rules, rows, outputs = loaded.config.outputs.len(), "configuration reloaded");
        if !needs_restart.is_empty() {
            tracing::warn!(changed = needs_restart.join(", "), "takes effect when the sensor is restarted");
        }
        self.board.update(|status| {
            let (reloads, refused) = (status.config.reloads.saturating_add(1), status.config.refused);
            let needs_restart = needs_restart.iter().map(|&part| part.to_owned()).collect();
            status.config = ConfigStatus { reloads, refused, needs_restart, ..in_force(loaded) };
        });
    }
}

/// What the board says of a configuration that was read just now.
pub(super) fn in_force(loaded: &Loaded) -> ConfigStatus {
    let (shipped, own) = loaded.rules.origins();
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let now = clock::wall().0;
    let written = |name: &str| {
        let folder = loaded.config.parts.paths.intel.as_deref()?;
        let since = fs::metadata(folder.join(name)).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_nanos()).ok()
    };
    let feed = |(name, rows): &(String, usize)| FeedStatus {
        name: name.clone(),
        rows: count(*rows),
        read_ns: written(name).unwrap_or(now),
    };
    ConfigStatus {
        is_current: true,
        loaded_ns: now,
        rules: loaded.rules.digest(),
        shipped_rules: count(shipped),
        own_rules: count(own),
        feeds: loaded.rows.iter().map(feed).collect(),
        ..ConfigStatus::default()
    }
}

/// Between two looks at whether somebody asked.
const GLANCE: Duration = Duration::from_millis(50);
