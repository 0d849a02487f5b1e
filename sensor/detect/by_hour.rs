//! Counts by hour of the day, working days and weekends apart: when something is usually done, and how seldom at an hour.

use crate::profile::Profiles;

/// An hour: its day, the kind of day, and the hour of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hour {
    pub(super) day: i32,
    /// 1 on a weekend.
    pub(super) kind: usize,
    pub(super) hour: usize,
}

impl Hour {
    /// From hours since the epoch.
    pub(super) fn of(hour: i64) -> Self {
        let day = i32::try_from(hour.div_euclid(24)).unwrap_or(i32::MAX);
        let hour = usize::try_from(hour.rem_euclid(24)).unwrap_or(0);
        Self { day, kind: kind_of(day), hour }
    }
}

/// 1 for a weekend, 0 for a working day.
pub(super) fn kind_of(day: i32) -> usize {
    usize::from(Profiles::is_weekend(day))
}

/// Counts of both kinds of days.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct ByHour([[f64; 24]; 2]);

impl ByHour {
    pub(super) fn add(&mut self, at: Hour) {
        if let Some(count) = self.0.get_mut(at.kind).and_then(|hours| hours.get_mut(at.hour)) {
            *count += 1.0;
        }
    }

    pub(super) fn fade(&mut self, keep: f64) {
        self.0.iter_mut().flatten().for_each(|count| *count *= keep);
    }

    pub(super) fn all(&self) -> f64 {
        self.0.iter().flatten().sum()
    }

    /// The share counted in hours with at most as many for each day of their kind as this one, this one included: a rank
    /// in event space (`detection.md` §2.4). `days` are those counted of each kind; a kind without any says nothing.
    pub(super) fn as_seldom(&self, at: Hour, days: [f64; 2]) -> f64 {
        let rate = |count: f64, days: f64| if days > 0.0 { count / days } else { f64::INFINITY };
        let here = self.0.get(at.kind).and_then(|hours| hours.get(at.hour)).copied().unwrap_or(0.0);
        let here = rate(here, days.get(at.kind).copied().unwrap_or(0.0));
        let each = self.0.iter().zip(days).flat_map(|(hours, days)| hours.iter().map(move |count| (*count, days)));
        let seldom: f64 = each.filter(|(count, days)| rate(*count, *days) <= here).map(|(count, _)| count).sum();
        (seldom + 1.0) / (self.all() + 1.0)
    }
}
