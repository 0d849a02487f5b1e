//! Hosts as they are saved, and how a run continues with them: the same ids, and what tells each.

use super::hosts::{Host, HostId, Hosts, MAX_RECENT};
use super::keys::{Grant, Key, Trust};
use super::saved::SavedHost;
use crate::base::{Ring, Timestamp};

impl Hosts {
    /// A host, but for its habits.
    pub(super) fn saved(&self, id: HostId) -> Option<SavedHost> {
        let host = self.get(id)?;
        let label = self.identities.label_and_trust(id).map(|(label, trust)| (label.to_owned(), trust.number()));
        Some(SavedHost {
            key: self.key(id)?,
            ip: host.ip,
            first_ip: host.first_ip,
            addresses: self.identities.addresses(id).iter().rev().take(MAX_SAVED_ADDRESSES).copied().collect(),
            mac: self.identities.mac(id),
            label,
            name: host.name.as_ref().map(|(name, rank)| (name.to_string(), *rank)),
            first_seen: host.first_seen.0,
            last_seen: host.last_seen.0,
            firsts: host.firsts,
            habit: None,
            days: None,
            dealings: None,
        })
    }

    /// Takes a host in under the id it had; they come in the order of ids. False when its id was given already.
    pub(super) fn restore(&mut self, id: HostId, saved: &SavedHost) -> bool {
        if id.0 < self.identities.next_id() {
            return false;
        }
        self.resume_at(id.0);
        if self.identities.new_id() != id {
            return false;
        }
        let (first, last) = (Timestamp(saved.first_seen), Timestamp(saved.last_seen));
        for ip in saved.addresses.iter().rev() {
            self.identities.settle(*ip, id, last);
        }
        if let Some(ip) = saved.addresses.first() {
            if let Some(mac) = saved.mac {
                self.identities.claim(*ip, &Key::Mac(mac), Grant::Observed, last);
            }
            if let Some((label, trust)) = &saved.label {
                let key = Key::Label(label.as_str().into(), Trust::of(*trust));
                self.identities.claim(*ip, &key, Grant::Observed, last);
            }
        }
        let host = Host {
            ip: saved.ip,
            first_ip: saved.first_ip,
            first_seen: first,
            last_seen: last,
            firsts: saved.firsts,
            recent: Ring::new(MAX_RECENT),
            name: saved.name.as_ref().map(|(name, rank)| (name.as_str().into(), *rank)),
        };
        self.held.insert(id, host);
        true
    }

    /// Ids below this are given no more.
    pub(super) fn resume_at(&mut self, next: u32) {
        self.identities.resume_at(next);
    }
}

/// Addresses of a host that are saved: a server has two or three, the privacy addresses of a week say nothing.
const MAX_SAVED_ADDRESSES: usize = 4;
