//! How many hosts use a destination, over the last 30 days, and since when anybody does (`detection.md` §2.4).
//!
//! Exact up to 32 hosts, where it matters whether there are two or three; beyond, two rotating 15-day HyperLogLogs with
//! 256 registers each (±6.5 %: plenty for a feature on a log scale). Hosts count by stamp, so that ids may change.

use crate::base::Timestamp;
use serde::{Deserialize, Serialize};

/// A destination owner and its users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Destination {
    /// What it is told by in filters.
    pub(super) stamp: u64,
    /// First contact of anybody, nanoseconds since the epoch.
    first: i64,
    users: Users,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Users {
    /// Half a stamp, and the local day of the latest contact.
    Exact(Vec<(u32, i32)>),
    Sketch(Sketch),
}

/// Users of the 15 days at hand and of those before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sketch {
    period: i32,
    current: Vec<u8>,
    before: Vec<u8>,
}

impl Destination {
    pub(super) const fn new(stamp: u64, first: Timestamp) -> Self {
        Self { stamp, first: first.0, users: Users::Exact(Vec::new()) }
    }

    /// Since when anybody uses it.
    pub(super) const fn first(&self) -> Timestamp {
        Timestamp(self.first)
    }

    /// Hosts but this one that used it in the 30 days before a local day; an estimate beyond 32.
    pub(super) fn others(&self, host: u64, day: i32) -> u32 {
        match &self.users {
            Users::Exact(users) => {
                let other = |(who, last): &&(u32, i32)| *who != short(host) && day.saturating_sub(*last) < WINDOW_DAYS;
                u32::try_from(users.iter().filter(other).count()).unwrap_or(u32::MAX)
            }
            Users::Sketch(sketch) => sketch.estimate(day),
        }
    }

    /// A host used it on a local day.
    pub(super) fn used(&mut self, host: u64, day: i32) {
        match &mut self.users {
            Users::Exact(users) => {
                let who = short(host);
                if let Some(known) = users.iter_mut().find(|(user, _)| *user == who) {
                    known.1 = known.1.max(day);
                    return;
                }
                if users.len() >= MAX_EXACT {
                    users.retain(|(_, last)| day.saturating_sub(*last) < WINDOW_DAYS);
                }
                if users.len() < MAX_EXACT {
                    users.push((who, day));
                    return;
                }
                let mut sketch = Sketch::new(day);
                users.iter().for_each(|(who, last)| sketch.add(u64::from(*who) << 32, *last));
                sketch.add(host, day);
                self.users = Users::Sketch(sketch);
            }
            Users::Sketch(sketch) => sketch.add(host, day),
        }
    }

    /// Takes a host back out while the users are exact: its contact turned out to be with somebody else.
    pub(super) fn unused(&mut self, host: u64) {
        if let Users::Exact(users) = &mut self.users {
            users.retain(|(who, _)| *who != short(host));
        }
    }

    /// Adds what another baseline knows of the same owner.
    pub(super) fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        match (&mut self.users, &other.users) {
            (_, Users::Exact(theirs)) => {
                theirs.iter().for_each(|(who, day)| self.used(u64::from(*who) << 32, *day));
            }
            (Users::Exact(own), Users::Sketch(theirs)) => {
                let own = std::mem::take(own);
                self.users = Users::Sketch(theirs.clone());
                own.iter().for_each(|(who, day)| self.used(u64::from(*who) << 32, *day));
            }
            (Users::Sketch(own), Users::Sketch(theirs)) => own.merge(theirs),
        }
    }

    /// Whether what was read from disk can have been written by this code.
    pub(super) fn is_whole(&self) -> bool {
        match &self.users {
            Users::Exact(users) => users.len() <= MAX_EXACT,
            Users::Sketch(sketch) => sketch.current.len() == REGISTERS && sketch.before.len() == REGISTERS,
        }
    }
}

impl Sketch {
    fn new(day: i32) -> Self {
        Self { period: day.div_euclid(PERIOD_DAYS), current: vec![0; REGISTERS], before: vec![0; REGISTERS] }
    }

    fn turn(&mut self, period: i32) {
        match period.saturating_sub(self.period) {
            ..=0 => return,
            1 => self.before = std::mem::replace(&mut self.current, vec![0; REGISTERS]),
            _ => (self.current, self.before) = (vec![0; REGISTERS], vec![0; REGISTERS]),
        }
        self.period = period;
    }

    fn add(&mut self, host: u64, day: i32) {
        let period = day.div_euclid(PERIOD_DAYS);
        self.turn(period);
        let registers = match self.period.saturating_sub(period) {
            0 => &mut self.current,
            1 => &mut self.before,
            _ => return,
        };
        // The upper half alone decides, so that users who were exact before count the same.
        let bits = short(host);
        let rank = u8::try_from((bits << INDEX_BITS).leading_zeros().min(32 - INDEX_BITS) + 1).unwrap_or(u8::MAX);
        let at = usize::try_from(bits >> (32 - INDEX_BITS)).unwrap_or(0);
        if let Some(register) = registers.get_mut(at) {
            *register = (*register).max(rank);
        }
    }

    /// HyperLogLog with linear counting for few (Flajolet and others, 2007).
    fn estimate(&self, day: i32) -> u32 {
        let age = day.div_euclid(PERIOD_DAYS).saturating_sub(self.period);
        if age > 1 {
            return 0;
        }
        let both =
            self.current.iter().zip(&self.before).map(|(now, then)| if age <= 0 { (*now).max(*then) } else { *now });
        let (mut sum, mut zeros) = (0.0, 0_u32);
        for register in both {
            // A power of two, which no rounding touches; this is asked at every contact.
            sum += f64::from_bits((1_023_u64.saturating_sub(u64::from(register))) << 52);
            zeros += u32::from(register == 0);
        }
        let m = f64::from(u32::try_from(REGISTERS).unwrap_or(u32::MAX));
        let raw = ALPHA * m * m / sum;
        let few = raw <= 2.5 * m && zeros > 0;
        let estimate = if few { m * (m / f64::from(zeros)).ln() } else { raw };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u32")]
        let hosts = estimate.round().clamp(0.0, f64::from(u32::MAX)) as u32;
        hosts
    }

    fn merge(&mut self, other: &Self) {
        self.turn(other.period);
        let into = |own: &mut Vec<u8>, theirs: &[u8]| own.iter_mut().zip(theirs).for_each(|(o, t)| *o = (*o).max(*t));
        match self.period.saturating_sub(other.period) {
            0 => {
                into(&mut self.current, &other.current);
                into(&mut self.before, &other.before);
            }
            1 => into(&mut self.before, &other.current),
            _ => {}
        }
    }
}

/// What exact users are told by: 32 in 2^32.
fn short(stamp: u64) -> u32 {
    u32::try_from(stamp >> 32).unwrap_or(u32::MAX)
}

/// `detection.md` §2.4.
const MAX_EXACT: usize = 32;
const WINDOW_DAYS: i32 = 30;
const PERIOD_DAYS: i32 = 15;
const INDEX_BITS: u32 = 8;
const REGISTERS: usize = 1 << INDEX_BITS;
/// α for 256 registers: 0.7213 / (1 + 1.079 / 256).
const ALPHA: f64 = 0.718_273;

#[cfg(test)]
mod tests {
    use super::super::stamp::stamp;
    use super::*;

    fn host(n: u32) -> u64 {
        stamp(&format!("10.0.{}.{}", n / 256, n % 256))
    }

    fn used_by(hosts: u32, day: i32) -> Destination {
        let mut destination = Destination::new(1, Timestamp(0));
        (0..hosts).for_each(|n| destination.used(host(n), day));
        destination
    }

    #[test]
    fn few_users_are_counted_exactly_and_many_within_a_fifth() {
        for n in [0, 1, 2, 31, 32] {
            assert_eq!(used_by(n, 100).others(u64::MAX, 100), n);
            assert_eq!(used_by(n, 100).others(host(0), 100), n.saturating_sub(1), "without the one who asks");
        }
        for n in [33, 100, 700, 5_000, 60_000] {
            let estimate = f64::from(used_by(n, 100).others(u64::MAX, 100));
            // Three standard errors of 1.04 / √256.
            assert!((estimate / f64::from(n) - 1.0).abs() < 0.195, "{n}: {estimate}");
        }
    }

    #[test]
    fn a_user_of_more_than_a_month_ago_is_none() {
        for hosts in [20, 2000] {
            let known = used_by(hosts, 300);
            assert!(known.others(u64::MAX, 314) > hosts / 2, "{hosts}: two weeks on");
            assert_eq!(known.others(u64::MAX, 330), 0, "{hosts}: a month on");
        }
        let mut lively = used_by(40, 300);
        lively.used(host(0), 316);
        assert!(lively.others(u64::MAX, 316) > 30, "the fifteen days before count");
        lively.used(host(0), 331);
        assert!(lively.others(u64::MAX, 331) < 5, "{}", lively.others(u64::MAX, 331));
    }

    #[test]
    fn merged_baselines_count_a_host_once() {
        for (what, one, two, low, high) in [
            ("few and few", 10, 12, 12, 12),
            ("few and many", 10, 900, 700, 1100),
            ("many and many", 800, 900, 700, 1100),
        ] {
            let (mut a, b) = (used_by(one, 60), used_by(two, 61));
            a.merge(&b);
            let users = a.others(u64::MAX, 61);
            assert!((low..=high).contains(&users) && a.is_whole(), "{what}: {users}");
        }
    }
}
