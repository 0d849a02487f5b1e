//! What flows arranged for other flows of the same two hosts: the endpoint mapper's answers, FTP's data connections.
//!
//! A shard holds all flows of a host pair, so promises need no other shard's knowledge. They are bounded in number, and
//! in time by the capture's clock: a port may be somebody else's tomorrow.

use crate::base::{Budget, Capped, Endpoint, Table, Timestamp};
use crate::event::Direction;
use crate::protocol::{Promise, Promised};
use std::net::IpAddr;
use std::time::Duration;

/// Who listens where, for whom → what will be spoken, and when that was said.
pub(super) struct Promises(Capped<(IpAddr, u16, IpAddr), (Promised, Timestamp)>);

impl Promises {
    pub(super) fn new() -> Self {
        Self(Capped::new(Budget::new("promises", MAX_PROMISES, 0)))
    }

    pub(super) fn table(&self) -> Table {
        self.0.table()
    }

    /// Keeps what a flow between `orig` and `resp` said at `ts`.
    pub(super) fn note(
        &mut self,
        promises: impl Iterator<Item = Promise>,
        orig: Endpoint,
        resp: Endpoint,
        ts: Timestamp,
    ) {
        for Promise { side, port, what } in promises {
            let (host, peer) = if side == Direction::Orig { (orig.ip, resp.ip) } else { (resp.ip, orig.ip) };
            self.0.insert((host, port, peer), (what, ts));
        }
    }

    /// What was promised of a flow that begins at `ts`.
    pub(super) fn find(&self, orig: Endpoint, resp: Endpoint, ts: Timestamp) -> Option<Promised> {
        if self.0.len() == 0 {
            return None;
        }
        // Either may be the listener: a flow picked up in the middle may be taken the wrong way round.
        let said = self.0.get(&(resp.ip, resp.port, orig.ip)).or_else(|| self.0.get(&(orig.ip, orig.port, resp.ip)));
        said.filter(|(_, then)| ts.since(*then) <= LIFE).map(|(what, _)| *what)
    }
}

/// Promises of one table: some 100 bytes each. Beyond, the oldest is forgotten and its flow keeps what its own bytes say.
const MAX_PROMISES: usize = 4096;
/// Clients connect at once; those that cache the mapper's answer come back within a working session.
const LIFE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_promises_without_end_fills_no_more_than_the_table() {
        let end = |port| Endpoint::new("10.0.0.1".parse().unwrap(), port);
        let mut promises = Promises::new();
        let without_end = (1..=u16::MAX).map(|port| Promise { side: Direction::Orig, port, what: Promised::FtpData });
        promises.note(without_end, end(1), end(2), Timestamp(0));
        assert_eq!(promises.0.len(), MAX_PROMISES);
    }

    #[test]
    fn promises_hold_for_their_hosts_and_their_hour() {
        let end = |ip: &str, port| Endpoint::new(ip.parse().unwrap(), port);
        let (client, server) = (end("10.0.0.1", 50_000), end("10.0.0.2", 135));
        let mut promises = Promises::new();
        let promise = Promise { side: Direction::Resp, port: 49_665, what: Promised::Rpc([1; 16]) };
        promises.note([promise].into_iter(), client, server, Timestamp::from_secs(100));
        for (what, orig, resp, at, expected) in [
            ("the connection", end("10.0.0.1", 50_001), end("10.0.0.2", 49_665), 101, true),
            ("taken the wrong way round", end("10.0.0.2", 49_665), end("10.0.0.1", 50_001), 101, true),
            ("another port", end("10.0.0.1", 50_001), end("10.0.0.2", 49_666), 101, false),
            ("another client", end("10.0.0.3", 50_001), end("10.0.0.2", 49_665), 101, false),
            ("two hours later", end("10.0.0.1", 50_001), end("10.0.0.2", 49_665), 7_300, false),
        ] {
            let found = promises.find(orig, resp, Timestamp::from_secs(at));
            assert_eq!(found, expected.then_some(Promised::Rpc([1; 16])), "{what}");
        }
    }
}
