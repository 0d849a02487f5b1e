//! Output `jsonl`: alerts as lines of a file, as `rules/schemas/alert.schema.json` has them, with rotation.
//!
//! A line that is in the file already is not written again: a crash between write and bookkeeping doubles nothing.

use super::rotate::Rotating;
use super::told::Told;
use super::{Failed, Failure, Kind, Origin, Settings, Sink, SinkError};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// `type = "jsonl"`.
pub(super) const KIND: Kind =
    Kind { name: "jsonl", settings: |keys| Keys::deserialize(keys).map(|k| Arc::new(k) as Arc<dyn Settings>) };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    path: PathBuf,
    /// A file is moved aside before it grows beyond this.
    #[serde(default = "max_bytes")]
    max_bytes: u64,
    /// Older files kept beside it.
    #[serde(default = "keep")]
    keep: u32,
}

const fn max_bytes() -> u64 {
    100 << 20
}

const fn keep() -> u32 {
    9
}

impl Settings for Keys {
    fn open(&self, _: &Origin) -> Result<Box<dyn Sink>, SinkError> {
        let wrong = |error: std::io::Error| SinkError::File {
            path: self.path.display().to_string(),
            message: error.to_string(),
        };
        let log = Rotating::open(&self.path, self.max_bytes, self.keep).map_err(wrong)?;
        let written = log.latest().map_err(wrong)?.into_iter().collect();
        Ok(Box::new(Lines { log, written }))
    }
}

struct Lines {
    log: Rotating,
    /// What a run before this one wrote last; forgotten after the first delivery.
    written: BTreeSet<Vec<u8>>,
}

impl Sink for Lines {
    fn send(&mut self, batch: &[Told]) -> Result<(), Failed> {
        let mut text = Vec::new();
        for told in batch.iter().filter(|told| !self.written.contains(&told.line)) {
            text.extend_from_slice(&told.line);
            text.push(b'\n');
        }
        self.log.write(&text).map_err(|error| Failed { taken: 0, why: Failure::later(error) })?;
        self.written.clear();
        Ok(())
    }
}
