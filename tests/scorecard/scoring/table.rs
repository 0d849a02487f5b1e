//! Outcomes → the table of goals and floors, as Markdown. A row is gated when its interval lies on one side of the floor;
//! one that straddles it is not measurable at this size, and says so.

use super::interval::{self, Estimate};
use super::judge::{Fate, Single};
use super::trial::Outcome;
use crate::fleet;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Good {
    More,
    Less,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) task: String,
    pub(crate) unit: &'static str,
    pub(crate) estimate: Option<Estimate>,
    pub(crate) good: Good,
    pub(crate) goal: f64,
    pub(crate) floor: f64,
}

/// What a row says about the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Holds,
    Fails,
    NotMeasurable,
    NoFloor,
}

impl Row {
    pub(crate) fn gate(&self) -> Gate {
        if self.floor <= 0.0 {
            return Gate::NoFloor;
        }
        let Some(e) = self.estimate else { return Gate::NotMeasurable };
        let (sure, out) = match self.good {
            Good::More => (e.low >= self.floor, e.high < self.floor),
            Good::Less => (e.high <= self.floor, e.low > self.floor),
        };
        match (sure, out) {
            (true, _) => Gate::Holds,
            (_, true) => Gate::Fails,
            _ => Gate::NotMeasurable,
        }
    }
}

/// The table's rows, in its order.
pub(crate) fn rows(all: &[Outcome]) -> Vec<Row> {
    let attacked: Vec<&Outcome> = all.iter().filter(|o| o.group == "attack").collect();
    let quiet: Vec<&Outcome> = all.iter().filter(|o| o.group == "quiet").collect();
    let both = || attacked.iter().chain(&quiet);
    let fates: Vec<&Fate> = attacked.iter().flat_map(|o| &o.verdict.campaigns).collect();
    let mut rows = Vec::new();
    let mut row = |task: String, unit, estimate, good, goal, floor| {
        rows.push(Row { task, unit, estimate, good, goal, floor });
    };
    let by_k: [(&str, std::ops::RangeInclusive<usize>, f64, f64); 3] =
        [("K ≥ 8", 8..=usize::MAX, 0.95, 0.90), ("K = 5–7", 5..=7, 0.80, 0.65), ("K = 3–4", 3..=4, 0.60, 0.40)];
    for (name, visible, goal, floor) in &by_k {
        let of: Vec<_> = fates.iter().filter(|f| visible.contains(&f.visible)).collect();
        let found = interval::share(of.iter().filter(|f| f.detected).count(), of.len());
        row(format!("campaign detected, {name} visible"), "", found, Good::More, *goal, *floor);
    }
    for (name, visible, goal, floor) in [("K ≥ 8", 8..=usize::MAX, 0.98, 0.95), ("K = 5–7", 5..=7, 0.90, 0.80)] {
        let of: Vec<bool> =
            fates.iter().filter(|f| visible.contains(&f.visible)).filter_map(|f| f.right_server).collect();
        let right = interval::share(of.iter().filter(|right| **right).count(), of.len());
        row(format!("staging server ranks first, {name}"), "", right, Good::More, goal, floor);
    }
    let chains: Vec<bool> = fates.iter().filter_map(|f| f.whole_chain).collect();
    let whole = interval::share(chains.iter().filter(|whole| **whole).count(), chains.len());
    row("all hops named, given attribution".to_owned(), "", whole, Good::More, 0.8, 0.0);
    let named = quiet.iter().map(|o| o.verdict.false_servers).sum();
    let exposure = quiet.iter().map(|o| o.host_days()).sum::<f64>() / (100_000.0 * 30.0);
    let falsely = interval::rate(named, exposure);
    row("server named without an attacker, 100k hosts × 30 days".to_owned(), "", falsely, Good::Less, 1.0, 4.3);
    let minutes: Vec<Vec<f64>> = per_seed(&attacked, |f| f.minutes);
    row(
        "minutes from the fifth call to the incident, median".to_owned(),
        "min",
        interval::median(&minutes),
        Good::Less,
        15.0,
        60.0,
    );
    let hours = interval::median(&per_seed(&attacked, |f| f.hours));
    row("hours from the first push to the incident, median".to_owned(), "h", hours, Good::Less, 24.0, 0.0);
    for (name, shared, goals) in
        [("own destination", false, [(0.98, 0.95), (0.97, 0.90)]), ("shared cloud", true, [(0.85, 0.70), (0.90, 0.80)])]
    {
        let of = |what: fn(&Fate) -> Option<f64>| {
            interval::mean(&per_seed(&attacked, |f| if f.shared == shared { what(f) } else { None }))
        };
        row(format!("scope recall, {name}"), "", of(|f| f.recall), Good::More, goals[0].0, goals[0].1);
        row(format!("scope precision, {name}"), "", of(|f| f.precision), Good::More, goals[1].0, goals[1].1);
    }
    let upper = attacked.iter().fold((0, 0), |sum, o| (sum.0 + o.verdict.upper.0, sum.1 + o.verdict.upper.1));
    row(
        "precision of T1 and T2 where there are attacks".to_owned(),
        "",
        interval::share(upper.0, upper.0 + upper.1),
        Good::More,
        0.60,
        0.40,
    );
    // Steady: from the fourteenth day on. The budget is 20 a day and 100,000 hosts, five at least.
    let days: Vec<Vec<f64>> = quiet
        .iter()
        .map(|o| o.verdict.by_day.iter().take(o.days as usize).skip(14).map(|n| *n as f64).collect())
        .collect();
    row("incidents a day of a quiet fleet, after day 14".to_owned(), "", interval::mean(&days), Good::Less, 6.25, 7.5);
    let (checked, unusual) =
        quiet.iter().flat_map(|o| &o.calibration).fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1[1]));
    let fair = interval::rate(unusual as usize, checked as f64 / 1_000.0).filter(|_| checked >= LEAST_HOST_DAYS);
    row("host-days at p ≤ 0.001, observed / nominal".to_owned(), "", fair, Good::Less, 2.0, 3.0);
    let accused: usize = both().map(|o| o.verdict.accused).sum();
    let exposure = both().map(|o| o.host_days()).sum::<f64>() / 100_000.0;
    row(
        "hosts accused wrongly, 100k host-days".to_owned(),
        "",
        interval::rate(accused, exposure),
        Good::Less,
        20.0,
        60.0,
    );
    let mut families: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for single in attacked.iter().flat_map(|o| &o.verdict.lone) {
        let counts = families.entry(&single.family).or_default();
        *counts = (counts.0 + usize::from(single.found), counts.1 + 1);
    }
    for (family, goal, floor) in LONE_GOALS {
        let (found, of) = families.get(family).copied().unwrap_or_default();
        row(format!("found alone: {family}"), "", interval::share(found, of), Good::More, *goal, *floor);
    }
    rows
}

fn per_seed(outcomes: &[&Outcome], what: impl Fn(&Fate) -> Option<f64>) -> Vec<Vec<f64>> {
    outcomes.iter().map(|o| o.verdict.campaigns.iter().filter_map(&what).collect()).collect()
}

/// Goals and floors of the table for single hosts; the rest is listed without a floor.
const LONE_GOALS: &[(&str, f64, f64)] =
    &[("beacon", 0.98, 0.95), ("beacon hourly", 0.98, 0.95), ("dns tunnel", 0.95, 0.90)];

/// The table and what explains it.
pub(crate) fn render(all: &[Outcome], heading: &str) -> String {
    let mut out = format!("{heading}\n\n");
    let mut runs: BTreeMap<(&str, usize, u32), BTreeSet<u64>> = BTreeMap::new();
    for o in all {
        let group = if o.group.starts_with("without ") { "without …, each" } else { &o.group };
        runs.entry((group, o.hosts, o.days)).or_default().insert(o.seed);
    }
    for ((group, hosts, days), seeds) in runs {
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        writeln!(out, "- `{group}`: {hosts} hosts × {days} days, seeds {}", seeds.join(" ")).unwrap();
    }
    out += "\n| measure | value | 95 % | n | goal | floor | |\n|---|---|---|---|---|---|---|\n";
    for row in rows(all) {
        let (value, range, n) = row.estimate.map_or_else(
            || ("–".to_owned(), "–".to_owned(), 0),
            |e| (number(e.value), format!("{} – {}", number(e.low), number(e.high)), e.n),
        );
        let gate = match row.gate() {
            Gate::Holds => "holds",
            Gate::Fails => "**fails**",
            Gate::NotMeasurable => "not measurable at this size",
            Gate::NoFloor => "no floor",
        };
        let (goal, floor) = (number(row.goal), if row.floor > 0.0 { number(row.floor) } else { "–".to_owned() });
        writeln!(out, "| {} | {value} {} | {range} | {n} | {goal} | {floor} | {gate} |", row.task, row.unit).unwrap();
    }
    out += &detection_by_k(all);
    out += &false_incidents(all);
    out += &calibration(all);
    out += &singles(all);
    out += &ablations(all);
    out += &full_tables(all);
    out
}

/// What did not fit: a campaign whose cases made room is not found.
fn full_tables(all: &[Outcome]) -> String {
    let mut full: BTreeMap<(usize, u32, &str), (u64, u64)> = BTreeMap::new();
    for (o, (name, entries, evicted)) in all.iter().flat_map(|o| o.full.iter().map(move |table| (o, table))) {
        let most = full.entry((o.hosts, o.days, name)).or_insert((*entries, 0));
        most.1 = most.1.max(*evicted);
    }
    let mut out = "\n## Tables that ran full\n\n".to_owned();
    if full.is_empty() {
        return out + "None.\n";
    }
    out += "| fleet | table | entries | made room, at most |\n|---|---|---|---|\n";
    for ((hosts, days, name), (entries, evicted)) in full {
        writeln!(out, "| {hosts} hosts × {days} days | `{name}` | {entries} | {evicted} |").unwrap();
    }
    out
}

/// Whether a table written before says of a row that its floor does not hold.
pub(crate) fn says_it_fails(table: &str, task: &str) -> bool {
    let row = format!("| {task} |");
    table.lines().any(|line| line.starts_with(&row) && line.contains("**fails**"))
}

fn detection_by_k(all: &[Outcome]) -> String {
    let mut out = "\n## Campaigns by number of victims and by family\n\n".to_owned();
    out += "| | campaigns | detected | server named | server first |\n|---|---|---|---|---|\n";
    let fates: Vec<&Fate> = all.iter().filter(|o| o.group == "attack").flat_map(|o| &o.verdict.campaigns).collect();
    let mut groups: BTreeMap<(bool, usize, String), Vec<&Fate>> = BTreeMap::new();
    for fate in fates {
        groups.entry((false, fate.k, format!("K = {}", fate.k))).or_default().push(fate);
        groups.entry((true, 0, fate.family.clone())).or_default().push(fate);
    }
    for ((.., name), fates) in groups {
        let count = |f: fn(&Fate) -> bool| fates.iter().filter(|fate| f(fate)).count();
        let [found, named, first] =
            [count(|f| f.detected), count(|f| f.attributed), count(|f| f.right_server == Some(true))];
        writeln!(out, "| {name} | {} | {found} | {named} | {first} |", fates.len()).unwrap();
    }
    out
}

fn false_incidents(all: &[Outcome]) -> String {
    let quiet = || all.iter().filter(|o| o.group == "quiet");
    let learning: usize = quiet().map(|o| o.verdict.learning).sum();
    let learned: f64 = quiet().map(|o| o.hosts as f64 * f64::from(fleet::learning_days(o.days)) / 100_000.0).sum();
    let early = interval::rate(learning, learned).map_or_else(|| "–".to_owned(), |e| number(e.value));
    let mut out = "\n## False incidents per 100,000 host-days\n\n".to_owned();
    writeln!(out, "After the learning days; in them, when nobody is known yet, {early} of all kinds.\n").unwrap();
    out += "| kind | first generator | second generator |\n|---|---|---|\n";
    let side = |replayed: bool| -> (BTreeMap<&str, usize>, f64) {
        let of = all.iter().filter(|o| o.group == "quiet" && o.replayed == replayed);
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        let mut exposure = 0.0;
        for outcome in of {
            exposure += outcome.host_days() / 100_000.0;
            outcome.verdict.false_by_kind.iter().for_each(|(kind, n)| *kinds.entry(kind).or_default() += n);
        }
        (kinds, exposure)
    };
    let (grown, replayed) = (side(false), side(true));
    let kinds: BTreeSet<&str> = grown.0.keys().chain(replayed.0.keys()).copied().collect();
    let cell = |side: &(BTreeMap<&str, usize>, f64), kind: &str| {
        let estimate = interval::rate(side.0.get(kind).copied().unwrap_or(0), side.1);
        estimate
            .map_or_else(|| "–".to_owned(), |e| format!("{} ({} – {})", number(e.value), number(e.low), number(e.high)))
    };
    for kind in kinds {
        writeln!(out, "| {kind} | {} | {} |", cell(&grown, kind), cell(&replayed, kind)).unwrap();
    }
    out
}

/// Host-days of quiet fleets as unusual as their p-value says: 1 is fair, below 1 is careful.
fn calibration(all: &[Outcome]) -> String {
    let mut out =
        "\n## Calibration of host-days\n\n| | host-days | at 0.01 | at 0.001 | at 0.0001 |\n|---|---|---|---|---|\n"
            .to_owned();
    let classes = |replayed: bool| {
        let of = all.iter().filter(move |o| o.group == "quiet" && o.replayed == replayed);
        of.flat_map(|o| o.calibration.iter().copied()).fold((0_u64, [0_u64; 3]), |sum, (days, hits)| {
            (sum.0 + days, [sum.1[0] + hits[0], sum.1[1] + hits[1], sum.1[2] + hits[2]])
        })
    };
    for (name, replayed) in [("first generator", false), ("second generator", true)] {
        let (days, hits) = classes(replayed);
        let ratio = |n: usize, p: f64| match interval::rate(hits[n] as usize, days as f64 * p) {
            Some(e) if days >= LEAST_HOST_DAYS => {
                format!("{} ({} – {})", number(e.value), number(e.low), number(e.high))
            }
            _ => "not measurable at this size".to_owned(),
        };
        writeln!(out, "| {name} | {days} | {} | {} | {} |", ratio(0, 0.01), ratio(1, 0.001), ratio(2, 0.0001)).unwrap();
    }
    out
}

/// Fewer say nothing of one in a thousand.
const LEAST_HOST_DAYS: u64 = 30_000;

fn singles(all: &[Outcome]) -> String {
    let mut out = "\n## Single acts\n\nFound by an alert above a notice; timers by their rhythm. A finding says what it is, be it for the record \
         only: by design one weak sign is no alert. A cohort is looked for from a week on and up to a twentieth of the \
         fleet, so not in ten days of 200 hosts: there only single hosts of it are found.\n\n| family | found | by | finding | of |\n|---|---|---|---|---|\n"
        .to_owned();
    let mut families: BTreeMap<&str, Vec<&Single>> = BTreeMap::new();
    for single in all.iter().filter(|o| o.group == "attack").flat_map(|o| &o.verdict.lone) {
        families.entry(&single.family).or_default().push(single);
    }
    let names = |texts: &mut dyn Iterator<Item = &str>| {
        let each: BTreeSet<String> = texts.flat_map(|text| text.split(", ").map(str::to_owned)).collect();
        each.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
    };
    for (family, singles) in families {
        let count = |what: fn(&Single) -> bool| singles.iter().filter(|single| what(single)).count();
        let (found, noted) = (count(|s| s.found), count(|s| !s.finding.is_empty()));
        let by = names(&mut singles.iter().map(|s| s.by.as_str()));
        let of = names(&mut singles.iter().map(|s| s.finding.as_str()));
        let n = singles.len();
        writeln!(out, "| {family} | {found} of {n} | {by} | {noted} of {n} | {of} |").unwrap();
    }
    out += "\n## What looks bad and is not\n\n| kind | fleets | above a notice | upmost tier |\n|---|---|---|---|\n";
    let mut looks: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (kind, tier) in all.iter().filter(|o| o.group == "quiet").flat_map(|o| &o.verdict.lookalikes) {
        looks.entry(kind).or_default().push(*tier);
    }
    for (kind, tiers) in looks {
        let above = tiers.iter().filter(|tier| **tier < 4).count();
        let upmost = tiers.iter().min().copied().unwrap_or(4);
        writeln!(out, "| {kind} | {} | {above} | T{upmost} |", tiers.len()).unwrap();
    }
    out
}

/// One rule off at a time, on the same seeds.
fn ablations(all: &[Outcome]) -> String {
    let groups: BTreeSet<&str> =
        all.iter().map(|o| o.group.as_str()).filter(|g| g.starts_with("without ") || *g == "small").collect();
    if groups.is_empty() {
        return String::new();
    }
    let mut out = "\n## One rule off at a time\n\n| | detected | server first | single acts found | false incidents |\n|---|---|---|---|---|\n".to_owned();
    for group in groups {
        let of: Vec<&Outcome> = all.iter().filter(|o| o.group == group).collect();
        let fates: Vec<&Fate> = of.iter().flat_map(|o| &o.verdict.campaigns).collect();
        let detected = fates.iter().filter(|f| f.detected).count();
        let first = fates.iter().filter(|f| f.right_server == Some(true)).count();
        let lone: Vec<bool> = of.iter().flat_map(|o| o.verdict.lone.iter().map(|l| l.found)).collect();
        let falses: usize = of.iter().flat_map(|o| o.verdict.false_by_kind.values()).sum();
        let name = if group == "small" { "all rules on" } else { group };
        let found = lone.iter().filter(|found| **found).count();
        writeln!(out, "| {name} | {detected} of {} | {first} | {found} of {} | {falses} |", fates.len(), lone.len())
            .unwrap();
    }
    out
}

fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}

#[test]
fn a_row_is_gated_only_where_its_interval_is_clear_of_the_floor() {
    let row = |estimate, good, floor| Row { task: String::new(), unit: "", estimate, good, goal: 0.0, floor };
    for (what, row, gate) in [
        ("all of forty", row(interval::share(40, 40), Good::More, 0.9), Gate::Holds),
        ("none of forty", row(interval::share(0, 40), Good::More, 0.9), Gate::Fails),
        ("all of five", row(interval::share(5, 5), Good::More, 0.9), Gate::NotMeasurable),
        ("nothing to count", row(None, Good::More, 0.9), Gate::NotMeasurable),
        ("no event where four are too many", row(interval::rate(0, 1.0), Good::Less, 4.3), Gate::Holds),
        ("thirty", row(interval::rate(30, 1.0), Good::Less, 4.3), Gate::Fails),
    ] {
        assert_eq!(row.gate(), gate, "{what}");
    }
}

#[test]
fn the_table_names_every_goal_and_shows_what_cannot_be_told_apart() {
    let text = render(&[Outcome { group: "quiet".to_owned(), hosts: 10, days: 2, ..Outcome::default() }], "# Nothing");
    for row in rows(&[]) {
        assert!(text.contains(&row.task) && row.goal > 0.0, "{}", row.task);
    }
    assert!(
        text.contains("not measurable at this size") && text.contains("no floor") && text.contains(" min"),
        "{text}"
    );
}

#[test]
fn a_floor_known_not_to_hold_is_known_by_its_row() {
    let table = "| a | 0.4 | 0.1 – 0.7 | 5 | 0.9 | 0.8 | **fails** |\n| a b | 1 | 1 – 1 | 5 | 0.9 | 0.8 | holds |\n";
    assert_eq!(["a", "a b", "b"].map(|task| says_it_fails(table, task)), [true, false, false]);
}
