//! ICMP tunnel: echoes carry data (ATT&CK T1095, T1048).
//!
//! Measure: an echo's answer repeats the request, so both sides say the same amount; a tunnel's do not. Otherwise echoes
//! larger than any system sends by itself, in bulk. Benign look-alikes: path MTU tests, monitoring with large packets.
//! Evasion: mirrored payloads of an ordinary size.

use super::beacon::reason;
use super::claim::{Claim, Words, keep};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, Transport, say};
use crate::event::{Counters, Reach, Uid};
use crate::profile::{Activity, Closed, HostId, Profiles};
use std::net::IpAddr;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "icmp_tunnel",
    rule: include_str!("../../rules/icmp_tunnel.toml"),
    build: |text| {
        Ok(Box::new(IcmpTunnel {
            rule: parse(text)?,
            echoes: Ledger::new(Budget::new("icmp_tunnel.echoes", MAX_PAIRS, 64)),
        }))
    },
};

/// `rules/icmp_tunnel.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    least_packets: u64,
    mirror_bytes: f64,
    least_unlike_bytes: u64,
    large_bytes: f64,
    bulk_bytes: u64,
    much_bytes: u64,
    nats: f64,
    unlike: Severity,
    bulk: Severity,
    much: Severity,
}

/// Echoes by host and peer.
#[derive(Debug)]
struct IcmpTunnel {
    rule: Rule,
    echoes: Ledger<(HostId, IpAddr), Echoes>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Echoes {
    first: Timestamp,
    last: Timestamp,
    sum: Counters,
    uids: Vec<Uid>,
}

as_it_is!(Echoes);

impl Detector for IcmpTunnel {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, _: &Profiles, said: &mut Said) {
        if let Activity::Closed(closed) = seen
            && self.rule.enabled
            && matches!(closed.transport, Transport::Icmp | Transport::Icmp6)
            && closed.reach == Reach::Outbound
        {
            self.closed(closed, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.echoes.say(which, said, |key, echoes| rule.tell(now, *key, echoes, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.echoes.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.echoes]
    }
}

impl IcmpTunnel {
    fn closed(&mut self, seen: &Closed, said: &mut Said) {
        let new = || Echoes { first: seen.began, last: seen.ts, sum: Counters::default(), uids: Vec::new() };
        let echoes = self.echoes.note((seen.host, seen.peer), new);
        let before = self.rule.severity(echoes);
        echoes.last = echoes.last.max(seen.ts);
        let (sum, more) = (&mut echoes.sum, &seen.counters);
        sum.orig_bytes = sum.orig_bytes.saturating_add(more.orig_bytes);
        sum.resp_bytes = sum.resp_bytes.saturating_add(more.resp_bytes);
        sum.orig_pkts = sum.orig_pkts.saturating_add(more.orig_pkts);
        sum.resp_pkts = sum.resp_pkts.saturating_add(more.resp_pkts);
        keep(&mut echoes.uids, seen.uid);
        if before.is_none() && self.rule.severity(echoes).is_some() {
            said.cues.push(Cue {
                detector: SPEC.stem,
                ts: seen.ts,
                host: seen.host,
                tenant: None,
                group: Group::Volume,
                nats: self.rule.nats,
                reason: reason("echo_bytes", Value::Count(echoes.sum.orig_bytes), "bytes"),
                uid: seen.uid,
            });
        }
    }
}

impl Rule {
    fn severity(&self, echoes: &Echoes) -> Option<Severity> {
        let sum = &echoes.sum;
        if sum.orig_pkts < self.least_packets || sum.resp_pkts == 0 {
            return None;
        }
        let (up, down) = (mean(sum.orig_bytes, sum.orig_pkts), mean(sum.resp_bytes, sum.resp_pkts));
        let moved = sum.orig_bytes.saturating_add(sum.resp_bytes);
        match () {
            () if (up - down).abs() > self.mirror_bytes && moved >= self.least_unlike_bytes => Some(self.unlike),
            () if up > self.large_bytes && sum.orig_bytes >= self.much_bytes => Some(self.much),
            () if up > self.large_bytes && moved >= self.bulk_bytes => Some(self.bulk),
            () => None,
        }
    }

    fn tell(
        &self,
        now: Timestamp,
        (host, peer): (HostId, IpAddr),
        echoes: &Echoes,
        usual: &Profiles,
    ) -> Option<Finding> {
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (echoes.first, echoes.last),
            severity: self.severity(echoes)?,
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &peer,
        };
        let (ip, sum) = (usual.address_text(host), &echoes.sum);
        let (up, down) = (mean(sum.orig_bytes, sum.orig_pkts), mean(sum.resp_bytes, sum.resp_pkts));
        Some(claim.say(
            usual,
            Words {
                title: say!("icmp_tunnel.title", host = &ip, peer = peer),
                explanation: say!(
                    "icmp_tunnel.explanation",
                    host = &ip,
                    peer = peer,
                    out = sum.orig_pkts,
                    back = sum.resp_pkts,
                    up = format!("{up:.0}"),
                    down = format!("{down:.0}"),
                ),
                reasons: vec![
                    reason("bytes_out", Value::Count(sum.orig_bytes), "bytes"),
                    reason("bytes_in", Value::Count(sum.resp_bytes), "bytes"),
                    reason("packets_out", Value::Count(sum.orig_pkts), ""),
                    reason("packets_in", Value::Count(sum.resp_pkts), ""),
                ],
                others: vec![Entity { role: Role::Destination, ip: Some(peer), name: None }],
                uids: echoes.uids.clone(),
            },
        ))
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of echoes lie far below 2^52")]
fn mean(bytes: u64, packets: u64) -> f64 {
    bytes as f64 / packets.max(1) as f64
}

/// (host, peer) pairs, some 200 bytes each.
const MAX_PAIRS: usize = 50_000;
