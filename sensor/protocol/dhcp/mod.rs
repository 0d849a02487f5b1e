//! DHCP (RFC 2131, options of RFC 2132, RFC 4702) and DHCPv6: which machine has which address and what it calls itself.
//!
//! A server's acknowledgement binds address and hardware address; a client's request tells its name. The two travel on
//! different flows (broadcast, relays), so each is an [`Identity`] of its own and the hardware address joins them. What
//! a client merely asks for is no identity of that address. What it does not do: leases, fingerprints of clients.

mod v6;

pub(super) use v6::DHCPV6;

use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::Reader;
use crate::base::wire::text;
use crate::event::{Direction, Event, Identity, IdentitySource, Oddity, Transport};
use std::net::{IpAddr, Ipv4Addr};

/// Recognised by the magic cookie on any port.
pub(super) static PROTOCOL: Protocol =
    Protocol { name: "dhcp", transport: Transport::Udp, ports: &[67, 68], probe, new: || Box::new(Dhcp) };

fn probe(_from: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    let op = r.u8();
    let cookie = r.seek(COOKIE_AT).and_then(|()| r.array());
    if matches!(op, Some(REQUEST | REPLY)) && cookie == Some(COOKIE) { Probe::Match } else { Probe::Mismatch }
}

struct Dhcp;

impl Parser for Dhcp {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        match identity(input.data) {
            Some(told) => out.events.extend(told.map(|identity| Event::Identity(Box::new(identity)))),
            None => out.weird(Oddity::DhcpMalformed),
        }
        Progress::Consumed(input.data.len())
    }

    fn idle(&self) -> bool {
        true
    }
}

/// Who a message says that somebody is. `None` when it cannot be read, `Some(None)` when it says nothing.
fn identity(data: &[u8]) -> Option<Option<Identity>> {
    let mut r = Reader::new(data);
    let (op, hardware, hardware_len) = (r.u8()?, r.u8()?, r.u8()?);
    r.seek(12)?;
    let (client, yours) = (Ipv4Addr::from(r.array::<4>()?), Ipv4Addr::from(r.array::<4>()?));
    r.seek(28)?;
    let address = r.array::<6>()?;
    let mut options = Options::default();
    let mut area = Reader::new(data);
    area.seek(OPTIONS_AT)?;
    options.read(area)?;
    // RFC 2132 §9.3: the fields for file and server name may hold more of them; file goes first (RFC 2131 §4.1).
    for (bit, at, len) in [(1, FILE_AT, FILE_LEN), (2, SERVER_NAME_AT, SERVER_NAME_LEN)] {
        if options.overload & bit != 0 {
            let mut area = Reader::new(data);
            area.seek(at)?;
            options.read(area.sub(len)?)?;
        }
    }
    let mac = match (hardware, hardware_len) {
        (ETHERNET, 6) if address != [0; 6] => Some(address),
        _ => options.client_mac,
    };
    let given = |ip: Ipv4Addr| Some(ip).filter(|ip| !ip.is_unspecified());
    let ip = match (op, options.kind) {
        // A BOOTP reply (no message type) binds as an acknowledgement does; one to INFORM repeats the client's own.
        (REPLY, Some(ACK) | None) => given(yours).or_else(|| given(client)),
        // Renewing and informing clients use their address; only then is it theirs.
        (REQUEST, Some(ASK | INFORM)) => given(client),
        (REQUEST, Some(DISCOVER)) => None,
        _ => return Some(None), // Offers, refusals and releases bind nothing.
    };
    if ip.is_none() && options.hostname.is_none() && options.client_id.is_none() {
        return Some(None);
    }
    Some(Some(Identity {
        ip: ip.map(IpAddr::V4),
        side: None,
        mac,
        client_id: options.client_id,
        hostname: options.hostname,
        domain: options.domain,
        source: IdentitySource::Dhcp,
    }))
}

/// The options that tell who somebody is. The first of a kind counts.
#[derive(Debug, Default)]
struct Options {
    kind: Option<u8>,
    overload: u8,
    hostname: Option<Box<str>>,
    domain: Option<Box<str>>,
    client_mac: Option<[u8; 6]>,
    client_id: Option<Box<str>>,
}

impl Options {
    /// RFC 2132 §2: code, length, data; every option takes at least a byte, so the area's length bounds the loop.
    /// An area may end without the end option; one that ends within an option is malformed.
    fn read(&mut self, mut area: Reader<'_>) -> Option<()> {
        while let Some(code) = area.u8() {
            if code == PAD {
                continue;
            }
            if code == END {
                break;
            }
            let len = area.u8()?;
            let data = area.take(usize::from(len))?;
            self.note(code, data);
        }
        Some(())
    }

    fn note(&mut self, code: u8, data: &[u8]) {
        match (code, data) {
            (MESSAGE_TYPE, [kind]) => self.kind = self.kind.or(Some(*kind)),
            (OVERLOAD, [areas]) => self.overload = *areas,
            (HOST_NAME, name) => self.hostname = named(name).or_else(|| self.hostname.take()),
            (DOMAIN_NAME, name) => self.domain = named(name).or_else(|| self.domain.take()),
            (CLIENT_ID, [ETHERNET, mac @ ..]) => self.client_mac = mac.try_into().ok(),
            // RFC 4361 §6.1: type 255, an interface's number, then what the client is called in DHCPv6 too.
            (CLIENT_ID, [255, _, _, _, _, duid @ ..]) if (1..=MAX_ID).contains(&duid.len()) => {
                self.client_id = Some(hex::encode(duid).into());
            }
            (CLIENT_ID, id) if (2..=MAX_ID).contains(&id.len()) => self.client_id = Some(hex::encode(id).into()),
            (CLIENT_FQDN, [flags, _, _, name @ ..]) => {
                // RFC 4702 §2.1: the E bit says whether the name is in wire format.
                let full = if flags & 4 != 0 { wire_name(name) } else { named(name) };
                let Some(full) = full else { return };
                let (host, domain) = full.split_once('.').unwrap_or((&full, ""));
                self.hostname = self.hostname.take().or_else(|| named(host.as_bytes()));
                self.domain = self.domain.take().or_else(|| named(domain.as_bytes()));
            }
            _ => {}
        }
    }
}

/// Text without the NUL some clients add.
fn named(name: &[u8]) -> Option<Box<str>> {
    let name = text(name);
    let name = name.trim_end_matches('\0').trim_end_matches('.');
    (!name.is_empty()).then(|| name.into())
}

/// Labels with a length each, uncompressed; the root may be missing (RFC 4702 §2.3.1).
fn wire_name(data: &[u8]) -> Option<Box<str>> {
    let mut r = Reader::new(data);
    let mut labels = Vec::new();
    for _ in 0..MAX_LABELS {
        match r.u8() {
            None | Some(0) => break,
            Some(len) => labels.push(text(r.take(usize::from(len))?)),
        }
    }
    named(labels.join(".").as_bytes())
}

/// `op` of RFC 2131 §2.
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
/// `htype`, and the kind of client identifier, of Ethernet.
const ETHERNET: u8 = 1;
/// RFC 2132 §9.6.
const DISCOVER: u8 = 1;
const ASK: u8 = 3;
const ACK: u8 = 5;
const INFORM: u8 = 8;

const PAD: u8 = 0;
const HOST_NAME: u8 = 12;
const DOMAIN_NAME: u8 = 15;
const OVERLOAD: u8 = 52;
const MESSAGE_TYPE: u8 = 53;
const CLIENT_ID: u8 = 61;
const CLIENT_FQDN: u8 = 81;
const END: u8 = 255;

/// RFC 2131 §2, the fixed fields.
const SERVER_NAME_AT: usize = 44;
const SERVER_NAME_LEN: usize = 64;
const FILE_AT: usize = 108;
const FILE_LEN: usize = 128;
const COOKIE_AT: usize = 236;
const OPTIONS_AT: usize = 240;
/// RFC 2131 §3.
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Bytes of a client identifier: a DUID has at most 130 (RFC 8415 §11.1); those in use have 10 to 20.
const MAX_ID: usize = 130;
/// 255 bytes of name hold at most this many labels.
const MAX_LABELS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn requests_tell_names_and_acknowledgements_bind_addresses() {
        const MAC: &str = "02:00:00:00:00:01";
        for (what, message, expected) in [
            ("a discovery with a name", message(1, 0, 0, &[&[53, 1, 1], b"\x0c\x04ws01"]), format!("- {MAC} ws01 -")),
            (
                "a request",
                message(1, 0, 0, &[&[53, 1, 3], &[50, 4, 192, 0, 2, 9], b"\x0c\x04ws01"]),
                format!("- {MAC} ws01 -"),
            ),
            ("a renewal", message(1, 9, 0, &[&[53, 1, 3], b"\x0c\x04ws01"]), format!("192.0.2.9 {MAC} ws01 -")),
            (
                "an acknowledgement",
                message(2, 0, 9, &[&[53, 1, 5], b"\x0f\x0ccorp.example"]),
                format!("192.0.2.9 {MAC} - corp.example"),
            ),
            ("one of an inform", message(2, 9, 0, &[&[53, 1, 5]]), format!("192.0.2.9 {MAC} - -")),
            ("a BOOTP reply", message(2, 0, 9, &[]), format!("192.0.2.9 {MAC} - -")),
            ("an offer", message(2, 0, 9, &[&[53, 1, 2]]), String::new()),
            ("a discovery without a name", message(1, 0, 0, &[&[53, 1, 1]]), String::new()),
            (
                "a name with padding",
                message(1, 0, 0, &[&[0, 0, 53, 1, 3], b"\x0c\x05ws01\0"]),
                format!("- {MAC} ws01 -"),
            ),
            (
                "a full name as text",
                message(1, 0, 0, &[&[53, 1, 3], b"\x51\x0f\0\0\0ws01.corp.ex"]),
                format!("- {MAC} ws01 corp.ex"),
            ),
            (
                "a full name in wire format",
                message(1, 0, 0, &[&[53, 1, 3], b"\x51\x0f\x04\0\0\x04ws01\x04corp\x01x"]),
                format!("- {MAC} ws01 corp.x"),
            ),
            ("cut in an option", message(1, 0, 0, &[&[53, 1, 3], b"\x0c\x04ws"]), "dhcp_malformed".into()),
        ] {
            assert_eq!(told(&message), expected, "{what}");
            assert_eq!(probe(Direction::Orig, &message), Probe::Match, "{what}");
        }
    }

    #[test]
    fn options_may_continue_in_the_file_and_server_name_fields() {
        let mut message = message(1, 0, 0, &[&[53, 1, 3, 52, 1, 3]]);
        message[FILE_AT..FILE_AT + 6].copy_from_slice(b"\x0c\x04ws01");
        message[FILE_AT + 6] = END;
        message[SERVER_NAME_AT..SERVER_NAME_AT + 6].copy_from_slice(b"\x0f\x04corp");
        assert_eq!(told(&message), "- 02:00:00:00:00:01 ws01 corp");
    }

    #[test]
    fn the_client_identifier_stands_in_for_a_missing_hardware_address() {
        let mut message = message(1, 0, 0, &[&[53, 1, 3], b"\x0c\x04ws01", &[61, 7, 1, 2, 0, 0, 0, 0, 7]]);
        message[28..34].fill(0);
        assert_eq!(told(&message), "- 02:00:00:00:00:07 ws01 -");
    }

    #[test]
    fn no_prefix_and_no_flip_panics() {
        let whole =
            message(1, 0, 0, &[&[53, 1, 3, 52, 1, 3], b"\x0c\x04ws01", b"\x51\x0f\x04\0\0\x04ws01\x04corp\x01x"]);
        for end in 0..whole.len() {
            told(&whole[..end]);
            let expected = if end < OPTIONS_AT { Probe::Mismatch } else { Probe::Match };
            assert_eq!(probe(Direction::Orig, &whole[..end]), expected);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 4, 0x7f, 0xff] {
                let mut flipped = whole.clone();
                flipped[at] = value;
                told(&flipped);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_options_are_survived(options in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            told(&message(1, 0, 0, &[&options]));
        }
    }

    /// RFC 2131 §2 with the last octets of `ciaddr` and `yiaddr`, in 192.0.2.0/24; 0 leaves an address out.
    fn message(op: u8, client: u8, yours: u8, options: &[&[u8]]) -> Vec<u8> {
        let mut m = vec![0; COOKIE_AT];
        m[..3].copy_from_slice(&[op, 1, 6]);
        for (at, last) in [(12, client), (16, yours)] {
            if last != 0 {
                m[at..at + 4].copy_from_slice(&[192, 0, 2, last]);
            }
        }
        m[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        m.extend(COOKIE);
        m.extend(options.concat());
        m
    }

    fn told(data: &[u8]) -> String {
        let mut out = Output::default();
        Dhcp.parse(Input { from: Direction::Orig, ts: Timestamp(0), data }, &mut out);
        v6::show(&out)
    }
}
