//! Whom a host is held against, and how far it is known what is usual.

use super::activity::Activity;
use super::days::Tail;
use super::habits::{Group, Meeting, Rarity};
use super::hosts::{HostId, Hosts};
use super::maturity::{Learnt, Maturity};
use super::saved::SavedApproval;
use super::stamp::stamp;
use super::tenants::TenantId;
use super::volume::Feature;
use super::{HostRole, Profiles};
use crate::base::Timestamp;
use crate::event::FlowRecord;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

impl Profiles {
    /// The site's local day, in days since the epoch.
    pub(crate) fn day(&self, ts: Timestamp) -> i32 {
        local_day(ts, self.declared.utc_offset_s)
    }

    /// The group whose habits a host's are held against: its role, else its network.
    pub(crate) fn group_of(&self, id: HostId) -> u32 {
        group(&self.hosts, id).0
    }

    /// The site's local hour, in hours since the epoch.
    pub(crate) fn local_hour(&self, ts: Timestamp) -> i64 {
        self.hour(ts)
    }

    /// The class of peers a host is held against: servers against servers, everybody else against everybody else.
    pub(crate) fn peers(&self, id: HostId) -> u32 {
        u32::from(is_server(&self.hosts, id))
    }

    /// Hosts that said something in the day before the newest moment, by class of peers.
    pub(crate) fn alive_by_peers(&self) -> BTreeMap<u32, u32> {
        let mut alive: BTreeMap<u32, u32> = BTreeMap::new();
        let now = self.counts.span.map_or(Timestamp::MIN, |(_, last)| last);
        for id in self.hosts.alive_since(now.minus(DAY)) {
            let count = alive.entry(self.peers(id)).or_default();
            *count = count.saturating_add(1);
        }
        alive
    }

    /// How far it is known what is usual for a host.
    pub(crate) fn maturity(&self, id: HostId, now: Timestamp) -> Maturity {
        self.habits.maturity(id, now, is_server(&self.hosts, id))
    }

    /// How far it is known what is usual here, as of the beginning of the local day.
    pub(crate) const fn learnt(&self) -> Learnt {
        self.learnt
    }

    /// Counts anew how far it is known what is usual here.
    pub(super) fn take_stock(&mut self, now: Timestamp) {
        self.learnt = self.habits.learnt(now, |id| is_server(&self.hosts, id));
    }

    /// An open incident names a host and a destination, by name or address: what they have to do with each other is not
    /// learned, nor are the host's days around it.
    pub(crate) fn hold(&mut self, host: HostId, name: Option<&str>, ips: &[IpAddr], now: Timestamp) {
        let day = self.day(now);
        let named = name.and_then(|name| self.tenants.named(name));
        let host_key = self.key(host).unwrap_or_default();
        let approved = |tenant: TenantId| {
            let key = self.tenants.get(tenant).map_or("", |owner| &*owner.key);
            let names = [key, name.unwrap_or(key)];
            let covers = |approval: &SavedApproval| approval.covers(&host_key, &names);
            self.approvals.iter().any(|approval| covers(approval) && now.utc_day() <= approval.expires)
        };
        let known = named.into_iter().chain(ips.iter().filter_map(|ip| self.tenants.at(*ip)));
        let open: Vec<TenantId> = known.filter(|tenant| !approved(*tenant)).collect();
        for tenant in open {
            if self.ties.get((host, tenant)).is_some() {
                self.habits.quarantine.hold((host, tenant), now);
                self.touch(host, Some(tenant));
                self.days.held.insert(host, day);
            }
        }
    }

    /// Whether so many use an owner that nobody may ever ask who they were (detection.md §8).
    pub(super) fn is_frequented(&self, used_by: u32) -> bool {
        used_by > RARE_HOSTS.max(self.fleet() / 100)
    }

    /// Who has an address at a moment, when it is a machine of the site.
    pub(crate) fn holder(&self, ip: IpAddr, ts: Timestamp) -> Option<HostId> {
        self.hosts.identities().holder_at(ip, ts)
    }

    /// Time goes on: what has waited long enough is learned, and what rose slowly is told.
    pub(super) fn turn(&mut self, now: Timestamp, out: &mut Vec<Activity>) {
        let (hosts, offset) = (&self.hosts, self.declared.utc_offset_s);
        let released = self.habits.release_due(now, |ts| local_day(ts, offset), |id| group(hosts, id));
        for (host, tenant) in released {
            self.touch(host, Some(tenant));
        }
        let day = local_day(now, offset);
        if self.days.day.is_none_or(|(known, _)| known < day) {
            self.take_stock(now);
            if let Some(touched) = &mut self.touched {
                touched.all = true;
            }
        }
        let drifts = self.days.turn(day);
        out.extend(drifts.into_iter().map(|drift| Activity::Drift(now, drift)));
    }

    /// The chance of a day on which a host shows at least this much; `None` before the fleet is known.
    pub(crate) fn tail(&self, host: HostId, feature: Feature, value: u64, now: Timestamp) -> Option<Tail> {
        let (group, hour) = (group(&self.hosts, host), self.hour(now));
        let weight = if self.maturity(host, now) == Maturity::Ready { DAYS_WEIGHT } else { 2.0 * DAYS_WEIGHT };
        self.days.tail(host, group, (feature, self.days.shift(group, hour)), (self.day(now), value), weight)
    }

    /// The most a host sent one destination on an earlier day, bytes.
    pub(crate) fn most_bytes_out(&self, host: HostId) -> u64 {
        self.days.most_bytes_out(host)
    }

    /// A flow to the outside began.
    pub(super) fn went_out(&mut self, host: HostId, ts: Timestamp, first_today: bool, nameless: bool) {
        let (group, hour) = (group(&self.hosts, host), self.hour(ts));
        let what = [(Feature::Connections, true), (Feature::Owners, first_today), (Feature::Unnamed, nameless)];
        let what: Vec<Feature> = what.into_iter().filter(|(_, counts)| *counts).map(|(feature, _)| feature).collect();
        self.days.reach(group, hour);
        self.days.contact(host, group, hour, &what);
    }

    /// A flow to the outside ended; with it the host sent so much to that owner on the day.
    pub(super) fn moved_out(
        &mut self,
        host: HostId,
        record: &FlowRecord,
        (up, down, sent): (u64, u64, u64),
        class: Option<&str>,
    ) {
        let (group, hour) = (group(&self.hosts, host), self.hour(record.last));
        let lasted = record.last.since(record.ts).as_secs();
        let stores = class.is_some_and(|class| STORAGE.contains(&class));
        let amounts = [
            (Feature::BytesOut, up),
            (Feature::BytesIn, down),
            (Feature::MostBytesOut, sent),
            (Feature::StorageBytesOut, if stores { up } else { 0 }),
            (Feature::LongSeconds, if lasted >= LONG_S { lasted } else { 0 }),
        ];
        self.days.moved(host, group, hour, &amounts);
    }

    /// What is known of a host, or of it and an owner, changed.
    pub(super) fn touch(&mut self, host: HostId, tenant: Option<TenantId>) {
        let Some(touched) = &mut self.touched else { return };
        touched.groups.insert(group(&self.hosts, host));
        match tenant {
            Some(tenant) => touched.pair((host, tenant)),
            None => {
                touched.hosts.insert(host);
            }
        }
    }

    /// The site's local hour, in hours since the epoch.
    fn hour(&self, ts: Timestamp) -> i64 {
        ts.secs().saturating_add(self.declared.utc_offset_s.into()).div_euclid(3600)
    }

    /// The day's first meeting of a host with an owner: how unusual it was.
    pub(super) fn meet(&mut self, ts: Timestamp, (host, tenant): (HostId, TenantId), tied: bool) -> Option<Rarity> {
        let hosts = &self.hosts;
        let met = Meeting {
            ts,
            day: local_day(ts, self.declared.utc_offset_s),
            host,
            group: group(hosts, host),
            is_server: is_server(hosts, host),
            tenant,
            tied,
        };
        let owner = self.tenants.get(tenant)?;
        let name = || hosts.get(host).map_or_else(|| host.0.to_string(), |host| host.first_ip.to_string());
        let rarity = self.habits.meet(&met, name, &owner.key);
        // Several machines behind one address have no habits of their own (§6).
        let several = self.shared_by(host).is_some();
        Some(Rarity { p_new: rarity.p_new.filter(|_| !several), ..rarity })
    }

    /// A contact turned out to be with somebody else.
    pub(super) fn take_back(&mut self, host: HostId, tenant: TenantId) {
        self.habits.take_back((host, tenant), group(&self.hosts, host));
    }
}

/// Declared as anything but a person's machine.
fn is_server(hosts: &Hosts, id: HostId) -> bool {
    let person = |role: &HostRole| matches!(role, HostRole::Workstation | HostRole::Printer);
    hosts.roles(id).iter().any(|role| !person(role))
}

/// Hosts of the first role declared, else of the same /24 or /64.
fn group(hosts: &Hosts, id: HostId) -> Group {
    if let Some(role) = hosts.roles(id).first() {
        return Group(ROLES | u32::try_from(*role as usize).unwrap_or(0));
    }
    match hosts.address(id) {
        Some(IpAddr::V4(ip)) => Group(u32::from(ip) >> 8),
        Some(IpAddr::V6(ip)) => {
            let net = ip.segments().into_iter().take(4).map(|part| format!("{part:x}:")).collect::<String>();
            Group(SUBNETS | (u32::try_from(stamp(&net) >> 32).unwrap_or(0) >> 2))
        }
        None => Group(NOWHERE),
    }
}

/// Days since the epoch in the site's time zone.
pub(super) fn local_day(ts: Timestamp, utc_offset_s: i32) -> i32 {
    let local = ts.secs().saturating_add(utc_offset_s.into()).div_euclid(86_400);
    i32::try_from(local).unwrap_or(i32::MAX)
}

const DAY: Duration = Duration::from_hours(24);
/// `detection.md` §2.5: days of the peers' experience added to a host's own.
const DAYS_WEIGHT: f64 = 10.0;
/// Classes of destinations that keep what they are sent.
const STORAGE: &[&str] = &["object-storage", "file-sharing", "paste"];
/// Hosts of which one in a hundred uses it, or so many: a destination that somebody may ask about (`detection.md` §8).
const RARE_HOSTS: u32 = 400;
/// Connections that last so long are long, seconds (`detection.md` §3).
const LONG_S: u64 = 3600;
/// Groups of roles; those of IPv4 subnets are below 2^24, those of IPv6 above 2^30.
const ROLES: u32 = 0x0100_0000;
const SUBNETS: u32 = 0x4000_0000;
const NOWHERE: u32 = 0x0200_0000;
