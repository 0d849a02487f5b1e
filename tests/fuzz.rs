//! The fuzz bodies of `yukue::testing::fuzz` on stable: shipped captures, first words of protocols, rules and lists, bent
//! by a seeded generator. Nothing may panic, tell more than it was given, or depend on the number of shards. The same seed
//! gives the same inputs, so a failure names the input to keep as a vector.
//!
//! `YUKUE_FUZZ_SECONDS` makes it go on for so long with ever new seeds (`make fuzz` without a coverage-guided fuzzer).

use crate::packets::Packet;
use crate::support::{captures, root};
use crate::synth::random::Random;
use std::time::{Duration, Instant};
use yukue::event::{Event, Oddity};
use yukue::testing::fuzz::{every_parser, parsers, read_capture, text};
use yukue::testing::{RawFrame, observations};

#[test]
#[expect(clippy::disallowed_methods, reason = "how long to go on is the caller's wish, not the sensor's")]
fn bent_captures_are_survived_with_any_number_of_shards() {
    let seeds: Vec<_> = captures()
        .iter()
        .filter_map(|name| Packet::of_classic(&std::fs::read(root().join("pcaps").join(name)).unwrap()))
        .collect();
    assert!(seeds.len() > 20, "too few captures under {}", root().display());
    let seconds = std::env::var_os("YUKUE_FUZZ_SECONDS").map(|text| text.to_str().unwrap().parse().unwrap());
    let (began, mut rounds, mut inputs) = (Instant::now(), 0_u64, 0_u64);
    loop {
        for (n, packets) in (0..).zip(&seeds) {
            let mut random = Random::new(rounds * 1_000 + n);
            let bent = bend(&packets[..packets.len().min(MAX_PACKETS)], &mut random);
            inputs += bent.len() as u64;
            let frames = || bent.iter().map(Packet::raw as fn(&Packet) -> RawFrame<'_>);
            let (one, three) = (observations(frames(), 1), observations(frames(), 3));
            if let Some((a, b)) = one.iter().zip(&three).find(|(a, b)| a != b) {
                panic!("seed {rounds}/{n}: shards are visible:\n{a:?}\n{b:?}");
            }
            assert_eq!(one.len(), three.len(), "seed {rounds}/{n}: shards are visible");
            // A panic that the flow caught is a panic all the same.
            let panicked =
                one.iter().find(|seen| matches!(&seen.event, Event::Weird(w) if w.oddity == Oddity::ParserPanic));
            assert!(panicked.is_none(), "seed {rounds}/{n}: {panicked:?}");
        }
        rounds += 1;
        if seconds.is_none_or(|seconds| began.elapsed() > Duration::from_secs(seconds)) {
            break;
        }
    }
    println!("{rounds} rounds, {inputs} packets");
}

/// Packets, a few of them damaged, swapped, repeated or left out.
#[expect(clippy::cast_possible_truncation, reason = "positions within a capture")]
fn bend(packets: &[Packet], random: &mut Random) -> Vec<Packet> {
    let mut bent = packets.to_vec();
    for _ in 0..=packets.len() / 4 {
        let at = random.below(bent.len() as u64) as usize;
        match random.below(10) {
            0 => drop(bent.remove(at)),
            1 => bent.insert(at, bent[at].clone()),
            2 => {
                let other = random.below(bent.len() as u64) as usize;
                bent.swap(at, other);
            }
            3 => {
                let len = random.below(bent[at].bytes.len() as u64 + 1) as usize;
                bent[at].bytes.truncate(len);
            }
            _ => {
                for _ in 0..=random.below(4) {
                    if let Some(len) = (bent[at].bytes.len() as u64).checked_sub(1) {
                        let byte = random.below(len + 1) as usize;
                        bent[at].bytes[byte] = random.below(256) as u8;
                    }
                }
            }
        }
        if bent.is_empty() {
            break;
        }
    }
    bent
}

/// Enough to hold whole conversations, few enough for seconds.
const MAX_PACKETS: usize = 400;

#[test]
fn bent_messages_are_survived_by_every_parser() {
    let mut seeds: Vec<Vec<u8>> = SEEDS.iter().map(|seed| seed.to_vec()).collect();
    seeds.extend(captures().iter().flat_map(|name| payloads(name)));
    let (mut random, mut inputs) = (Random::new(0x9e37), 0);
    for n in 0..ROUNDS {
        inputs += every_parser(&bent_bytes(&seeds[n % seeds.len()], &mut random));
    }
    println!("{inputs} inputs over {} parsers from {} seeds", parsers().count(), seeds.len());
    assert!(inputs >= 200_000, "{inputs} inputs");
}

#[test]
fn bent_files_and_texts_are_survived() {
    let mut random = Random::new(0x79b9);
    let files: Vec<_> = captures().iter().map(|name| std::fs::read(root().join("pcaps").join(name)).unwrap()).collect();
    for n in 0..4_000 {
        let file = &files[n % files.len()];
        read_capture(&bent_bytes(&file[..file.len().min(4_096)], &mut random));
    }
    let mut texts: Vec<Vec<u8>> = LISTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    for entry in std::fs::read_dir(root().join("rules")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            texts.push(std::fs::read(path).unwrap());
        }
    }
    (0..texts.len() * 20).for_each(|n| text(&bent_bytes(&texts[n % texts.len()], &mut random)));
}

/// What flows of a shipped capture carried, the first packets of each.
fn payloads(name: &str) -> Vec<Vec<u8>> {
    let file = std::fs::read(root().join("pcaps").join(name)).unwrap();
    let packets = Packet::of_classic(&file).unwrap_or_default();
    packets.iter().filter_map(|packet| payload(&packet.bytes)).take(12).collect()
}

/// The payload of TCP or UDP in IPv4 over Ethernet.
fn payload(frame: &[u8]) -> Option<Vec<u8>> {
    let ip = frame.get(14..).filter(|_| frame.get(12..14) == Some(&[8, 0]))?;
    let after = ip.get(usize::from(ip.first()? & 15) * 4..)?;
    let payload = match ip.get(9)? {
        6 => after.get(usize::from(after.get(12)? >> 4) * 4..)?,
        17 => after.get(8..)?,
        _ => return None,
    };
    (payload.len() >= 8).then(|| payload[..payload.len().min(1_500)].to_vec())
}

/// Flips, overwrites, cuts, repeats: what a fuzzer without coverage can do.
#[expect(clippy::cast_possible_truncation, reason = "positions within an input")]
fn bent_bytes(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() as u64) as usize;
        match random.below(6) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = [0, 1, 0x7f, 0x80, 0xc0, 0xff][random.below(6) as usize],
            2 => data.truncate(at.max(1)),
            3 => data.insert(at, random.below(256) as u8),
            4 => data.extend_from_within(at..),
            _ => drop(data.remove(at)),
        }
        if data.is_empty() {
            data.push(0);
        }
    }
    data
}

/// Bent messages a run; each goes to every parser.
const ROUNDS: usize = 6_000;

/// Lists an operator may give.
const LISTS: &[&str] = &[
    "evil.example\n203.0.113.9\n198.51.100.0/24\nhttp://x.example/a\n",
    "#fields\tindicator\tindicator_type\nevil.example\tIntel::DOMAIN\n",
    "# id,dateadded,url\n\"1\",\"2026\",\"http://203.0.113.9/x\"\n",
    r#"{"Event":{"Attribute":[{"type":"domain","value":"evil.example"}]}}"#,
    r#"{"type":"bundle","objects":[{"type":"indicator","pattern":"[domain-name:value = 'e.example']"}]}"#,
    r#"{"prefixes":[{"ip_prefix":"203.0.113.0/24","service":"S3"}],"hooks":["192.0.2.0/24"]}"#,
    "[[allow]]\nverb = \"beacon\"\nowner = \"a\"\nreason = \"b\"\nexpires = \"2027-01-01\"\n",
    "// ===BEGIN ICANN DOMAINS===\ncom\n// ===END ICANN DOMAINS===\n// ===BEGIN PRIVATE DOMAINS===\na.com\n",
];

/// The first words of many protocols; parsers of one see those of the others, too.
const SEEDS: &[&[u8]] = &[
    b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01",
    b"\0\x07\x81\x80\0\x01\0\x02\0\0\0\x01\x03www\x07example\0\0A\0\x01\xc0\x0c\0A\0\x01\0\0\0\x05\0\x0a\0\x01\0\0\x01\0\x03\x02h3\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x02\xc0\x10\0\0\x29\x04\xd0\0\0\0\0\0\0",
    b"\0\x05\x29\x10\0\x01\0\0\0\0\0\x01\x20FHFDDADBCACACACACACACACACACACAAA\0\0\x20\0\x01\xc0\x0c\0\x20\0\x01\0\x04\x93\xe0\0\x06\0\0\xc0\0\x02\x09",
    b"\x6a\x55\x30\x53\xa1\x03\x02\x01\x05\xa2\x03\x02\x01\x0a\xa4\x47\x30\x45\xa0\x07\x03\x05\0\x40\x81\0\x10\xa1\x12\x30\x10\xa0\x03\x02\x01\x01\xa1\x09\x30\x07\x1b\x05alice\xa2\x06\x1b\x04CORP\xa3\x19\x30\x17\xa0\x03\x02\x01\x02\xa1\x10\x30\x0e\x1b\x06krbtgt\x1b\x04CORP",
    b"SSH-2.0-OpenSSH_9.9\r\n\0\0\0\x2c\x04\x14aaaaaaaaaaaaaaaa\0\0\0\x01k\0\0\0\x01h\0\0\0\x01c\0\0\0\x01d",
    b"220 mx.example ESMTP Postfix\r\nEHLO a\r\nSTARTTLS\r\n220 go\r\n",
    b"\x03\0\0\x2b\x26\xe0\0\0\0\0\0Cookie: mstshash=alice\r\n\x01\0\x08\0\x0b\0\0\0",
    b"GET /a HTTP/1.1\r\nHost: example\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /wsman HTTP/1.1\r\nHost: a\r\nAuthorization: Negotiate TlRMTVNTUAABAAAAAAAAAA==\r\nContent-Length: 0\r\n\r\n",
    b"\x16\x03\x01\0\x4f\x01\0\0\x4b\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0\0\x02\x13\x01\x01\0\0\x20\0\0\0\x0c\0\x0a\0\0\x07example\0\x10\0\x05\0\x03\x02h2\0\x2b\0\x03\x02\x03\x04",
    b"\xc3\0\0\0\x01\x08aaaaaaaa\0\0\x40\x40bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    b"\0\0\0\x66\xfeSMB\x40\0\0\0\0\0\0\0\0\0\x1f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x24\0\x01\0\x01\0\0\0\0\0\0\0aaaaaaaaaaaaaaaa\0\0\0\0\0\0\0\0\x02\x02",
    b"\x05\0\x0b\x03\x10\0\0\0\x48\0\0\0\x01\0\0\0\xb8\x10\xb8\x10\0\0\0\0\x01\0\0\0\0\0\x01\0\x81\xbb\x7a\x36\x44\x98\xf1\x35\xad\x32\x98\xf0\x38\0\x10\x03\x02\0\0\0\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\0\x2b\x10\x48\x60\x02\0\0\0",
    b"\x30\x1d\x02\x01\x01\x04\x06public\xa0\x10\x02\x01\x01\x02\x01\0\x02\x01\0\x30\x05\x30\x03\x06\x01\x2b",
    b"\x30\x25\x02\x01\x01\x60\x20\x02\x01\x03\x04\0\xa3\x19\x04\x0aGSS-SPNEGO\x04\x0bNTLMSSP\0\x01\0\0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0\x11\x01\x05\0\0\0\x01\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\0\0\x03\0\x01\0\0\0\x01abc",
    b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x05\0\x09\0\0\0\x01\x01abc\0",
    b"GNUTELLA CONNECT/0.6\r\nUser-Agent: peer/1\r\nUpgrade: TLS/1.0\r\n\r\nGNUTELLA/0.6 200 OK\r\nConnection: Upgrade\r\n\r\n",
    b"CNXN\x01\0\0\x01\0\0\x10\0\x07\0\0\0\0\x02\0\0\xbc\xb1\xa7\xb1host::\0STLS\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\xac\xab\xb3\xac",
    b"220 FTP ready\r\nPASV\r\n227 Entering Passive Mode (10,0,0,2,195,80).\r\nEPRT |2|2001:db8::1|50002|\r\n",
    b"\x05\0\x02\x03\x10\0\0\0\x70\0\0\0\x01\0\0\0\x58\0\0\0\0\0\0\0\x05\0\x13\0\x0d\x49\x59\xd3\x86\xc9\x83\x44\x40\xb4\x24\xdb\x36\x32\x31\xfd\x0c\x01\0\x02\0\0\0\x13\0\x0d\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\0\x2b\x10\x48\x60\x02\0\x02\0\0\0\x01\0\x0b\x02\0\0\0\x01\0\x07\x02\0\xc2\x01",
    b"\x07\0\0\x07\0\x01\0\x0a\0\x03\0\x01\x02\0\0\0\0\x01\0\x03\0\x28\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\x18\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0",
];
