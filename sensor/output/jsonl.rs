//! A folder of records, as the output contract words them: `flows.jsonl`, `facts.jsonl` while the input runs,
//! `findings.jsonl`, `alerts.jsonl` and last `summary.json` when it has ended.
//!
//! Files hold whole lines at any moment: lines are gathered and written together, and after a write that failed half
//! way the file is cut back to its last whole line.

use super::flows::FlowExtras;
use super::summary::{self, Summary};
use super::trail::Trail;
use super::{claims, facts, flows};
use crate::alert::{Alert, Stated};
use crate::event::{Event, Observation};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What goes wrong when records are written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// The folder has something in it, and overwriting was not asked for.
    #[error("{}: the folder is not empty; choose another one, or pass --force to overwrite its records", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// No sensor left its state there.
    #[error("{}: no sensor writes into this folder, or it has not begun yet; what does its --log-dir say?", path.display())]
    NoSensor {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder cannot be made or written.
    #[error("{}: cannot {doing}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// `create` or `write`.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// What to do with a folder that has records already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Nothing is touched; it is an error.
    Refuse,
    /// Our records are replaced; other files stay.
    Replace,
}

/// The records of one run.
#[derive(Debug)]
pub(crate) struct Records {
    folder: PathBuf,
    flows: Log,
    facts: Log,
    /// Once there are any.
    findings: Option<Log>,
}

impl Records {
    /// Makes the folder, and its parents, and opens the records.
    pub(crate) fn create(folder: &Path, existing: Existing) -> Result<Self, OutputError> {
        let wrong = |doing| move |source| OutputError::Io { path: folder.to_owned(), doing, source };
        fs::create_dir_all(folder).map_err(wrong("create"))?;
        let mut entries = fs::read_dir(folder).map_err(wrong("read"))?;
        if existing == Existing::Refuse && entries.next().is_some() {
            return Err(OutputError::NotEmpty { path: folder.to_owned() });
        }
        for name in [FINDINGS, ALERTS, SUMMARY] {
            let path = folder.join(name);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(OutputError::Io { path, doing: "remove", source });
                }
                _ => {}
            }
        }
        let (flows, facts) = (Log::create(folder.join(FLOWS))?, Log::create(folder.join(FACTS))?);
        Ok(Self { folder: folder.to_owned(), flows, facts, findings: None })
    }

    /// Writes the observation's record, if it has one. `extras` are for closed flows and handshakes; others need none.
    pub(crate) fn observation(&mut self, seen: &Observation, extras: &FlowExtras<'_>) -> Result<(), OutputError> {
        match &seen.event {
            Event::FlowOpened | Event::FlowProgress(_) => Ok(()),
            Event::FlowClosed(flow) => self.flows.line(|out| {
                flows::write(out, seen, flow, extras);
                true
            }),
            _ => self.facts.line(|out| facts::write(out, seen, extras)),
        }
    }

    /// Writes findings that are held no longer, without their packets: in which file those lie is known at the end.
    pub(crate) fn parted(&mut self, findings: &[Stated], trail: &Trail) -> Result<(), OutputError> {
        if findings.is_empty() { Ok(()) } else { self.found(findings, claims::Sources { trail, inputs: &[] }) }
    }

    fn found(&mut self, findings: &[Stated], sources: claims::Sources<'_>) -> Result<(), OutputError> {
        let log = match &mut self.findings {
            Some(log) => log,
            none => none.insert(Log::create(self.folder.join(FINDINGS))?),
        };
        findings.iter().try_for_each(|finding| log.always(|out| claims::finding(out, finding, sources)))
    }

    /// Writes what came of it. The summary comes last: where it is, the records are complete.
    pub(crate) fn finish(
        mut self,
        findings: &[Stated],
        alerts: &[Alert],
        summary: &Summary,
        trail: &Trail,
    ) -> Result<(), OutputError> {
        let sources = claims::Sources { trail, inputs: &summary.input };
        self.flows.flush()?;
        self.facts.flush()?;
        self.found(findings, sources)?;
        self.findings.iter_mut().try_for_each(Log::flush)?;
        let whole = |name: &str, fill: &mut dyn FnMut(&mut Log) -> Result<(), OutputError>| {
            let mut log = Log::create(self.folder.join(name))?;
            fill(&mut log)?;
            log.flush()
        };
        whole(ALERTS, &mut |log| alerts.iter().try_for_each(|a| log.always(|out| claims::alert(out, a, sources))))?;
        whole(SUMMARY, &mut |log| log.always(|out| summary::write(out, summary, findings, alerts)))
    }
}

const FLOWS: &str = "flows.jsonl";
const FACTS: &str = "facts.jsonl";
const FINDINGS: &str = "findings.jsonl";
const ALERTS: &str = "alerts.jsonl";
const SUMMARY: &str = "summary.json";

/// One file of lines.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    /// Whole lines that wait to be written.
    lines: Vec<u8>,
    /// Bytes of whole lines in the file.
    written: u64,
}

impl Log {
    fn create(path: PathBuf) -> Result<Self, OutputError> {
        match File::create(&path) {
            Ok(file) => Ok(Self { path, file, lines: Vec::with_capacity(BUFFER + BUFFER / 4), written: 0 }),
            Err(source) => Err(OutputError::Io { path, doing: "create", source }),
        }
    }

    /// Adds what `fill` writes as a line; nothing when it says false.
    fn line(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> bool) -> Result<(), OutputError> {
        if fill(&mut self.lines) {
            self.lines.push(b'\n');
        }
        if self.lines.len() < BUFFER {
            return Ok(());
        }
        self.flush()
    }

    fn always(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), OutputError> {
        self.line(|out| {
            fill(out);
            true
        })
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        if let Err(source) = self.file.write_all(&self.lines) {
            let _ = self.file.set_len(self.written); // The write error that led here is what gets reported.
            return Err(OutputError::Io { path: self.path.clone(), doing: "write", source });
        }
        self.written = self.written.saturating_add(u64::try_from(self.lines.len()).unwrap_or(u64::MAX));
        self.lines.clear();
        Ok(())
    }
}

/// Lines are written together once they are this long; larger gains nothing (measured with the capture readers).
const BUFFER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn a_run_leaves_one_line_a_record_and_the_summary_last() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("new/case");
        let mut records = Records::create(&at, Existing::Refuse).unwrap();
        let observations = samples::observations();
        for seen in &observations {
            records.observation(seen, &FlowExtras::default()).unwrap();
        }
        records.parted(&[samples::stated()], &samples::trail()).unwrap();
        records.finish(&[samples::stated()], &[samples::alert()], &samples::summary(), &samples::trail()).unwrap();
        let lines = |name: &str| fs::read_to_string(at.join(name)).unwrap().lines().count();
        let flows = observations.iter().filter(|seen| matches!(seen.event, Event::FlowClosed(_))).count();
        let silent =
            observations.iter().filter(|s| matches!(s.event, Event::FlowOpened | Event::FlowProgress(_))).count();
        assert_eq!((lines(FLOWS), lines(FACTS)), (flows, observations.len() - flows - silent));
        assert_eq!((lines(FINDINGS), lines(ALERTS), lines(SUMMARY)), (2, 1, 1));
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused_and_with_force_only_records_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("notes.txt"), "mine").unwrap();
        fs::write(at.join(ALERTS), "of the last run").unwrap();
        let refused = Records::create(at, Existing::Refuse).unwrap_err();
        assert!(refused.to_string().contains("--force") && refused.to_string().contains(at.to_str().unwrap()));
        let _records = Records::create(at, Existing::Replace).unwrap();
        assert!(!at.join(ALERTS).exists(), "alerts of the last run stay until this one ends");
        assert_eq!(fs::read_to_string(at.join("notes.txt")).unwrap(), "mine");
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let mut log = Log::create(PathBuf::from("/dev/full")).unwrap();
        log.always(|out| out.extend_from_slice(b"{}")).unwrap();
        let error = log.flush().unwrap_err().to_string();
        assert!(error.starts_with("/dev/full: cannot write: ") && error.contains("No space left"), "{error}");
    }

    #[test]
    fn until_lines_are_written_together_the_file_holds_whole_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        let mut log = Log::create(path.clone()).unwrap();
        for _ in 0..20_000 {
            log.always(|out| out.extend_from_slice(b"{\"a\":\"0123456789\"}")).unwrap();
            debug_assert!(log.lines.len() < BUFFER);
        }
        let text = fs::read_to_string(path).unwrap();
        assert!(text.len() >= BUFFER && text.ends_with("}\n"));
    }
}
