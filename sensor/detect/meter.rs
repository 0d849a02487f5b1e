//! How much like a timer one host's contacts with one destination are: `detection.md` §1.3.
//!
//! Measure: B = ln(mean gap) − mean(ln gap) over log-binned gaps, the statistic of a gamma shape estimate. A timer gives 0,
//! independent events about 0.58. Unlike spectra it keeps its power under jitter and missed check-ins, because an
//! implant's sleep is a renewal process: its phase wanders, its gaps do not. Constant memory, O(1) a check-in.

use crate::base::Timestamp;

/// Gap and size histograms of one (host, destination owner).
#[derive(Clone, Debug)]
pub(crate) struct BeaconMeter {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// Check-ins, those at most two seconds apart counted once.
    pub(crate) check_ins: u32,
    gaps: [u8; GAP_BINS],
    sizes: [u8; SIZE_BINS],
    /// Payload bytes sent and received between check-ins.
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// A meter as it is saved; nanoseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct SavedMeter {
    first: i64,
    last: i64,
    check_ins: u32,
    gaps: Vec<u8>,
    sizes: Vec<u8>,
    up: u64,
    down: u64,
}

/// What the meter reads.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Rhythm {
    /// Gaps it rests on, after dropping retries and nights.
    pub(crate) gaps: u32,
    pub(crate) median_s: f64,
    /// Smallest and largest kept gap, bin centres.
    pub(crate) range_s: (f64, f64),
    /// The statistic B.
    pub(crate) dispersion: f64,
    /// Chance of a B this small for independent events.
    pub(crate) p: f64,
    /// Interquartile range of request sizes, octaves.
    pub(crate) size_spread: Option<f64>,
}

impl BeaconMeter {
    pub(crate) const fn new(ts: Timestamp) -> Self {
        Self { first: ts, last: ts, check_ins: 1, gaps: [0; GAP_BINS], sizes: [0; SIZE_BINS], up: 0, down: 0 }
    }

    pub(super) fn saved(&self) -> SavedMeter {
        SavedMeter {
            first: self.first.0,
            last: self.last.0,
            check_ins: self.check_ins,
            gaps: self.gaps.to_vec(),
            sizes: self.sizes.to_vec(),
            up: self.up,
            down: self.down,
        }
    }

    /// `None` when this code cannot have saved it.
    pub(super) fn restored(saved: &SavedMeter) -> Option<Self> {
        Some(Self {
            first: Timestamp(saved.first),
            last: Timestamp(saved.last),
            check_ins: saved.check_ins,
            gaps: saved.gaps.as_slice().try_into().ok()?,
            sizes: saved.sizes.as_slice().try_into().ok()?,
            up: saved.up,
            down: saved.down,
        })
    }

    /// Adds a check-in; one less than two seconds after the last, or before it, is the same.
    pub(crate) fn check_in(&mut self, ts: Timestamp, moved: Option<(u64, u64)>) {
        if let Some((up, down)) = moved {
            self.up = self.up.saturating_add(up);
            self.down = self.down.saturating_add(down);
            bump(&mut self.sizes, size_bin(up));
        }
        let gap = ts.secs_since(self.last);
        if gap < SAME_CHECK_IN_S {
            return;
        }
        self.last = ts;
        self.check_ins = self.check_ins.saturating_add(1);
        bump(&mut self.gaps, gap_bin(gap));
    }

    /// Reads the meter; `None` when fewer than six gaps are left.
    pub(crate) fn rhythm(&self) -> Option<Rhythm> {
        let kept = kept(&self.gaps)?;
        let n = total(&kept);
        if n < MIN_GAPS {
            return None;
        }
        let dispersion = dispersion(&kept)?;
        let bins = || kept.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, _)| centre(at));
        let mut p = p_regular(dispersion, n);
        let size_spread = spread(&self.sizes);
        if size_spread.is_some_and(|z| z <= SAME_SIZE_OCTAVES) {
            p = (p * SAME_SIZE_FACTOR).max(FLOOR);
        }
        Some(Rhythm {
            gaps: n,
            median_s: centre(median(&kept)?),
            range_s: (bins().next()?, bins().next_back()?),
            dispersion,
            p,
            size_spread,
        })
    }
}

/// Drops retries (below a sixteenth of the median), then nights and sleep (above four times the median).
fn kept(gaps: &[u8; GAP_BINS]) -> Option<[u8; GAP_BINS]> {
    let mut kept = *gaps;
    let low = median(&kept)?.saturating_sub(4 * BINS_PER_OCTAVE);
    kept.iter_mut().take(low).for_each(|count| *count = 0);
    let high = median(&kept)?.saturating_add(2 * BINS_PER_OCTAVE);
    kept.iter_mut().skip(high.saturating_add(1)).for_each(|count| *count = 0);
    Some(kept)
}

/// The statistic B.
fn dispersion(kept: &[u8; GAP_BINS]) -> Option<f64> {
    let n = f64::from(total(kept));
    let (mut sum, mut logs) = (0.0, 0.0);
    for (at, count) in kept.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (gap, count) = (centre(at), f64::from(*count));
        sum += gap * count;
        logs += gap.ln() * count;
    }
    (n > 0.0).then(|| ((sum / n).ln() - logs / n).max(0.0))
}

/// The row of the largest n not above `n`: its n, and B at p = 0.001, 0.01 and 0.05.
pub(super) fn row(n: u32) -> (u32, f64, f64, f64) {
    let row = QUANTILES.iter().rev().find(|(gaps, ..)| *gaps <= n).or(QUANTILES.first());
    row.copied().unwrap_or((0, 0.0, 1.0, 2.0))
}

/// P(B ≤ `dispersion`) for independent events: by the row for `n`, ln p linear in B.
pub(super) fn p_regular(dispersion: f64, n: u32) -> f64 {
    let (_, b001, b01, b05) = row(n);
    let (ln001, ln01, ln05) = (0.001_f64.ln(), 0.01_f64.ln(), 0.05_f64.ln());
    let ln_p = if dispersion <= b01 {
        ln001 + (dispersion - b001) / (b01 - b001) * (ln01 - ln001)
    } else {
        ln01 + (dispersion - b01) / (b05 - b01) * (ln05 - ln01)
    };
    ln_p.exp().clamp(FLOOR, 1.0)
}

fn total(bins: &[u8]) -> u32 {
    bins.iter().map(|count| u32::from(*count)).sum()
}

/// The bin in which the median lies.
fn median(bins: &[u8]) -> Option<usize> {
    quantile(bins, 1, 2)
}

fn quantile(bins: &[u8], numerator: u32, denominator: u32) -> Option<usize> {
    let n = total(bins);
    let rank = n.saturating_mul(numerator) / denominator;
    let mut below = 0_u32;
    bins.iter().position(|count| {
        below = below.saturating_add(u32::from(*count));
        below > rank
    })
}

/// Interquartile range in octaves, of at least six requests with payload.
fn spread(sizes: &[u8; SIZE_BINS]) -> Option<f64> {
    let bins = sizes.get(1..)?;
    if total(bins) < MIN_GAPS {
        return None;
    }
    let (low, high) = (quantile(bins, 1, 4)?, quantile(bins, 3, 4)?);
    u32::try_from(high.saturating_sub(low)).ok().map(|bins| f64::from(bins) / 2.0)
}

/// Adds to a bin; a full one halves all, so that new habits outweigh old ones.
fn bump(bins: &mut [u8], at: usize) {
    if bins.get(at) == Some(&u8::MAX) {
        bins.iter_mut().for_each(|count| *count /= 2);
    }
    if let Some(count) = bins.get_mut(at) {
        *count = count.saturating_add(1);
    }
}

fn gap_bin(gap_s: f64) -> usize {
    log_bin(gap_s, 4.0, GAP_BINS)
}

/// Bin 0 holds the empty ones.
fn size_bin(bytes: u64) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "the bins are half octaves wide")]
    let bytes = bytes as f64;
    if bytes < 1.0 { 0 } else { log_bin(bytes, 2.0, SIZE_BINS - 1) + 1 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped into the bins just before")]
fn log_bin(value: f64, per_octave: f64, bins: usize) -> usize {
    let last = u32::try_from(bins.saturating_sub(1)).map_or(0.0, f64::from);
    (value.log2() * per_octave).floor().clamp(0.0, last) as usize
}

/// Geometric middle of a gap bin, seconds.
fn centre(bin: usize) -> f64 {
    let bin = u32::try_from(bin).map_or(0.0, f64::from);
    ((bin + 0.5) / 4.0).exp2()
}

/// Four bins an octave from one second to 65,536.
const GAP_BINS: usize = 64;
const BINS_PER_OCTAVE: usize = 4;
/// Two bins an octave, and one for none; the last holds everything from 2 KiB on.
const SIZE_BINS: usize = 24;
/// Check-ins closer than this are one: a GET and a POST, a retry.
pub(crate) const SAME_CHECK_IN_S: f64 = 2.0;
/// Fewer gaps cannot tell a clock from a coincidence.
pub(super) const MIN_GAPS: u32 = 6;
/// Requests this alike in size make regular gaps more telling; unlike ones say nothing (padding is cheap).
pub(super) const SAME_SIZE_OCTAVES: f64 = 0.25;
const SAME_SIZE_FACTOR: f64 = 0.3;
/// Smaller chances are not claimed.
const FLOOR: f64 = 1e-6;

/// (gaps, B at p = 0.001, 0.01, 0.05) for independent events through this very pipeline: 400,000 draws a row,
/// each fed until so many gaps are kept. The test below makes them again with fewer.
const QUANTILES: &[(u32, f64, f64, f64)] = &[
    (6, 0.018, 0.044, 0.092),
    (8, 0.036, 0.075, 0.130),
    (12, 0.076, 0.123, 0.180),
    (16, 0.107, 0.156, 0.210),
    (24, 0.150, 0.198, 0.247),
    (32, 0.179, 0.225, 0.268),
    (48, 0.216, 0.256, 0.294),
    (64, 0.241, 0.276, 0.309),
    (96, 0.269, 0.299, 0.327),
    (128, 0.286, 0.313, 0.338),
];

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds and ranks, all small")]
mod tests {
    use super::*;

    #[test]
    fn the_baked_quantiles_are_those_of_independent_events_through_this_pipeline() {
        let some: Vec<_> = QUANTILES.iter().filter(|(n, ..)| [6, 16, 48].contains(n)).copied().collect();
        make_again(&some, 10_000, &[0.01, 0.05]);
    }

    #[test]
    #[ignore = "minutes without optimisation: make statistics"]
    fn every_baked_quantile_is_made_again() {
        make_again(QUANTILES, 200_000, &[0.001, 0.01, 0.05]);
    }

    fn make_again(rows: &[(u32, f64, f64, f64)], draws: u32, levels: &[f64]) {
        let mut random = Random(7);
        for (n, b001, b01, b05) in rows {
            let mut drawn: Vec<f64> = (0..draws).map(|_| null_dispersion(*n, &mut random)).collect();
            drawn.sort_by(f64::total_cmp);
            for (p, baked) in [(0.001, b001), (0.01, b01), (0.05, b05)] {
                let again = drawn[(p * f64::from(draws)) as usize];
                let close = (again / baked - 1.0).abs() < 0.1;
                assert!(close || !levels.contains(&p), "n = {n}, p = {p}: baked {baked}, again {again:.3}");
            }
        }
    }

    #[test]
    fn timers_are_told_from_people_and_chance() {
        let mut random = Random(11);
        for (who, least, most, gap) in [
            ("every 5 s", 100, 100, (|_| 5.09) as fn(&mut Random) -> f64),
            ("60 s, half of it jitter", 95, 100, |r| 60.0 * (1.0 - 0.5 * r.uniform())),
            ("600 s, 20 % jitter, a third of the calls missed", 95, 100, |r| {
                let missed = f64::from(u8::from(r.uniform() < 0.3));
                600.0 * (1.0 - 0.2 * r.uniform()) + missed * 600.0 * (1.0 - 0.2 * r.uniform())
            }),
            ("independent events", 0, 1, |r| 60.0 * r.exponential()),
            ("a person: log-normal gaps", 0, 1, |r| (4.0 + 1.6 * r.normal()).exp()),
        ] {
            let found = (0..100).filter(|_| p_of(24, gap, &mut random).is_some_and(|p| p <= 0.001)).count();
            assert!((least..=most).contains(&found), "{who}: {found} of 100");
        }
    }

    #[test]
    fn doubled_connections_are_one_check_in_and_few_gaps_say_nothing() {
        let at = |s: f64| Timestamp((s * 1e9) as i64);
        let mut meter = BeaconMeter::new(at(0.0));
        for n in 1..=6 {
            assert!(meter.rhythm().is_none_or(|r| r.gaps >= MIN_GAPS), "{n}");
            meter.check_in(at(60.0 * f64::from(n)), None);
            meter.check_in(at(60.0 * f64::from(n) + 0.4), None);
        }
        let rhythm = meter.rhythm().unwrap();
        assert_eq!((meter.check_ins, rhythm.gaps), (7, 6));
        assert!((rhythm.median_s / 60.0 - 1.0).abs() < 0.1, "{}", rhythm.median_s);
        assert!(rhythm.p < 0.001, "{}", rhythm.p);
    }

    /// B of `n` kept exponential gaps.
    fn null_dispersion(n: u32, random: &mut Random) -> f64 {
        let (mut gaps, mut kept) = ([0; GAP_BINS], [0; GAP_BINS]);
        while total(&kept) < n {
            bump(&mut gaps, gap_bin(600.0 * random.exponential()));
            if total(&gaps) >= n {
                kept = super::kept(&gaps).unwrap();
            }
        }
        dispersion(&kept).unwrap()
    }

    fn p_of(gaps: u32, gap: fn(&mut Random) -> f64, random: &mut Random) -> Option<f64> {
        let (mut at, mut meter) = (0.0, BeaconMeter::new(Timestamp(0)));
        for _ in 0..gaps {
            at += gap(random);
            meter.check_in(Timestamp((at * 1e9) as i64), None);
        }
        meter.rhythm().map(|rhythm| rhythm.p)
    }

    /// A small generator (Numerical Recipes' `ranqd1` mixed by xorshift), so that the test is the same every time.
    struct Random(u64);

    impl Random {
        fn uniform(&mut self) -> f64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
        }

        fn exponential(&mut self) -> f64 {
            -(1.0 - self.uniform()).ln()
        }
    }
}
