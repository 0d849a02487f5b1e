//! A flow as the simulator plans it: small, so that a slice of a fleet's day fits in memory before it is sorted.

use super::names::Name;
use super::{Ms, Ns};
use yukue::event::Event;

/// What carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Udp,
    Icmp,
}

/// Which program speaks, as its hello shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Chromium,
    Firefox,
    /// The system library of Windows: agents, .NET, PowerShell.
    Schannel,
    Go,
    Python,
    Java,
    Node,
}

/// What is said on a flow, besides its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// Nothing anybody reads.
    Nothing,
    /// A TLS hello.
    Tls(Name, Client),
    /// A QUIC hello.
    Quic(Name, Client),
    /// A plain request of a page.
    Get(Name, Client),
    /// A name is looked up and has this address.
    Lookup(Name, u32),
    /// A host is told its address; the host's number.
    Lease(u32),
    /// Facts at moments after the beginning, in order.
    Facts(Box<[(Ms, Event)]>),
}

/// A flow to be.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) ts: Ns,
    /// IPv4 addresses.
    pub(crate) orig: u32,
    pub(crate) resp: u32,
    pub(crate) port: u16,
    pub(crate) over: Over,
    pub(crate) lasts: Ms,
    /// Payload bytes.
    pub(crate) up: u32,
    pub(crate) down: u32,
    pub(crate) says: Says,
}

impl Flow {
    /// Two inside hosts talk over TCP.
    pub(crate) const fn inner(ts: Ns, orig: u32, resp: u32, port: u16, up: u32, down: u32) -> Self {
        Self { ts, orig, resp, port, over: Over::Tcp, lasts: 900, up, down, says: Says::Nothing }
    }

    pub(crate) const fn lasting(mut self, lasts: Ms) -> Self {
        self.lasts = lasts;
        self
    }

    pub(crate) fn saying(mut self, says: Says) -> Self {
        self.says = says;
        self
    }
}

#[test]
fn a_planned_flow_is_small() {
    assert!(size_of::<Flow>() <= 56, "{} bytes", size_of::<Flow>());
}
