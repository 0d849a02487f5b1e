//! DHCPv6 (RFC 8415): replies bind addresses to a client's DUID, which mostly holds its hardware address (§11.2,
//! §11.4); requests tell its name (RFC 4704). Nothing in a message says that it is DHCPv6, so its ports must.

use super::{MAX_ID, wire_name};
use crate::base::Reader;
use crate::event::{Direction, Event, Identity, IdentitySource, Oddity, Transport};
use crate::protocol::{Input, Output, Parser, Probe, Progress, Protocol};
use std::net::Ipv6Addr;

/// RFC 8415 §7.2.
pub(crate) static DHCPV6: Protocol =
    Protocol { name: "dhcp", transport: Transport::Udp, ports: &[546, 547], probe, new: || Box::new(Dhcpv6) };

fn probe(_from: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    match r.u8() {
        Some(SOLICIT..=RELAY_REPLY) if data.len() >= HEADER => Probe::Match,
        _ => Probe::Mismatch,
    }
}

struct Dhcpv6;

impl Parser for Dhcpv6 {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        if message(input.data, MAX_RELAYS, out).is_none() {
            out.weird(Oddity::DhcpMalformed);
        }
        Progress::Consumed(input.data.len())
    }

    fn idle(&self) -> bool {
        true
    }
}

fn message(data: &[u8], relays_left: u8, out: &mut Output) -> Option<()> {
    let mut r = Reader::new(data);
    let kind = r.u8()?;
    let relayed = matches!(kind, RELAY_FORWARD | RELAY_REPLY);
    r.seek(if relayed { RELAY_HEADER } else { HEADER })?;
    let mut client = Client::default();
    client.read(r)?;
    if relayed {
        let left = relays_left.checked_sub(1)?;
        return client.relayed.map_or(Some(()), |inner| message(inner, left, out));
    }
    let (hostname, domain) = match client.name.as_deref().map(|name| name.split_once('.').unwrap_or((name, ""))) {
        Some((host, domain)) => (Some(host.into()), (!domain.is_empty()).then(|| domain.into())),
        None => (None, None),
    };
    let identity = |ip: Option<Ipv6Addr>| {
        let (hostname, domain): (Option<Box<str>>, Option<Box<str>>) = (hostname.clone(), domain.clone());
        Identity {
            ip: ip.map(Into::into),
            side: None,
            mac: client.mac,
            client_id: client.id.clone(),
            hostname,
            domain,
            source: IdentitySource::Dhcp,
        }
    };
    match kind {
        REPLY => out.events.extend(client.addresses.iter().map(|ip| Event::Identity(Box::new(identity(Some(*ip)))))),
        SOLICIT | REQUEST..=REBIND if hostname.is_some() => out.push(Event::Identity(Box::new(identity(None)))),
        _ => {}
    }
    Some(())
}

/// What the options say of a client.
#[derive(Debug, Default)]
struct Client<'a> {
    mac: Option<[u8; 6]>,
    id: Option<Box<str>>,
    name: Option<Box<str>>,
    addresses: Vec<Ipv6Addr>,
    relayed: Option<&'a [u8]>,
}

impl<'a> Client<'a> {
    /// RFC 8415 §21.1: code, length, data.
    fn read(&mut self, mut r: Reader<'a>) -> Option<()> {
        for _ in 0..MAX_OPTIONS {
            if r.is_empty() {
                break;
            }
            let (code, len) = (r.u16()?, r.u16()?);
            let mut data = r.sub(usize::from(len))?;
            match code {
                CLIENT_ID => {
                    self.mac = mac_of(data);
                    let duid = data.rest();
                    self.id = (1..=MAX_ID).contains(&duid.len()).then(|| hex::encode(duid).into());
                }
                CLIENT_FQDN => {
                    data.skip(1)?; // Flags (RFC 4704 §4.1).
                    self.name = wire_name(data.rest());
                }
                RELAY_MESSAGE => self.relayed = Some(data.rest()),
                // Identity association: id and two timers before the options that hold the addresses (§21.4).
                IA_NA => self.associated(data, 12)?,
                IA_TA => self.associated(data, 4)?,
                _ => {}
            }
        }
        Some(())
    }

    fn associated(&mut self, mut r: Reader<'_>, head: usize) -> Option<()> {
        r.skip(head)?;
        for _ in 0..MAX_OPTIONS {
            if r.is_empty() {
                break;
            }
            let (code, len) = (r.u16()?, r.u16()?);
            let mut data = r.sub(usize::from(len))?;
            if code == IA_ADDRESS && self.addresses.len() < MAX_ADDRESSES {
                self.addresses.push(data.array().map(Ipv6Addr::from)?);
            }
        }
        Some(())
    }
}

/// RFC 8415 §11.2 (DUID-LLT) and §11.4 (DUID-LL), for Ethernet.
fn mac_of(mut duid: Reader<'_>) -> Option<[u8; 6]> {
    let (kind, hardware) = (duid.u16()?, duid.u16()?);
    if hardware != 1 {
        return None;
    }
    match kind {
        1 => duid.skip(4)?,
        3 => {}
        _ => return None,
    }
    duid.array()
}

/// RFC 8415 §7.3.
const SOLICIT: u8 = 1;
const REQUEST: u8 = 3;
const REBIND: u8 = 6;
const REPLY: u8 = 7;
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;

/// RFC 8415 §21.
const CLIENT_ID: u16 = 1;
const IA_NA: u16 = 3;
const IA_TA: u16 = 4;
const IA_ADDRESS: u16 = 5;
const RELAY_MESSAGE: u16 = 9;
const CLIENT_FQDN: u16 = 39;

/// Type and transaction id (RFC 8415 §8); type, hop count and two addresses (§9).
const HEADER: usize = 4;
const RELAY_HEADER: usize = 34;
/// RFC 8415 §7.6: HOP_COUNT_LIMIT.
const MAX_RELAYS: u8 = 8;
/// Clients and servers send a dozen.
const MAX_OPTIONS: usize = 128;
/// Hosts get one or two.
const MAX_ADDRESSES: usize = 16;

/// For the tests of both versions: address, hardware address, name and domain of the first identity, or the weird.
#[cfg(test)]
pub(super) fn show(out: &Output) -> String {
    let or = |field: Option<String>| field.unwrap_or_else(|| "-".into());
    match out.events.first() {
        Some(Event::Identity(i)) => {
            let mac = i.mac.map(|mac| mac.map(|b| format!("{b:02x}")).join(":"));
            let words = [
                i.ip.map(|ip| ip.to_string()),
                mac,
                i.hostname.clone().map(Into::into),
                i.domain.clone().map(Into::into),
            ];
            words.map(or).join(" ")
        }
        Some(Event::Weird(w)) => w.oddity.name().into(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn requests_tell_names_and_replies_bind_addresses() {
        let duid = option(1, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
        let timed = option(1, &[0, 1, 0, 1, 9, 9, 9, 9, 2, 0, 0, 0, 0, 1]);
        let name = option(39, b"\0\x04ws01\x04corp\x07example");
        let address = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        let bound = option(3, &[vec![0; 12], option(5, &[&address[..], &[0; 8]].concat())].concat());
        let request = [&[3, 0, 0, 7], &duid[..], &name, &bound].concat();
        let relayed = [vec![12], vec![0; 33], option(9, &request)].concat();
        for (what, message, expected) in [
            ("a request", request.clone(), "- 02:00:00:00:00:01 ws01 corp.example"),
            ("a relayed request", relayed, "- 02:00:00:00:00:01 ws01 corp.example"),
            ("a request without a name", [&[3, 0, 0, 7], &duid[..]].concat(), ""),
            ("a reply", [&[7, 0, 0, 7], &timed[..], &bound].concat(), "2001:db8::9 02:00:00:00:00:01 - -"),
            ("an advertisement", [&[2, 0, 0, 7], &timed[..], &bound].concat(), ""),
            ("a cut option", request[..request.len() - 1].to_vec(), "dhcp_malformed"),
        ] {
            assert_eq!(probe(Direction::Orig, &message), Probe::Match, "{what}");
            assert_eq!(told(&message), expected, "{what}");
        }
        for end in 0..request.len() {
            told(&request[..end]);
        }
    }

    #[test]
    fn relays_are_followed_only_so_far() {
        let mut message = vec![1, 0, 0, 7];
        for _ in 0..20 {
            message = [vec![12], vec![0; 33], option(9, &message)].concat();
        }
        assert_eq!(told(&message), "dhcp_malformed");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            told(&data);
        }
    }

    fn option(code: u16, data: &[u8]) -> Vec<u8> {
        [&code.to_be_bytes(), &u16::try_from(data.len()).unwrap().to_be_bytes(), data].concat()
    }

    fn told(data: &[u8]) -> String {
        let mut out = Output::default();
        Dhcpv6.parse(Input { from: Direction::Orig, ts: Timestamp(0), data }, &mut out);
        show(&out)
    }
}
