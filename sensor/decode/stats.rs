//! What was and was not understood, by cause. Bounded: a cause is a name and sometimes a number (an EtherType, a link
//! type), and at most [`MAX_CAUSES`] of them are told apart.

use crate::base::Transport;
use std::collections::BTreeMap;

/// What kept a frame from becoming a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    LinkType,
    EtherType,
    Llc,
    Snap,
    Ppp,
    Family,
    PppoeCode,
    Pseudowire,
    Macsec,
    Nsh,
    Wireless,
    WirelessControl,
    WirelessEncrypted,
    IpVersion,
    ArpRequest,
    Ethernet,
    Vlan,
    Mpls,
    Arp,
    Ipv4,
    Ipv6,
    Tcp,
    Udp,
    Icmp,
    Sctp,
    TooDeep,
    FragmentCut,
    FragmentBounds,
    FragmentOverlap,
    FragmentRefused,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::LinkType => "link_type",
            Self::EtherType => "ethertype",
            Self::Llc => "llc_sap",
            Self::Snap => "snap_oui",
            Self::Ppp => "ppp_protocol",
            Self::Family => "address_family",
            Self::PppoeCode => "pppoe_code",
            Self::Pseudowire => "pseudowire",
            Self::Macsec => "macsec",
            Self::Nsh => "nsh",
            Self::Wireless => "wireless",
            Self::WirelessControl => "wireless_management",
            Self::WirelessEncrypted => "wireless_encrypted",
            Self::IpVersion => "ip_version",
            Self::ArpRequest => "arp_request",
            Self::Ethernet => "ethernet",
            Self::Vlan => "vlan",
            Self::Mpls => "mpls",
            Self::Arp => "arp",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Sctp => "sctp",
            Self::TooDeep => "too_deep",
            Self::FragmentCut => "fragment_cut",
            Self::FragmentBounds => "fragment_bounds",
            Self::FragmentOverlap => "fragment_overlap",
            Self::FragmentRefused => "fragment_refused",
        }
    }
}

/// How a reason applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Not a protocol we read.
    Unknown,
    /// The snap length cut the header.
    Truncated,
    /// The header breaks its rules.
    Malformed,
}

/// A reason with its number, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    kind: Kind,
    reason: Reason,
    number: Option<u32>,
}

impl Cause {
    pub(super) const fn new(reason: Reason) -> Self {
        Self { kind: Kind::Unknown, reason, number: None }
    }

    pub(super) const fn numbered(reason: Reason, number: u32) -> Self {
        Self { kind: Kind::Unknown, reason, number: Some(number) }
    }

    pub(super) const fn truncated(layer: Reason) -> Self {
        Self { kind: Kind::Truncated, reason: layer, number: None }
    }

    pub(super) const fn malformed(layer: Reason) -> Self {
        Self { kind: Kind::Malformed, reason: layer, number: None }
    }

    /// The reason's name, without kind and number.
    pub(super) const fn reason(self) -> &'static str {
        self.reason.name()
    }

    fn text(self) -> String {
        let name = self.reason.name();
        match (self.kind, self.number) {
            (Kind::Truncated, _) => format!("{name}_truncated"),
            (Kind::Malformed, _) => format!("{name}_malformed"),
            (Kind::Unknown, None) => name.to_owned(),
            (Kind::Unknown, Some(number)) if matches!(self.reason, Reason::LinkType | Reason::Family) => {
                format!("{name}_{number}")
            }
            (Kind::Unknown, Some(number)) => format!("{name}_0x{number:04x}"),
        }
    }
}

/// What was and was not understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecodeStats {
    causes: BTreeMap<Cause, u64>,
    /// Of causes beyond [`MAX_CAUSES`].
    other: u64,
    truncated: u64,
    malformed: u64,
    tunnels: u64,
    tcp: u64,
    udp: u64,
    icmp: u64,
    other_transport: u64,
    encapsulated: [u64; ENCAPSULATIONS.len()],
    pub(super) fragments: FragmentCounts,
}

/// What became of IP fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FragmentCounts {
    /// Fragments met.
    pub(crate) seen: u64,
    /// Packets made whole.
    pub(crate) joined: u64,
    /// Packets whose rest did not come in time.
    pub(crate) expired: u64,
    /// Packets given up because the budget was spent.
    pub(crate) evicted: u64,
    /// Fragments that repeat bytes with other content (RFC 5722 for IPv6, evasion for IPv4).
    pub(crate) overlapping: u64,
    /// Fragments that came twice.
    pub(crate) repeated: u64,
}

impl DecodeStats {
    pub(super) fn note(&mut self, cause: Cause) {
        match cause.kind {
            Kind::Truncated => self.truncated = self.truncated.saturating_add(1),
            Kind::Malformed => self.malformed = self.malformed.saturating_add(1),
            Kind::Unknown => {}
        }
        if let Some(count) = self.causes.get_mut(&cause) {
            *count = count.saturating_add(1);
        } else if self.causes.len() < MAX_CAUSES {
            self.causes.insert(cause, 1);
        } else {
            self.other = self.other.saturating_add(1);
        }
    }

    pub(super) const fn transport(&mut self, transport: Transport) {
        let count = match transport {
            Transport::Tcp => &mut self.tcp,
            Transport::Udp => &mut self.udp,
            Transport::Icmp | Transport::Icmp6 => &mut self.icmp,
            Transport::Sctp | Transport::Other(_) => &mut self.other_transport,
        };
        *count = count.saturating_add(1);
    }

    /// A packet was found within these tags, labels and tunnels.
    pub(super) fn unwrapped<'a>(
        &mut self,
        (vlan, labelled): ([Option<u16>; 2], bool),
        tunnels: impl Iterator<Item = &'a str>,
    ) {
        let tag = match vlan {
            [None, _] => None,
            [Some(_), None] => Some("vlan"),
            [Some(_), Some(_)] => Some("qinq"),
        };
        for name in tag.into_iter().chain(labelled.then_some("mpls")).chain(tunnels) {
            if let Some(count) =
                ENCAPSULATIONS.iter().position(|known| *known == name).and_then(|at| self.encapsulated.get_mut(at))
            {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Packets found within tags, labels and tunnels, by their name.
    pub(crate) fn encapsulated(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ENCAPSULATIONS.into_iter().zip(self.encapsulated)
    }

    /// Packets understood, by what carries them.
    pub(crate) const fn carried(&self) -> [(&'static str, u64); 4] {
        [("tcp", self.tcp), ("udp", self.udp), ("icmp", self.icmp), ("other", self.other_transport)]
    }

    pub(super) const fn tunnel(&mut self) {
        self.tunnels = self.tunnels.saturating_add(1);
    }

    /// Everything that was not understood, as `(reason, count)` in a stable order. Reasons carry the number that
    /// would be needed to look the protocol up: `ethertype_0x88cc`, `link_type_105`, `tcp_truncated`.
    pub(crate) fn undecoded(&self) -> impl Iterator<Item = (String, u64)> {
        let named = self.causes.iter().map(|(cause, count)| (cause.text(), *count));
        named.chain((self.other > 0).then(|| ("other".to_owned(), self.other)))
    }

    /// What was decoded and how, by name, in a stable order; what did not happen is left out.
    pub(crate) fn decoded(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let FragmentCounts { seen, joined, expired, evicted, overlapping, repeated } = self.fragments;
        [
            ("tcp", self.tcp),
            ("udp", self.udp),
            ("icmp", self.icmp),
            ("other_transport", self.other_transport),
            ("tunnels", self.tunnels),
            ("truncated_headers", self.truncated),
            ("malformed_headers", self.malformed),
            ("fragments", seen),
            ("fragmented_packets_joined", joined),
            ("fragmented_packets_expired", expired),
            ("fragmented_packets_evicted", evicted),
            ("fragments_overlapping", overlapping),
            ("fragments_repeated", repeated),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }
}

/// Wrappings that a mirror or a network puts around packets.
const ENCAPSULATIONS: [&str; 7] = ["vlan", "qinq", "mpls", "vxlan", "geneve", "gre", "erspan"];
/// Causes told apart; traffic can name 65,536 EtherTypes.
const MAX_CAUSES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_name_what_to_look_up_and_are_bounded() {
        let mut stats = DecodeStats::default();
        stats.note(Cause::numbered(Reason::EtherType, 0x88cc));
        stats.note(Cause::numbered(Reason::LinkType, 105));
        stats.note(Cause::truncated(Reason::Tcp));
        stats.note(Cause::malformed(Reason::Tcp));
        stats.note(Cause::malformed(Reason::Tcp));
        let told: Vec<_> = stats.undecoded().collect();
        let expected = [("link_type_105", 1), ("ethertype_0x88cc", 1), ("tcp_truncated", 1), ("tcp_malformed", 2)];
        assert_eq!(told, expected.map(|(name, n)| (name.to_owned(), n)));
        assert_eq!((stats.truncated, stats.malformed), (1, 2));
        (0..1000).for_each(|n| stats.note(Cause::numbered(Reason::EtherType, n)));
        assert_eq!(stats.undecoded().count(), MAX_CAUSES + 1);
        assert_eq!(stats.undecoded().map(|(_, n)| n).sum::<u64>(), 1005);
    }
}
