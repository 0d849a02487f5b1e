//! The flow table's behaviour as packets → observations.

use super::{FlowTable, Limits};
use crate::base::{Endpoint, Timestamp, Transport};
use crate::decode::{Packet, Tcp, Tunnels};
use crate::event::{Event, FlowRecord, Layer, Observation, Oddity};
use std::time::Duration;

const A: &str = "10.0.0.1";
const B: &str = "192.0.2.7";
const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;
const RST: u8 = 4;

/// `(ms, from A?, flags, seq, ack, payload)`.
type Segment = (i64, bool, u8, u32, u32, &'static [u8]);

fn table(window_ms: u64) -> FlowTable {
    FlowTable::new(Limits {
        flows: 100,
        dialogues: 100,
        held_bytes: 1 << 24,
        copy_window: Duration::from_millis(window_ms),
    })
}

fn tcp(&(ms, from_a, flags, seq, ack, payload): &Segment) -> Packet<'static> {
    let (a, b) = (Endpoint::new(A.parse().unwrap(), 50_000), Endpoint::new(B.parse().unwrap(), 4444));
    let (src, dst) = if from_a { (a, b) } else { (b, a) };
    let len = u32::try_from(payload.len()).unwrap();
    Packet {
        ts: Timestamp(ms * 1_000_000),
        src,
        dst,
        transport: Transport::Tcp,
        ip_len: 40 + len,
        hop_limit: 64,
        ip_id: Some(1),
        tcp: Some(Tcp { seq, ack, window: 1000, flags }),
        header: &[],
        payload,
        payload_len: len,
        vlan: [None; 2],
        tunnel: Tunnels::default(),
        two_way: true,
        origin: (0, 1),
    }
}

fn run(table: &mut FlowTable, segments: &[Segment]) -> Vec<Observation> {
    let mut out = Vec::new();
    for segment in segments {
        let packet = tcp(segment);
        table.advance(packet.ts, &mut out);
        table.observe(&packet, Timestamp::MIN, &mut out);
    }
    out
}

/// The capture ends, long after the last packet.
fn finish(table: &mut FlowTable, out: &mut Vec<Observation>) {
    let left: Vec<_> = table.remaining(Timestamp::MAX).collect();
    left.into_iter().for_each(|(_, _, id)| table.end(id, Timestamp::MAX, out));
}

fn records(segments: &[Segment], window_ms: u64) -> Vec<FlowRecord> {
    let mut table = table(window_ms);
    let mut out = run(&mut table, segments);
    finish(&mut table, &mut out);
    out.into_iter().filter_map(|o| if let Event::FlowClosed(r) = o.event { Some(*r) } else { None }).collect()
}

const WHOLE: &[Segment] = &[
    (0, true, SYN, 99, 0, b""),
    (1, false, SYN | ACK, 499, 100, b""),
    (2, true, ACK, 100, 500, b""),
    (3, true, ACK, 100, 500, b"hello"),
    (4, false, ACK, 500, 105, b"world!"),
    (5, true, FIN | ACK, 105, 506, b""),
    (6, false, FIN | ACK, 506, 106, b""),
    (7, true, ACK, 106, 507, b""),
];

#[test]
fn a_whole_connection_is_one_record_in_zeeks_words() {
    let found = records(WHOLE, 0);
    assert_eq!(found.len(), 1);
    let r = &found[0];
    assert_eq!(
        (r.conn_state.name(), &*r.history, r.end.name()),
        ("SF", "ShADdFfA".replace("FfA", "Ff").as_str(), "fin")
    );
    assert_eq!(
        (r.counters.orig_bytes, r.counters.resp_bytes, r.counters.orig_pkts, r.counters.resp_pkts),
        (5, 6, 5, 3)
    );
    assert_eq!((r.orig_ip_bytes, r.resp_ip_bytes, r.missed_bytes), (205, 126, 0));
}

#[test]
fn shapes_of_connections_are_told() {
    for (what, window, segments, expected) in [
        (
            "a retransmission counts once in bytes",
            0,
            vec![WHOLE[3], (300, true, ACK, 100, 500, b"hello")],
            ("OTH", 5, 0, 1),
        ),
        ("a young copy is no retransmission", 20, vec![WHOLE[3], (9, true, ACK, 100, 500, b"hel")], ("OTH", 5, 0, 0)),
        ("a late one is, windows or not", 20, vec![WHOLE[3], (300, true, ACK, 100, 500, b"hello")], ("OTH", 5, 0, 1)),
        ("a hole is missed", 0, vec![WHOLE[3], (9, true, ACK, 108, 500, b"xy")], ("OTH", 10, 3, 0)),
        (
            "a hole that is filled late is not",
            0,
            vec![WHOLE[3], (9, true, ACK, 108, 500, b"xy"), (10, true, ACK, 105, 500, b"abc")],
            ("OTH", 10, 0, 0),
        ),
        ("bytes acknowledged but never seen", 0, vec![WHOLE[3], (9, false, ACK, 500, 205, b"z")], ("OTH", 5, 100, 0)),
        ("a reset", 0, vec![WHOLE[0], WHOLE[1], (5, false, RST, 500, 0, b"")], ("RSTR", 0, 0, 0)),
    ] {
        let found = records(&segments, window);
        assert_eq!(found.len(), 1, "{what}");
        let r = &found[0];
        let got = (r.conn_state.name(), r.counters.orig_bytes, r.missed_bytes, r.retransmissions);
        assert_eq!(got, expected, "{what}");
    }
}

#[test]
fn oddities_are_told_in_zeeks_letters_and_numbers() {
    let again = |ms, from_a| {
        if from_a { (ms, true, ACK, 100, 500, &b"hello"[..]) } else { (ms, false, ACK, 500, 105, &b"world!"[..]) }
    };
    for (what, segments, history, bytes, missed, duration_ms) in [
        (
            "what comes after both closed does not lengthen it",
            vec![WHOLE[0], WHOLE[1], WHOLE[5], WHOLE[6], (900, true, ACK, 106, 507, b"")],
            "ShFgfA",
            (5, 6),
            11,
            6,
        ),
        (
            "retransmissions after the end stay with it",
            [WHOLE, &[again(4000, true), again(8000, true), again(12_000, false)]].concat(),
            "ShADdFfTt",
            (5, 6),
            0,
            6,
        ),
        (
            "a FIN stands behind the bytes before it, seen or not, and its acknowledgement tells the gap",
            vec![
                WHOLE[0],
                WHOLE[1],
                WHOLE[2],
                WHOLE[3],
                (4, false, FIN | ACK, 600, 105, b""),
                (5, true, ACK, 105, 601, b""),
            ],
            "ShADfg",
            (5, 100),
            100,
            5,
        ),
        (
            "an acknowledged hole is a gap of the side that sent it",
            vec![WHOLE[3], WHOLE[4], (9, true, ACK, 108, 506, b"xy"), (10, false, ACK, 506, 110, b"")],
            "DdaG",
            (10, 6),
            3,
            7,
        ),
        (
            "a forged acknowledgement claims nothing",
            vec![WHOLE[0], WHOLE[1], (3, true, ACK, 100, 90_500, b"")],
            "ShAg",
            (0, 0),
            90_000,
            3,
        ),
    ] {
        let found = records(&segments, 0);
        assert_eq!(found.len(), 1, "{what}");
        let r = &found[0];
        let duration = i64::try_from(r.last.since(r.ts).as_millis()).unwrap();
        let got = (&*r.history, (r.counters.orig_bytes, r.counters.resp_bytes), r.missed_bytes, duration);
        assert_eq!(got, (history, bytes, missed, duration_ms), "{what}");
    }
}

#[test]
fn datagrams_to_everybody_are_begun_by_their_sender() {
    for (what, dst, flipped) in
        [("to one host", B, true), ("to the segment", "255.255.255.255", false), ("to a group", "ff02::1:2", false)]
    {
        let mut packet = Packet { transport: Transport::Udp, tcp: None, ..tcp(&WHOLE[0]) };
        packet.src.port = 67;
        packet.dst = Endpoint::new(dst.parse().unwrap(), 6_800);
        let mut out = Vec::new();
        let mut table = table(0);
        table.observe(&packet, Timestamp::MIN, &mut out);
        assert_eq!(out[0].orig != packet.src, flipped, "{what}");
        finish(&mut table, &mut out);
        let history =
            out.iter().find_map(|o| if let Event::FlowClosed(r) = &o.event { Some(r.history.clone()) } else { None });
        assert_eq!(history.unwrap().replace('^', ""), if flipped { "d" } else { "D" }, "{what}, an empty datagram");
    }
}

#[test]
fn a_tunnel_is_known_though_no_payload_came() {
    let mut packet = tcp(&WHOLE[0]);
    packet.tunnel.push(Layer { name: "vxlan", id: Some(42) }).unwrap();
    let mut out = Vec::new();
    let mut table = table(0);
    table.observe(&packet, Timestamp::MIN, &mut out);
    finish(&mut table, &mut out);
    let tunnels = |o: &Observation| if let Event::FlowClosed(r) = &o.event { r.tunnel.to_vec() } else { Vec::new() };
    assert_eq!(out.iter().flat_map(tunnels).collect::<Vec<_>>(), [Layer { name: "vxlan", id: Some(42) }]);
}

#[test]
fn flows_stay_small() {
    assert!(size_of::<super::entry::Flow>() <= 312, "{} bytes", size_of::<super::entry::Flow>());
}

#[test]
fn a_late_packet_closes_the_old_flow_at_its_deadline_tick_or_no_tick() {
    let segments = [WHOLE[3], (400_000, true, ACK, 105, 500, b"again")];
    for ticks in [vec![], vec![100_000, 399_000], (1..4000).map(|n| n * 100).collect::<Vec<i64>>()] {
        let mut table = table(0);
        let mut out = run(&mut table, &segments[..1]);
        ticks.iter().for_each(|ms| table.advance(Timestamp(ms * 1_000_000), &mut out));
        out.extend(run(&mut table, &segments[1..]));
        let closed: Vec<_> = out.iter().filter(|o| matches!(o.event, Event::FlowClosed(_))).collect();
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].ts, Timestamp(300_003_000_000), "the deadline, not the tick");
    }
}

#[test]
fn a_syn_answered_first_is_oriented_by_its_flags() {
    let found = records(&WHOLE[1..], 0);
    assert_eq!((found[0].orig.port, found[0].history.starts_with("^h")), (50_000, true));
}

#[test]
fn a_full_table_evicts_and_says_so() {
    let mut table = FlowTable::new(Limits { flows: 2, dialogues: 2, held_bytes: 1 << 24, copy_window: Duration::ZERO });
    let mut out = Vec::new();
    for port in 1..=5_u16 {
        let mut packet = tcp(&WHOLE[0]);
        packet.src.port = port;
        table.observe(&packet, Timestamp::MIN, &mut out);
    }
    assert_eq!((table.len(), table.stats().evicted), (2, 3));
    let evicted = |o: &&Observation| matches!(&o.event, Event::FlowClosed(r) if r.end.name() == "evicted");
    assert_eq!(out.iter().filter(evicted).count(), 3);
}

#[test]
fn a_pause_begins_a_new_burst() {
    let segments = [
        WHOLE[3],
        (500, true, ACK, 105, 500, b"a"),
        (2600, true, ACK, 106, 500, b"b"),
        (2700, false, ACK, 500, 107, b"c"),
    ];
    let bursts = run(&mut table(0), &segments).iter().filter(|o| matches!(o.event, Event::FlowProgress(_))).count();
    assert_eq!(bursts, 2);
}

#[test]
fn flows_that_open_late_at_one_moment_have_names_of_their_own() {
    let (mut table, mut out) = (table(0), Vec::new());
    let floor = Timestamp::from_secs(100);
    for number in [1, 2] {
        let late = Packet { origin: (0, number), ..tcp(&(1_000, true, SYN, 1, 0, b"")) };
        table.observe(&late, floor, &mut out);
        table.advance(Timestamp::from_secs(400), &mut out);
    }
    let opened: Vec<_> = out.iter().filter(|o| matches!(o.event, Event::FlowOpened)).map(|o| (o.ts, o.uid)).collect();
    let [(a, one), (b, two)] = opened[..] else { panic!("{opened:?}") };
    assert_eq!((a, b), (floor, floor));
    assert_ne!(one, two);
}

/// A segment of payload from one of A's ports to one of B's, `offset` into its stream.
fn said(ms: i64, port: u16, to: u16, offset: usize, payload: &[u8]) -> Packet<'_> {
    let mut packet = tcp(&(ms, true, ACK, 100, 500, b""));
    (packet.src.port, packet.dst.port) = (port, to);
    let len = u32::try_from(payload.len()).unwrap();
    let seq = 100 + u32::try_from(offset).unwrap();
    packet.tcp = Some(Tcp { seq, ack: 500, window: 1000, flags: ACK });
    Packet { payload, payload_len: len, ip_len: 40 + len, ..packet }
}

/// An upload of `kib` KiB over HTTP, from one of A's ports.
fn upload(table: &mut FlowTable, port: u16, kib: usize, out: &mut Vec<Observation>) {
    const HEAD: &[u8] = b"POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 90000000\r\n\r\n";
    table.observe(&said(1, port, 80, 0, HEAD), Timestamp::MIN, out);
    for n in 0..kib {
        table.observe(&said(2, port, 80, HEAD.len() + n * 1024, &[0x41; 1024]), Timestamp::MIN, out);
    }
}

/// A question over TCP, of `a.example`.
const QUESTION: &[u8] = b"\0\x1b\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";

fn cut_short(out: &[Observation]) -> Vec<u16> {
    let is_cut = |o: &&Observation| matches!(&o.event, Event::Weird(w) if w.oddity == Oddity::ReadingCutShort);
    out.iter().filter(is_cut).map(|o| o.orig.port).collect()
}

#[test]
fn first_words_and_the_control_plane_are_read_before_the_rest_of_a_transfer() {
    let limits = Limits { flows: 100, dialogues: 3, held_bytes: 1 << 20, copy_window: Duration::ZERO };
    let (mut table, mut out) = (FlowTable::new(limits), Vec::new());
    // Names over TCP, more than first words are; an upload that is past its own; one that has only begun.
    for n in 0..4_000 {
        table.observe(&said(1, 1_001, 53, n * QUESTION.len(), QUESTION), Timestamp::MIN, &mut out);
    }
    upload(&mut table, 1_002, 100, &mut out);
    upload(&mut table, 1_003, 10, &mut out);
    assert_eq!((cut_short(&out), table.stats().unread), (vec![], 0));
    upload(&mut table, 1_004, 1, &mut out);
    assert_eq!((cut_short(&out), table.stats().unread), (vec![1_002], 1), "the upload makes room");
    upload(&mut table, 1_005, 1, &mut out);
    upload(&mut table, 1_005, 1, &mut out);
    assert_eq!((cut_short(&out), table.stats().unread), (vec![1_002], 2), "refused, and counted once");
    // Who has nothing more to say goes first: not even counted.
    table.observe(&said(3, 1_003, 80, 0, b""), Timestamp::MIN, &mut out);
    finish(&mut table, &mut out);
    let services: Vec<_> = out
        .iter()
        .filter_map(
            |o| if let Event::FlowClosed(r) = &o.event { Some((r.orig.port, r.service.join(","))) } else { None },
        )
        .collect();
    let mut sorted = services.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            (1_001, "dns".to_owned()),
            (1_002, "http".to_owned()),
            (1_003, "http".to_owned()),
            (1_004, "http".to_owned()),
            (1_005, String::new()),
        ]
    );
}

#[test]
fn what_readers_hold_is_bounded_over_all_flows() {
    let limits = Limits { flows: 100, dialogues: 50, held_bytes: 100_000, copy_window: Duration::ZERO };
    let (mut table, mut out) = (FlowTable::new(limits), Vec::new());
    upload(&mut table, 999, 70, &mut out);
    // Heads that never end: each holds 10 KiB, which is first words.
    for port in 1_000..1_040_u16 {
        for n in 0..10 {
            let head: &[u8] = if n == 0 { b"GET / HTTP/1.1\r\nX: aaaaaaaa" } else { &[b'a'; 1024] };
            let offset = if n == 0 { 0 } else { 27 + (n - 1) * 1024 };
            table.observe(&said(3, port, 80, offset, head), Timestamp::MIN, &mut out);
            let [_, _, held, _] = table.tables();
            assert!(held.held <= 100_000, "{held:?}");
        }
    }
    let cut = cut_short(&out);
    assert_eq!(cut.first(), Some(&999), "the transfer goes first: {cut:?}");
    assert!(cut.len() > 20 && table.stats().unread == cut.len() as u64, "{cut:?}");
}

#[test]
fn a_question_that_waits_for_its_answer_is_kept_before_a_silent_connection() {
    let limits = Limits { flows: 3, dialogues: 3, held_bytes: 1 << 20, copy_window: Duration::ZERO };
    let (mut table, mut out) = (FlowTable::new(limits), Vec::new());
    let udp = |ms, port| Packet { transport: Transport::Udp, tcp: None, ..said(ms, port, 53, 0, &QUESTION[2..]) };
    table.observe(&udp(0, 1_001), Timestamp::MIN, &mut out);
    for (ms, port) in [(1, 1_002), (2, 1_003), (3, 1_004), (4, 1_005)] {
        table.observe(&said(ms, port, 443, 0, b""), Timestamp::MIN, &mut out);
    }
    let evicted: Vec<_> = out.iter().filter(|o| matches!(o.event, Event::FlowClosed(_))).map(|o| o.orig.port).collect();
    assert_eq!(evicted.len(), 2);
    assert!(!evicted.contains(&1_001), "{evicted:?}");
}
