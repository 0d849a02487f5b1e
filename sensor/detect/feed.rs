//! Feed: a host reaches a destination that one of the operator's feeds lists (ATT&CK T1071).
//!
//! Measure: the listed name, or the address where no name is known. Benign look-alikes: errors of the feed, and names
//! and addresses that many share: there it is weak. Evasion: anything nobody has listed yet.

use super::beacon::reason;
use super::claim::{Claim, Words};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, say};
use crate::profile::{Activity, Contact, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "feed",
    rule: include_str!("../../rules/feed.toml"),
    build: |text| Ok(Box::new(Feed { rule: parse(text)?, hits: Ledger::new(Budget::new("feed.hits", MAX_HITS, 64)) })),
};

/// `rules/feed.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    title: String,
    attack: Vec<Box<str>>,
    own: Severity,
    shared: Severity,
    crowd_hosts: u32,
}

/// Listed destinations that were met.
#[derive(Debug)]
struct Feed {
    rule: Rule,
    hits: Ledger<(HostId, TenantId), Listed>,
}

/// Who lists it, and how.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Listed {
    source: Box<str>,
    indicator: Box<str>,
    /// Many customers stand behind the name, or only the address is listed while the name is known.
    shared: bool,
}

as_it_is!(Listed);

impl Detector for Feed {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, _: &mut Said) {
        let Activity::Contact(seen) = seen else { return };
        if let Some(listed) = listed(seen, usual).filter(|_| self.rule.enabled) {
            self.hits.note_once((seen.host, seen.tenant), || listed);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.hits.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.hits.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.hits]
    }
}

fn listed(seen: &Contact, usual: &Profiles) -> Option<Listed> {
    let name = seen.name.as_deref();
    let hit = usual.feed(name, seen.resp.ip)?;
    let only_address = hit.name.is_none() && name.is_some();
    Some(Listed {
        source: hit.source.into(),
        indicator: hit.name.map_or_else(|| seen.resp.ip.to_string().into(), Into::into),
        shared: seen.standing.shared || only_address,
    })
}

impl Rule {
    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        listed: &Listed,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let crowded = owner.used_by() >= self.crowd_hosts;
        let severity = if listed.shared || crowded { self.shared } else { self.own };
        let ip = usual.address_text(host);
        let weak = match () {
            () if listed.shared => say!("feed.shared"),
            () if crowded => say!("feed.crowded"),
            () => say!("feed.plain"),
        };
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
            title: say!("feed.title", what = Arg::term(&self.title), host = &ip, destination = &destination),
            explanation: say!(
                "feed.explanation",
                host = &ip,
                destination = &destination,
                times = tie.flows,
                from = tie.first.clock_beside(tie.last),
                indicator = &*listed.indicator,
                source = &*listed.source,
                users = owner.used_by(),
                fleet = usual.fleet(),
                weak = weak,
            ),
            reasons: vec![
                reason("feed", Value::Text(listed.source.clone()), ""),
                reason("indicator", Value::Text(listed.indicator.clone()), ""),
                reason("hosts_using_destination", Value::Count(u64::from(owner.used_by())), "hosts"),
                reason("bytes_out", Value::Count(tie.up), "bytes"),
            ],
            others: vec![Entity::destination(tie)],
            uids: tie.uids.clone(),
        };
        Some(claim.say(usual, words))
    }
}

/// Hits held for the record.
const MAX_HITS: usize = 20_000;
