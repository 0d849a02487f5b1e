//! Single hostile connections.

#![expect(clippy::cast_possible_truncation, reason = "writers cut numbers to the width of a field on purpose")]

use super::synth::net::{Host, IPIP, MORNING, MS, Wire};
use super::synth::tcp::{ACK, Side, Tcp};
use super::synth::{dcerpc, quic, tls};
use super::{Seen, turn, watch_frames};
use rustls::Side as Role;
use rustls::quic::Version;

/// What a client and a server say to each other on one connection.
fn conversation(port: u16, talk: impl FnOnce(&mut Tcp<'_>)) -> Seen {
    let mut wire = Wire::new(7);
    let (client, server) = hosts();
    let mut tcp = Tcp::new(&mut wire, MORNING, &client, (&server, port));
    tcp.open();
    talk(&mut tcp);
    watch_frames(&wire.finish())
}

fn hosts() -> (Host, Host) {
    (Host::inside([10, 20, 0, 10]), Host::outside([198, 51, 100, 7]))
}

#[test]
fn fragments_of_a_call_without_end() {
    let _turn = turn();
    let seen = conversation(135, |tcp| {
        let (bind, accepted) = dcerpc::bind(dcerpc::SVCCTL, "135");
        tcp.orig(&bind).resp(&accepted);
        let mut fragment = dcerpc::request(1, 0, 12, &[0x41; 1_400]);
        for n in 0..ROUNDS {
            // First fragment once, last fragment never.
            fragment[3] = u8::from(n == 0);
            tcp.orig(&fragment);
        }
    });
    seen.check("endless fragments");
    assert!(seen.observations < 50, "{seen:#?}");
}

#[test]
fn thousands_of_names_in_one_message_and_on_one_flow() {
    let _turn = turn();
    let answers = conversation(53, |tcp| {
        // 4,000 answers that each name another one by compression, to one question.
        let mut message =
            [&[0, 1, 0x81, 0x80, 0, 1, 0x0f, 0xa0, 0, 0, 0, 0][..], b"\x01a\x07example\0", &[0, 1, 0, 1]].concat();
        for n in 0..4_000_u16 {
            message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'a' + (n % 26) as u8, 0xc0, 14]);
        }
        message.truncate(65_000);
        let framed = [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
        for _ in 0..20 {
            tcp.resp(&framed);
        }
    });
    answers.check("4,000 answers in a message");
    let questions = conversation(53, |tcp| {
        for n in 0..ROUNDS {
            let question = question(n);
            tcp.orig(&[&u16::try_from(question.len()).unwrap().to_be_bytes()[..], &question].concat());
        }
    });
    questions.check("questions that nobody answers, over TCP");
    questions.counts("too_many_outstanding", "over TCP");
    let mut wire = Wire::new(7);
    let (client, server) = hosts();
    for n in 0..ROUNDS {
        wire.udp(MORNING + u64::from(n) * MS, (&client, 50_000), (&server, 53), &question(n));
    }
    let datagrams = watch_frames(&wire.finish());
    datagrams.check("questions that nobody answers, over UDP");
    datagrams.counts("too_many_outstanding", "over UDP");
}

fn question(n: u32) -> Vec<u8> {
    let [.., high, low] = n.to_be_bytes();
    let name = format!("{n:060}");
    [&[high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 60][..], name.as_bytes(), b"\x07example\0\0\x01\0\x01"].concat()
}

#[test]
fn segments_beyond_the_window_and_segments_that_never_join() {
    let _turn = turn();
    let far = conversation(443, |tcp| {
        tcp.orig(b"\x16\x03\x01\x02");
        for n in 0..ROUNDS {
            ahead(tcp, 0x4000_0001 + n * 7, &[0x41; 1_000]);
        }
    });
    far.check("beyond any window");
    let apart = conversation(443, |tcp| {
        tcp.orig(b"\x16\x03\x01\x02");
        for n in 0..ROUNDS {
            ahead(tcp, 10 + n * 11, &[0x41; 7]);
        }
    });
    apart.check("every second byte");
    apart.counts("tcp_reassembly_limit", "every second byte");
    let behind = conversation(443, |tcp| {
        tcp.orig(b"\x16\x03\x01\x02");
        for n in 0..2_000 {
            ahead(tcp, 3_000_000 - n * 1_400, &[0x41; 1_400]);
        }
    });
    behind.check("backwards");
    behind.counts("tcp_reassembly_limit", "backwards");
}

#[test]
fn the_same_bytes_with_another_content() {
    let _turn = turn();
    let seen = conversation(80, |tcp| {
        tcp.orig(b"GET /known HTTP/1.1\r\n");
        for n in 0..ROUNDS {
            let other = format!("GET /{n:05} HTTP/1.1\r\n");
            ahead(tcp, 0_u32.wrapping_sub(21), other.as_bytes());
        }
        for n in 0..ROUNDS {
            ahead(tcp, 100, format!("{n:0100}").as_bytes());
        }
    });
    seen.check("contradictions");
    seen.counts("tcp_overlap_differs", "contradictions");
    assert!(seen.observations < 50, "told once a flow: {seen:#?}");
}

#[test]
fn a_head_without_end_and_chunk_extensions_without_end() {
    let _turn = turn();
    let head = conversation(80, |tcp| {
        tcp.orig(b"GET / HTTP/1.1\r\nHost: a.example\r\n");
        for n in 0..ROUNDS {
            tcp.orig(format!("X-{n}: {}\r\n", "a".repeat(1_000)).as_bytes());
        }
    });
    head.check("a head without end");
    head.counts("message_too_long", "a head without end");
    let chunks = conversation(80, |tcp| {
        tcp.orig(b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..ROUNDS {
            tcp.orig(format!("1;{}\r\nx\r\n", "a=b;".repeat(300)).as_bytes());
        }
        tcp.orig(b"1;");
        for _ in 0..ROUNDS {
            tcp.orig(&[b'a'; 1_400]);
        }
    });
    chunks.check("extensions without end");
    chunks.counts("http_malformed", "extensions without end");
    let pipeline = conversation(80, |tcp| {
        for n in 0..2_000 {
            tcp.orig(format!("GET /{}{n} HTTP/1.1\r\nHost: a.example\r\n\r\n", "a".repeat(20_000)).as_bytes());
        }
    });
    pipeline.check("long requests that nobody answers");
}

#[test]
fn a_continuation_flood() {
    let _turn = turn();
    let frame = |kind: u8, flags: u8, stream: u32, body: &[u8]| {
        let [_, high, middle, low] = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[high, middle, low, kind, flags][..], &stream.to_be_bytes(), body].concat()
    };
    let flood = conversation(80, |tcp| {
        tcp.orig(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, &[])[..]].concat());
        tcp.orig(&frame(1, 0, 1, &[0x82, 0x86]));
        for _ in 0..ROUNDS {
            tcp.orig(&frame(9, 0, 1, &[&[0x40, 1, b'a', 0x7f, 0x81, 9][..], &[b'b'; 1_000]].concat()));
        }
    });
    flood.check("continuations");
    let streams = conversation(80, |tcp| {
        tcp.orig(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, &[])[..]].concat());
        for n in 0..ROUNDS {
            // :method GET, :scheme http, and a path of its own.
            let path = format!("/{n:0100}");
            let head = [&[0x82, 0x86, 0x04, path.len() as u8][..], path.as_bytes()].concat();
            tcp.orig(&frame(1, 4, 2 * n + 1, &head));
        }
    });
    streams.check("streams that nobody answers");
    streams.counts("too_many_outstanding", "streams");
}

#[test]
fn records_of_one_byte_and_a_giant_certificate_chain() {
    let _turn = turn();
    let bytes = conversation(443, |tcp| {
        // A client hello of 32 KB, a byte a record.
        let mut hello = tls::message(1, &[&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat());
        hello.resize(32_000, 0);
        let all: Vec<u8> = hello.iter().flat_map(|byte| tls::record(22, 0x0301, &[*byte])).collect();
        tcp.mss = 6;
        tcp.orig(&all);
    });
    bytes.check("a byte a record");
    let chain = conversation(443, |tcp| {
        // A certificate message of 16 MB, as TLS 1.2 shows it, in whole records.
        let head =
            [&[22, 3, 3, 0x40, 0, 11, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xfc, 0x0f, 0xff, 0xff], &[0x30; 16_374]]
                .concat();
        let mut random = super::synth::random::Random::new(3);
        let server = tls::message(2, &tls::server_hello_12(&mut random, &[1; 32], 0xc02f)[4..]);
        tcp.resp(&tls::record(22, 0x0303, &server)).resp(&head);
        for _ in 0..1_000 {
            tcp.resp(&[&[22, 3, 3, 0x40, 0][..], &[0x30; 16_384]].concat());
        }
    });
    chain.check("a giant chain");
}

#[test]
fn a_hello_in_scattered_pieces() {
    let _turn = turn();
    let mut wire = Wire::new(7);
    let (client, server) = hosts();
    for (n, datagram) in (0..).zip(scattered(ROUNDS)) {
        wire.udp(MORNING + n * MS, (&client, 50_000), (&server, 443), &datagram);
    }
    let seen = watch_frames(&wire.finish());
    seen.check("scattered CRYPTO frames");
    assert!(seen.observations < 100, "{seen:#?}");
    // Initials that nobody can open.
    let mut wire = Wire::new(7);
    for n in 0..ROUNDS {
        let random = wire.random.bytes(1_200);
        let datagram = [&[0xc3, 0, 0, 0, 1, 8][..], &random[..8], &[0, 0, 0x44, 0xa0], &random[8..]].concat();
        wire.udp(MORNING + u64::from(n) * MS, (&client, 50_000), (&server, 443), &datagram);
    }
    let seen = watch_frames(&wire.finish());
    seen.check("Initials of another key each");
    seen.counts("quic_undecryptable", "Initials of another key each");
}

#[test]
fn chains_of_compounds_and_handles_without_end() {
    let _turn = turn();
    let header = |command: u8, next: u32, id: u64| {
        let mut head = vec![0xfe, b'S', b'M', b'B', 64, 0, 0, 0, 0, 0, 0, 0, command, 0, 1, 0, 0, 0, 0, 0];
        head.extend(next.to_le_bytes());
        head.extend(id.to_le_bytes());
        head.resize(64, 0);
        head
    };
    let framed = |message: &[u8]| {
        let [_, a, b, c] = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0, a, b, c][..], message].concat()
    };
    let chains = conversation(445, |tcp| {
        for n in 0..100 {
            // 900 headers, each of which says that another follows at once.
            let chain: Vec<u8> = (0..900).flat_map(|m| header(5, 64, n * 1_000 + m)).collect();
            tcp.orig(&framed(&chain));
        }
    });
    chains.check("chains");
    let trees = conversation(445, |tcp| {
        for n in 0..ROUNDS {
            // TREE_CONNECT (MS-SMB2 §2.2.9) to a long path, never answered.
            let path: Vec<u8> = format!("\\\\server\\{n:0400}").encode_utf16().flat_map(u16::to_le_bytes).collect();
            let mut message = header(3, 0, u64::from(n));
            message.extend([9, 0, 0, 0, 72, 0]);
            message.extend(u16::try_from(path.len()).unwrap().to_le_bytes());
            message.extend(path);
            tcp.orig(&framed(&message));
        }
    });
    trees.check("trees that nobody grants");
    trees.counts("too_many_outstanding", "trees");
}

#[test]
fn a_line_of_mail_without_end() {
    let _turn = turn();
    let seen = conversation(25, |tcp| {
        tcp.resp(b"220 mail.example ESMTP\r\n").orig(b"EHLO a.example\r\n").resp(b"250-mail.example\r\n250 ");
        for _ in 0..ROUNDS {
            tcp.resp(&[b'a'; 1_400]);
        }
    });
    seen.check("a line without end");
    let greeting = conversation(25, |tcp| {
        tcp.resp(b"220-");
        for _ in 0..ROUNDS {
            tcp.resp(&[b'a'; 1_400]);
        }
    });
    greeting.check("a greeting without end");
}

#[test]
fn tunnels_in_tunnels() {
    let _turn = turn();
    let (client, server) = hosts();
    let mut wire = Wire::new(7);
    for n in 0..2_000_u64 {
        let mut packet = wire.ip(&client, &server, 17, &[0xc3, 0x50, 0, 53, 0, 8, 0, 0]);
        for _ in 0..60 {
            packet = wire.ip(&client, &server, IPIP, &packet);
        }
        wire.send(MORNING + n * MS, &client, &server, &packet);
    }
    let seen = watch_frames(&wire.finish());
    seen.check("sixty tunnels");
    assert!(seen.odd.keys().any(|name| name.contains("too_deep")), "{seen:#?}");
    assert!(seen.observations < 10, "{seen:#?}");
}

#[test]
fn fragments_without_end() {
    let _turn = turn();
    let (client, server) = hosts();
    let frames = |fragment: &dyn Fn(u32) -> (u16, u16)| {
        let mut wire = Wire::new(7);
        for n in 0..60_000_u32 {
            let (id, place) = fragment(n);
            let mut packet = wire.ip(&client, &server, 17, &[0x41; 1_400]);
            packet[4..6].copy_from_slice(&id.to_be_bytes());
            packet[6..8].copy_from_slice(&place.to_be_bytes());
            wire.send(MORNING + u64::from(n) * 10_000, &client, &server, &packet);
        }
        watch_frames(&wire.finish())
    };
    for (what, seen) in [
        // Another packet each: only the first piece of every one.
        ("first pieces", frames(&|n| (n as u16, 0x2000))),
        // One packet: pieces at every offset, again and again.
        ("pieces of one packet", frames(&|n| (1, 0x2000 | (n % 8_000) as u16))),
    ] {
        let fragments = seen.table("fragment.waiting");
        let waiting = seen.table("merge.waiting");
        let room = fragments.bytes() + waiting.peak * waiting.entry_bytes + super::FIXED_BYTES;
        assert!(seen.most_held <= room, "{what}: {} of {room}: {seen:#?}", seen.most_held);
        assert!(fragments.peak <= fragments.entries, "{what}: {fragments:?}");
        let given_up = ["fragmented_packets_evicted", "fragments_repeated", "fragments_overlapping"];
        assert!(given_up.iter().any(|name| seen.odd.keys().any(|odd| odd.contains(name))), "{what}: {seen:#?}");
    }
}

/// A segment of the client's whose bytes lie `offset` from those that are due (modulo 2^32), which stay due.
fn ahead(tcp: &mut Tcp<'_>, offset: u32, data: &[u8]) {
    tcp.unseen(Side::Orig, offset);
    tcp.put(Side::Orig, ACK, &[], data);
    tcp.unseen(Side::Orig, offset.wrapping_neg());
    tcp.now += 30_000;
}

/// Initials of one connection with nine single bytes of a hello each, nowhere next to each other.
fn scattered(datagrams: u32) -> Vec<Vec<u8>> {
    let id = [1, 2, 3, 4, 5, 6, 7, 8];
    let keys = quic::initial_keys(Version::V1, &id, Role::Client);
    let datagram = |n: usize| {
        let pieces: Vec<_> = (0..9).map(|m| quic::crypto(1 + (n * 9 + m) * 2 % 16_000, b"A")).collect();
        quic::initial(Version::V1, [&id, &[], &[]], n.to_le_bytes()[0], &pieces.concat(), 1_250, &keys)
    };
    (0..datagrams as usize).map(datagram).collect()
}

const ROUNDS: u32 = 4_000;
