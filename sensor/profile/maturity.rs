//! How far it is known what is usual for a host (`detection.md` §2.6).

use crate::base::Timestamp;
use serde::{Deserialize, Serialize};

/// Since when a host is watched, and on how many days it did something outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Age {
    /// Nanoseconds since the epoch.
    first: i64,
    active_days: u16,
    last_day: i32,
}

/// What may be said about a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Maturity {
    /// Less than a day: only what is rare in the fleet.
    New,
    /// Its peers' habits count double.
    Learning,
    /// Its own habits are known.
    Ready,
}

/// Hosts by maturity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learnt {
    pub(crate) new: u64,
    pub(crate) learning: u64,
    pub(crate) ready: u64,
}

impl Learnt {
    /// How far it is known what is usual here: ready when half of the hosts are.
    pub(crate) const fn stage(&self) -> Maturity {
        let all = self.new.saturating_add(self.learning).saturating_add(self.ready);
        if self.ready > 0 && self.ready.saturating_mul(2) >= all {
            Maturity::Ready
        } else if self.ready.saturating_add(self.learning) > 0 {
            Maturity::Learning
        } else {
            Maturity::New
        }
    }
}

impl Age {
    pub(super) const fn new(ts: Timestamp, day: i32) -> Self {
        Self { first: ts.0, active_days: 1, last_day: day }
    }

    /// It did something on a local day.
    pub(super) const fn active(&mut self, day: i32) {
        if day > self.last_day {
            self.last_day = day;
            self.active_days = self.active_days.saturating_add(1);
        }
    }

    /// How far its habits are known at `now`, when so many active days make it ready.
    pub(super) fn maturity(&self, now: Timestamp, ready_days: u16) -> Maturity {
        // The day at hand is not over.
        if self.active_days > ready_days {
            Maturity::Ready
        } else if now.secs_since(Timestamp(self.first)) >= NEW_S {
            Maturity::Learning
        } else {
            Maturity::New
        }
    }

    pub(super) const fn active_days(&self) -> u16 {
        self.active_days
    }

    /// Adds what another baseline knows; days that both saw count once only when they are the same latest one.
    pub(super) fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        let days = self.active_days.saturating_add(other.active_days);
        self.active_days = days.saturating_sub(u16::from(self.last_day == other.last_day));
        self.last_day = self.last_day.max(other.last_day);
    }
}

/// Active days after which a host is known, and a server (`detection.md` §2.6).
pub(super) const READY_DAYS: u16 = 7;
pub(super) const READY_DAYS_OF_A_SERVER: u16 = 3;
const NEW_S: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_after_seven_days_at_work_and_a_server_after_three() {
        for (what, days, hours, limit, expected) in [
            ("an hour", vec![0], 1, READY_DAYS, Maturity::New),
            ("the second day", vec![0, 1], 30, READY_DAYS, Maturity::Learning),
            ("the fourth day of a server", vec![0, 1, 2, 3], 80, READY_DAYS_OF_A_SERVER, Maturity::Ready),
            ("the fourth day of a person", vec![0, 1, 2, 3], 80, READY_DAYS, Maturity::Learning),
            ("three weeks, Mondays only", vec![0, 7, 14, 21], 520, READY_DAYS, Maturity::Learning),
            ("the eighth day", vec![0, 1, 2, 3, 4, 5, 6, 7], 170, READY_DAYS, Maturity::Ready),
        ] {
            let mut age = Age::new(Timestamp(0), 0);
            days.into_iter().for_each(|day| age.active(day));
            assert_eq!(age.maturity(Timestamp::from_secs(hours * 3600), limit), expected, "{what}");
        }
    }
}
