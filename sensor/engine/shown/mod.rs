//! What the analysis shows to readers outside its thread: counters once a second of event time, rows once a step.
//!
//! It watches what detectors watch, keeps sums and what was touched, and publishes into `api::Shared` and into
//! [`Counters`]. It decides nothing: with it or without it the same is found and told.

mod alerts;
mod rows;
mod tally;

pub(crate) use tally::Counters;

use crate::alert::{Alert, Unseen};
use crate::api::{AlertEntry, FindingEntry, Published, Shared};
use crate::base::{Budget, Capped, Table, Timestamp};
use crate::detect::Finding;
use crate::event::Observation;
use crate::output::metrics::{Component, RoleGroup};
use crate::profile::{Activity, HostId, HostRole, Profiles, TenantId};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where the API and a scrape find what is published.
#[derive(Clone)]
pub(crate) struct Windows {
    pub(crate) shared: Arc<Shared>,
    pub(crate) counters: Arc<Published<Counters>>,
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Windows")
    }
}

/// Sums and rows in the making.
#[derive(Debug)]
pub(crate) struct Shown {
    windows: Windows,
    counters: Counters,
    /// Event time of the next publication of counters.
    next: Timestamp,
    /// Ties held over all hosts.
    held_ties: usize,
    kept: Kept,
}

/// The tables.
#[derive(Debug)]
struct Kept {
    alerts: Capped<Box<str>, Arc<AlertEntry>>,
    findings: Capped<Box<str>, Arc<FindingEntry>>,
    /// Hosts and destinations something happened to since the last step, with what they moved.
    hosts: Capped<HostId, Moved>,
    ties: Capped<(HostId, TenantId), Moved>,
    /// The number of the host that has an address.
    by_ip: Capped<IpAddr, u32>,
}

impl Kept {
    fn new() -> Self {
        Self {
            alerts: Capped::new(Budget::new("shown.alerts", MAX_ALERTS, 4_000)),
            findings: Capped::new(Budget::new("shown.findings", MAX_FINDINGS, 2_500)),
            hosts: Capped::new(Budget::new("shown.hosts", MAX_TOUCHED, 0)),
            ties: Capped::new(Budget::new("shown.ties", MAX_TOUCHED, 0)),
            by_ip: Capped::new(Budget::new("shown.by_ip", MAX_TOUCHED, 0)),
        }
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.alerts.table(), self.findings.table(), self.hosts.table(), self.ties.table(), self.by_ip.table()]
    }
}

/// The tables, empty: for the list of limits.
pub(crate) fn shown_tables() -> Vec<Table> {
    Kept::new().tables()
}

/// Whether something was told before under the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    First,
    Again,
}

impl Telling {
    fn of<T>(known: Option<&T>) -> Self {
        if known.is_some() { Self::Again } else { Self::First }
    }
}

/// Payload bytes and flows between the site and the outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    out: u64,
    into: u64,
    flows: u64,
}

impl Moved {
    fn add(&mut self, out: u64, into: u64) {
        self.out = self.out.saturating_add(out);
        self.into = self.into.saturating_add(into);
        self.flows = self.flows.saturating_add(1);
    }
}

impl Shown {
    /// Publishes into `windows`; `detectors` are stems of rules in the order of the metrics' labels.
    pub(crate) fn new(windows: Windows, detectors: &[Box<str>]) -> Self {
        Self { windows, counters: Counters::new(detectors), next: Timestamp::MIN, held_ties: 0, kept: Kept::new() }
    }

    /// Takes in an activity.
    pub(crate) fn observe(&mut self, activity: &Activity, usual: &Profiles) {
        self.counters.observe(activity, usual);
        match activity {
            Activity::Contact(contact) => {
                self.kept.hosts.entry(contact.host, Moved::default);
                self.kept.ties.entry((contact.host, contact.tenant), Moved::default);
            }
            Activity::Touch(touch) => {
                self.kept.hosts.entry(touch.orig, Moved::default);
                self.kept.hosts.entry(touch.resp, Moved::default);
            }
            Activity::Closed(closed) => {
                let (out, into) = tally::ways(closed);
                self.kept.hosts.entry(closed.host, Moved::default).add(out, into);
                if let Some(tenant) = closed.tenant {
                    self.kept.ties.entry((closed.host, tenant), Moved::default).add(out, into);
                }
            }
            _ => {}
        }
    }

    /// An observation was taken in, and event time is `now`: counters are published once a second.
    pub(crate) fn tick(&mut self, seen: &Observation, now: Timestamp) {
        self.counters.flow(seen);
        if now >= self.next {
            self.next = Timestamp::from_secs(now.secs().saturating_add(1));
            self.windows.counters.set(self.counters.clone());
        }
    }

    /// All detectors were asked once, and it took so long.
    pub(crate) fn evaluated(&mut self, took: Duration) {
        self.counters.evaluation.record(took);
    }

    /// What detectors found since the last step.
    pub(crate) fn found(&mut self, findings: &[Finding], usual: &Profiles) {
        if findings.is_empty() {
            return;
        }
        let mut unseen = Unseen::new(usual);
        for finding in findings {
            let telling = Telling::of(self.kept.findings.get(&*finding.id));
            self.counters.found(finding, telling);
            self.kept.findings.insert(finding.id.clone(), Arc::new(alerts::finding(&unseen.state(finding.clone()))));
        }
    }

    /// A step ended at `now`: alerts that are new or changed, everything touched, and what tables hold, are shown.
    pub(crate) fn step(&mut self, now: Timestamp, fresh: &[Alert], usual: &Profiles, held: &[(Component, Table)]) {
        self.update_rows(usual);
        for alert in fresh {
            let telling = Telling::of(self.kept.alerts.get(&*alert.finding.id));
            self.counters.told(alert, telling, now);
            let entry = self.entry(alert, usual);
            self.kept.alerts.insert(alert.finding.id.clone(), Arc::new(entry));
        }
        if !fresh.is_empty() {
            let mut all: Vec<_> = self.kept.alerts.iter().map(|(_, alert)| Arc::clone(alert)).collect();
            all.sort_by(|a, b| b.row.time.cmp(&a.row.time).then_with(|| a.row.id.cmp(&b.row.id)));
            self.windows.shared.alerts.set(all);
        }
        let mut all: Vec<_> = self.kept.findings.iter().map(|(_, finding)| Arc::clone(finding)).collect();
        all.sort_by(|a, b| b.row.time.cmp(&a.row.time).then_with(|| a.row.id.cmp(&b.row.id)));
        self.windows.shared.findings.set(all);
        self.counters.take_stock(now, usual);
        self.counters.measure(held, &self.kept.tables());
        self.windows.counters.set(self.counters.clone());
    }
}

/// The group a host's roles put it in, as metrics have it: who manages others is that before all else.
fn group(roles: &[HostRole]) -> RoleGroup {
    let of = |role: &HostRole| match role {
        HostRole::AntivirusManagement
        | HostRole::SoftwareDistribution
        | HostRole::UpdateServer
        | HostRole::ConfigurationManagement
        | HostRole::Inventory
        | HostRole::RemoteManagement
        | HostRole::DomainController
        | HostRole::Backup
        | HostRole::VulnerabilityScanner
        | HostRole::JumpHost
        | HostRole::Virtualisation => RoleGroup::MgmtServer,
        HostRole::Dns
        | HostRole::Dhcp
        | HostRole::Ntp
        | HostRole::FileServer
        | HostRole::Mail
        | HostRole::Proxy
        | HostRole::Server => RoleGroup::Server,
        HostRole::Printer => RoleGroup::Iot,
        HostRole::Workstation => RoleGroup::Workstation,
    };
    let mut groups = roles.iter().map(of);
    let first = groups.next().unwrap_or(RoleGroup::Unknown);
    if groups.any(|group| group == RoleGroup::MgmtServer) { RoleGroup::MgmtServer } else { first }
}

/// As many as the book of alerts keeps.
const MAX_ALERTS: usize = 20_000;
/// The latest findings, some two kilobytes each.
const MAX_FINDINGS: usize = 10_000;
/// Hosts and ties that change between two steps; what is more is shown a step later.
const MAX_TOUCHED: usize = 200_000;
