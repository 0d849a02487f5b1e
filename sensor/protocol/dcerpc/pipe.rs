//! DCE-RPC over a named pipe (MS-RPCE §2.1.1.2): bytes written to and read from the pipe, in the pieces SMB moved.

use super::conversation::Conversation;
use super::pdu::{HEADER_LEN, Header};
use super::{Step, step};
use crate::event::{Direction, Oddity};
use crate::protocol::Output;

/// One pipe's conversation. Pipes that carry something else are noticed at their first bytes and left alone.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Pipe {
    conversation: Conversation,
    /// Written by the client (orig), read by it (resp).
    sides: [Side; 2],
}

#[derive(Debug, Default)]
struct Side {
    /// The start of a PDU that is not complete enough.
    held: Vec<u8>,
    /// Bytes of the last PDU still to come.
    rest: usize,
}

impl Pipe {
    /// Bytes of memory that wait for the rest of their fragment.
    pub(in crate::protocol) fn held(&self) -> usize {
        self.sides.iter().map(|side| side.held.capacity()).fold(0, usize::saturating_add)
    }

    /// A pipe by its name, where its opening was seen.
    pub(in crate::protocol) fn new(name: Option<&str>) -> Self {
        let endpoint = name.map_or_else(|| "ncacn_np:".into(), |name| format!("ncacn_np:\\pipe\\{name}"));
        let conversation = Conversation::at(endpoint.into());
        Self { conversation, sides: Default::default() }
    }

    /// Whether `data` begins like a PDU.
    pub(in crate::protocol) fn speaks(data: &[u8]) -> bool {
        Header::read(data).is_some()
    }

    /// Takes `data`, which one side moved in one piece, and `missing` bytes behind it that were not shown.
    pub(in crate::protocol) fn take(&mut self, from: Direction, data: &[u8], missing: usize, out: &mut Output) {
        let Self { conversation, sides: [written, read] } = self;
        let side = match from {
            Direction::Orig => written,
            Direction::Resp => read,
        };
        side.take(conversation, data, out);
        side.miss(missing);
    }
}

impl Side {
    fn take(&mut self, conversation: &mut Conversation, data: &[u8], out: &mut Output) {
        let passed = self.rest.min(data.len());
        self.rest = self.rest.saturating_sub(passed);
        let fresh = data.get(passed..).unwrap_or_default();
        if self.held.is_empty() {
            let at = self.steps(conversation, fresh, out);
            self.held = fresh.get(at..).unwrap_or_default().to_vec();
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(fresh);
            let at = self.steps(conversation, &held, out);
            self.held = held.get(at..).unwrap_or_default().to_vec();
        }
        if self.held.len() > MAX_HELD {
            self.held = Vec::new();
            out.weird(Oddity::MessageTooLong);
        }
    }

    /// Takes PDUs as long as there are whole ones; how far it came. Each takes at least a header's length.
    fn steps(&mut self, conversation: &mut Conversation, data: &[u8], out: &mut Output) -> usize {
        let mut at = 0_usize;
        while let Some(rest @ [_, ..]) = data.get(at..) {
            match step(conversation, rest, out) {
                Step::NeedMore => return at,
                Step::Taken(n) => {
                    out.service("dce_rpc");
                    self.rest = n.saturating_sub(rest.len());
                    at = at.saturating_add(n.max(HEADER_LEN));
                }
                // Not DCE-RPC, or out of step: the next piece may begin with a PDU again.
                Step::Lost => return data.len(),
            }
        }
        data.len()
    }

    fn miss(&mut self, missing: usize) {
        if missing > 0 {
            // A PDU that waits for bytes that were not shown will not be completed.
            self.held = Vec::new();
            self.rest = self.rest.saturating_sub(missing);
        }
    }
}

/// No PDU is waited for beyond this (`conversation::MAX_BIND`), so no longer start of one is ever held.
const MAX_HELD: usize = 16_384;
