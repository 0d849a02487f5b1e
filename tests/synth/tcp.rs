//! A TCP conversation: handshake, segments of at most the MSS, acknowledgements, retransmission, loss, close.
//!
//! Time is the sensor's, which stands close to the originator: what the originator sends it sees at once, what the
//! responder sends comes a round trip after what caused it.

use super::net::{Host, MS, Nanos, TCP, Wire, transport_checksum};

/// Which side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that opened.
    Orig,
    /// The other.
    Resp,
}

/// Flags of RFC 9293 §3.1.
pub(crate) const FIN: u8 = 1;
/// Synchronise.
pub(crate) const SYN: u8 = 2;
/// Reset.
pub(crate) const RST: u8 = 4;
/// Push.
pub(crate) const PSH: u8 = 8;
/// Acknowledge.
pub(crate) const ACK: u8 = 16;

/// Ethernet's maximum less both headers.
pub(crate) const MSS: usize = 1460;

/// The options of Windows 10's SYN: MSS, window scale 8, SACK permitted.
pub(crate) const WINDOWS: [u8; 12] = [2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2];
/// A Linux server's, with window scale 7.
pub(crate) const LINUX: [u8; 12] = [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7];

/// One conversation in the making.
pub(crate) struct Tcp<'w> {
    /// Where its segments go.
    pub(crate) wire: &'w mut Wire,
    /// When the next segment is seen.
    pub(crate) now: Nanos,
    /// From the sensor to the responder and back.
    pub(crate) rtt: Nanos,
    /// Largest payload of a segment.
    pub(crate) mss: usize,
    hosts: [Host; 2],
    ports: [u16; 2],
    next: [u32; 2],
    acked: [u32; 2],
    turn: Side,
}

impl<'w> Tcp<'w> {
    /// A conversation that is not open yet, from the originator's next ephemeral port.
    pub(crate) fn new(wire: &'w mut Wire, at: Nanos, orig: &Host, resp: (&Host, u16)) -> Self {
        let port = wire.port(orig);
        Self::from_port(wire, at, (orig, port), resp)
    }

    /// As [`Tcp::new`], from a port of the caller's choice.
    pub(crate) fn from_port(wire: &'w mut Wire, at: Nanos, orig: (&Host, u16), resp: (&Host, u16)) -> Self {
        let next = [wire.random.next() as u32, wire.random.next() as u32];
        // Within the site a fraction of a millisecond, outside what a responder of its distance takes.
        let rtt = match resp.0.is_inside() {
            true => wire.random.between(200_000, 700_000),
            false => (6 + u64::from(resp.0.ttl % 8) * 9) * MS + wire.random.below(3 * MS),
        };
        let (hosts, ports) = ([*orig.0, *resp.0], [orig.1, resp.1]);
        Self { wire, now: at, rtt, mss: MSS, hosts, ports, next, acked: [0; 2], turn: Side::Orig }
    }

    /// The three-way handshake.
    pub(crate) fn open(&mut self) -> &mut Self {
        self.open_as(&WINDOWS)
    }

    /// The same by a system with other options.
    pub(crate) fn open_as(&mut self, options: &[u8]) -> &mut Self {
        self.put(Side::Orig, SYN, options, &[]);
        self.next[0] = self.next[0].wrapping_add(1);
        self.now += self.rtt;
        self.put(Side::Resp, SYN | ACK, if self.hosts[1].ttl > 64 { &WINDOWS } else { &LINUX }, &[]);
        self.next[1] = self.next[1].wrapping_add(1);
        self.now += 60_000;
        self.put(Side::Orig, ACK, &[], &[]);
        self.turn = Side::Orig;
        self
    }

    /// Data of one side, in full segments, acknowledged every second one and at the end.
    pub(crate) fn send(&mut self, from: Side, data: &[u8]) -> &mut Self {
        self.turn_to(from);
        let count = data.len().div_ceil(self.mss);
        for (n, chunk) in data.chunks(self.mss).enumerate() {
            let last = n + 1 == count;
            self.put(from, if last { PSH | ACK } else { ACK }, &[], chunk);
            self.next[from as usize] = self.next[from as usize].wrapping_add(chunk.len() as u32);
            self.now += 30_000;
            if n % 2 == 1 && !last {
                self.put(from.other(), ACK, &[], &[]);
                self.now += 20_000;
            }
        }
        self
    }

    /// What the originator sends.
    pub(crate) fn orig(&mut self, data: &[u8]) -> &mut Self {
        self.send(Side::Orig, data)
    }

    /// What the responder sends.
    pub(crate) fn resp(&mut self, data: &[u8]) -> &mut Self {
        self.send(Side::Resp, data)
    }

    /// A pause, after the other side has acknowledged what it got.
    pub(crate) fn wait(&mut self, pause: Nanos) -> &mut Self {
        self.settle();
        self.now += pause;
        self
    }

    /// The sender gets no acknowledgement in time and sends `data`, its newest, again.
    pub(crate) fn again(&mut self, from: Side, data: &[u8]) -> &mut Self {
        let side = from as usize;
        let end = self.next[side];
        self.now += 300 * MS;
        self.next[side] = end.wrapping_sub(data.len() as u32);
        self.put(from, PSH | ACK, &[], data);
        self.next[side] = end;
        self.now += 40_000;
        self
    }

    /// `n` bytes that were sent and acknowledged but that the sensor never saw.
    pub(crate) fn unseen(&mut self, from: Side, n: u32) -> &mut Self {
        self.turn_to(from);
        self.next[from as usize] = self.next[from as usize].wrapping_add(n);
        self.put(from.other(), ACK, &[], &[]);
        self.now += 40_000;
        self
    }

    /// Both sides say goodbye, `first` before the other.
    pub(crate) fn close(&mut self, first: Side) -> Nanos {
        self.settle();
        self.turn_to(first);
        for side in [first, first.other()] {
            self.turn_to(side);
            self.put(side, FIN | ACK, &[], &[]);
            self.next[side as usize] = self.next[side as usize].wrapping_add(1);
            self.now += 40_000;
        }
        self.turn_to(first);
        self.put(first, ACK, &[], &[]);
        self.now
    }

    /// One side gives up.
    pub(crate) fn reset(&mut self, by: Side) -> Nanos {
        self.turn_to(by);
        self.put(by, RST | ACK, &[], &[]);
        self.now
    }

    /// One segment as it is, with the numbers that are due.
    pub(crate) fn put(&mut self, from: Side, flags: u8, options: &[u8], data: &[u8]) {
        let (a, b) = (from as usize, from.other() as usize);
        let ack = if flags & ACK == 0 { 0 } else { self.next[b] };
        if flags & ACK != 0 {
            self.acked[a] = ack;
        }
        let window: u16 = if flags & SYN == 0 { 1026 } else { 64_240 };
        let mut out = Vec::with_capacity(20 + options.len() + data.len());
        out.extend_from_slice(&self.ports[a].to_be_bytes());
        out.extend_from_slice(&self.ports[b].to_be_bytes());
        out.extend_from_slice(&self.next[a].to_be_bytes());
        out.extend_from_slice(&ack.to_be_bytes());
        out.extend_from_slice(&[((20 + options.len()) * 4) as u8, flags]);
        out.extend_from_slice(&window.to_be_bytes());
        out.extend_from_slice(&[0; 4]); // Checksum and urgent pointer.
        out.extend_from_slice(options);
        out.extend_from_slice(data);
        let sum = transport_checksum(self.hosts[a].ip, self.hosts[b].ip, TCP, &out);
        out[16..18].copy_from_slice(&sum.to_be_bytes());
        let packet = self.wire.ip(&self.hosts[a], &self.hosts[b], TCP, &out);
        self.wire.send(self.now, &self.hosts[a], &self.hosts[b], &packet);
    }

    /// A side that waited for the other speaks a round trip later, the originator at once.
    fn turn_to(&mut self, side: Side) {
        if self.turn != side {
            self.now += match side {
                Side::Orig => 150_000,
                Side::Resp => self.rtt,
            };
            self.turn = side;
        }
    }

    /// Acknowledges what is not yet (the delayed acknowledgement of RFC 9293 §3.8.6.3).
    fn settle(&mut self) {
        for side in [Side::Orig, Side::Resp] {
            if self.acked[side as usize] != self.next[side.other() as usize] {
                self.now += 40 * MS;
                self.put(side, ACK, &[], &[]);
            }
        }
    }
}

impl Side {
    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Orig => Self::Resp,
            Self::Resp => Self::Orig,
        }
    }
}
