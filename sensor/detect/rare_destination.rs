//! Rare destination: new for this host, used by few, young (ATT&CK T1071, T1102). Says weak signs only.
//!
//! Measure (`detection.md` §2.3, §2.4): Good–Turing mass of what a host has not met, and the rank of a destination's users
//! and age among the contacts of the fleet: "three hosts use it" is rare in one fleet and ordinary in another. Benign
//! look-alike: people. Evasion: a destination everybody uses.

use super::beacon::reason;
use super::cue::{Cue, Group};
use super::finding::Value;
use super::memory::Memory;
use super::{Detector, RuleError, Said, Spec, parse};
use crate::base::Table;
use crate::profile::{Activity, Contact, Profiles, Rarity};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "rare_destination",
    rule: include_str!("../../rules/rare_destination.toml"),
    build: |text| Ok(Box::new(RareDestination { rule: parse(text)? })),
};

/// `rules/rare_destination.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    least_nats: f64,
}

/// What is rare is known to the profile; this says it.
#[derive(Debug)]
struct RareDestination {
    rule: Rule,
}

impl Detector for RareDestination {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, _: &Profiles, said: &mut Said) {
        if let Activity::Contact(contact) = seen
            && let Some(rarity) = contact.rarity.filter(|_| self.rule.enabled && contact.first)
        {
            said.cues.extend(self.rule.cue(contact, &rarity));
        }
    }

    fn tables(&self) -> Vec<Table> {
        Vec::new()
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![]
    }
}

impl Rule {
    /// The strongest of the signs, as they tell of one cause.
    fn cue(&self, seen: &Contact, rarity: &Rarity) -> Option<Cue> {
        let signs = [
            ("chance_of_a_new_destination", rarity.p_new),
            ("share_of_contacts_with_as_few_users", rarity.p_prev),
            ("share_of_contacts_with_as_young", rarity.p_age),
        ];
        let known = signs.into_iter().filter_map(|(measure, p)| Some((measure, p?)));
        let (measure, p) = known.min_by(|a, b| a.1.total_cmp(&b.1))?;
        let nats = -p.min(1.0).ln();
        (nats >= self.least_nats).then(|| Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(seen.tenant),
            group: Group::Destination,
            nats,
            reason: reason(measure, Value::Number(p), "probability"),
            uid: seen.uid,
        })
    }
}
