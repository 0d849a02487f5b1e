//! The rules of the right side: thresholds as data, compiled in, each replaceable by a file of the same name.

use crate::campaign::CampaignRules;
use crate::detect::DetectRules;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// All rules, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) detect: DetectRules,
    pub(crate) campaign: CampaignRules,
    /// The texts in force, in the order of `SHIPPED`.
    texts: Vec<(&'static str, String)>,
}

/// A rule file that cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RuleError {
    /// No rule has this name.
    #[error("no rule is called {0}.toml")]
    Unknown(String),
    /// The text is not as it should be.
    #[error("{message}")]
    Wrong {
        /// What, and what would be right.
        message: String,
        /// Where in the text, in bytes.
        span: Option<Range<usize>>,
    },
}

impl Rules {
    /// The rules compiled into the binary.
    pub(crate) fn shipped() -> Self {
        let texts = SHIPPED.iter().map(|(stem, text)| (*stem, (*text).to_owned())).collect();
        match Self::parse(texts) {
            Ok(rules) => rules,
            Err(wrong) => unreachable!("shipped rules are parsed by a test: {wrong}"),
        }
    }

    /// Replaces the rule called `stem` (`beacon` for `beacon.toml`) by `text`.
    pub(crate) fn replace(&mut self, stem: &str, text: &str) -> Result<(), RuleError> {
        let mut texts = self.texts.clone();
        let Some((_, known)) = texts.iter_mut().find(|(known, _)| *known == stem) else {
            return Err(RuleError::Unknown(stem.to_owned()));
        };
        text.clone_into(known);
        *self = Self::parse(texts)?;
        Ok(())
    }

    /// SHA-256 over all rule texts in force, hex.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (stem, text) in &self.texts {
            hash.update(stem.as_bytes());
            hash.update([0]);
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }

    fn parse(texts: Vec<(&'static str, String)>) -> Result<Self, RuleError> {
        Ok(Self {
            detect: DetectRules {
                beacon: rule(&texts, "beacon")?,
                new_destination: rule(&texts, "new_destination")?,
                policy: rule(&texts, "policy")?,
                remote_execution: rule(&texts, "remote_execution")?,
                script_download: rule(&texts, "script_download")?,
            },
            campaign: CampaignRules {
                execution_chain: rule(&texts, "execution_chain")?,
                common_cause: rule(&texts, "common_cause")?,
            },
            texts,
        })
    }
}

fn rule<T: DeserializeOwned>(texts: &[(&'static str, String)], stem: &str) -> Result<T, RuleError> {
    let text = texts.iter().find(|(known, _)| *known == stem).map_or("", |(_, text)| text);
    toml::from_str(text).map_err(|e| RuleError::Wrong { message: e.message().to_owned(), span: e.span() })
}

/// Every rule, by the stem of its file.
const SHIPPED: &[(&str, &str)] = &[
    ("beacon", include_str!("../../rules/beacon.toml")),
    ("common_cause", include_str!("../../rules/common_cause.toml")),
    ("execution_chain", include_str!("../../rules/execution_chain.toml")),
    ("new_destination", include_str!("../../rules/new_destination.toml")),
    ("policy", include_str!("../../rules/policy.toml")),
    ("remote_execution", include_str!("../../rules/remote_execution.toml")),
    ("script_download", include_str!("../../rules/script_download.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_rules_are_valid_and_every_file_is_among_them() {
        let rules = Rules::shipped();
        assert_eq!(rules.digest().len(), 64);
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(stem) = name.strip_suffix(".toml").filter(|stem| !stem.starts_with("site.")) {
                assert!(SHIPPED.iter().any(|(known, _)| *known == stem), "{name} is not compiled in");
            }
        }
    }

    #[test]
    fn a_rule_is_replaced_whole_and_a_wrong_one_says_where() {
        let mut rules = Rules::shipped();
        let shipped = rules.digest();
        let (_, text) = SHIPPED[0];
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
