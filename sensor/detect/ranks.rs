//! How rare a value is among those the fleet showed: a histogram over powers of two, halved when it is full, so that old
//! values fade.

/// Values in event space.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Ranks {
    counts: Vec<u32>,
    total: u32,
}

impl Ranks {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; BINS], total: 0 }
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

    /// The same, `None` as long as fewer values were learned than the share leaves one above: beyond these the largest
    /// value there was would pass for the quantile.
    pub(super) fn resolved(&self, share: f64) -> Option<f64> {
        (f64::from(self.total) * (1.0 - share) >= 1.0).then(|| self.quantile(share)).flatten()
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
    fn a_quantile_is_told_to_the_next_power_of_two_once_enough_is_known() {
        let mut ranks = Ranks::new();
        assert_eq!(ranks.quantile(0.5), None, "nothing is known");
        (0..990).for_each(|_| ranks.learn(300.0));
        (0..10).for_each(|_| ranks.learn(1.0));
        assert_eq!((ranks.quantile(0.005), ranks.quantile(0.5)), (Some(1.0), Some(512.0)));
        assert_eq!((ranks.resolved(0.99), ranks.resolved(0.9999)), (Some(512.0), None), "one in 10,000 of 1,000");
    }
}
