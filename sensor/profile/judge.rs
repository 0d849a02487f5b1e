//! Whom a flow to the outside is with: decided once, by the best name there is.

use super::activity::{Activity, CheckIn, Contact};
use super::{HostId, Profiles, SharedBy, Tenant, Tie};
use crate::base::Transport;
use crate::event::{FlowRecord, Uid};
use crate::intel::is_same;
use std::net::IpAddr;
use std::sync::Arc;

impl Profiles {
    /// Decides whom the flow is with, once; tells the contact and the signs of life that waited for it. A name that
    /// comes later moves a contact that nothing else has touched.
    pub(super) fn judge(&mut self, uid: Uid, out: &mut Vec<Activity>) {
        let said = self.flows.name_of(uid).map(|(name, _)| name.clone());
        let Some(flow) = self.flows.get_mut(uid) else { return };
        flow.host = if flow.tenant.is_none() { self.hosts.current(flow.host) } else { flow.host };
        let (host, resp, ts, transport) = (flow.host, flow.resp, flow.opened, flow.transport);
        let flow_via = flow.via;
        let before = flow.tenant;
        let wire = said.filter(|name| flow_via.is_some() || self.is_meant(host, name, resp.ip));
        if before.is_some() && wire.is_none() {
            return;
        }
        let asked: Vec<Arc<str>> = match &wire {
            Some(_) => Vec::new(),
            None => self.names.names(Some(host), resp.ip, ts).into_iter().cloned().collect(),
        };
        let several = asked.len() > 1;
        let own = self.hosts.address(host);
        if let (Some(own), true, None) = (own, wire.is_some(), flow_via) {
            let looked_up = self.names.knows(host, resp.ip, ts);
            self.visibility.named(host, own, looked_up);
        }
        let name = wire.or_else(|| asked.first().filter(|_| !several).cloned());
        let known = match asked.as_slice() {
            [_, _, ..] => self.tenants.of_any(&self.intel, &asked, resp.ip),
            _ => self.tenants.of(&self.intel, name.as_ref(), resp.ip),
        };
        let tenant = known.tenant;
        if before == Some(tenant) {
            return;
        }
        if let Some(old) = before
            && self.ties.get((host, old)).is_some_and(|tie| tie.flows == 1 && tie.is_first(uid))
        {
            self.ties.remove((host, old));
            self.tenants.unused(old, host);
            self.take_back(host, old);
            self.touch(host, Some(old));
        }
        let others = self.tenants.get(tenant).map_or(0, Tenant::used_by);
        let day = self.day(ts);
        let tied = self.ties.get((host, tenant)).is_some();
        let first = !tied && !self.habits.knows((host, tenant), day);
        let nameless = name.is_none() && !several;
        // What a proxy meets it meets for others, and they are told themselves.
        let for_others = self.shared_by(host) == Some(SharedBy::Proxy);
        let background = known.standing.is_background() || is_plumbing(transport, resp.port) || for_others;
        let frequented = background || self.is_frequented(others);
        let new = || Tie::new(ts, uid, (resp, transport), name.clone(), known.standing.clone());
        let tie = self.ties.entry((host, tenant), frequented, new);
        tie.add(ts, uid, resp, background);
        tie.several |= several;
        let counts = !background && std::mem::replace(&mut tie.day, day) != day;
        let rarity = if counts { self.meet(ts, (host, tenant), tied) } else { None };
        if let Some(kind) = known.standing.class.as_deref().filter(|_| counts) {
            self.hubs.used(host, kind, day);
        }
        if !background {
            self.went_out(host, ts, counts, nameless);
        }
        self.touch(host, Some(tenant));
        if first {
            self.tenants.used(tenant, host, ts);
            if !background {
                self.counts.firsts = self.counts.firsts.saturating_add(1);
                self.counts.lone_firsts = self.counts.lone_firsts.saturating_add(u64::from(others == 0));
                if let Some(host) = self.hosts.get_mut(host) {
                    host.firsts = host.firsts.saturating_add(1);
                    host.recent.push((ts, tenant));
                }
            }
        }
        if before.is_none() {
            self.counts.nameless_flows = self.counts.nameless_flows.saturating_add(u64::from(nameless));
            if let Some(own) = own.filter(|_| nameless && !is_plumbing(transport, resp.port)) {
                self.visibility.nameless(own);
            }
        }
        let standing = known.standing;
        out.push(Activity::Contact(Contact {
            ts,
            uid,
            host,
            resp,
            through: flow_via.and_then(|via| self.way_out(via)),
            tenant,
            name,
            several,
            standing,
            first,
            background,
            rarity,
        }));
        if let Some(flow) = self.flows.get_mut(uid) {
            let began = flow.tenant.replace(tenant).is_none().then_some((flow.opened, None));
            for (ts, moved) in began.into_iter().chain(std::mem::take(&mut flow.waiting)) {
                out.push(Activity::CheckIn(CheckIn { ts, host, tenant, moved }));
            }
        }
    }

    /// Whether a name that a client says can be where it goes. One of those that nobody looks twice at is believed, where
    /// look-ups are seen, of an address that is its provider's or was looked up by a name of its owner: saying it is
    /// anybody's.
    fn is_meant(&mut self, host: HostId, name: &Arc<str>, ip: IpAddr) -> bool {
        let known = self.tenants.of(&self.intel, Some(name), ip);
        !known.standing.is_background() || self.may_be_at(host, name, ip)
    }

    /// Whether nothing speaks against a name being where a client says it: the host's look-ups are not seen, the address is
    /// the name's provider's, or a name of its owner was found to lead there.
    pub(crate) fn may_be_at(&self, host: HostId, name: &str, ip: IpAddr) -> bool {
        if self.sees_lookups(host) != Some(true) {
            return true;
        }
        let (named, ranged) = (self.intel.place(Some(name), ip).provider, self.intel.place(None, ip).provider);
        let owner = self.intel.owner(name);
        named.zip(ranged).is_some_and(|(a, b)| is_same(a, b))
            || self.names.names_of(ip).any(|other| owner.is_some() && self.intel.owner(other) == owner)
    }
}

/// Look-ups and time: every host does them, and what they reach says little about intent.
pub(super) fn is_plumbing(transport: Transport, port: u16) -> bool {
    matches!((transport, port), (Transport::Udp | Transport::Tcp, 53) | (Transport::Udp, 123 | 3478))
}

/// Whether a flow over such a port is something else: much, and in no protocol known, where each message of the port's own
/// is recognised.
pub(super) fn is_no_plumbing(record: &FlowRecord) -> bool {
    let moved = record.counters.orig_bytes.saturating_add(record.counters.resp_bytes);
    let odd = record.transport == Transport::Udp && record.service.is_empty();
    odd && moved >= BULK_BYTES && is_plumbing(record.transport, record.resp.port)
}

/// As in `rules/protocol_mismatch.toml`.
const BULK_BYTES: u64 = 65_536;
