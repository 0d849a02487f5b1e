//! Flags of the web side: metrics and the API.

use crate::api::Settings;
use crate::config::Web;
use crate::engine;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where metrics and the API are, and who may read them.
#[derive(clap::Args)]
pub(super) struct WebFlags {
    /// Show metrics (/metrics), health (/-/ready) and the API (/api/v1) here; without it nothing listens.
    #[arg(long = "web.listen-address", value_name = "ADDRESS:PORT", help_heading = "Web")]
    listen: Option<SocketAddr>,
    /// TLS, client certificates and passwords, in the keys of Prometheus' exporters.
    #[arg(long = "web.config.file", value_name = "FILE", requires = "listen", help_heading = "Web")]
    web_file: Option<PathBuf>,
    /// Tokens of the API with their roles; without it and without passwords the API is closed.
    #[arg(long = "web.token-file", value_name = "FILE", requires = "listen", help_heading = "Web")]
    token_file: Option<PathBuf>,
    /// Listen beyond this machine although nothing is encrypted.
    #[arg(long = "web.insecure", requires = "listen", help_heading = "Web")]
    insecure: bool,
}

impl WebFlags {
    /// Where to listen: as flags say, else as the configuration's `[web]`, else nowhere. Decisions about alerts are kept in
    /// the log folder.
    pub(super) fn settings(&self, configured: Option<&Web>, log: &Path) -> Option<Settings> {
        let listen = self.listen.or_else(|| configured.map(|web| web.listen))?;
        let or = |flag: &Option<PathBuf>, key: fn(&Web) -> Option<PathBuf>| {
            flag.clone().or_else(|| configured.and_then(key))
        };
        Some(Settings {
            listen,
            web_file: or(&self.web_file, |web| web.config_file.clone()),
            token_file: or(&self.token_file, |web| web.token_file.clone()),
            insecure: self.insecure,
            audit: Some(log.join("audit.jsonl")),
            clock: engine::now,
        })
    }

    /// Folders of files that are read again when they change.
    pub(super) fn read_from(&self) -> Vec<PathBuf> {
        let folder = |file: &PathBuf| match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        self.web_file.iter().chain(&self.token_file).map(folder).collect()
    }
}
