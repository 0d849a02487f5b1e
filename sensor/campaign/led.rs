//! Coupled destination → story: machines that one server led to a service they use anyway, and that now go on there.

use super::cause::{Cause, Strength, Suspect};
use super::companion::Companion;
use super::coupling::{Asked, Coupled, LedHost};
use super::ongoing::Basis;
use super::pairs::BIN_S;
use super::rollout::{is_rollout, spread_of};
use super::story::{Plot, Story};
use super::tails::binomial;
use crate::base::Timestamp;
use crate::base::stats::real;
use crate::detect::Severity;
use crate::profile::{HostId, TenantId};
use std::collections::BTreeSet;

/// A machine's first contact after the act, with a destination it may have used for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Led {
    pub(crate) host: HostId,
    pub(crate) tenant: TenantId,
    /// When the server was in contact with the machine, and the machine with the destination.
    pub(crate) exposed: Timestamp,
    pub(crate) met: Timestamp,
}

/// The stories of one server, by destination.
pub(super) fn stories(server: HostId, now: Timestamp, probable_p: f64, on: &Basis<'_>) -> Vec<(TenantId, Story)> {
    let rule = &on.rules.common_cause;
    let common = |tenant: TenantId| {
        let users = on.usual.tenant(tenant).map_or(0, |owner| owner.used_by());
        f64::from(users) >= rule.common(on.usual.fleet())
    };
    let ask = Asked {
        rule,
        usual: on.usual,
        sees: &|host, server| on.usual.sees_path(host, server),
        common: &common,
        probable_p,
    };
    let all = on.coupling.of(server, now, on.contacts, &ask);
    all.iter().filter_map(|coupled| Some((coupled.tenant, story(coupled, on)?))).collect()
}

fn story(coupled: &Coupled, on: &Basis<'_>) -> Option<Story> {
    let rule = &on.rules.common_cause;
    let tenant = coupled.tenant;
    let own = |led: &&LedHost| on.usual.shared_by(led.host).is_none() && led.host != coupled.server;
    let led: Vec<&LedHost> = coupled.hosts.iter().filter(own).collect();
    let timer = |led: &&&LedHost| on.beacons.rhythm(led.host, tenant).is_some();
    let script = |led: &&&LedHost| on.usual.tie(led.host, tenant).is_some_and(|tie| tie.script.is_some());
    let marked: BTreeSet<HostId> =
        led.iter().filter(|led| led.goes_on || timer(led) || script(led)).map(|led| led.host).collect();
    // Half of them, and so many that go on are no accident, each having been asked about hour by hour. One contact after an
    // act is an administrator's as well as an attacker's where tools and scripts are fetched by hand; elsewhere it is worth a
    // look.
    let (count, on_goes) =
        (u32::try_from(led.len()).unwrap_or(u32::MAX), u32::try_from(marked.len()).unwrap_or(u32::MAX));
    let by_accident = binomial(count, (rule.goes_on_p * LOOKS).min(1.0), on_goes);
    let goes_on = real(marked.len()) >= rule.marked_share * real(led.len()) && by_accident <= rule.probable_p;
    let fetched = coupled.standing.as_ref().and_then(|standing| standing.class.as_deref());
    let by_hand = fetched.is_none_or(|class| rule.fetched_classes.iter().any(|known| **known == *class));
    if led.len() < rule.min_hosts || !goes_on && by_hand {
        return None;
    }
    let suspect = suspect(coupled, &led);
    let moments: Vec<(HostId, u32, u32)> = led.iter().map(|led| (led.host, led.exposed, led.at)).collect();
    let spread = spread_of(&moments, &BTreeSet::new(), on.usual);
    let damning = led.iter().filter(|led| timer(led) || script(led)).count();
    if is_rollout(&spread, &suspect, damning, rule) {
        return None;
    }
    let baseline = led.iter().all(|led| f64::from(led.bins) >= rule.baseline_bins);
    let (plot, severity) = match baseline && goes_on {
        true => (Plot::Campaign, Severity::Critical),
        false => (Plot::SharedDestination, Severity::High),
    };
    let mut story = Story::of(plot, coupled.server);
    story.severity = severity;
    story.tenants = vec![tenant];
    story.cases = led.iter().map(|led| led.host).collect();
    story.led = led
        .iter()
        .map(|led| Led {
            host: led.host,
            tenant,
            exposed: Timestamp::from_secs(led.exposed.into()),
            met: Timestamp::from_secs(led.at.into()),
        })
        .collect();
    (story.marked, story.spread) = (marked, Some(spread));
    let cause = Cause { cases: coupled.exposed, candidates: coupled.servers, suspects: Vec::new(), baseline };
    story.cause = Some((cause, suspect));
    Some(story)
}

fn suspect(coupled: &Coupled, led: &[&LedHost]) -> Suspect {
    let bins: BTreeSet<u32> = led.iter().map(|led| led.at / BIN_S).collect();
    Suspect {
        host: coupled.server,
        seen: coupled.exposed,
        exposed: coupled.led,
        expected: coupled.expected,
        scale_s: f64::from(coupled.scale_s),
        mark: coupled.mark,
        p: coupled.p,
        companion: Companion::default(),
        p_adjusted: coupled.p_adjusted,
        llr: coupled.llr,
        share: coupled.share,
        attribution: led.iter().map(|led| (led.host, led.by)).collect(),
        shifted: None,
        bins: u32::try_from(bins.len()).unwrap_or(u32::MAX),
        strength: Strength::Probable,
        tied: Vec::new(),
    }
}

/// By how much asking again and again raises the chance that a machine seems to go on: what is asked overlaps, so far less
/// than the hours of a week.
const LOOKS: f64 = 10.0;
