//! Observations → findings: one detector's claim about one subject, with the numbers it rests on.
//!
//! A detector takes in activities, which carry what was known *before* them, owns bounded state, does no IO and knows no
//! other detector. Each has `rules/<same name>.toml`: opinion is data.

mod beacon;
mod controller;
mod finding;
mod identify;
mod meter;
mod new_destination;
mod policy;
mod remote_execution;
mod script_download;

pub(crate) use beacon::{Beacon, BeaconRule, reason};
pub(crate) use finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
pub(crate) use identify::id;
pub(crate) use meter::Rhythm;
pub(crate) use new_destination::{NewDestination, NewDestinationRule};
pub(crate) use policy::{PolicyBreach, PolicyRule};
pub(crate) use remote_execution::{Deed, RemoteExecution, RemoteExecutionRule, channels, doors};
pub(crate) use script_download::{ScriptDownload, ScriptDownloadRule};

use crate::base::Timestamp;
use crate::profile::{Activity, Profiles};
use controller::Controllers;

/// The rules of all detectors.
#[derive(Clone, Debug)]
pub(crate) struct DetectRules {
    pub(crate) beacon: BeaconRule,
    pub(crate) new_destination: NewDestinationRule,
    pub(crate) policy: PolicyRule,
    pub(crate) remote_execution: RemoteExecutionRule,
    pub(crate) script_download: ScriptDownloadRule,
}

/// All detectors.
#[derive(Debug)]
pub(crate) struct Detectors {
    pub(crate) beacon: Beacon,
    new_destination: NewDestination,
    policy: PolicyBreach,
    pub(crate) remote_execution: RemoteExecution,
    script_download: ScriptDownload,
    controllers: Controllers,
}

impl Detectors {
    pub(crate) fn new(rules: DetectRules) -> Self {
        Self {
            beacon: Beacon::new(rules.beacon),
            new_destination: NewDestination::new(rules.new_destination),
            policy: PolicyBreach::new(rules.policy),
            remote_execution: RemoteExecution::new(rules.remote_execution),
            script_download: ScriptDownload::new(rules.script_download),
            controllers: Controllers::new(),
        }
    }

    /// Shows an activity to those it concerns.
    pub(crate) fn observe(&mut self, activity: &Activity, usual: &Profiles) {
        match activity {
            Activity::Contact(contact) => {
                self.new_destination.contact(contact);
                self.policy.contact(contact, usual);
            }
            Activity::CheckIn(check_in) => self.beacon.check_in(check_in, usual),
            Activity::Act(act) => self.remote_execution.act(act),
            Activity::Fetch(fetch) => self.script_download.fetch(fetch),
            Activity::Touch(touch) => self.controllers.touch(touch, usual),
        }
    }

    /// What they have to say.
    pub(crate) fn finish(&self, now: Timestamp, usual: &Profiles) -> Vec<Finding> {
        let mut found = Vec::new();
        self.beacon.finish(now, usual, &mut found);
        self.new_destination.finish(now, usual, &mut found);
        self.policy.finish(now, usual, &mut found);
        self.remote_execution.finish(now, usual, &mut found);
        self.script_download.finish(now, usual, &mut found);
        found
    }

    /// An address taken to be inside that others call like a controller, in words.
    pub(crate) fn hint(&self) -> Option<String> {
        self.controllers.hint()
    }

    /// Entries that made room for others.
    pub(crate) fn evicted(&self) -> u64 {
        let parts = [
            self.beacon.evicted(),
            self.new_destination.evicted(),
            self.policy.evicted(),
            self.remote_execution.evicted(),
            self.script_download.evicted(),
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}
