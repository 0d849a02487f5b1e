//! Gnutella 0.6: peers greet each other with heads like HTTP's, three in all, and may agree to speak TLS afterwards. The
//! greeting names the software; what follows an agreement is handed over.
//!
//! What it does not do: the messages after the greeting. Read: the protocol's draft, "Handshake".

use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::Reader;
use crate::base::wire::text;
use crate::event::{Banner, Event, Transport};

pub(super) static PROTOCOL: Protocol = Protocol {
    name: "gnutella",
    transport: Transport::Tcp,
    ports: &[6346],
    probe: |_, data| probe(data),
    new: || Box::new(Gnutella::default()),
};

fn probe(data: &[u8]) -> Probe {
    let begins = |word: &[u8]| data.iter().zip(word).all(|(a, b)| a == b);
    match [OPENING, ANSWER].into_iter().find(|word| begins(word)) {
        Some(word) if data.len() >= word.len() => Probe::Match,
        Some(_) => Probe::NeedMore,
        None => Probe::Mismatch,
    }
}

#[derive(Default)]
struct Gnutella {
    /// Heads that were whole.
    heads: u8,
    /// How many of them asked for, or agreed to, TLS.
    willing: u8,
}

impl Parser for Gnutella {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let mut r = Reader::new(input.data);
        let (mut software, mut willing) = (None, false);
        loop {
            // Each turn takes a line, so `data` bounds the loop.
            let Some(line) = r.line(MAX_HEAD) else {
                return if input.data.len() < MAX_HEAD { Progress::Consumed(0) } else { Progress::Done };
            };
            let line = line.trim_ascii();
            if line.is_empty() {
                break;
            }
            let value = |name: &[u8]| {
                let (found, value) = line.split_at_checked(name.len())?;
                found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
            };
            software = software.or_else(|| value(b"User-Agent:"));
            willing |= value(b"Upgrade:").is_some_and(|v| v.starts_with(b"TLS/"));
            willing |= value(b"Connection:").is_some_and(|v| v.eq_ignore_ascii_case(b"Upgrade"));
        }
        if let Some(software) = software.map(text).filter(|name| !name.is_empty()) {
            let banner = Banner { protocol: "gnutella", from: input.from, software, hassh: None };
            out.push(Event::Banner(Box::new(banner)));
        }
        self.heads = self.heads.saturating_add(1);
        self.willing = self.willing.saturating_add(u8::from(willing));
        match (self.heads, self.willing) {
            (HEADS.., HEADS..) => Progress::Handover(r.position()),
            (HEADS.., _) => Progress::Done,
            _ => Progress::Consumed(r.position()),
        }
    }
}

const OPENING: &[u8] = b"GNUTELLA CONNECT/";
const ANSWER: &[u8] = b"GNUTELLA/0.6 ";
/// The caller's, the answer, the caller's last word.
const HEADS: u8 = 3;
/// Real ones take a kilobyte.
const MAX_HEAD: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::event::Direction::{Orig, Resp};

    #[test]
    fn tls_is_handed_over_when_all_three_heads_agree() {
        let hello = "GNUTELLA CONNECT/0.6\r\nUser-Agent: peer/1\r\nUpgrade: TLS/1.0\r\n\r\n";
        let answer = "GNUTELLA/0.6 200 OK\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n";
        let plain = "GNUTELLA/0.6 200 OK\r\n\r\n";
        let last = "GNUTELLA/0.6 200 OK\r\nConnection: Upgrade\r\n\r\n";
        for (what, heads, expected) in [
            ("agreed", [hello, answer, last], Progress::Handover(last.len())),
            ("the peer does not", [hello, plain, plain], Progress::Done),
            ("a head that is not whole", [hello, answer, &last[..30]], Progress::Consumed(0)),
        ] {
            let (mut parser, mut out, mut end) = (Gnutella::default(), Output::default(), Progress::Done);
            for (from, head) in [Orig, Resp, Orig].into_iter().zip(heads) {
                end = parser.parse(Input { from, ts: Timestamp(0), data: head.as_bytes() }, &mut out);
            }
            assert_eq!(end, expected, "{what}");
            assert!(matches!(&out.events[..], [Event::Banner(b)] if &*b.software == "peer/1"), "{what}");
        }
        assert_eq!(probe(b"GNUTELLA C"), Probe::NeedMore);
        assert_eq!(probe(b"GNUTELLA/0.4 "), Probe::Mismatch);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            probe(&data);
            let mut out = Output::default();
            Gnutella::default().parse(Input { from: Orig, ts: Timestamp(0), data: &data }, &mut out);
        }
    }
}
