//! Findings of many hosts → one story: who touched them all shortly before, beyond chance, and what belongs to it.
//!
//! Three joins: the execution chain (`chain`), for which one machine is enough; the common cause (`cause`), which needs
//! several and no execution mark; and a service everybody uses, coupled in time to one server's acts (`coupling`, `led`).
//! They read indexes that are kept by event time alone (`sessions`, `contacts`, `coupling`).

mod case;
mod cases;
mod cause;
#[cfg(test)]
mod cause_tests;
mod chain;
mod cluster;
mod companion;
mod contacts;
mod control;
mod coupling;
mod crowd;
mod echo;
mod enrich;
mod hops;
mod hubs;
mod led;
mod merge;
mod merge_open;
mod ongoing;
mod pairs;
mod permute;
mod practice;
mod rollout;
mod scope;
mod scoping;
mod sessions;
mod snapshot;
mod story;
mod tails;
mod unsaved;

pub(crate) use chain::Chain;
pub(crate) use merge::merged;
pub(crate) use scope::{Advice, DestinationKind, Scope, ScopeDestination, ScopeHost, ScopeServer, Tier};
pub(crate) use snapshot::Restoring;
pub(crate) use story::{Plot, Story, Telling};

pub(crate) use crate::profile::HostId;

use crate::base::stats::common;
use crate::base::{LookBack, Table, Timestamp};
use crate::detect::{Beacon, RuleError, RuleTexts, WeakCase};
use crate::event;
use crate::profile::{Activity, Contact, Profiles, SharedBy, TenantId, What};
use contacts::Contacts;
use coupling::Coupling;
use hops::Hops;
use ongoing::{Basis, HOUR_S, Ongoing};
use pairs::Mark;
use sessions::Sessions;

/// `rules/execution_chain.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainRule {
    enabled: bool,
    pub(crate) attack: Vec<Box<str>>,
    pub(crate) window_s: f64,
    slack_s: f64,
    prior_s: f64,
    act_prior_s: f64,
    burst_scales_s: Vec<f64>,
    cap_timing_nats: f64,
    execute_nats: f64,
    session_nats: f64,
    prepare_nats: f64,
    cap_rarity_nats: f64,
    shared_nats: f64,
    cap_timer_nats: f64,
    script_nats: f64,
    nameless_nats: f64,
    others_nats: f64,
    cap_others_nats: f64,
    common_hosts: u32,
    common_share: f64,
    low_nats: f64,
    medium_nats: f64,
    pub(crate) high_nats: f64,
}

/// `rules/common_cause.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CauseRule {
    enabled: bool,
    pub(crate) attack: Vec<Box<str>>,
    min_hosts: usize,
    min_marked_hosts: usize,
    strong_hosts: usize,
    strong_share: f64,
    max_cases: usize,
    scales_s: Vec<u32>,
    possible_p: f64,
    probable_p: f64,
    strong_p: f64,
    false_per_day: f64,
    baseline_bins: f64,
    mature_bins: f64,
    marked_share: f64,
    hub_clients: u32,
    max_served_share: f64,
    sweep_p: f64,
    sweep_floor: f64,
    sweep_spread: f64,
    day_cases: usize,
    rollout_share: f64,
    rollout_groups: usize,
    rollout_damning: f64,
    rollout_wait_s: f64,
    enriched_share: f64,
    coupled_times: f64,
    goes_on_contacts: u32,
    goes_on_p: f64,
    fetched_classes: Vec<Box<str>>,
    common_share: f64,
    common_hosts: u32,
    ignored_ports: Vec<u16>,
}

impl CauseRule {
    /// Users from which on a destination is common in a fleet of so many.
    fn common(&self, fleet: u32) -> f64 {
        common(self.common_hosts, self.common_share, fleet)
    }
}

/// The rules of both joins.
#[derive(Clone, Debug)]
pub(crate) struct CampaignRules {
    pub(crate) execution_chain: ChainRule,
    pub(crate) common_cause: CauseRule,
}

impl CampaignRules {
    /// From the texts in force.
    pub(crate) fn new(rules: &RuleTexts) -> Result<Self, RuleError> {
        Ok(Self { execution_chain: rules.parse("execution_chain")?, common_cause: rules.parse("common_cause")? })
    }
}

/// The joins and their indexes.
#[derive(Debug)]
pub(crate) struct Campaigns {
    rules: CampaignRules,
    sessions: Sessions,
    contacts: Contacts,
    coupling: Coupling,
    hops: Hops,
    ongoing: Ongoing,
    /// What is on disk and no more in memory.
    older: LookBack,
}

impl Campaigns {
    pub(crate) fn new(rules: CampaignRules) -> Self {
        Self {
            rules,
            sessions: Sessions::new(),
            contacts: Contacts::new(),
            coupling: Coupling::new(),
            hops: Hops::new(),
            ongoing: Ongoing::default(),
            older: LookBack::default(),
        }
    }

    /// From now on what memory let go of is looked up there.
    pub(crate) fn look_back(&mut self, at: LookBack) {
        self.older = at;
    }

    /// Follows other rules from now on; what is open stays open.
    pub(crate) fn follow(&mut self, rules: CampaignRules) {
        self.rules = rules;
    }

    /// Takes in an activity.
    pub(crate) fn observe(&mut self, activity: &Activity, usual: &Profiles) {
        let (chain, cause) = (&self.rules.execution_chain, &self.rules.common_cause);
        match activity {
            Activity::Contact(contact) => {
                self.sessions.contact(contact, chain, usual);
                self.contacts.stir(contact.host, contact.ts);
                self.coupling.contact(contact, &self.contacts, usual);
                if contact.first && !contact.background {
                    let everybody = cluster::is_everyday(contact.tenant, contact.ts, cause, usual);
                    let nats = oddity(contact, usual);
                    self.contacts.case((contact.host, contact.through), contact.tenant, contact.ts, (nats, everybody));
                }
            }
            Activity::Act(act) => {
                if runs(&act.what) {
                    self.contacts.executed(act.by, act.on, act.ts);
                    self.coupling.expose((act.by, act.on), Mark::Execution, act.ts, &self.contacts);
                }
                if opens(&act.what) {
                    self.hops.act(act.by, act.on, act.ts);
                }
                self.sessions.act(act, chain, usual);
            }
            Activity::Touch(touch) if !cause.ignored_ports.contains(&touch.port) => self.contacts.touch(touch),
            Activity::Moved(moved) if !cause.ignored_ports.contains(&moved.port) => {
                for pair in self.contacts.moved(moved).into_iter().flatten() {
                    self.coupling.expose(pair, Mark::Large, moved.ts, &self.contacts);
                }
            }
            Activity::CheckIn(check_in) => self.contacts.stir(check_in.host, check_in.ts),
            _ => {}
        }
        if let Some(tenant) = activity.tenant() {
            self.ongoing.stir(tenant, &self.contacts);
        }
    }

    /// Hosts whose traffic to a destination is unusual for themselves and their peers.
    pub(crate) fn cases(&mut self, now: Timestamp, cases: &[WeakCase]) {
        cases.iter().for_each(|case| self.contacts.unusual(now, case));
    }

    /// Event time reached a step: weighs what was touched. `None` when all stands as before.
    pub(crate) fn advance(&mut self, now: Timestamp, usual: &Profiles, beacons: &Beacon) -> Option<Telling> {
        self.contacts.settle(now);
        self.coupling.settle(now);
        let (hosts, tenants) = (self.sessions.touched(usual), self.contacts.touched());
        let servers = self.coupling.touched();
        if now.secs().rem_euclid(HOUR_S) == 0 {
            self.coupling.prune(now);
        }
        let Self { rules, sessions, contacts, coupling, ongoing, .. } = self;
        let on = Basis { sessions, contacts, coupling, rules, usual, beacons };
        ongoing.refresh(now, hosts, tenants, servers, &on).then(|| ongoing.tell(&on))
    }

    /// Between two steps: weighs what somebody was newly drawn into. Nothing is used up; the step weighs it again, with the
    /// marks that come later. `None` when all stands as before.
    pub(crate) fn glance(&mut self, now: Timestamp, usual: &Profiles, beacons: &Beacon) -> Option<Telling> {
        let hosts = self.sessions.drawn_in(usual);
        let mut tenants = self.contacts.fresh();
        tenants.retain(|tenant| self.ongoing.is_due(*tenant, &self.contacts, &self.rules.common_cause));
        if hosts.is_empty() && tenants.is_empty() {
            return None;
        }
        self.contacts.settle_of(&tenants, now);
        let Self { rules, sessions, contacts, coupling, ongoing, .. } = self;
        let on = Basis { sessions, contacts, coupling, rules, usual, beacons };
        ongoing.glance(now, &hosts, &tenants, &on).then(|| ongoing.tell(&on))
    }

    /// Every quarter of an hour: machines and destinations that must stay known, since they are part of what stands or may
    /// become it. In a large fleet what single machines meet would push them out within a day.
    pub(crate) fn needed(&self, now: Timestamp) -> Vec<(HostId, TenantId)> {
        if now.secs().rem_euclid(ongoing::QUARTER_S) != 0 {
            return Vec::new();
        }
        let cases = self.contacts.cases().in_company().map(|case| (case.host, case.tenant));
        cases.chain(self.ongoing.pairs()).collect()
    }

    /// The input ended: weighs everything once more.
    pub(crate) fn finish(&mut self, now: Timestamp, usual: &Profiles, beacons: &Beacon) -> Telling {
        self.contacts.settle(now);
        self.coupling.settle(now);
        let Self { rules, sessions, contacts, coupling, ongoing, .. } = self;
        let on = Basis { sessions, contacts, coupling, rules, usual, beacons };
        ongoing.settle(now, &on);
        ongoing.tell(&on)
    }

    /// What belongs to a story.
    pub(crate) fn scope(&self, story: &Story, usual: &Profiles, beacons: &Beacon) -> Scope {
        let on = (&self.sessions, &self.contacts, &self.hops, &self.older);
        scoping::scope(story, on, &self.rules.common_cause, usual, beacons)
    }

    /// Addresses that took part in a story and have several machines behind them.
    pub(crate) fn behind(&self, story: &Story, usual: &Profiles) -> Vec<(HostId, SharedBy)> {
        scoping::behind_shared(story, usual)
    }

    pub(crate) const fn rules(&self) -> &CampaignRules {
        &self.rules
    }

    /// Their tables as they stand.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let mut all = self.sessions.tables().to_vec();
        all.extend(self.contacts.tables());
        all.extend(self.coupling.tables());
        all.extend(self.hops.tables());
        all
    }
}

/// Whether an act makes something run, or puts it there to run (`detection.md` §4.2).
fn runs(what: &What) -> bool {
    match what {
        What::Execution(execution) => execution.act != event::Act::Administer,
        What::File { .. } => true,
        What::Session(_) => false,
    }
}

/// Whether an act lets its actor run something: the same, or a session in which somebody sits at the machine.
fn opens(what: &What) -> bool {
    runs(what) || matches!(what, What::Session(_))
}

/// Surprise of a first contact by egress evidence alone, nats: how few others use the destination, and whether anybody
/// named it.
fn oddity(contact: &Contact, usual: &Profiles) -> f64 {
    // The contact itself is counted already.
    let others = usual.tenant(contact.tenant).map_or(0, |tenant| tenant.used_by()).max(1);
    let prevalence = f64::from(others) / (f64::from(usual.fleet()) + 1.0);
    -prevalence.min(1.0).ln() + if contact.name.is_none() { 1.0 } else { 0.0 }
}
