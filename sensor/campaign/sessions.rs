//! Sessions of remote administration, and which first contacts followed on the machine.
//!
//! A session is what one host did to another without ten minutes of silence. First contacts of the machine within the
//! window after an act that runs or places something are its followers. Event time only; acts and contacts may be told
//! in either order, because a contact is judged once its destination is known.

use super::ChainRule;
use super::practice::{Practice, Practised};
use super::unsaved::Unsaved;
use crate::base::{Budget, Capped, Table, Timestamp};
use crate::detect::Deed;
use crate::event::{self, Uid};
use crate::profile::{Act, Contact, HostId, Profiles, TenantId};
use std::collections::BTreeSet;

/// What one host did to another in one go.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Session {
    pub(crate) by: HostId,
    pub(crate) on: HostId,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) uids: Vec<Uid>,
    pub(crate) followers: Vec<Follower>,
    /// Sessions of the same two hosts before this one.
    pub(crate) before: u32,
    /// Acts that run or place something.
    pub(super) acts: Vec<(Timestamp, event::Act)>,
}

/// A first contact after an act.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Follower {
    pub(crate) tenant: TenantId,
    pub(crate) ts: Timestamp,
    /// The latest act before it.
    pub(crate) act_at: Timestamp,
    pub(crate) act: event::Act,
    /// First contacts of the host before this one, and for how long it had been watched, seconds.
    pub(crate) firsts_before: u32,
    pub(crate) watched_s: f64,
}

impl Follower {
    /// Seconds from the act to the contact.
    pub(crate) fn lag_s(&self) -> f64 {
        self.ts.secs_since(self.act_at).max(0.0)
    }
}

/// Sessions by the machine they were on.
#[derive(Debug)]
pub(crate) struct Sessions {
    on: Capped<HostId, Vec<Session>>,
    practice: Practice,
    /// Machines with a new follower since the last look.
    pub(super) touched: BTreeSet<HostId>,
    /// Machines to be saved, while somebody saves.
    pub(super) unsaved: Unsaved<HostId>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            on: Capped::new(Budget::new("sessions.on", MAX_HOSTS, 2_000)),
            practice: Practice::new(),
            touched: BTreeSet::new(),
            unsaved: Unsaved::default(),
        }
    }

    /// Takes in an act. A contact stamped up to the slack before it still follows it.
    pub(crate) fn act(&mut self, seen: &Act, rule: &ChainRule, usual: &Profiles) {
        if seen.by == seen.on {
            return;
        }
        self.unsaved.note(seen.on);
        let deed = Deed::of(&seen.what);
        let sessions = self.on.entry(seen.on, Vec::new);
        let (at, out) = open_session(sessions, seen);
        out.iter().for_each(|session| self.practice.forget(session));
        let Some(session) = at.and_then(|at| sessions.get_mut(at)) else { return };
        session.last = session.last.max(seen.ts);
        if session.first.secs_since(seen.opened) <= SESSION_GAP_S {
            session.first = session.first.min(seen.opened);
        }
        if session.uids.len() < MAX_UIDS && !session.uids.contains(&seen.uid) {
            session.uids.push(seen.uid);
        }
        let (act, channel) = (deed.act, deed.channel);
        let acts_so = |known: &Deed| known.act != event::Act::Administer && known.channel == channel;
        let mut new_channel = false;
        if session.deeds.len() < MAX_DEEDS && !session.deeds.contains(&deed) {
            new_channel = !session.deeds.iter().any(acts_so);
            session.deeds.push(deed);
        }
        if act == event::Act::Administer {
            return;
        }
        if session.acts.len() >= MAX_ACTS {
            // The first act and the latest ones matter: the first opens the story, the latest gives the lag.
            session.acts.remove(1);
        }
        session.acts.push((seen.ts, act));
        if new_channel && let Some((began, _)) = session.acts.first() {
            self.practice.learn(seen.by, channel, began.utc_day());
        }
        let Some(host) = usual.host(seen.on) else { return };
        if !session.followers.is_empty() {
            self.touched.insert(seen.on);
        }
        for (ts, tenant) in host.recent.iter().filter(|(ts, _)| *ts <= seen.ts) {
            if seen.ts.secs_since(*ts) <= rule.slack_s && !session.follows(*tenant) {
                self.touched.insert(seen.on);
                session.add(Follower {
                    tenant: *tenant,
                    ts: *ts,
                    act_at: seen.ts,
                    act,
                    firsts_before: host.firsts.saturating_sub(1),
                    watched_s: host.watched_s(*ts),
                });
            }
        }
    }

    /// Takes in a contact: it follows every session whose window it falls into.
    pub(crate) fn contact(&mut self, seen: &Contact, rule: &ChainRule, usual: &Profiles) {
        if !seen.first || seen.background {
            return;
        }
        let Some(sessions) = self.on.get_mut(&seen.host) else { return };
        let Some(host) = usual.host(seen.host) else { return };
        for session in sessions.iter_mut().filter(|session| !session.follows(seen.tenant)) {
            if let Some((act_at, act)) = session.act_before(seen.ts, rule) {
                self.touched.insert(seen.host);
                self.unsaved.note(seen.host);
                session.add(Follower {
                    tenant: seen.tenant,
                    ts: seen.ts,
                    act_at,
                    act,
                    firsts_before: host.firsts.saturating_sub(1),
                    watched_s: host.watched_s(seen.ts),
                });
            }
        }
    }

    /// Machines whose sessions have a new follower or act since the last call, and those led to the same destination by
    /// the same actor: to them the number of companions matters.
    pub(super) fn touched(&mut self, usual: &Profiles) -> BTreeSet<HostId> {
        let touched = self.drawn_in(usual);
        self.touched.clear();
        touched
    }

    /// The same, while they stay to be asked for.
    pub(super) fn drawn_in(&self, usual: &Profiles) -> BTreeSet<HostId> {
        let mut touched = self.touched.clone();
        let mut led = BTreeSet::new();
        for session in touched.iter().flat_map(|host| self.on(*host)) {
            led.extend(session.followers.iter().map(|follower| (session.by, follower.tenant)));
        }
        for (by, tenant) in led {
            touched.extend(super::chain::led_there(by, tenant, self, usual));
        }
        touched
    }

    /// All machines with sessions that something followed.
    pub(super) fn machines(&self) -> BTreeSet<HostId> {
        self.iter().filter(|session| !session.followers.is_empty()).map(|session| session.on).collect()
    }

    /// All sessions, in an order that depends on the observations alone.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.on.iter().flat_map(|(_, sessions)| sessions)
    }

    /// Sessions on `host`.
    pub(crate) fn on(&self, host: HostId) -> &[Session] {
        self.on.get(&host).map_or(&[], Vec::as_slice)
    }

    /// All machines with their sessions.
    pub(super) fn all(&self) -> impl Iterator<Item = (HostId, &Vec<Session>)> {
        self.on.iter().map(|(host, sessions)| (*host, sessions))
    }

    /// Takes in the sessions of a machine; false when this code cannot have written them.
    pub(super) fn restore(&mut self, on: HostId, sessions: Vec<Session>) -> bool {
        let is_whole =
            sessions.len() <= MAX_SESSIONS && sessions.iter().all(|s| s.on == on && s.acts.len() <= MAX_ACTS);
        if is_whole {
            sessions.iter().for_each(|session| self.practice.learn_session(session));
            self.on.insert(on, sessions);
        }
        is_whole
    }

    /// What the actor of a session did on the days before it.
    pub(super) fn practised(&self, session: &Session) -> Practised {
        self.practice.before(session)
    }

    pub(crate) fn tables(&self) -> [Table; 2] {
        [self.on.table(), self.practice.table()]
    }
}

/// The session an act belongs to; begins one after ten minutes of silence. Of too many, the oldest that nothing
/// followed makes room, and comes back.
fn open_session(sessions: &mut Vec<Session>, seen: &Act) -> (Option<usize>, Option<Session>) {
    let of_pair = |session: &Session| session.by == seen.by;
    let latest = sessions.iter().rposition(of_pair);
    if let Some(at) = latest
        && sessions.get(at).is_some_and(|session| seen.ts.secs_since(session.last) <= SESSION_GAP_S)
    {
        return (Some(at), None);
    }
    let mut out = None;
    let before = latest.and_then(|at| sessions.get(at)).map_or(0, |session| session.before.saturating_add(1));
    if sessions.len() >= MAX_SESSIONS {
        let oldest = sessions.iter().position(|session| session.followers.is_empty()).unwrap_or(0);
        out = Some(sessions.remove(oldest));
    }
    sessions.push(Session {
        by: seen.by,
        on: seen.on,
        first: seen.ts,
        last: seen.ts,
        deeds: Vec::new(),
        uids: Vec::new(),
        followers: Vec::new(),
        before,
        acts: Vec::new(),
    });
    (sessions.len().checked_sub(1), out)
}

impl Session {
    /// Whether the destination is among the followers.
    pub(super) fn follows(&self, tenant: TenantId) -> bool {
        self.followers.iter().any(|follower| follower.tenant == tenant)
    }

    fn add(&mut self, follower: Follower) {
        if self.followers.len() < MAX_FOLLOWERS {
            self.followers.push(follower);
        }
    }

    /// The latest act in whose window `ts` lies.
    fn act_before(&self, ts: Timestamp, rule: &ChainRule) -> Option<(Timestamp, event::Act)> {
        let within = |at: &Timestamp| {
            let lag = ts.secs_since(*at);
            lag >= -rule.slack_s && lag <= rule.window_s
        };
        self.acts
            .iter()
            .filter(|(at, _)| within(at))
            .max_by_key(|(at, act)| (*at, *act == event::Act::Execute))
            .copied()
    }

    /// The strongest act of the session.
    pub(crate) fn executed(&self) -> bool {
        self.acts.iter().any(|(_, act)| *act == event::Act::Execute)
    }

    /// Followers within `span_s` of the act `follower` is told by, without itself.
    pub(crate) fn others_within(&self, follower: &Follower, span_s: f64) -> u32 {
        let near = |other: &&Follower| {
            let lag = other.ts.secs_since(follower.act_at);
            other.tenant != follower.tenant && (-span_s..=span_s).contains(&lag)
        };
        u32::try_from(self.followers.iter().filter(near).count()).unwrap_or(u32::MAX)
    }
}

/// Seconds of silence after which acts belong to another session; Hopper and BZAR join within ten minutes.
const SESSION_GAP_S: f64 = 600.0;
/// Machines with sessions.
const MAX_HOSTS: usize = 100_000;
/// Sessions remembered for a machine.
pub(super) const MAX_SESSIONS: usize = 24;
const MAX_ACTS: usize = 64;
const MAX_DEEDS: usize = 32;
const MAX_UIDS: usize = 16;
/// First contacts of one session: more is browsing.
const MAX_FOLLOWERS: usize = 64;
