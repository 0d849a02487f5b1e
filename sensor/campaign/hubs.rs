//! What one server does inside the site: whom it meets by the clock, how much it sends, which kinds of contact it makes.
//!
//! The calendar side of the common cause test (detection.md §4.4 `q_cal`, §4.5 `ServerRing`). A sweep over everybody
//! shows here, and so does what is unusual for the server itself.

use super::pairs::{DAY_S, Mark, PerMark, SLOT_S, kept};
use crate::base::stats::real;
use crate::profile::HostId;
use std::collections::VecDeque;

/// One host seen from those it is in contact with.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Hub {
    first: u32,
    day: u16,
    /// Hosts that were in contact with it and are remembered.
    pub(crate) clients: u32,
    contacts: f32,
    /// Host-bins with a contact, over all clients; decayed. Boots likewise.
    pub(crate) bins: PerMark<f32>,
    pub(crate) boots: f32,
    /// Active host-bins and boots of its clients, decayed.
    pub(crate) client_bins: f32,
    pub(crate) client_boots: f32,
    /// Hosts of the last two minutes, by the second of their latest contact.
    #[serde(default)]
    lately: VecDeque<(u32, u32)>,
    slots: VecDeque<Slot>,
    sizes: Vec<(u16, Sizes)>,
    kinds: Vec<Kind>,
    /// The smallest hashes of its clients: enough to compare two sets of clients.
    sketch: Vec<u32>,
}

/// Five minutes of a hub.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Slot {
    slot: u32,
    hosts: PerMark<u32>,
    /// Hosts of all slots before it, wrapping: the sum over a span is a difference. Counted anew after a pause.
    #[serde(skip)]
    before: PerMark<u32>,
}

impl Slot {
    const fn began(&self) -> u32 {
        self.slot.saturating_mul(SLOT_S)
    }
}

/// Payload sent on one port, in half octaves, decayed.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Sizes {
    #[serde(with = "counts")]
    counts: Box<[f32; SIZE_BINS]>,
    all: f32,
}

/// A kind of contact: who began it, on which port or by which channel.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Kind {
    key: u32,
    first: u32,
}

impl Hub {
    /// Notes a contact. `before` is that host's latest until now, 0 for none, when this one takes its place; `fresh` is a slot
    /// in which it was not counted yet.
    pub(crate) fn touch(&mut self, at: u32, before: Option<u32>, fresh: bool) {
        self.age(at);
        self.contacts += 1.0;
        if let Some(before) = before {
            self.moved_on(before, at);
        }
        if fresh {
            self.count(Mark::Any, at);
        }
    }

    /// A host's latest contact is no more `before` but `at`.
    fn moved_on(&mut self, before: u32, at: u32) {
        if let Ok(place) = self.lately.binary_search_by_key(&before, |(second, _)| *second)
            && let Some((_, hosts)) = self.lately.get_mut(place)
        {
            *hosts = hosts.saturating_sub(1);
        }
        match self.lately.binary_search_by_key(&at, |(second, _)| *second) {
            Ok(place) => self.lately.get_mut(place).into_iter().for_each(|(_, hosts)| *hosts = hosts.saturating_add(1)),
            Err(place) => self.lately.insert(place, (at, 1)),
        }
        let newest = self.last();
        while self.lately.front().is_some_and(|(old, _)| newest.saturating_sub(*old) > LATELY_S) {
            self.lately.pop_front();
        }
    }

    /// Notes that a contact at `at` bore a mark.
    pub(crate) fn mark(&mut self, mark: Mark, at: u32) {
        self.count(mark, at);
    }

    /// A host became its client.
    pub(crate) fn gained(&mut self, host: HostId) {
        self.clients = self.clients.saturating_add(1);
        let hash = spread(host.0);
        if let Err(place) = self.sketch.binary_search(&hash) {
            self.sketch.insert(place, hash);
            self.sketch.truncate(SKETCH);
        }
    }

    /// A client was forgotten.
    pub(crate) fn lost(&mut self) {
        self.clients = self.clients.saturating_sub(1);
    }

    /// Distinct hosts met in the `span` seconds before `at`, exact for spans of at most two minutes and `at` just now.
    pub(crate) fn met_just_now(&self, at: u32, span: u32) -> u32 {
        let window = at.saturating_sub(span)..=at.saturating_add(SLACK_S);
        let within = self.lately.iter().filter(|(second, _)| window.contains(second));
        within.fold(0, |all, (_, hosts)| all.saturating_add(*hosts))
    }

    /// Hosts met with a mark in the slots that overlap the `span` seconds before `at`, each once a slot; `None` when the
    /// ring does not reach back that far.
    pub(crate) fn met(&self, mark: Mark, at: u32, span: u32) -> Option<u32> {
        let (from, to) = (at.saturating_sub(span) / SLOT_S, at.saturating_add(SLACK_S) / SLOT_S);
        let oldest = self.slots.front()?.slot;
        if self.slots.len() >= MAX_SLOTS && from < oldest {
            return None;
        }
        let sum = self.before(mark, to.saturating_add(1)).wrapping_sub(self.before(mark, from));
        Some(sum.min(self.clients.max(1)))
    }

    /// Hosts met with a mark in all slots before `slot`, wrapping.
    fn before(&self, mark: Mark, slot: u32) -> u32 {
        let of = |counts: &PerMark<u32>| counts.get(mark.index()).copied().unwrap_or(0);
        match self.slots.get(self.slots.partition_point(|held| held.slot < slot)) {
            Some(next) => of(&next.before),
            None => self.slots.back().map_or(0, |last| of(&last.before).wrapping_add(of(&last.hosts))),
        }
    }

    /// Sweeps: slots since `since` in which at least `least` hosts were met, and twice as many as usual, as (moment,
    /// hosts). A server that is in contact with many all the time sweeps nobody.
    pub(crate) fn sweeps(&self, mark: Mark, since: u32, least: u32) -> Vec<(u32, u32)> {
        let met = |slot: &Slot| slot.hosts.get(mark.index()).copied().unwrap_or(0);
        let mut usual: Vec<u32> = self.slots.iter().map(met).filter(|hosts| *hosts > 0).collect();
        usual.sort_unstable();
        // One slot is no habit.
        let usual = if usual.len() < FEW_SLOTS { 0 } else { usual.get(usual.len() / 2).copied().unwrap_or(0) };
        let least = least.max(usual.saturating_mul(2));
        let sweeps = self.slots.iter().filter(|slot| slot.began() >= since && met(slot) >= least);
        sweeps.map(|slot| (slot.began(), met(slot))).collect()
    }

    /// Whether a sweep at `at` comes at an hour without one on the day before, from a server known for long.
    pub(crate) fn is_off_schedule(&self, at: u32, least: u32) -> bool {
        let before = at.saturating_sub(DAY_S) / SLOT_S;
        let met = |slot: &Slot| slot.hosts.first().copied().unwrap_or(0);
        let near = self.slots.iter().filter(|slot| slot.slot.abs_diff(before) <= SCHEDULE_SLOTS);
        at.saturating_sub(self.first) >= KNOWN_S && !near.into_iter().any(|slot| met(slot) >= least)
    }

    /// Whether `bytes` are more than it sends on `port` in 99 of 100 contacts; then learns them.
    pub(crate) fn sent(&mut self, port: u16, bytes: u64) -> bool {
        let bin = size_bin(bytes);
        if let Some((_, sizes)) = self.sizes.iter_mut().find(|(known, _)| *known == port) {
            let above: f32 = sizes.counts.iter().skip(bin).sum();
            let large = sizes.all >= MIN_SIZES && above < 0.01 * sizes.all;
            sizes.add(bin);
            return large;
        }
        if self.sizes.len() < MAX_PORTS {
            let mut sizes = Sizes { counts: Box::new([0.0; SIZE_BINS]), all: 0.0 };
            sizes.add(bin);
            self.sizes.push((port, sizes));
        }
        false
    }

    /// Whether a kind of contact is new: first seen within the last day, from a server known for long. Learns it.
    pub(crate) fn is_novel(&mut self, key: u32, at: u32) -> bool {
        let old = at.saturating_sub(self.first) >= KNOWN_S && self.contacts >= KNOWN_CONTACTS;
        match self.kinds.iter().find(|kind| kind.key == key) {
            Some(kind) => old && at.saturating_sub(kind.first) < DAY_S && kind.first - self.first >= KNOWN_S,
            None => {
                if self.kinds.len() >= MAX_KINDS {
                    return false;
                }
                self.kinds.push(Kind { key, first: at });
                old
            }
        }
    }

    /// How alike the clients of two servers are: shared over all, 0 to 1, from the sketches.
    pub(crate) fn likeness(&self, other: &Self) -> f64 {
        let mut both: Vec<u32> = self.sketch.iter().chain(&other.sketch).copied().collect();
        both.sort_unstable();
        both.dedup();
        both.truncate(SKETCH);
        let shared =
            both.iter().filter(|h| self.sketch.binary_search(h).is_ok() && other.sketch.binary_search(h).is_ok());
        if both.is_empty() { 0.0 } else { real(shared.count()) / real(both.len()) }
    }

    /// When it was last in contact with anybody.
    pub(crate) fn last(&self) -> u32 {
        let slot = self.slots.back().map_or(self.first, |slot| slot.slot.saturating_mul(SLOT_S));
        self.lately.back().map_or(slot, |(at, _)| *at)
    }

    /// Continues from what was saved; false when this code cannot have written it.
    pub(crate) fn resume(&mut self) -> bool {
        let mut before = PerMark::default();
        for slot in &mut self.slots {
            slot.before = before;
            for (sum, hosts) in before.iter_mut().zip(slot.hosts) {
                *sum = u32::wrapping_add(*sum, hosts);
            }
        }
        self.lately.len() <= MOST_SECONDS
            && self.lately.iter().is_sorted_by_key(|(second, _)| *second)
            && self.slots.len() <= MAX_SLOTS
            && self.sizes.len() <= MAX_PORTS
            && self.kinds.len() <= MAX_KINDS
            && self.sketch.len() <= SKETCH
            && self.sketch.is_sorted()
            && self.slots.iter().is_sorted_by_key(|slot| slot.slot)
            && self.kinds.iter().all(|kind| kind.first >= self.first)
    }

    /// Adds what another sensor knows: counts add up, the present is that of who saw it last.
    pub(super) fn join(&mut self, mut other: Self) {
        if other.last() > self.last() {
            std::mem::swap(self, &mut other);
        }
        self.first = [self.first, other.first].into_iter().filter(|first| *first > 0).min().unwrap_or(0);
        self.contacts += other.contacts;
        self.bins.iter_mut().zip(other.bins).for_each(|(own, bins)| *own += bins);
        self.boots += other.boots;
        self.client_bins += other.client_bins;
        self.client_boots += other.client_boots;
        self.clients = self.clients.max(other.clients);
        for theirs in other.slots {
            match self.slots.binary_search_by_key(&theirs.slot, |slot| slot.slot) {
                Ok(at) => {
                    let own = self.slots.get_mut(at).into_iter().flat_map(|slot| &mut slot.hosts);
                    own.zip(theirs.hosts).for_each(|(own, hosts)| *own = own.saturating_add(hosts));
                }
                Err(at) => self.slots.insert(at, theirs),
            }
        }
        self.slots.drain(..self.slots.len().saturating_sub(MAX_SLOTS));
        for (port, theirs) in other.sizes {
            match self.sizes.iter_mut().find(|(known, _)| *known == port) {
                Some((_, own)) => {
                    own.counts.iter_mut().zip(theirs.counts.iter()).for_each(|(own, count)| *own += count);
                    own.all += theirs.all;
                }
                None => self.sizes.push((port, theirs)),
            }
        }
        for theirs in other.kinds {
            match self.kinds.iter_mut().find(|kind| kind.key == theirs.key) {
                Some(own) => own.first = own.first.min(theirs.first),
                None => self.kinds.push(theirs),
            }
        }
        self.sizes.truncate(MAX_PORTS);
        self.kinds.truncate(MAX_KINDS);
    }

    /// Its clients, all of them.
    pub(super) fn recount(&mut self, clients: &[HostId]) {
        self.clients = 0;
        self.sketch.clear();
        clients.iter().for_each(|host| self.gained(*host));
    }

    fn count(&mut self, mark: Mark, at: u32) {
        let slot = at / SLOT_S;
        if self.slots.back().is_none_or(|last| last.slot < slot) {
            if self.slots.len() >= MAX_SLOTS {
                self.slots.pop_front();
            }
            while self.slots.front().is_some_and(|old| slot - old.slot > KEPT_SLOTS) {
                self.slots.pop_front();
            }
            let before = Mark::ALL.map(|mark| self.before(mark, slot));
            self.slots.push_back(Slot { slot, hosts: [0; 4], before });
        }
        // What is told late belongs to its own slot, and to what all later ones have before them.
        for held in self.slots.iter_mut().rev() {
            let own = held.slot <= slot;
            let counts = if own { &mut held.hosts } else { &mut held.before };
            if let Some(count) = counts.get_mut(mark.index()) {
                *count = count.wrapping_add(1);
            }
            if own {
                break;
            }
        }
    }

    fn age(&mut self, at: u32) {
        if self.first == 0 {
            self.first = at;
        }
        let day = u16::try_from(at / DAY_S).unwrap_or(u16::MAX);
        let passed = day.saturating_sub(self.day);
        if self.day > 0 && passed > 0 {
            let keep = kept(passed);
            self.bins.iter_mut().for_each(|bins| *bins *= keep);
            for count in [&mut self.boots, &mut self.client_bins, &mut self.client_boots] {
                *count *= keep;
            }
            for (_, sizes) in &mut self.sizes {
                sizes.counts.iter_mut().for_each(|count| *count *= keep);
                sizes.all *= keep;
            }
        }
        self.day = self.day.max(day);
    }
}

/// The counts of a port, written as a list.
mod counts {
    use super::SIZE_BINS;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::borrowed_box, reason = "what serde hands over")]
    pub(super) fn serialize<S: Serializer>(counts: &Box<[f32; SIZE_BINS]>, to: S) -> Result<S::Ok, S::Error> {
        counts.as_slice().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Box<[f32; SIZE_BINS]>, D::Error> {
        let counts = Vec::<f32>::deserialize(from)?.into_boxed_slice();
        counts.try_into().map_err(|_| D::Error::custom("a port has another number of counts"))
    }
}

impl Sizes {
    fn add(&mut self, bin: usize) {
        if let Some(count) = self.counts.get_mut(bin) {
            *count += 1.0;
            self.all += 1.0;
        }
    }
}

/// Half octaves from 64 bytes on.
fn size_bin(bytes: u64) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "a logarithm")]
    let octaves = ((bytes.max(64) as f64) / 64.0).log2();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 116")]
    let bin = (octaves * 2.0) as usize;
    bin.min(SIZE_BINS - 1)
}

/// A fixed mixing of ids (Murmur3's finisher): sketches compare across runs.
const fn spread(id: u32) -> u32 {
    let a = (id ^ (id >> 16)).wrapping_mul(0x85eb_ca6b);
    let b = (a ^ (a >> 13)).wrapping_mul(0xc2b2_ae35);
    b ^ (b >> 16)
}

/// Clocks of two capture points, seconds.
pub(crate) const SLACK_S: u32 = 2;
/// Seconds for which a contact is kept by the second: the two short scales.
const LATELY_S: u32 = 130;
const MOST_SECONDS: usize = LATELY_S as usize + 1;
/// 26 hours of slots (detection.md §4.5), 11 kB.
const KEPT_SLOTS: u32 = 312;
const MAX_SLOTS: usize = 312;
/// Slots from which on their middle says what is usual: an hour of them.
const FEW_SLOTS: usize = 12;
/// An hour before and after is the same hour.
const SCHEDULE_SLOTS: u32 = 12;
/// 64 bytes to 64 GiB.
const SIZE_BINS: usize = 60;
/// Contacts on a port from which on its 99th percentile means something.
const MIN_SIZES: f32 = 100.0;
/// Ports of one hub whose sizes are kept, and kinds of contact.
const MAX_PORTS: usize = 8;
const MAX_KINDS: usize = 64;
/// Three days and 200 contacts: servers are tight, so what they never did in that time is new (§2.6).
const KNOWN_S: u32 = 3 * DAY_S;
const KNOWN_CONTACTS: f32 = 200.0;
/// Hashes kept; a likeness of 0.9 is told from 0.8 with an error of 0.04.
const SKETCH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const T: u32 = 1_600_000_200;

    #[test]
    fn a_sweep_shows_in_the_window_it_fell_into() {
        let mut hub = Hub::default();
        for n in 0..50 {
            hub.gained(HostId(n));
            hub.touch(T + n, Some(0), true);
        }
        for (what, at, span, met) in
            [("all of it", T + 50, 120, 50), ("its end", T + 50, 9, 9), ("before it began", T - 1, 120, 2)]
        {
            assert_eq!(hub.met_just_now(at, span), met, "{what}");
        }
        assert_eq!(hub.met(Mark::Any, T + 60, 600), Some(50));
        assert_eq!(hub.met(Mark::Any, T + 6000, 600), Some(0));
        assert_eq!(hub.sweeps(Mark::Any, T - 600, 20), [(T / SLOT_S * SLOT_S, 50)]);
    }

    #[test]
    fn whom_a_server_met_just_now_is_counted_once_however_many_there_are() {
        let mut hub = Hub::default();
        // Everybody twice, a minute apart.
        for (n, round) in (0..2_u32).flat_map(|round| (0..20_000).map(move |n| (n, round))) {
            let at = T + round * 60 + n / 400;
            hub.touch(at, Some(if round == 0 { 0 } else { at - 60 }), true);
        }
        for (what, at, span, met) in [
            ("all of them", T + 110, 120, 20_000),
            ("the last ten seconds", T + 109, 9, 4_000),
            ("nobody since", T + 200, 30, 0),
        ] {
            assert_eq!(hub.met_just_now(at, span), met, "{what}");
        }
        hub.touch(T + 5_000, Some(T), true);
        assert_eq!((hub.lately.len(), hub.met_just_now(T + 5_000, 120)), (1, 1), "what is over is let go");
        assert!(hub.resume());
    }

    #[test]
    fn large_is_what_is_rarely_sent_on_that_port() {
        let mut hub = Hub::default();
        for n in 0..150_u64 {
            hub.sent(8080, 2_000 + n);
        }
        for (what, port, bytes, large) in [
            ("a heartbeat", 8080, 2_100, false),
            ("a push", 8080, 900_000, true),
            ("the same on a port nobody knows", 443, 900_000, false),
        ] {
            assert_eq!(hub.sent(port, bytes), large, "{what}");
        }
    }

    #[test]
    fn a_kind_is_new_only_for_a_server_that_is_known() {
        let mut young = Hub::default();
        young.touch(T, Some(0), true);
        assert!(!young.is_novel(8080, T));
        let mut old = Hub::default();
        for n in 0..300 {
            old.touch(T + n * 1000, Some(0), true);
            assert!(!old.is_novel(8080, T + n * 1000), "used from the first day");
        }
        assert!(old.is_novel(5985, T + 300_000) && old.is_novel(5985, T + 300_600), "the rest of the day it stays new");
        assert!(!old.is_novel(5985, T + 300_000 + DAY_S));
    }

    #[test]
    fn servers_of_one_site_have_the_same_clients() {
        let hub = |range: std::ops::Range<u32>| {
            let mut hub = Hub::default();
            range.for_each(|n| hub.gained(HostId(n)));
            hub
        };
        assert!(hub(0..500).likeness(&hub(0..500)) > 0.99);
        assert!(hub(0..500).likeness(&hub(500..1000)) < 0.01);
        let half = hub(0..500).likeness(&hub(250..750));
        assert!((half - 1.0 / 3.0).abs() < 0.2, "{half}");
    }
}
