//! Downstream echo: a server was made to run code and met somebody outside, and then machines in its charge met the same
//! (`cases-and-rules.md`, CO-202).
//!
//! The common cause test is silent, by design, of a server that is in contact with everybody. Here the cause is known
//! already: an execution chain on the server itself. Measure: machines whose first contact with the chain's destination
//! came after the server's own, within a day of a contact with it. Nobody outside the story may have used the destination
//! before, and it may not be one name for all the world. Evasion: a destination for the server and another for its machines.

use super::CauseRule;
use super::case::Case;
use super::chain::Chain;
use super::cluster::cluster;
use super::ongoing::Basis;
use super::pairs::{Mark, moment};
use super::story::{Plot, Story};
use crate::detect::Severity;
use crate::profile::HostId;
use std::collections::{BTreeMap, BTreeSet};

/// The campaigns of servers that `chains` show to be taken over.
pub(super) fn echoes(chains: &[Chain], on: &Basis<'_>) -> Vec<Story> {
    let rule = &on.rules.common_cause;
    let mut stories: BTreeMap<_, Story> = BTreeMap::new();
    for chain in chains.iter().filter(|chain| rule.enabled && chain.severity >= Severity::High) {
        let key = (chain.host, chain.tenant);
        if stories.contains_key(&key) || !is_hub(chain.host, rule, on) {
            continue;
        }
        let hosts = after(chain, chains, on);
        if hosts.len() < rule.min_hosts {
            continue;
        }
        let mut story = Story::of(Plot::Campaign, chain.host);
        (story.severity, story.tenants, story.cases) = (Severity::Critical, vec![chain.tenant], hosts);
        stories.insert(key, story);
    }
    stories.into_values().collect()
}

fn is_hub(host: HostId, rule: &CauseRule, on: &Basis<'_>) -> bool {
    on.contacts.hub(host).is_some_and(|hub| hub.clients >= rule.hub_clients)
}

/// The machines that met a chain's destination after the server it is on; none where others came first.
fn after(chain: &Chain, chains: &[Chain], on: &Basis<'_>) -> BTreeSet<HostId> {
    let (server, tenant) = (chain.host, chain.tenant);
    let tie = on.usual.tie(server, tenant);
    let Some(owner) = on.usual.tenant(tenant).filter(|_| tie.is_some_and(|tie| !tie.standing.shared)) else {
        return BTreeSet::new();
    };
    let acted = |host: HostId| chains.iter().any(|c| c.tenant == tenant && (c.host == host || c.server == host));
    if owner.users.iter().any(|(host, first)| *first < chain.contact && !acted(*host)) {
        return BTreeSet::new();
    }
    let follows = |case: &&Case| {
        let met = case.contact(server, Mark::Any);
        let others = case.host != server && case.host != chain.server;
        others && case.ts > chain.contact && met.is_some_and(|at| moment(case.ts).saturating_sub(at) <= DAY_S)
    };
    cluster(tenant, on).into_iter().filter(follows).map(|case| case.host).collect()
}

/// Seconds from a contact with the server to the machine's own call: a day, what scheduled implants wait (§4.4).
const DAY_S: u32 = 86_400;
