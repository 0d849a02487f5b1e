//! `yukue rules`: what rules there are, whether changed ones are right, and what a change would hide or show.

use super::site::SiteFlags;
use super::{Exit, told};
use crate::alert::{Alert, Rules};
use crate::base::{Prefix, Timestamp};
use crate::config::{self, Loaded};
use crate::detect::Severity;
use crate::engine::{self, Copies, Job, Setup};
use crate::intel::Intel;
use crate::output::shown;
use crate::profile::Declared;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What to do with rules.
#[derive(clap::Args)]
pub(super) struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Every rule: whether it is on, its ATT&CK techniques, what it is about.
    List(Folder),
    /// One rule's text, as it is in force.
    Show {
        /// `beacon` for `beacon.toml`.
        stem: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Reads rules and allow-list and tells what is wrong or has expired.
    Lint(Folder),
    /// Reads captures with what they must show (`NAME.pcap` beside `NAME.expect.toml`): proof that tuning blinded nothing.
    Test(Test),
    /// Reads captures with the rules in force and with changed ones, and tells which alerts come, go or change; or reads what
    /// was told (`alerts.jsonl`, `findings.jsonl`) and tells what the change would have hidden of it.
    Preview(Preview),
}

#[derive(clap::Args)]
struct Folder {
    /// Rules that replace shipped ones of the same name, and allow.toml.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Test {
    /// The folder of captures and expectations.
    cases: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

#[derive(clap::Args)]
struct Preview {
    /// Captures of your own past, or records: `.jsonl` files, or the folders of runs.
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// The rules in force; without it the shipped ones.
    #[arg(long, value_name = "DIR")]
    before: Option<PathBuf>,
    /// What `yukue baseline learn` learned of this site before.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Learns until then and tells only what came after.
    #[arg(long, value_name = "TIME", value_parser = super::analyze::moment)]
    learn_until: Option<Timestamp>,
    /// `--rules` are the changed ones.
    #[command(flatten)]
    site: SiteFlags,
}

/// Runs the subcommand; what goes wrong is printed to standard error.
pub(super) fn run(flags: &Flags, quiet: bool) -> Exit {
    let done = match &flags.command {
        Command::List(folder) => rules(folder.rules.as_deref()).map(|rules| (list(&rules), Exit::Done)),
        Command::Show { stem, folder } => rules(folder.rules.as_deref()).and_then(|rules| show(&rules, stem)),
        Command::Lint(folder) => rules(folder.rules.as_deref()).map(|rules| lint(&rules)),
        Command::Test(test) => self::test(test),
        Command::Preview(preview) => self::preview(preview),
    };
    super::print(done, quiet)
}

fn rules(folder: Option<&Path>) -> Result<Rules, miette::Report> {
    config::rules(folder).map_err(|e| (*e).into())
}

/// What every rule says of itself.
#[derive(serde::Deserialize)]
struct Head {
    enabled: bool,
    #[serde(default)]
    attack: Vec<String>,
}

fn list(rules: &Rules) -> String {
    let mut text = String::new();
    for (stem, rule) in rules.texts() {
        let head: Option<Head> = toml::from_str(rule).ok();
        let (on, attack) = head.map_or((true, String::new()), |head| (head.enabled, head.attack.join(" ")));
        let _ = writeln!(text, "{stem:<22} {:<4} {attack:<24} {}", if on { "on" } else { "off" }, about(rule));
    }
    text
}

/// The first sentence of a rule's comment.
fn about(rule: &str) -> String {
    let lines = rule.lines().take_while(|line| line.starts_with('#'));
    let comment: Vec<&str> = lines.map(|line| line.trim_start_matches('#').trim()).collect();
    let comment = comment.join(" ");
    comment.split_once(". ").map_or_else(|| comment.clone(), |(first, _)| first.to_owned())
}

fn show(rules: &Rules, stem: &str) -> Result<(String, Exit), miette::Report> {
    let found = rules.texts().find(|(known, _)| *known == stem).map(|(_, text)| text.to_owned());
    let text = found.ok_or_else(|| {
        let known: Vec<&str> = rules.texts().map(|(known, _)| known).collect();
        match config::alike(stem.trim_end_matches(".toml"), &known) {
            Some(known) => miette::miette!("no rule is called {stem}: perhaps `{known}` is meant"),
            None => miette::miette!("no rule is called {stem}; `yukue rules list` names them"),
        }
    })?;
    Ok((text, Exit::Done))
}

fn lint(rules: &Rules) -> (String, Exit) {
    let (mut text, mut exit) = (String::new(), Exit::Done);
    let today = engine::now().utc_day();
    for allow in &rules.allow.0 {
        if allow.expires.0 < today {
            exit = Exit::Usage;
            let _ = writeln!(
                text,
                "allow.toml: expired on {}: {} (owner {}); renew it or take it out",
                allow.expires.1, allow.reason, allow.owner
            );
        }
    }
    let _ = writeln!(text, "{} rules and {} allow-list entries read", rules.texts().count(), rules.allow.0.len());
    (text, exit)
}

/// What a capture must show.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    inside: Vec<String>,
    #[serde(default)]
    outside: Vec<String>,
    /// The site file, the baseline and the tables, from the folder of the cases.
    site: Option<PathBuf>,
    baseline: Option<PathBuf>,
    intel: Option<PathBuf>,
    /// Nothing may be told above this severity.
    quiet: Option<Severity>,
    #[serde(default)]
    alert: Vec<ExpectedAlert>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAlert {
    kind: String,
    least: Severity,
    /// Addresses that must be named.
    #[serde(default)]
    names: Vec<String>,
}

fn test(flags: &Test) -> Result<(String, Exit), miette::Report> {
    let mut text = String::new();
    let (mut cases, mut failed) = (0_u32, 0_u32);
    for path in config::files(&flags.cases).map_err(|e| *e)? {
        let Some(stem) = path.to_str().and_then(|name| name.strip_suffix(".expect.toml")) else { continue };
        let expect: Expect = config::toml(&path).map_err(|e| *e)?;
        let nets = |of: &[String]| -> Result<Vec<Prefix>, _> { of.iter().map(|text| text.parse()).collect() };
        let wrong = |e| miette::miette!("{}: {e}", path.display());
        let (inside, outside) = (nets(&expect.inside).map_err(wrong)?, nets(&expect.outside).map_err(wrong)?);
        let beside = |name: &Option<PathBuf>| name.as_ref().map(|name| flags.cases.join(name));
        let declared = config::declared(beside(&expect.site).as_deref(), &inside, &outside).map_err(|e| *e)?;
        let baseline = beside(&expect.baseline);
        let past = Past {
            inputs: &[PathBuf::from(format!("{stem}.pcap"))],
            declared: declared.into(),
            intel: config::intel(beside(&expect.intel).as_deref()).map_err(|e| *e)?.into(),
            baseline: baseline.as_deref(),
            learn_until: None,
        };
        let alerts = past.told(rules(flags.folder.rules.as_deref())?)?;
        let wrong = differs(&expect, &alerts);
        cases += 1;
        failed += u32::from(!wrong.is_empty());
        let verdict = if wrong.is_empty() { "ok".to_owned() } else { format!("FAILED: {}", wrong.join("; ")) };
        let _ = writeln!(text, "{stem}: {verdict}");
    }
    let _ = writeln!(text, "{cases} cases, {failed} failed");
    if cases == 0 {
        return Err(miette::miette!("no NAME.expect.toml in {}", flags.cases.display()));
    }
    Ok((text, if failed == 0 { Exit::Done } else { Exit::RunTime }))
}

fn differs(expect: &Expect, alerts: &[Alert]) -> Vec<String> {
    let mut wrong = Vec::new();
    for wanted in &expect.alert {
        let names = |alert: &Alert| {
            let ips: Vec<String> =
                alert.finding.entities.iter().filter_map(|e| e.ip).map(|ip| ip.to_string()).collect();
            wanted.names.iter().all(|name| ips.contains(name))
        };
        let is_it = |alert: &&Alert| {
            alert.kind.name() == wanted.kind
                && alert.finding.severity >= wanted.least
                && alert.allowed.is_none()
                && names(alert)
        };
        if alerts.iter().find(is_it).is_none() {
            wrong.push(format!(
                "no {} of {} or more that names {}",
                wanted.kind,
                wanted.least.name(),
                wanted.names.join(" ")
            ));
        }
    }
    let loud = |most: Severity| alerts.iter().filter(move |a| a.finding.severity > most && a.allowed.is_none());
    wrong.extend(expect.quiet.into_iter().flat_map(loud).map(|alert| format!("told: {}", alert.finding.title)));
    wrong
}

fn preview(flags: &Preview) -> Result<(String, Exit), miette::Report> {
    if flags.site.named().rules.is_none() {
        return Err(miette::miette!("which rules would change? Name their folder: --rules DIR"));
    }
    let Loaded { declared, intel, rules: changed, .. } = flags.site.load()?;
    let records = flags.inputs.iter().filter(|path| told::is_told(path)).count();
    if records > 0 {
        if records < flags.inputs.len() || flags.baseline.is_some() || flags.learn_until.is_some() {
            return Err(miette::miette!(
                "records are held against rules alone: no captures, --baseline or --learn-until"
            ));
        }
        let before = rules(flags.before.as_deref())?;
        let change = told::Change { before: &before, after: &changed, declared: &declared, intel: &intel };
        return Ok((told::preview(&flags.inputs, &change)?, Exit::Done));
    }
    let past = Past {
        inputs: &flags.inputs,
        declared,
        intel,
        baseline: flags.baseline.as_deref(),
        learn_until: flags.learn_until,
    };
    let key = |alert: Alert| (alert.finding.id.clone(), alert);
    let mut before: BTreeMap<_, _> = past.told(rules(flags.before.as_deref())?)?.into_iter().map(key).collect();
    let mut text = String::new();
    let line = |text: &mut String, what: &str, alert: &Alert| {
        let finding = &alert.finding;
        let _ = writeln!(
            text,
            "{what:<10} {:<8} {} {}",
            finding.severity.name(),
            finding.id,
            shown(&finding.title.to_string())
        );
    };
    for alert in past.told(changed)? {
        match before.remove(&alert.finding.id) {
            None => line(&mut text, "new", &alert),
            Some(old) if old.allowed.is_none() && alert.allowed.is_some() => line(&mut text, "allowed", &alert),
            Some(old) if old.finding.severity < alert.finding.severity => line(&mut text, "louder", &alert),
            Some(old) if old.finding.severity > alert.finding.severity => line(&mut text, "quieter", &alert),
            Some(_) => {}
        }
    }
    before.values().for_each(|gone| line(&mut text, "hidden", gone));
    if text.is_empty() {
        text.push_str("no alert changes\n");
    }
    Ok((text, Exit::Done))
}

/// What was seen, and what it is judged by besides the rules.
struct Past<'a> {
    inputs: &'a [PathBuf],
    declared: Arc<Declared>,
    intel: Arc<Intel>,
    baseline: Option<&'a Path>,
    learn_until: Option<Timestamp>,
}

impl Past<'_> {
    /// Its alerts under some rules.
    fn told(&self, rules: Rules) -> Result<Vec<Alert>, miette::Report> {
        let job = Job {
            inputs: self.inputs,
            filter: None,
            declared: Arc::clone(&self.declared),
            rules,
            intel: Arc::clone(&self.intel),
            baseline: self.baseline,
            learn_until: self.learn_until,
            setup: Setup { shards: 1, copies: Copies::Drop, tick: None },
            out: None,
        };
        let outcome = engine::analyze(job, &AtomicBool::new(false), |_| ()).map_err(|e| miette::miette!("{e}"))?;
        Ok(outcome.alerts)
    }
}
