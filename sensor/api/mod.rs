//! What the sensor shows over HTTP: metrics, health, and its alerts, hosts and destinations under `/api/v1`.
//!
//! ```text
//!  analysis thread ── publishes rows once a step ──▶ Shared ◀── reads copies ── one thread with tokio and axum
//! ```
//!
//! A reader takes a copy or an `Arc` and never waits for the pipeline, nor the pipeline for a reader. Nothing here
//! decides about traffic; what a person decides about an alert (acknowledged, closed) is kept in an append-only log.
//! Loopback by default. The API wants a token or a password even where `/metrics` wants none: alerts are sensitive.

mod alerts;
mod answer;
mod audit;
mod auth;
mod connections;
mod counts;
mod desk;
mod document;
mod graph;
mod health;
mod hosts;
mod patience;
mod query;
mod router;
mod rows;
mod server;
mod shared;
#[cfg(test)]
mod tests;
mod tls;
mod watched;
mod web_file;

pub(crate) use health::{Check, Probe};
pub(crate) use rows::{
    AlertEntry, AlertRow, DestinationRow, Edge, FindingEntry, FindingRow, HostEntry, HostRow, Node, TieRow,
};
pub(crate) use server::{ApiError, Running, Settings, start};
pub(crate) use shared::{Published, Shared};
