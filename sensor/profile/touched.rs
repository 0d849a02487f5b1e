//! What changed since it was last saved. Kept only while somebody saves.

use super::habits::Group;
use super::hosts::HostId;
use super::quarantine::Pair;
use super::tenants::TenantId;
use std::collections::BTreeSet;

/// Entries that changed.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) hosts: BTreeSet<HostId>,
    pub(super) owners: BTreeSet<TenantId>,
    pub(super) pairs: BTreeSet<Pair>,
    pub(super) groups: BTreeSet<Group>,
    /// A local day began: days moved on, so everything is due.
    pub(super) all: bool,
}

impl Touched {
    /// A host and an owner had to do with each other.
    pub(super) fn pair(&mut self, pair: Pair) {
        self.hosts.insert(pair.0);
        self.owners.insert(pair.1);
        self.pairs.insert(pair);
    }
}
