//! Execution chain: an act on a machine, then the machine's first contact with an outside destination.
//!
//! Each cue is a surprise in nats against accident; the sum decides. What keeps ordinary administration out: a machine
//! that meets many new destinations is browsing (the timing is no surprise), and a destination that others use already
//! without having been touched by the actor is capped.

use super::ChainRule;
use super::cluster::DAY_S;
use super::sessions::{Follower, Session, Sessions};
use crate::base::stats::{common, real};
use crate::base::{Timestamp, Word};
use crate::detect::{Against, Beacon, Evidence, Rhythm, Severity, Value};
use crate::event::{self, Transport, Uid};
use crate::profile::{HostId, Profiles, Script, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// One act, one machine, one destination.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Chain {
    pub(crate) server: HostId,
    pub(crate) host: HostId,
    pub(crate) tenant: TenantId,
    pub(crate) session: Session,
    pub(crate) contact: Timestamp,
    pub(crate) lag_s: f64,
    /// Cues with their weight in nats.
    pub(crate) reasons: Vec<Evidence>,
    pub(crate) nats: f64,
    pub(crate) severity: Severity,
    pub(crate) rhythm: Option<Rhythm>,
    /// Hosts the actor did not touch that used the destination before.
    pub(crate) strangers: u32,
    /// Why it is held down, when it is.
    #[serde(with = "crate::base::word::maybe")]
    pub(crate) held: Option<Word>,
    pub(crate) uids: Vec<Uid>,
}

/// The chains of one machine, weighed: the strongest of each actor and destination.
pub(crate) fn chains_on(
    host: HostId,
    sessions: &Sessions,
    rule: &ChainRule,
    usual: &Profiles,
    beacons: &Beacon,
) -> Vec<Chain> {
    let mut chains: BTreeMap<(HostId, TenantId), Chain> = BTreeMap::new();
    for session in sessions.on(host) {
        for follower in &session.followers {
            let Some(chain) = weigh(session, follower, sessions, rule, usual, beacons) else { continue };
            let key = (chain.server, chain.tenant);
            if chains.get(&key).is_none_or(|known| known.nats < chain.nats) {
                chains.insert(key, chain);
            }
        }
    }
    chains.into_values().collect()
}

fn weigh(
    session: &Session,
    follower: &Follower,
    sessions: &Sessions,
    rule: &ChainRule,
    usual: &Profiles,
    beacons: &Beacon,
) -> Option<Chain> {
    let (by, on) = (session.by, session.on);
    let tie = usual.tie(on, follower.tenant).filter(|tie| !tie.under_way && !tie.background)?;
    let led = led_there(by, follower.tenant, sessions, usual);
    let lag_s = follower.lag_s();
    let practised = sessions.practised(session);
    let watched_days = usual.host(by).map_or(0.0, |host| (host.watched_s(session.first) / DAY_S).floor());
    let strangers = strangers(session, follower, &led, usual);
    let common = common(rule.common_hosts, rule.common_share, usual.fleet());
    let is_common = f64::from(strangers) >= common;
    let counts = usual.counts();
    let lone = ratio(counts.lone_firsts.saturating_add(1), counts.firsts.saturating_add(1)).min(1.0);
    // The actor may also be the very address that is called back.
    let shared =
        usual.tie(by, follower.tenant).is_some() || tie.resps.iter().any(|resp| Some(resp.ip) == usual.address(by));
    let rhythm = beacons.rhythm(on, follower.tenant);
    let others = real(led.len().saturating_sub(1));
    // Where people go anyway a visit is what the act was for; what was left behind calls again.
    let stayed = rhythm.is_some() || tie.script.is_some();
    // Of a visit and nothing more it counts how often its actor does this: who acts on machines every day acts today too, and
    // each machine is an occasion for one of them to meet somebody new.
    let visit = !stayed && !shared && others == 0.0;
    let accident = accident(session, follower, rule);
    let accident = if visit { any_of(accident, practised.sessions_a_day) } else { accident };

    let mut weighed = Weighed::default();
    weighed.add("lag", Value::Number(lag_s), "seconds", (-accident.ln()).min(rule.cap_timing_nats));
    let sat_there =
        session.deeds.iter().filter(|d| d.act != event::Act::Administer).all(|d| INTERACTIVE.contains(&d.channel));
    let rare = match follower.act {
        _ if sat_there => rule.session_nats,
        event::Act::Execute => rule.execute_nats,
        _ => rule.prepare_nats,
    };
    let act = if visit { (-practised.chance(watched_days, (-rare).exp()).ln()).clamp(0.0, rare) } else { rare };
    weighed.add("act", Value::Text(follower.act.name().into()), "", act);
    if strangers == 0 {
        weighed.add("lone_share", Value::Number(lone), "probability", (-lone.ln()).min(rule.cap_rarity_nats));
    }
    if !is_common {
        if shared {
            weighed.add("actor_contacts_it_too", Value::Text("yes".into()), "", rule.shared_nats);
        }
        if let Some(rhythm) = &rhythm {
            weighed.add(
                "regularity_p",
                Value::Number(rhythm.p),
                "probability",
                (-rhythm.p.ln()).min(rule.cap_timer_nats),
            );
        }
        if others > 0.0 {
            let nats = (others * rule.others_nats).min(rule.cap_others_nats);
            weighed.add("hosts_led_there_too", Value::Number(others), "hosts", nats);
        }
        let hides = usual.sees_lookups(on) == Some(false);
        if tie.is_nameless() && tie.transport == Transport::Tcp && !hides {
            weighed.add("nameless", Value::Text("yes".into()), "", rule.nameless_nats);
        }
    }
    if let Some(script) = tie.script {
        let shown = match script {
            Script::Agent => "script user agent",
            Script::Content(content) => content,
        };
        weighed.add("script", Value::Text(shown.into()), "", rule.script_nats);
    }
    let mut severity = match weighed.nats {
        nats if nats >= rule.high_nats => Severity::High,
        nats if nats >= rule.medium_nats => Severity::Medium,
        nats if nats >= rule.low_nats => Severity::Low,
        _ => Severity::Info,
    };
    let mut held = None;
    let (most, why) = match (is_common, tie.standing.shared) {
        (true, _) if stayed => (Severity::Low, "other hosts used the destination already"),
        (true, _) => (Severity::Info, "other hosts used the destination already"),
        (false, true) if !stayed => {
            (Severity::Info, "all the world shares the destination, and nothing calls it again")
        }
        _ => (Severity::High, ""),
    };
    if severity > most {
        severity = most;
        held = Some(why);
    }
    weighed.reasons.push(Evidence {
        measure: "other_hosts_already_there",
        observed: Value::Count(u64::from(strangers)),
        against: Against::Limit(Value::Number(common)),
        unit: "hosts",
    });
    weighed.reasons.push(Evidence {
        measure: "days_its_actor_acted_so",
        observed: Value::Count(u64::from(practised.days)),
        against: Against::Usual(Value::Number(watched_days)),
        unit: "days",
    });
    let mut uids = session.uids.clone();
    uids.extend(tie.uids.iter().filter(|uid| !session.uids.contains(uid)));
    Some(Chain {
        server: by,
        host: on,
        tenant: follower.tenant,
        session: session.clone(),
        contact: follower.ts,
        lag_s,
        reasons: weighed.reasons,
        nats: weighed.nats,
        severity,
        rhythm,
        strangers,
        held,
        uids,
    })
}

/// Reasons and their sum.
#[derive(Default)]
struct Weighed {
    reasons: Vec<Evidence>,
    nats: f64,
}

impl Weighed {
    fn add(&mut self, measure: &'static str, observed: Value, unit: &'static str, nats: f64) {
        self.nats += nats;
        let against = Against::Weight(nats);
        self.reasons.push(Evidence { measure, observed, against, unit });
    }
}

/// Chance of a first contact this soon after an act by accident: the larger of two views, how often this machine meets
/// something new, over the long run or in a burst, and how often somebody acts on it.
fn accident(session: &Session, follower: &Follower, rule: &ChainRule) -> f64 {
    let lag = follower.lag_s().max(1.0);
    let long_run = (f64::from(follower.firsts_before) + 1.0) / (follower.watched_s + rule.prior_s);
    let burst = rule.burst_scales_s.iter().map(|span| {
        // One bystander is no burst.
        f64::from(session.others_within(follower, *span).saturating_sub(1)) / span
    });
    let meets = burst.fold(long_run, f64::max);
    let acted_on = (f64::from(session.before) + 0.5) / (follower.watched_s + rule.act_prior_s);
    let p = |rate: f64| 1.0 - (-rate * lag).exp();
    p(meets).max(p(acted_on)).clamp(1e-6, 1.0)
}

/// Chance that one of so many machines does by accident what one does with chance `p`: an actor's sessions of a day are each
/// an occasion.
fn any_of(p: f64, occasions: f64) -> f64 {
    1.0 - (1.0 - p).powf(occasions)
}

/// Hosts of the site that the actor led to the destination, among those known by name to use it.
pub(super) fn led_there(by: HostId, tenant: TenantId, sessions: &Sessions, usual: &Profiles) -> BTreeSet<HostId> {
    let Some(owner) = usual.tenant(tenant) else { return BTreeSet::new() };
    let led = |host: &HostId| sessions.on(*host).iter().any(|session| session.by == by && session.follows(tenant));
    owner.users.iter().map(|(host, _)| *host).filter(led).collect()
}

/// Hosts that used the destination before and that the actor, as far as is visible, did not lead there.
fn strangers(session: &Session, follower: &Follower, led: &BTreeSet<HostId>, usual: &Profiles) -> u32 {
    let Some(owner) = usual.tenant(follower.tenant) else { return 0 };
    let ours = |host: &HostId| *host == session.by || *host == session.on || led.contains(host);
    let named = owner.users.iter().filter(|(host, ts)| *ts < follower.ts && !ours(host)).count();
    let named = u32::try_from(named).unwrap_or(u32::MAX);
    // Beyond those named, users are known by number only; none of them was led there first.
    if owner.more > 0 { named.saturating_add(owner.more) } else { named }
}

#[expect(clippy::cast_precision_loss, reason = "shares need no more than 52 bits")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Channels through which a person sits at the other machine.
const INTERACTIVE: &[&str] = &["ssh", "rdp", "vnc"];
