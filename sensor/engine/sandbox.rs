//! What the sensor gives up once its rings are open: capabilities, and all files but its own.
//!
//! Both hold for the calling thread and the threads it starts afterwards, so they are called on the main thread when
//! interfaces, files and databases are open and before any other thread runs. Traffic is parsed only after that.

use caps::{CapSet, Capability};
use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus,
};
use std::path::Path;

/// Why something could not be given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// The kernel kept the capabilities.
    #[error("cannot drop capabilities: {0}")]
    Capabilities(#[from] caps::errors::CapsError),
    /// A folder cannot be opened for the rules.
    #[error("cannot confine the sensor to {path}: {message}")]
    Folder {
        /// Which.
        path: String,
        /// Why not.
        message: String,
    },
    /// The rules were not taken.
    #[error("cannot confine the sensor to its folders: {0}")]
    Rules(#[from] landlock::RulesetError),
}

/// How far the kernel holds us to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confined {
    Fully,
    /// An older kernel: some ways to change files are still open.
    Partly,
    /// The kernel has no landlock.
    Not,
}

/// Gives up all capabilities but CAP_NET_RAW, which opening an interface takes.
pub(crate) fn keep_net_raw() -> Result<(), SandboxError> {
    let has = caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW)?;
    let kept = has.then_some(Capability::CAP_NET_RAW).into_iter().collect();
    lower(&kept)
}

/// Gives up all capabilities. Open rings go on; an interface cannot be opened again.
pub(crate) fn drop_all() -> Result<(), SandboxError> {
    lower(&caps::CapsHashSet::new())
}

fn lower(kept: &caps::CapsHashSet) -> Result<(), SandboxError> {
    // What a child could get back by executing a file goes first; that takes a capability that is about to go.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for capability in caps::all().difference(kept) {
            if caps::has_cap(None, CapSet::Bounding, *capability)? {
                caps::drop(None, CapSet::Bounding, *capability)?;
            }
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Inheritable, &caps::CapsHashSet::new())?;
    caps::set(None, CapSet::Effective, kept)?;
    caps::set(None, CapSet::Permitted, kept)?;
    Ok(())
}

/// From now on only files below `read` can be read and only folders in `write` changed. Network stays: outputs need it.
/// What does not exist is left out.
pub(crate) fn confine(read: &[&Path], write: &[&Path]) -> Result<Confined, SandboxError> {
    let abi = ABI::V3; // What it cannot do on an older kernel it leaves out; later ones add ways we do not use.
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .create()?;
    let folders = read.iter().map(|path| (path, AccessFs::from_read(abi) & !AccessFs::Execute));
    let folders = folders.chain(write.iter().map(|path| (path, AccessFs::from_all(abi) & !AccessFs::Execute)));
    for (path, access) in folders.filter(|(path, _)| path.exists()) {
        let open = PathFd::new(path)
            .map_err(|e| SandboxError::Folder { path: path.display().to_string(), message: e.to_string() })?;
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(abi) };
        rules = rules.add_rule(PathBeneath::new(open, access))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Confined::Fully,
        RulesetStatus::PartiallyEnforced => Confined::Partly,
        RulesetStatus::NotEnforced => Confined::Not,
    })
}

/// What outputs and name lookups read besides the sensor's own files.
pub(crate) const SYSTEM_FILES: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/usr/lib",
    "/lib",
    "/run/systemd/resolve",
    "/proc/self",
    "/proc/sys/kernel/hostname",
    "/sys/class/net",
    "/sys/devices",
    "/dev/urandom",
    "/dev/null",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Runs `work` on a thread of its own: what it gives up stays given up.
    fn apart<R: Send>(work: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| scope.spawn(work).join().unwrap())
    }

    #[test]
    fn after_confinement_only_own_folders_change_and_nothing_else_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["state", "config", "other"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("file"), "x").unwrap();
        }
        let confined = apart(|| {
            let confined = confine(&[&at("config"), &at("missing")], &[&at("state")]).unwrap();
            if confined != Confined::Not {
                assert_eq!(fs::read_to_string(at("config/file")).unwrap(), "x");
                assert!(fs::write(at("config/file"), "y").is_err(), "the configuration can be changed");
                assert!(fs::read_to_string(at("other/file")).is_err(), "other files can be read");
                assert!(fs::write(at("other/new"), "y").is_err(), "other folders can be changed");
                fs::write(at("state/new"), "y").unwrap();
                fs::rename(at("state/new"), at("state/newer")).unwrap();
                fs::remove_file(at("state/newer")).unwrap();
            }
            confined
        });
        if confined == Confined::Not {
            eprintln!("SKIPPED: this kernel has no landlock");
        }
        fs::write(at("other/new"), "y").unwrap(); // The thread's confinement is not ours.
    }

    #[test]
    fn capabilities_go_down_and_do_not_come_back() {
        let effective = || caps::read(None, CapSet::Effective).unwrap();
        apart(|| {
            let before = effective();
            keep_net_raw().unwrap();
            assert!(effective().iter().all(|left| *left == Capability::CAP_NET_RAW && before.contains(left)));
            drop_all().unwrap();
            assert!(effective().is_empty() && caps::read(None, CapSet::Permitted).unwrap().is_empty());
            assert!(before.is_empty() || caps::set(None, CapSet::Effective, &before).is_err(), "they come back");
        });
    }
}
