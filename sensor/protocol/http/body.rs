//! Where a body ends (RFC 9112 §6–7): by length, by chunks, or with the connection. Bytes are counted and passed over,
//! never kept, save the first few hundred that a look at the content needs.

use crate::base::Reader;

/// The place within a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes are to come.
    Fixed(u64),
    /// All that comes.
    UntilClose,
    /// A chunk's size line comes.
    ChunkSize,
    /// So many bytes of a chunk are to come.
    Chunk(u64),
    /// The end of line after a chunk comes.
    ChunkEnd,
    /// Trailer fields come, up to an empty line.
    Trailer,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes are dealt with; may be more than were given.
    Consumed(usize),
    /// So many bytes are dealt with, and the body is over.
    Finished(usize),
    /// Chunk framing is broken.
    Broken,
}

/// The first bytes of a body.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) bytes: Vec<u8>,
    limit: usize,
}

impl Look {
    pub(super) const fn at(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    fn wants(&self) -> bool {
        self.bytes.len() < self.limit
    }

    fn take(&mut self, data: &[u8]) {
        let n = self.limit.saturating_sub(self.bytes.len()).min(data.len());
        self.bytes.extend_from_slice(data.get(..n).unwrap_or_default());
    }
}

impl Body {
    /// Takes a step through `data`. `count` grows by the body's own bytes.
    pub(super) fn step(&mut self, data: &[u8], look: &mut Look, count: &mut u64) -> Step {
        match *self {
            Self::Fixed(left) => {
                let here = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                look.take(data.get(..here).unwrap_or_default());
                if here as u64 == left {
                    *count = count.saturating_add(left);
                    return Step::Finished(here);
                }
                // The last byte is waited for, so that the end is noticed when it comes.
                let n = if look.wants() { here as u64 } else { left.saturating_sub(1) };
                *self = Self::Fixed(left.saturating_sub(n));
                *count = count.saturating_add(n);
                Step::Consumed(usize::try_from(n).unwrap_or(usize::MAX))
            }
            Self::UntilClose => {
                look.take(data);
                *count = count.saturating_add(data.len() as u64);
                Step::Consumed(data.len())
            }
            Self::Chunk(left) => {
                let here = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                look.take(data.get(..here).unwrap_or_default());
                let n = if look.wants() { here as u64 } else { left };
                *count = count.saturating_add(n);
                *self = if n == left { Self::ChunkEnd } else { Self::Chunk(left.saturating_sub(n)) };
                Step::Consumed(usize::try_from(n).unwrap_or(usize::MAX))
            }
            Self::ChunkSize | Self::ChunkEnd | Self::Trailer => self.line(data),
        }
    }

    fn line(&mut self, data: &[u8]) -> Step {
        let mut r = Reader::new(data);
        let Some(line) = r.line(MAX_LINE) else {
            return if data.len() < MAX_LINE { Step::Consumed(0) } else { Step::Broken };
        };
        match *self {
            Self::Trailer if line.is_empty() => return Step::Finished(r.position()),
            Self::Trailer => {}
            Self::ChunkEnd if line.is_empty() => *self = Self::ChunkSize,
            Self::ChunkEnd => return Step::Broken,
            _ => match chunk_size(line) {
                Some(0) => *self = Self::Trailer,
                Some(size) => *self = Self::Chunk(size),
                None => return Step::Broken,
            },
        }
        Step::Consumed(r.position())
    }

    /// `missing` bytes will never be seen: finished or going on when they lay within the body, broken when the gap
    /// reaches beyond what is known of it.
    pub(super) fn pass_over(&mut self, missing: u64, count: &mut u64) -> Step {
        let (step, next) = match *self {
            Self::UntilClose => (Step::Consumed(0), Self::UntilClose),
            Self::Fixed(left) if left == missing => (Step::Finished(0), Self::Fixed(0)),
            Self::Fixed(left) if left > missing => (Step::Consumed(0), Self::Fixed(left.saturating_sub(missing))),
            Self::Chunk(left) if left == missing => (Step::Consumed(0), Self::ChunkEnd),
            Self::Chunk(left) if left > missing => (Step::Consumed(0), Self::Chunk(left.saturating_sub(missing))),
            _ => return Step::Broken,
        };
        *self = next;
        *count = count.saturating_add(missing);
        step
    }
}

/// RFC 9112 §7.1: hexadecimal digits, then perhaps extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|b| *b == b';').next()?.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A chunk's size line or a trailer field.
const MAX_LINE: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks a body piece by piece and gives its length and how many bytes of `data` it spans.
    fn walk(mut body: Body, data: &[u8], piece: usize, limit: usize) -> (u64, Option<usize>, Vec<u8>) {
        let (mut look, mut count, mut at, mut end) = (Look::at(limit), 0, 0_usize, 0);
        while at < data.len() {
            end = (end.max(at) + piece).min(data.len());
            while at < end {
                match body.step(&data[at..end], &mut look, &mut count) {
                    Step::Consumed(0) if end < data.len() => break,
                    Step::Consumed(0) | Step::Broken => return (count, None, look.bytes),
                    Step::Consumed(n) => at += n,
                    Step::Finished(n) => return (count, Some(at + n), look.bytes),
                }
            }
        }
        (count, None, look.bytes)
    }

    #[test]
    fn bodies_end_where_they_say() {
        let chunks = b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\nNEXT";
        for piece in 1..chunks.len() {
            for limit in [0, 3, 512] {
                let (count, end, look) = walk(Body::ChunkSize, chunks, piece, limit);
                assert_eq!((count, end), (11, Some(chunks.len() - 4)), "chunks in pieces of {piece}, look of {limit}");
                assert_eq!(look, b"hello world"[..limit.min(11)]);
                let (count, end, look) = walk(Body::Fixed(7), b"1234567NEXT", piece, limit);
                assert_eq!((count, end), (7, Some(7)));
                assert_eq!(look, b"1234567"[..limit.min(7)]);
            }
        }
        assert_eq!(walk(Body::UntilClose, b"123", 2, 9), (3, None, b"123".to_vec()));
    }

    #[test]
    fn broken_framing_is_noticed() {
        for (what, data) in [
            ("no size", &b"zz\r\n"[..]),
            ("an empty size line", b"\r\n"),
            ("a size beyond 64 bits", b"10000000000000000\r\n"),
            ("a chunk longer than its size", b"1\r\nab\r\n"),
        ] {
            assert_eq!(walk(Body::ChunkSize, data, 100, 0).1, None, "{what}");
        }
        assert_eq!(Body::ChunkSize.step(&[b'1'; MAX_LINE], &mut Look::default(), &mut 0), Step::Broken);
    }

    #[test]
    fn bytes_that_nobody_needs_are_passed_over_unseen() {
        let (mut body, mut count) = (Body::Fixed(1_000_000), 0);
        assert_eq!(body.step(&[0; 100], &mut Look::default(), &mut count), Step::Consumed(999_999));
        assert_eq!((body, count), (Body::Fixed(1), 999_999));
        assert_eq!(body.step(&[0; 100], &mut Look::default(), &mut count), Step::Finished(1));
        assert_eq!(count, 1_000_000);
    }

    #[test]
    fn gaps_within_a_body_count_as_its_bytes() {
        let mut count = 0;
        let mut body = Body::Fixed(10);
        assert_eq!(body.pass_over(4, &mut count), Step::Consumed(0));
        assert_eq!((body, count), (Body::Fixed(6), 4));
        assert_eq!(body.pass_over(7, &mut count), Step::Broken, "the gap reaches beyond the body");
        assert_eq!((body.pass_over(6, &mut count), count), (Step::Finished(0), 10));
        assert_eq!(Body::ChunkSize.pass_over(1, &mut count), Step::Broken);
    }
}
