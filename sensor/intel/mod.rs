//! Facts about the outside, compiled in from `rules/intel/*.csv`: whose address or name is it, which customer's share
//! of a cloud, what program speaks like that. A category is never a verdict.

use std::net::IpAddr;

/// What is known about a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// `aws`, `azure`, `cloudflare`, …
    pub(crate) provider: Option<&'a str>,
    /// Category of `cloud_domains.csv` (`object-storage`, `update-infra`, …).
    pub(crate) class: Option<&'a str>,
    /// Many customers share this very name, so the tenant cannot be told on the wire.
    pub(crate) shared: bool,
}

/// The intelligence tables.
#[derive(Debug, Default)]
pub(crate) struct Intel {}

impl Intel {
    /// The tables compiled into the binary.
    pub(crate) fn shipped() -> Self {
        Self::default()
    }

    /// The key under which rarity is judged (`detection.md` §2.1): eTLD+1 with the private section of the Public
    /// Suffix List when a name is known, else provider and network (`aws/203.0.113.0/24`), else the network.
    pub(crate) fn tenant(&self, name: Option<&str>, ip: IpAddr) -> Box<str> {
        name.map_or_else(|| ip.to_string().into(), Into::into)
    }

    /// Provider and class of a destination.
    pub(crate) fn place(&self, _name: Option<&str>, _ip: IpAddr) -> Place<'_> {
        Place::default()
    }
}
