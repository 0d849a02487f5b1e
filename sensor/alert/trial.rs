//! An alert that says nothing happened: to see whether outputs deliver.

use super::{Alert, Kind, Status};
use crate::base::{Timestamp, say};
use crate::detect::{Entity, Finding, Role, Severity};

/// A test alert of this moment and severity.
pub(crate) fn trial(now: Timestamp, severity: Severity) -> Alert {
    let finding = Finding {
        id: format!("test-{}", now.secs()).into(),
        detector: "test",
        time: now,
        first_seen: now,
        last_seen: now,
        severity,
        score: 0.0,
        p: None,
        title: say!("trial.title"),
        explanation: say!("trial.why"),
        attack: Vec::new(),
        entities: vec![Entity { role: Role::Destination, ip: None, name: Some("test.example".into()) }],
        reasons: Vec::new(),
        uids: Vec::new(),
    };
    Alert {
        finding,
        kind: Kind::Notice,
        tier: 4,
        status: Status::Open,
        absorbed_by: None,
        allowed: None,
        scope: None,
        not_visible: Vec::new(),
    }
}
