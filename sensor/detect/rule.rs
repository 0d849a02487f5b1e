//! Rule files: texts, how one is parsed, what is said about a wrong one.

use serde::de::DeserializeOwned;
use std::ops::Range;

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

/// The rule texts in force, by stem (`beacon` for `beacon.toml`).
#[derive(Clone, Debug)]
pub(crate) struct RuleTexts(pub(crate) Vec<(&'static str, String)>);

impl RuleTexts {
    /// The rule called `stem`, parsed.
    pub(crate) fn parse<T: DeserializeOwned>(&self, stem: &str) -> Result<T, RuleError> {
        parse(self.text(stem))
    }

    /// The text of `stem`; empty when there is none.
    pub(crate) fn text(&self, stem: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == stem).map_or("", |(_, text)| text)
    }
}

/// Parses one rule's text; unknown and missing keys are errors that say where.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, RuleError> {
    toml::from_str(text).map_err(|e| RuleError::Wrong { message: e.message().to_owned(), span: e.span() })
}
