//! `yukue baseline`: what is usual here, learned from captures, looked at, compared, carried and answered for.

use super::Exit;
use super::analyze::exit_of;
use super::site::SiteFlags;
use super::stop_on_signal;
use crate::base::{BadRecord, Kind, Record, Timestamp};
use crate::config::Loaded;
use crate::engine::snapshots::{self, NoWayBack};
use crate::engine::{self, Archive, Copies, Job, Setup, Signer, Store, StoreError};
use crate::output::{Progress, shown};
use crate::profile::{Baseline, Difference, Extent, Inside, NotApproved, Overview, Renamed, SavedApproval};
use clap::builder::NonEmptyStringValueParser;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to do with a baseline.
#[derive(clap::Args)]
pub(super) struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Learns from captures what is usual, going on from what the file holds already; nothing is told.
    Learn(Learn),
    /// What a baseline holds: how long, how many, and each host's habits; while a sensor runs on it, its newest snapshot.
    Show {
        /// The baseline, or a snapshot of one.
        file: PathBuf,
    },
    /// What one baseline knows and the other does not.
    Diff {
        /// The one.
        here: PathBuf,
        /// The other.
        there: PathBuf,
    },
    /// Writes a baseline as JSON to standard output.
    Export {
        /// The baseline.
        file: PathBuf,
    },
    /// Makes a baseline of exported JSON.
    Import {
        /// What `export` wrote.
        json: PathBuf,
        /// The new baseline.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Makes one baseline of several, as of sensors that watch one site.
    Merge {
        /// The baselines; the first one's ids stay.
        #[arg(required = true, num_args = 2.., value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The new baseline.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Answers for a destination that an incident named: it may become usual again.
    Approve(Approve),
    /// The weekly snapshots of a baseline, oldest first: of when, how much, SHA-256, whose signature, and whether they are whole.
    Snapshots {
        /// The baseline.
        file: PathBuf,
    },
    /// Goes back to what was known at a moment, when something was learned since that should not have been.
    Rollback {
        /// The baseline; no sensor may run on it.
        file: PathBuf,
        /// The newest snapshot of then or before is taken: a day or a moment in UTC.
        #[arg(long, value_name = "TIME", value_parser = super::analyze::moment)]
        to: Timestamp,
        /// The public key that must have signed it, as `snapshots` prints it; that of the key beside the baseline unless given.
        #[arg(long, value_name = "KEY")]
        signed_by: Option<Signer>,
    },
}

#[derive(clap::Args)]
struct Learn {
    /// Capture files or folders of them, as for `analyze`.
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// The baseline: made, or continued.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Move a damaged baseline aside and begin anew.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    site: SiteFlags,
    /// Only packets that this BPF expression matches.
    #[arg(long, value_name = "EXPR", help_heading = "Input")]
    filter: Option<String>,
    /// Seconds of event time between two saves on the way; never changes what is learned.
    #[arg(long, hide = true, default_value_t = 3600)]
    save_every_s: u64,
}

#[derive(clap::Args)]
struct Approve {
    /// The baseline.
    file: PathBuf,
    /// The destination's name or owner, as alerts call it.
    #[arg(long, value_name = "NAME")]
    destination: String,
    /// Only for this host: its address, name or hardware address.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Who answers for it.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    owner: String,
    /// Why it is right.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    /// The last day it holds.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    expires: Timestamp,
}

fn day(text: &str) -> Result<Timestamp, String> {
    Timestamp::of_day(text).ok_or_else(|| "a day, as 2027-03-31".to_owned())
}

/// Why a subcommand could not do what it should.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {reason}", path = path.display())]
    Json { path: PathBuf, reason: String },
    #[error("{path} is there already; move it away or choose another name", path = .0.display())]
    Exists(PathBuf),
    #[error("{path} is not written, no run would go on from it: {bad}", path = path.display())]
    Refused { path: PathBuf, bad: BadRecord },
    #[error(transparent)]
    NotApproved(#[from] NotApproved),
    #[error(transparent)]
    NoWayBack(#[from] NoWayBack),
    #[error("the baseline {path} is in use by another yukue (a running sensor?) and no week of it was kept yet; stop that one first", path = .0.display())]
    NothingKept(PathBuf),
}

/// Runs the subcommand; what goes wrong is printed to standard error.
pub(super) fn run(flags: &Flags, quiet: bool) -> Exit {
    let done = match &flags.command {
        Command::Learn(learn) => return learned(learn, quiet),
        Command::Show { file } => shown_as_it_is(file),
        Command::Diff { here, there } => diff(here, there),
        Command::Export { file } => export(file),
        Command::Import { json, out } => import(json, out),
        Command::Merge { files, out } => merge(files, out),
        Command::Approve(approval) => approve(approval),
        Command::Snapshots { file } => snapshots_of(file),
        Command::Rollback { file, to, signed_by } => roll_back(file, *to, *signed_by),
    };
    match done {
        Ok(text) => {
            if !quiet || matches!(flags.command, Command::Export { .. }) {
                anstream::print!("{text}");
            }
            Exit::Done
        }
        Err(wrong) => {
            anstream::eprintln!("yukue: {}", shown(&wrong.to_string()));
            if matches!(
                wrong,
                Wrong::Store(StoreError::Write { .. }) | Wrong::NoWayBack(NoWayBack::Store(StoreError::Write { .. }))
            ) {
                Exit::RunTime
            } else {
                Exit::Usage
            }
        }
    }
}

fn learned(flags: &Learn, quiet: bool) -> Exit {
    let job = match job(flags) {
        Ok(job) => job,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            return Exit::Usage;
        }
    };
    if flags.force && Store::read(&flags.out).is_err_and(|error| error.is_damage()) {
        match Store::set_aside(&flags.out) {
            Ok(aside) => anstream::eprintln!("yukue: the damaged baseline is now {}", aside.display()),
            Err(error) => {
                anstream::eprintln!("yukue: {error}");
                return Exit::RunTime;
            }
        }
    }
    let mut bar = None;
    let to = (flags.out.as_path(), Duration::from_secs(flags.save_every_s));
    let done = engine::learn(job, to, &stop_on_signal(), |at| {
        if !quiet {
            bar.get_or_insert_with(|| Progress::new(at.total)).tick(at.read, at.packets);
        }
    });
    if let Some(bar) = bar {
        bar.finish();
    }
    match done {
        Ok(learn) => {
            if !quiet {
                let known = learn.learnt;
                anstream::println!(
                    "{}: {} hosts known, {} still learning, {} new; {} records",
                    flags.out.display(),
                    known.ready,
                    known.learning,
                    known.new,
                    learn.records
                );
                if learn.pruned > 0 {
                    anstream::println!("{} pairs last met more than 400 days ago and were let go of", learn.pruned);
                }
            }
            if learn.interrupted { Exit::Interrupted } else { Exit::Done }
        }
        Err(error) => {
            anstream::eprintln!("yukue: {error}");
            exit_of(&error)
        }
    }
}

fn job(flags: &Learn) -> Result<Job<'_>, miette::Report> {
    let Loaded { declared, rules, intel, .. } = flags.site.load()?;
    Ok(Job {
        inputs: &flags.inputs,
        filter: flags.filter.as_deref(),
        declared,
        rules,
        intel,
        baseline: None,
        learn_until: None,
        setup: Setup { shards: 1, copies: Copies::Drop, tick: None },
        out: None,
    })
}

/// A baseline or a snapshot of one.
fn read(path: &Path) -> Result<Baseline, Wrong> {
    let records = if snapshots::is_snapshot(path) { snapshots::read(path)?.records } else { Store::read(path)? };
    if records.is_empty() {
        return Err(StoreError::Empty { path: path.to_owned() }.into());
    }
    Ok(Baseline::read(&records).map_err(|bad| StoreError::bad(path, bad))?)
}

/// Writes a baseline that a run would go on from, and its index, into a file that is not there yet.
fn write(
    path: &Path,
    baseline: &Baseline,
    index: impl FnOnce(&mut dyn FnMut(Record)) -> Result<(), StoreError>,
) -> Result<u64, Wrong> {
    if path.exists() {
        return Err(Wrong::Exists(path.to_owned()));
    }
    let all: Vec<Record> = baseline.records().collect();
    engine::goes_on(&all).map_err(|bad| Wrong::Refused { path: path.to_owned(), bad })?;
    let mut indexed = Ok(());
    let records = Store::open(path)?.save(Extent::All, |put| {
        all.into_iter().for_each(&mut *put);
        indexed = index(put);
    })?;
    indexed?;
    Ok(records)
}

fn show(baseline: &Baseline) -> String {
    let Overview { span, hosts, ready_hosts, owners, ties, waiting, held, meters, utc_offset_s, approvals, inside } =
        baseline.overview();
    let mut text = String::new();
    if let Some((first, last)) = span {
        let _ = writeln!(text, "learned   {first} to {last}, days {:+.1} h from UTC", f64::from(utc_offset_s) / 3600.0);
    }
    let _ = writeln!(text, "hosts     {hosts}, of which {ready_hosts} for more than seven active days");
    let _ = writeln!(text, "meets     {owners} destination owners, {ties} pairs, {meters} of them metered");
    let _ = writeln!(text, "waits     {waiting} first contacts in quarantine, {held} pairs held by open incidents");
    let Inside { machines, cases, hops, stories, alerts } = inside;
    let _ = writeln!(
        text,
        "inside    {machines} machines with their contacts, {hops} pairs of which one acts on the other"
    );
    let _ = writeln!(text, "open      {cases} cases, {stories} clusters and chains, {alerts} alerts");
    for approval in approvals {
        let expires = Timestamp::from_secs(approval.expires.saturating_mul(86_400)).to_string();
        let (day, _) = expires.split_once('T').unwrap_or((&expires, ""));
        let host = approval.host.as_deref().unwrap_or("every host");
        let line = format!("{host} → {}, until {day}: {} ({})", approval.destination, approval.reason, approval.owner);
        let _ = writeln!(text, "approved  {}", shown(&line));
    }
    let _ =
        writeln!(text, "\n{:<40} {:<24} {:>4} {:>6} {:>6} {:>12}", "host", "name", "days", "meets", "new", "most out");
    for host in baseline.shown_hosts() {
        let _ = writeln!(
            text,
            "{:<40} {:<24} {:>4} {:>6} {:>5.1}% {:>12}",
            host.ip,
            shown(host.name.as_deref().unwrap_or(&host.key)),
            host.active_days,
            host.owners,
            host.chance_of_new * 100.0,
            host.most_bytes_out
        );
    }
    text
}

/// Of a baseline that a sensor holds, its newest snapshot, and of when it is.
fn shown_as_it_is(path: &Path) -> Result<String, Wrong> {
    match read(path) {
        Err(Wrong::Store(StoreError::InUse { .. })) => {
            let snapshot = snapshots::newest(path)?.ok_or_else(|| Wrong::NothingKept(path.to_owned()))?;
            let baseline = Baseline::read(&snapshot.records).map_err(|bad| StoreError::bad(&snapshot.path, bad))?;
            Ok(format!(
                "in use by a running sensor: this is its snapshot of {}, {}\n{}",
                snapshot.time,
                snapshot.path.display(),
                show(&baseline)
            ))
        }
        read => read.map(|baseline| show(&baseline)),
    }
}

fn snapshots_of(path: &Path) -> Result<String, Wrong> {
    let mut text = String::new();
    let mut before = None;
    let own = Signer::beside(path);
    for file in snapshots::files(path)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match snapshots::read(&file) {
            Ok(found) => {
                let hosts = Baseline::read(&found.records).map_err(|bad| StoreError::bad(&file, bad))?.overview().hosts;
                let follows = before.is_none_or(|before| before == found.before);
                let _ = writeln!(
                    text,
                    "{}  {hosts} hosts, {} records, {} bytes, sha256 {}, {}  {name}{}{}",
                    found.time,
                    found.records.len(),
                    found.bytes,
                    hex::encode(found.digest),
                    engine::by_whom(found.signer),
                    if own.is_some() && found.signer != own { "  NOT BY THE KEY beside the baseline" } else { "" },
                    if follows { "" } else { "  DOES NOT FOLLOW the one above" }
                );
                before = Some(found.digest);
            }
            Err(error) => {
                let _ = writeln!(text, "{name}: {error}");
                before = None;
            }
        }
    }
    if text.is_empty() {
        text = format!("{}: no week of it was kept yet\n", path.display());
    }
    Ok(text)
}

fn roll_back(path: &Path, to: Timestamp, signer: Option<Signer>) -> Result<String, Wrong> {
    let done = snapshots::roll_back(path, to, signer)?;
    Ok(format!(
        "{}: back to {}, {} records; of what came since, {} pairs of the index, {} approvals and {} snapshots are gone\n\
         what was known until now is {}\n",
        path.display(),
        done.to,
        done.records,
        done.pairs_dropped,
        done.approvals_dropped,
        done.snapshots_dropped,
        done.aside.display()
    ))
}

fn diff(here: &Path, there: &Path) -> Result<String, Wrong> {
    let Difference { hosts, owners, ties } = read(here)?.difference(&read(there)?);
    let mut text = String::new();
    for (sign, at) in [('-', 0_usize), ('+', 1)] {
        for (what, names) in [("host", &hosts), ("destination", &owners)] {
            for name in names.get(at).into_iter().flatten() {
                let _ = writeln!(text, "{sign} {what} {}", shown(name));
            }
        }
        for (host, owner) in ties.get(at).into_iter().flatten() {
            let _ = writeln!(text, "{sign} {} meets {}", shown(host), shown(owner));
        }
    }
    Ok(text)
}

fn export(file: &Path) -> Result<String, Wrong> {
    let baseline = read(file)?;
    let mut index = Vec::new();
    each_pair(file, &mut |record| index.push(record))?;
    Ok(format!("{:#}\n", baseline.export(&index)))
}

/// The index of a baseline; a snapshot has none.
fn each_pair(path: &Path, each: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
    if snapshots::is_snapshot(path) { Ok(()) } else { Archive::open(path)?.each(each) }
}

fn import(json: &Path, out: &Path) -> Result<String, Wrong> {
    let io = |source| Wrong::Io { path: json.to_owned(), source };
    let wrong = |reason: String| Wrong::Json { path: json.to_owned(), reason };
    let text = std::fs::read_to_string(json).map_err(io)?;
    let written = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let (baseline, index) = Baseline::import(&written).map_err(|error| wrong(error.to_string()))?;
    let pairs = index.len();
    let records = write(out, &baseline, |put| {
        index.into_iter().for_each(put);
        Ok(())
    })?;
    Ok(format!("{}: {records} records, {pairs} pairs in the index\n", out.display()))
}

fn merge(files: &[PathBuf], out: &Path) -> Result<String, Wrong> {
    let mut all = files.iter().map(|path| read(path));
    // Clap asks for two at least.
    let mut merged = all.next().ok_or_else(|| Wrong::Exists(out.to_owned()))??;
    let mut ids = vec![Renamed::of(&merged)];
    for other in all {
        ids.push(merged.merge(&other?, engine::joined).map_err(|bad| StoreError::bad(out, bad))?);
    }
    let (mut pairs, mut forgotten) = (0_u64, 0_u64);
    let records = write(out, &merged, |put| {
        for (path, ids) in files.iter().zip(&ids) {
            each_pair(path, &mut |record| match ids.meeting(record) {
                Some(record) => {
                    pairs = pairs.saturating_add(1);
                    put(record);
                }
                None => forgotten = forgotten.saturating_add(1),
            })?;
        }
        Ok(())
    })?;
    let hosts = merged.overview().hosts;
    Ok(format!(
        "{}: {records} records, {hosts} hosts; {pairs} pairs of the indexes, {forgotten} more of hosts that are forgotten\n",
        out.display()
    ))
}

fn approve(flags: &Approve) -> Result<String, Wrong> {
    let mut baseline = read(&flags.file)?;
    let released = baseline.approve(SavedApproval {
        host: flags.host.clone(),
        destination: flags.destination.clone(),
        owner: flags.owner.clone(),
        reason: flags.reason.clone(),
        expires: flags.expires.utc_day(),
    })?;
    let mut store = Store::open(&flags.file)?;
    // Everything but approvals is written anew; those that were there are the same.
    store.save(Extent::All, |put| baseline.records().for_each(put))?;
    let kept = baseline.records().filter(|record| record.kind == Kind::Approval).count();
    Ok(format!("{}: {released} pairs released, {kept} approvals\n", flags.file.display()))
}
