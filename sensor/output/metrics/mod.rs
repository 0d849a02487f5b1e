//! The Prometheus surface: one collector that is filled at scrape time from plain counters.
//!
//! Whoever counts something is a [`Counts`]; at a scrape each fills its part of a fresh [`Metrics`], in which every
//! series stands at 0. So no packet pays for an atomic, and no counter is born at 1, which `increase()` would miss.
//! Labels are closed sets: the number of series is known before the first packet.

mod family;
mod labels;
mod table;

#[cfg(test)]
mod tests;

pub(crate) use family::{Distribution, Family, Latency};
pub(crate) use labels::{
    BaselineState, BatchStage, Carrier, Class, Code, Component, Configured, DecodeReason, Delivery, DestRole, Detector,
    Dimension, Encap, Fault, Feed, FlowEnd, Handler, Interface, Labelled, Level, LossStage, Output, Queue, RoleGroup,
    RuleKind, SourceRole, Stored, Suppression, Way,
};
pub(crate) use table::{Described, Metrics, TABLE};

use labels::{Revision, Rustc, Version};
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, Registry, TextEncoder};
use std::fmt;
use std::sync::Arc;

/// Somebody who counts.
pub(crate) trait Counts: Send + Sync {
    /// Says which outputs and feeds there are now, where a reload has changed that. Everybody is asked before anybody fills
    /// in, so a scrape is of one mind.
    fn relabel(&self, _labels: &mut Configured) {}

    /// Fills in what is known now; a label's position is that in `labels`. Must not wait for the pipeline.
    fn fill(&self, labels: &Configured, into: &mut Metrics);
}

/// Everything that counts, and how it is shown.
pub(crate) struct Exposition {
    registry: Registry,
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exposition")
    }
}

/// The metrics cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetricsError {
    /// A name is used twice, or is none.
    #[error("cannot register the metrics: {0}")]
    Register(#[source] prometheus::Error),
    /// The text cannot be written.
    #[error("cannot write the metrics: {0}")]
    Encode(#[source] prometheus::Error),
}

impl Exposition {
    /// Shows what `sources` count, with labels as configured.
    pub(crate) fn new(configured: Configured, sources: Vec<Arc<dyn Counts>>) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let descriptors = TABLE.iter().map(Described::desc).collect::<Result<_, _>>();
        let table = Table { descriptors: descriptors.map_err(MetricsError::Register)?, configured, sources };
        registry.register(Box::new(table)).map_err(MetricsError::Register)?;
        registry.register(Box::new(ProcessCollector::for_self())).map_err(MetricsError::Register)?;
        Ok(Self { registry })
    }

    /// The exposition, text format 0.0.4.
    pub(crate) fn text(&self) -> Result<Vec<u8>, MetricsError> {
        let mut text = Vec::new();
        // What has no series (no interface, no output) is left out: a type line without a sample is an error.
        let families: Vec<_> = self.registry.gather().into_iter().filter(|f| !f.get_metric().is_empty()).collect();
        TextEncoder::new().encode(&families, &mut text).map_err(MetricsError::Encode)?;
        Ok(text)
    }
}

/// The one collector.
struct Table {
    descriptors: Vec<Desc>,
    /// As the sensor was started.
    configured: Configured,
    sources: Vec<Arc<dyn Counts>>,
}

impl Collector for Table {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptors.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut labels = self.configured.clone();
        self.sources.iter().for_each(|source| source.relabel(&mut labels));
        let mut now = Metrics::new(&labels);
        now.build_info.set((Version, Revision, Rustc), 1.0);
        self.sources.iter().for_each(|source| source.fill(&labels, &mut now));
        now.families(&labels)
    }
}
