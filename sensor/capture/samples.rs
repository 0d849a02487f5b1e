//! Capture files written by hand, for tests: every field where the specifications put it, in either byte order.

use super::{Frame, LinkType, Source};
use crate::base::Timestamp;

/// A packet as it should come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) ts: Timestamp,
    pub(super) link: LinkType,
    pub(super) bytes: Vec<u8>,
    pub(super) wire_len: u32,
}

impl From<Frame<'_>> for Seen {
    fn from(frame: Frame<'_>) -> Self {
        Self { ts: frame.ts, link: frame.link, bytes: frame.bytes.to_vec(), wire_len: frame.wire_len }
    }
}

/// Everything a source gives.
pub(super) fn all(source: &mut impl Source) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some(frame) = source.next().unwrap() {
        seen.push(frame.into());
    }
    seen
}

/// The `n`th packet: Ethernet, so many bytes, cut to 60 of them when longer than 100.
pub(super) fn packet(n: u64) -> Seen {
    let wire_len = 14 + (n * 37) % 120;
    let len = if wire_len > 100 { 60 } else { wire_len };
    let mut bytes: Vec<u8> = (0..len).map(|i| u8::try_from((n * 7 + i) % 256).unwrap()).collect();
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    let ts = Timestamp::new(1_600_000_000 + i64::try_from(n).unwrap(), 123_456_000 + i64::try_from(n).unwrap() * 1_000);
    Seen { ts, link: LinkType::ETHERNET, bytes, wire_len: u32::try_from(wire_len).unwrap() }
}

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

/// Bytes of a file being written.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    order: Order,
    pub(super) bytes: Vec<u8>,
    /// Where each whole packet ends, for tests that cut.
    pub(super) ends: Vec<usize>,
}

impl Sample {
    pub(super) fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new(), ends: Vec::new() }
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend(match self.order {
            Order::Big => value.to_be_bytes(),
            Order::Little => value.to_le_bytes(),
        });
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend(match self.order {
            Order::Big => value.to_be_bytes(),
            Order::Little => value.to_le_bytes(),
        });
    }

    /// A classic file of Ethernet packets. `magic` decides resolution and record form, `version` the order of lengths.
    pub(super) fn pcap(order: Order, magic: u32, version: (u16, u16), packets: &[Seen]) -> Self {
        let mut file = Self::new(order);
        file.u32(magic);
        file.u16(version.0);
        file.u16(version.1);
        file.u32(0);
        file.u32(0);
        file.u32(262_144);
        file.u32(u32::from(packets.first().map_or(LinkType::ETHERNET, |p| p.link).0));
        for packet in packets {
            let nanos = packet.ts.subsec_nanos();
            file.u32(u32::try_from(packet.ts.secs()).unwrap());
            file.u32(if magic == 0xa1b2_3c4d { nanos } else { nanos / 1_000 });
            let len = u32::try_from(packet.bytes.len()).unwrap();
            let (first, second) = if version < (2, 3) { (packet.wire_len, len) } else { (len, packet.wire_len) };
            file.u32(first);
            file.u32(second);
            if magic == 0xa1b2_cd34 {
                file.bytes.extend([0; 8]);
            }
            file.bytes.extend(&packet.bytes);
            file.ends.push(file.bytes.len());
        }
        file
    }

    /// A pcapng block; `body` is padded to a multiple of four.
    pub(super) fn block(&mut self, kind: u32, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.u32(kind);
        self.u32(0);
        body(self);
        self.pad();
        let total = u32::try_from(self.bytes.len() - start + 4).unwrap();
        self.u32(total);
        let len = match self.order {
            Order::Big => total.to_be_bytes(),
            Order::Little => total.to_le_bytes(),
        };
        self.bytes[start + 4..start + 8].copy_from_slice(&len);
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }

    pub(super) fn section(&mut self, order: Order) {
        self.order = order;
        self.block(0x0a0d_0d0a, |b| {
            b.u32(0x1a2b_3c4d);
            b.u16(1);
            b.u16(0);
            b.u32(u32::MAX);
            b.u32(u32::MAX);
        });
    }

    pub(super) fn interface(&mut self, link: LinkType, snaplen: u32, options: &[(u16, &[u8])]) {
        self.block(1, |b| {
            b.u16(link.0);
            b.u16(0);
            b.u32(snaplen);
            b.options(options);
        });
    }

    pub(super) fn options(&mut self, options: &[(u16, &[u8])]) {
        for (code, value) in options {
            self.u16(*code);
            self.u16(u16::try_from(value.len()).unwrap());
            self.bytes.extend(*value);
            self.pad();
        }
        if !options.is_empty() {
            self.u32(0);
        }
    }

    /// An enhanced packet block with its time in `ticks`.
    pub(super) fn enhanced(&mut self, interface: u32, ticks: u64, packet: &Seen, options: &[(u16, &[u8])]) {
        self.block(6, |b| {
            b.u32(interface);
            b.time_and_data(ticks, packet);
            b.options(options);
        });
        self.ends.push(self.bytes.len());
    }

    /// The block that the enhanced one replaced.
    pub(super) fn obsolete(&mut self, interface: u16, ticks: u64, packet: &Seen) {
        self.block(2, |b| {
            b.u16(interface);
            b.u16(0);
            b.time_and_data(ticks, packet);
        });
        self.ends.push(self.bytes.len());
    }

    /// A simple packet block: no time, no interface.
    pub(super) fn simple(&mut self, packet: &Seen) {
        self.block(3, |b| {
            b.u32(packet.wire_len);
            b.bytes.extend(&packet.bytes);
        });
        self.ends.push(self.bytes.len());
    }

    /// An interface statistics block that says how many packets were dropped.
    pub(super) fn statistics(&mut self, interface: u32, dropped: u64) {
        let value = match self.order {
            Order::Big => dropped.to_be_bytes(),
            Order::Little => dropped.to_le_bytes(),
        };
        self.block(5, |b| {
            b.u32(interface);
            b.u32(0);
            b.u32(0);
            b.options(&[(5, &value)]);
        });
    }

    fn time_and_data(&mut self, ticks: u64, packet: &Seen) {
        self.u32(u32::try_from(ticks >> 32).unwrap());
        self.u32(u32::try_from(ticks & 0xffff_ffff).unwrap());
        self.u32(u32::try_from(packet.bytes.len()).unwrap());
        self.u32(packet.wire_len);
        self.bytes.extend(&packet.bytes);
        self.pad();
    }
}

/// Microseconds since the epoch.
pub(super) fn micros(ts: Timestamp) -> u64 {
    u64::try_from(ts.0 / 1_000).unwrap()
}
