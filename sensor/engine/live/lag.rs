//! How long the sensor takes to tell: from the last event of a claim to its alert, in milliseconds, two digits exact.

use crate::output::{LAG_BUCKETS_S, LagStatus};
use hdrhistogram::Histogram;

/// Lags of alerts told the first time.
#[derive(Debug)]
pub(super) struct Lags {
    millis: Histogram<u64>,
    sum_s: f64,
}

impl Lags {
    /// Up to a year; with two digits 24 KB. `None` never, the bounds being constants.
    pub(super) fn new() -> Option<Self> {
        Histogram::new_with_bounds(1, YEAR_MS, 2).ok().map(|millis| Self { millis, sum_s: 0.0 })
    }

    /// Adds one; a negative one counts as none.
    pub(super) fn add(&mut self, seconds: f64) {
        let seconds = seconds.max(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturating")]
        let millis = (seconds * 1e3).ceil() as u64;
        self.millis.saturating_record(millis);
        self.sum_s += seconds;
    }

    /// What there is to tell of them.
    pub(super) fn status(&self) -> LagStatus {
        #[expect(clippy::cast_precision_loss, reason = "a year of milliseconds is far below 2^53")]
        let seconds = |millis: u64| millis as f64 / 1e3;
        let at = |quantile| seconds(self.millis.value_at_quantile(quantile));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "constants from 1 to 3600")]
        let below = |bound: f64| self.millis.count_between(0, (bound * 1e3) as u64);
        LagStatus {
            count: self.millis.len(),
            sum_s: self.sum_s,
            p50_s: at(0.5),
            p90_s: at(0.9),
            p99_s: at(0.99),
            max_s: seconds(self.millis.max()),
            buckets: LAG_BUCKETS_S.map(below),
        }
    }
}

const YEAR_MS: u64 = 366 * 86_400 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_quantiles_right_to_two_digits() {
        let mut lags = Lags::new().unwrap();
        for seconds in [-1.0, 0.5, 3.0, 40.0, 40.0, 200.0, 90_000.0] {
            lags.add(seconds);
        }
        let told = lags.status();
        assert_eq!((told.count, told.buckets), (7, [2, 3, 3, 5, 5, 6, 6, 6]));
        assert!((told.p50_s - 40.0).abs() < 0.5 && (told.max_s - 90_000.0).abs() < 900.0, "{told:?}");
        assert!((told.sum_s - 90_283.5).abs() < 1e-6);
    }
}
