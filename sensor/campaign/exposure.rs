//! Who was in contact with whom lately, and how often that is so: what the common cause test holds cases against.
//!
//! Either direction counts: a poisoned update may be pushed or pulled. A host's own past is counted in ten-minute bins
//! it was active in; a server's fan-out is kept by moment, for the calendar control. What a case carries was known
//! before it.

use crate::base::{Capped, Ring, Timestamp};
use crate::detect::WeakCase;
use crate::profile::{Contact, HostId, TenantId, Touch};
use std::collections::BTreeSet;
use std::time::Duration;

/// The contact index.
#[derive(Debug)]
pub(crate) struct Exposures {
    hosts: Capped<HostId, Recent>,
    hubs: Capped<HostId, Hub>,
    cases: Ring<Case>,
    /// Destinations with a new case since the last look.
    touched: BTreeSet<TenantId>,
    /// Hosts whose traffic to a destination is unusual.
    unusual: Capped<(HostId, TenantId), ()>,
    /// Host-bins of all hosts together.
    active_bins: u64,
    dropped_cases: u64,
}

/// What one host did lately inside the site.
#[derive(Debug, Default)]
struct Recent {
    peers: Vec<Peer>,
    active_bins: u32,
    last_bin: i64,
}

/// One peer of a host.
#[derive(Clone, Debug)]
struct Peer {
    ip: HostId,
    /// The latest moments, newest first.
    times: [Timestamp; 4],
    bins: u32,
    last_bin: i64,
}

/// The fan-out of one host.
#[derive(Debug)]
struct Hub {
    touched: Ring<(Timestamp, HostId)>,
    /// Host-bins with a contact, over all its peers.
    bins: u64,
}

/// A first contact that may turn out to be one of several.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) host: HostId,
    pub(crate) tenant: TenantId,
    pub(crate) ts: Timestamp,
    /// Ten-minute bins the host had been active in.
    pub(crate) active_bins: u32,
    pub(crate) exposures: Vec<Exposure>,
}

/// A peer that was in contact with the host within the longest scale before its case.
#[derive(Clone, Debug)]
pub(crate) struct Exposure {
    pub(crate) peer: HostId,
    /// Seconds from the latest contact to the case.
    pub(crate) lag_s: f64,
    /// Bins of the host with that peer before, the one of the contact excluded.
    pub(crate) bins: u32,
    /// Share of all host-bins in which the peer was in contact with the host at hand.
    pub(crate) pooled: f64,
}

impl Exposures {
    pub(crate) fn new() -> Self {
        Self {
            hosts: Capped::new(MAX_HOSTS),
            hubs: Capped::new(MAX_HUBS),
            cases: Ring::new(MAX_CASES),
            touched: BTreeSet::new(),
            unusual: Capped::new(MAX_CASES),
            active_bins: 0,
            dropped_cases: 0,
        }
    }

    /// Two hosts of the site talked.
    pub(crate) fn touch(&mut self, seen: &Touch) {
        for (host, peer) in [(seen.orig, seen.resp), (seen.resp, seen.orig)] {
            let recent = self.hosts.entry(host, Recent::default);
            self.active_bins = self.active_bins.saturating_add(u64::from(recent.active(seen.ts)));
            let newly = recent.touched(peer, seen.ts);
            let hub = self.hubs.entry(peer, || Hub { touched: Ring::new(MAX_TOUCHED), bins: 0 });
            hub.touched(host, seen.ts);
            hub.bins = hub.bins.saturating_add(u64::from(newly));
        }
    }

    /// A host met a destination for the first time.
    pub(crate) fn contact(&mut self, seen: &Contact, longest: Duration) {
        let recent = self.hosts.entry(seen.host, Recent::default);
        self.active_bins = self.active_bins.saturating_add(u64::from(recent.active(seen.ts)));
        if !seen.first || seen.background {
            return;
        }
        let mut exposures = Vec::with_capacity(recent.peers.len());
        for peer in &recent.peers {
            let latest = peer.times.iter().find(|at| **at <= seen.ts.plus(SLACK));
            let Some(at) = latest.filter(|at| seen.ts.since(**at) <= longest) else { continue };
            let hub_bins = self.hubs.get(&peer.ip).map_or(0, |hub| hub.bins);
            exposures.push(Exposure {
                peer: peer.ip,
                lag_s: seen.ts.secs_since(*at).max(0.0),
                bins: peer.bins.saturating_sub(1),
                pooled: ratio(hub_bins, self.active_bins),
            });
        }
        let latest_first = |a: &Exposure, b: &Exposure| a.lag_s.total_cmp(&b.lag_s).then(a.peer.cmp(&b.peer));
        // A scan meets somebody new with every packet: only what is kept is put in order.
        if exposures.len() > MAX_EXPOSURES {
            exposures.select_nth_unstable_by(MAX_EXPOSURES, latest_first);
            exposures.truncate(MAX_EXPOSURES);
        }
        exposures.sort_unstable_by(latest_first);
        exposures.shrink_to_fit();
        let active_bins = recent.active_bins.saturating_sub(1);
        let case = Case { host: seen.host, tenant: seen.tenant, ts: seen.ts, active_bins, exposures };
        self.touched.insert(seen.tenant);
        self.dropped_cases = self.dropped_cases.saturating_add(u64::from(self.cases.push(case).is_some()));
    }

    /// A host's traffic to a destination is unusual: its case counts as marked.
    pub(super) fn unusual(&mut self, case: &WeakCase) {
        if let Some(tenant) = case.tenant {
            self.unusual.insert((case.host, tenant), ());
            self.touched.insert(tenant);
        }
    }

    /// Whether a host's traffic to a destination is unusual.
    pub(super) fn is_unusual(&self, host: HostId, tenant: TenantId) -> bool {
        self.unusual.get(&(host, tenant)).is_some()
    }

    /// Destinations with a new case since the last call.
    pub(super) fn touched(&mut self) -> BTreeSet<TenantId> {
        std::mem::take(&mut self.touched)
    }

    /// All cases, in the order they were judged.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter()
    }

    /// Hosts outside `but` that `server` was in contact with in the `span` before `ts`.
    pub(crate) fn reached(&self, server: HostId, ts: Timestamp, span: Duration, but: &BTreeSet<HostId>) -> u32 {
        let Some(hub) = self.hubs.get(&server) else { return 0 };
        let from = ts.minus(span);
        let within = hub.touched.iter().filter(|(at, host)| *at >= from && *at <= ts && !but.contains(host));
        let hosts: BTreeSet<_> = within.map(|(_, host)| *host).collect();
        u32::try_from(hosts.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.hosts.evicted().saturating_add(self.hubs.evicted()).saturating_add(self.dropped_cases)
    }
}

impl Recent {
    /// Notes activity; whether this is a bin not counted before.
    fn active(&mut self, ts: Timestamp) -> bool {
        let bin = bin(ts);
        let newly = self.active_bins == 0 || bin > self.last_bin;
        if newly {
            self.last_bin = bin;
            self.active_bins = self.active_bins.saturating_add(1);
        }
        newly
    }

    /// Notes a contact with `peer`; whether this is a bin not counted before. Of too many peers, the one silent for
    /// longest makes room.
    fn touched(&mut self, peer: HostId, ts: Timestamp) -> bool {
        let bin = bin(ts);
        if let Some(known) = self.peers.iter_mut().find(|known| known.ip == peer) {
            if ts.since(known.times[0]) >= APART {
                known.times.rotate_right(1);
            }
            known.times[0] = known.times[0].max(ts);
            let newly = bin > known.last_bin;
            known.last_bin = known.last_bin.max(bin);
            known.bins = known.bins.saturating_add(u32::from(newly));
            return newly;
        }
        if self.peers.len() >= MAX_PEERS {
            let silent = self.peers.iter().enumerate().min_by_key(|(_, known)| known.times[0]).map(|(at, _)| at);
            if let Some(at) = silent {
                self.peers.swap_remove(at);
            }
        }
        if self.peers.is_empty() {
            // Most addresses of a scan meet one peer only.
            self.peers.reserve_exact(1);
        }
        self.peers.push(Peer {
            ip: peer,
            times: [ts, Timestamp::MIN, Timestamp::MIN, Timestamp::MIN],
            bins: 1,
            last_bin: bin,
        });
        true
    }
}

impl Hub {
    /// Notes that `host` was in contact, once in a while.
    fn touched(&mut self, host: HostId, ts: Timestamp) {
        let again = |(at, known): &&(Timestamp, HostId)| *known == host && ts.since(*at) < APART;
        if self.touched.iter().rev().take(LOOK_BACK).find(again).is_none() {
            self.touched.push((ts, host));
        }
    }
}

fn bin(ts: Timestamp) -> i64 {
    ts.secs().div_euclid(BIN_S)
}

#[expect(clippy::cast_precision_loss, reason = "shares need no more than 52 bits")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Seconds of a bin: detection.md §4.4 counts a host's past in ten minutes.
pub(crate) const BIN_S: i64 = 600;
/// Clocks of two capture points.
const SLACK: Duration = Duration::from_secs(2);
/// Contacts closer than this are one.
const APART: Duration = Duration::from_secs(5);
/// Hosts with an index of their own: 250,000 machines and their servers.
const MAX_HOSTS: usize = 250_000;
/// Peers of one host: a PC has some twelve; a server's are seen from the other side.
const MAX_PEERS: usize = 48;
/// Hosts whose fan-out is kept.
const MAX_HUBS: usize = 8_192;
/// Contacts of one hub kept for the calendar control.
const MAX_TOUCHED: usize = 2_048;
/// How far back a hub looks for the same host.
const LOOK_BACK: usize = 16;
/// First contacts held for the test, at most 900 bytes each; detection.md §4.5 plans twice as many, smaller ones.
const MAX_CASES: usize = 32_768;
/// Peers a case remembers, nearest first.
const MAX_EXPOSURES: usize = 16;
