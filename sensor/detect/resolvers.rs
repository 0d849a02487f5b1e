//! Whether a site keeps to resolvers of its own, and how many of its hosts go past them.
//!
//! Where a handful of a large fleet look names up elsewhere, doing so is against what the site does, whatever the habit of
//! browsers in general; where many do, it is the site's habit.

use super::memory::{Kept, Memory, Sole};
use crate::base::{Table, Timestamp};
use crate::profile::{HostId, Lookup, Profiles};
use std::net::IpAddr;

/// From which size on, and for how few, it counts; part of a rule.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Firm {
    least_inside_hosts: usize,
    few_hosts: u32,
    few_share: f64,
    learn_s: f64,
}

/// Who looks names up where.
#[derive(Debug)]
pub(super) struct Resolvers {
    /// Hosts that ask a resolver inside.
    inside: Kept<HostId, ()>,
    resolvers: Kept<IpAddr, ()>,
    /// Hosts that went past them.
    past: Kept<HostId, ()>,
    since: Sole<Option<Timestamp>>,
}

impl Resolvers {
    /// Hosts that ask inside, resolvers, hosts that went past them, and what the moment of the first look-up is kept as.
    pub(super) const fn new(
        inside: Kept<HostId, ()>,
        resolvers: Kept<IpAddr, ()>,
        past: Kept<HostId, ()>,
        since: &'static str,
    ) -> Self {
        Self { inside, resolvers, past, since: Sole::new(since, None) }
    }

    /// Takes in a look-up; whether a resolver inside was asked.
    pub(super) fn lookup(&mut self, seen: &Lookup, usual: &Profiles) -> bool {
        self.since.or_begin(seen.ts);
        let is_inside = usual.declared().site.is_inside(seen.resolver);
        if is_inside {
            // Beyond what is held there are enough.
            if self.inside.len() < MAX_HOSTS {
                self.inside.insert(seen.host, ());
            }
            self.resolvers.insert(seen.resolver, ());
        }
        is_inside
    }

    /// A host went past them.
    pub(super) fn past(&mut self, host: HostId) {
        self.past.insert(host, ());
    }

    /// Hosts that ask inside, as far as they are counted.
    pub(super) fn inside(&self) -> usize {
        self.inside.len()
    }

    /// Whether the host is a resolver of the site.
    pub(super) fn is_one(&self, host: HostId, usual: &Profiles) -> bool {
        usual.address(host).is_some_and(|ip| self.resolvers.get(&ip).is_some())
    }

    /// Whether the site keeps to its own and all but a few have done so for long enough.
    pub(super) fn are_kept_to(&self, now: Timestamp, rule: &Firm, usual: &Profiles) -> bool {
        let few = f64::from(rule.few_hosts).max(rule.few_share * f64::from(usual.fleet()));
        let past = f64::from(u32::try_from(self.past.len()).unwrap_or(u32::MAX));
        self.inside.len() >= rule.least_inside_hosts
            && past <= few
            && self.since.get().is_some_and(|since| now.secs_since(since) >= rule.learn_s)
    }

    pub(super) fn memory(&mut self) -> [&mut dyn Memory; 4] {
        [&mut self.inside, &mut self.resolvers, &mut self.past, &mut self.since]
    }

    pub(super) fn tables(&self) -> [Table; 3] {
        [self.inside.table(), self.resolvers.table(), self.past.table()]
    }
}

/// Hosts on either side: that there are enough is all that is asked.
pub(super) const MAX_HOSTS: usize = 4_096;
/// Resolvers of the site.
pub(super) const MAX_RESOLVERS: usize = 1_024;
