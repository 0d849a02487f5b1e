//! What this stage remembers between runs: who meets whom inside and how often, cases, sessions, hops.
//!
//! The control side of the common cause test rests on days of contacts, so a run that goes on from a baseline must know
//! them as one without a break does.

use super::case::Case;
use super::hops::{Machine, Pair};
use super::hubs::Hub;
use super::ongoing::Basis;
use super::pairs::HostLog;
use super::sessions::Session;
use super::{Campaigns, Telling};
use crate::base::record::halves;
use crate::base::{BadRecord, Kind, Meeting, Record, Timestamp};
use crate::detect::Beacon;
use crate::profile::{Extent, HostId, Profiles, TenantId};
use serde::{Deserialize, Serialize};

/// What is counted over everybody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Watch {
    pub(super) bins: f64,
    pub(super) boots: f64,
    pub(super) active: (u32, u32, u32),
    pub(super) began: u32,
    pub(super) unsettled: u64,
    pub(super) newcomers: f64,
    pub(super) acted: Option<Timestamp>,
    /// Tests of the last day, by moment.
    pub(super) tests: Vec<(Timestamp, u32)>,
    /// What the next step has to weigh.
    pub(super) hosts: Vec<HostId>,
    pub(super) owners: Vec<TenantId>,
    #[serde(default)]
    pub(super) servers: Vec<HostId>,
}

/// What is held back until all records are read: the least recently active has to be the first that makes room.
#[derive(Debug, Default)]
pub(crate) struct Restoring {
    logs: Vec<(HostId, HostLog)>,
    hubs: Vec<(HostId, Hub)>,
    hops: Vec<((HostId, HostId), Pair)>,
}

impl Campaigns {
    /// From now on it is noted what changes.
    pub(crate) fn keep_track(&mut self) {
        let contacts = &mut self.contacts;
        contacts.unsaved_logs.keep_track();
        contacts.unsaved_hubs.keep_track();
        contacts.unsaved_unusual.keep_track();
        contacts.cases.keep_track();
        self.coupling.unsaved.keep_track();
        self.sessions.unsaved.keep_track();
        self.hops.unsaved.keep_track();
        self.ongoing.keep_track();
    }

    /// Saves what this stage remembers.
    pub(crate) fn save(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        put(Record::new(Kind::Watch, (0, 0), &self.watch()));
        self.save_contacts(extent, put);
        self.save_cases(extent, put);
        self.save_open(extent, put);
        let (sessions, hops) = (self.sessions.unsaved.take(), self.hops.unsaved.take());
        let coupled = self.coupling.unsaved.take();
        let acted = |(by, on): (HostId, HostId), when: &Pair| {
            Meeting { with: by.0, first: when.first, last: when.last, count: 0, bytes: 0 }.record(Kind::Acted, on.0)
        };
        match extent {
            Extent::All => {
                self.sessions.all().for_each(|(on, all)| put(Record::new(Kind::Session, (on.0, 0), all)));
                self.hops.pairs().for_each(|((by, on), when)| put(Record::new(Kind::Hop, (by.0, on.0), when)));
                self.hops.pairs().for_each(|(pair, when)| put(acted(pair, when)));
                let pairs = self.coupling.pairs();
                pairs.for_each(|((by, on), all)| put(Record::new(Kind::Exposed, (by.0, on.0), all)));
                self.hops.machines().for_each(|(on, known)| put(Record::new(Kind::Machine, (on.0, 0), known)));
            }
            Extent::Changed => {
                for (by, on) in coupled {
                    put(entry(Kind::Exposed, (by.0, on.0), self.coupling.pair((by, on))));
                }
                for on in sessions {
                    put(Record::new(Kind::Session, (on.0, 0), &self.sessions.on(on)));
                }
                for (by, on) in hops {
                    put(entry(Kind::Hop, (by.0, on.0), self.hops.pair((by, on))));
                    put(entry(Kind::Machine, (on.0, 0), self.hops.machine(on)));
                    self.hops.pair((by, on)).into_iter().for_each(|when| put(acted((by, on), when)));
                }
            }
        }
    }

    fn save_contacts(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        let contacts = &mut self.contacts;
        let (logs, hubs) = (contacts.unsaved_logs.take(), contacts.unsaved_hubs.take());
        let unusual = contacts.unsaved_unusual.take();
        match extent {
            Extent::All => {
                contacts.hosts.iter().for_each(|(id, log)| put(Record::new(Kind::Log, (id.0, 0), log)));
                contacts.hubs.iter().for_each(|(id, hub)| put(Record::new(Kind::Hub, (id.0, 0), hub)));
                let all = contacts.unusual.iter();
                all.for_each(|((host, to), odd)| put(Record::new(Kind::Unusual, (host.0, to.0), odd)));
            }
            Extent::Changed => {
                logs.into_iter().for_each(|id| put(entry(Kind::Log, (id.0, 0), contacts.hosts.get(&id))));
                hubs.into_iter().for_each(|id| put(entry(Kind::Hub, (id.0, 0), contacts.hubs.get(&id))));
                for pair in unusual {
                    put(entry(Kind::Unusual, (pair.0.0, pair.1.0), contacts.unusual.get(&pair)));
                }
            }
        }
    }

    fn save_cases(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        let cases = &mut self.contacts.cases;
        let (held, passing) = if extent == Extent::All { cases.all() } else { cases.changed() };
        for (kind, all) in [(Kind::Case, held), (Kind::Passing, passing)] {
            all.into_iter().for_each(|(number, case)| put(entry(kind, halves(number), case)));
        }
        cases.saved();
    }

    fn save_open(&mut self, extent: Extent, put: &mut dyn FnMut(Record)) {
        let changed = (self.ongoing.unsaved_hosts.take(), self.ongoing.unsaved_clusters.take());
        let (hosts, clusters) = if extent == Extent::All { self.ongoing.all() } else { changed };
        for host in hosts {
            put(entry(Kind::Chain, (host.0, 0), self.ongoing.saved_chains(host).as_ref()));
        }
        for cluster in clusters {
            put(entry(Kind::Cluster, cluster.key(), self.ongoing.saved_cluster(&cluster).as_ref()));
        }
    }

    /// Takes in a record; another stage's is left alone. They come in the order of kind and key.
    pub(crate) fn restore(&mut self, record: &Record, restoring: &mut Restoring) -> Result<(), BadRecord> {
        let (a, b) = record.key;
        let contacts = &mut self.contacts;
        let is_whole = match record.kind {
            Kind::Watch => {
                self.resume(record.read()?);
                true
            }
            Kind::Log => {
                let log: HostLog = record.read()?;
                let is_whole = log.is_whole();
                restoring.logs.push((HostId(a), log));
                is_whole
            }
            Kind::Hub => {
                let mut hub: Hub = record.read()?;
                let is_whole = hub.resume();
                restoring.hubs.push((HostId(a), hub));
                is_whole
            }
            Kind::Case => {
                let case: Case = record.read()?;
                case.is_whole() && contacts.cases.restore(whole(record.key), case)
            }
            Kind::Passing => {
                let case: Case = record.read()?;
                case.is_whole() && contacts.cases.restore_passing(whole(record.key), case)
            }
            Kind::Unusual => {
                contacts.unusual.insert((HostId(a), TenantId(b)), record.read()?);
                true
            }
            Kind::Session => self.sessions.restore(HostId(a), record.read::<Vec<Session>>()?),
            Kind::Hop => {
                restoring.hops.push(((HostId(a), HostId(b)), record.read::<Pair>()?));
                true
            }
            Kind::Machine => self.hops.restore_machine(HostId(a), record.read::<Machine>()?),
            Kind::Exposed => self.coupling.restore((HostId(a), HostId(b)), record.read()?),
            Kind::Chain => {
                self.ongoing.restore_chains(HostId(a), record.read()?);
                true
            }
            Kind::Cluster => {
                self.ongoing.restore_cluster(record.read()?);
                true
            }
            _ => true,
        };
        if is_whole { Ok(()) } else { Err(record.bad()) }
    }

    /// All records are in.
    pub(crate) fn restored(&mut self, mut restoring: Restoring) {
        restoring.logs.sort_by_key(|(id, log)| (log.last(), *id));
        restoring.hubs.sort_by_key(|(id, hub)| (hub.last(), *id));
        restoring.hops.sort_by_key(|(pair, when)| (when.last, *pair));
        restoring.logs.into_iter().for_each(|(id, log)| drop(self.contacts.hosts.insert(id, log)));
        restoring.hubs.into_iter().for_each(|(id, hub)| drop(self.contacts.hubs.insert(id, hub)));
        self.contacts.recount();
        self.contacts.cases.grow(self.contacts.hosts.len());
        restoring.hops.into_iter().for_each(|(pair, when)| self.hops.restore_pair(pair, when));
        self.ongoing.stir_all(&self.contacts);
    }

    /// What can be told as it stands.
    pub(crate) fn telling(&self, usual: &Profiles, beacons: &Beacon) -> Telling {
        let Self { rules, sessions, contacts, coupling, ongoing, .. } = self;
        ongoing.tell(&Basis { sessions, contacts, coupling, rules, usual, beacons })
    }

    fn watch(&self) -> Watch {
        let (contacts, (newcomers, acted)) = (&self.contacts, self.hops.counts());
        Watch {
            bins: contacts.bins,
            boots: contacts.boots,
            active: contacts.active,
            began: contacts.began,
            unsettled: contacts.cases.unsettled(),
            newcomers,
            acted,
            tests: self.ongoing.saved_tests(),
            hosts: self.sessions.touched.iter().copied().collect(),
            owners: contacts.touched.iter().copied().collect(),
            servers: self.coupling.touched.iter().copied().collect(),
        }
    }

    fn resume(&mut self, watch: Watch) {
        let contacts = &mut self.contacts;
        (contacts.bins, contacts.boots) = (watch.bins, watch.boots);
        (contacts.active, contacts.began) = (watch.active, watch.began);
        contacts.cases.resume(watch.unsettled);
        contacts.fresh.extend(&watch.owners);
        contacts.touched.extend(watch.owners);
        self.sessions.touched.extend(watch.hosts);
        self.coupling.touched.extend(watch.servers);
        self.hops.resume((watch.newcomers, watch.acted));
        self.ongoing.restore_tests(&watch.tests);
    }
}

/// The record of an entry, or that it is no more.
fn entry<T: Serialize>(kind: Kind, key: (u32, u32), data: Option<&T>) -> Record {
    data.map_or_else(|| Record::gone(kind, key), |data| Record::new(kind, key, data))
}

/// The number of a key.
fn whole((high, low): (u32, u32)) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
