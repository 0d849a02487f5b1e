//! Cohort exfiltration: many hosts send a little each to one destination that few use (ATT&CK T1567.002, T1030).
//!
//! In 2019 some 200 MB left over months from up to 132 machines: 15 kB a machine and day, which no threshold of one host
//! sees. Measure: a destination owner adopted after the fleet was known, whose users mostly send more than they receive,
//! none of them most of it, and either where loot goes or more a day than programs long settled here send to owners as rare.
//! Benign look-alikes: telemetry of a newly installed product; what sends no more than telemetry does, to somebody's own
//! name, is noted and accuses nobody. Evasion: a destination per host; no more than telemetry, to a name of one's own.

use super::beacon::reason;
use super::claim::{Claim, Words, is_rare};
use super::cue::{Cue, Group};
use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Memory, Sole};
use super::ranks::Ranks;
use super::renamed::Renames;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::profile::{Activity, Closed, HostId, Profiles, Renamed, TenantId, Tie};
use std::collections::BTreeMap;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "cohort_exfiltration",
    rule: include_str!("../../rules/cohort_exfiltration.toml"),
    build: |text| {
        Ok(Box::new(CohortExfiltration {
            rule: parse(text)?,
            since: Sole::new("cohort_exfiltration.since", None),
            settled: Sole::new("cohort_exfiltration.settled", Ranks::new()),
            noted: Ledger::new(Budget::new("cohort_exfiltration.noted", MAX_OWNERS, 512)),
        }))
    },
};

/// `rules/cohort_exfiltration.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    learn_s: f64,
    settle_s: f64,
    least_hosts: usize,
    least_fleet: u32,
    crowd_share: f64,
    least_bytes: u64,
    least_senders_share: f64,
    most_of_one: f64,
    settled_quantile: f64,
    least_daily: f64,
    most_daily: f64,
    nats: f64,
    hiding: Vec<String>,
    little: Severity,
    severity: Severity,
    hiding_severity: Severity,
}

/// What the users of each newly adopted owner moved.
#[derive(Debug)]
struct CohortExfiltration {
    rule: Rule,
    since: Sole<Option<Timestamp>>,
    /// Bytes a day by user of owners as rare that were here before, of users that mostly send.
    settled: Sole<Ranks>,
    noted: Ledger<TenantId, Cohort>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Cohort {
    first: Timestamp,
    last: Timestamp,
    /// Bytes sent and received by user.
    hosts: BTreeMap<HostId, (u64, u64)>,
    up: u64,
    told: usize,
    /// Bytes a day that programs settled here hardly ever exceed, when it was last looked.
    #[serde(default)]
    limit: f64,
    /// When that was.
    #[serde(default)]
    looked: Option<Timestamp>,
}

impl Renames for Cohort {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { hosts: self.hosts.renamed(ids)?, ..self })
    }
}

impl Detector for CohortExfiltration {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Some((closed, tenant)) = seen.sent().filter(|_| self.rule.enabled) {
            self.closed(closed, tenant, usual, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.noted.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.noted, &mut self.since, &mut self.settled]
    }
}

impl CohortExfiltration {
    fn closed(&mut self, seen: &Closed, tenant: TenantId, usual: &Profiles, said: &mut Said) {
        let since = self.since.or_begin(seen.began);
        let (Some(tie), Some(owner)) = (usual.tie(seen.host, tenant), usual.tenant(tenant)) else { return };
        let Some((_, adopted)) = owner.users.first() else { return };
        if tie.background {
            return;
        }
        if adopted.secs_since(since) < self.rule.learn_s {
            let bytes = seen.counters.orig_bytes;
            let opens = tie.up > tie.down && tie.days() > 1 && tie.opened_its_day(bytes);
            if opens && is_rare(usual, tenant, self.rule.crowd_share) {
                let daily = a_day(tie.up.saturating_sub(bytes), tie.days() - 1);
                // A back-up is no measure of what programs report.
                if daily <= self.rule.most_daily {
                    self.settled.get_mut().learn(daily);
                }
            }
            return;
        }
        let new = || Cohort {
            first: seen.began,
            last: seen.ts,
            hosts: BTreeMap::new(),
            up: 0,
            told: 0,
            limit: 0.0,
            looked: None,
        };
        let cohort = self.noted.note(tenant, new);
        cohort.last = cohort.last.max(seen.ts);
        if cohort.hosts.len() < MAX_HOSTS || cohort.hosts.contains_key(&seen.host) {
            let (up, down) = cohort.hosts.entry(seen.host).or_default();
            *up = up.saturating_add(seen.counters.orig_bytes);
            *down = down.saturating_add(seen.counters.resp_bytes);
            cohort.up = cohort.up.saturating_add(seen.counters.orig_bytes);
        }
        // Each host that joins is a sign of its own; the first ones are said when the cohort is one.
        let rule = &self.rule;
        if cohort.looked.is_some_and(|looked| seen.ts.secs_since(looked) < LOOK_S) {
            return;
        }
        (cohort.limit, cohort.looked) = (rule.limit(self.settled.get()), Some(seen.ts));
        let is_sign = |cohort| rule.is_much(tenant, cohort, usual) || rule.hides(usual.tie(seen.host, tenant));
        if cohort.hosts.len() > cohort.told && rule.holds(cohort, usual) && is_sign(cohort) {
            cohort.told = cohort.hosts.len();
            let nats = rule.nats;
            said.cues.extend(cohort.hosts.keys().map(|host| Cue {
                detector: SPEC.stem,
                ts: seen.ts,
                host: *host,
                tenant: Some(tenant),
                group: Group::Volume,
                nats,
                reason: reason("hosts_sending_together", Value::Count(cohort.hosts.len() as u64), "hosts"),
                uid: seen.uid,
            }));
        }
    }
}

impl Rule {
    #[expect(clippy::cast_precision_loss, reason = "shares of bytes")]
    fn holds(&self, cohort: &Cohort, usual: &Profiles) -> bool {
        let (hosts, fleet) = (cohort.hosts.len(), usual.fleet());
        let senders = cohort.hosts.values().filter(|(up, down)| up > down).count();
        let most = cohort.hosts.values().map(|(up, _)| *up).max().unwrap_or(0);
        hosts >= self.least_hosts
            && cohort.last.secs_since(cohort.first) >= self.settle_s
            && fleet >= self.least_fleet
            && hosts as f64 <= self.crowd_share * f64::from(fleet)
            && cohort.up >= self.least_bytes
            && senders as f64 >= self.least_senders_share * hosts as f64
            && most as f64 <= self.most_of_one * cohort.up as f64
    }

    /// Bytes a day that a program settled here hardly ever sends.
    fn limit(&self, settled: &Ranks) -> f64 {
        settled.resolved(self.settled_quantile).unwrap_or(0.0).max(self.least_daily)
    }

    /// Bytes a day that half of the cohort's hosts send.
    fn daily(tenant: TenantId, cohort: &Cohort, usual: &Profiles) -> f64 {
        let ties = cohort.hosts.keys().filter_map(|host| usual.tie(*host, tenant));
        let mut daily: Vec<f64> = ties.map(|tie| a_day(tie.up, tie.days())).collect();
        daily.sort_by(f64::total_cmp);
        daily.get(daily.len() / 2).copied().unwrap_or(0.0)
    }

    fn is_much(&self, tenant: TenantId, cohort: &Cohort, usual: &Profiles) -> bool {
        Self::daily(tenant, cohort, usual) > cohort.limit
    }

    /// Whether it goes where loot goes, or to nobody's name.
    fn hides(&self, tie: Option<&Tie>) -> bool {
        tie.is_some_and(|tie| {
            tie.is_nameless()
                || tie.standing.class.as_deref().is_some_and(|class| self.hiding.iter().any(|h| h == class))
        })
    }

    /// What goes where loot goes is told however little it is; elsewhere a new product's telemetry is noted, and nobody
    /// accused.
    const fn severity(&self, is_much: bool, hides: bool) -> Severity {
        match (hides, is_much) {
            (true, _) => self.hiding_severity,
            (false, true) => self.severity,
            (false, false) => self.little,
        }
    }

    fn tell(&self, now: Timestamp, tenant: TenantId, cohort: &Cohort, usual: &Profiles) -> Option<Finding> {
        if !self.holds(cohort, usual) {
            return None;
        }
        let (host, owner) = (*cohort.hosts.keys().next()?, usual.tenant(tenant)?);
        let tie = usual.tie(host, tenant)?;
        let destination = tie.destination(Some(&owner.key));
        let daily = Self::daily(tenant, cohort, usual);
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (cohort.first, cohort.last),
            severity: self.severity(daily > cohort.limit, self.hides(Some(tie))),
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let mut others: Vec<Entity> =
            cohort.hosts.keys().skip(1).map(|host| Entity::host(Role::AffectedHost, *host, usual)).collect();
        others.push(Entity::destination(tie));
        let hosts = cohort.hosts.len();
        let each = cohort.up / u64::try_from(hosts).unwrap_or(1).max(1) / 1000;
        Some(claim.say(
            usual,
            Words {
                title: say!("cohort_exfiltration.title", hosts = hosts, destination = &destination),
                explanation: say!(
                    "cohort_exfiltration.explanation",
                    hosts = hosts,
                    fleet = usual.fleet(),
                    all = cohort.up / 1000,
                    destination = &destination,
                    from = cohort.first.clock_beside(cohort.last),
                    each = each,
                    daily = format!("{:.0}", daily / 1000.0),
                    limit = format!("{:.0}", cohort.limit / 1000.0),
                ),
                reasons: vec![
                    reason("hosts", Value::Count(hosts as u64), "hosts"),
                    reason("bytes_out", Value::Count(cohort.up), "bytes"),
                    Evidence {
                        measure: "bytes_out_a_day_in_the_middle",
                        observed: Value::Number(daily.round()),
                        against: Against::Limit(Value::Number(cohort.limit.round())),
                        unit: "bytes",
                    },
                ],
                others,
                uids: tie.uids.clone(),
            },
        ))
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a rate, days of years")]
fn a_day(bytes: u64, days: i64) -> f64 {
    bytes as f64 / days.max(1) as f64
}

/// Owners adopted lately.
const MAX_OWNERS: usize = 100_000;
/// Seconds from look to look: it is about days.
const LOOK_S: f64 = 300.0;
/// Users counted: more are a crowd.
const MAX_HOSTS: usize = 256;
