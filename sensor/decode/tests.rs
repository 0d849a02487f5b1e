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

const DNS4: &str = "udp 192.0.2.1:5353>198.51.100.2:53 8/8";
const DNS6: &str = "udp [2000::1]:5353>[2000::2]:53 8/8";

/// Every way the same datagram can be wrapped at the link layer: *(what it is, link type, frame, what is told)*.
fn links() -> Vec<(&'static str, u16, Vec<u8>, String)> {
    let (v4, v6) = (ip4(17, &dns()), ip6(17, &dns()));
    let snap = join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &v4]);
    let label = |bottom: u8| [0, 1, 0x40 | bottom, 64];
    let vlans = tag(100, 0x8100, &tag(200, 0x8100, &tag(300, 0x8100, &tag(400, 0x0800, &v4))));
    let cooked = |protocol: u16, rest: &[u8]| join(&[&[0, 0, 0, 1, 0, 6], &[9; 8], &protocol.to_be_bytes(), rest]);
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
        ("a link type we do not read", 105, v4.clone(), "link_type".into()),
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

#[test]
fn no_cut_and_no_mutation_of_a_frame_panics() {
    let mut seed = 7_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(seed >> 8).unwrap()
    };
    let mut decoder = Decoder::default();
    for (_, link, bytes, _) in links() {
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
    fn no_bytes_panic(link in prop::sample::select(vec![0_u16, 1, 9, 51, 101, 104, 113, 276]),
                      bytes in prop::collection::vec(any::<u8>(), 0..200), more in 0_usize..2000) {
        told(&mut Decoder::default(), link, &bytes, bytes.len() + more, 0);
    }
}
