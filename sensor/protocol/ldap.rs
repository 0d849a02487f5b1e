//! LDAP (RFC 4511): who binds with which security token, STARTTLS; and the connection-less ping by which Windows finds
//! its domain controller (MS-ADTS §6.3.3), which names the machine that asks and the one that answers.
//!
//! What it does not do: searches, attributes, passwords of simple binds, anything after a sealed bind.

use super::dns::name_in;
use super::{Input, MAX_PENDING, Output, Parser, Probe, Progress, Protocol, ber, ntlm};
use crate::base::Reader;
use crate::base::wire::text;
use crate::event::{Direction, Event, Identity, IdentitySource, Oddity, Transport};
use ber::{INTEGER, OCTET_STRING, SEQUENCE};

pub(super) static OVER_TCP: Protocol = Protocol {
    name: "ldap_tcp",
    transport: Transport::Tcp,
    ports: &[389, 3268],
    probe: |_, data| probe(data),
    new: || Box::new(Ldap { wants_tls: false, messages: 0 }),
};

/// Without a connection (RFC 1798, MS-ADTS §3.1.1.3.1.11).
pub(super) static OVER_UDP: Protocol = Protocol {
    name: "ldap_udp",
    transport: Transport::Udp,
    ports: &[389],
    probe: |_, data| if probe(data) == Probe::Match { Probe::Match } else { Probe::Mismatch },
    new: || Box::new(Ping),
};

/// A sequence of a message id and an operation (RFC 4511 §4.1.1).
fn probe(data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    match r.u8() {
        None => return Probe::NeedMore,
        Some(SEQUENCE) => {}
        Some(_) => return Probe::Mismatch,
    }
    let whole = Reader::new(data);
    match message(whole) {
        Some((id, operation, len)) => {
            let fits = (0..1 << 31).contains(&id) && len <= MAX_MESSAGE;
            if fits && OPERATIONS.contains(&operation) { Probe::Match } else { Probe::Mismatch }
        }
        None if data.len() < HEAD => Probe::NeedMore,
        None => Probe::Mismatch,
    }
}

/// Message id, operation and length of the message at `r`.
fn message(mut r: Reader<'_>) -> Option<(i64, u8, usize)> {
    let (tag, len) = ber::header(&mut r)?;
    let whole = r.position().saturating_add(len);
    let (kind, id_len) = ber::header(&mut r)?;
    if tag != SEQUENCE || kind != INTEGER || id_len > 4 {
        return None;
    }
    let id = ber::integer(r.take(id_len)?)?;
    Some((id, r.u8()?, whole))
}

struct Ldap {
    wants_tls: bool,
    messages: u16,
}

impl Parser for Ldap {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        // After a sealed bind a length comes where the sequence was (RFC 4422 §3.7).
        if input.data.first() != Some(&SEQUENCE) || self.messages >= MAX_MESSAGES {
            return Progress::Done;
        }
        let Some((_, _, len)) = message(Reader::new(input.data)) else {
            return if input.data.len() < HEAD {
                Progress::Consumed(0)
            } else {
                Progress::Malformed(Oddity::LdapMalformed)
            };
        };
        if len > input.data.len() && len <= MAX_PENDING {
            return Progress::Consumed(0);
        }
        self.messages = self.messages.saturating_add(1);
        let Some(body) = ber::child(input.data, SEQUENCE) else { return Progress::Consumed(len) };
        match ber::elements(body).nth(1) {
            Some(operation) if self.operation(operation, out) => Progress::Handover(len),
            _ => Progress::Consumed(len),
        }
    }
}

impl Ldap {
    /// True when TLS follows.
    fn operation(&mut self, operation: ber::Element<'_>, out: &mut Output) -> bool {
        let parts = operation.content;
        match operation.tag {
            BIND_REQUEST => {
                // Version, name, then the authentication; Windows also writes its own choices (MS-ADTS §5.1.1.1.3).
                let token = match ber::elements(parts).nth(2) {
                    Some(sasl) if sasl.tag == SASL => ber::elements(sasl.content).nth(1).map(|e| e.content),
                    Some(other) if matches!(other.tag, SICILY_NEGOTIATE | SICILY_RESPONSE) => Some(other.content),
                    _ => None,
                };
                ntlm::observe(token.unwrap_or_default(), out);
            }
            BIND_RESPONSE => {
                // A challenge comes as SASL credentials, or in place of the matched name (Sicily).
                let sicily = ber::elements(parts).nth(1).map(|e| e.content);
                ntlm::observe(ber::child(parts, SASL_REPLY).or(sicily).unwrap_or_default(), out);
            }
            EXTENDED_REQUEST => self.wants_tls = ber::child(parts, 0x80) == Some(STARTTLS),
            EXTENDED_RESPONSE => {
                let code = ber::elements(parts).next().and_then(|e| ber::integer(e.content));
                return std::mem::take(&mut self.wants_tls) && code == Some(0);
            }
            _ => {}
        }
        false
    }
}

struct Ping;

impl Parser for Ping {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        for message in ber::elements(input.data).take(MAX_ENTRIES) {
            if let Some(operation) = ber::elements(message.content).nth(1) {
                match operation.tag {
                    SEARCH_REQUEST => asks(operation.content, input.from, out),
                    SEARCH_ENTRY => answers(operation.content, input.from, out),
                    _ => {}
                }
            }
        }
        Progress::Consumed(input.data.len())
    }

    fn idle(&self) -> bool {
        true
    }
}

/// MS-ADTS §6.3.3.1: the filter is a conjunction of equalities, `Host` among them.
fn asks(search: &[u8], from: Direction, out: &mut Output) {
    let (mut hostname, mut domain) = (None, None);
    for equality in ber::elements(ber::child(search, AND).unwrap_or_default()).take(MAX_ENTRIES) {
        let mut pair = ber::elements(equality.content).map(|e| e.content);
        match (pair.next(), pair.next()) {
            (Some(b"Host"), Some(value)) => hostname = Some(text(value)),
            (Some(b"DnsDomain"), Some(value)) => domain = Some(text(value)),
            _ => {}
        }
    }
    identify(from, hostname, domain, out);
}

/// MS-ADTS §6.3.1.9, NETLOGON_SAM_LOGON_RESPONSE_EX: forest, domain and host as compressed DNS names.
fn answers(entry: &[u8], from: Direction, out: &mut Output) {
    let Some(blob) = ber::path(entry, &[SEQUENCE, SEQUENCE, SET, OCTET_STRING]) else { return };
    let mut r = Reader::new(blob);
    if !matches!(r.u16_le(), Some(LOGON_RESPONSE_EX | LOGON_USER_UNKNOWN_EX | LOGON_PAUSE_EX)) || r.seek(24).is_none() {
        return;
    }
    let (_forest, domain, host) = (name_in(&mut r), name_in(&mut r), name_in(&mut r));
    let short = host.as_deref().map(|host| host.split('.').next().unwrap_or(host).into());
    identify(from, short, domain, out);
}

fn identify(from: Direction, hostname: Option<Box<str>>, domain: Option<Box<str>>, out: &mut Output) {
    let hostname = hostname.filter(|name| !name.is_empty() && &**name != ".");
    let domain = domain.map(|d| Box::<str>::from(d.trim_end_matches('.'))).filter(|d| !d.is_empty());
    if hostname.is_some() {
        let (side, source) = (Some(from), IdentitySource::Cldap);
        out.push(Event::Identity(Box::new(Identity {
            ip: None,
            side,
            mac: None,
            client_id: None,
            hostname,
            domain,
            source,
        })));
    }
}

/// RFC 4511 §4.2–§4.12, the application tags.
const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;
const OPERATIONS: &[u8] = &[
    BIND_REQUEST,
    BIND_RESPONSE,
    0x42,
    SEARCH_REQUEST,
    SEARCH_ENTRY,
    0x65,
    0x66,
    0x67,
    0x68,
    0x69,
    0x4a,
    0x6b,
    0x6c,
    0x6d,
    0x6e,
    0x6f,
    0x50,
    0x73,
    EXTENDED_REQUEST,
    EXTENDED_RESPONSE,
    0x79,
];
const SASL: u8 = 0xa3;
const SASL_REPLY: u8 = 0x87;
const SICILY_NEGOTIATE: u8 = 0x8a;
const SICILY_RESPONSE: u8 = 0x8b;
const AND: u8 = 0xa0;
const SET: u8 = 0x31;
/// RFC 4511 §4.14.1.
const STARTTLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// MS-ADTS §6.3.1.3.
const LOGON_RESPONSE_EX: u16 = 23;
const LOGON_PAUSE_EX: u16 = 24;
const LOGON_USER_UNKNOWN_EX: u16 = 25;

/// Sequence and message id with the longest lengths, and the operation's tag.
const HEAD: usize = 13;
/// OpenLDAP accepts 256 KiB without and 16 MiB after a bind.
const MAX_MESSAGE: usize = 1 << 24;
/// Binds come first; what follows names nobody.
const MAX_MESSAGES: u16 = 64;
/// A ping has five conditions, its answer two messages.
const MAX_ENTRIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use Direction::{Orig, Resp};

    #[test]
    fn binds_show_their_tokens_and_tls_is_handed_over() {
        let bind = |auth: Vec<u8>| envelope(&tlv(BIND_REQUEST, &[tlv(2, &[3]), tlv(4, b""), auth].concat()));
        let negotiate = b"NTLMSSP\0\x01\0\0\0\x02\x32\0\0\x06\0\x06\0\x20\0\0\0\x04\0\x04\0\x26\0\0\0DOMAINWS01";
        let sasl = tlv(SASL, &[tlv(4, b"GSS-SPNEGO"), tlv(4, negotiate)].concat());
        let starttls = envelope(&tlv(EXTENDED_REQUEST, &tlv(0x80, STARTTLS)));
        let agreed =
            |code: u8| envelope(&tlv(EXTENDED_RESPONSE, &[tlv(10, &[code]), tlv(4, b""), tlv(4, b"")].concat()));
        for (what, messages, expected) in [
            ("SASL", vec![(Orig, bind(sasl))], "ntlm WS01 DOMAIN, ntlm"),
            ("Sicily", vec![(Orig, bind(tlv(SICILY_NEGOTIATE, negotiate)))], "ntlm WS01 DOMAIN, ntlm"),
            ("a simple bind", vec![(Orig, bind(tlv(0x80, b"secret")))], ""),
            ("STARTTLS", vec![(Orig, starttls.clone()), (Resp, agreed(0))], "handover"),
            ("STARTTLS refused", vec![(Orig, starttls), (Resp, agreed(52))], ""),
            ("sealed from here", vec![(Orig, b"\0\0\0\x20....".to_vec())], "done"),
        ] {
            assert_eq!(told(&OVER_TCP, &messages), expected, "{what}");
        }
    }

    #[test]
    fn pings_name_both_machines() {
        let equal = |name: &[u8], value: &[u8]| tlv(0xa3, &[tlv(4, name), tlv(4, value)].concat());
        let filter = tlv(AND, &[equal(b"DnsDomain", b"corp.example."), equal(b"Host", b"WS01")].concat());
        let ask = envelope(&tlv(SEARCH_REQUEST, &[tlv(4, b""), tlv(10, &[0]), filter].concat()));
        let names = b"\x04corp\x07example\0\xc0\x18\x04dc01\xc0\x18\x04CORP\0";
        let blob = [&[23, 0, 0, 0][..], &[0; 20], names].concat();
        let attribute = tlv(SEQUENCE, &[tlv(4, b"netlogon"), tlv(SET, &tlv(4, &blob))].concat());
        let answer = envelope(&tlv(SEARCH_ENTRY, &[tlv(4, b""), tlv(SEQUENCE, &attribute)].concat()));
        let expected = "cldap WS01 corp.example, cldap dc01 corp.example";
        assert_eq!(told(&OVER_UDP, &[(Orig, ask.clone()), (Resp, answer.clone())]), expected);
        for whole in [ask, answer] {
            for end in 0..whole.len() {
                told(&OVER_UDP, &[(Orig, whole[..end].to_vec())]);
                let probe = (OVER_TCP.probe)(Orig, &whole[..end]);
                assert!(probe == if end < 6 { Probe::NeedMore } else { Probe::Match }, "{end} bytes: {probe:?}");
            }
        }
        assert_eq!((OVER_TCP.probe)(Orig, b"\x30\x03\x04\x01a.........."), Probe::Mismatch);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            for data in [data.clone(), envelope(&data)] {
                told(&OVER_TCP, &[(Orig, data.clone()), (Resp, data.clone())]);
                told(&OVER_UDP, &[(Orig, data)]);
            }
        }
    }

    /// An LDAPMessage with id 1.
    fn envelope(operation: &[u8]) -> Vec<u8> {
        tlv(SEQUENCE, &[tlv(2, &[1]), operation.to_vec()].concat())
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len();
        let head = match u8::try_from(len) {
            Ok(short @ ..0x80) => vec![tag, short],
            _ => [vec![tag, 0x82], u16::try_from(len).unwrap().to_be_bytes().to_vec()].concat(),
        };
        [head, content.to_vec()].concat()
    }

    fn told(protocol: &Protocol, messages: &[(Direction, Vec<u8>)]) -> String {
        let (mut parser, mut out) = ((protocol.new)(), Output::default());
        let mut ends = Vec::new();
        for (from, data) in messages {
            match parser.parse(Input { from: *from, ts: Timestamp(0), data }, &mut out) {
                Progress::Handover(_) => ends.push("handover".to_owned()),
                Progress::Done => ends.push("done".to_owned()),
                _ => {}
            }
        }
        let facts = out.events.iter().map(|event| match event {
            Event::Identity(i) => {
                let or = |field: &Option<Box<str>>| field.as_deref().unwrap_or("-").to_owned();
                format!("{} {} {}", i.source.name(), or(&i.hostname), or(&i.domain))
            }
            other => format!("{other:?}"),
        });
        let services = out.services.iter().map(|s| (*s).to_owned());
        facts.chain(services).chain(ends).collect::<Vec<_>>().join(", ")
    }
}
