//! Destinations by owner: the tenant key of `detection.md` §2.1, how it stands, and who of the site uses it.
//!
//! Strings are interned once; everything else speaks of a `TenantId`. Ids are never used again, so an entry that made
//! room cannot be mistaken for another.

use super::hosts::HostId;
use crate::base::{Budget, Capped, Table, Timestamp};
use crate::intel::{Intel, Place, is_background};
use std::net::IpAddr;
use std::sync::Arc;

/// A destination owner: eTLD+1 or a customer's share of a cloud, else provider and network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct TenantId(pub(crate) u32);

/// What intelligence says about a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) provider: Option<Box<str>>,
    /// Category of name, `update-infra`.
    pub(crate) class: Option<Box<str>>,
    /// Many customers share this very name.
    pub(crate) shared: bool,
}

impl Standing {
    pub(super) fn of(place: &Place<'_>) -> Self {
        let (provider, class) = (place.provider.map(Into::into), place.class.map(Into::into));
        Self { provider, class, shared: place.shared }
    }

    /// Whether it is one of these kinds of service.
    pub(crate) fn is_of(&self, classes: &[String]) -> bool {
        self.class.as_deref().is_some_and(|class| classes.iter().any(|known| known == class))
    }

    /// Whether it is what nobody looks twice at ([`is_background`]).
    pub(crate) fn is_background(&self) -> bool {
        is_background(self.class.as_deref())
    }
}

/// One destination owner as the site knows it.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) key: Arc<str>,
    /// The first hosts that used it, earliest contact first as judged.
    pub(crate) users: Vec<(HostId, Timestamp)>,
    /// Hosts beyond those.
    pub(crate) more: u32,
}

impl Tenant {
    /// Hosts of the site that used it.
    pub(crate) fn used_by(&self) -> u32 {
        u32::try_from(self.users.len()).unwrap_or(u32::MAX).saturating_add(self.more)
    }
}

/// A name or address, looked up once.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) tenant: TenantId,
    pub(super) standing: Arc<Standing>,
}

/// All destination owners met.
#[derive(Debug)]
pub(super) struct Tenants {
    by_name: Capped<Arc<str>, Known>,
    by_address: Capped<IpAddr, Known>,
    by_key: Capped<Arc<str>, TenantId>,
    held: Capped<TenantId, Tenant>,
    next: u32,
}

impl Tenants {
    pub(super) fn new() -> Self {
        Self::within(MAX_TENANTS)
    }

    fn within(tenants: usize) -> Self {
        Self {
            by_name: Capped::new(Budget::new("tenants.by_name", MAX_NAMES, 96)),
            by_address: Capped::new(Budget::new("tenants.by_address", MAX_NAMES, 64)),
            by_key: Capped::new(Budget::new("tenants.by_key", tenants, 32)),
            held: Capped::new(Budget::new("tenants.held", tenants, 128)),
            next: 0,
        }
    }

    /// The owner behind a name, or behind an address without one.
    pub(super) fn of(&mut self, intel: &Intel, name: Option<&Arc<str>>, ip: IpAddr) -> Known {
        let known = match name {
            Some(name) => self.by_name.get_mut(&**name),
            None => self.by_address.get_mut(&ip),
        };
        // What is met is not forgotten, and what was forgotten is met anew: a name may be held longer than its owner.
        if let Some(known) = known.cloned()
            && self.keep(known.tenant)
        {
            return known;
        }
        let (key, place) = intel.tenant(name.map(|n| &**n), ip);
        let known = Known { tenant: self.id(key), standing: Arc::new(Standing::of(&place)) };
        match name {
            Some(name) => self.by_name.insert(name.clone(), known.clone()).is_some(),
            None => self.by_address.insert(ip, known.clone()).is_some(),
        };
        known
    }

    /// The owner of an address that several names led to: theirs when they have one in common, else nobody's that is known
    /// by name.
    pub(super) fn of_any(&mut self, intel: &Intel, names: &[Arc<str>], ip: IpAddr) -> Known {
        let mut owners: Vec<Known> = names.iter().map(|name| self.of(intel, Some(name), ip)).collect();
        owners.dedup_by_key(|known| known.tenant);
        match owners.pop() {
            Some(only) if owners.is_empty() => only,
            _ => self.of(intel, None, ip),
        }
    }

    /// The tables about the outside are others now: owners are asked for again, under the ids they have.
    pub(super) fn forget_places(&mut self) {
        self.by_name.clear();
        self.by_address.clear();
    }

    /// The owner of a name met before, or the owner so called.
    pub(super) fn named(&self, name: &str) -> Option<TenantId> {
        self.living(self.by_name.get(name)).or_else(|| self.by_key.get(name).copied())
    }

    /// The owner of a nameless address met before.
    pub(super) fn at(&self, ip: IpAddr) -> Option<TenantId> {
        self.living(self.by_address.get(&ip))
    }

    /// Whose a name or address is, when its owner is held still.
    fn living(&self, known: Option<&Known>) -> Option<TenantId> {
        known.map(|known| known.tenant).filter(|id| self.held.get(id).is_some())
    }

    pub(super) fn get(&self, id: TenantId) -> Option<&Tenant> {
        self.held.get(&id)
    }

    /// Counts as touched; whether it is held.
    pub(super) fn keep(&mut self, id: TenantId) -> bool {
        let Some(tenant) = self.held.get_mut(&id) else { return false };
        self.by_key.get_mut(&tenant.key);
        true
    }

    /// Counts `host` among the users.
    pub(super) fn used(&mut self, id: TenantId, host: HostId, ts: Timestamp) {
        if let Some(tenant) = self.held.get_mut(&id) {
            if tenant.users.len() < MAX_USERS {
                tenant.users.push((host, ts));
            } else {
                tenant.more = tenant.more.saturating_add(1);
            }
        }
    }

    /// Takes `host` back out: its contact turned out to be with somebody else.
    pub(super) fn unused(&mut self, id: TenantId, host: HostId) {
        if let Some(tenant) = self.held.get_mut(&id) {
            tenant.users.retain(|(user, _)| *user != host);
        }
    }

    pub(super) fn tables(&self) -> [Table; 4] {
        [self.by_name.table(), self.by_address.table(), self.by_key.table(), self.held.table()]
    }

    /// All owners, the one not met for longest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (TenantId, &Tenant)> {
        self.held.iter().map(|(id, tenant)| (*id, tenant))
    }

    /// The id that is given next.
    pub(super) const fn next_id(&self) -> u32 {
        self.next
    }

    /// Ids below this are given no more.
    pub(super) fn resume_at(&mut self, next: u32) {
        self.next = self.next.max(next);
    }

    /// Takes an owner in under the id it had.
    pub(super) fn restore(&mut self, id: TenantId, tenant: Tenant) {
        self.by_key.insert(tenant.key.clone(), id);
        self.held.insert(id, tenant);
        self.resume_at(id.0.saturating_add(1));
    }

    fn id(&mut self, key: Arc<str>) -> TenantId {
        if let Some(id) = self.by_key.get(&*key).copied()
            && self.keep(id)
        {
            return id;
        }
        let id = TenantId(self.next);
        self.next = self.next.wrapping_add(1);
        self.by_key.insert(key.clone(), id);
        self.held.insert(id, Tenant { key, users: Vec::new(), more: 0 });
        id
    }
}

/// Names and addresses whose owner is remembered; a miss costs a look-up in the intelligence tables.
const MAX_NAMES: usize = 500_000;
/// Owners held, some 300 bytes each with their users and key: a scan of the outside meets millions, a site in a day
/// some ten thousand, 4,000 simulated hosts 150,000 in three days, 100,000 two million in a week (detection.md §2.1 has
/// room for as many). The one not met for longest makes room: 300,000 lasted such a fleet twenty hours.
const MAX_TENANTS: usize = 1_000_000;
/// Users of one owner that are named; beyond that they are counted. A destination of more is not rare anywhere.
const MAX_USERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_that_is_met_stays_and_one_that_is_not_is_met_anew() {
        let (intel, mut tenants) = (Intel::shipped(), Tenants::within(2));
        let mut met = |name: &str| tenants.of(&intel, Some(&Arc::from(name)), IpAddr::from([198, 51, 100, 7])).tenant;
        let [a, b] = ["www.a.example", "b.example"].map(&mut met);
        for (name, expected, what) in [
            ("www.a.example", a, "held by its name"),
            ("c.example", TenantId(2), "b makes room"),
            ("api.a.example", a, "held by its owner's key"),
            ("b.example", TenantId(3), "its name is held still, it is not: c makes room"),
            ("www.a.example", a, "was met before that"),
            ("b.example", TenantId(3), "is held now"),
        ] {
            assert_eq!(met(name), expected, "{name}: {what}");
        }
        assert_eq!(tenants.named("b.example"), Some(TenantId(3)));
        assert_eq!(tenants.get(b).map(|tenant| &*tenant.key), None);
        assert_eq!(tenants.get(a).map(|tenant| &*tenant.key), Some("a.example"));
    }
}
