//! Paths, and what every request passes: who asks, how long it may take, how it is counted.

use super::answer::{self, Problem};
use super::auth::{Caller, Guard};
use super::connections::Connections;
use super::counts::{self, Requests};
use super::desk::Desk;
use super::server::Limits;
use super::shared::Shared;
use super::{alerts, document, graph, health, hosts};
use crate::base::Timestamp;
use crate::output::metrics::Exposition;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Everything a handler may need.
pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) desk: Arc<Desk>,
    pub(super) guard: Guard,
    pub(super) exposition: Exposition,
    pub(super) requests: Arc<Requests>,
    pub(super) connections: Arc<Connections>,
    pub(super) limits: Limits,
    /// The wall clock, for the audit log.
    pub(super) clock: fn() -> Timestamp,
}

/// The same, shared.
pub(super) type App = Arc<Inner>;

/// All paths.
pub(super) fn router(app: App) -> Router {
    let api = Router::new()
        .route("/status", get(status))
        .route("/alerts", get(alerts::list))
        .route("/alerts/{id}", get(alerts::one))
        .route("/alerts/{id}/acknowledge", post(alerts::acknowledge))
        .route("/alerts/{id}/close", post(alerts::close))
        .route("/alerts/{id}/reopen", post(alerts::reopen))
        .route("/audit", get(alerts::audit))
        .route("/findings", get(alerts::findings))
        .route("/findings/{id}", get(alerts::finding))
        .route("/hosts", get(hosts::list))
        .route("/hosts/{host}", get(hosts::profile))
        .route("/destinations", get(hosts::destinations))
        .route("/graph/nodes", get(graph::nodes))
        .route("/graph/edges", get(graph::edges))
        .fallback(nothing)
        .method_not_allowed_fallback(method)
        .layer(middleware::from_fn_with_state(app.clone(), must_be_known));
    let open = Router::new()
        .route("/metrics", get(metrics))
        .route("/", get(start))
        .route_layer(middleware::from_fn_with_state(app.clone(), may_want_password));
    Router::new()
        .nest("/api/v1", api)
        .merge(open)
        .route("/api/v1/openapi.json", get(document::openapi))
        .route("/-/healthy", get(health::healthy))
        .route("/healthz", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .route("/readyz", get(health::ready))
        .fallback(nothing)
        .method_not_allowed_fallback(method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), each))
        .with_state(app)
}

/// `GET /metrics`
async fn metrics(State(app): State<App>) -> Response {
    match app.exposition.text() {
        Ok(text) => answer::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
        Err(error) => {
            tracing::error!(%error, "metrics");
            answer::typed(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", format!("{error}\n"))
        }
    }
}

/// `GET /api/v1/status`: what the sensor says of itself, and who is connected.
async fn status(State(app): State<App>) -> Response {
    let mut status = app.shared.probe.status();
    let [open, evicted, refused] = app.connections.counts();
    if let Some(status) = status.as_object_mut() {
        let connections = serde_json::json!({"open": open, "evicted": evicted, "refused": refused});
        status.insert("connections".to_owned(), connections);
        status.insert("hosts".to_owned(), app.shared.hosts.len().into());
        status.insert("destinations".to_owned(), app.shared.destinations.len().into());
        status.insert("checks".to_owned(), serde_json::json!(app.shared.probe.checks()));
    }
    answer::json(&status)
}

/// `GET /`
async fn start() -> Response {
    let page = "<!doctype html><meta charset=\"utf-8\"><title>yukue</title><h1>yukue</h1><ul>\
        <li><a href=\"/metrics\">metrics</a><li><a href=\"/-/ready\">ready</a>\
        <li><a href=\"/api/v1/openapi.json\">API</a></ul>\n";
    answer::typed(StatusCode::OK, "text/html; charset=utf-8", page)
}

async fn nothing() -> Problem {
    Problem::Missing("there is nothing at this path")
}

async fn method() -> Problem {
    Problem::Method
}

/// The API: nobody unknown.
async fn must_be_known(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, Problem> {
    if !app.guard.knows_anybody() {
        return Err(Problem::Forbidden(
            "the API is closed: give --web.token-file, or basic_auth_users in --web.config.file".to_owned(),
        ));
    }
    let caller: Caller =
        app.guard.who(request.headers()).await?.ok_or(Problem::Unknown("a token or password is needed"))?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Metrics: nobody unknown where the web file names users.
async fn may_want_password(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    if app.guard.wants_password() {
        app.guard.who(request.headers()).await?.ok_or(Problem::Unknown("a token or password is needed"))?;
    }
    Ok(next.run(request).await)
}

/// Every request: limited, counted, and with the headers of the web file.
async fn each(State(app): State<App>, request: Request, next: Next) -> Response {
    let (began, handler) = (Instant::now(), counts::handler(request.uri().path()));
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let done = tokio::time::timeout(LONGEST, next.run(request)).await;
    let mut response = done.unwrap_or_else(|_| Problem::Late.into_response());
    if !is_read || response.status().is_client_error() {
        tracing::debug!(status = response.status().as_u16(), "request");
    }
    if let Some(web) = app.guard.web() {
        for (name, value) in &web.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
    app.requests.answered(handler, response.status().as_u16(), began.elapsed());
    response
}

/// A decision with its longest comment, and room.
const MAX_BODY: usize = 16 * 1024;
/// From a request's head to its answer, body included.
const LONGEST: Duration = Duration::from_secs(30);
