//! What is inside. Everything else about a site (roles, policies) is configuration of the right side.

use crate::base::{Prefix, PrefixSet};
use std::net::IpAddr;

/// A flow's direction, seen from the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Reach {
    /// Begun inside, answered outside.
    Outbound,
    /// Begun outside, answered inside.
    Inbound,
    /// Both ends inside.
    Internal,
    /// Both ends outside.
    Transit,
}

/// Which addresses are inside.
#[derive(Clone, Debug)]
pub struct Site {
    inside: PrefixSet<bool>,
    assumed: bool,
}

impl Site {
    /// A site from declared blocks; the longest block that contains an address decides. Without any inside block the
    /// private ranges are assumed, and the site says so; outside blocks are exceptions either way.
    pub fn new(inside: &[Prefix], outside: &[Prefix]) -> Self {
        let mut set = PrefixSet::new();
        let assumed = inside.is_empty();
        let defaults = PRIVATE.iter().filter_map(|text| text.parse().ok());
        if assumed {
            defaults.for_each(|prefix| set.insert(prefix, true));
        }
        inside.iter().for_each(|prefix| set.insert(*prefix, true));
        outside.iter().for_each(|prefix| set.insert(*prefix, false));
        Self { inside: set, assumed }
    }

    /// Whether `ip` is inside.
    pub fn is_inside(&self, ip: IpAddr) -> bool {
        self.inside.longest(ip).unwrap_or(false)
    }

    /// Whether nobody declared what is inside.
    pub const fn assumed(&self) -> bool {
        self.assumed
    }

    /// The direction of a flow from `orig` to `resp`.
    pub fn reach(&self, orig: IpAddr, resp: IpAddr) -> Reach {
        match (self.is_inside(orig), self.is_inside(resp)) {
            (true, true) => Reach::Internal,
            (true, false) => Reach::Outbound,
            (false, true) => Reach::Inbound,
            (false, false) => Reach::Transit,
        }
    }
}

/// Assumed inside when nothing is declared: RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291 link-local.
const PRIVATE: &[&str] =
    &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_blocks_replace_the_assumption_and_exceptions_hold() {
        let inside = ["192.168.1.0/24".parse().unwrap()];
        let outside = ["192.168.1.161/32".parse().unwrap()];
        let declared = Site::new(&inside, &outside);
        let assumed = Site::new(&[], &[]);
        for (what, site, ip, expected) in [
            ("declared", &declared, "192.168.1.46", true),
            ("the exception", &declared, "192.168.1.161", false),
            ("not declared", &declared, "10.0.0.1", false),
            ("assumed", &assumed, "10.0.0.1", true),
            ("shared address space", &assumed, "100.64.1.1", true),
            ("unique local", &assumed, "fd00::1", true),
            ("public", &assumed, "2001:db8::1", false),
        ] {
            assert_eq!(site.is_inside(ip.parse().unwrap()), expected, "{what}");
        }
        assert!(assumed.assumed() && !declared.assumed());
        assert_eq!(declared.reach("192.168.1.1".parse().unwrap(), "192.168.1.161".parse().unwrap()), Reach::Outbound);
    }
}
