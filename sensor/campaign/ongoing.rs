//! What stands so far: chains and shared destinations, weighed again when something touched them.
//!
//! A step looks at what was touched since the last one. What was touched within a day is looked at again every hour,
//! because marks (a timer, a script) come later than the first contact.

use super::CampaignRules;
use super::chain::{Chain, chains_on};
use super::exposure::Exposures;
use super::sessions::Sessions;
use super::story::{Story, Telling, clusters, join, shared};
use crate::base::Timestamp;
use crate::detect::{Beacon, Severity};
use crate::profile::{HostId, Profiles, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// Chains and shared destinations that stand.
#[derive(Debug, Default)]
pub(super) struct Ongoing {
    /// By the machine acted on.
    chains: BTreeMap<HostId, Vec<Chain>>,
    shared: BTreeMap<TenantId, Story>,
    /// When a machine or a destination was last touched.
    warm_hosts: BTreeMap<HostId, Timestamp>,
    warm_tenants: BTreeMap<TenantId, Timestamp>,
}

/// What the joins rest on.
pub(super) struct Basis<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) exposures: &'a Exposures,
    pub(super) rules: &'a CampaignRules,
    pub(super) usual: &'a Profiles,
    pub(super) beacons: &'a Beacon,
}

impl Ongoing {
    /// Weighs what was touched; whether anything stands differently now.
    pub(super) fn refresh(
        &mut self,
        now: Timestamp,
        hosts: BTreeSet<HostId>,
        tenants: BTreeSet<TenantId>,
        on: &Basis<'_>,
    ) -> bool {
        self.warm_hosts.extend(hosts.iter().map(|host| (*host, now)));
        self.warm_tenants.extend(tenants.iter().map(|tenant| (*tenant, now)));
        let (mut hosts, mut tenants) = (hosts, tenants);
        if now.secs().rem_euclid(HOUR_S) == 0 {
            let warm = |at: &Timestamp| now.secs_since(*at) <= WARM_S;
            self.warm_hosts.retain(|_, at| warm(at));
            self.warm_tenants.retain(|_, at| warm(at));
            hosts.extend(self.warm_hosts.keys());
            tenants.extend(self.warm_tenants.keys());
        }
        self.weigh(&hosts, tenants, on)
    }

    /// Weighs everything there is.
    pub(super) fn settle(&mut self, on: &Basis<'_>) {
        let hosts = on.sessions.machines();
        let tenants = on.exposures.cases().map(|case| case.tenant).collect();
        self.weigh(&hosts, tenants, on);
    }

    /// All that can be told.
    pub(super) fn tell(&self, rules: &CampaignRules) -> Telling {
        let chains: Vec<Chain> = self.chains.values().flatten().cloned().collect();
        let stories = join(&chains, self.shared.values().cloned(), rules);
        Telling { chains, stories }
    }

    fn weigh(&mut self, hosts: &BTreeSet<HostId>, tenants: BTreeSet<TenantId>, on: &Basis<'_>) -> bool {
        let mut changed = false;
        if on.rules.execution_chain.enabled {
            for host in hosts {
                let chains = told(chains_on(*host, on.sessions, &on.rules.execution_chain, on.usual, on.beacons));
                changed |= !chains.is_empty() || self.chains.contains_key(host);
                if chains.is_empty() {
                    self.chains.remove(host);
                } else {
                    self.chains.insert(*host, chains);
                }
            }
        }
        if on.rules.common_cause.enabled && !tenants.is_empty() {
            let clusters = clusters(on.exposures, &tenants, on.rules, on.usual);
            for tenant in tenants {
                let cases = clusters.get(&tenant);
                let story = cases.and_then(|cases| shared(tenant, cases, on.exposures, on.rules, on.usual, on.beacons));
                changed |= story.is_some() || self.shared.contains_key(&tenant);
                match story {
                    Some(story) => self.shared.insert(tenant, story),
                    None => self.shared.remove(&tenant),
                };
            }
        }
        changed
    }
}

/// All chains that stand, and the first few of each actor that do not.
fn told(mut chains: Vec<Chain>) -> Vec<Chain> {
    chains.sort_by(|a, b| b.nats.total_cmp(&a.nats).then(a.contact.cmp(&b.contact)).then(a.tenant.cmp(&b.tenant)));
    let mut faint: BTreeMap<HostId, usize> = BTreeMap::new();
    chains.retain(|chain| {
        let count = faint.entry(chain.server).or_default();
        *count += usize::from(chain.severity == Severity::Info);
        chain.severity > Severity::Info || *count <= MAX_FAINT
    });
    chains
}

const HOUR_S: i64 = 3600;
/// Seconds for which what was touched is looked at again.
const WARM_S: f64 = 86_400.0;
/// Chains of one actor and machine that are told although they do not stand.
const MAX_FAINT: usize = 3;
