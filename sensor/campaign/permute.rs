//! The same cases at other times: how often would as many of them have been exposed?
//!
//! A check beside the analytic chance that asks nothing of how cases depend on each other (detection.md §10 f): all cases
//! are moved back together by the same offset, and the contacts each host remembers are asked again. A case whose contacts
//! are not known so far back is left out on both sides. It is told beside the analytic chance and decides nothing: what is
//! remembered is four contacts of a pair. The offsets come from a fixed sequence, so the answer is the same in every run.

use super::case::Case;
use super::cause::Suspect;
use super::pairs::{BOOT_S, moment};

/// Share of shifts with at least as many exposed as there are, counting the cases' own time; `None` when too little of
/// the past is remembered to move them.
pub(crate) fn shifted(suspect: &Suspect, cases: &[&Case]) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scales are seconds up to a day")]
    let span = suspect.scale_s as u32;
    let rows: Vec<Row> = cases.iter().filter_map(|case| Row::of(case, suspect)).collect();
    share(&rows, span)
}

fn share(rows: &[Row], span: u32) -> Option<f64> {
    // The furthest every second case can be moved.
    let mut reach: Vec<u32> = rows.iter().map(|row| row.reach).collect();
    reach.sort_unstable();
    let furthest = *reach.get(reach.len() / 2)?;
    let room = furthest.checked_sub(span.saturating_mul(2)).filter(|room| *room >= span)?;
    let (mut as_many, mut asked, mut state) = (0_u32, 0_u32, SEED);
    for _ in 0..SHIFTS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = u32::try_from(state >> 33).unwrap_or(0);
        let offset = span.saturating_add(random % room.max(1));
        let known = || rows.iter().filter(|row| row.reach >= offset.saturating_add(span));
        let exposed = |offset| known().filter(|row| row.is_exposed(offset, span)).count();
        if known().count() * 2 < rows.len() {
            continue;
        }
        asked += 1;
        as_many += u32::from(exposed(offset) >= exposed(0));
    }
    (asked > 0).then(|| f64::from(as_many + 1) / f64::from(asked + 1))
}

/// One case that can be moved.
struct Row {
    at: u32,
    times: Vec<u32>,
    /// How far back its contacts are known.
    reach: u32,
}

impl Row {
    fn of(case: &Case, suspect: &Suspect) -> Option<Self> {
        let at = moment(case.ts);
        let Some(exposure) = case.exposure(suspect.host) else {
            return Some(Self { at, times: Vec::new(), reach: u32::MAX });
        };
        let mut times: Vec<u32> = match suspect.mark {
            super::pairs::Mark::Any => exposure.times.to_vec(),
            mark => exposure.marked.get(mark.index()).copied().into_iter().collect(),
        };
        times.retain(|time| *time > 0 && *time <= at);
        // Fewer than can be remembered are all there were. A case at a boot stays within that boot.
        let full = times.len() >= exposure.times.len();
        let oldest = times.last().copied().unwrap_or(at);
        let known = if full { at - oldest } else { u32::MAX };
        let in_boot = case.booted > 0 && at.saturating_sub(case.booted) <= BOOT_S;
        (!in_boot).then_some(Self { at, times, reach: known })
    }

    fn is_exposed(&self, offset: u32, span: u32) -> bool {
        let at = self.at.saturating_sub(offset);
        self.times.iter().any(|time| *time <= at && at - *time <= span)
    }
}

const SHIFTS: u32 = 200;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases with the last four contacts of a server that is met once in `every` seconds, the latest `ago` seconds before.
    fn cases(every: u32, ago: u32) -> Vec<Row> {
        let times: Vec<u32> = (0..4).map(|n| 100_000 - ago - n * every).collect();
        (0..12).map(|_| Row { at: 100_000, reach: ago + 3 * every, times: times.clone() }).collect()
    }

    #[test]
    fn what_is_always_there_is_there_at_other_times_and_what_is_seldom_is_not() {
        assert_eq!(share(&cases(3_600, 300), 3_600), Some(1.0), "an hourly report, asked an hour back and more");
        assert!(share(&cases(3_600, 20), 120).is_some_and(|share| share < 0.1), "twenty seconds after a contact");
        assert_eq!(share(&cases(600, 20), 3_600), None, "not known so far back");
    }
}
