//! The five-tuple as a key: both directions of a flow give the same one.

use crate::base::{Endpoint, Transport};
use crate::decode::Packet;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Canonical endpoint pair and transport. 38 bytes, so that a million of them stay small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey {
    a: [u8; 16],
    b: [u8; 16],
    a_port: u16,
    b_port: u16,
    transport: u8,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    /// One-way ICMP: the answer, if any, is another flow, so the order of the endpoints is part of the key.
    OneWay4,
    OneWay6,
}

/// Whether a packet travels from the key's first endpoint to its second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    AToB,
    BToA,
}

impl FlowKey {
    /// The key of a packet and which way along it the packet travels.
    pub(super) fn of(packet: &Packet<'_>) -> (Self, Sense) {
        let (src, dst) = (bytes(packet.src.ip), bytes(packet.dst.ip));
        let icmp = matches!(packet.transport, Transport::Icmp | Transport::Icmp6);
        let family = match (packet.src.ip.is_ipv4(), icmp && !packet.two_way) {
            (true, false) => Family::V4,
            (false, false) => Family::V6,
            (true, true) => Family::OneWay4,
            (false, true) => Family::OneWay6,
        };
        let ordered = (src, packet.src.port) <= (dst, packet.dst.port);
        let forward = ordered || matches!(family, Family::OneWay4 | Family::OneWay6);
        let ((a, a_port), (b, b_port)) = if forward {
            ((src, packet.src.port), (dst, packet.dst.port))
        } else {
            ((dst, packet.dst.port), (src, packet.src.port))
        };
        let key = Self { a, b, a_port, b_port, transport: packet.transport.number(), family };
        (key, if forward { Sense::AToB } else { Sense::BToA })
    }

    pub(super) fn a(&self) -> Endpoint {
        Endpoint::new(self.ip(self.a), self.a_port)
    }

    pub(super) fn b(&self) -> Endpoint {
        Endpoint::new(self.ip(self.b), self.b_port)
    }

    pub(super) const fn transport(&self) -> Transport {
        Transport::from_number(self.transport)
    }

    /// The key as words, for the uid.
    pub(super) fn words(&self) -> [u64; 5] {
        let half = |bytes: &[u8; 16]| {
            let all = u128::from_be_bytes(*bytes);
            [u64::try_from(all >> 64).unwrap_or(0), u64::try_from(all & u128::from(u64::MAX)).unwrap_or(0)]
        };
        let ([a, b], [c, d]) = (half(&self.a), half(&self.b));
        let rest = u64::from(self.a_port) << 32 | u64::from(self.b_port) << 16 | u64::from(self.transport) << 8;
        [a, b, c, d, rest | self.family as u64]
    }

    fn ip(&self, bytes: [u8; 16]) -> IpAddr {
        match self.family {
            Family::V4 | Family::OneWay4 => {
                let [a, b, c, d, ..] = bytes;
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            Family::V6 | Family::OneWay6 => IpAddr::V6(Ipv6Addr::from(bytes)),
        }
    }
}

/// In whole words: it is hashed for every packet.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().into_iter().for_each(|word| state.write_u64(word));
    }
}

/// Which of `shards` tables a packet belongs to: by host pair, so that all flows between two hosts meet.
pub(crate) fn shard(packet: &Packet<'_>, shards: usize) -> usize {
    if shards <= 1 {
        return 0;
    }
    let (src, dst) = (bytes(packet.src.ip), bytes(packet.dst.ip));
    let pair = if src <= dst { (src, dst) } else { (dst, src) };
    let hash = foldhash::fast::FixedState::default().hash_one(pair);
    usize::try_from(hash % u64::try_from(shards).unwrap_or(1)).unwrap_or(0)
}

fn bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}
