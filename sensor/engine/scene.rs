//! More observations in the making: look-ups, hellos, calls and flows that end as a test wants them to.

use super::analysis::Told;
use super::world::World;
use crate::detect::Severity;
use crate::event::{
    Certificate, Counters, Event, Handshake, HandshakeTransport, Request, Resolution, ResolutionProtocol, Rpc,
    Timestamp, Transport,
};
use std::fmt;

/// What a row of a table of scenes asks of a rule, with what it is in words. A test of the architecture holds that each
/// rule is asked all four.
#[derive(Clone, Copy, Debug)]
pub(super) enum Case {
    /// What the rule is there for.
    Fires(&'static str),
    /// Looks like it, and is not told or matters less.
    Nearly(&'static str),
    /// As much as a threshold of the rule asks for, and no more.
    Just(&'static str),
    /// The next value on the other side of it.
    JustNot(&'static str),
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fires(what) => write!(f, "fires: {what}"),
            Self::Nearly(what) => write!(f, "nearly: {what}"),
            Self::Just(what) => write!(f, "just enough: {what}"),
            Self::JustNot(what) => write!(f, "just not enough: {what}"),
        }
    }
}

/// A flow as a table of scenes has it; what is not said is an ordinary short conversation over TLS.
#[derive(Clone, Debug)]
pub(super) struct Talk<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) port: u16,
    pub(super) transport: Transport,
    pub(super) service: &'static str,
    pub(super) up: u64,
    pub(super) down: u64,
    /// Packets of each side.
    pub(super) packets: u64,
    pub(super) lasts: i64,
    pub(super) name: Option<&'a str>,
}

impl Default for Talk<'_> {
    fn default() -> Self {
        Self {
            from: "172.16.0.7",
            to: "203.0.113.9",
            port: 443,
            transport: Transport::Tcp,
            service: "ssl",
            up: 600,
            down: 1200,
            packets: 6,
            lasts: 2,
            name: None,
        }
    }
}

/// How serious each finding of a detector is, in the order they are told.
pub(super) fn severities(told: &Told, detector: &str) -> Vec<Severity> {
    told.findings.iter().map(|stated| &stated.finding).filter(|f| f.detector == detector).map(|f| f.severity).collect()
}

/// Likewise, of its alerts.
pub(super) fn alerted(told: &Told, detector: &str) -> Vec<Severity> {
    told.alerts.iter().map(|alert| &alert.finding).filter(|f| f.detector == detector).map(|f| f.severity).collect()
}

impl World {
    pub(super) fn say(&mut self, s: i64, talk: &Talk<'_>) {
        let hello = talk.name.map(|name| Event::Handshake(Box::new(hello(self.moment(s), Some(name)))));
        let facts = std::iter::once(Event::FlowOpened).chain(hello);
        let closed = self.flow(s, talk.from, talk.to, talk.port, facts, talk.lasts);
        closed.service = vec![talk.service];
        closed.service.retain(|service| !service.is_empty());
        closed.transport = talk.transport;
        closed.counters =
            Counters { orig_bytes: talk.up, resp_bytes: talk.down, orig_pkts: talk.packets, resp_pkts: talk.packets };
        let transport = talk.transport;
        self.of_last_flow(|seen| seen.transport = transport);
    }

    /// `host` asks `resolver` for `name`, which has the answers given; none is NXDOMAIN.
    pub(super) fn ask(&mut self, s: i64, host: &str, resolver: &str, (name, qtype): (&str, &str), answers: &[&str]) {
        let told = Resolution {
            asked: self.moment(s),
            protocol: ResolutionProtocol::Dns,
            query: name.into(),
            qtype: qtype.into(),
            rcode: Some(if answers.is_empty() { "NXDOMAIN" } else { "NOERROR" }.into()),
            answers: answers.iter().map(|a| (*a).into()).collect(),
            addresses: answers.iter().filter_map(|a| a.parse().ok()).collect(),
            ttls: vec![60; answers.len()],
            rtt: None,
            ech: vec![],
        };
        self.flow(s, host, resolver, 53, [Event::FlowOpened, Event::Resolution(Box::new(told))], 1);
        self.of_last_flow(|seen| seen.transport = Transport::Udp);
    }

    /// A handshake made by `change` from an ordinary one.
    pub(super) fn greet(&mut self, s: i64, from: &str, to: &str, change: impl FnOnce(&mut Handshake)) {
        let mut told = hello(self.moment(s), None);
        change(&mut told);
        self.flow(s, from, to, 443, [Event::FlowOpened, Event::Handshake(Box::new(told))], 2);
    }

    pub(super) fn request(&mut self, s: i64, from: &str, to: &str, host: &str, agent: Option<&str>) {
        let told = Request {
            started: self.moment(s),
            method: "GET".into(),
            host: Some(host.into()),
            uri: "/".into(),
            user_agent: agent.map(Into::into),
            status: Some(200),
            request_body_len: 0,
            response_body_len: 900,
            content_type: None,
            content: None,
            proxied: false,
        };
        self.flow(s, from, to, 80, [Event::FlowOpened, Event::Request(Box::new(told))], 2);
    }

    /// `from` asks `host` at an address for a script.
    pub(super) fn fetch_script(&mut self, s: i64, from: &str, to: &str, host: &str, agent: Option<&str>) {
        self.request(s, from, to, host, agent);
        self.of_last_flow(|seen| {
            if let Event::Request(told) = &mut seen.event {
                told.content = Some("powershell");
            }
        });
    }

    /// `from` asks `proxy` for a tunnel to `target`, which answers with `status`.
    pub(super) fn tunnel(&mut self, s: i64, from: &str, proxy: &str, target: &str, status: u16) {
        let told = Request {
            started: self.moment(s),
            method: "CONNECT".into(),
            host: Some(target.into()),
            uri: target.into(),
            user_agent: None,
            status: Some(status),
            request_body_len: 0,
            response_body_len: 0,
            content_type: None,
            content: None,
            proxied: true,
        };
        self.flow(s, from, proxy, 3128, [Event::FlowOpened, Event::Request(Box::new(told))], 2);
    }

    pub(super) fn call(&mut self, s: i64, by: &str, on: &str, operation: &str) {
        let told = Rpc { interface: None, opnum: 1, operation: Some(operation.into()), endpoint: None };
        self.flow(s, by, on, 445, [Event::FlowOpened, Event::Rpc(Box::new(told))], 2);
    }
}

/// An ordinary handshake.
pub(super) fn hello(started: Timestamp, sni: Option<&str>) -> Handshake {
    Handshake {
        started,
        transport: HandshakeTransport::Tls,
        version: None,
        sni: sni.map(Into::into),
        alpn: Vec::new(),
        next_protocol: None,
        cipher: None,
        ja3: None,
        ja3s: None,
        ja4: None,
        ech: None,
        ech_config_id: None,
        quic_version: None,
        resumed: None,
        certificate: None,
    }
}

/// A certificate for `names`, valid from `from` for a year.
pub(super) fn certificate(names: &[&str], from: Timestamp, self_signed: bool) -> Box<Certificate> {
    Box::new(Certificate {
        subject: "CN=x".into(),
        issuer: if self_signed { "CN=x" } else { "CN=authority" }.into(),
        san: names.iter().map(|name| (*name).into()).collect(),
        not_before: from,
        not_after: Timestamp::from_secs(from.secs() + 31_536_000),
        sha256: "00".into(),
        self_signed,
    })
}
