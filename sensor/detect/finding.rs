//! What a detector says: numbers first, words later. The fields are those of the output contract.

use crate::base::{Text, Timestamp, Word};
use crate::event::Uid;
use crate::profile::{HostId, Profiles, Tie};
use std::net::IpAddr;

/// How much it matters. `info` is for the record, from `low` on somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// All of them, least first.
    pub(crate) const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name in records, flags and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What an entity is in the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Role {
    AffectedHost,
    StagingServer,
    Destination,
    Resolver,
}

impl Role {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AffectedHost => "affected_host",
            Self::StagingServer => "staging_server",
            Self::Destination => "destination",
            Self::Resolver => "resolver",
        }
    }
}

/// Somebody or something a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Entity {
    pub(crate) role: Role,
    pub(crate) ip: Option<IpAddr>,
    /// Host name, SNI or tenant key.
    pub(crate) name: Option<Box<str>>,
}

impl Entity {
    /// A host in a role, with its address and name.
    pub(crate) fn host(role: Role, id: HostId, usual: &Profiles) -> Self {
        Self { role, ip: usual.address(id), name: usual.host_name(id).map(Into::into) }
    }

    /// The destination of a tie.
    pub(crate) fn destination(tie: &Tie) -> Self {
        Self { role: Role::Destination, ip: tie.ips().first().copied(), name: tie.name.as_deref().map(Into::into) }
    }
}

/// A measured value, as it is written into records.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Value {
    Count(u64),
    Number(#[serde(with = "crate::base::real")] f64),
    Text(Box<str>),
}

/// What a measured value is held against.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Against {
    /// What this subject, or the fleet, usually shows.
    Usual(Value),
    /// A limit from a rule file.
    Limit(Value),
    /// Nothing; but the rule gives what was observed this weight in the score, in nats.
    Weight(#[serde(with = "crate::base::real")] f64),
    Nothing,
}

/// One reason: enough of them to recompute the score.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Evidence {
    /// Stable name, `gap_dispersion`.
    #[serde(with = "crate::base::word")]
    pub(crate) measure: Word,
    pub(crate) observed: Value,
    pub(crate) against: Against,
    /// `seconds`, `bytes`, `hosts`, `nats`, `probability`; empty when the value has none.
    #[serde(with = "crate::base::word")]
    pub(crate) unit: Word,
}

/// One detector's claim about one subject.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Finding {
    /// Derived from detector, subject, scope key and the UTC day of `first_seen`: the same cause has the same id in
    /// every run.
    pub(crate) id: Box<str>,
    #[serde(with = "crate::base::word")]
    pub(crate) detector: Word,
    /// When it was found (event time).
    pub(crate) time: Timestamp,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) severity: Severity,
    /// 0 to 1.
    #[serde(with = "crate::base::real")]
    pub(crate) score: f64,
    /// Calibrated probability, where there is one.
    pub(crate) p: Option<f64>,
    pub(crate) title: Text,
    /// One or two sentences with the numbers in them.
    pub(crate) explanation: Text,
    /// ATT&CK technique ids.
    pub(crate) attack: Vec<Box<str>>,
    pub(crate) entities: Vec<Entity>,
    pub(crate) reasons: Vec<Evidence>,
    /// Flows it rests on; bounded, the earliest are kept.
    pub(crate) uids: Vec<Uid>,
}
