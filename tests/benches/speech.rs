//! What is said in the generated load: messages that the parsers have to read in full, made from a name and a random
//! state and nothing else.

use crate::wire::Random;

fn vec16(into: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let at = into.len();
    into.extend([0, 0]);
    content(into);
    let len = (into.len() - at - 2) as u16;
    into[at..at + 2].copy_from_slice(&len.to_be_bytes());
}

fn extension(into: &mut Vec<u8>, kind: u16, content: impl FnOnce(&mut Vec<u8>)) {
    into.extend(kind.to_be_bytes());
    vec16(into, content);
}

/// A handshake message: type, 24-bit length, body.
fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    message
}

/// A TLS record around `content`.
pub(crate) fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend((content.len() as u16).to_be_bytes());
    record.extend(content);
    record
}

/// RFC 8446 §4.1.2, as browsers send it; every third with a post-quantum share, so that it needs two segments.
pub(crate) fn client_hello(name: &str, quic: bool, random: &mut Random) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(random.bytes::<32>());
    body.push(if quic { 0 } else { 32 });
    body.extend(random.bytes::<32>().iter().take(if quic { 0 } else { 32 }));
    vec16(&mut body, |b| {
        let suites =
            [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x9c, 0x9d];
        suites.iter().take(if quic { 3 } else { 13 }).for_each(|suite: &u16| b.extend(suite.to_be_bytes()));
    });
    body.extend([1, 0]);
    vec16(&mut body, |b| {
        extension(b, 0, |b| {
            vec16(b, |b| {
                b.push(0);
                vec16(b, |b| b.extend(name.as_bytes()));
            });
        });
        extension(b, 23, |_| {});
        extension(b, 10, |b| vec16(b, |b| b.extend([0x11, 0xec, 0, 0x1d, 0, 0x17, 0, 0x18])));
        extension(b, 11, |b| b.extend([1, 0]));
        extension(b, 16, |b| {
            vec16(b, |b| b.extend(if quic { b"\x02h3".as_slice() } else { b"\x02h2\x08http/1.1".as_slice() }));
        });
        extension(b, 13, |b| vec16(b, |b| b.extend([4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1])));
        let post_quantum = !quic && random.below(3) == 0;
        extension(b, 51, |b| {
            vec16(b, |b| {
                if post_quantum {
                    b.extend([0x11, 0xec]);
                    vec16(b, |b| random.fill(b, 1_216));
                }
                b.extend([0, 0x1d]);
                vec16(b, |b| random.fill(b, 32));
            });
        });
        extension(b, 45, |b| b.extend([1, 1]));
        extension(b, 43, |b| b.extend([4, 3, 4, 3, 3]));
        if quic {
            extension(b, 57, |b| b.extend([1, 2, 0x67, 0x10, 4, 4, 0x80, 0x10, 0, 0]));
        }
    });
    handshake(1, &body)
}

/// RFC 8446 §4.1.3, or the same of TLS 1.2.
pub(crate) fn server_hello(tls13: bool, random: &mut Random) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(random.bytes::<32>());
    body.push(0);
    body.extend(if tls13 { [0x13, 0x01] } else { [0xc0, 0x2f] });
    body.push(0);
    vec16(&mut body, |b| {
        if tls13 {
            extension(b, 43, |b| b.extend([3, 4]));
            extension(b, 51, |b| {
                b.extend([0, 0x1d]);
                vec16(b, |b| random.fill(b, 32));
            });
        } else {
            extension(b, 0xff01, |b| b.push(0));
            extension(b, 16, |b| vec16(b, |b| b.extend(b"\x02h2")));
        }
    });
    handshake(2, &body)
}

/// A TLS 1.2 chain of two for `name`.
pub(crate) fn certificates(name: &str, random: &mut Random) -> Vec<u8> {
    let mut body = vec![0, 0, 0];
    for subject in [name, "An Example Authority"] {
        let certificate = x509(subject, random);
        body.extend(&(certificate.len() as u32).to_be_bytes()[1..]);
        body.extend(certificate);
    }
    let len = (body.len() as u32 - 3).to_be_bytes();
    body[..3].copy_from_slice(&len[1..]);
    handshake(11, &body)
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match len {
        0..128 => out.push(len as u8),
        128..256 => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// RFC 5280 §4.1 with a random key and signature.
fn x509(subject: &str, random: &mut Random) -> Vec<u8> {
    let common_name = |text: &str| {
        let attribute = der(0x30, &[&[6, 3, 0x55, 4, 3], &der(0x0c, &[text.as_bytes()])]);
        der(0x30, &[&der(0x31, &[&attribute])])
    };
    let mut modulus = vec![0, 0xb5];
    random.fill(&mut modulus, 255);
    let key = der(0x30, &[&der(2, &[&modulus]), &[2, 3, 1, 0, 1]]);
    let mut signature = vec![0];
    random.fill(&mut signature, 256);
    let rsa = der(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], &[5, 0]]);
    let names = der(0x30, &[&der(0x82, &[subject.as_bytes()])]);
    let alternative = der(0x30, &[&[6, 3, 0x55, 0x1d, 0x11], &der(4, &[&names])]);
    let to_be_signed = der(
        0x30,
        &[
            &der(0xa0, &[&[2, 1, 2]]),
            &der(2, &[&[0x11], &random.bytes::<15>()]),
            &rsa,
            &common_name("An Example Authority"),
            &der(0x30, &[&der(0x17, &[b"250101000000Z"]), &der(0x17, &[b"270101000000Z"])]),
            &common_name(subject),
            &der(
                0x30,
                &[&der(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], &[5, 0]]), &der(3, &[&key])],
            ),
            &der(0xa3, &[&der(0x30, &[&alternative])]),
        ],
    );
    der(0x30, &[&to_be_signed, &rsa, &der(3, &[&signature])])
}

/// RFC 1035 §4.1: a question, or its answer with `addresses`; none of them and it is NXDOMAIN.
pub(crate) fn dns(id: u16, name: &str, answer: Option<&[[u8; 4]]>) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    let code = if answer.is_some_and(<[_]>::is_empty) { 3 } else { 0 };
    message.extend(if answer.is_some() { [0x81, 0x80 | code] } else { [1, 0] });
    message.extend([0, 1, 0, answer.map_or(0, <[_]>::len) as u8, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    for address in answer.unwrap_or_default() {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(address);
    }
    message
}

/// An HTTP/1.1 request for the `n`th thing.
pub(crate) fn request(name: &str, n: u64) -> Vec<u8> {
    format!(
        "GET /assets/{n:x}/item.js?v={n} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) \
         AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\
         Accept-Language: ja,en;q=0.8\r\nReferer: http://{name}/\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes()
}

/// Its answer with a body of `len` bytes.
pub(crate) fn response(len: usize, random: &mut Random) -> Vec<u8> {
    let mut message = format!(
        "HTTP/1.1 200 OK\r\nServer: example\r\nContent-Type: application/javascript\r\nCache-Control: max-age=3600\r\n\
         Content-Length: {len}\r\n\r\n"
    )
    .into_bytes();
    random.fill(&mut message, len);
    message
}

/// An SMB2 message in its session frame, MS-SMB2 §2.2.1; `status` is given in answers alone.
pub(crate) fn smb2(command: u16, status: Option<u32>, message: u64, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    out.extend(&(64 + body.len() as u32).to_be_bytes()[1..]);
    out.extend(b"\xfeSMB\x40\0\x01\0");
    out.extend(status.unwrap_or(0).to_le_bytes());
    out.extend(command.to_le_bytes());
    out.extend([1, 0]);
    out.extend(u32::from(status.is_some()).to_le_bytes());
    out.extend([0; 4]);
    out.extend(message.to_le_bytes());
    out.extend([0, 0, 0, 0, 1, 0, 0, 0]);
    out.extend(0x4000_0000_0001_u64.to_le_bytes());
    out.extend([0; 16]);
    out.extend(body);
    out
}

/// Text as SMB has it.
pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
