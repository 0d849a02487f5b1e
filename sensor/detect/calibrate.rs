//! A score → how unusual it is among the fleet's own recent host-days (`detection.md` §2.7).
//!
//! Conformal: p = (1 + host-days at least as unusual) / (1 + host-days). Whatever the dependence between detectors, a
//! rule "p ≤ A / hosts" then gives at most about A false alerts a day. Working days are held against working days, a
//! class of peers against itself while it has enough days, else against everybody.

use std::collections::BTreeMap;

/// Scores of the host-days of the last two weeks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calibration {
    /// By day, then class.
    days: BTreeMap<i32, BTreeMap<u32, Scores>>,
    weekends: BTreeMap<i32, bool>,
    pools: BTreeMap<View, Pool>,
}

/// A class or everybody, on one kind of day or on all.
type View = (Option<u32>, Option<bool>);

/// The host-days of a view.
#[derive(Clone, Debug, Default)]
struct Pool {
    host_days: u64,
    /// By score: host-days with at least that one.
    at_least: Vec<u64>,
}

/// The scores of one class on one day.
#[derive(Clone, Debug, Default)]
struct Scores {
    host_days: u32,
    /// Host-days by score, in 1/32 nats; those with none are only counted above.
    bins: BTreeMap<u16, u32>,
}

/// A calibration as it is saved: by day whether it was one of a weekend, then class, host-days and scores.
pub(super) type SavedDays = BTreeMap<i32, (bool, BTreeMap<u32, (u32, BTreeMap<u16, u32>)>)>;

/// How unusual a score is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Unusual {
    pub(crate) p: f64,
    /// Host-days at least as unusual, of so many.
    pub(crate) as_unusual: u64,
    pub(crate) host_days: u64,
}

impl Unusual {
    /// With those of the day at hand that are as unusual: what comes over many on one day makes none of them stand out.
    pub(crate) fn beside(self, others_today: u64) -> Self {
        let (as_unusual, host_days) = (self.as_unusual + others_today, self.host_days + others_today);
        Self { p: ratio(as_unusual + 1, host_days + 1), as_unusual, host_days }
    }

    /// As many others as lift `p` above `most`, whatever the days before say.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a count")]
    pub(crate) fn enough_for(self, most: f64) -> usize {
        (most * (self.host_days + 1) as f64 / (1.0 - most).max(f64::EPSILON)).ceil() as usize + 1
    }
}

impl Calibration {
    /// Adds a day, class by class: how many hosts were alive, and the scores of those that showed anything.
    pub(crate) fn learn(&mut self, day: i32, weekend: bool, classes: impl IntoIterator<Item = (u32, u32, Vec<f64>)>) {
        self.weekends.insert(day, weekend);
        for (class, alive, scores) in classes {
            self.add(day, class, alive, &scores);
        }
        while self.days.len() > DAYS {
            self.days.pop_first();
            self.weekends.pop_first();
        }
        self.pool();
    }

    pub(super) fn saved(&self) -> SavedDays {
        let scores = |scores: &Scores| (scores.host_days, scores.bins.clone());
        let day = |(day, classes): (&i32, &BTreeMap<u32, Scores>)| {
            let weekend = self.weekends.get(day).copied().unwrap_or_default();
            (*day, (weekend, classes.iter().map(|(class, known)| (*class, scores(known))).collect()))
        };
        self.days.iter().map(day).collect()
    }

    pub(super) fn restore(&mut self, saved: SavedDays) {
        for (day, (weekend, classes)) in saved {
            self.weekends.insert(day, weekend);
            let scores = |(class, (host_days, bins))| (class, Scores { host_days, bins });
            self.days.insert(day, classes.into_iter().map(scores).collect());
        }
        while self.days.len() > DAYS {
            self.days.pop_first();
            self.weekends.pop_first();
        }
        self.pool();
    }

    fn add(&mut self, day: i32, class: u32, alive: u32, scores: &[f64]) {
        let entry = self.days.entry(day).or_default().entry(class).or_default();
        entry.host_days = entry.host_days.saturating_add(alive);
        for score in scores.iter().filter(|score| **score > 0.0) {
            let bin = entry.bins.entry(bin(*score)).or_default();
            *bin = bin.saturating_add(1);
        }
    }

    /// How unusual `score` is for `class`; `None` before `least` host-days of this kind of day are known.
    pub(crate) fn unusual(&self, weekend: bool, class: u32, score: f64, least: u64) -> Option<Unusual> {
        let views = [(Some(class), Some(weekend)), (None, Some(weekend)), (None, None)];
        let enough = |pool: &&Pool| pool.host_days >= least;
        let pool = views.iter().filter_map(|view| self.pools.get(view)).find(enough)?;
        let as_unusual = pool.at_least.get(usize::from(bin(score))).copied().unwrap_or(0);
        Some(Unusual { p: ratio(as_unusual + 1, pool.host_days + 1), as_unusual, host_days: pool.host_days })
    }

    /// Adds the days up again, by class and kind of day.
    fn pool(&mut self) {
        let mut pools: BTreeMap<View, Pool> = BTreeMap::new();
        for (day, classes) in &self.days {
            let weekend = self.weekends.get(day).copied();
            for (class, scores) in classes {
                for view in [(Some(*class), weekend), (None, weekend), (None, None)] {
                    let pool = pools.entry(view).or_default();
                    pool.host_days += u64::from(scores.host_days);
                    for (bin, n) in &scores.bins {
                        let bin = usize::from(*bin);
                        if pool.at_least.len() <= bin {
                            pool.at_least.resize(bin + 1, 0);
                        }
                        if let Some(count) = pool.at_least.get_mut(bin) {
                            *count += u64::from(*n);
                        }
                    }
                }
            }
        }
        for pool in pools.values_mut() {
            let mut above = 0;
            for count in pool.at_least.iter_mut().rev() {
                above += *count;
                *count = above;
            }
        }
        self.pools = pools;
    }
}

/// Keeps the number of host alerts near what the operator can read.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Budget {
    /// Incidents a day wanted.
    wanted: f64,
    /// ln of the factor on `wanted / hosts`.
    ln_factor: f64,
    /// Incidents told since the last settlement.
    told: u32,
}

impl Budget {
    pub(crate) const fn new(wanted: f64) -> Self {
        Self { wanted, ln_factor: 0.0, told: 0 }
    }

    /// The p from which on a host-day of a fleet of `hosts` is told.
    pub(crate) fn threshold(&self, hosts: u32) -> f64 {
        (self.wanted / f64::from(hosts.max(1)) * self.ln_factor.exp()).min(MOST_P)
    }

    /// One was told.
    pub(crate) const fn told(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    /// A day is over: the threshold moves a tenth of the way to where the wanted number would have been told.
    pub(crate) fn settle(&mut self) {
        let step = GAIN * (self.wanted.ln() - (f64::from(self.told) + 1.0).ln());
        self.ln_factor = (self.ln_factor + step).clamp(-MOST_LN, MOST_LN);
        self.told = 0;
    }
}

fn bin(score: f64) -> u16 {
    let at = (score * BINS_PER_NAT).floor().clamp(0.0, f64::from(u16::MAX));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let at = at as u16;
    at
}

#[expect(clippy::cast_precision_loss, reason = "host-days of two weeks need 32 bits")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Two weeks, so that each kind of day is there twice and more.
const DAYS: usize = 14;
const BINS_PER_NAT: f64 = 32.0;
/// `detection.md` §2.7: a tenth a day, within e^±0.5.
const GAIN: f64 = 0.1;
const MOST_LN: f64 = 0.5;
/// In a small fleet the budget alone would tell every tenth host.
const MOST_P: f64 = 1e-2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_held_against_its_own_class_and_kind_of_day_while_there_are_enough() {
        let mut known = Calibration::default();
        for day in 0..10 {
            let scores = [(1, 100, (0..10).map(f64::from).collect()), (2, 1000, vec![20.0; 100])];
            known.learn(day, day % 7 >= 5, scores);
        }
        for (what, weekend, class, score, expected) in [
            ("as the worst of its class", false, 1, 9.0, Some((8, 800))),
            ("worse than anybody of its class", false, 1, 30.0, Some((0, 800))),
            ("nothing", false, 1, 0.0, Some((72, 800))),
            ("a class with too few days: everybody's", false, 3, 19.0, Some((800, 8800))),
            ("a weekend", true, 1, 9.0, Some((202, 2200))),
        ] {
            let found = known.unusual(weekend, class, score, 500).map(|u| (u.as_unusual, u.host_days));
            assert_eq!(found, expected, "{what}");
        }
        assert_eq!(known.unusual(false, 1, 9.0, 1_000_000), None, "too little is known");
    }

    #[test]
    fn two_weeks_are_kept() {
        let mut known = Calibration::default();
        (0..100).for_each(|day| known.learn(day, false, [(1, 10, vec![5.0])]));
        assert_eq!(known.unusual(false, 1, 0.0, 1).map(|u| u.host_days), Some(140));
    }

    #[test]
    fn the_promised_rate_is_kept_whatever_the_scores_are() {
        // 2,000 hosts, scores with a heavy tail; the rule p ≤ A / hosts with A = 5.
        let (mut known, mut told, hosts) = (Calibration::default(), 0_u32, 2000_u32);
        let budget = Budget::new(5.0);
        let mut seed = 7_u64;
        let mut score = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            -(f64::from(u32::try_from(seed >> 33).unwrap()).max(1.0) / f64::from(u32::MAX >> 1)).ln() * 4.0
        };
        for day in 0..40 {
            let today: Vec<f64> = (0..hosts).map(|_| score()).collect();
            if day >= 14 {
                let p = |s: &f64| known.unusual(false, 0, *s, 500).is_some_and(|u| u.p <= budget.threshold(hosts));
                told += u32::try_from(today.iter().filter(|s| p(s)).count()).unwrap();
            }
            known.learn(day, false, [(0, hosts, today)]);
        }
        assert!((78..=182).contains(&told), "{told} in 26 days, 130 expected");
    }

    #[test]
    fn the_budget_moves_towards_what_is_wanted_and_not_further_than_it_may() {
        let (mut loud, mut quiet) = (Budget::new(5.0), Budget::new(5.0));
        let start = loud.threshold(10_000);
        for _ in 0..60 {
            (0..100).for_each(|_| loud.told());
            loud.settle();
            quiet.settle();
        }
        assert!((loud.threshold(10_000) / start - (-0.5_f64).exp()).abs() < 1e-9);
        assert!((quiet.threshold(10_000) / start - 0.5_f64.exp()).abs() < 1e-9);
        assert!(Budget::new(5.0).threshold(1) <= MOST_P);
    }
}
