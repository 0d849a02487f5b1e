//! HTTP/1.1 messages (RFC 9112).

use std::fmt::Write as _;

/// A browser of the Chromium family on Windows.
pub(crate) const BROWSER: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36";
/// Windows PowerShell 5.1, `Invoke-WebRequest`.
pub(crate) const POWERSHELL: &str = "Mozilla/5.0 (Windows NT; Windows NT 10.0; ja-JP) WindowsPowerShell/5.1.19041.5607";

/// A request; a body brings its length with it.
pub(crate) fn request(method: &str, target: &str, host: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    if !body.is_empty() || method == "POST" {
        write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// A GET with a user agent.
pub(crate) fn get(target: &str, host: &str, agent: &str) -> Vec<u8> {
    request("GET", target, host, &[("User-Agent", agent), ("Accept", "*/*")], &[])
}

/// A response with its length.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = head(status, headers);
    write!(head, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
    [head.as_bytes(), body].concat()
}

/// 200 with a type.
pub(crate) fn ok(kind: &str, body: &[u8]) -> Vec<u8> {
    response("200 OK", &[("Server", "nginx"), ("Content-Type", kind)], body)
}

/// A response in chunks (RFC 9112 §7.1).
pub(crate) fn chunked(status: &str, headers: &[(&str, &str)], chunks: &[&[u8]]) -> Vec<u8> {
    let mut out = head(status, headers).into_bytes();
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    for chunk in chunks {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn head(status: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("HTTP/1.1 {status}\r\nDate: Tue, 03 Mar 2026 00:00:00 GMT\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head
}

/// A page of `length` bytes of harmless text.
pub(crate) fn page(length: usize) -> Vec<u8> {
    let text = "<p>The quick brown fox jumps over the lazy dog.</p>\n";
    let mut out = b"<!doctype html><title>Example</title>\n".to_vec();
    while out.len() < length {
        out.extend_from_slice(text.as_bytes());
    }
    out.truncate(length);
    out
}

/// A PowerShell script of `length` bytes that does nothing: a staging script's looks without its teeth.
pub(crate) fn script(length: usize) -> Vec<u8> {
    let mut out = b"function Invoke-Example {\r\n    param([string]$Name)\r\n".to_vec();
    while out.len() + 3 < length {
        out.extend_from_slice(b"    Write-Output ('nothing to do for ' + $Name)\r\n");
    }
    out.truncate(length.saturating_sub(3));
    out.extend_from_slice(b"}\r\n");
    out
}
