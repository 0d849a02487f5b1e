//! Tail probabilities of the campaign's tests, and how many of them are held together.
//!
//! All are total: no input panics, a probability comes back between 0 and 1. Small tails are summed from their large end
//! of small terms, never as one minus something near one.

use crate::base::stats::{ln_factorial, ln_gamma, poisson, poisson_binomial_tail, real, upward};

/// P(at least `k` of independent events with chances `q`): exact up to `EXACT_CASES`, beyond it Hoeffding's bound
/// exp(−n·KL(k/n‖mean)), which is never smaller than the truth (detection.md §4.4).
pub(crate) fn at_least(q: &[f64], k: usize) -> f64 {
    if q.len() <= EXACT_CASES {
        return poisson_binomial_tail(q, k);
    }
    let n = real(q.len());
    let mean = q.iter().sum::<f64>() / n;
    let share = real(k) / n;
    if share <= mean {
        return 1.0;
    }
    let part = |a: f64, b: f64| if a <= 0.0 { 0.0 } else { a * (a / b).ln() };
    let divergence = part(share, mean.max(1e-300)) + part(1.0 - share, (1.0 - mean).max(1e-300));
    (-n * divergence).exp().clamp(0.0, 1.0)
}

/// P(Bin(n, p) ≥ k).
pub(crate) fn binomial(n: u32, p: f64, k: u32) -> f64 {
    if k == 0 || p >= 1.0 {
        return if k <= n { 1.0 } else { 0.0 };
    }
    if k > n || p <= 0.0 {
        return 0.0;
    }
    let (n, k) = (f64::from(n), f64::from(k));
    let first = ln_choose(n, k) + k * p.ln() + (n - k) * (-p).ln_1p();
    let odds = p / (1.0 - p);
    upward(first, k, n, |j| (n - j) / (j + 1.0) * odds)
}

/// P(at least `k`) of a negative binomial with this mean and variance mean + `spread`·mean².
pub(crate) fn negative_binomial(mean: f64, spread: f64, k: u32) -> f64 {
    if spread <= 0.0 {
        return poisson(mean, k);
    }
    if k == 0 {
        return 1.0;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let (r, k) = (1.0 / spread, f64::from(k));
    let miss = mean / (r + mean);
    let first = ln_gamma(k + r) - ln_gamma(r) - ln_factorial(k) + r * (-miss).ln_1p() + k * miss.ln();
    upward(first, k, f64::INFINITY, |j| (j + r) / (j + 1.0) * miss)
}

/// P(at least `k` of the `n` drawn are among the `marked` of `all`), drawn without putting back.
pub(crate) fn hypergeometric(all: u32, marked: u32, n: u32, k: u32) -> f64 {
    let (most, all, marked, n) = (n.min(marked), f64::from(all), f64::from(marked), f64::from(n));
    if k == 0 {
        return 1.0;
    }
    if k > most || n > all || marked > all {
        return if k <= most { 1.0 } else { 0.0 };
    }
    let ln_p = |j: f64| ln_choose(marked, j) + ln_choose(all - marked, n - j) - ln_choose(all, n);
    let terms = (k..=most).map(f64::from).filter(|j| n - j <= all - marked).map(|j| ln_p(j).exp());
    terms.sum::<f64>().clamp(0.0, 1.0)
}

/// How many of the chances, smallest first, may be called small with at most this share of them false
/// (Benjamini–Hochberg).
pub(crate) fn below_false_share(sorted: &[f64], share: f64) -> usize {
    let of = real(sorted.len());
    let below = |(at, p): (usize, &f64)| *p <= share * real(at + 1) / of;
    sorted.iter().enumerate().rposition(below).map_or(0, |at| at + 1)
}

/// Holm's step-down: each p-value adjusted for all of them, in the order given.
pub(crate) fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    let at = |i: usize| p.get(i).copied().unwrap_or(1.0);
    order.sort_by(|a, b| at(*a).total_cmp(&at(*b)).then(a.cmp(b)));
    let mut adjusted = vec![1.0; p.len()];
    let mut floor = 0.0_f64;
    for (rank, i) in order.iter().enumerate() {
        floor = floor.max((at(*i) * real(p.len() - rank)).min(1.0));
        if let Some(place) = adjusted.get_mut(*i) {
            *place = floor;
        }
    }
    adjusted
}

fn ln_choose(n: f64, k: f64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Cases up to which the exact tail is worth its square.
const EXACT_CASES: usize = 200;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_agree_with_sums_done_by_hand() {
        for (what, got, expected) in [
            ("three heads of five", binomial(5, 0.5, 3), 0.5),
            ("all of ten at 2 %", binomial(10, 0.02, 10), 0.02_f64.powi(10)),
            ("one of none", binomial(0, 0.5, 1), 0.0),
            ("nothing asked", binomial(7, 0.1, 0), 1.0),
            ("any event at rate 1", poisson(1.0, 1), 1.0 - (-1.0_f64).exp()),
            ("two events at rate 0.05", poisson(0.05, 2), 1.0 - (-0.05_f64).exp() * 1.05),
            // r = 5, miss = μ/(5+μ): P(0) = (5/5.05)^5.
            ("one, spread 0.2", negative_binomial(0.05, 0.2, 1), 1.0 - (5.0_f64 / 5.05).powi(5)),
        ] {
            assert!((got - expected).abs() <= 1e-10 * expected.max(1e-290), "{what}: {got} for {expected}");
        }
    }

    #[test]
    fn draws_without_putting_back_are_counted_and_few_of_those_called_small_are_false() {
        for (what, got, expected) in [
            // 4 of 4 marked of 10 drawn: 1 / C(10, 4).
            ("all marked", hypergeometric(10, 4, 4, 4), 1.0 / 210.0),
            ("at least one of two, half marked", hypergeometric(4, 2, 2, 1), 5.0 / 6.0),
            ("more than there are", hypergeometric(10, 2, 5, 3), 0.0),
            ("none asked", hypergeometric(10, 2, 5, 0), 1.0),
        ] {
            assert!((got - expected).abs() < 1e-10, "{what}: {got} for {expected}");
        }
        assert_eq!(below_false_share(&[0.001, 0.008, 0.039, 0.041], 0.05), 4);
        assert_eq!(below_false_share(&[0.001, 0.02, 0.5, 0.9], 0.01), 1);
        assert_eq!(below_false_share(&[], 0.01), 0);
    }

    #[test]
    fn tails_are_probabilities_whatever_is_asked() {
        for n in [0_u32, 1, 17, 250_000] {
            for k in [0_u32, 1, 9, 250_000] {
                for p in [0.0, 1e-9, 0.5, 1.0] {
                    let all = [binomial(n, p, k), poisson(p * f64::from(n), k), negative_binomial(p, 0.2, k)];
                    assert!(all.iter().all(|p| (0.0..=1.0).contains(p)), "{n} {k} {p}: {all:?}");
                }
            }
        }
        assert!(binomial(100_000, 0.5, 100) > 0.999_999);
    }

    #[test]
    fn many_cases_are_bounded_from_above() {
        let (q, k) = (vec![0.1; 200], 45);
        let exact = at_least(&q, k);
        let bound = at_least(&[q.clone(), vec![0.1]].concat(), k);
        assert!(bound >= exact && bound < 1e-4, "{bound} against {exact}");
        assert!((at_least(&vec![0.5; 500], 100) - 1.0).abs() < 1e-12, "fewer than expected is no surprise");
    }

    #[test]
    fn adjusting_keeps_the_order_and_never_helps() {
        let adjusted = holm(&[0.01, 0.0001, 0.03]);
        let expected = [0.02, 0.0003, 0.03];
        assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{adjusted:?}");
    }
}
