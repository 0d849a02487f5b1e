//! Pollers: who else keeps the same time towards the same destination. Many since long is a product's agent and says
//! nothing; three that began within a week is one event about the destination, never one for each (`detection.md` §1.3).
//! A product that a few take up begins in the same way: told aloud is what shows another sign. Evasion: a name of one's own
//! outside the clouds, without a script and without a server that is seen to be behind it.

use super::beacon::reason;
use super::claim::{Claim, Words};
use super::finding::{Entity, Finding, Role, Severity, Value};
use crate::base::stats::real;
use crate::base::{Budget, Capped, Table, Timestamp, say};
use crate::profile::{HostId, Profiles, TenantId, Tie};
use std::collections::BTreeMap;

/// `rules/coordinated_poller.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PollerRule {
    enabled: bool,
    attack: Vec<Box<str>>,
    alike: f64,
    fleet_hosts: f64,
    fleet_share: f64,
    fleet_age_s: f64,
    new_hosts: usize,
    new_window_s: f64,
    learn_s: f64,
    crowd_share: f64,
    notable: Vec<String>,
    marked_share: f64,
    severity: Severity,
    unmarked: Severity,
}

/// Hosts that keep time, by destination owner.
#[derive(Debug)]
pub(super) struct Pollers {
    rule: PollerRule,
    by_owner: Capped<TenantId, BTreeMap<HostId, Poll>>,
}

#[derive(Clone, Copy, Debug)]
struct Poll {
    first: Timestamp,
    median_s: f64,
}

impl Pollers {
    pub(super) fn new(rule: PollerRule) -> Self {
        Self { rule, by_owner: Capped::new(Budget::new("pollers.by_owner", MAX_OWNERS, 256)) }
    }

    pub(super) fn follow(&mut self, rule: PollerRule) {
        self.rule = rule;
    }

    pub(super) fn table(&self) -> Table {
        self.by_owner.table()
    }

    /// A host was seen to keep time.
    pub(super) fn note(&mut self, (host, tenant): (HostId, TenantId), first: Timestamp, median_s: f64) {
        let polls = self.by_owner.entry(tenant, BTreeMap::new);
        if polls.len() < MAX_POLLS || polls.contains_key(&host) {
            polls.insert(host, Poll { first, median_s });
        }
    }

    /// So many have kept this time for so long that it is a product's agent.
    pub(super) fn is_fleets(&self, tenant: TenantId, median_s: f64, now: Timestamp, fleet: u32) -> bool {
        let polls = self.alike(tenant, median_s);
        let enough = self.rule.fleet_hosts.max(self.rule.fleet_share * f64::from(fleet));
        let hosts = real(polls.len());
        let first = polls.iter().map(|(_, poll)| poll.first).min();
        hosts >= enough && first.is_some_and(|first| now.secs_since(first) >= self.rule.fleet_age_s)
    }

    /// Who keeps time with an owner, to be saved: host, since when in nanoseconds, seconds between.
    pub(super) fn saved(&self, tenant: TenantId) -> Vec<(u32, i64, f64)> {
        let polls = self.by_owner.get(&tenant).into_iter().flatten();
        polls.map(|(host, poll)| (host.0, poll.first.0, poll.median_s)).collect()
    }

    /// Owners somebody keeps time with.
    pub(super) fn owners(&self) -> impl Iterator<Item = TenantId> {
        self.by_owner.iter().map(|(tenant, _)| *tenant)
    }

    /// Several hosts took up the same time towards a destination that few use.
    pub(super) fn tell(&self, now: Timestamp, tenant: TenantId, median_s: f64, usual: &Profiles) -> Option<Finding> {
        let rule = &self.rule;
        let polls = self.alike(tenant, median_s);
        let first = polls.iter().map(|(_, poll)| poll.first).min()?;
        let last = polls.iter().map(|(_, poll)| poll.first).max()?;
        let (watched, _) = usual.counts().span?;
        let owner = usual.tenant(tenant)?;
        let crowd = (rule.crowd_share * f64::from(usual.fleet())).max(f64::from(u32::try_from(rule.new_hosts).ok()?));
        let new = polls.len() >= rule.new_hosts
            && last.secs_since(first) <= rule.new_window_s
            && first.secs_since(watched) >= rule.learn_s
            && f64::from(owner.used_by()) <= crowd;
        if !rule.enabled || !new {
            return None;
        }
        // By whom it began: the same host as more of them come to be known.
        let (host, _) = polls.iter().min_by_key(|(host, poll)| (poll.first, *host))?;
        let tie = usual.tie(*host, tenant)?;
        // A new product that some take up spreads in the same way: another sign must say that it is more than that.
        let marked = polls.iter().filter(|(host, _)| usual.tie(*host, tenant).is_some_and(|tie| rule.is_marked(tie)));
        let marked = marked.count();
        let is_marked = real(marked) >= rule.marked_share * real(polls.len());
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: "coordinated_poller",
            now,
            span: (first, now),
            severity: if is_marked { rule.severity } else { rule.unmarked },
            attack: &rule.attack,
            host: *host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let mut others: Vec<Entity> = polls
            .iter()
            .filter(|(other, _)| other != host)
            .map(|(host, _)| Entity::host(Role::AffectedHost, *host, usual))
            .collect();
        others.push(Entity::destination(tie));
        Some(claim.say(
            usual,
            Words {
                title: say!("coordinated_poller.title", hosts = polls.len(), destination = &destination),
                explanation: say!(
                    "coordinated_poller.explanation",
                    hosts = polls.len(),
                    destination = &destination,
                    median = format!("{median_s:.0}"),
                    days = format!("{:.1}", last.secs_since(first) / 86_400.0),
                    from = first.clock_beside(now),
                    users = owner.used_by(),
                    fleet = usual.fleet(),
                ),
                reasons: vec![
                    reason("hosts_keeping_time", Value::Count(polls.len() as u64), "hosts"),
                    reason("hosts_with_another_sign", Value::Count(marked as u64), "hosts"),
                    reason("median_gap", Value::Number(median_s), "seconds"),
                    reason("hosts_using_destination", Value::Count(u64::from(owner.used_by())), "hosts"),
                ],
                others,
                uids: tie.uids.clone(),
            },
        ))
    }

    /// Hosts that keep this time, in order of id.
    fn alike(&self, tenant: TenantId, median_s: f64) -> Vec<(HostId, Poll)> {
        let polls = self.by_owner.get(&tenant).into_iter().flatten();
        let alike = |poll: &Poll| (poll.median_s - median_s).abs() <= self.rule.alike * median_s;
        polls.filter(|(_, poll)| alike(poll)).map(|(host, poll)| (*host, *poll)).collect()
    }
}

impl PollerRule {
    /// Whether more than a timer speaks against what a host has to do with a destination.
    fn is_marked(&self, tie: &Tie) -> bool {
        tie.standing.is_of(&self.notable) || tie.script.is_some() || tie.is_nameless()
    }
}

/// Destination owners somebody keeps time towards.
const MAX_OWNERS: usize = 20_000;
/// Hosts remembered for each, 40 bytes each: enough to tell a fleet's.
const MAX_POLLS: usize = 512;
