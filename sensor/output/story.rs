//! One alert as a paragraph a person can act on.

use super::escape::{shortened, shown};
use super::layout::{paragraph, period, size};
use super::terminal::{LABEL, colour};
use crate::alert::Alert;
use crate::base::{Arg, Lang, Text, say};
use crate::campaign::ScopeDestination;
use crate::detect::{Entity, Finding, Role};
use owo_colors::OwoColorize as _;
use std::net::IpAddr;
use std::path::Path;

/// The whole story of one alert.
pub(super) fn alert(out: &mut String, alert: &Alert, records: Option<&Path>, (lang, width): (Lang, usize)) {
    let finding = &alert.finding;
    let severity = finding.severity.name().to_uppercase();
    let kind = Arg::term(&alert.kind.name().replace('_', " ")).render(lang);
    let severity = severity.style(colour(finding.severity));
    let when = period(finding.first_seen, finding.last_seen);
    out.push('\n');
    out.push_str(&paragraph("", &format!("{severity} · {} · {when} UTC", kind.bold()), 0, width));
    let mut line = |label: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(&paragraph(&format!("  {label}"), text, LABEL, width));
        }
    };
    let label = |text: Text| text.render(lang);
    line(&label(say!("story.who")), &path(finding, if alert.scope.is_some() { NAMED } else { LISTED }, lang));
    line(&label(say!("story.what")), &shown(&finding.title.render(lang)));
    line(&label(say!("story.why")), &shown(&finding.explanation.render(lang)));
    if let Some(scope) = &alert.scope {
        listed(&label(say!("story.hosts")), &scope.hosts, |host| host_line(host, lang), &mut line, lang);
        listed(&label(say!("story.to")), &scope.destinations, |to| destination_line(to, lang), &mut line, lang);
    }
    let unseen: Vec<String> = alert.not_visible.iter().map(|gap| gap.render(lang)).collect();
    line(&label(say!("story.not_seen")), &shown(&unseen.join("; ")));
    line("ATT&CK", &shown(&finding.attack.join(" ")));
    let next = label(say!("story.next"));
    for (n, step) in next_steps(alert, records, lang).iter().enumerate() {
        line(if n == 0 { &next } else { "" }, &format!("{}. {step}", n + 1));
    }
    line("id", &shown(&finding.id));
}

/// One line each, and how many more there are.
fn listed<T>(label: &str, all: &[T], words: impl Fn(&T) -> String, line: &mut impl FnMut(&str, &str), lang: Lang) {
    for (n, one) in all.iter().take(LISTED).enumerate() {
        line(if n == 0 { label } else { "" }, &words(one));
    }
    if let Some(more) = all.len().checked_sub(LISTED).filter(|more| *more > 0) {
        line("", &say!("story.more", more = more).render(lang));
    }
}

/// Findings or alerts that need no paragraph: one line each, how many more there are, and once for those shown what could
/// not be seen.
pub(super) fn brief<'f>(
    out: &mut String,
    heading: &Text,
    all: impl Iterator<Item = (&'f Finding, &'f [Text])>,
    (lang, width): (Lang, usize),
) {
    let mut all: Vec<_> = all.collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|(finding, _)| (std::cmp::Reverse(finding.severity), finding.first_seen));
    out.push('\n');
    out.push_str(&paragraph("", &format!("{} ({})", heading.render(lang), all.len()), 0, width));
    let mut unseen: Vec<String> = Vec::new();
    for (finding, gaps) in all.iter().take(BRIEF) {
        let severity = format!("  {}", finding.severity.name()).style(colour(finding.severity)).to_string();
        let who = path(finding, 1, lang);
        let title = finding.title.render(lang);
        let (title, when) = (shown(&title), period(finding.first_seen, finding.last_seen));
        out.push_str(&paragraph(&severity, &format!("{title} · {who} · {when} UTC"), LABEL, width));
        for gap in gaps.iter().map(|gap| gap.render(lang)) {
            if !unseen.contains(&gap) {
                unseen.push(gap);
            }
        }
    }
    if let Some(more) = all.len().checked_sub(BRIEF).filter(|more| *more > 0) {
        out.push_str(&paragraph("", &say!("story.more", more = more).render(lang), LABEL, width));
    }
    if !unseen.is_empty() {
        let label = format!("  {}", say!("story.not_seen").render(lang));
        out.push_str(&paragraph(&label, &shown(&unseen.join("; ")), LABEL, width));
    }
}

/// `server → hosts → destination`, as far as there are any; at most `most` of each are named.
fn path(finding: &Finding, most: usize, lang: Lang) -> String {
    let of = |role: Role| {
        let mut named: Vec<_> = finding.entities.iter().filter(|e| e.role == role).map(entity).collect();
        let more = named.len().saturating_sub(most);
        named.truncate(most);
        let named = named.join(", ");
        if more > 0 { say!("story.others", named = named, more = more).render(lang) } else { named }
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

fn host_line(host: &crate::campaign::ScopeHost, lang: Lang) -> String {
    let name = host.name.as_deref().map(|name| format!(" {}", shortened(name, NAME))).unwrap_or_default();
    let (named, tier) = (format!("{}{name}", host.ip), Arg::term(host.tier.name()));
    let text = match host.bytes_out {
        0 => say!("story.host_quiet", host = named, tier = tier),
        sent => say!("story.host", host = named, tier = tier, sent = size(sent)),
    };
    text.render(lang)
}

fn destination_line(to: &ScopeDestination, lang: Lang) -> String {
    let others = match to.collateral_hosts {
        0 => say!("story.nobody_else"),
        others => say!("story.others_use", others = others),
    };
    let ips = to.ips.iter().map(IpAddr::to_string).filter(|ip| **ip != *to.value).take(NAMED).collect::<Vec<_>>();
    let at = if ips.is_empty() { String::new() } else { format!(" [{}]", ips.join(" ")) };
    format!("{}{at} ({})", shortened(&to.value, NAME), others.render(lang))
}

/// What to do next, and where the packets' records are.
fn next_steps(alert: &Alert, records: Option<&Path>, lang: Lang) -> Vec<String> {
    let mut steps: Vec<String> = alert.next_steps().iter().map(|step| shown(&step.render(lang)).into_owned()).collect();
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
