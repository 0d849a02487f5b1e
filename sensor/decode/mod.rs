//! One frame → one `Packet`, or how far it got. Tunnels are peeled, fragments joined; slices only, no heap.
//!
//! A frame is walked one header at a time ([`Next`]) until a transport packet stands or the walk ends. What is not
//! understood is counted with its cause ([`DecodeStats`]); a tunnel whose inside cannot be read leaves the packet
//! that carries it. Checksums are not enforced: captures taken on a host show those the card had yet to fill in.

mod duplicate;
mod fragment;
mod ip;
mod link;
mod stats;
mod transport;
mod tunnel;
mod wireless;

pub(crate) use duplicate::Duplicates;
pub(crate) use stats::DecodeStats;

use crate::base::{Endpoint, Table, Timestamp, Transport};
use crate::capture::Frame;
use crate::event::{Identity, Layer};
use fragment::{Fragments, Piece};
use stats::{Cause, Reason};

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
    /// Hops left.
    pub(crate) hop_limit: u8,
    /// IPv4 identification; `None` for IPv6.
    pub(crate) ip_id: Option<u16>,
    /// TCP header fields.
    pub(crate) tcp: Option<Tcp>,
    /// Transport header as captured, options included; empty where the protocol's header is not known.
    pub(crate) header: &'a [u8],
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
    /// Input and number of the frame it came in (of the last fragment, when it came in several).
    pub(crate) origin: (u32, u32),
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

/// How far a frame got.
#[expect(clippy::large_enum_variant, reason = "nearly all are packets, and boxing them would allocate for each")]
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

/// Frames → packets. Holds the fragments that wait for their rest.
#[derive(Default)]
pub(crate) struct Decoder {
    stats: DecodeStats,
    fragments: Fragments,
    /// Where joined packets lie while they are looked at; a tunnel may bring fragments of its own.
    joined: [Vec<u8>; MAX_JOINS],
}

impl Decoder {
    /// Decodes one frame. The packet borrows from the frame, or from the decoder when fragments were joined.
    pub(crate) fn decode<'a>(&'a mut self, frame: &Frame<'a>) -> Decoded<'a> {
        let Self { stats, fragments, joined } = self;
        let mut spare = joined.iter_mut();
        let mut walk = Walk::new(frame);
        let mut next = link::first(frame.link, frame.bytes, &mut walk);
        for _ in 0..MAX_LAYERS {
            next = match next {
                Ok(Next::Ethernet(bytes)) => link::ethernet(bytes, &walk),
                Ok(Next::Network(ethertype, bytes)) => link::network(ethertype, bytes, &mut walk),
                Ok(Next::Wireless(bytes)) => wireless::frame(bytes, &walk),
                Ok(Next::Ppp(bytes)) => link::ppp(bytes, &walk),
                Ok(Next::Ip(bytes)) => ip::decode(bytes, &walk),
                Ok(Next::Datagram(datagram)) => match transport(&datagram, &mut walk, stats) {
                    Ok(Inside::Packet(packet)) => {
                        stats.transport(packet.transport);
                        if walk.vlan != [None; 2] || walk.labelled || walk.carrier.is_some() {
                            stats.unwrapped((walk.vlan, walk.labelled), walk.tunnel.iter().map(|layer| layer.name));
                        }
                        return Decoded::Packet(packet, walk.identity);
                    }
                    Ok(Inside::Tunnel(inner)) => Ok(inner),
                    Err(cause) => Err(cause),
                },
                Ok(Next::Fragment(datagram, piece)) => match fragments.add(&datagram, piece, frame.ts, stats) {
                    Ok(None) => return Decoded::Fragment,
                    Ok(Some(whole)) => match spare.next() {
                        Some(place) => {
                            *place = whole.body;
                            ip::joined(datagram, place, whole.head_len, &walk)
                        }
                        None => Err(Cause::new(Reason::TooDeep)),
                    },
                    Err(cause) => Err(cause),
                },
                Ok(Next::Identity(identity)) => return told(identity, walk),
                Err(cause) => return give_up(cause, walk, stats),
            };
        }
        give_up(Cause::new(Reason::TooDeep), walk, stats)
    }

    /// What was counted so far.
    pub(crate) const fn stats(&self) -> &DecodeStats {
        &self.stats
    }

    /// Its table as it stands.
    pub(crate) fn table(&self) -> Table {
        self.fragments.table().and_evicted(self.stats.fragments.evicted)
    }
}

/// The header that comes next.
enum Next<'a> {
    /// An Ethernet header.
    Ethernet(&'a [u8]),
    /// What follows an EtherType.
    Network(u16, &'a [u8]),
    /// An IEEE 802.11 header.
    Wireless(&'a [u8]),
    /// A PPP frame from its protocol (or address and control) field on.
    Ppp(&'a [u8]),
    /// An IP header of either version.
    Ip(&'a [u8]),
    /// What an IP packet carries, extension headers passed.
    Datagram(ip::Datagram<'a>),
    /// A part of what an IP packet carries.
    Fragment(ip::Datagram<'a>, Piece),
    /// Nothing more to read, but somebody said who they are.
    Identity(Identity),
}

/// What is remembered while a frame is walked.
struct Walk<'a> {
    ts: Timestamp,
    origin: (u32, u32),
    /// Bytes at the end of the frame that were not captured.
    cut: u32,
    vlan: [Option<u16>; 2],
    /// Behind an MPLS label.
    labelled: bool,
    tunnel: Tunnels,
    /// The 802.11 header is padded to four bytes.
    padded: bool,
    identity: Option<Identity>,
    /// The packet that carries the tunnel being walked.
    carrier: Option<Packet<'a>>,
}

impl<'a> Walk<'a> {
    fn new(frame: &Frame<'a>) -> Self {
        let captured = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        Self {
            ts: frame.ts,
            origin: (frame.input, frame.number),
            cut: frame.wire_len.saturating_sub(captured),
            vlan: [None; 2],
            labelled: false,
            tunnel: Tunnels::default(),
            padded: false,
            identity: None,
            carrier: None,
        }
    }

    /// A header that does not fit: the snap length's fault, or the sender's.
    const fn short(&self, layer: Reason) -> Cause {
        if self.cut > 0 { Cause::truncated(layer) } else { Cause::malformed(layer) }
    }

    /// A length on the wire for bytes that run to the end of the frame.
    fn wire_len(&self, bytes: &[u8]) -> u32 {
        u32::try_from(bytes.len()).unwrap_or(u32::MAX).saturating_add(self.cut)
    }
}

enum Inside<'a> {
    Packet(Packet<'a>),
    Tunnel(Next<'a>),
}

/// Reads the transport header, or opens the tunnel that it is.
fn transport<'a>(
    datagram: &ip::Datagram<'a>,
    walk: &mut Walk<'a>,
    stats: &mut DecodeStats,
) -> Result<Inside<'a>, Cause> {
    let packet = transport::decode(datagram, walk)?;
    let Some(opened) = tunnel::open(datagram, &packet) else { return Ok(Inside::Packet(packet)) };
    for layer in opened.layers.into_iter().flatten() {
        if walk.tunnel.push(layer).is_none() {
            stats.note(Cause::new(Reason::TooDeep));
            return Ok(Inside::Packet(packet));
        }
    }
    stats.tunnel();
    walk.carrier = Some(packet);
    Ok(Inside::Tunnel(opened.inner))
}

/// ARP in a tunnel: what carries it is a packet all the same.
fn told(identity: Identity, walk: Walk<'_>) -> Decoded<'_> {
    match walk.carrier {
        Some(packet) => Decoded::Packet(packet, Some(identity)),
        None => Decoded::Identity(identity),
    }
}

/// Counts why a walk ended; what carried an unreadable inside stands for itself.
fn give_up<'a>(cause: Cause, walk: Walk<'a>, stats: &mut DecodeStats) -> Decoded<'a> {
    stats.note(cause);
    match walk.carrier {
        Some(packet) => Decoded::Packet(packet, None),
        None => Decoded::Undecoded(cause.reason()),
    }
}

/// Tunnels within tunnels that are followed.
pub(crate) const MAX_TUNNELS: usize = 4;
/// Headers of one frame that are looked at: tags, tunnels and what they carry, with room.
const MAX_LAYERS: usize = 64;
/// Joined packets within one frame: fragments of a tunnel whose inside is fragmented again.
const MAX_JOINS: usize = 2;

#[cfg(test)]
mod tests;
