//! Where the packets of flows lie, so that a claim can name the capture file and the packets behind it.

use super::summary::Input;
use crate::base::{Budget, Capped, Table};
use crate::event::{PacketRange, Uid};

/// The packet ranges of recent flows; of a flow closed too long ago a claim names only the uid.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    flows: Capped<Uid, PacketRange>,
}

impl Default for Trail {
    fn default() -> Self {
        Self { flows: Capped::new(Budget::new("trail.flows", MAX_FLOWS, 0)) }
    }
}

impl Trail {
    /// Notes where a closed flow's packets lie.
    pub(crate) fn note(&mut self, uid: Uid, packets: PacketRange) {
        self.flows.insert(uid, packets);
    }

    /// How it stands.
    pub(crate) fn table(&self) -> Table {
        self.flows.table()
    }

    /// The files and packets behind `uids`, one entry a flow, in their order.
    pub(super) fn of<'a>(&self, uids: &[Uid], inputs: &'a [Input]) -> Vec<(&'a str, PacketRange)> {
        let place = |uid| {
            let packets = *self.flows.get(uid)?;
            let input = inputs.get(usize::try_from(packets.input).ok()?)?;
            Some((input.path.as_str(), packets))
        };
        uids.iter().filter_map(place).collect()
    }
}

/// About 3 MB.
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
