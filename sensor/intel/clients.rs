//! Which program speaks like that: user agents by pattern, TLS stacks by fingerprint.
//!
//! For consistency checks ("does the stack fit the claimed client?"), never verdicts: `os-library` rows are shared by
//! benign and malicious programs, and a user agent is what the sender likes to write.

use super::table::{TableError, rows};
use hashbrown::HashMap;
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
    stacks: Vec<Client>,
    ja3: HashMap<Box<str>, usize, foldhash::fast::FixedState>,
    ja4: HashMap<Box<str>, usize, foldhash::fast::FixedState>,
}

impl Clients {
    /// Reads `user_agents.csv` and `tls_fingerprints.csv`.
    pub(super) fn new(agents_csv: &str, fingerprints_csv: &str) -> Result<Self, TableError> {
        let (mut regexes, mut agents) = (Vec::new(), Vec::new());
        rows(agents_csv, ["regex", "client", "kind", "confidence"], |[regex, client, kind, confidence]| {
            regexes.push(regex.to_owned());
            agents.push(Client { client: client.into(), kind: kind.into(), confidence: confidence.into() });
            Ok(())
        })?;
        let (mut stacks, mut by_ja3, mut by_ja4) = (Vec::new(), HashMap::default(), HashMap::default());
        let columns = ["ja3", "ja4", "client", "kind", "confidence"];
        rows(fingerprints_csv, columns, |[ja3, ja4, client, kind, confidence]| {
            // The first row of a fingerprint stays: the tables list what was measured before what was collected.
            for (by, value) in [(&mut by_ja3, ja3), (&mut by_ja4, ja4)] {
                if !value.is_empty() {
                    by.entry(value.into()).or_insert(stacks.len());
                }
            }
            stacks.push(Client { client: client.into(), kind: kind.into(), confidence: confidence.into() });
            Ok(())
        })?;
        let patterns = RegexSet::new(regexes).map_err(|e| TableError { line: 1, message: e.to_string() })?;
        Ok(Self { patterns, agents, stacks, ja3: by_ja3, ja4: by_ja4 })
    }

    /// The first pattern, in file order, that matches a user agent.
    pub(super) fn user_agent(&self, text: &str) -> Option<&Client> {
        self.agents.get(self.patterns.matches(text).iter().next()?)
    }

    /// The stack behind a client hello; JA4 first, because extension shuffling makes JA3 unstable.
    pub(super) fn fingerprint(&self, ja3: Option<&str>, ja4: Option<&str>) -> Option<&Client> {
        let at = ja4.and_then(|v| self.ja4.get(v)).or_else(|| ja3.and_then(|v| self.ja3.get(v)))?;
        self.stacks.get(*at)
    }
}
