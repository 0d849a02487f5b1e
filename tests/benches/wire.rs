//! Conversations turned into packets with valid checksums, and packets into a capture file, streamed.

use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::net::SocketAddrV4;
use std::ops::Range;
use std::path::Path;

/// Small, fast and the same everywhere: splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Less than `n`, small numbers far oftener: as hosts and names are popular.
    pub(crate) fn popular(&mut self, n: u64) -> u64 {
        let u = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((u * u * u) * n as f64) as u64
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]));
        bytes
    }

    /// Appends `n` bytes that look like ciphertext.
    pub(crate) fn fill(&mut self, into: &mut Vec<u8>, n: usize) {
        let end = into.len() + n;
        while into.len() + 8 <= end {
            into.extend(self.next().to_le_bytes());
        }
        into.resize(end, 0x5a);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Orig,
    Resp,
}

/// A packet to come; its payload lies in the flow's bytes.
#[derive(Clone, Debug)]
struct Planned {
    at: u64,
    from: Side,
    flags: u8,
    payload: Range<usize>,
}

/// A conversation, written down from its start, played later. Times are nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    orig: SocketAddrV4,
    resp: SocketAddrV4,
    tcp: bool,
    packets: Vec<Planned>,
    bytes: Vec<u8>,
    next: usize,
    sequence: [u32; 2],
    now: u64,
    rtt: u64,
}

const SYN: u8 = 2;
const ACK: u8 = 16;
const PUSH: u8 = 8;
const FIN: u8 = 1;
const RST: u8 = 4;
const SEGMENT: usize = 1_460;

impl Flow {
    pub(crate) fn udp(orig: SocketAddrV4, resp: SocketAddrV4, start: u64, rtt: u64) -> Self {
        Self {
            orig,
            resp,
            tcp: false,
            packets: Vec::new(),
            bytes: Vec::new(),
            next: 0,
            sequence: [0; 2],
            now: start,
            rtt,
        }
    }

    /// With the three packets that open it.
    pub(crate) fn tcp(orig: SocketAddrV4, resp: SocketAddrV4, start: u64, rtt: u64, random: &mut Random) -> Self {
        let mut flow = Self::udp(orig, resp, start, rtt);
        flow.tcp = true;
        flow.sequence = [random.next() as u32, random.next() as u32];
        flow.plan(Side::Orig, SYN, 0..0);
        flow.now += rtt;
        flow.plan(Side::Resp, SYN | ACK, 0..0);
        flow.plan(Side::Orig, ACK, 0..0);
        flow
    }

    pub(crate) fn wait(&mut self, nanos: u64) {
        self.now += nanos;
    }

    /// One message in as many segments as it needs, each second one and the last acknowledged; or one datagram.
    pub(crate) fn say(&mut self, from: Side, message: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(message);
        self.now += self.rtt / 2;
        if !self.tcp {
            self.plan(from, 0, start..self.bytes.len());
            return;
        }
        let back = if from == Side::Orig { Side::Resp } else { Side::Orig };
        let end = self.bytes.len();
        for (n, at) in (start..end).step_by(SEGMENT).enumerate() {
            self.now += 12_000;
            self.plan(from, ACK | PUSH, at..(at + SEGMENT).min(end));
            if n % 2 == 1 || at + SEGMENT >= end {
                self.now += 20_000;
                self.plan(back, ACK, 0..0);
            }
        }
    }

    pub(crate) fn close(&mut self) {
        self.now += self.rtt;
        self.plan(Side::Orig, FIN | ACK, 0..0);
        self.now += self.rtt / 2;
        self.plan(Side::Resp, FIN | ACK, 0..0);
        self.now += 1_000;
        self.plan(Side::Orig, ACK, 0..0);
    }

    /// An answer to a SYN that refuses it.
    pub(crate) fn refuse(&mut self) {
        self.now += self.rtt;
        self.plan(Side::Resp, RST | ACK, 0..0);
    }

    /// A SYN alone.
    pub(crate) fn probe(orig: SocketAddrV4, resp: SocketAddrV4, start: u64, rtt: u64, random: &mut Random) -> Self {
        let mut flow = Self::udp(orig, resp, start, rtt);
        flow.tcp = true;
        flow.sequence = [random.next() as u32, 0];
        flow.plan(Side::Orig, SYN, 0..0);
        flow
    }

    /// When its next packet comes.
    pub(crate) fn at(&self) -> Option<u64> {
        self.packets.get(self.next).map(|packet| packet.at)
    }

    /// Writes the next packet.
    pub(crate) fn play(&mut self, capture: &mut Capture) -> Result<()> {
        let Some(Planned { at, from, flags, payload }) = self.packets.get(self.next).cloned() else { return Ok(()) };
        self.next += 1;
        let (src, dst, own) = match from {
            Side::Orig => (self.orig, self.resp, 0),
            Side::Resp => (self.resp, self.orig, 1),
        };
        let payload = &self.bytes[payload];
        if !self.tcp {
            return capture.udp(at, src, dst, payload);
        }
        let acknowledged = if flags & ACK == 0 { 0 } else { self.sequence[1 - own] };
        capture.tcp(at, src, dst, self.sequence[own], acknowledged, flags, payload)?;
        let taken = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.sequence[own] = self.sequence[own].wrapping_add(taken);
        Ok(())
    }

    fn plan(&mut self, from: Side, flags: u8, payload: Range<usize>) {
        self.packets.push(Planned { at: self.now, from, flags, payload });
    }
}

/// A pcap file in nanoseconds being written.
pub(crate) struct Capture {
    out: BufWriter<File>,
    frame: Vec<u8>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Capture {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for word in [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 262_144, 1_u32] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { out, frame: Vec::new(), packets: 0, bytes: 24 })
    }

    pub(crate) fn finish(mut self) -> Result<(u64, u64)> {
        self.out.flush()?;
        Ok((self.packets, self.bytes))
    }

    fn udp(&mut self, at: u64, src: SocketAddrV4, dst: SocketAddrV4, payload: &[u8]) -> Result<()> {
        self.ip(src, dst, 17, 8 + payload.len());
        self.frame.extend(src.port().to_be_bytes());
        self.frame.extend(dst.port().to_be_bytes());
        self.frame.extend((8 + payload.len() as u16).to_be_bytes());
        self.frame.extend([0, 0]);
        self.frame.extend_from_slice(payload);
        self.record(at, 6)
    }

    #[expect(clippy::too_many_arguments, reason = "a TCP header has them")]
    fn tcp(
        &mut self,
        at: u64,
        src: SocketAddrV4,
        dst: SocketAddrV4,
        sequence: u32,
        acknowledged: u32,
        flags: u8,
        payload: &[u8],
    ) -> Result<()> {
        let options: &[u8] = if flags & SYN == 0 { &[] } else { &[2, 4, 5, 0xb4] };
        let header = 20 + options.len();
        self.ip(src, dst, 6, header + payload.len());
        self.frame.extend(src.port().to_be_bytes());
        self.frame.extend(dst.port().to_be_bytes());
        self.frame.extend(sequence.to_be_bytes());
        self.frame.extend(acknowledged.to_be_bytes());
        self.frame.extend([(header as u8 / 4) << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        self.frame.extend_from_slice(options);
        self.frame.extend_from_slice(payload);
        self.record(at, 16)
    }

    fn ip(&mut self, src: SocketAddrV4, dst: SocketAddrV4, protocol: u8, len: usize) {
        let (src, dst) = (src.ip().octets(), dst.ip().octets());
        self.frame.clear();
        self.frame.extend([2, 0]);
        self.frame.extend(dst);
        self.frame.extend([2, 0]);
        self.frame.extend(src);
        self.frame.extend([0x08, 0x00, 0x45, 0]);
        self.frame.extend((20 + len as u16).to_be_bytes());
        // The identification tells retransmissions from copies, so it must differ.
        self.frame.extend((self.packets as u16).to_be_bytes());
        self.frame.extend([0x40, 0, 64, protocol, 0, 0]);
        self.frame.extend(src);
        self.frame.extend(dst);
        let sum = fold(sum(0, &self.frame[ETHERNET..]));
        self.frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&sum.to_be_bytes());
    }

    /// Fills in the checksum at an offset within the transport header and writes the record.
    fn record(&mut self, at: u64, checksum: usize) -> Result<()> {
        let transport = ETHERNET + 20;
        let pseudo = sum(0, &self.frame[ETHERNET + 12..transport])
            + u32::from(self.frame[ETHERNET + 9])
            + (self.frame.len() - transport) as u32;
        let sum = match fold(sum(pseudo, &self.frame[transport..])) {
            0 if checksum == 6 => 0xffff,
            sum => sum,
        };
        self.frame[transport + checksum..transport + checksum + 2].copy_from_slice(&sum.to_be_bytes());
        let len = self.frame.len() as u32;
        for word in [(at / 1_000_000_000) as u32, (at % 1_000_000_000) as u32, len, len] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(&self.frame)?;
        self.packets += 1;
        self.bytes += 16 + u64::from(len);
        Ok(())
    }
}

const ETHERNET: usize = 14;

/// RFC 1071, on top of `start`.
fn sum(start: u32, bytes: &[u8]) -> u32 {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs.remainder().first().map_or(0, |byte| u32::from(*byte) << 8);
    pairs.fold(start + odd, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])))
}

fn fold(mut sum: u32) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
