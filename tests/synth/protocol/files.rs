//! The same visit in every kind of capture file.

use super::links::{packet_of, visit};
use crate::synth::file::{COOKED, ETHERNET, Interface, Order, RAW, Unit, gzip, pcap, pcap_as, pcapng};
use crate::synth::net::Frame;

pub(crate) fn nanoseconds() -> Vec<u8> {
    let frames: Vec<Frame> = visit(50).into_iter().map(|f| Frame { ts: f.ts + 789, ..f }).collect();
    pcap_as(&frames, Order::Little, Unit::Nano, ETHERNET)
}

pub(crate) fn big_endian() -> Vec<u8> {
    pcap_as(&visit(51), Order::Big, Unit::Micro, ETHERNET)
}

pub(crate) fn cooked() -> Vec<u8> {
    pcap_as(&visit(52).iter().map(cooked_frame).collect::<Vec<_>>(), Order::Little, Unit::Micro, COOKED)
}

pub(crate) fn raw() -> Vec<u8> {
    pcap_as(&visit(53).iter().map(raw_frame).collect::<Vec<_>>(), Order::Little, Unit::Micro, RAW)
}

/// Look-up and answer by Ethernet in microseconds, the page by raw IP in nanoseconds, its end by Ethernet in units of
/// 2⁻²⁰ s.
pub(crate) fn mixed() -> Vec<u8> {
    let interfaces = [
        Interface { link: ETHERNET, resolution: None },
        Interface { link: RAW, resolution: Some(9) },
        Interface { link: ETHERNET, resolution: Some(0x80 | 20) },
    ];
    let frames = visit(54);
    let last = frames.len() - 3;
    let by = |(n, frame): (usize, Frame)| match n {
        0 | 1 => (0, frame),
        n if n < last => (1, raw_frame(&frame)),
        _ => (2, frame),
    };
    pcapng(&frames.into_iter().enumerate().map(by).collect::<Vec<_>>(), &interfaces, Order::Little)
}

pub(crate) fn big_endian_ng() -> Vec<u8> {
    let frames: Vec<(usize, Frame)> = visit(55).into_iter().map(|f| (0, f)).collect();
    pcapng(&frames, &[Interface { link: ETHERNET, resolution: Some(6) }], Order::Big)
}

pub(crate) fn gzipped() -> Vec<u8> {
    gzip(&pcap(&visit(56)))
}

/// Level 3, in frames of their own for the first half and the second (RFC 8878 §3.1: frames may follow one another).
pub(crate) fn zstandard() -> Vec<u8> {
    let whole = pcap(&visit(57));
    let halves = whole.split_at(whole.len() / 2);
    [halves.0, halves.1].map(|half| zstd::encode_all(half, 3).expect("memory")).concat()
}

fn raw_frame(frame: &Frame) -> Frame {
    Frame { ts: frame.ts, bytes: packet_of(&frame.bytes).to_vec() }
}

/// LINKTYPE_LINUX_SLL: to us, Ethernet, six bytes of address padded to eight, the EtherType.
fn cooked_frame(frame: &Frame) -> Frame {
    let header = [&[0, 0, 0, 1, 0, 6][..], &frame.bytes[6..12], &[0, 0, 8, 0]].concat();
    Frame { ts: frame.ts, bytes: [&header, packet_of(&frame.bytes)].concat() }
}
