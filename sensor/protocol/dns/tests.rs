//! The DNS family as a specification: what goes over the wire, and what is told of it.

use super::{AT_PORT, LLMNR, MDNS, NBNS, OVER_TCP, PROTOCOL};
use crate::base::Timestamp;
use crate::event::{Direction, Event};
use crate::protocol::{Input, Output, Parser, Probe, Progress, Protocol};
use Direction::{Orig, Resp};

#[test]
fn one_transaction_is_one_resolution() {
    let ask = query(7, "www.example", 1);
    let reply = Message::reply(7, "www.example", 1).answer(1, 300, &[192, 0, 2, 1]).bytes();
    let told = "www.example A NOERROR 192.0.2.1 300 rtt 10ms";
    for (what, messages, expected) in [
        ("question and answer", vec![(Orig, 0, ask.clone()), (Resp, 10, reply.clone())], vec![told]),
        (
            "the question sent again",
            vec![(Orig, 0, ask.clone()), (Orig, 5, ask.clone()), (Resp, 10, reply.clone())],
            vec![told],
        ),
        ("no answer", vec![(Orig, 0, ask.clone())], vec!["www.example A -"]),
        ("no question", vec![(Resp, 10, reply.clone())], vec!["www.example A NOERROR 192.0.2.1 300"]),
        (
            "two questions with one id",
            vec![(Orig, 0, query(7, "a.example", 1)), (Orig, 0, ask.clone()), (Resp, 10, reply.clone())],
            vec![told, "a.example A -"],
        ),
        (
            "the name's case varied by the client",
            vec![(Orig, 0, query(7, "wWw.eXample", 1)), (Resp, 10, reply.clone())],
            vec!["wWw.eXample A NOERROR 192.0.2.1 300 rtt 10ms"],
        ),
        (
            "an answer from the side that asked",
            vec![(Orig, 0, ask.clone()), (Orig, 10, reply.clone())],
            vec!["www.example A NOERROR 192.0.2.1 300", "www.example A -"],
        ),
        (
            "a refusal that repeats no question",
            vec![(Orig, 0, ask.clone()), (Resp, 10, Message::new(7, 0x8185).bytes())],
            vec!["www.example A REFUSED rtt 10ms"],
        ),
        (
            "a notification is no look-up",
            vec![(Orig, 0, Message::new(7, 0x2400).question("example", 6).bytes())],
            vec![],
        ),
    ] {
        assert_eq!(tell(&PROTOCOL, &messages), expected, "{what}");
    }
}

#[test]
fn answers_are_told_as_text() {
    for (what, reply, expected) in [
        (
            "an alias and its addresses",
            Message::reply(1, "a.example", 1).answer(5, 60, b"\x03cdn\xc0\x0e").answer(1, 20, &[192, 0, 2, 1]).answer(
                1,
                20,
                &[192, 0, 2, 2],
            ),
            "a.example A NOERROR cdn.example 60 192.0.2.1 20 192.0.2.2 20",
        ),
        (
            "a service binding",
            Message::reply(1, "a.example", 65).answer(65, 5, b"\0\x01\0\0\x01\0\x03\x02h3"),
            "a.example HTTPS NOERROR 1 . alpn=h3 5",
        ),
        ("no such name", Message::new(1, 0x8183).question("a.example", 28), "a.example AAAA NXDOMAIN"),
        ("the root", Message::new(1, 0x8180).question("", 2), ". NS NOERROR"),
        (
            "a response code with the bits of EDNS",
            Message::new(1, 0x8180).question("a.example", 1).options(1, 0),
            "a.example A BADVERS",
        ),
        ("a type of its own", Message::new(1, 0x8180).question("a.example", 65280), "a.example TYPE65280 NOERROR"),
    ] {
        assert_eq!(tell(&PROTOCOL, &[(Resp, 0, reply.bytes())]), [expected], "{what}");
    }
}

#[test]
fn whole_records_before_a_cut_are_kept() {
    let whole = Message::reply(1, "a.example", 1).answer(1, 20, &[192, 0, 2, 1]).answer(1, 20, &[192, 0, 2, 2]).bytes();
    let cut = |n: usize| whole[..whole.len() - n].to_vec();
    for (what, bytes, expected) in [
        ("in the second record", cut(1), vec!["a.example A NOERROR 192.0.2.1 20", "dns_truncated"]),
        ("between the records", cut(16), vec!["a.example A NOERROR 192.0.2.1 20", "dns_truncated"]),
        ("in the first record", cut(17), vec!["a.example A NOERROR", "dns_truncated"]),
        ("in the question", whole[..20].to_vec(), vec!["dns_truncated"]),
    ] {
        assert_eq!(probe_at_port(&bytes), Probe::Match, "{what}");
        assert_eq!(tell(&AT_PORT, &[(Resp, 0, bytes)]), expected, "{what}");
    }
}

#[test]
fn only_dns_is_taken_for_dns() {
    let ask = query(7, "www.example", 1);
    let mut zero_bit = ask.clone();
    zero_bit[3] |= 0x40;
    let mut odd_class = ask.clone();
    *odd_class.last_mut().unwrap() = 77;
    for (what, data, anywhere, at_port) in [
        ("a question", ask.clone(), Probe::Match, Probe::Match),
        (
            "a question with EDNS",
            Message::new(1, 0x100).question("a", 1).options(0, 0).bytes(),
            Probe::Match,
            Probe::Match,
        ),
        ("an answer", Message::reply(1, "a", 1).answer(1, 1, &[1, 2, 3, 4]).bytes(), Probe::Match, Probe::Match),
        ("a question with bytes behind it", [ask.clone(), vec![0]].concat(), Probe::Mismatch, Probe::Match),
        ("a cut question", ask[..20].to_vec(), Probe::Mismatch, Probe::Match),
        ("the zero bit set", zero_bit, Probe::Mismatch, Probe::Mismatch),
        ("an odd class", odd_class, Probe::Mismatch, Probe::Mismatch),
        ("twelve zeros", vec![0; 12], Probe::Mismatch, Probe::Mismatch),
        ("NTP", [vec![0x23], vec![0; 47]].concat(), Probe::Mismatch, Probe::Mismatch),
        ("a QUIC Initial", [vec![0xc3, 0, 0, 0, 1, 8], vec![0x5a; 1194]].concat(), Probe::Mismatch, Probe::Mismatch),
        ("STUN", b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl".to_vec(), Probe::Mismatch, Probe::Mismatch),
    ] {
        assert_eq!((PROTOCOL.probe)(Orig, &data), anywhere, "{what}");
        assert_eq!(probe_at_port(&data), at_port, "{what}, at its port");
    }
}

#[test]
fn messages_over_tcp_may_share_or_span_segments() {
    let framed = |m: Vec<u8>| [u16::try_from(m.len()).unwrap().to_be_bytes().to_vec(), m].concat();
    let stream = [framed(query(1, "a.example", 1)), framed(query(2, "b.example", 28))].concat();
    let expected = ["a.example A -", "b.example AAAA -"];
    for cut in 1..stream.len() {
        // What the flow does: unconsumed bytes come again with more behind them.
        let (mut parser, mut out) = ((OVER_TCP.new)(), Output::default());
        let mut at = 0;
        for end in [cut, stream.len()] {
            while let Progress::Consumed(n @ 1..) = parser.parse(input(Orig, 0, &stream[at..end]), &mut out) {
                at += n;
            }
        }
        parser.finish(&mut out);
        assert_eq!(shown(&out), expected, "cut at {cut}");
        let expected = if cut < 2 + 12 + 11 + 4 { Probe::NeedMore } else { Probe::Match };
        assert_eq!((OVER_TCP.probe)(Orig, &stream[..cut]), expected, "cut at {cut}");
    }
    for (what, data) in [
        ("a length below a header's", b"\0\x0b..".as_slice()),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03abcdef"),
    ] {
        assert_eq!((OVER_TCP.probe)(Orig, data), Probe::Mismatch, "{what}");
    }
}

#[test]
fn an_idle_parser_owes_nothing() {
    let (mut parser, mut out) = ((PROTOCOL.new)(), Output::default());
    assert!(parser.idle());
    parser.parse(input(Orig, 0, &query(1, "a.example", 1)), &mut out);
    assert!(!parser.idle());
    parser.parse(input(Resp, 5, &Message::reply(1, "a.example", 1).bytes()), &mut out);
    assert!(parser.idle());
    assert_eq!(shown(&out), ["a.example A NOERROR rtt 5ms"]);
}

#[test]
fn a_flood_of_questions_is_told_once_each_and_bounded() {
    let questions: Vec<_> = (0..1000).map(|id| (Orig, 0, query(id, "a.example", 1))).collect();
    let told = tell(&PROTOCOL, &questions);
    assert_eq!(told.iter().filter(|t| *t == "a.example A -").count(), 1000);
    assert_eq!(told.iter().filter(|t| *t == "too_many_outstanding").count(), 1);
}

#[test]
fn a_compression_bomb_costs_little() {
    // 4,000 mail exchanges whose names are 127 labels long, by pointers.
    let mut bomb = Message::reply(1, &"a.".repeat(126), 15);
    for _ in 0..4000 {
        bomb = bomb.answer(15, 1, b"\0\x01\xc0\x0c");
    }
    let told = tell(&PROTOCOL, &[(Resp, 0, bomb.bytes())]).concat();
    assert!(told.len() < 256 * 300, "{} bytes", told.len());
}

#[test]
fn multicast_questions_are_told_at_once_and_answers_name_hosts() {
    let asks = Message::new(0, 0).question("_ipp._tcp.local", 12).question("ws01.local", 255).bytes();
    let claims = Message::new(0, 0x8400).named("ws01.local", 1, 120, &[192, 0, 2, 7]).bytes();
    let goodbye = Message::new(0, 0x8400).named("ws01.local", 1, 0, &[192, 0, 2, 7]).bytes();
    let llmnr = Message::reply(9, "ws01", 1).answer(1, 30, &[192, 0, 2, 7]).bytes();
    for (what, protocol, message, expected) in [
        ("mDNS questions", &MDNS, asks, vec!["_ipp._tcp.local PTR -", "ws01.local ANY -"]),
        ("an mDNS answer", &MDNS, claims, vec!["mdns 192.0.2.7 ws01"]),
        ("an mDNS goodbye", &MDNS, goodbye, vec![]),
        ("an LLMNR question", &LLMNR, query(9, "ws01", 1), vec!["ws01 A -"]),
        ("an LLMNR answer", &LLMNR, llmnr, vec!["ws01 A NOERROR 192.0.2.7 30", "llmnr 192.0.2.7 ws01"]),
    ] {
        assert_eq!((protocol.probe)(Orig, &message), Probe::Match, "{what}");
        assert_eq!(tell(protocol, &[(Orig, 0, message)]), expected, "{what}");
    }
}

#[test]
fn netbios_names_are_decoded_and_registrations_name_hosts() {
    let name = |text: &str, suffix: u8| {
        let padded = format!("{text:15}").into_bytes().into_iter().chain([suffix]);
        padded.flat_map(|b| [b'A' + (b >> 4), b'A' + (b & 15)]).collect::<Vec<u8>>()
    };
    let wire = |name: Vec<u8>| [vec![32], name, vec![0]].concat();
    let ask = |flags: u16, n: Vec<u8>, qtype: u16| {
        [&[0, 5], flags.to_be_bytes().as_slice(), &[0, 1, 0, 0, 0, 0, 0, 0], &wire(n), &qtype.to_be_bytes(), &[0, 1]]
            .concat()
    };
    let record = |flags: u16, n: Vec<u8>, rtype: u16, data: &[u8]| {
        let len = u16::try_from(data.len()).unwrap().to_be_bytes();
        let head = [&[0, 5], flags.to_be_bytes().as_slice(), &[0, 0, 0, 1, 0, 0, 0, 0], &wire(n), &rtype.to_be_bytes()]
            .concat();
        [head, vec![0, 1, 0, 0, 0, 60], len.to_vec(), data.to_vec()].concat()
    };
    let register = |suffix: u8, flags: u8, n: &str| {
        let mut m = ask(0x2910, name(n, suffix), 0x20);
        m[11] = 1;
        m.extend([0xc0, 12, 0, 0x20, 0, 1, 0, 4, 0x93, 0xe0, 0, 6, flags, 0, 192, 0, 2, 9]);
        m
    };
    let star = || [b"CK".to_vec(), b"A".repeat(30)].concat();
    let status =
        [&[2], b"WS01           \0\x04\0".as_slice(), b"CORP           \0\x84\0", &[2, 0, 0, 0, 0, 9]].concat();
    for (what, messages, expected) in [
        ("a broadcast query", vec![(Orig, 0, ask(0x0110, name("WPAD", 0), 0x20))], vec!["WPAD NB -"]),
        (
            "a query to a server, answered",
            vec![
                (Orig, 0, ask(0x0100, name("SRV", 0x20), 0x20)),
                (Resp, 4, record(0x8580, name("SRV", 0x20), 0x20, &[0, 0, 192, 0, 2, 8])),
            ],
            vec!["SRV NB NOERROR 192.0.2.8 60 rtt 4ms"],
        ),
        (
            "a query to a server, refused",
            vec![(Orig, 0, ask(0x0100, name("NONE", 0), 0x20)), (Resp, 4, record(0x8583, name("NONE", 0), 0x0a, &[]))],
            vec!["NONE NB NXDOMAIN rtt 4ms"],
        ),
        (
            "a status",
            vec![(Orig, 0, ask(0, star(), 0x21)), (Resp, 4, record(0x8400, star(), 0x21, &status))],
            vec!["nbns resp 02:00:00:00:00:09 WS01 in CORP", "* NBSTAT NOERROR WS01<00> 0 CORP<00> 0 rtt 4ms"],
        ),
        ("a host registers", vec![(Orig, 0, register(0, 0, "WS01"))], vec!["nbns 192.0.2.9 WS01"]),
        ("a host joins its workgroup", vec![(Orig, 0, register(0, 0x80, "CORP"))], vec!["nbns 192.0.2.9 in CORP"]),
        ("a browser election", vec![(Orig, 0, register(0x1e, 0x80, "CORP"))], vec![]),
    ] {
        assert_eq!((NBNS.probe)(Orig, &messages[0].2), Probe::Match, "{what}");
        assert_eq!(tell(&NBNS, &messages), expected, "{what}");
    }
    assert_eq!((NBNS.probe)(Orig, &query(1, "www.example", 1)), Probe::Mismatch, "a DNS name");
}

#[test]
fn no_prefix_and_no_flip_panics() {
    let whole = Message::reply(1, "a.example", 65)
        .answer(65, 5, b"\0\x01\0\0\x01\0\x03\x02h3\0\x04\0\x04\xc0\0\x02\x07")
        .answer(5, 60, b"\x03cdn\xc0\x0e")
        .answer(6, 60, b"\xc0\x0c\xc0\x0c\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05")
        .options(0, 0)
        .bytes();
    for protocol in [&PROTOCOL, &AT_PORT, &OVER_TCP, &MDNS, &LLMNR, &NBNS] {
        for end in 0..whole.len() {
            feed(protocol, &whole[..end]);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x3f, 0x7f, 0x80, 0xc0, 0xff] {
                let mut flipped = whole.clone();
                flipped[at] = value;
                feed(protocol, &flipped);
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        for protocol in [&PROTOCOL, &AT_PORT, &OVER_TCP, &MDNS, &LLMNR, &NBNS] {
            feed(protocol, &data);
        }
    }

    #[test]
    fn what_another_encoder_writes_is_read(labels in proptest::collection::vec("[a-z0-9-]{1,20}", 1..6), address: u32, ttl: u32) {
        use simple_dns::{CLASS, Name, Packet, Question, ResourceRecord, rdata::{A, RData}};
        let name = labels.join(".");
        let mut packet = Packet::new_reply(77);
        let owner = Name::new(&name).unwrap();
        packet.questions.push(Question::new(owner.clone(), simple_dns::TYPE::A.into(), CLASS::IN.into(), false));
        packet.answers.push(ResourceRecord::new(owner, CLASS::IN, ttl, RData::A(A { address })));
        let bytes = packet.build_bytes_vec_compressed().unwrap();
        proptest::prop_assert_eq!((PROTOCOL.probe)(Resp, &bytes), Probe::Match);
        let ip = std::net::Ipv4Addr::from(address);
        proptest::prop_assert_eq!(tell(&PROTOCOL, &[(Resp, 0, bytes)]), [format!("{name} A NOERROR {ip} {ttl}")]);
    }
}

fn probe_at_port(data: &[u8]) -> Probe {
    (AT_PORT.probe)(Orig, data)
}

fn input(from: Direction, ms: i64, data: &[u8]) -> Input<'_> {
    Input { from, ts: Timestamp(ms * 1_000_000), data }
}

fn feed(protocol: &Protocol, data: &[u8]) {
    (protocol.probe)(Orig, data);
    let (mut parser, mut out): (Box<dyn Parser>, _) = ((protocol.new)(), Output::default());
    parser.parse(input(Orig, 0, data), &mut out);
    parser.parse(input(Resp, 1, data), &mut out);
    parser.finish(&mut out);
}

/// Side, milliseconds and bytes of each datagram → what was told.
fn tell(protocol: &Protocol, messages: &[(Direction, i64, Vec<u8>)]) -> Vec<String> {
    let (mut parser, mut out) = ((protocol.new)(), Output::default());
    for (from, ms, data) in messages {
        assert_eq!(parser.parse(input(*from, *ms, data), &mut out), Progress::Consumed(data.len()));
    }
    parser.finish(&mut out);
    shown(&out)
}

fn shown(out: &Output) -> Vec<String> {
    let show = |event: &Event| match event {
        Event::Resolution(r) => {
            let mut text = format!("{} {} {}", r.query, r.qtype, r.rcode.as_deref().unwrap_or("-"));
            for (answer, ttl) in r.answers.iter().zip(&r.ttls) {
                text.push_str(&format!(" {answer} {ttl}"));
            }
            text + &r.rtt.map_or_else(String::new, |rtt| format!(" rtt {rtt:?}"))
        }
        Event::Identity(i) => {
            let mut text = i.source.name().to_owned();
            match i.ip {
                Some(ip) => text.push_str(&format!(" {ip}")),
                None => text.push_str(&format!(" {}", i.side.unwrap().name())),
            }
            if let Some(mac) = i.mac {
                text.push_str(&format!(" {}", mac.map(|b| format!("{b:02x}")).join(":")));
            }
            text.extend(i.hostname.iter().map(|h| format!(" {h}")));
            text.extend(i.domain.iter().map(|d| format!(" in {d}")));
            text
        }
        Event::Weird(w) => w.oddity.name().to_owned(),
        other => format!("{other:?}"),
    };
    out.events.iter().map(show).collect()
}

fn query(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    Message::new(id, 0x0100).question(name, qtype).bytes()
}

/// Writes a message (RFC 1035 §4.1); an answer's owner is the first question.
#[derive(Clone)]
struct Message {
    head: [u16; 6],
    body: Vec<u8>,
}

impl Message {
    fn new(id: u16, flags: u16) -> Self {
        Self { head: [id, flags, 0, 0, 0, 0], body: Vec::new() }
    }

    fn reply(id: u16, name: &str, qtype: u16) -> Self {
        Self::new(id, 0x8180).question(name, qtype)
    }

    fn question(mut self, name: &str, qtype: u16) -> Self {
        self.head[2] += 1;
        self.name(name);
        self.body.extend([qtype.to_be_bytes(), [0, 1]].concat());
        self
    }

    fn answer(mut self, rtype: u16, ttl: u32, data: &[u8]) -> Self {
        self.body.extend([0xc0, 12]);
        self.record(rtype, ttl, data)
    }

    fn named(mut self, name: &str, rtype: u16, ttl: u32, data: &[u8]) -> Self {
        self.name(name);
        self.record(rtype, ttl, data)
    }

    /// An OPT record (RFC 6891 §6.1.2).
    fn options(mut self, rcode_high: u8, version: u8) -> Self {
        self.head[5] += 1;
        self.body.extend([0, 0, 41, 4, 0xd0, rcode_high, version, 0, 0, 0, 0]);
        self
    }

    fn name(&mut self, name: &str) {
        for label in name.split('.').filter(|l| !l.is_empty()) {
            self.body.push(u8::try_from(label.len()).unwrap());
            self.body.extend(label.as_bytes());
        }
        self.body.push(0);
    }

    fn record(mut self, rtype: u16, ttl: u32, data: &[u8]) -> Self {
        self.head[3] += 1;
        self.body.extend(rtype.to_be_bytes());
        self.body.extend([0, 1]);
        self.body.extend(ttl.to_be_bytes());
        self.body.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        self.body.extend(data);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.map(u16::to_be_bytes).concat(), self.body.clone()].concat()
    }
}
