//! When a server is in contact with everybody: who manages the cases, and whether they follow its sweeps.
//!
//! A poisoned update goes to all clients, and the presence test is silent by design. Two tests stand beside it
//! (detection.md §4.4): *population*, whether the cases are clients of the server beyond its share of the fleet, and
//! *post-sweep excess*, whether more cases than usual follow a moment at which it was in contact with many.

use super::case::Case;
use super::cause::Question;
use super::pairs::{BOOT_S, Mark, SLOT_S, moment};
use super::tails::{binomial, negative_binomial};
use crate::base::stats::real;
use crate::profile::HostId;
use std::collections::{BTreeMap, BTreeSet};

/// What the companions say about one server.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Companion {
    /// Cases that are its clients, and its share of the fleet.
    pub(crate) managed: u32,
    pub(crate) served_share: f64,
    pub(crate) population_p: f64,
    /// The sweep most cases follow: when, hosts touched, cases that follow it and how many that would usually be.
    pub(crate) sweep: Option<Sweep>,
    pub(crate) sweep_p: f64,
    /// The server is named by one of these and not by presence.
    pub(crate) names: bool,
    clients: BTreeSet<HostId>,
}

/// A moment at which a server was in contact with many.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sweep {
    pub(crate) at: u32,
    pub(crate) touched: u32,
    pub(crate) span_s: u32,
    pub(crate) followed: u32,
    pub(crate) expected: f64,
}

impl Default for Companion {
    fn default() -> Self {
        Self {
            managed: 0,
            served_share: 1.0,
            population_p: 1.0,
            sweep: None,
            sweep_p: 1.0,
            names: false,
            clients: BTreeSet::new(),
        }
    }
}

impl Companion {
    /// Probability for each case that the server caused it, when it is named by these tests: clients that met the
    /// destination are attributed to it by its share of the fleet.
    pub(crate) fn attribution(&self, cases: &[&Case], known: &BTreeMap<HostId, f64>) -> BTreeMap<HostId, f64> {
        let excess = (1.0 - self.served_share).clamp(0.0, 1.0);
        let of = |host: &HostId| {
            let managed = if self.clients.contains(host) { excess } else { 0.0 };
            known.get(host).copied().unwrap_or(0.0).max(managed)
        };
        cases.iter().map(|case| (case.host, of(&case.host))).collect()
    }
}

/// Both tests for one server.
pub(crate) fn companion(server: HostId, cases: &[&Case], ask: &Question<'_>) -> Companion {
    let Some(hub) = ask.contacts.hub(server) else { return Companion::default() };
    let rule = &ask.rule;
    if hub.clients < rule.hub_clients || ask.rare_only {
        return Companion::default();
    }
    let clients: BTreeSet<HostId> =
        cases.iter().map(|case| case.host).filter(|host| ask.contacts.is_client(*host, server)).collect();
    let (managed, all) = (count(clients.len()), count(cases.len()));
    // Cases are left out of the share, so that a small fleet does not hide its own campaign.
    let rest = f64::from(ask.fleet.saturating_sub(all).max(1));
    let served_share = (f64::from(hub.clients.saturating_sub(managed)) / rest).clamp(1.0 / rest, 1.0);
    // A site that is one server's shares its habits too: a share below a thousandth is not believed.
    let population_p = binomial(all, served_share.max(LEAST_SHARE), managed);
    let mut companion = Companion { managed, served_share, population_p, clients, ..Companion::default() };
    sweeps(server, cases, ask, &mut companion);
    companion
}

/// The sweep that most cases follow, if more do than would.
fn sweeps(server: HostId, cases: &[&Case], ask: &Question<'_>, companion: &mut Companion) {
    let Some(hub) = ask.contacts.hub(server) else { return };
    let (Some(first), Some(last)) =
        (cases.iter().map(|c| moment(c.ts)).min(), cases.iter().map(|c| moment(c.ts)).max())
    else {
        return;
    };
    let least = ask.rule.hub_clients.max(hub.clients / 5);
    let mut tried = 0_u32;
    let mut best: Option<(f64, Sweep)> = None;
    for mark in [Mark::Any, Mark::Large, Mark::Execution] {
        let sweeps = hub.sweeps(mark, first.saturating_sub(3600), least);
        // An ordinary sweep at its ordinary hour is followed by whatever that hour brings; no two days reach quite as many.
        let odd = |(at, touched): &(u32, u32)| mark != Mark::Any || hub.is_off_schedule(*at, (touched / 2).max(1));
        for (at, touched) in sweeps.into_iter().filter(|sweep| sweep.0 <= last && odd(sweep)).take(MAX_SWEEPS) {
            for span in ask.rule.scales_s.iter().copied().filter(|span| *span >= 600) {
                tried += 1;
                if let Some((p, sweep)) = excess(server, cases, (at, touched, span), ask)
                    && best.as_ref().is_none_or(|(known, _)| p < *known)
                {
                    best = Some((p, sweep));
                }
            }
        }
    }
    if let Some((p, sweep)) = best {
        companion.sweep_p = (p * f64::from(tried)).min(1.0);
        companion.sweep = Some(sweep);
    }
}

/// Cases among the touched after a sweep against how many there would be: the cluster's own cases spread over the time
/// it has been growing for, at least the floor; `None` when those who were not touched show the same.
fn excess(
    server: HostId,
    cases: &[&Case],
    (at, touched, span): (u32, u32, u32),
    ask: &Question<'_>,
) -> Option<(f64, Sweep)> {
    let within = |case: &&&Case| (at..=at.saturating_add(SLOT_S).saturating_add(span)).contains(&moment(case.ts));
    let after: Vec<&&Case> = cases.iter().filter(within).collect();
    // What a machine contacts when it is switched on is no part of anybody's sweep.
    let in_boot =
        |case: &Case, t: u32| case.booted > 0 && (case.booted..=case.booted.saturating_add(BOOT_S)).contains(&t);
    let swept = |case: &&&&Case| {
        case.contact(server, Mark::Any)
            .is_some_and(|t| (at..=at.saturating_add(SLOT_S)).contains(&t) && !in_boot(case, t))
    };
    let followed = after.iter().filter(swept).count();
    let others = after.len() - followed;
    if followed < ask.rule.min_hosts {
        return None;
    }
    let active = cases.iter().map(|case| case.active).max().unwrap_or(0).max(touched);
    let untouched = f64::from(active - touched.min(active));
    let rate = |n: usize, of: f64| real(n) / of.max(1.0);
    if others >= 2 && rate(others, untouched) >= 0.5 * rate(followed, f64::from(touched)) {
        return None;
    }
    // The cluster's cases outside the window say how often it happens anyway, over at least a day's working hours.
    let outside = real(cases.len() - after.len());
    let reached = f64::from(touched) / f64::from(active.max(1));
    let expected = (outside * f64::from(span.saturating_add(SLOT_S)) / WORKDAY_S * reached).max(ask.rule.sweep_floor);
    let followed = count(followed);
    let p = negative_binomial(expected, ask.rule.sweep_spread, followed);
    Some((p, Sweep { at, touched, span_s: span, followed, expected }))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Shares of the fleet below this are not believed: sites have habits of their own.
const LEAST_SHARE: f64 = 0.001;
/// Sweeps of a day and a bit that are tried.
const MAX_SWEEPS: usize = 64;
/// Seconds in which people and their machines meet most of what they meet in a day.
const WORKDAY_S: f64 = 36_000.0;
