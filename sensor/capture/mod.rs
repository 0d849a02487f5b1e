//! Bytes in. One `Source` over files, folders and streams, and live interfaces; packets are dropped nowhere else.

mod bpf;
mod buffer;
mod filter;
mod inputs;
mod interface;
#[cfg(test)]
mod libpcap;
mod live;
mod merge;
mod pcap;
mod pcapng;
mod reader;
mod record;
#[cfg(test)]
mod samples;
mod stream;
#[cfg(test)]
mod tests;

use crate::base::Timestamp;
use std::time::Duration;

pub(crate) use inputs::of_bytes;
pub(crate) use live::{Losses, Nic, RETIRE_MS, Tap, Taps, Wait, nic, rest, tap};
pub(crate) use merge::{Files, open};
pub(crate) use record::Recording;

/// One captured frame, borrowed from the source's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// When it was captured.
    pub(crate) ts: Timestamp,
    /// What the first header is.
    pub(crate) link: LinkType,
    /// What was captured of it.
    pub(crate) bytes: &'a [u8],
    /// How long it was on the wire; more than `bytes.len()` when cut by the snap length.
    pub(crate) wire_len: u32,
    /// Which input it came from (index into the summary's files or interfaces).
    pub(crate) input: u32,
    /// Which packet of that input it is, from 1.
    pub(crate) number: u32,
}

/// Link-layer header type, the number of <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkType(pub(crate) u16);

impl LinkType {
    pub(crate) const NULL: Self = Self(0);
    pub(crate) const ETHERNET: Self = Self(1);
    pub(crate) const PPP: Self = Self(9);
    pub(crate) const RAW: Self = Self(101);
    /// OpenBSD's and BSD/OS's DLT_RAW values that end up in files.
    pub(crate) const RAW_BSD: Self = Self(12);
    pub(crate) const RAW_OPENBSD: Self = Self(14);
    pub(crate) const LOOP: Self = Self(108);
    pub(crate) const LINUX_SLL: Self = Self(113);
    pub(crate) const IPV4: Self = Self(228);
    pub(crate) const IPV6: Self = Self(229);
    pub(crate) const LINUX_SLL2: Self = Self(276);
}

/// Frames in time order, from wherever they come.
pub(crate) trait Source {
    /// The next frame; `None` when the input has ended. Frames live until the next call.
    fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError>;
}

/// What goes wrong before a frame can be read. Damage within a capture is not an error: it is in its [`InputReport`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// The input cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// What was being read.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// No capture's magic number.
    #[error("{path}: not a capture file (no pcap or pcapng magic, plain, gzip or zstd)")]
    NotACapture {
        /// What was being read.
        path: String,
    },
    /// `-` given more than once.
    #[error("-: standard input can be read only once")]
    StdinTwice,
    /// An interface cannot be opened or read.
    #[error("{interface}: {message}")]
    Interface {
        /// Its name.
        interface: String,
        /// What the system says.
        message: String,
    },
    /// An interface was deleted, perhaps made anew; the packets that come now come to another one.
    #[error("{interface}: the interface was deleted; start again when it is back")]
    Gone {
        /// Its name.
        interface: String,
    },
    /// A reader of packets panicked.
    #[error("reading packets failed by a panic; this is a bug, please report it")]
    Panicked,
    /// A BPF expression that does not compile.
    #[error("--filter: {message}")]
    Filter {
        /// What libpcap says.
        message: String,
    },
}

/// How the clock of a capture ran. A step forward looks like silence, so that is what it is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Packets stamped more than a second before the latest one before them: capturing several queues mixes less.
    pub(crate) back_steps: u64,
    /// The furthest of these.
    pub(crate) largest_back: Duration,
    /// Longest time between a packet and the latest one before it.
    pub(crate) longest_silence: Duration,
}

impl Clock {
    /// The next packet's time and the latest before it.
    pub(crate) fn note(&mut self, ts: Timestamp, latest: Timestamp) {
        let back = latest.since(ts);
        if back > Duration::from_secs(1) {
            self.back_steps = self.back_steps.saturating_add(1);
            self.largest_back = self.largest_back.max(back);
        }
        self.longest_silence = self.longest_silence.max(ts.since(latest));
    }
}

/// What became of one input, for the summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputReport {
    /// As given, `-` for standard input.
    pub(crate) path: String,
    /// Lower-case hex over the bytes as stored (compressed if they were).
    pub(crate) sha256: String,
    /// Bytes as stored.
    pub(crate) bytes: u64,
    /// Packets read, before any filter.
    pub(crate) packets: u64,
    /// Earliest packet.
    pub(crate) first: Option<Timestamp>,
    /// Latest packet.
    pub(crate) last: Option<Timestamp>,
    /// Link types met, in order of appearance.
    pub(crate) links: Vec<LinkType>,
    /// Packets without a time of their own (pcapng simple packet blocks); they got that of the packet before.
    pub(crate) untimed: u64,
    /// Packets that the capturing system says it lost (pcapng interface statistics).
    pub(crate) dropped: u64,
    /// Packets cut by the snap length.
    pub(crate) truncated: u64,
    /// How the capturing clock ran.
    pub(crate) clock: Clock,
    /// Until when was captured, where a recording of ours says so: later than the last packet on a quiet link.
    pub(crate) until: Option<Timestamp>,
    /// Where and how the file is cut or damaged, in words; what lies before was read.
    pub(crate) damage: Option<String>,
}

/// How far the reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Stored bytes read.
    pub(crate) read: u64,
    /// Stored bytes there are; unknown with a pipe among the inputs.
    pub(crate) total: Option<u64>,
    /// Packets read, before any filter.
    pub(crate) packets: u64,
}

/// What a format reader found next in its buffer.
enum Step {
    /// `total` bytes, `len` of them from `at` a frame.
    Frame { ts: Timestamp, link: LinkType, at: usize, len: usize, wire_len: u32, total: usize },
    /// The end, where it may be.
    End,
    /// What makes the rest unreadable.
    Damage(String),
}

/// tcpdump's and libpcap's largest snap length (MAXIMUM_SNAPLEN): offloads make frames of 64 KiB and a little more, and
/// what claims more than this is damage.
pub(crate) const MAX_FRAME: usize = 262_144;
