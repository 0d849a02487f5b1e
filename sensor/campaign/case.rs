//! One case: a host's first contact with a destination, and which servers it had been in contact with before.

use super::contacts::{MAX_EXPOSURES, SHORT_S};
use super::hubs::SLACK_S;
use super::pairs::{BIN_S, BOOT_S, DAY_S, Mark, PerMark, moment};
use crate::base::Timestamp;
use crate::profile::{HostId, TenantId};

/// A first contact that may turn out to be one of several.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Case {
    pub(crate) host: HostId,
    pub(crate) tenant: TenantId,
    pub(crate) ts: Timestamp,
    /// How odd the contact itself was, by egress evidence alone.
    pub(crate) nats: f64,
    /// Ten-minute bins the host had been watched in, the hour before left out.
    pub(crate) watched_bins: f32,
    /// When the host's present session booted; 0 when it is not known to have.
    pub(crate) booted: u32,
    /// Hosts active in that hour.
    pub(crate) active: u32,
    pub(crate) exposures: Vec<Exposure>,
}

/// A peer that was in contact with the host before its case: within an hour, or with a mark within a day.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Exposure {
    pub(crate) peer: HostId,
    /// The latest contacts, newest first; 0 for none.
    pub(crate) times: [u32; 4],
    /// The latest contact with each mark.
    pub(crate) marked: PerMark<u32>,
    /// Chance of such a contact in ten minutes, and of one at a boot.
    pub(crate) usual: PerMark<f32>,
    pub(crate) at_boot: f32,
    /// Hosts the peer met in the short spans before the case.
    pub(crate) just_now: [u32; 2],
    /// Hosts it met in longer spans (see `Contacts`); `u32::MAX` when that is not known.
    pub(crate) met: PerMark<[u32; 2]>,
}

impl Exposure {
    /// Nobody knows whom it met.
    pub(crate) const UNKNOWN: PerMark<[u32; 2]> = [[u32::MAX; 2]; 4];

    /// The host met whom it met by way of this peer, so that of their contacts only code that was made to run says anything.
    /// False when nothing is left.
    pub(super) fn carried(&mut self) -> bool {
        self.times = [0; 4];
        for mark in Mark::ALL.into_iter().filter(|mark| *mark != Mark::Execution) {
            if let Some(time) = self.marked.get_mut(mark.index()) {
                *time = 0;
            }
        }
        self.marked.iter().any(|time| *time > 0)
    }
}

impl Case {
    pub(crate) fn exposure(&self, server: HostId) -> Option<&Exposure> {
        self.exposures.iter().find(|exposure| exposure.peer == server)
    }

    /// Whether somebody made code run on the host in the day before.
    pub(crate) fn is_acted_on(&self) -> bool {
        let within = |time: u32| time > 0 && moment(self.ts).saturating_sub(time) <= DAY_S;
        self.exposures.iter().any(|e| e.marked.get(Mark::Execution.index()).copied().is_some_and(within))
    }

    /// Whether `server` did, as far as is remembered.
    pub(crate) fn is_acted_on_by(&self, server: HostId) -> bool {
        self.contact(server, Mark::Execution).is_some_and(|time| moment(self.ts).saturating_sub(time) <= DAY_S)
    }

    /// The latest contact with `server` that bore `mark`, no later than the case.
    pub(crate) fn contact(&self, server: HostId, mark: Mark) -> Option<u32> {
        let exposure = self.exposure(server)?;
        let limit = moment(self.ts).saturating_add(SLACK_S);
        match mark {
            Mark::Any => exposure.times.iter().copied().find(|time| *time > 0 && *time <= limit),
            _ => exposure.marked.get(mark.index()).copied().filter(|time| *time > 0 && *time <= limit),
        }
    }

    /// How probable a contact in the `span` seconds before it is by the host's own habits, from its chance in ten minutes and at a boot. Contacts at a boot
    /// crowd together, so a window that holds a boot is given its whole chance.
    pub(crate) fn habit(&self, usual: &PerMark<f32>, at_boot: f32, mark: Mark, span: u32) -> f64 {
        let rate = f64::from(usual.get(mark.index()).copied().unwrap_or(0.0)).min(0.999_999);
        let steady = 1.0 - (1.0 - rate).powf(f64::from(span) / f64::from(BIN_S));
        let from = moment(self.ts).saturating_sub(span);
        let holds_boot = self.booted > 0 && from <= self.booted.saturating_add(BOOT_S);
        if mark == Mark::Any && holds_boot { steady.max(f64::from(at_boot)) } else { steady }
    }

    /// Hosts a server met with `mark` in the window, from what was kept: just before, and in the shorter and the longer
    /// span; `None` when nobody knows.
    pub(crate) fn met(exposure: Option<&Exposure>, [short, long]: [u32; 2], mark: Mark, span: u32) -> Option<f64> {
        let known = |n: u32| (n != u32::MAX).then(|| f64::from(n));
        match (mark, span, exposure) {
            (Mark::Any, s, Some(e)) if s <= SHORT_S[0] => Some(f64::from(e.just_now[0])),
            (Mark::Any, s, Some(e)) if s <= SHORT_S[1] => Some(f64::from(e.just_now[1])),
            // Without a moment to look at, ten minutes shared out evenly.
            (Mark::Any, s, None) if s <= SHORT_S[1] => known(short).map(|n| n * f64::from(s) / 600.0),
            (Mark::Any, s, _) => known(if s <= 600 { short } else { long }),
            (_, s, _) => known(if s < DAY_S { short } else { long }),
        }
    }

    /// Whether this code can have written it.
    pub(crate) fn is_whole(&self) -> bool {
        self.exposures.len() <= MAX_EXPOSURES
    }

    /// Ten minutes of the clock it fell into.
    pub(crate) fn bin(&self) -> u32 {
        moment(self.ts) / BIN_S
    }
}
