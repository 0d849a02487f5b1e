//! Direct to an address: a conversation with an address that no look-up and no handshake named (ATT&CK T1071, T1573). Says
//! weak signs only; for management servers `management_egress` claims it (EG-002).
//!
//! Measure: how often this host does that. Said only where its look-ups are seen (`profile::visibility`): absence is no sign
//! where nothing can be seen. Benign look-alikes: peer to peer, telephony. Evasion: a name of one's own.

use super::beacon::reason;
use super::cue::{Cue, Group};
use super::finding::Value;
use super::memory::{Kept, Memory};
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, parse};
use crate::base::{Budget, Table, Transport};
use crate::profile::{Activity, Contact, HostId, Profiles};

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "direct_address",
    rule: include_str!("../../rules/direct_address.toml"),
    build: |text| {
        Ok(Box::new(DirectAddress {
            rule: parse(text)?,
            hosts: Kept::new(Budget::new("direct_address.hosts", MAX_HOSTS, 0)),
        }))
    },
};

/// `rules/direct_address.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    least_contacts: f64,
    least_nats: f64,
}

/// Contacts by host, with and without a name.
#[derive(Debug)]
struct DirectAddress {
    rule: Rule,
    hosts: Kept<HostId, Named>,
}

#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Named {
    contacts: f64,
    nameless: f64,
}

as_it_is!(Named);

impl Detector for DirectAddress {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        match seen {
            Activity::Contact(contact) if self.rule.enabled && !contact.background => {
                self.contact(contact, usual, said);
            }
            _ => {}
        }
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.hosts.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.hosts]
    }
}

impl DirectAddress {
    fn contact(&mut self, seen: &Contact, usual: &Profiles, said: &mut Said) {
        let tie = usual.tie(seen.host, seen.tenant);
        let tcp = tie.is_some_and(|tie| tie.transport == Transport::Tcp && !tie.under_way);
        let rule = &self.rule;
        let host = self.hosts.entry(seen.host, Named::default);
        let nameless = seen.name.is_none() && !seen.several;
        let visible = host.contacts >= rule.least_contacts && usual.sees_lookups(seen.host) == Some(true);
        let p = (host.nameless + 0.5) / (host.contacts + 1.0);
        if seen.first && nameless && tcp && visible && -p.ln() >= rule.least_nats {
            said.cues.push(Cue {
                detector: SPEC.stem,
                ts: seen.ts,
                host: seen.host,
                tenant: Some(seen.tenant),
                group: Group::Destination,
                nats: -p.ln(),
                reason: reason("share_of_contacts_without_a_name", Value::Number(p), "probability"),
                uid: seen.uid,
            });
        }
        host.contacts += 1.0;
        host.nameless += if nameless { 1.0 } else { 0.0 };
    }
}

/// Hosts held, 40 bytes each.
const MAX_HOSTS: usize = 300_000;
