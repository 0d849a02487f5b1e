//! Everything a configuration names, read at once; and read anew while the sensor runs.
//!
//! Reading anew changes all or nothing. What is wrong, and what is right but implausible (no detector left on, a third of
//! a table or feed gone, as after a download that was cut), is refused: the old set stays in force.

use super::{Config, ConfigError, Written, files, plain, tables, text_of};
use crate::alert::Rules;
use crate::intel::{Feeds, Intel};
use crate::profile::Declared;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A configuration and all it names.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) declared: Arc<Declared>,
    pub(crate) rules: Rules,
    pub(crate) intel: Arc<Intel>,
    /// Rows of each table and feed.
    pub(crate) rows: Vec<(String, usize)>,
}

/// What is in force after a configuration was read anew.
#[derive(Debug)]
pub(crate) struct Renewed {
    pub(crate) loaded: Loaded,
    /// What changed but needs a restart.
    pub(crate) needs_restart: Vec<&'static str>,
}

/// Why the old set stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Something is wrong.
    #[error("{}", .0.in_a_line())]
    Wrong(#[from] Box<ConfigError>),
    /// Nothing is wrong, yet it cannot be meant.
    #[error("{0}; restart the sensor if that is meant")]
    Implausible(String),
}

impl Loaded {
    /// Reads the configuration in `path` and all it names.
    pub(crate) fn read(path: &Path) -> Result<Self, Box<ConfigError>> {
        Written::File(path.to_owned()).read()
    }

    /// Reads it anew. `self` is not touched; whoever gets the new one puts it in its place.
    pub(crate) fn renew(&self, written: &Written) -> Result<Renewed, Refused> {
        let loaded = written.read()?;
        if loaded.enabled() == 0 {
            return Err(Refused::Implausible("no rule is enabled".to_owned()));
        }
        for (name, before) in &self.rows {
            let now = loaded.rows.iter().find(|(known, _)| known == name).map_or(0, |(_, rows)| *rows);
            if now.saturating_mul(100) < before.saturating_mul(100 - MOST_SHRINK_PERCENT) {
                return Err(Refused::Implausible(format!("{name} shrank from {before} rows to {now}")));
            }
        }
        let needs_restart = self.config.parts.fixed(&loaded.config.parts);
        Ok(Renewed { loaded, needs_restart })
    }

    /// Rules that are on.
    pub(crate) fn enabled(&self) -> usize {
        #[derive(serde::Deserialize)]
        struct Head {
            enabled: bool,
        }
        let on = |text: &str| toml::from_str(text).is_ok_and(|head: Head| head.enabled);
        self.rules.texts().filter(|(_, text)| on(text)).count()
    }
}

impl super::whole::Parts {
    /// Sections that differ and are looked at only when the sensor starts.
    fn fixed(&self, other: &Self) -> Vec<&'static str> {
        let places = |parts: &Self| (parts.paths.state.clone(), parts.paths.log.clone());
        let pairs = [
            ("sensor", self.sensor == other.sensor),
            ("capture", self.capture == other.capture),
            ("paths.state or paths.log", places(self) == places(other)),
            ("limits", self.limits == other.limits),
            ("web", self.web == other.web),
        ];
        pairs.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}

/// Rows of each table, and indicators of each feed in the folder's `feeds`: some keep all of them in one line.
pub(super) fn rows(folder: Option<&Path>) -> Result<Vec<(String, usize)>, Box<ConfigError>> {
    let count = |text: &str| text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).count();
    let tables = tables(folder)?;
    let mut rows: Vec<_> = tables.names().map(|name| (name.to_owned(), count(tables.text(name)))).collect();
    let feeds: Vec<PathBuf> = folder.map(|folder| files(&folder.join("feeds"))).transpose()?.unwrap_or_default();
    for path in feeds {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let indicators = Feeds::default().add(&name, &text_of(&path)?);
        rows.push((format!("feeds/{name}"), indicators.map_err(|wrong| plain(&path, wrong.to_string()))?));
    }
    Ok(rows)
}

/// As for `yukue intel import`: vendors grow, and a file that lost a third was cut.
const MOST_SHRINK_PERCENT: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    #[test]
    fn a_wrong_or_implausible_change_leaves_the_old_set_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["rules", "intel", "intel/feeds"] {
            fs::create_dir(at(name)).unwrap();
        }
        let path = at("yukue.toml");
        let written = Written::File(path.clone());
        let whole = "[paths]\nsite = \"site.toml\"\nrules = \"rules\"\nintel = \"intel\"\n";
        let names: String = (0..100).map(|n| format!("host{n}.example.net\n")).collect();
        let first = |lines: usize| names.lines().take(lines).map(|line| format!("{line}\n")).collect::<String>();
        let one_line = |indicators: usize| {
            let named = |n| json!({ "type": "domain", "value": format!("host{n}.example.org") });
            json!({ "Event": { "Attribute": (0..indicators).map(named).collect::<Vec<_>>() } }).to_string()
        };
        let right = || {
            fs::write(&path, whole).unwrap();
            fs::write(at("intel/feeds/event.json"), one_line(10)).unwrap();
            fs::write(at("site.toml"), "inside = [\"10.0.0.0/8\"]\n").unwrap();
            fs::write(at("intel/feeds/own.txt"), &names).unwrap();
            for entry in fs::read_dir(at("rules")).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        };
        // Short tables: the shipped ones take seconds to read in a debug build.
        let shipped = crate::intel::Tables::shipped();
        for name in shipped.names() {
            let head: Vec<&str> = shipped.text(name).lines().take(40).collect();
            fs::write(at("intel").join(name), head.join("\n")).unwrap();
        }
        right();
        let old = Loaded::read(&path).unwrap();
        let off = |text: &str| text.replace("enabled = true", "enabled = false");
        let all_off = || {
            old.rules.texts().for_each(|(stem, text)| fs::write(at(&format!("rules/{stem}.toml")), off(text)).unwrap())
        };
        let cases: &[(&str, &dyn Fn(), &str)] = &[
            ("nothing changed", &|| (), ""),
            ("a feed grew", &|| fs::write(at("intel/feeds/own.txt"), format!("{names}x.example\n")).unwrap(), ""),
            ("a feed shrank a little", &|| fs::write(at("intel/feeds/own.txt"), first(71)).unwrap(), ""),
            (
                "a feed was cut",
                &|| fs::write(at("intel/feeds/own.txt"), first(69)).unwrap(),
                "own.txt shrank from 100 rows to 69",
            ),
            (
                "a feed of one line was cut",
                &|| fs::write(at("intel/feeds/event.json"), one_line(3)).unwrap(),
                "event.json shrank from 10 rows to 3",
            ),
            (
                "a feed is gone",
                &|| fs::remove_file(at("intel/feeds/own.txt")).unwrap(),
                "own.txt shrank from 100 rows to 0",
            ),
            ("no rule is on", &all_off, "no rule is enabled"),
            (
                "a rule is wrong",
                &|| fs::write(at("rules/beacon.toml"), "enabled = true\nmax_pp = 1\n").unwrap(),
                "perhaps `max_p` is meant",
            ),
            ("the allow-list is wrong", &|| fs::write(at("rules/allow.toml"), "[[allow]]\n").unwrap(), "missing field"),
            (
                "the site file is wrong",
                &|| fs::write(at("site.toml"), "insite = []\n").unwrap(),
                "perhaps `inside` is meant",
            ),
            ("the file is gone", &|| fs::remove_file(&path).unwrap(), "yukue.toml"),
            ("the file is wrong", &|| fs::write(&path, "[path]\n").unwrap(), "perhaps `paths` is meant"),
        ];
        for (what, change, message) in cases {
            right();
            change();
            match old.renew(&written) {
                Ok(new) => assert!(message.is_empty() && new.needs_restart.is_empty(), "{what}: accepted"),
                Err(refused) => {
                    assert!(!message.is_empty() && refused.to_string().contains(message), "{what}: {refused}")
                }
            }
        }
        right();
        fs::write(&path, format!("{whole}[web]\nlisten = \"127.0.0.1:1\"\n[[capture]]\ninterface = \"span9\"\n"))
            .unwrap();
        assert_eq!(old.renew(&written).unwrap().needs_restart, ["capture", "web"]);
    }
}
