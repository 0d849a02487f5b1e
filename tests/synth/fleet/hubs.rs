//! Servers that touch many: domain controllers, antivirus, software distribution, scanner, help desk, remote
//! management, backup, file and application servers. They are why co-occurrence proves nothing.

use super::acts::{self, Door};
use super::dice::{Dice, share};
use super::flow::{Client, Flow, Over, Says};
use super::names::{Name, Names};
use super::people::look_up;
use super::world::{Host, World, works};
use super::{DAY, HOUR, MINUTE, MS, Ns, SECOND, SLICE, START};

/// Who plays which part; numbers of hosts.
#[derive(Clone, Debug)]
pub(crate) struct Hubs {
    /// A site's domain controller, resolver and DHCP server.
    pub(crate) controllers: Vec<u32>,
    /// Antivirus management, each for some sites.
    pub(crate) antivirus: Vec<u32>,
    pub(crate) distribution: u32,
    pub(crate) scanner: u32,
    pub(crate) jumps: [u32; 2],
    pub(crate) remote: u32,
    pub(crate) backup: u32,
    pub(crate) files: Vec<u32>,
    /// Everything else that serves.
    pub(crate) applications: Vec<u32>,
    antivirus_vendor: Name,
    backup_vault: Name,
    update_vendor: Name,
}

impl Hubs {
    pub(crate) fn new(world: &World, names: &mut Names) -> Self {
        let servers = || world.pcs as u32..(world.pcs + world.servers) as u32;
        let mut at: Vec<Vec<u32>> = vec![Vec::new(); world.sites.len()];
        for n in servers().rev() {
            at[world.hosts[n as usize].site as usize].push(n);
        }
        let mut main: Vec<u32> = std::mem::take(&mut at[0]);
        let mut spare: Vec<u32> = servers().filter(|n| !main.contains(n)).collect();
        let mut take = |at_site: Option<&mut Vec<u32>>| {
            let found = at_site.and_then(Vec::pop).or_else(|| main.pop()).or_else(|| spare.pop());
            if let Some(found) = found {
                spare.retain(|n| *n != found);
            }
            found.unwrap_or(world.pcs as u32)
        };
        let head = take(None);
        let [distribution, scanner, remote, backup] = [(); 4].map(|()| take(None));
        let jumps = [take(None), take(None)];
        let count = (world.sites.len() / 6).clamp(2, 4);
        let antivirus: Vec<u32> = (0..count).map(|_| take(None)).collect();
        // A site with servers of its own has a controller there.
        let controllers = at.iter_mut().enumerate().map(|(n, own)| match own.len() {
            2.. if n > 0 => take(Some(own)),
            _ => head,
        });
        let controllers: Vec<u32> = controllers.collect();
        let store = take(None);
        let files = at.iter_mut().map(|own| if own.len() > 1 { take(Some(own)) } else { store }).collect();
        let taken = [head, distribution, scanner, remote, backup, store];
        let special =
            |n: &u32| taken.contains(n) || jumps.contains(n) || antivirus.contains(n) || controllers.contains(n);
        Self {
            applications: servers().filter(|n| !special(n)).collect(),
            distribution,
            scanner,
            jumps,
            remote,
            backup,
            files,
            antivirus_vendor: names.make_site("iau.antivirus-vendor.example".to_owned()),
            backup_vault: names.make("yukue-test-vault.blob.core.windows.net".to_owned(), 20 << 24 | 150 << 16 | 77),
            update_vendor: names.make_site("sls.update.microsoft.com".to_owned()),
            controllers,
            antivirus,
        }
    }

    /// The antivirus server of a site.
    pub(crate) fn antivirus_of(&self, site: u16) -> u32 {
        self.antivirus[site as usize % self.antivirus.len()]
    }

    /// Those who administer, for campaigns to choose from.
    pub(crate) fn administrators(&self) -> Vec<u32> {
        [self.distribution, self.jumps[0], self.remote].into_iter().chain(self.antivirus.iter().copied()).collect()
    }
}

/// What a PC does inside within a slice.
pub(crate) fn inner(world: &World, hubs: &Hubs, host: &Host, from: Ns, out: &mut Vec<Flow>) {
    let (begin, until) = (from.max(host.on), (from + SLICE).min(host.off));
    if begin >= until {
        return;
    }
    let at = |hub: u32| world.hosts[hub as usize].ip;
    let (seed, me) = (world.seed, u64::from(host.number));
    let mut dice = Dice::of([seed, 40, me, (from / SLICE) as u64]);
    let controller = at(hubs.controllers[host.site as usize]);
    let antivirus = at(hubs.antivirus_of(host.site));
    let booted = host.on >= from && host.off - host.on < DAY;
    if booted || (host.off - host.on >= DAY && from - host.on < SLICE) {
        out.push(lease(host, controller));
    }
    if booted {
        // A boot touches everything.
        let mut ts = host.on + 4 * SECOND;
        for (server, port, up, down) in [
            (controller, 389, 900, 1_800),
            (controller, 88, 1_400, 1_500),
            (controller, 445, 3_000, 9_000),
            (at(hubs.files[host.site as usize]), 445, 4_000, 30_000),
            (antivirus, 4343, 1_200, 900),
            (at(hubs.distribution), 443, 2_000, 5_000),
        ] {
            ts += (dice.between(0.2, 20.0) * SECOND as f64) as Ns;
            out.push(Flow::inner(ts, host.ip, server, port, up, down).lasting(4_000));
        }
    }
    let span = (until - begin) as f64;
    let mut scatter = |per_hour: f64, server: u32, port: u16, up: f64, down: f64| {
        for _ in 0..dice.poisson(per_hour * span / HOUR as f64) {
            let ts = begin + (dice.unit() * span) as Ns;
            let (up, down) = (dice.lognormal(up, 0.6) as u32, dice.lognormal(down, 1.0).min(2e9) as u32);
            out.push(Flow::inner(ts, host.ip, server, port, up, down).lasting(2_500));
        }
    };
    let hourly = -6.0 * (1.0 - world.params.dc_share).ln();
    scatter(hourly, controller, if from % 2 == 0 { 389 } else { 88 }, 1_100.0, 1_700.0);
    scatter(1.2, at(hubs.files[host.site as usize]), 445, 5_000.0, 60_000.0);
    for n in 0..3 {
        let used = share([seed, 41, me, n]) * share([seed, 42, me, n]);
        if let Some(server) = hubs.applications.get((used * hubs.applications.len() as f64) as usize) {
            scatter(0.3 + 0.2 * n as f64, at(*server), 443, 2_500.0, 20_000.0);
        }
    }
    // The agent's report, by its own timer.
    let every = world.params.heartbeat_s * SECOND as f64;
    let phase = share([seed, 43, me, 0]);
    let mut k = ((begin - START) as f64 / every - phase).ceil();
    loop {
        let ts = START + ((k + phase) * every) as Ns;
        if ts >= until {
            break;
        }
        let mut dice = Dice::of([seed, 44, me, k as i64 as u64]);
        let ts = ts + (dice.unit() * 5.0 * SECOND as f64) as Ns;
        let (up, down) = (dice.lognormal(1_100.0, 0.1) as u32, dice.lognormal(700.0, 0.2) as u32);
        out.push(Flow::inner(ts, host.ip, antivirus, 4343, up, down));
        k += 1.0;
    }
}

/// The address a host has today, told to it.
fn lease(host: &Host, server: u32) -> Flow {
    Flow {
        ts: host.on + SECOND,
        orig: host.ip,
        resp: server,
        port: 67,
        over: Over::Udp,
        lasts: 60,
        up: 300,
        down: 300,
        says: Says::Lease(host.number),
    }
}

/// What the hubs do of their own within a slice.
pub(crate) fn rounds(world: &World, hubs: &Hubs, names: &Names, from: Ns, out: &mut Vec<Flow>) {
    let mut dice = Dice::of([world.seed, 45, (from / SLICE) as u64, 0]);
    pattern_pushes(world, hubs, from, out);
    nightly(world, hubs, names, from, &mut dice, out);
    let (hour, working) = world.local(0, from);
    let at = |hub: u32| world.hosts[hub as usize].ip;
    // Help desk: two to six bursts a day.
    if working && (9..18).contains(&hour) && dice.chance(4.0 / 36.0) {
        let pcs = world.pcs_on(from, |_| true);
        let jump = at(*dice.pick(&hubs.jumps));
        let door = if dice.chance(0.7) { Door::Winrm } else { Door::Svcctl };
        let mut ts = from + (dice.unit() * 300.0 * SECOND as f64) as Ns;
        for n in 0..(1 + dice.below(5)).min(pcs.len()) {
            let pc = pcs[(dice.below(pcs.len()) + n) % pcs.len()];
            out.push(acts::run(ts, jump, at(pc), door, &mut dice));
            ts += (dice.lognormal(60.0, 0.8) * SECOND as f64) as Ns;
        }
    }
    // Remote management: three in a hundred hosts, hourly, on the product's port.
    if from.rem_euclid(HOUR) == 0 {
        for host in world.hosts.iter().filter(|h| h.is_on(from) && share([world.seed, 46, h.number.into(), 0]) < 0.03) {
            let ts = from + (dice.unit() * 50.0 * MINUTE as f64) as Ns;
            out.push(Flow::inner(ts, at(hubs.remote), host.ip, 5_721, 1_800, 2_400));
        }
        for (hub, name) in hubs
            .antivirus
            .iter()
            .map(|hub| (*hub, hubs.antivirus_vendor))
            .chain([(hubs.distribution, hubs.update_vendor)])
        {
            let ts = from + (dice.unit() * HOUR as f64) as Ns;
            let ip = names.ip(name);
            out.push(look_up(ts - 30 * MS, at(hub), at(hubs.controllers[0]), name, ip));
            let down = dice.lognormal(80_000.0, 1.0) as u32;
            let says = Says::Tls(name, Client::Schannel);
            out.push(Flow { port: 443, up: 1_500, says, ..Flow::inner(ts, at(hub), ip, 443, 0, down) });
        }
    }
}

/// The antivirus server tells all its agents that there is a new pattern, and sends it.
fn pattern_pushes(world: &World, hubs: &Hubs, from: Ns, out: &mut Vec<Flow>) {
    for (n, hub) in hubs.antivirus.iter().enumerate() {
        for push in 0..world.params.pushes {
            let daily = share([world.seed, 47, n as u64, push.into()]);
            let at = from.div_euclid(DAY) * DAY + (daily * DAY as f64) as Ns;
            if at < from || at >= from + SLICE {
                continue;
            }
            let mut dice = Dice::of([world.seed, 48, n as u64, at as u64]);
            let size = dice.octaves(20_000.0, 90_000.0);
            let over = dice.between(4.0, 12.0) * MINUTE as f64;
            let server = world.hosts[*hub as usize].ip;
            for host in world.hosts.iter().filter(|h| h.is_on(at) && hubs.antivirus_of(h.site) == *hub && h.is_pc()) {
                let ts = at + (dice.unit() * over) as Ns;
                let up = (size * dice.between(0.98, 1.02)) as u32;
                out.push(Flow::inner(ts, server, host.ip, world.params.agent_port, up, 400));
            }
        }
    }
}

/// Night work: the scanner's round, backups, the vault.
fn nightly(world: &World, hubs: &Hubs, names: &Names, from: Ns, dice: &mut Dice, out: &mut Vec<Flow>) {
    let (hour, _) = world.local(0, from);
    let at = |hub: u32| world.hosts[hub as usize].ip;
    let night = (from + world.sites[0].offset).div_euclid(DAY);
    let quarter = (from.rem_euclid(HOUR) / SLICE) as u64;
    let slice = |n: u32| u64::from(n) % 16 == (hour as u64 % 4) * 4 + quarter;
    if (1..5).contains(&hour) {
        // A seventh of the hosts each night, four doors tried at each.
        for host in world.hosts.iter().filter(|h| i64::from(h.number % 7) == night.rem_euclid(7) && slice(h.number / 7))
        {
            for port in [22, 445, 3389] {
                let ts = from + (dice.unit() * SLICE as f64) as Ns;
                let down = if host.is_on(ts) && port == 445 { 200 } else { 0 };
                out.push(Flow::inner(ts, at(hubs.scanner), host.ip, port, 60, down));
            }
        }
        for server in hubs.applications.iter().filter(|n| slice(**n)) {
            let ts = from + (dice.unit() * SLICE as f64) as Ns;
            let size = dice.lognormal(3e8, 1.0).min(3e9) as u32;
            out.push(Flow::inner(ts, at(hubs.backup), at(*server), 10_000, 20_000, size).lasting(240_000));
        }
    }
    if hour == 5 && quarter == 0 {
        for n in 0..6 {
            let ts = from + n * 7 * MINUTE;
            let ip = names.ip(hubs.backup_vault);
            out.push(look_up(ts - 30 * MS, at(hubs.backup), at(hubs.controllers[0]), hubs.backup_vault, ip));
            let up = dice.lognormal(4e8, 0.3).min(3e9) as u32;
            let flow = Flow::inner(ts, at(hubs.backup), ip, 443, up, 9_000).lasting(300_000);
            out.push(flow.saying(Says::Tls(hubs.backup_vault, Client::Go)));
        }
    }
}

/// Servers and devices: a few vendors each, time and again.
pub(crate) fn machine(world: &World, hubs: &Hubs, names: &Names, host: &Host, from: Ns, out: &mut Vec<Flow>) {
    let (seed, me) = (world.seed, u64::from(host.number));
    let mut dice = Dice::of([seed, 49, me, (from / SLICE) as u64]);
    let at = |hub: u32| world.hosts[hub as usize].ip;
    let controller = at(hubs.controllers[host.site as usize]);
    let per_slice = SLICE as f64 / HOUR as f64;
    for _ in 0..dice.poisson(1.5 * per_slice) {
        let vendor = Names::tenant(60 + (share([seed, 50, me, dice.below(4) as u64]) * 900.0) as u64);
        let (ts, ip) = (from + (dice.unit() * SLICE as f64) as Ns, names.ip(vendor));
        if dice.chance(0.3) {
            out.push(look_up(ts - 30 * MS, host.ip, controller, vendor, ip));
        }
        let flow =
            Flow::inner(ts, host.ip, ip, 443, dice.lognormal(1_500.0, 0.4) as u32, dice.lognormal(6e3, 0.8) as u32);
        out.push(flow.saying(Says::Tls(vendor, Client::Schannel)));
    }
    for _ in 0..dice.poisson(2.0 * per_slice) {
        let ts = from + (dice.unit() * SLICE as f64) as Ns;
        out.push(Flow::inner(ts, host.ip, controller, 389, 900, 1_600));
    }
    // A server meets a new vendor once in two months.
    if host.kind == super::world::Kind::Server && dice.chance(SLICE as f64 / (60 * DAY) as f64) {
        let (ts, vendor) = (from + 60 * SECOND, Names::tenant(dice.zipf(world.params.tenants, world.params.zipf)));
        out.push(look_up(ts - 30 * MS, host.ip, controller, vendor, names.ip(vendor)));
        let flow = Flow::inner(ts, host.ip, names.ip(vendor), 443, 3_000, 50_000);
        out.push(flow.saying(Says::Tls(vendor, Client::Schannel)));
    }
}

/// A weekly wave: the distribution server tells PCs to fetch something, and they do within two minutes. Wednesdays in
/// the site's morning, as the second Tuesday of the vendor's month falls in Japan.
pub(crate) fn wave(world: &World, hubs: &Hubs, names: &Names, from: Ns, fetched: &[Name], out: &mut Vec<Flow>) {
    let local = from + world.sites[0].offset;
    let day = local.div_euclid(DAY);
    if (day + 3).rem_euclid(7) != 2 || !works(day) || local.rem_euclid(DAY) != 10 * HOUR {
        return;
    }
    let mut dice = Dice::of([world.seed, 51, day as u64, 0]);
    let week = ((day - START / DAY) / 7).max(0) as usize;
    let Some(name) = fetched.get(week % fetched.len().max(1)) else { return };
    let (reach, over) = (dice.between(0.3, 1.0), dice.between(10.0, 120.0) * MINUTE as f64);
    let server = world.hosts[hubs.distribution as usize].ip;
    let size = dice.octaves(1e6, 3e7);
    for pc in world.pcs_on(from, |h| share([world.seed, 52, h.number.into(), day as u64]) < reach) {
        let host = &world.hosts[pc as usize];
        let ts = from + (dice.unit() * over) as Ns;
        out.push(Flow::inner(ts, server, host.ip, 10_123, dice.octaves(2_000.0, 8_000.0) as u32, 900));
        let ts = ts + (dice.lognormal(20.0, 0.8).clamp(2.0, 115.0) * SECOND as f64) as Ns;
        let (dns, ip) = (world.hosts[hubs.controllers[host.site as usize] as usize].ip, names.ip(*name));
        out.push(look_up(ts - 30 * MS, host.ip, dns, *name, ip));
        let flow = Flow::inner(ts, host.ip, ip, 443, 1_900, (size * dice.between(0.99, 1.01)) as u32).lasting(15_000);
        out.push(flow.saying(Says::Tls(*name, Client::Schannel)));
    }
}
