//! Reading the compiled-in CSV tables: rows by column name, repeated words kept once.

use csv::{Reader, StringRecord};
use hashbrown::HashMap;

/// Rows of one table, each as the wanted columns in the wanted order.
///
/// The tables are part of the program and read whole by its tests; a table without the wanted columns, or with a row
/// that is no CSV, is a bug of the build and stops it at once.
pub(super) fn rows<const N: usize>(text: &str, columns: [&str; N], mut each: impl FnMut([&str; N])) {
    let mut reader = Reader::from_reader(text.as_bytes());
    #[expect(clippy::expect_used, reason = "compiled-in table, read whole by the tests of this module")]
    let header = reader.headers().expect("the table has a header").clone();
    #[expect(clippy::expect_used, reason = "compiled-in table, read whole by the tests of this module")]
    let places = columns.map(|want| header.iter().position(|name| name == want).expect("the table has the column"));
    let mut row = StringRecord::new();
    #[expect(clippy::expect_used, reason = "compiled-in table, read whole by the tests of this module")]
    while reader.read_record(&mut row).expect("every row has all columns") {
        each(places.map(|at| row.get(at).unwrap_or_default()));
    }
}

/// A word's place in [`Words`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u16);

/// Providers, services, categories: a few hundred words behind tens of thousands of rows.
#[derive(Debug, Default)]
pub(super) struct Words {
    list: Vec<Box<str>>,
    places: HashMap<Box<str>, u16, foldhash::fast::FixedState>,
}

impl Words {
    /// The place of `text`, which is added when it is new.
    pub(super) fn add(&mut self, text: &str) -> Word {
        if let Some(at) = self.places.get(text) {
            return Word(*at);
        }
        #[expect(clippy::expect_used, reason = "compiled-in table, read whole by the tests of this module")]
        let at = u16::try_from(self.list.len()).expect("fewer words than 65,536");
        self.list.push(text.into());
        self.places.insert(text.into(), at);
        Word(at)
    }

    /// The word at `at`.
    pub(super) fn get(&self, at: Word) -> &str {
        self.list.get(usize::from(at.0)).map_or("", AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_quotes_are_read() {
        let mut seen = Vec::new();
        rows("a,b,c\n1,\"x, y\",3\n", ["c", "b"], |row| seen.push(row.map(String::from)));
        assert_eq!(seen, [["3", "x, y"]]);
    }

    #[test]
    fn a_word_is_kept_once() {
        let mut words = Words::default();
        let (a, b, again) = (words.add("aws"), words.add("azure"), words.add("aws"));
        assert_eq!((a == again, a == b, words.get(b)), (true, false, "azure"));
    }
}
