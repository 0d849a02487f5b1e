//! Conversations that turn into another protocol, or arrange one beside them.

use super::{dc, pc, web};
use crate::synth::file::pcap;
use crate::synth::hello::Client;
use crate::synth::http::{self, BROWSER};
use crate::synth::http2::{self, PREFACE, SETTINGS, SETTINGS_SEEN, Speaker};
use crate::synth::net::{Host, MORNING, SECOND, Wire};
use crate::synth::tcp::{Side, Tcp};
use crate::synth::tls::{Answer, Tls};

/// By prior knowledge: two requests at once, answered in reverse, and an upload; then by upgrade from HTTP/1.1.
pub(crate) fn http2() -> Vec<u8> {
    let mut wire = Wire::new(70);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&dc(), 8080));
    let (mut client, mut server) = (Speaker::new(), Speaker::new());
    let ask = |path: &'static str, method: &'static str| {
        [(":method", method), (":scheme", "http"), (":authority", "api.corp.example:8080"), (":path", path), AGENT]
    };
    let one = client.head(1, &ask("/v1/state", "GET"), false, 16_384);
    let two = client.head(3, &ask("/install.ps1", "GET"), false, 20);
    tcp.open().orig(&[PREFACE, SETTINGS, &one, &two].concat());
    let script = server.head(3, &[(":status", "200"), ("content-type", "text/plain")], true, 16_384);
    let state = server.head(1, &[(":status", "204")], false, 16_384);
    tcp.resp(&[SETTINGS, SETTINGS_SEEN, &script, &http2::data(3, &http::script(2_000)), &state].concat());
    let upload = client.head(5, &ask("/v1/report", "POST"), true, 16_384);
    tcp.orig(&[SETTINGS_SEEN, &upload, &http2::data(5, &[7; 3_000])].concat());
    tcp.resp(&server.head(5, &[(":status", "201")], false, 16_384));
    let now = tcp.close(Side::Orig);

    let mut tcp = Tcp::new(&mut wire, now + SECOND, &pc(), (&dc(), 8080));
    let (mut client, mut server) = (Speaker::new(), Speaker::new());
    let headers =
        [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAEAAA"), AGENT];
    tcp.open().orig(&http::request("GET", "/v1/hello", "api.corp.example:8080", &headers, &[]));
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let answer = server.head(1, &[(":status", "200")], true, 16_384);
    tcp.resp(&[switched, SETTINGS, &answer, &http2::data(1, b"hello\n")].concat());
    let next = client.head(3, &ask("/v1/more", "GET"), false, 16_384);
    tcp.orig(&[PREFACE, SETTINGS, SETTINGS_SEEN, &next].concat());
    tcp.resp(&[SETTINGS_SEEN, &server.head(3, &[(":status", "404")], false, 16_384)].concat());
    tcp.close(Side::Resp);
    pcap(&wire.finish())
}

const AGENT: (&str, &str) = ("user-agent", "grpc-go/1.77.0");

/// A file by FTP, passive, then a listing by an active connection.
pub(crate) fn ftp() -> Vec<u8> {
    let mut wire = Wire::new(71);
    let (pc, server) = (pc(), Host::outside([192, 0, 2, 21]));
    let mut control = Tcp::new(&mut wire, MORNING, &pc, (&server, 21));
    control.open().resp(b"220 ProFTPD Server ready.\r\n").orig(b"USER anonymous\r\n").resp(b"230 Logged in.\r\n");
    control.orig(b"PASV\r\n").resp(b"227 Entering Passive Mode (192,0,2,21,200,10).\r\n").orig(b"RETR a.bin\r\n");
    control.resp(b"150 Here it comes.\r\n").wait(SECOND).resp(b"226 Done.\r\n");
    control
        .orig(b"PORT 10,20,1,21,200,11\r\n")
        .resp(b"200 Fine.\r\n")
        .orig(b"LIST\r\n")
        .resp(b"150 Here it comes.\r\n");
    control.wait(SECOND).resp(b"226 Done.\r\n").orig(b"QUIT\r\n").resp(b"221 Goodbye.\r\n");
    control.close(Side::Orig);
    let mut data = Tcp::new(&mut wire, MORNING + SECOND / 2, &pc, (&server, 51_210));
    let body = data.wire.random.bytes(5_000);
    data.open().resp(&body);
    data.close(Side::Resp);
    let mut data = Tcp::from_port(&mut wire, MORNING + 3 * SECOND / 2, (&server, 20), (&pc, 51_211));
    data.open().orig(b"-rw-r--r-- 1 ftp ftp 5000 Mar 03 2026 a.bin\r\n");
    data.close(Side::Orig);
    pcap(&wire.finish())
}

/// Words of both sides before TLS.
type Words = &'static [(Side, &'static [u8])];

/// Seven protocols that agree on TLS in the clear, each on a port that is not its own.
pub(crate) fn starttls() -> Vec<u8> {
    use Side::{Orig, Resp};
    const LDAP_ASK: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
    const LDAP_YES: &[u8] = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0\x04\0\x04\0";
    const RDP_ASK: &[u8] = b"\x03\0\0\x2b\x26\xe0\0\0\0\0\0Cookie: mstshash=alice\r\n\x01\0\x08\0\x0b\0\0\0";
    const RDP_NLA: &[u8] = b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x02\0\0\0";
    let turns: [(&str, Words); 7] = [
        (
            "mx.example",
            &[
                (Resp, b"220 mx.example ESMTP Postfix\r\n"),
                (Orig, b"EHLO pc\r\n"),
                (Resp, b"250-mx.example\r\n250 STARTTLS\r\n"),
                (Orig, b"STARTTLS\r\n"),
                (Resp, b"220 2.0.0 Ready\r\n"),
            ],
        ),
        ("imap.example", &[(Resp, b"* OK Dovecot ready.\r\n"), (Orig, b"a1 STARTTLS\r\n"), (Resp, b"a1 OK Begin\r\n")]),
        ("pop.example", &[(Resp, b"+OK Dovecot ready.\r\n"), (Orig, b"STLS\r\n"), (Resp, b"+OK Begin\r\n")]),
        ("ftp.example", &[(Resp, b"220 vsFTPd 3.0.5\r\n"), (Orig, b"AUTH TLS\r\n"), (Resp, b"234 Proceed.\r\n")]),
        ("ldap.example", &[(Orig, LDAP_ASK), (Resp, LDAP_YES)]),
        ("sql.example", &[(Orig, b"\0\0\0\x08\x04\xd2\x16\x2f"), (Resp, b"S")]),
        ("rdp.example", &[(Orig, RDP_ASK), (Resp, RDP_NLA)]),
    ];
    let mut wire = Wire::new(72);
    for (n, (name, words)) in (0..).zip(turns) {
        let mut tcp = Tcp::new(&mut wire, MORNING + n * SECOND, &pc(), (&web(), 21_000 + n as u16));
        tcp.open();
        for (side, said) in words {
            tcp.send(*side, said);
        }
        let mut session = Tls::open(&mut tcp, Client::Go, Some(name), Answer::Modern);
        session.exchange(300, 900);
        session.close(Orig);
    }
    pcap(&wire.finish())
}

/// A browser's requests through SOCKS 5, then TLS behind SOCKS 4a.
pub(crate) fn socks() -> Vec<u8> {
    let mut wire = Wire::new(73);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&dc(), 23_000));
    tcp.open().orig(&[5, 1, 0]).resp(&[5, 0]);
    tcp.orig(b"\x05\x01\0\x03\x0cwiki.example\0\x50").resp(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    tcp.orig(&http::get("/", "wiki.example", BROWSER)).resp(&http::ok("text/html", &http::page(900)));
    let now = tcp.close(Side::Orig);
    let mut tcp = Tcp::new(&mut wire, now + SECOND, &pc(), (&dc(), 23_000));
    tcp.open().orig(b"\x04\x01\x01\xbb\0\0\0\x01\0mail.example\0").resp(&[0, 90, 0, 0, 0, 0, 0, 0]);
    Tls::open(&mut tcp, Client::Firefox, Some("mail.example"), Answer::Modern).exchange(200, 700);
    tcp.close(Side::Orig);
    pcap(&wire.finish())
}

/// A link of Tor as it was up to TLS 1.2: two made-up hosts in one certificate.
pub(crate) fn tor() -> Vec<u8> {
    let mut wire = Wire::new(74);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&web(), 9001));
    tcp.open();
    Tls::open(&mut tcp, Client::Schannel, Some("www.h2kqvwx6ra.com"), Answer::Relay12).exchange(500, 1_500);
    tcp.close(Side::Orig);
    pcap(&wire.finish())
}
