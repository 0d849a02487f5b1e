//! Facts about the outside, compiled in from `rules/intel/`: whose address or name is it, which customer's share of a
//! cloud, what program speaks like that, which product manages machines. A category is never a verdict.
//!
//! Sources, dates and licences of the tables: `rules/intel/README.md`. What is not needed is not read: client
//! and product tables are built at first use.

mod classes;
mod clients;
mod feeds;
mod import;
mod names;
mod products;
mod ranges;
mod table;

pub(crate) use classes::{destination_class, destination_class_name, destination_classes};
pub(crate) use clients::Client;
pub(crate) use feeds::{Feeds, Hit};
pub(crate) use import::{Vendor, merged, published, ranges, suffixes};
pub(crate) use table::TableError;

use crate::base::{Prefix, Transport};
use clients::Clients;
use names::Names;
use products::Products;
use ranges::Ranges;
use std::borrow::Cow;
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
    products: OnceLock<Products>,
    /// Texts of the tables that are built at first use.
    user_agents: Cow<'static, str>,
    fingerprints: Cow<'static, str>,
    products_text: Cow<'static, str>,
    feeds: Feeds,
}

/// Texts of the tables; those not given by the operator are the shipped ones.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    texts: [(&'static str, Cow<'static, str>); 7],
}

impl Intel {
    /// The tables compiled into the binary.
    pub(crate) fn shipped() -> Self {
        match Self::new(&Tables::shipped(), Feeds::default()) {
            Ok(intel) => intel,
            Err((name, wrong)) => unreachable!("shipped tables are read by a test: {name}: {wrong}"),
        }
    }

    /// From these tables and feeds; what is wrong is said with the table's name.
    pub(crate) fn new(tables: &Tables, feeds: Feeds) -> Result<Self, (&'static str, TableError)> {
        let [domains, ranges, public, tenants, agents, fingerprints, products] = &tables.texts;
        let intel = Self {
            names: Names::new(&domains.1, &public.1, &tenants.1).map_err(|e| (domains.0, e))?,
            ranges: Ranges::new(&ranges.1).map_err(|e| (ranges.0, e))?,
            clients: OnceLock::new(),
            products: OnceLock::new(),
            user_agents: agents.1.clone(),
            fingerprints: fingerprints.1.clone(),
            products_text: products.1.clone(),
            feeds,
        };
        // Patterns take longest to build and not every capture asks for them; the operator's own are tried at once.
        if let (Cow::Owned(_), _) | (_, Cow::Owned(_)) = (&agents.1, &fingerprints.1) {
            let clients = Clients::new(&agents.1, &fingerprints.1).map_err(|e| (agents.0, e))?;
            let _ = intel.clients.set(clients);
        }
        if let Cow::Owned(text) = &products.1 {
            let _ = intel.products.set(Products::new(text).map_err(|e| (products.0, e))?);
        }
        Ok(intel)
    }

    /// What the operator's feeds say about a destination.
    pub(crate) fn feed(&self, name: Option<&str>, ip: IpAddr) -> Option<Hit<'_>> {
        if self.feeds.is_empty() { None } else { self.feeds.find(name, ip) }
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

    /// The TLS stack a client hello shows.
    pub(crate) fn fingerprint(&self, ja3: Option<&str>, ja4: Option<&str>) -> Option<&Client> {
        self.clients().fingerprint(ja3, ja4)
    }

    /// The registrable name above `name`, or the customer's share of a cloud; `None` for what is no name.
    pub(crate) fn owner(&self, name: &str) -> Option<Arc<str>> {
        Some(self.names.tenant(&names::clean(name)?).into())
    }

    /// The product of one of `kinds` that listens on a port by default.
    pub(crate) fn product_on(&self, transport: Transport, port: u16, kinds: &[&str]) -> Option<&str> {
        self.products().on(transport, port, kinds)
    }

    /// Whether a name belongs to a vendor of products of these kinds.
    pub(crate) fn is_vendor(&self, name: &str, kinds: &[&str]) -> bool {
        self.products().is_vendor(name, kinds)
    }

    fn clients(&self) -> &Clients {
        self.clients.get_or_init(|| match Clients::new(&self.user_agents, &self.fingerprints) {
            Ok(clients) => clients,
            Err(wrong) => unreachable!("the shipped tables are read by a test: {wrong}"),
        })
    }

    fn products(&self) -> &Products {
        self.products.get_or_init(|| match Products::new(&self.products_text) {
            Ok(products) => products,
            Err(wrong) => unreachable!("the shipped table is read by a test: {wrong}"),
        })
    }
}

impl Tables {
    /// The tables compiled into the binary.
    pub(crate) fn shipped() -> Self {
        Self {
            texts: [
                ("cloud_domains.csv", Cow::Borrowed(CLOUD_DOMAINS)),
                ("cloud_ranges.csv", Cow::Borrowed(CLOUD_RANGES)),
                ("public_suffix_list.dat", Cow::Borrowed(PUBLIC_SUFFIXES)),
                ("tenant_suffixes.dat", Cow::Borrowed(TENANT_SUFFIXES)),
                ("user_agents.csv", Cow::Borrowed(USER_AGENTS)),
                ("tls_fingerprints.csv", Cow::Borrowed(TLS_FINGERPRINTS)),
                ("management_products.csv", Cow::Borrowed(MANAGEMENT_PRODUCTS)),
            ],
        }
    }

    /// Names of all tables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.texts.iter().map(|(name, _)| *name)
    }

    /// The text of a table.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.texts.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
    }

    /// Puts the operator's text in place of a shipped table.
    pub(crate) fn replace(&mut self, name: &str, text: String) {
        if let Some((_, known)) = self.texts.iter_mut().find(|(known, _)| *known == name) {
            *known = Cow::Owned(text);
        }
    }
}

/// The benign baseline of `rules/intel`: updates, telemetry and sign-in of the large vendors.
pub(crate) fn is_background(class: Option<&str>) -> bool {
    matches!(class, Some("update-infra" | "telemetry-infra" | "identity"))
}

/// Whether two names are one provider's in the two tables: `aws` and `amazon`, `microsoft` and `microsoft-azure`.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    a.split('-').next() == b.split('-').next()
}

/// What counts as one neighbour for a destination without a name: the smallest block that is routed on its own.
const NETWORK_V4: u8 = 24;
const NETWORK_V6: u8 = 48;

const CLOUD_DOMAINS: &str = include_str!("../../rules/intel/cloud_domains.csv");
const CLOUD_RANGES: &str = include_str!("../../rules/intel/cloud_ranges.csv");
const PUBLIC_SUFFIXES: &str = include_str!("../../rules/intel/public_suffix_list.dat");
const TENANT_SUFFIXES: &str = include_str!("../../rules/intel/tenant_suffixes.dat");
const MANAGEMENT_PRODUCTS: &str = include_str!("../../rules/intel/management_products.csv");
const TLS_FINGERPRINTS: &str = include_str!("../../rules/intel/tls_fingerprints.csv");
const USER_AGENTS: &str = include_str!("../../rules/intel/user_agents.csv");

#[cfg(test)]
mod tests;
