//! MySQL and PostgreSQL, as far as a conversation that turns to TLS: the greeting names the server, and what follows the
//! request for TLS is handed over. Queries are not read.
//!
//! Read: MySQL, "Connection Phase"; PostgreSQL, "Message Formats" (SSLRequest, StartupMessage).

use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::Reader;
use crate::base::wire::text;
use crate::event::{Banner, Direction, Event, Transport};

/// MySQL and MariaDB: the server speaks first.
pub(super) static MYSQL: Protocol =
    Protocol { name: "mysql", transport: Transport::Tcp, ports: &[3306], probe: probe_mysql, new: || Box::new(Mysql) };

/// PostgreSQL: the client speaks first.
pub(super) static POSTGRESQL: Protocol = Protocol {
    name: "postgresql",
    transport: Transport::Tcp,
    ports: &[5432],
    probe: probe_postgresql,
    new: || Box::new(Postgresql),
};

/// Length, sequence number 0, protocol 10, a version that begins with a digit.
fn probe_mysql(from: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    if from == Direction::Orig {
        return Probe::Mismatch;
    }
    let Some([_, _, 0, 0, 10, digit]) = r.array::<6>() else {
        return if data.len() < 6 { Probe::NeedMore } else { Probe::Mismatch };
    };
    if digit.is_ascii_digit() { Probe::Match } else { Probe::Mismatch }
}

struct Mysql;

impl Parser for Mysql {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let mut r = Reader::new(input.data);
        let Some([a, b, c, _sequence]) = r.array() else { return Progress::Consumed(0) };
        let len = u32::from_le_bytes([a, b, c, 0]);
        let Some(mut packet) = usize::try_from(len).ok().and_then(|len| r.sub(len)) else {
            return if input.data.len() > MAX_PACKET { Progress::Done } else { Progress::Consumed(0) };
        };
        if input.from == Direction::Resp {
            packet.skip(1);
            let version = packet.rest().split(|b| *b == 0).next().unwrap_or_default();
            if !version.is_empty() {
                let software = text(version);
                let banner = Banner { protocol: "mysql", from: Direction::Resp, software, hassh: None };
                out.push(Event::Banner(Box::new(banner)));
            }
            return Progress::Consumed(r.position());
        }
        // An SSLRequest is the head of a login and nothing else.
        match packet.u32_le() {
            Some(capabilities) if capabilities & CLIENT_SSL != 0 && len == SSL_REQUEST => {
                Progress::Handover(r.position())
            }
            _ => Progress::Done,
        }
    }
}

fn probe_postgresql(from: Direction, data: &[u8]) -> Probe {
    let mut r = Reader::new(data);
    if from == Direction::Resp {
        return Probe::Mismatch;
    }
    match (r.u32(), r.u32()) {
        (Some(8), Some(PG_SSL_REQUEST | PG_GSS_REQUEST)) => Probe::Match,
        (Some(9..=10_000), Some(0x0003_0000..=0x0003_0002)) if r.rest().starts_with(b"user") => Probe::Match,
        (Some(_), None) | (None, _) if data.first().is_none_or(|b| *b == 0) => Probe::NeedMore,
        _ => Probe::Mismatch,
    }
}

struct Postgresql;

impl Parser for Postgresql {
    fn parse(&mut self, input: Input<'_>, _out: &mut Output) -> Progress {
        let mut r = Reader::new(input.data);
        if input.from == Direction::Resp {
            // One byte answers the request for TLS.
            return match r.u8() {
                Some(b'S') => Progress::Handover(1),
                Some(b'N' | b'G') => Progress::Consumed(1),
                _ => Progress::Done,
            };
        }
        match (r.u32(), r.u32()) {
            (Some(8), Some(PG_SSL_REQUEST | PG_GSS_REQUEST)) => Progress::Consumed(8),
            // A client that waits for the answer says nothing; TLS bytes wait for it, too.
            _ if input.data.first() == Some(&0x16) => Progress::Consumed(0),
            (_, None) => Progress::Consumed(0),
            _ => Progress::Done,
        }
    }
}

const CLIENT_SSL: u32 = 0x0800;
/// Capabilities, packet size, character set, filler.
const SSL_REQUEST: u32 = 32;
/// Greetings have about 100 bytes.
const MAX_PACKET: usize = 4096;
const PG_SSL_REQUEST: u32 = 80_877_103;
const PG_GSS_REQUEST: u32 = 80_877_104;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use Direction::{Orig, Resp};

    fn converse(protocol: &Protocol, messages: &[(Direction, &[u8])]) -> (Option<Progress>, Output) {
        let (mut parser, mut out) = ((protocol.new)(), Output::default());
        for (from, data) in messages {
            match parser.parse(Input { from: *from, ts: Timestamp(1), data }, &mut out) {
                Progress::Consumed(_) => {}
                end => return (Some(end), out),
            }
        }
        (None, out)
    }

    const GREETING: &[u8] = b"\x0d\x00\x00\x00\x0a8.0.36\x00\x01\x00\x00\x00\x00";

    #[test]
    fn a_conversation_that_turns_to_tls_is_handed_over() {
        let request = [&[32, 0, 0, 1, 0x85, 0xae, 0x0f, 0x00][..], &[0; 28]].concat();
        let login = [&[40, 0, 0, 1, 0x85, 0xae, 0x0f, 0x00][..], &[0; 36]].concat();
        let (end, out) = converse(&MYSQL, &[(Resp, GREETING), (Orig, &request)]);
        assert_eq!(end, Some(Progress::Handover(36)));
        assert!(matches!(&*out.events, [Event::Banner(b)] if &*b.software == "8.0.36"), "{:?}", out.events);
        assert_eq!(converse(&MYSQL, &[(Resp, GREETING), (Orig, &login)]).0, Some(Progress::Done), "in clear");
        let request = b"\x00\x00\x00\x08\x04\xd2\x16\x2f";
        assert_eq!(converse(&POSTGRESQL, &[(Orig, request), (Resp, b"S")]).0, Some(Progress::Handover(1)));
        let startup = b"\x00\x00\x00\x0f\x00\x03\x00\x00user\0a\0";
        assert_eq!(converse(&POSTGRESQL, &[(Orig, request), (Resp, b"N"), (Orig, startup)]).0, Some(Progress::Done));
    }

    #[test]
    fn probes_know_their_own() {
        assert_eq!(probe_mysql(Resp, GREETING), Probe::Match);
        assert_eq!(probe_mysql(Resp, b"220 a.example ESMTP"), Probe::Mismatch);
        assert_eq!(probe_postgresql(Orig, b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), Probe::Match);
        assert_eq!(probe_postgresql(Orig, b"\x00\x00\x00"), Probe::NeedMore);
        assert_eq!(probe_postgresql(Orig, b"GET / HTTP/1.1"), Probe::Mismatch);
        for n in 0..GREETING.len() {
            converse(&MYSQL, &[(Resp, &GREETING[..n]), (Orig, &GREETING[..n])]);
        }
    }
}
