//! How much a live run's records take on disk, and how far they reach back.

use super::rolling::Rotation;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// One kind of record.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct StoreStatus {
    /// `flows` (with facts) or `alerts` (with findings).
    pub(crate) kind: String,
    pub(crate) bytes: u64,
    /// What rotation leaves at most.
    pub(crate) limit_bytes: u64,
    /// Time of the oldest record, seconds since the epoch; none without a record.
    pub(crate) oldest_s: Option<f64>,
}

/// What is in the log folder; files that go while it is looked at count as gone.
pub(crate) fn stored(folder: &Path, rotation: Rotation) -> Vec<StoreStatus> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    KINDS.iter().map(|(kind, stems)| of(kind, stems, &paths, rotation)).collect()
}

fn of(kind: &str, stems: &[&str], paths: &[PathBuf], rotation: Rotation) -> StoreStatus {
    let mut status = StoreStatus { kind: kind.to_owned(), ..StoreStatus::default() };
    let files = u64::try_from(rotation.keep).unwrap_or(u64::MAX).saturating_add(1);
    for stem in stems {
        status.limit_bytes = status.limit_bytes.saturating_add(rotation.bytes.saturating_mul(files));
        let mut logs: Vec<&PathBuf> = paths.iter().filter(|path| is_log(path, stem)).collect();
        // `flows-20261129T120000Z.jsonl` before `flows.jsonl`: the oldest first.
        logs.sort_by_key(|path| path.file_name().is_some_and(|name| name.len() == stem.len().saturating_add(6)));
        for path in &logs {
            status.bytes = status.bytes.saturating_add(fs::metadata(path).map_or(0, |meta| meta.len()));
        }
        let oldest = logs.iter().find_map(|path| first_record(path));
        status.oldest_s = match (status.oldest_s, oldest) {
            (Some(known), Some(found)) => Some(known.min(found)),
            (known, found) => known.or(found),
        };
    }
    status
}

fn is_log(path: &Path, stem: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(".jsonl"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("-2"))
}

/// The time of a file's first record.
fn first_record(path: &Path) -> Option<f64> {
    let mut line = String::new();
    BufReader::new(File::open(path).ok()?.take(LONGEST_LINE)).read_line(&mut line).ok()?;
    let record: serde_json::Value = serde_json::from_str(&line).ok()?;
    record.get("ts").or_else(|| record.get("first_seen"))?.as_f64()
}

const KINDS: &[(&str, &[&str])] = &[("flows", &["flows", "facts"]), ("alerts", &["alerts", "findings"])];
/// Bytes; an alert about a whole site is far shorter.
const LONGEST_LINE: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_moved_aside_count_and_the_oldest_record_is_found_among_them() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        put("flows.jsonl", "{\"ts\":300.5}\n");
        put("flows-20261129T120001Z.jsonl", "{\"ts\":200.5}\n");
        put("flows-20261129T120000Z.jsonl", "{\"ts\":100.5}\n{\"ts\":101}\n");
        put("facts.jsonl", "");
        put("alerts.jsonl", "{\"first_seen\":7.0,\"id\":\"a\"}\n");
        put("flows.jsonl.new", "no log");
        let all = stored(folder.path(), Rotation { bytes: 1_000, keep: 2 });
        let told: Vec<_> = all.iter().map(|of| (of.kind.as_str(), of.bytes, of.limit_bytes, of.oldest_s)).collect();
        assert_eq!(told, [("flows", 50, 6_000, Some(100.5)), ("alerts", 28, 6_000, Some(7.0))]);
    }
}
