//! The session service under SMB (RFC 1002 §4.3): frames, and the names two machines call each other by on port 139.

use crate::base::Reader;
use crate::base::wire::text;
use crate::event::{Direction, Event, Identity, IdentitySource};

/// A session service packet (RFC 1002 §4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// 0x00: an SMB message of this length.
    Message(usize),
    /// 0x81: two names.
    Request,
    /// 0x82: the called name is this machine's.
    Accepted,
    /// 0x83 refused, 0x84 another machine, 0x85 keep-alive: this much lies behind the four bytes.
    Other(usize),
}

impl Frame {
    /// Reads the four bytes.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let mut r = Reader::new(data);
        let kind = r.u8()?;
        let len = usize::try_from(r.u24()?).ok()?;
        match (kind, len) {
            (0, _) => Some(Self::Message(len)),
            (0x81, REQUEST_LEN) => Some(Self::Request),
            (0x82, 0) => Some(Self::Accepted),
            (0x83, 1) | (0x84, 6) | (0x85, 0) => Some(Self::Other(len)),
            _ => None,
        }
    }
}

/// The names of a session request: called, calling (RFC 1002 §4.3.2).
pub(super) fn names(request: &[u8]) -> [Option<Box<str>>; 2] {
    let (called, calling) = request.split_at_checked(REQUEST_LEN / 2).unwrap_or_default();
    [called, calling].map(|encoded| name(&mut Reader::new(encoded)))
}

/// One encoded name (RFC 1001 §14.1): sixteen bytes as thirty-two letters; the last byte says what kind of name it is.
fn name(r: &mut Reader<'_>) -> Option<Box<str>> {
    (r.u8()? == 32).then_some(())?;
    let letters = r.array::<32>()?;
    // No scope: it would follow as further labels.
    (r.u8()? == 0).then_some(())?;
    let mut plain = Vec::new();
    for pair in letters.chunks_exact(2) {
        let [high, low] = pair else { return None };
        let nibble = |letter: &u8| letter.checked_sub(b'A').filter(|n| *n < 16);
        plain.push(nibble(high)? << 4 | nibble(low)?);
    }
    plain.pop();
    let name = text(plain.trim_ascii_end());
    // `*SMBSERVER` calls whoever answers.
    (!name.is_empty() && !name.starts_with('*')).then_some(name)
}

/// A machine named itself, or answered to a name.
pub(super) fn identity(side: Direction, name: Box<str>) -> Event {
    Event::Identity(Box::new(Identity {
        ip: None,
        side: Some(side),
        mac: None,
        client_id: None,
        hostname: Some(name),
        domain: None,
        source: IdentitySource::Nbns,
    }))
}

/// The session service header.
pub(super) const FRAME_LEN: usize = 4;
/// Two names without a scope, as everybody sends them.
pub(super) const REQUEST_LEN: usize = 68;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_without_padding_and_kind() {
        let mut request = vec![32];
        request.extend(b"FDFCFGDBCACACACACACACACACACACACA\0"); // SRV1, padded with spaces; kind 0x20.
        request.push(32);
        request.extend(b"FAEDDHCACACACACACACACACACACACAAA\0"); // PC7; kind 0x00.
        assert_eq!(names(&request), [Some("SRV1".into()), Some("PC7".into())]);
        assert!((0..request.len()).all(|end| names(&request[..end])[1].is_none()));
        request[3] = b'z';
        assert_eq!(names(&request), [None, Some("PC7".into())], "not an encoded letter");
    }
}
