//! Several names and addresses of one provider as one owner, as a specification: who rotates names stays with it.

use super::analysis::Told;
use super::world::{World, campaigns, ip};
use crate::event::{Act, Channel};

const START: i64 = 1_600_000_000;
const DAY: i64 = 86_400;
const ACTOR: &str = "172.16.0.5";
const BROWSER: &str = "t13d1516h2_8daaf6152771_02713d6af862";
/// One hello must not be everybody's: that would be a proxy's.
const OTHER_BROWSER: &str = "t13d1715h2_5b57614c22b0_7121afd63204";
const SYSTEM: &str = "t12d190800_d83cc789557e_7af1ed941c26";
const AZURE: &str = "blob.core.windows.net";
/// Hosts of the site.
const FLEET: i64 = 60;
/// Days that all go by alike before the one that matters.
const DAYS: i64 = 9;

#[derive(Clone, Copy)]
struct Plan {
    victims: i64,
    /// The hello of the program that goes there.
    ja4: &'static str,
    /// The names' common parent.
    parent: fn(i64) -> &'static str,
    touched: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { victims: 7, ja4: SYSTEM, parent: |_| AZURE, touched: true }
    }
}

fn host(n: i64) -> String {
    format!("172.16.1.{}", n + 10)
}

fn told(plan: &Plan) -> Told {
    let mut world = World::new(START);
    let hello = |world: &mut World, at: i64, from: &str, to: &str, name: &str, ja4: &str| {
        world.greet(at, from, to, |hello| {
            hello.sni = Some(name.into());
            hello.ja4 = Some(ja4.into());
        });
    };
    for day in 0..=DAYS {
        for n in 0..FLEET {
            for k in 0..8 {
                let at = day * DAY + n * 7 + k * 2700;
                world.touch(at, &host(n), "172.16.0.2", 445);
                // People's browsers meet a customer of the provider that is new to them now and then.
                let name = format!("shop{}.{AZURE}", (n * 13 + day * 7 + k) % 400);
                hello(&mut world, at + 60, &host(n), "192.0.2.30", &name, BROWSER);
                hello(&mut world, at + 90, &host(n), "192.0.2.9", "www.a.example", OTHER_BROWSER);
            }
        }
    }
    let at = DAYS * DAY + 9_000;
    for n in 0..plan.victims {
        if plan.touched {
            world.act(at + n * 40, ACTOR, &host(n), 5985, Channel::Winrm, Act::Administer, "Identify");
        }
        let (to, parent) = (format!("192.0.2.{}", 100 + n), (plan.parent)(n));
        for k in 0..20 {
            hello(&mut world, at + n * 40 + 20 + k * 300, &host(n), &to, &format!("yk{n}.{parent}"), plan.ja4);
        }
    }
    world.touch(at + 4 * 3600, &host(0), "172.16.0.2", 445);
    world.told()
}

#[test]
fn machines_that_meet_a_name_each_of_one_provider_are_one_campaign() {
    let told = told(&Plan::default());
    let [alert] = campaigns(&told)[..] else {
        panic!("{:#?}", told.alerts.iter().map(|a| (a.kind, a.finding.title.to_string())).collect::<Vec<_>>())
    };
    let scope = alert.scope.as_ref().unwrap();
    assert_eq!(scope.servers[0].ip, ip(ACTOR));
    assert_eq!(scope.destinations.len(), 7, "{:?}", scope.destinations);
}

#[test]
fn what_makes_it_no_story() {
    for (what, plan) in [
        ("a browser", Plan { ja4: BROWSER, ..Plan::default() }),
        ("nobody touched them", Plan { touched: false, ..Plan::default() }),
        ("two machines", Plan { victims: 2, ..Plan::default() }),
        (
            "no provider in common",
            Plan { parent: |n| OTHERS[usize::try_from(n).unwrap() % OTHERS.len()], ..Plan::default() },
        ),
    ] {
        let told = told(&plan);
        assert!(campaigns(&told).is_empty(), "{what}: {:#?}", campaigns(&told));
    }
}

/// Names of nobody the tables know.
const OTHERS: &[&str] =
    &["one.example", "two.example", "three.example", "four.example", "five.example", "six.example", "seven.example"];
