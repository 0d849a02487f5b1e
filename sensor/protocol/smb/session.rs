//! SMB 2 and 3 sessions: requests are remembered until they are answered, and told when they succeed.

use super::files::{Files, Handle, OnClose, ShareKind, Tree};
use super::message::{Command, HEADER_LEN, Header, payload, pointed};
use crate::base::wire::utf16le;
use crate::base::{Budget, Capped, Reader, Table};
use crate::event::{Direction, Event, Oddity, Share};
use crate::protocol::{Output, ntlm};

/// What is known of the connection's sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    asked: Capped<u64, Asked>,
    trees: Capped<(u64, u32), Tree>,
    pub(super) files: Files,
    /// Files opened lately, by the message that asked: related commands name that, not the file.
    granted: Capped<u64, [u8; 16]>,
    /// The compound being read, one for each side.
    chains: [Chain; 2],
    crowded: bool,
}

/// What related commands inherit from the one before (§3.3.5.2.7.2).
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    session: u64,
    tree: u32,
    file: Option<Handle>,
}

/// A request that awaits its answer.
#[derive(Debug)]
enum Asked {
    Tree(Box<str>),
    Create,
    Close(Handle),
    Read(Handle),
    Write(Handle),
    Ioctl(Handle),
    Mark(Handle, OnClose),
    Rename(Handle, Box<str>),
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            asked: Capped::new(Budget::new("smb_session.asked", MAX_ASKED, 256)),
            trees: Capped::new(Budget::new("smb_session.trees", MAX_TREES, 128)),
            files: Files::default(),
            granted: Capped::new(Budget::new("smb_session.granted", MAX_GRANTED, 0)),
            chains: [Chain::default(); 2],
            crowded: false,
        }
    }
}

impl Sessions {
    /// Bytes of memory: what it remembers, and pieces of calls.
    pub(super) fn held(&self) -> usize {
        let own = [self.asked.held(), self.trees.held(), self.granted.held()];
        own.into_iter().fold(self.files.held(), usize::saturating_add)
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = Table> {
        let own = [self.asked.table(), self.trees.table(), self.granted.table()];
        own.into_iter().chain(self.files.tables())
    }

    /// A message begins: its first command is related to nothing.
    pub(super) fn begin(&mut self, from: Direction) {
        *self.chain(from) = Chain::default();
    }

    /// How many bytes of a command are needed, once those of [`Header::wanted`] are at hand.
    pub(super) fn wanted(&self, header: &Header, message: &[u8]) -> usize {
        let Some(payload) = payload(header, message) else { return message.len() };
        let file = if header.is_response() {
            match self.asked.get(&header.message) {
                Some(Asked::Read(file) | Asked::Ioctl(file)) => Some(self.resolve(*file)),
                _ => None,
            }
        } else {
            self.file(header, message)
        };
        let (data, _) = payload.of(message);
        if file.is_some_and(|file| self.files.carries(file, data)) {
            payload.offset.saturating_add(payload.len.min(MAX_PIECE)).max(message.len())
        } else {
            message.len()
        }
    }

    /// Takes one command, cut to what was wanted; `None` when it is not well formed.
    pub(super) fn take(&mut self, header: &Header, message: &[u8], from: Direction, out: &mut Output) -> Option<()> {
        if header.is_response() { self.answer(header, message, out) } else { self.request(header, message, from, out) }
    }

    /// The connection is over.
    pub(super) fn finish(&mut self, out: &mut Output) {
        self.files.finish(out);
    }

    fn request(&mut self, header: &Header, message: &[u8], from: Direction, out: &mut Output) -> Option<()> {
        let mut chain = *self.chain(from);
        if !header.is_related() {
            chain = Chain { session: header.session, tree: header.tree, file: None };
        }
        let file = self.file(header, message).or(chain.file);
        let mut r = Reader::new(message);
        r.seek(HEADER_LEN)?;
        let asked = match header.command {
            Command::SessionSetup => {
                r.skip(12)?;
                let (offset, len) = (r.u16_le()?, r.u16_le()?);
                ntlm::observe(cut(message, offset.into(), len.into()), out);
                None
            }
            Command::TreeConnect => {
                r.skip(4)?;
                let (offset, len) = (r.u16_le()?, r.u16_le()?);
                let path = pointed(message, offset.into(), len.into())?;
                Some(Asked::Tree(self.files.name(&utf16le(path), out)))
            }
            Command::Create => {
                let tree = self.trees.get(&(chain.session, chain.tree)).cloned();
                let (path, end) = create(message)?;
                let path = self.files.name(&path, out);
                chain.file = Some(Handle::Asked(header.message));
                self.files.ask(Handle::Asked(header.message), path, tree.as_ref(), end, out);
                Some(Asked::Create)
            }
            Command::Close => file.map(Asked::Close),
            Command::Read => file.map(Asked::Read),
            Command::Write | Command::Ioctl => file.map(|file| {
                self.carry(header, message, file, out);
                if header.command == Command::Write { Asked::Write(file) } else { Asked::Ioctl(file) }
            }),
            Command::SetInfo => file.and_then(|file| self.set_info(message, file, out)),
            Command::Logoff | Command::TreeDisconnect | Command::Other => None,
        };
        if file.is_some() && header.command != Command::Create {
            chain.file = file;
        }
        *self.chain(from) = chain;
        if let Some(asked) = asked {
            self.remember(header.message, asked, out);
        }
        Some(())
    }

    fn answer(&mut self, header: &Header, message: &[u8], out: &mut Output) -> Option<()> {
        if header.command == Command::SessionSetup {
            // §2.2.6; MORE_PROCESSING_REQUIRED carries the challenge. An error's body is shorter and has no token.
            let mut r = Reader::new(message);
            r.seek(HEADER_LEN)?;
            r.skip(4)?;
            let (offset, len) = (r.u16_le()?, r.u16_le()?);
            ntlm::observe(cut(message, offset.into(), len.into()), out);
            return Some(());
        }
        if header.is_interim() {
            return Some(());
        }
        let Some(asked) = self.asked.remove(&header.message) else { return Some(()) };
        if !header.succeeded() {
            if let Asked::Create = asked {
                self.files.refuse(Handle::Asked(header.message));
            }
            return Some(());
        }
        let mut r = Reader::new(message);
        r.seek(HEADER_LEN)?;
        match asked {
            Asked::Tree(path) => {
                r.skip(2)?;
                let kind = share_kind(r.u8()?);
                out.push(Event::Share(Box::new(Share { path: path.clone(), share_type: kind.name() })));
                self.trees.insert((header.session, header.tree), Tree { path: path.into(), kind });
            }
            Asked::Create => {
                r.skip(64)?; // Lock, flags, action, times, sizes, attributes (§2.2.14).
                let id = r.array()?;
                self.granted.insert(header.message, id);
                self.files.grant(Handle::Asked(header.message), Handle::Given(id), out);
            }
            Asked::Close(file) => self.files.close(self.resolve(file), out),
            Asked::Read(file) => {
                let file = self.resolve(file);
                let len = payload(header, message)?.len;
                self.files.read(file, len as u64);
                self.carry(header, message, file, out);
            }
            Asked::Write(file) => {
                r.skip(4)?;
                let count = r.u32_le()?;
                self.files.wrote(self.resolve(file), count.into());
            }
            Asked::Ioctl(file) => self.carry(header, message, self.resolve(file), out),
            Asked::Mark(file, end) => self.files.mark(self.resolve(file), end),
            Asked::Rename(file, to) => self.files.rename(self.resolve(file), to, out),
        }
        Some(())
    }

    fn carry(&mut self, header: &Header, message: &[u8], file: Handle, out: &mut Output) {
        let Some(payload) = payload(header, message) else { return };
        let (data, missing) = payload.of(message);
        // Who writes to a pipe is its client, whatever side began the connection.
        let by = if header.is_response() { Direction::Resp } else { Direction::Orig };
        self.files.carry(file, by, data, missing, out);
    }

    /// What a set-info request does to a name (§2.2.39, MS-FSCC §2.4).
    fn set_info(&mut self, message: &[u8], file: Handle, out: &mut Output) -> Option<Asked> {
        let mut r = Reader::new(message);
        r.seek(HEADER_LEN)?;
        r.skip(2)?;
        let (kind, class) = (r.u8()?, r.u8()?);
        let len = usize::try_from(r.u32_le()?).ok()?;
        let offset = usize::from(r.u16_le()?);
        let mut data = Reader::new(cut(message, offset, len));
        match (kind, class) {
            (INFO_FILE, DISPOSITION | DISPOSITION_EX) => {
                let end = if data.u8()? & 1 == 0 { OnClose::Keep } else { OnClose::Delete };
                Some(Asked::Mark(file, end))
            }
            (INFO_FILE, RENAME | RENAME_EX) => {
                data.skip(16)?; // Replace flag, padding, root directory.
                let len = usize::try_from(data.u32_le()?).ok()?;
                Some(Asked::Rename(file, self.files.name(&utf16le(data.take(len)?), out)))
            }
            _ => None,
        }
    }

    /// The file a request is about.
    fn file(&self, header: &Header, message: &[u8]) -> Option<Handle> {
        let at = match header.command {
            Command::Close | Command::Ioctl => 8,
            Command::Read | Command::Write | Command::SetInfo => 16,
            _ => return None,
        };
        let mut r = Reader::new(message);
        r.seek(HEADER_LEN)?;
        r.skip(at)?;
        let id = r.array::<16>()?;
        // §3.3.5.2.7.2: all ones stand for the file of the command before.
        if id == [0xff; 16] { None } else { Some(Handle::Given(id)) }
    }

    /// The file by the identifier it was given meanwhile.
    fn resolve(&self, file: Handle) -> Handle {
        match file {
            Handle::Asked(message) => self.granted.get(&message).map_or(file, |id| Handle::Given(*id)),
            Handle::Given(_) => file,
        }
    }

    fn remember(&mut self, message: u64, asked: Asked, out: &mut Output) {
        if self.asked.insert(message, asked).is_some() && !self.crowded {
            self.crowded = true;
            out.weird(Oddity::TooManyOutstanding);
        }
    }

    fn chain(&mut self, from: Direction) -> &mut Chain {
        let [orig, resp] = &mut self.chains;
        match from {
            Direction::Orig => orig,
            Direction::Resp => resp,
        }
    }
}

/// Name and options of a create request (§2.2.13).
fn create(message: &[u8]) -> Option<(String, OnClose)> {
    let mut r = Reader::new(message);
    r.seek(HEADER_LEN)?;
    r.skip(40)?; // Oplock, impersonation, flags, access, attributes, sharing, disposition.
    let options = r.u32_le()?;
    let (offset, len) = (r.u16_le()?, r.u16_le()?);
    let name = if len == 0 { &[] } else { pointed(message, offset.into(), len.into())? };
    let end = if options & FILE_DELETE_ON_CLOSE == 0 { OnClose::Keep } else { OnClose::Delete };
    Some((utf16le(name), end))
}

const fn share_kind(number: u8) -> ShareKind {
    match number {
        1 => ShareKind::Disk,
        2 => ShareKind::Pipe,
        3 => ShareKind::Print,
        _ => ShareKind::Unknown,
    }
}

/// As much of a pointed-to string as is at hand.
fn cut(message: &[u8], offset: usize, len: usize) -> &[u8] {
    let rest = message.get(offset..).unwrap_or_default();
    rest.get(..len).unwrap_or(rest)
}

/// Requests remembered; Windows grants at most 8192 credits, clients keep far fewer in flight.
const MAX_ASKED: usize = 512;
const MAX_TREES: usize = 128;
/// Only answers of the same compound need it.
const MAX_GRANTED: usize = 32;
/// Bytes of one pipe message that are looked at; `dcerpc` needs no more of one PDU.
const MAX_PIECE: usize = 16_384;
const FILE_DELETE_ON_CLOSE: u32 = 0x1000;
const INFO_FILE: u8 = 1;
/// MS-FSCC §2.4.11, `FileDispositionInformation`; the first bit of the other form (§2.4.12) says the same.
const DISPOSITION: u8 = 13;
const DISPOSITION_EX: u8 = 64;
/// MS-FSCC §2.4.42, `FileRenameInformation`.
const RENAME: u8 = 10;
const RENAME_EX: u8 = 65;
