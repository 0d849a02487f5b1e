//! Something bad without a campaign around it: one family for each thing a detector claims to see.

use super::acts::{self, Door};
use super::dice::Dice;
use super::flow::{Client, Flow, Over, Says};
use super::hubs::Hubs;
use super::implant::{Caller, To};
use super::names::{Name, Names};
use super::people::look_up;
use super::speak::{hello, request, resolution};
use super::truth::Lone;
use super::world::{Kind, World};
use super::{DAY, HOUR, MINUTE, MS, Ms, Ns, SECOND};
use yukue::event::{Banner, Certificate, Counters, Direction, Event, HandshakeTransport, Timestamp};

/// What everybody who stages something has at hand.
pub(crate) struct Stage<'a> {
    pub(crate) world: &'a World,
    pub(crate) hubs: &'a Hubs,
    pub(crate) names: &'a mut Names,
    pub(crate) shared: &'a [Name],
    /// Hosts that already play a part.
    pub(crate) taken: &'a mut Vec<u32>,
    pub(crate) callers: &'a mut Vec<Caller>,
    pub(crate) out: &'a mut Vec<Flow>,
    pub(crate) dice: Dice,
    pub(crate) at: Ns,
}

/// Families, in the order they are staged.
pub(crate) const FAMILIES: &[&str] = &[
    "beacon",
    "beacon hourly",
    "slow drip",
    "cohort exfiltration",
    "upload tail",
    "dns tunnel",
    "icmp tunnel",
    "doh",
    "dot",
    "resolver bypass",
    "direct address",
    "certificate",
    "long connection",
    "port mismatch",
    "off hours",
    "remote management product",
    "tunnel product",
    "script download",
    "execution chain",
    "fan-out",
    "hub egress",
    "new admin path",
    "coerced authentication",
    "dcsync",
    "hive saving",
    "log clearing",
    "entry",
    "client identity",
];

/// Stages `family`; `None` when nobody fit for it is there.
pub(crate) fn stage(family: &'static str, s: &mut Stage<'_>) -> Option<Lone> {
    let at = s.at;
    let mut until = at + DAY;
    let mut hosts = vec![s.pc()?];
    let host = hosts[0];
    let (mut timer, mut touched) = (None, Vec::new());
    match family {
        "beacon" => {
            let to = s.own("beacon");
            timer = s.text(&to);
            let (interval, jitter) = (s.dice.octaves(60.0, 600.0), s.dice.between(0.0, 0.5));
            until = at + 2 * DAY;
            s.callers.push(Caller::new(host, at, until, to, Client::Schannel).every(interval, jitter));
        }
        "beacon hourly" => {
            let to = s.own("hourly");
            timer = s.text(&to);
            until = at + 6 * DAY;
            s.callers.push(Caller::new(host, at, until, to, Client::Schannel).every(3_600.0, 0.3));
        }
        "slow drip" => {
            let to = s.own("drip");
            let (up, until_) = (s.dice.octaves(4e5, 3e6), at + 7 * DAY);
            until = until_;
            s.callers.push(Caller::new(host, at, until, to, Client::Schannel).every(2_400.0, 0.9).carrying(up, 900.0));
        }
        "cohort exfiltration" => {
            let to = s.own("cohort");
            for _ in 0..11 + s.dice.below(15) {
                hosts.push(s.pc()?);
            }
            until = at + 4 * DAY;
            for host in &hosts {
                let first = at + (s.dice.unit() * 1.5 * DAY as f64) as Ns;
                let up = s.dice.octaves(3e5, 1.5e6);
                let caller = Caller::new(*host, first, until, to.clone(), Client::Schannel);
                s.callers.push(caller.every(9_000.0, 0.9).carrying(up, 800.0));
            }
        }
        "upload tail" => {
            let to = s.own("upload");
            let up = s.dice.octaves(2e8, 2e9);
            s.callers.push(Caller::new(host, at, until, to, Client::Chromium).carrying(up, 9_000.0));
        }
        "dns tunnel" => s.dns_tunnel(host),
        "icmp tunnel" => {
            for n in 0..60 {
                let ts = at + n * MINUTE;
                let flow =
                    Flow { over: Over::Icmp, port: 0, ..Flow::inner(ts, s.ip(host), OUTSIDE + 9, 0, 90_000, 90_000) };
                s.out.push(flow.lasting(50_000));
            }
        }
        "doh" => s.named_calls(host, "cloudflare-dns.com", 0x0101_0101, 443, Client::Python, 400),
        "dot" => s.named_calls(host, "dns.quad9.net", 0x0909_0909, 853, Client::Go, 60),
        "resolver bypass" => {
            for n in 0..120 {
                let name = Names::tenant(s.dice.below(90_000) as u64);
                let flow = look_up(at + n * 40 * SECOND, s.ip(host), 0x0808_0404, name, s.names.ip(name));
                s.out.push(flow);
            }
        }
        "direct address" => {
            let to = To::Address(OUTSIDE + 700 + s.dice.below(9_000) as u32);
            s.callers.push(Caller::new(host, at, until, to, Client::Schannel).every(500.0, 0.9));
        }
        "certificate" => s.certificate(host),
        "long connection" => {
            let facts = (0..230).map(|n| {
                let n = u64::from(n as u32);
                let counters = Counters { orig_bytes: n * 90, resp_bytes: n * 70, orig_pkts: n, resp_pkts: n };
                (n as Ms * 120_000 + 60_000, Event::FlowProgress(counters))
            });
            let flow = Flow::inner(at, s.ip(host), OUTSIDE + 44, 8_443, 21_000, 16_000).lasting(8 * 3_600_000);
            s.out.push(flow.saying(Says::Facts(facts.collect())));
        }
        "port mismatch" => {
            let ssh =
                Banner { protocol: "ssh", from: Direction::Resp, software: "SSH-2.0-OpenSSH_9.6".into(), hassh: None };
            for n in 0..5 {
                let facts = Says::Facts([(90, Event::Banner(Box::new(ssh.clone())))].into());
                let flow = Flow::inner(at + n * 20 * MINUTE, s.ip(host), OUTSIDE + 45, 443, 40_000, 90_000);
                s.out.push(flow.lasting(400_000).saying(facts));
            }
        }
        "off hours" => {
            hosts = vec![s.someone(|h| h.kind == Kind::Workstation)?];
            let site = s.world.hosts[hosts[0] as usize].site;
            let midnight = (at + s.world.sites[site as usize].offset).div_euclid(DAY) * DAY + 26 * HOUR;
            let night = midnight - s.world.sites[site as usize].offset;
            for n in 0..4 {
                let to = s.own(&format!("night{n}"));
                let first = night + n * 9 * MINUTE;
                s.callers.push(Caller::new(hosts[0], first, first + HOUR, to, Client::Schannel).carrying(2e7, 900.0));
            }
            until = night + DAY;
        }
        "remote management product" => s.named_calls(host, "relay-9.net.anydesk.com", 0x8ef4_0101, 443, Client::Go, 12),
        "tunnel product" => s.named_calls(host, "yukue-test-7.trycloudflare.com", 0x6810_e684, 443, Client::Go, 12),
        "script download" => s.script(host),
        "execution chain" => {
            let jump = s.ip(s.hubs.jumps[0]);
            let flow = acts::run(at, jump, s.ip(host), Door::Winrm, &mut s.dice);
            s.out.push(flow);
            let to = s.own("chain");
            let first = at + (s.dice.between(4.0, 50.0) * SECOND as f64) as Ns;
            s.callers.push(Caller::new(host, first, until, to, Client::Schannel).every(90.0, 0.3));
        }
        "fan-out" => {
            for n in 0..14 {
                let other = s.pc()?;
                let flow = acts::run(at + n * 35 * SECOND, s.ip(host), s.ip(other), Door::Svcctl, &mut s.dice);
                s.out.push(flow);
                touched.push(other);
            }
        }
        "hub egress" => {
            hosts = vec![*s.dice.pick(&s.hubs.antivirus)];
            let to = s.own("hub");
            s.callers.push(Caller::new(hosts[0], at, until, to, Client::Schannel).every(1_900.0, 0.6));
        }
        "new admin path" => {
            let by = *s.dice.pick(&s.hubs.applications);
            hosts = vec![by, s.hubs.distribution];
            let flow = acts::run(at, s.ip(by), s.ip(s.hubs.distribution), Door::Winrm, &mut s.dice);
            s.out.push(flow);
        }
        "coerced authentication" => touched.push(s.on_controller(host, acts::coerce())),
        "dcsync" => touched.push(s.on_controller(host, acts::replicate())),
        "hive saving" => touched.push(s.on_controller(host, acts::save_hive())),
        "log clearing" => touched.push(s.on_controller(host, acts::clear_log())),
        "entry" => {
            hosts = vec![s.hubs.remote];
            for n in 0..4 {
                let flow = Flow::inner(at + n * 3 * MINUTE, OUTSIDE + 46, s.ip(hosts[0]), 5_985, 60_000, 90_000);
                s.out.push(flow.lasting(90_000));
            }
            let to = s.own("entry");
            s.callers.push(Caller::new(hosts[0], at + HOUR, until, to, Client::Schannel).every(2_700.0, 0.5));
        }
        "client identity" => {
            // The system's library where browsers go.
            let to = To::Names(vec![s.shared[0]]);
            s.callers
                .push(Caller::new(host, at, until, to, Client::Schannel).every(700.0, 0.8).carrying(90_000.0, 500.0));
        }
        _ => return None,
    }
    Some(Lone { family, hosts, touched, timer, from: at, until })
}

impl Stage<'_> {
    fn ip(&self, host: u32) -> u32 {
        self.world.hosts[host as usize].ip
    }

    fn dns(&self, host: u32) -> u32 {
        self.ip(self.hubs.controllers[self.world.hosts[host as usize].site as usize])
    }

    /// A PC in use, for hours yet, that plays no part; it does from now on.
    pub(crate) fn pc(&mut self) -> Option<u32> {
        self.someone(|_| true)
    }

    fn someone(&mut self, fit: impl Fn(&super::world::Host) -> bool) -> Option<u32> {
        let soon = self.at + 2 * HOUR;
        let visible = |site: u16| self.world.sites[site as usize].visible;
        let pcs = self
            .world
            .pcs_on(self.at, |h| h.is_on(soon) && visible(h.site) && fit(h) && !self.taken.contains(&h.number));
        let found = pcs.get(self.dice.below(pcs.len())).copied()?;
        self.taken.push(found);
        Some(found)
    }

    fn text(&self, to: &To) -> Option<String> {
        let To::Names(names) = to else { return None };
        names.first().map(|name| self.names.text(*name).into())
    }

    /// A destination nobody else has.
    fn own(&mut self, what: &str) -> To {
        let tag = self.dice.next() as u32;
        let name = if self.dice.chance(0.5) {
            let ip = 20 << 24 | 150 << 16 | tag & 0xffff;
            self.names.make(format!("yukue-test-{what}{tag:x}.blob.core.windows.net"), ip)
        } else {
            self.names.make(format!("cdn.{what}-{tag:x}.example"), OUTSIDE | tag & 0x1_ffff)
        };
        To::Names(vec![name])
    }

    /// `n` calls, a minute or two apart, to a service whose name says what it is.
    fn named_calls(&mut self, host: u32, name: &str, ip: u32, port: u16, client: Client, n: i64) {
        let name = self.names.make(name.to_owned(), ip);
        let mut ts = self.at;
        let lookup = look_up(ts - 30 * MS, self.ip(host), self.dns(host), name, ip);
        self.out.push(lookup);
        for _ in 0..n {
            let flow =
                Flow::inner(ts, self.ip(host), ip, port, 900, 1_200).lasting(4_000).saying(Says::Tls(name, client));
            self.out.push(flow);
            ts += (self.dice.lognormal(40.0, 0.9) * SECOND as f64) as Ns;
        }
    }

    fn dns_tunnel(&mut self, host: u32) {
        for _ in 0..400 + self.dice.below(900) {
            let label: String =
                (0..40).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[self.dice.below(32)])).collect();
            let ts = self.at + (self.dice.unit() * 3.0 * HOUR as f64) as Ns;
            let (query, answer) = (format!("{label}.t.mill-race.example").into(), format!("\"{label}\"").into());
            let told = resolution(Timestamp(ts), Timestamp(ts + 20 * MS), query, "TXT", Vec::new(), vec![answer]);
            let flow = look_up(ts, self.ip(host), self.dns(host), Names::tenant(0), 0);
            self.out.push(flow.saying(Says::Facts([(20, told)].into())));
        }
    }

    /// A famous name in the hello, a machine that never had it, and a certificate it made itself yesterday.
    fn certificate(&mut self, host: u32) {
        for n in 0..9 {
            let ts = self.at + n * 11 * MINUTE;
            let mut event =
                hello(Timestamp(ts), HandshakeTransport::Tls, "settings-win.data.microsoft.com", Client::Schannel);
            if let Event::Handshake(told) = &mut event {
                told.certificate = Some(Box::new(Certificate {
                    subject: "CN=localhost".into(),
                    issuer: "CN=localhost".into(),
                    san: vec!["localhost".into()],
                    not_before: Timestamp(self.at - DAY),
                    not_after: Timestamp(self.at + 365 * DAY),
                    sha256: "6f".repeat(32).into(),
                    self_signed: true,
                }));
            }
            let flow = Flow::inner(ts, self.ip(host), OUTSIDE + 47, 443, 2_000, 4_000);
            self.out.push(flow.saying(Says::Facts([(60, event)].into())));
        }
    }

    fn script(&mut self, host: u32) {
        let agent = "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1";
        let name = "files.slow-canal.example";
        let ip = OUTSIDE + 48;
        let made = self.names.make(name.to_owned(), ip);
        let lookup = look_up(self.at - 30 * MS, self.ip(host), self.dns(host), made, ip);
        self.out.push(lookup);
        let event = request(Timestamp(self.at + 60 * MS), name, "/a.ps1", agent, Some("powershell"), 9_000);
        let flow = Flow::inner(self.at, self.ip(host), ip, 80, 400, 9_400);
        self.out.push(flow.saying(Says::Facts([(60, event)].into())));
    }

    fn on_controller(&mut self, host: u32, event: Event) -> u32 {
        let controller = self.hubs.controllers[0];
        let flow = acts::single(self.at, self.ip(host), self.ip(controller), 445, event);
        self.out.push(flow);
        controller
    }
}

/// Outside, and nobody else's (RFC 2544 block, its last sixteenth is not handed out otherwise).
const OUTSIDE: u32 = 198 << 24 | 19 << 16 | 0xf000;
