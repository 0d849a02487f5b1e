//! A public cloud that the whole site uses, as a specification: what couples it to a server's acts, and what does not.

use super::analysis::Told;
use super::scene::Case::{Fires, Just, JustNot, Nearly};
use super::scene::alerted;
use super::world::{World, campaigns, ip};
use crate::campaign::{Advice, Tier};
use crate::detect::Severity;
use crate::event::{Act, Channel};

const START: i64 = 1_600_000_000;
const DAY: i64 = 86_400;
const ACTOR: &str = "172.16.0.5";
const CLOUD: &str = "192.0.2.30";
const NAME: &str = "storage.googleapis.com";
/// Hosts of the site.
const FLEET: i64 = 60;

/// What happens on the fifth day.
#[derive(Clone, Copy)]
struct Plan {
    victims: i64,
    /// Machines acted on that go nowhere.
    others: i64,
    /// Seconds from act to contact.
    lag_s: i64,
    /// Contacts of each from then on, so many seconds apart.
    calls: i64,
    apart_s: i64,
    acted: bool,
    /// Everybody goes there at that moment.
    crowd: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { victims: 5, others: 4, lag_s: 20, calls: 9, apart_s: 400, acted: true, crowd: false }
    }
}

fn host(n: i64) -> String {
    format!("172.16.1.{}", n + 10)
}

fn told(plan: &Plan) -> Told {
    let mut world = World::new(START);
    for day in 0..5 {
        for n in 0..FLEET {
            // Eight hours in use; with the cloud once a day, at an hour of its own.
            for k in 0..24 {
                world.touch(day * DAY + n * 7 + k * 1200, &host(n), "172.16.0.2", 445);
                world.contact(day * DAY + n * 11 + k * 1200 + 40, &host(n), "192.0.2.9", 443, Some("www.a.example"));
            }
            world.contact(day * DAY + (n * 977) % 28_000, &host(n), CLOUD, 443, Some(NAME));
        }
    }
    let at = 4 * DAY + 9_000;
    for n in 0..plan.victims + plan.others {
        if plan.acted {
            world.act(at + n * 40, ACTOR, &host(n), 5985, Channel::Winrm, Act::Execute, "Command");
        }
        if n < plan.victims {
            let first = at + n * 40 + plan.lag_s;
            world.beacon(first, &host(n), CLOUD, 443, Some(NAME), plan.calls, plan.apart_s);
        }
    }
    if plan.crowd {
        (plan.victims..FLEET).for_each(|n| world.contact(at + n * 9, &host(n), CLOUD, 443, Some(NAME)));
    }
    world.touch(4 * DAY + 9_000 + 4 * 3600, &host(0), "172.16.0.2", 445);
    world.told()
}

#[test]
fn machines_led_to_a_cloud_everybody_uses_and_that_go_on_are_a_campaign() {
    let told = told(&Plan::default());
    let [alert] = campaigns(&told)[..] else { panic!("{:#?}", told.alerts) };
    assert_eq!((alert.finding.severity, alert.tier), (Severity::Critical, 1));
    let scope = alert.scope.as_ref().unwrap();
    assert_eq!(scope.servers[0].ip, ip(ACTOR));
    let named: Vec<_> = scope.hosts.iter().filter(|h| h.tier != Tier::Exposed).map(|h| h.ip).collect();
    assert_eq!(named, (0..5).map(|n| ip(&host(n))).collect::<Vec<_>>());
    assert!(
        scope.hosts.iter().all(|h| h.first_seen.secs() >= START + 4 * DAY),
        "what they did before is no part of it"
    );
    let [destination] = &scope.destinations[..] else { panic!("{:?}", scope.destinations) };
    assert_eq!((&*destination.value, destination.advice), (NAME, Advice::BlockForScopeOnly));
    let said = alert.finding.explanation.to_string();
    assert!(said.contains("which the site uses") && !said.contains("for the first time"), "{said}");
}

#[test]
fn what_does_not_couple_a_cloud_to_a_server_tells_no_campaign() {
    for (what, plan, expected) in [
        (Fires("five, promptly, and they go on"), Plan::default(), vec![Severity::Critical]),
        (Just("three"), Plan { victims: 3, ..Plan::default() }, vec![Severity::Critical]),
        (JustNot("two"), Plan { victims: 2, ..Plan::default() }, vec![]),
        (Nearly("one fetch each: an administrator's"), Plan { calls: 1, ..Plan::default() }, vec![]),
        (Nearly("two further contacts each"), Plan { calls: 3, ..Plan::default() }, vec![]),
        (Nearly("nobody acted"), Plan { acted: false, ..Plan::default() }, vec![]),
        (Just("ten minutes later"), Plan { lag_s: 600, ..Plan::default() }, vec![Severity::Critical]),
        (JustNot("a second more"), Plan { lag_s: 601, ..Plan::default() }, vec![]),
        (Nearly("two hours later"), Plan { lag_s: 7200, ..Plan::default() }, vec![]),
        (Nearly("everybody goes there at that moment"), Plan { crowd: true, ..Plan::default() }, vec![]),
    ] {
        let told = told(&plan);
        assert_eq!(alerted(&told, "common_cause"), expected, "{what}: {:#?}", told.alerts);
    }
}
