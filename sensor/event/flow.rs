//! The flow record, in Zeek's words (`conn.log`), and its running counters.

use super::{Endpoint, Timestamp, Transport};

/// What was counted so far, by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Payload bytes of the originator; for TCP the span of sequence numbers.
    pub orig_bytes: u64,
    /// Payload bytes of the responder.
    pub resp_bytes: u64,
    /// Packets of the originator.
    pub orig_pkts: u64,
    /// Packets of the responder.
    pub resp_pkts: u64,
}

/// How a flow stands, Zeek's `conn_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnState {
    /// Attempt seen, no reply.
    S0,
    /// Established, not terminated.
    S1,
    /// Normal establishment and termination.
    Sf,
    /// Attempt rejected.
    Rej,
    /// Established, close attempt by the originator, no reply.
    S2,
    /// Established, close attempt by the responder, no reply.
    S3,
    /// Established, originator aborted.
    Rsto,
    /// Responder aborted.
    Rstr,
    /// Originator sent SYN then RST, no SYN-ACK seen.
    Rstos0,
    /// Responder sent SYN-ACK then RST, no SYN seen.
    Rstrh,
    /// Originator sent SYN then FIN, no SYN-ACK seen.
    Sh,
    /// Responder sent SYN-ACK then FIN, no SYN seen.
    Shr,
    /// No SYN seen: midstream traffic.
    Oth,
}

impl ConnState {
    /// Zeek's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::Sf => "SF",
            Self::Rej => "REJ",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }
}

/// Why a flow's record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Both sides closed, or one closed and the other fell silent.
    Fin,
    /// Aborted.
    Rst,
    /// Silent longer than its state allows.
    Idle,
    /// Open longer than the active timeout; goes on under a new uid.
    Active,
    /// The table was full. What comes later of the same five-tuple starts a new record.
    Evicted,
    /// The capture ended first.
    CaptureEnd,
}

impl End {
    /// The name in records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Evicted => "evicted",
            Self::CaptureEnd => "capture_end",
        }
    }
}

/// One tunnel around a packet, outermost first in lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer {
    /// `vxlan`, `gre`, `erspan`, `geneve`, `gtpu`, `ipip`, `teredo`, …
    pub name: &'static str,
    /// Network identifier, where the tunnel has one.
    pub id: Option<u32>,
}

/// Where a flow's packets lie, so that a reader can look for themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketRange {
    /// Which input the first packet came from (index into the summary's inputs).
    pub input: u32,
    /// Number of the flow's first packet within that input, from 1.
    pub first: u32,
    /// Number of its last packet within that input.
    pub last: u32,
}

/// What a flow's packets show beside what a `conn.log` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Hops left in the originator's SYN, as the sensor saw it.
    pub hop_limit: Option<u8>,
    /// A digest of the options of the originator's SYN, their order, segment size and window scale: what tells
    /// operating systems apart that share an address.
    pub syn: Option<u16>,
    /// Payload of the side that was not seen, as far as the other side's acknowledgements tell (a FIN counts one).
    pub unseen_bytes: u64,
}

/// One flow, complete: a line of Zeek's `conn.log` and our additions.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRecord {
    /// First packet.
    pub ts: Timestamp,
    /// Last packet.
    pub last: Timestamp,
    /// Who began.
    pub orig: Endpoint,
    /// The other side.
    pub resp: Endpoint,
    /// What carries it.
    pub transport: Transport,
    /// What was parsed, outermost first (`gssapi`, `smb`, `dce_rpc`); joined by commas in records.
    pub service: Vec<&'static str>,
    /// Payload counters.
    pub counters: Counters,
    /// IP bytes of the originator, headers included.
    pub orig_ip_bytes: u64,
    /// IP bytes of the responder, headers included.
    pub resp_ip_bytes: u64,
    /// Payload bytes that were acknowledged or skipped but never seen.
    pub missed_bytes: u64,
    /// How it stands.
    pub conn_state: ConnState,
    /// Zeek's history letters.
    pub history: Box<str>,
    /// Outer and inner VLAN id.
    pub vlan: [Option<u16>; 2],
    /// Tunnels around it, outermost first.
    pub tunnel: Box<[Layer]>,
    /// Why the record was written.
    pub end: End,
    /// How sure it is who began, 0 to 1; below 1 when the flow was picked up midstream.
    pub orig_confidence: f32,
    /// Segments whose bytes had all been seen more than the duplicate window before.
    pub retransmissions: u32,
    /// Where its packets lie.
    pub packets: PacketRange,
    /// Packets of one side only were seen although the other side's acknowledgements prove it spoke.
    pub one_sided: bool,
    /// What else the packets show.
    pub hints: Hints,
}
