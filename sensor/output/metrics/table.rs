//! The whole Prometheus surface of the sensor, as one table: name, labels, what it means.
//!
//! To add a metric: one line here, one panel in `grafana/`. Base units, `_total` for counters, what is used and what is
//! the limit as a pair. The prefix `yukue_` is put before every name.

use super::labels::{
    BaselineState, BatchStage, Carrier, Class, Code, Component, Configured, DecodeReason, Delivery, DestRole, Detector,
    Dimension, Encap, Fault, Feed, FlowEnd, Handler, Interface, Labels, Level, LossStage, Output, Queue, Revision,
    RoleGroup, RuleKind, Rustc, SourceRole, Stored, Suppression, Version, Way,
};
use super::{Distribution, Family};
use prometheus::core::Desc;
use prometheus::proto::{MetricFamily, MetricType};
use std::collections::HashMap;

/// One line of the table, for documentation and tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    /// With its prefix.
    pub(crate) name: &'static str,
    pub(crate) kind: MetricType,
    pub(crate) labels: &'static [Dimension],
    pub(crate) help: &'static str,
}

macro_rules! metrics {
    (@type counter [$($label:ty),*]) => { Family<($($label,)*)> };
    (@type gauge [$($label:ty),*]) => { Family<($($label,)*)> };
    (@type $bounds:ident [$($label:ty),*]) => { Distribution<($($label,)*)> };
    (@new counter $configured:ident) => { Family::new($configured) };
    (@new gauge $configured:ident) => { Family::new($configured) };
    (@new $bounds:ident $configured:ident) => { Distribution::new($configured, $bounds) };
    (@kind counter) => { MetricType::COUNTER };
    (@kind gauge) => { MetricType::GAUGE };
    (@kind $bounds:ident) => { MetricType::HISTOGRAM };
    ($($name:ident: $kind:ident [$($label:ty),*], $help:literal;)+) => {
        /// All metrics at one moment. A source of numbers fills in what it knows.
        #[derive(Clone, Debug)]
        pub(crate) struct Metrics {
            $(#[doc = $help] pub(crate) $name: metrics!(@type $kind [$($label),*]),)+
        }

        impl Metrics {
            /// Every series at 0.
            pub(crate) fn new(configured: &Configured) -> Self {
                Self { $($name: metrics!(@new $kind configured),)+ }
            }

            /// All families, in the table's order.
            pub(super) fn families(&self, configured: &Configured) -> Vec<MetricFamily> {
                vec![$(self.$name.family(
                    concat!("yukue_", stringify!($name)), $help, metrics!(@kind $kind), configured,
                )),+]
            }
        }

        /// The table, as data.
        pub(crate) const TABLE: &[Described] = &[$(Described {
            name: concat!("yukue_", stringify!($name)),
            kind: metrics!(@kind $kind),
            labels: <($($label,)*) as Labels>::DIMENSIONS,
            help: $help,
        }),+];
    };
}

metrics! {
    build_info: gauge [Version, Revision, Rustc], "1; which build this is.";
    config_last_reload_successful: gauge [], "Whether the last reload of the configuration succeeded.";
    config_last_reload_success_timestamp_seconds: gauge [], "When the configuration was last loaded with success.";
    rules_loaded: gauge [RuleKind], "Rules in force, by where they come from.";
    intel_entries: gauge [Feed], "Entries of a table or feed about the outside.";
    intel_last_success_timestamp_seconds: gauge [Feed], "When a table or feed was last read with success.";
    capture_up: gauge [Interface], "Whether the interface is there, up and captured from.";
    capture_packets_total: counter [Interface], "Packets read from the interface.";
    capture_bytes_total: counter [Interface], "Bytes of these packets on the wire.";
    capture_dropped_packets_total: counter [Interface, LossStage], "Packets lost before they were read, by where; shed is what the sensor chose to leave out.";
    capture_truncated_packets_total: counter [Interface], "Packets that were cut by snap length or mirror.";
    capture_duplicate_packets_total: counter [Interface], "Copies of packets that were seen within 20 ms.";
    capture_last_packet_timestamp_seconds: gauge [Interface], "Stamp of the newest packet; 0 before the first.";
    capture_one_way_flows_total: counter [Interface], "Flows of which one direction was not seen although it spoke.";
    decode_packets_total: counter [Carrier], "Packets understood, by what carries them.";
    decode_errors_total: counter [DecodeReason], "Frames that did not become a packet, by why.";
    decode_encapsulated_packets_total: counter [Encap], "Frames that were wrapped, by the wrapping.";
    pipeline_lag_seconds: gauge [], "Now minus the newest capture time that was analysed.";
    pipeline_queue_entries: gauge [Queue], "Batches waiting in a queue.";
    pipeline_queue_limit_entries: gauge [Queue], "Batches a queue holds at most.";
    pipeline_batch_duration_seconds: BATCH [BatchStage], "Time a stage took for one batch.";
    flow_table_entries: gauge [], "Flows open now.";
    flow_table_limit_entries: gauge [], "Flows the table holds at most.";
    flows_created_total: counter [Carrier], "Flows begun.";
    flows_ended_total: counter [FlowEnd], "Flows ended, by why; evicted ones made room in a full table.";
    faults_total: counter [Fault], "Troubles that were contained: the sensor went on, one packet, observation, save or reload poorer.";
    memory_used_bytes: gauge [Component], "Memory in use, measured for the process and estimated for its parts.";
    memory_limit_bytes: gauge [Component], "What a component may use at most; 0 where there is no limit.";
    egress_bytes_total: counter [SourceRole, Class, Way], "Payload bytes of ended flows from the site to the outside.";
    egress_flows_total: counter [SourceRole, Class, Way], "Ended flows between the site and the outside; in is begun outside.";
    lateral_bytes_total: counter [SourceRole, DestRole], "Payload bytes between two hosts of the site.";
    lateral_flows_total: counter [SourceRole, DestRole], "Conversations between two hosts of the site.";
    hosts_active: gauge [RoleGroup], "Hosts of the site that said something in the last hour.";
    destinations_new_total: counter [SourceRole, Class], "Destination owners that nobody of the site had met before.";
    detector_evaluations_total: counter [Detector], "Activities shown to a detector.";
    detector_errors_total: counter [Detector], "Times a detector failed and was contained.";
    detector_evaluation_duration_seconds: EVALUATION [], "Time all detectors took for one step of five minutes.";
    detector_tracked_entries: gauge [Detector], "Entries in a detector's tables.";
    detector_tracked_limit_entries: gauge [Detector], "Entries a detector's tables hold at most.";
    baseline_hosts: gauge [RoleGroup, BaselineState], "Hosts of the site, by how well they are known.";
    baseline_index_pruned_pairs_total: counter [], "Pairs of the index of who met whom that were let go of after 400 days.";
    alerts_total: counter [Detector, Level], "Alerts raised.";
    alerts_open: gauge [Detector, Level], "Alerts that nobody has acknowledged, closed or allowed.";
    alerts_suppressed_total: counter [Detector, Suppression], "Alerts and repeats nobody was told about, by why.";
    detection_lag_seconds: LAG [], "Event time from the last evidence to the alert.";
    output_events_total: counter [Output, Delivery], "Events given to an output, by how it took them.";
    output_queue_entries: gauge [Output], "Events waiting for an output.";
    output_last_success_timestamp_seconds: gauge [Output], "When an output last took an event.";
    store_bytes: gauge [Stored], "Bytes kept on disk.";
    store_limit_bytes: gauge [Stored], "Bytes that may be kept on disk; 0 where there is no limit.";
    store_oldest_record_timestamp_seconds: gauge [Stored], "The oldest record kept; 0 when there is none.";
    http_requests_total: counter [Handler, Code], "Requests to this endpoint.";
    http_request_duration_seconds: HTTP [Handler], "Time from a request's head to its answer.";
}

impl Described {
    /// The descriptor a registry wants.
    pub(super) fn desc(&self) -> Result<Desc, prometheus::Error> {
        let labels = self.labels.iter().map(|dimension| dimension.label.to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
    }
}

/// Bounds in seconds, `pipeline_batch_duration_seconds`.
const BATCH: &[f64] = &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
/// `detector_evaluation_duration_seconds`.
const EVALUATION: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];
/// `detection_lag_seconds`.
const LAG: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
/// `http_request_duration_seconds`.
const HTTP: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 5.0];
