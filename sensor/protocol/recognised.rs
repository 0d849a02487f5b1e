//! Protocols that are only recognised: their name becomes the flow's `service`, so that "not what the port promises" is
//! a fact. Content decides, on any port; each needs enough fixed bytes that other traffic does not have them by chance.
//!
//! What it does not do: anything after the first message.

use super::{Input, Output, Parser, Probe, Progress, Protocol, ber};
use crate::base::Reader;
use crate::event::{Direction, Transport};
use Direction::{Orig, Resp};
use Probe::{Match, Mismatch, NeedMore};

/// RFC 5905.
pub(super) static NTP: Protocol = udp("ntp", &[123], |_, data| sure(ntp(data)));
/// RFC 3416, RFC 3412.
pub(super) static SNMP: Protocol = udp("snmp", &[161, 162], |_, data| sure(snmp(data)));
/// RFC 8489.
pub(super) static STUN: Protocol = udp("stun", &[3478], |_, data| sure(stun(data)));
/// RFC 7296 §3.1, RFC 2408 §3.1; behind four zero bytes on port 4500 (RFC 3948 §2.2).
pub(super) static IKE: Protocol = udp("ike", &[500, 4500], |_, data| sure(ike(data) || ike_behind_marker(data)));
/// The WireGuard paper, §5.4.
pub(super) static WIREGUARD: Protocol = udp("wireguard", &[51820], |_, data| sure(wireguard(data)));
/// Control channel resets, with and without tls-auth and tls-crypt.
pub(super) static OPENVPN: Protocol = udp("openvpn", &[1194], |_, data| sure(openvpn(data)));
/// The same behind two bytes of length.
pub(super) static OPENVPN_TCP: Protocol = tcp("openvpn", &[1194], |_, data| openvpn_tcp(data));
/// BEP 5, BEP 15.
pub(super) static BITTORRENT_UDP: Protocol = udp("bittorrent", &[6881], |_, data| sure(bittorrent(data)));
/// BEP 3.
pub(super) static BITTORRENT: Protocol = tcp("bittorrent", &[6881], |_, data| begins(data, b"\x13BitTorrent protocol"));
/// RFC 3261.
pub(super) static SIP: Protocol = udp("sip", &[5060], |_, data| sure(sip(data)));
/// RFC 3261.
pub(super) static SIP_TCP: Protocol = tcp("sip", &[5060], |_, data| sip_tcp(data));
/// MQTT 3.1 and 5 §3.1.
pub(super) static MQTT: Protocol = tcp("mqtt", &[1883], mqtt);
/// MS-TDS §2.2.6.5.
pub(super) static TDS: Protocol = tcp("tds", &[1433], tds);
/// Redis serialisation protocol.
pub(super) static REDIS: Protocol = tcp("redis", &[6379], redis);
/// RFC 6143 §7.1.1.
pub(super) static VNC: Protocol = tcp("rfb", &[5900], |_, data| begins(data, b"RFB 003.00"));
/// The daemon's own protocol.
pub(super) static RSYNC: Protocol = tcp("rsync", &[873], |_, data| begins(data, b"@RSYNCD: "));
/// AMQP 0-9-1 §4.2.2.
pub(super) static AMQP: Protocol = tcp("amqp", &[5672], |from, data| opens(from, data, b"AMQP"));
/// RFC 854: option negotiation comes first.
pub(super) static TELNET: Protocol = tcp("telnet", &[23], |_, data| telnet(data));

/// RFC 2812, IRCv3: a client names itself or asks for capabilities, a server sends notices from its name.
pub(super) static IRC: Protocol = tcp("irc", &[6667, 6697, 7000], irc);
/// MS-RDPEUDP §2.2.2.1.
pub(super) static RDP_UDP: Protocol = udp("rdpeudp", &[3389], |_, data| sure(rdp_udp(data)));

const fn udp(name: &'static str, ports: &'static [u16], probe: fn(Direction, &[u8]) -> Probe) -> Protocol {
    Protocol { name, transport: Transport::Udp, ports, probe, new: || Box::new(Recognised) }
}

const fn tcp(name: &'static str, ports: &'static [u16], probe: fn(Direction, &[u8]) -> Probe) -> Protocol {
    Protocol { name, transport: Transport::Tcp, ports, probe, new: || Box::new(Recognised) }
}

struct Recognised;

impl Parser for Recognised {
    fn parse(&mut self, _input: Input<'_>, _out: &mut Output) -> Progress {
        Progress::Done
    }

    fn idle(&self) -> bool {
        true
    }
}

/// A datagram is all there is to look at.
const fn sure(is: bool) -> Probe {
    if is { Match } else { Mismatch }
}

/// Whether data begin with the word, or could with more.
fn begins(data: &[u8], word: &[u8]) -> Probe {
    match data.get(..word.len()) {
        Some(start) => sure(start == word),
        None if word.starts_with(data) => NeedMore,
        None => Mismatch,
    }
}

/// As [`begins`], for what only a client says.
fn opens(from: Direction, data: &[u8], word: &[u8]) -> Probe {
    if from == Orig { begins(data, word) } else { Mismatch }
}

/// Version and mode, then fields that are small in every real packet: stratum, poll, precision, root delay.
fn ntp(data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    let head = (r.u8(), r.u8(), r.u8(), r.u8(), r.u32(), r.u32());
    let (Some(first), Some(stratum), Some(poll), Some(precision), Some(delay), Some(dispersion)) = head else {
        return false;
    };
    let (version, mode) = (first >> 3 & 7, first & 7);
    // With a key id and digest of 16 or 20 bytes (RFC 5905 §7.3) it is longer.
    let len = matches!(data.len(), 48 | 52 | 68 | 72);
    let small = stratum <= 16 && (poll <= 17 || poll >= 0xfa) && (precision == 0 || precision >= 0xe0);
    len && (1..=4).contains(&version) && (1..=5).contains(&mode) && small && delay >> 16 < 16 && dispersion >> 16 <= 64
}

/// A sequence that fills the datagram: version, then community and PDU, or the header of version 3.
fn snmp(data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    if ber::header(&mut r) != Some((ber::SEQUENCE, r.remaining())) {
        return false;
    }
    let mut parts = ber::elements(r.rest());
    let (version, second, third) = (parts.next(), parts.next(), parts.next());
    let (Some(version), Some(second), Some(third)) = (version, second, third) else { return false };
    match (version.tag == ber::INTEGER).then(|| ber::integer(version.content)).flatten() {
        Some(0 | 1) => second.tag == ber::OCTET_STRING && (0xa0..=0xa8).contains(&third.tag),
        Some(3) => second.tag == ber::SEQUENCE && third.tag == ber::OCTET_STRING,
        _ => false,
    }
}

fn stun(data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    let (kind, len, cookie) = (r.u16(), r.u16(), r.u32());
    let fits = |len: u16| len.is_multiple_of(4) && usize::from(len).checked_add(20) == Some(data.len());
    kind.is_some_and(|kind| kind < 0x4000) && cookie == Some(0x2112_a442) && len.is_some_and(fits)
}

/// A cookie, a version, an exchange of that version, and the datagram's length.
fn ike(data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    let head = (r.u64(), r.u64(), r.u8(), r.u8(), r.u8(), r.u8(), r.u32(), r.u32());
    let (Some(cookie), _, _, Some(version), Some(exchange), Some(flags), _, Some(len)) = head else { return false };
    let known = match version {
        0x10 => matches!(exchange, 1..=6 | 32..=34) && flags & 0xf8 == 0,
        0x20 => matches!(exchange, 34..=46) && flags & 0xc7 == 0,
        _ => false,
    };
    known && cookie != 0 && usize::try_from(len) == Ok(data.len())
}

fn ike_behind_marker(data: &[u8]) -> bool {
    data.strip_prefix(&[0; 4]).is_some_and(ike)
}

/// Handshakes have fixed sizes; data packets a counter that starts at 0.
fn wireguard(data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    match (r.u32_le(), data.len()) {
        (Some(1), 148) | (Some(2), 92) | (Some(3), 64) => true,
        (Some(4), 32..) => {
            data.len().is_multiple_of(16) && r.skip(4).is_some() && r.u64_le().is_some_and(|n| n < 1 << 32)
        }
        _ => false,
    }
}

/// Opcode and key id, session id, then: nothing acknowledged and packet 0 (plain), or a digest with packet id 1 behind
/// (tls-auth) or before (tls-crypt) it.
fn openvpn(data: &[u8]) -> bool {
    let at = |at: usize, word: [u8; 4]| {
        let mut r = Reader::new(data);
        r.seek(at).and_then(|()| r.array()) == Some(word)
    };
    let reset = matches!(data.first(), Some(&(0x38 | 0x40 | 0x50)));
    let first = [0, 0, 0, 1];
    reset
        && match data.len() {
            14 => at(10, [0; 4]) && data.get(9) == Some(&0),
            26 => data.get(9) == Some(&1), // The server's reset acknowledges one packet.
            42..=60 => at(9, first) || [16, 20, 32].iter().any(|digest| at(digest + 9, first)),
            61..=110 => at(9, first) || [20, 32, 64].iter().any(|digest| at(digest + 9, first)),
            _ => false,
        }
}

fn openvpn_tcp(data: &[u8]) -> Probe {
    if data.len() < 2 {
        return if matches!(data, [] | [0]) { NeedMore } else { Mismatch };
    }
    let mut r = Reader::new(data);
    match (r.u16(), r.u8()) {
        (Some(len @ 14..=110), Some(0x38 | 0x40 | 0x50)) if usize::from(len).saturating_add(2) > data.len() => NeedMore,
        (Some(len), Some(_)) => {
            let mut body = Reader::new(data);
            sure(body.skip(2).and_then(|()| body.take(len.into())).is_some_and(openvpn))
        }
        (Some(14..=110), None) => NeedMore,
        _ => Mismatch,
    }
}

/// Bencoded queries and replies of the DHT, and the magic number of a tracker's connection request.
fn bittorrent(data: &[u8]) -> bool {
    const CONNECT: [u8; 8] = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80];
    [b"d1:ad2:id20:".as_slice(), b"d1:rd2:id20:", b"d1:eli20"].iter().any(|word| data.starts_with(word))
        || data.len() == 16 && data.starts_with(&CONNECT)
}

/// A request or status line.
fn sip(data: &[u8]) -> bool {
    let line = Reader::new(data).line(MAX_LINE).unwrap_or_default();
    line.starts_with(b"SIP/2.0 ") || line.ends_with(b" SIP/2.0")
}

fn sip_tcp(data: &[u8]) -> Probe {
    const METHODS: [&[u8]; 4] = [b"INVITE ", b"REGISTER ", b"OPTIONS sip", b"SIP/2.0 "];
    let mut answer = Mismatch;
    for method in METHODS {
        match begins(data, method) {
            Match if sip(data) => return Match,
            Match | NeedMore if data.len() < MAX_LINE => answer = NeedMore,
            _ => {}
        }
    }
    answer
}

/// CONNECT, its remaining length, the protocol's name.
fn mqtt(from: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    if from == Resp || r.u8().is_some_and(|b| b != 0x10) {
        return Mismatch;
    }
    // Seven bits a byte, at most four bytes (MQTT 5 §1.5.5).
    for _ in 0..4 {
        match r.u8() {
            None => return NeedMore,
            Some(0x80..) => {}
            Some(_) => break,
        }
    }
    let name = r.rest();
    match (begins(name, b"\0\x04MQTT"), begins(name, b"\0\x06MQIsdp")) {
        (Match, _) | (_, Match) => Match,
        (NeedMore, _) | (_, NeedMore) => NeedMore,
        _ => Mismatch,
    }
}

/// PRELOGIN: packet type, end of message, length, its first option the version at an offset behind the list.
fn tds(from: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    match (r.u8(), r.u8(), r.u16()) {
        (Some(0x12), Some(1), Some(len)) if from == Orig && usize::from(len) == data.len() => {
            sure(r.u16() == Some(0) && r.skip(2).is_some() && r.u8() == Some(0))
        }
        (Some(0x12), Some(1) | None, _) | (None, ..) if from == Orig && data.len() < 8 => NeedMore,
        _ => Mismatch,
    }
}

/// An array of bulk strings: `*1\r\n$4\r\nPING\r\n`.
fn redis(from: Direction, data: &[u8]) -> Probe {
    if from == Resp || !matches!(data, [] | [b'*'] | [b'*', b'1'..=b'9', ..]) {
        return Mismatch;
    }
    let mut r = Reader::new(data);
    match r.line(16) {
        None if data.len() < 16 => NeedMore,
        None => Mismatch,
        Some(_) => r.u8().map_or(NeedMore, |b| sure(b == b'$')),
    }
}

/// Two commands: IAC, WILL to DONT, an option.
fn telnet(data: &[u8]) -> Probe {
    for (at, byte) in data.iter().take(6).enumerate() {
        let fits = match at % 3 {
            0 => *byte == 0xff,
            1 => (0xfb..=0xfe).contains(byte),
            _ => *byte < 0x80,
        };
        if !fits {
            return Mismatch;
        }
    }
    if data.len() < 6 { NeedMore } else { Match }
}

/// Only words that no other protocol's client begins with; a server's notice comes before anything it was asked.
fn irc(from: Direction, data: &[u8]) -> Probe {
    const OPENINGS: [&[u8]; 4] = [b"NICK ", b"CAP LS", b"CAP REQ ", b"NOTICE AUTH :"];
    for word in OPENINGS {
        match begins(data, word) {
            Mismatch => {}
            other => return other,
        }
    }
    if from == Orig || !matches!(data, [] | [b':', ..]) {
        return Mismatch;
    }
    let Some(line) = Reader::new(data).line(MAX_LINE) else {
        return if data.len() < MAX_LINE { NeedMore } else { Mismatch };
    };
    let mut words = line.split(|b| *b == b' ').skip(1);
    sure(matches!(words.next(), Some(b"NOTICE")) && matches!(words.next(), Some(b"*" | b"AUTH")))
}

/// The datagram that opens a connection acknowledges nothing, says SYN, names its sizes and is padded to them.
fn rdp_udp(data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    let (acknowledged, _window, flags, _sequence, up, down) = (r.u32(), r.u16(), r.u16(), r.u32(), r.u16(), r.u16());
    let unit = |size: Option<u16>| size.is_some_and(|size| (1132..=1232).contains(&size));
    acknowledged == Some(u32::MAX) && flags.is_some_and(|f| f & 1 == 1) && unit(up) && unit(down) && data.len() >= 1132
}

/// A request line longer than this is nobody's.
const MAX_LINE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[&Protocol] = &[
        &NTP,
        &SNMP,
        &STUN,
        &IKE,
        &WIREGUARD,
        &OPENVPN,
        &OPENVPN_TCP,
        &BITTORRENT_UDP,
        &BITTORRENT,
        &SIP,
        &SIP_TCP,
        &MQTT,
        &TDS,
        &REDIS,
        &VNC,
        &RSYNC,
        &AMQP,
        &TELNET,
        &IRC,
        &RDP_UDP,
    ];

    #[test]
    fn each_protocol_is_recognised_by_one_recogniser() {
        let pad = |head: &[u8], len: usize| [head, &vec![0x5a; len - head.len()]].concat();
        let zeros = |head: &[u8], len: usize| [head, &vec![0; len - head.len()]].concat();
        let snmp =
            b"\x30\x1d\x02\x01\x01\x04\x06public\xa0\x10\x02\x01\x01\x02\x01\0\x02\x01\0\x30\x05\x30\x03\x06\x01\x2b"
                .to_vec();
        let ike2 = [&[7; 8][..], &[0; 8], &[33, 0x20, 34, 8, 0, 0, 0, 0, 0, 0, 0, 40], &[0; 12]].concat();
        let behind_marker = [&[0; 4][..], &ike2].concat();
        let plain = [&[0x38][..], &[9; 8], &[0; 5]].concat();
        let crypt = pad(&[&[0x38][..], &[9; 8], &[0, 0, 0, 1]].concat(), 54);
        let on_tcp = [&[0, 14][..], &plain].concat();
        let tds = [&[0x12, 1, 0, 26, 0, 0, 0, 0, 0, 0, 11, 0, 6, 0xff][..], &[0; 12]].concat();
        for (what, transport, data, expected) in [
            ("an NTP client", Transport::Udp, zeros(&[0x23, 0, 6, 0xec], 48), "ntp"),
            ("an NTP server", Transport::Udp, pad(&[0x24, 2, 6, 0xe9, 0, 0, 1, 0, 0, 0, 2, 0], 48), "ntp"),
            ("SNMP v2c", Transport::Udp, snmp, "snmp"),
            ("a STUN binding request", Transport::Udp, pad(b"\0\x01\0\0\x21\x12\xa4\x42", 20), "stun"),
            ("IKEv2", Transport::Udp, ike2, "ike"),
            ("IKEv2 through NAT", Transport::Udp, behind_marker, "ike"),
            ("a WireGuard initiation", Transport::Udp, pad(&[1, 0, 0, 0], 148), "wireguard"),
            ("WireGuard data", Transport::Udp, pad(&[4, 0, 0, 0, 9, 9, 9, 9, 1, 0, 0, 0, 0, 0, 0, 0], 96), "wireguard"),
            ("an OpenVPN reset", Transport::Udp, plain, "openvpn"),
            ("an OpenVPN reset, tls-crypt", Transport::Udp, crypt, "openvpn"),
            ("an OpenVPN reset over TCP", Transport::Tcp, on_tcp, "openvpn"),
            ("a DHT query", Transport::Udp, b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping".to_vec(), "bittorrent"),
            (
                "a BitTorrent handshake",
                Transport::Tcp,
                b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec(),
                "bittorrent",
            ),
            ("a SIP request", Transport::Udp, b"OPTIONS sip:a@example SIP/2.0\r\n".to_vec(), "sip"),
            ("a SIP request over TCP", Transport::Tcp, b"REGISTER sip:example SIP/2.0\r\n".to_vec(), "sip"),
            ("MQTT", Transport::Tcp, b"\x10\x0c\0\x04MQTT\x05\x02\0\x3c".to_vec(), "mqtt"),
            ("MQTT with a long name", Transport::Tcp, b"\x10\xff\x02\0\x06MQIsdp\x03".to_vec(), "mqtt"),
            ("a TDS pre-login", Transport::Tcp, tds, "tds"),
            ("Redis", Transport::Tcp, b"*1\r\n$4\r\nPING\r\n".to_vec(), "redis"),
            ("VNC", Transport::Tcp, b"RFB 003.008\n".to_vec(), "rfb"),
            ("rsync", Transport::Tcp, b"@RSYNCD: 31.0\n".to_vec(), "rsync"),
            ("AMQP", Transport::Tcp, b"AMQP\0\0\x09\x01".to_vec(), "amqp"),
            ("Telnet", Transport::Tcp, b"\xff\xfd\x18\xff\xfd\x20".to_vec(), "telnet"),
            ("IRC", Transport::Tcp, b"NICK alice\r\n".to_vec(), "irc"),
            ("IRC with capabilities", Transport::Tcp, b"CAP LS 302\r\n".to_vec(), "irc"),
            (
                "RDP over UDP",
                Transport::Udp,
                zeros(b"\xff\xff\xff\xff\0\x40\x18\x01\0\0\0\x07\x04\xd0\x04\xd0", 1232),
                "rdpeudp",
            ),
            ("DNS", Transport::Udp, b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01".to_vec(), ""),
            ("an empty NTP", Transport::Udp, vec![0; 48], ""),
            ("noise of NTP's size", Transport::Udp, vec![0x23; 48], ""),
            ("QUIC", Transport::Udp, pad(&[0xc3, 0, 0, 0, 1, 8], 1200), ""),
            ("TLS", Transport::Tcp, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), ""),
            ("HTTP", Transport::Tcp, b"OPTIONS * HTTP/1.1\r\n".to_vec(), ""),
        ] {
            let found = ALL.iter().filter(|p| p.transport == transport && (p.probe)(Orig, &data) == Match);
            assert_eq!(found.map(|p| p.name).collect::<Vec<_>>().join(" "), expected, "{what}");
            if transport == Transport::Tcp && !expected.is_empty() {
                let protocol = ALL.iter().find(|p| p.name == expected && p.transport == transport).unwrap();
                assert_eq!((protocol.probe)(Orig, &data[..1]), NeedMore, "{what}, one byte");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            for protocol in ALL {
                (protocol.probe)(Orig, &data);
                (protocol.probe)(Resp, &data);
            }
        }
    }
}
