//! HTTP/2 in clear, by prior knowledge or after an upgrade (RFC 9113 §3.3–3.4): recognised by the client's preface, so
//! that it is neither taken for HTTP/1 nor for nothing. Its heads are compressed (RFC 7541) and not read.

use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::event::{Direction, Transport};

/// HTTP/2.
pub(super) static PROTOCOL: Protocol =
    Protocol { name: "http2", transport: Transport::Tcp, ports: &[], probe, new: || Box::new(Http2) };

/// Either side may have spoken first; only the client's words are plain.
fn probe(_: Direction, data: &[u8]) -> Probe {
    if data.starts_with(PREFACE) {
        return Probe::Match;
    }
    if PREFACE.starts_with(data) { Probe::NeedMore } else { Probe::Mismatch }
}

struct Http2;

impl Parser for Http2 {
    fn parse(&mut self, _: Input<'_>, _: &mut Output) -> Progress {
        Progress::Done
    }
}

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_known_and_an_http_1_request_is_not() {
        assert_eq!(probe(Direction::Orig, PREFACE), Probe::Match);
        for n in 0..PREFACE.len() {
            assert_eq!(probe(Direction::Orig, &PREFACE[..n]), Probe::NeedMore);
        }
        assert_eq!(probe(Direction::Orig, b"PRI * HTTP/1.1\r\n"), Probe::Mismatch);
    }
}
