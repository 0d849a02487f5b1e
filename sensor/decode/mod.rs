//! One frame → one `Packet`, or how far it got. Tunnels are peeled, fragments joined; slices only, no heap.

use crate::base::{Endpoint, Timestamp, Transport};
use crate::event::Layer;

/// A transport packet, innermost layer of whatever was wrapped around it.
#[derive(Clone, Debug)]
pub(crate) struct Packet<'a> {
    /// When it was captured.
    pub(crate) ts: Timestamp,
    /// Sender. For ICMP the port is the type, for the answer side of a two-way type its counterpart, else the code
    /// (Zeek's `icmp4_counterpart`).
    pub(crate) src: Endpoint,
    /// Receiver.
    pub(crate) dst: Endpoint,
    /// What rides on IP. Packets without ports (ESP, GRE that is not understood) have port 0.
    pub(crate) transport: Transport,
    /// Bytes from the IP header on, as the header states them; for offload frames (length 0) as captured.
    pub(crate) ip_len: u32,
    /// IPv4 identification; `None` for IPv6.
    pub(crate) ip_id: Option<u16>,
    /// TCP header fields.
    pub(crate) tcp: Option<Tcp>,
    /// Transport payload as captured (may be cut).
    pub(crate) payload: &'a [u8],
    /// Transport payload on the wire.
    pub(crate) payload_len: u32,
    /// Outer and inner VLAN id.
    pub(crate) vlan: [Option<u16>; 2],
    /// Tunnels peeled off, outermost first.
    pub(crate) tunnel: Tunnels,
    /// ICMP: the type has a counterpart, so both directions are one flow.
    pub(crate) two_way: bool,
}

/// What the flow stage needs of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
    /// FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32 (RFC 9293 §3.1).
    pub(crate) flags: u8,
}

/// Nested tunnels, a few at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tunnels {
    layers: [Option<Layer>; MAX_TUNNELS],
}

impl Tunnels {
    /// Adds the next layer inwards; `None` when the depth limit is reached.
    pub(crate) fn push(&mut self, layer: Layer) -> Option<()> {
        *self.layers.iter_mut().find(|l| l.is_none())? = Some(layer);
        Some(())
    }

    /// Outermost first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Layer> {
        self.layers.iter().flatten().copied()
    }
}

/// Tunnels within tunnels that are followed.
pub(crate) const MAX_TUNNELS: usize = 4;

use crate::capture::Frame;
use crate::event::Identity;
use std::time::Duration;

/// How far a frame got.
#[derive(Debug)]
pub(crate) enum Decoded<'a> {
    /// A transport packet, and who its sender is where the link layer or NDP says so.
    Packet(Packet<'a>, Option<Identity>),
    /// No transport packet, but somebody said who they are (ARP).
    Identity(Identity),
    /// A fragment of a packet that is not whole yet.
    Fragment,
    /// Not understood; counted in [`DecodeStats`].
    Undecoded(&'static str),
}

/// What was and was not understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecodeStats {}

/// Frames → packets. Holds the fragments that wait for their rest.
#[derive(Default)]
pub(crate) struct Decoder {
    stats: DecodeStats,
}

impl Decoder {
    /// Decodes one frame. The packet borrows from the frame, or from the decoder when fragments were joined.
    pub(crate) fn decode<'a>(&'a mut self, _frame: &Frame<'a>) -> Decoded<'a> {
        Decoded::Undecoded("stub")
    }

    /// What was counted so far.
    pub(crate) const fn stats(&self) -> &DecodeStats {
        &self.stats
    }
}

/// Finds packets that a SPAN port or two capture points show twice.
pub(crate) struct Duplicates {}

impl Duplicates {
    /// Remembers packets for `window` of event time.
    pub(crate) fn new(_window: Duration) -> Self {
        Self {}
    }

    /// Whether the same packet was seen within the window before.
    pub(crate) fn is_copy(&mut self, _packet: &Packet<'_>) -> bool {
        false
    }
}
