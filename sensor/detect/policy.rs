//! Policy: a declared role reaches outside what was declared for it. Needs no baseline; says nothing without a policy.

use super::beacon::reason;
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::identify::id;
use crate::base::{Capped, Timestamp};
use crate::profile::{Contact, HostRole, MayReach, Profiles, TenantId};
use std::net::IpAddr;

/// `rules/policy.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyRule {
    enabled: bool,
    title: String,
    attack: Vec<Box<str>>,
    severity: Severity,
}

/// Contacts against a policy.
#[derive(Debug)]
pub(crate) struct PolicyBreach {
    rule: PolicyRule,
    breaches: Capped<(IpAddr, TenantId), HostRole>,
}

impl PolicyBreach {
    pub(crate) fn new(rule: PolicyRule) -> Self {
        Self { rule, breaches: Capped::new(MAX_BREACHES) }
    }

    /// Takes in a contact.
    pub(crate) fn contact(&mut self, seen: &Contact, usual: &Profiles) {
        let policies = &usual.declared().policies;
        if policies.is_empty() || !self.rule.enabled {
            return;
        }
        let roles = usual.roles(seen.host);
        let mut bound = policies.iter().filter(|policy| roles.contains(&policy.role)).peekable();
        let Some(role) = bound.peek().map(|policy| policy.role) else { return };
        if !bound.flat_map(|policy| &policy.may_reach).any(|may| allows(may, seen)) {
            self.breaches.entry((seen.host, seen.tenant), || role);
        }
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.breaches.evicted()
    }

    /// What there is to say.
    pub(crate) fn finish(&self, now: Timestamp, usual: &Profiles, found: &mut Vec<Finding>) {
        for ((host, tenant), role) in self.breaches.iter() {
            let (Some(tie), Some(owner)) = (usual.tie(*host, *tenant), usual.tenant(*tenant)) else { continue };
            let destination = tie.destination(Some(&owner.key));
            found.push(Finding {
                id: id("policy", host, &owner.key, tie.first),
                detector: "policy",
                time: now,
                first_seen: tie.first,
                last_seen: tie.last,
                severity: self.rule.severity,
                score: 0.8,
                p: None,
                title: format!("{}: {host} reached {destination}", self.rule.title),
                explanation: format!(
                    "{host} is declared as {} and its policy does not name {destination}, which it contacted {} times \
                     from {} UTC on; {} bytes went out.",
                    role.name(),
                    tie.flows,
                    tie.first.clock(),
                    tie.up,
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
                    reason("role", Value::Text(role.name().into()), ""),
                    reason("flows", Value::Count(u64::from(tie.flows)), ""),
                    reason("bytes_out", Value::Count(tie.up), "bytes"),
                ],
                uids: tie.uids.clone(),
            });
        }
    }
}

fn allows(may: &MayReach, seen: &Contact) -> bool {
    match may {
        MayReach::Class(class) => seen.standing.class.as_deref() == Some(&**class),
        MayReach::Net(net) => net.contains(seen.resp.ip),
        MayReach::Name(pattern) => seen.name.as_deref().is_some_and(|name| match pattern.strip_prefix("*.") {
            Some(parent) => name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            None => name == &**pattern,
        }),
    }
}

/// Breaches held for the record.
const MAX_BREACHES: usize = 100_000;
