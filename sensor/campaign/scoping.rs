//! Which hosts and destinations belong to a story, how sure that is, and what blocking them would cost.

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
    (sessions, hops, older): (&Sessions, &Hops, &LookBack),
    usual: &Profiles,
    beacons: &Beacon,
) -> Scope {
    let mut hosts: BTreeMap<HostId, ScopeHost> = BTreeMap::new();
    let (chained, begin) = (story.chained(), story.begin(usual));
    let tenants: Vec<TenantId> = story.tenants.iter().copied().chain(story.enriched.iter().map(|(t, _)| *t)).collect();
    for tenant in &tenants {
        let Some(owner) = usual.tenant(*tenant) else { continue };
        let others_belong = others_belong(*tenant, story, begin, usual);
        for (host, _) in owner.users.iter().filter(|(host, _)| *host != story.server) {
            let Some(tie) = usual.tie(*host, *tenant).filter(|_| usual.shared_by(*host).is_none()) else { continue };
            let is_case = chained.contains(host) || story.cases.contains(host);
            // Who used it before anything was seen to be done is collateral, not scope.
            if !is_case && (!others_belong || tie.first < begin) {
                continue;
            }
            let two_kinds =
                chained.contains(host) || story.marked.contains(host) || beacons.rhythm(*host, *tenant).is_some();
            let tier = if is_case && two_kinds { Tier::Confirmed } else { Tier::Likely };
            add(&mut hosts, *host, tier, (tie.first, tie.last, tie.up), story, usual);
        }
        // Of the others the index on disk knows when they met it and how much they sent.
        for met in older.at(Kind::Met, tenant.0) {
            let host = HostId(met.with);
            let is_case = chained.contains(&host) || story.cases.contains(&host);
            let belongs = is_case || others_belong && met.first >= begin;
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
    let affected = |id: HostId| chained.contains(&id) || story.cases.contains(&id);
    let behind = hops.behind(story.server, begin, affected, older);
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

/// Whether who met a destination since the story began belongs to it by that alone: it is not shared by all the world,
/// and its first users were the story's.
fn others_belong(tenant: TenantId, story: &Story, begin: Timestamp, usual: &Profiles) -> bool {
    let Some(owner) = usual.tenant(tenant).filter(|_| story.plot != Plot::Rollout) else { return false };
    let chained = story.chained();
    let enriched = story.enriched.iter().any(|(known, _)| *known == tenant);
    let of_story = |host: &HostId| chained.contains(host) || story.cases.contains(host) || *host == story.server;
    let ours = owner.users.iter().filter(|(host, _)| of_story(host)).count();
    let before = owner.users.iter().filter(|(host, first)| *first < begin && !of_story(host)).count();
    let since = owner.users.len().saturating_sub(ours + before);
    let shared =
        owner.users.first().and_then(|(host, _)| usual.tie(*host, tenant)).is_some_and(|tie| tie.standing.shared);
    // One host's destination that many meet later is anybody's new destination.
    !shared && before < ours.max(1) && (enriched || ours >= 2 || since <= 2)
}

impl Story {
    /// When it began, as far as is visible.
    pub(crate) fn begin(&self, usual: &Profiles) -> Timestamp {
        let acts = self.chains.iter().map(|chain| chain.session.first);
        let cases = self.cases.iter().flat_map(|host| self.tenants.iter().filter_map(|t| usual.tie(*host, *t)));
        acts.chain(cases.map(|tie| tie.first)).min().unwrap_or(Timestamp::MIN)
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
        first_seen: ties.iter().map(|tie| tie.first).min()?,
        last_seen: ties.iter().map(|tie| tie.last).max()?,
        hosts: u64::try_from(ties.len()).unwrap_or(u64::MAX),
        bytes_out: ties.iter().map(|tie| tie.up).fold(0, u64::saturating_add),
        collateral_hosts,
        advice,
    })
}

/// Chance of its users from which on a destination that only they point to is watched and not blocked: detection.md §8.
const BLOCK_P: f64 = 1e-6;
