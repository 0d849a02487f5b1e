//! Is the process alive (`/-/healthy`), and does it do its work (`/-/ready`)?

use super::answer;
use super::router::App;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

/// One thing that must hold for the sensor to do its work.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Check {
    /// Stable name, `capture`.
    pub(crate) name: &'static str,
    /// Why it does not hold; `None` when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failing: Option<String>,
}

/// Who knows how the sensor is.
pub(crate) trait Probe: Send + Sync {
    /// Everything that must hold.
    fn checks(&self) -> Vec<Check>;

    /// What the sensor says of itself, an object.
    fn status(&self) -> serde_json::Value;
}

/// `GET /-/healthy`
pub(super) async fn healthy() -> &'static str {
    "yukue is alive\n"
}

/// `GET /-/ready`: 200, or 503 with the checks that fail. Names of checks only, so it may stand open to a load balancer.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let mut checks = app.shared.probe.checks();
    checks.extend(app.guard.checks());
    checks.extend(app.desk.check());
    let failing: Vec<Check> = checks.into_iter().filter(|check| check.failing.is_some()).collect();
    let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json_with(status, &serde_json::json!({"ready": failing.is_empty(), "failing": failing}))
}
