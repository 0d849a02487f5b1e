//! Stub.

use super::{Output, Probe, Protocol};
use crate::event::Transport;

/// Stub.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "krb_tcp",
    transport: Transport::Tcp,
    ports: &[88],
    probe: |_, _| Probe::Mismatch,
    new: || Box::new(Stub),
};

struct Stub;

impl super::Parser for Stub {
    fn parse(&mut self, _: super::Input<'_>, _: &mut Output) -> super::Progress {
        super::Progress::Done
    }
}

/// A ticket presented to a service.
pub(super) fn ap_req(_data: &[u8], _out: &mut Output) -> bool {
    false
}
