//! Coerced authentication: a host makes a server sign in to an address of its choice (ATT&CK T1187, T1557.001; IN-111).
//!
//! Measure: a call that carries a path or a listener's name, and the callee's own connection afterwards, back to the
//! caller or to a host it never spoke to before. Benign look-alikes: print clients that ask for notifications, encrypted
//! files on a server. Evasion: a listener reached over a proxy of the same machine.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, keep};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory};
use super::renamed::Renames;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::event::Uid;
use crate::profile::{Activity, Call, HostId, Profiles, Renamed, Touch};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "coerced_authentication",
    rule: include_str!("../../rules/coerced_authentication.toml"),
    build: |text| {
        Ok(Box::new(CoercedAuthentication {
            rule: parse(text)?,
            pairs: Ledger::new(Budget::new("coerced_authentication.pairs", MAX_PAIRS, 128)),
            latest: Kept::new(Budget::new("coerced_authentication.latest", MAX_PAIRS, 0)),
        }))
    },
};

/// `rules/coerced_authentication.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    operations: Vec<String>,
    print_operations: Vec<String>,
    listener_ports: Vec<u16>,
    window_s: f64,
    asked: Severity,
    answered: Severity,
    print_answered: Severity,
    ordinary_callees: Vec<String>,
}

/// Who asked whom.
#[derive(Debug)]
struct CoercedAuthentication {
    rule: Rule,
    /// By caller and callee.
    pairs: Ledger<(HostId, HostId), Asked>,
    /// The latest caller of each callee.
    latest: Kept<HostId, HostId>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Asked {
    first: Timestamp,
    last: Timestamp,
    operation: Box<str>,
    /// All calls were for print notifications.
    print: bool,
    /// When and to whom the callee connected.
    answered: Option<(Timestamp, HostId)>,
    uids: Vec<Uid>,
}

impl Renames for Asked {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { answered: self.answered.renamed(ids)?, ..self })
    }
}

impl Detector for CoercedAuthentication {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, _: &Profiles, _: &mut Said) {
        match seen {
            Activity::Call(call) if self.rule.enabled && call.by != call.on => self.called(call),
            Activity::Touch(touch) if self.rule.listener_ports.contains(&touch.port) => self.touched(touch),
            _ => {}
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.pairs.say(which, said, |key, asked| Some(rule.tell(now, *key, asked, usual)));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.pairs.table(), self.latest.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.pairs, &mut self.latest]
    }
}

impl CoercedAuthentication {
    fn called(&mut self, call: &Call) {
        let is_in = |list: &[String]| list.iter().any(|o| **o == *call.operation);
        let print = is_in(&self.rule.print_operations);
        if !print && !is_in(&self.rule.operations) {
            return;
        }
        let asked = self.pairs.note((call.by, call.on), || Asked {
            first: call.ts,
            last: call.ts,
            operation: call.operation.clone(),
            print,
            answered: None,
            uids: Vec::new(),
        });
        asked.last = call.ts;
        if asked.print && !print {
            asked.operation = call.operation.clone();
        }
        asked.print &= print;
        keep(&mut asked.uids, call.uid);
        self.latest.insert(call.on, call.by);
    }

    /// The callee connects to its latest caller: it was told to.
    fn touched(&mut self, touch: &Touch) {
        if self.latest.get(&touch.orig) != Some(&touch.resp) {
            return;
        }
        let key = (touch.resp, touch.orig);
        let in_time = |asked: &Asked| {
            asked.answered.is_none() && (0.0..=self.rule.window_s).contains(&touch.ts.secs_since(asked.last))
        };
        if self.pairs.get(&key).is_some_and(in_time)
            && let Some(asked) = self.pairs.amend(&key)
        {
            asked.answered = Some((touch.ts, touch.resp));
        }
    }
}

impl Rule {
    fn tell(&self, now: Timestamp, (by, on): (HostId, HostId), asked: &Asked, usual: &Profiles) -> Finding {
        let ordinary = asked.print && has_role(usual, on, &self.ordinary_callees);
        let severity = match asked.answered {
            _ if ordinary => Severity::Info,
            None if asked.print => Severity::Info,
            None => self.asked,
            Some(_) if asked.print => self.print_answered,
            Some(_) => self.answered,
        };
        let (caller, server) = (usual.address_text(by), usual.address_text(on));
        let then = match asked.answered {
            Some((at, _)) => say!(
                "coerced_authentication.answered",
                lag = format!("{:.1}", at.secs_since(asked.last)),
                server = &server,
                caller = &caller,
            ),
            None => say!("coerced_authentication.silent", server = &server),
        };
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (asked.first, asked.answered.map_or(asked.last, |(at, _)| at)),
            severity,
            attack: &self.attack,
            host: on,
            role: Role::AffectedHost,
            scope: &usual.subject(by),
        };
        claim.say(
            usual,
            Words {
                title: say!("coerced_authentication.title", caller = &caller, server = &server),
                explanation: say!(
                    "coerced_authentication.explanation",
                    caller = &caller,
                    operation = &asked.operation,
                    server = &server,
                    then = then
                ),
                reasons: vec![
                    reason("operation", Value::Text(asked.operation.clone()), ""),
                    reason("callee_connected_back", Value::Count(u64::from(asked.answered.is_some())), ""),
                ],
                others: vec![Entity::host(Role::StagingServer, by, usual)],
                uids: asked.uids.clone(),
            },
        )
    }
}

/// (caller, callee) pairs held.
const MAX_PAIRS: usize = 20_000;
