//! Event time. Every timestamp comes from the capture; nothing here reads a clock.
//!
//! Unit: nanoseconds since the Unix epoch, signed, so that a capture from before 1970 or with a broken clock
//! still orders. All arithmetic saturates: a hostile timestamp may be wrong, it may not panic.

use std::fmt;
use std::time::Duration;

/// A moment in event time: nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Earlier than any packet.
    pub const MIN: Self = Self(i64::MIN);
    /// Later than any packet.
    pub const MAX: Self = Self(i64::MAX);

    /// From whole seconds and nanoseconds.
    pub const fn new(seconds: i64, nanos: i64) -> Self {
        Self(seconds.saturating_mul(NANOS).saturating_add(nanos))
    }

    /// From whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self::new(seconds, 0)
    }

    /// Time since `earlier`; zero when `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos_since(earlier)).unwrap_or(0))
    }

    /// Signed nanoseconds since `other`.
    pub const fn nanos_since(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }

    /// Seconds since `earlier`, negative when `earlier` is the later one.
    pub fn secs_since(self, earlier: Self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for display and statistics; 2^53 ns is 104 days")]
        let nanos = self.nanos_since(earlier) as f64;
        nanos / 1e9
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// Nanoseconds within the second, 0 to 999,999,999.
    pub fn subsec_nanos(self) -> u32 {
        u32::try_from(self.0.rem_euclid(NANOS)).unwrap_or(0)
    }

    /// Seconds since the epoch as a float, for JSON readers that want one number.
    pub fn as_secs_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles; microseconds survive until 2255")]
        let seconds = self.0 as f64;
        seconds / 1e9
    }

    /// `self + span`, saturating.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// `self - span`, saturating.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Time of day in UTC to the second, `06:57:46`, for sentences.
    pub fn clock(self) -> String {
        let s = self.secs().rem_euclid(86_400);
        format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }

    /// The same, with its day when `other`, told beside it, is of another: `2026-03-09 06:57:46`.
    pub fn clock_beside(self, other: Self) -> String {
        if self.utc_day() == other.utc_day() {
            return self.clock();
        }
        let day: String = self.to_string().chars().take_while(|c| *c != 'T').collect();
        format!("{day} {}", self.clock())
    }

    /// Days since the epoch in UTC, for ids that renew daily.
    pub const fn utc_day(self) -> i64 {
        self.secs().div_euclid(86_400)
    }

    /// The beginning of a UTC day written as `2027-03-31`; `None` for what is no day.
    pub fn of_day(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-').map(str::parse::<i64>);
        let [Ok(year), Ok(month), Ok(day)] = [parts.next()?, parts.next()?, parts.next()?] else { return None };
        let plausible = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        let start = Self::from_secs(days(year, month, day).saturating_mul(86_400));
        // Back and forth, so that the 31st of April is none.
        (plausible && start.to_string().strip_suffix("T00:00:00.000000Z") == Some(text)).then_some(start)
    }
}

const NANOS: i64 = 1_000_000_000;

/// RFC 3339 in UTC with microseconds: `2020-09-20T06:57:46.123456Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.utc_day());
        let s = self.secs().rem_euclid(86_400);
        let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:06}Z", self.subsec_nanos() / 1000)
    }
}

/// Days since the epoch → (year, month, day); proleptic Gregorian, after Howard Hinnant's `civil_from_days`.
const fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + if month <= 2 { 1 } else { 0 }, month, doy - (153 * mp + 2) / 5 + 1)
}

/// (year, month, day) → days since the epoch: the inverse, after the same author's `days_from_civil`.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let yoe = year.rem_euclid(400);
    let doy = (153 * ((month.saturating_add(9)).rem_euclid(12)) + 2) / 5 + day.saturating_sub(1);
    year.div_euclid(400)
        .saturating_mul(146_097)
        .saturating_add(yoe * 365 + yoe / 4 - yoe / 100)
        .saturating_add(doy - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_day_beside_one_of_another() {
        let (morning, noon) = (Timestamp::from_secs(1_582_934_400), Timestamp::from_secs(1_582_977_600));
        assert_eq!(morning.clock_beside(noon), "00:00:00");
        assert_eq!(morning.clock_beside(morning.minus(Duration::from_nanos(1))), "2020-02-29 00:00:00");
    }

    #[test]
    fn timestamps_print_as_rfc_3339() {
        for (what, ts, text) in [
            ("the epoch", Timestamp(0), "1970-01-01T00:00:00.000000Z"),
            ("a leap day", Timestamp::new(1_582_934_400, 1_000), "2020-02-29T00:00:00.000001Z"),
            ("before the epoch", Timestamp(-1), "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(ts.to_string(), text, "{what}");
        }
    }

    #[test]
    fn days_are_read_as_they_are_written() {
        for (what, text, expected) in [
            ("the epoch", "1970-01-01", Some(0)),
            ("a leap day", "2028-02-29", Some(21_243)),
            ("no leap day", "2027-02-29", None),
            ("the 31st of April", "2027-04-31", None),
            ("without zeros", "2027-4-1", None),
            ("more behind it", "2027-04-01x", None),
            ("far beyond", "9223372036854775807-01-01", None),
        ] {
            assert_eq!(Timestamp::of_day(text).map(Timestamp::utc_day), expected, "{what}");
        }
    }

    #[test]
    fn arithmetic_saturates_and_never_panics() {
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::MIN.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(Timestamp::from_secs(3).since(Timestamp::from_secs(1)), Duration::from_secs(2));
        let _ = Timestamp::MIN.to_string() + &Timestamp::MAX.to_string();
    }
}
