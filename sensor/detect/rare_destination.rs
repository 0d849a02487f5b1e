//! Rare destination: new for this host, used by few, young (ATT&CK T1071, T1102). Says weak signs only.
//!
//! Measure (`detection.md` §2.3, §2.4): Good–Turing mass of what a host has not met, and the rank of a destination's users
//! and age among the contacts of the fleet: "three hosts use it" is rare in one fleet and ordinary in another. Benign
//! look-alike: people. Evasion: a destination everybody uses.

use super::beacon::reason;
use super::cue::{Cue, Group};
use super::finding::Value;
use super::ranks::Ranks;
use super::{Detector, Said, Spec, parse};
use crate::base::{Budget, Capped, Table};
use crate::profile::{Activity, Contact, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "rare_destination",
    rule: include_str!("../../rules/rare_destination.toml"),
    build: |text| {
        Ok(Box::new(RareDestination {
            rule: parse(text)?,
            met: Capped::new(Budget::new("rare_destination.met", MAX_HOSTS, 0)),
            fleet: Met::default(),
            counted: Capped::new(Budget::new("rare_destination.counted", MAX_PAIRS, 0)),
            users: Ranks::new(),
            ages: Ranks::new(),
        }))
    },
};

/// `rules/rare_destination.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    shrink: f64,
    fade_per_day: f64,
    least_nats: f64,
    least_contacts: u32,
}

/// How often each host meets something new, and how rare the fleet's contacts are.
#[derive(Debug)]
struct RareDestination {
    rule: Rule,
    met: Capped<HostId, Met>,
    fleet: Met,
    /// The day a host's contact with an owner was last counted.
    counted: Capped<(HostId, TenantId), i64>,
    users: Ranks,
    ages: Ranks,
}

/// Contacts and first contacts, one an owner and day, faded.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    day: i64,
    contacts: f64,
    firsts: f64,
}

impl Met {
    fn add(&mut self, day: i64, first: bool, fade_per_day: f64) {
        let days = i32::try_from(day.saturating_sub(self.day).clamp(0, 3650)).unwrap_or(0);
        let kept = (1.0 - fade_per_day).powi(days);
        self.day = day;
        self.contacts = self.contacts.mul_add(kept, 1.0);
        self.firsts = self.firsts.mul_add(kept, if first { 1.0 } else { 0.0 });
    }
}

impl Detector for RareDestination {
    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Activity::Contact(contact) = seen
            && self.rule.enabled
            && !contact.background
        {
            self.contact(contact, usual, said);
        }
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.met.table(), self.counted.table()]
    }
}

impl RareDestination {
    fn contact(&mut self, seen: &Contact, usual: &Profiles, said: &mut Said) {
        let day = seen.ts.utc_day();
        let counted = self.counted.entry((seen.host, seen.tenant), || i64::MIN);
        if std::mem::replace(counted, day) == day {
            return;
        }
        let Some(owner) = usual.tenant(seen.tenant) else { return };
        // Its own first contact is among the users already.
        let others = f64::from(owner.used_by()) - if seen.first { 1.0 } else { 0.0 };
        let age_s = owner.users.first().map_or(0.0, |(_, first)| seen.ts.secs_since(*first)).max(1.0);
        if seen.first && self.users.total() >= self.rule.least_contacts {
            self.cues(seen, others, age_s, said);
        }
        self.users.learn(others);
        self.ages.learn(age_s);
        let fade = self.rule.fade_per_day;
        self.met.entry(seen.host, || Met { day, ..Met::default() }).add(day, seen.first, fade);
        self.fleet.add(day, seen.first, fade);
    }

    fn cues(&self, seen: &Contact, others: f64, age_s: f64, said: &mut Said) {
        let share = |met: &Met, prior: f64, k: f64| (met.firsts + k * prior) / (met.contacts + k);
        let peers = share(&self.fleet, 1.0, 1.0);
        let own = self.met.get(&seen.host).copied().unwrap_or_default();
        let new = share(&own, peers, self.rule.shrink);
        let signs = [
            ("chance_of_a_new_destination", new),
            ("share_of_contacts_with_as_few_users", self.users.at_most(others)),
            ("share_of_contacts_with_as_young", self.ages.at_most(age_s)),
        ];
        let Some((measure, p)) = signs.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)) else { return };
        let nats = -p.min(1.0).ln();
        if nats >= self.rule.least_nats {
            said.cues.push(Cue {
                detector: SPEC.stem,
                ts: seen.ts,
                host: seen.host,
                tenant: Some(seen.tenant),
                group: Group::Destination,
                nats,
                reason: reason(measure, Value::Number(p), "probability"),
                uid: seen.uid,
            });
        }
    }
}

/// Hosts held, 40 bytes each.
const MAX_HOSTS: usize = 300_000;
/// (host, owner) pairs of today.
const MAX_PAIRS: usize = 200_000;
