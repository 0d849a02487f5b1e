//! Long connection: one conversation with a rare destination for hours (ATT&CK T1071, T1572, T1219).
//!
//! Measure: duration, by RITA's steps, towards destinations hardly anybody else uses. Benign look-alikes: VPN and EDR
//! agents, chat, remote desktops of suppliers. Evasion: a new connection every hour (that is a beacon).

use super::beacon::reason;
use super::claim::{Claim, Words, is_rare};
use super::cue::{Cue, Group};
use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::event::Reach;
use crate::profile::{Activity, Closed, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "long_connection",
    rule: include_str!("../../rules/long_connection.toml"),
    build: |text| {
        Ok(Box::new(LongConnection {
            rule: parse(text)?,
            longest: Ledger::new(Budget::new("long_connection.longest", MAX_PAIRS, 32)),
        }))
    },
};

/// `rules/long_connection.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    steps: Vec<Step>,
    told_hours: f64,
    crowd_share: f64,
    severity: Severity,
}

#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    hours: f64,
    nats: f64,
}

/// The longest conversation of each host with each destination owner.
#[derive(Debug)]
struct LongConnection {
    rule: Rule,
    longest: Ledger<(HostId, TenantId), Closed>,
}

impl Detector for LongConnection {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Activity::Closed(closed) = seen
            && self.rule.enabled
            && closed.reach == Reach::Outbound
            && closed.counters.resp_pkts > 0
        {
            self.closed(closed, usual, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.longest.say(which, said, |key, closed| rule.tell(now, *key, closed, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.longest.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.longest]
    }
}

impl LongConnection {
    fn closed(&mut self, seen: &Closed, usual: &Profiles, said: &mut Said) {
        let lasted = hours(seen);
        let step = self.rule.steps.iter().filter(|step| lasted >= step.hours).map(|step| step.nats);
        let (Some(nats), Some(tenant)) = (step.reduce(f64::max), seen.tenant) else { return };
        if !is_rare(usual, tenant, self.rule.crowd_share)
            || usual.tie(seen.host, tenant).is_none_or(|tie| tie.background)
        {
            return;
        }
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(tenant),
            group: Group::Protocol,
            nats,
            reason: reason("connection_hours", Value::Number((lasted * 10.0).round() / 10.0), "hours"),
            uid: seen.uid,
        });
        let known = self.longest.get(&(seen.host, tenant)).map_or(0.0, hours);
        if lasted >= self.rule.told_hours && lasted > known {
            *self.longest.note((seen.host, tenant), || *seen) = *seen;
        }
    }
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        closed: &Closed,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (closed.began, closed.ts),
            severity: self.severity,
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let (ip, lasted) = (usual.address_text(host), hours(closed));
        Some(claim.say(
            usual,
            Words {
                title: say!(
                    "long_connection.title",
                    host = &ip,
                    destination = &destination,
                    hours = format!("{lasted:.1}"),
                ),
                explanation: say!(
                    "long_connection.explanation",
                    host = &ip,
                    destination = &destination,
                    from = closed.began.clock_beside(closed.ts),
                    hours = format!("{lasted:.1}"),
                    bytes = closed.counters.orig_bytes,
                    users = owner.used_by(),
                    fleet = usual.fleet(),
                ),
                reasons: vec![
                    Evidence {
                        measure: "connection_hours",
                        observed: Value::Number((lasted * 10.0).round() / 10.0),
                        against: Against::Limit(Value::Number(self.told_hours)),
                        unit: "hours",
                    },
                    reason("bytes_out", Value::Count(closed.counters.orig_bytes), "bytes"),
                    reason("bytes_in", Value::Count(closed.counters.resp_bytes), "bytes"),
                    reason("hosts_using_destination", Value::Count(u64::from(owner.used_by())), "hosts"),
                ],
                others: vec![Entity::destination(tie)],
                uids: vec![closed.uid],
            },
        ))
    }
}

fn hours(closed: &Closed) -> f64 {
    closed.ts.secs_since(closed.began) / 3600.0
}

/// (host, owner) pairs with a long connection, 150 bytes each.
const MAX_PAIRS: usize = 50_000;
