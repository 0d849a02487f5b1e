//! `yukue analyze`: capture files → records, a summary and an exit code.

use super::Exit;
use super::site::{Duplicates, SiteFlags};
use crate::base::{Lang, Timestamp};
use crate::capture::CaptureError;
use crate::config::Loaded;
use crate::detect::Severity;
use crate::engine::{self, Job, Outcome, RunError, Setup, StoreError};
use crate::output::{Existing, OutputError, Progress, Shown};
use std::path::PathBuf;
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
    #[command(flatten)]
    site: SiteFlags,
    /// What `yukue baseline learn` learned of this site before.
    #[arg(long, value_name = "FILE", help_heading = "Baseline")]
    baseline: Option<PathBuf>,
    /// Learn from the input until this moment (2027-03-31 or 2027-03-31T09:00:00Z) and judge what comes after it.
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "Baseline")]
    learn_until: Option<Timestamp>,
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

fn severity(text: &str) -> Result<Severity, String> {
    let names = || Severity::ALL.map(Severity::name).join(", ");
    Severity::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| format!("one of {}", names()))
}

/// A moment in UTC: a day, or a day and a time.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no moment such as 2027-03-31 or 2027-03-31T09:00:00Z");
    let (day, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00Z"));
    let day = Timestamp::of_day(day).ok_or_else(wrong)?;
    let parts: Vec<Option<i64>> =
        time.trim_end_matches('Z').split(':').map(|part| part.parse().ok().filter(|n| (0..60).contains(n))).collect();
    let [Some(hour), Some(minute), Some(second)] = parts.as_slice() else { return Err(wrong()) };
    if *hour > 23 {
        return Err(wrong());
    }
    Ok(Timestamp::from_secs(day.secs().saturating_add(hour * 3600 + minute * 60 + second)))
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
    let done = engine::analyze(job, &super::stop_on_signal(), |at| {
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
    let Loaded { declared, rules, intel, .. } = flags.site.load()?;
    let existing = if flags.force { Existing::Replace } else { Existing::Refuse };
    Ok(Job {
        inputs: &flags.inputs,
        filter: flags.filter.as_deref(),
        declared,
        rules,
        intel,
        baseline: flags.baseline.as_deref(),
        learn_until: flags.learn_until,
        setup: Setup {
            shards: flags.shards,
            copies: flags.duplicates.copies(),
            tick: flags.tick_ms.map(Duration::from_millis),
        },
        out: flags.out.as_deref().map(|folder| (folder, existing)),
    })
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

pub(super) fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Capture(CaptureError::NotACapture { .. } | CaptureError::Filter { .. }) => Exit::Usage,
        RunError::Capture(CaptureError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Exit::Usage
        }
        // A baseline that is not there or cannot be used is a wrong flag; one that cannot be written is not.
        RunError::Store(error) if !matches!(error, StoreError::Write { .. }) => Exit::Usage,
        RunError::Output(OutputError::NotEmpty { .. }) => Exit::Usage,
        _ => Exit::RunTime,
    }
}
