//! The narrow waist: what was learned, as plain data. Left of it nobody knows about detection, right of it nobody
//! knows about packets.
//!
//! Events are named for what was learned, not for the parser that learned it: TLS and QUIC both give `Handshake`.

mod facts;
mod flow;
mod site;
mod weird;

pub use facts::{
    Act, Authentication, AuthenticationProtocol, Banner, Certificate, Channel, Direction, Ech, EchConfig, Execution,
    File, FileAction, Handshake, HandshakeTransport, Identity, IdentitySource, Request, Resolution, ResolutionProtocol,
    Rpc, Share,
};
pub use flow::{ConnState, Counters, End, FlowRecord, Hints, Layer, PacketRange};
pub use site::{Reach, Site};
pub use weird::{Oddity, Weird};

pub use crate::base::{Endpoint, Timestamp, Transport};

use std::fmt;
use std::hash::{Hash, Hasher};

/// One thing learned from traffic, at one moment, about one flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// When it was learned (event time). Facts that began earlier carry their own start.
    pub ts: Timestamp,
    /// The flow it was learned from; `Uid::NONE` for facts outside any flow (ARP).
    pub uid: Uid,
    /// Counts observations within the flow, from 0: with `ts` and `uid` a total order.
    pub n: u32,
    /// Who began the flow, as known at this moment.
    pub orig: Endpoint,
    /// The other side.
    pub resp: Endpoint,
    /// What carries the flow.
    pub transport: Transport,
    /// What was learned.
    pub event: Event,
}

/// What was learned. One variant a kind of fact, not a parser.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The flow's first packet. Says nothing yet about an answer.
    FlowOpened,
    /// The originator or responder sent payload after at least two seconds without any (or for the first time): the
    /// start of a burst. Counters are those up to and including this packet.
    FlowProgress(Counters),
    /// The flow ended, by its own end or by a deadline. Emitted exactly once for each flow.
    FlowClosed(Box<FlowRecord>),
    /// A name was looked up.
    Resolution(Box<Resolution>),
    /// A TLS, QUIC or DTLS handshake as far as it is visible.
    Handshake(Box<Handshake>),
    /// An HTTP request with its answer.
    Request(Box<Request>),
    /// A remote-execution or administration act.
    Execution(Box<Execution>),
    /// A DCE-RPC call.
    Rpc(Box<Rpc>),
    /// An SMB tree connect.
    Share(Box<Share>),
    /// An SMB file act.
    File(Box<File>),
    /// Somebody proved, or failed to prove, who they are.
    Authentication(Box<Authentication>),
    /// Who an address is.
    Identity(Box<Identity>),
    /// A greeting that names software.
    Banner(Box<Banner>),
    /// Traffic that breaks rules.
    Weird(Box<Weird>),
}

/// Identifies one flow: derived from its first timestamp and endpoints, so the same packets give the same uid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Uid(pub [u32; 3]);

/// In two words: several tables are asked for it at every observation.
impl Hash for Uid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self([a, b, c]) = self;
        state.write_u64(u64::from(*a) << 32 | u64::from(*b));
        state.write_u32(*c);
    }
}

impl Uid {
    /// No flow.
    pub const NONE: Self = Self([0; 3]);
}

impl Uid {
    /// `C` and 17 letters and digits, Zeek's look; ASCII.
    pub fn text(self) -> [u8; 18] {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        const TEN_DIGITS: u128 = 62_u128.pow(10);
        let [a, b, c] = self.0.map(u128::from);
        let whole = a << 64 | b << 32 | c;
        // Every record has one: two halves of 64 bits spare seventeen divisions of 128.
        let high = whole / TEN_DIGITS;
        let low = u64::try_from(whole.wrapping_sub(high.wrapping_mul(TEN_DIGITS))).unwrap_or(0);
        let high = u64::try_from(high).unwrap_or(0);
        let mut text = [b'0'; 18];
        let mut rest = low;
        for (n, at) in text.iter_mut().rev().enumerate() {
            if n == 10 {
                rest = high;
            }
            let digit = usize::try_from(rest % 62).unwrap_or(0);
            *at = DIGITS.get(digit).copied().unwrap_or(b'0');
            rest /= 62;
        }
        if let Some(first) = text.first_mut() {
            *first = b'C';
        }
        text
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or("C"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_stay_small() {
        assert!(size_of::<Observation>() <= 128, "{} bytes", size_of::<Observation>());
        assert!(size_of::<Event>() <= 40);
    }

    #[test]
    fn uids_print_like_zeeks_and_differ() {
        let (a, b) = (Uid([1, 2, 3]), Uid([1, 2, 4]));
        assert_eq!((a.to_string().len(), a.to_string().starts_with('C')), (18, true));
        assert_ne!(a.to_string(), b.to_string());
        assert_eq!(a.to_string(), "C000000LygHaATUlwR", "2^64 + 2 * 2^32 + 3 in base 62");
        assert_ne!(Uid([u32::MAX, 0, 0]).to_string(), Uid([u32::MAX - 1, 0, 0]).to_string());
    }
}
