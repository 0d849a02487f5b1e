//! Tag, length, value (X.690 §8.1), as far as Kerberos, LDAP and SNMP use it: one-byte tags, definite lengths.
//!
//! Lenient on purpose: a value that the capture cut gives what is there, elements nobody asks for are passed over.
//! What it does not do: validate DER, indefinite lengths (none of these protocols allows them).

use crate::base::Reader;

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
}

/// The next element at `r`.
pub(super) fn next<'a>(r: &mut Reader<'a>) -> Option<Element<'a>> {
    let (tag, len) = header(r)?;
    let content = r.take(len.min(r.remaining()))?;
    Some(Element { tag, content })
}

/// The next element's tag and the length it claims; `r` stands at its content.
pub(super) fn header(r: &mut Reader<'_>) -> Option<(u8, usize)> {
    let tag = r.u8()?;
    let len = match r.u8()? {
        len @ ..=0x7f => usize::from(len),
        0x81 => usize::from(r.u8()?),
        0x82 => usize::from(r.u16()?),
        0x83 => usize::try_from(r.u24()?).ok()?,
        0x84 => usize::try_from(r.u32()?).ok()?,
        _ => return None,
    };
    (tag & 0x1f != 0x1f).then_some((tag, len))
}

/// The elements within `content`.
pub(super) fn elements(content: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut r = Reader::new(content);
    std::iter::from_fn(move || next(&mut r)).take(MAX_ELEMENTS)
}

/// Content of the first element with that tag within `content`.
pub(super) fn child(content: &[u8], tag: u8) -> Option<&[u8]> {
    elements(content).find(|e| e.tag == tag).map(|e| e.content)
}

/// Content of the element that one comes to by these tags, each within the last.
pub(super) fn path<'a>(content: &'a [u8], tags: &[u8]) -> Option<&'a [u8]> {
    tags.iter().try_fold(content, |content, tag| child(content, *tag))
}

/// An INTEGER's content, two's complement.
pub(super) fn integer(content: &[u8]) -> Option<i64> {
    let (first, rest) = content.split_first()?;
    let start = i64::from(i8::from_be_bytes([*first]));
    (rest.len() < 8).then(|| rest.iter().fold(start, |n, b| n << 8 | i64::from(*b)))
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;

/// Lists of names, addresses and attributes are short; the longest list of these protocols is the attributes a
/// directory search asks for.
const MAX_ELEMENTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_tags() {
        let message = b"\x30\x0b\xa0\x03\x02\x01\x05\xa1\x04\x04\x02hi";
        assert_eq!(path(message, &[SEQUENCE, 0xa1, OCTET_STRING]), Some(b"hi".as_slice()));
        assert_eq!(path(message, &[SEQUENCE, 0xa0, INTEGER]).and_then(integer), Some(5));
        assert_eq!(path(message, &[SEQUENCE, 0xa2]), None);
        assert_eq!(path(&message[..12], &[SEQUENCE, 0xa1, OCTET_STRING]), Some(b"h".as_slice()), "a cut value");
    }

    #[test]
    fn lengths_and_integers_are_read() {
        for (what, bytes, expected) in [
            ("short", b"\x04\x01a".as_slice(), Some(1)),
            ("one byte", b"\x04\x81\x01a", Some(1)),
            ("four bytes", b"\x04\x84\0\0\0\x01a", Some(1)),
            ("indefinite", b"\x30\x80\0\0", None),
            ("a long tag", b"\x3f\x81\x01\x01a", None),
            ("beyond the bytes", b"\x04\x84\xff\xff\xff\xff", Some(0)),
        ] {
            assert_eq!(next(&mut Reader::new(bytes)).map(|e| e.content.len()), expected, "{what}");
        }
        for (bytes, expected) in [
            (b"\x05".as_slice(), Some(5)),
            (b"\xff\x79", Some(-135)),
            (b"\0\xff", Some(255)),
            (b"", None),
            (&[1; 9], None),
        ] {
            assert_eq!(integer(bytes), expected, "{bytes:?}");
        }
    }
}
