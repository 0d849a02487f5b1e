//! One sender that opens flows, or tells names, without end.

use super::{ALLOCATOR, FIXED_BYTES, Seen, held, turn, watch};
use stats_alloc::Region;
use std::net::{IpAddr, Ipv4Addr};
use yukue::event::{Endpoint, Event, Observation, Resolution, ResolutionProtocol, Timestamp, Transport, Uid};
use yukue::testing::{Right, Table};

/// A segment without payload, from a host of the site to port 443 or so of somebody outside.
fn segment(target: u32, port: u16, flags: u8, sequence: u32) -> [u8; 54] {
    let mut frame = [0; 54];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    frame[14..34].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 20, 0, 10, 198, 18, 0, 0]);
    frame[30..34].copy_from_slice(&(0xc612_0000 + target).to_be_bytes());
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    frame[36..38].copy_from_slice(&443_u16.to_be_bytes());
    frame[38..42].copy_from_slice(&sequence.to_be_bytes());
    frame[46..50].copy_from_slice(&[0x50, flags, 0xff, 0xff]);
    frame
}

fn flood(count: u32, frame: impl Fn(u32) -> [u8; 54]) -> Seen {
    let frames: Vec<_> = (0..count).map(frame).collect();
    watch((0..).zip(&frames).map(|(n, frame)| (1_780_272_000_000_000_000 + n * 2_000, &frame[..])))
}

/// What the tables may take by what they say of an entry: one that is not full has room for twice what it held.
fn declared(tables: &[Table]) -> u64 {
    tables.iter().map(|table| (2 * table.peak).min(table.entries) * table.entry_bytes).sum()
}

#[test]
fn a_flood_of_attempts_fills_the_table_and_no_more() {
    let _turn = turn();
    let seen = flood(600_000, |n| segment(n % 65_536, 1_024 + (n / 65_536) as u16, 2, n));
    let flows = seen.table("flow.flows");
    assert_eq!((flows.peak, flows.evicted), (flows.entries, 600_000 - flows.entries), "{seen:#?}");
    let (held, declared) = (seen.most_held, declared(&seen.tables));
    assert!(held <= declared + FIXED_BYTES, "{held} bytes held, {declared} declared: {seen:#?}");
    assert!(4 * held >= declared, "{held} bytes held, {declared} declared: a budget that is not true");
}

#[test]
fn a_pair_that_opens_and_resets_without_end_leaves_no_timers_behind() {
    let _turn = turn();
    // One pair of ports: SYN, RST, SYN of another connection, and so on, 500,000 a second.
    let seen = flood(600_000, |n| segment(1, 50_000, if n % 2 == 0 { 2 } else { 4 }, (n / 2).wrapping_mul(100_000)));
    assert!(seen.observations > 300_000, "each is a flow: {seen:#?}");
    let waiting = seen.table("merge.waiting");
    let room = waiting.peak * waiting.entry_bytes + FIXED_BYTES + TIMERS;
    assert!(seen.most_held <= room, "{} bytes held of {room}: {seen:#?}", seen.most_held);
}

/// Timers of flows that are over are swept once they are many.
const TIMERS: u64 = 1 << 20;

#[test]
fn names_without_end_fill_the_memory_of_names_and_no_more() {
    let _turn = turn();
    let mut right = Right::new("inside = [\"10.0.0.0/8\"]", &[]).unwrap();
    let region = Region::new(ALLOCATOR);
    let mut most = 0;
    for n in 0..NAMES {
        right.observe(&resolution(n));
        if n % 1_000 == 0 {
            most = most.max(held(&region));
        }
    }
    let tables = right.tables();
    let declared = declared(&tables);
    let evicted = |name: &str| tables.iter().find(|table| table.name == name).map_or(0, |table| table.evicted);
    assert!(evicted("names.by_anyone") > 0 && evicted("names.names") > 0, "{tables:#?}");
    assert!(tables.iter().all(|table| table.peak <= table.entries), "{tables:#?}");
    let filled: Vec<&Table> = tables.iter().filter(|table| table.peak > 0).collect();
    assert!(most <= declared + 8 * FIXED_BYTES, "{most} bytes held, {declared} declared: {filled:#?}");
    assert!(4 * most >= declared, "{most} bytes held, {declared} declared: a budget that is not true: {filled:#?}");
}

/// More than any table of names takes.
const NAMES: u32 = 600_000;

/// One of the site's hosts learns a name nobody asked for before, at an address of its own.
fn resolution(n: u32) -> Observation {
    let ts = Timestamp(1_780_272_000_000_000_000 + i64::from(n) * 1_000_000);
    let host = IpAddr::V4(Ipv4Addr::new(10, 20, 0, (n % 200) as u8));
    let address = IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + n));
    let name = format!("label-{n:08}.zone-{}.example", n / 3);
    Observation {
        ts,
        uid: Uid([n, 1, 1]),
        n: 0,
        orig: Endpoint::new(host, 50_000),
        resp: Endpoint::new(IpAddr::V4(Ipv4Addr::new(10, 20, 1, 1)), 53),
        transport: Transport::Udp,
        event: Event::Resolution(Box::new(Resolution {
            asked: ts,
            protocol: ResolutionProtocol::Dns,
            query: name.into(),
            qtype: "A".into(),
            rcode: Some("NOERROR".into()),
            answers: vec![address.to_string().into()],
            addresses: vec![address],
            ttls: vec![300],
            rtt: None,
            ech: vec![],
        })),
    }
}
