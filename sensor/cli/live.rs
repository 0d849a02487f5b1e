//! `yukue live`: packets of interfaces → the records of `analyze`, for as long as it is let run.

use super::Exit;
use super::site::{Duplicates, SiteFlags};
use crate::capture::{CaptureError, Taps};
use crate::engine::{self, LiveJob, RunError, Setup};
use crate::output::{self, Board, Rotation};
use std::path::PathBuf;

/// What to capture and where to leave the records.
#[derive(clap::Args)]
pub(super) struct Flags {
    /// Interfaces to capture on (repeatable).
    #[arg(short, long = "interface", value_name = "IFACE", required_unless_present_any = ["status", "watch"])]
    interfaces: Vec<String>,
    /// In place of interfaces, read the files that a capture program rotates into this folder, each once it is finished.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["interfaces", "record"])]
    watch: Option<PathBuf>,
    /// Leave flows, facts, findings, alerts and the sensor's state in this folder.
    #[arg(short, long, value_name = "DIR")]
    log_dir: PathBuf,
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
}

/// Runs the subcommand; what goes wrong is printed to standard error.
pub(super) fn run(flags: &Flags, quiet: bool) -> Exit {
    if flags.status {
        return tell_status(flags);
    }
    let (declared, rules, intel) = match flags.site.load() {
        Ok(loaded) => loaded,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            return Exit::Usage;
        }
    };
    let job = LiveJob {
        interfaces: &flags.interfaces,
        watch: flags.watch.as_deref(),
        taps: Taps {
            snaplen: flags.snaplen,
            buffer_mib: flags.buffer_mib,
            workers: flags.workers,
            filter: flags.filter.clone(),
        },
        declared,
        rules,
        intel,
        baseline: flags.baseline.as_deref(),
        setup: Setup { shards: 1, copies: flags.duplicates.copies(), tick: None },
        log: &flags.log_dir,
        rotation: Rotation { bytes: u64::from(flags.rotate_mib) << 20, keep: flags.keep },
        record: flags.record.as_deref(),
        queue_bytes: u64::from(flags.queue_mib) << 20,
    };
    let board = Board::default();
    match engine::live(job, &super::stop_on_signal(), &board) {
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

fn tell_status(flags: &Flags) -> Exit {
    match output::status_of(&flags.log_dir) {
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
