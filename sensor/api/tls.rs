//! TLS of the web side: rustls with ring, certificates from PEM files, client certificates verified or not asked for.

use super::web_file::{ClientAuth, MinVersion, TlsKeys};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, version};
use std::path::Path;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;

/// The configuration that `keys` describe; paths are absolute or from the working folder.
pub(super) fn config(keys: &TlsKeys) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match keys.min_version {
        MinVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        MinVersion::Tls13 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions).map_err(|e| e.to_string())?;
    let builder = match (keys.client_auth_type, &keys.client_ca_file) {
        (ClientAuth::NoClientCert, None) => builder.with_no_client_auth(),
        (ClientAuth::NoClientCert, Some(_)) => {
            return Err("client_ca_file without client_auth_type: RequireAndVerifyClientCert protects nothing".into());
        }
        (ClientAuth::RequireAndVerifyClientCert, None) => {
            return Err("client_auth_type: RequireAndVerifyClientCert needs client_ca_file".into());
        }
        (ClientAuth::RequireAndVerifyClientCert, Some(ca)) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca)? {
                roots.add(certificate).map_err(|e| format!("{}: {e}", ca.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|e| format!("{}: {e}", ca.display()))?)
        }
    };
    if !keys.client_allowed_sans.is_empty() && keys.client_auth_type == ClientAuth::NoClientCert {
        return Err("client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert".into());
    }
    let key = PrivateKeyDer::from_pem_file(&keys.key_file).map_err(|e| format!("{}: {e}", keys.key_file.display()))?;
    let config = builder.with_single_cert(certificates(&keys.cert_file)?, key);
    let mut config = config.map_err(|e| format!("{}: {e}", keys.cert_file.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whether a client's certificate bears one of `allowed` names (DNS, address, mail or URI); any when none is listed.
pub(super) fn is_allowed(certificate: Option<&[CertificateDer<'_>]>, allowed: &[Box<str>]) -> bool {
    if allowed.is_empty() {
        return true;
    }
    let Some(first) = certificate.and_then(<[_]>::first) else { return false };
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(first) else { return false };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|name| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            allowed.iter().any(|known| **known == **text)
        }
        GeneralName::IPAddress(bytes) => address(bytes).is_some_and(|ip| allowed.iter().any(|known| **known == ip)),
        _ => false,
    })
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |e| format!("{}: {e}", path.display());
    let all: Vec<_> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if all.is_empty() { Err(format!("{}: no certificate in it", path.display())) } else { Ok(all) }
}
