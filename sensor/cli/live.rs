//! `yukue live`: packets of interfaces → the records of `analyze`, for as long as it is let run.

use super::Exit;
use super::site::{Duplicates, SiteFlags};
use super::web::WebFlags;
use crate::capture::{CaptureError, Taps};
use crate::config::{self, Capture, Config, Loaded, Written};
use crate::engine::{self, Inject, LiveJob, Opening, Receivers, Reloading, RunError, Setup, Watched};
use crate::output::{self, Board, Outputs, Rotation};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
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
    /// What is to go wrong, for tests; a released sensor has no such flag.
    #[cfg(debug_assertions)]
    #[arg(long, hide = true, value_name = "FILE")]
    inject: Option<PathBuf>,
}

impl Flags {
    #[cfg(debug_assertions)]
    fn inject(&self) -> std::io::Result<Inject> {
        self.inject.as_deref().map_or_else(|| Ok(Inject::default()), Inject::read)
    }

    #[cfg(debug_assertions)]
    fn injected_from(&self) -> Option<PathBuf> {
        self.inject.as_deref()?.parent().map(Path::to_owned)
    }

    #[cfg(not(debug_assertions))]
    fn inject(&self) -> std::io::Result<Inject> {
        Ok(Inject::default())
    }

    #[cfg(not(debug_assertions))]
    fn injected_from(&self) -> Option<PathBuf> {
        None
    }
}

/// Runs the subcommand; what goes wrong is printed to standard error.
pub(super) fn run(flags: &Flags, quiet: bool) -> Exit {
    if flags.status {
        return tell_status(flags);
    }
    // Before anything is read: a signal that comes meanwhile ends nothing.
    let (stop, asked) = (super::stop_on_signal(), super::reload_on_signal());
    let plan = match plan(flags) {
        Ok(plan) => plan,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            return Exit::Usage;
        }
    };
    let board = Board::default();
    match capture(flags, plan, (&stop, asked), &board) {
        Ok(()) => {
            if !quiet {
                anstream::eprintln!("{}", output::status_lines(&board.read(), None));
            }
            Exit::Done
        }
        Err(Failure { message, exit }) => {
            anstream::eprintln!("yukue: {message}");
            exit
        }
    }
}

/// Opens, gives up all rights, listens, captures until told to stop.
fn capture(
    flags: &Flags,
    plan: Plan,
    (stop, asked): (&AtomicBool, Arc<AtomicBool>),
    board: &Board,
) -> Result<(), Failure> {
    let opening = Opening {
        interfaces: &plan.interfaces,
        taps: &plan.taps,
        log: &plan.log,
        rotation: plan.rotation,
        record: flags.record.as_deref(),
        read: plan
            .loaded
            .read_from(&plan.written)
            .into_iter()
            .chain(flags.web.read_from())
            .chain(flags.watch.clone())
            .chain(flags.injected_from())
            .collect(),
        write: plan.loaded.written_to().into_iter().chain(plan.state.clone()).chain(plan.kept_in()).collect(),
    };
    let inject = flags.inject().map_err(Failure::usage)?;
    let opened = opening.open()?;
    let receivers = match &plan.state {
        Some(state) => {
            let (outputs, limit) = (&plan.loaded.config.outputs, plan.loaded.config.parts.limits.outbox_bytes);
            let origin = super::config::origin(&plan.loaded);
            Receivers::new(Outputs::start(Some(&state.join("outbox")), limit, outputs, origin).map_err(Failure::usage)?)
        }
        None => Receivers::default(),
    };
    let web = match flags.web.settings(plan.web.as_ref(), &plan.log) {
        Some(settings) => {
            let of =
                Watched { interfaces: &plan.interfaces, loaded: &plan.loaded, receivers: receivers.clone(), board };
            Some(engine::web(&settings, &of).map_err(Failure::usage)?)
        }
        None => None,
    };
    let job = LiveJob {
        interfaces: &plan.interfaces,
        watch: flags.watch.as_deref(),
        taps: plan.taps,
        opened,
        loaded: plan.loaded,
        reloading: Reloading { written: plan.written, asked },
        baseline: plan.baseline.as_deref(),
        setup: Setup { shards: 1, copies: flags.duplicates.copies(), tick: None },
        inject,
        log: &plan.log,
        rotation: plan.rotation,
        queue_bytes: plan.queue_bytes,
        receivers: receivers.clone(),
        web: web.as_ref(),
    };
    let done = engine::live(job, stop, board);
    receivers.stop(GRACE);
    done.map(drop).map_err(Failure::from)
}

/// Why it did not go on, and the exit code that says so.
struct Failure {
    message: String,
    exit: Exit,
}

impl Failure {
    fn usage(error: impl std::fmt::Display) -> Self {
        Self { message: error.to_string(), exit: Exit::Usage }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit = match error {
            RunError::Capture(CaptureError::Filter { .. }) | RunError::Store(_) => Exit::Usage,
            _ => Exit::RunTime,
        };
        Self { message: error.to_string(), exit }
    }
}

/// What flags or the configuration ask for.
struct Plan {
    written: Written,
    loaded: Loaded,
    interfaces: Vec<String>,
    taps: Taps,
    log: PathBuf,
    /// Where alerts wait for receivers, when there can be any.
    state: Option<PathBuf>,
    baseline: Option<PathBuf>,
    /// `[web]`, with a configuration.
    web: Option<config::Web>,
    rotation: Rotation,
    queue_bytes: u64,
}

impl Plan {
    /// The folder of the baseline: a damaged one is moved aside within it.
    fn kept_in(&self) -> Option<PathBuf> {
        let folder = self.baseline.as_deref()?.parent()?;
        Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
    }
}

fn plan(flags: &Flags) -> Result<Plan, miette::Report> {
    match &flags.config {
        None => flagged(flags),
        Some(path) => configured(flags, path),
    }
}

fn flagged(flags: &Flags) -> Result<Plan, miette::Report> {
    let written = Written::Flags(flags.site.named());
    Ok(Plan {
        loaded: written.read().map_err(|e| *e)?,
        written,
        interfaces: flags.interfaces.clone(),
        taps: Taps {
            snaplen: flags.snaplen,
            buffer_mib: flags.buffer_mib,
            workers: flags.workers,
            filter: flags.filter.clone(),
        },
        log: flags.log_dir.clone().unwrap_or_default(),
        state: None,
        baseline: flags.baseline.clone(),
        web: None,
        rotation: Rotation { bytes: u64::from(flags.rotate_mib) << 20, keep: flags.keep },
        queue_bytes: u64::from(flags.queue_mib) << 20,
    })
}

fn configured(flags: &Flags, path: &Path) -> Result<Plan, miette::Report> {
    let written = Written::File(path.to_owned());
    let loaded = written.read().map_err(|e| *e)?;
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
    let (state, limits) = (parts.paths.state.clone(), &parts.limits);
    Ok(Plan {
        interfaces: parts.capture.iter().map(|capture| capture.interface.clone()).collect(),
        taps: Taps {
            snaplen: first.snaplen,
            buffer_mib: u32::try_from(first.buffer_bytes >> 20).unwrap_or(u32::MAX).clamp(1, MOST_RING_MIB),
            workers: first.workers,
            filter: first.filter.clone(),
        },
        log: parts.paths.log.clone(),
        baseline: Some(flags.baseline.clone().unwrap_or_else(|| state.join("baseline.redb"))),
        state: Some(state),
        web: Some(parts.web.clone()),
        rotation: Rotation {
            bytes: limits.record_file_bytes,
            keep: usize::try_from(limits.record_files).unwrap_or(usize::MAX),
        },
        queue_bytes: limits.queue_bytes,
        written,
        loaded,
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
