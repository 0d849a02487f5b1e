//! The frame of a message (RFC 1035 §4.1): header, questions, records, read one after the other until the bytes end.
//! What is whole before a cut is kept.

use super::name::{self, Flaw};
use crate::base::Reader;

/// RFC 1035 §4.1.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) id: u16,
    flags: u16,
    /// Questions, answers, authority, additional.
    pub(super) counts: [u16; 4],
}

impl Header {
    pub(super) const fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub(super) const fn opcode(&self) -> u16 {
        self.flags >> 11 & 0xf
    }

    /// The four bits of the header; EDNS has eight more.
    pub(super) const fn rcode(&self) -> u16 {
        self.flags & 0xf
    }

    /// RFC 1002 §4.2.1.1: sent to everybody, so the answer comes on another flow.
    pub(super) const fn is_broadcast(&self) -> bool {
        self.flags & 0x0010 != 0
    }

    /// What every encoder of DNS respects and random bytes seldom do: known opcode, zero bit zero, response code only
    /// in a response, counts that a datagram could hold.
    pub(super) fn is_plausible(&self) -> bool {
        let [questions, answers, authority, additional] = self.counts;
        let rcode = self.rcode() == 0 || self.is_response() || self.opcode() == UPDATE;
        let counts = if self.is_response() {
            questions <= 1 && answers <= 1024 && authority <= 256 && additional <= 256
        } else if self.opcode() == QUERY {
            questions == 1 && answers == 0 && authority <= 1 && additional <= 2
        } else {
            questions == 1 && answers <= 64 && authority <= 256 && additional <= 64
        };
        matches!(self.opcode(), QUERY | STATUS | NOTIFY | UPDATE) && self.flags & 0x0040 == 0 && rcode && counts
    }
}

/// RFC 1035 §4.1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: Box<str>,
    pub(super) qtype: u16,
    pub(super) class: u16,
}

/// RFC 1035 §4.1.3. Names in it stay where they are until somebody wants them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Offset of the owner's name.
    pub(super) owner_at: usize,
    pub(super) rtype: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    /// Offset and length of the data.
    pub(super) data_at: usize,
    pub(super) data_len: usize,
}

/// A walk through one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) header: Header,
    bytes: &'a [u8],
    at: Reader<'a>,
}

impl<'a> Message<'a> {
    /// `None` when not even a header is there.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut at = Reader::new(bytes);
        let header = Header { id: at.u16()?, flags: at.u16()?, counts: [at.u16()?, at.u16()?, at.u16()?, at.u16()?] };
        Some(Self { header, bytes, at })
    }

    /// The next question.
    pub(super) fn question(&mut self) -> Result<Question, Flaw> {
        let name = name::read(&mut self.at)?;
        let qtype = self.at.u16().ok_or(Flaw::Cut)?;
        let class = self.at.u16().ok_or(Flaw::Cut)?;
        Ok(Question { name, qtype, class })
    }

    /// Type and class of the next question, for a look that does not want its name.
    pub(super) fn question_kind(&mut self) -> Result<(u16, u16), Flaw> {
        name::walk(&mut self.at, |_| {})?;
        let qtype = self.at.u16().ok_or(Flaw::Cut)?;
        Ok((qtype, self.at.u16().ok_or(Flaw::Cut)?))
    }

    /// The next record.
    pub(super) fn record(&mut self) -> Result<Record, Flaw> {
        let owner_at = self.at.position();
        name::skip(&mut self.at)?;
        let rtype = self.at.u16().ok_or(Flaw::Cut)?;
        let class = self.at.u16().ok_or(Flaw::Cut)?;
        let ttl = self.at.u32().ok_or(Flaw::Cut)?;
        let data_len = usize::from(self.at.u16().ok_or(Flaw::Cut)?);
        let data_at = self.at.position();
        self.at.skip(data_len).ok_or(Flaw::Cut)?;
        Ok(Record { owner_at, rtype, class, ttl, data_at, data_len })
    }

    /// A record's data.
    pub(super) fn data(&self, record: &Record) -> &'a [u8] {
        let end = record.data_at.saturating_add(record.data_len);
        self.bytes.get(record.data_at..end).unwrap_or_default()
    }

    /// A reader over the message up to a record's end that stands at the record's data: names in it may point back.
    pub(super) fn data_reader(&self, record: &Record) -> Reader<'a> {
        let end = record.data_at.saturating_add(record.data_len);
        let mut r = Reader::new(self.bytes.get(..end).unwrap_or_default());
        let _ = r.seek(record.data_at); // Within the bytes: the record was read from them.
        r
    }

    /// The name at an offset.
    pub(super) fn name_at(&self, offset: usize) -> Result<Box<str>, Flaw> {
        let mut r = Reader::new(self.bytes);
        r.seek(offset).ok_or(Flaw::Cut)?;
        name::read(&mut r)
    }

    /// A reader over the whole message that stands where the walk stands.
    pub(super) const fn here(&self) -> Reader<'a> {
        self.at
    }

    /// Bytes behind what was read so far.
    pub(super) fn remaining(&self) -> usize {
        self.at.remaining()
    }
}

pub(super) const QUERY: u16 = 0;
const STATUS: u16 = 2;
const NOTIFY: u16 = 4;
const UPDATE: u16 = 5;
