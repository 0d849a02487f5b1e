//! Who is who, and what a sensor does not see: addresses that change hands, machines with two, several behind one, names
//! that share an address, a proxy in between, a mirror of one direction.

use super::acts::Act;
use super::attack::{Callback, Door, act_by, call_back, fetch};
use super::directory;
use super::dns::{A, Answer, FOUND, look_up};
use super::habits;
use super::hello::{Client, client_hello};
use super::http;
use super::net::{Host, MINUTE, MS, Nanos, SECOND, Wire, arp};
use super::office::{Office, Place};
use super::tcp::{LINUX, Side, Tcp, WINDOWS};
use super::tls::{self, HANDSHAKE, Tls};
use std::net::IpAddr;

/// Where the made-up machines of these captures call back to.
const REMOTE: Callback<'static> =
    Callback { name: "cdn.quiet-harbour.example", interval: 30 * SECOND, jitter: 10, beats: 10 };

fn morning(seed: u64, pcs: impl Iterator<Item = u8>) -> Office {
    let mut office = Office::new(Place::usual(seed));
    for pc in pcs {
        let at = office.at(u64::from(pc) * 7 * SECOND);
        let ready = habits::morning(&mut office, pc, at);
        for n in 0..2 {
            habits::browse(&mut office, pc, ready + n * 4 * MINUTE + u64::from(pc) * 31 * SECOND);
        }
    }
    office
}

/// Somebody makes PC-0018 run something; half a minute later it and PC-0019 get each other's address; PC-0018 calls back
/// from its new one, and PC-0019, which did nothing, browses from that where the act was.
pub(crate) fn address_swap() -> Office {
    let mut office = morning(0x51e1, [0, 1, 2, 7, 8].into_iter());
    let (acted, other, jump, dc) = (office.pc(7), office.pc(8), office.jump(), office.dc());
    let (name, other_name) = (Office::pc_name(7), Office::pc_name(8));
    let act = Act { from: (&jump, "JUMP01"), on: (&acted, &name), user: "svc-ops" };
    let at = office.at(15 * MINUTE);
    let now = act_by(&mut office, at, Door::Svcctl, act, "WinHelper");
    office.wire.swap(&acted, &other);
    let now = directory::lease(&mut office.wire, now + 20 * SECOND, &other, &dc, &name);
    let now = directory::lease(&mut office.wire, now + SECOND, &acted, &dc, &other_name) + 5 * SECOND;
    let first = fetch(&mut office, 8, now, REMOTE.name, 4_000);
    call_back(&mut office, 8, first, &REMOTE, 0);
    for n in 0..6 {
        habits::browse(&mut office, 7, now + n * MINUTE + 11 * SECOND);
    }
    office
}

/// PC-0018 has an IPv6 address with its hardware address within; it is acted on over IPv4 and calls back over IPv6.
pub(crate) fn dual_stack() -> Office {
    let mut office = morning(0x51e2, [0, 1, 2, 7].into_iter());
    let (pc, jump) = (office.pc(7), office.jump());
    let name = Office::pc_name(7);
    let at = office.at(15 * MINUTE);
    let act = Act { from: (&jump, "JUMP01"), on: (&pc, &name), user: "svc-ops" };
    let mut now = act_by(&mut office, at, Door::Svcctl, act, "WinHelper") + 3 * SECOND;
    let own = Host::v6("fd20:1::200:5eff:fe00:5312");
    let server = Host::v6("2001:db8:77::15");
    for beat in 0..12_u64 {
        let mut tcp = Tcp::new(&mut office.wire, now, &own, (&server, 443));
        tcp.open();
        let answer = if beat == 0 { tls::Answer::Full12 } else { tls::Answer::Resumed12 };
        let mut session = Tls::open(&mut tcp, Client::Schannel, Some("v6.quiet-harbour.example"), answer);
        session.exchange(230, if beat == 0 { 4_000 } else { 96 });
        session.close(Side::Orig);
        now += 30 * SECOND + office.wire.random.below(3 * SECOND);
    }
    office
}

/// One address that three operating systems speak from, with four hundred owners in half an hour.
pub(crate) fn nat() -> Wire {
    /// The SYN options of macOS: MSS, window scale 6, timestamps, SACK permitted.
    const MACOS: [u8; 24] = [2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 4, 2, 0, 0];
    let office = Office::new(Place::usual(0x51e3));
    let (start, mut wire) = (office.place.start, Wire::new(0x51e3));
    for n in 0..400_u64 {
        let (options, ttl): (&[u8], u8) = match n % 3 {
            0 => (&WINDOWS, 127),
            1 => (&LINUX, 63),
            _ => (&MACOS, 63),
        };
        let gateway = Host { ttl, ..Host::inside([10, 20, 1, 2]) };
        let name = format!("www.owner-{n}.example");
        let server = office.address(&name);
        let at = start + n * 4 * SECOND + wire.random.below(2 * SECOND);
        let mut tcp = Tcp::new(&mut wire, at, &gateway, (&server, 443));
        tcp.open_as(options);
        let hello = client_hello(&mut tcp.wire.random, Client::Go, Some(&name), false);
        tcp.orig(&tls::record(HANDSHAKE, 0x0301, &hello.message));
        tcp.reset(Side::Resp);
    }
    wire
}

/// Two names lead to one address, and what is said there names neither; a third address has one name.
pub(crate) fn names_shared() -> Wire {
    let mut wire = Wire::new(0x51e4);
    let office = Office::new(Place::usual(0x51e4));
    let (pc, dc, start) = (office.pc(3), office.dc(), office.place.start);
    let (shared, own) = (Host::outside([203, 0, 113, 80]), Host::outside([198, 51, 100, 81]));
    for (n, name, host) in [
        (0_u64, "calm.harbour-one.example", &shared),
        (1, "loud.lantern-two.example", &shared),
        (2, "only.pottery-three.example", &own),
    ] {
        let answers = [Answer::Address(host.ip)];
        look_up(&mut wire, start + n * SECOND, &pc, &dc, (name, A), (FOUND, &answers));
    }
    for (n, host) in [(10_u64, &shared), (20, &own)] {
        let mut tcp = Tcp::new(&mut wire, start + n * SECOND, &pc, (host, 9000));
        tcp.open().orig(b"HELLO\n").resp(b"WELCOME\n");
        tcp.close(Side::Orig);
    }
    wire
}

/// PC-0018 is made to run something and calls back, all of it through the office's proxy, which others use too.
pub(crate) fn proxy() -> Office {
    let mut office = morning(0x51e5, [0, 1, 2, 7].into_iter());
    for n in 0..12_u64 {
        let pc = (n % 3) as u8;
        let at = office.at(9 * MINUTE + n * 17 * SECOND);
        through(&mut office, pc, at, &Office::site(n), Client::Chromium, 2_000);
    }
    let (pc, jump) = (office.pc(7), office.jump());
    let name = Office::pc_name(7);
    let at = office.at(15 * MINUTE);
    let act = Act { from: (&jump, "JUMP01"), on: (&pc, &name), user: "svc-ops" };
    let mut now = act_by(&mut office, at, Door::Svcctl, act, "WinHelper") + 4 * SECOND;
    // First a script in the absolute form, then a tunnel for each call.
    let gate = gate();
    let mut tcp = Tcp::new(&mut office.wire, now, &pc, (&gate, 3128));
    let target = format!("http://{}/u/7.ps1", REMOTE.name);
    tcp.open().orig(&http::get(&target, REMOTE.name, http::POWERSHELL));
    tcp.resp(&http::ok("text/plain", &http::script(5_000)));
    tcp.close(Side::Orig);
    for _ in 0..10 {
        now += 30 * SECOND + office.wire.random.below(3 * SECOND);
        through(&mut office, 7, now, REMOTE.name, Client::Schannel, 96);
    }
    office
}

fn gate() -> Host {
    Host::inside([10, 20, 0, 8])
}

/// One conversation over TLS through the proxy.
fn through(office: &mut Office, pc: u8, at: Nanos, name: &str, client: Client, down: usize) {
    let (host, gate) = (office.pc(pc), gate());
    let mut tcp = Tcp::new(&mut office.wire, at, &host, (&gate, 3128));
    let authority = format!("{name}:443");
    tcp.open().orig(&http::request("CONNECT", &authority, &authority, &[], &[]));
    tcp.resp(b"HTTP/1.1 200 Connection established\r\n\r\n");
    let mut session = Tls::open(&mut tcp, client, Some(name), tls::Answer::Modern);
    session.exchange(230, down);
    session.close(Side::Orig);
}

/// A mirror that shows only what comes from the outside, and one upload within.
pub(crate) fn one_sided() -> Office {
    let mut office = morning(0x51e6, [0, 1, 2].into_iter());
    let at = office.at(10 * MINUTE);
    let (now, server) = office.resolve(at, 1, "files.depot.example");
    let host = office.pc(1);
    let mut tcp = Tcp::new(&mut office.wire, now, &host, (&server, 443));
    tcp.open();
    let mut session = Tls::open(&mut tcp, Client::Chromium, Some("files.depot.example"), tls::Answer::Modern);
    session.exchange(60_000, 120);
    session.close(Side::Orig);
    // IPv4's source address within an untagged frame.
    office.wire.frames.retain(|frame| frame.bytes.get(26..28) != Some(&[10, 20]));
    office
}

/// A machine whose hardware address changes with every network it joins (RFC 9724), and that keeps its DHCP identifier.
pub(crate) fn private_mac() -> Wire {
    let mut wire = Wire::new(0x51e7);
    let office = Office::new(Place::usual(0x51e7));
    let (dc, start) = (office.dc(), office.place.start);
    for (n, (last, mac)) in [(61_u8, [0x02, 0, 0, 0, 0, 1]), (62, [0x06, 0, 0, 0, 0, 2])].into_iter().enumerate() {
        let host = Host::inside([10, 20, 1, last]);
        let at = start + n as u64 * 30 * MINUTE;
        wire.become_known(&host, mac);
        let now = directory::lease_as(&mut wire, at, &host, &dc, "", Some(&[255, 0, 0, 0, 1, 0, 4, 0xab, 0xcd, 0xef]));
        let IpAddr::V4(address) = host.ip else { panic!("an IPv4 address") };
        wire.push(now + MS, arp(1, (mac, address), ([0; 6], [10, 20, 1, 1].into())));
        let mut tcp = Tcp::new(&mut wire, now + SECOND, &host, (&Host::outside([203, 0, 113, 9]), 443));
        tcp.open();
        let session = Tls::open(&mut tcp, Client::Firefox, Some("www.news.example"), tls::Answer::Modern);
        session.close(Side::Orig);
    }
    wire
}
