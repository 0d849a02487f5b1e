//! Weak signs as a specification: when each is said at all, and when those of a host add up to something told.

use super::scene::Case::{Fires, Just, JustNot, Nearly};
use super::scene::{Talk, severities};
use super::world::World;
use crate::base::Transport;
use crate::detect::Severity;

const START: i64 = 1_600_000_000;
const DAY: i64 = 86_400;
const HOST: &str = "172.16.0.7";
const OUTSIDE: &str = "203.0.113.9";
const COMMON: Option<&str> = Some("www.a.example");

/// The `n`th machine of the site.
fn machine(n: i64) -> String {
    format!("172.16.{}.{}", 1 + n / 200, n % 200)
}

#[test]
fn a_destination_is_rare_where_one_contact_in_twenty_is_with_as_few() {
    // Four hundred machines go to the same place, and some of them to a place of their own.
    for (what, own_places, users, said) in [
        (Fires("nobody else has such a place"), 0, 0, true),
        (Just("forty-two have: with half of their own kind one in twenty"), 42, 0, true),
        (JustNot("forty-three"), 43, 0, false),
        (Nearly("a place of ten others, as few have"), 0, 10, true),
        (Nearly("a place half of them use"), 0, 200, false),
    ] {
        let mut world = World::new(START);
        (0..400).for_each(|n| world.contact(n, &machine(n), "192.0.2.9", 443, COMMON));
        for n in 0..own_places {
            world.contact(500 + n, &machine(n), "192.0.2.9", 443, Some(&format!("www.s{n}.example")));
        }
        (0..users).for_each(|n| world.contact(600 + n, &machine(n), OUTSIDE, 443, Some("www.rare.example")));
        world.contact(6_000, HOST, OUTSIDE, 443, Some("www.rare.example"));
        assert_eq!(!world.signs("rare_destination", 6_000).is_empty(), said, "{what}");
    }
}

#[test]
fn an_address_without_a_name_is_a_sign_of_a_host_that_goes_by_names() {
    for (what, contacts, nameless, name, said) in [
        (Fires("after forty contacts by name"), 40, 0, None, true),
        (Just("after twenty"), 20, 0, None, true),
        (JustNot("after nineteen"), 19, 0, None, false),
        (Just("one contact in eight went without"), 40, 5, None, true),
        (JustNot("one more"), 40, 6, None, false),
        (Nearly("a handshake named it"), 40, 0, Some("www.b.example"), false),
        (Nearly("half of what it does goes without: telephony"), 40, 40, None, false),
    ] {
        let mut world = World::new(START);
        for n in 0..contacts {
            world.ask(n * 60, HOST, "172.16.0.2", ("www.a.example", "A"), &["192.0.2.9"]);
            world.contact(n * 60 + 1, HOST, "192.0.2.9", 443, COMMON);
        }
        (0..nameless).for_each(|n| world.contact(9_000 + n * 60, HOST, &format!("198.51.100.{n}"), 443, None));
        world.contact(DAY, HOST, OUTSIDE, 443, name);
        assert_eq!(!world.signs("direct_address", DAY).is_empty(), said, "{what}");
    }
}

#[test]
fn what_nobody_recognises_in_bulk_over_a_port_of_look_ups_is_a_sign_and_an_upload_like_any_other() {
    for (what, port, service, up, said) in [
        (Fires("megabytes to the port of address discovery"), 3478, "", 900_000_000, true),
        (Fires("to that of time"), 123, "", 900_000_000, true),
        (Fires("to that of look-ups"), 53, "", 900_000_000, true),
        (Just("64 KiB"), 3478, "", 65_536 - 100, true),
        (JustNot("a byte less"), 3478, "", 65_536 - 101, false),
        (Nearly("a relayed call"), 3478, "stun", 900_000_000, false),
        (Nearly("datagrams to any port"), 8219, "", 900_000_000, false),
    ] {
        let world = || {
            let mut world = World::new(START);
            world.say(10, &Talk { transport: Transport::Udp, port, service, up, down: 100, ..Talk::default() });
            world
        };
        assert_eq!(world().signs("protocol_mismatch", 0), if said { vec![2.0] } else { vec![] }, "{what}");
        let uploads = severities(&world().told(), "upload_tail").len();
        assert_eq!(uploads == 1, up > 1_000_000 && service.is_empty(), "{what}: {uploads} uploads");
    }
}

#[test]
fn what_nobody_recognises_is_a_sign_where_both_sides_had_their_say() {
    for (what, port, up, down, said) in [
        (Fires("kilobytes to the web's port"), 443, 9_000, 9_000, vec![2.0]),
        (Just("512 bytes of the quieter side"), 443, 9_000, 512, vec![2.0]),
        (JustNot("a byte less"), 443, 9_000, 511, vec![]),
        (Nearly("a port that promises nothing"), 8219, 9_000, 9_000, vec![]),
    ] {
        let mut world = World::new(START);
        world.say(10, &Talk { port, service: "", up, down, ..Talk::default() });
        assert_eq!(world.signs("protocol_mismatch", 0), said, "{what}");
    }
}

#[test]
fn two_signs_of_different_groups_are_told_once_two_thousand_host_days_know_no_such_sum() {
    for (what, hosts, away, service, expected) in [
        (Fires("SSH to the web's port of a place nobody knows"), 300, 0, "ssh", vec![Severity::Medium]),
        (Just("two hundred hosts, ten days"), 200, 0, "ssh", vec![Severity::Medium]),
        (JustNot("one of them was away for a day"), 200, 1, "ssh", vec![]),
        (Nearly("a place nobody knows, and nothing else"), 300, 0, "ssl", vec![]),
    ] {
        let mut world = World::new(START);
        for (day, n) in (0..10).flat_map(|day| (0..hosts - 1).map(move |n| (day, n))) {
            if day != 5 || n >= away {
                world.contact(day * DAY + n, &machine(n), "192.0.2.9", 443, COMMON);
            }
        }
        (0..10).for_each(|day| world.contact(day * DAY + 600, HOST, "192.0.2.9", 443, COMMON));
        world.say(10 * DAY + 700, &Talk { name: Some("www.rare.example"), service, ..Talk::default() });
        // A sum is weighed at the next step.
        world.contact(10 * DAY + 4_000, HOST, "192.0.2.9", 443, COMMON);
        assert_eq!(severities(&world.told(), "host_anomaly"), expected, "{what}");
    }
}
