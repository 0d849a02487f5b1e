//! Script download: a script, or a program asked for by a script, comes from outside in the clear (ATT&CK T1105).
//!
//! Measure: what the body looks like and what kind of program asked. Benign look-alikes: administrators, developers.
//! Evasion: TLS.

use super::beacon::reason;
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::identify::id;
use crate::base::{Capped, Timestamp};
use crate::profile::{Fetch, Profiles, TenantId};
use std::net::IpAddr;

/// `rules/script_download.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptDownloadRule {
    enabled: bool,
    title: String,
    attack: Vec<Box<str>>,
    script_content: Vec<String>,
    program_content: Vec<String>,
    named: Severity,
    nameless: Severity,
}

/// Downloads seen.
#[derive(Debug)]
pub(crate) struct ScriptDownload {
    rule: ScriptDownloadRule,
    first: Capped<(IpAddr, TenantId), Fetch>,
}

impl ScriptDownload {
    pub(crate) fn new(rule: ScriptDownloadRule) -> Self {
        Self { rule, first: Capped::new(MAX_DOWNLOADS) }
    }

    /// Takes in a request.
    pub(crate) fn fetch(&mut self, seen: &Fetch) {
        let Some(content) = seen.content.filter(|_| self.rule.enabled) else { return };
        let is_in = |list: &[String]| list.iter().any(|c| c == content);
        let by_script = matches!(seen.agent.as_deref(), Some("script" | "tool"));
        if is_in(&self.rule.script_content) || (is_in(&self.rule.program_content) && by_script) {
            self.first.entry((seen.host, seen.tenant), || seen.clone());
        }
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.first.evicted()
    }

    /// What there is to say.
    pub(crate) fn finish(&self, now: Timestamp, usual: &Profiles, found: &mut Vec<Finding>) {
        for ((host, tenant), fetch) in self.first.iter() {
            let (Some(tie), Some(owner)) = (usual.tie(*host, *tenant), usual.tenant(*tenant)) else { continue };
            let destination = tie.destination(Some(&owner.key));
            let content = fetch.content.unwrap_or_default();
            let agent = fetch.user_agent.as_deref().unwrap_or("no user agent");
            found.push(Finding {
                id: id("script_download", host, &owner.key, fetch.ts),
                detector: "script_download",
                time: now,
                first_seen: fetch.ts,
                last_seen: fetch.ts,
                severity: if tie.is_nameless() { self.rule.nameless } else { self.rule.named },
                score: if tie.is_nameless() { 0.5 } else { 0.2 },
                p: None,
                title: format!("{}: {host} from {destination}", self.rule.title),
                explanation: format!(
                    "{host} fetched {} from {destination} at {} UTC: {} bytes that look like {content}, asked for with \
                     {agent}.",
                    fetch.uri,
                    fetch.ts.clock(),
                    fetch.bytes,
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
                    reason("content", Value::Text(content.into()), ""),
                    reason("bytes", Value::Count(fetch.bytes), "bytes"),
                ],
                uids: vec![fetch.uid],
            });
        }
    }
}

/// Downloads held for the record.
const MAX_DOWNLOADS: usize = 50_000;
