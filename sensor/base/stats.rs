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
