//! WS-Management within TLS (MS-WSMV over HTTPS, port 5986; ATT&CK T1021.006): nothing is readable, but requests and
//! answers take turns, and their sizes show what kind they are.
//!
//! A turn is what the client sends before the server answers. One of several kilobytes opens a shell or starts a
//! pipeline (a Kerberos proof may be as large; it comes with them). One as large to the octet as an earlier one asks for
//! output again. The name of such an act says that it was told by shape; the port alone makes it WS-Management.

use crate::event::{Act, Channel, Direction, Event, Execution};
use crate::protocol::Output;

/// Records of application data, as they come.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Octets of the client's turn that is not answered yet.
    asked: u64,
    /// The server has begun to answer it.
    answered: bool,
    /// Sizes of turns so far.
    turns: Vec<u64>,
    polled: bool,
    told: bool,
}

impl Shape {
    /// A record of this size went by.
    pub(super) fn record(&mut self, from: Direction, len: u64, out: &mut Output) {
        if from == Direction::Orig {
            if std::mem::take(&mut self.answered) {
                self.asked = 0;
            }
            self.asked = self.asked.saturating_add(len);
        } else if self.asked > 0 && !self.answered {
            self.answered = true;
            self.turn(out);
        }
    }

    /// The session is over: one of requests that told nothing is still one of administration.
    pub(super) fn finish(&mut self, out: &mut Output) {
        if !self.told && self.turns.len() > 1 {
            self.tell(Act::Administer, "session (by shape)", out);
        }
    }

    fn turn(&mut self, out: &mut Output) {
        let repeated = self.turns.contains(&self.asked);
        if !repeated && self.turns.len() < MAX_TURNS {
            self.turns.push(self.asked);
        }
        if self.asked >= LARGE {
            self.tell(Act::Execute, "create or command (by shape)", out);
        } else if repeated && !std::mem::replace(&mut self.polled, true) {
            self.tell(Act::Administer, "receive (by shape)", out);
        }
    }

    fn tell(&mut self, act: Act, operation: &str, out: &mut Output) {
        self.told = true;
        out.push(Event::Execution(Box::new(Execution {
            channel: Channel::Winrm,
            act,
            interface: None,
            opnum: None,
            operation: Some(operation.into()),
            endpoint: None,
            clsid: None,
            technique: Some("T1021.006"),
        })));
    }
}

/// Heads of requests add half a kilobyte to what `http::winrm` takes for large.
const LARGE: u64 = 3_500;
/// Sizes of one connection's turns that are remembered.
const MAX_TURNS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Orig, Resp};

    #[test]
    fn sizes_and_order_tell_what_a_turn_was() {
        const ANSWER: (Direction, u64) = (Resp, 2_000);
        for (what, records, expected) in [
            (
                "a command and its output",
                vec![
                    (Resp, 900),
                    (Orig, 53),
                    (Orig, 6_100),
                    ANSWER,
                    (Orig, 2_400),
                    ANSWER,
                    (Orig, 2_400),
                    (Resp, 9_000),
                ],
                "execute create or command (by shape), administer receive (by shape)",
            ),
            (
                "a large request in two records",
                vec![(Orig, 2_000), (Orig, 2_000), ANSWER],
                "execute create or command (by shape)",
            ),
            ("a large request without an answer", vec![(Orig, 6_000)], ""),
            ("polls without end", [(Orig, 2_000), ANSWER].repeat(100), "administer receive (by shape)"),
            ("small talk", vec![(Orig, 500), ANSWER, (Orig, 700), ANSWER], "administer session (by shape)"),
            ("a knock at the door", vec![(Orig, 500), ANSWER], ""),
        ] {
            let (mut shape, mut out) = (Shape::default(), Output::default());
            records.into_iter().for_each(|(from, len)| shape.record(from, len, &mut out));
            shape.finish(&mut out);
            let told = out.events.iter().map(|event| match event {
                Event::Execution(e) => format!("{} {}", e.act.name(), e.operation.as_deref().unwrap_or_default()),
                other => format!("{other:?}"),
            });
            assert_eq!(told.collect::<Vec<_>>().join(", "), expected, "{what}");
        }
    }
}
