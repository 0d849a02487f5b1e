//! Who is who: DNS, DHCP, Kerberos, NTP, SSH.

use super::{dc, pc, web};
use crate::synth::directory;
use crate::synth::dns::{self, Answer, FOUND, NO_SUCH_NAME, look_up};
use crate::synth::file::pcap;
use crate::synth::net::{Host, MORNING, MS, SECOND, Wire, arp};
use crate::synth::ssh;
use std::net::IpAddr;

/// Aliases, both families, a service, a pointer, text, a name that does not exist, a question nobody answers.
pub(crate) fn dns_udp() -> Vec<u8> {
    let mut wire = Wire::new(1);
    let (pc, dc) = (pc(), dc());
    let v6: IpAddr = "2001:db8:80::1".parse().unwrap();
    let alias = Answer::Alias("edge.cdn.example".into());
    let address = Answer::Address(web().ip);
    let service = Answer::Service(0, 100, 389, "dc01.corp.example".into());
    let asked: &[(&str, u16, u8, &[Answer])] = &[
        ("www.news.example", dns::A, FOUND, &[alias, address.clone(), Answer::Address([198, 51, 100, 81].into())]),
        ("www.news.example", dns::AAAA, FOUND, &[Answer::Address(v6)]),
        ("www.news.example", dns::HTTPS, FOUND, &[]),
        ("_ldap._tcp.dc._msdcs.corp.example", dns::SRV, FOUND, &[service]),
        ("5.0.20.10.in-addr.arpa", dns::PTR, FOUND, &[Answer::Pointer("dc01.corp.example".into())]),
        ("_dmarc.news.example", dns::TXT, FOUND, &[Answer::Text("v=DMARC1; p=none".into())]),
        ("wpad.corp.example", dns::A, NO_SUCH_NAME, &[]),
    ];
    let mut now = MORNING;
    for (name, kind, rcode, answers) in asked {
        now = look_up(&mut wire, now, &pc, &dc, (name, *kind), (*rcode, answers)) + 20 * MS;
    }
    wire.udp(now, (&pc, 50_999), (&dc, 53), &dns::query(7, "nobody-answers.example", dns::A));
    pcap(&wire.finish())
}

/// Two questions on one connection.
pub(crate) fn dns_tcp() -> Vec<u8> {
    let mut wire = Wire::new(2);
    let long: Vec<Answer> = (1..=40).map(|n| Answer::Address([198, 51, 100, n].into())).collect();
    let lookups = [("many.cdn.example", dns::A, long), ("www.news.example", dns::A, vec![Answer::Address(web().ip)])];
    dns::look_up_over_tcp(&mut wire, MORNING, &pc(), &dc(), &lookups);
    pcap(&wire.finish())
}

/// A lease from the beginning, announced by ARP.
pub(crate) fn dhcp() -> Vec<u8> {
    let mut wire = Wire::new(3);
    let IpAddr::V4(address) = pc().ip else { panic!("an IPv4 address") };
    let now = directory::lease(&mut wire, MORNING, &pc(), &dc(), "PC-0021");
    wire.push(now + SECOND, arp(1, (pc().mac(), [0; 4].into()), ([0; 6], address)));
    wire.push(now + 2 * SECOND, arp(1, (pc().mac(), address), ([0; 6], [10, 20, 1, 1].into())));
    let router = super::super::net::ROUTER;
    wire.push(now + 2 * SECOND + MS, arp(2, (router, [10, 20, 1, 1].into()), (pc().mac(), address)));
    pcap(&wire.finish())
}

/// A machine's logon, then a person's with a ticket for the file server.
pub(crate) fn kerberos() -> Vec<u8> {
    let mut wire = Wire::new(4);
    let now = directory::logon(&mut wire, MORNING, &pc(), &dc(), "PC-0021$", &["ldap", "dc01.corp.example"]);
    let cifs = ["cifs", "files.corp.example"];
    let now = directory::logon(&mut wire, now + SECOND, &pc(), &dc(), "a.sato", &cifs);
    // A wrong password, over UDP.
    let request = directory::as_request(&mut wire.random, "b.mori", true);
    wire.udp(now + SECOND, (&pc(), 50_123), (&dc(), 88), &request);
    let error = directory::error(24, &["krbtgt", directory::REALM]);
    wire.udp(now + SECOND + MS, (&dc(), 88), (&pc(), 50_123), &error);
    directory::ldap_search(&mut wire, now + 2 * SECOND, &pc(), &dc());
    pcap(&wire.finish())
}

/// A session of a few keystrokes to a server outside.
pub(crate) fn ssh() -> Vec<u8> {
    let mut wire = Wire::new(5);
    ssh::session(&mut wire, MORNING, &pc(), &Host::outside([192, 0, 2, 22]), 6);
    pcap(&wire.finish())
}
