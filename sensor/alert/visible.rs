//! What the sensor could not see, in words, so that absence is not taken for innocence.
//!
//! Said for the networks an alert is about, where they differ from the rest.

use crate::profile::{Profiles, SharedBy, Sight, Visibility, network};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The gaps in what was seen of `hosts` and of the whole.
pub(crate) fn not_visible(usual: &Profiles, hosts: &[IpAddr]) -> Vec<String> {
    let counts = usual.counts();
    let watched_s = counts.span.map_or(0.0, |(first, last)| last.secs_since(first));
    let mut gaps = vec![format!(
        "no baseline: what is usual was judged by the {} of this data alone",
        super::explain::seconds(watched_s)
    )];
    let seen = usual.visibility();
    let site = |ip: &&IpAddr| usual.declared().site.is_inside(**ip);
    let networks: BTreeSet<_> = hosts.iter().filter(site).map(|ip| (network(*ip), *ip)).collect();
    let mut one_each: Vec<IpAddr> = Vec::new();
    for (prefix, ip) in networks {
        if one_each.last().is_none_or(|last| network(*last) != prefix) {
            one_each.push(ip);
        }
    }
    if counts.internal_flows == 0 {
        gaps.push("traffic between hosts of the site: acts of one host on another cannot be seen".to_owned());
    } else {
        gaps.extend(of_networks(&one_each, |ip| !seen.sees_inside(ip)).map(|networks| {
            format!("traffic between {networks} and hosts of the site: acts on its hosts cannot be seen")
        }));
    }
    gaps.extend(names(&one_each, counts.resolutions, seen));
    gaps.extend(losses(&one_each, seen));
    gaps.extend(usual.shared().into_iter().filter_map(|(host, by)| {
        let ip = usual.address(host).filter(|ip| hosts.contains(ip))?;
        Some(behind(by, ip))
    }));
    gaps
}

/// Which machine it was, where several are behind one address.
pub(crate) fn behind(by: SharedBy, ip: IpAddr) -> String {
    match by {
        SharedBy::Nat => format!("machines behind {ip}, which translates addresses: mirror the inside of it"),
        SharedBy::Proxy => format!("what the proxy {ip} did for whom: mirror the side of its clients"),
    }
}

/// Destinations whose name stays hidden.
fn names(one_each: &[IpAddr], resolutions: u64, seen: &Visibility) -> Vec<String> {
    let mut gaps = Vec::new();
    if resolutions == 0 {
        gaps.push("name look-ups: a destination without a name may have one".to_owned());
    } else {
        let unseen = |sight: &Sight| sight.dns_visible().is_some_and(|share| share < HALF);
        gaps.extend(
            of_networks(one_each, |ip| seen.network(ip).is_some_and(unseen))
                .map(|networks| format!("most look-ups of {networks}: a destination without a name may have one")),
        );
    }
    let over_tls = |sight: &Sight| sight.encrypted_dns_flows > 0;
    gaps.extend(
        of_networks(one_each, |ip| seen.network(ip).is_some_and(over_tls))
            .map(|networks| format!("look-ups that hosts of {networks} make over TLS, HTTPS or QUIC")),
    );
    let whole = seen.whole();
    let hidden = percent(whole.hidden_names, whole.hellos);
    if hidden >= HIDDEN_PERCENT && whole.hellos >= MIN_HELLOS {
        gaps.push(format!("the names of {hidden} % of the secured destinations: their hellos have none"));
    }
    gaps
}

/// Payload and directions that did not reach the sensor.
fn losses(one_each: &[IpAddr], seen: &Visibility) -> Vec<String> {
    let mut gaps = Vec::new();
    let whole = seen.whole();
    let lost = |sight: &Sight| percent(sight.missed_bytes, sight.payload_bytes.saturating_add(sight.missed_bytes));
    let worst = one_each.iter().filter_map(|ip| seen.network(*ip).map(|sight| (lost(sight), *ip))).max();
    match (lost(whole), worst) {
        (all, _) if all >= LOSS_PERCENT => {
            gaps.push(format!("{all} % of the payload: it was acknowledged but not captured"));
        }
        (_, Some((some, ip))) if some >= LOSS_PERCENT => {
            gaps.push(format!("{some} % of the payload of {}: it was acknowledged but not captured", network(ip)))
        }
        _ => {}
    }
    let one_sided = percent(whole.one_sided_flows, whole.flows);
    if one_sided >= ONE_SIDED_PERCENT {
        gaps.push(format!("one direction of {one_sided} % of the flows: sizes are what the other side acknowledged"));
    }
    gaps
}

/// The networks of those addresses for which something holds, in words.
fn of_networks(one_each: &[IpAddr], holds: impl Fn(IpAddr) -> bool) -> Option<String> {
    let networks: Vec<String> = one_each.iter().filter(|ip| holds(**ip)).map(|ip| network(*ip).to_string()).collect();
    let (named, more) = networks.split_at(networks.len().min(MAX_NAMED));
    match more {
        [] if named.is_empty() => None,
        [] => Some(named.join(", ")),
        more => Some(format!("{} and {} further networks", named.join(", "), more.len())),
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
/// Networks an alert names.
const MAX_NAMED: usize = 3;
