//! The two joins as a specification in observation space: what must be told, and what must not when one thing differs.

use super::analysis::{Analysis, Told};
use crate::alert::{Alert, Kind, Rules};
use crate::campaign::Tier;
use crate::detect::Severity;
use crate::event::{
    Act, Channel, ConnState, Counters, End, Endpoint, Event, Execution, FlowRecord, Handshake, HandshakeTransport,
    Observation, Site, Timestamp, Transport, Uid,
};
use crate::intel::Intel;
use crate::profile::Declared;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

const ACTOR: &str = "172.16.0.5";
const VICTIM: &str = "172.16.0.6";
const C2: &str = "203.0.113.5";

#[test]
fn an_act_then_a_first_contact_is_one_chain_that_names_everybody() {
    let told = case(&Plan::default()).told();
    let alert = only_chain(&told);
    let finding = &alert.finding;
    let scope = alert.scope.as_ref().unwrap();
    assert_eq!((finding.severity, alert.tier), (Severity::High, 2), "{}", finding.explanation);
    assert_eq!(scope.servers[0].ip, ip(ACTOR));
    assert_eq!(scope.hosts.iter().map(|h| (h.ip, h.tier)).collect::<Vec<_>>(), [(ip(VICTIM), Tier::Confirmed)]);
    assert_eq!(scope.destinations.iter().map(|d| &*d.value).collect::<Vec<_>>(), [C2]);
    assert!(finding.attack.iter().any(|t| &**t == "T1569.002"), "{:?}", finding.attack);
    assert!(finding.explanation.contains(ACTOR) && finding.explanation.contains("svcctl"), "{}", finding.explanation);
    assert_eq!(above_info(&told).len(), 1, "one story: {:#?}", told.alerts);
}

#[test]
fn what_does_not_matter_changes_nothing() {
    for (what, plan) in [
        ("another time", Plan { at: 1_000_000_000, ..Plan::default() }),
        ("other addresses", Plan { actor: "172.16.9.9", victim: "172.16.7.7", c2: "198.51.100.77", ..Plan::default() }),
        ("by WMI", Plan { channel: Channel::Wmi, operation: "IWbemServices::ExecMethod", ..Plan::default() }),
        ("by WinRM", Plan { channel: Channel::Winrm, operation: "Command", ..Plan::default() }),
        ("by PsExec", Plan { channel: Channel::Psexec, operation: "PSEXESVC", ..Plan::default() }),
        ("by a task", Plan { channel: Channel::Tasksched, operation: "SchRpcRun", ..Plan::default() }),
        ("by DCOM", Plan { channel: Channel::Dcom, operation: "RemoteCreateInstance", ..Plan::default() }),
        ("act over another port", Plan { act_port: 49_913, ..Plan::default() }),
        ("destination on another port", Plan { c2_port: 8443, ..Plan::default() }),
        ("a little later", Plan { lag_s: 8, ..Plan::default() }),
        ("a destination with a name", Plan { sni: Some("cdn.bad.example"), ..Plan::default() }),
    ] {
        let told = case(&plan).told();
        let alert = only_chain(&told);
        assert_eq!(alert.finding.severity, Severity::High, "{what}: {}", alert.finding.explanation);
        let scope = alert.scope.as_ref().unwrap();
        assert_eq!((scope.servers[0].ip, scope.hosts[0].ip), (ip(plan.actor), ip(plan.victim)), "{what}");
        assert_eq!(&*scope.destinations[0].value, plan.sni.unwrap_or(plan.c2), "{what}");
    }
}

#[test]
fn what_matters_takes_the_story_away() {
    for (what, plan, most) in [
        ("nothing was executed", Plan { act: None, ..Plan::default() }, Severity::Info),
        ("administration that runs nothing", Plan { act: Some(Act::Administer), ..Plan::default() }, Severity::Info),
        ("two hours later", Plan { lag_s: 7200, ..Plan::default() }, Severity::Info),
        ("the contact came before the act", Plan { lag_s: -60, ..Plan::default() }, Severity::Info),
        ("many hosts use the destination already", Plan { users_before: 8, ..Plan::default() }, Severity::Low),
        ("an update service", Plan { sni: Some("download.windowsupdate.com"), ..Plan::default() }, Severity::Info),
    ] {
        let told = case(&plan).told();
        let worst = chains(&told).iter().map(|a| a.finding.severity).max().unwrap_or(Severity::Info);
        assert!(worst <= most, "{what}: {worst:?}\n{}", chains(&told)[0].finding.explanation);
    }
}

#[test]
fn an_administrator_then_twenty_ordinary_destinations_is_information() {
    for (channel, most) in [(Channel::Winrm, Severity::Low), (Channel::Svcctl, Severity::Medium)] {
        let mut world = World::new(1_600_000_000);
        world.background();
        world.act(100, ACTOR, VICTIM, 445, channel, Act::Execute, "x");
        for n in 0..20_u32 {
            let name = format!("www.site{n}.example");
            world.contact(105 + i64::from(n) * 7, VICTIM, &format!("198.51.100.{}", n + 1), 443, Some(&name));
        }
        let told = world.told();
        assert!(chains(&told).is_empty(), "{:#?}", told.alerts);
        let worst = told.alerts.iter().map(|a| a.finding.severity).max().unwrap_or(Severity::Info);
        assert!(worst <= most, "{channel:?}: {worst:?}");
    }
}

#[test]
fn remote_execution_alone_is_a_finding_and_never_above_medium() {
    let mut world = World::new(1_600_000_000);
    world.background();
    for n in 0..18 {
        world.act(100 + n, ACTOR, VICTIM, 5985, Channel::Winrm, Act::Execute, "Command");
    }
    let told = world.told();
    assert!(told.findings.iter().any(|f| f.detector == "remote_execution"));
    assert!(told.alerts.iter().all(|a| a.finding.severity <= Severity::Medium && a.kind == Kind::RemoteExecution));
}

#[test]
fn three_machines_of_one_server_are_one_campaign_and_not_three_alerts() {
    let mut world = World::new(1_600_000_000);
    world.background();
    let hosts: Vec<String> = (10..22).map(|n| format!("172.16.0.{n}")).collect();
    for (n, host) in (0_i64..).zip(&hosts) {
        world.act(100 + n * 20, ACTOR, host, 5985, Channel::Winrm, Act::Execute, "Command");
        world.beacon(104 + n * 20 + n, host, C2, 80, None, 12, 30);
    }
    world.act(500, ACTOR, "172.16.0.99", 5985, Channel::Winrm, Act::Execute, "Command");
    let told = world.told();
    let [alert] = above_info(&told)[..] else { panic!("{:#?}", told.alerts) };
    assert_eq!((alert.kind, alert.finding.severity, alert.tier), (Kind::StagingCampaign, Severity::Critical, 1));
    let scope = alert.scope.as_ref().unwrap();
    assert_eq!(scope.servers[0].ip, ip(ACTOR));
    let of = |tier| scope.hosts.iter().filter(|h| h.tier == tier).map(|h| h.ip.to_string()).collect::<Vec<_>>();
    assert_eq!(of(Tier::Confirmed), hosts);
    assert_eq!(of(Tier::Exposed), ["172.16.0.99"], "touched, nothing seen to go out");
    assert_eq!(scope.destinations.len(), 1);
}

#[test]
fn machines_that_pull_from_a_server_and_then_keep_a_new_timer_point_to_it() {
    let mut world = World::new(1_600_000_000);
    world.background();
    // Everybody polls the server hourly at a time of their own, and others are not affected.
    let hosts: Vec<String> = (10..40).map(|n| format!("172.16.0.{n}")).collect();
    for (n, host) in (0_i64..).zip(&hosts) {
        for hour in 0..5 {
            world.touch(hour * 3600 + n * 110, host, ACTOR, 8080);
        }
        world.touch(n * 60, host, "172.16.0.2", 445);
    }
    for (n, host) in (0_i64..).zip(hosts.iter().take(20)) {
        world.beacon(4 * 3600 + n * 110 + 12 + n % 5, host, C2, 443, Some("tenant.files.example"), 16, 60);
    }
    let told = world.told();
    let alert =
        above_info(&told).into_iter().find(|a| a.kind != Kind::Beacon).unwrap_or_else(|| panic!("{:#?}", told.alerts));
    assert!(matches!(alert.kind, Kind::StagingCampaign | Kind::SharedDestination), "{:?}", alert.kind);
    assert!(alert.finding.severity >= Severity::High);
    let scope = alert.scope.as_ref().unwrap();
    assert_eq!(scope.servers[0].ip, ip(ACTOR), "{}", alert.finding.explanation);
    assert_eq!(scope.hosts.iter().filter(|h| h.tier != Tier::Exposed).count(), 20);
}

#[test]
fn an_address_taken_to_be_inside_that_acts_like_a_controller_is_hinted_at() {
    let mut world = World::new(1_600_000_000);
    (0..20).for_each(|n| world.touch(n * 5, "172.16.0.5", "10.9.9.9", 80));
    (0..20).for_each(|n| world.touch(n * 5, "172.16.0.5", "172.16.0.2", 445));
    let told = world.told_with(Site::new(&[], &[]));
    assert!(told.hint.as_deref().unwrap().contains("--outside 10.9.9.9"), "{:?}", told.hint);
    let mut declared = World::new(1_600_000_000);
    (0..20).for_each(|n| declared.touch(n * 5, "172.16.0.5", "172.16.9.9", 80));
    assert_eq!(declared.told().hint, None, "what is declared is not doubted");
}

#[test]
fn the_result_depends_on_nothing_but_the_observations() {
    let one = case(&Plan::default()).told();
    let two = case(&Plan::default()).told();
    assert!(!one.findings.is_empty() && !one.alerts.is_empty());
    assert_eq!((one.findings, one.alerts), (two.findings, two.alerts));
}

/// An act by `actor` on `victim`, then the victim's first contact with `c2`, which the actor contacts too.
struct Plan {
    at: i64,
    actor: &'static str,
    victim: &'static str,
    c2: &'static str,
    c2_port: u16,
    sni: Option<&'static str>,
    act: Option<Act>,
    act_port: u16,
    channel: Channel,
    operation: &'static str,
    lag_s: i64,
    users_before: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            at: 1_600_000_000,
            actor: ACTOR,
            victim: VICTIM,
            c2: C2,
            c2_port: 80,
            sni: None,
            act: Some(Act::Execute),
            act_port: 445,
            channel: Channel::Svcctl,
            operation: "CreateServiceW",
            lag_s: 1,
            users_before: 0,
        }
    }
}

fn case(plan: &Plan) -> World {
    let mut world = World::new(plan.at);
    world.background();
    for n in 0..plan.users_before {
        world.contact(20 + i64::from(n), &format!("172.16.0.{}", 100 + n), plan.c2, plan.c2_port, plan.sni);
    }
    world.contact(30, plan.actor, plan.c2, plan.c2_port, plan.sni);
    world.contact(60, plan.actor, plan.c2, plan.c2_port, plan.sni);
    if let Some(act) = plan.act {
        world.act(200, plan.actor, plan.victim, plan.act_port, plan.channel, act, plan.operation);
    }
    world.beacon(200 + plan.lag_s, plan.victim, plan.c2, plan.c2_port, plan.sni, 6, 5);
    world
}

fn chains(told: &Told) -> Vec<&Alert> {
    told.alerts.iter().filter(|a| matches!(a.kind, Kind::ExecutionChain | Kind::StagingCampaign)).collect()
}

fn only_chain(told: &Told) -> &Alert {
    let [alert] = chains(told)[..] else { panic!("{:#?}", told.alerts) };
    assert_eq!(alert.kind, Kind::ExecutionChain);
    alert
}

fn above_info(told: &Told) -> Vec<&Alert> {
    told.alerts.iter().filter(|a| a.finding.severity > Severity::Info).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Observations in the making.
struct World {
    at: i64,
    flows: u32,
    seen: Vec<Observation>,
}

static INTEL: LazyLock<Arc<Intel>> = LazyLock::new(|| Arc::new(Intel::shipped()));

impl World {
    fn new(at: i64) -> Self {
        Self { at, flows: 0, seen: Vec::new() }
    }

    /// A few hosts that do what hosts do: a shared site, a mail service, a file server.
    fn background(&mut self) {
        for n in 0..12_i64 {
            let host = format!("172.16.0.{}", 200 + n);
            self.contact(n, &host, "192.0.2.10", 443, Some("mail.corp-cloud.example"));
            self.contact(n * 9, &host, "192.0.2.20", 443, Some("www.news.example"));
            self.touch(n * 11, &host, "172.16.0.2", 445);
        }
    }

    fn told(self) -> Told {
        self.told_with(Site::new(&["172.16.0.0/16".parse().unwrap()], &[]))
    }

    fn told_with(mut self, site: Site) -> Told {
        self.seen.sort_by_key(|o| (o.ts, o.uid, o.n));
        let declared = Declared { site, domain: None, utc_offset_s: 0, hosts: Vec::new(), policies: Vec::new() };
        let mut analysis = Analysis::new(Arc::new(declared), INTEL.clone(), Rules::shipped());
        self.seen.iter().for_each(|o| analysis.observe(o));
        let last = self.seen.last().map_or(Timestamp(0), |o| o.ts);
        analysis.finish(last)
    }

    fn act(&mut self, s: i64, by: &str, on: &str, port: u16, channel: Channel, act: Act, operation: &str) {
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

    fn touch(&mut self, s: i64, from: &str, to: &str, port: u16) {
        self.flow(s, from, to, port, [Event::FlowOpened], 1);
    }

    fn contact(&mut self, s: i64, from: &str, to: &str, port: u16, sni: Option<&str>) {
        let handshake = sni.map(|sni| Event::Handshake(Box::new(handshake(self.at + s, sni))));
        self.flow(s, from, to, port, std::iter::once(Event::FlowOpened).chain(handshake), 1);
    }

    /// `n` contacts, `period` seconds apart.
    fn beacon(&mut self, s: i64, from: &str, to: &str, port: u16, sni: Option<&str>, n: i64, period: i64) {
        (0..n).for_each(|k| self.contact(s + k * period, from, to, port, sni));
    }

    /// A flow whose facts follow each other by a tenth of a second and that ends after `lasts` seconds.
    fn flow(&mut self, s: i64, from: &str, to: &str, port: u16, facts: impl IntoIterator<Item = Event>, lasts: i64) {
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
    }
}

fn handshake(at: i64, sni: &str) -> Handshake {
    Handshake {
        started: Timestamp::from_secs(at),
        transport: HandshakeTransport::Tls,
        version: None,
        sni: Some(sni.into()),
        alpn: Vec::new(),
        next_protocol: None,
        cipher: None,
        ja3: None,
        ja3s: None,
        ja4: None,
        ech: None,
        quic_version: None,
        resumed: None,
        certificate: None,
    }
}

fn record(ts: Timestamp, last: Timestamp, orig: Endpoint, resp: Endpoint) -> FlowRecord {
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
        packets: crate::event::PacketRange::default(),
    }
}
