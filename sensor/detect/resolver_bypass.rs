//! Resolver bypass: a host asks an outside resolver though the site has its own (ATT&CK T1071.004, T1568; EG-011).
//!
//! Measure: what share of the asking hosts use resolvers inside; who asks outside beside them. For the record, but where
//! a large fleet keeps to its own and only a few do not: there it is told. Benign look-alikes: appliances with a resolver
//! set by hand, virtual machines. Evasion: asking the site's resolver.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, keep};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory};
use super::renamed::as_it_is;
use super::resolvers::{Firm, MAX_HOSTS, MAX_RESOLVERS, Resolvers};
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, say};
use crate::event::Uid;
use crate::profile::{Activity, HostId, Lookup, Profiles};
use std::net::IpAddr;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "resolver_bypass",
    rule: include_str!("../../rules/resolver_bypass.toml"),
    build: |text| {
        Ok(Box::new(ResolverBypass {
            rule: parse(text)?,
            noted: Ledger::new(Budget::new("resolver_bypass.noted", MAX_PAIRS, 64)),
            resolvers: Resolvers::new(
                Kept::new(Budget::new("resolver_bypass.inside", MAX_HOSTS, 0)),
                Kept::new(Budget::new("resolver_bypass.resolvers", MAX_RESOLVERS, 0)),
                Kept::new(Budget::new("resolver_bypass.past", MAX_HOSTS, 0)),
                "resolver_bypass.since",
            ),
        }))
    },
};

/// `rules/resolver_bypass.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    least_inside_hosts: usize,
    least_lookups: u64,
    resolver_roles: Vec<String>,
    nats: f64,
    severity: Severity,
    firm: Firm,
    firm_severity: Severity,
}

/// Who asks whom.
#[derive(Debug)]
struct ResolverBypass {
    rule: Rule,
    noted: Ledger<(HostId, IpAddr), Asked>,
    resolvers: Resolvers,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Asked {
    first: Timestamp,
    last: Timestamp,
    times: u64,
    /// Enough hosts asked inside when this one went on asking outside.
    told: bool,
    uids: Vec<Uid>,
}

as_it_is!(Asked);

impl Detector for ResolverBypass {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Activity::Lookup(lookup) = seen
            && self.rule.enabled
        {
            self.lookup(lookup, usual, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let (rule, resolvers) = (&self.rule, &self.resolvers);
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note, resolvers, usual));
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

impl ResolverBypass {
    fn lookup(&mut self, seen: &Lookup, usual: &Profiles, said: &mut Said) {
        if self.resolvers.lookup(seen, usual) {
            return;
        }
        let new = || Asked { first: seen.ts, last: seen.ts, times: 0, told: false, uids: Vec::new() };
        let asked = self.noted.note((seen.host, seen.resolver), new);
        asked.last = asked.last.max(seen.ts);
        asked.times = asked.times.saturating_add(1);
        keep(&mut asked.uids, seen.uid);
        let is_resolver = self.resolvers.is_one(seen.host, usual);
        let enough = asked.times >= self.rule.least_lookups && self.resolvers.inside() >= self.rule.least_inside_hosts;
        if asked.told || !enough || is_resolver {
            return;
        }
        asked.told = true;
        self.resolvers.past(seen.host);
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: None,
            group: Group::Protocol,
            nats: self.rule.nats,
            reason: reason("outside_resolver", Value::Text(seen.resolver.to_string().into()), ""),
            uid: seen.uid,
        });
    }
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (host, resolver): (HostId, IpAddr),
        asked: &Asked,
        resolvers: &Resolvers,
        usual: &Profiles,
    ) -> Option<Finding> {
        if !asked.told || has_role(usual, host, &self.resolver_roles) {
            return None;
        }
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (asked.first, asked.last),
            severity: if resolvers.are_kept_to(now, &self.firm, usual) { self.firm_severity } else { self.severity },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &resolver,
        };
        let ip = usual.address_text(host);
        Some(claim.say(
            usual,
            Words {
                title: say!("resolver_bypass.title", host = &ip, resolver = resolver),
                explanation: say!(
                    "resolver_bypass.explanation",
                    host = &ip,
                    times = asked.times,
                    resolver = resolver,
                    from = asked.first.clock_beside(asked.last),
                ),
                reasons: vec![reason("lookups", Value::Count(asked.times), "")],
                others: vec![Entity { role: Role::Resolver, ip: Some(resolver), name: None }],
                uids: asked.uids.clone(),
            },
        ))
    }
}

/// (host, resolver) pairs held.
const MAX_PAIRS: usize = 50_000;
