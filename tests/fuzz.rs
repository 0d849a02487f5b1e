//! The whole left side against bent captures: bytes of the shipped captures flipped, cut, repeated and reordered by a
//! seeded generator. Nothing may panic, and what is learned may not depend on the number of shards.
//!
//! `YUKUE_FUZZ_SECONDS` makes it go on for so long with ever new seeds (`make fuzz`).

use crate::packets::Packet;
use crate::support::{captures, root};
use crate::synth::random::Random;
use std::time::{Duration, Instant};
use yukue::event::{Event, Oddity};
use yukue::testing::{RawFrame, observations};

#[test]
#[expect(clippy::disallowed_methods, reason = "how long to go on is the caller's wish, not the sensor's")]
fn bent_captures_are_survived_with_any_number_of_shards() {
    let seeds: Vec<_> = captures()
        .iter()
        .filter_map(|name| Packet::of_classic(&std::fs::read(root().join("pcaps").join(name)).unwrap()))
        .collect();
    assert!(seeds.len() > 20, "too few captures under {}", root().display());
    let seconds = std::env::var_os("YUKUE_FUZZ_SECONDS").map(|text| text.to_str().unwrap().parse().unwrap());
    let (began, mut rounds, mut inputs) = (Instant::now(), 0_u64, 0_u64);
    loop {
        for (n, packets) in (0..).zip(&seeds) {
            let mut random = Random::new(rounds * 1_000 + n);
            let bent = bend(&packets[..packets.len().min(MAX_PACKETS)], &mut random);
            inputs += bent.len() as u64;
            let frames = || bent.iter().map(Packet::raw as fn(&Packet) -> RawFrame<'_>);
            let (one, three) = (observations(frames(), 1), observations(frames(), 3));
            if let Some((a, b)) = one.iter().zip(&three).find(|(a, b)| a != b) {
                panic!("seed {rounds}/{n}: shards are visible:\n{a:?}\n{b:?}");
            }
            assert_eq!(one.len(), three.len(), "seed {rounds}/{n}: shards are visible");
            // A panic that the flow caught is a panic all the same.
            let panicked =
                one.iter().find(|seen| matches!(&seen.event, Event::Weird(w) if w.oddity == Oddity::ParserPanic));
            assert!(panicked.is_none(), "seed {rounds}/{n}: {panicked:?}");
        }
        rounds += 1;
        if seconds.is_none_or(|seconds| began.elapsed() > Duration::from_secs(seconds)) {
            break;
        }
    }
    println!("{rounds} rounds, {inputs} packets");
}

/// Packets, a few of them damaged, swapped, repeated or left out.
#[expect(clippy::cast_possible_truncation, reason = "positions within a capture")]
fn bend(packets: &[Packet], random: &mut Random) -> Vec<Packet> {
    let mut bent = packets.to_vec();
    for _ in 0..=packets.len() / 4 {
        let at = random.below(bent.len() as u64) as usize;
        match random.below(10) {
            0 => drop(bent.remove(at)),
            1 => bent.insert(at, bent[at].clone()),
            2 => {
                let other = random.below(bent.len() as u64) as usize;
                bent.swap(at, other);
            }
            3 => {
                let len = random.below(bent[at].bytes.len() as u64 + 1) as usize;
                bent[at].bytes.truncate(len);
            }
            _ => {
                for _ in 0..=random.below(4) {
                    if let Some(len) = (bent[at].bytes.len() as u64).checked_sub(1) {
                        let byte = random.below(len + 1) as usize;
                        bent[at].bytes[byte] = random.below(256) as u8;
                    }
                }
            }
        }
        if bent.is_empty() {
            break;
        }
    }
    bent
}

/// Enough to hold whole conversations, few enough for seconds.
const MAX_PACKETS: usize = 400;
