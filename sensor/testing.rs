//! The test face: what fuzz bodies and benches outside the crate may reach. No interface; it may change at any time.

use crate::alert::{Alert, Rules};
use crate::base::Timestamp;
use crate::capture::{Frame, LinkType};
use crate::config;
use crate::engine::{Analysis, Copies, Pipeline, Setup};
use crate::event::Observation;
use crate::intel::Intel;
use crate::output::alert_line;
use serde_json::Value;
use std::convert::Infallible;
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

    /// How fair the p-values of host-days were, by class of peers: host-days, and those at or below 0.01, 0.001, 0.0001.
    pub fn calibration(&self) -> Vec<(u64, [u64; 3])> {
        self.analysis.checked().map(|(_, checked)| (checked.host_days, checked.at_most)).collect()
    }

    /// The input ended: all alerts as they stand.
    pub fn finish(self) -> Vec<Value> {
        self.analysis.finish(self.last).alerts.iter().filter_map(value).collect()
    }
}

fn value(alert: &Alert) -> Option<Value> {
    serde_json::from_slice(&alert_line(alert)).ok()
}
