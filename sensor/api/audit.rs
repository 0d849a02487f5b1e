//! Who decided what about which alert: one JSON line each, appended and never changed.
//!
//! Each line holds the SHA-256 of the line before (`previous`), so a line that was changed or taken out afterwards shows.
//! A line cut by a crash stays where it is; the next starts on a line of its own. Damage is told in `/-/ready` and in the
//! log, and never mended in silence.

use crate::base::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decision {
    /// RFC 3339, the sensor's clock.
    pub(super) time: String,
    pub(super) alert: Box<str>,
    pub(super) action: Action,
    pub(super) actor: Box<str>,
    pub(super) role: Box<str>,
    /// Severity of the alert when it was decided.
    pub(super) severity: Box<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub(super) comment: Box<str>,
    /// SHA-256 of the line before, hex; empty for the first.
    pub(super) previous: Box<str>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// Somebody works on it.
    Acknowledge,
    /// Done with; it opens again by itself when its severity rises.
    Close,
    /// Open again.
    Reopen,
}

/// The log, open for appending.
#[derive(Debug)]
pub(super) struct Audit {
    file: File,
    /// Digest of the last line.
    last: String,
    /// What is wrong with what was there.
    damage: Option<String>,
}

impl Audit {
    /// Opens or begins the log at `path`; `each` is shown the decisions in it.
    pub(super) fn open(path: &Path, mut each: impl FnMut(Decision)) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let (mut last, mut damage, mut whole) = (String::new(), None, true);
        let mut lines = BufReader::new(&file);
        for number in 1_u64.. {
            let mut line = Vec::new();
            // A longer line was not written here: the rest of it is read as further lines, each of them damage.
            if lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            whole = line.ends_with(b"\n");
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            match serde_json::from_slice::<Decision>(text) {
                Ok(decision) => {
                    if *decision.previous != *last {
                        damage.get_or_insert_with(|| format!("line {number} does not follow the line before it"));
                    }
                    each(decision);
                }
                Err(error) => {
                    damage.get_or_insert_with(|| format!("line {number} cannot be read: {error}"));
                }
            }
            last = digest(text);
        }
        if !whole {
            file.write_all(b"\n")?;
        }
        if let Some(damage) = &damage {
            tracing::error!(path = %path.display(), damage, "the audit log is damaged");
        }
        Ok(Self { file, last, damage })
    }

    /// Appends a decision; on return it is on disk.
    pub(super) fn append(&mut self, mut decision: Decision) -> io::Result<Decision> {
        decision.previous = self.last.as_str().into();
        let mut line = serde_json::to_vec(&decision)?;
        let last = digest(&line);
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.last = last;
        Ok(decision)
    }

    /// What is wrong with the log.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }
}

/// A time as the log has it.
pub(super) fn stamp(now: Timestamp) -> String {
    now.to_string()
}

fn digest(line: &[u8]) -> String {
    hex::encode(Sha256::digest(line))
}

/// A decision with the longest comment, escaped, and room.
const MAX_LINE: u64 = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(alert: &str) -> Decision {
        Decision {
            time: stamp(Timestamp::from_secs(0)),
            alert: alert.into(),
            action: Action::Close,
            actor: "ann".into(),
            role: "analyst".into(),
            severity: "high".into(),
            comment: "line\nbreak".into(),
            previous: "".into(),
        }
    }

    /// Damage found, and the alerts read.
    fn reopened(path: &Path) -> (Option<String>, Vec<String>) {
        let mut alerts = Vec::new();
        let audit = Audit::open(path, |d| alerts.push(d.alert.to_string())).unwrap();
        (audit.damage().map(str::to_owned), alerts)
    }

    #[test]
    fn decisions_survive_and_what_was_changed_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut audit = Audit::open(&path, |_| panic!("it is new")).unwrap();
        for alert in ["a", "b", "c"] {
            audit.append(decision(alert)).unwrap();
        }
        assert_eq!(reopened(&path), (None, vec!["a".into(), "b".into(), "c".into()]));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3, "a comment cannot forge a line");

        std::fs::write(&path, text.replace("\"b\"", "\"x\"")).unwrap();
        assert!(reopened(&path).0.unwrap().contains("line 3"), "what follows a changed line does not fit");
        let cut: String = text.lines().enumerate().filter(|(n, _)| *n != 1).map(|(_, l)| format!("{l}\n")).collect();
        std::fs::write(&path, cut).unwrap();
        assert!(reopened(&path).0.unwrap().contains("line 2"), "a line was taken out");
    }

    #[test]
    fn a_line_cut_by_a_crash_costs_that_line_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut audit = Audit::open(&path, |_| {}).unwrap();
        audit.append(decision("a")).unwrap();
        audit.append(decision("b")).unwrap();
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 20]).unwrap();
        let mut audit = Audit::open(&path, |_| {}).unwrap();
        assert!(audit.damage().unwrap().contains("line 2 cannot be read"));
        audit.append(decision("c")).unwrap();
        assert_eq!(reopened(&path).1, ["a", "c"]);
    }
}
