//! What detectors remember between runs: beacon meters, who keeps time, what scores are usual, and each one's own tables.
//!
//! Findings are not saved: what was told is told. A meter goes on with its gaps, so a slow beacon is found over days that
//! were captured one by one.

use super::beacon::{Beacon, Early};
use super::calibrate::SavedDays;
use super::memory::{Entry, Memory, Taken};
use super::meter::{BeaconMeter, SavedMeter};
use super::{DETECTORS, Detectors, Scorer};
use crate::base::{BadRecord, Kind, Record, Timestamp};
use crate::profile::{Extent, HostId, Renamed, TenantId};

/// A pair's meter, or its first moments.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum SavedPair {
    Early(Option<i64>, Option<i64>),
    Metered(SavedMeter),
}

impl Detectors {
    /// From now on it is noted what changes.
    pub(crate) fn keep_track(&mut self) {
        self.beacon.unsaved = Some(std::collections::BTreeSet::new());
        self.others.iter_mut().flat_map(|detector| detector.memory()).for_each(|part| part.keep_track());
    }

    /// Saves what this stage remembers.
    pub(crate) fn save(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        self.save_memory(extent, put);
        let beacon = &mut self.beacon;
        let changed = beacon.unsaved.as_mut().map(std::mem::take).unwrap_or_default();
        match extent {
            Extent::All => {
                beacon.pairs.iter().for_each(|(pair, meter)| put(metered(*pair, meter)));
                beacon.early.iter().for_each(|(pair, early)| put(met(*pair, early)));
                let owners: Vec<TenantId> = beacon.pollers.owners().collect();
                owners.into_iter().for_each(|owner| put(polls(beacon, owner)));
            }
            Extent::Changed => {
                let owners: std::collections::BTreeSet<TenantId> = changed.iter().map(|(_, owner)| *owner).collect();
                for pair in changed {
                    put(match (beacon.pairs.get(&pair), beacon.early.get(&pair)) {
                        (Some(meter), _) => metered(pair, meter),
                        (None, Some(early)) => met(pair, early),
                        (None, None) => Record::gone(Kind::Meter, (pair.0.0, pair.1.0)),
                    });
                }
                owners.into_iter().for_each(|owner| put(polls(beacon, owner)));
            }
        }
    }

    fn save_memory(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        self.others.iter_mut().flat_map(|detector| detector.memory()).for_each(|part| part.save(extent, put));
    }

    /// Takes in an entry of a detector's memory; a table that this version has no more is left out.
    fn remember(&mut self, record: &Record, ids: Option<&Renamed>) -> Result<(), BadRecord> {
        let entry = Entry::read(record)?;
        let mut of = DETECTORS.iter().zip(&mut self.others).filter(|(spec, _)| entry.is_of(spec.stem));
        let parts = of.next().map(|(_, detector)| detector.memory()).unwrap_or_default();
        taken(parts, &entry, ids, record)
    }

    /// Takes in a record; another stage's is left alone.
    pub(crate) fn restore(&mut self, record: &Record) -> Result<(), BadRecord> {
        let (a, b) = record.key;
        match record.kind {
            Kind::Meter => {
                let key = (HostId(a), TenantId(b));
                match record.read()? {
                    SavedPair::Early(Some(first), second) => {
                        let early = Early { first: Timestamp(first), second: second.map(Timestamp) };
                        self.beacon.early.insert(key, early);
                    }
                    // An earlier version noted pairs of which nothing is known.
                    SavedPair::Early(None, _) => {}
                    SavedPair::Metered(meter) => {
                        let meter = BeaconMeter::restored(&meter).ok_or_else(|| record.bad())?;
                        self.beacon.pairs.insert(key, Box::new(meter));
                    }
                }
            }
            Kind::Memory => self.remember(record, None)?,
            Kind::Pollers => {
                for (host, first, median_s) in record.read::<Vec<(u32, i64, f64)>>()? {
                    self.beacon.pollers.note((HostId(host), TenantId(a)), Timestamp(first), median_s);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Scorer {
    /// From now on it is noted what changes.
    pub(crate) fn keep_track(&mut self) {
        self.memory().into_iter().for_each(|part| part.keep_track());
    }

    /// Saves what scores are usual, and what today's are so far.
    pub(crate) fn save(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        self.memory().into_iter().for_each(|part| part.save(extent, put));
        for (at, calibration) in (0_u32..).zip(self.calibrations()) {
            put(Record::new(Kind::Calibration, (at, 0), &calibration.saved()));
        }
    }

    /// Takes in a record; another stage's is left alone.
    pub(crate) fn restore(&mut self, record: &Record) -> Result<(), BadRecord> {
        if record.kind == Kind::Memory {
            self.remember(record, None)?;
        }
        if record.kind == Kind::Calibration {
            let saved: SavedDays = record.read()?;
            let known = self.calibrations_mut().into_iter().zip(0_u32..).find(|(_, at)| *at == record.key.0);
            let Some((calibration, _)) = known else { return Err(record.bad()) };
            calibration.restore(saved);
        }
        Ok(())
    }

    fn remember(&mut self, record: &Record, ids: Option<&Renamed>) -> Result<(), BadRecord> {
        let entry = Entry::read(record)?;
        let parts = if entry.is_of("score") { self.memory() } else { Vec::new() };
        taken(parts, &entry, ids, record)
    }
}

/// Shows an entry to the parts it may belong to.
fn taken(parts: Vec<&mut dyn Memory>, entry: &Entry, ids: Option<&Renamed>, record: &Record) -> Result<(), BadRecord> {
    let mut all = parts.into_iter().map(|part| part.restore(entry, ids));
    match all.find(|taken| *taken != Taken::Another) {
        Some(Taken::Bad) => Err(record.bad()),
        _ => Ok(()),
    }
}

/// What detectors of two sensors remember, as one: what both know is the first one's; `theirs` get the ids of the joint
/// baseline. The detectors have seen nothing yet.
pub(crate) fn merged(
    (detectors, scorer): (&mut Detectors, &mut Scorer),
    ours: &[Record],
    theirs: &[Record],
    ids: &Renamed,
) -> Result<Vec<Record>, BadRecord> {
    for (records, ids) in [(ours, None), (theirs, Some(ids))] {
        for record in records.iter().filter(|record| record.kind == Kind::Memory) {
            detectors.remember(record, ids)?;
            scorer.remember(record, ids)?;
        }
    }
    let mut all = Vec::new();
    detectors.save_memory(Extent::All, &mut |record| all.push(record));
    scorer.memory().into_iter().for_each(|part| part.save(Extent::All, &mut |record| all.push(record)));
    Ok(all)
}

fn metered(pair: (HostId, TenantId), meter: &BeaconMeter) -> Record {
    Record::new(Kind::Meter, (pair.0.0, pair.1.0), &SavedPair::Metered(meter.saved()))
}

fn met(pair: (HostId, TenantId), early: &Early) -> Record {
    let saved = SavedPair::Early(Some(early.first.0), early.second.map(|ts| ts.0));
    Record::new(Kind::Meter, (pair.0.0, pair.1.0), &saved)
}

fn polls(beacon: &Beacon, owner: TenantId) -> Record {
    let polls = beacon.pollers.saved(owner);
    if polls.is_empty() {
        Record::gone(Kind::Pollers, (owner.0, 0))
    } else {
        Record::new(Kind::Pollers, (owner.0, 0), &polls)
    }
}
