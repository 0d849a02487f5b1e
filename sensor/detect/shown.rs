//! How much names can carry: distinct names counted in constant memory, and the information in their letters.

use crate::base::distinct::{estimate, mark};
use crate::base::hash::{fnv1a, mix};

/// Distinct items, counted in 256 bytes; exact to some 5 % up to 2,000, to 20 % up to 10,000.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Distinct {
    bits: [u64; WORDS],
    set: u32,
}

impl Distinct {
    pub(super) const fn new() -> Self {
        Self { bits: [0; WORDS], set: 0 }
    }

    /// Adds an item; whether it looks new.
    pub(super) fn add(&mut self, item: &str) -> bool {
        // Similar names must land far apart.
        let new = mark(&mut self.bits, mix(fnv1a(item.bytes().map(|byte| byte.to_ascii_lowercase()))));
        self.set += u32::from(new);
        new
    }

    /// How many distinct items were added, about.
    pub(super) fn count(&self) -> f64 {
        estimate(self.set, BITS)
    }
}

/// Bits of information in a text by the frequency of its letters, at most five a letter (base32, which names allow).
pub(super) fn information(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let length = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let entropy: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / length;
            -share * share.log2()
        })
        .sum();
    length * entropy.min(5.0)
}

const WORDS: usize = 32;
const BITS: u32 = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_items_are_counted_within_a_tenth_or_so() {
        for (items, repeats, within) in [(10_u32, 50, 0.1), (500, 3, 0.1), (3_000, 1, 0.15), (10_000, 1, 0.25)] {
            let mut distinct = Distinct::new();
            for _ in 0..repeats {
                (0..items).for_each(|n| {
                    distinct.add(&format!("name-{n}"));
                });
            }
            let error = (distinct.count() - f64::from(items)).abs() / f64::from(items);
            assert!(error <= within, "{items}: {}", distinct.count());
        }
    }

    #[test]
    fn random_letters_carry_more_than_words() {
        for (what, text, low, high) in [
            ("one letter", "aaaaaaaa", 0.0, 0.1),
            ("a word", "www", 0.0, 0.1),
            ("a label of base32", "mfzwizlgm4ydcmrtgq2tmnzyhe4tqnzw", 110.0, 160.0),
        ] {
            let bits = information(text);
            assert!((low..=high).contains(&bits), "{what}: {bits}");
        }
    }
}
