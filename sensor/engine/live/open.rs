//! The first steps of a live run, on the thread that starts it: rights are needed for them and given up after them, before
//! the first byte of traffic is looked at and before any other thread runs.

use crate::capture::{self, CaptureError, LinkType, Recording, Tap, Taps};
use crate::engine::clock;
use crate::engine::run::RunError;
use crate::engine::sandbox::{self, Confined, SYSTEM_FILES, SandboxError};
use crate::output::{Journal, Rotation};
use std::fs;
use std::path::{Path, PathBuf};

/// What to open.
pub(crate) struct Opening<'a> {
    pub(crate) interfaces: &'a [String],
    pub(crate) taps: &'a Taps,
    /// Where the records go.
    pub(crate) log: &'a Path,
    pub(crate) rotation: Rotation,
    /// Where what is captured goes.
    pub(crate) record: Option<&'a Path>,
    /// Folders and files that are read later, and folders that are written into.
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
}

/// Rings, recording and log.
pub(crate) struct Opened {
    /// With the position of its interface.
    pub(super) taps: Vec<(usize, Tap)>,
    pub(super) recording: Option<Recording>,
    pub(super) journal: Journal,
}

impl Opening<'_> {
    /// Opens everything, then gives up all capabilities and all files but the sensor's own.
    pub(crate) fn open(self) -> Result<Opened, RunError> {
        sandbox::keep_net_raw()?;
        let journal = Journal::open(self.log, self.rotation, self.record, clock::wall())?;
        let mut taps: Vec<(usize, Tap)> = Vec::new();
        for (interface, name) in self.interfaces.iter().enumerate() {
            taps.extend(capture::tap(name, self.taps)?.into_iter().map(|tap| (interface, tap)));
        }
        let record = |path| record(path, self.interfaces, &taps, self.taps.snaplen);
        let recording = self.record.map(record).transpose()?;
        for folder in &self.write {
            let wrong =
                |e: std::io::Error| SandboxError::Folder { path: folder.display().to_string(), message: e.to_string() };
            fs::create_dir_all(folder).map_err(wrong)?;
        }
        sandbox::drop_all()?;
        self.is_ours()?;
        let read: Vec<&Path> =
            self.read.iter().map(PathBuf::as_path).chain(SYSTEM_FILES.iter().map(Path::new)).collect();
        let write: Vec<&Path> = self.write.iter().map(PathBuf::as_path).chain([self.log]).collect();
        match sandbox::confine(&read, &write)? {
            Confined::Fully => tracing::debug!("no capabilities, and no files but the sensor's own, from here on"),
            Confined::Partly => tracing::warn!("an old kernel: the sensor is confined to its files in part only"),
            Confined::Not => tracing::warn!("a kernel without landlock: the sensor is not confined to its files"),
        }
        Ok(Opened { taps, recording, journal })
    }

    /// Whether the folders can be written into without any rights: an operator who starts the sensor as root hears now, and
    /// not when the first log is moved aside, that they belong to somebody else.
    fn is_ours(&self) -> Result<(), SandboxError> {
        for folder in self.write.iter().map(PathBuf::as_path).chain([self.log]) {
            let probe = folder.join(".yukue-may-write");
            let wrote = fs::write(&probe, []).and_then(|()| fs::remove_file(&probe));
            if let Err(error) = wrote.or_else(has_room) {
                let message = format!("{error}; without capabilities it must belong to the user that runs the sensor");
                return Err(SandboxError::Folder { path: folder.display().to_string(), message });
            }
        }
        Ok(())
    }
}

/// A full disk is no question of rights; the log tells of it.
fn has_room(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::StorageFull { Ok(()) } else { Err(error) }
}

fn record(path: &Path, interfaces: &[String], taps: &[(usize, Tap)], snaplen: u32) -> Result<Recording, CaptureError> {
    let link = |n: usize| taps.iter().find(|(of, _)| *of == n).map_or(LinkType::ETHERNET, |(_, tap)| tap.link());
    let described: Vec<_> = interfaces.iter().enumerate().map(|(n, name)| (name.clone(), link(n), snaplen)).collect();
    Recording::create(path, &described)
}
