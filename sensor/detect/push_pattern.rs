//! Push pattern: a hub reaches far more machines than ever, or at an hour at which it never does (ATT&CK T1072; IN-101).
//!
//! Measure: distinct machines an hour on one port, against three times the most of its own past, and the hours of the
//! day at which it was active. What is learned is two days old, so that an attack does not teach. It is told of the server
//! alone: having been reached says nothing of a machine; what it does next does. Benign look-alikes: an emergency update.
//! Evasion: pushing within the ordinary sweep.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, manages, with_role};
use super::finding::{Against, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::renamed::{Renames, as_it_is};
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, say};
use crate::profile::{Activity, HostId, Profiles, Renamed, Touch};
use std::collections::{BTreeSet, VecDeque};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "push_pattern",
    rule: include_str!("../../rules/push_pattern.toml"),
    build: |text| {
        Ok(Box::new(PushPattern {
            rule: parse(text)?,
            noted: Ledger::new(Budget::new("push_pattern.noted", MAX_HABITS, 512)),
        }))
    },
};

/// `rules/push_pattern.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    roles: Vec<String>,
    ignored_ports: Vec<u16>,
    least_hosts: usize,
    times: usize,
    learn_hours: i64,
    quarantine_hours: i64,
    severity: Severity,
    undeclared: Severity,
}

/// Habits by hub and port.
#[derive(Debug)]
struct PushPattern {
    rule: Rule,
    noted: Ledger<(HostId, u16), Habit>,
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Habit {
    /// Hour since the epoch in which it was first seen.
    since: i64,
    hour: i64,
    /// Machines of this hour.
    now: BTreeSet<HostId>,
    /// Hours that are over but not learned yet: hour, machines.
    fresh: VecDeque<(i64, usize)>,
    /// Most machines of a learned hour, and the hours of the day learned.
    most: usize,
    hours_of_day: u32,
    odd: Option<Odd>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Odd {
    first: Timestamp,
    last: Timestamp,
    machines: usize,
    most: usize,
    /// At an hour at which it never pushed.
    wrong_hour: bool,
}

impl Renames for Habit {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { now: self.now.renamed(ids)?, odd: self.odd.renamed(ids)?, ..self })
    }
}

as_it_is!(Odd);

impl Detector for PushPattern {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, _: &mut Said) {
        if let Activity::Touch(touch) = seen
            && self.rule.enabled
            && !self.rule.ignored_ports.contains(&touch.port)
            && manages(usual, touch.orig, &self.rule.roles)
        {
            self.touched(touch);
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
        vec![&mut self.noted]
    }
}

impl PushPattern {
    fn touched(&mut self, touch: &Touch) {
        let hour = touch.ts.secs().div_euclid(3600);
        let rule = &self.rule;
        let habit = self.noted.note((touch.orig, touch.port), || Habit { since: hour, hour, ..Habit::default() });
        if habit.hour != hour {
            habit.fresh.push_back((habit.hour, habit.now.len()));
            habit.now.clear();
            habit.hour = hour;
            habit.learn(hour - rule.quarantine_hours);
        }
        if habit.now.len() < MAX_MACHINES {
            habit.now.insert(touch.resp);
        }
        let machines = habit.now.len();
        if hour - habit.since < rule.learn_hours || machines < rule.least_hosts || habit.hours_of_day == 0 {
            return;
        }
        let wrong_hour = habit.hours_of_day & (1 << hour.rem_euclid(24)) == 0;
        if !wrong_hour && machines <= habit.most.saturating_mul(rule.times) {
            return;
        }
        let most = habit.most;
        let odd = habit.odd.get_or_insert(Odd { first: touch.ts, last: touch.ts, machines: 0, most, wrong_hour });
        odd.last = touch.ts;
        odd.machines = odd.machines.max(machines);
    }
}

impl Habit {
    /// Hours up to `until` become part of what is usual.
    fn learn(&mut self, until: i64) {
        while let Some((hour, machines)) = self.fresh.front().copied().filter(|(hour, _)| *hour <= until) {
            self.fresh.pop_front();
            self.most = self.most.max(machines);
            self.hours_of_day |= 1 << hour.rem_euclid(24);
        }
    }
}

impl Rule {
    fn tell(&self, now: Timestamp, (hub, port): (HostId, u16), habit: &Habit, usual: &Profiles) -> Option<Finding> {
        let odd = habit.odd.as_ref()?;
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (odd.first, odd.last),
            severity: if has_role(usual, hub, &self.roles) { self.severity } else { self.undeclared },
            attack: &self.attack,
            host: hub,
            role: Role::StagingServer,
            scope: &port,
        };
        let server = usual.label(hub);
        let how = if odd.wrong_hour { "at an hour at which it never did" } else { "far more than it ever did" };
        Some(claim.say(
            usual,
            Words {
                title: say!(
                    "push_pattern.title",
                    server = &server,
                    machines = odd.machines,
                    port = port,
                    how = Arg::term(how),
                ),
                explanation: with_role(
                    usual,
                    hub,
                    say!(
                        "push_pattern.explanation",
                        server = &server,
                        machines = odd.machines,
                        port = port,
                        from = odd.first.clock_beside(odd.last),
                        how = Arg::term(how),
                        most = odd.most,
                    ),
                ),
                reasons: vec![
                    Evidence {
                        measure: "hosts_per_hour",
                        observed: Value::Count(odd.machines as u64),
                        against: Against::Usual(Value::Count(odd.most as u64)),
                        unit: "hosts",
                    },
                    reason("hour_never_used", Value::Count(u64::from(odd.wrong_hour)), ""),
                    reason("port", Value::Count(u64::from(port)), ""),
                ],
                others: Vec::new(),
                uids: Vec::new(),
            },
        ))
    }
}

/// (hub, port) pairs held.
const MAX_HABITS: usize = 8_192;
/// Machines counted an hour.
const MAX_MACHINES: usize = 4_096;
