//! The only wall clock. It times the run for the summary; nothing that is decided depends on it.

use std::time::{Duration, Instant};

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
