//! The service manager (`sd_notify(3)`): ready, reloading, alive, and a line of status. Without one nothing happens.

use sd_notify::NotifyState;
use std::time::Duration;

/// What the service manager hears.
#[derive(Debug)]
pub(crate) struct Service {
    /// It restarts us when it hears nothing for this long.
    patience: Option<Duration>,
    /// How far the pipeline was when we last said that we live.
    moved: u64,
}

impl Service {
    /// As the environment tells.
    pub(crate) fn new() -> Self {
        Self { patience: sd_notify::watchdog_enabled(), moved: 0 }
    }

    /// Rings are open, rules are read: the unit counts as started.
    pub(crate) fn ready(&self, status: &str) {
        say(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// A reload begins; [`Service::ready`] ends it, whatever came of it.
    pub(crate) fn reloading(&self) {
        // Newer service managers want to know since when; without it they would take the reload for failed.
        match NotifyState::monotonic_usec_now() {
            Ok(since) => say(&[NotifyState::Reloading, since]),
            Err(_) => say(&[NotifyState::Reloading]),
        }
    }

    /// What `systemctl status` shows.
    pub(crate) fn status(&self, status: &str) {
        say(&[NotifyState::Status(status)]);
    }

    /// Stopping has begun; it may take as long as the unit allows.
    pub(crate) fn stopping(&self) {
        say(&[NotifyState::Stopping]);
    }

    /// Feeds the watchdog, if the pipeline has moved since: `progress` is any count that grows while it works, with or
    /// without traffic. A pipeline that stands still starves it, and the service manager restarts the sensor.
    pub(crate) fn alive(&mut self, progress: u64) {
        if self.patience.is_some() && progress != self.moved {
            self.moved = progress;
            say(&[NotifyState::Watchdog]);
        }
    }
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}
