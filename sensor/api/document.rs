//! `GET /api/v1/openapi.json`: the API described (OpenAPI 3.1). Stands open: it says nothing about the site.

use super::answer;
use axum::http::StatusCode;
use axum::response::Response;

/// The document.
pub(super) async fn openapi() -> Response {
    answer::typed(StatusCode::OK, "application/json", OPENAPI)
}

/// Held to the router and to real answers by tests.
pub(super) const OPENAPI: &str = include_str!("openapi.json");
