//! What was told under each alert id: its latest `update` number and a digest of what it said. Told again unchanged, as
//! after a restart, it is no news; changed, it gets the next number.
//!
//! On disk: one line `id update digest` each time, rewritten when it has grown to twice what is kept.

use crate::base::{Budget, Capped, Table};
use crate::output::{OWN, replace};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// Numbers for tellings.
#[derive(Debug)]
pub(super) struct Ledger {
    told: Capped<Box<str>, (u32, Digest)>,
    path: Option<PathBuf>,
    /// Lines in the file.
    lines: usize,
}

type Digest = [u8; 16];

impl Ledger {
    /// What the file knows; lines that are damaged are not believed.
    pub(super) fn open(path: Option<PathBuf>) -> Self {
        let mut ledger = Self { told: Capped::new(Budget::new("ledger.told", MOST, 24)), path, lines: 0 };
        let text = ledger.path.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        for line in text.lines() {
            ledger.lines = ledger.lines.saturating_add(1);
            if let Some((id, update, digest)) = entry(line) {
                ledger.keep(id, update, digest);
            }
        }
        ledger
    }

    /// How it stands.
    pub(super) fn table(&self) -> Table {
        self.told.table()
    }

    /// The number under which this is news; `None` when it was said before in these words.
    pub(super) fn number(&mut self, id: &str, record: &[u8]) -> Option<u32> {
        let before = self.told.get(id);
        match before {
            Some((_, digest)) if *digest == of(record) => None,
            Some((update, _)) => Some(update.saturating_add(1)),
            None => Some(1),
        }
    }

    /// Notes that it is being told, in memory.
    pub(super) fn remember(&mut self, id: &str, update: u32, record: &[u8]) {
        self.keep(id, update, of(record));
    }

    /// Notes that it was told. A write that fails costs at most a second telling after a restart.
    pub(super) fn note(&mut self, id: &str, update: u32, record: &[u8]) {
        let digest = of(record);
        self.keep(id, update, digest);
        let Some(path) = &self.path else { return };
        self.lines = self.lines.saturating_add(1);
        let done = if self.lines > 2 * MOST {
            self.lines = self.told.len();
            let all: String = self.told.iter().map(|(id, (update, digest))| line(id, *update, digest)).collect();
            replace(path, all.as_bytes(), OWN)
        } else {
            let file = fs::OpenOptions::new().create(true).append(true).open(path);
            file.and_then(|mut file| file.write_all(line(id, update, &digest).as_bytes()))
        };
        if let Err(error) = done {
            tracing::warn!(%error, path = %path.display(), "cannot note what was told");
        }
    }

    fn keep(&mut self, id: &str, update: u32, digest: Digest) {
        self.told.remove(id);
        self.told.insert(id.into(), (update, digest));
    }
}

fn line(id: &str, update: u32, digest: &Digest) -> String {
    format!("{id} {update} {}\n", hex::encode(digest))
}

fn entry(line: &str) -> Option<(&str, u32, Digest)> {
    let mut words = line.split(' ');
    let (id, update, digest) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let mut bytes = Digest::default();
    hex::decode_to_slice(digest, &mut bytes).ok()?;
    words.next().is_none().then_some((id, update, bytes))
}

fn of(record: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.iter_mut().zip(Sha256::digest(record)).for_each(|(to, from)| *to = from);
    digest
}

/// As many alerts as the book keeps.
const MOST: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_is_no_news_and_what_changed_gets_the_next_number_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("told");
        let mut ledger = Ledger::open(Some(path.clone()));
        for (what, id, record, expected) in [
            ("first said", "a", "one", Some(1)),
            ("said again", "a", "one", None),
            ("changed", "a", "two", Some(2)),
            ("another alert", "b", "one", Some(1)),
            ("changed back", "a", "one", Some(3)),
        ] {
            let number = ledger.number(id, record.as_bytes());
            assert_eq!(number, expected, "{what}");
            if let Some(number) = number {
                ledger.note(id, number, record.as_bytes());
            }
        }
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"a 9 00").unwrap();
        let mut again = Ledger::open(Some(path));
        assert_eq!((again.number("a", b"one"), again.number("b", b"x")), (None, Some(2)), "a torn line is ignored");
    }
}
