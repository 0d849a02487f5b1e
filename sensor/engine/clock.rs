//! The only wall clock. It times the run for the summary, says what day it is to who lints a list of expiries, and lets
//! time pass on a quiet live link; nothing that is decided about traffic depends on it.

use crate::base::Timestamp;
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
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The moment it is; before 1970 on a machine whose clock is lost.
#[expect(clippy::disallowed_methods, reason = "the one place that may look at the clock")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
