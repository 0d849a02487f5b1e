//! Chains and common causes → stories: what one server is behind, told once.
//!
//! Chains of one server are one story when they have a destination or a day in common. From `min_hosts` machines on it is
//! a campaign, and a common cause that points to the same server joins it. A shared new destination without an execution
//! mark is a campaign only against a baseline; without one it is told as what it is, with the likely server named; without
//! any sign of a program of its own it is a rollout.

use super::CampaignRules;
use super::cause::{Cause, Suspect};
use super::chain::Chain;
use super::led::Led;
use super::rollout::Spread;
use crate::base::Timestamp;
use crate::detect::Severity;
use crate::profile::{HostId, Profiles, TenantId};
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
    /// Machines led to a destination they may have used before.
    #[serde(default)]
    pub(crate) led: Vec<Led>,
}

/// All that can be told at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telling {
    /// Every chain, for the findings.
    pub(crate) chains: Vec<Chain>,
    pub(crate) stories: Vec<Story>,
}

/// Joins chains and shared destinations that belong together.
///
/// One server may be behind several things at once and one after the other: what shares neither a destination nor a day
/// is told apart, or the one would be blamed for the other's hosts.
pub(super) fn join(
    chains: &[Chain],
    shared: impl Iterator<Item = Story>,
    rules: &CampaignRules,
    usual: &Profiles,
) -> Vec<Story> {
    let shared: Vec<Story> = shared.collect();
    let handed_on = handed_on(chains, &shared);
    let mut of_server: BTreeMap<HostId, Vec<&Chain>> = BTreeMap::new();
    for chain in chains.iter().filter(|chain| chain.severity >= Severity::Low && !handed_on(chain)) {
        of_server.entry(chain.server).or_default().push(chain);
    }
    let (rollouts, shared): (Vec<Story>, Vec<Story>) =
        shared.into_iter().partition(|story| story.plot == Plot::Rollout);
    let mut shared_by: BTreeMap<HostId, Vec<Story>> = BTreeMap::new();
    for story in merged(shared, usual) {
        of_server.entry(story.server).or_default();
        shared_by.entry(story.server).or_default().push(story);
    }
    let mut stories = Vec::new();
    for (server, chains) in of_server {
        stories.extend(of_one(server, &chains, shared_by.remove(&server).unwrap_or_default(), rules, usual));
    }
    let told = |rollout: &Story| {
        let known = |story: &Story| rollout.tenants.iter().all(|tenant| story.tenants.contains(tenant));
        stories.iter().any(|story| story.server == rollout.server && known(story))
    };
    let untold: Vec<Story> = rollouts.into_iter().filter(|rollout| !told(rollout)).collect();
    stories.extend(merged(untold, usual));
    merged(stories, usual)
}

/// The stories of one server: each episode that is serious or that a shared destination confirms by itself, else all its
/// chains as one.
fn of_one(
    server: HostId,
    chains: &[&Chain],
    shared: Vec<Story>,
    rules: &CampaignRules,
    usual: &Profiles,
) -> Vec<Story> {
    let mut episodes = episodes(chains);
    let mut stories = Vec::new();
    for other in shared {
        let linked: Vec<Vec<&Chain>> = {
            let (linked, rest) = episodes.into_iter().partition(|episode| is_linked(episode, &other, usual));
            episodes = rest;
            linked
        };
        let mut own: Vec<&Chain> = linked.into_iter().flatten().collect();
        let low =
            chains.iter().filter(|chain| chain.severity < Severity::Medium && other.tenants.contains(&chain.tenant));
        own.extend(low);
        if own.is_empty() {
            stories.push(other);
            continue;
        }
        let mut story = Story::of_chains(server, &own, rules);
        story.keep_to(&other.tenants.iter().copied().collect());
        story.join(other, rules);
        stories.push(story);
    }
    let serious = |episode: &Vec<&Chain>| episode.iter().any(|chain| chain.severity >= Severity::High);
    let confirmed = !stories.is_empty();
    if confirmed || episodes.iter().any(serious) {
        stories.extend(
            episodes.iter().filter(|episode| serious(episode)).map(|episode| Story::of_chains(server, episode, rules)),
        );
    } else if !chains.is_empty() {
        stories.push(Story::of_chains(server, chains, rules));
    }
    stories
}

/// Chains from `medium` on that share a destination, or a day with the next one.
fn episodes<'a>(chains: &[&'a Chain]) -> Vec<Vec<&'a Chain>> {
    let mut sorted: Vec<&Chain> = chains.iter().copied().filter(|chain| chain.severity >= Severity::Medium).collect();
    sorted.sort_by(|a, b| a.contact.cmp(&b.contact).then(a.host.cmp(&b.host)).then(a.tenant.cmp(&b.tenant)));
    let mut episodes: Vec<Vec<&Chain>> = Vec::new();
    for chain in sorted {
        let belongs = |known: &Vec<&Chain>| {
            known.iter().any(|k| k.tenant == chain.tenant || chain.contact.secs_since(k.contact) <= EPISODE_S)
        };
        let (own, mut rest): (Vec<_>, Vec<_>) = episodes.into_iter().partition(belongs);
        let mut one: Vec<&Chain> = own.into_iter().flatten().collect();
        one.push(chain);
        rest.push(one);
        episodes = rest;
    }
    episodes
}

/// Whether an episode and a shared destination have a destination or a day in common.
fn is_linked(episode: &[&Chain], other: &Story, usual: &Profiles) -> bool {
    let met = other.met(usual);
    let near = |at: Timestamp| met.is_some_and(|met| are_near((at, at), met));
    episode.iter().any(|chain| other.tenants.contains(&chain.tenant) || near(chain.contact))
}

/// Whether no more than a day lies between two spans.
fn are_near(a: (Timestamp, Timestamp), b: (Timestamp, Timestamp)) -> bool {
    a.0.secs_since(b.1) <= EPISODE_S && b.0.secs_since(a.1) <= EPISODE_S
}

/// Whether the machine of a chain then led others to the same destination: it is a server of the story behind it, and who
/// acted on it is a hop of that one (detection.md §4.7), not a story of its own with the same hosts.
fn handed_on(chains: &[Chain], shared: &[Story]) -> impl Fn(&Chain) -> bool + use<> {
    let mut latest: BTreeMap<(HostId, TenantId), (Timestamp, HostId)> = BTreeMap::new();
    for chain in chains.iter().filter(|chain| chain.severity >= Severity::Medium) {
        let led = latest.entry((chain.server, chain.tenant)).or_insert((chain.contact, chain.host));
        *led = (*led).max((chain.contact, chain.host));
    }
    let staged: BTreeSet<(HostId, TenantId)> = shared
        .iter()
        .filter(|story| story.plot != Plot::Rollout)
        .flat_map(|story| story.tenants.iter().map(|tenant| (story.server, *tenant)))
        .collect();
    move |chain| {
        let of = (chain.host, chain.tenant);
        let led = latest.get(&of).is_some_and(|(at, host)| *at > chain.contact && *host != chain.server);
        led || staged.contains(&of)
    }
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
            led: Vec::new(),
        }
    }

    fn of_chains(server: HostId, chains: &[&Chain], rules: &CampaignRules) -> Self {
        let mut story = Self::of(Plot::Chain, server);
        story.chains = chains.iter().map(|chain| (*chain).clone()).collect();
        story.settle_chains(rules);
        story
    }

    /// From the first to the last of the moments at which its machines met its destinations.
    fn met(&self, usual: &Profiles) -> Option<(Timestamp, Timestamp)> {
        let cases = self.cases.iter().flat_map(|host| self.tenants.iter().filter_map(|t| usual.tie(*host, *t)));
        let all = || cases.clone().map(|tie| tie.first).chain(self.chains.iter().map(|chain| chain.contact));
        all().min().zip(all().max())
    }

    /// Adds what was known of it: a campaign that was told does not shrink while others do the same.
    pub(super) fn keep(&mut self, known: &Self) {
        self.cases.extend(&known.cases);
        self.marked.extend(&known.marked);
        self.lead(&known.led);
    }

    /// Adds machines led, the earliest contact of each.
    fn lead(&mut self, others: &[Led]) {
        for other in others {
            match self.led.iter_mut().find(|led| (led.host, led.tenant) == (other.host, other.tenant)) {
                Some(led) if other.met < led.met => *led = *other,
                Some(_) => {}
                None => self.led.push(*other),
            }
        }
        self.led.sort_by_key(|led| (led.met, led.host, led.tenant));
    }

    fn meet(&mut self, tenant: TenantId) {
        if !self.tenants.contains(&tenant) {
            self.tenants.push(tenant);
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
        met.into_iter().for_each(|(_, tenant)| self.meet(tenant));
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
        let same = other.tenants.iter().any(|tenant| self.tenants.contains(tenant));
        let (plot, severity) = (other.plot, other.severity);
        self.add(other);
        // An execution mark and a common cause confirm each other where they led to the same place.
        let hosts: BTreeSet<_> = self.chained().union(&self.cases).copied().collect();
        if same && self.severity >= Severity::Medium && hosts.len() >= rules.common_cause.min_hosts {
            (self.plot, self.severity) = (Plot::Campaign, Severity::Critical);
        } else if severity > self.severity {
            (self.plot, self.severity) = (plot, severity);
        }
    }

    /// Takes in another story of the same server and plot.
    pub(super) fn take_in(&mut self, other: Self) {
        self.severity = self.severity.max(other.severity);
        self.add(other);
    }

    /// Adds destinations, machines and the better cause; what sort of story it is stays.
    fn add(&mut self, other: Self) {
        other.tenants.into_iter().for_each(|tenant| self.meet(tenant));
        self.cases.extend(other.cases);
        self.marked.extend(other.marked);
        self.lead(&other.led);
        let better = |(_, known): &(Cause, Suspect)| other.cause.as_ref().is_some_and(|(_, new)| new.llr > known.llr);
        if self.cause.as_ref().is_none_or(better) {
            self.cause = other.cause;
        }
    }
}

/// Stories of the same server and plot are one, when they have a destination or a day in common; notices always.
fn merged(stories: Vec<Story>, usual: &Profiles) -> Vec<Story> {
    let mut all: Vec<(Story, Option<(Timestamp, Timestamp)>)> = Vec::new();
    for story in stories {
        let met = story.met(usual);
        let is_one = |(known, its): &(Story, Option<(Timestamp, Timestamp)>)| {
            (known.server, known.plot) == (story.server, story.plot)
                && (known.plot == Plot::Rollout
                    || story.tenants.iter().any(|tenant| known.tenants.contains(tenant))
                    || met.zip(*its).is_some_and(|(a, b)| are_near(a, b)))
        };
        match all.iter_mut().find(|known| is_one(known)) {
            None => all.push((story, met)),
            Some((known, its)) => {
                *its = its.zip(met).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))).or(*its).or(met);
                let fresh: Vec<Chain> =
                    story.chains.iter().filter(|chain| !known.chains.contains(chain)).cloned().collect();
                known.chains.extend(fresh);
                known.take_in(story);
            }
        }
    }
    let mut stories: Vec<Story> = all.into_iter().map(|(story, _)| story).collect();
    stories.sort_by_key(|story| (story.server, story.plot));
    stories
}

/// Seconds between two contacts from which on they are two episodes of a server unless they share a destination: a day,
/// as cases of a day are tested together (detection.md §4.5).
const EPISODE_S: f64 = 86_400.0;
