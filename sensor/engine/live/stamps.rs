//! Stamps that a changed clock has spoilt → event time, which never goes back.
//!
//! The kernel stamps packets with the wall clock, and that is set now and then: by a time daemon that starts late, by a
//! person, by a leap. A step is seen by comparing stamps with a clock that nobody sets. After a step back, event time
//! goes on from where it was, ahead of the wall clock by the step, which is told. After a step forward it goes on
//! likewise at first, and follows when the step has lasted: a clock that was wrong for a moment does not age every flow.

use crate::base::Timestamp;
use std::time::Duration;

/// Of one ring. The recording and the analysis see the corrected stamps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamps {
    last: Option<Last>,
    /// Added to every stamp, in nanoseconds.
    offset: i64,
    /// By the steady clock, when time was last stepped forward, while that is not followed.
    ahead_since: Option<Duration>,
    /// Steps seen.
    jumps: u64,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// Event time.
    ts: Timestamp,
    /// Of the steady clock.
    steady: Duration,
}

impl Stamps {
    /// The event time of a stamp that is read when the steady clock shows `steady`.
    pub(super) fn correct(&mut self, stamp: Timestamp, steady: Duration) -> Timestamp {
        if self.ahead_since.is_some_and(|since| steady.saturating_sub(since) >= FOLLOW_AFTER) {
            self.offset = self.offset.max(0);
            self.ahead_since = None;
            self.last = None;
        }
        let mut ts = Timestamp(stamp.0.saturating_add(self.offset));
        if let Some(last) = self.last {
            let passed = steady.saturating_sub(last.steady);
            let back = ts.nanos_since(last.ts) < -BACK;
            let forward = ts.nanos_since(last.ts) > nanos(passed).saturating_add(FORWARD);
            if back || forward {
                let expected = last.ts.plus(passed);
                self.offset = self.offset.saturating_add(expected.nanos_since(ts));
                self.jumps = self.jumps.saturating_add(1);
                self.ahead_since = (self.offset < -BACK).then_some(steady);
                ts = expected;
            }
        }
        let newest = self.last.map_or(ts, |last| last.ts.max(ts));
        self.last = Some(Last { ts: newest, steady });
        ts
    }

    /// Steps of the clock so far.
    pub(super) const fn jumps(&self) -> u64 {
        self.jumps
    }

    /// How far event time is ahead of the clock, in nanoseconds.
    pub(super) const fn offset(&self) -> i64 {
        self.offset
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Further back than packets of one ring are ever told, in nanoseconds: processors stamp within microseconds.
const BACK: i64 = 500_000_000;
/// Further ahead than reading a ring late explains, in nanoseconds.
const FORWARD: i64 = 10_000_000_000;
/// A step forward that lasts this long is the right time.
const FOLLOW_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    /// Stamps and the steady clock's seconds in, event times in seconds out.
    fn run(steps: &[(i64, u64)]) -> (Vec<i64>, u64, i64) {
        let mut stamps = Stamps::default();
        let out = steps
            .iter()
            .map(|(stamp, steady)| stamps.correct(Timestamp(stamp * S), Duration::from_secs(*steady)).0 / S)
            .collect();
        (out, stamps.jumps(), stamps.offset() / S)
    }

    #[test]
    fn event_time_never_goes_back_and_follows_a_forward_step_that_lasts() {
        for (what, steps, told, jumps, offset) in [
            ("a steady clock", &[(1_000, 0), (1_001, 1), (1_061, 61)][..], &[1_000, 1_001, 1_061][..], 0, 0),
            ("a quiet hour is no step", &[(1_000, 0), (4_600, 3_600)], &[1_000, 4_600], 0, 0),
            ("an hour back", &[(9_000, 0), (5_401, 1), (5_402, 2)], &[9_000, 9_001, 9_002], 1, 3_600),
            ("an hour back and forth", &[(9_000, 0), (5_401, 1), (9_002, 2)], &[9_000, 9_001, 9_002], 2, 0),
            ("a year ahead for a moment", &[(9_000, 0), (31_545_001, 1), (9_002, 2)], &[9_000, 9_001, 9_002], 2, 0),
            (
                "an hour ahead for good",
                &[(1_000, 0), (4_601, 1), (4_631, 31), (4_661, 61), (4_662, 62)],
                &[1_000, 1_001, 1_031, 4_661, 4_662],
                1,
                0,
            ),
        ] {
            assert_eq!(run(steps), (told.to_vec(), jumps, offset), "{what}");
        }
    }

    #[test]
    fn packets_a_little_out_of_order_keep_their_stamps() {
        let mut stamps = Stamps::default();
        for stamp in [S, S + 5, S + 3, S + 400_000_000, S + 1] {
            assert_eq!(stamps.correct(Timestamp(stamp), Duration::ZERO), Timestamp(stamp));
        }
        assert_eq!(stamps.jumps(), 0);
    }
}
