//! Who does what day after day: an administrator is one by habit, whether or not somebody declared the role.

use super::memory::{Entry, Kept, Memory, Taken};
use super::renamed::as_it_is;
use crate::base::{Budget, Record, Table, Timestamp};
use crate::profile::{Extent, HostId, Renamed};

/// Days on which each host acted through each channel.
#[derive(Debug)]
pub(super) struct Habits {
    days: Kept<(HostId, &'static str), Days>,
}

/// Distinct days, and the latest of them.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Days {
    count: u32,
    last: i64,
}

as_it_is!(Days);

impl Memory for Habits {
    #[cfg(test)]
    fn name(&self) -> &'static str {
        self.days.name()
    }

    fn keep_track(&mut self) {
        self.days.keep_track();
    }

    fn save(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        self.days.save(extent, put);
    }

    fn restore(&mut self, entry: &Entry, ids: Option<&Renamed>) -> Taken {
        self.days.restore(entry, ids)
    }
}

impl Habits {
    pub(super) fn new(budget: Budget) -> Self {
        Self { days: Kept::new(budget) }
    }

    /// Notes an act; whether it is what this host does: it acted on so many earlier days at all, and on so many of them through
    /// this channel.
    pub(super) fn is_usual(&mut self, by: HostId, channel: &'static str, ts: Timestamp, days: (u32, u32)) -> bool {
        let through_it = self.note(by, channel, ts);
        let at_all = self.note(by, ANY, ts);
        at_all.max(through_it) >= days.0 && through_it >= days.1
    }

    /// Notes an act; on how many days before its own the same was done. A month's silence ends a habit.
    fn note(&mut self, by: HostId, channel: &'static str, ts: Timestamp) -> u32 {
        let day = ts.utc_day();
        let known = self.days.entry((by, channel), || Days { count: 0, last: day });
        match day - known.last {
            0 => known.count,
            1..=MAX_SILENCE => {
                *known = Days { count: known.count.saturating_add(1), last: day };
                known.count
            }
            i64::MIN..0 => 0,
            _ => {
                *known = Days { count: 0, last: day };
                0
            }
        }
    }

    pub(super) fn table(&self) -> Table {
        self.days.table()
    }
}

/// Beside the channels: days on which a host acted at all.
const ANY: &str = "any";
/// Hosts that act on others, times channels.
pub(super) const MAX_HABITS: usize = 50_000;
/// Days.
const MAX_SILENCE: i64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_habit_is_counted_in_days_before_today_and_ends_after_a_month() {
        let mut habits = Habits::new(Budget::new("test.habits", MAX_HABITS, 0));
        let note =
            |habits: &mut Habits, day: i64| habits.note(HostId(1), "winrm", Timestamp::from_secs(day * 86_400 + 9));
        assert_eq!([0, 0, 1, 1, 5].map(|day| note(&mut habits, day)), [0, 0, 1, 1, 2]);
        assert_eq!(habits.note(HostId(1), "svcctl", Timestamp::from_secs(5 * 86_400)), 0, "another channel");
        assert_eq!(note(&mut habits, 40), 0, "after a month");
    }
}
