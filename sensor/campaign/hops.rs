//! Who acted on a server before it acted on others: the hops behind a campaign, up to thirty days back.
//!
//! `detection.md` §4.7. A pair of actor and machine is kept for a month, so that a hop is found that waited for sixteen
//! days. The actor behind a server is one that had never acted on it before; how probable such a newcomer is in the
//! stretch up to the campaign is said for each hop by itself, and never multiplied into one number. Where a server met the
//! campaign's own destination right after an act on it, that act is the hop, whoever else came lately.

use super::cluster::DAY_S;
use super::unsaved::Unsaved;
use crate::base::stats::real;
use crate::base::{Budget, Capped, Kind, LookBack, Table, Timestamp};
use crate::profile::HostId;
use std::collections::BTreeMap;

/// Pairs of actor and machine, and how often a machine meets a new actor.
#[derive(Debug)]
pub(crate) struct Hops {
    pairs: Capped<(HostId, HostId), Pair>,
    machines: Capped<HostId, Machine>,
    /// New pairs of all machines, and when the first act of all was seen.
    newcomers: f64,
    began: Option<Timestamp>,
    /// Pairs to be saved, while somebody saves.
    pub(super) unsaved: Unsaved<(HostId, HostId)>,
}

/// When an actor acted on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Pair {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// A machine that was acted on: by whom, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Machine {
    actors: Vec<HostId>,
    newcomers: u32,
}

impl Machine {
    /// Under other ids; who has none there is left out.
    pub(super) fn renamed(&self, host: impl Fn(HostId) -> Option<HostId>) -> Self {
        Self { actors: self.actors.iter().filter_map(|actor| host(*actor)).collect(), newcomers: self.newcomers }
    }

    /// Adds what another sensor knows.
    pub(super) fn join(&mut self, other: Self) {
        self.newcomers = self.newcomers.saturating_add(other.newcomers);
        self.actors.retain(|actor| !other.actors.contains(actor));
        self.actors.extend(other.actors);
        self.actors.drain(..self.actors.len().saturating_sub(MAX_ACTORS));
    }
}

/// One hop behind a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hop {
    pub(crate) by: HostId,
    /// 1 for who acted on the server that touched the endpoints, 2 for who acted on that one, …
    pub(crate) number: u32,
    /// Chance of an actor this new in the stretch before; `None` while it is not known who usually acts there.
    pub(crate) p: Option<f64>,
}

impl Hops {
    pub(crate) fn new() -> Self {
        Self {
            pairs: Capped::new(Budget::new("hops.pairs", MAX_PAIRS, 0)),
            machines: Capped::new(Budget::new("hops.machines", MAX_MACHINES, 40)),
            newcomers: 0.0,
            began: None,
            unsaved: Unsaved::default(),
        }
    }

    /// Takes in an act that makes something run, or a session that lets somebody do so.
    pub(crate) fn act(&mut self, by: HostId, on: HostId, ts: Timestamp) {
        if by == on {
            return;
        }
        self.began.get_or_insert(ts);
        self.unsaved.note((by, on));
        if let Some(pair) = self.pairs.get_mut(&(by, on)) {
            if ts.secs_since(pair.last) <= REACH_S {
                pair.last = pair.last.max(ts);
                return;
            }
            // Not seen for a month: as good as new.
            *pair = Pair { first: ts, last: ts };
        } else {
            self.pairs.insert((by, on), Pair { first: ts, last: ts });
        }
        self.newcomers += 1.0;
        let machine = self.machines.entry(on, Machine::default);
        machine.newcomers = machine.newcomers.saturating_add(1);
        machine.actors.retain(|actor| *actor != by);
        if machine.actors.len() >= MAX_ACTORS {
            machine.actors.remove(0);
        }
        machine.actors.push(by);
    }

    /// The hops behind `server`, which was put to use at `at`; those who are `affected` themselves are none, unless they
    /// `led` it to the campaign's destination: by whom a machine was, and when they acted on it.
    /// Pairs that memory let go of are looked up in what is `older`.
    pub(crate) fn behind(
        &self,
        server: HostId,
        at: Timestamp,
        affected: impl Fn(HostId) -> bool,
        led: impl Fn(HostId) -> Vec<(HostId, Timestamp)>,
        older: &LookBack,
    ) -> Vec<Hop> {
        let mut hops: Vec<Hop> = Vec::new();
        let (mut on, mut before) = (server, at);
        for number in 1..=MAX_HOPS {
            let named = |by: HostId| by == server || hops.iter().any(|hop| hop.by == by);
            let leader = led(on).into_iter().filter(|(by, _)| !named(*by)).min_by_key(|(by, at)| (*at, *by));
            if let Some((by, acted)) = leader {
                let first = self.pairs.get(&(by, on)).map_or(acted, |pair| pair.first.min(acted));
                hops.push(Hop { by, number, p: self.newcomer(on, first, acted) });
                (on, before) = (by, acted);
                continue;
            }
            let seen = |by: HostId| affected(by) || named(by);
            let found = self.actors(on, before, seen, older);
            let Some((first, pair)) = found.first().copied() else { break };
            let p = self.newcomer(on, pair.first, before);
            hops.push(Hop { by: first, number, p });
            if p.is_none() {
                // Nobody is known yet: whoever acted on it shortly before may be the one, and nothing is said of others.
                let rest = found.iter().skip(1).map(|(by, _)| Hop { by: *by, number, p: None });
                hops.extend(rest);
                break;
            }
            (on, before) = (first, pair.first);
        }
        hops
    }

    /// Who began to act on a machine before `at`, the latest first; of those who did so before it could be known that they
    /// are new, whoever did it once in the last three days.
    fn actors(
        &self,
        on: HostId,
        at: Timestamp,
        seen: impl Fn(HostId) -> bool,
        older: &LookBack,
    ) -> Vec<(HostId, Pair)> {
        let mut known: BTreeMap<HostId, Pair> = BTreeMap::new();
        for met in older.at(Kind::Acted, on.0) {
            known.insert(HostId(met.with), Pair { first: met.first, last: met.last });
        }
        let held = self.machines.get(&on).map(|machine| machine.actors.as_slice()).unwrap_or_default();
        known.extend(held.iter().filter_map(|by| Some((*by, *self.pairs.get(&(*by, on))?))));
        let mut found: Vec<(HostId, Pair)> = known
            .into_iter()
            .filter(|(by, _)| !seen(*by))
            .filter(|(_, pair)| {
                let ago = at.secs_since(pair.first);
                let once = pair.last.secs_since(pair.first) <= ONCE_S && ago <= SOON_S;
                (0.0..=REACH_S).contains(&ago) && (self.is_known(pair.first) || once)
            })
            .collect();
        found.sort_by(|a, b| b.1.first.cmp(&a.1.first).then(a.0.cmp(&b.0)));
        found
    }

    /// Chance that a machine meets a new actor between `first` and `at`: its own rate of newcomers, this one left out,
    /// shrunk towards that of all machines.
    fn newcomer(&self, on: HostId, first: Timestamp, at: Timestamp) -> Option<f64> {
        let began = self.began.filter(|_| self.is_known(first))?;
        let days = (at.secs_since(began) / DAY_S).max(1.0);
        let of_all = self.newcomers / (days * real(self.machines.len().max(1)));
        let own = f64::from(self.machines.get(&on).map_or(1, |machine| machine.newcomers).saturating_sub(1));
        let rate = (own + SHRINK_DAYS * of_all) / (days + SHRINK_DAYS);
        let stretch = (at.secs_since(first) / DAY_S).max(1.0 / 24.0);
        Some(-(-rate * stretch).exp_m1())
    }

    /// Whether acts had been watched for long enough that one at `ts` is known to be new.
    fn is_known(&self, ts: Timestamp) -> bool {
        self.began.is_some_and(|began| ts.secs_since(began) >= DAY_S)
    }

    /// New pairs so far, and when the first act was seen.
    pub(super) const fn counts(&self) -> (f64, Option<Timestamp>) {
        (self.newcomers, self.began)
    }

    pub(super) const fn resume(&mut self, (newcomers, began): (f64, Option<Timestamp>)) {
        (self.newcomers, self.began) = (newcomers, began);
    }

    pub(super) fn pair(&self, pair: (HostId, HostId)) -> Option<&Pair> {
        self.pairs.get(&pair)
    }

    pub(super) fn machine(&self, on: HostId) -> Option<&Machine> {
        self.machines.get(&on)
    }

    /// All pairs and machines.
    pub(super) fn pairs(&self) -> impl Iterator<Item = ((HostId, HostId), &Pair)> {
        self.pairs.iter().map(|(pair, when)| (*pair, when))
    }

    pub(super) fn machines(&self) -> impl Iterator<Item = (HostId, &Machine)> {
        self.machines.iter().map(|(on, machine)| (*on, machine))
    }

    pub(super) fn restore_pair(&mut self, pair: (HostId, HostId), when: Pair) {
        self.pairs.insert(pair, when);
    }

    /// Takes in a machine; false when this code cannot have written it.
    pub(super) fn restore_machine(&mut self, on: HostId, machine: Machine) -> bool {
        let is_whole = machine.actors.len() <= MAX_ACTORS;
        if is_whole {
            self.machines.insert(on, machine);
        }
        is_whole
    }

    pub(crate) fn tables(&self) -> [Table; 2] {
        [self.pairs.table(), self.machines.table()]
    }
}

/// Thirty days: in the case of 2019 sixteen passed between the fall of a server and its use (detection.md §4.7).
const REACH_S: f64 = 30.0 * DAY_S;
/// Without a past, hops are looked for in three days (§4.7), among those who did not come back later.
const SOON_S: f64 = 3.0 * DAY_S;
const ONCE_S: f64 = 3600.0;
/// Hops followed (§4.7).
const MAX_HOPS: u32 = 4;
/// Days of pooled experience added to a machine's own.
const SHRINK_DAYS: f64 = 10.0;
/// Pairs held, some 60 bytes each; a help desk that acts on every machine of a large site once makes 100,000.
const MAX_PAIRS: usize = 200_000;
const MAX_MACHINES: usize = 100_000;
/// Actors of one machine that are remembered.
const MAX_ACTORS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_600_000_000;
    const DAY: i64 = 86_400;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_secs(T + days * DAY)
    }

    fn nobody(_: HostId) -> Vec<(HostId, Timestamp)> {
        Vec::new()
    }

    #[test]
    fn who_led_the_server_to_the_same_destination_is_the_hop_whoever_came_later() {
        let mut hops = usual();
        hops.act(HostId(3), HostId(2), at(3));
        hops.act(HostId(2), HostId(1), at(4));
        hops.act(HostId(5), HostId(1), at(10));
        let led = |on: HostId| if on == HostId(1) { vec![(HostId(2), at(4))] } else { Vec::new() };
        let by = |found: Vec<Hop>| found.iter().map(|hop| (hop.by.0, hop.number)).collect::<Vec<_>>();
        assert_eq!(by(hops.behind(HostId(1), at(20), |_| false, led, &LookBack::default())), [(2, 1), (3, 2)]);
        let affected = |host: HostId| host == HostId(2);
        assert_eq!(by(hops.behind(HostId(1), at(20), affected, led, &LookBack::default())), [(2, 1), (3, 2)]);
        assert_eq!(by(hops.behind(HostId(1), at(20), |_| false, nobody, &LookBack::default())), [(5, 1)]);
    }

    /// Helpers acted on many machines for days.
    fn usual() -> Hops {
        let mut hops = Hops::new();
        for (day, first) in (0..20).zip((100_u32..150).step_by(5).cycle()) {
            (first..first + 5).for_each(|on| hops.act(HostId(900), HostId(on), at(day)));
            hops.act(HostId(901), HostId(1), at(day));
        }
        hops
    }

    #[test]
    fn a_hop_is_found_sixteen_days_back_and_two_behind_it() {
        let mut hops = usual();
        hops.act(HostId(3), HostId(2), at(3));
        hops.act(HostId(2), HostId(1), at(4));
        let found = hops.behind(HostId(1), at(20), |_| false, nobody, &LookBack::default());
        assert_eq!(found.iter().map(|hop| (hop.by.0, hop.number)).collect::<Vec<_>>(), [(2, 1), (3, 2)]);
        assert!(found.iter().all(|hop| hop.p.is_some_and(|p| (0.0..0.9).contains(&p))), "{found:?}");
        let near = hops.behind(HostId(1), at(5), |_| false, nobody, &LookBack::default());
        assert!(near[0].p < found[0].p, "the shorter the stretch the less probable: {near:?} {found:?}");
    }

    #[test]
    fn who_always_acts_there_or_is_affected_or_came_later_is_no_hop() {
        let mut hops = usual();
        assert!(
            hops.behind(HostId(1), at(20), |_| false, nobody, &LookBack::default()).is_empty(),
            "the usual administrator"
        );
        hops.act(HostId(5), HostId(1), at(10));
        assert!(
            hops.behind(HostId(1), at(20), |by| by == HostId(5), nobody, &LookBack::default()).is_empty(),
            "affected itself"
        );
        assert!(hops.behind(HostId(1), at(9), |_| false, nobody, &LookBack::default()).is_empty(), "after it began");
        assert!(
            hops.behind(HostId(1), at(45), |_| false, nobody, &LookBack::default()).is_empty(),
            "longer than a month before"
        );
    }

    #[test]
    fn without_a_past_everybody_of_the_last_days_is_named_and_no_chance_is_claimed() {
        let mut hops = Hops::new();
        hops.act(HostId(2), HostId(1), at(0));
        hops.act(HostId(3), HostId(1), at(0));
        let found = hops.behind(HostId(1), at(1), |_| false, nobody, &LookBack::default());
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|hop| hop.p.is_none() && hop.number == 1));
    }
}
