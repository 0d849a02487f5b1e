//! The innermost TCP or UDP header of a frame, as far as a reader of a ring needs it to judge what the frame is worth.
//!
//! A mirror that comes as VXLAN, Geneve, GRE or ERSPAN is looked into: outside all of it is one flow. The decoder, which
//! looks closer, is `decode/`; this is asked only while the sensor is overloaded, and must cost next to nothing.

use crate::base::Reader;
use crate::capture::{Frame, LinkType};

/// What there is to know of a TCP or UDP packet.
pub(super) struct Segment {
    /// Address and port of both sides; IPv4 addresses in the low 32 bits.
    pub(super) ends: [(u128, u16); 2],
    pub(super) udp: bool,
    /// It opens a connection.
    pub(super) opens: bool,
    /// It carries no payload, ends something or belongs to a service that is never bulk.
    pub(super) plain: bool,
}

/// Where a header is that was not looked at yet.
#[derive(Clone, Copy)]
enum At<'a> {
    Ethernet(Reader<'a>),
    /// What an EtherType says.
    Network(u16, Reader<'a>),
}

/// What one IP packet is.
enum Layer<'a> {
    Segment(Segment),
    /// A tunnel around another packet.
    Around(At<'a>),
}

/// The innermost TCP or UDP header; fragments after the first have none and count as a conversation of the two hosts.
pub(super) fn segment(frame: &Frame<'_>) -> Option<Segment> {
    let reader = Reader::new(frame.bytes);
    let mut at = match frame.link {
        LinkType::ETHERNET => At::Ethernet(reader),
        _ => At::Network(version(reader), reader),
    };
    for _ in 0..MAX_LAYERS {
        match layer(at)? {
            Layer::Around(within) => at = within,
            Layer::Segment(segment) => return Some(segment),
        }
    }
    None
}

/// EtherType by the first four bits of an IP header.
fn version(reader: Reader<'_>) -> u16 {
    if reader.rest().first().is_some_and(|first| first >> 4 == 6) { IPV6 } else { IPV4 }
}

fn layer(at: At<'_>) -> Option<Layer<'_>> {
    let (ethertype, mut reader) = match at {
        At::Ethernet(reader) => untagged(reader)?,
        At::Network(ethertype, reader) => (ethertype, reader),
    };
    match ethertype {
        IPV4 => {
            let first = reader.u8()?;
            reader.skip(1)?;
            let total = usize::from(reader.u16()?);
            reader.skip(2)?;
            let fragment = reader.u16()? & 0x1fff;
            reader.skip(1)?;
            let protocol = reader.u8()?;
            reader.skip(2)?;
            let ips = [u128::from(reader.u32()?), u128::from(reader.u32()?)];
            let header = usize::from(first & 0xf).saturating_mul(4);
            reader.skip(header.saturating_sub(20))?;
            if fragment > 0 {
                let ends = ips.map(|ip| (ip, 0));
                return Some(Layer::Segment(Segment { ends, udp: protocol == UDP, opens: false, plain: false }));
            }
            transport(reader, protocol, ips, total.saturating_sub(header))
        }
        IPV6 => {
            reader.skip(4)?;
            let payload = usize::from(reader.u16()?);
            let protocol = reader.u8()?;
            reader.skip(1)?;
            let ips = [u128::from_be_bytes(reader.array()?), u128::from_be_bytes(reader.array()?)];
            transport(reader, protocol, ips, payload)
        }
        _ => None,
    }
}

/// The EtherType behind addresses and tags.
fn untagged(mut reader: Reader<'_>) -> Option<(u16, Reader<'_>)> {
    reader.skip(12)?;
    let mut ethertype = reader.u16()?;
    for _ in 0..MAX_TAGS {
        if !matches!(ethertype, 0x8100 | 0x88a8 | 0x9100 | 0x9200) {
            break;
        }
        reader.skip(2)?;
        ethertype = reader.u16()?;
    }
    Some((ethertype, reader))
}

fn transport(mut reader: Reader<'_>, protocol: u8, ips: [u128; 2], len: usize) -> Option<Layer<'_>> {
    if protocol == GRE {
        return Some(Layer::Around(gre(reader)?));
    }
    let ports = [reader.u16()?, reader.u16()?];
    let ends = [(ips[0], ports[0]), (ips[1], ports[1])];
    let control = ports.iter().any(|port| CONTROL_PORTS.contains(port));
    match protocol {
        TCP => {
            reader.skip(8)?;
            let (offset, flags) = (reader.u8()?, reader.u8()?);
            let payload = len.saturating_sub(usize::from(offset >> 4).saturating_mul(4));
            Some(Layer::Segment(Segment {
                ends,
                udp: false,
                opens: flags & SYN != 0,
                plain: control || payload == 0 || flags & (SYN | FIN | RST) != 0,
            }))
        }
        UDP => {
            let this = Layer::Segment(Segment { ends, udp: true, opens: false, plain: control });
            let within = reader.skip(4).and_then(|()| udp_tunnel(ports[1], reader));
            Some(within.map_or(this, Layer::Around))
        }
        _ => None,
    }
}

/// RFC 7348 and RFC 8926, as far as finding the packet within takes; the decoder looks closer.
fn udp_tunnel(port: u16, mut reader: Reader<'_>) -> Option<At<'_>> {
    match port {
        4789 | 8472 => {
            let is_vxlan = reader.u8()? & 0x08 != 0;
            reader.skip(7)?;
            is_vxlan.then_some(At::Ethernet(reader))
        }
        6081 => {
            let options = reader.u8()? & 0x3f;
            reader.skip(1)?;
            let protocol = reader.u16()?;
            reader.skip(4)?;
            reader.skip(usize::from(options).saturating_mul(4))?;
            Some(if protocol == TRANSPARENT_ETHERNET { At::Ethernet(reader) } else { At::Network(protocol, reader) })
        }
        _ => None,
    }
}

/// RFC 2784 and 2890; draft-foschiano-erspan-03 for the mirrors of switches.
fn gre(mut reader: Reader<'_>) -> Option<At<'_>> {
    let (flags, protocol) = (reader.u16()?, reader.u16()?);
    for flag in [GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE] {
        reader.skip(if flags & flag != 0 { 4 } else { 0 })?;
    }
    match protocol {
        ERSPAN => {
            // Type I has neither sequence number nor header.
            reader.skip(if flags & GRE_SEQUENCE != 0 { 8 } else { 0 })?;
            Some(At::Ethernet(reader))
        }
        ERSPAN_III => {
            reader.skip(10)?;
            // The platform-specific subheader.
            let subheader = if reader.u16()? & 1 != 0 { 8 } else { 0 };
            reader.skip(subheader)?;
            Some(At::Ethernet(reader))
        }
        TRANSPARENT_ETHERNET => Some(At::Ethernet(reader)),
        IPV4 | IPV6 => Some(At::Network(protocol, reader)),
        _ => None,
    }
}

/// DNS, DHCP, Kerberos, endpoint mapper, NetBIOS names, LDAP, DHCPv6, mDNS, LLMNR, WinRM, SSH: who is who, and who
/// commands whom. SMB is not among them, files are bulk; its sessions begin with what matters.
const CONTROL_PORTS: [u16; 14] = [53, 67, 68, 88, 135, 137, 389, 546, 547, 5353, 5355, 5985, 5986, 22];
const MAX_TAGS: usize = 4;
/// A load balancer's Geneve around a cloud's VXLAN, and the packet itself.
const MAX_LAYERS: usize = 3;
/// EtherTypes.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
/// IP protocols.
const TCP: u8 = 6;
const UDP: u8 = 17;
const GRE: u8 = 47;
/// Bits of the GRE header.
const GRE_CHECKSUM: u16 = 0x8000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
const RST: u8 = 4;
