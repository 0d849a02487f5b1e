//! The web side of a live sensor: windows onto the analysis, what the board says as metrics, and what must hold.

use super::clock;
use super::shown::{Counters, Windows};
use crate::alert::Rules;
use crate::api::{self, ApiError, Check, Probe, Published, Running, Settings, Shared};
use crate::intel::destination_classes;
use crate::output::metrics::{
    Component, Configured, Counts, DecodeReason, Delivery, Interface, LossStage, Metrics, Output, Queue, RuleKind,
};
use crate::output::{Board, Phase};
use std::sync::{Arc, Mutex, PoisonError};

/// The web side at work; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Web {
    /// Where the analysis shows what it sees.
    pub(crate) windows: Windows,
    /// Stems of rules in the order of the metrics' labels.
    pub(crate) detectors: Vec<Box<str>>,
    /// Where it listens.
    pub(crate) running: Running,
}

/// Listens for readers of a sensor that captures on `interfaces`, follows `rules` and writes what it does on `board`.
pub(crate) fn web(settings: &Settings, rules: &Rules, interfaces: &[String], board: &Board) -> Result<Web, ApiError> {
    let detectors: Vec<Box<str>> = rules.texts().map(|(stem, _)| stem.into()).collect();
    let configured = Configured {
        interfaces: interfaces.iter().map(|name| name.as_str().into()).collect(),
        detectors: detectors.clone(),
        outputs: vec![LOG.into()],
        feeds: Vec::new(),
        classes: destination_classes().iter().map(|class| (*class).into()).collect(),
    };
    let shared = Arc::new(Shared::new(Box::new(Watch { board: board.clone() })));
    let counters: Arc<Published<Counters>> = Arc::default();
    let gauges = Gauges { board: board.clone(), rules: detectors.len(), seen: Mutex::default() };
    let sources: Vec<Arc<dyn Counts>> = vec![Arc::clone(&counters) as Arc<dyn Counts>, Arc::new(gauges)];
    let running = api::start(settings, Arc::clone(&shared), configured, sources)?;
    Ok(Web { windows: Windows { shared, counters }, detectors, running })
}

/// What must hold, and what the sensor says of itself.
struct Watch {
    board: Board,
}

impl Probe for Watch {
    fn checks(&self) -> Vec<Check> {
        let status = self.board.read();
        let down: Vec<&str> = status.interfaces.iter().filter(|i| !i.up).map(|i| i.name.as_str()).collect();
        let capture = match status.phase {
            Phase::Capturing if down.is_empty() => None,
            Phase::Capturing => Some(format!("down: {}", down.join(", "))),
            Phase::Starting => Some("not captured from yet".to_owned()),
            Phase::Stopping | Phase::Stopped => Some("no longer captured from".to_owned()),
        };
        vec![Check { name: "capture", failing: capture }, Check { name: "log", failing: status.log.failing }]
    }

    fn status(&self) -> serde_json::Value {
        serde_json::to_value(self.board.read()).unwrap_or_default()
    }
}

/// The board as metrics.
struct Gauges {
    board: Board,
    rules: usize,
    /// By interface: packets at the scrape that saw the last change, and the newest stamp then.
    seen: Mutex<Vec<(u64, f64)>>,
}

impl Counts for Gauges {
    #[expect(clippy::cast_precision_loss, reason = "the exposition format knows floating point only")]
    fn fill(&self, into: &mut Metrics) {
        let status = self.board.read();
        let seconds = |ns: i64| ns as f64 / 1e9;
        into.config_last_reload_successful.set((), 1.0);
        into.config_last_reload_success_timestamp_seconds.set((), seconds(status.started_ns));
        into.rules_loaded.set((RuleKind::Builtin,), self.rules as f64);
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
        for (reason, count) in &status.packets.undecoded {
            into.decode_errors_total.add((decode_reason(reason),), *count);
        }
        if let Some(event) = status.analysis.event_ns {
            into.pipeline_lag_seconds.set((), (seconds(clock::wall().0) - seconds(event)).max(0.0));
        }
        into.pipeline_queue_entries.count((Queue::Observations,), status.queue.observation_batches);
        into.pipeline_queue_limit_entries.count((Queue::Observations,), super::live::BATCHES as u64);
        into.memory_used_bytes.count((Component::Queue,), status.queue.bytes);
        into.memory_limit_bytes.count((Component::Queue,), status.queue.capacity_bytes);
        into.memory_used_bytes.count((Component::Process,), resident());
        into.flow_table_entries.count((), status.flows.active);
        into.flow_table_limit_entries.count((), super::pipeline::MAX_FLOWS as u64);
        let log = Output(0);
        into.output_events_total.count((log, Delivery::Ok), status.log.records);
        into.output_events_total.count((log, Delivery::Dropped), status.log.lost);
        into.output_queue_entries.count((log,), status.log.waiting);
        if status.log.failing.is_none() {
            into.output_last_success_timestamp_seconds.set((log,), seconds(status.updated_ns));
        }
    }
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

/// The records in the log folder, as an output.
const LOG: &str = "log";
/// Of every Linux this runs on; larger pages would show as less memory, `process_resident_memory_bytes` as the truth.
const PAGE_BYTES: u64 = 4096;
