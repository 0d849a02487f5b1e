//! Upload tail: a host sends far more to a destination in a day than hosts of this site do (ATT&CK T1567.002, T1048;
//! EG-012, EG-014).
//!
//! Measure: the chance of a day on which a host sends one owner as much (`detection.md` §2.5: its own days and its peers',
//! the larger of both), and the most the host itself sent anybody on an earlier day. Benign look-alikes: a first backup, the first synchronisation of a cloud drive.
//! Evasion: a little every day (`slow_drip`).

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, is_rare, keep};
use super::cue::{Cue, Group};
use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory};
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, Word, say};
use crate::event::Uid;
use crate::profile::{Activity, Closed, Feature, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "upload_tail",
    rule: include_str!("../../rules/upload_tail.toml"),
    build: |text| {
        Ok(Box::new(UploadTail {
            rule: parse(text)?,
            pairs: Kept::new(Budget::new("upload_tail.pairs", MAX_PAIRS, 0)),
            hosts: Kept::new(Budget::new("upload_tail.hosts", MAX_HOSTS, 0)),
            noted: Ledger::new(Budget::new("upload_tail.noted", MAX_NOTED, 64)),
        }))
    },
};

/// `rules/upload_tail.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    least_bytes: f64,
    cue_p: f64,
    crowd_share: f64,
    large_bytes: f64,
    large_times: f64,
    new_s: f64,
    learn_s: f64,
    large: Severity,
    large_unlearned: Severity,
    sharing_classes: Vec<String>,
    sharing_bytes: f64,
    sharing: Severity,
    server_roles: Vec<String>,
}

/// Uploads of today.
#[derive(Debug)]
struct UploadTail {
    rule: Rule,
    pairs: Kept<(HostId, TenantId), Day>,
    /// What each host sent on earlier days, told or not: what an open incident keeps from being learned was sent all the same.
    hosts: Kept<HostId, Most>,
    noted: Ledger<(HostId, TenantId), Large>,
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Day {
    day: i32,
    up: f64,
    down: f64,
    #[serde(with = "crate::base::real")]
    said_nats: f64,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Large {
    first: Timestamp,
    last: Timestamp,
    up: f64,
    most: f64,
    severity: Severity,
    #[serde(with = "crate::base::word")]
    catalogue: Word,
    uids: Vec<Uid>,
}

/// The most a host sent one owner in a day: on the day at hand, and on one before it.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Most {
    day: i32,
    today: f64,
    before: f64,
}

impl Most {
    /// Notes what one owner got so far on a day; the most of earlier days comes back.
    fn note(&mut self, day: i32, up: f64) -> f64 {
        if self.day != day {
            (self.before, self.day, self.today) = (self.before.max(self.today), day, 0.0);
        }
        self.today = self.today.max(up);
        self.before
    }
}

as_it_is!(Day, Large, Most);

impl Detector for UploadTail {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Some((closed, tenant)) = seen.sent().filter(|_| self.rule.enabled) {
            self.closed(closed, tenant, usual, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.noted.table(), self.pairs.table(), self.hosts.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.noted, &mut self.pairs, &mut self.hosts]
    }
}

impl UploadTail {
    fn closed(&mut self, seen: &Closed, tenant: TenantId, usual: &Profiles, said: &mut Said) {
        let key = (seen.host, tenant);
        let Some(tie) = usual.tie(seen.host, tenant).filter(|tie| !tie.background) else { return };
        let day = usual.day(seen.ts);
        let sums = self.pairs.entry(key, || Day { day, up: 0.0, down: 0.0, said_nats: 0.0 });
        if sums.day != day {
            *sums = Day { day, up: 0.0, down: 0.0, said_nats: 0.0 };
        }
        sums.up += real(seen.counters.orig_bytes);
        sums.down += real(seen.counters.resp_bytes);
        let new = || Most { day, today: 0.0, before: 0.0 };
        let before = self.hosts.entry(seen.host, new).note(day, sums.up);
        let rule = &self.rule;
        let rare = is_rare(usual, tenant, rule.crowd_share);
        if sums.up < rule.least_bytes || sums.up <= sums.down || !rare {
            return;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of bytes")]
        let tail = usual.tail(seen.host, Feature::MostBytesOut, sums.up as u64, seen.ts);
        // Said again when it has grown by a nat.
        if let Some(p) = tail.map(|tail| tail.p).filter(|p| *p <= rule.cue_p && -p.ln() >= sums.said_nats + 1.0) {
            sums.said_nats = -p.ln();
            said.cues.push(Cue {
                detector: SPEC.stem,
                ts: seen.ts,
                host: seen.host,
                tenant: Some(tenant),
                group: Group::Volume,
                nats: -p.ln(),
                reason: reason("chance_of_a_day_with_as_large_an_upload", Value::Number(p), "probability"),
                uid: seen.uid,
            });
        }
        let (up, most) = (sums.up, real(usual.most_bytes_out(seen.host)).max(before));
        let shares = tie.standing.is_of(&rule.sharing_classes);
        let new = seen.ts.secs_since(tie.first) <= rule.new_s;
        let watched_s = usual.host(seen.host).map_or(0.0, |host| host.watched_s(seen.ts));
        let large = new && up >= rule.large_bytes && up >= rule.large_times * most;
        let (severity, catalogue) = match () {
            () if shares && up >= rule.sharing_bytes && has_role(usual, seen.host, &rule.server_roles) => {
                (rule.sharing, "EG-014")
            }
            () if large && watched_s >= rule.learn_s => (rule.large, "EG-012"),
            () if large => (rule.large_unlearned, "EG-012"),
            () => return,
        };
        let first = seen.began;
        let new = || Large { first, last: seen.ts, up, most, severity, catalogue, uids: Vec::new() };
        let noted = self.noted.note(key, new);
        (noted.last, noted.up) = (seen.ts, noted.up.max(up));
        if noted.severity < severity {
            (noted.severity, noted.catalogue) = (severity, catalogue);
        }
        keep(&mut noted.uids, seen.uid);
    }
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        large: &Large,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (large.first, large.last),
            severity: large.severity,
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let ip = usual.address_text(host);
        Some(claim.say(
            usual,
            Words {
                title: say!(
                    "upload_tail.title",
                    host = &ip,
                    megabytes = format!("{:.1}", large.up / 1e6),
                    destination = &destination,
                ),
                explanation: say!(
                    "upload_tail.explanation",
                    host = &ip,
                    megabytes = format!("{:.1}", large.up / 1e6),
                    destination = &destination,
                    from = large.first.clock_beside(large.last),
                    most = format!("{:.1}", large.most / 1e6),
                    users = owner.used_by(),
                    fleet = usual.fleet(),
                ),
                reasons: vec![
                    Evidence {
                        measure: "bytes_out_in_a_day",
                        observed: Value::Number(large.up),
                        against: Against::Usual(Value::Number(large.most)),
                        unit: "bytes",
                    },
                    reason("bytes_in", Value::Count(tie.down), "bytes"),
                    reason("hosts_using_destination", Value::Count(u64::from(owner.used_by())), "hosts"),
                    reason("catalogue_rule", Value::Text(large.catalogue.into()), ""),
                ],
                others: vec![Entity::destination(tie)],
                uids: large.uids.clone(),
            },
        ))
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a day are below 2^53")]
const fn real(bytes: u64) -> f64 {
    bytes as f64
}

/// (host, owner) pairs of a day, 60 bytes each: what 100,000 hosts send to within hours.
const MAX_PAIRS: usize = 1_000_000;
/// Hosts, 50 bytes each.
const MAX_HOSTS: usize = 300_000;
/// Findings held.
const MAX_NOTED: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_earlier_days_leaves_today_out() {
        let mut most = Most { day: 7, today: 0.0, before: 0.0 };
        let told = [(7, 100.0), (7, 900.0), (8, 5.0), (8, 2_000.0), (11, 1.0)].map(|(day, up)| most.note(day, up));
        assert_eq!(told, [0.0, 0.0, 900.0, 900.0, 2_000.0]);
    }
}
