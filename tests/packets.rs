//! Packets of classic capture files as values, to change and write back: the smallest reader that metamorphic tests
//! need. Little-endian, microseconds, Ethernet; checksums are left as they are, the sensor does not enforce them.

use std::net::Ipv4Addr;
use std::path::Path;

/// A frame and its time.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) ts_us: u64,
    wire_len: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Packet {
    /// Every whole packet of a file of the expected format.
    pub(crate) fn of_file(path: &Path) -> Vec<Self> {
        let packets = Self::of_classic(&std::fs::read(path).unwrap());
        packets.unwrap_or_else(|| panic!("{}: not the expected format", path.display()))
    }

    /// Every whole packet; `None` when the format is another.
    pub(crate) fn of_classic(data: &[u8]) -> Option<Vec<Self>> {
        let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
        if data.len() < 24 || (word(0), word(20) & 0xffff) != (0xa1b2_c3d4, 1) {
            return None;
        }
        let (mut at, mut packets) = (24, Vec::new());
        while at + 16 <= data.len() {
            let len = word(at + 8) as usize;
            let Some(bytes) = data.get(at + 16..at + 16 + len) else { break };
            let ts_us = u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4));
            packets.push(Self { ts_us, wire_len: word(at + 12), bytes: bytes.to_vec() });
            at += 16 + len;
        }
        Some(packets)
    }

    /// As the sensor's test face takes it.
    pub(crate) fn raw(&self) -> (i64, u16, &[u8]) {
        (i64::try_from(self.ts_us * 1_000).unwrap(), 1, &self.bytes)
    }

    /// Whether it is IPv4 between the two, either way.
    pub(crate) fn is_between(&self, a: Ipv4Addr, b: Ipv4Addr) -> bool {
        self.ips().is_some_and(|ips| ips == [a, b] || ips == [b, a])
    }

    /// Changes both IPv4 addresses.
    pub(crate) fn map_ips(&mut self, change: impl Fn(Ipv4Addr) -> Ipv4Addr) {
        if let Some([src, dst]) = self.ips() {
            self.bytes[26..30].copy_from_slice(&change(src).octets());
            self.bytes[30..34].copy_from_slice(&change(dst).octets());
        }
    }

    fn ips(&self) -> Option<[Ipv4Addr; 2]> {
        let address = |at: usize| <[u8; 4]>::try_from(self.bytes.get(at..at + 4)?).ok().map(Ipv4Addr::from);
        (self.bytes.get(12..14)? == [8, 0]).then_some(())?;
        Some([address(26)?, address(30)?])
    }
}

/// Packets in the order of their times; equal ones stay in the order given.
pub(crate) fn merge(packets: impl IntoIterator<Item = Packet>) -> Vec<Packet> {
    let mut packets: Vec<_> = packets.into_iter().collect();
    packets.sort_by_key(|packet| packet.ts_us);
    packets
}

/// The packets as a capture file.
pub(crate) fn write(packets: &[Packet]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for packet in packets {
        let (seconds, micros) = (packet.ts_us / 1_000_000, packet.ts_us % 1_000_000);
        let len = u32::try_from(packet.bytes.len()).unwrap();
        for word in [u32::try_from(seconds).unwrap(), u32::try_from(micros).unwrap(), len, packet.wire_len] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&packet.bytes);
    }
    out
}
