//! Where an operator wrote it: one configuration file, or files and addresses that flags name. Either is read as a whole
//! when the sensor starts and again when it is told to reload.

use super::whole::{Parts, Paths, Web};
use super::{Config, ConfigError, Loaded, assets, declared, intel, rules};
use crate::base::Prefix;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is read.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// A configuration and all it names.
    File(PathBuf),
    /// What flags name.
    Flags(Named),
}

/// What flags name: the site, its rules and its tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub(crate) inside: Vec<Prefix>,
    pub(crate) outside: Vec<Prefix>,
    pub(crate) site: Option<PathBuf>,
    pub(crate) assets: Option<PathBuf>,
    pub(crate) rules: Option<PathBuf>,
    pub(crate) intel: Option<PathBuf>,
}

impl Written {
    /// Reads all of it.
    pub(crate) fn read(&self) -> Result<Loaded, Box<ConfigError>> {
        match self {
            Self::File(path) => {
                let config = Config::read(path)?;
                let Paths { site, assets, rules, intel, .. } = config.parts.paths.clone();
                let named = Named { site, assets, rules, intel, ..Named::default() };
                named.read(config)
            }
            Self::Flags(named) => {
                let Named { site, assets, rules, intel, .. } = named.clone();
                let paths = Paths { site, assets, rules, intel, ..Paths::default() };
                named.read(Config { parts: Parts { paths, ..Parts::default() }, outputs: Vec::new() })
            }
        }
    }
}

impl Named {
    fn read(&self, config: Config) -> Result<Loaded, Box<ConfigError>> {
        let mut declared = declared(self.site.as_deref(), &self.inside, &self.outside)?;
        if let Some(file) = &self.assets {
            // The first that declares an address is believed.
            declared.hosts.splice(0..0, assets(file)?);
        }
        Ok(Loaded {
            declared: Arc::new(declared),
            rules: rules(self.rules.as_deref())?,
            intel: Arc::new(intel(self.intel.as_deref())?),
            rows: super::loaded::rows(self.intel.as_deref())?,
            config,
        })
    }
}

impl Loaded {
    /// Files and folders that are read now or when it is read anew: what the configuration names, and itself.
    pub(crate) fn read_from(&self, written: &Written) -> Vec<PathBuf> {
        let Paths { site, assets, rules, intel, .. } = &self.config.parts.paths;
        let Web { config_file, token_file, .. } = &self.config.parts.web;
        let own = match written {
            Written::File(path) => Some(path),
            Written::Flags(_) => None,
        };
        // A file is replaced by one of the same name, so its folder is what has to be open.
        let files = own.into_iter().chain(site).chain(assets).chain(config_file).chain(token_file).cloned();
        let files = files.chain(self.named_by_outputs("_file")).map(|file| folder_of(&file));
        files.chain(rules.iter().chain(intel).cloned()).collect()
    }

    /// Folders that outputs write into.
    pub(crate) fn written_to(&self) -> Vec<PathBuf> {
        self.named_by_outputs("path").map(|file| folder_of(&file)).collect()
    }

    /// Values of outputs' keys that end so.
    fn named_by_outputs(&self, ending: &'static str) -> impl Iterator<Item = PathBuf> {
        let lines = self.config.outputs.iter().flat_map(|output| output.text.lines());
        lines.filter_map(move |line| {
            let (key, value) = line.split_once('=')?;
            key.trim().ends_with(ending).then(|| value.trim().trim_matches('"').into())
        })
    }
}

/// The folder a file is in.
fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
