//! One test binary; each module is a chapter.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod real;
#[cfg(test)]
mod packets;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod dissector;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod metamorphic;
#[cfg(test)]
mod records;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod support;
#[cfg(test)]
mod synth;
#[cfg(test)]
#[path = "scorecard/interval.rs"]
mod interval;
#[cfg(test)]
#[path = "scorecard/judge.rs"]
mod judge;
#[cfg(test)]
#[path = "scorecard/judge_tests.rs"]
mod judge_tests;
#[cfg(test)]
#[path = "scorecard/table.rs"]
mod table;
#[cfg(test)]
#[path = "scorecard/trial.rs"]
mod trial;

#[cfg(test)]
use synth::fleet;
