//! The common cause test on fleets whose habits are known (detection.md, appendix A2 and A2b): how often it blames an
//! innocent server, and how many cases it takes to name the right one.
//!
//! A hundred machines with ten days behind them, some of fifty servers each. On the eleventh day everybody
//! goes on as before, and some machines have a case. Each count is of seeded runs; the bounds hold for the counts, not
//! for an estimate.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of an hour")]

use super::CauseRule;
use super::case::Case;
use super::cause::{Cause, Question, Strength, common_cause};
use super::contacts::Contacts;
use crate::base::{Timestamp, Transport};
use crate::profile::{HostId, TenantId, Touch};

const HOSTS: u32 = 100;
/// Monday, 2026-03-02, 00:00 UTC.
const START: u32 = 20_514 * DAY;
const DAY: u32 = 86_400;
const BIN: u32 = 600;
/// Nine hours of work: 54 bins.
const WORK: u32 = 54 * BIN;
const DAYS: u32 = 10;
const C2: TenantId = TenantId(7);

/// A server: chance of a contact in ten minutes, or how many when it is always in contact, chance of one at a boot, share of machines that are its clients.
#[derive(Clone, Copy)]
struct Server {
    rate: f64,
    boot: f64,
    share: f64,
}

/// The servers that tests are about; what the numbers mean is in appendix A2.
const ADMIN: u32 = 0;
const TWO_HOURLY: u32 = 1;
const TENTH: u32 = 2;
const HOURLY: u32 = 3;
const FOUR: u32 = 4;
const THIRTY: u32 = 5;
const SWEEPER: u32 = 6;

fn servers() -> Vec<Server> {
    let known = [
        Server { rate: 0.0005, boot: 0.0, share: 1.0 },
        Server { rate: 1.0 / 12.0, boot: 0.6, share: 1.0 },
        Server { rate: 0.1 / 6.0, boot: 0.1, share: 1.0 },
        Server { rate: 1.0 / 6.0, boot: 1.0, share: 1.0 },
        Server { rate: 4.0 / 6.0, boot: 1.0, share: 1.0 },
        Server { rate: 5.0, boot: 1.0, share: 1.0 },
        Server { rate: 0.0, boot: 0.0, share: 1.0 },
        // Two domain controllers.
        Server { rate: 0.55, boot: 1.0, share: 0.6 },
        Server { rate: 0.35, boot: 0.9, share: 0.4 },
    ];
    let mut dice = Dice(3);
    let others = (0..40).map(|_| Server {
        rate: 0.02 * 15_f64.powf(dice.unit()),
        boot: 0.1 + 0.9 * dice.unit(),
        share: 0.02 + 0.28 * dice.unit(),
    });
    known.into_iter().chain(others).collect()
}

/// What happens at a moment.
#[derive(Clone, Copy)]
enum Event {
    Stir,
    Touch(u32),
    Case,
}

/// A fleet with its past.
struct Lab {
    servers: Vec<Server>,
    past: Contacts,
    rule: CauseRule,
}

/// What is done on the eleventh day.
struct Attack {
    server: u32,
    /// Machines with a case, and how many of these the server caused.
    cases: u32,
    caused: u32,
}

impl Lab {
    fn new() -> Self {
        let rule = toml::from_str(include_str!("../../rules/common_cause.toml")).unwrap();
        let mut lab = Self { servers: servers(), past: Contacts::new(), rule };
        let mut dice = Dice(11);
        for day in 0..DAYS {
            let mut plan = lab.routine(day, WORK, &mut dice);
            lab.sweeps(day, &mut dice, &mut plan);
            play(&mut lab.past, plan);
        }
        lab
    }

    /// What everybody does in the first seconds of a day's work. Machines are switched on within an hour of each other.
    fn routine(&self, day: u32, seconds: u32, dice: &mut Dice) -> Vec<(u32, u32, Event)> {
        let mut plan = Vec::new();
        for host in 0..HOSTS {
            let on = self.switched_on(day, host);
            let serves: Vec<(u32, Server)> = (0..).zip(self.servers.iter().copied()).collect();
            let clients = serves.iter().filter(|(n, server)| mixed(host, *n) < server.share);
            for (n, server) in clients {
                if dice.unit() < server.boot {
                    plan.push((on + dice.below(300), host, Event::Touch(*n)));
                }
                for bin in 1..seconds / BIN {
                    // Machines differ in how busy they are, by half and by double.
                    let busy = 0.5 * 4_f64.powf(mixed(host, 1_000));
                    let once = u32::from(dice.unit() < (server.rate * busy).min(0.999));
                    let times = if server.rate > 1.0 { server.rate as u32 } else { once };
                    for _ in 0..times {
                        plan.push((on + bin * BIN + dice.below(BIN), host, Event::Touch(*n)));
                    }
                }
            }
            plan.extend((0..seconds / BIN).map(|bin| (on + bin * BIN, host, Event::Stir)));
        }
        plan
    }

    fn switched_on(&self, day: u32, host: u32) -> u32 {
        START + day * DAY + 8 * 3600 + ((mixed(host, 2_000 + day) * 3600.0) as u32)
    }

    /// Twice a day the sweeper touches 85 % of the machines within four minutes.
    fn sweeps(&self, day: u32, dice: &mut Dice, plan: &mut Vec<(u32, u32, Event)>) {
        for hour in [10, 15] {
            let at = START + day * DAY + hour * 3600;
            plan.extend((0..HOSTS).filter_map(|host| {
                let (touched, later) = (dice.unit() < 0.85, dice.below(240));
                touched.then_some((at + later, host, Event::Touch(SWEEPER)))
            }));
        }
    }

    /// The verdict on the cases of a day that goes on as before but for `plan`.
    fn judge(&self, plan: Vec<(u32, u32, Event)>, hours: u32, dice: &mut Dice) -> (Cause, Vec<Case>) {
        let mut contacts = self.past.clone();
        let mut all = self.routine(DAYS, hours * 3600, dice);
        all.extend(plan);
        let end = all.iter().map(|(at, ..)| *at).max().unwrap();
        play(&mut contacts, all);
        contacts.settle(Timestamp::from_secs(i64::from(end)));
        let mut cases: Vec<Case> = contacts.cases().of(C2).cloned().collect();
        cases.sort_by_key(|case| (case.ts, case.host));
        let question = Question {
            contacts: &contacts,
            rule: &self.rule,
            fleet: HOSTS,
            sees: &|_, _| true,
            address: &|_| None,
            probable_p: self.rule.probable_p,
            rare_only: false,
        };
        let of: Vec<&Case> = cases.iter().collect();
        (common_cause(&of, &question), cases)
    }

    /// Of `runs` attacks those in which the right server is named, and those in which it ranks first.
    fn named(&self, attack: &Attack, runs: u64) -> (u32, u32) {
        let (mut named, mut first) = (0, 0);
        for run in 0..runs {
            let mut dice = Dice(1_000 * u64::from(attack.server) + run);
            let plan = self.attack(attack, &mut dice);
            let (cause, _) = self.judge(plan, 4, &mut dice);
            let Some(suspect) = cause.suspects.first() else { continue };
            let right = suspect.host == server(attack.server);
            first += u32::from(right);
            named += u32::from(right && suspect.strength >= Strength::Probable);
        }
        (named, first)
    }

    /// Cases within an hour, past the boot: most some forty seconds after the server was in contact.
    fn attack(&self, attack: &Attack, dice: &mut Dice) -> Vec<(u32, u32, Event)> {
        let mut plan = Vec::new();
        let (from, some) = (START + DAYS * DAY + 11 * 3600, dice.below(HOSTS));
        for n in 0..attack.cases {
            // Every machine at most once: the step is prime to their number.
            let host = (n * 7 + some) % HOSTS;
            let at = from + dice.below(3600);
            if n < attack.caused {
                plan.push((at, host, Event::Touch(attack.server)));
            }
            let lag = (40.0 * dice.normal().exp()).clamp(1.0, 3000.0) as u32;
            plan.push((at + lag, host, Event::Case));
        }
        plan
    }

    /// Of `runs` days without an attacker those on which somebody is blamed.
    fn blamed(&self, runs: u64, hours: u32, plan: impl Fn(&mut Dice) -> Vec<(u32, u32, Event)>) -> u32 {
        let mut blamed = 0;
        for run in 0..runs {
            let mut dice = Dice(50_000 + run);
            let cases = plan(&mut dice);
            let (cause, _) = self.judge(cases, hours, &mut dice);
            let named = cause.suspects.iter().find(|s| s.strength >= Strength::Probable);
            if let Some(s) = named {
                let (mark, scale, p, companion) = (s.mark, s.scale_s, s.p, &s.companion);
                println!(
                    "run {run}: {:?} {}/{} for {:.2}, {mark:?} {scale} s, p = {p:e}; {companion:?}",
                    s.host, s.exposed, s.seen, s.expected
                );
            }
            blamed += u32::from(named.is_some());
        }
        blamed
    }
}

fn server(n: u32) -> HostId {
    HostId(10_000 + n)
}

fn play(contacts: &mut Contacts, mut plan: Vec<(u32, u32, Event)>) {
    plan.sort_by_key(|(at, host, event)| (*at, matches!(event, Event::Case), *host));
    for (at, host, event) in plan {
        let (ts, host) = (Timestamp::from_secs(i64::from(at)), HostId(host));
        match event {
            Event::Stir => contacts.stir(host, ts),
            Event::Touch(n) => {
                let port = 8_000 + u16::try_from(n).unwrap();
                contacts.touch(&Touch { ts, orig: host, resp: server(n), port, transport: Transport::Tcp });
            }
            Event::Case => {
                contacts.stir(host, ts);
                contacts.case((host, None), C2, ts, (5.0, false));
            }
        }
    }
}

#[test]
fn a_boot_at_which_everything_is_contacted_blames_nobody() {
    let blamed = blamed_at_boot(10);
    assert_eq!(blamed, 0, "of 30 days");
}

#[test]
#[ignore = "minutes without optimisation: make statistics"]
fn a_boot_blames_nobody_on_ninety_nine_of_a_hundred_days() {
    let blamed = blamed_at_boot(100);
    assert!(blamed <= 3, "{blamed} of 300 days");
}

/// Every case falls into the quarter of an hour after its machine was switched on. Without the condition on boots,
/// appendix A2 counts 15 %, 95 % and 100 % of days with somebody blamed for 5, 10 and 20 cases.
fn blamed_at_boot(runs: u64) -> u32 {
    let lab = Lab::new();
    let of = |k: u32| {
        lab.blamed(runs, 2, |dice| {
            let host = |n: u32| (n * 7 + 3) % HOSTS;
            (0..k).map(|n| (lab.switched_on(DAYS, host(n)) + 310 + dice.below(500), host(n), Event::Case)).collect()
        })
    };
    [5, 10, 20].into_iter().map(of).sum()
}

#[test]
fn a_scheduled_sweep_blames_nobody_however_many_cases_follow_it() {
    assert_eq!(blamed_after_sweeps(10), 0, "of 30 days");
}

#[test]
#[ignore = "minutes without optimisation: make statistics"]
fn a_scheduled_sweep_blames_nobody_on_three_hundred_days() {
    assert_eq!(blamed_after_sweeps(100), 0, "of 300 days");
}

/// Twenty cases, of which a fifth, half and all fall just after a sweep. Appendix A2b: by each machine's own habits alone
/// somebody is blamed on 10, 82 and 100 % of days; with the calendar on 0 of 300.
fn blamed_after_sweeps(runs: u64) -> u32 {
    let lab = Lab::new();
    let of = |share: u32| {
        lab.blamed(runs, 3, |dice| {
            let sweep = START + DAYS * DAY + 10 * 3600;
            let mut plan = Vec::new();
            lab.sweeps(DAYS, dice, &mut plan);
            plan.retain(|(at, ..)| *at < sweep + 3600);
            plan.extend((0..20).map(|n| {
                let at = if dice.below(100) < share { 240 + dice.below(360) } else { dice.below(3600) };
                (sweep + at, (n * 7 + 1) % HOSTS, Event::Case)
            }));
            plan
        })
    };
    [20, 50, 100].into_iter().map(of).sum()
}

#[test]
fn the_right_server_is_named_from_as_many_cases_as_its_habits_ask_for() {
    power(10);
}

#[test]
#[ignore = "minutes without optimisation: make statistics"]
fn the_right_server_is_named_in_as_many_of_a_hundred_attacks() {
    power(100);
}

/// The rows of `POWER`, so many runs each.
fn power(runs: u32) {
    let lab = Lab::new();
    let mut short = Vec::new();
    for (what, server, cases, caused, least, rank) in POWER {
        let (named, first) = lab.named(&Attack { server: *server, cases: *cases, caused: *caused }, runs.into());
        println!("{what}, K = {cases}: named in {named} of {runs}, first in {first}");
        if named * 100 < least * runs || first * 100 < rank * runs {
            short.push(format!("{what}, K = {cases}: named in {named} of {runs}, first in {first}"));
        }
    }
    assert!(short.is_empty(), "{short:#?}");
    // A server that is in contact all the time cannot be told by its contacts.
    let (named, _) = lab.named(&Attack { server: THIRTY, cases: 20, caused: 18 }, runs.into());
    assert_eq!(named, 0, "thirty contacts an hour");
}

/// What, server, cases, those it caused, of a hundred runs at least so many in which it is named, and in which it ranks
/// first.
const POWER: &[(&str, u32, u32, u32, u32, u32)] = &[
    ("a rare administrator", ADMIN, 3, 3, 80, 90),
    ("a contact in ten hours", TENTH, 5, 5, 80, 90),
    ("two-hourly", TWO_HOURLY, 8, 7, 80, 90),
    ("hourly", HOURLY, 8, 7, 50, 90),
    ("hourly, more cases", HOURLY, 12, 11, 80, 90),
    ("four an hour", FOUR, 20, 18, 50, 90),
];

#[test]
fn cases_moved_in_time_are_not_exposed_as_often() {
    let lab = Lab::new();
    let (mut small, mut told) = (0, 0);
    for run in 0..10 {
        let mut dice = Dice(9_000 + run);
        let plan = lab.attack(&Attack { server: HOURLY, cases: 12, caused: 11 }, &mut dice);
        let (cause, _) = lab.judge(plan, 4, &mut dice);
        let Some(first) = cause.suspects.first().filter(|first| first.strength >= Strength::Probable) else { continue };
        told += 1;
        small += u32::from(first.shifted.is_some_and(|share| share <= 0.05));
    }
    assert!(told >= 7, "named in {told} of 10");
    assert!(small * 10 >= told * 9, "{small} of {told} have a small share of shifts");
}

/// A number from 0 to 1 that belongs to a pair.
fn mixed(a: u32, b: u32) -> f64 {
    let mut dice = Dice(u64::from(a) << 32 | u64::from(b) | 1 << 63);
    dice.next();
    dice.unit()
}

/// SplitMix64 (Steele, Lea and Flood 2014), so that every run is the same.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }

    fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / 4_294_967_296.0
    }

    fn below(&mut self, n: u32) -> u32 {
        u32::try_from(self.next() % u64::from(n.max(1))).unwrap()
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}
