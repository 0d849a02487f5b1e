//! The contact index: who was in contact with whom lately, how often that is so, and what each case saw of it.
//!
//! Either direction counts: a poisoned update may be pushed or pulled. A case is held as it stood when it came: later
//! contacts must not change what preceded it, except for what is known late, the size of a transfer under way.

use super::case::{Case, Exposure};
use super::cases::Cases;
use super::hubs::{Hub, SLACK_S};
use super::pairs::{Added, DAY_S, HostLog, Mark, PerMark, moment};
use super::unsaved::Unsaved;
use crate::base::{Budget, Capped, Table, Timestamp};
use crate::detect::WeakCase;
use crate::profile::{HostId, Moved, TenantId, Touch};
use std::collections::{BTreeMap, BTreeSet};

/// Server and machine of a contact that bore a mark, seen from either end.
pub(super) type Marked = [Option<(HostId, HostId)>; 2];

/// The contact index.
#[derive(Clone, Debug)]
pub(crate) struct Contacts {
    pub(super) hosts: Capped<HostId, HostLog>,
    pub(super) hubs: Capped<HostId, Hub>,
    pub(super) cases: Cases,
    /// Destinations with a new case since the last look.
    pub(super) touched: BTreeSet<TenantId>,
    /// Those of them with one since the last glance, or where somebody made code run on a host that has one. Not saved:
    /// after a restart all are taken as such.
    pub(super) fresh: BTreeSet<TenantId>,
    /// Hosts whose traffic to a destination is unusual, and whether the kind of program is among what is.
    pub(super) unusual: Capped<(HostId, TenantId), bool>,
    /// Steady host-bins and boots of all hosts together; decay is the hosts' own, so this is an upper bound.
    pub(super) bins: f64,
    pub(super) boots: f64,
    /// Hosts active in the present hour and in the one before.
    pub(super) active: (u32, u32, u32),
    /// The first moment seen.
    pub(super) began: u32,
    /// What is to be saved, while somebody saves.
    pub(super) unsaved_logs: Unsaved<HostId>,
    pub(super) unsaved_hubs: Unsaved<HostId>,
    pub(super) unsaved_unusual: Unsaved<(HostId, TenantId)>,
}

impl Contacts {
    pub(crate) fn new() -> Self {
        Self {
            hosts: Capped::new(Budget::new("contacts.hosts", MAX_HOSTS, BUSY_PEERS_BYTES)),
            hubs: Capped::new(Budget::new("contacts.hubs", MAX_HUBS, 4_000)),
            cases: Cases::new(),
            touched: BTreeSet::new(),
            fresh: BTreeSet::new(),
            unusual: Capped::new(Budget::new("contacts.unusual", MAX_UNUSUAL, 0)),
            bins: 0.0,
            boots: 0.0,
            active: (0, 0, 0),
            began: 0,
            unsaved_logs: Unsaved::default(),
            unsaved_hubs: Unsaved::default(),
            unsaved_unusual: Unsaved::default(),
        }
    }

    /// A host was alive.
    pub(crate) fn stir(&mut self, host: HostId, ts: Timestamp) {
        let at = moment(ts);
        if self.began == 0 {
            self.began = at;
        }
        self.unsaved_logs.note(host);
        if self.hosts.get(&host).is_none() {
            let out = self.hosts.insert(host, HostLog::default());
            self.cases.grow(self.hosts.len());
            self.lost_by(out.into_iter().flat_map(|(_, log)| log.peers).map(|peer| peer.host));
        }
        let Some(log) = self.hosts.get_mut(&host) else { return };
        let (stir, forgotten) = log.stir(at, self.began);
        if stir.bin || stir.boot {
            self.bins += f64::from(u8::from(stir.bin));
            self.boots += f64::from(u8::from(stir.boot));
            for peer in &log.peers {
                if let Some(hub) = self.hubs.get_mut(&peer.host) {
                    self.unsaved_hubs.note(peer.host);
                    hub.client_bins += f32::from(u8::from(stir.bin));
                    hub.client_boots += f32::from(u8::from(stir.boot));
                }
            }
        }
        if stir.hour {
            let (hour, now, before) = &mut self.active;
            let this = at / 3600;
            if this > *hour {
                *before = if this == *hour + 1 { *now } else { 0 };
                (*hour, *now) = (this, 0);
            }
            *now = now.saturating_add(1);
        }
        self.lost_by(forgotten);
    }

    /// Servers that have a client less.
    fn lost_by(&mut self, servers: impl IntoIterator<Item = HostId>) {
        for server in servers {
            if let Some(hub) = self.hubs.peek_mut(&server) {
                hub.lost();
                self.unsaved_hubs.note(server);
            }
        }
    }

    /// All is read from a file: no server has more clients than there are hosts that know it. A file of before may say so,
    /// since who was not met for a month was not taken off.
    pub(super) fn recount(&mut self) {
        let mut clients: BTreeMap<HostId, u32> = BTreeMap::new();
        for peer in self.hosts.iter().flat_map(|(_, log)| &log.peers) {
            let count = clients.entry(peer.host).or_default();
            *count = count.saturating_add(1);
        }
        let servers: Vec<HostId> = self.hubs.iter().map(|(id, _)| *id).collect();
        for id in servers {
            if let Some(hub) = self.hubs.peek_mut(&id) {
                hub.clients = hub.clients.min(clients.get(&id).copied().unwrap_or(0));
            }
        }
    }

    /// Two hosts of the site talked.
    pub(crate) fn touch(&mut self, seen: &Touch) {
        let at = moment(seen.ts);
        self.stir(seen.orig, seen.ts);
        self.stir(seen.resp, seen.ts);
        for (host, server, began) in [(seen.orig, seen.resp, 0), (seen.resp, seen.orig, 1 << 16)] {
            self.contact_of(host, server, at);
            let port = if seen.port >= DYNAMIC { DYNAMIC } else { seen.port };
            if let Some(hub) = self.hubs.get_mut(&server)
                && hub.is_novel(u32::from(port) | began, at)
            {
                self.marked(host, server, Mark::Novel, at);
            }
        }
    }

    /// Somebody made code run on a host, or put it there.
    pub(crate) fn executed(&mut self, by: HostId, on: HostId, ts: Timestamp) {
        let at = moment(ts);
        self.stir(on, ts);
        self.contact_of(on, by, at);
        self.marked(on, by, Mark::Execution, at);
        // Told late, it may have preceded a case that stands already.
        let Self { cases, fresh, touched, .. } = self;
        fresh.extend(cases.of_host(on).map(|case| case.tenant).filter(|tenant| touched.contains(tenant)));
    }

    /// How much a contact moved became known; which server sent which machine more than it ever does comes back.
    pub(crate) fn moved(&mut self, seen: &Moved) -> Marked {
        let mut much = [None, None];
        let at = moment(seen.ts);
        let ends = [(seen.orig, seen.resp, seen.resp_bytes), (seen.resp, seen.orig, seen.orig_bytes)];
        for ((host, server, bytes), more) in ends.into_iter().zip(&mut much) {
            let large = self.hubs.get_mut(&server).is_some_and(|hub| hub.sent(seen.port, bytes));
            self.unsaved_hubs.note(server);
            if large {
                self.marked(host, server, Mark::Large, at);
                *more = Some((server, host));
            }
        }
        much
    }

    /// A host met a destination for the first time, perhaps through a proxy: keeps what preceded it. What `everybody` knows is
    /// no case yet.
    pub(crate) fn case(
        &mut self,
        (host, through): (HostId, Option<HostId>),
        tenant: TenantId,
        ts: Timestamp,
        (nats, everybody): (f64, bool),
    ) {
        if let Some(log) = self.hosts.get_mut(&host) {
            log.way = through;
        }
        let Some(case) = self.as_it_stands(host, tenant, ts, nats) else { return };
        if everybody {
            self.cases.pass(case);
        } else {
            self.touch_destination(tenant);
            self.cases.hold(case);
        }
    }

    fn touch_destination(&mut self, tenant: TenantId) {
        self.touched.insert(tenant);
        self.fresh.insert(tenant);
    }

    /// Which servers a host was in contact with before `ts`, but for the way it goes out.
    fn as_it_stands(&self, host: HostId, tenant: TenantId, ts: Timestamp, nats: f64) -> Option<Case> {
        let at = moment(ts);
        let log = self.hosts.get(&host)?;
        let mut exposures: Vec<Exposure> = Vec::new();
        for peer in &log.peers {
            let near = peer.latest(at.saturating_add(SLACK_S)).is_some_and(|time| at.saturating_sub(time) <= NEAR_S);
            let marked = peer.marked.iter().skip(1).any(|time| *time > 0 && at.saturating_sub(*time) <= DAY_S);
            if near || marked {
                let hub = self.hubs.get(&peer.host);
                let just_now = SHORT_S.map(|span| hub.map_or(0, |hub| hub.met_just_now(at, span)));
                let (usual, at_boot) = self.usual_of(log, peer.host, at);
                exposures.push(Exposure {
                    peer: peer.host,
                    times: peer.times,
                    marked: peer.marked,
                    usual,
                    at_boot,
                    just_now,
                    met: Exposure::UNKNOWN,
                });
            }
        }
        exposures.retain_mut(|exposure| log.way != Some(exposure.peer) || exposure.carried());
        let weight = |e: &Exposure| (e.marked.iter().skip(1).max().copied().unwrap_or(0).max(e.times[0]), e.peer);
        exposures.sort_unstable_by_key(|e| std::cmp::Reverse(weight(e)));
        exposures.truncate(MAX_EXPOSURES);
        exposures.shrink_to_fit();
        let (watched_bins, booted) = (log.steady_before(), log.booted_at());
        let active = self.active();
        Some(Case { host, tenant, ts, nats, watched_bins, booted, active, exposures })
    }

    /// What is known by now of the contacts before the cases of the last quarter of an hour.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let Self { hosts, hubs, cases, .. } = self;
        cases.settle(now, SETTLE_S, |case| complete(case, now, hosts, hubs));
    }

    /// The same for the cases of these destinations.
    pub(crate) fn settle_of(&mut self, tenants: &BTreeSet<TenantId>, now: Timestamp) {
        let Self { hosts, hubs, cases, .. } = self;
        tenants.iter().for_each(|tenant| cases.settle_of(*tenant, |case| complete(case, now, hosts, hubs)));
    }

    /// A host's traffic to a destination is unusual: its first contact there, or this one when it was known before, is a
    /// case whatever others do.
    pub(crate) fn unusual(&mut self, now: Timestamp, case: &WeakCase) {
        let Some(tenant) = case.tenant else { return };
        let odd_client = case.odd_client || self.has_odd_client(case.host, tenant);
        // Before the fleet is known nobody can say so.
        if case.p.is_some() {
            self.unusual.insert((case.host, tenant), odd_client);
            self.unsaved_unusual.note((case.host, tenant));
        }
        self.touch_destination(tenant);
        if !self.cases.promote(case.host, tenant)
            && now.secs_since(case.ts) <= f64::from(NEAR_S)
            && let Some(case) = self.as_it_stands(case.host, tenant, case.ts, case.nats)
        {
            self.cases.hold(case);
        }
    }

    /// Whether a host's traffic to a destination is unusual for itself and its peers.
    pub(crate) fn is_unusual(&self, host: HostId, tenant: TenantId) -> bool {
        self.unusual.get(&(host, tenant)).is_some()
    }

    /// Whether a kind of program speaks that is unusual there.
    pub(crate) fn has_odd_client(&self, host: HostId, tenant: TenantId) -> bool {
        self.unusual.get(&(host, tenant)).is_some_and(|odd| *odd)
    }

    /// Destinations with a new case since the last call.
    pub(crate) fn touched(&mut self) -> BTreeSet<TenantId> {
        self.fresh.clear();
        std::mem::take(&mut self.touched)
    }

    /// Those of them that a glance has to look at since the last one; they stay touched.
    pub(super) fn fresh(&mut self) -> BTreeSet<TenantId> {
        std::mem::take(&mut self.fresh)
    }

    pub(crate) const fn cases(&self) -> &Cases {
        &self.cases
    }

    /// How usual contacts of `host` with `server` are, for a case without any of late.
    pub(crate) fn usual(&self, host: HostId, server: HostId, ts: Timestamp) -> (PerMark<f32>, f32) {
        self.hosts.get(&host).map_or(([0.0; 4], 0.0), |log| self.usual_of(log, server, moment(ts)))
    }

    /// Hosts `server` met with a mark before `ts`, as the ring still knows it: in the shorter and the longer span.
    pub(crate) fn met(&self, server: HostId, mark: Mark, ts: Timestamp) -> [u32; 2] {
        self.hubs.get(&server).map_or([u32::MAX; 2], |hub| met(hub, mark, moment(ts)))
    }

    /// Ten-minute bins a host was active in, outside boots.
    pub(super) fn bins_of(&self, host: HostId) -> f32 {
        self.hosts.get(&host).map_or(0.0, |log| log.steady)
    }

    /// Hosts active in this hour or the one before, whichever were more.
    pub(super) fn active(&self) -> u32 {
        self.active.1.max(self.active.2)
    }

    pub(crate) fn hub(&self, server: HostId) -> Option<&Hub> {
        self.hubs.get(&server)
    }

    /// Whether `host` was ever in contact with `server`, as far as is remembered.
    /// All machines that were in contact with any, and whether each was with `server`.
    pub(crate) fn clients_of(&self, server: HostId) -> impl Iterator<Item = (HostId, bool)> {
        self.hosts.iter().map(move |(host, log)| (*host, log.peer(server).is_some()))
    }

    pub(crate) fn is_client(&self, host: HostId, server: HostId) -> bool {
        self.hosts.get(&host).is_some_and(|log| log.peer(server).is_some())
    }

    pub(crate) fn tables(&self) -> [Table; 4] {
        [self.hosts.table(), self.hubs.table(), self.unusual.table(), self.cases.table()]
    }

    fn contact_of(&mut self, host: HostId, server: HostId, at: u32) {
        let log = self.hosts.entry(host, HostLog::default);
        let (added, out) = log.touch(server, at);
        let Added { pair, bin, boot, slot, before } = added;
        let steady = log.steady;
        self.lost_by(out);
        self.unsaved_logs.note(host);
        self.unsaved_hubs.note(server);
        let hub = self.hubs.entry(server, Hub::default);
        hub.touch(at, before, slot);
        if pair {
            hub.gained(host);
            hub.client_bins += steady;
        }
        if let Some(any) = hub.bins.first_mut() {
            *any += f32::from(u8::from(bin));
        }
        hub.boots += f32::from(u8::from(boot));
    }

    fn marked(&mut self, host: HostId, server: HostId, mark: Mark, at: u32) {
        let newly = self.hosts.get_mut(&host).and_then(|log| log.peer_mut(server)).is_some_and(|p| p.mark(mark, at));
        if let Some(hub) = self.hubs.get_mut(&server).filter(|_| newly) {
            hub.mark(mark, at);
            if let Some(bins) = hub.bins.get_mut(mark.index()) {
                *bins += 1.0;
            }
        }
    }

    /// Chance of a contact in ten minutes for each mark, and at a boot, the hour before `at` left out; shrunk towards
    /// what the server's clients show, or all hosts when this one is none.
    fn usual_of(&self, log: &HostLog, server: HostId, at: u32) -> (PerMark<f32>, f32) {
        let (peer, hub) = (log.peer(server), self.hubs.get(&server));
        #[expect(clippy::cast_possible_truncation, reason = "a share")]
        let (all_bins, all_boots) = (self.bins as f32, self.boots as f32);
        let (bins, boots) = match (peer, hub) {
            (Some(_), Some(hub)) => (hub.client_bins, hub.client_boots),
            _ => (all_bins, all_boots),
        };
        let pooled = |count: f32, of: f32| if of > 0.0 { (count / of).min(1.0) } else { 0.0 };
        let own = log.steady_before();
        let rate = |mark: Mark| {
            let of_all = hub.and_then(|hub| hub.bins.get(mark.index())).map_or(0.0, |count| pooled(*count, bins));
            let seen = peer.map_or(0.0, |peer| peer.bins_before(mark, at));
            ((seen + SHRINK_BINS * of_all) / (own + SHRINK_BINS)).clamp(0.0, 1.0)
        };
        // The boot at hand is the case's own time: neither it nor its contact count.
        let this = f32::from(u8::from(log.in_boot(at)));
        let met = peer.map_or(0.0, |peer| (peer.boots - this).max(0.0));
        let of_all = hub.map_or(0.0, |hub| pooled(hub.boots, boots));
        let at_boot = ((met + SHRINK_BOOTS * of_all) / ((log.boots - this).max(0.0) + SHRINK_BOOTS)).clamp(0.0, 1.0);
        (Mark::ALL.map(rate), at_boot)
    }
}

/// Adds to a case what became known since of the contacts before it.
fn complete(case: &mut Case, now: Timestamp, hosts: &Capped<HostId, HostLog>, hubs: &Capped<HostId, Hub>) {
    let (at, log) = (moment(case.ts), hosts.get(&case.host));
    // Until then the ring is asked at the test.
    let last = now.secs_since(case.ts) > SETTLE_S;
    for exposure in &mut case.exposures {
        if let Some(peer) = log.and_then(|log| log.peer(exposure.peer)) {
            let preceded = |time: &u32| *time <= at.saturating_add(SLACK_S);
            for (known, new) in exposure.marked.iter_mut().zip(peer.marked).skip(1) {
                *known = (*known).max(if preceded(&new) { new } else { 0 });
            }
        }
        if let Some(hub) = hubs.get(&exposure.peer).filter(|_| last) {
            exposure.met = Mark::ALL.map(|mark| met(hub, mark, at));
        }
    }
}

/// Hosts met before `at`: any contact in ten minutes and an hour, marked ones in an hour and a day.
fn met(hub: &Hub, mark: Mark, at: u32) -> [u32; 2] {
    let spans = if mark == Mark::Any { [600, 3600] } else { [3600, DAY_S] };
    spans.map(|span| hub.met(mark, at, span).unwrap_or(u32::MAX))
}

/// Hosts with a log of their own: 250,000 machines and their servers.
const MAX_HOSTS: usize = 250_000;
/// What a busy host's peers take: 24 of 60 bytes, twice what detection.md §4.5 counts with.
const BUSY_PEERS_BYTES: usize = 1_440;
/// Hosts seen from those they meet: every host is one, most with one client and 250 bytes; a hub takes 15 kB.
const MAX_HUBS: usize = 65_536;
/// (host, destination) pairs known to be unusual.
const MAX_UNUSUAL: usize = 32_768;
/// Peers a case remembers, nearest first.
pub(super) const MAX_EXPOSURES: usize = 16;
/// The longest scale without a mark.
const NEAR_S: u32 = 3600;
/// The short scales, which slots of five minutes cannot tell apart.
pub(crate) const SHORT_S: [u32; 2] = [30, 120];
/// Sizes of transfers are known once they end, which few take longer for.
const SETTLE_S: f64 = 900.0;
/// Bins and boots of pooled experience added to each host's own: κ of detection.md §4.4.
const SHRINK_BINS: f32 = 10.0;
const SHRINK_BOOTS: f32 = 4.0;
/// Ports from here on are handed out anew each time (RFC 6335 §6).
const DYNAMIC: u16 = 49_152;

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: HostId = HostId(1);
    const T: i64 = 1_600_000_000;

    #[test]
    fn who_was_not_met_for_a_month_is_no_client() {
        let mut contacts = Contacts::new();
        for (day, n) in (0..40_i64).flat_map(|day| (0..20_u32).map(move |n| (day, n))) {
            let (host, ts) = (HostId(100 + n), Timestamp::from_secs(T + day * 86_400 + i64::from(n)));
            contacts.stir(host, ts);
            // Half of them turn to another server after five days.
            if n < 10 || day < 5 {
                contacts.contact_of(host, SERVER, moment(ts));
            }
            let known = contacts.hosts.iter().filter(|(_, log)| log.peer(SERVER).is_some()).count();
            assert_eq!(contacts.hubs.get(&SERVER).map(|hub| hub.clients as usize), Some(known), "day {day}");
        }
        assert_eq!(contacts.hubs.get(&SERVER).unwrap().clients, 10);
        contacts.hubs.get_mut(&SERVER).unwrap().clients = 99;
        contacts.recount();
        assert_eq!(contacts.hubs.get(&SERVER).unwrap().clients, 10, "a file of before said more");
    }

    /// Whoever goes out through a proxy was in contact with it just before, each time.
    #[test]
    fn the_way_out_is_no_cause_of_going_out() {
        let (host, ts) = (HostId(7), |at: i64| Timestamp::from_secs(T + at));
        for (what, through, runs, expected) in [
            ("a server it had just talked to", None, false, Some([true, false])),
            ("the proxy it went through", Some(SERVER), false, None),
            ("another one", Some(HostId(2)), false, Some([true, false])),
            ("a proxy that made code run there", Some(SERVER), true, Some([false, true])),
        ] {
            let mut contacts = Contacts::new();
            contacts.touch(&Touch {
                ts: ts(5),
                orig: host,
                resp: SERVER,
                port: 8080,
                transport: crate::base::Transport::Tcp,
            });
            if runs {
                contacts.executed(SERVER, host, ts(0));
            }
            contacts.case((host, through), TenantId(3), ts(6), (5.0, false));
            // What turns out to be unusual later went the same way.
            let weak = WeakCase { host, tenant: Some(TenantId(4)), ts: ts(7), nats: 9.0, p: None, odd_client: false };
            contacts.unusual(ts(8), &weak);
            for tenant in [3, 4] {
                let case = contacts.cases().of(TenantId(tenant)).next().unwrap();
                let found = case
                    .exposure(SERVER)
                    .map(|_| [Mark::Any, Mark::Execution].map(|mark| case.contact(SERVER, mark).is_some()));
                assert_eq!(found, expected, "{what}, destination {tenant}");
            }
        }
    }
}
