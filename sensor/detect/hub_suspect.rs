//! Hub suspect: a server that acts on others behaves unlike its own past (ATT&CK T1072, T1569.002).
//!
//! `detection.md` §4.6: before any endpoint shows anything. Measure: six signs an hour – how many machines it acted on, how
//! many of them never before, by a channel never used, at an hour it never does, what new it meets outside, who new
//! administers it – each a chance against that server's own past, combined by Cauchy, which holds whatever the
//! dependence, and held against all such servers of the day by Benjamini–Hochberg. A single sign is a finding for the record.
//! Benign look-alikes: a migration, an emergency. Evasion: doing what the server always does.

use super::beacon::reason;
use super::by_hour::{self as at, ByHour};
use super::chances::{Kinds, cauchy};
use super::claim::{Claim, Words, keep};
use super::finding::{Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory, Sole};
use super::renamed::Renames;
use super::{Deed, Detector, RuleError, Said, Spec, Which, parse};
use crate::base::stats::{poisson, poisson_binomial_tail, real};
use crate::base::{Arg, Budget, Table, Text, Timestamp, Word, say};
use crate::event::{self, Uid};
use crate::profile::{Act, Activity, Contact, HostId, Profiles, Renamed, What};
use std::collections::{BTreeMap, BTreeSet};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "hub_suspect",
    rule: include_str!("../../rules/hub_suspect.toml"),
    build: |text| {
        Ok(Box::new(HubSuspect {
            rule: parse(text)?,
            hubs: Kept::new(Budget::new("hub_suspect.hubs", MAX_HUBS, 1_000)),
            pairs: Kept::new(Budget::new("hub_suspect.pairs", MAX_PAIRS, 0)),
            today: Sole::new("hub_suspect.today", (0, BTreeMap::new())),
            noted: Ledger::new(Budget::new("hub_suspect.noted", MAX_HUBS, 700)),
            single: Ledger::new(Budget::new("hub_suspect.single", MAX_HUBS, 700)),
        }))
    },
};

/// `rules/hub_suspect.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    title: String,
    attack: Vec<Box<str>>,
    learn_hours: i64,
    least_acts: u32,
    shrink: f64,
    shrink_hours: f64,
    fade_per_day: f64,
    false_share: f64,
    sign_p: f64,
    severity: Severity,
    acting: Severity,
    single_title: String,
    single: Severity,
}

/// Servers that act on others, and who acted on whom.
#[derive(Debug)]
struct HubSuspect {
    rule: Rule,
    hubs: Kept<HostId, Hub>,
    pairs: Kept<(HostId, HostId), ()>,
    /// The day at hand, and The worst hour of today of each server that was judged.
    today: Sole<(i64, BTreeMap<HostId, Hour>)>,
    noted: Ledger<(HostId, i64), Hour>,
    /// Hours with a sign that is odd by itself.
    single: Ledger<(HostId, i64), Hour>,
}

/// One server's past and its present hour.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Hub {
    since: i64,
    day: i64,
    hour: i64,
    /// Days on which it acted.
    acting_days: u32,
    /// Hours by machines acted on, in octaves; the first holds those with none. Faded.
    by_machines: [f64; OCTAVES],
    /// Hours watched, machines acted on for the first time, faded.
    hours: f64,
    firsts: f64,
    /// Machines acted on, and of them those for the first time.
    reached: Kinds,
    /// Hours of the day, working days and weekends apart, with an act; faded.
    clock: ByHour,
    channels: Kinds,
    outside: Kinds,
    admins: Kinds,
    #[serde(with = "crate::base::word::many")]
    used: Vec<Word>,
    now: Present,
}

/// The present hour.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Present {
    machines: BTreeSet<HostId>,
    firsts: u32,
    #[serde(with = "crate::base::word::maybe")]
    new_channel: Option<Word>,
    new_outside: u32,
    outside: u32,
    new_admins: u32,
    admins: u32,
    #[serde(with = "crate::base::word::many")]
    channels: BTreeSet<Word>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    uids: Vec<Uid>,
}

/// A judged hour.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Hour {
    p: f64,
    signs: [f64; SIGNS.len()],
    machines: Vec<HostId>,
    firsts: u32,
    span: (Timestamp, Timestamp),
    acted: bool,
    uids: Vec<Uid>,
}

/// What each sign is called in records and in words.
const SIGNS: [(&str, &str); 6] = [
    ("machines_acted_on_p", "as many machines acted on in an hour"),
    ("machines_never_acted_on_p", "as many machines acted on for the first time"),
    ("channel_never_used_p", "a channel it had never used"),
    ("hour_never_used_p", "an hour at which it does not act"),
    ("new_outside_p", "a destination outside that it had never met"),
    ("new_administrator_p", "an administrator it had never had"),
];

impl Renames for Hub {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        let now = Present { machines: self.now.machines.renamed(ids)?, ..self.now };
        Some(Self { now, ..self })
    }
}

impl Renames for Hour {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { machines: self.machines.renamed(ids)?, ..self })
    }
}

impl Detector for HubSuspect {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, _: &mut Said) {
        if !self.rule.enabled {
            return;
        }
        match seen {
            Activity::Act(act) if act.by != act.on && usual.is_inside(act.by) => self.act(act),
            Activity::Contact(contact) if !contact.background => self.contact(contact),
            _ => {}
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let hour = now.secs().div_euclid(HOUR_S);
        let hubs: Vec<HostId> = self.hubs.iter().filter(|(_, hub)| hub.hour < hour).map(|(id, _)| *id).collect();
        for id in hubs {
            self.turn(id, hour);
        }
        self.tell_today();
        let (rule, noted) = (&self.rule, &self.noted);
        // What is told as a whole is not told again in part.
        let is_part = |key: &(HostId, i64)| noted.get(key).is_none();
        self.single.say(which, said, |key, hour| is_part(key).then(|| rule.tell(now, key.0, hour, true, usual)));
        self.noted.say(which, said, |(hub, _), hour| Some(rule.tell(now, *hub, hour, false, usual)));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.hubs.table(), self.pairs.table(), self.noted.table(), self.single.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.hubs, &mut self.pairs, &mut self.noted, &mut self.single, &mut self.today]
    }
}

impl HubSuspect {
    fn act(&mut self, act: &Act) {
        let runs = match &act.what {
            What::Execution(execution) => execution.act == event::Act::Execute,
            What::File { .. } => false,
            What::Session(_) => true,
        };
        let hour = act.ts.secs().div_euclid(HOUR_S);
        let fresh = self.pairs.get(&(act.by, act.on)).is_none();
        self.pairs.insert((act.by, act.on), ());
        // The machine acted on may be such a server itself.
        if self.hubs.get(&act.on).is_some() {
            self.turn(act.on, hour);
            if let Some(hub) = self.hubs.get_mut(&act.on) {
                hub.now.admins = hub.now.admins.saturating_add(1);
                hub.now.new_admins = hub.now.new_admins.saturating_add(u32::from(fresh));
                hub.now.note(act.ts, act.uid);
            }
        }
        if !runs {
            return;
        }
        let channel = Deed::of(&act.what).channel;
        self.turn(act.by, hour);
        let hub = self.hubs.entry(act.by, || Hub { since: hour, hour, day: hour.div_euclid(24), ..Hub::default() });
        let known = hub.used.contains(&channel);
        if !known && hub.used.len() < MAX_CHANNELS {
            hub.used.push(channel);
        }
        let now = &mut hub.now;
        if !known {
            now.new_channel.get_or_insert(channel);
        }
        if now.machines.len() < MAX_MACHINES && now.machines.insert(act.on) && fresh {
            now.firsts = now.firsts.saturating_add(1);
        }
        now.channels.insert(channel);
        now.note(act.ts, act.uid);
    }

    fn contact(&mut self, seen: &Contact) {
        if self.hubs.get(&seen.host).is_none() {
            return;
        }
        self.turn(seen.host, seen.ts.secs().div_euclid(HOUR_S));
        if let Some(hub) = self.hubs.get_mut(&seen.host) {
            hub.now.outside = hub.now.outside.saturating_add(1);
            if seen.first {
                hub.now.new_outside = hub.now.new_outside.saturating_add(1);
                hub.now.note(seen.ts, seen.uid);
            }
        }
    }

    /// Ends a server's hour when another began: judges it against the past, then learns it.
    fn turn(&mut self, id: HostId, hour: i64) {
        let Some(hub) = self.hubs.get_mut(&id).filter(|hub| hub.hour < hour) else { return };
        let known = hub.hour - hub.since >= self.rule.learn_hours && hub.acting_days >= self.rule.least_acts;
        let judged = known.then(|| hub.judge(&self.rule)).flatten();
        hub.learn(hour, &self.rule);
        let Some(judged) = judged else { return };
        if judged.is_odd(self.rule.sign_p) {
            self.single.note_once((id, judged.at()), || judged.clone());
        }
        let day = judged.span.1.utc_day();
        let (at, today) = self.today.get_mut();
        if day > *at {
            *at = day;
            today.clear();
        }
        if today.get(&id).is_none_or(|worst| judged.p < worst.p) && today.len() < MAX_HUBS {
            today.insert(id, judged);
        }
    }

    /// Of the servers judged today those that stand out, few of them falsely.
    fn tell_today(&mut self) {
        let (_, today) = self.today.get();
        let mut all: Vec<(f64, HostId)> = today.iter().map(|(id, hour)| (hour.p, *id)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        // Each was judged by its worst hour of 24.
        let limit = |at: usize| self.rule.false_share * real(at + 1) / (real(all.len()) * 24.0);
        let told = all.iter().enumerate().rposition(|(at, (p, _))| *p <= limit(at)).map_or(0, |at| at + 1);
        for (_, id) in all.iter().take(told) {
            if let Some(hour) = today.get(id) {
                self.noted.note_once((*id, hour.at()), || hour.clone());
            }
        }
    }
}

impl Hour {
    /// Hours since the epoch.
    fn at(&self) -> i64 {
        self.span.0.secs().div_euclid(HOUR_S)
    }

    /// One thing it had not done before stands out. How many it acted on varies by itself: only with something new.
    fn is_odd(&self, sign_p: f64) -> bool {
        self.signs.iter().skip(1).any(|p| *p <= sign_p)
    }
}

impl Present {
    fn note(&mut self, ts: Timestamp, uid: Uid) {
        self.first = Some(self.first.map_or(ts, |first| first.min(ts)));
        self.last = Some(self.last.map_or(ts, |last| last.max(ts)));
        keep(&mut self.uids, uid);
    }
}

impl Hub {
    /// The chances of the present hour; `None` when nothing happened in it.
    fn judge(&self, rule: &Rule) -> Option<Hour> {
        let now = &self.now;
        let span = (now.first?, now.last?);
        let machines = now.machines.len();
        let at = octave(machines);
        let above: f64 = self.by_machines.iter().skip(at).sum();
        let volume = if machines == 0 { 1.0 } else { (above + 1.0) / (self.hours + 1.0) };
        let rate = (self.firsts + 1.0) / (self.hours + rule.shrink_hours);
        // New machines come in bursts, an administrator's list: how many were acted on is the first sign's to judge, and so
        // many of them new must be odd for this server as well.
        let acted_on = vec![self.reached.chance(rule.shrink); machines];
        let among = poisson_binomial_tail(&acted_on, usize::try_from(now.firsts).unwrap_or(usize::MAX));
        let firsts = poisson(rate, now.firsts).max(among);
        let once = |happened: bool, p: f64| if happened { p } else { 1.0 };
        let any = |n: u32, p: f64| if n == 0 { 1.0 } else { 1.0 - (1.0 - p).powf(f64::from(n)) };
        let channel = once(now.new_channel.is_some(), self.channels.chance(rule.shrink));
        // Of the hours in which it acted, those of the day and the kind of day at which it acts as seldom as now.
        let clock = once(machines > 0, self.clock.as_seldom(at::Hour::of(self.hour), [1.0; 2]));
        // Seldom enough that the number met does not matter for the chance of one being new.
        let outside = once(now.new_outside > 0, any(now.outside.min(MOST_AT_ONCE), self.outside.chance(rule.shrink)));
        let admins = once(now.new_admins > 0, any(now.admins.min(MOST_AT_ONCE), self.admins.chance(rule.shrink)));
        let signs = [volume, firsts, channel, clock, outside, admins].map(|p| p.clamp(1e-12, 1.0));
        Some(Hour {
            p: cauchy(&signs),
            signs,
            machines: now.machines.iter().copied().take(MAX_NAMED).collect(),
            firsts: now.firsts,
            span,
            acted: machines > 0,
            uids: now.uids.clone(),
        })
    }

    /// The present hour becomes the past, and those without anything up to `hour` too.
    fn learn(&mut self, hour: i64, rule: &Rule) {
        let now = std::mem::take(&mut self.now);
        if let Some(count) = self.by_machines.get_mut(octave(now.machines.len())) {
            *count += 1.0;
        }
        if !now.machines.is_empty() {
            self.clock.add(at::Hour::of(self.hour));
            self.acting_days = self
                .acting_days
                .saturating_add(u32::from(self.day != self.hour.div_euclid(24) || self.acting_days == 0));
            self.day = self.hour.div_euclid(24);
        }
        self.firsts += f64::from(now.firsts);
        self.reached.learn(u32::try_from(now.machines.len()).unwrap_or(u32::MAX), now.firsts);
        self.channels
            .learn(u32::try_from(now.channels.len()).unwrap_or(u32::MAX), u32::from(now.new_channel.is_some()));
        self.outside.learn(now.outside.min(MOST_AT_ONCE), now.new_outside.min(MOST_AT_ONCE));
        self.admins.learn(now.admins.min(MOST_AT_ONCE), now.new_admins.min(MOST_AT_ONCE));
        let passed = hour.saturating_sub(self.hour).clamp(1, 24 * 366);
        #[expect(clippy::cast_precision_loss, reason = "hours of a year")]
        let silent = (passed - 1) as f64;
        self.hours += silent + 1.0;
        self.by_machines[0] += silent;
        let ended = hour.div_euclid(24) - self.hour.div_euclid(24);
        for _ in 0..ended.clamp(0, 366) {
            self.fade(1.0 - rule.fade_per_day);
        }
        self.hour = hour;
    }

    fn fade(&mut self, keep: f64) {
        self.by_machines.iter_mut().for_each(|count| *count *= keep);
        self.clock.fade(keep);
        for count in [&mut self.hours, &mut self.firsts] {
            *count *= keep;
        }
        for kinds in [&mut self.reached, &mut self.channels, &mut self.outside, &mut self.admins] {
            kinds.met *= keep;
            kinds.new *= keep;
        }
    }
}

impl Rule {
    fn tell(&self, now: Timestamp, hub: HostId, hour: &Hour, single: bool, usual: &Profiles) -> Finding {
        let (severity, title) = match () {
            () if single => (self.single, &self.single_title),
            () if hour.acted => (self.acting, &self.title),
            () => (self.severity, &self.title),
        };
        let scope = if single { format!("sign {}", hour.at()) } else { hour.at().to_string() };
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: hour.span,
            severity,
            attack: &self.attack,
            host: hub,
            role: Role::StagingServer,
            scope: &scope,
        };
        let server = usual.label(hub);
        let words = SIGNS.iter().zip(hour.signs).filter(|(_, p)| *p <= self.sign_p);
        let odd: Vec<Text> = words
            .map(|((_, sign), p)| say!("hub_suspect.sign", sign = Arg::term(sign), rarity = format!("{:.0}", 1.0 / p)))
            .collect();
        let mut reasons: Vec<Evidence> =
            SIGNS.iter().zip(hour.signs).map(|((sign, _), p)| reason(sign, Value::Number(p), "probability")).collect();
        reasons.push(reason("combined_p", Value::Number(hour.p), "probability"));
        reasons.push(reason("hosts_acted_on_first", Value::Count(u64::from(hour.firsts)), "hosts"));
        // Whom it acted on is exposed and no more (detection.md §8): it is the server that behaves unlike itself.
        let exposed: Vec<String> = hour.machines.iter().take(MAX_NAMED).map(|on| usual.address_text(*on)).collect();
        if !exposed.is_empty() {
            reasons.push(reason("exposed_hosts", Value::Text(exposed.join(" ").into()), ""));
        }
        let finding = claim.say(
            usual,
            Words {
                title: say!("hub_suspect.title", what = Arg::term(title), server = &server),
                explanation: say!(
                    "hub_suspect.explanation",
                    server = &server,
                    from = hour.span.0.clock_beside(hour.span.1),
                    odd = Arg::list(odd),
                ),
                reasons,
                others: Vec::new(),
                uids: hour.uids.clone(),
            },
        );
        Finding { p: Some(hour.p), ..finding }
    }
}

/// 0 for none, n for at least 2^(n−1).
fn octave(machines: usize) -> usize {
    let bits = usize::BITS - machines.leading_zeros();
    usize::try_from(bits).unwrap_or(0).min(OCTAVES - 1)
}

const HOUR_S: i64 = 3600;
/// Up to 1,024 machines an hour, and more.
const OCTAVES: usize = 12;
/// Contacts of an hour that count towards the chance of a new one.
const MOST_AT_ONCE: u32 = 24;
/// Servers held, 1.2 kB each and what they did in this hour.
const MAX_HUBS: usize = 4_096;
/// Pairs of actor and machine.
const MAX_PAIRS: usize = 200_000;
const MAX_CHANNELS: usize = 32;
/// Machines of an hour that are counted, and named.
const MAX_MACHINES: usize = 1_024;
const MAX_NAMED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_unlike_the_past_stands_out_and_one_like_it_does_not() {
        let rule: Rule = parse(SPEC.rule).unwrap();
        let mut hub = Hub { since: 480_000, hour: 480_000, day: 20_000, ..Hub::default() };
        // Two machines at ten every morning for twenty days.
        let work = |hub: &mut Hub, machines: u32, firsts: u32| {
            hub.now.machines = (0..machines).map(HostId).collect();
            hub.now.firsts = firsts;
            hub.now.channels.insert("winrm");
            hub.now.note(Timestamp::from_secs(hub.hour * HOUR_S), Uid::NONE);
        };
        for day in 0..20 {
            hub.learn(480_000 + day * 24 + 10, &rule);
            work(&mut hub, 2, u32::from(day == 0));
            hub.learn(480_000 + day * 24 + 11, &rule);
        }
        hub.learn(480_000 + 20 * 24 + 10, &rule);
        work(&mut hub, 2, 0);
        let usual = hub.judge(&rule).unwrap();
        assert!(usual.p > 0.05, "{usual:?}");
        let mut odd = hub.clone();
        work(&mut odd, 30, 28);
        odd.now.new_channel = Some("svcctl");
        let odd = odd.judge(&rule).unwrap();
        assert!(odd.p < 1e-6 && odd.acted, "{odd:?}");
        let mut desk = Hub { reached: Kinds { met: 60.0, new: 54.0 }, ..hub.clone() };
        work(&mut desk, 5, 5);
        let desk = desk.judge(&rule).unwrap();
        assert!(desk.signs[1] > 0.1, "whoever always has new machines: {desk:?}");
        assert!(!usual.is_odd(rule.sign_p), "what it does every morning: {usual:?}");
        let mut verb = hub.clone();
        verb.now.new_channel = Some("svcctl");
        let verb = verb.judge(&rule).unwrap();
        assert!(verb.is_odd(rule.sign_p) && verb.signs[3] > 0.5, "a new channel alone: {verb:?}");
        hub.hour += 14;
        work(&mut hub, 2, 0);
        let night = hub.judge(&rule).unwrap();
        assert!(night.is_odd(0.1) && night.signs[3] < 0.1 && night.signs[0] > 0.01, "{night:?}");
    }

    #[test]
    fn sizes_are_counted_in_octaves() {
        assert_eq!([0, 1, 2, 3, 4, 1023, 1024, 9_999_999].map(octave), [0, 1, 2, 2, 3, 10, 11, 11]);
    }
}
