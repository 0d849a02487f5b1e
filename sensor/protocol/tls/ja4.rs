//! JA4, FoxIO's fingerprint of TLS clients (BSD-3-Clause), and no other of the JA4+ family, whose licence is not free.
//!
//! `t13d1516h2_8daaf6152771_e5627efa2ab1`: transport, version, SNI, counts and ALPN in clear; then hashes of the sorted
//! suites and of the sorted extensions with the signature algorithms as sent. GREASE is left out everywhere.
//! Read: FoxIO, `technical_details/JA4.md`.

use super::hello::{ALPN, ClientHello, SERVER_NAME, is_grease};
use crate::event::HandshakeTransport;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The fingerprint of a whole hello.
pub(crate) fn fingerprint(hello: &ClientHello<'_>, transport: HandshakeTransport) -> Box<str> {
    let mut suites: Vec<u16> = hello.suites.iter().copied().filter(|v| !is_grease(*v)).collect();
    let mut extensions: Vec<u16> = hello.extensions.iter().copied().filter(|v| !is_grease(*v)).collect();
    let mut text = String::with_capacity(LENGTH);
    text.push(match transport {
        HandshakeTransport::Tls => 't',
        HandshakeTransport::Quic => 'q',
        HandshakeTransport::Dtls => 'd',
    });
    text.push_str(version(hello, transport));
    text.push(if extensions.contains(&SERVER_NAME) { 'd' } else { 'i' });
    push_count(&mut text, suites.len());
    push_count(&mut text, extensions.len());
    text.extend(alpn(hello.alpn.first().copied().unwrap_or_default()));

    suites.sort_unstable();
    extensions.retain(|kind| ![SERVER_NAME, ALPN].contains(kind));
    extensions.sort_unstable();
    text.push('_');
    push_hash(&mut text, &list(&suites));
    text.push('_');
    let mut tail = list(&extensions);
    let algorithms: Vec<u16> = hello.signature_algorithms.iter().copied().filter(|v| !is_grease(*v)).collect();
    if !algorithms.is_empty() {
        tail.push('_');
        tail.push_str(&list(&algorithms));
    }
    push_hash(&mut text, &tail);
    text.into()
}

/// The highest version offered; DTLS counts downwards.
fn version(hello: &ClientHello<'_>, transport: HandshakeTransport) -> &'static str {
    let offered = hello.versions.iter().copied().filter(|v| !is_grease(*v));
    let highest = match transport {
        HandshakeTransport::Dtls => offered.min(),
        HandshakeTransport::Tls | HandshakeTransport::Quic => offered.max(),
    };
    match highest.unwrap_or(hello.version) {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

/// First and last character of the first protocol; those of its hexadecimal form when either is not a letter or digit.
fn alpn(first: &[u8]) -> [char; 2] {
    let (Some(a), Some(z)) = (first.first().copied(), first.last().copied()) else { return ['0', '0'] };
    if a.is_ascii_alphanumeric() && z.is_ascii_alphanumeric() {
        [char::from(a), char::from(z)]
    } else {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        [digit(a >> 4), digit(z & 0x0f)]
    }
}

/// Two digits, 99 at most.
fn push_count(text: &mut String, count: usize) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{:02}", count.min(99));
}

/// Comma-separated, four hexadecimal digits each.
fn list(values: &[u16]) -> String {
    let mut text = String::with_capacity(values.len().saturating_mul(5));
    for (n, value) in values.iter().enumerate() {
        let _ = write!(text, "{}{value:04x}", if n == 0 { "" } else { "," });
    }
    text
}

/// The first twelve hexadecimal digits of SHA-256; zeros for an empty list.
fn push_hash(text: &mut String, list: &str) {
    if list.is_empty() {
        text.push_str("000000000000");
        return;
    }
    for byte in Sha256::digest(list.as_bytes()).iter().take(6) {
        let _ = write!(text, "{byte:02x}");
    }
}

/// Ten characters, two hashes of twelve, two underscores.
const LENGTH: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FoxIO's specification: Chrome with GREASE, 15 suites, 16 extensions.
    fn chrome() -> ClientHello<'static> {
        ClientHello {
            version: 0x0303,
            suites: vec![
                0x3a3a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
                0x009d, 0x002f, 0x0035,
            ],
            extensions: vec![
                0x2a2a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b,
                0xff01, 0x000b, 0x000a, 0x0015, 0x7a7a,
            ],
            signature_algorithms: vec![0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            versions: vec![0x9a9a, 0x0304, 0x0303],
            alpn: vec![b"h2", b"http/1.1"],
            ..ClientHello::default()
        }
    }

    #[test]
    fn the_published_example_gives_the_published_fingerprint() {
        assert_eq!(&*fingerprint(&chrome(), HandshakeTransport::Tls), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn what_is_absent_or_odd_has_its_place() {
        type Change = fn(&mut ClientHello<'static>);
        let cases: &[(&str, Change, HandshakeTransport, &str)] = &[
            ("over QUIC", |_| {}, HandshakeTransport::Quic, "q13d1516h2_8daaf6152771_e5627efa2ab1"),
            ("no protocols", |h| h.alpn.clear(), HandshakeTransport::Tls, "t13d151600_8daaf6152771_e5627efa2ab1"),
            ("one letter", |h| h.alpn = vec![b"x"], HandshakeTransport::Tls, "t13d1516xx_8daaf6152771_e5627efa2ab1"),
            (
                "bytes that are no letters are shown in hexadecimal: ab … cd",
                |h| h.alpn = vec![&[0xab, 0x30, 0xcd]],
                HandshakeTransport::Tls,
                "t13d1516ad_8daaf6152771_e5627efa2ab1",
            ),
            (
                "a letter first, then none: 30 ab",
                |h| h.alpn = vec![&[0x30, 0xab]],
                HandshakeTransport::Tls,
                "t13d15163b_8daaf6152771_e5627efa2ab1",
            ),
            (
                "no extensions: the version field counts",
                |h| *h = ClientHello { version: 0x0301, suites: vec![0x002f], ..ClientHello::default() },
                HandshakeTransport::Tls,
                // SHA-256 of "002f".
                "t10i010000_ba72b8082249_000000000000",
            ),
            (
                "no suites either",
                |h| *h = ClientHello { version: 0x0300, ..ClientHello::default() },
                HandshakeTransport::Tls,
                "ts3i000000_000000000000_000000000000",
            ),
            (
                "DTLS 1.3 offered beside 1.2",
                |h| h.versions = vec![0xfefd, 0xfefc],
                HandshakeTransport::Dtls,
                "dd3d1516h2_8daaf6152771_e5627efa2ab1",
            ),
        ];
        for (what, change, transport, expected) in cases {
            let mut hello = chrome();
            change(&mut hello);
            assert_eq!(&*fingerprint(&hello, *transport), *expected, "{what}");
        }
    }
}
