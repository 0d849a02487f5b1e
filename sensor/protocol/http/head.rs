//! HTTP/1 heads (RFC 9112 §2–5), read as leniently as servers do: bare LF, odd names, missing colons.
//!
//! A walk of our own: a strict library rejects the very heads that malware and cheap devices send.

use crate::base::Reader;

/// Where a head ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Head(Head<'a>),
    /// The empty line has not come.
    Incomplete,
}

/// A whole head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// Its length, empty line included.
    pub(super) len: usize,
    /// The first line.
    pub(super) start: &'a [u8],
    /// The lines after it.
    lines: &'a [u8],
}

/// Finds the head that `data` begins with.
pub(super) fn find(data: &[u8]) -> Found<'_> {
    let mut r = Reader::new(data);
    let Some(start) = r.line(MAX_HEAD) else { return Found::Incomplete };
    let lines = r.rest();
    let mut len = 0;
    // Each turn takes a line, so `data` bounds the loop.
    while let Some(line) = r.line(MAX_HEAD) {
        if is_blank(line) {
            return Found::Head(Head { len: r.position(), start, lines: lines.get(..len).unwrap_or_default() });
        }
        len = lines.len().saturating_sub(r.remaining());
    }
    Found::Incomplete
}

/// Some servers end a head with CR more than once.
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| *b == b'\r')
}

/// A request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
}

impl<'a> RequestLine<'a> {
    /// RFC 9112 §3: method, target, version. Spaces within the target are taken as written by the client, save for
    /// CONNECT, whose target is an authority.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii();
        let space = line.iter().position(|b| *b == b' ')?;
        let (method, rest) = line.split_at_checked(space)?;
        let version = rest.iter().rposition(|b| *b == b' ')?;
        let (target, version) = rest.split_at_checked(version)?;
        let mut target = target.trim_ascii();
        if target.is_empty() {
            return Self::of_two_words(method, version.trim_ascii());
        }
        if method == b"CONNECT" {
            target = target.split(|b| *b == b' ').next()?;
        }
        let good = is_token(method) && !target.is_empty() && is_version(version.trim_ascii());
        good.then_some(Self { method, target })
    }

    /// `OPTIONS HTTP/1.1`, `GET /HTTP/1.0`: something is missing, but a server will answer it with 400.
    fn of_two_words(method: &'a [u8], target: &'a [u8]) -> Option<Self> {
        let at = target.len().checked_sub(b"HTTP/1.1".len())?;
        let good = is_token(method) && target.get(at..).is_some_and(is_version);
        good.then_some(Self { method, target })
    }

    /// HTTP/0.9 (RFC 1945 §4.1): GET, a path, and the line is the whole request.
    pub(super) fn simple(line: &'a [u8]) -> Option<Self> {
        let target = line.strip_prefix(b"GET ")?.trim_ascii();
        let plain = target.starts_with(b"/") && target.iter().all(u8::is_ascii_graphic);
        plain.then_some(Self { method: b"GET", target })
    }
}

/// Status code of a status line (RFC 9112 §4).
pub(super) fn status(line: &[u8]) -> Option<u16> {
    let mut words = line.split(|b| b.is_ascii_whitespace() || *b == 0).filter(|word| !word.is_empty());
    if !is_version(words.next()?) {
        return None;
    }
    let code = words.next()?;
    let number = std::str::from_utf8(code.get(..3)?).ok()?.parse().ok()?;
    (code.len() == 3 && (100..1000).contains(&number)).then_some(number)
}

/// `HTTP/1.1` and its relatives, damaged or invented ones too; not `RTSP/1.0`, `SIP/2.0`, `ICAP/1.0`.
fn is_version(word: &[u8]) -> bool {
    let number = word.get(..5).filter(|name| name.eq_ignore_ascii_case(b"HTTP/")).and_then(|_| word.get(5..));
    number.is_some_and(|number| number.len() <= 8 && number.first().is_some_and(u8::is_ascii_digit))
}

/// RFC 9110 §5.6.2, with a limit on length.
pub(super) fn is_token(word: &[u8]) -> bool {
    let good = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !word.is_empty() && word.len() <= MAX_METHOD && word.iter().all(good)
}

/// The header fields that matter here. The first of a name counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) user_agent: Option<&'a [u8]>,
    pub(super) content_type: Option<&'a [u8]>,
    pub(super) content_encoding: Option<&'a [u8]>,
    pub(super) content_length: Option<u64>,
    pub(super) upgrade: Option<&'a [u8]>,
    pub(super) chunked: bool,
    /// Any transfer coding, chunked or not.
    pub(super) coded: bool,
    pub(super) expects_continue: bool,
    /// Credentials and challenges.
    pub(super) auth: Vec<&'a [u8]>,
}

impl<'a> Head<'a> {
    pub(super) fn fields(&self) -> Fields<'a> {
        let mut fields = Fields::default();
        let mut r = Reader::new(self.lines);
        while let Some(line) = r.line(MAX_HEAD) {
            let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
            let Some((name, value)) = line.split_at_checked(colon) else { continue };
            let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
            fields.note(name.trim_ascii_end(), value);
        }
        fields
    }
}

impl<'a> Fields<'a> {
    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let text = (!value.is_empty()).then_some(value);
        match name.len() {
            4 if is("Host") => self.host = self.host.or(text),
            6 if is("Expect") => self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            7 if is("Upgrade") => self.upgrade = self.upgrade.or(text),
            10 if is("User-Agent") => self.user_agent = self.user_agent.or(text),
            12 if is("Content-Type") => self.content_type = self.content_type.or(text),
            14 if is("Content-Length") => self.content_length = self.content_length.or_else(|| number(value)),
            16 if is("Content-Encoding") => self.content_encoding = self.content_encoding.or(text),
            17 if is("Transfer-Encoding") => {
                self.coded |= !value.eq_ignore_ascii_case(b"identity");
                // It has to be the last coding, but servers look for it anywhere.
                let mut codings = value.split(|b| *b == b',');
                self.chunked |= codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            }
            13 if is("Authorization") => self.auth.extend(text),
            16 if is("WWW-Authenticate") => self.auth.extend(text),
            18 if is("Proxy-Authenticate") => self.auth.extend(text),
            19 if is("Proxy-Authorization") => self.auth.extend(text),
            _ => {}
        }
    }
}

/// A decimal number; lists of one and the same number are a known oddity (RFC 9110 §8.6).
fn number(value: &[u8]) -> Option<u64> {
    let first = value.split(|b| *b == b',').next()?.trim_ascii();
    if first.is_empty() || !first.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(first).ok()?.parse().ok()
}

/// Servers take 8 to 32 KiB; cookies and Kerberos tickets make the rest.
pub(super) const MAX_HEAD: usize = 65_536;
/// The longest registered method, `UPDATEREDIRECTREF`, has 17 letters.
pub(super) const MAX_METHOD: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_at_an_empty_line_however_it_ends() {
        for (what, data, len) in [
            ("by the book", &b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody"[..], Some(24)),
            ("bare LF", b"GET / HTTP/1.1\nA: b\n\nbody", Some(21)),
            ("both", b"GET / HTTP/1.1\r\nA: b\n\r\nbody", Some(23)),
            ("CR twice", b"GET / HTTP/1.1\r\nA: b\n\r\r\nbody", Some(24)),
            ("no fields", b"GET / HTTP/1.1\r\n\r\n", Some(18)),
            ("not yet", b"GET / HTTP/1.1\r\nA: b\r\n\r", None),
        ] {
            let found = match find(data) {
                Found::Head(head) => Some(head.len),
                Found::Incomplete => None,
            };
            assert_eq!(found, len, "{what}");
        }
    }

    #[test]
    fn request_lines_are_read_as_servers_do() {
        for (line, expected) in [
            ("GET / HTTP/1.1", Some(("GET", "/"))),
            ("GET  /a b  HTTP/1.0", Some(("GET", "/a b"))),
            ("M-SEARCH * HTTP/1.1", Some(("M-SEARCH", "*"))),
            ("CONNECT a.example:443 HTTP/1.1", Some(("CONNECT", "a.example:443"))),
            ("CONNECT a.example:25 / HTTP/1.0", Some(("CONNECT", "a.example:25"))),
            ("GET /a HTTP/1.0.8", Some(("GET", "/a"))),
            ("OPTIONS HTTP/1.1", Some(("OPTIONS", "HTTP/1.1"))),
            ("BPOST /HTTP/1.1", Some(("BPOST", "/HTTP/1.1"))),
            ("OPTIONS sip:a@b SIP/2.0", None),
            ("DESCRIBE rtsp://a RTSP/1.0", None),
            ("GET /", None),
            ("{\"a\": 1 HTTP/1.1", None),
        ] {
            let got = RequestLine::parse(line.as_bytes());
            assert_eq!(
                got.map(|l| (l.method, l.target)),
                expected.map(|(m, t)| (m.as_bytes(), t.as_bytes())),
                "{line}"
            );
        }
    }

    #[test]
    fn status_lines_need_a_version_and_three_digits() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK", Some(200)),
            ("HTTP/1.0 404", Some(404)),
            ("HTTP/1.1  301 ", Some(301)),
            ("HTTP/1.1\t 200 OK", Some(200)),
            ("HTTP/1.1\0 200 OK", Some(200)),
            ("HTTP/1.1 200\rX: y", Some(200)),
            ("HTTP/1.1 20 OK", None),
            ("HTTP/1.1 2000 OK", None),
            ("RTSP/1.0 200 OK", None),
        ] {
            assert_eq!(status(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn fields_are_found_whatever_their_case_and_company() {
        let head = b"POST / HTTP/1.1\r\nhOsT : a.example\r\nnonsense\r\nCONTENT-LENGTH: 5, 5\r\n\
            Transfer-Encoding: gzip, Chunked\r\nUser-Agent:\tx y\r\nHost: b\r\nAuthorization: NTLM AAAA\r\n\r\n";
        let Found::Head(head) = find(head) else { panic!() };
        let fields = head.fields();
        assert_eq!((fields.host, fields.user_agent), (Some(&b"a.example"[..]), Some(&b"x y"[..])));
        assert_eq!((fields.content_length, fields.chunked, fields.coded), (Some(5), true, true));
        assert_eq!(fields.auth, [b"NTLM AAAA"]);
    }
}
