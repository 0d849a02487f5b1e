//! Interface and operation number → name. The table is data (`rules/intel/dcerpc_operations.csv`), compiled in.

use super::uuid::Uuid;
use std::sync::LazyLock;

/// The operation's name, where the table knows it.
pub(super) fn operation(interface: Uuid, opnum: u16) -> Option<&'static str> {
    let table = &*OPERATIONS;
    let at = table.binary_search_by_key(&(interface, opnum), |(key, _)| *key).ok()?;
    table.get(at).map(|(_, name)| &**name)
}

/// Sorted by interface and number. A row that does not parse is left out; a test holds that there is none.
static OPERATIONS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut table: Vec<_> =
        csv::Reader::from_reader(TABLE.as_bytes()).records().flatten().filter_map(|record| row(&record)).collect();
    table.sort();
    table
});

/// Interface and number, name.
type Row = ((Uuid, u16), Box<str>);

fn row(record: &csv::StringRecord) -> Option<Row> {
    let mut fields = record.iter();
    let (uuid, _interface, opnum, name) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    Some(((Uuid::parse(uuid)?, opnum.parse().ok()?), name.into()))
}

const TABLE: &str = include_str!("../../../rules/intel/dcerpc_operations.csv");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read_once() {
        let rows = TABLE.lines().count() - 1;
        assert_eq!(OPERATIONS.len(), rows);
        assert!(OPERATIONS.windows(2).all(|pair| pair[0].0 < pair[1].0), "a key stands twice");
    }

    #[test]
    fn operations_have_the_names_of_their_specifications() {
        for (interface, opnum, name) in [
            ("367abb81-9844-35f1-ad32-98f038001003", 12, Some("CreateServiceW")),
            ("86d35949-83c9-4044-b424-db363231fd0c", 12, Some("SchRpcRun")),
            ("1ff70682-0a51-30e8-076d-740be8cee98b", 0, Some("NetrJobAdd")),
            ("9556dc99-828c-11cf-a37e-00aa003240c7", 24, Some("ExecMethod")),
            ("e3514235-4b06-11d1-ab04-00c04fc2dcd2", 3, Some("DRSGetNCChanges")),
            ("00000000-0000-0000-0000-000000000000", 0, None),
        ] {
            assert_eq!(operation(Uuid::parse(interface).unwrap(), opnum), name, "{interface} {opnum}");
        }
    }
}
