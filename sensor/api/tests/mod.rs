//! The API in process, and over real sockets.

mod answers;
mod sockets;
mod tools;

use super::rows::{
    AlertEntry, AlertRow, DestinationRow, Edge, FindingEntry, FindingRow, HostEntry, HostRow, Node, TieRow,
};
use super::server::{self, Limits, Settings};
use super::{Check, Probe, Shared};
use crate::base::Timestamp;
use crate::output::metrics::Configured;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) const T: Timestamp = Timestamp::new(1_764_417_600, 123_456_000);
/// A name as somebody hostile would choose it.
pub(super) const HOSTILE: &str = "a\"\\\u{1b}[2J\u{202e}\r\n<script>行方";

struct Calm(Option<&'static str>);

impl Probe for Calm {
    fn checks(&self) -> Vec<Check> {
        vec![Check { name: "capture", failing: self.0.map(str::to_owned) }]
    }

    fn status(&self) -> serde_json::Value {
        serde_json::json!({"version": "test", "name": HOSTILE})
    }
}

/// A site with three alerts, a campaign among them, two hosts and a destination.
pub(super) fn shared(failing: Option<&'static str>) -> Arc<Shared> {
    let shared = Shared::new(Box::new(Calm(failing)));
    let alerts =
        [("aaa", "critical", "common_cause", 1, 300), ("bbb", "low", "beacon", 3, 200), ("ccc", "high", "dga", 3, 100)];
    let alerts = alerts
        .into_iter()
        .map(|(id, severity, detector, tier, second)| Arc::new(alert(id, severity, detector, tier, second)));
    shared.alerts.set(alerts.collect());
    shared.findings.set(vec![Arc::new(finding())]);
    for (at, ip) in [(1, "10.20.1.5"), (2, "2001:db8::5")] {
        shared.hosts.insert(at, Arc::new(host(ip)));
    }
    shared.destinations.insert(7, Arc::new(destination()));
    Arc::new(shared)
}

fn alert(id: &str, severity: &'static str, detector: &'static str, tier: u8, second: i64) -> AlertEntry {
    let time = Timestamp::from_secs(T.secs() + second);
    let node = |id: &str, server| Node {
        id: id.into(),
        title: HOSTILE.into(),
        sub_title: "".into(),
        main_stat: "staging campaign".into(),
        secondary_stat: 5,
        affected: 1.0 - server,
        server,
        destination: 0.0,
        role: if server > 0.5 { "staging_server" } else { "affected_host" },
        severity,
    };
    AlertEntry {
        row: AlertRow {
            time,
            id: id.into(),
            severity,
            detector,
            kind: "notice",
            tier,
            src: "10.20.1.5".parse().ok(),
            src_role: "unknown",
            src_name: Some(HOSTILE.into()),
            dst: "2001:db8::9".parse().ok(),
            dst_name: None,
            destination_class: Some("cloud_storage"),
            bytes_out: Some(1234),
            score: 0.9,
            status: "open",
            title: "t".into(),
            summary: HOSTILE.into(),
            first_seen: time,
            last_seen: time,
            evidence_url: format!("/api/v1/alerts/{id}"),
        },
        level: u8::try_from(super::desk::SEVERITIES.iter().position(|s| *s == severity).unwrap()).unwrap(),
        about: vec!["10.20.1.5".into()],
        record: format!("{{\"id\":\"{id}\"}}").into_bytes().into(),
        nodes: vec![node("10.20.0.10", 1.0), node("10.20.1.5", 0.0)],
        edges: vec![Edge {
            id: "10.20.0.10 > 10.20.1.5".into(),
            source: "10.20.0.10".into(),
            target: "10.20.1.5".into(),
            main_stat: None,
            secondary_stat: "acted on",
        }],
        advice: vec![("bucket.example".into(), "block")],
    }
}

fn finding() -> FindingEntry {
    FindingEntry {
        row: FindingRow {
            time: T,
            id: "fff".into(),
            severity: "info",
            detector: "dga",
            src: None,
            src_name: None,
            dst: None,
            dst_name: Some(HOSTILE.into()),
            score: 0.5,
            p: Some(0.01),
            title: "t".into(),
            summary: "s".into(),
            first_seen: T,
            last_seen: T,
        },
        about: Vec::new(),
        record: b"{\"id\":\"fff\"}".as_slice().into(),
    }
}

fn host(ip: &str) -> HostEntry {
    let tie = TieRow {
        tenant: 7,
        destination: "bucket.example".into(),
        name: None,
        ips: vec!["203.0.113.9".parse().unwrap()],
        destination_class: "cloud_storage",
        provider: Some("aws".into()),
        first_seen: T,
        last_seen: T,
        flows: 1,
        bytes_out: 10,
        bytes_in: 20,
        used_by: 1,
    };
    HostEntry {
        row: HostRow {
            id: format!("ip:{ip}").into(),
            ip: ip.parse().unwrap(),
            name: Some(HOSTILE.into()),
            role: "workstation",
            roles: vec!["workstation"],
            baseline: "learning",
            first_seen: T,
            last_seen: T,
            firsts: 3,
            bytes_out: 1,
            bytes_in: 2,
            flows: 3,
        },
        ties: vec![Arc::new(tie)],
    }
}

fn destination() -> DestinationRow {
    DestinationRow {
        value: "bucket.example".into(),
        kind: "name",
        destination_class: "cloud_storage",
        provider: None,
        names: vec![HOSTILE.into()],
        ips: vec!["203.0.113.9".parse().unwrap()],
        hosts: 2,
        flows: 3,
        bytes_out: 4,
        bytes_in: 5,
        first_seen: T,
        last_seen: T,
    }
}

/// Settings on a free port of this machine, with tokens `viewer`, `analyst` and `admin` of the roles of these names.
pub(super) fn settings(folder: &Path) -> Settings {
    let token = |role: &str| {
        let digest = hex::encode(Sha256::digest(role));
        format!("[[token]]\nname = \"{role}-name\"\nrole = \"{role}\"\nsha256 = \"{digest}\"\n")
    };
    let tokens = folder.join("tokens.toml");
    std::fs::write(&tokens, ["viewer", "analyst", "admin"].map(token).concat()).unwrap();
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        web_file: None,
        token_file: Some(tokens),
        insecure: false,
        audit: Some(folder.join("audit.jsonl")),
        clock: || T,
    }
}

pub(super) fn configured() -> Configured {
    Configured { detectors: ["beacon", "dga", "common_cause"].map(Into::into).to_vec(), ..Configured::default() }
}

/// Short enough for a test.
pub(super) const LIMITS: Limits = Limits {
    connections: 64,
    head: Duration::from_millis(300),
    handshake: Duration::from_millis(300),
    write: Duration::from_millis(300),
};
