//! Observations → findings → alerts: the right side of the waist as one object.
//!
//! For each observation detectors see the profile as it was, then the profile learns. Findings and alerts come out in
//! an order that depends on the observations alone.

use crate::alert::{Alert, Rules};
use crate::base::Timestamp;
use crate::detect::Finding;
use crate::event::{Observation, Uid};
use crate::intel::Intel;
use crate::profile::Declared;
use std::net::IpAddr;
use std::sync::Arc;

/// Profiles, detectors, campaign and alerts, driven by observations in order and by the end alone.
pub(crate) struct Analysis {
    declared: Arc<Declared>,
    intel: Arc<Intel>,
    rules: Rules,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// By first_seen, then id; one an id.
    pub(crate) findings: Vec<Finding>,
    /// Likewise.
    pub(crate) alerts: Vec<Alert>,
    pub(crate) counts: TellingCounts,
    /// An inside host that behaves like a controller of others, when nobody declared what is inside; in words.
    pub(crate) hint: Option<String>,
}

/// What the right side counted, for the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TellingCounts {
    /// Addresses of the site that took part in a flow.
    pub(crate) hosts: u64,
    /// Flows to the outside.
    pub(crate) outbound_flows: u64,
    /// Of these, those whose responder had no name, from the wire or from a look-up.
    pub(crate) nameless_flows: u64,
    /// Flows between two hosts of the site; with none, lateral movement cannot be seen.
    pub(crate) internal_flows: u64,
    /// Entries that made room for others, over all tables.
    pub(crate) evicted: u64,
}

/// The best name of a flow's responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowName<'a> {
    pub(crate) value: &'a str,
    /// `sni`, `http` or `dns`.
    pub(crate) source: &'static str,
}

impl Analysis {
    pub(crate) fn new(declared: Arc<Declared>, intel: Arc<Intel>, rules: Rules) -> Self {
        Self { declared, intel, rules }
    }

    /// Takes in the next observation; they come ordered by (ts, uid, n).
    pub(crate) fn observe(&mut self, _seen: &Observation) {}

    /// The best name of a flow's responder, for its record. Holds until the observation after its `FlowClosed`.
    pub(crate) fn name_of(&self, _uid: Uid, _orig: IpAddr, _resp: IpAddr) -> Option<FlowName<'_>> {
        None
    }

    /// The input ended at `now`: what there is to tell.
    pub(crate) fn finish(&mut self, _now: Timestamp) -> Told {
        Told::default()
    }
}
