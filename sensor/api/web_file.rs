//! The web file, `--web.config.file`: TLS, client certificates, passwords and headers, in the keys that Prometheus'
//! exporters have (exporter-toolkit's `web-config.yml`), so that one file serves both.
//!
//! What would look like protection and is none is refused: a client certificate that is asked for and not verified, an
//! unknown key. Paths are relative to the file.

use super::tls;
use super::watched::Loaded;
use rustls::ServerConfig;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WebFile {
    tls_server_config: Option<TlsKeys>,
    http_server_config: HttpKeys,
    basic_auth_users: BTreeMap<Box<str>, Box<str>>,
}

/// `tls_server_config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsKeys {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    #[serde(default)]
    pub(super) client_ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) client_auth_type: ClientAuth,
    #[serde(default)]
    pub(super) client_allowed_sans: Vec<Box<str>>,
    #[serde(default)]
    pub(super) min_version: MinVersion,
}

/// Whether a client must show a certificate. The other values of exporter-toolkit ask for one without verifying it, or
/// let a client pass without: neither protects anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum ClientAuth {
    #[default]
    #[serde(alias = "")]
    NoClientCert,
    RequireAndVerifyClientCert,
}

/// The oldest TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum MinVersion {
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

/// `http_server_config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpKeys {
    /// Accepted for the sake of shared files; HTTP/1.1 is spoken either way.
    #[allow(dead_code, reason = "a key that is known and changes nothing")]
    http2: bool,
    headers: BTreeMap<HeaderName, Box<str>>,
}

impl Default for HttpKeys {
    fn default() -> Self {
        Self { http2: true, headers: BTreeMap::new() }
    }
}

/// Headers that may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum HeaderName {
    #[serde(rename = "Strict-Transport-Security")]
    StrictTransportSecurity,
    #[serde(rename = "X-Content-Type-Options")]
    ContentTypeOptions,
    #[serde(rename = "X-Frame-Options")]
    FrameOptions,
    #[serde(rename = "X-XSS-Protection")]
    XssProtection,
    #[serde(rename = "Content-Security-Policy")]
    ContentSecurityPolicy,
}

impl HeaderName {
    const fn name(self) -> &'static str {
        match self {
            Self::StrictTransportSecurity => "strict-transport-security",
            Self::ContentTypeOptions => "x-content-type-options",
            Self::FrameOptions => "x-frame-options",
            Self::XssProtection => "x-xss-protection",
            Self::ContentSecurityPolicy => "content-security-policy",
        }
    }
}

/// The file, checked, with everything it names read.
#[derive(Clone, Debug, Default)]
pub(super) struct Web {
    pub(super) tls: Option<Tls>,
    /// Users and bcrypt hashes.
    pub(super) users: BTreeMap<Box<str>, Box<str>>,
    pub(super) headers: Vec<(axum::http::HeaderName, axum::http::HeaderValue)>,
}

/// TLS as it is spoken.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ServerConfig>,
    /// Of a client's certificate one of these names must be; any when empty.
    pub(super) allowed_sans: Arc<[Box<str>]>,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Loaded<Web>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let file: WebFile = match text.trim() {
        "" => WebFile::default(),
        _ => serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?,
    };
    for (user, hash) in &file.basic_auth_users {
        let parts: Result<bcrypt::HashParts, _> = hash.parse();
        let cost = parts.map_err(|e| format!("{}: the password of {user:?} is no bcrypt hash: {e}", path.display()))?;
        if cost.get_cost() > MAX_COST {
            return Err(format!(
                "{}: the password of {user:?} costs {}, at most {MAX_COST} is taken: each trial would keep the sensor busy",
                path.display(),
                cost.get_cost()
            ));
        }
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut also = Vec::new();
    let tls = match &file.tls_server_config {
        Some(keys) => {
            let mut keys = keys.clone();
            let named = [Some(&mut keys.cert_file), Some(&mut keys.key_file), keys.client_ca_file.as_mut()];
            for named in named.into_iter().flatten() {
                *named = folder.join(&*named);
                also.push(named.clone());
            }
            Some(Tls { config: tls::config(&keys)?, allowed_sans: keys.client_allowed_sans.into() })
        }
        None => None,
    };
    let mut headers = Vec::new();
    for (name, value) in &file.http_server_config.headers {
        let value = value.parse().map_err(|_| format!("{}: {} cannot be sent", path.display(), name.name()))?;
        headers.push((axum::http::HeaderName::from_static(name.name()), value));
    }
    Ok(Loaded { value: Web { tls, users: file.basic_auth_users, headers }, also })
}

/// Four seconds a trial on a slow machine; the usual cost is 10 to 12.
const MAX_COST: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Web, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        std::fs::write(&path, text).unwrap();
        read(&path).map(|loaded| loaded.value)
    }

    #[test]
    fn what_would_look_like_protection_and_is_none_is_refused() {
        let hash = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
        for (what, text, expected) in [
            ("nothing", String::new(), Ok(())),
            ("a user", format!("basic_auth_users:\n  ann: {hash}\n"), Ok(())),
            ("a header", "http_server_config:\n  headers:\n    X-Frame-Options: deny\n".into(), Ok(())),
            ("a plain password", "basic_auth_users:\n  ann: secret\n".into(), Err("no bcrypt hash")),
            (
                "an endless one",
                format!("basic_auth_users:\n  ann: {}\n", hash.replace("$10$", "$31$")),
                Err("costs 31"),
            ),
            ("an unknown key", "basic_auth_user: {}\n".into(), Err("basic_auth_user")),
            ("a header that is none of ours", "http_server_config:\n  headers:\n    Server: x\n".into(), Err("Server")),
            (
                "a certificate that nobody verifies",
                "tls_server_config:\n  cert_file: a\n  key_file: b\n  client_auth_type: RequireAnyClientCert\n".into(),
                Err("RequireAnyClientCert"),
            ),
            ("a missing file", "tls_server_config:\n  cert_file: a\n  key_file: b\n".into(), Err("I/O error")),
            ("no mapping", "- a\n".into(), Err("web.yml")),
        ] {
            let got = said(&text).map(drop);
            match (&got, expected) {
                (Ok(()), Ok(())) => {}
                (Err(message), Err(part)) => assert!(message.contains(part), "{what}: {message}"),
                _ => panic!("{what}: {got:?}"),
            }
        }
    }
}
