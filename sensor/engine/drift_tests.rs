//! The boiling frog as a specification: a baseline that learns is taught a little more every day, and that is told.

use super::scene::Case::{Fires, Just, JustNot, Nearly};
use super::scene::{Talk, severities};
use super::world::World;
use crate::detect::Severity;

const START: i64 = 1_600_000_000;
const DAY: i64 = 86_400;
const QUIET_DAYS: i32 = 30;
const DAYS: i32 = 70;
const PEERS: i32 = 30;

/// What a machine sends on a day: about the same for a month, then `growth` times as much every day.
fn sent(base: f64, growth: f64, day: i32, n: i32) -> u64 {
    let usual = base * (1.0 + 0.2 * f64::from((n * 7 + day * 3) % 5 - 2) / 2.0);
    let rise = growth.powi((day - QUIET_DAYS).max(0));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some megabytes")]
    let bytes = (usual * rise) as u64;
    bytes
}

#[test]
fn a_host_that_sends_a_little_more_every_day_is_told_when_its_peers_do_not() {
    for (what, base, one, others, large_day, told) in [
        (Fires("an eighth more every day"), 2e6, 1.12, 1.0, None, true),
        (Nearly("so does everybody"), 2e6, 1.12, 1.12, None, false),
        (Nearly("a fiftieth more every day"), 2e6, 1.02, 1.0, None, false),
        (Nearly("one large day"), 2e6, 1.0, 1.0, Some(50), false),
        // What it sends of late, faded as its days are, is 47.48 times what it began with.
        (Just("in the end 16 MiB a day"), 353_385.0, 1.12, 1.0, None, true),
        (JustNot("some hundred bytes less"), 353_375.0, 1.12, 1.0, None, false),
        (Nearly("less in the end than a mail with pictures"), 1e5, 1.12, 1.0, None, false),
        (Nearly("as every day"), 2e6, 1.0, 1.0, None, false),
    ] {
        let mut world = World::new(START);
        for (day, n) in (0..DAYS).flat_map(|day| (0..PEERS).map(move |n| (day, n))) {
            let growth = if n == 0 { one } else { others };
            let up = if n == 0 && large_day == Some(day) { 200_000_000 } else { sent(base, growth, day, n) };
            let talk = Talk {
                from: &format!("172.16.5.{n}"),
                to: "192.0.2.9",
                up,
                down: 4 * up,
                name: Some("store.usual.example"),
                ..Talk::default()
            };
            world.say(i64::from(day) * DAY + 7_200 + i64::from(n) * 60, &talk);
        }
        let found = world.told();
        let accused: Vec<_> =
            found.findings.iter().map(|stated| &stated.finding).filter(|f| f.detector == "drift").collect();
        let right = accused.iter().all(|f| f.entities[0].ip == Some(super::world::ip("172.16.5.0")));
        assert!(right && accused.is_empty() != told, "{what}: {accused:#?}");
        assert!(severities(&found, "drift").iter().all(|severity| *severity == Severity::Low), "{what}");
    }
}
