//! What to let go when more comes than can be read: bulk payload first, the control plane and the beginning of every
//! conversation last. The reader decides a frame at a time, with no more state than a table of small counters.
//!
//! Kept as long as there is any room: whatever is no TCP or UDP over IP, TCP segments that open, close or carry nothing,
//! the services that say who commands whom, and the first packets of every flow, which hold names and handshakes.
//!
//! A mirror that comes as VXLAN, Geneve, GRE or ERSPAN is judged by what it carries: outside all of it is one flow.

use super::segment::segment;
use crate::capture::Frame;
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

/// Packets that hold a flow's beginning: a handshake with certificates, a request and its answer's head.
const FIRST_PACKETS: u8 = 24;
/// 64 KiB; a power of two.
const COUNTERS: usize = 1 << 16;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::capture::LinkType;
    use crate::engine::live::segment::{FIN, SYN};

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

    /// A mirrored frame as it arrives: between the same two mirrors, in a tunnel.
    fn mirrored(how: &str, inner: &[u8]) -> Vec<u8> {
        let (protocol, header): (u8, Vec<u8>) = match how {
            "vxlan" => (17, [&[0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0][..], &[8, 0, 0, 0, 0, 0, 42, 0]].concat()),
            "geneve" => {
                let options = [1, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 4];
                (17, [&[0xc0, 0, 0x17, 0xc1, 0, 0, 0, 0][..], &options].concat())
            }
            "gre" => (47, vec![0x20, 0, 0x65, 0x58, 0, 0, 0, 7]),
            "erspan-i" => (47, vec![0, 0, 0x88, 0xbe]),
            "erspan-ii" => (47, [&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1][..], &[0x10, 0, 0, 0, 0, 0, 0, 0]].concat()),
            _ => (47, [&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat()),
        };
        let mut bytes = vec![2, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 3, 8, 0];
        let total = u16::try_from(20 + header.len() + inner.len()).unwrap().to_be_bytes();
        bytes.extend([0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
        bytes.extend(header);
        bytes.extend(inner);
        bytes
    }

    #[test]
    fn a_tunnel_is_judged_by_what_it_carries() {
        for how in ["vxlan", "geneve", "gre", "erspan-i", "erspan-ii", "erspan-iii"] {
            let mut beginnings = Beginnings::new();
            let data = mirrored(how, &frame(false, Some(16), [50_000, 443], 1_400));
            for _ in 0..FIRST_PACKETS {
                assert_eq!(judge(&mut beginnings, &data), Worth::First, "{how}");
            }
            assert_eq!(judge(&mut beginnings, &data), Worth::Bulk, "{how}");
            for (what, inner) in [
                ("another flow", frame(true, Some(16), [50_001, 443], 1_400)),
                ("a SYN of the same", frame(false, Some(SYN), [50_000, 443], 0)),
                ("DNS", frame(false, None, [50_000, 53], 60)),
            ] {
                assert_eq!(judge(&mut beginnings, &mirrored(how, &inner)), Worth::First, "{how}: {what}");
            }
            let twice = mirrored("geneve", &data);
            assert_eq!(judge(&mut beginnings, &twice), Worth::First, "{how} within Geneve: a SYN came just now");
        }
        // The same beyond what is looked into, and what only looks like a tunnel.
        let mut beginnings = Beginnings::new();
        let mut plain = frame(false, None, [49_152, 4_789], 1_200);
        plain[42] = 0;
        for _ in 0..FIRST_PACKETS {
            judge(&mut beginnings, &plain);
        }
        assert_eq!(judge(&mut beginnings, &plain), Worth::Bulk, "a datagram without the I flag is no VXLAN");
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
