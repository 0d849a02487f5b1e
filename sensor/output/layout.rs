//! Words for people: numbers with separators, sizes, times, and lines that fit the terminal.

use crate::base::Timestamp;
use console::measure_text_width;

/// `2,841,002`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1.9 GB`, in powers of a thousand.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(super) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return if unit == "B" || value >= 99.95 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// `0.3%`; what is there but rounds to nothing is `<0.1%`.
pub(super) fn percent(ratio: f64) -> String {
    match ratio * 100.0 {
        share if share > 0.0 && share < 0.05 => "<0.1%".to_owned(),
        share => format!("{share:.1}%"),
    }
}

/// `2020-09-20 06:57:46`, UTC.
pub(super) fn moment(ts: Timestamp) -> String {
    ts.to_string().replace('T', " ").split('.').next().unwrap_or_default().to_owned()
}

/// `2020-09-20 06:57:46 – 06:57:48`: the date again only where it differs.
pub(super) fn period(first: Timestamp, last: Timestamp) -> String {
    let (from, to) = (moment(first), moment(last));
    match to.split_once(' ') {
        _ if from == to => from,
        Some((day, time)) if from.starts_with(day) => format!("{from} – {time}"),
        _ => format!("{from} – {to}"),
    }
}

/// `text` in lines of at most `width` columns, the first after `label`, all at the same indent. A number stays with its
/// unit; a word that is longer than a line is broken, and Japanese between any two characters that may be parted.
pub(super) fn paragraph(label: &str, text: &str, indent: usize, width: usize) -> String {
    let room = width.saturating_sub(indent).max(NARROWEST);
    let mut lines = vec![String::new()];
    for word in glued(text) {
        let mut between = " ";
        for piece in parts(&word).iter().flat_map(|part| pieces(part, room)) {
            let taken = |line: &String| measure_text_width(line) + between.len() + measure_text_width(&piece);
            match lines.last_mut().filter(|line| line.is_empty() || taken(line) <= room) {
                Some(line) if line.is_empty() => line.push_str(&piece),
                Some(line) => line.extend([between, &piece]),
                None => lines.push(piece),
            }
            between = "";
        }
    }
    let blank = " ".repeat(indent);
    let first = format!("{label}{}", " ".repeat(indent.saturating_sub(measure_text_width(label))));
    let mut out = String::new();
    for (n, line) in lines.iter().enumerate() {
        out.extend([if n == 0 { first.as_str() } else { blank.as_str() }, line.as_str(), "\n"]);
    }
    out
}

/// The words of `text`; a number and the unit after it, `5.2 s`, are one.
fn glued(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let is_unit = UNITS.contains(&word.trim_end_matches([',', ';', '.', ')']));
        match words.last_mut().filter(|last| is_unit && last.ends_with(|c: char| c.is_ascii_digit())) {
            Some(number) => number.extend([" ", word]),
            None => words.push(word.to_owned()),
        }
    }
    words
}

/// A word where it may be parted: before a wide character, unless that closes something.
fn parts(word: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut wide_before = false;
    for c in word.chars() {
        let wide = measure_text_width(c.encode_utf8(&mut [0; 4])) > 1;
        match parts.last_mut().filter(|_| !(wide || wide_before) || CLOSING.contains(c)) {
            Some(part) => part.push(c),
            None => parts.push(c.into()),
        }
        wide_before = wide;
    }
    parts
}

/// What no line begins with.
const CLOSING: &str = "、。）」』】・ー～：；？！,.:;)]}%";
const UNITS: &[&str] = &["ms", "s", "min", "h", "d", "B", "kB", "MB", "GB", "TB", "UTC", "hosts", "flows", "packets"];

/// A word in pieces of at most `room` columns.
fn pieces(word: &str, room: usize) -> Vec<String> {
    if measure_text_width(word) <= room {
        return vec![word.to_owned()];
    }
    let mut pieces = vec![String::new()];
    for c in word.chars() {
        let full = |piece: &String| measure_text_width(piece) >= room.saturating_sub(1).max(1);
        match pieces.last_mut().filter(|piece| !full(piece)) {
            Some(piece) => piece.push(c),
            None => pieces.push(c.to_string()),
        }
    }
    pieces
}

/// A column narrower than this cannot be read; lines then overrun.
const NARROWEST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 2_841_002].map(thousands), ["0", "999", "1,000", "2,841,002"]);
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (71_200_000, "71.2 MB"),
            (999_600_000, "1.0 GB"),
            (4_000_000_000_000, "4.0 TB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!([0.0, 0.0001, 0.003, 1.0].map(percent), ["0.0%", "<0.1%", "0.3%", "100.0%"]);
    }

    #[test]
    fn a_period_names_the_day_once() {
        let at = Timestamp::from_secs;
        assert_eq!(period(at(0), at(0)), "1970-01-01 00:00:00");
        assert_eq!(period(at(0), at(61)), "1970-01-01 00:00:00 – 00:01:01");
        assert_eq!(period(at(0), at(86_400)), "1970-01-01 00:00:00 – 1970-01-02 00:00:00");
    }

    #[test]
    fn a_number_stays_with_its_unit() {
        assert_eq!(
            paragraph("", "it comes every 5.2 s, at 10:00:00 UTC", 0, 20),
            "it comes every\n5.2 s, at\n10:00:00 UTC\n"
        );
    }

    #[test]
    fn paragraphs_fit_the_width_whatever_the_words() {
        let long = format!("why {} 行方行方行方行方行方行方行方行方行方行方行方行方 end", "x".repeat(100));
        for width in [40, 80, 140] {
            let text = paragraph("  why", &long, 10, width);
            assert!(text.lines().all(|line| measure_text_width(line) <= width), "{width}:\n{text}");
            assert!(text.starts_with("  why     why"), "{text}");
            let joined: String = text.split_whitespace().skip(1).collect();
            assert_eq!(joined, long.replace(' ', ""), "nothing is lost");
        }
    }
}
