//! The leaf certificate of a `Certificate` message, TLS 1.2 and below (RFC 5246 §7.4.2). In TLS 1.3 it is encrypted.
//!
//! DER is read by `x509-parser`; here its fields become text: names as RFC 4514 writes them, last RDN first.

use crate::base::wire::text;
use crate::base::{Reader, Timestamp};
use crate::event::Certificate;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use x509_parser::asn1_rs::Tag;
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, GeneralName, X509Certificate, X509Name};

/// The first certificate of the chain in `body`; `None` when there is none or it is cut.
pub(super) fn first(body: &[u8]) -> Option<&[u8]> {
    let mut r = Reader::new(body);
    r.skip(3)?; // Length of the chain.
    let len = usize::try_from(r.u24()?).ok()?;
    r.take(len).filter(|der| !der.is_empty())
}

/// Reads a certificate; `None` when it is not well formed.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    Some(Certificate {
        subject: name(certificate.subject()),
        issuer: name(certificate.issuer()),
        san: alternative_names(&certificate),
        not_before: Timestamp::from_secs(validity.not_before.timestamp()),
        not_after: Timestamp::from_secs(validity.not_after.timestamp()),
        sha256: hex::encode(Sha256::digest(der)).into(),
        self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
    })
}

/// Tor's link certificates (tor-spec §2.2, up to TLS 1.2): subject and issuer are made-up hosts of different domains.
/// In TLS 1.3 they are encrypted, and the name a client shows is not enough to accuse it of anything.
pub(super) fn is_of_a_relay(certificate: &Certificate) -> bool {
    let made_up = |name: &str, suffix: &str| {
        let label = name.strip_prefix("CN=www.").and_then(|rest| rest.strip_suffix(suffix));
        label.is_some_and(|l| (8..=20).contains(&l.len()) && l.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')))
    };
    certificate.san.is_empty() && made_up(&certificate.subject, ".net") && made_up(&certificate.issuer, ".com")
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let named = |general: &GeneralName<'_>| match general {
        GeneralName::DNSName(name) => Some((*name).into()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(named).take(MAX_NAMES).collect()
}

fn address(bytes: &[u8]) -> Option<Box<str>> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).to_string().into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).to_string().into())
}

/// RFC 4514 §2.1: the last RDN comes first.
fn name(name: &X509Name<'_>) -> Box<str> {
    let mut out = String::new();
    let names: Vec<_> = name.iter_rdn().collect();
    for (n, rdn) in names.iter().rev().enumerate() {
        for (m, attribute) in rdn.iter().enumerate() {
            out.push_str(match (n, m) {
                (0, 0) => "",
                (_, 0) => ",",
                _ => "+",
            });
            push_attribute(&mut out, attribute);
        }
    }
    out.into()
}

fn push_attribute(out: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    let Some((_, key)) = KEYS.iter().find(|(known, _)| *known == oid) else {
        // RFC 4514 §2.4: an attribute without a short name is shown as its encoding.
        let _ = write!(out, "{oid}=#{}", hex::encode(attribute.as_slice()));
        return;
    };
    out.push_str(key);
    out.push('=');
    push_escaped(out, &value(attribute));
}

fn value(attribute: &AttributeTypeAndValue<'_>) -> Box<str> {
    let bytes = attribute.as_slice();
    let wide = |units: &mut dyn Iterator<Item = u16>| -> Box<str> {
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into()
    };
    match attribute.attr_value().tag() {
        Tag::BmpString => wide(&mut bytes.chunks_exact(2).filter_map(|c| c.try_into().ok()).map(u16::from_be_bytes)),
        // T.61 is in practice Latin-1.
        Tag::T61String => bytes.iter().copied().map(char::from).collect::<String>().into(),
        _ => text(bytes),
    }
}

/// RFC 4514 §2.4.
fn push_escaped(out: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (n, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', c]),
            '#' if n == 0 => out.push_str("\\#"),
            ' ' if n == 0 || n == last => out.push_str("\\ "),
            '\0' => out.push_str("\\00"),
            _ => out.push(c),
        }
    }
}

/// Names of one certificate that are kept: shared hosting puts hundreds into one.
const MAX_NAMES: usize = 256;

/// Short names: RFC 4514 §3, and those that certificate authorities use beside them.
const KEYS: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.12", "title"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_known_by_two_made_up_hosts() {
        let certificate = |subject: &str, issuer: &str, san: &[&str]| Certificate {
            subject: subject.into(),
            issuer: issuer.into(),
            san: san.iter().map(|name| (*name).into()).collect(),
            not_before: Timestamp(0),
            not_after: Timestamp(0),
            sha256: "".into(),
            self_signed: false,
        };
        for (what, subject, issuer, san, expected) in [
            ("a relay", "CN=www.abcdefgh2345.net", "CN=www.zyxwvuts7654.com", &[][..], true),
            ("a site of its own authority", "CN=www.example.net", "CN=Example CA", &[], false),
            ("a digit that base32 lacks", "CN=www.abcdefgh1890.net", "CN=www.zyxwvuts7654.com", &[], false),
            (
                "an organisation beside the name",
                "CN=www.abcdefgh2345.net,O=Example",
                "CN=www.zyxwvuts7654.com",
                &[],
                false,
            ),
            ("alternative names", "CN=www.abcdefgh2345.net", "CN=www.zyxwvuts7654.com", &["a.example"], false),
        ] {
            assert_eq!(is_of_a_relay(&certificate(subject, issuer, san)), expected, "{what}");
        }
    }
}
