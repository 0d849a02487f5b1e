//! SSH (RFC 4253): identification strings, key exchange offers (HASSH) and, by the sizes of what follows encrypted,
//! whether somebody got in.
//!
//! HASSH is the MD5 of one side's offered algorithms, `kex;encryption;mac;compression` in the direction it sends
//! (Salesforce, BSD-3-Clause): it names the software when the identification string lies. A session is told as an
//! [`Execution`] once both sides have sent more than the exchanges of a failed log-in need. What it does not do:
//! SSH 1 beyond its identification, decrypt, count keystrokes.

use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::Reader;
use crate::base::wire::text;
use crate::event::{Act, Banner, Channel, Direction, Event, Execution, Oddity, Transport};
use md5::{Digest, Md5};

/// RFC 4253.
pub(super) static PROTOCOL: Protocol =
    Protocol { name: "ssh", transport: Transport::Tcp, ports: &[22], probe, new: || Box::new(Ssh::default()) };

fn probe(_from: Direction, data: &[u8]) -> Probe {
    let seen = data.get(..MAGIC.len()).unwrap_or(data);
    match seen == MAGIC {
        true => Probe::Match,
        false if MAGIC.starts_with(seen) => Probe::NeedMore,
        false => Probe::Mismatch,
    }
}

#[derive(Default)]
struct Ssh {
    orig: Side,
    resp: Side,
    session_told: bool,
}

#[derive(Default)]
struct Side {
    stage: Stage,
    software: Option<Box<str>>,
    /// It speaks SSH 1, too (RFC 4253 §5.1): the other side's version, perhaps unseen, decides.
    either: bool,
    lines: u8,
    packets: u8,
    /// Bytes after the side's NEWKEYS.
    encrypted: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Identification,
    Clear,
    Encrypted,
    /// SSH 1, or bytes that cannot be told apart any more.
    Opaque,
}

impl Parser for Ssh {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let side = self.side(input.from);
        let progress = match side.stage {
            Stage::Identification => side.identification(input, out),
            Stage::Clear => side.packet(input, out),
            Stage::Encrypted => {
                side.encrypted = side.encrypted.saturating_add(input.data.len() as u64);
                self.judge(out);
                Progress::Consumed(input.data.len())
            }
            Stage::Opaque => Progress::Consumed(input.data.len()),
        };
        let opaque = self.orig.stage == Stage::Opaque && self.resp.stage == Stage::Opaque;
        if matches!(progress, Progress::Consumed(_)) && (opaque || self.session_told) {
            Progress::Done
        } else {
            progress
        }
    }

    fn gap(&mut self, from: Direction, missing: u64, out: &mut Output) -> Progress {
        let side = self.side(from);
        match side.stage {
            Stage::Encrypted => {
                side.encrypted = side.encrypted.saturating_add(missing);
                self.judge(out);
            }
            _ => {
                side.tell(from, None, out);
                side.stage = Stage::Opaque;
            }
        }
        Progress::Consumed(0)
    }

    fn finish(&mut self, out: &mut Output) {
        self.orig.tell(Direction::Orig, None, out);
        self.resp.tell(Direction::Resp, None, out);
    }
}

impl Ssh {
    fn side(&mut self, from: Direction) -> &mut Side {
        match from {
            Direction::Orig => &mut self.orig,
            Direction::Resp => &mut self.resp,
        }
    }

    /// A server answers each failed attempt with some 60 bytes, a client asks with 100 to 600, at most six times by
    /// default; a session opens with host keys, channel set-up and the command's output.
    fn judge(&mut self, out: &mut Output) {
        if self.orig.encrypted >= SESSION_BYTES && self.resp.encrypted >= SESSION_BYTES && !self.session_told {
            self.session_told = true;
            out.push(Event::Execution(Box::new(Execution {
                channel: Channel::Ssh,
                act: Act::Execute,
                interface: None,
                opnum: None,
                operation: Some("session".into()),
                endpoint: None,
                clsid: None,
                technique: Some("T1021.004"),
            })));
        }
    }
}

impl Side {
    /// RFC 4253 §4.2. A server may say other lines first.
    fn identification(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let mut r = Reader::new(input.data);
        let Some(line) = r.line(MAX_LINE) else {
            return if input.data.len() < MAX_LINE {
                Progress::Consumed(0)
            } else {
                Progress::Malformed(Oddity::SshMalformed)
            };
        };
        if line.starts_with(MAGIC) {
            self.software = Some(text(line));
            self.stage = Stage::Clear;
            self.either = line.starts_with(b"SSH-1.99-");
            if !line.starts_with(b"SSH-2.0-") && !self.either {
                self.tell(input.from, None, out);
                self.stage = Stage::Opaque;
            }
        } else {
            self.lines = self.lines.saturating_add(1);
            if self.lines > MAX_LINES_BEFORE {
                return Progress::Malformed(Oddity::SshMalformed);
            }
        }
        Progress::Consumed(r.position())
    }

    /// RFC 4253 §6: length, padding length, message number; nothing is encrypted before NEWKEYS.
    fn packet(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let mut r = Reader::new(input.data);
        let Some(len) = r.u32() else { return Progress::Consumed(0) };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if self.either && self.packets == 0 {
            let Some(kind) = r.rest().get(1) else { return Progress::Consumed(0) };
            if *kind != KEXINIT {
                self.tell(input.from, None, out);
                self.stage = Stage::Opaque;
                return Progress::Consumed(input.data.len());
            }
        }
        if !(2..=MAX_PACKET).contains(&len) || self.packets >= MAX_CLEAR_PACKETS {
            return Progress::Malformed(Oddity::SshMalformed);
        }
        let Some(mut packet) = r.sub(len) else { return Progress::Consumed(0) };
        self.packets = self.packets.saturating_add(1);
        match (packet.u8(), packet.u8()) {
            (Some(_), Some(KEXINIT)) => {
                let hassh = hassh(packet, input.from);
                if hassh.is_none() {
                    out.weird(Oddity::SshMalformed);
                }
                self.tell(input.from, hassh, out);
            }
            (Some(_), Some(NEWKEYS)) => self.stage = Stage::Encrypted,
            _ => {}
        }
        Progress::Consumed(r.position())
    }

    /// Tells the identification, once.
    fn tell(&mut self, from: Direction, hassh: Option<Box<str>>, out: &mut Output) {
        if let Some(software) = self.software.take() {
            out.push(Event::Banner(Box::new(Banner { protocol: "ssh", from, software, hassh })));
        }
    }
}

/// RFC 4253 §7.1: after a cookie ten name-lists; encryption, MAC and compression once for each direction.
fn hassh(mut kexinit: Reader<'_>, from: Direction) -> Option<Box<str>> {
    kexinit.skip(16)?;
    let mut lists = [&[][..]; 8];
    for list in &mut lists {
        let len = kexinit.u32()?;
        *list = kexinit.take(usize::try_from(len).ok()?)?;
    }
    let [kex, _host_keys, cipher_up, cipher_down, mac_up, mac_down, packed_up, packed_down] = lists;
    let offered = match from {
        Direction::Orig => [kex, cipher_up, mac_up, packed_up],
        Direction::Resp => [kex, cipher_down, mac_down, packed_down],
    };
    Some(hex::encode(Md5::digest(offered.join(&b';'))).into())
}

const MAGIC: &[u8] = b"SSH-";
/// RFC 4253 §4.2: 255 bytes, CR LF included; lines before it are not bounded there, OpenSSH reads 8 KiB of each.
const MAX_LINE: usize = 8192;
/// OpenSSH gives up after 1,024 lines; real servers say a few.
const MAX_LINES_BEFORE: u8 = 64;
/// RFC 4253 §6.1: 35,000 bytes must be accepted.
const MAX_PACKET: usize = 35_000;
/// KEXINIT, the exchange itself (two or three messages with groups), NEWKEYS; some debug messages.
const MAX_CLEAR_PACKETS: u8 = 32;
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
/// Above what six refused passwords cost a server (about 500 bytes).
const SESSION_BYTES: u64 = 1200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use Direction::{Orig, Resp};

    #[test]
    fn identifications_come_with_the_hash_of_the_offer() {
        let (client, server) = (b"SSH-2.0-OpenSSH_9.9\r\n".as_slice(), b"SSH-2.0-dropbear_2022.83\n".as_slice());
        // md5sum of "kex-a,kex-b;aes-up;mac-up;none" and of "kex-a,kex-b;aes-down;mac-down;zlib".
        let offer = kexinit(["kex-a,kex-b", "host", "aes-up", "aes-down", "mac-up", "mac-down", "none", "zlib"]);
        let (up, down) = ("d685cacccb4bcd09be17590817ad7285", "c44aeaf16f43d8dd7fe1e3c7cec22107");
        for (what, messages, expected) in [
            (
                "identifications alone",
                vec![(Orig, client.to_vec()), (Resp, server.to_vec())],
                vec!["orig SSH-2.0-OpenSSH_9.9 -".into(), "resp SSH-2.0-dropbear_2022.83 -".into()],
            ),
            (
                "with the client's offer",
                vec![(Orig, [client, &offer].concat())],
                vec![format!("orig SSH-2.0-OpenSSH_9.9 {up}")],
            ),
            (
                "with the server's offer",
                vec![(Resp, [server, &offer].concat())],
                vec![format!("resp SSH-2.0-dropbear_2022.83 {down}")],
            ),
            (
                "lines before",
                vec![(Resp, [b"Go away.\r\n\r\n", server].concat())],
                vec!["resp SSH-2.0-dropbear_2022.83 -".into()],
            ),
            ("SSH 1", vec![(Resp, b"SSH-1.5-old\n\0\0\x01\x07garbage".to_vec())], vec!["resp SSH-1.5-old -".into()]),
            (
                "SSH 1 chosen among both",
                vec![
                    (Resp, b"SSH-1.99-new\n\0\0\x01\x07\0\0\0\x02garbage".to_vec()),
                    (Orig, b"SSH-1.5-old\n".to_vec()),
                ],
                vec!["resp SSH-1.99-new -".into(), "orig SSH-1.5-old -".into()],
            ),
            (
                "a packet too long",
                vec![(Orig, [client, b"\xff\0\0\0\0\0"].concat())],
                vec!["Malformed(SshMalformed)".into(), "orig SSH-2.0-OpenSSH_9.9 -".into()],
            ),
            ("no identification", vec![(Resp, vec![b'x'; MAX_LINE])], vec!["Malformed(SshMalformed)".into()]),
        ] {
            assert_eq!(told(&messages), expected, "{what}");
        }
    }

    #[test]
    fn a_session_is_told_by_what_both_sides_send_encrypted() {
        let hello = [b"SSH-2.0-x\r\n".as_slice(), &packet(&[NEWKEYS])].concat();
        for (what, up, down, told_as) in [
            ("a session", 2000, 3000, vec!["session"]),
            ("six wrong passwords", 1000, 500, vec![]),
            ("many keys refused", 5000, 600, vec![]),
        ] {
            let messages = [
                (Orig, hello.clone()),
                (Resp, hello.clone()),
                (Orig, vec![7; up]),
                (Resp, vec![7; down]),
                (Resp, vec![7; 9]),
            ];
            let told = told(&messages);
            let acts: Vec<_> = told.iter().filter(|t| !t.contains("SSH")).collect();
            assert_eq!(acts, told_as, "{what}");
        }
    }

    #[test]
    fn only_ssh_is_taken_for_ssh() {
        for (data, expected) in [
            (b"SSH-2.0-x".as_slice(), Probe::Match),
            (b"SS", Probe::NeedMore),
            (b"", Probe::NeedMore),
            (b"SSL-", Probe::Mismatch),
            (b"220 ", Probe::Mismatch),
        ] {
            assert_eq!(probe(Orig, data), expected, "{data:?}");
        }
    }

    #[test]
    fn no_prefix_and_no_flip_panics() {
        let whole = [b"hello\r\nSSH-2.0-x\r\n".as_slice(), &kexinit(["a"; 8]), &packet(&[NEWKEYS]), b"secret"].concat();
        for end in 0..whole.len() {
            told(&[(Orig, whole[..end].to_vec())]);
        }
        for at in 0..whole.len() {
            for value in [0, 1, b'\n', 0x7f, 0xff] {
                let mut flipped = whole.clone();
                flipped[at] = value;
                told(&[(Resp, flipped)]);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            told(&[(Orig, [b"SSH-2.0-x\r\n".as_slice(), &data].concat()), (Resp, data)]);
        }
    }

    fn kexinit(lists: [&str; 8]) -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend([9; 16]);
        for list in lists.into_iter().chain(["", ""]) {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        payload.extend([0; 5]);
        packet(&payload)
    }

    fn packet(payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len() + 5).unwrap();
        [&len.to_be_bytes(), [4].as_slice(), payload, &[0; 4]].concat()
    }

    /// Feeds each side's bytes as the flow does: what is not consumed is lost at the end of a message here.
    fn told(messages: &[(Direction, Vec<u8>)]) -> Vec<String> {
        let (mut ssh, mut out) = (Ssh::default(), Output::default());
        let mut ends = Vec::new();
        for (from, data) in messages {
            let mut at = 0;
            while at < data.len() {
                match ssh.parse(Input { from: *from, ts: Timestamp(0), data: &data[at..] }, &mut out) {
                    Progress::Consumed(n @ 1..) => at += n,
                    Progress::Malformed(why) => {
                        ends.push(format!("Malformed({why:?})"));
                        break;
                    }
                    _ => break,
                }
            }
        }
        ssh.finish(&mut out);
        ends.extend(out.events.iter().map(|event| match event {
            Event::Banner(b) => format!("{} {} {}", b.from.name(), b.software, b.hassh.as_deref().unwrap_or("-")),
            Event::Execution(e) => e.operation.clone().unwrap().into(),
            other => format!("{other:?}"),
        }));
        ends
    }
}
