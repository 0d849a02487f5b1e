//! `yukue intel`: newer tables from the vendors' own files.

use super::Exit;
use crate::base::Timestamp;
use crate::config;
use crate::intel::{self, Tables, Vendor};
use crate::output::{READABLE, replace};
use std::path::{Path, PathBuf};

/// What to do with tables.
#[derive(clap::Args)]
pub(super) struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Puts a vendor's file in place of that vendor's rows; `analyze --intel DIR` reads the result.
    Import(Import),
}

#[derive(clap::Args)]
struct Import {
    /// Who published the file.
    kind: Kind,
    /// The file as the vendor publishes it.
    file: PathBuf,
    /// The folder of your own tables; what it has already is updated.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// The day the file was published, where it does not say so itself.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    date: Option<String>,
    /// Take a file that is much smaller than what it replaces.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// ip-ranges.json of Amazon.
    Aws,
    /// ServiceTags_Public_*.json of Microsoft.
    Azure,
    /// cloud.json or goog.json of Google.
    Google,
    /// public_ip_ranges.json of Oracle.
    Oracle,
    /// The answer of api.github.com/meta.
    Github,
    /// public_suffix_list.dat of publicsuffix.org.
    Psl,
}

fn day(text: &str) -> Result<String, String> {
    Timestamp::of_day(text).map(|_| text.to_owned()).ok_or_else(|| "a day, as 2026-11-25".to_owned())
}

/// Runs the subcommand; what goes wrong is printed to standard error.
pub(super) fn run(flags: &Flags, quiet: bool) -> Exit {
    let Command::Import(import) = &flags.command;
    match import_file(import) {
        Ok(told) => {
            if !quiet {
                anstream::println!("{told}");
            }
            Exit::Done
        }
        Err(report) => {
            anstream::eprintln!("{report:?}");
            Exit::Usage
        }
    }
}

fn import_file(flags: &Import) -> Result<String, miette::Report> {
    let text = config::text_of(&flags.file).map_err(|e| *e)?;
    let own = config::tables(Some(&flags.out)).map_err(|e| *e)?;
    let vendor = match flags.kind {
        Kind::Psl => {
            intel::suffixes(&text, own.text(SUFFIXES), flags.force).map_err(|e| miette::miette!("{e}"))?;
            return write(&flags.out, SUFFIXES, &text, &own);
        }
        Kind::Aws => Vendor::Aws,
        Kind::Azure => Vendor::Azure,
        Kind::Google => Vendor::Google,
        Kind::Oracle => Vendor::Oracle,
        Kind::Github => Vendor::Github,
    };
    let ranges = intel::ranges(vendor, &text).map_err(|e| miette::miette!("{e}"))?;
    let date = flags.date.clone().or_else(|| intel::published(&text));
    let date = date.ok_or_else(|| miette::miette!("the file does not say when it was published: add --date"))?;
    let merged = intel::merged(own.text(RANGES), vendor, &ranges, &date, flags.force);
    write(&flags.out, RANGES, &merged.map_err(|e| miette::miette!("{e}"))?, &own)
}

/// Writes the table; a full disk leaves the old one whole.
fn write(folder: &Path, name: &'static str, text: &str, own: &Tables) -> Result<String, miette::Report> {
    let mut tables = own.clone();
    tables.replace(name, text.to_owned());
    intel::Intel::new(&tables, intel::Feeds::default()).map_err(|(name, wrong)| miette::miette!("{name}: {wrong}"))?;
    let path = folder.join(name);
    let write = || {
        std::fs::create_dir_all(folder)?;
        replace(&path, text.as_bytes(), READABLE)
    };
    write().map_err(|e| miette::miette!("{}: {e}", path.display()))?;
    Ok(format!("{}: {} lines", path.display(), text.lines().count()))
}

const RANGES: &str = "cloud_ranges.csv";
const SUFFIXES: &str = "public_suffix_list.dat";
