//! `yukue config`: is the configuration right, what is in force, and a first one to begin with.

use super::Exit;
use crate::alert;
use crate::config::{self, Loaded};
use crate::engine;
use crate::output::{Origin, Output, Outputs, shown};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to do with a configuration.
#[derive(clap::Args)]
pub(super) struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Reads the configuration and all it names: site, rules, allow-list, intelligence, secrets and certificates.
    Check {
        #[command(flatten)]
        file: File,
        /// Tell every output a test alert and wait for the receipt.
        #[arg(long)]
        send: bool,
    },
    /// Prints what is in force, defaults included.
    Show(File),
    /// Writes a first configuration, every key with its meaning and default.
    Init {
        /// Where to; - for standard output. A file that is there is not touched.
        #[arg(default_value = DEFAULT)]
        file: PathBuf,
    },
}

#[derive(clap::Args)]
struct File {
    /// The configuration.
    #[arg(default_value = DEFAULT)]
    file: PathBuf,
}

/// Where packages put it.
pub(super) const DEFAULT: &str = "/etc/yukue/yukue.toml";

/// Runs the subcommand; what goes wrong is printed to standard error.
pub(super) fn run(flags: &Flags, quiet: bool) -> Exit {
    let done = match &flags.command {
        Command::Check { file, send } => check(&file.file, *send),
        Command::Show(File { file }) => {
            Loaded::read(file).map(|l| (l.config.shown(), Exit::Done)).map_err(|e| (*e).into())
        }
        Command::Init { file } => init(file),
    };
    super::print(done, quiet)
}

fn check(path: &Path, send: bool) -> Result<(String, Exit), miette::Report> {
    let loaded = Loaded::read(path).map_err(|e| *e)?;
    let (outputs, origin) = (&loaded.config.outputs, origin(&loaded));
    for output in outputs {
        output.settings.open(&origin).map_err(|e| miette::miette!("output {}: {e}", output.name))?;
    }
    let mut text = String::new();
    let interfaces: Vec<&str> = loaded.config.parts.capture.iter().map(|c| c.interface.as_str()).collect();
    let named: Vec<&str> = outputs.iter().map(|output| &*output.name).collect();
    let total: usize = loaded.rows.iter().map(|(_, rows)| rows).sum();
    let or_none = |list: &[&str]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}: right", path.display());
    let _ = writeln!(text, "interfaces: {}", or_none(&interfaces));
    let _ = writeln!(
        text,
        "rules on: {} of {}, allow-list entries: {}, declared hosts: {}, rows of intelligence: {total}",
        loaded.enabled(),
        loaded.rules.texts().count(),
        loaded.rules.allow.0.len(),
        loaded.declared.hosts.len()
    );
    let _ = writeln!(text, "outputs: {}", or_none(&named));
    let failed = if send { try_out(outputs, origin, &mut text)? } else { false };
    Ok((text, if failed { Exit::RunTime } else { Exit::Done }))
}

/// Who speaks: the configured name, else the machine's.
pub(super) fn origin(loaded: &Loaded) -> Origin {
    let sensor = loaded.config.parts.sensor.id.clone().unwrap_or_else(engine::host_name);
    Origin { sensor, now: engine::now }
}

/// Tells every output a test alert; true when one did not take it.
fn try_out(outputs: &[Output], origin: Origin, text: &mut String) -> Result<bool, miette::Report> {
    let running = Outputs::start(None, 0, outputs, origin).map_err(|e| miette::miette!("{e}"))?;
    let worst = outputs.iter().map(|output| output.least).max();
    let Some(severity) = worst else { return Ok(false) };
    running.tell(alert::trial(engine::now(), severity));
    running.settle(PATIENCE);
    let mut failed = false;
    for status in running.status() {
        let verdict = match (&status.trouble, status.ok) {
            (None, 1..) => "took the test alert".to_owned(),
            (trouble, _) => {
                failed = true;
                format!("did not take it: {}", shown(trouble.as_deref().unwrap_or("refused, see above, or no answer")))
            }
        };
        let _ = writeln!(text, "{}: {verdict}", status.name);
    }
    running.stop(Duration::from_millis(1));
    Ok(failed)
}

fn init(path: &Path) -> Result<(String, Exit), miette::Report> {
    if path == Path::new("-") {
        return Ok((config::EXAMPLE.to_owned(), Exit::Done));
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(config::EXAMPLE.as_bytes()));
    written.map_err(|e| miette::miette!("{}: {e}", path.display()))?;
    Ok((
        format!("{}: written; set the interface and the site file, then yukue config check\n", path.display()),
        Exit::Done,
    ))
}

/// For a receipt.
const PATIENCE: Duration = Duration::from_secs(20);
