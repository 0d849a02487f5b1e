//! What the board and the outputs say, as metrics.

use super::clock;
use super::live::Batches;
use super::receivers::Receivers;
use crate::output::metrics::{
    Carrier, Component, Configured, Counts, DecodeReason, Delivery, Detector, Encap, Fault, Feed, Interface,
    Labelled as _, LossStage, Metrics, Output, Queue, RuleKind, Stored,
};
use crate::output::{Board, Status};
use std::sync::{Mutex, PoisonError};

/// The board as metrics.
pub(super) struct Gauges {
    board: Board,
    receivers: Receivers,
    batches: Batches,
    /// By interface: packets at the scrape that saw the last change, and the newest stamp then.
    seen: Mutex<Vec<(u64, f64)>>,
}

impl Gauges {
    pub(super) fn new(board: Board, receivers: Receivers, batches: Batches) -> Self {
        Self { board, receivers, batches, seen: Mutex::default() }
    }
}

impl Counts for Gauges {
    /// A reload adds and takes away outputs and feeds; the board knows none before the sensor has begun.
    fn relabel(&self, labels: &mut Configured) {
        labels.outputs.truncate(1);
        labels.outputs.extend(self.receivers.status().into_iter().map(|output| output.name));
        let feeds: Vec<Box<str>> = self.board.read().config.feeds.into_iter().map(|feed| feed.name.into()).collect();
        if !feeds.is_empty() {
            labels.feeds = feeds;
        }
    }

    fn fill(&self, labels: &Configured, into: &mut Metrics) {
        let status = self.board.read();
        config(&status, labels, into);
        self.capture(&status, into);
        self.outputs(&status, labels, into);
        decoded(&status, into);
        for (stem, count) in &status.analysis.detector_panics {
            if let Some(at) = labels.detectors.iter().position(|known| **known == **stem) {
                into.detector_errors_total.count((Detector(at),), *count);
            }
        }
        faults(&status, into);
        for store in &status.stores {
            let Some(kind) = Stored::called(&store.kind) else { continue };
            into.store_bytes.count((kind,), store.bytes);
            into.store_limit_bytes.count((kind,), store.limit_bytes);
            into.store_oldest_record_timestamp_seconds.set((kind,), store.oldest_s.unwrap_or(0.0));
        }
        for (stage, latency) in self.batches.read() {
            into.pipeline_batch_duration_seconds.set((stage,), &latency);
        }
        into.pipeline_queue_entries.count((Queue::Packets,), status.queue.packet_batches);
        into.pipeline_queue_limit_entries.count((Queue::Packets,), status.queue.packet_batches_limit);
        if let Some(event) = status.analysis.event_ns {
            into.pipeline_lag_seconds.set((), (seconds(clock::wall().0) - seconds(event)).max(0.0));
        }
        into.pipeline_queue_entries.count((Queue::Observations,), status.queue.observation_batches);
        into.pipeline_queue_limit_entries.count((Queue::Observations,), super::live::BATCHES as u64);
        into.memory_used_bytes.count((Component::Queue,), status.queue.bytes);
        into.memory_limit_bytes.count((Component::Queue,), status.queue.capacity_bytes);
        into.memory_used_bytes.count((Component::Process,), resident());
        into.baseline_index_pruned_pairs_total.count((), status.analysis.index_pruned);
        into.flow_table_entries.count((), status.flows.active);
        into.flow_table_limit_entries.count((), super::pipeline::MAX_FLOWS as u64);
    }
}

impl Gauges {
    fn capture(&self, status: &Status, into: &mut Metrics) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.resize(status.interfaces.len(), (0, 0.0));
        for (at, (one, last)) in status.interfaces.iter().zip(seen.iter_mut()).enumerate() {
            let interface = Interface(at);
            // The board knows one newest stamp; whose packets grew since the scrape before had it.
            if let Some(newest) = status.packets.last_ns.filter(|_| one.delivered > last.0) {
                *last = (one.delivered, seconds(newest));
            }
            into.capture_up.set((interface,), f64::from(u8::from(one.up)));
            into.capture_packets_total.count((interface,), one.delivered);
            into.capture_bytes_total.count((interface,), one.delivered_bytes);
            into.capture_last_packet_timestamp_seconds.set((interface,), last.1);
            for (stage, lost) in [
                (LossStage::Nic, one.nic_dropped),
                (LossStage::Kernel, one.kernel_dropped),
                (LossStage::Queue, one.shed_first),
                (LossStage::Shed, one.shed_bulk),
            ] {
                into.capture_dropped_packets_total.count((interface, stage), lost);
            }
        }
        // Counted where the packets of all interfaces have become one stream: shown at the first.
        let first = Interface(0);
        into.capture_truncated_packets_total.count((first,), status.packets.truncated);
        into.capture_duplicate_packets_total.count((first,), status.packets.duplicates);
        into.capture_one_way_flows_total.count((first,), status.flows.one_way);
    }

    fn outputs(&self, status: &Status, labels: &Configured, into: &mut Metrics) {
        let log = Output(0);
        into.output_events_total.count((log, Delivery::Ok), status.log.records);
        into.output_events_total.count((log, Delivery::Dropped), status.log.lost);
        into.output_queue_entries.count((log,), status.log.waiting);
        if status.log.failing.is_none() {
            into.output_last_success_timestamp_seconds.set((log,), seconds(status.updated_ns));
        }
        let (_, overlooked, _) = self.receivers.queue();
        for output in self.receivers.status() {
            // One that a reload adds while this is filled in is there at the next scrape.
            let Some(at) = labels.outputs.iter().position(|name| *name == output.name).map(Output) else { continue };
            into.output_events_total.count((at, Delivery::Ok), output.ok);
            into.output_events_total.count((at, Delivery::Retry), output.retry);
            // What the outbox had no room for reaches none of them.
            into.output_events_total.count((at, Delivery::Dropped), output.dropped.saturating_add(overlooked));
            into.output_queue_entries.count((at,), output.waiting);
            // Nothing waits and nothing is wrong: it is as good as told.
            let is_idle = output.waiting == 0 && output.trouble.is_none();
            let last = if is_idle { status.updated_ns } else { output.last_success.map_or(0, |ts| ts.0) };
            into.output_last_success_timestamp_seconds.set((at,), seconds(last));
        }
    }
}

fn config(status: &Status, labels: &Configured, into: &mut Metrics) {
    let config = &status.config;
    into.config_last_reload_successful.set((), f64::from(u8::from(config.is_current)));
    into.config_last_reload_success_timestamp_seconds.set((), seconds(config.loaded_ns));
    into.rules_loaded.count((RuleKind::Builtin,), config.shipped_rules);
    into.rules_loaded.count((RuleKind::Local,), config.own_rules);
    for (at, name) in labels.feeds.iter().enumerate() {
        if let Some(feed) = config.feeds.iter().find(|feed| *feed.name == **name) {
            into.intel_entries.count((Feed(at),), feed.rows);
            into.intel_last_success_timestamp_seconds.set((Feed(at),), seconds(feed.read_ns));
        }
    }
}

fn decoded(status: &Status, into: &mut Metrics) {
    let packets = &status.packets;
    for (reason, count) in &packets.undecoded {
        into.decode_errors_total.add((decode_reason(reason),), *count);
    }
    for (carrier, count) in packets.carried.iter().filter_map(|(name, n)| Some((Carrier::called(name)?, *n))) {
        into.decode_packets_total.count((carrier,), count);
    }
    for (encap, count) in packets.encapsulated.iter().filter_map(|(name, n)| Some((Encap::called(name)?, *n))) {
        into.decode_encapsulated_packets_total.count((encap,), count);
    }
}

fn faults(status: &Status, into: &mut Metrics) {
    let (faults, detectors) = (&status.faults, &status.analysis.detector_panics);
    let downs = status.interfaces.iter().map(|i| i.downs).fold(0, u64::saturating_add);
    let panics = detectors.iter().map(|(_, count)| *count).fold(0, u64::saturating_add);
    for (fault, count) in [
        (Fault::PacketPanic, faults.packet_panics),
        (Fault::AnalysisPanic, faults.analysis_panics),
        (Fault::DetectorPanic, panics),
        (Fault::ClockStep, faults.clock_jumps),
        (Fault::InterfaceDown, downs),
        (Fault::BaselineSetAside, faults.baselines_set_aside),
        (Fault::BaselineUnsaved, faults.baseline_unsaved),
        (Fault::ReloadRefused, status.config.refused),
    ] {
        into.faults_total.count((fault,), count);
    }
}

#[expect(clippy::cast_precision_loss, reason = "the exposition format knows floating point only")]
fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

/// Resident memory of this process, from `/proc/self/statm`; 0 where there is none.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<u64> = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or_default().saturating_mul(PAGE_BYTES)
}

/// The label of a decoder's reason: `ipv4_malformed`, `ethertype_0x88cc`, …
fn decode_reason(text: &str) -> DecodeReason {
    let known = REASONS.iter().find(|(prefix, _)| text.starts_with(prefix));
    known.map_or(DecodeReason::Other, |(_, reason)| *reason)
}

const REASONS: &[(&str, DecodeReason)] = &[
    ("link_type", DecodeReason::Link),
    ("address_family", DecodeReason::Link),
    ("ethertype", DecodeReason::Ethernet),
    ("ethernet", DecodeReason::Ethernet),
    ("llc", DecodeReason::Ethernet),
    ("snap", DecodeReason::Ethernet),
    ("vlan", DecodeReason::Vlan),
    ("mpls", DecodeReason::Mpls),
    ("ppp", DecodeReason::Pppoe),
    ("wireless", DecodeReason::Wireless),
    ("arp", DecodeReason::Arp),
    ("ipv4", DecodeReason::Ipv4),
    ("ipv6", DecodeReason::Ipv6),
    ("fragment", DecodeReason::Fragment),
    ("tcp", DecodeReason::Tcp),
    ("udp", DecodeReason::Udp),
    ("icmp", DecodeReason::Icmp),
    ("sctp", DecodeReason::Sctp),
    ("too_deep", DecodeReason::TooDeep),
];

/// Of every Linux this runs on; larger pages would show as less memory, `process_resident_memory_bytes` as the truth.
const PAGE_BYTES: u64 = 4096;
