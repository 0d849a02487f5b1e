//! `pcaps/` holds what the writers make, byte for byte, and its table says so. `BLESS=1` rewrites both.

use crate::support::{bless, captures, root};
use crate::synth::captures::{CAPTURES, Capture};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;

/// Campaigns and office days may be larger.
const LARGE: &[&str] = &[
    "attack/staging-antivirus-push.pcap",
    "attack/staging-antivirus-pull.pcap",
    "attack/staging-antivirus-poisoned.pcap",
    "benign/office-day.pcap",
    "benign/software-rollout.pcap",
    "benign/admin-then-browsing.pcap",
    "site/nat.pcap",
    "site/address-swap.pcap",
    "site/proxy.pcap",
];

#[test]
fn the_captures_are_what_the_writers_make() {
    let made: Vec<(&Capture, Vec<u8>)> = std::thread::scope(|scope| {
        let makers: Vec<_> = CAPTURES.iter().map(|c| (c, scope.spawn(|| (c.make)()))).collect();
        makers.into_iter().map(|(c, maker)| (c, maker.join().unwrap())).collect()
    });
    let mut differ = Vec::new();
    for (capture, bytes) in &made {
        let path = root().join("pcaps").join(capture.path);
        if bless() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        } else if fs::read(&path).ok().as_ref() != Some(bytes) {
            differ.push(capture.path);
        }
    }
    let table = table(&made);
    let readme = root().join("pcaps/README.md");
    if bless() {
        fs::write(&readme, &table).unwrap();
    } else if fs::read_to_string(&readme).ok().as_ref() != Some(&table) {
        differ.push("README.md");
    }
    check_sizes(&made);
    assert!(differ.is_empty(), "pcaps/ differs from its writers (BLESS=1 rewrites): {differ:#?}");
}

#[test]
fn every_capture_has_a_writer() {
    for name in captures() {
        assert!(CAPTURES.iter().any(|c| c.path == name), "{name} has no writer");
    }
}

/// What `pcaps/` may hold: single files and all together.
fn check_sizes(made: &[(&Capture, Vec<u8>)]) {
    for (capture, bytes) in made {
        let limit = if LARGE.contains(&capture.path) { 3 << 20 } else { 200 << 10 };
        assert!(bytes.len() <= limit, "{}: {} bytes, {limit} allowed", capture.path, bytes.len());
    }
    let total: usize = made.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(total <= 16 << 20, "{total} bytes in all");
}

fn table(made: &[(&Capture, Vec<u8>)]) -> String {
    let mut out = String::from(
        "# Captures\n\n\
         Every file here is made by `tests/synth/` from fixed seeds; `cargo test shipped` makes them again and compares \
         byte for byte, `BLESS=1 cargo test shipped` rewrites them and this table. Nothing was recorded from a real \
         network; payloads that stand for ciphertext are random, scripts do nothing. Licence: Apache-2.0, like the \
         rest of the project.\n\n\
         Outside addresses are from RFC 5737 and RFC 3849, inside ones from RFC 1918, hardware addresses from RFC 7042, \
         names end in `.example`, save tenants of shared clouds, whose labels start with `yukue-test-`.\n\n\
         `attack/` holds what must be found, `benign/` what must not alarm, `protocol/` one point of a protocol each, \
         `hostile/` damage. What is expected of each lies under the same path in `tests/expected/`.\n\n\
         | file | bytes | shows | SHA-256 |\n|---|---:|---|---|\n",
    );
    for (capture, bytes) in made {
        let digest = hex::encode(Sha256::digest(bytes));
        writeln!(out, "| `{}` | {} | {} | `{digest}` |", capture.path, bytes.len(), capture.shows).unwrap();
    }
    out
}
