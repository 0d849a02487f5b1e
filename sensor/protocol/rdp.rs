//! Remote Desktop (MS-RDPBCGR §2.2.1.1, §2.2.1.2): the connection request's cookie names the user or the broker's
//! target, the confirmation chooses TLS, which is handed over. What it does not do: the session itself.

use super::{Input, Output, Parser, Probe, Progress, Protocol};
use crate::base::Reader;
use crate::base::wire::text;
use crate::event::{Act, Banner, Channel, Direction, Event, Execution, Transport};

/// Recognised by TPKT (RFC 1006 §6) and the X.224 connection PDUs.
pub(super) static PROTOCOL: Protocol =
    Protocol { name: "rdp", transport: Transport::Tcp, ports: &[3389], probe, new: || Box::new(Rdp) };

fn probe(from: Direction, data: &[u8]) -> Probe {
    let wanted = if from == Direction::Orig { CONNECTION_REQUEST } else { CONNECTION_CONFIRM };
    let mut r = Reader::new(data);
    let (version, reserved, len, indicator, code) = (r.u8(), r.u8(), r.u16(), r.u8(), r.u8());
    let fits =
        |len: u16, indicator: u8| usize::from(len) == usize::from(indicator).saturating_add(TPKT).saturating_add(1);
    match (version, reserved, len, indicator, code) {
        (Some(3), Some(0), Some(len), Some(indicator), Some(code)) if fits(len, indicator) && code == wanted => {
            Probe::Match
        }
        (Some(3), Some(0), _, _, None) | (Some(3), None, ..) | (None, ..) => Probe::NeedMore,
        _ => Probe::Mismatch,
    }
}

struct Rdp;

impl Parser for Rdp {
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let mut r = Reader::new(input.data);
        let Some(len) = r.skip(2).and_then(|()| r.u16()).map(usize::from) else { return Progress::Consumed(0) };
        let Some(body) = len.checked_sub(TPKT) else { return Progress::Done };
        let Some(mut pdu) = r.sub(body) else { return Progress::Consumed(0) };
        // Length indicator, code, two references, class.
        let code = pdu.skip(1).and_then(|()| pdu.u8());
        let _ = pdu.skip(5); // A PDU that ends here has nothing to choose from: the rest is empty.
        match code {
            Some(CONNECTION_REQUEST) => {
                cookie(pdu, input.from, out);
                Progress::Consumed(len)
            }
            Some(CONNECTION_CONFIRM) => confirm(pdu, len, out),
            _ => Progress::Done,
        }
    }
}

/// `Cookie: mstshash=alice` or a broker's `Cookie: msts=…` before the negotiation request.
fn cookie(mut pdu: Reader<'_>, from: Direction, out: &mut Output) {
    let line = pdu.line(MAX_COOKIE).and_then(|line| line.strip_prefix(b"Cookie: "));
    if let Some(software) = line.map(text).filter(|cookie| !cookie.is_empty()) {
        out.push(Event::Banner(Box::new(Banner { protocol: "rdp", from, software, hassh: None })));
    }
}

/// MS-RDPBCGR §2.2.1.2.1: which security was chosen; none said means the old one of RDP itself.
fn confirm(mut pdu: Reader<'_>, len: usize, out: &mut Output) -> Progress {
    let answer = pdu.u8();
    if answer == Some(NEGOTIATION_FAILURE) {
        return Progress::Done;
    }
    let chosen = pdu.skip(3).and_then(|()| pdu.u32_le()).filter(|_| answer == Some(NEGOTIATION_RESPONSE)).unwrap_or(0);
    out.push(Event::Execution(Box::new(Execution {
        channel: Channel::Rdp,
        act: Act::Administer,
        interface: None,
        opnum: None,
        operation: Some(if chosen & NETWORK_LEVEL != 0 { "connect_nla" } else { "connect" }.into()),
        endpoint: None,
        clsid: None,
        technique: Some("T1021.001"),
    })));
    if chosen == 0 { Progress::Done } else { Progress::Handover(len) }
}

/// X.224 §13.3, §13.4.
const CONNECTION_REQUEST: u8 = 0xe0;
const CONNECTION_CONFIRM: u8 = 0xd0;
/// MS-RDPBCGR §2.2.1.2.1, §2.2.1.2.2.
const NEGOTIATION_RESPONSE: u8 = 2;
const NEGOTIATION_FAILURE: u8 = 3;
/// PROTOCOL_HYBRID and PROTOCOL_HYBRID_EX: CredSSP.
const NETWORK_LEVEL: u32 = 2 | 8;
/// RFC 1006 §6: bytes of its header.
const TPKT: usize = 4;
/// User names are cut at nine characters, tokens take some fifty.
const MAX_COOKIE: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use Direction::{Orig, Resp};

    #[test]
    fn connections_name_their_cookie_and_choose_their_security() {
        let ask = pdu(CONNECTION_REQUEST, b"Cookie: mstshash=alice\r\n\x01\0\x08\0\x0b\0\0\0");
        let confirm = |chosen: u8| pdu(CONNECTION_CONFIRM, &[2, 0, 8, 0, chosen, 0, 0, 0]);
        for (what, from, data, expected) in [
            ("a request", Orig, ask.clone(), "mstshash=alice Consumed(43)"),
            ("a request without cookie", Orig, pdu(CONNECTION_REQUEST, b"\x01\0\x08\0\x0b\0\0\0"), "Consumed(19)"),
            ("a bare request", Orig, pdu(CONNECTION_REQUEST, b""), "Consumed(11)"),
            ("TLS with network-level authentication", Resp, confirm(2), "connect_nla Handover(19)"),
            ("TLS", Resp, confirm(1), "connect Handover(19)"),
            ("RDP security", Resp, confirm(0), "connect Done"),
            ("a server of old", Resp, pdu(CONNECTION_CONFIRM, b""), "connect Done"),
            ("a refusal", Resp, pdu(CONNECTION_CONFIRM, &[3, 0, 8, 0, 5, 0, 0, 0]), "Done"),
            ("a request that is not whole", Orig, ask[..20].to_vec(), "Consumed(0)"),
        ] {
            assert_eq!(told(from, &data), expected, "{what}");
            assert_eq!(probe(from, &data), Probe::Match, "{what}");
        }
        for (what, data, expected) in [
            ("nothing yet", &ask[..0], Probe::NeedMore),
            ("five bytes", &ask[..5], Probe::NeedMore),
            ("another X.224 PDU", b"\x03\0\0\x07\x02\xf0\x80".as_slice(), Probe::Mismatch),
            ("TLS", b"\x16\x03\x01\0\xc8\x01", Probe::Mismatch),
        ] {
            assert_eq!(probe(Orig, data), expected, "{what}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            told(Orig, &data);
            told(Resp, &[b"\x03\0\0\x20".as_slice(), &data].concat());
        }
    }

    fn pdu(code: u8, data: &[u8]) -> Vec<u8> {
        let len = u8::try_from(data.len()).unwrap();
        [&[3, 0, 0, len + 11, len + 6, code, 0, 0, 0, 0, 0], data].concat()
    }

    fn told(from: Direction, data: &[u8]) -> String {
        let mut out = Output::default();
        let progress = Rdp.parse(Input { from, ts: Timestamp(0), data }, &mut out);
        let facts = out.events.iter().map(|event| match event {
            Event::Banner(b) => b.software.to_string(),
            Event::Execution(e) => e.operation.clone().unwrap().into(),
            other => format!("{other:?}"),
        });
        facts.chain([format!("{progress:?}")]).collect::<Vec<_>>().join(" ")
    }
}
