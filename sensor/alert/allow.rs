//! What somebody here answers for: entries with scope, owner, reason and expiry. They label, they do not drop.
//!
//! An entry says who (role or host) may do what (verb) to where (destination). All it names must hold; of an alert with
//! several destinations each must be one it names. A campaign is never labelled, and an entry that names nobody does not
//! reach machines that manage others unless it says so: those are what an attacker stages from.

use crate::base::{Prefix, Timestamp};
use crate::profile::{HostRole, MayReach};
use std::net::IpAddr;

/// The allow-list.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowList(pub(crate) Vec<Allow>);

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Allow {
    pub(crate) role: Option<HostRole>,
    pub(crate) host: Option<Prefix>,
    /// A detector (`beacon`), an alert's kind (`notice`) or an administration channel (`winrm`).
    pub(crate) verb: Option<Box<str>>,
    pub(crate) destination: Option<MayReach>,
    pub(crate) direction: Option<Way>,
    /// It reaches machines that manage others although it names nobody.
    pub(crate) management: bool,
    pub(crate) owner: Box<str>,
    pub(crate) reason: Box<str>,
    /// The last UTC day it holds, in days since 1970, and as written.
    pub(crate) expires: (i64, Box<str>),
}

/// Where the act goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Outbound,
    Internal,
    Inbound,
}

impl Way {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Outbound, Self::Internal, Self::Inbound];

    /// Of an alert, by whether it names a server and a destination: what is run on a host comes from somewhere.
    pub(crate) fn of(detector: &str, names_server: bool, names_destination: bool) -> Self {
        match () {
            () if detector == "remote_execution" && !names_server => Self::Inbound,
            () if names_destination => Self::Outbound,
            () => Self::Internal,
        }
    }

    /// The name in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Internal => "internal",
            Self::Inbound => "inbound",
        }
    }
}

/// Why an alert is labelled.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Allowed {
    pub(crate) owner: Box<str>,
    pub(crate) reason: Box<str>,
    /// `2027-03-31`.
    pub(crate) expires: Box<str>,
}

/// An alert as the list looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) detector: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) tier: u64,
    pub(crate) last_seen: Timestamp,
    /// Channels of administration, comma-separated.
    pub(crate) channels: &'a str,
    /// The host that acted, and its roles.
    pub(crate) actor: Option<IpAddr>,
    pub(crate) roles: &'a [HostRole],
    /// Nobody declared it, but it was found to manage others.
    pub(crate) learned_hub: bool,
    /// Name, class and address of each destination.
    pub(crate) destinations: Vec<(Option<&'a str>, Option<&'a str>, Option<IpAddr>)>,
    pub(crate) way: Way,
}

impl AllowList {
    /// The first entry that covers a claim and has not expired.
    pub(crate) fn label(&self, claim: &Claim<'_>) -> Option<Allowed> {
        let entry = self.0.iter().find(|entry| entry.covers(claim))?;
        Some(Allowed { owner: entry.owner.clone(), reason: entry.reason.clone(), expires: entry.expires.1.clone() })
    }
}

impl Allow {
    fn covers(&self, claim: &Claim<'_>) -> bool {
        let says = |verb: &str| {
            verb == claim.detector || verb == claim.kind || claim.channels.split(", ").any(|channel| channel == verb)
        };
        let manages = claim.learned_hub || claim.roles.iter().any(|role| MANAGING.contains(role));
        let names_nobody = self.role.is_none() && self.host.is_none();
        claim.tier > 1
            && claim.last_seen.utc_day() <= self.expires.0
            && self.role.is_none_or(|role| claim.roles.contains(&role))
            && self.host.is_none_or(|net| claim.actor.is_some_and(|ip| net.contains(ip)))
            && (!names_nobody || !manages || self.management)
            && self.verb.as_deref().is_none_or(says)
            && self.direction.is_none_or(|way| way == claim.way)
            && self.destination.as_ref().is_none_or(|may| {
                let all =
                    |(name, class, ip): &(Option<&str>, Option<&str>, Option<IpAddr>)| may.covers(*name, *class, *ip);
                !claim.destinations.is_empty() && claim.destinations.iter().all(all)
            })
    }
}

/// Roles whose machines act on many others.
const MANAGING: &[HostRole] = &[
    HostRole::AntivirusManagement,
    HostRole::SoftwareDistribution,
    HostRole::UpdateServer,
    HostRole::ConfigurationManagement,
    HostRole::Inventory,
    HostRole::RemoteManagement,
    HostRole::DomainController,
    HostRole::Backup,
    HostRole::JumpHost,
    HostRole::Virtualisation,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Allow {
        Allow {
            role: None,
            host: None,
            verb: None,
            destination: None,
            direction: None,
            management: false,
            owner: "ops".into(),
            reason: "backup".into(),
            expires: (20_000, "2024-10-04".into()),
        }
    }

    fn claim<'a>(roles: &'a [HostRole]) -> Claim<'a> {
        Claim {
            detector: "beacon",
            kind: "beacon",
            tier: 3,
            last_seen: Timestamp::from_secs(19_999 * 86_400),
            channels: "",
            actor: "10.0.0.5".parse().ok(),
            roles,
            learned_hub: false,
            destinations: vec![(Some("x.vendor.example"), Some("cdn"), "203.0.113.9".parse().ok())],
            way: Way::Outbound,
        }
    }

    #[test]
    fn an_entry_covers_what_it_names_and_nothing_else() {
        use HostRole::{AntivirusManagement, Workstation};
        let name = |text: &str| Some(MayReach::Name(text.into()));
        for (what, allow, roles, covered) in [
            ("nobody named, a workstation", entry(), &[Workstation][..], true),
            ("nobody named, a management server", entry(), &[AntivirusManagement], false),
            ("the same, said out loud", Allow { management: true, ..entry() }, &[AntivirusManagement], true),
            ("its role", Allow { role: Some(AntivirusManagement), ..entry() }, &[AntivirusManagement], true),
            ("another role", Allow { role: Some(AntivirusManagement), ..entry() }, &[Workstation], false),
            ("its network", Allow { host: "10.0.0.0/24".parse().ok(), ..entry() }, &[], true),
            ("another network", Allow { host: "10.0.1.0/24".parse().ok(), ..entry() }, &[], false),
            ("its verb", Allow { verb: Some("beacon".into()), ..entry() }, &[], true),
            ("another verb", Allow { verb: Some("winrm".into()), ..entry() }, &[], false),
            ("its destination", Allow { destination: name("*.vendor.example"), ..entry() }, &[], true),
            ("another destination", Allow { destination: name("*.other.example"), ..entry() }, &[], false),
            ("its class", Allow { destination: Some(MayReach::Class("cdn".into())), ..entry() }, &[], true),
            ("another direction", Allow { direction: Some(Way::Inbound), ..entry() }, &[], false),
            ("expired", Allow { expires: (19_998, "2024-10-02".into()), ..entry() }, &[], false),
        ] {
            assert_eq!(AllowList(vec![allow]).label(&claim(roles)).is_some(), covered, "{what}");
        }
    }

    #[test]
    fn a_machine_that_was_found_to_manage_others_is_covered_only_by_name() {
        for (what, allow, covered) in [
            ("nobody named", entry(), false),
            ("the same, said out loud", Allow { management: true, ..entry() }, true),
            ("its network", Allow { host: "10.0.0.0/24".parse().ok(), ..entry() }, true),
        ] {
            let claim = Claim { learned_hub: true, ..claim(&[]) };
            assert_eq!(AllowList(vec![allow]).label(&claim).is_some(), covered, "{what}");
        }
    }

    #[test]
    fn each_destination_must_be_named_and_a_campaign_is_never_labelled() {
        let list = AllowList(vec![Allow { destination: Some(MayReach::Name("*.vendor.example".into())), ..entry() }]);
        let mut two = claim(&[]);
        two.destinations.push((Some("evil.example"), None, None));
        assert_eq!(list.label(&two), None);
        let campaign = Claim { tier: 1, ..claim(&[]) };
        assert_eq!(list.label(&campaign), None);
    }
}
