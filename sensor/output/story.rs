//! One alert as a paragraph a person can act on.

use super::escape::{shortened, shown};
use super::layout::{paragraph, period, size};
use super::terminal::{LABEL, colour};
use crate::alert::{Alert, Kind};
use crate::campaign::{Advice, ScopeDestination};
use crate::detect::{Entity, Finding, Role};
use owo_colors::OwoColorize as _;
use std::net::IpAddr;
use std::path::Path;

/// The whole story of one alert.
pub(super) fn alert(out: &mut String, alert: &Alert, records: Option<&Path>, width: usize) {
    let finding = &alert.finding;
    let severity = finding.severity.name().to_uppercase();
    let (severity, kind) = (severity.style(colour(finding.severity)), alert.kind.name().replace('_', " "));
    let when = period(finding.first_seen, finding.last_seen);
    out.push('\n');
    out.push_str(&paragraph("", &format!("{severity} · {} · {when} UTC", kind.bold()), 0, width));
    let mut line = |label: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(&paragraph(&format!("  {label}"), text, LABEL, width));
        }
    };
    line("who", &path(finding, if alert.scope.is_some() { NAMED } else { LISTED }));
    line("what", &shown(&finding.title));
    line("why", &shown(&finding.explanation));
    if let Some(scope) = &alert.scope {
        listed("hosts", &scope.hosts, host_line, &mut line);
        listed("to", &scope.destinations, destination_line, &mut line);
    }
    line("not seen", &shown(&alert.not_visible.join("; ")));
    line("ATT&CK", &shown(&finding.attack.join(" ")));
    for (n, step) in next_steps(alert, records).iter().enumerate() {
        line(if n == 0 { "next" } else { "" }, &format!("{}. {step}", n + 1));
    }
    line("id", &shown(&finding.id));
}

/// One line each, and how many more there are.
fn listed<T>(label: &str, all: &[T], words: impl Fn(&T) -> String, line: &mut impl FnMut(&str, &str)) {
    for (n, one) in all.iter().take(LISTED).enumerate() {
        line(if n == 0 { label } else { "" }, &words(one));
    }
    if let Some(more) = all.len().checked_sub(LISTED).filter(|more| *more > 0) {
        line("", &format!("and {more} more in the records"));
    }
}

/// Findings or alerts that need no paragraph: one line each, and how many more there are.
pub(super) fn brief<'f>(out: &mut String, heading: &str, all: impl Iterator<Item = &'f Finding>, width: usize) {
    let mut all: Vec<_> = all.collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.first_seen));
    out.push('\n');
    out.push_str(&paragraph("", &format!("{heading} ({})", all.len()), 0, width));
    for finding in all.iter().take(BRIEF) {
        let severity = format!("  {}", finding.severity.name()).style(colour(finding.severity)).to_string();
        let who = path(finding, 1);
        let (title, when) = (shown(&finding.title), period(finding.first_seen, finding.last_seen));
        out.push_str(&paragraph(&severity, &format!("{title} · {who} · {when} UTC"), LABEL, width));
    }
    if let Some(more) = all.len().checked_sub(BRIEF).filter(|more| *more > 0) {
        out.push_str(&paragraph("", &format!("and {more} more in the records"), LABEL, width));
    }
}

/// `server → hosts → destination`, as far as there are any; at most `most` of each are named.
fn path(finding: &Finding, most: usize) -> String {
    let of = |role: Role| {
        let mut named: Vec<_> = finding.entities.iter().filter(|e| e.role == role).map(entity).collect();
        let more = named.len().saturating_sub(most);
        named.truncate(most);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", named.join(", "))
    };
    let steps = [Role::StagingServer, Role::AffectedHost, Role::Resolver, Role::Destination].map(of);
    steps.into_iter().filter(|step| !step.is_empty()).collect::<Vec<_>>().join(" → ")
}

/// `172.18.39.5 (WS5)`, or whichever of the two is known.
fn entity(entity: &Entity) -> String {
    match (entity.ip, &entity.name) {
        (Some(ip), Some(name)) => format!("{ip} ({})", shortened(name, NAME)),
        (Some(ip), None) => ip.to_string(),
        (None, Some(name)) => shortened(name, NAME),
        (None, None) => String::new(),
    }
}

fn host_line(host: &crate::campaign::ScopeHost) -> String {
    let name = host.name.as_deref().map(|name| format!(" {}", shortened(name, NAME))).unwrap_or_default();
    let sent = if host.bytes_out > 0 { format!(", {} out", size(host.bytes_out)) } else { String::new() };
    format!("{}{name} ({}{sent})", host.ip, host.tier.name())
}

fn destination_line(to: &ScopeDestination) -> String {
    let others = match to.collateral_hosts {
        0 => "nobody else uses it".to_owned(),
        1 => "1 other host uses it".to_owned(),
        n => format!("{n} other hosts use it"),
    };
    let ips = to.ips.iter().map(IpAddr::to_string).filter(|ip| **ip != *to.value).take(NAMED).collect::<Vec<_>>();
    let at = if ips.is_empty() { String::new() } else { format!(" at {}", ips.join(" ")) };
    format!("{}{at} ({others})", shortened(&to.value, NAME))
}

/// What to do first. Words for what the alert already says: its kind, and the advice on each destination.
fn next_steps(alert: &Alert, records: Option<&Path>) -> Vec<String> {
    let first = match alert.kind {
        Kind::StagingCampaign | Kind::ExecutionChain => {
            "ask who worked on the server at that time and whether this was planned; if not, isolate the hosts, keep the \
             server's memory, look for more hosts it touched"
        }
        Kind::SharedDestination => "find out what these hosts have in common that the others have not",
        Kind::HostAnomaly | Kind::Beacon => "find out which program on the host does this and who put it there",
        Kind::RemoteExecution => "ask whether this was planned",
        Kind::Policy => "stop it, or declare it in the site file if it is wanted",
        Kind::Notice => "nothing at once",
    };
    let mut steps = vec![first.to_owned()];
    for to in alert.scope.iter().flat_map(|scope| &scope.destinations) {
        let value = shortened(&to.value, NAME);
        match to.advice {
            Advice::Block => steps.push(format!("block {value}")),
            Advice::BlockForScopeOnly => steps.push(format!("block {value} for these hosts only; others use it")),
            Advice::Watch => {}
        }
    }
    if let (Some(folder), Some(uid)) = (records, alert.finding.uids.first()) {
        steps.push(format!("grep -h {uid} {}/*.jsonl", shown(&folder.display().to_string())));
    }
    steps
}

/// Entities of one role that are named before the rest is counted; the hosts of a scope follow one by one.
const NAMED: usize = 3;
/// Hosts or destinations of a scope that are told one by one.
const LISTED: usize = 20;
/// Columns a name from the wire may take.
const NAME: usize = 60;
/// Findings shown in short.
const BRIEF: usize = 10;
