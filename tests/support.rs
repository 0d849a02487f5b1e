//! What several chapters need: where things lie, how the program is run, what it says of every capture.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `BLESS=1` rewrites expected files instead of comparing them.
pub(crate) fn bless() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// Every file below a folder, sorted.
pub(crate) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

/// Stems of the rule files, without the examples.
pub(crate) fn rule_stems() -> Vec<String> {
    let files =
        fs::read_dir(root().join("rules")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stems = files.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned));
    let stems: Vec<String> = stems.filter(|stem| !stem.ends_with(".example")).collect();
    assert!(!stems.is_empty(), "rules/ holds no rule");
    stems
}

/// Every capture that ships, by its path below `pcaps/`, sorted.
pub(crate) fn captures() -> Vec<String> {
    let folder = root().join("pcaps");
    let below = |p: &PathBuf| p.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
    files_under(&folder).iter().map(below).filter(|name| name != "README.md").collect()
}

/// `yukue` with arguments, started in the repository, so that paths in its records are the same everywhere.
pub(crate) fn yukue(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_yukue")).args(arguments).current_dir(root()).output().unwrap()
}

/// What `analyze` left of one run.
pub(crate) struct Run {
    /// What was read, as given.
    pub(crate) input: String,
    /// Exit code; `None` for a signal.
    pub(crate) code: Option<i32>,
    /// What it printed to standard error.
    pub(crate) said: String,
    /// Lines of `flows.jsonl`.
    pub(crate) flows: String,
    /// Lines of `facts.jsonl`.
    pub(crate) facts: String,
    /// Lines of `findings.jsonl`.
    pub(crate) findings: String,
    /// Lines of `alerts.jsonl`.
    pub(crate) alerts: String,
    /// `summary.json`.
    pub(crate) summary: String,
}

impl Run {
    /// The records whose bytes nothing but the packets may decide.
    pub(crate) fn records(&self) -> [(&'static str, &str); 4] {
        [("flows", &self.flows), ("facts", &self.facts), ("findings", &self.findings), ("alerts", &self.alerts)]
    }

    /// Alerts as values.
    pub(crate) fn alerts(&self) -> Vec<serde_json::Value> {
        values(&self.alerts)
    }
}

/// Lines as values.
pub(crate) fn values(lines: &str) -> Vec<serde_json::Value> {
    lines.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// Runs `analyze --out` over `input` with further flags.
pub(crate) fn analyze(input: &str, flags: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let arguments = [&["--quiet", "analyze", input, "--out", out.to_str().unwrap()], flags].concat();
    let output = yukue(&arguments);
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_default();
    Run {
        input: input.to_owned(),
        code: output.status.code(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
        flows: read("flows.jsonl"),
        facts: read("facts.jsonl"),
        findings: read("findings.jsonl"),
        alerts: read("alerts.jsonl"),
        summary: read("summary.json"),
    }
}

/// Runs `analyze` over a capture that is only in memory.
pub(crate) fn analyze_bytes(bytes: &[u8]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.pcap");
    fs::write(&path, bytes).unwrap();
    analyze(path.to_str().unwrap(), &[])
}

/// Every shipped capture, analysed once for all chapters; `input` is the path below `pcaps/`.
pub(crate) fn analyzed() -> &'static [Run] {
    static RUNS: OnceLock<Vec<Run>> = OnceLock::new();
    RUNS.get_or_init(|| {
        parallel(&captures(), |name| Run { input: name.clone(), ..analyze(&format!("pcaps/{name}"), &[]) })
    })
}

/// Applies `work` to all items by as many threads as there are cores, results in order.
pub(crate) fn parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let run = || {
            let mut mine = Vec::new();
            while let Some((n, item)) =
                Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, items.get(n)?)))
            {
                mine.push((n, work(item)));
            }
            mine
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}
