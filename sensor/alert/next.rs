//! What to do next about a claim: words for what it says already, its kind, its detector and the advice on each
//! destination. Nothing is decided here.

use super::{Alert, Kind, Status};
use crate::base::{Text, say};
use crate::campaign::Advice;
use crate::detect::{Finding, Severity};

impl Alert {
    /// What to do next, the first first; at least one step.
    pub(crate) fn next_steps(&self) -> Vec<Text> {
        match (self.status, &self.allowed) {
            (Status::Absorbed, _) => {
                return vec![match &self.absorbed_by {
                    Some(by) => say!("next.absorbed_by", alert = by),
                    None => say!("next.absorbed"),
                }];
            }
            (Status::Allowed, Some(by)) => {
                return vec![say!("next.allowed", owner = &by.owner, expires = &by.expires)];
            }
            _ => {}
        }
        let first = match self.kind {
            Kind::StagingCampaign | Kind::ExecutionChain => say!("next.ask_and_isolate"),
            Kind::SharedDestination => say!("next.compare_hosts"),
            Kind::Notice if self.scope.is_some() => say!("next.nothing"),
            Kind::Notice | Kind::HostAnomaly | Kind::Beacon | Kind::RemoteExecution | Kind::Policy => {
                self.finding.next_step()
            }
        };
        let mut steps = vec![first];
        let advised = self.scope.iter().flat_map(|scope| &scope.destinations);
        let mut advised = advised.filter_map(|to| match to.advice {
            Advice::Block => Some(say!("next.block", destination = &to.value)),
            Advice::BlockForScopeOnly => Some(say!("next.block_for_scope", destination = &to.value)),
            Advice::Watch => None,
        });
        steps.extend(advised.by_ref().take(MOST));
        let more = advised.count();
        if more > 0 {
            steps.push(say!("next.block_more", more = more));
        }
        steps
    }
}

impl Finding {
    /// What to do next about this claim by itself.
    pub(crate) fn next_step(&self) -> Text {
        if self.severity == Severity::Info {
            return say!("next.wait");
        }
        let technique = |(detector, technique, _): &&(&str, &str, Step)| {
            *detector == self.detector && self.attack.iter().any(|own| **own == **technique)
        };
        if let Some((.., step)) = OTHERWISE.iter().find(technique) {
            return step();
        }
        let of = STEPS.iter().find(|(detectors, _)| detectors.contains(&self.detector));
        of.map_or_else(|| say!("next.find_program"), |(_, step)| step())
    }
}

type Step = fn() -> Text;

/// Detectors, and what their claims ask for.
const STEPS: &[(&[&str], Step)] = &[
    (
        &[
            "beacon",
            "client_mismatch",
            "coordinated_poller",
            "direct_address",
            "host_anomaly",
            "long_connection",
            "new_destination",
            "off_hours",
            "protocol_mismatch",
            "rare_destination",
            "script_download",
            "sni_mismatch",
        ],
        || say!("next.find_program"),
    ),
    (&["cohort_exfiltration", "slow_drip", "upload_tail"], || say!("next.what_left")),
    (&["dga", "dns_tunnel"], || say!("next.refuse_name")),
    (&["icmp_tunnel"], || say!("next.refuse_echo")),
    (&["encrypted_dns", "resolver_bypass"], || say!("next.use_resolver")),
    (&["admin_path", "enumeration", "execution_fan_out", "push_pattern", "remote_execution"], || say!("next.ask")),
    (&["coerced_authentication", "telltale_call"], || say!("next.secrets")),
    (&["entry", "hub_suspect", "management_egress"], || say!("next.question_server")),
    (&["common_cause", "execution_chain"], || say!("next.ask_and_isolate")),
    (&["remote_management"], || say!("next.who_installed")),
    (&["drift"], || say!("next.what_rose")),
    (&["new_service"], || say!("next.who_introduced")),
    (&["feed"], || say!("next.check_feed")),
    (&["policy"], || say!("next.stop_or_declare")),
];

/// Acts that ask for something else than what their detector tells otherwise, by technique.
const OTHERWISE: &[(&str, &str, Step)] = &[("telltale_call", "T1070.001", || say!("next.cleared"))];

/// Destinations told one by one; the scope holds the rest with their advice.
const MOST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Rules;
    use crate::alert::samples::{destination, finding};
    use crate::base::Lang;
    use crate::campaign::{Scope, ScopeDestination};

    fn alert(kind: Kind, destinations: Vec<ScopeDestination>) -> Alert {
        Alert {
            finding: finding("f", "common_cause", Severity::High),
            kind,
            tier: 2,
            status: Status::Open,
            absorbed_by: None,
            allowed: None,
            scope: Some(Scope { servers: Vec::new(), hosts: Vec::new(), destinations }),
            not_visible: Vec::new(),
        }
    }

    #[test]
    fn every_rule_has_exactly_one_step_and_no_step_is_for_a_rule_that_is_none() {
        let rules = Rules::shipped();
        let stems: Vec<&str> = rules.texts().map(|(stem, _)| stem).collect();
        for stem in &stems {
            let rows = STEPS.iter().filter(|(detectors, _)| detectors.contains(stem)).count();
            assert_eq!(rows, 1, "{stem}");
        }
        for stem in STEPS.iter().flat_map(|(detectors, _)| *detectors) {
            assert!(stems.contains(stem), "{stem}");
        }
    }

    #[test]
    fn a_sign_that_only_adds_up_asks_for_nothing_by_itself() {
        let said = |severity| finding("f", "dns_tunnel", severity).next_step();
        assert_eq!(said(Severity::Info), say!("next.wait"));
        assert_eq!(said(Severity::Low), say!("next.refuse_name"));
    }

    #[test]
    fn a_cleared_log_is_no_theft_of_secrets() {
        let call = finding("f", "telltale_call", Severity::High);
        assert_eq!(call.next_step(), say!("next.secrets"));
        let cleared = Finding { attack: vec!["T1562.002".into(), "T1070.001".into()], ..call };
        assert_eq!(cleared.next_step(), say!("next.cleared"));
    }

    #[test]
    fn destinations_are_told_with_their_advice_and_what_is_too_long_is_counted() {
        let to = |n: usize| destination(&format!("{n}.example"), Advice::Block);
        let mut all: Vec<_> = (0..MOST + 3).map(to).collect();
        all.insert(1, destination("cloud.example", Advice::BlockForScopeOnly));
        all.insert(2, destination("watched.example", Advice::Watch));
        let steps: Vec<_> =
            alert(Kind::StagingCampaign, all).next_steps().iter().map(|step| step.render(Lang::En)).collect();
        assert_eq!(steps.len(), MOST + 2);
        assert!(steps[0].contains("isolate"), "{}", steps[0]);
        assert_eq!(steps[1], "block 0.example");
        assert_eq!(steps[2], "block cloud.example for these hosts only; others use it");
        assert!(steps[MOST + 1].contains('4'), "{}", steps[MOST + 1]);
        assert!(steps.iter().all(|step| !step.contains("watched")));
    }

    #[test]
    fn what_somebody_answers_for_names_them_and_asks_for_nothing_else() {
        let allowed =
            crate::alert::Allowed { owner: "it-ops".into(), reason: "r".into(), expires: "2027-01-31".into() };
        let told = Alert {
            status: Status::Allowed,
            allowed: Some(allowed),
            ..alert(Kind::StagingCampaign, vec![destination("a.example", Advice::Block)])
        };
        assert_eq!(told.next_steps(), [say!("next.allowed", owner = "it-ops", expires = "2027-01-31")]);
    }
}
