//! Hosts of the site: since when they are known, what they are called, how often they meet something new.
//!
//! Everybody a flow names has a `HostId`, interned by address. Whoever said something is a host of the site and counts;
//! addresses that never answered and outside actors are only names for the record.

use super::declared::{Declared, HostRole};
use super::tenants::TenantId;
use crate::base::{Capped, Ring, Timestamp};
use crate::event::IdentitySource;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A machine, or an outside address that acted on one. Ids are given in the order of first sight and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostId(pub(crate) u32);

/// One host of the site.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The latest address.
    pub(crate) ip: IpAddr,
    /// The address it was first seen with: what ids of findings derive from.
    pub(crate) first_ip: IpAddr,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    /// First contacts with destinations that are not everyday infrastructure.
    pub(crate) firsts: u32,
    /// The latest of them, in the order they were judged.
    pub(crate) recent: Ring<(Timestamp, TenantId)>,
    name: Option<(Arc<str>, u8)>,
}

impl Host {
    /// How long it has been watched at `now`, seconds.
    pub(crate) fn watched_s(&self, now: Timestamp) -> f64 {
        now.since(self.first_seen).as_secs_f64()
    }
}

/// All hosts of the site met, and what was declared of them.
#[derive(Debug)]
pub(super) struct Hosts {
    held: Capped<HostId, Host>,
    by_address: Capped<IpAddr, HostId>,
    /// Addresses that were spoken to or acted, but are no host of the site (yet).
    strangers: Capped<IpAddr, HostId>,
    stranger_addresses: Capped<HostId, IpAddr>,
    next: u32,
    declared: Arc<Declared>,
    /// Position of an address's declaration.
    declarations: BTreeMap<IpAddr, usize>,
}

impl Hosts {
    pub(super) fn new(declared: Arc<Declared>) -> Self {
        let all = declared.hosts.iter().enumerate().rev();
        let declarations = all.flat_map(|(at, host)| host.addresses.iter().map(move |ip| (*ip, at))).collect();
        Self {
            held: Capped::new(MAX_HOSTS),
            by_address: Capped::new(MAX_HOSTS),
            strangers: Capped::new(MAX_STRANGERS),
            stranger_addresses: Capped::new(MAX_STRANGERS),
            next: 0,
            declared,
            declarations,
        }
    }

    /// Who `ip` is; somebody new is a stranger until it says something.
    pub(super) fn id(&mut self, ip: IpAddr) -> HostId {
        let known = self.by_address.get_mut(&ip).copied();
        if let Some(id) = known.or_else(|| self.strangers.get_mut(&ip).copied()) {
            return id;
        }
        let id = self.new_id();
        self.strangers.insert(ip, id);
        self.stranger_addresses.insert(id, ip);
        id
    }

    /// Notes that `ip` is alive.
    pub(super) fn seen(&mut self, ip: IpAddr, ts: Timestamp) -> HostId {
        let id = match self.by_address.get_mut(&ip) {
            Some(id) => *id,
            None => {
                let id = match self.strangers.remove(&ip) {
                    Some(id) => {
                        self.stranger_addresses.remove(&id);
                        id
                    }
                    None => self.new_id(),
                };
                self.by_address.insert(ip, id);
                id
            }
        };
        let host = self.held.entry(id, || Host {
            ip,
            first_ip: ip,
            first_seen: ts,
            last_seen: ts,
            firsts: 0,
            recent: Ring::new(MAX_RECENT),
            name: None,
        });
        host.last_seen = host.last_seen.max(ts);
        id
    }

    /// Learns what a host calls itself; better sources win, the newest of equals.
    pub(super) fn named(&mut self, ip: IpAddr, name: Arc<str>, source: IdentitySource, ts: Timestamp) {
        let rank = match source {
            IdentitySource::Arp | IdentitySource::Ndp => return,
            IdentitySource::Mdns | IdentitySource::Llmnr => 1,
            IdentitySource::Nbns => 2,
            IdentitySource::Ntlm | IdentitySource::Kerberos | IdentitySource::Cldap => 3,
            IdentitySource::Dhcp => 4,
        };
        let id = self.seen(ip, ts);
        if let Some(host) = self.held.get_mut(&id)
            && host.name.as_ref().is_none_or(|(_, known)| *known <= rank)
        {
            host.name = Some((name, rank));
        }
    }

    pub(super) fn get(&self, id: HostId) -> Option<&Host> {
        self.held.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: HostId) -> Option<&mut Host> {
        self.held.get_mut(&id)
    }

    /// The latest address of a host or stranger; `None` once it made room.
    pub(super) fn address(&self, id: HostId) -> Option<IpAddr> {
        self.get(id).map(|host| host.ip).or_else(|| self.stranger_addresses.get(&id).copied())
    }

    /// What to call a host: as declared, else as it calls itself.
    pub(super) fn name(&self, id: HostId) -> Option<&str> {
        let declared = self.declaration(id).and_then(|host| host.name.as_deref());
        declared.or_else(|| self.get(id)?.name.as_ref().map(|(name, _)| &**name))
    }

    /// Roles somebody declared.
    pub(super) fn roles_at(&self, ip: IpAddr) -> &[HostRole] {
        let declared = self.declarations.get(&ip).and_then(|at| self.declared.hosts.get(*at));
        declared.map_or(&[], |host| &host.roles)
    }

    /// Roles somebody declared.
    pub(super) fn roles(&self, id: HostId) -> &[HostRole] {
        self.declaration(id).map_or(&[], |host| &host.roles)
    }

    /// Hosts that said something at or after `ts`.
    pub(super) fn alive_since(&self, ts: Timestamp) -> impl Iterator<Item = HostId> {
        self.held.iter().filter(move |(_, host)| host.last_seen >= ts).map(|(id, _)| *id)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) const fn evicted(&self) -> u64 {
        self.held.evicted()
    }

    fn new_id(&mut self) -> HostId {
        let id = HostId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }

    fn declaration(&self, id: HostId) -> Option<&super::DeclaredHost> {
        self.declared.hosts.get(*self.declarations.get(&self.address(id)?)?)
    }
}

/// The largest site the design plans for is 250,000 machines.
const MAX_HOSTS: usize = 300_000;
/// Outside actors and addresses that never answered, some 100 bytes each: a scan meets millions, their order of coming
/// decides who makes room.
const MAX_STRANGERS: usize = 65_536;
/// First contacts remembered with their moment: more than a browsing person makes in the longest join window.
const MAX_RECENT: usize = 64;
