//! Hosts of the site: since when they are known, what they are called, how often they meet something new.

use super::declared::{Declared, HostRole};
use super::tenants::TenantId;
use crate::base::{Capped, Ring, Timestamp};
use crate::event::IdentitySource;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// One host of the site.
#[derive(Clone, Debug)]
pub(crate) struct Host {
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
    held: Capped<IpAddr, Host>,
    declared: Arc<Declared>,
    /// Position of an address's declaration.
    declarations: BTreeMap<IpAddr, usize>,
}

impl Hosts {
    pub(super) fn new(declared: Arc<Declared>) -> Self {
        let all = declared.hosts.iter().enumerate().rev();
        let declarations = all.flat_map(|(at, host)| host.addresses.iter().map(move |ip| (*ip, at))).collect();
        Self { held: Capped::new(MAX_HOSTS), declared, declarations }
    }

    /// Notes that `ip` is alive.
    pub(super) fn seen(&mut self, ip: IpAddr, ts: Timestamp) -> &mut Host {
        let host = self.held.entry(ip, || Host {
            first_seen: ts,
            last_seen: ts,
            firsts: 0,
            recent: Ring::new(MAX_RECENT),
            name: None,
        });
        host.last_seen = host.last_seen.max(ts);
        host
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
        let host = self.seen(ip, ts);
        if host.name.as_ref().is_none_or(|(_, known)| *known <= rank) {
            host.name = Some((name, rank));
        }
    }

    pub(super) fn get(&self, ip: IpAddr) -> Option<&Host> {
        self.held.get(&ip)
    }

    /// What to call a host: as declared, else as it calls itself.
    pub(super) fn name(&self, ip: IpAddr) -> Option<&str> {
        let declared = self.declaration(ip).and_then(|host| host.name.as_deref());
        declared.or_else(|| self.get(ip)?.name.as_ref().map(|(name, _)| &**name))
    }

    /// Roles somebody declared.
    pub(super) fn roles(&self, ip: IpAddr) -> &[HostRole] {
        self.declaration(ip).map_or(&[], |host| &host.roles)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) const fn evicted(&self) -> u64 {
        self.held.evicted()
    }

    fn declaration(&self, ip: IpAddr) -> Option<&super::DeclaredHost> {
        self.declared.hosts.get(*self.declarations.get(&ip)?)
    }
}

/// The largest site the design plans for is 250,000 machines.
const MAX_HOSTS: usize = 300_000;
/// First contacts remembered with their moment: more than a browsing person makes in the longest join window.
const MAX_RECENT: usize = 64;
