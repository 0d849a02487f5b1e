//! Who makes room: of flows when the table is full, of readers when they are too many or hold too much.
//!
//! What is given up is told at once, says why, and is counted; it depends on what else a table holds, so it is the one
//! known way in which memory shows in the result.

use super::dialogue::Dialogue;
use super::entry::{Flow, Reading};
use super::readers::{Seat, Standing};
use super::{FlowTable, complete, emit, slot, timers};
use crate::base::{Timestamp, Transport};
use crate::decode::Packet;
use crate::event::{End, Observation};

impl FlowTable {
    /// Makes room: the flow that is due soonest goes, and says so. Those that somebody still reads are spared, unless all
    /// that are due next are such: a question that waits for its answer is worth more than a silent connection.
    pub(super) fn evict(&mut self, at: Timestamp, out: &mut Vec<Observation>) {
        let (mut spared, mut victim) = (Vec::new(), None);
        while let Some(entry) = self.wheel.soonest() {
            let counts = |flow: &&Flow| flow.generation == entry.generation && flow.armed == entry.slot;
            let Some(flow) = self.flow(entry.flow).filter(counts) else { continue };
            let read = flow.dialogue.as_deref().is_some_and(|d| d.standing() != Standing::Over);
            // Its end moved on since it was armed.
            if timers::slot_of(flow.deadline) > entry.slot && self.arm(entry.flow) > entry.slot {
                continue;
            }
            if !read {
                victim = Some(entry.flow);
                break;
            }
            spared.push(entry.flow);
            if spared.len() > SPARED {
                break;
            }
        }
        if victim.is_none() && !spared.is_empty() {
            victim = Some(spared.remove(0));
        }
        for id in spared {
            self.arm(id);
        }
        if let Some(id) = victim {
            self.stats.evicted = self.stats.evicted.saturating_add(1);
            self.close(id, at, End::Evicted, out);
        }
    }

    pub(super) fn attach_dialogue(&mut self, id: u32, packet: &Packet<'_>, at: Timestamp, out: &mut Vec<Observation>) {
        let spoken = matches!(packet.transport, Transport::Tcp | Transport::Udp);
        if !spoken || self.flow(id).is_none_or(|flow| flow.reading == Reading::CutShort) {
            return;
        }
        let dialogue = match self.readers.lend() {
            None if self.give_one_up(at, out) => self.readers.lend(),
            lent => lent,
        };
        let Some(flow) = self.slots.get_mut(usize::try_from(id).unwrap_or(usize::MAX)).and_then(Option::as_mut) else {
            return;
        };
        let Some(mut dialogue) = dialogue else {
            if flow.reading == Reading::Open {
                flow.reading = Reading::Refused;
                self.readers.refuse();
            }
            return;
        };
        let promised = self.promises.find(flow.orig(), flow.resp(), packet.ts);
        dialogue.promised = promised.filter(|_| packet.transport == Transport::Tcp);
        flow.dialogue = Some(dialogue);
    }

    /// There is no room for a reader, or for what the readers hold: who matters least is read no further. Whether there
    /// was anybody.
    fn give_one_up(&mut self, at: Timestamp, out: &mut Vec<Observation>) -> bool {
        while let Some((seat, standing)) = self.readers.next() {
            if self.is_there(seat) && self.dialogue(seat.flow).is_some_and(|d| d.standing() >= standing) {
                self.stop_reading(seat.flow, at, out);
                return true;
            }
        }
        false
    }

    /// Brings what the readers hold back within the budget; `seat` is who spoke last, and goes if it holds too much or
    /// nobody matters less.
    pub(super) fn relieve(&mut self, seat: Seat, too_much: bool, at: Timestamp, out: &mut Vec<Observation>) {
        if too_much {
            self.stop_reading(seat.flow, at, out);
        }
        while self.readers.is_short() && self.give_one_up(at, out) {}
        if self.readers.is_short() {
            self.stop_reading(seat.flow, at, out);
        }
        let slots = &self.slots;
        self.readers.tidy(|seat| slot(slots, seat.flow).is_some_and(|flow| flow.generation == seat.generation));
    }

    /// Takes a flow's reader away; what is outstanding is told, and what was parsed is kept by name.
    fn stop_reading(&mut self, id: u32, at: Timestamp, out: &mut Vec<Observation>) {
        let Some(flow) = self.slots.get_mut(usize::try_from(id).unwrap_or(usize::MAX)).and_then(Option::as_mut) else {
            return;
        };
        let Some(mut dialogue) = flow.dialogue.take() else { return };
        if dialogue.standing() != Standing::Over {
            dialogue.cut_short(&mut self.learned);
            self.readers.cut();
            let (orig, resp) = (flow.orig(), flow.resp());
            for event in self.learned.events.drain(..) {
                emit(flow, at, complete(event, orig, resp), out);
            }
            self.learned.promises.clear();
        }
        flow.missed = flow.missed.saturating_add(dialogue.missed());
        flow.services = std::mem::take(&mut dialogue.services).into();
        flow.reading = Reading::CutShort;
        self.readers.take_back(dialogue);
    }

    fn is_there(&self, seat: Seat) -> bool {
        self.flow(seat.flow).is_some_and(|flow| flow.generation == seat.generation)
    }

    fn dialogue(&self, id: u32) -> Option<&Dialogue> {
        self.flow(id)?.dialogue.as_deref()
    }

    /// A datagram flow with nothing outstanding gives its dialogue back; what it parsed is kept by name.
    pub(super) fn release_idle(&mut self, id: u32) {
        let Some(flow) = self.slots.get_mut(usize::try_from(id).unwrap_or(usize::MAX)).and_then(Option::as_mut) else {
            return;
        };
        if flow.key.transport() != Transport::Udp || !flow.dialogue.as_deref().is_some_and(Dialogue::is_idle) {
            return;
        }
        if let Some(dialogue) = flow.dialogue.take() {
            if let Some(first) = dialogue.services.first().filter(|first| flow.services.first() != Some(first)) {
                flow.services = Box::new([*first]);
            }
            self.readers.take_back(dialogue);
        }
    }
}

/// Flows looked at for one that nobody reads.
const SPARED: usize = 32;
