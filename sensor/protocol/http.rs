//! Stub.

use super::{Probe, Protocol};
use crate::event::Transport;

/// Stub.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "http",
    transport: Transport::Tcp,
    ports: &[80, 8080, 5985, 3128],
    probe: |_, _| Probe::Mismatch,
    new: || Box::new(Stub),
};

struct Stub;

impl super::Parser for Stub {
    fn parse(&mut self, _: super::Input<'_>, _: &mut super::Output) -> super::Progress {
        super::Progress::Done
    }
}
