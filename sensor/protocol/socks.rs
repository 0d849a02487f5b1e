//! SOCKS 4, 4a (the NEC papers) and 5 (RFC 1928, RFC 1929): recognised, and what the proxy opens is handed over, so that
//! a TLS name behind a proxy is seen. Who asks for what by SOCKS itself is not told.

use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::Reader;
use crate::event::{Direction, Oddity, Transport};

/// SOCKS.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "socks",
    transport: Transport::Tcp,
    ports: &[1080, 9050, 9150],
    probe,
    new: || Box::new(Socks { stage: Stage::Greeting }),
};

/// The client's first message is short and whole: nothing may follow it before the answer.
fn probe(from: Direction, data: &[u8]) -> Probe {
    if from == Direction::Resp {
        return Probe::Mismatch;
    }
    let verdict = match data {
        [] | [4 | 5] => return Probe::NeedMore,
        [5, count, methods @ ..] => {
            let plausible = (1..=MAX_METHODS).contains(count);
            if plausible && methods.len() < usize::from(*count) {
                return Probe::NeedMore;
            }
            plausible && methods.len() == usize::from(*count) && methods.iter().all(|m| *m < 0x0a || *m >= 0x80)
        }
        // Version, command, port, address, user id, 0.
        [4, 1 | 2, rest @ ..] if rest.len() < 7 => return Probe::NeedMore,
        [4, 1 | 2, ..] => data.len() <= MAX_REQUEST && data.last() == Some(&0),
        _ => false,
    };
    if verdict { Probe::Match } else { Probe::Mismatch }
}

struct Socks {
    stage: Stage,
}

/// What comes next, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The client's greeting, or the whole of a request of version 4.
    Greeting,
    /// The server's choice of a method.
    Choice,
    /// The client's name and password.
    Login,
    /// Whether they are good.
    Verdict,
    /// The client's request.
    Request,
    /// The answer of version 4 or 5.
    Reply(u8),
}

impl Stage {
    const fn speaker(self) -> Direction {
        match self {
            Self::Greeting | Self::Login | Self::Request => Direction::Orig,
            Self::Choice | Self::Verdict | Self::Reply(_) => Direction::Resp,
        }
    }
}

impl Socks {
    /// Takes one message; `None` when it is not whole.
    fn message(&mut self, r: &mut Reader<'_>) -> Option<Progress> {
        let version = r.u8()?;
        let mut bad = false;
        self.stage = match self.stage {
            Stage::Greeting if version == 4 => {
                r.skip(1)?;
                r.skip(2)?;
                let address = r.array::<4>()?;
                terminated(r)?;
                // 4a: an address that cannot be announces a name.
                if address.starts_with(&[0, 0, 0]) && address != [0; 4] {
                    terminated(r)?;
                }
                Stage::Reply(4)
            }
            Stage::Greeting => {
                let count = r.u8()?;
                r.skip(count.into())?;
                Stage::Choice
            }
            Stage::Choice => match r.u8()? {
                0 => Stage::Request,
                2 => Stage::Login,
                _ => return Some(Progress::Done), // Refused, or a method whose messages we do not know.
            },
            Stage::Login => {
                for _ in 0..2 {
                    let len = r.u8()?;
                    r.skip(len.into())?;
                }
                Stage::Verdict
            }
            Stage::Verdict => {
                if r.u8()? != 0 {
                    return Some(Progress::Done);
                }
                Stage::Request
            }
            Stage::Request => {
                bad = version != 5;
                r.skip(2)?;
                address(r)?;
                Stage::Reply(5)
            }
            Stage::Reply(4) => {
                let granted = r.u8()? == GRANTED;
                r.skip(6)?;
                return Some(if granted { Progress::Handover(r.position()) } else { Progress::Done });
            }
            Stage::Reply(_) => {
                let granted = version == 5 && r.u8()? == 0;
                r.skip(1)?;
                address(r)?;
                return Some(if granted { Progress::Handover(r.position()) } else { Progress::Done });
            }
        };
        Some(if bad { Progress::Malformed(Oddity::ParserMalformed) } else { Progress::Consumed(r.position()) })
    }
}

impl Parser for Socks {
    fn parse(&mut self, input: Input<'_>, _out: &mut Output) -> Progress {
        if input.from != self.stage.speaker() {
            return Progress::Consumed(0); // What is behind the answer belongs to what it opens.
        }
        let before = self.stage;
        match self.message(&mut Reader::new(input.data)) {
            Some(progress) => progress,
            None if input.data.len() > MAX_REQUEST => Progress::Malformed(Oddity::ParserMalformed),
            None => {
                self.stage = before;
                Progress::Consumed(0)
            }
        }
    }
}

/// RFC 1928 §5: type, address, port.
fn address(r: &mut Reader<'_>) -> Option<()> {
    let len = match r.u8()? {
        1 => 4,
        3 => r.u8()?.into(),
        _ => 16,
    };
    r.skip(len)?;
    r.skip(2)
}

/// Text up to its 0.
fn terminated(r: &mut Reader<'_>) -> Option<()> {
    for _ in 0..MAX_REQUEST {
        if r.u8()? == 0 {
            return Some(());
        }
    }
    None
}

/// Clients offer two or three.
const MAX_METHODS: u8 = 8;
/// Name and password of RFC 1929 have 255 bytes each.
const MAX_REQUEST: usize = 520;
/// Version 4: request granted.
const GRANTED: u8 = 0x5a;

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Orig, Resp};

    /// Feeds messages; gives what ended the parsing and what is left of each side's last message.
    fn converse(messages: &[(Direction, &[u8])]) -> Option<Progress> {
        let (mut parser, mut out) = ((PROTOCOL.new)(), Output::default());
        for (from, data) in messages {
            match parser.parse(Input { from: *from, ts: crate::base::Timestamp(1), data }, &mut out) {
                Progress::Consumed(_) => {}
                end => return Some(end),
            }
        }
        None
    }

    #[test]
    fn what_the_proxy_opens_is_handed_over() {
        let by_name = b"\x05\x01\x00\x03\x09a.example\x01\xbb";
        let granted = b"\x05\x00\x00\x01\xc0\x00\x02\x01\x01\xbb";
        for (what, messages, end) in [
            (
                "version 5",
                &[(Orig, &b"\x05\x01\x00"[..]), (Resp, b"\x05\x00"), (Orig, by_name), (Resp, granted)][..],
                Some(Progress::Handover(10)),
            ),
            (
                "version 5 with a password",
                &[
                    (Orig, b"\x05\x02\x00\x02"),
                    (Resp, b"\x05\x02"),
                    (Orig, b"\x01\x01u\x01p"),
                    (Resp, b"\x01\x00"),
                    (Orig, by_name),
                    (Resp, granted),
                ],
                Some(Progress::Handover(10)),
            ),
            ("refused", &[(Orig, b"\x05\x01\x00"), (Resp, b"\x05\xff")], Some(Progress::Done)),
            (
                "version 4a",
                &[(Orig, b"\x04\x01\x01\xbb\x00\x00\x00\x01u\x00a.example\x00"), (Resp, b"\x00\x5a\0\0\0\0\0\0")],
                Some(Progress::Handover(8)),
            ),
            ("no answer yet", &[(Orig, b"\x05\x01\x00"), (Orig, b"\x16\x03\x01")], None),
        ] {
            assert_eq!(converse(messages), end, "{what}");
        }
    }

    #[test]
    fn probes_take_whole_greetings_only() {
        for (what, data, expected) in [
            ("version 5", &b"\x05\x01\x00"[..], Probe::Match),
            ("version 5, not whole", b"\x05\x02\x00", Probe::NeedMore),
            ("version 4", b"\x04\x01\x00\x50\xc0\x00\x02\x01u\x00", Probe::Match),
            ("DCE-RPC", b"\x05\x00\x0b\x03\x10\x00\x00\x00", Probe::Mismatch),
            ("more than a greeting", b"\x05\x01\x00\x03", Probe::Mismatch),
        ] {
            assert_eq!(probe(Orig, data), expected, "{what}");
        }
    }

    #[test]
    fn no_prefix_does_harm() {
        let login = b"\x01\x01u\x01p";
        for n in 0..=login.len() {
            converse(&[(Orig, b"\x05\x01\x02"), (Resp, b"\x05\x02"), (Orig, &login[..n]), (Resp, b"\x01")]);
        }
    }
}
