//! What stands above the alerts: what was read, what could not be seen of it, against what was judged, and how many
//! alerts there are.

use super::escape::{shortened, shown};
use super::layout::{paragraph, percent, period, size, thousands};
use super::summary::{self, Input, Stage, Summary};
use super::terminal::{LABEL, colour};
use crate::alert::Alert;
use crate::base::{Lang, Text, say};
use console::measure_text_width;
use owo_colors::{OwoColorize as _, Style};

/// All of it.
pub(super) fn write(out: &mut String, summary: &Summary, alerts: &[Alert], style: (Lang, usize)) {
    inputs(out, &summary.input, style);
    let (lang, width) = style;
    let mut line = |label: Text, text: String| out.push_str(&paragraph(&label.render(lang), &text, LABEL, width));
    line(say!("overview.read"), read(summary).render(lang));
    line(
        say!("overview.visibility"),
        unseen(summary).iter().map(|gap| gap.render(lang)).collect::<Vec<_>>().join(", "),
    );
    if let Some(warning) = nothing_inside(summary) {
        line(say!("overview.inside"), warning.render(lang).yellow().to_string());
    }
    if summary.inside.assumed {
        let hint = summary.inside.hint.as_deref().map(|hint| format!(" {}", shown(hint))).unwrap_or_default();
        line(say!("overview.inside"), say!("overview.assumed").render(lang) + &hint);
    }
    line(say!("overview.baseline"), baseline(summary).render(lang));
    out.push('\n');
    out.push_str(&paragraph(&say!("overview.alerts").render(lang), &counts(alerts), LABEL, usize::MAX));
}

/// The first inputs and every damaged one; how many more there were.
fn inputs(out: &mut String, all: &[Input], (lang, width): (Lang, usize)) {
    let (told, silent): (Vec<_>, Vec<_>) =
        all.iter().enumerate().partition(|(n, one)| *n < INPUTS || one.damage.is_some());
    told.iter().for_each(|(_, one)| input(out, one, (lang, width)));
    if !silent.is_empty() {
        let (packets, bytes) = silent.iter().fold((0_u64, 0_u64), |(packets, bytes), (_, one)| {
            (packets.saturating_add(one.packets), bytes.saturating_add(one.bytes))
        });
        let text = say!(
            "overview.more_inputs",
            more = thousands(silent.len().try_into().unwrap_or(u64::MAX)),
            size = size(bytes),
            packets = thousands(packets)
        );
        out.push_str(&paragraph("", &text.render(lang), 0, width));
    }
}

fn input(out: &mut String, input: &Input, (lang, width): (Lang, usize)) {
    let when = match (input.first, input.last) {
        (Some(first), Some(last)) => format!("{} UTC", period(first, last)),
        _ => say!("overview.no_packet").render(lang),
    };
    let (size, packets) = (size(input.bytes), thousands(input.packets));
    let what = say!("overview.input", size = size, packets = packets, when = when).render(lang);
    let name = match &*input.path {
        "-" => say!("overview.standard_input").render(lang),
        path => shortened(path, width),
    };
    match measure_text_width(&name) + SEPARATOR.len() + measure_text_width(&what) <= width {
        true => out.push_str(&paragraph("", &format!("{}{SEPARATOR}{what}", name.bold()), 0, width)),
        false => {
            out.push_str(&paragraph("", &name.bold().to_string(), 0, width));
            out.push_str(&paragraph("", &what, LABEL, width));
        }
    }
    if let Some(damage) = &input.damage {
        let label = format!("  {}", say!("overview.damaged").render(lang));
        out.push_str(&paragraph(&label, &shown(damage).yellow().to_string(), LABEL, width));
    }
}

fn read(summary: &Summary) -> Text {
    let seen = &summary.visibility;
    let (flows, hosts) = (thousands(summary.flows), thousands(summary.hosts));
    let (outbound, internal) = (thousands(seen.outbound_flows), thousands(seen.internal_flows));
    let seconds = format!("{:.1}", summary.elapsed_s);
    let rate = size(per_second(summary.bytes, summary.elapsed_s));
    let flows = say!(
        "overview.flows",
        flows = flows,
        hosts = hosts,
        outbound = outbound,
        internal = internal,
        seconds = seconds,
        rate = rate
    );
    match summary.input.len() {
        0 | 1 => flows,
        many => {
            let packets = thousands(summary.packets);
            Text::of(vec![say!("overview.packets", packets = packets, inputs = many.to_string()), flows])
        }
    }
}

/// What of the input could not be seen, and why.
fn unseen(summary: &Summary) -> Vec<Text> {
    let seen = &summary.visibility;
    let mut unseen = vec![
        say!("overview.loss", share = percent(seen.loss_ratio())),
        say!("overview.one_way", share = percent(summary.one_way_ratio())),
        say!("overview.duplicates", share = percent(summary.duplicate_ratio())),
    ];
    if seen.outbound_flows > 0 {
        unseen.push(say!("overview.nameless", share = percent(seen.sight.nameless())));
    }
    let of = |count: u64| (count > 0).then(|| thousands(count));
    unseen.extend(of(seen.dropped_packets.unwrap_or(0)).map(|n| say!("overview.dropped", n = n)));
    unseen.extend(of(seen.filtered_packets).map(|n| say!("overview.filtered", n = n)));
    unseen.extend(of(seen.truncated_packets).map(|n| say!("overview.truncated", n = n)));
    unseen.extend(of(seen.late_packets).map(|n| say!("overview.late", n = n)));
    unseen.extend(of(seen.evicted_flows).map(|n| say!("overview.evicted_flows", n = n)));
    unseen.extend(of(seen.unread_flows).map(|n| say!("overview.unread", n = n)));
    unseen.extend(of(seen.evicted_entries).map(|n| say!("overview.evicted_entries", n = n)));
    for (reason, count) in &seen.undecoded {
        unseen.push(say!("overview.undecoded", n = thousands(*count), reason = &*shown(reason)));
    }
    unseen
}

fn nothing_inside(summary: &Summary) -> Option<Text> {
    let nothing = summary.hosts == 0 && summary.flows > 0;
    nothing.then(|| if summary.inside.assumed { say!("overview.nobody") } else { say!("overview.nobody_declared") })
}

fn baseline(summary: &Summary) -> Text {
    let known = summary.baseline;
    let (ready, learning, new) = (known.ready.to_string(), known.learning.to_string(), known.new.to_string());
    match known.stage {
        Stage::None => say!("overview.no_baseline"),
        Stage::Learning => say!("overview.learning", ready = ready, learning = learning, new = new),
        Stage::Ready => say!("overview.ready", ready = ready, learning = learning, new = new),
    }
}

/// By the records' own words.
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
    shown.collect::<Vec<_>>().join(" · ")
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

const SEPARATOR: &str = " · ";
/// Inputs that are told one by one.
const INPUTS: usize = 8;
