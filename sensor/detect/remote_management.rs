//! Remote management: a host meets a remote-control or tunnel product for the first time (ATT&CK T1219, T1572; EG-006,
//! EG-007).
//!
//! Measure: the destination's category or the product's default port, and whether the site uses the product already.
//! Benign look-alikes: the help desk's own tool, a supplier's session. Evasion: a product the tables do not know.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, is_person};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, say};
use crate::profile::{Activity, Contact, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "remote_management",
    rule: include_str!("../../rules/remote_management.toml"),
    build: |text| {
        Ok(Box::new(RemoteManagement {
            rule: parse(text)?,
            noted: Ledger::new(Budget::new("remote_management.noted", MAX_MET, 32)),
        }))
    },
};

/// `rules/remote_management.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    classes: Vec<String>,
    product_kinds: Vec<String>,
    nats: f64,
    person_roles: Vec<String>,
    quiet_roles: Vec<String>,
    server: Severity,
    new_product: Severity,
    known_product: Severity,
}

/// Products met, with how they were known.
#[derive(Debug)]
struct RemoteManagement {
    rule: Rule,
    noted: Ledger<(HostId, TenantId), Box<str>>,
}

impl Detector for RemoteManagement {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Activity::Contact(contact) = seen
            && self.rule.enabled
            && contact.first
        {
            self.contact(contact, usual, said);
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

impl RemoteManagement {
    fn contact(&mut self, seen: &Contact, usual: &Profiles, said: &mut Said) {
        let class = seen.standing.class.as_deref().filter(|class| self.rule.classes.iter().any(|c| c == class));
        let by_port = || {
            let kinds: Vec<&str> = self.rule.product_kinds.iter().map(String::as_str).collect();
            let transport = usual.tie(seen.host, seen.tenant)?.transport;
            usual.intel().product_on(transport, seen.resp.port, &kinds)
        };
        let Some(product) = class.or_else(by_port) else { return };
        let known_by = match (class, seen.standing.provider.as_deref()) {
            (Some(class), Some(provider)) if provider != class => format!("{class} of {provider}"),
            _ => product.to_owned(),
        };
        self.noted.note_once((seen.host, seen.tenant), || known_by.into());
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(seen.tenant),
            group: Group::Destination,
            nats: self.rule.nats,
            reason: reason("remote_management", Value::Text(product.into()), ""),
            uid: seen.uid,
        });
    }
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        product: &str,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let is_person = is_person(usual, host, &self.person_roles);
        let is_first = owner.users.first().is_some_and(|(user, _)| *user == host);
        let severity = match () {
            () if has_role(usual, host, &self.quiet_roles) => Severity::Info,
            () if !is_person => self.server,
            () if is_first => self.new_product,
            () => self.known_product,
        };
        let destination = tie.destination(Some(&owner.key));
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
        let ip = usual.address_text(host);
        let used = if is_first { "the first host of the site to" } else { "not the first to" };
        Some(claim.say(
            usual,
            Words {
                title: say!("remote_management.title", host = &ip, destination = &destination, product = product),
                explanation: say!(
                    "remote_management.explanation",
                    host = &ip,
                    destination = &destination,
                    product = product,
                    at = tie.first.clock_beside(tie.last),
                    used = Arg::term(used),
                    users = owner.used_by(),
                    fleet = usual.fleet(),
                ),
                reasons: vec![
                    reason("product", Value::Text(product.into()), ""),
                    reason("hosts_using_destination", Value::Count(u64::from(owner.used_by())), "hosts"),
                    reason("bytes_out", Value::Count(tie.up), "bytes"),
                ],
                others: vec![Entity::destination(tie)],
                uids: tie.uids.clone(),
            },
        ))
    }
}

/// (host, owner) pairs held.
const MAX_MET: usize = 50_000;
