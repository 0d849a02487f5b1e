//! Text from the wire, made harmless for a terminal. An SNI or host name is the attacker's to choose: it may carry
//! escape sequences that clear the screen or retype the prompt, line breaks that forge a line of ours, and characters
//! that reorder or hide what is shown.

use std::borrow::Cow;

/// The text with every character that commands, reorders or hides replaced by its code: `\u{1b}`, `\u{202e}`.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_add(16));
    for c in text.chars() {
        match is_deceptive(c) {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A JSON document with every such character inside its texts written as `\\u` escapes: a parser gives them back
/// unchanged, and whoever prints the document as it is obeys none.
pub(crate) fn harmless_json(document: &str) -> Cow<'_, str> {
    if !document.chars().any(is_deceptive) {
        return Cow::Borrowed(document);
    }
    let mut out = String::with_capacity(document.len().saturating_add(16));
    for c in document.chars() {
        match is_deceptive(c) {
            // Outside texts JSON has no such characters, and inside them a writer has escaped all below U+0020.
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same, cut in the middle to at most `width` characters: both ends of a name tell something.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let text = shown(text);
    let count = text.chars().count();
    if count <= width {
        return text.into_owned();
    }
    let kept = width.saturating_sub(1);
    let head = kept.div_ceil(2);
    let tail = count.saturating_sub(kept - head);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(tail).collect();
    format!("{start}…{end}")
}

/// Controls (C0, DEL, C1), line and paragraph separators, and the format characters of Unicode 16 that are invisible
/// or reorder text: bidirectional marks, embeddings, overrides and isolates (UAX #9), zero-width characters, soft
/// hyphen, tags, fillers and variation selectors' supplement.
pub(super) const fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_are_shown_as_codes() {
        for (what, hostile, expected) in [
            ("clears the screen", "\u{1b}[2J\u{1b}[Hexample", r"\u{1b}[2J\u{1b}[Hexample"),
            ("sets the window title", "\u{1b}]0;pwned\u{7}", r"\u{1b}]0;pwned\u{7}"),
            ("the same by a C1 control", "\u{9d}0;pwned\u{9c}", r"\u{9d}0;pwned\u{9c}"),
            ("forges a line", "x\nCRITICAL all is well", r"x\u{a}CRITICAL all is well"),
            ("overwrites the line", "x\rok", r"x\u{d}ok"),
            ("reorders", "exe.\u{202e}gpj", r"exe.\u{202e}gpj"),
            ("hides", "pay\u{200b}pal.example", r"pay\u{200b}pal.example"),
            ("is ordinary", "www.example.co.jp", "www.example.co.jp"),
            ("is Japanese", "行方.example", "行方.example"),
        ] {
            assert_eq!(shown(hostile), expected, "a name that {what}");
        }
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("abcdefghij", 10), "abcdefghij");
        assert_eq!(shortened("abcdefghij", 7), "abc…hij");
        assert_eq!(shortened("abcdefghij", 1), "…");
    }

    proptest! {
        #[test]
        fn nothing_deceptive_gets_through(text in prop::collection::vec(any::<char>(), 0..64), width in 0_usize..40) {
            let text: String = text.into_iter().collect();
            prop_assert!(!shown(&text).chars().any(is_deceptive));
            let short = shortened(&text, width);
            prop_assert!(!short.chars().any(is_deceptive) && short.chars().count() <= width.max(1));
        }
    }
}
