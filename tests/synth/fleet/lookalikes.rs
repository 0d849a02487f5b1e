//! What looks bad and is not. Each happens in every fleet with this option; none may end above a notice.

use super::acts::{self, Door};
use super::dice::share;
use super::flow::{Client, Flow, Says};
use super::implant::{Caller, To};
use super::lone::Stage;
use super::names::Names;
use super::people::{develops, look_up, own};
use super::speak::request;
use super::truth::Lookalike;
use super::{DAY, HOUR, MINUTE, MS, Ns, SECOND};
use yukue::event::{Event, Timestamp};

/// Kinds, in the order they come up.
pub(crate) const KINDS: &[&str] = &[
    "agent version with new cloud tenant",
    "administrator fetches from a code host",
    "marketing adopts a service",
    "red team scans",
    "developers' day",
    "first sync",
    "site moves to a proxy",
    "backup moves to a new vault",
    "monitoring with remote calls",
    "business transfer",
];

/// Lets `kind` happen.
pub(crate) fn stage(kind: &'static str, s: &mut Stage<'_>) -> Lookalike {
    let at = s.at;
    let world = s.world;
    let ip = |n: u32| world.hosts[n as usize].ip;
    let dns = |n: u32| ip(s.hubs.controllers[world.hosts[n as usize].site as usize]);
    let mut hosts = Vec::new();
    let mut destination = None;
    match kind {
        // The antivirus server pushes to all its clients, which from then on talk to a cloud tenant nobody knew.
        "agent version with new cloud tenant" => {
            let server = *s.dice.pick(&s.hubs.antivirus);
            let text = format!("yukue-test-agent{}.azurewebsites.net", s.dice.below(1_000));
            destination = Some(text.clone());
            let name = s.names.make(text, 20 << 24 | 43 << 16 | 99);
            for pc in world.pcs_on(at, |h| s.hubs.antivirus_of(h.site) == server) {
                let ts = at + (s.dice.unit() * 15.0 * MINUTE as f64) as Ns;
                s.out.push(Flow::inner(ts, ip(server), ip(pc), world.params.agent_port, 3_400_000, 900).lasting(9_000));
                let first = ts + (s.dice.lognormal(45.0, 0.7) * SECOND as f64) as Ns;
                let caller = Caller::new(pc, first, at + 30 * DAY, To::Names(vec![name]), Client::Schannel);
                s.callers.push(caller.every(14_400.0, 0.2).carrying(1_200.0, 900.0));
                hosts.push(pc);
            }
        }
        // Invoke-WebRequest on forty PCs, by hand.
        "administrator fetches from a code host" => {
            let jump = ip(s.hubs.jumps[1]);
            let pcs = world.pcs_on(at, |_| true);
            let name = s.shared[1];
            for (n, pc) in s.dice.some_of(pcs.len(), 40).into_iter().map(|n| pcs[n]).enumerate() {
                let ts = at + n as Ns * 4 * SECOND;
                s.out.push(acts::run(ts, jump, ip(pc), Door::Winrm, &mut s.dice));
                let ts = ts + (s.dice.between(1.0, 9.0) * SECOND as f64) as Ns;
                let address = s.names.ip(name);
                s.out.push(look_up(ts - 30 * MS, ip(pc), dns(pc), name, address));
                let flow = Flow::inner(ts, ip(pc), address, 443, 900, 60_000);
                s.out.push(flow.saying(Says::Tls(name, Client::Schannel)));
                hosts.push(pc);
            }
            destination = Some(s.names.text(name).into());
        }
        "marketing adopts a service" => {
            let text = format!("app.campaign-desk-{}.example", s.dice.below(1_000));
            destination = Some(text.clone());
            let name = s.names.make_site(text);
            let share_of = s.dice.between(0.02, 0.08);
            for pc in world.pcs_on(at, |h| share([world.seed, 80, h.number.into(), 0]) < share_of) {
                let first = at + (s.dice.unit() * s.dice.unit() * 2.0 * DAY as f64) as Ns;
                let browser = world.hosts[pc as usize].browser;
                let caller = Caller::new(pc, first, at + 30 * DAY, To::Names(vec![name]), browser);
                s.callers.push(caller.every(9_000.0, 0.95).carrying(9_000.0, 60_000.0));
                hosts.push(pc);
            }
        }
        // A machine nobody knew tries every door and asks for lists; it runs nothing.
        "red team scans" => {
            let scanner = *s.dice.pick(&s.hubs.applications);
            for (n, pc) in world.pcs_on(at, |_| true).into_iter().take(400).enumerate() {
                let ts = at + n as Ns * 3 * SECOND;
                for port in [22, 135, 3389, 5985] {
                    s.out.push(Flow::inner(ts + Ns::from(port) * MS, ip(scanner), ip(pc), port, 60, 0));
                }
                s.out.push(acts::single(ts + SECOND, ip(scanner), ip(pc), 445, acts::query_services()));
            }
            hosts.push(scanner);
        }
        "developers' day" => {
            for pc in world.pcs_on(at, |h| develops(world.seed, h)) {
                for n in 0..30 {
                    let ts = at + (s.dice.unit() * 4.0 * HOUR as f64) as Ns;
                    let client = *s.dice.pick(&[Client::Go, Client::Python, Client::Node]);
                    let name = if n % 3 == 0 { s.shared[1] } else { Names::tenant(s.dice.zipf(5_000.0, 0.9)) };
                    let flow = Flow::inner(ts, ip(pc), s.names.ip(name), 443, 2_000, 400_000);
                    s.out.push(flow.saying(Says::Tls(name, client)));
                }
                hosts.push(pc);
            }
        }
        // A new laptop sends its disk to the company's own cloud.
        "first sync" | "business transfer" => {
            let text =
                if kind == "first sync" { "yukue-test-corp-my.sharepoint.com" } else { "up.transfer-house.example" };
            let name = s.names.make_site(text.to_owned());
            if let Some(pc) = s.pc() {
                let browser = world.hosts[pc as usize].browser;
                let caller = Caller::new(pc, at, at + 6 * HOUR, To::Names(vec![name]), browser);
                s.callers.push(caller.every(600.0, 0.5).carrying(3e8, 4_000.0));
                hosts.push(pc);
            }
            // Colleagues use it too, with less.
            for pc in world.pcs_on(at, |h| share([world.seed, 81, h.number.into(), 0]) < 0.1) {
                let caller =
                    Caller::new(pc, at - at.rem_euclid(DAY), at + 20 * DAY, To::Names(vec![name]), Client::Chromium);
                s.callers.push(caller.every(20_000.0, 0.9).carrying(200_000.0, 9_000.0));
            }
            destination = Some(text.to_owned());
        }
        // From now on a site's PCs also ask a machine for their favourites, and it meets all of them for the first time.
        "site moves to a proxy" => {
            let site = world.sites.len() as u16 - 1;
            let proxy = *s.dice.pick(&s.hubs.applications);
            for pc in world.pcs_on(at, |h| h.site == site) {
                let host = &world.hosts[pc as usize];
                for _ in 0..40 {
                    let ts = at + (s.dice.unit() * 6.0 * HOUR as f64) as Ns;
                    let favourite = s.dice.zipf(host.known.into(), 1.0) as u32;
                    let name = own(world.seed, &world.params, host, favourite);
                    let asked = Says::Facts([(30, connect(Timestamp(ts + 30 * MS), &s.names.text(name)))].into());
                    s.out.push(Flow::inner(ts, ip(pc), ip(proxy), 8_080, 3_000, 40_000).saying(asked));
                    let flow = Flow::inner(ts + 90 * MS, ip(proxy), s.names.ip(name), 443, 3_000, 40_000);
                    s.out.push(flow.saying(Says::Tls(name, Client::Chromium)));
                }
            }
            hosts.push(proxy);
        }
        "backup moves to a new vault" => {
            let text = "yukue-test-vault2.blob.core.windows.net".to_owned();
            destination = Some(text.clone());
            let name = s.names.make(text, 20 << 24 | 150 << 16 | 78);
            hosts.push(s.hubs.backup);
            let caller = Caller::new(s.hubs.backup, at, at + 30 * DAY, To::Names(vec![name]), Client::Go);
            s.callers.push(caller.every(86_400.0, 0.0).carrying(9e8, 9_000.0));
        }
        // Inventory: every hour the same questions to a tenth of the servers.
        _ => {
            let monitor = *s.dice.pick(&s.hubs.applications);
            for server in s.hubs.applications.iter().filter(|n| **n % 10 == 3 && **n != monitor) {
                for n in 0..24 {
                    let ts = at + n * HOUR + Ns::from(*server % 600) * SECOND;
                    s.out.push(acts::single(ts, ip(monitor), ip(*server), 445, acts::query_services()));
                }
            }
            hosts.push(monitor);
        }
    }
    Lookalike { kind, at, hosts, destination }
}

/// A browser asks a proxy for a connection to `name`.
fn connect(ts: Timestamp, name: &str) -> Event {
    let agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
    let target = format!("{name}:443");
    let mut event = request(ts, &target, &target, agent, None, 0);
    if let Event::Request(asked) = &mut event {
        (asked.method, asked.content_type, asked.proxied) = ("CONNECT".into(), None, true);
    }
    event
}
