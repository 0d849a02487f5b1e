//! Facts about the outside, compiled in from `rules/intel/`: whose address or name is it, which customer's share of a
//! cloud, what program speaks like that. A category is never a verdict.
//!
//! Sources, dates and licences of the tables: `rules/intel/README.md`. What is not needed is not read: the
//! client table is built at first use.

mod clients;
mod names;
mod ranges;
mod table;

pub(crate) use clients::Client;

use crate::base::Prefix;
use clients::Clients;
use names::Names;
use ranges::Ranges;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

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
#[derive(Debug)]
pub(crate) struct Intel {
    names: Names,
    ranges: Ranges,
    clients: OnceLock<Clients>,
}

impl Intel {
    /// The tables compiled into the binary.
    pub(crate) fn shipped() -> Self {
        Self {
            names: Names::new(CLOUD_DOMAINS, PUBLIC_SUFFIXES, TENANT_SUFFIXES),
            ranges: Ranges::new(CLOUD_RANGES),
            clients: OnceLock::new(),
        }
    }

    /// The key under which rarity is judged (`detection.md` §2.1): eTLD+1 with the private section of the Public
    /// Suffix List when a name is known, else provider and network (`aws/203.0.113.0/24`), else the network. With it
    /// the [`Intel::place`], which asks the same tables.
    pub(crate) fn tenant(&self, name: Option<&str>, ip: IpAddr) -> (Arc<str>, Place<'_>) {
        let (name, ranged) = (name.and_then(names::clean), self.ranges.find(ip));
        let place = self.placed(name.as_deref(), ranged);
        if let Some(name) = name {
            return (self.names.tenant(&name).into(), place);
        }
        let network = Prefix::new(ip, if ip.is_ipv4() { NETWORK_V4 } else { NETWORK_V6 });
        let key = match ranged {
            Some((provider, _)) => format!("{provider}/{network}"),
            None => network.to_string(),
        };
        (key.into(), place)
    }

    /// Provider and class of a destination: what its name says, and where the name says nothing, its address.
    pub(crate) fn place(&self, name: Option<&str>, ip: IpAddr) -> Place<'_> {
        self.placed(name.and_then(names::clean).as_deref(), self.ranges.find(ip))
    }

    fn placed<'i>(&'i self, name: Option<&str>, ranged: Option<(&'i str, &'i str)>) -> Place<'i> {
        let named = name.and_then(|name| self.names.find(name));
        Place {
            provider: named.and_then(|n| n.provider).or_else(|| ranged.map(|(provider, _)| provider)),
            class: named.map(|n| n.category).or_else(|| ranged.and_then(|(_, service)| ranges::class(service))),
            shared: named.is_some_and(|n| n.shared),
        }
    }

    /// The program a user agent names.
    pub(crate) fn user_agent(&self, text: &str) -> Option<&Client> {
        self.clients().user_agent(text)
    }

    fn clients(&self) -> &Clients {
        self.clients.get_or_init(|| Clients::new(USER_AGENTS))
    }
}

/// What counts as one neighbour for a destination without a name: the smallest block that is routed on its own.
const NETWORK_V4: u8 = 24;
const NETWORK_V6: u8 = 48;

const CLOUD_DOMAINS: &str = include_str!("../../rules/intel/cloud_domains.csv");
const CLOUD_RANGES: &str = include_str!("../../rules/intel/cloud_ranges.csv");
const PUBLIC_SUFFIXES: &str = include_str!("../../rules/intel/public_suffix_list.dat");
const TENANT_SUFFIXES: &str = include_str!("../../rules/intel/tenant_suffixes.dat");
const USER_AGENTS: &str = include_str!("../../rules/intel/user_agents.csv");

#[cfg(test)]
mod tests;
