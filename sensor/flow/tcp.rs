//! TCP as an observer sees it: the states of both endpoints, `conn_state` and `history` in Zeek's sense
//! (RFC 9293 for the protocol; Zeek's `TCP.cc` and `conn/main.zeek` for the words).

use crate::event::{ConnState, Direction};

/// FIN, SYN, RST and ACK of the flags byte (RFC 9293 §3.1).
pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// What one endpoint has shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Endstate {
    /// Nothing seen.
    #[default]
    Inactive,
    SynSent,
    SynAckSent,
    /// Spoke midstream.
    Partial,
    Established,
    Closed,
    Reset,
}

/// Both endpoints, originator first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) orig: Endstate,
    pub(super) resp: Endstate,
}

impl Machine {
    /// Takes in one segment.
    pub(super) fn observe(&mut self, from: Direction, flags: u8) {
        let (this, peer) = match from {
            Direction::Orig => (&mut self.orig, &mut self.resp),
            Direction::Resp => (&mut self.resp, &mut self.orig),
        };
        if flags & RST != 0 {
            if *this != Endstate::Closed || *peer != Endstate::Closed {
                *this = Endstate::Reset;
            }
            return;
        }
        if matches!(this, Endstate::Reset) {
            return;
        }
        if flags & SYN != 0 {
            match (flags & ACK != 0, *this, *peer) {
                (false, Endstate::Inactive, _) => *this = Endstate::SynSent,
                (true, Endstate::Inactive, Endstate::SynSent) => {
                    (*this, *peer) = (Endstate::Established, Endstate::Established);
                }
                (true, Endstate::Inactive, _) => *this = Endstate::SynAckSent,
                // Simultaneous open (RFC 9293 §3.5): both sent SYN, one answers.
                (true, Endstate::SynSent, Endstate::SynSent) => {
                    (*this, *peer) = (Endstate::Established, Endstate::Established);
                }
                _ => {}
            }
        } else if *this == Endstate::Inactive {
            *this = match *peer {
                Endstate::SynAckSent => {
                    *peer = Endstate::Established;
                    Endstate::Established
                }
                _ => Endstate::Partial,
            };
        }
        if flags & FIN != 0 && *this != Endstate::Closed {
            *this = Endstate::Closed;
        }
    }

    /// Zeek's `conn_state` (base/protocols/conn/main.zeek).
    pub(super) fn conn_state(self, payload: [u64; 2]) -> ConnState {
        use Endstate::{Closed, Established, Inactive, Reset, SynSent};
        match (self.orig, self.resp) {
            (SynSent, Reset) => ConnState::Rej,
            (Reset, Reset) if payload == [0, 0] => ConnState::Rej,
            (Inactive, Reset) => ConnState::Rstrh,
            (_, Reset) => ConnState::Rstr,
            (Reset, Inactive) => ConnState::Rstos0,
            (Reset, _) => ConnState::Rsto,
            (Closed, Closed) => ConnState::Sf,
            (Closed, Inactive) => ConnState::Sh,
            (Closed, _) => ConnState::S2,
            (Inactive, Closed) => ConnState::Shr,
            (_, Closed) => ConnState::S3,
            (SynSent, Inactive) => ConnState::S0,
            (Established, Established) => ConnState::S1,
            _ => ConnState::Oth,
        }
    }

    /// Whether one side aborted.
    pub(super) fn is_reset(self) -> bool {
        self.orig == Endstate::Reset || self.resp == Endstate::Reset
    }

    /// Whether both sides closed.
    pub(super) fn is_closed(self) -> bool {
        self.orig == Endstate::Closed && self.resp == Endstate::Closed
    }
}

/// Zeek's history: one letter an event, upper case for the originator, each once a side, some again at powers of ten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    letters: [u8; CAPACITY],
    len: u8,
    seen: [u16; 2],
}

impl History {
    /// Notes `letter` (upper case), the first time it happens on a side.
    pub(super) fn note(&mut self, from: Direction, letter: u8) {
        let bit = 1_u16 << LETTERS.iter().position(|l| *l == letter).unwrap_or(LETTERS.len()).min(15);
        let (seen, text) = match from {
            Direction::Orig => (self.seen.first_mut(), letter),
            Direction::Resp => (self.seen.last_mut(), letter.to_ascii_lowercase()),
        };
        if let Some(seen) = seen.filter(|seen| **seen & bit == 0) {
            *seen |= bit;
            self.append(text);
        }
    }

    /// Notes `letter` again when `count` reached a power of ten (Zeek's threshold letters: C, G, T, W).
    pub(super) fn note_scaled(&mut self, from: Direction, letter: u8, count: u32) {
        let scaled = matches!(count, 1 | 10 | 100 | 1000 | 10_000 | 100_000 | 1_000_000);
        if scaled {
            self.append(if from == Direction::Orig { letter } else { letter.to_ascii_lowercase() });
        }
    }

    /// Marks that the roles were taken the other way round than the first packet suggests.
    pub(super) fn note_flip(&mut self) {
        self.append(b'^');
    }

    pub(super) fn text(&self) -> Box<str> {
        let letters = self.letters.get(..usize::from(self.len)).unwrap_or_default();
        String::from_utf8_lossy(letters).into()
    }

    fn append(&mut self, letter: u8) {
        if let Some(at) = self.letters.get_mut(usize::from(self.len)) {
            *at = letter;
            self.len = self.len.saturating_add(1);
        }
    }
}

/// SYN, SYN-ACK, ACK, data, FIN, RST, inconsistent, multi-flag.
const LETTERS: &[u8; 8] = b"SHADFRIQ";
/// Eight letters a side, the flip mark, and room for threshold letters; later ones are dropped.
const CAPACITY: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conn_states_are_zeeks() {
        use Direction::{Orig, Resp};
        for (what, segments, payload, state) in [
            ("an unanswered SYN", &[(Orig, SYN)][..], [0, 0], "S0"),
            ("a refused one", &[(Orig, SYN), (Resp, RST | ACK)], [0, 0], "REJ"),
            ("an open one", &[(Orig, SYN), (Resp, SYN | ACK), (Orig, ACK)], [0, 0], "S1"),
            ("a whole one", &[(Orig, SYN), (Resp, SYN | ACK), (Orig, FIN | ACK), (Resp, FIN | ACK)], [1, 1], "SF"),
            ("half closed", &[(Orig, SYN), (Resp, SYN | ACK), (Orig, FIN | ACK)], [1, 1], "S2"),
            ("aborted by the responder", &[(Orig, SYN), (Resp, SYN | ACK), (Resp, RST)], [1, 1], "RSTR"),
            ("aborted by the originator", &[(Orig, SYN), (Resp, SYN | ACK), (Orig, RST)], [1, 1], "RSTO"),
            ("SYN then RST", &[(Orig, SYN), (Orig, RST)], [0, 0], "RSTOS0"),
            ("SYN then FIN", &[(Orig, SYN), (Orig, FIN)], [0, 0], "SH"),
            ("answer half only", &[(Resp, SYN | ACK), (Resp, FIN | ACK)], [0, 0], "SHR"),
            ("midstream", &[(Orig, ACK), (Resp, ACK)], [9, 9], "OTH"),
        ] {
            let mut machine = Machine::default();
            segments.iter().for_each(|(from, flags)| machine.observe(*from, *flags));
            assert_eq!(machine.conn_state(payload).name(), state, "{what}");
        }
    }

    #[test]
    fn a_letter_stands_once_a_side() {
        let mut history = History::default();
        for (from, letter) in
            [(Direction::Orig, b'S'), (Direction::Resp, b'H'), (Direction::Orig, b'A'), (Direction::Orig, b'A')]
        {
            history.note(from, letter);
        }
        (1..=10).for_each(|n| history.note_scaled(Direction::Resp, b'T', n));
        assert_eq!(&*history.text(), "ShAtt");
    }
}
