//! Sets of cases that may have one cause: those that met the same destination, and the oddest of a day.
//!
//! Clusters first (detection.md §4.4, purity): unrelated cases among the true ones cost power faster than anything else.
//! The day's cases together are asked about rare marks only.

use super::CauseRule;
use super::case::Case;
use super::cause::{Cause, Question, Strength, Suspect, common_cause};
use super::ongoing::Basis;
use super::pairs::Mark;
use super::rollout::{is_rollout, spread};
use super::story::{Plot, Story};
use crate::base::stats::real;
use crate::base::{Timestamp, key_of};
use crate::detect::Severity;
use crate::profile::{HostId, Profiles, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// What holds a set of cases together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) enum Cluster {
    /// The same destination.
    Tenant(TenantId),
    /// A kind of program that is unusual there, at the same provider: who rotates names stays with it.
    Provider(Box<str>),
    /// The same day and nothing else that is known.
    Day,
    /// A destination everybody uses, to which one server led them.
    Led(HostId, TenantId),
}

impl Cluster {
    pub(super) const fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant) => Some(*tenant),
            Self::Provider(_) | Self::Day | Self::Led(..) => None,
        }
    }

    /// The key of its record.
    pub(super) fn key(&self) -> (u32, u32) {
        match self {
            Self::Tenant(tenant) => (0, tenant.0),
            Self::Day => (1, 0),
            Self::Led(server, tenant) => (server.0.saturating_add(2) & !(1 << 31), tenant.0),
            Self::Provider(name) => {
                let (high, low) = key_of(name);
                (high | 1 << 31, low)
            }
        }
    }
}

/// The cases of one destination, in order of time; of thousands those that became some first, of which the test again takes
/// the earliest.
pub(super) fn cluster<'a>(tenant: TenantId, on: &Basis<'a>) -> Vec<&'a Case> {
    let standing = on.contacts.cases().of(tenant).filter(|case| stands(case, on));
    let mut cases: Vec<&Case> = standing.take(ENOUGH.saturating_mul(on.rules.common_cause.max_cases)).collect();
    cases.sort_by_key(|case| (case.ts, case.host));
    cases
}

/// The oddest cases of the day before `now`.
pub(super) fn of_day<'a>(now: Timestamp, on: &Basis<'a>) -> Vec<&'a Case> {
    let lately = on.contacts.cases().lately(now, DAY_S);
    // How odd a contact was says how many used the destination then.
    let rare = -on.rules.common_cause.common_share.ln();
    let mut cases: Vec<&Case> =
        lately.filter(|case| case.nats >= rare && stands(case, on) && !is_passing(case, on)).collect();
    cases.sort_by(|a, b| b.nats.total_cmp(&a.nats).then(a.ts.cmp(&b.ts)).then(a.host.cmp(&b.host)));
    cases.truncate(on.rules.common_cause.day_cases);
    cases.sort_by_key(|case| (case.ts, case.host));
    cases
}

/// Cases in which an unusual kind of program spoke, by provider, in order of time.
pub(super) fn by_provider<'a>(now: Timestamp, on: &Basis<'a>) -> BTreeMap<Box<str>, Vec<&'a Case>> {
    let mut all: BTreeMap<Box<str>, Vec<&Case>> = BTreeMap::new();
    let lately = on.contacts.cases().lately(now, WEEK_S);
    let odd = |case: &&Case| on.contacts.has_odd_client(case.host, case.tenant) && stands(case, on);
    for case in lately.filter(|case| odd(case) && !is_passing(case, on)) {
        let provider = on.usual.tie(case.host, case.tenant).and_then(|tie| tie.standing.provider.clone());
        if let Some(provider) = provider {
            all.entry(provider).or_default().push(case);
        }
    }
    all.values_mut().for_each(|cases| cases.sort_by_key(|case| (case.ts, case.host)));
    all
}

/// Whether so many hosts used a destination already the day before `ts` that one more is no sign of anything.
pub(super) fn is_everyday(tenant: TenantId, ts: Timestamp, rule: &CauseRule, usual: &Profiles) -> bool {
    let Some(owner) = usual.tenant(tenant) else { return false };
    let named = owner.users.iter().filter(|(_, first)| ts.secs_since(*first) > DAY_S).count();
    let before = real(named) + if named < owner.users.len() { 0.0 } else { f64::from(owner.more) };
    before >= rule.common(usual.fleet())
}

/// Whether the endpoint shows that no person was browsing.
pub(super) fn is_marked(case: &Case, on: &Basis<'_>) -> bool {
    Signs::of(case, on).any()
}

/// A first contact that is one machine's: not under way when the data began, not everyday infrastructure.
fn stands(case: &Case, on: &Basis<'_>) -> bool {
    let own = on.usual.shared_by(case.host).is_none();
    own && on.usual.tie(case.host, case.tenant).is_some_and(|tie| !tie.under_way && !tie.background)
}

/// Whether nothing but a visit is known: the world or the fleet goes there, and the host shows no timer. Somebody who has
/// command lines run on machines makes them fetch from where others fetch too (detection.md §7.3).
fn is_passing(case: &Case, on: &Basis<'_>) -> bool {
    on.beacons.rhythm(case.host, case.tenant).is_none() && is_frequented(case, case.ts, on)
}

/// Whether a case's destination is where people go: all its customers share one name, or the fleet used it before `ts`.
fn is_frequented(case: &Case, ts: Timestamp, on: &Basis<'_>) -> bool {
    on.usual.tie(case.host, case.tenant).is_some_and(|tie| tie.standing.shared) || is_common(case.tenant, ts, on)
}

/// Whether the fleet used a destination before `ts`.
fn is_common(tenant: TenantId, ts: Timestamp, on: &Basis<'_>) -> bool {
    let rule = &on.rules.common_cause;
    let common = rule.common(on.usual.fleet());
    real(users_before(tenant, ts, on)) >= common
}

/// Hosts known by name to have used a destination before `ts`.
fn users_before(tenant: TenantId, ts: Timestamp, on: &Basis<'_>) -> usize {
    on.usual.tenant(tenant).map_or(0, |owner| owner.users.iter().filter(|(_, first)| *first < ts).count())
}

/// The story of a set of cases, when a server stands out. `probable_p` is the chance it must stay below.
pub(super) fn story(key: &Cluster, cases: &[&Case], probable_p: f64, now: Timestamp, on: &Basis<'_>) -> Option<Story> {
    let rule = &on.rules.common_cause;
    let question = Question {
        contacts: on.contacts,
        rule,
        fleet: on.usual.fleet(),
        sees: &|host, server| on.usual.sees_path(host, server),
        address: &|host| on.usual.address(host),
        probable_p,
        rare_only: *key == Cluster::Day,
    };
    let mut cause = common_cause(cases, &question);
    let suspect = cause.suspects.first().filter(|suspect| suspect.strength >= Strength::Probable)?.clone();
    // The others were needed for the comparison only; a story is copied each time it is told.
    cause.suspects = Vec::new();
    let caused = |case: &&&Case| suspect.attribution.get(&case.host).is_some_and(|r| *r > 0.5);
    let caused: Vec<&Case> = cases.iter().filter(caused).copied().collect();
    let hosts: BTreeSet<HostId> = caused.iter().map(|case| case.host).collect();
    let few = if suspect.mark == Mark::Execution { rule.min_marked_hosts } else { rule.min_hosts };
    if hosts.len() < few {
        return None;
    }
    let marked: BTreeSet<HostId> =
        caused.iter().filter(|case| Signs::of(case, on).any()).map(|case| case.host).collect();
    let spread = spread(&caused, &suspect, on.usual);
    let (plot, severity) = plot(key, &caused, &hosts, &marked, &suspect, &cause, &spread, now, on)?;
    let mut story = Story::of(plot, suspect.host);
    story.severity = severity;
    for case in &caused {
        if !story.tenants.contains(&case.tenant) && story.tenants.len() < MAX_TENANTS {
            story.tenants.push(case.tenant);
        }
    }
    (story.cases, story.marked, story.spread) = (hosts, marked, Some(spread));
    story.cause = Some((cause, suspect));
    Some(story)
}

/// What sort of story it is, if it is one to tell now.
#[expect(clippy::too_many_arguments, reason = "one decision from all there is")]
fn plot(
    key: &Cluster,
    caused: &[&Case],
    hosts: &BTreeSet<HostId>,
    marked: &BTreeSet<HostId>,
    suspect: &Suspect,
    cause: &Cause,
    spread: &super::rollout::Spread,
    now: Timestamp,
    on: &Basis<'_>,
) -> Option<(Plot, Severity)> {
    let rule = &on.rules.common_cause;
    let is_marked = marked.len() >= rule.min_hosts && real(marked.len()) >= rule.marked_share * real(hosts.len());
    let damning = caused.iter().filter(|case| Signs::of(case, on).damning()).count();
    let first = caused.iter().map(|case| case.ts).min()?;
    if *key == Cluster::Day {
        // Nothing but a rare mark holds them together; a timer or the like must say that something came of it.
        let enough = is_marked && cause.baseline;
        return enough.then_some((Plot::Campaign, Severity::Critical));
    }
    let mature = caused.iter().all(|case| f64::from(case.watched_bins) >= rule.mature_bins);
    // A young fleet meets everything for the first time: who manages whom says nothing yet, and what spreads is no
    // rollout unless it followed a server's contacts.
    let happened = !suspect.companion.names;
    let followed = happened || suspect.companion.sweep_p < rule.sweep_p;
    let rollout = (mature || happened || followed && cause.baseline).then_some((Plot::Rollout, Severity::Info));
    // Code was made to run on them: evidence of its own, whichever mark the test rests on, and no rollout's.
    let acted = caused.iter().filter(|case| case.is_acted_on_by(suspect.host)).count();
    let executed = acted >= rule.min_hosts && real(acted) >= rule.marked_share * real(hosts.len());
    // Not where the fleet goes already: there it is an administrator who fetches what others fetch too.
    let executed =
        executed && caused.iter().all(|case| users_before(case.tenant, first, on) < rule.common_hosts as usize);
    if !executed && is_rollout(spread, suspect, damning, rule) {
        return rollout;
    }
    if !followed && !mature && !is_marked {
        return None;
    }
    if caused.iter().all(|case| is_frequented(case, first, on)) {
        // An odd program alone is the visit itself; what stays behind calls again and again.
        let timers = caused.iter().filter(|case| on.beacons.rhythm(case.host, case.tenant).is_some()).count();
        let stayed = timers >= rule.min_hosts && real(timers) >= rule.marked_share * real(hosts.len());
        if !stayed {
            return (is_marked || executed).then_some((Plot::Rollout, Severity::Info));
        }
    }
    match () {
        () if (is_marked || executed) && cause.baseline => Some((Plot::Campaign, Severity::Critical)),
        () if is_marked => Some((Plot::SharedDestination, Severity::High)),
        () if !mature => rollout,
        // Contacts and time alone: wait until a rollout would have shown itself.
        () if now.secs_since(first) < rule.rollout_wait_s => None,
        () if happened && hosts.len() >= rule.min_hosts => Some((Plot::Campaign, Severity::Critical)),
        () => Some((Plot::Rollout, Severity::Info)),
    }
}

/// Signs on the endpoint's side that no person was browsing.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    timer: bool,
    fast_timer: bool,
    script: bool,
    nameless: bool,
    /// By the calibrated score of what leaves the host.
    unusual: bool,
}

impl Signs {
    fn of(case: &Case, on: &Basis<'_>) -> Self {
        let rhythm = on.beacons.rhythm(case.host, case.tenant);
        let tie = on.usual.tie(case.host, case.tenant);
        Self {
            timer: rhythm.is_some(),
            fast_timer: rhythm.is_some_and(|rhythm| rhythm.median_s < FAST_TIMER_S),
            script: tie.is_some_and(|tie| tie.script.is_some()),
            nameless: tie.is_some_and(crate::profile::Tie::is_nameless),
            unusual: on.contacts.is_unusual(case.host, case.tenant),
        }
    }

    const fn any(self) -> bool {
        self.timer || self.script || self.nameless || self.unusual
    }

    const fn damning(self) -> bool {
        self.fast_timer || self.script || self.nameless
    }
}

pub(super) const DAY_S: f64 = 86_400.0;
/// Times as many cases as are tested: what turned out to be one late may be an early one.
const ENOUGH: usize = 4;
/// Seconds for which cases are held together by less than a destination (detection.md §4.5).
const WEEK_S: f64 = 604_800.0;
/// Destinations of one story; a campaign that rotates through more is told by its server.
const MAX_TENANTS: usize = 32;
/// Software asks for news hourly or less often; what is asked for commands is asked more often.
const FAST_TIMER_S: f64 = 3600.0;
