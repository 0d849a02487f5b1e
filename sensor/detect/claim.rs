//! A finding in the making: what all findings have in common, before a detector adds its words and numbers.

use super::finding::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use super::identify::id;
use crate::base::{Text, Timestamp, say};
use crate::event::Uid;
use crate::profile::{HostId, HostRole, Profiles, TenantId};
use std::fmt::Display;

/// About which host, within which scope, since when.
pub(super) struct Claim<'a> {
    pub(super) detector: &'static str,
    pub(super) now: Timestamp,
    /// First and last sign.
    pub(super) span: (Timestamp, Timestamp),
    pub(super) severity: Severity,
    pub(super) attack: &'a [Box<str>],
    pub(super) host: HostId,
    pub(super) role: Role,
    /// What tells this claim from others about the host: a destination's key, a channel.
    pub(super) scope: &'a dyn Display,
}

/// What a detector says.
pub(super) struct Words {
    pub(super) title: Text,
    pub(super) explanation: Text,
    pub(super) reasons: Vec<Evidence>,
    /// Besides the host.
    pub(super) others: Vec<Entity>,
    pub(super) uids: Vec<Uid>,
}

impl Claim<'_> {
    /// The finding.
    pub(super) fn say(self, usual: &Profiles, words: Words) -> Finding {
        let (subject, own) = (usual.subject(self.host), Entity::host(self.role, self.host, usual));
        self.about(&subject, vec![own], words)
    }

    /// The finding, when it is about the other entities and the host is only how they are known.
    pub(super) fn say_of_nobody(self, words: Words) -> Finding {
        self.about("", Vec::new(), words)
    }

    fn about(self, subject: &str, mut entities: Vec<Entity>, words: Words) -> Finding {
        entities.extend(words.others);
        let mut reasons = words.reasons;
        let score = weight(self.severity);
        reasons.push(Evidence {
            measure: "severity_weight",
            observed: Value::Number(score),
            against: Against::Nothing,
            unit: "",
        });
        Finding {
            id: id(self.detector, &subject, self.scope, self.span.0),
            detector: self.detector,
            time: self.now,
            first_seen: self.span.0,
            last_seen: self.span.1,
            severity: self.severity,
            score,
            p: None,
            title: words.title,
            explanation: words.explanation,
            attack: self.attack.to_vec(),
            entities,
            reasons,
            uids: words.uids,
        }
    }
}

/// The score of a claim that rests on a rule rather than on a probability.
const fn weight(severity: Severity) -> f64 {
    match severity {
        Severity::Info => 0.1,
        Severity::Low => 0.3,
        Severity::Medium => 0.5,
        Severity::High => 0.8,
        Severity::Critical => 1.0,
    }
}

/// Whether a host was declared as one of the roles named.
pub(super) fn has_role(usual: &Profiles, host: HostId, names: &[String]) -> bool {
    usual.roles(host).iter().any(|role: &HostRole| names.iter().any(|name| name == role.name()))
}

/// Whether a host manages others: declared as one of the roles named, or, where nobody declared it, by its dealings.
pub(super) fn manages(usual: &Profiles, host: HostId, names: &[String]) -> bool {
    has_role(usual, host, names) || usual.learned_hub(host).is_some()
}

/// An explanation about a server, and how its role is known when nobody declared it.
pub(super) fn with_role(usual: &Profiles, host: HostId, explanation: Text) -> Text {
    let Some(hub) = usual.learned_hub(host) else { return explanation };
    let (server, way) = (usual.label(host), hub.way.text());
    Text::of(vec![explanation, say!("claim.learned", server = server, machines = hub.machines, way = way)])
}

/// Whether a host was declared as nothing but such roles, or as nothing.
pub(super) fn is_person(usual: &Profiles, host: HostId, person_roles: &[String]) -> bool {
    usual.roles(host).iter().all(|role| person_roles.iter().any(|name| name == role.name()))
}

/// Whether at most a share of the fleet uses a destination, or one host.
pub(super) fn is_rare(usual: &Profiles, tenant: TenantId, crowd_share: f64) -> bool {
    let users = usual.tenant(tenant).map_or(0, |owner| owner.used_by());
    f64::from(users) <= (crowd_share * f64::from(usual.fleet())).max(1.0)
}

/// Adds a flow to a short list.
pub(super) fn keep(uids: &mut Vec<Uid>, uid: Uid) {
    if uids.len() < MAX_UIDS && !uids.contains(&uid) {
        uids.push(uid);
    }
}

/// Flows named in a finding.
const MAX_UIDS: usize = 16;
