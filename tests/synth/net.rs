//! Ethernet, ARP, IPv4, IPv6, UDP and TCP segments with right checksums, and the wire that collects them.
//!
//! The sensor sits on the switch of the network of the endpoints: hosts of one /24 see each other's hardware
//! addresses, everything else comes from the router, one hop older.

use super::random::Random;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Nanoseconds since the epoch: the only clock here.
pub(crate) type Nanos = u64;

/// One millisecond.
pub(crate) const MS: Nanos = 1_000_000;
/// One second.
pub(crate) const SECOND: Nanos = 1_000_000_000;
/// One minute.
pub(crate) const MINUTE: Nanos = 60 * SECOND;
/// One hour.
pub(crate) const HOUR: Nanos = 60 * MINUTE;
/// Tuesday, 3 March 2026, 09:00 in Tokyo.
pub(crate) const MORNING: Nanos = 1_772_496_000 * SECOND;

/// IANA protocol number of IP in IP (RFC 2003).
pub(crate) const IPIP: u8 = 4;
/// RFC 9293.
pub(crate) const TCP: u8 = 6;
/// RFC 768.
pub(crate) const UDP: u8 = 17;
/// RFC 2784.
pub(crate) const GRE: u8 = 47;

/// EtherTypes.
pub(crate) const IPV4: u16 = 0x0800;
/// RFC 826.
pub(crate) const ARP: u16 = 0x0806;
/// RFC 2464.
pub(crate) const IPV6: u16 = 0x86dd;

/// The router's hardware address on every network.
pub(crate) const ROUTER: [u8; 6] = [0x00, 0x00, 0x5e, 0x00, 0x53, 0xfe];

/// A machine somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Its address.
    pub(crate) ip: IpAddr,
    /// Hops left in what it sends, as the sensor sees it.
    pub(crate) ttl: u8,
}

impl Host {
    /// A Windows machine inside.
    pub(crate) fn inside(ip: [u8; 4]) -> Self {
        Self { ip: IpAddr::V4(ip.into()), ttl: 128 }
    }

    /// A machine on the Internet, about ten hops away.
    pub(crate) fn outside(ip: [u8; 4]) -> Self {
        Self { ip: IpAddr::V4(ip.into()), ttl: 48 + ip[3] % 8 }
    }

    /// A machine with an IPv6 address.
    pub(crate) fn v6(ip: &str) -> Self {
        Self { ip: IpAddr::V6(ip.parse().expect("a literal address")), ttl: 64 }
    }

    /// Whether this is the sensor's own site (RFC 1918, RFC 4193; `2001:db8:20::/48` stands for ours).
    pub(crate) fn is_inside(&self) -> bool {
        match self.ip {
            IpAddr::V4(ip) => ip.is_private(),
            IpAddr::V6(ip) => ip.segments()[..3] == [0x2001, 0xdb8, 0x20] || ip.is_unique_local(),
        }
    }

    /// Documentation hardware addresses (RFC 7042 §2.1.2): workstations by their last octet, servers above them.
    pub(crate) fn mac(&self) -> [u8; 6] {
        let last = match self.ip {
            IpAddr::V4(ip) => match ip.octets() {
                [_, _, 0, host] => 0x80 | host,
                [.., host] => host,
            },
            IpAddr::V6(ip) => ip.octets()[15],
        };
        [0x00, 0x00, 0x5e, 0x00, 0x53, last]
    }

    fn same_network(&self, other: &Self) -> bool {
        match (self.ip, other.ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
            (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
            _ => false,
        }
    }

    /// Whether the sensor's switch is this one's rather than the other's: a workstation's before a server's.
    fn nearer_than(&self, other: &Self) -> bool {
        let rank = |h: &Self| match h.ip {
            IpAddr::V4(ip) if ip.is_private() => 1 + u8::from(ip.octets()[2] != 0),
            IpAddr::V6(_) if h.is_inside() => 2,
            _ => 0,
        };
        rank(self) > rank(other)
    }
}

/// One captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// When the sensor saw it.
    pub(crate) ts: Nanos,
    /// Everything from the link header on.
    pub(crate) bytes: Vec<u8>,
}

/// What one capture will hold, and the state that machines keep between packets.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Frames so far; sorted by [`Wire::finish`].
    pub(crate) frames: Vec<Frame>,
    /// Decides all that is left to chance.
    pub(crate) random: Random,
    ids: BTreeMap<IpAddr, u16>,
    ports: BTreeMap<IpAddr, u16>,
    /// Machines that have other addresses than they began with.
    moved: BTreeMap<IpAddr, [u8; 6]>,
}

impl Wire {
    /// An empty wire.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            frames: Vec::new(),
            random: Random::new(seed),
            ids: BTreeMap::new(),
            ports: BTreeMap::new(),
            moved: BTreeMap::new(),
        }
    }

    /// The hardware address of whoever has the address now.
    pub(crate) fn mac(&self, host: &Host) -> [u8; 6] {
        self.moved.get(&host.ip).copied().unwrap_or_else(|| host.mac())
    }

    /// Whoever has the address from now on has this hardware address.
    pub(crate) fn become_known(&mut self, host: &Host, mac: [u8; 6]) {
        self.moved.insert(host.ip, mac);
    }

    /// From now on the machines of two addresses have each other's.
    pub(crate) fn swap(&mut self, a: &Host, b: &Host) {
        let (of_a, of_b) = (self.mac(a), self.mac(b));
        self.moved.insert(a.ip, of_b);
        self.moved.insert(b.ip, of_a);
    }

    /// The next ephemeral port of a machine (IANA's range, as Windows uses it).
    pub(crate) fn port(&mut self, host: &Host) -> u16 {
        let next = self.ports.entry(host.ip).or_insert_with(|| 49_152 + mix(host.ip) % 4_000);
        *next = if *next >= 65_000 { 49_152 } else { *next + 1 };
        *next
    }

    /// An IP packet from one machine to another, with the sender's next identification.
    pub(crate) fn ip(&mut self, src: &Host, dst: &Host, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let id = self.ids.entry(src.ip).or_insert_with(|| mix(src.ip));
        *id = id.wrapping_add(1);
        let routed = src.is_inside() && !src.same_network(dst) && dst.is_inside() && !src.nearer_than(dst);
        ip(src.ip, dst.ip, protocol, src.ttl - u8::from(routed), *id, payload)
    }

    /// A frame that carries `packet` from `src` to `dst` on the sensor's network.
    pub(crate) fn send(&mut self, ts: Nanos, src: &Host, dst: &Host, packet: &[u8]) {
        let (from, to) = if src.same_network(dst) {
            (self.mac(src), self.mac(dst))
        } else if src.nearer_than(dst) {
            (self.mac(src), ROUTER)
        } else {
            (ROUTER, self.mac(dst))
        };
        let kind = if src.ip.is_ipv4() { IPV4 } else { IPV6 };
        self.push(ts, ethernet(from, to, kind, packet));
    }

    /// A UDP datagram.
    pub(crate) fn udp(&mut self, ts: Nanos, src: (&Host, u16), dst: (&Host, u16), payload: &[u8]) {
        let datagram = udp(src.0.ip, dst.0.ip, src.1, dst.1, payload);
        let packet = self.ip(src.0, dst.0, UDP, &datagram);
        self.send(ts, src.0, dst.0, &packet);
    }

    /// Any frame.
    pub(crate) fn push(&mut self, ts: Nanos, bytes: Vec<u8>) {
        self.frames.push(Frame { ts, bytes });
    }

    /// The frames in time order; equal times keep the order in which they were made.
    pub(crate) fn finish(mut self) -> Vec<Frame> {
        self.frames.sort_by_key(|f| f.ts);
        self.frames
    }
}

/// A number of a machine's own, to start counters from.
fn mix(ip: IpAddr) -> u16 {
    let bits = match ip {
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip) as u64,
    };
    Random::new(bits).next() as u16
}

/// An Ethernet II frame, padded to the least length.
pub(crate) fn ethernet(src: [u8; 6], dst: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = [&dst[..], &src, &kind.to_be_bytes(), payload].concat();
    // IEEE 802.3 §4.4.2: 64 bytes with the check sequence, which captures leave out.
    out.resize(out.len().max(60), 0);
    out
}

/// An ARP message (RFC 826); `operation` 1 asks, 2 answers.
pub(crate) fn arp(operation: u16, sender: ([u8; 6], Ipv4Addr), target: ([u8; 6], Ipv4Addr)) -> Vec<u8> {
    let to = if operation == 1 { [0xff; 6] } else { target.0 };
    let body = [
        &[0, 1, 8, 0, 6, 4][..], // Ethernet, IPv4, lengths of both.
        &operation.to_be_bytes(),
        &sender.0,
        &sender.1.octets(),
        &target.0,
        &target.1.octets(),
    ]
    .concat();
    ethernet(sender.0, to, ARP, &body)
}

/// An IPv4 or IPv6 packet, whichever the addresses are.
pub(crate) fn ip(src: IpAddr, dst: IpAddr, protocol: u8, ttl: u8, id: u16, payload: &[u8]) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            // A lone packet, "don't fragment" as every modern stack sends it, except where ICMP and fragments need it.
            ipv4(src, dst, protocol, ttl, id, 0x4000, payload)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => ipv6(src, dst, protocol, ttl, payload),
        _ => panic!("{src} and {dst} are of two families"),
    }
}

/// An IPv4 packet; `fragment` holds the flags and the offset in units of eight (RFC 791 §3.1).
pub(crate) fn ipv4(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    ttl: u8,
    id: u16,
    fragment: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    header.extend_from_slice(&id.to_be_bytes());
    header.extend_from_slice(&fragment.to_be_bytes());
    header.extend_from_slice(&[ttl, protocol, 0, 0]);
    header.extend_from_slice(&src.octets());
    header.extend_from_slice(&dst.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend_from_slice(payload);
    header
}

/// An IPv6 packet without extension headers.
pub(crate) fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, next: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    out.extend_from_slice(&[next, hops]);
    out.extend_from_slice(&src.octets());
    out.extend_from_slice(&dst.octets());
    out.extend_from_slice(payload);
    out
}

/// A UDP datagram (RFC 768).
pub(crate) fn udp(src: IpAddr, dst: IpAddr, from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + payload.len());
    out.extend_from_slice(&from.to_be_bytes());
    out.extend_from_slice(&to.to_be_bytes());
    out.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(payload);
    // RFC 768: a sum of zero is sent as all ones.
    let sum = match transport_checksum(src, dst, UDP, &out) {
        0 => 0xffff,
        sum => sum,
    };
    out[6..8].copy_from_slice(&sum.to_be_bytes());
    out
}

/// The checksum over pseudo-header and segment (RFC 9293 §3.1, RFC 8200 §8.1).
pub(crate) fn transport_checksum(src: IpAddr, dst: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let length = (segment.len() as u32).to_be_bytes();
    let tail = [0, 0, 0, protocol];
    match (src, dst) {
        (IpAddr::V4(a), IpAddr::V4(b)) => checksum(&[&a.octets(), &b.octets(), &length, &tail, segment]),
        (IpAddr::V6(a), IpAddr::V6(b)) => checksum(&[&a.octets(), &b.octets(), &length, &tail, segment]),
        _ => panic!("{src} and {dst} are of two families"),
    }
}

/// The Internet checksum (RFC 1071) of parts, all but the last of even length.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
