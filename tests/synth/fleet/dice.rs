//! Chance, by counter: every draw belongs to (seed, purpose, who, when), so that days can be made in any order and a
//! host's life does not change when another host is added.
//!
//! SplitMix64 throughout. Distributions by inversion where one draw must do; floating point, so the last bit may differ
//! between platforms – this feeds statistics, never expected bytes.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream that belongs to these parts.
    pub(crate) fn of(parts: [u64; 4]) -> Self {
        Self(parts.into_iter().fold(0x5851_f42d_4c95_7f2d, |state, part| mix(state ^ mix(part.wrapping_add(GAMMA)))))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// Uniform in [0, 1).
    pub(crate) const fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0..n`; 0 when there is nothing to choose from.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform on the logarithm: as many between 1 and 2 as between 2 and 4.
    pub(crate) fn octaves(&mut self, low: f64, high: f64) -> f64 {
        (low.ln() + (high / low).ln() * self.unit()).exp()
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Standard normal (Box–Muller, one of the pair).
    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit().max(1e-12), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    pub(crate) fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    pub(crate) fn pareto(&mut self, least: f64, alpha: f64) -> f64 {
        least * (1.0 - self.unit()).powf(-1.0 / alpha)
    }

    /// Knuth's for small means, a rounded normal above 30.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u32;
        }
        let (limit, mut product, mut n) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            n += 1;
        }
        n
    }

    /// A rank from `0..n` with probability about (rank + 1)^−s.
    pub(crate) fn zipf(&mut self, n: f64, s: f64) -> u64 {
        let u = self.unit();
        let rank = if (s - 1.0).abs() < 1e-3 {
            (u * n.ln()).exp()
        } else {
            let e = 1.0 - s;
            (u * (n.powf(e) - 1.0) + 1.0).powf(1.0 / e)
        };
        (rank.clamp(1.0, n) - 1.0) as u64
    }

    /// `k` different ones of `0..n`, in no order of interest.
    pub(crate) fn some_of(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        let k = k.min(n);
        for i in 0..k {
            let j = i + self.below(n - i);
            all.swap(i, j);
        }
        all.truncate(k);
        all
    }
}

/// A fixed number in [0, 1) that belongs to these parts.
pub(crate) fn share(parts: [u64; 4]) -> f64 {
    Dice::of(parts).unit()
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[test]
fn draws_have_the_moments_they_promise() {
    let mut dice = Dice::of([1, 2, 3, 4]);
    let n = 20_000;
    let mut mean = |mut f: Box<dyn FnMut(&mut Dice) -> f64>| (0..n).map(|_| f(&mut dice)).sum::<f64>() / f64::from(n);
    for (what, draw, expected, tolerance) in [
        ("uniform", Box::new(Dice::unit) as Box<dyn FnMut(&mut Dice) -> f64>, 0.5, 0.01),
        ("normal", Box::new(Dice::normal), 0.0, 0.03),
        ("exponential", Box::new(|d: &mut Dice| d.exponential(7.0)), 7.0, 0.2),
        ("few", Box::new(|d: &mut Dice| f64::from(d.poisson(0.4))), 0.4, 0.02),
        ("many", Box::new(|d: &mut Dice| f64::from(d.poisson(80.0))), 80.0, 0.5),
        ("median of a lognormal", Box::new(|d: &mut Dice| f64::from(u8::from(d.lognormal(9.0, 1.3) < 9.0))), 0.5, 0.02),
        (
            "Pareto above twice the least",
            Box::new(|d: &mut Dice| f64::from(u8::from(d.pareto(3.0, 1.0) > 6.0))),
            0.5,
            0.02,
        ),
        ("first of a million ranks", Box::new(|d: &mut Dice| f64::from(u8::from(d.zipf(1e6, 1.0) == 0))), 0.05, 0.01),
    ] {
        let got = mean(draw);
        assert!((got - expected).abs() < tolerance, "{what}: {got}");
    }
}

#[test]
fn some_of_are_different_and_streams_do_not_share() {
    let mut some = Dice::of([9, 0, 0, 0]).some_of(50, 20);
    some.sort_unstable();
    some.dedup();
    assert_eq!(some.len(), 20);
    assert_ne!(Dice::of([1, 2, 0, 0]).next(), Dice::of([2, 1, 0, 0]).next());
}
