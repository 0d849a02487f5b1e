//! One thing is changed in the traffic; the claim must follow, or fall, for the right reason.

use crate::support::{Run, analyze_bytes, parallel};
use crate::synth::attack::{self, Campaign, Chain, Door, Lie};
use crate::synth::file::pcap;
use crate::synth::net::{HOUR, MORNING};
use crate::synth::office::{Office, Place};
use crate::synth::quiet;
use etherparse::{SlicedPacket, TransportSlice};
use serde_json::Value;

/// A city, sixteen days and a network away.
const ELSEWHERE: Place =
    Place { inside: [172, 22], turn: 1, start: MORNING + 16 * 24 * HOUR + 12_345_678_901, seed: 0xe15e };

#[test]
fn an_execution_chain_follows_its_cues() {
    let usual = Chain::by(Door::Svcctl, 0xabc);
    let cases: Vec<(&str, Chain<'_>, bool)> = vec![
        ("as it is", usual, true),
        ("other addresses, another day", Chain { place: ELSEWHERE, ..usual }, true),
        ("the tool has another name", Chain { tool: "PrintSpoolFix", ..usual }, true),
        ("by WMI", Chain { door: Some(Door::Wmi), ..usual }, true),
        ("by DCOM", Chain { door: Some(Door::Dcom), ..usual }, true),
        ("by a task over TCP", Chain { door: Some(Door::Tasks), ..usual }, true),
        ("by WinRM", Chain { door: Some(Door::Winrm(5985)), ..usual }, true),
        ("by WinRM on a port of its own", Chain { door: Some(Door::Winrm(8901)), ..usual }, true),
        ("nobody acted", Chain { door: None, ..usual }, false),
        ("the contact comes two hours later", Chain { lag: 2 * HOUR, ..usual }, false),
        ("many use the destination", Chain { others: 6, ..usual }, false),
    ];
    let failed: Vec<String> = parallel(&cases, |(what, case, expected)| {
        let run = played(&attack::chain(case).into());
        let [a, b] = case.place.inside;
        let found: Vec<Value> =
            run.alerts().into_iter().filter(|x| severe(x) && x["kind"] == "execution_chain").collect();
        let named = found.len() == 1
            && role(&found[0], "staging_server") == [format!("{a}.{b}.0.20")]
            && role(&found[0], "affected_host") == [format!("{a}.{b}.1.18")]
            && found[0].to_string().contains(case.callback.name);
        let fine = if *expected { named } else { !run.alerts().iter().any(severe) };
        (!fine).then(|| format!("{what}: {}", run.alerts))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_campaign_follows_its_cues() {
    let usual = Campaign::usual();
    let cases: Vec<(&str, Campaign<'_>, bool)> = vec![
        ("other addresses, another day", Campaign { place: ELSEWHERE, ..usual }, true),
        ("services in place of WinRM", Campaign { door: Some(Door::Svcctl), ..usual }, true),
        ("five victims", Campaign { victims: 5, ..usual }, true),
        ("victims tell another name than their own", Campaign { lie: Some(Lie::Own), ..usual }, true),
        ("victims tell names for each other", Campaign { lie: Some(Lie::Others), ..usual }, true),
        ("victims say they are the server", Campaign { lie: Some(Lie::Servers), ..usual }, true),
        ("everybody uses the destination", Campaign { common: true, ..usual }, false),
    ];
    let failed: Vec<String> = parallel(&cases, |(what, case, expected)| {
        let bytes = match case.lie {
            Some(_) => behind_a_router(attack::push(case)),
            None => attack::push(case).into(),
        };
        let run = played(&bytes);
        let [a, b] = case.place.inside;
        let found: Vec<Value> = run.alerts().into_iter().filter(|x| x["kind"] == "staging_campaign").collect();
        let victims: Vec<String> = (0..case.victims).map(|n| format!("{a}.{b}.1.{}", 11 + attack::victim(n))).collect();
        let named = found.len() == 1
            && role(&found[0], "staging_server") == [format!("{a}.{b}.0.10")]
            && role(&found[0], "affected_host") == victims
            && found[0].to_string().contains(case.callback.name);
        let fine = if *expected { named } else { !run.alerts().iter().any(severe) };
        (!fine).then(|| format!("{what}: {}", run.alerts))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn an_administrators_session_before_ordinary_browsing_is_no_chain() {
    for (what, place) in [("at home", Place::usual(0x51)), ("elsewhere", ELSEWHERE)] {
        let run = played(&quiet::admin_then_browsing(place).into());
        for alert in run.alerts() {
            let calm = matches!(alert["severity"].as_str(), Some("info" | "low"));
            assert!(calm && alert["kind"] != "execution_chain", "{what}: {alert}");
        }
    }
}

/// The bytes of an office's capture.
struct Bytes(Vec<u8>);

impl From<Office> for Bytes {
    fn from(office: Office) -> Self {
        Self(pcap(&office.wire.finish()))
    }
}

/// What a sensor sees that stands where neither hardware addresses nor leases nor the domain's tickets pass: machines are
/// known by the names they tell.
fn behind_a_router(office: Office) -> Bytes {
    let mut frames = office.wire.finish();
    frames.retain(|frame| {
        let ports = match SlicedPacket::from_ethernet(&frame.bytes).unwrap().transport {
            Some(TransportSlice::Udp(udp)) => [udp.source_port(), udp.destination_port()],
            Some(TransportSlice::Tcp(tcp)) => [tcp.source_port(), tcp.destination_port()],
            _ => return false,
        };
        !ports.iter().any(|port| PROOFS.contains(port))
    });
    Bytes(pcap(&frames))
}

/// DHCP and Kerberos.
const PROOFS: [u16; 3] = [67, 68, 88];

fn played(bytes: &Bytes) -> Run {
    let run = analyze_bytes(&bytes.0);
    assert_eq!(run.code, Some(0), "{}", run.said);
    run
}

fn severe(alert: &Value) -> bool {
    matches!(alert["severity"].as_str(), Some("high" | "critical"))
}

fn role(alert: &Value, role: &str) -> Vec<String> {
    let entities = alert["entities"].as_array().into_iter().flatten();
    entities.filter(|e| e["role"] == role).filter_map(|e| e["ip"].as_str().map(str::to_owned)).collect()
}
