//! SMB 1 (MS-CIFS §2.2, MS-SMB §2.2): enough to name trees, files and pipes and to hear what is said through pipes.
//!
//! A message is a header and a chain of commands (AndX), each with words and bytes. Read, write and transactions are
//! read as far as their payload; multi-part transactions only in their first part, which holds what names something.

use super::files::{Files, Handle, OnClose, ShareKind, Tree};
use super::legacy::{Block, Header, Names, Transaction};
use crate::base::{Budget, Capped, Table};
use crate::event::{Authentication, AuthenticationProtocol, Direction, Event, File, FileAction, Oddity, Share};
use crate::protocol::{Output, ntlm};

/// What is known of the connection's sessions.
#[derive(Debug)]
pub(super) struct Sessions1 {
    asked: Capped<(u32, u8), Asked>,
    trees: Capped<u16, Tree>,
    files: Files,
    crowded: bool,
}

/// A request that awaits its answer.
#[derive(Debug)]
enum Asked {
    Tree(Box<str>),
    Open,
    Close(Handle),
    Read(Handle),
    Write(Handle),
    Transact(Handle),
    Mark(Handle, OnClose),
    /// By name, without a handle.
    Named(FileAction, u16, Box<str>),
}

impl Default for Sessions1 {
    fn default() -> Self {
        let asked = Capped::new(Budget::new("smb_v1.asked", MAX_ASKED, 256));
        let trees = Capped::new(Budget::new("smb_v1.trees", MAX_TREES, 128));
        Self { asked, trees, files: Files::default(), crowded: false }
    }
}

impl Sessions1 {
    /// Bytes of memory, likewise.
    pub(super) fn held(&self) -> usize {
        self.asked.held().saturating_add(self.trees.held()).saturating_add(self.files.held())
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = Table> {
        [self.asked.table(), self.trees.table()].into_iter().chain(self.files.tables())
    }

    /// How many bytes of a message are needed before it can be taken.
    pub(super) fn wanted(&self, message: &[u8], left: usize) -> usize {
        let Some(header) = Header::read(message) else { return HEADER_LEN.min(left) };
        let bulk = matches!((header.command, header.is_response), (WRITE, false) | (READ, true));
        if !bulk {
            return CONTROL_LEN.min(left);
        }
        // Words and padding of a read or write, then enough payload to tell what it is.
        let looked = BULK_LEN.min(left);
        let Some(start) = message.get(..looked) else { return looked };
        let Some(block) = Block::read(start, HEADER_LEN) else { return looked };
        let (file, payload) = if header.is_response {
            let file = match self.asked.get(&(header.exchange, READ)) {
                Some(Asked::Read(file)) => Some(*file),
                _ => None,
            };
            (file, block.read_payload())
        } else {
            (block.fid(4), block.write_payload())
        };
        let Some((file, payload)) = file.zip(payload) else { return looked };
        let (data, _) = payload.of(start);
        if self.files.carries(file, data) {
            payload.offset.saturating_add(payload.len.min(MAX_PIECE)).max(looked).min(left)
        } else {
            looked
        }
    }

    /// Takes one message, cut to what was wanted; `None` when it is not one.
    pub(super) fn take(&mut self, message: &[u8], out: &mut Output) -> Option<()> {
        let header = Header::read(message)?;
        let (mut command, mut at) = (header.command, HEADER_LEN);
        for _ in 0..MAX_CHAIN {
            // An error's answer has no words; a cut payload still has them.
            let Some(block) = Block::read(message, at) else { break };
            if header.is_response {
                self.answer(&header, command, &block, out);
            } else {
                self.request(&header, command, &block, out);
            }
            match block.next(command) {
                // Chains go forward only, so they end.
                Some((next, offset)) if offset > at => (command, at) = (next, offset),
                _ => break,
            }
        }
        Some(())
    }

    /// The connection is over.
    pub(super) fn finish(&mut self, out: &mut Output) {
        self.files.finish(out);
    }

    fn request(&mut self, header: &Header, command: u8, block: &Block<'_>, out: &mut Output) -> Option<()> {
        let asked = match command {
            SESSION_SETUP => return setup(header, block, out),
            TREE_CONNECT => {
                // MS-CIFS §2.2.4.55: password, path, service.
                let mut names = block.names(header, usize::from(block.word(6)?));
                Asked::Tree(self.files.name(&names.next()?, out))
            }
            NT_CREATE => {
                let (len, options) = (block.word(5)?, block.dword(39)?);
                let name = block.names(header, 0).counted(len.into())?;
                let end = if options & 0x1000 == 0 { OnClose::Keep } else { OnClose::Delete };
                self.ask(header, &name, end, out)
            }
            OPEN => {
                let name = block.names(header, 0).next()?;
                self.ask(header, &name, OnClose::Keep, out)
            }
            CLOSE => Asked::Close(block.fid(0)?),
            READ => Asked::Read(block.fid(4)?),
            WRITE => {
                let (file, payload) = (block.fid(4)?, block.write_payload()?);
                let (data, missing) = payload.of(block.message);
                self.files.carry(file, Direction::Orig, data, missing, out);
                Asked::Write(file)
            }
            DELETE => {
                let mut names = block.names(header, 1);
                Asked::Named(FileAction::Delete, header.tree, self.files.name(&names.next()?, out))
            }
            RENAME => {
                let mut names = block.names(header, 1);
                names.next()?;
                names.skip(1);
                Asked::Named(FileAction::Rename, header.tree, self.files.name(&names.next()?, out))
            }
            TRANSACTION => {
                let transaction = Transaction::request(block)?;
                let file = transaction.pipe?;
                let (data, missing) = transaction.data.of(block.message);
                self.files.carry(file, Direction::Orig, data, missing, out);
                Asked::Transact(file)
            }
            TRANSACTION2 => {
                let (file, end) = Transaction::request(block)?.disposition(block)?;
                Asked::Mark(file, end)
            }
            _ => return None,
        };
        if self.asked.insert((header.exchange, command), asked).is_some() && !self.crowded {
            self.crowded = true;
            out.weird(Oddity::TooManyOutstanding);
        }
        Some(())
    }

    fn ask(&mut self, header: &Header, name: &str, end: OnClose, out: &mut Output) -> Asked {
        let tree = self.trees.get(&header.tree).cloned();
        let name = self.files.name(name, out);
        self.files.ask(Handle::Asked(header.exchange.into()), name, tree.as_ref(), end, out);
        Asked::Open
    }

    fn answer(&mut self, header: &Header, command: u8, block: &Block<'_>, out: &mut Output) -> Option<()> {
        if command == SESSION_SETUP {
            // MS-SMB §2.2.4.6.2: only with extended security are there four words and a token.
            if block.words.len() == 8 {
                ntlm::observe(block.data(0, block.word(6)?.into()), out);
            }
            return Some(());
        }
        let asked = self.asked.remove(&(header.exchange, command))?;
        let handle = Handle::Asked(header.exchange.into());
        if !header.succeeded {
            if let Asked::Open = asked {
                self.files.refuse(handle);
            }
            return None;
        }
        match asked {
            Asked::Tree(path) => {
                let kind = share_kind(block.bytes);
                out.push(Event::Share(Box::new(Share { path: path.clone(), share_type: kind.name() })));
                self.trees.insert(header.tree, Tree { path: path.into(), kind });
            }
            Asked::Open => {
                // MS-CIFS §2.2.4.64.2 has the oplock level before the file, §2.2.4.41.2 has not.
                let given = if command == NT_CREATE { block.fid(5)? } else { block.fid(4)? };
                self.files.grant(handle, given, out);
            }
            Asked::Close(file) => self.files.close(file, out),
            Asked::Read(file) => {
                let payload = block.read_payload()?;
                self.files.read(file, payload.len as u64);
                let (data, missing) = payload.of(block.message);
                self.files.carry(file, Direction::Resp, data, missing, out);
            }
            Asked::Write(file) => {
                let count = u32::from(block.word(8)?) << 16 | u32::from(block.word(4)?);
                self.files.wrote(file, count.into());
            }
            Asked::Transact(file) => {
                let payload = Transaction::response(block)?;
                let (data, missing) = payload.of(block.message);
                self.files.carry(file, Direction::Resp, data, missing, out);
            }
            Asked::Mark(file, end) => self.files.mark(file, end),
            Asked::Named(action, tree, path) => {
                let share = self.trees.get(&tree).map(|tree| (*tree.path).into());
                out.push(Event::File(Box::new(File { share, path, action, bytes: None })));
            }
        }
        Some(())
    }
}

/// Session set-up: a token (MS-SMB §2.2.4.6.1), or names and answers in clear (MS-CIFS §2.2.4.53.1).
fn setup(header: &Header, block: &Block<'_>, out: &mut Output) -> Option<()> {
    match block.words.len() {
        24 => ntlm::observe(block.data(0, block.word(14)?.into()), out),
        26 => {
            let secrets = usize::from(block.word(14)?).saturating_add(block.word(16)?.into());
            let mut names = block.names(header, secrets);
            let name = |names: &mut Names<'_>| names.next().filter(|name| !name.is_empty());
            let (user, domain) = (name(&mut names), name(&mut names));
            // Without a user it is an anonymous session.
            user.as_ref()?;
            out.service("ntlm");
            out.push(Event::Authentication(Box::new(Authentication {
                protocol: AuthenticationProtocol::Ntlm,
                user,
                domain,
                host: None,
                service: None,
                etype: None,
                result: None,
                error: None,
            })));
        }
        _ => {}
    }
    Some(())
}

/// The service an answer names (MS-CIFS §2.2.4.55.2).
fn share_kind(service: &[u8]) -> ShareKind {
    match service {
        [b'A', b':', ..] => ShareKind::Disk,
        [b'I', b'P', b'C', ..] => ShareKind::Pipe,
        [b'L', b'P', b'T', ..] => ShareKind::Print,
        _ => ShareKind::Unknown,
    }
}

/// MS-CIFS §2.2.3.1
pub(super) const HEADER_LEN: usize = 32;
/// Header, words, byte count and padding of a read or write, and the first payload.
const BULK_LEN: usize = HEADER_LEN + 1 + 28 + 2 + 4 + 16;
/// Bytes of any other message that are waited for.
const CONTROL_LEN: usize = 16_384;
/// Bytes of one pipe message that are looked at.
const MAX_PIECE: usize = 16_384;
/// Commands of one message; real chains have two.
const MAX_CHAIN: usize = 8;
/// Requests remembered; the negotiated limit is 50 almost everywhere.
const MAX_ASKED: usize = 256;
const MAX_TREES: usize = 64;

const CLOSE: u8 = 0x04;
const DELETE: u8 = 0x06;
const RENAME: u8 = 0x07;
const TRANSACTION: u8 = 0x25;
const OPEN: u8 = 0x2d;
const READ: u8 = 0x2e;
const WRITE: u8 = 0x2f;
const TRANSACTION2: u8 = 0x32;
const SESSION_SETUP: u8 = 0x73;
const TREE_CONNECT: u8 = 0x75;
const NT_CREATE: u8 = 0xa2;
