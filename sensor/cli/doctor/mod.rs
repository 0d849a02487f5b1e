//! `yukue doctor`: is this machine fit to see? Interfaces and their offloads, losses, what a mirror does wrong, clock,
//! rights, disk, age of intelligence; each trouble with the command that mends it.
//!
//! It changes nothing and needs no rights; what it could not read it says.

mod interfaces;
mod machine;
mod sensor;
mod traffic;

use super::Exit;
use crate::config::Loaded;
use crate::engine;
use crate::output::shown;
use machine::Machine;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where to look.
#[derive(clap::Args)]
pub(super) struct Flags {
    /// The configuration; looked at if it is there.
    #[arg(default_value = super::config::DEFAULT)]
    config: PathBuf,
    /// The same, as `yukue live` takes it.
    #[arg(long = "config", value_name = "FILE", conflicts_with = "config")]
    flagged: Option<PathBuf>,
    /// Capture interfaces (repeatable); without any those of the configuration, else all that are up.
    #[arg(short, long, value_name = "NAME")]
    interface: Vec<String>,
    /// Records of `yukue analyze --out DIR` over a sample of the traffic: copies and missing directions are told from it.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// All that is looked at, in the order it is told.
const CHECKS: &[(&str, Check)] = &[
    ("rights", sensor::rights),
    ("configuration", sensor::configuration),
    ("interface", interfaces::link),
    ("offloads", interfaces::offloads),
    ("ring", interfaces::ring),
    ("losses", interfaces::losses),
    ("sensor", traffic::running),
    ("copies", traffic::copies),
    ("directions", traffic::directions),
    ("clock", sensor::clock),
    ("disk", sensor::disk),
    ("intelligence", sensor::intelligence),
];

type Check = fn(&Scene) -> Vec<Verdict>;

/// What checks look at.
struct Scene {
    machine: Machine,
    /// Read, not there (`None`), or wrong.
    config: Option<Result<Loaded, String>>,
    interfaces: Vec<String>,
    /// The running sensor's status, or the summary of a run.
    seen: Result<serde_json::Value, String>,
    now_s: i64,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    level: Level,
    said: String,
    /// The command that mends it.
    mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    /// Some traffic is seen wrongly, or soon will be.
    Warn,
    /// What the sensor says cannot be relied on.
    Fail,
    /// It could not be read.
    Unknown,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }
}

impl Verdict {
    fn ok(said: impl Into<String>) -> Self {
        Self { level: Level::Ok, said: said.into(), mend: None }
    }

    fn unknown(said: impl Into<String>) -> Self {
        Self { level: Level::Unknown, said: said.into(), mend: None }
    }

    fn warn(said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Warn, said: said.into(), mend: Some(mend.into()) }
    }

    fn fail(said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Fail, said: said.into(), mend: Some(mend.into()) }
    }
}

/// Runs the subcommand; 1 when something makes the sensor's word unreliable.
pub(super) fn run(flags: &Flags, quiet: bool) -> Exit {
    let machine = Machine::real();
    let path = flags.flagged.as_ref().unwrap_or(&flags.config);
    let config = path.exists().then(|| Loaded::read(path).map_err(|e| e.to_string()));
    let interfaces = interfaces_of(flags, &machine, config.as_ref());
    let log = match &config {
        Some(Ok(loaded)) => loaded.config.parts.paths.log.clone(),
        _ => PathBuf::from("/var/log/yukue"),
    };
    let seen = seen(&machine, flags.run.as_deref(), &log);
    let scene = Scene { machine, config, interfaces, seen, now_s: engine::now().secs() };
    let verdicts = examine(&scene);
    let text = if flags.json { json(&verdicts) } else { lines(&verdicts, quiet) };
    anstream::print!("{text}");
    let bad = verdicts.iter().any(|(_, verdict)| verdict.level == Level::Fail);
    if bad { Exit::RunTime } else { Exit::Done }
}

fn examine(scene: &Scene) -> Vec<(&'static str, Verdict)> {
    CHECKS.iter().flat_map(|(name, check)| check(scene).into_iter().map(|verdict| (*name, verdict))).collect()
}

fn interfaces_of(flags: &Flags, machine: &Machine, config: Option<&Result<Loaded, String>>) -> Vec<String> {
    if !flags.interface.is_empty() {
        return flags.interface.clone();
    }
    let named: Vec<String> = match config {
        Some(Ok(loaded)) => loaded.config.parts.capture.iter().map(|capture| capture.interface.clone()).collect(),
        _ => Vec::new(),
    };
    if named.is_empty() { machine.interfaces() } else { named }
}

fn seen(machine: &Machine, run: Option<&Path>, log: &Path) -> Result<serde_json::Value, String> {
    let path = run.map_or_else(|| log.join("status.json"), |folder| folder.join("summary.json"));
    let text = machine.read(&path)?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn lines(verdicts: &[(&str, Verdict)], quiet: bool) -> String {
    let mut text = String::new();
    for (name, verdict) in verdicts.iter().filter(|(_, v)| !quiet || v.level != Level::Ok) {
        let level = verdict.level.name().to_uppercase();
        let _ = writeln!(text, "{level:<8} {name:<14} {}", shown(&verdict.said)); // A String takes all.
        if let Some(mend) = &verdict.mend {
            let _ = writeln!(text, "{:<23} mend: {}", "", shown(mend));
        }
    }
    text
}

fn json(verdicts: &[(&str, Verdict)]) -> String {
    let one = |(name, verdict): &(&str, Verdict)| {
        let mut fields = serde_json::Map::new();
        fields.insert("check".to_owned(), (*name).into());
        fields.insert("level".to_owned(), verdict.level.name().into());
        fields.insert("said".to_owned(), shown(&verdict.said).into_owned().into());
        if let Some(mend) = &verdict.mend {
            fields.insert("mend".to_owned(), shown(mend).into_owned().into());
        }
        serde_json::Value::Object(fields)
    };
    let all: Vec<_> = verdicts.iter().map(one).collect();
    format!("{}\n", serde_json::json!({ "checks": all }))
}

#[cfg(test)]
mod tests;
