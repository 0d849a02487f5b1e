//! Entry: somebody outside talks to a server that manages others, and what that server then does outside (ATT&CK T1190,
//! T1133).
//!
//! Every case of `cases-and-rules.md` begins there. Measure: a conversation from outside in which both sides spoke, and
//! first contacts of the server within a day of it, and of each visitor who comes for the first time later. Benign
//! look-alikes: remote agents that report over the internet, a vendor's support session: both belong behind a gateway.
//! Evasion: entry by mail or by another machine.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, keep, manages, with_role};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::renamed::Renames;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, say};
use crate::event::{Reach, Uid};
use crate::profile::{Activity, Closed, Contact, HostId, Profiles, Renamed, TenantId};
use std::net::IpAddr;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "entry",
    rule: include_str!("../../rules/entry.toml"),
    build: |text| {
        Ok(Box::new(Entry { rule: parse(text)?, noted: Ledger::new(Budget::new("entry.noted", MAX_SERVERS, 256)) }))
    },
};

/// `rules/entry.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    roles: Vec<String>,
    least_bytes: u64,
    window_s: f64,
    nats: f64,
    exposed: Severity,
    followed: Severity,
    undeclared_exposed: Severity,
    undeclared_followed: Severity,
}

/// Conversations from outside, by server.
#[derive(Debug)]
struct Entry {
    rule: Rule,
    noted: Ledger<HostId, Entered>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Entered {
    first: Timestamp,
    last: Timestamp,
    port: u16,
    times: u64,
    peers: Vec<IpAddr>,
    /// When the latest of those came for the first time; in files of before nobody came after the first.
    #[serde(default)]
    newest: Option<Timestamp>,
    /// Whom the server met for the first time within the window after that.
    then: Vec<TenantId>,
    uids: Vec<Uid>,
}

impl Renames for Entered {
    fn renamed(self, ids: &Renamed) -> Option<Self> {
        Some(Self { then: self.then.renamed(ids)?, ..self })
    }
}

impl Detector for Entry {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        match seen {
            Activity::Closed(closed) if self.rule.enabled && closed.reach == Reach::Inbound => {
                self.entered(closed, usual);
            }
            Activity::Contact(contact) if contact.first && !contact.background => self.reached(contact, said),
            _ => {}
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.noted.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.noted]
    }
}

impl Entry {
    fn entered(&mut self, seen: &Closed, usual: &Profiles) {
        let spoke = seen.counters.orig_bytes.min(seen.counters.resp_bytes);
        if spoke < self.rule.least_bytes || !manages(usual, seen.host, &self.rule.roles) {
            return;
        }
        let entered = self.noted.note(seen.host, || Entered {
            first: seen.began,
            last: seen.ts,
            port: seen.port,
            times: 0,
            peers: Vec::new(),
            newest: None,
            then: Vec::new(),
            uids: Vec::new(),
        });
        entered.times = entered.times.saturating_add(1);
        entered.last = entered.last.max(seen.ts);
        if entered.peers.len() < MAX_PEERS && !entered.peers.contains(&seen.peer) {
            entered.peers.push(seen.peer);
            entered.newest = entered.newest.max(Some(seen.began));
        }
        keep(&mut entered.uids, seen.uid);
    }

    fn reached(&mut self, seen: &Contact, said: &mut Said) {
        let within = |entered: &&Entered| {
            let newest = entered.newest.unwrap_or(entered.first);
            (0.0..=self.rule.window_s).contains(&seen.ts.secs_since(newest)) && entered.then.len() < MAX_PEERS
        };
        if self.noted.get(&seen.host).filter(within).is_none() {
            return;
        }
        let Some(entered) = self.noted.amend(&seen.host) else { return };
        entered.then.push(seen.tenant);
        let uid = entered.uids.first().copied().unwrap_or(Uid::NONE);
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(seen.tenant),
            group: Group::Timing,
            nats: self.rule.nats,
            reason: reason("first_contact_after_entry", Value::Text("within a day".into()), ""),
            uid,
        });
    }
}

impl Rule {
    fn tell(&self, now: Timestamp, host: HostId, entered: &Entered, usual: &Profiles) -> Option<Finding> {
        let peer = entered.peers.first()?;
        let severity = match (has_role(usual, host, &self.roles), entered.then.is_empty()) {
            (true, true) => self.exposed,
            (true, false) => self.followed,
            (false, true) => self.undeclared_exposed,
            (false, false) => self.undeclared_followed,
        };
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (entered.first, entered.last),
            severity,
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &"entry",
        };
        let ip = usual.address_text(host);
        let ties = entered.then.iter().filter_map(|tenant| usual.tie(host, *tenant));
        let reached: Vec<String> = ties.clone().map(|tie| tie.destination(None)).collect();
        let then =
            if reached.is_empty() { say!("entry.alone") } else { say!("entry.followed", reached = Arg::list(reached)) };
        let mut others: Vec<Entity> =
            entered.peers.iter().map(|ip| Entity { role: Role::Destination, ip: Some(*ip), name: None }).collect();
        others.extend(ties.map(Entity::destination));
        Some(claim.say(
            usual,
            Words {
                title: say!("entry.title", peer = *peer, host = &ip),
                explanation: with_role(
                    usual,
                    host,
                    say!(
                        "entry.explanation",
                        peers = entered.peers.len(),
                        peer = *peer,
                        times = entered.times,
                        port = entered.port,
                        host = &ip,
                        from = entered.first.clock_beside(entered.last),
                        then = then,
                    ),
                ),
                reasons: vec![
                    reason("conversations", Value::Count(entered.times), ""),
                    reason("port", Value::Count(u64::from(entered.port)), ""),
                    reason("new_destinations_after", Value::Count(entered.then.len() as u64), ""),
                ],
                others,
                uids: entered.uids.clone(),
            },
        ))
    }
}

/// Servers held.
const MAX_SERVERS: usize = 4_096;
/// Addresses and destinations named.
const MAX_PEERS: usize = 8;
