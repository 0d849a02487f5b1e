//! How rare a value is among those of the fleet's contacts today and on the 14 days before (`detection.md` §2.4).
//!
//! Counted in event space, "three hosts use it" means the same in a fleet of a hundred and of a hundred thousand: it is
//! the share of contacts with as few users. Whole numbers in half-octave bins; counts only, so any order of learning
//! gives the same shares.

use super::volume::MOST_COUNTED;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Values of the last 15 local days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ranks {
    /// Oldest first.
    days: VecDeque<(i32, Vec<u32>)>,
    pooled: Vec<u64>,
    total: u64,
}

impl Ranks {
    pub(super) fn new() -> Self {
        Self { days: VecDeque::new(), pooled: vec![0; BINS], total: 0 }
    }

    /// Learns a value on a local day; one from a day gone by counts on the latest.
    pub(super) fn learn(&mut self, day: i32, value: u32) {
        if self.days.back().is_none_or(|(latest, _)| *latest < day) {
            self.days.push_back((day, vec![0; BINS]));
            while self.days.front().is_some_and(|(oldest, _)| day.saturating_sub(*oldest) >= DAYS) {
                let Some((_, gone)) = self.days.pop_front() else { break };
                self.pooled.iter_mut().zip(gone).for_each(|(sum, n)| *sum = sum.saturating_sub(n.into()));
            }
            self.total = self.pooled.iter().sum();
        }
        let at = bin(value);
        if let (Some((_, counts)), Some(sum)) = (self.days.back_mut(), self.pooled.get_mut(at))
            && let Some(count) = counts.get_mut(at).filter(|count| **count < u32::MAX)
        {
            *count += 1;
            *sum += 1;
            self.total += 1;
        }
    }

    /// Share of the contacts whose value is at most this one, ties counting half; with one more imagined above and below,
    /// so that nothing is impossible. `None` before 200 are known.
    pub(super) fn at_most(&self, value: u32) -> Option<f64> {
        let at = bin(value);
        let below: u64 = self.pooled.iter().take(at).sum();
        let same = self.pooled.get(at).copied().unwrap_or(0);
        (self.total >= LEAST).then(|| (real(below) + real(same) / 2.0 + 0.5) / (real(self.total) + 1.0))
    }

    /// Adds another baseline's days.
    pub(super) fn merge(&mut self, other: &Self) {
        let mut days: Vec<(i32, Vec<u32>)> = self.days.iter().chain(&other.days).cloned().collect();
        days.sort_by_key(|(day, _)| *day);
        let newest = days.last().map_or(0, |(day, _)| *day);
        let mut merged = Self::new();
        for (day, counts) in days.into_iter().filter(|(day, _)| newest.saturating_sub(*day) < DAYS) {
            merged.pooled.iter_mut().zip(&counts).for_each(|(sum, n)| *sum += u64::from(*n));
            match merged.days.back_mut() {
                Some((known, sums)) if *known == day => {
                    sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum = sum.saturating_add(n));
                }
                _ => merged.days.push_back((day, counts)),
            }
        }
        merged.total = merged.pooled.iter().sum();
        *self = merged;
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        let days = usize::try_from(DAYS).unwrap_or(0);
        self.pooled.len() == BINS
            && self.days.len() <= days
            && self.days.iter().all(|(_, counts)| counts.len() == BINS)
            && self.pooled.iter().all(|sum| *sum <= MOST_COUNTED)
            && self.total == self.pooled.iter().sum::<u64>()
    }
}

/// 0 is a bin of its own, then two an octave.
fn bin(value: u32) -> usize {
    let square = u64::from(value).saturating_mul(u64::from(value));
    square.checked_ilog2().map_or(0, |log| usize::try_from(log).unwrap_or(0) + 1)
}

#[expect(clippy::cast_precision_loss, reason = "contacts of two weeks need 40 bits")]
const fn real(count: u64) -> f64 {
    count as f64
}

/// Two bins an octave of 32 bits, and one for nothing.
const BINS: usize = 65;
/// Today and the 14 days before.
const DAYS: i32 = 15;
/// Contacts before a rank among them means something.
const LEAST: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_among_contacts_has_a_small_share() {
        let mut ranks = Ranks::new();
        (0..199).for_each(|_| ranks.learn(5, 300));
        assert_eq!(ranks.at_most(300), None, "too little is known");
        (0..791).for_each(|_| ranks.learn(5, 300));
        (0..6).for_each(|_| ranks.learn(5, 0));
        (0..4).for_each(|_| ranks.learn(5, 1));
        for (what, value, expected) in [
            ("with no other user", 0, 3.5 / 1001.0),
            ("with one", 1, 8.5 / 1001.0),
            ("the same within half an octave", 310, 505.5 / 1001.0),
            ("more than any", 5000, 1000.5 / 1001.0),
        ] {
            assert!((ranks.at_most(value).unwrap() - expected).abs() < 1e-12, "{what}: {:?}", ranks.at_most(value));
        }
    }

    #[test]
    fn days_older_than_two_weeks_count_no_more() {
        let mut ranks = Ranks::new();
        (0..1000).for_each(|_| ranks.learn(0, 1));
        (0..1000).for_each(|_| ranks.learn(14, 100));
        assert!(ranks.at_most(1).unwrap() > 0.2);
        (0..1000).for_each(|_| ranks.learn(15, 100));
        assert!(ranks.at_most(1).unwrap() < 1e-3);
        assert!(ranks.is_whole());
    }

    #[test]
    fn merged_ranks_are_those_of_all_contacts() {
        let (mut one, mut two, mut all) = (Ranks::new(), Ranks::new(), Ranks::new());
        for n in 0..600_i32 {
            let (day, value) = (n % 9, n.unsigned_abs() * 7 % 40);
            if n % 2 == 0 { one.learn(day, value) } else { two.learn(day, value) }
        }
        for day in 0..9 {
            (0..600_i32).filter(|n| n % 9 == day).for_each(|n| all.learn(day, n.unsigned_abs() * 7 % 40));
        }
        // Days of the two come in no order, so the latest day of each holds what came late.
        one.merge(&two);
        assert_eq!((one.total, one.at_most(20)), (all.total, all.at_most(20)));
    }
}
