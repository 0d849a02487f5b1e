//! The mixed load: an office's half hour of 100,000 conversations, by bytes 52 % TLS, 13 % QUIC, 14 % HTTP, 8 % SMB,
//! 4 % DNS and 9 % of other TCP and UDP, in packets of 570 bytes on average.
//!
//! Flow counts and packets a flow of each class follow a capture that was put together from public test captures, so
//! that ratios can be compared with what other sensors reach on that one.

use crate::speech::{self, certificates, client_hello, dns, record, server_hello, smb2, utf16};
use crate::wire::{Capture, Flow, Random, Side};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{Keys, Version};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

/// Writes the load of `flows` conversations; packets, bytes.
pub(crate) fn write(path: &Path, flows: u64) -> Result<(u64, u64)> {
    let mut capture = Capture::create(path)?;
    let mut random = Random::new(0x0079_756b_7565);
    let mut started = 0;
    let mut playing: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut alive: Vec<Option<Flow>> = Vec::new();
    let mut free = Vec::new();
    let begin = |n: u64| BEGIN + (u128::from(n) * u128::from(SPAN) / u128::from(flows)) as u64;
    loop {
        let next = playing.peek().map(|Reverse((at, _))| *at);
        if started < flows && next.is_none_or(|at| begin(started) <= at) {
            let flow = converse(started, begin(started), &mut random);
            started += 1;
            let slot = free.pop().unwrap_or_else(|| {
                alive.push(None);
                alive.len() as u64 - 1
            });
            playing.push(Reverse((flow.at().unwrap_or(u64::MAX), slot)));
            alive[slot as usize] = Some(flow);
            continue;
        }
        let Some(Reverse((_, slot))) = playing.pop() else { return capture.finish() };
        if let Some(flow) = &mut alive[slot as usize] {
            flow.play(&mut capture)?;
            match flow.at() {
                Some(at) => playing.push(Reverse((at, slot))),
                None => {
                    alive[slot as usize] = None;
                    free.push(slot);
                }
            }
        }
    }
}

/// The `n`th conversation, its class drawn by its share of all.
fn converse(n: u64, start: u64, random: &mut Random) -> Flow {
    let place = Place::draw(n, random);
    match random.below(1_000) {
        0..337 => tls(&place, start, random),
        337..392 => quic(&place, start, random),
        392..456 => http(&place, start, random),
        456..462 => smb(&place, start, random),
        462..925 => names(&place, start, random),
        925..944 => other_tcp(&place, start, random),
        _ => other_udp(&place, start, random),
    }
}

/// Who talks to whom, how far away.
struct Place {
    client: Ipv4Addr,
    server: Ipv4Addr,
    name: String,
    port: u16,
    rtt: u64,
}

impl Place {
    fn draw(n: u64, random: &mut Random) -> Self {
        let client = 0x0a14_0000 + 10 + random.popular(CLIENTS) as u32;
        let (server, name) = destination(random);
        // A port does not come back to the same client while its last flow may still be known.
        let port = 20_000 + (n % 40_000) as u16;
        Self { client: client.into(), server, name, port, rtt: random.between(2_000_000, 60_000_000) }
    }

    fn orig(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.client, self.port)
    }

    fn resp(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.server, port)
    }

    fn tcp(&self, port: u16, start: u64, random: &mut Random) -> Flow {
        Flow::tcp(self.orig(), self.resp(port), start, self.rtt, random)
    }
}

/// An outside server and its name; in the range for benchmarks, RFC 2544.
fn destination(random: &mut Random) -> (Ipv4Addr, String) {
    let n = random.popular(SERVERS) as u32;
    ((0xc612_0000 + n).into(), format!("svc{}.tenant{}.example", n % 7, n / 7))
}

fn tls(place: &Place, start: u64, random: &mut Random) -> Flow {
    let mut flow = place.tcp(443, start, random);
    let tls13 = random.below(4) != 0;
    flow.say(Side::Orig, &record(22, &client_hello(&place.name, false, random)));
    let mut answer = record(22, &server_hello(tls13, random));
    if tls13 {
        answer.extend(record(20, &[1]));
        answer.extend(sealed(2_600, random));
    } else {
        answer.extend(record(22, &certificates(&place.name, random)));
        answer.extend(record(22, &[14, 0, 0, 0]));
    }
    flow.say(Side::Resp, &answer);
    flow.say(Side::Orig, &[record(20, &[1]), sealed(53, random)].concat());
    for _ in 0..random.between(1, 14) {
        flow.wait(random.between(1_000_000, 900_000_000));
        let asked = random.between(80, 700) as usize;
        flow.say(Side::Orig, &sealed(asked, random));
        let answered = if random.below(5) == 0 { random.between(3_000, 20_000) } else { random.between(60, 1_300) };
        flow.say(Side::Resp, &sealed(answered as usize, random));
    }
    flow.close();
    flow
}

/// Application data.
fn sealed(len: usize, random: &mut Random) -> Vec<u8> {
    let mut content = Vec::new();
    random.fill(&mut content, len);
    record(23, &content)
}

fn quic(place: &Place, start: u64, random: &mut Random) -> Flow {
    let mut flow = Flow::udp(place.orig(), place.resp(443), start, place.rtt);
    let (dcid, scid) = (random.bytes::<8>(), random.bytes::<8>());
    flow.say(Side::Orig, &initial(rustls::Side::Client, &dcid, &[], &client_hello(&place.name, true, random)));
    flow.say(Side::Resp, &initial(rustls::Side::Server, &dcid, &scid, &server_hello(true, random)));
    for _ in 0..random.between(10, 80) {
        flow.wait(random.between(20_000, 90_000_000));
        let (from, len) = match random.below(5) {
            0..2 => (Side::Orig, random.between(30, 300)),
            _ => (Side::Resp, random.between(900, 1_250)),
        };
        let mut datagram = vec![0x40 | random.below(64) as u8];
        datagram.extend(if from == Side::Orig { scid.as_slice() } else { &[] });
        random.fill(&mut datagram, len as usize);
        flow.say(from, &datagram);
    }
    flow
}

/// RFC 9001 §5: one CRYPTO frame in a protected Initial, padded to 1,200 bytes.
fn initial(side: rustls::Side, dcid: &[u8; 8], scid: &[u8], hello: &[u8]) -> Vec<u8> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().and_then(|suite| suite.quic_suite());
    let Some(suite) = suite else { return Vec::new() };
    let keys: Keys = suite.keys(dcid, side, Version::V1);
    let to: &[u8] = if side == rustls::Side::Client { dcid } else { &[] };
    let mut packet = vec![0xc3, 0, 0, 0, 1, to.len() as u8];
    packet.extend(to);
    packet.push(scid.len() as u8);
    packet.extend(scid);
    packet.push(0);
    let rest = 1_200 - packet.len() - 2;
    packet.extend((0x4000 | rest as u16).to_be_bytes());
    let number_at = packet.len();
    packet.extend([0, 0, 0, 0]);
    let mut payload = vec![6, 0];
    payload.extend((0x4000 | hello.len() as u16).to_be_bytes());
    payload.extend(hello);
    payload.resize(rest - 4 - 16, 0);
    if let Ok(tag) = keys.local.packet.encrypt_in_place(0, &packet, &mut payload) {
        packet.extend(payload);
        packet.extend(tag.as_ref());
    }
    let (head, body) = packet.split_at_mut(number_at);
    let (number, sample) = body.split_at_mut(4);
    if let (Some(first), Some(sample)) = (head.first_mut(), sample.get(..16)) {
        // Four bytes of packet number: the sample starts right after them, RFC 9001 §5.4.2.
        let _ = keys.local.header.encrypt_in_place(sample, first, number);
    }
    packet
}

fn http(place: &Place, start: u64, random: &mut Random) -> Flow {
    let mut flow = place.tcp(80, start, random);
    for _ in 0..random.between(1, 6) {
        flow.say(Side::Orig, &speech::request(&place.name, random.below(1_000_000)));
        let len = random.between(200, 24_000) as usize;
        flow.say(Side::Resp, &speech::response(len, random));
        flow.wait(random.between(5_000_000, 600_000_000));
    }
    flow.close();
    flow
}

/// MS-SMB2 §2.2: a share, a file, reads and writes of it.
fn smb(place: &Place, start: u64, random: &mut Random) -> Flow {
    let server: Ipv4Addr = (0x0a14_ff00 + random.below(20) as u32).into();
    let mut flow = Flow::tcp(place.orig(), SocketAddrV4::new(server, 445), start, 400_000, random);
    let mut number = 0;
    let mut exchange = |flow: &mut Flow, command: u16, asked: &[u8], answered: &[u8]| {
        flow.say(Side::Orig, &smb2(command, None, number, asked));
        flow.say(Side::Resp, &smb2(command, Some(0), number, answered));
        number += 1;
    };
    let ask = [[36, 0, 1, 0, 1, 0, 0, 0].as_slice(), &[0; 28], &[0x11, 3]].concat();
    exchange(
        &mut flow,
        0,
        &ask,
        &[[65, 0, 1, 0, 0x11, 3, 0, 0].as_slice(), &[0; 48], &[128, 0, 0, 0, 0, 0, 0, 0]].concat(),
    );
    let path = utf16(r"\\files01\projects");
    let tree = [[9, 0, 0, 0, 72, 0, path.len() as u8, 0].as_slice(), &path].concat();
    exchange(&mut flow, 3, &tree, &[[16, 0, 1, 0].as_slice(), &[0; 12]].concat());
    for _ in 0..random.between(1, 3) {
        let name = utf16(&format!(r"reports\2026\sheet{}.xlsx", random.below(5_000)));
        let mut create = [[57, 0, 0, 0, 2, 0, 0, 0].as_slice(), &[0; 16], &[0x89, 0, 0x12, 0], &[0; 16]].concat();
        create.extend([120, 0, name.len() as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        create.extend(&name);
        let id = random.bytes::<16>();
        let created = [[89, 0, 0, 0, 1, 0, 0, 0].as_slice(), &[0; 56], &id, &[0; 8]].concat();
        exchange(&mut flow, 5, &create, &created);
        for block in 0..random.between(1, 8) {
            let offset = (block << 16).to_le_bytes();
            let mut data = Vec::new();
            random.fill(&mut data, 32_768);
            let len = 32_768_u32.to_le_bytes();
            if random.below(3) == 0 {
                let head = [[49, 0, 112, 0].as_slice(), &len, &offset, &id, &[0; 16]].concat();
                exchange(&mut flow, 9, &[head, data].concat(), &[[17, 0, 0, 0].as_slice(), &len, &[0; 8]].concat());
            } else {
                let head = [[49, 0, 80, 0].as_slice(), &len, &offset, &id, &[0; 17]].concat();
                exchange(&mut flow, 8, &head, &[[17, 0, 80, 0].as_slice(), &len, &[0; 8], &data].concat());
            }
            flow.wait(random.between(1_000_000, 50_000_000));
        }
        exchange(
            &mut flow,
            6,
            &[[24, 0, 0, 0, 0, 0, 0, 0].as_slice(), &id].concat(),
            &[[60, 0].as_slice(), &[0; 58]].concat(),
        );
    }
    flow.close();
    flow
}

/// Five look-ups from one socket.
fn names(place: &Place, start: u64, random: &mut Random) -> Flow {
    let resolver = SocketAddrV4::new(Ipv4Addr::new(10, 20, 255, 53), 53);
    let mut flow = Flow::udp(place.orig(), resolver, start, 600_000);
    for _ in 0..random.between(1, 9) {
        let (server, name) = destination(random);
        let id = random.next() as u16;
        flow.say(Side::Orig, &dns(id, &name, None));
        let addresses = vec![server.octets(); random.between(1, 5) as usize];
        flow.say(Side::Resp, &dns(id, &name, Some(&addresses)));
        flow.wait(random.between(500_000, 200_000_000));
    }
    flow
}

/// A protocol nobody here knows.
fn other_tcp(place: &Place, start: u64, random: &mut Random) -> Flow {
    let mut flow = place.tcp(8_443 + random.below(900) as u16, start, random);
    for _ in 0..random.between(6, 22) {
        let mut message = vec![0x99];
        let len = if random.below(3) == 0 { random.between(2_000, 12_000) } else { random.between(30, 1_200) };
        random.fill(&mut message, len as usize);
        flow.say(if random.below(2) == 0 { Side::Orig } else { Side::Resp }, &message);
        flow.wait(random.between(1_000_000, 700_000_000));
    }
    flow.close();
    flow
}

fn other_udp(place: &Place, start: u64, random: &mut Random) -> Flow {
    let mut flow = Flow::udp(place.orig(), place.resp(30_000 + random.below(900) as u16), start, place.rtt);
    for _ in 0..random.between(2, 42) {
        let mut datagram = vec![0x99];
        let len = random.between(40, 800) as usize;
        random.fill(&mut datagram, len);
        flow.say(if random.below(2) == 0 { Side::Orig } else { Side::Resp }, &datagram);
        flow.wait(random.between(10_000_000, 60_000_000));
    }
    flow
}

/// Nanoseconds since the epoch: 2026-06-01T00:00:00Z.
const BEGIN: u64 = 1_780_272_000_000_000_000;
/// Half an hour.
const SPAN: u64 = 1_800_000_000_000;
const CLIENTS: u64 = 2_000;
const SERVERS: u64 = 43_000;
