//! Every oddity with its stable name. Malformed input is a `Weird`, counted, and processing goes on.

/// One oddity, with what made it odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weird {
    /// Which oddity.
    pub oddity: Oddity,
    /// What was seen, as text from the wire or numbers.
    pub detail: Option<Box<str>>,
}

impl From<Oddity> for Weird {
    fn from(oddity: Oddity) -> Self {
        Self { oddity, detail: None }
    }
}

macro_rules! oddities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// The oddities the sensor knows. Names are stable; add at the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Oddity { $($(#[$doc])* $variant),+ }
        impl Oddity {
            /// The name in records and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }
    };
}

oddities! {
    /// IP fragments of one packet disagree about the bytes they share.
    FragmentOverlap = "fragment_overlap",
    /// Two TCP segments disagree about the bytes they share (evasion).
    TcpOverlapDiffers = "tcp_overlap_differs",
    /// Out-of-order data beyond the flow's budget was dropped.
    TcpReassemblyLimit = "tcp_reassembly_limit",
    /// A parser met bytes its protocol forbids; the detail names the protocol.
    ParserMalformed = "parser_malformed",
    /// A parser panicked and was taken off its flow; the detail names the protocol.
    ParserPanic = "parser_panic",
    /// A message exceeded the parser's budget.
    MessageTooLong = "message_too_long",
    /// DNS: a message that is not well formed.
    DnsMalformed = "dns_malformed",
    /// DNS: the answer was cut; whole records before the cut were kept.
    DnsTruncated = "dns_truncated",
    /// DNS: a name's compression pointers loop or jump too often.
    DnsNameLoop = "dns_name_loop",
    /// TLS: a record or handshake message that is not well formed.
    TlsMalformed = "tls_malformed",
    /// QUIC: an Initial whose protection does not verify.
    QuicUndecryptable = "quic_undecryptable",
    /// HTTP: a head that is not well formed.
    HttpMalformed = "http_malformed",
    /// SMB: a message that is not well formed.
    SmbMalformed = "smb_malformed",
    /// SMB: the session is encrypted; names and acts in it are not visible.
    SmbEncrypted = "smb_encrypted",
    /// DCE-RPC: a fragment that is not well formed.
    DcerpcMalformed = "dcerpc_malformed",
    /// Kerberos: a message that is not well formed.
    KerberosMalformed = "kerberos_malformed",
    /// NTLMSSP: a message that is not well formed.
    NtlmMalformed = "ntlm_malformed",
    /// DHCP: a message that is not well formed.
    DhcpMalformed = "dhcp_malformed",
    /// SSH: a message that is not well formed.
    SshMalformed = "ssh_malformed",
    /// More requests outstanding than the parser keeps; the oldest was reported unanswered.
    TooManyOutstanding = "too_many_outstanding",
    /// SMB: messages are compressed; names and acts in them are not visible.
    SmbCompressed = "smb_compressed",
    /// LDAP: a message that is not well formed.
    LdapMalformed = "ldap_malformed",
    /// There was no room to read this flow to its end; the detail names its protocol.
    ReadingCutShort = "reading_cut_short",
}
