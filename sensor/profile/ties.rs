//! What hosts have to do with destination owners, the rare ones kept longer.
//!
//! Nine of ten pairs are with owners that many use or with everyday infrastructure; of those little is asked, and in a large
//! fleet they would push out within hours what an investigation asks for after days. So they have a table of their own.

use super::tie::Tie;
use super::{HostId, TenantId};
use crate::base::{Budget, Capped, Table};

/// A host and an owner.
type Pair = (HostId, TenantId);

/// All ties held.
#[derive(Debug)]
pub(super) struct Ties {
    rare: Capped<Pair, Tie>,
    frequented: Capped<Pair, Tie>,
}

impl Ties {
    pub(super) fn new() -> Self {
        Self {
            rare: Capped::new(Budget::new("ties.rare", MAX_RARE, TIE_BYTES)),
            frequented: Capped::new(Budget::new("ties.frequented", MAX_FREQUENTED, TIE_BYTES)),
        }
    }

    pub(super) fn get(&self, pair: Pair) -> Option<&Tie> {
        self.rare.get(&pair).or_else(|| self.frequented.get(&pair))
    }

    /// To change, touched.
    pub(super) fn get_mut(&mut self, pair: Pair) -> Option<&mut Tie> {
        self.table_of(pair, true).get_mut(&pair)
    }

    /// To change without touching it.
    pub(super) fn peek_mut(&mut self, pair: Pair) -> Option<&mut Tie> {
        self.table_of(pair, true).peek_mut(&pair)
    }

    /// The tie of a pair, made by `new` when there is none, touched. One that is made with a `frequented` owner goes
    /// where those are; it stays there should the owner turn out to be rare, and the other way round.
    pub(super) fn entry(&mut self, pair: Pair, frequented: bool, new: impl FnOnce() -> Tie) -> &mut Tie {
        self.table_of(pair, frequented).entry(pair, new)
    }

    pub(super) fn remove(&mut self, pair: Pair) -> Option<Tie> {
        self.table_of(pair, true).remove(&pair)
    }

    /// Those with rare owners first, each least recently touched first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Pair, &Tie)> {
        self.rare.iter().chain(self.frequented.iter())
    }

    /// Where a pair is held; one that is not, as its owner is `frequented` or not.
    fn table_of(&mut self, pair: Pair, frequented: bool) -> &mut Capped<Pair, Tie> {
        let rare = self.rare.get(&pair).is_some() || !frequented && self.frequented.get(&pair).is_none();
        if rare { &mut self.rare } else { &mut self.frequented }
    }

    pub(super) fn tables(&self) -> [Table; 2] {
        [self.rare.table(), self.frequented.table()]
    }
}

/// Some 350 bytes each with their names shared. A first contact is weighed as a case for as long as its pair is known, or its
/// case is held (`Profiles::keep`): simulated hosts meet some twenty rare owners a day, so 7,000 of them fill the first table
/// in a week and 100,000 in half a day. Which owners a host has met at all is the habits' to know.
const MAX_RARE: usize = 1_000_000;
/// Likewise; a host meets some thirty a day, and nobody asks for those of last week.
const MAX_FREQUENTED: usize = 500_000;
/// What a tie holds outside its place.
const TIE_BYTES: usize = 160;
