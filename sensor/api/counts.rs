//! What the web side counts itself: requests, and how many alerts stand open now.

use super::desk::{Desk, SEVERITIES};
use super::shared::Shared;
use crate::output::metrics::{Code, Configured, Counts, Detector, Handler, Latency, Level, Metrics};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Requests by what was asked for and how it was answered.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Answered>);

#[derive(Debug, Default)]
struct Answered {
    counts: BTreeMap<(Handler, Code), u64>,
    took: BTreeMap<Handler, Latency>,
}

impl Requests {
    /// Counts one.
    pub(super) fn answered(&self, handler: Handler, status: u16, took: Duration) {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = answered.counts.entry((handler, Code::of(status))).or_default();
        *count = count.saturating_add(1);
        answered.took.entry(handler).or_default().record(took);
    }
}

impl Counts for Requests {
    fn fill(&self, _: &Configured, into: &mut Metrics) {
        let answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((handler, code), count) in &answered.counts {
            into.http_requests_total.count((*handler, *code), *count);
        }
        for (handler, took) in &answered.took {
            into.http_request_duration_seconds.set((*handler,), took);
        }
    }
}

/// What a path asks for.
pub(super) fn handler(path: &str) -> Handler {
    let Some(of) = path.strip_prefix("/api/v1/") else {
        return match path {
            "/metrics" => Handler::Metrics,
            "/-/healthy" | "/-/ready" | "/healthz" | "/readyz" => Handler::Health,
            _ => Handler::Other,
        };
    };
    match of.split('/').next().unwrap_or_default() {
        "alerts" => Handler::Alerts,
        "findings" => Handler::Findings,
        "hosts" => Handler::Hosts,
        "destinations" => Handler::Destinations,
        "graph" => Handler::Graph,
        "status" => Handler::Status,
        "openapi.json" => Handler::Document,
        _ => Handler::Other,
    }
}

/// Alerts that nobody has acknowledged, closed or allowed.
pub(super) struct OpenAlerts {
    pub(super) shared: Arc<Shared>,
    pub(super) desk: Arc<Desk>,
}

impl Counts for OpenAlerts {
    fn fill(&self, labels: &Configured, into: &mut Metrics) {
        for alert in self.shared.alerts.get().iter() {
            let row = &alert.row;
            if self.desk.status(row) != "open" {
                continue;
            }
            let detector = labels.detectors.iter().position(|known| **known == *row.detector);
            if let (Some(at), Some(level)) = (detector, level(row.severity)) {
                into.alerts_open.add((Detector(at), level), 1);
            }
        }
    }
}

/// The label of a severity.
fn level(severity: &str) -> Option<Level> {
    let at = SEVERITIES.iter().position(|known| *known == severity)?;
    [Level::Info, Level::Low, Level::Medium, Level::High, Level::Critical].get(at).copied()
}
