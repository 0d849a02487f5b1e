//! pcapng: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>. Sections of either byte order, several
//! interfaces with link types and clocks of their own, enhanced, simple and obsolete packet blocks; all others are
//! passed over without being held.
//!
//! A block whose length or trailer is wrong ends the reading: nothing after it can be trusted to start where a block
//! starts, and a guess would turn payload into packets.

use super::buffer::Buffer;
use super::interface::{self, Interface};
use super::record::WRITER;
use super::{LinkType, MAX_FRAME, Step};
use crate::base::Timestamp;
use std::io::{self, Read};

/// The section being read.
#[derive(Debug, Default)]
pub(super) struct Pcapng {
    little: bool,
    interfaces: Vec<Interface>,
    /// For simple packet blocks, which have no time of their own.
    last: Timestamp,
    /// Packets that had no time and got that of the packet before.
    pub(super) untimed: u64,
    /// Packets the capturing system says it dropped.
    pub(super) dropped: u64,
    /// Whether the section is a recording of ours: others say when a capture ended in ways of their own.
    ours: bool,
    /// Until when was captured, by a recording of ours.
    pub(super) until: Option<Timestamp>,
}

/// A block's place in the buffer, its trailer included.
#[derive(Clone, Copy)]
struct Block {
    kind: u32,
    total: usize,
}

impl Pcapng {
    /// Brings the next packet's block into the buffer.
    pub(super) fn step<R: Read>(&mut self, buffer: &mut Buffer<R>) -> io::Result<Step> {
        loop {
            let block = match self.block(buffer)? {
                Ok(block) => block,
                Err(step) => return Ok(step),
            };
            let step = match block.kind {
                ENHANCED_PACKET => self.enhanced(buffer.available(), block.total),
                SIMPLE_PACKET => self.simple(buffer.available(), block.total),
                OBSOLETE_PACKET => self.obsolete(buffer.available(), block.total),
                SECTION_HEADER => self.section(buffer.available(), block.total),
                INTERFACE => self.interface(buffer.available(), block.total),
                STATISTICS => self.statistics(buffer.available(), block.total),
                _ => None,
            };
            match step {
                Some(step) => return Ok(step),
                None => buffer.consume_bytes(block.total),
            }
        }
    }

    /// Makes the next block whole in the buffer, unless it is one to be passed over.
    #[inline]
    fn block<R: Read>(&mut self, buffer: &mut Buffer<R>) -> io::Result<Result<Block, Step>> {
        loop {
            if !buffer.need(BLOCK_OVERHEAD)? {
                return Ok(Err(match buffer.available().len() {
                    0 => Step::End,
                    n => Step::Damage(format!("cut within a block header, after {n} bytes")),
                }));
            }
            let head = buffer.available();
            let section = word(head, 0, false) == SECTION_HEADER;
            if section {
                self.little = match word(head, 8, false) {
                    BYTE_ORDER => false,
                    order if order.swap_bytes() == BYTE_ORDER => true,
                    order => return Ok(Err(Step::Damage(format!("a section with byte-order magic {order:#010x}")))),
                };
            }
            // The section header's type reads the same in both byte orders.
            let kind = word(head, 0, self.little);
            let total = word(head, 4, self.little);
            if total < 12 || !total.is_multiple_of(4) {
                return Ok(Err(Step::Damage(format!(
                    "a block claims {total} bytes, not a multiple of 4 and at least 12"
                ))));
            }
            let held = matches!(
                kind,
                ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET | SECTION_HEADER | INTERFACE | STATISTICS
            );
            if held {
                return self.hold(buffer, kind, total);
            }
            let skipped = buffer.skip(u64::from(total).saturating_sub(4))?;
            if skipped.saturating_add(4) < u64::from(total) || !buffer.need(4)? {
                return Ok(Err(Step::Damage(format!("cut within a block of type {kind:#x} of {total} bytes"))));
            }
            let trailer = word(buffer.available(), 0, self.little);
            if trailer != total {
                return Ok(Err(Step::Damage(format!("a block's two lengths differ: {total} and {trailer}"))));
            }
            buffer.consume_bytes(4);
        }
    }

    #[inline]
    fn hold<R: Read>(&self, buffer: &mut Buffer<R>, kind: u32, total: u32) -> io::Result<Result<Block, Step>> {
        let size = match usize::try_from(total) {
            Ok(size) if size <= MAX_BLOCK => size,
            _ => {
                return Ok(Err(Step::Damage(format!("a packet block claims {total} bytes; the limit is {MAX_BLOCK}"))));
            }
        };
        if !buffer.need(size)? {
            let there = buffer.available().len();
            return Ok(Err(Step::Damage(format!("cut within a block, after {there} of its {total} bytes"))));
        }
        let trailer = word(buffer.available(), size - 4, self.little);
        if trailer != total {
            return Ok(Err(Step::Damage(format!("a block's two lengths differ: {total} and {trailer}"))));
        }
        Ok(Ok(Block { kind, total: size }))
    }

    /// §4.3: interface, time (high, low), captured length, original length, data, options.
    #[inline]
    fn enhanced(&mut self, block: &[u8], total: usize) -> Option<Step> {
        if total < 32 {
            return Some(Step::Damage(format!("an enhanced packet block of {total} bytes")));
        }
        let time = [word(block, 12, self.little), word(block, 16, self.little)];
        let lengths = [word(block, 20, self.little), word(block, 24, self.little)];
        Some(self.packet(word(block, 8, self.little), time, lengths, 28, total))
    }

    /// Appendix A: as the enhanced one, with a 16-bit interface and a drop count in place of the 32-bit interface.
    fn obsolete(&mut self, block: &[u8], total: usize) -> Option<Step> {
        if total < 32 {
            return Some(Step::Damage(format!("a packet block of {total} bytes")));
        }
        let id = half(block, 8, self.little);
        let time = [word(block, 12, self.little), word(block, 16, self.little)];
        let lengths = [word(block, 20, self.little), word(block, 24, self.little)];
        Some(self.packet(u32::from(id), time, lengths, 28, total))
    }

    #[inline]
    fn packet(
        &mut self,
        id: u32,
        [high, low]: [u32; 2],
        [captured, wire_len]: [u32; 2],
        at: usize,
        total: usize,
    ) -> Step {
        let Some(interface) = usize::try_from(id).ok().and_then(|id| self.interfaces.get(id)) else {
            return Step::Damage(format!("a packet of interface {id}, which was not described"));
        };
        let room = total.saturating_sub(at).saturating_sub(4);
        let len = match usize::try_from(captured) {
            Ok(len) if len <= room.min(MAX_FRAME) => len,
            _ => return Step::Damage(format!("a packet claims {captured} bytes in a block that has room for {room}")),
        };
        let ts = interface.timestamp(u64::from(high) << 32 | u64::from(low));
        self.last = ts;
        Step::Frame { ts, link: interface.link, at, len, wire_len, total }
    }

    /// §4.4: the original length and the data, from the first interface, without time.
    fn simple(&mut self, block: &[u8], total: usize) -> Option<Step> {
        let Some(interface) = self.interfaces.first() else {
            return Some(Step::Damage("a simple packet before any interface".to_owned()));
        };
        if total < 16 {
            return Some(Step::Damage(format!("a simple packet block of {total} bytes")));
        }
        let wire_len = word(block, 8, self.little);
        let limit = if interface.snaplen == 0 { wire_len } else { wire_len.min(interface.snaplen) };
        let room = total.saturating_sub(16);
        let len = usize::try_from(limit).unwrap_or(usize::MAX);
        if len > room.min(MAX_FRAME) {
            return Some(Step::Damage(format!("a simple packet of {limit} bytes in a block that has room for {room}")));
        }
        self.untimed = self.untimed.saturating_add(1);
        Some(Step::Frame { ts: self.last, link: interface.link, at: 12, len, wire_len, total })
    }

    /// §4.1: a new section forgets the interfaces.
    fn section(&mut self, block: &[u8], total: usize) -> Option<Step> {
        if total < 28 {
            return Some(Step::Damage(format!("a section header of {total} bytes")));
        }
        let major = half(block, 12, self.little);
        if major != 1 {
            return Some(Step::Damage(format!("a section of version {major}, which this reader does not know")));
        }
        self.interfaces.clear();
        let options = block.get(24..total.saturating_sub(4)).unwrap_or_default();
        self.ours = interface::writer(options, self.little).is_some_and(|name| name.starts_with(WRITER.as_bytes()));
        None
    }

    /// §4.2.
    fn interface(&mut self, block: &[u8], total: usize) -> Option<Step> {
        if total < 20 {
            return Some(Step::Damage(format!("an interface description of {total} bytes")));
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return Some(Step::Damage(format!("more than {MAX_INTERFACES} interfaces in one section")));
        }
        let link = LinkType(half(block, 8, self.little));
        let snaplen = word(block, 12, self.little);
        let options = block.get(16..total.saturating_sub(4)).unwrap_or_default();
        self.interfaces.push(Interface::new(link, snaplen, options, self.little));
        None
    }

    /// §4.6: what the capturing system lost; counts are since its start, so the last one stands.
    fn statistics(&mut self, block: &[u8], total: usize) -> Option<Step> {
        let id = usize::try_from(word(block, 8, self.little)).unwrap_or(usize::MAX);
        let options = block.get(20..total.saturating_sub(4)).unwrap_or_default();
        if let Some(interface) = self.interfaces.get_mut(id) {
            let before = interface.dropped;
            interface.count(options, self.little);
            self.dropped = self.dropped.saturating_add(interface.dropped.saturating_sub(before));
            if self.ours {
                self.until = self.until.max(interface.until);
            }
        }
        None
    }
}

/// The word at `at` in the section's byte order; 0 past the end, which callers have excluded.
#[inline]
fn word(bytes: &[u8], at: usize, little: bool) -> u32 {
    let word = bytes.get(at..).and_then(|b| b.first_chunk::<4>()).copied().unwrap_or_default();
    if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }
}

#[inline]
fn half(bytes: &[u8], at: usize, little: bool) -> u16 {
    let half = bytes.get(at..).and_then(|b| b.first_chunk::<2>()).copied().unwrap_or_default();
    if little { u16::from_le_bytes(half) } else { u16::from_be_bytes(half) }
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Type, length and trailing length.
const BLOCK_OVERHEAD: usize = 12;
/// A frame with its header and 64 KiB of options; more is no packet.
const MAX_BLOCK: usize = MAX_FRAME + 64 * 1024;
/// Interfaces of one section; large sensors have dozens.
const MAX_INTERFACES: usize = 4_096;
