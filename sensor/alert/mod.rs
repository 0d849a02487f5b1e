//! Findings and campaigns → what a person reads. Writes nothing; `output` does.

mod absorb;
mod allow;
mod book;
mod explain;
mod fuse;
mod merge;
mod next;
mod rules;
#[cfg(test)]
mod samples;
mod snapshot;
mod trial;
mod visible;

pub(crate) use allow::{Allow, AllowList, Allowed, Claim, Way};
pub(crate) use book::Book;
pub(crate) use fuse::Context;
pub(crate) use merge::merged;
pub(crate) use rules::Rules;
pub(crate) use trial::trial;
pub(crate) use visible::Unseen;

pub(crate) use crate::profile::{Network, Sight};

use crate::base::Text;
use crate::campaign::Scope;
use crate::detect::Finding;
use std::sync::Arc;

/// A finding for the record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stated {
    pub(crate) finding: Finding,
    /// What the sensor could not see of those it is about, in words; the same list serves all findings about them.
    pub(crate) not_visible: Arc<[Text]>,
}

/// What a person sees: one finding, or many joined into one story.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Alert {
    /// The joined claim: title, explanation, severity, entities, reasons, flows.
    pub(crate) finding: Finding,
    pub(crate) kind: Kind,
    /// 1 staging campaign, 2 whatever else is high or critical, 3 the rest, 4 notice.
    pub(crate) tier: u8,
    pub(crate) status: Status,
    /// The alert that tells it now, of one that was absorbed; none when it merely does not stand any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) absorbed_by: Option<Box<str>>,
    /// Somebody here answers for it.
    pub(crate) allowed: Option<Allowed>,
    /// For a campaign and an execution chain.
    pub(crate) scope: Option<Scope>,
    /// What the sensor could not see, in words, so that absence is not taken for innocence.
    pub(crate) not_visible: Vec<Text>,
}

/// What sort of story it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Kind {
    StagingCampaign,
    ExecutionChain,
    SharedDestination,
    HostAnomaly,
    Beacon,
    RemoteExecution,
    Policy,
    Notice,
}

impl Kind {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::StagingCampaign => "staging_campaign",
            Self::ExecutionChain => "execution_chain",
            Self::SharedDestination => "shared_destination",
            Self::HostAnomaly => "host_anomaly",
            Self::Beacon => "beacon",
            Self::RemoteExecution => "remote_execution",
            Self::Policy => "policy",
            Self::Notice => "notice",
        }
    }
}

/// Where an alert stands with its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Status {
    Open,
    /// An entry of the allow-list covers it.
    Allowed,
    /// It became part of another alert, or does not stand any more.
    Absorbed,
}

impl Status {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Allowed => "allowed",
            Self::Absorbed => "absorbed",
        }
    }
}
