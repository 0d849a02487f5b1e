//! Management products: the servers that touch every endpoint, by the ports they listen on and the vendors they call.
//!
//! Ports are installation defaults and can be changed, so a port suggests a product; it proves none. Ports that any
//! web server, file server or directory listens on say nothing about the product and are left out.

use super::table::{TableError, rows};
use crate::base::Transport;

/// All products of the table.
#[derive(Debug)]
pub(super) struct Products {
    list: Vec<Product>,
}

#[derive(Debug)]
struct Product {
    name: Box<str>,
    /// `av-management`, `patch`, `inventory`, `config-mgmt`, `rmm`, `directory`, `backup`, `virtualisation`.
    kind: Box<str>,
    ports: Vec<(Transport, u16, u16)>,
    /// Suffixes of the vendor's names.
    vendor: Vec<Box<str>>,
}

impl Products {
    /// Reads `management_products.csv`.
    pub(super) fn new(csv: &str) -> Result<Self, TableError> {
        let mut list = Vec::new();
        let columns = ["product", "kind", "server_listen_ports", "agent_listen_ports", "vendor_domains_allow"];
        rows(csv, columns, |[name, kind, server, agent, vendor]| {
            list.push(Product {
                name: name.into(),
                kind: kind.into(),
                ports: ports(server).chain(ports(agent)).collect(),
                vendor: suffixes(vendor).map(Into::into).collect(),
            });
            Ok(())
        })?;
        Ok(Self { list })
    }

    /// The first product of one of `kinds` that listens on a port by default.
    pub(super) fn on(&self, transport: Transport, port: u16, kinds: &[&str]) -> Option<&str> {
        let listens =
            |p: &&Product| p.ports.iter().any(|(t, low, high)| *t == transport && (*low..=*high).contains(&port));
        let mut of_kind = self.list.iter().filter(|p| !GENERIC.contains(&port) && kinds.contains(&&*p.kind));
        of_kind.find(listens).map(|product| &*product.name)
    }

    /// Whether a name belongs to the vendor of a product of one of `kinds`.
    pub(super) fn is_vendor(&self, name: &str, kinds: &[&str]) -> bool {
        let below = |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        self.list.iter().filter(|p| kinds.contains(&&*p.kind)).any(|p| p.vendor.iter().any(|suffix| below(suffix)))
    }
}

/// `tcp/8080 (HTTP legacy); udp/7770-7800` → transport and range each. Words around them are for people.
fn ports(cell: &str) -> impl Iterator<Item = (Transport, u16, u16)> {
    cell.split([' ', ';', '(', ')', ',']).filter_map(|word| {
        let (transport, range) = word.split_once('/')?;
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return None,
        };
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        Some((transport, low.parse().ok()?, high.parse().ok()?))
    })
}

/// `*.vendor.example; update.vendor.example` → suffixes. A remark, a pattern in the middle, an address or a cloud that
/// is anybody's is none.
fn suffixes(cell: &str) -> impl Iterator<Item = &str> {
    let entries = cell.split(';').map(|entry| entry.trim().trim_start_matches("*."));
    entries.filter(|entry| entry.contains('.') && !entry.contains([' ', '*', '/']) && !ANYBODYS.contains(entry))
}

/// Ports of protocols that everybody speaks: SSH, SMTP, DNS, DHCP, TFTP, HTTP, Kerberos, NTP, RPC, NetBIOS, SNMP's
/// neighbours, LDAP, HTTPS, SMB, submission, IPP, LDAPS, IMAPS, POP3S, SQL, proxies and the usual second web ports.
const GENERIC: &[u16] = &[
    22, 25, 53, 67, 68, 69, 80, 88, 123, 135, 139, 389, 443, 445, 464, 515, 587, 631, 636, 993, 995, 1433, 1434, 3128,
    3268, 3269, 8000, 8080, 8081, 8443, 8888, 9100,
];
/// Clouds in which everybody can have a name.
const ANYBODYS: &[&str] = &["blob.core.windows.net", "servicebus.windows.net", "msappproxy.net"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_among_words() {
        for (what, cell, expected) in [
            (
                "with a remark",
                "tcp/4119 (console); tcp/4120",
                vec![(Transport::Tcp, 4119, 4119), (Transport::Tcp, 4120, 4120)],
            ),
            ("a range", "tcp/2500-3300 (data movers)", vec![(Transport::Tcp, 2500, 3300)]),
            (
                "after words",
                "smart scan tcp/8082 udp/5274",
                vec![(Transport::Tcp, 8082, 8082), (Transport::Udp, 5274, 5274)],
            ),
            ("words only", "none (agent pulls)", vec![]),
            ("no port", "tcp/any", vec![]),
        ] {
            assert_eq!(ports(cell).collect::<Vec<_>>(), expected, "{what}");
        }
    }

    #[test]
    fn a_vendors_names_are_suffixes_and_a_cloud_is_nobodys() {
        let cell = "*.vendor.example; up.other.example; push.x.example (tcp/8883); *.blob.core.windows.net; none";
        assert_eq!(suffixes(cell).collect::<Vec<_>>(), ["vendor.example", "up.other.example"]);
    }
}
