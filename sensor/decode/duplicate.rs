//! Finds packets that a SPAN port or two capture points show twice.
//!
//! A copy has the same addresses, protocol, IP id, lengths, transport header and first payload bytes; VLAN, MAC, TTL,
//! DSCP and checksums may differ, since switches, routers and cards change them. It comes within a window of event time
//! (20 ms; a retransmission waits 200 ms or more, and has another IP id or TCP timestamp).

use super::Packet;
use crate::base::Timestamp;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::time::Duration;

/// Packets of the last moments, by fingerprint, in sets of [`WAYS`] places. The table starts small, since it is looked
/// into for every packet and should stay in the processor's cache; a packet that would be forgotten within the window
/// makes it twice as large, up to [`MAX_SETS`]. There, a full set forgets its oldest packet.
pub(crate) struct Duplicates {
    sets: Vec<Set>,
    hasher: foldhash::quality::RandomState,
    window: Duration,
}

/// One line of the processor's cache, so that a look-up waits for memory once.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Set([Place; WAYS]);

#[derive(Clone, Copy)]
struct Place {
    fingerprint: u64,
    seen: Timestamp,
}

impl Duplicates {
    /// Remembers packets for `window` of event time.
    pub(crate) fn new(window: Duration) -> Self {
        Self { sets: vec![Set([EMPTY; WAYS]); MIN_SETS], hasher: foldhash::quality::RandomState::default(), window }
    }

    /// Whether the same packet was seen within the window before.
    pub(crate) fn is_copy(&mut self, packet: &Packet<'_>) -> bool {
        let fingerprint = self.fingerprint(packet);
        let window = self.window;
        let Some(Set(set)) = self.sets.get(self.place(fingerprint)) else { return false };
        // Frames of several capture points may be some milliseconds out of order.
        let near = |seen: Timestamp| packet.ts.since(seen) <= window && seen.since(packet.ts) <= window;
        if set.iter().any(|place| place.fingerprint == fingerprint && near(place.seen)) {
            return true;
        }
        let mut full = set.iter().all(|place| near(place.seen));
        while full && self.sets.len() < MAX_SETS {
            self.grow();
            full = self.sets.get(self.place(fingerprint)).is_some_and(|Set(set)| set.iter().all(|p| near(p.seen)));
        }
        let at = self.place(fingerprint);
        let oldest = self.sets.get_mut(at).and_then(|Set(set)| set.iter_mut().min_by_key(|place| place.seen));
        if let Some(oldest) = oldest {
            *oldest = Place { fingerprint, seen: packet.ts };
        }
        false
    }

    /// Which set; their number is a power of two.
    fn place(&self, fingerprint: u64) -> usize {
        usize::try_from(fingerprint).unwrap_or(0) & self.sets.len().saturating_sub(1)
    }

    /// Every set becomes two; a packet keeps its way.
    #[cold]
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.sets);
        self.sets = vec![Set([EMPTY; WAYS]); old.len().saturating_mul(2)];
        for Set(set) in old {
            for (way, place) in set.into_iter().enumerate() {
                let at = self.place(place.fingerprint);
                if let Some(free) = self.sets.get_mut(at).and_then(|Set(set)| set.get_mut(way)) {
                    *free = place;
                }
            }
        }
    }

    fn fingerprint(&self, packet: &Packet<'_>) -> u64 {
        let mut hash = self.hasher.build_hasher();
        // Few and wide writes: this runs for every packet.
        hash.write_u128(bits(packet.src.ip));
        hash.write_u128(bits(packet.dst.ip));
        let ports = u64::from(packet.src.port) << 16 | u64::from(packet.dst.port);
        let id = packet.ip_id.map_or(1 << 16, u64::from);
        hash.write_u64(ports << 32 | id << 8 | u64::from(packet.transport.number()));
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

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

const EMPTY: Place = Place { fingerprint: 0, seen: Timestamp::MIN };
/// 64 KiB, enough for 30,000 packets a second.
const MIN_SETS: usize = 1_024;
/// 2 MiB: 32,768 sets of four cover 6.5 million packets a second for 20 ms.
const MAX_SETS: usize = 32_768;
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

    #[test]
    fn the_table_grows_until_it_remembers_a_whole_window() {
        let mut seen = Duplicates::new(Duration::from_millis(20));
        let packets: Vec<_> = (0..2_000_u16).map(|n| ip4(17, &udp(67, 68, &n.to_be_bytes()))).collect();
        let mut copies = |ms| packets.iter().filter(|packet| is_copy(&mut seen, packet, ms)).count();
        assert_eq!(copies(0), 0);
        // A table that stayed small would have forgotten hundreds.
        let found = copies(10);
        assert!(found > 1_990, "{found} of 2,000 copies");
        assert_eq!(copies(1_000), 0, "a second later they are others");
    }
}
