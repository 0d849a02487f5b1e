//! Finds packets that a SPAN port or two capture points show twice.
//!
//! A copy has the same addresses, protocol, IP id, lengths, transport header and first payload bytes; VLAN, MAC, TTL,
//! DSCP and checksums may differ, since switches, routers and cards change them. It comes within a window of event time
//! (20 ms; a retransmission waits 200 ms or more, and has another IP id or TCP timestamp). Where nothing in the packet
//! tells a copy from a second packet, it is one only if the same two hosts' packets have just been seen doubled.

use super::Packet;
use crate::base::{Budget, Table, Timestamp, Transport};
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

    /// How it stands: it grows by sets, and a packet is forgotten as time goes on.
    pub(crate) fn table(&self) -> Table {
        Budget::new("duplicate.sets", MAX_SETS, 0).table(size_of::<Set>(), self.sets.len(), self.sets.len(), 0)
    }

    /// Whether the same packet was seen within the window before.
    pub(crate) fn is_copy(&mut self, packet: &Packet<'_>) -> bool {
        let fingerprint = self.fingerprint(packet);
        if !self.is_near(fingerprint, packet.ts, self.window) {
            self.remember(fingerprint, packet.ts);
            return false;
        }
        let pair = self.pair(packet);
        if is_distinct(packet) {
            self.remember(pair, packet.ts);
            return true;
        }
        self.is_near(pair, packet.ts, EVIDENCE)
    }

    /// Whether `fingerprint` was seen within `window`.
    fn is_near(&self, fingerprint: u64, ts: Timestamp, window: Duration) -> bool {
        let Some(Set(set)) = self.sets.get(self.place(fingerprint)) else { return false };
        set.iter().any(|place| place.fingerprint == fingerprint && near(place.seen, ts, window))
    }

    /// Remembers `fingerprint`, in its own place or in that of the oldest of its set.
    fn remember(&mut self, fingerprint: u64, ts: Timestamp) {
        let window = self.window;
        let taken = |place: &Place| place.fingerprint != fingerprint && near(place.seen, ts, window);
        while self.sets.len() < MAX_SETS
            && self.sets.get(self.place(fingerprint)).is_some_and(|Set(set)| set.iter().all(taken))
        {
            self.grow();
        }
        let at = self.place(fingerprint);
        let Some(Set(set)) = self.sets.get_mut(at) else { return };
        let place = set.iter_mut().min_by_key(|place| (place.fingerprint != fingerprint, place.seen));
        if let Some(place) = place {
            *place = Place { fingerprint, seen: ts };
        }
    }

    /// Two hosts, whichever of them sends.
    fn pair(&self, packet: &Packet<'_>) -> u64 {
        let (a, b) = (bits(packet.src.ip), bits(packet.dst.ip));
        let mut hash = self.hasher.build_hasher();
        hash.write_u128(a.min(b));
        hash.write_u128(a.max(b));
        hash.finish()
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
        // The checksum is left out.
        let header = packet.header;
        let checksum = match packet.transport {
            Transport::Tcp => 16,
            Transport::Udp => 6,
            _ => header.len(),
        };
        hash.write(header.get(..checksum).unwrap_or(header));
        hash.write(header.get(checksum.saturating_add(2)..).unwrap_or_default());
        let compared = if packet.tcp.is_some() { COMPARED } else { COMPARED_UNNUMBERED };
        hash.write(packet.payload.get(..compared).unwrap_or(packet.payload));
        hash.finish()
    }
}

/// Within `window` before or after: frames of several capture points may be some milliseconds out of order.
fn near(seen: Timestamp, ts: Timestamp, window: Duration) -> bool {
    ts.since(seen) <= window && seen.since(ts) <= window
}

/// Whether a host does not send this packet twice in a moment: it has an IP id of its own, opens or closes, or carries
/// data. Two acknowledgements without data or id (IPv6, or id 0) may both be meant: RFC 5681 asks for one a segment.
fn is_distinct(packet: &Packet<'_>) -> bool {
    let numbered = packet.ip_id.is_some_and(|id| id != 0);
    let control = packet.tcp.is_some_and(|tcp| tcp.flags & FIN_SYN_RST != 0);
    numbered || control || packet.payload_len >= TELLING
}

/// FIN, SYN and RST of the TCP flags.
const FIN_SYN_RST: u8 = 0b111;
/// Bytes of payload that two different messages seldom share; keep-alives are shorter.
const TELLING: u32 = 8;
/// How long one certain copy between two hosts makes their uncertain ones believed.
const EVIDENCE: Duration = Duration::from_secs(1);
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
    use crate::base::Endpoint;
    use crate::capture::{Frame, LinkType};
    use crate::decode::{Tcp, Tunnels};

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

    const ACK: u8 = 16;

    /// A segment from A to B: `(ms, IP id, seq, payload)`.
    fn segment((ms, ip_id, seq, payload): (i64, Option<u16>, u32, &'static [u8])) -> Packet<'static> {
        let len = u32::try_from(payload.len()).unwrap();
        Packet {
            ts: Timestamp(ms * 1_000_000),
            origin: (0, 1),
            src: Endpoint::new("10.0.0.1".parse().unwrap(), 40_000),
            dst: Endpoint::new("192.0.2.1".parse().unwrap(), 443),
            transport: Transport::Tcp,
            ip_len: 40 + len,
            hop_limit: 64,
            ip_id,
            tcp: Some(Tcp { seq, ack: 1, window: 500, flags: ACK }),
            header: if seq == 1 { &[1; 20] } else { &[2; 20] },
            payload,
            payload_len: len,
            vlan: [None; 2],
            tunnel: Tunnels::default(),
            two_way: true,
        }
    }

    /// Which of the packets are copies, as `.` and `x`.
    fn copies(packets: &[Packet<'_>]) -> String {
        let mut duplicates = Duplicates::new(Duration::from_millis(20));
        packets.iter().map(|packet| if duplicates.is_copy(packet) { 'x' } else { '.' }).collect()
    }

    #[test]
    fn copies_are_told_from_second_packets() {
        const DATA: &[u8] = b"some data";
        for (what, packets, expected) in [
            ("the same at once", vec![(0, Some(7), 1, DATA), (0, Some(7), 1, DATA)], ".x"),
            ("three capture points", vec![(0, Some(7), 1, DATA), (5, Some(7), 1, DATA), (20, Some(7), 1, DATA)], ".xx"),
            ("out of order", vec![(5, Some(7), 1, DATA), (0, Some(7), 1, DATA)], ".x"),
            ("after the window", vec![(0, Some(7), 1, DATA), (21, Some(7), 1, DATA)], ".."),
            ("a retransmission has another IP id", vec![(0, Some(7), 1, DATA), (5, Some(8), 1, DATA)], ".."),
            ("the next segment", vec![(0, Some(7), 1, DATA), (0, Some(7), 2, DATA)], ".."),
            ("other data", vec![(0, None, 1, DATA), (0, None, 1, b"some dato")], ".."),
            ("data without an IP id", vec![(0, None, 1, DATA), (1, None, 1, DATA)], ".x"),
            ("acknowledgements with an IP id", vec![(0, Some(7), 1, b""), (1, Some(7), 1, b"")], ".x"),
            ("acknowledgements without", vec![(0, None, 1, b""), (1, None, 1, b"")], ".."),
            ("id zero is no id", vec![(0, Some(0), 1, b""), (1, Some(0), 1, b"")], ".."),
            (
                "acknowledgements amid doubled data",
                vec![(0, None, 2, DATA), (1, None, 2, DATA), (2, None, 1, b""), (3, None, 1, b"")],
                ".x.x",
            ),
            (
                "long after doubled data",
                vec![(0, None, 2, DATA), (1, None, 2, DATA), (1100, None, 1, b""), (1101, None, 1, b"")],
                ".x..",
            ),
        ] {
            let packets: Vec<_> = packets.into_iter().map(segment).collect();
            assert_eq!(copies(&packets), expected, "{what}");
        }
    }

    #[test]
    fn what_devices_change_does_not_hide_a_copy() {
        let first = segment((0, Some(7), 1, b"payload"));
        let mut second = first.clone();
        second.vlan = [Some(100), None];
        const OTHER_CHECKSUM: [u8; 20] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 9, 9, 1, 1];
        second.header = &OTHER_CHECKSUM;
        assert_eq!(copies(&[first.clone(), second]), ".x");
        let mut other = first.clone();
        other.src.port = 40_001;
        assert_eq!(copies(&[first, other]), "..");
    }
}
