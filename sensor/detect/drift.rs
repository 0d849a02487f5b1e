//! Drift: a host's days rise slowly, away from its own past, and its peers' do not (ATT&CK T1030, T1029).
//!
//! A baseline that learns can be taught: a little more every day, and in the end anything is usual (the boiling frog).
//! Measure (`detection.md` §2.6): the level of the last days against that of months, above four for three days; or the
//! distance of the last week's days from those before. Benign look-alikes: a new task, a project. Evasion: rising no faster
//! than the peers do, or less than fourfold in a month.

use super::beacon::reason;
use super::claim::{Claim, Words};
use super::finding::{Against, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, say};
use crate::profile::{Activity, Drift, Feature, HostId, Profiles};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "drift",
    rule: include_str!("../../rules/drift.toml"),
    build: |text| {
        Ok(Box::new(Drifts { rule: parse(text)?, noted: Ledger::new(Budget::new("drift.noted", MAX_NOTED, 0)) }))
    },
};

/// `rules/drift.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    features: Vec<String>,
    least_bytes: f64,
    least_count: f64,
    severity: Severity,
}

/// Rises, by host and feature.
#[derive(Debug)]
struct Drifts {
    rule: Rule,
    noted: Ledger<(HostId, Feature), (Timestamp, Timestamp, Drift)>,
}

impl Detector for Drifts {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, _: &Profiles, _: &mut Said) {
        let Activity::Drift(ts, drift) = seen else { return };
        let rule = &self.rule;
        let least = if drift.feature.unit() == "bytes" { rule.least_bytes } else { rule.least_count };
        if rule.enabled && drift.recent >= least && rule.features.iter().any(|name| name == drift.feature.name()) {
            let note = self.noted.note((drift.host, drift.feature), || (*ts, *ts, *drift));
            (note.1, note.2) = (*ts, *drift);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.noted.say(which, said, |_, (first, last, drift)| Some(rule.tell(now, (*first, *last), drift, usual)));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.noted.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.noted]
    }
}

impl Rule {
    fn tell(&self, now: Timestamp, span: (Timestamp, Timestamp), drift: &Drift, usual: &Profiles) -> Finding {
        let feature = drift.feature;
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span,
            severity: self.severity,
            attack: &self.attack,
            host: drift.host,
            role: Role::AffectedHost,
            scope: &feature.name(),
        };
        let ip = usual.address_text(drift.host);
        let what = feature.name().replace('_', " ");
        claim.say(
            usual,
            Words {
                title: say!("drift.title", host = &ip, what = Arg::term(&what)),
                explanation: say!(
                    "drift.explanation",
                    host = &ip,
                    what = Arg::term(&what),
                    recent = format!("{:.0}", drift.recent),
                    usual = format!("{:.0}", drift.usual),
                ),
                reasons: vec![
                    Evidence {
                        measure: feature.name(),
                        observed: Value::Number(drift.recent),
                        against: Against::Usual(Value::Number(drift.usual)),
                        unit: feature.unit(),
                    },
                    Evidence {
                        measure: "distance_of_the_last_week",
                        observed: Value::Number(drift.distance),
                        against: Against::Limit(Value::Number(drift.limit)),
                        unit: "",
                    },
                    reason("distance_of_the_peers", Value::Number(drift.peers_distance), ""),
                ],
                others: Vec::new(),
                uids: Vec::new(),
            },
        )
    }
}

/// Findings held.
const MAX_NOTED: usize = 20_000;
