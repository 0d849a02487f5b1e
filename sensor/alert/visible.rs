//! What the sensor could not see, in words, so that absence is not taken for innocence.
//!
//! Said for the networks a claim is about, where they differ from the rest.

use super::Stated;
use crate::base::{Arg, Prefix, Text, say};
use crate::detect::{Finding, Role};
use crate::profile::{Learnt, Maturity, Profiles, SharedBy, Sight, Visibility, network};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What was not seen, asked about many claims at one moment: what concerns everybody, a network or a set of hosts is
/// looked up once.
pub(crate) struct Unseen<'a> {
    usual: &'a Profiles,
    /// Hosts with an address that stand for several machines, in the order of their ids.
    shared: Vec<(IpAddr, SharedBy)>,
    /// Networks asked about, and whether anything inside the site was seen of them.
    inside: BTreeMap<Prefix, bool>,
    told: BTreeMap<BTreeSet<IpAddr>, Arc<[Text]>>,
}

impl<'a> Unseen<'a> {
    pub(crate) fn new(usual: &'a Profiles) -> Self {
        let shared = usual.shared().into_iter().filter_map(|(host, by)| Some((usual.address(host)?, by))).collect();
        Self { usual, shared, inside: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// A finding with the gaps in what was seen of those it is about.
    pub(crate) fn state(&mut self, finding: Finding) -> Stated {
        Stated { not_visible: self.about(&finding), finding }
    }

    /// The gaps in what was seen of those a finding is about: everybody but its destinations.
    pub(super) fn about(&mut self, finding: &Finding) -> Arc<[Text]> {
        let ours = finding.entities.iter().filter(|entity| entity.role != Role::Destination);
        self.of(ours.filter_map(|entity| entity.ip))
    }

    /// The gaps in what was seen of `hosts` and of the whole.
    pub(super) fn of(&mut self, hosts: impl IntoIterator<Item = IpAddr>) -> Arc<[Text]> {
        let hosts: BTreeSet<IpAddr> = hosts.into_iter().collect();
        if let Some(known) = self.told.get(&hosts) {
            return Arc::clone(known);
        }
        let gaps: Arc<[Text]> = self.gaps(&hosts).into();
        self.told.insert(hosts, Arc::clone(&gaps));
        gaps
    }

    fn gaps(&mut self, hosts: &BTreeSet<IpAddr>) -> Vec<Text> {
        let counts = self.usual.counts();
        let watched_s = counts.span.map_or(0.0, |(first, last)| last.secs_since(first));
        let mut gaps: Vec<Text> = baseline(&self.usual.learnt(), watched_s).into_iter().collect();
        let seen = self.usual.visibility();
        let site = |ip: &&IpAddr| self.usual.declared().site.is_inside(**ip);
        let networks: BTreeSet<_> = hosts.iter().filter(site).map(|ip| (network(*ip), *ip)).collect();
        let mut one_each: Vec<IpAddr> = Vec::new();
        for (prefix, ip) in networks {
            if one_each.last().is_none_or(|last| network(*last) != prefix) {
                one_each.push(ip);
            }
        }
        if counts.internal_flows == 0 {
            gaps.push(say!("unseen.inside"));
        } else {
            for ip in &one_each {
                self.inside.entry(network(*ip)).or_insert_with(|| seen.sees_inside(*ip));
            }
            let blind = of_networks(&one_each, |ip| self.inside.get(&network(ip)) == Some(&false));
            gaps.extend(blind.map(|networks| say!("unseen.network_inside", networks = networks)));
        }
        gaps.extend(names(&one_each, counts.resolutions, seen));
        gaps.extend(losses(&one_each, seen));
        let shared = self.shared.iter().filter(|(ip, _)| hosts.contains(ip));
        gaps.extend(shared.map(|(ip, by)| behind(*by, *ip)));
        gaps
    }
}

/// Which machine it was, where several are behind one address.
pub(crate) fn behind(by: SharedBy, ip: IpAddr) -> Text {
    match by {
        SharedBy::Nat => say!("unseen.behind_nat", host = ip),
        SharedBy::Proxy => say!("unseen.behind_proxy", host = ip),
    }
}

/// How far it is not known what is usual.
fn baseline(learnt: &Learnt, watched_s: f64) -> Option<Text> {
    let hosts = learnt.new.saturating_add(learnt.learning).saturating_add(learnt.ready);
    match learnt.stage() {
        Maturity::New => Some(say!("unseen.no_baseline", watched = Arg::Span(watched_s))),
        Maturity::Learning => Some(say!("unseen.learning", hosts = hosts, ready = learnt.ready)),
        Maturity::Ready => None,
    }
}

/// Destinations whose name stays hidden.
fn names(one_each: &[IpAddr], resolutions: u64, seen: &Visibility) -> Vec<Text> {
    let mut gaps = Vec::new();
    if resolutions == 0 {
        gaps.push(say!("unseen.lookups"));
    } else {
        let unseen = |sight: &Sight| sight.dns_visible().is_some_and(|share| share < HALF);
        let blind = of_networks(one_each, |ip| seen.network(ip).is_some_and(unseen));
        gaps.extend(blind.map(|networks| say!("unseen.network_lookups", networks = networks)));
    }
    let over_tls = |sight: &Sight| sight.encrypted_dns_flows > 0;
    gaps.extend(
        of_networks(one_each, |ip| seen.network(ip).is_some_and(over_tls))
            .map(|networks| say!("unseen.encrypted_lookups", networks = networks)),
    );
    let whole = seen.whole();
    let hidden = percent(whole.hidden_names, whole.hellos);
    if hidden >= HIDDEN_PERCENT && whole.hellos >= MIN_HELLOS {
        gaps.push(say!("unseen.hidden_names", percent = hidden));
    }
    gaps
}

/// Payload and directions that did not reach the sensor.
fn losses(one_each: &[IpAddr], seen: &Visibility) -> Vec<Text> {
    let mut gaps = Vec::new();
    let whole = seen.whole();
    let lost = |sight: &Sight| percent(sight.missed_bytes, sight.payload_bytes.saturating_add(sight.missed_bytes));
    let worst = one_each.iter().filter_map(|ip| seen.network(*ip).map(|sight| (lost(sight), *ip))).max();
    match (lost(whole), worst) {
        (all, _) if all >= LOSS_PERCENT => {
            gaps.push(say!("unseen.loss", percent = all));
        }
        (_, Some((some, ip))) if some >= LOSS_PERCENT => {
            gaps.push(say!("unseen.network_loss", percent = some, network = network(ip).to_string()));
        }
        _ => {}
    }
    let one_sided = percent(whole.one_sided_flows, whole.flows);
    if one_sided >= ONE_SIDED_PERCENT {
        gaps.push(say!("unseen.one_sided", percent = one_sided));
    }
    gaps
}

/// The networks of those addresses for which something holds, in words.
fn of_networks(one_each: &[IpAddr], holds: impl Fn(IpAddr) -> bool) -> Option<Arg> {
    let networks: Vec<String> = one_each.iter().filter(|ip| holds(**ip)).map(|ip| network(*ip).to_string()).collect();
    let (named, more) = networks.split_at(networks.len().min(MAX_NAMED));
    match more {
        [] if named.is_empty() => None,
        [] => Some(named.join(", ").into()),
        more => Some(say!("unseen.networks", networks = named.join(", "), more = more.len()).into()),
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

/// Below this share of look-ups seen, most are not.
const HALF: f64 = 0.5;
/// detection.md §6: from 1 % loss on, warn.
const LOSS_PERCENT: u64 = 1;
/// A tenth of the flows: a port of the mirror is missing.
const ONE_SIDED_PERCENT: u64 = 10;
/// Clients of some programs leave the name out; a tenth of all is more than those.
const HIDDEN_PERCENT: u64 = 10;
/// Hellos below which a share says nothing.
const MIN_HELLOS: u64 = 20;
/// Networks a claim names.
const MAX_NAMED: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learned_is_no_blind_spot() {
        for (what, learnt, named) in [
            ("a day old", Learnt { new: 9, ..Learnt::default() }, Some("no baseline")),
            ("some days", Learnt { learning: 9, ready: 2, ..Learnt::default() }, Some("of 11 hosts 2 are")),
            ("weeks", Learnt { learning: 9, ready: 9, ..Learnt::default() }, None),
        ] {
            let gap = baseline(&learnt, 90.0);
            assert_eq!(gap.is_some(), named.is_some(), "{what}: {gap:?}");
            assert!(gap.is_none_or(|gap| gap.to_string().contains(named.unwrap())), "{what}");
        }
    }
}
