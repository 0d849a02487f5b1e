//! Texts for people, in the languages they read: every sentence stands once in `rules/words/en-ja.toml`, in English and in
//! Japanese, and is filled in when it is shown. Code says which sentence and what goes into it.
//!
//! A placeholder is `{name}`; `{name?one|many}` chooses by whether the value is 1. What goes in is never read as a
//! template. What a sentence from the catalogue lacks is shown as its name, so that nothing is hidden and nothing fails.

use super::Word;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Lang {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

/// A sentence of the catalogue, and what goes into it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Text {
    #[serde(with = "super::word")]
    id: Word,
    #[serde(with = "args")]
    args: Vec<(Word, Arg)>,
}

/// What goes into a sentence.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Arg {
    /// The same in every language: a name, an address, a number.
    Plain(Box<str>),
    /// One of the catalogue's `[terms]`, by its English words; what is not there is shown as it is.
    Term(Box<str>),
    /// `a, b and c`.
    List(Vec<Arg>),
    /// Seconds, as `41 s`, `12 min`, `2.0 h`.
    Span(#[serde(with = "super::real")] f64),
    /// Sentences one after the other.
    Texts(Vec<Text>),
}

/// A text of the catalogue: `say!("beacon.title", destination = name)`.
macro_rules! say {
    ($id:literal $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::base::Text::new($id, vec![$((stringify!($key), $crate::base::Arg::from($value))),*])
    };
}
pub(crate) use say;

impl Text {
    pub(crate) const fn new(id: &'static str, args: Vec<(&'static str, Arg)>) -> Self {
        Self { id, args }
    }

    /// Sentences one after the other.
    pub(crate) fn of(all: Vec<Self>) -> Self {
        Self { id: SEQUENCE, args: vec![("", Arg::Texts(all))] }
    }

    /// Words that are in no catalogue.
    #[cfg(test)]
    pub(crate) fn verbatim(words: &str) -> Self {
        Self { id: SEQUENCE, args: vec![("", words.into())] }
    }

    /// The sentence with what goes into it.
    pub(crate) fn render(&self, lang: Lang) -> String {
        if self.id == SEQUENCE {
            return self.args.iter().map(|(_, arg)| arg.render(lang)).collect();
        }
        let Some(template) = CATALOGUE.get(self.id) else { return self.id.to_owned() };
        let mut rest = template.of(lang);
        let mut out = String::with_capacity(rest.len().saturating_mul(2));
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((key, after)) = after.split_once('}') else { break };
            out.push_str(&self.filled(key, lang));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn filled(&self, placeholder: &str, lang: Lang) -> String {
        let (key, choice) =
            placeholder.split_once('?').map_or((placeholder, None), |(key, c)| (key, c.split_once('|')));
        let value = self.args.iter().find(|(name, _)| *name == key).map(|(_, arg)| arg.render(lang));
        match (value, choice) {
            (Some(value), None) => value,
            (Some(value), Some((one, many))) => if value == "1" { one } else { many }.to_owned(),
            (None, _) => format!("{{{placeholder}}}"),
        }
    }
}

/// What goes into a sentence, by name, written down.
mod args {
    use super::super::word;
    use super::{Arg, Word};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct Written<'a>(#[serde(with = "word")] Word, &'a Arg);

    #[derive(Deserialize)]
    struct Read(#[serde(with = "word")] Word, Arg);

    pub(super) fn serialize<S: Serializer>(args: &[(Word, Arg)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(args.iter().map(|(name, arg)| Written(name, arg)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(Word, Arg)>, D::Error> {
        Ok(Vec::<Read>::deserialize(from)?.into_iter().map(|Read(name, arg)| (name, arg)).collect())
    }
}

/// In English, as records have it.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Lang::En))
    }
}

impl Arg {
    /// `a, b and c` of names.
    pub(crate) fn list<T: Into<Self>>(all: impl IntoIterator<Item = T>) -> Self {
        Self::List(all.into_iter().map(Into::into).collect())
    }

    pub(crate) fn term(words: &str) -> Self {
        Self::Term(words.into())
    }

    /// Its words.
    pub(crate) fn render(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Plain(text), _) => text.to_string(),
            (Self::Term(words), Lang::Ja) => TERMS.get(&**words).map_or_else(|| words.to_string(), Clone::clone),
            (Self::Term(words), Lang::En) => words.to_string(),
            (Self::List(all), lang) => {
                let all: Vec<String> = all.iter().map(|one| one.render(lang)).collect();
                match (all.as_slice(), lang) {
                    ([head @ .., last], Lang::En) if !head.is_empty() => format!("{} and {last}", head.join(", ")),
                    (all, Lang::En) => all.join(", "),
                    (all, Lang::Ja) => all.join("、"),
                }
            }
            (Self::Span(s), lang) => span(*s, lang),
            (Self::Texts(all), lang) => {
                let all: Vec<String> = all.iter().map(|text| text.render(lang)).collect();
                all.join(if lang == Lang::En { " " } else { "" })
            }
        }
    }
}

/// `0.4 s`, `41 s`, `12 min`, `2.0 h`, `3.1 days`.
fn span(s: f64, lang: Lang) -> String {
    let (value, english, japanese) = match s {
        s if s < 9.95 => (format!("{s:.1}"), "s", "秒"),
        s if s < 120.0 => (format!("{s:.0}"), "s", "秒"),
        s if s < 7200.0 => (format!("{:.0}", s / 60.0), "min", "分"),
        s if s < 172_800.0 => (format!("{:.1}", s / 3600.0), "h", "時間"),
        s => (format!("{:.1}", s / 86_400.0), "days", "日"),
    };
    match lang {
        Lang::En => format!("{value} {english}"),
        Lang::Ja => format!("{value} {japanese}"),
    }
}

macro_rules! plain {
    ($($kind:ty),+) => { $(impl From<$kind> for Arg {
        fn from(value: $kind) -> Self {
            Self::Plain(value.to_string().into())
        }
    })+ };
}
plain!(&str, String, &String, &Box<str>, u16, u32, u64, usize, std::net::IpAddr);

impl From<Text> for Arg {
    fn from(text: Text) -> Self {
        Self::Texts(vec![text])
    }
}

impl From<Vec<Text>> for Arg {
    fn from(texts: Vec<Text>) -> Self {
        Self::Texts(texts)
    }
}

/// Several sentences, of no name themselves.
const SEQUENCE: &str = "";

/// A sentence in both languages.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    en: String,
    ja: String,
}

impl Template {
    fn of(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Ja => &self.ja,
        }
    }
}

#[derive(Default, serde::Deserialize)]
struct File {
    terms: BTreeMap<String, String>,
    #[serde(flatten)]
    sentences: BTreeMap<String, BTreeMap<String, Template>>,
}

/// What is compiled in is right, or a test fails.
fn file() -> File {
    toml::from_str(include_str!("../../rules/words/en-ja.toml")).unwrap_or_default()
}

static CATALOGUE: LazyLock<BTreeMap<String, Template>> = LazyLock::new(|| {
    let of = |(part, all): (String, BTreeMap<String, Template>)| {
        all.into_iter().map(move |(name, template)| (format!("{part}.{name}"), template))
    };
    file().sentences.into_iter().flat_map(of).collect()
});

static TERMS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| file().terms);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn placeholders(template: &str) -> BTreeSet<&str> {
        let keys = template.split('{').skip(1).filter_map(|part| part.split_once('}'));
        keys.map(|(key, _)| key.split_once('?').map_or(key, |(key, _)| key)).collect()
    }

    #[test]
    fn both_languages_say_the_same_things() {
        assert!(CATALOGUE.len() > 50, "{} sentences", CATALOGUE.len());
        for (id, template) in &*CATALOGUE {
            assert_eq!(placeholders(&template.en), placeholders(&template.ja), "{id}");
            assert!(!template.ja.is_ascii(), "{id} is not Japanese");
        }
    }

    /// Each `say!` of the code with what it hands over: `("beacon.title", ["destination"])`.
    fn said() -> Vec<(String, BTreeSet<String>)> {
        let mut said = Vec::new();
        for entry in ["alert", "campaign", "detect", "output", "profile"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sensor").join(entry);
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.is_dir() {
                    continue; // Formats and transports: they say nothing of their own.
                }
                let text = std::fs::read_to_string(path).unwrap();
                for call in text.split("say!(").skip(1) {
                    let Some((id, rest)) = call.trim_start().strip_prefix('"').and_then(|c| c.split_once('"')) else {
                        continue;
                    };
                    said.push((id.to_owned(), keys(rest)));
                }
            }
        }
        said
    }

    /// Names before `=` at the outermost level of a call.
    fn keys(call: &str) -> BTreeSet<String> {
        let (mut depth, mut keys, mut word) = (0_i32, BTreeSet::new(), String::new());
        for (at, c) in call.char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                '=' if depth == 0 && !matches!(call.as_bytes().get(at + 1), Some(b'=' | b'>')) => {
                    let before = call.as_bytes().get(at.wrapping_sub(1));
                    if before == Some(&b' ') && !word.trim().is_empty() {
                        keys.insert(word.trim().to_owned());
                    }
                }
                ',' if depth == 0 => word.clear(),
                c if depth == 0 => word.push(c),
                _ => {}
            }
        }
        keys
    }

    #[test]
    fn what_the_code_says_is_in_the_catalogue_and_the_other_way_round() {
        let said = said();
        for (id, handed) in &said {
            let template = CATALOGUE.get(id).unwrap_or_else(|| panic!("{id} is not in rules/words/en-ja.toml"));
            let wanted: BTreeSet<String> = placeholders(&template.en).into_iter().map(str::to_owned).collect();
            assert_eq!(*handed, wanted, "{id}");
        }
        let unsaid: Vec<_> = CATALOGUE.keys().filter(|id| !said.iter().any(|(s, _)| s == *id)).collect();
        assert!(unsaid.is_empty(), "nobody says {unsaid:?}");
    }

    #[test]
    fn numbers_lists_and_spans_read_as_people_write_them() {
        for (arg, english, japanese) in [
            (Arg::list(["a", "b", "c"]), "a, b and c", "a、b、c"),
            (Arg::list(["a"]), "a", "a"),
            (Arg::Span(0.41), "0.4 s", "0.4 秒"),
            (Arg::Span(720.0), "12 min", "12 分"),
            (Arg::from("{host}"), "{host}", "{host}"),
            (Arg::term("made code run on"), "made code run on", "上でコードを実行させ"),
            (Arg::term("no such term"), "no such term", "no such term"),
        ] {
            assert_eq!((arg.render(Lang::En).as_str(), arg.render(Lang::Ja).as_str()), (english, japanese));
        }
    }
}
