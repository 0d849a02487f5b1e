//! A file that is read again when it changed: certificates are renewed and tokens withdrawn without a restart.
//!
//! A file that cannot be used any more leaves in force what was read before, and says so in `/-/ready`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// What was read from a file and those it names.
#[derive(Debug)]
pub(super) struct Watched<T> {
    path: PathBuf,
    read: fn(&Path) -> Result<Loaded<T>, String>,
    state: Mutex<State<T>>,
}

/// A value, and the other files it was made from.
#[derive(Debug)]
pub(super) struct Loaded<T> {
    pub(super) value: T,
    pub(super) also: Vec<PathBuf>,
}

#[derive(Debug)]
struct State<T> {
    value: Arc<T>,
    also: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    failing: Option<String>,
}

/// Tells one version of a file from another: its time and size.
type Stamp = Option<(SystemTime, u64)>;

impl<T> Watched<T> {
    /// Reads `path` by `read`.
    pub(super) fn open(path: &Path, read: fn(&Path) -> Result<Loaded<T>, String>) -> Result<Self, String> {
        // Stamps first: a change while it is read shows as one.
        let before = stamp(path);
        let Loaded { value, also } = read(path)?;
        let stamps = std::iter::once(before).chain(also.iter().map(|path| stamp(path))).collect();
        let state = State { value: Arc::new(value), also, stamps, failing: None };
        Ok(Self { path: path.to_owned(), read, state: Mutex::new(state) })
    }

    /// The value in force.
    pub(super) fn get(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = std::iter::once(&self.path).chain(&state.also);
        let stamps: Vec<Stamp> = paths.map(|path| stamp(path)).collect();
        if stamps != state.stamps {
            match (self.read)(&self.path) {
                Ok(Loaded { value, also }) => {
                    let others = also.iter().map(|path| stamp(path));
                    let stamps = stamps.into_iter().take(1).chain(others).collect();
                    *state = State { value: Arc::new(value), also, stamps, failing: None };
                    tracing::info!(path = %self.path.display(), "read again");
                }
                Err(error) => {
                    tracing::error!(path = %self.path.display(), error, "cannot be read again; what was read holds");
                    state.failing = Some(error);
                    state.stamps = stamps;
                }
            }
        }
        Arc::clone(&state.value)
    }

    /// Why the file cannot be used as it is now.
    pub(super) fn failing(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failing.clone()
    }
}

fn stamp(path: &Path) -> Stamp {
    let known = fs::metadata(path).ok()?;
    Some((known.modified().ok()?, known.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(path: &Path) -> Result<Loaded<u32>, String> {
        let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
        let value = text.trim().parse().map_err(|_| format!("{text:?} is no number"))?;
        Ok(Loaded { value, also: Vec::new() })
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_wrong_one_leaves_the_old_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let watched = Watched::open(&path, number).unwrap();
        assert_eq!(*watched.get(), 1);
        for (text, value, wrong) in [("22", 22, false), ("three", 22, true), ("4444", 4444, false)] {
            fs::write(&path, text).unwrap();
            assert_eq!(*watched.get(), value, "{text}");
            assert_eq!(watched.failing().is_some(), wrong, "{text}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!((*watched.get(), watched.failing().is_some()), (4444, true));
        assert!(Watched::open(&path, number).is_err(), "at the start it must be right");
    }
}
