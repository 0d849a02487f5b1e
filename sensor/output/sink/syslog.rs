//! Output `syslog`: RFC 5424 over UDP (RFC 5426), TCP (RFC 6587 §3.4.1, octet counting) or TLS (RFC 5425).
//!
//! The body is the record, CEF or LEEF. It carries no byte order mark: RFC 5424 §6.4 asks for one before UTF-8, the
//! receivers of CEF and JSON look for their first letter there. UDP and TCP have no receipt: what a receiver's machine
//! took before the receiver died is lost, so a closed connection is looked for after each delivery and the delivery
//! repeated. A webhook has receipts.

use super::stream::{Address, Stream, TlsFiles};
use super::told::Told;
use super::words::Words;
use super::{Failed, Failure, Kind, Origin, Settings, Sink, SinkError};
use crate::detect::Severity;
use rustls::ClientConfig;
use serde::Deserialize;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// `type = "syslog"`.
pub(super) const KIND: Kind =
    Kind { name: "syslog", settings: |keys| Keys::deserialize(keys).map(|k| Arc::new(k) as Arc<dyn Settings>) };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(deserialize_with = "address")]
    address: Address,
    #[serde(default = "json")]
    format: Words,
    #[serde(default = "facility", deserialize_with = "facility_number")]
    facility: u8,
    /// Longer messages lose their long lists.
    max_bytes: Option<usize>,
    /// Private enterprise number of RFC 5424 §7.2.2; with it, id and severity are structured data as well.
    enterprise_id: Option<u32>,
    #[serde(default)]
    tls: TlsFiles,
}

const fn json() -> Words {
    Words::Json
}

/// local0.
const fn facility() -> u8 {
    16
}

fn facility_number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    let name = String::deserialize(from)?;
    let found = (0..).zip(FACILITIES).find(|(_, known)| **known == name).map(|(n, _)| n);
    found.ok_or_else(|| serde::de::Error::custom(format!("a facility is one of {}", FACILITIES.join(", "))))
}

fn address<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
    Address::parse(&String::deserialize(from)?, PORTS).map_err(serde::de::Error::custom)
}

/// RFC 5426 §3.3, RFC 6587's registry entry, RFC 5425 §4.1.
const PORTS: &[(&str, u16)] = &[("udp", 514), ("tcp", 601), ("tls", 6514)];

/// RFC 5424 §6.2.1, in the order of their numbers.
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

impl Settings for Keys {
    fn open(&self, origin: &Origin) -> Result<Box<dyn Sink>, SinkError> {
        let datagram = self.address.scheme == "udp";
        let client = if self.address.scheme == "tls" { Some(self.tls.client()?) } else { None };
        if client.is_none() && self.tls != TlsFiles::default() {
            return Err(SinkError::Unusable("files for TLS are for an address that begins with tls://".to_owned()));
        }
        let most = self.max_bytes.unwrap_or(if datagram { MOST_UDP } else { MOST_TCP });
        let head = Head {
            host: printable(&origin.sensor, 255),
            facility: self.facility,
            enterprise: self.enterprise_id,
            words: self.format,
            most: if datagram { most.min(MOST_DATAGRAM) } else { most },
        };
        let line = if datagram { Line::Datagrams(None) } else { Line::Stream(client, None) };
        Ok(Box::new(Syslog { address: self.address.clone(), head, line }))
    }
}

struct Syslog {
    address: Address,
    head: Head,
    line: Line,
}

enum Line {
    Datagrams(Option<UdpSocket>),
    Stream(Option<Arc<ClientConfig>>, Option<Stream>),
}

impl Sink for Syslog {
    fn send(&mut self, batch: &[Told]) -> Result<(), Failed> {
        match &mut self.line {
            Line::Datagrams(socket) => {
                for (taken, told) in batch.iter().enumerate() {
                    let message = self.head.message(told);
                    let sent = match socket {
                        Some(open) => open.send(&message).map(drop),
                        None => connected(&self.address).and_then(|open| {
                            open.send(&message)?;
                            *socket = Some(open);
                            Ok(())
                        }),
                    };
                    sent.map_err(|error| {
                        *socket = None;
                        Failed { taken, why: Failure::later(format!("{}: {error}", self.address.host)) }
                    })?;
                }
                Ok(())
            }
            Line::Stream(client, stream) => {
                let mut bytes = Vec::new();
                for told in batch {
                    let message = self.head.message(told);
                    bytes.extend_from_slice(format!("{} ", message.len()).as_bytes());
                    bytes.extend_from_slice(&message);
                }
                let delivered = match stream {
                    Some(open) => open.deliver(&bytes, SETTLE),
                    None => Stream::connect(&self.address, client.as_ref(), TIMEOUT).and_then(|mut open| {
                        open.deliver(&bytes, SETTLE)?;
                        *stream = Some(open);
                        Ok(())
                    }),
                };
                delivered.map_err(|error| {
                    *stream = None;
                    Failed { taken: 0, why: Failure::later(format!("{}: {error}", self.address.host)) }
                })
            }
        }
    }
}

fn connected(to: &Address) -> io::Result<UdpSocket> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for at in to.resolve()? {
        let any = if at.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        match UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(at).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What is the same in every message.
struct Head {
    host: String,
    facility: u8,
    enterprise: Option<u32>,
    words: Words,
    most: usize,
}

impl Head {
    /// RFC 5424 §6: `<PRI>1 TIMESTAMP HOST APP PROCID MSGID SD MSG`.
    fn message(&self, told: &Told) -> Vec<u8> {
        let priority = u32::from(self.facility) * 8 + severity(told.severity);
        let data = self.enterprise.map_or_else(|| "-".to_owned(), |number| structured(number, told));
        let mut message =
            format!("<{priority}>1 {} {} yukue {} alert {data} ", told.last_seen(), self.host, std::process::id())
                .into_bytes();
        let room = self.most.saturating_sub(message.len());
        message.extend(self.words.of(told, room));
        message
    }
}

/// RFC 5424 §6.3.3: `"`, `\` and `]` are escaped.
fn structured(number: u32, told: &Told) -> String {
    let value =
        |text: &str| crate::output::escape::shown(text).replace('\\', r"\\").replace('"', "\\\"").replace(']', r"\]");
    format!(
        r#"[yukue@{number} id="{}" update="{}" detector="{}" severity="{}"]"#,
        value(&told.id),
        told.update,
        value(&told.detector),
        told.severity.name()
    )
}

/// RFC 5424 §6.2.1.
const fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

/// PRINTUSASCII of RFC 5424 §6, never empty.
fn printable(text: &str, most: usize) -> String {
    let kept: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if kept.is_empty() { "-".to_owned() } else { kept }
}

/// RFC 5426 §3.2 asks receivers for 2,048; most take more.
const MOST_UDP: usize = 2048;
const MOST_TCP: usize = 64 << 10;
/// The largest payload of a UDP datagram over IPv4.
const MOST_DATAGRAM: usize = 65_507;
/// For connecting and for writing.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A receiver that died is known by then on its own network.
const SETTLE: Duration = Duration::from_millis(50);
