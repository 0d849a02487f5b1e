//! Execution fan-out: one host makes code run on many within minutes (ATT&CK T1569.002, T1570, T1053.005, T1047,
//! T1021.006; IN-102 to IN-106).
//!
//! Measure: distinct machines acted on through one door within a window. Benign look-alikes: software distribution,
//! monitoring, administrators' scripts: declare them, or what they do day after day becomes their habit. Evasion: one
//! machine an hour; whose habit it is already, for whom `campaign` and `hub_suspect` are there.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role};
use super::fan::Fan;
use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::habit::{Habits, MAX_HABITS};
use super::ledger::Ledger;
use super::memory::Memory;
use super::{Deed, Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::event;
use crate::profile::{Act, Activity, HostId, Profiles};
use std::collections::BTreeMap;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "execution_fan_out",
    rule: include_str!("../../rules/execution_fan_out.toml"),
    build: |text| {
        Ok(Box::new(ExecutionFanOut {
            rule: parse(text)?,
            fans: Ledger::new(Budget::new("execution_fan_out.fans", MAX_FANS, 1_500)),
            habits: Habits::new(Budget::new("execution_fan_out.habits", MAX_HABITS, 0)),
        }))
    },
};

/// `rules/execution_fan_out.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    window_s: f64,
    least_hosts: BTreeMap<String, Door>,
    severity: Severity,
    quiet_roles: Vec<String>,
    quiet: Severity,
    habit_days: u32,
    door_days: u32,
}

/// One door.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Door {
    hosts: usize,
    rule: String,
    attack: Vec<Box<str>>,
}

/// Sweeps by actor and door.
#[derive(Debug)]
struct ExecutionFanOut {
    rule: Rule,
    fans: Ledger<(HostId, &'static str), Fan>,
    habits: Habits,
}

impl Detector for ExecutionFanOut {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, _: &mut Said) {
        if let Activity::Act(act) = seen
            && self.rule.enabled
            && act.by != act.on
            && usual.is_inside(act.by)
        {
            self.act(act);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.fans.say(which, said, |key, fan| rule.tell(now, *key, fan, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.fans.table(), self.habits.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.fans, &mut self.habits]
    }
}

impl ExecutionFanOut {
    fn act(&mut self, act: &Act) {
        let deed = Deed::of(&act.what);
        // A file placed is as good as a service made: it is what runs next.
        let counts = deed.act == event::Act::Execute || deed.channel == "file";
        let Some(door) = self.rule.least_hosts.get(deed.channel).filter(|_| counts) else { return };
        // What it does day after day, by whichever door, of those it used before: a door that is new to it is news.
        if self.habits.is_usual(act.by, deed.channel, act.ts, (self.rule.habit_days, self.rule.door_days)) {
            return;
        }
        let (least, window_s) = (door.hosts, self.rule.window_s);
        self.fans.note((act.by, deed.channel), Fan::default).add(act.ts, act.on, act.uid, least, window_s);
    }
}

impl Rule {
    fn tell(&self, now: Timestamp, (by, channel): (HostId, &str), fan: &Fan, usual: &Profiles) -> Option<Finding> {
        let span = fan.span?;
        let door = self.least_hosts.get(channel)?;
        let quiet = has_role(usual, by, &self.quiet_roles);
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span,
            severity: if quiet { self.quiet } else { self.severity },
            attack: &door.attack,
            host: by,
            role: Role::StagingServer,
            scope: &channel,
        };
        let (actor, minutes) = (usual.address_text(by), self.window_s / 60.0);
        Some(claim.say(
            usual,
            Words {
                title: say!("execution_fan_out.title", actor = &actor, machines = fan.reached.len(), channel = channel),
                explanation: say!(
                    "execution_fan_out.explanation",
                    actor = &actor,
                    machines = fan.reached.len(),
                    channel = channel,
                    from = span.0.clock_beside(span.1),
                    to = span.1.clock_beside(span.0),
                    widest = fan.widest,
                    minutes = format!("{minutes:.0}"),
                ),
                reasons: vec![
                    Evidence {
                        measure: "hosts_within_window",
                        observed: Value::Count(fan.widest as u64),
                        against: Against::Limit(Value::Count(door.hosts as u64)),
                        unit: "hosts",
                    },
                    reason("hosts", Value::Count(fan.reached.len() as u64), "hosts"),
                    reason("channel", Value::Text(channel.into()), ""),
                    reason("catalogue_rule", Value::Text(door.rule.as_str().into()), ""),
                ],
                others: fan.reached.iter().map(|on| Entity::host(Role::AffectedHost, *on, usual)).collect(),
                uids: fan.uids.clone(),
            },
        ))
    }
}

/// (actor, door) pairs held, up to 6 kB each when they sweep.
const MAX_FANS: usize = 10_000;
