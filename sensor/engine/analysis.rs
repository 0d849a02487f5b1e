//! Observations → findings → alerts: the right side of the waist as one object.
//!
//! For each observation detectors see the profile as it was, then the profile learns. Every five minutes of event time,
//! before the first observation at or after a multiple of it, what was touched is weighed and told, and between them every
//! half minute who is newly drawn into a story; so what is told, and when, depends on the observations alone.

use super::clock::Stopwatch;
use super::inject::Inject;
use super::shown::{Shown, Windows};
use super::store::{Store, StoreError};
use crate::alert::{Alert, AllowList, Book, Context, Rules, Stated, Status, Unseen};
use crate::base::{BadRecord, LookBack, Record, Table, Timestamp};
use crate::campaign::{self, Campaigns, Telling};
use crate::detect::{Checked, Detectors, Role, RuleError, Said, Scorer, Severity, Which};
use crate::event::{FlowRecord, Observation, Uid};
use crate::intel::Intel;
use crate::output::Identities;
use crate::output::metrics::Component;
use crate::profile::{Activity, Declared, Learnt, Network, Profiles, Restoring, Sight};
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
    /// The glance that comes next.
    glance: Timestamp,
    /// Before this moment it is learned and nothing told.
    judge_from: Timestamp,
    /// Before this moment it was learned by this run: what was not told is not saved as told.
    told_from: Timestamp,
    /// It continues from a baseline and has observed nothing yet.
    goes_on: bool,
    /// What readers outside this thread see, when there are any.
    shown: Option<Shown>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// By first_seen, then id; one an id.
    pub(crate) findings: Vec<Stated>,
    /// Likewise.
    pub(crate) alerts: Vec<Alert>,
    pub(crate) counts: TellingCounts,
    /// All tables of the right side.
    pub(crate) tables: Vec<Table>,
    /// How far it is known what is usual.
    pub(crate) learnt: Learnt,
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
            glance: Timestamp::MIN,
            judge_from: Timestamp::MIN,
            told_from: Timestamp::MIN,
            goes_on: false,
            shown: None,
        })
    }

    /// From now on shows what it sees in `windows`; `detectors` are stems of rules in the order of the metrics' labels.
    pub(crate) fn show_in(&mut self, windows: Windows, detectors: &[Box<str>]) {
        self.shown = Some(Shown::new(windows, detectors));
    }

    /// Follows what an operator wrote anew from here on; what was learned and told stays. On an error nothing changes.
    pub(crate) fn follow(
        &mut self,
        declared: Arc<Declared>,
        intel: Arc<Intel>,
        rules: &Rules,
    ) -> Result<(), RuleError> {
        rules.lead(&mut self.detectors, &mut self.scorer, &mut self.campaigns)?;
        self.allow = rules.allow.clone();
        self.profiles.follow(declared, intel);
        Ok(())
    }

    /// Breaks what a test wants broken.
    pub(crate) fn inject(&mut self, inject: &Inject) {
        #[cfg(debug_assertions)]
        if let Some(stem) = inject.detector() {
            self.detectors.break_one(stem);
        }
        #[cfg(not(debug_assertions))]
        let _ = inject;
    }

    /// Panics of detectors that were contained, by stem.
    pub(crate) fn panics(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.detectors.panics()
    }

    /// Takes in the next observation; they come ordered by (ts, uid, n).
    pub(crate) fn observe(&mut self, seen: &Observation) {
        if std::mem::take(&mut self.goes_on) {
            self.judge_from = self.judge_from.max(seen.ts);
            // What was touched before the break is weighed at the step it would have been weighed at without one.
            if let Some((_, last)) = self.profiles.counts().span.filter(|(_, last)| *last <= seen.ts) {
                (self.next, self.glance) = (after(last, STEP_S), after(last, GLANCE_S));
            }
        }
        if seen.ts >= self.next {
            self.step(seen.ts);
        } else if seen.ts >= self.glance {
            self.glance(seen.ts);
        }
        self.last = self.last.max(seen.ts);
        self.profiles.read(seen, &mut self.activities);
        self.spread();
        if let Some(shown) = &mut self.shown {
            shown.tick(seen, self.last);
        }
    }

    /// The same tables, by whom metrics name as their holder.
    fn held(&self) -> Vec<(Component, Table)> {
        fn of(by: Component, tables: impl IntoIterator<Item = Table>) -> impl Iterator<Item = (Component, Table)> {
            tables.into_iter().map(move |table| (by, table))
        }
        let mut detectors = self.detectors.tables();
        detectors.push(self.scorer.table());
        of(Component::Profiles, self.profiles.tables())
            .chain(of(Component::Detectors, detectors))
            .chain(of(Component::Campaigns, self.campaigns.tables()))
            .chain(of(Component::Alerts, self.book.tables()))
            .collect()
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

    /// Until this moment everything is learned and nothing is told.
    pub(crate) const fn learn_until(&mut self, moment: Timestamp) {
        self.judge_from = moment;
        self.told_from = moment;
    }

    /// From now on it is noted what changes, for `save`.
    pub(crate) fn keep_track(&mut self) {
        self.profiles.keep_track();
        self.detectors.keep_track();
        self.scorer.keep_track();
        self.campaigns.keep_track();
        self.book.keep_track();
    }

    /// Saves what is known: everything once a local day and the first time, else what changed. A live sensor calls it
    /// every 60 s of event time.
    pub(crate) fn save(&mut self, store: &mut Store) -> Result<u64, StoreError> {
        let extent = self.profiles.extent();
        store.save(extent, |put| {
            self.profiles.save(extent, put);
            self.detectors.save(extent, put);
            self.scorer.save(extent, put);
            self.campaigns.save(extent, put);
            self.book.save(extent, self.told_from, put);
        })
    }

    /// From now on what memory let go of is looked up there.
    pub(crate) fn look_back(&mut self, at: LookBack) {
        self.campaigns.look_back(at);
    }

    /// Continues from what was saved; nothing may have been observed yet. What was over before the first observation was
    /// told by whoever saved it, or was learned from.
    pub(crate) fn restore(&mut self, records: &[Record]) -> Result<(), BadRecord> {
        let (mut restoring, mut campaigns) = (Restoring::default(), campaign::Restoring::default());
        for record in records {
            self.profiles.restore(record, &mut restoring)?;
            self.detectors.restore(record)?;
            self.scorer.restore(record)?;
            self.campaigns.restore(record, &mut campaigns)?;
            self.book.restore(record)?;
        }
        self.profiles.restored(restoring);
        self.campaigns.restored(campaigns);
        self.book.restored(self.campaigns.telling(&self.profiles, &self.detectors.beacon));
        self.goes_on = true;
        Ok(())
    }

    /// Event time of the last flow that is known; `None` when nothing is.
    pub(crate) fn seen_until(&self) -> Option<Timestamp> {
        self.profiles.counts().span.map(|(_, last)| last)
    }

    /// How far it is known what is usual.
    pub(crate) const fn learnt(&self) -> Learnt {
        self.profiles.learnt()
    }

    /// The input ended and nothing is to be told: what is under way is learned as it stands.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        self.profiles.finish(&mut self.activities);
        self.spread();
        self.detectors.say(Which::Untold, now, &self.profiles, &mut self.said);
        self.score(now);
    }

    /// How fair the p-values of host-days were, by class of peers.
    pub(crate) fn checked(&self) -> impl Iterator<Item = (u32, Checked)> {
        self.scorer.checked()
    }

    /// Alerts that are new, changed or absorbed since the last call.
    pub(crate) fn fresh(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.fresh)
    }

    /// Findings that made room for others since the last call, as they stand; [`Analysis::finish`] gives those that are left.
    pub(crate) fn parted(&mut self) -> Vec<Stated> {
        let parted = self.book.parted();
        if parted.is_empty() {
            return Vec::new();
        }
        let mut unseen = Unseen::new(&self.profiles);
        let told = parted.into_iter().filter(|finding| finding.last_seen >= self.judge_from);
        told.map(|finding| unseen.state(finding)).collect()
    }

    /// Whether there are any alerts.
    pub(crate) const fn has_news(&self) -> bool {
        !self.fresh.is_empty()
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
        let learnt = usual.learnt();
        let context = context(now, usual, &self.detectors, &self.campaigns, &self.allow);
        let (mut findings, mut alerts) = self.book.close(&context);
        findings.retain(|stated| stated.finding.last_seen >= self.judge_from);
        alerts.retain(|alert| alert.finding.last_seen >= self.judge_from);
        Told { findings, alerts, hint, counts, tables, learnt, identity, sight, inputs, networks }
    }

    /// Event time passed one or more multiples of `STEP`: the latest of them is told. Between two observations nothing
    /// is touched, so the others would have nothing to say.
    fn step(&mut self, ts: Timestamp) {
        let now = Timestamp::from_secs(ts.secs().div_euclid(STEP_S).saturating_mul(STEP_S));
        if self.next != Timestamp::MIN {
            self.profiles.advance(now, &mut self.activities);
            self.spread();
            let watch = Stopwatch::start();
            self.detectors.say(Which::Untold, now, &self.profiles, &mut self.said);
            self.score(now);
            if let Some(shown) = &mut self.shown {
                shown.evaluated(watch.elapsed());
            }
            let telling = self.campaigns.advance(now, &self.profiles, &self.detectors.beacon);
            self.campaigns.needed(now).into_iter().for_each(|pair| self.profiles.keep(pair));
            self.tell(now, telling);
        }
        self.next = Timestamp::from_secs(now.secs().saturating_add(STEP_S));
        self.glance = Timestamp::from_secs(now.secs().saturating_add(GLANCE_S));
    }

    /// Between two steps event time passed one or more multiples of `GLANCE_S`: somebody waits to hear of a story.
    fn glance(&mut self, ts: Timestamp) {
        let now = Timestamp::from_secs(ts.secs().div_euclid(GLANCE_S).saturating_mul(GLANCE_S));
        self.glance = Timestamp::from_secs(now.secs().saturating_add(GLANCE_S));
        let telling = self.campaigns.glance(now, &self.profiles, &self.detectors.beacon);
        if telling.is_some() {
            self.tell(now, telling);
        }
    }

    /// Adds up what was said; who adds up to something unusual is a case for the campaign stage.
    fn score(&mut self, now: Timestamp) {
        self.scorer.take(std::mem::take(&mut self.said.cues));
        let cases = self.scorer.advance(now, &self.profiles, &mut self.said);
        self.campaigns.cases(now, &cases);
    }

    /// Enters what was said into the book, and settles it.
    fn tell(&mut self, now: Timestamp, telling: Option<Telling>) {
        let findings = std::mem::take(&mut self.said.findings);
        if let Some(shown) = &mut self.shown {
            shown.found(&findings, &self.profiles);
        }
        self.book.found(findings);
        if now < self.judge_from {
            drop(self.book.parted()); // Nothing is told while it only learns.
        }
        if let Some(telling) = telling {
            self.book.told(telling);
        }
        let context = context(now, &self.profiles, &self.detectors, &self.campaigns, &self.allow);
        let fresh = self.book.settle(&context);
        let fresh: Vec<Alert> = fresh.into_iter().filter(|alert| alert.finding.last_seen >= self.judge_from).collect();
        self.hold(now, &fresh);
        let held = if self.shown.is_some() { self.held() } else { Vec::new() };
        if let Some(shown) = &mut self.shown {
            shown.step(now, &fresh, &self.profiles, &held);
        }
        self.fresh.extend(fresh);
    }

    /// What an open incident names does not become usual: contacts between its hosts and its destinations.
    fn hold(&mut self, now: Timestamp, fresh: &[Alert]) {
        let open = |alert: &&Alert| {
            alert.status == Status::Open && alert.allowed.is_none() && alert.finding.severity >= Severity::Medium
        };
        for alert in fresh.iter().filter(open) {
            if let Some(scope) = &alert.scope {
                for (host, to) in
                    scope.hosts.iter().flat_map(|host| scope.destinations.iter().map(move |to| (host, to)))
                {
                    self.profiles.hold(host.id, Some(&to.value), &to.ips, now);
                }
            }
            let of = |role| alert.finding.entities.iter().filter(move |entity| entity.role == role);
            for host in of(Role::AffectedHost).filter_map(|entity| entity.ip) {
                let Some(host) = self.profiles.holder(host, alert.finding.first_seen) else { continue };
                for to in of(Role::Destination) {
                    self.profiles.hold(host, to.name.as_deref(), to.ip.as_slice(), now);
                }
            }
        }
    }

    /// Shows what the observation means to everybody it concerns.
    fn spread(&mut self) {
        for activity in self.activities.drain(..) {
            self.detectors.observe(&activity, &self.profiles, &mut self.said);
            self.campaigns.observe(&activity, &self.profiles);
            if let Some(shown) = &mut self.shown {
                shown.observe(&activity, &self.profiles);
            }
        }
    }
}

/// The first multiple of `span_s` after a moment.
fn after(ts: Timestamp, span_s: i64) -> Timestamp {
    Timestamp::from_secs(ts.secs().div_euclid(span_s).saturating_add(1).saturating_mul(span_s))
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
/// Seconds between two glances: an alert about a campaign is told within a minute of what makes it one.
const GLANCE_S: i64 = 30;
