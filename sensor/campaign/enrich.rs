//! Further destinations of a story: those its hosts share beyond chance (detection.md §8).
//!
//! A controller that changes its name every day is met by the same hosts under each. For a destination used by n hosts
//! of N, k of them among the story's K, the chance is hypergeometric; Benjamini–Hochberg over every destination those
//! hosts began to use, not only those that look shared, because these were chosen by looking.

use super::CauseRule;
use super::contacts::Contacts;
use super::scoping::UNSEEN_PER_SEEN;
use super::story::{Plot, Story};
use super::tails::{below_false_share, hypergeometric};
use crate::base::Timestamp;
use crate::profile::{HostId, Profiles, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// Adds to a story what its hosts share, and then what those who share it have in common, three times at the most.
pub(super) fn enrich(story: &mut Story, contacts: &Contacts, rule: &CauseRule, usual: &Profiles) {
    if matches!(story.plot, Plot::Rollout | Plot::Chain) {
        return;
    }
    let begin = story.begin(usual);
    let mut hosts: BTreeSet<HostId> = story.chained().union(&story.cases).copied().collect();
    for _ in 0..ROUNDS {
        let found = shared(&hosts, begin, contacts, rule, usual);
        let new: Vec<(TenantId, f64)> = found
            .into_iter()
            .filter(|(tenant, _)| !story.tenants.contains(tenant) && !story.enriched.iter().any(|(t, _)| t == tenant))
            .collect();
        if new.is_empty() || story.enriched.len() >= MAX_ENRICHED {
            break;
        }
        for (tenant, p) in new {
            let users = usual.tenant(tenant).map(|owner| owner.users.as_slice()).unwrap_or_default();
            let since = users.iter().filter(|(_, first)| *first >= begin).map(|(host, _)| *host);
            let others: Vec<HostId> = since.filter(|host| !hosts.contains(host)).collect();
            // What more others met than its own hosts leads to everybody and not to a campaign's next one; what so many more
            // met than would be unseen is a service that others take up, and some of the story's hosts with them.
            let own = users.iter().filter(|(host, _)| hosts.contains(host)).count();
            if others.len() > own.saturating_mul(UNSEEN_PER_SEEN) {
                continue;
            }
            if others.len() <= own {
                hosts.extend(others);
            }
            story.enriched.push((tenant, p));
        }
        story.enriched.truncate(MAX_ENRICHED);
    }
}

/// Destinations that `hosts` began to use since the story began and that few others use, with the chance of it.
fn shared(
    hosts: &BTreeSet<HostId>,
    begin: Timestamp,
    contacts: &Contacts,
    rule: &CauseRule,
    usual: &Profiles,
) -> Vec<(TenantId, f64)> {
    let mut met: BTreeMap<TenantId, BTreeSet<HostId>> = BTreeMap::new();
    let of_hosts = hosts.iter().flat_map(|host| contacts.cases().of_host(*host));
    for case in of_hosts.filter(|case| case.ts >= begin) {
        met.entry(case.tenant).or_default().insert(case.host);
    }
    let (fleet, cases) = (usual.fleet(), u32::try_from(hosts.len()).unwrap_or(u32::MAX));
    let chance = |(tenant, by): (&TenantId, &BTreeSet<HostId>)| {
        let owner = usual.tenant(*tenant)?;
        let k = u32::try_from(by.len()).unwrap_or(u32::MAX);
        // What the site used long before is nobody's new controller.
        let old = owner.users.first().is_none_or(|(_, first)| begin.secs_since(*first) > BEFORE_S);
        let stands =
            by.iter().all(|host| usual.tie(*host, *tenant).is_some_and(|tie| !tie.under_way && !tie.background));
        let p = if k < 2 || old || !stands { 1.0 } else { hypergeometric(fleet, cases, owner.used_by().max(k), k) };
        Some((*tenant, p))
    };
    let mut all: Vec<(TenantId, f64)> = met.iter().filter_map(chance).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let p: Vec<f64> = all.iter().map(|(_, p)| *p).collect();
    all.truncate(below_false_share(&p, rule.enriched_share));
    all
}

/// Rounds of scoping (detection.md §8).
const ROUNDS: usize = 3;
/// Destinations added to one story.
const MAX_ENRICHED: usize = 32;
/// Seconds before the story's beginning in which a destination may have been met for the first time (§8).
const BEFORE_S: f64 = 604_800.0;
