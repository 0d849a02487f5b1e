//! What an egress point meets besides: the first words of many protocols, each on a port that is not its own.

use super::{pc, web};
use crate::synth::file::pcap;
use crate::synth::hello::{Client, client_hello};
use crate::synth::net::{Host, MORNING, MS, SECOND, Wire};
use crate::synth::random::Random;
use crate::synth::tcp::{Side, Tcp};
use crate::synth::tls::{message, server_hello_12};
use Side::{Orig, Resp};

/// A fixed head, then bytes of chance up to a length.
fn filled(random: &mut Random, head: &[u8], length: usize) -> Vec<u8> {
    [head, &random.bytes(length - head.len())].concat()
}

/// A fixed head, then zeros.
fn padded(head: &[u8], length: usize) -> Vec<u8> {
    [head, &vec![0; length - head.len()]].concat()
}

/// Datagrams from the client, each answered by nobody.
fn datagrams(random: &mut Random) -> Vec<Vec<u8>> {
    let snmp =
        b"\x30\x1d\x02\x01\x01\x04\x06public\xa0\x10\x02\x01\x01\x02\x01\0\x02\x01\0\x30\x05\x30\x03\x06\x01\x2b";
    let ike = [&[7; 8][..], &[0; 8], &[33, 0x20, 34, 8, 0, 0, 0, 0, 0, 0, 0, 40], &[0; 12]].concat();
    let crypt = [&[0x38][..], &random.bytes(8), &[0, 0, 0, 1]].concat();
    let rdp = b"\xff\xff\xff\xff\0\x40\x18\x01\x11\x22\x33\x44\x04\xd0\x04\xd0";
    vec![
        padded(&[0x23, 0, 6, 0xec], 48), // NTP
        snmp.to_vec(),
        binding(random),
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe".to_vec(), // The DHT of BitTorrent.
        filled(random, &[1, 0, 0, 0], 148),                                   // A WireGuard initiation.
        filled(random, &crypt, 54),                                           // OpenVPN with tls-crypt.
        ike,
        b"OPTIONS sip:pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.20.1.21\r\n\r\n".to_vec(),
        padded(rdp, 1232), // Remote Desktop over UDP.
    ]
}

/// First words on TCP.
fn streams() -> Vec<Vec<(Side, Vec<u8>)>> {
    let tds = [&[0x12, 1, 0, 26, 0, 0, 0, 0, 0, 0, 11, 0, 6, 0xff][..], &[0; 12]].concat();
    let openvpn = [&[0, 14, 0x38][..], &[9; 8], &[0; 5]].concat();
    let mysql = [&b"\x4a\0\0\0\x0a8.0.36\0"[..], &[1; 66]].concat();
    let postgresql = b"\0\0\0\x15\0\x03\0\0user\0postgres\0\0".to_vec();
    let adb = [&b"CNXN"[..], &[1, 0, 0, 1, 0, 0, 16, 0, 7, 0, 0, 0, 0, 2, 0, 0, 0xbc, 0xb1, 0xa7, 0xb1], b"host::\0"];
    let gnutella = "GNUTELLA CONNECT/0.6\r\nUser-Agent: peer/1\r\n\r\n";
    let orig = |words: &[u8]| vec![(Orig, words.to_vec())];
    let resp = |words: &[u8]| vec![(Resp, words.to_vec())];
    vec![
        orig(&openvpn),
        orig(b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x05aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb"),
        orig(b"REGISTER sip:example SIP/2.0\r\nVia: SIP/2.0/TCP 10.20.1.21\r\n\r\n"),
        orig(b"\x10\x0c\0\x04MQTT\x05\x02\0\x3c"),
        orig(&tds),
        orig(b"*1\r\n$4\r\nPING\r\n"),
        resp(b"RFB 003.008\n"),
        resp(b"@RSYNCD: 31.0\n"),
        orig(b"AMQP\0\0\x09\x01"),
        resp(b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23"),
        orig(b"NICK alice\r\nUSER alice 0 * :Alice\r\n"),
        resp(&mysql),
        orig(&postgresql),
        resp(b"* OK IMAP4rev1 ready.\r\n"),
        resp(b"+OK POP3 ready.\r\n"),
        resp(b"220 mail.example ESMTP\r\n"),
        resp(b"220 FTP server ready.\r\n"),
        vec![(Orig, vec![5, 1, 0]), (Resp, vec![5, 0])],
        resp(b"SSH-2.0-OpenSSH_9.9\r\n"),
        orig(gnutella.as_bytes()),
        orig(&adb.concat()),
    ]
}

/// Each protocol on a port of its own from 30,000 on: datagrams first.
pub(crate) fn all() -> Vec<u8> {
    let mut wire = Wire::new(76);
    let (pc, server) = (pc(), web());
    let mut port = 30_000;
    let mut now = MORNING;
    for datagram in datagrams(&mut wire.random.clone()) {
        let from = wire.port(&pc);
        wire.udp(now, (&pc, from), (&server, port), &datagram);
        (port, now) = (port + 1, now + SECOND);
    }
    for words in streams() {
        let mut tcp = Tcp::new(&mut wire, now, &pc, (&server, port));
        tcp.open();
        for (side, said) in words {
            tcp.send(side, &said);
        }
        now = tcp.close(Orig) + SECOND;
        port += 1;
    }
    pcap(&wire.finish())
}

/// A STUN binding request (RFC 8489 §5) without attributes.
fn binding(random: &mut Random) -> Vec<u8> {
    filled(random, b"\0\x01\0\0\x21\x12\xa4\x42", 20)
}

/// Two browsers find a way to each other, then agree on keys (RFC 8827): six STUN messages, then DTLS 1.2 with a cookie.
pub(crate) fn webrtc() -> Vec<u8> {
    let mut wire = Wire::new(77);
    let (pc, peer) = (pc(), Host::outside([203, 0, 113, 44]));
    let port = wire.port(&pc);
    let mut now = MORNING;
    let mut say = |wire: &mut Wire, from: Side, data: &[u8]| {
        let ends = [(&pc, port), (&peer, 51_999)];
        let (src, dst) = if from == Orig { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
        wire.udp(now, src, dst, data);
        now += 20 * MS;
    };
    for _ in 0..3 {
        let ask = binding(&mut wire.random);
        let answer = [&b"\x01\x01"[..], &ask[2..]].concat();
        say(&mut wire, Orig, &ask);
        say(&mut wire, Resp, &answer);
    }
    let hello = client_hello(&mut wire.random, Client::Schannel, Some("peer.example"), false);
    let cookie = wire.random.bytes(20);
    let (first, second) = (offer(&hello.message, &[]), offer(&hello.message, &cookie));
    let verify = [&[0xfe, 0xff, 20][..], &cookie].concat();
    let server = server_hello_12(&mut wire.random, &[], hello.suite);
    let mut server = server[4..].to_vec();
    server[..2].copy_from_slice(&[0xfe, 0xfd]);
    say(&mut wire, Orig, &flight(1, 0, 0, &first));
    say(&mut wire, Resp, &flight(3, 0, 0, &verify));
    say(&mut wire, Orig, &flight(1, 1, 1, &second));
    say(&mut wire, Resp, &flight(2, 1, 1, &server));
    pcap(&wire.finish())
}

/// A client hello of TLS as one of DTLS (RFC 6347 §4.2.1): its version, and a cookie after the session id.
fn offer(hello: &[u8], cookie: &[u8]) -> Vec<u8> {
    let body = &hello[4..];
    let session = 35 + usize::from(body[34]);
    [&[0xfe, 0xfd], &body[2..session], &[cookie.len() as u8], cookie, &body[session..]].concat()
}

/// One handshake message in one record (RFC 6347 §4.1, §4.2.2).
fn flight(kind: u8, record: u8, number: u8, body: &[u8]) -> Vec<u8> {
    let length = &(body.len() as u32).to_be_bytes()[1..];
    let whole = message(kind, body);
    let piece = [&whole[..4], &[0, number, 0, 0, 0], length, body].concat();
    let head = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, record];
    [&head[..], &(piece.len() as u16).to_be_bytes(), &piece].concat()
}
