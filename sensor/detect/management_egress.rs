//! Management egress: a server that manages others reaches somebody outside who is not its vendor (ATT&CK T1567, T1102,
//! T1071.001; EG-001 to EG-003).
//!
//! Such servers have tight habits and reach every endpoint, so what is ordinary for a person is not for them. Measure:
//! first contact, after three days of learning, or at once for kinds of service that attackers hide in, for addresses
//! without a name and for script agents. Whom nobody declared is such a server when its dealings with others say so; it
//! may call any such product's vendor, and less is said of it: what it lives by already is told of nobody, its own past
//! (Good–Turing) says how much a first contact weighs, and what meets everybody in one day is one surprise and not one for
//! each. Benign look-alikes: a vendor's new address, a server that becomes a proxy, another store of a backup server.
//! Evasion: a destination the server uses already; for a learned server, a kind of service.

use super::beacon::reason;
use super::claim::{Claim, Words, keep};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory};
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
            told: Kept::new(Budget::new("management_egress.told", MAX_LEARNED, 0)),
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
    learned_once: Severity,
    again_s: f64,
    learning: Severity,
    undeclared_notable: Severity,
    undeclared: Severity,
    undeclared_a_day: u32,
    work_severity: Severity,
    /// Roles, with the kinds of products whose vendors they may call.
    vendors: BTreeMap<String, Vec<String>>,
    /// Roles, with the kinds of service that are their work.
    work: BTreeMap<String, Vec<String>>,
}

/// Destinations that are not the vendor's, by server.
#[derive(Debug)]
struct ManagementEgress {
    rule: Rule,
    noted: Ledger<(HostId, TenantId), Reached>,
    /// Of whom nobody declared.
    told: Kept<HostId, ToldOn>,
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
    /// It was one visit so far; what it is worth when the server goes there again.
    #[serde(default)]
    again: Option<Severity>,
}

/// The latest local day on which something above the ordinary was met by a server that nobody declared, and how often.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct ToldOn {
    day: i32,
    times: u32,
}

as_it_is!(Reached, ToldOn);

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
        vec![self.noted.table(), self.told.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.noted, &mut self.told]
    }
}

impl ManagementEgress {
    fn contact(&mut self, seen: &Contact, usual: &Profiles, said: &mut Said) {
        if seen.background {
            return;
        }
        if !seen.first {
            self.again(seen);
            return;
        }
        let Some(duty) = self.rule.duty(seen.host, usual) else { return };
        if seen.name.as_deref().is_some_and(|name| self.rule.is_vendor(seen.host, duty, name, usual)) {
            return;
        }
        let watched_s = usual.host(seen.host).map_or(0.0, |host| host.watched_s(seen.ts));
        let learned = watched_s >= self.rule.learn_s;
        let class = seen.standing.class.as_deref();
        let notable = seen.standing.is_of(&self.rule.notable);
        let nameless = seen.name.is_none() && !seen.several && !usual.names_hide(seen.host);
        let (severity, why, catalogue) = match () {
            () if notable => (self.rule.notable_severity, "a kind of service that attackers hide in", "EG-001"),
            () if nameless => (self.rule.nameless, "an address that nobody named", "EG-002"),
            () if learned => (self.rule.learned, "new to it after days of the same", "EG-001"),
            () => (self.rule.learning, "not its vendor; what is usual is still being learned", "EG-001"),
        };
        let habitual = class.is_some_and(|class| usual.lives_by(seen.host, class, seen.ts));
        let (severity, why) = match duty {
            Duty::Declared(role) if habitual && self.rule.is_work(role, class) => {
                (self.rule.work_severity, "one more of the kind of service it works with")
            }
            Duty::Declared(_) => (severity, why),
            Duty::Learned(_) if notable && habitual => {
                (self.rule.undeclared, "one more of a kind of service it lives by")
            }
            Duty::Learned(_) if notable && !self.may_tell(seen.host, usual.day(seen.ts)) => {
                (self.rule.undeclared, "one of many that it met on that day")
            }
            Duty::Learned(_) if notable => (self.rule.undeclared_notable, why),
            Duty::Learned(_) => (self.rule.undeclared, why),
        };
        // A server meets somebody new once in a while; what was left behind on it calls again.
        let once = matches!(duty, Duty::Declared(_)) && learned && !notable && !nameless;
        let (severity, again) = if once { (self.rule.learned_once, Some(severity)) } else { (severity, None) };
        self.noted.note_once((seen.host, seen.tenant), || Reached {
            duty,
            first: seen.ts,
            severity,
            again,
            why,
            catalogue,
            uids: vec![seen.uid],
        });
        let most = if learned { self.rule.learned_nats } else { self.rule.learning_nats };
        // What somebody declared is known; what was only learned is worth what its own past says.
        let nats = match (duty, seen.rarity.and_then(|rarity| rarity.p_new)) {
            (Duty::Learned(_), Some(p)) => most.min(-p.max(f64::MIN_POSITIVE).ln()),
            (Duty::Learned(_), None) => most.min(self.rule.learning_nats),
            (Duty::Declared(_), _) => most,
        };
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(seen.tenant),
            group: Group::Destination,
            nats,
            reason: reason("management_server_reached", Value::Text(why.into()), ""),
            uid: seen.uid,
        });
    }

    /// Goes to a destination that was one visit so far.
    fn again(&mut self, seen: &Contact) {
        let key = (seen.host, seen.tenant);
        let is_again =
            |reached: &Reached| reached.again.is_some() && seen.ts.secs_since(reached.first) >= self.rule.again_s;
        if self.noted.get(&key).is_some_and(is_again)
            && let Some(reached) = self.noted.amend(&key)
        {
            let again = reached.again.take().unwrap_or(reached.severity);
            reached.severity = reached.severity.max(again);
            keep(&mut reached.uids, seen.uid);
        }
    }

    /// Whether something above the ordinary may still be told of a server that nobody declared, on a local day; counts it.
    fn may_tell(&mut self, host: HostId, day: i32) -> bool {
        let told = self.told.entry(host, || ToldOn { day, times: 0 });
        if told.day != day {
            *told = ToldOn { day, times: 0 };
        }
        told.times = told.times.saturating_add(1);
        told.times <= self.rule.undeclared_a_day
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

    /// Whether a kind of service is what a role is there for.
    fn is_work(&self, role: HostRole, class: Option<&str>) -> bool {
        let kinds = self.work.get(role.name()).map(Vec::as_slice).unwrap_or_default();
        class.is_some_and(|class| kinds.iter().any(|kind| kind == class))
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
        // Taken for a server that manages others because many asked it, and what they asked for was to fetch: it is a proxy.
        if matches!(reached.duty, Duty::Learned(_)) && usual.shared_by(host).is_some() {
            return None;
        }
        let (role, duty) = match reached.duty {
            Duty::Declared(role) => (role.name(), say!("management_egress.declared", role = role.name())),
            Duty::Learned(Hub { way, machines, .. }) => {
                (Hub::NAME, say!("management_egress.learned", machines = machines, way = way.text()))
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
                    at = reached.first.clock_beside(tie.last),
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
/// Servers that nobody declared and that something was told of.
const MAX_LEARNED: usize = 4_096;
