//! An alert that stands by itself no more, and which other one tells its claim now.

use super::fuse::{explains, has_swept};
use super::{Alert, Kind, Status};
use crate::campaign::Scope;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Who tells an alert's claim now that it does not stand by itself: an open story at least as serious that has said what
/// its finding says, or, of a story, has at least half of its hosts; of a single act, the sweep it was part of.
pub(super) fn teller<'a>(alert: &Alert, standing: impl Iterator<Item = &'a Alert>) -> Option<Box<str>> {
    let ours: Option<BTreeSet<IpAddr>> = alert.scope.as_ref().map(|scope| hosts(scope).collect());
    let is_held = |scope: &Scope| match &ours {
        Some(ours) => {
            let theirs: BTreeSet<IpAddr> = hosts(scope).chain(scope.servers.iter().map(|server| server.ip)).collect();
            let known = theirs.intersection(ours).count();
            known > 0 && known.saturating_mul(2) >= ours.len()
        }
        None => explains((scope, scope.servers.first().map(|server| server.ip)), &alert.finding),
    };
    let open =
        standing.filter(|other| other.status == Status::Open && other.kind != Kind::Notice && other.tier <= alert.tier);
    let tells = open.filter(|other| match &other.scope {
        Some(scope) => is_held(scope),
        None => has_swept(&other.finding, &alert.finding),
    });
    tells.min_by_key(|other| (other.tier, &other.finding.id)).map(|other| other.finding.id.clone())
}

fn hosts(scope: &Scope) -> impl Iterator<Item = IpAddr> {
    scope.hosts.iter().map(|host| host.ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::samples;
    use crate::base::Timestamp;
    use crate::campaign::{Advice, HostId, ScopeDestination, ScopeHost, ScopeServer, Tier};
    use crate::detect::{Entity, Finding, Role, Severity};

    fn scope(hosts: &[u8], to: u8) -> Scope {
        let host = |n: u8| ScopeHost {
            id: HostId(n.into()),
            key: None,
            ip: [10, 0, 0, n].into(),
            name: None,
            tier: Tier::Confirmed,
            first_seen: Timestamp(0),
            last_seen: Timestamp(0),
            bytes_out: 0,
            attribution: None,
        };
        let destination =
            ScopeDestination { ips: vec![[10, 0, 0, to].into()], ..samples::destination("d", Advice::Block) };
        Scope {
            servers: vec![ScopeServer { id: HostId(100), ip: [10, 0, 0, 100].into(), name: None, p: None, hop: 0 }],
            hosts: hosts.iter().map(|n| host(*n)).collect(),
            destinations: vec![destination],
        }
    }

    #[test]
    fn an_absorbed_alert_names_the_open_one_that_tells_its_claim() {
        let entity = |role, n: u8| Entity { role, ip: Some([10, 0, 0, n].into()), name: None };
        let act = |detector, hosts: &[u8], to: u8| {
            let mut act = samples::finding("parted", detector, Severity::Low);
            act.entities = vec![entity(Role::StagingServer, 100)];
            act.entities.extend(hosts.iter().map(|n| entity(Role::AffectedHost, *n)));
            act.entities.push(entity(Role::Destination, to));
            act
        };
        let alert = |finding: Finding, kind, tier, scope: Option<Scope>| {
            let (status, not_visible) = (Status::Open, Vec::new());
            Alert { finding, kind, tier, status, absorbed_by: None, allowed: None, scope, not_visible }
        };
        let story = |id: &str, kind, tier, hosts: &[u8], to: u8| {
            alert(samples::finding(id, "common_cause", Severity::Low), kind, tier, Some(scope(hosts, to)))
        };
        let sweep = Finding { id: "sweep".into(), ..act("execution_fan_out", &[7], 0) };
        let standing = [
            story("rollout", Kind::Notice, 4, &[1, 2, 3, 4, 5], 200),
            story("chain", Kind::ExecutionChain, 2, &[1, 4], 200),
            story("campaign", Kind::StagingCampaign, 1, &[1, 2, 3], 200),
            Alert { status: Status::Allowed, ..story("allowed", Kind::StagingCampaign, 1, &[4, 5], 200) },
            alert(sweep, Kind::RemoteExecution, 3, None),
        ];
        let single = |detector, hosts: &[u8], to| alert(act(detector, hosts, to), Kind::HostAnomaly, 3, None);
        for (parted, expected, what) in [
            (single("beacon", &[1], 200), Some("campaign"), "two stories have host and destination: the worse one"),
            (single("beacon", &[4], 200), Some("chain"), "what somebody answers for tells nobody"),
            (single("beacon", &[5], 200), None, "a rollout explains nothing away"),
            (single("beacon", &[1], 201), None, "another destination is another claim"),
            (single("remote_execution", &[2], 0), Some("campaign"), "its server acted on a host of it"),
            (single("remote_execution", &[9], 0), Some("sweep"), "a single act is in the sweep"),
            (story("parted", Kind::ExecutionChain, 2, &[1], 201), Some("campaign"), "half of a story's hosts"),
            (story("parted", Kind::StagingCampaign, 1, &[4], 200), None, "a chain does not take a campaign in"),
        ] {
            assert_eq!(teller(&parted, standing.iter()).as_deref(), expected, "{what}");
        }
    }
}
