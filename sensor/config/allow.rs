//! `allow.toml` → [`AllowList`].

use super::site::{destination, role};
use super::{ConfigError, text_of, wrong};
use crate::alert::{Allow, AllowList, Way};
use crate::base::Timestamp;
use std::path::Path;
use toml::Spanned;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    allow: Vec<Entry>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    role: Option<Spanned<String>>,
    host: Option<Spanned<String>>,
    verb: Option<String>,
    destination: Option<Spanned<String>>,
    direction: Option<Spanned<String>>,
    #[serde(default)]
    management: bool,
    owner: Spanned<String>,
    reason: Spanned<String>,
    expires: Spanned<String>,
}

/// The allow-list in `path`. Every entry has an owner, a reason and an expiry.
pub(crate) fn allow(path: &Path) -> Result<AllowList, Box<ConfigError>> {
    let text = text_of(path)?;
    allow_list(&text).map_err(|(message, span)| wrong(path, &text, message, span))
}

/// The allow-list a text holds; what is wrong is said in words, with its place.
pub(crate) fn allow_list(text: &str) -> Result<AllowList, Wrong> {
    let file: File = toml::from_str(text).map_err(|e| (super::nearest(e.message()), e.span().unwrap_or_default()))?;
    Ok(AllowList(file.allow.iter().map(entry).collect::<Result<_, _>>()?))
}

pub(crate) type Wrong = (String, std::ops::Range<usize>);

fn entry(entry: &Entry) -> Result<Allow, Wrong> {
    let direction = |text: &str| {
        let all = Way::ALL.map(Way::name).join(", ");
        Way::ALL.into_iter().find(|way| way.name() == text).ok_or_else(|| format!("a direction is one of {all}"))
    };
    Ok(Allow {
        role: at(entry.role.as_ref(), role)?,
        host: at(entry.host.as_ref(), |text| text.parse().map_err(|_| "an address or a block".to_owned()))?,
        verb: entry.verb.as_deref().map(Into::into),
        destination: at(entry.destination.as_ref(), destination)?,
        direction: at(entry.direction.as_ref(), direction)?,
        management: entry.management,
        owner: said(&entry.owner, "who answers for it")?,
        reason: said(&entry.reason, "why it is right")?,
        expires: at(Some(&entry.expires), day)?.ok_or_else(|| ("a day".to_owned(), entry.expires.span()))?,
    })
}

fn at<T>(value: Option<&Spanned<String>>, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Wrong> {
    value.map(|value| parse(value.get_ref()).map_err(|message| (message, value.span()))).transpose()
}

fn said(value: &Spanned<String>, what: &str) -> Result<Box<str>, Wrong> {
    let text = value.get_ref().trim();
    if text.is_empty() || text.len() > LONGEST { Err((format!("say {what}"), value.span())) } else { Ok(text.into()) }
}

/// A UTC day as `2027-03-31`, in days since 1970, and as written.
fn day(text: &str) -> Result<(i64, Box<str>), String> {
    let day = Timestamp::of_day(text).ok_or("a day, as 2027-03-31")?.utc_day();
    Ok((day, text.into()))
}

/// A reason is a sentence, not a document.
const LONGEST: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AllowList, Box<ConfigError>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("allow.toml");
        std::fs::write(&path, text).unwrap();
        allow(&path)
    }

    #[test]
    fn an_entry_is_understood_and_a_wrong_one_says_what_would_be_right() {
        let whole = "[[allow]]\nrole = \"backup\"\nverb = \"beacon\"\ndestination = \"class:object-storage\"\n\
                     direction = \"outbound\"\nowner = \"ops\"\nreason = \"nightly\"\nexpires = \"2027-02-28\"\n";
        let list = read(whole).unwrap();
        assert_eq!(list.0[0].expires, (20_877, "2027-02-28".into()));
        for (what, from, to, message) in [
            ("a key misspelt", "reason", "raeson", "perhaps `reason` is meant"),
            ("no owner", "owner = \"ops\"\n", "", "missing field `owner`"),
            ("an empty reason", "nightly", " ", "say why it is right"),
            ("no such day", "2027-02-28", "2027-02-30", "a day, as"),
            ("no such role", "backup", "back-up", "role"),
            ("no such direction", "outbound", "out", "one of outbound"),
        ] {
            let wrong = read(&whole.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(wrong.contains(message), "{what}: {wrong}");
        }
    }
}
