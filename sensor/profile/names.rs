//! Which name led to this address: what each client was told by DNS, with its age, several names an address.
//!
//! A flow's own SNI or Host header wins over this memory; `profile::flows` keeps those. Where several names lead to one
//! address, which is usual with shared hosting, the memory gives all of them and never picks one: a wrong name accuses
//! somebody else.

use super::hosts::HostId;
use crate::base::{Budget, Capped, Table, Timestamp};
use crate::event::Resolution;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Names by address, for each client and for anyone.
#[derive(Debug)]
pub(super) struct NameMemory {
    by_client: Capped<(HostId, IpAddr), Heard>,
    by_anyone: Capped<IpAddr, Heard>,
    names: Capped<Arc<str>, ()>,
}

/// What an address was called, oldest first.
#[derive(Clone, Debug)]
struct Heard(Vec<Told>);

/// One answer.
#[derive(Clone, Debug)]
struct Told {
    name: Arc<str>,
    at: Timestamp,
    /// How long the answer may be used.
    ttl: Duration,
}

impl NameMemory {
    pub(super) fn new() -> Self {
        Self {
            by_client: Capped::new(Budget::new("names.by_client", MAX_PAIRS, 80)),
            by_anyone: Capped::new(Budget::new("names.by_anyone", MAX_ADDRESSES, 80)),
            names: Capped::new(Budget::new("names.names", MAX_ADDRESSES, 48)),
        }
    }

    /// One shared copy of a name, in lower case and without the trailing dot.
    pub(super) fn intern(&mut self, name: &str) -> Arc<str> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let lower;
        let name = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        if let Some(known) = self.names.key(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone(), ());
        name
    }

    /// Learns an answer given to `client`, when that is a host of the site.
    pub(super) fn learn(&mut self, client: Option<HostId>, told: &Resolution, ts: Timestamp) {
        if told.addresses.is_empty() {
            return;
        }
        let name = self.intern(&told.query);
        // An answer that goes through aliases may be used as long as its shortest part.
        let ttl = told.ttls.iter().min().map_or(Duration::ZERO, |ttl| Duration::from_secs((*ttl).into()));
        for ip in told.addresses.iter().take(MAX_ANSWERS) {
            let told = Told { name: name.clone(), at: ts, ttl };
            if let Some(client) = client {
                self.by_client.entry((client, *ip), Heard::new).add(told.clone());
            }
            self.by_anyone.entry(*ip, Heard::new).add(told);
        }
    }

    /// What `client` can have meant by `ip` at `now`: the names it was told that may still be used, else those of the last
    /// day, else what anybody was told (when look-ups are seen between resolver and outside only, the client is not the
    /// one who asked). Several names are several; newest last.
    pub(super) fn names(&self, client: Option<HostId>, ip: IpAddr, now: Timestamp) -> Vec<&Arc<str>> {
        let own = client.and_then(|client| self.by_client.get(&(client, ip))).map(|heard| heard.at(now));
        match own {
            Some(names) if !names.is_empty() => names,
            _ => self.by_anyone.get(&ip).map(|heard| heard.at(now)).unwrap_or_default(),
        }
    }

    /// The name, when there is no doubt about it.
    pub(super) fn name(&self, client: Option<HostId>, ip: IpAddr, now: Timestamp) -> Option<&Arc<str>> {
        match self.names(client, ip, now).as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// Whether anybody was told of `ip`, and `client` itself.
    pub(super) fn knows(&self, client: HostId, ip: IpAddr, now: Timestamp) -> bool {
        !self.names(Some(client), ip, now).is_empty()
    }

    /// What anybody was told an address is called, oldest first.
    pub(super) fn names_of(&self, ip: IpAddr) -> impl Iterator<Item = &str> {
        self.by_anyone.get(&ip).into_iter().flat_map(|heard| heard.0.iter().map(|told| &*told.name))
    }

    pub(super) fn tables(&self) -> [Table; 3] {
        [self.by_client.table(), self.by_anyone.table(), self.names.table()]
    }
}

impl Heard {
    /// Most addresses have one name.
    fn new() -> Self {
        Self(Vec::with_capacity(1))
    }

    fn add(&mut self, told: Told) {
        if let Some(last) = self.0.last_mut()
            && last.name == told.name
        {
            *last = told;
            return;
        }
        self.0.retain(|known| known.name != told.name);
        if self.0.len() >= MAX_NAMES_EACH {
            self.0.remove(0);
        }
        self.0.push(told);
    }

    fn at(&self, now: Timestamp) -> Vec<&Arc<str>> {
        let within = |most: fn(&Told) -> Duration| {
            let names = self.0.iter().filter(move |told| now.since(told.at) <= most(told));
            names.map(|told| &told.name).collect::<Vec<_>>()
        };
        let live = within(|told| told.ttl.max(LEAST_AGE));
        if live.is_empty() { within(|_| MAX_AGE) } else { live }
    }
}

/// Clients hold on to an answer a little longer than its TTL says, and a TTL of 0 is used once.
const LEAST_AGE: Duration = Duration::from_secs(60);
/// A client may keep an address this long after it asked; most caches end with the TTL, some programs never ask again.
const MAX_AGE: Duration = Duration::from_hours(24);
/// (client, address) pairs, some 150 bytes each. A name may be meant for a day; simulated hosts learn some ninety addresses
/// in one, and what is lost of those of this hour makes a destination nameless.
const MAX_PAIRS: usize = 1_000_000;
/// Addresses with names, over all clients.
const MAX_ADDRESSES: usize = 300_000;
/// Names an address is remembered by for one client.
const MAX_NAMES_EACH: usize = 4;
/// Addresses of one answer.
const MAX_ANSWERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ResolutionProtocol;

    #[test]
    fn names_grow_old_and_several_are_several() {
        let (a, b, server) = (Some(HostId(1)), Some(HostId(2)), "203.0.113.5".parse().unwrap());
        let mut memory = NameMemory::new();
        let at = Timestamp::from_secs;
        memory.learn(a, &answer("One.Example.", server, 300), at(0));
        memory.learn(a, &answer("two.example", server, 3600), at(10));
        for (what, client, now, expected) in [
            ("both may still be used", a, 20, vec!["one.example", "two.example"]),
            ("the first has run out", a, 1000, vec!["two.example"]),
            ("both have run out: either may be kept by a program", a, 5000, vec!["one.example", "two.example"]),
            ("what others were told, when nothing else is known", b, 1000, vec!["two.example"]),
            ("a day later", a, 86_411, vec![]),
        ] {
            let names: Vec<&str> = memory.names(client, server, at(now)).into_iter().map(|name| &**name).collect();
            assert_eq!(names, expected, "{what}");
            let only = (expected.len() == 1).then(|| expected[0]);
            assert_eq!(memory.name(client, server, at(now)).map(|n| &**n), only, "{what}");
        }
    }

    #[test]
    fn what_a_client_was_told_itself_comes_before_what_others_were() {
        let (a, b, server) = (Some(HostId(1)), Some(HostId(2)), "203.0.113.5".parse().unwrap());
        let mut memory = NameMemory::new();
        memory.learn(a, &answer("one.example", server, 60), Timestamp::from_secs(0));
        memory.learn(b, &answer("two.example", server, 60), Timestamp::from_secs(1));
        for (client, expected) in [(a, Some("one.example")), (b, Some("two.example")), (Some(HostId(3)), None)] {
            assert_eq!(memory.name(client, server, Timestamp::from_secs(2)).map(|n| &**n), expected, "{client:?}");
        }
    }

    fn answer(query: &str, ip: IpAddr, ttl: u32) -> Resolution {
        Resolution {
            asked: Timestamp(0),
            protocol: ResolutionProtocol::Dns,
            query: query.into(),
            qtype: "A".into(),
            rcode: Some("NOERROR".into()),
            answers: vec![ip.to_string().into()],
            addresses: vec![ip],
            ttls: vec![ttl],
            rtt: None,
            ech: vec![],
        }
    }
}
