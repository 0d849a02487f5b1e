//! What two sensors told, as one: under the ids of the joint baseline.
//!
//! A finding has the same id in every run, so what both told under one id is one. Who began to watch a day later gives the
//! same claim another id: of two findings that say the same of the same at the same time, the earlier stays. Alerts are
//! all kept: one that no finding and no story makes any more is told as absorbed, so that whoever has it lets go of it.

use super::Alert;
use crate::base::{BadRecord, Kind, Record, key_of};
use crate::detect::{Entity, Finding};
use crate::profile::Renamed;
use std::collections::BTreeMap;

/// The records of this stage of both; `theirs` get the ids of the joint baseline.
pub(crate) fn merged(ours: &[Record], theirs: &[Record], ids: &Renamed) -> Result<Vec<Record>, BadRecord> {
    let (mut findings, mut alerts) = read(ours)?;
    let (their_findings, their_alerts) = read(theirs)?;
    for (id, theirs) in their_findings {
        let twin = findings.iter().find(|(_, own)| is_the_same(own, &theirs)).map(|(id, _)| id.clone());
        match findings.remove(twin.as_deref().unwrap_or(&id)) {
            Some(own) => {
                let joint = joined(own, theirs);
                findings.insert(joint.id.clone(), joint);
            }
            None => drop(findings.insert(id, theirs)),
        }
    }
    for (id, mut theirs) in their_alerts {
        if let Some(scope) = &mut theirs.scope {
            scope.servers.retain_mut(|server| renamed(&mut server.id.0, ids));
            scope.hosts.retain_mut(|host| renamed(&mut host.id.0, ids));
        }
        match alerts.get_mut(&id) {
            Some(own) if own.finding.last_seen >= theirs.finding.last_seen => own.finding.begin_with(&theirs.finding),
            Some(own) => {
                theirs.finding.begin_with(&own.finding);
                *own = theirs;
            }
            None => drop(alerts.insert(id, theirs)),
        }
    }
    let findings = findings.values().map(|finding| Record::new(Kind::Finding, key_of(&finding.id), finding));
    let alerts = alerts.values().map(|alert| Record::new(Kind::Alert, key_of(&alert.finding.id), alert));
    Ok(findings.chain(alerts).collect())
}

type ById<T> = BTreeMap<Box<str>, T>;

fn read(records: &[Record]) -> Result<(ById<Finding>, ById<Alert>), BadRecord> {
    let (mut findings, mut alerts) = (BTreeMap::new(), BTreeMap::new());
    for record in records {
        match record.kind {
            Kind::Finding => {
                let finding: Finding = record.read()?;
                findings.insert(finding.id.clone(), finding);
            }
            Kind::Alert => {
                let alert: Alert = record.read()?;
                alerts.insert(alert.finding.id.clone(), alert);
            }
            _ => {}
        }
    }
    Ok((findings, alerts))
}

/// Whether two findings of different ids say the same of the same at the same time.
fn is_the_same(own: &Finding, theirs: &Finding) -> bool {
    let about = |finding: &Finding| -> Vec<Entity> {
        let mut all = finding.entities.clone();
        // Of a name, sensors may know other addresses first.
        all.iter_mut().filter(|entity| entity.name.is_some()).for_each(|entity| entity.ip = None);
        all.sort_unstable();
        all
    };
    own.detector == theirs.detector
        && own.first_seen <= theirs.last_seen
        && theirs.first_seen <= own.last_seen
        && about(own) == about(theirs)
}

/// One of two: the later one's words, under the id of the one that began earlier.
fn joined(own: Finding, theirs: Finding) -> Finding {
    let id = if theirs.first_seen < own.first_seen { theirs.id.clone() } else { own.id.clone() };
    let (mut later, earlier) = if theirs.last_seen > own.last_seen { (theirs, own) } else { (own, theirs) };
    later.begin_with(&earlier);
    later.severity = later.severity.max(earlier.severity);
    later.id = id;
    later
}

impl Finding {
    fn begin_with(&mut self, other: &Self) {
        (self.time, self.first_seen) = (self.time.min(other.time), self.first_seen.min(other.first_seen));
    }
}

/// Gives an id its new one; whether there is one.
fn renamed(id: &mut u32, ids: &Renamed) -> bool {
    ids.host(*id).is_some_and(|new| {
        *id = new;
        true
    })
}
