//! What several chapters need: where things lie, files below a folder, tools that may be missing.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `BLESS=1` rewrites expected files instead of comparing them.
pub(crate) fn bless() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// Every file below a folder, sorted.
pub(crate) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

/// Every capture that ships, sorted.
pub(crate) fn captures() -> Vec<PathBuf> {
    let mut found = files_under(&root().join("pcaps"));
    found.retain(|p| !p.ends_with("README.md"));
    found
}

/// The path below `pcaps/`.
pub(crate) fn stem(capture: &Path) -> String {
    capture.strip_prefix(root().join("pcaps")).unwrap().to_str().unwrap().to_owned()
}
