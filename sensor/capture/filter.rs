//! BPF expressions, compiled by libpcap once a link type and applied to frames of every reader alike.
//!
//! The same expression selects differently live and offline: the kernel takes the outer VLAN tag out of a frame before
//! its filter sees it, a file still has it, and `port 53` does not look behind a tag. So that one expression means one
//! thing, tags are looked past for the filter (not for what follows), unless the expression itself says `vlan`.

use super::bpf::{Program, View};
use super::{CaptureError, Frame, LinkType};
use pcap::{Capture, Linktype};

/// A filter expression and its programs.
pub(super) struct Filter {
    expression: String,
    tags: Tags,
    programs: Vec<(LinkType, Program)>,
}

/// Whether an expression knows of VLAN tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tags {
    Seen,
    LookedPast,
}

impl Filter {
    /// Takes an expression; it is compiled when a link type is met.
    pub(super) fn new(expression: &str) -> Result<Self, CaptureError> {
        if expression.contains('\0') {
            return Err(CaptureError::Filter { message: "the expression holds a NUL byte".to_owned() });
        }
        let says_vlan = expression.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "vlan");
        let tags = if says_vlan { Tags::Seen } else { Tags::LookedPast };
        Ok(Self { expression: expression.to_owned(), tags, programs: Vec::new() })
    }

    /// Compiles for `link`, unless done before; the program's place.
    pub(super) fn prepare(&mut self, link: LinkType) -> Result<usize, CaptureError> {
        if let Some(known) = self.programs.iter().position(|(known, _)| *known == link) {
            return Ok(known);
        }
        let failed = |error: pcap::Error| {
            let message = match error {
                pcap::Error::PcapError(message) => message,
                other => other.to_string(),
            };
            CaptureError::Filter { message: format!("{message} (for link type {})", link.0) }
        };
        let compiled = Capture::dead(Linktype(i32::from(dlt(link))))
            .and_then(|dead| dead.compile(&self.expression, true))
            .map_err(failed)?;
        self.programs.push((link, Program::new(&compiled)?));
        Ok(self.programs.len().saturating_sub(1))
    }

    /// A wider expression for the kernel, which sees frames without their outer tag: all that pass [`Filter::passes`] pass
    /// it too. `None` when nothing can be said for sure.
    pub(super) fn for_the_kernel(&self, link: LinkType) -> Option<String> {
        match self.tags {
            _ if self.expression.trim().is_empty() => None,
            // The keyword moves what follows it behind the tag, so it stands last.
            Tags::LookedPast if link == LinkType::ETHERNET => Some(format!("({}) or vlan", self.expression)),
            Tags::LookedPast => Some(self.expression.clone()),
            Tags::Seen => None,
        }
    }

    /// Whether the frame is wanted.
    pub(super) fn passes(&mut self, frame: &Frame<'_>) -> Result<bool, CaptureError> {
        let known = self.prepare(frame.link)?;
        let Some((_, program)) = self.programs.get(known) else { return Ok(false) };
        Ok(program.passes(match self.tags {
            Tags::LookedPast if frame.link == LinkType::ETHERNET => without_tags(frame),
            _ => View { head: &[], rest: frame.bytes, wire_len: frame.wire_len },
        }))
    }
}

/// An Ethernet frame as if it had not been tagged.
fn without_tags<'a>(frame: &Frame<'a>) -> View<'a> {
    let (head, mut rest) = frame.bytes.split_at(ADDRESSES.min(frame.bytes.len()));
    let mut wire_len = frame.wire_len;
    while is_tag(rest) {
        rest = rest.get(TAG..).unwrap_or_default();
        wire_len = wire_len.saturating_sub(4);
    }
    View { head, rest, wire_len }
}

/// 802.1Q, 802.1ad and the EtherTypes used for stacked tags before it.
fn is_tag(rest: &[u8]) -> bool {
    let ethertype = rest.first_chunk::<2>();
    rest.len() >= TAG && matches!(ethertype, Some([0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] | [0x92, 0x00]))
}

/// libpcap's own number for a link type; they differ where systems gave numbers differently.
const fn dlt(link: LinkType) -> u16 {
    match link {
        LinkType::RAW | LinkType::RAW_OPENBSD => 12,
        LinkType(other) => other,
    }
}

/// Destination and source of an Ethernet frame.
const ADDRESSES: usize = 12;
/// A tag's EtherType and control information.
const TAG: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    /// UDP from 10.0.0.1:9999 to 10.0.0.2:`port`, behind so many tags; `cut` bytes of it were not captured.
    fn udp(port: u16, tags: usize, link: LinkType) -> Vec<u8> {
        let mut bytes = Vec::new();
        if link == LinkType::ETHERNET {
            bytes.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
            bytes.extend([0x88, 0xa8, 0, 9].iter().take(if tags > 1 { 4 } else { 0 }));
            bytes.extend([0x81, 0x00, 0, 7].iter().take(if tags > 0 { 4 } else { 0 }));
            bytes.extend([0x08, 0x00]);
        }
        bytes.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend(9999_u16.to_be_bytes());
        bytes.extend(port.to_be_bytes());
        bytes.extend([0, 20, 0, 0]);
        bytes.extend([b'x'; 12]);
        bytes
    }

    #[test]
    fn an_expression_means_the_same_behind_tags_on_every_link_and_cut_or_not() {
        let (ethernet, raw) = (LinkType::ETHERNET, LinkType::RAW);
        for (what, expression, frame, link, wire_len, passes) in [
            ("plain", "udp port 53", udp(53, 0, ethernet), ethernet, 54, true),
            ("another port", "udp port 53", udp(54, 0, ethernet), ethernet, 54, false),
            ("802.1Q", "udp port 53", udp(53, 1, ethernet), ethernet, 58, true),
            ("QinQ", "udp port 53", udp(53, 2, ethernet), ethernet, 62, true),
            ("negated behind a tag", "not port 53", udp(53, 1, ethernet), ethernet, 58, false),
            ("vlan, said", "vlan 7 and port 53", udp(53, 1, ethernet), ethernet, 58, true),
            ("vlan, another", "vlan 8", udp(53, 1, ethernet), ethernet, 58, false),
            ("raw IP", "udp port 53", udp(53, 0, raw), raw, 40, true),
            ("raw IP, another host", "host 10.0.0.3", udp(53, 0, raw), raw, 40, false),
            ("cut, but long on the wire", "greater 1000", udp(53, 0, ethernet), ethernet, 1_500, true),
            ("a tag does not count", "greater 55", udp(53, 1, ethernet), ethernet, 58, false),
            ("everything", "", udp(53, 0, ethernet), ethernet, 54, true),
        ] {
            let frame = Frame { ts: Timestamp(0), link, bytes: &frame, wire_len, input: 0, number: 1 };
            let mut filter = Filter::new(expression).unwrap();
            assert_eq!(filter.passes(&frame).unwrap(), passes, "{what}: {expression}");
        }
    }

    #[test]
    fn what_does_not_compile_is_told_in_libpcaps_words() {
        let error = Filter::new("prot 80").unwrap().prepare(LinkType::ETHERNET).unwrap_err();
        assert!(error.to_string().starts_with("--filter: "), "{error}");
        assert!(Filter::new("a\0b").is_err());
        let error = Filter::new("ether host 02:00:00:00:00:01").unwrap().prepare(LinkType::RAW).unwrap_err();
        assert!(error.to_string().contains("link type 101"), "{error}");
    }
}
