//! Weak signs: what alone proves nothing and adds up, by group so that one cause is not counted twice.

use super::finding::Evidence;
use crate::base::{Timestamp, Word};
use crate::event::Uid;
use crate::profile::{HostId, TenantId};

/// Groups of cues that tend to come together (`detection.md` §8): within a group the strongest counts, across groups
/// they add up, each to its cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Group {
    /// Destination rarity: new for the host, prevalence, age, direct to an address, odd certificate.
    Destination,
    /// What kind of program speaks.
    Client,
    /// Regularity and hours.
    Timing,
    /// Volume, uploads, data in names or echoes.
    Volume,
    /// Somebody acted on the host.
    Execution,
    /// Protocols used oddly.
    Protocol,
}

impl Group {
    /// All of them, G1 to G6.
    pub(crate) const ALL: [Self; 6] =
        [Self::Destination, Self::Client, Self::Timing, Self::Volume, Self::Execution, Self::Protocol];

    /// Whether it is about what leaves the host: only such cues choose cases, or the common cause test would prove what
    /// the choice put in.
    pub(crate) const fn is_egress(self) -> bool {
        !matches!(self, Self::Execution)
    }
}

/// One weak sign about one host.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Cue {
    #[serde(with = "crate::base::word")]
    pub(crate) detector: Word,
    pub(crate) ts: Timestamp,
    pub(crate) host: HostId,
    /// The destination it is about, where it is about one.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) group: Group,
    /// −ln of the chance of seeing it by accident.
    #[serde(with = "crate::base::real")]
    pub(crate) nats: f64,
    /// The measure behind it.
    pub(crate) reason: Evidence,
    pub(crate) uid: Uid,
}
