//! How many machines one host reached within a window: the shape of a sweep.

use super::claim::keep;
use super::renamed::Renames;
use crate::base::Timestamp;
use crate::event::Uid;
use crate::profile::{HostId, Renamed};
use std::collections::{BTreeSet, VecDeque};

/// What one host did to others, and the widest sweep within it.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Fan {
    recent: VecDeque<(Timestamp, HostId)>,
    /// First and last act of the sweeps, once there was one.
    pub(super) span: Option<(Timestamp, Timestamp)>,
    /// Everybody a sweep reached, in order of id.
    pub(super) reached: BTreeSet<HostId>,
    /// Machines of the widest one.
    pub(super) widest: usize,
    pub(super) uids: Vec<Uid>,
}

impl Renames for Fan {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { recent: self.recent.renamed(ids)?, reached: self.reached.renamed(ids)?, ..self })
    }
}

impl Fan {
    /// Takes in an act on `target`; whether it is part of a sweep of `least` machines within `window_s`.
    pub(super) fn add(&mut self, ts: Timestamp, target: HostId, uid: Uid, least: usize, window_s: f64) -> bool {
        while self.recent.front().is_some_and(|(at, _)| ts.secs_since(*at) > window_s) {
            self.recent.pop_front();
        }
        if self.recent.back().is_none_or(|(_, last)| *last != target) {
            if self.recent.len() >= MAX_RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((ts, target));
        }
        keep(&mut self.uids, uid);
        let within: BTreeSet<HostId> = self.recent.iter().map(|(_, target)| *target).collect();
        if within.len() < least {
            return false;
        }
        self.widest = self.widest.max(within.len());
        let room = MAX_REACHED.saturating_sub(self.reached.len());
        self.reached.extend(within.into_iter().take(room));
        let first = self.span.map_or_else(|| self.recent.front().map_or(ts, |(at, _)| *at), |(first, _)| first);
        self.span = Some((first, ts));
        true
    }
}

/// Acts remembered within a window: a sweep of more is one all the same.
const MAX_RECENT: usize = 64;
/// Machines named.
const MAX_REACHED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_many_machines_within_the_window() {
        for (what, gap_s, targets, expected) in [
            ("three in a minute", 30, [1, 2, 3], true),
            ("three in an hour", 1200, [1, 2, 3], false),
            ("two, one of them twice", 30, [1, 2, 1], false),
        ] {
            let mut fan = Fan::default();
            let mut swept = false;
            for (n, target) in (0..).zip(targets) {
                swept = fan.add(Timestamp::from_secs(n * gap_s), HostId(target), Uid([target, 0, 0]), 3, 600.0);
            }
            assert_eq!((swept, fan.span.is_some()), (expected, expected), "{what}");
        }
    }
}
