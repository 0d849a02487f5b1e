//! Which fleets are played for which command.

use crate::fleet::{Benign, Story};
use crate::scoring::trial::Trial;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A set of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Ten minutes on two cores.
    Development,
    /// Less than four, for `make test`: small fleets, and only what can be said of them.
    Small,
    /// Development seeds by the dozen, for what happens seldom: some hour of CPU.
    Full,
    /// One fleet of so many hosts, for so many days.
    Fleet(usize, u32),
    /// Seeds nobody has looked at, held-out families among them: some hour of CPU. The second report has other seeds than
    /// the first: seen once, they test nothing any more.
    Report(u64),
}

impl Plan {
    pub(crate) fn trials(self) -> Vec<Trial> {
        match self {
            Self::Development => {
                let mut trials = pooled(0..1, 4..5, false);
                for trial in trials.iter_mut().filter(|trial| trial.group == "quiet") {
                    trial.story.days = QUIET_DAYS;
                }
                // Half a fleet of the second generator: what the first does not do is not seen in it.
                let second = Story { benign: Benign::Replayed, ..Story::quiet(33, HOSTS / 2, DAYS) };
                trials.push(Trial { group: "quiet".to_owned(), story: second, without: Vec::new() });
                trials.extend(more_campaigns(50..56, false));
                trials.extend(ablations(60));
                trials
            }
            Self::Small => small(70..76, 76..78),
            Self::Full => pooled(0..4, 30..34, false).into_iter().chain(more_campaigns(40..90, false)).collect(),
            Self::Fleet(size, days) => {
                let campaigns = vec![3, 5, 9, 20, 41, 87, 132, 400];
                let story = Story { campaigns, lone: true, ..Story::quiet(90, size, days) };
                vec![Trial { group: "attack".to_owned(), story, without: Vec::new() }]
            }
            Self::Report(nth) => {
                let of = |seeds: Range<u64>| 1000 * nth + seeds.start..1000 * nth + seeds.end;
                pooled(of(0..6), of(20..24), true).into_iter().chain(more_campaigns(of(40..64), true)).collect()
            }
        }
    }

    pub(crate) fn title(self) -> String {
        match self {
            Self::Development => "development seeds".to_owned(),
            Self::Small => "small fleets".to_owned(),
            Self::Full => "development seeds, pooled".to_owned(),
            Self::Fleet(size, days) => format!("one fleet of {size} hosts, {days} days"),
            Self::Report(1) => "report seeds".to_owned(),
            Self::Report(nth) => format!("report seeds, {nth}"),
        }
    }

    /// Where the table is kept, below `tests/expected/`.
    pub(crate) fn file(self) -> String {
        let of = match self {
            Self::Development => "",
            Self::Full => "-full",
            Self::Small => "-small",
            Self::Fleet(..) => "-fleet",
            Self::Report(1) => "-report",
            Self::Report(nth) => return format!("scorecard-report-{nth}.md"),
        };
        format!("scorecard{of}.md")
    }

    /// Seconds of CPU a trial may take. Ten minutes on two cores are 1,200 for all of the development plan.
    pub(crate) const fn cpu_limit_s(self) -> u64 {
        match self {
            Self::Development | Self::Small => 600,
            Self::Full | Self::Report(_) => 1_800,
            Self::Fleet(..) => 4 * 3_600,
        }
    }

    /// Whether a trial takes so long that it is kept every other night.
    pub(crate) const fn is_long(self) -> bool {
        matches!(self, Self::Fleet(..))
    }

    /// Trials that may run together; a large fleet has the machine to itself.
    pub(crate) const fn at_once(self) -> usize {
        match self {
            Self::Fleet(..) => 1,
            _ => usize::MAX,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Development => f.write_str("development"),
            Self::Small => f.write_str("small"),
            Self::Full => f.write_str("full"),
            Self::Fleet(size, days) => write!(f, "fleet-{size}x{days}"),
            Self::Report(nth) => write!(f, "report-{nth}"),
        }
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "development" => Ok(Self::Development),
            "small" => Ok(Self::Small),
            "full" => Ok(Self::Full),
            other => {
                let report = || Some(Self::Report(other.strip_prefix("report-")?.parse().ok().filter(|nth| *nth > 0)?));
                let fleet = || {
                    let sizes = other.strip_prefix("fleet-")?;
                    let (size, days) = sizes.split_once('x').unwrap_or((sizes, FLEET_DAYS));
                    Some(Self::Fleet(size.parse().ok()?, days.parse().ok()?))
                };
                report().or_else(fleet).ok_or_else(|| format!("no such plan: {other}"))
            }
        }
    }
}

/// Fleets with campaigns and single acts, and fleets without; of the latter every second is of the second generator.
fn pooled(attacked: Range<u64>, quiet: Range<u64>, report: bool) -> Vec<Trial> {
    let attacked = attacked.map(|seed| {
        let campaigns = VICTIMS[(seed % 2) as usize].to_vec();
        let story = Story { campaigns, lone: true, report, ..Story::quiet(seed, HOSTS, DAYS) };
        Trial { group: "attack".to_owned(), story, without: Vec::new() }
    });
    let quiet = quiet.map(|seed| {
        let story = Story { benign: benign(seed), ..Story::quiet(seed, HOSTS, DAYS) };
        Trial { group: "quiet".to_owned(), story, without: Vec::new() }
    });
    attacked.chain(quiet).collect()
}

/// Of fleets in which nothing happens every second one is of the second generator.
pub(crate) const fn benign(seed: u64) -> Benign {
    if seed.is_multiple_of(2) { Benign::Grown } else { Benign::Replayed }
}

/// Fleets of a tenth of the size, for campaigns alone: eight in a large one say little about how many are found.
fn more_campaigns(seeds: Range<u64>, report: bool) -> Vec<Trial> {
    let one = |seed: u64| {
        let story = Story { campaigns: vec![9, 5, 20, 3], report, ..Story::quiet(seed, 250, 12) };
        Trial { group: "attack".to_owned(), story, without: Vec::new() }
    };
    seeds.map(one).collect()
}

/// Fleets small enough for every run of the tests.
fn small(attacked: Range<u64>, quiet: Range<u64>) -> Vec<Trial> {
    let attacked = attacked.map(|seed| {
        let story = Story { campaigns: vec![9, 5, 9], lone: true, ..Story::quiet(seed, 200, 10) };
        Trial { group: "attack".to_owned(), story, without: Vec::new() }
    });
    let quiet = quiet.map(|seed| {
        let story = Story { benign: benign(seed), ..Story::quiet(seed, 200, 16) };
        Trial { group: "quiet".to_owned(), story, without: Vec::new() }
    });
    attacked.chain(quiet).collect()
}

/// A much smaller fleet with everything in it: once whole, once without each group of cues, once without each rule. It is
/// these that were made small to keep the whole within ten minutes, not the fleets above.
fn ablations(seed: u64) -> Vec<Trial> {
    let one = |group: String, without: &[&str]| {
        let story = Story { campaigns: vec![5, 9], lone: true, ..Story::quiet(seed, 150, 9) };
        Trial { group, story, without: without.iter().map(|stem| (*stem).to_owned()).collect() }
    };
    let whole = std::iter::once(one("small".to_owned(), &[]));
    let groups = GROUPS.iter().map(|(name, stems)| one(format!("without the cues of {name}"), stems));
    let rules = RULES.iter().map(|stem| one(format!("without {stem}"), &[stem]));
    whole.chain(groups).chain(rules).collect()
}

/// Cues by group (`detection.md` §8): those who say them.
pub(crate) const GROUPS: &[(&str, &[&str])] = &[
    ("destinations", &["direct_address", "management_egress", "rare_destination", "remote_management", "sni_mismatch"]),
    ("clients", &["client_mismatch", "script_download"]),
    ("timing", &["beacon", "entry", "off_hours"]),
    ("volume", &["cohort_exfiltration", "dns_tunnel", "icmp_tunnel", "slow_drip", "upload_tail"]),
    ("execution", &["execution_fan_out", "remote_execution"]),
    ("protocols", &["dga", "encrypted_dns", "long_connection", "protocol_mismatch", "resolver_bypass"]),
];

/// Rules that are taken away one at a time: all there are.
pub(crate) const RULES: &[&str] = &[
    "admin_path",
    "beacon",
    "client_mismatch",
    "coerced_authentication",
    "cohort_exfiltration",
    "common_cause",
    "coordinated_poller",
    "dga",
    "direct_address",
    "dns_tunnel",
    "drift",
    "encrypted_dns",
    "entry",
    "enumeration",
    "execution_chain",
    "execution_fan_out",
    "feed",
    "host_anomaly",
    "hub_suspect",
    "icmp_tunnel",
    "long_connection",
    "management_egress",
    "new_destination",
    "new_service",
    "off_hours",
    "policy",
    "protocol_mismatch",
    "push_pattern",
    "rare_destination",
    "remote_execution",
    "remote_management",
    "resolver_bypass",
    "script_download",
    "slow_drip",
    "sni_mismatch",
    "telltale_call",
    "upload_tail",
];

/// Of a large fleet, unless asked for otherwise: three hours of one core for 100,000 hosts.
const FLEET_DAYS: &str = "14";
const HOSTS: usize = 2_000;
const DAYS: u32 = 21;
/// Of the quiet fleet of the development plan: 21 days have 27,000 host-days that are held against others, and a share of
/// one in a thousand is read off 30,000 and more.
const QUIET_DAYS: u32 = 24;
/// Victims of a seed's campaigns, in order of time: the sizes of the design, as far as a fleet of this size holds them.
const VICTIMS: [[usize; 8]; 2] = [[3, 9, 5, 20, 3, 41, 5, 9], [5, 3, 87, 9, 5, 20, 3, 9]];

/// A rule that came later must be taken away like all others, and a group must be made of rules there are.
#[test]
fn every_rule_is_taken_away_once() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let mut rules: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
        .filter(|stem| !stem.ends_with(".example"))
        .collect();
    rules.sort();
    assert_eq!(RULES, rules);
    assert!(GROUPS.iter().flat_map(|(_, stems)| *stems).all(|stem| RULES.contains(stem)));
    let seeds = |plan: Plan| plan.trials().iter().map(|trial| trial.story.seed).collect::<Vec<_>>();
    assert!([Plan::Development, Plan::Small, Plan::Full].into_iter().flat_map(seeds).all(|seed| seed < 100));
    assert!(
        (1..4).all(|nth| seeds(Plan::Report(nth)).iter().all(|seed| (1000 * nth..1000 * nth + 100).contains(seed)))
    );
}
