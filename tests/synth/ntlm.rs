//! NTLMSSP messages (MS-NLMP §2.2.1) and their SPNEGO envelopes (RFC 4178).

use super::der::{ENUM, OCTETS, OID, SEQUENCE, application, context, join, tlv};
use super::random::Random;

/// The domain's old-style name.
pub(crate) const NETBIOS_DOMAIN: &str = "CORP";

/// Version 10.0.19041, NTLM revision 15.
const VERSION: [u8; 8] = [10, 0, 0x61, 0x4a, 0, 0, 0, 15];
/// 1.3.6.1.4.1.311.2.2.10
const NTLMSSP: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10];
/// 1.2.840.113554.1.2.2
const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
/// 1.3.6.1.5.5.2
const SPNEGO: &[u8] = &[0x2b, 6, 1, 5, 5, 2];

/// NEGOTIATE_MESSAGE.
pub(crate) fn negotiate() -> Vec<u8> {
    let mut out = head(1);
    out.extend_from_slice(&0xe208_8297_u32.to_le_bytes());
    out.extend_from_slice(&[0; 16]); // No domain, no workstation.
    out.extend_from_slice(&VERSION);
    out
}

/// CHALLENGE_MESSAGE of `server`.
pub(crate) fn challenge(random: &mut Random, server: &str) -> Vec<u8> {
    let target = utf16(NETBIOS_DOMAIN);
    let pairs = pairs(server);
    let mut out = head(2);
    field(&mut out, target.len(), 56);
    out.extend_from_slice(&0xe289_8215_u32.to_le_bytes());
    out.extend(random.bytes(8));
    out.extend_from_slice(&[0; 8]);
    field(&mut out, pairs.len(), 56 + target.len());
    out.extend_from_slice(&VERSION);
    out.extend(target);
    out.extend(pairs);
    out
}

/// AUTHENTICATE_MESSAGE: who, from which machine.
pub(crate) fn authenticate(random: &mut Random, user: &str, workstation: &str, server: &str) -> Vec<u8> {
    let mut answer = random.bytes(16);
    answer.extend_from_slice(&[1, 1, 0, 0, 0, 0, 0, 0]);
    answer.extend_from_slice(&0x01dc_aaaa_0000_0000_u64.to_le_bytes());
    answer.extend(random.bytes(8));
    answer.extend_from_slice(&[0; 4]);
    answer.extend(pairs(server));
    answer.extend_from_slice(&[0; 4]);
    let values = [vec![0; 24], answer, utf16(NETBIOS_DOMAIN), utf16(user), utf16(workstation), random.bytes(16)];
    // Header: signature, type, six fields, flags, version, integrity code. Text comes first in the payload.
    let order = [2, 3, 4, 0, 1, 5];
    let mut at = [0; 6];
    let mut end = 88;
    for n in order {
        at[n] = end;
        end += values[n].len();
    }
    let mut out = head(3);
    for (value, at) in values.iter().zip(at) {
        field(&mut out, value.len(), at);
    }
    out.extend_from_slice(&0xe288_8215_u32.to_le_bytes());
    out.extend_from_slice(&VERSION);
    out.extend(random.bytes(16));
    for n in order {
        out.extend_from_slice(&values[n]);
    }
    out
}

/// NTLMSSP_MESSAGE_SIGNATURE (§2.2.2.9.2): version 1, checksum, sequence number.
pub(crate) fn signature(random: &mut Random) -> Vec<u8> {
    [&[1, 0, 0, 0][..], &random.bytes(12)].concat()
}

/// NegTokenInit around the first message of NTLM.
pub(crate) fn first_token(message: &[u8]) -> Vec<u8> {
    init(&[NTLMSSP], message)
}

/// NegTokenInit around a Kerberos AP-REQ (RFC 4121 §4.1).
pub(crate) fn kerberos_token(ap_request: &[u8]) -> Vec<u8> {
    let framed = application(0, &[&tlv(OID, KERBEROS)[..], &[1, 0], ap_request].concat());
    init(&[KERBEROS, NTLMSSP], &framed)
}

/// What a server offers before anybody asked.
pub(crate) fn hint() -> Vec<u8> {
    let mechanisms = join(SEQUENCE, &[tlv(OID, KERBEROS), tlv(OID, NTLMSSP)]);
    let token = context(0, &join(SEQUENCE, &[context(0, &mechanisms)]));
    application(0, &[tlv(OID, SPNEGO), token].concat())
}

/// NegTokenResp: state 1 accept-incomplete, 0 accept-completed.
pub(crate) fn answer_token(state: u8, message: &[u8]) -> Vec<u8> {
    let mut fields = vec![context(0, &tlv(ENUM, &[state]))];
    if state == 1 {
        fields.push(context(1, &tlv(OID, NTLMSSP)));
    }
    if !message.is_empty() {
        fields.push(context(2, &tlv(OCTETS, message)));
    }
    context(1, &join(SEQUENCE, &fields))
}

/// NegTokenResp of the one who began.
pub(crate) fn next_token(message: &[u8]) -> Vec<u8> {
    context(1, &join(SEQUENCE, &[context(2, &tlv(OCTETS, message))]))
}

/// Text as Windows writes it.
pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn init(mechanisms: &[&[u8]], token: &[u8]) -> Vec<u8> {
    let mechanisms: Vec<Vec<u8>> = mechanisms.iter().map(|m| tlv(OID, m)).collect();
    let fields = [context(0, &join(SEQUENCE, &mechanisms)), context(2, &tlv(OCTETS, token))];
    application(0, &[tlv(OID, SPNEGO), context(0, &join(SEQUENCE, &fields))].concat())
}

/// AV_PAIRs of a server (§2.2.2.1).
fn pairs(server: &str) -> Vec<u8> {
    let dns = format!("{}.{}", server.to_lowercase(), super::directory::DOMAIN);
    let mut out = Vec::new();
    for (id, value) in [
        (2_u16, utf16(NETBIOS_DOMAIN)),
        (1, utf16(server)),
        (4, utf16(super::directory::DOMAIN)),
        (3, utf16(&dns)),
        (7, 0x01dc_aaaa_0000_0000_u64.to_le_bytes().to_vec()),
        (0, Vec::new()),
    ] {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
        out.extend(value);
    }
    out
}

fn head(kind: u32) -> Vec<u8> {
    [&b"NTLMSSP\0"[..], &kind.to_le_bytes()].concat()
}

/// Length, allocated length, offset.
fn field(out: &mut Vec<u8>, length: usize, at: usize) {
    out.extend_from_slice(&(length as u16).to_le_bytes());
    out.extend_from_slice(&(length as u16).to_le_bytes());
    out.extend_from_slice(&(at as u32).to_le_bytes());
}
