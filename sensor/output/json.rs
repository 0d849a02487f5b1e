//! JSON (RFC 8259) straight into a reusable buffer: no value tree, no allocation, no formatting machinery for the
//! common types. Writing records is a first-class cost of a sensor, about half of it on scans.
//!
//! Text comes from the wire. Besides what RFC 8259 §7 demands, DEL, the C1 controls and characters that hide or reorder
//! text are written as `\u` escapes: a parser gives them back unchanged, a terminal that shows the file obeys none.

use super::escape::is_deceptive;
use crate::base::Timestamp;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

/// An object being written. Empty text and absent values leave their key out, as the output contract demands.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    /// Opens an object; [`Object::close`] ends it.
    pub(super) fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Ends the object.
    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Writes the key and gives the buffer for one value.
    #[inline(always)] // Keys are constants, and so are their lengths where it is inlined.
    pub(super) fn key(&mut self, key: &'static str) -> &mut Vec<u8> {
        self.out.extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Text, left out when empty.
    pub(super) fn text(&mut self, key: &'static str, value: &str) {
        if !value.is_empty() {
            text(self.key(key), value);
        }
    }

    /// Text, left out when unknown or empty.
    pub(super) fn known<T: AsRef<str>>(&mut self, key: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.text(key, value.as_ref());
        }
    }

    /// A list of texts, left out when empty.
    pub(super) fn texts<T: AsRef<str>>(&mut self, key: &'static str, values: impl IntoIterator<Item = T>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            list(self.key(key), values, |out, value| text(out, value.as_ref()));
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &'static str, value: impl Into<u64>) {
        number(self.key(key), value.into());
    }

    /// A whole number, left out when unknown.
    pub(super) fn known_number(&mut self, key: &'static str, value: Option<impl Into<u64>>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// A list of whole numbers, left out when empty.
    pub(super) fn numbers(&mut self, key: &'static str, values: &[u32]) {
        if !values.is_empty() {
            list(self.key(key), values, |out, value| number(out, u64::from(*value)));
        }
    }

    /// A real number, left out when it is not finite.
    pub(super) fn real(&mut self, key: &'static str, value: f64) {
        if value.is_finite() {
            real(self.key(key), value);
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str, value: bool) {
        self.key(key).extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A moment, in seconds since the epoch.
    pub(super) fn moment(&mut self, key: &'static str, value: Timestamp) {
        let out = self.key(key);
        if value.0 < 0 {
            out.push(b'-');
        }
        seconds(out, value.0.unsigned_abs());
    }

    /// A span, in seconds.
    pub(super) fn span(&mut self, key: &'static str, value: Duration) {
        seconds(self.key(key), u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
    }

    /// An address; IPv6 as RFC 5952.
    pub(super) fn ip(&mut self, key: &'static str, value: IpAddr) {
        quoted_ip(self.key(key), value);
    }

    /// A list of addresses, left out when empty.
    pub(super) fn ips(&mut self, key: &'static str, values: &[IpAddr]) {
        if !values.is_empty() {
            list(self.key(key), values, |out, value| quoted_ip(out, *value));
        }
    }

    /// A nested object, filled by `fill`.
    pub(super) fn object(&mut self, key: &'static str, fill: impl FnOnce(&mut Object<'_>)) {
        object(self.key(key), fill);
    }

    /// A list of objects, left out when empty.
    pub(super) fn objects<T>(
        &mut self,
        key: &'static str,
        values: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Object<'_>, T),
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            list(self.key(key), values, |out, value| object(out, |one| fill(one, value)));
        }
    }
}

/// `[…]`, each value written by `each`.
pub(super) fn list<T>(out: &mut Vec<u8>, values: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Vec<u8>, T)) {
    let mut before = b'[';
    for value in values {
        out.push(before);
        each(out, value);
        before = b',';
    }
    if before == b'[' {
        out.push(before);
    }
    out.push(b']');
}

/// `{…}`, filled by `fill`.
pub(super) fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    let mut object = Object::open(out);
    fill(&mut object);
    object.close();
}

/// A string in quotes.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        text.chars().for_each(|c| escaped(out, c));
    }
    out.push(b'"');
}

/// Most text from the wire is plain ASCII and copied whole.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte < 0x7f && byte != b'"' && byte != b'\\'
}

#[cold]
fn escaped(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        c if is_deceptive(c) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                out.extend([12, 8, 4, 0].map(|shift| hex_digit(*unit >> shift)));
            }
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn hex_digit(nibble: u16) -> u8 {
    b"0123456789abcdef".get(usize::from(nibble & 0xf)).copied().unwrap_or(b'0')
}

/// Any value that was read before, its text escaped as ours.
pub(super) fn value(out: &mut Vec<u8>, value: &serde_json::Value) {
    match value {
        serde_json::Value::String(said) => text(out, said),
        serde_json::Value::Array(values) => list(out, values, self::value),
        serde_json::Value::Object(fields) => {
            out.push(b'{');
            for (n, (key, one)) in fields.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                text(out, key);
                out.push(b':');
                self::value(out, one);
            }
            out.push(b'}');
        }
        plain => {
            let _ = write!(out, "{plain}"); // Writing to a Vec cannot fail.
        }
    }
}

/// A whole number.
pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A real number, shortest form that reads back the same; `null` cannot happen in a record, so not finite is 0.
pub(super) fn real(out: &mut Vec<u8>, value: f64) {
    let value = if value.is_finite() { value } else { 0.0 };
    let _ = write!(out, "{value}"); // Writing to a Vec cannot fail.
}

/// Nanoseconds as seconds with six decimals, nine where the capture has them.
fn seconds(out: &mut Vec<u8>, nanos: u64) {
    number(out, nanos / NANOS);
    out.push(b'.');
    let (fraction, digits) = match nanos % NANOS {
        fraction if fraction % 1000 == 0 => (fraction / 1000, 6),
        fraction => (fraction, 9),
    };
    let mut buffer = itoa::Buffer::new();
    let written = buffer.format(fraction).as_bytes();
    out.extend(std::iter::repeat_n(b'0', digits - written.len().min(digits)));
    out.extend_from_slice(written);
}

const NANOS: u64 = 1_000_000_000;

fn quoted_ip(out: &mut Vec<u8>, ip: IpAddr) {
    out.push(b'"');
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets().map(u64::from);
            number(out, a);
            for octet in [b, c, d] {
                out.push(b'.');
                number(out, octet);
            }
        }
        IpAddr::V6(ip) => {
            let _ = write!(out, "{ip}"); // Writing to a Vec cannot fail.
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(fill: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        object(&mut out, fill);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_as_the_contract_words_them() {
        let ip = |text: &str| text.parse().unwrap();
        for (what, got, expected) in [
            ("nothing", written(|_| {}), r#"{}"#),
            (
                "microseconds",
                written(|o| o.moment("ts", Timestamp::new(1_600_585_066, 5_000))),
                r#"{"ts":1600585066.000005}"#,
            ),
            ("nanoseconds", written(|o| o.moment("ts", Timestamp::new(1, 5))), r#"{"ts":1.000000005}"#),
            ("whole seconds", written(|o| o.moment("ts", Timestamp::from_secs(7))), r#"{"ts":7.000000}"#),
            ("before 1970", written(|o| o.moment("ts", Timestamp(-1_500_000_000))), r#"{"ts":-1.500000}"#),
            ("a span", written(|o| o.span("rtt", Duration::from_micros(1234))), r#"{"rtt":0.001234}"#),
            ("IPv4", written(|o| o.ip("a", ip("10.0.255.1"))), r#"{"a":"10.0.255.1"}"#),
            ("IPv6, RFC 5952", written(|o| o.ip("a", ip("2001:0DB8:0:0:1:0:0:1"))), r#"{"a":"2001:db8::1:0:0:1"}"#),
            ("empty text", written(|o| o.text("a", "")), r#"{}"#),
            ("unknown text", written(|o| o.known("a", None::<&str>)), r#"{}"#),
            ("an empty list", written(|o| o.texts("a", [""; 0])), r#"{}"#),
            ("a list", written(|o| o.texts("a", ["x", "y"])), r#"{"a":["x","y"]}"#),
            ("not a number", written(|o| o.real("a", f64::NAN)), r#"{}"#),
            ("two keys", written(|o| (o.number("a", 0_u64), o.flag("b", true)).1), r#"{"a":0,"b":true}"#),
        ] {
            assert_eq!(got, expected, "{what}");
        }
    }

    #[test]
    fn text_that_would_command_a_terminal_is_escaped() {
        for (what, hostile, expected) in [
            ("quote and backslash", "a\"b\\c", r#""a\"b\\c""#),
            ("line breaks", "a\r\n\tb", r#""a\r\n\tb""#),
            ("an escape sequence", "\u{1b}[2J", r#""\u001b[2J""#),
            ("a C1 control sequence", "\u{9b}31m", r#""\u009b31m""#),
            ("delete", "\u{7f}", r#""\u007f""#),
            ("right-to-left override", "a\u{202e}gpj.exe", r#""a\u202egpj.exe""#),
            ("a tag character beyond the first plane", "\u{e0041}", r#""\udb40\udc41""#),
            ("ordinary Japanese", "行方", "\"行方\""),
        ] {
            let mut out = Vec::new();
            text(&mut out, hostile);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back_equal(any in ".*", odd in prop::collection::vec(any::<char>(), 0..64)) {
            for value in [any, odd.into_iter().collect::<String>()] {
                let mut out = Vec::new();
                text(&mut out, &value);
                prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), value);
            }
        }

        #[test]
        fn any_moment_and_number_read_back(nanos: i64, real: f64) {
            let text = written(|o| { o.moment("ts", Timestamp(nanos)); o.real("r", real); });
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert!((value["ts"].as_f64().unwrap() - Timestamp(nanos).as_secs_f64()).abs() < 1e-3);
            // The reading side may be off by one in the last place, so equal means equal to twelve digits.
            let read = value.get("r").and_then(serde_json::Value::as_f64);
            prop_assert!(read.map_or_else(|| !real.is_finite(), |r| (r - real).abs() <= real.abs() * 1e-12));
        }
    }
}
