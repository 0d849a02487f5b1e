//! What to read: paths as given, folders walked in name order, and a first look at each file, so that the merge knows
//! where it begins without holding thousands of files open.

use super::reader::Capture;
use super::stream::{self, Layers, Stored};
use super::{CaptureError, LinkType};
use crate::base::Timestamp;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// One file that is a capture, or standard input.
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// How it is told to people.
    pub(super) name: String,
    /// Of a regular file, as stored.
    pub(super) size: Option<u64>,
    /// Of its first packet, when it was looked at and has one.
    pub(super) first: Option<(Timestamp, LinkType)>,
}

/// What the given paths lead to.
#[derive(Default)]
pub(super) struct Found {
    pub(super) inputs: Vec<Input>,
    /// Files within folders that are no captures.
    pub(super) skipped: Vec<PathBuf>,
}

/// Walks `paths`; a path that is missing or is itself no capture is an error.
pub(super) fn find(paths: &[PathBuf]) -> Result<Found, CaptureError> {
    let mut found = Found::default();
    for path in paths {
        if path.as_os_str() == "-" {
            if found.inputs.iter().any(Input::is_stdin) {
                return Err(CaptureError::StdinTwice);
            }
            found.inputs.push(Input { path: path.clone(), name: "-".to_owned(), size: None, first: None });
            continue;
        }
        if fs::metadata(path).map_err(|e| failed(path, e))?.is_dir() {
            walk(path, &mut found)?;
        } else {
            let input = look(path)?.ok_or_else(|| CaptureError::NotACapture { path: told(path) })?;
            found.inputs.push(input);
        }
    }
    Ok(found)
}

/// Folders within folders, by name; links to folders are not followed, so the walk ends.
fn walk(folder: &Path, found: &mut Found) -> Result<(), CaptureError> {
    let mut entries = fs::read_dir(folder)
        .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        .map_err(|e| failed(folder, e))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| failed(&path, e))?;
        if kind.is_dir() {
            walk(&path, found)?;
        } else if fs::metadata(&path).is_ok_and(|m| m.is_file()) {
            match look(&path)? {
                Some(input) => found.inputs.push(input),
                None => found.skipped.push(path),
            }
        } else {
            found.skipped.push(path);
        }
    }
    Ok(())
}

/// Whether the file is a capture and when its first packet came. A pipe cannot be read twice and is taken as given.
fn look(path: &Path) -> Result<Option<Input>, CaptureError> {
    let metadata = fs::metadata(path).map_err(|e| failed(path, e))?;
    let mut input = Input { path: path.to_owned(), name: told(path), size: None, first: None };
    if !metadata.is_file() {
        return Ok(Some(input));
    }
    input.size = Some(metadata.len());
    let Some(mut capture) = input.open(0, FIRST_LOOK)? else { return Ok(None) };
    if let Some(ts) = capture.advance().map_err(|e| failed(path, e))? {
        input.first = Some((ts, capture.frame().link));
    }
    Ok(Some(input))
}

impl Input {
    pub(super) fn is_stdin(&self) -> bool {
        self.path.as_os_str() == "-"
    }

    /// Opens it again where it was left.
    pub(super) fn open_at(&self, position: u64) -> Result<Box<dyn io::Read + Send>, CaptureError> {
        let mut file = File::open(&self.path).map_err(|e| failed(&self.path, e))?;
        file.seek(SeekFrom::Start(position)).map_err(|e| failed(&self.path, e))?;
        Ok(Box::new(file))
    }

    /// Opens it for reading in blocks of `block` bytes; `None` when it is no capture.
    pub(super) fn open(&self, input: u32, block: usize) -> Result<Option<Capture<Layers>>, CaptureError> {
        let source: Box<dyn io::Read + Send> = if self.is_stdin() {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&self.path).map_err(|e| failed(&self.path, e))?)
        };
        let peeled = match stream::peel(Stored::new(source), block) {
            Ok(peeled) => peeled,
            Err(error) if error.raw_os_error().is_none() => None,
            Err(error) => return Err(failed(&self.path, error)),
        };
        let Some((magic, buffer)) = peeled else { return Ok(None) };
        Capture::<Layers>::new(magic, buffer, input).map(Some).or_else(|error| match error.raw_os_error() {
            None => Ok(None),
            Some(_) => Err(failed(&self.path, error)),
        })
    }
}

/// A capture in memory, plain or compressed, as if it were a file; `None` when it is no capture.
pub(crate) fn of_bytes(bytes: Vec<u8>) -> Option<Capture<Layers>> {
    let (magic, buffer) = stream::peel(Stored::new(Box::new(io::Cursor::new(bytes))), FIRST_LOOK).ok()??;
    Capture::new(magic, buffer, 0).ok()
}

/// The error of `path`.
pub(super) fn failed(path: &Path, source: io::Error) -> CaptureError {
    CaptureError::Io { path: told(path), source }
}

fn told(path: &Path) -> String {
    path.display().to_string()
}

/// Enough for the headers and, mostly, the first packet.
const FIRST_LOOK: usize = 4 * 1024;
