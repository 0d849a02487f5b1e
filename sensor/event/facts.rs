//! Facts of the application layer, one struct a kind. Text is as it came off the wire: sinks escape it.
//!
//! A field that is not known is `None` or empty and is left out of records, never written as `null`, `""` or `0`.

use super::Timestamp;
use std::net::IpAddr;
use std::time::Duration;

/// Which side of a flow spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The originator.
    Orig,
    /// The responder.
    Resp,
}

impl Direction {
    /// The other side.
    #[must_use]
    pub const fn flip(self) -> Self {
        match self {
            Self::Orig => Self::Resp,
            Self::Resp => Self::Orig,
        }
    }

    /// `orig` or `resp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orig => "orig",
            Self::Resp => "resp",
        }
    }
}

/// Enums that appear in records by a fixed name.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
        impl $name {
            /// The name in records.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

named! {
    /// How a name was looked up.
    ResolutionProtocol {
        /// RFC 1035.
        Dns = "dns",
        /// RFC 6762.
        Mdns = "mdns",
        /// RFC 4795.
        Llmnr = "llmnr",
        /// RFC 1002.
        Nbns = "nbns",
    }
}

/// A question and, when it was seen, its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// When the question was seen (the answer, when the question was not).
    pub asked: Timestamp,
    /// Which lookup protocol.
    pub protocol: ResolutionProtocol,
    /// The name asked for, without the trailing dot; `.` for the root.
    pub query: Box<str>,
    /// Type name from IANA (`A`, `AAAA`, `TYPE65280`).
    pub qtype: Box<str>,
    /// Response code name from IANA (`NOERROR`, `NXDOMAIN`); `None` when no answer was seen.
    pub rcode: Option<Box<str>>,
    /// Answer records as text.
    pub answers: Vec<Box<str>>,
    /// Addresses among the answers, for the name memory.
    pub addresses: Vec<IpAddr>,
    /// One for each answer, in seconds.
    pub ttls: Vec<u32>,
    /// From question to answer.
    pub rtt: Option<Duration>,
    /// What service bindings among the answers offer for Encrypted ClientHello.
    pub ech: Vec<EchConfig>,
}

/// A server's configuration for Encrypted ClientHello (draft-ietf-tls-esni-25 §4), without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchConfig {
    /// The byte by which a hello says which configuration it is for.
    pub id: u8,
    /// The server name that hellos for it show.
    pub public_name: Box<str>,
}

named! {
    /// What the handshake runs on.
    HandshakeTransport {
        /// TLS over TCP.
        Tls = "tls",
        /// QUIC over UDP.
        Quic = "quic",
        /// DTLS over UDP.
        Dtls = "dtls",
    }
}

named! {
    /// Encrypted ClientHello, as far as the wire allows to tell.
    Ech {
        /// No `encrypted_client_hello` extension.
        Absent = "absent",
        /// The extension is there; GREASE and a real offer look alike in the hello itself (`ech_public_name` in the
        /// fact tells the latter where the configuration was seen in a look-up).
        Offered = "grease_or_offered",
    }
}

/// A client hello with the server's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Handshake {
    /// When the client hello was complete.
    pub started: Timestamp,
    /// TLS, QUIC or DTLS.
    pub transport: HandshakeTransport,
    /// Negotiated version (`TLSv1.3`); `None` when no server hello was seen.
    pub version: Option<&'static str>,
    /// Server name indication.
    pub sni: Option<Box<str>>,
    /// Offered protocols, in order.
    pub alpn: Vec<Box<str>>,
    /// The protocol the server chose, where visible.
    pub next_protocol: Option<Box<str>>,
    /// IANA name of the chosen suite, `0x1301` style when unknown to us.
    pub cipher: Option<Box<str>>,
    /// MD5 in hex.
    pub ja3: Option<Box<str>>,
    /// MD5 in hex.
    pub ja3s: Option<Box<str>>,
    /// FoxIO's JA4 for clients (BSD-3-Clause).
    pub ja4: Option<Box<str>>,
    /// `None` when no client hello was seen.
    pub ech: Option<Ech>,
    /// Which configuration of the server's the extension says it is for; random in GREASE.
    pub ech_config_id: Option<u8>,
    /// `1`, `2` or `draft-29`, for QUIC.
    pub quic_version: Option<Box<str>>,
    /// Whether the session was resumed, where the wire tells.
    pub resumed: Option<bool>,
    /// The leaf certificate, TLS 1.2 and below.
    pub certificate: Option<Box<Certificate>>,
}

/// A leaf certificate (RFC 5280).
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// Subject as RFC 4514 text.
    pub subject: Box<str>,
    /// Issuer as RFC 4514 text.
    pub issuer: Box<str>,
    /// DNS names and addresses of the subject alternative name extension.
    pub san: Vec<Box<str>>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Lower-case hex over the DER.
    pub sha256: Box<str>,
    /// Subject equals issuer.
    pub self_signed: bool,
}

/// An HTTP request and, when it was seen, the head and size of its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// When the request's head was complete.
    pub started: Timestamp,
    /// `GET`, `POST`, …
    pub method: Box<str>,
    /// From the Host header or the absolute form, port included when it was written.
    pub host: Option<Box<str>>,
    /// Request target as written.
    pub uri: Box<str>,
    /// User-Agent header.
    pub user_agent: Option<Box<str>>,
    /// Final status; `None` when no answer was seen.
    pub status: Option<u16>,
    /// Bytes of the request's body as transferred, chunk framing excluded.
    pub request_body_len: u64,
    /// Bytes of the answer's body as transferred, chunk framing excluded.
    pub response_body_len: u64,
    /// Content-Type of the answer.
    pub content_type: Option<Box<str>>,
    /// What the answer's body looks like: `powershell`, `shell`, `pe`, `archive`, …
    pub content: Option<&'static str>,
    /// The request went to a proxy (CONNECT or absolute form).
    pub proxied: bool,
}

named! {
    /// By which door somebody acted on a remote machine.
    Channel {
        /// WS-Management.
        Winrm = "winrm",
        /// Service control manager.
        Svcctl = "svcctl",
        /// AT scheduler.
        Atsvc = "atsvc",
        /// Task scheduler.
        Tasksched = "tasksched",
        /// WMI.
        Wmi = "wmi",
        /// DCOM activation or automation.
        Dcom = "dcom",
        /// Remote registry.
        Winreg = "winreg",
        /// PsExec and its like, by its pipe.
        Psexec = "psexec",
        /// Remote Desktop.
        Rdp = "rdp",
        /// Secure Shell.
        Ssh = "ssh",
        /// Event log.
        Eventlog = "eventlog",
        /// Directory replication.
        Drsuapi = "drsuapi",
        /// Remote shutdown.
        Shutdown = "shutdown",
        /// A management product's own port.
        MgmtPort = "mgmt_port",
    }
}

named! {
    /// What the act means for the machine it is done to.
    #[derive(serde::Serialize, serde::Deserialize)]
    Act {
        /// Code is made to run there: service started, task run, process created, shell opened.
        Execute = "execute",
        /// Code or configuration is put there that will run later: service or registry value set, file staged.
        Prepare = "prepare",
        /// Administration that runs nothing: open, query, close.
        Administer = "administer",
    }
}

/// A remote-execution or administration act.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// By which door.
    pub channel: Channel,
    /// What it amounts to.
    pub act: Act,
    /// DCE-RPC interface UUID, lower case.
    pub interface: Option<Box<str>>,
    /// DCE-RPC operation number.
    pub opnum: Option<u16>,
    /// Name of the operation or of the WS-Management action.
    pub operation: Option<Box<str>>,
    /// `ncacn_np:\pipe\svcctl`, `ncacn_ip_tcp:49726`, or a request path.
    pub endpoint: Option<Box<str>>,
    /// Class activated by DCOM, lower case.
    pub clsid: Option<Box<str>>,
    /// ATT&CK technique id.
    pub technique: Option<&'static str>,
}

/// A DCE-RPC request.
#[derive(Clone, Debug, PartialEq)]
pub struct Rpc {
    /// Interface UUID, lower case; `None` when the bind was not seen.
    pub interface: Option<Box<str>>,
    /// Operation number.
    pub opnum: u16,
    /// Name of the operation, where the table knows it.
    pub operation: Option<Box<str>>,
    /// As in [`Execution::endpoint`].
    pub endpoint: Option<Box<str>>,
}

/// An SMB tree connect that succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// `\\server\ADMIN$`.
    pub path: Box<str>,
    /// `disk`, `pipe`, `print`.
    pub share_type: Option<&'static str>,
}

named! {
    /// What was done with a file.
    FileAction {
        /// Opened or created.
        Open = "open",
        /// Written.
        Write = "write",
        /// Read.
        Read = "read",
        /// Deleted.
        Delete = "delete",
        /// Renamed.
        Rename = "rename",
    }
}

/// An SMB file act.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The share, as in [`Share::path`], where its tree connect was seen.
    pub share: Option<Box<str>>,
    /// Path within the share, backslashes. The new one for a rename.
    pub path: Box<str>,
    /// What was done.
    pub action: FileAction,
    /// Bytes written or read so far.
    pub bytes: Option<u64>,
}

named! {
    /// Who vouches.
    AuthenticationProtocol {
        /// RFC 4120.
        Kerberos = "kerberos",
        /// MS-NLMP.
        Ntlm = "ntlm",
    }
}

/// An authentication message that names somebody, or an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Authentication {
    /// Kerberos or NTLM.
    pub protocol: AuthenticationProtocol,
    /// User or principal.
    pub user: Option<Box<str>>,
    /// Realm or NT domain.
    pub domain: Option<Box<str>>,
    /// Workstation name.
    pub host: Option<Box<str>>,
    /// Service principal.
    pub service: Option<Box<str>>,
    /// Encryption type name (`aes256-cts-hmac-sha1-96`).
    pub etype: Option<Box<str>>,
    /// `success` or `failure`, where seen.
    pub result: Option<&'static str>,
    /// Error name (`KDC_ERR_PREAUTH_REQUIRED`).
    pub error: Option<Box<str>>,
}

named! {
    /// Which protocol told who an address is.
    IdentitySource {
        /// RFC 2131, RFC 8415.
        Dhcp = "dhcp",
        /// RFC 826.
        Arp = "arp",
        /// RFC 4861.
        Ndp = "ndp",
        /// RFC 4120.
        Kerberos = "kerberos",
        /// MS-NLMP.
        Ntlm = "ntlm",
        /// RFC 1002.
        Nbns = "nbns",
        /// RFC 4795.
        Llmnr = "llmnr",
        /// RFC 6762.
        Mdns = "mdns",
        /// MS-ADTS §6.3.3, the ping that finds a domain controller.
        Cldap = "cldap",
    }
}

/// Who an address is, according to one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The address that is described; `None` when the message gives none (a DHCP client that has no address yet).
    /// Parsers, which know no addresses, leave it open for a side of their flow; the flow fills it in.
    pub ip: Option<IpAddr>,
    /// The side that is described, or that says so, when it is one.
    pub side: Option<Direction>,
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// What a DHCP client calls itself when that is no hardware address, in lower-case hex: its DUID (RFC 8415 §11; in
    /// DHCPv4 as RFC 4361 has it), else type and identifier (RFC 2132 §9.14).
    pub client_id: Option<Box<str>>,
    /// Host name as announced.
    pub hostname: Option<Box<str>>,
    /// Domain or workgroup.
    pub domain: Option<Box<str>>,
    /// Which protocol told.
    pub source: IdentitySource,
}

/// A greeting that names software.
#[derive(Clone, Debug, PartialEq)]
pub struct Banner {
    /// `ssh`, `smtp`, `ftp`, `imap`, `pop3`, `rdp`, …
    pub protocol: &'static str,
    /// Which side spoke.
    pub from: Direction,
    /// The identification as written.
    pub software: Box<str>,
    /// HASSH (MD5 in hex), for SSH.
    pub hassh: Option<Box<str>>,
}
