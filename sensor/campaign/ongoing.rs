//! What stands so far: chains and shared destinations, weighed again when something touched them.
//!
//! A step looks at what was touched since the last one. What was touched within a day is looked at again every hour,
//! within a week every six hours, because marks (a timer, a script) come later than the first contact; but only if
//! anybody went there since, without which no mark can have come.

use super::case::Case;
use super::cases::MAX_CASES;
use super::chain::{Chain, chains_on};
use super::cluster::{Cluster, by_provider, cluster, is_marked, of_day, story};
use super::contacts::Contacts;
use super::coupling::Coupling;
use super::echo::echoes;
use super::enrich::enrich;
use super::led::stories;
use super::sessions::Sessions;
use super::story::{Plot, Story, Telling, join};
use super::unsaved::Unsaved;
use super::{CampaignRules, CauseRule};
use crate::base::Timestamp;
use crate::base::stats::real;
use crate::detect::{Beacon, Severity};
use crate::profile::{HostId, Profiles, TenantId};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// Chains and shared destinations that stand.
#[derive(Debug, Default)]
pub(super) struct Ongoing {
    /// By the machine acted on.
    chains: BTreeMap<HostId, Vec<Chain>>,
    shared: BTreeMap<Cluster, Story>,
    /// Tests of the last day: their number bounds what each may claim.
    tests: VecDeque<Timestamp>,
    /// When a machine was last touched.
    warm_hosts: BTreeMap<HostId, Timestamp>,
    /// What a cluster was when it was last tested.
    tested: BTreeMap<Cluster, Tested>,
    /// When a destination last had a case, for two hours: a timer shows itself soon after.
    young: BTreeMap<TenantId, Timestamp>,
    /// Destinations with cases where somebody went since their hourly look; not saved: after a restart all are taken as such.
    stirred: HashSet<TenantId, foldhash::quality::RandomState>,
    /// What is to be saved, while somebody saves.
    pub(super) unsaved_hosts: Unsaved<HostId>,
    pub(super) unsaved_clusters: Unsaved<Cluster>,
}

/// A machine as it is saved: when it was last touched, and its chains.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct SavedChains {
    pub(super) warm: Option<Timestamp>,
    pub(super) chains: Vec<Chain>,
}

/// A cluster as it is saved: its story if it has one, what it was when it was tested, when it last had a case.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct SavedCluster {
    pub(super) cluster: Cluster,
    pub(super) story: Option<Story>,
    pub(super) tested: Option<Tested>,
    pub(super) young: Option<Timestamp>,
}

/// Cases and marked cases of a cluster, and cases before those that do not stand were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Tested {
    all: usize,
    cases: usize,
    marked: usize,
}

/// Which look it is: at what was touched just now, the hourly one, or the last when the input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    Now,
    Hourly,
    Last,
}

/// What the joins rest on.
pub(super) struct Basis<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) contacts: &'a Contacts,
    pub(super) coupling: &'a Coupling,
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
        servers: BTreeSet<HostId>,
        on: &Basis<'_>,
    ) -> bool {
        hosts.iter().for_each(|host| self.unsaved_hosts.note(*host));
        tenants.iter().for_each(|tenant| self.unsaved_clusters.note(Cluster::Tenant(*tenant)));
        self.warm_hosts.extend(hosts.iter().map(|host| (*host, now)));
        let (mut hosts, mut tenants) = (hosts, tenants);
        let hourly = now.secs().rem_euclid(HOUR_S) == 0;
        self.young.extend(tenants.iter().map(|tenant| (*tenant, now)));
        self.stirred.extend(&tenants);
        if now.secs().rem_euclid(QUARTER_S) == 0 {
            let Self { young, unsaved_clusters, .. } = self;
            young.retain(|tenant, at| {
                unsaved_clusters.stays(now.secs_since(*at) <= YOUNG_S, || Cluster::Tenant(*tenant))
            });
            tenants.extend(self.young.keys().filter(|tenant| self.stirred.contains(*tenant)));
        }
        if hourly {
            let Self { warm_hosts, unsaved_hosts, tested, unsaved_clusters, .. } = self;
            warm_hosts.retain(|host, at| unsaved_hosts.stays(now.secs_since(*at) <= WARM_S, || *host));
            hosts.extend(warm_hosts.keys());
            // What cases that are no more were when they were tested is of no use.
            tested.retain(|key, _| {
                let any = key.tenant().is_none_or(|tenant| on.contacts.cases().count(tenant) > 0);
                unsaved_clusters.stays(any, || key.clone())
            });
            // A timer shows itself hours after the first contact, a slow one days after it.
            let within = if now.secs().rem_euclid(SLOWLY_S) == 0 { CLUSTER_S } else { WARM_S };
            self.stirred.retain(|tenant| {
                match on.contacts.cases().latest(*tenant).map(|case| now.secs_since(case.ts)) {
                    Some(age) if age <= within => {
                        tenants.insert(*tenant);
                        false
                    }
                    Some(age) => age <= CLUSTER_S,
                    None => false,
                }
            });
        }
        // What goes on shows itself by and by.
        let servers = if hourly { on.coupling.servers() } else { servers };
        let led = self.weigh_led(now, &servers, on);
        self.weigh(now, &hosts, &tenants, if hourly { Look::Hourly } else { Look::Now }, on) || led
    }

    /// Somebody went to a destination; none without a case is remembered, so there are no more than cases.
    pub(super) fn stir(&mut self, tenant: TenantId, contacts: &Contacts) {
        if contacts.cases().count(tenant) > 0 {
            self.stirred.insert(tenant);
        }
    }

    /// After a restart it is not known where nobody went.
    pub(super) fn stir_all(&mut self, contacts: &Contacts) {
        self.stirred.extend(contacts.cases().tenants());
    }

    /// Weighs these between two steps; whether anything stands differently now.
    pub(super) fn glance(
        &mut self,
        now: Timestamp,
        hosts: &BTreeSet<HostId>,
        tenants: &BTreeSet<TenantId>,
        on: &Basis<'_>,
    ) -> bool {
        self.weigh(now, hosts, tenants, Look::Now, on)
    }

    /// Weighs everything there is, whatever was tested before.
    pub(super) fn settle(&mut self, now: Timestamp, on: &Basis<'_>) {
        let hosts = on.sessions.machines();
        let tenants = on.contacts.cases().tenants().collect();
        self.weigh_led(now, &on.coupling.servers(), on);
        self.weigh(now, &hosts, &tenants, Look::Last, on);
    }

    /// All that can be told.
    pub(super) fn tell(&self, on: &Basis<'_>) -> Telling {
        let chains: Vec<Chain> = self.chains.values().flatten().cloned().collect();
        let mut stories = join(&chains, self.shared.values().cloned().chain(echoes(&chains, on)), on.rules, on.usual);
        stories.iter_mut().for_each(|story| enrich(story, on.contacts, &on.rules.common_cause, on.usual));
        Telling { chains, stories }
    }

    /// Machines and destinations of what stands.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (HostId, TenantId)> {
        let chained = self.chains.values().flatten().map(|chain| (chain.host, chain.tenant));
        let cases = self
            .shared
            .values()
            .flat_map(|story| story.cases.iter().flat_map(|host| story.tenants.iter().map(|tenant| (*host, *tenant))));
        chained.chain(cases)
    }

    /// From now on it is noted what changes.
    pub(super) fn keep_track(&mut self) {
        self.unsaved_hosts.keep_track();
        self.unsaved_clusters.keep_track();
    }

    /// Machines and clusters there is anything to save of.
    pub(super) fn all(&self) -> (BTreeSet<HostId>, BTreeSet<Cluster>) {
        let hosts = self.chains.keys().chain(self.warm_hosts.keys()).copied().collect();
        let young = self.young.keys().map(|tenant| Cluster::Tenant(*tenant));
        (hosts, self.shared.keys().chain(self.tested.keys()).cloned().chain(young).collect())
    }

    pub(super) fn saved_chains(&self, host: HostId) -> Option<SavedChains> {
        let (warm, chains) = (self.warm_hosts.get(&host).copied(), self.chains.get(&host));
        let chains = chains.cloned().unwrap_or_default();
        (warm.is_some() || !chains.is_empty()).then_some(SavedChains { warm, chains })
    }

    pub(super) fn saved_cluster(&self, cluster: &Cluster) -> Option<SavedCluster> {
        let young = match cluster {
            Cluster::Tenant(tenant) => self.young.get(tenant).copied(),
            _ => None,
        };
        let (story, tested) = (self.shared.get(cluster).cloned(), self.tested.get(cluster).copied());
        let any = story.is_some() || tested.is_some() || young.is_some();
        any.then(|| SavedCluster { cluster: cluster.clone(), story, tested, young })
    }

    pub(super) fn restore_chains(&mut self, host: HostId, saved: SavedChains) {
        self.warm_hosts.extend(saved.warm.map(|at| (host, at)));
        if !saved.chains.is_empty() {
            self.chains.insert(host, saved.chains);
        }
    }

    pub(super) fn restore_cluster(&mut self, saved: SavedCluster) {
        let SavedCluster { cluster, story, tested, young } = saved;
        if let Cluster::Tenant(tenant) = &cluster {
            self.young.extend(young.map(|at| (*tenant, at)));
        }
        self.tested.extend(tested.map(|tested| (cluster.clone(), tested)));
        self.shared.extend(story.map(|story| (cluster, story)));
    }

    /// Tests of the last day: at each moment so many.
    pub(super) fn saved_tests(&self) -> Vec<(Timestamp, u32)> {
        let mut all: Vec<(Timestamp, u32)> = Vec::new();
        for at in &self.tests {
            match all.last_mut() {
                Some((last, count)) if last == at => *count = count.saturating_add(1),
                _ => all.push((*at, 1)),
            }
        }
        all
    }

    pub(super) fn restore_tests(&mut self, tests: &[(Timestamp, u32)]) {
        for (at, count) in tests {
            let room = MAX_TESTS.saturating_sub(self.tests.len());
            self.tests.extend(std::iter::repeat_n(*at, room.min(usize::try_from(*count).unwrap_or(room))));
        }
    }

    fn weigh(
        &mut self,
        now: Timestamp,
        hosts: &BTreeSet<HostId>,
        tenants: &BTreeSet<TenantId>,
        look: Look,
        on: &Basis<'_>,
    ) -> bool {
        let mut changed = false;
        if on.rules.execution_chain.enabled {
            for host in hosts {
                let chains = told(chains_on(*host, on.sessions, &on.rules.execution_chain, on.usual, on.beacons));
                let known = self.chains.get(host);
                let anew = known.map_or(!chains.is_empty(), |known| *known != chains);
                if anew {
                    self.unsaved_hosts.note(*host);
                }
                changed |= anew;
                if chains.is_empty() {
                    self.chains.remove(host);
                } else {
                    self.chains.insert(*host, chains);
                }
            }
        }
        if on.rules.common_cause.enabled {
            for tenant in tenants {
                let (key, count) = (Cluster::Tenant(*tenant), on.contacts.cases().count(*tenant));
                let quarterly = now.secs().rem_euclid(QUARTER_S) == 0 && count <= SMALL;
                if self.may_have_grown(&key, count, quarterly || look > Look::Now, &on.rules.common_cause) {
                    changed |= self.weigh_cluster(&key, &cluster(*tenant, on), now, look, on);
                }
            }
            // The day's cases hang together by rare marks only, which do not come by the minute.
            if look > Look::Now {
                for (provider, cases) in by_provider(now, on) {
                    changed |= self.weigh_cluster(&Cluster::Provider(provider), &cases, now, look, on);
                }
            }
            if look > Look::Now || self.tested.is_empty() {
                changed |= self.weigh_cluster(&Cluster::Day, &of_day(now, on), now, look.max(Look::Hourly), on);
            }
        }
        changed
    }

    /// Asks which destinations everybody uses these servers led machines to; whether anything stands differently.
    fn weigh_led(&mut self, now: Timestamp, servers: &BTreeSet<HostId>, on: &Basis<'_>) -> bool {
        let rule = &on.rules.common_cause;
        if !rule.enabled {
            return false;
        }
        // Each server's chance counts how many there are; they are asked hourly, and day by day.
        let probable_p = rule.probable_p.min(rule.false_per_day / HOURS_A_DAY);
        let mut changed = false;
        for server in servers {
            for (tenant, mut story) in stories(*server, now, probable_p, on) {
                let key = Cluster::Led(*server, tenant);
                if let Some(known) = self.shared.get(&key) {
                    story.keep(known);
                    if *known == story {
                        continue;
                    }
                }
                self.unsaved_clusters.note(key.clone());
                self.shared.insert(key, story);
                changed = true;
            }
        }
        changed
    }

    /// Asks who is behind a cluster, if it is another one than when that was last asked; whether it stands differently.
    fn weigh_cluster(&mut self, key: &Cluster, cases: &[&Case], now: Timestamp, look: Look, on: &Basis<'_>) -> bool {
        let rule = &on.rules.common_cause;
        let all = cases.len();
        let cases = cases.get(..all.min(rule.max_cases)).unwrap_or_default();
        if !self.grew(key, cases, all, look, on) {
            return false;
        }
        while self.tests.front().is_some_and(|at| now.secs_since(*at) > WARM_S) || self.tests.len() >= MAX_TESTS {
            self.tests.pop_front();
        }
        self.tests.push_back(now);
        self.unsaved_clusters.note(key.clone());
        let probable_p = rule.probable_p.min(rule.false_per_day / real(self.tests.len()));
        let known = self.shared.get(key);
        match story(key, cases, probable_p, now, on) {
            Some(story) if known == Some(&story) => false,
            Some(story) => {
                self.shared.insert(key.clone(), story);
                true
            }
            // A campaign that was told stays: others who meet the destination do not undo it.
            None if known.is_some_and(|known| known.plot == Plot::Campaign) => false,
            None => self.shared.remove(key).is_some(),
        }
    }

    /// Whether a glance at a destination may show anything.
    pub(super) fn is_due(&self, tenant: TenantId, contacts: &Contacts, rule: &CauseRule) -> bool {
        self.may_have_grown(&Cluster::Tenant(tenant), contacts.cases().count(tenant), false, rule)
    }

    /// Whether a look at a cluster of so many cases is worth it at all.
    fn may_have_grown(&self, key: &Cluster, cases: usize, marks_too: bool, rule: &CauseRule) -> bool {
        let grown = |before: &Tested| {
            // No more than so many are tested, so a crowd's further ones are not worth a look.
            let tested = cases.min(rule.max_cases).saturating_sub(before.cases);
            marks_too && (cases > before.all || before.cases >= rule.min_hosts)
                || tested >= enough(before.cases, Look::Now)
        };
        cases >= rule.min_marked_hosts && self.tested.get(key).is_none_or(grown)
    }

    /// Whether a cluster has changed enough since it was last tested: a mark came, or with many of them several, or
    /// `enough` cases. A destination that everybody comes to know gains a case every few minutes.
    fn grew(&mut self, key: &Cluster, cases: &[&Case], all: usize, look: Look, on: &Basis<'_>) -> bool {
        let rule = &on.rules.common_cause;
        // Two are enough only where code was made to run on them.
        let few = cases.len() < rule.min_hosts;
        if cases.len() < rule.min_marked_hosts || few && !cases.iter().all(|case| case.is_acted_on()) {
            return false;
        }
        let marked = cases.iter().filter(|case| is_marked(case, on)).count();
        let grew = self.tested.get(key).is_none_or(|before| {
            let more = cases.len().saturating_sub(before.cases);
            marked.abs_diff(before.marked) > before.marked / SMALL || more >= enough(before.cases, look)
        });
        if grew {
            if self.tested.len() >= MAX_TESTED {
                // What was met last has the fewest cases: to test it once more costs least.
                let out = self.tested.pop_last();
                out.into_iter().for_each(|(out, _)| self.unsaved_clusters.note(out));
            }
            self.unsaved_clusters.note(key.clone());
            self.tested.insert(key.clone(), Tested { all, cases: cases.len(), marked });
        }
        grew
    }
}

/// Further cases from which on a cluster of `cases` is worth a test: each costs the square of them.
const fn enough(cases: usize, look: Look) -> usize {
    match (look, cases) {
        (Look::Last, _) | (_, 0..FEW_CASES) => 1,
        (Look::Hourly, FEW_CASES..SMALL) => 1 + cases / 32,
        (Look::Now, FEW_CASES..32) => 3,
        (Look::Hourly | Look::Now, _) => cases / 8,
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

/// Clusters whose size is remembered: as many as can have two of all cases held.
const MAX_TESTED: usize = MAX_CASES / 2;
/// Tests counted; more in a day leave each no stricter a limit than so many do.
const MAX_TESTS: usize = 100_000;
/// Cases up to which each further one is worth a test: it is the fifth that has to be told soon.
const FEW_CASES: usize = 8;
/// Seconds after its latest case for which a cluster is looked at again at all (detection.md §4.5).
const CLUSTER_S: f64 = 604_800.0;
pub(super) const HOUR_S: i64 = 3600;
const HOURS_A_DAY: f64 = 24.0;
/// Seconds after which clusters without a case within the day are looked at again: what shows itself only then keeps a
/// timer of hours.
const SLOWLY_S: i64 = 21_600;
/// Seconds after which marks of small clusters are looked for again, cases up to which one is small, and for how long.
pub(super) const QUARTER_S: i64 = 900;
const SMALL: usize = 64;
const YOUNG_S: f64 = 7200.0;
/// Seconds for which what was touched is looked at again.
const WARM_S: f64 = 86_400.0;
/// Chains of one actor and machine that are told although they do not stand.
const MAX_FAINT: usize = 3;
