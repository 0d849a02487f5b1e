//! The outputs of a running sensor, shared by who tells alerts, who counts them and who changes the configuration.

use crate::alert::Alert;
use crate::output::{Output, OutputStatus, Outputs, SinkError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where alerts go besides the log; nowhere without a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receivers(Arc<Mutex<Option<Outputs>>>);

impl Receivers {
    pub(crate) fn new(outputs: Outputs) -> Self {
        Self(Arc::new(Mutex::new(Some(outputs))))
    }

    /// Tells an alert; never waits for a receiver.
    pub(crate) fn tell(&self, alert: &Alert) {
        if let Some(outputs) = &*self.held() {
            outputs.tell(alert.clone());
        }
    }

    /// Makes `outputs` the ones that run. On an error nothing changes.
    pub(crate) fn replace(&self, outputs: &[Output]) -> Result<(), SinkError> {
        self.held().as_mut().map_or(Ok(()), |running| running.replace(outputs))
    }

    /// How each does.
    pub(crate) fn status(&self) -> Vec<OutputStatus> {
        self.held().as_ref().map(Outputs::status).unwrap_or_default()
    }

    /// Alerts that wait for the outbox, that it had no room for, and that are not on disk because that is full.
    pub(crate) fn queue(&self) -> (u64, u64, u64) {
        self.held().as_ref().map(Outputs::queue).unwrap_or_default()
    }

    /// Ends them; what a receiver did not take within `grace` is delivered after the next start.
    pub(crate) fn stop(&self, grace: Duration) {
        let outputs = self.held().take();
        if let Some(outputs) = outputs {
            outputs.stop(grace);
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Outputs>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
