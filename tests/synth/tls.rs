//! TLS 1.2 and 1.3 sessions (RFC 5246, RFC 8446) as far as they show on the wire; what is encrypted is random.

use super::der;
use super::hello::{Client, client_hello};
use super::random::Random;
use super::tcp::{Side, Tcp};

/// Record types.
pub(crate) const CHANGE_CIPHER: u8 = 20;
/// Alert.
pub(crate) const ALERT: u8 = 21;
/// Handshake.
pub(crate) const HANDSHAKE: u8 = 22;
/// Application data.
pub(crate) const DATA: u8 = 23;

/// How the responder answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// TLS 1.3; certificates are encrypted.
    Modern,
    /// TLS 1.2 with its certificate in the clear.
    Full12,
    /// TLS 1.2 of an onion router: one certificate, of two made-up hosts.
    Relay12,
    /// TLS 1.2, continuing an earlier session (RFC 5077): nothing but hellos and Finished.
    Resumed12,
}

/// A TLS session over a conversation that is open.
pub(crate) struct Tls<'t, 'w> {
    tcp: &'t mut Tcp<'w>,
    answer: Answer,
}

impl<'t, 'w> Tls<'t, 'w> {
    /// The handshake.
    pub(crate) fn open(tcp: &'t mut Tcp<'w>, client: Client, name: Option<&str>, answer: Answer) -> Self {
        let hello = client_hello(&mut tcp.wire.random, client, name, answer == Answer::Resumed12);
        tcp.orig(&record(HANDSHAKE, 0x0301, &hello.message));
        let random = &mut tcp.wire.random;
        match answer {
            Answer::Modern => {
                let hello = record(HANDSHAKE, 0x0303, &server_hello_13(random, &hello.session));
                // EncryptedExtensions, certificates, CertificateVerify, Finished.
                let length = random.between(620, 880) as usize;
                let flight = sealed(random, DATA, length);
                tcp.resp(&[hello, record(CHANGE_CIPHER, 0x0303, &[1]), flight].concat());
                let finished = sealed(&mut tcp.wire.random, DATA, 53);
                tcp.orig(&[record(CHANGE_CIPHER, 0x0303, &[1]), finished].concat());
            }
            Answer::Full12 | Answer::Relay12 => {
                let name = name.unwrap_or("appliance.example");
                let hello = server_hello_12(random, &[], hello.suite);
                let chain = match answer {
                    Answer::Relay12 => {
                        vec![der::certificate_with(random, "www.q5tz2mlhxw3r.net", "www.bn4ojk7vdyfe.com", &[])]
                    }
                    _ => vec![der::certificate(random, name, "Example Issuing CA"), authority()],
                };
                let flight = [hello, certificates(&chain), key_exchange(random), message(14, &[])].concat();
                tcp.resp(&record(HANDSHAKE, 0x0303, &flight));
                let random = &mut tcp.wire.random;
                let key = message(16, &[&[32][..], &random.bytes(32)].concat());
                let finished = random.bytes(40);
                let (cipher, finished) = (record(CHANGE_CIPHER, 0x0303, &[1]), record(HANDSHAKE, 0x0303, &finished));
                tcp.orig(&[record(HANDSHAKE, 0x0303, &key), cipher.clone(), finished].concat());
                let finished = record(HANDSHAKE, 0x0303, &tcp.wire.random.bytes(40));
                tcp.resp(&[cipher, finished].concat());
            }
            Answer::Resumed12 => {
                let hello = record(HANDSHAKE, 0x0303, &server_hello_12(random, &hello.session, hello.suite));
                let finished = record(HANDSHAKE, 0x0303, &random.bytes(40));
                let cipher = record(CHANGE_CIPHER, 0x0303, &[1]);
                tcp.resp(&[hello, cipher.clone(), finished].concat());
                let finished = record(HANDSHAKE, 0x0303, &tcp.wire.random.bytes(40));
                tcp.orig(&[cipher, finished].concat());
            }
        }
        Self { tcp, answer }
    }

    /// Application data of `length` bytes before encryption.
    pub(crate) fn data(&mut self, from: Side, length: usize) -> &mut Self {
        let mut records = Vec::new();
        let mut left = length;
        while left > 0 {
            let now = left.min(16_384);
            let length = now + self.overhead();
            records.extend(sealed(&mut self.tcp.wire.random, DATA, length));
            left -= now;
        }
        self.tcp.send(from, &records);
        self
    }

    /// A request and its answer.
    pub(crate) fn exchange(&mut self, up: usize, down: usize) -> &mut Self {
        self.data(Side::Orig, up).data(Side::Resp, down)
    }

    /// A pause on the connection.
    pub(crate) fn wait(&mut self, pause: u64) -> &mut Self {
        self.tcp.wait(pause);
        self
    }

    /// `close_notify`, then the conversation's end; returns when it was over.
    pub(crate) fn close(self, first: Side) -> u64 {
        let kind = if self.answer == Answer::Modern { DATA } else { ALERT };
        let length = 2 + self.overhead();
        let goodbye = sealed(&mut self.tcp.wire.random, kind, length);
        self.tcp.send(first, &goodbye);
        self.tcp.close(first)
    }

    /// What `talk` says, as chance has it, then the end.
    pub(crate) fn close_after(mut self, talk: impl FnOnce(&mut Self, &mut Random)) -> u64 {
        let mut random = Random::new(self.tcp.wire.random.next());
        talk(&mut self, &mut random);
        self.close(Side::Orig)
    }

    /// The moment.
    pub(crate) fn now(&self) -> u64 {
        self.tcp.now
    }

    /// The bytes that AES-GCM and the inner content type of TLS 1.3, or the explicit nonce of 1.2, add.
    fn overhead(&self) -> usize {
        if self.answer == Answer::Modern { 17 } else { 24 }
    }
}

/// A record.
pub(crate) fn record(kind: u8, version: u16, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &version.to_be_bytes(), &(body.len() as u16).to_be_bytes(), body].concat()
}

/// A handshake message.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

/// A record of ciphertext.
pub(crate) fn sealed(random: &mut Random, kind: u8, length: usize) -> Vec<u8> {
    record(kind, 0x0303, &random.bytes(length))
}

/// Picks TLS_AES_128_GCM_SHA256 and X25519 (RFC 8446 §4.1.3).
pub(crate) fn server_hello_13(random: &mut Random, session: &[u8]) -> Vec<u8> {
    let share = [&[0, 29, 0, 32][..], &random.bytes(32)].concat();
    let extensions = [extension(51, &share), extension(43, &[3, 4])].concat();
    server_hello(random, session, 0x1301, &extensions)
}

pub(crate) fn server_hello_12(random: &mut Random, session: &[u8], suite: u16) -> Vec<u8> {
    // extended_master_secret and an empty renegotiation_info: every client here offers both.
    let extensions = [extension(23, &[]), extension(0xff01, &[0])].concat();
    server_hello(random, session, suite, &extensions)
}

fn server_hello(random: &mut Random, session: &[u8], suite: u16, extensions: &[u8]) -> Vec<u8> {
    let body = [
        &[3, 3][..],
        &random.bytes(32),
        &[session.len() as u8],
        session,
        &suite.to_be_bytes(),
        &[0],
        &(extensions.len() as u16).to_be_bytes(),
        extensions,
    ]
    .concat();
    message(2, &body)
}

/// One extension.
pub(crate) fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn certificates(chain: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<u8> = chain.iter().flat_map(|c| [&(c.len() as u32).to_be_bytes()[1..], c].concat()).collect();
    message(11, &[&(list.len() as u32).to_be_bytes()[1..], &list].concat())
}

/// The issuer, the same one everywhere.
fn authority() -> Vec<u8> {
    der::certificate(&mut Random::new(0xca), "Example Issuing CA", "Example Root CA")
}

/// ServerKeyExchange (RFC 8422 §5.4): named curve X25519, the share, an ecdsa_secp256r1_sha256 signature.
fn key_exchange(random: &mut Random) -> Vec<u8> {
    let share = random.bytes(32);
    let signature = der::ecdsa(random);
    let length = (signature.len() as u16).to_be_bytes();
    message(12, &[&[3, 0, 29, 32][..], &share, &[4, 3], &length, &signature].concat())
}
