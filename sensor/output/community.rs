//! Community ID v1, seed 0: the same text for the same flow in every tool that speaks it
//! (<https://github.com/corelight/community-id-spec>).
//!
//! SHA-1 over seed, addresses, protocol and ports, the lower endpoint first. ICMP types that have an answering type
//! use both as ports and are ordered like any flow; other ICMP messages use type and code and keep their direction.

use crate::base::{Endpoint, Transport};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use std::net::IpAddr;

/// Appends `1:…` to `out`.
pub(super) fn write(out: &mut Vec<u8>, orig: Endpoint, resp: Endpoint, transport: Transport) {
    let (low, high) = if is_one_way(orig, transport) || orig <= resp { (orig, resp) } else { (resp, orig) };
    let (mut input, mut len) = ([0; LONGEST], SEED);
    let mut add = |bytes: &[u8]| {
        if let Some(place) = input.get_mut(len..len.saturating_add(bytes.len())) {
            place.copy_from_slice(bytes);
            len = len.saturating_add(bytes.len());
        }
    };
    for side in [low, high] {
        match side.ip {
            IpAddr::V4(ip) => add(&ip.octets()),
            IpAddr::V6(ip) => add(&ip.octets()),
        }
    }
    add(&[transport.number(), 0]);
    if !matches!(transport, Transport::Other(_)) {
        add(&low.port.to_be_bytes());
        add(&high.port.to_be_bytes());
    }
    let mut text = [0; ENCODED];
    if let Ok(len) = STANDARD.encode_slice(Sha1::digest(input.get(..len).unwrap_or_default()), &mut text) {
        out.extend_from_slice(b"1:");
        out.extend_from_slice(text.get(..len).unwrap_or_default());
    }
}

/// Two octets of zero.
const SEED: usize = 2;
/// Seed, two addresses of 16 octets, transport, padding, two ports.
const LONGEST: usize = SEED + 32 + 2 + 4;
/// Twenty octets in Base64.
const ENCODED: usize = 28;

/// Whether an ICMP message has no counterpart, by the type that the originator's port carries.
const fn is_one_way(orig: Endpoint, transport: Transport) -> bool {
    match transport {
        // Echo, router, timestamp, information and address mask (RFC 792, 1256, 950).
        Transport::Icmp => !matches!(orig.port, 0 | 8 | 9 | 10 | 13..=18),
        // Echo, multicast listener, router, neighbour, node information, home agent (RFC 4443, 2710, 4861, 4620, 6275).
        Transport::Icmp6 => !matches!(orig.port, 128..=131 | 133..=136 | 139 | 140 | 144 | 145),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_equal_those_of_the_specification() {
        // Values of the specification's reference implementation.
        for (what, orig, resp, transport, expected) in [
            (
                "TCP",
                ("128.232.110.120", 34855),
                ("66.35.250.204", 80),
                Transport::Tcp,
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                "TCP, turned round",
                ("66.35.250.204", 80),
                ("128.232.110.120", 34855),
                Transport::Tcp,
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            ("UDP", ("192.168.1.52", 54585), ("8.8.8.8", 53), Transport::Udp, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            ("SCTP", ("192.168.170.8", 7), ("192.168.170.56", 80), Transport::Sctp, "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="),
            ("ICMP echo", ("192.168.0.89", 8), ("192.168.0.1", 0), Transport::Icmp, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            (
                "ICMP echo reply",
                ("192.168.0.1", 0),
                ("192.168.0.89", 8),
                Transport::Icmp,
                "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=",
            ),
            (
                "ICMPv6 neighbour solicitation",
                ("fe80::200:86ff:fe05:80da", 135),
                ("fe80::260:97ff:fe07:69ea", 136),
                Transport::Icmp6,
                "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=",
            ),
            (
                "ICMP unreachable",
                ("192.168.0.89", 3),
                ("192.168.0.1", 1),
                Transport::Icmp,
                "1:LXCfhMUFbYXe+CEMrQuZCbiLY3o=",
            ),
            (
                "ICMP unreachable, the other way",
                ("192.168.0.1", 3),
                ("192.168.0.89", 1),
                Transport::Icmp,
                "1:o3zT92uTgnRWv/YrDVeXcWumpC4=",
            ),
            ("RSVP", ("10.1.24.4", 0), ("10.1.12.1", 0), Transport::Other(46), "1:/nQI4Rh/TtY3mf0R2gJFBkVlgS4="),
        ] {
            let end = |(ip, port): (&str, u16)| Endpoint::new(ip.parse().unwrap(), port);
            let mut out = Vec::new();
            write(&mut out, end(orig), end(resp), transport);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{what}");
        }
    }
}
