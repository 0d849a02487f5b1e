//! The enterprise: what varies from seed to seed, sites, hosts, who sits where and when.
//!
//! Every number that a detector could come to rely on is drawn from a range.

use super::dice::{Dice, share};
use super::flow::Client;
use super::{DAY, HOUR, MINUTE, Ns};

/// Drawn once a seed.
#[derive(Clone, Debug)]
pub(crate) struct Params {
    /// Exponent of the tenants' popularity.
    pub(crate) zipf: f64,
    pub(crate) tenants: f64,
    /// Share of contacts that are new to a user on the first day, median user.
    pub(crate) novelty: f64,
    /// Heaps' exponent: distinct tenants grow as contacts to this power.
    pub(crate) heaps: f64,
    pub(crate) cloud_share: f64,
    /// Tail of byte counts.
    pub(crate) alpha: f64,
    /// Chance that a PC talks to its domain controller in ten minutes.
    pub(crate) dc_share: f64,
    /// Seconds between an antivirus agent's reports.
    pub(crate) heartbeat_s: f64,
    /// Pattern pushes a day.
    pub(crate) pushes: u32,
    /// Port of the antivirus agent; differs from installation to installation.
    pub(crate) agent_port: u16,
    /// Share of sites whose inner traffic is mirrored to the sensor.
    pub(crate) visible: f64,
    /// Whether the operator wrote down who the hubs are.
    pub(crate) declared: bool,
}

impl Params {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut dice = Dice::of([seed, 1, 0, 0]);
        let new_a_day = dice.between(5.0, 20.0);
        Self {
            zipf: dice.between(0.9, 1.2),
            tenants: dice.octaves(1e5, 1e6),
            novelty: new_a_day / BROWSED,
            heaps: dice.between(0.5, 0.7),
            cloud_share: dice.between(0.25, 0.35),
            alpha: dice.between(1.05, 1.6),
            dc_share: dice.between(0.3, 0.7),
            heartbeat_s: dice.between(600.0, 3600.0).round(),
            pushes: 1 + dice.below(8) as u32,
            agent_port: 20_000 + dice.below(40_000) as u16,
            visible: if dice.chance(0.5) { 1.0 } else { dice.between(0.3, 1.0) },
            declared: dice.chance(0.5),
        }
    }
}

/// Contacts of a median user's day at the browser.
pub(crate) const BROWSED: f64 = 95.0;

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Laptop,
    Desktop,
    /// A desktop that stays on.
    Workstation,
    /// A virtual desktop: all are booted at once.
    Vdi,
    Server,
    /// Printers, cameras, badges.
    Device,
}

/// One host, with what changes as it lives.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) site: u16,
    pub(crate) browser: Client,
    /// How busy, as a multiple of the median.
    pub(crate) activity: f32,
    /// Contacts and distinct tenants so far, of this user's life.
    pub(crate) contacts: u32,
    pub(crate) known: u32,
    /// Software installed, a bit each.
    pub(crate) apps: u64,
    pub(crate) ip: u32,
    /// The local day `on` and `off` belong to.
    pub(crate) day: i32,
    /// In use from … to, in time since the epoch.
    pub(crate) on: Ns,
    pub(crate) off: Ns,
}

impl Host {
    pub(crate) const fn is_pc(&self) -> bool {
        !matches!(self.kind, Kind::Server | Kind::Device)
    }

    pub(crate) const fn is_on(&self, at: Ns) -> bool {
        at >= self.on && at < self.off
    }
}

/// One site.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) offset: Ns,
    /// Whether traffic inside it reaches the sensor.
    pub(crate) visible: bool,
    hosts: u32,
    servers: u32,
    /// Addresses of PCs nobody has now.
    free: Vec<u32>,
}

/// Sites and hosts.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) params: Params,
    pub(crate) sites: Vec<Site>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) pcs: usize,
    pub(crate) servers: usize,
}

impl World {
    pub(crate) fn new(seed: u64, size: usize) -> Self {
        let params = Params::draw(seed);
        let mut dice = Dice::of([seed, 2, 0, 0]);
        let (servers, devices) = ((size / 20).max(MIN_SERVERS), (size * 3 / 100).max(1));
        let pcs = size.saturating_sub(servers + devices).max(1);
        let mut sites = sites(&mut dice, size, &params);
        let total: f64 = sites.iter().map(|(_, weight)| weight).sum();
        let mut hosts = Vec::with_capacity(pcs + servers + devices);
        for number in 0..pcs + servers + devices {
            let kind = match number {
                n if n >= pcs + servers => Kind::Device,
                n if n >= pcs => Kind::Server,
                _ => match dice.below(100) {
                    0..58 => Kind::Laptop,
                    58..85 => Kind::Desktop,
                    85..95 => Kind::Workstation,
                    _ => Kind::Vdi,
                },
            };
            // Half of the servers stand at headquarters.
            let at_headquarters = kind == Kind::Server && dice.chance(0.5);
            let mut mark = if at_headquarters { 0.0 } else { dice.unit() * total };
            let site = sites.iter().position(|(_, weight)| {
                mark -= weight;
                mark < 0.0
            });
            let site = site.unwrap_or(0);
            let here = &mut sites[site].0;
            // Servers stand still below, PCs and devices above them, with room for a third more.
            let slot = if kind == Kind::Server {
                here.servers += 1;
                0x100 + here.servers
            } else {
                here.hosts += 1;
                0x4000 + here.hosts
            };
            let ip = network(site) | slot;
            hosts.push(Host {
                number: number as u32,
                kind,
                site: site as u16,
                browser: if dice.chance(0.85) { Client::Chromium } else { Client::Firefox },
                activity: (dice.lognormal(1.0, 0.8) as f32).clamp(0.05, 8.0),
                contacts: dice.lognormal(20_000.0, 0.5) as u32,
                known: dice.lognormal(1_200.0, 0.5) as u32 + 40,
                apps: 0,
                ip,
                day: i32::MIN,
                on: 0,
                off: 0,
            });
        }
        let mut sites: Vec<Site> = sites.into_iter().map(|(site, _)| site).collect();
        for (n, site) in sites.iter_mut().enumerate() {
            let slots = 0x4001 + site.hosts..0x4005 + site.hosts * 4 / 3;
            assert!(slots.end < 0x1_0000 && site.servers < 0x3f00, "site {n} has more hosts than addresses");
            site.free = slots.map(|slot| network(n) | slot).collect();
        }
        Self { seed, params, sites, hosts, pcs, servers }
    }

    /// Moves a host's clock to `now`; true when a new local day began for it.
    pub(crate) fn wake(&mut self, n: usize, now: Ns) -> bool {
        let host = &self.hosts[n];
        let offset = self.sites[host.site as usize].offset;
        let day = (now + offset).div_euclid(DAY) as i32;
        if host.day == day {
            return false;
        }
        let midnight = i64::from(day) * DAY - offset;
        let (on, off) = hours(self.seed, host, day);
        // Half of all days have the lease of the day before even where an address is free: churn is 5 % a day.
        let moves = host.is_pc() && host.day != i32::MIN && share([self.seed, 3, n as u64, day as u64]) < CHURN;
        if moves {
            self.renumber(n, day);
        }
        let host = &mut self.hosts[n];
        (host.day, host.on, host.off) = (day, midnight + on, midnight + off);
        true
    }

    fn renumber(&mut self, n: usize, day: i32) {
        let host = &mut self.hosts[n];
        let site = &mut self.sites[host.site as usize];
        let mut dice = Dice::of([self.seed, 4, n as u64, day as u64]);
        let taken = dice.below(site.free.len());
        if let Some(free) = site.free.get_mut(taken) {
            std::mem::swap(free, &mut host.ip);
        }
    }

    /// Hour of the local day, and whether it is a working day.
    pub(crate) fn local(&self, site: u16, now: Ns) -> (usize, bool) {
        let local = now + self.sites[site as usize].offset;
        ((local.rem_euclid(DAY) / HOUR) as usize, works(local.div_euclid(DAY)))
    }

    /// Numbers of PCs in use at `at` that `fit`.
    pub(crate) fn pcs_on(&self, at: Ns, fit: impl Fn(&Host) -> bool) -> Vec<u32> {
        self.hosts[..self.pcs].iter().filter(|h| h.is_on(at) && fit(h)).map(|h| h.number).collect()
    }
}

/// Whether a day since the epoch is Monday to Friday; the epoch was a Thursday.
pub(crate) const fn works(day: i64) -> bool {
    (day + 3).rem_euclid(7) < 5
}

/// Sites with their weights, headquarters first.
fn sites(dice: &mut Dice, size: usize, params: &Params) -> Vec<(Site, f64)> {
    const HOURS_EAST: [i64; 8] = [9, 9, 9, 8, 8, 0, 1, -5];
    let most = (size / 40).clamp(3, 60) as f64;
    let count = (dice.octaves(3.0, most + 0.5) as usize).max(size.div_ceil(9_000));
    let mut sites: Vec<(Site, f64)> = (0..count)
        .map(|_| {
            let offset = *dice.pick(&HOURS_EAST) * HOUR;
            let visible = dice.chance(params.visible);
            (Site { offset, visible, hosts: 0, servers: 0, free: Vec::new() }, dice.lognormal(1.0, 1.0))
        })
        .collect();
    sites.sort_by(|a, b| b.1.total_cmp(&a.1));
    sites[0].0.visible = true;
    sites[0].0.offset = 9 * HOUR;
    // None holds everything, and a /16 has room for 36,000 PCs that move about.
    let most = sites.iter().map(|(_, weight)| weight).sum::<f64>() * 0.3;
    sites.iter_mut().for_each(|(_, weight)| *weight = weight.min(most));
    sites
}

/// A site's addresses begin here.
const fn network(site: usize) -> u32 {
    (10 << 24) | ((site as u32 + 1) << 16)
}

/// In use from … to, since local midnight; both 0 when absent.
fn hours(seed: u64, host: &Host, day: i32) -> (Ns, Ns) {
    let mut dice = Dice::of([seed, 5, host.number.into(), day as u64]);
    match host.kind {
        Kind::Server | Kind::Device => return (0, DAY),
        Kind::Workstation => return (0, DAY),
        _ => {}
    }
    let idle = if works(day.into()) { ABSENT } else { 0.93 };
    if dice.chance(idle) {
        return (0, 0);
    }
    let minute = |m: f64| (m * MINUTE as f64) as Ns;
    let on = match host.kind {
        Kind::Vdi => minute(8.0 * 60.0 + 30.0 + dice.between(0.0, 4.0)),
        _ => minute((8.0 * 60.0 + 50.0 + 35.0 * dice.normal()).clamp(5.0 * 60.0, 12.0 * 60.0)),
    };
    let off = minute((18.0 * 60.0 + 10.0 + 70.0 * dice.normal()).clamp(13.0 * 60.0, 23.5 * 60.0));
    (on, off)
}

/// Even a small enterprise has its controllers, its antivirus server and some applications.
const MIN_SERVERS: usize = 24;
/// Hosts that get another address, a day.
const CHURN: f64 = 0.05;
/// PCs whose users are away on a working day.
const ABSENT: f64 = 0.10;

#[test]
fn the_fleet_has_the_make_up_of_an_enterprise() {
    let mut world = World::new(5, 2_000);
    let share = |f: &dyn Fn(&Host) -> bool| world.hosts.iter().filter(|h| f(h)).count() as f64 / 2_000.0;
    assert!((share(&|h| h.is_pc()) - 0.92).abs() < 0.01);
    assert!((share(&|h| h.kind == Kind::Server) - 0.05).abs() < 0.01);
    let mut addresses: Vec<u32> = world.hosts.iter().map(|h| h.ip).collect();
    for day in 0..10 {
        for n in 0..world.hosts.len() {
            world.wake(n, super::START + day * DAY + 12 * HOUR);
        }
        let mut now: Vec<u32> = world.hosts.iter().map(|h| h.ip).collect();
        let moved = now.iter().zip(&addresses).filter(|(a, b)| a != b).count();
        assert!(day == 0 || (50..140).contains(&moved), "day {day}: {moved} moved");
        addresses.clone_from(&now);
        now.sort_unstable();
        now.dedup();
        assert_eq!(now.len(), world.hosts.len(), "day {day}: an address is held twice");
        let on = world.hosts[..world.pcs].iter().filter(|h| h.off > h.on).count() as f64 / world.pcs as f64;
        let expected = if works(20_514 + day) { 0.9 } else { 0.16 };
        assert!((on - expected).abs() < 0.06, "day {day}: {on} are on");
    }
}
