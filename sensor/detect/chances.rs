//! Several chances in one, and the chance of something never met.

use crate::base::stats::real;

/// Chances that may depend on each other in one (Liu and Xie 2020). One above a half says nothing and takes nothing away.
pub(super) fn cauchy(p: &[f64]) -> f64 {
    let tangent = |p: &f64| (std::f64::consts::PI * (0.5 - p.min(0.5))).tan();
    let mean = p.iter().map(tangent).sum::<f64>() / real(p.len().max(1));
    (0.5 - mean.atan() / std::f64::consts::PI).clamp(1e-12, 1.0)
}

/// How many things of a kind were met, once a day each, and how many for the first time; faded.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Kinds {
    pub(super) met: f64,
    pub(super) new: f64,
}

impl Kinds {
    /// Good–Turing: the chance that the next one was never met.
    pub(super) fn chance(self, shrink: f64) -> f64 {
        // What is pooled says one in a hundred: servers hardly ever meet anything new.
        (self.new + shrink * POOLED_NEW) / (self.met + shrink)
    }

    pub(super) fn learn(&mut self, met: u32, new: u32) {
        self.met += f64::from(met);
        self.new += f64::from(new);
    }
}

/// Chance of something new that is pooled with a server's own: detection.md §4.6 gives 10⁻⁴ for tight servers and we know
/// less of ours.
const POOLED_NEW: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_combined_without_help_from_those_that_say_nothing() {
        for (what, p, low, high) in [
            ("nothing odd", [1.0; 6], 0.49, 0.51),
            ("one in a million of six", [1e-6, 1.0, 1.0, 1.0, 1.0, 1.0], 5e-6, 7e-6),
            ("two in a million", [1e-6, 1e-6, 1.0, 1.0, 1.0, 1.0], 2.5e-6, 3.5e-6),
        ] {
            let found = cauchy(&p);
            assert!((low..=high).contains(&found), "{what}: {found}");
        }
    }
}
