//! What people decided about alerts: acknowledged, closed, opened again. The sensor decides what an alert is; a person
//! decides what becomes of it.
//!
//! A decision holds for the severity it was made at: an alert that grew worse since is open again.

use super::answer::Problem;
use super::audit::{self, Action, Audit, Decision};
use super::auth::Caller;
use super::health::Check;
use super::rows::AlertRow;
use crate::base::{Ring, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Decisions that hold, and the log they are written to.
#[derive(Debug)]
pub(super) struct Desk(Mutex<Held>);

#[derive(Debug)]
struct Held {
    audit: Option<Audit>,
    /// As many as people decided about.
    handled: BTreeMap<Box<str>, Handled>,
    recent: Ring<Decision>,
}

/// How an alert stands with people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Handled {
    #[serde(skip)]
    action: Action,
    /// Severity it was decided at.
    #[serde(skip)]
    severity: Box<str>,
    #[serde(rename = "handled_by")]
    by: Box<str>,
    #[serde(rename = "handled_at")]
    at: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    comment: Box<str>,
}

impl Desk {
    /// Takes up the log at `path`; without one nothing can be decided.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut held = Held { audit: None, handled: BTreeMap::new(), recent: Ring::new(MAX_RECENT) };
        if let Some(path) = path {
            held.audit = Some(Audit::open(path, |decision| {
                apply(&mut held.handled, &decision);
                held.recent.push(decision);
            })?);
        }
        Ok(Self(Mutex::new(held)))
    }

    /// Writes a decision down; from then on it holds.
    pub(super) fn decide(
        &self,
        action: Action,
        row: &AlertRow,
        caller: &Caller,
        comment: &str,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let mut held = self.held();
        let before = status(&held.handled, row);
        let stands = match (row.status, before, action) {
            ("open", "open", Action::Reopen) => "it is open",
            ("open", "acknowledged", Action::Acknowledge) => "it is acknowledged already",
            ("open", "closed", Action::Acknowledge) => "it is closed; reopen it first",
            ("open", "closed", Action::Close) => "it is closed already",
            ("open", ..) => "",
            ("allowed", ..) => "an entry of the allow-list answers for it",
            _ => "it became part of another alert",
        };
        if !stands.is_empty() {
            return Err(Problem::Conflict(stands.to_owned()));
        }
        let Some(audit) = &mut held.audit else {
            return Err(Problem::Unwritten("none is configured".to_owned()));
        };
        let decision = Decision {
            time: audit::stamp(now),
            alert: row.id.clone(),
            action,
            actor: caller.name.clone(),
            role: caller.role.name().into(),
            severity: row.severity.into(),
            comment: comment.into(),
            previous: "".into(),
        };
        let written = audit.append(decision).map_err(|e| {
            tracing::error!(error = %e, "the audit log cannot be written");
            Problem::Unwritten(e.kind().to_string())
        })?;
        apply(&mut held.handled, &written);
        held.recent.push(written);
        Ok(())
    }

    /// Its status as shown: the sensor's, and over `open` what a person decided.
    pub(super) fn status(&self, row: &AlertRow) -> &'static str {
        status(&self.held().handled, row)
    }

    /// The rows as they stand, and who made them stand so.
    pub(super) fn shown<'a>(&self, rows: impl Iterator<Item = &'a AlertRow>) -> Vec<(AlertRow, Option<Handled>)> {
        let held = self.held();
        rows.map(|row| {
            let status = status(&held.handled, row);
            let handled = held.handled.get(&*row.id).filter(|_| status != row.status).cloned();
            (AlertRow { status, ..row.clone() }, handled)
        })
        .collect()
    }

    /// The latest decisions, newest first; about one alert or all.
    pub(super) fn decisions(&self, alert: Option<&str>) -> Vec<Decision> {
        let held = self.held();
        held.recent.iter().rev().filter(|d| alert.is_none_or(|id| id == &*d.alert)).cloned().collect()
    }

    /// Whether the log is whole.
    pub(super) fn check(&self) -> Option<Check> {
        let held = self.held();
        let audit = held.audit.as_ref()?;
        Some(Check { name: "audit_log", failing: audit.damage().map(str::to_owned) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(handled: &BTreeMap<Box<str>, Handled>, row: &AlertRow) -> &'static str {
    let level = |name: &str| SEVERITIES.iter().position(|known| *known == name);
    match handled.get(&*row.id) {
        Some(handled) if row.status == "open" && level(row.severity) <= level(&handled.severity) => {
            match handled.action {
                Action::Acknowledge => "acknowledged",
                Action::Close => "closed",
                Action::Reopen => "open",
            }
        }
        _ => row.status,
    }
}

fn apply(handled: &mut BTreeMap<Box<str>, Handled>, decision: &Decision) {
    if decision.action == Action::Reopen {
        handled.remove(&*decision.alert);
        return;
    }
    let now = Handled {
        action: decision.action,
        severity: decision.severity.clone(),
        by: decision.actor.clone(),
        at: decision.time.clone(),
        comment: decision.comment.clone(),
    };
    handled.insert(decision.alert.clone(), now);
}

/// All severities, least first.
pub(super) const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];
/// Decisions shown by the API; all of them are in the file.
const MAX_RECENT: usize = 1000;
