//! DCE-RPC, connection-oriented (C706 §12, MS-RPCE): who calls which operation of which interface.
//!
//! The same machine reads a TCP stream ([`PROTOCOL`], any port, by content) and the bytes of an SMB pipe ([`Pipe`]).
//! What a call amounts to is in `acts`, its name in `operations`. Connectionless DCE-RPC is not read.

mod acts;
mod conversation;
mod dcom;
mod mapper;
mod operations;
mod pdu;
mod pipe;
mod services;
mod uuid;

#[cfg(test)]
pub(in crate::protocol) mod tests;

pub(in crate::protocol) use pipe::Pipe;

use super::{Input, Output, Parser, Probe, Progress, Promise, Promised, Protocol};
use crate::event::{Direction, Oddity, Transport};
use conversation::Conversation;
use pdu::{CALL_LEN, HEADER_LEN, Header};

/// DCE-RPC over TCP. 135 is the endpoint mapper; everything else is on ports it hands out.
pub(super) static PROTOCOL: Protocol =
    Protocol { name: "dce_rpc", transport: Transport::Tcp, ports: &[135], probe, new: || Box::new(Tcp::default()) };

fn probe(_from: Direction, data: &[u8]) -> Probe {
    if data.len() >= HEADER_LEN {
        return if Header::read(data).is_some() { Probe::Match } else { Probe::Mismatch };
    }
    // Version, minor version, type; SOCKS 5 begins with the same byte but not the same way.
    let plausible = match data {
        [5, 0 | 1, kind, ..] => *kind <= 19,
        [5, 0 | 1] | [5] | [] => true,
        _ => false,
    };
    if plausible { Probe::NeedMore } else { Probe::Mismatch }
}

/// What reading one PDU came to.
enum Step {
    /// More bytes are needed.
    NeedMore,
    /// The PDU is this long; it may reach beyond the bytes given.
    Taken(usize),
    /// Not a PDU.
    Lost,
}

/// Takes the PDU at the start of `data`.
fn step(conversation: &mut Conversation, data: &[u8], out: &mut Output) -> Step {
    if data.len() < HEADER_LEN {
        return Step::NeedMore;
    }
    let Some(header) = Header::read(data) else { return Step::Lost };
    if data.len() < CALL_LEN.min(header.frag_len) {
        return Step::NeedMore;
    }
    let wanted = conversation.wanted(&header, data);
    let Some(pdu) = data.get(..wanted) else { return Step::NeedMore };
    let whole = data.get(..header.frag_len).unwrap_or(pdu);
    conversation.take(&header, whole, out);
    Step::Taken(header.frag_len)
}

/// Where a whole PDU may begin, after bytes went missing; everything up to the last header's length when nowhere.
fn resume(data: &[u8]) -> usize {
    let last = data.len().saturating_sub(HEADER_LEN);
    (0..last).find(|at| data.get(*at..).is_some_and(|rest| Header::read(rest).is_some())).unwrap_or(last)
}

#[derive(Default)]
struct Tcp {
    conversation: Conversation,
    /// Sides that lost bytes and look for the next PDU.
    lost: [bool; 2],
    losses: u8,
}

impl Tcp {
    fn lost(&mut self, from: Direction) -> &mut bool {
        let [orig, resp] = &mut self.lost;
        match from {
            Direction::Orig => orig,
            Direction::Resp => resp,
        }
    }
}

impl Parser for Tcp {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        if *self.lost(input.from) {
            let at = resume(input.data);
            *self.lost(input.from) = input.data.get(at..).and_then(Header::read).is_none();
            if at > 0 || *self.lost(input.from) {
                return Progress::Consumed(at);
            }
        }
        match step(&mut self.conversation, input.data, out) {
            Step::NeedMore => Progress::Consumed(0),
            Step::Taken(n) => {
                let side = input.from; // Who answered is who listens.
                let mapped = self.conversation.mapped.drain(..);
                out.promises.extend(mapped.map(|(uuid, port)| Promise { side, port, what: Promised::Rpc(uuid.0) }));
                Progress::Consumed(n)
            }
            Step::Lost if self.losses < MAX_LOSSES => {
                self.losses += 1;
                *self.lost(input.from) = true;
                // At least the first byte is no PDU's; the rest is looked at again.
                Progress::Consumed(1)
            }
            Step::Lost => Progress::Malformed(Oddity::DcerpcMalformed),
        }
    }

    fn expect(&mut self, promised: Promised) {
        if let Promised::Rpc(interface) = promised {
            self.conversation.expect(uuid::Uuid(interface));
        }
    }

    fn gap(&mut self, from: Direction, _missing: u64, _out: &mut Output) -> Progress {
        *self.lost(from) = true;
        Progress::Consumed(0)
    }
}

/// Times that a connection may be out of step before it is taken for something else.
const MAX_LOSSES: u8 = 16;
