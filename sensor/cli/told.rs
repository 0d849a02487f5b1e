//! What changed rules would have done to alerts and findings that were told before, as far as their records say.
//!
//! A record says who, by whom, to where, and holds the measures its rule asked about. So it can be told whether an entry of
//! the allow-list covers it, whether its rule is switched off, whether a measure still reaches a threshold that was raised,
//! and what severity it has now. What a lower threshold would have brought, and keys whose measure no record holds, cannot
//! be told from records: they are named, with how many claims rest on their rule, for a replay of captures.

use crate::alert::{Claim, Rules, Way};
use crate::base::Timestamp;
use crate::detect::Severity;
use crate::intel::Intel;
use crate::output::shown;
use crate::profile::{Declared, HostRole};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use toml::Value;

/// Rules in force and changed ones, and what they are held against.
pub(super) struct Change<'a> {
    pub(super) before: &'a Rules,
    pub(super) after: &'a Rules,
    pub(super) declared: &'a Declared,
    pub(super) intel: &'a Intel,
}

/// One line of `alerts.jsonl` or `findings.jsonl`, as far as it is asked about.
#[derive(Debug, Deserialize)]
struct Record {
    id: String,
    detector: String,
    severity: Severity,
    title: String,
    last_seen: f64,
    #[serde(default)]
    entities: Vec<Named>,
    #[serde(default)]
    reasons: Vec<Reason>,
    /// Alerts only.
    kind: Option<String>,
    tier: Option<u64>,
    status: Option<String>,
    allowed: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Named {
    role: String,
    ip: Option<IpAddr>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    measure: String,
    observed: serde_json::Value,
    #[serde(default)]
    unit: String,
}

/// Whether a path is of records rather than of packets: a `.jsonl` file, or the folder of a run.
pub(super) fn is_told(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "jsonl") || TOLD.iter().any(|name| path.join(name).is_file())
}

/// What the change would have hidden, labelled or made louder or quieter of the records at `paths`.
pub(super) fn preview(paths: &[PathBuf], change: &Change<'_>) -> Result<String, miette::Report> {
    let mut records: BTreeMap<(bool, String), Record> = BTreeMap::new();
    for path in paths {
        let files = TOLD.map(|name| path.join(name));
        for file in if path.is_dir() { &files[..] } else { std::slice::from_ref(path) } {
            if !path.is_dir() || file.is_file() {
                read(file, &mut records)?;
            }
        }
    }
    let changed = changed_keys(change);
    let mut text = String::new();
    let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
    for ((is_alert, _), record) in &records {
        if record.status.as_deref() == Some("absorbed") {
            continue;
        }
        let of = changed.iter().filter(|key| key.stem == record.detector);
        let mut fate = if *is_alert { allowed(record, change) } else { None };
        for key in of {
            match key.fate(record, *is_alert) {
                Known::Fate(Fate::Hidden) => fate = Some(Fate::Hidden),
                Known::Fate(other) => fate = fate.or(Some(other)),
                Known::Same => {}
                Known::Not => *unknown.entry(&key.name).or_insert(0) += 1,
            }
        }
        if let Some(fate) = fate {
            let (what, severity) = (if *is_alert { "" } else { "finding: " }, record.severity.name());
            let _ = writeln!(
                text,
                "{:<10} {severity:<8} {} {what}{}",
                fate.name(),
                shown(&record.id),
                shown(&record.title)
            );
        }
    }
    if text.is_empty() {
        text.push_str("no record changes\n");
    }
    let alerts = records.keys().filter(|(is_alert, _)| *is_alert).count();
    let _ = writeln!(text, "{alerts} alerts and {} findings read", records.len().saturating_sub(alerts));
    for key in &changed {
        let why = key.why_not();
        let rest = unknown.get(&*key.name).copied();
        if why.is_some() || rest.is_some() {
            let why = why.unwrap_or("records do not hold what it asks about");
            let rest = rest.unwrap_or(0);
            let _ =
                writeln!(text, "not told by records: {}: {why} ({rest} claims of its rule); replay captures", key.name);
        }
    }
    if changed.iter().any(|key| !JOINS.contains(&key.stem)) {
        text.push_str("not told by records: whether a campaign or chain would stand without findings that change\n");
    }
    Ok(text)
}

/// The last line about an id counts: a live sensor tells an alert anew when it grows.
fn read(file: &Path, records: &mut BTreeMap<(bool, String), Record>) -> Result<(), miette::Report> {
    let text = std::fs::read_to_string(file).map_err(|error| miette::miette!("{}: {error}", file.display()))?;
    for (at, line) in text.lines().enumerate() {
        let line_number = at.saturating_add(1);
        let record: Record = serde_json::from_str(line)
            .map_err(|error| miette::miette!("{}, line {line_number}: no alert or finding: {error}", file.display()))?;
        records.insert((record.kind.is_some(), record.id.clone()), record);
    }
    Ok(())
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Hidden,
    Allowed,
    /// Nobody answers for it any more.
    Open,
    Louder,
    Quieter,
}

impl Fate {
    const fn name(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Allowed => "allowed",
            Self::Open => "open",
            Self::Louder => "louder",
            Self::Quieter => "quieter",
        }
    }
}

/// How far it can be told.
enum Known {
    Fate(Fate),
    Same,
    Not,
}

/// Whether the allow-list covers it now and did not before, or the other way round.
fn allowed(record: &Record, change: &Change<'_>) -> Option<Fate> {
    let of = |role: &'static str| record.entities.iter().filter(move |named| named.role == role);
    let server = of("staging_server").next();
    let actor = server.or_else(|| of("affected_host").next()).and_then(|named| named.ip);
    let class = |named: &Named| named.ip.and_then(|ip| change.intel.place(named.name.as_deref(), ip).class);
    let destinations: Vec<_> = of("destination").map(|named| (named.name.as_deref(), class(named), named.ip)).collect();
    let way = Way::of(&record.detector, server.is_some(), !destinations.is_empty());
    let channels = record.reasons.iter().find(|reason| reason.measure == "channels");
    #[expect(clippy::cast_possible_truncation, reason = "a float-to-integer cast saturates")]
    let last_seen = Timestamp::from_secs(record.last_seen as i64);
    let claim = Claim {
        detector: &record.detector,
        kind: record.kind.as_deref().unwrap_or_default(),
        tier: record.tier.unwrap_or_default(),
        last_seen,
        channels: channels.and_then(|reason| reason.observed.as_str()).unwrap_or_default(),
        actor,
        roles: actor.map_or(&[], |ip| roles_of(change.declared, ip)),
        // What a server was found to be is not in a record.
        learned_hub: false,
        destinations,
        way,
    };
    match (record.allowed.is_some(), change.after.allow.label(&claim).is_some()) {
        (false, true) => Some(Fate::Allowed),
        (true, false) => Some(Fate::Open),
        _ => None,
    }
}

/// Roles the site file gives an address; who had it then is not in a record.
fn roles_of(declared: &Declared, ip: IpAddr) -> &[HostRole] {
    declared.hosts.iter().find(|host| host.addresses.contains(&ip)).map_or(&[], |host| &host.roles)
}

/// A key of a rule that is not what it was.
struct Key<'a> {
    stem: &'a str,
    /// `beacon.medium_nats`
    name: String,
    key: String,
    before: Value,
    after: Value,
    /// Severities that the rule's ladder gives, most first, with the sums they begin at now and before.
    ladder: Vec<(Severity, f64, f64)>,
    /// Other keys of the rule have the same value.
    shared: bool,
}

fn changed_keys<'a>(change: &Change<'a>) -> Vec<Key<'a>> {
    let mut keys = Vec::new();
    for ((stem, before), (_, after)) in change.before.texts().zip(change.after.texts()) {
        let (Ok(before), Ok(after)) = (before.parse::<toml::Table>(), after.parse::<toml::Table>()) else { continue };
        let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let nats = |table: &toml::Table, key: &str| table.get(key).and_then(number);
        let rungs =
            RUNGS.iter().filter_map(|(severity, key)| Some((*severity, nats(&after, key)?, nats(&before, key)?)));
        let ladder: Vec<_> = if LADDERS.iter().any(|(of, _)| *of == stem) { rungs.collect() } else { Vec::new() };
        for key in all {
            let missing = Value::Boolean(false);
            let (was, is) = (before.get(key).unwrap_or(&missing), after.get(key).unwrap_or(&missing));
            if was != is {
                keys.push(Key {
                    stem,
                    name: format!("{stem}.{key}"),
                    key: key.clone(),
                    before: was.clone(),
                    after: is.clone(),
                    ladder: ladder.clone(),
                    shared: before.values().filter(|value| *value == was).count() > 1,
                });
            }
        }
    }
    keys
}

impl Key<'_> {
    /// What its change makes of a record of its rule.
    fn fate(&self, record: &Record, is_alert: bool) -> Known {
        if self.key == "enabled" {
            return if self.after == Value::Boolean(false) { Known::Fate(Fate::Hidden) } else { Known::Same };
        }
        let observed = |measure: &str| {
            record.reasons.iter().find(|reason| reason.measure == measure).and_then(|reason| reason.observed.as_f64())
        };
        if let Some((measure, side)) = self.gate() {
            let (Some(observed), Some(limit)) = (observed(measure), number(&self.after)) else { return Known::Not };
            let reached = if side == Side::AtLeast { observed >= limit } else { observed <= limit };
            return if reached { Known::Same } else { Known::Fate(Fate::Hidden) };
        }
        if RUNGS.iter().any(|(_, key)| *key == self.key) && !self.ladder.is_empty() {
            let sum = match LADDERS.iter().find(|(of, _)| *of == self.stem) {
                Some((_, Sum::Measure(measure))) => observed(measure),
                _ => Some(record.reasons.iter().filter(|r| r.unit == "nats").filter_map(|r| r.observed.as_f64()).sum()),
            };
            let Some(sum) = sum else { return Known::Not };
            let at = |limit: fn(&(Severity, f64, f64)) -> f64| {
                self.ladder.iter().find(|rung| sum >= limit(rung)).map_or(Severity::Info, |rung| rung.0)
            };
            let (was, is) = (at(|rung| rung.2), at(|rung| rung.1));
            return match () {
                () if is == was => Known::Same,
                // Something else held it down, and still does.
                () if was > record.severity && is >= record.severity => Known::Same,
                // More than the sum decides that.
                () if is >= record.severity => Known::Not,
                () if is == Severity::Info && is_alert => Known::Fate(Fate::Hidden),
                () => Known::Fate(Fate::Quieter),
            };
        }
        let severity = |value: &Value| value.clone().try_into::<Severity>().ok();
        match (severity(&self.before), severity(&self.after)) {
            (Some(was), Some(is)) if was == record.severity && !self.shared => match () {
                () if is == Severity::Info && is_alert => Known::Fate(Fate::Hidden),
                () if is > was => Known::Fate(Fate::Louder),
                () => Known::Fate(Fate::Quieter),
            },
            (Some(was), Some(_)) if was != record.severity => Known::Same,
            _ => Known::Not,
        }
    }

    /// Why records cannot hold what it would have brought, if so.
    fn why_not(&self) -> Option<&'static str> {
        let wider = self.gate().is_some_and(|(_, side)| match (number(&self.before), number(&self.after)) {
            (Some(was), Some(is)) => (side == Side::AtLeast && is < was) || (side == Side::AtMost && is > was),
            _ => false,
        });
        let on = self.key == "enabled" && self.after == Value::Boolean(true);
        (wider || on).then_some("what it would have brought was not told")
    }

    fn gate(&self) -> Option<(&'static str, Side)> {
        let gate = GATES.iter().find(|(stem, key, ..)| *stem == self.stem && *key == self.key)?;
        Some((gate.2, gate.3))
    }
}

#[expect(clippy::cast_precision_loss, reason = "thresholds are small")]
fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
}

/// On which side of its threshold a measure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    AtLeast,
    AtMost,
}

/// What a ladder's sum is made of: a measure, or all weights in nats.
enum Sum {
    Measure(&'static str),
    Weights,
}

/// Thresholds below (or above) which nothing is told, and the measure of the reasons they are held against.
const GATES: &[(&str, &str, &str, Side)] = &[
    ("beacon", "max_p", "regularity_p", Side::AtMost),
    ("dga", "least_missing", "names_missing", Side::AtLeast),
    ("dns_tunnel", "bytes_per_day", "bytes_in_names", Side::AtLeast),
    ("enumeration", "least_hosts", "hosts_within_window", Side::AtLeast),
    ("long_connection", "told_hours", "connection_hours", Side::AtLeast),
];
/// Rules whose severity is a matter of a sum of weights.
const LADDERS: &[(&str, Sum)] = &[("beacon", Sum::Weights), ("execution_chain", Sum::Measure("surprise"))];
const RUNGS: &[(Severity, &str)] =
    &[(Severity::High, "high_nats"), (Severity::Medium, "medium_nats"), (Severity::Low, "low_nats")];
/// Rules that join others' findings.
const JOINS: &[&str] = &["common_cause", "execution_chain", "host_anomaly"];
const TOLD: [&str; 2] = ["alerts.jsonl", "findings.jsonl"];
