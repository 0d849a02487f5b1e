//! Generated names: a host tries many registrable names that do not exist (ATT&CK T1568.002; EG-010).
//!
//! Measure: distinct registrable names that are missing within an hour, against those that exist. Benign look-alikes:
//! mail servers checking senders, a wrong search suffix (one name above all). Evasion: a few tries an hour.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, keep};
use super::cue::{Cue, Group};
use super::finding::{Against, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::renamed::as_it_is;
use super::shown::Distinct;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::event::Uid;
use crate::profile::{Activity, HostId, Lookup, Profiles};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "dga",
    rule: include_str!("../../rules/dga.toml"),
    build: |text| {
        Ok(Box::new(Dga { rule: parse(text)?, tried: Ledger::new(Budget::new("dga.tried", MAX_HOSTS, 256)) }))
    },
};

/// `rules/dga.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    window_s: f64,
    least_missing: f64,
    least_ratio: f64,
    ignored: Vec<String>,
    quiet_roles: Vec<String>,
    nats: f64,
    severity: Severity,
}

/// What each host tried within the window.
#[derive(Debug)]
struct Dga {
    rule: Rule,
    tried: Ledger<HostId, Tried>,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Tried {
    since: Timestamp,
    missing: Distinct,
    found: Distinct,
    /// The worst window so far: when, how many missing and found.
    worst: Option<(Timestamp, Timestamp, f64, f64)>,
    examples: Vec<Box<str>>,
    uids: Vec<Uid>,
}

as_it_is!(Tried);

impl Detector for Dga {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, _: &Profiles, said: &mut Said) {
        if let Activity::Lookup(lookup) = seen
            && self.rule.enabled
        {
            self.lookup(lookup, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.tried.say(which, said, |host, tried| rule.tell(now, *host, tried, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.tried.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.tried]
    }
}

impl Dga {
    fn lookup(&mut self, seen: &Lookup, said: &mut Said) {
        let rule = &self.rule;
        let ignored = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or_default();
            !name.contains('.') || rule.ignored.iter().any(|top| top == last)
        };
        if ignored(seen.name.trim_end_matches('.')) {
            return;
        }
        let Some(owner) = &seen.owner else { return };
        let new = || Tried {
            since: seen.ts,
            missing: Distinct::new(),
            found: Distinct::new(),
            worst: None,
            examples: Vec::new(),
            uids: Vec::new(),
        };
        let tried = self.tried.note(seen.host, new);
        if seen.ts.secs_since(tried.since) > rule.window_s {
            (tried.since, tried.missing, tried.found) = (seen.ts, Distinct::new(), Distinct::new());
        }
        if !seen.missing {
            tried.found.add(owner);
            return;
        }
        if tried.missing.add(owner) && tried.examples.len() < MAX_EXAMPLES {
            tried.examples.push((&**owner).into());
        }
        keep(&mut tried.uids, seen.uid);
        let (missing, found) = (tried.missing.count(), tried.found.count());
        if missing >= rule.least_missing && missing >= rule.least_ratio * found {
            if tried.worst.is_none() {
                said.cues.push(Cue {
                    detector: SPEC.stem,
                    ts: seen.ts,
                    host: seen.host,
                    tenant: None,
                    group: Group::Protocol,
                    nats: rule.nats,
                    reason: reason("names_missing", Value::Number(missing.round()), ""),
                    uid: seen.uid,
                });
            }
            let (first, worst) = tried.worst.map_or((tried.since, 0.0), |(first, _, missing, _)| (first, missing));
            tried.worst = Some((first, seen.ts, missing.max(worst), found));
        }
    }
}

impl Rule {
    fn tell(&self, now: Timestamp, host: HostId, tried: &Tried, usual: &Profiles) -> Option<Finding> {
        let (first, last, missing, found) = tried.worst?;
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (first, last),
            severity: if has_role(usual, host, &self.quiet_roles) { Severity::Info } else { self.severity },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &"names",
        };
        let ip = usual.address_text(host);
        Some(claim.say(
            usual,
            Words {
                title: say!("dga.title", host = &ip),
                explanation: say!(
                    "dga.explanation",
                    host = &ip,
                    missing = format!("{missing:.0}"),
                    minutes = format!("{:.0}", self.window_s / 60.0),
                    examples = tried.examples.join(", "),
                    found = format!("{found:.0}"),
                ),
                reasons: vec![
                    Evidence {
                        measure: "names_missing",
                        observed: Value::Number(missing.round()),
                        against: Against::Limit(Value::Number(self.least_missing)),
                        unit: "",
                    },
                    reason("names_found", Value::Number(found.round()), ""),
                ],
                others: Vec::new(),
                uids: tried.uids.clone(),
            },
        ))
    }
}

/// Hosts held, some 700 bytes each.
const MAX_HOSTS: usize = 32_768;
/// Names given as examples.
const MAX_EXAMPLES: usize = 5;
