//! Capture files: pcap in both byte orders and resolutions, pcapng with several interfaces, gzip around them.

use super::net::{Frame, Nanos};

/// DLT_EN10MB.
pub(crate) const ETHERNET: u32 = 1;
/// LINKTYPE_RAW: an IP packet, nothing before it.
pub(crate) const RAW: u32 = 101;
/// LINKTYPE_LINUX_SLL.
pub(crate) const COOKED: u32 = 113;

/// How integers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// Units of the fraction of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// 10⁻⁶ s.
    Micro,
    /// 10⁻⁹ s.
    Nano,
}

/// A classic capture: microseconds, little endian, Ethernet, as tcpdump writes it.
pub(crate) fn pcap(frames: &[Frame]) -> Vec<u8> {
    pcap_as(frames, Order::Little, Unit::Micro, ETHERNET)
}

/// A classic capture of any kind.
pub(crate) fn pcap_as(frames: &[Frame], order: Order, unit: Unit, link: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, order, if unit == Unit::Micro { 0xa1b2_c3d4 } else { 0xa1b2_3c4d });
    put16(&mut out, order, 2);
    put16(&mut out, order, 4);
    for field in [0, 0, 262_144, link] {
        put(&mut out, order, field); // Zone, accuracy, snap length, link type.
    }
    for frame in frames {
        let fraction = frame.ts % 1_000_000_000 / if unit == Unit::Micro { 1_000 } else { 1 };
        let length = frame.bytes.len() as u32;
        for field in [(frame.ts / 1_000_000_000) as u32, fraction as u32, length, length] {
            put(&mut out, order, field);
        }
        out.extend_from_slice(&frame.bytes);
    }
    out
}

/// One interface of a pcapng section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interface {
    /// Link type.
    pub(crate) link: u32,
    /// `if_tsresol`: a power of ten, or of two with the top bit set; `None` leaves the option out (microseconds).
    pub(crate) resolution: Option<u8>,
}

/// A pcapng section with enhanced packet blocks, each frame with the interface it came by.
pub(crate) fn pcapng(frames: &[(usize, Frame)], interfaces: &[Interface], order: Order) -> Vec<u8> {
    let mut out = Vec::new();
    let mut header = Vec::new();
    put(&mut header, order, 0x1a2b_3c4d);
    put16(&mut header, order, 1);
    put16(&mut header, order, 0);
    header.extend_from_slice(&[0xff; 8]); // Section length not stated.
    block(&mut out, order, 0x0a0d_0d0a, &header);
    for interface in interfaces {
        let mut body = Vec::new();
        put16(&mut body, order, interface.link as u16);
        put16(&mut body, order, 0);
        put(&mut body, order, 262_144);
        if let Some(resolution) = interface.resolution {
            put16(&mut body, order, 9); // if_tsresol
            put16(&mut body, order, 1);
            body.extend_from_slice(&[resolution, 0, 0, 0]);
            put(&mut body, order, 0); // opt_endofopt
        }
        block(&mut out, order, 1, &body);
    }
    for (which, frame) in frames {
        let ticks = ticks(frame.ts, interfaces[*which].resolution);
        let length = frame.bytes.len() as u32;
        let mut body = Vec::new();
        for field in [*which as u32, (ticks >> 32) as u32, ticks as u32, length, length] {
            put(&mut body, order, field);
        }
        body.extend_from_slice(&frame.bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        block(&mut out, order, 6, &body);
    }
    out
}

/// A gzip member of stored blocks (RFC 1951 §3.2.4): no compressor's version can change a byte.
pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let chunks: Vec<&[u8]> = data.chunks(65_535).collect();
    for (n, chunk) in chunks.iter().enumerate() {
        let length = chunk.len() as u16;
        out.push(u8::from(n + 1 == chunks.len()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out.extend_from_slice(&crc32(data).to_le_bytes());
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out
}

/// RFC 1952 §8.
fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
        }
    }
    !crc
}

fn ticks(ts: Nanos, resolution: Option<u8>) -> u64 {
    match resolution.unwrap_or(6) {
        binary if binary & 0x80 != 0 => (u128::from(ts) * (1_u128 << (binary & 0x7f)) / 1_000_000_000) as u64,
        decimal => (u128::from(ts) * 10_u128.pow(u32::from(decimal)) / 1_000_000_000) as u64,
    }
}

fn block(out: &mut Vec<u8>, order: Order, kind: u32, body: &[u8]) {
    let length = body.len() as u32 + 12;
    put(out, order, kind);
    put(out, order, length);
    out.extend_from_slice(body);
    put(out, order, length);
}

fn put(out: &mut Vec<u8>, order: Order, value: u32) {
    out.extend_from_slice(&match order {
        Order::Little => value.to_le_bytes(),
        Order::Big => value.to_be_bytes(),
    });
}

fn put16(out: &mut Vec<u8>, order: Order, value: u16) {
    out.extend_from_slice(&match order {
        Order::Little => value.to_le_bytes(),
        Order::Big => value.to_be_bytes(),
    });
}
