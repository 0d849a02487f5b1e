//! What traffic keys, traffic can flood: every table of the sensor has a budget, and `sensor/README.md` lists them all.
//! `BLESS=1` rewrites it.

use crate::support::{bless, files_under, root};
use std::fmt::Write as _;
use std::fs;
use yukue::testing::{self, Table};

#[test]
fn every_table_is_listed_once_with_its_budget() {
    let mut declared = Vec::new();
    let mut loose = Vec::new();
    for path in files_under(&root().join("sensor")).iter().filter(|p| p.extension().is_some_and(|e| e == "rs")) {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        declared.extend(code.split("Budget::new(").skip(1).filter_map(literal).map(str::to_owned));
        for made in ["Capped::new(", "Kept::new(", "Ledger::new("] {
            let unnamed = |after: &&str| {
                let after = after.trim_start().trim_start_matches("base::");
                !after.starts_with("Budget::new(") && !after.starts_with("budget)")
            };
            // What is kept elsewhere under that name is no table of a detector.
            if made == "Kept::new(" && !path.starts_with(root().join("sensor/detect")) {
                continue;
            }
            loose.extend(code.split(made).skip(1).filter(unnamed).map(|_| path.display().to_string()));
        }
    }
    assert!(loose.is_empty(), "a table without a name of its own: {loose:#?}");
    declared.sort_unstable();
    let twice: Vec<_> = declared.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "two tables of one name: {twice:?}");
    let mut listed: Vec<_> = all().iter().map(|table| table.name.to_owned()).collect();
    listed.sort_unstable();
    assert_eq!(listed, declared, "what is declared in sensor/ (right) and what the sensor lists (left)");
}

#[test]
fn the_list_of_limits_is_the_sensors_own() {
    let (readme, expected) = (root().join("sensor/README.md"), readme());
    if bless() {
        fs::write(&readme, &expected).unwrap();
    }
    let found = fs::read_to_string(&readme).unwrap_or_default();
    assert!(found == expected, "sensor/README.md differs from the tables (BLESS=1 rewrites):\n{expected}");
}

/// Full tables are a site at its largest or a flood: the sensor goes on, so nothing may end it for them.
#[test]
fn full_tables_fit_what_the_packages_allow() {
    let full = full(&all());
    for (package, key) in
        [("yukue.service", "MemoryMax="), ("kubernetes/yukue.yaml", "limits:\n              memory: ")]
    {
        let text = fs::read_to_string(root().join("sensor/packaging").join(package)).unwrap();
        let said = text.split(key).nth(1).and_then(|rest| rest.split('G').next()).unwrap();
        let allowed = said.parse::<u64>().unwrap() << 30;
        assert!(full * 5 / 4 <= allowed, "{package}: {said} GiB for {} MiB of tables and a quarter more", full >> 20);
    }
}

/// The name in quotes that a text begins with.
fn literal(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix('"')?.split('"').next()
}

fn all() -> Vec<Table> {
    testing::tables().into_iter().chain(testing::parser_tables()).collect()
}

fn readme() -> String {
    let tables = testing::tables();
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n## Tables\n\nTogether {} when every one of them is full.\n", size(full(&tables))).unwrap();
    rows(&mut text, &tables);
    writeln!(
        text,
        "\n## One flow\n\nAt most {} for everything it holds beside its entry:\n{ONE_FLOW}",
        size(testing::FLOW_BYTES)
    )
    .unwrap();
    rows(&mut text, &testing::parser_tables());
    text
}

/// Bytes of all of them when full.
fn full(tables: &[Table]) -> u64 {
    tables.iter().map(|table| table.entries * rounded(table)).sum()
}

/// Bytes of an entry, rounded; where bytes themselves are counted, one is one.
fn rounded(table: &Table) -> u64 {
    if table.entry_bytes == 1 { 1 } else { table.entry_bytes.next_multiple_of(ROUNDING) }
}

fn rows(text: &mut String, tables: &[Table]) {
    writeln!(text, "| table | entries | bytes an entry | full |\n|---|--:|--:|--:|").unwrap();
    for table in tables {
        let entry_bytes = rounded(table);
        let most = size(table.entries * entry_bytes);
        writeln!(text, "| `{}` | {} | {entry_bytes} | {most} |", table.name, table.entries).unwrap();
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

/// So that a new field is not a new table.
const ROUNDING: u64 = 64;

const ONE_FLOW: &str = "\
64 KiB a side that wait for the rest of their message, 256 KiB in 128 segments a side that wait behind a hole, and what
its parser remembers. A flow that wants more is read no further, and says so (`reading_cut_short`). All flows together
hold `flow.held_bytes`. When that or the readers (`flow.dialogues`) are spent, room is made for who needs it: by a flow
that has nothing more to tell, else by one that is past its first 64 KiB and speaks no protocol of the control plane
(names, logins, remote calls, shares), the one longest so; only then new ones go unread, and are counted. A full
`flow.flows` gives up the flow due soonest that nobody reads any more.

Tables of a parser, of which each SMB connection may have its own:
";

const INTRODUCTION: &str = "\
# The sensor's source

`lib.rs` is the map. This page is what a reader asks next: what may it hold?

Traffic is hostile, so everything that traffic keys has a budget, declared where the table is made (`base/budget.rs`).
The entry touched longest ago makes room; each such loss is counted under the table's name in `summary.json`
(`visibility.evicted`). This list is made from the tables themselves and held by `tests/limits.rs`; `tests/hostile.rs`
fills them.

*Bytes an entry*: the entry's own size, its place in the index, and what a busy one points to, rounded up to 64. Tables
take memory as they fill: those of hosts stay small where few are, those of pairs fill in weeks or months anywhere.
";
