//! The machine as the checks see it: files below a root, and a few programs that only read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A real machine, or a folder and answers that stand for one.
pub(super) struct Machine {
    root: PathBuf,
    /// What programs answer; `None` asks them.
    answers: Option<BTreeMap<String, String>>,
}

impl Machine {
    /// The one we run on.
    pub(super) fn real() -> Self {
        Self { root: PathBuf::from("/"), answers: None }
    }

    /// A made-up one.
    #[cfg(test)]
    pub(super) fn made(root: &Path, answers: &[(&str, &str)]) -> Self {
        let answers = answers.iter().map(|(asked, said)| ((*asked).to_owned(), (*said).to_owned())).collect();
        Self { root: root.to_owned(), answers: Some(answers) }
    }

    /// Where a path is on this machine.
    pub(super) fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A file's text, without white space around it; else why not.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Result<String, String> {
        let path = path.as_ref();
        let text = fs::read_to_string(self.at(path)).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        Ok(text.trim().to_owned())
    }

    /// A number in a file.
    pub(super) fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.read(path).ok()?.parse().ok()
    }

    /// Interfaces that are up, loopback apart, by name.
    pub(super) fn interfaces(&self) -> Vec<String> {
        let folder = fs::read_dir(self.at(Path::new("/sys/class/net")));
        let names = folder.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let up =
            |name: &String| self.read(format!("/sys/class/net/{name}/operstate")).is_ok_and(|state| state != "down");
        let mut names: Vec<String> = names.filter(|name| name != "lo" && up(name)).collect();
        names.sort();
        names
    }

    /// What a program prints; else why it does not.
    pub(super) fn ask(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        if let Some(answers) = &self.answers {
            let asked = format!("{program} {}", arguments.join(" "));
            return answers.get(&asked).cloned().ok_or_else(|| format!("{program} is not installed"));
        }
        // Services have short search paths; these programs lie in sbin.
        let found = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
        let path = found.iter().find(|path| path.is_file()).ok_or_else(|| format!("{program} is not installed"))?;
        let done = Command::new(path).args(arguments).env("LC_ALL", "C").output();
        let done = done.map_err(|e| format!("{program}: {e}"))?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        Err(format!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim()))
    }

    /// Free and all bytes of the file system that holds `path`.
    pub(super) fn room(&self, path: &Path) -> Option<(u64, u64)> {
        let of = rustix::fs::statvfs(self.at(path)).ok()?;
        Some((of.f_bavail.saturating_mul(of.f_frsize), of.f_blocks.saturating_mul(of.f_frsize)))
    }

    /// Seconds since the epoch when a file was changed.
    pub(super) fn changed(&self, path: &Path) -> Option<i64> {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(self.at(path)).ok().map(|meta| meta.mtime())
    }

    /// Permission bits of a file.
    pub(super) fn mode(&self, path: &Path) -> Option<u32> {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(self.at(path)).ok().map(|meta| meta.permissions().mode() & 0o7777)
    }
}
