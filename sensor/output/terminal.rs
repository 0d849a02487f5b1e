//! What a tired person reads after a run: what was read, what could not be seen, then each alert: how bad, who by whom
//! to where, when, why, what to do. Times are UTC. Everything else is in the records.

use super::escape::{shortened, shown};
use super::jsonl::OutputError;
use super::layout::{counted, paragraph, percent, period, size, thousands};
use super::story;
use super::summary::{self, Input, Summary};
use super::trail::Trail;
use super::{claims, json};
use crate::alert::Alert;
use crate::base::{Lang, say};
use crate::detect::{Entity, Finding, Severity};
use console::{Term, measure_text_width};
use owo_colors::{OwoColorize as _, Style};
use std::io::{self, Write};
use std::path::Path;

/// What there is to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) summary: &'a Summary,
    pub(crate) alerts: &'a [Alert],
    pub(crate) findings: &'a [Finding],
    pub(crate) trail: &'a Trail,
    /// Where the records lie, if they were written.
    pub(crate) records: Option<&'a Path>,
    /// What alerts and findings are told in.
    pub(crate) lang: Lang,
}

impl Shown<'_> {
    /// Prints the summary to standard output; colours only on a terminal, and not with `NO_COLOR`.
    pub(crate) fn print(&self) -> Result<(), OutputError> {
        let columns = Term::stdout().size_checked().map_or(PIPED, |(_, columns)| usize::from(columns));
        to_stdout(|out| out.write_all(self.text(columns.clamp(NARROW, WIDE)).as_bytes()))
    }

    /// Prints one JSON document: summary, alerts and findings.
    pub(crate) fn print_json(&self) -> Result<(), OutputError> {
        let mut document = Vec::new();
        json::object(&mut document, |top| {
            summary::write(top.key("summary"), self.summary, self.findings, self.alerts);
            let sources = claims::Sources { trail: self.trail, inputs: &self.summary.input };
            json::list(top.key("alerts"), self.alerts, |out, alert| claims::alert(out, alert, sources));
            json::list(top.key("findings"), self.findings, |out, finding| claims::finding(out, finding, sources));
        });
        document.push(b'\n');
        to_stdout(|out| out.write_all(&document))
    }

    /// The whole text, with colours.
    fn text(&self, width: usize) -> String {
        let mut out = String::new();
        inputs(&mut out, &self.summary.input, width);
        visibility(&mut out, self.summary, width);
        out.push('\n');
        out.push_str(&counts(self.alerts));
        let (told, notices): (Vec<_>, Vec<_>) = self.worst_first().partition(|a| a.finding.severity > Severity::Info);
        let (allowed, told): (Vec<_>, Vec<_>) = told.into_iter().partition(|alert| alert.allowed.is_some());
        for alert in &told {
            story::alert(&mut out, alert, self.records, (self.lang, width));
        }
        let style = (self.lang, width);
        story::brief(&mut out, &say!("story.allowed"), allowed.iter().map(|a| &a.finding), style);
        story::brief(&mut out, &say!("story.notices"), notices.iter().map(|a| &a.finding), style);
        // What is about the same parties in the same parts is told already.
        let is_told =
            |f: &Finding| !f.entities.is_empty() && told.iter().chain(&allowed).any(|alert| covers(&alert.finding, f));
        let untold = |f: &&Finding| f.severity > Severity::Info && !is_told(f);
        story::brief(&mut out, &say!("story.further"), self.findings.iter().filter(untold), style);
        self.footer(&mut out, width);
        out
    }

    fn worst_first(&self) -> impl Iterator<Item = &Alert> {
        let mut alerts: Vec<_> = self.alerts.iter().collect();
        alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.finding.severity), alert.finding.first_seen));
        alerts.into_iter()
    }

    fn footer(&self, out: &mut String, width: usize) {
        let interrupted =
            if self.summary.interrupted { "interrupted: what was read until then is above. " } else { "" };
        let records = self.records.map_or_else(
            || "not written; --out DIR keeps them".to_owned(),
            |at| format!("{} (flows, facts, findings, alerts .jsonl, summary.json)", shown(&at.display().to_string())),
        );
        out.push('\n');
        out.push_str(&paragraph("records", &format!("{interrupted}{records}"), LABEL, width));
    }
}

/// Whether every party of `other` has the same part in `one`; a name may have become known in between.
fn covers(one: &Finding, other: &Finding) -> bool {
    let same = |a: &Entity, b: &Entity| {
        a.role == b.role && ((a.ip.is_some() && a.ip == b.ip) || (a.name.is_some() && a.name == b.name))
    };
    other.entities.iter().all(|theirs| one.entities.iter().any(|ours| same(ours, theirs)))
}

/// Writes to standard output; a reader that went away (`| head`) is no error.
fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OutputError> {
    let mut out = anstream::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(OutputError::Io { path: "standard output".into(), doing: "write", source })
        }
        _ => Ok(()),
    }
}

/// The first inputs and every damaged one; how many more there were.
fn inputs(out: &mut String, all: &[Input], width: usize) {
    let (told, silent): (Vec<_>, Vec<_>) =
        all.iter().enumerate().partition(|(n, one)| *n < INPUTS || one.damage.is_some());
    told.iter().for_each(|(_, one)| input(out, one, width));
    if !silent.is_empty() {
        let (packets, bytes) = silent.iter().fold((0_u64, 0_u64), |(packets, bytes), (_, one)| {
            (packets.saturating_add(one.packets), bytes.saturating_add(one.bytes))
        });
        let more = counted(silent.len().try_into().unwrap_or(u64::MAX), "more input", "more inputs");
        let text = format!("and {more} · {} · {}", size(bytes), counted(packets, "packet", "packets"));
        out.push_str(&paragraph("", &text, 0, width));
    }
}

fn input(out: &mut String, input: &Input, width: usize) {
    let when = match (input.first, input.last) {
        (Some(first), Some(last)) => format!("{} UTC", period(first, last)),
        _ => "no packet".to_owned(),
    };
    let what = format!("{} · {} · {when}", size(input.bytes), counted(input.packets, "packet", "packets"));
    let name = if input.path == "-" { "standard input".to_owned() } else { shortened(&input.path, width) };
    match measure_text_width(&name) + SEPARATOR.len() + measure_text_width(&what) <= width {
        true => out.push_str(&paragraph("", &format!("{}{SEPARATOR}{what}", name.bold()), 0, width)),
        false => {
            out.push_str(&paragraph("", &name.bold().to_string(), 0, width));
            out.push_str(&paragraph("", &what, LABEL, width));
        }
    }
    if let Some(damage) = &input.damage {
        out.push_str(&paragraph("  damaged", &shown(damage).yellow().to_string(), LABEL, width));
    }
}

fn visibility(out: &mut String, summary: &Summary, width: usize) {
    let seen = &summary.visibility;
    let mut line = |label: &str, text: String| out.push_str(&paragraph(label, &text, LABEL, width));
    let files = match summary.input.len() {
        0 | 1 => String::new(),
        many => format!("{}, ", counted(summary.packets, "packet", "packets") + &format!(" in {many} inputs")),
    };
    line(
        "read",
        format!(
            "{files}{}, {}; {} to the outside, {} inside; {:.1} s ({}/s)",
            counted(summary.flows, "flow", "flows"),
            counted(summary.hosts, "inside host", "inside hosts"),
            thousands(seen.outbound_flows),
            thousands(seen.internal_flows),
            summary.elapsed_s,
            size(per_second(summary.bytes, summary.elapsed_s)),
        ),
    );
    let mut unseen = vec![
        format!("TCP loss {}", percent(seen.loss_ratio())),
        format!("one-way flows {}", percent(summary.one_way_ratio())),
        format!("duplicates {}", percent(summary.duplicate_ratio())),
    ];
    if seen.outbound_flows > 0 {
        unseen.push(format!("outbound flows without a name {}", percent(seen.sight.nameless())));
    }
    for (count, one, many, what) in [
        (seen.dropped_packets.unwrap_or(0), "packet", "packets", "dropped before reading"),
        (seen.filtered_packets, "packet", "packets", "kept back by the filter"),
        (seen.truncated_packets, "packet", "packets", "cut short by the capture"),
        (seen.late_packets, "packet", "packets", "too late to order"),
        (seen.evicted_flows, "flow", "flows", "evicted"),
        (seen.unread_flows, "flow", "flows", "whose content was not read"),
        (seen.evicted_entries, "entry", "entries", "of memory evicted"),
    ] {
        if count > 0 {
            unseen.push(format!("{} {what}", counted(count, one, many)));
        }
    }
    for (reason, count) in &seen.undecoded {
        unseen.push(format!("{} not understood ({})", counted(*count, "packet", "packets"), shown(reason)));
    }
    line("visibility", unseen.join(", "));
    if summary.hosts == 0 && summary.flows > 0 {
        let given = if summary.inside.assumed { "" } else { ", check --inside and --site" };
        line(
            "inside",
            format!("no address of this input is inside{given}: nothing could be judged").yellow().to_string(),
        );
    }
    if summary.inside.assumed {
        let hint = summary.inside.hint.as_deref().map(|h| format!(" {}", shown(h))).unwrap_or_default();
        line("inside", format!("assumed: private and unique-local addresses; declare it with --inside CIDR.{hint}"));
    }
    let known = summary.baseline;
    let told = match known.stage {
        summary::Stage::None => {
            "none: what is usual here is not known, so claims rest on this capture alone".to_owned()
        }
        summary::Stage::Learning => {
            format!("learning: {} hosts known, {} still learning, {} new", known.ready, known.learning, known.new)
        }
        summary::Stage::Ready => {
            format!("ready: {} hosts known, {} still learning, {} new", known.ready, known.learning, known.new)
        }
    };
    line("baseline", told);
}

fn counts(alerts: &[Alert]) -> String {
    let all = summary::by_severity(alerts.iter().map(|alert| alert.finding.severity));
    let shown = all.iter().rev().map(|(severity, count)| {
        let text = format!("{} {count}", severity.name());
        if *count == 0 {
            text.style(Style::new().dimmed()).to_string()
        } else {
            text.style(colour(*severity)).to_string()
        }
    });
    paragraph("alerts", &shown.collect::<Vec<_>>().join(" · "), LABEL, usize::MAX)
}

/// How a severity looks.
pub(super) const fn colour(severity: Severity) -> Style {
    match severity {
        Severity::Critical => Style::new().white().on_red().bold(),
        Severity::High => Style::new().red().bold(),
        Severity::Medium => Style::new().yellow().bold(),
        Severity::Low => Style::new().cyan(),
        Severity::Info => Style::new().dimmed(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate for people; float casts saturate"
)]
fn per_second(bytes: u64, elapsed_s: f64) -> u64 {
    (bytes as f64 / elapsed_s.max(0.001)) as u64
}

/// Where the text beside labels begins.
pub(super) const LABEL: usize = 12;
const SEPARATOR: &str = " · ";
/// Inputs that are told one by one.
const INPUTS: usize = 8;
/// Without a terminal.
const PIPED: usize = 100;
/// Below, lines overrun; above, lines are too long to read.
const NARROW: usize = 60;
const WIDE: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::escape::is_deceptive;
    use crate::output::samples;
    use console::strip_ansi_codes;

    fn text(width: usize) -> String {
        let (summary, alerts, findings) = (samples::summary(), [samples::alert()], [samples::finding()]);
        let (records, lang) = (Some(Path::new("case")), Lang::En);
        Shown { summary: &summary, alerts: &alerts, findings: &findings, trail: &Trail::default(), records, lang }
            .text(width)
    }

    #[test]
    fn the_text_fits_the_terminal_and_obeys_nothing_from_the_wire() {
        for width in [NARROW, 80, 120] {
            let plain = strip_ansi_codes(&text(width)).into_owned();
            assert!(plain.chars().all(|c| c == '\n' || !is_deceptive(c)), "{plain}");
            let long: Vec<_> = plain.lines().filter(|line| measure_text_width(line) > width).collect();
            assert!(long.is_empty(), "over {width} columns: {long:?}");
        }
    }

    #[test]
    fn findings_that_an_alert_covers_are_not_told_again_and_others_are() {
        let (summary, alerts, trail) = (samples::summary(), [samples::alert()], samples::trail());
        let mut renamed = samples::finding();
        renamed.entities.iter_mut().filter(|e| e.ip.is_some()).for_each(|entity| entity.name = None);
        let mut elsewhere = samples::finding();
        elsewhere
            .entities
            .iter_mut()
            .for_each(|entity| entity.ip = entity.ip.and_then(|_| "198.51.100.9".parse().ok()));
        elsewhere.entities.iter_mut().for_each(|entity| entity.name = None);
        for (what, finding, told) in [("the same parties", renamed, false), ("other parties", elsewhere, true)] {
            let findings = [finding];
            let lang = Lang::En;
            let shown =
                Shown { summary: &summary, alerts: &alerts, findings: &findings, trail: &trail, records: None, lang };
            assert_eq!(shown.text(120).contains("further findings"), told, "{what}");
        }
    }

    #[test]
    fn the_text_says_who_where_when_why_and_what_next() {
        let plain = strip_ansi_codes(&text(200)).into_owned();
        for (what, words) in [
            ("how bad", "HIGH · execution chain"),
            ("when", "2020-09-20 06:57:46 – 06:57:48 UTC"),
            ("who", "172.18.39.5 (WS5) → 172.18.39.6 → "),
            ("where", "10.10.10.5"),
            ("why", "172.18.39.5 started a service on 172.18.39.6"),
            ("what was not visible", "what is usual for these hosts is not known"),
            ("techniques", "T1569.002 T1021.002"),
            ("the next step", "grep -h "),
            ("where the records are", "records     interrupted: what was read until then is above. case "),
            ("that the input is damaged", "cut within packet 2,841,003"),
            ("what could not be seen", "TCP loss 0.3%"),
            ("that inside was assumed", "10.10.10.5 behaves like a controller"),
            ("the counts", "high 1"),
        ] {
            assert!(plain.contains(words), "{what} is missing in:\n{plain}");
        }
        assert!(!plain.contains("further findings"), "the finding behind the alert is not told twice");
    }
}
