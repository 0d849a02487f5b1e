//! `/api/v1/hosts` and `/api/v1/destinations`: who there is, and where it goes.

use super::answer::{self, Problem};
use super::desk::SEVERITIES;
use super::query::{Cursor, Named, Params, page};
use super::router::App;
use super::rows::{DestinationRow, HostEntry, HostRow, TieRow};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A host with what is open about it.
#[derive(Serialize)]
struct ShownHost<'a> {
    #[serde(flatten)]
    row: &'a HostRow,
    alerts_open: u32,
    /// The worst of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
}

/// Alerts open about an address: how many, and the worst level.
type Open = BTreeMap<Box<str>, (u32, u8)>;

/// `GET /api/v1/hosts`: those with the worst alerts first.
pub(super) async fn list(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    let params = params.only(&["role", "baseline", "q", "from", "to", "limit", "cursor"])?;
    let (from, to) = params.range()?;
    let baselines = params.words("baseline", &["learning", "ready", "stale"])?;
    let (roles, part) = (params.list("role"), params.id("q")?.map(str::to_lowercase));
    let (limit, cursor) = (params.limit()?, params.cursor()?);
    let open = open(&app);
    let mut found: Vec<(i64, Arc<HostEntry>)> = Vec::new();
    for host in &app.shared.hosts {
        let row = &host.row;
        if row.first_seen > to
            || row.last_seen < from
            || !(roles.is_empty() || roles.contains(&row.role) || row.roles.iter().any(|role| roles.contains(role)))
            || !(baselines.is_empty() || baselines.contains(&row.baseline))
            || !part.as_deref().is_none_or(|part| is_called(row, part))
        {
            continue;
        }
        let rank = rank(open.get(&*row.ip.to_string()));
        if cursor.as_ref().is_none_or(|cursor| cursor.is_before(rank, &row.id)) {
            found.push((rank, Arc::clone(host.value())));
        }
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.row.id.cmp(&b.1.row.id)));
    let place = |(rank, host): &(i64, Arc<HostEntry>)| Cursor { rank: *rank, id: host.row.id.clone() };
    let (hosts, next) = page(found.into_iter(), limit, place);
    let items: Vec<_> = hosts.iter().map(|(_, host)| shown(&host.row, &open)).collect();
    Ok(answer::json(&json!({"items": items, "next": next})))
}

/// `GET /api/v1/hosts/{host}`: by id or address; its profile: what it has to do with whom outside.
pub(super) async fn profile(State(app): State<App>, Named(wanted): Named) -> Result<Response, Problem> {
    let ip: Option<IpAddr> = wanted.parse().ok();
    let is_it = |row: &HostRow| ip.map_or_else(|| *row.id == *wanted, |ip| row.ip == ip);
    // Of two that had the address, the one seen last has it now.
    let holders = app.shared.hosts.iter().filter(|host| is_it(&host.row));
    let host = holders.max_by_key(|host| host.row.last_seen).map(|host| Arc::clone(host.value()));
    let host = host.ok_or(Problem::Missing("no host of the site has this id or address"))?;
    let address = host.row.ip.to_string();
    let alerts = app.shared.alerts.get();
    let about = alerts.iter().filter(|alert| alert.about.iter().any(|known| **known == *address));
    let about = app.desk.shown(about.map(|alert| &alert.row).take(MAX_ALERTS));
    let about: Vec<_> = about.into_iter().map(|(row, _)| row).collect();
    let mut ties: Vec<&TieRow> = host.ties.iter().map(|tie| &**tie).collect();
    ties.sort_by(|a, b| b.bytes_out.cmp(&a.bytes_out).then_with(|| a.destination.cmp(&b.destination)));
    Ok(answer::json(&json!({"host": shown(&host.row, &open(&app)), "destinations": ties, "alerts": about})))
}

/// A destination with what to do about it.
#[derive(Serialize)]
struct ShownDestination<'a> {
    #[serde(flatten)]
    row: &'a DestinationRow,
    /// From the scope of an alert that stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

/// `GET /api/v1/destinations`: those of standing alerts first, then those that most hosts use.
pub(super) async fn destinations(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    let params = params.only(&["destination_class", "q", "from", "to", "limit", "cursor"])?;
    let (from, to) = params.range()?;
    let (classes, part) = (params.list("destination_class"), params.id("q")?.map(str::to_lowercase));
    let (limit, cursor) = (params.limit()?, params.cursor()?);
    let advice = advice(&app);
    let mut found: Vec<(i64, Option<&'static str>, Arc<DestinationRow>)> = Vec::new();
    for row in &app.shared.destinations {
        if row.first_seen > to
            || row.last_seen < from
            || !(classes.is_empty() || classes.contains(&row.destination_class))
            || !part.as_deref().is_none_or(|part| row.value.contains(part))
        {
            continue;
        }
        let told = advised(&advice, &row);
        let rank = i64::from(row.hosts) + if told.is_some() { ADVISED } else { 0 };
        if cursor.as_ref().is_none_or(|cursor| cursor.is_before(rank, &row.value)) {
            found.push((rank, told, Arc::clone(row.value())));
        }
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.2.value.cmp(&b.2.value)));
    let place = |(rank, _, row): &(i64, Option<&'static str>, Arc<DestinationRow>)| Cursor {
        rank: *rank,
        id: row.value.clone(),
    };
    let (rows, next) = page(found.into_iter(), limit, place);
    let items: Vec<_> = rows.iter().map(|(_, advice, row)| ShownDestination { row, advice: *advice }).collect();
    Ok(answer::json(&json!({"items": items, "next": next})))
}

fn shown<'a>(row: &'a HostRow, open: &Open) -> ShownHost<'a> {
    let (alerts_open, level) = open.get(&*row.ip.to_string()).copied().unwrap_or_default();
    let severity = (alerts_open > 0).then(|| SEVERITIES.get(usize::from(level)).copied()).flatten();
    ShownHost { row, alerts_open, severity }
}

fn rank(open: Option<&(u32, u8)>) -> i64 {
    open.map_or(0, |(count, level)| (i64::from(*level) + 1) * 10_000_000_000 + i64::from(*count))
}

fn is_called(row: &HostRow, part: &str) -> bool {
    row.id.to_lowercase().contains(part)
        || row.ip.to_string().contains(part)
        || row.name.as_deref().is_some_and(|name| name.to_lowercase().contains(part))
}

/// What is open about whom.
fn open(app: &App) -> Open {
    let mut open = Open::new();
    for alert in app.shared.alerts.get().iter().filter(|alert| app.desk.status(&alert.row) == "open") {
        for known in &alert.about {
            let (count, level) = open.entry(known.clone()).or_default();
            *count = count.saturating_add(1);
            *level = (*level).max(alert.level);
        }
    }
    open
}

/// Advice of every alert that stands, by value and by address.
fn advice(app: &App) -> BTreeMap<Box<str>, &'static str> {
    let stands = |status| matches!(status, "open" | "acknowledged");
    let alerts = app.shared.alerts.get();
    let standing = alerts.iter().filter(|alert| stands(app.desk.status(&alert.row)));
    standing.flat_map(|alert| alert.advice.iter().cloned()).collect()
}

fn advised(advice: &BTreeMap<Box<str>, &'static str>, row: &DestinationRow) -> Option<&'static str> {
    if advice.is_empty() {
        return None;
    }
    let of = |text: &str| advice.get(text).copied();
    let named = || row.names.iter().find_map(|name| of(name));
    of(&row.value).or_else(named).or_else(|| row.ips.iter().find_map(|ip| of(&ip.to_string())))
}

/// Alerts shown in a host's profile; the list has them all.
const MAX_ALERTS: usize = 100;
/// More than a site has hosts.
const ADVISED: i64 = 1_000_000_000_000;
