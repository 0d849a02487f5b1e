//! The only wall clock. It times the run for the summary, says what day it is to who lints a list of expiries, and lets
//! time pass on a quiet live link; nothing that is decided about traffic depends on it.

use crate::base::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// How long something took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that may look at the clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[expect(clippy::disallowed_methods, reason = "the one place that may look at the clock")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The moment it is, to the nanosecond: what live packets are stamped with.
#[expect(clippy::disallowed_methods, reason = "the one place that may look at the clock")]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    as_set(Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)))
}

/// A kernel's stamp, as it would be on a machine whose clock was set meanwhile: in tests alone it ever was.
pub(super) fn as_set(stamp: Timestamp) -> Timestamp {
    if cfg!(debug_assertions) { Timestamp(stamp.0.saturating_add(SET_BY.load(Ordering::Relaxed))) } else { stamp }
}

/// As if somebody had set the machine's clock by so many nanoseconds.
pub(super) fn set_by(ns: i64) {
    SET_BY.store(ns, Ordering::Relaxed);
}

static SET_BY: AtomicI64 = AtomicI64::new(0);

/// The moment it is; before 1970 on a machine whose clock is lost.
#[expect(clippy::disallowed_methods, reason = "the one place that may look at the clock")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
