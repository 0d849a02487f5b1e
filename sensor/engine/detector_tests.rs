//! Detectors as a specification: what fires them, what nearly does, and how much it matters.

use super::scene::Case::{Fires, Just, JustNot, Nearly};
use super::scene::severities;
use super::world::World;
use crate::detect::Severity;
use crate::event::{Act, Channel};
use crate::profile::{HostRole, MayReach};

const HOST: &str = "172.16.0.7";
const OUTSIDE: &str = "203.0.113.9";

#[test]
fn a_code_host_is_news_for_a_server_and_not_for_a_person() {
    for (what, role, name, expected) in [
        (Nearly("nobody declared it"), None, "github.com", vec![Severity::Info]),
        (Nearly("a person's machine"), Some(HostRole::Workstation), "github.com", vec![Severity::Info]),
        (Fires("a server"), Some(HostRole::Server), "github.com", vec![Severity::High]),
        (Just("a name below it"), Some(HostRole::Server), "gist.github.com", vec![Severity::High]),
        (JustNot("a name that only ends alike"), Some(HostRole::Server), "notgithub.com", vec![]),
    ] {
        let mut world = World::new(1_600_000_000);
        role.into_iter().for_each(|role| world.declare(HOST, role));
        world.contact(10, HOST, OUTSIDE, 443, Some(name));
        world.contact(20, HOST, OUTSIDE, 443, Some("www.ordinary.example"));
        let told = world.told();
        assert_eq!(severities(&told, "new_destination"), expected, "{what}");
    }
}

#[test]
fn a_declared_policy_is_held_on_day_one() {
    let name = |pattern: &str| MayReach::Name(pattern.into());
    for (what, may, expected) in [
        (Fires("another name"), name("*.vendor.example"), 1),
        (Nearly("the name"), name("*.files.example"), 0),
        (JustNot("the parent itself"), name("*.tenant.files.example"), 0),
        (Just("a name that only ends alike"), name("*.iles.example"), 1),
        (Nearly("its network"), MayReach::Net("203.0.113.0/24".parse().unwrap()), 0),
        (JustNot("its address and the one before it"), MayReach::Net("203.0.113.8/31".parse().unwrap()), 0),
        (Just("the two behind it"), MayReach::Net("203.0.113.10/31".parse().unwrap()), 1),
        (Fires("another class"), MayReach::Class("update-infra".into()), 1),
    ] {
        let mut world = World::new(1_600_000_000);
        world.declare(HOST, HostRole::AntivirusManagement);
        world.allow(HostRole::AntivirusManagement, may);
        world.contact(10, HOST, OUTSIDE, 443, Some("tenant.files.example"));
        world.contact(10, "172.16.0.8", OUTSIDE, 443, Some("tenant.files.example"));
        assert_eq!(severities(&world.told(), "policy"), vec![Severity::High; expected], "{what}");
    }
}

#[test]
fn a_timer_alone_is_information_and_with_another_cue_more() {
    for (what, port, name, times, period, expected) in [
        (Nearly("a named service"), 443, Some("sync.saas.example"), 40, 60, Some(Severity::Info)),
        (Fires("an address on an odd port"), 8219, None, 40, 5, Some(Severity::Medium)),
        (Nearly("an address on a web port"), 443, None, 40, 5, Some(Severity::Info)),
        (Just("ten gaps"), 8219, None, 11, 5, Some(Severity::Medium)),
        (JustNot("nine"), 8219, None, 10, 5, Some(Severity::Low)),
        (Just("six gaps, as few as say anything"), 8219, None, 7, 5, Some(Severity::Low)),
        (JustNot("five"), 8219, None, 6, 5, None),
        (Nearly("an update service"), 443, Some("download.windowsupdate.com"), 40, 60, None),
    ] {
        let mut world = World::new(1_600_000_000);
        world.beacon(10, HOST, OUTSIDE, port, name, times, period);
        let told = world.told();
        assert_eq!(severities(&told, "beacon"), expected.into_iter().collect::<Vec<_>>(), "{what}");
    }
}

#[test]
fn who_acts_and_how_decides_how_much_an_act_matters() {
    for (what, by, role, channel, act, expected) in [
        (Fires("a service from a workstation"), "172.16.0.5", None, Channel::Svcctl, Act::Execute, Severity::Medium),
        (Nearly("a shell"), "172.16.0.5", None, Channel::Winrm, Act::Execute, Severity::Info),
        (Nearly("looking only"), "172.16.0.5", None, Channel::Svcctl, Act::Administer, Severity::Info),
        (Nearly("a jump host"), "172.16.0.5", Some(HostRole::JumpHost), Channel::Svcctl, Act::Execute, Severity::Info),
        (Fires("from outside"), OUTSIDE, None, Channel::Winrm, Act::Execute, Severity::Medium),
    ] {
        let mut world = World::new(1_600_000_000);
        role.into_iter().for_each(|role| world.declare("172.16.0.5", role));
        world.act(10, by, HOST, 445, channel, act, "x");
        assert_eq!(severities(&world.told(), "remote_execution"), [expected], "{what}");
    }
}

#[test]
fn what_a_host_does_every_day_is_for_the_record() {
    for (what, days, expected) in [
        (Fires("on the first day"), 0, Severity::Medium),
        (Nearly("after a week"), 7, Severity::Info),
        (JustNot("after three days"), 3, Severity::Info),
        (Just("after two"), 2, Severity::Medium),
    ] {
        let mut world = World::new(1_600_000_000);
        for day in 0..=days {
            let on = if day == days { HOST.to_owned() } else { format!("172.16.1.{day}") };
            world.act(10 + day * 86_400, "172.16.0.5", &on, 445, Channel::Svcctl, Act::Execute, "x");
        }
        assert_eq!(severities(&world.told(), "remote_execution").last(), Some(&expected), "{what}");
    }
}

#[test]
fn a_remote_desktop_session_from_outside_is_noted_once_somebody_was_let_in() {
    for (what, port, bytes, expected) in [
        (Fires("a session"), 3389, 70_000, vec![Severity::Low]),
        (Just("a session of 16 KiB"), 3389, 16_384, vec![Severity::Low]),
        (JustNot("a byte less: turned away"), 3389, 16_383, vec![]),
        (Nearly("a web server"), 443, 70_000, vec![]),
    ] {
        let mut world = World::new(1_600_000_000);
        world.talk(10, OUTSIDE, HOST, port, bytes);
        assert_eq!(severities(&world.told(), "remote_execution"), expected, "{what}");
    }
}

#[test]
fn a_listed_destination_counts_less_where_many_share_it() {
    for (what, list, name, to, expected) in [
        (Fires("its own name"), "bad.example\n", Some("x.bad.example"), "203.0.113.9", vec![Severity::Medium]),
        (Fires("its address, nobody told a name"), "203.0.113.9\n", None, "203.0.113.9", vec![Severity::Medium]),
        (
            Nearly("its address behind another name"),
            "203.0.113.9\n",
            Some("shop.example"),
            "203.0.113.9",
            vec![Severity::Low],
        ),
        (
            Nearly("a name many share"),
            "raw.githubusercontent.com\n",
            Some("raw.githubusercontent.com"),
            "203.0.113.9",
            vec![Severity::Low],
        ),
        (
            Nearly("one host of it, another is met"),
            "http://a.bad.example/x\n",
            Some("b.bad.example"),
            "203.0.113.9",
            vec![],
        ),
    ] {
        let mut world = World::new(0);
        world.background();
        world.contact(700, "172.16.0.200", to, 443, name);
        assert_eq!(severities(&world.told_with_feed(list), "feed"), expected, "{what}");
    }
}

#[test]
fn a_feed_that_accuses_twenty_hosts_of_a_site_is_more_likely_wrong() {
    for (what, hosts, expected) in [
        (Fires("one"), 1, Severity::Medium),
        (JustNot("twenty"), 20, Severity::Low),
        (Just("nineteen"), 19, Severity::Medium),
    ] {
        let mut world = World::new(1_600_000_000);
        (0..hosts).for_each(|n| world.contact(n, &format!("172.16.1.{n}"), OUTSIDE, 443, Some("bad.example")));
        let told = world.told_with_feed("bad.example\n");
        assert_eq!(severities(&told, "feed").last(), Some(&expected), "{what}");
    }
}

#[test]
fn a_script_fetched_by_a_script_is_told_where_hardly_anybody_goes() {
    const POWERSHELL: Option<&str> =
        Some("Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1");
    const BROWSER: Option<&str> =
        Some("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/120.0");
    const DAY: i64 = 86_400;
    for (what, fleet, users, at, agent, expected) in [
        (Fires("nobody else"), 60, 0, 2 * DAY, POWERSHELL, Severity::Low),
        (Nearly("a browser did"), 60, 0, 2 * DAY, BROWSER, Severity::Info),
        (Nearly("two others go there"), 60, 2, 2 * DAY, POWERSHELL, Severity::Info),
        (Just("on the second day"), 60, 0, DAY, POWERSHELL, Severity::Low),
        (JustNot("a second earlier"), 60, 0, DAY - 1, POWERSHELL, Severity::Info),
        (Just("a site of fifty"), 50, 0, 2 * DAY, POWERSHELL, Severity::Low),
        (JustNot("of forty-nine"), 49, 0, 2 * DAY, POWERSHELL, Severity::Info),
    ] {
        let mut world = World::new(1_600_000_000);
        for n in 0..fleet {
            world.contact(n, &format!("172.16.1.{n}"), "192.0.2.9", 443, Some("www.a.example"));
        }
        for n in 0..users {
            world.request(100 + n, &format!("172.16.1.{n}"), "203.0.113.9", "files.rare.example", BROWSER);
        }
        world.fetch_script(at, "172.16.1.7", "203.0.113.9", "files.rare.example", agent);
        assert_eq!(severities(&world.told(), "script_download"), [expected], "{what}");
    }
}
