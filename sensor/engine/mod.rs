//! Control plane: the only module that knows all the others.

mod analysis;
mod archive;
mod clock;
mod ech;
mod gauges;
mod joined;
mod machine;
mod live;
mod merge;
mod pipeline;
mod right;
mod run;
mod inject;
mod learn;
mod saver;
mod store;
mod receivers;
mod sandbox;
mod service;
mod shown;
mod signed;
pub(crate) mod snapshots;
mod summary;
mod web;

pub(crate) use analysis::Analysis;
pub(crate) use archive::Archive;
pub(crate) use clock::now;
pub(crate) use ech::EchConfigs;
pub(crate) use inject::Inject;
pub(crate) use joined::{goes_on, joined};
pub(crate) use learn::learn;
pub(crate) use live::{LiveJob, Opening, Reloading, live};
pub(crate) use machine::host_name;
pub(crate) use pipeline::{Copies, Pipeline, Setup};
pub(crate) use receivers::Receivers;
pub(crate) use run::{Job, Outcome, RunError, analyze};
pub(crate) use shown::shown_tables;
pub(crate) use signed::{Signer, by_whom};
pub(crate) use store::{Store, StoreError};
pub(crate) use web::{Watched, web};

#[cfg(test)]
mod act_tests;
#[cfg(test)]
mod baseline_tests;
#[cfg(test)]
mod coupled_tests;
#[cfg(test)]
mod covert_tests;
#[cfg(test)]
mod detector_tests;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod drift_tests;
#[cfg(test)]
mod enrich_tests;
#[cfg(test)]
mod habit_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod reload_tests;
#[cfg(test)]
mod merge_tests;
#[cfg(test)]
mod rotate_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod staging_tests;
#[cfg(test)]
mod weak_tests;
#[cfg(test)]
mod world;
