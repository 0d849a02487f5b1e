//! Hosts of the site: since when they are known, what they are called, how often they meet something new.
//!
//! Everybody a flow names has a `HostId`: the machine that has the address at that moment (`identity`). Whoever said something is a host of the site and counts;
//! addresses that never answered and outside actors are only names for the record.

use super::declared::{Declared, DeclaredHost, HostRole};
use super::held::ADOPTION;
use super::identity::Identities;
use super::keys::{self, Grant, Key, Mac};
use super::tenants::TenantId;
use crate::base::{Budget, Capped, Ring, Table, Timestamp};
use crate::event::{Identity, IdentitySource};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A machine, or an outside address that acted on one. Ids are given in the order of first sight and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
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
    pub(super) name: Option<(Arc<str>, u8)>,
}

impl Host {
    /// How long it has been watched at `now`, seconds.
    pub(crate) fn watched_s(&self, now: Timestamp) -> f64 {
        now.since(self.first_seen).as_secs_f64()
    }
}

/// An asset list says one thing of an address and the wire another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disagreement {
    pub(crate) ip: IpAddr,
    pub(crate) declared: String,
    pub(crate) seen: String,
}

/// What a DHCP client calls itself: its answer may have neither.
#[derive(Clone, Debug, Default)]
struct Called {
    id: Option<Arc<str>>,
    name: Option<Arc<str>>,
}

/// All hosts of the site met, and what was declared of them.
#[derive(Debug)]
pub(super) struct Hosts {
    pub(super) held: Capped<HostId, Host>,
    /// Who has which address, and since when.
    pub(super) identities: Identities,
    /// Addresses that were spoken to or acted, but are no host of the site (yet).
    strangers: Capped<IpAddr, HostId>,
    stranger_addresses: Capped<HostId, IpAddr>,
    /// What DHCP clients that asked lately call themselves.
    called: Capped<[u8; 6], Called>,
    /// Ids of addresses that were found to be a known machine's.
    turned_out: Capped<HostId, HostId>,
    declared: Arc<Declared>,
    /// Position of an address's declaration, and of a hardware address's.
    declarations: BTreeMap<IpAddr, usize>,
    declared_macs: BTreeMap<[u8; 6], usize>,
    disagreements: Ring<Disagreement>,
}

impl Hosts {
    pub(super) fn new(declared: Arc<Declared>) -> Self {
        let (declarations, declared_macs) = positions(&declared);
        Self {
            held: Capped::new(Budget::new("hosts.held", MAX_HOSTS, 1_100)),
            identities: Identities::new(),
            strangers: Capped::new(Budget::new("hosts.strangers", MAX_STRANGERS, 0)),
            stranger_addresses: Capped::new(Budget::new("hosts.stranger_addresses", MAX_STRANGERS, 0)),
            called: Capped::new(Budget::new("hosts.called", MAX_STRANGERS, 96)),
            turned_out: Capped::new(Budget::new("hosts.turned_out", MAX_STRANGERS, 0)),
            declared,
            declarations,
            declared_macs,
            disagreements: Ring::new(MAX_TOLD),
        }
    }

    /// Something else is declared from now on; who was met stays.
    pub(super) fn declare(&mut self, declared: Arc<Declared>) {
        (self.declarations, self.declared_macs) = positions(&declared);
        self.declared = declared;
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

    /// Who had `ip` when a flow began that is at `ts` now: what came to the address since is somebody else's.
    pub(super) fn at(&mut self, ip: IpAddr, began: Timestamp, ts: Timestamp) -> HostId {
        match self.identities.holder_at(ip, began) {
            Some(id) => self.current(id),
            None => self.id(ip, ts),
        }
    }

    /// Who is known to have had `ip` at `ts`.
    pub(super) fn who(&self, ip: IpAddr, ts: Timestamp) -> Option<HostId> {
        self.identities.holder_at(ip, ts).map(|id| self.current(id))
    }

    /// Who said something at `ts` in a flow that began at `began`.
    pub(super) fn spoke(&mut self, ip: IpAddr, began: Timestamp, ts: Timestamp) -> HostId {
        match self.identities.holder_at(ip, began) {
            Some(id) if self.identities.holder(ip, ts) != Some(id) => {
                let id = self.current(id);
                self.alive(id, ts);
                id
            }
            _ => self.seen(ip, ts),
        }
    }

    /// A host goes on with what it began.
    pub(super) fn alive(&mut self, id: HostId, ts: Timestamp) {
        let Some(host) = self.held.get_mut(&id) else { return };
        host.last_seen = host.last_seen.max(ts);
        let ip = host.ip;
        if self.identities.holder(ip, ts) == Some(id) {
            self.identities.spoke(ip, ts);
        }
    }

    /// The machine an id turned out to be.
    pub(super) fn current(&self, id: HostId) -> HostId {
        self.turned_out.get(&id).copied().unwrap_or(id)
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
        self.compare(ip, identity);
        let grant = keys::grant(identity.source);
        let leased = grant == Grant::Leased;
        let before = self.identities.holder(ip, ts);
        match identity.mac.map(|mac| (mac, keys::mac(mac))) {
            Some((_, Mac::Key(mac))) => {
                self.claim(ip, &Key::Mac(mac), grant, ts);
            }
            Some((mac, Mac::VirtualRouter)) => self.identities.virtual_router(ip, mac, ts),
            Some((_, Mac::Nothing)) | None => {}
        }
        let asked = identity.mac.and_then(|mac| self.called.get(&mac).cloned()).filter(|_| leased).unwrap_or_default();
        if let Some(id) = identity.client_id.as_deref().map(Into::into).or(asked.id) {
            self.claim(ip, &Key::Client(id), grant, ts);
        }
        self.inherit(before, ip, ts);
        let told = identity.hostname.as_deref().or(asked.name.as_deref());
        let Some(name) = told.filter(|name| !name.is_empty()) else { return };
        let before = Some(self.seen(ip, ts));
        let key = keys::label(name).map(|label| Key::Label(label.into(), keys::trust(identity.source)));
        if let Some(key) = &key {
            // The name within a lease is the client's own word; the address was the server's.
            let grant = if leased { Grant::Observed } else { grant };
            self.claim(ip, key, grant, ts);
        }
        self.inherit(before, ip, ts);
        // It is not called by the name of another one.
        if !key.is_some_and(|key| self.identities.is_of_another(&key, ip, ts)) {
            self.named(ip, name.into(), identity.source, ts);
        }
    }

    /// Counts what is told of somebody else's address.
    pub(super) fn disbelieve(&mut self) {
        self.identities.disbelieve(None);
    }

    /// Believes evidence, unless an asset list says whose the address is and the evidence is another machine's.
    fn claim(&mut self, ip: IpAddr, key: &Key, grant: Grant, ts: Timestamp) {
        let fixed = self.declared_at(ip).is_some_and(|host| host.pinned && host.macs.is_empty());
        if fixed && self.identities.is_of_another(key, ip, ts) {
            return;
        }
        self.identities.claim(ip, key, grant, ts);
    }

    /// Notes where the wire says something else than an asset list.
    fn compare(&mut self, ip: IpAddr, identity: &Identity) {
        let Some(host) = self.declared_at(ip).filter(|host| host.pinned) else { return };
        let told = |mac: &[u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        let mac = identity.mac.filter(|mac| matches!(keys::mac(*mac), Mac::Key(_)) && !host.macs.is_empty());
        let other_mac = mac
            .filter(|mac| !host.macs.contains(mac))
            .map(|mac| (host.macs.iter().map(told).collect::<Vec<_>>().join(" "), told(&mac)));
        let names = identity.hostname.as_deref().and_then(keys::label).zip(host.name.as_deref().and_then(keys::label));
        let other_name = names.filter(|(seen, declared)| seen != declared).map(|(seen, declared)| (declared, seen));
        for (declared, seen) in other_mac.into_iter().chain(other_name) {
            let new = Disagreement { ip, declared, seen };
            if !self.disagreements.iter().any(|known| *known == new) {
                self.disagreements.push(new);
            }
        }
    }

    /// Where an asset list and the wire disagree, the latest.
    pub(super) fn disagreements(&self) -> impl Iterator<Item = &Disagreement> {
        self.disagreements.iter()
    }

    fn declared_at(&self, ip: IpAddr) -> Option<&DeclaredHost> {
        self.declared.hosts.get(*self.declarations.get(&ip)?)
    }

    /// Of a machine nothing was known but its address, and now that is another's: it was that one all along, if that one
    /// was never met, or the address not known before it can have come.
    fn inherit(&mut self, before: Option<HostId>, ip: IpAddr, ts: Timestamp) {
        let (Some(before), Some(now)) = (before, self.identities.holder(ip, ts)) else { return };
        if before == now || !self.identities.is_nobody(before) {
            return;
        }
        let new = self.held.get(&now).is_none();
        let just_come = self.held.get(&before).is_none_or(|host| ts.since(host.first_seen) <= ADOPTION);
        if !new && !just_come {
            return;
        }
        self.turned_out.insert(before, now);
        if let Some(host) = self.held.remove(&before).filter(|_| new) {
            self.held.insert(now, host);
        }
    }

    /// A DHCP client that has no address yet tells its name, and what it calls itself: a server's answer may leave that
    /// out (before RFC 6842), and a hardware address that was made up is good for this exchange only.
    pub(super) fn asked(&mut self, mac: [u8; 6], identity: &Identity) {
        let called = self.called.entry(mac, Called::default);
        if let Some(id) = identity.client_id.as_deref() {
            called.id = Some(id.into());
        }
        let Some(name) = identity.hostname.as_deref() else { return };
        called.name = Some(name.into());
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
        if let Some(id) = self.identities.client(id) {
            return Some(format!("dhcp:{id}"));
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
        let declared =
            self.identities.holder_of(ip).and_then(|id| self.declaration(id)).or_else(|| self.declared_at(ip));
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

    pub(super) fn iter(&self) -> impl Iterator<Item = (HostId, &Host)> {
        self.held.iter().map(|(id, host)| (*id, host))
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = Table> {
        let strangers = [self.strangers.table(), self.stranger_addresses.table()];
        let own = [self.held.table(), self.called.table(), self.turned_out.table()];
        own.into_iter().chain(strangers).chain(self.identities.tables())
    }

    /// What was declared of a machine: by its hardware address, else by its address, unless that is declared to be
    /// another's.
    fn declaration(&self, id: HostId) -> Option<&DeclaredHost> {
        // Detectors ask for roles at every activity, and many a site declares none.
        if self.declared.hosts.is_empty() {
            return None;
        }
        let mac = self.identities.mac(id);
        if let Some(at) = mac.and_then(|mac| self.declared_macs.get(&mac)) {
            return self.declared.hosts.get(*at);
        }
        let host = self.declared_at(self.address(id)?)?;
        let another = mac.is_some_and(|mac| !host.macs.is_empty() && !host.macs.contains(&mac));
        (!another).then_some(host)
    }
}

/// Positions of declarations by address and by hardware address; of several the first is believed.
fn positions(declared: &Declared) -> (BTreeMap<IpAddr, usize>, BTreeMap<[u8; 6], usize>) {
    let all = declared.hosts.iter().enumerate().rev();
    let addresses = all.clone().flat_map(|(at, host)| host.addresses.iter().map(move |ip| (*ip, at))).collect();
    (addresses, all.flat_map(|(at, host)| host.macs.iter().map(move |mac| (*mac, at))).collect())
}

/// The largest site the design plans for is 250,000 machines.
const MAX_HOSTS: usize = 300_000;
/// Outside actors and addresses that never answered, some 100 bytes each: a scan meets millions, their order of coming
/// decides who makes room.
const MAX_STRANGERS: usize = 65_536;
/// Disagreements told by name.
const MAX_TOLD: usize = 64;
/// First contacts remembered with their moment: more than a browsing person makes in the longest join window.
pub(super) const MAX_RECENT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Site;

    const A: [u8; 6] = [0, 0, 0x5e, 0, 0x53, 0xa];
    const B: [u8; 6] = [0, 0, 0x5e, 0, 0x53, 0xb];

    /// Addresses, hardware addresses, name.
    type Asset<'a> = (&'a [&'a str], &'a [[u8; 6]], &'a str);

    fn hosts(assets: &[Asset<'_>]) -> Hosts {
        let asset = |(addresses, macs, name): &Asset<'_>| DeclaredHost {
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
            macs: macs.to_vec(),
            name: Some((*name).into()),
            roles: Vec::new(),
            pinned: true,
        };
        let hosts = assets.iter().map(asset).collect();
        Hosts::new(Arc::new(Declared { site: Site::new(&[], &[]), hosts, policies: Vec::new(), utc_offset_s: 0 }))
    }

    fn arp(hosts: &mut Hosts, ip: &str, mac: [u8; 6], name: Option<&str>, minute: i64) -> HostId {
        let ip: IpAddr = ip.parse().unwrap();
        let identity = Identity {
            ip: Some(ip),
            side: None,
            mac: Some(mac),
            client_id: None,
            hostname: name.map(Into::into),
            domain: None,
            source: if name.is_some() { IdentitySource::Nbns } else { IdentitySource::Arp },
        };
        let ts = Timestamp::from_secs(minute * 60);
        hosts.identified(ip, &identity, ts);
        hosts.seen(ip, ts)
    }

    #[test]
    fn an_asset_is_its_hardware_address_wherever_that_goes() {
        let mut hosts = hosts(&[(&["10.0.0.5"], &[A], "epp01")]);
        let first = arp(&mut hosts, "10.0.0.5", A, None, 0);
        let moved = arp(&mut hosts, "10.0.0.9", A, None, 10);
        let other = arp(&mut hosts, "10.0.0.5", B, None, 20);
        assert_eq!((first == moved, hosts.name(moved)), (true, Some("epp01")));
        assert_eq!(hosts.name(other), None, "another machine at its address is not it");
        let told: Vec<_> = hosts.disagreements().map(|d| (d.declared.as_str(), d.seen.as_str())).collect();
        assert_eq!(told, [("00:00:5e:00:53:0a", "00:00:5e:00:53:0b")]);
    }

    #[test]
    fn an_asset_that_is_an_address_keeps_it_whatever_the_wire_says() {
        let mut hosts = hosts(&[(&["10.0.0.5"], &[], "epp01")]);
        let fixed = arp(&mut hosts, "10.0.0.5", A, Some("EPP-ONE"), 0);
        let roaming = arp(&mut hosts, "10.0.0.7", B, None, 5);
        assert_eq!(arp(&mut hosts, "10.0.0.5", B, None, 10), fixed, "a machine of another address does not take it");
        assert_ne!(fixed, roaming);
        assert_eq!(hosts.name(fixed), Some("epp01"), "the declared name wins");
        let told: Vec<_> = hosts.disagreements().map(|d| (d.declared.as_str(), d.seen.as_str())).collect();
        assert_eq!(told, [("epp01", "epp-one")]);
    }

    #[test]
    fn what_a_flow_began_with_goes_on_when_the_address_is_anothers() {
        let mut hosts = hosts(&[]);
        let at = |minute: i64| Timestamp::from_secs(minute * 60);
        let ip: IpAddr = "10.0.0.5".parse().unwrap();
        let before = arp(&mut hosts, "10.0.0.5", A, None, 0);
        arp(&mut hosts, "10.0.0.6", B, None, 0);
        let after = arp(&mut hosts, "10.0.0.5", B, None, 10);
        assert_ne!(before, after);
        assert_eq!((hosts.at(ip, at(5), at(12)), hosts.at(ip, at(11), at(12))), (before, after));
        hosts.spoke(ip, at(5), at(12));
        assert_eq!(hosts.get(before).unwrap().last_seen, at(12));
    }
}
