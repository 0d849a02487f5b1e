//! QUIC: the hellos in Initial packets (RFC 9000, RFC 9001 §5, RFC 9369) → one `Handshake`.
//!
//! Initial packets are protected with keys that derive from the client's first connection id, so they can be read; what
//! comes after cannot. A hello may take several packets and its pieces may come in any order. A Retry, another version or
//! a new attempt start over with the next client packet that opens under keys of its own.

mod keys;
mod packet;

use self::keys::Keys;
use self::packet::{FIXED, Kind, LONG, Packet, Version, crypto_frames, version_name};
use super::tls::exchange::{Exchange, Message};
use super::tls::pieces::Pieces;
use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::{Reader, Timestamp};
use crate::event::{Direction, HandshakeTransport, Oddity, Transport};

/// QUIC.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "quic",
    transport: Transport::Udp,
    ports: &[443, 80, 8443, 853],
    probe,
    new: || Box::new(Quic::new()),
};

fn probe(_: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    let Some(packet) = Packet::read(&mut r) else { return Probe::Mismatch };
    let good = match packet.kind {
        Kind::Unknown => false,
        // RFC 9000 §17.2.1: a list of versions; the first bits say nothing.
        Kind::VersionNegotiation => negotiates(data),
        _ => packet.dcid.len() <= MAX_CONNECTION_ID,
    };
    if good { Probe::Match } else { Probe::Mismatch }
}

/// A version negotiation packet names at least one version we know, and nothing but versions.
fn negotiates(data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    let list = (|| {
        r.skip(5)?;
        for _ in 0..2 {
            let len = usize::from(r.u8()?);
            r.skip(len)?;
        }
        Some(r.rest())
    })();
    let versions = list.unwrap_or_default();
    versions.len().is_multiple_of(4)
        && versions.chunks_exact(4).any(|v| v.try_into().is_ok_and(|v| Version::new(u32::from_be_bytes(v)).is_some()))
}

struct Quic {
    attempt: Option<Attempt>,
    exchange: Exchange,
    /// Datagrams that came before the client's first Initial.
    held: Vec<Held>,
    /// Client packets that no keys opened.
    failures: u8,
    /// Datagrams without any attempt that could be read.
    strangers: u8,
    /// When the newest datagram came.
    heard: Timestamp,
    /// Where packets are opened.
    room: Vec<u8>,
}

/// A datagram that waits for its keys.
struct Held {
    from: Direction,
    ts: Timestamp,
    data: Vec<u8>,
}

/// A connection attempt whose keys are known.
struct Attempt {
    client: Direction,
    version: Version,
    keys: [Keys; 2],
    crypto: [Pieces; 2],
}

/// What an Initial turned out to be.
enum Opened {
    /// Nothing new, or not opened.
    Nothing,
    /// It began an attempt.
    Began,
    /// It belongs to the attempt at hand.
    More,
}

impl Quic {
    fn new() -> Self {
        Self {
            attempt: None,
            exchange: Exchange::new(HandshakeTransport::Quic),
            held: Vec::new(),
            failures: 0,
            strangers: 0,
            heard: Timestamp::MIN,
            room: Vec::new(),
        }
    }

    fn datagram(&mut self, from: Direction, ts: Timestamp, data: &[u8], out: &mut Output) {
        let mut r = Reader::new(data);
        for _ in 0..MAX_COALESCED {
            let Some(packet) = Packet::read(&mut r) else {
                self.short(from, r.rest());
                return;
            };
            if packet.kind != Kind::Initial {
                continue;
            }
            match self.open(&packet, from) {
                Opened::Began => {
                    let fact = self.exchange.fact_mut();
                    fact.quic_version = Some(version_name(packet.number));
                    self.hellos(ts, out);
                    for held in std::mem::take(&mut self.held) {
                        self.datagram(held.from, held.ts, &held.data, out);
                    }
                }
                Opened::More => self.hellos(ts, out),
                Opened::Nothing if self.attempt.is_none() => {
                    if self.held.len() < MAX_HELD && data.len() <= MAX_DATAGRAM {
                        self.held.push(Held { from, ts, data: data.to_vec() });
                    } else {
                        self.failures = self.failures.saturating_add(1);
                    }
                    return;
                }
                Opened::Nothing => self.failures = self.failures.saturating_add(1),
            }
        }
    }

    /// Opens an Initial with the keys at hand or, when it is a client's first, with keys of its own.
    fn open(&mut self, packet: &Packet<'_>, from: Direction) -> Opened {
        let Self { attempt, room, exchange, .. } = self;
        if let Some(Attempt {
            client,
            version,
            keys: [client_keys, server_keys],
            crypto: [client_crypto, server_crypto],
        }) = attempt
        {
            let (keys, crypto) =
                if *client == from { (client_keys, client_crypto) } else { (server_keys, server_crypto) };
            if let Some(payload) = packet.open(keys, room) {
                // A frame that has no place here ends the reading; what came before it stands.
                let _ = crypto_frames(*version, payload, |offset, data| crypto.take(offset, data));
                return Opened::More;
            }
            if *client != from || exchange.is_settled() {
                return Opened::Nothing;
            }
        }
        let Some(version) = Version::new(packet.number) else { return Opened::Nothing };
        let Some(keys) = keys::initial(version, packet.dcid) else { return Opened::Nothing };
        let [client_keys, _] = &keys;
        let Some(payload) = packet.open(client_keys, room) else { return Opened::Nothing };
        let mut asked = Pieces::default();
        let _ = crypto_frames(version, payload, |offset, data| asked.take(offset, data));
        *attempt = Some(Attempt { client: from, version, keys, crypto: [asked, Pieces::default()] });
        Opened::Began
    }

    /// Hands on the hellos that are complete.
    fn hellos(&mut self, ts: Timestamp, out: &mut Output) {
        let Some(Attempt { client, crypto: [asked, answered], .. }) = &mut self.attempt else { return };
        for (from, crypto) in [(*client, asked), (client.flip(), answered)] {
            if let Some(message) = message(crypto.start()).filter(|message| message.whole) {
                out.service("ssl");
                self.exchange.message(message, from, ts, out);
                crypto.clear();
            }
        }
    }

    /// A short header: the handshake is behind this side, so what was not seen of it will not come.
    fn short(&mut self, from: Direction, data: &[u8]) {
        // Zeros pad datagrams, too; the fixed bit tells (RFC 9000 §17.3.1).
        let is_short = data.first().is_some_and(|first| first & (LONG | FIXED) == FIXED);
        let is_client = self.attempt.as_ref().is_some_and(|attempt| attempt.client == from);
        if is_short && is_client && self.exchange.has_client_hello() {
            self.exchange.settle();
        }
    }
}

impl Parser for Quic {
    fn held(&self) -> usize {
        let datagrams = self.held.iter().map(|held| held.data.capacity());
        let pieces = self.attempt.iter().flat_map(|attempt| &attempt.crypto).map(Pieces::held);
        datagrams.chain(pieces).fold(self.room.capacity(), usize::saturating_add)
    }

    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        self.heard = input.ts;
        self.datagram(input.from, input.ts, input.data, out);
        self.strangers = self.strangers.saturating_add(u8::from(self.attempt.is_none()));
        if self.exchange.is_settled() || self.strangers >= MAX_STRANGERS {
            return Progress::Done;
        }
        if self.failures >= MAX_FAILURES {
            return Progress::Malformed(Oddity::QuicUndecryptable);
        }
        Progress::Consumed(input.data.len())
    }

    fn finish(&mut self, out: &mut Output) {
        if let Some(Attempt { client, crypto: [asked, _], .. }) = &self.attempt
            && let Some(cut) = message(asked.start())
        {
            self.exchange.message(Message { whole: false, ..cut }, *client, self.heard, out);
        }
        if self.attempt.is_none() && !self.held.is_empty() {
            out.weird(Oddity::QuicUndecryptable);
        }
        self.exchange.tell(out);
    }
}

/// The handshake message that `data` begins with.
fn message(data: &[u8]) -> Option<Message<'_>> {
    let mut r = Reader::new(data);
    let kind = r.u8()?;
    let len = usize::try_from(r.u24()?).ok()?;
    let body = r.rest();
    Some(Message { kind, body: body.get(..len).unwrap_or(body), whole: body.len() >= len })
}

/// RFC 9000 §17.2.
const MAX_CONNECTION_ID: usize = 20;
/// A datagram holds a handful of packets; each has at least 7 bytes.
const MAX_COALESCED: usize = 16;
/// Server packets that may have been captured before the client's.
const MAX_HELD: usize = 4;
const MAX_DATAGRAM: usize = 2048;
/// Initials of one flow that open under no keys, after which it is left alone.
const MAX_FAILURES: u8 = 8;
/// Datagrams of a connection whose beginning was not captured, after which it is left alone.
const MAX_STRANGERS: u8 = 16;

#[cfg(test)]
mod tests;
