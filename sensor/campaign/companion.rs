//! When a server is in contact with everybody: who manages the cases, and whether they follow its sweeps.
//!
//! A poisoned update goes to all clients, and the presence test is silent by design. Two tests stand beside it
//! (detection.md §4.4): *population*, whether the cases are clients of the server beyond its share of the fleet, and
//! *post-sweep excess*, whether more cases than usual follow a moment at which it was in contact with many.

use super::case::Case;
use super::cause::Question;
use super::pairs::{BOOT_S, Mark, SLOT_S, moment};
use super::tails::{binomial, negative_binomial};
use crate::base::Prefix;
use crate::base::stats::real;
use crate::profile::{HostId, network};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

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
    let population = |share: f64| binomial(all, share.max(LEAST_SHARE), managed);
    let may_name = rule.names_by_population(managed, all, served_share) && population(served_share) < ask.probable_p;
    let served_share = if may_name { served_around(server, cases, served_share, ask) } else { served_share };
    let population_p = population(served_share);
    let mut companion = Companion { managed, served_share, population_p, clients, ..Companion::default() };
    sweeps(server, cases, ask, &mut companion);
    companion
}

/// The server's share of the machines around the cases, on average, where that is more than its share of the fleet: what
/// happens in one site only is no word about the server of that site.
fn served_around(server: HostId, cases: &[&Case], of_fleet: f64, ask: &Question<'_>) -> f64 {
    let nets = |host: HostId| (ask.address)(host).map(around).into_iter().flatten();
    let own: BTreeSet<HostId> = cases.iter().map(|case| case.host).collect();
    // Others in each network, and clients among them.
    let mut others: BTreeMap<Prefix, (u32, u32)> =
        own.iter().flat_map(|host| nets(*host)).map(|net| (net, (0, 0))).collect();
    for (host, is_client) in ask.contacts.clients_of(server).filter(|(host, _)| !own.contains(host)) {
        for net in nets(host) {
            if let Some((all, clients)) = others.get_mut(&net) {
                *all = all.saturating_add(1);
                *clients = clients.saturating_add(u32::from(is_client));
            }
        }
    }
    let share = |net| {
        let (all, clients) = others.get(&net).copied().filter(|(all, _)| *all >= FEW_AROUND)?;
        Some(f64::from(clients) / f64::from(all))
    };
    let sum: f64 = cases.iter().map(|case| nets(case.host).filter_map(share).fold(of_fleet, f64::max)).sum();
    sum / real(cases.len().max(1))
}

/// Networks around an address: what usually is a site, and what usually is a floor of it.
fn around(ip: IpAddr) -> [Prefix; 2] {
    [Prefix::new(ip, if ip.is_ipv4() { 16 } else { 48 }), network(ip)]
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
/// Machines in a network from which on a share of them means something.
const FEW_AROUND: u32 = 20;
/// Sweeps of a day and a bit that are tried.
const MAX_SWEEPS: usize = 64;
/// Seconds in which people and their machines meet most of what they meet in a day.
const WORKDAY_S: f64 = 36_000.0;

#[cfg(test)]
mod tests {
    use super::super::contacts::Contacts;
    use super::*;
    use crate::base::{Timestamp, Transport};
    use crate::profile::{TenantId, Touch};
    use std::net::Ipv4Addr;

    const START: i64 = 1_772_496_000;
    const FLEET: u32 = 4_000;
    const OWNER: TenantId = TenantId(7);

    /// Twenty sites of two hundred machines, each a network of its own.
    fn address(host: HostId) -> Option<IpAddr> {
        let (site, machine) = (host.0 / 200, host.0 % 200);
        (host.0 < FLEET).then(|| Ipv4Addr::from((10 << 24) | (site << 16) | (5 << 8) | machine).into())
    }

    #[test]
    fn who_manages_a_site_is_not_named_by_what_happens_in_that_site_alone() {
        let every_twentieth = |host: u32| host % 20 == 3;
        let third_site = |host: u32| host / 200 == 2;
        let rule = toml::from_str(include_str!("../../rules/common_cause.toml")).unwrap();
        let of = |clients: &dyn Fn(u32) -> bool, address: &dyn Fn(HostId) -> Option<IpAddr>| {
            let (server, other) = (HostId(FLEET), HostId(FLEET + 1));
            let mut contacts = Contacts::new();
            let touch = |orig: u32, resp, at| {
                let ts = Timestamp::from_secs(START + at);
                Touch { ts, orig: HostId(orig), resp, port: 8014, transport: Transport::Tcp }
            };
            for host in 0..FLEET {
                let to = if clients(host) { server } else { other };
                contacts.touch(&touch(host, to, i64::from(host)));
            }
            let cases: Vec<u32> = (0..FLEET).filter(|host| clients(*host)).take(8).collect();
            for host in &cases {
                contacts.case(
                    (HostId(*host), None),
                    OWNER,
                    Timestamp::from_secs(START + 90_000 + i64::from(*host)),
                    (5.0, false),
                );
            }
            let cases: Vec<Case> = contacts.cases().of(OWNER).cloned().collect();
            let sees = |_, _| true;
            let (probable_p, rare_only) = (1e-3, false);
            let ask = Question {
                contacts: &contacts,
                rule: &rule,
                fleet: FLEET,
                sees: &sees,
                address,
                probable_p,
                rare_only,
            };
            let found = companion(server, &cases.iter().collect::<Vec<_>>(), &ask);
            assert_eq!(found.managed, 8);
            found.population_p
        };
        assert!(of(&every_twentieth, &address) < 1e-9, "machines all over the fleet that one server manages");
        assert!(of(&third_site, &address) > 0.9, "machines of one site and the server of that site");
        assert!(of(&third_site, &|_| None) < 1e-9, "where nobody knows where they are it is as if they were anywhere");
    }
}
