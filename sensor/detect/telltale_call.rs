//! Telltale calls: operations that hardly anybody calls from afar, and that an intruder needs (ATT&CK T1003.006,
//! T1003.002, T1070.001, T1562.002; IN-110, IN-112, IN-114).
//!
//! Measure: the operation's name and who may call it. Benign look-alikes: domain controllers among themselves, the sync
//! server, backup. Evasion: SMB3 encryption hides operations within pipes.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, keep};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory};
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, say};
use crate::event::Uid;
use crate::profile::{Activity, Call, HostId, Profiles};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "telltale_call",
    rule: include_str!("../../rules/telltale_call.toml"),
    build: |text| {
        Ok(Box::new(TelltaleCall {
            rule: parse(text)?,
            calls: Ledger::new(Budget::new("telltale_call.calls", MAX_CALLS, 64)),
            directories: Kept::new(Budget::new("telltale_call.directories", MAX_DIRECTORIES, 0)),
        }))
    },
};

/// `rules/telltale_call.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    directory_operations: Vec<String>,
    call: Vec<Telltale>,
}

/// One kind of call.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Telltale {
    rule: String,
    title: String,
    operations: Vec<String>,
    attack: Vec<Box<str>>,
    severity: Severity,
    /// Roles that may call it; they go to info.
    may: Vec<String>,
    /// Domain controllers may, declared or seen to serve a directory.
    directories_may: bool,
}

/// Who called what on whom.
#[derive(Debug)]
struct TelltaleCall {
    rule: Rule,
    /// By caller, callee and position of the telltale.
    calls: Ledger<(HostId, HostId, usize), Made>,
    /// Hosts on which operations were called that domain controllers alone serve.
    directories: Kept<HostId, ()>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Made {
    first: Timestamp,
    last: Timestamp,
    times: u64,
    by_directory: bool,
    uids: Vec<Uid>,
}

as_it_is!(Made);

impl Detector for TelltaleCall {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, _: &Profiles, _: &mut Said) {
        if let Activity::Call(call) = seen
            && self.rule.enabled
            && call.by != call.on
        {
            self.called(call);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.calls.say(which, said, |key, made| rule.tell(now, *key, made, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.calls.table(), self.directories.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.calls, &mut self.directories]
    }
}

impl TelltaleCall {
    fn called(&mut self, call: &Call) {
        let is_in = |list: &[String]| list.iter().any(|o| **o == *call.operation);
        if is_in(&self.rule.directory_operations) {
            self.directories.insert(call.on, ());
        }
        let Some(kind) = self.rule.call.iter().position(|kind| is_in(&kind.operations)) else { return };
        let by_directory = self.directories.get(&call.by).is_some();
        let new = || Made { first: call.ts, last: call.ts, times: 0, by_directory, uids: Vec::new() };
        let made = self.calls.note((call.by, call.on, kind), new);
        made.last = call.ts;
        made.times = made.times.saturating_add(1);
        made.by_directory |= by_directory;
        keep(&mut made.uids, call.uid);
    }
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (by, on, kind): (HostId, HostId, usize),
        made: &Made,
        usual: &Profiles,
    ) -> Option<Finding> {
        let kind = self.call.get(kind)?;
        let is_directory = made.by_directory || has_role(usual, by, &["domain_controller".to_owned()]);
        let may = has_role(usual, by, &kind.may) || (kind.directories_may && is_directory);
        let (caller, machine) = (usual.address_text(by), usual.address_text(on));
        let operations = kind.operations.join(" or ");
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (made.first, made.last),
            severity: if may { Severity::Info } else { kind.severity },
            attack: &kind.attack,
            host: on,
            role: Role::AffectedHost,
            scope: &format!("{} by {}", kind.rule, usual.subject(by)),
        };
        Some(claim.say(
            usual,
            Words {
                title: say!("telltale_call.title", what = Arg::term(&kind.title), caller = &caller, machine = &machine),
                explanation: say!(
                    "telltale_call.explanation",
                    caller = &caller,
                    operations = &operations,
                    machine = &machine,
                    times = made.times,
                    from = made.first.clock_beside(made.last),
                    to = made.last.clock_beside(made.first),
                    role = if may { say!("telltale_call.may") } else { say!("telltale_call.may_not") },
                ),
                reasons: vec![
                    reason("calls", Value::Count(made.times), ""),
                    reason("operation", Value::Text(operations.into()), ""),
                    reason("catalogue_rule", Value::Text(kind.rule.as_str().into()), ""),
                ],
                others: vec![Entity::host(Role::StagingServer, by, usual)],
                uids: made.uids.clone(),
            },
        ))
    }
}

/// (caller, callee, kind) held.
const MAX_CALLS: usize = 20_000;
/// Domain controllers known by what is called on them.
const MAX_DIRECTORIES: usize = 4_096;
