//! Damage, one kind a capture, small: what a sensor meets from broken disks, bad taps and people who mean it.

use super::dns::{self, A};
use super::file::pcap;
use super::hello::{Client, client_hello};
use super::http;
use super::net::{self, MORNING, MS, SECOND, UDP, Wire, ipv4};
use super::protocol::links::visit;
use super::protocol::{dc, pc, web};
use super::tcp::{Side, Tcp};
use super::tls::{HANDSHAKE, record};
use std::net::IpAddr;

/// A whole visit, but for the last bytes of its last record.
pub(crate) fn record_cut() -> Vec<u8> {
    let mut file = pcap(&visit(90));
    file.truncate(file.len() - 30);
    file
}

/// After a whole visit, a record whose length nobody could store.
pub(crate) fn record_giant() -> Vec<u8> {
    let mut file = pcap(&visit(91));
    let seconds = (MORNING / SECOND) as u32 + 9;
    for field in [seconds, 0, 0x7fff_ffff, 0x7fff_ffff] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(&[0xab; 500]);
    file
}

/// The second piece overlaps the first and says something else about the same bytes.
pub(crate) fn fragments_overlap() -> Vec<u8> {
    let mut wire = Wire::new(92);
    let datagram = net::udp(pc().ip, dc().ip, 50_777, 53, &dns::query(7, "overlap.example", A));
    let (IpAddr::V4(from), IpAddr::V4(to)) = (pc().ip, dc().ip) else { panic!("both are IPv4") };
    let pieces: [(usize, usize, u8); 3] = [(0, 24, 0), (16, 32, 0xff), (32, datagram.len(), 0)];
    for (n, (start, end, flip)) in pieces.into_iter().enumerate() {
        let more = if end < datagram.len() { 0x2000 } else { 0 };
        let piece: Vec<u8> = datagram[start..end].iter().map(|b| b ^ flip).collect();
        let packet = ipv4(from, to, UDP, 128, 99, more | (start / 8) as u16, &piece);
        wire.send(MORNING + n as u64 * MS, &pc(), &dc(), &packet);
    }
    pcap(&wire.finish())
}

/// A question whose name is a pointer to itself (RFC 1035 §4.1.4), and an answer with two that point at each other.
pub(crate) fn dns_pointer_loop() -> Vec<u8> {
    let mut wire = Wire::new(93);
    let head = |id: u8, flags: u8, answers: u8| vec![0, id, flags, 0, 0, 1, 0, answers, 0, 0, 0, 0];
    let question = [&head(1, 1, 0)[..], &[0xc0, 12, 0, 1, 0, 1]].concat();
    wire.udp(MORNING, (&pc(), 50_701), (&dc(), 53), &question);
    wire.udp(MORNING + MS, (&pc(), 50_702), (&dc(), 53), &dns::query(2, "loop.example", A));
    let answer = [
        &head(2, 0x81, 1)[..],
        &dns::labels("loop.example"),
        &[0, 1, 0, 1, 0xc0, 32, 0xc0, 30, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 1],
    ]
    .concat();
    wire.udp(MORNING + 2 * MS, (&dc(), 53), (&pc(), 50_702), &answer);
    pcap(&wire.finish())
}

/// First a hello whose extensions claim more than it has, then a record that claims more than RFC 8446 §5.1 allows.
pub(crate) fn tls_length_lies() -> Vec<u8> {
    let mut wire = Wire::new(94);
    for (n, at) in [true, false].into_iter().zip([0, 1]) {
        let mut tcp = Tcp::new(&mut wire, MORNING + at * SECOND, &pc(), (&web(), 443));
        tcp.open();
        let mut hello = client_hello(&mut tcp.wire.random, Client::Schannel, Some("lies.example"), false).message;
        // Client random, an empty session id, 19 suites, one compression method: here the length of the extensions.
        let extensions = 4 + 2 + 32 + 1 + 2 + 38 + 2;
        if n {
            hello[extensions..extensions + 2].copy_from_slice(&[0xff, 0xf0]);
        }
        let mut whole = record(HANDSHAKE, 0x0301, &hello);
        if !n {
            whole[3..5].copy_from_slice(&[0xff, 0xff]);
        }
        tcp.orig(&whole).wait(SECOND / 2);
        tcp.reset(Side::Resp);
    }
    pcap(&wire.finish())
}

/// Every fragment says that more follow.
pub(crate) fn dcerpc_endless() -> Vec<u8> {
    let mut wire = Wire::new(95);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&dc(), 135));
    let (ask, answer) = super::dcerpc::bind(super::dcerpc::EPM, "135");
    tcp.open().orig(&ask).resp(&answer);
    let fragment = |n: u32| {
        let mut pdu = super::dcerpc::request(2, 0, 3, &[0x41; 240]);
        pdu[3] = u8::from(n == 0); // PFC_FIRST_FRAG at the beginning, PFC_LAST_FRAG never.
        pdu
    };
    let all: Vec<u8> = (0..400).flat_map(fragment).collect();
    tcp.orig(&all).wait(SECOND);
    tcp.reset(Side::Resp);
    pcap(&wire.finish())
}

/// HTTP/2 against its reader: a head that never ends, a head of two hundred octets that unfolds to eight hundred
/// kilobytes, three hundred requests that wait for answers.
pub(crate) fn http2_endless() -> Vec<u8> {
    let mut wire = Wire::new(97);
    let frame = |kind: u8, flags: u8, stream: u32, body: &[u8]| {
        [&(body.len() as u32).to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
    };
    let open = b"\x82\x84\x86";
    let endless = [frame(1, 0, 1, open), frame(9, 0, 1, &[0x82; 14_000]).repeat(5)].concat();
    // A field of 4,000 octets into the table (RFC 7541 §6.2.1), then that field by its index again and again.
    let long = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'a'; 4_000], &[0xbe; 200]].concat();
    let unfolding = frame(1, 4, 1, &[&open[..], &long].concat());
    let many: Vec<u8> = (0..300).flat_map(|n| frame(1, 5, 2 * n + 1, open)).collect();
    for (at, said) in (0..).zip([endless, unfolding, many]) {
        let mut tcp = Tcp::new(&mut wire, MORNING + at * SECOND, &pc(), (&web(), 8080));
        tcp.open().orig(&[super::http2::PREFACE, super::http2::SETTINGS, &said].concat());
        tcp.resp(super::http2::SETTINGS).wait(SECOND / 2);
        tcp.reset(Side::Resp);
    }
    pcap(&wire.finish())
}

/// What a terminal would obey: a title, a colour, a line break, text that runs backwards.
pub(crate) fn text_escapes() -> Vec<u8> {
    const COMMANDS: &str = "\u{1b}]0;owned\u{7}\u{1b}[31mred\u{1b}[0m";
    let mut wire = Wire::new(96);
    let name = format!("{COMMANDS}.example");
    wire.udp(MORNING, (&pc(), 50_703), (&dc(), 53), &dns::query(3, &name, A));
    let mut tcp = Tcp::new(&mut wire, MORNING + SECOND, &pc(), (&web(), 80));
    let agent = "tool \u{202e}gnp.exe \u{9b}2J";
    tcp.open().orig(&http::get("/", "escapes.example", agent));
    tcp.resp(&http::ok("text/html", &http::page(100)));
    tcp.close(Side::Orig);
    pcap(&wire.finish())
}
