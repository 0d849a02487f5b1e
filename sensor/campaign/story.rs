//! Chains and common causes → stories: what one server is behind, told once.
//!
//! Chains of one server are one story. From `min_hosts` machines on it is a campaign, and a common cause that points to
//! the same server joins it. A shared new destination without an execution mark is a campaign only against a baseline;
//! without one it is told as what it is, with the likely server named; without any sign of a program of its own it is
//! a rollout.

use super::CampaignRules;
use super::cause::{Cause, Suspect};
use super::chain::Chain;
use super::rollout::Spread;
use crate::detect::Severity;
use crate::profile::{HostId, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// What sort of story it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) enum Plot {
    /// One server, several machines, what they then met outside.
    Campaign,
    /// One server, one or two machines.
    Chain,
    /// Several machines, one new destination, a server that is likely behind it.
    SharedDestination,
    /// The same without a sign that it is more than new software.
    Rollout,
}

/// One story.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Story {
    pub(crate) plot: Plot,
    pub(crate) severity: Severity,
    pub(crate) server: HostId,
    /// Chains from `low` on, strongest first.
    pub(crate) chains: Vec<Chain>,
    /// Destinations, in the order they were met.
    pub(crate) tenants: Vec<TenantId>,
    /// Further ones that its hosts share beyond chance, with that chance.
    pub(crate) enriched: Vec<(TenantId, f64)>,
    /// The test behind it and the server's row in it.
    pub(crate) cause: Option<(Cause, Suspect)>,
    /// Cases of the common cause.
    pub(crate) cases: BTreeSet<HostId>,
    /// Cases that show a timer, a script or no name.
    pub(crate) marked: BTreeSet<HostId>,
    /// How the destination spread, for a common cause.
    pub(crate) spread: Option<Spread>,
}

/// All that can be told at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telling {
    /// Every chain, for the findings.
    pub(crate) chains: Vec<Chain>,
    pub(crate) stories: Vec<Story>,
}

/// Joins chains and shared destinations that belong together.
pub(super) fn join(chains: &[Chain], shared: impl Iterator<Item = Story>, rules: &CampaignRules) -> Vec<Story> {
    let mut by_server: BTreeMap<HostId, Story> = BTreeMap::new();
    for chain in chains.iter().filter(|chain| chain.severity >= Severity::Low) {
        let story = by_server.entry(chain.server).or_insert_with(|| Story::of(Plot::Chain, chain.server));
        story.chains.push(chain.clone());
    }
    for story in by_server.values_mut() {
        story.settle_chains(rules);
    }
    let shared: Vec<Story> = shared.collect();
    for story in by_server.values_mut() {
        let of_server = shared.iter().filter(|other| other.server == story.server && other.plot != Plot::Rollout);
        let led: BTreeSet<TenantId> = of_server.flat_map(|other| other.tenants.iter().copied()).collect();
        if !led.is_empty() {
            story.keep_to(&led);
        }
    }
    let mut stories = Vec::new();
    for shared in shared {
        match by_server.get_mut(&shared.server) {
            // One server, one story: what its chains do not show already joins them.
            Some(story) if shared.plot != Plot::Rollout => story.join(shared, rules),
            Some(story) if shared.tenants.iter().all(|tenant| story.tenants.contains(tenant)) => {}
            _ => stories.push(shared),
        }
    }
    stories.extend(by_server.into_values());
    merged(stories)
}

impl Story {
    pub(super) fn of(plot: Plot, server: HostId) -> Self {
        Self {
            plot,
            severity: Severity::Info,
            server,
            chains: Vec::new(),
            tenants: Vec::new(),
            enriched: Vec::new(),
            cause: None,
            cases: BTreeSet::new(),
            marked: BTreeSet::new(),
            spread: None,
        }
    }

    /// Machines with a chain.
    pub(crate) fn chained(&self) -> BTreeSet<HostId> {
        self.chains.iter().map(|chain| chain.host).collect()
    }

    fn settle_chains(&mut self, rules: &CampaignRules) {
        self.chains.sort_by(|a, b| b.nats.total_cmp(&a.nats).then(a.contact.cmp(&b.contact)).then(a.host.cmp(&b.host)));
        self.severity = self.chains.iter().map(|chain| chain.severity).max().unwrap_or(Severity::Info);
        // What an administrator's other machines met as well is no part of the story of one: only what is as serious, and
        // who met the same destination.
        let least = self.severity.min(Severity::High);
        let met: BTreeSet<TenantId> =
            self.chains.iter().filter(|chain| chain.severity >= least).map(|chain| chain.tenant).collect();
        self.chains.retain(|chain| met.contains(&chain.tenant));
        let mut met: Vec<_> = self.chains.iter().map(|chain| (chain.contact, chain.tenant)).collect();
        met.sort_unstable();
        for (_, tenant) in met {
            if !self.tenants.contains(&tenant) {
                self.tenants.push(tenant);
            }
        }
        let strong = self.chains.iter().filter(|chain| chain.severity >= Severity::High).map(|chain| chain.host);
        if strong.collect::<BTreeSet<_>>().len() >= rules.common_cause.min_hosts {
            (self.plot, self.severity) = (Plot::Campaign, Severity::Critical);
        }
    }

    /// Keeps the chains to destinations the server led several to, and those that say something by themselves: what an
    /// administrator's machines happened to meet after some act, and others use, is no part of a common cause.
    fn keep_to(&mut self, led: &BTreeSet<TenantId>) {
        self.chains.retain(|chain| chain.severity >= Severity::Medium || led.contains(&chain.tenant));
        self.tenants.retain(|tenant| self.chains.iter().any(|chain| chain.tenant == *tenant));
    }

    /// Takes in a shared destination of the same server.
    fn join(&mut self, other: Self, rules: &CampaignRules) {
        for tenant in other.tenants {
            if !self.tenants.contains(&tenant) {
                self.tenants.push(tenant);
            }
        }
        self.cases.extend(other.cases);
        self.marked.extend(other.marked);
        let better = |(_, known): &(Cause, Suspect)| other.cause.as_ref().is_some_and(|(_, new)| new.llr > known.llr);
        if self.cause.as_ref().is_none_or(better) {
            self.cause = other.cause;
        }
        // An execution mark and a common cause confirm each other.
        let hosts: BTreeSet<_> = self.chained().union(&self.cases).copied().collect();
        if self.severity >= Severity::Medium && hosts.len() >= rules.common_cause.min_hosts {
            (self.plot, self.severity) = (Plot::Campaign, Severity::Critical);
        } else if other.severity > self.severity {
            (self.plot, self.severity) = (other.plot, other.severity);
        }
    }
}

impl Story {
    /// Takes in another story of the same server and plot.
    pub(super) fn take_in(&mut self, other: Self) {
        for tenant in other.tenants {
            if !self.tenants.contains(&tenant) {
                self.tenants.push(tenant);
            }
        }
        self.cases.extend(other.cases);
        self.marked.extend(other.marked);
        self.severity = self.severity.max(other.severity);
        let better = |(_, now): &(Cause, Suspect)| other.cause.as_ref().is_some_and(|(_, new)| new.llr > now.llr);
        if self.cause.as_ref().is_none_or(better) {
            self.cause = other.cause;
        }
    }
}

/// Stories of the same server and plot are one.
fn merged(stories: Vec<Story>) -> Vec<Story> {
    let mut by_key: BTreeMap<(HostId, Plot), Story> = BTreeMap::new();
    for story in stories {
        match by_key.get_mut(&(story.server, story.plot)) {
            None => {
                by_key.insert((story.server, story.plot), story);
            }
            Some(known) => known.take_in(story),
        }
    }
    by_key.into_values().collect()
}
