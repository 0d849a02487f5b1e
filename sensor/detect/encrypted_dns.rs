//! Encrypted DNS: a host looks names up where nobody can read them (ATT&CK T1071.004, T1572; EG-010, EG-011).
//!
//! Measure: contact with a known resolver over HTTPS, or with anybody on the port of DNS over TLS. For the record on a
//! person's machine, but where a large fleet keeps to its own resolvers and only a few do not: there it is told. Benign
//! look-alikes: browsers that do it by default, telephones. Evasion: a resolver of one's own on port 443.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, is_person};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory};
use super::renamed::as_it_is;
use super::resolvers::{Firm, MAX_HOSTS, MAX_RESOLVERS, Resolvers};
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, Word, say};
use crate::profile::{Activity, Contact, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "encrypted_dns",
    rule: include_str!("../../rules/encrypted_dns.toml"),
    build: |text| {
        Ok(Box::new(EncryptedDns {
            rule: parse(text)?,
            noted: Ledger::new(Budget::new("encrypted_dns.noted", MAX_PAIRS, 0)),
            resolvers: Resolvers::new(
                Kept::new(Budget::new("encrypted_dns.inside", MAX_HOSTS, 0)),
                Kept::new(Budget::new("encrypted_dns.resolvers", MAX_RESOLVERS, 0)),
                Kept::new(Budget::new("encrypted_dns.past", MAX_HOSTS, 0)),
                "encrypted_dns.since",
            ),
        }))
    },
};

/// `rules/encrypted_dns.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    classes: Vec<String>,
    ports: Vec<u16>,
    nats: f64,
    person_roles: Vec<String>,
    resolver_roles: Vec<String>,
    person: Severity,
    server: Severity,
    firm: Firm,
    firm_person: Severity,
}

/// Which host uses which resolver, and how.
#[derive(Debug)]
struct EncryptedDns {
    rule: Rule,
    noted: Ledger<(HostId, TenantId), How>,
    resolvers: Resolvers,
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct How(#[serde(with = "crate::base::word")] Word);

as_it_is!(How);

impl Detector for EncryptedDns {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        match seen {
            Activity::Contact(contact) if self.rule.enabled && contact.first => self.contact(contact, usual, said),
            Activity::Lookup(lookup) if self.rule.enabled => {
                self.resolvers.lookup(lookup, usual);
            }
            _ => {}
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let (rule, resolvers) = (&self.rule, &self.resolvers);
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note.0, resolvers, usual));
    }

    fn tables(&self) -> Vec<Table> {
        std::iter::once(self.noted.table()).chain(self.resolvers.tables()).collect()
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        let mut all: Vec<&mut dyn Memory> = vec![&mut self.noted];
        all.extend(self.resolvers.memory());
        all
    }
}

impl EncryptedDns {
    fn contact(&mut self, seen: &Contact, usual: &Profiles, said: &mut Said) {
        let known = seen.standing.class.as_deref().is_some_and(|class| self.rule.classes.iter().any(|c| c == class));
        let how = match seen.resp.port {
            port if self.rule.ports.contains(&port) => "TLS or QUIC",
            443 if known => "HTTPS",
            _ => return,
        };
        if has_role(usual, seen.host, &self.rule.resolver_roles) || self.resolvers.is_one(seen.host, usual) {
            return;
        }
        self.resolvers.past(seen.host);
        self.noted.note_once((seen.host, seen.tenant), || How(how));
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(seen.tenant),
            group: Group::Protocol,
            nats: self.rule.nats,
            reason: reason("encrypted_dns", Value::Text(how.into()), ""),
            uid: seen.uid,
        });
    }
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        how: &'static str,
        resolvers: &Resolvers,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let is_person = is_person(usual, host, &self.person_roles);
        let resolver = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (tie.first, tie.last),
            severity: match is_person {
                true if resolvers.are_kept_to(now, &self.firm, usual) => self.firm_person,
                true => self.person,
                false => self.server,
            },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let ip = usual.address_text(host);
        let users = owner.used_by();
        Some(claim.say(
            usual,
            Words {
                title: say!("encrypted_dns.title", host = &ip, resolver = &resolver, how = Arg::term(how)),
                explanation: say!(
                    "encrypted_dns.explanation",
                    host = &ip,
                    resolver = &resolver,
                    how = Arg::term(how),
                    from = tie.first.clock_beside(tie.last),
                    users = users,
                    fleet = usual.fleet(),
                ),
                reasons: vec![
                    reason("over", Value::Text(how.into()), ""),
                    reason("flows", Value::Count(u64::from(tie.flows)), ""),
                    reason("hosts_using_resolver", Value::Count(u64::from(users)), "hosts"),
                ],
                others: vec![Entity { role: Role::Resolver, ..Entity::destination(tie) }],
                uids: tie.uids.clone(),
            },
        ))
    }
}

/// (host, resolver) pairs held.
const MAX_PAIRS: usize = 50_000;
