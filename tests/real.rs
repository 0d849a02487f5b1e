//! The main job on captures that others made, where they are at hand: `CORPUS` names a folder with `captures/` in it.
//! Without it every test here says SKIPPED. Captures are known by their SHA-256; of others' bytes nothing is kept here.
//!
//! In these captures one outside address is the only destination, so naming it proves little: each pair is also changed
//! in ways that must, or must not, change the answer.

use crate::packets::{Packet, merge, write};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What must be told about some captures.
struct Case {
    what: &'static str,
    sha256: &'static [&'static str],
    flags: &'static [&'static str],
    /// Server, affected host, destination.
    chain: [&'static str; 3],
    /// A word of the explanation: by which door.
    door: &'static str,
}

const INSIDE: &[&str] = &["--inside", "172.18.0.0/16"];
const LAB: [&str; 3] = ["172.18.39.5", "172.18.39.6", "10.10.10.5"];

const CHAINS: &[Case] = &[
    Case {
        what: "a service created over SMB",
        sha256: &[
            "97a1934118b1070a5aefbfbe28a2e03bfd444e287ddbbccf6a98445569fca184",
            "eb9c21b8a804cdcd1f865a7c6049414e197df5ff97a2eb2386faca8d488a5156",
        ],
        flags: INSIDE,
        chain: LAB,
        door: "svcctl",
    },
    Case {
        what: "WMI",
        sha256: &[
            "b383c3cdd0394f647796362e26eefba8361d87e0899382322137dee1b81c2f9e",
            "7dd366ab08ef7e239d40057b07304597920d484a3c3cfe11c5213198ebe8f344",
        ],
        flags: INSIDE,
        chain: LAB,
        door: "wmi",
    },
    Case {
        what: "DCOM",
        sha256: &[
            "3832f4865782bec5d2164cf948ca9f62e917b69bab89762c54b74e43ea381b4b",
            "1d8bed3a296ceac4ed684d86c586d6dd9826e6aeaffa8f50a41839d36829a80b",
        ],
        flags: INSIDE,
        chain: LAB,
        door: "dcom",
    },
    Case {
        what: "a DLL copied, then DCOM",
        sha256: &[
            "05e755f6a00a29b34313a31ed4aa9f9a29082c6787dfcf0f3c0b9bb56c38a60c",
            "78788486a7744f54c7965b21f91cdae7000c5d56e79b72b9839a7075b499942a",
        ],
        flags: INSIDE,
        chain: LAB,
        door: "dcom",
    },
    Case {
        what: "a server made to beacon by WMI",
        sha256: &["c039c5d04ce81ccb57f364b9b576cc65e8f365c821234c2514302a4b3ce2de43"],
        flags: &["--inside", "192.168.1.0/24", "--outside", "192.168.1.161/32"],
        chain: ["192.168.1.46", "192.168.1.195", "192.168.1.161"],
        door: "wmi",
    },
];

/// Captures that must stay quiet: name, SHA-256, flags, the severity that no alert may exceed.
const QUIET: &[(&str, &str, &[&str], &str)] = &[
    (
        "remote PowerShell without a call-back",
        "c1dcb4c0aaec64786ae9647c817fa7c6f59d373360c187b3fe922db1ec67f08d",
        INSIDE,
        "medium",
    ),
    ("ordinary browsing", "61c9865d38c33935fd171e620b1af7453af7d8c81c17059efe5e451028439dee", &[], "info"),
    ("ordinary DNS", "3a383980f3b83e0c9832ddb45b90ed3664867fd12df701df0375fdae08c9cef4", &[], "info"),
    ("more ordinary DNS", "9b4e42f429d8964fb3c1385182b9b1265ba5067bcf7fb53f2da5027f9e5f8874", &[], "info"),
];

#[test]
fn the_chain_is_told_once_with_server_host_and_destination() {
    let Some(corpus) = corpus() else { return };
    for case in CHAINS {
        let files: Vec<_> = case.sha256.iter().filter_map(|sha| corpus.get(*sha)).collect();
        assert_eq!(files.len(), case.sha256.len(), "{}: the corpus lacks a capture", case.what);
        let told = analyze(&files, case.flags);
        expect_chain(case.what, &told, case.chain, case.door);
    }
}

#[test]
fn quiet_captures_stay_quiet() {
    let Some(corpus) = corpus() else { return };
    for (what, sha256, flags, most) in QUIET {
        let told = analyze(&[&corpus[*sha256]], flags);
        let worst = told.alerts.iter().map(|a| rank(a["severity"].as_str().unwrap())).max().unwrap_or(0);
        assert!(worst <= rank(most), "{what}: {:#?}", told.alerts);
        assert!(told.of_kind("execution_chain").is_empty() && told.of_kind("staging_campaign").is_empty(), "{what}");
    }
    let told = analyze(&[&corpus[QUIET[0].1]], INSIDE);
    assert!(told.findings.iter().any(|f| f["detector"] == "remote_execution"), "{:#?}", told.findings);
}

#[test]
fn moved_addresses_and_times_move_the_alert_along() {
    each_pair(|case, mut packets| {
        let moved = [(172, 10), (18, 77)];
        for packet in &mut packets {
            packet.ts_us += 40 * 86_400_000_000;
            packet.map_ips(|ip| match ip.octets() {
                [172, 18, c, d] => Ipv4Addr::new(moved[0].1, moved[1].1, c, d),
                [10, 10, 10, 5] => Ipv4Addr::new(203, 0, 113, 9),
                _ => ip,
            });
        }
        let told = rewritten(&packets, &["--inside", "10.77.0.0/16"]);
        expect_chain(case.what, &told, ["10.77.39.5", "10.77.39.6", "203.0.113.9"], case.door);
    });
}

#[test]
fn without_the_execution_there_is_no_chain() {
    each_pair(|case, mut packets| {
        let (server, host) = (ip(case.chain[0]), ip(case.chain[1]));
        packets.retain(|packet| !packet.is_between(server, host));
        let told = rewritten(&packets, case.flags);
        assert!(told.of_kind("execution_chain").is_empty(), "{}: {:#?}", case.what, told.alerts);
    });
}

#[test]
fn a_destination_that_many_use_is_no_high_alert() {
    each_pair(|case, packets| {
        let (host, destination) = (ip(case.chain[1]), ip(case.chain[2]));
        let ordinary = (1..=40_u8).flat_map(|n| {
            let copies = packets.iter().filter(|packet| packet.is_between(host, destination)).cloned();
            copies.map(move |mut packet| {
                let user = Ipv4Addr::new(172, 18, 50, n);
                packet.map_ips(|ip| if ip == host { user } else { ip });
                packet.ts_us -= 600_000_000 + u64::from(n) * 7_000_000;
                packet
            })
        });
        let told = rewritten(&merge(packets.iter().cloned().chain(ordinary)), case.flags);
        let worst = told.alerts.iter().filter(|a| names(a, host)).map(|a| rank(a["severity"].as_str().unwrap())).max();
        assert!(worst.unwrap_or(0) < rank("high"), "{}: {:#?}", case.what, told.alerts);
    });
}

#[test]
fn a_contact_two_hours_later_is_no_high_alert() {
    each_pair(|case, mut packets| {
        let (host, destination) = (ip(case.chain[1]), ip(case.chain[2]));
        for packet in packets.iter_mut().filter(|packet| packet.is_between(host, destination)) {
            packet.ts_us += 7_200_000_000;
        }
        let told = rewritten(&merge(packets), case.flags);
        let high =
            told.alerts.iter().filter(|a| names(a, host) && rank(a["severity"].as_str().unwrap()) >= rank("high"));
        assert_eq!(high.count(), 0, "{}: {:#?}", case.what, told.alerts);
    });
}

/// Every pair of captures of the classic format, merged into one list of packets.
fn each_pair(check: impl Fn(&Case, Vec<Packet>)) {
    let Some(corpus) = corpus() else { return };
    for case in CHAINS.iter().filter(|case| case.sha256.len() == 2) {
        check(case, merge(case.sha256.iter().flat_map(|sha| Packet::of_file(&corpus[*sha]))));
    }
}

struct Told {
    alerts: Vec<Value>,
    findings: Vec<Value>,
}

impl Told {
    fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.alerts.iter().filter(|alert| alert["kind"] == kind).collect()
    }
}

fn expect_chain(what: &str, told: &Told, [server, host, destination]: [&str; 3], door: &str) {
    let chains = told.of_kind("execution_chain");
    assert_eq!(chains.len(), 1, "{what}: {:#?}", told.alerts);
    let chain = chains[0];
    let entity = |role: &str| {
        let all = chain["entities"].as_array().unwrap();
        all.iter().filter(|e| e["role"] == role).map(|e| e["ip"].as_str().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(entity("staging_server"), [server], "{what}");
    assert_eq!(entity("affected_host"), [host], "{what}");
    assert_eq!(entity("destination"), [destination], "{what}");
    assert_eq!(chain["severity"], "high", "{what}");
    assert!(chain["explanation"].as_str().unwrap().contains(door), "{what}: {}", chain["explanation"]);
    for list in ["attack", "uids", "reasons", "evidence"] {
        assert!(!chain[list].as_array().unwrap().is_empty(), "{what}: no {list}");
    }
    let further = told.alerts.iter().filter(|a| a["kind"] != "execution_chain" && a["kind"] != "beacon");
    assert_eq!(further.filter(|a| rank(a["severity"].as_str().unwrap()) > 0).count(), 0, "{what}: {:#?}", told.alerts);
}

fn names(alert: &Value, host: Ipv4Addr) -> bool {
    alert["entities"].as_array().unwrap().iter().any(|e| e["ip"] == host.to_string())
}

fn rank(severity: &str) -> usize {
    ["info", "low", "medium", "high", "critical"].iter().position(|s| *s == severity).unwrap()
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn rewritten(packets: &[Packet], flags: &[&str]) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rewritten.pcap");
    std::fs::write(&path, write(packets)).unwrap();
    analyze(&[&path], flags)
}

fn analyze(files: &[&PathBuf], flags: &[&str]) -> Told {
    let out = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_yukue"))
        .args(["analyze", "--quiet", "--out"])
        .arg(out.path())
        .args(flags)
        .args(files)
        .status()
        .unwrap();
    assert!(matches!(status.code(), Some(0 | 4)), "{files:?}: {status}");
    let lines = |name: &str| {
        let text = std::fs::read_to_string(out.path().join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    Told { alerts: lines("alerts.jsonl"), findings: lines("findings.jsonl") }
}

/// Captures at hand by SHA-256; says SKIPPED where there are none.
fn corpus() -> Option<&'static HashMap<String, PathBuf>> {
    static FOUND: OnceLock<Option<HashMap<String, PathBuf>>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let folder = std::env::var_os("CORPUS").filter(|folder| !folder.is_empty())?;
        let files = crate::support::files_under(&Path::new(&folder).join("captures"));
        let by_digest = |path: PathBuf| (hex::encode(Sha256::digest(std::fs::read(&path).unwrap())), path);
        Some(files.into_iter().map(by_digest).collect())
    });
    if found.is_none() {
        println!("SKIPPED: CORPUS names no folder of captures");
    }
    found.as_ref()
}
