//! What a machine can be told by: hardware address, machine account, DHCP client identifier, host name, in this order
//! of trust.
//!
//! A hardware address that its owner made up (randomised, RFC 7042 §2.1) changes when it likes, one of a virtual router
//! moves between machines, and a name that every device of a make has tells none of them: these are no keys.

use crate::event::IdentitySource;
use std::net::IpAddr;
use std::sync::Arc;

/// How much a key is believed; the order is that of `detection.md` §6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Trust {
    /// The address itself, nothing else is known.
    Address,
    /// A host name, as the machine or somebody else tells it.
    Name,
    /// What it calls itself towards DHCP servers: made once and kept (RFC 8415 §11).
    Client,
    /// A machine account of the domain: the name was proved.
    Account,
    /// A hardware address of its maker.
    Mac,
}

impl Trust {
    /// The number a name is saved by.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Account => PROVED,
            _ => TOLD,
        }
    }

    /// How a saved name was known. Files of before told of the machine, not of its name: 3 where an account or a hardware
    /// address vouched for it.
    pub(super) const fn of(number: u8) -> Self {
        match number {
            PROVED | 3 => Self::Account,
            _ => Self::Name,
        }
    }

    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Name => "hostname",
            Self::Client => "dhcp_client_id",
            Self::Account => "machine_account",
            Self::Mac => "mac",
        }
    }
}

/// Numbers of a saved name: the machine's word, and that of a domain.
const TOLD: u8 = 1;
const PROVED: u8 = 2;

/// What names a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Mac([u8; 6]),
    /// A DHCP client identifier.
    Client(Arc<str>),
    /// A name (`keys::label`), and how it is known.
    Label(Arc<str>, Trust),
}

/// How an address came to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// A DHCP server gave it: it replaces the machine's lease before.
    Leased,
    Observed,
    /// A machine says so of itself, and nobody asked whether it may.
    Told,
}

/// How a source comes to know who an address is.
pub(super) const fn grant(source: IdentitySource) -> Grant {
    match source {
        IdentitySource::Dhcp => Grant::Leased,
        IdentitySource::Arp | IdentitySource::Ndp | IdentitySource::Kerberos => Grant::Observed,
        IdentitySource::Mdns
        | IdentitySource::Llmnr
        | IdentitySource::Nbns
        | IdentitySource::Ntlm
        | IdentitySource::Cldap => Grant::Told,
    }
}

/// How much a key is believed.
pub(super) const fn trust_of(key: &Key) -> Trust {
    match key {
        Key::Mac(_) => Trust::Mac,
        Key::Client(_) => Trust::Client,
        Key::Label(_, trust) => *trust,
    }
}

/// Two addresses, one of each family, that were found to be one machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) v4: IpAddr,
    pub(crate) v6: IpAddr,
    /// By what.
    pub(crate) trust: Trust,
}

/// What happened to identities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdentityCounts {
    /// A known machine came to another address.
    pub(crate) moves: u64,
    /// Evidence took an address away from the machine that held it.
    pub(crate) conflicts: u64,
    /// Evidence that stronger evidence spoke against.
    pub(crate) disbelieved: u64,
    /// Machines found to have addresses of both families.
    pub(crate) joined: u64,
}

/// A hardware address by what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mac {
    /// Of one machine.
    Key([u8; 6]),
    /// Shared by the routers of a group.
    VirtualRouter,
    /// Made up by its owner, a group, or none.
    Nothing,
}

/// What a hardware address is good for.
pub(super) fn mac(mac: [u8; 6]) -> Mac {
    match mac {
        [first, ..] if first & 3 != 0 => Mac::Nothing, // Bit 0 is a group, bit 1 was given by the owner.
        [0, 0, 0, 0, 0, 0] => Mac::Nothing,
        // VRRP for both families (RFC 9568 §7.3), HSRP.
        [0, 0, 0x5e, 0, 1 | 2, _] | [0, 0, 0x0c, 7, 0xac, _] => Mac::VirtualRouter,
        mac => Mac::Key(mac),
    }
}

/// The hardware address within an IPv6 address (modified EUI-64, RFC 4291 appendix A).
pub(super) fn mac_within(ip: IpAddr) -> Option<[u8; 6]> {
    let IpAddr::V6(ip) = ip else { return None };
    let [.., a, b, c, 0xff, 0xfe, d, e, f] = ip.octets() else { return None };
    Some([a ^ 2, b, c, d, e, f])
}

/// How much a source that gives a name is believed about it.
pub(super) const fn trust(source: IdentitySource) -> Trust {
    match source {
        IdentitySource::Kerberos => Trust::Account,
        _ => Trust::Name,
    }
}

/// A machine's name as all protocols agree on it: the first label in lower case, at most what NetBIOS has room for.
/// `None` for a name that tells no machine from another.
pub(super) fn label(name: &str) -> Option<String> {
    let first = name.trim_end_matches('$').split('.').next()?.trim();
    let label: String = first.chars().take(NETBIOS_LEN).collect::<String>().to_lowercase();
    let told = !label.is_empty() && name.parse::<IpAddr>().is_err() && !EVERYBODYS.contains(&label.as_str());
    told.then_some(label)
}

/// A NetBIOS name has fifteen characters and a suffix (RFC 1001 §14.1, MS-NBTE §1.8).
const NETBIOS_LEN: usize = 15;
/// What makers call every device; as a key it would join strangers.
const EVERYBODYS: &[&str] = &[
    "android",
    "debian",
    "esp32",
    "fedora",
    "host",
    "ipad",
    "iphone",
    "kali",
    "linux",
    "localhost",
    "mac",
    "macbook",
    "macbook-air",
    "macbook-pro",
    "openwrt",
    "raspberrypi",
    "router",
    "ubuntu",
    "unknown",
    "wpad",
    "isatap",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_keys_only_when_they_tell_one_machine() {
        for (what, bytes, expected) in [
            ("a maker's", [0x00, 0x50, 0x56, 1, 2, 3], Mac::Key([0x00, 0x50, 0x56, 1, 2, 3])),
            ("randomised", [0xda, 0x50, 0x56, 1, 2, 3], Mac::Nothing),
            ("a group", [0x01, 0, 0x5e, 1, 2, 3], Mac::Nothing),
            ("none", [0; 6], Mac::Nothing),
            ("VRRP", [0, 0, 0x5e, 0, 1, 7], Mac::VirtualRouter),
            ("HSRP", [0, 0, 0x0c, 7, 0xac, 1], Mac::VirtualRouter),
            ("a documentation address", [0, 0, 0x5e, 0, 0x53, 1], Mac::Key([0, 0, 0x5e, 0, 0x53, 1])),
        ] {
            assert_eq!(mac(bytes), expected, "{what}");
        }
    }

    #[test]
    fn names_of_one_machine_are_one_label() {
        for (what, name, expected) in [
            ("a machine account", "PC-017$", Some("pc-017")),
            ("its full name", "pc-017.corp.example", Some("pc-017")),
            ("longer than NetBIOS allows", "accounting-printer-3", Some("accounting-prin")),
            ("everybody's", "iPhone", None),
            ("an address", "10.0.0.1", None),
            ("nothing", "$", None),
        ] {
            assert_eq!(label(name).as_deref(), expected, "{what}");
        }
    }

    #[test]
    fn a_name_is_saved_with_how_it_was_known() {
        for trust in [Trust::Name, Trust::Account] {
            assert_eq!(Trust::of(trust.number()), trust);
        }
        for (what, number, expected) in [
            ("an account, before client identifiers were known", 2, Trust::Account),
            ("an account after that, or a hardware address", 3, Trust::Account),
            ("a hardware address after that", 4, Trust::Name),
            ("nothing", 0, Trust::Name),
        ] {
            assert_eq!(Trust::of(number), expected, "{what}");
        }
    }

    #[test]
    fn an_interface_identifier_may_hold_the_hardware_address() {
        for (what, ip, expected) in [
            ("RFC 4291's example", "fe80::3656:78ff:fe9a:bcde", Some([0x36, 0x56, 0x78, 0x9a, 0xbc, 0xde])),
            ("a privacy address", "2001:db8::1a2b:3c4d:5e6f:7081", None),
            ("IPv4", "10.0.0.1", None),
        ] {
            let expected = expected.map(|mut mac: [u8; 6]| {
                mac[0] ^= 2;
                mac
            });
            assert_eq!(mac_within(ip.parse().unwrap()), expected, "{what}");
        }
    }
}
