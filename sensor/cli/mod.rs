//! One file a subcommand. Flags are documented once, here; exit codes are those of the output contract.

mod analyze;
mod baseline;
mod config;
mod doctor;
mod intel;
mod manual;
mod live;
mod rules;
mod site;
mod told;
mod web;

use crate::base::Lang;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Finds unintended outside communication in network traffic, and the server that staged it.
#[derive(Parser)]
#[command(name = "yukue", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// When to use colour; NO_COLOR counts as never.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    color: Color,
    /// Language of findings and alerts; without it, Japanese where LC_ALL or LANG is.
    #[arg(long, global = true, value_enum)]
    lang: Option<Lang>,
    /// Only results and errors.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// More of our own log (twice: still more).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Reads capture files and tells what should not have gone out.
    Analyze(analyze::Flags),
    /// What is usual here: learn it, look at it, carry it from site to site.
    Baseline(baseline::Flags),
    /// The sensor's configuration: checked, shown, begun.
    Config(config::Flags),
    /// Is this machine fit to see? Offloads, losses, mirror, clock, rights, disk; with the command that mends each.
    Doctor(doctor::Flags),
    /// Watches interfaces and tells while it happens.
    Live(live::Flags),
    /// Newer tables about the outside, from the vendors' own files.
    Intel(intel::Flags),
    /// Prints the manual page, or leaves one for each subcommand in a folder.
    Man(manual::ManFlags),
    /// Prints completions for a shell.
    Completions(manual::CompletionFlags),
    /// What rules there are, whether yours are right, and what a change would hide.
    Rules(rules::Flags),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// Exit codes of the output contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done,
    RunTime,
    /// A usage or configuration error, or an input that is missing or no capture.
    Usage,
    /// An alert at or above `--fail-on`.
    Alerted,
    /// Finished, but input was damaged or cut.
    Damaged,
    Interrupted,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::RunTime => 1,
            Self::Usage => 2,
            Self::Alerted => 3,
            Self::Damaged => 4,
            Self::Interrupted => 130,
        }
    }
}

/// Runs the command line `args`, the program's name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; a closed pipe is nobody's.
            let code = if error.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    choose_colour(arguments.color);
    start_log(match &arguments.command {
        // Somebody looks into a service's log when something happened: reloads and recoveries are in it.
        Command::Live(_) => arguments.verbose.max(1),
        _ => arguments.verbose,
    });
    let exit = match &arguments.command {
        Command::Analyze(flags) => analyze::run(flags, arguments.quiet, arguments.lang.unwrap_or_else(spoken)),
        Command::Baseline(flags) => baseline::run(flags, arguments.quiet),
        Command::Config(flags) => config::run(flags, arguments.quiet),
        Command::Doctor(flags) => doctor::run(flags, arguments.quiet),
        Command::Live(flags) => live::run(flags, arguments.quiet),
        Command::Intel(flags) => intel::run(flags, arguments.quiet),
        Command::Man(flags) => manual::man(flags),
        Command::Completions(flags) => manual::completions(flags),
        Command::Rules(flags) => rules::run(flags, arguments.quiet),
    };
    ExitCode::from(exit.code())
}

/// The language of the environment.
fn spoken() -> Lang {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    let japanese = set.is_some_and(|value| value.to_string_lossy().starts_with("ja"));
    if japanese { Lang::Ja } else { Lang::En }
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

/// The service manager's reload, or a `kill -HUP`: set by each, taken back by who has reloaded.
fn reload_on_signal() -> Arc<AtomicBool> {
    let asked = Arc::new(AtomicBool::new(false));
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&asked)) {
        tracing::warn!(%error, "cannot catch the signal to reload");
    }
    asked
}

/// Prints what a subcommand has to say, or what the user wrote wrong.
fn print(done: Result<(String, Exit), miette::Report>, quiet: bool) -> Exit {
    match done {
        Ok((text, exit)) => {
            if !quiet || exit != Exit::Done {
                anstream::print!("{text}");
            }
            exit
        }
        Err(report) => {
            anstream::eprintln!("{report:?}");
            Exit::Usage
        }
    }
}

fn choose_colour(color: Color) {
    let choice = match color {
        // anstream looks at NO_COLOR, CLICOLOR and TERM by itself.
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let colour = std::io::stderr().is_terminal() && anstream::ColorChoice::global() != anstream::ColorChoice::Never;
    // A second call, as tests make, finds the log running already.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .without_time()
        .with_target(false)
        .try_init();
}
