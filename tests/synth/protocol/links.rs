//! The same look-up and page behind every kind of link, tag and tunnel, and packets that come in pieces or twice.

use super::{dc, pc, web};
use crate::synth::dns::{self, A, Answer, FOUND, look_up};
use crate::synth::file::pcap;
use crate::synth::hello::Client;
use crate::synth::http::{self, BROWSER};
use crate::synth::net::{self, Frame, GRE, Host, IPIP, IPV4, MORNING, MS, Nanos, SECOND, UDP, Wire, ethernet, ipv4};
use crate::synth::tcp::{Side, Tcp};
use crate::synth::tls::{Answer as TlsAnswer, Tls};
use std::net::{IpAddr, Ipv4Addr};

/// A look-up and a page: what every carrier carries.
pub(crate) fn visit(seed: u64) -> Vec<Frame> {
    let mut wire = Wire::new(seed);
    let name = "www.news.example";
    let answers = [Answer::Address(web().ip)];
    let now = look_up(&mut wire, MORNING, &pc(), &dc(), (name, A), (FOUND, &answers));
    let mut tcp = Tcp::new(&mut wire, now + MS, &pc(), (&web(), 80));
    tcp.open().orig(&http::get("/", name, BROWSER)).resp(&http::ok("text/html", &http::page(3_200)));
    tcp.close(Side::Orig);
    wire.finish()
}

/// Puts something between the hardware addresses and the packet.
fn tagged(seed: u64, tag: &[u8]) -> Vec<u8> {
    let wrap = |f: Frame| Frame { ts: f.ts, bytes: [&f.bytes[..12], tag, &f.bytes[12..]].concat() };
    pcap(&visit(seed).into_iter().map(wrap).collect::<Vec<_>>())
}

pub(crate) fn vlan() -> Vec<u8> {
    tagged(30, &[0x81, 0x00, 0x00, 0x2a])
}

pub(crate) fn qinq() -> Vec<u8> {
    tagged(31, &[0x88, 0xa8, 0x00, 0x64, 0x81, 0x00, 0x60, 0x2a])
}

/// Labels 100 and 200, the second at the bottom of the stack (RFC 3032 §2.1).
pub(crate) fn mpls() -> Vec<u8> {
    replaced(32, 0x8847, |packet| [&[0x00, 0x06, 0x40, 0x40, 0x00, 0x0c, 0x81, 0x40][..], packet].concat())
}

/// Session 7 (RFC 2516 §5), protocol IPv4 (0x0021).
pub(crate) fn pppoe() -> Vec<u8> {
    replaced(33, 0x8864, |packet| {
        let length = (packet.len() as u16 + 2).to_be_bytes();
        [&[0x11, 0, 0, 7][..], &length, &[0, 0x21], packet].concat()
    })
}

/// Another EtherType and another body around the packet, which loses its padding.
fn replaced(seed: u64, kind: u16, wrap: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let frames: Vec<Frame> = visit(seed)
        .into_iter()
        .map(|f| {
            let (to, from) = hardware(&f.bytes);
            Frame { ts: f.ts, bytes: ethernet(from, to, kind, &wrap(packet_of(&f.bytes))) }
        })
        .collect();
    pcap(&frames)
}

/// Between two routers (RFC 2784, RFC 2890): key present.
pub(crate) fn gre() -> Vec<u8> {
    tunnelled(34, GRE, |frame| [&[0x20, 0, 8, 0, 0, 0, 0, 42][..], packet_of(frame)].concat())
}

/// RFC 2003.
pub(crate) fn ipip() -> Vec<u8> {
    tunnelled(35, IPIP, |frame| packet_of(frame).to_vec())
}

/// ERSPAN type II (draft-foschiano-erspan §4.2): GRE with a sequence number, version 1, VLAN 10, session 7.
pub(crate) fn erspan() -> Vec<u8> {
    tunnelled(36, GRE, |frame| [&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0x0a, 0, 7, 0, 0, 0, 0][..], frame].concat())
}

/// Type I: the frame right behind GRE, without a sequence number.
pub(crate) fn erspan_i() -> Vec<u8> {
    tunnelled(43, GRE, |frame| [&[0, 0, 0x88, 0xbe][..], frame].concat())
}

/// Type III (draft-foschiano-erspan §4.3): version 2, VLAN 10, session 7, a time stamp, and every second frame with the
/// platform's subheader.
pub(crate) fn erspan_iii() -> Vec<u8> {
    tunnelled(44, GRE, |frame| {
        let more = frame.len() % 2;
        let head = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0x0a, 0, 7, 0, 0, 1, 0, 0, 0, 0, more as u8];
        [&head[..], &[0; 8][..8 * more], frame].concat()
    })
}

/// RFC 4380 §5.1.1: IPv6 in UDP, the first packet behind an authentication and an origin indication.
pub(crate) fn teredo() -> Vec<u8> {
    let mut wire = Wire::new(45);
    let (pc, server) = (Host::v6("2001:0:c000:201::21"), Host::v6("2001:db8:80::1"));
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc, (&server, 80));
    tcp.mss = 1_200;
    tcp.open().orig(&http::get("/", "six.example", BROWSER)).resp(&http::ok("text/html", &http::page(2_000)));
    tcp.close(Side::Orig);
    let inside = net::IPV6.to_be_bytes();
    let frames: Vec<Frame> = wire
        .finish()
        .into_iter()
        .enumerate()
        .map(|(n, f)| {
            assert_eq!(f.bytes[12..14], inside);
            let length = 40 + usize::from(u16::from_be_bytes([f.bytes[18], f.bytes[19]]));
            let before: &[u8] = match n {
                0 => &[0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0x3c, 0xaf, 0xf5, 0xff, 0xfe, 0xfd],
                _ => &[],
            };
            let datagram = [before, &f.bytes[14..14 + length]].concat();
            let udp = net::udp(ENDS[0].into(), ENDS[1].into(), 50_000, 3544, &datagram);
            let packet = ipv4(ENDS[0], ENDS[1], UDP, 255, n as u16, 0, &udp);
            Frame { ts: f.ts, bytes: ethernet(net::ROUTER, [0, 0, 0x5e, 0, 0x53, 0xfd], IPV4, &packet) }
        })
        .collect();
    pcap(&frames)
}

/// RFC 7348 §5.
pub(crate) fn vxlan() -> Vec<u8> {
    over_udp(37, 4789, |frame| [&[8, 0, 0, 0, 0, 0, 42, 0][..], frame].concat())
}

/// RFC 8926 §3.4: one option of four bytes, protocol Ethernet.
pub(crate) fn geneve() -> Vec<u8> {
    over_udp(38, 6081, |frame| {
        [&[2, 0, 0x65, 0x58, 0, 0, 42, 0][..], &[0x01, 0x02, 0x80, 1, 0, 0, 0, 9], frame].concat()
    })
}

/// 3GPP TS 29.281 §5.1: a G-PDU without optional fields.
pub(crate) fn gtpu() -> Vec<u8> {
    over_udp(39, 2152, |frame| {
        let packet = packet_of(frame);
        [&[0x30, 0xff][..], &(packet.len() as u16).to_be_bytes(), &[0, 0, 0x12, 0x34], packet].concat()
    })
}

/// Tunnel ends.
const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 255, 0, 1), Ipv4Addr::new(10, 255, 0, 2)];

fn tunnelled(seed: u64, protocol: u8, wrap: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let frames: Vec<Frame> = visit(seed)
        .into_iter()
        .enumerate()
        .map(|(n, f)| {
            let packet = ipv4(ENDS[0], ENDS[1], protocol, 255, n as u16, 0, &wrap(&f.bytes));
            Frame { ts: f.ts, bytes: ethernet(net::ROUTER, [0, 0, 0x5e, 0, 0x53, 0xfd], IPV4, &packet) }
        })
        .collect();
    pcap(&frames)
}

fn over_udp(seed: u64, port: u16, wrap: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let frames: Vec<Frame> = visit(seed)
        .into_iter()
        .enumerate()
        .map(|(n, f)| {
            let from = if port == 2152 { port } else { 50_000 + n as u16 % 16 };
            let datagram = net::udp(ENDS[0].into(), ENDS[1].into(), from, port, &wrap(&f.bytes));
            let packet = ipv4(ENDS[0], ENDS[1], UDP, 255, n as u16, 0, &datagram);
            Frame { ts: f.ts, bytes: ethernet(net::ROUTER, [0, 0, 0x5e, 0, 0x53, 0xfd], IPV4, &packet) }
        })
        .collect();
    pcap(&frames)
}

pub(crate) fn ipv6() -> Vec<u8> {
    let mut wire = Wire::new(40);
    let (pc, dns_server, web) = (Host::v6("2001:db8:20:1::21"), Host::v6("2001:db8:20::5"), Host::v6("2001:db8:80::1"));
    let now =
        look_up(&mut wire, MORNING, &pc, &dns_server, ("six.example", dns::AAAA), (FOUND, &[Answer::Address(web.ip)]));
    let mut tcp = Tcp::new(&mut wire, now + MS, &pc, (&web, 443));
    tcp.mss = 1_440;
    tcp.open();
    let mut session = Tls::open(&mut tcp, Client::Firefox, Some("six.example"), TlsAnswer::Modern);
    session.exchange(400, 3_000);
    session.close(Side::Orig);
    // A fragment header (RFC 8200 §4.5) around a question that did not need one.
    let (IpAddr::V6(a), IpAddr::V6(b)) = (pc.ip, dns_server.ip) else { panic!("both are IPv6") };
    let datagram = net::udp(pc.ip, dns_server.ip, 50_001, 53, &dns::query(9, "atomic.example", dns::AAAA));
    let packet = net::ipv6(a, b, 44, 64, &[&[UDP, 0, 0, 0, 0, 0, 0, 77][..], &datagram].concat());
    wire.send(now + 3 * SECOND, &pc, &dns_server, &packet);
    pcap(&wire.finish())
}

/// The middle piece first, then the end, then the beginning.
pub(crate) fn fragments() -> Vec<u8> {
    let mut wire = Wire::new(41);
    let answers: Vec<Answer> = (1..=180).map(|n| Answer::Address([198, 51, 100, n].into())).collect();
    let (pc, dc) = (pc(), dc());
    wire.udp(MORNING, (&pc, 50_777), (&dc, 53), &dns::query(77, "many.cdn.example", A));
    let message = dns::response(77, "many.cdn.example", A, FOUND, 60, &answers);
    let datagram = net::udp(dc.ip, pc.ip, 53, 50_777, &message);
    let (IpAddr::V4(from), IpAddr::V4(to)) = (dc.ip, pc.ip) else { panic!("both are IPv4") };
    let pieces: Vec<&[u8]> = datagram.chunks(1_480).collect();
    for (at, n) in [(2 * MS, 1), (3 * MS, pieces.len() - 1), (4 * MS, 0)] {
        let more = if n + 1 < pieces.len() { 0x2000 } else { 0 };
        let packet = ipv4(from, to, UDP, 127, 4_242, more | (n * 1_480 / 8) as u16, pieces[n]);
        wire.send(MORNING + at, &dc, &pc, &packet);
    }
    pcap(&wire.finish())
}

/// The second copy left the router: other hardware addresses, another VLAN, one hop more, up to 3 ms later.
pub(crate) fn duplicates() -> Vec<u8> {
    let mut frames = Vec::new();
    for (n, frame) in visit(42).into_iter().enumerate() {
        let delay: Nanos = MS + (n as u64 % 3) * MS;
        let mut packet = packet_of(&frame.bytes).to_vec();
        packet[8] -= 1;
        packet[10..12].fill(0);
        let sum = net::checksum(&[&packet[..20]]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        let copy = [&[0, 0, 0x5e, 0, 0x53, 0xfd][..], &net::ROUTER, &[0x81, 0, 0, 0x14, 8, 0], &packet].concat();
        let first = [&frame.bytes[..12], &[0x81, 0, 0, 0x0a], &frame.bytes[12..]].concat();
        frames.push(Frame { ts: frame.ts + delay, bytes: copy });
        frames.push(Frame { ts: frame.ts, bytes: first });
    }
    frames.sort_by_key(|f| f.ts);
    pcap(&frames)
}

/// A host captures its own sends before the card cuts them, and the segments come back by the mirror port.
pub(crate) fn offload() -> Vec<u8> {
    let mut wire = Wire::new(43);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&web(), 80));
    let upload = http::request("POST", "/upload", "depot.example", &[("User-Agent", BROWSER)], &http::page(7_000));
    tcp.mss = 65_000;
    tcp.open().orig(&upload);
    let start = tcp.now - 30_000;
    tcp.resp(&http::ok("text/plain", b"stored"));
    tcp.close(Side::Orig);
    let mut frames = wire.finish();
    let whole = frames.iter().position(|f| f.bytes.len() > 7_000).expect("the frame that is too long for the wire");
    let packet = packet_of(&frames[whole].bytes).to_vec();
    let mut segments = Vec::new();
    for (n, piece) in packet[40..].chunks(1_460).enumerate() {
        segments
            .push(Frame { ts: start + 100_000 + n as u64 * 12_000, bytes: segment(&frames[whole].bytes, n, piece) });
    }
    frames.splice(whole + 1..whole + 1, segments);
    pcap(&frames)
}

/// The `n`th piece of 1,460 bytes of a long segment, as the card sends it.
fn segment(frame: &[u8], n: usize, piece: &[u8]) -> Vec<u8> {
    let (to, from) = hardware(frame);
    let packet = packet_of(frame);
    let mut tcp = packet[20..40].to_vec();
    let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]).wrapping_add(n as u32 * 1_460);
    tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
    tcp[16..18].fill(0);
    tcp.extend_from_slice(piece);
    let at = |i: usize| Ipv4Addr::new(packet[i], packet[i + 1], packet[i + 2], packet[i + 3]);
    let sum = net::transport_checksum(at(12).into(), at(16).into(), net::TCP, &tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let id = u16::from_be_bytes([packet[4], packet[5]]) + n as u16;
    ethernet(from, to, IPV4, &ipv4(at(12), at(16), net::TCP, packet[8], id, 0x4000, &tcp))
}

/// Destination and source of an Ethernet frame.
fn hardware(frame: &[u8]) -> ([u8; 6], [u8; 6]) {
    (frame[..6].try_into().expect("six bytes"), frame[6..12].try_into().expect("six bytes"))
}

/// The IPv4 packet within an untagged frame, without Ethernet's padding.
pub(crate) fn packet_of(frame: &[u8]) -> &[u8] {
    let length = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    &frame[14..14 + length]
}
