//! Finds packets that a SPAN port or two capture points show twice.
//!
//! A copy has the same addresses, protocol, IP id, lengths, transport header and first payload bytes; VLAN, MAC, TTL,
//! DSCP and checksums may differ, since switches, routers and cards change them. It comes within a window of event time
//! (20 ms; a retransmission waits 200 ms or more, and has another IP id or TCP timestamp).

use super::Packet;
use crate::base::Timestamp;
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::Duration;

/// Packets of the last moments, by fingerprint: a fixed table of [`SETS`] sets of [`WAYS`] places, 2 MiB in all. When
/// a set is full its oldest packet is forgotten.
pub(crate) struct Duplicates {
    sets: Vec<[Place; WAYS]>,
    hasher: foldhash::quality::RandomState,
    window: Duration,
}

#[derive(Clone, Copy)]
struct Place {
    fingerprint: u64,
    seen: Timestamp,
}

impl Duplicates {
    /// Remembers packets for `window` of event time.
    pub(crate) fn new(window: Duration) -> Self {
        let empty = Place { fingerprint: 0, seen: Timestamp::MIN };
        Self { sets: vec![[empty; WAYS]; SETS], hasher: foldhash::quality::RandomState::default(), window }
    }

    /// Whether the same packet was seen within the window before.
    pub(crate) fn is_copy(&mut self, packet: &Packet<'_>) -> bool {
        let fingerprint = self.fingerprint(packet);
        let at = usize::try_from(fingerprint).unwrap_or(0) & (SETS - 1);
        let Some(set) = self.sets.get_mut(at) else { return false };
        let window = self.window;
        // Frames of several capture points may be some milliseconds out of order.
        let near = |place: &Place| {
            place.fingerprint == fingerprint
                && packet.ts.since(place.seen) <= window
                && place.seen.since(packet.ts) <= window
        };
        if set.iter().any(near) {
            return true;
        }
        if let Some(oldest) = set.iter_mut().min_by_key(|place| place.seen) {
            *oldest = Place { fingerprint, seen: packet.ts };
        }
        false
    }

    fn fingerprint(&self, packet: &Packet<'_>) -> u64 {
        let mut hash = self.hasher.build_hasher();
        (packet.src, packet.dst, packet.transport.number(), packet.ip_id).hash(&mut hash);
        hash.write_u64(u64::from(packet.ip_len) << 32 | u64::from(packet.payload_len));
        // The checksum is left out: TCP at 16, UDP at 6, ICMP at 2.
        let header = packet.header;
        let checksum = match packet.header.len() {
            _ if packet.tcp.is_some() => 16,
            8 => 6,
            _ => header.len(),
        };
        hash.write(header.get(..checksum).unwrap_or(header));
        hash.write(header.get(checksum.saturating_add(2)..).unwrap_or_default());
        let compared = if packet.tcp.is_some() { COMPARED } else { COMPARED_UNNUMBERED };
        hash.write(packet.payload.get(..compared).unwrap_or(packet.payload));
        hash.finish()
    }
}

/// A power of two: 32,768 sets of four cover 6.5 million packets a second for 20 ms.
const SETS: usize = 32_768;
const WAYS: usize = 4;
/// Payload bytes of TCP that are compared; its sequence numbers tell the rest.
const COMPARED: usize = 64;
/// Payload bytes that are compared where nothing numbers them and many senders leave the IP id 0: an offer and an
/// acknowledgement of DHCP differ in their 243rd byte first.
const COMPARED_UNNUMBERED: usize = 512;

#[cfg(test)]
mod tests {
    use super::super::tests::{ip4, udp};
    use super::super::{Decoded, Decoder};
    use super::*;
    use crate::capture::{Frame, LinkType};

    #[test]
    fn a_copy_is_the_same_packet_within_the_window() {
        let with_last = |last: u8| ip4(17, &udp(67, 68, &[vec![0; 242], vec![last]].concat()));
        for (what, second, ms, expected) in [
            ("the same packet at once", with_last(2), 1, true),
            ("the same packet later", with_last(2), 100, false),
            ("another with the same start", with_last(5), 1, false),
        ] {
            let mut seen = Duplicates::new(Duration::from_millis(20));
            assert!(!is_copy(&mut seen, &with_last(2), 0), "{what}");
            assert_eq!(is_copy(&mut seen, &second, ms), expected, "{what}");
        }
    }

    fn is_copy(seen: &mut Duplicates, bytes: &[u8], ms: i64) -> bool {
        let wire_len = u32::try_from(bytes.len()).unwrap();
        let (ts, link) = (Timestamp(ms * 1_000_000), LinkType(101));
        let mut decoder = Decoder::default();
        match decoder.decode(&Frame { ts, link, bytes, wire_len, input: 0, number: 1 }) {
            Decoded::Packet(packet, _) => seen.is_copy(&packet),
            _ => panic!("no packet"),
        }
    }
}
