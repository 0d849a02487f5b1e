//! How much a host does in a day: eight features, each a decayed log-histogram (`detection.md` §2.5, §2.6).
//!
//! A host-day adds one value a feature: bytes from 16 kB to 1 GB, counts and seconds from 1 to 65,536, in half-octave
//! bins for what it did at work and whole-octave bins for what it did while its group sleeps. Counts are whole numbers in
//! 1/1024 of a day and fade by 3 % a day (half-life 23 days). 0.9 kB a host.

use serde::{Deserialize, Serialize};

/// What is counted of a host-day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Feature {
    Connections,
    /// Destination owners met.
    Owners,
    BytesOut,
    BytesIn,
    /// The most that one owner got.
    MostBytesOut,
    /// To object storage, file sharing and the like.
    StorageBytesOut,
    /// Connections to addresses without a name.
    Unnamed,
    /// Seconds of connections that lasted an hour and more.
    LongSeconds,
}

impl Feature {
    /// All of them, in the order of their histograms.
    pub(crate) const ALL: [Self; 8] = [
        Self::Connections,
        Self::Owners,
        Self::BytesOut,
        Self::BytesIn,
        Self::MostBytesOut,
        Self::StorageBytesOut,
        Self::Unnamed,
        Self::LongSeconds,
    ];

    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Owners => "destinations",
            Self::BytesOut => "bytes_out",
            Self::BytesIn => "bytes_in",
            Self::MostBytesOut => "most_bytes_out_to_one_destination",
            Self::StorageBytesOut => "bytes_out_to_storage",
            Self::Unnamed => "connections_without_a_name",
            Self::LongSeconds => "seconds_of_long_connections",
        }
    }

    /// Its unit in records.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::BytesOut | Self::BytesIn | Self::MostBytesOut | Self::StorageBytesOut => "bytes",
            Self::LongSeconds => "s",
            Self::Connections | Self::Owners | Self::Unnamed => "",
        }
    }

    /// What the lowest bin ends with: a power of two.
    const fn least_log2(self) -> u32 {
        match self {
            Self::BytesOut | Self::BytesIn | Self::MostBytesOut | Self::StorageBytesOut => 14,
            Self::Connections | Self::Owners | Self::Unnamed => 0,
            Self::LongSeconds => 11,
        }
    }
}

/// Which hours a value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shift {
    Work,
    Off,
}

/// A day of a host: each feature, at work and off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Day {
    pub(super) work: [u64; FEATURES],
    pub(super) off: [u64; FEATURES],
}

impl Day {
    /// Adds to a feature.
    pub(super) fn add(&mut self, feature: Feature, shift: Shift, amount: u64) {
        if let Some(sum) = self.of_mut(feature, shift) {
            *sum = sum.saturating_add(amount);
        }
    }

    /// Raises a feature to at least this.
    pub(super) fn raise(&mut self, feature: Feature, shift: Shift, to: u64) {
        if let Some(most) = self.of_mut(feature, shift) {
            *most = (*most).max(to);
        }
    }

    /// Adds another part of the same day.
    pub(super) fn merge(&mut self, other: &Self) {
        for feature in Feature::ALL {
            for shift in [Shift::Work, Shift::Off] {
                match feature {
                    Feature::MostBytesOut => self.raise(feature, shift, other.of(feature, shift)),
                    _ => self.add(feature, shift, other.of(feature, shift)),
                }
            }
        }
    }

    pub(super) fn of(&self, feature: Feature, shift: Shift) -> u64 {
        let values = if shift == Shift::Work { &self.work } else { &self.off };
        values.get(feature as usize).copied().unwrap_or(0)
    }

    fn of_mut(&mut self, feature: Feature, shift: Shift) -> Option<&mut u64> {
        let values = if shift == Shift::Work { &mut self.work } else { &mut self.off };
        values.get_mut(feature as usize)
    }
}

/// Decayed histograms of all features of one host, or summed over a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Volumes<N> {
    /// The local day the counts are faded to.
    day: i32,
    /// Of each feature the bins at work, then those off hours.
    bins: Vec<N>,
}

/// A count in 1/1024 of a host-day.
pub(super) trait Count: Copy + Default + Into<u64> {
    /// The nearest it can hold.
    fn saturated(from: u64) -> Self;
}

impl Count for u16 {
    fn saturated(from: u64) -> Self {
        Self::try_from(from).unwrap_or(Self::MAX)
    }
}

impl Count for u64 {
    fn saturated(from: u64) -> Self {
        from
    }
}

impl<N: Count> Volumes<N> {
    /// Learns a host-day; each value was divided by what the season makes of it.
    pub(super) fn learn(&mut self, day: i32, values: &Day, kept_a_day: f64) {
        self.fade(day, kept_a_day);
        if self.bins.is_empty() {
            self.bins = vec![N::default(); BINS];
        }
        for feature in Feature::ALL {
            for shift in [Shift::Work, Shift::Off] {
                let value = values.of(feature, shift);
                if let Some(count) = self.bins.get_mut(place(feature, shift, value)) {
                    *count = N::saturated((*count).into().saturating_add(UNIT));
                }
            }
        }
    }

    /// Host-days behind it.
    pub(super) fn days(&self) -> f64 {
        let counts = self.bins.get(range(Feature::Connections, Shift::Work)).unwrap_or_default();
        days(counts.iter().map(|n| (*n).into()).sum())
    }

    /// Host-days with at least a value, to the bin.
    pub(super) fn at_least(&self, feature: Feature, shift: Shift, value: u64) -> f64 {
        let end = range(feature, shift).end;
        let counts = self.bins.get(place(feature, shift, value)..end).unwrap_or_default();
        days(counts.iter().map(|n| (*n).into()).sum())
    }

    /// Where the last populated bin begins, and how heavy the tail is: Hill's index over the top 0.5 %, at least the last
    /// ten host-days, clipped to 0.2–1.5. `None` of nothing.
    pub(super) fn tail(&self, feature: Feature, shift: Shift) -> Option<(f64, f64)> {
        let range = range(feature, shift);
        let counts: Vec<u64> = self.bins.get(range)?.iter().map(|n| (*n).into()).collect();
        let last = counts.iter().rposition(|n| *n > 0)?;
        let wanted = (counts.iter().sum::<u64>() / TAIL_PART).max(TAIL_LEAST * UNIT);
        let (mut above, mut excess, mut sum) = (0_u64, 0.0, 0.0);
        let mut start = last;
        for (at, count) in counts.iter().enumerate().rev().filter(|(at, _)| *at > 0) {
            if above >= wanted {
                break;
            }
            above = above.saturating_add(*count);
            start = at;
        }
        for (at, count) in counts.iter().enumerate().skip(start) {
            // Values lie in the middle of their bin.
            let middle = (step(shift) * f64::from(u32::try_from(at - start).unwrap_or(0)) + step(shift) / 2.0) * LN_2;
            excess += days(*count) * middle;
            sum += days(*count);
        }
        let index = if sum > 0.0 { (excess / sum).clamp(LEAST_TAIL, MOST_TAIL) } else { LEAST_TAIL };
        Some((lower_edge(feature, shift, last), index))
    }

    /// The largest distance by which the values of `recent` lie above those here, 0 to 1 (Kolmogorov–Smirnov, one-sided).
    pub(super) fn rise(&self, recent: &[u64], feature: Feature, shift: Shift) -> f64 {
        let sums = |counts: &[u64]| -> Vec<f64> {
            let all = days(counts.iter().sum()).max(f64::MIN_POSITIVE);
            let mut below = 0;
            let cumulate = |n: u64| {
                below += n;
                days(below) / all
            };
            counts.iter().copied().map(cumulate).collect()
        };
        let own = sums(&self.counts(feature, shift));
        own.iter().zip(sums(recent)).map(|(own, theirs)| own - theirs).fold(0.0, f64::max)
    }

    /// Host-days in each bin, in 1/1024.
    pub(super) fn counts(&self, feature: Feature, shift: Shift) -> Vec<u64> {
        self.bins.get(range(feature, shift)).unwrap_or_default().iter().map(|n| (*n).into()).collect()
    }

    /// Adds what another baseline knows.
    pub(super) fn merge(&mut self, other: &Self, kept_a_day: f64) {
        if self.bins.is_empty() {
            *self = other.clone();
            return;
        }
        let mut other = other.clone();
        let day = self.day.max(other.day);
        self.fade(day, kept_a_day);
        other.fade(day, kept_a_day);
        for (own, theirs) in self.bins.iter_mut().zip(&other.bins) {
            *own = N::saturated((*own).into().saturating_add((*theirs).into()));
        }
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        (self.bins.is_empty() || self.bins.len() == BINS) && self.bins.iter().all(|n| (*n).into() <= MOST_COUNTED)
    }

    fn fade(&mut self, day: i32, kept_a_day: f64) {
        let days = day.saturating_sub(self.day).clamp(0, MOST_DAYS);
        if days > 0 {
            self.day = day;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 65,536")]
            let kept = (kept_a_day.powi(days) * 65_536.0).round() as u64;
            for count in &mut self.bins {
                *count = N::saturated((*count).into().saturating_mul(kept) >> 16);
            }
        }
    }
}

/// The bin of a value within its feature's.
pub(super) fn bin(feature: Feature, shift: Shift, value: u64) -> u8 {
    u8::try_from(place(feature, shift, value) - range(feature, shift).start).unwrap_or(u8::MAX)
}

/// How many bins a feature has.
pub(super) const fn bins(shift: Shift) -> usize {
    match shift {
        Shift::Work => WORK_BINS,
        Shift::Off => OFF_BINS,
    }
}

/// Where a value begins to count as a bin: 0 for the lowest.
fn lower_edge(feature: Feature, shift: Shift, bin: usize) -> f64 {
    let bin = f64::from(u32::try_from(bin).unwrap_or(0));
    if bin < 1.0 { 0.0 } else { (f64::from(feature.least_log2()) + (bin - 1.0) * step(shift)).exp2() }
}

/// Octaves of one bin.
const fn step(shift: Shift) -> f64 {
    match shift {
        Shift::Work => 0.5,
        Shift::Off => 1.0,
    }
}

/// The bins of a feature.
fn range(feature: Feature, shift: Shift) -> std::ops::Range<usize> {
    let start = feature as usize * (WORK_BINS + OFF_BINS);
    match shift {
        Shift::Work => start..start + WORK_BINS,
        Shift::Off => start + WORK_BINS..start + WORK_BINS + OFF_BINS,
    }
}

/// The bin of a value. Whole-number logarithms, so that the same value falls into the same bin everywhere.
fn place(feature: Feature, shift: Shift, value: u64) -> usize {
    let range = range(feature, shift);
    let floor = 1_u64 << feature.least_log2();
    if value < floor {
        return range.start;
    }
    let value = u128::from(value);
    let halves = (value.saturating_mul(value)).ilog2().saturating_sub(2 * feature.least_log2());
    let at = if shift == Shift::Work { halves } else { halves / 2 };
    range.start.saturating_add(usize::try_from(at).unwrap_or(0).saturating_add(1)).min(range.end - 1)
}

#[expect(clippy::cast_precision_loss, reason = "host-days of a fleet in 1/1024 need 40 bits")]
fn days(units: u64) -> f64 {
    units as f64 / 1024.0
}

pub(super) const FEATURES: usize = 8;
const WORK_BINS: usize = 32;
const OFF_BINS: usize = 16;
const BINS: usize = FEATURES * (WORK_BINS + OFF_BINS);
/// One host-day.
const UNIT: u64 = 1024;
/// Sums of all bins of any file stay far from what a counter holds.
pub(super) const MOST_COUNTED: u64 = 1 << 48;
const MOST_DAYS: i32 = 3650;
/// The top 0.5 %, and at least ten host-days.
const TAIL_PART: u64 = 200;
const TAIL_LEAST: u64 = 10;
const LEAST_TAIL: f64 = 0.2;
const MOST_TAIL: f64 = 1.5;
const LN_2: f64 = std::f64::consts::LN_2;
/// `detection.md` §2.5: half-life 23 days.
pub(super) const KEPT_A_DAY: f64 = 0.97;
/// The week held against it: half-life 2.4 days.
pub(super) const KEPT_A_DAY_OF_RECENT: f64 = 0.75;

#[cfg(test)]
mod tests {
    use super::*;

    fn day(feature: Feature, value: u64) -> Day {
        let mut day = Day::default();
        day.add(feature, Shift::Work, value);
        day
    }

    #[test]
    fn values_fall_into_half_octaves_between_their_ends() {
        for (what, feature, value, expected) in [
            ("nothing", Feature::BytesOut, 0, 0),
            ("below 16 kB", Feature::BytesOut, 16_383, 0),
            ("16 kB", Feature::BytesOut, 16_384, 1),
            ("half an octave on", Feature::BytesOut, 23_171, 2),
            ("32 kB", Feature::BytesOut, 32_768, 3),
            ("a terabyte", Feature::BytesOut, 1 << 40, 31),
            ("one connection", Feature::Connections, 1, 1),
            ("all there can be", Feature::Connections, u64::MAX, 31),
        ] {
            let at = place(feature, Shift::Work, value) - range(feature, Shift::Work).start;
            assert_eq!(at, expected, "{what}");
            let edge = lower_edge(feature, Shift::Work, at);
            assert!(at == 0 || edge * 0.999 <= 2_f64.powi(64).min(value as f64), "{what}: {edge}");
        }
        assert_eq!(place(Feature::BytesOut, Shift::Off, 65_536) - range(Feature::BytesOut, Shift::Off).start, 3);
    }

    #[test]
    fn old_days_fade_with_a_half_life_of_23_days() {
        let mut known = Volumes::<u16>::default();
        known.learn(0, &day(Feature::BytesOut, 1 << 20), KEPT_A_DAY);
        known.learn(23, &day(Feature::BytesOut, 1 << 24), KEPT_A_DAY);
        let least = known.at_least(Feature::BytesOut, Shift::Work, 1 << 20);
        assert!((least - 1.5).abs() < 0.01, "{least}");
        assert!((known.at_least(Feature::BytesOut, Shift::Work, 1 << 23) - 1.0).abs() < 1e-9);
        (24..500).for_each(|d| known.learn(d, &day(Feature::BytesOut, 1 << 20), KEPT_A_DAY));
        assert!((32.0..34.0).contains(&known.days()), "{}: a year of days fits 16 bits", known.days());
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a made-up day")]
    fn the_tail_index_is_that_of_a_pareto() {
        for alpha in [0.9_f64, 2.0] {
            let mut known = Volumes::<u64>::default();
            let n = 40_000_u32;
            for k in 0..n {
                let u = (f64::from(k) + 0.5) / f64::from(n);
                let value = 65_536.0 * u.powf(-1.0 / alpha);
                known.learn(1, &day(Feature::BytesOut, value as u64), KEPT_A_DAY);
            }
            let (_, index) = known.tail(Feature::BytesOut, Shift::Work).unwrap();
            assert!((index * alpha - 1.0).abs() < 0.25, "α {alpha}: {index}");
        }
    }

    #[test]
    fn a_rise_is_the_largest_distance_upwards() {
        let (mut long, mut up, mut same) =
            (Volumes::<u16>::default(), Volumes::<u16>::default(), Volumes::<u16>::default());
        (0..20).for_each(|_| long.learn(1, &day(Feature::BytesOut, 1 << 20), KEPT_A_DAY));
        (0..5).for_each(|_| up.learn(1, &day(Feature::BytesOut, 1 << 25), KEPT_A_DAY));
        (0..5).for_each(|_| same.learn(1, &day(Feature::BytesOut, 1 << 20), KEPT_A_DAY));
        let rise = |long: &Volumes<u16>, recent: &Volumes<u16>| {
            long.rise(&recent.counts(Feature::BytesOut, Shift::Work), Feature::BytesOut, Shift::Work)
        };
        assert!((rise(&long, &up) - 1.0).abs() < 1e-9);
        assert!(rise(&long, &same) < 1e-9);
        assert!(rise(&up, &long) < 1e-9, "downwards is no rise");
    }
}
