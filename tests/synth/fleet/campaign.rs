//! Campaigns through a server: entry, one to three hops between servers, pushes in waves by some door, and each victim's
//! first call outside some time later.
//!
//! A family is (door, destination, lag). Some families are held out: they appear only with the report's seeds.

use super::acts::{self, Door};
use super::dice::Dice;
use super::flow::{Client, Flow};
use super::hubs::Hubs;
use super::implant::{Caller, To};
use super::names::{Name, Names};
use super::truth::{Staged, Victim};
use super::world::World;
use super::{DAY, HOUR, MINUTE, Ns, SECOND, SLICE, START};
use std::fmt;

/// By which way the victims are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The antivirus server pushes to its agents' port, more than it usually does.
    Push,
    /// The agents pull a poisoned update at their report.
    Pull,
    By(Door),
}

/// What the victims call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// A cloud tenant or domain of its own.
    Own,
    /// A service that puts all its customers behind one name.
    Shared,
    Address,
    /// Another name every day.
    Rotating,
}

/// How long after the push.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lag {
    /// Lognormal around so many seconds.
    Prompt(f64),
    /// So many hours later, all at about the same time.
    Scheduled(f64),
}

/// A campaign's kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) way: Way,
    pub(crate) to: Where,
    pub(crate) lag: Lag,
}

impl Family {
    /// Drawn; held-out families only if `report`.
    pub(crate) fn draw(dice: &mut Dice, report: bool) -> Self {
        loop {
            let way = *dice.pick(&[
                Way::Push,
                Way::Pull,
                Way::By(Door::Winrm),
                Way::By(Door::Svcctl),
                Way::By(Door::Wmi),
                Way::By(Door::Task),
            ]);
            let to = match dice.below(10) {
                0..5 => Where::Own,
                5..7 => Where::Shared,
                7 => Where::Address,
                _ => Where::Rotating,
            };
            let lag = match dice.below(10) {
                0..8 => Lag::Prompt(dice.octaves(5.0, 1_800.0)),
                _ => Lag::Scheduled(dice.between(1.0, 24.0)),
            };
            let family = Self { way, to, lag };
            if report || !family.is_held_out() {
                return family;
            }
        }
    }

    /// Never shown while thresholds are chosen.
    pub(crate) const fn is_held_out(&self) -> bool {
        matches!(
            (self.way, self.to, self.lag),
            (Way::Pull, Where::Shared, Lag::Scheduled(_)) | (Way::By(Door::Wmi), Where::Rotating, _)
        )
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.way {
            Way::Push => "push",
            Way::Pull => "pull",
            Way::By(Door::Winrm) => "winrm",
            Way::By(Door::Svcctl) => "svcctl",
            Way::By(Door::Wmi) => "wmi",
            Way::By(Door::Task) => "task",
        };
        let to = match self.to {
            Where::Own => "own",
            Where::Shared => "shared",
            Where::Address => "address",
            Where::Rotating => "rotating",
        };
        let lag = match self.lag {
            Lag::Prompt(_) => "prompt",
            Lag::Scheduled(_) => "scheduled",
        };
        write!(f, "{way} {to} {lag}")
    }
}

/// A campaign as it runs.
#[derive(Debug)]
pub(crate) struct Campaign {
    number: usize,
    family: Family,
    /// When and how many.
    waves: Vec<(Ns, usize)>,
    /// From one server to the next: when, by whom, on whom.
    hops: Vec<(Ns, u32, u32)>,
    to: To,
    client: Client,
    interval: f64,
    jitter: f64,
    exfil: f64,
    calls_for: Ns,
    dice: Dice,
}

impl Campaign {
    /// Plans campaign `number` with `k` victims; the first wave comes at about `at`. `patient`: sixteen days pass
    /// between the first server's fall and its use.
    #[expect(clippy::too_many_arguments, reason = "a campaign touches everything")]
    pub(crate) fn plan(
        world: &World,
        hubs: &Hubs,
        names: &mut Names,
        shared: &[Name],
        number: usize,
        k: usize,
        (at, end, patient): (Ns, Ns, bool),
        report: bool,
    ) -> (Self, Staged) {
        let mut dice = Dice::of([world.seed, 70, number as u64, k as u64]);
        let family = Family::draw(&mut dice, report);
        let (to, destinations) = destination(family.to, number, names, shared, &mut dice);
        let by_antivirus = matches!(family.way, Way::Push | Way::Pull);
        let server = if by_antivirus { *dice.pick(&hubs.antivirus) } else { *dice.pick(&hubs.administrators()) };
        let count = (1 + dice.below(4)).min(k.div_ceil(3));
        let spread = (dice.octaves(0.05, 6.0) * DAY as f64).min((end - DAY - at).max(HOUR) as f64);
        let mut waves: Vec<(Ns, usize)> = (0..count)
            .map(|n| {
                let part = k / count + usize::from(n < k % count);
                (working_hour(world, at + (spread * n as f64 / count as f64) as Ns, &mut dice), part)
            })
            .collect();
        waves.sort_unstable();
        let first = waves[0].0;
        let mut servers = vec![server];
        let mut hops = Vec::new();
        let mut before = first;
        for _ in 0..dice.below(3) {
            let others: Vec<u32> = hubs.administrators().into_iter().filter(|n| !servers.contains(n)).collect();
            let Some(from) = others.get(dice.below(others.len())).copied() else { break };
            let gap = if patient { 16 * DAY } else { (dice.octaves(0.3, 60.0) * HOUR as f64) as Ns };
            before = (before - gap).max(START + 2 * DAY);
            hops.push((before, from, servers[servers.len() - 1]));
            servers.push(from);
        }
        let client = if dice.chance(0.75) { Client::Schannel } else { Client::Chromium };
        let interval = if dice.chance(0.2) { 0.0 } else { dice.octaves(60.0, 6.0 * 3_600.0) };
        let staged = Staged {
            family: family.to_string(),
            k,
            servers,
            victims: Vec::new(),
            destinations,
            shared: family.to == Where::Shared,
            began: before,
        };
        let campaign = Self {
            number,
            family,
            waves,
            hops,
            to,
            client,
            interval,
            jitter: dice.between(0.0, 0.95),
            exfil: if dice.chance(0.5) { dice.octaves(1e6, 2e9) } else { 0.0 },
            calls_for: ((dice.octaves(0.5, 7.0) * DAY as f64) as Ns).min(end - first),
            dice,
        };
        (campaign, staged)
    }

    /// What the attacker does within a slice.
    #[expect(clippy::too_many_arguments, reason = "as above")]
    pub(crate) fn act(
        &mut self,
        world: &World,
        hubs: &Hubs,
        from: Ns,
        taken: &mut Vec<u32>,
        staged: &mut Staged,
        callers: &mut Vec<Caller>,
        out: &mut Vec<Flow>,
    ) {
        let within = |at: &Ns| (from..from + SLICE).contains(at);
        let ip = |n: u32| world.hosts[n as usize].ip;
        for (at, by, on) in self.hops.iter().filter(|(at, ..)| within(at)) {
            let door = match self.family.way {
                Way::By(door) => door,
                Way::Push | Way::Pull => Door::Winrm,
            };
            out.push(acts::run(*at, ip(*by), ip(*on), door, &mut self.dice));
            // The server itself calls first, seldom.
            let until = at + self.calls_for;
            let first = at + (self.dice.lognormal(120.0, 1.0) * SECOND as f64) as Ns;
            let caller = Caller::new(*on, first, until, self.to.clone(), self.client);
            callers.push(caller.every(self.dice.octaves(1_800.0, 20_000.0), self.jitter));
        }
        for n in 0..self.waves.len() {
            let (at, part) = self.waves[n];
            if within(&at) {
                self.wave(world, hubs, at, part, taken, staged, callers, out);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "as above")]
    fn wave(
        &mut self,
        world: &World,
        hubs: &Hubs,
        at: Ns,
        part: usize,
        taken: &mut Vec<u32>,
        staged: &mut Staged,
        callers: &mut Vec<Caller>,
        out: &mut Vec<Flow>,
    ) {
        let server = staged.servers[0];
        let managed = matches!(self.family.way, Way::Push | Way::Pull);
        let soon = at + 40 * MINUTE;
        let pcs = world.pcs_on(at, |h| {
            h.is_on(soon) && (!managed || hubs.antivirus_of(h.site) == server) && !taken.contains(&h.number)
        });
        let mut chosen: Vec<u32> = self.dice.some_of(pcs.len(), part).into_iter().map(|n| pcs[n]).collect();
        chosen.sort_unstable();
        let over = self.dice.octaves(60.0, 2_400.0);
        for pc in chosen {
            taken.push(pc);
            let host = &world.hosts[pc as usize];
            let pushed = at + (self.dice.unit() * over * SECOND as f64) as Ns;
            let ip = world.hosts[server as usize].ip;
            let package = self.dice.octaves(150_000.0, 1_200_000.0) as u32;
            out.push(match self.family.way {
                Way::Push => Flow::inner(pushed, ip, host.ip, world.params.agent_port, package, 900).lasting(6_000),
                Way::Pull => Flow::inner(pushed, host.ip, ip, 4343, 1_200, package).lasting(6_000),
                Way::By(door) => acts::run(pushed, ip, host.ip, door, &mut self.dice),
            });
            let lag = match self.family.lag {
                Lag::Prompt(median) => self.dice.lognormal(median, 1.0).clamp(1.0, 7_200.0),
                Lag::Scheduled(hours) => hours * 3_600.0 + self.dice.lognormal(60.0, 0.7),
            };
            let first = pushed + (lag * SECOND as f64) as Ns;
            let calls = (self.calls_for as f64 / SECOND as f64 / 3.0 / self.interval.max(60.0)).max(1.0);
            let caller = Caller::new(pc, first, first + self.calls_for, self.to.clone(), self.client)
                .every(self.interval, self.jitter)
                .carrying(700.0 + self.exfil / staged.k as f64 / calls, 1_500.0)
                .of(self.number, staged.victims.len());
            callers.push(caller);
            let visible = world.sites[host.site as usize].visible;
            staged.victims.push(Victim { host: pc, pushed, called: None, visible });
        }
    }
}

/// In the middle of a headquarters' working day, that of `at` or the last one before it.
fn working_hour(world: &World, at: Ns, dice: &mut Dice) -> Ns {
    let mut day = (at + world.sites[0].offset).div_euclid(DAY);
    // Back to Friday: what falls on the last weekend would otherwise be after the end.
    while !super::world::works(day) {
        day -= 1;
    }
    day * DAY - world.sites[0].offset + (dice.between(9.6, 16.5) * HOUR as f64) as Ns
}

fn destination(to: Where, number: usize, names: &mut Names, shared: &[Name], dice: &mut Dice) -> (To, Vec<String>) {
    let cloud = |n: usize, dice: &mut Dice| {
        let tag = dice.next() as u32;
        match dice.below(3) {
            0 => (format!("yukue-test-x{number}n{n}.blob.core.windows.net"), 20 << 24 | 150 << 16 | tag & 0xffff),
            1 => (format!("yukue-test-y{number}n{n}.azurewebsites.net"), 20 << 24 | 43 << 16 | tag & 0xffff),
            _ => (format!("sync{number}-{n}.quiet-harbor-{tag:x}.example"), 198 << 24 | 18 << 16 | tag & 0x1_ffff),
        }
    };
    let made = |count: usize, names: &mut Names, dice: &mut Dice| {
        let all: Vec<(String, u32)> = (0..count).map(|n| cloud(n, dice)).collect();
        let texts = all.iter().map(|(text, _)| text.clone()).collect();
        (To::Names(all.into_iter().map(|(text, ip)| names.make(text, ip)).collect()), texts)
    };
    match to {
        Where::Own => made(1, names, dice),
        Where::Rotating => {
            let count = 4 + dice.below(8);
            made(count, names, dice)
        }
        Where::Shared => {
            let name = *dice.pick(shared);
            (To::Names(vec![name]), vec![names.text(name).into()])
        }
        Where::Address => {
            let ip = 198 << 24 | 18 << 16 | dice.next() as u32 & 0x1_ffff;
            (To::Address(ip), vec![super::speak::address(ip).to_string()])
        }
    }
}
