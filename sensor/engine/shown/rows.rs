//! Hosts and destinations as rows: only what was touched since the last step is written anew.

use super::{Kept, Moved, Shown, group, tally};
use crate::api::{DestinationRow, HostEntry, HostRow, TieRow};
use crate::intel::destination_class_name;
use crate::output::metrics::Labelled as _;
use crate::profile::{HostId, Hub, Profiles, TenantId, Tie};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Shown {
    /// Shows everything touched.
    pub(super) fn update_rows(&mut self, usual: &Profiles) {
        let mut kept = Kept::new();
        std::mem::swap(&mut kept.ties, &mut self.kept.ties);
        let touched = kept.ties;
        let mut ties: BTreeMap<HostId, Vec<(TenantId, Moved)>> = BTreeMap::new();
        for ((host, tenant), moved) in touched.iter() {
            ties.entry(*host).or_default().push((*tenant, *moved));
            self.kept.hosts.entry(*host, Moved::default);
            self.destination(*host, *tenant, *moved, usual);
        }
        std::mem::swap(&mut kept.hosts, &mut self.kept.hosts);
        let hosts = kept.hosts;
        for (id, moved) in hosts.iter() {
            let touched = ties.remove(id).unwrap_or_default();
            self.host(*id, *moved, &touched, usual);
        }
        self.forget(usual);
    }

    fn host(&mut self, id: HostId, moved: Moved, touched: &[(TenantId, Moved)], usual: &Profiles) {
        // A stranger, or one that made room.
        let Some(host) = usual.host(id) else { return };
        let before = self.windows.shared.hosts.get(&id.0).map(|entry| Arc::clone(entry.value()));
        let known = before.as_ref().map(|entry| &entry.row);
        let roles = usual.roles(id);
        let group = group(roles);
        let row = HostRow {
            id: usual.key(id).map_or_else(|| format!("ip:{}", host.first_ip).into(), Into::into),
            ip: host.ip,
            name: usual.host_name(id).map(Into::into),
            role: group.name(),
            roles: roles.iter().map(|role| role.name()).chain(usual.learned_hub(id).map(|_| Hub::NAME)).collect(),
            baseline: tally::baseline(host, group, host.last_seen).name(),
            first_seen: host.first_seen,
            last_seen: host.last_seen,
            firsts: host.firsts,
            bytes_out: known.map_or(0, |row| row.bytes_out).saturating_add(moved.out),
            bytes_in: known.map_or(0, |row| row.bytes_in).saturating_add(moved.into),
            flows: known.map_or(0, |row| row.flows).saturating_add(moved.flows),
        };
        let mut ties = before.as_ref().map(|entry| entry.ties.clone()).unwrap_or_default();
        let held = ties.len();
        for (tenant, _) in touched {
            let Some(tie) = usual.tie(id, *tenant) else { continue };
            let row = Arc::new(tie_row(*tenant, tie, usual));
            match ties.iter_mut().find(|known| known.tenant == tenant.0) {
                Some(known) => *known = row,
                None => ties.push(row),
            }
        }
        if ties.len() > HostEntry::MAX_TIES {
            ties.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.destination.cmp(&b.destination)));
            ties.truncate(HostEntry::MAX_TIES);
        }
        self.held_ties = self.held_ties.saturating_add(ties.len()).saturating_sub(held);
        self.kept.by_ip.insert(host.ip, id.0);
        self.windows.shared.hosts.insert(id.0, Arc::new(HostEntry { row, ties }));
    }

    fn destination(&self, host: HostId, id: TenantId, moved: Moved, usual: &Profiles) {
        let (Some(tie), Some(owner)) = (usual.tie(host, id), usual.tenant(id)) else { return };
        let before = self.windows.shared.destinations.get(&id.0).map(|row| DestinationRow::clone(&row));
        let mut row = before.unwrap_or_else(|| DestinationRow {
            value: (*owner.key).into(),
            kind: if tie.name.is_some() { "name" } else { "network" },
            destination_class: destination_class_name(tie.standing.class.as_deref()),
            provider: tie.standing.provider.clone(),
            names: Vec::new(),
            ips: Vec::new(),
            hosts: 0,
            flows: 0,
            bytes_out: 0,
            bytes_in: 0,
            first_seen: tie.first,
            last_seen: tie.last,
        });
        row.hosts = owner.used_by();
        row.flows = row.flows.saturating_add(moved.flows);
        row.bytes_out = row.bytes_out.saturating_add(moved.out);
        row.bytes_in = row.bytes_in.saturating_add(moved.into);
        row.first_seen = row.first_seen.min(tie.first);
        row.last_seen = row.last_seen.max(tie.last);
        let is_new = |name: &&str| row.names.len() < MAX_EACH && row.names.iter().all(|known| **known != **name);
        if let Some(name) = tie.name.as_deref().filter(is_new) {
            row.names.push(name.into());
        }
        for ip in tie.ips() {
            if row.ips.len() < MAX_EACH && !row.ips.contains(&ip) {
                row.ips.push(ip);
            }
        }
        self.windows.shared.destinations.insert(id.0, Arc::new(row));
    }

    /// Lets go of what the profiles let go of, once there is more than they can hold.
    fn forget(&mut self, usual: &Profiles) {
        let shared = &self.windows.shared;
        if shared.hosts.len() > MAX_HOSTS {
            shared.hosts.retain(|id, _| usual.host(HostId(*id)).is_some());
        }
        if shared.destinations.len() > MAX_DESTINATIONS {
            shared.destinations.retain(|id, _| usual.tenant(TenantId(*id)).is_some());
        }
        if self.held_ties > MAX_TIES {
            let mut held = 0_usize;
            shared.hosts.alter_all(|id, entry| {
                let is_held = |tie: &&Arc<TieRow>| usual.tie(HostId(*id), TenantId(tie.tenant)).is_some();
                let ties: Vec<_> = entry.ties.iter().filter(is_held).cloned().collect();
                held = held.saturating_add(ties.len());
                Arc::new(HostEntry { row: entry.row.clone(), ties })
            });
            self.held_ties = held;
        }
    }
}

fn tie_row(tenant: TenantId, tie: &Tie, usual: &Profiles) -> TieRow {
    let owner = usual.tenant(tenant);
    TieRow {
        tenant: tenant.0,
        destination: owner.map_or_else(Box::default, |owner| (*owner.key).into()),
        name: tie.name.as_deref().map(Into::into),
        ips: tie.ips(),
        destination_class: destination_class_name(tie.standing.class.as_deref()),
        provider: tie.standing.provider.clone(),
        first_seen: tie.first,
        last_seen: tie.last,
        flows: tie.flows,
        bytes_out: tie.up,
        bytes_in: tie.down,
        used_by: owner.map_or(0, |owner| owner.used_by()),
    }
}

/// Names and addresses shown of one destination.
const MAX_EACH: usize = 8;
/// More than the profiles hold; what lies between is let go at once.
const MAX_HOSTS: usize = 320_000;
const MAX_DESTINATIONS: usize = 220_000;
const MAX_TIES: usize = 600_000;
