//! Beacon: one host contacts one destination like a timer (ATT&CK T1071, T1029).
//!
//! Implants poll their controller on a timer; people do not keep time. Measure: `meter`. Fed by flow starts, requests
//! and bursts, because an implant may keep one connection open for days. Benign look-alikes: updaters, sync clients,
//! monitoring; so the rhythm alone is `info`. Evasion: jitter beyond 95 %, rotating destinations.

use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::identify::id;
use super::meter::{BeaconMeter, Rhythm};
use super::pollers::{PollerRule, Pollers};
use super::{Cue, Group, Said};
use crate::base::{Arg, Budget, Capped, Table, Timestamp, Transport, say};
use crate::event::Uid;
use crate::profile::{CheckIn, HostId, Profiles, TenantId, Tie};
use std::collections::BTreeSet;

/// `rules/beacon.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeaconRule {
    enabled: bool,
    attack: Vec<Box<str>>,
    max_p: f64,
    crowd_fleet_hosts: u32,
    crowd_share: f64,
    media_bytes: u64,
    cap_timing_nats: f64,
    nameless_nats: f64,
    unseen_name_nats: f64,
    odd_port_nats: f64,
    usual_ports: Vec<u16>,
    script_nats: f64,
    lone_nats: f64,
    low_nats: f64,
    medium_nats: f64,
    medium_gaps: u32,
}

/// Meters of all pairs that have met often enough.
#[derive(Debug)]
pub(crate) struct Beacon {
    rule: BeaconRule,
    pub(super) pairs: Capped<(HostId, TenantId), Box<BeaconMeter>>,
    /// Most pairs meet once or twice: what they take must not push out those that keep time.
    pub(super) early: Capped<(HostId, TenantId), Early>,
    /// Metered pairs with a check-in since the last evaluation, and those that are due at the next step.
    touched: BTreeSet<(HostId, TenantId)>,
    /// Pairs that changed since they were saved, while somebody saves.
    pub(super) unsaved: Option<BTreeSet<(HostId, TenantId)>>,
    due: BTreeSet<(HostId, TenantId)>,
    /// The severity a pair was told with.
    told: Capped<(HostId, TenantId), Severity>,
    /// Who else keeps the same time.
    pub(super) pollers: Pollers,
    /// Pairs in which a kind of program spoke that is unusual there: metered wherever everybody goes.
    odd: Capped<(HostId, TenantId), ()>,
}

/// Two check-ins are remembered by their moment; the third makes a meter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Early {
    pub(super) first: Timestamp,
    pub(super) second: Option<Timestamp>,
}

impl Beacon {
    pub(crate) fn new(rule: BeaconRule, pollers: PollerRule) -> Self {
        Self {
            rule,
            pairs: Capped::new(Budget::new("beacon.pairs", MAX_PAIRS, 144)),
            early: Capped::new(Budget::new("beacon.early", MAX_EARLY, 0)),
            touched: BTreeSet::new(),
            unsaved: None,
            due: BTreeSet::new(),
            told: Capped::new(Budget::new("beacon.told", MAX_PAIRS, 0)),
            pollers: Pollers::new(pollers),
            odd: Capped::new(Budget::new("beacon.odd", MAX_ODD, 0)),
        }
    }

    /// A kind of program spoke that is unusual there: its time is kept even where everybody goes (detection.md §1.3).
    pub(super) fn notice_odd(&mut self, host: HostId, tenant: TenantId) {
        self.odd.insert((host, tenant), ());
    }

    /// Follows other rules from now on; what was metered stays.
    pub(super) fn follow(&mut self, rule: BeaconRule, pollers: PollerRule) {
        self.rule = rule;
        self.pollers.follow(pollers);
    }

    /// Takes in a sign of life.
    pub(crate) fn check_in(&mut self, seen: &CheckIn, usual: &Profiles) {
        if !self.rule.enabled {
            return;
        }
        let key = (seen.host, seen.tenant);
        if let Some(meter) = self.pairs.get_mut(&key) {
            meter.check_in(seen.ts, seen.moved);
            let soon = meter.check_ins.is_multiple_of(EVERY_CHECK_INS);
            let waiting = if soon { &mut self.due } else { &mut self.touched };
            waiting.insert(key);
            self.changed([key]);
            return;
        }
        if self.rule.is_crowded(usual, seen.tenant) && self.odd.get(&key).is_none() {
            return;
        }
        let out = match self.early.get_mut(&key) {
            None => self.early.insert(key, Early { first: seen.ts, second: None }).map(|(pair, _)| pair),
            Some(Early { first, second: Some(second) }) if is_another(*second, seen.ts) => {
                let mut meter = BeaconMeter::new(*first);
                meter.check_in(*second, None);
                meter.check_in(seen.ts, seen.moved);
                self.early.remove(&key);
                self.pairs.insert(key, Box::new(meter)).map(|(pair, _)| pair)
            }
            Some(early @ Early { second: None, .. }) if is_another(early.first, seen.ts) => {
                early.second = Some(seen.ts);
                None
            }
            Some(_) => return,
        };
        self.changed(out.into_iter().chain([key]));
    }

    /// Notes what is to be saved, while somebody saves.
    fn changed(&mut self, pairs: impl IntoIterator<Item = (HostId, TenantId)>) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.extend(pairs);
        }
    }

    /// How much like a timer the contacts of a host with a destination are, when they are regular at all.
    pub(crate) fn rhythm(&self, host: HostId, tenant: TenantId) -> Option<Rhythm> {
        let meter = self.pairs.get(&(host, tenant))?;
        let down = meter.down / u64::from(meter.check_ins.max(1));
        meter.rhythm().filter(|rhythm| rhythm.p <= self.rule.max_p && down <= self.rule.media_bytes)
    }

    /// Signs of life of a host towards a destination, those two seconds apart counted once.
    pub(crate) fn check_ins(&self, host: HostId, tenant: TenantId) -> u32 {
        let early = || self.early.get(&(host, tenant)).map(|early| 1 + u32::from(early.second.is_some()));
        self.pairs.get(&(host, tenant)).map(|meter| meter.check_ins).or_else(early).unwrap_or(0)
    }

    pub(crate) fn tables(&self) -> Vec<Table> {
        vec![self.pairs.table(), self.early.table(), self.told.table(), self.pollers.table(), self.odd.table()]
    }

    /// Reads the meters that are due; every hour all that were touched. Tells a pair when it gets worse.
    pub(crate) fn advance(&mut self, now: Timestamp, usual: &Profiles, said: &mut Said) {
        if now.secs().rem_euclid(HOUR_S) == 0 {
            self.due.append(&mut self.touched);
        }
        for key in std::mem::take(&mut self.due) {
            said.findings.extend(self.poll(now, key, usual));
            said.cues.extend(self.cue(now, key, usual));
            if let Some(finding) = self.read(now, key, usual)
                && self.told.get(&key).is_none_or(|told| *told < finding.severity)
            {
                self.told.insert(key, finding.severity);
                said.findings.push(finding);
            }
        }
    }

    /// Reads every meter.
    pub(crate) fn finish(&self, now: Timestamp, usual: &Profiles, said: &mut Said) {
        said.findings.extend(self.pairs.iter().filter_map(|(key, _)| self.read(now, *key, usual)));
    }

    /// Notes that a host keeps time, and what that makes of its destination.
    fn poll(&mut self, now: Timestamp, (host, tenant): (HostId, TenantId), usual: &Profiles) -> Option<Finding> {
        let median_s = self.rhythm(host, tenant)?.median_s;
        let tie = usual.tie(host, tenant).filter(|tie| !tie.background)?;
        self.pollers.note((host, tenant), tie.first, median_s);
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.insert((host, tenant));
        }
        self.pollers.tell(now, tenant, median_s, usual)
    }

    /// A timer is a weak sign of somebody's program, whatever it is for.
    fn cue(&self, now: Timestamp, (host, tenant): (HostId, TenantId), usual: &Profiles) -> Option<Cue> {
        let tie = usual.tie(host, tenant).filter(|tie| !tie.background)?;
        let rhythm = self.rhythm(host, tenant)?;
        if self.pollers.is_fleets(tenant, rhythm.median_s, now, usual.fleet()) {
            return None;
        }
        Some(Cue {
            detector: "beacon",
            ts: tie.last,
            host,
            tenant: Some(tenant),
            group: Group::Timing,
            nats: (-rhythm.p.ln()).min(self.rule.cap_timing_nats),
            reason: reason("regularity_p", Value::Number(rhythm.p), "probability"),
            uid: tie.uids.first().copied().unwrap_or(Uid::NONE),
        })
    }

    fn read(&self, now: Timestamp, (host, tenant): (HostId, TenantId), usual: &Profiles) -> Option<Finding> {
        let meter = self.pairs.get(&(host, tenant))?;
        let tie = usual.tie(host, tenant).filter(|tie| !tie.background)?;
        let rhythm = self.rhythm(host, tenant)?;
        Some(self.tell(now, host, tenant, meter, &rhythm, tie, usual))
    }

    #[expect(clippy::too_many_arguments, reason = "one call; a struct would only rename them")]
    fn tell(
        &self,
        now: Timestamp,
        host: HostId,
        tenant: TenantId,
        meter: &BeaconMeter,
        rhythm: &Rhythm,
        tie: &Tie,
        usual: &Profiles,
    ) -> Finding {
        let rule = &self.rule;
        let users = usual.tenant(tenant).map_or(1, |t| t.used_by());
        let fleet = usual.fleet();
        let fleets = self.pollers.is_fleets(tenant, rhythm.median_s, now, fleet);
        // A flow that was under way may have named its destination before the data began.
        let nameless = tie.is_nameless() && tie.transport == Transport::Tcp && !tie.under_way;
        let named_if_any = tie.literal_host || !usual.names_hide(host);
        let odd_port = nameless && tie.resps.first().is_some_and(|resp| !rule.usual_ports.contains(&resp.port));
        let terms = [
            ("timing", (-rhythm.p.ln()).min(rule.cap_timing_nats), !fleets),
            ("nameless", rule.nameless_nats, nameless && named_if_any),
            ("nameless_as_far_as_seen", rule.unseen_name_nats, nameless && !named_if_any),
            ("odd_port", rule.odd_port_nats, odd_port),
            ("script", rule.script_nats, tie.script.is_some()),
            ("lone", rule.lone_nats, users <= 1 && fleet >= rule.crowd_fleet_hosts),
        ];
        let nats: f64 = terms.iter().filter(|(.., holds)| *holds).map(|(_, nats, _)| nats).sum();
        let severity = match () {
            () if nats >= rule.medium_nats && rhythm.gaps >= rule.medium_gaps => Severity::Medium,
            () if nats >= rule.low_nats => Severity::Low,
            () => Severity::Info,
        };
        let destination = tie.destination(usual.tenant(tenant).map(|t| &*t.key));
        let ip = usual.address_text(host);
        let (row, at_001, at_01, at_05) = super::meter::row(rhythm.gaps);
        let mut reasons = vec![
            reason("gap_dispersion", Value::Number(rhythm.dispersion), ""),
            reason("gaps", Value::Count(u64::from(rhythm.gaps)), ""),
            reason("quantile_row", Value::Count(u64::from(row)), "gaps"),
            reason("dispersion_at_p_0_001", Value::Number(at_001), ""),
            reason("dispersion_at_p_0_01", Value::Number(at_01), ""),
            reason("dispersion_at_p_0_05", Value::Number(at_05), ""),
            reason("median_gap", Value::Number(rhythm.median_s), "seconds"),
            Evidence {
                measure: "regularity_p",
                observed: Value::Number(rhythm.p),
                against: Against::Limit(Value::Number(rule.max_p)),
                unit: "probability",
            },
            reason("hosts_using_destination", Value::Count(u64::from(users)), "hosts"),
        ];
        reasons.extend(rhythm.size_spread.map(|spread| Evidence {
            measure: "request_size_spread",
            observed: Value::Number(spread),
            against: Against::Limit(Value::Number(super::meter::SAME_SIZE_OCTAVES)),
            unit: "octaves",
        }));
        for (measure, nats, _) in terms.iter().filter(|(.., holds)| *holds) {
            reasons.push(reason(measure, Value::Number(*nats), "nats"));
        }
        Finding {
            id: id("beacon", &usual.subject(host), &usual.tenant(tenant).map_or("", |t| &t.key), meter.first),
            detector: "beacon",
            time: now,
            first_seen: meter.first,
            last_seen: meter.last,
            severity,
            score: (-rhythm.p.log10() / 6.0).min(1.0),
            p: Some(rhythm.p),
            title: say!("beacon.title", destination = &destination),
            explanation: say!(
                "beacon.explanation",
                host = ip,
                destination = &destination,
                times = meter.check_ins,
                from = meter.first.clock_beside(meter.last),
                to = meter.last.clock_beside(meter.first),
                least = format!("{:.0}", rhythm.range_s.0),
                most = format!("{:.0}", rhythm.range_s.1),
                median = format!("{:.0}", rhythm.median_s),
                chance = chance(rhythm.p),
                users = users,
                fleet = fleet,
            ),
            attack: rule.attack.clone(),
            entities: vec![Entity::host(Role::AffectedHost, host, usual), Entity::destination(tie)],
            reasons,
            uids: tie.uids.clone(),
        }
    }
}

impl BeaconRule {
    /// So many hosts use it that one more says nothing.
    fn is_crowded(&self, usual: &Profiles, tenant: TenantId) -> bool {
        let fleet = usual.fleet();
        let users = usual.tenant(tenant).map_or(0, |t| t.used_by());
        fleet >= self.crowd_fleet_hosts && f64::from(users) >= self.crowd_share * f64::from(fleet)
    }
}

/// Whether two moments are two check-ins.
fn is_another(earlier: Timestamp, later: Timestamp) -> bool {
    later.secs_since(earlier) >= super::meter::SAME_CHECK_IN_S
}

/// A plain reason.
pub(crate) const fn reason(measure: &'static str, observed: Value, unit: &'static str) -> Evidence {
    Evidence { measure, observed, against: Against::Nothing, unit }
}

/// A probability in words: `1 in 1,000`.
fn chance(p: f64) -> Arg {
    match p {
        p if p >= 0.1 => format!("{:.0} %", p * 100.0).into(),
        p => say!("beacon.one_in", many = grouped(1.0 / p)).into(),
    }
}

/// A number to two digits, grouped by thousands.
fn grouped(value: f64) -> String {
    let scale = 10_f64.powf((value.log10().floor() - 1.0).max(0.0));
    let digits = format!("{:.0}", (value / scale).round() * scale);
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A meter is read at every sixteenth check-in and hourly (`detection.md` §1.3).
const EVERY_CHECK_INS: u32 = 16;
const HOUR_S: i64 = 3600;
/// (host, owner) pairs that have a meter, 200 bytes each.
const MAX_PAIRS: usize = 500_000;
/// Pairs that have met once or twice, 70 bytes each: what 100,000 hosts meet in a few hours, so that who comes by once an
/// hour is metered.
const MAX_EARLY: usize = 1_000_000;
/// Of these, with an unusual kind of program.
const MAX_ODD: usize = 32_768;
