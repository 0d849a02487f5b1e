//! The log folder of a live run: the records of `analyze`, written while they are made.
//!
//! `flows.jsonl` and `facts.jsonl` grow; `alerts.jsonl` gets a line whenever an alert is new or has changed (one with the
//! same `id` replaces what was said before). At a clean stop `alerts.jsonl` becomes what `analyze` would leave, the last
//! state of every alert, beside `findings.jsonl` and `summary.json`; what was told on the way stays in no other file.
//! `findings.jsonl` gets before that only those that made room for others.
//! What an earlier run left is moved aside, so nothing is written over.

use super::flows::FlowExtras;
use super::jsonl::OutputError;
use super::rolling::{Rolling, Rotation, State};
use super::status::{LogStatus, Status};
use super::summary::{self, Input, Summary};
use super::trail::Trail;
use super::{claims, facts, flows, whole};
use crate::alert::{Alert, Stated};
use crate::base::Timestamp;
use crate::event::{Event, Observation};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The records of a live run.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    flows: Rolling,
    facts: Rolling,
    alerts: Rolling,
    findings: Rolling,
    /// The recording behind the packets, when there is one.
    inputs: Vec<Input>,
    /// By the wall clock, for the names of files moved aside.
    now: String,
}

impl Journal {
    /// Makes the folder, and its parents, and opens the logs. `recording` is what claims name as evidence.
    pub(crate) fn open(
        folder: &Path,
        rotation: Rotation,
        recording: Option<&Path>,
        now: Timestamp,
    ) -> Result<Self, OutputError> {
        let wrong = |source| OutputError::Io { path: folder.to_owned(), doing: "create", source };
        fs::create_dir_all(folder).map_err(wrong)?;
        let now = stamp(now);
        let open = |stem| Rolling::open(folder, stem, rotation, &now);
        let (flows, facts, alerts, findings) = (open("flows")?, open("facts")?, open("alerts")?, open("findings")?);
        match fs::remove_file(folder.join(SUMMARY)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(wrong(source)),
            _ => {}
        }
        let inputs = recording.map(|path| Input { path: path.display().to_string(), ..Input::default() });
        Ok(Self {
            folder: folder.to_owned(),
            flows,
            facts,
            alerts,
            findings,
            inputs: inputs.into_iter().collect(),
            now,
        })
    }

    /// Writes the observation's record, if it has one. `extras` are for closed flows and handshakes; others need none.
    pub(crate) fn observation(&mut self, seen: &Observation, extras: &FlowExtras<'_>) {
        match &seen.event {
            Event::FlowOpened | Event::FlowProgress(_) => {}
            Event::FlowClosed(flow) => self.flows.line(&self.now, |out| {
                flows::write(out, seen, flow, extras);
                true
            }),
            _ => self.facts.line(&self.now, |out| facts::write(out, seen, extras)),
        }
    }

    /// Writes alerts as they are told, at once.
    pub(crate) fn told(&mut self, alerts: &[Alert], trail: &Trail) {
        let sources = claims::Sources { trail, inputs: &self.inputs };
        for alert in alerts {
            self.alerts.line(&self.now, |out| {
                claims::alert(out, alert, sources);
                true
            });
        }
        self.alerts.flush(&self.now);
    }

    /// Writes findings that are held no longer, without their packets, as `analyze` does; the others follow at a clean stop.
    pub(crate) fn parted(&mut self, findings: &[Stated], trail: &Trail) {
        self.found(findings, claims::Sources { trail, inputs: &[] });
    }

    fn found(&mut self, findings: &[Stated], sources: claims::Sources<'_>) {
        for finding in findings {
            self.findings.line(&self.now, |out| {
                claims::finding(out, finding, sources);
                true
            });
        }
    }

    /// Writes what waits; called once a second.
    pub(crate) fn flush(&mut self, now: Timestamp) {
        self.now = stamp(now);
        for log in [&mut self.flows, &mut self.facts, &mut self.alerts, &mut self.findings] {
            log.flush(&self.now);
        }
    }

    /// Logs that somebody moved away are begun anew at the next line.
    pub(crate) fn reopen(&mut self) {
        for log in [&mut self.flows, &mut self.facts, &mut self.alerts, &mut self.findings] {
            log.reopen();
        }
    }

    /// What was written and what was not.
    pub(crate) fn state(&self) -> LogStatus {
        let states: Vec<State> =
            [&self.flows, &self.facts, &self.alerts, &self.findings].into_iter().map(Rolling::state).collect();
        let sum = |count: fn(&State) -> u64| states.iter().map(count).fold(0, u64::saturating_add);
        LogStatus {
            folder: self.folder.display().to_string(),
            records: sum(|s| s.records),
            bytes: sum(|s| s.bytes),
            rotations: sum(|s| s.rotations),
            lost: sum(|s| s.lost),
            waiting: sum(|s| s.waiting),
            failing: states.iter().find_map(|s| s.failing.clone()),
            ..LogStatus::default()
        }
    }

    /// Ends the logs with the final state of everything. The summary comes last: where it is, the records are complete.
    pub(crate) fn finish(
        mut self,
        findings: &[Stated],
        alerts: &[Alert],
        summary: &Summary,
        trail: &Trail,
        now: Timestamp,
    ) -> Result<(), OutputError> {
        self.flush(now);
        let lost = self.findings.state().lost;
        self.findings.stay();
        let inputs = std::mem::take(&mut self.inputs);
        let sources = claims::Sources { trail, inputs: &inputs };
        self.found(findings, sources);
        self.flush(now);
        let lost = self.findings.state().lost.saturating_sub(lost);
        let mut lines = Vec::new();
        for alert in alerts {
            claims::alert(&mut lines, alert, sources);
            lines.push(b'\n');
        }
        replace(&self.alerts.path(), &lines)?;
        lines.clear();
        summary::write(&mut lines, summary, findings, alerts);
        lines.push(b'\n');
        replace(&self.folder.join(SUMMARY), &lines)?;
        let lost = (lost > 0).then(|| format!("{lost} findings found no room while the disk took nothing"));
        match self.state().failing.or(lost) {
            Some(why) => {
                let source = io::Error::other(why);
                Err(OutputError::Io { path: self.folder, doing: "write all records to", source })
            }
            None => Ok(()),
        }
    }
}

/// Leaves the sensor's state in the folder, for `yukue live --status`.
pub(crate) fn leave_status(folder: &Path, status: &Status) -> Result<(), OutputError> {
    let path = folder.join(STATUS);
    let text = serde_json::to_vec(status);
    let mut text =
        text.map_err(|e| OutputError::Io { path: path.clone(), doing: "write", source: io::Error::other(e) })?;
    // Room to say that the disk is full when it is: then the file is written over where it lies.
    text.resize(text.len().max(STATUS_ROOM), b' ');
    replace(&path, &text).or_else(|error| {
        let over = OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(&text));
        over.map_err(|_| error)
    })
}

/// What a sensor left in its folder.
pub(crate) fn status_of(folder: &Path) -> Result<Status, OutputError> {
    let path = folder.join(STATUS);
    let wrong = |source| OutputError::Io { path: path.clone(), doing: "read", source };
    let text = fs::read(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => OutputError::NoSensor { path: folder.to_owned() },
        _ => wrong(source),
    })?;
    serde_json::from_slice(&text).map_err(|e| wrong(io::Error::other(e)))
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let wrong = |source| OutputError::Io { path: path.to_owned(), doing: "write", source };
    whole::replace(path, bytes, whole::READABLE).map_err(wrong)
}

/// `20261129T123456Z`.
fn stamp(ts: Timestamp) -> String {
    let text = ts.to_string();
    let digits: String = text.chars().take_while(|c| *c != '.').filter(|c| !matches!(c, '-' | ':' | 'Z')).collect();
    format!("{digits}Z")
}

const SUMMARY: &str = "summary.json";
const STATUS: &str = "status.json";
/// More than a status of many interfaces needs.
const STATUS_ROOM: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn a_clean_stop_leaves_what_analyze_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("log");
        let now = Timestamp::from_secs(1_796_000_000);
        let rotation = Rotation { bytes: 1 << 20, keep: 3 };
        let mut journal = Journal::open(&at, rotation, None, now).unwrap();
        for seen in &samples::observations() {
            journal.observation(seen, &FlowExtras::default());
        }
        journal.told(&[samples::alert()], &samples::trail());
        journal.told(&[samples::alert()], &samples::trail());
        let lines = |name: &str| fs::read_to_string(at.join(name)).unwrap().lines().count();
        assert_eq!(lines("alerts.jsonl"), 2, "told twice");
        assert!(!at.join(SUMMARY).exists());
        journal.parted(&[samples::stated(), samples::stated()], &samples::trail());
        journal.flush(now);
        assert_eq!(lines("findings.jsonl"), 2, "held no longer");
        journal.finish(&[samples::stated()], &[samples::alert()], &samples::summary(), &samples::trail(), now).unwrap();
        assert_eq!((lines("alerts.jsonl"), lines("findings.jsonl"), lines(SUMMARY)), (1, 3, 1));
        assert!(lines("flows.jsonl") > 0 && lines("facts.jsonl") > 0);
        leave_status(&at, &Status { pid: 7, ..Status::default() }).unwrap();
        assert_eq!(status_of(&at).unwrap().pid, 7);
    }

    #[test]
    fn a_folder_no_sensor_writes_into_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = status_of(&folder.path().join("nobody")).unwrap_err().to_string();
        assert!(said.contains("nobody: no sensor writes into this folder"), "{said}");
    }

    #[test]
    fn files_moved_aside_sort_by_time() {
        assert_eq!(stamp(Timestamp::from_secs(1_796_000_000)), "20261130T005320Z".to_owned());
    }
}
