//! How many hosts turn to a destination, minute by minute: the calendar against which `coupling` holds a server's acts.
//!
//! What begins for everybody at one moment – a morning, a meeting, an update – lies next to any act at that moment too
//! (detection.md §4.4, calendar control). By the hour it would be spread thin.

/// Hosts that turned to one destination in each of the last minutes; one that stays there counts once.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    /// The latest minute heard of.
    latest: u32,
    counts: [u16; MINUTES as usize],
}

/// Hosts that did so within each of `WINDOWS_S` after a moment.
pub(super) type Around = [u16; 4];

/// Seconds of the windows: each scale of the test is held against the least that reaches as far.
pub(super) const WINDOWS_S: [u32; 4] = [60, 120, 600, 3600];

impl Default for Crowd {
    fn default() -> Self {
        Self { latest: 0, counts: [0; MINUTES as usize] }
    }
}

impl Crowd {
    /// A host turned to it.
    pub(super) fn add(&mut self, at: u32) {
        let minute = at / 60;
        if minute > self.latest {
            for passed in 1..=(minute - self.latest).min(MINUTES) {
                if let Some(count) = self.counts.get_mut((self.latest.wrapping_add(passed) % MINUTES) as usize) {
                    *count = 0;
                }
            }
            self.latest = minute;
        }
        if self.latest - minute < MINUTES
            && let Some(count) = self.counts.get_mut((minute % MINUTES) as usize)
        {
            *count = count.saturating_add(1);
        }
    }

    /// Hosts within each window after `at`, as far as is known by now.
    pub(super) fn after(&self, at: u32) -> Around {
        WINDOWS_S.map(|window| {
            let minutes = at / 60..=at.saturating_add(window) / 60;
            let known = minutes.filter(|minute| *minute <= self.latest && self.latest - minute < MINUTES);
            known.fold(0, |sum: u16, minute| {
                sum.saturating_add(self.counts.get((minute % MINUTES) as usize).copied().unwrap_or(0))
            })
        })
    }
}

/// Minutes remembered: a window is complete an hour after the act it follows.
const MINUTES: u32 = 180;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_what_came_in_its_minutes_and_forgets_after_three_hours() {
        let mut crowd = Crowd::default();
        let start = 1_600_000_020;
        for (after_s, hosts) in [(0, 2), (70, 3), (400, 5), (3000, 7), (3700, 11)] {
            (0..hosts).for_each(|_| crowd.add(start + after_s));
        }
        assert_eq!(crowd.after(start), [5, 5, 10, 17]);
        assert_eq!(crowd.after(start - 600), [0, 0, 2, 17]);
        crowd.add(start + 3 * 3600);
        assert_eq!(crowd.after(start)[0], 3, "the first minute is forgotten");
    }
}
