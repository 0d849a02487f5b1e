//! What has been said so far, and what a reader has not been told yet.
//!
//! Findings and alerts are kept by id: said again, they replace what was said under it, and keep the moment they were
//! first said. An alert that another one explains now is told once more, as absorbed.

use super::absorb::teller;
use super::fuse::{Context, chain_finding, fuse};
use super::snapshot::Unsaved;
use super::{Alert, Claim, Stated, Status, Unseen, Way};
use crate::base::{Budget, Capped, Table, Timestamp};
use crate::campaign::Telling;
use crate::detect::{Entity, Finding, Role, Severity, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Findings, stories and the alerts they make.
#[derive(Debug)]
pub(crate) struct Book {
    /// For the record.
    quiet: Capped<Box<str>, Finding>,
    /// From `low` on: these make alerts.
    pub(super) loud: Capped<Box<str>, Finding>,
    /// Those that made room for others and were not handed out yet.
    parted: Vec<Finding>,
    pub(super) telling: Telling,
    pub(super) alerts: BTreeMap<Box<str>, Alert>,
    pub(super) changed: bool,
    /// Some alert has changed in figures and was not told again yet.
    waiting: bool,
    /// What is to be saved, while somebody saves.
    pub(super) unsaved: Option<Unsaved>,
    /// Alerts and findings of the run before this one.
    pub(super) before: BTreeSet<Box<str>>,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self::within(MAX_FINDINGS)
    }

    fn within(findings: usize) -> Self {
        Self {
            quiet: Capped::new(Budget::new("book.quiet", findings, 1_500)),
            loud: Capped::new(Budget::new("book.loud", MAX_LOUD, 1_500)),
            parted: Vec::new(),
            telling: Telling::default(),
            alerts: BTreeMap::new(),
            changed: false,
            waiting: false,
            unsaved: None,
            before: BTreeSet::new(),
        }
    }

    /// Takes in what detectors found.
    pub(crate) fn found(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for mut finding in findings {
            let (quiet, loud) = (self.quiet.remove(&*finding.id), self.loud.remove(&*finding.id));
            self.changed |= loud.is_some() || finding.severity > Severity::Info;
            let loud_before = loud.is_some();
            if let Some(first) = quiet.or(loud).map(|known| known.time) {
                finding.time = first;
            }
            let shelf = if finding.severity > Severity::Info { &mut self.loud } else { &mut self.quiet };
            if let Some(unsaved) = self.unsaved.as_mut().filter(|_| loud_before || finding.severity > Severity::Info) {
                unsaved.findings.insert(finding.id.clone());
            }
            self.parted.extend(shelf.insert(finding.id.clone(), finding).map(|(_, parted)| parted));
        }
    }

    /// Findings that made room for others since the last call: nothing else will say them.
    pub(crate) fn parted(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.parted)
    }

    /// Takes in what the campaign stage has to tell, all of it.
    pub(crate) fn told(&mut self, telling: Telling) {
        self.telling = telling;
        self.changed = true;
    }

    /// Makes the alerts that stand now; those that are new, changed or absorbed come back. What changed in figures alone
    /// comes back at the full hour: a reader needs no new version every five minutes.
    pub(crate) fn settle(&mut self, at: &Context<'_>) -> Vec<Alert> {
        let hourly = at.now.secs().rem_euclid(HOUR_S) == 0;
        let due = hourly && self.waiting;
        if !(std::mem::take(&mut self.changed) || due) {
            return Vec::new();
        }
        self.waiting &= !hourly;
        self.make(at, hourly)
    }

    fn make(&mut self, at: &Context<'_>, all: bool) -> Vec<Alert> {
        let made = fuse(&self.telling, self.loud.iter().map(|(_, finding)| finding), at);
        let mut before = std::mem::take(&mut self.alerts);
        let mut fresh = Vec::new();
        for mut alert in made {
            label(&mut alert, at);
            let known = before.remove(&*alert.finding.id);
            if let Some(known) = &known {
                alert.finding.time = known.finding.time;
            }
            match known {
                Some(known) if is_the_same(&known, &alert) => {}
                Some(known) if !all && says_the_same(&known, &alert) => {
                    self.waiting = true;
                    alert = known;
                }
                _ => fresh.push(alert.clone()),
            }
            self.alerts.insert(alert.finding.id.clone(), alert);
        }
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.alerts.extend(fresh.iter().map(|alert| alert.finding.id.clone()).chain(before.keys().cloned()));
        }
        let absorbed = before.into_values().map(|alert| {
            let absorbed_by = teller(&alert, self.alerts.values());
            Alert { status: Status::Absorbed, absorbed_by, ..alert }
        });
        fresh.extend(absorbed);
        fresh.sort_by(|a, b| order(&a.finding).cmp(&order(&b.finding)));
        fresh
    }

    /// Everything that stands, by first_seen, then id.
    pub(crate) fn close(mut self, at: &Context<'_>) -> (Vec<Stated>, Vec<Alert>) {
        self.make(at, true);
        let chains: Vec<Finding> = self.telling.chains.iter().map(|chain| chain_finding(chain, at)).collect();
        let mut findings: Vec<Finding> = self.left(chains);
        findings.sort_by(|a, b| order(a).cmp(&order(b)));
        let mut unseen = Unseen::new(at.usual);
        let findings = findings.into_iter().map(|finding| unseen.state(finding)).collect();
        let mut alerts: Vec<Alert> = self.alerts.into_values().collect();
        alerts.sort_by(|a, b| order(&a.finding).cmp(&order(&b.finding)));
        (findings, alerts)
    }

    /// The findings that nobody was handed yet, and `chains`, the latest of an id with the moment it was first said. At the
    /// end everything is said once more, and that may be more than there is room for.
    fn left(&mut self, chains: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
        let parted = std::mem::take(&mut self.parted);
        let held = self.quiet.iter().chain(self.loud.iter()).map(|(_, finding)| finding.clone());
        let mut left: BTreeMap<Box<str>, Finding> = BTreeMap::new();
        for mut finding in parted.into_iter().chain(held).chain(chains) {
            if let Some(before) = left.get(&finding.id) {
                finding.time = finding.time.min(before.time);
            }
            left.insert(finding.id.clone(), finding);
        }
        left.into_values().collect()
    }

    /// Its tables as they stand.
    pub(crate) fn tables(&self) -> [Table; 2] {
        [self.quiet.table(), self.loud.table()]
    }
}

/// For how long nothing was known grows with every step: by itself it is no change.
fn is_the_same(known: &Alert, now: &Alert) -> bool {
    let gaps = |alert: &Alert| alert.not_visible.len();
    known.finding == now.finding
        && known.scope == now.scope
        && (known.kind, known.tier, known.status, &known.allowed) == (now.kind, now.tier, now.status, &now.allowed)
        && gaps(known) == gaps(now)
}

/// Whether a reader would do the same: as serious, the same hosts, servers and destinations.
fn says_the_same(known: &Alert, now: &Alert) -> bool {
    let serious = |alert: &Alert| (alert.kind, alert.tier, alert.status, alert.finding.severity);
    serious(known) == serious(now) && known.allowed == now.allowed && known.finding.entities == now.finding.entities
}

/// Marks an alert that somebody here answers for.
fn label(alert: &mut Alert, at: &Context<'_>) {
    if at.allow.0.is_empty() {
        return;
    }
    let of = |role| alert.finding.entities.iter().filter(move |e: &&Entity| e.role == role);
    let server = of(Role::StagingServer).next();
    let actor = server.or_else(|| of(Role::AffectedHost).next()).and_then(|e| e.ip);
    let class = |e: &Entity| e.ip.and_then(|ip| at.usual.class_of(e.name.as_deref(), ip));
    // A resolver outside is whom the traffic is with as much as any other destination.
    let met = of(Role::Destination).chain(of(Role::Resolver));
    let destinations: Vec<_> = met.map(|e| (e.name.as_deref(), class(e), e.ip)).collect();
    let way = Way::of(alert.finding.detector, server.is_some(), !destinations.is_empty());
    let holder = actor.and_then(|ip| at.usual.holder(ip, alert.finding.last_seen));
    let channels = alert.finding.reasons.iter().find(|reason| reason.measure == "channels");
    let claim = Claim {
        detector: alert.finding.detector,
        kind: alert.kind.name(),
        tier: u64::from(alert.tier),
        last_seen: alert.finding.last_seen,
        channels: match channels.map(|reason| &reason.observed) {
            Some(Value::Text(text)) => text,
            _ => "",
        },
        actor,
        roles: actor.map_or(&[], |ip| at.usual.roles_at(ip)),
        learned_hub: holder.is_some_and(|id| at.usual.learned_hub(id).is_some()),
        destinations,
        way,
    };
    alert.allowed = at.allow.label(&claim);
    if alert.allowed.is_some() {
        alert.status = Status::Allowed;
    }
}

fn order(finding: &Finding) -> (Timestamp, &str) {
    (finding.first_seen, &finding.id)
}

const HOUR_S: i64 = 3600;
/// Findings for the record, about a kilobyte each.
const MAX_FINDINGS: usize = 100_000;
/// Findings that make alerts: more than anybody reads in a month.
const MAX_LOUD: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::samples;

    fn finding(id: &str, severity: Severity) -> Finding {
        samples::finding(id, "beacon", severity)
    }

    #[test]
    fn a_finding_that_makes_room_is_handed_out_once() {
        let mut book = Book::within(2);
        let mut parted_after = |id: &str, severity| {
            book.found([finding(id, severity)]);
            book.parted().iter().map(|finding| finding.id.to_string()).collect::<Vec<_>>()
        };
        for (id, severity, expected, what) in [
            ("a", Severity::Info, vec![], "there is room"),
            ("b", Severity::Info, vec![], "for two"),
            ("a", Severity::Info, vec![], "said again"),
            ("c", Severity::Info, vec!["b"], "the one not said for longest"),
            ("a", Severity::Low, vec![], "makes an alert from now on, and room"),
            ("d", Severity::Info, vec![], "for another"),
            ("b", Severity::Info, vec!["c"], "said again, it is one more"),
        ] {
            assert_eq!(parted_after(id, severity), expected, "{id}: {what}");
        }
    }

    #[test]
    fn what_is_said_at_the_end_pushes_nothing_out() {
        let mut book = Book::within(2);
        let said = |id: &str, s| Finding {
            time: Timestamp::from_secs(s),
            last_seen: Timestamp::from_secs(s),
            ..finding(id, Severity::Info)
        };
        book.found([said("a", 1), said("b", 2), said("c", 3)]);
        assert_eq!(book.parted().len(), 1, "handed out before the end");
        book.found([said("a", 9), said("b", 9), said("c", 9), said("d", 9)]);
        let left = book.left([said("chain", 9)]);
        let left: Vec<_> = left.iter().map(|told| (&*told.id, told.time.secs(), told.last_seen.secs())).collect();
        assert_eq!(left, [("a", 9, 9), ("b", 2, 9), ("c", 3, 9), ("chain", 9, 9), ("d", 9, 9)]);
    }
}
