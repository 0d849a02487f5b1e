//! `yukue live`: packets of interfaces → the records of `analyze`, for as long as it is let run.

use super::Exit;
use super::site::{Duplicates, SiteFlags};
use super::web::WebFlags;
use crate::alert::Rules;
use crate::capture::{CaptureError, Taps};
use crate::config::{Capture, Config, Loaded};
use crate::engine::{self, LiveJob, RunError, Setup};
use crate::intel::Intel;
use crate::output::{self, Board, Outputs, Rotation};
use crate::profile::Declared;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to capture and where to leave the records.
#[derive(clap::Args)]
pub(super) struct Flags {
    /// Interfaces to capture on (repeatable).
    #[arg(short, long = "interface", value_name = "IFACE", required_unless_present_any = ["status", "watch", "config"])]
    interfaces: Vec<String>,
    /// In place of interfaces, read the files that a capture program rotates into this folder, each once it is finished.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["interfaces", "record"])]
    watch: Option<PathBuf>,
    /// The configuration (`yukue config init`): interfaces, site, rules, limits and outputs, in place of their flags.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["interfaces", "watch", "log_dir"])]
    config: Option<PathBuf>,
    /// Leave flows, facts, findings, alerts and the sensor's state in this folder.
    #[arg(short, long, value_name = "DIR", required_unless_present = "config")]
    log_dir: Option<PathBuf>,
    /// Show the state of the sensor that writes into the log folder, and exit.
    #[arg(long, conflicts_with_all = ["interfaces", "watch"])]
    status: bool,
    #[command(flatten)]
    site: SiteFlags,
    /// Go on from what this file knows of the site (it is made when there is none), and keep it up to date.
    #[arg(long, value_name = "FILE", help_heading = "Baseline")]
    baseline: Option<PathBuf>,
    /// Also write what is captured, as pcapng with nanoseconds; `analyze` on it gives the same records.
    #[arg(long, value_name = "FILE", help_heading = "Capture")]
    record: Option<PathBuf>,
    /// Rings and readers of an interface; packets are dealt to them by flow.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Capture")]
    workers: u32,
    /// Only packets that this BPF expression matches, also behind VLAN tags.
    #[arg(long, value_name = "EXPR", help_heading = "Capture")]
    filter: Option<String>,
    /// Bytes kept of a packet.
    #[arg(long, value_name = "N", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(64..=262_144), help_heading = "Capture")]
    snaplen: u32,
    /// Size of one worker's ring in the kernel.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2_047), help_heading = "Capture")]
    buffer_mib: u32,
    /// What may wait for the analysis; above half of it bulk payload is dropped, at all of it everything, and counted.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536), help_heading = "Capture")]
    queue_mib: u32,
    /// What to do with packets that are seen twice within 20 ms, as on SPAN ports.
    #[arg(long, value_enum, default_value = "drop", help_heading = "Capture")]
    duplicates: Duplicates,
    /// Move a log aside at this size.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Output")]
    rotate_mib: u32,
    /// How many logs moved aside are kept, of each kind.
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Output")]
    keep: usize,
    #[command(flatten)]
    web: WebFlags,
}

/// Runs the subcommand; what goes wrong is printed to standard error.
pub(super) fn run(flags: &Flags, quiet: bool) -> Exit {
    if flags.status {
        return tell_status(flags);
    }
    let plan = match flags.config.as_deref().map_or_else(|| flagged(flags), |path| configured(flags, path)) {
        Ok(plan) => plan,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            return Exit::Usage;
        }
    };
    let board = Board::default();
    let web = match flags.web.start(&plan.rules, &plan.interfaces, &board, &plan.log) {
        Ok(web) => web,
        Err(error) => {
            anstream::eprintln!("yukue: {error}");
            return Exit::Usage;
        }
    };
    let job = LiveJob {
        interfaces: &plan.interfaces,
        watch: flags.watch.as_deref(),
        taps: plan.taps,
        declared: plan.declared,
        rules: plan.rules,
        intel: plan.intel,
        baseline: flags.baseline.as_deref(),
        setup: Setup { shards: 1, copies: flags.duplicates.copies(), tick: None },
        log: &plan.log,
        rotation: plan.rotation,
        record: flags.record.as_deref(),
        queue_bytes: plan.queue_bytes,
        outputs: plan.outputs.as_ref(),
        web: web.as_ref(),
    };
    let done = engine::live(job, &super::stop_on_signal(), &board);
    if let Some(outputs) = plan.outputs {
        outputs.stop(GRACE);
    }
    match done {
        Ok(_) => {
            if !quiet {
                anstream::eprintln!("{}", output::status_lines(&board.read(), None));
            }
            Exit::Done
        }
        Err(error) => {
            anstream::eprintln!("yukue: {error}");
            match error {
                RunError::Capture(CaptureError::Filter { .. }) | RunError::Store(_) => Exit::Usage,
                _ => Exit::RunTime,
            }
        }
    }
}

/// What flags or the configuration ask for.
struct Plan {
    interfaces: Vec<String>,
    taps: Taps,
    declared: Declared,
    rules: Rules,
    intel: Intel,
    log: PathBuf,
    rotation: Rotation,
    queue_bytes: u64,
    outputs: Option<Outputs>,
}

fn flagged(flags: &Flags) -> Result<Plan, miette::Report> {
    let (declared, rules, intel) = flags.site.load()?;
    Ok(Plan {
        interfaces: flags.interfaces.clone(),
        taps: Taps {
            snaplen: flags.snaplen,
            buffer_mib: flags.buffer_mib,
            workers: flags.workers,
            filter: flags.filter.clone(),
        },
        declared,
        rules,
        intel,
        log: flags.log_dir.clone().unwrap_or_default(),
        rotation: Rotation { bytes: u64::from(flags.rotate_mib) << 20, keep: flags.keep },
        queue_bytes: u64::from(flags.queue_mib) << 20,
        outputs: None,
    })
}

fn configured(flags: &Flags, path: &Path) -> Result<Plan, miette::Report> {
    let loaded = Loaded::read(path).map_err(|e| *e)?;
    let parts = &loaded.config.parts;
    let Some(first) = parts.capture.first() else {
        return Err(miette::miette!("{}: no [[capture]] names an interface", path.display()));
    };
    let alike = |other: &Capture| Capture { interface: first.interface.clone(), ..other.clone() } == *first;
    if !parts.capture.iter().all(alike) {
        return Err(miette::miette!("{}: every [[capture]] has the same keys but for its interface", path.display()));
    }
    if flags.site.is_given() {
        return Err(miette::miette!("the configuration names site, rules and intel; leave their flags out"));
    }
    let (state, limits) = (parts.paths.state.join("outbox"), &parts.limits);
    let outputs =
        Outputs::start(Some(&state), limits.outbox_bytes, &loaded.config.outputs, super::config::origin(&loaded))
            .map_err(|e| miette::miette!("{e}"))?;
    Ok(Plan {
        interfaces: parts.capture.iter().map(|capture| capture.interface.clone()).collect(),
        taps: Taps {
            snaplen: first.snaplen,
            buffer_mib: u32::try_from(first.buffer_bytes >> 20).unwrap_or(u32::MAX).clamp(1, MOST_RING_MIB),
            workers: first.workers,
            filter: first.filter.clone(),
        },
        log: parts.paths.log.clone(),
        rotation: Rotation {
            bytes: limits.record_file_bytes,
            keep: usize::try_from(limits.record_files).unwrap_or(usize::MAX),
        },
        queue_bytes: limits.queue_bytes,
        outputs: Some(outputs),
        declared: loaded.declared,
        rules: loaded.rules,
        intel: loaded.intel,
    })
}

fn log_of(flags: &Flags) -> Result<PathBuf, miette::Report> {
    let Some(path) = &flags.config else { return Ok(flags.log_dir.clone().unwrap_or_default()) };
    Ok(Config::read(path).map_err(|e| *e)?.parts.paths.log)
}

/// For receivers to take what was told last; the rest waits in the outbox.
const GRACE: Duration = Duration::from_secs(5);
/// libpcap counts a ring's bytes in 31 bits.
const MOST_RING_MIB: u32 = 2_047;

fn tell_status(flags: &Flags) -> Exit {
    let log = match log_of(flags) {
        Ok(log) => log,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            return Exit::Usage;
        }
    };
    match output::status_of(&log) {
        Ok(status) => {
            anstream::println!("{}", output::status_lines(&status, Some(engine::now())));
            Exit::Done
        }
        Err(error) => {
            anstream::eprintln!("yukue: {error}");
            Exit::RunTime
        }
    }
}
