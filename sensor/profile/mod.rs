//! What is usual for a host of the site, and who it is.
//!
//! Reads observations and says them again as `Activity`: who met which destination owner, for the first time or not,
//! how many others had met it *before*. What an activity carries was known before it, so scoring precedes learning by
//! construction.

mod activity;
mod declared;
mod flows;
mod hosts;
mod names;
mod tenants;
mod tie;

pub(crate) use activity::{Act, Activity, CheckIn, Contact, Fetch, Touch, What};
pub(crate) use declared::{Declared, DeclaredHost, HostRole, MayReach, Policy};
pub(crate) use hosts::Host;
pub(crate) use tenants::{Tenant, TenantId};
pub(crate) use tie::{Script, Tie};

use crate::base::{Capped, Timestamp, Transport};
use crate::event::{
    Banner, ConnState, Counters, Direction, Event, File, FileAction, FlowRecord, Identity, Observation, Reach, Request,
    Uid,
};
use crate::intel::Intel;
use flows::{MAX_WAITING, OpenFlow, OpenFlows};
use hosts::Hosts;
use names::NameMemory;
use std::net::IpAddr;
use std::sync::Arc;
use tenants::Tenants;

/// Everything known about the site and its destinations so far.
#[derive(Debug)]
pub(crate) struct Profiles {
    declared: Arc<Declared>,
    intel: Arc<Intel>,
    names: NameMemory,
    tenants: Tenants,
    ties: Capped<(IpAddr, TenantId), Tie>,
    hosts: Hosts,
    flows: OpenFlows,
    admin_shares: Capped<Uid, Box<str>>,
    /// When conversations into the site's hosts began, while they last.
    inner: Capped<Uid, Timestamp>,
    agents: Capped<Box<str>, Option<Arc<str>>>,
    counts: Counts,
}

/// What was seen, for the summary and for `not_visible`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) outbound_flows: u64,
    pub(crate) nameless_flows: u64,
    pub(crate) internal_flows: u64,
    pub(crate) resolutions: u64,
    pub(crate) one_sided_flows: u64,
    pub(crate) missed_bytes: u64,
    pub(crate) payload_bytes: u64,
    /// First contacts with destinations that are not everyday infrastructure.
    pub(crate) firsts: u64,
    /// Of these, those with a destination nobody else had met.
    pub(crate) lone_firsts: u64,
    /// First and last moment seen.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
}

impl Profiles {
    pub(crate) fn new(declared: Arc<Declared>, intel: Arc<Intel>) -> Self {
        Self {
            names: NameMemory::new(),
            tenants: Tenants::new(),
            ties: Capped::new(MAX_TIES),
            hosts: Hosts::new(declared.clone()),
            flows: OpenFlows::new(),
            admin_shares: Capped::new(MAX_ADMIN_FLOWS),
            inner: Capped::new(MAX_INNER_FLOWS),
            agents: Capped::new(MAX_AGENTS),
            counts: Counts::default(),
            declared,
            intel,
        }
    }

    /// Reads the next observation; what it means goes to `out`, then it is learned.
    pub(crate) fn read(&mut self, seen: &Observation, out: &mut Vec<Activity>) {
        self.flows.forget_closed();
        let (first, last) = self.counts.span.unwrap_or((seen.ts, seen.ts));
        self.counts.span = Some((first, last.max(seen.ts)));
        while let Some(uid) = self.flows.due(seen.ts) {
            self.judge(uid, out);
        }
        match &seen.event {
            Event::FlowOpened => self.opened(seen, out),
            Event::FlowProgress(counters) => self.progress(seen, counters, out),
            Event::FlowClosed(record) => self.closed(seen, record, out),
            Event::Resolution(told) => {
                self.counts.resolutions = self.counts.resolutions.saturating_add(1);
                self.names.learn(seen.orig.ip, told, seen.ts);
            }
            Event::Handshake(handshake) => {
                if let Some(sni) = &handshake.sni {
                    self.named(seen.uid, sni, "sni");
                }
                self.judge(seen.uid, out);
            }
            Event::Request(request) => self.requested(seen, request, out),
            Event::Execution(execution) => self.acted(seen, What::Execution(execution.clone()), out),
            Event::Share(share) => {
                if share.path.ends_with('$') && !share.path.to_ascii_uppercase().ends_with("IPC$") {
                    self.admin_shares.insert(seen.uid, share.path.clone());
                }
            }
            Event::File(file) => self.filed(seen, file, out),
            Event::Banner(banner) => self.greeted(seen, banner, out),
            Event::Identity(identity) => self.identified(seen, identity),
            Event::Rpc(_) | Event::Authentication(_) | Event::Weird(_) => {}
        }
    }

    /// The input ended: flows still unsettled are judged as they stand.
    pub(crate) fn finish(&mut self, out: &mut Vec<Activity>) {
        while let Some(uid) = self.flows.due(Timestamp::MAX) {
            self.judge(uid, out);
        }
    }

    /// The best name of a flow's responder and where it came from.
    pub(crate) fn name_of(&self, uid: Uid, orig: IpAddr, resp: IpAddr, now: Timestamp) -> Option<(&str, &'static str)> {
        let wire = self.flows.name_of(uid);
        wire.or_else(|| self.names.name(orig, resp, now).map(|name| (name, "dns"))).map(|(n, source)| (&**n, source))
    }

    /// What `host` has to do with `tenant`.
    pub(crate) fn tie(&self, host: IpAddr, tenant: TenantId) -> Option<&Tie> {
        self.ties.get(&(host, tenant))
    }

    pub(crate) fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(id)
    }

    pub(crate) fn host(&self, ip: IpAddr) -> Option<&Host> {
        self.hosts.get(ip)
    }

    /// What to call a host.
    pub(crate) fn host_name(&self, ip: IpAddr) -> Option<&str> {
        self.hosts.name(ip)
    }

    /// Roles somebody declared for a host.
    pub(crate) fn roles(&self, ip: IpAddr) -> &[HostRole] {
        self.hosts.roles(ip)
    }

    /// Hosts of the site met so far.
    pub(crate) fn fleet(&self) -> u32 {
        u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn declared(&self) -> &Declared {
        &self.declared
    }

    pub(crate) fn is_inside(&self, ip: IpAddr) -> bool {
        self.declared.site.is_inside(ip)
    }

    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Entries that made room for others.
    pub(crate) fn evicted(&self) -> u64 {
        let parts = [
            self.names.evicted(),
            self.tenants.evicted(),
            self.ties.evicted(),
            self.hosts.evicted(),
            self.flows.evicted(),
            self.admin_shares.evicted(),
            self.inner.evicted(),
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }

    fn opened(&mut self, seen: &Observation, out: &mut Vec<Activity>) {
        let (orig, resp) = (seen.orig, seen.resp);
        match self.declared.site.reach(orig.ip, resp.ip) {
            Reach::Outbound if counts_as_contact(resp.ip, seen.transport) => {
                self.hosts.seen(orig.ip, seen.ts);
                self.counts.outbound_flows = self.counts.outbound_flows.saturating_add(1);
                let flow = OpenFlow {
                    opened: seen.ts,
                    host: orig.ip,
                    resp,
                    transport: seen.transport,
                    tenant: None,
                    waiting: vec![(seen.ts, None)],
                    counted: Counters::default(),
                };
                if let Some(oldest) = self.flows.crowded_out() {
                    self.judge(oldest, out);
                    self.flows.drop(oldest);
                }
                self.flows.open(seen.uid, flow);
            }
            Reach::Outbound => {
                self.hosts.seen(orig.ip, seen.ts);
            }
            Reach::Internal => {
                self.counts.internal_flows = self.counts.internal_flows.saturating_add(1);
                self.inner.insert(seen.uid, seen.ts);
                self.touched(seen, out);
            }
            Reach::Inbound => {
                self.inner.insert(seen.uid, seen.ts);
            }
            Reach::Transit => {}
        }
    }

    fn touched(&mut self, seen: &Observation, out: &mut Vec<Activity>) {
        if is_unicast(seen.resp.ip) {
            self.hosts.seen(seen.orig.ip, seen.ts);
            let (ts, orig, resp, transport) = (seen.ts, seen.orig.ip, seen.resp, seen.transport);
            out.push(Activity::Touch(Touch { ts, orig, resp, transport }));
        }
    }

    fn progress(&mut self, seen: &Observation, counters: &Counters, out: &mut Vec<Activity>) {
        let Some(flow) = self.flows.get_mut(seen.uid) else {
            if self.declared.site.reach(seen.orig.ip, seen.resp.ip) == Reach::Internal {
                self.touched(seen, out);
            }
            return;
        };
        let moved = Some(flow.moved(counters));
        let host = flow.host;
        match flow.tenant {
            Some(tenant) => out.push(Activity::CheckIn(CheckIn { ts: seen.ts, host, tenant, moved })),
            None if flow.waiting.len() < MAX_WAITING => flow.waiting.push((seen.ts, moved)),
            None => {}
        }
        if let Some(tie) = flow.tenant.and_then(|tenant| self.ties.get_mut(&(host, tenant))) {
            tie.last = tie.last.max(seen.ts);
        }
        self.hosts.seen(host, seen.ts);
    }

    fn closed(&mut self, seen: &Observation, record: &FlowRecord, out: &mut Vec<Activity>) {
        let counts = &mut self.counts;
        let payload = record.counters.orig_bytes.saturating_add(record.counters.resp_bytes);
        counts.payload_bytes = counts.payload_bytes.saturating_add(payload);
        counts.missed_bytes = counts.missed_bytes.saturating_add(record.missed_bytes);
        counts.one_sided_flows = counts.one_sided_flows.saturating_add(u64::from(record.one_sided));
        // An address that never answered is no host.
        if record.counters.resp_pkts > 0 && self.is_inside(record.resp.ip) && is_unicast(record.resp.ip) {
            self.hosts.seen(record.resp.ip, record.last);
        }
        self.judge(seen.uid, out);
        self.admin_shares.remove(&seen.uid);
        self.entered(seen, record, out);
        self.inner.remove(&seen.uid);
        let Some(flow) = self.flows.close(seen.uid) else { return };
        let Some(tenant) = flow.tenant else { return };
        let (up, down) = (record.counters.orig_bytes, record.counters.resp_bytes);
        if let Some(tie) = self.ties.get_mut(&(flow.host, tenant)) {
            tie.up = tie.up.saturating_add(up);
            tie.down = tie.down.saturating_add(down);
            tie.last = tie.last.max(record.last);
            // No SYN was seen: the flow may be older than the data, so it is no first contact.
            tie.under_way |=
                tie.is_first(seen.uid) && record.conn_state == ConnState::Oth && record.transport == Transport::Tcp;
        }
    }

    fn requested(&mut self, seen: &Observation, request: &Request, out: &mut Vec<Activity>) {
        if let Some(name) = request.host.as_deref().and_then(host_name) {
            self.named(seen.uid, name, "http");
        }
        self.judge(seen.uid, out);
        let Some(flow) = self.flows.get_mut(seen.uid) else { return };
        let (host, Some(tenant)) = (flow.host, flow.tenant) else { return };
        out.push(Activity::CheckIn(CheckIn { ts: request.started, host, tenant, moved: None }));
        let agent = request.user_agent.as_deref().and_then(|text| self.agent(text));
        if let Some(tie) = self.ties.get_mut(&(host, tenant)) {
            tie.requested(request.host.as_deref(), request.content, agent.as_deref());
        }
        out.push(Activity::Fetch(Fetch {
            ts: request.started,
            uid: seen.uid,
            host,
            tenant,
            uri: request.uri.clone(),
            content: request.content,
            user_agent: request.user_agent.clone(),
            agent,
            bytes: request.response_body_len,
        }));
    }

    /// What kind of program a user agent names; the patterns are asked once for each text.
    fn agent(&mut self, text: &str) -> Option<Arc<str>> {
        if let Some(known) = self.agents.get_mut(text) {
            return known.clone();
        }
        let kind: Option<Arc<str>> = self.intel.user_agent(text).map(|client| (&*client.kind).into());
        self.agents.insert(text.into(), kind.clone());
        kind
    }

    fn acted(&mut self, seen: &Observation, what: What, out: &mut Vec<Activity>) {
        if self.is_inside(seen.resp.ip) && is_unicast(seen.resp.ip) {
            self.hosts.seen(seen.resp.ip, seen.ts);
            let (ts, uid, by, on) = (seen.ts, seen.uid, seen.orig.ip, seen.resp);
            let opened = self.inner.get(&uid).copied().unwrap_or(ts);
            out.push(Activity::Act(Act { ts, opened, uid, by, on, what }));
        }
    }

    fn filed(&mut self, seen: &Observation, file: &File, out: &mut Vec<Activity>) {
        let written = matches!(file.action, FileAction::Write | FileAction::Rename);
        let runs = file.path.rsplit('.').next().is_some_and(|end| RUNNABLE.iter().any(|r| end.eq_ignore_ascii_case(r)));
        if written && runs && self.admin_shares.get(&seen.uid).is_some() {
            let what = What::File { path: file.path.clone() };
            self.acted(seen, what, out);
        }
    }

    fn greeted(&mut self, seen: &Observation, banner: &Banner, out: &mut Vec<Activity>) {
        let inside = self.is_inside(seen.orig.ip);
        if matches!(banner.protocol, "rdp" | "ssh" | "vnc") && banner.from == Direction::Resp && inside {
            self.acted(seen, What::Session(banner.protocol), out);
        }
    }

    /// A conversation with a remote administration port of the site from outside, in which both sides had their say.
    fn entered(&mut self, seen: &Observation, record: &FlowRecord, out: &mut Vec<Activity>) {
        let said = record.counters.orig_bytes.min(record.counters.resp_bytes);
        let service = ENTRANCES.iter().find(|(port, _)| *port == record.resp.port).map(|(_, service)| *service);
        if let Some(service) = service.filter(|_| said >= MIN_SESSION_BYTES && record.transport == Transport::Tcp)
            && self.declared.site.reach(record.orig.ip, record.resp.ip) == Reach::Inbound
        {
            let (ts, opened, uid, by, on) = (record.last, record.ts, seen.uid, record.orig.ip, record.resp);
            out.push(Activity::Act(Act { ts, opened, uid, by, on, what: What::Session(service) }));
        }
    }

    fn identified(&mut self, seen: &Observation, identity: &Identity) {
        let side = identity.side.map(|side| match side {
            Direction::Orig => seen.orig.ip,
            Direction::Resp => seen.resp.ip,
        });
        let Some(ip) = identity.ip.or(side) else { return };
        if let Some(name) = identity.hostname.as_deref().filter(|n| !n.is_empty())
            && self.is_inside(ip)
            && !ip.is_unspecified()
        {
            let name = name.into();
            self.hosts.named(ip, name, identity.source, seen.ts);
        }
    }

    fn named(&mut self, uid: Uid, name: &str, source: &'static str) {
        if name.parse::<IpAddr>().is_err() && !name.is_empty() {
            let name = self.names.intern(name);
            self.flows.name(uid, &name, source);
        }
    }

    /// Decides whom the flow is with, once; tells the contact and the signs of life that waited for it. A name that
    /// comes later moves a contact that nothing else has touched.
    fn judge(&mut self, uid: Uid, out: &mut Vec<Activity>) {
        let wire = self.flows.name_of(uid).map(|(name, _)| name.clone());
        let Some(flow) = self.flows.get_mut(uid) else { return };
        let (host, resp, ts, transport) = (flow.host, flow.resp, flow.opened, flow.transport);
        let before = flow.tenant;
        if before.is_some() && wire.is_none() {
            return;
        }
        let name = wire.or_else(|| self.names.name(host, resp.ip, ts).cloned());
        let known = self.tenants.of(&self.intel, name.as_ref(), resp.ip);
        let tenant = known.tenant;
        if before == Some(tenant) {
            return;
        }
        if let Some(old) = before
            && self.ties.get(&(host, old)).is_some_and(|tie| tie.flows == 1 && tie.is_first(uid))
        {
            self.ties.remove(&(host, old));
            self.tenants.unused(old, host);
        }
        let others = self.tenants.get(tenant).map_or(0, Tenant::used_by);
        let first = self.ties.get(&(host, tenant)).is_none();
        let nameless = name.is_none();
        let background = known.standing.is_background() || is_plumbing(transport, resp.port);
        let tie = self
            .ties
            .entry((host, tenant), || Tie::new(ts, uid, (resp, transport), name.clone(), known.standing.clone()));
        tie.add(ts, uid, resp, background);
        if first {
            self.tenants.used(tenant, host, ts);
            if !background {
                self.counts.firsts = self.counts.firsts.saturating_add(1);
                self.counts.lone_firsts = self.counts.lone_firsts.saturating_add(u64::from(others == 0));
                let host = self.hosts.seen(host, ts);
                host.firsts = host.firsts.saturating_add(1);
                host.recent.push((ts, tenant));
            }
        }
        if before.is_none() {
            self.counts.nameless_flows = self.counts.nameless_flows.saturating_add(u64::from(nameless));
        }
        let standing = known.standing;
        out.push(Activity::Contact(Contact { ts, host, resp, tenant, name, standing, first, background }));
        if let Some(flow) = self.flows.get_mut(uid) {
            flow.tenant = Some(tenant);
            for (ts, moved) in std::mem::take(&mut flow.waiting) {
                out.push(Activity::CheckIn(CheckIn { ts, host, tenant, moved }));
            }
        }
    }
}

/// The host of a Host header: without its port, `None` for an address.
fn host_name(host: &str) -> Option<&str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    (!name.starts_with('[') && name.parse::<IpAddr>().is_err()).then_some(name)
}

/// Traffic that can be a conversation with somebody outside.
fn counts_as_contact(resp: IpAddr, transport: Transport) -> bool {
    is_unicast(resp) && !matches!(transport, Transport::Icmp | Transport::Icmp6 | Transport::Other(_))
}

fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified() && ip.octets()[0] != 0,
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unspecified(),
    }
}

/// Look-ups and time: every host does them, and what they reach says little about intent.
fn is_plumbing(transport: Transport, port: u16) -> bool {
    matches!((transport, port), (Transport::Udp | Transport::Tcp, 53) | (Transport::Udp, 123 | 3478))
}

/// (host, owner) pairs held; some 230 bytes each with their names shared.
const MAX_TIES: usize = 200_000;
/// Flows with an administrative share at one moment.
const MAX_ADMIN_FLOWS: usize = 100_000;
/// Conversations into the site's hosts at one moment; what began earlier is taken to begin with its first act.
const MAX_INNER_FLOWS: usize = 200_000;
/// Ports at which machines are administered.
const ENTRANCES: &[(u16, &str)] =
    &[(22, "ssh"), (445, "smb"), (3389, "rdp"), (5900, "vnc"), (5985, "winrm"), (5986, "winrm")];
/// Payload of the quieter side from which on somebody was let in: a refused sign-in says less.
const MIN_SESSION_BYTES: u64 = 16_384;
/// User agents whose kind is remembered.
const MAX_AGENTS: usize = 10_000;
/// What Windows runs, or loads into something that runs, by the end of its name.
const RUNNABLE: &[&str] =
    &["exe", "dll", "ps1", "psm1", "bat", "cmd", "vbs", "js", "hta", "msi", "scr", "sys", "com", "tmp", "jar", "mof"];
