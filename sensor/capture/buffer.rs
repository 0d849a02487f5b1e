//! One reusable block of bytes between a `Read` and a format reader: frames are borrowed from it, nothing is copied
//! out and nothing allocated per packet. 256 KiB measured best; mapping the file costs half as much again.

use std::io::{self, BufRead, Read};

/// Bytes read from `source` and not consumed yet.
#[derive(Debug)]
pub(crate) struct Buffer<R> {
    source: R,
    data: Vec<u8>,
    start: usize,
    end: usize,
    capacity: usize,
    consumed: u64,
}

impl<R: Read> Buffer<R> {
    /// An empty buffer; allocates at the first read.
    pub(super) const fn new(source: R, capacity: usize) -> Self {
        Self { source, data: Vec::new(), start: 0, end: 0, capacity, consumed: 0 }
    }

    /// What was read and not consumed.
    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        self.data.get(self.start..self.end).unwrap_or_default()
    }

    /// How many bytes were consumed before [`Buffer::available`].
    pub(super) const fn position(&self) -> u64 {
        self.consumed
    }

    /// Makes at least `n` bytes available; `false` when the source ends before. Callers cap `n`.
    #[inline]
    pub(super) fn need(&mut self, n: usize) -> io::Result<bool> {
        if self.end - self.start >= n {
            return Ok(true);
        }
        self.read_until(n)
    }

    #[cold]
    fn read_until(&mut self, n: usize) -> io::Result<bool> {
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let size = n.max(self.capacity);
        if self.data.len() < size {
            self.data.resize(size, 0);
        }
        while self.end < n {
            match self.source.read(self.data.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Gives back the first `n` available bytes (all of them when fewer are there).
    #[inline]
    pub(super) fn consume_bytes(&mut self, n: usize) {
        let n = n.min(self.end - self.start);
        self.start += n;
        self.consumed = self.consumed.saturating_add(n as u64);
    }

    /// Passes over `n` bytes, available or not, without holding them; how many there were.
    pub(super) fn skip(&mut self, n: u64) -> io::Result<u64> {
        let mut left = n;
        while left > 0 && self.need(1)? {
            let step = self.available().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.consume_bytes(step);
            left = left.saturating_sub(step as u64);
        }
        Ok(n.saturating_sub(left))
    }

    /// What is read from.
    pub(super) const fn source_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// What is read from.
    pub(super) const fn source(&self) -> &R {
        &self.source
    }

    /// Frees the memory; what was read and not consumed has to be read again.
    pub(super) fn release(&mut self) {
        self.data = Vec::new();
        self.start = 0;
        self.end = 0;
    }

    /// What is read from, without what was read and not consumed.
    pub(super) fn into_source(self) -> R {
        self.source
    }
}

/// For the decompressors, which read through a buffer of the layer below.
impl<R: Read> Read for Buffer<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.need(1)?;
        let mut available = self.available();
        let read = available.read(into)?;
        self.consume_bytes(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Buffer<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.need(1)?;
        Ok(self.available())
    }

    fn consume(&mut self, n: usize) {
        self.consume_bytes(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a slow pipe does.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = into.len().min(1);
            self.0.read(&mut into[..n])
        }
    }

    #[test]
    fn bytes_come_whole_however_the_source_gives_them() {
        let mut buffer = Buffer::new(Drip(b"abcdefgh"), 4);
        assert!(buffer.need(3).unwrap());
        assert_eq!(buffer.available(), b"abc");
        buffer.consume_bytes(2);
        assert!(buffer.need(6).unwrap(), "more than the capacity: it grows");
        assert_eq!((buffer.available(), buffer.position()), (b"cdefgh".as_slice(), 2));
        assert!(!buffer.need(7).unwrap(), "the source has ended");
        assert_eq!(buffer.available(), b"cdefgh", "what was there stays");
        assert_eq!(buffer.skip(100).unwrap(), 6);
        assert_eq!(buffer.position(), 8);
    }
}
