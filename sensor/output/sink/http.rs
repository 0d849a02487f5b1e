//! HTTP to receivers: one client for a sink, its timeouts, and which answers mean later and which never.

use super::stream::TlsFiles;
use super::{Failure, SinkError};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

/// `https://…`, or `http://…` for what is near.
#[derive(Clone, Debug)]
pub(super) struct Url(String);

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let uri: ureq::http::Uri = text.parse().map_err(serde::de::Error::custom)?;
        match uri.scheme_str() {
            Some("http" | "https") if uri.host().is_some() => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("a URL begins with https:// or http:// and names a host")),
        }
    }
}

/// Posts bodies to one place.
pub(super) struct Poster {
    agent: Agent,
    url: String,
    /// `authorization`, if it wants one.
    token: Option<String>,
}

impl Poster {
    /// Reads what is named; connects when there is something to post.
    pub(super) fn new(url: &Url, below: &str, files: &TlsFiles, token: Option<&PathBuf>) -> Result<Self, SinkError> {
        let mut config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("yukue/", env!("CARGO_PKG_VERSION")));
        if url.0.starts_with("https:") {
            config = config.tls_config(tls(files)?);
        } else if *files != TlsFiles::default() {
            return Err(SinkError::Unusable("files for TLS are for a URL that begins with https://".to_owned()));
        }
        let token = token.map(|path| secret(path)).transpose()?;
        Ok(Self {
            agent: config.build().new_agent(),
            url: format!("{}{below}", if below.is_empty() { &*url.0 } else { url.0.trim_end_matches('/') }),
            token: token.map(|token| format!("Bearer {token}")),
        })
    }

    /// Posts JSON. Taken is any 2xx.
    pub(super) fn post(&self, body: &[u8], headers: &[(&str, &str)]) -> Result<(), Failure> {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let answer = request.send(body).map_err(Failure::later)?;
        let code = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(());
        }
        let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        match code {
            // It read the body and does not want this one; everything else may be mended over there.
            400 | 413 | 422 => Err(Failure::Refused(format!("HTTP status {code}"))),
            _ => Err(Failure::Later { message: format!("HTTP status {code}"), after: after.map(Duration::from_secs) }),
        }
    }
}

fn tls(files: &TlsFiles) -> Result<TlsConfig, SinkError> {
    let roots: Vec<_> = files.roots()?.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let mut config = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::from(roots));
    if let (Some((chain, _)), Some(path)) = (files.identity()?, &files.key_file) {
        let wrong = |message: String| SinkError::File { path: path.display().to_string(), message };
        let chain: Vec<_> = chain.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
        let text = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
        let key = PrivateKey::from_pem(&text).map_err(|e| wrong(e.to_string()))?;
        config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Ok(config.build())
}

/// A secret is a file of its own, not a line of the configuration. White space around it is not part of it.
pub(super) fn secret(path: &Path) -> Result<String, SinkError> {
    let wrong = |message: String| SinkError::File { path: path.display().to_string(), message };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let text = text.trim();
    let visible = text.chars().all(|c| c.is_ascii_graphic());
    if text.is_empty() || !visible {
        return Err(wrong("a secret is one line of visible ASCII characters".to_owned()));
    }
    Ok(text.to_owned())
}

/// For a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(15);
