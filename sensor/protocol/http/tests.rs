//! Conversations built by hand, and what must be told of them.

use super::*;
use crate::event::{Act, Execution};
use Direction::{Orig, Resp};
use proptest::prelude::*;

/// What came of a conversation.
#[derive(Debug, Default, PartialEq)]
struct Told {
    requests: Vec<Request>,
    executions: Vec<Execution>,
    weirds: usize,
    end: Option<Progress>,
    services: Vec<&'static str>,
}

/// Feeds pieces as a flow would: what is not consumed comes again with the next piece of that side; what is passed over
/// is not shown.
fn converse(pieces: &[(Direction, &[u8])]) -> Told {
    let (mut parser, mut out, mut told) = (Http::default(), Output::default(), Told::default());
    let (mut pending, mut skip) = ([Vec::new(), Vec::new()], [0_usize; 2]);
    'pieces: for (from, piece) in pieces {
        let side = usize::from(*from == Resp);
        let skipped = skip[side].min(piece.len());
        skip[side] -= skipped;
        pending[side].extend_from_slice(&piece[skipped..]);
        while !pending[side].is_empty() {
            match parser.parse(Input { from: *from, ts: Timestamp(1), data: &pending[side] }, &mut out) {
                Progress::Consumed(0) => break,
                Progress::Consumed(n) => {
                    skip[side] = n.saturating_sub(pending[side].len());
                    let n = n.min(pending[side].len());
                    pending[side].drain(..n);
                }
                other => {
                    told.end = Some(other);
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
    for event in out.events {
        match event {
            Event::Request(request) => told.requests.push(*request),
            Event::Execution(execution) => told.executions.push(*execution),
            _ => told.weirds += 1,
        }
    }
    told.services = out.services;
    told
}

/// Method and target, status, body lengths.
fn brief(told: &Told) -> Vec<(String, Option<u16>, u64, u64)> {
    let line = |r: &Request| format!("{} {}", r.method, r.uri);
    told.requests.iter().map(|r| (line(r), r.status, r.request_body_len, r.response_body_len)).collect()
}

#[test]
fn requests_pair_with_their_answers_in_order() {
    type Case = (&'static str, &'static [u8], &'static [u8], &'static [(&'static str, Option<u16>, u64, u64)]);
    let cases: &[Case] = &[
        (
            "keep-alive, one after the other in one go",
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx",
            &[("GET /1", Some(200), 0, 3), ("GET /2", Some(404), 0, 1)],
        ),
        (
            "chunks with a trailer, then no body",
            b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\nDELETE /d HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;e\r\nhello\r\n0\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            &[("POST /c", Some(200), 3, 5), ("DELETE /d", Some(204), 0, 0)],
        ),
        (
            "the answer to HEAD and 304 have a length but no body",
            b"HEAD /h HTTP/1.1\r\n\r\nGET /n HTTP/1.1\r\n\r\nGET /g HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil close",
            &[("HEAD /h", Some(200), 0, 0), ("GET /n", Some(304), 0, 0), ("GET /g", Some(200), 0, 11)],
        ),
        (
            "leave to send a body",
            b"PUT /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
            &[("PUT /p", Some(201), 4, 0)],
        ),
        (
            "refused while the body still comes, and an answer nobody asked for",
            b"POST /p HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc",
            b"HTTP/1.1 413 L\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlost",
            &[("POST /p", Some(413), 3, 2)],
        ),
        ("no answer", b"GET / HTTP/1.1\r\n\r\n", b"", &[("GET /", None, 0, 0)]),
        ("an answer alone makes no request", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", &[]),
        (
            "bare LF, empty lines between requests",
            b"\r\nGET /a HTTP/1.0\nHost: x\n\n\r\nGET /b HTTP/1.0\n\n",
            b"HTTP/1.0 200 OK\nContent-Length: 1\n\nxHTTP/1.0 500 E\nContent-Length: 0\n\n",
            &[("GET /a", Some(200), 0, 1), ("GET /b", Some(500), 0, 0)],
        ),
        ("the oldest version, answered by a newer", b"GET /\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", &[("GET /", Some(200), 0, 1)]),
        ("an empty line and half a word tell no side", b"\r\nHEAD / HTTP/1.1\r\n\r\n", b"", &[("HEAD /", None, 0, 0)]),
        (
            "an answer cut off",
            b"GET /big HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n1234",
            &[("GET /big", Some(200), 0, 4)],
        ),
        (
            "refused by the proxy, then asked again in the same connection",
            b"CONNECT a.example:443 HTTP/1.1\r\n\r\nGET http://a.example/x HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 407 P\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            &[("CONNECT a.example:443", Some(407), 0, 2), ("GET http://a.example/x", Some(200), 0, 0)],
        ),
    ];
    for (what, client, server, expected) in cases {
        // One side after the other, then again what was held back.
        let (first, rest) = client.split_at(client.len().min(3));
        let told = converse(&[(Orig, first), (Orig, rest), (Resp, server)]);
        let expected: Vec<_> = expected.iter().map(|(l, s, q, r)| ((*l).to_owned(), *s, *q, *r)).collect();
        if *what != "refused by the proxy, then asked again in the same connection" {
            assert_eq!(brief(&told), expected, "{what}");
        } else {
            let (connect, get) = client.split_at(34);
            let (refusal, answer) = server.split_at(40);
            let told = converse(&[(Orig, connect), (Resp, refusal), (Orig, get), (Resp, answer)]);
            assert_eq!(brief(&told), expected, "{what}");
        }
        assert_eq!(told.weirds, 0, "{what}");
    }
}

#[test]
fn what_a_request_says_of_itself_is_told() {
    let told = converse(&[
        (Orig, b"GET http://b.example:8080/x?y HTTP/1.1\r\nUser-Agent: curl/8\r\n\r\n"),
        (Resp, b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 10\r\n\r\n#!/bin/sh\n"),
    ]);
    let [r] = &*told.requests else { panic!("{told:?}") };
    assert_eq!((r.host.as_deref(), r.proxied), (Some("b.example:8080"), true));
    assert_eq!(
        (r.user_agent.as_deref(), r.content_type.as_deref()),
        (Some("curl/8"), Some("application/octet-stream"))
    );
    assert_eq!(r.content, Some("shell"));
}

#[test]
fn what_a_tunnel_carries_is_handed_over() {
    for (what, client, server, end) in [
        (
            "CONNECT",
            &b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"[..],
            &b"HTTP/1.1 200 Connection established\r\n\r\n"[..],
            Progress::Handover(39),
        ),
        (
            "HTTP/2 in clear",
            b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
            Progress::Handover(40),
        ),
        (
            "a WebSocket",
            b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\n\r\n",
            Progress::Done,
        ),
    ] {
        let told = converse(&[(Orig, client), (Resp, server)]);
        assert_eq!(told.end, Some(end), "{what}");
        assert_eq!(told.requests.len(), 1, "{what}");
        assert!(told.requests[0].status.is_some(), "{what}");
    }
    let told = converse(&[(Orig, b"CONNECT a:1 HTTP/1.1\r\n\r\n"), (Orig, b"\x16\x03\x01")]);
    assert_eq!((told.end, told.weirds), (None, 0), "what follows waits for the answer");
}

#[test]
fn remote_management_is_an_act_for_each_post() {
    let told = converse(&[
        (Orig, b"POST /wsman HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        (Resp, b"HTTP/1.1 401 \r\nContent-Length: 0\r\n\r\n"),
        (Orig, b"POST /wsman HTTP/1.1\r\nAuthorization: Negotiate AAAA\r\nContent-Length: 4\r\n\r\nxxxx"),
        (Resp, b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    ]);
    let acts: Vec<_> = told.executions.iter().map(|e| (e.act, e.endpoint.as_deref())).collect();
    assert_eq!(acts, [(Act::Administer, Some("/wsman")), (Act::Execute, Some("/wsman"))]);
}

#[test]
fn a_gap_loses_only_what_it_covers() {
    let mut parser = Http::default();
    let mut out = Output::default();
    let feed = |parser: &mut Http, out: &mut Output, from, mut data: &[u8]| {
        while !data.is_empty() {
            match parser.parse(Input { from, ts: Timestamp(1), data }, out) {
                Progress::Consumed(n @ 1..) => data = &data[n.min(data.len())..],
                _ => break,
            }
        }
    };
    feed(&mut parser, &mut out, Orig, b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
    feed(&mut parser, &mut out, Resp, b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n1234567890");
    parser.gap(Resp, 590, &mut out);
    feed(&mut parser, &mut out, Resp, b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n");
    parser.finish(&mut out);
    let statuses: Vec<_> = out
        .events
        .iter()
        .filter_map(|e| if let Event::Request(r) = e { Some((&*r.uri, r.status, r.response_body_len)) } else { None })
        .collect();
    assert_eq!(statuses, [("/1", Some(200), 600), ("/2", Some(404), 0)]);
}

#[test]
fn probes_know_http_from_its_look_alikes() {
    for (what, data, expected) in [
        ("a request", &b"GET / HTTP/1.1\r\n"[..], Probe::Match),
        ("a method of nobody's", b"FOO_BAR /x HTTP/1.0\r\n", Probe::Match),
        ("a long target, not whole yet", b"GET /aaaaaaaaaaaaaaaaaaaa", Probe::Match),
        ("a request after a keep-alive probe", b"\0GET / HTTP/1.1\r\n", Probe::Match),
        ("an answer", b"HTTP/1.1 200 OK\r\n", Probe::Match),
        ("the start of one", b"HTT", Probe::NeedMore),
        ("the start of a method", b"PROP", Probe::NeedMore),
        ("the session initiation protocol", b"OPTIONS sip:a SIP/2.0\r\n", Probe::Mismatch),
        ("streaming", b"OPTIONS rtsp://a RTSP/1.0\r\n", Probe::Mismatch),
        ("mail", b"EHLO a.example\r\n", Probe::Mismatch),
        ("a secure shell", b"SSH-2.0-OpenSSH_9.6\r\n", Probe::Mismatch),
        ("TLS", b"\x16\x03\x01\x02\x00\x01", Probe::Mismatch),
    ] {
        assert_eq!(probe(Orig, data), expected, "{what}");
    }
}

#[test]
fn a_flood_of_requests_is_bounded() {
    let flood = b"GET / HTTP/1.1\r\n\r\n".repeat(MAX_OUTSTANDING + 10);
    let told = converse(&[(Orig, &flood)]);
    assert_eq!((told.requests.len(), told.weirds), (MAX_OUTSTANDING + 10, 10));
}

const CLIENT: &[u8] = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n\r\n\
    POST /wsman HTTP/1.1\r\nAuthorization: Negotiate YII=\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
const SERVER: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
    12\r\n#!/bin/sh\necho hell\r\n1\r\no\r\n0\r\nX: y\r\n\r\nHTTP/1.1 404 N\r\nContent-Length: 3\r\n\r\nabc\
    HTTP/1.1 200 OK\r\n\r\nrest";

#[test]
fn no_prefix_and_no_flipped_bit_does_harm() {
    for n in 0..CLIENT.len().max(SERVER.len()) * 8 {
        let (mut client, mut server) = (CLIENT.to_vec(), SERVER.to_vec());
        converse(&[(Orig, &client[..(n / 8).min(client.len())]), (Resp, &server[..(n / 8).min(server.len())])]);
        client.get_mut(n / 8).into_iter().for_each(|b| *b ^= 1 << (n % 8));
        server.get_mut(n / 8).into_iter().for_each(|b| *b ^= 1 << (n % 8));
        converse(&[(Orig, &client), (Resp, &server)]);
    }
}

proptest! {
    #[test]
    fn any_segmentation_tells_the_same(cuts in proptest::collection::vec(1_usize..120, 0..80)) {
        let whole = converse(&[(Orig, CLIENT), (Resp, SERVER)]);
        prop_assert_eq!(whole.requests.len(), 3);
        let mut pieces: Vec<(Direction, &[u8])> = Vec::new();
        for (side, mut rest) in [(Orig, CLIENT), (Resp, SERVER)] {
            for cut in &cuts {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push((side, piece));
                rest = after;
            }
            pieces.push((side, rest));
        }
        prop_assert_eq!(converse(&pieces), whole);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(client: Vec<u8>, server: Vec<u8>) {
        let client = [b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", &*client].concat();
        let server = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &*server].concat();
        converse(&[(Orig, &client), (Resp, &server)]);
        probe(Orig, &client);
    }
}
