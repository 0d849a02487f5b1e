//! TLS over TCP: records → handshake messages → one `Handshake` (RFC 8446 §5, RFC 5246 §6, SSLv2 framing by §E.2).
//!
//! Only the clear beginning is read. Once the hellos and the certificate are told the parser is done, and the flow costs
//! nothing any more. Pieces are taken as they come, so that a hello may be split over records and segments anywhere.
//! Only at WS-Management's port the records' sizes are followed to the end ([`wsmans`]).

mod certificate;
pub(super) mod dtls;
pub(super) mod exchange;
pub(super) mod hello;
mod ja3;
mod ja4;
mod join;
pub(super) mod pieces;
mod suites;
mod wsmans;

use self::exchange::{CLIENT_HELLO, Exchange, Message, SERVER_HELLO};
use self::join::Joiner;
use self::wsmans::Shape;
use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::{Reader, Timestamp};
use crate::event::{Direction, HandshakeTransport, Oddity, Transport};

/// TLS and SSL.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "ssl",
    transport: Transport::Tcp,
    ports: &[443, 8443, 636, 853, 993, 995, 465, 5986],
    probe,
    new: || Box::new(Tls::new()),
};

/// At the port of WS-Management over TLS.
pub(super) static WSMANS_AT_PORT: Protocol =
    Protocol { ports: &[5986], new: || Box::new(Tls { shape: Some(Shape::default()), ..Tls::new() }), ..PROTOCOL };

fn probe(_: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    match r.u8() {
        None => Probe::NeedMore,
        Some(HANDSHAKE | ALERT) => probe_record(data).unwrap_or(Probe::NeedMore),
        Some(0x80..) => probe_old_hello(data).unwrap_or(Probe::NeedMore),
        Some(_) => Probe::Mismatch,
    }
}

/// A hello in a record, perhaps after an alert.
fn probe_record(data: &[u8]) -> Option<Probe> {
    let mut r = Reader::new(data);
    let kind = r.u8()?;
    let good = r.u8()? == 3 && r.u8()? <= 4;
    if !good {
        return Some(Probe::Mismatch);
    }
    let len = usize::from(r.u16()?);
    Some(match kind {
        ALERT if len == 2 => {
            r.skip(2)?;
            if r.is_empty() { Probe::NeedMore } else { probe_record(r.rest())? }
        }
        HANDSHAKE if (1..=MAX_RECORD).contains(&len) => match r.u8()? {
            0..=2 => Probe::Match,
            _ => Probe::Mismatch,
        },
        _ => Probe::Mismatch,
    })
}

/// RFC 5246 §E.2: two bytes of length with the high bit set, message type, version, three lengths that add up.
fn probe_old_hello(data: &[u8]) -> Option<Probe> {
    let hello = match OldHello::parse(data) {
        Ok(hello) => hello,
        Err(verdict) => return verdict,
    };
    let good = matches!(hello.version, 0x0002 | 0x0300..=0x0303) && hello.adds_up;
    Some(if good { Probe::Match } else { Probe::Mismatch })
}

/// The fixed part of an SSLv2-framed client hello.
struct OldHello {
    /// Record length, header included.
    total: usize,
    version: u16,
    adds_up: bool,
}

impl OldHello {
    /// `Err(None)`: more bytes are needed; `Err(Some(…))`: it is none.
    fn parse(data: &[u8]) -> Result<Self, Option<Probe>> {
        let mut r = Reader::new(data);
        let len = r.u16().ok_or(None)?;
        let kind = r.u8().ok_or(None)?;
        if len & 0x8000 == 0 || kind != CLIENT_HELLO {
            return Err(Some(Probe::Mismatch));
        }
        let version = r.u16().ok_or(None)?;
        let mut field = || r.u16().map(usize::from).ok_or(None);
        let (suites, session, challenge) = (field()?, field()?, field()?);
        let len = usize::from(len & 0x7fff);
        let sum = OLD_FIXED.saturating_add(suites).saturating_add(session).saturating_add(challenge);
        let adds_up = sum == len
            && suites > 0
            && suites.is_multiple_of(3)
            && matches!(session, 0 | 16)
            && (16..=32).contains(&challenge);
        Ok(Self { total: len.saturating_add(2), version, adds_up })
    }
}

struct Tls {
    sides: [Side; 2],
    exchange: Exchange,
    /// What the records' sizes tell, where that is asked for.
    shape: Option<Shape>,
}

/// One side's record layer.
#[derive(Default)]
struct Side {
    /// Bytes of the handshake record at hand that have not come.
    record_left: usize,
    joiner: Joiner,
    state: State,
    /// When its newest bytes came.
    heard: Timestamp,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// At the very start: SSLv2 framing is possible.
    #[default]
    Start,
    /// Records in clear.
    Clear,
    /// After a gap: reading goes on only if a record with a hello starts here.
    Lost,
    /// Encrypted or unreadable: nothing more from this side.
    Over,
}

impl Tls {
    fn new() -> Self {
        Self { sides: Default::default(), exchange: Exchange::new(HandshakeTransport::Tls), shape: None }
    }

    fn side(&mut self, from: Direction) -> &mut Side {
        let [orig, resp] = &mut self.sides;
        match from {
            Direction::Orig => orig,
            Direction::Resp => resp,
        }
    }

    /// Nothing more can be learned; what there is, `finish` tells.
    fn is_over(&self) -> bool {
        self.exchange.is_settled() || self.sides.iter().all(|side| side.state == State::Over)
    }

    /// Passes over a record of a session whose handshake was told, noting its size.
    fn watch(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let left = std::mem::take(&mut self.side(input.from).record_left);
        if left > 0 {
            return Progress::Consumed(left);
        }
        let mut r = Reader::new(input.data);
        let (Some(kind), Some(version), Some(len)) = (r.u8(), r.u16(), r.u16()) else { return Progress::Consumed(0) };
        let len = usize::from(len);
        if !(CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&kind) || version >> 8 != 3 || len > MAX_RECORD {
            return Progress::Done;
        }
        if let Some(shape) = self.shape.as_mut().filter(|_| kind == APPLICATION_DATA) {
            shape.record(input.from, len as u64, out);
        }
        Progress::Consumed(RECORD_HEADER.saturating_add(len))
    }

    /// Takes bytes of a handshake record.
    fn handshake(&mut self, data: &[u8], input: Input<'_>, out: &mut Output) {
        let Self { sides: [orig, resp], exchange, .. } = self;
        let side = if input.from == Direction::Orig { orig } else { resp };
        let mut cut = false;
        side.joiner.feed(data, |message| {
            if !cut {
                exchange.message(message, input.from, input.ts, out);
            }
            cut |= !message.whole;
        });
        if cut {
            side.joiner.clear();
            side.state = State::Over;
            exchange.moved_on(input.from);
        }
    }

    /// A last look at a hello or certificate whose end never came.
    fn salvage(&mut self, from: Direction, out: &mut Output) {
        let Self { sides: [orig, resp], exchange, .. } = self;
        let side = if from == Direction::Orig { orig } else { resp };
        if let Some(message) = side.joiner.rest() {
            exchange.message(Message { whole: false, ..message }, from, side.heard, out);
        }
        side.joiner.clear();
        side.record_left = 0;
    }

    /// An SSLv2-framed message at the start of a side; `None` when it is none.
    fn old_message(&mut self, input: Input<'_>) -> Option<Progress> {
        let mut r = Reader::new(input.data);
        let Some(len) = r.u16() else { return Some(Progress::Consumed(0)) };
        if len & 0x8000 == 0 {
            return None;
        }
        match OldHello::parse(input.data) {
            Err(None) => return Some(Progress::Consumed(0)),
            Ok(hello) if hello.adds_up => {
                self.exchange.old_client_hello(input.from, input.ts);
                return Some(Progress::Consumed(hello.total));
            }
            _ => {}
        }
        let total = usize::from(len & 0x7fff).saturating_add(2);
        if input.data.len() < total && total <= MAX_RECORD {
            return Some(Progress::Consumed(0));
        }
        // SSLv2 SERVER-HELLO: session-id-hit, certificate-type, version, three lengths, certificate.
        let mut r = Reader::new(input.data);
        r.skip(2)?;
        if r.u8()? != OLD_SERVER_HELLO {
            return None;
        }
        r.skip(2)?;
        if r.u16()? != 0x0002 {
            return None;
        }
        let len = usize::from(r.u16()?);
        r.skip(4)?;
        self.exchange.old_server_hello(r.take(len)?, input.from, input.ts);
        Some(Progress::Consumed(total))
    }

    /// Takes one record or, of a handshake record, what is there.
    fn record(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let left = self.side(input.from).record_left;
        if left > 0 {
            let data = input.data.get(..left.min(input.data.len())).unwrap_or_default();
            self.side(input.from).record_left = left.saturating_sub(data.len());
            self.handshake(data, input, out);
            return Progress::Consumed(data.len());
        }
        if self.side(input.from).state == State::Start {
            match self.old_message(input) {
                Some(Progress::Consumed(0)) => return Progress::Consumed(0),
                Some(progress) => {
                    self.side(input.from).state = State::Clear;
                    return progress;
                }
                None => self.side(input.from).state = State::Clear,
            }
        }
        let mut r = Reader::new(input.data);
        let (Some(kind), Some(version), Some(len)) = (r.u8(), r.u16(), r.u16()) else { return Progress::Consumed(0) };
        let len = usize::from(len);
        let good = (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&kind) && version >> 8 == 3 && len <= MAX_RECORD;
        if self.side(input.from).state == State::Lost {
            let hello = kind == HANDSHAKE && matches!(r.u8(), Some(CLIENT_HELLO | SERVER_HELLO));
            self.side(input.from).state = if good && hello { State::Clear } else { State::Over };
            if self.side(input.from).state == State::Over {
                self.exchange.moved_on(input.from);
                return Progress::Consumed(usize::MAX);
            }
        }
        if !good {
            return Progress::Malformed(Oddity::TlsMalformed);
        }
        match kind {
            HANDSHAKE => {
                self.side(input.from).record_left = len;
                return Progress::Consumed(RECORD_HEADER);
            }
            CHANGE_CIPHER_SPEC => {
                if self.exchange.change_cipher_spec(input.from) {
                    self.side(input.from).state = State::Over;
                }
            }
            ALERT => {}
            _ => {
                self.exchange.moved_on(input.from);
                self.side(input.from).state = State::Over;
            }
        }
        Progress::Consumed(RECORD_HEADER.saturating_add(len))
    }
}

impl Parser for Tls {
    fn held(&self) -> usize {
        self.sides.iter().map(|side| side.joiner.held()).fold(0, usize::saturating_add)
    }

    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        self.side(input.from).heard = input.ts;
        if self.shape.is_some() && (self.is_over() || self.side(input.from).state == State::Over) {
            if self.is_over() {
                self.exchange.tell(out);
            }
            return self.watch(input, out);
        }
        let progress = match self.side(input.from).state {
            State::Over => Progress::Consumed(usize::MAX),
            _ => self.record(input, out),
        };
        if self.is_over() && self.shape.is_none() { Progress::Done } else { progress }
    }

    fn gap(&mut self, from: Direction, _missing: u64, out: &mut Output) -> Progress {
        self.salvage(from, out);
        if self.side(from).state != State::Over {
            self.side(from).state = State::Lost;
        }
        if self.is_over() || self.shape.is_some() { Progress::Done } else { Progress::Consumed(0) }
    }

    fn finish(&mut self, out: &mut Output) {
        self.salvage(Direction::Orig, out);
        self.salvage(Direction::Resp, out);
        self.exchange.tell(out);
        if let Some(shape) = &mut self.shape {
            shape.finish(out);
        }
    }
}

/// Type, version, length.
const RECORD_HEADER: usize = 5;
/// RFC 5246 §6.2.3: 2^14 and 2048 for what encryption adds.
const MAX_RECORD: usize = (1 << 14) + 2048;
/// Type, version and three lengths of an SSLv2-framed hello.
const OLD_FIXED: usize = 9;
const OLD_SERVER_HELLO: u8 = 4;
// RFC 8446 §5.1, RFC 6520 §3.
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

#[cfg(test)]
mod tests;
