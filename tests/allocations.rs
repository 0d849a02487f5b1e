//! Memory is allocated for flows, not for packets: a capture with four times the packets of the same flows allocates
//! nothing more. A process of its own, since the count is the process's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_packet_of_a_known_flow_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, rounds| {
        let path = folder.path().join(name);
        std::fs::write(&path, capture(rounds)).unwrap();
        path
    };
    let (short, long) = (file("short.pcap", ROUNDS), file("long.pcap", 4 * ROUNDS));
    // Once before: tables that are built at first use are not the packets'.
    allocations(&short);
    let extra = allocations(&long).saturating_sub(allocations(&short));
    let packets = 3 * ROUNDS * PACKETS_A_ROUND;
    assert!(extra < SLACK, "{extra} allocations for {packets} packets more");
}

/// Allocations of a whole run over `path`.
fn allocations(path: &Path) -> usize {
    let region = Region::new(ALLOCATOR);
    let arguments = ["yukue".as_ref(), "--quiet".as_ref(), "analyze".as_ref(), path.as_os_str()];
    let code = yukue::cli::run(arguments.map(Into::into));
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    let change = region.change();
    change.allocations + change.reallocations
}

/// A TLS-like transfer, one that no parser knows, and datagrams both ways, in turn.
fn capture(rounds: u32) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    let mut at = 0;
    let mut record = |frame: &[u8]| {
        at += 7;
        let len = u32::try_from(frame.len()).unwrap();
        for word in [1_780_272_000 + at / 1_000_000, at % 1_000_000, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    };
    let sealed = [[23, 3, 3, 0x03, 0xfb].as_slice(), &[0x5a; 1_019]].concat();
    for (port, flags) in [(443, 2), (9_999, 2)] {
        record(&tcp(port, Way::Out, 999, 0, flags, &[]));
        record(&tcp(port, Way::Back, 4_999, 1_000, 0x12, &[]));
    }
    for n in 0..rounds {
        let sent = 1_024 * n;
        for port in [443, 9_999] {
            record(&tcp(port, Way::Back, 5_000 + sent, 1_000, 0x18, &sealed));
            record(&tcp(port, Way::Out, 1_000, 5_000 + sent + 1_024, 0x10, &[]));
        }
        record(&udp(Way::Out, n, &[0x99; 200]));
        record(&udp(Way::Back, n, &[0x99; 900]));
    }
    file
}

#[derive(Clone, Copy)]
enum Way {
    Out,
    Back,
}

fn tcp(port: u16, way: Way, sequence: u32, acknowledged: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let numbers = [sequence.to_be_bytes(), acknowledged.to_be_bytes()].concat();
    let header = [&ports(port, way)[..], &numbers, &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]].concat();
    ip(6, way, &[&header, payload].concat(), sequence.wrapping_add(acknowledged))
}

/// Numbered, so that one datagram is not another's copy.
fn udp(way: Way, id: u32, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    ip(17, way, &[&ports(9_998, way)[..], &len, &[0, 0], payload].concat(), id)
}

fn ports(port: u16, way: Way) -> [u8; 4] {
    let ([a, b], [c, d]) = (40_000_u16.to_be_bytes(), port.to_be_bytes());
    match way {
        Way::Out => [a, b, c, d],
        Way::Back => [c, d, a, b],
    }
}

fn ip(protocol: u8, way: Way, payload: &[u8], id: u32) -> Vec<u8> {
    let [.., id_high, id_low] = id.to_be_bytes();
    let [high, low] = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let (inside, outside) = ([10, 20, 0, 10], [198, 18, 0, 80]);
    let (src, dst) = match way {
        Way::Out => (inside, outside),
        Way::Back => (outside, inside),
    };
    let head = [0x45, 0, high, low, id_high, id_low, 0x40, 0, 64, protocol, 0, 0];
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &head, &src, &dst, payload].concat()
}

const ROUNDS: u32 = 3_000;
const PACKETS_A_ROUND: u32 = 6;
/// A buffer may double once more.
const SLACK: usize = 16;
