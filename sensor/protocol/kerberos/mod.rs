//! Kerberos 5 (RFC 4120): who asks the key distribution centre for tickets to which service, and with what result.
//!
//! The client's name is readable in AS requests, in both kinds of replies and in errors; requests for service tickets
//! hide it. A machine account (`WS01$`) names the asking host, and so do the NetBIOS addresses that Windows puts into
//! its AS requests. The encryption type told is the ticket's: `rc4-hmac` where AES is usual is what ticket theft for
//! offline guessing looks like. What it does not do: decrypt, or read pre-authentication data.

mod codes;
#[cfg(test)]
mod tests;

use super::{Input, MAX_PENDING, Output, Parser, Probe, Progress, Protocol, ber};
use crate::base::Reader;
use crate::base::Ring;
use crate::base::wire::text;
use crate::event::{
    Authentication, AuthenticationProtocol, Direction, Event, Identity, IdentitySource, Oddity, Transport,
};
use ber::{INTEGER, OCTET_STRING, SEQUENCE};

/// RFC 4120 §7.2.2: four bytes of length before each message.
pub(super) static OVER_TCP: Protocol = Protocol {
    name: "krb_tcp",
    transport: Transport::Tcp,
    ports: &[88],
    probe: probe_tcp,
    new: || Box::new(Segments(Exchange::default())),
};

/// RFC 4120 §7.2.1.
pub(super) static OVER_UDP: Protocol = Protocol {
    name: "krb",
    transport: Transport::Udp,
    ports: &[88],
    probe: |_, data| if is_message(data, data.len()) { Probe::Match } else { Probe::Mismatch },
    new: || Box::new(Datagrams(Exchange::default())),
};

/// A ticket presented to a service (RFC 4120 §5.5.1), as other protocols' security tokens carry it; `data` begins with
/// it. False when there is none.
pub(super) fn ap_req(data: &[u8], out: &mut Output) -> bool {
    let Some(ticket) = ber::path(data, &[AP_REQ, SEQUENCE, context(3)]).and_then(Ticket::read) else { return false };
    out.push(Event::Authentication(Box::new(Authentication {
        user: None,
        domain: ticket.realm,
        host: None,
        service: ticket.service,
        etype: ticket.etype,
        ..nobody()
    })));
    true
}

fn probe_tcp(_from: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    let Some(len) = r.u32() else { return Probe::NeedMore };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if !(MIN_MESSAGE..=MAX_MESSAGE).contains(&len) {
        return Probe::Mismatch;
    }
    if r.remaining() >= MIN_MESSAGE {
        return if is_message(r.rest(), len) { Probe::Match } else { Probe::Mismatch };
    }
    match r.u8() {
        Some(tag) if !KDC_MESSAGES.contains(&tag) => Probe::Mismatch,
        _ => Probe::NeedMore,
    }
}

/// A KDC message that fills `len` bytes: its application tag, a sequence, protocol version 5 (RFC 4120 §5.4, §5.9.1).
fn is_message(data: &[u8], len: usize) -> bool {
    let mut r = Reader::new(data);
    let Some((tag, inner)) = ber::header(&mut r) else { return false };
    let version_tag = if matches!(tag, AS_REQ | TGS_REQ) { context(1) } else { context(0) };
    KDC_MESSAGES.contains(&tag)
        && r.position().saturating_add(inner) == len
        && ber::header(&mut r).is_some_and(|(tag, _)| tag == SEQUENCE)
        && r.array() == Some([version_tag, 3, INTEGER, 1, 5])
}

/// What one client has asked a KDC on one flow and not been told yet.
struct Exchange {
    waiting: Ring<Asked>,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { waiting: Ring::new(MAX_OUTSTANDING) }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Asked {
    user: Option<Box<str>>,
    realm: Option<Box<str>>,
    host: Option<Box<str>>,
    service: Option<Box<str>>,
}

impl Exchange {
    fn message(&mut self, data: &[u8], out: &mut Output) {
        let read = ber::next(&mut Reader::new(data)).and_then(|message| {
            let fields = ber::child(message.content, SEQUENCE)?;
            match message.tag {
                AS_REQ | TGS_REQ => self.request(fields, out),
                AS_REP | TGS_REP => self.reply(fields, out),
                ERROR => self.error(fields, out),
                _ => Some(()),
            }
        });
        if read.is_none() {
            out.weird(Oddity::KerberosMalformed);
        }
    }

    /// RFC 4120 §5.4.1.
    fn request(&mut self, fields: &[u8], out: &mut Output) -> Option<()> {
        let body = ber::path(fields, &[context(4), SEQUENCE])?;
        let asked = Asked {
            user: ber::child(body, context(1)).and_then(principal),
            realm: ber::child(body, context(2)).and_then(string),
            host: ber::child(body, context(9)).and_then(netbios_address),
            service: ber::child(body, context(3)).and_then(principal),
        };
        if asked == Asked::default() {
            return None;
        }
        identify(asked.host.clone(), asked.realm.clone(), out);
        if self.waiting.last() != Some(&asked)
            && let Some(oldest) = self.waiting.push(asked)
        {
            unanswered(oldest, out);
        }
        Some(())
    }

    /// RFC 4120 §5.4.2.
    fn reply(&mut self, fields: &[u8], out: &mut Output) -> Option<()> {
        let user = ber::child(fields, context(4)).and_then(principal);
        let realm = ber::child(fields, context(3)).and_then(string);
        let ticket = ber::child(fields, context(5)).and_then(Ticket::read)?;
        let asked = self.waiting.take(|_| true).unwrap_or_default();
        let host = asked.host.clone();
        // Clients may ask by the realm's NetBIOS name; that they are the same is worth a record of its own.
        let renamed = |a: &Option<Box<str>>, b: &Option<Box<str>>| match (a, b) {
            (Some(a), Some(b)) => !a.eq_ignore_ascii_case(b),
            _ => false,
        };
        if asked.user.is_some() && (renamed(&asked.realm, &realm) || renamed(&asked.user, &user)) {
            unanswered(asked, out);
        }
        machine_account(user.as_deref(), realm.as_deref(), out);
        out.push(Event::Authentication(Box::new(Authentication {
            user,
            domain: realm,
            host,
            service: ticket.service,
            etype: ticket.etype,
            result: Some("success"),
            ..nobody()
        })));
        Some(())
    }

    /// RFC 4120 §5.9.1. Servers leave out the client's name; the question had it.
    fn error(&mut self, fields: &[u8], out: &mut Output) -> Option<()> {
        let code = ber::path(fields, &[context(6), INTEGER]).and_then(ber::integer)?;
        let asked = self.waiting.take(|_| true).unwrap_or_default();
        let named = |tag, by: fn(&[u8]) -> Option<Box<str>>| ber::child(fields, context(tag)).and_then(by);
        out.push(Event::Authentication(Box::new(Authentication {
            user: asked.user.or_else(|| named(8, principal)),
            domain: asked.realm.or_else(|| named(7, string)).or_else(|| named(9, string)),
            host: asked.host,
            service: asked.service.or_else(|| named(10, principal)),
            result: (!matches!(code, codes::PREAUTH_REQUIRED | codes::RESPONSE_TOO_BIG)).then_some("failure"),
            error: Some(codes::error_name(code)),
            ..nobody()
        })));
        Some(())
    }

    fn finish(&mut self, out: &mut Output) {
        while let Some(asked) = self.waiting.take(|_| true) {
            unanswered(asked, out);
        }
    }
}

/// A question of which no result was seen.
fn unanswered(asked: Asked, out: &mut Output) {
    let Asked { user, realm: domain, host, service } = asked;
    machine_account(user.as_deref(), domain.as_deref(), out);
    out.push(Event::Authentication(Box::new(Authentication { user, domain, host, service, ..nobody() })));
}

/// `WS01$` is the machine WS01 itself.
fn machine_account(user: Option<&str>, realm: Option<&str>, out: &mut Output) {
    if let Some(host) = user.and_then(|user| user.strip_suffix('$')).filter(|host| !host.is_empty()) {
        identify(Some(host.into()), realm.map(Into::into), out);
    }
}

fn identify(hostname: Option<Box<str>>, domain: Option<Box<str>>, out: &mut Output) {
    if hostname.is_some() {
        let (side, source) = (Some(Direction::Orig), IdentitySource::Kerberos);
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

const fn nobody() -> Authentication {
    Authentication {
        protocol: AuthenticationProtocol::Kerberos,
        user: None,
        domain: None,
        host: None,
        service: None,
        etype: None,
        result: None,
        error: None,
    }
}

/// RFC 4120 §5.3.
struct Ticket {
    realm: Option<Box<str>>,
    service: Option<Box<str>>,
    etype: Option<Box<str>>,
}

impl Ticket {
    fn read(field: &[u8]) -> Option<Self> {
        let fields = ber::path(field, &[TICKET, SEQUENCE])?;
        let etype = ber::path(fields, &[context(3), SEQUENCE, context(0), INTEGER]).and_then(ber::integer);
        Some(Self {
            realm: ber::child(fields, context(1)).and_then(string),
            service: ber::child(fields, context(2)).and_then(principal),
            etype: etype.map(codes::etype_name),
        })
    }
}

/// RFC 4120 §5.2.2: the components, joined by `/` as everybody writes them.
fn principal(field: &[u8]) -> Option<Box<str>> {
    let components = ber::path(field, &[SEQUENCE, context(1), SEQUENCE])?;
    let parts: Vec<_> = ber::elements(components).take(MAX_COMPONENTS).map(|e| text(e.content)).collect();
    let name = parts.join("/");
    (!name.is_empty()).then(|| name.into())
}

/// RFC 4120 §5.2.1: a GeneralString, or whatever kind of string an implementation writes.
fn string(field: &[u8]) -> Option<Box<str>> {
    ber::elements(field).next().map(|e| text(e.content)).filter(|s| !s.is_empty())
}

/// RFC 4120 §7.5.3: address type 20 is the client's NetBIOS name, padded to 16 bytes.
fn netbios_address(field: &[u8]) -> Option<Box<str>> {
    ber::elements(ber::child(field, SEQUENCE)?).find_map(|address| {
        let kind = ber::path(address.content, &[context(0), INTEGER]).and_then(ber::integer)?;
        let name = ber::path(address.content, &[context(1), OCTET_STRING])?;
        (kind == 20).then(|| text(name.trim_ascii())).filter(|name| !name.is_empty())
    })
}

struct Datagrams(Exchange);

impl Parser for Datagrams {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        self.0.message(input.data, out);
        Progress::Consumed(input.data.len())
    }

    fn finish(&mut self, out: &mut Output) {
        self.0.finish(out);
    }

    fn idle(&self) -> bool {
        self.0.waiting.is_empty()
    }
}

struct Segments(Exchange);

impl Parser for Segments {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let mut r = Reader::new(input.data);
        let Some(len) = r.u32() else { return Progress::Consumed(0) };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if !(MIN_MESSAGE..=MAX_MESSAGE).contains(&len) {
            return Progress::Malformed(Oddity::KerberosMalformed);
        }
        let data = match r.take(len) {
            Some(data) => data,
            // Names come first: of a message beyond the budget what fits is read and the rest passed over.
            None if input.data.len() >= MAX_PENDING => r.rest(),
            None => return Progress::Consumed(0),
        };
        self.0.message(data, out);
        Progress::Consumed(len.saturating_add(LENGTH))
    }

    fn finish(&mut self, out: &mut Output) {
        self.0.finish(out);
    }
}

/// The tag of field `[n]`.
const fn context(n: u8) -> u8 {
    0xa0 | n
}

const TICKET: u8 = 0x61;
const AS_REQ: u8 = 0x6a;
const AS_REP: u8 = 0x6b;
const TGS_REQ: u8 = 0x6c;
const TGS_REP: u8 = 0x6d;
const AP_REQ: u8 = 0x6e;
const ERROR: u8 = 0x7e;
const KDC_MESSAGES: &[u8] = &[AS_REQ, AS_REP, TGS_REQ, TGS_REP, ERROR];

/// Bytes of the length over TCP.
const LENGTH: usize = 4;
/// Application tag, sequence and version with their lengths; no message is shorter.
const MIN_MESSAGE: usize = 16;
/// Tickets with all group memberships reach the 64 KiB of MaxTokenSize; some room beyond.
const MAX_MESSAGE: usize = 1 << 20;
/// Clients wait for one answer before they ask again.
const MAX_OUTSTANDING: usize = 8;
/// Principals have one to three components.
const MAX_COMPONENTS: usize = 16;
