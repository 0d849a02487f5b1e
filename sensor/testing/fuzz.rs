//! Fuzz bodies: each takes any bytes and must come back. The same functions run under a coverage-guided fuzzer
//! (`tests/fuzz/`) and as seeded mutation in the suite (`tests/fuzz.rs`).
//!
//! A panic is the failure a fuzzer looks for; the assertions are promises about growth and shards.
#![expect(clippy::panic, reason = "a broken promise is what the fuzzer waits for")]

use super::{RawFrame, observations};
use crate::alert::Rules;
use crate::base::Timestamp;
use crate::capture;
use crate::config;
use crate::event::{Direction, Event, Oddity};
use crate::intel::{self, Feeds, Vendor};
use crate::protocol::{Input, Output, PORT_BOUND, PROTOCOLS, Progress, Protocol};

/// One way in, by name.
pub type Body = (&'static str, fn(&[u8]));

/// Every way in.
pub const BODIES: &[Body] = &[("frames", frames), ("capture", read_capture), ("parser", parser), ("text", text)];

/// Names of all parsers, in the order `parser` numbers them.
pub fn parsers() -> impl Iterator<Item = &'static str> {
    all().map(|protocol| protocol.name)
}

fn all() -> impl Iterator<Item = &'static Protocol> {
    PORT_BOUND.iter().chain(PROTOCOLS).copied()
}

/// Frames, each after two bytes of length and one of link type; what is learned may not depend on the number of shards.
pub fn frames(data: &[u8]) {
    let (mut rest, mut given): (_, Vec<RawFrame<'_>>) = (data, Vec::new());
    while let [high, low, link, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (frame, after) = after.split_at(len);
        let ts = i64::try_from(given.len()).unwrap_or(0).saturating_mul(40_000_000);
        given.push((ts, LINKS.get(usize::from(*link) % LINKS.len()).copied().unwrap_or(1), frame));
        rest = after;
    }
    let (one, three) = (observations(given.iter().copied(), 1), observations(given.iter().copied(), 3));
    if one != three {
        panic!("shards are visible");
    }
    let panicked = |event: &Event| matches!(event, Event::Weird(weird) if weird.oddity == Oddity::ParserPanic);
    if one.iter().any(|seen| panicked(&seen.event)) {
        panic!("a parser panicked and the flow caught it");
    }
}

/// A capture file of any format and compression.
pub fn read_capture(data: &[u8]) {
    let Some(mut capture) = capture::of_bytes(data.to_vec()) else { return };
    let mut held = 0_usize;
    for _ in 0..=data.len() {
        match capture.advance() {
            Ok(Some(_)) => held = held.max(capture.frame().bytes.len()),
            Ok(None) | Err(_) => break,
        }
    }
    // What was compressed may be larger than the file, but a frame is never larger than a reader takes.
    if held > capture::MAX_FRAME {
        panic!("a frame of {held} bytes");
    }
}

/// The parser that the first byte numbers, fed with the rest in pieces from both sides.
pub fn parser(data: &[u8]) {
    let [number, data @ ..] = data else { return };
    let count = all().count().max(1);
    if let Some(protocol) = all().nth(usize::from(*number) % count) {
        feed(protocol, data);
    }
}

/// Every parser with the same bytes.
pub fn every_parser(data: &[u8]) -> usize {
    let mut fed = 0;
    for protocol in all() {
        feed(protocol, data);
        fed += 1;
    }
    fed
}

/// What an operator may give: a site file, rules, an allow-list, feeds, a vendor's addresses, a suffix list.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = config::site(&text);
    let shipped = Rules::shipped();
    for (stem, _) in shipped.texts() {
        let _ = shipped.clone().replace(stem, &text);
    }
    let _ = config::allow_list(&text);
    let _ = config::asset_list(&text);
    let _ = Feeds::default().add("feed", &text);
    for vendor in [Vendor::Aws, Vendor::Azure, Vendor::Google, Vendor::Oracle, Vendor::Github] {
        if let Ok(ranges) = intel::ranges(vendor, &text) {
            let _ = intel::merged("cidr,provider,service,source,snapshot_date\n", vendor, &ranges, "2026-01-01", false);
        }
    }
    let _ = intel::suffixes(&text, "", false);
}

/// Feeds one parser; the pieces are cut by the bytes themselves, so that an input says all there is to say.
fn feed(protocol: &Protocol, data: &[u8]) -> usize {
    let mut dice = Dice::of(data);
    let (mut parser, mut out, mut from) = ((protocol.new)(), Output::default(), Direction::Orig);
    let size = dice.below(data.len()).saturating_add(1);
    'pieces: for piece in data.chunks(size) {
        (protocol.probe)(from, piece);
        let mut rest = piece;
        // A parser that consumes a byte a call is slow, not wrong.
        for _ in 0..=piece.len() {
            match parser.parse(Input { from, ts: Timestamp(0), data: rest }, &mut out) {
                Progress::Consumed(0) => break,
                Progress::Consumed(n) => match rest.get(n..) {
                    Some(after @ [_, ..]) => rest = after,
                    _ => break,
                },
                Progress::Handover(_) | Progress::Done | Progress::Malformed(_) => break 'pieces,
            }
        }
        match dice.below(8) {
            0 => from = from.flip(),
            1 => drop(parser.gap(from, 100, &mut out)),
            2 if parser.idle() => parser = (protocol.new)(),
            _ => {}
        }
    }
    parser.finish(&mut out);
    let told = out.events.len();
    if told > data.len().saturating_mul(4).saturating_add(64) {
        panic!("{} told {told} facts of {} bytes", protocol.name, data.len());
    }
    told
}

/// Marsaglia's xorshift64, seeded by the input.
struct Dice(u64);

impl Dice {
    fn of(data: &[u8]) -> Self {
        Self(crate::base::hash::fnv1a(data.iter().copied()) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % n.max(1)
    }
}

/// Ethernet mostly; Linux cooked, raw IP, 802.11, radiotap, null and PPP as well.
const LINKS: &[u16] = &[1, 1, 1, 1, 113, 276, 101, 228, 229, 105, 127, 0, 9, 12];
