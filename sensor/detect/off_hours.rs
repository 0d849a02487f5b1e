//! Off hours: a host meets somebody outside for the first time at an hour of the week in which its peers meet nobody new
//! (ATT&CK T1029; EG-015).
//!
//! Machines call home all night, so contacts do not tell night from day; people turn to new places by day, so first
//! contacts do. Measure: the share of its peers' first contacts that fall into hours as quiet as this one (`detection.md`
//! §2.4: a rank in event space), and of the host's own; the larger counts, both must be surprised (§2.6). Benign
//! look-alikes: overseas staff, patch windows, backup: so the weight is small. Evasion: working hours.

use super::beacon::reason;
use super::by_hour::{ByHour, Hour, kind_of};
use super::claim::{Claim, Words, has_role};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory, Sole};
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Text, Timestamp, say};
use crate::profile::{Activity, Closed, Contact, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "off_hours",
    rule: include_str!("../../rules/off_hours.toml"),
    build: |text| {
        Ok(Box::new(OffHours {
            rule: parse(text)?,
            groups: Kept::new(Budget::new("off_hours.groups", MAX_GROUPS, 700)),
            fleet: Sole::new("off_hours.fleet", Week::default()),
            hosts: Kept::new(Budget::new("off_hours.hosts", MAX_HOSTS, 0)),
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
    least_firsts: f64,
    least_days: f64,
    quiet_p: f64,
    shrink: f64,
    own_p: f64,
    least_own_firsts: u32,
    fade_per_day: f64,
    cap_nats: f64,
    upload_bytes: u64,
    server_roles: Vec<String>,
    severity: Severity,
    uploads: Severity,
    server: Severity,
}

/// When each group meets somebody new, and what was met in its night.
#[derive(Debug)]
struct OffHours {
    rule: Rule,
    groups: Kept<u32, Week>,
    fleet: Sole<Week>,
    hosts: Kept<HostId, Own>,
    noted: Ledger<(HostId, TenantId), Night>,
}

/// First contacts by hour of the day, working days and weekends apart; faded, and days of each kind.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Week {
    firsts: ByHour,
    days: [f64; 2],
    /// The local day it was last faded to.
    day: Option<i32>,
}

/// One host's first contacts: all, and those in quiet hours.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Own {
    firsts: u32,
    quiet: u32,
}

/// A first contact in a quiet hour.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Night {
    ts: Timestamp,
    /// Shares in hours as quiet, of the peers' first contacts and of the host's, and how many these are.
    peers: f64,
    peers_firsts: f64,
    own: Own,
    uploads: bool,
}

as_it_is!(Week, Own, Night);

impl Detector for OffHours {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        match seen {
            Activity::Contact(contact) if self.rule.enabled && contact.first && !contact.background => {
                self.first(contact, usual, said);
            }
            Activity::Closed(closed) if self.rule.enabled && closed.counted => self.closed(closed, usual),
            _ => {}
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.noted.table(), self.groups.table(), self.hosts.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.noted, &mut self.groups, &mut self.fleet, &mut self.hosts]
    }
}

impl OffHours {
    fn first(&mut self, seen: &Contact, usual: &Profiles, said: &mut Said) {
        let (group, hour) = (usual.group_of(seen.host), usual.local_hour(seen.ts));
        let at = Hour::of(hour);
        let groups = self.groups.entry(group, Week::default);
        let known = groups.quiet(at, &self.rule).or_else(|| self.fleet.get().quiet(at, &self.rule));
        let counted = self.hosts.entry(seen.host, Own::default);
        let own = *counted;
        groups.learn(at, &self.rule);
        self.fleet.get_mut().learn(at, &self.rule);
        let Some((peers, peers_firsts)) = known else { return };
        let rule = &self.rule;
        let is_quiet = peers <= rule.quiet_p;
        counted.firsts = counted.firsts.saturating_add(1);
        counted.quiet = counted.quiet.saturating_add(u32::from(is_quiet));
        if !is_quiet {
            return;
        }
        let share = (f64::from(own.quiet) + rule.shrink * peers) / (f64::from(own.firsts) + rule.shrink);
        let p = share.max(peers);
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(seen.tenant),
            group: Group::Timing,
            nats: (-p.ln()).clamp(0.0, rule.cap_nats),
            reason: reason("share_of_first_contacts_in_hours_as_quiet", Value::Number(p), "probability"),
            uid: seen.uid,
        });
        if share <= rule.own_p {
            let night = Night { ts: seen.ts, peers, peers_firsts, own, uploads: false };
            self.noted.note_once((seen.host, seen.tenant), || night);
        }
    }

    /// What was met at night got more than it gave.
    fn closed(&mut self, seen: &Closed, usual: &Profiles) {
        let Some(tenant) = seen.tenant else { return };
        let key = (seen.host, tenant);
        let Some(night) = self.noted.get(&key).filter(|night| !night.uploads) else { return };
        let tonight = seen.ts.secs_since(night.ts) <= NIGHT_S;
        let much =
            usual.tie(seen.host, tenant).is_some_and(|tie| tie.up >= self.rule.upload_bytes && tie.up > tie.down);
        if tonight
            && much
            && let Some(night) = self.noted.amend(&key)
        {
            night.uploads = true;
        }
    }
}

impl Week {
    /// The share of first contacts that fall into hours as quiet as this one, this contact included, and how many there
    /// are; `None` before enough is known.
    fn quiet(&self, at: Hour, rule: &Rule) -> Option<(f64, f64)> {
        let all = self.firsts.all();
        // Of seven days two are a weekend.
        let least = [rule.least_days, rule.least_days * 2.0 / 3.0];
        let enough = |kind: usize| self.days.get(kind) >= least.get(kind);
        // Before a weekend was seen: when nobody is awake on working days nobody is on others.
        let kind = if enough(at.kind) { at.kind } else { 0 };
        let known = all >= rule.least_firsts && enough(kind);
        known.then(|| (self.firsts.as_seldom(Hour { kind, ..at }, self.days), all))
    }

    fn learn(&mut self, at: Hour, rule: &Rule) {
        // Days without a first contact were days too.
        let since = self.day.map_or(at.day, |day| day.saturating_add(1));
        for day in since.max(at.day.saturating_sub(MAX_SILENCE))..=at.day {
            self.firsts.fade(1.0 - rule.fade_per_day);
            self.days.iter_mut().for_each(|count| *count *= 1.0 - rule.fade_per_day);
            if let Some(days) = self.days.get_mut(kind_of(day)) {
                *days += 1.0;
            }
        }
        self.day = self.day.max(Some(at.day));
        self.firsts.add(at);
    }
}

impl Rule {
    /// A host that met somebody new often enough to have a night, and had none.
    const fn never_had_one(&self, own: Own) -> bool {
        own.quiet == 0 && own.firsts >= self.least_own_firsts
    }

    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        night: &Night,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (night.ts, tie.last.max(night.ts)),
            severity: match () {
                // A server without a night of its own: EG-015.
                () if self.never_had_one(night.own) && has_role(usual, host, &self.server_roles) => self.server,
                () if night.uploads => self.uploads,
                () => self.severity,
            },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let ip = usual.address_text(host);
        let mut explanation = vec![say!(
            "off_hours.explanation",
            host = &ip,
            destination = &destination,
            at = night.ts.clock_beside(tie.last),
            firsts = format!("{:.0}", night.peers_firsts),
            percent = format!("{:.2}", night.peers * 100.0),
            own_firsts = night.own.firsts,
            own = night.own.quiet,
        )];
        if night.uploads {
            explanation.push(say!("off_hours.sent", up = tie.up / 1000, down = tie.down / 1000));
        }
        Some(claim.say(
            usual,
            Words {
                title: say!("off_hours.title", host = &ip, destination = &destination),
                explanation: Text::of(explanation),
                reasons: vec![
                    reason(
                        "share_of_peers_first_contacts_in_hours_as_quiet",
                        Value::Number(night.peers),
                        "probability",
                    ),
                    reason("own_first_contacts", Value::Count(u64::from(night.own.firsts)), ""),
                    reason("own_first_contacts_in_quiet_hours", Value::Count(u64::from(night.own.quiet)), ""),
                    reason("bytes_out", Value::Count(tie.up), "bytes"),
                    reason("bytes_in", Value::Count(tie.down), "bytes"),
                ],
                others: vec![Entity::destination(tie)],
                uids: tie.uids.clone(),
            },
        ))
    }
}

/// Seconds from a first contact in which what is sent there belongs to the same night.
const NIGHT_S: f64 = 43_200.0;
/// Days without a first contact that are counted.
const MAX_SILENCE: i32 = 30;
/// Groups of peers, 0.5 kB each: roles and networks.
const MAX_GROUPS: usize = 8_192;
/// Hosts, 40 bytes each.
const MAX_HOSTS: usize = 300_000;
/// Findings held.
const MAX_NOTED: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten first contacts an hour from nine to five on working days, and one at eight in the evening of each.
    fn office(weeks: i32, rule: &Rule) -> Week {
        let mut week = Week::default();
        // 1970-01-05 was a Monday.
        for day in (4..4 + weeks * 7).filter(|day| !Profiles::is_weekend(*day)) {
            for hour in (9..17).flat_map(|hour| [hour; 10]).chain([20]) {
                week.learn(Hour { day, kind: 0, hour }, rule);
            }
        }
        week
    }

    #[test]
    fn an_hour_is_as_quiet_as_the_share_of_first_contacts_in_hours_like_it() {
        let rule: Rule = parse(SPEC.rule).unwrap();
        let week = office(3, &rule);
        let p = |kind: usize, hour: usize| week.quiet(Hour { day: 25, kind, hour }, &rule).unwrap().0;
        assert!(p(0, 3) < 0.002, "nobody was ever awake: {}", p(0, 3));
        assert!((0.005..0.03).contains(&p(0, 20)), "one a day of 81: {}", p(0, 20));
        assert!(p(0, 10) > 0.9, "as busy as it gets: {}", p(0, 10));
        assert!(p(1, 10) < 0.002, "a weekend on which nobody works: {}", p(1, 10));
    }

    #[test]
    fn before_the_week_is_known_no_hour_is_quiet() {
        let rule: Rule = parse(SPEC.rule).unwrap();
        let night = Hour { day: 11, kind: 0, hour: 3 };
        let mut week = Week::default();
        (0..90_usize).for_each(|n| week.learn(Hour { day: 4, kind: 0, hour: 9 + n % 8 }, &rule));
        assert!(week.quiet(night, &rule).is_none(), "one day");
        let lenient = Rule { least_firsts: 100.0, ..rule };
        let week = office(1, &lenient);
        let p = |hour: usize| week.quiet(Hour { kind: 1, hour, ..night }, &lenient).map(|(p, _)| p);
        assert!(p(3) < Some(0.01) && p(10) > Some(0.5), "no weekend was seen: its hours are taken for a working day's");
    }
}
