//! Live = offline: `analyze` on the recording gives the records of the live run, byte for byte, whatever the number of
//! workers and the pace; and at the original's pace they say what the original says.

use crate::veth::{Sensor, Sent, analyze, assert_equal_records, frames, replay, text, values, within};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Facts of many kinds, tags, tunnels, mirrors, fragments and copies; some three seconds.
const MIX: &[&str] = &[
    "protocol/kerberos-logon.pcap",
    "protocol/winrm-command.pcap",
    "protocol/tls-13.pcap",
    "protocol/quic-v1.pcap",
    "protocol/dns-tcp.pcap",
    "protocol/dns-udp.pcap",
    "protocol/dhcp-lease.pcap",
    "protocol/smb2-svcctl.pcap",
    "protocol/fragments-udp.pcap",
    "protocol/duplicates-span.pcap",
    "protocol/vlan-single.pcap",
    "protocol/vlan-qinq.pcap",
    "protocol/vxlan-vni42.pcap",
    "protocol/geneve-vni42.pcap",
    "protocol/erspan-ii.pcap",
    "protocol/offload-superframe.pcap",
    "hostile/dcerpc-endless.pcap",
];

#[test]
fn a_recording_gives_the_records_of_the_live_run_for_any_workers_and_pace() {
    within("equality::a_recording_gives_the_records_of_the_live_run_for_any_workers_and_pace", || {
        let sent = frames(MIX);
        for (workers, speed) in [("1", 1), ("2", 10), ("4", 10), ("4", 1)] {
            let what = format!("{workers} workers, {speed} times the pace");
            let status = live_equals_offline(&what, &sent, speed, &["--workers", workers]);
            assert_eq!(status["interfaces"][0]["delivered"], sent.len(), "{what}: every packet once");
            println!("{what}: {} packets, records equal", sent.len());
        }
    });
}

#[test]
fn alerts_of_a_live_run_are_those_of_its_recording_and_their_lag_is_measured() {
    within("equality::alerts_of_a_live_run_are_those_of_its_recording_and_their_lag_is_measured", || {
        let sent = frames(&["attack/execution-chain-svcctl.pcap"]);
        let status = live_equals_offline("an execution chain", &sent, 400, &["--workers", "2"]);
        let lag = &status["detection_lag"];
        assert!(lag["count"].as_u64().unwrap() > 0 && lag["max_s"].as_f64().unwrap() < 60.0, "{lag}");
        assert!(!status["analysis"]["alerts"].as_array().unwrap().is_empty(), "{status}");
        println!("alerts equal; told after {} s (median), {} s at most", lag["p50_s"], lag["max_s"]);
    });
}

#[test]
fn a_filter_means_the_same_live_and_offline_also_behind_tags() {
    within("equality::a_filter_means_the_same_live_and_offline_also_behind_tags", || {
        let sent = frames(&["protocol/vlan-single.pcap", "protocol/vlan-qinq.pcap", "protocol/dns-udp.pcap"]);
        for filter in ["udp port 53", "tcp", "not port 53", "vlan and tcp", "host 10.20.0.1"] {
            let folder = tempfile::tempdir().unwrap();
            let (log, record) = (folder.path().join("log"), folder.path().join("r.pcapng"));
            let record = record.to_str().unwrap();
            let mut sensor = Sensor::start(&log, &["--filter", filter, "--record", record]);
            replay(&sent, 100);
            // Frames that the kernel keeps back are not counted, so the last one to come is waited for by time alone.
            crate::veth::pause(Duration::from_millis(500));
            let status = sensor.until("it is quiet", |_| true);
            let (code, ..) = sensor.stop();
            assert_eq!(code.code(), Some(0), "{filter}: {status}");
            let all = folder.path().join("all.pcap");
            write_pcap(&all, &sent);
            let wanted = kept(&all, filter);
            assert_eq!(kept(Path::new(record), ""), wanted, "{filter}");
            println!("{filter}: {} of {} frames, live as offline", wanted[0], sent.len());
        }
    });
}

#[test]
fn at_the_originals_pace_a_live_run_says_what_the_original_says() {
    within("equality::at_the_originals_pace_a_live_run_says_what_the_original_says", || {
        for name in ["protocol/kerberos-logon.pcap", "protocol/winrm-command.pcap", "protocol/smb2-svcctl.pcap"] {
            let folder = tempfile::tempdir().unwrap();
            let (log, out) = (folder.path().join("log"), folder.path().join("out"));
            let sent = frames(&[name]);
            let mut sensor = Sensor::start(&log, &[]);
            replay(&sent, 1);
            sensor.until_received(sent.len());
            assert_eq!(sensor.stop().0.code(), Some(0));
            analyze(&Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps").join(name), &out);
            for (records, fields) in [
                (
                    "flows.jsonl",
                    &[
                        "proto",
                        "service",
                        "conn_state",
                        "history",
                        "orig_bytes",
                        "resp_bytes",
                        "orig_pkts",
                        "resp_pkts",
                    ][..],
                ),
                ("facts.jsonl", &["kind", "query", "sni", "host", "uri", "user", "operation", "path", "channel"]),
                ("findings.jsonl", &["detector", "entities"]),
                ("alerts.jsonl", &["detector", "entities"]),
            ] {
                let keys = ["id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"];
                let told = |folder: &Path| count(&text(folder, records), &[&keys[..], fields].concat());
                assert_eq!(told(&log), told(&out), "{name}: {records}");
            }
            println!("{name}: {} flows and their facts agree", text(&out, "flows.jsonl").lines().count());
        }
    });
}

/// Replays frames into a sensor that records; its last status, once its records were found equal to the recording's.
fn live_equals_offline(what: &str, sent: &[Sent], speed: u32, flags: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let (log, out, record) = (folder.path().join("log"), folder.path().join("out"), folder.path().join("r.pcapng"));
    let mut sensor = Sensor::start(&log, &[&["--record", record.to_str().unwrap()], flags].concat());
    replay(sent, speed);
    sensor.until_received(sent.len());
    let (code, took, said) = sensor.stop();
    assert_eq!(code.code(), Some(0), "{what}: {said}");
    assert!(took < Duration::from_secs(30), "{what}: stopping took {took:?}");
    analyze(&record, &out);
    assert_equal_records(what, &log, &out);
    for name in ["flows.jsonl", "facts.jsonl"] {
        assert!(!text(&log, name).is_empty(), "{what}: no {name}");
    }
    serde_json::from_str(&text(&log, "status.json")).unwrap()
}

/// How often each combination of fields occurs.
fn count(lines: &str, fields: &[&str]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for value in values(lines) {
        let key: Vec<String> = fields.iter().map(|field| value[field].to_string()).collect();
        *counts.entry(key.join(" ")).or_insert(0) += 1;
    }
    counts
}

/// Frames of a capture that pass a filter of ours, as `analyze` counts them, by length: what it read less what it kept
/// back.
fn kept(capture: &Path, filter: &str) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_yukue"));
    command.args([
        "--quiet",
        "analyze",
        capture.to_str().unwrap(),
        "--duplicates",
        "keep",
        "--out",
        out.to_str().unwrap(),
    ]);
    if !filter.is_empty() {
        command.args(["--filter", filter]);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let summary: serde_json::Value = serde_json::from_str(&text(&out, "summary.json")).unwrap();
    vec![summary["packets"].as_u64().unwrap(), summary["bytes"].as_u64().unwrap()]
}

/// A classic capture file of frames, a millisecond apart.
fn write_pcap(path: &Path, sent: &[Sent]) {
    let mut bytes = Vec::new();
    bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
    bytes.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
    for (n, frame) in (0_u32..).zip(sent) {
        let len = u32::try_from(frame.bytes.len()).unwrap();
        for word in [1_790_000_000 + n / 1_000, n % 1_000 * 1_000, len, len] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend_from_slice(&frame.bytes);
    }
    std::fs::write(path, bytes).unwrap();
}
