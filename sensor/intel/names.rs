//! Name → provider, category and tenant key.
//!
//! *Category*: the longest suffix of `cloud_domains.csv` on label boundaries. *Tenant key*: the registrable domain by
//! the Public Suffix List, its private section included, so that each bucket, site or account of a cloud that gives
//! its customers names is a key of its own. Where the list lacks such a cloud, the categories whose suffixes mark
//! customers and `tenant_suffixes.dat` fill in.
//!
//! Limit: where many customers share one name (`storage.googleapis.com/<bucket>`), the tenant is inside the
//! encryption; [`Named::shared`] says so.

use super::table::{TableError, Word, Words, rows};
use hashbrown::HashMap;
use publicsuffix::{List, Psl, Type};
use std::borrow::Cow;
use std::net::IpAddr;

/// Names of clouds and services.
#[derive(Debug)]
pub(super) struct Names {
    suffixes: HashMap<Box<str>, Row, foldhash::fast::FixedState>,
    public: List,
    words: Words,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// `None` where the source knows only the category.
    provider: Option<Word>,
    category: Word,
    shared: bool,
}

/// What is known about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) provider: Option<&'a str>,
    pub(super) category: &'a str,
    /// Many customers stand behind this very name.
    pub(super) shared: bool,
}

impl Names {
    /// Reads the tables: `cloud_domains.csv`, the Public Suffix List and the tenant suffixes it lacks.
    pub(super) fn new(domains: &str, public: &str, tenants: &str) -> Result<Self, TableError> {
        let (mut suffixes, mut words) = (HashMap::default(), Words::default());
        let mut rules = String::with_capacity(public.len() + tenants.len() + domains.len());
        rules.extend([public, "\n", tenants, "\n"]);
        rows(domains, ["suffix", "provider", "category"], |[suffix, provider, category]| {
            if CUSTOMER_HAS_A_NAME.contains(&category) {
                rules.extend([suffix, "\n"]);
            }
            let row = Row {
                provider: (provider != category).then(|| words.add(provider)).transpose()?,
                category: words.add(category)?,
                shared: !OWN_NAME_ONLY.contains(&category),
            };
            suffixes.insert(suffix.into(), row);
            Ok(())
        })?;
        let wrong = |e: publicsuffix::Error| TableError { line: 1, message: format!("suffix list: {e}") };
        let public = rules.parse().map_err(wrong)?;
        Ok(Self { suffixes, public, words })
    }

    /// The tenant key of a clean name: a slice of it.
    pub(super) fn tenant<'n>(&self, name: &'n str) -> &'n str {
        // A name that is itself a public suffix, or the root, has no registrable domain: it is its own key.
        self.public.domain(name.as_bytes()).and_then(|d| std::str::from_utf8(d.as_bytes()).ok()).unwrap_or(name)
    }

    /// Provider and category of a clean name, by the longest suffix that is known.
    pub(super) fn find(&self, name: &str) -> Option<Named<'_>> {
        let mut suffix = name;
        let row = loop {
            match self.suffixes.get(suffix) {
                Some(row) => break row,
                None => suffix = suffix.split_once('.')?.1,
            }
        };
        Some(Named {
            provider: row.provider.map(|word| self.words.get(word)),
            category: self.words.get(row.category),
            shared: row.shared && !self.is_customers(name, suffix),
        })
    }

    /// Whether the name belongs to one customer of a shared domain. It does not when the table's `suffix` reaches down
    /// to the customer's label: `raw.githubusercontent.com` is GitHub's own among the names below its suffix.
    fn is_customers(&self, name: &str, suffix: &str) -> bool {
        let public = self.public.suffix(name.as_bytes()).filter(|public| public.typ() == Some(Type::Private));
        public.is_some_and(|public| (suffix.len()..name.len()).contains(&public.as_bytes().len()))
    }
}

/// A name as the tables want it: lower case, without port and trailing dot. `None` for what is no DNS name: an
/// address, an empty text, or more than RFC 1035 §2.3.4 allows.
pub(super) fn clean(name: &str) -> Option<Cow<'_, str>> {
    // An address ends in a digit or has a colon; most names have neither and are not taken for one.
    let is_address = |text: &str| {
        let text = text.trim_matches(['[', ']']);
        (text.ends_with(|c: char| c.is_ascii_digit()) || text.contains(':')) && text.parse::<IpAddr>().is_ok()
    };
    let host = name.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(name, |(host, _)| host);
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.len() > MAX_NAME || is_address(name) || is_address(host) {
        return None;
    }
    Some(match host.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    })
}

/// Categories in which the label below the suffix is a customer's.
const CUSTOMER_HAS_A_NAME: &[&str] =
    &["object-storage", "paas-serverless", "iaas-hostname", "dynamic-dns", "tunnel", "free-hosting", "site-builder"];

/// Categories whose names serve one party's content: a shared name hides nothing there.
const OWN_NAME_ONLY: &[&str] =
    &["update-infra", "telemetry-infra", "identity", "doh", "ip-echo", "rmm", "anonymizer", "cdn"];

/// RFC 1035 §2.3.4.
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_and_what_is_none_is_refused() {
        let long = "a.".repeat(200);
        for (what, text, expected) in [
            ("as it should be", "a.example", Some("a.example")),
            ("upper case and a trailing dot", "A.Example.", Some("a.example")),
            ("a port", "a.example:8080", Some("a.example")),
            ("an address with a port", "203.0.113.9:80", None),
            ("an IPv6 literal", "[2001:db8::1]:443", None),
            ("a bare IPv6 address", "2001:db8::1", None),
            ("nothing", "", None),
            ("the root", ".", None),
            ("longer than a name can be", &long, None),
        ] {
            assert_eq!(clean(text).as_deref(), expected, "{what}");
        }
    }

    #[test]
    fn suffixes_match_on_label_boundaries_and_the_longest_wins() {
        let names = Names::new(
            "suffix,provider,category,abused_for,source\n\
             cloud.example,big,cloud-generic,x,x\n\
             store.cloud.example,big,object-storage,x,x\n\
             dyn.example,dynamic-dns,dynamic-dns,x,x\n",
            "// ===BEGIN ICANN DOMAINS===\nexample\n// ===END ICANN DOMAINS===\n",
            "// ===BEGIN PRIVATE DOMAINS===\n",
        )
        .unwrap();
        for (what, name, expected, tenant) in [
            (
                "a bucket",
                "b.store.cloud.example",
                Some((Some("big"), "object-storage", false)),
                "b.store.cloud.example",
            ),
            (
                "the store itself",
                "store.cloud.example",
                Some((Some("big"), "object-storage", true)),
                "store.cloud.example",
            ),
            ("the cloud", "x.cloud.example", Some((Some("big"), "cloud-generic", true)), "cloud.example"),
            ("only ends alike", "x.mycloud.example", None, "mycloud.example"),
            ("a category without provider", "a.b.dyn.example", Some((None, "dynamic-dns", false)), "b.dyn.example"),
            ("a single label", "intranet", None, "intranet"),
        ] {
            let found = names.find(name).map(|n| (n.provider, n.category, n.shared));
            assert_eq!((found, names.tenant(name)), (expected, tenant), "{what}");
        }
    }
}
