//! One host's days: its own past, and whether it rises slowly away from it (`detection.md` §2.5, §2.6).

use super::hosts::HostId;
use super::volume::{Day, FEATURES, Feature, KEPT_A_DAY, Shift, Volumes, bin, bins};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What one host's days are like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct HostDays {
    pub(super) long: Volumes<u16>,
    /// Bins at work of the latest seven days.
    pub(super) recent: VecDeque<[u8; FEATURES]>,
    /// Mean level, fast and slow.
    levels: [(f32, f32); FEATURES],
    /// Days learned.
    days: u16,
    /// Days in a row on which the fast level was far above the slow one.
    high: [u8; FEATURES],
    /// The most it sent one owner on a day.
    most_bytes_out: u64,
    /// The latest hour in which it met somebody.
    pub(super) hour: i64,
}

/// A host's days rose slowly, and its peers' did not.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Drift {
    pub(crate) host: HostId,
    pub(crate) feature: Feature,
    /// The local day.
    pub(crate) day: i32,
    /// Mean of the latest days and of the months before, in the feature's unit.
    pub(crate) recent: f64,
    pub(crate) usual: f64,
    /// Distance of the last week's days from those before, 0 to 1, its peers' likewise, and the host's limit.
    pub(crate) distance: f64,
    pub(crate) peers_distance: f64,
    pub(crate) limit: f64,
}

impl HostDays {
    /// Learns a day.
    pub(super) fn learn(&mut self, day: i32, value: &Day) {
        self.long.learn(day, value, KEPT_A_DAY);
        self.days = self.days.saturating_add(1);
        if self.recent.len() >= RECENT_DAYS {
            self.recent.pop_front();
        }
        self.recent.push_back(Feature::ALL.map(|feature| bin(feature, Shift::Work, value.of(feature, Shift::Work))));
        let most = value.of(Feature::MostBytesOut, Shift::Work).max(value.of(Feature::MostBytesOut, Shift::Off));
        self.most_bytes_out = self.most_bytes_out.max(most);
        let slow_share = SLOW.max(1.0 / f32::from(self.days));
        for (at, (level, high)) in self.levels.iter_mut().zip(&mut self.high).enumerate() {
            let today = real(value.work.get(at).copied().unwrap_or(0));
            let (fast, slow) = *level;
            // One day moves the level no further than eight times what it was.
            let today = if self.days == 1 { today } else { today.min(slow.max(1.0) * MOST_STEP) };
            let fast = if self.days == 1 { today } else { fast + FAST * (today - fast) };
            let slow = slow + slow_share * (today - slow);
            *level = (fast, slow);
            *high = if fast > HIGH_TIMES * slow { high.saturating_add(1) } else { 0 };
        }
    }

    /// Whether a feature rose: for three days far above its slow level, or the last week above the months before.
    pub(super) fn drift(
        &self,
        feature: Feature,
        host: HostId,
        day: i32,
        peers: impl Fn(Feature) -> f64,
    ) -> Option<Drift> {
        let at = feature as usize;
        let (recent, usual) = self.levels.get(at).copied().unwrap_or_default();
        if self.days < LEAST_DRIFT_DAYS || self.recent.len() < RECENT_DAYS {
            return None;
        }
        let mut counts = vec![0_u64; bins(Shift::Work)];
        for day in &self.recent {
            if let Some(count) = day.get(at).and_then(|bin| counts.get_mut(usize::from(*bin))) {
                *count += 1;
            }
        }
        let distance = self.long.rise(&counts, feature, Shift::Work);
        let limit = drift_limit(self.recent.len());
        let high = self.high.get(at).copied().unwrap_or(0) >= HIGH_DAYS;
        if !high && distance <= limit {
            return None;
        }
        let peers_distance = peers(feature);
        let (recent, usual) = (f64::from(recent), f64::from(usual));
        (peers_distance < PEERS_DISTANCE).then_some(Drift {
            host,
            feature,
            day,
            recent,
            usual,
            distance,
            peers_distance,
            limit,
        })
    }

    /// The most it sent one owner on a day, bytes.
    pub(super) const fn most_bytes_out(&self) -> u64 {
        self.most_bytes_out
    }

    /// Adds what another baseline knows.
    pub(super) fn merge(&mut self, other: &Self) {
        self.long.merge(&other.long, KEPT_A_DAY);
        if other.days > self.days {
            (self.levels, self.high) = (other.levels, other.high);
            self.recent.clone_from(&other.recent);
        }
        self.days = self.days.saturating_add(other.days);
        self.most_bytes_out = self.most_bytes_out.max(other.most_bytes_out);
        self.hour = self.hour.max(other.hour);
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        let levels = self.levels.iter().all(|(fast, slow)| fast.is_finite() && slow.is_finite());
        self.long.is_whole() && self.recent.len() <= RECENT_DAYS && levels
    }
}

/// The distance at which the last days are not those before: the design's 0.35, and at least what chance reaches once in
/// a thousand (Dvoretzky–Kiefer–Wolfowitz, one-sided): √(ln(1/α) / 2n).
fn drift_limit(days: usize) -> f64 {
    let n = f64::from(u32::try_from(days).unwrap_or(u32::MAX).max(1));
    (DRIFT_ALPHA.recip().ln() / (2.0 * n)).sqrt().max(DRIFT_DISTANCE)
}

#[expect(clippy::cast_precision_loss, reason = "levels are means; seven digits are plenty")]
pub(super) const fn real(value: u64) -> f32 {
    value as f32
}

/// §2.5, §2.6.
const FAST: f32 = 0.3;
const SLOW: f32 = 0.02;
const HIGH_TIMES: f32 = 4.0;
const HIGH_DAYS: u8 = 3;
const MOST_STEP: f32 = 8.0;
const DRIFT_DISTANCE: f64 = 0.35;
const DRIFT_ALPHA: f64 = 1e-3;
const PEERS_DISTANCE: f64 = 0.15;
const RECENT_DAYS: usize = 7;
/// Three weeks: a past to rise from.
const LEAST_DRIFT_DAYS: u16 = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_knows_how_little_a_week_proves() {
        assert!((drift_limit(7) - 0.7024).abs() < 1e-3);
        assert!((drift_limit(1000) - 0.35).abs() < 1e-12);
    }
}
