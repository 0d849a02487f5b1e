//! A small fleet as packets: the simulator's plan, written out by the writers, must be read by the left side as the
//! observations the simulator would have told. So what is proved in observation space holds for the whole path.
//!
//! Sizes are cut: what a flow carries beyond a few segments is not written.

use super::acts::{self, Act};
use super::directory;
use super::dns::{A, Answer, FOUND, look_up};
use super::fleet::flow::{Client, Flow, Over, Says};
use super::fleet::{DAY, Fleet, HOUR, Ns, START, Story, speak};
use super::hello;
use super::http;
use super::net::{Host, Wire};
use super::quic;
use super::tcp::{Side, Tcp};
use super::tls::{self, Tls};
use rustls::quic::Version;
use std::collections::BTreeSet;
use std::net::IpAddr;
use yukue::event::{Channel, Event, IdentitySource, Observation};

/// Writes one flow.
fn write(wire: &mut Wire, flow: &Flow, fleet: &Fleet) {
    let at = flow.ts.cast_unsigned();
    let (orig, resp) = (host(flow.orig), host(flow.resp));
    let names = fleet.names();
    let (up, down) = (flow.up.min(MOST) as usize, flow.down.min(MOST) as usize);
    match &flow.says {
        Says::Lookup(name, ip) => {
            let answers = [Answer::Address(speak::address(*ip))];
            look_up(wire, at, &orig, &resp, (&names.text(*name), A), (FOUND, &answers));
        }
        Says::Lease(number) => {
            directory::lease(wire, at, &orig, &resp, &names.host(*number));
        }
        Says::Quic(name, client) => {
            quic::connection(wire, at, &orig, &resp, &names.text(*name), (Version::V1, stack(*client)));
        }
        Says::Tls(name, client) => {
            let mut tcp = Tcp::new(wire, at, &orig, (&resp, flow.port));
            tcp.open();
            let mut session = Tls::open(&mut tcp, stack(*client), Some(&names.text(*name)), tls::Answer::Modern);
            session.exchange(up, down);
            session.close(Side::Orig);
        }
        Says::Get(name, _) => {
            let mut tcp = Tcp::new(wire, at, &orig, (&resp, flow.port));
            tcp.open().orig(&http::get("/", &names.text(*name), http::BROWSER));
            tcp.resp(&http::ok("text/html", &http::page(down)));
            tcp.close(Side::Orig);
        }
        Says::Facts(facts) => act(wire, flow, facts),
        Says::Nothing if flow.over == Over::Tcp => {
            let mut tcp = Tcp::new(wire, at, &orig, (&resp, flow.port));
            tcp.open();
            let sent = tcp.wire.random.bytes(up.max(1));
            tcp.orig(&sent);
            let sent = tcp.wire.random.bytes(down.max(1));
            tcp.resp(&sent);
            tcp.close(Side::Orig);
        }
        Says::Nothing => {}
    }
}

/// An act by the writers' own doors; what is no act is left out.
fn act(wire: &mut Wire, flow: &Flow, facts: &[(u32, Event)]) {
    let (orig, resp, at) = (host(flow.orig), host(flow.resp), flow.ts.cast_unsigned());
    let act = Act { from: (&orig, "SERVER"), on: (&resp, "CLIENT"), user: "svc" };
    let channel = facts.iter().find_map(|(_, event)| match event {
        Event::Execution(execution) => Some(execution.channel),
        _ => None,
    });
    match channel {
        Some(Channel::Winrm) => acts::winrm(wire, at, act),
        Some(Channel::Svcctl) => acts::service(wire, at, act, "Helper", r"%SystemRoot%\Helper.exe"),
        Some(Channel::Wmi) => acts::wmi(wire, at, act),
        Some(Channel::Tasksched) => acts::task(wire, at, act),
        _ => at,
    };
}

fn host(ip: u32) -> Host {
    match ip.to_be_bytes() {
        inner @ [10, ..] => Host::inside(inner),
        outer => Host::outside(outer),
    }
}

const fn stack(client: Client) -> hello::Client {
    match client {
        Client::Chromium => hello::Client::Chromium,
        Client::Firefox => hello::Client::Firefox,
        Client::Go => hello::Client::Go,
        // The writers have no other stacks.
        Client::Schannel | Client::Python | Client::Java | Client::Node => hello::Client::Schannel,
    }
}

/// What must be the same: who met which name, asked for which, acted on whom by which door, is called what.
#[derive(Debug, Default, PartialEq, Eq)]
struct Learned {
    met: BTreeSet<(IpAddr, Box<str>)>,
    asked: BTreeSet<(IpAddr, Box<str>)>,
    acted: BTreeSet<(IpAddr, IpAddr, &'static str)>,
    called: BTreeSet<(Option<IpAddr>, Option<Box<str>>)>,
    touched: BTreeSet<(IpAddr, IpAddr, u16)>,
}

impl Learned {
    fn learn(&mut self, seen: &Observation) {
        let (orig, resp) = (seen.orig.ip, seen.resp.ip);
        match &seen.event {
            Event::Handshake(told) => self.met.extend(told.sni.clone().map(|sni| (orig, sni))),
            Event::Request(told) => self.met.extend(told.host.clone().filter(|h| !h.contains(':')).map(|h| (orig, h))),
            Event::Resolution(told) => {
                self.asked.insert((orig, told.query.clone()));
            }
            Event::Execution(told) => {
                self.acted.insert((orig, resp, told.channel.name()));
            }
            Event::Identity(told) if told.source == IdentitySource::Dhcp => {
                self.called.insert((told.ip, told.hostname.clone()));
            }
            Event::FlowOpened if ![53, 67, 68, 135].contains(&seen.resp.port) => {
                self.touched.insert((orig, resp, seen.resp.port));
            }
            _ => {}
        }
    }
}

#[test]
fn the_left_side_reads_from_packets_what_the_simulator_tells() {
    let story = || Story::quiet(12, 44, 2);
    let mut fleet = Fleet::new(story());
    let mut wire = Wire::new(12);
    let mut told = Learned::default();
    let mut twin = Fleet::new(story());
    // The second day's morning in the east.
    let window = START + DAY - HOUR..START + DAY + 4 * HOUR;
    let mut written: BTreeSet<Ns> = BTreeSet::new();
    while let Some(flows) = fleet.planned() {
        for flow in flows.iter().filter(|f| window.contains(&f.ts) && is_written(f)) {
            written.insert(flow.ts);
            write(&mut wire, flow, &fleet);
        }
    }
    let mut begun = std::collections::BTreeMap::new();
    while twin.go_on(|seen| {
        if seen.event == Event::FlowOpened && written.contains(&seen.ts.0) {
            begun.insert(seen.uid, ());
        }
        if begun.contains_key(&seen.uid) {
            told.learn(&seen);
        }
    }) {}
    let frames = wire.finish();
    assert!(frames.len() > 5_000, "{} packets", frames.len());
    let frames = frames.iter().map(|f| (f.ts.cast_signed(), 1, f.bytes.as_slice()));
    let mut read = Learned::default();
    yukue::testing::observations(frames, 2).iter().for_each(|seen| read.learn(seen));
    let counts = [told.acted.len(), told.met.len(), told.asked.len(), told.called.len(), told.touched.len()];
    assert!(counts.iter().zip([2, 200, 200, 3, 100]).all(|(n, least)| *n >= least), "{counts:?}");
    let differ: Vec<_> = read.met.symmetric_difference(&told.met).collect();
    assert!(differ.is_empty(), "met: {differ:?}");
    let differ: Vec<_> = read.asked.symmetric_difference(&told.asked).collect();
    assert!(differ.is_empty(), "asked: {differ:?}");
    assert_eq!(read.called, told.called, "called");
    let missed: Vec<_> = told.acted.difference(&read.acted).collect();
    assert!(missed.is_empty(), "acts not read: {missed:?}");
    let missed: Vec<_> = told.touched.difference(&read.touched).filter(|(.., port)| *port < 49_000).collect();
    assert!(missed.is_empty(), "flows not read: {missed:?}");
}

/// Written by the writers: acts by a door they have, and everything plain.
fn is_written(flow: &Flow) -> bool {
    match &flow.says {
        Says::Facts(facts) => facts.iter().any(|(_, event)| matches!(event, Event::Execution(_))),
        Says::Nothing => flow.over == Over::Tcp,
        _ => true,
    }
}

const MOST: u32 = 900;
