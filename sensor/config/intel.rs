//! Tables and feeds of the operator → [`Intel`].

use super::{ConfigError, files, plain, text_of};
use crate::intel::{Feeds, Intel, Tables};
use std::path::Path;

/// The shipped intelligence, with the tables of `folder` in place of shipped ones of the same name and every file in its
/// `feeds` folder as a feed.
pub(crate) fn intel(folder: Option<&Path>) -> Result<Intel, Box<ConfigError>> {
    let tables = tables(folder)?;
    let mut feeds = Feeds::default();
    if let Some(folder) = folder {
        for path in files(&folder.join("feeds"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            feeds.add(&name, &text_of(&path)?).map_err(|wrong| plain(&path, wrong.to_string()))?;
        }
    }
    Intel::new(&tables, feeds).map_err(|(name, wrong)| {
        plain(&folder.map_or_else(|| name.into(), |folder| folder.join(name)), wrong.to_string())
    })
}

/// The shipped tables, with those of `folder` in place of shipped ones of the same name.
pub(crate) fn tables(folder: Option<&Path>) -> Result<Tables, Box<ConfigError>> {
    let mut tables = Tables::shipped();
    let Some(folder) = folder else { return Ok(tables) };
    let names: Vec<_> = tables.names().collect();
    for name in names {
        let path = folder.join(name);
        if path.is_file() {
            tables.replace(name, text_of(&path)?);
        }
    }
    Ok(tables)
}
