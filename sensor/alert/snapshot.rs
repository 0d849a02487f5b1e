//! What was told, between runs: a run that goes on neither tells an alert twice nor loses one.
//!
//! Findings from `low` on are kept because alerts are made of them anew each time; those for the record are not, what was
//! written was written. What was only learned from was not told and is not saved.

use super::{Alert, Book};
use crate::base::{BadRecord, Kind, Record, Timestamp, key_of};
use crate::campaign::Telling;
use crate::detect::{Finding, Severity};
use crate::profile::Extent;
use std::collections::BTreeSet;

/// Ids of what changed since it was last saved.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    pub(super) findings: BTreeSet<Box<str>>,
    pub(super) alerts: BTreeSet<Box<str>>,
}

impl Book {
    /// From now on it is noted what changes.
    pub(crate) fn keep_track(&mut self) {
        self.unsaved = Some(Unsaved::default());
    }

    /// Saves what was told: of this run, what is not over before `from`.
    pub(crate) fn save(&mut self, extent: Extent, from: Timestamp, put: &mut dyn FnMut(Record)) {
        let unsaved = self.unsaved.as_mut().map(std::mem::take).unwrap_or_default();
        let told = |finding: &Finding| finding.last_seen >= from || self.before.contains(&finding.id);
        match extent {
            Extent::All => {
                let findings = self.loud.iter().map(|(_, finding)| finding).filter(|finding| told(finding));
                findings.for_each(|finding| put(Record::new(Kind::Finding, key_of(&finding.id), finding)));
                let alerts = self.alerts.values().filter(|alert| told(&alert.finding));
                alerts.for_each(|alert| put(Record::new(Kind::Alert, key_of(&alert.finding.id), alert)));
            }
            Extent::Changed => {
                for id in unsaved.findings {
                    let finding = self.loud.get(&id).filter(|finding| told(finding));
                    put(finding.map_or_else(
                        || Record::gone(Kind::Finding, key_of(&id)),
                        |finding| Record::new(Kind::Finding, key_of(&id), finding),
                    ));
                }
                for id in unsaved.alerts {
                    let alert = self.alerts.get(&id).filter(|alert| told(&alert.finding));
                    put(alert.map_or_else(
                        || Record::gone(Kind::Alert, key_of(&id)),
                        |alert| Record::new(Kind::Alert, key_of(&id), alert),
                    ));
                }
            }
        }
    }

    /// Takes in a record; another stage's is left alone.
    pub(crate) fn restore(&mut self, record: &Record) -> Result<(), BadRecord> {
        match record.kind {
            Kind::Finding => {
                let finding: Finding = record.read()?;
                if finding.severity == Severity::Info || key_of(&finding.id) != record.key {
                    return Err(record.bad());
                }
                self.before.insert(finding.id.clone());
                self.loud.insert(finding.id.clone(), finding);
            }
            Kind::Alert => {
                let alert: Alert = record.read()?;
                if key_of(&alert.finding.id) != record.key {
                    return Err(record.bad());
                }
                self.before.insert(alert.finding.id.clone());
                self.alerts.insert(alert.finding.id.clone(), alert);
            }
            _ => {}
        }
        Ok(())
    }

    /// All records are in; `telling` is what the campaign stage has to tell as it stands. What came of it since the last
    /// save is told at the next step.
    pub(crate) fn restored(&mut self, telling: Telling) {
        self.changed |= !telling.stories.is_empty() || !telling.chains.is_empty() || !self.before.is_empty();
        self.telling = telling;
    }
}
