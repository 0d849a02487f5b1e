//! Claims for tests, of which a test sets what it is about.

use crate::base::{Text, Timestamp};
use crate::campaign::{Advice, DestinationKind, ScopeDestination};
use crate::detect::{Finding, Severity};

pub(super) fn finding(id: &str, detector: &'static str, severity: Severity) -> Finding {
    Finding {
        id: id.into(),
        detector,
        time: Timestamp(0),
        first_seen: Timestamp(0),
        last_seen: Timestamp(0),
        severity,
        score: 0.5,
        p: None,
        title: Text::verbatim("t"),
        explanation: Text::verbatim("e"),
        attack: Vec::new(),
        entities: Vec::new(),
        reasons: Vec::new(),
        uids: Vec::new(),
    }
}

pub(super) fn destination(value: &str, advice: Advice) -> ScopeDestination {
    ScopeDestination {
        value: value.into(),
        kind: DestinationKind::Name,
        ips: Vec::new(),
        first_seen: Timestamp(0),
        last_seen: Timestamp(0),
        hosts: 1,
        bytes_out: 0,
        collateral_hosts: 0,
        advice,
    }
}
