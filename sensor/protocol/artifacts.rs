//! What remote-execution tools leave on the wire by name: pipes, services, classes
//! (`rules/intel/remote_exec_artifacts.csv`, compiled in). Only the rows that say "this runs code there" are used; what
//! a system service's own pipe means is told by the operations called through it.

use regex::Regex;
use std::sync::LazyLock;

/// Whether a pipe of this name is one end of a remote shell's service (`PSEXESVC`, `RemCom_communicaton`, …).
pub(super) fn is_shell_pipe(pipe: &str) -> bool {
    let pipe = pipe.to_ascii_lowercase();
    PIPES.iter().any(|artifact| artifact.matches(&pipe)) || STREAMS.iter().any(|suffix| pipe.ends_with(suffix))
}

/// Whether a service of this name is a remote shell's.
pub(super) fn is_shell_service(service: &str) -> bool {
    let service = service.to_ascii_lowercase();
    SERVICES.iter().any(|artifact| artifact.matches(&service))
}

/// Whether objects of a class (UUID in lower case) run what a caller tells them to (`MMC20.Application`, …).
pub(super) fn runs_code(class: &str) -> bool {
    CLASSES.iter().any(|artifact| artifact.matches(class))
}

#[derive(Debug)]
enum Artifact {
    Exact(Box<str>),
    Prefix(Box<str>),
    Regex(Regex),
}

impl Artifact {
    /// `text` is in lower case, as Windows names compare without case.
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(pattern) => **pattern == *text,
            Self::Prefix(pattern) => text.starts_with(&**pattern),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

static PIPES: LazyLock<Vec<Artifact>> = LazyLock::new(|| artifacts("named-pipe", "T1569.002"));
static SERVICES: LazyLock<Vec<Artifact>> = LazyLock::new(|| artifacts("service-name", "T1569.002"));
/// WMI's classes have another technique: activating them runs nothing.
static CLASSES: LazyLock<Vec<Artifact>> = LazyLock::new(|| artifacts("class-id", "T1021.003"));

/// Rows of one kind and technique that are not weak alone (severity low: four random letters) nor a system pipe
/// (medium: `svcctl`).
fn artifacts(kind: &str, technique: &str) -> Vec<Artifact> {
    let rows = csv::Reader::from_reader(TABLE.as_bytes()).into_records().flatten();
    rows.filter(|row| row.get(1) == Some(kind) && row.get(5) == Some(technique))
        .filter(|row| row.get(6) == Some("high") || kind == "class-id")
        .filter_map(|row| {
            let pattern = row.get(2)?;
            match row.get(3)? {
                "exact" => Some(Artifact::Exact(pattern.to_ascii_lowercase().into())),
                "prefix" => Some(Artifact::Prefix(pattern.to_ascii_lowercase().into())),
                "regex" => Regex::new(&format!("^(?i:{pattern})$")).ok().map(Artifact::Regex),
                _ => None,
            }
        })
        .collect()
}

/// A renamed PsExec keeps the names of its three streams: `<service>-<host>-<pid>-stdin`.
const STREAMS: [&str; 3] = ["-stdin", "-stdout", "-stderr"];
const TABLE: &str = include_str!("../../rules/intel/remote_exec_artifacts.csv");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_shells_are_known_by_pipe_service_and_class() {
        for (what, known, expected) in [
            ("PsExec's pipe", is_shell_pipe("PSEXESVC"), true),
            ("a stream of PsExec", is_shell_pipe("PSEXESVC-HOST-1234-stdin"), true),
            ("a stream of PsExec under another name", is_shell_pipe("myupdater-HOST-1234-stdout"), true),
            ("PAExec with process and host", is_shell_pipe("PAExec-1234-HOST.exe"), true),
            ("RemCom, spelled as it is", is_shell_pipe("RemCom_communicaton"), true),
            ("the service manager's pipe", is_shell_pipe("svcctl"), false),
            ("the print spooler's pipe", is_shell_pipe("spoolss"), false),
            ("PsExec's service", is_shell_service("psexesvc"), true),
            ("PAExec's service, by pattern", is_shell_service("PAExec-77-ADMINHOST"), true),
            ("four letters, weak alone", is_shell_service("abcd"), false),
            ("a product's service", is_shell_service("BackupAgent"), false),
            ("MMC20.Application", runs_code("49b2791a-b1ae-4c90-9b8e-e860ba07f889"), true),
            ("ShellWindows", runs_code("9ba05972-f6a8-11cf-a442-00a0c90a8f39"), true),
            ("WMI's login", runs_code("8bc3f05e-d86b-11d0-a075-00c04fb68820"), false),
        ] {
            assert_eq!(known, expected, "{what}");
        }
    }

    #[test]
    fn every_row_of_the_kinds_we_use_is_understood() {
        for (kind, technique) in [("named-pipe", "T1569.002"), ("service-name", "T1569.002"), ("class-id", "T1021.003")]
        {
            let rows = TABLE.lines().filter(|l| l.contains(&format!(",{kind},")) && l.contains(technique));
            let used = rows.filter(|l| l.contains(",high,") || kind == "class-id").count();
            let read = artifacts(kind, technique).len();
            assert!(read > 0 && read <= used, "{kind}: {read} of {used}");
        }
    }
}
