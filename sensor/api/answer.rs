//! Answers: JSON with every character that hides or reorders text written as a code, and errors as RFC 9457 problems.

use crate::output::harmless_json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// 200 with a document.
pub(super) fn json(document: &impl Serialize) -> Response {
    json_with(StatusCode::OK, document)
}

/// A document with its status.
pub(super) fn json_with(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_string(document) {
        Ok(text) => typed(status, "application/json", harmless_json(&text).into_owned()),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            typed(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", "internal error\n".to_owned())
        }
    }
}

/// 200 with a record that is JSON already.
pub(super) fn record(record: &[u8]) -> Response {
    typed(StatusCode::OK, "application/json", record.to_vec())
}

/// Bytes of a type; nobody may guess another, and no copy is kept on the way.
pub(super) fn typed(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Why a request is not answered.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Problem {
    /// A parameter or the body is not as it should be; says what would be right.
    #[error("{0}")]
    Wrong(String),
    /// No token or password, or one that nobody has.
    #[error("{0}")]
    Unknown(&'static str),
    /// The caller's role may not do it.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(&'static str),
    /// The path knows other methods.
    #[error("this path does not know the method")]
    Method,
    /// It took too long.
    #[error("the request was not complete in time")]
    Late,
    /// The body is larger than any should be.
    #[error("the body is larger than 16 KiB")]
    Large,
    /// It stands otherwise by now.
    #[error("{0}")]
    Conflict(String),
    /// What a person decided cannot be written down, so it does not hold.
    #[error("the audit log cannot be written, so nothing was changed: {0}")]
    Unwritten(String),
}

impl Problem {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::Unknown(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Large => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Unwritten(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("error");
        let body = serde_json::json!({"title": title, "status": status.as_u16(), "detail": self.to_string()});
        let text = body.to_string();
        let mut response = typed(status, "application/problem+json", harmless_json(&text).into_owned());
        if let Self::Unknown(_) = self {
            let headers = response.headers_mut();
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            headers
                .append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"yukue\", charset=\"UTF-8\""));
        }
        response
    }
}
