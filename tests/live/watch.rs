//! A folder of rotating capture files gives the records of the one capture that they are pieces of.

use crate::veth::{Sensor, analyze, text, values};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

const WHOLE: &str = "pcaps/attack/execution-chain-svcctl.pcap";

#[test]
fn rotated_files_give_the_records_of_the_whole_capture_also_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, log, out) = (folder.path().join("spool"), folder.path().join("log"), folder.path().join("out"));
    fs::create_dir(&spool).unwrap();
    let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(WHOLE)).unwrap();
    let pieces = pieces(&whole, 4);
    let packets: usize = pieces.iter().map(|(_, packets)| packets).sum();
    let put = |n: usize| {
        let path = spool.join(format!("ring{}.pcap", n % 3));
        fs::write(&path, &pieces[n].0).unwrap();
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + n as u64);
        fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    };
    let watch = ["--watch", spool.to_str().unwrap()];
    put(0);
    put(1);
    let mut sensor = Sensor::run(&log, &watch);
    let delivered = |status: &serde_json::Value| status["packets"]["packets"].as_u64().unwrap_or(0);
    sensor.until("two pieces are read", |s| delivered(s) == (pieces[0].1 + pieces[1].1) as u64);
    put(2);
    // The first name comes again.
    put(3);
    sensor.until("all pieces are read", |s| delivered(s) == packets as u64);
    let (code, _, said) = sensor.stop();
    assert_eq!(code.code(), Some(0), "{said}");
    analyze(&Path::new(env!("CARGO_MANIFEST_DIR")).join(WHOLE), &out);
    for name in ["flows.jsonl", "facts.jsonl"] {
        assert!(!text(&out, name).is_empty() && text(&log, name) == text(&out, name), "{name} differs");
    }
    for name in ["findings.jsonl", "alerts.jsonl"] {
        let told = |folder: &Path| {
            let mut told = values(&text(folder, name));
            // Where the packets lie is all that may differ.
            told.iter_mut().for_each(|claim| drop(claim.as_object_mut().unwrap().remove("evidence")));
            told
        };
        assert_eq!(told(&log), told(&out), "{name} differs");
    }
    let mut again = Sensor::run(&log, &watch);
    again.until("it runs", |s| s["phase"] == "capturing");
    let (code, ..) = again.stop();
    assert_eq!((code.code(), text(&log, "flows.jsonl").as_str()), (Some(0), ""), "nothing is read twice");
    println!("4 files, {packets} packets: the records of the whole");
}

/// A classic capture in `n` pieces with its header each, and how many packets are in each.
fn pieces(whole: &[u8], n: usize) -> Vec<(Vec<u8>, usize)> {
    let (header, mut rest) = whole.split_at(24);
    let mut records = Vec::new();
    while !rest.is_empty() {
        let captured = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, after) = rest.split_at(16 + captured);
        records.push(record);
        rest = after;
    }
    let some = records.chunks(records.len().div_ceil(n));
    some.map(|some| {
        (
            some.iter().fold(header.to_vec(), |mut file, record| {
                file.extend_from_slice(record);
                file
            }),
            some.len(),
        )
    })
    .collect()
}
