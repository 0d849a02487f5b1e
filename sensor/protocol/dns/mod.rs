//! DNS over UDP and TCP (RFC 1035, RFC 7766), multicast DNS (RFC 6762), LLMNR (RFC 4795) and NetBIOS names
//! (RFC 1002 §4.2): who asked for which name, and what the answer was.
//!
//! Own walk over the message instead of a crate's: a message that the capture or a middlebox cut still gives its
//! question and every whole record, which whole-message parsers refuse. What it does not do: validate DNSSEC, follow
//! zone transfers, read dynamic updates (RFC 2136) and NOTIFY (RFC 1996), which are no look-ups.

mod codes;
mod lookups;
mod message;
mod multicast;
mod name;
mod netbios;
mod record;
#[cfg(test)]
mod tests;

pub(super) use multicast::{LLMNR, MDNS};
pub(super) use netbios::NBNS;

use super::{Input, MAX_PENDING, Output, Parser, Probe, Progress, Protocol};
use crate::base::Reader;
use crate::event::{Direction, Oddity, ResolutionProtocol, Transport};
use lookups::{Answer, Asked, Lookups};
use message::{Message, QUERY};
use name::Flaw;

/// The name at `r`, a reader over the whole message, for protocols that borrow DNS's encoding.
pub(super) fn name_in(r: &mut Reader<'_>) -> Option<Box<str>> {
    name::read(r).ok()
}

/// Recognised by content on any port.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "dns",
    transport: Transport::Udp,
    ports: &[53],
    probe: |_, data| if is_dns(data) { Probe::Match } else { Probe::Mismatch },
    new: || Box::new(Datagrams(Dns::new())),
};

/// At its own port a message may be cut or oddly filled.
pub(super) static AT_PORT: Protocol = Protocol { probe: probe_at_port, ..PROTOCOL };

/// RFC 7766: a length before each message.
pub(super) static OVER_TCP: Protocol = Protocol {
    name: "dns",
    transport: Transport::Tcp,
    ports: &[53],
    probe: probe_tcp,
    new: || Box::new(Segments(Dns::new())),
};

/// A whole message: plausible header, a question of a known class, every record, nothing behind them.
fn is_dns(data: &[u8]) -> bool {
    let Some(mut message) = Message::new(data).filter(|m| m.header.is_plausible()) else { return false };
    let [questions, rest @ ..] = message.header.counts.map(u32::from);
    let records: u32 = rest.iter().sum();
    if questions == 0 && records == 0 {
        return false; // Twelve bytes prove nothing.
    }
    for _ in 0..questions {
        if !message.question_kind().is_ok_and(|(qtype, class)| qtype != 0 && is_class(class)) {
            return false;
        }
    }
    for _ in 0..records {
        if message.record().is_err() {
            return false;
        }
    }
    message.remaining() == 0
}

/// IN, CH, HS, NONE, ANY (RFC 6895 §3.2).
const fn is_class(class: u16) -> bool {
    matches!(class, 1 | 3 | 4 | 254 | 255)
}

fn probe_at_port(_from: Direction, data: &[u8]) -> Probe {
    let Some(mut message) = Message::new(data).filter(|m| m.header.is_plausible()) else { return Probe::Mismatch };
    match message.header.counts {
        [0, ..] => Probe::Match,
        _ => match message.question_kind() {
            Ok((_, class)) if !is_class(class) => Probe::Mismatch,
            Err(Flaw::Malformed) => Probe::Mismatch,
            Ok(_) | Err(_) => Probe::Match,
        },
    }
}

fn probe_tcp(_from: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    let Some(len) = r.u16() else { return Probe::NeedMore };
    if usize::from(len) < MIN_MESSAGE {
        return Probe::Mismatch;
    }
    let body = r.take(usize::from(len).min(r.remaining())).unwrap_or_default();
    let Some(mut message) = Message::new(body) else { return Probe::NeedMore };
    if !message.header.is_plausible() || message.header.counts.starts_with(&[0]) {
        return Probe::Mismatch;
    }
    match message.question_kind() {
        Ok((qtype, class)) if qtype != 0 && is_class(class) => Probe::Match,
        Err(Flaw::Cut) if body.len() < usize::from(len) => Probe::NeedMore,
        Ok(_) | Err(_) => Probe::Mismatch,
    }
}

/// What both transports share.
struct Dns {
    lookups: Lookups,
}

impl Dns {
    fn new() -> Self {
        Self { lookups: Lookups::new(ResolutionProtocol::Dns) }
    }

    fn message(&mut self, input: Input<'_>, out: &mut Output) {
        let Some(mut message) = Message::new(input.data) else { return out.weird(Oddity::DnsTruncated) };
        if message.header.opcode() != QUERY {
            return;
        }
        let (asked, mut flaw) = questions(&mut message);
        if message.header.is_response() {
            let (mut answer, broken) = if flaw.is_none() { Answer::read(&mut message) } else { Default::default() };
            flaw = flaw.or(broken);
            if asked.is_empty() && flaw.is_none() {
                self.lookups.answer_by_id(input, message.header.id, std::mem::take(&mut answer), out);
            }
            let mut asked = asked.into_iter();
            let last = asked.next_back();
            for asked in asked {
                self.lookups.answer(input, asked, answer.clone(), out);
            }
            if let Some(asked) = last {
                self.lookups.answer(input, asked, answer, out);
            }
        } else {
            for asked in asked {
                self.lookups.ask(input, asked, out);
            }
        }
        if let Some(flaw) = flaw {
            out.weird(oddity(flaw));
        }
    }
}

/// The questions of a message that can be read.
fn questions(message: &mut Message<'_>) -> (Vec<Asked>, Option<Flaw>) {
    let count = message.header.counts[0].min(MAX_QUESTIONS);
    let mut all = Vec::with_capacity(count.into());
    for _ in 0..count {
        match message.question() {
            Ok(q) => all.push(Asked { id: message.header.id, query: q.name, qtype: codes::type_name(q.qtype) }),
            Err(flaw) => return (all, Some(flaw)),
        }
    }
    (all, None)
}

const fn oddity(flaw: Flaw) -> Oddity {
    match flaw {
        Flaw::Cut => Oddity::DnsTruncated,
        Flaw::Malformed => Oddity::DnsMalformed,
        Flaw::Loop => Oddity::DnsNameLoop,
    }
}

struct Datagrams(Dns);

impl Parser for Datagrams {
    fn held(&self) -> usize {
        self.0.lookups.held()
    }

    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        self.0.message(input, out);
        Progress::Consumed(input.data.len())
    }

    fn finish(&mut self, out: &mut Output) {
        self.0.lookups.finish(out);
    }

    fn idle(&self) -> bool {
        self.0.lookups.is_empty()
    }
}

struct Segments(Dns);

impl Parser for Segments {
    fn held(&self) -> usize {
        self.0.lookups.held()
    }

    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let mut r = Reader::new(input.data);
        let Some(len) = r.u16() else { return Progress::Consumed(0) };
        let len = usize::from(len);
        if len < MIN_MESSAGE {
            return Progress::Malformed(Oddity::DnsMalformed);
        }
        let whole = len.saturating_add(LENGTH);
        let data = match r.take(len) {
            Some(data) => data,
            // The largest messages exceed the budget: what fits is read, the rest is passed over.
            None if input.data.len() >= MAX_PENDING => r.rest(),
            None => return Progress::Consumed(0),
        };
        self.0.message(Input { data, ..input }, out);
        Progress::Consumed(whole)
    }

    fn finish(&mut self, out: &mut Output) {
        self.0.lookups.finish(out);
    }
}

/// A header.
const MIN_MESSAGE: usize = 12;
/// RFC 7766 §8: two bytes of length.
const LENGTH: usize = 2;
/// One is usual; multicast DNS asks some twenty at once.
const MAX_QUESTIONS: u16 = 64;
