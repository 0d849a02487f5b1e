//! Which hosts and destinations belong to a story, how sure that is, and what blocking them would cost.

use super::CauseRule;
use super::contacts::Contacts;
use super::hops::Hops;
use super::scope::{Advice, DestinationKind, Scope, ScopeDestination, ScopeHost, ScopeServer, Tier};
use super::sessions::Sessions;
use super::story::{Plot, Story};
use crate::base::{Kind, LookBack, Timestamp};
use crate::detect::Beacon;
use crate::profile::{HostId, Profiles, SharedBy, TenantId, Tie};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The scope of a story.
pub(crate) fn scope(
    story: &Story,
    (sessions, contacts, hops, older): (&Sessions, &Contacts, &Hops, &LookBack),
    rule: &CauseRule,
    usual: &Profiles,
    beacons: &Beacon,
) -> Scope {
    let mut hosts: BTreeMap<HostId, ScopeHost> = BTreeMap::new();
    let (chained, begin) = (story.chained(), story.begin(usual));
    let affected = |id: HostId| chained.contains(&id) || story.cases.contains(&id);
    let tenants: Vec<TenantId> = story.tenants.iter().copied().chain(story.enriched.iter().map(|(t, _)| *t)).collect();
    for tenant in &tenants {
        let Some(owner) = usual.tenant(*tenant) else { continue };
        let after =
            After { tenant: *tenant, begin, story, on: (sessions, contacts), several: rule.min_hosts, usual, beacons };
        let others_belong = after.others_belong();
        // Of a destination everybody uses only the first users are known by name.
        let named = owner.users.iter().map(|(host, _)| *host);
        let users: BTreeSet<HostId> = named.chain(story.cases.iter().copied()).chain(chained.iter().copied()).collect();
        for host in users.iter().filter(|host| **host != story.server) {
            let Some(tie) = usual.tie(*host, *tenant).filter(|_| usual.shared_by(*host).is_none()) else { continue };
            let is_case = affected(*host);
            // Who used it before anything was seen to be done is collateral, not scope.
            let belongs = match others_belong {
                Others::Strangers => false,
                Others::WithSigns => after.shows(*host),
                Others::All => true,
            };
            if !is_case && (!belongs || tie.first < begin) {
                continue;
            }
            let two_kinds =
                chained.contains(host) || story.marked.contains(host) || beacons.rhythm(*host, *tenant).is_some();
            let tier = if is_case && two_kinds { Tier::Confirmed } else { Tier::Likely };
            let first = story.led_at(*host, *tenant).map_or(tie.first, |led| led.met);
            add(&mut hosts, *host, tier, (first, tie.last, tie.up), story, usual);
        }
        // Of the others the index on disk knows when they met it and how much they sent.
        for met in older.at(Kind::Met, tenant.0) {
            let host = HostId(met.with);
            let belongs = affected(host) || others_belong == Others::All && met.first >= begin;
            let is_known = host == story.server || usual.tie(host, *tenant).is_some();
            if belongs && !is_known && usual.shared_by(host).is_none() {
                add(&mut hosts, host, Tier::Likely, (met.first, met.last, met.bytes), story, usual);
            }
        }
    }
    if story.plot != Plot::Rollout {
        for session in sessions.iter().filter(|s| s.by == story.server && s.executed()) {
            let Some(ip) = usual.address(session.on) else { continue };
            hosts.entry(session.on).or_insert_with(|| ScopeHost {
                id: session.on,
                key: usual.key(session.on).map(Into::into),
                ip,
                name: usual.host_name(session.on).map(Into::into),
                tier: Tier::Exposed,
                first_seen: session.first,
                last_seen: session.last,
                bytes_out: 0,
                attribution: None,
            });
        }
    }
    let p = story.cause.as_ref().filter(|(_, s)| s.host == story.server).map(|(_, suspect)| suspect.p_adjusted);
    let mut servers: Vec<ScopeServer> = server(story.server, p, 0, usual).into_iter().collect();
    let led = |on: HostId| {
        let led = |session: &super::sessions::Session| {
            let follower = session.followers.iter().find(|follower| tenants.contains(&follower.tenant))?;
            Some((session.by, follower.act_at))
        };
        sessions.on(on).iter().filter_map(led).collect()
    };
    let behind = hops.behind(story.server, begin, affected, led, older);
    servers.extend(behind.iter().filter_map(|hop| server(hop.by, hop.p, hop.number, usual)));
    let destinations = tenants.iter().filter_map(|tenant| destination(*tenant, &hosts, story, usual)).collect();
    let mut hosts: Vec<ScopeHost> = hosts.into_values().collect();
    hosts.sort_by_key(|host| host.ip);
    Scope { servers, hosts, destinations }
}

/// Addresses that took part and have several machines behind them: which ones, cannot be said.
pub(crate) fn behind_shared(story: &Story, usual: &Profiles) -> Vec<(HostId, SharedBy)> {
    let users = story.tenants.iter().filter_map(|tenant| usual.tenant(*tenant)).flat_map(|owner| &owner.users);
    let hosts: BTreeSet<HostId> = users.map(|(host, _)| *host).filter(|host| *host != story.server).collect();
    hosts.into_iter().filter_map(|host| Some((host, usual.shared_by(host)?))).collect()
}

/// Who of those that met a story's destination since it began belongs to it by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Nobody: all the world shares it, or others used it first.
    Strangers,
    /// Those that show something themselves: it may be anybody's new destination as well.
    WithSigns,
    /// All of them: most who met it are the story's.
    All,
}

/// A destination of a story, and what is known of who met it.
struct After<'a> {
    tenant: TenantId,
    begin: Timestamp,
    story: &'a Story,
    on: (&'a Sessions, &'a Contacts),
    /// Machines led to a destination from which on it is the story's own.
    several: usize,
    usual: &'a Profiles,
    beacons: &'a Beacon,
}

impl After<'_> {
    fn is_of_story(&self, host: HostId) -> bool {
        let chained = self.story.chains.iter().any(|chain| chain.host == host);
        chained || self.story.cases.contains(&host) || host == self.story.server
    }

    /// Whether a host shows by itself that it is no chance visitor: one of the story's machines acted on it before, a timer,
    /// a script, or traffic that is unusual for it.
    fn shows(&self, host: HostId) -> bool {
        let (sessions, contacts) = self.on;
        let led = |session: &super::sessions::Session| self.is_of_story(session.by) && session.follows(self.tenant);
        let script = || self.usual.tie(host, self.tenant).is_some_and(|tie| tie.script.is_some());
        sessions.on(host).iter().any(led)
            || self.beacons.rhythm(host, self.tenant).is_some()
            || contacts.is_unusual(host, self.tenant)
            || script()
    }

    /// What meeting the destination since the story began says of a host.
    fn others_belong(&self) -> Others {
        let Some(owner) = self.usual.tenant(self.tenant).filter(|_| self.story.plot != Plot::Rollout) else {
            return Others::Strangers;
        };
        let enriched = self.story.enriched.iter().any(|(known, _)| *known == self.tenant);
        let (ours, others): (Vec<_>, Vec<_>) = owner.users.iter().partition(|(host, _)| self.is_of_story(*host));
        let since: Vec<HostId> =
            others.iter().filter(|(_, first)| *first >= self.begin).map(|(host, _)| *host).collect();
        let before = others.len().saturating_sub(since.len());
        let first = owner.users.first().and_then(|(host, _)| self.usual.tie(*host, self.tenant));
        if first.is_some_and(|tie| tie.standing.shared) || before >= ours.len().max(1) {
            return Others::Strangers;
        }
        let with_signs = since.iter().filter(|host| self.shows(**host)).count();
        let rest = since.len().saturating_sub(with_signs);
        // One host's destination that many meet later without a sign is anybody's new destination; one that a server led
        // several to has as many others as there are sites the sensor sees nothing of. What they only share was met by most of
        // its users with them, or it is a service that others take up.
        let each = if ours.len() >= self.several && !enriched { UNSEEN_PER_SEEN } else { 1 };
        let most = rest <= ours.len().saturating_add(with_signs).saturating_mul(each);
        match () {
            () if most && owner.more == 0 && (enriched || ours.len() >= 2 || rest <= 2) => Others::All,
            () => Others::WithSigns,
        }
    }
}

impl Story {
    /// When it began, as far as is visible.
    pub(crate) fn begin(&self, usual: &Profiles) -> Timestamp {
        let acts = self.chains.iter().map(|chain| chain.session.first);
        let led: BTreeSet<TenantId> = self.led.iter().map(|led| led.tenant).collect();
        let met = self.tenants.iter().filter(|tenant| !led.contains(tenant));
        let cases = met.flat_map(|tenant| self.cases.iter().filter_map(|host| usual.tie(*host, *tenant)));
        let led = self.led.iter().map(|led| led.exposed);
        acts.chain(cases.map(|tie| tie.first)).chain(led).min().unwrap_or(Timestamp::MIN)
    }

    /// How a machine was led to a destination, if it was.
    fn led_at(&self, host: HostId, tenant: TenantId) -> Option<&super::led::Led> {
        self.led.iter().find(|led| (led.host, led.tenant) == (host, tenant))
    }

    /// When it was last seen.
    pub(crate) fn end(&self, usual: &Profiles) -> Timestamp {
        let hosts: BTreeSet<HostId> = self.chained().union(&self.cases).copied().collect();
        let ties = hosts.iter().flat_map(|host| self.tenants.iter().filter_map(|t| usual.tie(*host, *t)));
        let acts = self.chains.iter().map(|chain| chain.session.last);
        acts.chain(ties.map(|tie| tie.last)).max().unwrap_or(Timestamp::MIN)
    }
}

fn server(id: HostId, p: Option<f64>, hop: u32, usual: &Profiles) -> Option<ScopeServer> {
    Some(ScopeServer { id, ip: usual.address(id)?, name: usual.host_name(id).map(Into::into), p, hop })
}

/// Adds a host that was in contact from `first` to `last` and sent so much.
fn add(
    hosts: &mut BTreeMap<HostId, ScopeHost>,
    id: HostId,
    tier: Tier,
    (first, last, up): (Timestamp, Timestamp, u64),
    story: &Story,
    usual: &Profiles,
) {
    let attribution = match &story.cause {
        Some((_, suspect)) if suspect.host == story.server => suspect.attribution.get(&id).copied(),
        _ => None,
    };
    let Some(ip) = usual.address(id) else { return };
    let host = hosts.entry(id).or_insert_with(|| ScopeHost {
        id,
        key: usual.key(id).map(Into::into),
        ip,
        name: usual.host_name(id).map(Into::into),
        tier,
        first_seen: first,
        last_seen: last,
        bytes_out: 0,
        attribution,
    });
    host.tier = host.tier.min(tier);
    host.first_seen = host.first_seen.min(first);
    host.last_seen = host.last_seen.max(last);
    host.bytes_out = host.bytes_out.saturating_add(up);
}

fn destination(
    tenant: TenantId,
    hosts: &BTreeMap<HostId, ScopeHost>,
    story: &Story,
    usual: &Profiles,
) -> Option<ScopeDestination> {
    let owner = usual.tenant(tenant)?;
    let ties: Vec<&Tie> = hosts.keys().filter_map(|host| usual.tie(*host, tenant)).collect();
    let first = ties.first()?;
    let mut ips: Vec<IpAddr> = ties.iter().flat_map(|tie| tie.ips()).collect();
    ips.sort_unstable();
    ips.dedup();
    let names: BTreeSet<&str> = ties.iter().filter_map(|tie| tie.name.as_deref()).collect();
    let one_name = names.first().filter(|_| names.len() == 1);
    let (value, kind): (Box<str>, _) = match (one_name, ips.as_slice()) {
        _ if names.len() > 1 => ((&*owner.key).into(), DestinationKind::Tenant),
        (Some(name), _) => ((*name).into(), DestinationKind::Name),
        (None, [ip]) => (ip.to_string().into(), DestinationKind::Ip),
        (None, _) => ((&*owner.key).into(), DestinationKind::Ip),
    };
    let inside = |host: &HostId| hosts.get(host).is_some_and(|h| h.tier != Tier::Exposed) || *host == story.server;
    let strangers = owner.users.iter().filter(|(host, _)| !inside(host)).count();
    let collateral_hosts = u64::try_from(strangers).unwrap_or(u64::MAX).saturating_add(u64::from(owner.more));
    let shared = first.standing.shared;
    // Blocking for everybody what nobody was seen to be led to takes more than a shared list of users.
    let by_chance = story.enriched.iter().any(|(enriched, p)| *enriched == tenant && *p >= BLOCK_P);
    let advice = match () {
        () if by_chance => Advice::Watch,
        () if story.plot == Plot::Rollout || story.severity < crate::detect::Severity::High => Advice::Watch,
        () if shared || collateral_hosts > 0 => Advice::BlockForScopeOnly,
        () => Advice::Block,
    };
    Some(ScopeDestination {
        value,
        kind,
        ips,
        first_seen: match story.led.iter().filter(|led| led.tenant == tenant).map(|led| led.met).min() {
            Some(led) => led,
            None => ties.iter().map(|tie| tie.first).min()?,
        },
        last_seen: ties.iter().map(|tie| tie.last).max()?,
        hosts: u64::try_from(ties.len()).unwrap_or(u64::MAX),
        bytes_out: ties.iter().map(|tie| tie.up).fold(0, u64::saturating_add),
        collateral_hosts,
        advice,
    })
}

/// Hosts of a campaign that nothing ties to its server, for each that is: where a quarter of the sites is mirrored to the
/// sensor, three of four are touched unseen.
pub(super) const UNSEEN_PER_SEEN: usize = 3;
/// Chance of its users from which on a destination that only they point to is watched and not blocked: detection.md §8.
const BLOCK_P: f64 = 1e-6;
