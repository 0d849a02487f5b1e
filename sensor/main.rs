//! The edge: arguments → exit code.

use std::process::ExitCode;

/// Facts are small, live for a second of event time and are freed in another order than they came.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    yukue::cli::run(std::env::args_os())
}
