//! Words of the program's own vocabulary, `regularity_p` or `svcctl`, written down and read back as what they are.
//!
//! In memory such a word is static text. One that is read from a file is looked up among those read before; the vocabulary
//! of all versions together is some hundreds of words, so a file with more than `MOST` was not written by this program.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A word of the vocabulary. As a field of what is saved: `#[serde(with = "crate::base::word")]`.
pub(crate) type Word = &'static str;

/// The static text of a word; `None` when it is none.
pub(crate) fn known(text: &str) -> Option<Word> {
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(word) = words.get(text) {
        return Some(word);
    }
    if words.len() >= MOST || text.len() > LONGEST {
        return None;
    }
    let word: Word = Box::leak(text.to_owned().into_boxed_str());
    words.insert(word);
    Some(word)
}

/// Writes a word.
pub(crate) fn serialize<S: Serializer>(word: &str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(word)
}

/// Reads a word.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    let text = String::deserialize(from)?;
    known(&text).ok_or_else(|| D::Error::custom("no word of this program"))
}

/// A word or none.
pub(crate) mod maybe {
    use super::{Deserialize, Deserializer, Serializer, Word, known};
    use serde::de::Error as _;

    pub(crate) fn serialize<S: Serializer>(word: &Option<Word>, to: S) -> Result<S::Ok, S::Error> {
        match word {
            Some(word) => to.serialize_some(word),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Word>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        known(&text).map(Some).ok_or_else(|| D::Error::custom("no word of this program"))
    }
}

/// Several words.
pub(crate) mod many {
    use super::{Deserialize, Deserializer, Serializer, Word, known};
    use serde::de::Error as _;

    pub(crate) fn serialize<'a, S: Serializer, C>(words: &'a C, to: S) -> Result<S::Ok, S::Error>
    where
        &'a C: IntoIterator<Item = &'a Word>,
    {
        to.collect_seq(words)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, C: FromIterator<Word>>(from: D) -> Result<C, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let words = texts.iter().map(|text| known(text).ok_or_else(|| D::Error::custom("no word of this program")));
        words.collect()
    }
}

/// Words with a number each.
pub(crate) mod weighed {
    use super::{Deserialize, Deserializer, Serializer, Word, known};
    use serde::de::Error as _;

    pub(crate) fn serialize<S: Serializer>(words: &[(Word, f64)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(words)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(Word, f64)>, D::Error> {
        let pairs = Vec::<(String, f64)>::deserialize(from)?;
        let word = |(text, weight): (String, f64)| Some((known(&text)?, weight));
        pairs.into_iter().map(|pair| word(pair).ok_or_else(|| D::Error::custom("no word of this program"))).collect()
    }
}

/// Words read so far.
static WORDS: Mutex<BTreeSet<Word>> = Mutex::new(BTreeSet::new());
/// Words there may be, and bytes of the longest.
const MOST: usize = 4096;
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Saved {
        #[serde(with = "super")]
        measure: Word,
        #[serde(with = "super::maybe")]
        technique: Option<Word>,
        #[serde(with = "super::many")]
        channels: BTreeSet<Word>,
        #[serde(with = "super::weighed")]
        signs: Vec<(Word, f64)>,
    }

    #[test]
    fn a_word_reads_back_as_itself_and_a_novel_is_none() {
        let all = || (BTreeSet::from(["rdp", "winrm"]), vec![("sni", 0.5)]);
        let (channels, signs) = all();
        let whole = Saved { measure: "lag", technique: Some("T1021"), channels, signs };
        let empty = Saved { measure: "", technique: None, channels: BTreeSet::new(), signs: Vec::new() };
        for saved in [whole, empty] {
            let text = serde_json::to_string(&saved).unwrap();
            assert_eq!(serde_json::from_str::<Saved>(&text).unwrap(), saved);
        }
        let (a, b) = (known("lag").unwrap(), known("lag").unwrap());
        assert!(std::ptr::eq(a, b), "kept once");
        assert_eq!(known(&"long".repeat(100)), None);
    }
}
