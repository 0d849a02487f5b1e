//! What hosts of the site do to each other, as a specification: what fires, what nearly does, how much it matters.

use super::scene::Case::{Fires, Just, JustNot, Nearly};
use super::scene::severities;
use super::world::World;
use crate::detect::Severity;
use crate::event::{Act, Channel};
use crate::profile::HostRole;

const START: i64 = 1_600_000_000;
const ACTOR: &str = "172.16.0.5";

/// The `n`th machine of the site.
fn machine(n: i64) -> String {
    format!("172.16.1.{n}")
}

#[test]
fn acting_on_many_machines_within_minutes_is_a_sweep() {
    for (what, channel, act, machines, gap_s, role, expected) in [
        (Just("services on three"), Channel::Svcctl, Act::Execute, 3, 60, None, vec![Severity::Medium]),
        (JustNot("services on two"), Channel::Svcctl, Act::Execute, 2, 60, None, vec![]),
        (Nearly("services on three, one each quarter"), Channel::Svcctl, Act::Execute, 3, 900, None, vec![]),
        (Nearly("services looked at"), Channel::Svcctl, Act::Administer, 5, 60, None, vec![]),
        (Fires("processes on two"), Channel::Wmi, Act::Execute, 2, 60, None, vec![Severity::Medium]),
        (Nearly("processes on one"), Channel::Wmi, Act::Execute, 1, 60, None, vec![]),
        (Just("processes on two in ten minutes"), Channel::Wmi, Act::Execute, 2, 600, None, vec![Severity::Medium]),
        (JustNot("in a second more"), Channel::Wmi, Act::Execute, 2, 601, None, vec![]),
        (
            Nearly("software distribution"),
            Channel::Svcctl,
            Act::Execute,
            9,
            10,
            Some(HostRole::SoftwareDistribution),
            vec![Severity::Info],
        ),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(ACTOR, role));
        (0..machines).for_each(|n| world.act(10 + n * gap_s, ACTOR, &machine(n), 445, channel, act, "x"));
        assert_eq!(severities(&world.told(), "execution_fan_out"), expected, "{what}");
    }
}

#[test]
fn a_sweep_is_no_news_of_who_acts_every_day_through_a_door_it_knows() {
    const DAY: i64 = 86_400;
    for (what, days, expected) in [
        (
            JustNot("three days, one of them by this door"),
            &[Channel::Winrm, Channel::Svcctl, Channel::Winrm][..],
            vec![],
        ),
        (Just("two days by this door"), &[Channel::Svcctl, Channel::Svcctl], vec![Severity::Medium]),
        (Fires("three days by another"), &[Channel::Winrm, Channel::Winrm, Channel::Winrm], vec![Severity::Medium]),
    ] {
        let mut world = World::new(START);
        for (day, channel) in (0..).zip(days) {
            world.act(10 + day * DAY, ACTOR, &machine(9), 445, *channel, Act::Execute, "x");
        }
        (0..3).for_each(|n| world.act(8 * DAY + n, ACTOR, &machine(n), 445, Channel::Svcctl, Act::Execute, "x"));
        assert_eq!(severities(&world.told(), "execution_fan_out"), expected, "{what}");
    }
}

#[test]
fn a_sweep_is_told_once_and_not_again_for_each_machine() {
    let mut world = World::new(START);
    (0..5).for_each(|n| world.act(10 + n, ACTOR, &machine(n), 445, Channel::Svcctl, Act::Execute, "x"));
    let told = world.told();
    let kinds: Vec<_> = told.alerts.iter().map(|alert| alert.finding.detector).collect();
    assert_eq!(kinds, ["execution_fan_out"]);
    assert_eq!(told.alerts[0].finding.entities.len(), 6, "the actor and five machines");
}

#[test]
fn asking_many_machines_for_their_shares_is_enumeration() {
    for (what, machines, gap_s, operation, role, expected) in [
        (Fires("thirty machines"), 30, 5, "NetrSessionEnum", None, vec![Severity::Medium]),
        (Just("ten machines"), 10, 30, "NetrShareEnum", None, vec![Severity::Medium]),
        (JustNot("nine machines"), 9, 30, "NetrShareEnum", None, vec![]),
        (Just("ten in just under ten minutes"), 10, 66, "NetrShareEnum", None, vec![Severity::Medium]),
        (JustNot("ten in just over"), 10, 67, "NetrShareEnum", None, vec![]),
        (Nearly("ten in two hours"), 10, 720, "NetrShareEnum", None, vec![]),
        (Nearly("a share's own data"), 10, 30, "NetrShareGetInfo", None, vec![]),
        (Nearly("inventory"), 20, 5, "NetrSessionEnum", Some(HostRole::Inventory), vec![Severity::Info]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(ACTOR, role));
        (0..machines).for_each(|n| world.call(10 + n * gap_s, ACTOR, &machine(n), operation));
        assert_eq!(severities(&world.told(), "enumeration"), expected, "{what}");
    }
}

#[test]
fn some_operations_are_the_deed_itself_unless_the_caller_is_there_for_them() {
    for (what, operation, role, expected) in [
        (Fires("the directory replicated by nobody known"), "DRSGetNCChanges", None, vec![Severity::Critical]),
        (Nearly("by a domain controller"), "DRSGetNCChanges", Some(HostRole::DomainController), vec![Severity::Info]),
        (Fires("a hive saved"), "BaseRegSaveKey", None, vec![Severity::Critical]),
        (
            Just("by backup, which may only save hives"),
            "DRSGetNCChanges",
            Some(HostRole::Backup),
            vec![Severity::Critical],
        ),
        (JustNot("a hive saved by backup"), "BaseRegSaveKeyEx", Some(HostRole::Backup), vec![Severity::Info]),
        (Nearly("a value read"), "BaseRegQueryValue", None, vec![]),
        (Fires("a log cleared"), "EvtRpcClearLog", None, vec![Severity::High]),
        (Nearly("a log read"), "EvtRpcQueryNext", None, vec![]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(ACTOR, role));
        world.call(10, ACTOR, "172.16.0.2", operation);
        assert_eq!(severities(&world.told(), "telltale_call"), expected, "{what}");
    }
}

#[test]
fn who_serves_a_directory_may_replicate_one() {
    let mut world = World::new(START);
    world.call(10, "172.16.1.1", ACTOR, "NetrLogonSamLogonEx");
    world.call(60, ACTOR, "172.16.0.2", "DRSGetNCChanges");
    assert_eq!(severities(&world.told(), "telltale_call"), [Severity::Info]);
}

#[test]
fn a_server_that_connects_to_whoever_named_a_path_was_coerced() {
    const SERVER: &str = "172.16.0.2";
    for (what, operation, back, expected) in [
        (Fires("a path opened, and the server came"), "EfsRpcOpenFileRaw", Some((12, 445)), vec![Severity::High]),
        (Fires("over HTTP"), "EfsRpcEncryptFileSrv", Some((12, 80)), vec![Severity::High]),
        (Nearly("nobody came"), "EfsRpcOpenFileRaw", None, vec![Severity::Low]),
        (Just("a minute later"), "EfsRpcOpenFileRaw", Some((70, 445)), vec![Severity::High]),
        (JustNot("a second more"), "EfsRpcOpenFileRaw", Some((71, 445)), vec![Severity::Low]),
        (Nearly("an hour later"), "EfsRpcOpenFileRaw", Some((3700, 445)), vec![Severity::Low]),
        (Nearly("to another port"), "EfsRpcOpenFileRaw", Some((12, 3389)), vec![Severity::Low]),
        (
            Fires("print notifications connect back"),
            "RpcRemoteFindFirstPrinterChangeNotificationEx",
            Some((12, 445)),
            vec![Severity::Medium],
        ),
        (Nearly("print notifications"), "RpcRemoteFindFirstPrinterChangeNotificationEx", None, vec![Severity::Info]),
        (Nearly("another operation"), "NetrDfsGetInfo", Some((12, 445)), vec![]),
    ] {
        let mut world = World::new(START);
        world.call(10, ACTOR, SERVER, operation);
        back.into_iter().for_each(|(s, port)| world.touch(s, SERVER, ACTOR, port));
        assert_eq!(severities(&world.told(), "coerced_authentication"), expected, "{what}");
    }
}
