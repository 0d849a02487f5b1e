//! The uid of a flow: a function of when it was opened (its first timestamp, clamped to what event time has passed, so
//! that a clock that jumps back does not name two flows alike) and its endpoints, so the same packets give the same uid in
//! every run, on every machine, for any number of shards. Where time was clamped, several flows of the same endpoints may
//! open at one moment: there the packet's place in the input tells them apart.

use super::key::FlowKey;
use crate::base::Timestamp;
use crate::base::hash::mix;
use crate::decode::Packet;
use crate::event::Uid;

/// Derives the uid; `opened` is its first packet's time, or what event time had reached when that came too late. Not
/// cryptographic: who controls both endpoints can make two flows share one, and gains nothing.
pub(super) fn uid(key: &FlowKey, packet: &Packet<'_>, opened: Timestamp) -> Uid {
    let (input, number) = packet.origin;
    let place = (opened != packet.ts).then(|| u64::from(input) << 32 | u64::from(number));
    let (mut low, mut high) = (0x9e37_79b9_7f4a_7c15_u64, 0xc2b2_ae3d_27d4_eb4f_u64);
    for word in key.words().into_iter().chain([u64::from_ne_bytes(opened.0.to_ne_bytes())]).chain(place) {
        low = mix(low ^ word);
        high = mix(high.wrapping_add(word).wrapping_add(low));
    }
    let part = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
    match [part(low >> 32), part(low), part(high)] {
        [0, 0, 0] => Uid([0, 0, 1]), // All zero means "no flow".
        parts => Uid(parts),
    }
}
