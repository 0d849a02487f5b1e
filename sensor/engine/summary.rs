//! What the stages counted → the run's summary.

use super::analysis::Told;
use super::pipeline::Pipeline;
use crate::base::Table;
use crate::capture::{InputReport, LinkType};
use crate::event::Site;
use crate::output::{Baseline, Input, Inside, Stage, Summary, Visibility};
use crate::profile::{Learnt, Maturity};
use std::time::Duration;

/// What a run leaves to be summed up.
pub(super) struct Run<'a> {
    pub(super) inputs: Vec<InputReport>,
    /// Packets that the filter kept back.
    pub(super) filtered: u64,
    pub(super) pipeline: &'a Pipeline,
    pub(super) site: &'a Site,
    pub(super) told: &'a Told,
    pub(super) trail: Table,
    pub(super) weird: Vec<(&'static str, u64)>,
    pub(super) elapsed: Duration,
    pub(super) rules: String,
    pub(super) interrupted: bool,
}

/// Sums up a run.
pub(super) fn of(mut run: Run<'_>) -> Summary {
    let counts = run.pipeline.counts();
    let told = run.told.counts;
    let tables = run.pipeline.tables().into_iter().chain(run.told.tables.iter().copied()).chain([run.trail]);
    let evicted: Vec<_> =
        Table::by_name(tables).into_iter().filter(|t| t.evicted > 0).map(|t| (t.name, t.evicted)).collect();
    let inputs = std::mem::take(&mut run.inputs);
    let inputs: Vec<Input> = inputs.into_iter().enumerate().map(|(at, report)| input(report, at, &run)).collect();
    let dropped = inputs.iter().map(|input| input.dropped).sum::<u64>();
    Summary {
        version: env!("CARGO_PKG_VERSION"),
        rules: run.rules,
        input: inputs,
        packets: counts.packets,
        bytes: counts.bytes,
        flows: counts.flows.closed,
        hosts: told.hosts,
        identity: run.told.identity.clone(),
        visibility: Visibility {
            truncated_packets: counts.truncated,
            duplicate_packets: counts.copies,
            late_packets: counts.late,
            dropped_packets: (dropped > 0).then_some(dropped),
            missed_bytes: counts.flows.missed_bytes,
            payload_bytes: counts.flows.payload_bytes,
            one_way_flows: counts.flows.one_sided,
            filtered_packets: run.filtered,
            peak_flows: counts.flows.peak,
            evicted_flows: counts.flows.evicted,
            unread_flows: counts.flows.unread,
            evicted_entries: evicted.iter().filter(|(name, _)| !name.starts_with("flow.")).map(|(_, n)| *n).sum(),
            evicted,
            outbound_flows: told.outbound_flows,
            nameless_flows: told.nameless_flows,
            internal_flows: told.internal_flows,
            sight: run.told.sight,
            networks: run.told.networks.clone(),
            decoded: run.pipeline.decode_stats().decoded().collect(),
            undecoded: run.pipeline.decode_stats().undecoded().collect(),
            weird: run.weird,
        },
        baseline: baseline(&run.told.learnt),
        inside: Inside { assumed: run.site.assumed(), hint: run.told.hint.clone() },
        elapsed_s: run.elapsed.as_secs_f64(),
        interrupted: run.interrupted,
    }
}

fn baseline(learnt: &Learnt) -> Baseline {
    let stage = match learnt.stage() {
        Maturity::New => Stage::None,
        Maturity::Learning => Stage::Learning,
        Maturity::Ready => Stage::Ready,
    };
    Baseline { stage, new: learnt.new, learning: learnt.learning, ready: learnt.ready }
}

fn input(report: InputReport, at: usize, run: &Run<'_>) -> Input {
    Input {
        sight: run.told.inputs.get(at).copied().unwrap_or_default(),
        duplicates: run.pipeline.copies_of(at),
        truncated: report.truncated,
        dropped: report.dropped,
        back_steps: report.clock.back_steps,
        largest_back: report.clock.largest_back,
        longest_silence: report.clock.longest_silence,
        path: report.path,
        sha256: report.sha256,
        bytes: report.bytes,
        packets: report.packets,
        first: report.first,
        last: report.last,
        links: report.links.into_iter().map(|LinkType(number)| number).collect(),
        damage: report.damage,
    }
}
