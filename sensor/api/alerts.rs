//! `/api/v1/alerts` and `/api/v1/findings`: lists with filters and pages, one with everything known of it, decisions.

use super::answer::{self, Problem};
use super::audit::Action;
use super::auth::{Caller, Role};
use super::desk::{Handled, SEVERITIES};
use super::query::{Cursor, Named, Params, page};
use super::router::App;
use super::rows::{AlertEntry, AlertRow, FindingRow};
use axum::Extension;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Json, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A row with who decided about it.
#[derive(Serialize)]
struct ShownAlert {
    #[serde(flatten)]
    row: AlertRow,
    #[serde(flatten)]
    handled: Option<Handled>,
}

#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /api/v1/alerts`
pub(super) async fn list(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    let params = params.only(&["from", "to", "severity", "detector", "kind", "status", "host", "limit", "cursor"])?;
    let (from, to) = params.range()?;
    let severities = params.words("severity", &SEVERITIES)?;
    let statuses = params.words("status", STATUSES)?;
    let (detectors, kinds, host) = (params.list("detector"), params.list("kind"), params.id("host")?);
    let (limit, cursor) = (params.limit()?, params.cursor()?);
    let alerts = app.shared.alerts.get();
    let wanted = |alert: &&Arc<AlertEntry>| {
        let row = &alert.row;
        row.time <= to
            && row.last_seen.max(row.time) >= from
            && among(&severities, row.severity)
            && among(&detectors, row.detector)
            && among(&kinds, row.kind)
            && host.is_none_or(|host| alert.about.iter().any(|known| **known == *host))
            && cursor.as_ref().is_none_or(|cursor| cursor.is_before(row.time.0, &row.id))
            && (statuses.is_empty() || among(&statuses, app.desk.status(row)))
    };
    let place = |alert: &&Arc<AlertEntry>| Cursor { rank: alert.row.time.0, id: alert.row.id.clone() };
    let (rows, next) = page(alerts.iter().filter(wanted), limit, place);
    let items = app.desk.shown(rows.iter().map(|alert| &alert.row));
    let items = items.into_iter().map(|(row, handled)| ShownAlert { row, handled }).collect();
    Ok(answer::json(&Page { items, next }))
}

/// `GET /api/v1/alerts/{id}`: the record of `alerts.jsonl`, how it stands, and every decision about it.
pub(super) async fn one(State(app): State<App>, Named(id): Named) -> Result<Response, Problem> {
    let alert = find(&app, &id)?;
    let record: serde_json::Value = serde_json::from_slice(&alert.record).unwrap_or_default();
    Ok(answer::json(&serde_json::json!({
        "status": app.desk.status(&alert.row),
        "alert": record,
        "decisions": app.desk.decisions(Some(&id)),
    })))
}

/// What a decision comes with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    #[serde(default)]
    comment: Box<str>,
}

/// A body that is JSON and called so: a page of another site cannot send it without asking first.
pub(super) struct Body<T>(T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::BytesRejection(e)) if e.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::Large)
            }
            Err(e) => Err(Problem::Wrong(e.body_text())),
        }
    }
}

/// `POST /api/v1/alerts/{id}/acknowledge`
pub(super) async fn acknowledge(
    State(app): State<App>,
    Named(id): Named,
    Extension(caller): Extension<Caller>,
    Body(told): Body<Told>,
) -> Result<Response, Problem> {
    decide(app, id, caller, told, Action::Acknowledge).await
}

/// `POST /api/v1/alerts/{id}/close`
pub(super) async fn close(
    State(app): State<App>,
    Named(id): Named,
    Extension(caller): Extension<Caller>,
    Body(told): Body<Told>,
) -> Result<Response, Problem> {
    decide(app, id, caller, told, Action::Close).await
}

/// `POST /api/v1/alerts/{id}/reopen`
pub(super) async fn reopen(
    State(app): State<App>,
    Named(id): Named,
    Extension(caller): Extension<Caller>,
    Body(told): Body<Told>,
) -> Result<Response, Problem> {
    decide(app, id, caller, told, Action::Reopen).await
}

async fn decide(app: App, id: String, caller: Caller, told: Told, action: Action) -> Result<Response, Problem> {
    caller.at_least(Role::Analyst)?;
    if told.comment.chars().count() > MAX_COMMENT {
        return Err(Problem::Wrong(format!("comment: longer than {MAX_COMMENT} characters")));
    }
    let alert = find(&app, &id)?;
    // The disk may take its time; other requests need not wait for it.
    let written = tokio::task::spawn_blocking(move || {
        app.desk.decide(action, &alert.row, &caller, &told.comment, (app.clock)())?;
        Ok::<_, Problem>(app.desk.shown(std::iter::once(&alert.row)))
    });
    let rows = written.await.map_err(|_| Problem::Unwritten("the thread that writes failed".to_owned()))??;
    let shown: Vec<_> = rows.into_iter().map(|(row, handled)| ShownAlert { row, handled }).collect();
    Ok(answer::json(&shown.first()))
}

/// `GET /api/v1/audit`, for admins: the latest decisions.
pub(super) async fn audit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, Problem> {
    caller.at_least(Role::Admin)?;
    let params = params.only(&["alert"])?;
    Ok(answer::json(&Page { items: app.desk.decisions(params.id("alert")?), next: None }))
}

/// `GET /api/v1/findings`
pub(super) async fn findings(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    let params = params.only(&["from", "to", "severity", "detector", "host", "limit", "cursor"])?;
    let (from, to) = params.range()?;
    let severities = params.words("severity", &SEVERITIES)?;
    let (detectors, host) = (params.list("detector"), params.id("host")?);
    let (limit, cursor) = (params.limit()?, params.cursor()?);
    let all = app.shared.findings.get();
    let wanted = all.iter().filter(|finding| {
        let row = &finding.row;
        row.time <= to
            && row.last_seen.max(row.time) >= from
            && among(&severities, row.severity)
            && among(&detectors, row.detector)
            && host.is_none_or(|host| finding.about.iter().any(|known| **known == *host))
            && cursor.as_ref().is_none_or(|cursor| cursor.is_before(row.time.0, &row.id))
    });
    let rows = wanted.map(|finding| &finding.row);
    let place = |row: &&FindingRow| Cursor { rank: row.time.0, id: row.id.clone() };
    let (items, next) = page(rows, limit, place);
    Ok(answer::json(&Page { items, next }))
}

/// `GET /api/v1/findings/{id}`: the record of `findings.jsonl`.
pub(super) async fn finding(State(app): State<App>, Named(id): Named) -> Result<Response, Problem> {
    let all = app.shared.findings.get();
    let found = all.iter().find(|finding| *finding.row.id == *id).ok_or(Problem::Missing("no finding has this id"))?;
    Ok(answer::record(&found.record))
}

fn find(app: &App, id: &str) -> Result<Arc<AlertEntry>, Problem> {
    let alerts = app.shared.alerts.get();
    alerts.iter().find(|alert| *alert.row.id == *id).cloned().ok_or(Problem::Missing("no alert has this id"))
}

fn among(wanted: &[&str], value: &str) -> bool {
    wanted.is_empty() || wanted.contains(&value)
}

const STATUSES: &[&str] = &["open", "acknowledged", "closed", "allowed", "absorbed"];
/// Longer texts belong into a ticket.
const MAX_COMMENT: usize = 2000;
