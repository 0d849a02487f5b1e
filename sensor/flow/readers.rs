//! Who is read when not everybody can be.
//!
//! Dialogues, and the bytes they hold, are budgeted over all flows of a table together. Handshakes, first words and the
//! control plane tell what happens; the rest of a transfer tells only how much. So when there is no room, somebody is
//! given up for the flow that needs it: first one that has nothing more to learn, then one that is past its first words
//! and speaks no control protocol, of several the one that has been so for longest. Each is counted, and says so.

use super::dialogue::Dialogue;
use crate::base::{Budget, Table};
use std::collections::VecDeque;

/// How much a dialogue is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// First words, or a control protocol.
    #[default]
    Urgent,
    /// The rest of a transfer.
    Bulk,
    /// Nothing more to learn; what is left is an account of holes.
    Over,
}

/// A flow of the table, as it was when it was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) flow: u32,
    pub(super) generation: u32,
}

/// The dialogues of one table.
pub(super) struct Readers {
    #[expect(clippy::vec_box, reason = "the boxes move between flows and pool as they are")]
    pool: Vec<Box<Dialogue>>,
    lent: usize,
    most_lent: usize,
    /// Bytes that the lent ones hold.
    held: usize,
    most_held: usize,
    over: VecDeque<Seat>,
    bulk: VecDeque<Seat>,
    /// Dialogues at once.
    limit: usize,
    /// Bytes of all of them.
    limit_bytes: usize,
    /// Flows whose first words found no reader.
    refused: u64,
    /// Flows that were read no further, for want of room or because they wanted more than one flow may have.
    cut_short: u64,
}

impl Readers {
    pub(super) fn new(limit: usize, limit_bytes: usize) -> Self {
        Self {
            pool: Vec::new(),
            lent: 0,
            most_lent: 0,
            held: 0,
            most_held: 0,
            over: VecDeque::new(),
            bulk: VecDeque::new(),
            limit,
            limit_bytes,
            refused: 0,
            cut_short: 0,
        }
    }

    /// A fresh dialogue, unless all are lent.
    pub(super) fn lend(&mut self) -> Option<Box<Dialogue>> {
        if self.lent >= self.limit {
            return None;
        }
        self.lent = self.lent.saturating_add(1);
        self.most_lent = self.most_lent.max(self.lent);
        Some(self.pool.pop().unwrap_or_default())
    }

    pub(super) fn take_back(&mut self, mut dialogue: Box<Dialogue>) {
        self.lent = self.lent.saturating_sub(1);
        self.held = self.held.saturating_sub(dialogue.charged);
        if self.pool.len() < POOL {
            dialogue.reset();
            self.pool.push(dialogue);
        }
    }

    /// Takes account of what a flow's dialogue holds now, and of what it is worth. Whether it holds more than one flow
    /// may.
    pub(super) fn charge(&mut self, seat: Seat, dialogue: &mut Dialogue) -> bool {
        let holds = dialogue.held();
        self.held = self.held.saturating_sub(dialogue.charged).saturating_add(holds);
        self.most_held = self.most_held.max(self.held);
        dialogue.charged = holds;
        let standing = dialogue.standing();
        if standing > dialogue.stood {
            dialogue.stood = standing;
            let queue = if standing == Standing::Over { &mut self.over } else { &mut self.bulk };
            queue.push_back(seat);
        }
        holds > FLOW_BYTES
    }

    /// Whether the dialogues hold more than they may together.
    pub(super) const fn is_short(&self) -> bool {
        self.held > self.limit_bytes
    }

    /// Whether there is anything to do about room: too much is held, or many are noted whose flow may be over.
    pub(super) fn is_crowded(&self) -> bool {
        self.is_short() || self.over.len().max(self.bulk.len()) > self.many()
    }

    fn many(&self) -> usize {
        self.limit.saturating_mul(2).saturating_add(FREE)
    }

    /// The next to be given up, if it still is what it was noted for; with whose standing.
    pub(super) fn next(&mut self) -> Option<(Seat, Standing)> {
        let over = self.over.pop_front().map(|seat| (seat, Standing::Over));
        over.or_else(|| self.bulk.pop_front().map(|seat| (seat, Standing::Bulk)))
    }

    /// Forgets those noted whose flow is over, once they are many.
    pub(super) fn tidy(&mut self, is_there: impl Fn(&Seat) -> bool) {
        let most = self.many();
        for queue in [&mut self.over, &mut self.bulk] {
            if queue.len() > most {
                queue.retain(&is_there);
            }
        }
    }

    pub(super) const fn refuse(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    pub(super) const fn cut(&mut self) {
        self.cut_short = self.cut_short.saturating_add(1);
    }

    /// Flows that were not read, or not to their end.
    pub(super) const fn unread(&self) -> u64 {
        self.refused.saturating_add(self.cut_short)
    }

    /// How they stand: dialogues, and bytes held by all of them.
    pub(super) fn tables(&self) -> [Table; 2] {
        let own = size_of::<Dialogue>();
        let (lent, held) = ((self.lent, self.most_lent), (self.held, self.most_held));
        [
            Budget::new("flow.dialogues", self.limit, PARSER_BYTES).table(own, lent.0, lent.1, self.refused),
            Budget::new("flow.held_bytes", self.limit_bytes, 0).table(1, held.0, held.1, self.cut_short),
        ]
    }
}

/// Bytes that one flow's dialogue may hold: what waits for the rest of its message, what waits behind a hole, and what
/// its parser remembers.
pub(crate) const FLOW_BYTES: usize = 1 << 20;
/// Payload of both sides together that counts as first words: hellos, certificates, heads, logins.
pub(super) const FIRST_WORDS: u64 = 64 * 1024;
/// What a parser takes before it remembers anything, and two places in the queues.
const PARSER_BYTES: usize = 512;
/// Dialogues kept for reuse.
const POOL: usize = 4096;
/// Seats that are not worth a look.
const FREE: usize = 1024;
