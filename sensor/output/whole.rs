//! Small files that are written whole or not at all: beside the old one and then in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Makes `path` hold `bytes`, with the access rights `mode` (as the umask allows) if the disk takes them; readers never see
/// half of it, and a disk that is full keeps the old one and no half of the new.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    put(path, bytes, mode, false)
}

/// The same, on the disk before it is in its place: what cannot be written again must outlast a power cut.
pub(crate) fn replace_for_good(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    put(path, bytes, mode, true)
}

fn put(path: &Path, bytes: &[u8], mode: u32, synced: bool) -> io::Result<()> {
    let beside = path.with_added_extension("new");
    let write = || {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        if synced {
            file.sync_all()?;
        }
        fs::rename(&beside, path)?;
        match path.parent().filter(|_| synced) {
            Some(folder) if folder.as_os_str().is_empty() => File::open(".")?.sync_all(),
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// For the sensor alone.
pub(crate) const OWN: u32 = 0o600;
/// For whoever the umask lets read.
pub(crate) const READABLE: u32 = 0o666;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_replaced_whole_and_by_nobody_elses_leavings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "kept").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("state.json.new")).unwrap();
        for text in ["one", "two"] {
            replace(&path, text.as_bytes(), OWN).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "kept", "a link in the way is taken away, not followed");
        replace_for_good(&path, b"three", OWN).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        // A folder in its place cannot be replaced, and nothing half stays.
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(replace(&folder.path().join("folder"), b"x", READABLE).is_err());
        assert!(!folder.path().join("folder.new").exists());
    }
}
