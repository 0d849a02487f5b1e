//! Capture files → records: the whole pipeline, driven to the end of its input.

use super::analysis::Told;
use super::archive::Archive;
use super::clock::Stopwatch;
use super::learn::continue_from;
use super::pipeline::{Pipeline, Setup};
use super::right::Right;
use super::sandbox::SandboxError;
use super::store::StoreError;
use super::summary;
use crate::alert::{Alert, Rules, Stated};
use crate::base::Timestamp;
use crate::capture::{self, CaptureError, Source};
use crate::detect::RuleError;
use crate::event::{Event, Observation};
use crate::intel::Intel;
use crate::output::{Existing, OutputError, Records, Summary, Trail};
use crate::profile::Declared;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What to analyse, and how.
pub(crate) struct Job<'a> {
    pub(crate) inputs: &'a [PathBuf],
    /// BPF.
    pub(crate) filter: Option<&'a str>,
    pub(crate) declared: Arc<Declared>,
    pub(crate) rules: Rules,
    pub(crate) intel: Arc<Intel>,
    pub(crate) setup: Setup,
    /// What was learned before, and until when this input is learned from and nothing told.
    pub(crate) baseline: Option<&'a Path>,
    pub(crate) learn_until: Option<Timestamp>,
    /// Where the records go; without it only the outcome is told.
    pub(crate) out: Option<(&'a Path, Existing)>,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    pub(crate) findings: Vec<Stated>,
    pub(crate) alerts: Vec<Alert>,
    /// Files in folders that are no captures.
    pub(crate) skipped: Vec<PathBuf>,
    pub(crate) trail: Trail,
}

/// Why a run could not be finished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The input cannot be read, or is none.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The records cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The analysis ended by a panic that was not contained.
    #[error("the analysis ended before its input did; this is a bug, please report it")]
    Analysis,
    /// A rule is wrong.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// Rights cannot be given up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The baseline cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs `job` to the end of its input or until `stop` is set; `show` is told how far it is now and then.
pub(crate) fn analyze(
    job: Job<'_>,
    stop: &AtomicBool,
    mut show: impl FnMut(capture::Progress),
) -> Result<Outcome, RunError> {
    let watch = Stopwatch::start();
    let mut files = capture::open(job.inputs, job.filter)?;
    let mut records = job.out.map(|(folder, existing)| Records::create(folder, existing)).transpose()?;
    let (declared, intel) = (job.declared, job.intel);
    let rules = job.rules.digest();
    let mut right = Right::new(&declared, &intel, &job.rules)?;
    if let Some(path) = job.baseline {
        continue_from(path, &mut right.analysis)?;
        right.analysis.look_back(Archive::open(path)?.look_back());
    }
    right.analysis.learn_until(job.learn_until.unwrap_or(Timestamp::MIN));
    let mut pipeline = Pipeline::new(job.setup);
    let mut hand_on = |seen: Observation| take_in(&mut right, records.as_mut(), &seen);
    let interrupted = feed(&mut files, &mut pipeline, (stop, &mut show), &mut hand_on)?;
    if let Some(until) = files.reports().iter().filter_map(|report| report.until).max() {
        pipeline.tick(until, &mut |seen| take_in(&mut right, records.as_mut(), &seen))?;
    }
    let now = pipeline.finish(&mut |seen| take_in(&mut right, records.as_mut(), &seen))?;
    let weird = right.oddities();
    let mut told = right.analysis.finish(now);
    told.tables.push(right.ech.table());
    let summary = summary::of(summary::Run {
        inputs: files.reports(),
        filtered: files.filtered(),
        pipeline: &pipeline,
        site: &declared.site,
        told: &told,
        trail: right.trail.table(),
        weird,
        elapsed: watch.elapsed(),
        rules,
        interrupted,
    });
    let Told { findings, alerts, .. } = told;
    if let Some(records) = records {
        records.finish(&findings, &alerts, &summary, &right.trail)?;
    }
    Ok(Outcome { summary, findings, alerts, skipped: files.skipped().to_vec(), trail: right.trail })
}

/// Reads to the end of the input, or until `stop` is set, which it says; `show` is told how far it is now and then.
pub(super) fn feed<E>(
    files: &mut capture::Files,
    pipeline: &mut Pipeline,
    (stop, show): (&AtomicBool, &mut impl FnMut(capture::Progress)),
    hand_on: &mut impl FnMut(Observation) -> Result<(), E>,
) -> Result<bool, RunError>
where
    RunError: From<E>,
{
    for frames in 1_u64.. {
        if frames.is_multiple_of(LOOK_UP_EVERY) {
            show(files.progress());
            if stop.load(Ordering::Relaxed) {
                return Ok(true);
            }
        }
        let Some(frame) = files.next()? else { break };
        pipeline.frame(&frame, hand_on)?;
    }
    Ok(false)
}

/// Analyses an observation and writes its record.
fn take_in(right: &mut Right, records: Option<&mut Records>, seen: &Observation) -> Result<(), OutputError> {
    right.observe(seen);
    // The final state is written at the end; what is told on the way is for live readers.
    drop(right.analysis.fresh());
    let parted = right.analysis.parted();
    let Some(records) = records else { return Ok(()) };
    records.parted(&parted, &right.trail)?;
    match &seen.event {
        Event::FlowOpened | Event::FlowProgress(_) => Ok(()),
        Event::FlowClosed(flow) => right.with_extras(seen, flow, |extras| records.observation(seen, extras)),
        _ => records.observation(seen, &right.fact_extras(seen)),
    }
}

/// Frames between looks at the stop flag.
const LOOK_UP_EVERY: u64 = 4096;
