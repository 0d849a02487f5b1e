//! yukue (行方, "where did it go?"): a network egress anomaly sensor.
//!
//! It reconstructs flows at a network chokepoint or from capture files, learns what each host usually sends outside,
//! and tells people about communications nobody intended, above all when a management server staged them.
//!
//! ```text
//!  capture → decode → flow → protocol     → merge →  profile → detect → campaign → alert → output
//!  Frame     Packet   Flow    Event per fact   one     usual     Finding   common     Alert   jsonl, terminal
//!  ts,bytes  slices   bytes   (resolution,   ordered   for this  (evidence) cause,    explained
//!                     in      handshake,     Observa-  host                 scope
//!                     order   request, …)    tions
//!  └──── N shards, by host pair, packet rate ────┘ └───────── one thread, observation rate ─────────────┘
//! ```
//!
//! **Observation is the narrow waist.** Left of it nobody knows about detection, right of it nobody knows about
//! packets; a test of anything on the right is a list of observations.
//!
//! What holds, most of it about what is absent (each is a test, `tests/architecture.rs` and `tests/invariants.rs`):
//!
//! 1. `protocol` knows no packets, flows or ports in use: bytes, a direction and the moment they came go in, events
//!    come out.
//! 2. `profile`, `detect`, `campaign`, `alert` never see a payload byte.
//! 3. No claim depends on a clock: `engine::clock` reads one, and `api` to time its own answers. Only `capture`, `output`, `config`, `api`, `engine`, `cli` and `main` do IO.
//! 4. Nothing derived from traffic can panic the sensor, and every collection keyed by traffic has a budget
//!    (`README.md` beside this file lists them).
//! 5. No output depends on map iteration order, shard count or tick rate.
//! 6. Packets are dropped in one place, and counted.
//! 7. `output` decides nothing; `alert` writes nothing.
//!
//! To add a protocol: `protocol/<name>.rs`, one entry in `PROTOCOLS`, captures in `pcaps/protocol/`. A detector:
//! `detect/<name>.rs`, one entry in `DETECTORS`, `rules/<name>.toml`, its sentences in `rules/words/en-ja.toml`, what to
//! do next in `alert/next.rs`, captures in `pcaps/attack/` and `pcaps/benign/`.

// The stages, in pipeline order.
mod base;
pub mod event;
mod intel;
mod capture;
mod decode;
mod protocol;
mod flow;
mod profile;
mod detect;
mod campaign;
mod alert;
mod output;
mod config;
mod api;
mod engine;
pub mod cli;
#[doc(hidden)]
pub mod testing;
