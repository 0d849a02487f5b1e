//! What one host did inside the site: when it was active, with whom it was in contact, how often that is so.
//!
//! Counted in ten-minute bins, apart for the minutes after a machine was switched on (*boot*) and all others (*steady*):
//! at boot everything is contacted, and a server must not be blamed for that (detection.md §4.4, §4.5). Counts lose a
//! thirtieth a day. Moments are whole seconds since the epoch.

use crate::base::Timestamp;
use crate::profile::HostId;

/// What a contact shows besides being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Mark {
    /// Any contact at all.
    Any,
    /// Code was made to run, or put there to run.
    Execution,
    /// The server sent more than it does in 99 of 100 contacts on that port.
    Large,
    /// A kind of contact this server was never seen to make before.
    Novel,
}

impl Mark {
    /// All of them; `index` is the position here.
    pub(crate) const ALL: [Self; 4] = [Self::Any, Self::Execution, Self::Large, Self::Novel];

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Any => 0,
            Self::Execution => 1,
            Self::Large => 2,
            Self::Novel => 3,
        }
    }

    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any => "any contact",
            Self::Execution => "execution",
            Self::Large => "more sent than in 99 of 100 contacts",
            Self::Novel => "a kind of contact new for this server",
        }
    }
}

/// One number for each mark.
pub(crate) type PerMark<T> = [T; Mark::ALL.len()];

/// One host's activity and its peers.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct HostLog {
    /// When the present stretch of activity began, and whether it followed two hours of silence.
    session: u32,
    booted: bool,
    last: u32,
    bin: u32,
    /// The latest eight bins, newest lowest: 1 when active and steady.
    recent: u8,
    day: u16,
    hour: u32,
    /// Active bins outside boots, and boots; decayed.
    pub(crate) steady: f32,
    pub(crate) boots: f32,
    pub(crate) peers: Vec<Peer>,
    /// The proxy it goes out through, as far as its latest first contact shows.
    #[serde(default)]
    pub(super) way: Option<HostId>,
}

/// What a moment of activity was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stir {
    /// A steady bin not counted before.
    pub(crate) bin: bool,
    /// A boot.
    pub(crate) boot: bool,
    /// An hour not counted before.
    pub(crate) hour: bool,
}

/// One peer of a host.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Peer {
    pub(crate) host: HostId,
    /// The latest contacts, newest first; 0 for none.
    pub(crate) times: [u32; 4],
    /// The latest contact with each mark; 0 for none.
    pub(crate) marked: PerMark<u32>,
    /// Bins with such a contact, decayed: `Any` outside boots, the others always.
    pub(crate) bins: PerMark<f32>,
    /// Boots with a contact, decayed.
    pub(crate) boots: f32,
    boot: u32,
}

/// What a contact added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    /// The pair met for the first time.
    pub(crate) pair: bool,
    /// A steady bin or a boot with this peer not counted before.
    pub(crate) bin: bool,
    pub(crate) boot: bool,
    /// Five minutes of the clock not counted before.
    pub(crate) slot: bool,
    /// The latest contact until now, 0 for none, when this one takes its place.
    pub(crate) before: Option<u32>,
}

impl HostLog {
    /// Notes activity. `began` is when the data began: what was silent since before that is not known to have booted.
    /// Peers that were not met for a month are forgotten and given back.
    pub(crate) fn stir(&mut self, at: u32, began: u32) -> (Stir, Vec<HostId>) {
        let (mut stir, mut forgotten) = (Stir::default(), Vec::new());
        let known = self.last > 0;
        if !known || at.saturating_sub(self.last) >= SILENCE_S {
            self.session = at;
            self.booted = known || at.saturating_sub(began) >= SILENCE_S;
            if self.booted {
                forgotten = self.age(at);
                self.boots += 1.0;
                stir.boot = true;
            }
        }
        self.last = self.last.max(at);
        stir.hour = at / 3600 > self.hour;
        self.hour = self.hour.max(at / 3600);
        let bin = at / BIN_S;
        if bin > self.bin {
            let passed = bin - self.bin;
            self.recent = if passed < 8 { self.recent << passed } else { 0 };
            self.bin = bin;
        }
        if bin == self.bin && self.recent & 1 == 0 && !self.in_boot(at) {
            forgotten.extend(self.age(at));
            self.recent |= 1;
            self.steady += 1.0;
            stir.bin = true;
        }
        (stir, forgotten)
    }

    /// Whether `at` lies in the minutes after a boot.
    pub(crate) const fn in_boot(&self, at: u32) -> bool {
        self.booted && at.saturating_sub(self.session) <= BOOT_S
    }

    /// When the present session booted; 0 when it is not known to have.
    pub(crate) const fn booted_at(&self) -> u32 {
        if self.booted { self.session } else { 0 }
    }

    /// Steady bins, those of the hour before now left out: cases are held against other times than their own.
    pub(crate) fn steady_before(&self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "at most 6")]
        let lately = (self.recent & 0b11_1111).count_ones() as f32;
        (self.steady - lately).max(0.0)
    }

    pub(crate) fn peer(&self, host: HostId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.host == host)
    }

    pub(crate) fn peer_mut(&mut self, host: HostId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.host == host)
    }

    /// Notes a contact. Of too many peers the one silent for longest makes room, those with an execution last; it is
    /// given back.
    pub(crate) fn touch(&mut self, host: HostId, at: u32) -> (Added, Option<HostId>) {
        let (in_boot, session) = (self.in_boot(at), self.session);
        let mut out = None;
        let place = match self.peers.iter().position(|peer| peer.host == host) {
            Some(place) => place,
            None => {
                out = self.make_room();
                if self.peers.len() == self.peers.capacity() {
                    // Most addresses of a scan meet one peer only; a host has some dozen, and doubling would hold 32 for 18.
                    self.peers.reserve_exact(if self.peers.is_empty() { 1 } else { PEERS_AT_ONCE });
                }
                self.peers.push(Peer::new(host));
                self.peers.len() - 1
            }
        };
        let Some(peer) = self.peers.get_mut(place) else { return (Added::default(), out) };
        (peer.touch(at, in_boot, session), out)
    }

    /// When it was last active.
    pub(crate) const fn last(&self) -> u32 {
        self.last
    }

    /// Whether this code can have written it.
    pub(crate) const fn is_whole(&self) -> bool {
        self.peers.len() <= MAX_PEERS
    }

    /// Under other ids; peers that have none there are left out.
    pub(super) fn renamed(mut self, host: impl Fn(HostId) -> Option<HostId>) -> Self {
        self.peers = self.peers.into_iter().filter_map(|peer| Some(Peer { host: host(peer.host)?, ..peer })).collect();
        self.way = self.way.and_then(host);
        self
    }

    /// Adds what another sensor knows: counts add up, the present is that of who saw it last.
    pub(super) fn join(&mut self, mut other: Self) {
        if other.last > self.last {
            std::mem::swap(self, &mut other);
        }
        self.steady += other.steady;
        self.boots += other.boots;
        for theirs in other.peers {
            match self.peer_mut(theirs.host) {
                Some(own) => own.join(&theirs),
                None => self.peers.push(theirs),
            }
        }
        self.peers.sort_by_key(|peer| std::cmp::Reverse((peer.marked_at(Mark::Execution) > 0, peer.times[0])));
        self.peers.truncate(MAX_PEERS);
    }

    /// Lets a day's worth of the past go; gives back the peers that were not met for a month.
    fn age(&mut self, at: u32) -> Vec<HostId> {
        let mut forgotten = Vec::new();
        let day = u16::try_from(at / DAY_S).unwrap_or(u16::MAX);
        let passed = day.saturating_sub(self.day);
        if self.day > 0 && passed > 0 {
            let keep = kept(passed);
            self.steady *= keep;
            self.boots *= keep;
            for peer in &mut self.peers {
                peer.bins.iter_mut().for_each(|bins| *bins *= keep);
                peer.boots *= keep;
            }
            let since = at.saturating_sub(IDLE_S);
            self.peers.retain(|peer| {
                let stays = peer.times[0] >= since || peer.marked_at(Mark::Execution) > 0;
                if !stays {
                    forgotten.push(peer.host);
                }
                stays
            });
        }
        self.day = self.day.max(day);
        forgotten
    }

    fn make_room(&mut self) -> Option<HostId> {
        if self.peers.len() < MAX_PEERS {
            return None;
        }
        let rank = |peer: &Peer| (peer.marked_at(Mark::Execution) > 0, peer.times[0]);
        let place = self.peers.iter().enumerate().min_by_key(|(_, peer)| rank(peer)).map(|(place, _)| place)?;
        Some(self.peers.swap_remove(place).host)
    }
}

impl Peer {
    fn new(host: HostId) -> Self {
        Self { host, times: [0; 4], marked: [0; 4], bins: [0.0; 4], boots: 0.0, boot: 0 }
    }

    fn join(&mut self, other: &Self) {
        let mut times = [self.times, other.times].concat();
        times.sort_unstable_by_key(|time| std::cmp::Reverse(*time));
        times.dedup();
        self.times.iter_mut().zip(times.into_iter().chain([0; 4])).for_each(|(own, time)| *own = time);
        self.marked.iter_mut().zip(other.marked).for_each(|(own, time)| *own = (*own).max(time));
        self.bins.iter_mut().zip(other.bins).for_each(|(own, bins)| *own += bins);
        self.boots += other.boots;
        self.boot = self.boot.max(other.boot);
    }

    /// The latest contact with a mark; 0 for none.
    fn marked_at(&self, mark: Mark) -> u32 {
        self.marked.get(mark.index()).copied().unwrap_or(0)
    }

    fn touch(&mut self, at: u32, in_boot: bool, session: u32) -> Added {
        let newest = self.times[0];
        let mut added = Added { pair: newest == 0, ..Added::default() };
        added.slot = newest / SLOT_S != at / SLOT_S || added.pair;
        if in_boot {
            added.boot = self.boot != session;
            self.boot = session;
            self.boots += f32::from(u8::from(added.boot));
        } else {
            let ([any, ..], [bins, ..]) = (&mut self.marked, &mut self.bins);
            added.bin = *any / BIN_S < at / BIN_S;
            *any = (*any).max(at);
            *bins += f32::from(u8::from(added.bin));
        }
        if newest == 0 || at.saturating_sub(newest) >= APART_S {
            self.times.rotate_right(1);
            self.times[0] = at;
            added.before = Some(newest);
        }
        added
    }

    /// Notes that the contact at `at` bore a mark; whether that is a bin not counted before.
    pub(crate) fn mark(&mut self, mark: Mark, at: u32) -> bool {
        let (Some(last), Some(bins)) = (self.marked.get_mut(mark.index()), self.bins.get_mut(mark.index())) else {
            return false;
        };
        let newly = *last / BIN_S < at / BIN_S;
        *last = (*last).max(at);
        *bins += f32::from(u8::from(newly));
        newly
    }

    /// Bins with such a contact, those of the hour before `at` left out.
    pub(crate) fn bins_before(&self, mark: Mark, at: u32) -> f32 {
        let lately = |time: &&u32| **time > 0 && at.saturating_sub(**time) <= HAZARD_S;
        let mut bins: Vec<u32> = match mark {
            Mark::Any => self.times.iter().filter(lately).map(|time| time / BIN_S).collect(),
            _ => self.marked.get(mark.index()).filter(lately).map(|time| time / BIN_S).into_iter().collect(),
        };
        bins.dedup();
        #[expect(clippy::cast_precision_loss, reason = "at most 4")]
        let lately = bins.len() as f32;
        (self.bins.get(mark.index()).copied().unwrap_or(0.0) - lately).max(0.0)
    }

    /// The latest contact no later than `at`.
    pub(crate) fn latest(&self, at: u32) -> Option<u32> {
        self.times.iter().copied().find(|time| *time > 0 && *time <= at)
    }
}

/// What remains of a count after so many days.
pub(crate) fn kept(days: u16) -> f32 {
    (1.0 - 1.0 / 30.0_f32).powi(i32::from(days))
}

/// Whole seconds since the epoch, as this index keeps moments; 0 stands for never.
pub(crate) fn moment(ts: Timestamp) -> u32 {
    u32::try_from(ts.secs().clamp(1, i64::from(u32::MAX))).unwrap_or(1)
}

/// Seconds of a bin: detection.md §4.4 counts a host's past in ten minutes.
pub(crate) const BIN_S: u32 = 600;
/// Seconds of a slot in which a hub counts whom it met (§4.5).
pub(crate) const SLOT_S: u32 = 300;
pub(crate) const DAY_S: u32 = 86_400;
/// Silence after which activity is a boot, and how long a boot lasts (§4.4).
const SILENCE_S: u32 = 7200;
pub(crate) const BOOT_S: u32 = 900;
/// The longest scale: contacts this shortly before a case say nothing about what is usual.
const HAZARD_S: u32 = 3600;
/// Contacts closer than this are one.
const APART_S: u32 = 5;
/// Peers idle for longer are let go (§4.5).
const IDLE_S: u32 = 30 * DAY_S;
/// Peers a host's list grows by.
const PEERS_AT_ONCE: usize = 4;
/// Peers of one host: a PC has some twelve; a server's are seen from the other side. 60 bytes each.
const MAX_PEERS: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    const T: u32 = 1_600_000_000;

    #[test]
    fn a_boot_is_activity_after_two_hours_of_silence() {
        for (what, moments, boots, in_boot) in [
            ("the data began with it", [0, 60, 120].as_slice(), 0.0, false),
            ("somebody first seen three hours in", &[10_800, 10_860], 1.0, true),
            ("silent for two hours, then back", &[0, 7200, 7300], 1.0, true),
            ("silent for less", &[0, 7100], 0.0, false),
            ("long after a boot", &[0, 7200, 8101, 8200], 1.0, false),
        ] {
            let mut log = HostLog::default();
            moments.iter().for_each(|s| {
                log.stir(T + s, T);
            });
            let at = T + moments.last().unwrap();
            assert!((log.boots - boots).abs() < 1e-6, "{what}: {} boots", log.boots);
            assert_eq!(log.in_boot(at), in_boot, "{what}");
        }
    }

    #[test]
    fn contacts_are_counted_once_a_bin_and_once_a_boot() {
        let mut log = HostLog::default();
        let server = HostId(7);
        let start = T / BIN_S * BIN_S;
        for s in [0, 10, 20, 600, 700, 1800] {
            log.stir(start + s, start);
            log.touch(server, start + s);
        }
        let peer = log.peer(server).unwrap();
        assert!((peer.bins[0] - 3.0).abs() < 1e-6, "{:?}", peer.bins);
        assert_eq!(peer.times.map(|t| t.saturating_sub(start)), [1800, 700, 600, 20]);
        assert!((log.steady - 3.0).abs() < 1e-6);
        for s in [10_000, 10_300, 10_850] {
            log.stir(start + s, start);
            log.touch(server, start + s);
        }
        let peer = log.peer(server).unwrap();
        assert!((peer.boots - 1.0).abs() < 1e-6 && (peer.bins[0] - 3.0).abs() < 1e-6, "{peer:?}");
    }

    #[test]
    fn the_hour_before_a_case_says_nothing_about_what_is_usual() {
        let mut log = HostLog::default();
        let server = HostId(7);
        for hour in 0..10 {
            log.stir(T + hour * 3600, T);
            log.touch(server, T + hour * 3600);
        }
        let peer = log.peer(server).unwrap();
        assert!((peer.bins_before(Mark::Any, T + 9 * 3600 + 40) - 9.0).abs() < 1e-6);
        assert!((log.steady_before() - 9.0).abs() < 1e-6);
    }

    #[test]
    fn who_was_silent_for_longest_makes_room_but_not_an_execution() {
        let mut log = HostLog::default();
        log.touch(HostId(0), T);
        log.peer_mut(HostId(0)).unwrap().mark(Mark::Execution, T);
        for n in 1..60 {
            log.touch(HostId(n), T + n * 10);
        }
        assert_eq!(log.peers.len(), MAX_PEERS);
        assert!(log.peer(HostId(0)).is_some() && log.peer(HostId(1)).is_none());
    }

    #[test]
    fn a_thirtieth_is_forgotten_every_day() {
        let mut log = HostLog::default();
        log.stir(T, T - 10);
        log.stir(T + 600, T - 10);
        let before = log.steady;
        for day in 1..=30 {
            log.stir(T + day * DAY_S, T);
        }
        // Thirty boots were added, no steady bin.
        assert!((log.steady - before * kept(30)).abs() < 1e-3, "{} of {before}", log.steady);
    }
}
