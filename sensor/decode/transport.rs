//! TCP, UDP, ICMP, ICMPv6 and SCTP headers → `Packet`. Other protocols make packets without ports.
//!
//! Checksums are not enforced. Headers inside ICMP errors are payload: they never make a flow.
//! Read: RFC 9293 §3.1, RFC 768, RFC 792, RFC 4443, RFC 4861 §4.3–4.4 (NDP), RFC 9260 §3.

use super::ip::Datagram;
use super::stats::{Cause, Reason};
use super::{Packet, Tcp, Walk, link};
use crate::base::{Endpoint, Reader, Transport};
use crate::event::{Identity, IdentitySource};
use etherparse::TcpHeaderSlice;
use std::net::{IpAddr, Ipv6Addr};

/// Reads the transport header of what an IP packet carries.
pub(super) fn decode<'a>(datagram: &Datagram<'a>, walk: &mut Walk<'a>) -> Result<Packet<'a>, Cause> {
    let transport = Transport::from_number(datagram.protocol);
    match transport {
        Transport::Tcp => tcp(datagram, walk),
        Transport::Udp => udp(datagram, walk),
        Transport::Icmp | Transport::Icmp6 => icmp(datagram, transport, walk),
        Transport::Sctp => {
            let ports = ports(datagram.body).ok_or_else(|| walk.short(Reason::Sctp))?;
            Ok(packet(datagram, walk, ports, SCTP_HEADER))
        }
        Transport::Other(_) => Ok(packet(datagram, walk, [0, 0], 0)),
    }
}

fn tcp<'a>(datagram: &Datagram<'a>, walk: &Walk<'a>) -> Result<Packet<'a>, Cause> {
    let (tcp, ports, header_len) = match TcpHeaderSlice::from_slice(datagram.body) {
        Ok(header) => {
            let flags = datagram.body.get(13).copied().unwrap_or(0);
            let tcp = Tcp {
                seq: header.sequence_number(),
                ack: header.acknowledgment_number(),
                window: header.window_size(),
                flags,
            };
            (tcp, [header.source_port(), header.destination_port()], header.slice().len())
        }
        // Cut by the snap length: what is there serves.
        Err(_) => cut_tcp(datagram.body).ok_or_else(|| walk.short(Reason::Tcp))?,
    };
    if u32::try_from(header_len).unwrap_or(u32::MAX) > datagram.body_len {
        return Err(Cause::malformed(Reason::Tcp));
    }
    Ok(Packet { tcp: Some(tcp), ..packet(datagram, walk, ports, header_len) })
}

/// The fields of a header of which at least the flags were captured.
fn cut_tcp(bytes: &[u8]) -> Option<(Tcp, [u16; 2], usize)> {
    let mut r = Reader::new(bytes);
    let ports = [r.u16()?, r.u16()?];
    let (seq, ack, offset, flags) = (r.u32()?, r.u32()?, r.u8()?, r.u8()?);
    let window = r.u16().unwrap_or(0);
    let header_len = usize::from(offset >> 4).saturating_mul(4);
    (header_len >= TCP_HEADER && header_len > bytes.len()).then_some((
        Tcp { seq, ack, window, flags },
        ports,
        header_len,
    ))
}

fn udp<'a>(datagram: &Datagram<'a>, walk: &Walk<'a>) -> Result<Packet<'a>, Cause> {
    let ports = ports(datagram.body).ok_or_else(|| walk.short(Reason::Udp))?;
    let mut packet = packet(datagram, walk, ports, UDP_HEADER);
    let mut r = Reader::new(datagram.body);
    let stated = r.skip(4).and_then(|()| r.u16()).and_then(|len| u32::from(len).checked_sub(8));
    // The IP length rules where the UDP length is zero (offload, RFC 2675) or beyond it.
    if let Some(stated) = stated.filter(|len| *len < packet.payload_len) {
        packet.payload_len = stated;
        packet.payload = cut(packet.payload, stated);
    }
    Ok(packet)
}

/// Type and code or counterpart stand for ports, as in Zeek.
fn icmp<'a>(datagram: &Datagram<'a>, transport: Transport, walk: &mut Walk<'a>) -> Result<Packet<'a>, Cause> {
    let mut r = Reader::new(datagram.body);
    let (Some(kind), Some(code)) = (r.u8(), r.u8()) else { return Err(walk.short(Reason::Icmp)) };
    let counterpart = match transport {
        Transport::Icmp => icmp4_counterpart(kind),
        _ => icmp6_counterpart(kind),
    };
    if transport == Transport::Icmp6 {
        walk.identity = neighbour(kind, datagram);
    }
    let ports = [u16::from(kind), u16::from(counterpart.unwrap_or(code))];
    Ok(Packet { two_way: counterpart.is_some(), ..packet(datagram, walk, ports, ICMP_HEADER) })
}

/// The type that answers, or asked for, this one (RFC 792, 950, 1256).
const fn icmp4_counterpart(kind: u8) -> Option<u8> {
    Some(match kind {
        0 => 8,
        8 => 0,
        9 => 10,
        10 => 9,
        13 => 14,
        14 => 13,
        15 => 16,
        16 => 15,
        17 => 18,
        18 => 17,
        _ => return None,
    })
}

/// The same for ICMPv6 (RFC 4443, 2710, 4861, 4620, 6275).
const fn icmp6_counterpart(kind: u8) -> Option<u8> {
    Some(match kind {
        128 => 129,
        129 => 128,
        130 => 131,
        131 => 130,
        133 => 134,
        134 => 133,
        135 => 136,
        136 => 135,
        139 => 140,
        140 => 139,
        144 => 145,
        145 => 144,
        _ => return None,
    })
}

/// Who an address is, told by a neighbour solicitation (its sender) or advertisement (its target).
fn neighbour(kind: u8, datagram: &Datagram<'_>) -> Option<Identity> {
    let wanted = match kind {
        NEIGHBOUR_SOLICITATION => SOURCE_LINK_LAYER,
        NEIGHBOUR_ADVERTISEMENT => TARGET_LINK_LAYER,
        _ => return None,
    };
    // RFC 4861 §7.1: what came through a router (hop limit below 255) must be discarded.
    if datagram.hop_limit != 255 {
        return None;
    }
    let mut r = Reader::new(datagram.body);
    r.skip(8)?;
    let target = IpAddr::V6(Ipv6Addr::from(r.array::<16>()?));
    let ip = if kind == NEIGHBOUR_ADVERTISEMENT { target } else { datagram.src };
    if ip.is_unspecified() {
        return None; // Duplicate address detection: nobody owns the address yet.
    }
    for _ in 0..MAX_OPTIONS {
        let (option, len) = (r.u8()?, r.u8()?);
        let mut value = r.sub(usize::from(len).checked_mul(8)?.checked_sub(2)?)?;
        if option == wanted {
            return Some(link::identity(ip, value.array::<6>()?, IdentitySource::Ndp));
        }
    }
    None
}

fn ports(bytes: &[u8]) -> Option<[u16; 2]> {
    let mut r = Reader::new(bytes);
    Some([r.u16()?, r.u16()?])
}

fn packet<'a>(datagram: &Datagram<'a>, walk: &Walk<'a>, [src, dst]: [u16; 2], header_len: usize) -> Packet<'a> {
    let body = datagram.body;
    let (header, payload) = body.split_at_checked(header_len).unwrap_or((body, &[]));
    Packet {
        ts: walk.ts,
        src: Endpoint::new(datagram.src, src),
        dst: Endpoint::new(datagram.dst, dst),
        transport: Transport::from_number(datagram.protocol),
        ip_len: datagram.ip_len,
        hop_limit: datagram.hop_limit,
        ip_id: datagram.id,
        tcp: None,
        header,
        payload,
        payload_len: datagram.body_len.saturating_sub(u32::try_from(header_len).unwrap_or(u32::MAX)),
        vlan: walk.vlan,
        tunnel: walk.tunnel,
        two_way: true,
        origin: walk.origin,
    }
}

/// The first `len` bytes, or all where fewer were captured.
fn cut(bytes: &[u8], len: u32) -> &[u8] {
    bytes.get(..usize::try_from(len).unwrap_or(usize::MAX)).unwrap_or(bytes)
}

const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
/// Type, code, checksum and the four bytes that every type has after them.
const ICMP_HEADER: usize = 8;
const SCTP_HEADER: usize = 12;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// RFC 4861 defines five options; a message carries two at most in practice.
const MAX_OPTIONS: usize = 16;
