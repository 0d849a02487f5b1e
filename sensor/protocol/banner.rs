//! SMTP (RFC 5321), FTP (RFC 959), IMAP (RFC 9051), POP3 (RFC 1939): the server's greeting names its software; a
//! conversation that turns to TLS (STARTTLS, RFC 3207, RFC 4217, RFC 2595) is handed over; FTP's data connections are
//! announced (RFC 959 §4.1.2, RFC 2428).
//!
//! What it does not do: mail and file names, credentials, anything after the first lines.

use super::{Input, Output, Parser, Probe, Progress, Promise, Promised, Protocol};
use crate::base::Reader;
use crate::base::wire::text;
use crate::event::{Banner, Direction, Event, Transport};

pub(super) static SMTP: Protocol = Protocol {
    name: "smtp",
    transport: Transport::Tcp,
    ports: &[25, 587, 2525],
    probe: |from, data| SMTP_WORDS.probe(from, data),
    new: || Box::new(Conversation::new(&SMTP_WORDS)),
};

pub(super) static FTP: Protocol = Protocol {
    name: "ftp",
    transport: Transport::Tcp,
    ports: &[21, 2121],
    probe: |from, data| FTP_WORDS.probe(from, data),
    new: || Box::new(Conversation::new(&FTP_WORDS)),
};

pub(super) static IMAP: Protocol = Protocol {
    name: "imap",
    transport: Transport::Tcp,
    ports: &[143],
    probe: |from, data| IMAP_WORDS.probe(from, data),
    new: || Box::new(Conversation::new(&IMAP_WORDS)),
};

pub(super) static POP3: Protocol = Protocol {
    name: "pop3",
    transport: Transport::Tcp,
    ports: &[110],
    probe: |from, data| POP3_WORDS.probe(from, data),
    new: || Box::new(Conversation::new(&POP3_WORDS)),
};

/// SMTP and FTP greet alike; at their ports the code is enough.
pub(super) static SMTP_AT_PORT: Protocol = Protocol { probe: probe_220, ..SMTP };
pub(super) static FTP_AT_PORT: Protocol = Protocol { probe: probe_220, ..FTP };

fn probe_220(from: Direction, data: &[u8]) -> Probe {
    match from {
        Direction::Resp => begins(data, &[b"220 ", b"220-"]),
        Direction::Orig => Probe::NeedMore,
    }
}

/// The words by which a conversation is known.
struct Words {
    protocol: &'static str,
    /// How a greeting begins.
    greeting: &'static [&'static [u8]],
    /// One of these is in the greeting's first line, in capitals; none needed when empty.
    within: &'static [&'static [u8]],
    /// How a client's first line begins, when that tells.
    opening: &'static [&'static [u8]],
    /// The client's command that asks for TLS, and how consent begins.
    secure: [&'static [u8]; 2],
    /// Commands, but for their case and arguments, have a tag before them.
    tagged: bool,
    /// Lines read before all is known; FTP arranges a connection for each file.
    lines: u16,
}

static SMTP_WORDS: Words = Words {
    protocol: "smtp",
    greeting: &[b"220 ", b"220-"],
    within: &[b"SMTP", b"MAIL"],
    opening: &[b"EHLO ", b"HELO ", b"LHLO "],
    secure: [b"STARTTLS", b"220"],
    tagged: false,
    lines: MAX_LINES,
};
static FTP_WORDS: Words = Words {
    protocol: "ftp",
    greeting: &[b"220 ", b"220-"],
    within: &[b"FTP", b"FILE"],
    opening: &[b"USER ", b"AUTH TLS", b"AUTH SSL", b"FEAT\r\n", b"SYST\r\n"],
    secure: [b"AUTH ", b"234"],
    tagged: false,
    lines: u16::MAX,
};
static IMAP_WORDS: Words = Words {
    protocol: "imap",
    greeting: &[b"* OK ", b"* PREAUTH ", b"* BYE "],
    within: &[],
    opening: &[],
    secure: [b"STARTTLS", b"OK"],
    tagged: true,
    lines: MAX_LINES,
};
static POP3_WORDS: Words = Words {
    protocol: "pop3",
    greeting: &[b"+OK "],
    within: &[],
    opening: &[],
    secure: [b"STLS", b"+OK"],
    tagged: false,
    lines: MAX_LINES,
};

impl Words {
    fn probe(&self, from: Direction, data: &[u8]) -> Probe {
        match from {
            Direction::Orig => begins(data, self.opening),
            Direction::Resp => match begins(data, self.greeting) {
                Probe::Match if !self.within.is_empty() => self.probe_line(data),
                other => other,
            },
        }
    }

    /// "220 ready" may be anybody's: then the client's first command decides.
    fn probe_line(&self, data: &[u8]) -> Probe {
        let line = data.split(|b| *b == b'\n').next().unwrap_or_default();
        let line = line.get(..MAX_LINE).unwrap_or(line).to_ascii_uppercase();
        if self.within.iter().any(|word| contains(&line, word)) { Probe::Match } else { Probe::NeedMore }
    }
}

/// Whether data begin with one of the words, whatever their case, or could with more.
fn begins(data: &[u8], words: &[&[u8]]) -> Probe {
    let mut answer = Probe::Mismatch;
    for word in words {
        let seen = data.get(..word.len()).unwrap_or(data);
        if seen.eq_ignore_ascii_case(word) {
            return Probe::Match;
        }
        if word.get(..seen.len()).is_some_and(|start| seen.eq_ignore_ascii_case(start)) {
            answer = Probe::NeedMore;
        }
    }
    answer
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

struct Conversation {
    words: &'static Words,
    lines: u16,
    greeted: bool,
    /// The client asked for TLS and was not answered yet.
    wants_tls: bool,
}

impl Conversation {
    const fn new(words: &'static Words) -> Self {
        Self { words, lines: 0, greeted: false, wants_tls: false }
    }

    fn line(&mut self, from: Direction, line: &[u8], out: &mut Output) -> Option<Progress> {
        let [ask, consent] = self.words.secure;
        let after_tag = line.iter().position(|b| *b == b' ').and_then(|at| line.get(at.saturating_add(1)..));
        let command = if self.words.tagged { after_tag.unwrap_or_default() } else { line };
        match from {
            Direction::Orig => self.wants_tls |= begins(command, &[ask]) == Probe::Match,
            Direction::Resp if !self.greeted => {
                self.greeted = true;
                let greeting = self.words.greeting.iter().find_map(|word| line.strip_prefix(*word));
                if let Some(software) = greeting.map(|said| text(said.trim_ascii())).filter(|said| !said.is_empty()) {
                    let protocol = self.words.protocol;
                    out.push(Event::Banner(Box::new(Banner { protocol, from, software, hassh: None })));
                }
            }
            Direction::Resp if self.wants_tls => {
                // Other lines may answer what was asked before (pipelining); untagged ones are news.
                if begins(command, &[consent]) == Probe::Match {
                    return Some(Progress::Handover(0));
                }
            }
            Direction::Resp => {}
        }
        if self.words.protocol == "ftp"
            && let Some((side, port)) = arranged(from, line)
        {
            out.promises.push(Promise { side, port, what: Promised::FtpData });
        }
        None
    }
}

/// Which side of an FTP conversation will listen where.
fn arranged(from: Direction, line: &[u8]) -> Option<(Direction, u16)> {
    let long = |list: &[u8]| {
        let mut numbers =
            list.split(|b| *b == b',').map(|n| std::str::from_utf8(n.trim_ascii()).ok()?.parse::<u8>().ok());
        let (high, low) = (numbers.nth(4)??, numbers.next()??);
        Some(u16::from_be_bytes([high, low]))
    };
    let extended = |list: &[u8]| {
        let port = list.split(|b| *b == b'|').nth(3)?;
        std::str::from_utf8(port).ok()?.parse().ok()
    };
    let within = || line.split(|b| matches!(b, b'(' | b')')).nth(1);
    let after = |word: &[u8]| {
        let (command, rest) = line.split_at_checked(word.len())?;
        command.eq_ignore_ascii_case(word).then_some(rest.trim_ascii())
    };
    let port = match from {
        Direction::Resp if line.starts_with(b"227 ") => long(within()?),
        Direction::Resp if line.starts_with(b"229 ") => extended(within()?),
        Direction::Resp => None,
        Direction::Orig => after(b"PORT ").and_then(long).or_else(|| after(b"EPRT ").and_then(extended)),
    };
    port.filter(|port| *port != 0).map(|port| (from, port))
}

impl Parser for Conversation {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let mut r = Reader::new(input.data);
        let Some(line) = r.line(MAX_LINE) else {
            return if input.data.len() < MAX_LINE { Progress::Consumed(0) } else { Progress::Done };
        };
        self.lines = self.lines.saturating_add(1);
        match self.line(input.from, line, out) {
            Some(_) => Progress::Handover(r.position()),
            None if self.lines >= self.words.lines => Progress::Done,
            None => Progress::Consumed(r.position()),
        }
    }
}

/// RFC 5321 §4.5.3.1.5 allows 512 bytes, RFC 7162 §4 advises 8,192 for IMAP.
const MAX_LINE: usize = 8192;
/// A greeting, what the server can do, and the request for TLS come within a few dozen lines.
const MAX_LINES: u16 = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use Direction::{Orig, Resp};

    #[test]
    fn greetings_name_software_and_tls_is_handed_over() {
        for (what, protocol, lines, expected) in [
            (
                "SMTP",
                &SMTP,
                vec![(Resp, "220 mx.example ESMTP Postfix\r\n"), (Orig, "EHLO a\r\n")],
                "smtp mx.example ESMTP Postfix",
            ),
            (
                "SMTP turns to TLS",
                &SMTP,
                vec![(Resp, "220 mx.example ESMTP\r\n"), (Orig, "STARTTLS\r\n"), (Resp, "220 go\r\n")],
                "smtp mx.example ESMTP, handover",
            ),
            (
                "SMTP refuses TLS",
                &SMTP,
                vec![(Resp, "220 mx.example ESMTP\r\n"), (Orig, "STARTTLS\r\n"), (Resp, "454 no\r\n")],
                "smtp mx.example ESMTP",
            ),
            ("FTP", &FTP, vec![(Resp, "220 (vsFTPd 3.0.5)\r\n"), (Orig, "USER a\r\n")], "ftp (vsFTPd 3.0.5)"),
            (
                "FTP turns to TLS",
                &FTP,
                vec![(Resp, "220-Welcome\n"), (Resp, "220 ok\n"), (Orig, "auth tls\r\n"), (Resp, "234 ok\r\n")],
                "ftp Welcome, handover",
            ),
            (
                "IMAP turns to TLS",
                &IMAP,
                vec![(Resp, "* OK Dovecot ready.\r\n"), (Orig, "a1 STARTTLS\r\n"), (Resp, "a1 OK begin\r\n")],
                "imap Dovecot ready., handover",
            ),
            (
                "POP3 turns to TLS",
                &POP3,
                vec![(Resp, "+OK Dovecot\r\n"), (Orig, "STLS\r\n"), (Resp, "+OK\r\n")],
                "pop3 Dovecot, handover",
            ),
            ("a greeting that never ends", &SMTP, vec![(Resp, "220 ")], ""),
        ] {
            assert_eq!(told(protocol, &lines), expected, "{what}");
        }
    }

    #[test]
    fn ftp_says_which_port_its_data_will_take() {
        for (what, from, line, expected) in [
            ("passive", Resp, "227 Entering Passive Mode (10,0,0,2,195,80).", Some(50_000)),
            ("extended passive", Resp, "229 Entering Extended Passive Mode (|||50001|)", Some(50_001)),
            ("active", Orig, "port 10,0,0,1,4,1", Some(1025)),
            ("extended active", Orig, "EPRT |2|2001:db8::1|50002|", Some(50_002)),
            ("no port at all", Resp, "227 Entering Passive Mode (10,0,0,2,0,0)", None),
            ("numbers too large", Resp, "227 Entering Passive Mode (10,0,0,2,300,1)", None),
            ("another answer", Resp, "230 Logged in (10,0,0,2,195,80)", None),
            ("the wrong side", Orig, "227 Entering Passive Mode (10,0,0,2,195,80)", None),
        ] {
            assert_eq!(arranged(from, line.as_bytes()), expected.map(|port| (from, port)), "{what}");
        }
    }

    #[test]
    fn greetings_are_told_apart_on_any_port() {
        for (what, from, data, expected) in [
            ("SMTP", Resp, "220 mx.example ESMTP\r\n", "smtp"),
            ("FTP", Resp, "220 ProFTPD Server\r\n", "ftp"),
            ("a mail client", Orig, "ehlo a\r\n", "smtp"),
            ("an FTP client", Orig, "USER a\r\n", "ftp"),
            ("IMAP", Resp, "* OK [CAPABILITY IMAP4rev1] hi\r\n", "imap"),
            ("POP3", Resp, "+OK ready\r\n", "pop3"),
            ("a greeting that could be both", Resp, "220 ready\r\n", "smtp ftp"),
            ("Redis", Resp, "+OK\r\n", ""),
            ("HTTP", Orig, "GET / HTTP/1.1\r\n", ""),
        ] {
            let saying = |wanted| {
                let all =
                    [&SMTP, &FTP, &IMAP, &POP3].into_iter().filter(|p| (p.probe)(from, data.as_bytes()) == wanted);
                all.map(|p| p.name).collect::<Vec<_>>().join(" ")
            };
            let found = Some(saying(Probe::Match)).filter(|found| !found.is_empty());
            assert_eq!(found.unwrap_or_else(|| saying(Probe::NeedMore)), expected, "{what}");
        }
        assert_eq!((FTP_AT_PORT.probe)(Resp, b"220 ready\r\n"), Probe::Match, "at its port the code is enough");
    }

    #[test]
    fn a_long_conversation_and_a_long_line_end_the_parsing() {
        let mut conversation = Conversation::new(&SMTP_WORDS);
        let mut parse =
            |data: &[u8]| conversation.parse(Input { from: Resp, ts: Timestamp(0), data }, &mut Output::default());
        for _ in 1..MAX_LINES {
            assert_eq!(parse(b"250 ok\r\n"), Progress::Consumed(8));
        }
        assert_eq!(parse(b"250 ok\r\n"), Progress::Done);
        assert_eq!(parse(&[b'x'; MAX_LINE]), Progress::Done);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            for protocol in [&SMTP, &FTP, &IMAP, &POP3, &SMTP_AT_PORT] {
                for from in [Orig, Resp] {
                    (protocol.probe)(from, &data);
                    (protocol.new)().parse(Input { from, ts: Timestamp(0), data: &data }, &mut Output::default());
                }
            }
        }
    }

    fn told(protocol: &Protocol, lines: &[(Direction, &str)]) -> String {
        let (mut parser, mut out) = ((protocol.new)(), Output::default());
        let mut told = Vec::new();
        for (from, line) in lines {
            let progress = parser.parse(Input { from: *from, ts: Timestamp(0), data: line.as_bytes() }, &mut out);
            if progress == Progress::Handover(line.len()) {
                told.push("handover".to_owned());
            }
        }
        let banners = out.events.iter().map(|event| match event {
            Event::Banner(b) => format!("{} {}", b.protocol, b.software),
            other => format!("{other:?}"),
        });
        banners.chain(told).collect::<Vec<_>>().join(", ")
    }
}
