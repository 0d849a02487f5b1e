//! Somebody answers for what hosts have to do with a destination: what an incident held is let go of.

use super::baseline::Baseline;
use super::saved::{Saved, SavedApproval, SavedHost};
use crate::base::{Kind, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// An approval that would approve nothing, or something else than was meant.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NotApproved {
    /// A misspelt host would leave the right one held, without a word.
    #[error("no host here has {0} as its address, name or hardware address; `yukue baseline show` lists them")]
    Host(String),
    /// A name or an address that several had.
    #[error("{0} is {list}: say which", list = .1.join(" and "))]
    Hosts(String, Vec<String>),
    /// As a misspelt host.
    #[error("no host here met {0}: write the destination as the alert does")]
    Destination(String),
    /// It would never hold.
    #[error("the last day is before the last one in this baseline, {0}")]
    Past(String),
}

impl Baseline {
    /// Holds from now on: the pairs it covers are no longer held, and will not be until it expires. Its host may be given
    /// by key, address, name or hardware address. Gives back how many pairs were held.
    pub(crate) fn approve(&mut self, approval: SavedApproval) -> Result<usize, NotApproved> {
        if let Some((_, last)) = self.overview().span
            && approval.expires < last.utc_day()
        {
            return Err(NotApproved::Past(day(last)));
        }
        let host = approval.host.as_deref().map(|wanted| self.host_called(wanted)).transpose()?;
        let approval = SavedApproval { host, ..approval };
        let hosts: BTreeMap<u32, &str> = self.hosts().map(|(id, host)| (id, host.key.as_str())).collect();
        let owners: BTreeMap<u32, &str> = self.owners().map(|(id, owner)| (id, owner.key.as_str())).collect();
        let wanted = approval.destination.as_str();
        let named: BTreeSet<(u32, u32)> =
            self.ties().filter(|(_, tie)| tie.name.as_deref() == Some(wanted)).map(|(pair, _)| pair).collect();
        if named.is_empty() && !owners.values().any(|key| *key == wanted) {
            return Err(NotApproved::Destination(approval.destination));
        }
        let covered = |pair: &(u32, u32)| {
            let (host, owner) = (hosts.get(&pair.0), owners.get(&pair.1));
            let name = if named.contains(pair) { wanted } else { "" };
            host.zip(owner).is_some_and(|(host, owner)| approval.covers(host, &[owner, name]))
        };
        let (known, others) = self.parts();
        let held = known.keys().filter(|(kind, pair)| *kind == Kind::Held && covered(pair)).copied();
        let held: Vec<_> = held.collect();
        let next = self.approvals().map(|(n, _)| n).max().map_or(0, |n| n.saturating_add(1));
        let (mut known, others) = (known.clone(), others.clone());
        held.iter().for_each(|key| drop(known.remove(key)));
        known.insert((Kind::Approval, (next, 0)), Saved::Approval(Box::new(approval)));
        *self = Self::of_parts(known, others);
        Ok(held.len())
    }

    /// The key of the one host that is called so.
    fn host_called(&self, wanted: &str) -> Result<String, NotApproved> {
        let keys = |is_it: &dyn Fn(&SavedHost) -> bool| -> Vec<String> {
            self.hosts().filter(|(_, host)| is_it(host)).map(|(_, host)| host.key.clone()).collect()
        };
        let bare = |key: &str| key.split_once(':').is_some_and(|(_, bare)| bare.eq_ignore_ascii_case(wanted));
        let mut found = keys(&|host| host.key == wanted || bare(&host.key));
        if found.is_empty() {
            let named =
                |name: &Option<(String, u8)>| name.as_ref().is_some_and(|(n, _)| n.eq_ignore_ascii_case(wanted));
            let at = |host: &SavedHost| wanted.parse::<IpAddr>().is_ok_and(|ip| host.ip == ip);
            found = keys(&|host| named(&host.name) || named(&host.label) || at(host));
        }
        match found.as_slice() {
            [] => Err(NotApproved::Host(wanted.to_owned())),
            [one] => Ok(one.clone()),
            _ => Err(NotApproved::Hosts(wanted.to_owned(), found)),
        }
    }
}

fn day(ts: Timestamp) -> String {
    ts.to_string().chars().take("2027-03-31".len()).collect()
}
