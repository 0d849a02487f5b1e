//! Many shards, one order. Observations wait until every shard's time has passed them, then come out by
//! `(ts, uid, n)`: no arrival numbers, so shard count and tick rate are invisible.

use crate::base::{Budget, Table, Timestamp};
use crate::event::{Observation, Uid};
use std::time::Duration;

/// How far observations of one capture point may lie out of order. A packet later than this keeps its own time in
/// its flow's record, but its observations are told at the floor, and it is counted.
pub(crate) const SLACK: Duration = Duration::from_secs(1);

/// Orders observations by event time. What is sorted are their places: an observation is moved once in and once out.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    /// What waits, latest first as far as it was there at the last release.
    waiting: Vec<Turn>,
    /// The observations, where they were put; `None` is free.
    held: Vec<Option<Observation>>,
    free: Vec<u32>,
    /// How many waited after the last release: sorting again pays when twice as many do.
    kept: usize,
    peak: usize,
    /// Handed on before their time, for want of room.
    early: u64,
}

/// When an observation's turn comes, and where it lies.
#[derive(Clone, Copy, Debug)]
struct Turn {
    ts: Timestamp,
    uid: Uid,
    n: u32,
    at: u32,
}

impl Merge {
    /// Takes in a shard's batch.
    pub(crate) fn take_in(&mut self, batch: &mut Vec<Observation>) {
        for observation in batch.drain(..) {
            let (ts, uid, n) = (observation.ts, observation.uid, observation.n);
            let at = match self.free.pop() {
                Some(at) => {
                    if let Some(place) = self.held.get_mut(usize::try_from(at).unwrap_or(usize::MAX)) {
                        *place = Some(observation);
                    }
                    at
                }
                None => {
                    self.held.push(Some(observation));
                    u32::try_from(self.held.len().saturating_sub(1)).unwrap_or(u32::MAX)
                }
            };
            self.waiting.push(Turn { ts, uid, n, at });
        }
        self.peak = self.peak.max(self.waiting.len());
    }

    /// How it stands: what lies within the slack waits, and what came since the last release.
    pub(crate) fn table(&self) -> Table {
        Budget::new("merge.waiting", MAX_WAITING, FACT_BYTES).table(
            size_of::<Option<Observation>>() + size_of::<Turn>() + size_of::<u32>(),
            self.waiting.len(),
            self.peak,
            self.early,
        )
    }

    /// Whether enough waits for a release to be worth its sort.
    pub(crate) fn is_due(&self) -> bool {
        self.waiting.len() >= self.kept.saturating_mul(2).saturating_add(MIN_RELEASE)
    }

    /// Hands on everything before `bound`, in order; without one everything, however broken its time.
    pub(crate) fn release<E>(
        &mut self,
        bound: Option<(Timestamp, Uid)>,
        mut hand_on: impl FnMut(Observation) -> Result<(), E>,
    ) -> Result<(), E> {
        // The stable sort finds the run that was kept and merges the new ones into it.
        self.waiting.sort_by_key(|o| std::cmp::Reverse((o.ts, o.uid, o.n)));
        let early = bound.map_or(0, |bound| self.waiting.partition_point(|o| (o.ts, o.uid) >= bound));
        // A capture whose clock stands still would keep everything waiting.
        let keep = early.min(MAX_KEPT);
        self.early = self.early.saturating_add(early.saturating_sub(keep) as u64);
        self.kept = keep;
        while self.waiting.len() > keep {
            let Some(Turn { at, .. }) = self.waiting.pop() else { break };
            let place = self.held.get_mut(usize::try_from(at).unwrap_or(usize::MAX));
            if let Some(observation) = place.and_then(Option::take) {
                self.free.push(at);
                hand_on(observation)?;
            }
        }
        Ok(())
    }
}

const MIN_RELEASE: usize = 4096;
/// Observations that wait after a release: four seconds of what the right side can read. Beyond, the earliest are handed
/// on before their time, and counted.
const MAX_KEPT: usize = 400_000;
/// Twice as many wait before the next one is due.
const MAX_WAITING: usize = 2 * MAX_KEPT + MIN_RELEASE;
/// What a fact points to: names, lists.
const FACT_BYTES: usize = 224;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Endpoint, Event, Transport};

    fn at(ts: i64, uid: u32, n: u32) -> Observation {
        let none = Endpoint::NONE;
        let uid = Uid([uid, 0, 0]);
        Observation {
            ts: Timestamp(ts),
            uid,
            n,
            orig: none,
            resp: none,
            transport: Transport::Tcp,
            event: Event::FlowOpened,
        }
    }

    #[test]
    fn the_order_does_not_depend_on_arrival() {
        let expected = [(1, 1, 0), (1, 2, 0), (2, 1, 1), (2, 1, 2), (3, 2, 1)];
        for arrival in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
            let mut merge = Merge::default();
            let mut batch = arrival
                .map(|i: usize| {
                    let (t, u, n) = expected[i];
                    at(t, u, n)
                })
                .to_vec();
            merge.take_in(&mut batch);
            let mut seen = Vec::new();
            let mut note = |o: Observation| {
                seen.push((o.ts.0, o.uid.0[0], o.n));
                Ok::<(), ()>(())
            };
            merge.release(Some((Timestamp(2), Uid::NONE)), &mut note).unwrap();
            merge.release(None, &mut note).unwrap();
            assert_eq!(seen, expected.map(|(t, u, n)| (t, u, n)));
        }
    }

    #[test]
    fn a_clock_that_stands_still_holds_back_no_more_than_the_budget() {
        let (mut merge, mut seen) = (Merge::default(), 0_usize);
        for n in 0..(3 * MAX_KEPT) {
            merge.take_in(&mut vec![at(5, u32::try_from(n).unwrap(), 0)]);
            if merge.is_due() {
                let count = |_| {
                    seen += 1;
                    Ok::<(), ()>(())
                };
                merge.release(Some((Timestamp(5), Uid::NONE)), count).unwrap();
            }
        }
        let table = merge.table();
        assert!(table.peak <= table.entries, "{table:?}");
        assert!(seen > 0 && table.evicted == seen as u64, "{seen} of {table:?}");
    }

    #[test]
    fn the_end_brings_out_even_what_has_no_time() {
        let mut merge = Merge::default();
        merge.take_in(&mut vec![at(i64::MAX, 1, 0)]);
        let mut seen = 0;
        merge
            .release(None, |_| {
                seen += 1;
                Ok::<(), ()>(())
            })
            .unwrap();
        assert_eq!(seen, 1);
    }
}
