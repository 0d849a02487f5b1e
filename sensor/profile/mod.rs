//! What is usual for a host of the site, and who it is.
//!
//! Reads observations and says them again as `Activity`: who met which destination owner, for the first time or not,
//! how many others had met it *before*. What an activity carries was known before it, so scoring precedes learning by
//! construction.

mod activity;
mod approve;
mod baseline;
mod days;
mod declared;
mod flows;
mod habits;
mod held;
mod host_days;
mod hosts;
mod hubs;
mod identity;
mod judge;
mod keys;
mod machines;
mod maturity;
mod merge;
mod names;
mod novelty;
mod peers;
mod prevalence;
mod proxy;
mod quarantine;
mod ranks;
mod read;
mod resumed;
mod saved;
mod season;
mod seen;
mod shared;
mod snapshot;
mod stamp;
mod tenants;
mod tie;
mod ties;
mod touched;
mod visibility;
mod volume;
mod written;

pub(crate) use activity::{Act, Activity, Call, CheckIn, Closed, Contact, Fetch, Hello, Lookup, Moved, Touch, What};
pub(crate) use approve::NotApproved;
pub(crate) use baseline::{Baseline, Difference, Inside, Overview};
pub(crate) use declared::{Declared, DeclaredHost, HostRole, MayReach, Policy};
pub(crate) use habits::Rarity;
pub(crate) use host_days::Drift;
pub(crate) use hosts::{Disagreement, Host, HostId};
pub(crate) use hubs::Hub;
pub(crate) use keys::{IdentityCounts, Join};
pub(crate) use maturity::{Learnt, Maturity};
pub(crate) use merge::Renamed;
pub(crate) use saved::SavedApproval;
pub(crate) use shared::SharedBy;
pub(crate) use snapshot::{Extent, Restoring};
pub(crate) use tenants::{Standing, Tenant, TenantId};
pub(crate) use tie::{Script, Tie};
pub(crate) use visibility::{Network, Sight, Visibility, network};
pub(crate) use volume::Feature;

use crate::base::{Budget, Capped, Endpoint, Table, Timestamp};
use crate::event::{FlowRecord, Uid};
use crate::intel::{Hit, Intel};
use days::Days;
use flows::{InnerFlow, OpenFlows};
use habits::Habits;
use hosts::Hosts;
use hubs::Hubs;
use names::NameMemory;
use shared::Shared;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tenants::Tenants;
use ties::Ties;
use touched::Touched;

/// Everything known about the site and its destinations so far.
#[derive(Debug)]
pub(crate) struct Profiles {
    declared: Arc<Declared>,
    intel: Arc<Intel>,
    names: NameMemory,
    tenants: Tenants,
    ties: Ties,
    hosts: Hosts,
    hubs: Hubs,
    habits: Habits,
    days: Days,
    flows: OpenFlows,
    admin_shares: Capped<Uid, Box<str>>,
    /// Conversations into the site's hosts while they last.
    inner: Capped<Uid, InnerFlow>,
    agents: Capped<Box<str>, Option<Arc<str>>>,
    shared: Shared,
    visibility: Visibility,
    counts: Counts,
    /// What changed since it was saved, while somebody saves.
    touched: Option<Box<Touched>>,
    /// How far it is known what is usual, as of the beginning of the local day.
    learnt: Learnt,
    /// What somebody answers for.
    approvals: Vec<SavedApproval>,
}

/// What was seen, for the summary and for `not_visible`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) outbound_flows: u64,
    pub(crate) nameless_flows: u64,
    pub(crate) internal_flows: u64,
    pub(crate) resolutions: u64,
    /// First contacts with destinations that are not everyday infrastructure.
    pub(crate) firsts: u64,
    /// Of these, those with a destination nobody else had met.
    pub(crate) lone_firsts: u64,
    /// First and last moment seen.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
}

impl Profiles {
    pub(crate) fn new(declared: Arc<Declared>, intel: Arc<Intel>) -> Self {
        Self {
            names: NameMemory::new(),
            tenants: Tenants::new(),
            ties: Ties::new(),
            hosts: Hosts::new(declared.clone()),
            hubs: Hubs::new(),
            habits: Habits::new(),
            days: Days::new(),
            flows: OpenFlows::new(),
            admin_shares: Capped::new(Budget::new("profile.admin_shares", MAX_ADMIN_FLOWS, 32)),
            inner: Capped::new(Budget::new("profile.inner", MAX_INNER_FLOWS, 0)),
            agents: Capped::new(Budget::new("profile.agents", MAX_AGENTS, 160)),
            shared: Shared::new(),
            visibility: Visibility::new(),
            counts: Counts::default(),
            touched: None,
            learnt: Learnt::default(),
            approvals: Vec::new(),
            declared,
            intel,
        }
    }

    /// The site and the tables about the outside are these from now on. What was learned stays; what the tables say of a
    /// destination is the new word at once, also for who has met it before.
    pub(crate) fn follow(&mut self, declared: Arc<Declared>, intel: Arc<Intel>) {
        self.hosts.declare(Arc::clone(&declared));
        self.tenants.forget_places();
        self.agents.clear();
        (self.declared, self.intel) = (declared, intel);
        self.restand();
    }

    /// Asks again what each destination is that a host has to do with.
    fn restand(&mut self) {
        let ties: Vec<(HostId, TenantId)> = self.ties.iter().map(|(pair, _)| *pair).collect();
        // An owner is not met by being asked for.
        let mut standings: HashMap<(Option<Arc<str>>, IpAddr), Arc<Standing>> = HashMap::new();
        for (host, tenant) in ties {
            let for_others = self.shared_by(host) == Some(SharedBy::Proxy);
            let Some(tie) = self.ties.peek_mut((host, tenant)) else { continue };
            if tie.several {
                continue; // It is not kept which names led there; the next first contact finds the new word.
            }
            // Behind a proxy only the name is known.
            let nowhere = Endpoint { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0 };
            let resp = tie.resps.first().copied().unwrap_or(nowhere);
            let standing = standings
                .entry((tie.name.clone(), resp.ip))
                .or_insert_with(|| Arc::new(Standing::of(&self.intel.place(tie.name.as_deref(), resp.ip))));
            let standing = Arc::clone(standing);
            if standing.is_background() != tie.standing.is_background() {
                tie.background = standing.is_background() || judge::is_plumbing(tie.transport, resp.port) || for_others;
            }
            tie.standing = standing;
        }
    }

    /// The best name of a flow's responder and where it came from.
    pub(crate) fn name_of(&self, uid: Uid, flow: &FlowRecord) -> Option<(&str, &'static str)> {
        let wire = self.flows.name_of(uid);
        let asked = || Some((self.names.name(self.hosts.who(flow.orig.ip, flow.ts), flow.resp.ip, flow.ts)?, "dns"));
        wire.or_else(asked).map(|(name, source)| (&**name, source))
    }

    /// The names that led to a flow's responder, when there are several and none on the wire.
    pub(crate) fn names_of_flow(&self, uid: Uid, flow: &FlowRecord) -> Vec<&str> {
        if self.flows.name_of(uid).is_some() {
            return Vec::new();
        }
        let names = self.names.names(self.hosts.who(flow.orig.ip, flow.ts), flow.resp.ip, flow.ts);
        if names.len() > 1 { names.into_iter().map(|name| &**name).collect() } else { Vec::new() }
    }

    /// What a host has to do with an owner, and the owner itself, are still asked for: they count as touched.
    pub(crate) fn keep(&mut self, pair: (HostId, TenantId)) {
        self.ties.get_mut(pair);
        self.tenants.keep(pair.1);
    }

    /// What `host` has to do with `tenant`.
    pub(crate) fn tie(&self, host: HostId, tenant: TenantId) -> Option<&Tie> {
        self.ties.get((host, tenant))
    }

    pub(crate) fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(id)
    }

    pub(crate) fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(id)
    }

    /// Hosts of the site met so far.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (HostId, &Host)> {
        self.hosts.iter()
    }

    /// What to call a host.
    pub(crate) fn host_name(&self, id: HostId) -> Option<&str> {
        self.hosts.name(id)
    }

    /// Roles somebody declared for a host.
    pub(crate) fn roles(&self, id: HostId) -> &[HostRole] {
        self.hosts.roles(id)
    }

    /// What a host's dealings with others say it is for, where nobody declared it.
    pub(crate) fn learned_hub(&self, id: HostId) -> Option<Hub> {
        let now = self.counts.span.map_or(Timestamp::MIN, |(_, last)| last);
        self.hubs.of(id, self.day(now)).filter(|_| self.roles(id).is_empty())
    }

    /// Whether a kind of service outside was part of a host's days before `ts`.
    pub(crate) fn lives_by(&self, id: HostId, kind: &str, ts: Timestamp) -> bool {
        self.hubs.lives_by(id, kind, self.day(ts))
    }

    /// The latest address of a host or outside actor.
    pub(crate) fn address(&self, id: HostId) -> Option<IpAddr> {
        self.hosts.address(id)
    }

    /// What a finding about a host derives its id from: the address it was first seen with.
    pub(crate) fn subject(&self, id: HostId) -> String {
        let ip = self.hosts.get(id).map(|host| host.first_ip).or_else(|| self.address(id));
        ip.map_or_else(|| format!("host {}", id.0), |ip| ip.to_string())
    }

    /// `epp01 (10.0.0.5)` or the address.
    pub(crate) fn label(&self, id: HostId) -> String {
        let ip = self.address(id).map_or_else(|| format!("host {}", id.0), |ip| ip.to_string());
        self.host_name(id).map_or_else(|| ip.clone(), |name| format!("{name} ({ip})"))
    }

    /// The address as text.
    pub(crate) fn address_text(&self, id: HostId) -> String {
        self.address(id).map_or_else(|| format!("host {}", id.0), |ip| ip.to_string())
    }

    /// Whether a local day is Saturday or Sunday.
    pub(crate) const fn is_weekend(day: i32) -> bool {
        // 1970-01-01 was a Thursday.
        matches!(day.saturating_add(3).rem_euclid(7), 5 | 6)
    }

    /// What the operator's feeds say about a destination.
    pub(crate) fn feed(&self, name: Option<&str>, ip: IpAddr) -> Option<Hit<'_>> {
        self.intel.feed(name, ip)
    }

    /// Roles somebody declared for whoever has this address now.
    pub(crate) fn roles_at(&self, ip: IpAddr) -> &[HostRole] {
        self.hosts.roles_at(ip)
    }

    /// The category of a destination.
    pub(crate) fn class_of(&self, name: Option<&str>, ip: IpAddr) -> Option<&str> {
        self.intel.place(name, ip).class
    }

    /// What a host is told by, the same in every run.
    pub(crate) fn key(&self, id: HostId) -> Option<String> {
        self.hosts.key(id)
    }

    /// What happened to identities so far.
    pub(crate) fn identities(&self) -> (IdentityCounts, Vec<Join>, Vec<IpAddr>) {
        let known = self.hosts.identities();
        (known.counts(), known.joins().copied().collect(), known.unsteady().copied().collect())
    }

    /// Where an asset list and the wire disagree.
    pub(crate) fn disagreements(&self) -> Vec<Disagreement> {
        self.hosts.disagreements().cloned().collect()
    }

    /// Hosts of the site met so far.
    pub(crate) fn fleet(&self) -> u32 {
        u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }

    /// The tables about the outside.
    pub(crate) fn intel(&self) -> &Intel {
        &self.intel
    }

    /// What anybody was told an address is called, oldest first.
    pub(crate) fn names_of(&self, ip: IpAddr) -> impl Iterator<Item = &str> {
        self.names.names_of(ip)
    }

    pub(crate) fn declared(&self) -> &Declared {
        &self.declared
    }

    pub(crate) fn is_inside(&self, id: HostId) -> bool {
        self.address(id).is_some_and(|ip| self.declared.site.is_inside(ip))
    }

    /// What the sensor could see.
    pub(crate) const fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    /// Whether a destination of a host that was looked up would be known as such; `None` while there is too little to tell.
    pub(crate) fn sees_lookups(&self, id: HostId) -> Option<bool> {
        self.visibility.sees_lookups(id, self.address(id)?)
    }

    /// Whether a destination without a name may have one that was looked up unseen.
    pub(crate) fn names_hide(&self, id: HostId) -> bool {
        self.counts.resolutions == 0 || self.sees_lookups(id) == Some(false)
    }

    /// Whether contacts between two machines of the site would have been seen.
    pub(crate) fn sees_path(&self, a: HostId, b: HostId) -> bool {
        match (self.address(a), self.address(b)) {
            (Some(a), Some(b)) => self.visibility.sees_path(a, b),
            _ => false,
        }
    }

    /// Whether several machines are behind a host: declared, or by how it behaves. Who was declared to be something else,
    /// or has proved a machine's account, is one machine: nobody hides by behaving like several.
    pub(crate) fn shared_by(&self, id: HostId) -> Option<SharedBy> {
        match self.roles(id) {
            [] if !self.hosts.identities().has_account(id) => {
                self.shared.by(id, self.counts.span.map_or(Timestamp::MIN, |(_, last)| last))
            }
            roles => roles.contains(&HostRole::Proxy).then_some(SharedBy::Proxy),
        }
    }

    /// All hosts that behave like several machines.
    pub(crate) fn shared(&self) -> Vec<(HostId, SharedBy)> {
        self.shared.all().into_iter().filter_map(|id| Some((id, self.shared_by(id)?))).collect()
    }

    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Its tables as they stand.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let own = [self.admin_shares.table(), self.inner.table(), self.agents.table()];
        let parts = self.ties.tables().into_iter().chain(own).chain(self.names.tables()).chain(self.tenants.tables());
        let parts = parts.chain(self.hosts.tables()).chain(self.flows.tables());
        let parts = parts.chain([self.hubs.table()]).chain(self.habits.tables()).chain(self.days.tables());
        parts.chain(self.shared.tables()).chain(self.visibility.tables()).collect()
    }
}

/// Flows with an administrative share at one moment.
const MAX_ADMIN_FLOWS: usize = 100_000;
/// Conversations into the site's hosts at one moment; what began earlier is taken to begin with its first act.
const MAX_INNER_FLOWS: usize = 200_000;
/// User agents whose kind is remembered.
const MAX_AGENTS: usize = 10_000;
