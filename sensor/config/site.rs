//! The site file (`output-contract.md`) and the flags that win over it → [`Declared`].

use super::{ConfigError, text_of, wrong};
use crate::base::Prefix;
use crate::event::Site;
use crate::profile::{Declared, DeclaredHost, HostRole, MayReach, Policy};
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// The site from a file, if one was given, and the flags, which win: with any `inside` flag the file's `inside` is not
/// used, likewise for `outside`.
pub(crate) fn declared(
    file: Option<&Path>,
    inside: &[Prefix],
    outside: &[Prefix],
) -> Result<Declared, Box<ConfigError>> {
    let file = file.map(read).transpose()?.unwrap_or_default();
    let inside = if inside.is_empty() { &file.inside } else { inside };
    let outside = if outside.is_empty() { &file.outside } else { outside };
    let (site, utc_offset_s) = (Site::new(inside, outside), file.utc_offset_s);
    Ok(Declared { site, hosts: file.hosts, policies: file.policies, utc_offset_s })
}

/// The site a text declares; what is wrong is said in words.
pub(crate) fn site(text: &str) -> Result<Declared, String> {
    let parsed = parse(text).map_err(|wrong| wrong.message)?;
    let site = Site::new(&parsed.inside, &parsed.outside);
    Ok(Declared { site, hosts: parsed.hosts, policies: parsed.policies, utc_offset_s: parsed.utc_offset_s })
}

#[derive(Default)]
struct Parsed {
    inside: Vec<Prefix>,
    outside: Vec<Prefix>,
    hosts: Vec<DeclaredHost>,
    policies: Vec<Policy>,
    utc_offset_s: i32,
}

fn read(path: &Path) -> Result<Parsed, Box<ConfigError>> {
    let text = text_of(path)?;
    parse(&text).map_err(|Wrong { message, span }| wrong(path, &text, message, span))
}

/// The file as written; every value keeps its place so that an error can point at it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    inside: Vec<Spanned<String>>,
    #[serde(default)]
    outside: Vec<Spanned<String>>,
    domain: Option<Spanned<String>>,
    timezone: Option<Spanned<String>>,
    #[serde(default)]
    host: Vec<Host>,
    #[serde(default)]
    policy: Vec<PolicyEntry>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    address: Vec<Spanned<String>>,
    name: Option<String>,
    #[serde(default)]
    roles: Vec<Spanned<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyEntry {
    role: Spanned<String>,
    may_reach: Vec<Spanned<String>>,
}

pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) span: Range<usize>,
}

fn parse(text: &str) -> Result<Parsed, Wrong> {
    let file: File = toml::from_str(text)
        .map_err(|e| Wrong { message: super::nearest(e.message()), span: e.span().unwrap_or_default() })?;
    let utc_offset_s = file.timezone.as_ref().map(|zone| at(zone, offset)).transpose()?;
    // Checked now, so that a file stays right when somebody asks for it.
    file.domain.as_ref().map(|domain| at(domain, dns_name)).transpose()?;
    let host = |h: &Host| {
        Ok(DeclaredHost {
            addresses: all(&h.address, address)?,
            name: h.name.as_deref().map(Into::into),
            roles: all(&h.roles, role)?,
            macs: Vec::new(),
            pinned: false,
        })
    };
    let policy = |p: &PolicyEntry| Ok(Policy { role: at(&p.role, role)?, may_reach: all(&p.may_reach, destination)? });
    Ok(Parsed {
        inside: all(&file.inside, str::parse)?,
        outside: all(&file.outside, str::parse)?,
        hosts: file.host.iter().map(host).collect::<Result<_, _>>()?,
        policies: file.policy.iter().map(policy).collect::<Result<_, _>>()?,
        utc_offset_s: utc_offset_s.unwrap_or(0),
    })
}

pub(super) fn all<T>(values: &[Spanned<String>], parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Wrong> {
    values.iter().map(|value| at(value, &parse)).collect()
}

pub(super) fn at<T>(value: &Spanned<String>, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Wrong> {
    parse(value.get_ref()).map_err(|message| Wrong { message, span: value.span() })
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no IP address"))
}

pub(super) fn role(text: &str) -> Result<HostRole, String> {
    let known = || HostRole::ALL.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ");
    HostRole::ALL
        .iter()
        .copied()
        .find(|role| role.name() == text)
        .ok_or_else(|| format!("{text:?} is no role; the roles are {}", known()))
}

pub(super) fn destination(text: &str) -> Result<MayReach, String> {
    match text.split_once(':') {
        Some(("class", class)) if !class.is_empty() => Ok(MayReach::Class(class.into())),
        Some(("name", name)) if !name.is_empty() => Ok(MayReach::Name(name.to_ascii_lowercase().into())),
        _ => text
            .parse()
            .map(MayReach::Net)
            .map_err(|_| format!("{text:?} is none of class:CLASS, name:NAME, name:*.SUFFIX or a CIDR block")),
    }
}

/// A DNS name of at most 253 bytes, its labels at most 63 (RFC 1035 §2.3.4).
fn dns_name(text: &str) -> Result<(), String> {
    let fits = |label: &str| (1..=63).contains(&label.len());
    let right = text.len() <= 253 && text.split('.').all(fits);
    right.then_some(()).ok_or_else(|| format!("{text:?} is no DNS domain such as \"corp.example\""))
}

/// `+09:00`, `-03:30`, `Z` → seconds.
fn offset(text: &str) -> Result<i32, String> {
    let wrong = || format!("{text:?} is no UTC offset such as \"+09:00\"");
    if text == "Z" {
        return Ok(0);
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(wrong()),
    };
    let (hours, minutes) = rest.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str, most: i32| text.parse().ok().filter(|n| (0..=most).contains(n));
    match (number(hours, 14), number(minutes, 59)) {
        (Some(hours), Some(minutes)) => Ok(sign * (hours * 3600 + minutes * 60)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
inside   = ["172.26.0.0/16", "10.164.0.0/16"]
outside  = ["172.26.9.9/32"]
domain   = "corp.example"
timezone = "+09:00"
[[host]]
address = ["172.26.37.20"]
name    = "epp01"
roles   = ["antivirus_management"]
[[policy]]
role      = "antivirus_management"
may_reach = ["class:update-infra", "name:*.Vendor.example", "10.0.0.0/8"]
"#;

    #[test]
    fn the_whole_site_file_is_understood() {
        let parsed = parse(WHOLE).ok().unwrap();
        assert_eq!((parsed.inside.len(), parsed.outside.len()), (2, 1));
        assert_eq!((offset("+09:00"), offset("-03:30")), (Ok(32_400), Ok(-12_600)));
        assert_eq!(parsed.hosts[0].roles, [HostRole::AntivirusManagement]);
        assert_eq!(parsed.policies[0].may_reach[1], MayReach::Name("*.vendor.example".into()));
    }

    #[test]
    fn a_wrong_line_is_named_with_what_would_be_right() {
        for (what, text, message) in [
            ("an unknown key", "insite = []", "unknown field `insite`"),
            ("a prefix", "inside = [\"10.0.0.0/40\"]", "prefix length must be 0 to 32"),
            ("a role", "[[host]]\naddress = []\nroles = [\"boss\"]", "the roles are antivirus_management"),
            ("a destination", "[[policy]]\nrole = \"dns\"\nmay_reach = [\"x\"]", "name:*.SUFFIX"),
            ("a domain", "domain = \"corp..example\"", "no DNS domain"),
            ("a time zone", "timezone = \"JST\"", "such as \"+09:00\""),
        ] {
            let wrong = parse(text).err().unwrap();
            assert!(wrong.message.contains(message), "{what}: {}", wrong.message);
            assert!(wrong.span.end <= text.len() && wrong.span.start < text.len(), "{what}");
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        std::fs::write(&path, WHOLE).unwrap();
        let flags = declared(Some(&path), &["192.168.0.0/16".parse().unwrap()], &[]).unwrap();
        let file = declared(Some(&path), &[], &[]).unwrap();
        for (ip, by_flags, by_file) in
            [("192.168.1.1", true, false), ("10.164.0.1", false, true), ("172.26.9.9", false, false)]
        {
            let ip = ip.parse().unwrap();
            assert_eq!((flags.site.is_inside(ip), file.site.is_inside(ip)), (by_flags, by_file), "{ip}");
        }
    }
}
