//! What `yukue_build_info` says: the compiler, and the revision where packaging gives one.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=sensor/build.rs");
    println!("cargo::rerun-if-env-changed=YUKUE_REVISION");
    let revision = env::var_os("YUKUE_REVISION").and_then(|given| given.into_string().ok());
    let revision = revision.as_deref().unwrap_or("unknown");
    println!("cargo::rustc-env=YUKUE_REVISION={revision}");
    let told = env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).arg("--version").output().ok());
    let told = told.and_then(|out| String::from_utf8(out.stdout).ok()).unwrap_or_default();
    println!("cargo::rustc-env=YUKUE_RUSTC={}", told.split_whitespace().nth(1).unwrap_or("unknown"));
}
