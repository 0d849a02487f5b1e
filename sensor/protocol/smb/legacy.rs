//! SMB 1 messages (MS-CIFS §2.2.3): the header, blocks of words and bytes, names in either character set.

use super::files::{Handle, OnClose};
use super::message::Payload;
use crate::base::Reader;
use crate::base::wire::{text, utf16le};

/// The 32 bytes every message begins with (MS-CIFS §2.2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) command: u8,
    pub(super) is_response: bool,
    pub(super) succeeded: bool,
    unicode: bool,
    pub(super) tree: u16,
    /// Process and multiplex id: together they pair an answer with its request.
    pub(super) exchange: u32,
}

impl Header {
    /// Reads a header; `None` when it is short or not one.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let mut r = Reader::new(data);
        (r.take(4)? == b"\xffSMB").then_some(())?;
        let command = r.u8()?;
        let status = r.u32_le()?;
        let is_response = r.u8()? & 0x80 != 0;
        let flags = r.u16_le()?;
        r.skip(12)?; // Process (high), signature, reserved.
        let tree = r.u16_le()?;
        let process = r.u16_le()?;
        r.skip(2)?; // User.
        let multiplex = r.u16_le()?;
        // STATUS_BUFFER_OVERFLOW, and the same as an old error class and code: data came, more wait.
        let succeeded = matches!(status, 0 | 0x8000_0005 | 0x00ea_0001);
        let exchange = u32::from(process) << 16 | u32::from(multiplex);
        Some(Self { command, is_response, succeeded, unicode: flags & 0x8000 != 0, tree, exchange })
    }
}

/// Words and bytes of one command (MS-CIFS §2.2.3.2, §2.2.3.3). The bytes may be cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) message: &'a [u8],
    pub(super) words: &'a [u8],
    pub(super) bytes: &'a [u8],
    /// Where the bytes begin in the message.
    bytes_at: usize,
}

impl<'a> Block<'a> {
    /// The block at `at`.
    pub(super) fn read(message: &'a [u8], at: usize) -> Option<Self> {
        let mut r = Reader::new(message);
        r.seek(at)?;
        let count = usize::from(r.u8()?);
        let words = r.take(count.checked_mul(2)?)?;
        let len = usize::from(r.u16_le().unwrap_or(0));
        let bytes_at = r.position();
        let bytes = r.rest();
        Some(Self { message, words, bytes: bytes.get(..len).unwrap_or(bytes), bytes_at })
    }

    /// Two bytes at an offset in the words.
    pub(super) fn word(&self, at: usize) -> Option<u16> {
        Reader::new(self.words.get(at..)?).u16_le()
    }

    /// Four bytes at an offset in the words.
    pub(super) fn dword(&self, at: usize) -> Option<u32> {
        Reader::new(self.words.get(at..)?).u32_le()
    }

    /// The file identifier at an offset in the words.
    pub(super) fn fid(&self, at: usize) -> Option<Handle> {
        self.word(at).map(fid)
    }

    /// The next command of the chain and where its block is.
    pub(super) fn next(&self, command: u8) -> Option<(u8, usize)> {
        let chains = matches!(command, 0x24 | 0x2d..=0x2f | 0x73..=0x75 | 0xa2);
        let next = *self.words.first()?;
        (chains && next != NO_ANDX).then_some(())?;
        Some((next, self.word(2)?.into()))
    }

    /// `len` of the bytes from `at`, or as many as there are.
    pub(super) fn data(&self, at: usize, len: usize) -> &'a [u8] {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.get(..len).unwrap_or(rest)
    }

    /// The names that begin at an offset in the bytes.
    pub(super) fn names(&self, header: &Header, at: usize) -> Names<'a> {
        let start = self.bytes_at.saturating_add(at);
        let end = self.bytes_at.saturating_add(self.bytes.len());
        let mut rest = Reader::new(self.message.get(..end).unwrap_or(self.message));
        let _ = rest.seek(start);
        Names { rest, unicode: header.unicode }
    }

    /// Payload of a write request (MS-CIFS §2.2.4.43.1, the length's high half of MS-SMB §2.2.4.3.1).
    pub(super) fn write_payload(&self) -> Option<Payload> {
        self.payload(18, 20, 22)
    }

    /// Payload of a read answer (MS-CIFS §2.2.4.42.2, MS-SMB §2.2.4.2.2).
    pub(super) fn read_payload(&self) -> Option<Payload> {
        self.payload(14, 10, 12)
    }

    fn payload(&self, high: usize, low: usize, offset: usize) -> Option<Payload> {
        let len = u32::from(self.word(high)?) << 16 | u32::from(self.word(low)?);
        Some(Payload { offset: self.word(offset)?.into(), len: usize::try_from(len).ok()? })
    }
}

/// Names one behind the other, zero-terminated. UTF-16 ones are aligned to two bytes from the message's start.
pub(super) struct Names<'a> {
    rest: Reader<'a>,
    unicode: bool,
}

impl Names<'_> {
    /// The next one.
    pub(super) fn next(&mut self) -> Option<Box<str>> {
        self.align();
        let bytes = self.rest.rest();
        let len = if self.unicode {
            bytes.chunks_exact(2).position(|pair| pair == [0, 0]).map(|n| n.saturating_mul(2))
        } else {
            bytes.iter().position(|b| *b == 0)
        };
        let len = len.unwrap_or(bytes.len());
        let name = self.counted(len)?;
        // The terminator may be missing at the end of the bytes.
        let _ = self.rest.skip(if self.unicode { 2 } else { 1 });
        Some(name)
    }

    /// The next one, of a stated length; Windows counts a terminator in, others do not.
    pub(super) fn counted(&mut self, len: usize) -> Option<Box<str>> {
        self.align();
        let bytes = self.rest.take(len.min(self.rest.remaining()))?;
        let name: Box<str> = if self.unicode { utf16le(bytes).into() } else { text(bytes) };
        Some(name.trim_end_matches('\0').into())
    }

    /// Passes over a buffer format byte.
    pub(super) fn skip(&mut self, n: usize) {
        let _ = self.rest.skip(n);
    }

    fn align(&mut self) {
        if self.unicode && self.rest.position() % 2 == 1 {
            let _ = self.rest.skip(1);
        }
    }
}

/// A transaction (MS-CIFS §2.2.4.33.1): parameters and data lie where the words say.
pub(super) struct Transaction {
    /// The pipe, for `TRANS_TRANSACT_NMPIPE`.
    pub(super) pipe: Option<Handle>,
    function: u16,
    parameters: Payload,
    pub(super) data: Payload,
}

impl Transaction {
    /// Reads a request.
    pub(super) fn request(block: &Block<'_>) -> Option<Self> {
        let function = block.word(28)?;
        let pipe = if function == TRANSACT_NMPIPE { block.fid(30) } else { None };
        let parameters = Payload { len: block.word(18)?.into(), offset: block.word(20)?.into() };
        let data = Payload { len: block.word(22)?.into(), offset: block.word(24)?.into() };
        Some(Self { pipe, function, parameters, data })
    }

    /// The data of an answer (MS-CIFS §2.2.4.33.2).
    pub(super) fn response(block: &Block<'_>) -> Option<Payload> {
        Some(Payload { len: block.word(12)?.into(), offset: block.word(14)?.into() })
    }

    /// Whether the file of a `TRANS2_SET_FILE_INFORMATION` (MS-CIFS §2.2.6.9) is to be deleted.
    pub(super) fn disposition(&self, block: &Block<'_>) -> Option<(Handle, OnClose)> {
        (self.function == SET_FILE_INFORMATION).then_some(())?;
        let mut r = Reader::new(self.parameters.of(block.message).0);
        let (file, level) = (r.u16_le()?, r.u16_le()?);
        matches!(level, SET_DISPOSITION | PASS_THROUGH_DISPOSITION).then_some(())?;
        let (data, _) = self.data.of(block.message);
        let end = if data.first()? & 1 == 0 { OnClose::Keep } else { OnClose::Delete };
        Some((fid(file), end))
    }
}

/// SMB 1 identifiers have two bytes.
fn fid(number: u16) -> Handle {
    let [low, high] = number.to_le_bytes();
    Handle::Given([low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

const NO_ANDX: u8 = 0xff;
const TRANSACT_NMPIPE: u16 = 0x26;
const SET_FILE_INFORMATION: u16 = 0x08;
const SET_DISPOSITION: u16 = 0x0102;
/// MS-SMB §2.2.2.3.5: 1000 and the MS-FSCC class.
const PASS_THROUGH_DISPOSITION: u16 = 1013;

#[cfg(test)]
mod tests {
    use super::super::v1::HEADER_LEN;
    use super::*;

    #[test]
    fn the_header_is_read() {
        let mut message = b"\xffSMB\xa2".to_vec();
        message.extend([0; 4]);
        message.extend([0x98, 0x07, 0xc8]); // Answer; Unicode, NT status.
        message.extend([0; 12]);
        message.extend([1, 8, 0xfe, 0xca, 0, 8, 64, 0]);
        let header = Header::read(&message).unwrap();
        assert_eq!((header.command, header.is_response, header.succeeded, header.unicode), (0xa2, true, true, true));
        assert_eq!((header.tree, header.exchange), (0x801, 0xcafe_0040));
        assert!((0..HEADER_LEN).all(|end| Header::read(&message[..end]).is_none()));
    }
}
