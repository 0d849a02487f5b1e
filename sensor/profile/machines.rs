//! How many different machines: the first few by themselves, more by the bits they set.

use crate::base::distinct::{estimate, is_marked, mark};
use serde::{Deserialize, Serialize};

/// Distinct machines; beyond the first few their number is right within 3 % up to 8,000.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Machines {
    Few(Vec<u32>),
    Many(Vec<u64>),
}

impl Default for Machines {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Machines {
    pub(super) fn add(&mut self, machine: u32) {
        match self {
            Self::Few(few) if few.contains(&machine) => {}
            Self::Few(few) if few.len() < FEW => few.push(machine),
            Self::Few(few) => {
                let mut many = vec![0; WORDS];
                few.iter().chain([&machine]).for_each(|machine| {
                    mark(&mut many, spread(*machine));
                });
                *self = Self::Many(many);
            }
            Self::Many(many) => {
                mark(many, spread(machine));
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Few(theirs)) => theirs.iter().for_each(|machine| self.add(*machine)),
            (Self::Many(own), Self::Many(theirs)) => own.iter_mut().zip(theirs).for_each(|(word, more)| *word |= more),
            (Self::Few(own), Self::Many(_)) => {
                let few = std::mem::take(own);
                *self = other.clone();
                few.into_iter().for_each(|machine| self.add(machine));
            }
        }
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Few(few) => few.len() <= FEW,
            Self::Many(many) => many.len() == WORDS,
        }
    }

    /// Whether a machine is among them, or shares its bit with one that is.
    pub(super) fn may_hold(&self, machine: u32) -> bool {
        match self {
            Self::Few(few) => few.contains(&machine),
            Self::Many(many) => is_marked(many, spread(machine)),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of thousands")]
    pub(super) fn count(&self) -> u32 {
        match self {
            Self::Few(few) => u32::try_from(few.len()).unwrap_or(u32::MAX),
            Self::Many(many) => {
                let set: u32 = many.iter().map(|word| word.count_ones()).sum();
                estimate(set, BITS).round() as u32
            }
        }
    }
}

/// Ids follow each other: a first half of a finaliser puts them far apart.
const fn spread(machine: u32) -> u64 {
    let word = (machine as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
}

/// Machines held by themselves.
const FEW: usize = 8;
const WORDS: usize = 64;
const BITS: u32 = 64 * 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_counted_to_the_few_percent_and_in_bounds() {
        for machines in [1_u32, 8, 9, 100, 2_000, 8_000] {
            let mut some = Machines::default();
            (0..2).for_each(|_| (0..machines).for_each(|n| some.add(n)));
            let error = (f64::from(some.count()) - f64::from(machines)).abs() / f64::from(machines);
            assert!(error <= if machines > 8 { 0.05 } else { 0.0 }, "{machines}: {}", some.count());
        }
    }
}
