//! Observations → findings → alerts: the right side of the waist as one object.
//!
//! For each observation detectors see the profile as it was, then the profile learns. Every five minutes of event time,
//! before the first observation at or after a multiple of it, what was touched is weighed and told; so what is told, and
//! when, depends on the observations alone.

use crate::alert::{Alert, AllowList, Book, Context, Rules};
use crate::base::{Table, Timestamp};
use crate::campaign::{Campaigns, Telling};
use crate::detect::{Checked, Detectors, Finding, RuleError, Said, Scorer, Which};
use crate::event::{FlowRecord, Observation, Uid};
use crate::intel::Intel;
use crate::output::Identities;
use crate::profile::{Activity, Declared, Network, Profiles, Sight};
use std::sync::Arc;

/// Profiles, detectors, campaign and alerts, driven by observations in order and by the end alone.
#[derive(Debug)]
pub(crate) struct Analysis {
    profiles: Profiles,
    detectors: Detectors,
    scorer: Scorer,
    campaigns: Campaigns,
    book: Book,
    allow: AllowList,
    /// What the observation at hand means; kept for its memory.
    activities: Vec<Activity>,
    said: Said,
    /// Alerts that are new or changed since they were last taken.
    fresh: Vec<Alert>,
    last: Timestamp,
    /// The step that comes next.
    next: Timestamp,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// By first_seen, then id; one an id.
    pub(crate) findings: Vec<Finding>,
    /// Likewise.
    pub(crate) alerts: Vec<Alert>,
    pub(crate) counts: TellingCounts,
    /// All tables of the right side.
    pub(crate) tables: Vec<Table>,
    pub(crate) identity: Identities,
    /// What could be seen: all, by input, of the busiest networks.
    pub(crate) sight: Sight,
    pub(crate) inputs: Vec<Sight>,
    pub(crate) networks: Vec<Network>,
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
}

/// The best name of a flow's responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowName<'a> {
    pub(crate) value: &'a str,
    /// `sni`, `http` or `dns`.
    pub(crate) source: &'static str,
}

impl Analysis {
    pub(crate) fn new(declared: Arc<Declared>, intel: Arc<Intel>, rules: &Rules) -> Result<Self, RuleError> {
        let (detectors, scorer, campaign) = rules.build()?;
        Ok(Self {
            profiles: Profiles::new(declared, intel),
            detectors,
            scorer,
            campaigns: Campaigns::new(campaign),
            book: Book::new(),
            allow: rules.allow.clone(),
            activities: Vec::new(),
            said: Said::default(),
            fresh: Vec::new(),
            last: Timestamp::MIN,
            next: Timestamp::MIN,
        })
    }

    /// Takes in the next observation; they come ordered by (ts, uid, n).
    pub(crate) fn observe(&mut self, seen: &Observation) {
        if seen.ts >= self.next {
            self.step(seen.ts);
        }
        self.last = self.last.max(seen.ts);
        self.profiles.read(seen, &mut self.activities);
        self.spread();
    }

    /// All tables of the right side as they stand.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let mut all = self.profiles.tables();
        all.extend(self.detectors.tables());
        all.push(self.scorer.table());
        all.extend(self.campaigns.tables());
        all.extend(self.book.tables());
        all
    }

    /// How fair the p-values of host-days were, by class of peers.
    pub(crate) fn checked(&self) -> impl Iterator<Item = (u32, Checked)> {
        self.scorer.checked()
    }

    /// Alerts that are new, changed or absorbed since the last call.
    pub(crate) fn fresh(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.fresh)
    }

    /// The best name of a flow's responder, for its record. Holds until the observation after its `FlowClosed`.
    pub(crate) fn name_of(&self, uid: Uid, flow: &FlowRecord) -> Option<FlowName<'_>> {
        let (value, source) = self.profiles.name_of(uid, flow)?;
        Some(FlowName { value, source })
    }

    /// The names that look-ups gave a flow's responder, when they are several. Holds as long.
    pub(crate) fn names_of(&self, uid: Uid, flow: &FlowRecord) -> Vec<&str> {
        self.profiles.names_of_flow(uid, flow)
    }

    /// The input ended at `now`: what there is to tell.
    pub(crate) fn finish(mut self, now: Timestamp) -> Told {
        self.profiles.finish(&mut self.activities);
        self.spread();
        self.detectors.say(Which::All, now, &self.profiles, &mut self.said);
        self.score(now);
        let telling = self.campaigns.finish(now, &self.profiles, &self.detectors.beacon);
        self.tell(now, Some(telling));
        let usual = &self.profiles;
        let counts = usual.counts();
        let hint = self.detectors.hint(usual);
        let tables = self.tables();
        let counts = TellingCounts {
            hosts: u64::from(usual.fleet()),
            outbound_flows: counts.outbound_flows,
            nameless_flows: counts.nameless_flows,
            internal_flows: counts.internal_flows,
        };
        let (known, joins, unsteady) = usual.identities();
        let identity = Identities {
            moves: known.moves,
            conflicts: known.conflicts,
            disbelieved: known.disbelieved,
            joined: known.joined,
            joins: joins.into_iter().map(|join| (join.v4, join.v6, join.trust.name())).collect(),
            unsteady,
            disagreements: usual.disagreements().into_iter().map(|d| (d.ip, d.declared, d.seen)).collect(),
            shared: usual.shared().into_iter().filter_map(|(id, by)| Some((usual.address(id)?, by.name()))).collect(),
        };
        let seen = usual.visibility();
        let (sight, inputs, networks) = (*seen.whole(), seen.inputs().to_vec(), seen.networks(MAX_NETWORKS));
        let context = context(now, usual, &self.detectors, &self.campaigns, &self.allow);
        let (findings, alerts) = self.book.close(&context);
        Told { findings, alerts, hint, counts, tables, identity, sight, inputs, networks }
    }

    /// Event time passed one or more multiples of `STEP`: the latest of them is told. Between two observations nothing
    /// is touched, so the others would have nothing to say.
    fn step(&mut self, ts: Timestamp) {
        let now = Timestamp::from_secs(ts.secs().div_euclid(STEP_S).saturating_mul(STEP_S));
        if self.next != Timestamp::MIN {
            self.profiles.advance(now, &mut self.activities);
            self.spread();
            self.detectors.say(Which::Untold, now, &self.profiles, &mut self.said);
            self.score(now);
            let telling = self.campaigns.advance(now, &self.profiles, &self.detectors.beacon);
            self.tell(now, telling);
        }
        self.next = Timestamp::from_secs(now.secs().saturating_add(STEP_S));
    }

    /// Adds up what was said; who adds up to something unusual is a case for the campaign stage.
    fn score(&mut self, now: Timestamp) {
        self.scorer.take(std::mem::take(&mut self.said.cues));
        let cases = self.scorer.advance(now, &self.profiles, &mut self.said);
        self.campaigns.cases(&cases);
    }

    /// Enters what was said into the book, and settles it.
    fn tell(&mut self, now: Timestamp, telling: Option<Telling>) {
        let said = std::mem::take(&mut self.said);
        self.book.found(said.findings);
        if let Some(telling) = telling {
            self.book.told(telling);
        }
        let context = context(now, &self.profiles, &self.detectors, &self.campaigns, &self.allow);
        let fresh = self.book.settle(&context);
        self.fresh.extend(fresh);
    }

    /// Shows what the observation means to everybody it concerns.
    fn spread(&mut self) {
        for activity in self.activities.drain(..) {
            self.detectors.observe(&activity, &self.profiles, &mut self.said);
            self.campaigns.observe(&activity, &self.profiles);
        }
    }
}

fn context<'a>(
    now: Timestamp,
    usual: &'a Profiles,
    detectors: &'a Detectors,
    campaigns: &'a Campaigns,
    allow: &'a AllowList,
) -> Context<'a> {
    Context { now, usual, beacon: &detectors.beacon, campaigns, allow }
}

/// Networks the summary tells of.
const MAX_NETWORKS: usize = 32;
/// Seconds between two steps (`detection.md` §4.5).
const STEP_S: i64 = 300;
