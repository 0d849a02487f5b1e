//! `/api/v1/graph/nodes` and `/api/v1/graph/edges`: servers, machines and destinations of standing alerts, in the field
//! names of Grafana's Node Graph panel.

use super::answer::{self, Problem};
use super::desk::SEVERITIES;
use super::query::Params;
use super::router::App;
use super::rows::{AlertEntry, Edge, Node};
use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `GET /api/v1/graph/nodes`
pub(super) async fn nodes(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    let (nodes, _) = graph(&app, params)?;
    Ok(answer::json(&json!({"items": nodes})))
}

/// `GET /api/v1/graph/edges`
pub(super) async fn edges(State(app): State<App>, params: Params) -> Result<Response, Problem> {
    let (_, edges) = graph(&app, params)?;
    Ok(answer::json(&json!({"items": edges})))
}

fn graph(app: &App, params: Params) -> Result<(Vec<Node>, Vec<Edge>), Problem> {
    let params = params.only(&["from", "to", "severity", "detector", "alert"])?;
    let (from, to) = params.range()?;
    let severities = params.words("severity", &SEVERITIES)?;
    let (detectors, id) = (params.list("detector"), params.id("alert")?);
    let alerts = app.shared.alerts.get();
    let wanted = |alert: &&Arc<AlertEntry>| {
        let row = &alert.row;
        let standing = || matches!(app.desk.status(row), "open" | "acknowledged");
        row.time <= to
            && row.last_seen.max(row.time) >= from
            && (severities.is_empty() || severities.contains(&row.severity))
            && (detectors.is_empty() || detectors.contains(&row.detector))
            && id.map_or_else(standing, |id| *row.id == *id)
    };
    let mut chosen: Vec<&Arc<AlertEntry>> = alerts.iter().filter(wanted).collect();
    // When there are too many for the panel, the worst are shown.
    chosen.sort_by_key(|alert| (alert.row.tier, std::cmp::Reverse(alert.level)));
    Ok(merged(&chosen))
}

/// One graph of many: what stands in several is one node, with the worst said of it.
fn merged(alerts: &[&Arc<AlertEntry>]) -> (Vec<Node>, Vec<Edge>) {
    let mut nodes: BTreeMap<Box<str>, Node> = BTreeMap::new();
    let mut edges: BTreeMap<Box<str>, Edge> = BTreeMap::new();
    for alert in alerts {
        for node in &alert.nodes {
            if let Some(known) = nodes.get_mut(&node.id) {
                join(known, node);
            } else if nodes.len() < MAX_NODES {
                nodes.insert(node.id.clone(), node.clone());
            }
        }
        for edge in &alert.edges {
            if nodes.contains_key(&edge.source) && nodes.contains_key(&edge.target) && edges.len() < MAX_EDGES {
                edges.entry(edge.id.clone()).or_insert_with(|| edge.clone());
            }
        }
    }
    (nodes.into_values().collect(), edges.into_values().collect())
}

fn join(known: &mut Node, other: &Node) {
    let level = |name: &str| SEVERITIES.iter().position(|severity| *severity == name);
    if level(other.severity) > level(known.severity) {
        known.severity = other.severity;
        known.main_stat = other.main_stat.clone();
    }
    known.secondary_stat = known.secondary_stat.max(other.secondary_stat);
    // A machine that is affected in one story and the server in another is shown as the server.
    if other.server > known.server {
        (known.affected, known.server, known.destination) = (other.affected, other.server, other.destination);
        known.role = other.role;
    }
}

/// What the panel draws.
const MAX_NODES: usize = 1500;
const MAX_EDGES: usize = 6000;
