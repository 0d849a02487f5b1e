//! New destination: first contact with a kind of service that attackers hide in (ATT&CK T1102, T1567, T1105).
//!
//! A person meets new services daily, a server hardly ever: what a machine was declared to be decides. Benign
//! look-alikes: a new backup store, a vendor's new address. Evasion: a service the tables do not know.

use super::beacon::reason;
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::identify::id;
use crate::base::{Capped, Timestamp};
use crate::profile::{Contact, Profiles, TenantId};
use std::net::IpAddr;

/// `rules/new_destination.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDestinationRule {
    enabled: bool,
    title: String,
    attack: Vec<Box<str>>,
    notable: Vec<String>,
    person_roles: Vec<String>,
    undeclared: Severity,
    server: Severity,
}

/// First contacts that are worth a line.
#[derive(Debug)]
pub(crate) struct NewDestination {
    rule: NewDestinationRule,
    firsts: Capped<(IpAddr, TenantId), Box<str>>,
}

impl NewDestination {
    pub(crate) fn new(rule: NewDestinationRule) -> Self {
        Self { rule, firsts: Capped::new(MAX_FIRSTS) }
    }

    /// Takes in a contact.
    pub(crate) fn contact(&mut self, seen: &Contact) {
        let class = seen.standing.class.as_deref().filter(|class| self.rule.notable.iter().any(|n| n == class));
        if let Some(class) = class.filter(|_| seen.first && self.rule.enabled) {
            self.firsts.entry((seen.host, seen.tenant), || class.into());
        }
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.firsts.evicted()
    }

    /// What there is to say.
    pub(crate) fn finish(&self, now: Timestamp, usual: &Profiles, found: &mut Vec<Finding>) {
        for ((host, tenant), class) in self.firsts.iter() {
            let (Some(tie), Some(owner)) = (usual.tie(*host, *tenant), usual.tenant(*tenant)) else { continue };
            let roles = usual.roles(*host);
            let is_person = roles.iter().all(|role| self.rule.person_roles.iter().any(|p| p == role.name()));
            let severity = match () {
                () if roles.is_empty() => self.rule.undeclared,
                () if is_person => self.rule.undeclared,
                () => self.rule.server,
            };
            let what = match roles.first() {
                Some(role) => format!("declared as {}", role.name()),
                None => "without a declared role".to_owned(),
            };
            let destination = tie.destination(Some(&owner.key));
            found.push(Finding {
                id: id("new_destination", host, &owner.key, tie.first),
                detector: "new_destination",
                time: now,
                first_seen: tie.first,
                last_seen: tie.last,
                severity,
                score: if severity >= Severity::Medium { 0.8 } else { 0.1 },
                p: None,
                title: format!("{}: {host} reached {destination} ({class})", self.rule.title),
                explanation: format!(
                    "{host}, {what}, reached {destination} at {} UTC for the first time in this data; it is a {class} \
                     service, {} hosts of {} use it. It sent {} bytes there and received {}.",
                    tie.first.clock(),
                    owner.used_by(),
                    usual.fleet(),
                    tie.up,
                    tie.down,
                ),
                attack: self.rule.attack.clone(),
                entities: vec![
                    Entity { role: Role::AffectedHost, ip: Some(*host), name: usual.host_name(*host).map(Into::into) },
                    Entity {
                        role: Role::Destination,
                        ip: tie.ips().first().copied(),
                        name: tie.name.as_deref().map(Into::into),
                    },
                ],
                reasons: vec![
                    reason("class", Value::Text(class.clone()), ""),
                    reason("hosts_using_destination", Value::Count(u64::from(owner.used_by())), "hosts"),
                    reason("bytes_out", Value::Count(tie.up), "bytes"),
                    reason("bytes_in", Value::Count(tie.down), "bytes"),
                ],
                uids: tie.uids.clone(),
            });
        }
    }
}

/// First contacts held for the record.
const MAX_FIRSTS: usize = 100_000;
