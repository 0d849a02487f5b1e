//! What really happened: the simulator's own account, for the judge alone.

use super::Ns;
use std::collections::HashMap;

/// Everything that was staged in one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    pub(crate) campaigns: Vec<Staged>,
    pub(crate) lone: Vec<Lone>,
    pub(crate) lookalikes: Vec<Lookalike>,
}

/// A campaign through a server.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    /// Door, destination, lag: `winrm own prompt`.
    pub(crate) family: String,
    /// Victims asked for; fewer may have been in reach.
    pub(crate) k: usize,
    /// Servers, the one that touched the endpoints first.
    pub(crate) servers: Vec<u32>,
    pub(crate) victims: Vec<Victim>,
    /// As on the wire: names, or addresses where there is no name.
    pub(crate) destinations: Vec<String>,
    /// Whether others use the destination too.
    pub(crate) shared: bool,
    /// First act of the attacker on the site.
    pub(crate) began: Ns,
}

/// A host a campaign reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Victim {
    pub(crate) host: u32,
    pub(crate) pushed: Ns,
    /// First call outside, once it was made.
    pub(crate) called: Option<Ns>,
    /// Whether the sensor sees the path from the server.
    pub(crate) visible: bool,
}

impl Staged {
    /// Calls outside of victims whose path is visible, in order.
    pub(crate) fn visible_calls(&self) -> Vec<Ns> {
        let mut calls: Vec<Ns> = self.victims.iter().filter(|v| v.visible).filter_map(|v| v.called).collect();
        calls.sort_unstable();
        calls
    }
}

/// Something bad without a campaign around it.
#[derive(Clone, Debug)]
pub(crate) struct Lone {
    pub(crate) family: &'static str,
    /// Any of them named is a find.
    pub(crate) hosts: Vec<u32>,
    /// On whom it was done: who names these accuses nobody wrongly.
    pub(crate) touched: Vec<u32>,
    /// Whom a timer calls, for families that are one.
    pub(crate) timer: Option<String>,
    pub(crate) from: Ns,
    pub(crate) until: Ns,
}

/// Something that looks bad and is not.
#[derive(Clone, Debug)]
pub(crate) struct Lookalike {
    pub(crate) kind: &'static str,
    pub(crate) at: Ns,
    pub(crate) hosts: Vec<u32>,
    /// Destination, where there is one.
    pub(crate) destination: Option<String>,
}

/// Who had an address when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases(HashMap<u32, Vec<(Ns, u32)>>);

impl Leases {
    pub(crate) fn note(&mut self, ip: u32, from: Ns, host: u32) {
        let held = self.0.entry(ip).or_default();
        if held.last().is_none_or(|(_, last)| *last != host) {
            held.push((from, host));
        }
    }

    pub(crate) fn holder(&self, ip: u32, at: Ns) -> Option<u32> {
        let held = self.0.get(&ip)?;
        let after = held.partition_point(|(from, _)| *from <= at);
        held.get(after.saturating_sub(1)).map(|(_, host)| *host)
    }
}

#[test]
fn an_address_belongs_to_whom_it_was_lent_last() {
    let mut leases = Leases::default();
    [(10, 1), (20, 1), (30, 2)].into_iter().for_each(|(at, host)| leases.note(9, at, host));
    assert_eq!([5, 15, 29, 30].map(|at| leases.holder(9, at)), [Some(1), Some(1), Some(1), Some(2)]);
    assert_eq!(leases.holder(8, 15), None);
}
