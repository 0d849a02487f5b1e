//! Chains and common causes → stories: what one server is behind, told once.
//!
//! Chains of one server are one story. From `min_hosts` machines on it is a campaign, and a common cause that points to
//! the same server joins it. A shared new destination without an execution mark is a campaign only against a baseline;
//! without one it is told as what it is, with the likely server named; without any sign of a program of its own it is
//! a rollout.

use super::CampaignRules;
use super::cause::{Cause, Suspect, common_cause};
use super::chain::Chain;
use super::exposure::{Case, Exposures};
use crate::detect::{Beacon, Severity};
use crate::profile::{HostId, Profiles, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// What sort of story it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) plot: Plot,
    pub(crate) severity: Severity,
    pub(crate) server: HostId,
    /// Chains from `low` on, strongest first.
    pub(crate) chains: Vec<Chain>,
    /// Destinations, in the order they were met.
    pub(crate) tenants: Vec<TenantId>,
    /// The test behind it and the server's row in it.
    pub(crate) cause: Option<(Cause, Suspect)>,
    /// Cases of the common cause.
    pub(crate) cases: BTreeSet<HostId>,
    /// Cases that show a timer, a script or no name.
    pub(crate) marked: BTreeSet<HostId>,
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
    fn of(plot: Plot, server: HostId) -> Self {
        Self {
            plot,
            severity: Severity::Info,
            server,
            chains: Vec::new(),
            tenants: Vec::new(),
            cause: None,
            cases: BTreeSet::new(),
            marked: BTreeSet::new(),
        }
    }

    /// Machines with a chain.
    pub(crate) fn chained(&self) -> BTreeSet<HostId> {
        self.chains.iter().map(|chain| chain.host).collect()
    }

    fn settle_chains(&mut self, rules: &CampaignRules) {
        self.chains.sort_by(|a, b| b.nats.total_cmp(&a.nats).then(a.contact.cmp(&b.contact)).then(a.host.cmp(&b.host)));
        self.severity = self.chains.iter().map(|chain| chain.severity).max().unwrap_or(Severity::Info);
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

/// First contacts with `tenants`, of which several hosts had one.
pub(super) fn clusters<'a>(
    exposures: &'a Exposures,
    tenants: &BTreeSet<TenantId>,
    rules: &CampaignRules,
    usual: &Profiles,
) -> BTreeMap<TenantId, Vec<&'a Case>> {
    let mut clusters: BTreeMap<TenantId, Vec<&Case>> = BTreeMap::new();
    for case in exposures.cases().filter(|case| tenants.contains(&case.tenant)) {
        let stands = usual.tie(case.host, case.tenant).is_some_and(|tie| !tie.under_way && !tie.background);
        if stands {
            clusters.entry(case.tenant).or_default().push(case);
        }
    }
    clusters.retain(|_, cases| cases.len() >= rules.common_cause.min_hosts);
    clusters
}

/// The story of one destination that several hosts met, when a server stands out.
pub(super) fn shared(
    tenant: TenantId,
    cases: &[&Case],
    exposures: &Exposures,
    rules: &CampaignRules,
    usual: &Profiles,
    beacons: &Beacon,
) -> Option<Story> {
    let rule = &rules.common_cause;
    let cause = common_cause(cases, exposures, usual.fleet(), rule);
    let suspect = cause.suspects.first().filter(|suspect| suspect.p_adjusted <= rule.probable_p)?.clone();
    let caused = |case: &&&Case| suspect.attribution.get(&case.host).is_some_and(|r| *r > 0.5);
    let hosts: BTreeSet<HostId> = cases.iter().filter(caused).map(|case| case.host).collect();
    if hosts.len() < rule.min_hosts {
        return None;
    }
    let is_marked = |host: &&HostId| {
        beacons.rhythm(**host, tenant).is_some()
            || exposures.is_unusual(**host, tenant)
            || usual.tie(**host, tenant).is_some_and(|tie| tie.script.is_some() || tie.is_nameless())
    };
    let marked: BTreeSet<HostId> = hosts.iter().filter(is_marked).copied().collect();
    let count = |set: &BTreeSet<HostId>| f64::from(u32::try_from(set.len()).unwrap_or(u32::MAX));
    let is_marked = marked.len() >= rule.min_hosts && count(&marked) >= rule.marked_share * count(&hosts);
    let (plot, severity) = match () {
        () if !is_marked => (Plot::Rollout, Severity::Info),
        () if cause.baseline => (Plot::Campaign, Severity::Critical),
        () => (Plot::SharedDestination, Severity::High),
    };
    let mut story = Story::of(plot, suspect.host);
    story.severity = severity;
    story.tenants.push(tenant);
    story.cases = hosts;
    story.marked = marked;
    story.cause = Some((cause, suspect));
    Some(story)
}

/// Stories of the same server and plot are one.
fn merged(stories: Vec<Story>) -> Vec<Story> {
    let mut by_key: BTreeMap<(HostId, Plot), Story> = BTreeMap::new();
    for story in stories {
        match by_key.get_mut(&(story.server, story.plot)) {
            None => {
                by_key.insert((story.server, story.plot), story);
            }
            Some(known) => {
                for tenant in story.tenants {
                    if !known.tenants.contains(&tenant) {
                        known.tenants.push(tenant);
                    }
                }
                known.cases.extend(story.cases);
                known.marked.extend(story.marked);
                known.severity = known.severity.max(story.severity);
                let better =
                    |(_, now): &(Cause, Suspect)| story.cause.as_ref().is_some_and(|(_, new)| new.llr > now.llr);
                if known.cause.as_ref().is_none_or(better) {
                    known.cause = story.cause;
                }
            }
        }
    }
    by_key.into_values().collect()
}
