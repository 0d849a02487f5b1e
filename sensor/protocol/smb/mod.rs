//! SMB 1, 2 and 3 over direct TCP and NetBIOS sessions (MS-SMB2 §2.1, RFC 1002 §4.3): who is let in, which shares are
//! connected, what is opened, and what is said through named pipes.
//!
//! A message is read command by command, and of each only what names something; file data is passed over unseen.
//! Encrypted sessions are told as such once. What it does not do: dialect negotiation, leases, multichannel.

mod files;
mod legacy;
mod message;
mod netbios;
mod session;
mod v1;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod v1_tests;

use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::Table;
use crate::event::{Direction, Oddity, Transport};
use message::{HEADER_LEN, Header};
use netbios::{FRAME_LEN, Frame, REQUEST_LEN};
use session::Sessions;
use v1::Sessions1;

/// SMB; 445 is direct, 139 has a NetBIOS session in front.
pub(super) static PROTOCOL: Protocol =
    Protocol { name: "smb", transport: Transport::Tcp, ports: &[445, 139], probe, new: || Box::new(Smb::default()) };

fn probe(_from: Direction, data: &[u8]) -> Probe {
    match Frame::read(data) {
        Some(Frame::Request | Frame::Accepted | Frame::Other(_)) => Probe::Match,
        Some(Frame::Message(_)) => match data.get(FRAME_LEN..FRAME_LEN + 4) {
            Some(magic) if Magic::of(magic).is_some() => Probe::Match,
            Some(_) => Probe::Mismatch,
            None => match data.get(FRAME_LEN) {
                None | Some(0xfc..=0xff) => Probe::NeedMore,
                Some(_) => Probe::Mismatch,
            },
        },
        None if data.len() < FRAME_LEN && matches!(data.first(), None | Some(0 | 0x81..=0x85)) => Probe::NeedMore,
        None => Probe::Mismatch,
    }
}

/// The four bytes a message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magic {
    /// `\xffSMB`
    Smb1,
    /// `\xfeSMB`
    Smb2,
    /// `\xfdSMB`: everything behind it is encrypted (MS-SMB2 §2.2.41).
    Encrypted,
    /// `\xfcSMB`: compressed (MS-SMB2 §2.2.42).
    Compressed,
}

impl Magic {
    fn of(magic: &[u8]) -> Option<Self> {
        match magic {
            b"\xffSMB" => Some(Self::Smb1),
            b"\xfeSMB" => Some(Self::Smb2),
            b"\xfdSMB" => Some(Self::Encrypted),
            b"\xfcSMB" => Some(Self::Compressed),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Smb {
    sides: [Side; 2],
    sessions: Sessions,
    legacy: Sessions1,
    /// The NetBIOS name the responder was called by; its own once it accepts.
    called: Option<Box<str>>,
    losses: u8,
    /// Oddities told already: each once a connection.
    told: Vec<Oddity>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Side {
    /// Bytes of the message that are not dealt with.
    left: usize,
    /// Bytes went missing: the next message has to be found.
    lost: bool,
}

impl Smb {
    fn side(&mut self, from: Direction) -> &mut Side {
        let [orig, resp] = &mut self.sides;
        match from {
            Direction::Orig => orig,
            Direction::Resp => resp,
        }
    }

    fn once(&mut self, oddity: Oddity, out: &mut Output) {
        if !self.told.contains(&oddity) {
            self.told.push(oddity);
            out.weird(oddity);
        }
    }

    /// Deals with `n` bytes of the message at hand, shown or not.
    fn pass(&mut self, from: Direction, n: usize) -> Progress {
        let side = self.side(from);
        let n = n.min(side.left);
        side.left = side.left.saturating_sub(n);
        Progress::Consumed(n)
    }

    /// What should be a message is none: raw mode of SMB 1, or a stream joined at a keep-alive's stray byte. The next
    /// one that looks like a message is taken up, a few times.
    fn lose(&mut self, from: Direction, data: &[u8], out: &mut Output) -> Progress {
        self.losses = self.losses.saturating_add(1);
        if self.losses > MAX_LOSSES {
            return Progress::Malformed(Oddity::SmbMalformed);
        }
        self.once(Oddity::SmbMalformed, out);
        let (at, found) = resume(data);
        *self.side(from) = Side { left: 0, lost: !found };
        Progress::Consumed(at)
    }

    /// One SMB 2 command.
    fn command(&mut self, from: Direction, data: &[u8], out: &mut Output) -> Progress {
        let left = self.side(from).left;
        let Some(head) = data.get(..HEADER_LEN.min(left)) else { return Progress::Consumed(0) };
        let Some(header) = Header::read(head) else {
            self.once(Oddity::SmbMalformed, out);
            return self.pass(from, left);
        };
        let extent = if header.next == 0 { left } else { header.next };
        if extent < HEADER_LEN || extent > left {
            self.once(Oddity::SmbMalformed, out);
            return self.pass(from, left);
        }
        let Some(start) = data.get(..header.wanted().min(extent)) else { return Progress::Consumed(0) };
        let wanted = self.sessions.wanted(&header, start).min(extent);
        let Some(message) = data.get(..wanted) else { return Progress::Consumed(0) };
        if self.sessions.take(&header, message, from, out).is_none() {
            self.once(Oddity::SmbMalformed, out);
        }
        self.pass(from, extent)
    }
}

impl Smb {
    /// A NetBIOS session request: the caller names itself.
    fn call(&mut self, from: Direction, data: &[u8], out: &mut Output) -> Progress {
        let Some(request) = data.get(FRAME_LEN..FRAME_LEN + REQUEST_LEN) else { return Progress::Consumed(0) };
        let [called, calling] = netbios::names(request);
        self.called = called;
        if let Some(name) = calling {
            out.push(netbios::identity(from, name));
        }
        Progress::Consumed(FRAME_LEN + REQUEST_LEN)
    }

    /// One SMB 1 message.
    fn message1(&mut self, from: Direction, data: &[u8], out: &mut Output) -> Progress {
        let left = self.side(from).left;
        // Asked twice at the most: the header says how much to look at, that much says the rest.
        let mut wanted = v1::HEADER_LEN.min(left);
        for _ in 0..3 {
            let Some(start) = data.get(..wanted) else { return Progress::Consumed(0) };
            let more = self.legacy.wanted(start, left);
            if more <= wanted {
                break;
            }
            wanted = more;
        }
        let Some(message) = data.get(..wanted) else { return Progress::Consumed(0) };
        if self.legacy.take(message, out).is_none() {
            self.once(Oddity::SmbMalformed, out);
        }
        self.pass(from, left)
    }
}

impl Parser for Smb {
    fn held(&self) -> usize {
        self.sessions.held().saturating_add(self.legacy.held())
    }

    fn tables(&self) -> Vec<Table> {
        Table::by_name(self.sessions.tables().chain(self.legacy.tables()))
    }

    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let Input { from, data, .. } = input;
        if self.side(from).lost {
            let (at, found) = resume(data);
            self.side(from).lost = !found;
            if at > 0 || !found {
                return Progress::Consumed(at);
            }
        }
        let left = self.side(from).left;
        if left == 0 {
            return match Frame::read(data) {
                Some(Frame::Message(len)) => match data.get(FRAME_LEN..FRAME_LEN + 4) {
                    None => Progress::Consumed(0),
                    Some(magic) if len >= magic.len() && Magic::of(magic).is_some() => {
                        self.side(from).left = len;
                        self.sessions.begin(from);
                        Progress::Consumed(FRAME_LEN)
                    }
                    Some(_) => self.lose(from, data, out),
                },
                Some(Frame::Request) => self.call(from, data, out),
                Some(Frame::Accepted) => {
                    if let Some(name) = self.called.take() {
                        out.push(netbios::identity(from, name));
                    }
                    Progress::Consumed(FRAME_LEN)
                }
                Some(Frame::Other(len)) => Progress::Consumed(FRAME_LEN.saturating_add(len)),
                None if data.len() < FRAME_LEN => Progress::Consumed(0),
                None => self.lose(from, data, out),
            };
        }
        let Some(magic) = data.get(..left.min(4)) else { return Progress::Consumed(0) };
        match Magic::of(magic) {
            Some(Magic::Smb2) => self.command(from, data, out),
            Some(Magic::Smb1) => self.message1(from, data, out),
            Some(Magic::Encrypted) => {
                self.once(Oddity::SmbEncrypted, out);
                self.pass(from, left)
            }
            Some(Magic::Compressed) => {
                self.once(Oddity::SmbCompressed, out);
                self.pass(from, left)
            }
            // Padding of a compound.
            None => {
                self.once(Oddity::SmbMalformed, out);
                self.pass(from, left)
            }
        }
    }

    fn gap(&mut self, from: Direction, _missing: u64, _out: &mut Output) -> Progress {
        *self.side(from) = Side { left: 0, lost: true };
        Progress::Consumed(0)
    }

    fn finish(&mut self, out: &mut Output) {
        self.sessions.finish(out);
        self.legacy.finish(out);
    }
}

/// Where the next message begins after bytes went missing, and whether one was found at all.
fn resume(data: &[u8]) -> (usize, bool) {
    let begins = |w: &[u8]| w.first() == Some(&0) && w.get(FRAME_LEN..).and_then(Magic::of).is_some();
    match data.windows(FRAME_LEN + 4).position(begins) {
        Some(at) => (at, true),
        None => (data.len().saturating_sub(FRAME_LEN + 3), false),
    }
}

/// Times that a connection may be out of step before it is taken for something else.
const MAX_LOSSES: u8 = 16;
