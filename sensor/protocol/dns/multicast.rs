//! Multicast DNS (RFC 6762) and LLMNR (RFC 4795): DNS messages to everybody on the link. Only their ports tell them
//! from DNS. The answer comes from another address than the question went to, on another flow, so questions are told
//! at once; an answer tells which name its sender claims.

use super::lookups::{Answer, Asked, Lookups};
use super::message::{Message, QUERY};
use super::{codes, oddity, questions, record};
use crate::event::{Direction, Event, Identity, IdentitySource, Oddity, ResolutionProtocol, Transport};
use crate::protocol::{Input, Output, Parser, Probe, Progress, Protocol};

/// RFC 6762.
pub(crate) static MDNS: Protocol = Protocol {
    name: "dns",
    transport: Transport::Udp,
    ports: &[5353],
    probe,
    new: || Box::new(Multicast { protocol: ResolutionProtocol::Mdns, source: IdentitySource::Mdns }),
};

/// RFC 4795.
pub(crate) static LLMNR: Protocol = Protocol {
    name: "dns",
    transport: Transport::Udp,
    ports: &[5355],
    probe,
    new: || Box::new(Multicast { protocol: ResolutionProtocol::Llmnr, source: IdentitySource::Llmnr }),
};

fn probe(_from: Direction, data: &[u8]) -> Probe {
    let header = Message::new(data).map(|m| m.header);
    if header.is_some_and(|h| h.opcode() == QUERY && h.counts.iter().all(|n| *n < MAX_COUNT)) {
        Probe::Match
    } else {
        Probe::Mismatch
    }
}

struct Multicast {
    protocol: ResolutionProtocol,
    source: IdentitySource,
}

impl Parser for Multicast {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        self.message(input, out);
        Progress::Consumed(input.data.len())
    }

    fn idle(&self) -> bool {
        true
    }
}

impl Multicast {
    fn message(&self, input: Input<'_>, out: &mut Output) {
        let Some(mut message) = Message::new(input.data) else { return out.weird(Oddity::DnsTruncated) };
        let (asked, mut flaw) = questions(&mut message);
        let mut lookups = Lookups::new(self.protocol);
        if !message.header.is_response() {
            for asked in asked {
                lookups.announce(input.ts, asked, out);
            }
        } else if flaw.is_none() {
            let mut records = message;
            let (answer, broken) = Answer::read(&mut message);
            flaw = broken;
            // RFC 6762 §18.1: multicast answers repeat no question. RFC 4795 §2.1.1: those of LLMNR do.
            if self.protocol == ResolutionProtocol::Llmnr {
                for asked in asked {
                    lookups.answer(input, Asked { id: message.header.id, ..asked }, answer.clone(), out);
                }
            }
            self.identify(&mut records, input.from, out);
        }
        if let Some(flaw) = flaw {
            out.weird(oddity(flaw));
        }
    }

    /// Address records: who claims which name.
    fn identify(&self, message: &mut Message<'_>, from: Direction, out: &mut Output) {
        let [_, records @ ..] = message.header.counts.map(usize::from);
        let mut told = 0_usize;
        for _ in 0..records.iter().sum::<usize>().min(MAX_RECORDS) {
            let Ok(record) = message.record() else { return };
            if !matches!(record.rtype, codes::A | codes::AAAA) || record.class & 0x7fff != 1 || record.ttl == 0 {
                continue; // RFC 6762 §10.1: a TTL of 0 says goodbye.
            }
            let mut addresses = Vec::new();
            record::text(message, &record, &mut addresses);
            let owner = record::owner(message, &record).ok();
            if let (Some(&ip), Some(owner)) = (addresses.first(), owner) {
                let hostname = owner.strip_suffix(".local").unwrap_or(&owner).into();
                out.push(Event::Identity(Box::new(Identity {
                    ip: Some(ip),
                    side: Some(from),
                    mac: None,
                    client_id: None,
                    hostname: Some(hostname),
                    domain: None,
                    source: self.source,
                })));
                told = told.saturating_add(1);
            }
            if told >= MAX_ADDRESSES {
                return;
            }
        }
    }
}

/// A datagram of 9,000 bytes (RFC 6762 §17) holds fewer records.
const MAX_COUNT: u16 = 512;
/// As many as a datagram may hold.
const MAX_RECORDS: usize = 512;
/// A host has a handful of addresses.
const MAX_ADDRESSES: usize = 16;
