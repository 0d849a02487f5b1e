//! `findings.jsonl` and `alerts.jsonl`: what is claimed, about whom, and why.

use super::flows;
use super::json::{self, Object};
use super::summary::Input;
use super::trail::Trail;
use crate::alert::{Alert, Stated};
use crate::base::{Lang, Text};
use crate::campaign::{Scope, ScopeDestination, ScopeHost, ScopeServer};
use crate::detect::{Against, Entity, Evidence, Finding, Value};

/// Where the packets behind claims lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources<'a> {
    pub(super) trail: &'a Trail,
    pub(super) inputs: &'a [Input],
}

/// One alert's object without its packets, for readers that have none.
pub(crate) fn alert_line(told: &Alert) -> Vec<u8> {
    let mut line = Vec::new();
    alert(&mut line, told, Sources { trail: &Trail::default(), inputs: &[] });
    line
}

/// The record of a telling: with the number that counts what was said under its id.
pub(super) fn with_update(record: &[u8], update: u32) -> Vec<u8> {
    let mut line = record.strip_suffix(b"}").unwrap_or(record).to_vec();
    line.extend_from_slice(UPDATE);
    json::number(&mut line, u64::from(update));
    line.push(b'}');
    line
}

/// The record that [`with_update`] numbered.
pub(super) fn without_update(line: &[u8]) -> Option<Vec<u8>> {
    let at = line.windows(UPDATE.len()).rposition(|window| window == UPDATE)?;
    let mut record = line.get(..at)?.to_vec();
    record.push(b'}');
    Some(record)
}

const UPDATE: &[u8] = b",\"update\":";

/// One finding's object without its packets.
pub(crate) fn finding_line(told: &Stated) -> Vec<u8> {
    let mut line = Vec::new();
    finding(&mut line, told, Sources { trail: &Trail::default(), inputs: &[] });
    line
}

/// One finding's object.
pub(super) fn finding(out: &mut Vec<u8>, stated: &Stated, sources: Sources<'_>) {
    json::object(out, |line| {
        claim(line, &stated.finding, sources);
        unseen(line, &stated.not_visible);
        next(line, &[stated.finding.next_step()]);
    });
}

/// One alert's object: the joined claim and what makes it a story.
pub(super) fn alert(out: &mut Vec<u8>, alert: &Alert, sources: Sources<'_>) {
    json::object(out, |line| {
        claim(line, &alert.finding, sources);
        line.text("kind", alert.kind.name());
        line.number("tier", alert.tier);
        line.text("status", alert.status.name());
        if let Some(by) = &alert.absorbed_by {
            line.text("absorbed_by", by);
        }
        if let Some(allowed) = &alert.allowed {
            line.object("allowed", |line| {
                line.text("owner", &allowed.owner);
                line.text("reason", &allowed.reason);
                line.text("expires", &allowed.expires);
            });
        }
        if let Some(of) = &alert.scope {
            line.object("scope", |line| scope(line, of));
        }
        unseen(line, &alert.not_visible);
        next(line, &alert.next_steps());
    });
}

/// What could not be seen, in both languages.
fn unseen(line: &mut Object<'_>, gaps: &[Text]) {
    line.texts("not_visible", gaps.iter().map(ToString::to_string));
    line.texts("not_visible_ja", gaps.iter().map(|gap| gap.render(Lang::Ja)));
}

/// What to do next, in both languages.
fn next(line: &mut Object<'_>, steps: &[Text]) {
    line.texts("next_steps", steps.iter().map(ToString::to_string));
    line.texts("next_steps_ja", steps.iter().map(|step| step.render(Lang::Ja)));
}

fn claim(line: &mut Object<'_>, finding: &Finding, sources: Sources<'_>) {
    line.text("id", &finding.id);
    line.moment("time", finding.time);
    line.moment("first_seen", finding.first_seen);
    line.moment("last_seen", finding.last_seen);
    line.text("detector", finding.detector);
    line.text("severity", finding.severity.name());
    line.real("score", finding.score);
    if let Some(p) = finding.p {
        line.real("p", p);
    }
    line.text("title", &finding.title.to_string());
    line.text("explanation", &finding.explanation.to_string());
    line.text("title_ja", &finding.title.render(Lang::Ja));
    line.text("explanation_ja", &finding.explanation.render(Lang::Ja));
    line.texts("attack", &finding.attack);
    line.objects("entities", &finding.entities, entity);
    line.objects("reasons", &finding.reasons, reason);
    if !finding.uids.is_empty() {
        json::list(line.key("uids"), &finding.uids, |out, uid| flows::quoted_uid(out, *uid));
    }
    line.objects("evidence", sources.trail.of(&finding.uids, sources.inputs), |line, (file, packets)| {
        line.text("file", file);
        line.number("first_packet", packets.first);
        line.number("last_packet", packets.last);
    });
}

fn entity(line: &mut Object<'_>, entity: &Entity) {
    line.text("role", entity.role.name());
    if let Some(ip) = entity.ip {
        line.ip("ip", ip);
    }
    line.known("name", entity.name.as_deref());
}

fn reason(line: &mut Object<'_>, reason: &Evidence) {
    line.text("measure", reason.measure);
    value(line, "observed", &reason.observed);
    match &reason.against {
        Against::Usual(usual) => value(line, "usual", usual),
        Against::Limit(limit) => value(line, "limit", limit),
        Against::Weight(nats) => line.real("weight_nats", *nats),
        Against::Nothing => {}
    }
    line.text("unit", reason.unit);
}

fn value(line: &mut Object<'_>, key: &'static str, value: &Value) {
    match value {
        Value::Count(count) => line.number(key, *count),
        Value::Number(number) => line.real(key, *number),
        Value::Text(text) => line.text(key, text),
    }
}

fn scope(line: &mut Object<'_>, scope: &Scope) {
    line.objects("servers", &scope.servers, server);
    line.objects("hosts", &scope.hosts, host);
    line.objects("destinations", &scope.destinations, destination);
}

fn server(line: &mut Object<'_>, server: &ScopeServer) {
    line.ip("ip", server.ip);
    line.known("name", server.name.as_deref());
    if let Some(p) = server.p {
        line.real("p", p);
    }
    line.number("hop", server.hop);
}

fn host(line: &mut Object<'_>, host: &ScopeHost) {
    line.ip("ip", host.ip);
    line.known("name", host.name.as_deref());
    line.known("host_id", host.key.as_deref());
    line.text("tier", host.tier.name());
    line.moment("first_seen", host.first_seen);
    line.moment("last_seen", host.last_seen);
    line.number("bytes_out", host.bytes_out);
    if let Some(attribution) = host.attribution {
        line.real("attribution", attribution);
    }
}

fn destination(line: &mut Object<'_>, to: &ScopeDestination) {
    line.text("value", &to.value);
    line.text("kind", to.kind.name());
    line.ips("ips", &to.ips);
    line.moment("first_seen", to.first_seen);
    line.moment("last_seen", to.last_seen);
    line.number("hosts", to.hosts);
    line.number("bytes_out", to.bytes_out);
    line.number("collateral_hosts", to.collateral_hosts);
    line.text("advice", to.advice.name());
}
