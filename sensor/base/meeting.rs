//! Who met whom, in the few bytes that a year of it may take on disk: a host and a destination owner, or an actor and the
//! machine it acted on. What memory let go of is looked up there.

use super::{Kind, Record, Timestamp};
use std::fmt;

/// One pair, seen from the one that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meeting {
    /// The host that used the owner, or the actor.
    pub(crate) with: u32,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// Flows; 0 for acts.
    pub(crate) count: u32,
    /// Payload bytes sent out.
    pub(crate) bytes: u64,
}

impl Meeting {
    /// The record of it: `kind` is `Met` or `Acted`, `of` the owner or the machine.
    pub(crate) fn record(&self, kind: Kind, of: u32) -> Record {
        let mut value = Vec::with_capacity(BYTES);
        value.extend_from_slice(&self.first.0.to_le_bytes());
        value.extend_from_slice(&self.last.0.to_le_bytes());
        value.extend_from_slice(&self.count.to_le_bytes());
        value.extend_from_slice(&self.bytes.to_le_bytes());
        Record { kind, key: (of, self.with), value: Some(value) }
    }

    /// Reads what `record` wrote.
    pub(crate) fn read(record: &Record) -> Option<Self> {
        let value: &[u8; BYTES] = record.value.as_deref()?.try_into().ok()?;
        let (first, rest) = value.split_first_chunk()?;
        let (last, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        Some(Self {
            with: record.key.1,
            first: Timestamp(i64::from_le_bytes(*first)),
            last: Timestamp(i64::from_le_bytes(*last)),
            count: u32::from_le_bytes(*count),
            bytes: u64::from_le_bytes(rest.try_into().ok()?),
        })
    }

    /// This pair, of which `before` was known: memory may have let go of it and begun anew, or another sensor saw it. What
    /// both may have seen is counted once.
    pub(crate) fn joined(self, kind: Kind, before: Self) -> Self {
        let (early, late) = if self.last < before.last { (&self, &before) } else { (&before, &self) };
        let anew = late.first > early.last;
        if kind == Kind::Acted && late.first.secs_since(early.last) > MONTH_S {
            return *late;
        }
        let more = |now: u64, then: u64| if anew { now.saturating_add(then) } else { now.max(then) };
        Self {
            first: self.first.min(before.first),
            last: self.last.max(before.last),
            count: u32::try_from(more(self.count.into(), before.count.into())).unwrap_or(u32::MAX),
            bytes: more(self.bytes, before.bytes),
            ..self
        }
    }
}

/// Looks up what memory may have let go of: all that met an owner (`Met`), or acted on a machine (`Acted`).
#[derive(Default)]
pub(crate) struct LookBack(Option<Box<Look>>);

type Look = dyn Fn(Kind, u32) -> Vec<Meeting> + Send + Sync;

impl LookBack {
    pub(crate) fn new(look: impl Fn(Kind, u32) -> Vec<Meeting> + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(look)))
    }

    /// None when there is nothing to look in.
    pub(crate) fn at(&self, kind: Kind, of: u32) -> Vec<Meeting> {
        self.0.as_ref().map(|look| look(kind, of)).unwrap_or_default()
    }
}

impl fmt::Debug for LookBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LookBack").field(&self.0.is_some()).finish()
    }
}

/// Two moments, a count and a sum.
const BYTES: usize = 28;
/// Who has not acted on a machine for a month is as good as new there (detection.md §4.7).
const MONTH_S: f64 = 30.0 * 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(first: i64, last: i64, count: u32) -> Meeting {
        let at = |days: i64| Timestamp::from_secs(days * 86_400);
        Meeting { with: 7, first: at(first), last: at(last), count, bytes: u64::from(count) * 100 }
    }

    #[test]
    fn a_pair_reads_back_and_joins_what_was_known_of_it() {
        let one = meeting(3, 5, 2);
        assert_eq!(Meeting::read(&one.record(Kind::Met, 9)), Some(one));
        assert_eq!(Meeting::read(&Record { value: Some(vec![0; 27]), ..one.record(Kind::Met, 9) }), None);
        for (what, kind, now, then, joined) in [
            ("the same, later", Kind::Met, meeting(3, 8, 4), one, meeting(3, 8, 4)),
            ("begun anew after memory let go", Kind::Met, meeting(7, 8, 4), one, meeting(3, 8, 6)),
            ("an actor that came back", Kind::Acted, meeting(20, 20, 0), meeting(3, 5, 0), meeting(3, 20, 0)),
            ("after more than a month", Kind::Acted, meeting(50, 50, 0), meeting(3, 5, 0), meeting(50, 50, 0)),
        ] {
            assert_eq!(now.joined(kind, then), joined, "{what}");
            assert_eq!(then.joined(kind, now), joined, "{what}, entered the other way round");
        }
    }
}
