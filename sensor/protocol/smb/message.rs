//! SMB 2 and 3 messages (MS-SMB2 §2.2): the header, and how much of each message is worth waiting for.

use crate::base::Reader;

/// The 64 bytes every command begins with (§2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// NTSTATUS, in answers.
    pub(super) status: u32,
    pub(super) command: Command,
    flags: u32,
    /// Offset of the next command of a compound; 0 for the last.
    pub(super) next: usize,
    pub(super) message: u64,
    /// Not meaningful in asynchronous messages.
    pub(super) tree: u32,
    pub(super) session: u64,
}

/// Commands, with their numbers (§2.2.1.2); those without names in them are not told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// 1
    SessionSetup,
    /// 2
    Logoff,
    /// 3
    TreeConnect,
    /// 4
    TreeDisconnect,
    /// 5
    Create,
    /// 6
    Close,
    /// 8
    Read,
    /// 9
    Write,
    /// 11
    Ioctl,
    /// 17
    SetInfo,
    /// The rest: 0 negotiate, 7 flush, 10 lock, 12 cancel, 13 echo, 14 query directory, 15 change notify, 16 query
    /// info, 18 oplock break.
    Other,
}

impl Header {
    /// Reads a header; `None` when it is short or not one.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let mut r = Reader::new(data);
        (r.take(4)? == MAGIC).then_some(())?;
        (usize::from(r.u16_le()?) == HEADER_LEN).then_some(())?;
        r.skip(2)?; // Credit charge.
        let status = r.u32_le()?;
        let command = Command::from_number(r.u16_le()?);
        r.skip(2)?; // Credits.
        let flags = r.u32_le()?;
        let next = usize::try_from(r.u32_le()?).ok()?;
        let message = r.u64_le()?;
        r.skip(4)?; // Process, or half of the asynchronous id.
        let tree = r.u32_le()?;
        let session = r.u64_le()?;
        r.skip(16)?; // Signature.
        Some(Self { status, command, flags, next, message, tree, session })
    }

    /// An answer (`SMB2_FLAGS_SERVER_TO_REDIR`).
    pub(super) const fn is_response(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// Belongs to the command before it in its compound (`SMB2_FLAGS_RELATED_OPERATIONS`).
    pub(super) const fn is_related(&self) -> bool {
        self.flags & 0x4 != 0
    }

    /// The final answer follows later (`STATUS_PENDING`, §3.3.4.2).
    pub(super) const fn is_interim(&self) -> bool {
        self.is_response() && self.status == 0x0000_0103
    }

    /// The command was carried out. `STATUS_BUFFER_OVERFLOW` is a warning: data came, more wait in the pipe.
    pub(super) const fn succeeded(&self) -> bool {
        matches!(self.status, 0 | 0x8000_0005)
    }

    /// Bytes of a command, header included, that are read before payload.
    pub(super) const fn wanted(&self) -> usize {
        use Command::{
            Close, Create, Ioctl, Logoff, Other, Read, SessionSetup, SetInfo, TreeConnect, TreeDisconnect, Write,
        };
        match (self.command, self.is_response()) {
            (SessionSetup, _) | (TreeConnect | Create | SetInfo, false) => CONTROL_LEN,
            (TreeConnect, true) => HEADER_LEN + 16,
            (Create, true) => HEADER_LEN + 88,
            (Close, false) => HEADER_LEN + 24,
            (Read, false) | (Write, false) => HEADER_LEN + 48 + PEEK_LEN,
            (Read | Write, true) => HEADER_LEN + 16 + PEEK_LEN,
            (Ioctl, false) => HEADER_LEN + 56 + PEEK_LEN,
            (Ioctl, true) => HEADER_LEN + 48 + PEEK_LEN,
            (Close | SetInfo, true) | (Logoff | TreeDisconnect | Other, _) => HEADER_LEN,
        }
    }
}

impl Command {
    const fn from_number(number: u16) -> Self {
        match number {
            1 => Self::SessionSetup,
            2 => Self::Logoff,
            3 => Self::TreeConnect,
            4 => Self::TreeDisconnect,
            5 => Self::Create,
            6 => Self::Close,
            8 => Self::Read,
            9 => Self::Write,
            11 => Self::Ioctl,
            17 => Self::SetInfo,
            _ => Self::Other,
        }
    }
}

/// A byte string that a message points to by offset and length.
pub(super) fn pointed(message: &[u8], offset: usize, len: usize) -> Option<&[u8]> {
    message.get(offset..offset.checked_add(len)?)
}

/// Where payload lies in a message, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) offset: usize,
    pub(super) len: usize,
}

impl Payload {
    /// What of it is at hand, and how much is not.
    pub(super) fn of<'a>(&self, message: &'a [u8]) -> (&'a [u8], usize) {
        let rest = message.get(self.offset..).unwrap_or_default();
        let data = rest.get(..self.len).unwrap_or(rest);
        (data, self.len.saturating_sub(data.len()))
    }
}

/// The payload of a read answer, a write request, or an FSCTL of a pipe; `None` for what has none.
pub(super) fn payload(header: &Header, message: &[u8]) -> Option<Payload> {
    let mut r = Reader::new(message);
    r.seek(HEADER_LEN)?;
    let (offset, len) = match (header.command, header.is_response()) {
        // §2.2.20: offset is one byte.
        (Command::Read, true) => {
            r.skip(2)?;
            let offset = usize::from(r.u8()?);
            r.skip(1)?;
            (offset, r.u32_le()?)
        }
        // §2.2.21
        (Command::Write, false) => {
            r.skip(2)?;
            (usize::from(r.u16_le()?), r.u32_le()?)
        }
        // §2.2.31, §2.2.32: input and output buffers; only a pipe's transaction has bytes for us.
        (Command::Ioctl, response) => {
            r.skip(4)?;
            (r.u32_le()? == FSCTL_PIPE_TRANSCEIVE).then_some(())?;
            r.skip(16)?;
            if response {
                r.skip(8)?;
            }
            (usize::try_from(r.u32_le()?).ok()?, r.u32_le()?)
        }
        _ => return None,
    };
    Some(Payload { offset, len: usize::try_from(len).ok()? })
}

/// `\xfeSMB`
pub(super) const MAGIC: &[u8] = b"\xfeSMB";
/// §2.2.1: the header's own size.
pub(super) const HEADER_LEN: usize = 64;
/// Bytes of a message with names or a token that are waited for. Paths are at most 32 KiB, Windows' own far shorter.
const CONTROL_LEN: usize = 16_384;
/// Payload needed to see whether it is DCE-RPC.
const PEEK_LEN: usize = 16;
/// §2.2.31
const FSCTL_PIPE_TRANSCEIVE: u32 = 0x0011_c017;
