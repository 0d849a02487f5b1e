//! Observations → findings: one detector's claim about one subject, with the numbers it rests on.
//!
//! A detector scores an observation against the profiles as they were *before* it, owns bounded state, does no IO and
//! knows no other detector. Each has `rules/<same name>.toml`: opinion is data.

mod finding;

pub(crate) use finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
