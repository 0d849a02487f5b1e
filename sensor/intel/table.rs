//! Reading the compiled-in CSV tables: rows by column name, repeated words kept once.

use csv::{Reader, StringRecord};
use hashbrown::HashMap;

/// Rows of one table, each as the wanted columns in the wanted order.
///
/// A table without the wanted columns, a row that is no CSV or that `each` refuses is an error that says which row.
pub(super) fn rows<const N: usize>(
    text: &str,
    columns: [&str; N],
    mut each: impl FnMut([&str; N]) -> Result<(), String>,
) -> Result<(), TableError> {
    let at = |line: u64, message: String| TableError { line, message };
    let mut reader = Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| at(1, e.to_string()))?.clone();
    let mut places = [0; N];
    for (place, want) in places.iter_mut().zip(columns) {
        let found = header.iter().position(|name| name == want);
        *place = found.ok_or_else(|| at(1, format!("no column {want:?}")))?;
    }
    let mut row = StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut row) {
            Ok(true) => each(places.map(|at| row.get(at).unwrap_or_default())).map_err(|e| at(line, e))?,
            Ok(false) => return Ok(()),
            Err(wrong) => return Err(at(line, wrong.to_string())),
        }
    }
}

/// A table that cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {message}")]
pub(crate) struct TableError {
    /// From 1.
    pub(crate) line: u64,
    /// What is wrong.
    pub(crate) message: String,
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
    pub(super) fn add(&mut self, text: &str) -> Result<Word, String> {
        if let Some(at) = self.places.get(text) {
            return Ok(Word(*at));
        }
        let at =
            u16::try_from(self.list.len()).map_err(|_| "more than 65,536 different words in a column".to_owned())?;
        self.list.push(text.into());
        self.places.insert(text.into(), at);
        Ok(Word(at))
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
        let mut keep = |row: [&str; 2]| {
            seen.push(row.map(String::from));
            Ok(())
        };
        rows("a,b,c\n1,\"x, y\",3\n", ["c", "b"], &mut keep).unwrap();
        assert_eq!(seen, [["3", "x, y"]]);
    }

    #[test]
    fn a_wrong_table_says_where() {
        for (what, text, line, message) in [
            ("no header", "", 1, "no column"),
            ("no such column", "a,c\n1,2\n", 1, "no column \"b\""),
            ("a short row", "a,b\n1,2\n3\n", 3, "record"),
            ("a value refused", "a,b\n1,2\n3,x\n", 3, "no number"),
        ] {
            let number = |[_, b]: [&str; 2]| b.parse::<u8>().map(drop).map_err(|_| "no number".to_owned());
            let wrong = rows(text, ["a", "b"], number).unwrap_err();
            assert_eq!(wrong.line, line, "{what}: {wrong}");
            assert!(wrong.message.contains(message), "{what}: {wrong}");
        }
    }

    #[test]
    fn a_word_is_kept_once() {
        let mut words = Words::default();
        let (a, b, again) = (words.add("aws").unwrap(), words.add("azure").unwrap(), words.add("aws").unwrap());
        assert_eq!((a == again, a == b, words.get(b)), (true, false, "azure"));
    }
}
