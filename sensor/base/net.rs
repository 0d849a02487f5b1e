//! Addresses as the pipeline sees them: endpoints, transports, prefixes and longest-prefix sets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// One side of a flow. For ICMP the port carries type (orig) or code (resp), as in Zeek.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Network address.
    pub ip: IpAddr,
    /// Transport port, or ICMP type or code.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint from its parts.
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        Self { ip, port }
    }

    /// The unspecified endpoint, for observations that belong to no flow.
    pub const NONE: Self = Self { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0 };
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

/// IANA protocol number of what rides on IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Transport {
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 1
    Icmp,
    /// 58
    Icmp6,
    /// 132
    Sctp,
    /// Any other IANA protocol number.
    Other(u8),
}

impl Transport {
    /// From the IANA protocol number.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Icmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            58 => Self::Icmp6,
            132 => Self::Sctp,
            other => Self::Other(other),
        }
    }

    /// The IANA protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp6 => 58,
            Self::Sctp => 132,
            Self::Other(n) => n,
        }
    }

    /// Name for `proto` in records: Zeek's `tcp`, `udp`, `icmp` (both versions), else the IANA keyword in lower
    /// case, else `unknown`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp | Self::Icmp6 => "icmp",
            Self::Sctp => "sctp",
            Self::Other(n) => match n {
                0 => "hopopt",
                2 => "igmp",
                4 => "ipv4",
                8 => "egp",
                9 => "igp",
                33 => "dccp",
                41 => "ipv6",
                46 => "rsvp",
                47 => "gre",
                50 => "esp",
                51 => "ah",
                59 => "ipv6-nonxt",
                88 => "eigrp",
                89 => "ospfigp",
                94 => "ipip",
                97 => "etherip",
                103 => "pim",
                108 => "ipcomp",
                112 => "vrrp",
                115 => "l2tp",
                136 => "udplite",
                137 => "mpls-in-ip",
                _ => "unknown",
            },
        }
    }
}

/// An address block, `10.0.0.0/8` or `fc00::/7`. IPv4 and IPv6 never match each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// Network bits, host bits zero, left-aligned in 128 bits.
    bits: u128,
    len: u8,
    v6: bool,
}

impl Prefix {
    /// A prefix of `len` bits around `ip`; `len` is capped at the family's width.
    pub fn new(ip: IpAddr, len: u8) -> Self {
        let (bits, width, v6) = match ip {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 32, false),
            IpAddr::V6(ip) => (u128::from(ip), 128, true),
        };
        let len = len.min(width);
        Self { bits: bits & mask(len), len, v6 }
    }

    /// Whether `ip` lies within.
    pub fn contains(&self, ip: IpAddr) -> bool {
        Self::new(ip, self.len) == *self
    }

    /// Number of network bits.
    pub const fn bits(&self) -> u8 {
        self.len
    }
}

const fn mask(len: u8) -> u128 {
    match len {
        0 => 0,
        n if n >= 128 => u128::MAX,
        n => u128::MAX << (128 - n as u32),
    }
}

impl FromStr for Prefix {
    type Err = String;

    /// Parses `address/len` or a bare address (a host prefix).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ip, len) = text.split_once('/').map_or((text, None), |(ip, len)| (ip, Some(len)));
        let ip: IpAddr = ip.trim().parse().map_err(|_| format!("{text:?} is no address or CIDR block"))?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => width,
            Some(len) => len
                .trim()
                .parse()
                .ok()
                .filter(|n| *n <= width)
                .ok_or_else(|| format!("{text:?}: the prefix length must be 0 to {width}"))?,
        };
        Ok(Self::new(ip, len))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = if self.v6 {
            IpAddr::V6(Ipv6Addr::from(self.bits))
        } else {
            IpAddr::V4(Ipv4Addr::from(u32::try_from(self.bits >> 96).unwrap_or(0)))
        };
        write!(f, "{ip}/{}", self.len)
    }
}

/// Address blocks with a value each; the longest matching prefix decides, and at equal length the last insert.
#[derive(Clone, Debug, Default)]
pub(crate) struct PrefixSet<T> {
    /// Longest first; short lists (a site's nets), so a scan beats a trie.
    entries: Vec<(Prefix, T)>,
}

impl<T: Copy> PrefixSet<T> {
    /// An empty set.
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Adds or replaces one block.
    pub(crate) fn insert(&mut self, prefix: Prefix, value: T) {
        self.entries.retain(|(p, _)| *p != prefix);
        let at = self.entries.partition_point(|(p, _)| p.len > prefix.len);
        self.entries.insert(at, (prefix, value));
    }

    /// Value of the longest block that contains `ip`.
    pub(crate) fn longest(&self, ip: IpAddr) -> Option<T> {
        self.entries.iter().find(|(p, _)| p.contains(ip)).map(|(_, v)| *v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let mut set = PrefixSet::new();
        for (text, value) in [("192.168.1.0/24", "inside"), ("192.168.1.161/32", "outside"), ("0.0.0.0/0", "world")] {
            set.insert(text.parse().unwrap(), value);
        }
        for (ip, value) in [
            ("192.168.1.46", Some("inside")),
            ("192.168.1.161", Some("outside")),
            ("8.8.8.8", Some("world")),
            ("::1", None),
        ] {
            assert_eq!(set.longest(ip.parse().unwrap()), value, "{ip}");
        }
    }

    #[test]
    fn prefixes_say_what_is_wrong_with_them() {
        for (text, ok) in
            [("10.0.0.0/8", true), ("10.1.2.3", true), ("fc00::/7", true), ("10.0.0.0/33", false), ("x/8", false)]
        {
            assert_eq!(text.parse::<Prefix>().is_ok(), ok, "{text}");
        }
        assert_eq!("10.1.2.3/8".parse::<Prefix>().unwrap().to_string(), "10.0.0.0/8");
    }
}
