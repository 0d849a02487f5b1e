//! The hellos of one conversation → one `Handshake`, whatever carried them: TLS records, DTLS records or QUIC.
//!
//! Told when both hellos and, up to TLS 1.2, the certificate were seen or can no longer come; else at the end.

use super::certificate;
use super::hello::{ClientHello, Layout, ServerHello, version_name};
use super::{ja3, ja4, suites};
use crate::base::Timestamp;
use crate::base::wire::text;
use crate::event::{Direction, Ech, Event, Handshake, HandshakeTransport, Oddity};
use crate::protocol::Output;

/// What was learned so far.
#[derive(Debug)]
pub(crate) struct Exchange {
    fact: Box<Handshake>,
    client: Client,
    /// The client's session id, to recognise its echo.
    session_id: Box<[u8]>,
    server: Server,
    /// Who sent the server hello.
    server_side: Option<Direction>,
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// No hello yet.
    Awaited,
    /// It came, from this side.
    Seen(Direction),
    /// It will not come any more.
    Missed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// No hello yet, or only a retry.
    Awaited,
    /// A hello up to TLS 1.2 from this side; a certificate may follow.
    Hello(Direction),
    /// Nothing more to learn.
    Settled,
}

/// A handshake message without its header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// RFC 8446 §4: HandshakeType.
    pub(crate) kind: u8,
    /// The body, or its beginning.
    pub(crate) body: &'a [u8],
    /// Whether the body is all there.
    pub(crate) whole: bool,
}

impl Exchange {
    /// Nothing seen yet.
    pub(crate) fn new(transport: HandshakeTransport) -> Self {
        let fact = Handshake {
            started: Timestamp::MIN,
            transport,
            version: None,
            sni: None,
            alpn: Vec::new(),
            next_protocol: None,
            cipher: None,
            ja3: None,
            ja3s: None,
            ja4: None,
            ech: None,
            ech_config_id: None,
            quic_version: None,
            resumed: None,
            certificate: None,
        };
        Self {
            fact: Box::new(fact),
            client: Client::Awaited,
            session_id: Box::default(),
            server: Server::Awaited,
            server_side: None,
            told: false,
        }
    }

    /// Takes a handshake message in clear.
    pub(crate) fn message(&mut self, message: Message<'_>, from: Direction, ts: Timestamp, out: &mut Output) {
        match message.kind {
            CLIENT_HELLO => self.client_hello(message, from, ts, out),
            SERVER_HELLO => self.server_hello(message, from, ts, out),
            HELLO_REQUEST | HELLO_VERIFY_REQUEST => {}
            CERTIFICATE if self.server == Server::Hello(from) => {
                self.fact.resumed = Some(false);
                match certificate::first(message.body) {
                    Some(der) => match certificate::read(der) {
                        Some(leaf) => self.fact.certificate = Some(Box::new(leaf)),
                        None => out.weird(Oddity::TlsMalformed),
                    },
                    None if message.whole => {}
                    None => out.weird(Oddity::MessageTooLong),
                }
                self.server = Server::Settled;
            }
            // A ticket may come before the ChangeCipherSpec of a resumed session (RFC 5077 §3.1).
            NEW_SESSION_TICKET if self.server == Server::Hello(from) => {}
            _ => self.moved_on(from),
        }
    }

    /// A ChangeCipherSpec; says whether what follows from this side is encrypted.
    pub(crate) fn change_cipher_spec(&mut self, from: Direction) -> bool {
        if self.server == Server::Hello(from) {
            // RFC 5246 §7.3: straight after the hello only in an abbreviated handshake.
            self.fact.resumed = Some(true);
        }
        // After a retry it is there for middleboxes' sake only (RFC 8446 §D.4); the real hello follows in clear.
        let retried = self.server == Server::Awaited && self.fact.version.is_some();
        if !retried {
            self.moved_on(from);
        }
        !retried
    }

    /// This side is past its hello: what was not seen of it will not come any more.
    pub(crate) fn moved_on(&mut self, from: Direction) {
        match self.client {
            Client::Seen(side) if side == from => {}
            Client::Seen(_) => self.server = Server::Settled,
            Client::Awaited | Client::Missed => match self.server_side {
                Some(side) if side == from => self.server = Server::Settled,
                Some(_) => self.client = Client::Missed,
                None => {}
            },
        }
    }

    /// The originator of an SSLv2 hello or a QUIC packet names versions in words of its own.
    pub(crate) fn fact_mut(&mut self) -> &mut Handshake {
        &mut self.fact
    }

    /// Notes an SSLv2-framed client hello (RFC 5246 §E.2), which has no extensions and no JA3.
    pub(crate) fn old_client_hello(&mut self, from: Direction, ts: Timestamp) {
        if self.client == Client::Awaited {
            self.client = Client::Seen(from);
            self.fact.started = ts;
            self.fact.ech = Some(Ech::Absent);
        }
    }

    /// Notes an SSLv2 server hello.
    pub(crate) fn old_server_hello(&mut self, der: &[u8], from: Direction, ts: Timestamp) {
        self.server_side = Some(from);
        self.fact.version = version_name(0x0002);
        self.fact.certificate = certificate::read(der).map(Box::new);
        if self.client == Client::Awaited {
            self.fact.started = ts;
        }
        self.server = Server::Settled;
    }

    /// Nothing more of the server will be seen.
    pub(crate) fn settle(&mut self) {
        self.server = Server::Settled;
    }

    /// Whether a client hello was seen.
    pub(crate) fn has_client_hello(&self) -> bool {
        matches!(self.client, Client::Seen(_))
    }

    /// Whether nothing more can be learned.
    pub(crate) fn is_settled(&self) -> bool {
        self.client != Client::Awaited && self.server == Server::Settled
    }

    /// Tells what there is, once.
    pub(crate) fn tell(&mut self, out: &mut Output) {
        let any = self.has_client_hello() || self.fact.version.is_some() || self.fact.cipher.is_some();
        if any && !self.told {
            self.told = true;
            if self.fact.certificate.as_deref().is_some_and(certificate::is_of_a_relay) {
                out.service("tor");
            }
            out.push(Event::Handshake(self.fact.clone()));
        }
    }

    fn client_hello(&mut self, message: Message<'_>, from: Direction, ts: Timestamp, out: &mut Output) {
        if self.client != Client::Awaited {
            return; // After a retry or a cookie: the same offer again.
        }
        let layout = match self.fact.transport {
            HandshakeTransport::Dtls => Layout::Datagram,
            HandshakeTransport::Tls | HandshakeTransport::Quic => Layout::Stream,
        };
        let Some(hello) = ClientHello::parse(message.body, layout) else {
            out.weird(Oddity::TlsMalformed);
            return;
        };
        self.client = Client::Seen(from);
        self.session_id = hello.session_id.into();
        let fact = &mut self.fact;
        fact.started = ts;
        fact.sni = hello.sni.map(text);
        fact.ech_config_id = hello.ech_config_id;
        fact.alpn = hello.alpn.iter().map(|name| text(name)).collect();
        if hello.whole && message.whole {
            fact.ech = Some(if hello.ech { Ech::Offered } else { Ech::Absent });
            fact.ja3 = Some(ja3::client(&hello));
            fact.ja4 = Some(ja4::fingerprint(&hello, fact.transport));
        } else {
            // A fingerprint of half a hello would name the wrong client.
            fact.ech = hello.ech.then_some(Ech::Offered);
            out.weird(Oddity::TlsMalformed);
        }
    }

    fn server_hello(&mut self, message: Message<'_>, from: Direction, ts: Timestamp, out: &mut Output) {
        if self.server != Server::Awaited {
            return;
        }
        let Some(hello) = ServerHello::parse(message.body) else {
            out.weird(Oddity::TlsMalformed);
            self.server = Server::Settled;
            return;
        };
        self.server_side = Some(from);
        let fact = &mut self.fact;
        if self.client == Client::Awaited {
            fact.started = ts;
        }
        fact.version = version_name(hello.version);
        fact.cipher = Some(suites::name(hello.suite));
        if hello.retry {
            return;
        }
        let is_13 = matches!(fact.version, Some("TLSv1.3" | "DTLSv1.3"));
        if hello.whole && message.whole {
            fact.ja3s = Some(ja3::server(&hello));
        }
        fact.next_protocol = hello.alpn.map(text);
        if is_13 {
            fact.resumed = Some(hello.psk);
            self.server = Server::Settled;
        } else {
            self.server = Server::Hello(from);
        }
    }
}

// RFC 8446 §B.3, RFC 6347 §4.3.2.
const HELLO_REQUEST: u8 = 0;
pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;
pub(crate) const HELLO_VERIFY_REQUEST: u8 = 3;
const NEW_SESSION_TICKET: u8 = 4;
const CERTIFICATE: u8 = 11;
