//! One capture for each point of a protocol: small, with what differs in its name.

pub(crate) mod files;
pub(crate) mod links;
pub(crate) mod names;
pub(crate) mod services;
pub(crate) mod turns;
pub(crate) mod web;
pub(crate) mod windows;

use super::net::Host;

/// A workstation.
pub(crate) fn pc() -> Host {
    Host::inside([10, 20, 1, 21])
}

/// The domain controller, which is also DNS and DHCP server.
pub(crate) fn dc() -> Host {
    Host::inside([10, 20, 0, 5])
}

/// A web server somewhere.
pub(crate) fn web() -> Host {
    Host::outside([198, 51, 100, 80])
}
