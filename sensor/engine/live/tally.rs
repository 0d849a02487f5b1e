//! Alerts as they are told the first time: how many, of which detector, and how late.

use super::lag::Lags;
use crate::alert::{Alert, Status};
use crate::base::Timestamp;
use crate::detect::Severity;
use crate::engine::clock;
use crate::output::{AlertCount, LagStatus};
use std::collections::{BTreeMap, BTreeSet};

/// Which time tells how late an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LagBy {
    /// Packets come as they are sent.
    WallClock,
    /// Files may be years old.
    EventTime,
}

/// What was told so far.
#[derive(Debug)]
pub(super) struct Tally {
    lag_by: LagBy,
    lags: Option<Lags>,
    /// Ids told already; when there are too many, some go.
    known: BTreeSet<Box<str>>,
    alerts: BTreeMap<(&'static str, Severity), u64>,
}

impl Tally {
    pub(super) fn new(lag_by: LagBy) -> Self {
        Self { lag_by, lags: Lags::new(), known: BTreeSet::new(), alerts: BTreeMap::new() }
    }

    /// Counts an alert that is told at event time `event`, unless it was told before or is part of another one now.
    pub(super) fn count(&mut self, alert: &Alert, event: Timestamp) {
        let finding = &alert.finding;
        if alert.status == Status::Absorbed || self.known.contains(&finding.id) {
            return;
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.pop_first();
        }
        self.known.insert(finding.id.clone());
        let count = self.alerts.entry((finding.detector, finding.severity)).or_insert(0);
        *count = count.saturating_add(1);
        let now = match self.lag_by {
            LagBy::WallClock => clock::wall(),
            LagBy::EventTime => event,
        };
        if let Some(lags) = &mut self.lags {
            lags.add(now.secs_since(finding.last_seen));
        }
    }

    /// How many, by detector and severity.
    pub(super) fn alerts(&self) -> Vec<AlertCount> {
        let count = |((detector, severity), count): (&(&str, Severity), &u64)| AlertCount {
            detector: (*detector).to_owned(),
            severity: severity.name().to_owned(),
            count: *count,
        };
        self.alerts.iter().map(count).collect()
    }

    /// How late.
    pub(super) fn lag(&self) -> LagStatus {
        self.lags.as_ref().map(Lags::status).unwrap_or_default()
    }
}

/// Alerts remembered as told; more than the book holds.
const MAX_KNOWN: usize = 40_000;
