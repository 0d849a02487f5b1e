//! One test binary; each module is a chapter.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod ech;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod real;
#[cfg(test)]
mod packets;
#[cfg(test)]
mod baseline;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod dissector;
#[cfg(test)]
mod history;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod metamorphic;
#[cfg(test)]
mod records;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod scores;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod support;
#[cfg(test)]
mod synth;
#[cfg(test)]
#[path = "scorecard/plan.rs"]
#[expect(dead_code, reason = "the scorecard runs its plans; here they are only looked at")]
mod plan;
#[cfg(test)]
#[path = "scorecard/scoring/mod.rs"]
mod scoring;
#[cfg(test)]
#[path = "scorecard/scoring/tests.rs"]
mod scoring_tests;

#[cfg(test)]
use synth::fleet;
