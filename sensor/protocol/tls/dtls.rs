//! DTLS 1.0 to 1.3 over UDP (RFC 6347, RFC 9147): records → fragments → handshake messages → one `Handshake`.
//!
//! Datagrams that are no DTLS (STUN and RTP share ports with it, RFC 5764 §5.1.2) are passed over.

use super::exchange::{CLIENT_HELLO, Exchange, HELLO_VERIFY_REQUEST, Message, SERVER_HELLO};
use super::pieces::{MAX_BYTES, Pieces};
use super::{CHANGE_CIPHER_SPEC, HANDSHAKE};
use crate::base::{Reader, Timestamp};
use crate::event::{Direction, HandshakeTransport, Transport};
use crate::protocol::{Input, Output, Parser, Probe, Progress, Protocol};

/// DTLS.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "dtls",
    transport: Transport::Udp,
    ports: &[4433, 5684, 5061, 3391],
    probe,
    new: || Box::new(Dtls { exchange: Exchange::new(HandshakeTransport::Dtls), sides: Default::default() }),
};

fn probe(_: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    let is_hello = Record::read(&mut r).is_some_and(|record| {
        let kind = Fragment::read(&mut Reader::new(record.body)).map(|fragment| fragment.kind);
        record.kind == HANDSHAKE
            && record.epoch == 0
            && matches!(kind, Some(CLIENT_HELLO | SERVER_HELLO | HELLO_VERIFY_REQUEST))
    });
    if is_hello { Probe::Match } else { Probe::Mismatch }
}

/// RFC 6347 §4.1.
struct Record<'a> {
    kind: u8,
    epoch: u16,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(r: &mut Reader<'a>) -> Option<Self> {
        let kind = r.u8()?;
        // 1.0, 1.2 and the pre-standard version of Cisco's and OpenSSL's first release.
        if !matches!(r.u16()?, 0xfeff | 0xfefd | 0x0100) {
            return None;
        }
        let epoch = r.u16()?;
        r.skip(6)?; // Sequence number.
        let len = r.u16()?;
        Some(Self { kind, epoch, body: r.take(len.into())? })
    }
}

/// RFC 6347 §4.2.2.
struct Fragment<'a> {
    kind: u8,
    /// Length of the whole message.
    total: usize,
    sequence: u16,
    offset: u32,
    body: &'a [u8],
}

impl<'a> Fragment<'a> {
    fn read(r: &mut Reader<'a>) -> Option<Self> {
        let kind = r.u8()?;
        let total = usize::try_from(r.u24()?).ok()?;
        let (sequence, offset) = (r.u16()?, r.u24()?);
        let len = usize::try_from(r.u24()?).ok()?;
        let end = usize::try_from(offset).ok()?.checked_add(len)?;
        let body = r.take(len)?;
        (end <= total).then_some(Self { kind, total, sequence, offset, body })
    }
}

struct Dtls {
    exchange: Exchange,
    sides: [Side; 2],
}

#[derive(Default)]
struct Side {
    /// Messages that are not complete.
    partial: Vec<Partial>,
    /// When its newest datagram came.
    heard: Timestamp,
}

struct Partial {
    kind: u8,
    total: usize,
    sequence: u16,
    pieces: Pieces,
}

impl Dtls {
    fn records(&mut self, input: Input<'_>, out: &mut Output) {
        let mut r = Reader::new(input.data);
        // Each turn takes at least a record header, so the datagram bounds the loops.
        while let Some(record) = Record::read(&mut r) {
            match record.kind {
                // RFC 6347 §4.1: what follows a ChangeCipherSpec has a higher epoch and is encrypted.
                _ if record.epoch > 0 => self.exchange.moved_on(input.from),
                HANDSHAKE => {
                    let mut body = Reader::new(record.body);
                    while let Some(fragment) = Fragment::read(&mut body) {
                        self.fragment(&fragment, input, out);
                    }
                }
                CHANGE_CIPHER_SPEC => {
                    self.exchange.change_cipher_spec(input.from);
                }
                _ => {}
            }
        }
        // RFC 9147 §4: the unified header of encrypted records.
        if r.rest().first().is_some_and(|first| first >> 5 == 1) {
            self.exchange.moved_on(input.from);
        }
    }

    fn fragment(&mut self, fragment: &Fragment<'_>, input: Input<'_>, out: &mut Output) {
        let Self { exchange, sides: [orig, resp] } = self;
        let side = if input.from == Direction::Orig { orig } else { resp };
        side.heard = input.ts;
        if fragment.body.len() == fragment.total {
            let message = Message { kind: fragment.kind, body: fragment.body, whole: true };
            exchange.message(message, input.from, input.ts, out);
            return;
        }
        let known = |p: &Partial| (p.sequence, p.kind, p.total) == (fragment.sequence, fragment.kind, fragment.total);
        let at = side.partial.iter().position(known).unwrap_or_else(|| {
            if side.partial.len() >= MAX_PARTIAL {
                side.partial.remove(0);
            }
            let Fragment { kind, total, sequence, .. } = *fragment;
            side.partial.push(Partial { kind, total, sequence, pieces: Pieces::default() });
            side.partial.len().saturating_sub(1)
        });
        let Some(partial) = side.partial.get_mut(at) else { return };
        partial.pieces.take(fragment.offset.into(), fragment.body);
        let start = partial.pieces.start();
        if start.len() >= partial.total.min(MAX_BYTES) {
            let message = Message { kind: partial.kind, body: start, whole: start.len() == partial.total };
            exchange.message(message, input.from, input.ts, out);
            side.partial.remove(at);
        }
    }
}

impl Parser for Dtls {
    fn held(&self) -> usize {
        let partial = self.sides.iter().flat_map(|side| &side.partial);
        partial.map(|partial| partial.pieces.held()).fold(0, usize::saturating_add)
    }

    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        self.records(input, out);
        if self.exchange.is_settled() { Progress::Done } else { Progress::Consumed(input.data.len()) }
    }

    fn finish(&mut self, out: &mut Output) {
        let Self { exchange, sides } = self;
        for (from, side) in [Direction::Orig, Direction::Resp].into_iter().zip(sides) {
            for partial in side.partial.drain(..) {
                let message = Message { kind: partial.kind, body: partial.pieces.start(), whole: false };
                exchange.message(message, from, side.heard, out);
            }
        }
        exchange.tell(out);
    }
}

/// Messages of one flight that may be incomplete at once.
const MAX_PARTIAL: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Handshake};
    use Direction::{Orig, Resp};
    use proptest::prelude::*;

    fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0][..], &len, body].concat()
    }

    /// A message cut into fragments of `size`, each in a record of its own.
    fn fragments(kind: u8, sequence: u8, body: &[u8], size: usize) -> Vec<Vec<u8>> {
        let u24 = |n: usize| u32::try_from(n).unwrap().to_be_bytes()[1..].to_vec();
        let cut = |(n, part): (usize, &[u8])| {
            let head = [&[kind][..], &u24(body.len()), &[0, sequence], &u24(n * size), &u24(part.len())].concat();
            record(HANDSHAKE, 0, &[head, part.to_vec()].concat())
        };
        body.chunks(size).enumerate().map(cut).collect()
    }

    /// SNI `d.example`, with a cookie of `cookie` bytes.
    fn hello(cookie: u8) -> Vec<u8> {
        let extensions = [&[0, 0, 0, 14, 0, 12, 0, 0, 9][..], b"d.example"].concat();
        [
            &[0xfe, 0xfd][..],
            &[1; 32],
            &[0, cookie],
            &vec![7; cookie.into()],
            &[0, 2, 0xc0, 0x2b, 1, 0, 0, u8::try_from(extensions.len()).unwrap()],
            &extensions,
        ]
        .concat()
    }

    fn tell(datagrams: &[(Direction, Vec<u8>)]) -> (Vec<Handshake>, bool) {
        let (mut parser, mut out, mut done) = ((PROTOCOL.new)(), Output::default(), false);
        for (from, data) in datagrams {
            let input = Input { from: *from, ts: Timestamp(1), data };
            if parser.parse(input, &mut out) == Progress::Done {
                done = true;
                break;
            }
        }
        parser.finish(&mut out);
        let told = out.events.into_iter().filter_map(|e| if let Event::Handshake(h) = e { Some(*h) } else { None });
        (told.collect(), done)
    }

    fn conversation(size: usize) -> Vec<(Direction, Vec<u8>)> {
        let verify = [&[0xfe, 0xff, 20][..], &[7; 20]].concat();
        let server = [&[0xfe, 0xfd][..], &[2; 32], &[0, 0xc0, 0x2b, 0]].concat();
        let mut all = Vec::new();
        for (from, kind, sequence, body) in
            [(Orig, 1, 0, hello(0)), (Resp, 3, 0, verify), (Orig, 1, 1, hello(20)), (Resp, 2, 1, server)]
        {
            all.extend(fragments(kind, sequence, &body, size).into_iter().map(|datagram| (from, datagram)));
        }
        all.push((Resp, record(CHANGE_CIPHER_SPEC, 0, &[1])));
        all
    }

    #[test]
    fn a_handshake_with_a_cookie_is_told_once() {
        assert_eq!(probe(Orig, &conversation(1000)[0].1), Probe::Match);
        let (told, done) = tell(&conversation(1000));
        let [h] = &*told else { panic!("{told:?}") };
        assert_eq!((h.sni.as_deref(), h.version, h.resumed), (Some("d.example"), Some("DTLSv1.2"), Some(true)));
        assert_eq!(h.cipher.as_deref(), Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
        assert!(h.ja4.as_deref().unwrap().starts_with("dd2d010100_"), "{:?}", h.ja4);
        assert!(done);
    }

    #[test]
    fn other_datagrams_of_the_flow_are_passed_over() {
        let mut mixed = conversation(1000);
        mixed.insert(1, (Resp, b"\x00\x01\x00\x00\x21\x12\xa4\x42".to_vec()));
        assert_eq!(tell(&mixed), tell(&conversation(1000)));
    }

    #[test]
    fn no_prefix_does_harm() {
        let whole = &conversation(1000)[0].1;
        for n in 0..whole.len() {
            tell(&[(Orig, whole[..n].to_vec()), (Resp, whole[n..].to_vec())]);
            probe(Orig, &whole[..n]);
        }
    }

    proptest! {
        #[test]
        fn any_fragments_in_any_order_tell_the_same(size in 1_usize..60, swap: usize) {
            let mut cut = fragments(1, 0, &hello(0), size);
            let len = cut.len();
            cut.swap(swap % len, swap / 7 % len);
            let cut: Vec<_> = cut.into_iter().map(|d| (Orig, d)).collect();
            prop_assert_eq!(tell(&cut), tell(&[(Orig, fragments(1, 0, &hello(0), 1000).remove(0))]));
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(data: Vec<u8>, body: Vec<u8>) {
            tell(&[(Orig, data), (Resp, record(HANDSHAKE, 0, &body))]);
        }
    }
}
