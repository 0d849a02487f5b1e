//! What a user wrote: the site file, rule files, the allow-list, tables of intelligence and feeds.
//!
//! Parsed, not validated: what comes out is valid. Errors point at the TOML line and say what would be right.

mod intel;
mod rules;
mod site;

pub(crate) use intel::{intel, tables};
pub(crate) use rules::rules;
pub(crate) use site::{declared, site};

use miette::{Diagnostic, NamedSource, SourceSpan};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is wrong with what a user wrote.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why not.
        source: std::io::Error,
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

/// A file's text.
pub(crate) fn text_of(path: &Path) -> Result<String, Box<ConfigError>> {
    std::fs::read_to_string(path)
        .map_err(|source| Box::new(ConfigError::Io { path: path.display().to_string(), source }))
}

fn wrong(path: &Path, text: &str, message: String, span: Range<usize>) -> Box<ConfigError> {
    let span = SourceSpan::from((span.start, span.len()));
    Box::new(ConfigError::Wrong { message, text: NamedSource::new(path.display().to_string(), text.to_owned()), span })
}

/// The files of a folder in the order of their names; none when there is no such folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<ConfigError>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let io = |source| ConfigError::Io { path: folder.display().to_string(), source };
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
