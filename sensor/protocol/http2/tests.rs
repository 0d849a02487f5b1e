//! Connections built by hand, and what must be told of them.

use super::*;
use Direction::{Orig, Resp};

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Literals without indexing, names in full (RFC 7541 §6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for string in [name, value] {
            out.push(u8::try_from(string.len()).unwrap());
            out.extend_from_slice(string.as_bytes());
        }
    }
    out
}

fn get(path: &str) -> Vec<u8> {
    block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a.example"),
        (":path", path),
        ("user-agent", "t/1"),
    ])
}

/// Feeds pieces as a flow would.
fn converse(pieces: &[(Direction, Vec<u8>)], cut: usize) -> (Vec<String>, Option<Progress>) {
    let (mut parser, mut out) = (Http2::default(), Output::default());
    let (mut pending, mut skip, mut end) = ([Vec::new(), Vec::new()], [0_usize; 2], None);
    'pieces: for (from, piece) in pieces.iter().flat_map(|(from, data)| data.chunks(cut).map(move |c| (*from, c))) {
        let side = usize::from(from == Resp);
        let skipped = skip[side].min(piece.len());
        skip[side] -= skipped;
        pending[side].extend_from_slice(&piece[skipped..]);
        while !pending[side].is_empty() {
            match parser.parse(Input { from, ts: Timestamp(1), data: &pending[side] }, &mut out) {
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
    for (side, from) in [Orig, Resp].into_iter().enumerate() {
        if skip[side] > 0 {
            parser.unfinished(from, skip[side] as u64);
        }
    }
    parser.finish(&mut out);
    let told = out.events.iter().map(|event| match event {
        Event::Request(r) => format!(
            "{} {} {} {} {}/{} {}",
            r.method,
            r.host.as_deref().unwrap_or("-"),
            r.uri,
            r.status.map_or_else(|| "-".into(), |s| s.to_string()),
            r.request_body_len,
            r.response_body_len,
            r.content.unwrap_or("-")
        ),
        Event::Weird(w) => w.oddity.name().into(),
        other => format!("{other:?}"),
    });
    (told.collect(), end)
}

#[test]
fn requests_pair_with_their_answers_whatever_their_order() {
    let ok = block(&[(":status", "200"), ("content-type", "text/plain")]);
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    let padded = [&[3][..], &get("/padded"), &[0; 3]].concat();
    let prior = [&[0, 0, 0, 0, 16][..], &get("/prior")].concat();
    let post = block(&[(":method", "POST"), (":authority", "a.example"), (":path", "/up")]);
    let script = b"#!/bin/sh\nid\n";
    for (what, pieces, expected) in [
        (
            "two streams, answered in reverse",
            vec![
                (Orig, frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/one"))),
                (Orig, frame(HEADERS, END_HEADERS | END_STREAM, 3, &get("/two"))),
                (Resp, frame(HEADERS, END_HEADERS | END_STREAM, 3, &ok)),
                (Resp, frame(HEADERS, END_HEADERS, 1, &ok)),
                (Resp, frame(DATA, 0, 1, script)),
                (Resp, frame(DATA, END_STREAM, 1, b"more\n")),
            ],
            vec!["GET a.example /two 200 0/0 -", "GET a.example /one 200 0/18 shell"],
        ),
        (
            "an upload, an interim answer, trailers",
            vec![
                (Orig, frame(HEADERS, END_HEADERS, 1, &post)),
                (Resp, frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "100")]))),
                (Orig, frame(DATA, PADDED | END_STREAM, 1, &[&[2][..], &[7; 1000], &[0; 2]].concat())),
                (Resp, frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "201")]))),
                (Resp, frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("grpc-status", "0")]))),
            ],
            vec!["POST a.example /up 201 1000/0 -"],
        ),
        (
            "a head in three frames, padding, priority",
            vec![
                (Orig, frame(HEADERS, END_STREAM, 1, &get("/split")[..10])),
                (Orig, frame(CONTINUATION, 0, 1, &get("/split")[10..30])),
                (Orig, frame(CONTINUATION, END_HEADERS, 1, &get("/split")[30..])),
                (Orig, frame(HEADERS, END_HEADERS | PADDED, 3, &padded)),
                (Orig, frame(HEADERS, END_HEADERS | PRIORITY, 5, &prior)),
                (Orig, frame(RST_STREAM, 0, 3, &[0, 0, 0, 8])),
            ],
            vec!["GET a.example /padded - 0/0 -", "GET a.example /split - 0/0 -", "GET a.example /prior - 0/0 -"],
        ),
        (
            "a head that cannot be read",
            vec![
                (Orig, frame(HEADERS, END_HEADERS, 1, &[0xff, 0])),
                (Orig, frame(HEADERS, END_HEADERS, 3, &get("/never"))),
            ],
            vec!["http_malformed"],
        ),
        (
            "an answer on the stream of an upgrade",
            vec![(Resp, frame(HEADERS, END_HEADERS | END_STREAM, 1, &ok))],
            vec![],
        ),
    ] {
        let mut all = vec![(Orig, [PREFACE, &settings].concat()), (Resp, settings.clone())];
        all.extend(pieces);
        for cut in [1, 7, 4096] {
            assert_eq!(
                converse(&all, cut),
                (expected.iter().map(|s| (*s).to_string()).collect(), None),
                "{what}, {cut}"
            );
        }
    }
}

#[test]
fn a_body_that_never_came_is_not_counted() {
    let mut data = frame(DATA, 0, 1, &[7; 2000]);
    data.truncate(1500);
    let ok = frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "200")]));
    let ask = [PREFACE, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/"))].concat();
    let (told, _) = converse(&[(Orig, ask), (Resp, frame(SETTINGS, 0, 0, &[])), (Resp, ok), (Resp, data)], 4096);
    assert_eq!(told, ["GET a.example / 200 0/1491 -"]);
}

#[test]
fn frames_out_of_turn_and_streams_without_end_are_stopped() {
    let begin = |frames: Vec<u8>| vec![(Orig, [PREFACE, &frames].concat())];
    let open = frame(HEADERS, 0, 1, &get("/"));
    for (what, frames, expected) in [
        ("another head between", [open.clone(), open.clone()].concat(), Oddity::HttpMalformed),
        ("a continuation of nothing", frame(CONTINUATION, 0, 1, b"a"), Oddity::HttpMalformed),
        ("padding longer than the frame", frame(HEADERS, PADDED, 1, &[200, 1]), Oddity::HttpMalformed),
        (
            "a head that never ends",
            [open, frame(CONTINUATION, 0, 1, &[0; 16_000]).repeat(5)].concat(),
            Oddity::HttpMalformed,
        ),
        ("a head too long to hold", frame(HEADERS, 0, 1, &[0; MAX_PENDING]), Oddity::MessageTooLong),
    ] {
        assert_eq!(converse(&begin(frames), 1 << 20).1, Some(Progress::Malformed(expected)), "{what}");
    }
    let many: Vec<u8> = (0..1000).flat_map(|n| frame(HEADERS, END_HEADERS, n * 2 + 1, &get("/"))).collect();
    let (told, end) = converse(&begin(many), 1 << 20);
    let weirds = told.iter().filter(|t| *t == "too_many_outstanding").count();
    assert_eq!((told.len() - weirds, weirds, end), (1000, 1000 - MAX_STREAMS, None));
}

#[test]
fn the_preface_or_the_settings_are_known_and_an_http_1_request_is_not() {
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    for words in [PREFACE, &settings[..]] {
        assert_eq!(probe(Orig, words), Probe::Match);
        for n in 0..words.len().min(HEADER) {
            assert_eq!(probe(Resp, &words[..n]), Probe::NeedMore, "{n}");
        }
    }
    assert_eq!(probe(Orig, b"PRI * HTTP/1.1\r\n"), Probe::Mismatch);
    assert_eq!(probe(Orig, &frame(SETTINGS, 1, 0, &[])), Probe::Mismatch, "an acknowledgement comes later");
    assert_eq!(probe(Orig, b"\0\0\0\x2a\xfeSMB\x40"), Probe::Mismatch);
}

proptest::proptest! {
    #[test]
    fn any_frames_are_survived(frames in proptest::collection::vec(
        (0_u8..12, proptest::num::u8::ANY, 0_u32..4, proptest::collection::vec(proptest::num::u8::ANY, 0..40)), 0..20)
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(kind, flags, id, data)| frame(*kind, *flags, *id, data)).collect();
        converse(&[(Orig, [PREFACE, &bytes].concat()), (Resp, [frame(SETTINGS, 0, 0, &[]), bytes].concat())], 17);
    }
}
