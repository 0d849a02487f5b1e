//! What two sensors of one site know of its inside, as one: under the ids of the first.
//!
//! Counts add up, the latest moments stay, cases stand in the order of time. What is open at either sensor (chains,
//! stories) is open in the joint baseline (`merge_open`), and weighed again at its first step.

use super::case::Case;
use super::cluster::Cluster;
use super::hops::{Machine, Pair};
use super::hubs::Hub;
use super::merge_open::Ids;
use super::ongoing::{SavedChains, SavedCluster};
use super::pairs::HostLog;
use super::sessions::Session;
use super::snapshot::Watch;
use crate::base::record::halves;
use crate::base::{BadRecord, Kind, Record};
use crate::profile::{HostId, Renamed, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// The records of this stage of both; `theirs` get the ids of the joint baseline.
pub(crate) fn merged(ours: &[Record], theirs: &[Record], ids: &Renamed) -> Result<Vec<Record>, BadRecord> {
    let mut all = Known::read(ours)?;
    all.join(Known::read(theirs)?.renamed(ids));
    Ok(all.records())
}

/// Everything this stage remembers.
#[derive(Default)]
struct Known {
    watch: Watch,
    logs: BTreeMap<HostId, HostLog>,
    hubs: BTreeMap<HostId, Hub>,
    cases: Vec<Case>,
    passing: Vec<Case>,
    unusual: BTreeMap<(HostId, TenantId), bool>,
    sessions: BTreeMap<HostId, Vec<Session>>,
    hops: BTreeMap<(HostId, HostId), Pair>,
    machines: BTreeMap<HostId, Machine>,
    chains: BTreeMap<HostId, SavedChains>,
    clusters: BTreeMap<Cluster, SavedCluster>,
}

impl Known {
    fn read(records: &[Record]) -> Result<Self, BadRecord> {
        let mut all = Self::default();
        for record in records {
            let (a, b) = record.key;
            match record.kind {
                Kind::Watch => all.watch = record.read()?,
                Kind::Log => drop(all.logs.insert(HostId(a), record.read()?)),
                Kind::Hub => drop(all.hubs.insert(HostId(a), record.read()?)),
                Kind::Case => all.cases.push(record.read()?),
                Kind::Passing => all.passing.push(record.read()?),
                Kind::Unusual => drop(all.unusual.insert((HostId(a), TenantId(b)), record.read()?)),
                Kind::Session => drop(all.sessions.insert(HostId(a), record.read()?)),
                Kind::Hop => drop(all.hops.insert((HostId(a), HostId(b)), record.read()?)),
                Kind::Machine => drop(all.machines.insert(HostId(a), record.read()?)),
                Kind::Chain => drop(all.chains.insert(HostId(a), record.read()?)),
                Kind::Cluster => {
                    let saved: SavedCluster = record.read()?;
                    all.clusters.insert(saved.cluster.clone(), saved);
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// Under other ids; who has none there is left out.
    fn renamed(self, ids: &Renamed) -> Self {
        let ids = Ids(ids);
        let (host, owner) = (|id| ids.host(id), |id| ids.owner(id));
        Self {
            watch: Watch {
                hosts: self.watch.hosts.iter().filter_map(|id| host(*id)).collect(),
                owners: self.watch.owners.iter().filter_map(|id| owner(*id)).collect(),
                servers: self.watch.servers.iter().filter_map(|id| host(*id)).collect(),
                ..self.watch
            },
            logs: self.logs.into_iter().filter_map(|(id, log)| Some((host(id)?, log.renamed(host)))).collect(),
            hubs: self.hubs.into_iter().filter_map(|(id, hub)| Some((host(id)?, hub))).collect(),
            cases: self.cases.into_iter().filter_map(|case| ids.case(case)).collect(),
            passing: self.passing.into_iter().filter_map(|case| ids.case(case)).collect(),
            unusual: self.unusual.into_iter().filter_map(|((h, o), odd)| Some(((host(h)?, owner(o)?), odd))).collect(),
            sessions: self
                .sessions
                .into_iter()
                .filter_map(|(on, all)| {
                    Some((host(on)?, all.into_iter().filter_map(|session| ids.session(session)).collect()))
                })
                .collect(),
            hops: self.hops.into_iter().filter_map(|((by, on), pair)| Some(((host(by)?, host(on)?), pair))).collect(),
            machines: self
                .machines
                .into_iter()
                .filter_map(|(on, known)| Some((host(on)?, known.renamed(host))))
                .collect(),
            chains: self.chains.into_iter().filter_map(|(on, all)| Some((host(on)?, ids.chains(all)))).collect(),
            clusters: self
                .clusters
                .into_values()
                .filter_map(|saved| ids.cluster(saved))
                .map(|saved| (saved.cluster.clone(), saved))
                .collect(),
        }
    }

    fn join(&mut self, other: Self) {
        self.watch.join(other.watch);
        let mut met: BTreeSet<HostId> = BTreeSet::new();
        for (id, log) in other.logs {
            met.extend(log.peers.iter().map(|peer| peer.host));
            match self.logs.get_mut(&id) {
                Some(own) => own.join(log),
                None => drop(self.logs.insert(id, log)),
            }
        }
        for (id, hub) in other.hubs {
            match self.hubs.get_mut(&id) {
                Some(own) => own.join(hub),
                None => drop(self.hubs.insert(id, hub)),
            }
        }
        // Clients are told by ids, so they are counted anew.
        let mut clients: BTreeMap<HostId, Vec<HostId>> = BTreeMap::new();
        for (id, log) in &self.logs {
            log.peers.iter().for_each(|peer| clients.entry(peer.host).or_default().push(*id));
        }
        for id in met {
            if let Some(hub) = self.hubs.get_mut(&id) {
                hub.recount(clients.get(&id).map_or(&[], Vec::as_slice));
            }
        }
        self.cases.extend(other.cases);
        self.passing.extend(other.passing);
        for cases in [&mut self.cases, &mut self.passing] {
            cases.sort_by_key(|case| (case.ts, case.host, case.tenant));
            // To both it was the first contact; to both together only the earlier one is.
            let mut met = BTreeSet::new();
            cases.retain(|case| met.insert((case.host, case.tenant)));
        }
        for (pair, odd) in other.unusual {
            *self.unusual.entry(pair).or_default() |= odd;
        }
        for (on, sessions) in other.sessions {
            let own = self.sessions.entry(on).or_default();
            own.extend(
                sessions
                    .into_iter()
                    .filter(|s| !own.iter().any(|known| known.by == s.by && known.first == s.first))
                    .collect::<Vec<_>>(),
            );
            own.sort_by_key(|session| (session.first, session.by));
            own.drain(..own.len().saturating_sub(super::sessions::MAX_SESSIONS));
        }
        for (pair, when) in other.hops {
            let own = self.hops.entry(pair).or_insert(when);
            (own.first, own.last) = (own.first.min(when.first), own.last.max(when.last));
        }
        for (on, machine) in other.machines {
            self.machines.entry(on).or_default().join(machine);
        }
        // What is open at the other one is weighed with what is known here.
        self.watch.hosts.extend(other.chains.keys());
        self.watch.owners.extend(other.clusters.keys().filter_map(Cluster::tenant));
        for (on, chains) in other.chains {
            match self.chains.get_mut(&on) {
                Some(own) => own.join(chains),
                None => drop(self.chains.insert(on, chains)),
            }
        }
        for (cluster, saved) in other.clusters {
            match self.clusters.get_mut(&cluster) {
                Some(own) => own.join(saved),
                None => drop(self.clusters.insert(cluster, saved)),
            }
        }
    }

    fn records(mut self) -> Vec<Record> {
        // Who came to be known last is known by now.
        self.watch.unsettled = u64::try_from(self.cases.len()).unwrap_or(u64::MAX);
        let mut all = vec![Record::new(Kind::Watch, (0, 0), &self.watch)];
        all.extend(self.logs.iter().map(|(id, log)| Record::new(Kind::Log, (id.0, 0), log)));
        all.extend(self.hubs.iter().map(|(id, hub)| Record::new(Kind::Hub, (id.0, 0), hub)));
        all.extend((0..).zip(&self.cases).map(|(n, case)| Record::new(Kind::Case, halves(n), case)));
        all.extend((0..).zip(&self.passing).map(|(n, case)| Record::new(Kind::Passing, halves(n), case)));
        all.extend(self.unusual.iter().map(|((h, o), odd)| Record::new(Kind::Unusual, (h.0, o.0), odd)));
        all.extend(self.sessions.iter().map(|(on, all)| Record::new(Kind::Session, (on.0, 0), all)));
        all.extend(self.hops.iter().map(|((by, on), pair)| Record::new(Kind::Hop, (by.0, on.0), pair)));
        all.extend(self.machines.iter().map(|(on, known)| Record::new(Kind::Machine, (on.0, 0), known)));
        all.extend(self.chains.iter().map(|(on, chains)| Record::new(Kind::Chain, (on.0, 0), chains)));
        all.extend(self.clusters.iter().map(|(cluster, saved)| Record::new(Kind::Cluster, cluster.key(), saved)));
        all
    }
}

impl Watch {
    fn join(&mut self, other: Self) {
        self.bins += other.bins;
        self.boots += other.boots;
        self.active = self.active.max(other.active);
        self.began = [self.began, other.began].into_iter().filter(|began| *began > 0).min().unwrap_or(0);
        self.newcomers += other.newcomers;
        self.acted = self.acted.into_iter().chain(other.acted).min();
        self.hosts.extend(other.hosts);
        self.owners.extend(other.owners);
    }
}
