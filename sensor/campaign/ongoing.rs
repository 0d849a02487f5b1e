//! What stands so far: chains and shared destinations, weighed again when something touched them.
//!
//! A step looks at what was touched since the last one. What was touched within a day is looked at again every hour,
//! because marks (a timer, a script) come later than the first contact.

use super::CampaignRules;
use super::case::Case;
use super::chain::{Chain, chains_on};
use super::cluster::{Cluster, clusters, is_marked, of_day, story};
use super::contacts::Contacts;
use super::sessions::Sessions;
use super::story::{Plot, Story, Telling, join};
use super::tails::real;
use crate::base::Timestamp;
use crate::detect::{Beacon, Severity};
use crate::profile::{HostId, Profiles, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// Chains and shared destinations that stand.
#[derive(Debug, Default)]
pub(super) struct Ongoing {
    /// By the machine acted on.
    chains: BTreeMap<HostId, Vec<Chain>>,
    shared: BTreeMap<Cluster, Story>,
    /// Clusters tested within a day: their number bounds what each may claim.
    tested: BTreeMap<Cluster, Timestamp>,
    /// When a machine or a destination was last touched.
    warm_hosts: BTreeMap<HostId, Timestamp>,
    warm_tenants: BTreeMap<TenantId, Timestamp>,
    /// Cases and marked cases a cluster had when it was last tested.
    sizes: BTreeMap<Cluster, (usize, usize)>,
}

/// What the joins rest on.
pub(super) struct Basis<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) contacts: &'a Contacts,
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
        self.weigh(now, &hosts, &tenants, on)
    }

    /// Weighs everything there is, whatever was tested before.
    pub(super) fn settle(&mut self, now: Timestamp, on: &Basis<'_>) {
        let hosts = on.sessions.machines();
        let tenants = on.contacts.cases().map(|case| case.tenant).collect();
        self.sizes.clear();
        self.weigh(now, &hosts, &tenants, on);
    }

    /// All that can be told.
    pub(super) fn tell(&self, rules: &CampaignRules) -> Telling {
        let chains: Vec<Chain> = self.chains.values().flatten().cloned().collect();
        let stories = join(&chains, self.shared.values().cloned(), rules);
        Telling { chains, stories }
    }

    fn weigh(
        &mut self,
        now: Timestamp,
        hosts: &BTreeSet<HostId>,
        tenants: &BTreeSet<TenantId>,
        on: &Basis<'_>,
    ) -> bool {
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
            let clusters = clusters(on.contacts, tenants, on);
            // The day's cases hang together by rare marks only, which do not come by the minute.
            let hourly = self.sizes.is_empty() || now.secs().rem_euclid(HOUR_S) == 0;
            let day = if hourly { of_day(on.contacts, now, on) } else { Vec::new() };
            let all = clusters.iter().map(|(tenant, cases)| (Cluster::Tenant(*tenant), cases));
            let all = all.chain(hourly.then_some((Cluster::Day, &day)));
            let all: Vec<_> = all.filter(|(key, cases)| self.grew(*key, cases, on)).collect();
            self.tested.retain(|_, at| now.secs_since(*at) <= WARM_S);
            self.tested.extend(all.iter().map(|(key, _)| (*key, now)));
            let rule = &on.rules.common_cause;
            let probable_p = rule.probable_p.min(rule.false_per_day / real(self.tested.len().max(1)));
            for (key, cases) in all {
                let story = story(key, cases, probable_p, now, on);
                changed |= story.is_some();
                match story {
                    Some(story) => self.shared.insert(key, story),
                    // A campaign that was told stays: others who meet the destination do not undo it.
                    None if self.shared.get(&key).is_some_and(|known| known.plot == Plot::Campaign) => None,
                    None => {
                        let known = self.shared.remove(&key);
                        changed |= known.is_some();
                        known
                    }
                };
            }
        }
        changed
    }
}

impl Ongoing {
    /// Whether a cluster has changed enough since it was last tested: a mark came, or an eighth more cases. A destination
    /// that everybody comes to know gains a case every few minutes, and each test costs the square of them.
    fn grew(&mut self, key: Cluster, cases: &[&Case], on: &Basis<'_>) -> bool {
        let marked = cases.iter().filter(|case| is_marked(case, on)).count();
        let known = self.sizes.get(&key).copied();
        let grew =
            known.is_none_or(|(before, marks)| marked != marks || cases.len() > before.saturating_add(before / 8));
        if grew {
            if self.sizes.len() >= MAX_SIZES {
                self.sizes.pop_first();
            }
            self.sizes.insert(key, (cases.len(), marked));
        }
        grew
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

/// Clusters whose size is remembered; the oldest destination's makes room and is tested once more than it need be.
const MAX_SIZES: usize = 20_000;
const HOUR_S: i64 = 3600;
/// Seconds for which what was touched is looked at again.
const WARM_S: f64 = 86_400.0;
/// Chains of one actor and machine that are told although they do not stand.
const MAX_FAINT: usize = 3;
