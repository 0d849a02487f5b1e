//! What is open on a connection, SMB 1 and 2 alike: files until they are closed, pipes with what they carry.
//!
//! One fact for each act on a handle, with the sum of its bytes, when it is closed; none for each packet. Payload of
//! files is never looked at. Budgets: [`MAX_FILES`] handles and [`MAX_PIPES`] pipe conversations; what makes room is
//! told as if it were closed.

use crate::base::{Budget, Capped, Table};
use crate::event::{Act, Channel, Direction, Event, Execution, File, FileAction, Oddity};
use crate::protocol::dcerpc::Pipe;
use crate::protocol::{Output, artifacts};
use std::sync::Arc;

/// Names an open file on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Handle {
    /// Asked for by this message; not answered yet.
    Asked(u64),
    /// The identifier the server gave out.
    Given([u8; 16]),
}

/// A connected share.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// `\\server\share`
    pub(super) path: Arc<str>,
    pub(super) kind: ShareKind,
}

/// What a share gives access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShareKind {
    /// Files.
    Disk,
    /// Named pipes (`IPC$`).
    Pipe,
    /// A printer.
    Print,
    /// The answer did not say.
    Unknown,
}

impl ShareKind {
    /// The name in records.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Disk => Some("disk"),
            Self::Pipe => Some("pipe"),
            Self::Print => Some("print"),
            Self::Unknown => None,
        }
    }
}

#[derive(Debug)]
struct Open {
    path: Box<str>,
    share: Option<Arc<str>>,
    kind: ShareKind,
    read: u64,
    written: u64,
    /// Goes when it is closed.
    deleted: bool,
}

/// Everything open on one connection.
#[derive(Debug)]
pub(super) struct Files {
    files: Capped<Handle, Open>,
    pipes: Capped<Handle, Pipe>,
    crowded: bool,
    shortened: bool,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            files: Capped::new(Budget::new("smb_files.files", MAX_FILES, 256)),
            pipes: Capped::new(Budget::new("smb_files.pipes", MAX_PIPES, 16_384)),
            crowded: false,
            shortened: false,
        }
    }
}

/// Whether an open was asked to delete its file when it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnClose {
    Keep,
    Delete,
}

impl Files {
    pub(super) fn held(&self) -> usize {
        self.pipes.iter().map(|(_, pipe)| pipe.held()).fold(self.files.held(), usize::saturating_add)
    }

    pub(super) fn tables(&self) -> [Table; 2] {
        [self.files.table(), self.pipes.table()]
    }

    /// A name as it is kept: of a long one the end, which says what kind of file it is.
    pub(super) fn name(&mut self, name: &str, out: &mut Output) -> Box<str> {
        let from = name.len().saturating_sub(MAX_NAME);
        if from == 0 {
            return name.into();
        }
        if !self.shortened {
            self.shortened = true;
            out.weird(Oddity::MessageTooLong);
        }
        (from..name.len()).find_map(|at| name.get(at..)).unwrap_or_default().into()
    }

    /// Somebody asks for a file; nothing is told before the answer.
    pub(super) fn ask(&mut self, asked: Handle, path: Box<str>, tree: Option<&Tree>, end: OnClose, out: &mut Output) {
        let share = tree.map(|t| Arc::clone(&t.path));
        let kind = tree.map_or(ShareKind::Unknown, |t| t.kind);
        let open = Open { path, share, kind, read: 0, written: 0, deleted: end == OnClose::Delete };
        self.insert(asked, open, out);
    }

    /// The server opened it.
    pub(super) fn grant(&mut self, asked: Handle, given: Handle, out: &mut Output) {
        if let Some(pipe) = self.pipes.remove(&asked) {
            self.pipes.insert(given, pipe);
        }
        let Some(open) = self.files.remove(&asked) else { return };
        open.tell(FileAction::Open, None, out);
        if open.kind != ShareKind::Disk && artifacts::is_shell_pipe(pipe_name(&open.path)) {
            out.push(Event::Execution(Box::new(Execution {
                channel: Channel::Psexec,
                act: Act::Execute,
                interface: None,
                opnum: None,
                operation: None,
                endpoint: Some(format!("ncacn_np:\\pipe\\{}", pipe_name(&open.path)).into()),
                clsid: None,
                technique: Some("T1569.002"),
            })));
        }
        self.insert(given, open, out);
    }

    /// The server refused.
    pub(super) fn refuse(&mut self, asked: Handle) {
        self.files.remove(&asked);
        self.pipes.remove(&asked);
    }

    /// Bytes arrived in the file.
    pub(super) fn wrote(&mut self, handle: Handle, bytes: u64) {
        if let Some(open) = self.files.get_mut(&handle) {
            open.written = open.written.saturating_add(bytes);
        }
    }

    /// Bytes were read from the file.
    pub(super) fn read(&mut self, handle: Handle, bytes: u64) {
        if let Some(open) = self.files.get_mut(&handle) {
            open.read = open.read.saturating_add(bytes);
        }
    }

    /// The file is to go when closed, or is not any more.
    pub(super) fn mark(&mut self, handle: Handle, end: OnClose) {
        if let Some(open) = self.files.get_mut(&handle) {
            open.deleted = end == OnClose::Delete;
        }
    }

    /// The file has another name now.
    pub(super) fn rename(&mut self, handle: Handle, to: Box<str>, out: &mut Output) {
        if let Some(open) = self.files.get_mut(&handle) {
            open.path = to;
            open.tell(FileAction::Rename, None, out);
        }
    }

    /// The handle is gone: tells what was done with it.
    pub(super) fn close(&mut self, handle: Handle, out: &mut Output) {
        self.pipes.remove(&handle);
        if let Some(open) = self.files.remove(&handle) {
            open.close(out);
        }
    }

    /// Everything is over. What was asked and never answered is not known to have happened.
    pub(super) fn finish(&mut self, out: &mut Output) {
        for (handle, open) in self.files.iter() {
            if matches!(handle, Handle::Given(_)) {
                open.close(out);
            }
        }
        *self = Self::default();
    }

    /// Whether payload that begins with `data` is worth looking at.
    pub(super) fn carries(&self, handle: Handle, data: &[u8]) -> bool {
        let disk = self.files.get(&handle).is_some_and(|open| open.kind == ShareKind::Disk);
        !disk && (self.pipes.get(&handle).is_some() || Pipe::speaks(data))
    }

    /// Payload moved through a handle, with `missing` bytes behind it that were not looked at.
    pub(super) fn carry(&mut self, handle: Handle, from: Direction, data: &[u8], missing: usize, out: &mut Output) {
        if !self.carries(handle, data) {
            return;
        }
        let name = self.files.get(&handle).map(|open| pipe_name(&open.path).to_ascii_lowercase());
        let pipe = self.pipes.entry(handle, || Pipe::new(name.as_deref()));
        pipe.take(from, data, missing, out);
    }

    fn insert(&mut self, handle: Handle, open: Open, out: &mut Output) {
        let Some((evicted, open)) = self.files.insert(handle, open) else { return };
        if matches!(evicted, Handle::Given(_)) {
            open.close(out);
        }
        if !self.crowded {
            self.crowded = true;
            out.weird(Oddity::TooManyOutstanding);
        }
    }
}

impl Open {
    fn close(&self, out: &mut Output) {
        if self.kind == ShareKind::Pipe {
            return; // What was said through it was told as it was said.
        }
        for (action, bytes) in [(FileAction::Read, self.read), (FileAction::Write, self.written)] {
            if bytes > 0 {
                self.tell(action, Some(bytes), out);
            }
        }
        if self.deleted {
            self.tell(FileAction::Delete, None, out);
        }
    }

    fn tell(&self, action: FileAction, bytes: Option<u64>, out: &mut Output) {
        // The root of a share has no name.
        if !self.path.is_empty() {
            let (share, path) = (self.share.as_deref().map(Into::into), self.path.clone());
            out.push(Event::File(Box::new(File { share, path, action, bytes })));
        }
    }
}

/// SMB 1 writes `\PIPE\svcctl` or `\svcctl`, SMB 2 `svcctl`.
fn pipe_name(path: &str) -> &str {
    let path = path.trim_start_matches('\\');
    match path.split_at_checked(5) {
        Some((start, name)) if start.eq_ignore_ascii_case("pipe\\") => name,
        _ => path,
    }
}

/// Bytes of a name. Paths of the wire may have 64 KiB, those of Windows' own programs seldom 260 characters.
const MAX_NAME: usize = 1024;
/// Handles of one connection; a busy file server session of a desktop keeps fewer open.
const MAX_FILES: usize = 512;
/// Conversations over pipes: with 16 KiB a side the most that one connection can hold is 1 MiB.
const MAX_PIPES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipe_names_come_without_their_folder() {
        for (path, name) in [("\\PIPE\\svcctl", "svcctl"), ("\\svcctl", "svcctl"), ("svcctl", "svcctl"), ("", "")] {
            assert_eq!(pipe_name(path), name, "{path}");
        }
    }

    #[test]
    fn a_handle_is_told_once_an_act_with_all_its_bytes() {
        let mut out = Output::default();
        let mut files = Files::default();
        let tree = Tree { path: "\\\\srv\\ADMIN$".into(), kind: ShareKind::Disk };
        let given = Handle::Given([1; 16]);
        files.ask(Handle::Asked(1), "a.exe".into(), Some(&tree), OnClose::Keep, &mut out);
        assert!(out.events.is_empty(), "not answered yet");
        files.grant(Handle::Asked(1), given, &mut out);
        files.wrote(given, 1000);
        files.wrote(given, 24);
        files.mark(given, OnClose::Delete);
        files.close(given, &mut out);
        files.finish(&mut out);
        let told: Vec<_> = out.events.iter().map(act).collect();
        assert_eq!(told, [("open", None), ("write", Some(1024)), ("delete", None)]);
    }

    #[test]
    fn a_flood_of_handles_stays_in_its_budget_and_is_told() {
        let mut out = Output::default();
        let mut files = Files::default();
        for n in 0..10_000_u64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_le_bytes());
            files.ask(Handle::Asked(n), "x".into(), None, OnClose::Keep, &mut out);
            files.grant(Handle::Asked(n), Handle::Given(id), &mut out);
            files.wrote(Handle::Given(id), 1);
        }
        assert!(files.files.len() <= MAX_FILES);
        let weird = out.events.iter().filter(|e| matches!(e, Event::Weird(_))).count();
        assert_eq!(weird, 1);
        files.finish(&mut out);
        let written =
            out.events.iter().filter(|e| matches!(e, Event::File(f) if f.action == FileAction::Write)).count();
        assert_eq!(written, 10_000, "evicted handles are told too");
    }

    #[test]
    fn long_names_keep_their_end() {
        let mut out = Output::default();
        let mut files = Files::default();
        let long = format!("{}\u{9593}\\a.exe", "d".repeat(5000));
        for _ in 0..2 {
            let name = files.name(&long, &mut out);
            assert!(name.len() <= MAX_NAME && name.ends_with("\u{9593}\\a.exe"), "{name}");
        }
        assert_eq!(&*files.name("b.exe", &mut out), "b.exe");
        assert_eq!(out.events.len(), 1, "told once");
    }

    fn act(event: &Event) -> (&'static str, Option<u64>) {
        match event {
            Event::File(file) => (file.action.name(), file.bytes),
            other => panic!("{other:?}"),
        }
    }
}
