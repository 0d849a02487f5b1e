//! Every parser against hostile bytes: whole messages, bent a little by a seeded generator, in pieces, from both sides,
//! with gaps. A panic, a parser that consumes nothing for ever or tells more than it was given fails the test. The same
//! seed gives the same inputs, so a failure names the input to keep as a vector.

use super::{Input, Output, PORT_BOUND, PROTOCOLS, Progress, Protocol};
use crate::base::Timestamp;
use crate::event::Direction;

#[test]
fn bent_messages_are_survived_by_every_parser() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for n in 0..ROUNDS {
        let seed = SEEDS[n % SEEDS.len()];
        let data = bend(seed, &mut random);
        drive(&data, &mut random);
    }
}

/// The body of a fuzz target: `data` goes to each parser, in pieces that `random` cuts.
fn drive(data: &[u8], random: &mut Random) {
    for protocol in PORT_BOUND.iter().chain(PROTOCOLS) {
        let told = feed(protocol, data, random);
        assert!(told <= 64 + data.len() * 4, "{} told {told} facts of {data:02x?}", protocol.name);
    }
}

fn feed(protocol: &Protocol, data: &[u8], random: &mut Random) -> usize {
    let (mut parser, mut out) = ((protocol.new)(), Output::default());
    let mut from = Direction::Orig;
    for piece in data.chunks(random.below(data.len()) + 1) {
        (protocol.probe)(from, piece);
        let mut rest = piece;
        // A parser that consumes a byte a call is slow, not wrong.
        for _ in 0..=piece.len() {
            match parser.parse(Input { from, ts: Timestamp(0), data: rest }, &mut out) {
                Progress::Consumed(0) => break,
                Progress::Consumed(n) if n < rest.len() => rest = &rest[n..],
                Progress::Consumed(_) => break,
                Progress::Handover(_) | Progress::Done | Progress::Malformed(_) => {
                    parser.finish(&mut out);
                    return out.events.len();
                }
            }
        }
        match random.below(8) {
            0 => from = from.flip(),
            1 => drop(parser.gap(from, 100, &mut out)),
            2 if parser.idle() => parser = (protocol.new)(),
            _ => {}
        }
    }
    parser.finish(&mut out);
    out.events.len()
}

/// Flips, overwrites, cuts, repeats: what a fuzzer without coverage can do.
fn bend(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len());
        match random.below(6) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = [0, 1, 0x7f, 0x80, 0xc0, 0xff][random.below(6)],
            2 => data.truncate(at.max(1)),
            3 => data.insert(at, u8::try_from(random.below(256)).unwrap()),
            4 => data.extend_from_within(at..),
            _ => drop(data.remove(at)),
        }
        if data.is_empty() {
            data.push(0);
        }
    }
    data
}

/// Marsaglia's xorshift64: enough to vary, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % n.max(1)
    }
}

/// Inputs a run; each goes to every parser.
const ROUNDS: usize = 6_000;

/// The first words of many protocols; parsers of one see those of the others, too.
const SEEDS: &[&[u8]] = &[
    b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01",
    b"\0\x07\x81\x80\0\x01\0\x02\0\0\0\x01\x03www\x07example\0\0A\0\x01\xc0\x0c\0A\0\x01\0\0\0\x05\0\x0a\0\x01\0\0\x01\0\x03\x02h3\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x02\xc0\x10\0\0\x29\x04\xd0\0\0\0\0\0\0",
    b"\0\x05\x29\x10\0\x01\0\0\0\0\0\x01\x20FHFDDADBCACACACACACACACACACACAAA\0\0\x20\0\x01\xc0\x0c\0\x20\0\x01\0\x04\x93\xe0\0\x06\0\0\xc0\0\x02\x09",
    b"\x6a\x55\x30\x53\xa1\x03\x02\x01\x05\xa2\x03\x02\x01\x0a\xa4\x47\x30\x45\xa0\x07\x03\x05\0\x40\x81\0\x10\xa1\x12\x30\x10\xa0\x03\x02\x01\x01\xa1\x09\x30\x07\x1b\x05alice\xa2\x06\x1b\x04CORP\xa3\x19\x30\x17\xa0\x03\x02\x01\x02\xa1\x10\x30\x0e\x1b\x06krbtgt\x1b\x04CORP",
    b"SSH-2.0-OpenSSH_9.9\r\n\0\0\0\x2c\x04\x14aaaaaaaaaaaaaaaa\0\0\0\x01k\0\0\0\x01h\0\0\0\x01c\0\0\0\x01d",
    b"220 mx.example ESMTP Postfix\r\nEHLO a\r\nSTARTTLS\r\n220 go\r\n",
    b"\x03\0\0\x2b\x26\xe0\0\0\0\0\0Cookie: mstshash=alice\r\n\x01\0\x08\0\x0b\0\0\0",
    b"GET /a HTTP/1.1\r\nHost: example\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /wsman HTTP/1.1\r\nHost: a\r\nAuthorization: Negotiate TlRMTVNTUAABAAAAAAAAAA==\r\nContent-Length: 0\r\n\r\n",
    b"\x16\x03\x01\0\x4f\x01\0\0\x4b\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0\0\x02\x13\x01\x01\0\0\x20\0\0\0\x0c\0\x0a\0\0\x07example\0\x10\0\x05\0\x03\x02h2\0\x2b\0\x03\x02\x03\x04",
    b"\xc3\0\0\0\x01\x08aaaaaaaa\0\0\x40\x40bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    b"\0\0\0\x66\xfeSMB\x40\0\0\0\0\0\0\0\0\0\x1f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x24\0\x01\0\x01\0\0\0\0\0\0\0aaaaaaaaaaaaaaaa\0\0\0\0\0\0\0\0\x02\x02",
    b"\x05\0\x0b\x03\x10\0\0\0\x48\0\0\0\x01\0\0\0\xb8\x10\xb8\x10\0\0\0\0\x01\0\0\0\0\0\x01\0\x81\xbb\x7a\x36\x44\x98\xf1\x35\xad\x32\x98\xf0\x38\0\x10\x03\x02\0\0\0\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\0\x2b\x10\x48\x60\x02\0\0\0",
    b"\x30\x1d\x02\x01\x01\x04\x06public\xa0\x10\x02\x01\x01\x02\x01\0\x02\x01\0\x30\x05\x30\x03\x06\x01\x2b",
    b"\x30\x25\x02\x01\x01\x60\x20\x02\x01\x03\x04\0\xa3\x19\x04\x0aGSS-SPNEGO\x04\x0bNTLMSSP\0\x01\0\0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0\x11\x01\x05\0\0\0\x01\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\0\0\x03\0\x01\0\0\0\x01abc",
    b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x05\0\x09\0\0\0\x01\x01abc\0",
    b"GNUTELLA CONNECT/0.6\r\nUser-Agent: peer/1\r\nUpgrade: TLS/1.0\r\n\r\nGNUTELLA/0.6 200 OK\r\nConnection: Upgrade\r\n\r\n",
    b"CNXN\x01\0\0\x01\0\0\x10\0\x07\0\0\0\0\x02\0\0\xbc\xb1\xa7\xb1host::\0STLS\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\xac\xab\xb3\xac",
    b"220 FTP ready\r\nPASV\r\n227 Entering Passive Mode (10,0,0,2,195,80).\r\nEPRT |2|2001:db8::1|50002|\r\n",
    b"\x05\0\x02\x03\x10\0\0\0\x70\0\0\0\x01\0\0\0\x58\0\0\0\0\0\0\0\x05\0\x13\0\x0d\x49\x59\xd3\x86\xc9\x83\x44\x40\xb4\x24\xdb\x36\x32\x31\xfd\x0c\x01\0\x02\0\0\0\x13\0\x0d\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\0\x2b\x10\x48\x60\x02\0\x02\0\0\0\x01\0\x0b\x02\0\0\0\x01\0\x07\x02\0\xc2\x01",
    b"\x07\0\0\x07\0\x01\0\x0a\0\x03\0\x01\x02\0\0\0\0\x01\0\x03\0\x28\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\x18\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0",
];
