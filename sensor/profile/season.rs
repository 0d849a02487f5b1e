//! When a group of hosts is at work: 168 hour-of-week multipliers (`detection.md` §2.5), in the site's local time.
//!
//! A multiplier is the share of an hour of the week in the week's host-hours, held against the average hour: 1 is usual,
//! 0.05 the floor. Of up to eight weeks the median counts, so that one holiday or one incident moves nothing. A host
//! counts once an hour: what beats all night does not make the night a day.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Host-hours by hour of the week, over the latest weeks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Season {
    /// The hour, since the epoch, at which the first week began.
    begun: Option<i64>,
    /// Whole weeks since then.
    week: i64,
    current: Vec<u32>,
    /// Whole weeks, oldest first.
    weeks: VecDeque<Vec<u32>>,
    /// Of each hour of the week, in 1/1000; empty before two weeks are known.
    multipliers: Vec<u32>,
    /// Host-hours of the weeks behind the multipliers.
    known: u64,
}

impl Season {
    /// Time reached a local hour since the epoch: whole weeks before it are learned.
    pub(super) fn reach(&mut self, hour: i64) {
        let begun = *self.begun.get_or_insert(hour);
        let week = hour.saturating_sub(begun).div_euclid(HOURS);
        if week > self.week || self.current.is_empty() {
            self.turn(week);
        }
    }

    /// A host was at work in a local hour.
    pub(super) fn add(&mut self, hour: i64) {
        self.reach(hour);
        if let Some(count) = self.current.get_mut(of_week(hour)) {
            *count = count.saturating_add(1);
        }
    }

    /// How lively a local hour is against the average one; `None` before two weeks and `least` host-hours are known.
    pub(super) fn multiplier(&self, hour: i64, least: u64) -> Option<f64> {
        let thousandths = self.multipliers.get(of_week(hour)).filter(|_| self.known >= least)?;
        Some(f64::from(*thousandths) / 1000.0)
    }

    /// Whether work and rest were told apart for less time than the histograms remember well.
    pub(super) fn is_young(&self) -> bool {
        self.weeks.len() < YOUNG_WEEKS
    }

    /// Adds another baseline's weeks: those of the same week add up, and the median is over all.
    pub(super) fn merge(&mut self, other: &Self) {
        let weeks = other.weeks.iter().filter(|week| week.len() == LEN);
        for week in weeks {
            if self.weeks.len() >= MAX_WEEKS {
                self.weeks.pop_front();
            }
            self.weeks.push_back(week.clone());
        }
        self.begun = match (self.begun, other.begun) {
            (Some(own), Some(theirs)) => Some(own.max(theirs)),
            (own, theirs) => own.or(theirs),
        };
        if self.current.is_empty() {
            (self.current, self.week) = (other.current.clone(), other.week);
        }
        self.settle();
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        let whole = |row: &Vec<u32>| row.is_empty() || row.len() == LEN;
        whole(&self.current)
            && whole(&self.multipliers)
            && self.weeks.len() <= MAX_WEEKS
            && self.weeks.iter().all(whole)
    }

    /// A week is over; weeks in which nobody was seen at all are no weeks.
    fn turn(&mut self, week: i64) {
        if !self.current.is_empty() {
            if self.weeks.len() >= MAX_WEEKS {
                self.weeks.pop_front();
            }
            self.weeks.push_back(std::mem::take(&mut self.current));
        }
        (self.week, self.current) = (week, vec![0; LEN]);
        self.settle();
    }

    fn settle(&mut self) {
        let sums: Vec<u64> = self.weeks.iter().map(|week| week.iter().map(|n| u64::from(*n)).sum()).collect();
        self.known = sums.iter().sum();
        self.multipliers.clear();
        if self.weeks.len() < LEAST_WEEKS {
            return;
        }
        for hour in 0..LEN {
            let share = |(week, sum): (&Vec<u32>, &u64)| {
                let count = u64::from(week.get(hour).copied().unwrap_or(0));
                count.saturating_mul(1000 * 168).checked_div(*sum).unwrap_or(1000)
            };
            let mut shares: Vec<u64> = self.weeks.iter().zip(&sums).map(share).collect();
            shares.sort_unstable();
            let (low, high) = (shares.get((shares.len() - 1) / 2), shares.get(shares.len() / 2));
            let median = low.copied().unwrap_or(0).midpoint(high.copied().unwrap_or(0));
            self.multipliers.push(u32::try_from(median).unwrap_or(u32::MAX).max(FLOOR_THOUSANDTHS));
        }
    }
}

/// The hour of the week; 0 begins Thursday, as the epoch does.
fn of_week(hour: i64) -> usize {
    usize::try_from(hour.rem_euclid(HOURS)).unwrap_or(0)
}

const HOURS: i64 = 168;
const LEN: usize = 168;
/// `detection.md` §2.5: the median of the last 4 to 8 weeks; two show every hour twice and are better than none.
const MAX_WEEKS: usize = 8;
const LEAST_WEEKS: usize = 2;
/// Two weeks of days at rest that are filed as such, the least of the design's four to eight weeks.
const YOUNG_WEEKS: usize = 4;
const FLOOR_THOUSANDTHS: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    /// Weeks of 100 hosts at work from 9 to 17, and what a week adds at 3 at night.
    fn weeks(nights: &[u32]) -> Season {
        let mut season = Season::default();
        for (week, night) in nights.iter().enumerate() {
            for hour in 0..HOURS {
                let n = match hour % 24 {
                    9..17 => 100,
                    3 => *night,
                    _ => 0,
                };
                let at = i64::try_from(week).unwrap() * HOURS + hour;
                (0..n.max(u32::from(hour == 0))).for_each(|_| season.add(at));
            }
        }
        season.add(i64::try_from(nights.len()).unwrap() * HOURS);
        season
    }

    #[test]
    fn an_hour_counts_by_the_median_week() {
        for (what, nights, low, high) in [
            ("a quiet night", vec![0, 0, 0], 0.05, 0.05),
            ("one week of night work in five moves nothing", vec![0, 0, 0, 100, 0], 0.05, 0.05),
            ("every week", vec![100, 100, 100], 2.6, 2.7),
        ] {
            let night = weeks(&nights).multiplier(20 * HOURS + 3, 1).unwrap();
            assert!((low..=high).contains(&night), "{what}: {night}");
        }
        let day = weeks(&[0, 0]).multiplier(24 + 10, 1).unwrap();
        assert!((2.9..=3.0).contains(&day), "{day}");
    }

    #[test]
    fn nothing_is_said_before_two_weeks_or_of_too_little() {
        assert_eq!(weeks(&[0]).multiplier(3, 1), None, "one week");
        assert_eq!(weeks(&[0, 0]).multiplier(3, 1_000_000), None, "too few host-hours");
        assert!(weeks(&[0, 0]).is_whole());
    }
}
