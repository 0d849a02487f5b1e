//! What to let go when more comes than can be read: bulk payload first, the control plane and the beginning of every
//! conversation last. The reader decides a frame at a time, with no more state than a table of small counters.
//!
//! Kept as long as there is any room: whatever is no TCP or UDP over IP, TCP segments that open, close or carry nothing,
//! the services that say who commands whom, and the first packets of every flow, which hold names and handshakes.

use crate::base::Reader;
use crate::capture::{Frame, LinkType};
use std::hash::BuildHasher as _;

/// What a frame is worth under pressure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Control plane, or the beginning of a conversation.
    First,
    /// Payload in the middle of one.
    Bulk,
}

/// How full the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pressure {
    /// Everything is kept.
    None,
    /// Bulk is let go.
    High,
    /// Everything is let go.
    Full,
}

/// Counts the packets of flows, as far as that matters. Flows may share a counter; then one has its beginning cut short.
pub(super) struct Beginnings {
    seen: Vec<u8>,
    hash: foldhash::quality::RandomState,
    idle: bool,
}

impl Beginnings {
    pub(super) fn new() -> Self {
        Self { seen: vec![0; COUNTERS], hash: foldhash::quality::RandomState::default(), idle: true }
    }

    /// Forgets what it counted; called while there is no pressure.
    pub(super) fn relax(&mut self) {
        if !self.idle {
            self.seen.fill(0);
            self.idle = true;
        }
    }

    /// Judges a frame and counts it.
    pub(super) fn worth(&mut self, frame: &Frame<'_>) -> Worth {
        let Some(segment) = segment(frame) else { return Worth::First };
        self.idle = false;
        let (a, b) = (segment.ends[0], segment.ends[1]);
        let at = usize::try_from(self.hash.hash_one((a.min(b), a.max(b), segment.udp)) >> 32).unwrap_or(0) % COUNTERS;
        let Some(count) = self.seen.get_mut(at) else { return Worth::First };
        if segment.opens {
            *count = 0;
        }
        *count = count.saturating_add(1);
        match segment.plain || *count <= FIRST_PACKETS {
            true => Worth::First,
            false => Worth::Bulk,
        }
    }
}

/// What there is to know of a TCP or UDP packet.
struct Segment {
    /// Address and port of both sides; IPv4 addresses in the low 32 bits.
    ends: [(u128, u16); 2],
    udp: bool,
    /// It opens a connection.
    opens: bool,
    /// It carries no payload, ends something or belongs to a service that is never bulk.
    plain: bool,
}

/// The outermost TCP or UDP header; fragments after the first have none and count as a conversation of the two hosts.
fn segment(frame: &Frame<'_>) -> Option<Segment> {
    let mut reader = Reader::new(frame.bytes);
    let mut ethertype = 0x0800;
    if frame.link == LinkType::ETHERNET {
        reader.skip(12)?;
        ethertype = reader.u16()?;
        for _ in 0..MAX_TAGS {
            if !matches!(ethertype, 0x8100 | 0x88a8 | 0x9100 | 0x9200) {
                break;
            }
            reader.skip(2)?;
            ethertype = reader.u16()?;
        }
    } else if let Some(6) = frame.bytes.first().map(|b| b >> 4) {
        ethertype = 0x86dd;
    }
    match ethertype {
        0x0800 => {
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
                return Some(Segment { ends: ips.map(|ip| (ip, 0)), udp: protocol == 17, opens: false, plain: false });
            }
            transport(reader, protocol, ips, total.saturating_sub(header))
        }
        0x86dd => {
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

fn transport(mut reader: Reader<'_>, protocol: u8, ips: [u128; 2], len: usize) -> Option<Segment> {
    let ports = [reader.u16()?, reader.u16()?];
    let ends = [(ips[0], ports[0]), (ips[1], ports[1])];
    let control = ports.iter().any(|port| CONTROL_PORTS.contains(port));
    match protocol {
        6 => {
            reader.skip(8)?;
            let (offset, flags) = (reader.u8()?, reader.u8()?);
            let payload = len.saturating_sub(usize::from(offset >> 4).saturating_mul(4));
            Some(Segment {
                ends,
                udp: false,
                opens: flags & SYN != 0,
                plain: control || payload == 0 || flags & (SYN | FIN | RST) != 0,
            })
        }
        17 => Some(Segment { ends, udp: true, opens: false, plain: control }),
        _ => None,
    }
}

/// DNS, DHCP, Kerberos, endpoint mapper, NetBIOS names, LDAP, DHCPv6, mDNS, LLMNR, WinRM, SSH: who is who, and who
/// commands whom. SMB is not among them, files are bulk; its sessions begin with what matters.
const CONTROL_PORTS: [u16; 14] = [53, 67, 68, 88, 135, 137, 389, 546, 547, 5353, 5355, 5985, 5986, 22];
/// Packets that hold a flow's beginning: a handshake with certificates, a request and its answer's head.
const FIRST_PACKETS: u8 = 24;
/// 64 KiB; a power of two.
const COUNTERS: usize = 1 << 16;
const MAX_TAGS: usize = 4;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    /// A frame with `payload` bytes over TCP (flags) or UDP (none), from port to port.
    fn frame(tagged: bool, flags: Option<u8>, ports: [u16; 2], payload: usize) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        if tagged {
            bytes.extend([0x81, 0, 0, 7]);
        }
        bytes.extend([8, 0]);
        let header = if flags.is_some() { 20 } else { 8 };
        let total = u16::try_from(20 + header + payload).unwrap().to_be_bytes();
        let protocol = if flags.is_some() { 6 } else { 17 };
        bytes.extend([0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend(ports[0].to_be_bytes());
        bytes.extend(ports[1].to_be_bytes());
        match flags {
            Some(flags) => bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0, 0, 0, 0, 0, 0]),
            None => bytes.extend([0, 0, 0, 0]),
        }
        bytes.extend(std::iter::repeat_n(b'x', payload));
        bytes
    }

    fn judge(beginnings: &mut Beginnings, bytes: &[u8]) -> Worth {
        let wire_len = u32::try_from(bytes.len()).unwrap();
        let frame = Frame { ts: Timestamp(0), link: LinkType::ETHERNET, bytes, wire_len, input: 0, number: 0 };
        beginnings.worth(&frame)
    }

    #[test]
    fn beginnings_and_the_control_plane_outlive_bulk() {
        const ACK: u8 = 16;
        for (what, tagged, flags, ports, payload, after_many) in [
            ("data of a TCP flow", false, Some(ACK), [50_000, 443], 1_400, Worth::Bulk),
            ("data behind a tag", true, Some(ACK), [50_000, 443], 1_400, Worth::Bulk),
            ("data over UDP", false, None, [50_000, 443], 1_200, Worth::Bulk),
            ("acknowledgements", false, Some(ACK), [50_000, 443], 0, Worth::First),
            ("a SYN", false, Some(SYN), [50_000, 443], 0, Worth::First),
            ("a FIN with data", false, Some(FIN | ACK), [50_000, 443], 10, Worth::First),
            ("DNS", false, None, [50_000, 53], 60, Worth::First),
            ("Kerberos over TCP", false, Some(ACK), [50_000, 88], 1_400, Worth::First),
        ] {
            let mut beginnings = Beginnings::new();
            let bytes = frame(tagged, flags, ports, payload);
            for n in 0..FIRST_PACKETS {
                assert_eq!(judge(&mut beginnings, &bytes), Worth::First, "{what}, packet {n}");
            }
            assert_eq!(judge(&mut beginnings, &bytes), after_many, "{what}");
            beginnings.relax();
            assert_eq!(judge(&mut beginnings, &bytes), Worth::First, "{what}, after the pressure");
        }
    }

    #[test]
    fn both_directions_count_together_and_a_syn_begins_anew() {
        let mut beginnings = Beginnings::new();
        let (there, mut back) =
            (frame(false, Some(16), [50_000, 443], 100), frame(false, Some(16), [443, 50_000], 100));
        back[26..34].rotate_left(4);
        for _ in 0..FIRST_PACKETS / 2 {
            judge(&mut beginnings, &there);
            judge(&mut beginnings, &back);
        }
        assert_eq!(judge(&mut beginnings, &there), Worth::Bulk);
        judge(&mut beginnings, &frame(false, Some(SYN), [50_000, 443], 0));
        assert_eq!(judge(&mut beginnings, &there), Worth::First);
    }

    #[test]
    fn what_is_cut_or_no_ip_is_kept() {
        let mut beginnings = Beginnings::new();
        let whole = frame(false, Some(16), [50_000, 443], 100);
        for len in 0..48 {
            assert_eq!(judge(&mut beginnings, &whole[..len]), Worth::First, "{len} bytes");
        }
    }
}
