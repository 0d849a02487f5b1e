//! What machines would have done anyway: the chance that one contacts a destination after a mark although nobody led it.
//!
//! The larger of its own habit there and the calendar, what machines that nobody led did at that moment (detection.md §4.4).

use super::contacts::Contacts;
use super::coupling::{Asked, Exposed, LONGEST_S};
use super::crowd::{Around, WINDOWS_S};
use super::pairs::BIN_S;
use super::tails::negative_binomial;
use crate::base::stats::real;
use crate::profile::{HostId, Profiles, TenantId};
use std::collections::BTreeSet;

/// One machine towards one destination.
pub(super) struct Row {
    pub(super) host: HostId,
    /// The mark it was led by, else the latest; seconds from it to the contact.
    pub(super) exposed: u32,
    pub(super) lag_s: Option<u32>,
    /// Chance of a contact in ten minutes, by its own habit.
    own: f64,
    /// Hosts that turned there in each window after that mark, this and other machines led among them, and hosts active.
    around: Around,
    active: f64,
    /// Of those the share that nobody led, by window.
    others: [f64; 4],
    marks: f64,
    pub(super) goes_on: bool,
    pub(super) bins: f32,
}

impl Row {
    pub(super) fn of(
        host: HostId,
        tenant: TenantId,
        exposures: &[&Exposed],
        pooled: f64,
        contacts: &Contacts,
        ask: &Asked<'_>,
    ) -> Self {
        let found = exposures.iter().filter_map(|e| Some((*e, e.led.iter().find(|led| led.tenant == tenant)?)));
        let led = found.min_by_key(|(e, led)| led.at.saturating_sub(e.at));
        let flows_now = ask.usual.tie(host, tenant).map_or(0, |tie| tie.flows);
        let (flows, bins) = match (led, exposures.last()) {
            (Some((e, led)), _) => (led.flows, e.bins),
            (None, Some(e)) => (flows_now, e.bins),
            (None, None) => (flows_now, 0.0),
        };
        let own = (f64::from(flows) + SHRINK_BINS * pooled) / (f64::from(bins) + SHRINK_BINS);
        let since = f64::from((contacts.bins_of(host) - bins).max(0.0));
        let more = led.map_or(0, |(_, led)| flows_now.saturating_sub(led.flows).saturating_sub(1));
        let least = ask.rule.goes_on_contacts;
        let goes_on =
            more >= least && negative_binomial(own * since, ask.rule.sweep_spread, more) <= ask.rule.goes_on_p;
        Self {
            host,
            exposed: led.map(|(e, _)| e.at).or_else(|| exposures.last().map(|e| e.at)).unwrap_or(0),
            lag_s: led.map(|(e, led)| led.at.saturating_sub(e.at)),
            own: own.min(1.0),
            around: led.map_or([0; 4], |(_, led)| led.around),
            active: led.map_or(0.0, |(_, led)| f64::from(led.active)),
            others: [0.0; 4],
            marks: real(exposures.len()),
            goes_on,
            bins,
        }
    }

    /// Chance of a contact within the scale after any of its marks: the larger of habit and calendar.
    pub(super) fn usual(&self, scale_s: u32) -> f64 {
        let steady = 1.0 - (1.0 - self.own.min(0.999_999)).powf(f64::from(scale_s) / f64::from(BIN_S));
        let mut windows = WINDOWS_S.iter().zip(self.others);
        let (window, others) = windows.find(|(window, _)| **window >= scale_s).unwrap_or((&LONGEST_S, self.others[3]));
        let calendar = others * f64::from(scale_s) / f64::from(*window);
        let one = steady.max(calendar).min(1.0);
        (1.0 - (1.0 - one).powf(self.marks)).clamp(LEAST_Q, MOST_Q)
    }
}

/// What others did after each mark, the machines led left out. Who was led nowhere is taken to have had the same chance
/// as those who were, on average.
pub(super) fn calendar(rows: &mut [Row]) {
    let mut met: Vec<u32> = rows.iter().filter_map(|row| Some(row.exposed.saturating_add(row.lag_s?))).collect();
    met.sort_unstable();
    let machines = real(rows.len());
    let mut mean = [0.0; 4];
    for row in rows.iter_mut().filter(|row| row.lag_s.is_some()) {
        let from = met.partition_point(|at| *at < row.exposed / 60 * 60);
        for (at, window) in WINDOWS_S.iter().enumerate() {
            let to = met.partition_point(|at| *at / 60 <= row.exposed.saturating_add(*window) / 60);
            let around = row.around.get(at).map_or(0.0, |hosts| f64::from(*hosts));
            let others = (around - real(to.saturating_sub(from))).max(0.0);
            let share = (others / (row.active - machines).max(others).max(1.0)).min(1.0);
            if let (Some(own), Some(sum)) = (row.others.get_mut(at), mean.get_mut(at)) {
                *own = share;
                *sum += share / real(met.len());
            }
        }
    }
    rows.iter_mut().filter(|row| row.lag_s.is_none()).for_each(|row| row.others = mean);
}

/// Flows in ten minutes of activity of the destination's users, those that were exposed left out.
pub(super) fn pooled(tenant: TenantId, rows: &[(HostId, Vec<&Exposed>)], contacts: &Contacts, usual: &Profiles) -> f64 {
    let Some(owner) = usual.tenant(tenant) else { return 0.0 };
    let exposed: BTreeSet<HostId> = rows.iter().map(|(host, _)| *host).collect();
    let others = owner.users.iter().map(|(host, _)| *host).filter(|host| !exposed.contains(host));
    let (mut flows, mut bins, mut users) = (0.0, 0.0, 0_u32);
    for host in others {
        flows += usual.tie(host, tenant).map_or(0.0, |tie| f64::from(tie.flows));
        bins += f64::from(contacts.bins_of(host));
        users += 1;
    }
    // A tenth of the fleet that uses it makes a tenth of that rate.
    let share = f64::from(owner.used_by()) / f64::from(usual.fleet().max(1));
    if users == 0 || bins <= 0.0 { 0.0 } else { flows / bins * share.min(1.0) }
}

/// Bins of pooled experience added to each host's own (κ of detection.md §4.4).
const SHRINK_BINS: f64 = 10.0;
/// Bounds of a usual rate (detection.md §4.4).
const LEAST_Q: f64 = 1e-5;
const MOST_Q: f64 = 0.999;
