//! Which name led to this address: what each client was told by DNS, newest first, several names an address.
//!
//! A flow's own SNI or Host header wins over this memory; `profile::flows` keeps those.

use crate::base::{Budget, Capped, Table, Timestamp};
use crate::event::Resolution;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Names by address, for each client and for anyone.
#[derive(Debug)]
pub(super) struct NameMemory {
    by_client: Capped<(IpAddr, IpAddr), Heard>,
    by_anyone: Capped<IpAddr, Heard>,
    names: Capped<Arc<str>, ()>,
}

/// What an address was called, oldest first.
#[derive(Clone, Debug, Default)]
struct Heard(Vec<(Arc<str>, Timestamp)>);

impl NameMemory {
    pub(super) fn new() -> Self {
        Self {
            by_client: Capped::new(Budget::new("names.by_client", MAX_PAIRS, 96)),
            by_anyone: Capped::new(Budget::new("names.by_anyone", MAX_ADDRESSES, 96)),
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

    /// Learns an answer given to `client`.
    pub(super) fn learn(&mut self, client: IpAddr, told: &Resolution, ts: Timestamp) {
        if told.addresses.is_empty() {
            return;
        }
        let name = self.intern(&told.query);
        for ip in told.addresses.iter().take(MAX_ANSWERS) {
            self.by_client.entry((client, *ip), Heard::default).add(&name, ts);
            self.by_anyone.entry(*ip, Heard::default).add(&name, ts);
        }
    }

    /// The newest name `client` heard for `ip`, else the only one anybody heard lately: when look-ups are seen between
    /// resolver and outside only, the client is not the one who asked.
    pub(super) fn name(&self, client: IpAddr, ip: IpAddr, now: Timestamp) -> Option<&Arc<str>> {
        let fresh = |(_, at): &&(Arc<str>, Timestamp)| now.since(*at) <= MAX_AGE;
        if let Some(heard) = self.by_client.get(&(client, ip))
            && let Some((name, _)) = heard.0.last().filter(fresh)
        {
            return Some(name);
        }
        let heard = &self.by_anyone.get(&ip)?.0;
        match heard.as_slice() {
            [only] => Some(only).filter(fresh).map(|(name, _)| name),
            _ => None,
        }
    }

    /// What anybody was told an address is called, oldest first.
    pub(super) fn names_of(&self, ip: IpAddr) -> impl Iterator<Item = &str> {
        self.by_anyone.get(&ip).into_iter().flat_map(|heard| heard.0.iter().map(|(name, _)| &**name))
    }

    pub(super) fn tables(&self) -> [Table; 3] {
        [self.by_client.table(), self.by_anyone.table(), self.names.table()]
    }
}

impl Heard {
    fn add(&mut self, name: &Arc<str>, ts: Timestamp) {
        self.0.retain(|(known, _)| known != name);
        if self.0.len() >= MAX_NAMES_EACH {
            self.0.remove(0);
        }
        self.0.push((name.clone(), ts));
    }
}

/// A client may keep an address this long after it asked; most caches end with the TTL, some programs never ask again.
const MAX_AGE: Duration = Duration::from_hours(24);
/// (client, address) pairs: about 160 bytes each.
const MAX_PAIRS: usize = 200_000;
/// Addresses with names, over all clients.
const MAX_ADDRESSES: usize = 100_000;
/// Names an address is remembered by for one client.
const MAX_NAMES_EACH: usize = 4;
/// Addresses of one answer.
const MAX_ANSWERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ResolutionProtocol;

    #[test]
    fn the_newest_name_a_client_heard_wins_and_grows_old() {
        let (a, b, server): (IpAddr, IpAddr, IpAddr) =
            ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), "203.0.113.5".parse().unwrap());
        let mut names = NameMemory::new();
        let at = Timestamp::from_secs;
        names.learn(a, &answer("One.Example.", server), at(0));
        assert_eq!(names.name(b, server, at(1)).map(|n| &**n), Some("one.example"), "the only name anybody heard");
        names.learn(a, &answer("two.example", server), at(10));
        for (what, client, now, expected) in [
            ("the newest", a, 20, Some("two.example")),
            ("ambiguous for others", b, 20, None),
            ("a day later", a, 86_411, None),
        ] {
            assert_eq!(names.name(client, server, at(now)).map(|n| &**n), expected, "{what}");
        }
    }

    fn answer(query: &str, ip: IpAddr) -> Resolution {
        Resolution {
            asked: Timestamp(0),
            protocol: ResolutionProtocol::Dns,
            query: query.into(),
            qtype: "A".into(),
            rcode: Some("NOERROR".into()),
            answers: vec![ip.to_string().into()],
            addresses: vec![ip],
            ttls: vec![60],
            rtt: None,
        }
    }
}
