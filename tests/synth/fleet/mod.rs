//! A fleet in observation space: an enterprise of sites, people, software and hubs, what looks bad, and what is.
//!
//! Seeded and lazy: a quarter of an hour at a time is planned, sorted and told, so memory follows the number of hosts and
//! not of days. Reads no constant of `sensor/`; what the sensor believes must not leak into what it is shown.
//!
//! Left out: packets (the shipped captures show these), proxies that hide all hosts, IPv6.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "draws become counts, times and bytes"
)]

mod acts;
pub(crate) mod campaign;
mod dice;
pub(crate) mod flow;
mod hubs;
mod implant;
mod lone;
pub(crate) mod lookalikes;
pub(crate) mod names;
mod people;
mod replayed;
mod software;
pub(crate) mod speak;
pub(crate) mod truth;
mod world;

pub(crate) use dice::Dice;
pub(crate) use lone::FAMILIES;
pub(crate) use truth::{Leases, Lone, Staged, Truth};

use campaign::Campaign;
use flow::Flow;
use hubs::Hubs;
use implant::Caller;
use lone::Stage;
use names::{Name, Names};
use replayed::Recordings;
use software::App;
use speak::Speaker;
use world::World;
use yukue::event::Observation;

/// Nanoseconds, since the epoch or of a span.
pub(crate) type Ns = i64;
/// Milliseconds.
pub(crate) type Ms = u32;

pub(crate) const MS: Ns = 1_000_000;
pub(crate) const SECOND: Ns = 1_000 * MS;
pub(crate) const MINUTE: Ns = 60 * SECOND;
pub(crate) const HOUR: Ns = 60 * MINUTE;
pub(crate) const DAY: Ns = 24 * HOUR;
/// Planned at once.
const SLICE: Ns = 15 * MINUTE;
/// Monday, 2026-03-02, 00:00 UTC.
pub(crate) const START: Ns = 20_514 * DAY;

/// Who makes the benign part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Benign {
    /// Popularity and growth: Zipf, Heaps, Poisson sessions.
    Grown,
    /// Recorded blocks over bounded working sets.
    Replayed,
}

/// Days in which nothing is staged: a week where there is one. A sensor that begins to watch knows nobody yet.
pub(crate) const fn learning_days(days: u32) -> u32 {
    if days < 21 { days / 3 } else { 7 }
}

/// What is to happen.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) size: usize,
    pub(crate) days: u32,
    pub(crate) benign: Benign,
    /// Victims of each campaign, in order of time.
    pub(crate) campaigns: Vec<usize>,
    /// Whether each family of single acts comes up once.
    pub(crate) lone: bool,
    /// Whether what looks bad and is not comes up.
    pub(crate) lookalikes: bool,
    /// Whether families that are held out may be drawn.
    pub(crate) report: bool,
}

impl Story {
    /// A fleet in which nothing bad happens.
    pub(crate) const fn quiet(seed: u64, size: usize, days: u32) -> Self {
        Self {
            seed,
            size,
            days,
            benign: Benign::Grown,
            campaigns: Vec::new(),
            lone: false,
            lookalikes: true,
            report: false,
        }
    }
}

/// A fleet as it lives.
#[derive(Debug)]
pub(crate) struct Fleet {
    story: Story,
    world: World,
    hubs: Hubs,
    names: Names,
    apps: Vec<App>,
    shared: Vec<Name>,
    waves: Vec<Name>,
    recordings: Option<Recordings>,
    campaigns: Vec<Campaign>,
    /// What is staged, at which moment.
    staged: Vec<(Ns, Deed)>,
    callers: Vec<Caller>,
    taken: Vec<u32>,
    plan: Vec<Flow>,
    speaker: Speaker,
    now: Ns,
    truth: Truth,
    leases: Leases,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Lone(&'static str),
    Lookalike(&'static str),
}

impl Fleet {
    pub(crate) fn new(story: Story) -> Self {
        let (seed, days) = (story.seed, story.days);
        let mut world = World::new(seed, story.size);
        let mut names = Names::new(seed, world.params.cloud_share, world.pcs as u32, world.servers as u32);
        let hubs = Hubs::new(&world, &mut names);
        let apps = software::catalogue(seed, days, story.size, &mut names);
        for host in &mut world.hosts {
            host.apps = software::installed(seed, &apps, host);
        }
        let shared = people::path_style(&mut names);
        let waves = (0..8_u32).map(|n| names.make(format!("yukue-test-sw{n}.azureedge.net"), 13 << 24 | 107 << 16 | n));
        let waves = waves.collect();
        let mut truth = Truth::default();
        let mut campaigns = Vec::new();
        let end = START + Ns::from(days) * DAY;
        let mut dice = Dice::of([seed, 6, 0, 0]);
        // After a week of learning where there is one, spread over what is left but the last day.
        let learned = START + Ns::from(learning_days(days)) * DAY;
        let room = (end - 2 * DAY - learned).max(DAY / 2);
        let when = |n: usize, of: usize, dice: &mut Dice| {
            learned + ((n as f64 + dice.unit()) / of.max(1) as f64 * room as f64) as Ns
        };
        for (number, k) in story.campaigns.iter().enumerate() {
            let at = when(number, story.campaigns.len(), &mut dice);
            let patient = days >= 20 && number + 1 == story.campaigns.len() && dice.chance(0.5);
            let at = if patient { at.max(START + 18 * DAY) } else { at };
            let time = (at, end, patient);
            let (campaign, staged) = Campaign::plan(&world, &hubs, &mut names, &shared, number, *k, time, story.report);
            campaigns.push(campaign);
            truth.campaigns.push(staged);
        }
        let mut staged = Vec::new();
        let mut all: Vec<Deed> = Vec::new();
        if story.lookalikes {
            all.extend(lookalikes::KINDS.iter().map(|kind| Deed::Lookalike(kind)));
        }
        if story.lone {
            all.extend(FAMILIES.iter().map(|family| Deed::Lone(family)));
        }
        for (n, deed) in all.iter().enumerate() {
            // Any order, each on a working day between ten and three at headquarters.
            let mut at = when((n * 7) % all.len(), all.len(), &mut dice) + world.sites[0].offset;
            while !world::works(at.div_euclid(DAY)) {
                at -= DAY;
            }
            let at = at.div_euclid(DAY) * DAY + (dice.between(10.0, 15.0) * HOUR as f64) as Ns - world.sites[0].offset;
            staged.push((at, *deed));
        }
        let recordings = (story.benign == Benign::Replayed).then(|| Recordings::record(seed));
        Self {
            world,
            hubs,
            names,
            apps,
            shared,
            waves,
            recordings,
            campaigns,
            staged,
            callers: Vec::new(),
            taken: Vec::new(),
            plan: Vec::new(),
            speaker: Speaker::default(),
            now: START,
            truth,
            leases: Leases::default(),
            story,
        }
    }

    /// Tells the next quarter of an hour; false when the story is over and all was told.
    pub(crate) fn go_on(&mut self, mut tell: impl FnMut(Observation)) -> bool {
        let Some(due) = self.planned() else {
            self.speaker.say(Vec::new(), Ns::MAX, &self.names, &mut tell);
            return false;
        };
        self.speaker.say(due, self.now, &self.names, &mut tell);
        true
    }

    /// The flows that begin in the next quarter of an hour, in order; `None` when the story is over.
    pub(crate) fn planned(&mut self) -> Option<Vec<Flow>> {
        let from = self.now;
        if from >= START + Ns::from(self.story.days) * DAY {
            self.plan.clear();
            return None;
        }
        self.live(from);
        self.stage(from);
        let until = from + SLICE;
        for flow in &mut self.plan {
            // Looked up a moment before the slice began, or moved there by jitter.
            flow.ts = flow.ts.max(from);
        }
        self.plan.sort_unstable_by_key(|flow| flow.ts);
        let split = self.plan.partition_point(|flow| flow.ts < until);
        let later = self.plan.split_off(split);
        self.now = until;
        Some(std::mem::replace(&mut self.plan, later))
    }

    fn live(&mut self, from: Ns) {
        let Self { story, world, hubs, names, apps, plan, leases, .. } = self;
        let seed = story.seed;
        for n in 0..world.hosts.len() {
            if world.wake(n, from) {
                leases.note(world.hosts[n].ip, from, n as u32);
            }
            let host = &world.hosts[n];
            if host.off <= from || host.on >= from + SLICE {
                continue;
            }
            let dns = world.hosts[hubs.controllers[host.site as usize] as usize].ip;
            let seen = plan.len();
            if host.is_pc() {
                hubs::inner(world, hubs, host, from, plan);
                software::polls(seed, apps, names, host, from, dns, plan);
                let (hour, working) = world.local(host.site, from);
                if let Some(recordings) = &self.recordings {
                    recordings.play(seed, names, host, from, dns, plan);
                } else {
                    let host = &mut world.hosts[n];
                    let time = (from, hour, working);
                    people::browse(seed, &world.params, names, host, time, &self.shared, dns, plan);
                }
            } else {
                hubs::machine(world, hubs, names, host, from, plan);
                software::polls(seed, apps, names, host, from, dns, plan);
            }
            debug_assert!(
                plan[seen..].iter().all(|flow| flow.ts >= from - SLICE - SECOND),
                "a look-up and no more before it"
            );
        }
        hubs::rounds(world, hubs, names, from, plan);
        hubs::wave(world, hubs, names, from, &self.waves, plan);
    }

    fn stage(&mut self, from: Ns) {
        let Self { world, hubs, names, plan, truth, taken, callers, .. } = self;
        for (number, campaign) in self.campaigns.iter_mut().enumerate() {
            campaign.act(world, hubs, from, taken, &mut truth.campaigns[number], callers, plan);
        }
        for (n, (at, deed)) in self.staged.iter().enumerate() {
            if !(from..from + SLICE).contains(at) {
                continue;
            }
            let dice = Dice::of([world.seed, 7, n as u64, 0]);
            let shared = &self.shared;
            let mut stage = Stage { world, hubs, names, shared, taken, callers, out: plan, dice, at: *at };
            match deed {
                Deed::Lone(family) => truth.lone.extend(lone::stage(family, &mut stage)),
                Deed::Lookalike(kind) => truth.lookalikes.push(lookalikes::stage(kind, &mut stage)),
            }
        }
        let mut called = |(campaign, victim): (usize, usize), at: Ns| {
            truth.campaigns[campaign].victims[victim].called.get_or_insert(at);
        };
        for caller in callers.iter_mut() {
            let site = world.hosts[caller.host as usize].site;
            let dns = world.hosts[hubs.controllers[site as usize] as usize].ip;
            caller.call(world, names, from, dns, &mut called, plan);
        }
        callers.retain(|caller| !caller.is_over(from + SLICE));
        // Inner traffic of a site without a mirror port never reaches the sensor.
        let blind =
            |ip: u32| ip >> 24 == 10 && world.sites.get((ip >> 16 & 0xff) as usize - 1).is_some_and(|s| !s.visible);
        plan.retain(|flow| {
            flow.ts < from || !(inside(flow.orig) && inside(flow.resp)) || !(blind(flow.orig) || blind(flow.resp))
        });
    }

    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) const fn truth(&self) -> &Truth {
        &self.truth
    }

    pub(crate) const fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Observations told so far.
    pub(crate) const fn told(&self) -> u64 {
        self.speaker.told
    }

    pub(crate) const fn now(&self) -> Ns {
        self.now
    }

    pub(crate) fn hosts(&self) -> usize {
        self.world.hosts.len()
    }

    /// The number of the host that calls itself so.
    pub(crate) fn number(name: &str) -> Option<u32> {
        name.split_once('-')?.1.parse().ok()
    }

    /// What the operator wrote down about the site.
    pub(crate) fn site(&self) -> String {
        let mut text = String::from("inside = [\"10.0.0.0/8\"]\ntimezone = \"+09:00\"\n");
        if !self.world.params.declared {
            return text;
        }
        let hubs = &self.hubs;
        let one = [
            (hubs.distribution, "software_distribution"),
            (hubs.scanner, "vulnerability_scanner"),
            (hubs.jumps[0], "jump_host"),
            (hubs.jumps[1], "jump_host"),
            (hubs.remote, "remote_management"),
            (hubs.backup, "backup"),
        ];
        let mut controllers = hubs.controllers.clone();
        controllers.sort_unstable();
        controllers.dedup();
        let many = hubs.antivirus.iter().map(|n| (*n, "antivirus_management"));
        let all = one.into_iter().chain(many).chain(controllers.into_iter().map(|n| (n, "domain_controller")));
        for (n, role) in all {
            let ip = speak::address(self.world.hosts[n as usize].ip);
            text +=
                &format!("[[host]]\naddress = [\"{ip}\"]\nname = \"{}\"\nroles = [\"{role}\"]\n", self.names().host(n));
        }
        text
    }
}

fn inside(ip: u32) -> bool {
    ip >> 24 == 10
}
