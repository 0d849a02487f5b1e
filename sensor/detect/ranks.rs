//! How rare a value is among those the fleet showed: a histogram over powers of two, halved when it is full, so that old
//! values fade.

/// Values in event space.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    counts: [u32; BINS],
    total: u32,
}

impl Ranks {
    pub(super) const fn new() -> Self {
        Self { counts: [0; BINS], total: 0 }
    }

    /// Learns a value.
    pub(super) fn learn(&mut self, value: f64) {
        if let Some(count) = self.counts.get_mut(bin(value)) {
            *count += 1;
            self.total += 1;
        }
        if self.total >= FULL {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    /// Share of the values that are at most this one, ties counting half; with one more imagined above and below, so that
    /// nothing is impossible.
    pub(super) fn at_most(&self, value: f64) -> f64 {
        let at = bin(value);
        let below: u32 = self.counts.iter().take(at).sum();
        let same = self.counts.get(at).copied().unwrap_or(0);
        (f64::from(below) + f64::from(same) / 2.0 + 0.5) / (f64::from(self.total) + 1.0)
    }

    /// Likewise, at least this one.
    pub(super) fn at_least(&self, value: f64) -> f64 {
        let at = bin(value);
        let same = self.counts.get(at).copied().unwrap_or(0);
        let above: u32 = self.counts.iter().skip(at + 1).sum();
        (f64::from(above) + f64::from(same) / 2.0 + 0.5) / (f64::from(self.total) + 1.0)
    }

    /// The value below which this share lies, to a power of two; `None` before enough was learned.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        if self.total < LEAST {
            return None;
        }
        let mut sum = 0_u32;
        for (at, count) in self.counts.iter().enumerate() {
            sum += count;
            if f64::from(sum) >= share * f64::from(self.total) {
                return Some(2_f64.powi(i32::try_from(at).unwrap_or(0)));
            }
        }
        None
    }

    pub(super) const fn total(&self) -> u32 {
        self.total
    }
}

/// 0 holds what is at most 1, `n` what is at most 2^n.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bins")]
fn bin(value: f64) -> usize {
    (value.max(1.0).log2().ceil().clamp(0.0, 47.0)) as usize
}

/// Up to 2^47: bytes, seconds, hosts.
const BINS: usize = 48;
/// Values after which the older count half.
const FULL: u32 = 1_000_000;
/// Values before a quantile means something.
const LEAST: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_among_events_has_a_small_share() {
        let mut ranks = Ranks::new();
        assert_eq!((ranks.at_most(1.0), ranks.quantile(0.5)), (0.5, None), "nothing is known");
        (0..990).for_each(|_| ranks.learn(300.0));
        (0..10).for_each(|_| ranks.learn(1.0));
        for (what, value, low, high) in
            [("rare", 1.0, 0.004, 0.007), ("common", 300.0, 0.4, 0.6), ("beyond", 5000.0, 0.99, 1.0)]
        {
            let share = ranks.at_most(value);
            assert!((low..=high).contains(&share), "{what}: {share}");
        }
        assert_eq!(ranks.quantile(0.5), Some(512.0), "to the next power of two");
    }
}
