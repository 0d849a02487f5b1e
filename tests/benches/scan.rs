//! The adverse load: nothing but flows that begin. Three of four are SYN probes from 20 hosts, 30 % of them refused;
//! the rest are look-ups of random names by 2,000 hosts, which do not exist. Two minutes of it, 66 bytes a packet.

use crate::speech::dns;
use crate::wire::{Capture, Flow, Random, Side};
use std::collections::BTreeMap;
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

/// Writes `flows` tiny flows; packets, bytes.
pub(crate) fn write(path: &Path, flows: u64) -> Result<(u64, u64)> {
    let mut capture = Capture::create(path)?;
    let mut random = Random::new(0x7363_616e);
    // Answers that are still on their way, by time; at most what comes within the longest round trip.
    let mut answers: BTreeMap<(u64, u64), Flow> = BTreeMap::new();
    for n in 0..flows {
        let now = BEGIN + (u128::from(n) * u128::from(SPAN) / u128::from(flows)) as u64;
        while let Some(mut entry) = answers.first_entry().filter(|entry| entry.key().0 <= now) {
            entry.get_mut().play(&mut capture)?;
            entry.remove();
        }
        let mut flow = if n % 4 == 3 { look_up(n, now, &mut random) } else { probe(n, now, &mut random) };
        flow.play(&mut capture)?;
        if let Some(at) = flow.at() {
            answers.insert((at, n), flow);
        }
    }
    while let Some((_, mut flow)) = answers.pop_first() {
        flow.play(&mut capture)?;
    }
    capture.finish()
}

/// Every probe is a flow of its own: a scanner goes through addresses, and through ports when it is through with them.
fn probe(n: u64, now: u64, random: &mut Random) -> Flow {
    let scanner: Ipv4Addr = (0x0a14_0100 + (n % 20) as u32).into();
    let step = n / 20;
    let target: Ipv4Addr = (0xc612_0000 + (step % 100_000) as u32).into();
    let port = [22, 23, 80, 443, 445, 3389, 5985, 8080][(step / 100_000) as usize % 8];
    let orig = SocketAddrV4::new(scanner, 40_000 + random.below(20_000) as u16);
    let mut flow = Flow::probe(orig, SocketAddrV4::new(target, port), now, 20_000_000, random);
    if random.below(10) < 3 {
        flow.refuse();
    }
    flow
}

fn look_up(n: u64, now: u64, random: &mut Random) -> Flow {
    let client: Ipv4Addr = (0x0a14_1000 + random.below(2_000) as u32).into();
    let orig = SocketAddrV4::new(client, 1_024 + (n / 4 % 64_000) as u16);
    let resolver = SocketAddrV4::new(Ipv4Addr::new(10, 20, 255, 53), 53);
    let mut flow = Flow::udp(orig, resolver, now, 600_000);
    let name = format!("{:013x}.example", random.next() >> 12);
    let id = random.next() as u16;
    flow.say(Side::Orig, &dns(id, &name, None));
    flow.say(Side::Resp, &dns(id, &name, Some(&[])));
    flow
}

/// Nanoseconds since the epoch: 2026-06-01T00:00:00Z.
const BEGIN: u64 = 1_780_272_000_000_000_000;
const SPAN: u64 = 123_000_000_000;
