//! Address → cloud provider and service, from `rules/intel/cloud_ranges.csv`.
//!
//! The longest prefix wins. At equal length a named service wins over the provider's catch-all, because a storage
//! range is also inside the provider's whole; among equals the earlier row stays. The ranges of routing data
//! (`asn` services) cover everything a network announces and are coarse.

use super::table::{TableError, Word, Words, rows};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use std::net::IpAddr;

/// Ranges of clouds, content networks and hosters.
#[derive(Debug)]
pub(super) struct Ranges {
    v4: PrefixMap<Ipv4Net, Range>,
    v6: PrefixMap<Ipv6Net, Range>,
    words: Words,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    provider: Word,
    service: Word,
    general: bool,
}

impl Ranges {
    /// Reads the table.
    pub(super) fn new(csv: &str) -> Result<Self, TableError> {
        let mut ranges = Self { v4: PrefixMap::new(), v6: PrefixMap::new(), words: Words::default() };
        rows(csv, ["cidr", "provider", "service"], |[cidr, provider, service]| {
            let range = Range {
                provider: ranges.words.add(provider)?,
                service: ranges.words.add(service)?,
                general: GENERAL.contains(&service),
            };
            let net: IpNet = cidr.parse().map_err(|_| format!("{cidr:?} is no CIDR block"))?;
            let stays = |old: &Range| range.general || !old.general;
            match net.trunc() {
                IpNet::V4(net) if !ranges.v4.get(&net).is_some_and(stays) => drop(ranges.v4.insert(net, range)),
                IpNet::V6(net) if !ranges.v6.get(&net).is_some_and(stays) => drop(ranges.v6.insert(net, range)),
                _ => {}
            }
            Ok(())
        })?;
        Ok(ranges)
    }

    /// Provider and service of an address.
    pub(super) fn find(&self, ip: IpAddr) -> Option<(&str, &str)> {
        let range = match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.get_lpm(&Ipv4Net::from(ip)).map(|(_, range)| range),
            IpAddr::V6(ip) => self.v6.get_lpm(&Ipv6Net::from(ip)).map(|(_, range)| range),
        }?;
        Some((self.words.get(range.provider), self.words.get(range.service)))
    }
}

/// Services that mean "the provider as a whole".
const GENERAL: &[&str] = &["all", "public-cloud", "gcp-customer", "asn", "asn-major", "choopa-asn"];

/// The category a service stands for, in the words of `cloud_domains.csv`; for destinations without a telling name.
pub(super) fn class(service: &str) -> Option<&'static str> {
    Some(match service {
        "s3" => "object-storage",
        "ec2" | "shared-hosting" => "iaas-hostname",
        "api-gateway" => "paas-serverless",
        "dynamodb" => "db-saas",
        "cdn" | "cloudfront" | "global-accelerator" => "cdn",
        "office365" | "office365-cn" => "collaboration",
        "vpn-exit" => "anonymizer",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_at_equal_length_the_named_service() {
        let ranges = Ranges::new(
            "cidr,provider,service,source,snapshot_date\n\
             203.0.112.0/20,big,all,x,2026-01-01\n\
             203.0.113.0/24,big,all,x,2026-01-01\n\
             203.0.113.0/24,big,storage,x,2026-01-01\n\
             203.0.113.0/24,big,gcp-customer,x,2026-01-01\n\
             203.0.113.128/25,small,cdn,x,2026-01-01\n\
             2001:db8::/32,big,all,x,2026-01-01\n",
        )
        .unwrap();
        for (what, ip, expected) in [
            ("only the wide range", "203.0.112.1", Some(("big", "all"))),
            ("equal length", "203.0.113.1", Some(("big", "storage"))),
            ("the longest", "203.0.113.200", Some(("small", "cdn"))),
            ("IPv6", "2001:db8::1", Some(("big", "all"))),
            ("IPv4 written as IPv6", "::ffff:203.0.113.1", Some(("big", "storage"))),
            ("nobody's", "198.51.100.1", None),
        ] {
            assert_eq!(ranges.find(ip.parse().unwrap()), expected, "{what}");
        }
    }
}
