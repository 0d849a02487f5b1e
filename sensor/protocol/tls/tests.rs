//! Conversations built by hand, and what must be told of them.

use super::*;
use crate::event::{Ech, Event, Handshake};
use proptest::prelude::*;

/// A vector with a two-byte length.
fn v16(body: &[u8]) -> Vec<u8> {
    [&u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

/// A handshake message.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &len[1..], body].concat()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1], &*v16(body)].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), &*v16(body)].concat()
}

/// SNI `a.example`, ALPN h2 and http/1.1, two groups, one signature algorithm and, where asked for, TLS 1.3.
fn client_hello_body(session_id: &[u8], tls13: bool) -> Vec<u8> {
    let mut extensions = [
        extension(0, &v16(&[&[0][..], &v16(b"a.example")].concat())),
        extension(10, &v16(&[0, 29, 0, 23])),
        extension(11, &[1, 0]),
        extension(13, &v16(&[4, 3])),
        extension(16, &v16(b"\x02h2\x08http/1.1")),
    ]
    .concat();
    if tls13 {
        extensions.extend(extension(43, &[4, 3, 4, 3, 3]));
        extensions.extend(extension(0xfe0d, &[0, 0, 1, 0, 1, 0xac, 0, 0, 0, 0]));
    }
    [
        &[3, 3][..],
        &[7; 32], // Random.
        &[u8::try_from(session_id.len()).unwrap()],
        session_id,
        &v16(&[0x13, 0x01, 0xc0, 0x2f]),
        &[1, 0], // Compression methods: null.
        &v16(&extensions),
    ]
    .concat()
}

fn server_hello_body(random: &[u8; 32], session_id: &[u8], suite: [u8; 2], extensions: &[u8]) -> Vec<u8> {
    let len = [u8::try_from(session_id.len()).unwrap()];
    [&[3, 3][..], random, &len, session_id, &suite, &[0], &v16(extensions)].concat()
}

fn hello(tls13: bool) -> Vec<u8> {
    record(HANDSHAKE, &message(1, &client_hello_body(&[9; 32], tls13)))
}

fn answer_13() -> Vec<u8> {
    let body = server_hello_body(&[8; 32], &[9; 32], [0x13, 0x01], &extension(43, &[3, 4]));
    [record(HANDSHAKE, &message(2, &body)), record(CHANGE_CIPHER_SPEC, &[1]), record(23, &[0; 40])].concat()
}

fn answer_12(certificate: &[u8]) -> Vec<u8> {
    let body = server_hello_body(&[8; 32], &[5; 32], [0xc0, 0x2f], &extension(16, &v16(b"\x02h2")));
    let len = |n: usize| u32::try_from(n).unwrap().to_be_bytes()[1..].to_vec();
    let chain = [len(certificate.len()), certificate.to_vec()].concat();
    let chain = [len(chain.len()), chain].concat();
    record(HANDSHAKE, &[message(2, &body), message(11, &chain), message(14, &[])].concat())
}

/// Feeds pieces as a flow would: what is not consumed comes again with the next piece of that side.
fn converse(parser: &mut dyn Parser, pieces: &[(Direction, &[u8])]) -> (Vec<Handshake>, Option<Progress>) {
    let (mut out, mut end) = (Output::default(), None);
    let (mut pending, mut skip) = ([Vec::new(), Vec::new()], [0_usize; 2]);
    'pieces: for (n, (from, piece)) in pieces.iter().enumerate() {
        let side = usize::from(*from == Resp);
        let skipped = skip[side].min(piece.len());
        skip[side] -= skipped;
        pending[side].extend_from_slice(&piece[skipped..]);
        while !pending[side].is_empty() {
            let ts = Timestamp(i64::try_from(n).unwrap() + 1);
            match parser.parse(Input { from: *from, ts, data: &pending[side] }, &mut out) {
                Progress::Consumed(0) => break,
                Progress::Consumed(n) => {
                    skip[side] = n.saturating_sub(pending[side].len());
                    let n = n.min(pending[side].len());
                    pending[side].drain(..n);
                }
                other => {
                    end = Some(other);
                    break 'pieces;
                }
            }
        }
    }
    parser.finish(&mut out);
    let told = out.events.into_iter().filter_map(|event| match event {
        Event::Handshake(handshake) => Some(*handshake),
        _ => None,
    });
    (told.collect(), end)
}

fn tell(pieces: &[(Direction, &[u8])]) -> Vec<Handshake> {
    converse(&mut Tls::new(), pieces).0
}

use Direction::{Orig, Resp};

#[test]
fn a_tls_13_handshake_is_told_at_the_server_hello() {
    let (told, end) = converse(&mut Tls::new(), &[(Orig, &hello(true)), (Resp, &answer_13())]);
    assert_eq!(end, Some(Progress::Done));
    let [h] = &*told else { panic!("{told:?}") };
    assert_eq!(h.started, Timestamp(1));
    assert_eq!((h.version, h.cipher.as_deref()), (Some("TLSv1.3"), Some("TLS_AES_128_GCM_SHA256")));
    assert_eq!((h.sni.as_deref(), h.alpn.len(), h.ech), (Some("a.example"), 2, Some(Ech::Offered)));
    assert_eq!((h.next_protocol.as_deref(), h.resumed), (None, Some(false)), "encrypted in TLS 1.3");
    assert!(h.ja3.is_some() && h.ja3s.is_some());
    assert!(h.ja4.as_deref().unwrap().starts_with("t13d0207h2_"), "{:?}", h.ja4);
}

/// RFC 8448 §3, the records of client and server.
const RFC_8448: [&str; 2] = [
    "16030100c4010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece700000613011303\
     1302010000910000000b0009000006736572766572ff01000100000a00140012001d00170018001901000101010201030104\
     00230000003300260024001d002099381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003\
     020304000d0020001e040305030603020308040805080604010501060102010402050206020202002d00020101001c000240\
     01",
    "160303005a020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e00\
     330024001d0020c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304",
];

#[test]
fn the_trace_of_rfc_8448_is_told() {
    let [client, server] = RFC_8448.map(|record| hex::decode(record).unwrap());
    let told = tell(&[(Orig, &client), (Resp, &server)]);
    let [h] = &*told else { panic!("{told:?}") };
    assert_eq!((h.sni.as_deref(), h.version), (Some("server"), Some("TLSv1.3")));
    assert_eq!(h.cipher.as_deref(), Some("TLS_AES_128_GCM_SHA256"));
    assert_eq!(h.ja3.as_deref(), Some("da4dea34fe6d4ce5f0725df3f2682fa0"));
    assert_eq!(h.ja4.as_deref(), Some("t13d030900_55b375c5d22e_59cd3dafc54d"));
    assert_eq!((h.resumed, h.ech), (Some(false), Some(Ech::Absent)));
}

#[test]
fn a_tls_12_handshake_waits_for_the_certificate() {
    let (told, end) = converse(&mut Tls::new(), &[(Orig, &hello(false)), (Resp, &answer_12(&CERTIFICATE_DER))]);
    assert_eq!(end, Some(Progress::Done));
    let [h] = &*told else { panic!("{told:?}") };
    assert_eq!((h.version, h.next_protocol.as_deref(), h.ech), (Some("TLSv1.2"), Some("h2"), Some(Ech::Absent)));
    assert_eq!(h.resumed, Some(false));
    let c = h.certificate.as_ref().unwrap();
    assert_eq!(&*c.subject, r"CN=a.example,OU=\#1,O=Example\, Inc.");
    assert_eq!((&c.issuer, c.self_signed), (&c.subject, true));
    assert_eq!(c.san, ["a.example".into(), "192.0.2.1".into(), "2001:db8::1".into()] as [Box<str>; 3]);
    assert_eq!((c.not_before.secs(), c.not_after.secs()), (1_577_836_800, 1_893_456_000), "2020-01-01 to 2030-01-01");
    assert_eq!(&*c.sha256, CERTIFICATE_SHA256);
}

#[test]
fn abbreviated_handshakes_are_resumed() {
    let body = server_hello_body(&[8; 32], &[9; 32], [0xc0, 0x2f], &[]);
    let ticket = record(HANDSHAKE, &message(4, &[0; 9]));
    let ccs = record(CHANGE_CIPHER_SPEC, &[1]);
    let server = record(HANDSHAKE, &message(2, &body));
    for (what, answer) in [
        ("by session id", [&*server, &ccs].concat()),
        ("by ticket, with a fresh one", [&*server, &ticket, &ccs].concat()),
    ] {
        let told = tell(&[(Orig, &hello(false)), (Resp, &answer)]);
        assert_eq!(told.iter().map(|h| h.resumed).collect::<Vec<_>>(), [Some(true)], "{what}");
    }
}

#[test]
fn a_retry_is_no_answer() {
    let retry = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2,
        0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];
    let body = server_hello_body(&retry, &[9; 32], [0x13, 0x02], &extension(43, &[3, 4]));
    let retry = [record(HANDSHAKE, &message(2, &body)), record(CHANGE_CIPHER_SPEC, &[1])].concat();
    let again = [record(CHANGE_CIPHER_SPEC, &[1]), hello(true)].concat();
    let told = tell(&[(Orig, &hello(true)), (Resp, &retry), (Orig, &again), (Resp, &answer_13())]);
    let [h] = &*told else { panic!("{told:?}") };
    assert_eq!(h.cipher.as_deref(), Some("TLS_AES_128_GCM_SHA256"), "the one of the real hello");
    assert!(h.ja3s.is_some());
    let told = tell(&[(Orig, &hello(true)), (Resp, &retry)]);
    assert_eq!(told.iter().map(|h| (h.version, h.ja3s.is_some())).collect::<Vec<_>>(), [(Some("TLSv1.3"), false)]);
}

#[test]
fn half_a_conversation_is_told_as_far_as_it_goes() {
    let told = tell(&[(Orig, &hello(true))]);
    assert_eq!(told.iter().map(|h| (h.sni.as_deref(), h.version)).collect::<Vec<_>>(), [(Some("a.example"), None)]);
    let (told, end) = converse(&mut Tls::new(), &[(Resp, &answer_13()), (Orig, &record(23, &[1; 9]))]);
    assert_eq!(told.iter().map(|h| (h.ech, h.version)).collect::<Vec<_>>(), [(None, Some("TLSv1.3"))]);
    assert_eq!(end, Some(Progress::Done));
    let told = tell(&[(Resp, &answer_13()), (Orig, &hello(true))]);
    assert_eq!(told.len(), 1, "the answer was captured before the question");
    assert!(told[0].ja4.is_some() && told[0].version.is_some());
    assert_eq!(tell(&[(Orig, &record(HANDSHAKE, &message(16, &[0; 66])))]), []);
}

#[test]
fn a_hello_cut_by_a_gap_keeps_its_name_but_gets_no_fingerprint() {
    let mut parser = Tls::new();
    let mut out = Output::default();
    let whole = hello(true);
    let mut cut = &whole[..whole.len() - 20];
    while let Progress::Consumed(n @ 1..) = parser.parse(Input { from: Orig, ts: Timestamp(5), data: cut }, &mut out) {
        cut = &cut[n.min(cut.len())..];
        if cut.is_empty() {
            break;
        }
    }
    assert_eq!(parser.gap(Orig, 20, &mut out), Progress::Consumed(0));
    parser.finish(&mut out);
    let told = out.events.iter().find_map(|e| if let Event::Handshake(h) = e { Some(h) } else { None }).unwrap();
    assert_eq!((told.sni.as_deref(), told.started), (Some("a.example"), Timestamp(5)));
    assert_eq!((&told.ja3, &told.ja4, told.ech), (&None, &None, None));
}

#[test]
fn old_framing_is_recognised() {
    let hello = [
        &[0x80, 9 + 6 + 16, 1][..],   // Length, CLIENT-HELLO.
        &[3, 1, 0, 6, 0, 0, 0, 16],   // TLS 1.0; 6 bytes of suites, no session, 16 of challenge.
        &[0x01, 0, 0x80, 0, 0, 0x2f], // SSL_CK_RC4_128_WITH_MD5, TLS_RSA_WITH_AES_128_CBC_SHA.
        &[0x11; 16],
    ]
    .concat();
    assert_eq!(probe(Orig, &hello), Probe::Match);
    let told = tell(&[(Orig, &hello), (Resp, &answer_12(&CERTIFICATE_DER))]);
    let [h] = &*told else { panic!("{told:?}") };
    assert_eq!((h.version, &h.ja3, h.certificate.is_some()), (Some("TLSv1.2"), &None, true));
    let old_answer = [
        &[0x80, 11, 4][..],              // SERVER-HELLO.
        &[0, 1, 0, 2, 0, 0, 0, 0, 0, 0], // No session hit, X.509, SSLv2, nothing more.
    ]
    .concat();
    let told = tell(&[(Orig, &hello), (Resp, &old_answer)]);
    assert_eq!(told.iter().map(|h| h.version).collect::<Vec<_>>(), [Some("SSLv2")]);
}

#[test]
fn probes_ask_for_more_before_they_judge() {
    for (what, data, expected) in [
        ("nothing", &b""[..], Probe::NeedMore),
        ("the start of a record", b"\x16\x03\x01\x02", Probe::NeedMore),
        ("a client hello in a record of one byte", b"\x16\x03\x01\x00\x01\x01", Probe::Match),
        ("a server hello", b"\x16\x03\x03\x00\x7a\x02", Probe::Match),
        ("a server hello after an alert", b"\x15\x03\x01\x00\x02\x01\x70\x16\x03\x03\x00\x7a\x02", Probe::Match),
        ("a record too long to be one", b"\x16\x03\x01\xff\xff\x01", Probe::Mismatch),
        ("text", b"GET / HTTP/1.1\r\n", Probe::Mismatch),
        ("an SSLv2 length, then something else", b"\x80\x2e\x02", Probe::Mismatch),
    ] {
        assert_eq!(probe(Orig, data), expected, "{what}");
    }
}

#[test]
fn records_of_one_byte_make_a_hello_too() {
    let body = message(1, &client_hello_body(&[], true));
    let mut shredded = Vec::new();
    for byte in &body {
        shredded.extend(record(HANDSHAKE, &[*byte]));
    }
    let whole = tell(&[(Orig, &record(HANDSHAKE, &body)), (Resp, &answer_13())]);
    assert_eq!(tell(&[(Orig, &shredded), (Resp, &answer_13())]), whole);
}

#[test]
fn a_chain_too_long_to_keep_still_gives_its_first_certificate() {
    let len = |n: usize| u32::try_from(n).unwrap().to_be_bytes()[1..].to_vec();
    let filler = vec![0x30; 60_000];
    let chain = [len(CERTIFICATE_DER.len()), CERTIFICATE_DER.to_vec(), len(filler.len()), filler].concat();
    let chain = message(11, &[len(chain.len()), chain].concat());
    let mut answer = record(HANDSHAKE, &message(2, &server_hello_body(&[8; 32], &[], [0, 0x2f], &[])));
    for piece in chain.chunks(1 << 14) {
        answer.extend(record(HANDSHAKE, piece));
    }
    let told = tell(&[(Orig, &hello(false)), (Resp, &answer)]);
    assert!(told[0].certificate.is_some());
}

#[test]
fn no_prefix_and_no_flipped_bit_does_harm() {
    let (client, server) = (hello(true), answer_12(&CERTIFICATE_DER));
    for n in 0..client.len() {
        tell(&[(Orig, &client[..n])]);
        tell(&[(Orig, &client), (Resp, &server[..n.min(server.len())])]);
    }
    for n in 0..server.len() * 8 {
        let mut flipped = server.clone();
        flipped[n / 8] ^= 1 << (n % 8);
        tell(&[(Orig, &client), (Resp, &flipped)]);
        let mut flipped = client.clone();
        if let Some(byte) = flipped.get_mut(n / 8) {
            *byte ^= 1 << (n % 8);
        }
        tell(&[(Orig, &flipped), (Resp, &server)]);
    }
}

proptest! {
    #[test]
    fn any_segmentation_tells_the_same(cuts in proptest::collection::vec(1_usize..400, 0..60), old in any::<bool>()) {
        let client = hello(!old);
        let server = if old { answer_12(&CERTIFICATE_DER) } else { answer_13() };
        let whole = tell(&[(Orig, &client), (Resp, &server)]);
        let mut pieces: Vec<(Direction, &[u8])> = Vec::new();
        for (side, mut rest) in [(Orig, &*client), (Resp, &*server)] {
            for cut in &cuts {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push((side, piece));
                rest = after;
            }
            pieces.push((side, rest));
        }
        let mut told = tell(&pieces);
        for h in &mut told {
            h.started = Timestamp(1);
        }
        prop_assert_eq!(told, whole);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(client in proptest::collection::vec(any::<u8>(), 0..300), server: Vec<u8>) {
        let client = [&[0x16, 3, 1][..], &client].concat();
        tell(&[(Orig, &client), (Resp, &server)]);
        probe(Orig, &server);
    }
}

/// Made with OpenSSL: P-256, O=`Example, Inc.`, OU=`#1`, CN=`a.example`; signed by itself; a name and two addresses.
#[rustfmt::skip]
const CERTIFICATE_DER: [u8; 435] = [
    0x30, 0x82, 0x01, 0xaf, 0x30, 0x82, 0x01, 0x56, 0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01, 0x30, 0x0a, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02, 0x30, 0x39, 0x31, 0x16, 0x30, 0x14, 0x06, 0x03, 0x55, 0x04,
    0x0a, 0x0c, 0x0d, 0x45, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2c, 0x20, 0x49, 0x6e, 0x63, 0x2e, 0x31, 0x0b, 0x30,
    0x09, 0x06, 0x03, 0x55, 0x04, 0x0b, 0x0c, 0x02, 0x23, 0x31, 0x31, 0x12, 0x30, 0x10, 0x06, 0x03, 0x55, 0x04, 0x03,
    0x0c, 0x09, 0x61, 0x2e, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x30, 0x1e, 0x17, 0x0d, 0x32, 0x30, 0x30, 0x31,
    0x30, 0x31, 0x30, 0x30, 0x30, 0x30, 0x30, 0x30, 0x5a, 0x17, 0x0d, 0x33, 0x30, 0x30, 0x31, 0x30, 0x31, 0x30, 0x30,
    0x30, 0x30, 0x30, 0x30, 0x5a, 0x30, 0x39, 0x31, 0x16, 0x30, 0x14, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x0d, 0x45,
    0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2c, 0x20, 0x49, 0x6e, 0x63, 0x2e, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55,
    0x04, 0x0b, 0x0c, 0x02, 0x23, 0x31, 0x31, 0x12, 0x30, 0x10, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x09, 0x61, 0x2e,
    0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
    0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0xaf, 0x06, 0xb7, 0x67,
    0x45, 0x81, 0xd1, 0x50, 0x73, 0x63, 0xb8, 0x01, 0xba, 0x37, 0x72, 0x8f, 0xe5, 0x8c, 0x04, 0xd3, 0x4d, 0x62, 0x04,
    0x6c, 0x03, 0x1c, 0x8b, 0xc8, 0x71, 0x38, 0x66, 0xe6, 0x41, 0xaf, 0x89, 0x2b, 0xc1, 0xe7, 0xc1, 0x7f, 0x59, 0x46,
    0x06, 0x88, 0x72, 0x48, 0x9e, 0xd0, 0x7c, 0x34, 0xd9, 0x07, 0xe2, 0x76, 0x74, 0xc4, 0x91, 0x26, 0x18, 0x3d, 0xa5,
    0xaf, 0x04, 0xf8, 0xa3, 0x4f, 0x30, 0x4d, 0x30, 0x2c, 0x06, 0x03, 0x55, 0x1d, 0x11, 0x04, 0x25, 0x30, 0x23, 0x82,
    0x09, 0x61, 0x2e, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x87, 0x04, 0xc0, 0x00, 0x02, 0x01, 0x87, 0x10, 0x20,
    0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x30, 0x1d, 0x06, 0x03,
    0x55, 0x1d, 0x0e, 0x04, 0x16, 0x04, 0x14, 0xa5, 0x97, 0xec, 0xae, 0xc1, 0x18, 0xa1, 0x40, 0xed, 0xb6, 0xe9, 0xcd,
    0xb5, 0x86, 0x2f, 0xdc, 0xb0, 0x6f, 0x7d, 0x0e, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03,
    0x02, 0x03, 0x47, 0x00, 0x30, 0x44, 0x02, 0x20, 0x67, 0x8b, 0x36, 0x8d, 0xce, 0x2e, 0x84, 0xef, 0xfd, 0xbb, 0xd3,
    0xc1, 0xf8, 0xf2, 0x55, 0x4e, 0xfa, 0x5b, 0xb3, 0xbe, 0xeb, 0x66, 0xf6, 0xc4, 0xb3, 0x12, 0x8b, 0x49, 0x97, 0x69,
    0x63, 0x55, 0x02, 0x20, 0x75, 0x3b, 0xcf, 0xa3, 0xfc, 0xd9, 0x4e, 0x46, 0x54, 0x20, 0x08, 0x66, 0xf9, 0xbd, 0x2b,
    0x32, 0x97, 0xc6, 0x5f, 0x2e, 0xff, 0x60, 0x10, 0xbf, 0xae, 0xa5, 0x45, 0xf0, 0x91, 0x9b, 0x1d, 0x4a,
];
const CERTIFICATE_SHA256: &str = "88ec9f5deab4f450e916fdfb26c99230c4c7ed876b2f2c70dea92db2449d1a22";
