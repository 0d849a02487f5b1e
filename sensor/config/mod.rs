//! What a user wrote: the sensor's configuration, the site file, rule files, the allow-list, tables of intelligence and feeds.
//!
//! Parsed, not validated: what comes out is valid. Errors point at the TOML line and say what would be right.

mod allow;
mod assets;
mod intel;
mod loaded;
mod rules;
mod site;
mod whole;
mod written;

pub(crate) use allow::{allow, allow_list};
pub(crate) use assets::{asset_list, assets};
pub(crate) use intel::{intel, tables};
pub(crate) use loaded::{Loaded, Renewed};
pub(crate) use rules::rules;
pub(crate) use site::{declared, site};
pub(crate) use whole::{Capture, Config, EXAMPLE, Web};
pub(crate) use written::{Named, Written};

use miette::{Diagnostic, NamedSource, SourceSpan};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is wrong with what a user wrote.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: String,
        /// Why not; told with the path, so no source to be told again.
        error: std::io::Error,
    },
    /// A file is not what it should be, as a whole.
    #[error("{path}: {message}")]
    Unusable {
        /// Which file.
        path: String,
        /// What, and what would be right.
        message: String,
    },
    /// Something in a file is not as it should be.
    #[error("{message}")]
    Wrong {
        /// What, and what would be right.
        message: String,
        /// The file's text, to show the line.
        #[source_code]
        text: NamedSource<String>,
        /// Where.
        #[label("here")]
        span: SourceSpan,
    },
}

impl ConfigError {
    /// For a log: file and line before what is wrong.
    pub(crate) fn in_a_line(&self) -> String {
        match self {
            Self::Wrong { message, text, span } => {
                let before = text.inner().get(..span.offset()).unwrap_or_default();
                format!("{}:{}: {message}", text.name(), before.matches('\n').count().saturating_add(1))
            }
            other => other.to_string(),
        }
    }
}

/// A file's text.
pub(crate) fn text_of(path: &Path) -> Result<String, Box<ConfigError>> {
    std::fs::read_to_string(path).map_err(|error| Box::new(ConfigError::Io { path: path.display().to_string(), error }))
}

fn wrong(path: &Path, text: &str, message: String, span: Range<usize>) -> Box<ConfigError> {
    let span = SourceSpan::from((span.start, span.len()));
    Box::new(ConfigError::Wrong { message, text: NamedSource::new(path.display().to_string(), text.to_owned()), span })
}

/// The files of a folder in the order of their names; none when there is no such folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<ConfigError>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let io = |error| ConfigError::Io { path: folder.display().to_string(), error };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn plain(path: &Path, message: String) -> Box<ConfigError> {
    Box::new(ConfigError::Unusable { path: path.display().to_string(), message })
}

/// A TOML file as whatever it is to be.
pub(crate) fn toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Box<ConfigError>> {
    let text = text_of(path)?;
    toml::from_str(&text).map_err(|e| wrong(path, &text, nearest(e.message()), e.span().unwrap_or_default()))
}

/// An error about a key that is not known, with the known one that is meant.
fn nearest(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let [unknown, known @ ..] = &quoted[..] else { return message.to_owned() };
    if !message.starts_with("unknown field") {
        return message.to_owned();
    }
    match alike(unknown, known) {
        Some(key) => format!("unknown field `{unknown}`: perhaps `{key}` is meant"),
        None => message.to_owned(),
    }
}

/// The known word that a misspelt one is for.
pub(crate) fn alike<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|known| (strsim::jaro_winkler(word, known), *known)).max_by(|a, b| a.0.total_cmp(&b.0));
    near.filter(|(alike, _)| *alike >= ALIKE).map(|(_, known)| known)
}

/// Letters swapped, left out or mistyped are above it, other words below.
const ALIKE: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_misspelt_is_answered_with_the_one_that_is_meant() {
        for (what, message, expected) in [
            (
                "letters swapped",
                "unknown field `max_pp`, expected one of `enabled`, `max_p`",
                "perhaps `max_p` is meant",
            ),
            ("another word", "unknown field `colour`, expected one of `enabled`, `max_p`", "expected one of"),
            ("another error", "invalid type: string", "invalid type: string"),
        ] {
            assert!(nearest(message).contains(expected), "{what}: {}", nearest(message));
        }
    }
}
