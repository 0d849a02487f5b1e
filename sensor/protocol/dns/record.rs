//! Record data as text (the presentation of RFC 1035 §5 and of each type's own RFC) and the addresses in it.

use super::codes;
use super::message::{Message, Record};
use super::name::{self, Flaw};
use crate::base::Reader;
use crate::base::wire::text as as_text;
use crate::event::EchConfig;
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A record's data as text; adds the addresses in it to `addresses`.
///
/// Types without a presentation here, and data that does not fit its type, are given as RFC 3597 §5 says: `\# 2 abcd`.
pub(super) fn text(message: &Message<'_>, record: &Record, addresses: &mut Vec<IpAddr>) -> Box<str> {
    let mut r = message.data_reader(record);
    presentation(&mut r, record.rtype, addresses).unwrap_or_else(|| unknown(message.data(record)))
}

fn presentation(r: &mut Reader<'_>, rtype: u16, addresses: &mut Vec<IpAddr>) -> Option<Box<str>> {
    Some(match rtype {
        codes::A => address(r.array().map(Ipv4Addr::from)?.into(), addresses),
        codes::AAAA => address(r.array().map(Ipv6Addr::from)?.into(), addresses),
        codes::NS | codes::CNAME | codes::PTR | codes::DNAME => name(r)?,
        codes::MX => format!("{} {}", r.u16()?, name(r)?).into(),
        codes::SRV => format!("{} {} {} {}", r.u16()?, r.u16()?, r.u16()?, name(r)?).into(),
        codes::SOA => {
            let (primary, mailbox) = (name(r)?, name(r)?);
            format!("{primary} {mailbox} {} {} {} {} {}", r.u32()?, r.u32()?, r.u32()?, r.u32()?, r.u32()?).into()
        }
        codes::TXT | codes::SPF => strings(r)?.concat().into(),
        codes::HINFO => strings(r)?.join(" ").into(),
        codes::NAPTR => {
            let (order, preference) = (r.u16()?, r.u16()?);
            let (flags, service, pattern) = (string(r)?, string(r)?, string(r)?);
            format!("{order} {preference} \"{flags}\" \"{service}\" \"{pattern}\" {}", name(r)?).into()
        }
        codes::CAA => {
            let (flags, tag) = (r.u8()?, string(r)?);
            format!("{flags} {tag} \"{}\"", as_text(r.rest())).into()
        }
        codes::DS => format!("{} {} {} {}", r.u16()?, r.u8()?, r.u8()?, hex(r.rest())).into(),
        codes::SSHFP => format!("{} {} {}", r.u8()?, r.u8()?, hex(r.rest())).into(),
        codes::TLSA => format!("{} {} {} {}", r.u8()?, r.u8()?, r.u8()?, hex(r.rest())).into(),
        codes::DNSKEY => format!("{} {} {} {}", r.u16()?, r.u8()?, r.u8()?, hex(r.rest())).into(),
        codes::RRSIG => {
            let (covered, algorithm, labels, ttl) = (codes::type_name(r.u16()?), r.u8()?, r.u8()?, r.u32()?);
            let (until, since, tag) = (r.u32()?, r.u32()?, r.u16()?);
            format!("{covered} {algorithm} {labels} {ttl} {until} {since} {tag} {}", name(r)?).into()
        }
        codes::NSEC => name(r)?,
        codes::SVCB | codes::HTTPS => service(r, addresses)?,
        _ => return None,
    })
}

fn address(ip: IpAddr, addresses: &mut Vec<IpAddr>) -> Box<str> {
    addresses.push(ip);
    let mut text = [0_u8; LONGEST_ADDRESS];
    let mut rest = text.as_mut_slice();
    // Put together here, so that what is kept is allocated once and as long as it is.
    let _ = io::Write::write_fmt(&mut rest, format_args!("{ip}"));
    let len = LONGEST_ADDRESS.saturating_sub(rest.len());
    text.get(..len).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default().into()
}

fn name(r: &mut Reader<'_>) -> Option<Box<str>> {
    name::read(r).ok()
}

/// RFC 9460 §2: priority, target, parameters as `key=value`. Hints are addresses, too.
fn service(r: &mut Reader<'_>, addresses: &mut Vec<IpAddr>) -> Option<Box<str>> {
    let mut text = format!("{} {}", r.u16()?, name(r)?);
    for _ in 0..MAX_PARAMETERS {
        if r.is_empty() {
            break;
        }
        let (key, len) = (r.u16()?, r.u16()?);
        let mut value = r.sub(usize::from(len))?;
        text.push(' ');
        match SERVICE_KEYS.get(usize::from(key)) {
            Some(name) => text.push_str(name),
            None => text.push_str(&format!("key{key}")),
        }
        if !value.is_empty() {
            text.push('=');
            text.push_str(&parameter(key, &mut value, addresses)?);
        }
    }
    Some(text.into())
}

/// What a service binding offers for Encrypted ClientHello (draft-ietf-tls-svcb-ech-08 §3: an `ECHConfigList` of
/// draft-ietf-tls-esni-25 §4). Of a list that breaks off, what comes before.
pub(super) fn ech_configs(message: &Message<'_>, record: &Record, configs: &mut Vec<EchConfig>) {
    if matches!(record.rtype, codes::SVCB | codes::HTTPS) {
        let _ = read_ech_configs(&mut message.data_reader(record), configs);
    }
}

fn read_ech_configs(r: &mut Reader<'_>, configs: &mut Vec<EchConfig>) -> Option<()> {
    r.u16()?;
    name(r)?;
    for _ in 0..MAX_PARAMETERS {
        let (key, len) = (r.u16()?, r.u16()?);
        let mut value = r.sub(usize::from(len))?;
        if key != ECH_KEY {
            continue;
        }
        value.u16()?; // The list's length is the value's.
        while configs.len() < MAX_ECH_CONFIGS {
            let (version, len) = (value.u16()?, value.u16()?);
            let mut config = value.sub(usize::from(len))?;
            if version == ECH_VERSION {
                configs.extend(ech_config(&mut config));
            }
        }
    }
    Some(())
}

/// Id, KEM, public key, suites, longest name, and the name to show.
fn ech_config(r: &mut Reader<'_>) -> Option<EchConfig> {
    let id = r.u8()?;
    r.skip(2)?;
    for _ in 0..2 {
        let len = r.u16()?;
        r.skip(usize::from(len))?;
    }
    r.u8()?;
    let public_name = string(r).filter(|name| !name.is_empty())?;
    Some(EchConfig { id, public_name })
}

/// RFC 9460 §7: mandatory, alpn, port and the hints; everything else as hex.
fn parameter(key: u16, value: &mut Reader<'_>, addresses: &mut Vec<IpAddr>) -> Option<String> {
    let mut items: Vec<Box<str>> = Vec::new();
    while !value.is_empty() && items.len() < MAX_PARAMETERS {
        items.push(match key {
            0 => {
                let key = value.u16()?;
                SERVICE_KEYS.get(usize::from(key)).map_or_else(|| format!("key{key}").into(), |k| (*k).into())
            }
            1 => string(value)?,
            3 => value.u16()?.to_string().into(),
            4 => address(value.array().map(Ipv4Addr::from)?.into(), addresses),
            6 => address(value.array().map(Ipv6Addr::from)?.into(), addresses),
            7 => as_text(value.take(value.remaining())?),
            _ => hex(value.take(value.remaining())?).into(),
        });
    }
    Some(items.join(","))
}

/// RFC 1035 §3.3 `<character-string>`.
fn string(r: &mut Reader<'_>) -> Option<Box<str>> {
    let len = r.u8()?;
    r.take(usize::from(len)).map(as_text)
}

fn strings(r: &mut Reader<'_>) -> Option<Vec<Box<str>>> {
    let mut all = Vec::new();
    // 65,535 bytes of data, at least one byte each.
    while !r.is_empty() {
        all.push(string(r)?);
    }
    Some(all)
}

fn unknown(data: &[u8]) -> Box<str> {
    format!("\\# {} {}", data.len(), hex(data)).trim_end().into()
}

/// Up to [`MAX_HEX`] bytes as hex: keys and signatures say little, and take space in every record.
fn hex(data: &[u8]) -> String {
    let mut text = String::new();
    for octet in data.iter().take(MAX_HEX) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    if data.len() > MAX_HEX {
        text.push('…');
    }
    text
}

/// The owner of a record, for protocols in which it tells something.
pub(super) fn owner(message: &Message<'_>, record: &Record) -> Result<Box<str>, Flaw> {
    message.name_at(record.owner_at)
}

/// Eight groups, the last two dotted: `0000:0000:0000:0000:0000:ffff:192.168.100.228`.
const LONGEST_ADDRESS: usize = 45;
/// RFC 9460 §14.3.2, RFC 9461, RFC 9540.
const SERVICE_KEYS: &[&str] =
    &["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];
/// The key of `ech`, and the version of its configurations.
const ECH_KEY: u16 = 5;
const ECH_VERSION: u16 = 0xfe0d;
/// A server has one or two: the one in force and the one before.
const MAX_ECH_CONFIGS: usize = 8;
/// IANA has ten keys; hints and protocol lists are short. Ends loops over hostile data.
const MAX_PARAMETERS: usize = 64;
/// A SHA-256 and a bit more.
const MAX_HEX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_reads_as_in_a_zone_file() {
        for (what, rtype, data, expected) in [
            ("address", 1, b"\xc0\0\x02\x01".as_slice(), "192.0.2.1"),
            ("address of six bytes", 28, b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", "2001:db8::1"),
            ("alias", 5, b"\x03cdn\x07example\0", "cdn.example"),
            ("mail exchange", 15, b"\0\x0a\x04mail\x07example\0", "10 mail.example"),
            ("service location", 33, b"\0\x01\0\x02\x01\xbb\x01a\0", "1 2 443 a"),
            (
                "start of authority",
                6,
                b"\x01a\0\x01b\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05",
                "a b 1 2 3 4 5",
            ),
            ("text of two strings", 16, b"\x03v=s\x02pf", "v=spf"),
            ("host information", 13, b"\x03CPU\x02OS", "CPU OS"),
            ("naming authority", 35, b"\0\x01\0\x02\x01s\x03SIP\0\x01a\0", "1 2 \"s\" \"SIP\" \"\" a"),
            ("issuer allowed", 257, b"\0\x05issueca.example", "0 issue \"ca.example\""),
            ("delegation signer", 43, b"\x30\x39\x0d\x02\xab\xcd", "12345 13 2 abcd"),
            (
                "service binding to itself",
                65,
                b"\0\x01\0\0\x01\0\x06\x02h3\x02h2\0\x04\0\x04\xc0\0\x02\x07",
                "1 . alpn=h3,h2 ipv4hint=192.0.2.7",
            ),
            (
                "service binding, encrypted hello",
                65,
                b"\0\x01\0\0\x03\0\x02\x20\xfb\0\x05\0\x02\xfe\x0d",
                "1 . port=8443 ech=fe0d",
            ),
            (
                "service binding, other keys",
                64,
                b"\0\x01\0\0\0\0\x02\0\x01\0\x02\0\0\xff\x00\0\x01\x07",
                "1 . mandatory=alpn no-default-alpn key65280=07",
            ),
            ("service alias", 65, b"\0\0\x03svc\x07example\0", "0 svc.example"),
            ("type without presentation", 65280, b"\xab\xcd", "\\# 2 abcd"),
            ("nothing", 10, b"", "\\# 0"),
            ("address of three bytes", 1, b"\xc0\0\x02", "\\# 3 c00002"),
        ] {
            assert_eq!(&*shown(rtype, data).0, expected, "{what}");
        }
    }

    #[test]
    fn hints_are_addresses_of_the_name() {
        let (_, addresses) =
            shown(65, b"\0\x01\0\0\x04\0\x04\xc0\0\x02\x07\0\x06\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07");
        assert_eq!(addresses, ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn long_data_is_shortened() {
        assert_eq!(shown(65280, &[0; 1000]).0.chars().count(), "\\# 1000 ".len() + 2 * MAX_HEX + 1);
    }

    /// One record of the root with the given data → text and addresses.
    #[test]
    fn service_bindings_tell_what_hellos_will_show() {
        // The configuration that cloudflare-ech.com published, as documented by github.com/OmarTariq612/goech.
        let list = b"\0\x45\xfe\x0d\0\x41\xac\0\x20\0\x20\x88\x9d\xf2\x20\x76\xfa\x7e\xe3\x1a\x8f\x90\xc6\x2f\x3e\xdd\x51\
            \xbf\xbc\xf1\xb6\x59\x56\x9b\x74\xa3\x22\x35\xb1\x06\x81\x20\x7c\0\x04\0\x01\0\x01\0\x12cloudflare-ech.com\0\0";
        let binding = [&b"\0\x01\0\0\x01\0\x03\x02h2\0\x05\0\x47"[..], list].concat();
        let read = |data: &[u8]| {
            let mut configs = Vec::new();
            let _ = read_ech_configs(&mut Reader::new(data), &mut configs);
            configs
        };
        let expected = EchConfig { id: 0xac, public_name: "cloudflare-ech.com".into() };
        assert_eq!(read(&binding), [expected]);
        for cut in 0..binding.len() - 2 {
            assert!(read(&binding[..cut]).len() <= 1, "cut at {cut}");
        }
    }

    fn shown(rtype: u16, data: &[u8]) -> (Box<str>, Vec<IpAddr>) {
        let len = u16::try_from(data.len()).unwrap();
        let head = [&[0; 12], [0].as_slice(), &rtype.to_be_bytes(), &[0, 1, 0, 0, 0, 0], &len.to_be_bytes()].concat();
        let bytes = [&head, data].concat();
        let mut message = Message::new(&bytes).unwrap();
        let record = message.record().unwrap();
        let mut addresses = Vec::new();
        (text(&message, &record, &mut addresses), addresses)
    }
}
