//! Messages built after RFC 4120 Appendix A.

use super::{AP_REQ, AS_REP, AS_REQ, ERROR, OVER_TCP, OVER_UDP, TGS_REP, TGS_REQ, TICKET, ap_req, context};
use crate::base::Timestamp;
use crate::event::{Direction, Event};
use crate::protocol::{Input, Output, Parser, Probe, Progress, Protocol};
use Direction::{Orig, Resp};

#[test]
fn requests_and_their_answers_are_one_authentication() {
    let ask = request(AS_REQ, Some("alice"), "CORP.EXAMPLE", &["krbtgt", "CORP.EXAMPLE"], Some("WS01"));
    let short = request(AS_REQ, Some("alice"), "CORP", &["krbtgt", "CORP"], None);
    let machine = request(AS_REQ, Some("WS01$"), "CORP.EXAMPLE", &["krbtgt", "CORP.EXAMPLE"], None);
    let ticket = request(TGS_REQ, None, "CORP.EXAMPLE", &["cifs", "srv01"], None);
    let granted = |user| reply(AS_REP, user, "CORP.EXAMPLE", &["krbtgt", "CORP.EXAMPLE"], 18);
    for (what, messages, expected) in [
        (
            "a log-in",
            vec![(Orig, ask.clone()), (Resp, granted("alice"))],
            vec!["WS01 in CORP.EXAMPLE", "alice@CORP.EXAMPLE WS01 krbtgt/CORP.EXAMPLE aes256-cts-hmac-sha1-96 success"],
        ),
        (
            "the realm by its short name",
            vec![(Orig, short), (Resp, granted("alice"))],
            vec![
                "alice@CORP - krbtgt/CORP - -",
                "alice@CORP.EXAMPLE - krbtgt/CORP.EXAMPLE aes256-cts-hmac-sha1-96 success",
            ],
        ),
        (
            "a machine logs in",
            vec![(Orig, machine), (Resp, granted("WS01$"))],
            vec!["WS01 in CORP.EXAMPLE", "WS01$@CORP.EXAMPLE - krbtgt/CORP.EXAMPLE aes256-cts-hmac-sha1-96 success"],
        ),
        (
            "a ticket for a service",
            vec![(Orig, ticket.clone()), (Resp, reply(TGS_REP, "alice", "CORP.EXAMPLE", &["cifs", "srv01"], 23))],
            vec!["alice@CORP.EXAMPLE - cifs/srv01 rc4-hmac success"],
        ),
        (
            "a wrong password",
            vec![(Orig, ask.clone()), (Resp, error(24))],
            vec![
                "WS01 in CORP.EXAMPLE",
                "alice@CORP.EXAMPLE WS01 krbtgt/CORP.EXAMPLE - failure KDC_ERR_PREAUTH_FAILED",
            ],
        ),
        (
            "the usual first refusal",
            vec![(Orig, ask.clone()), (Resp, error(25))],
            vec!["WS01 in CORP.EXAMPLE", "alice@CORP.EXAMPLE WS01 krbtgt/CORP.EXAMPLE - - KDC_ERR_PREAUTH_REQUIRED"],
        ),
        (
            "an error alone",
            vec![(Resp, error(200))],
            vec!["-@CORP.EXAMPLE - krbtgt/CORP.EXAMPLE - failure KRB_ERR_200"],
        ),
        (
            "a question sent twice, no answer",
            vec![(Orig, ticket.clone()), (Orig, ticket)],
            vec!["-@CORP.EXAMPLE - cifs/srv01 - -"],
        ),
        ("a cut request", vec![(Orig, ask[..40].to_vec())], vec!["kerberos_malformed"]),
    ] {
        assert_eq!(tell(&OVER_UDP, &messages), expected, "{what}");
        let framed: Vec<_> = messages.into_iter().map(|(from, m)| (from, framed(&m))).collect();
        assert_eq!(tell(&OVER_TCP, &framed), expected, "{what}, over TCP");
    }
}

#[test]
fn a_ticket_in_a_token_names_its_service() {
    let token = tlv(
        AP_REQ,
        &sequence(&[tlv(context(0), &integer(5)), tlv(context(3), &ticket("CORP.EXAMPLE", &["cifs", "srv01"], 18))]),
    );
    let mut out = Output::default();
    assert!(ap_req(&token, &mut out));
    assert_eq!(shown(&out), ["-@CORP.EXAMPLE - cifs/srv01 aes256-cts-hmac-sha1-96 -"]);
    assert!(!ap_req(b"\x6e\x02\x30\0", &mut out));
}

#[test]
fn only_kerberos_is_taken_for_kerberos() {
    let ask = request(AS_REQ, Some("alice"), "CORP.EXAMPLE", &["krbtgt", "CORP.EXAMPLE"], None);
    let mut version4 = ask.clone();
    let at = ask.windows(3).position(|w| w == [INTEGER, 1, 5]).unwrap();
    version4[at + 2] = 4;
    for (what, data, expected) in [
        ("a request", ask.clone(), Probe::Match),
        ("a reply", reply(AS_REP, "alice", "R", &["krbtgt", "R"], 18), Probe::Match),
        ("an error", error(25), Probe::Match),
        ("bytes behind the message", [ask.clone(), vec![0]].concat(), Probe::Mismatch),
        ("another version", version4, Probe::Mismatch),
        ("LDAP", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0......".to_vec(), Probe::Mismatch),
    ] {
        assert_eq!((OVER_UDP.probe)(Orig, &data), expected, "{what}");
        assert_eq!((OVER_TCP.probe)(Orig, &framed(&data)), expected, "{what}, over TCP");
    }
    let stream = framed(&ask);
    for end in 0..20 {
        assert_eq!((OVER_TCP.probe)(Orig, &stream[..end]), Probe::NeedMore, "{end} bytes");
    }
    assert_eq!((OVER_TCP.probe)(Orig, b"GET / HTTP/1.1\r\n\r\n..."), Probe::Mismatch);
}

#[test]
fn no_prefix_and_no_flip_panics() {
    for whole in [
        request(AS_REQ, Some("alice"), "CORP.EXAMPLE", &["krbtgt", "CORP.EXAMPLE"], Some("WS01")),
        reply(TGS_REP, "alice", "CORP.EXAMPLE", &["cifs", "srv01"], 23),
        error(24),
    ] {
        for protocol in [&OVER_UDP, &OVER_TCP] {
            let whole = if std::ptr::eq(protocol, &OVER_TCP) { framed(&whole) } else { whole.clone() };
            for end in 0..whole.len() {
                feed(protocol, &whole[..end]);
            }
            for at in 0..whole.len() {
                for value in [0, 1, 0x7f, 0x80, 0x84, 0xa0, 0xff] {
                    let mut flipped = whole.clone();
                    flipped[at] = value;
                    feed(protocol, &flipped);
                }
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        feed(&OVER_UDP, &data);
        feed(&OVER_TCP, &data);
        ap_req(&data, &mut Output::default());
    }
}

fn feed(protocol: &Protocol, data: &[u8]) {
    (protocol.probe)(Orig, data);
    let (mut parser, mut out): (Box<dyn Parser>, _) = ((protocol.new)(), Output::default());
    parser.parse(Input { from: Orig, ts: Timestamp(0), data }, &mut out);
    parser.finish(&mut out);
}

fn tell(protocol: &Protocol, messages: &[(Direction, Vec<u8>)]) -> Vec<String> {
    let (mut parser, mut out) = ((protocol.new)(), Output::default());
    for (from, data) in messages {
        let progress = parser.parse(Input { from: *from, ts: Timestamp(0), data }, &mut out);
        assert_eq!(progress, Progress::Consumed(data.len()));
    }
    parser.finish(&mut out);
    shown(&out)
}

fn shown(out: &Output) -> Vec<String> {
    let show = |event: &Event| match event {
        Event::Authentication(a) => {
            let or = |field: &Option<Box<str>>| field.as_deref().unwrap_or("-").to_owned();
            let result = a.result.unwrap_or("-");
            let who = format!(
                "{}@{} {} {} {} {result}",
                or(&a.user),
                or(&a.domain),
                or(&a.host),
                or(&a.service),
                or(&a.etype)
            );
            who + &a.error.as_deref().map_or_else(String::new, |e| format!(" {e}"))
        }
        Event::Identity(i) => format!("{} in {}", i.hostname.as_deref().unwrap(), i.domain.as_deref().unwrap()),
        Event::Weird(w) => w.oddity.name().to_owned(),
        other => format!("{other:?}"),
    };
    out.events.iter().map(show).collect()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

fn request(tag: u8, user: Option<&str>, realm: &str, service: &[&str], host: Option<&str>) -> Vec<u8> {
    let mut body = vec![tlv(context(0), &tlv(0x03, &[0, 0x40, 0x81, 0, 0x10]))];
    body.extend(user.map(|user| tlv(context(1), &principal(&[user]))));
    body.push(tlv(context(2), &string(realm)));
    body.push(tlv(context(3), &principal(service)));
    body.push(tlv(context(7), &integer(7)));
    body.push(tlv(context(8), &sequence(&[integer(18), integer(23)])));
    body.extend(host.map(|host| {
        let name = tlv(context(1), &tlv(0x04, format!("{host:16}").as_bytes()));
        tlv(context(9), &sequence(&[sequence(&[tlv(context(0), &integer(20)), name])]))
    }));
    let kind = integer(if tag == AS_REQ { 10 } else { 12 });
    tlv(tag, &sequence(&[tlv(context(1), &integer(5)), tlv(context(2), &kind), tlv(context(4), &sequence(&body))]))
}

fn reply(tag: u8, user: &str, realm: &str, service: &[&str], etype: u8) -> Vec<u8> {
    let fields = [
        tlv(context(0), &integer(5)),
        tlv(context(1), &integer(if tag == AS_REP { 11 } else { 13 })),
        tlv(context(3), &string(realm)),
        tlv(context(4), &principal(&[user])),
        tlv(context(5), &ticket(realm, service, etype)),
    ];
    tlv(tag, &sequence(&fields))
}

fn error(code: u8) -> Vec<u8> {
    let fields = [
        tlv(context(0), &integer(5)),
        tlv(context(1), &integer(30)),
        tlv(context(6), &tlv(INTEGER, &[0, code])),
        tlv(context(9), &string("CORP.EXAMPLE")),
        tlv(context(10), &principal(&["krbtgt", "CORP.EXAMPLE"])),
    ];
    tlv(ERROR, &sequence(&fields))
}

fn ticket(realm: &str, service: &[&str], etype: u8) -> Vec<u8> {
    let sealed = sequence(&[tlv(context(0), &integer(etype)), tlv(context(2), &tlv(0x04, &[0; 40]))]);
    let fields = [
        tlv(context(0), &integer(5)),
        tlv(context(1), &string(realm)),
        tlv(context(2), &principal(service)),
        tlv(context(3), &sealed),
    ];
    tlv(TICKET, &sequence(&fields))
}

fn principal(parts: &[&str]) -> Vec<u8> {
    let names: Vec<_> = parts.iter().map(|p| string(p)).collect();
    sequence(&[tlv(context(0), &integer(1)), tlv(context(1), &sequence(&names))])
}

fn string(text: &str) -> Vec<u8> {
    tlv(0x1b, text.as_bytes())
}

fn integer(n: u8) -> Vec<u8> {
    tlv(INTEGER, &[n])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = match u8::try_from(len) {
        Ok(short @ ..0x80) => vec![tag, short],
        _ => [vec![tag, 0x82], u16::try_from(len).unwrap().to_be_bytes().to_vec()].concat(),
    };
    [head, content.to_vec()].concat()
}

const INTEGER: u8 = 0x02;
