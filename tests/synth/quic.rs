//! QUIC Initial packets (RFC 9000, RFC 9001 §5, RFC 9369), protected with real keys, over UDP.

use super::hello::{Client, client_hello};
use super::net::{Host, MS, Nanos, Wire};
use super::tls::{extension, message, server_hello_13};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::Side as Role;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{DirectionalKeys, Keys, Version};

/// RFC 9000 §15, RFC 9369 §3.
const NUMBERS: [(Version, u32, u8); 2] = [(Version::V1, 1, 0), (Version::V2, 0x6b33_43cf, 1)];

/// A connection: the client's Initial flight (as many datagrams as the hello needs), the server's, then short-header
/// packets that nobody can read.
pub(crate) fn connection(
    wire: &mut Wire,
    at: Nanos,
    client: &Host,
    server: &Host,
    name: &str,
    (version, kind): (Version, Client),
) -> Nanos {
    let port = wire.port(client);
    let (destination, source) = (wire.random.bytes(8), wire.random.bytes(8));
    let hello = quic_hello(wire, kind, name);
    let mut session = Session { wire, client, server, port, version, destination, source, number: 0, now: at };
    // What fits in a datagram of 1,250 bytes beside headers and tag.
    for (n, piece) in hello.chunks(1_150).enumerate() {
        session.ask(&[], &crypto(n * 1_150, piece));
    }
    session.answered()
}

/// A server that wants to see the client's address first (RFC 9000 §8.1.2): Retry, new keys, and the hello again; it
/// comes in seven pieces over three datagrams, the last piece first.
pub(crate) fn retried(wire: &mut Wire, at: Nanos, client: &Host, server: &Host, name: &str) -> Nanos {
    let port = wire.port(client);
    let (destination, source) = (wire.random.bytes(8), wire.random.bytes(8));
    let hello = quic_hello(wire, Client::ChromiumPostQuantum, name);
    let version = Version::V1;
    let mut session = Session { wire, client, server, port, version, destination, source, number: 0, now: at };
    session.ask(&[], &crypto(0, &hello[..1_150]));
    session.now += 14 * MS;
    let (chosen, token) = (session.wire.random.bytes(8), session.wire.random.bytes(40));
    let retry = [&[0xf0, 0, 0, 0, 1, 0, 8][..], &chosen, &token].concat();
    let sealed = [&retry[..], &integrity(&session.destination, &retry)].concat();
    session.wire.udp(session.now, (server, 443), (client, port), &sealed);
    session.destination = chosen;
    let mut pieces: Vec<_> = hello.chunks(270).enumerate().map(|(n, piece)| crypto(n * 270, piece)).collect();
    pieces.reverse();
    for some in pieces.chunks(3) {
        session.ask(&token, &some.concat());
    }
    session.answered()
}

/// A client that begins with a version the server does not speak (RFC 9000 §6): the list, then version 1.
pub(crate) fn negotiated(wire: &mut Wire, at: Nanos, client: &Host, server: &Host, name: &str) -> Nanos {
    let port = wire.port(client);
    let (destination, source) = (wire.random.bytes(8), wire.random.bytes(8));
    let hello = quic_hello(wire, Client::Firefox, name);
    let first = [&[0xc9, 0x1a, 0x2a, 0x3a, 0x4a, 8][..], &destination, &[0], &wire.random.bytes(1_235)].concat();
    wire.udp(at, (client, port), (server, 443), &first);
    let list = [&[0x8a, 0, 0, 0, 0, 0, 8][..], &destination, &[0x6b, 0x33, 0x43, 0xcf, 0, 0, 0, 1]].concat();
    wire.udp(at + 14 * MS, (server, 443), (client, port), &list);
    let (version, now) = (Version::V1, at + 15 * MS);
    let mut session = Session { wire, client, server, port, version, destination, source, number: 1, now };
    session.ask(&[], &crypto(0, &hello));
    session.answered()
}

/// A connection in the making. The client's connection id is empty; the server has chosen its own (`source`).
struct Session<'a> {
    wire: &'a mut Wire,
    client: &'a Host,
    server: &'a Host,
    port: u16,
    version: Version,
    destination: Vec<u8>,
    source: Vec<u8>,
    number: u8,
    now: Nanos,
}

impl Session<'_> {
    /// An Initial of the client's, under the keys of its first connection id.
    fn ask(&mut self, token: &[u8], payload: &[u8]) {
        let keys = initial_keys(self.version, &self.destination, Role::Client);
        let ids = [&self.destination[..], &[], token];
        let datagram = initial(self.version, ids, self.number, payload, 1_250, &keys);
        self.wire.udp(self.now, (self.client, self.port), (self.server, 443), &datagram);
        self.number += 1;
        self.now += 200_000;
    }

    /// The server's flight, the client's acknowledgement to the id that the server chose, four packets more.
    fn answered(self) -> Nanos {
        let Self { wire, client, server, port, version, destination, source, number, mut now } = self;
        let keys = |role| initial_keys(version, &destination, role);
        now += 14 * MS;
        let answer = server_hello_13(&mut wire.random, &[]);
        // ACK of what came (RFC 9000 §19.3), then the server hello.
        let payload = [&[2, number - 1, 0, 0, number - 1][..], &crypto(0, &answer)].concat();
        let mut datagram = initial(version, [&[], &source, &[]], 0, &payload, 200, &keys(Role::Server));
        datagram.extend(handshake(wire, version, &source, 900));
        wire.udp(now, (server, 443), (client, port), &datagram);
        now += 1_000_000;
        let acknowledge = initial(version, [&source, &[], &[]], number, &[2, 0, 0, 0, 0], 1_250, &keys(Role::Client));
        wire.udp(now, (client, port), (server, 443), &acknowledge);
        for n in 0..4 {
            now += 9 * MS;
            let (from, to) = if n % 2 == 0 { ((client, port), (server, 443)) } else { ((server, 443), (client, port)) };
            let id: &[u8] = if n % 2 == 0 { &source } else { &[] };
            let length = wire.random.between(60, 900) as usize;
            let short = [&[0x40 | wire.random.next() as u8 & 0x3f][..], id, &wire.random.bytes(length)].concat();
            wire.udp(now, from, to, &short);
        }
        now
    }
}

/// RFC 9001 §5.8: the tag of a Retry, under a key that everybody knows.
fn integrity(first_id: &[u8], retry: &[u8]) -> Vec<u8> {
    const KEY: [u8; 16] =
        [0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e];
    const NONCE: [u8; 12] = [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb];
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &KEY).expect("sixteen bytes"));
    let known = [&[first_id.len() as u8][..], first_id, retry].concat();
    let nonce = Nonce::assume_unique_for_key(NONCE);
    key.seal_in_place_separate_tag(nonce, Aad::from(known), &mut []).expect("nothing to seal").as_ref().to_vec()
}

/// A client hello for QUIC: ALPN h3, transport parameters, no session id.
fn quic_hello(wire: &mut Wire, kind: Client, name: &str) -> Vec<u8> {
    let hello = client_hello(&mut wire.random, kind, Some(name), false).message;
    // Client random, session id, suites, compression, extensions (RFC 8446 §4.1.2).
    let after_session = 4 + 2 + 32 + 1 + usize::from(hello[38]);
    let suites = usize::from(u16::from_be_bytes([hello[after_session], hello[after_session + 1]]));
    let mut rest = &hello[after_session + 2 + suites + 2 + 2..];
    let mut extensions = Vec::new();
    while let [a, b, c, d, tail @ ..] = rest {
        let (number, length) = (u16::from_be_bytes([*a, *b]), usize::from(u16::from_be_bytes([*c, *d])));
        match number {
            16 => extensions.extend(extension(16, b"\x00\x03\x02h3")),
            // What QUIC has no use for: extensions of TLS 1.2.
            11 | 23 | 35 | 0xff01 => {}
            43 => extensions.extend(extension(43, &[2, 3, 4])),
            17_513 => extensions.extend(extension(17_513, b"\x00\x03\x02h3")),
            _ => extensions.extend(extension(number, &tail[..length])),
        }
        rest = &tail[length..];
    }
    // max_idle_timeout, initial_max_data, initial_source_connection_id (RFC 9000 §18.2).
    extensions.extend(extension(57, &[1, 4, 0x80, 0, 0x75, 0x30, 4, 4, 0x80, 0x10, 0, 0, 15, 0]));
    let body = [
        &hello[4..38],
        &[0, 0, 6, 0x13, 1, 0x13, 2, 0x13, 3, 1, 0],
        &(extensions.len() as u16).to_be_bytes(),
        &extensions,
    ]
    .concat();
    message(1, &body)
}

/// RFC 9001 §5.2: from the destination connection id of the client's first packet.
pub(crate) fn initial_keys(version: Version, destination: &[u8], role: Role) -> DirectionalKeys {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().and_then(|s| s.quic_suite()).expect("ring has QUIC suites");
    Keys::initial(version, suite.suite, suite.quic, destination, role).local
}

/// CRYPTO frame (RFC 9000 §19.6).
pub(crate) fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    [&[6][..], &varint(offset), &varint(data.len()), data].concat()
}

/// Two-byte integers of RFC 9000 §16.
fn varint(value: usize) -> [u8; 2] {
    (0x4000 | value as u16).to_be_bytes()
}

/// A protected Initial packet, padded so that it has `size` bytes.
pub(crate) fn initial(
    version: Version,
    [destination, source, token]: [&[u8]; 3],
    number: u8,
    frames: &[u8],
    size: usize,
    keys: &DirectionalKeys,
) -> Vec<u8> {
    let (_, wire_version, shift) = NUMBERS.into_iter().find(|(v, ..)| same(*v, version)).expect("both are listed");
    // Long header, fixed bit, type Initial (RFC 9369 §3.2 moves the numbers by one), one byte of packet number.
    let mut header = vec![0xc0 | shift << 4];
    header.extend_from_slice(&wire_version.to_be_bytes());
    header.push(destination.len() as u8);
    header.extend_from_slice(destination);
    header.push(source.len() as u8);
    header.extend_from_slice(source);
    header.push(token.len() as u8); // Below 64: one byte.
    header.extend_from_slice(token);
    let tag = keys.packet.tag_len();
    let length = size - header.len() - 2;
    header.extend_from_slice(&varint(length));
    header.push(number);
    let mut payload = frames.to_vec();
    payload.resize(length - 1 - tag, 0); // PADDING.
    let sealed = keys.packet.encrypt_in_place(u64::from(number), &header, &mut payload).expect("a fresh key");
    payload.extend_from_slice(sealed.as_ref());
    let at = header.len() - 1;
    let mut packet = [header, payload].concat();
    // RFC 9001 §5.4.2: the sample starts four bytes after the start of the packet number.
    let sample = packet[at + 4..at + 4 + keys.header.sample_len()].to_vec();
    let (first, rest) = packet.split_at_mut(1);
    keys.header.encrypt_in_place(&sample, &mut first[0], &mut rest[at - 1..at]).expect("a whole sample");
    packet
}

fn handshake(wire: &mut Wire, version: Version, source: &[u8], length: usize) -> Vec<u8> {
    let (_, wire_version, shift) = NUMBERS.into_iter().find(|(v, ..)| same(*v, version)).expect("both are listed");
    // Type Handshake, and low bits that header protection has hidden.
    let first = 0xe0 | shift << 4 | wire.random.next() as u8 & 0x0f;
    [
        &[first][..],
        &wire_version.to_be_bytes(),
        &[0, source.len() as u8],
        source,
        &varint(length),
        &wire.random.bytes(length),
    ]
    .concat()
}

fn same(a: Version, b: Version) -> bool {
    matches!((a, b), (Version::V1, Version::V1) | (Version::V2, Version::V2))
}
