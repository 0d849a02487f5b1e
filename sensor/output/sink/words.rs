//! An alert in one line of a SIEM's words: the record itself, CEF or LEEF.
//!
//! CEF (ArcSight Common Event Format, version 0): `|` and `\` are escaped in the header, `=` and `\` in values.
//! LEEF 2.0 (QRadar): the delimiter is named in the header; values know no escape, so the delimiter becomes a space.
//! Text from the wire is shown with its control characters as codes, as in [`shown`].

use super::told::Told;
use crate::base::Timestamp;
use crate::detect::Severity;
use crate::output::escape::shown;
use serde::Deserialize;
use std::fmt::Write as _;

/// How a line is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Words {
    Json,
    Cef,
    Leef,
}

impl Words {
    /// The alert in these words, in at most `most` bytes where they can be shortened.
    pub(super) fn of(self, told: &Told, most: usize) -> Vec<u8> {
        match self {
            Self::Json if told.line.len() <= most => told.line.clone(),
            Self::Json => told.shortened(),
            Self::Cef => cut(cef(told), most),
            Self::Leef => cut(leef(told), most),
        }
    }
}

fn cef(told: &Told) -> Vec<u8> {
    let head = |text: &str| shown(text).replace('\\', r"\\").replace('|', r"\|");
    let mut line = format!(
        "CEF:0|yukue|yukue|{VERSION}|{}|{}|{}|",
        head(&told.detector),
        head(&told.title),
        tenths(told.severity)
    );
    for (n, (key, value)) in fields(told, &CEF).into_iter().enumerate() {
        let value = shown(&value).replace('\\', r"\\").replace('=', r"\=");
        let _ = write!(line, "{}{key}={value}", if n > 0 { " " } else { "" }); // Writing to a String cannot fail.
    }
    line.into_bytes()
}

fn leef(told: &Told) -> Vec<u8> {
    let clean = |text: &str, reserved: char| shown(text).replace(reserved, " ");
    let mut line = format!("LEEF:2.0|yukue|yukue|{VERSION}|{}|{DELIMITER}|", clean(&told.detector, '|'));
    for (n, (key, value)) in fields(told, &LEEF).into_iter().enumerate() {
        let before = if n > 0 { "^" } else { "" };
        let _ = write!(line, "{before}{key}={}", clean(&value, DELIMITER)); // Writing to a String cannot fail.
    }
    line.into_bytes()
}

/// What the two call the same thing.
struct Names {
    id: &'static str,
    time: fn(&Told) -> Vec<(&'static str, String)>,
    src: &'static str,
    src_name: &'static str,
    dst: &'static str,
    dst_name: &'static str,
    severity: Option<&'static str>,
    custom: fn(&'static str, u8, String) -> Vec<(&'static str, String)>,
    message: &'static str,
}

const CEF: Names = Names {
    id: "externalId",
    time: |told| vec![("start", millis(told.first_seen())), ("end", millis(told.last_seen()))],
    src: "src",
    src_name: "shost",
    dst: "dst",
    dst_name: "dhost",
    severity: None,
    custom: |label, n, value| match CUSTOM.get(usize::from(n)) {
        Some((key, name)) => vec![(key, value), (name, label.to_owned())],
        None => Vec::new(),
    },
    message: "msg",
};

const LEEF: Names = Names {
    id: "externalId",
    time: |told| vec![("devTime", millis(told.last_seen())), ("firstSeen", millis(told.first_seen()))],
    src: "src",
    src_name: "identHostName",
    dst: "dst",
    dst_name: "dstName",
    severity: Some("sev"),
    custom: |label, _, value| vec![(label, value)],
    message: "msg",
};

const CUSTOM: &[(&str, &str)] = &[
    ("cs1", "cs1Label"),
    ("cs2", "cs2Label"),
    ("cs3", "cs3Label"),
    ("cs4", "cs4Label"),
    ("cs5", "cs5Label"),
    ("cs6", "cs6Label"),
];

/// Who did it comes first: an affected host, else the server; the server is the source when hosts are its victims only.
fn fields(told: &Told, names: &Names) -> Vec<(&'static str, String)> {
    let mut fields = vec![(names.id, told.id.clone())];
    fields.extend((names.time)(told));
    if let Some(key) = names.severity {
        fields.push((key, tenths(told.severity).to_string()));
    }
    let from = told.named("affected_host").or_else(|| told.named("staging_server"));
    let to = told.named("destination").or_else(|| told.named("resolver"));
    for (named, ip, name) in [(from, names.src, names.src_name), (to, names.dst, names.dst_name)] {
        let Some(named) = named else { continue };
        fields.extend(named.ip.map(|address| (ip, address.to_string())));
        fields.extend(named.name.clone().map(|text| (name, text)));
    }
    let server = told.named("staging_server");
    let server = server.map(|named| {
        let ip = named.ip.map(|ip| ip.to_string()).unwrap_or_default();
        named.name.as_ref().map_or_else(|| ip.clone(), |name| format!("{name} {ip}"))
    });
    let customs = [
        ("update", Some(told.update.to_string())),
        ("kind", Some(told.kind.clone())),
        ("status", Some(told.status.clone())),
        ("attack", Some(told.attack.join(" ")).filter(|text| !text.is_empty())),
        ("stagingServer", server),
        ("nextStep", told.next_steps.first().cloned()),
    ];
    for (n, (label, value)) in (0..).zip(customs) {
        fields.extend(value.into_iter().flat_map(|value| (names.custom)(label, n, value)));
    }
    fields.push((names.message, told.explanation.clone()));
    fields
}

/// 0 to 10, as CEF and LEEF count.
pub(super) const fn tenths(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    }
}

fn millis(ts: Timestamp) -> String {
    (ts.0 / 1_000_000).to_string()
}

/// Cut between characters; the end is the explanation's.
fn cut(mut line: Vec<u8>, most: usize) -> Vec<u8> {
    let whole = String::from_utf8_lossy(&line);
    let mut end = most.min(whole.len());
    while !whole.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    line.truncate(end);
    line
}

/// Stands in no address, time or number.
const DELIMITER: char = '^';
const VERSION: &str = env!("CARGO_PKG_VERSION");
