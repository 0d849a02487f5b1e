//! NTLMSSP messages (MS-NLMP §2.2.1) and Kerberos tickets (RFC 4120 §5.5.1) inside the security tokens of other
//! protocols: SMB session set-up, DCE-RPC `auth_verifier`, HTTP `Authorization`, LDAP SASL.
//!
//! Tokens are searched, not unwrapped: GSS-API (RFC 2743) and SPNEGO (RFC 4178) add nothing that tells who somebody is,
//! and a search also finds tokens of dialects that break their framing. What it does not do: verify responses, follow
//! sessions, or say whether the log-in succeeded; only the protocol around the token knows that.

use super::{Output, kerberos};
use crate::base::Reader;
use crate::base::wire::{text, utf16le};
use crate::event::{Authentication, AuthenticationProtocol, Direction, Event, Identity, IdentitySource, Oddity};

/// Looks into the token of one side and tells who authenticates. The token may be raw, GSS-API or SPNEGO, and may have
/// other bytes around it.
///
/// Gives an [`Authentication`] for an NTLM AUTHENTICATE message that is not anonymous, and for a Kerberos AP-REQ (its
/// service and realm; the client's name in it is encrypted), an [`Identity`] for the machine that asks to be let in and
/// for the one that challenges it. By all four protocols the flow's originator is who asks, so the side need not be
/// told. Adds the services `gssapi`, `ntlm`, `krb`. Call it once for each whole token of either side.
pub(super) fn observe(token: &[u8], out: &mut Output) {
    if matches!(token.first(), Some(&GSS_INITIAL | &SPNEGO_RESPONSE)) {
        out.service("gssapi");
    }
    if let Some(message) = find(token, SIGNATURE).and_then(|at| token.get(at..)) {
        out.service("ntlm");
        if message_of(message, out).is_none() {
            out.weird(Oddity::NtlmMalformed);
        }
    } else if let Some(ticket) = find(token, AP_REQ).and_then(|at| token.get(at.saturating_add(AP_REQ.len())..)) {
        out.service("krb");
        kerberos::ap_req(ticket, out);
    } else if token.first() == Some(&RAW_AP_REQ) && kerberos::ap_req(token, out) {
        // DCE-style authentication (MS-KILE §3.4.5.1) carries the AP-REQ bare.
        out.service("krb");
    }
}

fn message_of(message: &[u8], out: &mut Output) -> Option<()> {
    let mut r = Reader::new(message);
    r.skip(SIGNATURE.len())?;
    match r.u32_le()? {
        NEGOTIATE => negotiate(message, out),
        CHALLENGE => challenge(message, out),
        AUTHENTICATE => authenticate(message, out),
        _ => None,
    }
}

/// MS-NLMP §2.2.1.1. Domain and workstation are in the OEM character set and mostly left out.
fn negotiate(message: &[u8], out: &mut Output) -> Option<()> {
    let mut r = Reader::new(message);
    r.seek(12)?;
    let flags = r.u32_le()?;
    // Clients without names may leave out the fields, too.
    let domain = field(message, &mut r).filter(|_| flags & OEM_DOMAIN_SUPPLIED != 0);
    let host = field(message, &mut r).filter(|_| flags & OEM_WORKSTATION_SUPPLIED != 0);
    let decode = |name| Charset::Oem.decode(name);
    let (domain, host) = (domain.and_then(decode), host.and_then(decode));
    identify(Direction::Orig, host, domain, out);
    Some(())
}

/// MS-NLMP §2.2.1.2: the challenger's own names are in the target information; the target name may be its domain's.
fn challenge(message: &[u8], out: &mut Output) -> Option<()> {
    let mut r = Reader::new(message);
    r.seek(20)?;
    let flags = r.u32_le()?;
    if flags & TARGET_INFO == 0 {
        return Some(());
    }
    r.seek(40)?;
    let mut pairs = Reader::new(field(message, &mut r)?);
    let (mut host, mut nt_domain, mut dns_domain) = (None, None, None);
    for _ in 0..MAX_PAIRS {
        let (id, len) = (pairs.u16_le()?, pairs.u16_le()?);
        let value = pairs.take(usize::from(len))?;
        match id {
            AV_END => break,
            AV_COMPUTER => host = Charset::Utf16.decode(value),
            AV_DOMAIN => nt_domain = Charset::Utf16.decode(value),
            AV_DNS_DOMAIN => dns_domain = Charset::Utf16.decode(value),
            _ => {}
        }
    }
    identify(Direction::Resp, host, dns_domain.or(nt_domain), out);
    Some(())
}

/// MS-NLMP §2.2.1.3.
fn authenticate(message: &[u8], out: &mut Output) -> Option<()> {
    let mut r = Reader::new(message);
    r.seek(FLAGS_OF_AUTHENTICATE)?;
    // Windows 9x and its imitators stop before the flags; their text is OEM.
    let flags = r.u32_le().unwrap_or(0);
    let charset = if flags & UNICODE == 0 { Charset::Oem } else { Charset::Utf16 };
    r.seek(28)?;
    let domain = charset.decode(field(message, &mut r)?);
    let user = charset.decode(field(message, &mut r)?);
    let host = charset.decode(field(message, &mut r)?);
    identify(Direction::Orig, host.clone(), domain.clone(), out);
    if user.is_some() {
        out.push(Event::Authentication(Box::new(Authentication {
            protocol: AuthenticationProtocol::Ntlm,
            user,
            domain,
            host,
            service: None,
            etype: None,
            result: None,
            error: None,
        })));
    }
    Some(())
}

fn identify(side: Direction, hostname: Option<Box<str>>, domain: Option<Box<str>>, out: &mut Output) {
    if hostname.is_some() {
        let (side, source) = (Some(side), IdentitySource::Ntlm);
        out.push(Event::Identity(Box::new(Identity {
            ip: None,
            side,
            mac: None,
            client_id: None,
            hostname,
            domain,
            source,
        })));
    }
}

#[derive(Clone, Copy)]
enum Charset {
    Oem,
    Utf16,
}

impl Charset {
    /// Nothing written is nothing known; a lone NUL is what anonymous clients write.
    fn decode(self, name: &[u8]) -> Option<Box<str>> {
        let name = match self {
            Self::Oem => text(name),
            Self::Utf16 => utf16le(name).into(),
        };
        Some(name).filter(|n| !n.trim_matches('\0').is_empty())
    }
}

/// A field descriptor (length, allocated length, offset from the message's start) → its bytes.
fn field<'a>(message: &'a [u8], r: &mut Reader<'_>) -> Option<&'a [u8]> {
    let len = usize::from(r.u16_le()?).min(MAX_FIELD_BYTES);
    r.skip(2)?;
    let offset = usize::try_from(r.u32_le()?).ok()?;
    if len == 0 {
        return Some(&[]); // The offset of an empty field is often nonsense.
    }
    let mut payload = Reader::new(message);
    payload.seek(offset)?;
    payload.take(len)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).take(MAX_SEARCH).position(|window| window == needle)
}

const SIGNATURE: &[u8] = b"NTLMSSP\0";
const NEGOTIATE: u32 = 1;
const CHALLENGE: u32 = 2;
const AUTHENTICATE: u32 = 3;
const UNICODE: u32 = 0x0000_0001;
const OEM_DOMAIN_SUPPLIED: u32 = 0x0000_1000;
const OEM_WORKSTATION_SUPPLIED: u32 = 0x0000_2000;
const FLAGS_OF_AUTHENTICATE: usize = 60;

/// `[APPLICATION 0]`, the start of a GSS-API token (RFC 2743 §3.1).
const GSS_INITIAL: u8 = 0x60;
/// `[1]`, a SPNEGO NegTokenResp (RFC 4178 §4.2.2).
const SPNEGO_RESPONSE: u8 = 0xa1;
/// OID 1.2.840.113554.1.2.2 and token id 01 00 (RFC 4121 §4.1): an AP-REQ follows.
const AP_REQ: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00];
/// `[APPLICATION 14]`.
const RAW_AP_REQ: u8 = 0x6e;

/// MS-NLMP §2.2.2.1, the ids of target information.
const AV_END: u16 = 0;
const AV_COMPUTER: u16 = 1;
const AV_DOMAIN: u16 = 2;
const AV_DNS_DOMAIN: u16 = 4;
const TARGET_INFO: u32 = 0x0080_0000;

/// Names are at most 256 characters in Windows, twice that in UTF-16; target information holds half a dozen.
const MAX_FIELD_BYTES: usize = 4096;
/// MS-NLMP knows eleven ids, each given once.
const MAX_PAIRS: usize = 32;
/// Names of mechanisms before a token take tens of bytes; tickets with large authorisation data take the 64 KiB.
const MAX_SEARCH: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// An AUTHENTICATE message with the given names, in the layout of MS-NLMP §2.2.1.3.
    fn type3(domain: &str, user: &str, host: &str, charset: Charset) -> Vec<u8> {
        let encode = |s: &str| match charset {
            Charset::Oem => s.as_bytes().to_vec(),
            Charset::Utf16 => s.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        };
        let parts = [vec![0; 24], vec![7; 24], encode(domain), encode(user), encode(host), Vec::new()];
        let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
        let mut offset = 64_u32;
        for part in &parts {
            let len = u16::try_from(part.len()).unwrap();
            message.extend(len.to_le_bytes());
            message.extend(len.to_le_bytes());
            message.extend(offset.to_le_bytes());
            offset += u32::from(len);
        }
        message.extend(if matches!(charset, Charset::Utf16) { [1, 0, 0, 0] } else { [2, 0, 0, 0] });
        message.extend(parts.concat());
        message
    }

    /// What was told, one line an event.
    fn told(token: &[u8]) -> Vec<String> {
        let mut out = Output::default();
        observe(token, &mut out);
        let show = |event: &Event| match event {
            Event::Authentication(a) => format!("auth {:?} {:?} {:?}", a.domain, a.user, a.host),
            Event::Identity(i) => format!("host {:?} {:?}", i.domain, i.hostname),
            Event::Weird(w) => w.oddity.name().to_owned(),
            other => format!("{other:?}"),
        };
        out.events.iter().map(show).chain(out.services.iter().map(|s| (*s).to_owned())).collect()
    }

    #[test]
    fn an_authenticate_message_names_user_domain_and_workstation() {
        let both = |d: &str, u: &str, h: &str| {
            vec![
                format!("host Some({d:?}) Some({h:?})"),
                format!("auth Some({d:?}) Some({u:?}) Some({h:?})"),
                "ntlm".into(),
            ]
        };
        let wrapped = |message: &[u8]| [b"\xa1\x82\x01\x00\x30\x82".as_slice(), message].concat();
        let plain = type3("EXAMPLE", "alice", "WS01", Charset::Utf16);
        let mut in_spnego = both("EXAMPLE", "alice", "WS01");
        in_spnego.insert(2, "gssapi".into());
        for (what, token, expected) in [
            ("UTF-16 names", plain.clone(), both("EXAMPLE", "alice", "WS01")),
            ("OEM names", type3("EXAMPLE", "bob", "WS02", Charset::Oem), both("EXAMPLE", "bob", "WS02")),
            ("within SPNEGO", wrapped(&plain), in_spnego),
            (
                "anonymous",
                type3("", "", "WS03", Charset::Utf16),
                vec!["host None Some(\"WS03\")".into(), "ntlm".into()],
            ),
            ("cut in the names", plain[..130].to_vec(), vec!["ntlm_malformed".into(), "ntlm".into()]),
            ("an unknown type", b"NTLMSSP\0\x09\0\0\0".to_vec(), vec!["ntlm_malformed".into(), "ntlm".into()]),
            ("no token at all", b"Negotiate".to_vec(), vec![]),
        ] {
            assert_eq!(told(&token), expected, "{what}");
        }
    }

    #[test]
    fn a_negotiate_message_names_the_workstation_only_when_it_says_so() {
        // Flags, domain (6 at 32), workstation (4 at 38), names.
        let message = |flags: u32| {
            let mut m = b"NTLMSSP\0\x01\0\0\0".to_vec();
            m.extend(flags.to_le_bytes());
            m.extend(*b"\x06\0\x06\0\x20\0\0\0\x04\0\x04\0\x26\0\0\0DOMAINWS01");
            m
        };
        let given = message(OEM_DOMAIN_SUPPLIED | OEM_WORKSTATION_SUPPLIED);
        assert_eq!(told(&given), ["host Some(\"DOMAIN\") Some(\"WS01\")", "ntlm"]);
        assert_eq!(told(&message(0)), ["ntlm"]);
    }

    #[test]
    fn a_challenge_names_the_machine_that_challenges() {
        let pair = |id: u16, name: &str| {
            let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            [&id.to_le_bytes()[..], &u16::try_from(name.len()).unwrap().to_le_bytes(), &name].concat()
        };
        let pairs = |pairs: &[Vec<u8>]| {
            // Target name (none), flags, challenge, reserved, target information at 48.
            let info = pairs.concat();
            let len = u16::try_from(info.len()).unwrap().to_le_bytes();
            let mut m = b"NTLMSSP\0\x02\0\0\0\0\0\0\0\x30\0\0\0".to_vec();
            m.extend(TARGET_INFO.to_le_bytes());
            m.extend([0; 16]);
            m.extend([len[0], len[1], len[0], len[1], 48, 0, 0, 0]);
            m.extend(info);
            m
        };
        let (nt, computer, dns) = (pair(2, "EXAMPLE"), pair(1, "SRV01"), pair(4, "corp.example"));
        for (what, token, expected) in [
            ("in a domain", pairs(&[nt.clone(), computer.clone(), dns, pair(0, "")]), Some("corp.example")),
            ("in a workgroup", pairs(&[nt, computer.clone(), pair(0, "")]), Some("EXAMPLE")),
            ("alone", pairs(&[computer, pair(0, "")]), None),
        ] {
            assert_eq!(told(&token), [format!("host {expected:?} Some(\"SRV01\")"), "ntlm".into()], "{what}");
        }
        assert_eq!(told(&pairs(&[pair(1, "SRV01")])), ["ntlm_malformed", "ntlm"], "no end of list");
    }

    #[test]
    fn no_prefix_and_no_flip_panics() {
        let token = type3("EXAMPLE", "alice", "WS01", Charset::Utf16);
        for end in 0..token.len() {
            told(&token[..end]);
        }
        for at in 0..token.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut flipped = token.clone();
                flipped[at] = value;
                told(&flipped);
            }
        }
    }
}
