//! Observations → activities: what each one means for the host it is about, said before it is learned.

use super::activity::{Act, Activity, Call, CheckIn, Closed, Fetch, Hello, Lookup, Moved, Touch, What};
use super::flows::{InnerFlow, MAX_WAITING, OpenFlow, Via};
use super::judge::is_no_plumbing;
use super::peers::local_day;
use super::{HostId, Profiles};
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
        self.turn(seen.ts, out);
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
        self.track(seen);
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
        if let Some((_, last)) = self.counts.span {
            self.take_stock(last);
        }
    }

    fn opened(&mut self, seen: &Observation, out: &mut Vec<Activity>) {
        let (orig, resp) = (seen.orig, seen.resp);
        match self.declared.site.reach(orig.ip, resp.ip) {
            Reach::Outbound if counts_as_contact(resp.ip, seen.transport) => {
                let host = self.hosts.seen(orig.ip, seen.ts);
                self.counts.outbound_flows = self.counts.outbound_flows.saturating_add(1);
                self.make_room(out);
                self.flows.open(seen.uid, OpenFlow::new(seen.ts, host, (resp, seen.transport)));
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

    /// A flow more than there is room for is judged as it stands.
    pub(super) fn make_room(&mut self, out: &mut Vec<Activity>) {
        if let Some(oldest) = self.flows.crowded_out() {
            self.judge(oldest, out);
            self.flows.drop(oldest);
        }
    }

    /// When the flow of an observation began, as far as it is held.
    fn began(&self, seen: &Observation) -> Timestamp {
        let inner = self.inner.get(&seen.uid).map(|flow| flow.opened);
        inner.or_else(|| self.flows.get(seen.uid).map(|flow| flow.opened)).unwrap_or(seen.ts)
    }

    /// The machines of a flow between two of the site: those that had the addresses when it began.
    fn ends(&mut self, seen: &Observation) -> (HostId, HostId) {
        let began = self.began(seen);
        (self.hosts.at(seen.orig.ip, began, seen.ts), self.hosts.at(seen.resp.ip, began, seen.ts))
    }

    /// The same of a flow in which the responder has spoken.
    pub(super) fn speakers(&mut self, seen: &Observation) -> (HostId, HostId) {
        let began = self.began(seen);
        self.see_path(seen);
        (self.hosts.at(seen.orig.ip, began, seen.ts), self.hosts.spoke(seen.resp.ip, began, seen.ts))
    }

    fn see_path(&mut self, seen: &Observation) {
        if self.declared.site.reach(seen.orig.ip, seen.resp.ip) == Reach::Internal && is_unicast(seen.resp.ip) {
            self.visibility.path(seen.orig.ip, seen.resp.ip, seen.ts);
        }
    }

    fn touched(&mut self, seen: &Observation, out: &mut Vec<Activity>) {
        if is_unicast(seen.resp.ip) {
            let began = self.began(seen);
            let orig = self.hosts.spoke(seen.orig.ip, began, seen.ts);
            let resp = self.hosts.at(seen.resp.ip, began, seen.ts);
            let (ts, port, transport) = (seen.ts, seen.resp.port, seen.transport);
            out.push(Activity::Touch(Touch { ts, orig, resp, port, transport }));
        }
    }

    /// Tells what the burst that ends here moved.
    fn moved(&mut self, seen: &Observation, counters: &Counters, out: &mut Vec<Activity>) {
        let Some(flow) = self.inner.get_mut(&seen.uid).filter(|_| is_unicast(seen.resp.ip)) else { return };
        let (ts, orig_bytes, resp_bytes) = flow.burst(seen.ts, counters);
        if orig_bytes > 0 || resp_bytes > 0 {
            let (orig, resp) = self.ends(seen);
            out.push(Activity::Moved(Moved { ts, orig, resp, port: seen.resp.port, orig_bytes, resp_bytes }));
        }
    }

    fn progress(&mut self, seen: &Observation, counters: &Counters, out: &mut Vec<Activity>) {
        let Some(flow) = self.flows.get_mut(seen.uid) else {
            if self.declared.site.reach(seen.orig.ip, seen.resp.ip) == Reach::Internal {
                self.moved(seen, counters, out);
                self.touched(seen, out);
                if counters.resp_pkts > 0 {
                    self.see_path(seen);
                }
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
        if let Some(tie) = flow.tenant.and_then(|tenant| self.ties.get_mut((host, tenant))) {
            tie.last = tie.last.max(seen.ts);
        }
        self.hosts.alive(host, seen.ts);
    }

    fn closed(&mut self, seen: &Observation, record: &FlowRecord, out: &mut Vec<Activity>) {
        self.sight(record);
        // An address that never answered is no host.
        if record.counters.resp_pkts > 0 && self.declared.site.is_inside(record.resp.ip) && is_unicast(record.resp.ip) {
            self.hosts.spoke(record.resp.ip, record.ts, record.last);
        }
        self.judge(seen.uid, out);
        self.admin_shares.remove(&seen.uid);
        self.entered(seen, record, out);
        if self.declared.site.reach(seen.orig.ip, seen.resp.ip) == Reach::Internal {
            self.moved(seen, &record.counters, out);
            self.dealt(seen, record);
        }
        self.inner.remove(&seen.uid);
        let flow = self.flows.close(seen.uid);
        self.ended(seen, record, flow.as_ref(), out);
        let Some(flow) = flow else { return };
        let Some(tenant) = flow.tenant else { return };
        self.shared.connected(flow.host, &record.hints, tenant.0, record.ts);
        let Counters { orig_bytes: up, resp_bytes: down, .. } = match flow.via {
            Some(Via::Request(_)) => Counters::default(), // Counted with each request.
            Some(Via::Tunnel(_)) | None => whole(record),
        };
        if let Some(tie) = self.ties.get_mut((flow.host, tenant)) {
            tie.up = tie.up.saturating_add(up);
            tie.down = tie.down.saturating_add(down);
            tie.last = tie.last.max(record.last);
            if is_no_plumbing(record) {
                tie.background &= tie.standing.is_background();
            }
            let (background, class) = (tie.background, tie.standing.class.clone());
            let sent = tie.sent(local_day(record.last, self.declared.utc_offset_s), up);
            // No SYN was seen: the flow may be older than the data, so it is no first contact.
            tie.under_way |=
                tie.is_first(seen.uid) && record.conn_state == ConnState::Oth && record.transport == Transport::Tcp;
            self.touch(flow.host, Some(tenant));
            if !background {
                self.moved_out(flow.host, record, (up, down, sent), class.as_deref());
            }
        }
    }

    /// Two machines of the site talked; a port that was only tried says nothing of anybody.
    fn dealt(&mut self, seen: &Observation, record: &FlowRecord) {
        let Counters { orig_bytes, resp_bytes, .. } = record.counters;
        if orig_bytes > 0 && resp_bytes > 0 && is_unicast(record.resp.ip) {
            let (ends, day) = (self.ends(seen), self.day(record.last));
            self.hubs.talked(ends, (record.resp, record.transport), day, self.fleet());
        }
    }

    /// Adds a flow to what could be seen.
    fn sight(&mut self, record: &FlowRecord) {
        let reach = self.declared.site.reach(record.orig.ip, record.resp.ip);
        let own = match reach {
            Reach::Outbound | Reach::Internal => record.orig.ip,
            Reach::Inbound => record.resp.ip,
            Reach::Transit => return,
        };
        if !is_unicast(record.resp.ip) {
            return;
        }
        self.visibility.closed(record, reach, own);
        if reach == Reach::Internal && (record.counters.resp_pkts > 0 || record.one_sided) {
            self.visibility.path(record.orig.ip, record.resp.ip, record.last);
        }
    }

    /// Tells the end of a flow between the site and the outside.
    fn ended(&mut self, seen: &Observation, record: &FlowRecord, flow: Option<&OpenFlow>, out: &mut Vec<Activity>) {
        let reach = self.declared.site.reach(record.orig.ip, record.resp.ip);
        let answered = record.counters.resp_pkts > 0;
        let through = flow.and_then(|flow| flow.via.map(|via| (via, flow.resp)));
        let (reach, own, peer, port) = match (reach, through) {
            (_, Some((Via::Tunnel(_), resp))) => (Reach::Outbound, record.orig.ip, resp.ip, resp.port),
            (Reach::Outbound, _) if is_unicast(record.resp.ip) => {
                (reach, record.orig.ip, record.resp.ip, record.resp.port)
            }
            (Reach::Inbound, _) if answered && is_unicast(record.resp.ip) => {
                (reach, record.resp.ip, record.orig.ip, record.resp.port)
            }
            _ => return,
        };
        // A connection that began before the data, lost bytes or shows one side only cannot be said to lack anything.
        let begun = record.transport != Transport::Tcp || record.history.starts_with('S');
        out.push(Activity::Closed(Closed {
            began: record.ts,
            ts: record.last,
            uid: seen.uid,
            reach,
            host: self.hosts.at(own, record.ts, seen.ts),
            peer,
            port,
            transport: record.transport,
            tenant: flow.and_then(|flow| flow.tenant),
            service: record.service.first().copied(),
            counters: whole(record),
            whole: begun && answered && record.missed_bytes == 0 && !record.one_sided,
            counted: self.visibility.counts_bytes(own),
        }));
    }

    fn looked_up(&mut self, seen: &Observation, told: &Resolution, out: &mut Vec<Activity>) {
        self.counts.resolutions = self.counts.resolutions.saturating_add(1);
        let inside = self.declared.site.is_inside(seen.orig.ip) && is_unicast(seen.orig.ip);
        let began = self.began(seen);
        let host = inside.then(|| self.hosts.spoke(seen.orig.ip, began, seen.ts));
        self.names.learn(host, told, seen.ts);
        let Some(host) = host.filter(|_| told.protocol == ResolutionProtocol::Dns) else { return };
        self.visibility.lookup(seen.orig.ip);
        let answered = told.answers.iter().fold(0_usize, |sum, answer| sum.saturating_add(answer.len()));
        out.push(Activity::Lookup(Lookup {
            ts: told.asked,
            uid: seen.uid,
            host,
            resolver: seen.resp.ip,
            name: told.query.clone(),
            owner: self.intel.owner(&told.query),
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
        let Some(flow) = self.flows.get(seen.uid) else { return };
        if let Some(tenant) = flow.tenant {
            let (ts, uid, host, resp) = (told.started, seen.uid, flow.host, flow.resp);
            let class = self.ties.get((host, tenant)).and_then(|tie| tie.standing.class.as_deref());
            self.visibility.greeted(seen.orig.ip, told, resp.port == DOT_PORT || class == Some("dns-resolver"));
            out.push(Activity::Hello(Hello { ts, uid, host, tenant, resp, told: Box::new(told.clone()) }));
        }
    }

    fn called(&mut self, seen: &Observation, rpc: &Rpc, out: &mut Vec<Activity>) {
        let Some(operation) = rpc.operation.clone() else { return };
        if self.declared.site.is_inside(seen.resp.ip) && is_unicast(seen.resp.ip) {
            let (by, on) = self.speakers(seen);
            out.push(Activity::Call(Call { ts: seen.ts, uid: seen.uid, by, on, operation }));
        }
    }

    fn requested(&mut self, seen: &Observation, request: &Request, out: &mut Vec<Activity>) {
        if request.proxied {
            self.through_proxy(seen, request, out);
        }
        if let Some(name) = request.host.as_deref().and_then(host_name) {
            self.named(seen.uid, name, "http");
        }
        self.judge(seen.uid, out);
        let Some(flow) = self.flows.get_mut(seen.uid) else { return };
        let (host, Some(tenant), flow_via) = (flow.host, flow.tenant, flow.via) else { return };
        out.push(Activity::CheckIn(CheckIn { ts: request.started, host, tenant, moved: None }));
        let agent = request.user_agent.as_deref().and_then(|text| self.agent(text));
        let by_request = matches!(flow_via, Some(Via::Request(_)));
        if let Some(tie) = self.ties.get_mut((host, tenant)) {
            tie.requested(request.host.as_deref(), request.content, agent.as_deref());
            if by_request {
                tie.up = tie.up.saturating_add(request.request_body_len);
                tie.down = tie.down.saturating_add(request.response_body_len);
            }
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
            let (ts, uid, (by, on)) = (seen.ts, seen.uid, self.speakers(seen));
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
            let by = self.hosts.at(record.orig.ip, opened, ts);
            let on = self.hosts.at(record.resp.ip, opened, ts);
            out.push(Activity::Act(Act { ts, opened, uid, by, on, what: What::Session(service) }));
        }
    }

    fn identified(&mut self, seen: &Observation, identity: &Identity) {
        let side = identity.side.map(|side| match side {
            Direction::Orig => seen.orig.ip,
            Direction::Resp => seen.resp.ip,
        });
        if let (None, None, Some(mac)) = (identity.ip, side, identity.mac) {
            self.hosts.asked(mac, identity);
        }
        let Some(ip) = identity.ip.or(side) else { return };
        // A machine speaks for itself only: of another family it may have an address beside the one it speaks from.
        if side.is_some_and(|side| side != ip && side.is_ipv4() == ip.is_ipv4()) {
            return self.hosts.disbelieve();
        }
        if self.declared.site.is_inside(ip) && is_unicast(ip) {
            self.hosts.identified(ip, identity, seen.ts);
            if let Some(id) = self.holder(ip, seen.ts) {
                self.touch(id, None);
            }
        }
    }

    pub(super) fn named(&mut self, uid: Uid, name: &str, source: &'static str) {
        if name.parse::<IpAddr>().is_err() && !name.is_empty() {
            let name = self.names.intern(name);
            self.flows.name(uid, &name, source);
        }
    }
}

/// What a flow moved; of a side that was not seen, what the other acknowledged.
fn whole(record: &FlowRecord) -> Counters {
    let mut counters = record.counters;
    if record.one_sided {
        let unseen = if counters.orig_pkts == 0 { &mut counters.orig_bytes } else { &mut counters.resp_bytes };
        *unseen = (*unseen).max(record.hints.unseen_bytes);
    }
    counters
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

pub(super) fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified() && ip.octets()[0] != 0,
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unspecified(),
    }
}

/// DNS over TLS and over QUIC (RFC 7858, RFC 9250).
const DOT_PORT: u16 = 853;
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
