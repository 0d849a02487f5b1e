//! Software for everybody, or an attack? What the spread of a new destination looks like.
//!
//! A rollout and a poisoned update spread alike: fast, in the order a server contacts its clients. What tells them apart
//! is the cause: a rollout comes through contacts that are ordinary for that server, reaches the fleet at large and
//! leaves nobody with a timer, a script or a destination without a name. How many hosts are affected is needed for it
//! and never an alibi (detection.md §8).

use super::CauseRule;
use super::case::Case;
use super::cause::Suspect;
use super::pairs::{Mark, moment};
use crate::base::stats::real;
use crate::profile::{HostId, Profiles, TenantId};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How a destination spread.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Spread {
    pub(crate) hosts: usize,
    /// Share of the fleet within the fullest day.
    pub(crate) share: f64,
    /// Networks they are in.
    pub(crate) groups: usize,
    /// Seconds from the first case to the middle one.
    pub(crate) half_s: f64,
    /// How well the order of cases follows the order of the server's contacts: 1 when it does, 0 when not at all.
    pub(crate) order: f64,
}

/// The spread of `cases`, seen from `suspect`.
pub(crate) fn spread(cases: &[&Case], suspect: &Suspect, usual: &Profiles) -> Spread {
    let contact = |case: &&Case| case.contact(suspect.host, suspect.mark).unwrap_or(0);
    let moments: Vec<_> = cases.iter().map(|case| (case.host, contact(case), moment(case.ts))).collect();
    spread_of(&moments, &cases.iter().map(|case| case.tenant).collect(), usual)
}

/// The same of hosts with the moments of the server's contact, 0 for none, and of their own with the destinations.
pub(super) fn spread_of(moments: &[(HostId, u32, u32)], tenants: &BTreeSet<TenantId>, usual: &Profiles) -> Spread {
    let mut times: Vec<u32> = moments.iter().map(|(.., at)| *at).collect();
    times.sort_unstable();
    let fullest = times
        .iter()
        .enumerate()
        .map(|(at, first)| times.partition_point(|time| *time - first.min(time) <= 86_400).saturating_sub(at))
        .max();
    let first = times.first().copied().unwrap_or(0);
    // Where it spread to is asked of all who met it on that day: the suspect's path to some of them may not be seen.
    let users = tenants.iter().filter_map(|tenant| usual.tenant(*tenant)).flat_map(|owner| &owner.users);
    let that_day = users.filter(|(_, ts)| (first..=first.saturating_add(86_400)).contains(&moment(*ts)));
    let hosts = moments.iter().map(|(host, ..)| *host).chain(that_day.map(|(host, _)| *host));
    let groups: BTreeSet<_> = hosts.filter_map(|host| usual.address(host)).map(network).collect();
    let middle = times.get(times.len() / 2).copied().unwrap_or(first);
    let pairs: Vec<(u32, u32)> =
        moments.iter().filter(|(_, contact, _)| *contact > 0).map(|(_, contact, at)| (*contact, *at)).collect();
    Spread {
        hosts: moments.len(),
        share: real(fullest.unwrap_or(0)) / f64::from(usual.fleet().max(1)),
        groups: groups.len(),
        half_s: f64::from(middle - first),
        order: concordance(&pairs),
    }
}

/// Whether it is what a rollout looks like. `damning` are cases with a script, no name or a timer of less than an hour:
/// what software that asks its vendor for news does not show.
pub(crate) fn is_rollout(spread: &Spread, suspect: &Suspect, damning: usize, rule: &CauseRule) -> bool {
    let is_wide = spread.share >= rule.rollout_share && spread.groups >= rule.rollout_groups;
    let is_ordinary = suspect.mark != Mark::Execution;
    is_wide && is_ordinary && real(damning) < rule.rollout_damning * real(spread.hosts)
}

/// Share of pairs in the same order in both, beyond those in the opposite one (Kendall's τ), 0 at the least.
fn concordance(pairs: &[(u32, u32)]) -> f64 {
    let (mut same, mut opposite) = (0_u32, 0_u32);
    let pairs = pairs.get(..pairs.len().min(MAX_PAIRS)).unwrap_or_default();
    for (n, a) in pairs.iter().enumerate() {
        for b in pairs.iter().skip(n + 1) {
            match (a.0.cmp(&b.0) as i8) * (a.1.cmp(&b.1) as i8) {
                1 => same += 1,
                -1 => opposite += 1,
                _ => {}
            }
        }
    }
    let all = f64::from(same + opposite);
    if all > 0.0 { ((f64::from(same) - f64::from(opposite)) / all).max(0.0) } else { 0.0 }
}

/// /24 of IPv4, /64 of IPv6: the peer group of a host that nothing else is known of.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) & 0xffff_ff00).into()),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
    }
}

/// Cases whose order is compared; the square of it.
const MAX_PAIRS: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_one_when_cases_follow_the_contacts() {
        for (what, pairs, order) in [
            ("in step", [(1, 5), (2, 9), (3, 11)].as_slice(), 1.0),
            ("against it", &[(1, 11), (2, 9), (3, 5)], 0.0),
            ("one swapped", &[(1, 9), (2, 5), (3, 11)], 1.0 / 3.0),
            ("nothing to compare", &[(1, 5)], 0.0),
        ] {
            assert!((concordance(pairs) - order).abs() < 1e-12, "{what}");
        }
    }
}
