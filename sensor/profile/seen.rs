//! Whom a host has ever met: two rotating 45-day Bloom generations (`detection.md` §2.3).
//!
//! Exact ties make room when memory is short; what is seen here stays known for 45 to 90 days after the last contact at
//! 10 bits an owner. A false "met before" comes once in a hundred lookups of a full generation, a false "new" never
//! within its days.

use serde::{Deserialize, Serialize};

/// Owners a host met, by stamp.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    current: Generation,
    before: Generation,
    /// The local day the current generation began.
    since: i32,
}

/// One generation: small, and large beside it for a busy host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Generation {
    small: Filter,
    large: Filter,
}

/// A Bloom filter; its words are allocated with the first entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Filter {
    words: Vec<u64>,
    entries: u32,
}

impl Seen {
    /// Whether an owner was met, as of a local day.
    pub(super) fn has(&self, stamp: u64, day: i32) -> bool {
        match day.saturating_sub(self.since) / GENERATION_DAYS {
            ..=0 => self.current.has(stamp) || self.before.has(stamp),
            1 => self.current.has(stamp),
            _ => false,
        }
    }

    /// Notes that an owner was met on a local day.
    pub(super) fn note(&mut self, stamp: u64, day: i32) {
        match day.saturating_sub(self.since) / GENERATION_DAYS {
            ..=0 => {}
            1 => (self.before, self.since) = (std::mem::take(&mut self.current), self.since.max(day)),
            _ => *self = Self { since: day, ..Self::default() },
        }
        self.current.note(stamp);
    }

    /// Adds what another baseline knows; the younger generation of the two decides when it is forgotten.
    pub(super) fn merge(&mut self, other: &Self) {
        self.since = self.since.max(other.since);
        self.current.merge(&other.current);
        self.before.merge(&other.before);
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        [&self.current, &self.before]
            .iter()
            .all(|generation| generation.small.is_whole(SMALL_ENTRIES) && generation.large.is_whole(LARGE_ENTRIES))
    }
}

impl Generation {
    fn has(&self, stamp: u64) -> bool {
        self.small.has(stamp) || self.large.has(stamp)
    }

    fn note(&mut self, stamp: u64) {
        if self.has(stamp) {
        } else if self.small.entries < SMALL_ENTRIES {
            self.small.note(stamp, SMALL_ENTRIES);
        } else if self.large.entries < LARGE_ENTRIES {
            self.large.note(stamp, LARGE_ENTRIES);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.small.merge(&other.small);
        self.large.merge(&other.large);
    }
}

impl Filter {
    fn has(&self, stamp: u64) -> bool {
        let words = self.words.len();
        words > 0 && places(stamp, words).all(|(word, bit)| self.words.get(word).is_some_and(|w| w & bit != 0))
    }

    fn note(&mut self, stamp: u64, entries: u32) {
        if self.words.is_empty() {
            self.words = vec![0; words(entries)];
        }
        for (word, bit) in places(stamp, self.words.len()) {
            if let Some(word) = self.words.get_mut(word) {
                *word |= bit;
            }
        }
        self.entries = self.entries.saturating_add(1);
    }

    fn merge(&mut self, other: &Self) {
        if self.words.is_empty() {
            self.words.clone_from(&other.words);
        } else {
            self.words.iter_mut().zip(&other.words).for_each(|(own, theirs)| *own |= theirs);
        }
        self.entries = self.entries.saturating_add(other.entries);
    }

    fn is_whole(&self, entries: u32) -> bool {
        self.words.is_empty() || self.words.len() == words(entries)
    }
}

/// 64-bit words for so many entries at 10 bits each.
fn words(entries: u32) -> usize {
    usize::try_from(entries).unwrap_or(0) * BITS_PER_ENTRY / 64
}

/// Where the bits of a stamp are: seven, by double hashing over its two halves.
fn places(stamp: u64, words: usize) -> impl Iterator<Item = (usize, u64)> {
    let bits = u64::try_from(words.saturating_mul(64)).unwrap_or(u64::MAX).max(1);
    let (start, step) = (stamp >> 32, (stamp & 0xffff_ffff) | 1);
    (0..HASHES).map(move |n| {
        let at = start.wrapping_add(step.wrapping_mul(n)) % bits;
        (usize::try_from(at / 64).unwrap_or(0), 1 << (at % 64))
    })
}

/// `detection.md` §2.3.
const GENERATION_DAYS: i32 = 45;
/// Owners of a typical host in 45 days: 1.3 kB.
const SMALL_ENTRIES: u32 = 1024;
/// Further owners of a busy one: 10 kB. Beyond them a host meets nobody for the first time that matters.
const LARGE_ENTRIES: u32 = 8192;
const BITS_PER_ENTRY: usize = 10;
/// ln 2 × bits per entry: the least false positives.
const HASHES: u64 = 7;

#[cfg(test)]
mod tests {
    use super::super::stamp::stamp;
    use super::*;

    #[test]
    fn nobody_met_is_forgotten_within_45_days_and_nobody_known_after_90() {
        let mut seen = Seen::default();
        seen.note(stamp("a.example"), 1000);
        for (what, day, expected) in
            [("at once", 1000, true), ("44 days on", 1044, true), ("generations later", 1090, false)]
        {
            assert_eq!(seen.has(stamp("a.example"), day), expected, "{what}");
        }
        seen.note(stamp("b.example"), 1050);
        assert!(
            seen.has(stamp("a.example"), 1051) && seen.has(stamp("b.example"), 1051),
            "the generation before counts"
        );
        seen.note(stamp("a.example"), 1051);
        seen.note(stamp("c.example"), 1096);
        assert!(seen.has(stamp("a.example"), 1096), "met again meanwhile");
        seen.note(stamp("d.example"), 1400);
        assert!(!seen.has(stamp("b.example"), 1400));
    }

    #[test]
    fn strangers_are_taken_for_known_once_in_a_hundred_at_most() {
        for (what, met) in [("a typical host, full", 1024_u32), ("a busy host, full", 9216)] {
            let mut seen = Seen::default();
            (0..met).for_each(|n| seen.note(stamp(&format!("{n}.met.example")), 7));
            assert!((0..met).all(|n| seen.has(stamp(&format!("{n}.met.example")), 7)), "{what}");
            let wrong = (0..20_000).filter(|n| seen.has(stamp(&format!("{n}.never.example")), 7)).count();
            // 0.82 % for 10 bits and 7 hashes a filter; a busy host has two.
            assert!(wrong <= 400, "{what}: {wrong} of 20,000");
        }
    }

    #[test]
    fn two_baselines_together_know_what_either_knew() {
        let (mut one, mut two) = (Seen::default(), Seen::default());
        one.note(stamp("a.example"), 100);
        two.note(stamp("b.example"), 103);
        one.merge(&two);
        assert!(one.has(stamp("a.example"), 104) && one.has(stamp("b.example"), 104) && one.is_whole());
    }
}
