//! What no record may depend on, and what no input may do.

use crate::support::{Run, analyze, analyzed, parallel, root};
use crate::synth::random::Random;
use std::fs;

/// Shard counts and ticks against one shard without ticks. A tick every millisecond is for captures of seconds.
const SLOW: &[&[&str]] =
    &[&["--shards", "2"], &["--shards", "3", "--tick-ms", "10007"], &["--shards", "8", "--tick-ms", "700"]];
const FAST: &[&[&str]] =
    &[&["--shards", "8", "--tick-ms", "1"], &["--shards", "3", "--tick-ms", "50"], &["--tick-ms", "7"]];

#[test]
fn shards_and_ticks_are_invisible() {
    let mut jobs = Vec::new();
    for run in analyzed() {
        let variants = if run.input.starts_with("protocol/") { &FAST[..1] } else { SLOW };
        jobs.extend(variants.iter().map(|flags| (run, *flags)));
    }
    check(&jobs, |run| format!("pcaps/{}", run.input));
}

#[test]
fn shards_and_ticks_are_invisible_over_many_files_at_once() {
    let whole = analyze("pcaps/protocol", &[]);
    assert_eq!(whole.code, Some(0), "{}", whole.said);
    let jobs: Vec<_> = FAST.iter().chain(SLOW).map(|flags| (&whole, *flags)).collect();
    check(&jobs, |run| run.input.clone());
}

fn check(jobs: &[(&Run, &[&str])], input: impl Fn(&Run) -> String + Sync) {
    let differ: Vec<String> = parallel(jobs, |(run, flags)| {
        let other = analyze(&input(run), flags);
        let unequal = run.records().into_iter().zip(other.records()).filter(|(a, b)| a.1 != b.1);
        let mut differ: Vec<String> =
            unequal.map(|((name, a), (_, b))| format!("{} {flags:?}: {name}\n{}", run.input, first(a, b))).collect();
        if other.code != run.code {
            differ.push(format!("{} {flags:?}: exit {:?} instead of {:?}", run.input, other.code, run.code));
        }
        differ
    })
    .concat();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// The first line that differs.
fn first(a: &str, b: &str) -> String {
    let at =
        a.lines().zip(b.lines()).position(|(a, b)| a != b).unwrap_or_else(|| a.lines().count().min(b.lines().count()));
    let line = |text: &str| text.lines().nth(at).unwrap_or("(nothing)").to_owned();
    format!("  line {at}\n  {}\n  {}", line(a), line(b))
}

/// Captures of every parser and carrier, mutated.
const MUTATED: &[&str] = &[
    "protocol/dns-udp.pcap",
    "protocol/dhcp-lease.pcap",
    "protocol/kerberos-logon.pcap",
    "protocol/ssh-session.pcap",
    "protocol/tls-12-certificate.pcap",
    "protocol/tls-13-split.pcap",
    "protocol/quic-v1.pcap",
    "protocol/http-chunked.pcap",
    "protocol/smb2-svcctl.pcap",
    "protocol/dcerpc-wmi.pcap",
    "protocol/winrm-command.pcap",
    "protocol/geneve-vni42.pcap",
    "protocol/gtpu-teid.pcap",
    "protocol/fragments-udp.pcap",
    "protocol/pcapng-mixed.pcapng",
];

#[test]
fn any_cut_and_any_flipped_bits_leave_the_program_standing() {
    let failed: Vec<String> = parallel(MUTATED, |name| {
        let folder = tempfile::tempdir().unwrap();
        let whole = fs::read(root().join("pcaps").join(name)).unwrap();
        let extension = name.rsplit_once('.').unwrap().1;
        let mut random = Random::new(whole.len() as u64);
        for n in 0..24 {
            let mut bytes = whole.clone();
            if n % 3 == 0 {
                bytes.truncate(somewhere(&mut random, &bytes));
            } else {
                for _ in 0..=(n * n / 4) {
                    let at = somewhere(&mut random, &bytes);
                    bytes[at] ^= 1 << random.below(8);
                }
            }
            fs::write(folder.path().join(format!("{n:02}.{extension}")), &bytes).unwrap();
        }
        let run = analyze(folder.path().to_str().unwrap(), &[]);
        let fine =
            matches!(run.code, Some(0 | 4)) && !run.said.contains("panicked") && !run.facts.contains("parser_panic");
        (!fine).then(|| format!("{name}: exit {:?}\n{}", run.code, run.said))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Past the file's header, which decides whether it is a capture at all.
fn somewhere(random: &mut Random, bytes: &[u8]) -> usize {
    usize::try_from(random.between(24, bytes.len() as u64 - 1)).unwrap()
}
