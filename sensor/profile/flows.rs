//! Outbound flows until their destination is as well known as it will be.
//!
//! A flow's first packet names nobody. Its destination is judged at the first of: a name on the wire (SNI, Host), its
//! end, or `SETTLE` of event time; until then its signs of life wait. A timer of the engine plays no part, so the
//! result does not depend on ticks.

use super::hosts::HostId;
use super::tenants::TenantId;
use crate::base::{Budget, Capped, Endpoint, Table, Timestamp, Transport};
use crate::event::{Counters, Uid};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// An outbound flow that is under way.
#[derive(Clone, Debug)]
pub(super) struct OpenFlow {
    pub(super) opened: Timestamp,
    pub(super) host: HostId,
    pub(super) resp: Endpoint,
    pub(super) transport: Transport,
    /// `None` until it is judged.
    pub(super) tenant: Option<TenantId>,
    /// Signs of life after the first packet that wait for the judgement.
    pub(super) waiting: Vec<(Timestamp, Option<(u64, u64)>)>,
    pub(super) counted: Counters,
    /// Through a proxy of the site.
    pub(super) via: Option<Via>,
}

/// How a proxy is spoken to, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// CONNECT: the whole flow from there on is with the destination.
    Tunnel(HostId),
    /// Absolute-form requests (RFC 9112 §3.2.2): each may be for somebody else.
    Request(HostId),
}

impl Via {
    pub(super) const fn proxy(self) -> HostId {
        match self {
            Self::Tunnel(proxy) | Self::Request(proxy) => proxy,
        }
    }
}

impl OpenFlow {
    pub(super) fn new(opened: Timestamp, host: HostId, (resp, transport): (Endpoint, Transport)) -> Self {
        Self {
            opened,
            host,
            resp,
            transport,
            tenant: None,
            waiting: Vec::new(),
            counted: Counters::default(),
            via: None,
        }
    }

    /// Payload bytes of either side since the last call.
    pub(super) fn moved(&mut self, now: &Counters) -> (u64, u64) {
        let before = std::mem::replace(&mut self.counted, *now);
        (now.orig_bytes.saturating_sub(before.orig_bytes), now.resp_bytes.saturating_sub(before.resp_bytes))
    }
}

/// A conversation into the site.
#[derive(Clone, Copy, Debug)]
pub(super) struct InnerFlow {
    pub(super) opened: Timestamp,
    /// When the burst under way began, and what had been said before it.
    burst: Timestamp,
    before: (u64, u64),
}

impl InnerFlow {
    pub(super) const fn new(opened: Timestamp) -> Self {
        Self { opened, burst: opened, before: (0, 0) }
    }

    /// Counters grew to these: when the burst that ends here began, and what was said in it. The next one begins at
    /// `ts`.
    pub(super) fn burst(&mut self, ts: Timestamp, counters: &Counters) -> (Timestamp, u64, u64) {
        let now = (counters.orig_bytes, counters.resp_bytes);
        let burst = (self.burst, now.0.saturating_sub(self.before.0), now.1.saturating_sub(self.before.1));
        (self.burst, self.before) = (ts, now);
        burst
    }
}

/// Flows to the outside, and names of flows of any direction.
#[derive(Debug)]
pub(super) struct OpenFlows {
    open: Capped<Uid, OpenFlow>,
    names: Capped<Uid, (Arc<str>, &'static str)>,
    unsettled: VecDeque<(Timestamp, Uid)>,
    /// Kept for one observation more, so that its record can still be named.
    closing: Option<Uid>,
    dropped: u64,
}

impl OpenFlows {
    pub(super) fn new() -> Self {
        Self {
            open: Capped::new(Budget::new("flows.open", MAX_FLOWS, 128)),
            names: Capped::new(Budget::new("flows.names", MAX_FLOWS, 48)),
            unsettled: VecDeque::new(),
            closing: None,
            dropped: 0,
        }
    }

    pub(super) fn open(&mut self, uid: Uid, flow: OpenFlow) {
        self.unsettled.push_back((flow.opened, uid));
        self.open.insert(uid, flow);
    }

    /// The flow goes on with somebody else: what it was called is forgotten.
    pub(super) fn reopen(&mut self, uid: Uid, flow: OpenFlow) {
        self.names.remove(&uid);
        self.open(uid, flow);
    }

    /// The flow silent for longest, when there is no room for another: to be judged as it stands, then dropped.
    pub(super) fn crowded_out(&self) -> Option<Uid> {
        if self.open.len() < MAX_FLOWS {
            return None;
        }
        self.open.iter().next().map(|(uid, _)| *uid)
    }

    /// Drops a flow that made room.
    pub(super) fn drop(&mut self, uid: Uid) {
        self.dropped = self.dropped.saturating_add(u64::from(self.open.remove(&uid).is_some()));
    }

    pub(super) fn get(&self, uid: Uid) -> Option<&OpenFlow> {
        self.open.get(&uid)
    }

    pub(super) fn get_mut(&mut self, uid: Uid) -> Option<&mut OpenFlow> {
        self.open.get_mut(&uid)
    }

    /// The next flow that has waited long enough at `now`.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Uid> {
        while let Some((opened, uid)) = self.unsettled.front().copied() {
            // Asked at every observation: whom the flow is with is looked up once, when it can matter.
            if now.since(opened) < SETTLE {
                return None;
            }
            self.unsettled.pop_front();
            let judged = self.open.get(&uid).is_none_or(|flow| flow.tenant.is_some());
            if !judged {
                return Some(uid);
            }
        }
        None
    }

    /// Learns a name from the wire; the first one stays, as SNI and Host come in order of trust.
    pub(super) fn name(&mut self, uid: Uid, name: &Arc<str>, source: &'static str) {
        self.names.entry(uid, || (name.clone(), source));
    }

    /// The flow's own name and where it came from.
    pub(super) fn name_of(&self, uid: Uid) -> Option<(&Arc<str>, &'static str)> {
        self.names.get(&uid).map(|(name, source)| (name, *source))
    }

    /// The flow is over: its state goes now, its name with the next observation.
    pub(super) fn close(&mut self, uid: Uid) -> Option<OpenFlow> {
        self.closing = Some(uid);
        self.open.remove(&uid)
    }

    /// Another observation came.
    pub(super) fn forget_closed(&mut self) {
        if let Some(uid) = self.closing.take() {
            self.names.remove(&uid);
        }
    }

    pub(super) fn tables(&self) -> [Table; 2] {
        [self.open.table().and_evicted(self.dropped), self.names.table()]
    }
}

/// Long enough for a slow server's hello, short enough that an alert is not late.
const SETTLE: Duration = Duration::from_secs(10);
/// Outbound flows at one moment, some 200 bytes each; what makes room is judged as it stands and loses its later signs
/// of life.
const MAX_FLOWS: usize = 150_000;
/// Signs of life kept beside the first packet while a flow waits: at least two seconds lie between bursts.
pub(super) const MAX_WAITING: usize = 15;
