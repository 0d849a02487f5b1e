//! Conversations made with the keys under test, the server's packet of RFC 9001 §A.3, and what must be told of them.

use super::*;
use crate::event::{Event, Handshake};
use Direction::{Orig, Resp};
use proptest::prelude::*;

const DCID: &[u8] = &[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

/// RFC 9001 §A.3: the server's Initial to a client whose first connection id was `DCID`.
const RFC_ANSWER: &str = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a9\
    9f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06ed\
    bb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";

fn varint2(n: usize) -> [u8; 2] {
    (0x4000 | u16::try_from(n).unwrap()).to_be_bytes()
}

fn crypto_frame(offset: usize, data: &[u8]) -> Vec<u8> {
    [&[0x06][..], &varint2(offset), &varint2(data.len()), data].concat()
}

/// An Initial with a packet number of two bytes.
fn initial_packet(version: u32, dcid: &[u8], key_dcid: &[u8], from: Direction, number: u16, frames: &[u8]) -> Vec<u8> {
    let known = Version::new(version).unwrap();
    let keys = &keys::initial(known, key_dcid).unwrap()[usize::from(from == Resp)];
    let first = if known == Version::V2 { 0xd1 } else { 0xc1 };
    let mut header = vec![first];
    header.extend(version.to_be_bytes());
    header.push(u8::try_from(dcid.len()).unwrap());
    header.extend(dcid);
    header.extend([0, 0]); // No source connection id, no token.
    header.extend(varint2(2 + frames.len() + 16));
    let number_at = header.len();
    header.extend(number.to_be_bytes());
    let mut payload = frames.to_vec();
    keys.seal(number.into(), &header, &mut payload);
    let mut packet = [header, payload].concat();
    let mask = keys.mask(&packet[number_at + 4..number_at + 20]).unwrap();
    packet[0] ^= mask[0] & 0x0f;
    packet[number_at] ^= mask[1];
    packet[number_at + 1] ^= mask[2];
    packet
}

/// A client hello with SNI `q.example`, ALPN h3 and TLS 1.3.
fn hello() -> Vec<u8> {
    let extensions = [
        &[0, 0, 0, 14, 0, 12, 0, 0, 9][..],
        b"q.example",
        &[0, 16, 0, 5, 0, 3, 2],
        b"h3",
        &[0, 43, 0, 3, 2, 3, 4],
        &[0, 13, 0, 4, 0, 2, 4, 3],
    ]
    .concat();
    let body = [
        &[3, 3][..],
        &[1; 32],
        &[0, 0, 2, 0x13, 0x01, 1, 0],
        &u16::try_from(extensions.len()).unwrap().to_be_bytes(),
        &extensions,
    ]
    .concat();
    [&[1, 0, 0, u8::try_from(body.len()).unwrap()], &*body].concat()
}

fn tell(datagrams: &[(Direction, &[u8])]) -> (Vec<Handshake>, usize) {
    let (mut parser, mut out) = (Quic::new(), Output::default());
    for (n, (from, data)) in datagrams.iter().enumerate() {
        let ts = Timestamp(i64::try_from(n).unwrap() + 1);
        match parser.parse(Input { from: *from, ts, data }, &mut out) {
            Progress::Consumed(_) => {}
            _ => break,
        }
    }
    parser.finish(&mut out);
    let weirds = out.events.iter().filter(|e| matches!(e, Event::Weird(_))).count();
    let told = out.events.into_iter().filter_map(|e| if let Event::Handshake(h) = e { Some(*h) } else { None });
    (told.collect(), weirds)
}

fn padded(mut frames: Vec<u8>) -> Vec<u8> {
    frames.resize(1162, 0);
    frames
}

#[test]
fn the_rfcs_answer_is_read_with_the_keys_of_the_question() {
    let ask = initial_packet(1, DCID, DCID, Orig, 2, &padded(crypto_frame(0, &hello())));
    let answer = hex::decode(RFC_ANSWER).unwrap();
    let padded_ask = [&*ask, &[0; 20]].concat();
    for (what, order) in [
        ("in order", [(Orig, &*ask), (Resp, &*answer)]),
        ("the answer captured first", [(Resp, &answer), (Orig, &ask)]),
        ("the datagram padded behind the packet", [(Orig, &padded_ask), (Resp, &answer)]),
    ] {
        let (told, weirds) = tell(&order);
        let [h] = &*told else { panic!("{what}: {told:?}") };
        assert_eq!((h.sni.as_deref(), h.version), (Some("q.example"), Some("TLSv1.3")), "{what}");
        assert_eq!(h.cipher.as_deref(), Some("TLS_AES_128_GCM_SHA256"), "{what}");
        assert_eq!((h.quic_version.as_deref(), weirds), (Some("1"), 0), "{what}");
        assert!(h.ja4.as_deref().unwrap().starts_with("q13d0104h3_"), "{what}");
        assert!(h.ja3s.is_some(), "{what}");
    }
}

#[test]
fn every_version_with_known_keys_is_read() {
    for (version, name) in [
        (1, "1"),
        (0x6b33_43cf, "2"),
        (0xff00_001d, "draft-29"),
        (0xff00_001b, "draft-27"),
        (0xff00_0022, "draft-34"),
        (0x5430_3531, "T051"),
    ] {
        let mut frame = crypto_frame(0, &hello());
        if name == "T051" {
            frame[0] = 0x08;
        }
        let ask = initial_packet(version, DCID, DCID, Orig, 0, &padded(frame));
        assert_eq!(probe(Orig, &ask), Probe::Match, "{name}");
        let (told, _) = tell(&[(Orig, &ask)]);
        assert_eq!(told.iter().map(|h| h.quic_version.as_deref()).collect::<Vec<_>>(), [Some(name)]);
    }
}

#[test]
fn a_hello_in_pieces_over_packets_in_any_order_is_one() {
    let hello = hello();
    let (a, b) = hello.split_at(40);
    let first = initial_packet(1, DCID, DCID, Orig, 1, &padded(crypto_frame(40, b)));
    let second = initial_packet(
        1,
        DCID,
        DCID,
        Orig,
        0,
        &[vec![1], crypto_frame(20, &a[20..]), crypto_frame(0, &a[..20])].concat(),
    );
    let (told, weirds) = tell(&[(Orig, &first), (Orig, &second)]);
    assert_eq!((told.len(), weirds), (1, 0));
    assert!(told[0].ja4.is_some());
    assert_eq!(told[0].started, Timestamp(2), "when it was complete");
    let (told, _) = tell(&[(Orig, &[first, second].concat())]);
    assert!(told[0].ja4.is_some(), "in one datagram");
}

#[test]
fn a_retry_gives_new_keys() {
    let hello = padded(crypto_frame(0, &hello()));
    let ask = initial_packet(1, DCID, DCID, Orig, 0, &hello);
    let retry = [&[0xf0, 0, 0, 0, 1, 0, 4][..], b"NEWC", b"token", &[0; 16]].concat();
    let again = initial_packet(1, b"NEWC", b"NEWC", Orig, 1, &hello);
    let answer_body = [&[3, 3][..], &[2; 32], &[0, 0x13, 0x02, 0, 0, 6, 0, 43, 0, 2, 3, 4]].concat();
    let answer_body = [&[2, 0, 0, u8::try_from(answer_body.len()).unwrap()], &*answer_body].concat();
    let answer = initial_packet(1, b"", b"NEWC", Resp, 0, &crypto_frame(0, &answer_body));
    let (told, weirds) = tell(&[(Orig, &ask), (Resp, &retry), (Orig, &again), (Resp, &answer)]);
    let [h] = &*told else { panic!("{told:?}") };
    assert_eq!((h.cipher.as_deref(), weirds), (Some("TLS_AES_256_GCM_SHA384"), 0));
}

#[test]
fn another_version_after_negotiation_is_followed() {
    let hello = padded(crypto_frame(0, &hello()));
    let ask = initial_packet(0xff00_001d, DCID, DCID, Orig, 0, &hello);
    let negotiation = [&[0x80, 0, 0, 0, 0, 0, 8][..], DCID, &[0, 0, 0, 1]].concat();
    assert_eq!(probe(Resp, &negotiation), Probe::Match);
    let again = initial_packet(1, DCID, DCID, Orig, 1, &hello);
    let answer = hex::decode(RFC_ANSWER).unwrap();
    let (told, weirds) = tell(&[(Orig, &ask), (Resp, &negotiation), (Orig, &again), (Resp, &answer)]);
    assert_eq!(
        told.iter().map(|h| (h.quic_version.as_deref(), h.version)).collect::<Vec<_>>(),
        [(Some("1"), Some("TLSv1.3"))]
    );
    assert_eq!(weirds, 0);
}

#[test]
fn a_hello_that_is_cut_keeps_its_name_but_gets_no_fingerprint() {
    let ask = initial_packet(1, DCID, DCID, Orig, 0, &padded(crypto_frame(0, &hello()[..80])));
    let (told, _) = tell(&[(Orig, &ask)]);
    let [h] = &*told else { panic!("{told:?}") };
    assert_eq!((h.sni.as_deref(), &h.ja4), (Some("q.example"), &None));
}

#[test]
fn what_opens_under_no_keys_is_odd_once() {
    let mut ask = initial_packet(1, DCID, DCID, Orig, 0, &padded(crypto_frame(0, &hello())));
    ask[100] ^= 1;
    assert_eq!(probe(Orig, &ask), Probe::Match);
    let datagrams = vec![(Orig, &*ask); 40];
    assert_eq!(tell(&datagrams[..1]), (Vec::new(), 1));
    assert_eq!(tell(&datagrams), (Vec::new(), 1));
}

#[test]
fn probes_know_a_long_header_of_a_known_version() {
    for (what, data, expected) in [
        ("a short header", &[0x40, 1, 2, 3, 4, 5][..], Probe::Mismatch),
        ("a version of nobody's", &[0xc0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 1, 0], Probe::Mismatch),
        ("an Initial cut short", &[0xc0, 0, 0, 0, 1, 8, 1], Probe::Mismatch),
        ("a handshake packet", &[0xe0, 0, 0, 0, 1, 0, 0, 3, 1, 2, 3], Probe::Match),
        ("negotiation without a version we know", &[0x80, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9], Probe::Mismatch),
        ("DNS", &[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], Probe::Mismatch),
    ] {
        assert_eq!(probe(Orig, data), expected, "{what}");
    }
}

#[test]
fn no_prefix_does_harm() {
    let ask = initial_packet(1, DCID, DCID, Orig, 0, &crypto_frame(0, &hello()));
    let answer = hex::decode(RFC_ANSWER).unwrap();
    for n in 0..ask.len() {
        tell(&[(Orig, &ask[..n]), (Orig, &ask), (Resp, &answer[..n.min(answer.len())])]);
    }
}

proptest! {
    #[test]
    fn any_cut_of_the_hello_into_frames_tells_the_same(cuts in proptest::collection::vec(1_usize..30, 1..12), swap: usize) {
        let hello = hello();
        let whole = tell(&[(Orig, &initial_packet(1, DCID, DCID, Orig, 0, &crypto_frame(0, &hello)))]);
        let (mut at, mut pieces) = (0, Vec::new());
        for cut in cuts {
            let end = (at + cut).min(hello.len());
            pieces.push(crypto_frame(at, &hello[at..end]));
            at = end;
        }
        pieces.push(crypto_frame(at, &hello[at..]));
        let len = pieces.len();
        pieces.swap(swap % len, swap / 7 % len);
        let packet = initial_packet(1, DCID, DCID, Orig, 0, &pieces.concat());
        prop_assert_eq!(tell(&[(Orig, &packet)]), whole);
    }

    #[test]
    fn arbitrary_frames_and_datagrams_do_no_harm(frames: Vec<u8>, other: Vec<u8>) {
        let frames = [frames, vec![0; 20]].concat();
        tell(&[(Orig, &initial_packet(1, DCID, DCID, Orig, 0, &frames)), (Resp, &other), (Orig, &other)]);
        probe(Orig, &other);
    }
}
