//! Long headers and what they protect (RFC 8999, RFC 9000 §17.2, RFC 9001 §5.4).

use super::keys::Keys;
use crate::base::Reader;

/// A version whose Initial packets can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// RFC 9000, and its drafts 33 and 34, which had its salt already.
    V1,
    /// RFC 9369.
    V2,
    /// Drafts 29 to 32.
    Draft29,
    /// Drafts 23 to 28, and Facebook's versions made of them.
    Draft23,
    /// Google's versions between its own QUIC and the standard.
    T050,
    T051,
}

impl Version {
    /// From the version field.
    pub(super) const fn new(number: u32) -> Option<Self> {
        Some(match number {
            0x0000_0001 | 0xff00_0021..=0xff00_0022 => Self::V1,
            0x6b33_43cf | 0x709a_50c4 => Self::V2,
            0xff00_001d..=0xff00_0020 => Self::Draft29,
            0xff00_0017..=0xff00_001c | 0xface_b002..=0xface_b00f => Self::Draft23,
            0x5430_3530 => Self::T050,
            0x5430_3531 => Self::T051,
            _ => return None,
        })
    }

    /// The type of a CRYPTO frame; Google's versions kept the number that was STREAM in the standard.
    const fn crypto_frame(self) -> u64 {
        match self {
            Self::T050 | Self::T051 => 0x08,
            _ => 0x06,
        }
    }

    /// RFC 9001 §5.2, RFC 9369 §3.3.1, and the drafts' sections of the same name.
    pub(super) const fn salt(self) -> &'static [u8; 20] {
        match self {
            Self::V1 => b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
            Self::V2 => b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
            Self::Draft29 => b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99",
            Self::T050 => b"\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10",
            Self::T051 => b"\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d",
            Self::Draft23 => b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02",
        }
    }
}

/// The version's name in records.
pub(super) fn version_name(number: u32) -> Box<str> {
    match number {
        0x0000_0001 => "1".into(),
        0x6b33_43cf => "2".into(),
        0x5430_3530 => "T050".into(),
        0x5430_3531 => "T051".into(),
        0xff00_0000..=0xff00_00ff => format!("draft-{}", number & 0xff).into(),
        _ => format!("0x{number:08x}").into(),
    }
}

/// What kind of packet a long header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
    /// Version 0.
    VersionNegotiation,
    /// A version we do not know.
    Unknown,
}

/// One packet of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) kind: Kind,
    /// The version field.
    pub(super) number: u32,
    pub(super) dcid: &'a [u8],
    /// The packet, up to its own end.
    bytes: &'a [u8],
    /// Where the packet number starts.
    number_at: usize,
}

impl<'a> Packet<'a> {
    /// The packet at the reader's place, which moves behind it; `None` for a short header or what is no packet.
    pub(super) fn read(r: &mut Reader<'a>) -> Option<Self> {
        let start = r.rest();
        let first = r.u8()?;
        if first & LONG == 0 {
            return None;
        }
        let number = r.u32()?;
        let dcid = connection_id(r)?;
        connection_id(r)?;
        let kind = kind(first, number);
        let mut packet = Self { kind, number, dcid, bytes: start, number_at: 0 };
        match kind {
            Kind::Initial => {
                let token = varint(r)?;
                r.skip(usize::try_from(token).ok()?)?;
            }
            Kind::ZeroRtt | Kind::Handshake => {}
            // These reach to the end of their datagram.
            Kind::Retry | Kind::VersionNegotiation | Kind::Unknown => {
                r.skip(r.remaining())?;
                return Some(packet);
            }
        }
        let len = usize::try_from(varint(r)?).ok()?;
        packet.number_at = start.len().saturating_sub(r.remaining());
        r.skip(len)?;
        packet.bytes = start.get(..start.len().saturating_sub(r.remaining()))?;
        Some(packet)
    }

    /// Takes the protection off; `None` when it does not verify under `keys`.
    pub(super) fn open<'b>(&self, keys: &Keys, room: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        let mut r = Reader::new(self.bytes);
        r.seek(self.number_at.checked_add(4)?)?;
        let [mask, number_mask @ ..] = keys.mask(r.take(SAMPLE)?)?;
        room.clear();
        room.extend_from_slice(self.bytes);
        let first = room.first_mut()?;
        *first ^= mask & 0x0f;
        let number_len = usize::from(*first & 0x03).saturating_add(1);
        let mut number = 0_u32;
        for (byte, mask) in room.get_mut(self.number_at..)?.iter_mut().take(number_len).zip(number_mask) {
            *byte ^= mask;
            number = number << 8 | u32::from(*byte);
        }
        let (header, payload) = room.split_at_mut_checked(self.number_at.checked_add(number_len)?)?;
        keys.open(number, header, payload)
    }
}

fn kind(first: u8, number: u32) -> Kind {
    if number == 0 {
        return Kind::VersionNegotiation;
    }
    let Some(version) = Version::new(number) else { return Kind::Unknown };
    // RFC 9369 §3.2: version 2 turns the types round by one.
    let turned = if version == Version::V2 { 3 } else { 0 };
    match ((first >> 4 & 0x03) + turned) % 4 {
        0 => Kind::Initial,
        1 => Kind::ZeroRtt,
        2 => Kind::Handshake,
        _ => Kind::Retry,
    }
}

/// RFC 8999 §5.1 allows 255 bytes; all versions so far 20.
fn connection_id<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = r.u8()?;
    r.take(len.into())
}

/// RFC 9000 §16.
pub(super) fn varint(r: &mut Reader<'_>) -> Option<u64> {
    let first = r.u8()?;
    let more = (1_usize << (first >> 6)).saturating_sub(1);
    let rest = r.take(more)?;
    Some(rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)))
}

/// The bytes of all CRYPTO frames of a payload, each with its offset (RFC 9000 §19). Reading stops at a frame that an
/// Initial may not hold.
pub(super) fn crypto_frames(version: Version, payload: &[u8], mut each: impl FnMut(u64, &[u8])) -> Option<()> {
    let mut r = Reader::new(payload);
    // Each turn takes at least a byte, so the datagram bounds the loops.
    while !r.is_empty() {
        match varint(&mut r)? {
            0x00 | 0x01 => {} // PADDING, PING.
            kind @ (0x02 | 0x03) => {
                varint(&mut r)?; // Largest acknowledged.
                varint(&mut r)?; // Delay.
                let ranges = varint(&mut r)?;
                varint(&mut r)?; // First range.
                for _ in 0..ranges.min(MAX_RANGES) {
                    varint(&mut r)?;
                    varint(&mut r)?;
                }
                if kind == 0x03 {
                    varint(&mut r)?; // ECN counts.
                    varint(&mut r)?;
                    varint(&mut r)?;
                }
            }
            kind if kind == version.crypto_frame() => {
                let offset = varint(&mut r)?;
                let len = usize::try_from(varint(&mut r)?).ok()?;
                each(offset, r.take(len)?);
            }
            _ => return None,
        }
    }
    Some(())
}

/// RFC 8999 §5.1: the header form bit.
pub(super) const LONG: u8 = 0x80;
/// RFC 9000 §17.2: the fixed bit.
pub(super) const FIXED: u8 = 0x40;
/// RFC 9001 §5.4.2.
const SAMPLE: usize = 16;
/// Acknowledged ranges of one frame that are read.
const MAX_RANGES: u64 = 256;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tls::pieces::Pieces;

    #[test]
    fn integers_have_the_lengths_of_the_rfc() {
        // RFC 9000 §A.1.
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            let mut r = Reader::new(bytes);
            assert_eq!((varint(&mut r), r.is_empty()), (Some(value), true));
        }
        assert_eq!(varint(&mut Reader::new(&[0xc2, 0x19])), None);
    }

    #[test]
    fn frames_come_in_any_order_and_company() {
        let payload = [
            &[0x00, 0x00, 0x01][..],                     // Padding, ping.
            &[0x02, 0x05, 0x00, 0x01, 0x00, 0x01, 0x01], // ACK of 5 and of one more range.
            &[0x06, 0x03, 0x02, b'd', b'e'],             // CRYPTO at 3.
            &[0x03, 0x01, 0x00, 0x00, 0x00, 1, 2, 3],    // ACK with ECN counts.
            &[0x06, 0x00, 0x03, b'a', b'b', b'c'],       // CRYPTO at 0.
        ]
        .concat();
        let mut crypto = Pieces::default();
        assert_eq!(crypto_frames(Version::V1, &payload, |offset, data| crypto.take(offset, data)), Some(()));
        assert_eq!(crypto.start(), b"abcde");
        assert_eq!(crypto_frames(Version::V1, &[0x08, 0, 0], |_, _| {}), None, "STREAM has no place in an Initial");
    }
}
