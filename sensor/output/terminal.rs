//! What a tired person reads after a run: the overview, then each alert: how bad, who by whom to where, when, why, what
//! to do. Times are UTC. Everything else is in the records.

use super::escape::shown;
use super::jsonl::OutputError;
use super::layout::paragraph;
use super::summary::{self, Summary};
use super::trail::Trail;
use super::{claims, json, overview, story};
use crate::alert::{Alert, Stated};
use crate::base::{Lang, Text, say};
use crate::detect::{Entity, Finding, Severity};
use console::Term;
use owo_colors::Style;
use std::io::{self, Write};
use std::path::Path;

/// What there is to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) summary: &'a Summary,
    pub(crate) alerts: &'a [Alert],
    pub(crate) findings: &'a [Stated],
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
        overview::write(&mut out, self.summary, self.alerts, (self.lang, width));
        let (told, notices): (Vec<_>, Vec<_>) = self.worst_first().partition(|a| a.finding.severity > Severity::Info);
        let (allowed, told): (Vec<_>, Vec<_>) = told.into_iter().partition(|alert| alert.allowed.is_some());
        for alert in &told {
            story::alert(&mut out, alert, self.records, (self.lang, width));
        }
        let style = (self.lang, width);
        story::brief(&mut out, &say!("story.allowed"), allowed.iter().map(|alert| in_short(alert)), style);
        story::brief(&mut out, &say!("story.notices"), notices.iter().map(|alert| in_short(alert)), style);
        // What is about the same parties in the same parts is told already.
        let is_told =
            |f: &Finding| !f.entities.is_empty() && told.iter().chain(&allowed).any(|alert| covers(&alert.finding, f));
        let untold = |f: &Finding| f.severity > Severity::Info && !is_told(f);
        let further = self.findings.iter().filter(|stated| untold(&stated.finding));
        let further = further.map(|stated| (&stated.finding, &*stated.not_visible));
        story::brief(&mut out, &say!("story.further"), further, style);
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
            if self.summary.interrupted { say!("overview.interrupted").render(self.lang) } else { String::new() };
        let records = self.records.map_or_else(
            || say!("overview.unwritten").render(self.lang),
            |at| format!("{} (flows, facts, findings, alerts .jsonl, summary.json)", shown(&at.display().to_string())),
        );
        out.push('\n');
        let label = say!("overview.records").render(self.lang);
        out.push_str(&paragraph(&label, &format!("{interrupted}{records}"), LABEL, width));
    }
}

/// What a line tells of an alert, and what it leaves unseen.
fn in_short(alert: &Alert) -> (&Finding, &[Text]) {
    (&alert.finding, &alert.not_visible)
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

/// Where the text beside labels begins.
pub(super) const LABEL: usize = 12;
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
    use console::{measure_text_width, strip_ansi_codes};
    use std::sync::Arc;

    fn text(width: usize, lang: Lang) -> String {
        let (summary, alerts, findings) = (samples::summary(), [samples::alert()], [samples::stated()]);
        let records = Some(Path::new("case"));
        Shown { summary: &summary, alerts: &alerts, findings: &findings, trail: &Trail::default(), records, lang }
            .text(width)
    }

    #[test]
    fn the_text_fits_the_terminal_and_obeys_nothing_from_the_wire() {
        for (width, lang) in [NARROW, 80, 120].into_iter().flat_map(|width| [(width, Lang::En), (width, Lang::Ja)]) {
            let plain = strip_ansi_codes(&text(width, lang)).into_owned();
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
            let not_visible: Arc<[Text]> = vec![Text::verbatim("its look-ups were not seen")].into();
            let findings = [Stated { finding, not_visible }];
            let lang = Lang::En;
            let shown =
                Shown { summary: &summary, alerts: &alerts, findings: &findings, trail: &trail, records: None, lang };
            let text = shown.text(120);
            assert_eq!(text.contains("further findings"), told, "{what}");
            assert_eq!(text.contains("its look-ups were not seen"), told, "{what}, and what was not seen of them");
        }
    }

    #[test]
    fn the_text_says_who_where_when_why_and_what_next() {
        let plain = strip_ansi_codes(&text(200, Lang::En)).into_owned();
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
        let japanese = strip_ansi_codes(&text(200, Lang::Ja)).into_owned();
        for words in
            ["読込", "可視性", "TCP 欠落 0.3%", "破損", "アラート", "HIGH · 実行の連鎖", "次に", "記録        中断"]
        {
            assert!(japanese.contains(words), "{words} is missing in:\n{japanese}");
        }
    }
}
