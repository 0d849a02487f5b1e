//! Observations in the making, for tests of everything right of the waist.

use super::analysis::{Analysis, Told};
use super::scene::hello;
use crate::alert::{Alert, Kind, Rules};
use crate::detect::Said;
use crate::event::{
    Act, Channel, ConnState, Counters, End, Endpoint, Event, Execution, FlowRecord, Observation, Site, Timestamp,
    Transport, Uid,
};
use crate::intel::{Feeds, Intel, Tables};
use crate::profile::{Declared, DeclaredHost, HostRole, MayReach, Policy, Profiles};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Observations in the making; the site is 172.16.0.0/16.
pub(super) struct World {
    at: i64,
    flows: u32,
    seen: Vec<Observation>,
    hosts: Vec<DeclaredHost>,
    policies: Vec<Policy>,
}

static INTEL: LazyLock<Arc<Intel>> = LazyLock::new(|| Arc::new(Intel::shipped()));

/// The site worlds are of unless they say otherwise.
fn site() -> Site {
    Site::new(&["172.16.0.0/16".parse().unwrap()], &[])
}

impl World {
    pub(super) fn new(at: i64) -> Self {
        Self { at, flows: 0, seen: Vec::new(), hosts: Vec::new(), policies: Vec::new() }
    }

    /// A few hosts that do what hosts do: a shared site, a mail service, a file server.
    pub(super) fn background(&mut self) {
        for n in 0..12_i64 {
            let host = format!("172.16.0.{}", 200 + n);
            self.contact(n, &host, "192.0.2.10", 443, Some("mail.corp-cloud.example"));
            self.contact(n * 9, &host, "192.0.2.20", 443, Some("www.news.example"));
            self.touch(n * 11, &host, "172.16.0.2", 445);
        }
    }

    pub(super) fn told(self) -> Told {
        self.told_with(site())
    }

    /// What is told when a feed lists these names and addresses.
    pub(super) fn told_with_feed(self, list: &str) -> Told {
        let mut feeds = Feeds::default();
        feeds.add("list.txt", list).unwrap();
        let intel = Intel::new(&Tables::shipped(), feeds).unwrap();
        self.told_by(site(), Arc::new(intel))
    }

    /// The observations in order, and nothing else of the world.
    pub(super) fn observations(mut self) -> Vec<Observation> {
        self.seen.sort_by_key(|o| (o.ts, o.uid, o.n));
        self.seen
    }

    /// Who is to judge this world, and has seen nothing of it yet.
    pub(super) fn analysis(&self) -> Analysis {
        Analysis::new(self.declared(site()), INTEL.clone(), &Rules::shipped()).unwrap()
    }

    fn declared(&self, site: Site) -> Arc<Declared> {
        let (hosts, policies) = (self.hosts.clone(), self.policies.clone());
        Arc::new(Declared { site, hosts, policies, utc_offset_s: 0 })
    }

    pub(super) fn told_with(self, site: Site) -> Told {
        self.told_by(site, INTEL.clone())
    }

    /// The weak signs that one detector says of this world from second `s` on, in order, in nats.
    pub(super) fn signs(self, detector: &str, s: i64) -> Vec<f64> {
        let since = self.moment(s);
        let mut usual = Profiles::new(self.declared(site()), INTEL.clone());
        let (mut detectors, ..) = Rules::shipped().build().unwrap();
        let (mut activities, mut said) = (Vec::new(), Said::default());
        for seen in &self.observations() {
            usual.advance(seen.ts, &mut activities);
            usual.read(seen, &mut activities);
            activities.drain(..).for_each(|activity| detectors.observe(&activity, &usual, &mut said));
        }
        said.cues.iter().filter(|cue| cue.detector == detector && cue.ts >= since).map(|cue| cue.nats).collect()
    }

    fn told_by(self, site: Site, intel: Arc<Intel>) -> Told {
        let mut analysis = Analysis::new(self.declared(site), intel, &Rules::shipped()).unwrap();
        let seen = self.observations();
        seen.iter().for_each(|o| analysis.observe(o));
        let last = seen.last().map_or(Timestamp(0), |o| o.ts);
        analysis.finish(last)
    }

    #[expect(clippy::too_many_arguments, reason = "a line of a table of scenes")]
    pub(super) fn act(&mut self, s: i64, by: &str, on: &str, port: u16, channel: Channel, act: Act, operation: &str) {
        let execution = Execution {
            channel,
            act,
            interface: None,
            opnum: None,
            operation: Some(operation.into()),
            endpoint: None,
            clsid: None,
            technique: None,
        };
        let facts = [Event::FlowOpened, Event::Execution(Box::new(execution))];
        self.flow(s, by, on, port, facts, 2);
    }

    pub(super) fn touch(&mut self, s: i64, from: &str, to: &str, port: u16) {
        self.flow(s, from, to, port, [Event::FlowOpened], 1);
    }

    pub(super) fn contact(&mut self, s: i64, from: &str, to: &str, port: u16, sni: Option<&str>) {
        let handshake = sni.map(|sni| Event::Handshake(Box::new(hello(self.moment(s), Some(sni)))));
        self.flow(s, from, to, port, std::iter::once(Event::FlowOpened).chain(handshake), 1);
    }

    /// `n` contacts, `period` seconds apart.
    #[expect(clippy::too_many_arguments, reason = "a line of a table of scenes")]
    pub(super) fn beacon(&mut self, s: i64, from: &str, to: &str, port: u16, sni: Option<&str>, n: i64, period: i64) {
        (0..n).for_each(|k| self.contact(s + k * period, from, to, port, sni));
    }

    /// Somebody wrote down what `host` is for.
    pub(super) fn declare(&mut self, host: &str, role: HostRole) {
        self.hosts.push(DeclaredHost {
            addresses: vec![ip(host)],
            macs: Vec::new(),
            name: None,
            roles: vec![role],
            pinned: false,
        });
    }

    /// Somebody wrote down what a role may reach.
    pub(super) fn allow(&mut self, role: HostRole, may_reach: MayReach) {
        self.policies.push(Policy { role, may_reach: vec![may_reach] });
    }

    /// A flow in which each side says so much.
    pub(super) fn talk(&mut self, s: i64, from: &str, to: &str, port: u16, bytes: u64) {
        let record = self.flow(s, from, to, port, [Event::FlowOpened], 30);
        (record.counters.orig_bytes, record.counters.resp_bytes) = (bytes, bytes);
    }

    /// A flow whose facts follow each other by a tenth of a second and that ends after `lasts` seconds.
    pub(super) fn flow(
        &mut self,
        s: i64,
        from: &str,
        to: &str,
        port: u16,
        facts: impl IntoIterator<Item = Event>,
        lasts: i64,
    ) -> &mut FlowRecord {
        self.flows += 1;
        let ts = Timestamp::from_secs(self.at + s);
        let uid = Uid([u32::try_from(s + 100_000).unwrap(), self.flows, port.into()]);
        let orig = Endpoint::new(ip(from), 40_000 + u16::try_from(self.flows % 20_000).unwrap());
        let resp = Endpoint::new(ip(to), port);
        let end = Timestamp::from_secs(self.at + s + lasts);
        let closed = Event::FlowClosed(Box::new(record(ts, end, orig, resp)));
        let mut n = 0_u32;
        for event in facts {
            let ts = Timestamp(ts.0 + i64::from(n) * 100_000_000);
            self.seen.push(Observation { ts, uid, n, orig, resp, transport: Transport::Tcp, event });
            n += 1;
        }
        self.seen.push(Observation { ts: end, uid, n, orig, resp, transport: Transport::Tcp, event: closed });
        match self.seen.last_mut().map(|o| &mut o.event) {
            Some(Event::FlowClosed(record)) => record,
            _ => unreachable!("it was just pushed"),
        }
    }

    /// The moment `s` seconds into the scene.
    pub(super) const fn moment(&self, s: i64) -> Timestamp {
        Timestamp::from_secs(self.at + s)
    }

    /// Changes every observation of the latest flow.
    pub(super) fn of_last_flow(&mut self, change: impl Fn(&mut Observation)) {
        let uid = self.seen.last().map_or(Uid::NONE, |o| o.uid);
        self.seen.iter_mut().rev().take_while(|o| o.uid == uid).for_each(change);
    }
}

/// Campaigns among what was told.
pub(super) fn campaigns(told: &Told) -> Vec<&Alert> {
    told.alerts.iter().filter(|alert| alert.kind == Kind::StagingCampaign).collect()
}

pub(super) fn record(ts: Timestamp, last: Timestamp, orig: Endpoint, resp: Endpoint) -> FlowRecord {
    FlowRecord {
        ts,
        last,
        orig,
        resp,
        transport: Transport::Tcp,
        service: Vec::new(),
        counters: Counters { orig_bytes: 600, resp_bytes: 1200, orig_pkts: 6, resp_pkts: 6 },
        orig_ip_bytes: 900,
        resp_ip_bytes: 1500,
        missed_bytes: 0,
        conn_state: ConnState::Sf,
        history: "ShADadFf".into(),
        vlan: [None, None],
        tunnel: Box::new([]),
        end: End::Fin,
        orig_confidence: 1.0,
        retransmissions: 0,
        packets: crate::event::PacketRange::default(),
        one_sided: false,
        hints: crate::event::Hints::default(),
    }
}
