//! What the sensor says of itself: one plain struct, filled by the engine once a batch and read by whoever shows it (the
//! status file, metrics, the API). Nothing here is about traffic's content.
//!
//! Counts are since the start and never go back. Accounting holds at any moment after a batch, an interface at a time:
//! `received` = `before_start` + `filtered` + `delivered` + `shed_bulk` + `shed_first` + packets still in the ring, and
//! what the interface saw = `received` + `kernel_dropped`.

use super::escape::shown;
use super::stored::StoreStatus;
use crate::base::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};

/// The sensor's own state.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// Wall clock, ns since the epoch.
    pub(crate) started_ns: i64,
    /// Wall clock when this was written, ns since the epoch.
    pub(crate) updated_ns: i64,
    pub(crate) phase: Phase,
    pub(crate) interfaces: Vec<InterfaceStatus>,
    pub(crate) queue: QueueStatus,
    pub(crate) packets: PacketStatus,
    pub(crate) flows: FlowStatus,
    pub(crate) analysis: AnalysisStatus,
    pub(crate) log: LogStatus,
    pub(crate) faults: FaultStatus,
    pub(crate) config: ConfigStatus,
    pub(crate) stores: Vec<StoreStatus>,
    pub(crate) detection_lag: LagStatus,
    /// Where alerts go besides the log.
    #[serde(default)]
    pub(crate) outputs: Vec<ReceiverStatus>,
}

/// One receiver of alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ReceiverStatus {
    pub(crate) name: String,
    /// Tellings it took.
    pub(crate) ok: u64,
    /// Tellings that wait for it, and that it will never get.
    pub(crate) waiting: u64,
    pub(crate) dropped: u64,
    /// Why it takes none now.
    pub(crate) trouble: Option<String>,
}

/// Where in its life the sensor is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    #[default]
    Starting,
    Capturing,
    /// What was captured is analysed and written to its end.
    Stopping,
    Stopped,
}

/// One interface, or one watched folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct InterfaceStatus {
    pub(crate) name: String,
    /// Whether it is up; a folder always is.
    pub(crate) up: bool,
    /// Times it went down.
    pub(crate) downs: u64,
    pub(crate) workers: u32,
    /// Packets that the kernel put into our rings.
    pub(crate) received: u64,
    /// Packets that found no room in a ring.
    pub(crate) kernel_dropped: u64,
    /// Packets that the interface itself lost since the start (drop and fifo columns of its receiving side).
    pub(crate) nic_dropped: u64,
    /// Packets that the interface received since the start, by its own count.
    pub(crate) nic_packets: u64,
    /// Captured while the workers still joined; some of them several times, so none is used.
    pub(crate) before_start: u64,
    /// Handed on to be analysed.
    pub(crate) delivered: u64,
    /// As on the wire, of the delivered ones.
    pub(crate) delivered_bytes: u64,
    /// Kept back by the filter expression, of those that the kernel's wider one let pass.
    pub(crate) filtered: u64,
    /// Bulk payload that was dropped because the analysis lagged.
    pub(crate) shed_bulk: u64,
    /// Control plane and first packets that were dropped because the queue was full.
    pub(crate) shed_first: u64,
    /// In the rings when the sensor stopped, and left there.
    pub(crate) left_in_ring: u64,
    /// Packets and bits of the latest second, of those handed on; 0 once it stops.
    #[serde(default)]
    pub(crate) packets_per_s: u64,
    #[serde(default)]
    pub(crate) bits_per_s: u64,
}

impl InterfaceStatus {
    /// Packets that came and were not analysed, whoever lost them.
    pub(crate) fn lost(&self) -> u64 {
        let all = [self.kernel_dropped, self.nic_dropped, self.shed_bulk, self.shed_first];
        all.into_iter().fold(0, u64::saturating_add)
    }
}

/// What waits between capture and analysis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct QueueStatus {
    /// Bytes that wait now.
    pub(crate) bytes: u64,
    /// The most that waited.
    pub(crate) peak_bytes: u64,
    /// Above half of it bulk is shed, at all of it everything.
    pub(crate) capacity_bytes: u64,
    /// Batches of packets that wait for their turn, and at most.
    pub(crate) packet_batches: u64,
    pub(crate) packet_batches_limit: u64,
    /// Batches of observations that wait for the analysis now.
    pub(crate) observation_batches: u64,
}

/// Decoding.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct PacketStatus {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) truncated: u64,
    /// Seen twice and removed.
    pub(crate) duplicates: u64,
    /// Later than the slack between capture points allows.
    pub(crate) late: u64,
    /// Not understood, by reason.
    pub(crate) undecoded: Vec<(String, u64)>,
    /// Understood, by what carries them.
    pub(crate) carried: Vec<(String, u64)>,
    /// Found within tags, labels and tunnels, by their name.
    pub(crate) encapsulated: Vec<(String, u64)>,
    /// Time of the latest packet, ns since the epoch; none before the first one.
    pub(crate) last_ns: Option<i64>,
}

/// Flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FlowStatus {
    pub(crate) active: u64,
    pub(crate) peak: u64,
    pub(crate) closed: u64,
    pub(crate) evicted: u64,
    /// Whose payload was not read, because too many were being read.
    pub(crate) unread: u64,
    pub(crate) one_way: u64,
    pub(crate) missed_bytes: u64,
    pub(crate) payload_bytes: u64,
}

/// The right side of the waist.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct AnalysisStatus {
    pub(crate) observations: u64,
    /// Event time that the analysis has reached, ns since the epoch.
    pub(crate) event_ns: Option<i64>,
    /// Alerts told the first time, by detector and severity.
    pub(crate) alerts: Vec<AlertCount>,
    /// Oddities, by name.
    pub(crate) weird: Vec<(String, u64)>,
    /// Panics of detectors, by stem.
    pub(crate) detector_panics: Vec<(String, u64)>,
    /// Pairs of the baseline's index that last met more than 400 days ago and were let go of.
    #[serde(default)]
    pub(crate) index_pruned: u64,
}

/// Alerts of one detector and severity.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct AlertCount {
    pub(crate) detector: String,
    pub(crate) severity: String,
    pub(crate) count: u64,
}

/// The log folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct LogStatus {
    pub(crate) folder: String,
    /// Records written, of all kinds.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) rotations: u64,
    /// Records that could not be written and were given up.
    pub(crate) lost: u64,
    /// Records that wait for a disk that takes none.
    pub(crate) waiting: u64,
    /// Why the last write failed, while it is so.
    pub(crate) failing: Option<String>,
    /// Frames in the recording.
    pub(crate) recorded: u64,
    /// Frames that could not be recorded.
    pub(crate) unrecorded: u64,
    /// Why the recording ended early.
    pub(crate) recording_failed: Option<String>,
}

/// What went wrong and was contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FaultStatus {
    /// Frames whose reading panicked; the frame is dropped, the sensor goes on.
    pub(crate) packet_panics: u64,
    /// Observations whose analysis panicked.
    pub(crate) analysis_panics: u64,
    /// Baselines that were damaged and set aside.
    pub(crate) baselines_set_aside: u64,
    /// Times what is known could not be saved.
    pub(crate) baseline_unsaved: u64,
    /// Jumps of the clock, back or forward.
    pub(crate) clock_jumps: u64,
    /// How far event time is ahead of the clock, because time does not go back, in seconds.
    pub(crate) clock_offset_s: f64,
}

/// What the operator wrote and is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ConfigStatus {
    /// Whether what was read last is in force.
    pub(crate) is_current: bool,
    /// When what is in force was read, ns since the epoch.
    pub(crate) loaded_ns: i64,
    pub(crate) reloads: u64,
    /// Reloads that changed nothing because something was wrong or implausible.
    pub(crate) refused: u64,
    /// What was wrong with the latest, until one succeeds.
    pub(crate) why: Option<String>,
    /// Parts that changed and are looked at only when the sensor starts.
    pub(crate) needs_restart: Vec<String>,
    /// SHA-256 of the rules in force.
    pub(crate) rules: String,
    pub(crate) shipped_rules: u64,
    pub(crate) own_rules: u64,
    /// Rows of each table and feed.
    pub(crate) feeds: Vec<FeedStatus>,
}

/// A table or feed about the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FeedStatus {
    pub(crate) name: String,
    pub(crate) rows: u64,
    /// When the operator's file was last written, or, for a shipped table, when the sensor read it; ns since the epoch.
    pub(crate) read_ns: i64,
}

/// From the last event of a claim to its being told, of alerts told the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct LagStatus {
    pub(crate) count: u64,
    pub(crate) sum_s: f64,
    pub(crate) p50_s: f64,
    pub(crate) p90_s: f64,
    pub(crate) p99_s: f64,
    pub(crate) max_s: f64,
    /// How many took at most [`LAG_BUCKETS_S`], one each: cumulative, as Prometheus counts.
    pub(crate) buckets: [u64; LAG_BUCKETS_S.len()],
}

/// Upper bounds of the lag's buckets, in seconds.
pub(crate) const LAG_BUCKETS_S: [f64; 8] = [1.0, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0, 3_600.0];

/// Where the newest [`Status`] is found. Written once a batch, never per packet; readers take a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<Mutex<Status>>);

impl Board {
    /// A copy of what it says now.
    pub(crate) fn read(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what it says.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Status {
    /// When its writer started.
    pub(crate) const fn started(&self) -> Timestamp {
        Timestamp(self.started_ns)
    }
}

/// The state in a few lines, for a person. With `now`, also whether it is up to date.
pub(crate) fn status_lines(status: &Status, now: Option<Timestamp>) -> String {
    let mut lines = Vec::new();
    let stale = now.map(|now| now.secs_since(Timestamp(status.updated_ns))).filter(|age| *age > STALE_S);
    let phase = match (status.phase, stale) {
        (Phase::Stopped, _) => "stopped".to_owned(),
        (phase, Some(age)) => {
            format!("{phase:?} when last heard of {age:.0} s ago; it does not run now").to_lowercase()
        }
        (phase, None) => format!("{phase:?}").to_lowercase(),
    };
    let (begin, end) = (status.started(), Timestamp(status.updated_ns));
    lines.push(format!(
        "yukue {} (pid {}): {phase}, {} since {begin}",
        status.version,
        status.pid,
        lasting(end.secs_since(begin))
    ));
    for of in &status.interfaces {
        let state = if of.up { "up" } else { "DOWN" };
        lines.push(format!(
            "{}: {state}, {}packets/s, {}bit/s, {} % lost; {} received, {} analysed, dropped: {} kernel, {} interface, \
             {} bulk, {} first; {} worker{}",
            shown(&of.name),
            scaled(of.packets_per_s),
            scaled(of.bits_per_s),
            percent(of.lost(), of.lost().saturating_add(of.delivered)),
            of.received,
            of.delivered,
            of.kernel_dropped,
            of.nic_dropped,
            of.shed_bulk,
            of.shed_first,
            of.workers,
            if of.workers == 1 { "" } else { "s" }
        ));
    }
    let queue = status.queue;
    let full = queue.bytes.saturating_mul(100).checked_div(queue.capacity_bytes).unwrap_or(0);
    let flows = status.flows;
    let ahead = status.faults.clock_offset_s;
    let quiet = status.packets.last_ns.map_or_else(
        || "no packet yet".to_owned(),
        |last| format!("latest packet {} ago", lasting((end.secs_since(Timestamp(last)) + ahead).max(0.0))),
    );
    lines.push(format!(
        "queue {full}% full; {} flows active, {} closed, {} evicted; {} observations; {quiet}",
        flows.active, flows.closed, flows.evicted, status.analysis.observations
    ));
    let alerts = |a: &AlertCount| format!("{} {} {}", a.count, a.severity, a.detector);
    let told: Vec<String> = status.analysis.alerts.iter().map(alerts).collect();
    let lag = status.detection_lag;
    lines.push(match told.is_empty() {
        true => "no alerts".to_owned(),
        false => {
            format!("alerts: {}; told after {:.1} s (median), {:.1} s at most", told.join(", "), lag.p50_s, lag.max_s)
        }
    });
    let log = &status.log;
    lines.push(match &log.failing {
        Some(why) => format!(
            "log {}: CANNOT BE WRITTEN ({}), {} records wait, {} lost",
            shown(&log.folder),
            shown(why),
            log.waiting,
            log.lost
        ),
        None => format!("log {}: {} records, {} lost", shown(&log.folder), log.records, log.lost),
    });
    for output in &status.outputs {
        let state = match &output.trouble {
            Some(why) => format!("TAKES NONE ({}), tried again", shown(why)),
            None if output.ok == 0 => "had nothing to take yet".to_owned(),
            None => "works".to_owned(),
        };
        let (name, waiting, dropped) = (shown(&output.name), output.waiting, output.dropped);
        lines.push(format!("output {name}: {state}; {} told, {waiting} wait, {dropped} lost", output.ok));
    }
    if let Some(why) = &log.recording_failed {
        lines.push(format!(
            "recording: ENDED EARLY ({}), {} packets in it, {} not",
            shown(why),
            log.recorded,
            log.unrecorded
        ));
    }
    let config = &status.config;
    if let Some(why) = &config.why {
        lines.push(format!("configuration: NOT RELOADED ({}); what was in force before still is", shown(why)));
    }
    if !config.needs_restart.is_empty() {
        lines.push(format!("configuration: {} changed, which takes a restart", config.needs_restart.join(", ")));
    }
    let faults = status.faults;
    if faults.packet_panics.saturating_add(faults.analysis_panics) > 0 {
        lines.push(format!(
            "panics contained: {} packets, {} observations",
            faults.packet_panics, faults.analysis_panics
        ));
    }
    if faults.baselines_set_aside > 0 {
        lines.push("the baseline was damaged and is set aside: learning began anew".to_owned());
    }
    if status.analysis.index_pruned > 0 {
        lines.push(format!(
            "{} pairs of the baseline's index are over 400 days old and gone",
            status.analysis.index_pruned
        ));
    }
    if faults.baseline_unsaved > 0 {
        lines.push(format!("what is known could not be saved {} times", faults.baseline_unsaved));
    }
    if faults.clock_jumps > 0 {
        lines.push(format!(
            "the clock was set {} times; event time is {:.0} s ahead of it",
            faults.clock_jumps, faults.clock_offset_s
        ));
    }
    lines.join("\n")
}

/// `12 s`, `7 min`, `4 h 5 min`, `3 d 4 h`: sensors run for months.
fn lasting(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturating")]
    let s = seconds.max(0.0) as u64;
    match s {
        0..=119 => format!("{s} s"),
        120..=7_199 => format!("{} min", s / 60),
        7_200..=172_799 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// `0 `, `950 `, `1.24 M`, `6.10 G`: what a unit is written after.
fn scaled(n: u64) -> String {
    let (by, prefix) = match n {
        0..=999 => return format!("{n} "),
        1_000..=999_999 => (1e3, "k"),
        1_000_000..=999_999_999 => (1e6, "M"),
        _ => (1e9, "G"),
    };
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = n as f64 / by;
    format!("{value:.2} {prefix}")
}

/// A share in percent with two digits; the least loss is shown as one.
fn percent(part: u64, whole: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let share = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    if part > 0 && share < 0.01 { "<0.01".to_owned() } else { format!("{share:.2}") }
}

/// The state is left once a second; one older than this was left by a sensor that is gone.
const STALE_S: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_what_is_wrong() {
        let status = Status {
            phase: Phase::Capturing,
            updated_ns: 97_000_000_000_000,
            interfaces: vec![InterfaceStatus {
                name: "span0".to_owned(),
                received: 9,
                delivered: 999_999,
                shed_bulk: 1,
                packets_per_s: 1_240_000,
                bits_per_s: 6_100_000_000,
                ..InterfaceStatus::default()
            }],
            outputs: vec![ReceiverStatus {
                name: "siem".to_owned(),
                waiting: 7,
                trouble: Some("connection refused".to_owned()),
                ..ReceiverStatus::default()
            }],
            packets: PacketStatus { last_ns: Some(96_996_000_000_000), ..PacketStatus::default() },
            log: LogStatus { failing: Some("No space left".to_owned()), waiting: 3, ..LogStatus::default() },
            faults: FaultStatus { packet_panics: 1, clock_jumps: 2, ..FaultStatus::default() },
            ..Status::default()
        };
        let told = status_lines(&status, Some(Timestamp::from_secs(97_100)));
        for words in [
            "26 h 56 min since",
            "span0: DOWN, 1.24 Mpackets/s, 6.10 Gbit/s, <0.01 % lost; 9 received",
            "latest packet 4 s ago",
            "output siem: TAKES NONE (connection refused), tried again; 0 told, 7 wait, 0 lost",
            "does not run now",
            "CANNOT BE WRITTEN",
            "1 packets",
            "set 2 times",
            "no alerts",
        ] {
            assert!(told.contains(words), "{words:?} is not in:\n{told}");
        }
    }
}
