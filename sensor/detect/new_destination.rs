//! New destination: first contact with a kind of service that attackers hide in (ATT&CK T1102, T1567, T1105).
//!
//! A person meets new services daily, a server hardly ever: what a machine was declared to be decides. Benign
//! look-alikes: a new backup store, a vendor's new address. Evasion: a service the tables do not know.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, is_person};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, say};
use crate::profile::{Activity, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "new_destination",
    rule: include_str!("../../rules/new_destination.toml"),
    build: |text| {
        Ok(Box::new(NewDestination {
            rule: parse(text)?,
            firsts: Ledger::new(Budget::new("new_destination.firsts", MAX_FIRSTS, 32)),
        }))
    },
};

/// `rules/new_destination.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    title: String,
    attack: Vec<Box<str>>,
    notable: Vec<String>,
    person_roles: Vec<String>,
    elsewhere_roles: Vec<String>,
    undeclared: Severity,
    server: Severity,
}

/// First contacts that are worth a line, with the destination's class.
#[derive(Debug)]
struct NewDestination {
    rule: Rule,
    firsts: Ledger<(HostId, TenantId), Box<str>>,
}

impl Detector for NewDestination {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, _: &mut Said) {
        let Activity::Contact(seen) = seen else { return };
        if has_role(usual, seen.host, &self.rule.elsewhere_roles) {
            return;
        }
        let class = seen.standing.class.as_deref().filter(|class| self.rule.notable.iter().any(|n| n == class));
        if let Some(class) = class.filter(|_| seen.first && self.rule.enabled) {
            self.firsts.note_once((seen.host, seen.tenant), || class.into());
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.firsts.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.firsts.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.firsts]
    }
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        class: &str,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let roles = usual.roles(host);
        let is_person = is_person(usual, host, &self.person_roles);
        let severity = if is_person { self.undeclared } else { self.server };
        let what = match roles.first() {
            Some(role) => say!("new_destination.declared", role = role.name()),
            None => say!("new_destination.undeclared"),
        };
        let destination = tie.destination(Some(&owner.key));
        let ip = usual.address_text(host);
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (tie.first, tie.last),
            severity,
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let words = Words {
            title: say!(
                "new_destination.title",
                what = Arg::term(&self.title),
                host = &ip,
                destination = &destination,
                class = class,
            ),
            explanation: say!(
                "new_destination.explanation",
                host = &ip,
                role = what,
                destination = &destination,
                at = tie.first.clock_beside(tie.last),
                class = class,
                users = owner.used_by(),
                fleet = usual.fleet(),
                up = tie.up,
                down = tie.down,
            ),
            reasons: vec![
                reason("class", Value::Text(class.into()), ""),
                reason("hosts_using_destination", Value::Count(u64::from(owner.used_by())), "hosts"),
                reason("bytes_out", Value::Count(tie.up), "bytes"),
                reason("bytes_in", Value::Count(tie.down), "bytes"),
            ],
            others: vec![Entity::destination(tie)],
            uids: tie.uids.clone(),
        };
        Some(claim.say(usual, words))
    }
}

/// First contacts held for the record.
const MAX_FIRSTS: usize = 100_000;
