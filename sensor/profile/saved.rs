//! What is remembered of the site between runs, as plain data: the records of a baseline.
//!
//! Everything names hosts and owners by their ids of the run that wrote it; a later run continues with the same ids.
//! Times are nanoseconds since the epoch. A change of these types is a new version of the store's frame.

use super::days::GroupDays;
use super::habits::{Fleet, Habit};
use super::host_days::HostDays;
use super::hubs::Dealings;
use super::novelty::Novelty;
use super::prevalence::Destination;
use super::volume::Day;
use crate::base::{BadRecord, Kind, Record};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What concerns everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedFleet {
    pub(super) next_host: u32,
    pub(super) next_owner: u32,
    pub(super) fleet: Fleet,
    pub(super) days: GroupDays,
    /// The local day at hand and the first.
    pub(super) day: Option<(i32, i32)>,
    pub(super) span: Option<(i64, i64)>,
    pub(super) firsts: u64,
    pub(super) lone_firsts: u64,
    /// The time zone its days are in, seconds east of UTC.
    pub(super) utc_offset_s: i32,
}

/// A host: who it is, whom it meets, what its days are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedHost {
    /// What it is told by in every run: `mac:…`, `name:…`, `ip:…`.
    pub(super) key: String,
    pub(super) ip: IpAddr,
    pub(super) first_ip: IpAddr,
    /// The latest addresses.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) mac: Option<[u8; 6]>,
    pub(super) label: Option<(String, u8)>,
    pub(super) name: Option<(String, u8)>,
    pub(super) first_seen: i64,
    pub(super) last_seen: i64,
    pub(super) firsts: u32,
    pub(super) habit: Option<Habit>,
    pub(super) days: Option<HostDays>,
    /// With many machines of the site; added later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dealings: Option<Dealings>,
}

/// A destination owner and its users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedOwner {
    pub(super) key: String,
    pub(super) users: Vec<(u32, i64)>,
    pub(super) more: u32,
    pub(super) destination: Option<Destination>,
}

/// What a host and an owner have to do with each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedTie {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) flows: u32,
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) resps: Vec<(IpAddr, u16)>,
    /// IANA number.
    pub(super) transport: u8,
    pub(super) name: Option<String>,
    pub(super) background: bool,
    pub(super) under_way: bool,
    pub(super) literal_host: bool,
    pub(super) script: Option<SavedScript>,
    pub(super) day: i32,
    pub(super) sent: (i32, u64),
    pub(super) several: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum SavedScript {
    Agent,
    Content(String),
}

/// A group of peers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedPeers {
    pub(super) novelty: Novelty,
    pub(super) days: GroupDays,
}

/// A first contact in quarantine: when, and whether it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedWaiting {
    pub(super) ts: i64,
    pub(super) counted: bool,
}

/// A host's day that is not learned yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedDay {
    pub(super) group: u32,
    pub(super) sums: Day,
}

/// What somebody answers for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedApproval {
    /// A host by key, address or name; all when there is none.
    pub(crate) host: Option<String>,
    /// An owner's key or a destination's name.
    pub(crate) destination: String,
    pub(crate) owner: String,
    pub(crate) reason: String,
    /// The last day it holds, in days since the epoch.
    pub(crate) expires: i64,
}

impl SavedApproval {
    /// Whether it is about this host and a destination by one of these names.
    pub(super) fn covers(&self, host: &str, names: &[&str]) -> bool {
        self.host
            .as_deref()
            .is_none_or(|wanted| wanted == host || host.split_once(':').is_some_and(|(_, h)| h == wanted))
            && names.contains(&self.destination.as_str())
    }
}

/// What this stage remembers, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Saved {
    Fleet(Box<SavedFleet>),
    Host(Box<SavedHost>),
    Owner(Box<SavedOwner>),
    Tie(Box<SavedTie>),
    Peers(Box<SavedPeers>),
    Waiting(SavedWaiting),
    Held(i64),
    Day(Box<SavedDay>),
    Approval(Box<SavedApproval>),
}

impl Saved {
    /// Reads a record; `None` for another stage's.
    pub(super) fn read(record: &Record) -> Result<Option<Self>, BadRecord> {
        let saved = match record.kind {
            Kind::Fleet => Self::Fleet(boxed(record)?),
            Kind::Host => Self::Host(boxed(record)?),
            Kind::Owner => Self::Owner(boxed(record)?),
            Kind::Tie => Self::Tie(boxed(record)?),
            Kind::Peers => Self::Peers(boxed(record)?),
            Kind::Waiting => Self::Waiting(record.read()?),
            Kind::Held => Self::Held(record.read()?),
            Kind::Day => Self::Day(boxed(record)?),
            Kind::Approval => Self::Approval(boxed(record)?),
            _ => return Ok(None),
        };
        let has_id = !matches!(record.kind, Kind::Host | Kind::Owner) || record.key.0 < MOST_IDS;
        if has_id && saved.is_whole() { Ok(Some(saved)) } else { Err(record.bad()) }
    }

    /// The record of it.
    pub(super) fn record(&self, key: (u32, u32)) -> Record {
        match self {
            Self::Fleet(data) => Record::new(Kind::Fleet, key, data),
            Self::Host(data) => Record::new(Kind::Host, key, data),
            Self::Owner(data) => Record::new(Kind::Owner, key, data),
            Self::Tie(data) => Record::new(Kind::Tie, key, data),
            Self::Peers(data) => Record::new(Kind::Peers, key, data),
            Self::Waiting(data) => Record::new(Kind::Waiting, key, data),
            Self::Held(data) => Record::new(Kind::Held, key, data),
            Self::Day(data) => Record::new(Kind::Day, key, data),
            Self::Approval(data) => Record::new(Kind::Approval, key, data),
        }
    }

    /// As JSON.
    pub(super) fn value(&self) -> serde_json::Value {
        let value = match self {
            Self::Fleet(data) => serde_json::to_value(data),
            Self::Host(data) => serde_json::to_value(data),
            Self::Owner(data) => serde_json::to_value(data),
            Self::Tie(data) => serde_json::to_value(data),
            Self::Peers(data) => serde_json::to_value(data),
            Self::Waiting(data) => serde_json::to_value(data),
            Self::Held(data) => serde_json::to_value(data),
            Self::Day(data) => serde_json::to_value(data),
            Self::Approval(data) => serde_json::to_value(data),
        };
        // Plain data with text keys always has a JSON form.
        value.unwrap_or_default()
    }

    /// From JSON; `None` for another stage's kind.
    pub(super) fn of_value(kind: Kind, value: serde_json::Value) -> Result<Option<Self>, serde_json::Error> {
        Ok(Some(match kind {
            Kind::Fleet => Self::Fleet(serde_json::from_value(value)?),
            Kind::Host => Self::Host(serde_json::from_value(value)?),
            Kind::Owner => Self::Owner(serde_json::from_value(value)?),
            Kind::Tie => Self::Tie(serde_json::from_value(value)?),
            Kind::Peers => Self::Peers(serde_json::from_value(value)?),
            Kind::Waiting => Self::Waiting(serde_json::from_value(value)?),
            Kind::Held => Self::Held(serde_json::from_value(value)?),
            Kind::Day => Self::Day(serde_json::from_value(value)?),
            Kind::Approval => Self::Approval(serde_json::from_value(value)?),
            _ => return Ok(None),
        }))
    }

    /// Whether this code can have written it: lengths that loops and indexes rest on.
    fn is_whole(&self) -> bool {
        match self {
            Self::Fleet(fleet) => {
                fleet.fleet.by_users.is_whole()
                    && fleet.fleet.by_age.is_whole()
                    && fleet.fleet.novelty.is_whole()
                    && fleet.days.is_whole()
                    && fleet.next_host <= MOST_IDS
                    && fleet.next_owner <= MOST_IDS
            }
            Self::Host(host) => {
                host.habit.as_ref().is_none_or(|habit| habit.seen.is_whole() && habit.novelty.is_whole())
                    && host.days.as_ref().is_none_or(HostDays::is_whole)
                    && host.dealings.as_ref().is_none_or(Dealings::is_whole)
            }
            Self::Owner(owner) => owner.destination.as_ref().is_none_or(Destination::is_whole),
            Self::Peers(peers) => peers.novelty.is_whole() && peers.days.is_whole(),
            Self::Tie(_) | Self::Waiting(_) | Self::Held(_) | Self::Day(_) | Self::Approval(_) => true,
        }
    }
}

fn boxed<T: DeserializeOwned>(record: &Record) -> Result<Box<T>, BadRecord> {
    record.read().map(Box::new)
}

/// Ids are given one by one; a year of scans gives fewer.
const MOST_IDS: u32 = 1_000_000_000;
