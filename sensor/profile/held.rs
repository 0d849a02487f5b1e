//! One address as a machine holds it: since when, by what evidence, whether it was ever silent.

use super::hosts::HostId;
use super::keys::Trust;
use crate::base::Timestamp;
use crate::base::hash::fnv1a;
use std::net::IpAddr;
use std::time::Duration;

/// Who had an address from when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) host: HostId,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// The best evidence.
    pub(super) trust: Trust,
}

/// The machine an address belongs to now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) host: HostId,
    pub(super) from: Timestamp,
    /// Latest traffic or evidence.
    pub(super) last: Timestamp,
    /// The best fresh evidence, and when it last came.
    pub(super) trust: Trust,
    pub(super) vouched: Timestamp,
    /// Since when it was never silent for longer than another machine would need to get it.
    awake: Timestamp,
    pub(super) leased: bool,
    /// Evidence moved it to and fro: it is nobody's until it is leased again.
    pub(super) unsteady: bool,
    /// The name that was told last, how often that was another one than before, and since when that is counted.
    told: Option<u16>,
    turns: u8,
    counted: Timestamp,
}

impl Held {
    pub(super) const fn new(host: HostId, trust: Trust, ts: Timestamp) -> Self {
        Self {
            host,
            from: ts,
            last: ts,
            trust,
            vouched: ts,
            awake: ts,
            leased: false,
            unsteady: false,
            told: None,
            turns: 0,
            counted: ts,
        }
    }

    pub(super) fn heard(&mut self, ts: Timestamp) {
        if ts.since(self.last) > ADOPTION {
            self.awake = ts;
        }
        self.last = self.last.max(ts);
    }

    /// Takes in evidence for its machine; the best counts while it is fresh.
    pub(super) fn vouch(&mut self, trust: Trust, ts: Timestamp) {
        if trust >= self.trust || !self.is_fresh(ts) {
            (self.trust, self.vouched) = (trust, ts);
        }
    }

    /// Whether the evidence still speaks against other.
    pub(super) fn is_fresh(&self, ts: Timestamp) -> bool {
        ts.since(self.vouched) <= FRESH
    }

    /// Whether what told its machine was told since it was last silent.
    pub(super) fn is_called(self) -> bool {
        self.trust > Trust::Address && self.vouched >= self.awake
    }

    /// Whether it was heard of so lately that no other machine can have come to it.
    pub(super) fn is_occupied(&self, ts: Timestamp) -> bool {
        ts.since(self.last.max(self.vouched)) <= ADOPTION
    }

    /// Notes a name that its machine told; whether names have come and gone too often for one machine.
    #[expect(clippy::cast_possible_truncation, reason = "two names of one address are told apart by 16 bits")]
    pub(super) fn told(&mut self, name: &str, ts: Timestamp) -> bool {
        let name = Some(fnv1a(name.bytes()) as u16);
        let before = std::mem::replace(&mut self.told, name);
        if before.is_none() || before == name {
            return false;
        }
        if ts.since(self.counted) > FLIP_WINDOW {
            (self.counted, self.turns) = (ts, 0);
        }
        self.turns = self.turns.saturating_add(1);
        usize::from(self.turns) > MAX_FLIPS
    }
}

pub(super) const fn same_family(a: &IpAddr, b: &IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

/// Evidence older than this speaks against nothing: half a usual lease of a day.
const FRESH: Duration = Duration::from_hours(12);
/// A key that is new may be the holder's when that was heard this lately: shorter than leases are, so another machine
/// would have had to take the address within it.
pub(super) const ADOPTION: Duration = Duration::from_hours(1);
/// Equal evidence that moves an address more often than this within the window is about several machines.
pub(super) const MAX_FLIPS: usize = 4;
pub(super) const FLIP_WINDOW: Duration = Duration::from_hours(1);
