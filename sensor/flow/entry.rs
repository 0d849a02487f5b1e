//! One flow: who began it, what was counted, how TCP stands, when it would fall silent.

use super::dialogue::Dialogue;
use super::key::{FlowKey, Sense};
use super::orientation::{Confidence, who_began};
use super::side::{MAX_JUMP, Side};
use super::stream::Stream;
use super::tcp::{ACK, FIN, History, Machine, RST, SYN};
use crate::base::{Endpoint, Reader, Timestamp, Transport};
use crate::decode::{Packet, Tcp, Tunnels};
use crate::event::{ConnState, Counters, Direction, End, Hints, PacketRange, Uid};
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
    /// What was parsed, once the dialogue went back to the pool, outermost first.
    pub(super) services: Box<[&'static str]>,
    pub(super) reading: Reading,
    pub(super) retransmissions: u32,
    pub(super) packets: PacketRange,
    /// Hops left and digest of options, of the originator's SYN.
    stack: Option<(u8, u16)>,
    /// Bytes jumped over while no stream kept account of holes.
    pub(super) missed: u64,
    /// Tunnels around its first packet.
    pub(super) tunnel: Option<Box<Tunnels>>,
}

/// Whether a flow's payload is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As it comes.
    Open,
    /// It found no reader, and was counted; it may find one yet.
    Refused,
    /// It had one and lost it.
    CutShort,
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
            services: Box::default(),
            reading: Reading::Open,
            retransmissions: 0,
            packets: PacketRange { input: packet.origin.0, first: packet.origin.1, last: packet.origin.1 },
            stack: stack_of(packet).filter(|_| src_began),
            missed: 0,
            tunnel: packet.tunnel.iter().next().map(|_| Box::new(packet.tunnel)),
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

    /// Counts a packet and moves time on. What comes after both sides closed belongs to the flow, not to its duration
    /// (Zeek's `TCPSessionAdapter::DeliverPacket`).
    pub(super) fn count(&mut self, from: Direction, packet: &Packet<'_>) {
        if !self.machine.is_closed() {
            self.last = self.last.max(packet.ts);
        }
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
            self.acknowledge(from.flip(), tcp.ack);
        }
        let side = self.side(from);
        if tcp.flags & RST != 0 {
            side.start(tcp.seq);
            return None;
        }
        // RFC 9293 §3.4: SYN takes one number; data on SYN (RFC 7413) follows it.
        let seq = if tcp.flags & SYN != 0 { tcp.seq.wrapping_add(1) } else { tcp.seq };
        if tcp.flags & SYN != 0 {
            side.restart(seq);
        }
        side.start(seq);
        // An acknowledgement without payload claims no bytes; a FIN stands behind all there were.
        if len == 0 && tcp.flags & FIN == 0 {
            return None;
        }
        self.place(from, seq, len, packet.ts, window)
    }

    /// Finds the offset of a segment, keeps account of holes and tells a retransmission from a copy.
    fn place(&mut self, from: Direction, seq: u32, len: u64, ts: Timestamp, window: Duration) -> Option<Placed> {
        let side = self.side(from);
        let (max, (ahead, start)) = (side.bytes, side.locate(seq));
        if ahead > MAX_JUMP {
            self.history.note(from, b'I');
            return None;
        }
        let cut = u64::try_from(start.saturating_neg()).unwrap_or(0).min(len);
        let offset = u64::try_from(start).unwrap_or(0);
        let end = u64::try_from(start.saturating_add(i64::try_from(len).unwrap_or(i64::MAX))).unwrap_or(0);
        if end > max {
            // Without payload it is a FIN behind bytes that were not captured.
            side.bytes = end;
            if offset > max {
                if self.stream(from, |stream| stream.open_hole(max, offset)).is_none() {
                    self.missed = self.missed.saturating_add(offset.saturating_sub(max));
                }
            } else if offset < max {
                self.stream(from, |stream| stream.fill(offset, max));
            }
            self.dialogue.iter_mut().for_each(|d| d.growth(from).grow(ts, end, window));
        } else if len > 0 {
            let filled = self.stream(from, |stream| stream.fill(offset, end)).unwrap_or(false);
            self.again(from, end, filled, ts, window);
        }
        (cut < len).then(|| Placed { offset, cut: usize::try_from(cut).unwrap_or(usize::MAX) })
    }

    /// A segment without new bytes is a retransmission, unless it is so young that a second capture point, or the
    /// segments of an offload frame, explain it as well. Zeek's letter counts late arrivals too.
    fn again(&mut self, from: Direction, end: u64, filled: bool, ts: Timestamp, window: Duration) {
        let past = self.dialogue.as_deref_mut().is_none_or(|d| d.growth(from).was_past(end, ts, window));
        if !window.is_zero() && !past {
            return;
        }
        if !filled {
            self.retransmissions = self.retransmissions.saturating_add(1);
        }
        let side = self.side(from);
        side.again = side.again.saturating_add(1);
        let count = side.again;
        self.history.note_scaled(from, b'T', count);
    }

    /// Notes how far `of`'s bytes were acknowledged. Holes before that are gaps once both sides take part.
    fn acknowledge(&mut self, of: Direction, ack: u32) {
        let side = self.side(of);
        let Some(acked) = side.acknowledge(ack) else { return };
        let beyond = u32::from(side.beyond() > 0);
        let holes = self.stream(of, |stream| stream.acknowledge(acked)).unwrap_or(0);
        if self.sides.iter().any(|side| side.pkts == 0) {
            return;
        }
        for _ in 0..beyond.saturating_add(holes) {
            let side = self.side(of);
            side.gaps = side.gaps.saturating_add(1);
            let count = u32::from(side.gaps);
            self.history.note_scaled(of, b'G', count);
        }
    }

    fn stream<T>(&mut self, from: Direction, with: impl FnOnce(&mut Stream) -> T) -> Option<T> {
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
        } else if tcp.window == 0 {
            let side = self.side(from);
            side.shut = side.shut.saturating_add(1);
            let count = u32::from(side.shut);
            self.history.note_scaled(from, b'W', count);
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
        let other = side.base().is_some_and(|base| base != tcp.seq.wrapping_add(1));
        other && (over || ts.since(self.last) > REUSE_PAUSE)
    }

    /// Sets when the flow ends unless another packet comes; the newest came at `ts`, and `floor` is what event time has
    /// passed already.
    pub(super) fn set_deadline(&mut self, ts: Timestamp, floor: Timestamp) {
        let patience = match self.key.transport() {
            Transport::Tcp if self.machine.is_reset() => AFTER_RESET,
            Transport::Tcp if self.machine.is_closed() => AFTER_CLOSE,
            Transport::Tcp if self.conn_state() == ConnState::S0 => ATTEMPT,
            Transport::Tcp => TCP_IDLE,
            _ => DATAGRAM_IDLE,
        };
        self.deadline = self.last.max(ts).plus(patience).min(self.first.plus(ACTIVE)).max(floor);
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
            Transport::Tcp => self.machine.conn_state([orig.bytes, resp.bytes]),
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
        Counters { orig_bytes: orig.bytes, resp_bytes: resp.bytes, orig_pkts: orig.pkts, resp_pkts: resp.pkts }
    }

    /// Payload bytes that were jumped over or acknowledged but never seen.
    pub(super) fn missed_bytes(&self) -> u64 {
        let [orig, resp] = &self.sides;
        let beyond = |side: &Side| if side.pkts > 0 { side.beyond() } else { 0 };
        let holes = self.dialogue.as_deref().map_or(0, Dialogue::missed);
        self.missed.saturating_add(holes).saturating_add(beyond(orig)).saturating_add(beyond(resp))
    }

    /// What else the packets show.
    pub(super) fn hints(&self) -> Hints {
        let unseen = || self.sides.iter().map(Side::unseen).fold(0, u64::saturating_add);
        Hints {
            hop_limit: self.stack.map(|(hops, _)| hops),
            syn: self.stack.map(|(_, digest)| digest),
            unseen_bytes: if self.is_one_sided() { unseen() } else { 0 },
        }
    }

    /// One side is silent although the other side acknowledges it.
    pub(super) fn is_one_sided(&self) -> bool {
        self.key.transport() == Transport::Tcp
            && self.sides.iter().any(|side| side.pkts == 0)
            && self.conn_state() != ConnState::S0
    }
}

/// Hops left and a digest of the options of a SYN: their order, segment size and window scale (RFC 9293 §3.2, RFC 7323
/// §2). Time stamps differ from one SYN to the next and are left out.
fn stack_of(packet: &Packet<'_>) -> Option<(u8, u16)> {
    packet.tcp.filter(|tcp| tcp.flags & (SYN | ACK) == SYN)?;
    let mut r = Reader::new(packet.header);
    r.skip(TCP_FIXED)?;
    // FNV-1a, folded: no secret, but the same on every machine.
    let mut digest = 0x811c_9dc5_u32;
    let mut eat = |byte: u8| digest = (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    for _ in 0..MAX_OPTIONS {
        let Some(kind) = r.u8() else { break };
        eat(kind);
        match kind {
            END_OF_OPTIONS => break,
            NO_OPERATION => continue,
            _ => {}
        }
        let Some(data) = r.u8().and_then(|len| r.take(usize::from(len).checked_sub(2)?)) else { break };
        if matches!(kind, SEGMENT_SIZE | WINDOW_SCALE) {
            data.iter().copied().for_each(&mut eat);
        }
    }
    let [a, b, c, d] = digest.to_be_bytes();
    Some((packet.hop_limit, u16::from_be_bytes([a ^ c, b ^ d])))
}

/// A TCP header without options.
const TCP_FIXED: usize = 20;
/// RFC 9293 §3.1: the header has room for 40 bytes of them.
const MAX_OPTIONS: usize = 40;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const SEGMENT_SIZE: u8 = 2;
const WINDOW_SCALE: u8 = 3;

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
