//! Covert channels as a specification: names, echoes, ports and long conversations that carry more than they should.

use super::scene::Case::{Fires, Just, JustNot, Nearly};
use super::scene::{Talk, severities};
use super::world::World;
use crate::detect::Severity;
use crate::event::Transport;
use crate::profile::HostRole;

pub(super) const START: i64 = 1_600_000_000;
const HOST: &str = "172.16.0.7";
const RESOLVER: &str = "172.16.0.2";

/// `n` as `letters` of base32, different in every place for different `n`.
pub(super) fn label(n: u64, letters: usize) -> String {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995;
    (0..letters)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::try_from(state >> 59).unwrap()])
        })
        .collect()
}

#[test]
fn names_that_carry_kilobytes_a_day_are_a_tunnel() {
    for (what, names, letters, clients, parent, role, expected) in [
        // A label of 40 random letters carries some 22 bytes.
        (Fires("400 names of 40 letters"), 400, 40, 1, "x9.example", None, vec![Severity::Low]),
        (Just("4 kB"), 192, 40, 1, "x9.example", None, vec![Severity::Low]),
        (JustNot("a name less"), 191, 40, 1, "x9.example", None, vec![]),
        (Nearly("half of it"), 96, 40, 1, "x9.example", None, vec![]),
        (Fires("4,000 names"), 4000, 50, 1, "x9.example", None, vec![Severity::Medium]),
        (Nearly("short ordinary names"), 400, 3, 1, "x9.example", None, vec![]),
        (Nearly("a service that many ask"), 400, 40, 8, "cdn.example", None, vec![]),
        (Nearly("reverse look-ups"), 400, 40, 1, "2.0.192.in-addr.arpa", None, vec![]),
        (Nearly("block lists of a mail server"), 400, 40, 1, "x9.example", Some(HostRole::Mail), vec![]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(HOST, role));
        for client in 0..clients {
            let host = if client == 0 { HOST.to_owned() } else { format!("172.16.2.{client}") };
            for n in 0..names {
                let name = format!("{}.{parent}", label(u64::try_from(n).unwrap(), letters));
                world.ask(n, &host, RESOLVER, (&name, "A"), &["198.51.100.1"]);
            }
        }
        assert_eq!(severities(&world.told(), "dns_tunnel"), expected, "{what}");
    }
}

#[test]
fn a_tunnel_is_laid_to_the_client_and_not_to_the_resolver_that_asks_for_it() {
    for (what, clients_seen, expected) in [("clients seen", true, HOST), ("resolver only", false, RESOLVER)] {
        let mut world = World::new(START);
        for n in 0..400_i64 {
            let name = format!("{}.x9.example", label(u64::try_from(n).unwrap(), 40));
            if clients_seen {
                world.ask(n, HOST, RESOLVER, (&name, "TXT"), &["198.51.100.1"]);
            }
            world.ask(n, RESOLVER, "203.0.113.53", (&name, "TXT"), &["198.51.100.1"]);
        }
        let told = world.told();
        let accused: Vec<_> =
            told.findings.iter().map(|stated| &stated.finding).filter(|f| f.detector == "dns_tunnel").collect();
        assert_eq!(accused.len(), 1, "{what}");
        assert_eq!(accused[0].entities[0].ip, Some(super::world::ip(expected)), "{what}");
    }
}

#[test]
fn many_names_that_do_not_exist_are_generated() {
    for (what, missing, found, gap_s, top, expected) in [
        (Fires("forty within the hour"), 40, 5, 10, "example", vec![Severity::Low]),
        (Just("thirty"), 30, 0, 10, "example", vec![Severity::Low]),
        (JustNot("twenty-nine"), 29, 0, 10, "example", vec![]),
        (Just("thirty in just under an hour"), 30, 0, 124, "example", vec![Severity::Low]),
        (JustNot("thirty in just over"), 30, 0, 125, "example", vec![]),
        (Nearly("forty in a day"), 40, 0, 2000, "example", vec![]),
        (Nearly("a crawler"), 40, 90, 10, "example", vec![]),
        (Nearly("a wrong search suffix"), 40, 5, 10, "local", vec![]),
    ] {
        let mut world = World::new(START);
        for n in 0..missing {
            let name = format!("{}.{top}", label(u64::try_from(n).unwrap(), 12));
            world.ask(n * gap_s, HOST, RESOLVER, (&name, "A"), &[]);
        }
        for n in 0..found {
            let name = format!("{}.example", label(u64::try_from(n + 500).unwrap(), 9));
            world.ask(n * 4, HOST, RESOLVER, (&name, "A"), &["198.51.100.1"]);
        }
        assert_eq!(severities(&world.told(), "dga"), expected, "{what}");
    }
}

#[test]
fn echoes_whose_answers_differ_or_that_are_large_in_bulk_carry_data() {
    for (what, packets, up, down, expected) in [
        (Fires("a tunnel"), 200, 9_000, 190_000, vec![Severity::Medium]),
        (Nearly("ordinary pings"), 200, 200 * 32, 200 * 32, vec![]),
        (Nearly("few and unlike"), 6, 100, 900, vec![]),
        (Nearly("large and mirrored, in bulk"), 200, 200 * 1400, 200 * 1400, vec![Severity::Info]),
        (Just("large and mirrored, a megabyte"), 749, 749 * 1400, 749 * 1400, vec![Severity::Low]),
        (JustNot("an echo less"), 748, 748 * 1400, 748 * 1400, vec![Severity::Info]),
        (Nearly("small and mirrored, as much"), 40_000, 40_000 * 32, 40_000 * 32, vec![]),
        (Nearly("large and mirrored, a few"), 20, 20 * 1400, 20 * 1400, vec![]),
    ] {
        let mut world = World::new(START);
        let talk = Talk { transport: Transport::Icmp, service: "", port: 0, packets, up, down, ..Talk::default() };
        world.say(10, &talk);
        assert_eq!(severities(&world.told(), "icmp_tunnel"), expected, "{what}");
    }
}

#[test]
fn what_is_spoken_is_held_against_what_the_port_promises() {
    for (what, port, service, up, expected) in [
        (Fires("SSH to the web's port"), 443, "ssh", 9_000, vec![Severity::Low]),
        (Nearly("TLS where it belongs"), 443, "ssl", 9_000, vec![]),
        (Nearly("SSH where it belongs"), 22, "ssh", 9_000, vec![]),
        (Nearly("TLS to the clear web's port"), 80, "ssl", 9_000, vec![Severity::Info]),
        (Nearly("a port that promises nothing"), 8219, "ssh", 9_000, vec![]),
        (Nearly("nobody knows what, and nobody claims"), 443, "", 9_000, vec![]),
    ] {
        let mut world = World::new(START);
        world.say(10, &Talk { port, service, up, down: 9_000, ..Talk::default() });
        assert_eq!(severities(&world.told(), "protocol_mismatch"), expected, "{what}");
    }
}

#[test]
fn a_conversation_of_hours_with_somebody_rare_is_for_the_record() {
    for (what, lasts, name, others, expected) in [
        (Fires("five hours"), 5 * 3600, "relay.rare.example", 0, vec![Severity::Info]),
        (Just("four hours"), 4 * 3600, "relay.rare.example", 0, vec![Severity::Info]),
        (JustNot("a second less"), 4 * 3600 - 1, "relay.rare.example", 0, vec![]),
        (Nearly("with somebody everybody uses"), 5 * 3600, "chat.common.example", 6, vec![]),
        (Nearly("with an update service"), 5 * 3600, "download.windowsupdate.com", 0, vec![]),
    ] {
        let mut world = World::new(START);
        for n in 0..others {
            world.contact(n, &format!("172.16.3.{n}"), "203.0.113.9", 443, Some(name));
        }
        world.say(10, &Talk { lasts, name: Some(name), ..Talk::default() });
        assert_eq!(severities(&world.told(), "long_connection"), expected, "{what}");
    }
}
