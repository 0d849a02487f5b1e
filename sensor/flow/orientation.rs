//! Who began a flow, from its first packet: by flags where there are any, else by port. Zeek's rules, so that records
//! compare; where they guess, the confidence says so.

use super::tcp::{ACK, SYN};
use crate::base::Transport;
use crate::decode::Packet;
use std::net::IpAddr;

/// How sure it is who began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confidence {
    /// A SYN or its answer was seen, or the protocol has no such thing and this was the first packet.
    Certain,
    /// Midstream, told by a well-known port on one side.
    Port,
    /// Midstream, the first packet's sender.
    Guess,
}

impl Confidence {
    /// 0 to 1.
    pub(super) const fn value(self) -> f32 {
        match self {
            Self::Certain => 1.0,
            Self::Port => 0.8,
            Self::Guess => 0.5,
        }
    }
}

/// Whether the packet's sender began the flow, how sure that is, and whether it is the other way round than the
/// packet suggests.
pub(super) fn who_began(packet: &Packet<'_>) -> (bool, Confidence, bool) {
    let (src, dst) = (packet.src.port, packet.dst.port);
    match (packet.transport, packet.tcp) {
        (Transport::Tcp, Some(tcp)) if tcp.flags & SYN != 0 => match tcp.flags & ACK != 0 {
            false => (true, Confidence::Certain, false),
            true => (false, Confidence::Certain, true),
        },
        // Nobody but the sender speaks from such an address.
        (Transport::Udp, _) if is_everybody(packet.dst.ip) => (true, Confidence::Certain, false),
        (Transport::Tcp | Transport::Udp, _) => {
            let tcp = packet.transport == Transport::Tcp;
            match (is_service(src, tcp), is_service(dst, tcp)) {
                (true, false) => (false, Confidence::Port, true),
                (false, true) => (true, if tcp { Confidence::Port } else { Confidence::Certain }, false),
                _ => (true, if tcp { Confidence::Guess } else { Confidence::Certain }, false),
            }
        }
        // Oriented by the first packet, as Zeek does with ICMP.
        _ => (true, Confidence::Certain, false),
    }
}

/// Multicast, or the whole segment.
fn is_everybody(ip: IpAddr) -> bool {
    ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}

/// Ports that servers listen on: those whose protocols are parsed, and the common ones (Zeek's
/// `likely_server_ports`).
fn is_service(port: u16, tcp: bool) -> bool {
    if tcp { TCP_SERVICES.contains(&port) } else { UDP_SERVICES.contains(&port) }
}

const TCP_SERVICES: &[u16] = &[
    21, 22, 23, 25, 53, 80, 81, 88, 110, 135, 139, 143, 389, 443, 445, 465, 502, 563, 585, 587, 614, 631, 636, 989,
    990, 992, 993, 995, 1080, 1433, 1883, 3128, 3306, 3389, 5060, 5061, 5223, 5432, 5985, 5986, 6379, 6666, 6667, 6668,
    6669, 8000, 8080, 8443, 8888, 9200, 20000,
];
const UDP_SERVICES: &[u16] = &[
    53, 67, 69, 88, 123, 137, 161, 162, 389, 443, 500, 514, 1812, 1813, 3544, 4500, 5060, 5353, 5355, 5246, 5247, 51820,
];
