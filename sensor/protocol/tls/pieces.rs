//! Bytes of a hello that come in pieces, in any order: QUIC's CRYPTO frames (RFC 9000 §19.6), DTLS fragments
//! (RFC 6347 §4.2.3).

/// Bytes that come in any order. The first copy of each wins.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    /// What of `bytes` was seen: disjoint, in order.
    seen: Vec<(usize, usize)>,
}

impl Pieces {
    /// Takes bytes at `offset`. What lies beyond the budget is left out.
    pub(crate) fn take(&mut self, offset: u64, data: &[u8]) {
        let Ok(start) = usize::try_from(offset) else { return };
        let end = start.saturating_add(data.len());
        // What was forgotten here comes again, or the hello stays cut.
        if data.is_empty() || end > MAX_BYTES || self.seen.len() >= MAX_PIECES {
            return;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let mut at = start;
        for (from, to) in &self.seen {
            if *from >= end {
                break;
            }
            copy(&mut self.bytes, start, data, at, *from);
            at = at.max(*to);
        }
        copy(&mut self.bytes, start, data, at, end);
        let (mut from, mut to) = (start, end);
        self.seen.retain(|(a, b)| {
            let apart = *b < from || to < *a;
            if !apart {
                (from, to) = (from.min(*a), to.max(*b));
            }
            apart
        });
        let at = self.seen.partition_point(|(a, _)| *a < from);
        self.seen.insert(at, (from, to));
    }

    /// What is there without a hole from the start.
    pub(crate) fn start(&self) -> &[u8] {
        match self.seen.first() {
            Some((0, end)) => self.bytes.get(..*end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Bytes of memory.
    pub(crate) const fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Copies what of `data`, which starts at `start`, lies in `from..to`.
fn copy(bytes: &mut [u8], start: usize, data: &[u8], from: usize, to: usize) {
    let part = data.get(from.saturating_sub(start)..to.saturating_sub(start)).unwrap_or_default();
    if let Some(place) = bytes.get_mut(from..from.saturating_add(part.len())) {
        place.copy_from_slice(part);
    }
}

/// Post-quantum hellos have 2 to 4 KiB, the certificates of a server seldom more than 10.
pub(crate) const MAX_BYTES: usize = 32 * 1024;
/// Chrome cuts a hello into some ten pieces to keep middleboxes honest.
const MAX_PIECES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_whatever_their_overlap() {
        let mut pieces = Pieces::default();
        for (offset, data, start) in [
            (4, &b"ef"[..], ""),
            (8, b"ij", ""),
            (0, b"abc", "abc"),
            (2, b"XdX", "abcdef"),
            (5, b"Xgh", "abcdefghij"),
            (u64::MAX, b"x", "abcdefghij"),
            (1 << 20, b"x", "abcdefghij"),
        ] {
            pieces.take(offset, data);
            assert_eq!(std::str::from_utf8(pieces.start()).unwrap(), start);
        }
        assert_eq!(pieces.seen, [(0, 10)]);
    }
}
