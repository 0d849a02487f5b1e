//! New service: many hosts of several networks take up within days what hardly anybody used before.
//!
//! Not a sign but what somebody wants to know who reads one (`detection.md` §2.6): a new product comes like this, and so
//! does what an attacker makes a fleet load. So it is a notice, and nothing else is judged more mildly for it. Measure:
//! users now against those of a week ago, their share of the fleet, their networks and roles.

use super::beacon::reason;
use super::claim::{Claim, Words};
use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Memory, Sole};
use super::renamed::Renames;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::stats::common;
use crate::base::{Budget, Table, Timestamp, say};
use crate::profile::{Activity, Contact, HostId, Profiles, Renamed, Tenant, TenantId};
use std::collections::BTreeSet;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "new_service",
    rule: include_str!("../../rules/new_service.toml"),
    build: |text| {
        Ok(Box::new(NewService {
            rule: parse(text)?,
            since: Sole::new("new_service.since", None),
            today: Sole::new("new_service.today", (0, 0)),
            noted: Ledger::new(Budget::new("new_service.noted", MAX_NOTED, 64)),
        }))
    },
};

/// `rules/new_service.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    learn_s: f64,
    window_s: f64,
    growth: f64,
    least_share: f64,
    least_hosts: u32,
    least_groups: usize,
    most_a_day: u32,
    severity: Severity,
    beyond: Severity,
}

/// Services that many took up.
#[derive(Debug)]
struct NewService {
    rule: Rule,
    since: Sole<Option<Timestamp>>,
    /// The day, and how many were told on it.
    today: Sole<(i64, u32)>,
    noted: Ledger<TenantId, TakenUp>,
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct TakenUp {
    first: Timestamp,
    last: Timestamp,
    hosts: u32,
    before: u32,
    groups: u32,
    told: bool,
}

impl Renames for TakenUp {
    fn renamed(self, _: &Renamed) -> Option<Self> {
        Some(self)
    }
}

impl Detector for NewService {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, _: &mut Said) {
        if let Activity::Contact(contact) = seen
            && self.rule.enabled
            && contact.first
            && !contact.background
        {
            self.first(contact, usual);
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
        vec![&mut self.noted, &mut self.since, &mut self.today]
    }
}

impl NewService {
    fn first(&mut self, seen: &Contact, usual: &Profiles) {
        let since = self.since.or_begin(seen.ts);
        let rule = &self.rule;
        let Some(owner) = usual.tenant(seen.tenant) else { return };
        let hosts = owner.used_by();
        if f64::from(hosts) < common(rule.least_hosts, rule.least_share, usual.fleet())
            || seen.ts.secs_since(since) < rule.learn_s
        {
            return;
        }
        if let Some(known) = self.noted.get(&seen.tenant) {
            // It is told again when it is twice as many; or at last, when there was no room before.
            if hosts >= known.hosts.saturating_mul(2) {
                let told = known.told || self.has_room(seen.ts);
                if let Some(known) = self.noted.amend(&seen.tenant) {
                    (known.hosts, known.last, known.told) = (hosts, seen.ts, told);
                }
            }
            return;
        }
        let Some((first, before)) = rule.before(owner, seen.ts) else { return };
        // Of what was there in the first week, nobody knows before a week after it how many used it a week ago.
        if first.secs_since(since) < rule.learn_s && seen.ts.secs_since(since) < rule.learn_s + rule.window_s {
            return;
        }
        if f64::from(hosts) < rule.growth * f64::from(before) {
            return;
        }
        let groups: BTreeSet<u32> = owner.users.iter().map(|(host, _)| usual.group_of(*host)).collect();
        if groups.len() < rule.least_groups {
            return;
        }
        let (told, groups) = (self.has_room(seen.ts), u32::try_from(groups.len()).unwrap_or(u32::MAX));
        self.noted.note(seen.tenant, || TakenUp { first, last: seen.ts, hosts, before, groups, told });
    }

    /// Takes one of the day's notices, if one is left.
    fn has_room(&mut self, ts: Timestamp) -> bool {
        let (day, told) = self.today.get_mut();
        if *day < ts.utc_day() {
            (*day, *told) = (ts.utc_day(), 0);
        }
        *told = told.saturating_add(1);
        *told <= self.rule.most_a_day
    }
}

impl Rule {
    /// When the first user came, and how many there were before the window; `None` when nobody knows any more.
    fn before(&self, owner: &Tenant, now: Timestamp) -> Option<(Timestamp, u32)> {
        let is_before = |(_, first): &&(HostId, Timestamp)| now.secs_since(*first) > self.window_s;
        let (_, first) = owner.users.first()?;
        // Of those beyond the list it is known only that they came after the list's last.
        if owner.more > 0 && owner.users.last().as_ref().is_some_and(is_before) {
            return None;
        }
        Some((*first, u32::try_from(owner.users.iter().filter(is_before).count()).unwrap_or(u32::MAX)))
    }

    fn tell(&self, now: Timestamp, tenant: TenantId, note: &TakenUp, usual: &Profiles) -> Option<Finding> {
        let owner = usual.tenant(tenant)?;
        let (host, tie) = owner.users.iter().find_map(|(host, _)| Some((*host, usual.tie(*host, tenant)?)))?;
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (note.first, note.last),
            severity: if note.told { self.severity } else { self.beyond },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let destination = tie.destination(Some(&owner.key));
        Some(claim.say_of_nobody(Words {
            title: say!("new_service.title", hosts = note.hosts, destination = &destination),
            explanation: say!(
                "new_service.explanation",
                hosts = note.hosts,
                fleet = usual.fleet(),
                groups = note.groups,
                destination = &destination,
                from = note.first.clock_beside(note.last),
                before = note.before,
            ),
            reasons: vec![
                Evidence {
                    measure: "hosts_using_it",
                    observed: Value::Count(note.hosts.into()),
                    against: Against::Usual(Value::Count(note.before.into())),
                    unit: "hosts",
                },
                reason("networks_and_roles", Value::Count(note.groups.into()), ""),
                reason("fleet", Value::Count(usual.fleet().into()), "hosts"),
            ],
            others: vec![Entity::destination(tie)],
            uids: tie.uids.clone(),
        }))
    }
}

/// Services held.
const MAX_NOTED: usize = 20_000;
