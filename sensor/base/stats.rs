//! Small statistics. All are total: no input panics.

/// P(at least `k` of independent events happen), each with its own probability. Exact, O(n²).
pub(crate) fn poisson_binomial_tail(probabilities: &[f64], k: usize) -> f64 {
    let mut chance = vec![0.0; probabilities.len() + 1];
    if let Some(none) = chance.first_mut() {
        *none = 1.0;
    }
    for (seen, q) in probabilities.iter().enumerate() {
        let mut below = 0.0;
        // More than were asked so far cannot have happened.
        for at in chance.iter_mut().take(seen + 2) {
            let here = *at;
            *at = here * (1.0 - q) + below * q;
            below = here;
        }
    }
    // From the small end, so that nothing is lost beside the large ones.
    chance.iter().skip(k).rev().sum::<f64>().clamp(0.0, 1.0)
}

/// A count as a number.
pub(crate) fn real(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Users from which on something is common in a fleet of so many: a number, or a share of them if that is more.
pub(crate) fn common(hosts: u32, share: f64, fleet: u32) -> f64 {
    f64::from(hosts).max(share * f64::from(fleet))
}

/// P(Poisson(mean) ≥ k).
pub(crate) fn poisson(mean: f64, k: u32) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let k = f64::from(k);
    upward(k * mean.ln() - mean - ln_factorial(k), k, f64::INFINITY, |j| mean / (j + 1.0))
}

/// Sums terms of which the first is exp(`first`) and each next one `ratio(j)` times the one before, from j on to `last`.
pub(crate) fn upward(first: f64, from: f64, last: f64, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut term, mut j, mut first) = (1.0_f64, 1.0_f64, from, first);
    for _ in 0..MAX_TERMS {
        if j >= last {
            break;
        }
        term *= ratio(j);
        sum += term;
        j += 1.0;
        if term < sum * 1e-16 {
            break;
        }
        // Far below the mean the terms grow past what a float holds.
        if sum > 1e250 {
            (sum, term, first) = (sum * 1e-250, term * 1e-250, first + 250.0 * std::f64::consts::LN_10);
        }
    }
    (first + sum.ln()).exp().clamp(0.0, 1.0)
}

/// ln n!
pub(crate) fn ln_factorial(n: f64) -> f64 {
    ln_gamma(n + 1.0)
}

/// ln Γ(x) by Stirling's series after shifting the argument above 10: relative error below 1e-14.
pub(crate) fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= x.max(f64::MIN_POSITIVE).ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

/// Terms after which a sum is as good as it gets; no fleet has more hosts.
const MAX_TERMS: usize = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_poisson_binomial_is_exact() {
        for (what, q, k, expected) in [
            ("certainly none or more", vec![0.3, 0.4], 0, 1.0),
            ("both", vec![0.3, 0.4], 2, 0.12),
            ("at least one", vec![0.3, 0.4], 1, 1.0 - 0.7 * 0.6),
            ("more than there are", vec![0.3], 2, 0.0),
            ("a binomial, 8 of 8", vec![0.01; 8], 8, 1e-16),
            ("three of five fair coins", vec![0.5; 5], 3, 0.5),
        ] {
            let tail = poisson_binomial_tail(&q, k);
            assert!((tail - expected).abs() <= expected * 1e-9 + 1e-300, "{what}: {tail}");
        }
    }
}
