//! Which program speaks like that: user agents by pattern.
//!
//! Never a verdict: a user agent is what the sender likes to write.

use super::table::{TableError, rows};
use regex::RegexSet;

/// A program, as one row of the tables knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// `curl 7.88.1 OpenSSL 3.0 (h2)`.
    pub(crate) client: Box<str>,
    /// `tool`, `script`, `browser`, `updater`, `library`, `os-library`, `c2`, …
    pub(crate) kind: Box<str>,
    /// `high`, `medium` or `low`.
    pub(crate) confidence: Box<str>,
}

/// Client tables.
#[derive(Debug)]
pub(super) struct Clients {
    patterns: RegexSet,
    agents: Vec<Client>,
}

impl Clients {
    /// Reads `user_agents.csv`.
    pub(super) fn new(agents_csv: &str) -> Result<Self, TableError> {
        let (mut regexes, mut agents) = (Vec::new(), Vec::new());
        rows(agents_csv, ["regex", "client", "kind", "confidence"], |[regex, client, kind, confidence]| {
            regexes.push(regex.to_owned());
            agents.push(Client { client: client.into(), kind: kind.into(), confidence: confidence.into() });
            Ok(())
        })?;
        let patterns = RegexSet::new(regexes).map_err(|e| TableError { line: 1, message: e.to_string() })?;
        Ok(Self { patterns, agents })
    }

    /// The first pattern, in file order, that matches a user agent.
    pub(super) fn user_agent(&self, text: &str) -> Option<&Client> {
        self.agents.get(self.patterns.matches(text).iter().next()?)
    }
}
