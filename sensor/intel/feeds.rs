//! Operators' own feeds: names and addresses somebody else thinks badly of.
//!
//! Plain lists, hosts files, MISP events, STIX 2.1 bundles, abuse.ch tables and Zeek intel files; which one a text is
//! shows in its first lines. A hit is an opinion with a source, weak where many share the destination.

use super::names::clean;
use csv::ReaderBuilder;
use hashbrown::HashMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use serde_json::Value;
use std::net::IpAddr;

/// All feeds together.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    names: HashMap<Box<str>, Entry, foldhash::fast::FixedState>,
    v4: PrefixMap<Ipv4Net, u16>,
    v6: PrefixMap<Ipv6Net, u16>,
    sources: Vec<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    source: u16,
    /// Names below it count too: a domain was listed, not one host's address.
    below: bool,
}

/// What a feed says about a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit<'a> {
    /// The feed, as it was called when it was loaded.
    pub(crate) source: &'a str,
    /// The listed name, where a name hit.
    pub(crate) name: Option<&'a str>,
}

/// One indicator of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Indicator {
    Domain(Box<str>),
    Host(Box<str>),
    Net(IpNet),
}

/// A feed that cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FeedError {
    /// Starts like JSON and is none.
    #[error("no JSON: {0}")]
    Json(String),
    /// Nothing in it is a name or an address.
    #[error("no name, address or URL in it")]
    Empty,
    /// 65,536 feeds.
    #[error("too many feeds")]
    TooMany,
}

impl Feeds {
    /// Adds a feed called `source`; how many indicators were new.
    pub(crate) fn add(&mut self, source: &str, text: &str) -> Result<usize, FeedError> {
        let indicators = indicators(text)?;
        if indicators.is_empty() {
            return Err(FeedError::Empty);
        }
        let at = u16::try_from(self.sources.len()).map_err(|_| FeedError::TooMany)?;
        self.sources.push(source.into());
        let mut added = 0;
        for indicator in indicators {
            added += usize::from(match indicator {
                Indicator::Domain(name) => self.add_name(name, at, true),
                Indicator::Host(name) => self.add_name(name, at, false),
                Indicator::Net(IpNet::V4(net)) => self.v4.insert(net, at).is_none(),
                Indicator::Net(IpNet::V6(net)) => self.v6.insert(net, at).is_none(),
            });
        }
        Ok(added)
    }

    /// What the feeds say about a destination; its name is asked before its address.
    pub(crate) fn find(&self, name: Option<&str>, ip: IpAddr) -> Option<Hit<'_>> {
        let source = |at: u16| self.sources.get(usize::from(at)).map_or("", AsRef::as_ref);
        if let Some(name) = name.and_then(clean) {
            let mut part: &str = &name;
            loop {
                if let Some((listed, entry)) = self.names.get_key_value(part)
                    && (entry.below || part.len() == name.len())
                {
                    return Some(Hit { source: source(entry.source), name: Some(listed) });
                }
                match part.split_once('.') {
                    Some((_, parent)) => part = parent,
                    None => break,
                }
            }
        }
        let at = match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.get_lpm(&Ipv4Net::from(ip)).map(|(_, at)| *at),
            IpAddr::V6(ip) => self.v6.get_lpm(&Ipv6Net::from(ip)).map(|(_, at)| *at),
        };
        Some(Hit { source: source(at?), name: None })
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    fn add_name(&mut self, name: Box<str>, source: u16, below: bool) -> bool {
        let mut new = false;
        let entry = self.names.entry(name).or_insert_with(|| {
            new = true;
            Entry { source, below }
        });
        entry.below |= below;
        new
    }
}

fn indicators(text: &str) -> Result<Vec<Indicator>, FeedError> {
    let text = text.trim_start_matches('\u{feff}');
    let start = text.trim_start();
    if start.starts_with(['{', '[']) {
        let json: Value = serde_json::from_str(text).map_err(|e| FeedError::Json(e.to_string()))?;
        let mut found = Vec::new();
        if json.get("type").and_then(Value::as_str) == Some("bundle") {
            stix(&json, &mut found)
        } else {
            misp(&json, &mut found)
        }
        return Ok(found);
    }
    if start.starts_with("#fields") {
        return Ok(zeek(start));
    }
    Ok(table(text).unwrap_or_else(|| text.lines().filter_map(listed).collect()))
}

/// A line of a plain list or a hosts file.
fn listed(line: &str) -> Option<Indicator> {
    let line = line.split(['#', ';']).next().unwrap_or_default().trim();
    if line.starts_with("//") {
        return None;
    }
    let mut words = line.split_whitespace();
    let (first, second) = (words.next()?, words.next());
    match (first, second) {
        ("0.0.0.0" | "127.0.0.1" | "::", Some(name)) => domain(name),
        _ => any(first),
    }
}

/// Whatever a word is: a URL, a block, an address or a name.
fn any(word: &str) -> Option<Indicator> {
    let word = word.trim().trim_matches('"').replace("[.]", ".");
    if let Some((_, rest)) = word.split_once("://") {
        return url_host(rest);
    }
    if let Ok(net) = word.parse::<IpNet>() {
        return block(net);
    }
    if let Ok(ip) = word.parse::<IpAddr>() {
        return block(IpNet::from(ip));
    }
    // An address with a port, as botnet lists have them.
    if let Some((host, port)) = word.rsplit_once(':')
        && port.parse::<u16>().is_ok()
    {
        return host.parse::<IpAddr>().ok().map_or_else(|| domain(host), |ip| block(IpNet::from(ip)));
    }
    if word.contains('/') { url_host(&word) } else { domain(word.trim_start_matches("*.")) }
}

/// A whole network of everybody is a mistake, not an indicator.
fn block(net: IpNet) -> Option<Indicator> {
    (net.prefix_len() >= MIN_PREFIX).then(|| Indicator::Net(net.trunc()))
}

fn domain(name: &str) -> Option<Indicator> {
    let name = clean(name)?;
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.contains('.') && name.split('.').all(is_label)).then(|| Indicator::Domain(name.as_ref().into()))
}

/// The host of a URL without its scheme: one host, not its domain.
fn url_host(rest: &str) -> Option<Indicator> {
    let host = rest.split(['/', '?', '#']).next()?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let bare = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(host, _)| host);
    if let Ok(ip) = bare.trim_matches(['[', ']']).parse::<IpAddr>() {
        return block(IpNet::from(ip));
    }
    match domain(bare)? {
        Indicator::Domain(name) => Some(Indicator::Host(name)),
        other => Some(other),
    }
}

/// MISP: events with attributes, by themselves or in a `response`; what is not for detection is left out.
fn misp(json: &Value, found: &mut Vec<Indicator>) {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let events = match json {
        Value::Array(events) => events.clone(),
        _ if json.get("response").is_some_and(Value::is_array) => items(&json["response"]),
        _ => vec![json.clone()],
    };
    for event in events {
        let event = event.get("Event").unwrap_or(&event);
        let mut attributes = items(&event["Attribute"]);
        attributes.extend(items(&event["Object"]).iter().flat_map(|object| items(&object["Attribute"])));
        for attribute in attributes.iter().filter(|a| a["to_ids"].as_bool() != Some(false)) {
            let value = attribute["value"].as_str().unwrap_or_default();
            let first = value.split('|').next().unwrap_or_default();
            found.extend(match attribute["type"].as_str().unwrap_or_default() {
                "domain" | "domain|ip" => domain(first),
                "hostname" | "hostname|port" => domain(first).map(host_only),
                "ip-dst" | "ip-src" | "ip-dst|port" | "ip-src|port" | "url" => any(first),
                _ => None,
            });
        }
    }
}

fn host_only(indicator: Indicator) -> Indicator {
    match indicator {
        Indicator::Domain(name) => Indicator::Host(name),
        other => other,
    }
}

/// STIX 2.1: the equality terms of the patterns of indicators that are not revoked.
fn stix(json: &Value, found: &mut Vec<Indicator>) {
    let objects = json["objects"].as_array().map_or(&[][..], Vec::as_slice);
    let standing = |o: &&Value| o["type"].as_str() == Some("indicator") && o["revoked"].as_bool() != Some(true);
    for indicator in objects.iter().filter(standing) {
        let mut rest = indicator["pattern"].as_str().unwrap_or_default();
        while let Some((kind, after)) = rest.split_once(":value") {
            let kind = kind.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or_default();
            rest = after;
            let Some(value) = after.trim_start().strip_prefix('=').map(str::trim_start) else { continue };
            let Some((value, after)) = value.strip_prefix('\'').and_then(|v| v.split_once('\'')) else { continue };
            rest = after;
            found.extend(match kind {
                "domain-name" => domain(value),
                "ipv4-addr" | "ipv6-addr" | "url" => any(value),
                _ => None,
            });
        }
    }
}

/// Zeek's intel framework: tab-separated, `indicator` and `indicator_type` by name.
fn zeek(text: &str) -> Vec<Indicator> {
    let mut lines = text.lines();
    let fields: Vec<&str> = lines.next().unwrap_or_default().split('\t').skip(1).collect();
    let place = |name| fields.iter().position(|field| *field == name);
    let (Some(value), Some(kind)) = (place("indicator"), place("indicator_type")) else { return Vec::new() };
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        match *cells.get(kind)? {
            "Intel::DOMAIN" => domain(cells.get(value)?),
            "Intel::ADDR" | "Intel::SUBNET" => any(cells.get(value)?),
            "Intel::URL" => url_host(cells.get(value)?),
            _ => None,
        }
    };
    lines.filter(|line| !line.starts_with('#')).filter_map(row).collect()
}

/// abuse.ch and other tables with a header that names a column we know; the header may be a comment.
fn table(text: &str) -> Option<Vec<Indicator>> {
    let header =
        text.lines().take(MAX_HEADER_LINES).find(|line| columns(line).iter().any(|c| COLUMNS.contains(&c.as_str())))?;
    let column = columns(header).iter().position(|c| COLUMNS.contains(&c.as_str()))?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let rows = reader.records().filter_map(Result::ok);
    Some(rows.filter_map(|row| row.get(column).and_then(any)).collect())
}

fn columns(line: &str) -> Vec<String> {
    let line = line.trim_start_matches('#').trim();
    if !line.contains(',') {
        return Vec::new();
    }
    line.split(',').map(|cell| cell.trim().trim_matches('"').to_ascii_lowercase()).collect()
}

/// Columns that hold indicators: URLhaus, Feodo Tracker, ThreatFox, SSLBL.
const COLUMNS: &[&str] = &["url", "dst_ip", "dstip", "ioc_value", "ip_address", "domain", "indicator"];
/// Comment lines before the header.
const MAX_HEADER_LINES: usize = 64;
/// A block of a quarter of a million addresses says nothing about one.
const MIN_PREFIX: u8 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_known_by_its_first_lines() {
        let nowhere = "192.0.2.77";
        for (what, text, name, ip, expected) in [
            ("a plain list", "# bad\nevil.example\n203.0.113.9\n", Some("a.evil.example"), nowhere, true),
            ("its address", "evil.example\n203.0.113.9\n", None, "203.0.113.9", true),
            ("a block", "203.0.113.0/24\n", None, "203.0.113.200", true),
            ("a hosts file", "0.0.0.0 evil.example\n", Some("evil.example"), nowhere, true),
            ("an URL is one host", "http://x.evil.example/a.ps1\n", Some("x.evil.example"), nowhere, true),
            ("and not those below", "http://evil.example/a.ps1\n", Some("y.evil.example"), nowhere, false),
            ("a URL in brackets style", "hxxp://evil[.]example/a\n", Some("evil.example"), nowhere, true),
            ("only ends alike", "evil.example\n", Some("notevil.example"), nowhere, false),
            (
                "MISP",
                r#"{"Event":{"Attribute":[{"type":"domain","value":"evil.example","to_ids":true}],
                   "Object":[{"Attribute":[{"type":"ip-dst|port","value":"203.0.113.9|443"}]}]}}"#,
                None,
                "203.0.113.9",
                true,
            ),
            (
                "MISP, not for detection",
                r#"{"Event":{"Attribute":[{"type":"domain","value":"good.example","to_ids":false},
                   {"type":"domain","value":"evil.example"}]}}"#,
                Some("good.example"),
                nowhere,
                false,
            ),
            (
                "STIX",
                r#"{"type":"bundle","objects":[{"type":"indicator",
                   "pattern":"[domain-name:value = 'evil.example'] OR [ipv4-addr:value='203.0.113.9']"}]}"#,
                None,
                "203.0.113.9",
                true,
            ),
            (
                "STIX, revoked",
                r#"{"type":"bundle","objects":[{"type":"indicator","revoked":true,"pattern":"[domain-name:value = 'e.example']"},
                   {"type":"indicator","pattern":"[domain-name:value = 'evil.example']"}]}"#,
                Some("e.example"),
                nowhere,
                false,
            ),
            (
                "URLhaus",
                "# id,dateadded,url,url_status\n\"1\",\"2026-01-01\",\"http://203.0.113.9:8080/x\",\"online\"\n",
                None,
                "203.0.113.9",
                true,
            ),
            (
                "Feodo",
                "# Feodo\n\"first_seen_utc\",\"dst_ip\",\"dst_port\"\n\"2026-01-01\",\"203.0.113.9\",\"443\"\n",
                None,
                "203.0.113.9",
                true,
            ),
            (
                "Zeek",
                "#fields\tindicator\tindicator_type\tmeta.source\nevil.example\tIntel::DOMAIN\tx\n",
                Some("www.evil.example"),
                nowhere,
                true,
            ),
        ] {
            let mut feeds = Feeds::default();
            feeds.add("list", text).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(feeds.find(name, ip.parse().unwrap()).is_some(), expected, "{what}");
        }
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for (what, text, wrong) in [
            ("nothing", "", FeedError::Empty),
            ("only comments", "# a\n; b\n", FeedError::Empty),
            ("everybody", "0.0.0.0/0\n", FeedError::Empty),
            ("words", "hello world\n", FeedError::Empty),
        ] {
            assert_eq!(Feeds::default().add("x", text), Err(wrong), "{what}");
        }
        assert!(matches!(Feeds::default().add("x", "{"), Err(FeedError::Json(_))));
    }
}
