//! How sure a figure is: 95 % intervals.
//!
//! Shares by Wilson (Wilson 1927), which holds at 0 and 1; rates by the chi-square bounds of a Poisson count (Garwood
//! 1936) with the Wilson–Hilferty approximation; anything else by a bootstrap over seeds, which are what varies.

use crate::fleet::Dice;

/// A figure with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// How many things were counted.
    pub(crate) n: usize,
}

/// `k` of `n`; `None` of nothing.
pub(crate) fn share(k: usize, n: usize) -> Option<Estimate> {
    if n == 0 {
        return None;
    }
    let (k, of) = (k as f64, n as f64);
    let p = k / of;
    let middle = (p + Z * Z / (2.0 * of)) / (1.0 + Z * Z / of);
    let half = Z / (1.0 + Z * Z / of) * (p * (1.0 - p) / of + Z * Z / (4.0 * of * of)).sqrt();
    Some(Estimate { value: p, low: (middle - half).max(0.0), high: (middle + half).min(1.0), n })
}

/// `count` events in `exposure` units of what the rate is for.
pub(crate) fn rate(count: usize, exposure: f64) -> Option<Estimate> {
    if exposure <= 0.0 {
        return None;
    }
    let bound =
        |n: f64, z: f64| if n <= 0.0 { 0.0 } else { n * (1.0 - 1.0 / (9.0 * n) + z / (3.0 * n.sqrt())).powi(3) };
    let n = count as f64;
    let (low, high) = (bound(n, -Z), bound(n + 1.0, Z));
    Some(Estimate { value: n / exposure, low: low.max(0.0) / exposure, high: high / exposure, n: count })
}

/// The mean over everything in `by_seed`, seeds drawn with replacement.
pub(crate) fn mean(by_seed: &[Vec<f64>]) -> Option<Estimate> {
    let average = |seeds: &[&Vec<f64>]| {
        let (sum, n) = seeds.iter().flat_map(|s| s.iter()).fold((0.0, 0_u32), |(sum, n), x| (sum + x, n + 1));
        (n > 0).then(|| sum / f64::from(n))
    };
    statistic(by_seed, average)
}

/// The median, likewise.
pub(crate) fn median(by_seed: &[Vec<f64>]) -> Option<Estimate> {
    statistic(by_seed, |seeds| {
        let mut all: Vec<f64> = seeds.iter().flat_map(|s| s.iter().copied()).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    })
}

fn statistic(by_seed: &[Vec<f64>], of: impl Fn(&[&Vec<f64>]) -> Option<f64>) -> Option<Estimate> {
    let all: Vec<&Vec<f64>> = by_seed.iter().collect();
    let value = of(&all)?;
    let mut dice = Dice::of([0xb007, 0, 0, 0]);
    let mut drawn: Vec<f64> =
        (0..DRAWS).filter_map(|_| of(&all.iter().map(|_| *dice.pick(&all)).collect::<Vec<_>>())).collect();
    drawn.sort_by(f64::total_cmp);
    let at = |q: f64| drawn[((drawn.len() - 1) as f64 * q).round() as usize];
    Some(Estimate { value, low: at(0.025), high: at(0.975), n: by_seed.iter().map(Vec::len).sum() })
}

const Z: f64 = 1.959_964;
const DRAWS: usize = 2_000;

#[test]
fn intervals_are_the_published_ones() {
    for (what, got, low, high) in [
        ("Wilson, 8 of 10", share(8, 10), 0.490, 0.943),
        ("Wilson, none of 20", share(0, 20), 0.0, 0.161),
        ("Wilson, all of 35", share(35, 35), 0.901, 1.0),
        ("Garwood, none", rate(0, 1.0), 0.0, 3.69),
        ("Garwood, ten", rate(10, 1.0), 4.80, 18.39),
    ] {
        let got = got.unwrap();
        assert!((got.low - low).abs() < 0.02 && (got.high - high).abs() < 0.05, "{what}: {got:?}");
    }
    assert_eq!(share(0, 0), None);
}

#[test]
fn a_bootstrap_brackets_its_figure() {
    let seeds: Vec<Vec<f64>> = (0..12).map(|n| vec![f64::from(n), f64::from(n) + 1.0]).collect();
    for estimate in [mean(&seeds).unwrap(), median(&seeds).unwrap()] {
        assert!(estimate.low < estimate.value && estimate.value < estimate.high, "{estimate:?}");
        assert_eq!(estimate.n, 24);
    }
    assert_eq!(mean(&[Vec::new()]), None);
}
