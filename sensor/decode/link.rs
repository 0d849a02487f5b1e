//! Link layers: Ethernet and its tags, MPLS, PPPoE, PPP, LLC/SNAP, Linux cooked, loopback and raw IP; ARP.
//!
//! Read: IEEE 802.1Q, 802.1ad, 802.1AE, 802.2; RFC 3032 (MPLS), 4448 (Ethernet pseudowire), 2516 (PPPoE), 1661 and
//! 1662 (PPP), 8300 (NSH), 826 (ARP); <https://www.tcpdump.org/linktypes.html>.

use super::stats::{Cause, Reason};
use super::{Next, Walk, wireless};
use crate::base::Reader;
use crate::capture::LinkType;
use crate::event::{Identity, IdentitySource};
use std::net::{IpAddr, Ipv4Addr};

/// The first header of a frame.
pub(super) fn first<'a>(link: LinkType, bytes: &'a [u8], walk: &mut Walk<'a>) -> Result<Next<'a>, Cause> {
    match link {
        LinkType::ETHERNET => ethernet(bytes, walk),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => {
            Ok(Next::Ip(bytes))
        }
        LinkType::NULL | LinkType::LOOP => loopback(bytes, walk),
        LinkType::LINUX_SLL => cooked(bytes, walk),
        LinkType::LINUX_SLL2 => cooked2(bytes, walk),
        LinkType::PPP | PPP_HDLC => Ok(Next::Ppp(bytes)),
        PPP_ETHER => Ok(Next::Network(PPPOE_SESSION, bytes)),
        C_HDLC => cisco_hdlc(bytes, walk),
        IEEE802_11 => Ok(Next::Wireless(bytes)),
        PRISM | RADIOTAP | AVS => wireless::monitor(link, bytes, walk),
        PPI => per_packet_information(bytes, walk),
        NFLOG => nflog(bytes, walk),
        LinkType(other) => Err(Cause::numbered(Reason::LinkType, u32::from(other))),
    }
}

/// Ethernet II or 802.3.
pub(super) fn ethernet<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let header = r.skip(12).and_then(|()| r.u16());
    let ethertype = header.ok_or_else(|| walk.short(Reason::Ethernet))?;
    Ok(Next::Network(ethertype, r.rest()))
}

/// What follows an EtherType: tags, labels, PPPoE, LLC, ARP, IP.
pub(super) fn network<'a>(ethertype: u16, bytes: &'a [u8], walk: &mut Walk<'a>) -> Result<Next<'a>, Cause> {
    match ethertype {
        IPV4 | IPV6 => Ok(Next::Ip(bytes)),
        VLAN | QINQ | QINQ_OLD => vlan(bytes, walk),
        ARP => arp(bytes, walk),
        MPLS | MPLS_MULTICAST => mpls(bytes, walk),
        PPPOE_SESSION => pppoe(bytes, walk),
        TRANSPARENT_ETHERNET => Ok(Next::Ethernet(bytes)),
        MACSEC => macsec(bytes, walk),
        NSH => service_header(bytes, walk),
        // FabricPath: an outer Ethernet header and a tag around the frame.
        FABRIC_PATH => Ok(Next::Ethernet(bytes.get(2..).unwrap_or_default())),
        // IEEE 802.3 §3.2.6: up to 1500 it is a length; what lies between is undefined, as in Cisco's ISL.
        length if length <= MAX_802_3_LENGTH => llc(bytes.get(..usize::from(length)).unwrap_or(bytes), walk),
        other => Err(Cause::numbered(Reason::EtherType, u32::from(other))),
    }
}

/// PPP with or without address and control (RFC 1662 §3.1), the protocol field perhaps compressed (RFC 1661 §6.5).
pub(super) fn ppp<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    // Cisco's own framing comes under the same link type.
    if let [0x0f | 0x8f, 0, ..] = bytes {
        return cisco_hdlc(bytes, walk);
    }
    let bytes = bytes.strip_prefix(&[0xff, 0x03]).unwrap_or(bytes);
    let mut r = Reader::new(bytes);
    let high = r.u8().ok_or_else(|| walk.short(Reason::Ppp))?;
    let protocol = match high & 1 {
        1 => u16::from(high),
        _ => u16::from_be_bytes([high, r.u8().ok_or_else(|| walk.short(Reason::Ppp))?]),
    };
    match protocol {
        PPP_IPV4 | PPP_IPV6 => Ok(Next::Ip(r.rest())),
        PPP_MPLS => Ok(Next::Network(MPLS, r.rest())),
        other => Err(Cause::numbered(Reason::Ppp, u32::from(other))),
    }
}

/// One 802.1Q or 802.1ad tag. The outermost id and the innermost are kept, those of the outermost frame only.
fn vlan<'a>(bytes: &'a [u8], walk: &mut Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let (Some(tag), Some(ethertype)) = (r.u16(), r.u16()) else { return Err(walk.short(Reason::Vlan)) };
    if walk.carrier.is_none() {
        let id = Some(tag & 0x0fff);
        let [outer, inner] = &mut walk.vlan;
        *(if outer.is_none() { outer } else { inner }) = id;
    }
    Ok(Next::Network(ethertype, r.rest()))
}

/// A MACsec tag whose frame is authenticated but not encrypted (IEEE 802.1AE §9.3–9.9).
fn macsec<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let fixed = (r.u8(), r.u8(), r.u32());
    let (Some(control), Some(_length), Some(_number)) = fixed else { return Err(walk.short(Reason::Macsec)) };
    if control & 0x0c != 0 {
        return Err(Cause::new(Reason::Macsec));
    }
    if control & 0x20 != 0 {
        r.skip(8).ok_or_else(|| walk.short(Reason::Macsec))?;
    }
    let ethertype = r.u16().ok_or_else(|| walk.short(Reason::Macsec))?;
    Ok(Next::Network(ethertype, r.rest()))
}

/// RFC 8300 §2.2: the length counts words of four bytes, the base header included.
fn service_header<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let (Some(base), Some(_), Some(next)) = (r.u16(), r.u8(), r.u8()) else { return Err(walk.short(Reason::Nsh)) };
    let len = usize::from(base & 0x3f).saturating_mul(4);
    let rest = bytes.get(len.max(8)..).ok_or_else(|| walk.short(Reason::Nsh))?;
    match next {
        1 | 2 => Ok(Next::Ip(rest)),
        3 => Ok(Next::Ethernet(rest)),
        5 => Ok(Next::Network(MPLS, rest)),
        other => Err(Cause::numbered(Reason::Nsh, u32::from(other))),
    }
}

/// Labels up to the bottom of the stack, then what the first nibble says (RFC 4928 §3; RFC 4448 §4.6).
fn mpls<'a>(bytes: &'a [u8], walk: &mut Walk<'a>) -> Result<Next<'a>, Cause> {
    walk.labelled = true;
    let mut r = Reader::new(bytes);
    for _ in 0..MAX_LABELS {
        let label = r.u32().ok_or_else(|| walk.short(Reason::Mpls))?;
        if label & BOTTOM_OF_STACK == 0 {
            continue;
        }
        let rest = r.rest();
        let first = *rest.first().ok_or_else(|| walk.short(Reason::Mpls))?;
        return match first >> 4 {
            4 | 6 => Ok(Next::Ip(rest)),
            0 if is_ethernet(rest.get(4..).unwrap_or_default()) => {
                Ok(Next::Ethernet(rest.get(4..).unwrap_or_default()))
            }
            // A pseudowire without control word.
            _ if is_ethernet(rest) => Ok(Next::Ethernet(rest)),
            _ => Err(Cause::numbered(Reason::Pseudowire, label >> 12)),
        };
    }
    Err(Cause::malformed(Reason::Mpls))
}

/// Whether an Ethernet header with an EtherType we read may stand here.
pub(super) fn is_ethernet(bytes: &[u8]) -> bool {
    let mut r = Reader::new(bytes);
    let ethertype = r.skip(12).and_then(|()| r.u16());
    ethertype.is_some_and(|t| {
        matches!(t, IPV4 | IPV6 | VLAN | QINQ | QINQ_OLD | ARP | MPLS | MPLS_MULTICAST | PPPOE_SESSION)
    })
}

fn pppoe<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let header = (r.u8(), r.u8(), r.u16(), r.u16());
    let (Some(_), Some(code), Some(_session), Some(length)) = header else { return Err(walk.short(Reason::PppoeCode)) };
    match code {
        // RFC 2516 §6: session stage has code 0; the length excludes padding.
        0 => Ok(Next::Ppp(r.rest().get(..usize::from(length)).unwrap_or_else(|| r.rest()))),
        other => Err(Cause::numbered(Reason::PppoeCode, u32::from(other))),
    }
}

pub(super) fn llc<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let (Some(dsap), Some(ssap), Some(_control)) = (r.u8(), r.u8(), r.u8()) else {
        return Err(walk.short(Reason::Llc));
    };
    match (dsap, ssap) {
        (0xaa, 0xaa) => {
            let (Some(oui), Some(ethertype)) = (r.u24(), r.u16()) else { return Err(walk.short(Reason::Snap)) };
            match oui {
                // RFC 1042, and IEEE 802.1H's bridge tunnel.
                0x00_0000 | 0x00_00f8 => Ok(Next::Network(ethertype, r.rest())),
                other => Err(Cause::numbered(Reason::Snap, other)),
            }
        }
        // RFC 948: IP over 802.3 without SNAP.
        (0x06, 0x06) => Ok(Next::Ip(r.rest())),
        _ => Err(Cause::numbered(Reason::Llc, u32::from(dsap))),
    }
}

/// Linux cooked, version 1.
fn cooked<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let header = r.skip(14).and_then(|()| r.u16());
    let protocol = header.ok_or_else(|| walk.short(Reason::Ethernet))?;
    cooked_protocol(protocol, r.rest(), walk)
}

/// Linux cooked, version 2.
fn cooked2<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let protocol = r.u16().ok_or_else(|| walk.short(Reason::Ethernet))?;
    r.skip(18).ok_or_else(|| walk.short(Reason::Ethernet))?;
    cooked_protocol(protocol, r.rest(), walk)
}

/// Below 1536 the kernel's own numbers (`linux/if_ether.h`): 4 is LLC, the others are no IP.
fn cooked_protocol<'a>(protocol: u16, rest: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    match protocol {
        4 => llc(rest, walk),
        own if own <= MAX_802_3_LENGTH => Err(Cause::numbered(Reason::EtherType, u32::from(own))),
        ethertype => Ok(Next::Network(ethertype, rest)),
    }
}

/// BSD loopback: an address family in the byte order of the host that captured; only small numbers exist, so the
/// order shows.
fn loopback<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let family = r.u32().ok_or_else(|| walk.short(Reason::Family))?;
    let family = if family > u32::from(u16::MAX) { family.swap_bytes() } else { family };
    match family {
        // AF_INET; AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS.
        2 | 10 | 23 | 24 | 28 | 30 => Ok(Next::Ip(r.rest())),
        other => Err(Cause::numbered(Reason::Family, other)),
    }
}

/// PPI: a header that names the link type it stands before. Little-endian.
fn per_packet_information<'a>(bytes: &'a [u8], walk: &mut Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let fixed = (r.u16_le(), r.u16_le(), r.u32_le());
    let (Some(_version), Some(len), Some(link)) = fixed else { return Err(walk.short(Reason::LinkType)) };
    let rest = bytes.get(usize::from(len).max(8)..).ok_or_else(|| walk.short(Reason::LinkType))?;
    match u16::try_from(link).map(LinkType) {
        Ok(inner) if inner != PPI => first(inner, rest, walk),
        _ => Err(Cause::numbered(Reason::LinkType, link)),
    }
}

/// Linux's netfilter log: attributes in the byte order of the host that captured, one of them the packet.
fn nflog<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    r.skip(4).ok_or_else(|| walk.short(Reason::LinkType))?;
    for _ in 0..MAX_ATTRIBUTES {
        let (Some(len), Some(kind)) = (r.u16_le(), r.u16_le()) else { break };
        // Attribute numbers are small, so the order shows.
        let (len, kind) = if kind > 0xff { (len.swap_bytes(), kind.swap_bytes()) } else { (len, kind) };
        let len = usize::from(len).saturating_sub(4);
        if kind == NFLOG_PAYLOAD {
            return Ok(Next::Ip(r.rest().get(..len).unwrap_or_else(|| r.rest())));
        }
        if r.skip(len.saturating_add(3) & !3).is_none() {
            break;
        }
    }
    Err(walk.short(Reason::LinkType))
}

fn cisco_hdlc<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let header = r.skip(2).and_then(|()| r.u16());
    let protocol = header.ok_or_else(|| walk.short(Reason::Ethernet))?;
    Ok(Next::Network(protocol, r.rest()))
}

/// An ARP reply, or a gratuitous announcement, tells whose address it is (RFC 826; RFC 5227 §3).
fn arp<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let fixed = (r.u16(), r.u16(), r.u8(), r.u8(), r.u16());
    let (Some(hardware), Some(protocol), Some(hardware_len), Some(protocol_len), Some(operation)) = fixed else {
        return Err(walk.short(Reason::Arp));
    };
    // Hardware type 6 behind LLC/SNAP (RFC 1042, "Address Resolution Protocol").
    if (protocol, hardware_len, protocol_len) != (IPV4, 6, 4) || !matches!(hardware, 1 | 6) {
        return Err(Cause::malformed(Reason::Arp));
    }
    let addresses = (r.array::<6>(), r.array::<4>(), r.array::<6>(), r.array::<4>());
    let (Some(mac), Some(sender), Some(_), Some(target)) = addresses else { return Err(walk.short(Reason::Arp)) };
    let told = operation == ARP_REPLY || sender == target;
    if !told || sender == [0; 4] || mac == [0; 6] {
        return Err(Cause::new(Reason::ArpRequest));
    }
    let ip = IpAddr::V4(Ipv4Addr::from(sender));
    Ok(Next::Identity(identity(ip, mac, IdentitySource::Arp)))
}

/// An address with its hardware address.
pub(super) const fn identity(ip: IpAddr, mac: [u8; 6], source: IdentitySource) -> Identity {
    Identity { ip: Some(ip), side: None, mac: Some(mac), client_id: None, hostname: None, domain: None, source }
}

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const VLAN: u16 = 0x8100;
const IPV6: u16 = 0x86dd;
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
const QINQ: u16 = 0x88a8;
const MACSEC: u16 = 0x88e5;
const FABRIC_PATH: u16 = 0x8903;
const NSH: u16 = 0x894f;
const QINQ_OLD: u16 = 0x9100;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;
const PPP_MPLS: u16 = 0x0281;
const PPP_HDLC: LinkType = LinkType(50);
const PPP_ETHER: LinkType = LinkType(51);
const C_HDLC: LinkType = LinkType(104);
const IEEE802_11: LinkType = LinkType(105);
pub(super) const PRISM: LinkType = LinkType(119);
pub(super) const RADIOTAP: LinkType = LinkType(127);
pub(super) const AVS: LinkType = LinkType(163);
const PPI: LinkType = LinkType(192);
const NFLOG: LinkType = LinkType(239);
const NFLOG_PAYLOAD: u16 = 9;
/// The kernel writes about twenty kinds.
const MAX_ATTRIBUTES: usize = 64;
const ARP_REPLY: u16 = 2;
const MAX_802_3_LENGTH: u16 = 1500;
/// RFC 3032 sets no limit; no network stacks more than a few.
const MAX_LABELS: usize = 16;
const BOTTOM_OF_STACK: u32 = 0x100;
