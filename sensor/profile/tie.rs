//! What one host has to do with one destination owner.

use super::tenants::Standing;
use crate::base::{Endpoint, Timestamp, Transport};
use crate::event::Uid;
use std::net::IpAddr;
use std::sync::Arc;

/// A host and a destination owner: since when, how often, how much.
#[derive(Clone, Debug)]
pub(crate) struct Tie {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) flows: u32,
    /// Payload bytes sent and received, of flows that have ended.
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// The first flows.
    pub(crate) uids: Vec<Uid>,
    /// The first responders; none where only a proxy knows them.
    pub(crate) resps: Vec<Endpoint>,
    pub(crate) transport: Transport,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) standing: Arc<Standing>,
    /// Everyday infrastructure, look-ups or time.
    pub(crate) background: bool,
    /// The first flow may be older than the data.
    pub(crate) under_way: bool,
    /// Several names led to the address, so none of them is given.
    pub(crate) several: bool,
    /// HTTP was asked for by a bare address.
    pub(crate) literal_host: bool,
    /// The local day of the latest contact that counted.
    pub(super) day: i32,
    /// The local day of the latest flow that ended, and what was sent on it.
    pub(super) sent: (i32, u64),
    /// What a script or program fetch showed: `powershell` content, a `script` agent.
    pub(crate) script: Option<Script>,
}

/// A sign that no person was browsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Script {
    /// The user agent is a script's or a command line tool's.
    Agent,
    /// What came back is a script.
    Content(&'static str),
}

impl Script {
    /// What a script's content is called, when it is one.
    pub(super) fn content(what: &str) -> Option<Self> {
        SCRIPTS.iter().find(|known| **known == what).map(|known| Self::Content(known))
    }
}

impl Tie {
    pub(super) fn new(
        ts: Timestamp,
        uid: Uid,
        (resp, transport): (Endpoint, Transport),
        name: Option<Arc<str>>,
        standing: Arc<Standing>,
    ) -> Self {
        Self {
            first: ts,
            last: ts,
            flows: 0,
            up: 0,
            down: 0,
            uids: vec![uid],
            resps: if resp.ip.is_unspecified() { Vec::new() } else { vec![resp] },
            transport,
            name,
            standing,
            background: true,
            under_way: false,
            several: false,
            literal_host: false,
            script: None,
            day: i32::MIN,
            sent: (i32::MIN, 0),
        }
    }

    /// Adds a flow.
    pub(super) fn add(&mut self, ts: Timestamp, uid: Uid, resp: Endpoint, background: bool) {
        self.flows = self.flows.saturating_add(1);
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
        self.background &= background;
        if self.uids.len() < MAX_EACH && !self.uids.contains(&uid) {
            self.uids.push(uid);
        }
        let known = resp.ip.is_unspecified() || self.resps.contains(&resp);
        if self.resps.len() < MAX_EACH && !known {
            self.resps.push(resp);
        }
    }

    /// Notes what a request shows about the program behind it.
    pub(super) fn requested(&mut self, host: Option<&str>, content: Option<&'static str>, agent: Option<&str>) {
        self.literal_host |= host.is_some_and(|host| super::read::host_name(host).is_none());
        let shown = match content {
            Some(content) if SCRIPTS.contains(&content) => Some(Script::Content(content)),
            _ if agent == Some("script") => Some(Script::Agent),
            _ => None,
        };
        self.script = self.script.max(shown);
    }

    /// Adds what a flow that ended on a local day sent; all that was sent on it comes back.
    pub(super) fn sent(&mut self, day: i32, bytes: u64) -> u64 {
        let before = if self.sent.0 == day { self.sent.1 } else { 0 };
        self.sent = (day, before.saturating_add(bytes));
        self.sent.1
    }

    /// Whether a flow that has ended was the first to send anything on its day.
    pub(crate) const fn opened_its_day(&self, bytes: u64) -> bool {
        bytes > 0 && self.sent.1 == bytes
    }

    /// Days from the first contact's to the latest one's, both counted.
    pub(crate) const fn days(&self) -> i64 {
        self.last.utc_day().saturating_sub(self.first.utc_day()).saturating_add(1)
    }

    /// Whether `uid` is the flow that made it.
    pub(super) fn is_first(&self, uid: Uid) -> bool {
        self.uids.first() == Some(&uid)
    }

    /// The addresses it is known by, in order.
    pub(crate) fn ips(&self) -> Vec<IpAddr> {
        let mut ips: Vec<_> = self.resps.iter().map(|resp| resp.ip).collect();
        ips.sort_unstable();
        ips.dedup();
        ips
    }

    /// How to call it: its name, else its first address and port, else the owner's key.
    pub(crate) fn destination(&self, key: Option<&str>) -> String {
        match (&self.name, self.resps.first()) {
            (Some(name), _) => name.to_string(),
            (None, Some(resp)) => resp.to_string(),
            (None, None) => key.unwrap_or_default().to_owned(),
        }
    }

    /// No name was known when it began.
    pub(crate) fn is_nameless(&self) -> bool {
        self.name.is_none() && !self.several
    }
}

/// What bodies that are scripts are called.
const SCRIPTS: &[&str] = &["powershell", "shell", "script", "batch", "vbscript"];
/// Flows and responders remembered for the record.
const MAX_EACH: usize = 8;
