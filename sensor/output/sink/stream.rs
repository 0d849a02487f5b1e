//! Byte streams to receivers: addresses as users write them, TCP, TLS by rustls with ring, and the files TLS needs.

use super::SinkError;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::Deserialize;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// `tls://siem.example:6514`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// `scheme://host[:port]`; IPv6 in brackets.
    pub(super) fn parse(text: &str, ports: &[(&str, u16)]) -> Result<Self, String> {
        let known = || ports.iter().map(|(scheme, _)| format!("{scheme}://")).collect::<Vec<_>>().join(", ");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("an address begins with {}", known()))?;
        let (_, standard) = ports
            .iter()
            .find(|(name, _)| *name == scheme)
            .ok_or_else(|| format!("an address begins with {}", known()))?;
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or("a bracket is not closed")?;
                (host, after.strip_prefix(':'))
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(*standard), |port| port.parse().map_err(|_| format!("{port:?} is no port")))?;
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(format!("{host:?} is no host"));
        }
        Ok(Self { scheme: scheme.to_owned(), host: host.to_owned(), port })
    }

    /// All its addresses, asked anew each time: receivers move.
    pub(super) fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        (self.host.as_str(), self.port).to_socket_addrs().map(Iterator::collect)
    }
}

/// Files for TLS; without any, the system's certificates are trusted and we show none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsFiles {
    /// Who may have signed the receiver's certificate, PEM.
    pub(super) ca_file: Option<PathBuf>,
    /// Our certificate chain and key, PEM, for receivers that want to know us.
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
}

impl TlsFiles {
    /// A client that trusts these.
    pub(super) fn client(&self) -> Result<Arc<ClientConfig>, SinkError> {
        let mut roots = RootCertStore::empty();
        for root in self.roots()? {
            roots.add(root).map_err(|e| unusable(self.ca_file.as_deref(), &e))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| SinkError::Unusable(e.to_string()))?
            .with_root_certificates(roots);
        let config = match self.identity()? {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|e| unusable(self.cert_file.as_deref(), &e))?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    /// Certificates that are trusted.
    pub(super) fn roots(&self) -> Result<Vec<CertificateDer<'static>>, SinkError> {
        let Some(path) = &self.ca_file else {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                let why = found.errors.first().map_or_else(String::new, |e| format!(" ({e})"));
                return Err(SinkError::Unusable(format!("the system has no certificates{why}; name a ca_file")));
            }
            return Ok(found.certs);
        };
        certificates(path)
    }

    /// Our own certificate and key, if there are.
    pub(super) fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, SinkError> {
        match (&self.cert_file, &self.key_file) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => {
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| unusable(Some(key), &e))?;
                Ok(Some((certificates(cert)?, secret)))
            }
            _ => Err(SinkError::Unusable("cert_file and key_file go together".to_owned())),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SinkError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| unusable(Some(path), &e))?.collect();
    let found = found.map_err(|e| unusable(Some(path), &e))?;
    if found.is_empty() { Err(unusable(Some(path), &"no certificate in it")) } else { Ok(found) }
}

fn unusable(path: Option<&Path>, message: &impl ToString) -> SinkError {
    SinkError::File { path: path.map(|p| p.display().to_string()).unwrap_or_default(), message: message.to_string() }
}

/// A stream in the clear or under TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Sealed(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Connects to the first address that answers; under TLS when there is a `client`.
    pub(super) fn connect(to: &Address, client: Option<&Arc<ClientConfig>>, timeout: Duration) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for at in to.resolve()? {
            match TcpStream::connect_timeout(&at, timeout) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    socket.set_write_timeout(Some(timeout))?;
                    socket.set_read_timeout(Some(timeout))?;
                    return Self::over(socket, to, client);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn over(socket: TcpStream, to: &Address, client: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let Some(client) = client else { return Ok(Self::Plain(socket)) };
        let name = ServerName::try_from(to.host.clone()).map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(client), name).map_err(io::Error::other)?;
        Ok(Self::Sealed(Box::new(StreamOwned::new(session, socket))))
    }

    /// Writes all of it, then looks for `settle` whether the other side has gone: what a dead receiver's kernel accepted
    /// would else be lost.
    pub(super) fn deliver(&mut self, bytes: &[u8], settle: Duration) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes)?,
            Self::Sealed(stream) => {
                stream.write_all(bytes)?;
                stream.flush()?;
            }
        }
        self.socket().set_read_timeout(Some(settle))?;
        let mut said = [0; 64];
        let read = match self {
            Self::Plain(stream) => stream.read(&mut said),
            Self::Sealed(stream) => stream.read(&mut said),
        };
        match read {
            Ok(0) => Err(io::Error::new(io::ErrorKind::ConnectionReset, "the receiver closed the connection")),
            Ok(_) => Ok(()), // A log receiver has nothing to say; what it says is ignored.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Sealed(stream) => &stream.sock,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_wrong_ones_say_what_would_be_right() {
        let ports = &[("tcp", 601), ("tls", 6514)];
        let read = |text| Address::parse(text, ports).map(|a| format!("{} {} {}", a.scheme, a.host, a.port));
        for (text, expected) in [
            ("tls://siem.example:7000", Ok("tls siem.example 7000".to_owned())),
            ("tcp://10.0.0.1", Ok("tcp 10.0.0.1 601".to_owned())),
            ("tls://[2001:db8::1]:5", Ok("tls 2001:db8::1 5".to_owned())),
            ("siem.example", Err("an address begins with tcp://, tls://".to_owned())),
            ("http://siem.example", Err("an address begins with tcp://, tls://".to_owned())),
            ("tcp://siem.example:x", Err("\"x\" is no port".to_owned())),
            ("tcp://", Err("\"\" is no host".to_owned())),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
