//! Slow drip: a host sends a little to a rare destination, day after day (ATT&CK T1567.002, T1030; EG-013).
//!
//! Measure (`detection.md` §3): a cumulative sum of daily uploads beyond what the fleet's pairs usually send, against the
//! sums of other pairs that send to rare destinations on several days. Benign look-alikes: telemetry of a rare product,
//! backup of one machine. Evasion: less than the usual upload a day; a host that sends as much to others on three days.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, is_rare};
use super::cue::{Cue, Group};
use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory, Sole};
use super::ranks::Ranks;
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::profile::{Activity, Closed, HostId, Profiles, TenantId, Tie};
use std::collections::{BTreeMap, VecDeque};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "slow_drip",
    rule: include_str!("../../rules/slow_drip.toml"),
    build: |text| {
        Ok(Box::new(SlowDrip {
            rule: parse(text)?,
            today: Kept::new(Budget::new("slow_drip.today", MAX_TODAY, 0)),
            pairs: Kept::new(Budget::new("slow_drip.pairs", MAX_PAIRS, 0)),
            days: Sole::new("slow_drip.days", Ranks::new()),
            sums: Sole::new("slow_drip.sums", Ranks::new()),
            uploads: Kept::new(Budget::new("slow_drip.uploads", MAX_HOSTS, 16 * MAX_DAYS)),
            noted: Ledger::new(Budget::new("slow_drip.noted", MAX_NOTED, 0)),
        }))
    },
};

/// `rules/slow_drip.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    allowance_times: f64,
    least_allowance: f64,
    alarm_quantile: f64,
    least_alarm: f64,
    least_days: u32,
    crowd_share: f64,
    learn_s: f64,
    nats: f64,
    server_roles: Vec<String>,
    person: Severity,
    server: Severity,
    unlearned: Severity,
    work_severity: Severity,
    /// Kinds of service that are a role's work.
    work: BTreeMap<String, Vec<String>>,
}

/// What each host sends each owner, and what pairs usually send.
#[derive(Debug)]
struct SlowDrip {
    rule: Rule,
    today: Kept<(HostId, TenantId), Today>,
    /// Pairs that sent more than is forgiven on some day.
    pairs: Kept<(HostId, TenantId), Drip>,
    /// Uploads of a pair and day; cumulative sums at the end of a day, of pairs that could be told.
    days: Sole<Ranks>,
    sums: Sole<Ranks>,
    /// By host the latest days on which it sent one owner more than is forgiven, and how much.
    uploads: Kept<HostId, VecDeque<(i64, f64)>>,
    noted: Ledger<(HostId, TenantId), Drip>,
}

/// What a pair sent on the day at hand.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Today {
    day: i64,
    up: f64,
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Drip {
    first: Timestamp,
    last: Timestamp,
    day: i64,
    today: f64,
    sum: f64,
    /// Days on which it sent more than is forgiven.
    active_days: u32,
    alarm: f64,
    /// The day on which it was told last.
    #[serde(default)]
    told: i64,
    /// Earlier days on which the host sent somebody as much as it sends here in one.
    #[serde(default)]
    habit: u32,
}

as_it_is!(Drip, Today, Ranks);

impl Detector for SlowDrip {
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
        vec![self.noted.table(), self.today.table(), self.pairs.table(), self.uploads.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.noted, &mut self.today, &mut self.pairs, &mut self.uploads, &mut self.days, &mut self.sums]
    }
}

impl SlowDrip {
    fn closed(&mut self, seen: &Closed, tenant: TenantId, usual: &Profiles, said: &mut Said) {
        let Some(tie) = usual.tie(seen.host, tenant).filter(|tie| !tie.background) else { return };
        let day = seen.ts.utc_day();
        let up = f64::from(u32::try_from(seen.counters.orig_bytes).unwrap_or(u32::MAX));
        if self.pairs.get(&(seen.host, tenant)).is_none() && !self.begins((seen.host, tenant), up, tie, seen) {
            return;
        }
        let Some(drip) = self.pairs.get_mut(&(seen.host, tenant)) else { return };
        let rule = &self.rule;
        // Most pairs are one day's, and nothing is asked of these.
        if drip.day == day && drip.active_days.saturating_add(1) < rule.least_days {
            drip.last = seen.ts;
            drip.today += up;
            return;
        }
        let usually = self.days.get().quantile(0.5).unwrap_or(0.0);
        let allowance = rule.allowance(usually);
        if drip.day != day {
            // Days of silence take their allowance too.
            let days = u32::try_from((day - drip.day).clamp(1, 366)).unwrap_or(1);
            drip.sum = (drip.sum + drip.today - allowance * f64::from(days)).max(0.0);
            drip.active_days = drip.active_days.saturating_add(u32::from(drip.today > allowance));
            self.days.get_mut().learn(drip.today);
            let over = (drip.day, drip.today);
            (drip.day, drip.today) = (day, 0.0);
            // Like is held against like: what a crowd gets, and what is mostly received, says nothing about a drip.
            if drip.active_days >= rule.least_days && tie.up > tie.down && is_rare(usual, tenant, rule.crowd_share) {
                self.sums.get_mut().learn(drip.sum);
            }
            if over.1 > rule.least_allowance {
                let days = self.uploads.entry(seen.host, VecDeque::new);
                match days.iter_mut().find(|(known, _)| *known == over.0) {
                    Some((_, most)) => *most = most.max(over.1),
                    None => days.push_back(over),
                }
                if days.len() > MAX_DAYS {
                    days.pop_front();
                }
            }
        }
        drip.last = seen.ts;
        drip.today += up;
        // The day at hand counts as soon as it has its share; it is told once a day.
        let enough = drip.active_days.saturating_add(1) >= rule.least_days && drip.today > allowance;
        if !enough || drip.told == day || tie.up <= tie.down || !is_rare(usual, tenant, rule.crowd_share) {
            return;
        }
        let alarm = self.sums.get().resolved(rule.alarm_quantile).unwrap_or(0.0).max(rule.least_alarm);
        let now = Drip {
            sum: drip.sum + drip.today - allowance,
            active_days: drip.active_days.saturating_add(1),
            alarm,
            told: day,
            ..*drip
        };
        if now.sum <= alarm {
            return;
        }
        drip.told = day;
        // Who sends as much elsewhere on as many days has one more place for it.
        let each = now.sum / f64::from(now.active_days);
        let first = now.first.utc_day();
        let before = self.uploads.get(&seen.host).into_iter().flatten();
        let habit = before.filter(|(day, most)| *day < first && *most >= each).count();
        let now = Drip { habit: u32::try_from(habit).unwrap_or(u32::MAX), ..now };
        *self.noted.note((seen.host, tenant), || now) = now;
        if self.rule.severity(seen.host, &now, tie, usual) > Severity::Info {
            said.cues.push(self.rule.cue(seen, tenant, &now));
        }
    }
}

impl SlowDrip {
    /// Adds to what a pair sent today before `up`; whether it is followed from now on, as that is more than is forgiven.
    fn begins(&mut self, pair: (HostId, TenantId), up: f64, tie: &Tie, seen: &Closed) -> bool {
        let day = seen.ts.utc_day();
        let today = self.today.entry(pair, || Today { day, up: 0.0 });
        if today.day != day {
            self.days.get_mut().learn(today.up);
            *today = Today { day, up: 0.0 };
        }
        let before = today.up;
        today.up += up;
        let (rule, up) = (&self.rule, today.up);
        let is_much = up > rule.least_allowance && up > rule.allowance(self.days.get().quantile(0.5).unwrap_or(0.0));
        if is_much {
            let (first, last) = (tie.first, seen.ts);
            let (sum, active_days, alarm, told, habit) = (0.0, 0, 0.0, i64::MIN, 0);
            self.pairs.insert(pair, Drip { first, last, day, today: before, sum, active_days, alarm, told, habit });
        }
        is_much
    }
}

impl Rule {
    /// Bytes of a day that are forgiven.
    fn allowance(&self, usually: f64) -> f64 {
        (self.allowance_times * usually).max(self.least_allowance)
    }

    fn cue(&self, seen: &Closed, tenant: TenantId, drip: &Drip) -> Cue {
        Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(tenant),
            group: Group::Volume,
            nats: self.nats,
            reason: reason("bytes_beyond_the_usual", Value::Number(drip.sum.round()), "bytes"),
            uid: seen.uid,
        }
    }

    /// What has been sent since the host was first watched is what it always did, as far as anybody knows.
    fn severity(&self, host: HostId, drip: &Drip, tie: &Tie, usual: &Profiles) -> Severity {
        let before_s = usual.host(host).map_or(0.0, |host| host.watched_s(drip.first));
        let is_work = |role: &str| self.work.get(role).is_some_and(|kinds| tie.standing.is_of(kinds));
        match () {
            () if before_s < self.learn_s => self.unlearned,
            () if drip.habit >= self.least_days => self.work_severity,
            () if usual.roles(host).iter().any(|role| is_work(role.name())) => self.work_severity,
            () if has_role(usual, host, &self.server_roles) => self.server,
            () => self.person,
        }
    }

    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        drip: &Drip,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (drip.first, drip.last),
            severity: self.severity(host, drip, tie, usual),
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let ip = usual.address_text(host);
        Some(claim.say(
            usual,
            Words {
                title: say!("slow_drip.title", host = &ip, destination = &destination),
                explanation: say!(
                    "slow_drip.explanation",
                    days = drip.active_days,
                    host = &ip,
                    destination = &destination,
                    beyond = format!("{:.0}", drip.sum / 1000.0),
                    from = drip.first.clock_beside(drip.last),
                    all = tie.up / 1000,
                    users = owner.used_by(),
                    fleet = usual.fleet(),
                ),
                reasons: vec![
                    Evidence {
                        measure: "bytes_beyond_the_usual",
                        observed: Value::Number(drip.sum.round()),
                        against: Against::Limit(Value::Number(drip.alarm.round())),
                        unit: "bytes",
                    },
                    reason("active", Value::Count(u64::from(drip.active_days)), "days"),
                    reason("bytes_out", Value::Count(tie.up), "bytes"),
                    reason("bytes_in", Value::Count(tie.down), "bytes"),
                ],
                others: vec![Entity::destination(tie)],
                uids: tie.uids.clone(),
            },
        ))
    }
}

/// (host, owner) pairs whose day is added up, 50 bytes each: what 100,000 hosts send to within hours.
const MAX_TODAY: usize = 1_000_000;
/// Those that sent more than is forgiven on some day, 100 bytes each.
const MAX_PAIRS: usize = 400_000;
/// Hosts that send much, and days remembered of each.
const MAX_HOSTS: usize = 100_000;
const MAX_DAYS: usize = 16;
/// Findings held.
const MAX_NOTED: usize = 20_000;
