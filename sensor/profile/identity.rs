//! Which machine an address belongs to, and since when (`detection.md` §6).
//!
//! An address is held by one machine at a time. Evidence names a machine by a key; the key brings its machine along to a
//! new address, and a key that contradicts the holder takes the address away from it, so that two machines that swap an
//! address never mix. Weaker evidence against fresh stronger one is not believed, and counted. What was, stays: an
//! address has intervals, each with its machine and how sure that is.
//!
//! What a machine says of itself is believed as long as it takes nothing from others: it brings along no machine that is
//! heard elsewhere, and as long as the address was never silent for long, another name is the same machine's.
//!
//! A hardware address that shows on more addresses a day than a machine has is a router's and no key any more.
//! Limits: between a silent change of address and the first evidence of it, traffic is the former holder's. A name told
//! from an address of the other family joins that to the machine, unless it is heard at one of the family.

use super::held::{FLIP_WINDOW, Held, Interval, MAX_FLIPS, same_family};
use super::hosts::HostId;
use super::keys::{Grant, IdentityCounts, Join, Key, Trust, trust_of};
use crate::base::{Budget, Capped, Ring, Table, Timestamp};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is known of a machine.
#[derive(Clone, Debug, Default)]
struct Machine {
    mac: Option<[u8; 6]>,
    client: Option<Arc<str>>,
    label: Option<(Arc<str>, Trust)>,
    addresses: Vec<IpAddr>,
    /// New addresses of either family today.
    day: i64,
    came: [u8; 2],
    router: bool,
}

/// Addresses and machines.
#[derive(Debug)]
pub(super) struct Identities {
    held: Capped<IpAddr, Held>,
    past: Capped<IpAddr, Vec<Interval>>,
    machines: Capped<HostId, Machine>,
    /// `None` for a router's.
    by_mac: Capped<[u8; 6], Option<HostId>>,
    /// `None` for one that several machines have: they were copied from one image.
    by_client: Capped<Arc<str>, Option<HostId>>,
    /// `None` for a name that several machines have.
    by_label: Capped<Arc<str>, Option<HostId>>,
    next: u32,
    counts: IdentityCounts,
    joins: Ring<Join>,
    /// Addresses that evidence moved to and fro.
    unsteady: Ring<IpAddr>,
}

impl Identities {
    pub(super) fn new() -> Self {
        Self {
            held: Capped::new(Budget::new("identity.held", MAX_ADDRESSES, 0)),
            past: Capped::new(Budget::new("identity.past", MAX_PAST, 160)),
            machines: Capped::new(Budget::new("identity.machines", MAX_MACHINES, 96)),
            by_mac: Capped::new(Budget::new("identity.by_mac", MAX_MACHINES, 0)),
            by_client: Capped::new(Budget::new("identity.by_client", MAX_MACHINES, 48)),
            by_label: Capped::new(Budget::new("identity.by_label", MAX_MACHINES, 32)),
            next: 0,
            counts: IdentityCounts::default(),
            joins: Ring::new(MAX_TOLD),
            unsteady: Ring::new(MAX_TOLD),
        }
    }

    /// An id that nobody has had.
    pub(super) fn new_id(&mut self) -> HostId {
        let id = HostId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }

    /// The id that is given next.
    pub(super) const fn next_id(&self) -> u32 {
        self.next
    }

    /// Ids below this are given no more.
    pub(super) fn resume_at(&mut self, next: u32) {
        self.next = self.next.max(next);
    }

    /// Who holds `ip`. An address that its machine has left long since belongs to nobody.
    pub(super) fn holder(&mut self, ip: IpAddr, ts: Timestamp) -> Option<HostId> {
        let held = *self.held.get_mut(&ip)?;
        if held.trust > Trust::Address && ts.since(held.last) > LEFT && self.lives_elsewhere(&held, ip) {
            self.close(ip, held.last);
            return None;
        }
        Some(held.host)
    }

    /// Who held `ip` at `ts`.
    pub(super) fn holder_at(&self, ip: IpAddr, ts: Timestamp) -> Option<HostId> {
        if let Some(held) = self.held.get(&ip).filter(|held| held.from <= ts) {
            return Some(held.host);
        }
        let spans = self.past.get(&ip)?;
        spans.iter().rev().find(|span| span.from <= ts && ts <= span.to).map(|span| span.host)
    }

    /// Who holds `ip` as far as is known, whenever that was heard.
    pub(super) fn holder_of(&self, ip: IpAddr) -> Option<HostId> {
        self.held.get(&ip).map(|held| held.host)
    }

    /// Whether a key is known to be another machine's than the one that holds `ip`.
    pub(super) fn is_of_another(&mut self, key: &Key, ip: IpAddr, ts: Timestamp) -> bool {
        let owner = self.owner(key).flatten();
        owner.is_some() && owner != self.holder(ip, ts)
    }

    /// Notes that `ip` spoke.
    pub(super) fn spoke(&mut self, ip: IpAddr, ts: Timestamp) {
        if let Some(held) = self.held.get_mut(&ip) {
            held.heard(ts);
        }
    }

    /// An address of which nothing but its traffic is known is `host`'s.
    pub(super) fn settle(&mut self, ip: IpAddr, host: HostId, ts: Timestamp) {
        self.put(ip, host, Trust::Address, ts);
    }

    /// Takes in that `ip` has the machine of `key`. Gives back who holds the address now.
    pub(super) fn claim(&mut self, ip: IpAddr, key: &Key, grant: Grant, ts: Timestamp) -> Option<HostId> {
        let trust = trust_of(key);
        let known = self.owner(key);
        let holder = self.holder(ip, ts).and_then(|_| self.held.get(&ip).copied());
        if known == Some(None) {
            return holder.map(|held| held.host); // A router's, or everybody's: tells nobody.
        }
        if let Some(held) = holder.filter(|held| held.unsteady && grant != Grant::Leased) {
            return self.disbelieve(Some(held.host));
        }
        if grant == Grant::Told && known.flatten().is_some_and(|host| self.is_heard_elsewhere(host, ip, ts)) {
            return self.disbelieve(holder.map(|held| held.host));
        }
        let gives_way = holder.is_some_and(|held| held.trust <= trust || !held.is_fresh(ts));
        let contradicted = gives_way && holder.is_some_and(|held| known.flatten() != Some(held.host));
        let adopted = known.is_none() && holder.is_some_and(|held| self.adopts(&held, key, ts));
        let turns = match (key, self.held.get_mut(&ip)) {
            (Key::Label(name, _), Some(held)) if grant == Grant::Told => held.told(name, ts),
            _ => false,
        };
        if grant == Grant::Told && contradicted && !adopted && holder.is_some_and(Held::is_called) {
            if turns {
                self.give_up(ip, ts);
            }
            let holder = self.holder(ip, ts);
            return self.disbelieve(holder);
        }
        if contradicted && !adopted && holder.is_some_and(|h| h.trust == trust) && self.flips(ip, trust, ts) {
            return self.holder(ip, ts);
        }
        let (host, moved) = match (known.flatten(), holder) {
            (Some(host), Some(held)) if held.host == host => (host, false),
            (Some(host), Some(held)) if gives_way => {
                self.counts.conflicts = self.counts.conflicts.saturating_add(u64::from(held.trust > Trust::Address));
                self.close(ip, ts);
                self.inherit(held.host, host);
                (host, true)
            }
            (Some(host), None) => (host, true),
            (None, Some(held)) if adopted => (held.host, false),
            (None, Some(_)) if gives_way => {
                self.counts.conflicts = self.counts.conflicts.saturating_add(1);
                self.close(ip, ts);
                (self.new_id(), false)
            }
            (None, None) => (self.new_id(), false),
            (_, Some(held)) => return self.disbelieve(Some(held.host)),
        };
        let others = self.machines.get(&host).map_or(0, |m| m.addresses.iter().filter(|a| same_family(a, &ip)).count());
        self.counts.moves = self.counts.moves.saturating_add(u64::from(moved && others > 0));
        if grant == Grant::Leased {
            self.end_lease(host, ip, ts);
        }
        self.learn(host, key);
        self.put(ip, host, trust, ts);
        if let Some(held) = self.held.get_mut(&ip) {
            held.leased |= grant == Grant::Leased;
            if let Key::Label(name, _) = key {
                held.told(name, ts);
            }
        }
        self.holder(ip, ts)
    }

    /// A name for a hardware address whose own address is not known yet (a DHCP client's request).
    pub(super) fn name_mac(&mut self, mac: [u8; 6], label: &Arc<str>) {
        let known = self.by_mac.get_mut(&mac).copied();
        let host = match known {
            Some(Some(host)) => host,
            Some(None) => return,
            None => {
                let free = self.by_label.get(label).copied().flatten();
                let host = free.filter(|host| self.machines.get(host).is_some_and(|m| m.mac.is_none()));
                let host = host.unwrap_or_else(|| self.new_id());
                self.learn(host, &Key::Mac(mac));
                host
            }
        };
        let free = self.by_label.get(label).is_none();
        if free && self.machines.get(&host).is_some_and(|machine| machine.label.is_none()) {
            self.learn(host, &Key::Label(label.clone(), Trust::Name));
        }
    }

    /// A hardware address that routers share.
    pub(super) fn virtual_router(&mut self, ip: IpAddr, mac: [u8; 6], ts: Timestamp) {
        self.by_mac.insert(mac, None);
        if let Some(host) = self.holder(ip, ts) {
            self.machines.entry(host, Machine::default).router = true;
        }
    }

    /// Whether no key and no address tells of a machine any more.
    pub(super) fn is_nobody(&self, host: HostId) -> bool {
        let none = |m: &Machine| {
            m.mac.is_none() && m.client.is_none() && m.label.is_none() && m.addresses.is_empty() && !m.router
        };
        self.machines.get(&host).is_none_or(none)
    }

    #[cfg(test)]
    pub(super) fn is_router(&self, host: HostId) -> bool {
        self.machines.get(&host).is_some_and(|machine| machine.router)
    }

    /// The addresses a machine has now.
    pub(super) fn addresses(&self, host: HostId) -> &[IpAddr] {
        self.machines.get(&host).map_or(&[], |machine| &machine.addresses)
    }

    pub(super) fn mac(&self, host: HostId) -> Option<[u8; 6]> {
        self.machines.get(&host)?.mac
    }

    /// Whether a machine account was proved from it.
    pub(super) fn has_account(&self, host: HostId) -> bool {
        self.label_and_trust(host).is_some_and(|(_, trust)| trust == Trust::Account)
    }

    pub(super) fn client(&self, host: HostId) -> Option<&str> {
        self.machines.get(&host)?.client.as_deref()
    }

    pub(super) fn label(&self, host: HostId) -> Option<&str> {
        self.label_and_trust(host).map(|(label, _)| label)
    }

    /// A machine's name, and how that is known.
    pub(super) fn label_and_trust(&self, host: HostId) -> Option<(&str, Trust)> {
        self.machines.get(&host)?.label.as_ref().map(|(label, trust)| (&**label, *trust))
    }

    /// The best key a machine is known by.
    #[cfg(test)]
    pub(super) fn trust(&self, host: HostId) -> Trust {
        let Some(machine) = self.machines.get(&host) else { return Trust::Address };
        let label = machine.label.as_ref().map_or(Trust::Address, |(_, trust)| *trust);
        let client = if machine.client.is_some() { Trust::Client } else { Trust::Address };
        if machine.mac.is_some() { Trust::Mac } else { label.max(client) }
    }

    /// The intervals of an address, oldest first; the last is the one under way.
    #[cfg(test)]
    pub(super) fn intervals(&self, ip: IpAddr) -> Vec<Interval> {
        let mut spans = self.past.get(&ip).cloned().unwrap_or_default();
        let now = |h: &Held| Interval { host: h.host, from: h.from, to: h.last, trust: h.trust };
        spans.extend(self.held.get(&ip).map(now));
        spans
    }

    pub(super) fn joins(&self) -> impl Iterator<Item = &Join> {
        self.joins.iter()
    }

    /// Addresses that evidence moved to and fro: several machines are behind them.
    pub(super) fn unsteady(&self) -> impl Iterator<Item = &IpAddr> {
        self.unsteady.iter()
    }

    pub(super) const fn counts(&self) -> IdentityCounts {
        self.counts
    }

    pub(super) fn tables(&self) -> [Table; 6] {
        let Self { held, past, machines, by_mac, by_client, by_label, .. } = self;
        [held.table(), past.table(), machines.table(), by_mac.table(), by_client.table(), by_label.table()]
    }

    /// `Some(None)` for a key that tells nobody.
    fn owner(&mut self, key: &Key) -> Option<Option<HostId>> {
        match key {
            Key::Mac(mac) => self.by_mac.get_mut(mac).copied(),
            Key::Client(id) => self.by_client.get_mut(id).copied(),
            Key::Label(label, _) => self.by_label.get_mut(label).copied(),
        }
    }

    /// Equal evidence may move an address a few times; what goes to and fro is several machines', and none's.
    fn flips(&mut self, ip: IpAddr, trust: Trust, ts: Timestamp) -> bool {
        let lately = |span: &&Interval| span.trust == trust && ts.since(span.to) <= FLIP_WINDOW;
        let flips = self.past.get(&ip).map_or(0, |spans| spans.iter().filter(lately).count());
        if flips < MAX_FLIPS {
            return false;
        }
        self.give_up(ip, ts);
        true
    }

    /// An address is several machines', and none's.
    fn give_up(&mut self, ip: IpAddr, ts: Timestamp) {
        self.close(ip, ts);
        let nobody = self.new_id();
        self.put(ip, nobody, Trust::Address, ts);
        if let Some(held) = self.held.get_mut(&ip) {
            held.unsteady = true;
        }
        if !self.unsteady.iter().any(|known| *known == ip) {
            self.unsteady.push(ip);
        }
    }

    /// Counts evidence that changes nothing; who holds the address stays.
    pub(super) const fn disbelieve(&mut self, holder: Option<HostId>) -> Option<HostId> {
        self.counts.disbelieved = self.counts.disbelieved.saturating_add(1);
        holder
    }

    /// Whether the holder may be the machine of a key nobody has: it has none of that kind and was there just now.
    fn adopts(&self, held: &Held, key: &Key, ts: Timestamp) -> bool {
        let machine = self.machines.get(&held.host);
        let free = machine.is_none_or(|machine| match key {
            Key::Mac(_) => machine.mac.is_none(),
            Key::Client(_) => machine.client.is_none(),
            Key::Label(_, trust) => match &machine.label {
                None => true,
                // A machine known by its hardware address may get another account: it was renamed.
                Some(_) => held.trust == Trust::Mac && *trust == Trust::Account && held.is_fresh(ts),
            },
        });
        free && held.is_occupied(ts)
    }

    /// A machine that was known by less and holds nothing any more was the one that took its address.
    fn inherit(&mut self, from: HostId, to: HostId) {
        let Some(left) =
            self.machines.get(&from).filter(|m| m.addresses.is_empty() && m.mac.is_none() && m.client.is_none())
        else {
            return;
        };
        let Some((label, trust)) = left.label.clone() else { return };
        if self.machines.get(&to).is_some_and(|machine| machine.label.is_none()) {
            self.machines.remove(&from);
            self.learn(to, &Key::Label(label, trust));
        }
    }

    fn learn(&mut self, host: HostId, key: &Key) {
        let machine = self.machines.entry(host, Machine::default);
        match key {
            Key::Mac(mac) => {
                machine.mac = Some(*mac);
                self.by_mac.insert(*mac, Some(host));
            }
            Key::Client(id) => {
                machine.client = Some(id.clone());
                self.by_client.insert(id.clone(), Some(host));
            }
            Key::Label(label, trust) => {
                let before = machine.label.take();
                let trust =
                    before.as_ref().filter(|(known, _)| known == label).map_or(*trust, |(_, t)| (*t).max(*trust));
                machine.label = Some((label.clone(), trust));
                if let Some((old, _)) = before.filter(|(old, _)| old != label) {
                    self.by_label.remove(&old);
                }
                self.by_label.insert(label.clone(), Some(host));
            }
        }
    }

    fn put(&mut self, ip: IpAddr, host: HostId, trust: Trust, ts: Timestamp) {
        let held = self.held.entry(ip, || Held::new(host, trust, ts));
        held.heard(ts);
        held.vouch(trust, ts);
        let machine = self.machines.entry(host, Machine::default);
        if machine.addresses.contains(&ip) {
            return;
        }
        if machine.day != ts.utc_day() {
            (machine.day, machine.came) = (ts.utc_day(), [0; 2]);
        }
        let [v4, v6] = &mut machine.came;
        let (came, most) = if ip.is_ipv4() { (v4, MAX_V4_A_DAY) } else { (v6, MAX_V6_A_DAY) };
        *came = came.saturating_add(1);
        let many = *came > most;
        let other = machine.addresses.iter().find(|known| !same_family(known, &ip)).copied();
        let first = other.is_some() && !machine.addresses.iter().any(|known| same_family(known, &ip));
        if machine.addresses.len() < MAX_EACH {
            machine.addresses.push(ip);
        }
        if many {
            self.revoke(host, trust, ts);
        } else if let (true, Some(other)) = (first, other) {
            let (v4, v6) = if ip.is_ipv4() { (ip, other) } else { (other, ip) };
            self.counts.joined = self.counts.joined.saturating_add(1);
            self.joins.push(Join { v4, v6, trust });
        }
    }

    /// The key that brought more addresses than a machine has is a router's, or everybody's; its addresses are their own.
    fn revoke(&mut self, host: HostId, trust: Trust, ts: Timestamp) {
        let Some(machine) = self.machines.get_mut(&host) else { return };
        if trust == Trust::Mac {
            machine.router = true;
            if let Some(mac) = machine.mac.take() {
                self.by_mac.insert(mac, None);
            }
        } else if trust == Trust::Client {
            if let Some(id) = machine.client.take() {
                self.by_client.insert(id, None);
            }
        } else if let Some((label, _)) = machine.label.take() {
            self.by_label.insert(label, None);
        }
        let Some(machine) = self.machines.get(&host) else { return };
        for ip in machine.addresses.clone().into_iter().skip(1) {
            self.close(ip, ts);
        }
    }

    /// Ends the lease a machine had before the one of `ip`.
    fn end_lease(&mut self, host: HostId, ip: IpAddr, ts: Timestamp) {
        let Some(machine) = self.machines.get(&host) else { return };
        let leased = |other: &IpAddr| self.held.get(other).is_some_and(|held| held.leased && held.host == host);
        let ended: Vec<_> =
            machine.addresses.iter().filter(|a| **a != ip && same_family(a, &ip) && leased(a)).copied().collect();
        ended.into_iter().for_each(|old| self.close(old, ts));
    }

    /// Ends the interval under way.
    fn close(&mut self, ip: IpAddr, ts: Timestamp) {
        let Some(held) = self.held.remove(&ip) else { return };
        if let Some(machine) = self.machines.get_mut(&held.host) {
            machine.addresses.retain(|known| *known != ip);
        }
        let spans = self.past.entry(ip, Vec::new);
        if spans.len() >= MAX_INTERVALS {
            spans.remove(0);
        }
        spans.push(Interval { host: held.host, from: held.from, to: ts.max(held.from), trust: held.trust });
    }

    /// The machine does not have this address, and was heard at another of the family just now.
    fn is_heard_elsewhere(&self, host: HostId, ip: IpAddr, ts: Timestamp) -> bool {
        let addresses = self.addresses(host);
        let others = addresses.iter().filter(|other| same_family(other, &ip)).filter_map(|other| self.held.get(other));
        !addresses.contains(&ip) && others.into_iter().any(|other| ts.since(other.last) <= HEARD)
    }

    /// The machine was seen at another address of the family since it was last heard at this one.
    fn lives_elsewhere(&self, held: &Held, ip: IpAddr) -> bool {
        let others = self.addresses(held.host).iter().filter(|other| **other != ip && same_family(other, &ip));
        others.filter_map(|other| self.held.get(other)).any(|other| other.last > held.last)
    }
}

/// A machine heard this lately is still where it was: what changes networks is silent for a moment, and tells its name
/// again and again.
const HEARD: Duration = Duration::from_mins(10);
/// An address not heard of for this long, whose machine is heard elsewhere, is free.
const LEFT: Duration = Duration::from_hours(24);
/// `detection.md` §6: a hardware address of more is a router's.
const MAX_V4_A_DAY: u8 = 8;
/// RFC 8981 keeps up to seven temporary addresses a prefix beside the stable one; four prefixes are many.
const MAX_V6_A_DAY: u8 = 32;
/// Addresses a machine is remembered with.
const MAX_EACH: usize = 40;
/// Machines: the largest site the design plans for is 250,000; some 100 bytes each.
const MAX_MACHINES: usize = 300_000;
/// Addresses held: a machine has two or three, 72 bytes each.
const MAX_ADDRESSES: usize = 500_000;
/// Addresses with a past, and intervals of each, 32 bytes each.
const MAX_PAST: usize = 100_000;
const MAX_INTERVALS: usize = 8;
/// Joins and unsteady addresses told by name.
const MAX_TOLD: usize = 64;

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
