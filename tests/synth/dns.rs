//! DNS look-ups (RFC 1035), over UDP and TCP.

use super::net::{Host, MS, Nanos, Wire};
use super::tcp::{Side, Tcp};
use std::net::IpAddr;

/// Type numbers from IANA.
pub(crate) const A: u16 = 1;
/// CNAME.
pub(crate) const CNAME: u16 = 5;
/// PTR.
pub(crate) const PTR: u16 = 12;
/// TXT.
pub(crate) const TXT: u16 = 16;
/// AAAA.
pub(crate) const AAAA: u16 = 28;
/// SRV.
pub(crate) const SRV: u16 = 33;
/// HTTPS.
pub(crate) const HTTPS: u16 = 65;

/// NOERROR.
pub(crate) const FOUND: u8 = 0;
/// NXDOMAIN.
pub(crate) const NO_SUCH_NAME: u8 = 3;

/// What an answer record says.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A or AAAA.
    Address(IpAddr),
    /// The name is another's alias; the records that follow are the other's.
    Alias(String),
    /// One string of text.
    Text(String),
    /// Priority, weight, port, target.
    Service(u16, u16, u16, String),
    /// What a pointer points to.
    Pointer(String),
}

/// A question in a message of its own.
pub(crate) fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut out = header(id, 0x0100, 0);
    out.extend_from_slice(&labels(name));
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    out
}

/// The answer to [`query`], names compressed as servers do (RFC 1035 §4.1.4).
pub(crate) fn response(id: u16, name: &str, kind: u16, rcode: u8, ttl: u32, answers: &[Answer]) -> Vec<u8> {
    let mut out = header(id, 0x8180 | u16::from(rcode), answers.len() as u16);
    out.extend_from_slice(&labels(name));
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    // The owner of the first record is the question; after an alias, the alias's target.
    let mut owner = 12_u16;
    for answer in answers {
        out.extend_from_slice(&(0xc000 | owner).to_be_bytes());
        let (kind, data) = match answer {
            Answer::Address(IpAddr::V4(ip)) => (A, ip.octets().to_vec()),
            Answer::Address(IpAddr::V6(ip)) => (AAAA, ip.octets().to_vec()),
            Answer::Alias(target) => (CNAME, labels(target)),
            Answer::Text(text) => (TXT, [&[text.len() as u8][..], text.as_bytes()].concat()),
            Answer::Pointer(target) => (PTR, labels(target)),
            Answer::Service(priority, weight, port, target) => {
                let numbers = [priority.to_be_bytes(), weight.to_be_bytes(), port.to_be_bytes()].concat();
                (SRV, [numbers, labels(target)].concat())
            }
        };
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 1]);
        out.extend_from_slice(&ttl.to_be_bytes());
        out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        if kind == CNAME {
            owner = out.len() as u16;
        }
        out.extend_from_slice(&data);
    }
    out
}

/// A look-up and its answer over UDP; returns when the answer came.
pub(crate) fn look_up(
    wire: &mut Wire,
    at: Nanos,
    client: &Host,
    server: &Host,
    (name, kind): (&str, u16),
    (rcode, answers): (u8, &[Answer]),
) -> Nanos {
    let (port, id) = (wire.port(client), wire.random.next() as u16);
    let ttl = *wire.random.pick(&[60, 300, 600, 3600]);
    let pause = match server.is_inside() {
        true => wire.random.between(300_000, 9 * MS),
        false => wire.random.between(9 * MS, 40 * MS),
    };
    wire.udp(at, (client, port), (server, 53), &query(id, name, kind));
    wire.udp(at + pause, (server, 53), (client, port), &response(id, name, kind, rcode, ttl, answers));
    at + pause
}

/// The same over TCP (RFC 7766 §8: two bytes of length before each message).
pub(crate) fn look_up_over_tcp(
    wire: &mut Wire,
    at: Nanos,
    client: &Host,
    server: &Host,
    lookups: &[(&str, u16, Vec<Answer>)],
) -> Nanos {
    let mut tcp = Tcp::new(wire, at, client, (server, 53));
    tcp.open();
    for (name, kind, answers) in lookups {
        let id = tcp.wire.random.next() as u16;
        tcp.orig(&framed(&query(id, name, *kind)));
        tcp.resp(&framed(&response(id, name, *kind, FOUND, 300, answers)));
    }
    tcp.close(Side::Orig)
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

pub(crate) fn header(id: u16, flags: u16, answers: u16) -> Vec<u8> {
    [id, flags, 1, answers, 0, 0].iter().flat_map(|field| field.to_be_bytes()).collect()
}

/// Which IPv4 address has a name, told to everybody: an answer without a question, the cache-flush bit set (RFC 6762
/// §10.2).
pub(crate) fn announcement(name: &str, ip: IpAddr) -> Vec<u8> {
    let IpAddr::V4(ip) = ip else { return Vec::new() };
    let mut answer = header(0, 0x8400, 1);
    answer[4..6].fill(0);
    answer.extend(labels(name));
    answer.extend([0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4]);
    answer.extend(ip.octets());
    answer
}

/// A name as length-prefixed labels.
pub(crate) fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|l| !l.is_empty()) {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}
