//! Many shards, one order. Observations wait until every shard's time has passed them, then come out by
//! `(ts, uid, n)`: no arrival numbers, so shard count and tick rate are invisible.

use crate::base::Timestamp;
use crate::event::{Observation, Uid};
use std::time::Duration;

/// How far observations of one capture point may lie out of order. A packet later than this keeps its own time in
/// its flow's record, but its observations are told at the floor, and it is counted.
pub(crate) const SLACK: Duration = Duration::from_secs(1);

/// Orders observations by event time.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    waiting: Vec<Observation>,
    /// How many waited after the last release: sorting again pays when twice as many do.
    kept: usize,
}

impl Merge {
    /// Takes in a shard's batch.
    pub(crate) fn take_in(&mut self, batch: &mut Vec<Observation>) {
        self.waiting.append(batch);
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
        self.waiting.sort_unstable_by_key(|o| std::cmp::Reverse((o.ts, o.uid, o.n)));
        let keep = bound.map_or(0, |bound| self.waiting.partition_point(|o| (o.ts, o.uid) >= bound));
        self.kept = keep;
        while self.waiting.len() > keep {
            if let Some(observation) = self.waiting.pop() {
                hand_on(observation)?;
            }
        }
        Ok(())
    }
}

const MIN_RELEASE: usize = 4096;

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
