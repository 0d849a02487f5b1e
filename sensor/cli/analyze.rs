//! `yukue analyze`: capture files → records, a summary and an exit code.

use super::Exit;
use crate::base::{Lang, Prefix};
use crate::capture::CaptureError;
use crate::config;
use crate::detect::Severity;
use crate::engine::{self, Copies, Job, Outcome, RunError, Setup};
use crate::output::{Existing, OutputError, Progress, Shown};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What to read and where to leave the records.
#[derive(clap::Args)]
pub(super) struct Flags {
    /// Capture files (pcap, pcapng, plain or compressed with gzip or zstd), folders of them, or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// Leave flows, facts, findings, alerts and summary in this folder; it must be empty or new.
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite the records in a folder that is not empty.
    #[arg(long, requires = "out")]
    force: bool,
    /// Addresses that are inside (repeatable); without any, the private ranges are assumed.
    #[arg(long, value_name = "CIDR", help_heading = "Site")]
    inside: Vec<Prefix>,
    /// Exceptions within the inside (repeatable); the longest prefix decides.
    #[arg(long, value_name = "CIDR", help_heading = "Site")]
    outside: Vec<Prefix>,
    /// The site file: what is inside, who plays which role, what a role may reach.
    #[arg(long, value_name = "FILE", help_heading = "Site")]
    site: Option<PathBuf>,
    /// The asset list (CSV or TOML): address, mac, name, roles of machines; it wins over what the wire says.
    #[arg(long, value_name = "FILE", help_heading = "Site")]
    assets: Option<PathBuf>,
    /// Rules that replace shipped ones of the same name.
    #[arg(long, value_name = "DIR", help_heading = "Site")]
    rules: Option<PathBuf>,
    /// Tables that replace shipped ones of the same name, and feeds in its folder `feeds`.
    #[arg(long, value_name = "DIR", help_heading = "Site")]
    intel: Option<PathBuf>,
    /// Only packets that this BPF expression matches.
    #[arg(long, value_name = "EXPR", help_heading = "Input")]
    filter: Option<String>,
    /// What to do with packets that are seen twice within 20 ms, as on SPAN ports.
    #[arg(long, value_enum, default_value = "drop", help_heading = "Input")]
    duplicates: Duplicates,
    /// Print one JSON document (summary, alerts, findings) instead of text.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Exit with 3 when an alert has this severity or more.
    #[arg(long, value_name = "SEVERITY", value_parser = severity, help_heading = "Output")]
    fail_on: Option<Severity>,
    /// Parts that host pairs are dealt to; never changes a record.
    #[arg(long, hide = true, default_value_t = 1)]
    shards: usize,
    /// Ticks of event time to inject; never changes a record.
    #[arg(long, hide = true)]
    tick_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Duplicates {
    /// Remove and count them.
    Drop,
    /// Every packet counts.
    Keep,
}

fn severity(text: &str) -> Result<Severity, String> {
    let names = || Severity::ALL.map(Severity::name).join(", ");
    Severity::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| format!("one of {}", names()))
}

/// Runs the subcommand; what goes wrong is printed to standard error.
pub(super) fn run(flags: &Flags, quiet: bool, lang: Lang) -> Exit {
    let job = match job(flags) {
        Ok(job) => job,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            return Exit::Usage;
        }
    };
    let mut bar = None;
    let done = engine::analyze(job, &stop_on_signal(), |at| {
        if !quiet {
            bar.get_or_insert_with(|| Progress::new(at.total)).tick(at.read, at.packets);
        }
    });
    if let Some(bar) = bar {
        bar.finish();
    }
    let exit = done.and_then(|outcome| Ok(tell(flags, (quiet, lang), &outcome)?));
    match exit {
        Ok(exit) => exit,
        Err(error) => {
            anstream::eprintln!("yukue: {error}");
            exit_of(&error)
        }
    }
}

fn job(flags: &Flags) -> Result<Job<'_>, miette::Report> {
    let mut declared = config::declared(flags.site.as_deref(), &flags.inside, &flags.outside).map_err(|e| *e)?;
    if let Some(file) = &flags.assets {
        // The first that declares an address is believed.
        declared.hosts.splice(0..0, config::assets(file).map_err(|e| *e)?);
    }
    let rules = config::rules(flags.rules.as_deref()).map_err(|e| *e)?;
    let intel = config::intel(flags.intel.as_deref()).map_err(|e| *e)?;
    let copies = match flags.duplicates {
        Duplicates::Drop => Copies::Drop,
        Duplicates::Keep => Copies::Keep,
    };
    let existing = if flags.force { Existing::Replace } else { Existing::Refuse };
    Ok(Job {
        inputs: &flags.inputs,
        filter: flags.filter.as_deref(),
        declared,
        rules,
        intel,
        setup: Setup { shards: flags.shards, copies, tick: flags.tick_ms.map(Duration::from_millis) },
        out: flags.out.as_deref().map(|folder| (folder, existing)),
    })
}

/// Ctrl-C and the service manager's stop end the reading; what was read is kept.
fn stop_on_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal ends the program at once.
        let twice = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop));
        if let Err(error) = twice.and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop))) {
            tracing::warn!(%error, signal, "cannot catch the signal");
        }
    }
    stop
}

fn tell(flags: &Flags, (quiet, lang): (bool, Lang), outcome: &Outcome) -> Result<Exit, OutputError> {
    for path in &outcome.skipped {
        tracing::info!(path = %path.display(), "no capture, skipped");
    }
    let shown = Shown {
        summary: &outcome.summary,
        alerts: &outcome.alerts,
        findings: &outcome.findings,
        trail: &outcome.trail,
        records: flags.out.as_deref(),
        lang,
    };
    if flags.json {
        shown.print_json()?;
    } else if !quiet {
        shown.print()?;
    }
    // What somebody answers for is shown and fails nothing.
    let worst = outcome.alerts.iter().filter(|alert| alert.allowed.is_none()).map(|alert| alert.finding.severity).max();
    Ok(if outcome.summary.interrupted {
        Exit::Interrupted
    } else if flags.fail_on.is_some_and(|least| worst >= Some(least)) {
        Exit::Alerted
    } else if outcome.summary.input.iter().any(|input| input.damage.is_some()) {
        Exit::Damaged
    } else {
        Exit::Done
    })
}

fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Capture(CaptureError::NotACapture { .. } | CaptureError::Filter { .. }) => Exit::Usage,
        RunError::Capture(CaptureError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Exit::Usage
        }
        RunError::Output(OutputError::NotEmpty { .. }) => Exit::Usage,
        _ => Exit::RunTime,
    }
}
