//! Deterministic writers of traffic: one file a behaviour, bytes that depend on fixed seeds alone.
//!
//! `net` makes packets, `tcp` makes conversations of them, the protocol files say what is talked about, `office` lets
//! people and servers live a day, `attack` does what must be found, `captures` is the list of files in `pcaps/`.
//! Nothing here reads a constant of `sensor/`: what the sensor believes must not leak into what it is shown.
//! Addresses are from RFC 5737, 3849, 1918 and 7042 §2.1.2; names under `.example` (RFC 2606), except tenants of shared
//! clouds, whose labels start with `yukue-test-`.

#![expect(clippy::cast_possible_truncation, reason = "writers cut numbers to the width of a field on purpose")]

pub(crate) mod acts;
pub(crate) mod attack;
pub(crate) mod captures;
pub(crate) mod covert;
pub(crate) mod dcerpc;
pub(crate) mod der;
pub(crate) mod directory;
pub(crate) mod dns;
pub(crate) mod file;
pub(crate) mod fleet;
mod fleet_packets;
#[path = "fleet/tests.rs"]
mod fleet_tests;
pub(crate) mod habits;
pub(crate) mod hello;
pub(crate) mod hostile;
pub(crate) mod http;
pub(crate) mod http2;
pub(crate) mod net;
pub(crate) mod ntlm;
pub(crate) mod office;
pub(crate) mod protocol;
pub(crate) mod quic;
pub(crate) mod quiet;
pub(crate) mod random;
pub(crate) mod site;
pub(crate) mod smb;
pub(crate) mod ssh;
pub(crate) mod tcp;
pub(crate) mod tls;
