//! Common cause: was one server in contact with the cases shortly before, beyond what it usually is?
//!
//! `detection.md` §4.4. Cases are chosen by egress evidence alone. For each candidate server, time scale and mark the
//! exposures of the cases are held against the larger of two usual rates: how often each host is in contact with that
//! server at other times of the same kind (itself), and how many other hosts the server was in contact with at that
//! moment (calendar). The number exposed is then a Poisson-binomial. The companion tests (`companion`) catch a server
//! that is in contact with everybody. Holm over all servers and tests; the likelihood ratio ranks them and gives each
//! case the probability that this server caused it.

use super::CauseRule;
use super::case::{Case, Exposure};
use super::companion::{Companion, companion};
use super::contacts::Contacts;
use super::pairs::{DAY_S, Mark, moment};
use super::permute::shifted;
use super::tails::{at_least, holm};
use crate::base::stats::real;
use crate::profile::HostId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How much the evidence amounts to (§4.4, minimum evidence).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Strength {
    None,
    Possible,
    Probable,
    Strong,
}

/// A server that may be behind the cases.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Suspect {
    pub(crate) host: HostId,
    /// Cases whose path to it the sensor could have seen; of them in contact with it, and how many that would usually be.
    pub(crate) seen: u32,
    pub(crate) exposed: u32,
    pub(crate) expected: f64,
    pub(crate) scale_s: f64,
    pub(crate) mark: Mark,
    /// Of the presence test alone, after the scales and marks tried.
    pub(crate) p: f64,
    pub(crate) companion: Companion,
    /// The smallest of its tests after Holm over all candidates and tests.
    pub(crate) p_adjusted: f64,
    pub(crate) llr: f64,
    /// Share of cases it caused.
    pub(crate) share: f64,
    /// Probability for each case that this server caused it.
    pub(crate) attribution: BTreeMap<HostId, f64>,
    /// Share of random shifts of the cases in time that have as many exposed.
    pub(crate) shifted: Option<f64>,
    /// Ten-minute bins the exposed cases fell into.
    pub(crate) bins: u32,
    pub(crate) strength: Strength,
    /// Servers with all but the same clients: the tests cannot tell them apart.
    pub(crate) tied: Vec<HostId>,
}

/// The test's outcome for one set of cases.
#[derive(Clone, Debug, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Cause {
    pub(crate) cases: u32,
    pub(crate) candidates: u32,
    /// Most likely first.
    pub(crate) suspects: Vec<Suspect>,
    /// Every case's host was watched long enough to know what is usual for it.
    pub(crate) baseline: bool,
}

/// What the test is asked with.
pub(crate) struct Question<'a> {
    pub(crate) contacts: &'a Contacts,
    pub(crate) rule: &'a CauseRule,
    /// Hosts of the site.
    pub(crate) fleet: u32,
    /// Whether the sensor could have seen contacts between two hosts.
    pub(crate) sees: &'a dyn Fn(HostId, HostId) -> bool,
    /// Where a host is.
    pub(crate) address: &'a dyn Fn(HostId) -> Option<IpAddr>,
    /// Family-wise chance below which a server counts as the probable cause.
    pub(crate) probable_p: f64,
    /// Rare marks only: for sets of cases that nothing but the day holds together.
    pub(crate) rare_only: bool,
}

/// Tests all servers that were in contact with at least two of the cases; again without the cases explained, up to
/// three servers.
pub(crate) fn common_cause(cases: &[&Case], ask: &Question<'_>) -> Cause {
    let mut left: Vec<&Case> = Vec::new();
    let mut seen = BTreeSet::new();
    for case in cases.iter().take(ask.rule.max_cases) {
        // The first weak sign of each endpoint counts.
        if seen.insert(case.host) {
            left.push(case);
        }
    }
    let baseline = !left.is_empty() && left.iter().all(|case| f64::from(case.watched_bins) >= ask.rule.baseline_bins);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut cause = round(&left, ask);
    (cause.cases, cause.baseline) = (count(left.len()), baseline);
    let mut named: Vec<Suspect> = Vec::new();
    while let Some(first) = cause.suspects.first().filter(|first| first.strength >= Strength::Probable).cloned() {
        left.retain(|case| first.attribution.get(&case.host).is_none_or(|r| *r <= 0.5));
        named.push(first);
        if named.len() >= MAX_SERVERS || left.len() < ask.rule.min_hosts {
            break;
        }
        let next = round(&left, ask);
        let fresh = next
            .suspects
            .first()
            .is_some_and(|s| s.strength >= Strength::Probable && named.iter().all(|n| n.host != s.host));
        if !fresh {
            break;
        }
        let rest = cause.suspects.split_off(1.min(cause.suspects.len()));
        cause.suspects = next.suspects;
        cause.suspects.extend(rest);
    }
    if !named.is_empty() {
        let first: BTreeSet<HostId> = named.iter().map(|suspect| suspect.host).collect();
        let rest = std::mem::take(&mut cause.suspects).into_iter().filter(|suspect| !first.contains(&suspect.host));
        cause.suspects = named.into_iter().chain(rest).collect();
    }
    cause
}

fn round(cases: &[&Case], ask: &Question<'_>) -> Cause {
    // A server that was taken over calls the same destination before the machines it touches do: a case may be a cause,
    // of the others.
    let mut candidates: BTreeMap<HostId, u32> = BTreeMap::new();
    for exposure in cases.iter().flat_map(|case| &case.exposures) {
        *candidates.entry(exposure.peer).or_default() += 1;
    }
    candidates.retain(|_, exposed| *exposed >= 2);
    let mut suspects: Vec<Suspect> = candidates.keys().filter_map(|server| suspect(*server, cases, ask)).collect();
    // One family: three tests for each server.
    let all: Vec<f64> = suspects.iter().flat_map(|s| [s.p, s.companion.population_p, s.companion.sweep_p]).collect();
    let adjusted = holm(&all);
    for (suspect, p) in suspects.iter_mut().zip(adjusted.chunks(3)) {
        suspect.p_adjusted = p.iter().copied().fold(1.0, f64::min);
        let [presence, population, sweep] = [0, 1, 2].map(|at| p.get(at).copied().unwrap_or(1.0));
        suspect.companion.names = population.min(sweep) < presence;
        if suspect.companion.names {
            suspect.attribution = suspect.companion.attribution(cases, &suspect.attribution);
        }
        suspect.strength = strength(suspect, ask);
    }
    let order = |a: &Suspect, b: &Suspect| {
        // Evidence of the day itself goes before who manages whom.
        let tests = b.strength.cmp(&a.strength);
        tests.then(b.llr.total_cmp(&a.llr)).then(a.p.total_cmp(&b.p)).then(a.host.cmp(&b.host))
    };
    suspects.sort_by(order);
    tie(&mut suspects, ask.contacts);
    if let Some(first) = suspects.first_mut() {
        first.shifted = shifted(first, cases);
    }
    Cause { candidates: u32::try_from(suspects.len()).unwrap_or(u32::MAX), suspects, ..Cause::default() }
}

/// One server against the cases, at the scale and mark that speak most against it.
fn suspect(server: HostId, cases: &[&Case], ask: &Question<'_>) -> Option<Suspect> {
    let visible: Vec<&Case> =
        cases.iter().copied().filter(|case| case.host != server && (ask.sees)(case.host, server)).collect();
    let mut all: Vec<Row> = Vec::new();
    let mut tried = 0_usize;
    for mark in Mark::ALL.into_iter().filter(|mark| !ask.rare_only || *mark != Mark::Any) {
        let latest: Vec<Option<u32>> = visible.iter().map(|case| case.contact(server, mark)).collect();
        let mut contacts: Vec<u32> = latest.iter().copied().flatten().collect();
        contacts.sort_unstable();
        // What is usual is asked only for a server and a mark that at least two had.
        let mut habits: Option<Vec<Habit<'_>>> = None;
        let day = (mark != Mark::Any).then_some(DAY_S);
        for span in ask.rule.scales_s.iter().copied().chain(day) {
            tried += 1;
            if contacts.len() < 2 {
                continue;
            }
            let within = |(case, time): (&&Case, &Option<u32>)| {
                time.is_some_and(|time| moment(case.ts).saturating_sub(time) <= span)
            };
            let exposed: Vec<bool> = visible.iter().zip(&latest).map(within).collect();
            let count = exposed.iter().filter(|x| **x).count();
            if count < 2 {
                continue;
            }
            let habits = habits.get_or_insert_with(|| {
                visible.iter().map(|case| Habit::of(case, server, mark, ask.contacts)).collect()
            });
            let usual: Vec<f64> = visible
                .iter()
                .zip(habits.iter())
                .map(|(case, row)| row.usual(case, (mark, span), &contacts, visible.len()))
                .collect();
            let p = at_least(&usual, count);
            all.push(Row { at: (mark, span), exposed, usual, p });
        }
    }
    let least = all.iter().map(|row| row.p).min_by(f64::total_cmp)?;
    let equals = all.iter().filter(|row| row.p <= least).map(|row| row.suspect(server, &visible));
    let mut best = equals.max_by(|a, b| a.llr.total_cmp(&b.llr))?;
    best.p = (best.p * real(tried)).min(1.0);
    best.companion = companion(server, &visible, ask);
    // Nobody is attributed to a server that is not even listed.
    if best.p.min(best.companion.population_p).min(best.companion.sweep_p) >= ask.rule.possible_p {
        return Some(best);
    }
    // Who was in contact a little earlier than the best scale reaches is attributed by the scale that does.
    for row in &all {
        for (case, (_, q)) in visible.iter().zip(row.exposed.iter().zip(&row.usual)).filter(|(_, (x, _))| **x) {
            let by = best.share / (best.share + (1.0 - best.share) * q);
            best.attribution.entry(case.host).and_modify(|r| *r = r.max(by));
        }
    }
    Some(best)
}

/// What is usual for one case, one server and one mark.
struct Habit<'a> {
    exposure: Option<&'a Exposure>,
    usual: super::pairs::PerMark<f32>,
    at_boot: f32,
    /// Hosts the server met with the mark, in the shorter and the longer span.
    met: [u32; 2],
}

impl<'a> Habit<'a> {
    fn of(case: &'a Case, server: HostId, mark: Mark, contacts: &Contacts) -> Self {
        let exposure = case.exposure(server);
        let kept = exposure.filter(|exposure| exposure.met != Exposure::UNKNOWN);
        let met = kept.and_then(|exposure| exposure.met.get(mark.index()).copied());
        let met = met.unwrap_or_else(|| contacts.met(server, mark, case.ts));
        let (usual, at_boot) = match exposure {
            Some(exposure) => (exposure.usual, exposure.at_boot),
            None => contacts.usual(case.host, server, case.ts),
        };
        Self { exposure, usual, at_boot, met }
    }

    /// Chance of being exposed: the larger of the host's own habit and the calendar, which leaves the cases out.
    fn usual(&self, case: &Case, (mark, span): (Mark, u32), contacts: &[u32], cases: usize) -> f64 {
        let own = case.habit(&self.usual, self.at_boot, mark, span);
        let met = Case::met(self.exposure, self.met, mark, span).unwrap_or(0.0);
        let at = moment(case.ts);
        let from = contacts.partition_point(|time| *time < at.saturating_sub(span));
        let to = contacts.partition_point(|time| *time <= at.saturating_add(super::hubs::SLACK_S));
        let others = (met - real(to.saturating_sub(from))).max(0.0);
        let active = (f64::from(case.active) - real(cases)).max(others).max(1.0);
        own.max(others / active).clamp(LEAST_Q, MOST_Q)
    }
}

/// The cases at one mark and scale: who was exposed, how usual that is for each, how probable so many are.
struct Row {
    at: (Mark, u32),
    exposed: Vec<bool>,
    usual: Vec<f64>,
    p: f64,
}

impl Row {
    fn suspect(&self, server: HostId, cases: &[&Case]) -> Suspect {
        let Self { at: (mark, span), exposed, usual, p } = self;
        let count = exposed.iter().filter(|x| **x).count();
        let (share, llr) = mixture(exposed, usual);
        let caused = |(x, q): (&bool, &f64)| if *x { share / (share + (1.0 - share) * q) } else { 0.0 };
        let attribution = cases.iter().zip(exposed.iter().zip(usual)).map(|(case, row)| (case.host, caused(row)));
        let bins: BTreeSet<u32> = cases.iter().zip(exposed).filter(|(_, x)| **x).map(|(case, _)| case.bin()).collect();
        Suspect {
            host: server,
            seen: u32::try_from(cases.len()).unwrap_or(u32::MAX),
            exposed: u32::try_from(count).unwrap_or(u32::MAX),
            expected: usual.iter().sum(),
            scale_s: f64::from(*span),
            mark: *mark,
            p: *p,
            companion: Companion::default(),
            p_adjusted: 1.0,
            llr,
            share,
            attribution: attribution.collect(),
            shifted: None,
            bins: u32::try_from(bins.len()).unwrap_or(u32::MAX),
            strength: Strength::None,
            tied: Vec::new(),
        }
    }
}

/// Share of cases the server caused, by expectation maximisation, and the log likelihood ratio against none.
pub(crate) fn mixture(exposed: &[bool], usual: &[f64]) -> (f64, f64) {
    let n = real(exposed.len().max(1));
    let mut share = 0.5_f64;
    for _ in 0..EM_STEPS {
        let caused = exposed.iter().zip(usual).map(|(x, q)| if *x { share / (share + (1.0 - share) * q) } else { 0.0 });
        share = (caused.sum::<f64>() / n).clamp(1e-6, 1.0 - 1e-6);
    }
    let llr = exposed
        .iter()
        .zip(usual)
        .map(|(x, q)| if *x { ((share + (1.0 - share) * q) / q).ln() } else { (1.0 - share).ln() });
    (share, llr.sum())
}

fn strength(suspect: &Suspect, ask: &Question<'_>) -> Strength {
    let rule = ask.rule;
    let (k, x, p) = (suspect.seen as usize, suspect.exposed as usize, suspect.p_adjusted);
    let few = if suspect.mark == Mark::Execution { rule.min_marked_hosts } else { rule.min_hosts };
    let presence = !suspect.companion.names;
    let managed = suspect.companion.managed as usize;
    // Not where fewer were in contact than by accident, at the scale that speaks most for it.
    let in_contact = real(x) >= suspect.expected;
    let Companion { served_share, .. } = suspect.companion;
    let by_population = in_contact && rule.names_by_population(suspect.companion.managed, suspect.seen, served_share);
    let by_companion = by_population || suspect.companion.sweep_p < rule.sweep_p;
    let is_strong = presence && k >= rule.strong_hosts && suspect.share >= rule.strong_share && suspect.bins >= 2;
    match () {
        () if is_strong && p < rule.strong_p.min(ask.probable_p) => Strength::Strong,
        () if presence && k >= few && x >= few && p < ask.probable_p => Strength::Probable,
        () if !presence && by_companion && managed >= rule.min_hosts && p < ask.probable_p => Strength::Probable,
        () if k >= rule.min_hosts && p < rule.possible_p => Strength::Possible,
        () => Strength::None,
    }
}

impl CauseRule {
    /// Who manages whom says where the cases are, not what happened: it names nobody of many, and not for the lesser part
    /// of the cases (what spreads in some sites and not in others is no server's doing); and never strongly.
    pub(super) fn names_by_population(&self, managed: u32, cases: u32, served_share: f64) -> bool {
        let most = f64::from(managed) >= self.strong_share * f64::from(cases);
        most && managed as usize >= self.strong_hosts && served_share <= self.max_served_share
    }
}

/// Servers named by who manages whom alone, with all but the same clients, are one group.
fn tie(suspects: &mut [Suspect], contacts: &Contacts) {
    let Some(first) = suspects.first().filter(|first| first.companion.names) else { return };
    let Some(hub) = contacts.hub(first.host) else { return };
    let alike = |other: &&Suspect| {
        other.companion.names && contacts.hub(other.host).is_some_and(|known| hub.likeness(known) > SAME_CLIENTS)
    };
    let tied = suspects.iter().skip(1).filter(alike).map(|other| other.host).collect();
    if let Some(first) = suspects.first_mut() {
        first.tied = tied;
    }
}

/// Enough for two digits of the share.
const EM_STEPS: usize = 50;
/// Bounds of a usual rate (detection.md §4.4): nothing is impossible, nothing certain.
const LEAST_Q: f64 = 1e-5;
const MOST_Q: f64 = 0.999;
/// Servers named for one set of cases (§4.4).
const MAX_SERVERS: usize = 3;
/// Jaccard likeness from which on two sets of clients are one site's (§4.4).
const SAME_CLIENTS: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_manages_most_of_the_cases_is_named_unless_fewer_met_it_than_by_accident() {
        let (contacts, rule) =
            (Contacts::new(), toml::from_str(include_str!("../../rules/common_cause.toml")).unwrap());
        let sees = |_, _| true;
        let (fleet, probable_p, rare_only) = (2_000, 1e-3, false);
        let address = |_| None;
        let ask =
            Question { contacts: &contacts, rule: &rule, fleet, sees: &sees, address: &address, probable_p, rare_only };
        let names = |managed, served_share, exposed, expected| {
            let row = Row { at: (Mark::Any, 3600), exposed: Vec::new(), usual: Vec::new(), p: 0.5 };
            let mut suspect = row.suspect(HostId(1), &[]);
            (suspect.companion.managed, suspect.companion.served_share) = (managed, served_share);
            suspect.companion.names = true;
            (suspect.seen, suspect.exposed, suspect.expected, suspect.p_adjusted) = (30, exposed, expected, 1e-9);
            strength(&suspect, &ask)
        };
        let of = [
            (19, 0.2, 20, 18.6, Strength::Probable),
            (19, 0.2, 13, 18.6, Strength::Possible), // fewer than by accident
            (17, 0.2, 20, 18.6, Strength::Possible), // not the most of them
            (19, 0.8, 20, 18.6, Strength::Possible), // it manages everybody
        ];
        for (managed, share, exposed, expected, strength) in of {
            let case =
                format!("{managed} of 30 managed, {share} of the fleet, {exposed} met it and {expected} usually");
            assert_eq!(names(managed, share, exposed, expected), strength, "{case}");
        }
    }
}
