//! Off hours: a host meets somebody outside at an hour of the week at which its site sleeps (ATT&CK T1029; EG-015).
//!
//! Measure: the fleet's contacts by hour of the week, learned, so no time zone is needed; a host's own share of contacts
//! in hours below a tenth of the average. Benign look-alikes: overseas staff, patch windows, backup: so the weight is
//! small. Evasion: working hours.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::{Detector, Said, Spec, Which, parse};
use crate::base::{Budget, Capped, Table, Timestamp, say};
use crate::profile::{Activity, Contact, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "off_hours",
    rule: include_str!("../../rules/off_hours.toml"),
    build: |text| {
        Ok(Box::new(OffHours {
            rule: parse(text)?,
            week: vec![0.0; HOURS],
            contacts: 0.0,
            since: None,
            hosts: Capped::new(Budget::new("off_hours.hosts", MAX_HOSTS, 0)),
            noted: Ledger::new(Budget::new("off_hours.noted", MAX_NOTED, 0)),
        }))
    },
};

/// `rules/off_hours.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    quiet_share: f64,
    learn_s: f64,
    least_contacts: f64,
    shrink: f64,
    shrink_share: f64,
    cap_nats: f64,
    server_roles: Vec<String>,
    severity: Severity,
}

/// The fleet's week, and each host's habits in it.
#[derive(Debug)]
struct OffHours {
    rule: Rule,
    /// Contacts by hour of the week.
    week: Vec<f64>,
    /// All of them.
    contacts: f64,
    since: Option<Timestamp>,
    hosts: Capped<HostId, Habit>,
    noted: Ledger<(HostId, TenantId), Timestamp>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Habit {
    contacts: f64,
    off: f64,
}

impl Detector for OffHours {
    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Activity::Contact(contact) = seen
            && self.rule.enabled
            && !contact.background
        {
            self.contact(contact, usual, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.noted.table(), self.hosts.table()]
    }
}

impl OffHours {
    fn contact(&mut self, seen: &Contact, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        let since = *self.since.get_or_insert(seen.ts);
        let hour = usize::try_from(seen.ts.secs().div_euclid(3600).rem_euclid(168)).unwrap_or(0);
        let here = self.week.get(hour).copied().unwrap_or(0.0);
        let known = seen.ts.secs_since(since) >= rule.learn_s && self.contacts >= rule.least_contacts;
        let off = known && here < rule.quiet_share * self.contacts / 168.0;
        let habit = self.hosts.entry(seen.host, Habit::default);
        if off && seen.first {
            let p = (habit.off + rule.shrink * rule.shrink_share) / (habit.contacts + rule.shrink);
            said.cues.push(Cue {
                detector: SPEC.stem,
                ts: seen.ts,
                host: seen.host,
                tenant: Some(seen.tenant),
                group: Group::Timing,
                nats: (-p.ln()).clamp(0.0, rule.cap_nats),
                reason: reason("share_of_contacts_off_hours", Value::Number(p), "probability"),
                uid: seen.uid,
            });
            // A server without a night of its own: EG-015.
            if habit.off < 1.0 && has_role(usual, seen.host, &rule.server_roles) {
                self.noted.note_once((seen.host, seen.tenant), || seen.ts);
            }
        }
        habit.contacts += 1.0;
        habit.off += if off { 1.0 } else { 0.0 };
        self.contacts += 1.0;
        if let Some(count) = self.week.get_mut(hour) {
            *count += 1.0;
        }
    }
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        at: &Timestamp,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (*at, tie.last.max(*at)),
            severity: self.severity,
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let ip = usual.address_text(host);
        Some(claim.say(
            usual,
            Words {
                title: say!("off_hours.title", host = &ip, destination = &destination),
                explanation: say!(
                    "off_hours.explanation",
                    host = &ip,
                    destination = &destination,
                    at = at.clock(),
                    percent = format!("{:.0}", self.quiet_share * 100.0),
                ),
                reasons: vec![reason("bytes_out", Value::Count(tie.up), "bytes")],
                others: vec![Entity::destination(tie)],
                uids: tie.uids.clone(),
            },
        ))
    }
}

/// Hours of a week.
const HOURS: usize = 168;
/// Hosts held, 32 bytes each.
const MAX_HOSTS: usize = 300_000;
/// Findings held.
const MAX_NOTED: usize = 20_000;
