//! The cases held for the test, found by their destination.
//!
//! A first contact with a destination that few know is a case at once. One with a destination that many know is only
//! remembered for a while: should the host's traffic there turn out to be unusual, it is a case after all, as it stood.
//!
//! Nine of ten cases stay alone with their destination. In a large fleet they come by the ten thousand an hour, and would
//! push out those that several hosts share before the next host comes; so they make room first.

use super::case::Case;
use super::ongoing::HOUR_S;
use crate::base::{Budget, Ring, Table, Timestamp};
use crate::profile::{HostId, TenantId};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// Cases, and first contacts that may yet become some.
#[derive(Clone, Debug)]
pub(crate) struct Cases {
    /// By number, in the order they became some; a case keeps its number.
    held: BTreeMap<u64, Case>,
    budget: Budget,
    /// How many of them a site of this size needs.
    room: usize,
    /// Numbers of the cases of each destination.
    by_tenant: Numbers<TenantId>,
    /// The same of each host.
    by_host: Numbers<HostId>,
    next: u64,
    /// Cases before this one were looked at when room was needed.
    swept: u64,
    dropped: u64,
    peak: usize,
    /// The first case about which more may become known.
    unsettled: u64,
    /// By hour, from which number on a case of it may be held: none held earlier is as late. As the hours came.
    hours: VecDeque<(i64, u64)>,
    /// With numbers of their own.
    passing: Ring<(u64, Case)>,
    passed: u64,
    unsaved: Option<Changed>,
}

/// No longer than the cases held: an entry goes with its last case.
type Numbers<K> = HashMap<K, VecDeque<u64>, foldhash::quality::RandomState>;

/// What changed since the cases were last saved.
#[derive(Clone, Debug, Default)]
struct Changed {
    /// The first case that may have, the first that is new, and those before it that are no more.
    from: u64,
    new: u64,
    dropped: Vec<u64>,
    /// The first that may have come to pass, and those that are no more.
    passed: u64,
    gone: Vec<u64>,
}

/// A case, or that there is none of a number any more.
pub(super) type Numbered<'a> = (u64, Option<&'a Case>);

impl Cases {
    pub(crate) fn new() -> Self {
        Self { room: LEAST_CASES, ..Self::within(MAX_CASES) }
    }

    /// So many hosts are known: what they meet in a day or two is held. More would be looked at every hour for nothing.
    pub(super) fn grow(&mut self, hosts: usize) {
        self.room = hosts.saturating_mul(CASES_A_HOST).clamp(LEAST_CASES, MAX_CASES);
    }

    fn within(entries: usize) -> Self {
        Self {
            held: BTreeMap::new(),
            budget: Budget::new("contacts.cases", entries, CASE_BYTES),
            room: entries,
            by_tenant: Numbers::default(),
            by_host: Numbers::default(),
            next: 0,
            swept: 0,
            dropped: 0,
            peak: 0,
            unsettled: 0,
            hours: VecDeque::new(),
            passing: Ring::new(MAX_PASSING),
            passed: 0,
            unsaved: None,
        }
    }

    /// Holds a case.
    pub(crate) fn hold(&mut self, case: Case) {
        self.make_room();
        let number = self.next;
        self.by_tenant.entry(case.tenant).or_default().push_back(number);
        self.by_host.entry(case.host).or_default().push_back(number);
        let hour = case.ts.secs().div_euclid(HOUR_S);
        if self.hours.back().is_none_or(|(latest, _)| *latest < hour) {
            self.hours.push_back((hour, number));
        }
        self.held.insert(number, case);
        self.next = number.saturating_add(1);
        self.peak = self.peak.max(self.held.len());
    }

    /// Those that are alone with their destination make room, the oldest first, unless somebody made code run on the host
    /// before, and those of destinations that crowds came to know; when none of either is left, the oldest of all.
    fn make_room(&mut self) {
        let most = self.room;
        let young = u64::try_from(most / YOUNG).unwrap_or(0);
        while self.held.len() >= most {
            let limit = self.next.saturating_sub(young).max(self.swept);
            match self.held.range(self.swept..limit).next() {
                Some((number, case)) => {
                    let (number, shared_by) = (*number, self.count(case.tenant));
                    let is_alone = shared_by < 2 && !case.is_acted_on();
                    self.swept = number.saturating_add(1);
                    if is_alone || shared_by > CROWD {
                        self.drop_case(number);
                    }
                }
                // A look at all of them that found none must not be repeated for the next one.
                None => (0..most.div_ceil(BATCH)).for_each(|_| {
                    self.oldest().into_iter().for_each(|number| self.drop_case(number));
                }),
            }
        }
    }

    fn oldest(&self) -> Option<u64> {
        self.held.first_key_value().map(|(number, _)| *number)
    }

    fn drop_case(&mut self, number: u64) {
        let Some(case) = self.held.remove(&number) else { return };
        forget(&mut self.by_tenant, case.tenant, number);
        forget(&mut self.by_host, case.host, number);
        self.dropped = self.dropped.saturating_add(1);
        if let Some(changed) = &mut self.unsaved
            && number < changed.new
        {
            changed.dropped.push(number);
        }
        // The latest hour that begins before all that is held says as much as those before it.
        let oldest = self.oldest().unwrap_or(self.next);
        while self.hours.get(1).is_some_and(|(_, first)| *first <= oldest) {
            self.hours.pop_front();
        }
    }

    /// Remembers a first contact that is no case so far.
    pub(crate) fn pass(&mut self, case: Case) {
        let pushed_out = self.passing.push((self.passed, case));
        self.passed = self.passed.saturating_add(1);
        self.has_gone(pushed_out.map(|(number, _)| number));
    }

    /// Makes a case of what was only remembered; whether there is a case now.
    pub(crate) fn promote(&mut self, host: HostId, tenant: TenantId) -> bool {
        // A host has few cases, a destination may have thousands.
        if self.of_host(host).any(|case| case.tenant == tenant) {
            return true;
        }
        let found = self.passing.take(|(_, case)| case.host == host && case.tenant == tenant);
        let is_one = found.is_some();
        self.has_gone(found.as_ref().map(|(number, _)| *number));
        found.into_iter().for_each(|(_, case)| self.hold(case));
        is_one
    }

    /// Cases with a destination, in the order they became some.
    pub(crate) fn of(&self, tenant: TenantId) -> impl Iterator<Item = &Case> {
        self.numbered(self.by_tenant.get(&tenant))
    }

    /// Cases of a host, likewise.
    pub(crate) fn of_host(&self, host: HostId) -> impl Iterator<Item = &Case> {
        self.numbered(self.by_host.get(&host))
    }

    fn numbered(&self, numbers: Option<&VecDeque<u64>>) -> impl Iterator<Item = &Case> {
        numbers.into_iter().flatten().filter_map(|number| self.held.get(number))
    }

    /// The one that became a case last.
    pub(crate) fn latest(&self, tenant: TenantId) -> Option<&Case> {
        self.held.get(self.by_tenant.get(&tenant)?.back()?)
    }

    /// How many those are.
    pub(crate) fn count(&self, tenant: TenantId) -> usize {
        self.by_tenant.get(&tenant).map_or(0, VecDeque::len)
    }

    /// Destinations with a case, in no order.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = TenantId> {
        self.by_tenant.keys().copied()
    }

    /// Those whose destination several hosts have as a case.
    pub(super) fn in_company(&self) -> impl Iterator<Item = &Case> {
        self.held.values().filter(|case| self.count(case.tenant) > 1)
    }

    /// Those of the last `span_s` seconds before `now`, in the order they became some.
    pub(crate) fn lately(&self, now: Timestamp, span_s: f64) -> impl Iterator<Item = &Case> {
        let cutoff = now.minus(Duration::from_secs_f64(span_s));
        let hour = cutoff.secs().div_euclid(HOUR_S);
        // What became a case before the first one of that hour or of a later one is older.
        let at = self.hours.partition_point(|(known, _)| *known < hour);
        let first = self.hours.get(at).map_or(self.next, |(_, first)| *first);
        self.held.range(first..).map(|(_, case)| case).filter(move |case| now.secs_since(case.ts) <= span_s)
    }

    /// Lets `settle` complete the cases about which more may have become known within `span_s`.
    pub(crate) fn settle(&mut self, now: Timestamp, span_s: f64, mut settle: impl FnMut(&mut Case)) {
        let mut first = None;
        for (number, case) in self.held.range_mut(self.unsettled..) {
            settle(case);
            if now.secs_since(case.ts) <= span_s {
                first.get_or_insert(*number);
            }
        }
        self.unsettled = first.unwrap_or(self.next);
    }

    /// Lets `settle` complete those of one destination as far as they are known by now; `settle` above does it again.
    pub(crate) fn settle_of(&mut self, tenant: TenantId, mut settle: impl FnMut(&mut Case)) {
        let numbers = self.by_tenant.get(&tenant).into_iter().flatten().rev();
        for number in numbers.take_while(|number| **number >= self.unsettled) {
            self.held.get_mut(number).into_iter().for_each(&mut settle);
        }
    }

    /// From now on it is noted what changes.
    pub(super) fn keep_track(&mut self) {
        self.unsaved = Some(Changed { new: self.next, ..Changed::default() });
    }

    /// All cases with their numbers, and all that may become some.
    pub(super) fn all(&self) -> (Vec<Numbered<'_>>, Vec<Numbered<'_>>) {
        (self.since(0), self.passing.iter().map(|(number, case)| (*number, Some(case))).collect())
    }

    fn since(&self, number: u64) -> Vec<Numbered<'_>> {
        self.held.range(number..).map(|(number, case)| (*number, Some(case))).collect()
    }

    /// Those of them that changed since this or `saved` was last called.
    pub(super) fn changed(&self) -> (Vec<Numbered<'_>>, Vec<Numbered<'_>>) {
        let Some(Changed { from, dropped, passed, gone, .. }) = &self.unsaved else { return self.all() };
        let (mut held, mut passing) = (self.since(*from), self.all().1);
        passing.retain(|(number, _)| number >= passed);
        held.extend(dropped.iter().map(|number| (*number, None)));
        passing.extend(gone.iter().map(|number| (*number, None)));
        (held, passing)
    }

    /// What there is was saved.
    pub(super) fn saved(&mut self) {
        if let Some(changed) = &mut self.unsaved {
            let (from, new) = (self.unsettled, self.next);
            *changed = Changed { from, new, dropped: Vec::new(), passed: self.passed, gone: Vec::new() };
        }
    }

    /// The first case about which more may become known.
    pub(super) const fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// Takes in a case that was held; they come in the order of their numbers. False otherwise.
    pub(super) fn restore(&mut self, number: u64, case: Case) -> bool {
        let follows = number >= self.next;
        if follows {
            // Hosts are counted once all is read.
            self.room = self.budget.entries();
            self.next = number;
            self.hold(case);
        }
        follows
    }

    /// Takes in one that may become a case; likewise, some may be left out.
    pub(super) fn restore_passing(&mut self, number: u64, case: Case) -> bool {
        let follows = number >= self.passed;
        self.passed = number.saturating_add(1);
        self.passing.push((number, case));
        follows
    }

    pub(super) const fn resume(&mut self, unsettled: u64) {
        self.unsettled = unsettled;
    }

    fn has_gone(&mut self, number: Option<u64>) {
        if let Some(changed) = &mut self.unsaved {
            changed.gone.extend(number.filter(|number| *number < changed.passed));
        }
    }

    /// How they stand.
    pub(crate) fn table(&self) -> Table {
        self.budget.table(size_of::<(u64, Case)>(), self.held.len(), self.peak, self.dropped)
    }
}

/// Takes a number of `key` off the list: its case made room.
fn forget<K: Hash + Eq>(numbers: &mut Numbers<K>, key: K, number: u64) {
    let Entry::Occupied(mut of_key) = numbers.entry(key) else { return };
    if let Ok(at) = of_key.get().binary_search(&number) {
        of_key.get_mut().remove(at);
    }
    if of_key.get().is_empty() {
        of_key.remove();
    }
}

/// Cases held (detection.md §4.5), and by how many hosts there are: 100,000 have 80,000 in a busy hour.
pub(super) const MAX_CASES: usize = 262_144;
const LEAST_CASES: usize = 65_536;
const CASES_A_HOST: usize = 3;
/// What a case takes beside its place, mostly: six exposures of at most 16, and its numbers.
const CASE_BYTES: usize = 700;
/// More cases with one destination are more than a campaign's.
const CROWD: usize = 4_096;
/// The latest of so many parts of the cases are not looked at when room is made: the next host may be on its way.
const YOUNG: usize = 4;
/// When nothing but shared cases is left, one of so many parts makes room at once.
const BATCH: usize = 64;
/// First contacts with well-known destinations that are remembered.
const MAX_PASSING: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::super::case::Exposure;
    use super::*;

    fn case(host: u32, tenant: u32, s: i64) -> Case {
        Case {
            host: HostId(host),
            tenant: TenantId(tenant),
            ts: Timestamp::from_secs(s),
            nats: 1.0,
            watched_bins: 0.0,
            booted: 0,
            active: 1,
            exposures: Vec::new(),
        }
    }

    #[test]
    fn cases_are_found_by_destination_and_those_alone_with_theirs_make_room_first() {
        let mut cases = Cases::within(100);
        // Two hosts share destination 1, hours apart; everybody else has one of its own, one of them after an act.
        cases.hold(case(1, 1, 0));
        cases.hold(acted_on(&case(2, 2, 1)));
        (3..=100).for_each(|n| cases.hold(case(n, n, i64::from(n))));
        cases.hold(case(101, 101, 101));
        assert_eq!((cases.held.len(), cases.count(TenantId(1)), cases.dropped), (100, 0, 1), "alone so far");
        cases.hold(case(1, 1, 200));
        cases.hold(case(2, 1, 201));
        (202..500).for_each(|n| cases.hold(case(n, n, i64::from(n))));
        assert_eq!(cases.of(TenantId(1)).map(|case| case.host.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(cases.of_host(HostId(2)).map(|case| case.tenant.0).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(cases.of_host(HostId(300)).count(), 0, "it made room");
        assert_eq!((cases.held.len(), cases.of(TenantId(499)).count()), (100, 1));
        // When all are shared, the oldest go.
        (500..900).for_each(|n| cases.hold(case(n, 7, i64::from(n))));
        assert!(cases.held.len() <= 100 && cases.count(TenantId(7)) >= 98, "{}", cases.count(TenantId(7)));
        assert_eq!(cases.of(TenantId(7)).last().map(|case| case.host.0), Some(899));
        let numbers: usize = cases.by_host.values().map(VecDeque::len).sum();
        assert_eq!(numbers, cases.held.len());
        assert_eq!(cases.table().evicted, cases.dropped);
    }

    #[test]
    fn what_crowds_came_to_know_makes_room_too() {
        let mut cases = Cases::within(6_000);
        (0..5_000).for_each(|n| cases.hold(case(n, 1, i64::from(n))));
        (5_000..5_400).for_each(|n| cases.hold(case(n, 2, i64::from(n))));
        (5_400..6_500).for_each(|n| cases.hold(case(n, n / 2, i64::from(n))));
        assert_eq!((cases.count(TenantId(1)), cases.count(TenantId(2))), (4_500, 400), "no more than is needed");
        (6_500..20_000).for_each(|n| cases.hold(case(n, n / 2, i64::from(n))));
        assert!(cases.count(TenantId(1)) <= CROWD, "{}", cases.count(TenantId(1)));
        assert!((5_900..=6_000).contains(&cases.held.len()), "{}", cases.held.len());
    }

    #[test]
    fn what_is_saved_bit_by_bit_is_what_is_held() {
        let (mut cases, mut file) = (Cases::within(50), BTreeMap::new());
        cases.keep_track();
        for n in 0..400_u32 {
            cases.hold(case(n, if n.is_multiple_of(5) { 1 } else { n + 10 }, i64::from(n)));
            if n.is_multiple_of(7) {
                cases.settle(Timestamp::from_secs(i64::from(n)), 20.0, |case| case.active += 1);
            }
            if n.is_multiple_of(13) || n == 399 {
                for (number, case) in cases.changed().0 {
                    match case {
                        Some(case) => drop(file.insert(number, case.clone())),
                        None => drop(file.remove(&number)),
                    }
                }
                cases.saved();
                assert_eq!(file, cases.held, "case {n}");
            }
        }
        let mut again = Cases::within(50);
        assert!(file.into_iter().all(|(number, case)| again.restore(number, case)));
        assert_eq!((again.held, again.next), (cases.held, cases.next));
    }

    #[test]
    fn the_cases_of_late_are_those_a_look_at_all_finds() {
        let mut cases = Cases::within(20_000);
        // Ten seconds apart, every seventh became a case hours after it was met; some share their destination.
        let met = |n: u32| i64::from(n) * 10 - if n.is_multiple_of(7) { 9_000 } else { 0 };
        (0..25_000).for_each(|n| cases.hold(case(n, if n.is_multiple_of(3) { 1 } else { n + 2 }, met(n))));
        let now = Timestamp::from_secs(250_000);
        for span in [0.0, 60.0, 3_600.0, 7_300.0, 86_400.0, 604_800.0] {
            let plain = cases.held.values().filter(|case| now.secs_since(case.ts) <= span);
            assert!(cases.lately(now, span).eq(plain), "{span} s");
        }
        assert!(cases.hours.len() < 80, "{} hours", cases.hours.len());
    }

    fn acted_on(case: &Case) -> Case {
        let at = super::super::pairs::moment(case.ts);
        let exposure = Exposure {
            peer: HostId(9),
            times: [at, 0, 0, 0],
            marked: super::super::pairs::Mark::ALL.map(|_| at.max(1)),
            usual: [0.0; 4],
            at_boot: 0.0,
            just_now: [0; 2],
            met: Exposure::UNKNOWN,
        };
        Case { exposures: vec![exposure], ..case.clone() }
    }

    #[test]
    fn what_was_only_remembered_becomes_a_case_once() {
        let mut cases = Cases::new();
        cases.pass(case(1, 5, 100));
        assert_eq!(cases.count(TenantId(5)), 0);
        assert!(cases.promote(HostId(1), TenantId(5)) && cases.promote(HostId(1), TenantId(5)));
        assert!(!cases.promote(HostId(2), TenantId(5)));
        assert_eq!(cases.count(TenantId(5)), 1);
    }

    #[test]
    fn each_case_is_settled_until_it_is_old_and_at_least_once() {
        let mut cases = Cases::new();
        let settled = |cases: &mut Cases, s| {
            let mut hosts = Vec::new();
            cases.settle(Timestamp::from_secs(s), 900.0, |case| hosts.push(case.host.0));
            hosts
        };
        cases.hold(case(1, 5, 100));
        cases.hold(case(2, 5, 800));
        assert_eq!(settled(&mut cases, 900), [1, 2]);
        assert_eq!(settled(&mut cases, 1100), [1, 2]);
        assert_eq!(settled(&mut cases, 1101), [2]);
        cases.hold(case(3, 5, 10));
        assert_eq!(settled(&mut cases, 1800), [2, 3], "an old one that became a case late");
        assert!(settled(&mut cases, 2000).is_empty());
    }
}
