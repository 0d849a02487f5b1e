//! DER (X.690) values, and X.509 certificates made of them whose signatures nobody could check.

use super::random::Random;

/// SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;
/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub(crate) const OCTETS: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub(crate) const OID: u8 = 0x06;
/// ENUMERATED.
pub(crate) const ENUM: u8 = 0x0a;

/// One value: tag, definite length, content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=127 => out.push(short as u8),
        byte @ 128..=255 => out.extend_from_slice(&[0x81, byte as u8]),
        long => out.extend_from_slice(&[0x82, (long >> 8) as u8, long as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// A constructed value of parts.
pub(crate) fn join(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

/// `[n]` around values (explicit tagging).
pub(crate) fn context(n: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | n, content)
}

/// `[APPLICATION n]` around values.
pub(crate) fn application(n: u8, content: &[u8]) -> Vec<u8> {
    tlv(0x60 | n, content)
}

/// A non-negative INTEGER, as short as may be.
pub(crate) fn integer(value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let skip = bytes.iter().take(3).take_while(|b| **b == 0).count();
    let mut content = bytes[skip..].to_vec();
    if content[0] & 0x80 != 0 {
        content.insert(0, 0);
    }
    tlv(INTEGER, &content)
}

/// A certificate for `name` (P-256 key, ECDSA signature), valid from January to December 2026.
pub(crate) fn certificate(random: &mut Random, name: &str, issuer: &str) -> Vec<u8> {
    const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11]; // 2.5.29.17
    let names = join(SEQUENCE, &[tlv(0x82, name.as_bytes())]);
    let extension = join(SEQUENCE, &[tlv(OID, ALTERNATIVE_NAMES), tlv(OCTETS, &names)]);
    certificate_with(random, name, issuer, &context(3, &join(SEQUENCE, &[extension])))
}

/// The same with extensions of the caller's choice, or none.
pub(crate) fn certificate_with(random: &mut Random, name: &str, issuer: &str, extensions: &[u8]) -> Vec<u8> {
    const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]; // 1.2.840.10045.4.3.2
    const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]; // 1.2.840.10045.2.1
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]; // 1.2.840.10045.3.1.7
    let algorithm = join(SEQUENCE, &[tlv(OID, ECDSA_SHA256)]);
    let mut serial = random.bytes(16);
    serial[0] = 0x2f;
    let key = [&[0, 4][..], &random.bytes(64)].concat();
    let body = join(
        SEQUENCE,
        &[
            context(0, &integer(2)), // Version 3.
            tlv(INTEGER, &serial),
            algorithm.clone(),
            distinguished(issuer),
            join(SEQUENCE, &[tlv(0x17, b"260105000000Z"), tlv(0x17, b"261231235959Z")]),
            distinguished(name),
            join(SEQUENCE, &[join(SEQUENCE, &[tlv(OID, EC_KEY), tlv(OID, P256)]), tlv(0x03, &key)]),
            extensions.to_vec(),
        ],
    );
    let signature = [&[0][..], &ecdsa(random)].concat();
    join(SEQUENCE, &[body, algorithm, tlv(0x03, &signature)])
}

/// An ECDSA signature's two numbers.
pub(crate) fn ecdsa(random: &mut Random) -> Vec<u8> {
    let mut number = || {
        let mut bytes = random.bytes(32);
        bytes[0] = 0x40 | bytes[0] & 0x3f; // Positive, full length.
        tlv(INTEGER, &bytes)
    };
    let (r, s) = (number(), number());
    join(SEQUENCE, &[r, s])
}

/// A name with a common name alone.
fn distinguished(common: &str) -> Vec<u8> {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3]; // 2.5.4.3
    let pair = join(SEQUENCE, &[tlv(OID, COMMON_NAME), tlv(0x0c, common.as_bytes())]);
    join(SEQUENCE, &[join(0x31, &[pair])])
}
