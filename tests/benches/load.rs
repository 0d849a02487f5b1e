//! `make bench`: what a packet costs the whole sensor, as a multiple of what it costs a bare libpcap loop.
//!
//! Both run as processes of their own, in turn, over the same generated files; the figure is CPU (user and system) and
//! the multiple is taken round by round, so that what else the machine does falls on both. Nothing is asserted of times;
//! that memory is allocated for flows and not for packets is asserted in `allocations.rs`.
//!
//! `yukue analyze` states the SHA-256 of its input, which no other packet reader here does and a live sensor has no use
//! for. It is counted, and measured by itself in the same round, so that both multiples can be given.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that cannot go on should say where"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bytes of checksums and lengths are taken apart"
)]

mod mix;
mod parsers;
mod scan;
mod speech;
mod wire;

use nix::sys::resource::{UsageWho, getrusage};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--bare", file] => bare(file),
        ["--digest", bytes] => digest(bytes.parse().unwrap()),
        ["--measure", program, ref rest @ ..] => measure(program, rest),
        ["--quick"] => {
            compare(1, 20);
            parsers::compare(50);
        }
        ["--parsers"] => parsers::compare(2_000),
        [] => {
            compare(5, 1);
            parsers::compare(2_000);
        }
        ref other => panic!("no such arguments: {other:?}"),
    }
}

/// Both loads, `pairs` times each, at one part in `part` of their size.
fn compare(pairs: usize, part: u64) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder).unwrap();
    let empty = generated(&folder, "empty", 0, mix::write);
    let idle = yukue(&empty.path, &folder);
    println!("{}", WHAT_IS_COUNTED.replace("ROUNDS", &pairs.to_string()));
    println!(
        "{:<6}{:>11}{:>9}{:>8}{:>10}{:>11}{:>10}{:>10}{:>12}{:>10}{:>11}{:>11}{:>13}",
        "load",
        "packets",
        "B/pkt",
        "MB",
        "bare ns",
        "digest ns",
        "yukue ns",
        "multiple",
        "less digest",
        "peak MiB",
        "flows",
        "evicted",
        "B/flow held"
    );
    let loads = [("mix", 100_000 / part, mix::write as Writer), ("scan", 4_290_000 / part, scan::write)];
    for (name, flows, writer) in loads {
        let load = generated(&folder, name, flows, writer);
        let round = |_| (bare_run(&load.path), digest_run(load.bytes), yukue(&load.path, &folder));
        let mut runs: Vec<_> = (0..pairs).map(round).collect();
        runs.sort_by(|(a, _, b), (c, _, d)| (b.cpu_ns * c.cpu_ns).total_cmp(&(d.cpu_ns * a.cpu_ns)));
        let (base, digest, run) = runs[pairs / 2];
        let packets = load.packets as f64;
        let summary = Summary::read(&folder.join("out/summary.json"));
        let held = summary.held.filter(|_| name == "scan").map_or_else(String::new, |held| {
            format!("{:.0}", run.peak_bytes.saturating_sub(idle.peak_bytes) as f64 / held.max(1) as f64)
        });
        println!(
            "{:<6}{:>11}{:>9.0}{:>8.0}{:>10.0}{:>11.0}{:>10.0}{:>10.2}{:>12.2}{:>10}{:>11}{:>11}{:>13}",
            name,
            load.packets,
            load.bytes as f64 / packets,
            load.bytes as f64 / 1e6,
            base.cpu_ns / packets,
            digest.cpu_ns / packets,
            run.cpu_ns / packets,
            run.cpu_ns / base.cpu_ns,
            (run.cpu_ns - digest.cpu_ns) / base.cpu_ns,
            run.peak_bytes >> 20,
            summary.flows,
            summary.evicted,
            held,
        );
    }
}

type Writer = fn(&Path, u64) -> std::io::Result<(u64, u64)>;

struct Load {
    path: PathBuf,
    packets: u64,
    bytes: u64,
}

/// The file, written unless it is there from a run before.
fn generated(folder: &Path, name: &str, flows: u64, writer: Writer) -> Load {
    let path = folder.join(format!("{name}-{flows}-{GENERATION}.pcap"));
    let note = path.with_extension("counts");
    if let Ok(counts) = fs::read_to_string(&note) {
        let counts: Vec<u64> = counts.split_whitespace().map(|n| n.parse().unwrap()).collect();
        return Load { path, packets: counts[0], bytes: counts[1] };
    }
    let (packets, bytes) = writer(&path, flows).unwrap();
    fs::write(note, format!("{packets} {bytes}\n")).unwrap();
    Load { path, packets, bytes }
}

/// What a process took.
#[derive(Clone, Copy, Debug)]
struct Usage {
    cpu_ns: f64,
    peak_bytes: u64,
}

fn yukue(load: &Path, folder: &Path) -> Usage {
    let out = folder.join("out");
    // What a run before has left would be paid for by this one.
    let _ = fs::remove_dir_all(&out);
    let arguments = ["analyze".as_ref(), load.as_os_str(), "--out".as_ref(), out.as_os_str()];
    usage(Command::new(env::current_exe().unwrap()).arg("--measure").arg(env!("CARGO_BIN_EXE_yukue")).args(arguments))
}

fn bare_run(load: &Path) -> Usage {
    let this = env::current_exe().unwrap();
    usage(Command::new(&this).arg("--measure").arg(&this).arg("--bare").arg(load))
}

fn digest_run(bytes: u64) -> Usage {
    let this = env::current_exe().unwrap();
    usage(Command::new(&this).arg("--measure").arg(&this).arg("--digest").arg(bytes.to_string()))
}

fn usage(command: &mut Command) -> Usage {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<u64> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    Usage { cpu_ns: numbers[0] as f64 * 1_000.0, peak_bytes: numbers[1] << 10 }
}

/// Runs a program and prints its CPU in microseconds and its peak memory in KiB. A process of its own, since the
/// system tells of ended children together.
fn measure(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    println!("{} {}", micros(usage.user_time()) + micros(usage.system_time()), usage.max_rss());
}

/// libpcap alone: reads every packet and looks at none.
fn bare(file: &str) {
    let mut capture = pcap::Capture::from_file(file).unwrap();
    let (mut packets, mut bytes) = (0_u64, 0_u64);
    while let Ok(packet) = capture.next_packet() {
        packets += 1;
        bytes += packet.data.len() as u64;
    }
    println!("{packets} {bytes}");
}

/// The SHA-256 of so many bytes, by the library and in the blocks the reader uses. One block lies in the cache all the
/// time, so this is the least it can cost.
fn digest(bytes: u64) {
    let block = vec![0x5a_u8; 256 * 1024];
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    let mut left = bytes;
    while left > 0 {
        let len = left.min(block.len() as u64);
        digest.update(&block[..len as usize]);
        left -= len;
    }
    println!("{:?}", digest.finish());
}

/// Printed before the figures.
const WHAT_IS_COUNTED: &str = "
CPU of whole processes, user and system, from start to exit; the files are in the page cache. ROUNDS rounds a load, the
three of a round one after the other; shown is the round of the median multiple.
  bare         libpcap alone reads every packet of the file and looks at none
  digest       the SHA-256 of as many bytes, which `analyze` states of its input; a live sensor has no such work
  yukue        `analyze`: reading, digest, decoding, flows, protocols, every detector, all records written
  multiple     yukue / bare; the aim for the mixed load is 3.5
  less digest  (yukue - digest) / bare
";

/// What the sensor says of its run.
struct Summary {
    flows: u64,
    evicted: u64,
    /// Most flows held at once, when it says so.
    held: Option<u64>,
}

impl Summary {
    fn read(path: &Path) -> Self {
        let summary: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let number = |pointer: &str| summary.pointer(pointer).and_then(serde_json::Value::as_u64);
        Self {
            flows: number("/flows").unwrap_or(0),
            evicted: number("/visibility/evicted_flows").unwrap_or(0),
            held: number("/visibility/peak_flows"),
        }
    }
}

/// Changes when the generators do, so that old files are not measured.
const GENERATION: u32 = 2;
