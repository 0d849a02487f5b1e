//! What each parser costs by itself: CPU per message, over the flows of our own captures, without reassembly or records.
//!
//! A message is a segment or a datagram of which a parser wanted to see something. What comes after a parser is done costs
//! nothing and counts nothing; flows that turn into another protocol are read up to the turn.

use etherparse::{SlicedPacket, TransportSlice};
use nix::sys::resource::{UsageWho, getrusage};
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use yukue::testing::{Reading, Said};

/// Prints a line a parser, dearest message first. Each flow is read `rounds` times.
pub(crate) fn compare(rounds: u32) {
    let mut flows = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/protocol");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().filter(|file| file.extension().is_some_and(|e| e == "pcap")).for_each(|file| read(file, &mut flows));
    let mut by_parser: BTreeMap<&str, Cost> = BTreeMap::new();
    for (udp, ports, said) in flows {
        let Some(reading) = Reading::of(udp, ports, &said) else { continue };
        let [messages, facts] = reading.read(&said);
        let start = cpu_ns();
        let told: usize = (0..rounds).map(|_| reading.read(&said)[1]).sum();
        let spent = cpu_ns() - start;
        assert_eq!(told, facts * rounds as usize, "{} tells the same each time", reading.name());
        let cost = by_parser.entry(reading.name()).or_default();
        cost.ns += spent;
        cost.messages += messages as u64 * u64::from(rounds);
        cost.facts += told as u64;
    }
    println!("\nparsers by themselves, {rounds} rounds over pcaps/protocol\n");
    println!("{:<12}{:>12}{:>14}{:>16}", "parser", "messages", "ns/message", "facts/message");
    let mut rows: Vec<_> = by_parser.into_iter().collect();
    rows.sort_by(|(_, a), (_, b)| b.per_message().total_cmp(&a.per_message()));
    for (name, cost) in rows {
        let messages = cost.messages as f64;
        println!(
            "{name:<12}{:>12}{:>14.0}{:>16.2}",
            cost.messages / u64::from(rounds),
            cost.per_message(),
            cost.facts as f64 / messages
        );
    }
}

#[derive(Default)]
struct Cost {
    ns: u64,
    messages: u64,
    facts: u64,
}

impl Cost {
    fn per_message(&self) -> f64 {
        self.ns as f64 / self.messages.max(1) as f64
    }
}

/// Transport, both ports, what was said in order.
type Flow = (bool, [u16; 2], Vec<Said>);
/// Address and port.
type End = (IpAddr, u16);

/// The flows of one capture, by the order of their packets: our captures lose and reorder nothing, save where that is
/// what they show, and a parser must live with it.
fn read(file: &Path, flows: &mut Vec<Flow>) {
    let mut known: BTreeMap<(bool, End, End), usize> = BTreeMap::new();
    let Ok(mut capture) = pcap::Capture::from_file(file) else { return };
    while let Ok(packet) = capture.next_packet() {
        let Ok(sliced) = SlicedPacket::from_ethernet(packet.data) else { continue };
        let ips = match &sliced.net {
            Some(etherparse::NetSlice::Ipv4(ip)) => {
                (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()))
            }
            Some(etherparse::NetSlice::Ipv6(ip)) => {
                (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()))
            }
            _ => continue,
        };
        let (udp, from, to, payload) = match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => (false, tcp.source_port(), tcp.destination_port(), tcp.payload()),
            Some(TransportSlice::Udp(udp)) => (true, udp.source_port(), udp.destination_port(), udp.payload()),
            _ => continue,
        };
        let (src, dst) = ((ips.0, from), (ips.1, to));
        let (orig, at) = match (known.get(&(udp, src, dst)), known.get(&(udp, dst, src))) {
            (Some(at), _) => (true, *at),
            (_, Some(at)) => (false, *at),
            _ => {
                known.insert((udp, src, dst), flows.len());
                flows.push((udp, [from, to], Vec::new()));
                (true, flows.len() - 1)
            }
        };
        if !payload.is_empty() {
            flows[at].2.push((orig, payload.to_vec()));
        }
    }
}

/// CPU of this process so far, user and system.
fn cpu_ns() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let nanos = |time: nix::sys::time::TimeVal| (time.tv_sec() * 1_000_000 + time.tv_usec()) as u64 * 1_000;
    nanos(usage.user_time()) + nanos(usage.system_time())
}
