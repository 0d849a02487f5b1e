//! Management products by the ports they listen on: the servers that touch every endpoint.
//!
//! Ports are installation defaults and can be changed, so a port suggests a product; it proves none. Ports that any
//! web server, file server or directory listens on say nothing about the product and are left out.

use super::table::rows;
use crate::event::Transport;

/// One product and one range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    /// `Deep Security / Cloud One Workload`.
    pub(crate) product: Box<str>,
    /// `Trend Micro`.
    pub(crate) vendor: Box<str>,
    /// `av-management`, `patch`, `inventory`, `config-mgmt`, `rmm`, `directory`, `backup`, `virtualisation`.
    pub(crate) kind: Box<str>,
    /// Who listens there.
    pub(crate) side: Side,
}

/// Which part of a product listens on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    /// The managing server: agents connect to it.
    Server,
    /// The managed endpoint: the server pushes to it.
    Agent,
}

/// Products by port.
#[derive(Debug)]
pub(super) struct Products {
    entries: Vec<(Transport, u16, u16, Product)>,
}

impl Products {
    /// Reads `management_products.csv`.
    pub(super) fn new(csv: &str) -> Self {
        let mut entries = Vec::new();
        let columns = ["product", "vendor", "kind", "server_listen_ports", "agent_listen_ports"];
        rows(csv, columns, |[product, vendor, kind, server, agent]| {
            for (side, cell) in [(Side::Server, server), (Side::Agent, agent)] {
                let product = Product { product: product.into(), vendor: vendor.into(), kind: kind.into(), side };
                entries.extend(ports(cell).map(|(t, low, high)| (t, low, high, product.clone())));
            }
        });
        Self { entries }
    }

    /// Products that listen on a port by default, in the order of the table.
    pub(super) fn on(&self, transport: Transport, port: u16) -> impl Iterator<Item = &Product> {
        let told = !GENERIC.contains(&port);
        self.entries
            .iter()
            .filter(move |(t, low, high, _)| told && *t == transport && (*low..=*high).contains(&port))
            .map(|(.., product)| product)
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

/// Ports of protocols that everybody speaks: SSH, SMTP, DNS, DHCP, TFTP, HTTP, Kerberos, NTP, RPC, NetBIOS, SNMP's
/// neighbours, LDAP, HTTPS, SMB, submission, IPP, LDAPS, IMAPS, POP3S, SQL, proxies and the usual second web ports.
const GENERIC: &[u16] = &[
    22, 25, 53, 67, 68, 69, 80, 88, 123, 135, 139, 389, 443, 445, 464, 515, 587, 631, 636, 993, 995, 1433, 1434, 3128,
    3268, 3269, 8000, 8080, 8081, 8443, 8888, 9100,
];

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
}
