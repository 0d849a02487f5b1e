//! ClientHellos of several kinds of client: what a TLS stack says before anything is secret.
//!
//! Suites and extensions are those that the named programs send, as published with their JA4 values.

use super::random::Random;
use super::tls::{extension, message};

/// A program's TLS stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The system library of Windows 10, as WinINET, .NET and PowerShell use it: TLS 1.2, no ALPN, no GREASE.
    Schannel,
    /// A browser of the Chromium family: GREASE, permuted extensions, ALPN h2.
    Chromium,
    /// The same with a post-quantum key share: a hello that needs two segments.
    ChromiumPostQuantum,
    /// Firefox.
    Firefox,
    /// The Go standard library, as many agents use it.
    Go,
}

/// A hello and what an answer must take from it.
#[derive(Debug)]
pub(crate) struct Hello {
    /// The handshake message.
    pub(crate) message: Vec<u8>,
    /// Session id, to be echoed.
    pub(crate) session: Vec<u8>,
    /// A suite of TLS 1.2 that was offered.
    pub(crate) suite: u16,
}

/// Suites of TLS 1.3.
const MODERN: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// A hello of `client` to `name`; a Schannel client that resumes shows its ticket and a session id.
pub(crate) fn client_hello(random: &mut Random, client: Client, name: Option<&str>, resume: bool) -> Hello {
    let name = name.map(|n| extension(0, &list16(&[&[0][..], &list16(n.as_bytes())].concat())));
    let (mut suites, mut extensions) = match client {
        Client::Schannel => schannel(random, resume),
        Client::Chromium | Client::ChromiumPostQuantum => chromium(random, client == Client::ChromiumPostQuantum),
        Client::Firefox => firefox(random),
        Client::Go => go(random),
    };
    let suite = *suites.iter().find(|s| matches!(s, 0xc02b | 0xc02f)).expect("everybody offers ECDHE with AES-128-GCM");
    if let Some(name) = name {
        extensions.insert(0, name);
    }
    if matches!(client, Client::Chromium | Client::ChromiumPostQuantum) {
        random.shuffle(&mut extensions);
        let (first, second, third) = (grease(random), grease(random), grease(random));
        suites.insert(0, first);
        extensions.insert(0, extension(second, &[]));
        extensions.push(extension(third, &[0]));
    }
    let session = match client {
        Client::Schannel if !resume => Vec::new(),
        _ => random.bytes(32),
    };
    let suites: Vec<u8> = suites.iter().flat_map(|s| s.to_be_bytes()).collect();
    let body = [
        &[3, 3][..],
        &random.bytes(32),
        &[session.len() as u8],
        &session,
        &list16(&suites),
        &[1, 0], // No compression.
        &list16(&extensions.concat()),
    ]
    .concat();
    Hello { message: message(1, &body), session, suite }
}

type Parts = (Vec<u16>, Vec<Vec<u8>>);

fn schannel(random: &mut Random, resume: bool) -> Parts {
    let suites = vec![
        0xc02c, 0xc02b, 0xc030, 0xc02f, 0xc024, 0xc023, 0xc028, 0xc027, 0xc00a, 0xc009, 0xc014, 0xc013, 0x009d, 0x009c,
        0x003d, 0x003c, 0x0035, 0x002f, 0x000a,
    ];
    let ticket = if resume { random.bytes(192) } else { Vec::new() };
    let extensions = vec![
        extension(5, &[1, 0, 0, 0, 0]),
        extension(10, &list16(&numbers(&[29, 23, 24]))),
        extension(11, &[1, 0]),
        extension(
            13,
            &list16(&numbers(&[0x804, 0x805, 0x806, 0x401, 0x501, 0x201, 0x403, 0x503, 0x203, 0x202, 0x601])),
        ),
        extension(35, &ticket),
        extension(23, &[]),
        extension(0xff01, &[0]),
    ];
    (suites, extensions)
}

fn chromium(random: &mut Random, post_quantum: bool) -> Parts {
    let mut suites = MODERN.to_vec();
    suites.extend([0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x9c, 0x9d, 0x2f, 0x35]);
    let grease_group = grease(random);
    let grease_version = grease(random);
    let mut groups = vec![grease_group, 29, 23, 24];
    let mut shares = [&numbers(&[grease_group, 1])[..], &[0]].concat();
    if post_quantum {
        groups.insert(1, 0x11ec); // X25519MLKEM768
        shares.extend([&numbers(&[0x11ec, 1216])[..], &random.bytes(1216)].concat());
    }
    shares.extend([&numbers(&[29, 32])[..], &random.bytes(32)].concat());
    // A GREASE encrypted_client_hello: outer, HKDF-SHA256, AES-128-GCM, a config id, an X25519 key, a payload.
    let ech = [&[0, 0, 1, 0, 1, random.next() as u8, 0, 32][..], &random.bytes(32), &list16(&random.bytes(144))];
    let extensions = vec![
        extension(23, &[]),
        extension(0xff01, &[0]),
        extension(10, &list16(&numbers(&groups))),
        extension(11, &[1, 0]),
        extension(35, &[]),
        extension(16, &list16(b"\x02h2\x08http/1.1")),
        extension(5, &[1, 0, 0, 0, 0]),
        extension(13, &list16(&numbers(&[0x403, 0x804, 0x401, 0x503, 0x805, 0x501, 0x806, 0x601]))),
        extension(18, &[]),
        extension(51, &list16(&shares)),
        extension(45, &[1, 1]),
        extension(43, &[&[6][..], &numbers(&[grease_version, 0x304, 0x303])].concat()),
        extension(27, &[2, 0, 2]),
        extension(17_513, &list16(b"\x02h2")),
        extension(0xfe0d, &ech.concat()),
    ];
    (suites, extensions)
}

fn firefox(random: &mut Random) -> Parts {
    let mut suites = vec![0x1301, 0x1303, 0x1302];
    suites.extend([
        0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009, 0xc013, 0xc014, 0x9c, 0x9d, 0x2f, 0x35,
    ]);
    let shares = [&numbers(&[29, 32])[..], &random.bytes(32), &numbers(&[23, 65]), &[4], &random.bytes(64)].concat();
    let extensions = vec![
        extension(23, &[]),
        extension(0xff01, &[0]),
        extension(10, &list16(&numbers(&[29, 23, 24, 25, 256, 257]))),
        extension(11, &[1, 0]),
        extension(35, &[]),
        extension(16, &list16(b"\x02h2\x08http/1.1")),
        extension(5, &[1, 0, 0, 0, 0]),
        extension(34, &list16(&numbers(&[0x403, 0x503, 0x603, 0x203]))),
        extension(51, &list16(&shares)),
        extension(43, &[4, 3, 4, 3, 3]),
        extension(
            13,
            &list16(&numbers(&[0x403, 0x503, 0x603, 0x804, 0x805, 0x806, 0x401, 0x501, 0x601, 0x203, 0x201])),
        ),
        extension(45, &[1, 1]),
        extension(28, &numbers(&[0x4001])),
    ];
    (suites, extensions)
}

fn go(random: &mut Random) -> Parts {
    let mut suites = vec![0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014];
    suites.extend([0x9c, 0x9d, 0x2f, 0x35, 0xc012, 0x0a]);
    suites.extend(MODERN);
    let shares = [&numbers(&[29, 32])[..], &random.bytes(32)].concat();
    let extensions = vec![
        extension(5, &[1, 0, 0, 0, 0]),
        extension(10, &list16(&numbers(&[29, 23, 24, 25]))),
        extension(11, &[1, 0]),
        extension(
            13,
            &list16(&numbers(&[0x804, 0x403, 0x807, 0x805, 0x806, 0x401, 0x501, 0x601, 0x503, 0x603, 0x201, 0x203])),
        ),
        extension(0xff01, &[0]),
        extension(23, &[]),
        extension(18, &[]),
        extension(43, &[4, 3, 4, 3, 3]),
        extension(51, &list16(&shares)),
    ];
    (suites, extensions)
}

/// One of the values of RFC 8701 §2.
fn grease(random: &mut Random) -> u16 {
    0x0a0a + 0x1010 * random.below(16) as u16
}

fn numbers(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// Two bytes of length, then the bytes.
pub(crate) fn list16(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}
