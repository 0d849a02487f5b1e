//! An alert or finding as the API shows it: a flat row, its record, and who is connected to whom.

use super::{Shown, group};
use crate::alert::{Alert, Stated, Status};
use crate::api::{AlertEntry, AlertRow, Edge, FindingEntry, FindingRow, HostEntry, Node, TieRow};
use crate::detect::{Entity, Finding, Role, Severity};
use crate::intel::destination_class_name;
use crate::output::metrics::{Labelled as _, RoleGroup};
use crate::output::{alert_line, finding_line};
use crate::profile::Profiles;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

impl Shown {
    /// The alert with everything shown of it.
    pub(super) fn entry(&self, alert: &Alert, usual: &Profiles) -> AlertEntry {
        let finding = &alert.finding;
        let first = |role| finding.entities.iter().find(move |entity: &&Entity| entity.role == role);
        let src = first(Role::StagingServer).or_else(|| first(Role::AffectedHost));
        let dst = first(Role::Destination);
        let src_ip = src.and_then(|entity| entity.ip);
        let (nodes, edges) = Drawing::of(self, alert);
        let scope = alert.scope.as_ref();
        let sent = match scope {
            Some(scope) => Some(scope.hosts.iter().fold(0_u64, |sum, host| sum.saturating_add(host.bytes_out))),
            None => edges.iter().filter_map(|edge| edge.main_stat).reduce(u64::saturating_add),
        };
        let row = AlertRow {
            time: finding.time,
            id: finding.id.clone(),
            severity: finding.severity.name(),
            detector: finding.detector,
            kind: alert.kind.name(),
            tier: alert.tier,
            src: src_ip,
            src_role: src_ip.map_or(RoleGroup::Unknown, |ip| group(usual.roles_at(ip))).name(),
            src_name: src.and_then(|entity| entity.name.clone()),
            dst: dst.and_then(|entity| entity.ip),
            dst_name: dst.and_then(|entity| entity.name.clone()),
            destination_class: dst.map(|entity| {
                destination_class_name(entity.ip.and_then(|ip| usual.class_of(entity.name.as_deref(), ip)))
            }),
            bytes_out: sent,
            score: finding.score,
            status: alert.status.name(),
            title: finding.title.to_string().into(),
            summary: finding.explanation.to_string().into(),
            first_seen: finding.first_seen,
            last_seen: finding.last_seen,
            evidence_url: format!("/api/v1/alerts/{}", finding.id),
        };
        let mut about = about(finding);
        let mut advice = Vec::new();
        if let Some(scope) = scope {
            about.extend(scope.hosts.iter().map(|host| host.ip.to_string().into()));
            about.extend(scope.hosts.iter().filter_map(|host| host.name.clone()));
            for to in &scope.destinations {
                let names = std::iter::once(to.value.clone());
                let ips = to.ips.iter().map(|ip| ip.to_string().into());
                advice.extend(names.chain(ips).map(|value| (value, to.advice.name())));
            }
        }
        about.sort_unstable();
        about.dedup();
        let level = Severity::ALL.iter().position(|known| *known == finding.severity).unwrap_or_default();
        AlertEntry {
            row,
            level: u8::try_from(level).unwrap_or_default(),
            about,
            record: alert_line(alert).into(),
            nodes,
            edges,
            advice,
        }
    }

    /// The host that has an address, as it is shown.
    fn host_at(&self, ip: IpAddr) -> Option<Arc<HostEntry>> {
        let id = self.kept.by_ip.get(&ip)?;
        self.windows.shared.hosts.get(id).map(|entry| Arc::clone(entry.value()))
    }
}

/// A finding with everything shown of it.
pub(super) fn finding(stated: &Stated) -> FindingEntry {
    let finding = &stated.finding;
    let first = |role| finding.entities.iter().find(move |entity: &&Entity| entity.role == role);
    let src = first(Role::StagingServer).or_else(|| first(Role::AffectedHost));
    let dst = first(Role::Destination).or_else(|| first(Role::Resolver));
    let row = FindingRow {
        time: finding.time,
        id: finding.id.clone(),
        severity: finding.severity.name(),
        detector: finding.detector,
        src: src.and_then(|entity| entity.ip),
        src_name: src.and_then(|entity| entity.name.clone()),
        dst: dst.and_then(|entity| entity.ip),
        dst_name: dst.and_then(|entity| entity.name.clone()),
        score: finding.score,
        p: finding.p,
        title: finding.title.to_string().into(),
        summary: finding.explanation.to_string().into(),
        first_seen: finding.first_seen,
        last_seen: finding.last_seen,
    };
    FindingEntry { row, about: about(finding), record: finding_line(stated).into() }
}

/// Addresses and names of everybody in a finding.
fn about(finding: &Finding) -> Vec<Box<str>> {
    let of = |entity: &Entity| [entity.ip.map(|ip| ip.to_string().into()), entity.name.clone()];
    finding.entities.iter().flat_map(of).flatten().collect()
}

/// The graph of one alert in the making.
struct Drawing<'a> {
    shown: &'a Shown,
    alert: &'a Alert,
    nodes: BTreeMap<Box<str>, Node>,
    edges: BTreeMap<Box<str>, Edge>,
}

/// A party of the story.
struct Party {
    role: Role,
    ip: Option<IpAddr>,
    name: Option<Box<str>>,
}

impl Party {
    /// Hosts are told apart by address, destinations by name.
    fn id(&self) -> Option<Box<str>> {
        let ip = self.ip.map(|ip| ip.to_string().into());
        match self.role {
            Role::Destination | Role::Resolver => self.name.clone().or(ip),
            Role::AffectedHost | Role::StagingServer => ip.or_else(|| self.name.clone()),
        }
    }
}

impl<'a> Drawing<'a> {
    fn of(shown: &'a Shown, alert: &'a Alert) -> (Vec<Node>, Vec<Edge>) {
        let mut drawing = Self { shown, alert, nodes: BTreeMap::new(), edges: BTreeMap::new() };
        if alert.status != Status::Absorbed {
            drawing.draw();
        }
        (drawing.nodes.into_values().collect(), drawing.edges.into_values().collect())
    }

    fn draw(&mut self) {
        let (mut servers, mut hosts, mut destinations) = (Vec::new(), Vec::new(), Vec::new());
        for entity in &self.alert.finding.entities {
            let party = Party { role: entity.role, ip: entity.ip, name: entity.name.clone() };
            match entity.role {
                Role::StagingServer => servers.push(party),
                Role::AffectedHost => hosts.push(party),
                Role::Destination | Role::Resolver => destinations.push((party, Vec::new())),
            }
        }
        if let Some(scope) = &self.alert.scope {
            let known = |parties: &[Party], ip| parties.iter().any(|party| party.ip == Some(ip));
            for host in scope.hosts.iter().filter(|host| host.tier != crate::campaign::Tier::Exposed) {
                if !known(&hosts, host.ip) {
                    hosts.push(Party { role: Role::AffectedHost, ip: Some(host.ip), name: host.name.clone() });
                }
            }
            destinations.clear();
            for to in &scope.destinations {
                let name = Some(to.value.clone());
                let party = Party { role: Role::Destination, ip: to.ips.first().copied(), name };
                destinations.push((party, to.ips.clone()));
            }
        }
        hosts.truncate(MAX_PARTIES);
        destinations.truncate(MAX_PARTIES);
        for server in &servers {
            self.node(server, 0);
            for host in &hosts {
                self.edge(server, host, None, "acted on");
            }
        }
        for host in &hosts {
            self.node(host, 0);
            let entry = host.ip.and_then(|ip| self.shown.host_at(ip));
            for (to, ips) in &destinations {
                let tie = entry.as_ref().and_then(|entry| entry.ties.iter().find(|tie| is_to(tie, to, ips)));
                // In a campaign a host went to some of the destinations: an edge needs a tie that shows it.
                if tie.is_some() || self.alert.scope.is_none() {
                    let sent = tie.map(|tie| tie.bytes_out);
                    self.node(to, sent.unwrap_or_default());
                    self.node(host, sent.unwrap_or_default());
                    self.edge(host, to, sent, "sent to");
                }
            }
        }
        for (to, _) in &destinations {
            self.node(to, 0);
        }
    }

    fn node(&mut self, party: &Party, bytes: u64) {
        let Some(id) = party.id() else { return };
        let ip = party.ip.map_or_else(String::new, |ip| ip.to_string());
        let share = |role| if party.role == role { 1.0 } else { 0.0 };
        let (alert, finding) = (self.alert, &self.alert.finding);
        let node = self.nodes.entry(id.clone()).or_insert_with(|| Node {
            title: party.name.clone().unwrap_or_else(|| id.clone()),
            id,
            sub_title: ip.into(),
            main_stat: alert.kind.name().replace('_', " ").into(),
            secondary_stat: 0,
            affected: share(Role::AffectedHost),
            server: share(Role::StagingServer),
            destination: share(Role::Destination) + share(Role::Resolver),
            role: party.role.name(),
            severity: finding.severity.name(),
        });
        node.secondary_stat = node.secondary_stat.saturating_add(bytes);
    }

    fn edge(&mut self, from: &Party, to: &Party, bytes: Option<u64>, word: &'static str) {
        let (Some(source), Some(target)) = (from.id(), to.id()) else { return };
        if source == target {
            return;
        }
        let id: Box<str> = format!("{source} > {target}").into();
        let edge = Edge { id: id.clone(), source, target, main_stat: bytes, secondary_stat: word };
        self.edges.insert(id, edge);
    }
}

/// Whether a tie leads to a destination of the story.
fn is_to(tie: &TieRow, to: &Party, ips: &[IpAddr]) -> bool {
    let named = to.name.as_deref().is_some_and(|name| {
        tie.name.as_deref() == Some(name)
            || *tie.destination == *name
            || name.ends_with(&format!(".{}", tie.destination))
    });
    named || to.ip.is_some_and(|ip| tie.ips.contains(&ip)) || ips.iter().any(|ip| tie.ips.contains(ip))
}

/// Hosts and destinations drawn of one alert: the panel shows 1,500 nodes.
const MAX_PARTIES: usize = 400;
