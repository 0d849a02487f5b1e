//! Hosts of the site: since when they are known, what they are called, how often they meet something new.
//!
//! Everybody a flow names has a `HostId`: the machine that has the address at that moment (`identity`). Whoever said something is a host of the site and counts;
//! addresses that never answered and outside actors are only names for the record.

use super::declared::{Declared, HostRole};
use super::identity::{Grant, Identities, Key};
use super::keys::{self, Mac};
use super::tenants::TenantId;
use crate::base::{Budget, Capped, Ring, Table, Timestamp};
use crate::event::{Identity, IdentitySource};
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
    /// Who has which address, and since when.
    identities: Identities,
    /// Addresses that were spoken to or acted, but are no host of the site (yet).
    strangers: Capped<IpAddr, HostId>,
    stranger_addresses: Capped<HostId, IpAddr>,
    declared: Arc<Declared>,
    /// Position of an address's declaration.
    declarations: BTreeMap<IpAddr, usize>,
}

impl Hosts {
    pub(super) fn new(declared: Arc<Declared>) -> Self {
        let all = declared.hosts.iter().enumerate().rev();
        let declarations = all.flat_map(|(at, host)| host.addresses.iter().map(move |ip| (*ip, at))).collect();
        Self {
            held: Capped::new(Budget::new("hosts.held", MAX_HOSTS, 1_100)),
            identities: Identities::new(),
            strangers: Capped::new(Budget::new("hosts.strangers", MAX_STRANGERS, 0)),
            stranger_addresses: Capped::new(Budget::new("hosts.stranger_addresses", MAX_STRANGERS, 0)),
            declared,
            declarations,
        }
    }

    /// Who has `ip` at `ts`; somebody new is a stranger until it says something.
    pub(super) fn id(&mut self, ip: IpAddr, ts: Timestamp) -> HostId {
        let known = self.identities.holder(ip, ts);
        if let Some(id) = known.or_else(|| self.strangers.get_mut(&ip).copied()) {
            return id;
        }
        let id = self.identities.new_id();
        self.strangers.insert(ip, id);
        self.stranger_addresses.insert(id, ip);
        id
    }

    /// Notes that `ip` is alive.
    pub(super) fn seen(&mut self, ip: IpAddr, ts: Timestamp) -> HostId {
        let id = match self.identities.holder(ip, ts) {
            Some(id) => id,
            None => self.met(ip, ts),
        };
        self.identities.spoke(ip, ts);
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
        // Of a machine with both families the IPv4 address is what people know it by.
        if ip.is_ipv4() || host.ip.is_ipv6() {
            host.ip = ip;
        }
        id
    }

    /// An address nobody held: a stranger's that now speaks, or one whose hardware address is written in it.
    fn met(&mut self, ip: IpAddr, ts: Timestamp) -> HostId {
        let id = match self.strangers.remove(&ip) {
            Some(id) => {
                self.stranger_addresses.remove(&id);
                id
            }
            None => self.identities.new_id(),
        };
        self.identities.settle(ip, id, ts);
        let written = keys::mac_within(ip).map(keys::mac);
        let Some(Mac::Key(mac)) = written else { return id };
        self.identities.claim(ip, &Key::Mac(mac), Grant::Observed, ts).unwrap_or(id)
    }

    /// Takes in who an address is: by its hardware address, by a name, by both.
    pub(super) fn identified(&mut self, ip: IpAddr, identity: &Identity, ts: Timestamp) {
        let leased = identity.source == IdentitySource::Dhcp;
        let before = self.identities.holder(ip, ts);
        match identity.mac.map(|mac| (mac, keys::mac(mac))) {
            Some((_, Mac::Key(mac))) => {
                let grant = if leased { Grant::Leased } else { Grant::Observed };
                self.identities.claim(ip, &Key::Mac(mac), grant, ts);
            }
            Some((mac, Mac::VirtualRouter)) => self.identities.virtual_router(ip, mac, ts),
            Some((_, Mac::Nothing)) | None => {}
        }
        self.inherit(before, ip, ts);
        let Some(name) = identity.hostname.as_deref().filter(|name| !name.is_empty()) else { return };
        let before = Some(self.seen(ip, ts));
        if let Some(label) = keys::label(name) {
            self.identities.claim(ip, &Key::Label(label.into(), keys::trust(identity.source)), Grant::Observed, ts);
        }
        self.inherit(before, ip, ts);
        self.named(ip, name.into(), identity.source, ts);
    }

    /// Of a machine nothing was known but its address, and now that is another's: it was that one all along.
    fn inherit(&mut self, before: Option<HostId>, ip: IpAddr, ts: Timestamp) {
        let (Some(before), Some(now)) = (before, self.identities.holder(ip, ts)) else { return };
        if before != now
            && self.identities.is_nobody(before)
            && let Some(host) = self.held.remove(&before)
            && self.held.get(&now).is_none()
        {
            self.held.insert(now, host);
        }
    }

    /// A DHCP client that has no address yet tells its name.
    pub(super) fn asked(&mut self, mac: [u8; 6], name: &str) {
        if let (Mac::Key(mac), Some(label)) = (keys::mac(mac), keys::label(name)) {
            self.identities.name_mac(mac, &label.into());
        }
    }

    /// Learns what a host calls itself; better sources win, the newest of equals.
    fn named(&mut self, ip: IpAddr, name: Arc<str>, source: IdentitySource, ts: Timestamp) {
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

    /// What a host is told by, in words that mean the same in every run: its hardware address, else its name, else the
    /// address it was first seen with.
    pub(super) fn key(&self, id: HostId) -> Option<String> {
        if let Some(mac) = self.identities.mac(id) {
            return Some(format!("mac:{}", mac.map(|byte| format!("{byte:02x}")).join(":")));
        }
        if let Some(label) = self.identities.label(id) {
            return Some(format!("name:{label}"));
        }
        self.get(id).map(|host| format!("ip:{}", host.first_ip))
    }

    /// What happened to identities.
    pub(super) const fn identities(&self) -> &Identities {
        &self.identities
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

    pub(super) fn tables(&self) -> impl Iterator<Item = Table> {
        let own = [self.held.table(), self.strangers.table(), self.stranger_addresses.table()];
        own.into_iter().chain(self.identities.tables())
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
