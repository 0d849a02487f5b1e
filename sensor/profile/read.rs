//! Observations → activities: what each one means for the host it is about, said before it is learned.

use super::activity::{Act, Activity, Call, CheckIn, Closed, Contact, Fetch, Hello, Lookup, Moved, Touch, What};
use super::flows::{InnerFlow, MAX_WAITING, OpenFlow};
use super::{Profiles, Tenant, TenantId, Tie};
use crate::base::{Timestamp, Transport};
use crate::event::{
    Banner, ConnState, Counters, Direction, Event, File, FileAction, FlowRecord, Handshake, Identity, Observation,
    Reach, Request, Resolution, ResolutionProtocol, Rpc, Uid,
};
use std::net::IpAddr;
use std::sync::Arc;

impl Profiles {
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
            Event::Resolution(told) => self.looked_up(seen, told, out),
            Event::Handshake(handshake) => self.greeted_securely(seen, handshake, out),
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
            Event::Rpc(rpc) => self.called(seen, rpc, out),
            Event::Authentication(_) | Event::Weird(_) => {}
        }
    }

    /// Event time reached a step: flows that waited long enough are judged.
    pub(crate) fn advance(&mut self, now: Timestamp, out: &mut Vec<Activity>) {
        while let Some(uid) = self.flows.due(now) {
            self.judge(uid, out);
        }
    }

    /// The input ended: flows still unsettled are judged as they stand.
    pub(crate) fn finish(&mut self, out: &mut Vec<Activity>) {
        while let Some(uid) = self.flows.due(Timestamp::MAX) {
            self.judge(uid, out);
        }
    }

    fn opened(&mut self, seen: &Observation, out: &mut Vec<Activity>) {
        let (orig, resp) = (seen.orig, seen.resp);
        match self.declared.site.reach(orig.ip, resp.ip) {
            Reach::Outbound if counts_as_contact(resp.ip, seen.transport) => {
                let host = self.hosts.seen(orig.ip, seen.ts);
                self.counts.outbound_flows = self.counts.outbound_flows.saturating_add(1);
                let flow = OpenFlow {
                    opened: seen.ts,
                    host,
                    ip: orig.ip,
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
                self.inner.insert(seen.uid, InnerFlow::new(seen.ts));
                self.touched(seen, out);
            }
            Reach::Inbound => {
                self.inner.insert(seen.uid, InnerFlow::new(seen.ts));
            }
            Reach::Transit => {}
        }
    }

    fn touched(&mut self, seen: &Observation, out: &mut Vec<Activity>) {
        if is_unicast(seen.resp.ip) {
            let orig = self.hosts.seen(seen.orig.ip, seen.ts);
            let resp = self.hosts.id(seen.resp.ip, seen.ts);
            let (ts, port, transport) = (seen.ts, seen.resp.port, seen.transport);
            out.push(Activity::Touch(Touch { ts, orig, resp, port, transport }));
        }
    }

    /// Tells what the burst that ends here moved.
    fn moved(&mut self, seen: &Observation, counters: &Counters, out: &mut Vec<Activity>) {
        let Some(flow) = self.inner.get_mut(&seen.uid).filter(|_| is_unicast(seen.resp.ip)) else { return };
        let (ts, orig_bytes, resp_bytes) = flow.burst(seen.ts, counters);
        if orig_bytes > 0 || resp_bytes > 0 {
            let (orig, resp) = (self.hosts.id(seen.orig.ip, seen.ts), self.hosts.id(seen.resp.ip, seen.ts));
            out.push(Activity::Moved(Moved { ts, orig, resp, port: seen.resp.port, orig_bytes, resp_bytes }));
        }
    }

    fn progress(&mut self, seen: &Observation, counters: &Counters, out: &mut Vec<Activity>) {
        let Some(flow) = self.flows.get_mut(seen.uid) else {
            if self.declared.site.reach(seen.orig.ip, seen.resp.ip) == Reach::Internal {
                self.moved(seen, counters, out);
                self.touched(seen, out);
            }
            return;
        };
        let moved = Some(flow.moved(counters));
        let (host, ip) = (flow.host, flow.ip);
        match flow.tenant {
            Some(tenant) => out.push(Activity::CheckIn(CheckIn { ts: seen.ts, host, tenant, moved })),
            None if flow.waiting.len() < MAX_WAITING => flow.waiting.push((seen.ts, moved)),
            None => {}
        }
        if let Some(tie) = flow.tenant.and_then(|tenant| self.ties.get_mut(&(host, tenant))) {
            tie.last = tie.last.max(seen.ts);
        }
        self.hosts.seen(ip, seen.ts);
    }

    fn closed(&mut self, seen: &Observation, record: &FlowRecord, out: &mut Vec<Activity>) {
        let counts = &mut self.counts;
        let payload = record.counters.orig_bytes.saturating_add(record.counters.resp_bytes);
        counts.payload_bytes = counts.payload_bytes.saturating_add(payload);
        counts.missed_bytes = counts.missed_bytes.saturating_add(record.missed_bytes);
        counts.one_sided_flows = counts.one_sided_flows.saturating_add(u64::from(record.one_sided));
        // An address that never answered is no host.
        if record.counters.resp_pkts > 0 && self.declared.site.is_inside(record.resp.ip) && is_unicast(record.resp.ip) {
            self.hosts.seen(record.resp.ip, record.last);
        }
        self.judge(seen.uid, out);
        self.admin_shares.remove(&seen.uid);
        self.entered(seen, record, out);
        if self.declared.site.reach(seen.orig.ip, seen.resp.ip) == Reach::Internal {
            self.moved(seen, &record.counters, out);
        }
        self.inner.remove(&seen.uid);
        let flow = self.flows.close(seen.uid);
        self.ended(seen, record, flow.as_ref().and_then(|flow| flow.tenant), out);
        let Some(flow) = flow else { return };
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

    /// Tells the end of a flow between the site and the outside.
    fn ended(&mut self, seen: &Observation, record: &FlowRecord, tenant: Option<TenantId>, out: &mut Vec<Activity>) {
        let reach = self.declared.site.reach(record.orig.ip, record.resp.ip);
        let answered = record.counters.resp_pkts > 0;
        let (own, peer) = match reach {
            Reach::Outbound if is_unicast(record.resp.ip) => (record.orig.ip, record.resp.ip),
            Reach::Inbound if answered && is_unicast(record.resp.ip) => (record.resp.ip, record.orig.ip),
            _ => return,
        };
        // A connection that began before the data, lost bytes or shows one side only cannot be said to lack anything.
        let begun = record.transport != Transport::Tcp || record.history.starts_with('S');
        out.push(Activity::Closed(Closed {
            began: record.ts,
            ts: record.last,
            uid: seen.uid,
            reach,
            host: self.hosts.id(own, seen.ts),
            peer,
            port: record.resp.port,
            transport: record.transport,
            tenant,
            service: record.service.first().copied(),
            counters: record.counters,
            whole: begun && answered && record.missed_bytes == 0 && !record.one_sided,
        }));
    }

    fn looked_up(&mut self, seen: &Observation, told: &Resolution, out: &mut Vec<Activity>) {
        self.counts.resolutions = self.counts.resolutions.saturating_add(1);
        self.names.learn(seen.orig.ip, told, seen.ts);
        if told.protocol != ResolutionProtocol::Dns || !self.declared.site.is_inside(seen.orig.ip) {
            return;
        }
        let answered = told.answers.iter().fold(0_usize, |sum, answer| sum.saturating_add(answer.len()));
        out.push(Activity::Lookup(Lookup {
            ts: told.asked,
            uid: seen.uid,
            host: self.hosts.seen(seen.orig.ip, seen.ts),
            resolver: seen.resp.ip,
            name: told.query.clone(),
            carries_text: CARRIERS.contains(&&*told.qtype),
            missing: told.rcode.as_deref() == Some("NXDOMAIN"),
            answered: u32::try_from(answered).unwrap_or(u32::MAX),
        }));
    }

    fn greeted_securely(&mut self, seen: &Observation, told: &Handshake, out: &mut Vec<Activity>) {
        if let Some(sni) = &told.sni {
            self.named(seen.uid, sni, "sni");
        }
        self.judge(seen.uid, out);
        let Some(flow) = self.flows.get_mut(seen.uid) else { return };
        if let Some(tenant) = flow.tenant {
            let (ts, uid, host, resp) = (told.started, seen.uid, flow.host, flow.resp);
            out.push(Activity::Hello(Hello { ts, uid, host, tenant, resp, told: Box::new(told.clone()) }));
        }
    }

    fn called(&mut self, seen: &Observation, rpc: &Rpc, out: &mut Vec<Activity>) {
        let Some(operation) = rpc.operation.clone() else { return };
        if self.declared.site.is_inside(seen.resp.ip) && is_unicast(seen.resp.ip) {
            let (by, on) = (self.hosts.id(seen.orig.ip, seen.ts), self.hosts.seen(seen.resp.ip, seen.ts));
            out.push(Activity::Call(Call { ts: seen.ts, uid: seen.uid, by, on, operation }));
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
        if self.declared.site.is_inside(seen.resp.ip) && is_unicast(seen.resp.ip) {
            let (ts, uid, by) = (seen.ts, seen.uid, self.hosts.id(seen.orig.ip, seen.ts));
            let on = self.hosts.seen(seen.resp.ip, seen.ts);
            let opened = self.inner.get(&uid).map_or(ts, |flow| flow.opened);
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
        let inside = self.declared.site.is_inside(seen.orig.ip);
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
            let (ts, opened, uid) = (record.last, record.ts, seen.uid);
            let (by, on) = (self.hosts.id(record.orig.ip, record.ts), self.hosts.id(record.resp.ip, record.ts));
            out.push(Activity::Act(Act { ts, opened, uid, by, on, what: What::Session(service) }));
        }
    }

    fn identified(&mut self, seen: &Observation, identity: &Identity) {
        let side = identity.side.map(|side| match side {
            Direction::Orig => seen.orig.ip,
            Direction::Resp => seen.resp.ip,
        });
        if let (None, None, Some(mac), Some(name)) = (identity.ip, side, identity.mac, &identity.hostname) {
            self.hosts.asked(mac, name);
        }
        let Some(ip) = identity.ip.or(side) else { return };
        if self.declared.site.is_inside(ip) && is_unicast(ip) {
            self.hosts.identified(ip, identity, seen.ts);
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
        let (host, ip, resp, ts, transport) = (flow.host, flow.ip, flow.resp, flow.opened, flow.transport);
        let before = flow.tenant;
        if before.is_some() && wire.is_none() {
            return;
        }
        let name = wire.or_else(|| self.names.name(ip, resp.ip, ts).cloned());
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
                if let Some(host) = self.hosts.get_mut(host) {
                    host.firsts = host.firsts.saturating_add(1);
                    host.recent.push((ts, tenant));
                }
            }
        }
        if before.is_none() {
            self.counts.nameless_flows = self.counts.nameless_flows.saturating_add(u64::from(nameless));
        }
        let standing = known.standing;
        out.push(Activity::Contact(Contact { ts, uid, host, resp, tenant, name, standing, first, background }));
        if let Some(flow) = self.flows.get_mut(uid) {
            flow.tenant = Some(tenant);
            for (ts, moved) in std::mem::take(&mut flow.waiting) {
                out.push(Activity::CheckIn(CheckIn { ts, host, tenant, moved }));
            }
        }
    }
}

/// The host of a Host header: without its port, `None` for an address.
pub(super) fn host_name(host: &str) -> Option<&str> {
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

/// Ports at which machines are administered.
const ENTRANCES: &[(u16, &str)] =
    &[(22, "ssh"), (445, "smb"), (3389, "rdp"), (5900, "vnc"), (5985, "winrm"), (5986, "winrm")];
/// Payload of the quieter side from which on somebody was let in: a refused sign-in says less.
const MIN_SESSION_BYTES: u64 = 16_384;
/// Record types whose answer the owner of a zone can fill with anything.
const CARRIERS: &[&str] = &["TXT", "NULL", "CNAME", "MX", "SRV", "KEY", "PRIVATE"];
/// What Windows runs, or loads into something that runs, by the end of its name.
const RUNNABLE: &[&str] =
    &["exe", "dll", "ps1", "psm1", "bat", "cmd", "vbs", "js", "hta", "msi", "scr", "sys", "com", "tmp", "jar", "mof"];
