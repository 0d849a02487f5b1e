//! Findings of many hosts → one story: who touched them all shortly before, beyond chance, and what belongs to it.
//!
//! Two joins: the execution chain (`chain`), for which one machine is enough, and the common cause (`cause`), which
//! needs several and no execution mark. Both read indexes that are kept by event time alone (`sessions`, `exposure`).

mod cause;
mod chain;
mod exposure;
mod ongoing;
mod scope;
mod scoping;
mod sessions;
mod story;

pub(crate) use chain::Chain;
pub(crate) use scope::{Advice, DestinationKind, Scope, ScopeDestination, ScopeHost, ScopeServer, Tier};
pub(crate) use story::{Plot, Story, Telling};

use crate::base::Timestamp;
use crate::detect::{Beacon, RuleError, RuleTexts, WeakCase};
#[cfg(test)]
pub(crate) use crate::profile::HostId;
use crate::profile::{Activity, Profiles};
use exposure::Exposures;
use ongoing::{Basis, Ongoing};
use sessions::Sessions;
use std::time::Duration;

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
    max_cases: usize,
    scales_s: Vec<f64>,
    shrink_bins: f64,
    probable_p: f64,
    baseline_bins: u32,
    marked_share: f64,
    ignored_ports: Vec<u16>,
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
    exposures: Exposures,
    ongoing: Ongoing,
}

impl Campaigns {
    pub(crate) fn new(rules: CampaignRules) -> Self {
        Self { rules, sessions: Sessions::new(), exposures: Exposures::new(), ongoing: Ongoing::default() }
    }

    /// Takes in an activity.
    pub(crate) fn observe(&mut self, activity: &Activity, usual: &Profiles) {
        let (chain, cause) = (&self.rules.execution_chain, &self.rules.common_cause);
        match activity {
            Activity::Contact(contact) => {
                self.sessions.contact(contact, chain, usual);
                let longest = cause.scales_s.iter().copied().fold(0.0, f64::max);
                self.exposures.contact(contact, Duration::from_secs_f64(longest));
            }
            Activity::Act(act) => self.sessions.act(act, chain, usual),
            Activity::Touch(touch) if !cause.ignored_ports.contains(&touch.port) => self.exposures.touch(touch),
            _ => {}
        }
    }

    /// Hosts whose traffic to a destination is unusual for themselves and their peers.
    pub(crate) fn cases(&mut self, cases: &[WeakCase]) {
        cases.iter().for_each(|case| self.exposures.unusual(case));
    }

    /// Event time reached a step: weighs what was touched. `None` when all stands as before.
    pub(crate) fn advance(&mut self, now: Timestamp, usual: &Profiles, beacons: &Beacon) -> Option<Telling> {
        let (hosts, tenants) = (self.sessions.touched(usual), self.exposures.touched());
        let Self { rules, sessions, exposures, ongoing } = self;
        let on = Basis { sessions, exposures, rules, usual, beacons };
        ongoing.refresh(now, hosts, tenants, &on).then(|| ongoing.tell(rules))
    }

    /// The input ended: weighs everything once more.
    pub(crate) fn finish(&mut self, usual: &Profiles, beacons: &Beacon) -> Telling {
        let Self { rules, sessions, exposures, ongoing } = self;
        ongoing.settle(&Basis { sessions, exposures, rules, usual, beacons });
        ongoing.tell(rules)
    }

    /// What belongs to a story.
    pub(crate) fn scope(&self, story: &Story, usual: &Profiles, beacons: &Beacon) -> Scope {
        scoping::scope(story, &self.sessions, usual, beacons)
    }

    pub(crate) const fn rules(&self) -> &CampaignRules {
        &self.rules
    }

    /// Entries that made room for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.sessions.evicted().saturating_add(self.exposures.evicted())
    }
}
