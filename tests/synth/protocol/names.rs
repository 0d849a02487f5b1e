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

/// Names without a server: mDNS (RFC 6762), LLMNR (RFC 4795), NetBIOS (RFC 1002 §4.2).
pub(crate) fn local() -> Vec<u8> {
    let mut wire = Wire::new(6);
    let (pc, printer) = (pc(), Host::inside([10, 20, 1, 90]));
    let group = |last: u8| Host { ip: IpAddr::from([224, 0, 0, last]), ttl: 255 };
    // A query by multicast, answered by multicast.
    wire.udp(MORNING, (&pc, 5353), (&group(251), 5353), &dns::query(0, "printer-3.local", dns::A));
    let answer = dns::announcement("printer-3.local", printer.ip);
    wire.udp(MORNING + 9 * MS, (&printer, 5353), (&group(251), 5353), &answer);
    // The same by LLMNR, answered to the one who asked.
    let now = MORNING + SECOND;
    let name = "files-old";
    let (ask, found) = (dns::query(0x2211, name, dns::A), [Answer::Address([10, 20, 1, 91].into())]);
    wire.udp(now, (&pc, 55_001), (&group(252), 5355), &ask);
    let reply = dns::response(0x2211, name, dns::A, FOUND, 30, &found);
    let old = Host::inside([10, 20, 1, 91]);
    wire.udp(now + 4 * MS, (&old, 5355), (&pc, 55_001), &reply);
    // A registration, then a query that is answered.
    let now = now + SECOND;
    let all = Host::inside([10, 20, 1, 255]);
    let (question, pointer) = ([&netbios("PC-0021", 0)[..], &[0, 0x20, 0, 1]].concat(), [0xc0, 0x0c, 0, 0x20, 0, 1]);
    let mine = [&[0, 4, 0x93, 0xe0, 0, 6, 0, 0][..], &[10, 20, 1, 21]].concat();
    let registration = [&[0x80, 1, 0x29, 0x10, 0, 1, 0, 0, 0, 0, 0, 1][..], &question, &pointer, &mine].concat();
    wire.udp(now, (&pc, 137), (&all, 137), &registration);
    let ask =
        [&[0x80, 2, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, 0][..], &netbios("FILES-OLD", 0x20), &[0, 0x20, 0, 1]].concat();
    wire.udp(now + SECOND, (&pc, 137), (&all, 137), &ask);
    let theirs = [&[0, 0x20, 0, 1, 0, 4, 0x93, 0xe0, 0, 6, 0, 0][..], &[10, 20, 1, 91]].concat();
    let reply = [&[0x80, 2, 0x85, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &netbios("FILES-OLD", 0x20), &theirs].concat();
    wire.udp(now + SECOND + 2 * MS, (&old, 137), (&pc, 137), &reply);
    pcap(&wire.finish())
}

/// First-level encoding (RFC 1001 §14.1): fifteen characters and the kind, a nibble a letter.
fn netbios(name: &str, kind: u8) -> Vec<u8> {
    let letters = name.bytes().chain(std::iter::repeat(b' ')).take(15).chain([kind]);
    let coded: Vec<u8> = letters.flat_map(|b| [b'A' + (b >> 4), b'A' + (b & 15)]).collect();
    [&[32][..], &coded, &[0]].concat()
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
