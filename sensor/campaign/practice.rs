//! What an actor does day after day: on which days it made something run, by channel, and in how many sessions.
//!
//! A help desk acts on machines every day: that it did so today is no surprise, and the more machines it acts on the sooner
//! one of them meets somebody new by accident. Counted from the sessions that are held, and from nothing else: a run that
//! goes on from a baseline counts them again. Evasion: the habit of the server that was taken over.

use super::sessions::Session;
use crate::base::{Budget, Capped, Table, Timestamp, Word};
use crate::event;
use crate::profile::HostId;
use std::collections::{BTreeMap, BTreeSet};

/// Sessions in which something was made to run or placed, by actor and channel, by day.
#[derive(Debug)]
pub(super) struct Practice {
    days: Capped<(HostId, Word), BTreeMap<i64, u32>>,
}

/// How an actor's earlier days were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Practised {
    /// Days on which it acted through the channel at hand.
    pub(super) days: u32,
    /// Sessions on such a day, on average; 1 at the least.
    pub(super) sessions_a_day: f64,
}

impl Practice {
    pub(super) fn new() -> Self {
        Self { days: Capped::new(Budget::new("sessions.practice", MAX_PRACTISED, 300)) }
    }

    /// A session began to use `channel`.
    pub(super) fn learn(&mut self, by: HostId, channel: Word, day: i64) {
        let days = self.days.entry((by, channel), BTreeMap::new);
        let count = days.entry(day).or_default();
        *count = count.saturating_add(1);
        while days.len() > MAX_DAYS {
            days.pop_first();
        }
    }

    /// Counts a whole session in.
    pub(super) fn learn_session(&mut self, session: &Session) {
        let Some(day) = day_of(session) else { return };
        channels(session).into_iter().for_each(|channel| self.learn(session.by, channel, day));
    }

    /// A session is no more held.
    pub(super) fn forget(&mut self, session: &Session) {
        let Some(day) = day_of(session) else { return };
        for channel in channels(session) {
            if let Some(days) = self.days.peek_mut(&(session.by, channel)) {
                let left = days.get_mut(&day).map(|count| {
                    *count = count.saturating_sub(1);
                    *count
                });
                if left == Some(0) {
                    days.remove(&day);
                }
            }
        }
    }

    /// The month before the day of `session`, through the channel of it that the actor used least.
    pub(super) fn before(&self, session: &Session) -> Practised {
        let day = day_of(session).unwrap_or(i64::MIN);
        let through = |channel: Word| {
            let days = self.days.get(&(session.by, channel));
            let earlier = days.into_iter().flat_map(|days| days.range(day.saturating_sub(REACH_DAYS)..day));
            let (count, sessions) = earlier.fold((0_u32, 0_u32), |(count, sum), (_, sessions)| {
                (count.saturating_add(1), sum.saturating_add(*sessions))
            });
            let each = f64::from(sessions) / f64::from(count.max(1));
            Practised { days: count, sessions_a_day: each.max(1.0) }
        };
        let all = channels(session).into_iter().map(through);
        all.min_by_key(|practised| practised.days).unwrap_or(Practised { days: 0, sessions_a_day: 1.0 })
    }

    pub(super) fn table(&self) -> Table {
        self.days.table()
    }
}

impl Practised {
    /// Chance that it acts so on a day, of `watched` days: a day's experience that it is as rare as `rare` says stands before
    /// all others.
    pub(super) fn chance(self, watched: f64, rare: f64) -> f64 {
        let days = f64::from(self.days);
        (days + rare) / (watched.clamp(days, REACH_DAYS as f64) + 1.0)
    }
}

/// The day a session's acts began.
fn day_of(session: &Session) -> Option<i64> {
    session.acts.first().map(|(ts, _)| Timestamp::utc_day(*ts))
}

/// Channels through which a session made something run or placed it.
fn channels(session: &Session) -> BTreeSet<Word> {
    let acting = session.deeds.iter().filter(|deed| deed.act != event::Act::Administer);
    acting.map(|deed| deed.channel).collect()
}

/// Days looked back: a month's silence ends a habit.
const REACH_DAYS: i64 = 30;
/// Days held: those a session that is still held may be older by.
const MAX_DAYS: usize = 64;
/// Actors times channels.
const MAX_PRACTISED: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_experience_stands_before_all_others() {
        for (what, days, watched, chance) in [
            ("nothing known", 0, 0.0, 0.05),
            ("never in a week", 0, 7.0, 0.05 / 8.0),
            ("five days of seven", 5, 7.0, 5.05 / 8.0),
            ("every day of a month and more", 30, 300.0, 30.05 / 31.0),
            ("longer than it was watched", 5, 3.0, 5.05 / 6.0),
        ] {
            let practised = Practised { days, sessions_a_day: 1.0 };
            assert!((practised.chance(watched, 0.05) - chance).abs() < 1e-12, "{what}");
        }
    }
}
