//! One telling of an alert, read back from the outbox: what sinks need in fields, and the whole record.

use crate::base::Timestamp;
use crate::detect::Severity;
use serde::Deserialize;
use std::net::IpAddr;

/// An alert as it was told: the record with its `update` number.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Told {
    pub(super) id: String,
    /// Counts what was said under this id, from 1.
    pub(super) update: u32,
    first_seen: f64,
    last_seen: f64,
    pub(super) detector: String,
    pub(super) severity: Severity,
    pub(super) title: String,
    #[serde(default)]
    pub(super) explanation: String,
    #[serde(default)]
    pub(super) attack: Vec<String>,
    /// What to do next, the first first.
    #[serde(default)]
    pub(super) next_steps: Vec<String>,
    #[serde(default)]
    pub(super) entities: Vec<Named>,
    pub(super) kind: String,
    pub(super) status: String,
    /// The record, one JSON object without a line end.
    #[serde(skip)]
    pub(super) line: Vec<u8>,
}

/// Somebody an alert names.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Named {
    pub(super) role: String,
    pub(super) ip: Option<IpAddr>,
    pub(super) name: Option<String>,
}

impl Told {
    /// From a line of the outbox; `None` for one that is damaged.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let told: Self = serde_json::from_slice(line).ok()?;
        Some(Self { line: line.to_vec(), ..told })
    }

    pub(super) fn first_seen(&self) -> Timestamp {
        moment(self.first_seen)
    }

    pub(super) fn last_seen(&self) -> Timestamp {
        moment(self.last_seen)
    }

    /// Names this telling everywhere.
    pub(super) fn key(&self) -> String {
        format!("{}:{}", self.id, self.update)
    }

    /// The first named in a role.
    pub(super) fn named(&self, role: &str) -> Option<&Named> {
        self.entities.iter().find(|named| named.role == role)
    }

    /// Whether it is still to be looked at.
    pub(super) fn is_open(&self) -> bool {
        self.status == "open"
    }

    /// The record without its long lists and with its first step only, for receivers with a limit.
    pub(super) fn shortened(&self) -> Vec<u8> {
        let Ok(serde_json::Value::Object(mut whole)) = serde_json::from_slice(&self.line) else { return Vec::new() };
        for long in LONG {
            whole.remove(*long);
        }
        if let Some(serde_json::Value::Array(steps)) = whole.get_mut("next_steps") {
            steps.truncate(1);
        }
        whole.insert("shortened".to_owned(), true.into());
        let mut out = Vec::new();
        crate::output::json::value(&mut out, &serde_json::Value::Object(whole));
        out
    }
}

/// Lists that grow with the case; the rest is a few hundred bytes.
const LONG: &[&str] = &[
    "uids",
    "evidence",
    "reasons",
    "scope",
    "not_visible",
    "not_visible_ja",
    "next_steps_ja",
    "explanation_ja",
    "title_ja",
];

/// Seconds of a record back to a moment; microseconds survive.
#[expect(clippy::cast_possible_truncation, reason = "a float-to-integer cast saturates")]
fn moment(seconds: f64) -> Timestamp {
    Timestamp(((seconds * 1e6).round() as i64).saturating_mul(1000))
}
