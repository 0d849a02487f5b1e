//! A file of lines that is never larger than asked for: `NAME` is moved to `NAME.1`, that to `NAME.2`, and so on.
//!
//! Whole lines only, also after a crash or a full disk. A file that somebody else moved away (logrotate) is noticed and
//! begun anew, so no signal is needed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A file of lines with older ones beside it.
#[derive(Debug)]
pub(crate) struct Rotating {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines in it.
    written: u64,
    /// Bytes at which it is moved aside.
    most: u64,
    /// Older files kept.
    keep: u32,
}

impl Rotating {
    /// Opens or makes the file; a line without its end, left by a crash, is cut off.
    pub(crate) fn open(path: &Path, most: u64, keep: u32) -> io::Result<Self> {
        let mut file = append_to(path)?;
        let written = file.metadata()?.len();
        let tail = tail_of(&mut file)?;
        let torn = tail.iter().rev().take_while(|byte| **byte != b'\n').count();
        let written = written.saturating_sub(u64::try_from(torn).unwrap_or(0));
        file.set_len(written)?;
        Ok(Self { path: path.to_owned(), file, written, most, keep })
    }

    /// Adds whole lines, each with its end.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let here = fs::metadata(&self.path).ok().map(|meta| meta.ino());
        if here != Some(self.file.metadata()?.ino()) {
            self.begin()?;
        }
        let added = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if self.written > 0 && self.written.saturating_add(added) > self.most {
            self.turn()?;
        }
        if let Err(error) = self.file.write_all(lines) {
            let _ = self.file.set_len(self.written); // The error that led here is what counts.
            return Err(error);
        }
        self.written = self.written.saturating_add(added);
        Ok(())
    }

    /// The last lines, from the file before as well: enough to see what was written just before a crash.
    pub(crate) fn latest(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut text = Vec::new();
        for path in [older(&self.path, 1), self.path.clone()] {
            match File::open(path) {
                Ok(mut file) => text.extend(tail_of(&mut file)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
    }

    fn turn(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        for n in (1..self.keep).rev() {
            moved(&older(&self.path, n), &older(&self.path, n + 1))?;
        }
        match self.keep {
            0 => fs::remove_file(&self.path)?,
            _ => moved(&self.path, &older(&self.path, 1))?,
        }
        self.begin()
    }

    fn begin(&mut self) -> io::Result<()> {
        self.file = append_to(&self.path)?;
        self.written = self.file.metadata()?.len();
        Ok(())
    }
}

/// Readable by the group, so that a log shipper need not be the sensor.
fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).mode(0o640).open(path)
}

fn moved(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn older(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

fn tail_of(file: &mut File) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Holds the batch that was written last.
const TAIL: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_below_the_limit_and_hold_whole_lines_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        fs::write(&path, "{\"n\":0}\n{\"n\":").unwrap();
        let mut log = Rotating::open(&path, 40, 3).unwrap();
        for n in 1..20 {
            log.write(format!("{{\"n\":{n}}}\n").as_bytes()).unwrap();
        }
        let mut all = String::new();
        for path in [older(&path, 3), older(&path, 2), older(&path, 1), path.clone()] {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.len() <= 40 && text.ends_with("}\n"), "{}: {text}", path.display());
            all += &text;
        }
        let last: Vec<_> = (4..20).map(|n| format!("{{\"n\":{n}}}")).collect();
        let held: Vec<_> = all.lines().collect();
        assert!(last.ends_with(&held[1..].iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()), "{all}");
        assert!(!older(&path, 4).exists());
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        let mut log = Rotating::open(&path, 1000, 2).unwrap();
        log.write(b"one\n").unwrap();
        fs::rename(&path, folder.path().join("alerts.jsonl-20261129")).unwrap();
        log.write(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }
}
