//! One fleet through the right side of the waist, judged.

use super::beside;
use super::judge::{Fate, Single, Told, Verdict, is_of_interest, judge};
use super::kept::Kept;
use crate::fleet::{self, Benign, Fleet, Ns, Story, Truth};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use yukue::event::Timestamp;
use yukue::testing::Right;

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// Results of one name are pooled.
    pub(crate) group: String,
    pub(crate) story: Story,
    /// Rules that are switched off, by stem.
    pub(crate) without: Vec<String>,
}

/// What came of it; written to a file a trial, so that a long run can be taken up again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) group: String,
    pub(crate) seed: u64,
    pub(crate) hosts: usize,
    pub(crate) days: u32,
    pub(crate) replayed: bool,
    pub(crate) observations: u64,
    /// By class of peers: host-days, and those at or below 0.01, 0.001, 0.0001.
    pub(crate) calibration: Vec<(u64, [u64; 3])>,
    pub(crate) verdict: Verdict,
    /// Tables of the right side that ran full, with entries they may hold and entries that made room.
    pub(crate) full: Vec<(String, u64, u64)>,
}

impl Trial {
    /// Plays it; `rule` gives a shipped rule's text, `hear` is told each alert as it is told, and findings: those about
    /// hosts of a single act when they are held no longer, and all that are left at the end. What is `kept` is not played again. Ok: what came of it, and what really happened. Err: what the right side said to
    /// its rules or site, or what kept it from being saved.
    pub(crate) fn run_and_tell(
        &self,
        rule: impl Fn(&str) -> String,
        mut hear: impl FnMut(Ns, &Value),
        mut kept: Option<&mut Kept>,
    ) -> Result<(Outcome, Truth), String> {
        let off: Vec<(String, String)> =
            self.without.iter().map(|stem| (stem.clone(), switched_off(&rule(stem)))).collect();
        let rules: Vec<(&str, &str)> = off.iter().map(|(stem, text)| (stem.as_str(), text.as_str())).collect();
        let mut fleet = Fleet::new(self.story.clone());
        let mut right = Right::new(&fleet.site(), &rules)?;
        let mut told = Told::default();
        if let Some(kept) = &kept {
            kept.resume(&mut right)?;
        }
        loop {
            let mut fresh: Vec<(Ns, Value)> = Vec::new();
            let goes_on = match &mut kept {
                Some(kept) if kept.knows(fleet.now()) => {
                    let goes_on = fleet.go_on(|_| {});
                    fresh = kept.told(fleet.now());
                    goes_on
                }
                kept => {
                    let goes_on = beside::go_on(&mut fleet, |seen| {
                        let told = right.observe(&seen).into_iter().chain(right.parted());
                        fresh.extend(told.map(|told| (seen.ts.0, told)));
                    });
                    fresh.retain(|(_, told)| is_of_interest(told, fleet.truth(), fleet.leases()));
                    if let Some(kept) = kept {
                        let (now, (cpu, peak)) = (fleet.now(), used());
                        kept.note(now, &fresh);
                        kept.night(now, &mut right, (cpu, peak))?;
                        if now.rem_euclid(3 * fleet::HOUR) == 0 {
                            let told = fleet.told();
                            println!("{}: {told} observations, {cpu:.0} s of CPU, peak {peak} MiB", Timestamp(now));
                        }
                    }
                    goes_on
                }
            };
            fresh.iter().for_each(|(at, alert)| hear(*at, alert));
            told.take(&fresh, fleet.leases());
            if !goes_on {
                break;
            }
        }
        let end = fleet.now();
        let calibration = right.calibration();
        let tables = right.tables().into_iter().filter(|table| table.evicted > 0);
        let full = tables.map(|table| (table.name.to_owned(), table.entries, table.evicted)).collect();
        let last = right.finish(|finding| {
            told.hear(&finding, fleet.leases());
            hear(end, &finding);
        });
        let last: Vec<(Ns, Value)> = last.into_iter().map(|alert| (end, alert)).collect();
        last.iter().for_each(|(at, alert)| hear(*at, alert));
        told.take(&last, fleet.leases());
        let verdict = judge(&told, fleet.truth(), self.story.days);
        let outcome = Outcome {
            group: self.group.clone(),
            seed: self.story.seed,
            hosts: fleet.hosts(),
            days: self.story.days,
            replayed: self.story.benign == Benign::Replayed,
            observations: fleet.told(),
            calibration,
            verdict,
            full,
        };
        Ok((outcome, fleet.truth().clone()))
    }

    /// What can be said of a trial that is under way: findings and calibration come with its end. Second: days played.
    pub(crate) fn so_far(&self, kept: &mut Kept) -> (Verdict, f64) {
        let (mut fleet, mut told) = (Fleet::new(self.story.clone()), Told::default());
        while kept.knows(fleet.now()) && fleet.go_on(|_| {}) {
            told.take(&kept.told(fleet.now()), fleet.leases());
        }
        let mut truth = fleet.truth().clone();
        truth.campaigns.retain(|staged| staged.began < fleet.now());
        let days = (fleet.now() - fleet::START) as f64 / fleet::DAY as f64;
        (judge(&told, &truth, self.story.days), days)
    }
}

/// Seconds of CPU and peak memory in MiB of this process.
pub(crate) fn used() -> (f64, i64) {
    let used = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let cpu = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    (cpu(used.user_time()) + cpu(used.system_time()), used.max_rss() / 1_024)
}

/// A rule's text with the rule off.
fn switched_off(text: &str) -> String {
    let off = text.replacen("enabled = true", "enabled = false", 1);
    assert_ne!(off, text, "a rule says that it is on");
    off
}

impl Outcome {
    /// After the learning days.
    pub(crate) fn host_days(&self) -> f64 {
        self.hosts as f64 * f64::from(self.days - fleet::learning_days(self.days))
    }

    pub(crate) fn to_json(&self) -> Value {
        let v = &self.verdict;
        let campaigns: Vec<Value> = v
            .campaigns
            .iter()
            .map(|f| {
                json!({
                    "family": f.family, "k": f.k, "visible": f.visible, "shared": f.shared, "detected": f.detected,
                    "attributed": f.attributed, "right_server": f.right_server, "whole_chain": f.whole_chain,
                    "minutes": f.minutes, "hours": f.hours, "recall": f.recall, "precision": f.precision,
                })
            })
            .collect();
        let lone: Vec<_> = v.lone.iter().map(|l| (&l.family, l.found, &l.by, &l.finding)).collect();
        json!({
            "group": self.group, "seed": self.seed, "hosts": self.hosts, "days": self.days,
            "replayed": self.replayed, "observations": self.observations, "calibration": self.calibration,
            "campaigns": campaigns, "lone": lone, "lookalikes": v.lookalikes, "false": v.false_by_kind,
            "upper_true": v.upper.0, "upper_false": v.upper.1, "false_servers": v.false_servers,
            "accused": v.accused, "by_day": v.by_day, "notices": v.notices, "learning": v.learning,
            "full": self.full,
        })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let count = |key: &str| value[key].as_u64().map(|n| n as usize);
        let fate = |f: &Value| -> Option<Fate> {
            Some(Fate {
                family: f["family"].as_str()?.to_owned(),
                k: f["k"].as_u64()? as usize,
                visible: f["visible"].as_u64()? as usize,
                shared: f["shared"].as_bool()?,
                detected: f["detected"].as_bool()?,
                attributed: f["attributed"].as_bool()?,
                right_server: f["right_server"].as_bool(),
                whole_chain: f["whole_chain"].as_bool(),
                minutes: f["minutes"].as_f64(),
                hours: f["hours"].as_f64(),
                recall: f["recall"].as_f64(),
                precision: f["precision"].as_f64(),
            })
        };
        let lone = |l: &Value| {
            let text = |at: usize| l[at].as_str().map(str::to_owned);
            Some(Single { family: text(0)?, found: l[1].as_bool()?, by: text(2)?, finding: text(3)? })
        };
        let class = |c: &Value| Some((c[0].as_u64()?, [c[1][0].as_u64()?, c[1][1].as_u64()?, c[1][2].as_u64()?]));
        let full = |t: &Value| Some((t[0].as_str()?.to_owned(), t[1].as_u64()?, t[2].as_u64()?));
        let look = |l: &Value| Some((l[0].as_str()?.to_owned(), l[1].as_u64()?));
        let falses: BTreeMap<String, usize> = value["false"]
            .as_object()?
            .iter()
            .map(|(kind, n)| Some((kind.clone(), n.as_u64()? as usize)))
            .collect::<Option<_>>()?;
        Some(Self {
            group: value["group"].as_str()?.to_owned(),
            seed: value["seed"].as_u64()?,
            hosts: count("hosts")?,
            days: u32::try_from(value["days"].as_u64()?).ok()?,
            replayed: value["replayed"].as_bool()?,
            observations: value["observations"].as_u64()?,
            calibration: value["calibration"].as_array()?.iter().map(class).collect::<Option<_>>()?,
            verdict: Verdict {
                accusing: Vec::new(),
                campaigns: value["campaigns"].as_array()?.iter().map(fate).collect::<Option<_>>()?,
                lone: value["lone"].as_array()?.iter().map(lone).collect::<Option<_>>()?,
                lookalikes: value["lookalikes"].as_array()?.iter().map(look).collect::<Option<_>>()?,
                false_by_kind: falses,
                upper: (count("upper_true")?, count("upper_false")?),
                false_servers: count("false_servers")?,
                accused: count("accused")?,
                by_day: value["by_day"]
                    .as_array()?
                    .iter()
                    .map(|n| n.as_u64().map(|n| n as usize))
                    .collect::<Option<_>>()?,
                notices: count("notices")?,
                learning: count("learning")?,
            },
            full: value["full"].as_array()?.iter().map(full).collect::<Option<_>>()?,
        })
    }
}

/// The whole of the right side on a small fleet: what the scorecard does for hours, in seconds.
#[test]
fn a_small_fleet_is_judged_and_its_outcome_survives_a_file() {
    let story = Story { campaigns: vec![5], lone: false, ..Story::quiet(7, 40, 2) };
    let trial = Trial { group: "attack".to_owned(), story, without: Vec::new() };
    let outcome = trial.run_and_tell(|_| String::new(), |_, _| {}, None).unwrap().0;
    let verdict = &outcome.verdict;
    assert_eq!(verdict.campaigns.len(), 1);
    assert!(outcome.observations > 20_000, "{}", outcome.observations);
    assert!(verdict.campaigns[0].visible >= 2, "{verdict:?}");
    let again = Outcome::from_json(&outcome.to_json()).unwrap();
    assert_eq!(again.to_json(), outcome.to_json());
}

#[test]
fn a_rule_can_be_switched_off() {
    assert_eq!(switched_off("a = 1\nenabled = true\n"), "a = 1\nenabled = false\n");
}

/// Broken off after its last night, it tells the rest as it would have.
#[test]
fn a_trial_that_is_taken_up_again_ends_as_it_would_have() {
    let story = Story { campaigns: vec![5], lone: false, ..Story::quiet(7, 40, 3) };
    let trial = Trial { group: "attack".to_owned(), story, without: Vec::new() };
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut kept = Kept::open(folder.path(), "one");
        let outcome = trial.run_and_tell(|_| String::new(), |_, _| {}, Some(&mut kept)).unwrap().0;
        (kept.resumed, outcome)
    };
    let whole = run();
    let (verdict, days) = trial.so_far(&mut Kept::read(folder.path()).unwrap());
    let judged = verdict.by_day.len();
    assert!(days > 2.5 && judged == whole.1.verdict.by_day.len(), "{days} days, {judged} of them judged");
    let again = run();
    assert_eq!((whole.0, again.0), (0, 1));
    let told = |outcome: &Outcome| {
        let verdict = &outcome.verdict;
        let campaigns: Vec<_> = verdict.campaigns.iter().map(|f| (f.detected, f.right_server, f.visible)).collect();
        (outcome.observations, campaigns, verdict.accused, verdict.false_by_kind.clone())
    };
    assert_eq!(told(&again.1), told(&whole.1));
    assert!(!Kept::open(folder.path(), "another").knows(fleet::START), "another program begins anew");
}
