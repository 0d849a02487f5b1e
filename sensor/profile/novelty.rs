//! How likely the next contact of a host is with somebody it never met: Good–Turing's unseen mass (`detection.md` §2.3).
//!
//! A person meets new services daily, a server hardly ever. Of contacts, one an owner and day, and of first contacts
//! among them, both fading by a thirtieth a day, the share of firsts is the chance; few contacts lean on the peers'.
//! Unit: contacts. Evasion: meeting many harmless destinations first, bounded by quarantine and by the daily limit.

use serde::{Deserialize, Serialize};

/// Contacts and first contacts, one an owner and day, faded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Novelty {
    /// The local day they are faded to.
    day: i32,
    contacts: f64,
    firsts: f64,
}

/// Whether a contact was a host's first with its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    First,
    Repeated,
}

impl Novelty {
    /// Counts a contact on a local day; one from a day gone by counts as of the latest.
    pub(super) fn add(&mut self, day: i32, kind: Kind) {
        *self = self.on(day);
        self.contacts = short(self.contacts + 1.0);
        self.firsts = short(self.firsts + if kind == Kind::First { 1.0 } else { 0.0 });
    }

    /// Takes a first contact back: it turned out to be with somebody else.
    pub(super) fn take_back(&mut self) {
        (self.contacts, self.firsts) = (short(self.contacts - 1.0).max(0.0), short(self.firsts - 1.0).max(0.0));
    }

    /// The chance that the next contact is a first one, when `prior` is that of the peers and weighs as much as `weight`
    /// contacts: `(N₁ + κ·ν) / (N + κ)`.
    pub(super) fn chance(&self, day: i32, prior: f64, weight: f64) -> f64 {
        let now = self.on(day);
        ((now.firsts + weight * prior) / (now.contacts + weight)).clamp(0.0, 1.0)
    }

    /// Adds what another baseline knows, as of its day.
    pub(super) fn merge(&mut self, other: &Self) {
        let day = self.day.max(other.day);
        let (own, other) = (self.on(day), other.on(day));
        *self = Self { day, contacts: short(own.contacts + other.contacts), firsts: short(own.firsts + other.firsts) };
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        self.contacts.is_finite() && self.firsts.is_finite() && self.contacts >= 0.0 && self.firsts >= 0.0
    }

    fn on(&self, day: i32) -> Self {
        let days = day.saturating_sub(self.day).clamp(0, MOST_DAYS);
        let kept = KEPT_A_DAY.powi(days);
        Self { day: self.day.max(day), contacts: self.contacts * kept, firsts: self.firsts * kept }
    }
}

/// To a millionth: decimal texts of it read back exactly.
fn short(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// `detection.md` §2.3: a month's memory.
const KEPT_A_DAY: f64 = 1.0 - 1.0 / 30.0;
/// Beyond ten years nothing is left.
const MOST_DAYS: i32 = 3650;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_of_something_new_is_the_share_of_firsts_leaning_on_the_peers() {
        for (what, repeated, firsts, prior, low, high) in [
            ("nothing known: the peers' rate", 0, 0, 0.2, 0.2, 0.2),
            ("a server among servers", 400, 0, 0.01, 0.0, 0.001),
            ("a server among people: κ of 20 in 420", 400, 0, 0.5, 0.0238, 0.0239),
            ("a person", 60, 40, 0.3, 0.38, 0.40),
        ] {
            let mut met = Novelty { day: 100, ..Novelty::default() };
            (0..repeated).for_each(|_| met.add(100, Kind::Repeated));
            (0..firsts).for_each(|_| met.add(100, Kind::First));
            let chance = met.chance(100, prior, 20.0);
            assert!((low - 1e-9..=high + 1e-9).contains(&chance), "{what}: {chance}");
        }
    }

    #[test]
    fn what_was_long_ago_fades_and_the_future_is_not_needed() {
        let mut met = Novelty::default();
        (0..100).for_each(|_| met.add(0, Kind::First));
        assert!((met.on(30).contacts - 100.0 * (29.0_f64 / 30.0).powi(30)).abs() < 1e-6);
        met.add(-5, Kind::Repeated);
        assert!((met.on(0).contacts - 101.0).abs() < 1e-9, "an old contact does not turn time back");
        assert!(met.chance(4000, 0.25, 20.0) - 0.25 < 1e-3, "ten years on, the peers' rate is all there is");
    }
}
