//! Enumeration: one host asks many for their shares, sessions and users (ATT&CK T1135, T1049, T1087.002; IN-113).
//!
//! Measure: distinct machines asked within a window. Benign look-alikes: inventory, data loss prevention. Evasion: the
//! directory alone, or slowly.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role};
use super::fan::Fan;
use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::profile::{Activity, HostId, Profiles};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "enumeration",
    rule: include_str!("../../rules/enumeration.toml"),
    build: |text| {
        Ok(Box::new(Enumeration {
            rule: parse(text)?,
            fans: Ledger::new(Budget::new("enumeration.fans", MAX_FANS, 1_500)),
        }))
    },
};

/// `rules/enumeration.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    operations: Vec<String>,
    least_hosts: usize,
    window_s: f64,
    severity: Severity,
    quiet_roles: Vec<String>,
}

/// Sweeps by actor.
#[derive(Debug)]
struct Enumeration {
    rule: Rule,
    fans: Ledger<HostId, Fan>,
}

impl Detector for Enumeration {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, _: &Profiles, _: &mut Said) {
        let Activity::Call(call) = seen else { return };
        let rule = &self.rule;
        if rule.enabled && call.by != call.on && rule.operations.iter().any(|o| **o == *call.operation) {
            let fan = self.fans.note(call.by, Fan::default);
            fan.add(call.ts, call.on, call.uid, rule.least_hosts, rule.window_s);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.fans.say(which, said, |by, fan| rule.tell(now, *by, fan, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.fans.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.fans]
    }
}

impl Rule {
    fn tell(&self, now: Timestamp, by: HostId, fan: &Fan, usual: &Profiles) -> Option<Finding> {
        let span = fan.span?;
        let quiet = has_role(usual, by, &self.quiet_roles);
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span,
            severity: if quiet { Severity::Info } else { self.severity },
            attack: &self.attack,
            host: by,
            role: Role::StagingServer,
            scope: &"sweep",
        };
        let actor = usual.address_text(by);
        Some(claim.say(
            usual,
            Words {
                title: say!("enumeration.title", actor = &actor, machines = fan.reached.len()),
                explanation: say!(
                    "enumeration.explanation",
                    actor = &actor,
                    machines = fan.reached.len(),
                    from = span.0.clock_beside(span.1),
                    to = span.1.clock_beside(span.0),
                    widest = fan.widest,
                    minutes = format!("{:.0}", self.window_s / 60.0),
                ),
                reasons: vec![
                    Evidence {
                        measure: "hosts_within_window",
                        observed: Value::Count(fan.widest as u64),
                        against: Against::Limit(Value::Count(self.least_hosts as u64)),
                        unit: "hosts",
                    },
                    reason("hosts", Value::Count(fan.reached.len() as u64), "hosts"),
                ],
                others: fan.reached.iter().map(|on| Entity::host(Role::AffectedHost, *on, usual)).collect(),
                uids: fan.uids.clone(),
            },
        ))
    }
}

/// Actors held, up to 6 kB each when they sweep.
const MAX_FANS: usize = 10_000;
