//! Android Debug Bridge: a shell on whoever listens, on TCP 5555 by habit. Messages have a header of 24 octets; both
//! sides may agree to speak TLS (`STLS`), which is handed over.
//!
//! What it does not do: the streams opened within. Read: the protocol's `protocol.txt`.

use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::Reader;
use crate::event::Transport;

pub(super) static PROTOCOL: Protocol = Protocol {
    name: "adb",
    transport: Transport::Tcp,
    ports: &[5555],
    probe: |_, data| probe(data),
    new: || Box::new(Adb { secured: 0, messages: 0 }),
};

/// Command and length, when the last word is the first one's complement.
fn header(data: &[u8]) -> Option<([u8; 4], usize)> {
    let mut r = Reader::new(data);
    let command: [u8; 4] = r.array()?;
    r.skip(8)?;
    let len = r.u32_le()?;
    r.skip(4)?;
    let magic: [u8; 4] = r.array()?;
    let complement = command.iter().zip(magic).all(|(a, b)| *a == !b);
    complement.then_some((command, usize::try_from(len).ok()?))
}

fn probe(data: &[u8]) -> Probe {
    let known = COMMANDS.iter().any(|word| data.iter().zip(*word).all(|(a, b)| a == b));
    match (known, header(data)) {
        (true, Some(_)) => Probe::Match,
        (true, None) if data.len() < HEADER => Probe::NeedMore,
        _ => Probe::Mismatch,
    }
}

struct Adb {
    /// Sides that said `STLS`.
    secured: u8,
    messages: u8,
}

impl Parser for Adb {
    fn parse(&mut self, input: Input<'_>, _out: &mut Output) -> Progress {
        if input.data.len() < HEADER {
            return Progress::Consumed(0);
        }
        self.messages = self.messages.saturating_add(1);
        let Some((command, len)) = header(input.data).filter(|_| self.messages < MAX_MESSAGES) else {
            return Progress::Done;
        };
        self.secured = self.secured.saturating_add(u8::from(&command == SECURE));
        let whole = HEADER.saturating_add(len);
        if self.secured == 2 { Progress::Handover(whole) } else { Progress::Consumed(whole) }
    }
}

const HEADER: usize = 24;
const SECURE: &[u8; 4] = b"STLS";
const COMMANDS: &[&[u8; 4]] = &[b"CNXN", b"SYNC", b"AUTH", SECURE];
/// Connection, authentication in a few tries, TLS: then nothing new comes.
const MAX_MESSAGES: u8 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::event::Direction::{Orig, Resp};

    fn message(command: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len()).unwrap().to_le_bytes();
        let magic = command.map(|b| !b);
        [command, &[0; 8][..], &len, &[0; 4], &magic, body].concat()
    }

    #[test]
    fn tls_is_handed_over_when_both_sides_said_so() {
        let mut parser = Adb { secured: 0, messages: 0 };
        for (what, from, data, expected) in [
            ("connection", Orig, message(b"CNXN", b"host::"), Progress::Consumed(30)),
            ("the device wants TLS", Resp, message(b"STLS", b""), Progress::Consumed(24)),
            ("the host too", Orig, message(b"STLS", b""), Progress::Handover(24)),
        ] {
            assert_eq!(probe(&data), Probe::Match, "{what}");
            assert_eq!(probe(&data[..20]), Probe::NeedMore, "{what}");
            let progress = parser.parse(Input { from, ts: Timestamp(0), data: &data }, &mut Output::default());
            assert_eq!(progress, expected, "{what}");
        }
        assert_eq!(probe(&[b"CNXN", &[0; 20][..]].concat()), Probe::Mismatch, "no complement");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            probe(&data);
            let input = Input { from: Orig, ts: Timestamp(0), data: &data };
            Adb { secured: 1, messages: 0 }.parse(input, &mut Output::default());
        }
    }
}
