//! One entry of what is remembered between runs: which kind of thing, which one, its bytes.
//!
//! Stages turn their state into records and back; only `engine::store` knows files, and guards the bytes with version,
//! length and checksum. The bytes are JSON within Zstandard: a reader of a later version can still tell what a field was.

use super::hash::fnv1a;
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::get_frame_content_size;

/// What a record is about. The numbers are on disk and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// One entry: what concerns everybody.
    Fleet = 0,
    /// By host.
    Host = 1,
    /// By destination owner.
    Owner = 2,
    /// By host and owner.
    Tie = 3,
    /// By group of peers.
    Peers = 4,
    /// By host and owner: first contacts in quarantine.
    Waiting = 5,
    /// By host and owner: what open incidents name.
    Held = 6,
    /// By local day and host: days not learned yet.
    Day = 7,
    /// By host and owner: beacon meters.
    Meter = 8,
    /// By owner: who keeps time with it.
    Pollers = 9,
    /// One entry each: what is usual for scores.
    Calibration = 10,
    /// By number: what somebody answers for.
    Approval = 11,
    /// One entry: what the campaign stage counts over everybody.
    Watch = 12,
    /// By host: when it was active and whom it met inside.
    Log = 13,
    /// By host: the same seen from those it is in contact with.
    Hub = 14,
    /// By number, high half first: first contacts held for the test of a common cause.
    Case = 15,
    /// Likewise: first contacts that may yet become cases.
    Passing = 16,
    /// By host and owner: traffic that is unusual for a host.
    Unusual = 17,
    /// By machine: sessions of remote administration.
    Session = 18,
    /// By actor and machine: since when and until when one acts on the other.
    Hop = 19,
    /// By machine: who began to act on it, oldest first.
    Machine = 20,
    /// By machine: open execution chains.
    Chain = 21,
    /// By what holds it together: open stories, and what was tested.
    Cluster = 22,
    /// By id, high half first: findings that make alerts.
    Finding = 23,
    /// Likewise: alerts that were told.
    Alert = 24,
    /// By owner and host, in the index on disk: who used it.
    Met = 25,
    /// By machine and actor, likewise: who acted on it.
    Acted = 26,
    /// By table and what its entry is about, as 64 bits: what detectors remember.
    Memory = 27,
    /// By server and machine: contacts out of the ordinary, and which destinations the machine contacted after them.
    Exposed = 28,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 29] = [
        Self::Fleet,
        Self::Host,
        Self::Owner,
        Self::Tie,
        Self::Peers,
        Self::Waiting,
        Self::Held,
        Self::Day,
        Self::Meter,
        Self::Pollers,
        Self::Calibration,
        Self::Approval,
        Self::Watch,
        Self::Log,
        Self::Hub,
        Self::Case,
        Self::Passing,
        Self::Unusual,
        Self::Session,
        Self::Hop,
        Self::Machine,
        Self::Chain,
        Self::Cluster,
        Self::Finding,
        Self::Alert,
        Self::Met,
        Self::Acted,
        Self::Memory,
        Self::Exposed,
    ];

    /// The kind of a number on disk.
    pub(crate) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The name in messages and exports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Host => "host",
            Self::Owner => "owner",
            Self::Tie => "tie",
            Self::Peers => "peers",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Day => "day",
            Self::Meter => "meter",
            Self::Pollers => "pollers",
            Self::Calibration => "calibration",
            Self::Approval => "approval",
            Self::Watch => "watch",
            Self::Log => "log",
            Self::Hub => "hub",
            Self::Case => "case",
            Self::Passing => "passing",
            Self::Unusual => "unusual",
            Self::Session => "session",
            Self::Hop => "hop",
            Self::Machine => "machine",
            Self::Chain => "chain",
            Self::Cluster => "cluster",
            Self::Finding => "finding",
            Self::Alert => "alert",
            Self::Met => "met",
            Self::Acted => "acted",
            Self::Memory => "memory",
            Self::Exposed => "exposed",
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) key: (u32, u32),
    /// `None`: it is no more.
    pub(crate) value: Option<Vec<u8>>,
}

/// A record that cannot have been written by this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {} record {}.{} of the baseline makes no sense", kind.name(), key.0, key.1)]
pub(crate) struct BadRecord {
    pub(crate) kind: Kind,
    pub(crate) key: (u32, u32),
}

impl Record {
    /// An entry of plain data.
    pub(crate) fn new<T: serde::Serialize>(kind: Kind, key: (u32, u32), data: &T) -> Self {
        // Writing plain data into memory fails for a map whose keys are no text, always: the first test that has one ends here.
        let text = serde_json::to_vec(data);
        debug_assert!(text.is_ok(), "{} cannot be kept: {text:?}", kind.name());
        Self { kind, key, value: text.ok().and_then(|text| pressed(&text)) }
    }

    /// An entry that is no more.
    pub(crate) const fn gone(kind: Kind, key: (u32, u32)) -> Self {
        Self { kind, key, value: None }
    }

    /// The data; all bytes must be used.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, BadRecord> {
        let bytes = self.value.as_deref().unwrap_or_default();
        let text = opened(bytes).ok_or_else(|| self.bad())?;
        serde_json::from_slice(&text).map_err(|_| self.bad())
    }

    /// What is wrong with it, when it is.
    pub(crate) const fn bad(&self) -> BadRecord {
        BadRecord { kind: self.kind, key: self.key }
    }
}

/// The key of an entry that is told by a text: 64 bits of FNV-1a, high half first. Ids and providers are no traffic's to
/// choose.
pub(crate) fn key_of(text: &str) -> (u32, u32) {
    halves(fnv1a(text.bytes()))
}

/// A number as a key that sorts like it.
#[expect(clippy::cast_possible_truncation, reason = "each half has 32 bits")]
pub(crate) const fn halves(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

/// Compressed. A compressor takes longer to set up than a record to go through it, so each thread keeps one.
fn pressed(text: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(LEVEL).ok()?),
        };
        compressor.compress(text).ok()
    })
}

/// The text of what was compressed; takes no more room than the frame says it has, since a file has millions of them.
fn opened(bytes: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    let size = get_frame_content_size(bytes).ok()?;
    let size = size.map_or(Some(MAX_BYTES), |size| usize::try_from(size).ok().filter(|size| *size <= MAX_BYTES))?;
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new().ok()?),
        };
        decompressor.decompress(bytes, size).ok()
    })
}

/// The fastest: filters that are mostly empty shrink tenfold at any level.
const LEVEL: i32 = 1;
/// The largest record there can be: the users of an owner, the days of a group, are thousands of times smaller.
const MAX_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let record = Record::new(Kind::Tie, (1, 2), &(7_u32, "name"));
        assert_eq!(record.read::<(u32, String)>(), Ok((7, "name".to_owned())));
        assert_eq!(record.read::<u32>(), Err(record.bad()), "values are left");
        assert_eq!(record.read::<(u32, String, u64)>(), Err(record.bad()), "values are missing");
        for (what, value) in [
            ("nothing", Vec::new()),
            ("no frame", b"{}".to_vec()),
            ("half a frame", record.value.as_deref().unwrap()[..9].to_vec()),
            ("more than a record can be", zstd::bulk::compress(&vec![b' '; MAX_BYTES + 1], LEVEL).unwrap()),
        ] {
            let broken = Record { value: Some(value), ..record.clone() };
            assert_eq!(broken.read::<(u32, String)>(), Err(record.bad()), "{what}");
        }
        // A broken one leaves nothing behind.
        assert_eq!(record.read::<(u32, String)>(), Ok((7, "name".to_owned())));
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind as u8), Some(kind));
        }
    }
}
