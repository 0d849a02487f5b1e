//! Pipes by which PsExec and its like are known (`rules/intel/remote_exec_artifacts.csv`, compiled in).

use std::sync::LazyLock;

/// Whether a pipe of this name is one end of a remote shell's service.
pub(super) fn is_remote_shell(pipe: &str) -> bool {
    let pipe = pipe.to_ascii_lowercase();
    SHELLS.iter().any(|(pattern, matching)| match matching {
        Matching::Exact => pipe == **pattern,
        Matching::Prefix => pipe.starts_with(&**pattern),
    }) || STREAMS.iter().any(|suffix| pipe.ends_with(suffix))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matching {
    Exact,
    Prefix,
}

/// Pipes of tools: the rows that name service execution and are not a system service's own pipe.
static SHELLS: LazyLock<Vec<(Box<str>, Matching)>> = LazyLock::new(|| {
    let rows = csv::Reader::from_reader(ARTIFACTS.as_bytes()).into_records().flatten();
    rows.filter(|row| row.get(1) == Some("named-pipe") && row.get(5) == Some("T1569.002"))
        .filter(|row| row.get(6) == Some("high"))
        .filter_map(|row| {
            let matching = match row.get(3)? {
                "exact" => Matching::Exact,
                "prefix" => Matching::Prefix,
                _ => return None,
            };
            Some((row.get(2)?.to_ascii_lowercase().into(), matching))
        })
        .collect()
});

/// A renamed PsExec keeps the names of its three streams: `<service>-<host>-<pid>-stdin`.
const STREAMS: [&str; 3] = ["-stdin", "-stdout", "-stderr"];
const ARTIFACTS: &str = include_str!("../../../rules/intel/remote_exec_artifacts.csv");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_shells_are_known_by_their_pipes() {
        for (what, pipe, expected) in [
            ("PsExec", "PSEXESVC", true),
            ("a stream of PsExec", "PSEXESVC-HOST-1234-stdin", true),
            ("PsExec under another name", "myupdater-HOST-1234-stdout", true),
            ("PAExec with host and process", "PAExec-1234-HOST.exe", true),
            ("RemCom, spelled as it is", "RemCom_communicaton", true),
            ("the service manager itself", "svcctl", false),
            ("a pipe of the print spooler", "spoolss", false),
        ] {
            assert_eq!(is_remote_shell(pipe), expected, "{what}");
        }
    }
}
