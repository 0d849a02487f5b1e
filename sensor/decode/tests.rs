//! Frames → packets, as a table. The frames are made here, header by header.

use super::{Decoded, Decoder};
use crate::base::Timestamp;
use crate::capture::{Frame, LinkType};
use proptest::prelude::*;

const A4: [u8; 4] = [192, 0, 2, 1];
const B4: [u8; 4] = [198, 51, 100, 2];

fn be(n: usize) -> [u8; 2] {
    u16::try_from(n).unwrap().to_be_bytes()
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(super) fn ether(ethertype: u16, rest: &[u8]) -> Vec<u8> {
    join(&[&[2; 6], &[4; 6], &ethertype.to_be_bytes(), rest])
}

fn tag(id: u16, ethertype: u16, rest: &[u8]) -> Vec<u8> {
    join(&[&id.to_be_bytes(), &ethertype.to_be_bytes(), rest])
}

/// IPv4 with identification and the flags-and-offset word.
pub(super) fn part4(id: u16, place: u16, protocol: u8, body: &[u8]) -> Vec<u8> {
    let word = place.to_be_bytes();
    join(&[&[0x45, 0], &be(20 + body.len()), &id.to_be_bytes(), &word, &[64, protocol, 0, 0], &A4, &B4, body])
}

pub(super) fn ip4(protocol: u8, body: &[u8]) -> Vec<u8> {
    part4(7, 0x4000, protocol, body)
}

pub(super) fn ip6(next: u8, body: &[u8]) -> Vec<u8> {
    let (mut a, mut b) = ([0_u8; 16], [0_u8; 16]);
    (a[0], a[15], b[0], b[15]) = (0x20, 1, 0x20, 2);
    join(&[&[0x60, 0, 0, 0], &be(body.len()), &[next, 255], &a, &b, body])
}

pub(super) fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&src.to_be_bytes(), &dst.to_be_bytes(), &be(8 + payload.len()), &[0, 0], payload])
}

pub(super) fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let offset = u8::try_from((20 + options.len()) / 4 * 16).unwrap();
    let fixed = [0xc3, 0x50, 1, 187, 0, 0, 0, 9, 0, 0, 0, 5, offset, 0x18, 4, 0, 0xaa, 0xbb, 0, 0];
    join(&[&fixed, options, payload])
}

fn dns() -> Vec<u8> {
    udp(5353, 53, b"question")
}

/// What a frame gives, in one line: `udp 192.0.2.1:5353>198.51.100.2:53 8/8 v100 vxlan:5`, or why not.
fn told(decoder: &mut Decoder, link: u16, bytes: &[u8], wire_len: usize, ms: i64) -> String {
    let wire_len = u32::try_from(wire_len).unwrap();
    let frame = Frame { ts: Timestamp(ms * 1_000_000), link: LinkType(link), bytes, wire_len, input: 0, number: 1 };
    match decoder.decode(&frame) {
        Decoded::Packet(p, identity) => {
            let mut text = format!("{} {}>{} {}/{}", p.transport.name(), p.src, p.dst, p.payload.len(), p.payload_len);
            p.vlan.iter().flatten().for_each(|id| text += &format!(" v{id}"));
            for layer in p.tunnel.iter() {
                text += &format!(" {}", layer.name);
                layer.id.iter().for_each(|id| text += &format!(":{id}"));
            }
            if let Some(identity) = identity {
                text += &format!(" {:?} is {:?}", identity.ip.unwrap(), identity.mac.unwrap());
            }
            text
        }
        Decoded::Identity(identity) => format!("{:?} is {:?}", identity.ip.unwrap(), identity.mac.unwrap()),
        Decoded::Fragment => "fragment".into(),
        Decoded::Undecoded(reason) => reason.into(),
    }
}

fn one(link: u16, bytes: &[u8]) -> String {
    told(&mut Decoder::default(), link, bytes, bytes.len(), 0)
}

/// Every way the same datagram can be wrapped at the link layer: *(what it is, link type, frame, what is told)*.
fn links() -> Vec<(&'static str, u16, Vec<u8>, String)> {
    let (v4, v6) = (ip4(17, &dns()), ip6(17, &dns()));
    let snap = join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &v4]);
    let label = |bottom: u8| [0, 1, 0x40 | bottom, 64];
    let vlans = tag(100, 0x8100, &tag(200, 0x8100, &tag(300, 0x8100, &tag(400, 0x0800, &v4))));
    let cooked = |protocol: u16, rest: &[u8]| join(&[&[0, 0, 0, 1, 0, 6], &[9; 8], &protocol.to_be_bytes(), rest]);
    let wireless = |kind: &[u8], more: usize, tail: &[u8]| join(&[kind, &vec![0; more], tail, &snap]);
    let pppoe = |ppp: &[u8]| join(&[&[0x11, 0, 0, 1], &be(ppp.len()), ppp]);
    let dns4 = || DNS4.to_owned();
    vec![
        ("Ethernet, IPv4", 1, ether(0x0800, &v4), dns4()),
        ("Ethernet, IPv6", 1, ether(0x86dd, &v6), DNS6.to_owned()),
        ("Ethernet padding is no payload", 1, ether(0x0800, &join(&[&v4, &[0; 9]])), dns4()),
        ("one tag", 1, ether(0x8100, &tag(0x6064, 0x0800, &v4)), dns4() + " v100"),
        ("QinQ", 1, ether(0x88a8, &tag(5, 0x8100, &tag(6, 0x86dd, &v6))), DNS6.to_owned() + " v5 v6"),
        ("four tags: outermost and innermost id", 1, ether(0x9100, &vlans), dns4() + " v100 v400"),
        ("802.3, LLC, SNAP", 1, join(&[&[2; 12], &be(snap.len()), &snap]), dns4()),
        ("spanning tree", 1, join(&[&[2; 12], &be(38), &[0x42, 0x42, 3], &[0; 35]]), "llc_sap".into()),
        ("MPLS", 1, ether(0x8847, &join(&[&label(0), &label(1), &v6])), DNS6.to_owned()),
        ("a pseudowire with control word", 1, ether(0x8847, &join(&[&label(1), &[0; 4], &ether(0x0800, &v4)])), dns4()),
        ("a pseudowire without", 1, ether(0x8847, &join(&[&label(1), &ether(0x0800, &v4)])), dns4()),
        ("PPPoE", 1, ether(0x8864, &pppoe(&join(&[&[0, 0x21], &v4]))), dns4()),
        ("PPPoE, PPP control", 1, ether(0x8864, &pppoe(&[0xc0, 0x21, 9, 1])), "ppp_protocol".into()),
        ("PPP with address and control", 9, join(&[&[0xff, 3, 0, 0x57], &v6]), DNS6.to_owned()),
        ("PPP, protocol compressed", 9, join(&[&[0x21], &v4]), dns4()),
        ("Linux cooked", 113, cooked(0x0800, &v4), dns4()),
        ("Linux cooked, tagged", 113, cooked(0x8100, &tag(9, 0x0800, &v4)), dns4() + " v9"),
        ("Linux cooked v2", 276, join(&[&[0x86, 0xdd], &[0; 18], &v6]), DNS6.to_owned()),
        ("loopback, little-endian", 0, join(&[&[2, 0, 0, 0], &v4]), dns4()),
        ("loopback, big-endian", 108, join(&[&[0, 0, 0, 24], &v6]), DNS6.to_owned()),
        ("loopback, another family", 0, join(&[&[7, 0, 0, 0], &v4]), "address_family".into()),
        ("raw IP", 101, v4.clone(), dns4()),
        ("raw IP, BSD's number", 12, v6.clone(), DNS6.to_owned()),
        ("raw IP, OpenBSD's number", 14, v4.clone(), dns4()),
        ("raw IPv4", 228, v4.clone(), dns4()),
        ("raw IPv6", 229, v6.clone(), DNS6.to_owned()),
        ("Cisco HDLC", 104, join(&[&[0x0f, 0, 8, 0], &v4]), dns4()),
        ("a link type we do not read", 195, v4.clone(), "link_type".into()),
        ("wireless data", 105, wireless(&[0x08, 0x02], 22, &[]), dns4()),
        ("wireless data with QoS, between stations", 105, wireless(&[0x88, 0x03], 28, &[0, 0]), dns4()),
        ("wireless, encrypted", 105, wireless(&[0x08, 0x42], 22, &[]), "wireless_encrypted".into()),
        ("a beacon", 105, wireless(&[0x80, 0x00], 22, &[]), "wireless_management".into()),
        (
            "radiotap with padding behind the QoS field",
            127,
            join(&[&[0, 0, 9, 0, 2, 0, 0, 0, 0x20], &wireless(&[0x88, 0x01], 22, &[0, 0, 0, 0])]),
            dns4(),
        ),
        ("PPI", 192, join(&[&[0, 0, 8, 0, 1, 0, 0, 0], &ether(0x0800, &v4)]), dns4()),
        ("netfilter log", 239, join(&[&[2, 0, 0, 0, 6, 0, 1, 0, 9, 9, 0, 0, 48, 0, 9, 0], &v4]), dns4()),
        ("MACsec in the clear", 1, ether(0x88e5, &join(&[&[0x20, 0], &[0; 12], &[8, 0], &v4])), dns4()),
        ("MACsec, encrypted", 1, ether(0x88e5, &join(&[&[0x2c, 0], &[0; 12], &[8, 0], &v4])), "macsec".into()),
        ("NSH", 1, ether(0x894f, &join(&[&[0x0f, 0xc2, 2, 1, 0, 0, 1, 255], &v4])), dns4()),
        ("FabricPath", 1, ether(0x8903, &join(&[&[0, 1], &ether(0x0800, &v4)])), dns4()),
        ("LLDP", 1, ether(0x88cc, &[2, 7]), "ethertype".into()),
        ("no IP version", 101, vec![0x35; 40], "ip_version".into()),
        (
            "an ARP reply",
            1,
            ether(0x0806, &join(&[&[0, 1, 8, 0, 6, 4, 0, 2], &[3; 6], &A4, &[4; 6], &B4])),
            "192.0.2.1 is [3, 3, 3, 3, 3, 3]".into(),
        ),
        (
            "a gratuitous ARP",
            1,
            ether(0x0806, &join(&[&[0, 1, 8, 0, 6, 4, 0, 1], &[3; 6], &A4, &[0; 6], &A4])),
            "192.0.2.1 is [3, 3, 3, 3, 3, 3]".into(),
        ),
        (
            "an ARP request",
            1,
            ether(0x0806, &join(&[&[0, 1, 8, 0, 6, 4, 0, 1], &[3; 6], &A4, &[0; 6], &B4])),
            "arp_request".into(),
        ),
    ]
}

#[test]
fn every_link_layer_leads_to_the_same_datagram() {
    for (what, link, bytes, expected) in links() {
        assert_eq!(one(link, &bytes), expected, "{what}");
    }
}

const DNS4: &str = "udp 192.0.2.1:5353>198.51.100.2:53 8/8";
const DNS6: &str = "udp [2000::1]:5353>[2000::2]:53 8/8";

/// Raw IP packets: *(what it is, packet, what is told)*.
fn packets() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let frag6 =
        |place: u16, id: u8, next: u8, body: &[u8]| join(&[&[next, 0], &place.to_be_bytes(), &[0, 0, 0, id], body]);
    let mut offload = ip4(6, &tcp(&[], &[0; 100]));
    offload[2..4].copy_from_slice(&[0, 0]);
    let mut offload6 = ip6(6, &tcp(&[], &[0; 100]));
    offload6[4..6].copy_from_slice(&[0, 0]);
    let mut options = ip4(17, &join(&[&[1, 1, 1, 0], &dns()]));
    options[0] = 0x46;
    let mut lying = tcp(&[], b"x");
    lying[12] = 0x40;
    let mut short_udp = dns();
    short_udp[4..6].copy_from_slice(&[0, 10]);
    let icmp = |kind: u8, code: u8| join(&[&[kind, code, 0, 0, 0, 1, 0, 2], b"abcd"]);
    let inner = ip4(17, &dns());
    let error = join(&[&[3, 1, 0, 0, 0, 0, 0, 0], &inner]);
    let link_layer = [2, 1, 9, 8, 7, 6, 5, 4];
    let target = [0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let advert = join(&[&[136, 0, 0, 0, 0x60, 0, 0, 0], &target, &link_layer]);
    let solicit = join(&[&[135, 0, 0, 0, 0, 0, 0, 0], &target, &[1, 1, 9, 8, 7, 6, 5, 4]]);
    let mut routed = ip6(58, &advert);
    routed[7] = 64;
    vec![
        ("TCP", ip4(6, &tcp(&[], b"hello")), "tcp 192.0.2.1:50000>198.51.100.2:443 5/5"),
        ("TCP with options", ip4(6, &tcp(&[1; 12], b"hello")), "tcp 192.0.2.1:50000>198.51.100.2:443 5/5"),
        ("TCP whose offset is below its header", ip4(6, &lying), "tcp"),
        ("an offload frame, IPv4", offload, "tcp 192.0.2.1:50000>198.51.100.2:443 100/100"),
        ("an offload frame, IPv6", offload6, "tcp [2000::1]:50000>[2000::2]:443 100/100"),
        ("IP options", options, DNS4),
        ("UDP shorter than IP says", ip4(17, &short_udp), "udp 192.0.2.1:5353>198.51.100.2:53 2/2"),
        ("SCTP", ip4(132, &[0, 9, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 5]), "sctp 192.0.2.1:9>198.51.100.2:10 1/1"),
        ("ESP has no ports", ip4(50, &[1; 20]), "esp 192.0.2.1:0>198.51.100.2:0 20/20"),
        ("echo request", ip4(1, &icmp(8, 0)), "icmp 192.0.2.1:8>198.51.100.2:0 4/4"),
        ("echo reply", ip4(1, &icmp(0, 0)), "icmp 192.0.2.1:0>198.51.100.2:8 4/4"),
        ("an error makes no flow of its inside", ip4(1, &error), "icmp 192.0.2.1:3>198.51.100.2:1 36/36"),
        ("ICMPv6 echo", ip6(58, &icmp(128, 0)), "icmp [2000::1]:128>[2000::2]:129 4/4"),
        ("ICMPv6 error", ip6(58, &icmp(1, 4)), "icmp [2000::1]:1>[2000::2]:4 4/4"),
        (
            "a neighbour advertises",
            ip6(58, &advert),
            "icmp [2000::1]:136>[2000::2]:135 24/24 2000::7 is [9, 8, 7, 6, 5, 4]",
        ),
        ("a neighbour asks", ip6(58, &solicit), "icmp [2000::1]:135>[2000::2]:136 24/24 2000::1 is [9, 8, 7, 6, 5, 4]"),
        ("an advertisement from afar is not believed", routed, "icmp [2000::1]:136>[2000::2]:135 24/24"),
        (
            "extension headers",
            ip6(
                0,
                &join(&[&[43, 0, 1, 4, 0, 0, 0, 0], &[60, 0, 0, 0, 0, 0, 0, 0], &[17, 0, 1, 4, 0, 0, 0, 0], &dns()]),
            ),
            DNS6,
        ),
        ("AH", ip4(51, &join(&[&[17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], &[7; 12], &dns()])), DNS4),
        ("an atomic fragment", ip6(44, &frag6(0, 1, 17, &dns())), DNS6),
        ("an extension header longer than the packet", ip6(0, &[17, 9, 0, 0, 0, 0, 0, 0]), "ipv6"),
        ("a header length below five", vec![0x44; 30], "ipv4"),
    ]
}

#[test]
fn packets_are_read_as_their_headers_say() {
    for (what, bytes, expected) in packets() {
        assert_eq!(one(101, &bytes), expected, "{what}");
    }
}

#[test]
fn what_the_snap_length_cut_is_known_by_its_length_on_the_wire() {
    let bytes = ip4(6, &tcp(&[1; 12], &[0; 500]));
    for (kept, expected) in [
        (120, "tcp 192.0.2.1:50000>198.51.100.2:443 68/500"),
        (45, "tcp 192.0.2.1:50000>198.51.100.2:443 0/500"),
        (34, "tcp 192.0.2.1:50000>198.51.100.2:443 0/500"),
        (30, "tcp"),
    ] {
        let mut decoder = Decoder::default();
        assert_eq!(told(&mut decoder, 101, &bytes[..kept], bytes.len(), 0), expected, "{kept} bytes");
    }
}

/// Tunnels around the same datagram: *(what it is, packet, what is told)*.
fn tunnels() -> Vec<(&'static str, Vec<u8>, String)> {
    let (v4, v6) = (ip4(17, &dns()), ip6(17, &dns()));
    let frame = ether(0x0800, &v4);
    let gre = |head: &[u8], rest: &[u8]| ip4(47, &join(&[head, rest]));
    let in_udp = |port: u16, head: &[u8], rest: &[u8]| ip4(17, &udp(40_000, port, &join(&[head, rest])));
    let vxlan = |rest: &[u8]| in_udp(4789, &[8, 0, 0, 0, 0, 0, 42, 0], rest);
    let nested = (0..5).fold(v4.clone(), |inside, _| ip4(4, &inside));
    let outer = |port: u16, len: usize| format!("udp 192.0.2.1:40000>198.51.100.2:{port} {len}/{len}");
    let ppp = join(&[&[0xff, 3, 0, 0x21], &v4]);
    let pptp = join(&[&[0x30, 0x81, 0x88, 0x0b], &be(ppp.len()), &[0, 9, 0, 0, 0, 1, 0, 0, 0, 2], &ppp]);
    let dns4 = |tunnel: &str| format!("{DNS4} {tunnel}");
    vec![
        ("IP in IP", ip4(4, &v4), dns4("ip")),
        ("IPv6 in IPv4", ip4(41, &v6), format!("{DNS6} ip")),
        ("IPv4 in IPv6", ip6(4, &v4), dns4("ip")),
        ("GRE", gre(&[0, 0, 8, 0], &v4), dns4("gre")),
        (
            "GRE with checksum, key and number",
            gre(&[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1], &v4),
            dns4("gre:5"),
        ),
        ("GRE, a bridge", gre(&[0, 0, 0x65, 0x58], &frame), dns4("gre")),
        (
            "GRE of another version",
            gre(&[0, 3, 8, 0], &v4),
            "gre 192.0.2.1:0>198.51.100.2:0 40/40".replace("40", &(v4.len() + 4).to_string()),
        ),
        ("PPTP", ip4(47, &pptp), dns4("gre:9 ppp")),
        ("ERSPAN I", gre(&[0, 0, 0x88, 0xbe], &frame), dns4("erspan")),
        ("ERSPAN II", gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 7, 0, 0, 0, 0], &frame), dns4("erspan:7")),
        (
            "ERSPAN III with subheader",
            gre(
                &[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
                &frame,
            ),
            dns4("erspan:7"),
        ),
        ("EtherIP", ip4(97, &join(&[&[0x30, 0], &frame])), dns4("etherip")),
        ("MPLS in IP", ip4(137, &join(&[&[0, 0, 1, 64], &v4])), dns4("mpls")),
        ("VXLAN", vxlan(&frame), dns4("vxlan:42")),
        ("a tag inside is the tunnel's matter", vxlan(&ether(0x8100, &tag(7, 0x0800, &v4))), dns4("vxlan:42")),
        ("ARP inside: the carrier stands", vxlan(&arp(1, B4)), outer(4789, 50)),
        (
            "an ARP reply inside tells all the same",
            vxlan(&arp(2, B4)),
            outer(4789, 50) + " 192.0.2.1 is [3, 3, 3, 3, 3, 3]",
        ),
        ("Geneve with options", in_udp(6081, &[1, 0, 0x65, 0x58, 0, 0, 3, 0, 9, 9, 9, 0], &frame), dns4("geneve:3")),
        ("GTP-U", in_udp(2152, &[0x30, 255, 0, 40, 0, 0, 0, 77], &v4), dns4("gtp:77")),
        (
            "GTP-U with an extension header",
            in_udp(2152, &[0x34, 255, 0, 40, 0, 0, 0, 77, 0, 0, 0, 0x85, 1, 0, 0, 0], &v4),
            dns4("gtp:77"),
        ),
        ("GTP-U signalling", in_udp(2152, &[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0], &[]), outer(2152, 12)),
        ("Teredo", in_udp(3544, &[], &v6), format!("{DNS6} teredo")),
        (
            "Teredo with authentication and origin",
            in_udp(3544, &join(&[&[0, 1, 0, 0], &[7; 9], &[0, 0], &[9; 6]]), &v6),
            format!("{DNS6} teredo"),
        ),
        ("GRE in UDP", in_udp(4754, &[0, 0, 8, 0], &v4), dns4("gre")),
        ("ordinary datagrams to a tunnel's port", in_udp(4789, b"anything at all, long enough", &[]), outer(4789, 28)),
        (
            "VXLAN whose inside is longer than what carries it",
            in_udp(4789, &[8, 0, 0, 0, 0, 0, 42, 0], &frame[..frame.len() - 3]),
            outer(4789, frame.len() + 5),
        ),
        (
            "tunnels beyond the limit stay closed",
            nested,
            "ipv4 192.0.2.1:0>198.51.100.2:0 36/36 ip ip ip ip".to_owned(),
        ),
    ]
}

/// An Ethernet frame with ARP.
fn arp(operation: u8, target: [u8; 4]) -> Vec<u8> {
    ether(0x0806, &join(&[&[0, 1, 8, 0, 6, 4, 0, operation], &[3; 6], &A4, &[0; 6], &target]))
}

#[test]
fn tunnels_are_peeled_and_what_only_looks_like_one_is_not() {
    for (what, bytes, expected) in tunnels() {
        assert_eq!(one(101, &bytes), expected, "{what}");
    }
}

/// Fragments in the order they come, at these milliseconds → what each is told as.
#[test]
fn fragments_are_joined_whatever_their_order_and_copies() {
    let whole = udp(5353, 53, &[7; 32]);
    let p4 = |place: u16, from: usize, to: usize| part4(9, place, 17, &whole[from..to]);
    let other = |place: u16, from: usize, to: usize| {
        let mut changed = whole.clone();
        changed.iter_mut().skip(8).for_each(|b| *b = 1);
        part4(9, place, 17, &changed[from..to])
    };
    let p6 = |place: u16, more: u16, from: usize, to: usize| {
        ip6(44, &join(&[&[17, 0], &((place * 8) | more).to_be_bytes(), &[0, 0, 0, 1], &whole[from..to]]))
    };
    let (first, middle, last) = (p4(0x2000, 0, 16), p4(0x2002, 16, 24), p4(3, 24, 40));
    let (v4, v6) = ("udp 192.0.2.1:5353>198.51.100.2:53 32/32", "udp [2000::1]:5353>[2000::2]:53 32/32");
    let wait = "fragment";
    type Steps = Vec<(i64, Vec<u8>, &'static str)>;
    let cases: Vec<(&str, Steps)> = vec![
        ("in order", vec![(0, first.clone(), wait), (1, middle.clone(), wait), (2, last.clone(), v4)]),
        ("backwards", vec![(0, last.clone(), wait), (1, middle.clone(), wait), (2, first.clone(), v4)]),
        (
            "each twice",
            vec![(0, first.clone(), wait), (0, first.clone(), wait), (1, middle.clone(), wait), (2, last.clone(), v4)],
        ),
        ("overlapping alike", vec![(0, first.clone(), wait), (1, p4(0x2001, 8, 24), wait), (2, last.clone(), v4)]),
        (
            "overlapping with other bytes: the first wins and it is still joined",
            vec![(0, first.clone(), wait), (1, other(0x2001, 8, 24), wait), (2, last.clone(), v4)],
        ),
        ("too late", vec![(0, first.clone(), wait), (1, middle.clone(), wait), (31_000, last.clone(), wait)]),
        ("beyond 64 KiB", vec![(0, p4(0x1fff, 0, 40), "fragment_bounds")]),
        ("no multiple of eight", vec![(0, p4(0x2000, 0, 13), "fragment_bounds")]),
        ("IPv6", vec![(0, p6(0, 1, 0, 16), wait), (1, p6(2, 0, 16, 40), v6)]),
        ("IPv6, copies", vec![(0, p6(0, 1, 0, 16), wait), (0, p6(0, 1, 0, 16), wait), (1, p6(2, 0, 16, 40), v6)]),
        (
            "IPv6 overlap abandons the packet (RFC 5722)",
            vec![
                (0, p6(0, 1, 0, 16), wait),
                (1, p6(1, 1, 8, 24), "fragment_overlap"),
                (2, p6(2, 0, 16, 40), "fragment_refused"),
            ],
        ),
    ];
    for (what, steps) in cases {
        let mut decoder = Decoder::default();
        for (n, (ms, bytes, expected)) in steps.into_iter().enumerate() {
            assert_eq!(told(&mut decoder, 101, &bytes, bytes.len(), ms), expected, "{what}, step {n}");
        }
    }
}

#[test]
fn fragments_in_waiting_are_bounded_and_counted() {
    let mut decoder = Decoder::default();
    for id in 0..30_000_u16 {
        let bytes = part4(id, 0x3f00, 17, &[0; 1024]);
        assert_eq!(told(&mut decoder, 101, &bytes, bytes.len(), i64::from(id) / 1000), "fragment");
    }
    let counts = decoder.stats().fragments;
    assert!(counts.evicted > 25_000, "{counts:?}");
}

#[test]
fn no_cut_and_no_mutation_of_a_frame_panics() {
    let mut seed = 7_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(seed >> 8).unwrap()
    };
    let mut decoder = Decoder::default();
    let all = links().into_iter().map(|(_, link, bytes, _)| (link, bytes));
    let raw = packets().into_iter().map(|(_, bytes, _)| (101, bytes));
    for (link, bytes) in all.chain(raw).chain(tunnels().into_iter().map(|(_, bytes, _)| (101, bytes))) {
        for n in 0..bytes.len() {
            told(&mut decoder, link, &bytes[..n], bytes.len(), 0);
            told(&mut decoder, link, &bytes[..n], n, 0);
        }
        for _ in 0..2000 {
            let mut bytes = bytes.clone();
            for _ in 0..=next() % 4 {
                let at = next() % bytes.len();
                bytes[at] = u8::try_from(next() % 256).unwrap();
            }
            told(&mut decoder, link, &bytes, bytes.len(), 0);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(link in prop::sample::select(vec![0_u16, 1, 9, 51, 101, 104, 105, 113, 119, 127, 163, 192, 239, 276]),
                      bytes in prop::collection::vec(any::<u8>(), 0..200), more in 0_usize..2000) {
        told(&mut Decoder::default(), link, &bytes, bytes.len() + more, 0);
    }
}
