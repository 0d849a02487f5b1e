//! Handshake messages out of one side's pieces (RFC 8446 §5.1): a message may span records, a record may hold many.

use super::exchange::Message;
use crate::base::Reader;

/// What one side has said of a message that is not complete.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    pending: Vec<u8>,
}

impl Joiner {
    /// Takes the next bytes and hands on each message that is complete. A message longer than [`MAX_MESSAGE`] is
    /// handed on cut; its rest is taken for the next message, so the caller must not go on after one.
    pub(crate) fn feed(&mut self, data: &[u8], mut each: impl FnMut(Message<'_>)) {
        let mut r = Reader::new(data);
        if !self.pending.is_empty() {
            while self.pending.len() < HEADER && !r.is_empty() {
                self.pending.extend(r.u8());
            }
            let Some(total) = total_len(&self.pending) else { return };
            let missing = total.min(MAX_MESSAGE).saturating_sub(self.pending.len());
            self.pending.extend_from_slice(r.take(missing.min(r.remaining())).unwrap_or_default());
            if self.pending.len() < total.min(MAX_MESSAGE) {
                return;
            }
            each(split(&self.pending));
            self.pending = Vec::new();
        }
        while let Some(total) = total_len(r.rest()) {
            match r.take(total) {
                Some(message) => each(split(message)),
                None if r.remaining() >= MAX_MESSAGE => {
                    each(split(r.rest()));
                    return;
                }
                None => break,
            }
        }
        self.pending.extend_from_slice(r.rest());
    }

    /// What is there of the message that is not complete, for a last look.
    pub(crate) fn rest(&self) -> Option<Message<'_>> {
        (self.pending.len() > HEADER).then(|| split(&self.pending))
    }

    /// Bytes of memory.
    pub(crate) const fn held(&self) -> usize {
        self.pending.capacity()
    }

    /// Forgets it.
    pub(crate) fn clear(&mut self) {
        self.pending = Vec::new();
    }
}

/// Length of the message that `data` begins with, its header included.
fn total_len(data: &[u8]) -> Option<usize> {
    let mut r = Reader::new(data);
    r.skip(1)?;
    Some(HEADER.saturating_add(usize::try_from(r.u24()?).ok()?))
}

fn split(data: &[u8]) -> Message<'_> {
    let mut r = Reader::new(data);
    let kind = r.u8().unwrap_or_default();
    let len = r.u24().and_then(|len| usize::try_from(len).ok()).unwrap_or_default();
    let body = r.rest();
    Message { kind, body, whole: body.len() == len }
}

/// Type and length.
const HEADER: usize = 4;
/// Post-quantum hellos have 2 to 4 KiB, chains seldom more than 10 KiB, and only their first certificate matters.
const MAX_MESSAGE: usize = 32 * 1024;
