//! Protocol mismatch: what is spoken is not what the port promises (ATT&CK T1571, T1572, T1095).
//!
//! Measure: the protocol recognised on the wire against the port's own, for conversations seen whole. Benign
//! look-alikes: home-made services, remote access products on 443. Evasion: TLS on 443.

use super::beacon::reason;
use super::claim::{Claim, Words, keep};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, Transport, say};
use crate::event::{Reach, Uid};
use crate::profile::{Activity, Closed, HostId, Profiles, TenantId};
use std::collections::BTreeMap;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "protocol_mismatch",
    rule: include_str!("../../rules/protocol_mismatch.toml"),
    build: |text| {
        Ok(Box::new(ProtocolMismatch {
            rule: parse(text)?,
            odd: Ledger::new(Budget::new("protocol_mismatch.odd", MAX_ODD, 64)),
        }))
    },
};

/// `rules/protocol_mismatch.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    promised: BTreeMap<String, Vec<String>>,
    tunnels: Vec<String>,
    least_bytes: u64,
    bulk_udp: Vec<u16>,
    bulk_bytes: u64,
    tunnel_nats: f64,
    other_nats: f64,
    unknown_nats: f64,
    tunnel: Severity,
    other: Severity,
}

/// By host, destination owner, port and what was spoken.
#[derive(Debug)]
struct ProtocolMismatch {
    rule: Rule,
    odd: Ledger<(HostId, TenantId, u16, &'static str), Odd>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Odd {
    first: Timestamp,
    last: Timestamp,
    flows: u64,
    uids: Vec<Uid>,
}

as_it_is!(Odd);

impl Detector for ProtocolMismatch {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, _: &Profiles, said: &mut Said) {
        if let Activity::Closed(closed) = seen
            && self.rule.enabled
        {
            self.closed(closed, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.odd.say(which, said, |key, odd| rule.tell(now, *key, odd, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.odd.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.odd]
    }
}

impl ProtocolMismatch {
    fn closed(&mut self, seen: &Closed, said: &mut Said) {
        let Some(tenant) = seen.tenant.filter(|_| seen.reach == Reach::Outbound && seen.whole) else { return };
        let least = seen.counters.orig_bytes.min(seen.counters.resp_bytes);
        let Some(promised) = self.rule.promised(seen.transport, seen.port) else { return };
        let spoken = match seen.service {
            Some(service) if promised.iter().any(|p| p == service) => return,
            Some(service) => service,
            None if seen.transport == Transport::Tcp && least >= self.rule.least_bytes => UNKNOWN,
            None if seen.transport == Transport::Udp && self.rule.is_bulk(seen) => UNKNOWN,
            None => return,
        };
        let nats = self.rule.nats(spoken);
        let new = || Odd { first: seen.began, last: seen.ts, flows: 0, uids: Vec::new() };
        let odd = self.odd.note((seen.host, tenant, seen.port, spoken), new);
        odd.flows = odd.flows.saturating_add(1);
        odd.last = odd.last.max(seen.ts);
        keep(&mut odd.uids, seen.uid);
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(tenant),
            group: Group::Protocol,
            nats,
            reason: reason("spoken", Value::Text(spoken.into()), ""),
            uid: seen.uid,
        });
    }
}

impl Rule {
    fn promised(&self, transport: Transport, port: u16) -> Option<&[String]> {
        let transport = match transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            _ => return None,
        };
        self.promised.get(&format!("{transport}/{port}")).map(Vec::as_slice)
    }

    /// Much in no protocol known, over a port at which datagrams are few and small.
    fn is_bulk(&self, seen: &Closed) -> bool {
        let moved = seen.counters.orig_bytes.saturating_add(seen.counters.resp_bytes);
        self.bulk_udp.contains(&seen.port) && moved >= self.bulk_bytes
    }

    fn nats(&self, spoken: &str) -> f64 {
        match spoken {
            UNKNOWN => self.unknown_nats,
            _ if self.tunnels.iter().any(|t| t == spoken) => self.tunnel_nats,
            _ => self.other_nats,
        }
    }

    fn tell(
        &self,
        now: Timestamp,
        (host, tenant, port, spoken): (HostId, TenantId, u16, &str),
        odd: &Odd,
        usual: &Profiles,
    ) -> Option<Finding> {
        // What nobody recognises is a sign that adds up, and no claim.
        if spoken == UNKNOWN {
            return None;
        }
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (odd.first, odd.last),
            severity: if self.tunnels.iter().any(|t| t == spoken) { self.tunnel } else { self.other },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &format!("{}:{port} {spoken}", owner.key),
        };
        let ip = usual.address_text(host);
        Some(claim.say(
            usual,
            Words {
                title: say!(
                    "protocol_mismatch.title",
                    host = &ip,
                    spoken = spoken,
                    port = port,
                    destination = &destination,
                ),
                explanation: say!(
                    "protocol_mismatch.explanation",
                    host = &ip,
                    spoken = spoken,
                    destination = &destination,
                    port = port,
                    flows = odd.flows,
                    from = odd.first.clock_beside(odd.last),
                    to = odd.last.clock_beside(odd.first),
                ),
                reasons: vec![
                    reason("spoken", Value::Text(spoken.into()), ""),
                    reason("port", Value::Count(u64::from(port)), ""),
                    reason("flows", Value::Count(odd.flows), ""),
                ],
                others: vec![Entity::destination(tie)],
                uids: odd.uids.clone(),
            },
        ))
    }
}

const UNKNOWN: &str = "unknown";
/// (host, owner, port, protocol) held.
const MAX_ODD: usize = 50_000;
