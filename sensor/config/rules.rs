//! Rule files that replace shipped ones → [`Rules`].

use super::{ConfigError, allow, nearest, text_of, wrong};
use crate::alert::Rules;
use crate::detect::RuleError;
use std::path::Path;

/// The shipped rules, with those of `folder` in place of shipped ones of the same name. Files that are no rules
/// (`site.toml`, `allow.toml`, `*.example.toml`) may lie beside them.
pub(crate) fn rules(folder: Option<&Path>) -> Result<Rules, Box<ConfigError>> {
    let mut rules = Rules::shipped();
    let Some(folder) = folder else { return Ok(rules) };
    let io = |error| ConfigError::Io { path: folder.display().to_string(), error };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        paths.push(entry.map_err(io)?.path());
    }
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "toml")) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if BESIDE_RULES.contains(&&*stem) || stem.ends_with(".example") {
            continue;
        }
        let text = text_of(path)?;
        rules.replace(&stem, &text).map_err(|error| match error {
            RuleError::Wrong { message, span } => wrong(path, &text, nearest(&message), span.unwrap_or_default()),
            unknown @ RuleError::Unknown(_) => wrong(path, &text, unknown.to_string(), 0..0),
        })?;
    }
    let list = folder.join("allow.toml");
    if list.is_file() {
        rules.allow = allow(&list)?;
    }
    Ok(rules)
}

const BESIDE_RULES: &[&str] = &["site", "allow"];
