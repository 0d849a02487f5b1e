//! The web side of a live sensor: windows onto the analysis, what must hold, and where it listens.

use super::gauges::Gauges;
use super::live::Batches;
use super::receivers::Receivers;
use super::shown::{Counters, Windows};
use crate::api::{self, ApiError, Check, Probe, Published, Running, Settings, Shared};
use crate::config::Loaded;
use crate::intel::destination_classes;
use crate::output::metrics::{Configured, Counts};
use crate::output::{Board, OutputStatus, Phase};
use std::sync::Arc;

/// The web side at work; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Web {
    /// Where the analysis shows what it sees.
    pub(crate) windows: Windows,
    /// Stems of rules in the order of the metrics' labels.
    pub(crate) detectors: Vec<Box<str>>,
    pub(crate) batches: Batches,
    _running: Running,
}

/// The sensor that is shown.
pub(crate) struct Watched<'a> {
    pub(crate) interfaces: &'a [String],
    pub(crate) loaded: &'a Loaded,
    pub(crate) receivers: Receivers,
    pub(crate) board: &'a Board,
}

/// Listens for readers of a sensor.
pub(crate) fn web(settings: &Settings, of: &Watched<'_>) -> Result<Web, ApiError> {
    let detectors: Vec<Box<str>> = of.loaded.rules.texts().map(|(stem, _)| stem.into()).collect();
    let outputs = of.loaded.config.outputs.iter().map(|output| output.name.clone());
    let configured = Configured {
        interfaces: of.interfaces.iter().map(|name| name.as_str().into()).collect(),
        detectors: detectors.clone(),
        // The records in the log folder come first.
        outputs: std::iter::once(LOG.into()).chain(outputs).collect(),
        feeds: of.loaded.rows.iter().map(|(name, _)| name.as_str().into()).collect(),
        classes: destination_classes().iter().map(|class| (*class).into()).collect(),
    };
    let watch = Watch { board: of.board.clone(), receivers: of.receivers.clone() };
    let shared = Arc::new(Shared::new(Box::new(watch)));
    let counters: Arc<Published<Counters>> = Arc::default();
    let batches = Batches::default();
    let gauges = Gauges::new(of.board.clone(), of.receivers.clone(), batches.clone());
    let sources: Vec<Arc<dyn Counts>> = vec![Arc::clone(&counters) as Arc<dyn Counts>, Arc::new(gauges)];
    let running = api::start(settings, Arc::clone(&shared), configured, sources)?;
    tracing::info!(address = %running.address, "listening");
    Ok(Web { windows: Windows { shared, counters }, detectors, batches, _running: running })
}

/// What must hold, and what the sensor says of itself.
struct Watch {
    board: Board,
    receivers: Receivers,
}

impl Probe for Watch {
    fn checks(&self) -> Vec<Check> {
        let status = self.board.read();
        let down: Vec<&str> = status.interfaces.iter().filter(|i| !i.up).map(|i| i.name.as_str()).collect();
        let capture = match status.phase {
            Phase::Capturing if down.is_empty() => None,
            Phase::Capturing => Some(format!("down: {}", down.join(", "))),
            Phase::Starting => Some("not captured from yet".to_owned()),
            Phase::Stopping | Phase::Stopped => Some("no longer captured from".to_owned()),
        };
        let trouble = |output: OutputStatus| output.trouble.map(|trouble| format!("{}: {trouble}", output.name));
        let mut failing: Vec<String> = self.receivers.status().into_iter().filter_map(trouble).collect();
        let (.., unsaved) = self.receivers.queue();
        if unsaved > 0 {
            failing.push(format!("{unsaved} alerts are in memory only, the disk takes none"));
        }
        vec![
            Check { name: "capture", failing: capture },
            Check { name: "config", failing: status.config.why },
            Check { name: "log", failing: status.log.failing },
            Check { name: "outputs", failing: (!failing.is_empty()).then(|| failing.join("; ")) },
        ]
    }

    fn status(&self) -> serde_json::Value {
        serde_json::to_value(self.board.read()).unwrap_or_default()
    }
}

/// The records in the log folder, as an output.
pub(super) const LOG: &str = "log";
