//! IEEE 802.11 data frames, and the headers that monitor mode puts before them. What is encrypted, and everything but
//! data, is counted only.
//!
//! Read: IEEE 802.11-2020 §9.2–9.3; <https://www.radiotap.org>. All fields are little-endian, AVS excepted.

use super::link::{AVS, PRISM, RADIOTAP, llc};
use super::stats::{Cause, Reason};
use super::{Next, Walk};
use crate::base::Reader;
use crate::capture::LinkType;

/// Passes over what monitor mode tells about reception.
pub(super) fn monitor<'a>(link: LinkType, bytes: &'a [u8], walk: &mut Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let len = match link {
        RADIOTAP => {
            walk.padded = radiotap_flags(bytes).is_some_and(|flags| flags & RADIOTAP_PADDED != 0);
            r.u16().and_then(|_| r.u16_le()).map(u32::from)
        }
        // Prism's own, unless AVS comes under its number.
        PRISM if !bytes.starts_with(&AVS_MAGIC) => Some(PRISM_LEN),
        PRISM | AVS => r.u32().and_then(|_| r.u32()),
        _ => None,
    };
    let len = len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len >= 4);
    let rest = len.and_then(|len| bytes.get(len..)).ok_or_else(|| walk.short(Reason::Wireless))?;
    Ok(Next::Wireless(rest))
}

/// A data frame's LLC.
pub(super) fn frame<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let mut r = Reader::new(bytes);
    let (Some(kind), Some(flags)) = (r.u8(), r.u8()) else { return Err(walk.short(Reason::Wireless)) };
    // Version 0, type 2; subtypes with bit 2 carry no data (§9.2.4.1.3).
    if kind & 0x0f != 0x08 || kind & 0x40 != 0 {
        return Err(Cause::new(Reason::WirelessControl));
    }
    if flags & PROTECTED != 0 {
        return Err(Cause::new(Reason::WirelessEncrypted));
    }
    let mut len: usize = if flags & BETWEEN_STATIONS == BETWEEN_STATIONS { 30 } else { 24 };
    if kind & QOS != 0 {
        // The QoS field comes last but for the HT field; its top bit says that several frames are packed into one.
        if bytes.get(len).is_some_and(|control| control & AGGREGATE != 0) {
            return Err(Cause::new(Reason::WirelessControl));
        }
        len = len.saturating_add(if flags & ORDER != 0 { 6 } else { 2 });
    }
    if walk.padded {
        len = len.next_multiple_of(4);
    }
    let body = bytes.get(len..).ok_or_else(|| walk.short(Reason::Wireless))?;
    llc(body, walk)
}

/// The flags field, where radiotap has one: behind the presence words and the time stamp.
fn radiotap_flags(bytes: &[u8]) -> Option<u8> {
    let mut r = Reader::new(bytes);
    r.skip(4)?;
    let present = r.u32_le()?;
    let mut more = present;
    for _ in 0..MAX_PRESENCE_WORDS {
        if more & 0x8000_0000 == 0 {
            break;
        }
        more = r.u32_le()?;
    }
    if present & 1 != 0 {
        r.seek(r.position().next_multiple_of(8))?;
        r.skip(8)?;
    }
    if present & 2 != 0 { r.u8() } else { None }
}

const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;
/// To and from the distribution system: a fourth address follows.
const BETWEEN_STATIONS: u8 = 0x03;
const QOS: u8 = 0x80;
const AGGREGATE: u8 = 0x80;
const RADIOTAP_PADDED: u8 = 0x20;
const PRISM_LEN: u32 = 144;
const AVS_MAGIC: [u8; 4] = [0x80, 0x21, 0x10, 0x01];
/// Radiotap defines a few vendor words; no driver writes more.
const MAX_PRESENCE_WORDS: usize = 16;
