//! Servers that manage others as a specification: whom they may reach, who may reach them, what their habits are.

use super::scene::Case::{Fires, Just, JustNot, Nearly};
use super::scene::{Talk, severities};
use super::world::World;
use crate::detect::Severity;
use crate::event::{Act, Channel};
use crate::profile::HostRole;

const START: i64 = 1_600_000_000;
const DAY: i64 = 86_400;
const SERVER: &str = "172.16.0.5";
const OUTSIDE: &str = "203.0.113.9";

#[test]
fn a_management_server_reaches_its_vendor_and_nobody_else() {
    let antivirus = Some(HostRole::AntivirusManagement);
    for (what, role, at, name, expected) in [
        (Fires("a code host on day one"), antivirus, 10, Some("github.com"), vec![Severity::High]),
        (Nearly("its vendor"), antivirus, 10, Some("x.activeupdate.trendmicro.com"), vec![]),
        (
            Nearly("somebody else's vendor"),
            Some(HostRole::Backup),
            10,
            Some("x.activeupdate.trendmicro.com"),
            vec![Severity::Info],
        ),
        (Nearly("updates of the system"), antivirus, 10, Some("download.windowsupdate.com"), vec![]),
        (Nearly("an ordinary name while it is learned"), antivirus, 10, Some("www.new.example"), vec![Severity::Info]),
        (
            Nearly("an ordinary name after a week, once"),
            antivirus,
            7 * DAY,
            Some("www.new.example"),
            vec![Severity::Info],
        ),
        (Fires("an address nobody named"), antivirus, 10, None, vec![Severity::Medium]),
        (Nearly("a person's machine"), Some(HostRole::Workstation), 10, Some("github.com"), vec![]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(SERVER, role));
        world.ask(1, SERVER, "172.16.0.2", ("www.known.example", "A"), &["198.51.100.1"]);
        world.touch(2, SERVER, "172.16.1.1", 21112);
        world.contact(at, SERVER, OUTSIDE, 443, name);
        assert_eq!(severities(&world.told(), "management_egress"), expected, "{what}");
    }
}

#[test]
fn an_ordinary_name_is_told_of_a_management_server_that_goes_there_again() {
    for (what, after, expected) in
        [(Just("ten minutes later"), 600, Severity::Medium), (JustNot("within the same visit"), 599, Severity::Info)]
    {
        let mut world = World::new(START);
        world.declare(SERVER, HostRole::AntivirusManagement);
        world.ask(1, SERVER, "172.16.0.2", ("www.known.example", "A"), &["198.51.100.1"]);
        for at in [7 * DAY, 7 * DAY + after] {
            world.contact(at, SERVER, OUTSIDE, 443, Some("www.new.example"));
        }
        assert_eq!(severities(&world.told(), "management_egress"), [expected], "{what}");
    }
}

#[test]
fn a_server_that_nobody_declared_is_known_by_its_dealings() {
    for (what, machines, port, days, name, expected) in [
        (Fires("storage in a cloud"), 25, 21112, 4, "x.blob.core.windows.net", vec![Severity::Medium]),
        (Nearly("an ordinary name"), 25, 21112, 4, "www.new.example", vec![Severity::Info]),
        (Nearly("a vendor of such products"), 25, 21112, 4, "x.activeupdate.trendmicro.com", vec![]),
        (Just("twenty machines"), 20, 21112, 4, "x.blob.core.windows.net", vec![Severity::Medium]),
        (JustNot("nineteen"), 19, 21112, 4, "x.blob.core.windows.net", vec![]),
        (Just("three days"), 25, 21112, 3, "x.blob.core.windows.net", vec![Severity::Medium]),
        (JustNot("two days"), 25, 21112, 2, "x.blob.core.windows.net", vec![]),
        (Nearly("a resolver"), 25, 53, 4, "x.blob.core.windows.net", vec![]),
    ] {
        let mut world = World::new(START);
        for (day, n) in (0..days).flat_map(|day| (0..machines).map(move |n| (day, n))) {
            world.talk(day * DAY + n * 30, &format!("172.16.1.{n}"), SERVER, port, 2_000);
        }
        world.contact(4 * DAY + 7_200, SERVER, OUTSIDE, 443, Some(name));
        assert_eq!(severities(&world.told(), "management_egress"), expected, "{what}");
    }
}

#[test]
fn one_more_of_a_kind_of_service_a_server_lives_by_is_no_news() {
    const STORE: &str = "x.blob.core.windows.net";
    for (what, role, days, expected) in [
        (JustNot("a learned server's own kind, on three days"), None, 3, Severity::Info),
        (Just("used on two days"), None, 2, Severity::Medium),
        (Nearly("a backup server's work"), Some(HostRole::Backup), 3, Severity::Info),
        (Fires("a backup server's first store"), Some(HostRole::Backup), 0, Severity::High),
        (Fires("not the work of the role"), Some(HostRole::AntivirusManagement), 3, Severity::High),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(SERVER, role));
        for day in 0..4 {
            (0..25).for_each(|n| world.talk(day * DAY + n * 30, &format!("172.16.1.{n}"), SERVER, 21112, 2_000));
            if day < days {
                world.contact(day * DAY + 7_200, SERVER, "198.51.100.77", 443, Some("y.blob.core.windows.net"));
            }
        }
        world.contact(4 * DAY + 7_200, SERVER, OUTSIDE, 443, Some(STORE));
        let told = world.told();
        let new = told.findings.iter().map(|stated| &stated.finding).filter(|f| f.detector == "management_egress");
        let of_store = |f: &&crate::detect::Finding| f.entities.iter().any(|e| e.name.as_deref() == Some(STORE));
        assert_eq!(new.filter(of_store).map(|f| f.severity).collect::<Vec<_>>(), [expected], "{what}");
    }
}

#[test]
fn a_learned_server_that_meets_everybody_is_one_surprise() {
    let mut world = World::new(START);
    for (day, n) in (0..4).flat_map(|day| (0..25).map(move |n| (day, n))) {
        world.talk(day * DAY + n * 30, &format!("172.16.1.{n}"), SERVER, 21112, 2_000);
    }
    for n in 0..9 {
        let name = format!("customer{n}.blob.core.windows.net");
        world.contact(4 * DAY + 7_200 + n * 60, SERVER, &format!("198.51.100.{}", 80 + n), 443, Some(&name));
    }
    let severities = severities(&world.told(), "management_egress");
    let count = |severity| severities.iter().filter(|s| **s == severity).count();
    assert_eq!((count(Severity::Medium), count(Severity::Info)), (3, 6), "{severities:?}");
}

#[test]
fn a_script_on_a_management_server_raises_what_it_reaches() {
    for (what, agent, expected) in [
        (
            Fires("PowerShell"),
            "Mozilla/5.0 (Windows NT; Windows NT 10.0; ja-JP) WindowsPowerShell/5.1.17763.1",
            Severity::High,
        ),
        (
            Nearly("a browser"),
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/120.0",
            Severity::Info,
        ),
    ] {
        let mut world = World::new(START);
        world.declare(SERVER, HostRole::SoftwareDistribution);
        world.request(10, SERVER, OUTSIDE, "files.new.example", Some(agent));
        assert_eq!(severities(&world.told(), "management_egress"), [expected], "{what}");
    }
}

#[test]
fn a_remote_management_product_is_news_the_first_time_and_on_a_server() {
    const PRODUCT: Option<&str> = Some("router1.teamviewer.com");
    for (what, role, port, name, earlier, expected) in [
        (Fires("a new product"), None, 443, PRODUCT, false, Some(Severity::Low)),
        (Nearly("a product somebody uses"), None, 443, PRODUCT, true, Some(Severity::Info)),
        (Fires("on a server"), Some(HostRole::FileServer), 443, PRODUCT, true, Some(Severity::High)),
        (Nearly("the help desk"), Some(HostRole::RemoteManagement), 443, PRODUCT, false, Some(Severity::Info)),
        (Fires("a tunnel"), None, 443, Some("a-b-c.trycloudflare.com"), false, Some(Severity::Low)),
        (Nearly("an ordinary name"), None, 443, Some("www.ordinary.example"), false, None),
        (Just("the product's own port, nobody named"), None, 5938, None, false, Some(Severity::Low)),
        (JustNot("the port next to it"), None, 5939, None, false, None),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare("172.16.0.7", role));
        if earlier {
            world.contact(5, "172.16.0.99", OUTSIDE, port, name);
        }
        world.contact(10, "172.16.0.7", OUTSIDE, port, name);
        let told = world.told();
        let ip = Some(super::world::ip("172.16.0.7"));
        let mut of_host =
            told.findings.iter().map(|stated| &stated.finding).filter(|f| f.detector == "remote_management");
        let found = of_host.find(|f| f.entities.first().is_some_and(|e| e.ip == ip)).map(|f| f.severity);
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn who_talks_to_a_management_server_from_outside_came_in() {
    for (what, role, bytes, then, expected) in [
        (Fires("an exposed console"), Some(HostRole::UpdateServer), 900, None, vec![Severity::Medium]),
        (Fires("and it calls out an hour later"), Some(HostRole::UpdateServer), 900, Some(3600), vec![Severity::High]),
        (Just("a day later"), Some(HostRole::UpdateServer), 900, Some(DAY + 10), vec![Severity::High]),
        (JustNot("a second more"), Some(HostRole::UpdateServer), 900, Some(DAY + 11), vec![Severity::Medium]),
        (Just("200 bytes"), Some(HostRole::UpdateServer), 200, None, vec![Severity::Medium]),
        (JustNot("a byte less"), Some(HostRole::UpdateServer), 199, None, vec![]),
        (Nearly("refused"), Some(HostRole::UpdateServer), 100, Some(3600), vec![]),
        (Nearly("a web server"), Some(HostRole::Server), 900, Some(3600), vec![]),
        (Nearly("nobody said what it is"), None, 900, Some(3600), vec![]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare(SERVER, role));
        world.touch(1, SERVER, "172.16.1.1", 445);
        world.say(10, &Talk { from: OUTSIDE, to: SERVER, port: 8530, up: bytes, down: bytes, ..Talk::default() });
        then.into_iter().for_each(|s| world.contact(s, SERVER, "198.51.100.7", 443, Some("hook.new.example")));
        assert_eq!(severities(&world.told(), "entry"), expected, "{what}");
    }
}

#[test]
fn who_comes_in_weeks_after_others_did_came_in_too() {
    // An agent reports to the console over the internet, every day for a month.
    for (what, others, visitor, expected) in [
        (Fires("somebody new, and the server calls out"), 0, "203.0.113.200", Severity::High),
        (Just("the eighth who comes"), 6, "203.0.113.200", Severity::High),
        (JustNot("the ninth: it is open to the world"), 7, "203.0.113.200", Severity::Medium),
        (Nearly("the agent again"), 0, OUTSIDE, Severity::Medium),
    ] {
        let mut world = World::new(START);
        world.declare(SERVER, HostRole::UpdateServer);
        world.touch(1, SERVER, "172.16.1.1", 445);
        let mut visit = |at: i64, from: &str| {
            world.say(at, &Talk { from, to: SERVER, port: 8530, up: 900, down: 900, ..Talk::default() });
        };
        (0..30).for_each(|day| visit(day * DAY + 10, OUTSIDE));
        (0..others).for_each(|n| visit(29 * DAY + 20 + n, &format!("203.0.113.{}", 100 + n)));
        visit(32 * DAY, visitor);
        world.contact(32 * DAY + 3_600, SERVER, "198.51.100.7", 443, Some("hook.new.example"));
        assert_eq!(severities(&world.told(), "entry").iter().max(), Some(&expected), "{what}");
    }
}

#[test]
fn a_path_between_servers_is_news_once_habits_are_known() {
    for (what, target, role, at, expected) in [
        (Fires("another management server"), "172.16.0.6", Some(HostRole::Inventory), 7 * DAY, 1),
        (Nearly("on day one"), "172.16.0.6", Some(HostRole::Inventory), 60, 0),
        (Just("after three days"), "172.16.0.6", Some(HostRole::Inventory), 3 * DAY + 1, 1),
        (JustNot("a second earlier"), "172.16.0.6", Some(HostRole::Inventory), 3 * DAY, 0),
        (Nearly("a PC of its own site"), "172.16.0.7", None, 7 * DAY, 0),
        (Fires("a PC of another site"), "172.17.0.7", None, 7 * DAY, 1),
    ] {
        let mut world = World::new(START);
        world.declare(SERVER, HostRole::AntivirusManagement);
        role.into_iter().for_each(|role| world.declare(target, role));
        world.contact(1, SERVER, OUTSIDE, 443, Some("x.activeupdate.trendmicro.com"));
        world.act(at, SERVER, target, 445, Channel::Svcctl, Act::Execute, "x");
        world.act(at + DAY, SERVER, target, 445, Channel::Svcctl, Act::Execute, "x");
        let site = crate::event::Site::new(&["172.16.0.0/12".parse().unwrap()], &[]);
        let told = world.told_with(site);
        assert_eq!(severities(&told, "admin_path"), vec![Severity::Medium; expected], "{what}");
    }
}

#[test]
fn a_hub_that_pushes_at_another_hour_or_to_far_more_breaks_its_pattern() {
    // 1,600,000,000 is 12:26:40 UTC; the hub pushes to twelve machines every day at 13.
    for (what, day, hour, machines, expected) in [
        (Nearly("as always"), 6, 1, 12, 0),
        (Fires("at night"), 6, 13, 12, 1),
        (Just("at night, ten machines"), 6, 13, 10, 1),
        (JustNot("at night, nine"), 6, 13, 9, 0),
        (Fires("to four times as many"), 6, 1, 48, 1),
        (Just("to one more than three times as many"), 6, 1, 37, 1),
        (JustNot("to three times as many"), 6, 1, 36, 0),
        (Nearly("at night, on the second day"), 1, 13, 48, 0),
    ] {
        let mut world = World::new(START);
        world.declare(SERVER, HostRole::AntivirusManagement);
        for d in 0..day {
            (0..12).for_each(|n| world.touch(d * DAY + 3600 + n * 9, SERVER, &format!("172.16.1.{n}"), 21112));
        }
        let at = day * DAY + hour * 3600;
        (0..machines).for_each(|n| world.touch(at + n * 9, SERVER, &format!("172.16.1.{n}"), 21112));
        assert_eq!(severities(&world.told(), "push_pattern"), vec![Severity::Medium; expected], "{what}");
    }
}

#[test]
fn look_ups_that_nobody_can_read_matter_on_a_server() {
    for (what, role, port, name, expected) in [
        (Nearly("a browser's"), None, 443, "cloudflare-dns.com", vec![Severity::Info]),
        (Fires("a server's"), Some(HostRole::FileServer), 443, "cloudflare-dns.com", vec![Severity::Medium]),
        (Fires("over TLS"), Some(HostRole::FileServer), 853, "dot.rare.example", vec![Severity::Medium]),
        (Nearly("the site's own resolver"), Some(HostRole::Dns), 853, "dot.rare.example", vec![]),
        (Nearly("an ordinary service"), Some(HostRole::FileServer), 443, "www.rare.example", vec![]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare("172.16.0.7", role));
        world.contact(10, "172.16.0.7", OUTSIDE, port, Some(name));
        assert_eq!(severities(&world.told(), "encrypted_dns"), expected, "{what}");
    }
}

#[test]
fn asking_past_the_sites_resolvers_is_noted_where_there_are_some() {
    for (what, inside_hosts, lookups, role, expected) in [
        (Fires("others ask inside"), 3, 6, None, vec![Severity::Info]),
        (Nearly("a site without resolvers"), 0, 6, None, vec![]),
        (Just("five look-ups"), 3, 5, None, vec![Severity::Info]),
        (JustNot("four: a connectivity check"), 3, 4, None, vec![]),
        (JustNot("two others ask inside"), 2, 6, None, vec![]),
        (Nearly("a mail server"), 3, 6, Some(HostRole::Mail), vec![]),
    ] {
        let mut world = World::new(START);
        role.into_iter().for_each(|role| world.declare("172.16.0.7", role));
        for n in 0..inside_hosts {
            world.ask(n, &format!("172.16.1.{n}"), "172.16.0.2", ("www.a.example", "A"), &["198.51.100.1"]);
        }
        for n in 0..lookups {
            world.ask(20 + n, "172.16.0.7", "203.0.113.53", ("www.a.example", "A"), &["198.51.100.1"]);
        }
        assert_eq!(severities(&world.told(), "resolver_bypass"), expected, "{what}");
    }
}

#[test]
fn going_past_the_resolvers_is_told_where_a_fleet_keeps_to_its_own() {
    for (what, inside_hosts, past, days, expected) in [
        (Fires("one of a fleet"), 60, 1, 2, Severity::Low),
        (Just("three of a fleet"), 60, 3, 2, Severity::Low),
        (JustNot("four: a habit of the site"), 60, 4, 2, Severity::Info),
        (Just("fifty ask inside"), 50, 1, 2, Severity::Low),
        (JustNot("forty-nine"), 49, 1, 2, Severity::Info),
        (Nearly("the first day"), 60, 1, 0, Severity::Info),
    ] {
        let mut world = World::new(START);
        for n in 0..inside_hosts {
            world.ask(n, &format!("172.16.1.{n}"), "172.16.0.2", ("www.a.example", "A"), &["198.51.100.1"]);
        }
        for n in 0..past {
            let host = format!("172.16.2.{n}");
            for k in 0..6 {
                let at = days * DAY + 600 + n + k * 10;
                world.ask(at, &host, "203.0.113.53", ("www.a.example", "A"), &["198.51.100.1"]);
            }
            world.contact(days * DAY + 700 + n, &host, OUTSIDE, 443, Some("cloudflare-dns.com"));
        }
        let told = world.told();
        for detector in ["resolver_bypass", "encrypted_dns"] {
            let last = severities(&told, detector).last().copied();
            assert_eq!(last, Some(expected), "{what}: {detector}");
        }
    }
}

#[test]
fn a_server_that_acts_unlike_its_own_past_is_suspect() {
    for (what, days, hour, machines, expected) in [
        (Nearly("as every day"), 10, 2, 2_i64, vec![]),
        (Nearly("one machine more"), 10, 2, 3, vec![]),
        (Fires("thirty machines at night"), 10, 14, 30, vec![Severity::High]),
        (Nearly("the same before its past means anything"), 2, 14, 30, vec![]),
        (Just("thirty machines, three days after it was first seen"), 3, 2, 30, vec![Severity::High]),
        (JustNot("an hour earlier"), 3, 1, 30, vec![]),
        (Nearly("its own machines at night, after six weeks of mornings"), 42, 14, 2, vec![Severity::Info]),
    ] {
        let mut world = World::new(START);
        let mut morning = |day: i64, hour: i64, machines: i64| {
            for n in 0..machines {
                let at = day * DAY + hour * 3600 + n * 20;
                world.act(at, SERVER, &format!("172.16.1.{}", 10 + n), 5985, Channel::Winrm, Act::Execute, "Command");
            }
        };
        (0..days).for_each(|day| morning(day, 2, 2));
        morning(days, hour, machines);
        // The hour is judged once it is over.
        world.touch(days * DAY + (hour + 2) * 3600, SERVER, "172.16.1.1", 21112);
        assert_eq!(severities(&world.told(), "hub_suspect"), expected, "{what}");
    }
}

#[test]
fn a_path_on_which_a_server_only_asked_is_for_the_record_until_it_acts() {
    for (what, acts, expected) in [
        (Nearly("asked"), vec![Act::Administer], Severity::Info),
        (Nearly("asked twice"), vec![Act::Administer, Act::Administer], Severity::Info),
        (Fires("asked and then acted"), vec![Act::Administer, Act::Execute], Severity::Medium),
        (Fires("acted"), vec![Act::Execute], Severity::Medium),
    ] {
        let mut world = World::new(START);
        world.declare(SERVER, HostRole::AntivirusManagement);
        world.declare("172.16.0.6", HostRole::Inventory);
        world.contact(1, SERVER, OUTSIDE, 443, Some("x.activeupdate.trendmicro.com"));
        for (day, act) in (7..).zip(acts) {
            world.act(day * DAY, SERVER, "172.16.0.6", 445, Channel::Svcctl, act, "x");
        }
        assert_eq!(severities(&world.told(), "admin_path"), [expected], "{what}");
    }
}

/// A server that nobody declared deals with so many machines an hour after noon every day.
fn deals(world: &mut World, server: &str, days: std::ops::Range<i64>, machines: i64) {
    for (day, n) in days.flat_map(|day| (0..machines).map(move |n| (day, n))) {
        world.talk(day * DAY + 3600 + n * 9, server, &format!("172.16.1.{n}"), 21112, 2_000);
    }
}

#[test]
fn a_server_known_by_its_dealings_has_habits_entries_and_paths_of_its_own() {
    for (what, days, hour, machines, expected) in [
        (Fires("pushes at night"), 9, 13, 25, vec![Severity::Info]),
        (Nearly("pushes as always"), 9, 1, 25, vec![]),
        (Nearly("pushes at night to a few"), 9, 13, 9, vec![]),
        (Nearly("pushes at night, before its habits are known"), 4, 13, 25, vec![]),
    ] {
        let mut world = World::new(START);
        deals(&mut world, SERVER, 0..days, 25);
        for n in 0..machines {
            world.talk(days * DAY + hour * 3600 + n * 9, SERVER, &format!("172.16.1.{n}"), 21112, 2_000);
        }
        assert_eq!(severities(&world.told(), "push_pattern"), expected, "{what}");
    }
    for (what, machines, then, expected) in [
        (Fires("it answers the internet"), 25, None, vec![Severity::Info]),
        (Fires("and calls out an hour later"), 25, Some(3600), vec![Severity::Low]),
        (Nearly("a machine that deals with a few does so"), 19, Some(3600), vec![]),
    ] {
        let mut world = World::new(START);
        deals(&mut world, SERVER, 0..4, machines);
        let at = 4 * DAY;
        world.say(at, &Talk { from: OUTSIDE, to: SERVER, port: 8530, up: 900, down: 900, ..Talk::default() });
        then.into_iter().for_each(|s| world.contact(at + s, SERVER, "198.51.100.7", 443, Some("hook.new.example")));
        assert_eq!(severities(&world.told(), "entry"), expected, "{what}");
    }
    for (what, other, expected) in [
        (Fires("to another such server"), 25, vec![Severity::Low]),
        (Nearly("to a machine that deals with a few"), 5, vec![]),
    ] {
        let mut world = World::new(START);
        deals(&mut world, SERVER, 0..7, 25);
        deals(&mut world, "172.16.0.6", 0..7, other);
        world.act(7 * DAY, SERVER, "172.16.0.6", 445, Channel::Svcctl, Act::Execute, "x");
        let told = world.told();
        assert_eq!(severities(&told, "admin_path"), expected, "{what}");
        let words = told
            .findings
            .iter()
            .map(|stated| &stated.finding)
            .find(|f| f.detector == "admin_path")
            .map(|f| f.explanation.to_string());
        assert!(words.is_none_or(|words| words.contains("Nobody declared")), "{what}");
    }
}
