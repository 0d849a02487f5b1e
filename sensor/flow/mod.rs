//! Packets → flows and their byte streams → observations.
//!
//! A flow's history is a pure function of its own packets: a packet later than the flow's deadline closes the old flow
//! *at that deadline* and opens a new one, whether or not a tick came between. Memory: about 300 bytes a flow, a
//! dialogue (streams, parser) only while somebody speaks and within its own budget.

mod dialogue;
mod entry;
mod identity;
mod key;
mod orientation;
mod promises;
mod readers;
mod room;
mod side;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;
mod timers;

pub(crate) use key::shard;
pub(crate) use readers::FLOW_BYTES;

use crate::base::{Budget, Endpoint, Table, Timestamp, Transport};
use crate::decode::Packet;
use crate::event::{Direction, End, Event, FlowRecord, Observation, Uid};
use crate::protocol::Output;
use dialogue::Moment;
use entry::Flow;
use hashbrown::HashTable;
use key::{FlowKey, Sense};
use promises::Promises;
use readers::{Readers, Seat};
use std::hash::BuildHasher;
use std::time::Duration;
use timers::{Entry, Wheel};

/// Budgets and windows of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Flows held at once; the one due soonest makes room.
    pub(crate) flows: usize,
    /// Flows with streams and parsers at once. Of more, those past their first words are read no further.
    pub(crate) dialogues: usize,
    /// Bytes that all of these may hold together.
    pub(crate) held_bytes: usize,
    /// How young bytes may be to be a second capture point's copy rather than a retransmission; zero turns it off.
    pub(crate) copy_window: Duration,
}

/// What the table counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) opened: u64,
    /// Most flows held at once; of several tables, the sum of theirs.
    pub(crate) peak: u64,
    pub(crate) evicted: u64,
    /// Flows whose payload was not read, or not to its end, for want of room.
    pub(crate) unread: u64,
    pub(crate) closed: u64,
    pub(crate) one_sided: u64,
    pub(crate) missed_bytes: u64,
    pub(crate) payload_bytes: u64,
}

impl Stats {
    /// Adds another table's counts.
    pub(crate) const fn add(&mut self, other: Self) {
        self.opened = self.opened.saturating_add(other.opened);
        self.peak = self.peak.saturating_add(other.peak);
        self.evicted = self.evicted.saturating_add(other.evicted);
        self.unread = self.unread.saturating_add(other.unread);
        self.closed = self.closed.saturating_add(other.closed);
        self.one_sided = self.one_sided.saturating_add(other.one_sided);
        self.missed_bytes = self.missed_bytes.saturating_add(other.missed_bytes);
        self.payload_bytes = self.payload_bytes.saturating_add(other.payload_bytes);
    }
}

/// The flows of one shard.
pub(crate) struct FlowTable {
    index: HashTable<u32>,
    hasher: foldhash::quality::RandomState,
    slots: Vec<Option<Flow>>,
    free: Vec<u32>,
    generations: u32,
    wheel: Wheel,
    due: Vec<Entry>,
    readers: Readers,
    learned: Output,
    promises: Promises,
    limits: Limits,
    stats: Stats,
}

impl FlowTable {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            index: HashTable::new(),
            hasher: foldhash::quality::RandomState::default(),
            slots: Vec::new(),
            free: Vec::new(),
            generations: 0,
            wheel: Wheel::new(),
            due: Vec::new(),
            readers: Readers::new(limits.dialogues, limits.held_bytes),
            learned: Output::default(),
            promises: Promises::new(),
            limits,
            stats: Stats::default(),
        }
    }

    /// Bytes shown to parsers so far, again when they had to wait for more.
    pub(crate) const fn shown_bytes(&self) -> u64 {
        self.learned.shown
    }

    /// What was counted so far.
    pub(crate) const fn stats(&self) -> Stats {
        Stats { unread: self.readers.unread(), ..self.stats }
    }

    /// Its tables as they stand.
    pub(crate) fn tables(&self) -> [Table; 4] {
        let budget = Budget::new("flow.flows", self.limits.flows, FLOW_HEAP);
        let peak = usize::try_from(self.stats.peak).unwrap_or(usize::MAX);
        let flows = budget.table(size_of::<Option<Flow>>(), self.index.len(), peak, self.stats.evicted);
        let [dialogues, held] = self.readers.tables();
        [flows, dialogues, held, self.promises.table()]
    }

    /// Flows held now.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Takes in a packet. `floor` is the event time that observations may no longer precede.
    pub(crate) fn observe(&mut self, packet: &Packet<'_>, floor: Timestamp, out: &mut Vec<Observation>) {
        let (key, sense) = FlowKey::of(packet);
        let at = packet.ts.max(floor);
        let mut found = self.find(&key);
        if let Some(id) = found
            && self.is_over(id, sense, packet)
        {
            let deadline = self.flow(id).map_or(at, |flow| flow.deadline.min(at));
            let end = self.flow(id).map_or(End::Idle, |flow| flow.end_at_deadline());
            self.close(id, deadline, end, out);
            found = None;
        }
        let id = match found {
            Some(id) => id,
            None => self.open(key, sense, packet, at, floor, out),
        };
        self.take_in(id, sense, packet, at, floor, out);
    }

    /// Moves event time on: flows whose deadline lies before `now` are closed at their deadline.
    pub(crate) fn advance(&mut self, now: Timestamp, out: &mut Vec<Observation>) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.turn(now, &mut due);
        for entry in due.drain(..) {
            let Some(flow) = self.flow(entry.flow).filter(|flow| flow.generation == entry.generation) else { continue };
            let (deadline, armed, end) = (flow.deadline, flow.armed, flow.end_at_deadline());
            if deadline < now {
                self.close(entry.flow, deadline, end, out);
            } else if armed == entry.slot {
                self.arm(entry.flow);
            }
        }
        self.due = due;
    }

    /// The event time up to which every timer has fired.
    pub(crate) fn settled(&self) -> Timestamp {
        self.wheel.turned().unwrap_or(Timestamp::MAX)
    }

    /// The capture ended at `at`: what is left, each with its end's time.
    pub(crate) fn remaining(&self, at: Timestamp) -> impl Iterator<Item = (Timestamp, Uid, u32)> {
        let ids = 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        ids.zip(&self.slots).filter_map(move |(id, slot)| slot.as_ref().map(|f| (f.deadline.min(at), f.uid, id)))
    }

    /// Closes one of them; `at` is when the capture ended.
    pub(crate) fn end(&mut self, id: u32, at: Timestamp, out: &mut Vec<Observation>) {
        let Some(flow) = self.flow(id) else { return };
        let deadline = flow.deadline;
        let end = match flow.end_at_deadline() {
            End::Idle | End::Active if deadline >= at => End::CaptureEnd,
            end => end,
        };
        self.close(id, deadline.min(at), end, out);
    }

    fn take_in(
        &mut self,
        id: u32,
        sense: Sense,
        packet: &Packet<'_>,
        at: Timestamp,
        floor: Timestamp,
        out: &mut Vec<Observation>,
    ) {
        let window = self.limits.copy_window;
        let speaks = packet.payload_len > 0;
        if speaks && !self.slot_has_dialogue(id) {
            self.attach_dialogue(id, packet, at, out);
        }
        let Some(flow) = self.slots.get_mut(usize::try_from(id).unwrap_or(usize::MAX)).and_then(Option::as_mut) else {
            return;
        };
        let from = flow.direction(sense);
        flow.count(from, packet);
        let placed = match packet.tcp {
            Some(tcp) => flow.segment(from, tcp, packet, window),
            None => {
                // An empty datagram is data too; ICMP has no history.
                if packet.transport == Transport::Udp {
                    flow.history.note(from, b'D');
                }
                None
            }
        };
        if speaks {
            let fresh = packet.ts.since(flow.spoke) >= BURST_PAUSE || flow.spoke == Timestamp::MIN;
            flow.spoke = flow.spoke.max(packet.ts);
            if fresh {
                let counters = flow.counters();
                emit(flow, at, Event::FlowProgress(counters), out);
            }
        }
        let (transport, orig, resp) = (flow.key.transport(), flow.orig(), flow.resp());
        let mut crowd = None;
        if let Some(dialogue) = flow.dialogue.as_deref_mut().filter(|_| !packet.payload.is_empty()) {
            let moment = Moment { from, ts: packet.ts, transport, ports: [orig.port, resp.port] };
            match (transport, placed) {
                (Transport::Udp, _) => dialogue.datagram(moment, packet.payload, &mut self.learned),
                (Transport::Tcp, Some(placed)) => {
                    let data = packet.payload.get(placed.cut..).unwrap_or_default();
                    dialogue.segment(moment, placed.offset, data, &mut self.learned);
                }
                _ => {}
            }
            for event in self.learned.events.drain(..) {
                emit(flow, at, complete(event, orig, resp), out);
            }
            self.promises.note(self.learned.promises.drain(..), orig, resp, packet.ts);
            let seat = Seat { flow: id, generation: flow.generation };
            let too_much = flow.dialogue.as_deref_mut().is_some_and(|dialogue| self.readers.charge(seat, dialogue));
            crowd = (too_much || self.readers.is_crowded()).then_some((seat, too_much));
        }
        flow.set_deadline(packet.ts, floor);
        let armed = flow.armed;
        if timers::slot_of(flow.deadline) < armed {
            self.arm(id);
        }
        self.release_idle(id);
        if let Some((seat, too_much)) = crowd {
            self.relieve(seat, too_much, at, out);
        }
    }

    /// Whether a packet belongs to another flow than the one in the table.
    fn is_over(&self, id: u32, sense: Sense, packet: &Packet<'_>) -> bool {
        let Some(flow) = self.flow(id) else { return false };
        packet.ts > flow.deadline
            || packet
                .tcp
                .is_some_and(|tcp| flow.is_reused_by(flow.direction(sense), tcp, packet.ts) && packet.ts > flow.first)
    }

    fn open(
        &mut self,
        key: FlowKey,
        sense: Sense,
        packet: &Packet<'_>,
        at: Timestamp,
        floor: Timestamp,
        out: &mut Vec<Observation>,
    ) -> u32 {
        if self.index.len() >= self.limits.flows {
            self.evict(at, out);
        }
        let mut flow = Flow::new(key, sense, packet, identity::uid(&key, packet, at));
        self.generations = self.generations.wrapping_add(1);
        flow.generation = self.generations;
        flow.set_deadline(packet.ts, floor);
        emit(&mut flow, at, Event::FlowOpened, out);
        self.stats.opened = self.stats.opened.saturating_add(1);
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                if self.slots.len() == self.slots.capacity() {
                    // Twice as many, but never more than may be.
                    let room = self.limits.flows.saturating_sub(self.slots.len());
                    self.slots.reserve_exact(self.slots.len().clamp(4, room.max(4)));
                }
                self.slots.push(None);
                u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
            }
        };
        if let Some(slot) = self.slots.get_mut(usize::try_from(id).unwrap_or(usize::MAX)) {
            *slot = Some(flow);
        }
        let hash = self.hasher.hash_one(key);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, id, |id| slot(slots, *id).map_or(0, |flow| hasher.hash_one(flow.key)));
        self.stats.peak = self.stats.peak.max(self.index.len() as u64);
        self.arm(id);
        if self.wheel.len() > self.index.len().saturating_mul(TIMERS_A_FLOW).saturating_add(FREE_TIMERS) {
            let slots = &self.slots;
            self.wheel.sweep(|entry| {
                slot(slots, entry.flow).is_some_and(|f| f.generation == entry.generation && f.armed == entry.slot)
            });
        }
        id
    }

    fn close(&mut self, id: u32, at: Timestamp, end: End, out: &mut Vec<Observation>) {
        let Some(mut flow) = self.slots.get_mut(usize::try_from(id).unwrap_or(usize::MAX)).and_then(Option::take)
        else {
            return;
        };
        let hash = self.hasher.hash_one(flow.key);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
        let (transport, orig, resp) = (flow.key.transport(), flow.orig(), flow.resp());
        if let Some(dialogue) = flow.dialogue.as_deref_mut() {
            let moment = Moment { from: Direction::Orig, ts: flow.last, transport, ports: [orig.port, resp.port] };
            dialogue.finish(moment, &mut self.learned);
            for event in self.learned.events.drain(..) {
                emit(&mut flow, at, complete(event, orig, resp), out);
            }
            self.learned.promises.clear(); // Too late for a flow that is over.
        }
        let record = record(&flow, end);
        self.stats.closed = self.stats.closed.saturating_add(1);
        self.stats.one_sided = self.stats.one_sided.saturating_add(u64::from(record.one_sided));
        self.stats.missed_bytes = self.stats.missed_bytes.saturating_add(record.missed_bytes);
        let payload = record.counters.orig_bytes.saturating_add(record.counters.resp_bytes);
        self.stats.payload_bytes = self.stats.payload_bytes.saturating_add(payload);
        if let Some(dialogue) = flow.dialogue.take() {
            self.readers.take_back(dialogue);
        }
        emit(&mut flow, at, Event::FlowClosed(Box::new(record)), out);
    }

    /// Arms a flow's timer anew; the slot it is in now.
    fn arm(&mut self, id: u32) -> i64 {
        let Some(flow) = self.slots.get_mut(usize::try_from(id).unwrap_or(usize::MAX)).and_then(Option::as_mut) else {
            return i64::MAX;
        };
        flow.armed = self.wheel.arm(id, flow.generation, flow.deadline);
        flow.armed
    }

    fn find(&self, key: &FlowKey) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |id| self.flow(*id).is_some_and(|flow| flow.key == *key)).copied()
    }

    fn flow(&self, id: u32) -> Option<&Flow> {
        slot(&self.slots, id)
    }

    fn slot_has_dialogue(&self, id: u32) -> bool {
        self.flow(id).is_some_and(|flow| flow.dialogue.is_some())
    }
}

fn slot(slots: &[Option<Flow>], id: u32) -> Option<&Flow> {
    slots.get(usize::try_from(id).unwrap_or(usize::MAX)).and_then(Option::as_ref)
}

/// Hands an observation on, numbered within its flow.
fn emit(flow: &mut Flow, ts: Timestamp, event: Event, out: &mut Vec<Observation>) {
    let (orig, resp, transport) = (flow.orig(), flow.resp(), flow.key.transport());
    out.push(Observation { ts, uid: flow.uid, n: flow.n, orig, resp, transport, event });
    flow.n = flow.n.saturating_add(1);
}

/// Parsers know no addresses: an RPC endpoint they left open is the responder's TCP port, a name without an address is
/// that of a side.
fn complete(mut event: Event, orig: Endpoint, resp: Endpoint) -> Event {
    let endpoint = match &mut event {
        Event::Rpc(rpc) => &mut rpc.endpoint,
        Event::Execution(act) if act.interface.is_some() => &mut act.endpoint,
        Event::Identity(identity) => {
            let side = identity.side.map(|side| if side == Direction::Orig { orig.ip } else { resp.ip });
            identity.ip = identity.ip.or(side);
            return event;
        }
        _ => return event,
    };
    if endpoint.is_none() {
        *endpoint = Some(format!("ncacn_ip_tcp:{}", resp.port).into());
    }
    event
}

fn record(flow: &Flow, end: End) -> FlowRecord {
    let dialogue = flow.dialogue.as_deref();
    let mut service = dialogue.map_or_else(Vec::new, |d| d.services.clone());
    // What a datagram flow spoke before its dialogue was given back comes first: STUN, then DTLS.
    let before: Vec<_> = flow.services.iter().copied().filter(|before| !service.contains(before)).collect();
    service.splice(0..0, before);
    let [orig, resp] = &flow.sides;
    FlowRecord {
        ts: flow.first,
        last: flow.last,
        orig: flow.orig(),
        resp: flow.resp(),
        transport: flow.key.transport(),
        service,
        counters: flow.counters(),
        orig_ip_bytes: orig.ip_bytes,
        resp_ip_bytes: resp.ip_bytes,
        missed_bytes: flow.missed_bytes(),
        conn_state: flow.conn_state(),
        history: flow.history.text(),
        vlan: flow.vlan,
        tunnel: flow.tunnel.as_deref().map_or_else(Box::default, |tunnel| tunnel.iter().collect()),
        end,
        orig_confidence: flow.confidence.value(),
        retransmissions: flow.retransmissions,
        packets: flow.packets,
        one_sided: flow.is_one_sided(),
        hints: flow.hints(),
    }
}

/// Silence after which payload begins a new burst; shorter pauses are one check-in (the beacon meter's merge).
const BURST_PAUSE: Duration = Duration::from_secs(2);
/// A flow is armed again each time that its end comes nearer: once answered, once closed, once reset.
const TIMERS_A_FLOW: usize = 4;
/// Timers that are not worth a sweep.
const FREE_TIMERS: usize = 16_384;
/// A flow's place in the index, and the timers that it is armed for or was.
const FLOW_HEAP: usize = 64;
