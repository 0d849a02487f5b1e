//! Rows as the API shows them: flat, times as RFC 3339, what is not known left out. Names are stable; columns are only
//! added (`openapi.json`).

use crate::base::Timestamp;
use serde::{Serialize, Serializer};
use std::net::IpAddr;
use std::sync::Arc;

/// A time, `2026-11-29T12:00:00.000000Z`.
fn time<S: Serializer>(ts: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(ts)
}

/// One alert as a line of a table.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(crate) struct AlertRow {
    /// When it was first raised, event time.
    #[serde(serialize_with = "time")]
    pub(crate) time: Timestamp,
    pub(crate) id: Box<str>,
    pub(crate) severity: &'static str,
    pub(crate) detector: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) tier: u8,
    /// The host it is about: the staging server of a campaign, else the first affected host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) src: Option<IpAddr>,
    pub(crate) src_role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) src_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dst: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dst_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destination_class: Option<&'static str>,
    /// Payload bytes to the destinations, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_out: Option<u64>,
    pub(crate) score: f64,
    /// `open`, `allowed` or `absorbed`; a person's `acknowledged` or `closed` is put over `open` when it is shown.
    pub(crate) status: &'static str,
    pub(crate) title: Box<str>,
    pub(crate) summary: Box<str>,
    #[serde(serialize_with = "time")]
    pub(crate) first_seen: Timestamp,
    #[serde(serialize_with = "time")]
    pub(crate) last_seen: Timestamp,
    pub(crate) evidence_url: String,
}

/// An alert with what is shown of it elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct AlertEntry {
    pub(crate) row: AlertRow,
    /// 0 for `info`.
    pub(crate) level: u8,
    /// The addresses and names of everybody in it, to search by.
    pub(crate) about: Vec<Box<str>>,
    /// The record of `alerts.jsonl`.
    pub(crate) record: Arc<[u8]>,
    /// Who is connected to whom.
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    /// What to do about destinations of its scope: value or address → advice.
    pub(crate) advice: Vec<(Box<str>, &'static str)>,
}

/// One finding as a line of a table.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(crate) struct FindingRow {
    #[serde(serialize_with = "time")]
    pub(crate) time: Timestamp,
    pub(crate) id: Box<str>,
    pub(crate) severity: &'static str,
    pub(crate) detector: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) src: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) src_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dst: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dst_name: Option<Box<str>>,
    pub(crate) score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p: Option<f64>,
    pub(crate) title: Box<str>,
    pub(crate) summary: Box<str>,
    #[serde(serialize_with = "time")]
    pub(crate) first_seen: Timestamp,
    #[serde(serialize_with = "time")]
    pub(crate) last_seen: Timestamp,
}

/// A finding with its record.
#[derive(Clone, Debug)]
pub(crate) struct FindingEntry {
    pub(crate) row: FindingRow,
    pub(crate) about: Vec<Box<str>>,
    /// The record of `findings.jsonl`.
    pub(crate) record: Arc<[u8]>,
}

/// One host of the site as a line of a table.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(crate) struct HostRow {
    /// What the machine is told by, the same in every run: `mac:…`, `name:…`, `ip:…`.
    pub(crate) id: Box<str>,
    pub(crate) ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Box<str>>,
    /// Its role group, as metrics have it.
    pub(crate) role: &'static str,
    /// What was declared or learned of it.
    pub(crate) roles: Vec<&'static str>,
    /// `learning`, `ready` or `stale`.
    pub(crate) baseline: &'static str,
    #[serde(serialize_with = "time")]
    pub(crate) first_seen: Timestamp,
    #[serde(serialize_with = "time")]
    pub(crate) last_seen: Timestamp,
    /// Destination owners it met for the first time, everyday infrastructure aside.
    pub(crate) firsts: u32,
    /// Payload bytes of ended flows to and from the outside.
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) flows: u64,
}

/// A host with what it has to do with destinations.
#[derive(Clone, Debug)]
pub(crate) struct HostEntry {
    pub(crate) row: HostRow,
    /// The latest destination owners, at most [`HostEntry::MAX_TIES`].
    pub(crate) ties: Vec<Arc<TieRow>>,
}

impl HostEntry {
    /// Destination owners remembered for one host.
    pub(crate) const MAX_TIES: usize = 256;
}

/// What one host has to do with one destination owner.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(crate) struct TieRow {
    #[serde(skip)]
    pub(crate) tenant: u32,
    /// The owner's key.
    pub(crate) destination: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Box<str>>,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) destination_class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<Box<str>>,
    #[serde(serialize_with = "time")]
    pub(crate) first_seen: Timestamp,
    #[serde(serialize_with = "time")]
    pub(crate) last_seen: Timestamp,
    pub(crate) flows: u32,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    /// Hosts of the site that use the same owner.
    pub(crate) used_by: u32,
}

/// One destination owner as a line of a table.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(crate) struct DestinationRow {
    /// The owner's key: a registrable name, a customer's share of a cloud, or provider and network.
    pub(crate) value: Box<str>,
    /// `name` or `network`.
    pub(crate) kind: &'static str,
    pub(crate) destination_class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<Box<str>>,
    /// Names and addresses it was met by, a few.
    pub(crate) names: Vec<Box<str>>,
    pub(crate) ips: Vec<IpAddr>,
    /// Hosts of the site that use it.
    pub(crate) hosts: u32,
    pub(crate) flows: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    #[serde(serialize_with = "time")]
    pub(crate) first_seen: Timestamp,
    #[serde(serialize_with = "time")]
    pub(crate) last_seen: Timestamp,
}

/// A node of Grafana's Node Graph panel, in that panel's field names.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(crate) struct Node {
    pub(crate) id: Box<str>,
    pub(crate) title: Box<str>,
    #[serde(rename = "subTitle")]
    pub(crate) sub_title: Box<str>,
    /// What it is open for.
    #[serde(rename = "mainStat")]
    pub(crate) main_stat: Box<str>,
    /// Payload bytes it sent to, or got from, the others.
    #[serde(rename = "secondaryStat")]
    pub(crate) secondary_stat: u64,
    /// The three arcs add up to 1.
    #[serde(rename = "arc__affected")]
    pub(crate) affected: f64,
    #[serde(rename = "arc__server")]
    pub(crate) server: f64,
    #[serde(rename = "arc__destination")]
    pub(crate) destination: f64,
    #[serde(rename = "detail__role")]
    pub(crate) role: &'static str,
    #[serde(rename = "detail__severity")]
    pub(crate) severity: &'static str,
}

/// An edge of the same panel.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(crate) struct Edge {
    pub(crate) id: Box<str>,
    pub(crate) source: Box<str>,
    pub(crate) target: Box<str>,
    /// Payload bytes, where they are known.
    #[serde(rename = "mainStat", skip_serializing_if = "Option::is_none")]
    pub(crate) main_stat: Option<u64>,
    /// `acted on` or `sent to`.
    #[serde(rename = "secondaryStat")]
    pub(crate) secondary_stat: &'static str,
}
