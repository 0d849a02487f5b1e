//! `yukue.toml`: the whole sensor in one file → [`Config`].
//!
//! Paths in it begin at its folder. Keys of an output depend on its `type`, so the file is taken apart by hand first;
//! spans are kept throughout and an error points at its line.

use super::{ConfigError, nearest, text_of, wrong};
use crate::detect::Severity;
use crate::output::{Output, SINKS};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

/// The example file; its comments are the documentation of every key.
pub(crate) const EXAMPLE: &str = include_str!("../../rules/yukue.example.toml");

/// What an operator wrote, checked, and the defaults of the rest.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) parts: Parts,
    pub(crate) outputs: Vec<Output>,
}

/// Everything but the outputs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Parts {
    pub(crate) sensor: Sensor,
    pub(crate) capture: Vec<Capture>,
    pub(crate) paths: Paths,
    pub(crate) limits: Limits,
    pub(crate) web: Web,
}

/// Who speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sensor {
    pub(crate) id: Option<String>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capture {
    pub(crate) interface: String,
    #[serde(default = "one")]
    pub(crate) workers: u32,
    #[serde(default = "ring_bytes")]
    pub(crate) buffer_bytes: u64,
    #[serde(default = "snaplen")]
    pub(crate) snaplen: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
}

/// Where things lie.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Paths {
    pub(crate) site: Option<PathBuf>,
    pub(crate) assets: Option<PathBuf>,
    pub(crate) rules: Option<PathBuf>,
    pub(crate) intel: Option<PathBuf>,
    pub(crate) state: PathBuf,
    pub(crate) log: PathBuf,
}

/// How much of anything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    pub(crate) queue_bytes: u64,
    pub(crate) record_file_bytes: u64,
    pub(crate) record_files: u32,
    pub(crate) outbox_bytes: u64,
}

/// Metrics, health and API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Web {
    pub(crate) listen: SocketAddr,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) token_file: Option<PathBuf>,
}

const fn one() -> u32 {
    1
}

const fn quarter_gib() -> u64 {
    256 << 20
}

/// Larger than any frame that offloads can make.
const fn snaplen() -> u32 {
    262_144
}

const fn ring_bytes() -> u64 {
    64 << 20
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            site: None,
            assets: None,
            rules: None,
            intel: None,
            state: "/var/lib/yukue".into(),
            log: "/var/log/yukue".into(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_bytes: quarter_gib(),
            record_file_bytes: quarter_gib(),
            record_files: 8,
            outbox_bytes: quarter_gib(),
        }
    }
}

impl Default for Web {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9477)), config_file: None, token_file: None }
    }
}

impl Config {
    /// The configuration in `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, Box<ConfigError>> {
        let text = text_of(path)?;
        let mut config = Self::parse(&text).map_err(|(message, span)| wrong(path, &text, message, span))?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let paths = &mut config.parts.paths;
        let web = &mut config.parts.web;
        let files = [&mut paths.site, &mut paths.assets, &mut paths.rules, &mut paths.intel];
        for named in files.into_iter().chain([&mut web.config_file, &mut web.token_file]) {
            *named = named.take().map(|named| folder.join(named));
        }
        for named in [&mut paths.state, &mut paths.log] {
            *named = folder.join(&*named);
        }
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let mut root = DeTable::parse(text).map_err(|e| of(&e))?;
        let outputs = root.get_mut().remove("output");
        let parts = Parts::deserialize(Deserializer::from(root)).map_err(|e| of(&e))?;
        let outputs = match outputs {
            None => Vec::new(),
            Some(value) => outputs_of(value)?,
        };
        let place = |key: &str| place_of(text, key);
        for capture in &parts.capture {
            let wrong = match capture {
                Capture { interface, .. } if !is_interface(interface) => {
                    Some((format!("{interface:?} is no name of an interface"), "interface"))
                }
                Capture { workers: 0 | 65.., .. } => {
                    Some(("from 1 to 64 workers share an interface".to_owned(), "workers"))
                }
                Capture { snaplen: ..=127, .. } => {
                    Some(("a snaplen under 128 bytes cuts headers off".to_owned(), "snaplen"))
                }
                _ => None,
            };
            if let Some((message, key)) = wrong {
                return Err((message, place(key)));
            }
        }
        for (n, capture) in parts.capture.iter().enumerate() {
            if parts.capture.iter().take(n).any(|other| other.interface == capture.interface) {
                return Err((format!("{} is captured twice", capture.interface), place("interface")));
            }
        }
        Ok(Self { parts, outputs })
    }

    /// What is in force, defaults included, as the file would say it.
    pub(crate) fn shown(&self) -> String {
        let parts = toml::to_string(&self.parts).unwrap_or_default();
        let outputs = self.outputs.iter().map(|output| format!("\n{}", output.text));
        std::iter::once(parts).chain(outputs).collect()
    }
}

type Wrong = (String, Range<usize>);

fn of(error: &toml::de::Error) -> Wrong {
    (nearest(error.message()), error.span().unwrap_or_default())
}

/// What every output has, whatever its type.
#[derive(Deserialize)]
struct Common {
    name: Spanned<String>,
    r#type: Spanned<String>,
    #[serde(default = "low")]
    min_severity: Severity,
}

const fn low() -> Severity {
    Severity::Low
}

const COMMON: &[&str] = &["name", "type", "min_severity"];

fn outputs_of(value: Spanned<DeValue<'_>>) -> Result<Vec<Output>, Wrong> {
    let span = value.span();
    let DeValue::Array(entries) = value.into_inner() else {
        return Err(("outputs are written as [[output]]".to_owned(), span));
    };
    let mut outputs: Vec<Output> = Vec::new();
    for entry in entries {
        let (output, name) = output_of(entry)?;
        if outputs.iter().any(|other| other.name == output.name) {
            return Err((format!("there are two outputs called {}", output.name), name));
        }
        outputs.push(output);
    }
    Ok(outputs)
}

/// An output, and where its name is written.
fn output_of(entry: Spanned<DeValue<'_>>) -> Result<(Output, Range<usize>), Wrong> {
    let span = entry.span();
    let text = toml::Table::deserialize(ValueDeserializer::from(entry.clone())).map_err(|e| of(&e))?;
    let DeValue::Table(mut keys) = entry.into_inner() else { return Err(("an output is a table".to_owned(), span)) };
    let mut common = DeTable::new();
    for key in COMMON {
        if let Some((name, value)) = keys.remove_entry(*key) {
            common.insert(name, value);
        }
    }
    let common = Common::deserialize(Deserializer::from(Spanned::new(span.clone(), common))).map_err(|e| of(&e))?;
    let (name, kind) = (common.name.get_ref(), common.r#type.get_ref());
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) {
        return Err(("a name is made of small letters, digits, - and _".to_owned(), common.name.span()));
    }
    let Some(sink) = SINKS.iter().find(|sink| sink.name == kind) else {
        let known = SINKS.iter().map(|sink| sink.name).collect::<Vec<_>>().join(", ");
        return Err((format!("{kind:?} is no type of output; there are {known}"), common.r#type.span()));
    };
    let rest = ValueDeserializer::from(Spanned::new(span, DeValue::Table(keys)));
    let settings = (sink.settings)(rest).map_err(|error| {
        let (message, place) = of(&error);
        (format!("output {name}: {message}"), if place.is_empty() { common.r#type.span() } else { place })
    })?;
    let whole = toml::Table::from_iter([("output".to_owned(), toml::Value::Array(vec![text.into()]))]);
    let text = toml::to_string(&whole).unwrap_or_default();
    let output =
        Output { name: name.as_str().into(), kind: sink.name, least: common.min_severity, settings, text: text.into() };
    Ok((output, common.name.span()))
}

/// Where a key is written first: good enough for what is wrong beyond its type.
fn place_of(text: &str, key: &str) -> Range<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with(key) {
            return at..at.saturating_add(line.trim_end().len());
        }
        at = at.saturating_add(line.len());
    }
    0..0
}

/// As the kernel has it: IFNAMSIZ is 16 with the ending zero.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len()) && !name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
}

/// It is part of a file's name and of a thread's.
const LONGEST_NAME: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example with every commented-out key put in.
    fn everything() -> String {
        let line = |line: &str| {
            let key =
                line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['));
            format!("{}\n", key.unwrap_or(line))
        };
        EXAMPLE.lines().map(line).collect()
    }

    #[test]
    fn the_example_is_right_and_says_every_key_with_its_default() {
        let short = Config::parse(EXAMPLE).unwrap();
        assert_eq!((short.outputs.len(), short.parts.capture.len()), (1, 1));
        let long = Config::parse(&everything()).unwrap();
        let kinds: Vec<_> = long.outputs.iter().map(|output| output.kind).collect();
        assert_eq!(kinds, SINKS.iter().map(|sink| sink.name).collect::<Vec<_>>());
        assert_eq!((&long.parts.limits, &long.parts.web.listen), (&Limits::default(), &Web::default().listen));
        let capture = Capture { filter: None, ..long.parts.capture[0].clone() };
        assert_eq!(capture, short.parts.capture[0], "what is commented out is the default");
        assert_eq!((&long.parts.paths.state, &long.parts.paths.log), (&Paths::default().state, &Paths::default().log));
        let said: toml::Table = toml::from_str(&everything()).unwrap();
        let shown: toml::Table = toml::from_str(&long.shown()).unwrap();
        for (table, keys) in shown.iter().filter(|(table, _)| *table != "output") {
            let keys = keys.as_array().map_or(keys, |list| &list[0]).as_table().unwrap();
            let example = said[table].as_array().map_or(&said[table], |list| &list[0]);
            for key in keys.keys() {
                assert!(example.get(key).is_some(), "the example does not say {table}.{key}");
            }
        }
        assert_eq!(shown["output"], said["output"], "outputs are shown as written");
    }

    #[test]
    fn a_wrong_line_is_pointed_at_with_what_would_be_right() {
        for (what, text, at, message) in [
            ("a section misspelt", "[limit]\n", "limit", "perhaps `limits` is meant"),
            ("a key misspelt", "[web]\nlisen = \"x\"\n", "lisen", "perhaps `listen` is meant"),
            ("an address", "[web]\nlisten = \"x\"\n", "\"x\"", "invalid socket address"),
            ("no interface", "[[capture]]\nworkers = 2\n", "", "missing field `interface`"),
            ("no worker", "[[capture]]\ninterface = \"a\"\nworkers = 0\n", "workers = 0", "from 1 to 64"),
            ("twice", "[[capture]]\ninterface = \"a\"\n[[capture]]\ninterface = \"a\"\n", "interface", "twice"),
            ("an output's type", "[[output]]\nname = \"a\"\ntype = \"fax\"\n", "\"fax\"", "there are jsonl, syslog"),
            (
                "an output's key",
                "[[output]]\nname = \"a\"\ntype = \"webhook\"\nurll = \"x\"\n",
                "urll",
                "perhaps `url` is meant",
            ),
            ("an output's name", "[[output]]\nname = \"A B\"\ntype = \"webhook\"\n", "\"A B\"", "small letters"),
            ("no type", "[[output]]\nname = \"a\"\n", "", "missing field `type`"),
            ("no key that must be", "[[output]]\nname = \"a\"\ntype = \"jsonl\"\n", "", "missing field `path`"),
            ("a URL", "[[output]]\nname = \"a\"\ntype = \"webhook\"\nurl = \"ftp://x\"\n", "\"ftp://x\"", "https://"),
            (
                "a facility",
                "[[output]]\nname = \"a\"\ntype = \"syslog\"\naddress = \"udp://x\"\nfacility = \"me\"\n",
                "\"me\"",
                "local0",
            ),
            (
                "a severity",
                "[[output]]\nname = \"a\"\ntype = \"jsonl\"\npath = \"x\"\nmin_severity = \"bad\"\n",
                "\"bad\"",
                "critical",
            ),
            ("no TOML", "[web\n", "", ""),
        ] {
            let (said, span) = Config::parse(text).unwrap_err();
            assert!(said.contains(message), "{what}: {said}");
            assert!(text.get(span.clone()).is_some_and(|found| found.contains(at)), "{what}: {span:?} of {text}");
        }
        let two = "[[output]]\nname = \"a\"\ntype = \"jsonl\"\npath = \"x\"\n".repeat(2);
        assert!(Config::parse(&two).unwrap_err().0.contains("two outputs called a"));
    }

    #[test]
    fn paths_begin_at_the_files_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("yukue.toml");
        std::fs::write(&path, "[paths]\nsite = \"site.toml\"\nstate = \"/srv/state\"\n").unwrap();
        let paths = Config::read(&path).unwrap().parts.paths;
        assert_eq!((paths.site, paths.state), (Some(folder.path().join("site.toml")), "/srv/state".into()));
    }
}
