//! Flags that say where the sensor stands and what it judges by; the same for files and for live packets.

use crate::base::Prefix;
use crate::config::{Loaded, Named, Written};
use crate::engine::Copies;
use std::path::PathBuf;

/// The site, its rules and its tables.
#[derive(clap::Args)]
pub(super) struct SiteFlags {
    /// Addresses that are inside (repeatable); without any, the private ranges are assumed.
    #[arg(long, value_name = "CIDR", help_heading = "Site")]
    inside: Vec<Prefix>,
    /// Exceptions within the inside (repeatable); the longest prefix decides.
    #[arg(long, value_name = "CIDR", help_heading = "Site")]
    outside: Vec<Prefix>,
    /// The site file: what is inside, who plays which role, what a role may reach.
    #[arg(long, value_name = "FILE", help_heading = "Site")]
    site: Option<PathBuf>,
    /// The asset list (CSV or TOML): address, mac, name, roles of machines; it wins over what the wire says.
    #[arg(long, value_name = "FILE", help_heading = "Site")]
    assets: Option<PathBuf>,
    /// Rules that replace shipped ones of the same name.
    #[arg(long, value_name = "DIR", help_heading = "Site")]
    rules: Option<PathBuf>,
    /// Tables that replace shipped ones of the same name, and feeds in its folder `feeds`.
    #[arg(long, value_name = "DIR", help_heading = "Site")]
    intel: Option<PathBuf>,
}

impl SiteFlags {
    /// Whether any of them was used.
    pub(super) fn is_given(&self) -> bool {
        let files = [&self.site, &self.assets, &self.rules, &self.intel];
        !self.inside.is_empty() || !self.outside.is_empty() || files.iter().any(|file| file.is_some())
    }

    /// What they name.
    pub(super) fn named(&self) -> Named {
        Named {
            inside: self.inside.clone(),
            outside: self.outside.clone(),
            site: self.site.clone(),
            assets: self.assets.clone(),
            rules: self.rules.clone(),
            intel: self.intel.clone(),
        }
    }

    /// Reads the files that the flags name.
    pub(super) fn load(&self) -> Result<Loaded, miette::Report> {
        Ok(Written::Flags(self.named()).read().map_err(|e| *e)?)
    }
}

/// What to do with packets that are seen twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Duplicates {
    /// Remove and count them.
    Drop,
    /// Every packet counts.
    Keep,
}

impl Duplicates {
    /// In the engine's words.
    pub(super) const fn copies(self) -> Copies {
        match self {
            Self::Drop => Copies::Drop,
            Self::Keep => Copies::Keep,
        }
    }
}
