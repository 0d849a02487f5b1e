//! Faults on demand: what chance alone brings a running sensor, brought about by tests of what it does then
//! (`tests/live/injected.rs`). Debug builds only: a released sensor has no flag for it, and what asks here is compiled
//! away.
//!
//! A file says which, one a line: `packet N` and `observation N` panic when the N-th is read, `detector STEM` panics at
//! whatever it is asked, `clock SECONDS` is how far the machine's clock was set. The clock is looked at again once a
//! second, as the interfaces are.

use super::clock;
use std::path::PathBuf;

/// What is to go wrong; nothing, unless a test wants it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inject {
    path: Option<PathBuf>,
    packet: Option<u64>,
    observation: Option<u64>,
    #[cfg(debug_assertions)]
    detector: Option<String>,
}

impl Inject {
    /// Reads what is to go wrong.
    #[cfg(debug_assertions)]
    pub(crate) fn read(path: &std::path::Path) -> std::io::Result<Self> {
        let mut inject = Self { path: Some(path.to_owned()), ..Self::default() };
        for line in std::fs::read_to_string(path)?.lines() {
            match line.split_once(' ') {
                Some(("packet", n)) => inject.packet = n.parse().ok(),
                Some(("observation", n)) => inject.observation = n.parse().ok(),
                Some(("detector", stem)) => inject.detector = Some(stem.to_owned()),
                _ => {}
            }
        }
        Ok(inject)
    }

    /// Sets the clock as the file says now.
    pub(super) fn look(&self) {
        let Some(path) = self.path.as_ref().filter(|_| cfg!(debug_assertions)) else { return };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let by = text.lines().find_map(|line| line.strip_prefix("clock ")?.parse::<i64>().ok());
        clock::set_by(by.unwrap_or(0).saturating_mul(1_000_000_000));
    }

    /// The packet of this number is being read.
    pub(super) fn at_packet(&self, number: u64) {
        strike(self.packet == Some(number));
    }

    /// The observation of this number is being analysed.
    pub(super) fn at_observation(&self, number: u64) {
        strike(self.observation == Some(number));
    }

    /// The detector that is broken.
    #[cfg(debug_assertions)]
    pub(super) fn detector(&self) -> Option<&str> {
        self.detector.as_deref()
    }
}

#[expect(clippy::panic, reason = "that is what it is for; never in a release")]
fn strike(now: bool) {
    if cfg!(debug_assertions) && now {
        panic!("a fault that was injected");
    }
}
