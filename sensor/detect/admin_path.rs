//! Administration path: a server administers another machine it never administered before (ATT&CK T1021.002; IN-115).
//!
//! The 2019 case went from a management server overseas to one at home. Measure: a first act of a management server or
//! domain controller on a server, or on a machine of another site, after three days of learning. Benign look-alikes:
//! migrations, a new machine. Evasion: paths that exist already.

use super::beacon::reason;
use super::claim::{Claim, Words, has_role, manages, with_role};
use super::finding::{Entity, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::{Kept, Memory};
use super::renamed::as_it_is;
use super::{Deed, Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Budget, Table, Timestamp, Word, say};
use crate::event::{self, Uid};
use crate::profile::{Act, Activity, HostId, Profiles, What};
use std::net::IpAddr;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "admin_path",
    rule: include_str!("../../rules/admin_path.toml"),
    build: |text| {
        Ok(Box::new(AdminPath {
            rule: parse(text)?,
            known: Kept::new(Budget::new("admin_path.known", MAX_PATHS, 0)),
            noted: Ledger::new(Budget::new("admin_path.noted", MAX_NEW, 0)),
        }))
    },
};

/// `rules/admin_path.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    roles: Vec<String>,
    target_roles: Vec<String>,
    learn_s: f64,
    severity: Severity,
    undeclared: Severity,
    asked: Severity,
}

/// Who administered whom.
#[derive(Debug)]
struct AdminPath {
    rule: Rule,
    known: Kept<(HostId, HostId), ()>,
    noted: Ledger<(HostId, HostId), Path>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Path {
    first: Timestamp,
    #[serde(with = "crate::base::word")]
    channel: Word,
    watched_days: f64,
    uid: Uid,
    /// Something was made to run or placed there, or somebody had a session.
    #[serde(default = "ran")]
    ran: bool,
}

/// Before it was told apart, each path counted as if.
const fn ran() -> bool {
    true
}

as_it_is!(Path);

impl Detector for AdminPath {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, _: &mut Said) {
        if let Activity::Act(act) = seen
            && self.rule.enabled
            && act.by != act.on
            && manages(usual, act.by, &self.rule.roles)
        {
            self.act(act, usual);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.noted.table(), self.known.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.noted, &mut self.known]
    }
}

impl AdminPath {
    fn act(&mut self, act: &Act, usual: &Profiles) {
        let deed = Deed::of(&act.what);
        let ran = deed.act != event::Act::Administer || matches!(act.what, What::Session(_));
        if self.known.get(&(act.by, act.on)).is_some() {
            // Whoever asked first and then acted went the same path.
            let asked = self.noted.get(&(act.by, act.on)).is_some_and(|path| !path.ran);
            if asked
                && ran
                && let Some(path) = self.noted.amend(&(act.by, act.on))
            {
                (path.ran, path.channel) = (true, deed.channel);
            }
            return;
        }
        self.known.insert((act.by, act.on), ());
        let watched_s = usual.host(act.by).map_or(0.0, |host| host.watched_s(act.ts));
        let elsewhere = match (usual.address(act.by), usual.address(act.on)) {
            (Some(by), Some(on)) => site(by) != site(on),
            _ => false,
        };
        // A help desk's machine deals with many and is learned too; to another site it goes every day.
        let elsewhere = elsewhere && has_role(usual, act.by, &self.rule.roles);
        if watched_s >= self.rule.learn_s && (elsewhere || manages(usual, act.on, &self.rule.target_roles)) {
            let channel = deed.channel;
            let watched_days = watched_s / 86_400.0;
            self.noted.note_once((act.by, act.on), || Path { first: act.ts, channel, watched_days, uid: act.uid, ran });
        }
    }
}

impl Rule {
    fn tell(&self, now: Timestamp, (by, on): (HostId, HostId), path: &Path, usual: &Profiles) -> Option<Finding> {
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (path.first, path.first),
            severity: match () {
                () if !path.ran => self.asked,
                () if has_role(usual, by, &self.roles) => self.severity,
                () => self.undeclared,
            },
            attack: &self.attack,
            host: on,
            role: Role::AffectedHost,
            scope: &usual.subject(by),
        };
        let (actor, machine) = (usual.label(by), usual.label(on));
        Some(claim.say(
            usual,
            Words {
                title: say!("admin_path.title", actor = &actor, machine = &machine),
                explanation: with_role(
                    usual,
                    by,
                    say!(
                        "admin_path.explanation",
                        actor = &actor,
                        machine = &machine,
                        channel = path.channel,
                        at = path.first.clock(),
                        days = format!("{:.0}", path.watched_days),
                    ),
                ),
                reasons: vec![
                    reason("channel", Value::Text(path.channel.into()), ""),
                    reason("watched", Value::Number(path.watched_days.round()), "days"),
                ],
                others: vec![Entity::host(Role::StagingServer, by, usual)],
                uids: vec![path.uid],
            },
        ))
    }
}

/// What stands for a machine's site where nobody declared sites: the sixteen bits (of IPv6: 48) its addresses begin with.
fn site(ip: IpAddr) -> [u8; 6] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            [4, a, b, 0, 0, 0]
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, ..] = ip.octets();
            [a, b, c, d, e, f]
        }
    }
}

/// Paths known, 60 bytes each.
const MAX_PATHS: usize = 400_000;
/// New ones held.
const MAX_NEW: usize = 20_000;
