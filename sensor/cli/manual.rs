//! `yukue man` and `yukue completions`: both are made from the flags, so they cannot say anything else.

use super::{Arguments, Exit};
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Man pages.
#[derive(clap::Args)]
pub(super) struct ManFlags {
    /// Leave one page for each subcommand in this folder, which must exist; without it the main page is printed.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Completions.
#[derive(clap::Args)]
pub(super) struct CompletionFlags {
    /// The shell they are for.
    shell: Shell,
}

/// Runs `yukue man`.
pub(super) fn man(flags: &ManFlags) -> Exit {
    let command = Arguments::command();
    ended(match &flags.out {
        Some(folder) => pages(command, folder),
        None => page(command).and_then(|page| io::stdout().write_all(&page)),
    })
}

/// Runs `yukue completions`.
pub(super) fn completions(flags: &CompletionFlags) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(flags.shell, &mut Arguments::command(), "yukue", &mut text);
    ended(io::stdout().write_all(&text))
}

fn ended(done: io::Result<()>) -> Exit {
    match done {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done, // The reader has seen enough.
        Err(error) => {
            anstream::eprintln!("yukue: {error}");
            Exit::RunTime
        }
    }
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).manual("yukue").render(&mut text)?;
    Ok(text)
}

fn pages(command: clap::Command, folder: &Path) -> io::Result<()> {
    clap_mangen::generate_to(command.disable_help_subcommand(true), folder)
}
