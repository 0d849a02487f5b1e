//! Management egress: a server that manages others reaches somebody outside who is not its vendor (ATT&CK T1567, T1102,
//! T1071.001; EG-001 to EG-003).
//!
//! Such servers have tight habits and reach every endpoint, so what is ordinary for a person is not for them. Measure:
//! first contact, after three days of learning, or at once for kinds of service that attackers hide in, for addresses
//! without a name and for script agents. Whom nobody declared is such a server when its dealings with others say so; it
//! may call any such product's vendor, and less is said of it. Benign look-alikes: a vendor's new address, the first
//! backup target. Evasion: a destination the server uses already.

use super::beacon::reason;
use super::claim::{Claim, Words, keep};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, Word, say};
use crate::event::Uid;
use crate::profile::{Activity, Contact, Fetch, HostId, HostRole, Hub, Profiles, TenantId};
use std::collections::BTreeMap;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "management_egress",
    rule: include_str!("../../rules/management_egress.toml"),
    build: |text| {
        Ok(Box::new(ManagementEgress {
            rule: parse(text)?,
            noted: Ledger::new(Budget::new("management_egress.noted", MAX_REACHED, 64)),
        }))
    },
};

/// `rules/management_egress.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    learn_s: f64,
    learned_nats: f64,
    learning_nats: f64,
    notable: Vec<String>,
    notable_severity: Severity,
    script: Severity,
    nameless: Severity,
    learned: Severity,
    learning: Severity,
    undeclared_notable: Severity,
    undeclared: Severity,
    /// Roles, with the kinds of products whose vendors they may call.
    vendors: BTreeMap<String, Vec<String>>,
}

/// Destinations that are not the vendor's, by server.
#[derive(Debug)]
struct ManagementEgress {
    rule: Rule,
    noted: Ledger<(HostId, TenantId), Reached>,
}

/// Why a host counts as a server that manages others.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum Duty {
    Declared(HostRole),
    Learned(Hub),
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Reached {
    duty: Duty,
    first: Timestamp,
    severity: Severity,
    #[serde(with = "crate::base::word")]
    why: Word,
    #[serde(with = "crate::base::word")]
    catalogue: Word,
    uids: Vec<Uid>,
}

as_it_is!(Reached);

impl Detector for ManagementEgress {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        match seen {
            Activity::Contact(contact) if self.rule.enabled => self.contact(contact, usual, said),
            Activity::Fetch(fetch) if self.rule.enabled => self.fetch(fetch),
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

impl ManagementEgress {
    fn contact(&mut self, seen: &Contact, usual: &Profiles, said: &mut Said) {
        if !seen.first || seen.background {
            return;
        }
        let Some(duty) = self.rule.duty(seen.host, usual) else { return };
        if seen.name.as_deref().is_some_and(|name| self.rule.is_vendor(seen.host, duty, name, usual)) {
            return;
        }
        let watched_s = usual.host(seen.host).map_or(0.0, |host| host.watched_s(seen.ts));
        let learned = watched_s >= self.rule.learn_s;
        let class = seen.standing.class.as_deref();
        let notable = class.is_some_and(|class| self.rule.notable.iter().any(|n| n == class));
        let nameless = seen.name.is_none() && !seen.several && !usual.names_hide(seen.host);
        let (severity, why, catalogue) = match () {
            () if notable => (self.rule.notable_severity, "a kind of service that attackers hide in", "EG-001"),
            () if nameless => (self.rule.nameless, "an address that nobody named", "EG-002"),
            () if learned => (self.rule.learned, "new to it after days of the same", "EG-001"),
            () => (self.rule.learning, "not its vendor; what is usual is still being learned", "EG-001"),
        };
        let severity = match duty {
            Duty::Declared(_) => severity,
            Duty::Learned(_) if notable => self.rule.undeclared_notable,
            Duty::Learned(_) => self.rule.undeclared,
        };
        self.noted.note_once((seen.host, seen.tenant), || Reached {
            duty,
            first: seen.ts,
            severity,
            why,
            catalogue,
            uids: vec![seen.uid],
        });
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(seen.tenant),
            group: Group::Destination,
            nats: if learned { self.rule.learned_nats } else { self.rule.learning_nats },
            reason: reason("management_server_reached", Value::Text(why.into()), ""),
            uid: seen.uid,
        });
    }

    /// A script asks: EG-003.
    fn fetch(&mut self, seen: &Fetch) {
        let key = (seen.host, seen.tenant);
        let script = matches!(seen.agent.as_deref(), Some("script" | "tool"));
        let severity = |reached: &Reached| match reached.duty {
            Duty::Declared(_) => self.rule.script,
            Duty::Learned(_) => self.rule.undeclared_notable,
        };
        let worse = self.noted.get(&key).map(|reached| (severity(reached), reached.severity));
        if let Some((severity, _)) = worse.filter(|(severity, known)| script && known < severity)
            && let Some(reached) = self.noted.amend(&key)
        {
            (reached.severity, reached.why, reached.catalogue) =
                (severity, "asked for by a script or command line tool", "EG-003");
            keep(&mut reached.uids, seen.uid);
        }
    }
}

impl Rule {
    fn duty(&self, host: HostId, usual: &Profiles) -> Option<Duty> {
        let declared = usual.roles(host).iter().find(|role| self.vendors.contains_key(role.name()));
        declared.copied().map(Duty::Declared).or_else(|| usual.learned_hub(host).map(Duty::Learned))
    }

    /// Whether a name is that of a vendor whose products are on such a server; on one that nobody declared, any.
    fn is_vendor(&self, host: HostId, duty: Duty, name: &str, usual: &Profiles) -> bool {
        let kinds: Vec<&str> = match duty {
            Duty::Declared(_) => {
                let kinds = usual.roles(host).iter().filter_map(|role| self.vendors.get(role.name()));
                kinds.flatten().map(String::as_str).collect()
            }
            Duty::Learned(_) => self.vendors.values().flatten().map(String::as_str).collect(),
        };
        usual.intel().is_vendor(name, &kinds)
    }

    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        reached: &Reached,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let (role, duty) = match reached.duty {
            Duty::Declared(role) => (role.name(), say!("management_egress.declared", role = role.name())),
            Duty::Learned(Hub { way, machines, .. }) => {
                (Hub::NAME, say!("management_egress.learned", machines = machines, way = way.to_string()))
            }
        };
        let destination = tie.destination(Some(&owner.key));
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (reached.first, tie.last.max(reached.first)),
            severity: reached.severity,
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let ip = usual.address_text(host);
        Some(claim.say(
            usual,
            Words {
                title: say!("management_egress.title", host = &ip, destination = &destination),
                explanation: say!(
                    "management_egress.explanation",
                    host = &ip,
                    duty = duty,
                    destination = &destination,
                    at = reached.first.clock(),
                    why = Arg::term(reached.why),
                    up = tie.up,
                    down = tie.down,
                    users = owner.used_by(),
                    fleet = usual.fleet(),
                ),
                reasons: vec![
                    reason("role", Value::Text(role.into()), ""),
                    reason("why", Value::Text(reached.why.into()), ""),
                    reason("bytes_out", Value::Count(tie.up), "bytes"),
                    reason("bytes_in", Value::Count(tie.down), "bytes"),
                    reason("catalogue_rule", Value::Text(reached.catalogue.into()), ""),
                ],
                others: vec![Entity::destination(tie)],
                uids: reached.uids.clone(),
            },
        ))
    }
}

/// (server, owner) pairs held.
const MAX_REACHED: usize = 20_000;
