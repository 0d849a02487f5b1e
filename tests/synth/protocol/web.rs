//! What goes to the web: HTTP/1, TLS, QUIC.

use super::{dc, pc, web};
use crate::synth::dns::{A, Answer as DnsAnswer, FOUND, look_up};
use crate::synth::file::pcap;
use crate::synth::hello::{Client, client_hello};
use crate::synth::http::{self, BROWSER};
use crate::synth::net::{Host, MINUTE, MORNING, MS, SECOND, Wire};
use crate::synth::quic;
use crate::synth::tcp::{Side, Tcp};
use crate::synth::tls::{self, Answer, HANDSHAKE, Tls, record};
use rustls::quic::Version;

/// Four kinds of client; TLS 1.3 shows no certificate.
pub(crate) fn tls13() -> Vec<u8> {
    let clients = [
        (Client::Chromium, "www.news.example"),
        (Client::ChromiumPostQuantum, "mail.office.example"),
        (Client::Firefox, "wiki.example"),
        (Client::Go, "sync.drive.example"),
    ];
    let mut wire = Wire::new(10);
    for (n, (client, name)) in clients.into_iter().enumerate() {
        let at = MORNING + n as u64 * SECOND;
        let server = Host::outside([198, 51, 100, 80 + n as u8]);
        let at = look_up(&mut wire, at, &pc(), &dc(), (name, A), (FOUND, &[DnsAnswer::Address(server.ip)]));
        let mut tcp = Tcp::new(&mut wire, at + MS, &pc(), (&server, 443));
        tcp.open();
        Tls::open(&mut tcp, client, Some(name), Answer::Modern).exchange(420, 1_800).exchange(300, 700);
        tcp.close(Side::Orig);
    }
    pcap(&wire.finish())
}

/// The system library of Windows, a certificate in the clear, then the same session resumed.
pub(crate) fn tls12() -> Vec<u8> {
    let mut wire = Wire::new(11);
    for (n, answer) in [Answer::Full12, Answer::Resumed12].into_iter().enumerate() {
        let mut tcp = Tcp::new(&mut wire, MORNING + n as u64 * MINUTE, &pc(), (&web(), 443));
        tcp.open();
        let mut session = Tls::open(&mut tcp, Client::Schannel, Some("update.vendor.example"), answer);
        session.exchange(310, 900);
        session.close(Side::Orig);
    }
    pcap(&wire.finish())
}

/// No server name: an appliance called by its address.
pub(crate) fn tls12_without_name() -> Vec<u8> {
    let mut wire = Wire::new(12);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&web(), 8443));
    tcp.open();
    let mut session = Tls::open(&mut tcp, Client::Schannel, None, Answer::Full12);
    session.exchange(200, 500);
    session.close(Side::Resp);
    pcap(&wire.finish())
}

/// One hello in records of 100 bytes, each in a segment of its own (RFC 8446 §5.1 allows it).
pub(crate) fn tls13_split() -> Vec<u8> {
    let mut wire = Wire::new(13);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&web(), 443));
    tcp.open();
    let hello = client_hello(&mut tcp.wire.random, Client::Chromium, Some("split.example"), false);
    for piece in hello.message.chunks(100) {
        tcp.orig(&record(HANDSHAKE, 0x0301, piece));
    }
    let answer = tls::server_hello_13(&mut tcp.wire.random, &hello.session);
    let flight = tls::sealed(&mut tcp.wire.random, tls::DATA, 1_000);
    tcp.resp(&[record(HANDSHAKE, 0x0303, &answer), record(tls::CHANGE_CIPHER, 0x0303, &[1]), flight].concat());
    tcp.wait(SECOND).close(Side::Orig);
    pcap(&wire.finish())
}

/// A hello that fits a datagram, and a post-quantum one that needs two.
pub(crate) fn quic_v1() -> Vec<u8> {
    let mut wire = Wire::new(14);
    let one = (Version::V1, Client::Chromium);
    let now = quic::connection(&mut wire, MORNING, &pc(), &web(), "video.example", one);
    let two = (Version::V1, Client::ChromiumPostQuantum);
    quic::connection(&mut wire, now + SECOND, &pc(), &web(), "maps.example", two);
    pcap(&wire.finish())
}

/// A Retry with the hello in seven pieces afterwards; a version that the server refuses.
pub(crate) fn quic_retry() -> Vec<u8> {
    let mut wire = Wire::new(75);
    let now = quic::retried(&mut wire, MORNING, &pc(), &web(), "retry.example");
    quic::negotiated(&mut wire, now + SECOND, &pc(), &web(), "versions.example");
    pcap(&wire.finish())
}

/// RFC 9369.
pub(crate) fn quic_v2() -> Vec<u8> {
    let mut wire = Wire::new(15);
    quic::connection(&mut wire, MORNING, &pc(), &web(), "video.example", (Version::V2, Client::Chromium));
    pcap(&wire.finish())
}

/// Three requests on one connection, among them an upload and an answer without a body.
pub(crate) fn http_keep_alive() -> Vec<u8> {
    let mut wire = Wire::new(16);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&web(), 80));
    tcp.open();
    tcp.orig(&http::get("/", "intranet.example", BROWSER)).resp(&http::ok("text/html", &http::page(4_000)));
    tcp.wait(2 * SECOND).orig(&http::get("/logo.svg", "intranet.example", BROWSER));
    tcp.resp(b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n");
    let form = [("User-Agent", BROWSER), ("Content-Type", "application/x-www-form-urlencoded")];
    tcp.wait(SECOND).orig(&http::request("POST", "/search", "intranet.example", &form, b"q=timetable&page=1"));
    tcp.resp(&http::ok("text/html", &http::page(900)));
    tcp.close(Side::Orig);
    pcap(&wire.finish())
}

/// Four requests before the first answer, the answers in one piece.
pub(crate) fn http_pipelined() -> Vec<u8> {
    let mut wire = Wire::new(17);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&web(), 8080));
    tcp.open();
    let asked: Vec<u8> = (1..=4).flat_map(|n| http::get(&format!("/part/{n}"), "depot.example", "depot/3.1")).collect();
    tcp.orig(&asked);
    let answers: Vec<u8> = (1..=4).flat_map(|n| http::ok("text/plain", &http::page(n * 300))).collect();
    tcp.resp(&answers);
    tcp.close(Side::Resp);
    pcap(&wire.finish())
}

/// An answer in chunks, one of them empty of meaning, across segments.
pub(crate) fn http_chunked() -> Vec<u8> {
    let mut wire = Wire::new(18);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&web(), 80));
    tcp.mss = 536;
    tcp.open().orig(&http::get("/report", "depot.example", BROWSER));
    let (first, second) = (http::page(1_500), http::page(37));
    tcp.resp(&http::chunked("200 OK", &[("Content-Type", "text/html")], &[&first, b"x", &second]));
    tcp.orig(&http::get("/next", "depot.example", BROWSER)).resp(&http::ok("text/html", &http::page(64)));
    tcp.close(Side::Orig);
    pcap(&wire.finish())
}

/// A proxy is asked for a tunnel; TLS follows on the same connection.
pub(crate) fn http_connect() -> Vec<u8> {
    let mut wire = Wire::new(19);
    let proxy = Host::inside([10, 20, 0, 8]);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&proxy, 3128));
    tcp.open();
    let headers = [("User-Agent", BROWSER), ("Proxy-Connection", "keep-alive")];
    tcp.orig(&http::request("CONNECT", "www.news.example:443", "www.news.example:443", &headers, &[]));
    tcp.resp(b"HTTP/1.1 200 Connection established\r\n\r\n");
    let mut session = Tls::open(&mut tcp, Client::Chromium, Some("www.news.example"), Answer::Modern);
    session.exchange(500, 2_000);
    session.close(Side::Orig);
    // The absolute form of RFC 9112 §3.2.2 on a second connection.
    let mut tcp = Tcp::new(&mut wire, MORNING + SECOND, &pc(), (&proxy, 3128));
    tcp.open().orig(&http::get("http://depot.example/list", "depot.example", BROWSER));
    tcp.resp(&http::ok("text/plain", &http::page(300)));
    tcp.close(Side::Orig);
    pcap(&wire.finish())
}

/// A segment that is sent twice, a reset, a connection nobody answers, bytes the sensor never saw.
pub(crate) fn tcp_trouble() -> Vec<u8> {
    let mut wire = Wire::new(20);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&web(), 80));
    let ask = http::get("/", "depot.example", BROWSER);
    tcp.open().orig(&ask).again(Side::Orig, &ask).resp(&http::ok("text/html", &http::page(500)));
    tcp.reset(Side::Orig);
    let mut tcp = Tcp::new(&mut wire, MORNING + SECOND, &pc(), (&web(), 81));
    for _ in 0..3 {
        tcp.put(Side::Orig, super::super::tcp::SYN, &[], &[]);
        tcp.now += SECOND;
    }
    let mut tcp = Tcp::new(&mut wire, MORNING + 9 * SECOND, &pc(), (&web(), 80));
    tcp.open().orig(&http::get("/big", "depot.example", BROWSER));
    let answer = http::ok("text/html", &http::page(2_900));
    tcp.resp(&answer[..1_460]).unseen(Side::Resp, 1_460).resp(&answer[2_920..]);
    tcp.close(Side::Orig);
    pcap(&wire.finish())
}
