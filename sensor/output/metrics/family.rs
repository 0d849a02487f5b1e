//! One metric with all its series, each of them there from the start.

use super::labels::{Configured, Dimension, Labels};
use hdrhistogram::Histogram;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram as Shown, LabelPair, Metric, MetricFamily, MetricType};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The values of one counter or gauge: a dense array over the product of its labels' sets.
#[derive(Clone, Debug)]
pub(crate) struct Family<L> {
    sizes: Vec<usize>,
    values: Vec<f64>,
    labels: PhantomData<L>,
}

impl<L: Labels> Family<L> {
    pub(super) fn new(configured: &Configured) -> Self {
        let sizes = sizes(L::DIMENSIONS, configured);
        Self { values: vec![0.0; sizes.iter().product()], sizes, labels: PhantomData }
    }

    /// Sets a series.
    pub(crate) fn set(&mut self, labels: L, value: f64) {
        if let Some(known) = self.values.get_mut(labels.position(&self.sizes)) {
            *known = value;
        }
    }

    /// Sets a series to a count; beyond 2^53 a scrape is off by parts in 10^16.
    #[expect(clippy::cast_precision_loss, reason = "the exposition format knows floating point only")]
    pub(crate) fn count(&mut self, labels: L, value: u64) {
        self.set(labels, value as f64);
    }

    /// Adds a count to a series.
    #[expect(clippy::cast_precision_loss, reason = "the exposition format knows floating point only")]
    pub(crate) fn add(&mut self, labels: L, value: u64) {
        if let Some(known) = self.values.get_mut(labels.position(&self.sizes)) {
            *known += value as f64;
        }
    }

    pub(super) fn family(&self, name: &str, help: &str, kind: MetricType, configured: &Configured) -> MetricFamily {
        let metric = |(at, value): (usize, &f64)| {
            let mut metric = Metric::from_label(pairs(L::DIMENSIONS, &self.sizes, configured, at));
            if kind == MetricType::COUNTER {
                let mut counter = Counter::default();
                counter.set_value(*value);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(*value);
                metric.set_gauge(gauge);
            }
            metric
        };
        family(name, help, kind, self.values.iter().enumerate().map(metric).collect())
    }
}

/// How long something took, each time: any bucket can be asked for later.
///
/// Two significant digits (1 %) from a microsecond to three hours, about 30 kB. What is longer counts as three hours.
#[derive(Clone)]
pub(crate) struct Latency {
    seen: Option<Histogram<u64>>,
    sum_s: f64,
}

impl Default for Latency {
    fn default() -> Self {
        // Bounds that are constants and right; without a histogram nothing would be counted, and a test would tell.
        Self { seen: Histogram::new_with_bounds(1, LONGEST_US, 2).ok(), sum_s: 0.0 }
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latency({} times, {} s)", self.times(), self.sum_s)
    }
}

impl Latency {
    /// Takes in one.
    pub(crate) fn record(&mut self, took: Duration) {
        if let Some(seen) = &mut self.seen {
            seen.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
            self.sum_s += took.as_secs_f64();
        }
    }

    /// How many there were.
    pub(crate) fn times(&self) -> u64 {
        self.seen.as_ref().map_or(0, Histogram::len)
    }

    /// How many took at most each of `bounds_s` (seconds, ascending).
    pub(crate) fn classic(&self, bounds_s: &[f64]) -> Classic {
        let mut at_most = Vec::with_capacity(bounds_s.len());
        let mut recorded = self.seen.iter().flat_map(|seen| seen.iter_recorded()).peekable();
        let mut count = 0_u64;
        for bound in bounds_s {
            let bound_us = (bound * 1e6).round();
            #[expect(clippy::cast_precision_loss, reason = "three hours of microseconds are exact")]
            while let Some(step) = recorded.next_if(|step| step.value_iterated_to() as f64 <= bound_us * DIGITS) {
                count = count.saturating_add(step.count_since_last_iteration());
            }
            at_most.push(count);
        }
        Classic { at_most, count: self.times(), sum_s: self.sum_s }
    }
}

/// A histogram as Prometheus has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Classic {
    /// Cumulative, one a bound.
    pub(crate) at_most: Vec<u64>,
    pub(crate) count: u64,
    pub(crate) sum_s: f64,
}

/// The values of one histogram.
#[derive(Clone, Debug)]
pub(crate) struct Distribution<L> {
    sizes: Vec<usize>,
    values: Vec<Classic>,
    bounds_s: &'static [f64],
    labels: PhantomData<L>,
}

impl<L: Labels> Distribution<L> {
    pub(super) fn new(configured: &Configured, bounds_s: &'static [f64]) -> Self {
        let sizes = sizes(L::DIMENSIONS, configured);
        let none = Classic { at_most: vec![0; bounds_s.len()], count: 0, sum_s: 0.0 };
        Self { values: vec![none; sizes.iter().product()], sizes, bounds_s, labels: PhantomData }
    }

    /// Sets a series to what was recorded.
    pub(crate) fn set(&mut self, labels: L, latency: &Latency) {
        if let Some(known) = self.values.get_mut(labels.position(&self.sizes)) {
            *known = latency.classic(self.bounds_s);
        }
    }

    pub(super) fn family(&self, name: &str, help: &str, kind: MetricType, configured: &Configured) -> MetricFamily {
        let metric = |(at, value): (usize, &Classic)| {
            let mut shown = Shown::default();
            shown.set_sample_count(value.count);
            shown.set_sample_sum(value.sum_s);
            let bucket = |(bound, count): (&f64, &u64)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(*bound);
                bucket.set_cumulative_count(*count);
                bucket
            };
            shown.set_bucket(self.bounds_s.iter().zip(&value.at_most).map(bucket).collect());
            let mut metric = Metric::from_label(pairs(L::DIMENSIONS, &self.sizes, configured, at));
            metric.set_histogram(shown);
            metric
        };
        family(name, help, kind, self.values.iter().enumerate().map(metric).collect())
    }
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn sizes(dimensions: &[Dimension], configured: &Configured) -> Vec<usize> {
    dimensions.iter().map(|dimension| dimension.len(configured)).collect()
}

/// Names and values of the labels at a position.
fn pairs(dimensions: &[Dimension], sizes: &[usize], configured: &Configured, at: usize) -> Vec<LabelPair> {
    let mut rest = at;
    let mut pairs: Vec<LabelPair> = dimensions
        .iter()
        .zip(sizes)
        .rev()
        .map(|(dimension, size)| {
            let mut pair = LabelPair::default();
            pair.set_name(dimension.label.to_owned());
            pair.set_value(dimension.value(configured, rest % size.max(&1)).to_owned());
            rest /= size.max(&1);
            pair
        })
        .collect();
    pairs.reverse();
    pairs
}

/// Three hours: longer than the last bucket of any histogram.
const LONGEST_US: u64 = 3 * 3600 * 1_000_000;
/// The histogram keeps two digits: a value as far above a bound as it can tell counts as the bound.
const DIGITS: f64 = 1.01;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_found_in_its_bucket() {
        let mut latency = Latency::default();
        for ms in [0, 1, 5, 6, 24, 2000, 100_000_000] {
            latency.record(Duration::from_millis(ms));
        }
        let classic = latency.classic(&[0.001, 0.005, 0.025, 1.0, 3.0, 3600.0]);
        assert_eq!(classic.at_most, [2, 3, 5, 5, 6, 6]);
        assert_eq!(classic.count, 7, "what is longer than all bounds is counted");
        assert!((classic.sum_s - 100_002.036).abs() < 1e-6, "{}", classic.sum_s);
    }
}
