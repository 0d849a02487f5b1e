//! Script download: a script, or a program asked for by a script, comes from outside in the clear (ATT&CK T1105).
//!
//! Measure: what the body looks like and what kind of program asked. For the record, unless a script asked somebody for
//! it whom hardly anybody of the fleet knows (detection.md §5.1). Benign look-alikes: administrators, developers.
//! Evasion: TLS.

use super::beacon::reason;
use super::claim::{Claim, Words, is_rare};
use super::cue::{Cue, Group};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, say};
use crate::profile::{Activity, Fetch, HostId, Profiles, TenantId};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "script_download",
    rule: include_str!("../../rules/script_download.toml"),
    build: |text| {
        Ok(Box::new(ScriptDownload {
            rule: parse(text)?,
            first: Ledger::new(Budget::new("script_download.first", MAX_DOWNLOADS, 160)),
        }))
    },
};

/// `rules/script_download.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    title: String,
    attack: Vec<Box<str>>,
    script_content: Vec<String>,
    program_content: Vec<String>,
    crowd_share: f64,
    least_fleet: u32,
    learn_s: f64,
    rare_nats: f64,
    named: Severity,
    rare: Severity,
    nameless: Severity,
}

/// The first download of each host from each destination.
#[derive(Debug)]
struct ScriptDownload {
    rule: Rule,
    first: Ledger<(HostId, TenantId), Fetch>,
}

impl Detector for ScriptDownload {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        let Activity::Fetch(seen) = seen else { return };
        let Some(content) = seen.content.filter(|_| self.rule.enabled) else { return };
        let is_in = |list: &[String]| list.iter().any(|c| c == content);
        let by_script = matches!(seen.agent.as_deref(), Some("script" | "tool"));
        if is_in(&self.rule.script_content) || (is_in(&self.rule.program_content) && by_script) {
            if by_script && self.rule.is_rare(seen, usual) {
                said.cues.push(Cue {
                    detector: SPEC.stem,
                    ts: seen.ts,
                    host: seen.host,
                    tenant: Some(seen.tenant),
                    group: Group::Client,
                    nats: self.rule.rare_nats,
                    reason: reason("script_fetched", Value::Text(content.into()), ""),
                    uid: seen.uid,
                });
            }
            self.first.note_once((seen.host, seen.tenant), || seen.clone());
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.first.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.first.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.first]
    }
}

impl Rule {
    /// Whether the fleet is known and hardly anybody of it knows the destination.
    fn is_rare(&self, seen: &Fetch, usual: &Profiles) -> bool {
        let known = usual.counts().span.is_some_and(|(since, _)| seen.ts.secs_since(since) >= self.learn_s);
        known && usual.fleet() >= self.least_fleet && is_rare(usual, seen.tenant, self.crowd_share)
    }

    fn tell(
        &self,
        now: Timestamp,
        (host, tenant): (HostId, TenantId),
        fetch: &Fetch,
        usual: &Profiles,
    ) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let content = fetch.content.unwrap_or_default();
        let agent = fetch.user_agent.as_deref().unwrap_or("no user agent");
        let ip = usual.address_text(host);
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (fetch.ts, fetch.ts),
            severity: match fetch.agent.as_deref() {
                _ if tie.is_nameless() => self.nameless,
                Some("script" | "tool") if self.is_rare(fetch, usual) => self.rare,
                _ => self.named,
            },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let words = Words {
            title: say!("script_download.title", what = Arg::term(&self.title), host = &ip, destination = &destination),
            explanation: say!(
                "script_download.explanation",
                host = &ip,
                uri = &*fetch.uri,
                destination = &destination,
                at = fetch.ts.clock(),
                bytes = fetch.bytes,
                content = content,
                agent = Arg::term(agent),
            ),
            reasons: vec![
                reason("content", Value::Text(content.into()), ""),
                reason("bytes", Value::Count(fetch.bytes), "bytes"),
            ],
            others: vec![Entity::destination(tie)],
            uids: vec![fetch.uid],
        };
        Some(claim.say(usual, words))
    }
}

/// Downloads held for the record.
const MAX_DOWNLOADS: usize = 50_000;
