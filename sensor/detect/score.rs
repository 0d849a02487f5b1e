//! Cues → cases and host anomalies: what adds up for one host and one destination on one day, and how unusual that is.
//!
//! Two sums: over what leaves the host (it chooses the cases of the common cause test, which must not be chosen by what
//! it tests) and over everything (it ranks the hosts). Grouped, capped, calibrated; never multiplied.

use super::beacon::reason;
use super::calibrate::{Budget, Calibration, Unusual};
use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::identify::id;
use super::memory::{Kept, Memory, Sole};
use super::renamed::Renames;
use super::today::{Checked, Shown, Standing, Today};
use super::{Cue, Group, Said};
use crate::base::stats::common;
use crate::base::{self, Arg, Table, Text, Timestamp, say};
use crate::event::Uid;
use crate::profile::{HostId, Profiles, Renamed, TenantId};
use std::collections::BTreeMap;

/// `rules/host_anomaly.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScoreRule {
    enabled: bool,
    title: String,
    attack: Vec<Box<str>>,
    cap_destination_nats: f64,
    cap_client_nats: f64,
    cap_timing_nats: f64,
    cap_volume_nats: f64,
    cap_execution_nats: f64,
    cap_protocol_nats: f64,
    case_p: f64,
    cold_case_nats: f64,
    common_share: f64,
    common_hosts: u32,
    incidents_per_day: f64,
    least_incidents_per_day: f64,
    least_host_days: u64,
    least_groups: usize,
}

/// A host and a destination that are worth asking who is behind them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WeakCase {
    pub(crate) host: HostId,
    pub(crate) tenant: Option<TenantId>,
    /// The first sign.
    pub(crate) ts: Timestamp,
    /// The egress sum.
    pub(crate) nats: f64,
    /// Among the fleet's host-days, once they are known.
    pub(crate) p: Option<f64>,
    /// The kind of program is among what is odd.
    pub(crate) odd_client: bool,
}

/// Sums of the day, and what they are held against.
#[derive(Debug)]
pub(crate) struct Scorer {
    rule: ScoreRule,
    tallies: Kept<(HostId, Option<TenantId>), Tally>,
    today: Sole<Today>,
    egress: Calibration,
    whole: Calibration,
}

/// What one host showed towards one destination today.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Tally {
    first: Timestamp,
    last: Timestamp,
    /// The strongest cue of each group.
    best: [Option<Box<Cue>>; Group::ALL.len()],
    uids: Vec<Uid>,
    is_case: bool,
}

impl Renames for Tally {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        let cue = |cue: Cue| Some(Cue { host: cue.host.renamed(ids)?, tenant: cue.tenant.renamed(ids)?, ..cue });
        Some(Self { best: self.best.map(|best| best.and_then(|best| cue(*best)).map(Box::new)), ..self })
    }
}

impl Scorer {
    /// What it remembers between runs, but for what scores are usual.
    pub(super) fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.tallies, &mut self.today]
    }

    pub(crate) fn new(rule: ScoreRule) -> Self {
        Self {
            rule,
            tallies: Kept::new(base::Budget::new("score.tallies", MAX_TALLIES, 640)),
            today: Sole::new("score.today", Today::default()),
            egress: Calibration::default(),
            whole: Calibration::default(),
        }
    }

    /// Follows another rule from now on; today's sums and what they are held against stay.
    pub(crate) fn follow(&mut self, rule: ScoreRule) {
        self.rule = rule;
    }

    /// What egress sums and whole sums are held against.
    pub(super) const fn calibrations(&self) -> [&Calibration; 2] {
        [&self.egress, &self.whole]
    }

    pub(super) const fn calibrations_mut(&mut self) -> [&mut Calibration; 2] {
        [&mut self.egress, &mut self.whole]
    }

    /// How fair the p-values were, by class of peers.
    pub(crate) fn checked(&self) -> impl Iterator<Item = (u32, Checked)> {
        self.today.get().checked.iter().map(|(class, checked)| (*class, *checked))
    }

    /// Holds a day's hosts of a class against the days before it, and those that stand out against each other.
    fn check(&mut self, weekend: bool, class: u32, alive: u32, scores: &[Shown]) {
        let least = self.rule.least_host_days;
        if self.whole.unusual(weekend, class, 0.0, least).is_none() {
            return;
        }
        let checked = self.today.get_mut().checked.entry(class).or_default();
        checked.host_days = checked.host_days.saturating_add(alive.into());
        let known = |shown: &Shown| Some((*shown, self.whole.unusual(weekend, class, shown.whole, least)?));
        let limits = [0.01, 0.001, 0.0001];
        let rare: Vec<_> = scores
            .iter()
            .filter(|shown| shown.whole > 0.0)
            .filter_map(known)
            .filter(|(_, how)| how.p <= limits[0])
            .collect();
        let mut day = Standing::default();
        rare.iter().for_each(|(shown, _)| day.add(shown.who, shown.whole));
        for (shown, how) in rare {
            let how = how.beside(day.as_much(shown.who, shown.whole, usize::MAX));
            for (count, limit) in checked.at_most.iter_mut().zip(limits) {
                *count = count.saturating_add(u64::from(how.p <= limit));
            }
        }
    }

    /// Takes in cues.
    pub(crate) fn take(&mut self, cues: impl IntoIterator<Item = Cue>) {
        if !self.rule.enabled {
            return;
        }
        for cue in cues {
            let key = (cue.host, cue.tenant);
            let tally = self.tallies.entry(key, || Tally {
                first: cue.ts,
                last: cue.ts,
                best: [const { None }; Group::ALL.len()],
                uids: Vec::new(),
                is_case: false,
            });
            tally.first = tally.first.min(cue.ts);
            tally.last = tally.last.max(cue.ts);
            if cue.uid != Uid::NONE && tally.uids.len() < MAX_UIDS && !tally.uids.contains(&cue.uid) {
                tally.uids.push(cue.uid);
            }
            let Some(best) = tally.best.get_mut(cue.group as usize) else { continue };
            if best.as_ref().is_none_or(|known| known.nats < cue.nats) {
                *best = Some(Box::new(cue));
                self.today.get_mut().touched.insert(key);
            }
        }
    }

    /// Event time reached a step: new cases come back, host anomalies are said. At the end of a day it is learned.
    pub(crate) fn advance(&mut self, now: Timestamp, usual: &Profiles, said: &mut Said) -> Vec<WeakCase> {
        let mut cases = Vec::new();
        for key in std::mem::take(&mut self.today.get_mut().touched) {
            let Some(tally) = self.tallies.get(&key) else { continue };
            let (egress, whole) = (self.rule.sum(tally, Group::is_egress), self.rule.sum(tally, |_| true));
            let odd_client = tally.best.get(Group::Client as usize).is_some_and(Option::is_some);
            // Where everybody goes, one more host says nothing; a program that does not go there does (§2.1).
            let common = !odd_client && key.1.is_some_and(|tenant| self.rule.is_common(tenant, now, usual));
            let (weekend, class) = (Profiles::is_weekend(usual.day(now)), usual.peers(key.0));
            let how = self.egress.unusual(weekend, class, egress, CASE_HOST_DAYS);
            let unusual = how.map_or(egress >= self.rule.cold_case_nats, |how| how.p <= self.rule.case_p);
            if unusual && !common && !tally.is_case {
                let (ts, p) = (tally.first, how.map(|how| how.p));
                cases.push(WeakCase { host: key.0, tenant: key.1, ts, nats: egress, p, odd_client });
                if let Some(tally) = self.tallies.get_mut(&key) {
                    tally.is_case = true;
                }
            }
            if let Some(how) = self.whole.unusual(weekend, class, whole, self.rule.least_host_days) {
                self.tell(now, key, whole, how, usual, said);
            }
        }
        let day = usual.day(now);
        if self.today.get().day.is_some_and(|known| known != day) {
            self.learn(usual);
        }
        self.today.get_mut().day = Some(day);
        cases
    }

    /// Its table as it stands.
    pub(crate) fn table(&self) -> Table {
        self.tallies.table()
    }

    /// The day is over: what its hosts showed is what is usual from now on.
    fn learn(&mut self, usual: &Profiles) {
        let Some(day) = self.today.get().day else { return };
        let weekend = Profiles::is_weekend(day);
        let mut scores: BTreeMap<HostId, Shown> = BTreeMap::new();
        // Those told count too: what is left out of the past makes everybody else look unusual, more so every day.
        for (who, tally) in self.tallies.iter() {
            let new = Shown {
                egress: self.rule.sum(tally, Group::is_egress),
                whole: self.rule.sum(tally, |_| true),
                who: *who,
            };
            scores.entry(who.0).and_modify(|most| most.raise(new)).or_insert(new);
        }
        let mut by_class: BTreeMap<u32, Vec<Shown>> = BTreeMap::new();
        for (host, shown) in scores {
            by_class.entry(usual.peers(host)).or_default().push(shown);
        }
        let (mut egress, mut whole) = (Vec::new(), Vec::new());
        for (class, alive) in usual.alive_by_peers() {
            let shown = by_class.remove(&class).unwrap_or_default();
            self.check(weekend, class, alive, &shown);
            egress.push((class, alive, shown.iter().map(|shown| shown.egress).collect()));
            whole.push((class, alive, shown.iter().map(|shown| shown.whole).collect()));
        }
        self.egress.learn(day, weekend, egress);
        self.whole.learn(day, weekend, whole);
        let today = self.today.get_mut();
        if let Some(budget) = &mut today.budget {
            budget.settle();
        }
        self.tallies.clear();
        today.end();
    }

    fn tell(
        &mut self,
        now: Timestamp,
        (host, tenant): (HostId, Option<TenantId>),
        whole: f64,
        how: Unusual,
        usual: &Profiles,
        said: &mut Said,
    ) {
        let rule = &self.rule;
        let wanted = (rule.incidents_per_day * f64::from(usual.fleet()) / 100_000.0).max(rule.least_incidents_per_day);
        let today = self.today.get_mut();
        let most = today.budget.get_or_insert_with(|| Budget::new(wanted)).threshold(usual.fleet());
        let Some(tally) = self.tallies.get(&(host, tenant)) else { return };
        let groups = tally.best.iter().flatten().count();
        if how.p > most {
            return;
        }
        today.unlikely.add((host, tenant), whole);
        if groups < rule.least_groups {
            return;
        }
        let how = how.beside(today.unlikely.as_much((host, tenant), whole, how.enough_for(most)));
        // A new service that half a site takes up within an hour is no hundred incidents; each is on record.
        let is_told = how.p <= most || today.told.contains(&host);
        if is_told {
            today.tell(host);
        }
        let tie = tenant.and_then(|tenant| usual.tie(host, tenant));
        let key = tenant.and_then(|tenant| usual.tenant(tenant)).map_or("", |owner| &owner.key);
        let destination = tie.map_or_else(|| key.to_owned(), |tie| tie.destination(Some(key)));
        let ip = usual.address_text(host);
        let mut entities = vec![Entity::host(Role::AffectedHost, host, usual)];
        entities.extend(tie.map(Entity::destination));
        let (what, cues, from) =
            (Arg::term(&rule.title), Arg::list(words(tally)), tally.first.clock_beside(tally.last));
        let unusual = if how.as_unusual == 0 { Arg::term("none") } else { how.as_unusual.into() };
        let (title, explanation) = if destination.is_empty() {
            let days = how.host_days;
            let text =
                say!("host_anomaly.explanation", host = &ip, from = from, cues = cues, days = days, unusual = unusual);
            (say!("host_anomaly.title", what = what, host = &ip), text)
        } else {
            let text = say!(
                "host_anomaly.explanation_towards",
                host = &ip,
                destination = &destination,
                from = from,
                cues = cues,
                days = how.host_days,
                unusual = unusual,
            );
            (say!("host_anomaly.title_towards", what = what, host = &ip, destination = &destination), text)
        };
        said.findings.push(Finding {
            id: id("host_anomaly", &usual.subject(host), &key, tally.first),
            detector: "host_anomaly",
            time: now,
            first_seen: tally.first,
            last_seen: tally.last,
            severity: if is_told { Severity::Medium } else { Severity::Info },
            score: (-how.p.log10() / 6.0).clamp(0.0, 1.0),
            p: Some(how.p),
            title,
            explanation,
            attack: rule.attack.clone(),
            entities,
            reasons: rule.reasons(tally, whole, how),
            uids: tally.uids.clone(),
        });
    }
}

impl ScoreRule {
    fn cap(&self, group: Group) -> f64 {
        match group {
            Group::Destination => self.cap_destination_nats,
            Group::Client => self.cap_client_nats,
            Group::Timing => self.cap_timing_nats,
            Group::Volume => self.cap_volume_nats,
            Group::Execution => self.cap_execution_nats,
            Group::Protocol => self.cap_protocol_nats,
        }
    }

    fn sum(&self, tally: &Tally, counts: impl Fn(Group) -> bool) -> f64 {
        let cues = tally.best.iter().flatten().filter(|cue| counts(cue.group));
        cues.map(|cue| cue.nats.min(self.cap(cue.group))).sum()
    }

    /// So many used it already a day before that one more host says nothing.
    fn is_common(&self, tenant: TenantId, now: Timestamp, usual: &Profiles) -> bool {
        let Some(owner) = usual.tenant(tenant) else { return false };
        let before = owner.users.iter().filter(|(_, first)| now.secs_since(*first) > DAY_S).count();
        let before = f64::from(u32::try_from(before).unwrap_or(u32::MAX).saturating_add(owner.more));
        before >= common(self.common_hosts, self.common_share, usual.fleet())
    }

    /// Enough to add the sum up again: each cue with its measure, each group with its cap, what it was held against.
    fn reasons(&self, tally: &Tally, whole: f64, how: Unusual) -> Vec<Evidence> {
        let mut reasons = Vec::new();
        for cue in tally.best.iter().flatten() {
            reasons.push(cue.reason.clone());
            reasons.push(Evidence {
                measure: group_measure(cue.group),
                observed: Value::Number(cue.nats),
                against: Against::Limit(Value::Number(self.cap(cue.group))),
                unit: "nats",
            });
        }
        reasons.push(reason("surprise", Value::Number(whole), "nats"));
        reasons.push(reason("host_days", Value::Count(how.host_days), ""));
        reasons.push(reason("host_days_as_unusual", Value::Count(how.as_unusual), ""));
        reasons
    }
}

const fn group_measure(group: Group) -> &'static str {
    match group {
        Group::Destination => "destination_group",
        Group::Client => "client_group",
        Group::Timing => "timing_group",
        Group::Volume => "volume_group",
        Group::Execution => "execution_group",
        Group::Protocol => "protocol_group",
    }
}

/// The cues in words, strongest first.
fn words(tally: &Tally) -> Vec<Text> {
    let mut cues: Vec<&Cue> = tally.best.iter().flatten().map(|cue| &**cue).collect();
    cues.sort_by(|a, b| b.nats.total_cmp(&a.nats).then(a.group.cmp(&b.group)));
    let word = |cue: &&Cue| {
        let unit = if cue.reason.unit.is_empty() { String::new() } else { format!(" {}", cue.reason.unit) };
        let observed = match &cue.reason.observed {
            Value::Count(n) => format!("{n}{unit}"),
            Value::Number(n) if n.abs() < 0.01 => format!("{n:.1e}{unit}"),
            Value::Number(n) => format!("{n:.2}{unit}"),
            Value::Text(text) => text.to_string(),
        };
        say!(
            "host_anomaly.cue",
            measure = Arg::term(&cue.reason.measure.replace('_', " ")),
            observed = observed,
            rarity = format!("{:.0}", cue.nats.min(MOST_WORDS_NATS).exp()),
        )
    };
    cues.iter().map(word).collect()
}

/// (host, destination) pairs with a cue in one day; most have one or two cues of some 200 bytes.
const MAX_TALLIES: usize = 200_000;
/// Flows named.
const MAX_UIDS: usize = 16;
/// Host-days from which on a share of one in a hundred can be read off.
const CASE_HOST_DAYS: u64 = 500;
const DAY_S: f64 = 86_400.0;
/// Beyond a millionth, words say no more.
const MOST_WORDS_NATS: f64 = 13.8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Site;
    use crate::intel::Intel;
    use crate::profile::Declared;
    use std::sync::Arc;

    fn cue(host: u32, tenant: u32, group: Group, nats: f64, s: i64) -> Cue {
        Cue {
            detector: "test",
            ts: Timestamp::from_secs(s),
            host: HostId(host),
            tenant: Some(TenantId(tenant)),
            group,
            nats,
            reason: reason("odd", Value::Number(0.001), "probability"),
            uid: Uid([1, 2, host]),
        }
    }

    fn scorer() -> (Scorer, Profiles) {
        let rule = toml::from_str(include_str!("../../rules/host_anomaly.toml")).unwrap();
        let declared = Declared { site: Site::new(&[], &[]), hosts: Vec::new(), policies: Vec::new(), utc_offset_s: 0 };
        (Scorer::new(rule), Profiles::new(Arc::new(declared), Arc::new(Intel::shipped())))
    }

    #[test]
    fn a_case_is_chosen_by_what_leaves_the_host_each_group_once_and_to_its_cap() {
        use Group::{Client, Destination, Execution, Protocol, Timing};
        for (what, cues, expected) in [
            ("one weak sign", vec![(Destination, 6.0)], None),
            ("two of different groups", vec![(Destination, 6.0), (Timing, 5.0)], Some(11.0)),
            ("two of the same group: the stronger", vec![(Destination, 6.0), (Destination, 6.5)], None),
            ("beyond a cap", vec![(Protocol, 50.0), (Client, 3.0)], Some(8.0)),
            ("what was done to the host does not choose it", vec![(Destination, 6.0), (Execution, 10.0)], None),
        ] {
            let (mut scorer, usual) = scorer();
            scorer.take(cues.into_iter().map(|(group, nats)| cue(1, 7, group, nats, 10)));
            let cases = scorer.advance(Timestamp::from_secs(300), &usual, &mut Said::default());
            assert_eq!(cases.first().map(|case| case.nats), expected, "{what}");
        }
    }

    #[test]
    fn what_comes_over_many_on_one_day_is_told_of_as_many_as_the_budget_has_and_noted_of_all() {
        let (mut scorer, usual) = scorer();
        scorer.whole.learn(0, false, [(usual.peers(HostId(1)), 2_000, vec![1.0; 50])]);
        scorer.take(
            (0..100).flat_map(|host| [cue(host, 7, Group::Destination, 6.0, 10), cue(host, 7, Group::Client, 5.0, 10)]),
        );
        let mut said = Said::default();
        scorer.advance(Timestamp::from_secs(300), &usual, &mut said);
        let told = said.findings.iter().filter(|finding| finding.severity == Severity::Medium).count();
        assert_eq!((told, said.findings.len()), (20, 100), "one in a hundred is the most that is told");
        assert!(said.findings.iter().all(|finding| finding.p.is_some()));
    }

    #[test]
    fn a_case_is_told_once_a_day_and_destinations_do_not_mix() {
        let (mut scorer, usual) = scorer();
        let step = |scorer: &mut Scorer, s| scorer.advance(Timestamp::from_secs(s), &usual, &mut Said::default()).len();
        scorer.take([cue(1, 7, Group::Destination, 6.0, 10), cue(1, 8, Group::Timing, 5.0, 20)]);
        assert_eq!(step(&mut scorer, 300), 0, "one sign each");
        scorer.take([cue(1, 8, Group::Client, 5.0, 310)]);
        assert_eq!(step(&mut scorer, 600), 1);
        scorer.take([cue(1, 8, Group::Client, 6.0, 610)]);
        assert_eq!(step(&mut scorer, 900), 0, "told already");
        assert_eq!(step(&mut scorer, 86_700), 0);
        scorer.take([cue(1, 8, Group::Timing, 5.0, 86_800), cue(1, 8, Group::Client, 5.0, 86_800)]);
        assert_eq!(step(&mut scorer, 87_000), 1, "another day");
    }
}
