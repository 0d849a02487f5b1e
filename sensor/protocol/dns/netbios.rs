//! NetBIOS name service (RFC 1002 §4.2): queries for names, status requests, and the registrations by which a host
//! says what it is called. A name is 15 characters and a suffix that tells what it stands for.

use super::lookups::{Answer, Asked, Lookups};
use super::message::{Message, QUERY, Record};
use super::name::{self, Flaw};
use super::{codes, oddity};
use crate::base::Reader;
use crate::base::wire::text as as_text;
use crate::event::{Direction, Event, Identity, IdentitySource, ResolutionProtocol, Transport};
use crate::protocol::{Input, Output, Parser, Probe, Progress, Protocol};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

/// RFC 1002.
pub(crate) static NBNS: Protocol = Protocol {
    name: "dns",
    transport: Transport::Udp,
    ports: &[137],
    probe,
    new: || Box::new(Names(Lookups::new(ResolutionProtocol::Nbns))),
};

fn probe(_from: Direction, data: &[u8]) -> Probe {
    let Some(mut message) = Message::new(data) else { return Probe::Mismatch };
    let [questions, answers, authority, additional] = message.header.counts;
    let known = matches!(message.header.opcode(), QUERY | REGISTER..=MULTIHOMED);
    if known && questions <= 1 && answers <= 1 && authority <= 1 && additional <= 1 && name_of(&mut message).is_ok() {
        Probe::Match
    } else {
        Probe::Mismatch
    }
}

struct Names(Lookups);

impl Parser for Names {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        if let Err(flaw) = self.message(input, out) {
            out.weird(oddity(flaw));
        }
        Progress::Consumed(input.data.len())
    }

    fn finish(&mut self, out: &mut Output) {
        self.0.finish(out);
    }

    fn idle(&self) -> bool {
        self.0.is_empty()
    }
}

impl Names {
    fn message(&mut self, input: Input<'_>, out: &mut Output) -> Result<(), Flaw> {
        let mut message = Message::new(input.data).ok_or(Flaw::Cut)?;
        match (message.header.opcode(), message.header.is_response()) {
            (QUERY, false) => self.query(message, input, out),
            (QUERY, true) => self.response(message, input, out),
            (REGISTER | REFRESH | REFRESH_TOO | MULTIHOMED, false) => {
                let mut question = message;
                let name = name_of(&mut question)?;
                message.question()?;
                let record = message.record()?;
                register(&name, message.data(&record), input.from, out);
                Ok(())
            }
            _ => Ok(()), // Releases and the servers' answers to registrations name nobody new.
        }
    }

    fn query(&mut self, mut message: Message<'_>, input: Input<'_>, out: &mut Output) -> Result<(), Flaw> {
        let mut first = message;
        let name = name_of(&mut first)?;
        let question = message.question()?;
        let asked = Asked { id: message.header.id, query: name.text, qtype: type_name(question.qtype) };
        if message.header.is_broadcast() {
            self.0.announce(input.ts, asked, out);
        } else {
            self.0.ask(input, asked, out);
        }
        Ok(())
    }

    /// RFC 1002 §4.2.13, §4.2.14, §4.2.18: no question, the name is the record's.
    fn response(&mut self, mut message: Message<'_>, input: Input<'_>, out: &mut Output) -> Result<(), Flaw> {
        let mut first = message;
        let name = name_of(&mut first)?;
        let record = message.record()?;
        let rcode = Some(match message.header.rcode() {
            6 => "ACT_ERR".into(),
            7 => "CFT_ERR".into(),
            code => codes::rcode_name(code),
        });
        let mut answer = Answer { rcode, ..Answer::default() };
        let mut qtype = type_name(record.rtype);
        let data = message.data(&record);
        match record.rtype {
            NB => addresses(data, &record, &mut answer),
            NBSTAT => status(data, input.from, &mut answer, out),
            // RFC 1002 §4.2.14: a negative answer has type NULL.
            _ => qtype = type_name(NB),
        }
        self.0.answer(input, Asked { id: message.header.id, query: name.text, qtype }, answer, out);
        Ok(())
    }
}

/// A NetBIOS name, decoded.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    text: Box<str>,
    suffix: u8,
}

/// The first-level encoded name behind the header (RFC 1001 §14.1): each half octet a letter from `A`.
fn name_of(message: &mut Message<'_>) -> Result<Name, Flaw> {
    let mut label: &[u8] = &[];
    let mut r = message.here();
    name::walk(&mut r, |part| {
        if label.is_empty() {
            label = part;
        }
    })?;
    decode(label).ok_or(Flaw::Malformed)
}

fn decode(label: &[u8]) -> Option<Name> {
    let mut octets = [0_u8; NAME_LEN];
    let mut pairs = Reader::new(label);
    for octet in &mut octets {
        let [high, low] = pairs.array()?;
        let half = |letter: u8| letter.checked_sub(b'A').filter(|n| *n < 16);
        *octet = half(high)? << 4 | half(low)?;
    }
    let [name @ .., suffix] = octets;
    Some(Name { text: trimmed(&name), suffix })
}

fn trimmed(name: &[u8]) -> Box<str> {
    as_text(name.trim_ascii_end()).trim_end_matches('\0').into()
}

/// RFC 1002 §4.2.13: flags and address, six bytes each.
fn addresses(data: &[u8], record: &Record, answer: &mut Answer) {
    for entry in data.chunks_exact(6).take(MAX_ENTRIES) {
        if let Some(ip) = address_of(entry) {
            answer.answers.push(ip.to_string().into());
            answer.addresses.push(ip);
            answer.ttls.push(record.ttl);
        }
    }
}

fn address_of(entry: &[u8]) -> Option<IpAddr> {
    let mut r = Reader::new(entry);
    r.skip(2)?;
    r.array().map(|octets| Ipv4Addr::from(octets).into())
}

/// RFC 1002 §4.2.18: the names a host answers to, then its hardware address.
fn status(data: &[u8], from: Direction, answer: &mut Answer, out: &mut Output) {
    let mut r = Reader::new(data);
    let (mut hostname, mut domain) = (None, None);
    let count = usize::from(r.u8().unwrap_or(0));
    for _ in 0..count.min(MAX_ENTRIES) {
        let (Some(name), Some(suffix), Some(flags)) = (r.take(NAME_LEN.saturating_sub(1)), r.u8(), r.u16()) else {
            return;
        };
        let name = trimmed(name);
        answer.answers.push(format!("{name}<{suffix:02x}>").into());
        answer.ttls.push(0);
        match (suffix, flags & GROUP != 0) {
            (WORKSTATION, false) => hostname = Some(name),
            (WORKSTATION, true) => domain = Some(name),
            _ => {}
        }
    }
    let mac = r.array().filter(|mac| *mac != [0; 6]);
    if hostname.is_some() {
        identify(None, Some(from), mac, hostname, domain, out);
    }
}

/// A registration: the host says what it is called, or which group it belongs to.
fn register(name: &Name, data: &[u8], from: Direction, out: &mut Output) {
    let mut r = Reader::new(data);
    let (Some(flags), Some(ip)) = (r.u16(), address_of(data)) else { return };
    let side = Some(from);
    let ip = Some(ip).filter(|ip| !ip.is_unspecified());
    match (name.suffix, flags & GROUP != 0) {
        (WORKSTATION | FILE_SERVER, false) => {
            identify(ip, side, None, Some(name.text.clone()), None, out);
        }
        (WORKSTATION, true) => identify(ip, side, None, None, Some(name.text.clone()), out),
        _ => {}
    }
}

fn identify(
    ip: Option<IpAddr>,
    side: Option<Direction>,
    mac: Option<[u8; 6]>,
    hostname: Option<Box<str>>,
    domain: Option<Box<str>>,
    out: &mut Output,
) {
    let source = IdentitySource::Nbns;
    out.push(Event::Identity(Box::new(Identity { ip, side, mac, client_id: None, hostname, domain, source })));
}

fn type_name(number: u16) -> Cow<'static, str> {
    match number {
        NB => "NB".into(),
        NBSTAT => "NBSTAT".into(),
        other => codes::type_name(other),
    }
}

/// RFC 1002 §4.2.1.1; 9 is what Windows writes for a refresh, 15 its multi-homed registration.
const REGISTER: u16 = 5;
const REFRESH: u16 = 8;
const REFRESH_TOO: u16 = 9;
const MULTIHOMED: u16 = 15;
/// RFC 1002 §4.2.1.3.
const NB: u16 = 0x20;
const NBSTAT: u16 = 0x21;
/// RFC 1002 §4.2.1.3: the name is a group's.
const GROUP: u16 = 0x8000;
/// Suffix of a machine's own name, and of its domain's or workgroup's.
const WORKSTATION: u8 = 0x00;
/// Suffix of the name by which a machine shares files.
const FILE_SERVER: u8 = 0x20;
/// RFC 1001 §14: fifteen characters and the suffix.
const NAME_LEN: usize = 16;
/// A host has some ten names and a few addresses.
const MAX_ENTRIES: usize = 64;
