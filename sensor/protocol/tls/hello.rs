//! ClientHello and ServerHello bodies (RFC 8446 §4.1.2–4.1.3, RFC 5246 §7.4.1, RFC 6347 §4.2.1).
//!
//! A walk of our own, because fingerprints need what TLS libraries hide: the order of extensions and the values nobody
//! knows. A body that is cut or breaks off gives what was read before; `whole` says whether fingerprints may be taken.

use crate::base::Reader;

/// What a client offers. Lists are in wire order and still hold GREASE values (RFC 8701).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientHello<'a> {
    /// `legacy_version`.
    pub(crate) version: u16,
    /// `legacy_session_id`.
    pub(crate) session_id: &'a [u8],
    /// Cipher suites.
    pub(crate) suites: Vec<u16>,
    /// Extension types.
    pub(crate) extensions: Vec<u16>,
    /// `supported_groups`.
    pub(crate) groups: Vec<u16>,
    /// `ec_point_formats`.
    pub(crate) point_formats: &'a [u8],
    /// `signature_algorithms`.
    pub(crate) signature_algorithms: Vec<u16>,
    /// `supported_versions`.
    pub(crate) versions: Vec<u16>,
    /// Host name of `server_name`.
    pub(crate) sni: Option<&'a [u8]>,
    /// Protocols of ALPN.
    pub(crate) alpn: Vec<&'a [u8]>,
    /// Whether `encrypted_client_hello` is there.
    pub(crate) ech: bool,
    /// The configuration it is for.
    pub(crate) ech_config_id: Option<u8>,
    /// Whether everything was there and well formed.
    pub(crate) whole: bool,
}

/// How the body is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// TLS and QUIC.
    Stream,
    /// DTLS: a cookie follows the session id (RFC 6347 §4.2.1).
    Datagram,
}

impl<'a> ClientHello<'a> {
    /// Reads a body, the four bytes of the handshake header not included. `None` when not even the suites are there.
    pub(crate) fn parse(body: &'a [u8], layout: Layout) -> Option<Self> {
        let mut r = Reader::new(body);
        let mut hello = Self { version: r.u16()?, ..Self::default() };
        r.skip(RANDOM)?;
        hello.session_id = vector8(&mut r)?;
        if layout == Layout::Datagram {
            vector8(&mut r)?;
        }
        let suites = r.u16()?;
        hello.suites = words(r.take(suites.into())?);
        hello.whole = hello.read_tail(&mut r).is_some();
        Some(hello)
    }

    fn read_tail(&mut self, r: &mut Reader<'a>) -> Option<()> {
        vector8(r)?;
        if r.is_empty() {
            return Some(()); // No extensions at all: SSLv3 and early TLS 1.0.
        }
        let declared = usize::from(r.u16()?);
        // What the message has less than was declared is read as far as it goes.
        let mut block = r.sub(declared.min(r.remaining()))?;
        let whole = block.remaining() == declared;
        for _ in 0..MAX_EXTENSIONS {
            if block.is_empty() {
                return whole.then_some(());
            }
            let (kind, len) = (block.u16()?, block.u16()?);
            self.extensions.push(kind);
            let available = usize::from(len).min(block.remaining());
            self.read_extension(kind, block.take(available)?);
            if available < usize::from(len) {
                return None;
            }
        }
        None
    }

    /// A field that is not well formed stays empty; the extension counts all the same.
    fn read_extension(&mut self, kind: u16, data: &'a [u8]) {
        let mut r = Reader::new(data);
        match kind {
            SERVER_NAME => self.sni = host_name(&mut r),
            SUPPORTED_GROUPS => self.groups = vector16(&mut r).map(words).unwrap_or_default(),
            EC_POINT_FORMATS => self.point_formats = vector8(&mut r).unwrap_or_default(),
            SIGNATURE_ALGORITHMS => self.signature_algorithms = vector16(&mut r).map(words).unwrap_or_default(),
            ALPN => self.alpn = protocols(&mut r),
            SUPPORTED_VERSIONS => self.versions = vector8(&mut r).map(words).unwrap_or_default(),
            ENCRYPTED_CLIENT_HELLO => {
                self.ech = true;
                self.ech_config_id = ech_config_id(&mut r);
            }
            _ => {}
        }
    }
}

/// draft-ietf-tls-esni-25 §5: type `outer`, suite, configuration.
fn ech_config_id(r: &mut Reader<'_>) -> Option<u8> {
    (r.u8()? == ECH_OUTER).then_some(())?;
    r.skip(4)?;
    r.u8()
}

/// What a server chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerHello<'a> {
    /// `legacy_version`.
    pub(crate) legacy_version: u16,
    /// The version in force: `supported_versions` where it is given.
    pub(crate) version: u16,
    /// Cipher suite.
    pub(crate) suite: u16,
    /// `legacy_session_id_echo`.
    pub(crate) session_id: &'a [u8],
    /// Extension types in wire order.
    pub(crate) extensions: Vec<u16>,
    /// The protocol of ALPN.
    pub(crate) alpn: Option<&'a [u8]>,
    /// Whether a pre-shared key was taken (TLS 1.3).
    pub(crate) psk: bool,
    /// A HelloRetryRequest in a ServerHello's clothes (RFC 8446 §4.1.3).
    pub(crate) retry: bool,
    /// Whether everything was there and well formed.
    pub(crate) whole: bool,
}

impl<'a> ServerHello<'a> {
    /// Reads a body, the handshake header not included. `None` when not even the suite is there.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(body);
        let version = r.u16()?;
        let mut hello = Self { legacy_version: version, version, ..Self::default() };
        hello.retry = r.take(RANDOM)? == RETRY_RANDOM;
        // They had neither a session id nor a compression method.
        if !is_early_draft(version) {
            hello.session_id = vector8(&mut r)?;
        }
        hello.suite = r.u16()?;
        hello.whole = hello.read_tail(&mut r).is_some();
        Some(hello)
    }

    fn read_tail(&mut self, r: &mut Reader<'a>) -> Option<()> {
        if !is_early_draft(self.version) {
            r.skip(1)?; // Compression method.
        }
        if r.is_empty() {
            return Some(());
        }
        let mut block = Reader::new(vector16(r)?);
        for _ in 0..MAX_EXTENSIONS {
            if block.is_empty() {
                return Some(());
            }
            let kind = block.u16()?;
            let mut data = Reader::new(vector16(&mut block)?);
            self.extensions.push(kind);
            match kind {
                SUPPORTED_VERSIONS => self.version = data.u16().unwrap_or(self.version),
                ALPN => self.alpn = protocols(&mut data).first().copied(),
                PRE_SHARED_KEY => self.psk = true,
                _ => {}
            }
        }
        None
    }
}

/// Drafts of TLS 1.3 up to 21 put the version itself, or their own number, where later ones say 1.2.
const fn is_early_draft(version: u16) -> bool {
    version >> 8 == 0x7f || version == 0x0304
}

/// Whether `value` is one of the sixteen reserved for GREASE (RFC 8701 §2).
pub(crate) const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// The name of a version in records; `None` when it is not one we know.
pub(crate) const fn version_name(version: u16) -> Option<&'static str> {
    Some(match version {
        0x0002 => "SSLv2",
        0x0300 => "SSLv3",
        0x0301 => "TLSv1.0",
        0x0302 => "TLSv1.1",
        0x0303 => "TLSv1.2",
        // Drafts of TLS 1.3, Facebook's experiments included, negotiate 7fxx and fbxx.
        0x0304 | 0x7f00..=0x7fff | 0xfb00..=0xfbff => "TLSv1.3",
        0xfeff | 0x0100 => "DTLSv1.0",
        0xfefd => "DTLSv1.2",
        0xfefc => "DTLSv1.3",
        _ => return None,
    })
}

/// RFC 6066 §3: a list of names, each with a type; only type 0, a host name, was ever defined.
fn host_name<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let mut list = Reader::new(vector16(r)?);
    for _ in 0..MAX_NAMES {
        let (kind, name) = (list.u8()?, vector16(&mut list)?);
        if kind == 0 {
            return (!name.is_empty()).then_some(name);
        }
    }
    None
}

/// RFC 7301 §3.1.
fn protocols<'a>(r: &mut Reader<'a>) -> Vec<&'a [u8]> {
    let mut list = Reader::new(vector16(r).unwrap_or_default());
    let mut names = Vec::new();
    while let Some(name) = vector8(&mut list) {
        names.push(name);
        if names.len() >= MAX_NAMES {
            break;
        }
    }
    names
}

fn vector8<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = r.u8()?;
    r.take(len.into())
}

fn vector16<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = r.u16()?;
    r.take(len.into())
}

fn words(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes)).collect()
}

const RANDOM: usize = 32;
/// Extension types are 16 bits wide and browsers send about 20; the count is shown as two digits at most in JA4.
const MAX_EXTENSIONS: usize = 512;
/// Names or protocols of one extension that are looked at.
const MAX_NAMES: usize = 64;
/// SHA-256 of "HelloRetryRequest" (RFC 8446 §4.1.3).
const RETRY_RANDOM: [u8; RANDOM] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

// IANA, TLS ExtensionType Values.
pub(super) const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const ALPN: u16 = 16;
const PRE_SHARED_KEY: u16 = 41;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
const ECH_OUTER: u8 = 0;
