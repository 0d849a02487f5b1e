//! BPF expressions, compiled by libpcap once a link type and applied to frames of every reader alike.
//!
//! The same expression selects differently live and offline: the kernel takes the outer VLAN tag out of a frame before
//! its filter sees it, a file still has it, and `port 53` does not look behind a tag. So that one expression means one
//! thing, tags are taken off for the filter (not for what follows), unless the expression itself says `vlan`.

use super::{CaptureError, Frame, LinkType};
use pcap::{BpfProgram, Capture, Linktype};

/// A filter expression and its programs.
pub(super) struct Filter {
    expression: String,
    sees_tags: bool,
    programs: Vec<(LinkType, BpfProgram)>,
    /// A frame without its tags.
    untagged: Vec<u8>,
}

impl Filter {
    /// Takes an expression; it is compiled when a link type is met.
    pub(super) fn new(expression: &str) -> Result<Self, CaptureError> {
        if expression.contains('\0') {
            return Err(CaptureError::Filter { message: "the expression holds a NUL byte".to_owned() });
        }
        let sees_tags = expression.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "vlan");
        Ok(Self { expression: expression.to_owned(), sees_tags, programs: Vec::new(), untagged: Vec::new() })
    }

    /// Compiles for `link`, unless done before.
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
        let program = Capture::dead(Linktype(i32::from(dlt(link))))
            .and_then(|dead| dead.compile(&self.expression, true))
            .map_err(failed)?;
        self.programs.push((link, program));
        Ok(self.programs.len().saturating_sub(1))
    }

    /// Whether the frame is wanted.
    pub(super) fn passes(&mut self, frame: &Frame<'_>) -> Result<bool, CaptureError> {
        let known = self.prepare(frame.link)?;
        let Some((_, program)) = self.programs.get(known) else { return Ok(false) };
        if self.sees_tags || frame.link != LinkType::ETHERNET || !is_tagged(frame.bytes) {
            return Ok(program.filter(frame.bytes));
        }
        let (addresses, mut rest) = frame.bytes.split_at(ADDRESSES.min(frame.bytes.len()));
        while is_tag(rest) {
            rest = rest.get(TAG..).unwrap_or_default();
        }
        self.untagged.clear();
        self.untagged.extend_from_slice(addresses);
        self.untagged.extend_from_slice(rest);
        Ok(program.filter(&self.untagged))
    }
}

fn is_tagged(frame: &[u8]) -> bool {
    frame.get(ADDRESSES..).is_some_and(is_tag)
}

/// 802.1Q, 802.1ad and the EtherTypes used for stacked tags before it.
fn is_tag(rest: &[u8]) -> bool {
    matches!(rest.first_chunk::<2>(), Some([0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] | [0x92, 0x00]))
        && rest.len() >= TAG
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
