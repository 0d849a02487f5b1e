//! The listening side: one thread, a bound on everything a client can hold, and no way for a slow one to hold up others.
//!
//! Timers here are tokio's; they bound connections and measure requests and decide nothing about traffic.

use super::auth::Guard;
use super::connections::{Busy, Connections};
use super::counts::{OpenAlerts, Requests};
use super::desk::Desk;
use super::patience::Patient;
use super::router::{self, Inner};
use super::shared::Shared;
use super::tls;
use crate::base::Timestamp;
use crate::output::metrics::{Configured, Counts, Exposition, MetricsError};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{SocketAddr, TcpListener as Bound};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// Where and how to listen.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    /// `--web.config.file`
    pub(crate) web_file: Option<PathBuf>,
    /// `--web.token-file`
    pub(crate) token_file: Option<PathBuf>,
    /// `--web.insecure`: beyond this machine without TLS, on the operator's word.
    pub(crate) insecure: bool,
    /// Where decisions are written; without it none can be made.
    pub(crate) audit: Option<PathBuf>,
    /// The wall clock.
    pub(crate) clock: fn() -> Timestamp,
}

/// What a client may hold, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Open at once: a dozen scrapers and dashboards, and room.
    pub(super) connections: usize,
    /// From the first byte of a head, or from the answer before, to the head's last.
    pub(super) head: Duration,
    pub(super) handshake: Duration,
    /// A client that takes nothing for so long is gone.
    pub(super) write: Duration,
}

impl Limits {
    /// In use.
    const USUAL: Self = Self {
        connections: 256,
        head: Duration::from_secs(15),
        handshake: Duration::from_secs(5),
        write: Duration::from_secs(20),
    };
}

/// Why the web side does not come up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Anybody on the network could read along.
    #[error(
        "{0} can be reached from other machines, and nothing protects what is read there: give --web.config.file with tls_server_config, listen on 127.0.0.1, or say --web.insecure"
    )]
    Exposed(SocketAddr),
    /// The web or token file is wrong.
    #[error("{0}")]
    File(String),
    /// The audit log cannot be used.
    #[error("audit log {path}: {source}")]
    Audit {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Metrics cannot be shown.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// The web side at work; dropping it ends it.
pub(crate) struct Running {
    /// Where it listens; the port is the one the system chose when 0 was asked for.
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Listens and answers from `shared` and what `sources` count, with metric labels as `configured`.
pub(crate) fn start(
    settings: &Settings,
    shared: Arc<Shared>,
    configured: Configured,
    sources: Vec<Arc<dyn Counts>>,
) -> Result<Running, ApiError> {
    start_within(Limits::USUAL, settings, shared, configured, sources)
}

/// The same with other limits.
pub(super) fn start_within(
    limits: Limits,
    settings: &Settings,
    shared: Arc<Shared>,
    configured: Configured,
    sources: Vec<Arc<dyn Counts>>,
) -> Result<Running, ApiError> {
    let app = app(limits, settings, shared, configured, sources)?;
    let listen = |source| ApiError::Listen { address: settings.listen, source };
    let bound = Bound::bind(settings.listen).map_err(listen)?;
    bound.set_nonblocking(true).map_err(listen)?;
    let address = bound.local_addr().map_err(listen)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("yukue-web-work")
        .build()
        .map_err(listen)?;
    let (stop, stopped) = oneshot::channel();
    let serving = move || {
        runtime.block_on(async {
            let serving = tokio::spawn(serve(bound, app));
            let _ = stopped.await;
            serving.abort();
        });
        // Whoever still waits for a disk does not hold up the end.
        runtime.shutdown_background();
    };
    let thread = thread::Builder::new().name("yukue-web".to_owned()).spawn(serving).map_err(listen)?;
    Ok(Running { address, stop: Some(stop), thread: Some(thread) })
}

/// What handlers need, checked.
pub(super) fn app(
    limits: Limits,
    settings: &Settings,
    shared: Arc<Shared>,
    configured: Configured,
    mut sources: Vec<Arc<dyn Counts>>,
) -> Result<Arc<Inner>, ApiError> {
    let guard = Guard::open(settings.token_file.as_deref(), settings.web_file.as_deref()).map_err(ApiError::File)?;
    let is_encrypted = guard.web().is_some_and(|web| web.tls.is_some());
    if !settings.listen.ip().to_canonical().is_loopback() && !is_encrypted && !settings.insecure {
        return Err(ApiError::Exposed(settings.listen));
    }
    let desk = Desk::open(settings.audit.as_deref())
        .map_err(|source| ApiError::Audit { path: settings.audit.clone().unwrap_or_default(), source })?;
    let (desk, requests) = (Arc::new(desk), Arc::new(Requests::default()));
    sources.push(Arc::new(OpenAlerts { shared: Arc::clone(&shared), desk: Arc::clone(&desk) }));
    let counted: Arc<Requests> = Arc::clone(&requests);
    sources.push(counted);
    Ok(Arc::new(Inner {
        shared,
        desk,
        guard,
        exposition: Exposition::new(configured, sources)?,
        requests,
        connections: Connections::new(limits.connections),
        limits,
        clock: settings.clock,
    }))
}

async fn serve(bound: Bound, app: Arc<Inner>) {
    let listener = match TcpListener::from_std(bound) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot listen");
            return;
        }
    };
    let router = router::router(Arc::clone(&app));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (app, router) = (Arc::clone(&app), router.clone());
                let connections = Arc::clone(&app.connections);
                connections.enter(move |busy| connection(stream, app, router, busy));
            }
            Err(error) => {
                // Out of file descriptors: others will leave; asking again at once would only spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// One connection, from its first byte to its last.
async fn connection(stream: TcpStream, app: Arc<Inner>, router: Router, busy: Arc<Busy>) {
    let stream = Patient::new(stream, app.limits.write);
    let Some(tls) = app.guard.web().and_then(|web| web.tls.clone()) else {
        return http(stream, app.limits, router, busy).await;
    };
    // Certificates that changed are those of the next handshake.
    let handshake = TlsAcceptor::from(tls.config).accept(stream);
    match tokio::time::timeout(app.limits.handshake, handshake).await {
        Ok(Ok(stream)) if tls::is_allowed(stream.get_ref().1.peer_certificates(), &tls.allowed_sans) => {
            http(stream, app.limits, router, busy).await;
        }
        Ok(Ok(_)) => tracing::debug!("a client's certificate bears no allowed name"),
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
        Err(_) => {}
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    limits: Limits,
    router: Router,
    busy: Arc<Busy>,
) {
    let service = tower::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (router, busy) = (router.clone(), Arc::clone(&busy));
        async move {
            busy.set(true);
            let answer = router.oneshot(request.map(axum::body::Body::new)).await;
            busy.set(false);
            answer
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection");
    }
}

/// For passwords and the audit log.
const BLOCKING_THREADS: usize = 2;
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
