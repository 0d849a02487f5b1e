//! yukue (行方, "where did it go?"): a network egress anomaly sensor.
//!
//! ```text
//!  capture → decode → flow → protocol     → merge →  profile → detect → campaign → alert → output
//! ```

mod base;
mod capture;
mod decode;
mod engine;
pub mod event;
mod flow;
mod intel;
mod output;
mod profile;
mod protocol;
mod detect;
mod campaign;
mod alert;
mod config;
pub mod cli;
