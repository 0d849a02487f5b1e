//! Interface, object and class identifiers (C706 appendix A): sixteen bytes, kept in the order they are written in.

use crate::base::Reader;
use std::fmt;

/// A UUID in its written order, whatever byte order it had on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::protocol) struct Uuid(pub(super) [u8; 16]);

impl Uuid {
    /// Reads one in the byte order of its PDU.
    pub(super) fn read(r: &mut Reader<'_>, order: Order) -> Option<Self> {
        let wire = r.array::<16>()?;
        if order == Order::Big {
            return Some(Self(wire));
        }
        // C706 §14.3.9: the first three fields are integers and follow the data representation, the rest are octets.
        let [a, b, c, d, e, f, g, h, rest @ ..] = wire;
        let mut written = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
        if let Some(tail) = written.last_chunk_mut::<8>() {
            *tail = rest;
        }
        Some(Self(written))
    }

    /// Parses `367abb81-9844-35f1-ad32-98f038001003`, either case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
        let bytes = hex::decode(digits).ok()?;
        (text.len() == 36).then_some(())?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            if matches!(n, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Byte order of the integers of a PDU (C706 §14.1, the first nibble of the data representation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The label says 0.
    Big,
    /// The label says 1; nearly all traffic.
    Little,
}

impl Order {
    /// Two bytes.
    pub(super) fn u16(self, r: &mut Reader<'_>) -> Option<u16> {
        match self {
            Self::Big => r.u16(),
            Self::Little => r.u16_le(),
        }
    }

    /// Four bytes.
    pub(super) fn u32(self, r: &mut Reader<'_>) -> Option<u32> {
        match self {
            Self::Big => r.u32(),
            Self::Little => r.u32_le(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_give_the_written_form() {
        let written = "367abb81-9844-35f1-ad32-98f038001003";
        for (what, order, wire) in [
            (
                "little-endian, as Windows sends it",
                Order::Little,
                [0x81, 0xbb, 0x7a, 0x36, 0x44, 0x98, 0xf1, 0x35, 0xad, 0x32, 0x98, 0xf0, 0x38, 0x00, 0x10, 0x03],
            ),
            (
                "big-endian",
                Order::Big,
                [0x36, 0x7a, 0xbb, 0x81, 0x98, 0x44, 0x35, 0xf1, 0xad, 0x32, 0x98, 0xf0, 0x38, 0x00, 0x10, 0x03],
            ),
        ] {
            let uuid = Uuid::read(&mut Reader::new(&wire), order);
            assert_eq!(uuid.map(|u| u.to_string()).as_deref(), Some(written), "{what}");
            assert_eq!(uuid, Uuid::parse(&written.to_uppercase()), "{what}");
        }
        assert_eq!(Uuid::read(&mut Reader::new(&[0; 15]), Order::Little), None, "cut");
        assert_eq!(Uuid::parse("367abb81"), None, "too short");
    }
}
