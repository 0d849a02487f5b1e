//! The edge: arguments → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    yukue::cli::run(std::env::args_os())
}
