//! Alerts out, to receivers that may be slow, down, or gone for a day.
//!
//! ```text
//! analysis ─ bounded queue ─ outbox thread ─ outbox on disk ─┬─ thread of output "siem"  ─ syslog
//!  (never waits)              (numbers, writes)  (one copy)  └─ thread of output "chat"  ─ webhook
//! ```
//!
//! An alert is written once, into the [`outbox`], before anybody is told; every output reads on from its own place, which
//! survives a restart. So a receiver that fails holds up nobody but itself, and what it missed is delivered when it is
//! back, up to the outbox's size. Each telling carries the alert's id and an `update` number that counts what was said
//! under that id (1, 2, …): the pair names a telling in every sink, run and retry, and a receiver that has it may drop a
//! second copy.
//!
//! Text in alerts comes from the wire. No sink lets a control character through, whatever the format (a property, tested
//! over all of [`SINKS`]).

mod alertmanager;
mod deliver;
mod http;
mod jsonl;
mod ledger;
mod outbox;
mod rotate;
mod stream;
mod syslog;
#[cfg(test)]
mod tests;
mod told;
mod webhook;
mod words;

pub(crate) use deliver::{OutputStatus, Outputs};

use crate::base::{Table, Timestamp};
use crate::detect::Severity;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use told::Told;
use toml::de::ValueDeserializer;

/// Every kind of output, by the name it has in the configuration.
pub(crate) const SINKS: &[Kind] = &[jsonl::KIND, syslog::KIND, webhook::KIND, alertmanager::KIND];

/// The tables of this stage, empty.
pub(crate) fn sink_tables() -> [Table; 2] {
    [ledger::Ledger::open(None).table(), alertmanager::table()]
}

/// A kind of output.
pub(crate) struct Kind {
    /// `type` in the configuration.
    pub(crate) name: &'static str,
    /// Its own keys, as written.
    pub(crate) settings: fn(ValueDeserializer<'_>) -> Result<Arc<dyn Settings>, toml::de::Error>,
}

/// Keys of one kind of output, checked.
pub(crate) trait Settings: fmt::Debug + Send + Sync {
    /// Reads the files that are named and makes ready; connects to nobody yet.
    fn open(&self, origin: &Origin) -> Result<Box<dyn Sink>, SinkError>;
}

/// Where alerts come from and what time it is there.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The sensor's name, for receivers of several.
    pub(crate) sensor: String,
    /// The wall clock, for gauges only.
    pub(crate) now: fn() -> Timestamp,
}

/// One receiver.
pub(crate) trait Sink: Send {
    /// Delivers in order, as far as it goes. Bounded in time; called again with the rest when it failed.
    fn send(&mut self, batch: &[Told]) -> Result<(), Failed>;
}

/// How far a delivery went, and why no farther.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Tellings the receiver has taken.
    pub(crate) taken: usize,
    pub(crate) why: Failure,
}

/// Why a receiver did not take a telling.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It may later.
    #[error("{message}")]
    Later {
        message: String,
        /// How long it asked us to wait.
        after: Option<Duration>,
    },
    /// It never will: it understood and refused this one.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    fn later(what: impl fmt::Display) -> Self {
        Self::Later { message: what.to_string(), after: None }
    }
}

/// Why an output cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    /// A file that was named cannot be used.
    #[error("{path}: {message}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        message: String,
    },
    /// Keys do not go together.
    #[error("{0}")]
    Unusable(String),
}

/// One `[[output]]` of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Unique; in metrics, logs and the name of its place in the outbox.
    pub(crate) name: Box<str>,
    /// One of [`SINKS`].
    pub(crate) kind: &'static str,
    /// Less severe alerts stay here.
    pub(crate) least: Severity,
    pub(crate) settings: Arc<dyn Settings>,
    /// As written, to see whether it changed.
    pub(crate) text: Box<str>,
}
