//! Where the packets of flows lie, so that a claim can name the capture file and the packets behind it.

use super::summary::Input;
use crate::base::{Budget, Ring, Table};
use crate::event::{PacketRange, Uid};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// The packet ranges of recent flows; of a flow closed too long ago a claim names only the uid. Every flow is noted and
/// few are asked for, so they are put in order when the first question comes.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    flows: Ring<(Uid, PacketRange)>,
    ordered: OnceCell<BTreeMap<Uid, PacketRange>>,
    forgotten: u64,
}

impl Default for Trail {
    fn default() -> Self {
        Self { flows: Ring::new(MAX_FLOWS), ordered: OnceCell::new(), forgotten: 0 }
    }
}

impl Trail {
    /// Notes where a closed flow's packets lie.
    pub(crate) fn note(&mut self, uid: Uid, packets: PacketRange) {
        let oldest = self.flows.push((uid, packets));
        self.forgotten = self.forgotten.saturating_add(u64::from(oldest.is_some()));
        self.ordered.take();
    }

    /// How it stands.
    pub(crate) fn table(&self) -> Table {
        let (own, held) = (size_of::<(Uid, PacketRange)>(), self.flows.len());
        Budget::new("trail.flows", MAX_FLOWS, ORDERED_BYTES).table(own, held, held, self.forgotten)
    }

    /// The files and packets behind `uids`, one entry a flow, in their order.
    pub(super) fn of<'a>(&self, uids: &[Uid], inputs: &'a [Input]) -> Vec<(&'a str, PacketRange)> {
        let ordered = self.ordered.get_or_init(|| self.flows.iter().copied().collect());
        let place = |uid| {
            let packets = *ordered.get(uid)?;
            let input = inputs.get(usize::try_from(packets.input).ok()?)?;
            Some((input.path.as_str(), packets))
        };
        uids.iter().filter_map(place).collect()
    }
}

/// The second copy, in order.
const ORDERED_BYTES: usize = 32;
const MAX_FLOWS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_names_the_file_and_the_packets_of_its_flows() {
        let (known, unknown) = (Uid([1, 2, 3]), Uid([4, 5, 6]));
        let packets = PacketRange { input: 1, first: 7, last: 9 };
        let mut trail = Trail::default();
        trail.note(known, packets);
        let inputs = ["a.pcap", "b.pcap"].map(|path| Input { path: path.into(), ..Input::default() });
        assert_eq!(trail.of(&[unknown, known], &inputs), [("b.pcap", packets)]);
    }
}
