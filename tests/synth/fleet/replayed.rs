//! The second benign generator, of another make: recorded days, cut into blocks and played again.
//!
//! A few dozen recordings come from a Markov chain of moods (mail, intranet, search, video, away) over a bounded working
//! set, not from popularity: each host has sixty to a hundred and sixty destinations out of its community's pool and
//! swaps two in a hundred a day. A host's day is put together from two-hour blocks of recordings of its own kind. Nothing
//! is Zipf, nothing grows, pauses are not lognormal: what was tuned on the first generator's shape does not fit here.

use super::dice::{Dice, share};
use super::flow::{Client, Flow, Over, Says};
use super::names::{Name, Names};
use super::people::look_up;
use super::world::Host;
use super::{DAY, HOUR, MS, Ns, SECOND, SLICE};

/// One thing done in a recording: when in the block, to which place of the working set.
#[derive(Clone, Copy, Debug)]
struct Deed {
    at: Ns,
    place: u16,
    up: u32,
    down: u32,
    lasts: u32,
}

/// Recordings: kind of user × block.
#[derive(Debug)]
pub(crate) struct Recordings(Vec<Vec<Vec<Deed>>>);

impl Recordings {
    pub(crate) fn record(seed: u64) -> Self {
        let block = |kind: usize, n: usize| {
            let mut dice = Dice::of([seed, 90, kind as u64, n as u64]);
            let mut deeds = Vec::new();
            let (mut at, mut mood) = (0.0, dice.below(MOODS.len()));
            while at < BLOCK as f64 / SECOND as f64 {
                let (pause, places, up, down) = MOODS[mood];
                if places > 0 {
                    deeds.push(Deed {
                        at: (at * SECOND as f64) as Ns,
                        // A mood has its own part of the working set.
                        place: (mood * 30 + dice.below(places) * (1 + kind % 2)) as u16,
                        up: dice.octaves(up / 4.0, up * 4.0) as u32,
                        down: dice.octaves(down / 6.0, down * 6.0) as u32,
                        lasts: dice.octaves(200.0, 90_000.0) as u32,
                    });
                }
                // Gamma of shape two: neither a timer nor independent.
                at += dice.exponential(pause / 2.0) + dice.exponential(pause / 2.0);
                if dice.chance(0.14) {
                    mood = dice.below(MOODS.len());
                }
            }
            deeds
        };
        Self((0..USERS).map(|kind| (0..BLOCKS).map(|n| block(kind, n)).collect()).collect())
    }

    /// Plays a host's part of a slice.
    pub(crate) fn play(&self, seed: u64, names: &Names, host: &Host, from: Ns, dns: u32, out: &mut Vec<Flow>) {
        let kind = host.number as usize % USERS;
        let block = from.div_euclid(BLOCK);
        let mut dice = Dice::of([seed, 91, host.number.into(), block as u64]);
        let chosen = dice.below(BLOCKS);
        let stretch = dice.between(0.8, 1.25);
        let begin = block * BLOCK;
        for (n, deed) in self.0[kind][chosen].iter().enumerate() {
            let ts = begin + (deed.at as f64 * stretch) as Ns;
            if ts < from || ts >= from + SLICE || !host.is_on(ts) {
                continue;
            }
            let (name, new) = working_set(seed, host, deed.place, ts.div_euclid(DAY));
            let ip = names.ip(name);
            if new || (n + host.number as usize).is_multiple_of(5) {
                out.push(look_up(ts - 30 * MS, host.ip, dns, name, ip));
            }
            let says = Says::Tls(name, if deed.place % 30 == 7 { Client::Schannel } else { host.browser });
            let Deed { up, down, lasts, .. } = *deed;
            out.push(Flow { ts, orig: host.ip, resp: ip, port: 443, over: Over::Tcp, lasts, up, down, says });
        }
    }
}

/// Which destination a place of the working set is on a day: two in a hundred are swapped a day.
fn working_set(seed: u64, host: &Host, place: u16, day: i64) -> (Name, bool) {
    let community = u64::from(host.site) * 8 + u64::from(host.number % 5);
    let key = [seed, 92, host.number.into(), place.into()];
    // The place is swapped on the days whose number leaves this remainder.
    let phase = (share(key) * 50.0) as i64;
    let swaps = (day - phase).div_euclid(50);
    let mut dice = Dice::of([seed, 93, u64::from(host.number) << 20 | u64::from(place), swaps as u64]);
    let rank = if place < 40 {
        // What everybody has.
        u64::from(place)
    } else if dice.chance(0.8) {
        // What the community has: a pool of some hundreds.
        1_000 + community * 400 + dice.below(400) as u64
    } else {
        1_000_000 + dice.below(3_000_000) as u64
    };
    (Names::tenant(rank), (day - phase).rem_euclid(50) == 0 && place >= 40)
}

/// Pause in seconds, places of the working set, bytes up and down.
const MOODS: [(f64, usize, f64, f64); 5] = [
    (75.0, 20, 3_000.0, 20_000.0),
    (40.0, 30, 2_000.0, 30_000.0),
    (22.0, 30, 1_500.0, 60_000.0),
    (140.0, 8, 9_000.0, 4_000_000.0),
    (900.0, 0, 1.0, 1.0),
];
const USERS: usize = 12;
const BLOCKS: usize = 40;
const BLOCK: Ns = 2 * HOUR;
