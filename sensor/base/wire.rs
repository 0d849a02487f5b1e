//! The only code that slices packet bytes. Every read is checked; a short read is `None`, never a panic.

/// A cursor over bytes from the wire. Integers are big-endian unless the name ends in `_le`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `data`.
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// Offset from the start of the data.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.data.len().saturating_sub(self.at)
    }

    /// Whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The next `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(n)?;
        let bytes = self.data.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    /// The next `N` bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Passes over `n` bytes.
    pub(crate) fn skip(&mut self, n: usize) -> Option<()> {
        self.take(n).map(|_| ())
    }

    /// Moves to `offset` from the start of the data.
    pub(crate) fn seek(&mut self, offset: usize) -> Option<()> {
        (offset <= self.data.len()).then(|| self.at = offset)
    }

    /// The next `n` bytes as a reader of their own.
    pub(crate) fn sub(&mut self, n: usize) -> Option<Reader<'a>> {
        self.take(n).map(Reader::new)
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    /// Two bytes, network order.
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Three bytes, network order.
    pub(crate) fn u24(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Four bytes, network order.
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, network order.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Two bytes, little-endian.
    pub(crate) fn u16_le(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    pub(crate) fn u32_le(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    pub(crate) fn u64_le(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The bytes up to LF, without it and a CR before it; `None` when no LF comes within `max` bytes.
    pub(crate) fn line(&mut self, max: usize) -> Option<&'a [u8]> {
        let rest = self.rest();
        let end = rest.iter().take(max).position(|b| *b == b'\n')?;
        let line = self.take(end)?;
        self.skip(1)?;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// UTF-16LE text from the wire; unpaired surrogates become U+FFFD, an odd last byte is dropped.
pub(crate) fn utf16le(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [lo, hi] => u16::from_le_bytes([*lo, *hi]),
        _ => 0,
    });
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Bytes as text: UTF-8 where it is, U+FFFD where it is not. Escaping is the sink's work.
pub(crate) fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_checked() {
        let mut r = Reader::new(&[1, 2, 3, 4, b'a', b'\r', b'\n', 9]);
        assert_eq!(r.u16(), Some(0x0102));
        assert_eq!(r.u16_le(), Some(0x0403));
        assert_eq!(r.line(8), Some(b"a".as_slice()));
        assert_eq!(r.u16(), None, "one byte is left");
        assert_eq!(r.take(usize::MAX), None, "no overflow");
        assert_eq!(r.rest(), [9]);
        assert_eq!(r.seek(9), None);
        assert_eq!(r.seek(8), Some(()));
        assert!(r.is_empty());
    }

    #[test]
    fn utf16_survives_hostile_input() {
        assert_eq!(utf16le(b"A\0B\0"), "AB");
        assert_eq!(utf16le(&[0x00, 0xd8, 0x41]), "\u{fffd}");
    }
}
