//! Tunnels: what an IP protocol or a UDP port wraps around another packet. One layer at a time.
//!
//! A UDP port alone proves nothing, so those tunnels are opened only when the header inside holds together (version,
//! lengths, EtherType); else the datagram stands for itself. Read: RFC 2784, 2890 (GRE), 2637 §4.1 (PPTP), 2003, 4213
//! (IP in IP), 3378 (EtherIP), 4023 (MPLS in IP), 7348 (VXLAN), 8926 (Geneve), 4380 §5.1.1 (Teredo);
//! draft-foschiano-erspan-03; 3GPP TS 29.281 §5 (GTP-U).

use super::ip::Datagram;
use super::{Next, Packet, link};
use crate::base::{Reader, Transport};
use crate::event::Layer;

/// A tunnel that was opened.
pub(super) struct Opened<'a> {
    /// One layer, two where a tunnel rides in a tunnel's own framing (PPP in GRE).
    pub(super) layers: [Option<Layer>; 2],
    pub(super) inner: Next<'a>,
}

impl<'a> Opened<'a> {
    const fn one(name: &'static str, id: Option<u32>, inner: Next<'a>) -> Self {
        Self { layers: [Some(Layer { name, id }), None], inner }
    }
}

/// Opens the tunnel that a packet is, if it is one.
pub(super) fn open<'a>(datagram: &Datagram<'a>, packet: &Packet<'a>) -> Option<Opened<'a>> {
    match packet.transport {
        Transport::Tcp => None,
        Transport::Udp => udp(packet),
        Transport::Other(number) => ip(number, datagram.body, datagram.body_len),
        Transport::Icmp | Transport::Icmp6 | Transport::Sctp => None,
    }
}

/// Tunnels with an IP protocol number of their own.
fn ip(protocol: u8, body: &[u8], body_len: u32) -> Option<Opened<'_>> {
    match protocol {
        IPIP | IPV6 => is_ip(body, body_len).then(|| Opened::one("ip", None, Next::Ip(body))),
        GRE => gre(body),
        // RFC 3378 §4: version 3, the rest of the two bytes reserved.
        ETHERIP => {
            let inner = body.strip_prefix(&[0x30, 0])?;
            Some(Opened::one("etherip", None, Next::Ethernet(inner)))
        }
        // RFC 8986 §4.9: a frame behind a segment routing header.
        ETHERNET => Some(Opened::one("ethernet", None, Next::Ethernet(body))),
        MPLS_IN_IP => Some(Opened::one("mpls", None, Next::Network(MPLS, body))),
        _ => None,
    }
}

/// GRE, with what Cisco and PPTP made of it.
fn gre(body: &[u8]) -> Option<Opened<'_>> {
    let mut r = Reader::new(body);
    let (flags, protocol) = (r.u16()?, r.u16()?);
    let has = |flag: u16| flags & flag != 0;
    match flags & GRE_VERSION {
        0 => {}
        1 if protocol == GRE_PPP && has(GRE_KEY) => return pptp(flags, r),
        _ => return None,
    }
    if has(GRE_ROUTING) {
        return None; // RFC 1701 source routes were never seen in the wild; RFC 2784 §2.3 forbids them.
    }
    if has(GRE_CHECKSUM) {
        r.skip(4)?;
    }
    let key = if has(GRE_KEY) { Some(r.u32()?) } else { None };
    if has(GRE_SEQUENCE) {
        r.skip(4)?;
    }
    match protocol {
        ERSPAN if has(GRE_SEQUENCE) => erspan(r),
        // Type I has neither sequence number nor header.
        ERSPAN => Some(Opened::one("erspan", None, Next::Ethernet(r.rest()))),
        ERSPAN_III => erspan(r),
        WCCP if r.rest().first().is_some_and(|first| first >> 4 != 4) => {
            r.skip(4)?;
            Some(Opened::one("gre", key, Next::Ip(r.rest())))
        }
        WCCP => Some(Opened::one("gre", key, Next::Ip(r.rest()))),
        0 => None, // A keepalive's answer.
        // Access points of one maker send the frames of their stations so.
        0x8200..=0x82ff => Some(Opened::one("gre", key, Next::Wireless(r.rest()))),
        _ => Some(Opened::one("gre", key, Next::Network(protocol, r.rest()))),
    }
}

/// RFC 2637 §4.1: payload length and call id in the key, acknowledgement number with the A flag.
fn pptp<'a>(flags: u16, mut r: Reader<'a>) -> Option<Opened<'a>> {
    let (length, call) = (r.u16()?, r.u16()?);
    if flags & GRE_SEQUENCE != 0 {
        r.skip(4)?;
    }
    if flags & GRE_ACK != 0 {
        r.skip(4)?;
    }
    let inner = r.rest().get(..usize::from(length)).unwrap_or_else(|| r.rest());
    if inner.is_empty() {
        return None;
    }
    let layers = [Layer { name: "gre", id: Some(u32::from(call)) }, Layer { name: "ppp", id: None }];
    Some(Opened { layers: layers.map(Some), inner: Next::Ppp(inner) })
}

/// ERSPAN types II and III; the session id is the tunnel's.
fn erspan(mut r: Reader<'_>) -> Option<Opened<'_>> {
    let (version, session) = (r.u16()?, r.u16()?);
    match version >> 12 {
        1 => r.skip(4)?,
        2 => {
            r.skip(6)?;
            let flags = r.u16()?;
            if flags & 1 != 0 {
                r.skip(8)?; // The platform-specific subheader.
            }
        }
        _ => return None,
    }
    Some(Opened::one("erspan", Some(u32::from(session & 0x03ff)), Next::Ethernet(r.rest())))
}

/// Tunnels that ride on UDP.
fn udp<'a>(packet: &Packet<'a>) -> Option<Opened<'a>> {
    let (bytes, len) = (packet.payload, packet.payload_len);
    match (packet.src.port, packet.dst.port) {
        (_, 4789 | 8472) => vxlan(bytes, len),
        (_, 6081) => geneve(bytes, len),
        (2152, _) | (_, 2152) => gtp(bytes, len),
        (3544, _) | (_, 3544) => teredo(bytes, len),
        (_, 4754) => gre(bytes),
        (5072, _) | (_, 5072) => ayiya(bytes, len),
        _ => None,
    }
}

fn vxlan(bytes: &[u8], len: u32) -> Option<Opened<'_>> {
    let mut r = Reader::new(bytes);
    let (flags, _, vni, _) = (r.u8()?, r.u24()?, r.u24()?, r.u8()?);
    let inner = ethernet(r.rest(), len.checked_sub(8)?)?;
    // RFC 7348 §5: the I flag must be set, reserved bits are ignored: extensions put them to use.
    (flags & 0x08 != 0).then(|| Opened::one("vxlan", Some(vni), inner))
}

fn geneve(bytes: &[u8], len: u32) -> Option<Opened<'_>> {
    let mut r = Reader::new(bytes);
    let (first, _, protocol, vni, reserved) = (r.u8()?, r.u8()?, r.u16()?, r.u24()?, r.u8()?);
    if first >> 6 != 0 || reserved != 0 {
        return None;
    }
    let options = usize::from(first & 0x3f).saturating_mul(4);
    r.skip(options)?;
    let len = len.checked_sub(u32::try_from(options.saturating_add(8)).ok()?)?;
    let inner = match protocol {
        TRANSPARENT_ETHERNET => ethernet(r.rest(), len)?,
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 if is_ip(r.rest(), len) => Next::Ip(r.rest()),
        _ => return None,
    };
    Some(Opened::one("geneve", Some(vni), inner))
}

/// G-PDUs of GTP version 1; signalling is a flow of its own.
fn gtp(bytes: &[u8], len: u32) -> Option<Opened<'_>> {
    let mut r = Reader::new(bytes);
    let (flags, kind, _, teid) = (r.u8()?, r.u8()?, r.u16()?, r.u32()?);
    if flags >> 4 != 0b0011 || kind != G_PDU {
        return None;
    }
    if flags & 0x07 != 0 {
        r.skip(3)?;
        let mut extension = r.u8()?;
        let mut passed = 0;
        while extension != 0 && flags & 0x04 != 0 {
            // TS 29.281 §5.2.1: length in units of four bytes, the next type in its last byte.
            let body = usize::from(r.u8()?).checked_mul(4)?.checked_sub(2)?;
            r.skip(body)?;
            extension = r.u8()?;
            passed += 1;
            if passed > MAX_GTP_EXTENSIONS {
                return None;
            }
        }
    }
    let len = len.checked_sub(u32::try_from(r.position()).ok()?)?;
    is_ip(r.rest(), len).then(|| Opened::one("gtp", Some(teid), Next::Ip(r.rest())))
}

/// IPv6 in UDP, after an authentication and an origin indication where they are.
fn teredo(bytes: &[u8], len: u32) -> Option<Opened<'_>> {
    let mut r = Reader::new(bytes);
    for _ in 0..2 {
        match r.rest() {
            [0, 1, id, authentication, ..] => {
                r.skip(13_usize.saturating_add(usize::from(*id)).saturating_add(usize::from(*authentication)))?;
            }
            [0, 0, ..] => r.skip(8)?,
            _ => break,
        }
    }
    let len = len.checked_sub(u32::try_from(r.position()).ok()?)?;
    let v6 = r.rest().first().is_some_and(|first| first >> 4 == 6);
    (v6 && is_ip(r.rest(), len)).then(|| Opened::one("teredo", None, Next::Ip(r.rest())))
}

/// draft-massar-v6ops-ayiya-02: identity and signature in units of four bytes, then IPv6.
fn ayiya(bytes: &[u8], len: u32) -> Option<Opened<'_>> {
    let mut r = Reader::new(bytes);
    let (identity, signature, _, next) = (r.u8()?, r.u8()?, r.u8()?, r.u8()?);
    let identity = 1_usize.checked_shl(u32::from(identity >> 4))?;
    let signature = usize::from(signature >> 4).checked_mul(4)?;
    r.skip(4)?; // Epoch time.
    r.skip(identity)?;
    r.skip(signature)?;
    let len = len.checked_sub(u32::try_from(r.position()).ok()?)?;
    (next == IPV6 && is_ip(r.rest(), len)).then(|| Opened::one("ayiya", None, Next::Ip(r.rest())))
}

/// An Ethernet frame that holds together.
fn ethernet(bytes: &[u8], len: u32) -> Option<Next<'_>> {
    let mut r = Reader::new(bytes);
    let ethertype = r.skip(12).and_then(|()| r.u16())?;
    let sound = match ethertype {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => is_ip(r.rest(), len.checked_sub(14)?),
        _ => link::is_ethernet(bytes),
    };
    sound.then_some(Next::Ethernet(bytes))
}

/// Whether an IP header stands here whose lengths fit into `len` bytes on the wire.
fn is_ip(bytes: &[u8], len: u32) -> bool {
    let mut r = Reader::new(bytes);
    let (Some(first), Some(_), Some(second), Some(third)) = (r.u8(), r.u8(), r.u16(), r.u16()) else { return false };
    match first >> 4 {
        4 => {
            let head = u32::from(first & 0x0f).saturating_mul(4);
            head >= 20 && u32::from(second) >= head && u32::from(second) <= len
        }
        6 => u32::from(third).saturating_add(40) <= len,
        _ => false,
    }
}

const IPIP: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const ETHERIP: u8 = 97;
const ETHERNET: u8 = 143;
const MPLS_IN_IP: u8 = 137;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const MPLS: u16 = 0x8847;
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
const WCCP: u16 = 0x883e;
const GRE_CHECKSUM: u16 = 0x8000;
const GRE_ROUTING: u16 = 0x4000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
const GRE_ACK: u16 = 0x0080;
const GRE_VERSION: u16 = 0x0007;
const GRE_PPP: u16 = 0x880b;
const G_PDU: u8 = 255;
/// TS 29.281 defines a handful, each at most once.
const MAX_GTP_EXTENSIONS: usize = 8;
