//! Bytes of both sides → the one parser that understands them. Probing goes by content; ports only order the probes.

use super::readers::{FIRST_WORDS, Standing};
use super::side::Growth;
use super::stream::{Arrival, Stream};
use crate::base::Timestamp;
use crate::event::{Direction, Event, Oddity, Transport, Weird};
use crate::protocol::{
    CONTROL_PLANE, Input, MAX_PENDING, Output, PORT_BOUND, PROTOCOLS, Parser, Probe, Progress, Promised, Protocol,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a flow with payload carries beside its counters. Pooled.
#[derive(Default)]
pub(super) struct Dialogue {
    pub(super) orig: Stream,
    pub(super) resp: Stream,
    stage: Stage,
    /// Services met, outermost first.
    pub(super) services: Vec<&'static str>,
    /// When each side's data grew, to tell a copy from a retransmission.
    grew: [Growth; 2],
    /// Segments that disagree about the bytes they share were told.
    contradicted: bool,
    /// Probes that found nothing, of UDP.
    probes: u8,
    /// What another flow said this one will be.
    pub(super) promised: Option<Promised>,
    /// Bytes it held when account was last taken.
    pub(super) charged: usize,
    /// What it was worth then.
    pub(super) stood: Standing,
}

#[derive(Default)]
enum Stage {
    /// No protocol matched yet.
    #[default]
    Probing,
    Parsing(&'static Protocol, Box<dyn Parser>),
    /// Nothing more to learn.
    Over,
}

/// What the dialogue needs to know about the moment.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) from: Direction,
    pub(super) ts: Timestamp,
    pub(super) transport: Transport,
    /// The ports of both sides.
    pub(super) ports: [u16; 2],
}

impl Dialogue {
    /// Takes a TCP segment's payload at its offset.
    pub(super) fn segment(&mut self, moment: Moment, offset: u64, data: &[u8], out: &mut Output) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        if !self.contradicted && self.side(moment.from).contradicts(offset, data) {
            self.contradicted = true;
            out.weird(Oddity::TcpOverlapDiffers);
        }
        match self.side(moment.from).arrive(offset, data, moment.ts) {
            Arrival::InOrder(fresh) => self.read(moment, fresh, out),
            Arrival::Nothing => {}
            Arrival::Overflow => {
                out.weird(Oddity::TcpReassemblyLimit);
                self.give_up(moment, out);
                if let Arrival::InOrder(fresh) = self.side(moment.from).arrive(offset, data, moment.ts) {
                    self.read(moment, fresh, out);
                }
            }
        }
        self.follow(moment, out);
        if self.side(moment.from).is_overdue(moment.ts) {
            self.give_up(moment, out);
        }
    }

    /// Takes a datagram.
    pub(super) fn datagram(&mut self, moment: Moment, data: &[u8], out: &mut Output) {
        if matches!(self.stage, Stage::Probing) {
            match find(moment, data) {
                Found::Protocol(protocol) => self.start(protocol),
                Found::Maybe | Found::Nothing => {
                    self.probes = self.probes.saturating_add(1);
                    if self.probes >= MAX_DATAGRAM_PROBES {
                        self.end();
                    }
                }
            }
        }
        if let Stage::Parsing(protocol, parser) = &mut self.stage {
            match guarded(parser.as_mut(), protocol, moment, data, out) {
                Progress::Consumed(_) => {}
                Progress::Handover(_) => {
                    self.finish_parser(out);
                    self.stage = Stage::Probing;
                }
                Progress::Done => self.finish_early(out),
                Progress::Malformed(oddity) => self.malformed(oddity, out),
            }
        }
        self.note_services(out);
    }

    /// The flow is over: reads what still waits, then lets the parser tell what is outstanding.
    pub(super) fn finish(&mut self, moment: Moment, out: &mut Output) {
        if moment.transport == Transport::Tcp {
            for from in [Direction::Orig, Direction::Resp] {
                let moment = Moment { from, ..moment };
                for _ in 0..MAX_GAPS_AT_END {
                    self.side(from).ask_at = 0;
                    self.read(moment, &[], out);
                    if !self.give_up(moment, out) {
                        break;
                    }
                }
            }
        }
        if matches!(self.stage, Stage::Probing) {
            self.take_at_its_word();
        }
        self.finish_parser(out);
        self.note_services(out);
        self.end();
    }

    /// Whether everything was told and a fresh dialogue would do as well.
    pub(super) fn is_idle(&self) -> bool {
        let told = match &self.stage {
            Stage::Parsing(_, parser) => parser.idle(),
            Stage::Probing => false,
            Stage::Over => true,
        };
        told && self.services.len() <= 1
    }

    /// What it is worth when not everybody can be read.
    pub(super) fn standing(&self) -> Standing {
        if matches!(self.stage, Stage::Over) {
            Standing::Over
        } else if self.orig.read().saturating_add(self.resp.read()) <= FIRST_WORDS
            || self.services.iter().any(|service| CONTROL_PLANE.contains(service))
        {
            Standing::Urgent
        } else {
            Standing::Bulk
        }
    }

    /// Payload bytes of both sides that were jumped over and never came.
    pub(super) fn missed(&self) -> u64 {
        self.orig.missed().saturating_add(self.resp.missed())
    }

    /// Bytes of memory it holds beside its own.
    pub(super) fn held(&self) -> usize {
        let parser = if let Stage::Parsing(_, parser) = &self.stage { parser.held() } else { 0 };
        self.orig.held().saturating_add(self.resp.held()).saturating_add(parser)
    }

    /// There is no room to read on: says so, and what is outstanding.
    pub(super) fn cut_short(&mut self, out: &mut Output) {
        self.malformed(Oddity::ReadingCutShort, out);
    }

    /// Back to a fresh dialogue, for the pool.
    pub(super) fn reset(&mut self) {
        self.orig.reset();
        self.resp.reset();
        self.stage = Stage::Probing;
        self.services.clear();
        self.grew = [Growth::default(); 2];
        self.contradicted = false;
        self.probes = 0;
        self.promised = None;
        self.charged = 0;
        self.stood = Standing::Urgent;
    }

    pub(super) fn growth(&mut self, from: Direction) -> &mut Growth {
        let [orig, resp] = &mut self.grew;
        if from == Direction::Orig { orig } else { resp }
    }

    fn side(&mut self, from: Direction) -> &mut Stream {
        match from {
            Direction::Orig => &mut self.orig,
            Direction::Resp => &mut self.resp,
        }
    }

    fn follow(&mut self, moment: Moment, out: &mut Output) {
        while let Some(data) = self.side(moment.from).follow() {
            self.read(moment, &data, out);
        }
    }

    /// Declares the first hole of a side a gap; false when there was none.
    fn give_up(&mut self, moment: Moment, out: &mut Output) -> bool {
        let Some(missing) = self.side(moment.from).give_up() else { return false };
        let stream = self.side(moment.from);
        let skipped = stream.skip.min(missing);
        stream.skip = stream.skip.saturating_sub(skipped);
        if skipped < missing {
            stream.pending.clear();
            stream.ask_at = 0;
            if let Stage::Parsing(_, parser) = &mut self.stage {
                let missing = missing.saturating_sub(skipped);
                let gap = catch_unwind(AssertUnwindSafe(|| parser.gap(moment.from, missing, out)));
                match gap.unwrap_or(Progress::Malformed(Oddity::ParserPanic)) {
                    Progress::Consumed(_) => {}
                    Progress::Handover(_) => self.stage = Stage::Probing,
                    Progress::Done => self.finish_early(out),
                    Progress::Malformed(oddity) => self.malformed(oddity, out),
                }
            }
        }
        self.note_services(out);
        self.follow(moment, out);
        true
    }

    /// Hands in-order bytes on, skipping what the parser does not want to see.
    fn read(&mut self, moment: Moment, fresh: &[u8], out: &mut Output) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        let stream = self.side(moment.from);
        let skipped = usize::try_from(stream.skip).unwrap_or(usize::MAX).min(fresh.len());
        stream.skip = stream.skip.saturating_sub(skipped as u64);
        let fresh = fresh.get(skipped..).unwrap_or_default();
        if fresh.is_empty() && stream.pending.is_empty() {
            return;
        }
        if stream.pending.len().saturating_add(fresh.len()) > MAX_PENDING.saturating_mul(2) {
            return self.malformed(Oddity::MessageTooLong, out);
        }
        match self.stage {
            Stage::Probing => {
                self.side(moment.from).pending.extend_from_slice(fresh);
                self.probe(moment, out);
            }
            Stage::Parsing(..) => self.parse(moment, fresh, out),
            Stage::Over => {}
        }
        self.note_services(out);
    }

    /// Looks for a protocol in what both sides have said so far.
    fn probe(&mut self, moment: Moment, out: &mut Output) {
        let (mut maybe, mut said) = (false, 0_usize);
        // Who spoke last is asked last: the first words tell most.
        for from in [moment.from.flip(), moment.from] {
            let data = std::mem::take(&mut self.side(from).pending);
            let found = if data.is_empty() { Found::Maybe } else { find(Moment { from, ..moment }, &data) };
            said = said.saturating_add(data.len());
            self.side(from).pending = data;
            match found {
                Found::Protocol(protocol) => {
                    self.start(protocol);
                    // The side that was recognised first goes first: a question before its answer.
                    self.parse(Moment { from, ..moment }, &[], out);
                    self.parse(Moment { from: from.flip(), ..moment }, &[], out);
                    return;
                }
                Found::Maybe => maybe = true,
                Found::Nothing => {}
            }
        }
        if !maybe || said > MAX_PROBE_BYTES {
            if let Some(protocol) = self.promised.and_then(Promised::protocol).filter(|_| self.services.is_empty()) {
                self.start(protocol);
                self.parse(moment, &[], out);
                return self.parse(Moment { from: moment.from.flip(), ..moment }, &[], out);
            }
            self.take_at_its_word();
            self.end();
        }
    }

    /// Bytes without a protocol are what they were promised to be.
    fn take_at_its_word(&mut self) {
        if self.promised == Some(Promised::FtpData) && self.services.is_empty() {
            self.add_service("ftp-data");
        }
    }

    fn parse(&mut self, moment: Moment, fresh: &[u8], out: &mut Output) {
        let mut pending = std::mem::take(&mut self.side(moment.from).pending);
        let buffered = !pending.is_empty();
        if buffered {
            pending.extend_from_slice(fresh);
            if pending.len() < self.side(moment.from).ask_at {
                self.side(moment.from).pending = pending;
                return;
            }
        }
        let data: &[u8] = if buffered { &pending } else { fresh };
        let mut at = 0_usize;
        let mut end = None;
        while let (Stage::Parsing(protocol, parser), Some(rest @ [_, ..])) = (&mut self.stage, data.get(at..)) {
            let progress = guarded(parser.as_mut(), protocol, moment, rest, out);
            match progress {
                Progress::Consumed(0) => break,
                Progress::Consumed(n) | Progress::Handover(n) => {
                    let skip = n.saturating_sub(rest.len());
                    self.side(moment.from).skip = skip as u64;
                    at = at.saturating_add(n.min(rest.len()));
                    if matches!(progress, Progress::Handover(_)) {
                        end = Some(progress);
                        break;
                    }
                }
                Progress::Done | Progress::Malformed(_) => {
                    end = Some(progress);
                    break;
                }
            }
        }
        let left = data.len().saturating_sub(at);
        let stream = self.side(moment.from);
        // A parser that waits is asked again only when enough has come: one byte at a time must not cost a whole
        // message each.
        stream.stalls = if at == 0 { stream.stalls.saturating_add(1) } else { 0 };
        let wait = if stream.stalls > FREE_STALLS { left / 8 } else { 0 };
        stream.ask_at = left.saturating_add(wait).min(MAX_PENDING);
        if buffered {
            pending.drain(..at.min(pending.len()));
        } else {
            pending.extend_from_slice(fresh.get(at..).unwrap_or_default());
        }
        let full = pending.len() > MAX_PENDING;
        stream.pending = pending;
        match end {
            None if full => self.malformed(Oddity::MessageTooLong, out),
            None => {}
            Some(Progress::Handover(_)) => {
                self.finish_parser(out);
                self.stage = Stage::Probing;
                if !self.orig.pending.is_empty() || !self.resp.pending.is_empty() {
                    self.probe(moment, out);
                }
            }
            Some(Progress::Malformed(oddity)) => self.malformed(oddity, out),
            Some(_) => self.finish_early(out),
        }
    }

    fn start(&mut self, protocol: &'static Protocol) {
        self.add_service(protocol.name);
        let mut parser = (protocol.new)();
        if let Some(promised) = self.promised {
            parser.expect(promised);
        }
        self.stage = Stage::Parsing(protocol, parser);
    }

    /// A parser that says `Done` or breaks off may still owe what it has gathered.
    fn finish_early(&mut self, out: &mut Output) {
        self.finish_parser(out);
        self.end();
    }

    fn finish_parser(&mut self, out: &mut Output) {
        let unfinished = [(Direction::Orig, self.orig.skip), (Direction::Resp, self.resp.skip)];
        let Stage::Parsing(_, parser) = &mut self.stage else { return };
        let told = catch_unwind(AssertUnwindSafe(|| {
            for (from, missing) in unfinished {
                if missing > 0 {
                    parser.unfinished(from, missing);
                }
            }
            parser.finish(out);
        }));
        if told.is_err() {
            out.weird(Oddity::ParserPanic);
        }
    }

    fn malformed(&mut self, oddity: Oddity, out: &mut Output) {
        if let Stage::Parsing(protocol, _) = &self.stage {
            let detail = Some(protocol.name.into());
            out.push(Event::Weird(Box::new(Weird { oddity, detail })));
        }
        self.finish_early(out);
    }

    fn end(&mut self) {
        self.stage = Stage::Over;
        self.orig.release();
        self.resp.release();
    }

    fn note_services(&mut self, out: &mut Output) {
        for service in std::mem::take(&mut out.services) {
            self.add_service(service);
        }
    }

    fn add_service(&mut self, name: &'static str) {
        if self.services.len() < MAX_SERVICES && !self.services.contains(&name) {
            self.services.push(name);
        }
    }
}

enum Found {
    Protocol(&'static Protocol),
    /// Some protocol wants more bytes.
    Maybe,
    Nothing,
}

/// Asks the protocols whose ports match first, then the rest in table order.
fn find(moment: Moment, data: &[u8]) -> Found {
    let mut maybe = false;
    let here = |p: &&&'static Protocol| p.transport == moment.transport;
    let at_port = |p: &&&'static Protocol| p.ports.iter().any(|port| moment.ports.contains(port));
    let bound = PORT_BOUND.iter().filter(here).filter(at_port);
    let first = PROTOCOLS.iter().filter(here).filter(at_port);
    let rest = PROTOCOLS.iter().filter(here).filter(|p| !at_port(p));
    for protocol in bound.chain(first).chain(rest) {
        match (protocol.probe)(moment.from, data) {
            Probe::Match => return Found::Protocol(protocol),
            Probe::NeedMore => maybe = true,
            Probe::Mismatch => {}
        }
    }
    if maybe { Found::Maybe } else { Found::Nothing }
}

/// Runs a parser so that its panic costs one flow's layer, not the sensor.
fn guarded(parser: &mut dyn Parser, protocol: &Protocol, moment: Moment, data: &[u8], out: &mut Output) -> Progress {
    let input = Input { from: moment.from, ts: moment.ts, data };
    out.shown = out.shown.saturating_add(data.len() as u64);
    catch_unwind(AssertUnwindSafe(|| parser.parse(input, out))).unwrap_or_else(|_| {
        tracing::error!(protocol = protocol.name, "parser panicked");
        Progress::Malformed(Oddity::ParserPanic)
    })
}

/// Datagrams of a flow that are shown to all probes before it is left alone.
const MAX_DATAGRAM_PROBES: u8 = 4;
/// Bytes of both sides together after which an unrecognised stream is left alone.
const MAX_PROBE_BYTES: usize = 4096;
/// Layers of one flow's `service`.
const MAX_SERVICES: usize = 8;
/// Holes that are read past when a flow ends.
const MAX_GAPS_AT_END: usize = 256;
/// Calls without progress before a parser is asked less often.
const FREE_STALLS: u32 = 32;
