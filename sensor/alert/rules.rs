//! The rules of the right side: thresholds as data, compiled in, each replaceable by a file of the same name.

/// All rules, parsed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {}

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
        span: Option<std::ops::Range<usize>>,
    },
}

impl Rules {
    /// The rules compiled into the binary.
    pub(crate) fn shipped() -> Self {
        Self::default()
    }

    /// Replaces the rule called `stem` (`beacon` for `beacon.toml`) by `text`.
    pub(crate) fn replace(&mut self, stem: &str, _text: &str) -> Result<(), RuleError> {
        Err(RuleError::Unknown(stem.to_owned()))
    }

    /// SHA-256 over all rule texts in force, hex.
    pub(crate) fn digest(&self) -> String {
        String::new()
    }
}
