//! Bytes out. Nothing here decides anything; text from the wire is escaped here and nowhere else.
//!
//! Records are read by other tools: names are stable and fields are only added. `rules/schemas/` describes every kind.

mod claims;
mod community;
mod escape;
mod facts;
mod flows;
mod json;
mod jsonl;
mod layout;
mod progress;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod schemas;
mod sink;
mod story;
mod summary;
mod terminal;
mod trail;

pub(crate) use claims::alert_line;
pub(crate) use escape::shown;
pub(crate) use flows::FlowExtras;
pub(crate) use jsonl::{Existing, OutputError, Records};
pub(crate) use progress::Progress;
pub(crate) use sink::{Origin, Output, Outputs, SINKS, sink_tables};
pub(crate) use summary::{Baseline, Identities, Input, Inside, Summary, Visibility};
pub(crate) use terminal::Shown;
pub(crate) use trail::Trail;
