//! What tables may hold. What traffic keys, traffic can flood: each table declares its budget where it is made, and all
//! of them can be listed with what they hold (`sensor/README.md`, "Limits"; `tests/limits.rs` holds the list).

/// What one table may hold, declared where the table is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    name: &'static str,
    entries: usize,
    heap_bytes: usize,
}

impl Budget {
    /// `name` is `<file>.<field>`, as in records. Of `entries` each takes its own size and, where it points elsewhere,
    /// about `heap_bytes` more: what a busy one holds, not the most that one could.
    pub(crate) const fn new(name: &'static str, entries: usize, heap_bytes: usize) -> Self {
        Self { name, entries, heap_bytes }
    }

    /// `<file>.<field>`.
    pub(crate) const fn name(self) -> &'static str {
        self.name
    }

    /// The most entries.
    pub(crate) const fn entries(self) -> usize {
        self.entries
    }

    /// What an entry points to, about.
    pub(crate) const fn heap_bytes(self) -> usize {
        self.heap_bytes
    }

    /// How a table with this budget stands; an entry itself takes `own_bytes`.
    pub(crate) const fn table(self, own_bytes: usize, held: usize, peak: usize, evicted: u64) -> Table {
        Table {
            name: self.name,
            entries: self.entries as u64,
            entry_bytes: own_bytes.saturating_add(self.heap_bytes) as u64,
            held: held as u64,
            peak: peak as u64,
            evicted,
        }
    }
}

/// A table as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// `<file>.<field>`.
    pub name: &'static str,
    /// Entries it may hold; of several tables of one name, together.
    pub entries: u64,
    /// Bytes of one entry, with what it points to.
    pub entry_bytes: u64,
    /// Entries it holds now.
    pub held: u64,
    /// Most entries it ever held.
    pub peak: u64,
    /// Entries that made room for others.
    pub evicted: u64,
}

impl Table {
    /// Bytes when full.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.entries.saturating_mul(self.entry_bytes)
    }

    /// The same, with what made room elsewhere on its behalf.
    pub(crate) const fn and_evicted(self, more: u64) -> Self {
        Self { evicted: self.evicted.saturating_add(more), ..self }
    }

    /// One table a name, by name: those of several shards are one to the reader.
    #[must_use]
    pub(crate) fn by_name(tables: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for table in tables {
            match all.iter_mut().find(|known| known.name == table.name) {
                Some(known) => {
                    known.entries = known.entries.saturating_add(table.entries);
                    known.held = known.held.saturating_add(table.held);
                    known.peak = known.peak.saturating_add(table.peak);
                    known.evicted = known.evicted.saturating_add(table.evicted);
                }
                None => all.push(table),
            }
        }
        all.sort_unstable_by_key(|table| table.name);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_one_name_are_one() {
        let of = |name, held, evicted| Budget::new(name, 10, 8).table(24, held, held + 1, evicted);
        let all = Table::by_name([of("flow.flows", 3, 1), of("dns.asked", 1, 0), of("flow.flows", 4, 2)]);
        assert_eq!(
            all.iter().map(|t| (t.name, t.held, t.evicted)).collect::<Vec<_>>(),
            [("dns.asked", 1, 0), ("flow.flows", 7, 3)]
        );
        assert_eq!(all.iter().map(Table::bytes).collect::<Vec<_>>(), [320, 640]);
    }
}
