//! Capture files → records: the whole pipeline, driven to the end of its input.

use super::analysis::{Analysis, Told};
use super::clock::Stopwatch;
use super::pipeline::{Pipeline, Setup};
use super::summary;
use crate::alert::{Alert, Rules};
use crate::capture::{self, CaptureError, Source};
use crate::detect::{Finding, RuleError};
use crate::event::{Event, Observation, Oddity};
use crate::intel::{Intel, Place};
use crate::output::{Existing, FlowExtras, OutputError, Records, Summary, Trail};
use crate::profile::Declared;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What to analyse, and how.
pub(crate) struct Job<'a> {
    pub(crate) inputs: &'a [PathBuf],
    /// BPF.
    pub(crate) filter: Option<&'a str>,
    pub(crate) declared: Declared,
    pub(crate) rules: Rules,
    pub(crate) intel: Intel,
    pub(crate) setup: Setup,
    /// Where the records go; without it only the outcome is told.
    pub(crate) out: Option<(&'a Path, Existing)>,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    pub(crate) findings: Vec<Finding>,
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
    /// A rule is wrong.
    #[error(transparent)]
    Rules(#[from] RuleError),
}

/// Runs `job` to the end of its input or until `stop` is set; `show` is told how far it is now and then.
pub(crate) fn analyze(
    job: Job<'_>,
    stop: &AtomicBool,
    mut show: impl FnMut(capture::Progress),
) -> Result<Outcome, RunError> {
    let watch = Stopwatch::start();
    let mut files = capture::open(job.inputs, job.filter)?;
    let records = job.out.map(|(folder, existing)| Records::create(folder, existing)).transpose()?;
    let declared = Arc::new(job.declared);
    let intel = Arc::new(job.intel);
    let rules = job.rules.digest();
    let mut right = Right {
        analysis: Analysis::new(Arc::clone(&declared), Arc::clone(&intel), &job.rules)?,
        declared: Arc::clone(&declared),
        intel,
        records,
        weird: [0; Oddity::ALL.len()],
        trail: Trail::default(),
    };
    let mut pipeline = Pipeline::new(job.setup);
    let mut interrupted = false;
    for frames in 1_u64.. {
        if frames.is_multiple_of(LOOK_UP_EVERY) {
            show(files.progress());
            interrupted = stop.load(Ordering::Relaxed);
            if interrupted {
                break;
            }
        }
        let Some(frame) = files.next()? else { break };
        pipeline.frame(&frame, &mut |observation| right.take_in(&observation))?;
    }
    let now = pipeline.finish(&mut |observation| right.take_in(&observation))?;
    let weird = right.oddities();
    let told = right.analysis.finish(now);
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
    if let Some(records) = right.records {
        records.finish(&findings, &alerts, &summary, &right.trail)?;
    }
    Ok(Outcome { summary, findings, alerts, skipped: files.skipped().to_vec(), trail: right.trail })
}

/// Everything that consumes observations.
struct Right {
    analysis: Analysis,
    declared: Arc<Declared>,
    intel: Arc<Intel>,
    records: Option<Records>,
    weird: [u64; Oddity::ALL.len()],
    trail: Trail,
}

impl Right {
    fn take_in(&mut self, seen: &Observation) -> Result<(), OutputError> {
        self.analysis.observe(seen);
        // The final state is written at the end; what is told on the way is for live readers.
        drop(self.analysis.fresh());
        if let Event::Weird(weird) = &seen.event
            && let Some(count) = self.weird.get_mut(weird.oddity as usize)
        {
            *count = count.saturating_add(1);
        }
        if let Event::FlowClosed(flow) = &seen.event {
            self.trail.note(seen.uid, flow.packets);
        }
        let Some(records) = &mut self.records else { return Ok(()) };
        match &seen.event {
            Event::FlowOpened | Event::FlowProgress(_) => Ok(()),
            Event::FlowClosed(flow) => {
                let (orig, resp) = (flow.orig.ip, flow.resp.ip);
                let name = self.analysis.name_of(seen.uid, flow);
                let names = self.analysis.names_of(seen.uid, flow);
                let site = &self.declared.site;
                let (local_orig, local_resp) = (site.is_inside(orig), site.is_inside(resp));
                let place = if local_resp { Place::default() } else { self.intel.place(name.map(|n| n.value), resp) };
                let name = name.map(|n| (n.value, n.source));
                let (provider, class) = (place.provider, place.class);
                records.observation(seen, &FlowExtras { name, names: &names, provider, class, local_orig, local_resp })
            }
            _ => records.observation(seen, &FlowExtras::default()),
        }
    }

    /// Oddities met, by name, with how often.
    fn oddities(&self) -> Vec<(&'static str, u64)> {
        Oddity::ALL.iter().zip(self.weird).filter(|(_, n)| *n > 0).map(|(oddity, n)| (oddity.name(), n)).collect()
    }
}

/// Frames between looks at the stop flag.
const LOOK_UP_EVERY: u64 = 4096;
