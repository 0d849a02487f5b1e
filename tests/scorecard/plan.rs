//! Which fleets are played for which command.

use crate::fleet::{Benign, Story};
use crate::scoring::trial::Trial;
use std::fmt;
use std::str::FromStr;

/// A set of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Ten minutes on two cores.
    Development,
    /// Development seeds by the dozen, for what happens seldom.
    Full,
    /// One fleet of so many hosts.
    Fleet(usize),
    /// Seeds nobody has looked at, held-out families among them.
    Report,
}

impl Plan {
    pub(crate) fn trials(self) -> Vec<Trial> {
        match self {
            Self::Development => {
                let mut trials = pooled(0..4, 4..6, false);
                trials.extend(ablations(60..62));
                trials
            }
            Self::Full => pooled(0..30, 30..56, false),
            Self::Fleet(size) => {
                let story =
                    Story { campaigns: vec![3, 5, 9, 20, 41, 87, 132, 400], lone: true, ..Story::quiet(90, size, 14) };
                vec![Trial { group: "attack".to_owned(), story, without: Vec::new() }]
            }
            Self::Report => pooled(1000..1020, 1020..1040, true),
        }
    }

    pub(crate) fn title(self) -> String {
        match self {
            Self::Development => "development seeds".to_owned(),
            Self::Full => "development seeds, pooled".to_owned(),
            Self::Fleet(size) => format!("one fleet of {size} hosts"),
            Self::Report => "report seeds".to_owned(),
        }
    }

    /// Where the table is kept, below `tests/expected/`.
    pub(crate) const fn file(self) -> Option<&'static str> {
        match self {
            Self::Development => Some("scorecard.md"),
            Self::Full => Some("scorecard-full.md"),
            Self::Fleet(_) => None,
            Self::Report => Some("scorecard-report.md"),
        }
    }

    /// Seconds of CPU a trial may take. Ten minutes on two cores are 1,200 for all of the development plan.
    pub(crate) const fn cpu_limit_s(self) -> u64 {
        match self {
            Self::Development => 180,
            Self::Full | Self::Report => 1_800,
            Self::Fleet(_) => 4 * 3_600,
        }
    }

    /// Trials that may run together; a large fleet has the machine to itself.
    pub(crate) const fn at_once(self) -> usize {
        match self {
            Self::Fleet(_) => 1,
            _ => usize::MAX,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Development => f.write_str("development"),
            Self::Full => f.write_str("full"),
            Self::Fleet(size) => write!(f, "fleet-{size}"),
            Self::Report => f.write_str("report"),
        }
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "development" => Ok(Self::Development),
            "full" => Ok(Self::Full),
            "report" => Ok(Self::Report),
            other => match other.strip_prefix("fleet-").map(str::parse) {
                Some(Ok(size)) => Ok(Self::Fleet(size)),
                _ => Err(format!("no such plan: {other}")),
            },
        }
    }
}

/// Fleets with campaigns and single acts, and fleets without; of the latter every second is of the second generator.
fn pooled(attacked: std::ops::Range<u64>, quiet: std::ops::Range<u64>, report: bool) -> Vec<Trial> {
    let attacked = attacked.map(|seed| {
        let campaigns = VICTIMS[(seed % 2) as usize].to_vec();
        let story = Story { campaigns, lone: true, report, ..Story::quiet(seed, HOSTS, DAYS) };
        Trial { group: "attack".to_owned(), story, without: Vec::new() }
    });
    let quiet = quiet.map(|seed| {
        let benign = if seed % 2 == 0 { Benign::Grown } else { Benign::Replayed };
        let story = Story { benign, ..Story::quiet(seed, HOSTS, DAYS) };
        Trial { group: "quiet".to_owned(), story, without: Vec::new() }
    });
    attacked.chain(quiet).collect()
}

/// A smaller fleet with everything in it, once whole and once without each rule.
fn ablations(seeds: std::ops::Range<u64>) -> Vec<Trial> {
    let one = |seed: u64, without: Option<&str>| {
        let story = Story { campaigns: vec![5, 9, 20, 9], lone: true, ..Story::quiet(seed, 300, 12) };
        let group = without.map_or_else(|| "small".to_owned(), |stem| format!("without {stem}"));
        Trial { group, story, without: without.map(str::to_owned).into_iter().collect() }
    };
    let cues = std::iter::once(None).chain(RULES.iter().copied().map(Some));
    cues.flat_map(|stem| seeds.clone().map(move |seed| one(seed, stem))).collect()
}

/// Rules that are taken away one at a time.
const RULES: &[&str] =
    &["beacon", "common_cause", "execution_chain", "new_destination", "remote_execution", "script_download"];

const HOSTS: usize = 2_000;
const DAYS: u32 = 21;
/// Victims of a seed's campaigns, in order of time: the sizes of the design, as far as a fleet of this size holds them.
const VICTIMS: [[usize; 8]; 2] = [[3, 9, 5, 20, 3, 41, 5, 9], [5, 3, 87, 9, 5, 20, 3, 9]];
