//! Observations → findings: one detector's claim about one subject, with the numbers it rests on.
//!
//! A detector takes in activities, which carry what was known *before* them, owns bounded state, does no IO and knows no
//! other detector. It says cues (weak signs, which add up) and findings (claims worth a record; said again under the
//! same id when they change). Each has `rules/<same name>.toml`: opinion is data.
//!
//! To add one: `detect/<stem>.rs`, one line in `DETECTORS`, `rules/<stem>.toml`, sentences in `rules/words/en-ja.toml`, a
//! row in `STEPS` of `alert/next.rs` and in `RULES` of `tests/scorecard/plan.rs`; tests say which of them is missing.

mod admin_path;
mod beacon;
#[cfg(any(debug_assertions, test))]
mod broken;
mod by_hour;
mod calibrate;
mod chances;
mod claim;
mod client_class;
mod client_mismatch;
mod coerced_authentication;
mod cohort_exfiltration;
mod controller;
mod cue;
mod dga;
mod direct_address;
mod dns_tunnel;
mod drift;
mod encrypted_dns;
mod entry;
mod enumeration;
mod execution_fan_out;
mod fan;
mod feed;
mod finding;
mod habit;
mod hub_suspect;
mod icmp_tunnel;
mod identify;
mod ledger;
mod long_connection;
mod management_egress;
mod memory;
mod meter;
mod new_destination;
mod new_service;
mod off_hours;
mod policy;
mod pollers;
mod protocol_mismatch;
mod push_pattern;
mod ranks;
mod rare_destination;
mod remote_execution;
mod remote_management;
mod renamed;
mod resolver_bypass;
mod resolvers;
mod rule;
mod score;
mod script_download;
mod shown;
mod slow_drip;
mod snapshot;
mod sni_mismatch;
mod telltale_call;
mod today;
mod upload_tail;
mod visitors;

pub(crate) use beacon::{Beacon, reason};
pub(crate) use cue::{Cue, Group};
pub(crate) use finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
pub(crate) use identify::id;
pub(crate) use meter::Rhythm;
pub(crate) use remote_execution::{Deed, channels, doors};
pub(crate) use rule::{RuleError, RuleTexts, parse};
pub(crate) use score::{Scorer, WeakCase};
pub(crate) use snapshot::merged;
pub(crate) use today::Checked;

use crate::base::{Table, Timestamp};
use crate::profile::{Activity, Profiles};
use controller::Controllers;
use memory::Memory;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One way of looking at activities.
pub(crate) trait Detector: Debug + Send {
    /// Takes in an activity.
    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said);

    /// Says findings, as they stand at `now`; who only says cues has none.
    fn say(&mut self, _: Which, _: Timestamp, _: &Profiles, _: &mut Said) {}

    /// Follows another rule from now on; what it knows stays.
    fn follow(&mut self, rule: &str) -> Result<(), RuleError>;

    /// Its tables as they stand.
    fn tables(&self) -> Vec<Table>;

    /// What it remembers between runs.
    fn memory(&mut self) -> Vec<&mut dyn Memory>;
}

/// Which findings are to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// What was touched since the last step: event time reached a multiple of five minutes.
    Untold,
    /// Everything that stands: the input ended.
    All,
}

/// What detectors say.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) findings: Vec<Finding>,
    pub(crate) cues: Vec<Cue>,
}

/// A detector as it is registered.
pub(crate) struct Spec {
    /// Its name in records, and the stem of its file and of its rule.
    pub(crate) stem: &'static str,
    /// The rule compiled in.
    pub(crate) rule: &'static str,
    /// Builds it from a rule's text.
    pub(crate) build: fn(&str) -> Result<Box<dyn Detector>, RuleError>,
}

/// All detectors but the beacon's, whose meters the campaign reads too. They are shown an activity in this order.
pub(crate) const DETECTORS: &[Spec] = &[
    admin_path::SPEC,
    client_mismatch::SPEC,
    coerced_authentication::SPEC,
    cohort_exfiltration::SPEC,
    dga::SPEC,
    direct_address::SPEC,
    dns_tunnel::SPEC,
    drift::SPEC,
    encrypted_dns::SPEC,
    entry::SPEC,
    enumeration::SPEC,
    execution_fan_out::SPEC,
    feed::SPEC,
    hub_suspect::SPEC,
    icmp_tunnel::SPEC,
    long_connection::SPEC,
    management_egress::SPEC,
    new_destination::SPEC,
    new_service::SPEC,
    off_hours::SPEC,
    policy::SPEC,
    protocol_mismatch::SPEC,
    push_pattern::SPEC,
    rare_destination::SPEC,
    remote_execution::SPEC,
    remote_management::SPEC,
    resolver_bypass::SPEC,
    script_download::SPEC,
    slow_drip::SPEC,
    sni_mismatch::SPEC,
    telltale_call::SPEC,
    upload_tail::SPEC,
];

/// All detectors at work.
#[derive(Debug)]
pub(crate) struct Detectors {
    pub(crate) beacon: Beacon,
    others: Vec<Box<dyn Detector>>,
    /// Panics contained, by position in `others`.
    panics: Vec<u64>,
    controllers: Controllers,
}

impl Detectors {
    /// Builds them from the texts in force.
    pub(crate) fn new(rules: &RuleTexts) -> Result<Self, RuleError> {
        let others = DETECTORS.iter().map(|spec| (spec.build)(rules.text(spec.stem)));
        Ok(Self {
            beacon: Beacon::new(rules.parse("beacon")?, rules.parse("coordinated_poller")?),
            others: others.collect::<Result<_, _>>()?,
            panics: vec![0; DETECTORS.len()],
            controllers: Controllers::new(),
        })
    }

    /// Follows other rules from now on; what everybody knows stays.
    pub(crate) fn follow(&mut self, rules: &RuleTexts) -> Result<(), RuleError> {
        self.beacon.follow(rules.parse("beacon")?, rules.parse("coordinated_poller")?);
        let mut others = DETECTORS.iter().zip(&mut self.others);
        others.try_for_each(|(spec, detector)| detector.follow(rules.text(spec.stem)))
    }

    /// Shows an activity to everybody.
    pub(crate) fn observe(&mut self, activity: &Activity, usual: &Profiles, said: &mut Said) {
        match activity {
            Activity::CheckIn(check_in) => self.beacon.check_in(check_in, usual),
            Activity::Touch(touch) => self.controllers.touch(touch, usual),
            _ => {}
        }
        let before = said.cues.len();
        self.each(|detector| detector.observe(activity, usual, said));
        for cue in said.cues.iter().skip(before).filter(|cue| cue.group == Group::Client) {
            cue.tenant.into_iter().for_each(|tenant| self.beacon.notice_odd(cue.host, tenant));
        }
    }

    /// Asks everybody. One that panics has not judged what it was shown, and the others go on; it is counted, and the
    /// panic itself is on standard error. Caught around them all, since this runs for everything that happens.
    fn each(&mut self, mut ask: impl FnMut(&mut dyn Detector)) {
        let mut next = 0_usize;
        while catch_unwind(AssertUnwindSafe(|| {
            while let Some(detector) = self.others.get_mut(next) {
                next = next.saturating_add(1);
                ask(&mut **detector);
            }
        }))
        .is_err()
        {
            if let Some(count) = self.panics.get_mut(next.saturating_sub(1)) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Puts one that panics in a detector's place, for tests of a running sensor.
    #[cfg(debug_assertions)]
    pub(crate) fn break_one(&mut self, stem: &str) {
        let of = DETECTORS.iter().zip(&mut self.others).find(|(spec, _)| spec.stem == stem);
        if let Some((_, detector)) = of {
            *detector = Box::new(broken::Broken);
        }
    }

    /// Panics contained, by stem; who never panicked is left out.
    pub(crate) fn panics(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = DETECTORS.iter().zip(&self.panics).map(|(spec, count)| (spec.stem, *count));
        all.filter(|(_, count)| *count > 0)
    }

    /// Event time reached a step, or the input ended.
    pub(crate) fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        match which {
            Which::Untold => self.beacon.advance(now, usual, said),
            Which::All => self.beacon.finish(now, usual, said),
        }
        self.each(|detector| detector.say(which, now, usual, said));
    }

    /// An address taken to be inside that others call like a controller, in words.
    pub(crate) fn hint(&self, usual: &Profiles) -> Option<String> {
        self.controllers.hint(usual)
    }

    /// Their tables as they stand.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let mut all = self.beacon.tables();
        all.extend(self.others.iter().flat_map(|detector| detector.tables()));
        all.push(self.controllers.table());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::broken::Broken;
    use super::*;
    use crate::event::Site;
    use crate::intel::Intel;
    use crate::profile::Declared;
    use std::sync::Arc;

    #[test]
    fn a_detector_that_panics_is_counted_by_name_and_all_others_are_asked() {
        let rules = DETECTORS.iter().map(|spec| (spec.stem, spec.rule.to_owned()));
        let joins = [
            ("beacon", include_str!("../../rules/beacon.toml").to_owned()),
            ("coordinated_poller", include_str!("../../rules/coordinated_poller.toml").to_owned()),
        ];
        let mut detectors = Detectors::new(&RuleTexts(rules.chain(joins).collect())).unwrap();
        for broken in [2, 3, DETECTORS.len() - 1] {
            detectors.others[broken] = Box::new(Broken);
        }
        let declared = Declared { site: Site::new(&[], &[]), hosts: vec![], policies: vec![], utc_offset_s: 0 };
        let usual = Profiles::new(Arc::new(declared), Arc::new(Intel::shipped()));
        std::panic::set_hook(Box::new(|_| {}));
        let mut asked = 0;
        detectors.each(|detector| {
            asked += 1;
            detector.say(Which::Untold, Timestamp(0), &usual, &mut Said::default());
        });
        detectors.say(Which::All, Timestamp(0), &usual, &mut Said::default());
        let _ = std::panic::take_hook();
        assert_eq!(asked, DETECTORS.len());
        let counted: Vec<_> = detectors.panics().collect();
        let expected = [2, 3, DETECTORS.len() - 1].map(|at| (DETECTORS[at].stem, 2));
        assert_eq!(counted, expected);
    }
}
