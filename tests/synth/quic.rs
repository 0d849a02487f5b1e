//! QUIC Initial packets (RFC 9000, RFC 9001 §5, RFC 9369), protected with real keys, over UDP.

use super::hello::{Client, client_hello};
use super::net::{Host, MS, Nanos, Wire};
use super::tls::{extension, message, server_hello_13};
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
    let mut hello = quic_hello(wire, kind, name);
    let keys = |role| initial_keys(version, &destination, role);
    let mut now = at;
    let mut number = 0;
    let mut offset = 0;
    while !hello.is_empty() {
        // What fits in a datagram of 1,250 bytes beside headers and tag.
        let rest = hello.split_off(hello.len().min(1_150));
        let payload = crypto(offset, &hello);
        let datagram = initial(version, &destination, &[], number, &payload, 1_250, &keys(Role::Client));
        wire.udp(now, (client, port), (server, 443), &datagram);
        offset += hello.len();
        hello = rest;
        number += 1;
        now += 200_000;
    }
    now += 14 * MS;
    let answer = server_hello_13(&mut wire.random, &[]);
    // ACK of what came (RFC 9000 §19.3), then the server hello.
    let payload = [&[2, number - 1, 0, 0, number - 1][..], &crypto(0, &answer)].concat();
    let mut datagram = initial(version, &[], &source, 0, &payload, 200, &keys(Role::Server));
    datagram.extend(handshake(wire, version, &source, 900));
    wire.udp(now, (server, 443), (client, port), &datagram);
    now += 1_000_000;
    let acknowledge = initial(version, &source, &[], number, &[2, 0, 0, 0, 0], 1_250, &keys(Role::Client));
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
fn initial_keys(version: Version, destination: &[u8], role: Role) -> DirectionalKeys {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().and_then(|s| s.quic_suite()).expect("ring has QUIC suites");
    Keys::initial(version, suite.suite, suite.quic, destination, role).local
}

/// CRYPTO frame (RFC 9000 §19.6).
fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    [&[6][..], &varint(offset), &varint(data.len()), data].concat()
}

/// Two-byte integers of RFC 9000 §16.
fn varint(value: usize) -> [u8; 2] {
    (0x4000 | value as u16).to_be_bytes()
}

/// A protected Initial packet, padded so that it has `size` bytes.
fn initial(
    version: Version,
    destination: &[u8],
    source: &[u8],
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
    header.push(0); // No token.
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
