//! Vendors' own address files → rows of `cloud_ranges.csv`: AWS, Azure, Google, Oracle and GitHub publish JSON.
//!
//! A vendor's file replaces that vendor's rows. One that is much smaller than what it replaces is refused: a truncated
//! download must not blind the sensor.

use crate::base::Timestamp;
use ipnet::IpNet;
use serde_json::Value;

/// Who published a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    /// ip-ranges.json
    Aws,
    /// ServiceTags_Public_*.json
    Azure,
    /// cloud.json or goog.json
    Google,
    /// public_ip_ranges.json
    Oracle,
    /// api.github.com/meta
    Github,
}

impl Vendor {
    /// The provider in the table.
    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "microsoft-azure",
            Self::Google => "google",
            Self::Oracle => "oracle",
            Self::Github => "github",
        }
    }
}

/// A file that is not taken.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ImportError {
    /// No JSON, or not what this vendor publishes.
    #[error("not a file of {0}: {1}")]
    Unknown(&'static str, String),
    /// Much smaller than what it replaces.
    #[error(
        "{new} rows would replace {old}: that is more than {percent} % fewer, as a cut download has; --force takes it all the same"
    )]
    Shrunk {
        /// Rows it has.
        new: usize,
        /// Rows the table has.
        old: usize,
        /// The bound.
        percent: usize,
    },
}

/// One range of a vendor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    pub(crate) net: IpNet,
    pub(crate) service: String,
}

/// Reads a vendor's file.
pub(crate) fn ranges(vendor: Vendor, text: &str) -> Result<Vec<Range>, ImportError> {
    let unknown = |why: String| ImportError::Unknown(vendor.provider(), why);
    let json: Value = serde_json::from_str(text).map_err(|e| unknown(e.to_string()))?;
    let mut found = Vec::new();
    match vendor {
        Vendor::Aws => {
            for (list, key) in [("prefixes", "ip_prefix"), ("ipv6_prefixes", "ipv6_prefix")] {
                each(at(&json, list), |row| take(&mut found, at(row, key), &service(word(at(row, "service")))));
            }
        }
        Vendor::Azure => each(at(&json, "values"), |tag| {
            let name = service(word(at(at(tag, "properties"), "systemService")));
            each(at(at(tag, "properties"), "addressPrefixes"), |net| take(&mut found, net, &name));
        }),
        Vendor::Google => each(at(&json, "prefixes"), |row| {
            let name = if at(row, "service").is_string() { "gcp-customer" } else { "all" };
            take(&mut found, at(row, "ipv4Prefix"), name);
            take(&mut found, at(row, "ipv6Prefix"), name);
        }),
        Vendor::Oracle => each(at(&json, "regions"), |region| {
            each(at(region, "cidrs"), |row| {
                let tag = at(row, "tags")
                    .as_array()
                    .and_then(|tags| tags.first())
                    .map_or(String::new(), |tag| service(word(tag)));
                take(&mut found, at(row, "cidr"), if tag == "object_storage" { "object-storage" } else { "all" });
            });
        }),
        Vendor::Github => {
            let lists = json.as_object().into_iter().flatten().filter(|(_, list)| list.is_array());
            for (key, list) in lists {
                let name = service(key);
                each(list, |net| take(&mut found, net, &name));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    if found.is_empty() { Err(unknown("no address range in it".to_owned())) } else { Ok(found) }
}

/// The day the file says it was published, where it says so.
pub(crate) fn published(text: &str) -> Option<String> {
    let json: Value = serde_json::from_str(text).ok()?;
    let told = ["createDate", "creationTime", "last_updated_timestamp"]
        .iter()
        .find_map(|key| json.get(*key).and_then(Value::as_str))?;
    told.get(..10).filter(|day| Timestamp::of_day(day).is_some()).map(str::to_owned)
}

/// The Public Suffix List, when it is one and not much smaller than the one it replaces.
pub(crate) fn suffixes(text: &str, replaced: &str, force: bool) -> Result<(), ImportError> {
    let unknown = |why: &str| Err(ImportError::Unknown("publicsuffix.org", why.to_owned()));
    if !["===BEGIN ICANN DOMAINS===", "===BEGIN PRIVATE DOMAINS==="].iter().all(|mark| text.contains(mark)) {
        return unknown("it lacks the marks of its two sections");
    }
    if text.parse::<publicsuffix::List>().is_err() {
        return unknown("a line is no suffix");
    }
    let rules = |text: &str| text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with("//")).count();
    shrunk(rules(text), rules(replaced), force)
}

fn shrunk(new: usize, old: usize, force: bool) -> Result<(), ImportError> {
    if !force && new * 100 < old * (100 - MOST_SHRINK_PERCENT) {
        return Err(ImportError::Shrunk { new, old, percent: MOST_SHRINK_PERCENT });
    }
    Ok(())
}

/// The table with the vendor's rows replaced. `date` is when the file was published or fetched, `2026-11-25`.
pub(crate) fn merged(
    table: &str,
    vendor: Vendor,
    ranges: &[Range],
    date: &str,
    force: bool,
) -> Result<String, ImportError> {
    let mine = format!(",{},", vendor.provider());
    let old = table.lines().filter(|line| line.contains(&mine)).count();
    shrunk(ranges.len(), old, force)?;
    let mut text = String::with_capacity(table.len() + ranges.len() * 64);
    for line in table.lines().filter(|line| !line.contains(&mine)) {
        text.extend([line, "\n"]);
    }
    for range in ranges {
        let net = range.net;
        let service = &range.service;
        text.push_str(&format!("{net},{},{service},published by the vendor,{date}\n", vendor.provider()));
    }
    Ok(text)
}

/// A part of an object; null when there is none.
fn at<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

/// A text; empty for what is none.
fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn each(list: &Value, mut with: impl FnMut(&Value)) {
    list.as_array().into_iter().flatten().for_each(&mut with);
}

fn take(found: &mut Vec<Range>, net: &Value, service: &str) {
    if let Some(net) = net.as_str().and_then(|text| text.parse::<IpNet>().ok()) {
        found.push(Range { net: net.trunc(), service: service.to_owned() });
    }
}

/// A service as the table words it: lower case, and only letters that need no quotes.
fn service(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let name: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(MAX_SERVICE).collect();
    match name.as_str() {
        "" | "amazon" => "all".to_owned(),
        "azurestorage" => "object-storage".to_owned(),
        _ => name,
    }
}

/// As issue and field ask: a feed that loses a third overnight is broken.
const MOST_SHRINK_PERCENT: usize = 30;
/// Longest service name kept.
const MAX_SERVICE: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vendors_file_is_understood() {
        for (what, vendor, text, expected) in [
            (
                "AWS",
                Vendor::Aws,
                r#"{"prefixes":[{"ip_prefix":"203.0.113.0/24","service":"S3"},{"ip_prefix":"203.0.113.0/24","service":"AMAZON"}],
                   "ipv6_prefixes":[{"ipv6_prefix":"2001:db8::/32","service":"EC2"}]}"#,
                vec![("203.0.113.0/24", "all"), ("203.0.113.0/24", "s3"), ("2001:db8::/32", "ec2")],
            ),
            (
                "Azure",
                Vendor::Azure,
                r#"{"values":[{"properties":{"systemService":"AzureStorage","addressPrefixes":["203.0.113.0/25"]}}]}"#,
                vec![("203.0.113.0/25", "object-storage")],
            ),
            (
                "Google",
                Vendor::Google,
                r#"{"prefixes":[{"ipv4Prefix":"203.0.113.0/24","service":"Google Cloud"},{"ipv6Prefix":"2001:db8::/32"}]}"#,
                vec![("203.0.113.0/24", "gcp-customer"), ("2001:db8::/32", "all")],
            ),
            (
                "Oracle",
                Vendor::Oracle,
                r#"{"regions":[{"cidrs":[{"cidr":"203.0.113.0/24","tags":["OBJECT_STORAGE"]}]}]}"#,
                vec![("203.0.113.0/24", "object-storage")],
            ),
            (
                "GitHub",
                Vendor::Github,
                r#"{"verifiable_password_authentication":false,"hooks":["203.0.113.0/24"],"domains":{"x":["a.example"]}}"#,
                vec![("203.0.113.0/24", "hooks")],
            ),
        ] {
            let found = ranges(vendor, text).unwrap_or_else(|e| panic!("{what}: {e}"));
            let found: Vec<_> = found.iter().map(|r| (r.net.to_string(), r.service.as_str())).collect();
            let expected: Vec<_> = expected.into_iter().map(|(net, service)| (net.to_owned(), service)).collect();
            assert_eq!(found, expected, "{what}");
        }
        assert!(matches!(ranges(Vendor::Aws, "{}"), Err(ImportError::Unknown(..))));
        assert!(matches!(ranges(Vendor::Aws, "<html>"), Err(ImportError::Unknown(..))));
    }

    #[test]
    fn a_vendors_rows_are_replaced_and_a_shrunken_file_is_refused() {
        let table = "cidr,provider,service,source,snapshot_date\n203.0.113.0/24,oracle,all,x,2026-01-01\n\
                     198.51.100.0/24,oracle,all,x,2026-01-01\n192.0.2.0/24,aws,s3,x,2026-01-01\n";
        let one = ranges(Vendor::Oracle, r#"{"regions":[{"cidrs":[{"cidr":"203.0.113.0/25"}]}]}"#).unwrap();
        assert!(matches!(
            merged(table, Vendor::Oracle, &one, "2026-11-25", false),
            Err(ImportError::Shrunk { new: 1, old: 2, .. })
        ));
        assert_eq!(
            merged(table, Vendor::Oracle, &one, "2026-11-25", true).unwrap(),
            "cidr,provider,service,source,snapshot_date\n192.0.2.0/24,aws,s3,x,2026-01-01\n\
             203.0.113.0/25,oracle,all,published by the vendor,2026-11-25\n"
        );
    }
}
