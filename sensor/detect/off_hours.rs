//! Off hours: a host meets somebody outside at an hour of the week at which its site sleeps (ATT&CK T1029; EG-015).
//!
//! Measure: the host's peers' week (`detection.md` §2.5), in the site's time zone; a host's own share of contacts in hours
//! below a tenth of the average. Benign look-alikes: overseas staff, patch windows, backup: so the weight is
//! small. Evasion: working hours.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::profile::{ASLEEP_BELOW, Activity, Contact, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "off_hours",
    rule: include_str!("../../rules/off_hours.toml"),
    build: |text| {
        let noted = Ledger::new(Budget::new("off_hours.noted", MAX_NOTED, 0));
        Ok(Box::new(OffHours { rule: parse(text)?, noted }))
    },
};

/// `rules/off_hours.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    shrink: f64,
    shrink_share: f64,
    cap_nats: f64,
    server_roles: Vec<String>,
    severity: Severity,
}

/// What was met at night for the first time.
#[derive(Debug)]
struct OffHours {
    rule: Rule,
    noted: Ledger<(HostId, TenantId), Timestamp>,
}

impl Detector for OffHours {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Activity::Contact(contact) = seen
            && self.rule.enabled
            && contact.first
            && let Some(asleep) = contact.rarity.and_then(|rarity| rarity.asleep)
        {
            self.at_night(contact, asleep, usual, said);
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

impl OffHours {
    fn at_night(&mut self, seen: &Contact, (contacts, off): (u32, u32), usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        let p = (f64::from(off) + rule.shrink * rule.shrink_share) / (f64::from(contacts) + rule.shrink);
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
        if off == 0 && has_role(usual, seen.host, &rule.server_roles) {
            self.noted.note_once((seen.host, seen.tenant), || seen.ts);
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
                    percent = format!("{:.0}", ASLEEP_BELOW * 100.0),
                ),
                reasons: vec![reason("bytes_out", Value::Count(tie.up), "bytes")],
                others: vec![Entity::destination(tie)],
                uids: tie.uids.clone(),
            },
        ))
    }
}

/// Findings held.
const MAX_NOTED: usize = 20_000;
