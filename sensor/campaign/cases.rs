//! The cases held for the test, found by their destination.
//!
//! A first contact with a destination that few know is a case at once. One with a destination that many know is only
//! remembered for a while: should the host's traffic there turn out to be unusual, it is a case after all, as it stood.

use super::case::Case;
use super::ongoing::HOUR_S;
use crate::base::{Ring, Timestamp};
use crate::profile::{HostId, TenantId};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// Cases, and first contacts that may yet become some.
#[derive(Clone, Debug)]
pub(crate) struct Cases {
    held: Ring<Case>,
    /// Numbers of the cases of each destination. A case keeps its number; the oldest one held has number `dropped`.
    by_tenant: Numbers<TenantId>,
    /// The same of each host.
    by_host: Numbers<HostId>,
    dropped: u64,
    next: u64,
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
    /// The first case that may have, and the first number that may be gone.
    from: u64,
    dropped: u64,
    /// The first that may have come to pass, and those that are no more.
    passed: u64,
    gone: Vec<u64>,
}

/// A case, or that there is none of a number any more.
pub(super) type Numbered<'a> = (u64, Option<&'a Case>);

impl Cases {
    pub(crate) fn new() -> Self {
        Self {
            held: Ring::new(MAX_CASES),
            by_tenant: Numbers::default(),
            by_host: Numbers::default(),
            dropped: 0,
            next: 0,
            unsettled: 0,
            hours: VecDeque::new(),
            passing: Ring::new(MAX_PASSING),
            passed: 0,
            unsaved: None,
        }
    }

    /// Holds a case; the oldest makes room.
    pub(crate) fn hold(&mut self, case: Case) {
        self.by_tenant.entry(case.tenant).or_default().push_back(self.next);
        self.by_host.entry(case.host).or_default().push_back(self.next);
        let hour = case.ts.secs().div_euclid(HOUR_S);
        if self.hours.back().is_none_or(|(latest, _)| *latest < hour) {
            self.hours.push_back((hour, self.next));
        }
        self.next = self.next.saturating_add(1);
        if let Some(oldest) = self.held.push(case) {
            forget_first(&mut self.by_tenant, oldest.tenant);
            forget_first(&mut self.by_host, oldest.host);
            self.dropped = self.dropped.saturating_add(1);
            // The latest hour that begins before all that is held says as much as those before it.
            while self.hours.get(1).is_some_and(|(_, first)| *first <= self.dropped) {
                self.hours.pop_front();
            }
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
        if self.of(tenant).any(|case| case.host == host) {
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
        let at = |number: &u64| usize::try_from(number.saturating_sub(self.dropped)).ok();
        numbers.into_iter().flatten().filter_map(move |number| self.held.get(at(number)?))
    }

    /// The one that became a case last.
    pub(crate) fn latest(&self, tenant: TenantId) -> Option<&Case> {
        let number = self.by_tenant.get(&tenant)?.back()?;
        self.held.get(usize::try_from(number.saturating_sub(self.dropped)).ok()?)
    }

    /// How many those are.
    pub(crate) fn count(&self, tenant: TenantId) -> usize {
        self.by_tenant.get(&tenant).map_or(0, VecDeque::len)
    }

    /// Destinations with a case, in no order.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = TenantId> {
        self.by_tenant.keys().copied()
    }

    /// Those of the last `span_s` seconds before `now`, in the order they became some.
    pub(crate) fn lately(&self, now: Timestamp, span_s: f64) -> impl Iterator<Item = &Case> {
        let cutoff = now.minus(Duration::from_secs_f64(span_s));
        let hour = cutoff.secs().div_euclid(HOUR_S);
        // What became a case before the first one of that hour or of a later one is older.
        let at = self.hours.partition_point(|(known, _)| *known < hour);
        let first = self.hours.get(at).map_or(self.next, |(_, first)| *first);
        let skip = usize::try_from(first.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        self.held.iter().skip(skip).filter(move |case| now.secs_since(case.ts) <= span_s)
    }

    /// Lets `settle` complete the cases about which more may have become known within `span_s`.
    pub(crate) fn settle(&mut self, now: Timestamp, span_s: f64, mut settle: impl FnMut(&mut Case)) {
        let skip = usize::try_from(self.unsettled.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        let mut settled = 0_u64;
        let mut all_old = true;
        for case in self.held.iter_mut().skip(skip) {
            settle(case);
            all_old &= now.secs_since(case.ts) > span_s;
            settled += u64::from(all_old);
        }
        self.unsettled = self.unsettled.max(self.dropped).saturating_add(settled);
    }

    /// Lets `settle` complete those of one destination as far as they are known by now; `settle` above does it again.
    pub(crate) fn settle_of(&mut self, tenant: TenantId, mut settle: impl FnMut(&mut Case)) {
        let first = self.unsettled.max(self.dropped);
        for number in self.by_tenant.get(&tenant).into_iter().flatten().rev().take_while(|number| **number >= first) {
            let at = usize::try_from(number.saturating_sub(self.dropped)).ok();
            at.and_then(|at| self.held.get_mut(at)).into_iter().for_each(&mut settle);
        }
    }

    /// From now on it is noted what changes.
    pub(super) fn keep_track(&mut self) {
        self.unsaved = Some(Changed::default());
    }

    /// All cases with their numbers, and all that may become some.
    pub(super) fn all(&self) -> (Vec<Numbered<'_>>, Vec<Numbered<'_>>) {
        let held = (self.dropped..).zip(self.held.iter().map(Some)).collect();
        (held, self.passing.iter().map(|(number, case)| (*number, Some(case))).collect())
    }

    /// Those of them that changed since this or `saved` was last called.
    pub(super) fn changed(&self) -> (Vec<Numbered<'_>>, Vec<Numbered<'_>>) {
        let Some(Changed { from, dropped, passed, gone }) = &self.unsaved else { return self.all() };
        let (mut held, mut passing) = self.all();
        held.retain(|(number, _)| number >= from);
        passing.retain(|(number, _)| number >= passed);
        held.extend((*dropped..self.dropped).map(|number| (number, None)));
        passing.extend(gone.iter().map(|number| (*number, None)));
        (held, passing)
    }

    /// What there is was saved.
    pub(super) fn saved(&mut self) {
        if let Some(changed) = &mut self.unsaved {
            let from = self.unsettled.max(self.dropped);
            *changed = Changed { from, dropped: self.dropped, passed: self.passed, gone: Vec::new() };
        }
    }

    /// The first case about which more may become known.
    pub(super) const fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// Takes in a case that was held; they come in the order of their numbers, with none left out. False otherwise.
    pub(super) fn restore(&mut self, number: u64, case: Case) -> bool {
        if self.held.is_empty() {
            (self.dropped, self.next) = (number, number);
        }
        let follows = number == self.next;
        if follows {
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

    /// Cases that made room before anything came of them.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Takes the oldest number of `key` off the list: it made room.
fn forget_first<K: Hash + Eq>(numbers: &mut Numbers<K>, key: K) {
    let Entry::Occupied(mut of_key) = numbers.entry(key) else { return };
    of_key.get_mut().pop_front();
    if of_key.get().is_empty() {
        of_key.remove();
    }
}

/// Cases held, at most 1.9 kB each and mostly a third of it (detection.md §4.5).
const MAX_CASES: usize = 65_536;
/// First contacts with well-known destinations that are remembered.
const MAX_PASSING: usize = 8_192;

#[cfg(test)]
mod tests {
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
    fn cases_are_found_by_destination_and_the_oldest_makes_room() {
        let mut cases = Cases::new();
        let all = u32::try_from(MAX_CASES).unwrap() + 10;
        (0..all).for_each(|n| cases.hold(case(n, n % 3, i64::from(n))));
        assert_eq!(cases.dropped(), 10);
        let hosts: Vec<u32> = cases.of(TenantId(1)).map(|case| case.host.0).collect();
        assert_eq!((hosts.first(), hosts.len()), (Some(&10), cases.count(TenantId(1))));
        assert!(hosts.iter().all(|host| host % 3 == 1));
        assert_eq!(cases.of(TenantId(7)).count(), 0);
        assert_eq!(cases.of_host(HostId(9)).count(), 0, "it made room");
        assert_eq!(cases.of_host(HostId(11)).map(|case| case.tenant.0).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn the_cases_of_late_are_those_a_look_at_all_finds() {
        let mut cases = Cases::new();
        let all = u32::try_from(MAX_CASES).unwrap() + 5_000;
        // Two seconds apart, every seventh became a case hours after it was met.
        let met = |n: u32| i64::from(n) * 2 - if n.is_multiple_of(7) { 9_000 } else { 0 };
        (0..all).for_each(|n| cases.hold(case(n, n % 3, met(n))));
        let now = Timestamp::from_secs(i64::from(all) * 2);
        for span in [0.0, 60.0, 3_600.0, 7_300.0, 86_400.0, 604_800.0] {
            let plain = cases.held.iter().filter(|case| now.secs_since(case.ts) <= span);
            assert!(cases.lately(now, span).eq(plain), "{span} s");
        }
        assert!(cases.hours.len() < 80, "{} hours", cases.hours.len());
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
