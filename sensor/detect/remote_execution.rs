//! Remote execution: somebody made code run, or prepared it, on another machine (ATT&CK T1021, T1047, T1053, T1569).
//!
//! Groups the acts of one host on another: which doors, which operations, how many sessions. Benign look-alike: every
//! administrator. So it is never above medium by itself; what the machine does next is `campaign`'s to judge. Evasion:
//! channels that are encrypted whole (SMB3 with encryption) show only that somebody was there.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role};
use super::finding::{Entity, Evidence, Finding, Role, Severity, Value};
use super::habit::{Habits, MAX_HABITS};
use super::ledger::Ledger;
use super::memory::Memory;
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, Word, say};
use crate::event::{self, Channel, Uid};
use crate::profile::{Act, Activity, HostId, Profiles, What};
use std::collections::BTreeMap;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "remote_execution",
    rule: include_str!("../../rules/remote_execution.toml"),
    build: |text| {
        Ok(Box::new(RemoteExecution {
            rule: parse(text)?,
            pairs: Ledger::new(Budget::new("remote_execution.pairs", MAX_PAIRS, 800)),
            habits: Habits::new(Budget::new("remote_execution.habits", MAX_HABITS, 0)),
        }))
    },
};

/// `rules/remote_execution.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    execute: BTreeMap<String, Severity>,
    prepare: Severity,
    administer: Severity,
    from_outside: Severity,
    session_from_outside: Severity,
    quiet_roles: Vec<String>,
    habit_days: u32,
    door_days: u32,
    session_gap_s: f64,
}

/// Who acted on whom.
#[derive(Debug)]
struct RemoteExecution {
    rule: Rule,
    pairs: Ledger<(HostId, HostId), Deeds>,
    habits: Habits,
}

/// What one host did to another.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Deeds {
    first: Timestamp,
    last: Timestamp,
    sessions: u32,
    acts: u32,
    /// Distinct deeds in the order they were first seen.
    kinds: Vec<Deed>,
    /// Each was through a channel that the actor uses day after day.
    by_habit: bool,
    uids: Vec<Uid>,
}

/// One kind of deed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Deed {
    /// `svcctl`, `wmi`, `file`, `rdp`, …
    #[serde(with = "crate::base::word")]
    pub(crate) channel: Word,
    pub(crate) act: event::Act,
    /// Operation, path or nothing.
    pub(crate) operation: Option<Box<str>>,
    pub(crate) endpoint: Option<Box<str>>,
    #[serde(with = "crate::base::word::maybe")]
    pub(crate) technique: Option<Word>,
}

impl Deed {
    /// What an act amounts to.
    pub(crate) fn of(what: &What) -> Self {
        match what {
            What::Execution(execution) => Self {
                channel: execution.channel.name(),
                act: execution.act,
                operation: execution.operation.clone(),
                endpoint: execution.endpoint.clone(),
                technique: execution.technique.or_else(|| technique(execution.channel)),
            },
            What::File { path, .. } => Self {
                channel: "file",
                act: event::Act::Prepare,
                operation: Some(path.clone()),
                endpoint: None,
                technique: Some("T1570"),
            },
            What::Session(protocol) => Self {
                channel: protocol,
                act: event::Act::Administer,
                operation: None,
                endpoint: None,
                technique: (*protocol == "rdp").then_some("T1021.001").or(Some("T1021")),
            },
        }
    }
}

as_it_is!(Deeds);

impl Detector for RemoteExecution {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, _: &Profiles, _: &mut Said) {
        if let Activity::Act(act) = seen {
            self.act(act);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.pairs.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.pairs.table(), self.habits.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.pairs, &mut self.habits]
    }
}

impl RemoteExecution {
    fn act(&mut self, seen: &Act) {
        if !self.rule.enabled || seen.by == seen.on {
            return;
        }
        let deed = Deed::of(&seen.what);
        let days = (self.rule.habit_days, self.rule.door_days);
        let by_habit = self.habits.is_usual(seen.by, deed.channel, seen.ts, days);
        let (kinds, uids) = (Vec::new(), Vec::new());
        let new = || Deeds { first: seen.ts, last: seen.ts, sessions: 1, acts: 0, kinds, by_habit, uids };
        let deeds = self.pairs.note((seen.by, seen.on), new);
        if deeds.first.secs_since(seen.opened) <= self.rule.session_gap_s {
            deeds.first = deeds.first.min(seen.opened);
        }
        if seen.ts.secs_since(deeds.last) > self.rule.session_gap_s {
            deeds.sessions = deeds.sessions.saturating_add(1);
        }
        deeds.last = deeds.last.max(seen.ts);
        deeds.acts = deeds.acts.saturating_add(1);
        deeds.by_habit &= by_habit;
        if deeds.kinds.len() < MAX_KINDS && !deeds.kinds.contains(&deed) {
            deeds.kinds.push(deed);
        }
        if deeds.uids.len() < MAX_UIDS && !deeds.uids.contains(&seen.uid) {
            deeds.uids.push(seen.uid);
        }
    }
}

impl Rule {
    fn severity(&self, by: HostId, deeds: &Deeds, usual: &Profiles) -> Severity {
        if !usual.is_inside(by) {
            let acted = deeds.kinds.iter().any(|deed| deed.act != event::Act::Administer);
            return if acted { self.from_outside } else { self.session_from_outside };
        }
        if has_role(usual, by, &self.quiet_roles) || deeds.by_habit {
            return Severity::Info;
        }
        let of = |deed: &Deed| match deed.act {
            event::Act::Execute => self.execute.get(deed.channel).copied().unwrap_or(Severity::Medium),
            event::Act::Prepare => self.prepare,
            event::Act::Administer => self.administer,
        };
        deeds.kinds.iter().map(of).max().unwrap_or(Severity::Info).min(Severity::Medium)
    }

    fn tell(&self, now: Timestamp, (by, on): (HostId, HostId), deeds: &Deeds, usual: &Profiles) -> Option<Finding> {
        let severity = self.severity(by, deeds, usual);
        let executed = deeds.kinds.iter().any(|deed| deed.act == event::Act::Execute);
        let prepared = deeds.kinds.iter().any(|deed| deed.act == event::Act::Prepare);
        let verb = match () {
            () if executed => "made code run on",
            () if prepared => "prepared something on",
            () => "administered",
        };
        let inside = usual.is_inside(by);
        let outside = if inside { say!("remote_execution.inside") } else { say!("remote_execution.outside") };
        let mut attack: Vec<Box<str>> = deeds.kinds.iter().filter_map(|d| d.technique).map(Into::into).collect();
        attack.sort_unstable();
        attack.dedup();
        let (actor, machine) = (usual.address_text(by), usual.address_text(on));
        let role = if usual.is_inside(by) { Role::StagingServer } else { Role::Destination };
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (deeds.first, deeds.last),
            severity,
            attack: &attack,
            host: by,
            role,
            scope: &usual.subject(on),
        };
        let words = Words {
            title: say!("remote_execution.title", actor = &actor, verb = Arg::term(verb), machine = &machine),
            explanation: say!(
                "remote_execution.explanation",
                actor = &actor,
                verb = Arg::term(verb),
                machine = &machine,
                doors = doors(&deeds.kinds),
                from = deeds.first.clock_beside(deeds.last),
                to = deeds.last.clock_beside(deeds.first),
                acts = deeds.acts,
                sessions = deeds.sessions,
                outside = outside,
            ),
            reasons: reasons(deeds),
            others: vec![Entity::host(Role::AffectedHost, on, usual)],
            uids: deeds.uids.clone(),
        };
        Some(claim.say(usual, words))
    }
}

/// What was counted. Sealed WS-Management shows no operations, and what is not known is left out.
fn reasons(deeds: &Deeds) -> Vec<Evidence> {
    let mut reasons = vec![
        reason("acts", Value::Count(u64::from(deeds.acts)), ""),
        reason("sessions", Value::Count(u64::from(deeds.sessions)), ""),
        reason("channels", Value::Text(channels(&deeds.kinds).into()), ""),
    ];
    let operations = operations(&deeds.kinds);
    if !operations.is_empty() {
        reasons.push(reason("operations", Value::Text(operations.into()), ""));
    }
    reasons
}

/// The doors used and what was called through them, for a sentence: `svcctl over SMB (CreateServiceW, StartServiceW)`.
/// Calls that run or place something come before those that only look.
pub(crate) fn doors(kinds: &[Deed]) -> String {
    let mut channels: Vec<&str> = Vec::new();
    for deed in kinds {
        if !channels.contains(&deed.channel) {
            channels.push(deed.channel);
        }
    }
    let acts = |channel: &&str| kinds.iter().any(|d| d.channel == *channel && d.act != event::Act::Administer);
    channels.sort_by_key(|channel| !acts(channel));
    let words: Vec<String> = channels.iter().map(|channel| door(channel, kinds, acts(channel))).collect();
    words.join(" and ")
}

fn door(channel: &str, kinds: &[Deed], acts: bool) -> String {
    let mine = || kinds.iter().filter(|deed| deed.channel == channel);
    let over = mine().find_map(|deed| deed.endpoint.as_deref()).map_or("", |endpoint| match endpoint {
        e if e.starts_with("ncacn_np") => " over SMB",
        e if e.starts_with("ncacn_ip_tcp") => " over TCP",
        _ => "",
    });
    let mut named: Vec<&str> = Vec::new();
    for deed in mine().filter(|deed| !acts || deed.act != event::Act::Administer) {
        if let Some(operation) = deed.operation.as_deref().filter(|o| named.len() < MAX_NAMED && !named.contains(o)) {
            named.push(operation);
        }
    }
    if named.is_empty() { format!("{channel}{over}") } else { format!("{channel}{over} ({})", named.join(", ")) }
}

/// Channels, each once, in the order they were used.
pub(crate) fn channels(kinds: &[Deed]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for deed in kinds {
        if !seen.contains(&deed.channel) {
            seen.push(deed.channel);
        }
    }
    seen.join(", ")
}

fn operations(kinds: &[Deed]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for operation in kinds.iter().filter_map(|deed| deed.operation.as_deref()) {
        if !seen.contains(&operation) {
            seen.push(operation);
        }
    }
    seen.join(", ")
}

/// What a channel is used for when the act itself names no technique.
const fn technique(channel: Channel) -> Option<&'static str> {
    Some(match channel {
        Channel::Winrm => "T1021.006",
        Channel::Svcctl | Channel::Psexec => "T1569.002",
        Channel::Atsvc => "T1053.002",
        Channel::Tasksched => "T1053.005",
        Channel::Wmi => "T1047",
        Channel::Dcom => "T1021.003",
        Channel::Winreg => "T1112",
        Channel::Rdp => "T1021.001",
        Channel::Ssh => "T1021.004",
        Channel::Eventlog => "T1070.001",
        Channel::Drsuapi => "T1003.006",
        Channel::Shutdown => "T1529",
        Channel::MgmtPort => "T1072",
    })
}

/// (by, on) pairs held.
const MAX_PAIRS: usize = 200_000;
/// Kinds of deeds remembered for a pair; more says no more.
const MAX_KINDS: usize = 48;
/// Flows named for a pair.
const MAX_UIDS: usize = 16;
/// Operations named in a sentence for one channel.
const MAX_NAMED: usize = 4;
