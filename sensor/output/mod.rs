//! Bytes out. Nothing here decides anything; text from the wire is escaped here and nowhere else.
//!
//! Records are read by other tools: names are stable and fields are only added. `rules/schemas/` describes every kind.

mod claims;
mod community;
mod escape;
mod facts;
mod flows;
mod journal;
mod json;
mod jsonl;
mod layout;
mod overview;
#[allow(dead_code, unused_imports, reason = "a table is whole, whatever this build fills")]
pub(crate) mod metrics;
mod progress;
mod rolling;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod schemas;
mod sink;
mod status;
mod story;
mod stored;
mod summary;
mod terminal;
mod trail;
mod whole;

pub(crate) use claims::{alert_line, finding_line};
pub(crate) use escape::{harmless_json, shown};
pub(crate) use flows::FlowExtras;
pub(crate) use journal::{Journal, leave_status, status_of};
pub(crate) use jsonl::{Existing, OutputError, Records};
pub(crate) use progress::Progress;
pub(crate) use rolling::Rotation;
pub(crate) use sink::{Origin, Output, OutputStatus, Outputs, SINKS, SinkError, sink_tables};
pub(crate) use status::{
    AlertCount, AnalysisStatus, Board, ConfigStatus, FeedStatus, FlowStatus, InterfaceStatus, LAG_BUCKETS_S, LagStatus,
    LogStatus, PacketStatus, Phase, ReceiverStatus, Status, status_lines,
};
pub(crate) use stored::stored;
pub(crate) use summary::{Baseline, Identities, Input, Inside, Stage, Summary, Visibility};
pub(crate) use terminal::Shown;
pub(crate) use trail::Trail;
pub(crate) use whole::{OWN, READABLE, replace, replace_for_good};
