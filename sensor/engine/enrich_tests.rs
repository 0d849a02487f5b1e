//! What else belongs to a story, as a specification: destinations its hosts share beyond chance, and none that others use.

use super::world::{World, campaigns};
use crate::campaign::Tier;
use crate::event::{Act, Channel};

const START: i64 = 1_600_000_000;
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
const SERVER: &str = "172.16.0.8";
const SECOND: &str = "second.controller.example";

/// Twelve machines are made to call back among some more; hours later some of them, and some others, meet another name.
/// What the campaign's destinations are comes back, and how many hosts are affected.
fn told(bystanders: i64, victims: i64, others: i64, days_before: i64) -> (Vec<String>, usize) {
    let mut world = World::new(START);
    let at = 10 * DAY;
    let bystander = |n: i64| format!("172.16.{}.{}", 3 + n / 200, n % 200);
    for (day, n) in [0, 9].into_iter().flat_map(|day| (0..bystanders).map(move |n| (day, n))) {
        world.contact(day * DAY + n * 30, &bystander(n), "192.0.2.80", 443, Some("www.usual.example"));
    }
    // They meet something new every day, so one more name is no sign.
    for (day, n) in (0..if bystanders > 48 { 10 } else { 0 }).flat_map(|day| (0..bystanders).map(move |n| (day, n))) {
        let name = format!("www.site-{}.example", day * bystanders + n);
        world.contact(day * DAY + 20_000 + n * 30, &bystander(n), "192.0.2.81", 443, Some(&name));
    }
    if days_before > 0 {
        world.contact(at - days_before * DAY, "172.16.3.1", "198.51.100.70", 443, Some(SECOND));
    }
    for n in 0..12 {
        let host = format!("172.16.1.{n}");
        world.contact(9 * DAY + n * 30, &host, "192.0.2.80", 443, Some("www.usual.example"));
        world.act(at + n * 200, SERVER, &host, 5985, Channel::Winrm, Act::Execute, "Command");
        world.beacon(at + n * 200 + 4, &host, "203.0.113.77", 443, Some("first.controller.test"), 30, 240);
        if n < victims {
            world.beacon(at + 5 * HOUR + n * 611, &host, "198.51.100.70", 443, Some(SECOND), 3, 900);
        }
    }
    for n in 0..others {
        world.contact(at + 5 * HOUR + n * 401, &bystander(n), "198.51.100.70", 443, Some(SECOND));
    }
    world.contact(at + 12 * HOUR, "172.16.3.40", "192.0.2.80", 443, Some("www.usual.example"));
    let told = world.told();
    let campaigns = campaigns(&told);
    assert_eq!(campaigns.len(), 1, "{:#?}", told.alerts);
    let scope = campaigns[0].scope.as_ref().unwrap();
    assert_eq!(scope.servers[0].ip, super::world::ip(SERVER));
    let affected = scope.hosts.iter().filter(|host| host.tier != Tier::Exposed).count();
    (scope.destinations.iter().map(|destination| destination.value.to_string()).collect(), affected)
}

#[test]
fn a_second_name_that_the_same_machines_meet_belongs_to_the_story_unless_others_meet_it_too() {
    for (what, victims, others, days_before, belongs) in [
        ("ten of the twelve and nobody else", 10, 0, 0, true),
        ("five of the twelve", 5, 0, 0, true),
        ("two of the twelve: a chance in thirty", 2, 0, 0, false),
        ("one", 1, 0, 0, false),
        ("ten of them and forty others", 10, 40, 0, false),
        ("ten of them, of what somebody used nine days before", 10, 0, 9, false),
    ] {
        let (destinations, _) = told(48, victims, others, days_before);
        assert!(destinations.iter().any(|d| d.contains("first.controller")), "{what}: {destinations:?}");
        let found = destinations.iter().any(|d| d.contains("second.controller"));
        assert_eq!(found, belongs, "{what}: {destinations:?}");
    }
}

#[test]
fn a_name_that_up_to_three_times_as_many_others_take_up_is_named_and_beyond_that_is_a_service() {
    for (what, others, belongs, affected) in [
        ("nine of the twelve, and five others", 5, true, 17),
        ("as many others", 9, true, 21),
        ("more than three times as many", 28, false, 12),
    ] {
        let (destinations, hosts) = told(400, 9, others, 0);
        let found = destinations.iter().any(|d| d.contains("second.controller"));
        assert_eq!((found, hosts), (belongs, affected), "{what}: {destinations:?}");
    }
    let (destinations, _) = told(400, 9, 27, 0);
    assert!(destinations.iter().any(|d| d.contains("second.controller")), "three times as many: {destinations:?}");
}
