//! Observations → findings → alerts: the right side of the waist as one object.
//!
//! For each observation detectors see the profile as it was, then the profile learns. Findings and alerts come out in
//! an order that depends on the observations alone.

use crate::alert::{Alert, Context, Rules, fuse, not_visible};
use crate::base::Timestamp;
use crate::campaign::Campaigns;
use crate::detect::{Detectors, Finding};
use crate::event::{Observation, Uid};
use crate::intel::Intel;
use crate::profile::{Activity, Declared, Profiles};
use std::net::IpAddr;
use std::sync::Arc;

/// Profiles, detectors, campaign and alerts, driven by observations in order and by the end alone.
#[derive(Debug)]
pub(crate) struct Analysis {
    profiles: Profiles,
    detectors: Detectors,
    campaigns: Campaigns,
    /// What the observation at hand means; kept for its memory.
    activities: Vec<Activity>,
    last: Timestamp,
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
        Self {
            profiles: Profiles::new(declared, intel),
            detectors: Detectors::new(rules.detect),
            campaigns: Campaigns::new(rules.campaign),
            activities: Vec::new(),
            last: Timestamp::MIN,
        }
    }

    /// Takes in the next observation; they come ordered by (ts, uid, n).
    pub(crate) fn observe(&mut self, seen: &Observation) {
        self.last = self.last.max(seen.ts);
        self.profiles.read(seen, &mut self.activities);
        self.spread();
    }

    /// The best name of a flow's responder, for its record. Holds until the observation after its `FlowClosed`.
    pub(crate) fn name_of(&self, uid: Uid, orig: IpAddr, resp: IpAddr) -> Option<FlowName<'_>> {
        let (value, source) = self.profiles.name_of(uid, orig, resp, self.last)?;
        Some(FlowName { value, source })
    }

    /// The input ended at `now`: what there is to tell.
    pub(crate) fn finish(&mut self, now: Timestamp) -> Told {
        self.profiles.finish(&mut self.activities);
        self.spread();
        let (usual, beacon) = (&self.profiles, &self.detectors.beacon);
        let mut findings = self.detectors.finish(now, usual);
        let telling = self.campaigns.tell(usual, beacon);
        let counts = usual.counts();
        let watched_s = counts.span.map_or(0.0, |(first, last)| last.secs_since(first));
        let not_visible = not_visible(&counts, watched_s);
        let context = Context { now, usual, beacon, campaigns: &self.campaigns, not_visible };
        let mut alerts = fuse(&telling, &mut findings, &context);
        findings.sort_by(|a, b| (a.first_seen, &a.id).cmp(&(b.first_seen, &b.id)));
        findings.dedup_by(|later, kept| later.id == kept.id);
        alerts.sort_by(|a, b| (a.finding.first_seen, &a.finding.id).cmp(&(b.finding.first_seen, &b.finding.id)));
        alerts.dedup_by(|later, kept| later.finding.id == kept.finding.id);
        Told {
            findings,
            alerts,
            hint: self.detectors.hint(),
            counts: TellingCounts {
                hosts: u64::from(usual.fleet()),
                outbound_flows: counts.outbound_flows,
                nameless_flows: counts.nameless_flows,
                internal_flows: counts.internal_flows,
                evicted: usual
                    .evicted()
                    .saturating_add(self.detectors.evicted())
                    .saturating_add(self.campaigns.evicted()),
            },
        }
    }

    /// Shows what the observation means to everybody it concerns.
    fn spread(&mut self) {
        for activity in self.activities.drain(..) {
            self.detectors.observe(&activity, &self.profiles);
            self.campaigns.observe(&activity, &self.profiles);
        }
    }
}
