//! The rules of the right side: thresholds as data, compiled in, each replaceable by a file of the same name.

use super::AllowList;
use crate::campaign::{CampaignRules, Campaigns};
use crate::detect::{DETECTORS, Detectors, RuleError, RuleTexts, Scorer};
use sha2::{Digest, Sha256};

/// All rules, as texts that were parsed once and are right.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    texts: RuleTexts,
    /// What somebody here answers for.
    pub(crate) allow: AllowList,
}

impl Rules {
    /// The rules compiled into the binary.
    pub(crate) fn shipped() -> Self {
        let texts = shipped().map(|(stem, text)| (stem, text.to_owned())).collect();
        Self { texts: RuleTexts(texts), allow: AllowList::default() }
    }

    /// Replaces the rule called `stem` (`beacon` for `beacon.toml`) by `text`.
    pub(crate) fn replace(&mut self, stem: &str, text: &str) -> Result<(), RuleError> {
        let mut texts = self.texts.clone();
        let Some((_, known)) = texts.0.iter_mut().find(|(known, _)| *known == stem) else {
            return Err(RuleError::Unknown(stem.to_owned()));
        };
        text.clone_into(known);
        let changed = Self { texts, allow: self.allow.clone() };
        changed.build()?;
        *self = changed;
        Ok(())
    }

    /// Detectors and joins that follow these rules.
    pub(crate) fn build(&self) -> Result<(Detectors, Scorer, CampaignRules), RuleError> {
        let scorer = Scorer::new(self.texts.parse("host_anomaly")?);
        Ok((Detectors::new(&self.texts)?, scorer, CampaignRules::new(&self.texts)?))
    }

    /// Makes detectors and joins at work follow these rules; what they know stays. They are built anew first, so that a
    /// wrong rule changes nothing.
    pub(crate) fn lead(
        &self,
        detectors: &mut Detectors,
        scorer: &mut Scorer,
        campaigns: &mut Campaigns,
    ) -> Result<(), RuleError> {
        let (.., campaign) = self.build()?;
        detectors.follow(&self.texts)?;
        scorer.follow(self.texts.parse("host_anomaly")?);
        campaigns.follow(campaign);
        Ok(())
    }

    /// Stems and texts in force.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.texts.0.iter().map(|(stem, text)| (*stem, text.as_str()))
    }

    /// How many rules in force are the shipped ones, and how many somebody here wrote.
    pub(crate) fn origins(&self) -> (usize, usize) {
        let own = shipped().filter(|(stem, text)| self.texts.text(stem) != *text).count();
        (self.texts.0.len().saturating_sub(own), own)
    }

    /// SHA-256 over all rule texts in force, hex.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (stem, text) in &self.texts.0 {
            hash.update(stem.as_bytes());
            hash.update([0]);
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }
}

/// Every rule, by the stem of its file: the joins' and those of all detectors.
fn shipped() -> impl Iterator<Item = (&'static str, &'static str)> {
    JOINS.iter().copied().chain(DETECTORS.iter().map(|spec| (spec.stem, spec.rule)))
}

const JOINS: &[(&str, &str)] = &[
    ("beacon", include_str!("../../rules/beacon.toml")),
    ("coordinated_poller", include_str!("../../rules/coordinated_poller.toml")),
    ("common_cause", include_str!("../../rules/common_cause.toml")),
    ("execution_chain", include_str!("../../rules/execution_chain.toml")),
    ("host_anomaly", include_str!("../../rules/host_anomaly.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_rules_are_valid_and_every_file_is_among_them() {
        let rules = Rules::shipped();
        assert_eq!(rules.digest().len(), 64);
        rules.build().unwrap();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(stem) = name.strip_suffix(".toml").filter(|stem| !stem.ends_with(".example")) {
                assert!(shipped().any(|(known, _)| known == stem), "{name} is not compiled in");
            }
        }
    }

    #[test]
    fn a_rule_is_replaced_whole_and_a_wrong_one_says_where() {
        let mut rules = Rules::shipped();
        let shipped = rules.digest();
        let (_, text) = JOINS[0];
        rules.replace("beacon", &text.replace("max_p = 0.001", "max_p = 0.01")).unwrap();
        assert_ne!(rules.digest(), shipped);
        let changed = rules.digest();
        for (what, stem, text, message) in [
            ("no such rule", "beacons", text.to_owned(), "no rule is called"),
            ("a key misspelt", "beacon", text.replace("max_p", "maxp"), "unknown field `maxp`"),
            ("a value missing", "beacon", text.replace("enabled = true", ""), "missing field `enabled`"),
            ("a wrong type", "beacon", text.replace("max_p = 0.001", "max_p = \"x\""), "invalid type"),
        ] {
            let wrong = rules.replace(stem, &text).unwrap_err();
            assert!(wrong.to_string().contains(message), "{what}: {wrong}");
        }
        assert_eq!(rules.digest(), changed, "a wrong rule changes nothing");
    }
}
