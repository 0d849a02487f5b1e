//! What belongs to a campaign: servers, hosts and destinations, as the output contract words them.

use crate::base::Timestamp;
use crate::profile::HostId;
use std::net::IpAddr;

/// Everything that belongs to one campaign.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Scope {
    /// Most likely first.
    pub(crate) servers: Vec<ScopeServer>,
    pub(crate) hosts: Vec<ScopeHost>,
    pub(crate) destinations: Vec<ScopeDestination>,
}

/// A server that touched the hosts, or one behind it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ScopeServer {
    pub(crate) id: HostId,
    pub(crate) ip: IpAddr,
    pub(crate) name: Option<Box<str>>,
    /// Chance that the contacts coincide without it being the cause, where it can be said.
    pub(crate) p: Option<f64>,
    /// 0 for the server that touched the endpoints, 1 for the one behind it, …
    pub(crate) hop: u32,
}

/// How sure it is that a host is affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Tier {
    /// Two kinds of evidence, or an execution mark and the destination.
    Confirmed,
    /// The destination alone.
    Likely,
    /// Touched by the server, nothing seen to go out.
    Exposed,
}

impl Tier {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Likely => "likely",
            Self::Exposed => "exposed",
        }
    }
}

/// An affected host.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ScopeHost {
    pub(crate) id: HostId,
    /// What the machine is told by, the same in every run: `mac:…`, `name:…`, `ip:…`.
    pub(crate) key: Option<Box<str>>,
    pub(crate) ip: IpAddr,
    pub(crate) name: Option<Box<str>>,
    pub(crate) tier: Tier,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    /// Payload bytes to the campaign's destinations.
    pub(crate) bytes_out: u64,
    /// Probability that the first server caused this host's case, 0 to 1.
    pub(crate) attribution: Option<f64>,
}

/// What kind of thing a destination's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum DestinationKind {
    Name,
    Ip,
    /// A customer's share of a cloud (bucket, site, tenant).
    Tenant,
}

impl DestinationKind {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Ip => "ip",
            Self::Tenant => "tenant",
        }
    }
}

/// What to do about a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Advice {
    /// Nobody outside the scope uses it.
    Block,
    /// Others use it too, or it is shared: only for the hosts in scope.
    BlockForScopeOnly,
    Watch,
}

impl Advice {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::BlockForScopeOnly => "block_for_scope_only",
            Self::Watch => "watch",
        }
    }
}

/// Where the affected hosts went.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ScopeDestination {
    pub(crate) value: Box<str>,
    pub(crate) kind: DestinationKind,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    /// Hosts in scope that went there.
    pub(crate) hosts: u64,
    pub(crate) bytes_out: u64,
    /// Hosts out of scope that use it.
    pub(crate) collateral_hosts: u64,
    pub(crate) advice: Advice,
}
