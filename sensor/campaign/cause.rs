//! Common cause: was one server in contact with the cases shortly before, beyond what it usually is?
//!
//! `detection.md` §4.4. Cases are chosen by egress evidence alone. For each candidate server and time scale the
//! exposures of the cases are held against the larger of two usual rates: how often each host is in contact with that
//! server at other times (itself), and how many other hosts the server was in contact with at that moment (calendar).
//! The number exposed is then a Poisson-binomial; Holm over the servers; the likelihood ratio ranks them and gives each
//! case the probability that this server caused it.

use super::CauseRule;
use super::exposure::{BIN_S, Case, Exposures};
use crate::base::stats::poisson_binomial_tail;
use crate::profile::HostId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A server that may be behind the cases.
#[derive(Clone, Debug)]
pub(crate) struct Suspect {
    pub(crate) host: HostId,
    /// Cases in contact with it within the scale, and how many that would usually be.
    pub(crate) exposed: u32,
    pub(crate) expected: f64,
    pub(crate) scale_s: f64,
    /// After the number of scales tried, and after Holm over the candidates.
    pub(crate) p: f64,
    pub(crate) p_adjusted: f64,
    pub(crate) llr: f64,
    /// Probability for each case that this server caused it.
    pub(crate) attribution: BTreeMap<HostId, f64>,
}

/// The test's outcome for one set of cases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause {
    pub(crate) cases: u32,
    pub(crate) candidates: u32,
    /// Most likely first.
    pub(crate) suspects: Vec<Suspect>,
    /// Every case's host was watched long enough to know what is usual for it.
    pub(crate) baseline: bool,
}

/// Tests all servers that were in contact with at least two of the cases.
pub(crate) fn common_cause(cases: &[&Case], exposures: &Exposures, fleet: u32, rule: &CauseRule) -> Cause {
    let cases = cases.get(..cases.len().min(rule.max_cases)).unwrap_or_default();
    let hosts: BTreeSet<HostId> = cases.iter().map(|case| case.host).collect();
    let mut candidates: BTreeMap<HostId, u32> = BTreeMap::new();
    for case in cases {
        for exposure in case.exposures.iter().filter(|e| !hosts.contains(&e.peer)) {
            *candidates.entry(exposure.peer).or_default() += 1;
        }
    }
    candidates.retain(|_, exposed| *exposed >= 2);
    let others = f64::from(fleet).max(1.0) - f64::from(u32::try_from(hosts.len()).unwrap_or(u32::MAX));
    let test = |server: &HostId| {
        let scales = rule.scales_s.iter();
        let tested = scales.map(|scale| at_scale(*server, *scale, cases, &hosts, exposures, others.max(1.0), rule));
        tested.min_by(|a, b| a.p.total_cmp(&b.p).then(b.llr.total_cmp(&a.llr)))
    };
    let mut suspects: Vec<Suspect> = candidates.keys().filter_map(test).collect();
    let tried = f64::from(u32::try_from(rule.scales_s.len()).unwrap_or(u32::MAX));
    suspects.iter_mut().for_each(|suspect| suspect.p = (suspect.p * tried).min(1.0));
    holm(&mut suspects);
    suspects.sort_by(|a, b| b.llr.total_cmp(&a.llr).then(a.p.total_cmp(&b.p)).then(a.host.cmp(&b.host)));
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Cause {
        cases: count(cases.len()),
        candidates: count(suspects.len()),
        suspects,
        baseline: !cases.is_empty() && cases.iter().all(|case| case.active_bins >= rule.baseline_bins),
    }
}

fn at_scale(
    server: HostId,
    scale_s: f64,
    cases: &[&Case],
    hosts: &BTreeSet<HostId>,
    exposures: &Exposures,
    others: f64,
    rule: &CauseRule,
) -> Suspect {
    let span = Duration::from_secs_f64(scale_s);
    let (mut usual, mut exposed) = (Vec::with_capacity(cases.len()), Vec::with_capacity(cases.len()));
    for case in cases {
        let exposure = case.exposures.iter().find(|e| e.peer == server);
        exposed.push(exposure.is_some_and(|e| e.lag_s <= scale_s));
        let bins = f64::from(exposure.map_or(0, |e| e.bins));
        let pooled = exposure.map_or(0.0, |e| e.pooled);
        let own = (bins + rule.shrink_bins * pooled) / (f64::from(case.active_bins) + rule.shrink_bins);
        let own = own.clamp(0.0, 0.999);
        #[expect(clippy::cast_precision_loss, reason = "600")]
        let own = 1.0 - (1.0 - own).powf(scale_s / BIN_S as f64);
        let calendar = f64::from(exposures.reached(server, case.ts, span, hosts)) / others;
        usual.push(own.max(calendar).clamp(1e-5, 0.999));
    }
    let count = exposed.iter().filter(|x| **x).count();
    let p = poisson_binomial_tail(&usual, count);
    let (share, llr) = mixture(&exposed, &usual);
    let attribution = cases
        .iter()
        .zip(exposed.iter().zip(&usual))
        .map(|(case, (x, q))| (case.host, if *x { share / (share + (1.0 - share) * q) } else { 0.0 }))
        .collect();
    Suspect {
        host: server,
        exposed: u32::try_from(count).unwrap_or(u32::MAX),
        expected: usual.iter().sum(),
        scale_s,
        p,
        p_adjusted: p,
        llr,
        attribution,
    }
}

/// Share of cases the server caused, by expectation maximisation, and the log likelihood ratio against none.
fn mixture(exposed: &[bool], usual: &[f64]) -> (f64, f64) {
    let n = f64::from(u32::try_from(exposed.len().max(1)).unwrap_or(u32::MAX));
    let mut share = 0.5_f64;
    for _ in 0..EM_STEPS {
        let caused = exposed.iter().zip(usual).map(|(x, q)| if *x { share / (share + (1.0 - share) * q) } else { 0.0 });
        share = (caused.sum::<f64>() / n).clamp(1e-6, 1.0 - 1e-6);
    }
    let llr = exposed
        .iter()
        .zip(usual)
        .map(|(x, q)| if *x { ((share + (1.0 - share) * q) / q).ln() } else { (1.0 - share).ln() });
    (share, llr.sum())
}

/// Holm's step-down over the candidates.
fn holm(suspects: &mut [Suspect]) {
    suspects.sort_by(|a, b| a.p.total_cmp(&b.p).then(a.host.cmp(&b.host)));
    let mut left = u32::try_from(suspects.len()).unwrap_or(u32::MAX);
    let mut floor = 0.0_f64;
    for suspect in suspects {
        floor = floor.max((suspect.p * f64::from(left)).min(1.0));
        suspect.p_adjusted = floor;
        left = left.saturating_sub(1);
    }
}

/// Enough for two digits of the share.
const EM_STEPS: usize = 50;
