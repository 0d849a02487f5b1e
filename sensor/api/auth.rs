//! Who asks, and what they may: tokens with roles for the API, passwords of the web file for everything.
//!
//! The token file, `--web.token-file`, is TOML and holds digests only:
//!
//! ```toml
//! [[token]]
//! name = "grafana"     # stands in the audit log
//! role = "viewer"      # viewer reads; analyst decides about alerts; admin also reads the audit log
//! sha256 = "…"         # printf %s "$TOKEN" | sha256sum
//! ```
//!
//! A token is random and long (`openssl rand -hex 32`), so its plain SHA-256 cannot be searched; passwords are not, and
//! are kept as bcrypt by the web file. One bcrypt trial runs at a time, and what came of it is remembered.

use super::answer::Problem;
use super::health::Check;
use super::watched::{Loaded, Watched};
use super::web_file::{self, Web};
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// What a caller may do; each role may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Viewer,
    Analyst,
    Admin,
}

impl Role {
    /// The name in the token file and the audit log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) name: Box<str>,
    pub(super) role: Role,
}

impl Caller {
    /// Refuses a caller whose role is less than `least`.
    pub(super) fn at_least(&self, least: Role) -> Result<(), Problem> {
        if self.role >= least {
            return Ok(());
        }
        let wanted = least.name();
        Err(Problem::Forbidden(format!("this needs the role {wanted}; {} has {}", self.name, self.role.name())))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    #[serde(default)]
    token: Vec<Token>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: Box<str>,
    role: Role,
    sha256: Box<str>,
}

/// Decides who may come in.
#[derive(Debug)]
pub(super) struct Guard {
    tokens: Option<Watched<Vec<Token>>>,
    web: Option<Watched<Web>>,
    /// Trials of passwords, by digest of user, hash and password.
    tried: Mutex<BTreeMap<[u8; 32], bool>>,
    one_trial: Semaphore,
}

impl Guard {
    /// Reads both files.
    pub(super) fn open(tokens: Option<&Path>, web: Option<&Path>) -> Result<Self, String> {
        Ok(Self {
            tokens: tokens.map(|path| Watched::open(path, read_tokens)).transpose()?,
            web: web.map(|path| Watched::open(path, web_file::read)).transpose()?,
            tried: Mutex::default(),
            one_trial: Semaphore::new(1),
        })
    }

    /// The web file in force.
    pub(super) fn web(&self) -> Option<Arc<Web>> {
        self.web.as_ref().map(Watched::get)
    }

    /// Whether anybody could prove anything.
    pub(super) fn knows_anybody(&self) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| !tokens.get().is_empty()) || self.wants_password()
    }

    /// Whether even metrics want a password.
    pub(super) fn wants_password(&self) -> bool {
        self.web().is_some_and(|web| !web.users.is_empty())
    }

    /// Whether the files can be used as they are now.
    pub(super) fn checks(&self) -> [Check; 2] {
        let (tokens, web) = (self.tokens.as_ref(), self.web.as_ref());
        [
            Check { name: "token_file", failing: tokens.and_then(Watched::failing) },
            Check { name: "web_file", failing: web.and_then(Watched::failing) },
        ]
    }

    /// Who sent a request with these headers; `None` who shows nothing.
    pub(super) async fn who(&self, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        let Some(shown) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let shown = shown.to_str().map_err(|_| UNKNOWN)?;
        let (scheme, rest) = shown.split_once(' ').ok_or(UNKNOWN)?;
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => self.bearer(rest.trim()).map(Some).ok_or(UNKNOWN),
            "basic" => self.password(rest.trim()).await.map(Some),
            _ => Err(UNKNOWN),
        }
    }

    fn bearer(&self, token: &str) -> Option<Caller> {
        // The digest of what was sent is compared: how long that takes says nothing about a token.
        let digest = hex::encode(Sha256::digest(token));
        let tokens = self.tokens.as_ref()?.get();
        let known = tokens.iter().find(|known| known.sha256.eq_ignore_ascii_case(&digest))?;
        Some(Caller { name: known.name.clone(), role: known.role })
    }

    async fn password(&self, encoded: &str) -> Result<Caller, Problem> {
        let decoded = STANDARD.decode(encoded).map_err(|_| UNKNOWN)?;
        let decoded = String::from_utf8(decoded).map_err(|_| UNKNOWN)?;
        let (user, password) = decoded.split_once(':').ok_or(UNKNOWN)?;
        let web = self.web().ok_or(UNKNOWN)?;
        // Who is not known costs a trial as well, so that names cannot be told apart by time.
        let known = web.users.get(user);
        let hash = known.or_else(|| web.users.values().next()).ok_or(UNKNOWN)?.clone();
        let mut digest = Sha256::new();
        for part in [user, &hash, password] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        let key: [u8; 32] = digest.finalize().into();
        let matches = match self.remembered(&key) {
            Some(matches) => matches,
            None => self.tried(key, hash, password.to_owned()).await?,
        };
        match known {
            Some(_) if matches => Ok(Caller { name: user.into(), role: Role::Viewer }),
            _ => Err(UNKNOWN),
        }
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<bool> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    async fn tried(&self, key: [u8; 32], hash: Box<str>, password: String) -> Result<bool, Problem> {
        let _turn = self.one_trial.acquire().await.map_err(|_| UNKNOWN)?;
        // Somebody may have tried the same while this one waited.
        if let Some(matches) = self.remembered(&key) {
            return Ok(matches);
        }
        let trial = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let matches = trial.await.map_err(|_| UNKNOWN)?;
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.len() >= MAX_TRIED {
            tried.clear();
        }
        tried.insert(key, matches);
        Ok(matches)
    }
}

fn read_tokens(path: &Path) -> Result<Loaded<Vec<Token>>, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let file: TokenFile = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    for (at, token) in file.token.iter().enumerate() {
        let digest = hex::decode(&*token.sha256).is_ok_and(|bytes| bytes.len() == 32);
        if !digest {
            return Err(wrong(format!("the sha256 of {:?} is not 64 hexadecimal digits", token.name)));
        }
        if file.token.iter().take(at).any(|earlier| earlier.name == token.name) {
            return Err(wrong(format!("two tokens are called {:?}", token.name)));
        }
        if token.name.is_empty() || token.name.len() > 64 || token.name.chars().any(char::is_control) {
            return Err(wrong(format!("{:?} is no name: 1 to 64 bytes, no control characters", token.name)));
        }
    }
    Ok(Loaded { value: file.token, also: Vec::new() })
}

const UNKNOWN: Problem = Problem::Unknown("nobody has this token or password");
/// Trials remembered, as exporter-toolkit does.
const MAX_TRIED: usize = 100;
