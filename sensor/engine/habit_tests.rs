//! What needs a fleet and days to be unusual, as a specification: who goes where, with what, when and with how much.

use super::scene::Case::{Fires, Just, JustNot, Nearly};
use super::scene::{Talk, certificate, severities};
use super::world::World;
use crate::detect::{Role, Severity};
use crate::event::{Act, Channel, Event, Timestamp};
use crate::profile::HostRole;

const START: i64 = 1_600_000_000;
const DAY: i64 = 86_400;
const HOST: &str = "172.16.0.7";
const OUTSIDE: &str = "203.0.113.9";
const CHROMIUM: &str = "t13d1516h2_8daaf6152771_02713d6af862";
const SYSTEM: &str = "t12d190800_d83cc789557e_7af1ed941c26";
const FIREFOX_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/120.0";

#[test]
fn a_browser_by_name_that_is_the_systems_library_is_found_out() {
    for (what, agent, ja4, expected) in [
        (Fires("a browser's name, the system's hello"), Some(FIREFOX_AGENT), SYSTEM, vec![Severity::Info]),
        (Nearly("a browser's name and hello"), Some(FIREFOX_AGENT), CHROMIUM, vec![]),
        (Nearly("an honest script"), Some("WindowsPowerShell/5.1"), SYSTEM, vec![]),
        (Nearly("a hello nobody knows"), Some(FIREFOX_AGENT), "t13d0101h2_000000000000_000000000000", vec![]),
    ] {
        let mut world = World::new(START);
        world.request(10, HOST, OUTSIDE, "files.rare.example", agent);
        world.greet(20, HOST, OUTSIDE, |hello| {
            hello.sni = Some("files.rare.example".into());
            hello.ja4 = Some(ja4.into());
        });
        assert_eq!(severities(&world.told(), "client_mismatch"), expected, "{what}");
    }
}

#[test]
fn where_one_hello_speaks_for_everybody_nothing_is_said_about_clients() {
    for (what, others, expected) in [("a fleet of browsers", CHROMIUM, 1), ("a proxy speaks for all", SYSTEM, 0)] {
        let mut world = World::new(START);
        for n in 0..80 {
            world.greet(n, &format!("172.16.1.{}", n % 8), "198.51.100.7", |hello| {
                hello.sni = Some("www.common.example".into());
                hello.ja4 = Some(others.into());
            });
        }
        world.request(100, HOST, OUTSIDE, "files.rare.example", Some(FIREFOX_AGENT));
        world.greet(110, HOST, OUTSIDE, |hello| {
            hello.sni = Some("files.rare.example".into());
            hello.ja4 = Some(SYSTEM.into());
        });
        assert_eq!(severities(&world.told(), "client_mismatch").len(), expected, "{what}");
    }
}

#[test]
fn a_program_that_does_not_go_there_and_sends_more_than_it_gets_is_an_upload() {
    for (what, ja4, others, up, down, expected) in [
        (Fires("2 MB by the system's library where browsers go"), SYSTEM, 0, 2_000_000, 9_000, vec![Severity::Low]),
        (Just("a mebibyte"), SYSTEM, 0, 1_048_576, 9_000, vec![Severity::Low]),
        (JustNot("two bytes less"), SYSTEM, 0, 1_048_574, 9_000, vec![Severity::Info]),
        (Nearly("it fetches"), SYSTEM, 0, 2_000_000, 9_000_000, vec![Severity::Info]),
        (Nearly("a browser"), CHROMIUM, 0, 2_000_000, 9_000, vec![]),
        (
            Nearly("others have such a program too: it is the site's"),
            SYSTEM,
            2,
            2_000_000,
            9_000,
            vec![Severity::Info; 3],
        ),
    ] {
        let mut world = World::new(START);
        let mut visit = |at: i64, from: &str, ja4: &str, up: u64, down: u64| {
            let name = Some("store.rare.example");
            world.say(at, &Talk { from, to: OUTSIDE, up, down, name, ..Talk::default() });
            world.of_last_flow(|seen| {
                if let Event::Handshake(hello) = &mut seen.event {
                    hello.ja4 = Some(ja4.into());
                }
            });
        };
        // So many that the first few others are one in a hundred.
        (0..1_200).for_each(|n| visit(n, &format!("172.16.1.{}", n % 60), CHROMIUM, 900, 9_000));
        (0..others).for_each(|n| visit(1_300 + n, &format!("172.16.2.{n}"), ja4, 900, 9_000));
        visit(1_400, HOST, ja4, up / 2, down / 2);
        visit(1_500, HOST, ja4, up / 2, down / 2);
        assert_eq!(severities(&world.told(), "client_mismatch"), expected, "{what}");
    }
}

#[test]
fn a_proxy_is_who_fetches_for_others_and_nobody_hides_as_one() {
    const PROXY: &str = "172.16.0.3";
    for (what, role, clients, status, shared, outbound) in [
        ("it fetches for three", None, 3, 200, 1, 3),
        ("for two", None, 2, 200, 0, 2),
        ("it refuses", None, 3, 403, 0, 0),
        ("it was declared to be something else", Some(HostRole::AntivirusManagement), 3, 200, 0, 3),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(PROXY, role));
        for n in 0..clients {
            world.tunnel(n * 10, &format!("172.16.0.{}", 10 + n), PROXY, "files.rare.example:443", status);
        }
        let told = world.told();
        assert_eq!(told.identity.shared.len(), shared, "{what}");
        assert_eq!(told.counts.outbound_flows, outbound, "{what}: contacts of the clients");
    }
}

#[test]
fn name_address_and_certificate_belong_together() {
    let old = Timestamp::from_secs(START - 90 * DAY);
    // The hello comes a tenth of a second after the tenth.
    let week_old = START + 10 - 7 * DAY;
    let (new, young) = (Timestamp::from_secs(START - DAY), Timestamp::from_secs(week_old + 1));
    let not_young = Timestamp::from_secs(week_old);
    let covers: &[&str] = &["*.rare.example"];
    let other: &[&str] = &["other.example"];
    for (what, sni, looked_up, shown, expected) in [
        (Nearly("an ordinary server"), "www.rare.example", "www.rare.example", Some((covers, old, false)), vec![]),
        (Nearly("nobody looked it up"), "www.rare.example", "", Some((covers, old, false)), vec![]),
        (
            Nearly("for other names"),
            "www.rare.example",
            "www.rare.example",
            Some((other, old, false)),
            vec![Severity::Info],
        ),
        (
            Fires("and self-signed"),
            "www.rare.example",
            "www.rare.example",
            Some((other, old, true)),
            vec![Severity::Low],
        ),
        (
            Fires("and looked up by another name"),
            "www.rare.example",
            "x.front.example",
            Some((other, new, true)),
            vec![Severity::Medium],
        ),
        (
            Just("the certificate not quite a week old"),
            "www.rare.example",
            "x.front.example",
            Some((other, young, true)),
            vec![Severity::Medium],
        ),
        (
            JustNot("a second older"),
            "www.rare.example",
            "x.front.example",
            Some((other, not_young, true)),
            vec![Severity::Low],
        ),
        (Nearly("an address as a name"), "203.0.113.9", "", None, vec![Severity::Info]),
        (Nearly("a younger name of the same owner"), "b.rare.example", "a.rare.example", None, vec![]),
    ] {
        let mut world = World::new(START);
        if !looked_up.is_empty() {
            world.ask(5, HOST, "172.16.0.2", (looked_up, "A"), &[OUTSIDE]);
        }
        world.greet(10, HOST, OUTSIDE, |hello| {
            hello.sni = Some(sni.into());
            hello.certificate = shown.map(|(names, from, own)| certificate(names, from, own));
        });
        assert_eq!(severities(&world.told(), "sni_mismatch"), expected, "{what}");
    }
}

#[test]
fn a_name_that_nobody_looks_twice_at_covers_only_what_a_look_up_of_it_led_to() {
    const TRUSTED: &str = "ctldl.windowsupdate.com";
    for (what, looked_up, seen, address, background) in [
        (Nearly("its look-up led there"), TRUSTED, 40, OUTSIDE, true),
        (Nearly("that of another name of its owner did"), "dl.windowsupdate.com", 40, OUTSIDE, true),
        (Nearly("look-ups of this host are not seen"), "", 0, OUTSIDE, true),
        (Nearly("it is an address of the provider"), "", 40, "4.128.2.164", true),
        (Fires("nobody looked it up"), "", 40, OUTSIDE, false),
        (Fires("nobody looked it up, and it is another provider's"), "", 40, "54.231.0.9", false),
    ] {
        let world = || {
            let mut world = World::new(START);
            for n in 0..40 {
                if n < seen {
                    world.ask(n * 60, HOST, "172.16.0.2", ("www.a.example", "A"), &["192.0.2.9"]);
                }
                world.contact(n * 60 + 1, HOST, "192.0.2.9", 443, Some("www.a.example"));
            }
            if !looked_up.is_empty() {
                world.ask(2_990, HOST, "172.16.0.2", (looked_up, "A"), &[address]);
            }
            world.greet(3_000, HOST, address, |hello| hello.sni = Some(TRUSTED.into()));
            world
        };
        assert_eq!(world().signs("sni_mismatch", 0), if background { vec![] } else { vec![5.0] }, "{what}");
        assert_eq!(
            world().signs("direct_address", 3_000).is_empty(),
            background,
            "{what}: it is as if nobody named it"
        );
    }
}

#[test]
fn a_little_every_day_is_a_drip_and_once_much_is_none() {
    for (what, from, days, up, down, others, elsewhere, role, expected) in [
        (Fires("900 kB on six days"), 4, 6, 900_000, 9_000, 0, 0, None, vec![Severity::Low]),
        (Just("on three, the third not over yet"), 4, 3, 900_000, 9_000, 0, 0, None, vec![Severity::Low]),
        (JustNot("on two"), 4, 2, 900_000, 9_000, 0, 0, None, vec![]),
        (Nearly("since it was first seen"), 0, 6, 900_000, 9_000, 0, 0, None, vec![Severity::Info]),
        (Nearly("one more place for what it sends"), 4, 6, 900_000, 9_000, 0, 1_000_000, None, vec![Severity::Info; 2]),
        (Fires("from a server"), 4, 6, 900_000, 9_000, 0, 0, Some(HostRole::FileServer), vec![Severity::Medium]),
        (Nearly("less than is forgiven"), 4, 6, 50_000, 900, 0, 0, None, vec![]),
        (Nearly("once, and then nothing"), 4, 1, 5_000_000, 9_000, 0, 0, None, vec![]),
        (Nearly("more comes than goes"), 4, 6, 900_000, 9_000_000, 0, 0, None, vec![]),
        (Nearly("a service that many use"), 4, 6, 900_000, 9_000, 6, 0, None, vec![]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(HOST, role));
        for n in 0..others {
            world.contact(n, &format!("172.16.3.{n}"), OUTSIDE, 443, Some("drop.rare.example"));
        }
        let vault = Some("in.vault.example");
        let backup = Talk { to: "198.51.100.9", up: elsewhere, down: 900, name: vault, ..Talk::default() };
        (0..from).for_each(|day| world.say(50 + day * DAY, &backup));
        for day in from..from + days {
            world.say(100 + day * DAY, &Talk { up, down, name: Some("drop.rare.example"), ..Talk::default() });
        }
        let at = 100 + (from + days) * DAY;
        world.say(at, &Talk { up: 900, down: 90, name: Some("drop.rare.example"), ..Talk::default() });
        assert_eq!(severities(&world.told(), "slow_drip"), expected, "{what}");
    }
}

#[test]
fn many_that_send_a_little_to_one_rare_place_are_a_cohort() {
    const BUCKET: &str = "b.s3.amazonaws.com";
    const UNKNOWN: &str = "in.rare.example";
    for (what, senders, day, (up, down), settled, name, expected) in [
        (Fires("eight to a bucket"), 8, 10, (300_000, 9_000), 0, BUCKET, vec![Severity::Medium]),
        (Fires("eight to an unknown name"), 8, 10, (300_000, 9_000), 0, UNKNOWN, vec![Severity::Low]),
        (Just("five"), 5, 10, (300_000, 9_000), 0, UNKNOWN, vec![Severity::Low]),
        (JustNot("four"), 4, 10, (900_000, 9_000), 0, UNKNOWN, vec![]),
        (Nearly("they browse it"), 8, 10, (300_000, 900_000), 0, UNKNOWN, vec![]),
        (Nearly("from the first day on"), 8, 0, (300_000, 9_000), 0, UNKNOWN, vec![]),
        (Nearly("a tenth of the fleet"), 20, 10, (300_000, 9_000), 0, UNKNOWN, vec![]),
        (Nearly("hardly anything"), 8, 10, (4_000, 900), 0, UNKNOWN, vec![]),
        (Fires("more than programs send here"), 8, 10, (300_000, 9_000), 200_000, UNKNOWN, vec![Severity::Low]),
        (Nearly("as programs send here"), 8, 10, (300_000, 9_000), 600_000, UNKNOWN, vec![Severity::Info]),
        (Fires("no more than they, to a bucket"), 8, 10, (300_000, 9_000), 600_000, BUCKET, vec![Severity::Medium]),
        (Fires("64 kB a day, to a bucket"), 9, 10, (65_000, 9_000), 0, BUCKET, vec![Severity::Medium]),
        (Nearly("64 kB a day, to a name of its own"), 9, 10, (65_000, 9_000), 0, UNKNOWN, vec![Severity::Info]),
        (Fires("where others back up 2 MB a day"), 8, 10, (300_000, 9_000), 2_000_000, UNKNOWN, vec![Severity::Low]),
        (
            Just("a byte beyond 256 KiB a day, where they send less"),
            8,
            10,
            (262_145, 900),
            200_000,
            UNKNOWN,
            vec![Severity::Low],
        ),
        (JustNot("256 KiB"), 8, 10, (262_144, 900), 200_000, UNKNOWN, vec![Severity::Info]),
    ] {
        let mut world = World::new(START);
        (0..180).for_each(|n| world.contact(n, &format!("172.16.5.{n}"), "192.0.2.9", 443, Some("www.a.example")));
        // Two programs of nine users each, for twelve days.
        for (n, d) in (0..18).flat_map(|n| (0..12).map(move |d| (n, d))).filter(|_| settled > 0) {
            let (from, name) = (format!("172.16.5.{}", 100 + n), ["a.old.example", "b.older.example"][n % 2]);
            let talk =
                Talk { from: &from, to: "192.0.2.77", up: settled, down: 900, name: Some(name), ..Talk::default() };
            world.say(d * DAY + 400, &talk);
        }
        for n in 0..senders {
            let from = format!("172.16.5.{n}");
            let talk = Talk { from: &from, up, down, name: Some(name), ..Talk::default() };
            world.say(day * DAY + 600 + n * 700, &talk);
            world.say((day + 1) * DAY + 900 + n * 700, &talk);
        }
        assert_eq!(severities(&world.told(), "cohort_exfiltration"), expected, "{what}");
    }
}

#[test]
fn what_many_take_up_within_a_week_is_a_notice_about_the_service_and_nobody() {
    const LOW: Severity = Severity::Low;
    for (what, services, hosts, networks, day, before, expected) in [
        (Fires("twelve hosts of three networks"), 1, 12, 3, 16, 0, vec![LOW]),
        (Just("ten"), 1, 10, 3, 16, 0, vec![LOW]),
        (JustNot("nine"), 1, 9, 3, 16, 0, vec![]),
        (Nearly("two networks"), 1, 12, 2, 16, 0, vec![]),
        (Nearly("on the third day"), 1, 12, 3, 2, 0, vec![]),
        (Nearly("one in the first week, the others a day after it"), 1, 12, 3, 8, 1, vec![]),
        (Just("four used it two weeks before: three times as many"), 1, 12, 3, 16, 4, vec![LOW]),
        (JustNot("five"), 1, 12, 3, 16, 5, vec![]),
        (Just("five on one day"), 5, 12, 3, 16, 0, vec![LOW; 5]),
        (JustNot("the sixth is for the record"), 6, 12, 3, 16, 0, [vec![Severity::Info], vec![LOW; 5]].concat()),
    ] {
        let mut world = World::new(START);
        let from = |n: i64| format!("172.16.{}.{}", 10 + n % networks, n);
        (0..60).for_each(|n| world.contact(n, &from(n), "192.0.2.9", 443, Some("www.a.example")));
        for service in 0..services {
            let (name, ip) = (format!("in.new-{service}.example"), format!("192.0.2.{}", 20 + service));
            let at = day * DAY + service * 3600;
            (0..before).for_each(|n| world.contact(DAY + n * 60, &from(n), &ip, 443, Some(&name)));
            (before..hosts).for_each(|n| world.contact(at + n * 60, &from(n), &ip, 443, Some(&name)));
        }
        let told = world.told();
        let mut found = severities(&told, "new_service");
        found.sort();
        assert_eq!(found, expected, "{what}");
        let alerts = told.alerts.iter().filter(|alert| alert.finding.detector == "new_service");
        let named = alerts.flat_map(|alert| alert.finding.entities.iter().map(|entity| (alert.tier, entity.role)));
        assert!(named.clone().all(|of| of == (4, Role::Destination)), "{what}: {:?}", named.collect::<Vec<_>>());
    }
}

#[test]
fn a_server_that_never_had_a_night_is_told_when_it_has_one() {
    for (what, role, day, hour, expected) in [
        (Fires("at night, after three weeks"), Some(HostRole::FileServer), 21, 14, vec![Severity::Medium]),
        (Nearly("by day"), Some(HostRole::FileServer), 21, 2, vec![]),
        (Nearly("at night, on the third day"), Some(HostRole::FileServer), 2, 14, vec![]),
        (Nearly("a person's machine"), None, 21, 14, vec![Severity::Info]),
        (
            Just("after ten first contacts since the week is known"),
            Some(HostRole::FileServer),
            14,
            14,
            vec![Severity::Medium],
        ),
        (JustNot("after nine"), Some(HostRole::FileServer), 13, 14, vec![Severity::Info]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(HOST, role));
        // 1,600,000,000 is 12:26:40 UTC; the site works from 13 to 21.
        for d in 0..day {
            for n in 0..320 {
                let (from, name) = (format!("172.16.6.{}", n % 40), format!("www.s{}.example", d * 320 + n));
                world.contact(d * DAY + 2000 + n * 90, &from, "192.0.2.9", 443, Some(&name));
            }
            let name = format!("www.h{d}.example");
            world.contact(d * DAY + 9000, HOST, "192.0.2.9", 443, Some(&name));
        }
        world.contact(day * DAY + hour * 3600, HOST, OUTSIDE, 443, Some("www.rare.example"));
        assert_eq!(severities(&world.told(), "off_hours"), expected, "{what}");
    }
}

#[test]
fn a_large_upload_to_somebody_new_is_told_against_the_hosts_own_past() {
    const MB: u64 = 1_000_000;
    for (what, role, day, up, down, name, past, expected) in [
        (Fires("60 MB after a week"), None, 7, 60 * MB, MB, "in.rare.example", MB, vec![Severity::Medium]),
        (Nearly("60 MB on day one"), None, 0, 60 * MB, MB, "in.rare.example", MB, vec![Severity::Info]),
        (Just("50 MiB"), None, 7, 52_428_800, MB, "in.rare.example", MB, vec![Severity::Medium]),
        (JustNot("a byte less"), None, 7, 52_428_799, MB, "in.rare.example", MB, vec![]),
        (Nearly("as much as it always sends"), None, 7, 60 * MB, MB, "in.rare.example", 20 * MB, vec![]),
        (Nearly("a download"), None, 7, 60 * MB, 90 * MB, "in.rare.example", MB, vec![]),
        (
            Fires("6 MB of a server to file sharing"),
            Some(HostRole::FileServer),
            0,
            6 * MB,
            MB,
            "mega.nz",
            MB,
            vec![Severity::Medium],
        ),
        (
            Just("5 MiB of a server to file sharing"),
            Some(HostRole::FileServer),
            0,
            5_242_880,
            MB,
            "mega.nz",
            MB,
            vec![Severity::Medium],
        ),
        (JustNot("a byte less there"), Some(HostRole::FileServer), 0, 5_242_879, MB, "mega.nz", MB, vec![]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(HOST, role));
        for d in 0..=day {
            let to = "192.0.2.9";
            world.say(100 + d * DAY, &Talk { to, up: past, name: Some("store.usual.example"), ..Talk::default() });
        }
        world.say(3600 + day * DAY, &Talk { up, down, name: Some(name), ..Talk::default() });
        assert_eq!(severities(&world.told(), "upload_tail"), expected, "{what}");
    }
}

#[test]
fn hosts_that_take_up_one_rhythm_are_one_event_about_the_destination() {
    const CLOUD: &str = "x.blob.core.windows.net";
    for (what, name, pollers, day, period, stagger, expected) in [
        (Fires("four in a week"), CLOUD, 4_i64, 10, 600, 0, vec![Severity::Medium]),
        (Nearly("as a new product does"), "app.rare.example", 4, 10, 600, 0, vec![Severity::Info]),
        (Just("three"), CLOUD, 3, 10, 600, 0, vec![Severity::Medium]),
        (JustNot("two"), CLOUD, 2, 10, 600, 0, vec![]),
        (Nearly("four since the first day"), CLOUD, 4, 0, 600, 0, vec![]),
        (Nearly("four with rhythms of their own"), CLOUD, 4, 10, 600, 400, vec![]),
        (Nearly("a tenth of the fleet"), CLOUD, 40, 10, 600, 0, vec![]),
    ] {
        let mut world = World::new(START);
        (0..240).for_each(|n| world.contact(n, &format!("172.16.5.{n}"), "192.0.2.9", 443, Some("www.a.example")));
        (0..200).for_each(|n| world.contact(n, &format!("172.16.6.{n}"), "192.0.2.9", 443, Some("www.a.example")));
        for n in 0..pollers {
            let (from, every) = (format!("172.16.5.{n}"), period + n * stagger);
            world.beacon(day * DAY + n * 77, &from, OUTSIDE, 443, Some(name), 30, every);
        }
        let told = severities(&world.told(), "coordinated_poller");
        assert_eq!(told, expected, "{what}");
    }
}

#[test]
fn a_rhythm_that_a_fleet_has_kept_for_weeks_weighs_nothing() {
    for (what, agents, days, expected) in
        [(Nearly("a product's agent"), 12_i64, 16, false), (Fires("three hosts"), 3, 16, true)]
    {
        let mut world = World::new(START);
        for n in 0..agents {
            for day in 0..days {
                let from = format!("172.16.5.{n}");
                world.beacon(day * DAY + n * 77, &from, OUTSIDE, 443, Some("agent.product.example"), 30, 600);
            }
        }
        let told = world.told();
        let mut beacons = told.findings.iter().map(|stated| &stated.finding).filter(|f| f.detector == "beacon");
        let timed = beacons.any(|f| f.reasons.iter().any(|r| r.measure == "timing"));
        assert_eq!(timed, expected, "{what}");
    }
}

#[test]
fn what_an_actor_does_every_day_weighs_little_until_it_is_called_again() {
    const ACTOR: &str = "172.16.0.9";
    for (what, days, calls, expected) in [
        (Fires("an actor not known to act"), 0, 1, Severity::Medium),
        (Fires("on one day of a week"), 1, 1, Severity::Medium),
        (Nearly("a help desk"), 8, 1, Severity::Low),
        (Fires("a help desk, and the machine calls again and again"), 8, 40, Severity::High),
    ] {
        let mut world = World::new(START);
        world.touch(1, ACTOR, "172.16.0.2", 445);
        world.contact(10, HOST, "192.0.2.9", 443, Some("www.known.example"));
        for (day, n) in (0..days).flat_map(|day| (1..4).map(move |n| (day, n))) {
            let (at, on) = (day * DAY + n * 7_200, format!("172.16.2.{n}"));
            world.act(at, ACTOR, &on, 5985, Channel::Winrm, Act::Execute, "Create");
        }
        world.act(8 * DAY, ACTOR, HOST, 5985, Channel::Winrm, Act::Execute, "Create");
        world.beacon(8 * DAY + 20, HOST, OUTSIDE, 443, Some("www.rare.example"), calls, 90);
        assert_eq!(severities(&world.told(), "execution_chain"), [expected], "{what}");
    }
}
