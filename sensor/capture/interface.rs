//! One interface of a pcapng section: its link type, its clock, what it lost.

use super::LinkType;
use crate::base::{Reader, Timestamp};

/// An interface description block, pcapng §4.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    pub(super) link: LinkType,
    pub(super) snaplen: u32,
    /// Dropped by the interface or the system since its start, by the newest statistics block.
    pub(super) dropped: u64,
    /// When the capture ended, by a statistics block.
    pub(super) until: Option<Timestamp>,
    unit: Unit,
    /// Added to every timestamp.
    offset_s: i64,
}

/// What one tick of the clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// A whole number of nanoseconds.
    Nanos(u64),
    /// A fraction of a nanosecond.
    PerNano(u64),
    /// Two to the minus this, in seconds.
    Binary(u32),
}

impl Interface {
    pub(super) fn new(link: LinkType, snaplen: u32, options: &[u8], little: bool) -> Self {
        let mut interface = Self { link, snaplen, dropped: 0, until: None, unit: Unit::Nanos(1_000), offset_s: 0 };
        for_each_option(options, little, |code, value| match (code, value) {
            (IF_TSRESOL, [resolution]) => interface.unit = Unit::new(*resolution),
            (IF_TSOFFSET, [..]) => {
                if let Ok(offset) = value.try_into() {
                    interface.offset_s = number(offset, little).cast_signed();
                }
            }
            _ => {}
        });
        interface
    }

    /// A statistics block's options, pcapng §4.6.
    pub(super) fn count(&mut self, options: &[u8], little: bool) {
        let mut dropped = 0_u64;
        let mut ended = None;
        for_each_option(options, little, |code, value| match (code, value.try_into()) {
            (ISB_IFDROP | ISB_OSDROP, Ok(count)) => dropped = dropped.saturating_add(number(count, little)),
            // A block's moments are two words, the high one first in either byte order.
            (ISB_ENDTIME, Ok(moment)) => {
                let moment = number(moment, little);
                ended = Some(if little { moment.rotate_left(32) } else { moment });
            }
            _ => {}
        });
        self.until = ended.map(|ticks| self.timestamp(ticks)).or(self.until);
        self.dropped = self.dropped.max(dropped);
    }

    /// Ticks since the epoch as a moment.
    #[inline]
    pub(super) fn timestamp(&self, ticks: u64) -> Timestamp {
        let nanos = match self.unit {
            Unit::Nanos(nanos) => ticks.saturating_mul(nanos),
            Unit::PerNano(parts) => ticks / parts.max(1),
            Unit::Binary(bits) => {
                let nanos = (u128::from(ticks) * 1_000_000_000).checked_shr(bits).unwrap_or(0);
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Timestamp::new(self.offset_s, nanos)
    }
}

impl Unit {
    /// The most significant bit says whether the rest is a power of two or of ten.
    fn new(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        match (resolution & 0x80, exponent) {
            (0, 0..=9) => Self::Nanos(10_u64.pow(9 - exponent)),
            // Finer than 2^64 parts of a nanosecond: every time is 0.
            (0, _) => Self::PerNano(10_u64.checked_pow(exponent - 9).unwrap_or(u64::MAX)),
            _ => Self::Binary(exponent),
        }
    }
}

/// Code, length, value padded to four bytes; ended by code 0 or the block's end, pcapng §3.5.
fn for_each_option(options: &[u8], little: bool, mut each: impl FnMut(u16, &[u8])) {
    let mut reader = Reader::new(options);
    let half = |r: &mut Reader<'_>| if little { r.u16_le() } else { r.u16() };
    // Ends: each turn takes at least four bytes.
    while let (Some(code), Some(len)) = (half(&mut reader), half(&mut reader)) {
        let Some(value) = reader.take(usize::from(len)) else { return };
        if code == END_OF_OPTIONS {
            return;
        }
        each(code, value);
        if reader.skip(usize::from(len).wrapping_neg() & 3).is_none() {
            return;
        }
    }
}

/// The program that wrote a section, by its header's options, pcapng §4.1.
pub(super) fn writer(options: &[u8], little: bool) -> Option<Vec<u8>> {
    let mut name = None;
    for_each_option(options, little, |code, value| {
        if code == SHB_USERAPPL {
            name = Some(value.to_owned());
        }
    });
    name
}

const fn number(bytes: [u8; 8], little: bool) -> u64 {
    if little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) }
}

const END_OF_OPTIONS: u16 = 0;
const SHB_USERAPPL: u16 = 4;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const ISB_ENDTIME: u16 = 3;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_tick_as_described() {
        for (what, options, ticks, nanos) in [
            ("microseconds, when nothing is said", &[][..], 1_500_000_000_000_001, 1_500_000_000_000_001_000),
            ("nanoseconds", &[9, 0, 1, 0, 9, 0, 0, 0], 1_500_000_000_000_000_001, 1_500_000_000_000_000_001),
            ("whole seconds", &[9, 0, 1, 0, 0, 0, 0, 0], 1_500_000_000, 1_500_000_000_000_000_000),
            ("picoseconds", &[9, 0, 1, 0, 12, 0, 0, 0], 1_234_567, 1_234),
            ("finer than anything", &[9, 0, 1, 0, 127, 0, 0, 0], 1_234_567, 0),
            ("1/1024 s", &[9, 0, 1, 0, 0x8a, 0, 0, 0], 1_536, 1_500_000_000),
            ("2^-127 s", &[9, 0, 1, 0, 0xff, 0, 0, 0], u64::MAX, 0),
            ("an offset", &[14, 0, 8, 0, 10, 0, 0, 0, 0, 0, 0, 0], 1_000_000, 11_000_000_000),
            ("a negative offset", &[14, 0, 8, 0, 255, 255, 255, 255, 255, 255, 255, 255], 0, -1_000_000_000),
            ("an option before", &[2, 0, 1, 0, b'x', 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0], 2, 2_000_000_000),
            ("after the end of options", &[0, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0], 2, 2_000),
            ("a cut option", &[9, 0, 9, 0, 0], 2, 2_000),
            ("ticks past the year 2262", &[9, 0, 1, 0, 0, 0, 0, 0], u64::MAX, i64::MAX),
        ] {
            let interface = Interface::new(LinkType::ETHERNET, 0, options, true);
            assert_eq!(interface.timestamp(ticks), Timestamp(nanos), "{what}");
        }
    }
}
