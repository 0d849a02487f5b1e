//! IPv4 and IPv6 up to the transport header: options and extension headers passed, padding cut, fragments told.
//!
//! Lengths are those of the header; a length of zero is that of a frame which the sending card was to segment, taken
//! as captured. Read: RFC 791, RFC 8200 (extension headers §4, fragments §4.5), RFC 4302 (AH), RFC 6946.

use super::fragment::Piece;
use super::stats::{Cause, Reason};
use super::{Next, Walk};
use crate::base::Reader;
use etherparse::err::ipv4::HeaderSliceError as Ipv4Error;
use etherparse::err::ipv6::HeaderSliceError as Ipv6Error;
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use std::net::IpAddr;

/// What an IP packet carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    /// IANA number of what `body` begins with.
    pub(super) protocol: u8,
    /// IPv4 identification.
    pub(super) id: Option<u16>,
    pub(super) hop_limit: u8,
    /// From the IP header on, as stated.
    pub(super) ip_len: u32,
    /// What is carried, as captured.
    pub(super) body: &'a [u8],
    /// What is carried, on the wire.
    pub(super) body_len: u32,
}

impl<'a> Datagram<'a> {
    /// Passes over `n` bytes of the body; `None` when it has fewer.
    fn pass(&mut self, n: usize) -> Option<()> {
        self.body_len = self.body_len.checked_sub(u32::try_from(n).ok()?)?;
        self.body = self.body.get(n..)?;
        Some(())
    }
}

/// Reads an IP header of either version.
pub(super) fn decode<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => ipv4(bytes, walk),
        Some(6) => ipv6(bytes, walk),
        Some(other) => Err(Cause::numbered(Reason::IpVersion, u32::from(other))),
        None => Err(walk.short(Reason::Ipv4)),
    }
}

/// Goes on with a packet whose fragments have all come.
pub(super) fn joined<'a>(
    fragment: Datagram<'a>,
    body: &'a [u8],
    head_len: u32,
    walk: &Walk<'a>,
) -> Result<Next<'a>, Cause> {
    let body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let ip_len = head_len.saturating_add(body_len);
    extensions(Datagram { ip_len, body, body_len, ..fragment }, walk)
}

fn ipv4<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|error| match error {
        Ipv4Error::Len(_) => walk.short(Reason::Ipv4),
        Ipv4Error::Content(_) => Cause::malformed(Reason::Ipv4),
    })?;
    let head_len = header.slice().len();
    let ip_len = match header.total_len() {
        0 => walk.wire_len(bytes),
        stated => u32::from(stated),
    };
    let mut datagram = Datagram {
        src: IpAddr::V4(header.source_addr()),
        dst: IpAddr::V4(header.destination_addr()),
        protocol: header.protocol().0,
        id: Some(header.identification()),
        hop_limit: header.ttl(),
        ip_len,
        body: bytes.get(..usize::try_from(ip_len).unwrap_or(usize::MAX)).unwrap_or(bytes),
        body_len: ip_len,
    };
    datagram.pass(head_len).ok_or_else(|| Cause::malformed(Reason::Ipv4))?;
    let offset = header.fragments_offset().value();
    if offset == 0 && !header.more_fragments() {
        return extensions(datagram, walk);
    }
    let piece = Piece {
        id: u32::from(header.identification()),
        offset: u32::from(offset).saturating_mul(8),
        more: header.more_fragments(),
        head_len: u32::try_from(head_len).unwrap_or(0),
    };
    fragment(datagram, piece, walk)
}

fn ipv6<'a>(bytes: &'a [u8], walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|error| match error {
        Ipv6Error::Len(_) => walk.short(Reason::Ipv6),
        Ipv6Error::Content(_) => Cause::malformed(Reason::Ipv6),
    })?;
    let head_len = header.slice().len();
    let protocol = header.next_header().0;
    let ip_len = match header.payload_length() {
        // A frame the card was to segment, or a jumbogram (RFC 2675); an empty packet is at most padded.
        0 if bytes.len() > MAX_PADDED_EMPTY && matches!(protocol, TCP | UDP | HOP_BY_HOP) => walk.wire_len(bytes),
        stated => u32::from(stated).saturating_add(u32::try_from(head_len).unwrap_or(0)),
    };
    let mut datagram = Datagram {
        src: IpAddr::V6(header.source_addr()),
        dst: IpAddr::V6(header.destination_addr()),
        protocol,
        id: None,
        hop_limit: header.hop_limit(),
        ip_len,
        body: bytes.get(..usize::try_from(ip_len).unwrap_or(usize::MAX)).unwrap_or(bytes),
        body_len: ip_len,
    };
    datagram.pass(head_len).ok_or_else(|| Cause::malformed(Reason::Ipv6))?;
    extensions(datagram, walk)
}

/// A fragment waits for the others. A first one that the snap length cut never becomes whole, but its transport header
/// tells more than nothing.
fn fragment<'a>(datagram: Datagram<'a>, piece: Piece, walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let cut = u32::try_from(datagram.body.len()).unwrap_or(u32::MAX) < datagram.body_len;
    if piece.offset == 0 && cut { extensions(datagram, walk) } else { Ok(Next::Fragment(datagram, piece)) }
}

/// Passes over extension headers (IPv6) and AH (both versions).
fn extensions<'a>(mut datagram: Datagram<'a>, walk: &Walk<'a>) -> Result<Next<'a>, Cause> {
    let v6 = datagram.src.is_ipv6();
    let layer = if v6 { Reason::Ipv6 } else { Reason::Ipv4 };
    for _ in 0..MAX_EXTENSIONS {
        let mut r = Reader::new(datagram.body);
        let len = match datagram.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 if v6 => {
                let (next, len) = (r.u8(), r.u8());
                let (Some(next), Some(len)) = (next, len) else { return Err(walk.short(layer)) };
                datagram.protocol = next;
                usize::from(len).saturating_add(1).saturating_mul(8)
            }
            AH => {
                let (Some(next), Some(len)) = (r.u8(), r.u8()) else { return Err(walk.short(layer)) };
                datagram.protocol = next;
                usize::from(len).saturating_add(2).saturating_mul(4)
            }
            FRAGMENT if v6 => {
                let fields = (r.u8(), r.u8(), r.u16(), r.u32());
                let (Some(next), Some(_), Some(place), Some(id)) = fields else { return Err(walk.short(layer)) };
                let before = datagram.ip_len.saturating_sub(datagram.body_len);
                datagram.protocol = next;
                datagram.pass(8).ok_or_else(|| walk.short(layer))?;
                // RFC 6946: a fragment that is the whole packet needs no joining.
                if place & 0xfff9 != 0 {
                    let piece = Piece { id, offset: u32::from(place & 0xfff8), more: place & 1 != 0, head_len: before };
                    return fragment(datagram, piece, walk);
                }
                continue;
            }
            _ => return Ok(Next::Datagram(datagram)),
        };
        datagram.pass(len).ok_or_else(|| walk.short(layer))?;
    }
    Err(Cause::malformed(layer))
}

const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AH: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
/// RFC 8200 §4.1 knows seven, each at most once but for destination options.
const MAX_EXTENSIONS: usize = 16;
/// An empty IPv6 packet in the smallest Ethernet frame: 60 bytes less its 14-byte header.
const MAX_PADDED_EMPTY: usize = 46;
