//! Who of the site manages others, by how it deals with them: the learned role of `detection.md` §4.2.
//!
//! Over a week a server talks with many machines of the site on one port: it calls them, or they call it. That is told
//! whatever its product and its port. What every network has – names, addresses, time, directories, printing – does not
//! count, and one busy day does not make a habit. A learned role makes a server more suspicious, never less: nothing is
//! quiet because of it, so nobody gains by earning it. Beside it stands which kinds of service outside such a server uses
//! day by day: to meet one more of a kind it lives by is not what to meet the first is.

use super::HostId;
use super::machines::Machines;
use super::stamp::stamp;
use crate::base::{Budget, Capped, Endpoint, Table, Text, Transport, say};
use serde::{Deserialize, Serialize};

/// How a server deals with those it manages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Way {
    /// It calls them; else they call it.
    pub(super) calls: bool,
    /// IANA number.
    transport: u8,
    port: u16,
}

impl Way {
    /// `to tcp/21112`, `at tcp/8530`.
    pub(crate) fn text(self) -> Text {
        let transport = match Transport::from_number(self.transport) {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            _ => "other",
        };
        let port = format!("{transport}/{}", self.port);
        if self.calls { say!("hub.to", port = port) } else { say!("hub.at", port = port) }
    }
}

/// A learned role: a server that manages others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hub {
    pub(crate) way: Way,
    /// Machines of the site in the week in which it was last found to be one; an estimate beyond eight.
    pub(crate) machines: u32,
    /// The local day of that.
    day: i32,
}

impl Hub {
    /// The role's name in records.
    pub(crate) const NAME: &str = "management_hub";
}

/// Everybody's dealings within the site, and who was found to manage others.
#[derive(Debug)]
pub(super) struct Hubs(Capped<HostId, Dealings>);

/// What is remembered of one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Dealings {
    fans: Vec<(Way, Fan)>,
    learned: Option<Hub>,
    #[serde(default)]
    kinds: Vec<Kind>,
}

/// A kind of service outside that a host uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kind {
    /// Of its name.
    stamp: u64,
    /// Local days of the first and the latest contact, and days with one so far.
    first: i32,
    last: i32,
    days: u16,
}

/// One host's machines on one port, this week and in the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Fan {
    week: i32,
    machines: Machines,
    /// Bits of the week's days.
    days: u8,
    /// Machines and days of the week before.
    before: (u32, u32),
}

impl Hubs {
    pub(super) fn new() -> Self {
        Self(Capped::new(Budget::new("hubs.dealings", MAX_HOSTS, 1_920)))
    }

    /// Two machines of a site of `fleet` had a conversation on a local day.
    pub(super) fn talked(
        &mut self,
        (orig, resp): (HostId, HostId),
        (at, transport): (Endpoint, Transport),
        day: i32,
        fleet: u32,
    ) {
        if orig == resp || EVERYBODYS.contains(&at.port) {
            return;
        }
        for (hub, machine, calls) in [(orig, resp, true), (resp, orig, false)] {
            let way = Way { calls, transport: transport.number(), port: at.port };
            self.0.entry(hub, Dealings::default).note(way, machine, day, fleet);
        }
    }

    /// A host met somebody outside of a kind of service, on a local day.
    pub(super) fn used(&mut self, host: HostId, kind: &str, day: i32) {
        if let Some(dealings) = self.0.peek_mut(&host) {
            dealings.used(stamp(kind), day);
        }
    }

    /// Whether a host lived by a kind of service before a local day: on as many days as make a habit, the first of them as
    /// many days ago.
    pub(super) fn lives_by(&self, host: HostId, kind: &str, day: i32) -> bool {
        let (kind, least) = (stamp(kind), i32::try_from(LEAST_DAYS).unwrap_or(i32::MAX));
        let known = self.0.get(&host).and_then(|dealings| dealings.kinds.iter().find(|known| known.stamp == kind));
        known.is_some_and(|known| {
            let today = u16::from(known.last >= day);
            u32::from(known.days.saturating_sub(today)) >= LEAST_DAYS && day.saturating_sub(known.first) >= least
        })
    }

    /// What was learned of a host, as of a local day.
    pub(super) fn of(&self, host: HostId, day: i32) -> Option<Hub> {
        self.0.get(&host)?.learned.filter(|hub| day.saturating_sub(hub.day) <= KEPT_DAYS)
    }

    /// What is worth keeping between runs: not that a PC deals with three others.
    pub(super) fn saved(&self, host: HostId) -> Option<Dealings> {
        let dealings = self.0.get(&host)?;
        let fans: Vec<_> = dealings.fans.iter().filter(|(_, fan)| fan.most() > SMALL).cloned().collect();
        let worth = dealings.learned.is_some() || !fans.is_empty();
        worth.then(|| Dealings { fans, learned: dealings.learned, kinds: dealings.kinds.clone() })
    }

    pub(super) fn restore(&mut self, host: HostId, dealings: Dealings) {
        self.0.insert(host, dealings);
    }

    pub(super) fn table(&self) -> Table {
        self.0.table()
    }
}

impl Dealings {
    fn note(&mut self, way: Way, machine: HostId, day: i32, fleet: u32) {
        let known = self.fans.iter().position(|(known, _)| *known == way);
        let at = known.unwrap_or_else(|| {
            let machines = |at: &usize| self.fans.get(*at).map(|(_, fan)| fan.most_by(day.div_euclid(WEEK)));
            if self.fans.len() >= MAX_WAYS
                && let Some(least) = (0..self.fans.len()).rev().min_by_key(machines)
            {
                self.fans.remove(least);
            }
            self.fans.push((way, Fan::new(day)));
            self.fans.len().saturating_sub(1)
        });
        if let Some((_, fan)) = self.fans.get_mut(at)
            && let Some(machines) = fan.note(machine, day, fleet)
        {
            self.learned = Some(Hub { way, machines, day });
        }
    }

    /// Under the ids of another baseline: `ids` are pairs of an old and its new one. Beyond a few, machines are bits that
    /// several ids share, so as many of those are taken as there were.
    pub(super) fn renamed(&self, ids: &[(u32, u32)]) -> Self {
        let machines = |of: &Machines| {
            let mut new = Machines::default();
            let named = ids.iter().filter(|(old, _)| of.may_hold(*old)).map(|(_, new)| *new);
            named.take(usize::try_from(of.count()).unwrap_or(usize::MAX)).for_each(|machine| new.add(machine));
            new
        };
        let fans = self.fans.iter().map(|(way, fan)| (*way, Fan { machines: machines(&fan.machines), ..fan.clone() }));
        Self { fans: fans.collect(), learned: self.learned, kinds: self.kinds.clone() }
    }

    /// Adds what another sensor saw of the same host, under the same ids. Who was found to manage others stays found.
    pub(super) fn merge(&mut self, other: &Self) {
        for (way, theirs) in &other.fans {
            match self.fans.iter_mut().find(|(known, _)| known == way) {
                Some((_, own)) => own.merge(theirs),
                None => self.fans.push((*way, theirs.clone())),
            }
        }
        self.fans.sort_by_key(|(way, fan)| (std::cmp::Reverse(fan.most()), way.port, way.transport, way.calls));
        self.fans.truncate(MAX_WAYS);
        self.learned = match (self.learned, other.learned) {
            (Some(own), Some(theirs)) => {
                let latest = if (theirs.day, theirs.machines) > (own.day, own.machines) { theirs } else { own };
                let same = self.fans.iter().find(|(way, _)| *way == latest.way).map_or(0, |(_, fan)| fan.most());
                Some(Hub { machines: latest.machines.max(same), ..latest })
            }
            (own, theirs) => own.or(theirs),
        };
        for theirs in &other.kinds {
            match self.kinds.iter_mut().find(|known| known.stamp == theirs.stamp) {
                Some(own) => {
                    (own.first, own.last) = (own.first.min(theirs.first), own.last.max(theirs.last));
                    own.days = own.days.max(theirs.days);
                }
                None => self.kinds.push(*theirs),
            }
        }
        self.kinds.sort_by_key(|kind| (std::cmp::Reverse(kind.last), kind.stamp));
        self.kinds.truncate(MAX_KINDS);
    }

    fn used(&mut self, stamp: u64, day: i32) {
        if let Some(known) = self.kinds.iter_mut().find(|known| known.stamp == stamp) {
            if day > known.last {
                (known.last, known.days) = (day, known.days.saturating_add(1));
            }
            return;
        }
        if self.kinds.len() >= MAX_KINDS
            && let Some(oldest) = (0..self.kinds.len()).min_by_key(|at| self.kinds.get(*at).map(|kind| kind.last))
        {
            self.kinds.remove(oldest);
        }
        self.kinds.push(Kind { stamp, first: day, last: day, days: 1 });
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        self.fans.len() <= MAX_WAYS
            && self.kinds.len() <= MAX_KINDS
            && self.fans.iter().all(|(_, fan)| fan.machines.is_whole())
    }
}

impl Fan {
    fn new(day: i32) -> Self {
        Self { week: day.div_euclid(WEEK), machines: Machines::default(), days: 0, before: (0, 0) }
    }

    /// Machines of the busier of the two weeks.
    fn most(&self) -> u32 {
        self.machines.count().max(self.before.0)
    }

    /// The same as of a week: what is older is nothing.
    fn most_by(&self, week: i32) -> u32 {
        if week.saturating_sub(self.week) > 1 { 0 } else { self.most() }
    }

    /// Notes a machine; how many there were when that is a hub's number.
    fn note(&mut self, machine: HostId, day: i32, fleet: u32) -> Option<u32> {
        self.turn(day.div_euclid(WEEK));
        self.days |= 1 << day.rem_euclid(WEEK);
        self.machines.add(machine.0);
        let least = LEAST_MACHINES.max(fleet / SITE_SHARE);
        // A week that has just begun knows little: the one before it counts as well.
        let found = |machines: u32, days: u32| machines >= least && days >= LEAST_DAYS;
        let is_hub = found(self.machines.count(), self.days.count_ones()) || found(self.before.0, self.before.1);
        is_hub.then(|| self.most())
    }

    /// Adds another sensor's: the later week is this week.
    fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        let week = self.week.max(other.week);
        self.turn(week);
        other.turn(week);
        self.machines.merge(&other.machines);
        self.days |= other.days;
        // Of the week before only numbers are known; the same machines may have made both.
        self.before = (self.before.0.max(other.before.0), self.before.1.max(other.before.1));
    }

    fn turn(&mut self, week: i32) {
        match week.saturating_sub(self.week) {
            ..=0 => return,
            1 => self.before = (self.machines.count(), self.days.count_ones()),
            _ => self.before = (0, 0),
        }
        (self.week, self.days, self.machines) = (week, 0, Machines::default());
    }
}

/// What all machines of a site ask somebody for: names, addresses, time, sign-in, directories, shares' and calls' location,
/// printing.
const EVERYBODYS: &[u16] = &[
    53, 67, 68, 88, 123, 135, 137, 138, 139, 389, 464, 515, 546, 547, 631, 636, 853, 1900, 3268, 3269, 5353, 5355, 9100,
];
/// `detection.md` §4.2: at least 20 machines, and at least 3 % of the site.
const LEAST_MACHINES: u32 = 20;
const SITE_SHARE: u32 = 33;
/// A habit, not an incident: days of a week on which it dealt with them.
const LEAST_DAYS: u32 = 3;
const WEEK: i32 = 7;
/// A server that was none for a month is none.
const KEPT_DAYS: i32 = 30;
/// Ways of one host; the one with the fewest machines makes room, the newest of several, so that no flood of ports hides a
/// habit.
const MAX_WAYS: usize = 16;
/// Kinds of service of one host; the one not used for longest makes room. The catalogue has some thirty.
const MAX_KINDS: usize = 16;
/// Machines that are not worth keeping between runs.
const SMALL: u32 = 3;
/// Hosts; the ones not heard for longest make room, and a hub is heard all the time.
const MAX_HOSTS: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server 1 that deals with `machines` on each of `days`; what was learned of it by `asked`.
    fn learned(port: u16, calls: bool, machines: u32, days: i32, (fleet, asked): (u32, i32)) -> Option<Hub> {
        let mut hubs = Hubs::new();
        for (day, machine) in (0..days).flat_map(|day| (0..machines).map(move |machine| (day, HostId(100 + machine)))) {
            let ends = if calls { (HostId(1), machine) } else { (machine, HostId(1)) };
            hubs.talked(
                ends,
                (Endpoint::new("10.0.0.1".parse().unwrap(), port), Transport::Tcp),
                7 * 2_900 + day,
                fleet,
            );
        }
        assert_eq!(hubs.of(HostId(100), 7 * 2_900 + asked), None, "a machine that is managed");
        hubs.of(HostId(1), 7 * 2_900 + asked)
    }

    #[test]
    fn who_deals_with_many_on_one_port_for_days_manages_them() {
        for (what, port, calls, machines, days, fleet, asked, expected) in [
            ("an agent's own port", 21112, true, 20, 3, 100, 3, true),
            ("clients that ask for updates", 8530, false, 20, 3, 100, 3, true),
            ("one machine less", 8530, false, 19, 7, 100, 3, false),
            ("one busy morning", 21112, true, 500, 1, 100, 3, false),
            ("two days", 21112, true, 500, 2, 100, 3, false),
            ("a share of a large site", 8530, false, 70, 3, 2_000, 3, true),
            ("too small a share", 8530, false, 50, 3, 2_000, 3, false),
            ("sign-in", 88, false, 500, 7, 1_000, 3, false),
            ("names", 53, false, 500, 7, 1_000, 3, false),
            ("a month later", 8530, false, 40, 3, 100, 31, true),
            ("after that", 8530, false, 40, 3, 100, 34, false),
        ] {
            assert_eq!(learned(port, calls, machines, days, (fleet, asked)).is_some(), expected, "{what}");
        }
        let way = learned(21112, true, 40, 4, (100, 4)).unwrap().way;
        assert_eq!(way.text(), say!("hub.to", port = "tcp/21112"));
    }

    #[test]
    fn a_week_that_has_just_begun_knows_what_the_last_one_knew() {
        for (days, latest) in [(7, 6), (8, 7)] {
            let hub = learned(8530, false, 40, days, (100, days)).unwrap();
            assert_eq!((hub.day - 7 * 2_900, hub.machines), (latest, 40), "{days} days");
        }
    }

    #[test]
    fn a_flood_of_ports_hides_no_habit_and_a_habit_outlives_the_run() {
        let (mut hubs, end) = (Hubs::new(), |port| (Endpoint::new("10.0.0.1".parse().unwrap(), port), Transport::Tcp));
        for (day, machine) in (0..3).flat_map(|day| (0..25).map(move |machine| (day, HostId(100 + machine)))) {
            hubs.talked((machine, HostId(1)), end(8530), day, 100);
            (20_000..20_050).for_each(|port| hubs.talked((machine, HostId(1)), end(port), day, 100));
        }
        // What was used before a month is nobody's habit, and in nobody's way.
        (30_000..30_050).for_each(|port| hubs.talked((HostId(100), HostId(2)), end(port), -30, 100));
        for (day, machine) in (0..3).flat_map(|day| (0..25).map(move |machine| (day, HostId(100 + machine)))) {
            hubs.talked((machine, HostId(2)), end(8530), day, 100);
        }
        assert!(hubs.of(HostId(2), 3).is_some());
        assert!(hubs.of(HostId(1), 3).is_some());
        let saved = hubs.saved(HostId(1)).unwrap();
        let read: Dealings = serde_json::from_value(serde_json::to_value(&saved).unwrap()).unwrap();
        assert!(read.is_whole() && read == saved && read.fans.len() <= MAX_WAYS);
        assert_eq!(Hubs::new().saved(HostId(1)), None);
        let mut resumed = Hubs::new();
        resumed.restore(HostId(1), read);
        assert_eq!(resumed.of(HostId(1), 3), hubs.of(HostId(1), 3));
        hubs.talked((HostId(7), HostId(8)), end(445), 0, 100);
        assert_eq!(hubs.saved(HostId(7)), None, "a PC and a file server");
    }

    #[test]
    fn two_sensors_know_the_machines_of_both_under_the_ids_of_one() {
        let end = |port| (Endpoint { ip: std::net::IpAddr::from([10, 0, 0, 1]), port }, Transport::Tcp);
        // Each sees its own 30 of 60 machines, and 10 that both see; the second one has other ids for all.
        let watched = |machines: std::ops::Range<u32>, other: u32| {
            let mut hubs = Hubs::new();
            for (day, n) in (0..3).flat_map(|day| machines.clone().map(move |n| (day, n))) {
                hubs.talked((HostId(n + other), HostId(1 + other)), end(8530), day, 100);
            }
            hubs.saved(HostId(1 + other)).unwrap()
        };
        let (mut one, two) = (watched(100..140, 0), watched(130..170, 5_000));
        let ids: Vec<(u32, u32)> = (0..400).map(|id| (id + 5_000, id)).collect();
        one.merge(&two.renamed(&ids));
        let machines = one.fans[0].1.machines.count();
        assert!(one.is_whole() && one.fans.len() == 1 && (66..=74).contains(&machines), "{machines} of 70");
        assert!(one.learned.is_some_and(|hub| hub.machines == machines));
        let before = one.clone();
        one.merge(&before);
        assert_eq!(one, before, "merged with itself");
        let few = watched(100..104, 5_000).renamed(&ids);
        assert_eq!(few, watched(100..104, 0), "a few are known by themselves");
        let mut none = Dealings::default();
        none.merge(&before);
        assert_eq!(none, before, "only the other one knew it");
    }

    #[test]
    fn a_kind_of_service_used_on_three_earlier_days_is_lived_by() {
        for (what, days, asked, expected) in [
            ("never", [].as_slice(), 9, false),
            ("two days", &[1, 2], 9, false),
            ("three days", &[1, 2, 3], 9, true),
            ("today is none of them", &[1, 2, 9], 9, false),
            ("thrice within two days", &[7, 7, 8], 9, false),
        ] {
            let mut hubs = Hubs::new();
            let end = Endpoint::new("10.0.0.1".parse().unwrap(), 8530);
            hubs.talked((HostId(7), HostId(1)), (end, Transport::Tcp), 0, 100);
            days.iter().for_each(|day| hubs.used(HostId(1), "object-storage", *day));
            assert_eq!(hubs.lives_by(HostId(1), "object-storage", asked), expected, "{what}");
            assert!(!hubs.lives_by(HostId(1), "paste", asked), "{what}");
        }
    }
}
