//! The test face: what fuzz bodies and benches outside the crate may reach. No interface; it may change at any time.

pub mod fuzz;

use crate::alert::{Alert, Rules};
pub use crate::base::Table;

use crate::base::{Timestamp, Transport};
use crate::capture::{Frame, LinkType};
use crate::config;
use crate::engine::{Analysis, Copies, EchConfigs, Pipeline, Setup, Store, shown_tables};
use crate::event::{Direction, Observation};
use crate::flow;
use crate::intel::Intel;
use crate::output::{Trail, alert_line, finding_line, sink_tables};
use crate::protocol::{Input, Output, PORT_BOUND, PROTOCOLS, Probe, Progress, Protocol};
use serde_json::Value;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

/// A frame as a test has it: nanoseconds since the epoch, link type, bytes.
pub type RawFrame<'a> = (i64, u16, &'a [u8]);

/// Everything the left side learns from `frames`, in order.
pub fn observations<'a>(frames: impl IntoIterator<Item = RawFrame<'a>>, shards: usize) -> Vec<Observation> {
    let mut pipeline = Pipeline::new(Setup { shards, copies: Copies::Drop, tick: None });
    let mut seen = Vec::new();
    let mut keep = |observation| {
        seen.push(observation);
        Ok::<(), Infallible>(())
    };
    for (number, (ts, link, bytes)) in (1..).zip(frames) {
        let wire_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let frame = Frame { ts: Timestamp(ts), link: LinkType(link), bytes, wire_len, input: 0, number };
        let Ok(()) = pipeline.frame(&frame, &mut keep);
    }
    let Ok(_) = pipeline.finish(&mut keep);
    seen
}

/// Bytes that one flow may hold, its parser included.
pub const FLOW_BYTES: u64 = flow::FLOW_BYTES as u64;

/// The left side of the waist, fed with frames one by one.
pub struct Left(Pipeline);

impl std::fmt::Debug for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Left").field(&self.tables()).finish()
    }
}

impl Left {
    /// One shard that keeps copies: a hostile sender may repeat itself.
    #[must_use]
    pub fn new() -> Self {
        Self(Pipeline::new(Setup { shards: 1, copies: Copies::Keep, tick: None }))
    }

    /// Takes in the `number`th frame; what is settled comes out.
    pub fn frame(&mut self, (ts, link, bytes): RawFrame<'_>, number: u32) -> Vec<Observation> {
        let wire_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let frame = Frame { ts: Timestamp(ts), link: LinkType(link), bytes, wire_len, input: 0, number };
        let mut seen = Vec::new();
        let Ok(()) = self.0.frame(&frame, &mut |observation| {
            seen.push(observation);
            Ok::<(), Infallible>(())
        });
        seen
    }

    /// The input ended: what is left comes out.
    pub fn finish(&mut self) -> Vec<Observation> {
        let mut seen = Vec::new();
        let Ok(_) = self.0.finish(&mut |observation| {
            seen.push(observation);
            Ok::<(), Infallible>(())
        });
        seen
    }

    /// Its tables as they stand.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        self.0.tables()
    }

    /// Bytes shown to parsers so far, again when they had to wait for more.
    #[must_use]
    pub fn shown_bytes(&self) -> u64 {
        self.0.shown_bytes()
    }

    /// What was and was not decoded, by name.
    #[must_use]
    pub fn decoded(&self) -> Vec<(String, u64)> {
        let stats = self.0.decode_stats();
        stats.decoded().map(|(name, count)| (name.to_owned(), count)).chain(stats.undecoded()).collect()
    }
}

impl Default for Left {
    fn default() -> Self {
        Self::new()
    }
}

/// Every table of the sensor but those of single flows, empty, by name.
#[must_use]
pub fn tables() -> Vec<Table> {
    let right = Right::new("", &[]).map(|right| right.tables()).unwrap_or_default();
    let left = Pipeline::new(Setup { shards: 1, copies: Copies::Drop, tick: None }).tables();
    let records = [Trail::default().table(), EchConfigs::new().table()];
    Table::by_name(left.into_iter().chain(right).chain(records).chain(sink_tables()).chain(shown_tables()))
}

/// The tables of one flow's parser, whichever has any, by name: each flow may fill its own.
#[must_use]
pub fn parser_tables() -> Vec<Table> {
    let all = PORT_BOUND.iter().chain(PROTOCOLS);
    Table::by_name(all.flat_map(|protocol| (protocol.new)().tables()))
}

/// A message of a flow: whether the originator sent it, and its payload.
pub type Said = (bool, Vec<u8>);

/// The parser of a flow by itself, without the flow: for benches.
#[derive(Clone, Copy)]
pub struct Reading(&'static Protocol);

impl Reading {
    /// The parser that the first words ask for, as a flow would choose it.
    #[must_use]
    pub fn of(udp: bool, ports: [u16; 2], said: &[Said]) -> Option<Self> {
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        let at_port = |p: &&Protocol| p.ports.iter().any(|port| ports.contains(port));
        let bound = PORT_BOUND.iter().filter(|p| at_port(p));
        let (first, rest): (Vec<&&'static Protocol>, Vec<_>) = PROTOCOLS.iter().partition(|p| at_port(p));
        let mut order = bound.chain(first).chain(rest).filter(|p| p.transport == transport);
        let matches =
            |p: &&&'static Protocol| said.iter().any(|(orig, data)| (p.probe)(side(*orig), data) == Probe::Match);
        order.find(matches).map(|protocol| Self(protocol))
    }

    /// The name in `service`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// Lets a fresh parser read until it is done; gives back how many messages it saw and how many facts it told.
    #[must_use]
    pub fn read(self, said: &[Said]) -> [usize; 2] {
        let (mut parser, mut out) = ((self.0.new)(), Output::default());
        let [mut orig, mut resp] = [(Vec::new(), 0_usize), (Vec::new(), 0)];
        let mut seen = 0_usize;
        'said: for (by_orig, data) in said {
            let (pending, skip) = if *by_orig { &mut orig } else { &mut resp };
            let skipped = data.len().min(*skip);
            *skip = skip.saturating_sub(skipped);
            let fresh = data.get(skipped..).unwrap_or_default();
            seen = seen.saturating_add(usize::from(!fresh.is_empty()));
            if self.0.transport == Transport::Udp {
                pending.clear();
            }
            pending.extend_from_slice(fresh);
            let mut at = 0;
            while let Some(rest @ [_, ..]) = pending.get(at..) {
                let input = Input { from: side(*by_orig), ts: Timestamp(0), data: rest };
                match parser.parse(input, &mut out) {
                    Progress::Consumed(0) => break,
                    Progress::Consumed(n) => {
                        *skip = n.saturating_sub(rest.len());
                        at = at.saturating_add(n.min(rest.len()));
                    }
                    Progress::Handover(_) | Progress::Done | Progress::Malformed(_) => break 'said,
                }
            }
            pending.drain(..at.min(pending.len()));
        }
        parser.finish(&mut out);
        [seen, out.events.len()]
    }
}

const fn side(orig: bool) -> Direction {
    if orig { Direction::Orig } else { Direction::Resp }
}

/// The right side of the waist, fed with observations in order.
#[derive(Debug)]
pub struct Right {
    analysis: Analysis,
    last: Timestamp,
}

impl Right {
    /// For a site file's text, with some rules replaced (`("beacon", "…")`); what is wrong is said in words.
    pub fn new(site: &str, rules: &[(&str, &str)]) -> Result<Self, String> {
        let mut in_force = Rules::shipped();
        for (stem, text) in rules {
            in_force.replace(stem, text).map_err(|wrong| wrong.to_string())?;
        }
        let declared = Arc::new(config::site(site)?);
        let analysis = Analysis::new(declared, Arc::new(Intel::shipped()), &in_force).map_err(|e| e.to_string())?;
        Ok(Self { analysis, last: Timestamp::MIN })
    }

    /// Takes in the next observation; they come ordered by (ts, uid, n). What is new, changed or absorbed since the last
    /// one comes back, as in `alerts.jsonl`.
    pub fn observe(&mut self, seen: &Observation) -> Vec<Value> {
        self.last = self.last.max(seen.ts);
        self.analysis.observe(seen);
        self.analysis.fresh().iter().filter_map(value).collect()
    }

    /// Findings that made room for others since the last call, as in `findings.jsonl`.
    pub fn parted(&mut self) -> Vec<Value> {
        self.analysis.parted().iter().filter_map(|f| serde_json::from_slice(&finding_line(f)).ok()).collect()
    }

    /// Saves what it knows in a new baseline file, as a sensor does that is stopped.
    pub fn save(&mut self, path: &Path) -> Result<(), String> {
        let mut store = Store::open(path).map_err(|e| e.to_string())?;
        self.analysis.save(&mut store).map(drop).map_err(|e| e.to_string())
    }

    /// Goes on from what was saved; nothing may have been observed yet.
    pub fn resume(&mut self, path: &Path) -> Result<(), String> {
        let records = Store::read(path).map_err(|e| e.to_string())?;
        self.analysis.restore(&records).map_err(|e| e.to_string())
    }

    /// Its tables as they stand.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        self.analysis.tables()
    }

    /// How fair the p-values of host-days were, by class of peers: host-days, and those at or below 0.01, 0.001, 0.0001.
    pub fn calibration(&self) -> Vec<(u64, [u64; 3])> {
        self.analysis.checked().map(|(_, checked)| (checked.host_days, checked.at_most)).collect()
    }

    /// The input ended: all alerts as they stand. `hear` is told each finding, as in `findings.jsonl`, one at a time:
    /// there may be a hundred thousand.
    pub fn finish(self, mut hear: impl FnMut(Value)) -> Vec<Value> {
        let told = self.analysis.finish(self.last);
        told.findings.iter().filter_map(|f| serde_json::from_slice(&finding_line(f)).ok()).for_each(&mut hear);
        told.alerts.iter().filter_map(value).collect()
    }
}

fn value(alert: &Alert) -> Option<Value> {
    serde_json::from_slice(&alert_line(alert)).ok()
}
