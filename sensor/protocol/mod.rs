//! In-order bytes → facts. A parser knows bytes, a direction and the moment they came; never packets, ports in use,
//! flows or a clock. That is why each can be fuzzed by itself.
//!
//! Adding one: `<name>.rs` with a `PROTOCOL`, one entry in [`PROTOCOLS`], captures beside it in `pcaps/protocol/`.

mod adb;
mod artifacts;
mod banner;
mod ber;
mod database;
mod dcerpc;
mod dhcp;
mod dns;
mod gnutella;
mod http;
mod http2;
mod kerberos;
mod ldap;
mod ntlm;
mod quic;
mod rdp;
mod recognised;
mod smb;
mod socks;
mod ssh;
mod tls;

use crate::base::{Table, Timestamp};
use crate::event::{Direction, Event, Oddity, Transport, Weird};

/// Probing order. The first whose ports match is asked first, then the rest in this order.
pub(crate) static PROTOCOLS: &[&Protocol] = &[
    &tls::PROTOCOL,
    &http2::PROTOCOL,
    &http::PROTOCOL,
    &dns::PROTOCOL,
    &dns::OVER_TCP,
    &quic::PROTOCOL,
    &tls::dtls::PROTOCOL,
    &smb::PROTOCOL,
    &dcerpc::PROTOCOL,
    &kerberos::OVER_TCP,
    &kerberos::OVER_UDP,
    &ldap::OVER_TCP,
    &ldap::OVER_UDP,
    &ssh::PROTOCOL,
    &rdp::PROTOCOL,
    &banner::SMTP,
    &banner::FTP,
    &banner::IMAP,
    &banner::POP3,
    &database::MYSQL,
    &database::POSTGRESQL,
    &socks::PROTOCOL,
    &dhcp::PROTOCOL,
    &recognised::STUN,
    &recognised::NTP,
    &recognised::SNMP,
    &recognised::IKE,
    &recognised::WIREGUARD,
    &recognised::OPENVPN,
    &recognised::BITTORRENT_UDP,
    &recognised::SIP,
    &recognised::OPENVPN_TCP,
    &recognised::BITTORRENT,
    &recognised::SIP_TCP,
    &recognised::MQTT,
    &recognised::TDS,
    &recognised::REDIS,
    &recognised::VNC,
    &recognised::RSYNC,
    &recognised::AMQP,
    &recognised::TELNET,
    &recognised::IRC,
    &recognised::RDP_UDP,
    &gnutella::PROTOCOL,
    &adb::PROTOCOL,
];

/// Protocols that only their port tells apart (mDNS, LLMNR and NetBIOS names look like DNS). Asked before the rest, and
/// only when a port matches.
pub(crate) static PORT_BOUND: &[&Protocol] = &[
    &tls::WSMANS_AT_PORT,
    &dns::AT_PORT,
    &dns::MDNS,
    &dns::LLMNR,
    &dns::NBNS,
    &dhcp::DHCPV6,
    &banner::SMTP_AT_PORT,
    &banner::FTP_AT_PORT,
];

/// Services whose every message may tell of an act or an identity, at whatever point of a flow: names, logins, remote
/// calls, shares. When not everybody can be read, these come before the rest of a transfer.
pub(crate) const CONTROL_PLANE: &[&str] =
    &["dns", "krb", "krb_tcp", "ldap_tcp", "ldap_udp", "dce_rpc", "smb", "gssapi", "ntlm", "dhcp"];

/// One protocol: how to recognise it and how to parse it.
pub(crate) struct Protocol {
    /// Zeek's name for `service`.
    pub(crate) name: &'static str,
    /// What carries it.
    pub(crate) transport: Transport,
    /// Ports that put it first in the probing order. A hint only: content decides.
    pub(crate) ports: &'static [u16],
    /// Looks at the first bytes of one side.
    pub(crate) probe: fn(Direction, &[u8]) -> Probe,
    /// A fresh parser.
    pub(crate) new: fn() -> Box<dyn Parser>,
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// It is this protocol.
    Match,
    /// Could still be; more bytes (of this side) are needed.
    NeedMore,
    /// It is not, whatever follows.
    Mismatch,
}

/// What a parser is handed: contiguous bytes not consumed yet, of one side. For UDP exactly one datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// Which side sent them.
    pub(crate) from: Direction,
    /// When the newest of them came.
    pub(crate) ts: Timestamp,
    /// The bytes.
    pub(crate) data: &'a [u8],
}

/// What a parser did with its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// `n` bytes are dealt with. Less than given: the rest comes again, with more behind it (0: nothing can be done
    /// before more comes). More than given: the stream skips that many further bytes without showing them, and a gap
    /// within the skipped bytes does not matter. Ignored for UDP.
    Consumed(usize),
    /// `n` bytes are dealt with and what follows, on both sides, is another protocol: probe again
    /// (CONNECT, upgrade, STARTTLS).
    Handover(usize),
    /// Nothing more to learn from this flow; its buffers are freed.
    Done,
    /// Not parseable any further; counted, buffers are freed.
    Malformed(Oddity),
}

/// Turns one flow's bytes into facts. Must accept any bytes without panic, in bounded time and memory.
pub(crate) trait Parser: Send {
    /// Looks at `input`, tells what was learned through `out`. Called again at once while it consumes and bytes are
    /// left.
    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress;

    /// `missing` bytes of one side will never come. Either resynchronise (`Consumed(0)`) or give up (`Done`).
    fn gap(&mut self, _from: Direction, _missing: u64, _out: &mut Output) -> Progress {
        Progress::Done
    }

    /// The flow is over, and `missing` of the bytes of one side that this parser passed over with
    /// [`Progress::Consumed`] beyond its input never came. Called before [`Parser::finish`].
    fn unfinished(&mut self, _from: Direction, _missing: u64) {}

    /// Another flow told what this one will be. Called before the first bytes, if at all.
    fn expect(&mut self, _promised: Promised) {}

    /// The flow is over: tell what is still outstanding (a query without an answer, a request without a response).
    fn finish(&mut self, _out: &mut Output) {}

    /// Bytes of memory it holds beside its own, within a factor of two; asked after each call, so it must be cheap. What
    /// holds less than a few hundred may say 0.
    fn held(&self) -> usize {
        0
    }

    /// The tables it keeps for its flow, as they stand.
    fn tables(&self) -> Vec<Table> {
        Vec::new()
    }

    /// Nothing is outstanding, so a fresh parser would do as well: the flow may drop this one between datagrams (UDP
    /// only).
    fn idle(&self) -> bool {
        false
    }
}

/// Where parsers put what they learned.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// In order of learning.
    pub(crate) events: Vec<Event>,
    /// Services met, outermost first, without the protocol's own name (the flow adds that).
    pub(crate) services: Vec<&'static str>,
    /// Connections that were arranged for.
    pub(crate) promises: Vec<Promise>,
    /// Bytes shown to parsers, again when they had to wait for more: how much work reading was.
    pub(crate) shown: u64,
}

/// Whoever of the two hosts connects to `port` of `side` soon will speak what was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) side: Direction,
    pub(crate) port: u16,
    pub(crate) what: Promised,
}

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promised {
    /// A file or a listing of FTP (RFC 959 §3.2): bytes without a protocol.
    FtpData,
    /// DCE-RPC of this interface.
    Rpc([u8; 16]),
}

impl Promised {
    /// Who reads it when its first bytes do not tell: `None` when nobody can.
    pub(crate) fn protocol(self) -> Option<&'static Protocol> {
        match self {
            Self::FtpData => None,
            Self::Rpc(_) => Some(&dcerpc::PROTOCOL),
        }
    }
}

impl Output {
    /// A fact.
    pub(crate) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// An oddity that does not end the parsing.
    pub(crate) fn weird(&mut self, oddity: Oddity) {
        self.events.push(Event::Weird(Box::new(Weird::from(oddity))));
    }

    /// A further layer of the flow's `service` (`gssapi`, `ntlm`, `dce_rpc`). Repeats are fine.
    pub(crate) fn service(&mut self, name: &'static str) {
        if !self.services.contains(&name) {
            self.services.push(name);
        }
    }
}

/// Bytes of one side that a parser sees at once at the most. A message that needs more is cut or skipped.
/// 64 KiB: the certificate chains of TLS 1.2 and whole SMB2 headers fit; see the budget in `flow::stream`.
pub(crate) const MAX_PENDING: usize = 65_536;
