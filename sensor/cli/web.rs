//! Flags of the web side: metrics and the API.

use crate::alert::Rules;
use crate::api::{ApiError, Settings};
use crate::engine::{self, Web};
use crate::output::Board;
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
    /// Listens, when asked to; decisions about alerts are kept in the log folder.
    pub(super) fn start(
        &self,
        rules: &Rules,
        interfaces: &[String],
        board: &Board,
        log: &Path,
    ) -> Result<Option<Web>, ApiError> {
        let Some(listen) = self.listen else { return Ok(None) };
        // The log folder is made by the sensor's start, which comes after.
        std::fs::create_dir_all(log).map_err(|source| ApiError::Audit { path: log.to_owned(), source })?;
        let settings = Settings {
            listen,
            web_file: self.web_file.clone(),
            token_file: self.token_file.clone(),
            insecure: self.insecure,
            audit: Some(log.join("audit.jsonl")),
            clock: engine::now,
        };
        let web = engine::web(&settings, rules, interfaces, board)?;
        tracing::info!(address = %web.running.address, "listening");
        Ok(Some(web))
    }
}
