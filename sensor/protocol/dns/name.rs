//! Domain names on the wire (RFC 1035 §3.1, §4.1.4): labels and compression pointers, loops bounded.
//!
//! A name becomes text without the trailing dot, `.` for the root. Bytes that are no text, and dots and backslashes
//! within a label, are written as RFC 1035 §5.1 does (`\000`, `\.`, `\\`): two different names never become one text.

use crate::base::Reader;
use std::fmt::Write;

/// Why a message could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The bytes end first.
    Cut,
    /// A label or length that no encoder writes.
    Malformed,
    /// Compression pointers that do not lead backwards.
    Loop,
}

/// Reads the name at `r`, a reader over the whole message, as text.
pub(super) fn read(r: &mut Reader<'_>) -> Result<Box<str>, Flaw> {
    // Hosts' names are letters, digits and hyphens (RFC 1123 §2.1): put together here and allocated once, as long as
    // they are.
    let (start, mut plain) = (*r, Plain { text: [0; MAX_NAME], len: 0, fits: true });
    walk(r, |label| plain.push(label))?;
    if let Some(text) = plain.text() {
        return Ok(text.into());
    }
    let (mut r, mut text) = (start, String::new());
    walk(&mut r, |label| push_label(&mut text, label))?;
    Ok(text.into())
}

/// A name that needs no escapes, as far as it is known.
struct Plain {
    text: [u8; MAX_NAME],
    len: usize,
    fits: bool,
}

impl Plain {
    fn push(&mut self, label: &[u8]) {
        self.fits &= label.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
        let dot = usize::from(self.len > 0);
        let rest = self.text.get_mut(self.len..).unwrap_or_default();
        if let (Some(first), true) = (rest.first_mut(), dot > 0) {
            *first = b'.';
        }
        match rest.get_mut(dot..dot.saturating_add(label.len())) {
            Some(place) => place.copy_from_slice(label),
            None => self.fits = false,
        }
        self.len = self.len.saturating_add(dot).saturating_add(label.len());
    }

    /// The whole name; `None` when it is to be read with escapes.
    fn text(&self) -> Option<&str> {
        let text = if self.len == 0 { b".".as_slice() } else { self.text.get(..self.len)? };
        std::str::from_utf8(text).ok().filter(|_| self.fits)
    }
}

/// Passes over the name at `r`; pointers are not followed, only their syntax is checked.
pub(super) fn skip(r: &mut Reader<'_>) -> Result<(), Flaw> {
    for _ in 0..MAX_LABELS {
        match r.u8().ok_or(Flaw::Cut)? {
            0 => return Ok(()),
            len @ 1..=MAX_LABEL => r.skip(usize::from(len)).ok_or(Flaw::Cut)?,
            POINTER.. => return r.skip(1).ok_or(Flaw::Cut),
            _ => return Err(Flaw::Malformed),
        }
    }
    Err(Flaw::Malformed)
}

/// Hands every label of the name at `r` to `label`, following pointers; `r` stands behind the name afterwards.
pub(super) fn walk<'a>(r: &mut Reader<'a>, mut label: impl FnMut(&'a [u8])) -> Result<(), Flaw> {
    // RFC 1035 §4.1.4: a pointer refers to a prior occurrence. That each one leads further back ends every loop.
    let mut lowest = r.position();
    let mut behind = None;
    let mut length = 0_usize;
    for _ in 0..MAX_LABELS.saturating_mul(2) {
        match r.u8().ok_or(Flaw::Cut)? {
            0 => {
                if let Some(behind) = behind {
                    r.seek(behind).ok_or(Flaw::Cut)?;
                }
                return Ok(());
            }
            len @ 1..=MAX_LABEL => {
                label(r.take(usize::from(len)).ok_or(Flaw::Cut)?);
                length = length.saturating_add(usize::from(len)).saturating_add(1);
                if length > MAX_NAME {
                    return Err(Flaw::Malformed);
                }
            }
            high @ POINTER.. => {
                let low = r.u8().ok_or(Flaw::Cut)?;
                let target = usize::from(u16::from_be_bytes([high & !POINTER, low]));
                behind = behind.or_else(|| Some(r.position()));
                if target >= lowest {
                    return Err(Flaw::Loop);
                }
                lowest = target;
                r.seek(target).ok_or(Flaw::Malformed)?;
            }
            _ => return Err(Flaw::Malformed), // RFC 6891 §5: the other two label types are gone.
        }
    }
    Err(Flaw::Loop)
}

fn push_label(text: &mut String, label: &[u8]) {
    if !text.is_empty() {
        text.push('.');
    }
    for chunk in label.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '.' | '\\' => text.extend(['\\', c]),
                '\0'..='\x1f' | '\x7f' => push_octet(text, u32::from(c)),
                _ => text.push(c),
            }
        }
        for octet in chunk.invalid() {
            push_octet(text, u32::from(*octet));
        }
    }
}

fn push_octet(text: &mut String, octet: u32) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\\{octet:03}");
}

/// RFC 1035 §2.3.4.
const MAX_LABEL: u8 = 63;
/// RFC 1035 §2.3.4, without the root's length byte.
const MAX_NAME: usize = 254;
/// 254 bytes hold at most 127 labels.
const MAX_LABELS: usize = 128;
/// The two high bits of a pointer.
const POINTER: u8 = 0xc0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_loops_end() {
        for (what, message, at, expected) in [
            ("the root", b"\0".as_slice(), 0, Ok(".")),
            ("two labels", b"\x03www\x07example\0", 0, Ok("www.example")),
            ("a pointer at the end", b"\x07example\0\x03www\xc0\0", 9, Ok("www.example")),
            ("a pointer to a pointer", b"\x01a\0\x01b\xc0\0\x01c\xc0\x03", 7, Ok("c.b.a")),
            ("a dot and a backslash in a label", b"\x05a.b\\c\0", 0, Ok("a\\.b\\\\c")),
            ("octets that are no text", b"\x03\x00\xff\x7f\0", 0, Ok("\\000\\255\\127")),
            ("UTF-8, as in multicast DNS", "\x05caf\u{e9}\0".as_bytes(), 0, Ok("café")),
            ("a pointer to itself", b"\xc0\0", 0, Err(Flaw::Loop)),
            ("two pointers at each other", b"\xc0\x02\xc0\0", 2, Err(Flaw::Loop)),
            ("a pointer forwards", b"\xc0\x02\0", 0, Err(Flaw::Loop)),
            ("a label that loops back into itself", b"\x01a\xc0\0", 0, Err(Flaw::Loop)),
            ("an extended label type", b"\x41\0", 0, Err(Flaw::Malformed)),
            ("a cut label", b"\x05ab", 0, Err(Flaw::Cut)),
            ("no end", b"\x01a", 0, Err(Flaw::Cut)),
        ] {
            let mut r = Reader::new(message);
            r.seek(at).unwrap();
            assert_eq!(read(&mut r), expected.map(Into::into), "{what}");
            if expected.is_ok() {
                assert!(r.is_empty(), "{what}: stands behind the name");
            }
        }
    }

    #[test]
    fn a_name_of_more_than_255_bytes_is_malformed() {
        let labels = |n: usize| [b"\x07abcdefg".repeat(n), vec![0]].concat();
        assert!(read(&mut Reader::new(&labels(31))).is_ok());
        assert_eq!(read(&mut Reader::new(&labels(32))), Err(Flaw::Malformed));
    }

    #[test]
    fn skipping_ends_where_reading_ends() {
        for message in [b"\x03www\x07example\0".as_slice(), b"\0", b"\x01a\xc0\0", b"\x01a\x80", b"\x02a", b"\xc0"] {
            let (mut a, mut b) = (Reader::new(message), Reader::new(message));
            if walk(&mut a, |_| {}).is_ok() {
                assert_eq!((skip(&mut b), b.position()), (Ok(()), a.position()));
            }
        }
    }
}
