//! One flow: who began it, what was counted, how TCP stands, when it would fall silent.

use super::dialogue::Dialogue;
use super::key::{FlowKey, Sense};
use super::tcp::{ACK, FIN, History, Machine, RST, SYN};
use crate::base::{Endpoint, Timestamp, Transport};
use crate::decode::{Packet, Tcp};
use crate::event::{ConnState, Counters, Direction, End, PacketRange, Uid};
use std::time::Duration;

/// A flow in the table.
pub(super) struct Flow {
    pub(super) key: FlowKey,
    pub(super) uid: Uid,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    /// When it ends unless another packet comes.
    pub(super) deadline: Timestamp,
    /// Newest payload, for bursts.
    pub(super) spoke: Timestamp,
    pub(super) sides: [Side; 2],
    pub(super) machine: Machine,
    pub(super) history: History,
    /// Observations told so far.
    pub(super) n: u32,
    pub(super) generation: u32,
    /// The timer slot that counts.
    pub(super) armed: i64,
    pub(super) vlan: [Option<u16>; 2],
    orig_is_a: bool,
    pub(super) confidence: Confidence,
    pub(super) dialogue: Option<Box<Dialogue>>,
    /// What was parsed, once the dialogue went back to the pool.
    pub(super) service: Option<&'static str>,
    pub(super) retransmissions: u32,
    pub(super) packets: PacketRange,
    /// Newest moments at which each side's data grew, to tell a copy from a retransmission.
    grew: [Growth; 2],
}

/// What one side was counted with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Side {
    pub(super) pkts: u64,
    pub(super) ip_bytes: u64,
    /// Payload of datagrams.
    pub(super) bytes: u64,
    /// Sequence number of payload offset 0; `None` before the first segment.
    base: Option<u32>,
    /// Highest payload offset seen.
    pub(super) max: u64,
    /// Highest payload offset the peer acknowledged.
    acked: u64,
}

/// When a side's highest offset was passed: two checkpoints at least one window apart, and the last growth of all.
#[derive(Clone, Copy, Debug)]
struct Growth {
    older: (Timestamp, u64),
    newer: (Timestamp, u64),
    last: Timestamp,
}

/// How sure it is who began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confidence {
    /// A SYN or its answer was seen, or the protocol has no such thing and this was the first packet.
    Certain,
    /// Midstream, told by a well-known port on one side.
    Port,
    /// Midstream, the first packet's sender.
    Guess,
}

impl Confidence {
    /// 0 to 1.
    pub(super) const fn value(self) -> f32 {
        match self {
            Self::Certain => 1.0,
            Self::Port => 0.8,
            Self::Guess => 0.5,
        }
    }
}

/// Payload of a segment and where it belongs.
pub(super) struct Placed {
    pub(super) offset: u64,
    /// Bytes before the start of the stream that are to be left out.
    pub(super) cut: usize,
}

impl Flow {
    /// A flow begun by `packet`, which travels along the key as `sense` says.
    pub(super) fn new(key: FlowKey, sense: Sense, packet: &Packet<'_>, uid: Uid) -> Self {
        let (src_began, confidence, flipped) = who_began(packet);
        let mut history = History::default();
        if flipped {
            history.note_flip();
        }
        Self {
            key,
            uid,
            first: packet.ts,
            last: packet.ts,
            deadline: Timestamp::MAX,
            spoke: Timestamp::MIN,
            sides: [Side::default(); 2],
            machine: Machine::default(),
            history,
            n: 0,
            generation: 0,
            armed: 0,
            vlan: packet.vlan,
            orig_is_a: (sense == Sense::AToB) == src_began,
            confidence,
            dialogue: None,
            service: None,
            retransmissions: 0,
            packets: PacketRange { input: packet.origin.0, first: packet.origin.1, last: packet.origin.1 },
            grew: [Growth { older: (Timestamp::MIN, 0), newer: (Timestamp::MIN, 0), last: Timestamp::MIN }; 2],
        }
    }

    pub(super) fn orig(&self) -> Endpoint {
        if self.orig_is_a { self.key.a() } else { self.key.b() }
    }

    pub(super) fn resp(&self) -> Endpoint {
        if self.orig_is_a { self.key.b() } else { self.key.a() }
    }

    /// Which side sent a packet that travels along the key as `sense` says.
    pub(super) fn direction(&self, sense: Sense) -> Direction {
        if (sense == Sense::AToB) == self.orig_is_a { Direction::Orig } else { Direction::Resp }
    }

    pub(super) fn side(&mut self, from: Direction) -> &mut Side {
        let [orig, resp] = &mut self.sides;
        if from == Direction::Orig { orig } else { resp }
    }

    /// Counts a packet and moves time on.
    pub(super) fn count(&mut self, from: Direction, packet: &Packet<'_>) {
        self.last = self.last.max(packet.ts);
        self.first = self.first.min(packet.ts);
        if packet.origin.0 == self.packets.input {
            self.packets.last = packet.origin.1;
        }
        let tcp = packet.tcp.is_some();
        let side = self.side(from);
        side.pkts = side.pkts.saturating_add(1);
        side.ip_bytes = side.ip_bytes.saturating_add(u64::from(packet.ip_len));
        if !tcp {
            side.bytes = side.bytes.saturating_add(u64::from(packet.payload_len));
        }
    }

    /// Takes in a TCP header. Gives back where its payload belongs when there is any to read.
    pub(super) fn segment(
        &mut self,
        from: Direction,
        tcp: Tcp,
        packet: &Packet<'_>,
        window: Duration,
    ) -> Option<Placed> {
        let len = u64::from(packet.payload_len);
        self.note(from, tcp, len);
        self.machine.observe(from, tcp.flags);
        if tcp.flags & ACK != 0 && tcp.flags & RST == 0 {
            self.side(from.flip()).acknowledge(tcp.ack);
        }
        let side = self.side(from);
        if tcp.flags & SYN != 0 {
            // RFC 9293 §3.4: SYN takes one number; data on SYN (RFC 7413) follows it.
            let base = tcp.seq.wrapping_add(1);
            if side.base.is_none() || side.max == 0 {
                side.base = Some(base);
            }
            return if len > 0 { self.place(from, base, len, packet.ts, window) } else { None };
        }
        if tcp.flags & RST != 0 || len == 0 {
            side.base.get_or_insert(tcp.seq);
            return None;
        }
        self.place(from, tcp.seq, len, packet.ts, window)
    }

    /// Finds the offset of a segment, keeps account of holes and tells a retransmission from a copy.
    fn place(&mut self, from: Direction, seq: u32, len: u64, ts: Timestamp, window: Duration) -> Option<Placed> {
        let side = self.side(from);
        let base = *side.base.get_or_insert(seq);
        let max = side.max;
        let expected = base.wrapping_add(low32(max));
        let delta = i64::from(seq.wrapping_sub(expected).cast_signed());
        let start = i64::try_from(max).unwrap_or(i64::MAX).saturating_add(delta);
        if delta > MAX_JUMP {
            self.history.note(from, b'I');
            return None;
        }
        let cut = u64::try_from(start.saturating_neg()).unwrap_or(0).min(len);
        let offset = u64::try_from(start).unwrap_or(0);
        let end = u64::try_from(start.saturating_add(i64::try_from(len).unwrap_or(i64::MAX))).unwrap_or(0);
        if end > max {
            self.side(from).max = end;
            self.growth(from).grow(ts, end, window);
        }
        if offset > max {
            self.stream(from, |stream| stream.open_hole(max, offset));
        } else if offset < max {
            let filled = self.stream(from, |stream| stream.fill(offset, end)).unwrap_or(false);
            // Wholly old bytes: a retransmission, unless they are so young that a second capture point, or the
            // segments of an offload frame, explain them as well.
            if !filled && end <= max && self.growth(from).was_past(end, ts, window) {
                self.retransmissions = self.retransmissions.saturating_add(1);
                let count = self.retransmissions;
                self.history.note_scaled(from, b'T', count);
            }
        }
        (cut < len).then(|| Placed { offset, cut: usize::try_from(cut).unwrap_or(usize::MAX) })
    }

    fn growth(&mut self, from: Direction) -> &mut Growth {
        let [orig, resp] = &mut self.grew;
        if from == Direction::Orig { orig } else { resp }
    }

    fn stream<T>(&mut self, from: Direction, with: impl FnOnce(&mut super::stream::Stream) -> T) -> Option<T> {
        let dialogue = self.dialogue.as_deref_mut()?;
        Some(with(if from == Direction::Orig { &mut dialogue.orig } else { &mut dialogue.resp }))
    }

    /// Zeek's history letters for one segment.
    fn note(&mut self, from: Direction, tcp: Tcp, len: u64) {
        let has = |flag| tcp.flags & flag != 0;
        if has(SYN) {
            self.history.note(from, if has(ACK) { b'H' } else { b'S' });
        }
        if has(SYN) && (has(FIN) || has(RST)) {
            self.history.note(from, b'Q');
        }
        if len > 0 && !has(RST) {
            self.history.note(from, b'D');
        } else if has(ACK) && !has(SYN) && !has(FIN) && !has(RST) {
            self.history.note(from, b'A');
        }
        if has(FIN) {
            self.history.note(from, b'F');
        }
        if has(RST) {
            self.history.note(from, b'R');
        }
    }

    /// Whether a SYN opens another connection on the same ports (Zeek's `IsReuse`).
    pub(super) fn is_reused_by(&self, from: Direction, tcp: Tcp, ts: Timestamp) -> bool {
        if tcp.flags & (SYN | ACK | RST | FIN) != SYN {
            return false;
        }
        let over = self.machine.is_closed() || self.machine.is_reset();
        let [orig, resp] = &self.sides;
        let side = if from == Direction::Orig { orig } else { resp };
        let other = side.base.is_some_and(|base| base != tcp.seq.wrapping_add(1));
        other && (over || ts.since(self.last) > REUSE_PAUSE)
    }

    /// Sets when the flow ends unless another packet comes. `floor` is what event time has passed already.
    pub(super) fn set_deadline(&mut self, floor: Timestamp) {
        let patience = match self.key.transport() {
            Transport::Tcp if self.machine.is_reset() => AFTER_RESET,
            Transport::Tcp if self.machine.is_closed() => AFTER_CLOSE,
            Transport::Tcp if self.conn_state() == ConnState::S0 => ATTEMPT,
            Transport::Tcp => TCP_IDLE,
            _ => DATAGRAM_IDLE,
        };
        self.deadline = self.last.plus(patience).min(self.first.plus(ACTIVE)).max(floor);
    }

    /// Why the flow ends when its deadline passes.
    pub(super) fn end_at_deadline(&self) -> End {
        if self.key.transport() == Transport::Tcp && self.machine.is_reset() {
            End::Rst
        } else if self.key.transport() == Transport::Tcp && self.machine.is_closed() {
            End::Fin
        } else if self.deadline >= self.first.plus(ACTIVE) {
            End::Active
        } else {
            End::Idle
        }
    }

    pub(super) fn conn_state(&self) -> ConnState {
        let [orig, resp] = &self.sides;
        match self.key.transport() {
            Transport::Tcp => self.machine.conn_state([orig.max, resp.max]),
            Transport::Udp => match (orig.pkts > 0, resp.pkts > 0) {
                (true, true) => ConnState::Sf,
                (true, false) => ConnState::S0,
                (false, true) => ConnState::Shr,
                (false, false) => ConnState::Oth,
            },
            _ => ConnState::Oth,
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let [orig, resp] = &self.sides;
        let tcp = self.key.transport() == Transport::Tcp;
        let bytes = |side: &Side| if tcp { side.max } else { side.bytes };
        Counters { orig_bytes: bytes(orig), resp_bytes: bytes(resp), orig_pkts: orig.pkts, resp_pkts: resp.pkts }
    }

    /// Payload bytes that were jumped over or acknowledged but never seen.
    pub(super) fn missed_bytes(&self) -> u64 {
        let [orig, resp] = &self.sides;
        let beyond = |side: &Side| if side.pkts > 0 { side.acked.saturating_sub(side.max) } else { 0 };
        let holes = self.dialogue.as_deref().map_or(0, |d| d.orig.missed().saturating_add(d.resp.missed()));
        holes.saturating_add(beyond(orig)).saturating_add(beyond(resp))
    }

    /// One side is silent although the other side acknowledges it.
    pub(super) fn is_one_sided(&self) -> bool {
        self.key.transport() == Transport::Tcp
            && self.sides.iter().any(|side| side.pkts == 0)
            && self.conn_state() != ConnState::S0
    }
}

impl Side {
    /// Notes how far the peer acknowledged, FIN's and SYN's own numbers left out.
    fn acknowledge(&mut self, ack: u32) {
        let Some(base) = self.base else { return };
        let expected = base.wrapping_add(low32(self.max));
        let ahead = i64::from(ack.wrapping_sub(expected).cast_signed());
        // One ahead is FIN's own number (RFC 9293 §3.4).
        if ahead > 1 && ahead < MAX_JUMP {
            let ahead = u64::try_from(ahead).unwrap_or(0);
            self.acked = self.acked.max(self.max.saturating_add(ahead));
        }
    }
}

impl Growth {
    fn grow(&mut self, ts: Timestamp, end: u64, window: Duration) {
        self.last = ts;
        if ts.since(self.newer.0) > window {
            self.older = self.newer;
            self.newer = (ts, end);
        }
    }

    /// Whether everything up to `end` had been seen more than a window before `ts`.
    fn was_past(&self, end: u64, ts: Timestamp, window: Duration) -> bool {
        let past = |(at, max): (Timestamp, u64)| max >= end && ts.since(at) > window;
        window.is_zero() || ts.since(self.last) > window || past(self.older) || past(self.newer)
    }
}

/// Whether the packet's sender began the flow, how sure that is, and whether it is the other way round than the
/// packet suggests.
fn who_began(packet: &Packet<'_>) -> (bool, Confidence, bool) {
    let (src, dst) = (packet.src.port, packet.dst.port);
    match (packet.transport, packet.tcp) {
        (Transport::Tcp, Some(tcp)) if tcp.flags & SYN != 0 => match tcp.flags & ACK != 0 {
            false => (true, Confidence::Certain, false),
            true => (false, Confidence::Certain, true),
        },
        (Transport::Tcp | Transport::Udp, _) => {
            let tcp = packet.transport == Transport::Tcp;
            match (is_service(src, tcp), is_service(dst, tcp)) {
                (true, false) => (false, Confidence::Port, true),
                (false, true) => (true, if tcp { Confidence::Port } else { Confidence::Certain }, false),
                _ => (true, if tcp { Confidence::Guess } else { Confidence::Certain }, false),
            }
        }
        // An answer without its question: the asker began (Zeek orients ICMP by its first packet otherwise).
        _ => (true, Confidence::Certain, false),
    }
}

/// Ports that servers listen on: those whose protocols are parsed, and the common ones (Zeek's
/// `likely_server_ports`).
fn is_service(port: u16, tcp: bool) -> bool {
    if tcp { TCP_SERVICES.contains(&port) } else { UDP_SERVICES.contains(&port) }
}

const TCP_SERVICES: &[u16] = &[
    21, 22, 23, 25, 53, 80, 81, 88, 110, 135, 139, 143, 389, 443, 445, 465, 502, 563, 585, 587, 614, 631, 636, 989,
    990, 992, 993, 995, 1080, 1433, 1883, 3128, 3306, 3389, 5060, 5061, 5223, 5432, 5985, 5986, 6379, 6666, 6667, 6668,
    6669, 8000, 8080, 8443, 8888, 9200, 20000,
];
const UDP_SERVICES: &[u16] = &[
    53, 67, 69, 88, 123, 137, 161, 162, 389, 443, 500, 514, 1812, 1813, 3544, 4500, 5060, 5353, 5355, 5246, 5247, 51820,
];

const fn low32(n: u64) -> u32 {
    let [.., a, b, c, d] = n.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// A sequence number further ahead than this is nonsense, not loss: the largest window of RFC 7323 is 1 GiB.
const MAX_JUMP: i64 = 1 << 30;
/// Zeek's `tcp_inactivity_timeout`.
const TCP_IDLE: Duration = Duration::from_secs(300);
/// Zeek's `udp_inactivity_timeout` and `icmp_inactivity_timeout`.
const DATAGRAM_IDLE: Duration = Duration::from_secs(60);
/// An unanswered SYN: long enough for the first four retries (RFC 6298: 1, 2, 4, 8 s), so that they are one flow.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Zeek's `tcp_close_delay`.
const AFTER_CLOSE: Duration = Duration::from_secs(5);
/// Zeek waits 0.1 s; a second keeps stray segments of both capture points with their flow.
const AFTER_RESET: Duration = Duration::from_secs(1);
/// A flow that never ends is told in daily pieces.
const ACTIVE: Duration = Duration::from_secs(86_400);
/// A quarter of Zeek's `tcp_session_timer`.
const REUSE_PAUSE: Duration = Duration::from_millis(1500);
