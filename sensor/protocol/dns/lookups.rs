//! Questions and their answers: one [`Resolution`] a transaction, paired by id, side and question (RFC 5452 §9.1 lets
//! nothing else pair). A repeated question is the same transaction. What stays without an answer is told when the flow
//! ends or when too much is outstanding.

use super::codes;
use super::message::Message;
use super::name::Flaw;
use super::record;
use crate::base::{Ring, Timestamp};
use crate::event::{Direction, EchConfig, Event, Oddity, Resolution, ResolutionProtocol};
use crate::protocol::{Input, Output};
use std::borrow::Cow;
use std::net::IpAddr;

/// What one flow has asked and not been told yet.
pub(super) struct Lookups {
    protocol: ResolutionProtocol,
    waiting: Ring<Waiting>,
    /// Told once a flow: a flood must not double itself.
    overflowed: bool,
}

/// One question on its way.
#[derive(Clone, Debug)]
struct Waiting {
    id: u16,
    from: Direction,
    asked: Timestamp,
    query: Box<str>,
    qtype: Cow<'static, str>,
}

/// A question as the lookup protocols share it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: u16,
    pub(super) query: Box<str>,
    pub(super) qtype: Cow<'static, str>,
}

/// What a response says.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) rcode: Option<Box<str>>,
    pub(super) answers: Vec<Box<str>>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ttls: Vec<u32>,
    pub(super) ech: Vec<EchConfig>,
}

impl Lookups {
    /// Bytes of memory, a question's name taken as a long one's.
    pub(super) fn held(&self) -> usize {
        self.waiting.len().saturating_mul(size_of::<Waiting>().saturating_add(NAME_BYTES))
    }

    pub(super) fn new(protocol: ResolutionProtocol) -> Self {
        Self { protocol, waiting: Ring::new(MAX_OUTSTANDING), overflowed: false }
    }

    /// Nothing waits for an answer.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A question that an answer on this flow may follow.
    pub(super) fn ask(&mut self, input: Input<'_>, asked: Asked, out: &mut Output) {
        let again = |w: &Waiting| {
            w.id == asked.id && w.from == input.from && w.qtype == asked.qtype && same(&w.query, &asked.query)
        };
        if self.waiting.iter().any(again) {
            return; // Sent again: RFC 1035 §4.2.1.
        }
        let Asked { id, query, qtype } = asked;
        let waiting = Waiting { id, from: input.from, asked: input.ts, query, qtype };
        if let Some(oldest) = self.waiting.push(waiting) {
            if !std::mem::replace(&mut self.overflowed, true) {
                out.weird(Oddity::TooManyOutstanding);
            }
            self.tell(oldest, None, Answer::default(), out);
        }
    }

    /// A question whose answer comes on another flow, if at all (multicast, broadcast).
    pub(super) fn announce(&self, ts: Timestamp, asked: Asked, out: &mut Output) {
        let Asked { id, query, qtype } = asked;
        let waiting = Waiting { id, from: Direction::Orig, asked: ts, query, qtype };
        self.tell(waiting, None, Answer::default(), out);
    }

    /// An answer to that question, asked on this flow or not.
    pub(super) fn answer(&mut self, input: Input<'_>, asked: Asked, answer: Answer, out: &mut Output) {
        let waits = |w: &Waiting| {
            w.id == asked.id && w.from == input.from.flip() && w.qtype == asked.qtype && same(&w.query, &asked.query)
        };
        match self.waiting.take(waits) {
            Some(waiting) => self.tell(waiting, Some(input.ts), answer, out),
            None if is_transfer(&asked.qtype) => {} // RFC 5936 §2.2: more messages of one answer.
            None => {
                let Asked { id, query, qtype } = asked;
                let unasked = Waiting { id, from: input.from.flip(), asked: input.ts, query, qtype };
                self.tell(unasked, None, answer, out);
            }
        }
    }

    /// A response that does not repeat the question (some FORMERR and REFUSED) answers the oldest with its id.
    pub(super) fn answer_by_id(&mut self, input: Input<'_>, id: u16, answer: Answer, out: &mut Output) {
        if let Some(waiting) = self.waiting.take(|w| w.id == id && w.from == input.from.flip()) {
            self.tell(waiting, Some(input.ts), answer, out);
        }
    }

    /// Tells what stayed without an answer.
    pub(super) fn finish(&mut self, out: &mut Output) {
        while let Some(waiting) = self.waiting.take(|_| true) {
            self.tell(waiting, None, Answer::default(), out);
        }
    }

    fn tell(&self, waiting: Waiting, answered: Option<Timestamp>, answer: Answer, out: &mut Output) {
        out.push(Event::Resolution(Box::new(Resolution {
            asked: waiting.asked,
            protocol: self.protocol,
            query: waiting.query,
            qtype: waiting.qtype.into(),
            rcode: answer.rcode,
            answers: answer.answers,
            addresses: answer.addresses,
            ttls: answer.ttls,
            rtt: answered.map(|at| at.since(waiting.asked)),
            ech: answer.ech,
        })));
    }
}

impl Answer {
    /// Reads the records of a response. Whole records before a flaw are kept.
    pub(super) fn read(message: &mut Message<'_>) -> (Self, Option<Flaw>) {
        let mut answer = Self::default();
        let mut extended = 0_u16;
        let [_, answers, authority, additional] = message.header.counts.map(u32::from);
        let total = answers.saturating_add(authority).saturating_add(additional).min(MAX_RECORDS);
        let room = usize::try_from(answers.min(USUAL_ANSWERS)).unwrap_or(0);
        answer.answers.reserve(room);
        answer.ttls.reserve(room);
        answer.addresses.reserve(room);
        let mut flaw = None;
        for n in 0..total {
            let record = match message.record() {
                Ok(record) => record,
                Err(broken) => {
                    flaw = Some(broken);
                    break;
                }
            };
            if record.rtype == codes::OPT {
                // RFC 6891 §6.1.3: the upper eight bits of the response code are in the TTL.
                extended = u16::try_from(record.ttl >> 24).unwrap_or(0);
            } else if n < answers {
                answer.answers.push(record::text(message, &record, &mut answer.addresses));
                record::ech_configs(message, &record, &mut answer.ech);
                answer.ttls.push(record.ttl);
            }
        }
        answer.rcode = Some(codes::rcode_name(extended << 4 | message.header.rcode()));
        (answer, flaw)
    }
}

/// RFC 4343: names are compared without regard to case; some clients vary it on purpose.
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn is_transfer(qtype: &str) -> bool {
    matches!(qtype, "AXFR" | "IXFR")
}

/// A name and a type, with what the allocator adds.
const NAME_BYTES: usize = 96;
/// A busy resolver behind one port has a few dozen questions on their way; the oldest of more is given up.
const MAX_OUTSTANDING: usize = 256;
/// Records of one response that are looked at: some forty addresses are a lot, thousands an attack (16 bytes each in
/// 64 KiB, all with names of 255 bytes by compression).
const MAX_RECORDS: u32 = 256;
/// Answers that room is made for at once, whatever a header claims.
const USUAL_ANSWERS: u32 = 8;
