//! Policy: a declared role reaches outside what was declared for it. Needs no baseline; says nothing without a policy.

use super::beacon::reason;
use super::claim::{Claim, Words};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, say};
use crate::profile::{Activity, HostId, HostRole, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "policy",
    rule: include_str!("../../rules/policy.toml"),
    build: |text| {
        Ok(Box::new(Policy {
            rule: parse(text)?,
            breaches: Ledger::new(Budget::new("policy.breaches", MAX_BREACHES, 0)),
        }))
    },
};

/// `rules/policy.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    title: String,
    attack: Vec<Box<str>>,
    severity: Severity,
}

/// Contacts against a policy.
#[derive(Debug)]
struct Policy {
    rule: Rule,
    breaches: Ledger<(HostId, TenantId), HostRole>,
}

impl Detector for Policy {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, _: &mut Said) {
        let Activity::Contact(seen) = seen else { return };
        let policies = &usual.declared().policies;
        if policies.is_empty() || !self.rule.enabled {
            return;
        }
        let roles = usual.roles(seen.host);
        let mut bound = policies.iter().filter(|policy| roles.contains(&policy.role)).peekable();
        let Some(role) = bound.peek().map(|policy| policy.role) else { return };
        let (name, class, ip) = (seen.name.as_deref(), seen.standing.class.as_deref(), Some(seen.resp.ip));
        if !bound.flat_map(|policy| &policy.may_reach).any(|may| may.covers(name, class, ip)) {
            self.breaches.note_once((seen.host, seen.tenant), || role);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.breaches.say(which, said, |key, note| rule.tell(now, *key, *note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.breaches.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.breaches]
    }
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        role: HostRole,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let ip = usual.address_text(host);
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (tie.first, tie.last),
            severity: self.severity,
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let words = Words {
            title: say!("policy.title", what = Arg::term(&self.title), host = &ip, destination = &destination),
            explanation: say!(
                "policy.explanation",
                host = &ip,
                role = role.name(),
                destination = &destination,
                times = tie.flows,
                from = tie.first.clock_beside(tie.last),
                up = tie.up,
            ),
            reasons: vec![
                reason("role", Value::Text(role.name().into()), ""),
                reason("flows", Value::Count(u64::from(tie.flows)), ""),
                reason("bytes_out", Value::Count(tie.up), "bytes"),
            ],
            others: vec![Entity::destination(tie)],
            uids: tie.uids.clone(),
        };
        Some(claim.say(usual, words))
    }
}

/// Breaches held for the record.
const MAX_BREACHES: usize = 100_000;
