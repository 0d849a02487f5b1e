//! Over real sockets: many that never ask, slow ones, TLS, client certificates, passwords.

use super::{LIMITS, configured, server, settings, shared};
use crate::api::Running;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const GET_METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn start(settings: &server::Settings) -> Running {
    server::start_within(LIMITS, settings, shared(None), configured(), Vec::new()).unwrap()
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// What comes back; what was read before the connection broke, when it does.
fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    let mut text = Vec::new();
    if stream.write_all(request.as_bytes()).is_ok() {
        let _ = stream.read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn ten_thousand_connections_that_never_ask_keep_no_scraper_out() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&settings(folder.path()));
    let wanted = 10_000;
    let (limit, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    if limit < wanted + 500 {
        println!("SKIPPED: {limit} file descriptors allow no {wanted} connections; ulimit -n 20000");
        return;
    }
    let mut held = Vec::new();
    for n in 0..wanted {
        let mut stream = connect(running.address);
        // Half of them begin a head and never end it. A connection that had to leave refuses it, which is fine.
        if n % 2 == 0 {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: ");
        }
        held.push(stream);
        if n % 1000 == 999 {
            let answer = exchange(connect(running.address), GET_METRICS);
            assert!(answer.starts_with("HTTP/1.1 200 "), "after {n}: {answer:?}");
        }
    }
    let answer = exchange(connect(running.address), &GET_METRICS.replace("/metrics", "/-/healthy"));
    assert!(answer.contains("alive"), "{answer:?}");
}

#[test]
fn a_head_that_does_not_end_and_a_reader_that_takes_nothing_are_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&settings(folder.path()));
    let mut slow = connect(running.address);
    slow.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let mut rest = Vec::new();
    // Ends by itself: the test's own timeout of 20 s is an error.
    slow.read_to_end(&mut rest).unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));

    let mut greedy = connect(running.address);
    let many = GET_METRICS.replace("Connection: close\r\n", "");
    let mut sent = 0_u32;
    // Asks without ever reading: once all buffers are full and stay so, the connection is closed.
    greedy.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    while greedy.write_all(many.as_bytes()).is_ok() {
        sent += 1;
        assert!(sent < 1_000_000, "somebody keeps answers for a reader that takes none");
    }
    assert!(exchange(connect(running.address), GET_METRICS).starts_with("HTTP/1.1 200 "));
}

#[test]
fn passwords_of_the_web_file_open_metrics_and_read_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web.yml");
    let hash = bcrypt::hash("secret", 4).unwrap();
    std::fs::write(
        &web,
        format!("basic_auth_users:\n  ann: {hash}\nhttp_server_config:\n  headers:\n    X-Frame-Options: deny\n"),
    )
    .unwrap();
    let running = start(&server::Settings { web_file: Some(web), ..settings(folder.path()) });
    let with = |path: &str, header: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
        exchange(connect(running.address), &request)
    };
    // ann:secret, ann:wrong, bob:secret
    let [right, wrong, other] =
        ["YW5uOnNlY3JldA==", "YW5uOndyb25n", "Ym9iOnNlY3JldA=="].map(|b| format!("Authorization: Basic {b}\r\n"));
    for (what, path, header, status) in [
        ("nobody", "/metrics", "", "401"),
        ("ann", "/metrics", right.as_str(), "200"),
        ("ann again, from memory", "/metrics", &right, "200"),
        ("a wrong password", "/metrics", &wrong, "401"),
        ("somebody else", "/metrics", &other, "401"),
        ("ann reads alerts", "/api/v1/alerts", &right, "200"),
        ("ann is no admin", "/api/v1/audit", &right, "403"),
        ("a token opens metrics too", "/metrics", "Authorization: Bearer viewer\r\n", "200"),
        ("health stays open", "/-/healthy", "", "200"),
    ] {
        let answer = with(path, header);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
        assert!(answer.to_lowercase().contains("x-frame-options: deny"), "{what}: {answer}");
    }
}

/// An authority, and certificates it gives: (PEM of the authority, PEM of the certificate, PEM of the key).
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn gives(&self, name: &str) -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// Asks over TLS as a client that trusts `authority`, with a certificate of its own or without.
fn over_tls(to: SocketAddr, authority: &str, own: Option<&(String, KeyPair)>, request: &str) -> String {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let certificates =
        |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect::<Vec<_>>();
    let mut roots = RootCertStore::empty();
    roots.add(certificates(authority).remove(0)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let config = match own {
        Some((pem, key)) => {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            config.with_client_auth_cert(certificates(pem), key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("sensor.example").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    exchange(StreamOwned::new(client, connect(to)), request)
}

#[test]
fn tls_is_spoken_and_a_renewed_certificate_is_the_one_of_the_next_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    let (certificate, key) = first.gives("sensor.example");
    write(folder.path(), "cert.pem", &certificate);
    write(folder.path(), "key.pem", &key.serialize_pem());
    write(folder.path(), "web.yml", "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n");
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let web_file = Some(folder.path().join("web.yml"));
    let running = start(&server::Settings { web_file, listen, ..settings(folder.path()) });
    let to = SocketAddr::from(([127, 0, 0, 1], running.address.port()));
    assert!(over_tls(to, &first.pem, None, GET_METRICS).starts_with("HTTP/1.1 200 "));
    assert!(!exchange(connect(to), GET_METRICS).contains("200"), "nothing in the clear");
    let (certificate, key) = second.gives("sensor.example");
    write(folder.path(), "key.pem", &format!("{}\n\n", key.serialize_pem()));
    write(folder.path(), "cert.pem", &format!("{certificate}\n"));
    assert!(over_tls(to, &second.pem, None, GET_METRICS).starts_with("HTTP/1.1 200 "));
}

#[test]
fn with_mutual_tls_only_certificates_of_the_authority_with_an_allowed_name_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (certificate, key) = ours.gives("sensor.example");
    write(folder.path(), "cert.pem", &certificate);
    write(folder.path(), "key.pem", &key.serialize_pem());
    write(folder.path(), "ca.pem", &ours.pem);
    let text = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  client_ca_file: ca.pem\n  \
                client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [grafana.example]\n  min_version: TLS13\n";
    write(folder.path(), "web.yml", text);
    let web_file = Some(folder.path().join("web.yml"));
    let running = start(&server::Settings { web_file, ..settings(folder.path()) });
    for (what, own, comes_in) in [
        ("no certificate", None, false),
        ("another authority's", Some(theirs.gives("grafana.example")), false),
        ("a name that is not allowed", Some(ours.gives("other.example")), false),
        ("the right one", Some(ours.gives("grafana.example")), true),
    ] {
        let answer = over_tls(running.address, &ours.pem, own.as_ref(), GET_METRICS);
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), comes_in, "{what}: {answer}");
    }
}
