//! One side of a flow in numbers: packets, bytes, and for TCP how far its sequence numbers went, how far the peer
//! acknowledged, and when it grew.

use crate::base::Timestamp;
use std::time::Duration;

/// What one side was counted with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Side {
    pub(super) pkts: u64,
    pub(super) ip_bytes: u64,
    /// Of TCP the highest payload offset seen, else payload bytes.
    pub(super) bytes: u64,
    /// Highest payload offset the peer acknowledged.
    acked: u64,
    /// Sequence number of payload offset 0.
    base: u32,
    started: bool,
    /// The peer acknowledged this side before it was seen: until then `base` is the first acknowledgement.
    heard: bool,
    /// Segments that brought nothing new (Zeek's T).
    pub(super) again: u32,
    /// Holes that the peer acknowledged (Zeek's G).
    pub(super) gaps: u16,
    /// Segments that closed the window (Zeek's W).
    pub(super) shut: u16,
}

impl Side {
    /// Takes `seq` for payload offset 0 unless that is known.
    pub(super) fn start(&mut self, seq: u32) {
        if !self.started {
            (self.base, self.started, self.acked) = (seq, true, 0);
        }
    }

    /// Takes `seq` for payload offset 0, as a SYN says, while no payload contradicts.
    pub(super) fn restart(&mut self, seq: u32) {
        if !self.started || self.bytes == 0 {
            let acked = if self.started { self.acked } else { 0 };
            (self.base, self.started, self.acked) = (seq, true, acked);
        }
    }

    /// Sequence number of payload offset 0, once known.
    pub(super) fn base(&self) -> Option<u32> {
        self.started.then_some(self.base)
    }

    /// Where `seq` lies from the highest offset on, and as an offset; negative before the start.
    pub(super) fn locate(&self, seq: u32) -> (i64, i64) {
        let expected = self.base.wrapping_add(low32(self.bytes));
        let ahead = i64::from(seq.wrapping_sub(expected).cast_signed());
        (ahead, i64::try_from(self.bytes).unwrap_or(i64::MAX).saturating_add(ahead))
    }

    /// Notes how far the peer acknowledged; gives the offset when that grew.
    pub(super) fn acknowledge(&mut self, ack: u32) -> Option<u64> {
        if !self.started {
            self.hear(ack);
            return None; // Bytes of a side that was never seen are not claimed.
        }
        let (ahead, offset) = self.locate(ack);
        // One ahead is FIN's own number (RFC 9293 §3.4).
        let offset = if ahead == 1 { self.bytes } else { u64::try_from(offset).ok()? };
        if offset <= self.acked || ahead >= MAX_JUMP {
            return None;
        }
        self.acked = offset;
        Some(offset)
    }

    /// The peer acknowledges a side that was never seen: how far its acknowledgements went is what it received.
    fn hear(&mut self, ack: u32) {
        if !self.heard {
            (self.base, self.heard) = (ack, true);
        }
        let ahead = i64::from(ack.wrapping_sub(self.base.wrapping_add(low32(self.acked))).cast_signed());
        if (1..MAX_JUMP).contains(&ahead) {
            self.acked = self.acked.saturating_add(ahead.unsigned_abs());
        }
    }

    /// Payload of a side that was never seen, by the acknowledgements of the other. A forged one can claim any number:
    /// of what the sensor could not see there is no other witness.
    pub(super) const fn unseen(&self) -> u64 {
        if self.started { 0 } else { self.acked }
    }

    /// Bytes that were acknowledged beyond all that was seen. Not counted as bytes: a forged acknowledgement could
    /// claim any number.
    pub(super) fn beyond(&self) -> u64 {
        if self.started { self.acked.saturating_sub(self.bytes) } else { 0 }
    }
}

/// When a side's highest offset was passed: two checkpoints at least one window apart, and the last growth of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    older: (Timestamp, u64),
    newer: (Timestamp, u64),
    last: Timestamp,
}

impl Default for Growth {
    fn default() -> Self {
        Self { older: (Timestamp::MIN, 0), newer: (Timestamp::MIN, 0), last: Timestamp::MIN }
    }
}

impl Growth {
    pub(super) fn grow(&mut self, ts: Timestamp, end: u64, window: Duration) {
        self.last = ts;
        if ts.since(self.newer.0) > window {
            self.older = self.newer;
            self.newer = (ts, end);
        }
    }

    /// Whether everything up to `end` had been seen more than a window before `ts`.
    pub(super) fn was_past(&self, end: u64, ts: Timestamp, window: Duration) -> bool {
        let past = |(at, max): (Timestamp, u64)| max >= end && ts.since(at) > window;
        ts.since(self.last) > window || past(self.older) || past(self.newer)
    }
}

const fn low32(n: u64) -> u32 {
    let [.., a, b, c, d] = n.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// A sequence number further ahead than this is nonsense, not loss: the largest window of RFC 7323 is 1 GiB.
pub(super) const MAX_JUMP: i64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_pass_four_gigabytes() {
        let mut side = Side { bytes: (5 << 32) + 10, ..Side::default() };
        side.start(100);
        assert_eq!(side.locate(115), (5, (5 << 32) + 15));
        assert_eq!(side.locate(100), (-10, 5 << 32));
    }

    #[test]
    fn acknowledgements_tell_how_much_an_unseen_side_said() {
        for (what, acks, expected) in [
            ("nothing but its handshake", &[101][..], 0),
            ("a page", &[101, 1561, 3021], 2920),
            ("one again", &[101, 1561, 1561, 101], 1460),
            ("past the wrap", &[u32::MAX - 9, 90], 100),
            ("nonsense ahead", &[101, 101_u32.wrapping_add(1 << 31), 111], 10),
        ] {
            let mut side = Side::default();
            for ack in acks {
                side.acknowledge(*ack);
            }
            assert_eq!((side.unseen(), side.bytes), (expected, 0), "{what}");
        }
        let mut late = Side::default();
        late.acknowledge(500);
        late.acknowledge(900);
        late.start(100);
        assert_eq!((late.unseen(), late.beyond()), (0, 0), "once it is seen, only what it said counts");
    }

    #[test]
    fn acknowledgements_tell_of_bytes_never_seen() {
        for (what, started, acks, expected) in [
            ("all was seen", true, &[110][..], 0),
            ("FIN takes one number", true, &[111], 0),
            ("bytes are missing", true, &[150], 40),
            ("nonsense", true, &[110_u32.wrapping_add(1 << 31)], 0),
            ("the side was never seen", false, &[500, 600], 0),
        ] {
            let mut side = Side { bytes: if started { 10 } else { 0 }, ..Side::default() };
            if started {
                side.start(100);
            }
            for ack in acks {
                side.acknowledge(*ack);
            }
            assert_eq!(side.beyond(), expected, "{what}");
        }
    }
}
