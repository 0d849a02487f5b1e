//! The two joins as a specification in observation space: what must be told, and what must not when one thing differs.

use super::analysis::Told;
use super::scene::Case::{Fires, Just, JustNot, Nearly};
use super::scene::{alerted, severities};
use super::world::{World, campaigns, ip};
use crate::alert::{Alert, Kind};
use crate::campaign::Tier;
use crate::detect::Severity;
use crate::event::{Act, Channel, Site};
use crate::profile::HostRole;

const ACTOR: &str = "172.16.0.5";
const VICTIM: &str = "172.16.0.6";
const C2: &str = "203.0.113.5";

#[test]
fn an_act_then_a_first_contact_is_one_chain_that_names_everybody() {
    let told = case(&Plan::default()).told();
    let alert = only_chain(&told);
    let finding = &alert.finding;
    let scope = alert.scope.as_ref().unwrap();
    assert_eq!((finding.severity, alert.tier), (Severity::High, 2), "{}", finding.explanation);
    assert_eq!(scope.servers[0].ip, ip(ACTOR));
    assert_eq!(scope.hosts.iter().map(|h| (h.ip, h.tier)).collect::<Vec<_>>(), [(ip(VICTIM), Tier::Confirmed)]);
    assert_eq!(scope.destinations.iter().map(|d| &*d.value).collect::<Vec<_>>(), [C2]);
    assert!(finding.attack.iter().any(|t| &**t == "T1569.002"), "{:?}", finding.attack);
    assert!(
        finding.explanation.to_string().contains(ACTOR) && finding.explanation.to_string().contains("svcctl"),
        "{}",
        finding.explanation
    );
    assert_eq!(above_info(&told).len(), 1, "one story: {:#?}", told.alerts);
}

#[test]
fn what_does_not_matter_changes_nothing() {
    for (what, plan) in [
        ("another time", Plan { at: 1_000_000_000, ..Plan::default() }),
        ("other addresses", Plan { actor: "172.16.9.9", victim: "172.16.7.7", c2: "198.51.100.77", ..Plan::default() }),
        ("by WMI", Plan { channel: Channel::Wmi, operation: "IWbemServices::ExecMethod", ..Plan::default() }),
        ("by WinRM", Plan { channel: Channel::Winrm, operation: "Command", ..Plan::default() }),
        ("by PsExec", Plan { channel: Channel::Psexec, operation: "PSEXESVC", ..Plan::default() }),
        ("by a task", Plan { channel: Channel::Tasksched, operation: "SchRpcRun", ..Plan::default() }),
        ("by DCOM", Plan { channel: Channel::Dcom, operation: "RemoteCreateInstance", ..Plan::default() }),
        ("act over another port", Plan { act_port: 49_913, ..Plan::default() }),
        ("destination on another port", Plan { c2_port: 8443, ..Plan::default() }),
        ("a little later", Plan { lag_s: 8, ..Plan::default() }),
        ("a destination with a name", Plan { sni: Some("cdn.bad.example"), ..Plan::default() }),
    ] {
        let told = case(&plan).told();
        let alert = only_chain(&told);
        assert_eq!(alert.finding.severity, Severity::High, "{what}: {}", alert.finding.explanation);
        let scope = alert.scope.as_ref().unwrap();
        assert_eq!((scope.servers[0].ip, scope.hosts[0].ip), (ip(plan.actor), ip(plan.victim)), "{what}");
        assert_eq!(&*scope.destinations[0].value, plan.sni.unwrap_or(plan.c2), "{what}");
    }
}

#[test]
fn what_matters_takes_the_story_away() {
    for (what, plan, most) in [
        ("nothing was executed", Plan { act: None, ..Plan::default() }, Severity::Info),
        ("administration that runs nothing", Plan { act: Some(Act::Administer), ..Plan::default() }, Severity::Info),
        ("two hours later", Plan { lag_s: 7200, ..Plan::default() }, Severity::Info),
        ("the contact came before the act", Plan { lag_s: -60, ..Plan::default() }, Severity::Info),
        ("many hosts use the destination already", Plan { users_before: 8, ..Plan::default() }, Severity::Low),
        ("an update service", Plan { sni: Some("download.windowsupdate.com"), ..Plan::default() }, Severity::Info),
    ] {
        let told = case(&plan).told();
        let worst = chains(&told).iter().map(|a| a.finding.severity).max().unwrap_or(Severity::Info);
        assert!(worst <= most, "{what}: {worst:?}\n{}", chains(&told)[0].finding.explanation);
    }
}

#[test]
fn a_first_contact_is_joined_to_an_act_for_five_minutes() {
    for (what, lag_s, expected) in [
        (Fires("at once"), 1, vec![Severity::High]),
        (Fires("minutes later"), 200, vec![Severity::Medium]),
        (Just("five minutes later"), 300, vec![Severity::Medium]),
        (JustNot("a second more"), 301, vec![]),
        (Just("a second earlier, as clocks differ"), -1, vec![Severity::High]),
        (JustNot("two seconds and a tenth earlier"), -2, vec![]),
        (Nearly("an hour later"), 3_600, vec![]),
    ] {
        let told = case(&Plan { lag_s, ..Plan::default() }).told();
        assert_eq!(severities(&told, "execution_chain"), expected, "{what}");
    }
}

#[test]
fn an_administrator_then_twenty_ordinary_destinations_is_information() {
    for (channel, most) in [(Channel::Winrm, Severity::Info), (Channel::Svcctl, Severity::Medium)] {
        let mut world = World::new(1_600_000_000);
        world.background();
        world.act(100, ACTOR, VICTIM, 445, channel, Act::Execute, "x");
        for n in 0..20_u32 {
            let name = format!("www.site{n}.example");
            world.contact(105 + i64::from(n) * 7, VICTIM, &format!("198.51.100.{}", n + 1), 443, Some(&name));
        }
        let told = world.told();
        assert!(chains(&told).is_empty(), "{:#?}", told.alerts);
        let worst = told.alerts.iter().map(|a| a.finding.severity).max().unwrap_or(Severity::Info);
        assert!(worst <= most, "{channel:?}: {worst:?}");
    }
}

#[test]
fn remote_execution_alone_is_a_finding_and_never_above_medium() {
    let mut world = World::new(1_600_000_000);
    world.background();
    for n in 0..18 {
        world.act(100 + n, ACTOR, VICTIM, 5985, Channel::Winrm, Act::Execute, "Command");
    }
    let told = world.told();
    assert!(told.findings.iter().map(|stated| &stated.finding).any(|f| f.detector == "remote_execution"));
    assert!(told.alerts.iter().all(|a| a.finding.severity <= Severity::Medium && a.kind == Kind::RemoteExecution));
}

#[test]
fn three_machines_of_one_server_are_one_campaign_and_not_three_alerts() {
    let mut world = World::new(1_600_000_000);
    world.background();
    let hosts: Vec<String> = (10..22).map(|n| format!("172.16.0.{n}")).collect();
    for (n, host) in (0_i64..).zip(&hosts) {
        world.act(100 + n * 20, ACTOR, host, 5985, Channel::Winrm, Act::Execute, "Command");
        world.beacon(104 + n * 20 + n, host, C2, 80, None, 12, 30);
    }
    world.act(500, ACTOR, "172.16.0.99", 5985, Channel::Winrm, Act::Execute, "Command");
    let told = world.told();
    let [alert] = above_info(&told)[..] else { panic!("{:#?}", told.alerts) };
    assert_eq!((alert.kind, alert.finding.severity, alert.tier), (Kind::StagingCampaign, Severity::Critical, 1));
    let scope = alert.scope.as_ref().unwrap();
    assert_eq!(scope.servers[0].ip, ip(ACTOR));
    let of = |tier| scope.hosts.iter().filter(|h| h.tier == tier).map(|h| h.ip.to_string()).collect::<Vec<_>>();
    assert_eq!(of(Tier::Confirmed), hosts);
    assert_eq!(of(Tier::Exposed), ["172.16.0.99"], "touched, nothing seen to go out");
    assert_eq!(scope.destinations.len(), 1);
}

#[test]
fn three_machines_on_which_a_server_made_code_run_are_a_campaign() {
    for (what, machines, acted, expected) in [
        (Fires("five"), 5, true, vec![Severity::Critical]),
        (Just("three"), 3, true, vec![Severity::Critical]),
        (JustNot("two: chains"), 2, true, vec![]),
        (Nearly("five that nobody acted on"), 5, false, vec![]),
    ] {
        let mut world = World::new(1_600_000_000);
        world.background();
        for n in 0..machines {
            let (at, host) = (100 + n * 20, format!("172.16.0.{}", 10 + n));
            if acted {
                world.act(at, ACTOR, &host, 5985, Channel::Winrm, Act::Execute, "Command");
            }
            world.beacon(at + 4, &host, C2, 80, None, 12, 30);
        }
        let told = world.told();
        assert_eq!(alerted(&told, "common_cause"), expected, "{what}: {:#?}", told.alerts);
    }
}

#[test]
fn what_one_server_does_at_other_times_and_places_is_another_story() {
    for (what, later, second, expected) in [
        ("three days later, elsewhere", 3 * 86_400, "198.51.100.99", 2),
        ("three days later, the same place", 3 * 86_400, C2, 1),
        ("an hour later, elsewhere", 3_600, "198.51.100.99", 1),
    ] {
        let mut world = World::new(1_600_000_000);
        world.background();
        for (begin, hosts, to) in [(100, 10..14, C2), (100 + later, 30..34, second)] {
            for n in hosts {
                let (at, host) = (begin + (n % 10) * 20, format!("172.16.0.{n}"));
                world.act(at, ACTOR, &host, 5985, Channel::Winrm, Act::Execute, "Command");
                world.beacon(at + 4, &host, to, 80, None, 12, 30);
            }
        }
        let told = world.told();
        let stories = campaigns(&told);
        assert_eq!(stories.len(), expected, "{what}: {:#?}", told.alerts);
        let hosts = stories.iter().flat_map(|alert| &alert.scope.as_ref().unwrap().hosts);
        assert_eq!(hosts.filter(|host| host.tier != Tier::Exposed).count(), 8, "{what}");
    }
}

#[test]
fn how_a_campaign_began_is_told_within_it_behind_the_server_that_touched_the_endpoints() {
    const STAGING: &str = "172.16.0.8";
    let mut world = World::new(1_600_000_000);
    world.background();
    world.act(100, ACTOR, STAGING, 5985, Channel::Winrm, Act::Execute, "Command");
    world.beacon(104, STAGING, C2, 80, None, 12, 300);
    for n in 10..15 {
        let (at, host) = (4_000 + n * 20, format!("172.16.0.{n}"));
        world.act(at, STAGING, &host, 5985, Channel::Winrm, Act::Execute, "Command");
        world.beacon(at + 4, &host, C2, 80, None, 12, 30);
    }
    let told = world.told();
    let stories: Vec<_> = told.alerts.iter().filter(|a| a.scope.is_some() && a.tier <= 3).collect();
    let [alert] = stories[..] else { panic!("{:#?}", told.alerts) };
    let servers: Vec<_> = alert.scope.as_ref().unwrap().servers.iter().map(|s| (s.ip, s.hop)).collect();
    assert_eq!((alert.kind, servers), (Kind::StagingCampaign, vec![(ip(STAGING), 0), (ip(ACTOR), 1)]));
}

#[test]
fn what_a_hub_was_made_to_meet_and_its_machines_meet_after_it_is_its_campaign() {
    const HUB: &str = "172.16.0.8";
    for (what, by_hub, users_before, expected) in [
        ("its machines", true, 0, true),
        ("the hub was not made to run anything", false, 0, false),
        ("somebody else went there before", true, 1, false),
    ] {
        let mut world = World::new(1_600_000_000);
        world.background();
        for n in 10..40 {
            (0..4).for_each(|hour| world.touch(hour * 3_600 + n * 30, &format!("172.16.0.{n}"), HUB, 4343));
        }
        (0..users_before).for_each(|_| world.contact(50, "172.16.0.200", C2, 443, Some("cdn.bad.example")));
        if by_hub {
            world.act(7_300, ACTOR, HUB, 5985, Channel::Winrm, Act::Execute, "Command");
        }
        world.beacon(7_304, HUB, C2, 443, Some("cdn.bad.example"), 12, 300);
        for n in 10..16 {
            world.contact(3 * 3_600 + n * 30 + 600, &format!("172.16.0.{n}"), C2, 443, Some("cdn.bad.example"));
        }
        let told = world.told();
        let found = told.alerts.iter().find(|alert| alert.tier == 1).and_then(|alert| alert.scope.as_ref());
        let servers = found.map(|scope| scope.servers.iter().map(|s| (s.ip, s.hop)).collect::<Vec<_>>());
        assert_eq!(servers, expected.then(|| vec![(ip(HUB), 0), (ip(ACTOR), 1)]), "{what}: {:#?}", told.alerts);
        assert_eq!(found.map(|scope| scope.hosts.len()), expected.then_some(6), "{what}");
    }
}

#[test]
fn machines_that_pull_from_a_server_and_then_keep_a_new_timer_point_to_it() {
    let mut world = World::new(1_600_000_000);
    world.background();
    // Everybody polls the server hourly at a time of their own, and others are not affected.
    let hosts: Vec<String> = (10..40).map(|n| format!("172.16.0.{n}")).collect();
    for (n, host) in (0_i64..).zip(&hosts) {
        for hour in 0..5 {
            world.touch(hour * 3600 + n * 110, host, ACTOR, 8080);
        }
        world.touch(n * 60, host, "172.16.0.2", 445);
    }
    for (n, host) in (0_i64..).zip(hosts.iter().take(20)) {
        world.beacon(4 * 3600 + n * 110 + 12 + n % 5, host, C2, 443, Some("tenant.files.example"), 16, 60);
    }
    let told = world.told();
    let alert =
        above_info(&told).into_iter().find(|a| a.kind != Kind::Beacon).unwrap_or_else(|| panic!("{:#?}", told.alerts));
    assert!(matches!(alert.kind, Kind::StagingCampaign | Kind::SharedDestination), "{:?}", alert.kind);
    assert!(alert.finding.severity >= Severity::High);
    let scope = alert.scope.as_ref().unwrap();
    assert_eq!(scope.servers[0].ip, ip(ACTOR), "{}", alert.finding.explanation);
    assert_eq!(scope.hosts.iter().filter(|h| h.tier != Tier::Exposed).count(), 20);
}

#[test]
fn a_server_that_manages_machines_is_not_excused_by_fetching_for_them() {
    for (what, role, expected) in [
        ("a proxy, and nothing else", None, false),
        ("declared to be one", Some(HostRole::Proxy), false),
        ("the server that updates them", Some(HostRole::AntivirusManagement), true),
    ] {
        let mut world = World::new(1_600_000_000);
        world.background();
        role.into_iter().for_each(|role| world.declare(ACTOR, role));
        for n in 10..40 {
            let host = format!("172.16.0.{n}");
            (0..5).for_each(|hour| world.touch(hour * 3600 + n * 110, &host, ACTOR, 3128));
            world.touch(n * 60, &host, "172.16.0.2", 445);
        }
        for (n, k) in (10..30).flat_map(|n| (0..16).map(move |k| (n, k))) {
            let at = 4 * 3600 + n * 110 + 12 + n % 5 + k * 60;
            world.tunnel(at, &format!("172.16.0.{n}"), ACTOR, "tenant.files.example:443", 200);
        }
        let told = world.told();
        let stories = told.alerts.iter().filter(|alert| alert.tier <= 2).filter_map(|alert| alert.scope.as_ref());
        let named = stories.flat_map(|scope| &scope.servers).any(|server| server.ip == ip(ACTOR));
        assert_eq!(named, expected, "{what}: {:#?}", told.alerts);
    }
}

#[test]
fn a_sweep_over_everybody_is_no_cause() {
    let mut world = World::new(1_600_000_000);
    let hosts: Vec<String> = (10..50).map(|n| format!("172.16.0.{n}")).collect();
    for host in &hosts {
        (0..8).for_each(|bin| world.touch(bin * 600, host, "172.16.0.2", 445));
    }
    // At noon the server is in contact with all; five of them then begin something new for reasons of their own.
    for (n, host) in (0_i64..).zip(&hosts) {
        world.touch(5400 + n, ACTOR, host, 21_112);
    }
    for (n, host) in (0_i64..).zip(hosts.iter().take(5)) {
        world.beacon(5450 + n * 7, host, C2, 443, Some("tenant.files.example"), 16, 60);
    }
    let told = world.told();
    let blamed = told.alerts.iter().filter(|a| !matches!(a.kind, Kind::Beacon));
    assert_eq!(blamed.count(), 0, "{:#?}", told.alerts);
}

#[test]
fn an_address_taken_to_be_inside_that_acts_like_a_controller_is_hinted_at() {
    let mut world = World::new(1_600_000_000);
    (0..20).for_each(|n| world.touch(n * 5, "172.16.0.5", "10.9.9.9", 80));
    (0..20).for_each(|n| world.touch(n * 5, "172.16.0.5", "172.16.0.2", 445));
    let told = world.told_with(Site::new(&[], &[]));
    assert!(told.hint.as_deref().unwrap().contains("--outside 10.9.9.9"), "{:?}", told.hint);
    let mut declared = World::new(1_600_000_000);
    (0..20).for_each(|n| declared.touch(n * 5, "172.16.0.5", "172.16.9.9", 80));
    assert_eq!(declared.told().hint, None, "what is declared is not doubted");
}

#[test]
fn the_result_depends_on_nothing_but_the_observations() {
    let one = case(&Plan::default()).told();
    let two = case(&Plan::default()).told();
    assert!(!one.findings.is_empty() && !one.alerts.is_empty());
    assert_eq!((one.findings, one.alerts), (two.findings, two.alerts));
}

/// An act by `actor` on `victim`, then the victim's first contact with `c2`, which the actor contacts too.
struct Plan {
    at: i64,
    actor: &'static str,
    victim: &'static str,
    c2: &'static str,
    c2_port: u16,
    sni: Option<&'static str>,
    act: Option<Act>,
    act_port: u16,
    channel: Channel,
    operation: &'static str,
    lag_s: i64,
    users_before: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            at: 1_600_000_000,
            actor: ACTOR,
            victim: VICTIM,
            c2: C2,
            c2_port: 80,
            sni: None,
            act: Some(Act::Execute),
            act_port: 445,
            channel: Channel::Svcctl,
            operation: "CreateServiceW",
            lag_s: 1,
            users_before: 0,
        }
    }
}

fn case(plan: &Plan) -> World {
    let mut world = World::new(plan.at);
    world.background();
    for n in 0..plan.users_before {
        world.contact(20 + i64::from(n), &format!("172.16.0.{}", 100 + n), plan.c2, plan.c2_port, plan.sni);
    }
    world.contact(30, plan.actor, plan.c2, plan.c2_port, plan.sni);
    world.contact(60, plan.actor, plan.c2, plan.c2_port, plan.sni);
    if let Some(act) = plan.act {
        world.act(200, plan.actor, plan.victim, plan.act_port, plan.channel, act, plan.operation);
    }
    world.beacon(200 + plan.lag_s, plan.victim, plan.c2, plan.c2_port, plan.sni, 6, 5);
    world
}

fn chains(told: &Told) -> Vec<&Alert> {
    told.alerts.iter().filter(|a| matches!(a.kind, Kind::ExecutionChain | Kind::StagingCampaign)).collect()
}

fn only_chain(told: &Told) -> &Alert {
    let [alert] = chains(told)[..] else { panic!("{:#?}", told.alerts) };
    assert_eq!(alert.kind, Kind::ExecutionChain);
    alert
}

fn above_info(told: &Told) -> Vec<&Alert> {
    told.alerts.iter().filter(|a| a.finding.severity > Severity::Info).collect()
}
